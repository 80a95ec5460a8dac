"""The query cache, rule by rule: what is answered from it and what never, what a key consists of,
and which writes make answers invalid."""

import pytest

import raw
from cache_asker import Asker, bytes_of, rows_of
from cache_bed import (PGPOOL_SETTINGS, ROLES, T, direct_rows, one_fixture,  # noqa: F401
                       tables_fixture, two_fixture)
from waiting import wait_for

pytestmark = pytest.mark.one_engine

# ---- hits ----------------------------------------------------------------------------------------

WAYS = {
    "simple": lambda one: one.simple(T),
    "extended": lambda one: one.extended(T),
    "parameter": lambda one: one.extended("SELECT b FROM c.t WHERE a = $1", "1"),
    "typed": lambda one: one.extended("SELECT b FROM c.t WHERE a = $1", "1", types=(23,)),
    "binary": lambda one: one.extended("SELECT a FROM c.t WHERE a = $1", b"\0\0\0\1",
                                       formats=(1,), results=(1,)),
    "without a description": lambda one: one.extended(T, describe=None),
    "of the statement": lambda one: one.extended(T, describe="S"),
    "named": lambda one: one.extended("SELECT b FROM c.t WHERE a = $1", "1", name="n",
                                      parse=not prepared(one)),
    "named, without a description": lambda one: one.extended(
        "SELECT b FROM c.t WHERE a = $1", "1", name="n", parse=not prepared(one), describe=None),
}


def prepared(one, known=set()):  # pylint: disable=dangerous-default-value
    """Whether this session has asked so before."""
    if one in known:
        return True
    known.add(one)
    return False


@pytest.mark.parametrize("way", WAYS)
def test_a_hit_is_the_same_to_the_byte(one, way):
    if way.startswith("named"):
        WAYS[way](one)  # its Parse is answered once only
    first = WAYS[way](one)
    assert bytes_of(one.warm(lambda: WAYS[way](one))) == bytes_of(first)
    assert not raw.codes(first)


def test_all_sessions_share_it(one, two, pgpool):
    one.warm_rows(T)
    assert two.is_hit(T)
    others = [Asker(pgpool) for _ in range(4)]  # also in other children
    assert all(other.is_hit(T) for other in others)
    for other in others:
        other.close()


def test_the_status_is_the_sessions(one):
    one.warm_rows(T)
    one.rows("BEGIN")
    messages, was_hit = one.hit(lambda: one.simple(T))
    assert was_hit and messages[-1].body == b"T"
    one.rows("COMMIT")
    messages, was_hit = one.hit(lambda: one.simple(T))
    assert was_hit and messages[-1].body == b"I"


def test_a_statement_parsed_by_a_hit_is_there(one):
    """No server has seen it; later one needs it."""
    def ask(parse, value):
        return one.extended("SELECT b FROM c.t WHERE a = $1", value, name="later", parse=parse)
    one.warm(lambda: one.extended("SELECT b FROM c.t WHERE a = $1", "1", name=fresh()))
    messages, was_hit = one.hit(lambda: ask(True, "1"))
    assert was_hit and rows_of(messages) == [["x"]]
    assert rows_of(ask(False, "2")) == [["y"]]
    one.one.send(raw.describe("S", "later"), raw.SYNC)
    assert [got.kind for got in one.one.read_until("Z")] == ["t", "T", "Z"]


def fresh(names=[0]):  # pylint: disable=dangerous-default-value
    """A name for a statement that nobody has had."""
    names[0] += 1
    return f"fresh{names[0]}"


def test_a_hit_needs_no_server(cluster, tables, start_pgpool):
    pgpool = start_pgpool(**PGPOOL_SETTINGS | {"max_backend_connections": 1,
                                               "num_init_children": 1})
    with Asker(pgpool) as one:
        one.warm_rows(T)
        with Asker(pgpool) as busy:
            busy.rows("BEGIN")
            busy.rows("LOCK TABLE c.other")  # has the only connection
            assert one.is_hit(T)
            busy.rows("ROLLBACK")


