"""Where transactions run: on a standby as long as they only read, and never torn in two."""

import psycopg
import pytest

import raw
from waiting import wait_for

WHERE = "SELECT pg_is_in_recovery()"
STANDBY, PRIMARY = [["t"]], [["f"]]


@pytest.fixture(name="one")
def one_fixture(cluster, pgpool):
    """A session whose reads go to a standby."""
    cluster.sql("CREATE TABLE IF NOT EXISTS tx_t (a int); TRUNCATE tx_t; "
                "INSERT INTO tx_t VALUES (1)")

    def balanced():
        """On every standby: the session under test may be given any of them."""
        seen = set()
        for _ in range(12):
            with raw.connected(pgpool) as probe:
                [[standby, port]] = probe.rows(
                    "SELECT pg_is_in_recovery(), current_setting('port')")
                if standby != "t":
                    return False
                seen.add(port)
        return len(seen) == 2

    wait_for(balanced, "reads in transactions to go to a standby")
    with raw.connected(pgpool) as one:
        yield one


def status(one, sql):
    """The status that ReadyForQuery tells."""
    return one.simple(sql)[-1].body


def tags(one, sql):
    return [got.body[:-1].decode() for got in one.simple(sql) if got.kind == "C"]


@pytest.mark.parametrize("begin, place", [
    ("BEGIN", STANDBY),
    ("start transaction", STANDBY),
    ("BEGIN ISOLATION LEVEL READ COMMITTED", STANDBY),
    ("BEGIN READ ONLY", STANDBY),
    ("BEGIN READ WRITE", PRIMARY),
    ("BEGIN ISOLATION LEVEL REPEATABLE READ", PRIMARY),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", PRIMARY),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", PRIMARY),
])
def test_first_read(one, begin, place):
    assert status(one, begin) == b"T"
    assert one.rows(WHERE) == place
    assert one.rows("SELECT a FROM tx_t") == [["1"]]
    assert status(one, "COMMIT") == b"I"
    assert one.rows(WHERE) == STANDBY


