"""Native replication: a session loses its connection to a node beside the main one, and the node is
well. What it had there alone is lost with it: a new connection must not take its place as if that
were there."""

import pytest

import raw
from independent import made
from proxy import starter
from test_native import SETTINGS, TABLES
from test_native_faults import end_connections
from test_native_recovery import order
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(40)]

MODES = ["native_replication", "snapshot_isolation"]
MORE = """
CREATE TABLE plain (id int PRIMARY KEY, v int, tx text);
INSERT INTO plain VALUES (1, 0, '');
CREATE FUNCTION zone() RETURNS text LANGUAGE sql AS
    $$ SELECT set_config('TimeZone', 'Asia/Tokyo', false) $$;
"""


@pytest.fixture(name="nodes", scope="module")
def nodes_fixture():
    yield from made(TABLES, MORE)


@pytest.fixture(name="pgpool", params=MODES)
def pgpool_fixture(nodes, engine, request):
    for start in starter(nodes, engine):
        yield start(**SETTINGS | {"backend_clustering_mode": request.param,
                                  "failover_wait": "60s"})


@pytest.fixture(name="start")
def start_fixture(nodes, engine):
    for start in starter(nodes, engine):
        yield lambda **more: start(**SETTINGS | {"failover_wait": "60s"} | more)


def same(nodes, sql):
    answers = [server.rows(sql) for server in nodes.servers]
    assert all(answer == answers[0] for answer in answers), answers
    return answers[0]


def lose(nodes, number):
    """Ends the connections to one node, and waits until pgpool must have heard of it."""
    server = nodes.servers[number]
    end_connections(server)
    wait_for(lambda: server.value("SELECT count(*) FROM pg_stat_activity WHERE datname = 'test' "
                                  "AND pid <> pg_backend_pid()") == 0, "the connections to end")


@pytest.mark.parametrize("number", [1, 2])
def test_a_temporary_table_in_front_of_a_table(nodes, pgpool, number):
    """The same name means the table behind it on the new connection."""
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("INSERT INTO plain VALUES (7, 7)")
        lose(nodes, number)
        one.send(raw.query("INSERT INTO plain VALUES (8, 8)"))
        [error] = one.read_to_end()
        assert error.fields()["S"] == "FATAL" and error.fields()["C"] == "57P01"
        assert "temporary object" in error.fields()["D"]
    assert same(nodes, "SELECT id FROM plain ORDER BY id") == [(1,)]


@pytest.mark.parametrize("listens", [False, True])
def test_what_a_function_has_set(nodes, pgpool, listens):
    """The server is asked first, and the new connection gets what it has said; also of a session
    that keeps something else."""
    for _ in range(10):
        with raw.connected(pgpool, timeout=20 * SLOW) as one:
            if listens:
                one.rows("LISTEN here")
            one.rows("SELECT zone()")
            end_connections(nodes.servers[1])
            one.rows("UPDATE plain SET tx = '2020-02-01 12:00+00'::timestamptz::text WHERE id = 1")
            assert one.rows("SELECT tx FROM plain WHERE id = 1") == [["2020-02-01 21:00:00+09"]]
        same(nodes, "SELECT plain::text FROM plain ORDER BY id")


def test_what_cannot_be_brought_back_in_a_block(nodes, pgpool):
    """The transaction is rolled back on all nodes, and the next one is not begun."""
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("BEGIN")
        one.rows("INSERT INTO plain VALUES (7, 7)")
        lose(nodes, 1)
        one.send(raw.query("INSERT INTO plain VALUES (8, 8)") + raw.query("COMMIT") +
                 raw.query("INSERT INTO plain VALUES (9, 9)"))
        last = one.read_to_end()[-1]
        assert last.fields()["S"] == "FATAL" and "temporary object" in last.fields()["D"]
    assert same(nodes, "SELECT id FROM plain ORDER BY id") == [(1,)]


