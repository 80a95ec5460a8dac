"""PGPOOL EXPLAIN, SHOW pool_routing, and what else sends a read to the primary than its text."""

import pytest

import raw
from waiting import wait_for

PGPOOL_SETTINGS = {"primary_routing_query_pattern_list": "routed_by_pattern"}
WHERE = "SELECT pg_is_in_recovery()"


@pytest.fixture(name="one")
def one_fixture(cluster, pgpool):
    cluster.sql("""
        DROP SCHEMA IF EXISTS ex CASCADE; CREATE SCHEMA ex;
        CREATE TABLE ex.t (a int); CREATE UNLOGGED TABLE ex.u (a int); CREATE SEQUENCE ex.s;
        CREATE VIEW ex.v AS SELECT nextval('ex.s');
        CREATE FUNCTION ex.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION ex.k() RETURNS text LANGUAGE sql STABLE
            AS $$ SELECT set_config('work_mem', '5MB', false) $$""")

    def balanced():
        with raw.connected(pgpool) as probe:
            return explain(probe, WHERE)["role"] == "standby"

    wait_for(balanced, "reads to go to a standby")
    with raw.connected(pgpool) as one:
        yield one


def explain(one, statement):
    return dict(one.rows("PGPOOL EXPLAIN " + statement))


@pytest.mark.parametrize("statement, role, reason", [
    ("SELECT a FROM ex.t", "standby", "a read, balanced over the nodes by backend_weight"),
    ("EXPLAIN SELECT a FROM ex.t", "standby", "a read, balanced over the nodes by backend_weight"),
    ("INSERT INTO ex.t VALUES (1)", "primary", "it may write"),
    ("SELECT a FROM ex.t FOR UPDATE", "primary", "it locks rows"),
    ("SHOW work_mem", "primary", "statements of this kind run on the primary"),
    ("SELECT ex.f()", "primary", "it calls a function that may write"),
    ("SELECT * FROM ex.v", "primary", "it calls a function that may write"),
    ("SELECT ex.k()", "primary", "it may leave something in the session"),
    ("SELECT * FROM pg_class", "primary", "it reads the system catalog"),
    ("SELECT * FROM ex.u", "primary", "it reads an unlogged table, which standbys do not have"),
    ("SELECT * FROM ex.s", "primary", "it reads a sequence, which is ahead on standbys"),
    ("SELECT * FROM ex.nix", "primary", "the catalog does not know a name in it"),
    ("SELECT /* pgpool: primary */ 1", "primary", "a comment asks for the primary"),
    ("SELECT /* pgpool: node=2 */ 1", "standby", "a read, and a comment in it names the node"),
    ("SELECT 'routed_by_pattern'", "primary", "primary_routing_query_pattern_list matches it"),
])
def test_reasons(one, statement, role, reason):
    answer = explain(one, statement)
    assert (answer["role"], answer["reason"]) == (role, reason)
    assert (answer["node_id"] == "0") == (role == "primary")
    assert {"statement", "catalog", "session", "transaction", "read_consistency", "node 1",
            "node 2"} < set(answer)


def test_the_session_as_it_stands(one):
    assert explain(one, WHERE)["transaction"] == "none"
    one.rows("BEGIN")
    assert explain(one, WHERE)["transaction"] == "begun, and not sent to a server yet"
    assert one.rows(WHERE) == [["t"]]
    assert explain(one, WHERE)["transaction"] == "runs on the node that is read from"
    assert explain(one, "INSERT INTO ex.t VALUES (1)")["role"] == "primary"
    one.rows("INSERT INTO ex.t VALUES (1)")
    answer = explain(one, WHERE)
    assert answer["role"] == "primary"
    assert answer["reason"] == "it belongs to the transaction or batch that runs there"
    one.rows("ROLLBACK")
    one.rows("CREATE TEMP TABLE ex_temp (a int)")
    answer = explain(one, "SELECT a FROM ex.t")
    assert answer["reason"] == "the session has state that only the primary's connection has"
    one.rows("DISCARD ALL")


