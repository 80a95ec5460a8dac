"""Statements that change, lock or signal something: the primary's, however deep it is hidden."""

import dataclasses

from routing.row import after, either, primary, several, standby

CHANGES = [
    primary("INSERT INTO journal (what) VALUES ('x')"),
    primary("INSERT INTO journal (what) VALUES ('x') RETURNING what"),
    primary("INSERT INTO tree VALUES (1, 2) ON CONFLICT (id) DO NOTHING"),
    primary("INSERT INTO tree VALUES (1, NULL) ON CONFLICT (id) DO UPDATE SET parent = NULL "
            "WHERE tree.id = 9"),
    primary("INSERT INTO journal (what) SELECT name FROM item WHERE false"),
    primary("INSERT INTO journal DEFAULT VALUES"),
    primary("WITH x AS (SELECT 'a' AS w) INSERT INTO journal (what) SELECT w FROM x"),
    primary("UPDATE item SET price = price + 1 WHERE id = 1"),
    primary("UPDATE ONLY item i SET (price, name) = (SELECT 1, i.name) WHERE false"),
    primary("WITH x AS (SELECT 1) UPDATE item SET price = 1 FROM x WHERE false"),
    primary("DELETE FROM empty"),
    primary("DELETE FROM journal USING item WHERE false RETURNING *"),
    primary("TRUNCATE empty"),
    primary("TRUNCATE TABLE ONLY empty RESTART IDENTITY CASCADE"),
    primary("MERGE INTO tree t USING item i ON t.id = i.id WHEN MATCHED AND false THEN DELETE "
            "WHEN NOT MATCHED AND i.id > 99 THEN INSERT VALUES (i.id, NULL)"),
    primary("WITH x AS (SELECT 1 AS id) MERGE INTO tree USING x ON tree.id = x.id "
            "WHEN MATCHED THEN DO NOTHING"),
    primary("INSERT INTO instead_view VALUES (1, 'x')"),
    primary("UPDATE instead_view SET name = 'x' WHERE id = 1"),
    primary("INSERT INTO rule_view VALUES (1)"),
    primary("SELECT 1 AS a INTO made_by_into"),
    primary("SELECT id INTO UNLOGGED made_unlogged FROM item"),
    primary("WITH x AS (SELECT 1 AS a) SELECT a INTO TABLE made_by_with FROM x"),
    primary("COPY journal (what) FROM STDIN", data="a\nb\n"),
    primary("COPY journal (what) FROM PROGRAM 'echo x'"),
    primary("COPY item TO '/dev/null'"),
    primary("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'"),
    primary("COPY (INSERT INTO journal (what) VALUES ('c') RETURNING what) TO STDOUT"),
    primary("COPY (WITH w AS (DELETE FROM empty RETURNING 1) SELECT count(*) FROM w) TO STDOUT"),
    primary("CALL put('x')"),
    primary("CALL nothing()"),
    primary("DO $$ BEGIN INSERT INTO journal (what) VALUES ('do'); END $$"),
    primary("DO LANGUAGE plpgsql 'BEGIN END'"),
]

WITHIN_CTES = [
    primary("WITH w AS (INSERT INTO journal (what) VALUES ('x') RETURNING what) SELECT * FROM w"),
    primary("WITH w AS (UPDATE item SET price = 2 WHERE id = 1 RETURNING id) SELECT 1"),
    primary("WITH r AS (SELECT 1), w AS (DELETE FROM journal WHERE false RETURNING 1) "
            "SELECT * FROM r"),
    primary("WITH w AS (WITH r AS (SELECT 'x' AS t) INSERT INTO journal (what) SELECT t FROM r "
            "RETURNING what) TABLE w"),
    primary("WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 3), "
            "w AS (INSERT INTO journal (what) SELECT n::text FROM r RETURNING what) "
            "SELECT count(*) FROM w"),
    primary("WITH w (x) AS MATERIALIZED (INSERT INTO journal (what) VALUES ('m') RETURNING 1) "
            "VALUES (1)"),
    primary("WITH \"select\" AS (DELETE FROM journal WHERE false RETURNING 1) SELECT 1"),
    primary("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) WITH w AS (INSERT INTO journal "
            "(what) VALUES ('e') RETURNING 1) SELECT * FROM w"),
]

