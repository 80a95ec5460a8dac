"""Native replication: what happens to nodes is told, and commands of the user run for it; a node
that is drained is not detached."""

import os

import pytest

import raw
from cluster import make_dir
from proxy import starter
from test_native import SETTINGS
from test_native_flight import Mortals
from test_native_recovery import order
from test_pause import run, show
from waiting import SLOW, Background, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(60)]


@pytest.fixture(name="own")
def own_fixture():
    cluster = Mortals()
    yield cluster
    cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(own, engine):
    for start in starter(own, engine):
        yield lambda **more: start(**SETTINGS | {"failover_wait": "60s",
                                                 "recovery_user": "postgres"} | more)


def events(pgpool):
    """Their kind and text."""
    return [tuple(row[-2:]) for row in show(pgpool, "pool_events")]


def texts(pgpool):
    return " | ".join(text for _, text in events(pgpool))


def wait_refused(pgpool):
    """A server that says that it shuts down is given some seconds to be there again."""
    wait_for(lambda: "is dead, and is not to be detached" in texts(pgpool), "that to be told", 60)


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def test_commands_are_run(own, start):
    """The main node dies, another one is detached by order and attached."""
    told = os.path.join(make_dir("pgpool-events-"), "told")
    pgpool = start(failover_command=f"echo failover %d %m %M %p %r >> {told}",
                   failback_command=f"echo failback %d %m >> {told}; exit 3",
                   event_command=f"echo event $PGPOOL_NODE_ID $PGPOOL_EVENT >> {told}")
    ports = [server.port for server in own.servers]
    own[0].kill()
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        one.rows("INSERT INTO t (id) VALUES (900)")
    wait_for(lambda: f"failover 0 1 0 {ports[0]} {ports[1]}" in lines(told), "failover_command")
    assert order(pgpool, "detach_node", 2).returncode == 0
    wait_for(lambda: f"failover 2 1 1 {ports[2]} {ports[1]}" in lines(told), "failover_command")
    done = order(pgpool, "attach_node", 2)
    assert done.returncode == 0, done
    wait_for(lambda: "failback 2 1" in lines(told), "failback_command")
    wait_for(lambda: ("step failed", "failback_command of node 2 failed: it exited with status 3")
             in events(pgpool), "its end to be told")
    kinds = [event for event in events(pgpool) if event[0] == "state"]
    assert len(kinds) == 3 and 'node 0 "127.0.0.1:' in kinds[-1][1] + kinds[0][1], kinds
    for event in "event 0 state", "event 2 state", "event 2 step failed":
        wait_for(lambda: event in lines(told), "event_command")
    states = {row[0]: row for row in show(pgpool, "pool_node_states")}
    assert "dead" in states["0"] and "alive" in states["1"], states


@pytest.mark.parametrize("number", [0, 1])
def test_a_node_that_is_drained_is_not_detached(own, start, number):
    """It is restarted, and has missed nothing: writes wait meanwhile."""
    pgpool = start()
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        one.rows("INSERT INTO t (id) VALUES (901)")
        run(pgpool, "drain", str(number))
        own[number].stop()
        wait_refused(pgpool)
        writes = Background(one.rows, "INSERT INTO t (id) VALUES (902)")
        own[number].start()
        assert writes.is_alive()
        run(pgpool, "undrain", str(number))
        writes.result()
        assert "is detached" not in texts(pgpool)
    assert own.same("SELECT id FROM t WHERE id > 900 ORDER BY id") == [(901,), (902,)]


def test_a_node_that_is_still_dead_when_undrained(own, start):
    pgpool = start()
    run(pgpool, "drain", "2")
    own[2].stop()
    wait_refused(pgpool)
    run(pgpool, "undrain", "2")
    wait_for(lambda: "is detached" in texts(pgpool), "node 2 to be detached")


def test_the_last_node_is_not_detached(own, start):
    pgpool = start()
    for number in 2, 1:
        own[number].kill()
        wait_for(lambda: f"node {number} " in texts(pgpool), "the node to be detached")
    own[0].kill()
    words = "node 0 is dead, and the only one that has everything"
    wait_for(lambda: any(kind == "primary missing" and text.startswith(words)
                         for kind, text in events(pgpool)), "that to be told")