CACHED = ["SELECT a FROM c.v", "SELECT a FROM c.vv", "SELECT * FROM c.part",
          "SELECT * FROM c.part1", "SELECT * FROM c.base", "SELECT * FROM ONLY c.base",
          "WITH x AS (SELECT a FROM c.t) SELECT * FROM x JOIN c.other USING (a)",
          "SELECT a, current_user FROM c.t", "SELECT to_char(a, '999') FROM c.t",
          "SELECT c.fixed(a) FROM c.t", "SELECT count(*), sum(a) FROM c.t GROUP BY b",
          "SELECT a FROM c.u", "SELECT count FROM c.m", "SELECT 1", "VALUES (1), (2)",
          "TABLE c.t", "SELECT a FROM c.t ORDER BY a LIMIT 1",
          "SELECT a FROM c.t UNION SELECT a FROM c.other",
          "/*FORCE QUERY CACHE*/ SELECT a FROM c.t"]


@pytest.mark.parametrize("sql", CACHED)
def test_cached(one, sql, direct):
    first = rows_of(one.simple(sql))
    assert one.warm_rows(sql) == first
    assert direct_rows(direct, sql) == first
    assert dict(one.rows("PGPOOL EXPLAIN " + sql))["cache"].startswith("yes")


NOT_CACHED = ["SELECT now()", "SELECT random()", "SELECT a, clock_timestamp() FROM c.t",
              "SELECT a FROM c.t FOR UPDATE", "SELECT a FROM c.t FOR SHARE",
              "SELECT a FROM c.t TABLESAMPLE system (100)", "SELECT relname FROM pg_class LIMIT 1",
              "SELECT ctid FROM c.t", "SELECT xmin, a FROM c.t", "SELECT last_value FROM c.s",
              "SELECT nextval('c.s')", "SELECT * FROM c.clock", "SELECT c.steady()",
              "SELECT current_setting('work_mem')", "SELECT pg_backend_pid()",
              "/*NO QUERY CACHE*/ SELECT a FROM c.t",
              "SELECT a FROM c.t WHERE 'now'::date > '2000-01-01'",
              "SELECT 'today'::text, a FROM c.t", "SELECT current_date", "SELECT LOCALTIME",
              "SELECT c.says(a) FROM c.t", "SHOW work_mem", "EXPLAIN SELECT a FROM c.t",
              "SELECT * FROM information_schema.tables LIMIT 1",
              "SELECT age(timestamp '2000-01-01')", "SELECT inet_client_addr()",
              "SELECT x FROM c.big", "SELECT a FROM c.setting", "SELECT 1; SELECT 2",
              "SELECT a FROM c.t; SELECT a FROM c.t", "/* pgpool: primary */ SELECT a FROM c.t",
              "SELECT c.writes()", "SELECT pg_sleep(0)", "SELECT txid_current()"]


@pytest.mark.parametrize("sql", NOT_CACHED)
def test_never_cached(one, sql):
    if sql == "SELECT a FROM c.setting":
        one.rows("SET ROLE cache_a")
    one.never_hits(lambda: one.simple(sql))
    one.never_hits(lambda: one.extended(sql) if ";" not in sql else one.simple(sql), 2)


@pytest.mark.parametrize("sql, why", [
    ("SELECT now()", "no: it calls a function whose answers may change"),
    ("SELECT a FROM c.t FOR UPDATE", "no: "),
    ("SELECT a FROM pg_class", "no: "),
    ("/*NO QUERY CACHE*/ SELECT a FROM c.t", "no: its comment says so"),
    ("INSERT INTO c.t VALUES (1)", "no: it may write"),
    ("SELECT a FROM c.s", "no: "),
    ("not even SQL", "no: it is not understood"),
    ("SELECT a FROM c.t", "yes: its answer comes from 1 table"),
    ("SELECT 1", "yes: "),
])
def test_explain_says_why(one, sql, why):
    assert dict(one.rows("PGPOOL EXPLAIN " + sql))["cache"].startswith(why)


def test_words_that_mean_now_as_a_parameter(one):
    sql = "SELECT a FROM c.t WHERE $1::timestamptz IS NOT NULL"
    one.warm(lambda: one.extended(sql, "2000-01-01"))
    for word in ("now", "NOW", " today", "tomorrow", "yesterday", "today 10:00"):
        one.never_hits(lambda w=word: one.extended(sql, w), 3)


