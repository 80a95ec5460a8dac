"""Native replication when something breaks: connections, clients, nodes, pgpool itself."""

import os
import signal
import threading

import psycopg
import pytest

from proxy import starter
from test_native import PREPARED, SETTINGS, Servers
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

LOCKS = ("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = relation "
         "WHERE relname = 't' AND mode <> 'AccessShareLock'")


@pytest.fixture(name="whole", scope="module")
def whole_fixture():
    servers = Servers()
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="servers")
def servers_fixture(whole):
    """Without what the tests have written with the other engine, where these are the same."""
    for server in whole:
        server.rows("DELETE FROM t WHERE id >= 200 RETURNING id")
    return whole


@pytest.fixture(name="own")
def own_fixture():
    """Servers that a test may break."""
    servers = Servers()
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(engine):
    """pgpool in front of these servers."""
    starters = []

    def start(servers, **more):
        generator = starter(servers.cluster, engine)
        starters.append(generator)
        return next(generator)(**SETTINGS | more)

    yield start
    for generator in starters:
        next(generator, None)


def end_connections(server):
    """Those of pgpool's clients, on this node."""
    server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = 'test' AND pid <> pg_backend_pid()")


def waits_for_lock(server):
    return server.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") > 0


class Blocker:
    """Somebody at a node, past pgpool, who holds a row."""

    def __init__(self, server, row):
        self.connection = server.connect()
        self.connection.execute("BEGIN")
        self.connection.execute(f"SELECT FROM t WHERE id = {row} FOR UPDATE")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


class Runner(threading.Thread):
    """Runs statements meanwhile; what came of them stands in `states`."""

    def __init__(self, pgpool, *statements):
        super().__init__(daemon=True)
        self.connection = pgpool.connect()
        self.statements, self.states = statements, []
        self.start()

    def run(self):
        for statement in self.statements:
            try:
                self.connection.execute(statement)
                self.states.append(None)
            except psycopg.Error as error:
                self.states.append(error.sqlstate)

    def ended(self):
        self.join(60)
        assert not self.is_alive()
        self.connection.close()
        return self.states


def test_a_connection_to_another_node_that_ends_ends_the_transaction(servers, start):
    pgpool = start(servers)
    with pgpool.connect() as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (200)")
        end_connections(servers[1])
        with pytest.raises(psycopg.errors.SerializationFailure, match="node 1"):
            for _ in range(1000):
                client.execute("UPDATE t SET v = v + 1 WHERE id = 200")
            client.execute("COMMIT")
        client.execute("ROLLBACK")
        client.execute("INSERT INTO t (id) VALUES (201)")
    assert servers.same("SELECT id FROM t WHERE id IN (200, 201)") == [(201,)]
    assert servers.same(PREPARED) == [(0,)]


def test_a_connection_to_another_node_that_ends_while_its_part_runs(servers, start):
    pgpool = start(servers)
    with Blocker(servers[2], 3):
        runner = Runner(pgpool, "UPDATE t SET v = 77 WHERE id = 3")
        wait_for(lambda: waits_for_lock(servers[2]), "the statement to wait on node 2")
        servers[2].rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE wait_event_type = 'Lock'")
    assert runner.ended() == [None]  # it has run again
    assert servers.same("UPDATE t SET v = 0 WHERE id = 3 AND v = 77 RETURNING id") == [(3,)]
    assert servers.same(PREPARED) == [(0,)]


@pytest.mark.parametrize("statement", ["UPDATE t SET v = 79 WHERE id = 3",
                                       "UPDATE t SET v = 79 WHERE v < 1 AND id = 3"])
def test_a_connection_that_ends_while_the_main_node_runs_the_first_statement(servers, start,
                                                                             statement):
    """The other node has not begun the transaction, and must not miss it."""
    pgpool = start(servers)
    with Blocker(servers[0], 3):
        runner = Runner(pgpool, statement, "SELECT 1")
        wait_for(lambda: waits_for_lock(servers[0]), "the statement to wait on the main node")
        end_connections(servers[1])
    assert runner.ended() == [None, None]
    assert servers.same("UPDATE t SET v = 0 WHERE id = 3 AND v = 79 RETURNING id") == [(3,)]


