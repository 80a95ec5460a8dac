"""The query cache with real servers: what an answer depends on, and what makes it asked again."""

import asyncio

import asyncpg
import psycopg
import pytest

import raw
from waiting import wait_for

# who reads elsewhere what another has written must see it, too
PGPOOL_SETTINGS = {"memory_cache_enabled": "on", "num_init_children": 2,
                   "read_consistency": "global"}
SETUP = """
    DROP SCHEMA IF EXISTS qc CASCADE; CREATE SCHEMA qc;
    CREATE TABLE qc.t (a int PRIMARY KEY, b text); INSERT INTO qc.t VALUES (1, 'one'), (2, 'two');
    CREATE TABLE qc.log (a int);
    CREATE TABLE qc.typed (a int); INSERT INTO qc.typed VALUES (1);
    CREATE VIEW qc.v AS SELECT a, upper(b) AS u FROM qc.t;
    CREATE VIEW qc.clock AS SELECT a, now() AS at FROM qc.t;
    CREATE TABLE qc.p (a int, b int) PARTITION BY RANGE (a);
    CREATE TABLE qc.p1 PARTITION OF qc.p FOR VALUES FROM (0) TO (100);
    CREATE TABLE qc.p2 PARTITION OF qc.p FOR VALUES FROM (100) TO (200);
    INSERT INTO qc.p VALUES (1, 1), (101, 1);
    CREATE TABLE qc.child (a int REFERENCES qc.t ON DELETE CASCADE);
    INSERT INTO qc.child VALUES (1);
    CREATE MATERIALIZED VIEW qc.m AS SELECT count(*) FROM qc.t;
    CREATE FUNCTION qc.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
    CREATE FUNCTION qc.stable(int) RETURNS int LANGUAGE sql STABLE
        AS 'SELECT count(*)::int FROM qc.t';
    CREATE FUNCTION qc.write(int) RETURNS int LANGUAGE plpgsql AS $$
        BEGIN UPDATE qc.t SET b = b || '!' WHERE a = $1; RETURN $1; END $$;
    CREATE FUNCTION qc.note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO qc.log VALUES (new.a); RETURN new; END $$;
    CREATE TABLE qc.noted (a int);
    CREATE TRIGGER n AFTER INSERT ON qc.noted FOR EACH ROW EXECUTE FUNCTION qc.note();
    CREATE TABLE qc.rows (owner text, a int);
    INSERT INTO qc.rows VALUES ('qc_one', 1), ('qc_two', 2);
    ALTER TABLE qc.rows ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON qc.rows USING (owner = current_user);
"""
ROLES = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qc_one') THEN
            CREATE ROLE qc_one LOGIN; CREATE ROLE qc_two LOGIN;
        END IF;
    END $$;
    GRANT USAGE ON SCHEMA qc TO qc_one, qc_two; GRANT SELECT ON qc.rows TO qc_one, qc_two;
    CREATE SCHEMA IF NOT EXISTS qc_one AUTHORIZATION qc_one;
    CREATE SCHEMA IF NOT EXISTS qc_two AUTHORIZATION qc_two;
    DROP TABLE IF EXISTS qc_one.own, qc_two.own;
    CREATE TABLE qc_one.own AS SELECT 'one' AS a; CREATE TABLE qc_two.own AS SELECT 'two' AS a;
    ALTER TABLE qc_one.own OWNER TO qc_one; ALTER TABLE qc_two.own OWNER TO qc_two;
"""


@pytest.fixture(name="tables")
def tables_fixture(cluster, pgpool):
    """Made behind pgpool's back, which is told of it."""
    cluster.sql(SETUP)
    cluster.sql(ROLES)
    with raw.connected(pgpool) as one:
        one.simple("CREATE TABLE qc.told (a int)")


@pytest.fixture(name="one")
def one_fixture(pgpool, tables):  # pylint: disable=unused-argument
    with raw.connected(pgpool) as one:
        yield one


def hits(pgpool):
    with raw.connected(pgpool, database="postgres") as probe:
        return {row[0]: int(row[1]) for row in probe.rows("SHOW pool_routing")}["cache"]