def test_a_notice_is_not_lost(one):
    for messages in one.never_hits(lambda: one.simple("SELECT c.says(1)")):
        assert "N" in [got.kind for got in messages]


def test_errors_are_not_kept(one):
    for messages in one.never_hits(lambda: one.simple("SELECT a / 0 FROM c.t")):
        assert raw.codes(messages) == ["22012"]


def test_temporary_tables(one, two):
    one.warm_rows("SELECT a FROM c.other")
    one.rows("SET search_path = c")
    one.warm_rows("SELECT a FROM other")
    one.rows("CREATE TEMP TABLE other AS SELECT 99 AS a")
    for messages in one.never_hits(lambda: one.simple("SELECT a FROM other")):
        assert rows_of(messages) == [["99"]]
    assert two.warm_rows("SELECT a FROM c.other") == [["7"]]
    one.rows("DROP TABLE other")
    assert rows_of(one.simple("SELECT a FROM other")) == [["7"]]


def test_what_is_suspended_is_not_from_the_cache(one):
    sql = "SELECT a FROM c.t ORDER BY a"

    def ask():
        one.one.send(raw.parse("", sql), raw.bind("", ""), raw.execute("", 1), raw.SYNC)
        return one.one.read_until("Z")
    one.warm_rows(sql)
    for messages in one.never_hits(ask):
        assert [got.kind for got in messages] == ["1", "2", "D", "s", "Z"]


def test_named_portals_stay(one):
    one.warm(lambda: one.extended("SELECT a FROM c.t ORDER BY a", describe=None))
    one.rows("BEGIN")
    one.one.send(raw.parse("", "SELECT a FROM c.t ORDER BY a"), raw.bind("p", ""),
                 raw.execute("p"), raw.SYNC)
    assert len(rows_of(one.one.read_until("Z"))) == 2
    one.one.send(raw.describe("P", "p"), raw.SYNC)
    assert "T" in [got.kind for got in one.one.read_until("Z")]
    one.rows("COMMIT")


# ---- keys ----------------------------------------------------------------------------------------

def test_what_a_key_consists_of(one):
    """Each differs from the others in one thing."""
    sql = "SELECT a, b FROM c.t WHERE a = $1"
    ways = [
        lambda: one.extended(sql, "1"), lambda: one.extended(sql, "2"),
        lambda: one.extended(sql, None), lambda: one.extended(sql, b"\0\0\0\1", formats=(1,)),
        lambda: one.extended(sql, "1", results=(1,)),
        lambda: one.extended(sql, "1", results=(0, 1)),
        lambda: one.extended(sql, "1", describe=None), lambda: one.extended(sql, "1", describe="S"),
        lambda: one.extended(sql, "1", types=(23,)), lambda: one.extended(sql, "1", types=(20,)),
        lambda: one.simple("SELECT a, b FROM c.t WHERE a = 1"),
        lambda: one.simple("SELECT a, b FROM c.t WHERE a = 2"),
    ]
    right = [bytes_of(way()) for way in ways]
    for _ in range(3):
        assert [bytes_of(way()) for way in ways] == right
    assert [bytes_of(one.warm(way)) for way in ways] == right


def test_roles_and_row_security(one, pgpool):
    sql = "SELECT a FROM c.guarded"
    assert one.warm_rows(sql) == [["1"], ["2"]]
    for way in ("login", "SET ROLE", "SET SESSION AUTHORIZATION"):
        for number, role in enumerate(ROLES, 1):
            login = {"user": role} if way == "login" else {}
            with Asker(pgpool, **login) as other:
                if way != "login":
                    other.rows(f"{way} {role}")
                assert rows_of(other.simple(sql)) == [[str(number)]]
                assert other.warm_rows(sql) == [[str(number)]]
                if way != "login":
                    other.rows("RESET ROLE; RESET SESSION AUTHORIZATION")
                    assert rows_of(other.simple(sql)) == [["1"], ["2"]]
    assert one.warm_rows(sql) == [["1"], ["2"]]


