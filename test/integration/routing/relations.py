"""What a name in FROM stands for: views, partitions, unlogged, foreign and temporary tables, system
catalogs, sequences, tables with row security."""

from routing.row import after, another, either, fails, primary, several, standby

VIEWS = [
    standby("SELECT * FROM item_view ORDER BY id"),
    standby("SELECT * FROM public.item_view ORDER BY id"),
    standby("SELECT * FROM item_nested ORDER BY id, note"),
    standby("SELECT * FROM item_stable"),
    standby("SELECT count(*) FROM item_barrier"),
    standby("SELECT count(*) FROM item_invoker"),
    standby("TABLE values_view"),
    standby("SELECT id FROM tree_view ORDER BY id"),
    standby("SELECT count(*) FROM instead_view"),
    standby("SELECT count(*) FROM rule_view"),
    standby("SELECT s IS NOT NULL FROM setting_view"),
    standby("SELECT r, c FROM clock_view"),
    standby("SELECT * FROM item_stored ORDER BY id"),
    standby("SELECT * FROM fast_stored ORDER BY a"),
    standby("SELECT w FROM write_stored"),
    primary("SELECT w FROM write_view"),
    primary("SELECT w FROM write_nested"),
    primary("SELECT * FROM write_where ORDER BY id"),
    primary("SELECT * FROM write_operator"),
    primary("SELECT * FROM write_cast"),
    primary("SELECT * FROM write_domain"),
    primary("SELECT * FROM write_aggregate"),
    primary("SELECT * FROM write_rows_view"),
    primary("SELECT 1 WHERE EXISTS (SELECT FROM write_view)"),
    primary("WITH x AS (SELECT * FROM write_nested) SELECT * FROM x"),
    primary("SELECT i.id FROM item i JOIN write_view w ON w.w = i.id"),
    primary("COPY (SELECT * FROM write_view) TO STDOUT"),
    primary("SELECT * FROM seq_view"),
    primary("SELECT * FROM fast_view ORDER BY a"),
    primary("SELECT * FROM fast_nested ORDER BY a"),
    primary("SELECT * FROM fast_subquery"),
    primary("SELECT * FROM far_view"),
    primary("SELECT * FROM split_mixed_view ORDER BY k"),
    primary("SELECT * FROM catalog_view"),
    primary("SELECT * FROM catalog_nested"),
    primary("SELECT * FROM schema_view"),
    # the cast is in the view's tree only, and in the types of the table's columns
    primary("SELECT * FROM write_implicit", database="cast"),
    primary("SELECT abs(l) FROM louds", database="cast"),
    either("SELECT abs(id) FROM item ORDER BY id", database="cast"),
    primary("INSERT INTO journal (what) SELECT name FROM item_view WHERE false"),
    *after("SET search_path = b, public", rows=[primary("SELECT * FROM item_view")]),
    standby("SELECT count(*) FROM public.item_view"),
    primary("SELECT * FROM b.item_view"),
]

KINDS = [
    primary("SELECT a FROM fast ORDER BY a"),
    primary("SELECT a FROM ONLY public.fast ORDER BY a"),
    primary("TABLE fast"),
    primary("SELECT count(*) FROM item, fast"),
    primary("SELECT id FROM item WHERE id IN (SELECT a FROM fast) ORDER BY id"),
    primary("SELECT (SELECT max(a) FROM fast)"),
    primary("WITH x AS (SELECT a FROM fast) SELECT count(*) FROM x"),
    primary("SELECT id FROM item UNION SELECT a FROM fast ORDER BY 1"),
    primary("WITH fast AS (SELECT a FROM fast) SELECT count(*) FROM fast"),
    primary("SELECT count(*) FROM (WITH fast AS (SELECT 1) SELECT 1) s, fast"),
    primary("SELECT a FROM far"),
    primary("SELECT count(*) FROM item, far"),
    standby("SELECT * FROM split ORDER BY k"),
    standby("SELECT * FROM split WHERE k < 10"),
    standby("SELECT * FROM split_1"),
    standby("SELECT * FROM split_mixed_1"),
    standby("SELECT * FROM split_far_1"),
    primary("SELECT * FROM split_mixed ORDER BY k"),
    primary("SELECT count(*) FROM split_mixed WHERE v <> 'x'"),
    primary("SELECT * FROM split_mixed_2"),
    either("SELECT * FROM split_mixed WHERE k = 1"),
    primary("SELECT * FROM split_deep"),
    primary("SELECT * FROM split_deep_x"),
    primary("SELECT * FROM split_far ORDER BY k"),
    standby("SELECT * FROM parent ORDER BY a"),
    standby("SELECT * FROM child"),
    primary("SELECT * FROM parent_mixed ORDER BY a"),
    either("SELECT * FROM ONLY parent_mixed"),
    primary("SELECT * FROM child_mixed"),
    # a standby's copy of a sequence runs ahead of the primary's
    *after("SELECT setval('counter', 100)", "SELECT nextval('counter')", rows=[
        primary("SELECT last_value, is_called FROM counter"),
        primary("SELECT log_cnt FROM ONLY public.counter"),
        primary("SELECT last_value FROM seq_value_view"),
        primary("SELECT c.last_value - nextval('counter') FROM counter c")]),
    primary("SELECT last_value IS NOT NULL FROM pg_sequences WHERE sequencename = 'counter'"),
    primary("SELECT pg_sequence_last_value('counter'::regclass) > 0"),
    either("SELECT 'item'::regclass, to_regclass('nowhere')"),
    either("SELECT pg_relation_size('tree') > 0"),
    either("SELECT pg_get_viewdef('item_view'::regclass)"),
    either("SELECT has_table_privilege('item', 'SELECT')"),
]

