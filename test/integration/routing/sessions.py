"""What a session carries along: parameters, prepared statements, cursors; and what transactions of
each kind may do where."""

from routing.row import after, another, either, fails, on_node, primary, several, standby

PARAMETERS = [
    either("SET work_mem = '5MB'"),
    either("SHOW work_mem"),
    either("SHOW ALL", varies=True),
    either("RESET work_mem"),
    either("DISCARD ALL"),
    either("DISCARD PLANS"),
    either("SET no_such_parameter = 1", error="42704"),
    *after("SET work_mem = '5MB'", rows=[
        standby("SELECT current_setting('work_mem')"), either("SHOW work_mem"),
        standby("SELECT s FROM setting_view"), standby("SELECT count(*) FROM item")]),
    *after("SET work_mem = '5MB'", "INSERT INTO journal (what) VALUES ('x')", rows=[
        standby("SELECT current_setting('work_mem')")]),
    *after("SET my.name = 'x'", rows=[standby("SELECT current_setting('my.name')")]),
    *after("SET my.name TO 'it''s'", "SET TIME ZONE 'Asia/Tokyo'", rows=[
        standby("SELECT current_setting('my.name'), '2020-01-01 00:00Z'::timestamptz")]),
    *after("SET TIME ZONE INTERVAL '-03:00' HOUR TO MINUTE", rows=[
        standby("SELECT '2020-01-01 00:00Z'::timestamptz")]),
    *after("SET DateStyle = 'German'", rows=[standby("SELECT '2020-03-01'::date")]),
    *after("SET NAMES 'LATIN1'", rows=[standby("SELECT 'x'")]),
    *after("SET XML OPTION DOCUMENT", rows=[either("SELECT '<a/>'::xml")]),
    *after("SET work_mem = '5MB'", "RESET work_mem", rows=[
        standby("SELECT current_setting('work_mem')")]),
    *after("SET work_mem = '5MB'", "RESET ALL", rows=[
        standby("SELECT current_setting('work_mem')")]),
    *after("SET work_mem = '5MB'", "DISCARD ALL", rows=[
        standby("SELECT current_setting('work_mem')")]),
    *after("BEGIN", "SET LOCAL work_mem = '5MB'", "COMMIT", rows=[
        standby("SELECT current_setting('work_mem')")]),
    *after("BEGIN", "SET LOCAL work_mem = '5MB'", rows=[
        either("SELECT current_setting('work_mem')")]),
    *after("BEGIN", "SET work_mem = '5MB'", "ROLLBACK", rows=[
        standby("SELECT current_setting('work_mem')")]),
    *after("BEGIN", "SET work_mem = '5MB'", "COMMIT", rows=[
        standby("SELECT current_setting('work_mem')")]),
    *after("SET extra_float_digits = 0", rows=[standby("SELECT 0.1::float8 + 0.2")]),
    *after("SET ROLE routing_user", rows=[either("SELECT current_user")]),
    *after("SET ROLE routing_user", "RESET ROLE", rows=[either("SELECT current_user")]),
    *after("SET LOCAL work_mem = '5MB'", rows=[standby("SELECT current_setting('work_mem')")]),
    *after("SET seed = 0.25", rows=[either("SELECT random()")]),
    standby("SELECT current_setting('work_mem')", options="-c work_mem=9MB"),
    *after("SET default_transaction_read_only = on", rows=[
        either("SELECT count(*) FROM item"),
        primary("INSERT INTO journal (what) VALUES ('x')", error="25006")]),
    *after("SET default_transaction_isolation = 'repeatable read'", rows=[
        either("SELECT count(*) FROM item"), primary("SELECT a FROM fast ORDER BY a")]),
    *after("SET default_transaction_isolation = 'repeatable read'", "BEGIN", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("SET default_transaction_isolation = 'serializable'", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", rows=[
        either("SELECT count(*) FROM item"),
        primary("INSERT INTO journal (what) VALUES ('x')", error="25006")]),
    *after("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", rows=[
        either("SELECT count(*) FROM item"), primary("INSERT INTO journal (what) VALUES ('x')")]),
]

