"""Native replication: sequences stand at the same number on all nodes, also when a connection ends
while some have drawn and others have not."""

import os
import signal

import pytest

from proxy import starter
from test_native import SETTINGS, servers_with
from test_native_faults import Runner, waits_for_lock
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

SEQUENCES = """
CREATE SEQUENCE drawn;
CREATE SEQUENCE down INCREMENT BY -2;
CREATE SEQUENCE around MAXVALUE 3 CYCLE;
CREATE SEQUENCE "od'd" CACHE 5;
"""
GATE = "1885827183, 1869363815"  # that sessions hold while they write


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with(SEQUENCES)


@pytest.fixture(name="pgpool")
def pgpool_fixture(engine, servers):
    generator = starter(servers.cluster, engine)
    yield next(generator)(**SETTINGS)
    next(generator, None)


class Held:
    """Somebody at a node, past pgpool, lets nobody write there."""

    def __init__(self, server):
        self.connection = server.connect()
        self.connection.execute(f"SELECT pg_advisory_lock({GATE})")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def end_waiting(server):
    server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock'")


def stands(servers, name):
    """The nodes' numbers; None: not drawn from."""
    return [server.value(f"SELECT CASE WHEN is_called THEN last_value END FROM {name}")
            for server in servers]


def become_equal(servers, name):
    wait_for(lambda: len(set(stands(servers, name))) == 1, f"{name} to be the same everywhere")
    return stands(servers, name)[0]


@pytest.mark.parametrize("name", ["drawn", "down", '"od\'d"'])
@pytest.mark.parametrize("form", ["INSERT INTO t (id, v) VALUES (900, {})", "SELECT {}"],
                         ids=["value", "answer"])
def test_a_connection_that_ends_before_a_copy_has_drawn(servers, pgpool, name, form):
    before = stands(servers, name)[0] or 0
    quoted = name.replace("'", "''")
    with Held(servers[1]):
        runner = Runner(pgpool, form.format(f"nextval('{quoted}')"))
        wait_for(lambda: waits_for_lock(servers[1]), "the statement to wait on node 1")
        end_waiting(servers[1])
    runner.ended()
    step = {"down": -2}.get(name, 1)
    assert (become_equal(servers, name) - before) * step > 0
    with pgpool.connect() as client:
        drawn = client.execute(f"SELECT nextval('{quoted}')").fetchone()[0]
    assert (drawn - before) * step > 0
    become_equal(servers, name)


def test_one_that_goes_around_is_as_on_the_main_node(servers, pgpool):
    with pgpool.connect() as client:
        assert [client.execute("SELECT nextval('around')").fetchone()[0]
                for _ in range(3)] == [1, 2, 3]
    with Held(servers[2]):
        runner = Runner(pgpool, "SELECT nextval('around')")
        wait_for(lambda: waits_for_lock(servers[2]), "the statement to wait on node 2")
        end_waiting(servers[2])
    runner.ended()
    assert become_equal(servers, "around") in (1, 2)  # it runs again


def test_a_child_that_is_killed(servers, pgpool):
    with Held(servers[1]), Held(servers[2]):
        runner = Runner(pgpool, "INSERT INTO t (id, v) VALUES (901, nextval('drawn'))")
        wait_for(lambda: all(waits_for_lock(server) for server in servers[1:]),
                 "the statement to wait on the copies")
        main = servers[0].value("SELECT last_value FROM drawn")
        for server in servers[1:]:
            end_waiting(server)
        for child in pgpool.named("child"):
            os.kill(child, signal.SIGKILL)
    runner.ended()
    assert become_equal(servers, "drawn") >= main


def test_nobody_draws_while_they_are_set(servers, pgpool):
    """Sessions that write go on beside it, and what they draw is not counted twice."""
    with pgpool.connect() as other:
        with Held(servers[1]):
            runner = Runner(pgpool, "INSERT INTO t (id, v) VALUES (902, nextval('drawn'))")
            wait_for(lambda: waits_for_lock(servers[1]), "the statement to wait on node 1")
            end_waiting(servers[1])
        runner.ended()
        other.execute("BEGIN")
        for number in range(5):
            other.execute(f"INSERT INTO t (id, v) VALUES ({903 + number}, nextval('drawn'))")
        other.execute("COMMIT")
    become_equal(servers, "drawn")
    values = servers.same("SELECT v FROM t WHERE id BETWEEN 903 AND 907 ORDER BY id")
    assert values == sorted(set(values))


def test_execute_draws_when_the_main_node_has_the_gate(servers, pgpool):
    """The others would draw in another order, and wait in a circle with whoever has it."""
    before = become_equal(servers, "drawn")
    with Held(servers[0]):
        runner = Runner(pgpool, "PREPARE p (int) AS INSERT INTO t (id, v) "
                        "VALUES ($1, nextval('drawn'))", "EXECUTE p(920)", "EXECUTE p(921)")
        wait_for(lambda: waits_for_lock(servers[0]), "the statement to wait on node 0")
        with servers[1].connect() as other:  # whoever would have drawn there holds it
            assert other.execute(f"SELECT pg_try_advisory_lock({GATE})").fetchone() == (True,)
        assert stands(servers, "drawn") == [before] * 3
    assert runner.ended() == [None] * 3
    assert len(servers.same("SELECT v FROM t WHERE id IN (920, 921)")) == 2