def is_hit(pgpool, one, sql):
    before = hits(pgpool)
    one.rows(sql)
    return hits(pgpool) > before


def wait_kept(pgpool, one, sql):
    """Standbys may be behind, and names not known yet."""
    wait_for(lambda: is_hit(pgpool, one, sql), f"the answer to {sql} to be kept")
    return one.rows(sql)


KEPT = ["SELECT b FROM qc.t WHERE a = 1", "SELECT u FROM qc.v ORDER BY 1",
        "SELECT sum(b) FROM qc.p", "WITH x AS (SELECT a FROM qc.t) SELECT count(*) FROM x",
        "SELECT qc.twice(a) FROM qc.t", "TABLE qc.m",
        "SELECT count(*) FROM qc.child JOIN qc.t USING (a)",
        "SELECT to_char(a, '000') FROM qc.t"]


@pytest.mark.parametrize("sql", KEPT)
def test_kept(pgpool, one, sql):
    answer = one.rows(sql)
    assert wait_kept(pgpool, one, sql) == answer


@pytest.mark.parametrize("sql", [
    "SELECT now(), a FROM qc.t", "SELECT * FROM qc.clock", "SELECT random() FROM qc.t",
    "SELECT relname FROM pg_class WHERE relname = 't'", "SELECT qc.stable(1)", "SELECT qc.write(7)",
    "SELECT a FROM qc.t FOR SHARE", "SELECT current_setting('work_mem')",
    "SELECT a FROM qc.t TABLESAMPLE SYSTEM (50)", "SELECT xmin FROM qc.t",
    "SELECT a FROM qc.t WHERE 'now'::timestamptz > '2000-01-01'"])
def test_not_kept(pgpool, one, sql):
    for _ in range(3):
        assert not is_hit(pgpool, one, sql)


@pytest.mark.parametrize("write, read", [
    ("UPDATE qc.t SET b = 'new' WHERE a = 1", "SELECT b FROM qc.t WHERE a = 1"),
    ("UPDATE qc.t SET b = 'new' WHERE a = 1", "SELECT u FROM qc.v ORDER BY 1"),
    ("UPDATE qc.v SET a = 9 WHERE a = 2", "SELECT a FROM qc.t ORDER BY 1"),
    ("INSERT INTO qc.p VALUES (5, 5)", "SELECT sum(b) FROM qc.p"),
    ("INSERT INTO qc.p VALUES (6, 5)", "SELECT sum(b) FROM qc.p1"),
    ("INSERT INTO qc.p2 VALUES (105, 5)", "SELECT sum(b) FROM qc.p"),
    ("WITH d AS (DELETE FROM qc.t RETURNING a) SELECT count(*) FROM d",
     "SELECT count(*) FROM qc.t"),
    ("DELETE FROM qc.t WHERE a = 1", "SELECT count(*) FROM qc.child"),
    ("TRUNCATE qc.t CASCADE", "SELECT count(*) FROM qc.child"),
    ("INSERT INTO qc.noted VALUES (3)", "SELECT count(*) FROM qc.log"),
    ("SELECT qc.write(1)", "SELECT b FROM qc.t WHERE a = 1"),
    ("DO $$ BEGIN DELETE FROM qc.t; END $$", "SELECT count(*) FROM qc.t"),
    ("INSERT INTO qc.t VALUES (50, 'x'); REFRESH MATERIALIZED VIEW qc.m", "TABLE qc.m"),
    ("ALTER TABLE qc.t ALTER b SET DEFAULT 'x'; ALTER TABLE qc.t RENAME b TO c;"
     "ALTER TABLE qc.t RENAME c TO b; UPDATE qc.t SET b = 'y'", "SELECT b FROM qc.t WHERE a = 1"),
    ("CREATE OR REPLACE VIEW qc.v AS SELECT a, lower(b) AS u FROM qc.t",
     "SELECT u FROM qc.v ORDER BY 1"),
    ("BEGIN; UPDATE qc.t SET b = 'tx'; COMMIT", "SELECT b FROM qc.t WHERE a = 1"),
    ("CREATE OR REPLACE FUNCTION qc.twice(int) RETURNS int LANGUAGE sql IMMUTABLE"
     " AS 'SELECT $1 * 3'", "SELECT qc.twice(2)"),
])
def test_writes(pgpool, one, write, read):
    """Whoever reads it next, in whichever process, sees it."""
    before = wait_kept(pgpool, one, read)
    with raw.connected(pgpool) as writer, raw.connected(pgpool) as reader:
        assert raw.codes(writer.simple(write)) == []
        after = writer.rows(read)
        assert [session.rows(read) for session in (one, reader)] == [after, after]
        assert after != before
        wait_kept(pgpool, reader, read)


