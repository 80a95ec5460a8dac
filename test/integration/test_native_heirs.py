"""Native replication: the main node dies outside of a transaction, and what a session had there is
on the others, too: it goes on with that. What was on the main node alone ends its session."""

import pytest

import raw
from proxy import starter
from test_native import SETTINGS
from test_native_faults import Blocker, end_connections
from test_native_flight import Mortals, waits_in_commit, with_lock
from test_native_recovery import order
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(90)]

MODES = ["native_replication", "snapshot_isolation"]
MORE = """
CREATE TABLE plain (id int PRIMARY KEY, v int, tx text);
INSERT INTO plain VALUES (1, 0, '');
CREATE FUNCTION zone(z text) RETURNS text LANGUAGE sql AS
    $$ SELECT set_config('TimeZone', z, false) $$;
"""
WHEN = "'2020-02-01 12:00+00'::timestamptz::text"
ZONE = f"UPDATE plain SET tx = {WHEN} WHERE id = 1"
TOKYO = "2020-02-01 21:00:00+09"


@pytest.fixture(name="own")
def own_fixture():
    cluster = Mortals()
    for server in cluster.servers:
        with server.connect() as connection:
            connection.execute(MORE)
    yield cluster
    cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(own, engine):
    for start in starter(own, engine):
        yield lambda **more: start(**SETTINGS | {"failover_wait": "60s"} | more)


@pytest.fixture(name="pgpool", params=MODES)
def pgpool_fixture(start, request):
    return start(backend_clustering_mode=request.param)


def connected(pgpool):
    return raw.connected(pgpool, timeout=60 * SLOW)


def ends_with(one, sql, word):
    one.send(raw.query(sql))
    error = one.read_to_end()[-1]
    assert error.fields()["S"] == "FATAL" and error.fields()["C"] == "57P01", error.fields()
    assert word in error.fields()["D"], error.fields()


# ---- what is on all nodes ------------------------------------------------------------------------

def test_a_temporary_table(own, pgpool):
    """In front of a table of the same name; then the next main node dies as well."""
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("INSERT INTO plain VALUES (7, 7)")
        own[0].kill()
        one.rows("INSERT INTO plain VALUES (8, 8)")
        assert one.rows("SELECT id FROM plain ORDER BY id") == [["7"], ["8"]]
        assert one.rows("SHOW port") == [[str(own[1].port)]]
        own[1].kill()
        one.rows("INSERT INTO plain VALUES (9, 9)")
        assert one.rows("SELECT id FROM plain ORDER BY id") == [["7"], ["8"], ["9"]]
        one.rows("DROP TABLE plain")
        one.rows("UPDATE plain SET v = 3 WHERE id = 1")
    assert own[2].rows("SELECT id, v FROM plain ORDER BY id") == [(1, 3)]


def test_what_is_under_way_runs_again_with_it(own, pgpool):
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE more (id int PRIMARY KEY, v int)")
        one.rows("INSERT INTO more VALUES (3, 7)")
        with Blocker(own[0], 3):
            one.send(raw.query("UPDATE t SET v = more.v FROM more WHERE t.id = more.id") +
                     raw.query("SELECT v FROM more"))
            with_lock(own[0])
            own[0].kill()
        assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
        assert [got.kind for got in one.read_until("Z")] == ["T", "D", "C", "Z"]
    assert own.same("SELECT v FROM t WHERE id = 3", (1, 2)) == [(7,)]


def test_a_block_is_lost_and_the_table_is_not(own, pgpool):
    """What the block has done with it is undone."""
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE more (id int PRIMARY KEY)")
        one.rows("INSERT INTO more VALUES (1)")
        one.rows("BEGIN")
        one.rows("INSERT INTO more VALUES (2)")
        one.rows("CREATE TEMP TABLE gone (id int)")
        own[0].kill()
        assert raw.codes(one.simple("INSERT INTO more VALUES (3)")) == ["40001"]
        one.rows("ROLLBACK")
        assert one.rows("SELECT id FROM more") == [["1"]]
        assert raw.codes(one.simple("SELECT id FROM gone")) == ["42P01"]