PREPARED = [
    either("PREPARE p AS SELECT count(*) FROM item"),
    either("PREPARE p AS INSERT INTO journal (what) VALUES ('x')"),
    *after("PREPARE p AS SELECT count(*) FROM item", rows=[
        either("EXECUTE p"), either("DEALLOCATE p"), either("EXPLAIN (COSTS OFF) EXECUTE p"),
        either("CREATE TABLE made_p AS EXECUTE p")]),
    *after("PREPARE p (int) AS SELECT name FROM item WHERE id = $1", "EXECUTE p(1)", rows=[
        either("EXECUTE p(2)"), either("EXECUTE p((SELECT 3))", error="0A000"),
        primary("EXECUTE p(write_journal('p'))"), primary("EXECUTE p(nextval('counter')::int)",
                                                          varies=True),
        standby("SELECT count(*) FROM item")]),
    *after("PREPARE p (text) AS INSERT INTO journal (what) VALUES ($1)", rows=[
        primary("EXECUTE p('x')"),
        primary("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE p('x')")]),
    *after("PREPARE p AS SELECT write_journal('p')", rows=[primary("EXECUTE p")]),
    *after("PREPARE p AS SELECT a FROM fast ORDER BY a", rows=[primary("EXECUTE p")]),
    *after("PREPARE p AS SELECT nextval('counter') > 0", rows=[primary("EXECUTE p")]),
    *after("PREPARE p AS SELECT id FROM item WHERE id = 1 FOR UPDATE", rows=[primary("EXECUTE p")]),
    *after("PREPARE \"P q\" AS WITH w AS (DELETE FROM empty RETURNING 1) SELECT 1", rows=[
        primary("EXECUTE \"P q\"")]),
    *after("PREPARE p AS SELECT 1", "DEALLOCATE ALL", rows=[either("EXECUTE p", error="26000")]),
    *after("PREPARE p AS SELECT 1", "DISCARD ALL", rows=[either("EXECUTE p", error="26000")]),
    *after("PREPARE p AS SELECT 1", "DEALLOCATE p",
           "PREPARE p AS INSERT INTO journal (what) VALUES ('p')", rows=[primary("EXECUTE p")]),
    primary("EXECUTE nobody", error="26000"),
    *after("PREPARE p AS SELECT 1", "BEGIN", rows=[either("EXECUTE p")]),
    *after("BEGIN", "SELECT count(*) FROM item", "PREPARE p AS UPDATE item SET price = price",
           rows=[primary("EXECUTE p")]),
    # prepared first, then the world changes round it
    standby("SELECT count(*) FROM item", prepared=True),
    primary("SELECT a FROM fast", prepared=True),
    primary("SELECT write_journal('p')", prepared=True),
    *after("INSERT INTO journal (what) VALUES ('x')", rows=[
        standby("SELECT max(id) FROM item", prepared=True)]),
    *after("SET search_path = b, public", rows=[
        standby("SELECT max(id) FROM item", prepared=True)]),
    *after("SET search_path = b, public", rows=[
        primary("SELECT count(*) FROM mine, same", prepared=True)],
           options="-c search_path=a,public"),
    *after("ALTER TABLE switched SET UNLOGGED", rows=[
        primary("SELECT count(*) FROM switched", prepared=True)]),
    *after(another("ALTER TABLE switched SET LOGGED"), rows=[
        standby("SELECT count(*) FROM switched", prepared=True)]),
    *after(another("CREATE OR REPLACE FUNCTION write_switched() RETURNS int LANGUAGE sql AS "
                   "'SELECT write_journal(''again'')'"), rows=[
        primary("SELECT write_switched()", prepared=True)]),
    *after("BEGIN", rows=[standby("SELECT count(*) FROM item", prepared=True)]),
    *after("BEGIN", "DELETE FROM empty", rows=[
        primary("SELECT count(*) FROM empty", prepared=True)]),
]

