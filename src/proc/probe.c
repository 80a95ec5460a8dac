/*
 * The probe: what is asked of a server, and what the end of the question says about it.
 *
 * Called by the health process. One statement asks all; only a standby that receives nothing is
 * asked once more, because its timeline then stands nowhere but in the names of its WAL files: the
 * control file may be a checkpoint behind, and after a failover that would hide all candidates of
 * the next one. Invariants: began_ns lies before anything of the answer was looked at, also when
 * the question is repeated; a deadline that passed while this process itself did not run says
 * nothing about the server.
 */
#include "probe.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "cluster/outcome.h"
#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    NO_LIMIT_MS = 7 * 24 * 3600 * 1000,
    LATE_MS = 200, /* a deadline seen so late was not kept by us */
    REPEATS = 2,   /* of a statement that the server gave up for a passing reason */
};

enum {
    COL_RECOVERY,
    COL_TIMELINE, /* of a standby: received; of a primary: the name of a WAL file */
    COL_SYSTEM,
    COL_RECEIVED,
    COL_FLUSHED, /* of a primary */
    COL_CONTROL_TIMELINE,
    COL_BLIND,
    COL_MAY_LIST,
    COL_STREAMS, /* of a standby */
};

/* Whether it recovers is looked at once: a promotion in the middle of the statement must not mix
 * the two halves. The functions of a standby go on working after it. */
static const char who[] =
    "SELECT s.r,"
    " CASE WHEN s.r THEN w.received_tli::pg_catalog.text"
    " ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,"
    " (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
    " CASE WHEN s.r THEN GREATEST(pg_catalog.pg_last_wal_receive_lsn(),"
    " pg_catalog.pg_last_wal_replay_lsn())"
    " ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
    " CASE WHEN NOT s.r THEN pg_catalog.pg_current_wal_flush_lsn() END,"
    " CASE WHEN s.r THEN GREATEST((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),"
    " (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())) END,"
    " w.pid IS NOT NULL AND w.status IS NULL,"
    " pg_catalog.has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE'),"
    " COALESCE(w.status, '') = 'streaming'"
    " FROM (SELECT pg_catalog.pg_is_in_recovery() AS r OFFSET 0) AS s"
    " LEFT JOIN pg_catalog.pg_stat_wal_receiver AS w ON s.r";

/* The latest timeline of which there is a file with the last byte that was received. */
static const char files[] =
    "SELECT pg_catalog.max(('x' || pg_catalog.substr(f.name, 1, 8))::pg_catalog.bit(32)"
    "::pg_catalog.int8)"
    " FROM pg_catalog.pg_ls_waldir() AS f, (SELECT pg_catalog.pg_wal_lsn_diff("
    "GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()),"
    " '0/0') - 1 AS at) AS p"
    " WHERE f.name ~ '^[0-9A-F]{24}$' AND pg_catalog.substr(f.name, 9) = pg_catalog.upper("
    "pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.div(p.at, 4294967296)::pg_catalog.int8), 8,"
    " '0') || pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.div(pg_catalog.mod(p.at, 4294967296),"
    " pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')))"
    "::pg_catalog.int8), 8, '0'))";

struct probe {
    struct ask *ask;
    const struct probe_ops *ops;
    void *ctx;
    struct probe_limits limits;
    bool running;
    bool open; /* there is a connection, as far as we know */
    bool blind;
    uint32_t repeats;
    const char *question;
    int64_t began_ns;    /* this probe */
    int64_t asked_ns;    /* its running question */
    int64_t deadline_ms; /* of that */
    struct health_answer answer;
};

/* ---- how it ends ---- */

static void
end(struct probe *p, enum health_outcome outcome, const char *words)
{
    struct health_probe result = {.outcome = outcome,
                                  .began_ns = p->began_ns,
                                  .ended_ns = clock_monotonic_ns(),
                                  .ended_at_us = clock_wall_us(),
                                  .answer = p->answer,
                                  .error = words};

    p->running = false;
    p->ops->ended(p->ctx, &result);
}

/* ---- asking ---- */

static int64_t
limit_ms(const struct probe *p)
{
    int64_t limit = p->limits.timeout_ms > 0 ? p->limits.timeout_ms : NO_LIMIT_MS;

    if (!p->open && p->limits.connect_ms > 0)
        limit = MIN(limit, p->limits.connect_ms);
    return limit;
}

static void
ask_for(struct probe *p, const char *question)
{
    int64_t spent_ms;

    p->asked_ns = clock_monotonic_ns();
    spent_ms = (p->asked_ns - p->began_ns) / NS_PER_MS;
    p->question = question;
    p->deadline_ms = MAX(limit_ms(p) - spent_ms, 1);
    ask_question(p->ask, question, p->deadline_ms);
}

static void
begin(struct probe *p)
{
    p->began_ns = clock_monotonic_ns();
    memset(&p->answer, 0, sizeof(p->answer));
    ask_for(p, who);
}

void
probe_begin(struct probe *p, const struct probe_limits *limits)
{
    BUG_UNLESS(!p->running);
    p->limits = *limits;
    p->running = true;
    p->repeats = 0;
    begin(p);
}