def test_a_cancel_reaches_the_node_that_still_works(servers, start):
    pgpool = start(servers)
    with Blocker(servers[2], 3):
        runner = Runner(pgpool, "UPDATE t SET v = 77 WHERE id = 3")
        wait_for(lambda: waits_for_lock(servers[2]), "the statement to wait on node 2")
        runner.connection.cancel()
        assert runner.ended() == ["57014"]
    assert servers.same("SELECT v FROM t WHERE id = 3") == [(0,)]


def test_a_client_that_goes_while_another_node_works(servers, start):
    pgpool = start(servers)
    with Blocker(servers[1], 3):
        runner = Runner(pgpool, "UPDATE t SET v = 78 WHERE id = 3")
        wait_for(lambda: waits_for_lock(servers[1]), "the statement to wait on node 1")
        runner.connection.pgconn.finish()
        wait_for(lambda: servers[0].value(LOCKS) == 0, "the main node's transaction to end")
    servers.wait_all(LOCKS, [(0,)], "the others to end")
    assert servers.same("SELECT v FROM t WHERE id = 3") == [(0,)]
    assert servers.same(PREPARED) == [(0,)]


def test_the_main_node_s_connection_ends(servers, start):
    pgpool = start(servers)
    with pgpool.connect() as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (210)")
        end_connections(servers[0])
        with pytest.raises(psycopg.Error):  # as the server's own clients, it is disconnected
            client.execute("INSERT INTO t (id) VALUES (211)")
            client.execute("COMMIT")
    with pgpool.connect() as client:
        client.execute("INSERT INTO t (id) VALUES (212)")
    assert servers.same("SELECT id FROM t WHERE id BETWEEN 210 AND 212") == [(212,)]


def test_servers_that_prepare_nothing(own, start):
    with own[1].connect() as connection:
        connection.execute("ALTER SYSTEM SET max_prepared_transactions = 0")
    own[1].stop()
    own[1].start()
    pgpool = start(own)
    with pgpool.connect() as client:
        client.execute("INSERT INTO t (id) VALUES (220)")
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (221)")
        client.execute("COMMIT")
        with pytest.raises(psycopg.errors.UniqueViolation):
            client.execute("INSERT INTO later VALUES (1), (1)")
    assert own.same("SELECT id FROM t WHERE id BETWEEN 220 AND 221 ORDER BY 1") == [(220,), (221,)]
    assert "max_prepared_transactions" in pgpool.log_text()


@pytest.mark.parametrize("victim", [2, 0])
def test_a_node_that_dies_is_detached_and_the_others_go_on(own, start, victim):
    pgpool = start(own, failover_wait="60s")
    others = [server for number, server in enumerate(own) if number != victim]

    def write(number):
        with pgpool.connect() as client:
            client.execute(f"INSERT INTO t (id) VALUES ({number})")

    def written():
        try:
            write(231)
        except psycopg.errors.UniqueViolation:
            return True  # it was written before, and nobody could say so
        except psycopg.Error:
            return False
        return True

    write(230)
    own[victim].stop("immediate")
    wait_for(written, "the others to be written to", 60)
    write(232)
    for server in others:
        assert server.rows("SELECT id FROM t WHERE id BETWEEN 230 AND 232 ORDER BY 1") == [
            (230,), (231,), (232,)]
        assert server.rows(PREPARED) == [(0,)]
    assert f"node {victim} " in pgpool.log_text() and "is detached" in pgpool.log_text()


def test_a_node_that_was_detached_is_not_used_when_it_is_there_again(own, start):
    pgpool = start(own, failover_wait="60s")
    with pgpool.connect() as client:
        own[1].stop("immediate")
        wait_for(lambda: "is detached" in pgpool.log_text(), "node 1 to be detached", 60)
        client.execute("INSERT INTO t (id) VALUES (240)")
    own[1].start()
    for _ in range(8):
        with pgpool.connect() as client:
            assert client.execute("SELECT id FROM t WHERE id = 240").fetchall() == [(240,)]
            client.execute("UPDATE t SET v = 1 WHERE id = 240")
    assert own.all("SELECT v FROM t WHERE id = 240") == [[(1,)], [], [(1,)]]
    pgpool.stop()
    pgpool.start()
    with pgpool.connect() as client:
        client.execute("UPDATE t SET v = 2 WHERE id = 240")
    assert own.all("SELECT v FROM t WHERE id = 240") == [[(2,)], [], [(2,)]]


