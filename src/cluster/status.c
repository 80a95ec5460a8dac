/*
 * The status file as text and back. Called by the failover process alone.
 *
 * Parsing is strict: exactly what status_print prints, but for numbers that may have any value in
 * their range. Invariants: no line is believed before the checksum was found right; what is out of
 * range is an error, never cut.
 */
#include "cluster/status.h"

#include "base/num.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

static const char head[] = "pgpool_status 1";

/* FNV-1a: against torn and edited files, not against enemies. */
static uint64_t
checksum(const char *text, size_t len)
{
    uint64_t sum = UINT64_C(14695981039346656037);

    for (size_t at = 0; at < len; at++)
        sum = (sum ^ (uint8_t)text[at]) * UINT64_C(1099511628211);
    return sum;
}

/* ---- flags of a node ------------------------------------------------------------------------- */

struct flag {
    const char *name;
    size_t offset;
};

static const struct flag flags[] = {
    {"must_follow", offsetof(struct plan_node, must_follow)},
    {"demote", offsetof(struct plan_node, demote)},
    {"given_up", offsetof(struct plan_node, given_up)},
    {"attach", offsetof(struct plan_node, attach)},
    {"failback_due", offsetof(struct plan_node, failback_due)},
    {"synchronous", offsetof(struct plan_node, synchronous)},
    {"proven", offsetof(struct plan_node, proven)},
    {"tried", offsetof(struct plan_node, tried)},
    {"told", offsetof(struct plan_node, told)},
    {"recovery", SIZE_MAX}, /* job */
};

static bool
flag_get(const struct plan_node *node, const struct flag *flag)
{
    if (flag->offset == SIZE_MAX)
        return node->job == PLAN_JOB_RECOVERY;
    return *(const bool *)((const char *)node + flag->offset);
}