def test_search_paths(one, two):
    one.rows("SET search_path = cache_a")
    two.rows("SET search_path = cache_b")
    for _ in range(4):
        assert rows_of(one.simple("SELECT who FROM mine")) == [["cache_a"]]
        assert rows_of(two.simple("SELECT who FROM mine")) == [["cache_b"]]
    assert one.warm_rows("SELECT who FROM mine") == [["cache_a"]]
    assert two.warm_rows("SELECT who FROM mine") == [["cache_b"]]
    one.rows("BEGIN")
    one.rows("SET LOCAL search_path = cache_b")
    assert one.rows("SELECT who FROM mine") == [["cache_b"]]
    one.rows("ROLLBACK")
    assert one.warm_rows("SELECT who FROM mine") == [["cache_a"]]


def test_parameters(one, two):
    sql = "SELECT timestamptz '2024-01-01 00:00+00', 0.1::float4::float8, a FROM c.t WHERE a = 1"
    for text in ("SET TimeZone = 'Asia/Tokyo'", "SET DateStyle = 'German'",
                 "SET extra_float_digits = 0",
                 "SELECT set_config('TimeZone', 'America/New_York', false)"):
        before = two.warm_rows(sql)
        one.rows(text)
        changed = rows_of(one.simple(sql))
        assert changed != before
        assert one.warm_rows(sql) == changed
        assert two.warm_rows(sql) == before
        one.rows("RESET ALL")
        assert rows_of(one.simple(sql)) == before


def test_a_database_of_the_same_name(one, pgpool, cluster):
    def ask():
        with Asker(pgpool, database="cache_db") as other:
            for _ in range(4):
                found = rows_of(other.simple("SELECT a FROM t"))
            return found
    for number in ("1", "2"):
        one.rows("DROP DATABASE IF EXISTS cache_db WITH (FORCE)")
        one.rows("CREATE DATABASE cache_db")
        with raw.connected(pgpool, database="cache_db") as other:
            other.rows(f"CREATE TABLE t AS SELECT {number} AS a")
        assert ask() == [[number]]
    one.rows("DROP DATABASE cache_db WITH (FORCE)")
    cluster.wait_replayed()


# ---- writes --------------------------------------------------------------------------------------

