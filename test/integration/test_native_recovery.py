"""Native replication: nodes that were detached come back while clients work, by recovery or as they
are, and only when they are equal to the others."""

import os
import re
import signal
import subprocess
import threading

import psycopg
import pytest

from proxy import starter
from test_native import PREPARED, SETTINGS, Servers
from test_pcp import Tools
from waiting import SLOW, Background, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(90)]

RECOVERY = {"failover_wait": "60s", "recovery_user": "postgres", "recovery_timeout": "60s"}


@pytest.fixture(name="own")
def own_fixture():
    """Servers that a test may break."""
    servers = Servers()
    for server in servers:  # what tells them apart elsewhere
        with server.connect() as connection:
            connection.execute("DROP TABLE place")
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(own, engine):
    for start in starter(own.cluster, engine):
        yield lambda **more: start(**SETTINGS | RECOVERY | more)


@pytest.fixture(name="pgpool")
def pgpool_fixture(start):
    return start()


def order(pgpool, tool, node):
    return Tools(pgpool).run(tool, "-w", "-n", str(node), host=pgpool.directory,
                             user=os.environ.get("USER") or "root")


def recover(pgpool, node):
    done = order(pgpool, "recovery_node", node)
    assert done.returncode == 0, (done, pgpool.log_text()[-3000:])
    return done


def is_detached(pgpool, node):
    return f"node {node} " in pgpool.log_since_mark() and "is detached" in pgpool.log_since_mark()


def crash(own, pgpool, node):
    """And what was written meanwhile, the node lacks."""
    pgpool.mark_log()
    own[node].stop("immediate")
    wait_for(lambda: is_detached(pgpool, node), f"node {node} to be detached", 60)


def execute(pgpool, sql):
    with pgpool.connect() as client:
        client.execute(sql)


def compare(pgpool, *nodes):
    done = subprocess.run(
        pgpool.command(*([f"--nodes={','.join(map(str, nodes))}"] if nodes else []), "compare"),
        capture_output=True, text=True, check=False, timeout=120 * SLOW)
    assert done.returncode == 0, done
    return done.stdout


class Writers:
    """Clients that write one row after the other, and remember which they were told to be there."""

    count = 0

    def __init__(self, pgpool, count=6):
        Writers.count += 1
        self.first = Writers.count * 10000000
        self.pgpool, self.stopping = pgpool, threading.Event()
        self.acknowledged = [[] for _ in range(count)]
        self.threads = [Background(self.go, who) for who in range(count)]

    def go(self, who):
        with self.pgpool.connect() as client:
            number = self.first + who * 1000000
            while not self.stopping.is_set():
                if number % 3:
                    client.execute(f"INSERT INTO t (id, v, at) VALUES ({number}, {who}, now())")
                else:
                    with client.transaction():
                        client.execute(f"INSERT INTO t (id, v) VALUES ({number}, {who})")
                        client.execute(f"UPDATE t SET v = v + 1 WHERE id = {number}")
                self.acknowledged[who].append(number)
                number += 1

    def __enter__(self):
        self.wait_more(5)
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.result(120)

    def wait_more(self, more):
        before = [len(one) for one in self.acknowledged]

        def all_have():
            for thread in self.threads:
                thread.check()
            return all(len(one) >= was + more for one, was in zip(self.acknowledged, before))
        wait_for(all_have, "all clients to write", 60)

    def all(self):
        return {number for one in self.acknowledged for number in one}


def test_a_node_is_recovered_while_clients_write(own, pgpool):
    crash(own, pgpool, 2)
    with Writers(pgpool) as writers:
        done = recover(pgpool, 2)
        writers.wait_more(5)
    assert "compared with the main node" in done.stdout + done.stderr, done
    rows = own.same("SELECT id FROM t WHERE id >= 1000 ORDER BY 1")
    assert writers.all() == {row[0] for row in rows}
    assert own[2].rows("SELECT pg_is_in_recovery()") == [(False,)]
    compare(pgpool)


def test_the_first_node_is_recovered_and_another_stays_the_main_one(own, pgpool):
    with Writers(pgpool):
        pass
    crash(own, pgpool, 0)
    with pgpool.connect() as client:
        client.execute("SELECT pg_advisory_lock(4)")  # what a change of the main node would end
        with Writers(pgpool, 3) as writers:
            recover(pgpool, 0)
            writers.wait_more(5)
        assert client.execute("SHOW port").fetchall() == [(str(own[1].port),)]
        assert client.execute("SELECT pg_advisory_unlock(4)").fetchall() == [(True,)]
    compare(pgpool)