@pytest.mark.parametrize("end", ["ROLLBACK", "DROP TABLE gone; COMMIT"])
def test_what_was_there_and_is_gone(nodes, pgpool, end):
    """The server is asked; there is nothing that could be missed."""
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("BEGIN")
        one.rows("CREATE TEMP TABLE gone (id int PRIMARY KEY)")
        for text in end.split("; "):
            one.rows(text)
        end_connections(nodes.servers[1])
        one.rows("UPDATE plain SET v = v + 1 WHERE id = 1")
    same(nodes, "SELECT plain::text FROM plain ORDER BY id")


def test_who_has_nothing_there_goes_on(nodes, pgpool):
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("SET TimeZone TO 'Asia/Tokyo'")
        one.rows("LISTEN here")
        one.rows("UPDATE plain SET v = v + 1 WHERE id = 1")
        one.rows("CREATE TEMP TABLE gone (id int PRIMARY KEY)")
        one.rows("DISCARD ALL")
        one.rows("SET TimeZone TO 'Asia/Tokyo'")
        lose(nodes, 2)
        one.rows("UPDATE plain SET tx = '2020-02-01 12:00+00'::timestamptz::text WHERE id = 1")
        assert one.rows("SELECT tx FROM plain WHERE id = 1") == [["2020-02-01 21:00:00+09"]]
    same(nodes, "SELECT plain::text FROM plain ORDER BY id")


ZONE = "UPDATE plain SET tx = '2020-02-01 12:00+00'::timestamptz::text WHERE id = 1"


def test_a_parameter_that_is_set_between_functions(nodes, pgpool):
    """No connection is lost: what the client has set is not set once more behind the function."""
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        for _ in range(3):
            one.send(b"".join(raw.query(text) for text in (
                "BEGIN", "SELECT zone()", "SET TimeZone TO 'America/Lima'", "SELECT zone()",
                "COMMIT", ZONE, "DISCARD ALL")))
            assert [raw.codes(one.read_until("Z")) for _ in range(7)] == [[]] * 7
            assert same(nodes, "SELECT tx FROM plain WHERE id = 1") == [("2020-02-01 21:00:00+09",)]


@pytest.mark.parametrize("what", ["PLANS", "SEQUENCES"])
def test_discard_of_something_else(nodes, pgpool, what):
    """The table stays on all nodes."""
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        one.rows("INSERT INTO plain VALUES (7, 7)")
        one.rows(f"DISCARD {what}")
        one.rows("INSERT INTO plain VALUES (8, 8)")
        assert one.rows("SELECT id FROM plain ORDER BY id") == [["7"], ["8"]]
    assert same(nodes, "SELECT id FROM plain ORDER BY id") == [(1,)]


def test_discard_temp_behind_a_function(nodes, start):
    """Nobody asks what it has set here: it must stay on all nodes, and the table on none."""
    pgpool = start(pool_mode="session")
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("SELECT zone()")
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int, tx text)")
        one.rows("DISCARD TEMP")
        one.rows(ZONE)
    assert "21:00:00+09" in same(nodes, "SELECT tx FROM plain WHERE id = 1")[0][0]


def test_a_node_that_comes_back_without_what_a_function_has_set(nodes, start):
    pgpool = start(pool_mode="session")
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("SELECT zone()")
        assert order(pgpool, "detach_node", 2).returncode == 0
        one.rows("UPDATE plain SET v = 70 WHERE id = 1")
        nodes.servers[2].rows("UPDATE plain SET v = 70 WHERE id = 1 RETURNING 1")
        done = order(pgpool, "attach_node", 2)
        assert done.returncode == 0, done
        one.send(raw.query(ZONE))
        error = one.read_to_end()[-1]
        assert error.fields()["S"] == "FATAL" and error.fields()["C"] == "57P01"
        assert "function" in error.fields()["D"]
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("UPDATE plain SET v = 71 WHERE id = 1")
    same(nodes, "SELECT plain::text FROM plain ORDER BY id")


