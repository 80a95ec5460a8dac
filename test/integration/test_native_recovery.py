"""Native replication: nodes that were detached come back while clients work, by recovery or as they
are, and only when they are equal to the others."""

import os
import threading

import psycopg
import pytest

from cluster import make_dir
from proxy import starter
from test_native import SETTINGS, Servers
from test_pcp import Tools
from waiting import SLOW, Background, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(90)]

RECOVERY = {"failover_wait": "60s", "recovery_user": "postgres", "recovery_timeout": "60s"}


@pytest.fixture(name="own")
def own_fixture():
    """Servers that a test may break."""
    servers = Servers()
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
    import subprocess  # pylint: disable=import-outside-toplevel
    done = subprocess.run(
        pgpool.command(*([f"--nodes={','.join(map(str, nodes))}"] if nodes else []), "compare"),
        capture_output=True, text=True, check=False, timeout=120 * SLOW)
    assert done.returncode == 0, done
    return done.stdout


class Writers:
    """Clients that write one row after the other, and remember which they were told to be there."""

    def __init__(self, pgpool, count=6):
        self.pgpool, self.stopping = pgpool, threading.Event()
        self.acknowledged = [[] for _ in range(count)]
        self.threads = [Background(self.go, who) for who in range(count)]

    def go(self, who):
        with self.pgpool.connect() as client:
            number = who * 1000000 + 1000
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
    with Writers(pgpool) as writers:
        writers.stopping.set()
    crash(own, pgpool, 0)
    with pgpool.connect() as client:
        client.execute("SELECT pg_advisory_lock(4)")  # what a change of the main node would end
        with Writers(pgpool, 3) as writers:
            recover(pgpool, 0)
            writers.wait_more(5)
        assert client.execute("SELECT number FROM place").fetchall() == [(1,)]
        assert client.execute("SELECT pg_advisory_unlock(4)").fetchall() == [(True,)]
    compare(pgpool)