def test_what_a_function_has_set(own, start):
    """Nobody can be asked what that is."""
    pgpool = start(pool_mode="session")
    with connected(pgpool) as one:
        one.rows("SELECT zone('Asia/Tokyo')")
        one.rows("SET TimeZone TO 'UTC'")
        one.rows("SET application_name TO 'heir'")
        one.rows("SELECT zone('Asia/Tokyo')")
        own[0].kill()
        assert one.rows(f"SELECT {WHEN}") == [[TOKYO]]
        one.rows(ZONE)
        assert one.rows("SELECT tx FROM plain WHERE id = 1") == [[TOKYO]]
        assert one.rows("SHOW application_name") == [["heir"]]
    assert own.same("SELECT tx FROM plain WHERE id = 1", (1, 2)) == [(TOKYO,)]


def test_what_was_set_behind_it(own, start):
    """What the server has said of it is known, and is not what the copies have had since."""
    pgpool = start()
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE more (id int)")
        one.rows("SELECT zone('America/Lima')")
        wait_for(lambda: "FUNCTION" not in str(pgpool.rows("SHOW pool_sessions")) and
                 not any("function" in str(row) for row in pgpool.rows("SHOW pool_sessions")),
                 "the question")
        one.rows("SET TimeZone TO 'Asia/Tokyo'")
        own[0].kill()
        assert one.rows(f"SELECT {WHEN}") == [[TOKYO]]
        one.rows("SELECT count(*) FROM more")


@pytest.mark.parametrize("end", ["DISCARD ALL", "DISCARD TEMP", "DROP TABLE plain"])
def test_it_is_done_away_with(own, pgpool, end):
    """On all nodes."""
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        own[0].kill()
        one.rows(end)
        one.rows("UPDATE plain SET v = 5 WHERE id = 1")
    assert own.same("SELECT v FROM plain WHERE id = 1", (1, 2)) == [(5,)]


@pytest.mark.parametrize("extended", [False, True])
def test_all_of_it_is_discarded_when_the_node_dies(own, pgpool, extended):
    """The others have given it back, and the main node has not answered."""
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("SELECT zone('Asia/Tokyo')")
        blocker = own[0].lock_temporary("plain")
        one.send(raw.batch("DISCARD ALL") if extended else raw.query("DISCARD ALL"))
        with_lock(own[0])
        own[0].kill()
        assert raw.codes(one.read_until("Z")) == []
        blocker.close()
        one.rows("UPDATE plain SET v = 6 WHERE id = 1")
        assert one.rows("SHOW TimeZone") != [["Asia/Tokyo"]]
    assert own.same("SELECT v FROM plain WHERE id = 1", (1, 2)) == [(6,)]


def test_the_main_node_is_detached(own, pgpool):
    """It is well, and the session goes on at the next one."""
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("INSERT INTO plain VALUES (7, 7)")
        assert order(pgpool, "detach_node", 0).returncode == 0
        one.rows("INSERT INTO plain VALUES (8, 8)")
        assert one.rows("SELECT id FROM plain ORDER BY id") == [["7"], ["8"]]
        assert one.rows("SHOW port") == [[str(own[1].port)]]


# ---- what is not there any more ------------------------------------------------------------------

def test_the_main_node_comes_back_at_once(own, pgpool):
    """Its connections are lost, and it stays the main one: the table is gone there."""
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("INSERT INTO plain VALUES (7, 7)")
        end_connections(own[0])
        ends_with(one, "INSERT INTO plain VALUES (8, 8)", "temporary object")
    assert own.same("SELECT id FROM plain") == [(1,)]


@pytest.mark.parametrize("number", [1, 2])
def test_another_node_has_lost_it(own, pgpool, number):
    """The next main node; or the one behind that, which cannot be given it."""
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        end_connections(own[number])
        own[0].kill()
        ends_with(one, "INSERT INTO plain VALUES (8, 8)", "temporary object")
    assert own.same("SELECT id FROM plain", (1, 2)) == [(1,)]