def test_one_snapshot_stays_where_all_tables_are(cluster, pgpool):
    """READ ONLY under REPEATABLE READ: nothing in it may come to what a standby does not have."""
    if not cluster.primary.value("SELECT count(*) FROM pg_database WHERE datname = 'tx_alike'"):
        cluster.sql("CREATE DATABASE tx_alike")

    def place():
        with raw.connected(pgpool, database="tx_alike") as one:
            one.rows("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return one.rows(WHERE)

    wait_for(lambda: place() == STANDBY, "the transaction to go to a standby")
    with raw.connected(pgpool, database="tx_alike") as other:
        other.rows("CREATE UNLOGGED TABLE fast (a int)")
    assert place() == PRIMARY
    with raw.connected(pgpool, database="tx_alike") as other:
        other.rows("DROP TABLE fast")
    wait_for(lambda: place() == STANDBY, "the transaction to go to a standby again")


def test_empty_transactions(one):
    assert tags(one, "BEGIN") == ["BEGIN"]
    assert tags(one, "COMMIT") == ["COMMIT"]
    assert tags(one, "START TRANSACTION READ ONLY") == ["START TRANSACTION"]
    assert tags(one, "ROLLBACK") == ["ROLLBACK"]
    assert status(one, "END") == b"I"


def test_goes_on_at_the_primary_when_it_writes(one):
    one.rows("BEGIN")
    assert one.rows(WHERE) == STANDBY
    one.rows("INSERT INTO tx_t VALUES (2)")
    assert one.rows(WHERE) == PRIMARY
    assert one.rows("SELECT count(*) FROM tx_t") == [["2"]]
    assert status(one, "SELECT 1/0") == b"E"
    assert tags(one, "COMMIT") == ["ROLLBACK"]
    assert one.rows("SELECT count(*) FROM tx_t") == [["1"]]


def test_writes_at_once(one):
    one.rows("BEGIN")
    one.rows("INSERT INTO tx_t VALUES (2)")
    assert one.rows(WHERE) == PRIMARY
    assert tags(one, "ROLLBACK") == ["ROLLBACK"]
    assert one.rows("SELECT count(*) FROM tx_t") == [["1"]]


@pytest.mark.parametrize("statement", [
    "SET LOCAL work_mem = '3MB'", "SET work_mem = '3MB'", "SAVEPOINT s", "LOCK TABLE tx_t",
    "SELECT a FROM tx_t FOR UPDATE", "SELECT txid_current()", "DECLARE c CURSOR FOR SELECT 1",
    "SHOW work_mem", "CREATE TEMP TABLE tx_temp (a int)", "NOTIFY tx", "SET TRANSACTION READ ONLY",
])
def test_goes_on_at_the_primary(one, statement):
    one.rows("BEGIN")
    assert one.rows(WHERE) == STANDBY
    assert "E" not in [got.kind for got in one.simple(statement)]
    assert one.rows(WHERE) == PRIMARY
    assert tags(one, "ROLLBACK") == ["ROLLBACK"]


def test_read_only_is_kept_at_the_primary(one):
    one.rows("BEGIN READ ONLY")
    assert one.rows(WHERE) == STANDBY
    answer = one.simple("INSERT INTO tx_t VALUES (3)")
    assert [got.fields()["C"] for got in answer if got.kind == "E"] == ["25006"]
    assert tags(one, "ROLLBACK") == ["ROLLBACK"]


def test_settings_of_a_moved_transaction(one):
    one.rows("BEGIN")
    assert one.rows(WHERE) == STANDBY
    one.rows("SET work_mem = '7MB'")
    assert one.rows("SELECT current_setting('work_mem')") == [["7MB"]]
    one.rows("ROLLBACK")
    assert one.rows("SELECT current_setting('work_mem')") != [["7MB"]]


def test_failed_read(one):
    one.rows("BEGIN")
    assert one.rows(WHERE) == STANDBY
    assert status(one, "SELECT 1/0") == b"E"
    assert status(one, "SELECT 1") == b"E"
    assert status(one, "INSERT INTO tx_t VALUES (4)") == b"E"
    assert tags(one, "COMMIT") == ["ROLLBACK"]
    assert status(one, "SELECT 1") == b"I"


def test_failed_read_and_prepare_transaction(one):
    """It is a ROLLBACK then, and the session goes on."""
    for _ in range(2):
        one.rows("BEGIN")
        assert one.rows(WHERE) == STANDBY
        assert status(one, "SELECT 1/0") == b"E"
        assert tags(one, "PREPARE TRANSACTION 'tx_failed'") == ["ROLLBACK"]
        assert one.rows("SELECT a FROM tx_t") == [["1"]]
    one.send(raw.query("BEGIN"), raw.query("SELECT 1/0"),
             raw.query("/* x */ prepare transaction 'tx_failed'"),
             raw.query("INSERT INTO tx_t VALUES (2)"))
    answer = [got for _ in range(4) for got in one.read_until("Z")]
    assert [got.body for got in answer if got.kind == "Z"] == [b"T", b"E", b"I", b"I"]
    assert one.rows("SELECT count(*) FROM tx_t") == [["2"]]


@pytest.mark.parametrize("ending", ["ROLLBACK", "COMMIT", "PREPARE TRANSACTION 'tx_failed'"])
def test_write_behind_the_end_of_a_failed_transaction(one, ending):
    """It comes before the end was answered."""
    for count in range(20):
        one.rows("BEGIN")
        assert one.rows(WHERE) == STANDBY
        assert status(one, "SELECT 1/0") == b"E"
        one.send(raw.query(ending), raw.query("INSERT INTO tx_t VALUES (2)"))
        answer = one.read_until("Z", 2)
        assert [got.body for got in answer if got.kind == "C"] == [b"ROLLBACK\0",
                                                                   b"INSERT 0 1\0"]
        assert one.rows("SELECT count(*) FROM tx_t") == [[str(count + 2)]]
        wait_for(lambda: one.rows(WHERE) == STANDBY, "reads to go to a standby again")


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN READ ONLY",
                                   "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"])