WRITES = [
    ("update", T, "UPDATE c.t SET b = 'new' WHERE a = 1"),
    ("insert", "SELECT count(*) FROM c.t", "INSERT INTO c.t VALUES (3, 'z')"),
    ("delete", "SELECT count(*) FROM c.t", "DELETE FROM c.t WHERE a = 2"),
    ("merge", T, "MERGE INTO c.t USING (VALUES (1)) s(a) ON t.a = s.a WHEN MATCHED THEN UPDATE "
     "SET b = 'merged'"),
    ("cte", T, "WITH w AS (UPDATE c.t SET b = 'cte' WHERE a = 1 RETURNING a) SELECT * FROM w"),
    ("truncate", "SELECT count(*) FROM c.t", "TRUNCATE c.t"),
    ("returning", T, "UPDATE c.t SET b = 'r' WHERE a = 1 RETURNING *"),
    ("upsert", T, "INSERT INTO c.t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 'up'"),
    ("through a view", T, "UPDATE c.v SET b = 'view' WHERE a = 1"),
    ("read through a view", "SELECT b FROM c.v WHERE a = 1", "UPDATE c.t SET b = 'v' WHERE a = 1"),
    ("read through two views", "SELECT count(*) FROM c.vv", "INSERT INTO c.t VALUES (8)"),
    ("function", T, "SELECT c.writes()"), ("procedure", T, "CALL c.proc()"),
    ("do", T, "DO $$ BEGIN UPDATE c.t SET b = 'do' WHERE a = 1; END $$"),
    ("trigger", "SELECT a FROM c.log", "INSERT INTO c.src VALUES (1)"),
    ("rule", "SELECT a FROM c.other", "INSERT INTO c.ruled VALUES (77)"),
    ("cascade of an update", "SELECT id FROM c.owned", "UPDATE c.owner SET id = 5"),
    ("cascade of a delete", "SELECT count(*) FROM c.owned", "DELETE FROM c.owner"),
    ("cascade of a truncate", "SELECT count(*) FROM c.owned", "TRUNCATE c.owner CASCADE"),
    ("parent, read the partition", "SELECT b FROM c.part1", "UPDATE c.part SET b = 11 WHERE a = 1"),
    ("partition, read the parent", "SELECT sum(b) FROM c.part", "UPDATE c.part1 SET b = 12"),
    ("to another partition", "SELECT count(*) FROM c.part2", "UPDATE c.part SET a = 2"),
    ("parent, read the child", "SELECT a FROM c.heir", "UPDATE c.base SET a = 3"),
    ("child, read the parent", "SELECT count(*) FROM c.base", "INSERT INTO c.heir VALUES (4)"),
    ("refresh", "SELECT count FROM c.m",
     "INSERT INTO c.t VALUES (9); REFRESH MATERIALIZED VIEW c.m"),
    ("several statements", T, "SELECT 1; UPDATE c.t SET b = 's' WHERE a = 1; SELECT 2"),
    ("prepared by SQL", T, "PREPARE p AS UPDATE c.t SET b = 'p' WHERE a = 1; EXECUTE p; "
     "DEALLOCATE p"),
    ("explain analyze", T, "EXPLAIN ANALYZE UPDATE c.t SET b = 'e' WHERE a = 1"),
    ("new definition of a view", "SELECT * FROM c.vv",
     "CREATE OR REPLACE VIEW c.vv AS SELECT a + 100 AS a FROM c.v"),
    ("new definition of a function", "SELECT c.fixed(a) FROM c.t",
     "CREATE OR REPLACE FUNCTION c.fixed(int) RETURNS int LANGUAGE sql IMMUTABLE AS "
     "'SELECT $1 + 200'"),
    ("another column", "SELECT * FROM c.other", "ALTER TABLE c.other ADD COLUMN n int DEFAULT 5"),
    ("another type", "SELECT a FROM c.log", "ALTER TABLE c.log ALTER a TYPE text USING 'x'"),
    ("another table", "SELECT a FROM c.other",
     "DROP TABLE c.other CASCADE; CREATE TABLE c.other AS SELECT 70 AS a"),
    ("renamed", "SELECT a FROM c.other",
     "ALTER TABLE c.other RENAME TO gone; CREATE TABLE c.other AS SELECT 71 AS a"),
    ("attach", "SELECT count(*) FROM c.part", "ALTER TABLE c.part DETACH PARTITION c.part2"),
]


@pytest.mark.parametrize("way", ("simple", "extended", "transaction", "pipeline"))
@pytest.mark.parametrize("name, read, write", WRITES, ids=[name for name, _, _ in WRITES])
def test_a_write_is_seen(one, two, direct, name, read, write, way):
    before = one.warm_rows(read)
    texts = write.split("; ") if way != "simple" and "$$" not in write else [write]
    if way == "transaction":
        texts = ["BEGIN", *texts, "COMMIT"]
    if way == "simple":
        two.rows(write)
    elif way == "pipeline":
        two.one.send(*[raw.parse("", text) + raw.bind("", "") + raw.execute() + raw.SYNC
                       for text in texts])
        assert not raw.codes(two.one.read_until("Z", len(texts)))
    else:
        for text in texts:
            rows_of(two.extended(text))
    after, was_hit = one.hit(lambda: one.simple(read))
    assert not was_hit
    assert rows_of(after) == direct_rows(direct, read)
    assert rows_of(after) != before, name
    assert one.warm_rows(read) == rows_of(after)


def test_copy_is_seen(one, two):
    one.warm_rows("SELECT count(*) FROM c.t")
    two.one.send(raw.query("COPY c.t FROM STDIN"))
    two.one.read_until("G")
    assert not one.is_hit("SELECT count(*) FROM c.t")
    two.one.send(raw.copy_data("5\tz\n"), raw.COPY_DONE)
    two.one.read_until("Z")
    assert rows_of(one.simple("SELECT count(*) FROM c.t")) == [["3"]]


def test_function_call_is_seen(one, two, direct):
    oid = direct.value("SELECT 'c.writes'::regproc::oid::int")
    one.warm_rows(T)
    two.one.send(raw.function_call(oid))
    two.one.read_until("Z")
    assert rows_of(one.simple(T)) == [["x!"]]