def test_sequences_stand_where_the_main_node_s_do(own, pgpool):
    """A standby is ahead of them, and that is what a recovered node was."""
    for sql in ('CREATE SEQUENCE "odd one"', "SELECT nextval('\"odd one\"'), nextval('s')",
                "CREATE SEQUENCE untouched", "CREATE SEQUENCE put",
                "SELECT setval('put', 7, false)"):
        execute(pgpool, sql)
    crash(own, pgpool, 1)
    with pgpool.connect() as client:
        for _ in range(3):
            client.execute("SELECT nextval('s')")
        recover(pgpool, 1)
        own.same("SELECT last_value, is_called FROM s")
        client.execute("INSERT INTO t (id, v) VALUES (570, nextval('s')), (571, nextval('put'))")
        client.execute("INSERT INTO t (id, v) VALUES (572, nextval('untouched'))")
    assert own.same("SELECT v FROM t WHERE id >= 570 ORDER BY id") == [(5,), (7,), (1,)]
    compare(pgpool)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_block_that_was_refused_is_in_nobody_s_way(own, pgpool, victim):
    """It ends without an answer of a server, behind which would be asked what it has left; and when
    the main node is lost before that, there is nobody to be asked."""
    for server in own:
        with server.connect() as connection:
            connection.execute("CREATE FUNCTION leaves() RETURNS int LANGUAGE plpgsql AS "
                               "'BEGIN RETURN 1; END'")
    with pgpool.connect() as client:
        if victim != 0:
            crash(own, pgpool, victim)
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (580)")
        client.execute("SELECT leaves()")
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("INSERT INTO nowhere VALUES (1)")
        if victim == 0:
            crash(own, pgpool, victim)
        recovers = Background(recover, pgpool, victim)
        wait_for(lambda: "writes are held" in pgpool.log_since_mark(), "writes to be held", 60)
        client.execute("ROLLBACK")
        client.execute("INSERT INTO t (id) VALUES (581)")
        recovers.result()
    assert own.same("SELECT id FROM t WHERE id >= 580") == [(581,)]


def test_a_node_is_attached_when_it_is_equal_and_only_then(own, pgpool):
    assert order(pgpool, "detach_node", 1).returncode == 0
    done = order(pgpool, "attach_node", 1)  # nothing was written
    assert done.returncode == 0, done
    execute(pgpool, "INSERT INTO t (id) VALUES (500)")
    assert order(pgpool, "detach_node", 1).returncode == 0
    execute(pgpool, "INSERT INTO t (id) VALUES (501)")
    with Writers(pgpool, 2) as writers:
        done = order(pgpool, "attach_node", 1)
        assert done.returncode != 0 and "not equal" in done.stderr, done
        assert re.search(r"not equal to node 0: \d+ differences: table public.t\b",
                         done.stderr), done
        writers.wait_more(3)  # they go on
    with own[1].connect() as connection:
        connection.execute("DELETE FROM t")
        for row in own[0].rows("SELECT id, v, at FROM t"):
            connection.execute("INSERT INTO t VALUES (%s, %s, %s)", row)
    done = order(pgpool, "attach_node", 1)
    assert done.returncode == 0, done
    execute(pgpool, "INSERT INTO t (id) VALUES (502)")
    assert own.same("SELECT id FROM t WHERE id BETWEEN 500 AND 510 ORDER BY 1") == [
        (500,), (501,), (502,)]
    assert order(pgpool, "attach_node", 1).returncode == 0  # it is already


def test_what_is_left_prepared_is_not_taken_in(own, pgpool):
    """It would be ended when the node is a copy again, and nobody has compared that."""
    execute(pgpool, "INSERT INTO t (id) VALUES (510)")
    assert order(pgpool, "detach_node", 1).returncode == 0
    with own[1].connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t (id) VALUES (511)")
        connection.execute("PREPARE TRANSACTION 'pgpool 1 3 0 1 1'")
    done = order(pgpool, "attach_node", 1)
    assert done.returncode != 0 and "'pgpool 1 3 0 1 1'" in done.stderr, done
    recover(pgpool, 1)
    assert own.same(PREPARED) == [(0,)]


def test_a_transaction_that_is_open_is_waited_for(own, start):
    pgpool = start(recovery_timeout="2s")
    assert order(pgpool, "detach_node", 1).returncode == 0
    with pgpool.connect() as client, pgpool.connect() as other:
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (520)")
        done = order(pgpool, "attach_node", 1)
        assert done.returncode != 0 and "transactions are still open" in done.stderr, done
        client.execute("INSERT INTO t (id) VALUES (521)")  # it was not ended
        client.execute("ROLLBACK")
        other.execute("INSERT INTO t (id) VALUES (522)")  # and others go on
    assert own.all("SELECT id FROM t WHERE id >= 520") == [[(522,)], [], [(522,)]]