def test_rollback(pgpool, one):
    sql = "SELECT b FROM qc.t WHERE a = 2"
    before = wait_kept(pgpool, one, sql)
    with raw.connected(pgpool) as writer:
        writer.simple("BEGIN")
        writer.simple("UPDATE qc.t SET b = 'never'")
        assert writer.rows(sql) == [["never"]]
        assert not is_hit(pgpool, one, sql)
        writer.simple("ROLLBACK")
        assert is_hit(pgpool, one, sql) and one.rows(sql) == before
        assert writer.rows(sql) == before


def test_roles_see_their_own(pgpool, one):  # pylint: disable=unused-argument
    sql = "SELECT a FROM qc.rows"
    with raw.connected(pgpool, user="qc_one") as first, raw.connected(pgpool, user="qc_two") as two:
        assert wait_kept(pgpool, first, sql) == [["1"]]
        assert wait_kept(pgpool, two, sql) == [["2"]]
        assert first.rows(sql) == [["1"]]
        own = "SELECT a FROM own"
        assert wait_kept(pgpool, first, own) == [["one"]]
        assert wait_kept(pgpool, two, own) == [["two"]]
        one.simple("SET ROLE qc_one")
        assert one.rows(sql) == [["1"]]
        one.simple("SET ROLE qc_two")
        assert one.rows(sql) == [["2"]]
        one.simple("RESET ROLE")
        assert len(one.rows(sql)) == 2


def test_a_privilege_that_is_taken_away(cluster, pgpool, one):
    sql = "SELECT a FROM qc.rows"
    cluster.sql("GRANT SELECT ON qc.rows TO qc_one")
    with raw.connected(pgpool, user="qc_one") as other:
        wait_kept(pgpool, other, sql)
        one.simple("REVOKE SELECT ON qc.rows FROM qc_one")
        assert raw.codes(other.simple(sql)) == ["42501"]


def test_parameters(pgpool, one):
    sql = "SELECT '2026-02-01'::date, a FROM qc.t WHERE a = 1"
    with raw.connected(pgpool) as other:
        assert wait_kept(pgpool, one, sql) == [["2026-02-01", "1"]]
        other.simple("SET datestyle = 'German'")
        assert other.rows(sql) == [["01.02.2026", "1"]]
        assert wait_kept(pgpool, other, sql) == [["01.02.2026", "1"]]
        assert one.rows(sql) == [["2026-02-01", "1"]]
        other.simple("BEGIN")
        other.simple("SET LOCAL datestyle = 'ISO, YMD'")
        assert other.rows(sql) == [["2026-02-01", "1"]]
        other.simple("ROLLBACK")
        assert other.rows(sql) == [["01.02.2026", "1"]]
        other.simple("SELECT set_config('datestyle', 'SQL', false)")
        assert other.rows(sql) == [["01/02/2026", "1"]]


def test_search_path(pgpool, one):
    sql = "SELECT a FROM own"
    with raw.connected(pgpool) as other:
        one.simple("SET search_path = qc_one")
        other.simple("SET search_path = qc_two")
        assert wait_kept(pgpool, one, sql) == [["one"]]
        assert wait_kept(pgpool, other, sql) == [["two"]]
        other.simple("UPDATE own SET a = 'two!'")
        assert other.rows(sql) == [["two!"]]
        other.simple("BEGIN; SET LOCAL search_path = qc_one; UPDATE own SET a = 'one!'; COMMIT")
        assert one.rows(sql) == [["one!"]] and other.rows(sql) == [["two!"]]


