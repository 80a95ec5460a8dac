"""Loads: results and COPYs larger than any buffer, a thousand clients, processes killed under
traffic, and where reads go.

PGPOOL_TEST_HEAVY=1 makes each COPY a gigabyte instead of 100 MB.
"""

import os
import random
import re
import signal
import subprocess
import threading

import psycopg
import pytest

import processes
import raw
from cluster import run
from waiting import SLOW, Background, wait_for

pytestmark = pytest.mark.plain

MB = 1 << 20
COPY_MB = 1024 if os.environ.get("PGPOOL_TEST_HEAVY") else 100
PSS_LIMIT_KB = 20 * 1024
SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")

# A sanitizer keeps freed memory and shadows all of it: its build says nothing about memory.
measures_memory = pytest.mark.skipif(SANITIZED, reason="the sanitizers need memory themselves")


class PssWatch(threading.Thread):
    """Samples the memory of each process while something runs."""

    def __init__(self, pgpool):
        super().__init__(daemon=True)
        self.pgpool, self.done, self.most = pgpool, threading.Event(), {}

    def run(self):
        while not self.done.wait(0.05):
            for pid in [self.pgpool.pid, *processes.young(self.pgpool.pid)]:
                self.most[pid] = max(self.most.get(pid, 0), processes.pss_kb(pid))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()

    def judge(self):
        assert self.most, "nothing was measured"
        fat = {processes.title(pid) or pid: kb for pid, kb in self.most.items()
               if kb >= PSS_LIMIT_KB}
        assert not fat, f"Pss in kB: {fat}"


def swallow(connection, kinds="Z", pause=None):
    """Reads and forgets everything up to a message of these kinds, holding none of it: counts the
    bytes of each kind. Reads at most 64 kB at a time."""
    counted, head, left, kind = {}, b"", 0, ""
    connection.socket.settimeout(60 * SLOW)
    while True:
        data = connection.socket.recv(65536)
        assert data, "the connection was closed"
        if pause:
            pause()
        view = memoryview(data)
        while view:
            if left:
                taken = min(left, len(view))
                counted[kind] = counted.get(kind, 0) + taken
                left -= taken
                view = view[taken:]
            else:
                need = 5 - len(head)
                head += bytes(view[:need])
                view = view[need:]
                if len(head) == 5:
                    kind, left = chr(head[0]), int.from_bytes(head[1:], "big") - 4
                    counted.setdefault(kind, 0)
                    head = b""
            if kind and not left and not head and kind in kinds:
                return counted


@measures_memory
def test_one_huge_value(cluster, pgpool):
    with raw.connected(pgpool) as one, PssWatch(pgpool) as watch:
        one.send(raw.query("SELECT repeat('x', 200*1024*1024)"))
        counted = swallow(one)
    assert counted["D"] == 200 * MB + 6
    assert "E" not in counted
    watch.judge()


@measures_memory
def test_copy_out(cluster, pgpool):
    rows = COPY_MB * 1024
    with raw.connected(pgpool) as one, PssWatch(pgpool) as watch:
        one.send(raw.query(f"COPY (SELECT repeat('c', 1023) FROM generate_series(1, {rows})) "
                           "TO STDOUT"))
        counted = swallow(one)
    assert counted["d"] == COPY_MB * MB
    assert "E" not in counted
    watch.judge()


@measures_memory
def test_copy_in(cluster, pgpool):
    block = raw.copy_data(("i" * 1023 + "\n") * 1024)
    with raw.connected(pgpool) as one, PssWatch(pgpool) as watch:
        # a trigger drops the rows: the load is the proxy's, not the disk's
        one.simple("""
            CREATE TEMP TABLE sink (a text);
            CREATE FUNCTION pg_temp.drop_row() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN RETURN NULL; END';
            CREATE TRIGGER dropping BEFORE INSERT ON sink FOR EACH ROW
                EXECUTE FUNCTION pg_temp.drop_row()""")
        one.send(raw.query("COPY sink FROM STDIN"))
        assert one.read_until("GE")[-1].kind == "G"
        one.socket.settimeout(60 * SLOW)
        for _ in range(COPY_MB):
            one.send(block)
        one.send(raw.COPY_DONE)
        assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
    watch.judge()


