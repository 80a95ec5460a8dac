"""Native replication under twenty clients that do everything a client can: all nodes are the same
in the end, nothing that was acknowledged is lost, and nobody waits for good. Once quietly, and once
while a node is killed every minute and recovered online.

A few seconds of the first; PGPOOL_TEST_HEAVY=1 runs both for PGPOOL_TEST_LONG_S (30 minutes).
PGPOOL_TEST_MINUTE_S is the time from one kill to the next.
PGPOOL_TEST_SEED is what all choices are made from. What decision 0026 tells as known faults (errors
behind a kill) fails the long runs only."""

import collections
import os
import random
import re
import subprocess
import threading
import time

import pytest

from cluster import Server
from failing import Node
from independent import Independent
from native_clients import KINDS
from native_load import SCHEMA, TABLES, Load
from proxy import starter
from test_native import SETTINGS
from test_pcp import Tools
from waiting import SLOW, Background, wait_for

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
LONG_S = float(os.environ.get("PGPOOL_TEST_LONG_S", 1800 if HEAVY else 12))
SEED = os.environ.get("PGPOOL_TEST_SEED", "1")
MINUTE_S = float(os.environ.get("PGPOOL_TEST_MINUTE_S", 60 if HEAVY else 10))  # between kills
TRIES = 3  # of a recovery
LATE_S = 40  # a recovery that takes longer is looked into
MODES = ["native_replication", "snapshot_isolation"]

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(LONG_S * 2 + 90)]

nobody = threading.Event()  # sets it: waiting for it takes so long


class CopyNode(Node):
    """A server that is no standby of anybody's, and prepares as many transactions as there are
    clients."""

    def configure(self, text):
        Server.configure(self, "max_prepared_transactions = 60\nmax_wal_size = 256MB\n"
                         "log_min_messages = error\n" + text)


class Copies(Independent):
    server_class = CopyNode


@pytest.fixture(name="cluster")
def cluster_fixture():
    cluster = Copies(standbys=2)
    try:
        for server in cluster.servers:
            with server.connect() as connection:
                connection.execute(SCHEMA)
        yield cluster
    finally:
        cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(cluster, engine):
    for start in starter(cluster, engine):
        yield lambda **more: start(**SETTINGS | {
            "log_min_messages": "info", "log_connections": "off", "log_disconnections": "off",
            "num_init_children": 3, "failover_wait": "60s", "recovery_user": "postgres",
            "recovery_timeout": "60s"} | more)