def test_prepared_transactions(one, two):
    one.warm_rows(T)
    two.rows("BEGIN")
    two.rows("UPDATE c.t SET b = '2pc' WHERE a = 1")
    two.rows("PREPARE TRANSACTION 'cache'")
    for _ in range(4):
        assert rows_of(one.simple(T)) == [["x"]]
    two.rows("COMMIT PREPARED 'cache'")
    assert rows_of(one.simple(T)) == [["2pc"]]
    assert one.warm_rows(T) == [["2pc"]]


@pytest.mark.parametrize("way", ("cursor", "large batch"))
def test_hidden_writes(one, two, way):
    one.warm_rows(T)
    if way == "cursor":
        two.rows("BEGIN")
        two.rows("DECLARE w CURSOR FOR SELECT c.writes()")
        two.rows("FETCH w")
        two.rows("COMMIT")
    else:
        filler = "/*" + "x" * 40000 + "*/"
        two.one.send(raw.parse("", f"SELECT 1 {filler}"), raw.bind("", ""), raw.execute(),
                     raw.parse("", f"SELECT 1 {filler}"), raw.bind("", ""), raw.execute(),
                     raw.parse("", "UPDATE c.t SET b = 'x!' WHERE a = 1"), raw.bind("", ""),
                     raw.execute(), raw.SYNC)
        assert not raw.codes(two.one.read_until("Z"))
    assert rows_of(one.simple(T)) == [["x!"]]


def test_other_tables_stay(one, two):
    two.rows("UPDATE c.t SET b = b")  # what it touches is asked for behind the first one
    one.warm_rows(T)
    one.warm_rows("SELECT a FROM c.other")
    two.rows("UPDATE c.t SET b = 'new' WHERE a = 1")
    assert one.is_hit("SELECT a FROM c.other")
    assert not one.is_hit(T)


def test_a_rollback_changes_nothing(one, two):
    one.warm_rows(T)
    for end in (["ROLLBACK"], ["SAVEPOINT a", "ROLLBACK TO a", "ROLLBACK"],
                ["SELECT 1/0", "COMMIT"]):
        two.rows("BEGIN")
        two.rows("UPDATE c.t SET b = 'never' WHERE a = 1")
        assert not one.is_hit(T)
        for text in end:
            two.simple(text)
        messages, was_hit = one.hit(lambda: one.simple(T))
        assert was_hit and rows_of(messages) == [["x"]]


def test_a_failed_statement_changes_nothing(one, two):
    one.warm_rows(T)
    assert raw.codes(two.simple("UPDATE c.t SET a = a / 0")) == ["22012"]
    assert rows_of(one.simple(T)) == [["x"]]


def test_between_a_write_and_its_end(one, two):
    """From the statement to the commit's answer there are no hits of that table."""
    one.warm_rows(T)
    two.rows("BEGIN")
    two.rows("UPDATE c.t SET b = 'new' WHERE a = 1")
    for _ in range(3):
        messages, was_hit = one.hit(lambda: one.simple(T))
        assert not was_hit and rows_of(messages) == [["x"]]
        messages, was_hit = two.hit(lambda: two.simple(T))
        assert not was_hit and rows_of(messages) == [["new"]]
    two.rows("COMMIT")
    assert rows_of(one.simple(T)) == [["new"]]
    assert one.warm_rows(T) == [["new"]]


def test_nothing_is_kept_before_a_commit(one, two):
    two.rows("BEGIN")
    two.rows("UPDATE c.t SET b = 'mine' WHERE a = 1")
    for _ in range(3):
        assert rows_of(two.simple(T)) == [["mine"]]
    two.rows("ROLLBACK")
    assert rows_of(one.simple(T)) == [["x"]]


