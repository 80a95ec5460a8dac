/*
 * The texts of the lag process' questions. Called by lag.c alone; one statement each, which reads
 * nothing but the server's own state.
 */
#include "lag_questions.h"

#include "base/num.h"
#include "base/str.h"

#include <stdlib.h>

/* A subscriber's position: what the slowest of its enabled subscriptions has done with. All that
 * was committed before it is there. A worker says so (latest_end_lsn) when a keepalive has come,
 * behind all that was sent before; but none comes while it has said all that there is to say. Then
 * it is the end of its last transaction, as its origin has it. That is noted before others see what
 * the transaction wrote, so it counts when the worker, looked at later, runs none; not with two
 * phases or helpers (PostgreSQL 16), where others commit. Helpers have rows, too. NULL while a
 * worker does not run. */
#define WORKERS                                                                                    \
    " FROM pg_catalog.pg_subscription AS s"                                                        \
    " LEFT JOIN pg_catalog.pg_stat_subscription AS w ON w.subid = s.oid AND w.relid IS NULL"       \
    " AND (pg_catalog.to_jsonb(w) ->> 'leader_pid') IS NULL"
#define APPLIED                                                                                    \
    ", (SELECT w.latest_end_lsn" WORKERS                                                           \
    " WHERE s.subenabled ORDER BY w.latest_end_lsn NULLS FIRST LIMIT 1)"
#define APPLIED_BY_ORIGIN                                                                          \
    ", (WITH o AS MATERIALIZED (SELECT s.oid, COALESCE(w.pid, 0) AS pid, w.latest_end_lsn AS "     \
    "said,"                                                                                        \
    " r.remote_lsn AS done" WORKERS                                                                \
    " LEFT JOIN pg_catalog.pg_replication_origin_status AS r ON w.pid IS NOT NULL"                 \
    " AND r.external_id = 'pg_' || s.oid"                                                          \
    " AND COALESCE(pg_catalog.to_jsonb(s) ->> 'subtwophasestate', 'd') = 'd'"                      \
    " AND (pg_catalog.to_jsonb(s) ->> 'substream') IS DISTINCT FROM 'p'"                           \
    " WHERE s.subenabled ORDER BY s.oid)"                                                          \
    " SELECT CASE WHEN (SELECT a.backend_xid FROM pg_catalog.pg_stat_get_activity(CASE WHEN"       \
    " o.done IS NULL THEN 0 ELSE o.pid END) AS a) IS NULL THEN GREATEST(o.said, o.done)"           \
    " ELSE o.said END AS at FROM o ORDER BY 1 NULLS FIRST LIMIT 1)"
#define SEES_ORIGINS                                                                               \
    ", pg_catalog.has_table_privilege('pg_catalog.pg_replication_origin_status', 'SELECT')"        \
    " AND pg_catalog.has_table_privilege('pg_catalog.pg_subscription', 'SELECT')"                  \
    " AND pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')"

#define POSITION                                                                                   \
    "SELECT pg_catalog.pg_is_in_recovery(),"                                                       \
    " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"           \
    " ELSE pg_catalog.pg_current_wal_insert_lsn() END,"                                            \
    " CASE WHEN pg_catalog.pg_is_in_recovery() THEN"                                               \
    " COALESCE((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),"                        \
    " (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()))::pg_catalog.text"              \
    " ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END"

#define WHO                                                                                        \
    ", (SELECT system_identifier FROM pg_catalog.pg_control_system()),"                            \
    " (SELECT status FROM pg_catalog.pg_stat_wal_receiver),"                                       \
    " (SELECT conninfo FROM pg_catalog.pg_stat_wal_receiver),"                                     \
    " (SELECT pg_catalog.string_agg(c, ' ') FROM (SELECT"                                          \
    " pg_catalog.current_setting('default_transaction_isolation') AS c"                            \
    " UNION ALL SELECT pg_catalog.substr(c, 31) FROM pg_catalog.pg_db_role_setting,"               \
    " pg_catalog.unnest(setconfig) AS c"                                                           \
    " WHERE c ILIKE 'default_transaction_isolation=%') AS levels)"

/* In logical replication the second ones, or the third where origins can be seen. */
static const char *const how_far[] = {POSITION, POSITION APPLIED, POSITION APPLIED_BY_ORIGIN};
static const char *const who[] = {POSITION ", NULL" WHO, POSITION APPLIED WHO SEES_ORIGINS,
                                  POSITION APPLIED_BY_ORIGIN WHO SEES_ORIGINS};

const char *
lag_question(bool asks_who, bool logical, bool origins)
{
    return (asks_who ? who : how_far)[!logical ? 0 : origins ? 2 : 1];
}

const char lag_flush[] = "SELECT CASE WHEN pg_catalog.pg_current_wal_flush_lsn()"
                         " < pg_catalog.pg_current_wal_insert_lsn()"
                         " THEN pg_catalog.txid_current() END";

uint32_t
lag_timeline(const char *text, bool standby)
{
    char digits[9];
    uint32_t timeline = 0;

    if (standby) {
        num_parse_u32(text, &timeline);
        return timeline;
    }
    /* the name of a WAL file begins with its timeline in hexadecimal digits */
    str_copy_n(digits, sizeof(digits), text, 8);
    return (uint32_t)strtoul(digits, NULL, 16);
}