CATALOGS = [
    primary("SELECT count(*) > 0 FROM pg_class"),
    primary("SELECT count(*) > 0 FROM pg_catalog.pg_class"),
    primary("SELECT count(*) > 0 FROM \"pg_class\""),
    primary("SELECT count(*) > 0 FROM PG_CATALOG.PG_TABLES"),
    primary("SELECT count(*) > 0 FROM information_schema.columns"),
    primary("TABLE pg_am"),
    primary("SELECT id FROM item WHERE EXISTS (SELECT FROM pg_attribute) ORDER BY id"),
    primary("SELECT count(*) > 0 FROM pg_stat_activity"),
    primary("SELECT count(*) FROM pg_locks WHERE pid = 0"),
    primary("SELECT setting FROM pg_settings WHERE name = 'port'"),
    primary("SELECT count(*) FROM pg_prepared_statements"),
    primary("SELECT count(*) FROM pg_cursors"),
    primary("COPY (TABLE pg_am) TO STDOUT"),
    primary("SELECT count(*) FROM pg_largeobject_metadata WHERE false"),
    *after("BEGIN", "SELECT count(*) FROM item", rows=[
        primary("SELECT count(*) > 0 FROM pg_class")]),
]

SECURITY = [
    standby("SELECT t FROM secret_own", user="routing_user"),
    standby("SELECT t FROM secret_own ORDER BY t"),
    standby("SELECT t FROM secret_checked", user="routing_user"),
    primary("SELECT t FROM secret_noted", user="routing_user"),
    primary("SELECT t FROM secret_view", user="routing_user"),
    primary("SELECT t FROM secret_fast", user="routing_user"),
    primary("SELECT count(*) FROM item WHERE EXISTS (SELECT FROM secret_noted)",
            user="routing_user"),
    primary("COPY secret_noted TO STDOUT", user="routing_user"),
    either("SELECT t FROM secret_noted"),
    either("SELECT t FROM secret_fast ORDER BY t"),
    *after("SET ROLE routing_user", rows=[
        either("SELECT t FROM secret_own"), primary("SELECT t FROM secret_noted"),
        primary("SELECT t FROM secret_fast")]),
    *after("SET SESSION AUTHORIZATION routing_user", rows=[
        either("SELECT t FROM secret_own"), primary("SELECT t FROM secret_noted"),
        either("SELECT current_user, session_user")]),
    *after("SET ROLE routing_user", "RESET ROLE", rows=[
        either("SELECT t FROM secret_own ORDER BY t")]),
    *after("SELECT t FROM secret_own", another("CREATE POLICY q ON secret_own USING "
                                               "(secret_write(t))"),
           rows=[primary("SELECT t FROM secret_own ORDER BY t")], user="routing_user"),
    *after("SELECT t FROM secret_own", another("DROP POLICY q ON secret_own"),
           rows=[standby("SELECT t FROM secret_own")], user="routing_user"),
]