LOCKS = [
    primary("SELECT id FROM item WHERE id = 1 FOR UPDATE"),
    primary("SELECT id FROM item WHERE id = 1 FOR NO KEY UPDATE"),
    primary("SELECT id FROM item WHERE id = 1 FOR SHARE"),
    primary("SELECT id FROM item WHERE id = 1 FOR KEY SHARE"),
    primary("SELECT i.id FROM item i, part_of p WHERE i.id = p.id AND i.id = 1 FOR UPDATE OF i "
            "NOWAIT"),
    primary("SELECT id FROM item ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"),
    primary("SELECT id FROM item ORDER BY id FOR SHARE LIMIT 1"),
    primary("SELECT * FROM (SELECT id FROM item WHERE id = 1 FOR UPDATE) s"),
    primary("SELECT (SELECT id FROM item WHERE id = 1 FOR UPDATE)"),
    primary("WITH x AS (SELECT id FROM item WHERE id = 1 FOR SHARE) SELECT * FROM x"),
    primary("SELECT 1 WHERE EXISTS (SELECT FROM item WHERE id = 1 FOR KEY SHARE)"),
    primary("(SELECT id FROM item WHERE id = 1) FOR UPDATE"),
    primary("TABLE tree FOR UPDATE"),
    primary("COPY (SELECT id FROM item WHERE id = 1 FOR UPDATE) TO STDOUT"),
    primary("SELECT id FROM item_view WHERE id = 1 FOR UPDATE"),
    primary("SELECT * FROM lock_view"),
    primary("SELECT * FROM lock_nested"),
    primary("LOCK TABLE item", before=("BEGIN",)),
    primary("LOCK item IN ACCESS SHARE MODE", before=("BEGIN",)),
    primary("SELECT pg_advisory_lock(1)"),
    primary("SELECT pg_try_advisory_lock(1, 2)"),
    primary("SELECT pg_advisory_xact_lock(1)"),
    primary("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)"),
    primary("SELECT pg_advisory_unlock_all()"),
    primary("SELECT * FROM advisory_view"),
    primary("SELECT lock_it()"),
    *after("SELECT pg_advisory_lock(3)", rows=[
        primary("SELECT pg_advisory_unlock(3)"), either("SELECT count(*) FROM item")]),
]