def test_snapshots(one, two):
    """What a transaction's snapshot shows is old for everybody else, and new is not for it."""
    one.warm_rows(T)
    one.warm_rows("SELECT a FROM c.other")  # or it would count as a write, as nobody knows it
    one.rows("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert one.rows("SELECT a FROM c.other /*NO QUERY CACHE*/") == [["7"]]
    two.rows("UPDATE c.t SET b = 'new' WHERE a = 1")
    assert two.warm_rows(T) == [["new"]]
    for _ in range(3):
        assert rows_of(one.simple(T)) == [["x"]]
    one.rows("COMMIT")
    assert rows_of(one.simple(T)) == [["new"]]
    assert two.is_hit(T)


def test_a_lost_session(one, pgpool):
    """Who goes away in the middle of a write leaves nothing that is wrong, nor blocked for ever."""
    one.warm_rows(T)
    with Asker(pgpool) as other:
        other.rows("BEGIN")
        other.rows("UPDATE c.t SET b = 'gone' WHERE a = 1")
    assert rows_of(one.simple(T)) == [["x"]]
    assert one.warm_rows(T) == [["x"]]


def test_a_child_is_killed(one, pgpool, direct):
    """What it has sent may still be committed: nobody is told the old answer by the cache."""
    one.warm_rows(T)
    own = child_of(one)
    others = []
    while not others or child_of(others[-1]) == own:
        others.append(Asker(pgpool))
    victim = child_of(others[-1])
    others[-1].rows("BEGIN")
    others[-1].rows("UPDATE c.t SET b = 'orphan' WHERE a = 1")
    pgpool.kill_named("child", victim)
    for other in others:
        other.close()
    assert rows_of(one.simple(T)) == [["x"]]
    wait_for(lambda: one.is_hit(T), "the table to be cached again", 30)
    assert direct.value(T) == "x"


def child_of(asker):
    port = str(asker.one.socket.getsockname()[1])
    return int(next(row[0] for row in asker.rows("SHOW pool_sessions") if row[6] == port))


# ---- definitions and privileges ------------------------------------------------------------------

def test_revoked_privileges(one, pgpool):
    with Asker(pgpool, user="cache_a") as other:
        assert other.warm_rows(T) == [["x"]]
        one.rows("REVOKE SELECT ON c.t FROM PUBLIC")
        assert raw.codes(other.simple(T)) == ["42501"]
        one.rows("GRANT SELECT ON c.t TO cache_a")
        assert other.warm_rows(T) == [["x"]]


def test_membership_of_roles(one, pgpool):
    one.rows("REVOKE SELECT ON c.t FROM PUBLIC; GRANT SELECT ON c.t TO cache_b")
    one.rows("GRANT cache_b TO cache_a")
    with Asker(pgpool, user="cache_a") as other:
        assert other.warm_rows(T) == [["x"]]
        one.rows("REVOKE cache_b FROM cache_a")
        assert raw.codes(other.simple(T)) == ["42501"]


def test_policies(one, pgpool):
    with Asker(pgpool, user="cache_a") as other:
        assert other.warm_rows("SELECT a FROM c.guarded") == [["1"]]
        one.rows("ALTER POLICY own ON c.guarded USING (owner <> current_user)")
        assert rows_of(other.simple("SELECT a FROM c.guarded")) == [["2"]]
        one.rows("ALTER TABLE c.guarded DISABLE ROW LEVEL SECURITY")
        assert rows_of(other.simple("SELECT a FROM c.guarded")) == [["1"], ["2"]]


def test_settings_of_roles(one, pgpool):
    """They hold for new sessions only: answers of old and new ones are not the same."""
    def ask(asker):
        found = [rows_of(asker.simple("SELECT who FROM mine")) for _ in range(4)]
        assert all(rows == found[0] for rows in found)
        return found[0]
    one.rows("GRANT USAGE ON SCHEMA cache_b TO cache_a; GRANT SELECT ON cache_b.mine TO cache_a")
    one.rows("ALTER ROLE cache_a SET search_path = cache_a")
    try:
        with Asker(pgpool, user="cache_a") as old:
            assert ask(old) == [["cache_a"]]
            one.rows("ALTER ROLE cache_a SET search_path = cache_b")

            def new_path():
                with Asker(pgpool, user="cache_a") as new:
                    return ask(new) == [["cache_b"]]
            wait_for(new_path, "sessions with the new path")
    finally:
        one.rows("ALTER ROLE cache_a RESET search_path")