static void
flag_set(struct plan_node *node, const struct flag *flag)
{
    if (flag->offset == SIZE_MAX)
        node->job = PLAN_JOB_RECOVERY;
    else
        *(bool *)((char *)node + flag->offset) = true;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void
print_quoted(struct buf *out, const char *text)
{
    buf_add_u8(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_add_u8(out, '\\');
        if (*text == '\n')
            buf_add_str(out, "\\n");
        else
            buf_add_u8(out, (uint8_t)*text);
    }
    buf_add_u8(out, '"');
}

static void
print_operation(const struct plan_operation *op, struct buf *out)
{
    buf_printf(out,
               "operation %s phase=%s fenced=%d forced=%d detach=%d told=%d doubtful=%d "
               "attempt=%" PRIu32 " old=%d candidate=%d wanted=%d\n",
               plan_operation_name(op->kind), plan_phase_name(op->phase), op->fenced, op->forced,
               op->detach_old, op->told, op->doubtful, op->attempt, op->old_primary_id,
               op->candidate_id, op->wanted_id);
}

static void
print_node(const struct status *status, uint32_t node_id, struct buf *out)
{
    const struct plan_node *node = &status->plan.nodes[node_id];
    const char *between = "";

    buf_printf(out, "node %" PRIu32 " host=", node_id);
    print_quoted(out, status->nodes[node_id].host);
    buf_printf(out,
               " port=%u state=%s since=%" PRId64 " flags=", (unsigned)status->nodes[node_id].port,
               node_state_info(node->state)->name, node->since_us);
    for (size_t n = 0; n < ARRAY_LEN(flags); n++) {
        if (!flag_get(node, &flags[n]))
            continue;
        buf_printf(out, "%s%s", between, flags[n].name);
        between = ",";
    }
    buf_add_str(out, between[0] == '\0' ? "-" : "");
    buf_add_str(out, " reason=");
    print_quoted(out, node->reason);
    buf_add_u8(out, '\n');
}

void
status_print(const struct status *status, struct buf *out)
{
    const struct plan *plan = &status->plan;
    size_t begin = out->len;

    buf_printf(out, "%s\n", head);
    buf_printf(out,
               "cluster primary=%d timeline=%" PRIu32 " system=%" PRIu64 " epoch=%" PRIu64
               " synchronous=%d\n",
               plan->primary_id, plan->timeline, plan->system_identifier, plan->epoch,
               plan->synchronous);
    if (plan->operation.kind != PLAN_IDLE)
        print_operation(&plan->operation, out);
    for (uint32_t node_id = 0; node_id < plan->node_count; node_id++)
        if (plan->nodes[node_id].state != NODE_UNUSED)
            print_node(status, node_id, out);
    buf_printf(out, "checksum %016" PRIx64 "\n",
               checksum((const char *)out->data + begin, out->len - begin));
}

/* ---- parsing --------------------------------------------------------------------------------- */

struct cursor {
    const char *at;
    const char *end; /* of the text without its checksum */
    uint32_t line;
    struct err *err;
};

static int
bad(const struct cursor *c, const char *what)
{
    return err_set(c->err, "XX001", "line %" PRIu32 " of the status file: %s", c->line, what);
}

static bool
take(struct cursor *c, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

static int
expect(struct cursor *c, const char *word)
{
    if (take(c, word))
        return 0;
    return err_set(c->err, "XX001", "line %" PRIu32 " of the status file: expected \"%s\"", c->line,
                   word[0] == '\n' ? "end of line" : word);
}

/* Up to the next blank or end of line. */
static int
take_word(struct cursor *c, char *word_r, size_t size)
{
    const char *begin = c->at;

    while (c->at < c->end && *c->at != ' ' && *c->at != '\n' && *c->at != '\0')
        c->at++;
    if (c->at == begin || !str_copy_n(word_r, size, begin, (size_t)(c->at - begin)))
        return bad(c, "a word is missing or too long");
    return 0;
}

/* " name=number", within bounds. */
static int
take_number(struct cursor *c, const char *name, int64_t min, int64_t max, int64_t *value_r)
{
    char word[32];

    if (expect(c, " ") != 0 || expect(c, name) != 0 || expect(c, "=") != 0 ||
        take_word(c, word, sizeof(word)) != 0)
        return -1;
    if (!num_parse_i64(word, value_r) || *value_r < min || *value_r > max)
        return bad(c, "a number is wrong or out of range");
    return 0;
}

static int
take_flag(struct cursor *c, const char *name, bool *value_r)
{
    int64_t value;

    if (take_number(c, name, 0, 1, &value) != 0)
        return -1;
    *value_r = value != 0;
    return 0;
}

static int
take_id(struct cursor *c, const char *name, int32_t *id_r)
{
    int64_t value;

    if (take_number(c, name, -1, CLUSTER_NODES_MAX - 1, &value) != 0)
        return -1;
    *id_r = (int32_t)value;
    return 0;
}

/* " name=number" of 64 bits without a sign. */
static int
take_u64(struct cursor *c, const char *name, uint64_t *value_r)
{
    char word[32];
    uint64_t value = 0;

    if (expect(c, " ") != 0 || expect(c, name) != 0 || expect(c, "=") != 0 ||
        take_word(c, word, sizeof(word)) != 0)
        return -1;
    for (const char *p = word; *p != '\0'; p++) {
        unsigned digit = (unsigned)(*p - '0');

        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return bad(c, "a number is wrong or out of range");
        value = value * 10 + digit;
    }
    *value_r = value;
    return 0;
}

static int
take_quoted(struct cursor *c, char *text_r, size_t size)
{
    size_t len = 0;

    if (expect(c, "\"") != 0)
        return -1;
    for (; c->at < c->end && *c->at != '"' && *c->at != '\n'; c->at++) {
        char letter = *c->at;

        if (letter == '\\') {
            if (++c->at == c->end)
                return bad(c, "a text is cut");
            letter = *c->at == 'n' ? '\n' : *c->at;
            if (*c->at != 'n' && *c->at != '"' && *c->at != '\\')
                return bad(c, "a text has an unknown escape");
        }
        if (letter == '\0' || len + 1 >= size)
            return bad(c, "a text is too long or has a zero byte");
        text_r[len++] = letter;
    }
    text_r[len] = '\0';
    return expect(c, "\"");
}

static int
end_line(struct cursor *c)
{
    if (expect(c, "\n") != 0)
        return -1;
    c->line++;
    return 0;
}

static int
parse_cluster(struct cursor *c, struct plan *plan)
{
    int64_t timeline;

    if (expect(c, "cluster") != 0 || take_id(c, "primary", &plan->primary_id) != 0 ||
        take_number(c, "timeline", 0, UINT32_MAX, &timeline) != 0 ||
        take_u64(c, "system", &plan->system_identifier) != 0 ||
        take_u64(c, "epoch", &plan->epoch) != 0 ||
        take_flag(c, "synchronous", &plan->synchronous) != 0)
        return -1;
    plan->timeline = (uint32_t)timeline;
    return end_line(c);
}

static int
parse_operation(struct cursor *c, struct plan_operation *op)
{
    char word[32];
    int64_t attempt;
    int kind;
    int phase;

    if (expect(c, " ") != 0 || take_word(c, word, sizeof(word)) != 0)
        return -1;
    kind = plan_operation_parse(word);
    if (kind != PLAN_FAILOVER && kind != PLAN_SWITCHOVER)
        return bad(c, "no such operation");
    if (expect(c, " phase=") != 0 || take_word(c, word, sizeof(word)) != 0)
        return -1;
    phase = plan_phase_parse(word);
    if (phase <= PLAN_PHASE_NONE)
        return bad(c, "no such phase");
    op->kind = (uint8_t)kind;
    op->phase = (uint8_t)phase;
    if (take_flag(c, "fenced", &op->fenced) != 0 || take_flag(c, "forced", &op->forced) != 0 ||
        take_flag(c, "detach", &op->detach_old) != 0 || take_flag(c, "told", &op->told) != 0 ||
        take_flag(c, "doubtful", &op->doubtful) != 0 ||
        take_number(c, "attempt", 0, UINT32_MAX, &attempt) != 0 ||
        take_id(c, "old", &op->old_primary_id) != 0 ||
        take_id(c, "candidate", &op->candidate_id) != 0 ||
        take_id(c, "wanted", &op->wanted_id) != 0)
        return -1;
    op->attempt = (uint32_t)attempt;
    return end_line(c);
}

static int
parse_flags(struct cursor *c, struct plan_node *node)
{
    if (expect(c, " flags=") != 0)
        return -1;
    if (take(c, "-"))
        return 0;
    do {
        size_t n = 0;

        while (n < ARRAY_LEN(flags) && !take(c, flags[n].name))
            n++;
        if (n == ARRAY_LEN(flags))
            return bad(c, "no such flag");
        flag_set(node, &flags[n]);
    } while (take(c, ","));
    return 0;
}

static int
parse_node(struct cursor *c, struct status *status)
{
    struct plan *plan = &status->plan;
    struct plan_node *node;
    struct status_node *where;
    char word[32];
    uint32_t node_id;
    int64_t port;
    int state;

    if (expect(c, " ") != 0 || take_word(c, word, sizeof(word)) != 0)
        return -1;
    if (!num_parse_u32(word, &node_id) || node_id >= CLUSTER_NODES_MAX ||
        node_id < plan->node_count)
        return bad(c, "a node's number is out of range or out of order");
    node = &plan->nodes[node_id];
    where = &status->nodes[node_id];
    if (expect(c, " host=") != 0 || take_quoted(c, where->host, sizeof(where->host)) != 0 ||
        take_number(c, "port", 0, UINT16_MAX, &port) != 0 || expect(c, " state=") != 0 ||
        take_word(c, word, sizeof(word)) != 0)
        return -1;
    state = node_state_parse(word);
    if (state <= NODE_UNUSED)
        return bad(c, "no such state");
    node->state = (uint8_t)state;
    where->port = (uint16_t)port;
    plan->node_count = node_id + 1;
    if (take_number(c, "since", INT64_MIN, INT64_MAX, &node->since_us) != 0 ||
        parse_flags(c, node) != 0 || expect(c, " reason=") != 0 ||
        take_quoted(c, node->reason, sizeof(node->reason)) != 0)
        return -1;
    return end_line(c);
}

static bool
is_node_or_none(const struct plan *plan, int id)
{
    return id < 0 || ((uint32_t)id < plan->node_count && plan->nodes[id].state != NODE_UNUSED);
}

/* What each line alone cannot tell. */
static int
check_whole(const struct cursor *c, const struct plan *plan)
{
    const struct plan_operation *op = &plan->operation;
    bool switchover = op->kind == PLAN_SWITCHOVER;
    bool acts = op->phase == PLAN_PROMOTING || op->phase == PLAN_VERIFYING;

    if (!is_node_or_none(plan, plan->primary_id) || !is_node_or_none(plan, op->old_primary_id) ||
        !is_node_or_none(plan, op->candidate_id) || !is_node_or_none(plan, op->wanted_id))
        return bad(c, "it names a node that has no line");
    if (op->kind == PLAN_IDLE)
        return 0;
    if (plan->primary_id >= 0)
        return bad(c, "an operation runs, so there cannot be a primary");
    if (((acts || switchover) && op->candidate_id < 0) || (switchover && op->old_primary_id < 0) ||
        (op->phase == PLAN_CATCHING_UP && !switchover) ||
        (switchover && (op->phase == PLAN_CHOOSING || op->phase == PLAN_FENCE_COMMAND)) ||
        (op->phase == PLAN_FENCE_COMMAND && op->old_primary_id < 0) ||
        (op->phase > PLAN_FENCING && !op->fenced))
        return bad(c, "the operation cannot be in this phase");
    return 0;
}

/* Cuts the last line off, once it is known to be right. */
static int
check_sum(struct cursor *c)
{
    const char *begin = c->at;
    const char *line = c->end;
    struct buf want = BUF_EMPTY;
    bool right;

    for (const char *p = begin; p < c->end; p++)
        c->line += *p == '\n' && p + 1 < c->end;
    if (c->end == begin || c->end[-1] != '\n')
        return bad(c, "the text is cut");
    line--;
    while (line > begin && line[-1] != '\n')
        line--;
    buf_printf(&want, "checksum %016" PRIx64 "\n", checksum(begin, (size_t)(line - begin)));
    right = want.len == (size_t)(c->end - line) && memcmp(want.data, line, want.len) == 0;
    buf_free(&want);
    if (!right)
        return bad(c, "the checksum is missing or wrong");
    c->end = line;
    c->line = 1;
    return 0;
}

/* First, so that a file of another version is not called torn. Takes nothing. */
static int
check_head(const struct cursor *c)
{
    struct cursor copy = *c;

    if (!take(&copy, "pgpool_status "))
        return bad(c, "it does not begin with \"pgpool_status\"");
    copy.at = c->at;
    if (!take(&copy, head) || copy.at == copy.end || *copy.at != '\n')
        return bad(c, "it is of a version that is not known here");
    return 0;
}

static int
parse_lines(struct cursor *c, struct status *status)
{
    struct plan *plan = &status->plan;

    if (check_head(c) != 0 || check_sum(c) != 0 || expect(c, head) != 0)
        return -1;
    if (end_line(c) != 0 || parse_cluster(c, plan) != 0)
        return -1;
    if (take(c, "operation") && parse_operation(c, &plan->operation) != 0)
        return -1;
    while (c->at < c->end)
        if (expect(c, "node") != 0 || parse_node(c, status) != 0)
            return -1;
    return check_whole(c, plan);
}

int
status_parse_present(struct status *status, const char *text, size_t len, struct err *err)
{
    struct cursor c = {text, text + len, 1, err};

    memset(status, 0, sizeof(*status));
    plan_init(&status->plan);
    if (len > STATUS_FILE_BYTES ? bad(&c, "it is too long") != 0 : parse_lines(&c, status) != 0) {
        memset(status, 0, sizeof(*status));
        plan_init(&status->plan);
        return -1;
    }
    return 0;
}

int
status_parse(struct status *status, const char *text, size_t len, struct err *err)
{
    int rc = status_parse_present(status, text, len, err);

    plan_forget_moments(&status->plan);
    return rc;
}

void
status_keep_same_nodes(struct status *status, const struct status_node *now, uint32_t node_count)
{
    struct plan *plan = &status->plan;
    struct plan_operation *op = &plan->operation;

    for (int node_id = 0; node_id < (int)plan->node_count; node_id++) {
        const struct status_node *then = &status->nodes[node_id];

        if ((uint32_t)node_id < node_count && strcmp(then->host, now[node_id].host) == 0 &&
            then->port == now[node_id].port)
            continue;
        memset(&plan->nodes[node_id], 0, sizeof(plan->nodes[node_id]));
        if (plan->primary_id == node_id)
            plan->primary_id = -1;
        if (op->kind != PLAN_IDLE && (op->old_primary_id == node_id || op->wanted_id == node_id ||
                                      op->candidate_id == node_id))
            *op =
                (struct plan_operation){.old_primary_id = -1, .candidate_id = -1, .wanted_id = -1};
    }
}