class Run:
    """One load upon one pgpool and its nodes, and what is told of it."""

    def __init__(self, cluster, pgpool):
        self.cluster, self.pgpool = cluster, pgpool
        self.random = random.Random(f"{SEED} kills")
        self.load = Load(pgpool, SEED, KINDS)
        self.began, self.recoveries, self.failed = time.monotonic(), [], []
        self.told, self.kills = 0, collections.Counter()

    def say(self, *words):
        print(f"{time.strftime('%H:%M:%S')} {time.monotonic() - self.began:.0f} s:", *words,
              flush=True)

    def tell(self):
        load = self.load
        for text in load.wrong[self.told:]:
            self.say("WRONG:", text)
        self.told = len(load.wrong)
        self.say(f"{load.counts['transactions']} transactions, {load.steps()} steps,",
                 f"{len(load.wrong)} wrong; {dict(load.counts)}; errors {dict(load.errors)};",
                 f"slowest, in ms: {dict(load.slowest)}")

    # ---- what it does ----

    def stops(self):
        """A long run is told all that there is to find; who waits for good ends it."""
        return self.load.hung or (self.load.wrong and not HEAVY)

    def wait(self, seconds):
        """Until somebody has found a fault; each minute is told."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stops():
            nobody.wait(min(60, max(end - time.monotonic(), 0)) if seconds > 60 else seconds)
            if seconds > 60:
                self.tell()

    def work(self):
        """All clients have their turn, whatever the machine is like."""
        wait_for(self.load.wait_more(1), "all clients to do a step", 120)

    def kill(self):
        """One of the nodes, at once or by its postmaster alone, whose backends go on for a
        moment."""
        number = self.random.randrange(len(self.cluster.servers))
        node = self.cluster.servers[number]
        alone = self.random.random() < 0.5
        self.kills[number] += 1
        with self.pgpool.connect() as client:
            is_main = client.execute("SHOW port").fetchone() == (str(node.port),)
        self.say(f"node {number} is killed{' (its postmaster)' if alone else ''},",
                 f"{'the' if is_main else 'not the'} main one")
        self.pgpool.mark_log()
        self.load.trouble()
        if alone:
            node.kill_postmaster()
        else:
            node.kill()
        wait_for(lambda: re.search(rf"node {number} .*is detached", self.pgpool.log_since_mark()),
                 f"node {number} to be detached", 60)
        return number

    def order(self, number):
        return subprocess.run(
            Tools(self.pgpool).command("recovery_node", "-w", "-n", str(number),
                                       host=self.pgpool.directory,
                                       user=os.environ.get("USER") or "root"),
            capture_output=True, text=True, check=False, timeout=240 * SLOW,
            env=Tools(self.pgpool).environment(), start_new_session=True)

    def recover(self, number):
        for _ in range(TRIES):
            began = time.monotonic()
            order = Background(self.order, number)
            order.join(LATE_S * SLOW)
            if order.is_alive():
                self.show_waits()
            done = order.result(300)
            took = time.monotonic() - began
            if done.returncode == 0:
                self.recoveries.append(round(took, 1))
                self.say(f"node {number} is recovered, which took {took:.1f} s")
                self.load.healed()
                return
            self.failed.append(f"{took:.1f} s: {done.stderr.strip()}")
            self.say(f"node {number} is not recovered: {self.failed[-1]}")
        raise AssertionError(f"node {number} is not recovered: {self.failed}")

    # ---- what must be true in the end ----

    def end(self):
        """All is judged; AssertionError with all that is wrong."""
        if self.load.hung:
            self.show_waits()
        staying = self.load.leave()
        wrong = [*self.load.wrong, *(f"{name} does not end" for name in staying)]
        if staying:
            self.show_waits()
        self.tell()
        self.say(f"kills by node: {dict(self.kills)}, recoveries (s): {self.recoveries}, failed:",
                 self.failed)
        wrong += self.deaths() + self.prepared() + self.lost() + self.differences()
        assert not wrong, "\n".join(wrong) + "\npgpool's log:\n" + self.pgpool.log_text()[-20000:]

    def show_waits(self):
        """Who waits, and for whom."""
        for view in ("pool_sessions", "pool_nodes", "pool_holds"):
            for row in self.pgpool.rows(f"SHOW {view}"):
                self.say(f"{view}: {row}")
        for server in self.cluster.servers:
            for row in server.ask_all("SELECT pid, pg_blocking_pids(pid), state, wait_event_type, "
                                      "wait_event, xact_start, query_start, left(query, 200) "
                                      "FROM pg_stat_activity WHERE datname = 'test' AND "
                                      "(state <> 'idle' OR wait_event_type = 'Lock')"):
                self.say(f"{server.server_name}: {row}")
            for row in server.ask_all("SELECT * FROM pg_prepared_xacts"):
                self.say(f"{server.server_name} has prepared {row}")

    def deaths(self):
        return re.findall(r"\w+ process \d+ was terminated by signal.*", self.pgpool.log_text())

    def prepared(self):
        """What clients have left that went without a word is ended by and by."""
        def left():
            return [found for server in self.cluster.servers
                    if (found := server.rows("SELECT gid FROM pg_prepared_xacts"))]
        try:
            wait_for(lambda: not left(), "all to be ended", 30)
        except AssertionError:
            return [f"prepared: {left()}"]
        return []

    def lost(self):
        done, undone = self.load.marks()
        wrong = []
        for server in self.cluster.servers:
            marks = {row[0] for row in server.rows("SELECT id FROM nl_marks")}
            if done - marks:
                wrong.append(f"{server.server_name} has lost {sorted(done - marks)[:20]}")
            if undone & marks:
                wrong.append(f"{server.server_name} has what was never committed: "
                             f"{sorted(undone & marks)[:20]}")
        return wrong

    def compare(self):
        done = subprocess.run(self.pgpool.command("compare"), capture_output=True, text=True,
                              check=False, timeout=300 * SLOW)
        self.say(done.stdout.strip().splitlines()[-1:])
        return done

    def only_sequences(self, done):
        told = [line for line in done.stdout.splitlines() if " differs at node " in line]
        return told and all("value of sequence" in line for line in told)

    def differences(self):
        done = self.compare()
        if self.only_sequences(done):  # those are set by and by
            wait_for(lambda: not self.only_sequences(self.compare()), "sequences to be set", 30)
            done = self.compare()
        if done.returncode == 0:
            return []
        rows = {table: [server.value(f"SELECT count(*), max(hashtext(t::text)) FROM {table} t")
                        for server in self.cluster.servers] for table in TABLES}
        return [f"the nodes differ: {done.stdout[-3000:]}{done.stderr[-3000:]} {rows}"]


def run_of(cluster, start, mode):
    pgpool = start(backend_clustering_mode=mode)
    return Run(cluster, pgpool)


@pytest.mark.parametrize("mode", MODES)
def test_all_nodes_are_the_same(cluster, start, mode):
    run = run_of(cluster, start, mode)
    run.load.start()
    try:
        run.wait(LONG_S)
        run.work()
    finally:
        run.end()
    assert run.load.counts["transactions"] > 0


@pytest.mark.skipif(not HEAVY, reason="PGPOOL_TEST_HEAVY=1 runs it")
@pytest.mark.parametrize("mode", MODES)
def test_nodes_are_killed_and_recovered(cluster, start, mode):
    run = run_of(cluster, start, mode)
    run.load.start()
    try:
        run.work()
        end = time.monotonic() + LONG_S
        while not run.stops():
            began = time.monotonic()
            run.recover(run.kill())
            run.work()
            if time.monotonic() > end:
                break
            run.wait(began + MINUTE_S - time.monotonic())
            run.tell()
    finally:
        run.end()
    assert run.recoveries