# ---- between PREPARE TRANSACTION and COMMIT PREPARED ---------------------------------------------

SLOW_COMMIT = """
CREATE TABLE slow (id int);
CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION waits();
"""
WAITS = "wait_event_type = 'Lock' AND wait_event = 'advisory'"


class SlowCommit:
    """A client whose COMMIT waits at the main node, while the others have prepared."""

    def __init__(self, servers, pgpool):
        self.servers, self.pgpool = servers, pgpool
        for server in servers:
            with server.connect() as connection:
                connection.execute(SLOW_COMMIT)
        self.gate = servers[0].connect()
        self.gate.execute("SELECT pg_advisory_lock(1)")
        self.runner = Runner(pgpool, "INSERT INTO slow VALUES (1)")
        wait_for(lambda: servers[0].value(
            f"SELECT count(*) FROM pg_stat_activity WHERE {WAITS}") == 1, "COMMIT to wait")
        assert servers.all(PREPARED) == [[(0,)], [(1,)], [(1,)]]

    def open(self):
        self.gate.close()

    def abort(self):
        self.servers[0].rows(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {WAITS}")
        wait_for(lambda: self.servers[0].value(
            f"SELECT count(*) FROM pg_stat_activity WHERE {WAITS}") == 0, "it to end")

    def settled(self):
        self.servers.wait_all(PREPARED, [(0,)], "all to be settled")
        return self.servers.same("SELECT id FROM slow")


@pytest.mark.parametrize("commits", [True, False])
def test_a_child_that_is_killed_in_the_middle_of_a_commit(own, start, commits):
    pgpool = start(own, replication_unsafe_statements="allow")
    slow = SlowCommit(own, pgpool)
    pgpool.kill_named("child")
    if commits:
        slow.open()
    else:
        slow.abort()
    assert slow.settled() == ([(1,)] if commits else [])
    with pgpool.connect() as client:
        client.execute("INSERT INTO t (id) VALUES (250)")
    assert own.same("SELECT id FROM t WHERE id = 250") == [(250,)]


@pytest.mark.parametrize("commits", [True, False])
def test_a_pgpool_that_is_killed_in_the_middle_of_a_commit(own, start, commits):
    pgpool = start(own, replication_unsafe_statements="allow")
    slow = SlowCommit(own, pgpool)
    processes = pgpool.pids()
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    pgpool.process.wait()
    if commits:
        slow.open()
    else:
        slow.abort()
    assert own.all(PREPARED) == [[(0,)], [(1,)], [(1,)]]
    pgpool.start()
    assert slow.settled() == ([(1,)] if commits else [])


def test_a_client_that_goes_in_the_middle_of_a_commit(own, start):
    slow = SlowCommit(own, start(own, replication_unsafe_statements="allow"))
    slow.runner.connection.pgconn.finish()
    slow.open()
    assert slow.settled() == [(1,)]


def test_a_main_node_s_connection_that_ends_in_a_commit(own, start):
    slow = SlowCommit(own, start(own, replication_unsafe_statements="allow"))
    slow.abort()
    assert slow.settled() == []
    assert slow.runner.ended() != [None]


def test_other_nodes_connections_that_end_in_a_commit(own, start):
    """What is prepared there is committed over others."""
    slow = SlowCommit(own, start(own, replication_unsafe_statements="allow"))
    for server in list(own)[1:]:
        end_connections(server)
    slow.open()
    assert slow.runner.ended() == [None]
    assert own.same("SELECT id FROM slow") == [(1,)]
    assert own.same(PREPARED) == [(0,)]


def test_a_main_node_that_dies_in_a_commit(own, start):
    """It told nobody: what the others have prepared is committed."""
    pgpool = start(own, failover_wait="60s", replication_unsafe_statements="allow")
    slow = SlowCommit(own, pgpool)
    own[0].stop("immediate")
    wait_for(lambda: [own[n].rows(PREPARED) for n in (1, 2)] == [[(0,)]] * 2, "the commit", 60)
    assert [own[n].rows("SELECT id FROM slow") for n in (1, 2)] == [[(1,)]] * 2
    assert slow.runner.ended() == [None]
