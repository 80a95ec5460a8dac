"""Deadlocks through two nodes: a statement that locks another row on each node makes one. The main
node cannot see them."""

import psycopg
import pytest

from proxy import starter
from test_native import PREPARED, SETTINGS, servers_with
from test_native_gate import begun, in_background
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(60)]

WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"
ELSEWHERE = "UPDATE h SET v = v + 1 WHERE id = (SELECT number + 10 FROM place)"


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with("CREATE TABLE h (id int PRIMARY KEY, v int); "
                            "INSERT INTO h SELECT n, 0 FROM generate_series(1, 20) n")


@pytest.fixture(name="pgpool")
def pgpool_fixture(servers, engine):
    for start in starter(servers.cluster, engine):
        yield start(**SETTINGS | {"backend_clustering_mode": "snapshot_isolation"})
    assert servers.same(PREPARED) == [(0,)]
    servers.wait_all(WAITS, [(0,)], "nobody to wait")


def test_a_circle_through_two_nodes_is_broken(servers, pgpool):
    """The first one has row 10 at the main node and row 11 at node 1."""
    one = begun(pgpool, "UPDATE h SET v = v + 1 WHERE id = 1", ELSEWHERE)
    two = begun(pgpool, "UPDATE h SET v = v + 1 WHERE id = 11")
    wait_for(lambda: servers[1].value(WAITS) > 0, "the second to wait at node 1")
    waits, states = in_background(one, "UPDATE h SET v = v + 1 WHERE id = 11")
    wait_for(lambda: servers[0].value(WAITS) > 0, "the first to wait at the main node")
    commits, commit_states = in_background(two, "COMMIT")
    for thread in (waits, commits):
        thread.join(120)
    assert (states, commit_states) == ([None], ["40P01"])
    assert "a deadlock through several nodes" in pgpool.log_text()
    two.execute("ROLLBACK")
    two.execute("UPDATE h SET v = 5 WHERE id = 2")
    one.execute("ROLLBACK")
    assert servers.same("SELECT id, v FROM h WHERE v <> 0") == [(2, 5)]
    one.close()
    two.close()


def test_a_blocker_that_is_nobody_s_here_is_named(servers, pgpool):
    with servers[2].connect() as stranger, pgpool.connect() as client:
        stranger.autocommit = True
        stranger.execute("BEGIN")
        stranger.execute("UPDATE h SET v = v WHERE id = 3")
        pid = stranger.execute("SELECT pg_backend_pid()").fetchone()[0]
        thread, states = in_background(client, "UPDATE h SET v = 1 WHERE id = 3")
        wait_for(lambda: f"node 2 waits for server process {pid}" in pgpool.log_text(),
                 "its name in the log", 30)
        assert thread.is_alive()
        stranger.execute("ROLLBACK")
        thread.join(60)
        assert states == [None]
    assert servers.same("SELECT v FROM h WHERE id = 3") == [(1,)]


def test_a_wait_that_is_no_circle_is_left_alone(servers, pgpool):
    one = begun(pgpool, "UPDATE h SET v = v + 1 WHERE id = 1", ELSEWHERE)
    two = begun(pgpool, "UPDATE h SET v = 7 WHERE id = 11")
    commits, states = in_background(two, "COMMIT")
    wait_for(lambda: servers[1].value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type "
                                      "= 'Lock' AND now() - query_start > '4 s'") == 1,
             "it to wait for long", 30)
    assert commits.is_alive()
    one.execute("ROLLBACK")
    commits.join(60)
    assert states == [None]
    assert servers.same("SELECT v FROM h WHERE id = 11") == [(7,)]
    with pytest.raises(psycopg.errors.DivisionByZero):
        two.execute("SELECT 1 / 0")
    one.close()
    two.close()