/* ---- answers ---- */

/* The name of a WAL file begins with its timeline in hexadecimal digits. */
static uint32_t
timeline_of_file(const char *name)
{
    char digits[9];

    str_copy_n(digits, sizeof(digits), name, 8);
    return strlen(name) == 24 ? (uint32_t)strtoul(digits, NULL, 16) : 0;
}

/* Whoever does not tell its role and its system is no PostgreSQL server that we understand, above
 * all no primary. */
static bool
read_who(const struct ask_rows *rows, struct health_answer *answer_r)
{
    const char *recovery = ask_value(rows, 0, COL_RECOVERY);
    const char *system = ask_value(rows, 0, COL_SYSTEM);
    const char *timeline = ask_value(rows, 0, COL_TIMELINE);
    uint32_t control = 0;

    if (strcmp(recovery, "t") != 0 && strcmp(recovery, "f") != 0)
        return false;
    answer_r->in_recovery = recovery[0] == 't';
    answer_r->system_identifier = strtoull(system, NULL, 10);
    num_parse_lsn(ask_value(rows, 0, COL_RECEIVED), &answer_r->received_lsn);
    num_parse_lsn(ask_value(rows, 0, COL_FLUSHED), &answer_r->flushed_lsn);
    if (!answer_r->in_recovery) {
        answer_r->timeline = timeline_of_file(timeline);
        return answer_r->system_identifier != 0 && answer_r->timeline != 0;
    }
    answer_r->streams = strcmp(ask_value(rows, 0, COL_STREAMS), "t") == 0;
    num_parse_u32(ask_value(rows, 0, COL_CONTROL_TIMELINE), &control);
    if (!num_parse_u32(timeline, &answer_r->timeline) || answer_r->timeline == 0)
        answer_r->timeline = control;
    return answer_r->system_identifier != 0;
}

static void
answered(void *ctx, const struct ask_rows *rows)
{
    struct probe *p = ctx;
    uint32_t timeline = 0;

    p->open = true;
    if (p->question == files) {
        if (num_parse_u32(ask_value(rows, 0, 0), &timeline))
            p->answer.timeline = MAX(p->answer.timeline, timeline);
        end(p, HEALTH_OK, NULL);
        return;
    }
    if (!read_who(rows, &p->answer)) {
        end(p, HEALTH_NONSENSE, "the server's answer was not understood");
        return;
    }
    p->blind = strcmp(ask_value(rows, 0, COL_BLIND), "t") == 0;
    if (p->answer.in_recovery && !p->blind && ask_value(rows, 0, COL_TIMELINE)[0] == '\0' &&
        strcmp(ask_value(rows, 0, COL_MAY_LIST), "t") == 0)
        ask_for(p, files);
    else
        end(p, HEALTH_OK, NULL);
}

/* The control file was read while it was written, or somebody has cancelled the statement. */
static bool
is_passing(const struct err *err, enum health_outcome outcome)
{
    return outcome == HEALTH_REJECTED &&
           (strcmp(err->sqlstate, "XX000") == 0 || strcmp(err->sqlstate, "XX001") == 0 ||
            strcmp(err->sqlstate, "57014") == 0);
}

static void
failed(void *ctx, const struct err *err, bool asked)
{
    struct probe *p = ctx;
    enum health_outcome outcome = health_outcome_of_failure(ask_failure(p->ask), err);
    int64_t late_ms = (clock_monotonic_ns() - p->asked_ns) / NS_PER_MS - p->deadline_ms;

    if (!asked) {
        p->open = false;
        p->ops->lost(p->ctx, err);
        return;
    }
    if (outcome == HEALTH_TIMEOUT && late_ms > LATE_MS) {
        log_debug("a deadline was missed by %lld ms: asking again", (long long)late_ms);
        p->open = false;
        begin(p);
        return;
    }
    if (is_passing(err, outcome) && p->repeats++ < REPEATS) {
        ask_for(p, who);
        return;
    }
    p->open = p->open && outcome == HEALTH_REJECTED;
    if (p->question == files && outcome == HEALTH_REJECTED)
        end(p, HEALTH_OK, NULL); /* the control file's timeline, then */
    else
        end(p, outcome, err->message);
}

/* ---- for the owner ---- */

struct probe *
probe_new(struct io *io, struct dns *dns, const struct probe_ops *ops, void *ctx)
{
    static const struct ask_ops ask_ops = {answered, failed};
    struct probe *p = xcalloc(1, sizeof(*p));

    p->ops = ops;
    p->ctx = ctx;
    p->ask = ask_new(io, dns, &ask_ops, p);
    return p;
}

void
probe_free(struct probe *p)
{
    ask_free(p->ask);
    free(p);
}

bool
probe_set_target(struct probe *p, const struct ask_target *target)
{
    if (!ask_set_target(p->ask, target))
        return false;
    p->running = p->open = false;
    return true;
}

bool
probe_is_running(const struct probe *p)
{
    return p->running;
}

bool
probe_is_blind(const struct probe *p)
{
    return p->blind;
}