CURSORS = [
    *after("BEGIN", rows=[
        either("DECLARE c CURSOR FOR SELECT id FROM item ORDER BY id"),
        primary("DECLARE c CURSOR FOR SELECT write_journal('c')"),
        primary("DECLARE c CURSOR FOR SELECT id FROM item WHERE id = 1 FOR UPDATE"),
        primary("DECLARE c CURSOR FOR SELECT a FROM fast")]),
    *after("BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT id FROM item ORDER BY id", "FETCH 1 FROM c",
           rows=[either("FETCH 2 FROM c"), either("MOVE BACKWARD 1 IN c"), either("CLOSE c"),
                 either("SELECT count(*) FROM item")]),
    *after("BEGIN", "SELECT count(*) FROM item", "DECLARE c CURSOR FOR SELECT id FROM tree "
           "ORDER BY id FOR UPDATE", "FETCH c", rows=[
               primary("UPDATE tree SET parent = parent WHERE CURRENT OF c")]),
    *after("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id", rows=[
        either("FETCH 2 FROM c"), either("CLOSE c"), either("SELECT count(*) FROM item")]),
    *after("BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id", "COMMIT",
           "INSERT INTO journal (what) VALUES ('x')", rows=[either("FETCH ALL FROM c")]),
    *after("BEGIN", "DECLARE c CURSOR FOR SELECT nextval('counter') > 0", rows=[
        primary("FETCH c")]),
    *after("BEGIN", "DECLARE c CURSOR FOR SELECT 1", "COMMIT", rows=[
        either("FETCH c", error="34000"), ]),
    *after("BEGIN", "DECLARE c CURSOR FOR SELECT 1", "COMMIT", rows=[
        either("SELECT count(*) FROM item")]),
]