def test_nothing_is_run(one):
    before = one.rows("SELECT count(*) FROM ex.t /* pgpool: primary */")
    explain(one, "INSERT INTO ex.t VALUES (1)")
    assert one.rows("SELECT count(*) FROM ex.t /* pgpool: primary */") == before


def test_extended_protocol(one):
    text = "PGPOOL EXPLAIN SELECT a FROM ex.t"
    one.send(raw.parse("", text), raw.bind("", ""), raw.describe("P", ""),
             raw.execute(), raw.SYNC)
    answer = one.read_until("Z")
    assert [got.kind for got in answer][:3] == ["1", "2", "T"]
    assert answer[-2].body == b"EXPLAIN\0"
    assert len([got for got in answer if got.kind == "D"]) == len(explain(one, "SELECT 1"))


def counts(one):
    return {row[0]: int(row[1]) for row in one.rows("SHOW pool_routing")}


def test_reasons_are_counted(one):
    explain(one, "SELECT a FROM ex.t")
    before = counts(one)
    one.rows("SELECT a FROM ex.t")
    one.rows("SELECT * FROM ex.u")
    one.rows("SELECT 1 /* pgpool: primary */")
    after = counts(one)
    gone = {name for name in after if after[name] > before[name]}
    assert gone >= {"balanced", "unlogged", "hint_primary"}
    assert after["unlogged"] == before["unlogged"] + 1


def test_comments_and_blanks(one, start_pgpool):
    assert one.rows("/* c */ " + WHERE) == [["t"]]
    assert one.rows("-- c\n" + WHERE) == [["t"]]
    one.rows("PGPOOL SET allow_sql_comments = off")
    assert explain(one, "/* c */ SELECT 1")["reason"].startswith("it begins with a comment")
    assert one.rows("/* c */ " + WHERE) == [["f"]]
    assert one.rows(WHERE + " /* c */") == [["t"]]
    strict = start_pgpool(ignore_leading_white_space="off")
    with raw.connected(strict) as other:
        wait_for(lambda: other.rows(WHERE) == [["t"]], "reads to go to a standby")
        assert other.rows(" " + WHERE) == [["f"]]


def fresh(one):
    """Once the standbys have what was written, and the server has said that nothing was left in the
    session, only the rule under test keeps reads away."""
    answer = explain(one, "SELECT 1")
    return answer["session"].startswith("nothing") and \
        not any("not fresh" in value for value in answer.values())


@pytest.fixture(name="writer")
def writer_fixture(request, one, start_pgpool):
    """A session under the disable_load_balance_on_write of the test that has written once; only
    that keeps its reads away now."""
    with raw.connected(start_pgpool(disable_load_balance_on_write=request.param)) as writer:
        wait_for(lambda: writer.rows(WHERE) == [["t"]], "reads to go to a standby")
        writer.rows("INSERT INTO ex.t VALUES (1)")
        wait_for(lambda: fresh(writer), "the standbys to catch up")
        yield writer


@pytest.mark.parametrize("writer", ["always"], indirect=True)
def test_always_after_a_write(writer):
    assert writer.rows(WHERE) == [["f"]]
    assert "disable_load_balance_on_write" in explain(writer, "SELECT 1")["reason"]
    writer.rows("BEGIN")
    assert writer.rows(WHERE) == [["f"]]
    writer.rows("COMMIT")


@pytest.mark.parametrize("writer", ["trans_transaction"], indirect=True)
def test_later_transactions_after_a_write(writer):
    writer.rows("BEGIN")
    assert writer.rows(WHERE) == [["t"]]
    writer.rows("INSERT INTO ex.t VALUES (1)")
    writer.rows("COMMIT")
    wait_for(lambda: fresh(writer), "the standbys to catch up")
    writer.rows("BEGIN")
    assert writer.rows(WHERE) == [["f"]]
    writer.rows("COMMIT")
    assert writer.rows(WHERE) == [["t"]]