TEMPORARY = [
    *after("CREATE TEMP TABLE own (a int)", rows=[
        primary("INSERT INTO own VALUES (1)"), primary("SELECT * FROM own"),
        primary("SELECT * FROM pg_temp.own"), primary("SELECT count(*) FROM item, own"),
        either("SELECT count(*) FROM item"), primary("DROP TABLE own")]),
    # it hides the table of the same name
    *after("CREATE TEMP TABLE item AS SELECT 50 AS id", rows=[
        primary("SELECT id FROM item"), primary("SELECT id FROM pg_temp.item"),
        either("SELECT count(*) FROM public.item"), either("SELECT count(*) FROM item_view"),
        primary("SELECT read_volatile(), id FROM item")]),
    *after("CREATE TEMP TABLE item AS SELECT 51 AS id", "DROP TABLE item", rows=[
        either("SELECT count(*) FROM item")]),
    *after("CREATE TEMPORARY TABLE item (x int)", "DISCARD TEMP", rows=[
        either("SELECT count(*) FROM item")]),
    *after("CREATE TEMP TABLE item (x int)", "DISCARD ALL", rows=[
        standby("SELECT count(*) FROM item")]),
    *after("SELECT 52 AS id INTO TEMP item", rows=[primary("SELECT id FROM item")]),
    *after("SELECT 53 AS id INTO pg_temp.item", rows=[primary("SELECT id FROM item")]),
    *after("CREATE TABLE pg_temp.item AS SELECT 54 AS id", rows=[primary("SELECT id FROM item")]),
    *after("CREATE LOCAL TEMP TABLE item (id)  AS VALUES (55)", rows=[
        primary("SELECT id FROM item")]),
    *after("CREATE TEMP VIEW item AS SELECT 56 AS id", rows=[primary("SELECT id FROM item")]),
    *after("CREATE TEMP VIEW mixed AS SELECT count(*) AS n FROM item", rows=[
        primary("SELECT n FROM mixed")]),
    *after("CREATE TEMP SEQUENCE counter START 900", rows=[
        primary("SELECT nextval('counter')"), primary("SELECT last_value FROM counter")]),
    *after("SET search_path = pg_temp, public", "CREATE TABLE item AS SELECT 57 AS id", rows=[
        primary("SELECT id FROM item")]),
    *after("CREATE TABLE own AS SELECT 58 AS id", "ALTER TABLE own RENAME TO own_58", rows=[
        standby("SELECT id FROM own_58")]),
    *after("CREATE TEMP TABLE own AS SELECT 59 AS id", "ALTER TABLE own RENAME TO item", rows=[
        primary("SELECT id FROM item")]),
    *after("SELECT make_temp()", rows=[primary("SELECT id FROM item")]),
    *after("DO $$ BEGIN CREATE TEMP TABLE item AS SELECT 60 AS id; END $$", rows=[
        primary("SELECT id FROM item")]),
    *after("PREPARE p AS SELECT make_temp()", "EXECUTE p", rows=[primary("SELECT id FROM item")]),
    *after("CREATE TEMP TABLE item ON COMMIT DROP AS SELECT 61 AS id", rows=[
        either("SELECT count(*) FROM item")]),
    *after("BEGIN", "CREATE TEMP TABLE item ON COMMIT DROP AS SELECT 62 AS id", rows=[
        primary("SELECT id FROM item")]),
    *after("BEGIN", "CREATE TEMP TABLE item AS SELECT 63 AS id", "ROLLBACK", rows=[
        either("SELECT count(*) FROM item")]),
    *after("BEGIN", "SELECT count(*) FROM item", "CREATE TEMP TABLE item AS SELECT 64 AS id",
           "COMMIT", rows=[primary("SELECT id FROM item")]),
    *after("BEGIN", "CREATE TEMP TABLE item AS SELECT 65 AS id", "SAVEPOINT s", "DROP TABLE item",
           "ROLLBACK TO s", rows=[primary("SELECT id FROM item")]),
    *after("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 66'", rows=[
        primary("SELECT pg_temp.f()")]),
    # nobody else sees it
    *after(another("CREATE TEMP TABLE item AS SELECT 67 AS id"), rows=[
        standby("SELECT count(*) FROM item")]),
    *after(another("CREATE TEMP TABLE nobodys AS SELECT 68 AS id"), rows=[
        primary("SELECT id FROM nobodys", error="42P01")]),
]