@pytest.mark.parametrize("what, word", [
    ("LISTEN here", "LISTEN"), ("SELECT pg_advisory_lock(1)", "advisory lock"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "cursor WITH HOLD")])
def test_what_is_on_the_main_node_alone(own, start, what, word):
    """Whatever else it has."""
    pgpool = start()
    with connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE more (id int)")
        one.rows(what)
        own[0].kill()
        ends_with(one, "SELECT 1", word)


# ---- statements of PREPARE's ---------------------------------------------------------------------

def test_prepared_statements(own, pgpool):
    """They are prepared again, with what is set."""
    with connected(pgpool) as one:
        one.rows("SET TimeZone TO 'Asia/Tokyo'")
        one.rows("PREPARE reads (int) AS SELECT v FROM t WHERE id = $1")
        one.rows('PREPARE "It Writes" AS UPDATE plain SET tx = $1::timestamptz::text, v = v + 1 '
                 "WHERE id = 1")
        one.rows("EXECUTE \"It Writes\"('2020-02-01 12:00+00')")
        own[0].kill()
        one.rows("EXECUTE \"It Writes\"('2020-02-01 12:00+00')")
        assert one.rows("EXECUTE reads(3)") == [["0"]]
        assert raw.codes(one.simple("PREPARE reads AS SELECT 1")) == ["42P05"]
        own[1].kill()
        one.rows("DEALLOCATE reads")
        assert raw.codes(one.simple("EXECUTE reads(3)")) == ["26000"]
        one.rows("EXECUTE \"It Writes\"('2020-02-01 12:00+00')")
    assert own[2].rows("SELECT v, tx FROM plain") == [(3, TOKYO)]


@pytest.mark.parametrize("mode", ["auto", "session"])
def test_the_protocol_runs_what_was_prepared(own, start, mode):
    """By its name, without an EXECUTE; what it sets is the session's, and nobody else's."""
    pgpool = start(pool_mode=mode)
    with connected(pgpool) as one:
        one.rows("PREPARE p AS SELECT zone('Asia/Tokyo')")
        one.send(raw.bind("", "p"), raw.execute(), raw.SYNC)
        assert raw.codes(one.read_until("Z")) == []
        assert one.rows(f"SELECT {WHEN}") == [[TOKYO]]
        one.rows(ZONE)
    assert own.same("SELECT tx FROM plain WHERE id = 1") == [(TOKYO,)]


@pytest.mark.parametrize("bound", [False, True])
def test_what_was_prepared_means_something_else(own, start, bound):
    """A table stands in front of the one that was meant when it was prepared: where it is prepared
    again, that counts, and so on all nodes."""
    pgpool = start()
    with connected(pgpool) as one:
        def execute():
            one.send(*[raw.bind("", "p"), raw.execute(), raw.SYNC] if bound else
                     [raw.query("EXECUTE p")])
            assert raw.codes(one.read_until("Z")) == []

        one.rows("CREATE TEMP TABLE more (id int)")
        one.rows("PREPARE p AS UPDATE plain SET v = v + 1 WHERE id = 1")
        execute()
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("INSERT INTO plain VALUES (1, 100)")
        own[0].kill()
        execute()
        assert one.rows("SELECT v FROM plain") == [["101"]]
    assert own.same("SELECT v FROM plain", (1, 2)) == [(1,)]


def test_prepare_is_under_way(own, start):
    pgpool = start()
    with connected(pgpool) as one:
        other = own[0].connect()
        other.execute("BEGIN; LOCK TABLE plain")
        one.send(raw.query("PREPARE p AS SELECT v FROM plain") + raw.query("EXECUTE p"))
        with_lock(own[0])
        own[0].kill()
        assert raw.codes(one.read_until("Z")) == []
        assert [got.kind for got in one.read_until("Z")] == ["T", "D", "C", "Z"]


