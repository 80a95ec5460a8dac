"""snapshot_isolation: many clients transfer between accounts; all that others read is one state.

Readers read a part of the accounts from the node that their transaction reads at, and the others
from the main node, and must see the same total each time. What reads write down ends on each node
as that one saw it, and must be the same everywhere. Who reads at one node and then at another never
sees less than before. Without the order of snapshots and commits (ungated.c) all that is violated.

A few seconds; with PGPOOL_TEST_HEAVY=1 ten minutes."""

import os
import random
import threading
import time

import psycopg
import pytest

from proxy import binary, starter
from test_native import PREPARED, SETTINGS, servers_with
from waiting import SLOW

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
SECONDS = float(os.environ.get("PGPOOL_TEST_MIX_S", 600 if HEAVY else 6))
SEED = int(os.environ.get("PGPOOL_TEST_SEED", "1"))
ACCOUNTS, EACH = 24, 100
TOTAL = ACCOUNTS * EACH
HALF = ACCOUNTS // 2
AGAIN = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
MODE = SETTINGS | {"backend_clustering_mode": "snapshot_isolation", "num_init_children": 3,
                   "log_min_messages": "warning"}

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(SECONDS + 60)]

TABLES = f"""
CREATE TABLE account (id int PRIMARY KEY, v int NOT NULL);
INSERT INTO account SELECT n, {EACH} FROM generate_series(1, {ACCOUNTS}) n;
CREATE TABLE seen (id int PRIMARY KEY, low bigint, high bigint);
CREATE TABLE done (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO done SELECT n, 0 FROM generate_series(1, 8) n;
"""


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with(TABLES)


@pytest.fixture(name="start")
def start_fixture(servers, engine):
    for start in starter(servers.cluster, engine):
        yield lambda: start(**MODE)


class Mix:
    """All clients of one run, and what they have found."""

    def __init__(self, pgpool):
        self.pgpool = pgpool
        self.ends = threading.Event()
        self.wrong, self.counts = [], {}

    def violated(self, text):
        self.wrong.append(text)
        self.ends.set()

    def run(self, seconds):
        clients = [kind(self, number) for number, kind in enumerate(
            [Transfer] * 6 + [Reader] * 4 + [ReadOnly, Writer, Writer, Follower, Follower])]
        for client in clients:
            client.start()
        self.ends.wait(seconds)
        self.ends.set()
        for client in clients:
            client.join(120 * SLOW)
            assert not client.is_alive(), client
        return clients


class Client(threading.Thread):
    """Acts until the mix ends; what must be tried again is."""

    def __init__(self, mix, number):
        super().__init__(daemon=True)
        self.mix, self.number, self.turn = mix, number, 0
        self.random = random.Random(SEED * 1000 + number)

    def run(self):
        try:
            with self.mix.pgpool.connect() as client:
                while not self.mix.ends.is_set():
                    self.turn += self.until_done(client)
        except Exception as error:  # pylint: disable=broad-except
            self.mix.violated(f"{type(self).__name__}: {error!r}")

    def until_done(self, client):
        try:
            self.act(client)
            return 1
        except AGAIN:
            client.execute("ROLLBACK")
            return 0

    def act(self, client):
        raise NotImplementedError


def one(client, sql):
    return client.execute(sql).fetchone()[0]


class Transfer(Client):
    def act(self, client):
        giver, taker = self.random.sample(range(1, ACCOUNTS + 1), 2)
        amount = self.random.randint(1, 9)
        client.execute("BEGIN")
        if self.random.random() < 0.5:
            one(client, f"SELECT v FROM account WHERE id = {giver}")
        client.execute(f"UPDATE account SET v = v - {amount} WHERE id = {giver}")
        client.execute("UPDATE account SET v = v + %s WHERE id = %s", (amount, taker))
        client.execute("COMMIT" if self.random.random() < 0.9 else "ROLLBACK")
        client.execute(f"UPDATE done SET n = n + 1 WHERE id = {self.number + 1}")


class Reader(Client):
    """The second half is read at the main node: a savepoint is nothing for a reader."""

    def act(self, client):
        node = self.random.randrange(3)
        client.execute("BEGIN")
        low = f"SELECT /* pgpool: node={node} */ sum(v) FROM account WHERE id <= {HALF}"
        lows = [one(client, low) for _ in range(self.random.randint(1, 3))]
        client.execute("SAVEPOINT a")
        highs = [one(client, f"SELECT sum(v) FROM account WHERE id > {HALF}") for _ in range(2)]
        lows.append(one(client, low))
        client.execute("COMMIT")
        totals = {low + high for low in lows for high in highs}
        if totals != {TOTAL}:
            self.mix.violated(f"a transaction at node {node} has seen {totals}")


class ReadOnly(Client):
    def act(self, client):
        client.execute("BEGIN READ ONLY")
        totals = set()
        for _ in range(3):
            low = one(client, f"SELECT sum(v) FROM account WHERE id <= {HALF}")
            totals.add(low + one(client, f"SELECT sum(v) FROM account WHERE id > {HALF}"))
        client.execute("COMMIT")
        if totals != {TOTAL}:
            self.mix.violated(f"a transaction that is READ ONLY has seen {totals}")


class Writer(Client):
    """What each node has seen is in its table."""

    def act(self, client):
        key = self.number * 1000000 + self.turn
        client.execute(
            f"INSERT INTO seen SELECT {key}, sum(v) FILTER (WHERE id <= {HALF}), "
            f"sum(v) FILTER (WHERE id > {HALF}) FROM account")


class Follower(Client):
    """Reads outside of transactions, at whichever node, one behind the other."""

    seen = 0

    def act(self, client):
        node = self.random.randrange(3)
        now = one(client, f"SELECT /* pgpool: node={node} */ sum(n) FROM done")
        if now < self.seen:
            self.mix.violated(f"node {node} knows of {now} transfers, and there were {self.seen}")
        self.seen = now


def found(servers, mix):
    """What is violated, the tables included."""
    wrong = list(mix.wrong)
    for table in ("account", "seen", "done"):
        rows = servers.all(f"SELECT * FROM {table} ORDER BY id")
        if not rows[0] == rows[1] == rows[2]:
            wrong.append(f"the nodes differ in {table}")
    if servers[0].value(f"SELECT count(*) FROM seen WHERE low + high <> {TOTAL}") > 0:
        wrong.append("a statement has seen another total")
    return wrong


def test_all_reads_see_one_state(servers, start):
    mix = Mix(start())
    clients = mix.run(SECONDS)
    assert found(servers, mix) == []
    for kind in (Transfer, Reader, ReadOnly, Writer, Follower):
        assert sum(client.turn for client in clients if isinstance(client, kind)) > 0, kind
    assert servers.same(PREPARED) == [(0,)]


def test_without_the_order_they_do_not(servers, start, monkeypatch):
    monkeypatch.setenv("PGPOOL_BIN",
                       os.path.join(os.path.dirname(binary()), "test/integration/ungated"))
    pgpool = start()
    deadline = time.monotonic() + 120 * SLOW
    wrong = []
    while not wrong and time.monotonic() < deadline:
        mix = Mix(pgpool)
        mix.run(5)
        wrong = [text for text in found(servers, mix) if "has seen" in text or "differ" in text or
                 "knows of" in text]
    assert wrong
    for server in servers:  # for whoever comes next
        with server.connect() as connection:
            connection.execute("DROP TABLE account, seen, done")
            connection.execute(TABLES)