# What is known of a name must not outlive it, whoever changes it.
CHANGED = [
    *after("ALTER TABLE switched SET UNLOGGED", rows=[primary("SELECT a FROM switched")]),
    *after("SELECT a FROM switched", "ALTER TABLE switched SET LOGGED", rows=[
        standby("SELECT a FROM switched")]),
    *after("SELECT a FROM switched", another("ALTER TABLE switched SET UNLOGGED"), rows=[
        primary("SELECT a FROM switched")]),
    *after("SELECT a FROM switched", another("ALTER TABLE switched SET LOGGED"), rows=[
        standby("SELECT a FROM switched")]),
    *after("SELECT a FROM switched", several("BEGIN; ALTER TABLE switched SET UNLOGGED; COMMIT"),
           rows=[primary("SELECT a FROM switched")]),
    *after("SELECT a FROM switched",
           "DO $$ BEGIN EXECUTE 'ALTER TABLE switched SET LOGGED'; END $$", rows=[
               either("SELECT a FROM switched")]),
    *after("SELECT a FROM switched", "BEGIN", "ALTER TABLE switched SET UNLOGGED", "ROLLBACK",
           rows=[standby("SELECT a FROM switched")]),
    *after("SELECT a FROM switched", "ALTER TABLE switched RENAME TO switched_old",
           "ALTER TABLE switched_fast RENAME TO switched", rows=[
               primary("SELECT a FROM switched")]),
    *after("SELECT a FROM switched_old", "ALTER TABLE switched RENAME TO switched_fast",
           "ALTER TABLE switched_old RENAME TO switched", rows=[
               standby("SELECT a FROM switched")]),
    *after("SELECT n FROM replaced_view",
           "CREATE OR REPLACE VIEW replaced_view AS SELECT write_journal('r') AS n", rows=[
               primary("SELECT n FROM replaced_view")]),
    *after("SELECT n FROM replaced_view",
           another("CREATE OR REPLACE VIEW replaced_view AS SELECT 2 AS n"), rows=[
               standby("SELECT n FROM replaced_view")]),
    *after(fails("SELECT a FROM made_later"), "CREATE TABLE made_later (a int)", rows=[
        standby("SELECT a FROM made_later")]),
    *after("SELECT a FROM made_later", another("DROP TABLE made_later"), rows=[
        either("SELECT a FROM made_later", error="42P01")]),
    *after(fails("SELECT a FROM made_later"), another("CREATE UNLOGGED TABLE made_later (a int)"),
           rows=[primary("SELECT a FROM made_later")]),
    *after("SELECT a FROM parent", "CREATE UNLOGGED TABLE child_2 () INHERITS (parent)", rows=[
        primary("SELECT count(*) FROM parent")]),
    *after("SELECT a FROM parent", "ALTER TABLE child_2 NO INHERIT parent", rows=[
        standby("SELECT count(*) FROM parent")]),
    *after("SELECT k FROM split", "CREATE UNLOGGED TABLE split_3 PARTITION OF split DEFAULT",
           rows=[primary("SELECT count(*) FROM split")]),
    *after("SELECT k FROM split", another("DROP TABLE split_3"), rows=[
        standby("SELECT count(*) FROM split")]),
    *after("SELECT count(*) FROM secret_checked", another(
        "ALTER FUNCTION secret_stable(text) VOLATILE"), rows=[
            primary("SELECT t FROM secret_checked", user="routing_user")]),
    *after("SELECT write_switched()", rows=[standby("SELECT write_switched()")]),
    *after("SELECT write_switched()", another("""CREATE OR REPLACE FUNCTION write_switched()
        RETURNS int LANGUAGE sql AS 'SELECT write_journal(''switched'')'"""), rows=[
            primary("SELECT write_switched()")]),
    *after("ALTER FUNCTION write_switched() STABLE", several("""CREATE OR REPLACE FUNCTION
        write_switched() RETURNS int LANGUAGE sql STABLE AS 'SELECT 2'; SELECT 1"""), rows=[
            standby("SELECT write_switched()")]),
    *after("SELECT write_switched()", "CREATE FUNCTION a.write_switched() RETURNS int "
           "LANGUAGE sql AS 'SELECT public.write_journal(''a'')'", "SET search_path = a, public",
           rows=[primary("SELECT write_switched()")]),
    *after("SET search_path = a, public", "ALTER FUNCTION a.write_switched() RENAME TO gone", rows=[
        standby("SELECT write_switched()")]),
    *after("SELECT count(*) FROM item", another("ALTER TABLE item RENAME TO item_gone"), another(
        "CREATE UNLOGGED TABLE item AS SELECT 70 AS id"), rows=[primary("SELECT id FROM item")]),
    *after(another("DROP TABLE item"), another("ALTER TABLE item_gone RENAME TO item"), rows=[
        standby("SELECT count(*) FROM item")]),
]

ROWS = VIEWS + KINDS + CATALOGS + SECURITY + TEMPORARY + CHANGED