def test_temporary_tables_hide_others(pgpool, one):
    sql = "SELECT count(*) FROM own"
    one.simple("SET search_path = qc_one")
    assert wait_kept(pgpool, one, sql) == [["1"]]
    one.simple("CREATE TEMP TABLE own (a int)")
    assert one.rows(sql) == [["0"]]
    one.simple("DROP TABLE pg_temp.own")
    assert one.rows(sql) == [["1"]]
    one.simple("DISCARD ALL")


@pytest.mark.parametrize("mode", ["auto", "transaction", "session"])
def test_prepared_by_psycopg(start_pgpool, cluster, mode):
    pgpool = start_pgpool(**PGPOOL_SETTINGS | {"pool_mode": mode})
    cluster.sql(SETUP)
    with psycopg.connect(host=pgpool.host, port=pgpool.port, user="postgres", dbname="test",
                         autocommit=True, prepare_threshold=0) as one, \
            raw.connected(pgpool) as writer:
        def ask(value):
            return one.execute("SELECT a, b FROM qc.t WHERE a = %s", (value,)).fetchall()

        def kept():
            before = hits(pgpool)
            assert ask(1) == [(1, "one")]
            return hits(pgpool) > before

        wait_for(kept, "it to be kept")
        assert ask(2) == [(2, "two")]
        writer.simple("UPDATE qc.t SET b = 'uno' WHERE a = 1")
        assert ask(1) == [(1, "uno")]
        one.autocommit = False
        for value in (1, 2, 1):
            ask(value)
        one.execute("UPDATE qc.t SET b = 'mine' WHERE a = 1")
        assert ask(1) == [(1, "mine")]
        one.rollback()
        assert ask(1) == [(1, "uno")]
        one.rollback()
        # the answer's columns are what the client was told
        writer.simple("ALTER TABLE qc.t ALTER a TYPE bigint")
        for _ in range(3):
            try:
                assert ask(2) == [(2, "two")]
            except psycopg.errors.FeatureNotSupported:
                one.rollback()


def test_prepared_by_asyncpg(pgpool, one):
    """By names that are not the server's, without a description."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(
        host=pgpool.host, port=pgpool.port, user="postgres", database="test"))
    statement = loop.run_until_complete(connection.prepare("SELECT b FROM qc.t WHERE a = $1"))

    def ask():
        return [row["b"] for row in loop.run_until_complete(statement.fetch(1))]

    def kept():
        before = hits(pgpool)
        assert ask() == ["one"]
        return hits(pgpool) > before

    try:
        wait_for(kept, "it to be kept")
        one.simple("UPDATE qc.t SET b = 'uno' WHERE a = 1")
        assert ask() == ["uno"]
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


def test_statements_of_the_protocol(pgpool, one):
    """B E S with binary results, and a Parse that was answered here."""
    use = raw.bind("", "s", "1", results=(1,)) + raw.execute() + raw.SYNC
    one.send(raw.parse("s", "SELECT a FROM qc.typed WHERE a = $1") + raw.SYNC)
    one.read_until("Z")

    def ask():
        before = hits(pgpool)
        one.send(use)
        rows = [got.row() for got in one.read_until("Z") if got.kind == "D"]
        assert rows == [[b"\0\0\0\1"]]
        return hits(pgpool) > before

    wait_for(ask, "it to be kept")
    with raw.connected(pgpool) as other:
        fails = other.simple("ALTER TABLE qc.t ALTER a TYPE bigint")
        assert raw.codes(fails) == ["0A000"]  # there are views
        wait_for(ask, "it to be kept again")
        other.rows("ALTER TABLE qc.typed ALTER a TYPE bigint")
        one.send(use)
        assert raw.codes(one.read_until("Z")) == ["0A000"]
        other.rows("ALTER TABLE qc.typed ALTER a TYPE int")
