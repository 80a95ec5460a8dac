"""The query cache under attack: what may change an answer without being seen to."""

import pytest

import raw
from waiting import wait_for

PGPOOL_SETTINGS = {"memory_cache_enabled": "on", "num_init_children": 2,
                   "read_consistency": "global"}
SETUP = """
    DROP SCHEMA IF EXISTS qa, qb CASCADE; CREATE SCHEMA qa; CREATE SCHEMA qb;
    CREATE TABLE qa.t (a int); INSERT INTO qa.t VALUES (1);
    CREATE TABLE qb.t (a int); INSERT INTO qb.t VALUES (1);
    CREATE VIEW qa.v AS SELECT a FROM qa.t;
    CREATE FUNCTION qa.go() RETURNS int LANGUAGE plpgsql AS $$
        BEGIN PERFORM set_config('search_path', 'qb', false); RETURN 1; END $$;
    CREATE FUNCTION qa.goes() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM set_config('search_path', 'qb', false); RETURN new; END $$;
    CREATE TABLE qa.going (a int);
    CREATE TRIGGER g AFTER INSERT ON qa.going FOR EACH ROW EXECUTE FUNCTION qa.goes();
    CREATE FUNCTION qa.style() RETURNS int LANGUAGE plpgsql AS $$
        BEGIN PERFORM set_config('datestyle', 'German', true); RETURN 1; END $$;
    CREATE FUNCTION qa.define() RETURNS int LANGUAGE plpgsql AS $$
        BEGIN CREATE OR REPLACE VIEW qa.v AS SELECT a FROM qb.t; RETURN 1; END $$;
    CREATE FUNCTION qa.defines() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN CREATE OR REPLACE VIEW qa.v AS SELECT a FROM qb.t; RETURN new; END $$;
    CREATE TABLE qa.defining (a int);
    CREATE TRIGGER d AFTER INSERT ON qa.defining FOR EACH ROW EXECUTE FUNCTION qa.defines();
    CREATE TABLE qa.late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE FUNCTION qa.write() RETURNS int LANGUAGE sql AS
        'INSERT INTO qa.t VALUES (10) RETURNING a';
    CREATE PROCEDURE qa.commits() LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO qa.t VALUES (10); COMMIT; RAISE 'too late'; END $$;
"""
ROLES = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qa_user') THEN
            CREATE ROLE qa_user LOGIN; CREATE ROLE qa_group;
        END IF;
    END $$;
    REVOKE qa_group FROM qa_user;
    CREATE TABLE qa.rows (a int); INSERT INTO qa.rows VALUES (1);
    ALTER TABLE qa.rows ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON qa.rows TO qa_group USING (true);
    GRANT USAGE ON SCHEMA qa TO qa_user; GRANT SELECT ON qa.rows TO qa_user;