def test_what_a_function_has_set_and_nobody_asks(nodes, start):
    """Its session ends at once: a statement that runs again would be no better off."""
    pgpool = start(pool_mode="session")
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("SELECT zone()")
        lose(nodes, 1)
        one.send(raw.query(ZONE))
        error = one.read_to_end()[-1]
        assert error.fields()["S"] == "FATAL" and error.fields()["C"] == "57P01"
        assert "function" in error.fields()["D"]
    assert "runs again" not in pgpool.log_text()
    same(nodes, "SELECT plain::text FROM plain ORDER BY id")


def test_what_a_function_has_set_for_no_longer_than_its_transaction(nodes, start):
    """Not asked about either, but its connections are given back."""
    pgpool = start(pool_mode="transaction")
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("SELECT zone()")
        lose(nodes, 1)
        one.rows("UPDATE plain SET v = 72 WHERE id = 1")
        one.rows("BEGIN")
        one.rows("UPDATE plain SET v = 73 WHERE id = 1")
        lose(nodes, 1)
        assert one.simple("COMMIT")[0].fields()["C"] == "40001"
        one.rows("UPDATE plain SET v = 74 WHERE id = 1")
    assert same(nodes, "SELECT v FROM plain WHERE id = 1") == [(74,)]


def test_discard_all_that_is_cancelled(nodes, pgpool):
    """The main node keeps the table, and the others have given theirs back."""
    main = nodes.servers[0]
    blocked = "FROM pg_stat_activity WHERE datname = 'test' AND wait_event_type = 'Lock'"
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("CREATE TEMP TABLE plain (id int PRIMARY KEY, v int)")
        with main.lock_temporary("plain") as other:
            one.send(raw.query("DISCARD ALL"))
            wait_for(lambda: main.value(f"SELECT count(*) {blocked}") == 1, "DISCARD to wait")
            main.rows(f"SELECT pg_cancel_backend(pid) {blocked}")
            assert one.read_until("Z")[0].fields()["C"] == "57014"
            other.rollback()
        one.send(raw.query("INSERT INTO plain VALUES (8, 8)"))
        error = one.read_to_end()[-1]
        assert error.fields()["S"] == "FATAL" and "temporary object" in error.fields()["D"]
    assert same(nodes, "SELECT id FROM plain ORDER BY id") == [(1,)]


def test_what_is_gone_after_many_questions_in_vain(nodes, pgpool):
    """The next question of the session's own would come in a second."""
    asked = ("SELECT count(*) FROM pg_stat_activity WHERE datname = 'test' AND state = 'idle' "
             "AND pid <> pg_backend_pid() AND query LIKE '%pg_my_temp_schema%'")
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("CREATE TEMP TABLE gone (id int PRIMARY KEY)")
        for _ in range(8):
            one.rows("SELECT zone()")
            wait_for(lambda: nodes.servers[0].value(asked) == 1, "the question")
        one.rows("DROP TABLE gone")
        end_connections(nodes.servers[1])
        one.rows("UPDATE plain SET v = v + 1 WHERE id = 1")
    same(nodes, "SELECT plain::text FROM plain ORDER BY id")


def test_a_block_right_behind_what_a_function_has_set(nodes, pgpool):
    """Whenever the loss is heard of, it costs the transaction at most: in front of the next BEGIN
    the server is asked."""
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        for turn in range(20):
            one.rows("SELECT zone()")
            end_connections(nodes.servers[1])
            for _ in range(2):
                one.send(raw.query("BEGIN") + raw.query(ZONE) + raw.query("COMMIT"))
                answers = [raw.codes(one.read_until("Z")) for _ in range(3)]
                if answers == [[], [], []]:
                    break
                assert answers in ([[], ["40001"], []], [[], [], ["40001"]]), (turn, answers)
            assert answers == [[], [], []], turn
            assert one.rows("SELECT tx FROM plain WHERE id = 1") == [["2020-02-01 21:00:00+09"]]
            one.rows("RESET TimeZone")
    same(nodes, "SELECT plain::text FROM plain ORDER BY id")