def test_who_is_silent_in_a_transaction_is_ended_by_the_limit(own, start):
    pgpool = start(client_idle_limit_in_recovery=-1)
    assert order(pgpool, "detach_node", 1).returncode == 0
    with pgpool.connect() as client, pgpool.connect() as idle:
        idle.execute("SELECT 1 FROM t")
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (530)")
        done = order(pgpool, "attach_node", 1)
        assert done.returncode == 0, done
        with pytest.raises(psycopg.OperationalError, match="client_idle_limit_in_recovery"):
            client.execute("INSERT INTO t (id) VALUES (531)")
        idle.execute("INSERT INTO t (id) VALUES (532)")  # in nobody's way
    assert own.same("SELECT id FROM t WHERE id >= 530") == [(532,)]


def test_sessions_with_temporary_tables_are_waited_for(own, pgpool):
    assert order(pgpool, "detach_node", 1).returncode == 0
    with pgpool.connect() as client, pgpool.connect() as other:
        client.execute("CREATE TEMP TABLE own (id int PRIMARY KEY)")
        attach = Background(order, pgpool, "attach_node", 1)
        wait_for(lambda: "sessions with temporary objects" in pgpool.log_text(), "it to wait")
        other.execute("INSERT INTO t (id) VALUES (540)")  # nobody is held meanwhile
        client.execute("INSERT INTO own VALUES (541)")
        client.execute("DELETE FROM t WHERE id = 540")
        client.execute("DROP TABLE own")
        done = attach.result()
        assert done.returncode == 0, done
        client.execute("INSERT INTO t (id) VALUES (542)")
    assert own.same("SELECT id FROM t WHERE id >= 540") == [(542,)]


def test_sessions_with_prepared_statements_are_not_waited_for(own, start):
    """The new node is told them when it needs them."""
    pgpool = start(recovery_timeout="20s")
    with pgpool.connect() as client:
        client.execute("PREPARE a AS INSERT INTO t (id, v) VALUES ($1, nextval('s')) RETURNING v")
        client.execute("PREPARE b (int) AS UPDATE t SET v = v + 1 WHERE id = $1")
        client.execute("EXECUTE b (3)")
        assert order(pgpool, "detach_node", 1).returncode == 0
        done = order(pgpool, "attach_node", 1)
        assert done.returncode == 0, done
        client.execute("EXECUTE a (545)")
        client.execute("EXECUTE b (545)")
        client.execute("EXECUTE b (3)")
    assert len(own.same("SELECT id, v FROM t WHERE id IN (3, 545) ORDER BY id")) == 2


def test_what_is_held_reads_and_can_be_cancelled(own, pgpool):
    """While a transaction is open, others wait at their next write."""
    assert order(pgpool, "detach_node", 1).returncode == 0
    with pgpool.connect() as client, pgpool.connect() as other:
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (550)")
        attach = Background(order, pgpool, "attach_node", 1)
        wait_for(lambda: "writes are held" in pgpool.log_text(), "writes to be held")
        wait_for(lambda: other.execute("SHOW pool_holds").fetchall(), "it to be shown")
        assert other.execute("SHOW pool_holds").fetchall()[0][0] == "paused writes"
        assert other.execute("SELECT count(*) FROM t WHERE id = 3").fetchall() == [(1,)]
        held = Background(other.execute, "INSERT INTO t (id) VALUES (551)")
        wait_for(lambda: pgpool_holds(pgpool)[0][3] == "1", "the write to be held")
        other.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            held.result()
        held = Background(other.execute, "BEGIN")  # it would be in the way
        wait_for(lambda: pgpool_holds(pgpool)[0][3] == "1", "it to be held")
        client.execute("ROLLBACK")
        held.result()
        assert attach.result().returncode == 0
        other.execute("INSERT INTO t (id) VALUES (552)")
        other.execute("COMMIT")
    assert own.same("SELECT id FROM t WHERE id >= 550") == [(552,)]


def pgpool_holds(pgpool):
    with pgpool.connect() as client:
        return client.execute("SHOW pool_holds").fetchall()


def test_a_killed_failover_process_lets_writes_go(own, pgpool):
    assert order(pgpool, "detach_node", 1).returncode == 0
    with pgpool.connect() as client, pgpool.connect() as other:
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id) VALUES (560)")
        Background(order, pgpool, "attach_node", 1)
        wait_for(lambda: pgpool_holds(pgpool), "writes to be held")
        os.kill(pgpool.named("failover")[0], signal.SIGKILL)
        wait_for(lambda: not pgpool_holds(pgpool), "them to go on")
        other.execute("INSERT INTO t (id) VALUES (561)")
        client.execute("COMMIT")
    assert own.all("SELECT id FROM t WHERE id >= 560 ORDER BY 1") == [
        [(560,), (561,)], [], [(560,), (561,)]]