"""
UNCACHED = "/*NO QUERY CACHE*/ "
SUM = "SELECT sum(a) FROM qa.t"
MODES = pytest.mark.parametrize("mode", ["auto", "transaction"])

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(45)]


def tell(pgpool):
    """What was made behind its back."""
    with raw.connected(pgpool) as one:
        one.simple("CREATE TABLE qa.told (a int)")


@pytest.fixture(name="one")
def one_fixture(cluster, pgpool):
    cluster.sql(SETUP)
    tell(pgpool)
    with raw.connected(pgpool) as one:
        yield one


def start(start_pgpool, cluster, mode):
    pgpool = start_pgpool(**PGPOOL_SETTINGS | {"pool_mode": mode})
    cluster.sql(SETUP)
    tell(pgpool)
    return pgpool


def hits(pgpool):
    with raw.connected(pgpool, database="postgres") as probe:
        return {row[0]: int(row[1]) for row in probe.rows("SHOW pool_routing")}["cache"]


def is_hit(pgpool, one, sql):
    before = hits(pgpool)
    one.rows(sql)
    return hits(pgpool) > before


def wait_kept(pgpool, one, sql):
    wait_for(lambda: is_hit(pgpool, one, sql), f"the answer to {sql} to be kept")
    return one.rows(sql)


def ask_often(pgpool, one, sql):
    """Whether it may be kept or not."""
    for _ in range(20):
        if is_hit(pgpool, one, sql):
            break
    return one.rows(sql)


@MODES
@pytest.mark.parametrize("mover", ["SELECT qa.go()", "INSERT INTO qa.going VALUES (1)"])
@pytest.mark.parametrize("form", ["several", "pipelined", "one by one"])
def test_function_changes_the_search_path(start_pgpool, cluster, mode, mover, form):
    pgpool = start(start_pgpool, cluster, mode)
    sql, write = "SELECT sum(a) FROM qb.t", "INSERT INTO t VALUES (100)"
    with raw.connected(pgpool) as one, raw.connected(pgpool) as writer:
        for text in ("SET search_path = qa", "INSERT INTO t VALUES (0)", mover,
                     "SET search_path = qa"):
            writer.simple(text)
        assert wait_kept(pgpool, one, sql) == [["1"]]
        if form == "several":
            writer.simple(f"{mover}; {write}")
        else:
            writer.send(raw.query(mover))
            if form == "one by one":
                writer.read_until("Z")
            writer.send(raw.query(write))
            writer.read_until("Z", 1 if form == "one by one" else 2)
        assert writer.rows("SHOW search_path") == [["qb"]]
        assert one.rows(sql) == [["101"]]


@MODES
@pytest.mark.parametrize("texts", [
    ["SELECT qa.define()"], ["INSERT INTO qa.defining VALUES (1)"],
    ["PREPARE p AS SELECT qa.define()", "EXECUTE p"],
    ["PREPARE p AS INSERT INTO qa.defining VALUES (1)", "EXECUTE p"],
    ["BEGIN", "DECLARE c CURSOR FOR SELECT qa.define()", "FETCH c", "COMMIT"],
    ["DO $$ BEGIN PERFORM qa.define(); END $$"], ["COPY (SELECT qa.define()) TO STDOUT"],
    ["EXPLAIN ANALYZE SELECT qa.define()"],
    ["WITH w AS (INSERT INTO qa.defining VALUES (1) RETURNING a) SELECT * FROM w"]])
def test_function_changes_the_catalog(start_pgpool, cluster, mode, texts):
    """What was known of a view holds no longer; nor does what is found out meanwhile."""
    pgpool = start(start_pgpool, cluster, mode)
    sql = "SELECT sum(a) FROM qa.v"
    with raw.connected(pgpool) as one, raw.connected(pgpool) as writer, \
            raw.connected(pgpool) as other:
        wait_kept(pgpool, one, sql)
        other.simple("UPDATE qb.t SET a = a")
        for text in texts:
            assert raw.codes(writer.simple(text)) == [], text
        assert ask_often(pgpool, one, sql) == [["1"]]
        other.simple("INSERT INTO qb.t VALUES (100)")
        assert one.rows(sql) == [["101"]]


@MODES
def test_function_changes_a_parameter_for_the_block(start_pgpool, cluster, mode):
    pgpool = start(start_pgpool, cluster, mode)
    sql = "SELECT '2026-02-01'::date, a FROM qa.t"
    with raw.connected(pgpool) as one, raw.connected(pgpool) as other:
        wait_kept(pgpool, one, sql)
        other.simple("BEGIN")
        assert other.rows(sql) == [["2026-02-01", "1"]]
        other.rows("SELECT qa.style()")
        assert other.rows(sql) == [["01.02.2026", "1"]]
        other.simple("COMMIT")
        assert other.rows(sql) == [["2026-02-01", "1"]]


@pytest.mark.parametrize("how", ["GRANT qa_group TO qa_user",
                                 "DO $$ BEGIN GRANT qa_group TO qa_user; END $$",
                                 "SELECT public.qa_grant()"])
@pytest.mark.usefixtures("one")
def test_membership_from_another_database(pgpool, cluster, how):
    cluster.sql(ROLES)
    sql = "SELECT count(*) FROM qa.rows"
    with raw.connected(pgpool, user="qa_user") as user, \
            raw.connected(pgpool, database="postgres") as far:
        far.simple("CREATE OR REPLACE FUNCTION public.qa_grant() RETURNS int LANGUAGE plpgsql AS "
                   "'BEGIN GRANT qa_group TO qa_user; RETURN 1; END'")
        assert wait_kept(pgpool, user, sql) == [["0"]]
        assert raw.codes(far.simple(how)) == []
        assert user.rows(sql) == [["1"]]


def test_snapshot_of_a_block(pgpool, one):
    """What was allowed in the block before it is not in this one."""
    wait_kept(pgpool, one, SUM)
    one.simple("BEGIN")
    one.rows(SUM)
    one.simple("COMMIT")
    with raw.connected(pgpool) as other:
        one.simple("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        one.send(raw.parse("", SUM), raw.bind("", ""), raw.execute(), raw.bind("", ""),
                 raw.execute(), raw.SYNC)
        one.read_until("Z")
        other.simple("INSERT INTO qa.t VALUES (10)")
        assert ask_often(pgpool, other, SUM) == [["11"]]
        assert one.rows(SUM) == [["1"]]
        one.simple("COMMIT")
        assert one.rows(SUM) == [["11"]]


LEVEL = "default_transaction_isolation"


@pytest.mark.parametrize("login, text", [
    ({}, f"SET {LEVEL} = 'repeatable read'"),
    ({}, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    ({}, f"SELECT set_config('{LEVEL}', 'repeatable read', false)"),
    ({}, f"DO $$ BEGIN PERFORM set_config('{LEVEL}', 'repeatable read', false); END $$"),
    ({LEVEL: "repeatable read"}, ""),
    ({"options": f"-c {LEVEL}=repeatable\\ read"}, "")])
def test_snapshot_by_default(pgpool, one, login, text):
    wait_kept(pgpool, one, SUM)
    with raw.connected(pgpool, **login) as other:
        if text:
            other.simple(text)
        other.simple("BEGIN")
        assert other.rows(SUM) == [["1"]]
        one.simple("INSERT INTO qa.t VALUES (10)")
        assert ask_often(pgpool, one, SUM) == [["11"]]
        assert other.rows(SUM) == [["1"]]


INSERT = "INSERT INTO qa.t VALUES (10)"


@pytest.mark.parametrize("texts", [
    ["BEGIN", INSERT, "COMMIT AND CHAIN", INSERT, "ROLLBACK"],
    ["BEGIN", INSERT, "ROLLBACK AND CHAIN", INSERT, "COMMIT"],
    ["BEGIN", "SAVEPOINT s", INSERT, "ROLLBACK TO s", INSERT, "RELEASE s", "COMMIT"],
    ["BEGIN", INSERT, "SELECT 1/0", "COMMIT"],
    ["BEGIN", INSERT, "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s", "COMMIT"],
    ["BEGIN", INSERT, "INSERT INTO qa.late VALUES (1), (1)", "COMMIT"],
    [f"BEGIN; {INSERT}; COMMIT; {INSERT}; SELECT 1/0"],
    [f"{INSERT}; SELECT 1/0"],
    ["BEGIN", INSERT, f"COMMIT; BEGIN; {INSERT}", "ROLLBACK"],
    ["BEGIN", INSERT, "PREPARE TRANSACTION 'qa'", "COMMIT PREPARED 'qa'"],
    ["BEGIN", "DECLARE c CURSOR FOR SELECT qa.write()", "FETCH c", "COMMIT"],
    ["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT qa.write()", "COMMIT", "CLOSE c"],
    ["CALL qa.commits()"]])
def test_ends_of_writes(pgpool, one, texts):
    """Everybody sees the same behind each step, and afterwards it is kept again."""
    wait_kept(pgpool, one, SUM)
    with raw.connected(pgpool) as writer:
        for text in texts:
            writer.simple(text)
            assert ask_often(pgpool, one, SUM) == one.rows(UNCACHED + SUM), text
        assert writer.rows(SUM) == wait_kept(pgpool, one, SUM)


@pytest.mark.parametrize("write", ["INSERT INTO qa.t VALUES (10)", "SELECT qa.write()"])
@pytest.mark.parametrize("flush", [b"", raw.FLUSH, raw.SYNC])
def test_read_behind_a_write_that_nobody_waited_for(pgpool, one, write, flush):
    wait_kept(pgpool, one, SUM)
    for n in range(1, 4):
        one.send(raw.parse("", write), raw.bind("", ""), raw.execute(), flush,
                 raw.parse("", SUM), raw.bind("", ""), raw.execute(), raw.SYNC)
        got = one.read_until("Z", 2 if flush == raw.SYNC else 1)
        assert [g.row() for g in got if g.kind == "D"][-1] == [str(1 + 10 * n).encode()]
        with raw.connected(pgpool) as other:
            assert other.rows(SUM) == [[str(1 + 10 * n)]]