TRANSACTIONS = [
    *after("BEGIN", rows=[
        standby("SELECT count(*) FROM item"), standby("SELECT read_stable()"),
        standby("SELECT * FROM item_view ORDER BY id"), primary("SELECT read_volatile()"),
        primary("SELECT a FROM fast"), primary("SELECT write_journal('t')"),
        primary("INSERT INTO journal (what) VALUES ('t')"), primary("SELECT * FROM write_view"),
        either("SHOW work_mem"), primary("SELECT no_such_function()", error="42883"),
        standby("SELECT random() < 1"), primary("SELECT count(*) > 0 FROM pg_class")]),
    *after("BEGIN", "SELECT count(*) FROM item", rows=[
        standby("SELECT count(*) FROM part_of"), primary("DELETE FROM empty"),
        primary("SELECT a FROM fast"), primary("SELECT read_volatile()"),
        primary("SELECT txid_current() > 0"), primary("LOCK TABLE item"),
        primary("LISTEN here"), primary("SELECT pg_try_advisory_xact_lock(5)"),
        either("COPY tree TO STDOUT"), either("SAVEPOINT s"), either("COMMIT"), either("ROLLBACK"),
        either("SELECT 1/0", error="22012")]),
    *after("BEGIN", "INSERT INTO journal (what) VALUES ('t')", rows=[
        primary("SELECT count(*) > 0 FROM journal"), primary("SELECT count(*) FROM item"),
        primary("SELECT read_stable()"), primary("/* pgpool: standby */ SELECT 1"),
        primary("COMMIT"), primary("ROLLBACK"), primary("SHOW work_mem"),
        primary("PREPARE p AS SELECT 1")]),
    *after("BEGIN", "SELECT write_journal('t')", rows=[primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "SELECT id FROM item WHERE id = 1 FOR UPDATE", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "LOCK TABLE tree", rows=[primary("SELECT count(*) FROM tree")]),
    *after("BEGIN", "CREATE TABLE made_t (a int)", rows=[primary("SELECT count(*) FROM made_t")]),
    *after("BEGIN", "SELECT count(*) FROM item", "INSERT INTO journal (what) VALUES ('t')", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "INSERT INTO journal (what) VALUES ('t')", "COMMIT", rows=[
        standby("SELECT count(*) > 0 FROM journal")]),
    *after("BEGIN", "DELETE FROM empty", "ROLLBACK", rows=[
        standby("SELECT count(*) FROM empty")]),
    *after("BEGIN", "INSERT INTO journal (what) VALUES ('t')", "COMMIT AND CHAIN", rows=[
        either("SELECT count(*) FROM item"), primary("INSERT INTO journal (what) VALUES ('t')")]),
    *after("BEGIN", "SAVEPOINT s", "DELETE FROM empty", "ROLLBACK TO s", rows=[
        primary("SELECT count(*) FROM empty")]),
    *after("BEGIN", "SAVEPOINT s", rows=[
        either("SELECT count(*) FROM item"), primary("INSERT INTO journal (what) VALUES ('s')"),
        either("RELEASE s"), either("ROLLBACK TO s")]),
    *after("BEGIN", "INSERT INTO journal (what) VALUES ('t')", "SAVEPOINT s", fails("SELECT 1/0"),
           "ROLLBACK TO s", rows=[primary("SELECT count(*) > 0 FROM journal")]),
    *after("BEGIN", fails("SELECT 1/0"), rows=[
        either("SELECT 1", error="25P02"), either("COMMIT"),
        either("INSERT INTO journal (what) VALUES ('t')", error="25P02")]),
    *after("BEGIN", fails("SELECT 1/0"), "ROLLBACK", rows=[
        standby("SELECT count(*) FROM item"), primary("DELETE FROM empty")]),
    *after("BEGIN", fails("INSERT INTO item VALUES (1)"), "ROLLBACK", rows=[
        standby("SELECT count(*) FROM item")]),
    # as they are declared
    *after("START TRANSACTION", rows=[standby("SELECT count(*) FROM item")]),
    *after("BEGIN ISOLATION LEVEL READ COMMITTED", rows=[standby("SELECT count(*) FROM item")]),
    *after("BEGIN ISOLATION LEVEL READ UNCOMMITTED", rows=[standby("SELECT count(*) FROM item")]),
    *after("BEGIN READ WRITE", rows=[
        either("SELECT count(*) FROM item"), primary("INSERT INTO journal (what) VALUES ('w')")]),
    *after("BEGIN READ ONLY", rows=[
        standby("SELECT count(*) FROM item"), primary("SELECT a FROM fast"),
        primary("DELETE FROM empty", error="25006"), primary("SELECT read_volatile()"),
        primary("SELECT nextval('counter')", error="25006"), primary("SELECT txid_current() > 0"),
        primary("SELECT write_journal('t')", error="25006")]),
    *after("BEGIN READ ONLY", "SELECT count(*) FROM item", rows=[
        standby("SELECT count(*) FROM tree"), primary("SELECT a FROM fast"),
        primary("DELETE FROM empty", error="25006"), primary("SELECT txid_current() > 0")]),
    *after("BEGIN ISOLATION LEVEL REPEATABLE READ", rows=[
        primary("SELECT count(*) FROM item"), primary("DELETE FROM empty")]),
    *after("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM item", rows=[
        primary("SELECT count(*) FROM item"), primary("DELETE FROM empty")]),
    *after("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", rows=[
        # where there are unlogged tables, as here, nobody knows what it will come to
        primary("SELECT count(*) FROM item"), primary("SELECT a FROM fast"),
        primary("SELECT txid_current() > 0"), primary("SELECT pg_current_wal_lsn() IS NOT NULL")]),
    *after("BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM item", rows=[
        primary("SELECT count(*) FROM tree"), either("SELECT count(*) > 0 FROM pg_class"),
        either("SELECT read_volatile()"), either("DELETE FROM empty", error="25006"),
        # one snapshot is never split: what a standby cannot do must not have begun there
        either("SELECT a FROM fast ORDER BY a"), either("SELECT txid_current() > 0"),
        either("SELECT pg_current_wal_lsn() IS NOT NULL")]),
    *after("BEGIN ISOLATION LEVEL SERIALIZABLE", rows=[
        primary("SELECT count(*) FROM item"), primary("DELETE FROM empty")]),
    *after("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "SET TRANSACTION READ ONLY", rows=[
        either("SELECT count(*) FROM item"), primary("DELETE FROM empty", error="25006")]),
    *after("BEGIN", "SET TRANSACTION READ WRITE", rows=[
        either("SELECT count(*) FROM item"), primary("DELETE FROM empty")]),
    *after("BEGIN", "SET LOCAL transaction_isolation = 'repeatable read'", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "SET transaction_isolation TO 'serializable'", rows=[
        primary("SELECT count(*) FROM item")]),
    *after("BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT count(*) FROM item", "COMMIT", rows=[
        standby("SELECT count(*) FROM item")]),
    *after("BEGIN ISOLATION LEVEL REPEATABLE READ", "DELETE FROM empty", "COMMIT AND CHAIN",
           rows=[primary("SELECT count(*) FROM item")]),
    *after("BEGIN", "INSERT INTO journal (what) VALUES ('2')", rows=[
        primary("PREPARE TRANSACTION '{database}'")]),
    primary("COMMIT PREPARED '{database}'"),
    primary("ROLLBACK PREPARED 'nothing'", error="42704"),
    standby("SELECT count(*) > 0 FROM journal"),
    either("COMMIT"),
    either("ROLLBACK"),
    either("BEGIN"),
    *after("COMMIT", rows=[standby("SELECT count(*) FROM item")]),
    *after("BEGIN", "COMMIT", rows=[standby("SELECT count(*) FROM item")]),
    *after("BEGIN", "BEGIN", rows=[either("SELECT count(*) FROM item")]),
    *after(several("SELECT 1; BEGIN"), rows=[
        either("SELECT count(*) FROM item"), primary("DELETE FROM empty")]),
]