def test_write_behind_the_end_of_a_transaction_of_reads(one, begin):
    for count in range(20):
        one.rows(begin)
        assert one.rows(WHERE) == STANDBY
        one.send(raw.query("COMMIT"), raw.query("INSERT INTO tx_t VALUES (2)"))
        answer = one.read_until("Z", 2)
        assert [got.body for got in answer if got.kind == "C"] == [b"COMMIT\0", b"INSERT 0 1\0"]
        assert one.rows("SELECT count(*) FROM tx_t") == [[str(count + 2)]]
        wait_for(lambda: one.rows(WHERE) == STANDBY, "reads to go to a standby again")


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"])
def test_prepare_transaction_of_reads(cluster, one, begin):
    one.rows(begin)
    assert one.rows(WHERE) == STANDBY
    assert tags(one, "PREPARE TRANSACTION 'tx_reads'") == ["PREPARE TRANSACTION"]
    assert cluster.primary.value("SELECT count(*) FROM pg_prepared_xacts") == 1
    assert tags(one, "ROLLBACK PREPARED 'tx_reads'") == ["ROLLBACK PREPARED"]
    assert one.rows("SELECT a FROM tx_t") == [["1"]]


@pytest.mark.parametrize("sql", ["SET search_path = pg_temp, public",
                                 "SET search_path TO 'pg_temp'",
                                 "SELECT set_config('search_path', 'PG_TEMP', false)"])
def test_path_to_the_temporary_schema(one, sql):
    """A standby could not make it."""
    assert "E" not in [got.kind for got in one.simple(sql)]
    assert one.rows("SELECT current_schema() ~ 'pg_temp'") == [["t"]]
    one.rows("BEGIN")
    assert one.rows("SELECT current_schema() ~ 'pg_temp'") == [["t"]]
    assert tags(one, "COMMIT") == ["COMMIT"]


def test_chain(one):
    one.rows("BEGIN")
    assert one.rows(WHERE) == STANDBY
    assert status(one, "COMMIT AND CHAIN") == b"T"
    assert one.rows(WHERE) == STANDBY
    one.rows("INSERT INTO tx_t VALUES (5)")
    assert one.rows(WHERE) == PRIMARY
    assert status(one, "ROLLBACK AND CHAIN") == b"T"
    assert status(one, "COMMIT") == b"I"
    assert one.rows("SELECT count(*) FROM tx_t") == [["1"]]


def test_begin_twice_warns(one):
    one.rows("BEGIN")
    assert [got.kind for got in one.simple("BEGIN")] == ["N", "C", "Z"]
    assert tags(one, "COMMIT") == ["COMMIT"]


def execute(text, name="", portal="", max_rows=0):
    return raw.parse(name, text) + raw.bind(portal, name) + raw.execute(portal, max_rows)


def values(messages):
    return [got.row() for got in messages if got.kind == "D"]


def test_drivers_that_send_begin_with_the_first_statement(one):
    one.send(execute("BEGIN"), execute(WHERE), raw.SYNC)
    answer = one.read_until("Z")
    assert [got.kind for got in answer] == list("12C12DCZ")
    assert values(answer) == [[b"t"]] and answer[-1].body == b"T"
    one.send(execute("INSERT INTO tx_t VALUES (6)"), execute(WHERE), raw.SYNC)
    answer = one.read_until("Z")
    assert values(answer) == [[b"f"]] and answer[-1].body == b"T"
    one.send(execute("COMMIT"), raw.SYNC)
    assert one.read_until("Z")[-1].body == b"I"
    assert one.rows("SELECT count(*) FROM tx_t") == [["2"]]


def test_named_begin(one):
    one.send(raw.parse("b", "BEGIN"), raw.parse("r", WHERE), raw.SYNC)
    one.read_until("Z")
    for _ in range(3):
        one.send(raw.bind("", "b"), raw.execute(), raw.bind("", "r"), raw.execute(), raw.SYNC)
        answer = one.read_until("Z")
        assert values(answer) == [[b"t"]] and answer[-1].body == b"T"
        one.send(execute("ROLLBACK"), raw.SYNC)
        assert one.read_until("Z")[-1].body == b"I"


def test_portals_that_live_on_belong_to_the_primary(one):
    one.rows("BEGIN")
    one.send(execute("SELECT pg_is_in_recovery() FROM generate_series(1, 3)", portal="p",
                     max_rows=1), raw.SYNC)
    assert values(one.read_until("Z")) == [[b"f"]]
    one.rows("INSERT INTO tx_t VALUES (7)")
    one.send(raw.execute("p", 0), raw.SYNC)
    assert values(one.read_until("Z")) == [[b"f"], [b"f"]]
    one.rows("ROLLBACK")