DEFINITIONS = [
    primary("CREATE TABLE made_1 (a int)"),
    primary("CREATE TABLE IF NOT EXISTS item (a int)"),
    primary("CREATE TABLE made_2 AS SELECT * FROM item WITH NO DATA"),
    primary("CREATE TABLE made_3 AS EXECUTE q", before=("PREPARE q AS SELECT 1 AS a",)),
    primary("CREATE MATERIALIZED VIEW made_4 AS SELECT 1 AS a"),
    primary("CREATE VIEW made_5 AS SELECT 1 AS a"),
    primary("CREATE INDEX made_6 ON journal (what)"),
    primary("CREATE INDEX CONCURRENTLY made_7 ON journal (what)"),
    primary("CREATE SEQUENCE made_8"),
    primary("CREATE SCHEMA made_9 CREATE TABLE t (a int)"),
    primary("CREATE FUNCTION made_10() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    primary("CREATE TYPE made_11 AS ENUM ('a')"),
    primary("CREATE STATISTICS made_12 ON id, name FROM item"),
    primary("CREATE PUBLICATION made_13 FOR TABLE tree"),
    primary("ALTER TABLE tree ALTER parent SET STATISTICS 10"),
    primary("ALTER SEQUENCE counter RESTART WITH 1"),
    primary("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO routing_user"),
    primary("DROP TABLE IF EXISTS not_there"),
    primary("DROP FUNCTION IF EXISTS not_there(int)"),
    primary("COMMENT ON TABLE item IS 'x'"),
    primary("GRANT SELECT ON item TO routing_user"),
    primary("REVOKE TRIGGER ON item FROM routing_user"),
    primary("REASSIGN OWNED BY routing_path TO postgres"),
    primary("SECURITY LABEL ON TABLE item IS 'x'", error="22023"),
    primary("REFRESH MATERIALIZED VIEW item_stored"),
    primary("REINDEX TABLE tree"),
    primary("CLUSTER item USING item_pkey"),
    primary("VACUUM journal"),
    primary("VACUUM (ANALYZE, VERBOSE OFF) journal"),
    primary("ANALYZE journal (what)"),
    primary("CHECKPOINT"),
    primary("LOAD 'plpgsql'"),
]

CALLS = [
    primary("SELECT nextval('counter') > 0"),
    primary("SELECT pg_catalog.nextval('counter'::regclass) > 0"),
    primary("SELECT \"nextval\"('counter') > 0"),
    primary("SELECT NEXTVAL('counter') > 0"),
    primary("SELECT 1 WHERE (SELECT nextval('counter')) > 0"),
    primary("VALUES (nextval('counter') > 0)"),
    primary("SELECT * FROM generate_series(1, nextval('counter') - nextval('counter') + 1)"),
    primary("SELECT id FROM item ORDER BY nextval('counter'), id"),
    primary("SELECT count(*) FROM item GROUP BY nextval('counter') > 0"),
    primary("SELECT id FROM item WHERE id = 1 LIMIT CASE WHEN nextval('counter') > 0 THEN 1 END"),
    primary("SELECT sum(id) FILTER (WHERE nextval('counter') > 0) FROM item"),
    primary("SELECT i.id FROM item i JOIN tree t ON i.id = t.id AND nextval('counter') > 0 "
            "ORDER BY 1"),
    primary("SELECT x FROM item i, LATERAL (SELECT nextval('counter') > i.id - 99) l (x)"),
    primary("SELECT jsonb_build_object('a', ARRAY[nextval('counter') > 0])"),
    primary("WITH x AS (SELECT nextval('counter') > 0 AS n) SELECT n FROM x"),
    primary("COPY (SELECT nextval('counter') > 0) TO STDOUT"),
    primary("COPY (VALUES (setval('counter', 5))) TO STDOUT"),
    primary("COPY (SELECT write_journal('copy')) TO STDOUT"),
    primary("SELECT setval('counter', 10, false)"),
    *after("SELECT nextval('counter') > 0", rows=[
        primary("SELECT currval('counter') > 0"), primary("SELECT lastval() > 0"),
        primary("SELECT count(*) FROM item WHERE currval('counter') > 0")]),
    *after("INSERT INTO journal (what) VALUES ('x')", rows=[
        primary("SELECT currval(pg_get_serial_sequence('journal', 'n')) > 0")]),
    primary("SELECT currval('counter')", error="55000"),
    primary("SELECT txid_current()", varies=True),
    primary("SELECT pg_current_xact_id() IS NOT NULL"),
    primary("SELECT txid_current_if_assigned() IS NULL"),
    primary("SELECT txid_current_snapshot() IS NOT NULL"),
    primary("SELECT pg_current_snapshot() IS NOT NULL"),
    primary("SELECT pg_current_wal_lsn() IS NOT NULL"),
    primary("SELECT pg_walfile_name(pg_current_wal_lsn()) IS NOT NULL"),
    primary("SELECT pg_export_snapshot() IS NOT NULL", before=("BEGIN",)),
    primary("SELECT pg_terminate_backend(2147483647)"),
    primary("SELECT pg_cancel_backend(2147483647)"),
    primary("SELECT pg_create_restore_point('here') IS NOT NULL"),
    primary("SELECT pg_logical_emit_message(false, 'x', 'y') IS NOT NULL"),
    primary("SELECT pg_notify('nobody', 'x')"),
    primary("SELECT set_config('work_mem', '5MB', false)"),
    primary("SELECT pg_read_file('PG_VERSION') IS NOT NULL"),
    primary("SELECT count(*) > 0 FROM pg_ls_dir('.')"),
    primary("SELECT query_to_xml('SELECT nextval(''counter'') > 0', false, false, '')"),
    primary("SELECT table_to_xml('fast', false, false, '')"),
    primary("SELECT schema_to_xml('b', false, false, '')"),
    primary("SELECT * FROM ts_stat('SELECT to_tsvector(''x'') WHERE nextval(''counter'') > 0')"),
    primary("SELECT dblink_get_connections()"),
    primary("SELECT length(gen_random_bytes(4))"),
    primary("SELECT lo_create(0) > 0"),
    primary("SELECT lo_from_bytea(0, 'x') > 0"),
    primary("SELECT lo_creat(-1) > 0"),
    *after("SELECT lo_from_bytea(77, 'abc')", rows=[either("SELECT lo_get(77)")]),
    *after("SELECT lo_from_bytea(78, 'abc')", rows=[primary("SELECT lo_put(78, 0, 'x')")]),
    *after("SELECT lo_from_bytea(79, 'abc')", "BEGIN", rows=[
        primary("SELECT loread(lo_open(79, 262144), 10)")]),
    *after("SELECT lo_from_bytea(80, 'abc')", rows=[primary("SELECT lo_unlink(80)")]),
]

SIGNALS = [
    primary("LISTEN here"),
    primary("NOTIFY here, 'x'"),
    primary("UNLISTEN *"),
    *after("LISTEN here", rows=[
        primary("NOTIFY here, 'x'"), either("SELECT count(*) FROM item"),
        either("SELECT pg_listening_channels()")]),
]

EXPLAINED = [
    standby("EXPLAIN (COSTS OFF) SELECT id FROM item"),
    standby("EXPLAIN (COSTS OFF) TABLE tree"),
    standby("EXPLAIN (COSTS OFF, FORMAT json) SELECT count(*) FROM item"),
    standby("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM tree"),
    standby("EXPLAIN ANALYZE SELECT id FROM item", varies=True),
    standby("EXPLAIN (COSTS OFF) VALUES (1), (2)"),
    standby("EXPLAIN VERBOSE SELECT 1"),
    either("EXPLAIN (COSTS OFF) INSERT INTO journal (what) VALUES ('x')"),
    either("EXPLAIN (COSTS OFF) DELETE FROM empty"),
    either("EXPLAIN (ANALYZE false, COSTS OFF) UPDATE item SET price = 1"),
    either("EXPLAIN (COSTS OFF) SELECT id FROM item FOR UPDATE"),
    either("EXPLAIN (COSTS OFF) SELECT nextval('counter')"),
    either("EXPLAIN (COSTS OFF) CREATE TABLE made_ex AS SELECT 1"),
    primary("EXPLAIN (COSTS OFF) SELECT a FROM fast"),
    primary("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) DELETE FROM empty"),
    primary("EXPLAIN (COSTS OFF, TIMING OFF, SUMMARY OFF, ANALYZE on) "
            "SELECT write_journal('e')"),
    primary("EXPLAIN (ANALYZE 1, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT nextval('counter')"),
    primary("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "
            "SELECT id FROM tree WHERE id = 1 FOR UPDATE"),
    primary("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM write_view"),
    primary("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT 1 AS a INTO made_ex_2"),
    primary("EXPLAIN ANALYZE INSERT INTO journal (what) VALUES ('x')", varies=True),
]

COPIES = [
    standby("COPY tree TO STDOUT"),
    standby("COPY item (id, name) TO STDOUT (FORMAT csv, HEADER)"),
    standby("COPY (SELECT id FROM item ORDER BY id) TO STDOUT"),
    standby("COPY (VALUES (1, 'x')) TO STDOUT WITH CSV"),
    standby("COPY (WITH x AS (SELECT 1) SELECT * FROM x) TO STDOUT"),
    standby("COPY (SELECT * FROM item_view ORDER BY id) TO STDOUT"),
    primary("COPY fast TO STDOUT"),
    primary("COPY (SELECT * FROM fast) TO STDOUT"),
    primary("COPY (TABLE fast_view) TO STDOUT"),
    primary("COPY (SELECT count(*) > 0 FROM pg_class) TO STDOUT"),
    primary("COPY b.same TO STDOUT"),
    standby("COPY a.same TO STDOUT"),
    *after("CREATE TEMP TABLE own (a int)", "INSERT INTO own VALUES (1)", rows=[
        primary("COPY own TO STDOUT"), primary("COPY (SELECT a FROM own) TO STDOUT"),
        primary("COPY own FROM STDIN", data="4\n")]),
]

# A text of several statements goes as a whole.
SEVERAL = [
    either("SELECT 1; SELECT 2"),
    either("SELECT id FROM tree WHERE id = 1; SELECT count(*) FROM item"),
    primary("SELECT 1; INSERT INTO journal (what) VALUES ('x')"),
    primary("INSERT INTO journal (what) VALUES ('x'); SELECT count(*) > 0 FROM journal"),
    primary("SELECT 1; SELECT nextval('counter') > 0"),
    primary("SELECT 1; SELECT a FROM fast"),
    primary("BEGIN; DELETE FROM empty; COMMIT"),
    either("BEGIN; SELECT count(*) FROM item; COMMIT"),
    primary("SELECT 1; SELEC 2", error="42601"),
    either("SET work_mem = '3MB'; SHOW work_mem"),
]
BEHIND_SEVERAL = [
    *after(several("BEGIN; DELETE FROM empty"), rows=[
        primary("SELECT count(*) FROM empty"), primary("COMMIT"), primary("SAVEPOINT s"),
        primary("SET LOCAL work_mem = '3MB'")]),
    *after(several("BEGIN; DELETE FROM empty"), "COMMIT", rows=[
        standby("SELECT count(*) FROM empty")]),
    *after(several("CREATE TEMP TABLE item AS SELECT 5 AS id; SELECT 1"), rows=[
        primary("SELECT id FROM item")]),
    *after(several("SET search_path = b; SELECT 1"), rows=[primary("SELECT place FROM same")]),
    *after(several("SELECT 1; PREPARE p AS SELECT 2"), rows=[either("EXECUTE p")]),
]

ROWS = (CHANGES + WITHIN_CTES + LOCKS + DEFINITIONS + CALLS + SIGNALS + EXPLAINED + COPIES +
        [dataclasses.replace(row, only="simple") for row in SEVERAL] + BEHIND_SEVERAL)