HINTS = [
    on_node(0, "/* pgpool: node=0 */ SELECT count(*) FROM item"),
    on_node(1, "/* pgpool: node=1 */ SELECT count(*) FROM item"),
    on_node(2, "SELECT count(*) FROM item /* pgpool: node=2 */"),
    on_node(2, "/* pgpool: node=2 */ SELECT read_stable()"),
    primary("/* pgpool: node=2 */ SELECT read_volatile()"),
    *after("/* pgpool: primary */ BEGIN", rows=[primary("SELECT count(*) FROM item")]),
    *after("/* pgpool: primary */ SELECT 1", rows=[standby("SELECT count(*) FROM item")]),
    *after("/* pgpool: node=1 */ SELECT 1", rows=[standby("SELECT count(*) FROM item")]),
]

# Parameters: the extended protocol only.
BOUND = [
    standby("SELECT name FROM item WHERE id = $1", values=("1",)),
    standby("SELECT $1::int + $2::int", values=("1", None)),
    standby("SELECT count(*) FROM item WHERE id = ANY ($1)", values=("{1,2}",)),
    standby("SELECT read_return($1)", values=("1",)),
    standby("SELECT pick($1, $2)", values=("1", "2")),
    standby("SELECT id FROM item ORDER BY id LIMIT $1", values=("2",)),
    primary("SELECT pick($1)", values=("1",)),
    primary("INSERT INTO journal (what) VALUES ($1)", values=("x",)),
    primary("SELECT write_journal($1)", values=("x",)),
    primary("SELECT nextval($1) > 0", values=("counter",)),
    primary("SELECT nextval($1::regclass) > 0", values=("counter",)),
    primary("SELECT $1::noted", values=("x",)),
    primary("SELECT a FROM fast WHERE a = $1", values=("1",)),
    primary("SELECT set_config('search_path', $1, false)", values=("b",)),
    *after("BEGIN", rows=[
        standby("SELECT name FROM item WHERE id = $1", values=("1",)),
        primary("DELETE FROM empty WHERE what = $1", values=("x",))]),
    standby("SELECT name FROM item WHERE id = $1", values=("1",), prepared=True),
    primary("UPDATE item SET price = $1 WHERE id = 1", values=("1",), prepared=True),
]

ROWS = PARAMETERS + PREPARED + CURSORS + TRANSACTIONS + HINTS + BOUND