def test_pipelined_transaction(one):
    one.send(raw.query("BEGIN"), raw.query(WHERE), raw.query("INSERT INTO tx_t VALUES (8)"),
             raw.query(WHERE), raw.query("COMMIT"), raw.query("SELECT count(*) FROM tx_t"))
    answer = [got for _ in range(6) for got in one.read_until("Z")]
    assert [got.body for got in answer if got.kind == "Z"] == [b"T", b"T", b"T", b"T", b"I", b"I"]
    assert values(answer) == [[b"t"], [b"f"], [b"2"]]


def test_psycopg(cluster, pgpool, one):
    with psycopg.connect(pgpool.dsn()) as connection:
        assert connection.execute(WHERE).fetchone()[0]
        connection.execute("INSERT INTO tx_t VALUES (%s)", (9,))
        assert not connection.execute(WHERE).fetchone()[0]
        connection.commit()
        assert connection.execute("SELECT count(*) FROM tx_t").fetchone()[0] == 2
        connection.rollback()


def port(one, sql):
    return int(one.rows(sql)[0][0])


def test_hints_in_comments(cluster, one):
    read = "SELECT current_setting('port')"
    primary, *standbys = [server.port for server in cluster.servers]
    assert port(one, read) in standbys
    assert port(one, f"/* pgpool: primary */ {read}") == primary
    assert port(one, f"{read} /*NO LOAD BALANCE*/") == primary
    assert port(one, f"/* pgpool: standby */ {read}") in standbys
    for number, server in enumerate(cluster.servers):
        assert port(one, f"/* pgpool: node={number} */ {read}") == server.port
        one.send(execute(f"/* pgpool: node={number} */ {read}"), raw.SYNC)
        assert values(one.read_until("Z")) == [[b"%d" % server.port]]
    assert port(one, f"/* pgpool: node=9 */ {read}") == primary
    one.rows("/* pgpool: standby */ INSERT INTO tx_t VALUES (10)")
    assert one.rows("SELECT count(*) FROM tx_t") == [["2"]]


def test_explain_goes_where_its_statement_may_go(one):
    """The parameter is the standby's own: what explains it, ran there."""
    plan = one.rows("EXPLAIN (ANALYZE, COSTS OFF) SELECT 1 WHERE pg_is_in_recovery()")
    assert "never executed" not in str(plan)
    assert "E" not in [got.kind for got in one.simple("EXPLAIN ANALYZE DELETE FROM tx_t")]
    assert one.rows("SELECT count(*) FROM tx_t") == [["0"]]


def test_other_default_isolation_keeps_transactions_at_the_primary(cluster, pgpool, one):
    """Under REPEATABLE READ a transaction must not be torn, and BEGIN does not say it."""
    cluster.sql("ALTER DATABASE test SET default_transaction_isolation = 'repeatable read'")
    try:
        def at_the_primary():
            with raw.connected(pgpool) as probe:
                probe.rows("BEGIN")
                return probe.rows(WHERE) == PRIMARY

        wait_for(at_the_primary, "the new default to be known")
    finally:
        cluster.sql("ALTER DATABASE test RESET default_transaction_isolation")
    with raw.connected(pgpool) as probe:
        probe.rows("SET default_transaction_isolation = 'serializable'")
        assert probe.rows("SELECT 1") == [["1"]]
        probe.rows("BEGIN")
        assert probe.rows(WHERE) == PRIMARY


def test_role_that_is_serializable_by_default(cluster, pgpool, one):
    """Its statements would be refused by standbys, each of them."""
    cluster.sql("""
        DO $$ BEGIN CREATE ROLE tx_role LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
        ALTER ROLE tx_role SET default_transaction_isolation = 'serializable'""")
    try:
        def reads_at_the_primary():
            with raw.connected(pgpool) as probe:
                return probe.rows(WHERE) == PRIMARY

        wait_for(reads_at_the_primary, "the new default to be known")
        with raw.connected(pgpool, user="tx_role") as probe:
            assert probe.rows(WHERE) == PRIMARY
            assert probe.rows("SHOW transaction_isolation") == [["serializable"]]
    finally:
        cluster.sql("ALTER ROLE tx_role RESET default_transaction_isolation")