@measures_memory
def test_huge_query_and_parameter(cluster, pgpool):
    with raw.connected(pgpool) as one, PssWatch(pgpool) as watch:
        one.socket.settimeout(60 * SLOW)
        one.send(raw.query("SELECT length('" + "q" * (30 * MB) + "')"))
        answer = one.read_until("Z")
        assert answer[1].row() == [b"%d" % (30 * MB)]
        one.send(raw.parse("", "SELECT length($1::text)"), raw.bind("", "", "p" * (60 * MB)),
                 raw.execute(), raw.SYNC)
        answer = one.read_until("Z")
        assert answer[2].row() == [b"%d" % (60 * MB)]
    watch.judge()


@measures_memory
def test_slow_reader_slows_only_itself(cluster, pgpool):
    """Clients that do not read: memory stays, others are served."""
    slow = [raw.connected(pgpool) for _ in range(4)]
    try:
        with PssWatch(pgpool) as watch:
            for one in slow:
                one.send(raw.query("SELECT repeat('s', 1000) FROM generate_series(1, 50000)"))
            with raw.connected(pgpool) as quick:
                for number in range(200):
                    assert quick.rows(f"SELECT {number}") == [[str(number)]]
            for one in slow:
                assert swallow(one)["D"] == 50000 * 1006
        watch.judge()
    finally:
        for one in slow:
            one.close()


def test_both_sides_full(cluster, pgpool):
    """A client that sends a pipeline of large queries and large results, and reads only later."""
    with raw.connected(pgpool) as one:
        count, text = 40, "d" * 200_000
        batch = b"".join(raw.parse("", "SELECT $1::text") + raw.bind("", "", text) +
                         raw.execute() + raw.SYNC for _ in range(count))
        one.socket.settimeout(60 * SLOW)
        sender = Background(one.socket.sendall, batch)
        total = 0
        for _ in range(count):
            total += swallow_ready(one)
        sender.result()
        assert total == count * (len(text) + 6)


def swallow_ready(connection):
    messages = connection.read_until("Z")
    return sum(len(got.body) for got in messages if got.kind == "D")


@measures_memory
def test_thousand_idle_clients(cluster, start_pgpool):
    pgpool = start_pgpool(child_max_clients=1000, listen_backlog_multiplier=1000)
    clients = []
    try:
        for _ in range(1000):
            clients.append(raw.connected(pgpool))
        for number in (0, 500, 999):
            assert clients[number].rows("SELECT 1") == [["1"]]
        total = sum(processes.pss_kb(pid) for pid in pgpool.pids())
        assert total < PSS_LIMIT_KB, f"{total} kB"
        for one in clients[::50]:
            assert one.rows("SELECT 2") == [["2"]]
    finally:
        for one in clients:
            one.close()
    with raw.connected(pgpool) as one:
        assert one.rows("SELECT 3") == [["3"]]


# ---- killed processes ----------------------------------------------------------------------------

def server_sessions(cluster, application):
    return sum(server.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
                            "'client backend' AND application_name = %s", application)
               for server in cluster.servers)


def pooled_connections(pgpool):
    """Server connections that the children know of."""
    with raw.connected(pgpool) as one:
        answer = one.simple("SHOW pool_pools")
    names = [column[0] for column in answer[0].columns()]
    return sum(int(dict(zip(names, got.row()))["pool_backendpid"] or 0) != 0
               for got in answer if got.kind == "D")


def traffic(pgpool, stop, counts):
    """A client that goes on, whatever happens to its connection."""
    while not stop.is_set():
        try:
            with psycopg.connect(pgpool.dsn(application_name="load_kill"), autocommit=True) as c:
                while not stop.is_set():
                    c.execute("SELECT name FROM load_t WHERE id = %s", (random.randrange(100),))
                    counts["good"] += 1
        except psycopg.OperationalError:
            counts["lost"] += 1
        except Exception as error:  # pylint: disable=broad-except
            counts["wrong"].append(error)
            return


