/*
 * Members, states and leaders as text, and pictures of what stands in etcd.
 *
 * Each kind of record is a table of fields. Any bytes may come in: others write there, too.
 */
#include "watchdog/record.h"

#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { U8, U32, I32, U64, I64, HEX, BOOL, SET };

struct field {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define MEMBER(name, kind, at)                                                                     \
    {                                                                                              \
        name, kind, offsetof(struct wd_member, at)                                                 \
    }
static const struct field member_fields[] = {
    MEMBER("id", U32, id),
    MEMBER("priority", I32, priority),
    MEMBER("incarnation", HEX, incarnation),
    MEMBER("nodes", HEX, nodes_hash),
    MEMBER("fenced", U64, fenced_epoch),
    MEMBER("applied", I64, applied),
    MEMBER("leaving", BOOL, leaving),
    MEMBER("isolated", BOOL, isolated),
    MEMBER("alive", SET, alive),
    MEMBER("dead", SET, dead),
};

#define STATE(name, kind, at)                                                                      \
    {                                                                                              \
        name, kind, offsetof(struct wd_state, at)                                                  \
    }
static const struct field state_fields[] = {
    STATE("epoch", U64, epoch),
    STATE("system", U64, system_identifier),
    STATE("nodes", HEX, nodes_hash),
    STATE("timeline", U32, timeline),
    STATE("count", U32, node_count),
    STATE("primary", I32, primary_id),
    STATE("candidate", I32, candidate_id),
    STATE("phase", U8, phase),
    STATE("in", SET, in),
    STATE("electable", SET, electable),
    STATE("fence_epoch", U64, fence_epoch),
    STATE("last_primary", I32, last_primary_id),
    STATE("told", I32, told_id),
    STATE("told_epoch", U64, told_epoch),
};

#define LEADER(name, kind, at)                                                                     \
    {                                                                                              \
        name, kind, offsetof(struct wd_leader, at)                                                 \
    }
static const struct field leader_fields[] = {
    LEADER("id", U32, id),
    LEADER("incarnation", HEX, incarnation),
};

static const char member_head[] = "pgpool_member 1";
static const char state_head[] = "pgpool_state 1";
static const char leader_head[] = "pgpool_leader 1";

/* ---- writing --------------------------------------------------------------------------------- */

static void
print_set(const struct cluster_set *set, struct buf *out)
{
    const char *comma = "";

    for (int node_id = 0; node_id < CLUSTER_NODES_MAX; node_id++) {
        if (!cluster_set_has(set, node_id))
            continue;
        buf_printf(out, "%s%d", comma, node_id);
        comma = ",";
    }
    if (comma[0] == '\0')
        buf_add_str(out, "-");
}

static void
print_field(const struct field *field, const void *record, struct buf *out)
{
    const void *at = (const char *)record + field->offset;

    buf_printf(out, " %s=", field->name);
    switch (field->kind) {
    case U8:
        buf_printf(out, "%u", *(const uint8_t *)at);
        break;
    case U32:
        buf_printf(out, "%" PRIu32, *(const uint32_t *)at);
        break;
    case I32:
        buf_printf(out, "%" PRId32, *(const int32_t *)at);
        break;
    case U64:
        buf_printf(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    case I64:
        buf_printf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case HEX:
        buf_printf(out, "%016" PRIx64, *(const uint64_t *)at);
        break;
    case BOOL:
        buf_add_str(out, *(const bool *)at ? "1" : "0");
        break;
    case SET:
        print_set(at, out);
        break;
    }
}

void
wd_member_print(const struct wd_member *member, struct buf *out)
{
    buf_add_str(out, member_head);
    for (size_t n = 0; n < ARRAY_LEN(member_fields); n++)
        print_field(&member_fields[n], member, out);
}

void
wd_state_print(const struct wd_state *state, const char *payload, struct buf *out)
{
    buf_add_str(out, state_head);
    for (size_t n = 0; n < ARRAY_LEN(state_fields); n++)
        print_field(&state_fields[n], state, out);
    buf_add_str(out, "\n");
    buf_add_str(out, payload);
}

static void
print_leader(const struct wd_leader *leader, struct buf *out)
{
    buf_add_str(out, leader_head);
    for (size_t n = 0; n < ARRAY_LEN(leader_fields); n++)
        print_field(&leader_fields[n], leader, out);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool
parse_digits(const char **at, unsigned base, uint64_t limit, uint64_t *value_r)
{
    const char *begin = *at;
    uint64_t value = 0;

    for (;; (*at)++) {
        unsigned digit = 99;

        if (**at >= '0' && **at <= '9')
            digit = (unsigned)(**at - '0');
        else if (**at >= 'a' && **at <= 'f')
            digit = (unsigned)(**at - 'a') + 10;
        if (digit >= base)
            break;
        if (value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    *value_r = value;
    return *at > begin && value <= limit;
}

static bool
parse_set(const char **at, struct cluster_set *set)
{
    uint64_t node_id;

    memset(set, 0, sizeof(*set));
    if (**at == '-') {
        (*at)++;
        return true;
    }
    for (;;) {
        if (!parse_digits(at, 10, CLUSTER_NODES_MAX - 1, &node_id))
            return false;
        cluster_set_add(set, (int)node_id);
        if (**at != ',')
            return true;
        (*at)++;
    }
}

static bool
parse_signed(const char **at, uint64_t limit, int64_t *value_r)
{
    bool negative = **at == '-';
    uint64_t value;

    *at += negative;
    if (!parse_digits(at, 10, limit, &value))
        return false;
    *value_r = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static bool
parse_value(const struct field *field, const char **at, void *to)
{
    uint64_t value = 0;
    int64_t number = 0;
    bool ok;

    switch (field->kind) {
    case SET:
        return parse_set(at, to);
    case I32:
        ok = parse_signed(at, INT32_MAX, &number);
        *(int32_t *)to = (int32_t)number;
        return ok;
    case I64:
        ok = parse_signed(at, INT64_MAX, &number);
        *(int64_t *)to = number;
        return ok;
    case U8:
        ok = parse_digits(at, 10, UINT8_MAX, &value);
        *(uint8_t *)to = (uint8_t)value;
        return ok;
    case BOOL:
        ok = parse_digits(at, 10, 1, &value);
        *(bool *)to = value != 0;
        return ok;
    case U32:
        ok = parse_digits(at, 10, UINT32_MAX, &value);
        *(uint32_t *)to = (uint32_t)value;
        return ok;
    default:
        ok = parse_digits(at, field->kind == HEX ? 16 : 10, UINT64_MAX, &value);
        *(uint64_t *)to = value;
        return ok;
    }
}

struct form {
    const char *head;
    const struct field *fields;
    size_t count;
};

/* Where the record ends; NULL: it is none. */
static const char *
parse(const struct form *form, const char *text, void *record, struct err *err)
{
    const char *at = text;

    if (strncmp(at, form->head, strlen(form->head)) != 0) {
        err_set(err, "22023", "it does not begin with \"%s\"", form->head);
        return NULL;
    }
    at += strlen(form->head);
    for (size_t n = 0; n < form->count; n++) {
        const struct field *field = &form->fields[n];
        size_t len = strlen(field->name);
        bool named = at[0] == ' ' && strncmp(at + 1, field->name, len) == 0 && at[1 + len] == '=';

        if (named)
            at += len + 2;
        if (!named || !parse_value(field, &at, (char *)record + field->offset)) {
            err_set(err, "22023", "its \"%s\" is not understood", field->name);
            return NULL;
        }
    }
    if (*at != '\0' && *at != '\n') {
        err_set(err, "22023", "there is more in it than is understood");
        return NULL;
    }
    return at;
}

int
wd_member_parse(struct wd_member *member, const char *text, struct err *err)
{
    static const struct form form = {member_head, member_fields, ARRAY_LEN(member_fields)};

    memset(member, 0, sizeof(*member));
    if (parse(&form, text, member, err) == NULL)
        return -1;
    if (member->incarnation == 0)
        return err_set(err, "22023", "its \"incarnation\" is not understood");
    return 0;
}

static bool
is_node_or_none(const struct wd_state *state, int32_t node_id)
{
    return node_id >= -1 && node_id < (int32_t)state->node_count;
}

int
wd_state_parse(struct wd_state *state, const char *text, const char **payload_r, struct err *err)
{
    static const struct form form = {state_head, state_fields, ARRAY_LEN(state_fields)};
    const char *end;

    memset(state, 0, sizeof(*state));
    end = parse(&form, text, state, err);
    if (end == NULL)
        return -1;
    if (state->node_count > CLUSTER_NODES_MAX || !is_node_or_none(state, state->primary_id) ||
        !is_node_or_none(state, state->candidate_id) ||
        !is_node_or_none(state, state->last_primary_id) || !is_node_or_none(state, state->told_id))
        return err_set(err, "22023", "it speaks of a node that there is not");
    *payload_r = *end == '\n' ? end + 1 : end;
    return 0;
}

/* ---- pictures -------------------------------------------------------------------------------- */

static int
read_member(struct wd_picture *picture, const struct etcd_pair *pair, struct err *err)
{
    struct wd_member *member = &picture->members[picture->member_count];

    if (picture->member_count == WD_MEMBERS_MAX)
        return err_set(err, "22023", "there are more than %d members", WD_MEMBERS_MAX);
    if (wd_member_parse(member, pair->value, err) != 0)
        return -1;
    member->lease = pair->lease;
    member->key_revision = pair->mod_revision;
    picture->member_count++;
    return 0;
}

static int
read_roster(struct wd_picture *picture, const struct etcd_pair *pair, const char *id,
            struct err *err)
{
    struct wd_roster_entry *entry = &picture->roster[picture->roster_count];
    const char *at = pair->value;

    if (picture->roster_count == WD_MEMBERS_MAX)
        return err_set(err, "22023", "there are more than %d on the roster", WD_MEMBERS_MAX);
    if (!num_parse_u32(id, &entry->id) || !parse_digits(&at, 16, UINT64_MAX, &entry->incarnation) ||
        *at != '\0')
        return err_set(err, "22023", "it is no incarnation");
    picture->roster_count++;
    return 0;
}

static int
read_pair(struct wd_picture *picture, const struct etcd_pair *pair, const char *name,
          const char **payload_r, struct err *err)
{
    static const struct form form = {leader_head, leader_fields, ARRAY_LEN(leader_fields)};

    if (strlen(pair->value) != pair->value_len)
        return err_set(err, "22023", "it is no text");
    if (strncmp(name, "member/", 7) == 0)
        return read_member(picture, pair, err);
    if (strncmp(name, "roster/", 7) == 0)
        return read_roster(picture, pair, name + 7, err);
    if (strcmp(name, "leader") == 0) {
        picture->leader.term = pair->create_revision;
        return parse(&form, pair->value, &picture->leader, err) != NULL ? 0 : -1;
    }
    if (strcmp(name, "state") == 0) {
        picture->state_revision = pair->mod_revision;
        return wd_state_parse(&picture->state, pair->value, payload_r, err);
    }
    return err_set(err, "22023", "nothing of pgpool's has that name");
}

int
wd_picture_read(struct wd_picture *picture, const struct etcd_answer *answer, const char *prefix,
                const char **payload_r, struct err *err)
{
    size_t len = strlen(prefix);

    memset(picture, 0, sizeof(*picture));
    picture->revision = answer->revision;
    picture->state.primary_id = picture->state.candidate_id = -1;
    picture->state.last_primary_id = picture->state.told_id = -1;
    *payload_r = "";
    for (uint32_t n = 0; n < answer->pair_count; n++) {
        const struct etcd_pair *pair = &answer->pairs[n];

        if (strncmp(pair->key, prefix, len) == 0 &&
            read_pair(picture, pair, pair->key + len, payload_r, err) == 0)
            continue;
        if (strncmp(pair->key, prefix, len) != 0)
            err_set(err, "22023", "it does not begin with \"%s\"", prefix);
        err_prefix(err, "key \"%.200s\" of etcd is not understood: ", pair->key);
        return -1;
    }
    return 0;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void
compare(struct wd_transaction *t, enum etcd_compare_what what, const char *key, int64_t revision)
{
    t->txn.compares[t->txn.compare_count++] =
        (struct etcd_compare){.what = what, .key = key, .revision = revision};
}

static void
compare_incarnation(struct wd_transaction *t, const char *key, uint64_t incarnation)
{
    snprintf(t->incarnation, sizeof(t->incarnation), "%016" PRIx64, incarnation);
    compare(t, ETCD_VALUE, key, 0);
    t->txn.compares[t->txn.compare_count - 1].value = t->incarnation;
}

static struct etcd_op *
op(struct wd_transaction *t, enum etcd_op_kind kind, const char *key)
{
    struct etcd_op *added = &t->txn.ops[t->txn.op_count++];

    *added = (struct etcd_op){.kind = kind, .key = key};
    return added;
}

static void
put(struct wd_transaction *t, const char *key, uint64_t lease)
{
    struct etcd_op *added = op(t, ETCD_PUT, key);

    added->value = t->value.data;
    added->value_len = t->value.len;
    added->lease = lease;
}

static void
put_member(struct wd_transaction *t, const struct wd *wd, const struct wd_action *action,
           const char *nodes)
{
    struct etcd_op *roster;

    wd_member_print(&wd->self, &t->value);
    buf_add_str(&t->value, "\n");
    buf_add_str(&t->value, nodes);
    compare(t, ETCD_MOD_REVISION, t->keys[0], action->revision);
    put(t, t->keys[0], action->lease);
    if (action->request != WD_JOIN)
        return;
    snprintf(t->incarnation, sizeof(t->incarnation), "%016" PRIx64, wd->self.incarnation);
    roster = op(t, ETCD_PUT, t->keys[1]);
    roster->value = t->incarnation;
    roster->value_len = strlen(t->incarnation);
}

void
wd_transaction_init(struct wd_transaction *t, const struct wd *wd, const struct wd_action *action,
                    const char *prefix, const char *payload)
{
    struct wd_leader leader = {.id = wd->self.id, .incarnation = wd->self.incarnation};
    uint32_t id = action->request == WD_FORGET ? action->other_id : wd->self.id;
    const char *leader_key = t->keys[2];

    memset(t, 0, sizeof(*t));
    snprintf(t->keys[0], sizeof(t->keys[0]), "%smember/%" PRIu32, prefix, id);
    snprintf(t->keys[1], sizeof(t->keys[1]), "%sroster/%" PRIu32, prefix, id);
    snprintf(t->keys[2], sizeof(t->keys[2]), "%sleader", prefix);
    switch ((enum wd_request)action->request) {
    case WD_JOIN:
    case WD_UPDATE:
        put_member(t, wd, action, payload);
        break;
    case WD_CAMPAIGN:
        print_leader(&leader, &t->value);
        compare(t, ETCD_CREATE_REVISION, leader_key, 0);
        put(t, leader_key, action->lease);
        break;
    case WD_COMMIT:
        snprintf(t->keys[0], sizeof(t->keys[0]), "%sstate", prefix);
        wd_state_print(&wd->proposal, payload, &t->value);
        compare(t, ETCD_CREATE_REVISION, leader_key, action->term);
        compare(t, ETCD_MOD_REVISION, t->keys[0], action->revision);
        put(t, t->keys[0], 0);
        break;
    case WD_RESIGN:
        compare(t, ETCD_CREATE_REVISION, leader_key, action->term);
        op(t, ETCD_DELETE, leader_key);
        break;
    case WD_FORGET:
        compare(t, ETCD_CREATE_REVISION, leader_key, action->term);
        compare(t, ETCD_CREATE_REVISION, t->keys[0], 0);
        compare_incarnation(t, t->keys[1], action->other_incarnation);
        op(t, ETCD_DELETE, t->keys[1]);
        break;
    case WD_LEAVE:
        compare_incarnation(t, t->keys[1], wd->self.incarnation);
        op(t, ETCD_DELETE, t->keys[0]);
        op(t, ETCD_DELETE, t->keys[1]);
        break;
    default:
        break;
    }
}

void
wd_transaction_fini(struct wd_transaction *t)
{
    buf_free(&t->value);
}