def test_what_was_prepared_means_nothing_any_more(own, start):
    pgpool = start()
    with connected(pgpool) as one:
        one.rows("CREATE TABLE gone (id int)")
        one.rows("PREPARE p AS SELECT id FROM gone")
        with connected(pgpool) as other:
            other.rows("DROP TABLE gone")
        own[0].kill()
        one.send(raw.query("EXECUTE p"))
        assert one.read_to_end()[-1].fields()["S"] == "FATAL"


# ---- the copies have not all committed yet ------------------------------------------------------

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("what", ["temporary", "SET TimeZone TO 'Asia/Tokyo'",
                                  "SELECT zone('Asia/Tokyo')"])
def test_the_main_node_has_committed_the_block_that_makes_it(own, start, mode, detached, what):
    """What the block has left is not undone with the connection."""
    pgpool = start(backend_clustering_mode=mode, replication_unsafe_statements="allow")
    gate = own[1].connect()
    gate.execute("SELECT pg_advisory_lock(1)")
    with connected(pgpool) as one:
        one.rows("BEGIN")
        one.rows("CREATE TEMP TABLE more (id int) ON COMMIT DROP")
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)" if what == "temporary"
                 else what)
        one.rows("INSERT INTO slow VALUES (1)")
        one.send(raw.query("COMMIT"))
        waits_in_commit(own[1])
        assert own[0].rows("SELECT id FROM slow") == [(1,)]
        if detached:
            assert order(pgpool, "detach_node", 0).returncode == 0
        else:
            own[0].kill()
        gate.close()
        assert raw.codes(one.read_until("Z")) == []
        if what == "temporary":
            one.rows("INSERT INTO plain VALUES (8, 8)")
            assert one.rows("SELECT id FROM plain") == [["8"]]
        else:
            assert one.rows(f"SELECT {WHEN}") == [[TOKYO]]
    assert own.same("SELECT id FROM plain", (1, 2)) == [(1,)]


# ---- a commit that is in doubt -------------------------------------------------------------------

@pytest.mark.parametrize("block", [False, True])
def test_the_main_node_dies_in_the_commit_that_makes_it(own, start, block):
    """A session never goes on without a table that it has committed."""
    pgpool = start(replication_unsafe_statements="allow")
    texts = ["CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)", "INSERT INTO slow VALUES (1)"]
    gate = own[0].connect()
    gate.execute("SELECT pg_advisory_lock(1)")
    with connected(pgpool) as one:
        if block:
            for text in ["BEGIN", *texts]:
                one.rows(text)
            one.send(raw.query("COMMIT"))
        else:
            one.send(raw.query("; ".join(texts)))
        waits_in_commit(own[0])
        own[0].kill()
        gate.close()
        answer = one.read_until("Z")
        made = not raw.codes(answer)
        assert made or raw.codes(answer) in (["40001"], ["08007"])
        one.rows("INSERT INTO plain VALUES (8, 8)")
        assert one.rows("SELECT id FROM plain ORDER BY id") == [["1"]] * (not made) + [["8"]]
    assert own.same("SELECT id FROM plain ORDER BY id", (1, 2)) == [(1,)] + [(8,)] * (not made)
    assert own.same("SELECT id FROM slow", (1, 2)) == [(1,)] * made


def test_what_else_was_committed_is_missed(own, start):
    """The client hears that it was, and then that it is gone."""
    pgpool = start(replication_unsafe_statements="allow")
    gate = own[0].connect()
    gate.execute("SELECT pg_advisory_lock(1)")
    with connected(pgpool) as one:
        for text in ("BEGIN", "LISTEN here", "INSERT INTO slow VALUES (1)"):
            one.rows(text)
        one.send(raw.query("COMMIT"))
        waits_in_commit(own[0])
        own[0].kill()
        gate.close()
        got = one.read_to_end()
        assert [message.kind for message in got] == ["C", "Z", "E"]
        assert got[-1].fields()["C"] == "57P01" and "LISTEN" in got[-1].fields()["D"]
    assert own.same("SELECT id FROM slow", (1, 2)) == [(1,)]