@pytest.fixture(name="table")
def table_fixture(cluster):
    cluster.sql("""CREATE TABLE IF NOT EXISTS load_t (id int PRIMARY KEY, name text);
                   TRUNCATE load_t; INSERT INTO load_t SELECT g, g FROM generate_series(0, 99) g""")


def test_killed_processes_come_back(cluster, table, start_pgpool):
    """Children, lag, and pcp are killed under traffic: each comes back, nothing is left over."""
    pgpool = start_pgpool()
    stop, counts = threading.Event(), {"good": 0, "lost": 0, "wrong": []}
    names = [name for name in ("child", "lag", "pcp") if pgpool.named(name)]
    assert "child" in names
    shape = {name: len(pgpool.named(name)) for name in names}
    descriptors = processes.descriptors(pgpool.pid)
    threads = [threading.Thread(target=traffic, args=(pgpool, stop, counts)) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(15):
            before = counts["good"]
            name = names[turn % len(names)]
            pgpool.kill_named(name, random.choice(pgpool.named(name)))
            wait_for(lambda: {n: len(pgpool.named(n)) for n in names} == shape,
                     "the process to be forked again")
            wait_for(lambda b=before: counts["good"] > b + 20, "queries to go on")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert counts["wrong"] == []
    assert processes.zombies(pgpool.pid) == []
    assert processes.descriptors(pgpool.pid) <= descriptors + 2
    wait_for(lambda: server_sessions(cluster, "load_kill") <= pooled_connections(pgpool),
             "the servers to drop the sessions of killed children")
    with raw.connected(pgpool) as one:
        assert one.rows("SELECT count(*) FROM load_t") == [["100"]]


def test_kill_hurts_only_its_own_clients(cluster, table, start_pgpool):
    pgpool = start_pgpool()
    clients = [raw.connected(pgpool) for _ in range(20)]
    try:
        for one in clients:
            assert one.rows("SELECT 1") == [["1"]]
        os.kill(pgpool.named("child")[0], signal.SIGKILL)
        served = 0
        for one in clients:
            try:
                served += one.rows("SELECT 2") == [["2"]]
            except (raw.Closed, OSError):
                pass
        assert 0 < served < len(clients)
    finally:
        for one in clients:
            one.close()


def test_killed_during_pgbench(cluster, start_pgpool):
    """pgbench's clients on the other child go on."""
    pgpool = start_pgpool()
    run("pgbench", "-i", "-q", "-s", "1", env=pgpool.env(), timeout=60)
    cluster.wait_replayed()
    with subprocess.Popen(["pgbench", "-n", "-S", "-c", "16", "-j", "2", "-T",
                           str(int(2 + SLOW))], text=True, env=pgpool.env(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as bench:
        # children fill up in blocks of eight; who still connects when a child dies ends pgbench
        wait_for(lambda: sum(int(re.search(r"(\d+) client|$", processes.title(pid)).group(1) or 0)
                             for pid in pgpool.named("child")) == 16,
                 "all clients to be connected")
        os.kill(random.choice(pgpool.named("child")), signal.SIGKILL)
        out, _ = bench.communicate(timeout=60 * SLOW)
    assert int(re.search(r"actually processed: (\d+)", out).group(1)) > 100
    run("pgbench", "-n", "-S", "-c", "8", "-t", "20", env=pgpool.env(), timeout=60)


def test_killed_parent_leaves_nothing(cluster, start_pgpool):
    pgpool = start_pgpool()
    pids = pgpool.pids()
    with raw.connected(pgpool) as one:
        os.kill(pgpool.pid, signal.SIGKILL)
        wait_for(lambda: not any(processes.alive(pid) for pid in pids),
                 "all processes to end after their parent")
        assert one.read_to_end() is not None
    pgpool.process.wait()
    pgpool.start()


# ---- routing -------------------------------------------------------------------------------------

def pool_nodes(target):
    with raw.connected(target) as one:
        answer = one.simple("SHOW pool_nodes")
        names = [column[0] for column in answer[0].columns()]
        return [dict(zip(names, (v and v.decode() for v in got.row())))
                for got in answer if got.kind == "D"]


def commits(server):
    return server.value("SELECT xact_commit FROM pg_stat_database WHERE datname = 'test'")


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_reads_go_to_standbys(cluster, start_pgpool, mode):
    """No pool: a server process counts its commits at its end, an idle one seconds later."""
    pgpool = start_pgpool(connection_cache="off")
    if cluster.primary.value("SELECT to_regclass('pgbench_accounts')") is None:
        run("pgbench", "-i", "-q", "-s", "1", env=cluster.primary.env(), timeout=60)
        cluster.wait_replayed()
    selects = [int(node["select_cnt"]) for node in pool_nodes(pgpool)]
    before = [commits(server) for server in cluster.servers]
    run("pgbench", "-n", "-S", "-M", mode, "-c", "4", "-t", "200", env=pgpool.env(), timeout=60)
    for number in (1, 2):
        wait_for(lambda n=number: commits(cluster.servers[n]) - before[n] > 100,
                 f"standby {number} to have run its part")
    wait_for(lambda: sum(int(node["select_cnt"]) for node in pool_nodes(pgpool)) - sum(selects)
             >= 800, "select_cnt to grow")
    nodes = pool_nodes(pgpool)
    assert [node["role"] for node in nodes] == ["primary", "standby", "standby"]
    assert [node["status"] for node in nodes] == ["up", "up", "up"]
    assert int(nodes[0]["select_cnt"]) - selects[0] <= 20
    for number in (1, 2):
        assert int(nodes[number]["select_cnt"]) - selects[number] > 100


def test_writes_go_to_the_primary(cluster, pgpool):
    cluster.sql("CREATE TABLE IF NOT EXISTS load_w (a int); TRUNCATE load_w")
    with raw.connected(pgpool) as one:
        for number in range(50):
            one.rows(f"INSERT INTO load_w VALUES ({number})")
            assert one.rows("SELECT max(a) FROM load_w") == [[str(number)]]
    assert cluster.primary.value("SELECT count(*) FROM load_w") == 50


def test_session_that_only_reads_opens_nothing_to_the_primary(cluster, start_pgpool):
    pgpool = start_pgpool(num_init_children=1)  # it has asked the catalog, not another one
    with raw.connected(pgpool) as one:
        one.rows("SELECT 1")  # the catalog is asked about the database
    with raw.connected(pgpool, application_name="only_reads") as one:
        for _ in range(5):
            one.rows("SELECT 1")
        assert cluster.primary.value("SELECT count(*) FROM pg_stat_activity "
                                     "WHERE application_name = 'only_reads'") == 0


def test_no_read_is_stale(cluster, pgpool):
    """While the standbys do not replay, a session still reads what it wrote."""
    cluster.sql("CREATE TABLE IF NOT EXISTS load_s (a int); TRUNCATE load_s")
    for standby in cluster.servers[1:]:
        standby.rows("SELECT pg_wal_replay_pause(), 1")
    try:
        with raw.connected(pgpool) as one:
            for number in range(20):
                one.rows(f"INSERT INTO load_s VALUES ({number})")
                assert one.rows("SELECT count(*) FROM load_s") == [[str(number + 1)]]
    finally:
        for standby in cluster.servers[1:]:
            standby.rows("SELECT pg_wal_replay_resume(), 1")
    cluster.wait_replayed()


def test_standby_lost_under_reads(cluster, table, start_pgpool):
    """A standby that goes away takes only the queries that ran on it along."""
    pgpool = start_pgpool()
    with raw.connected(pgpool) as one:
        assert one.rows("SELECT count(*) FROM load_t") == [["100"]]
    standby = cluster.servers[2]
    standby.stop("immediate")
    try:
        def served():
            try:
                with raw.connected(pgpool) as one:
                    return one.rows("SELECT count(*) FROM load_t") == [["100"]]
            except (raw.Closed, AssertionError, OSError):
                return False

        for _ in range(20):
            wait_for(served, "reads to go on without the standby")
    finally:
        standby.start()
        cluster.wait_streaming()
