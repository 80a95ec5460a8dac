"""Clusters that are broken on purpose behind a pgpool, applications that go on meanwhile, and what
must be true of them whatever was broken:

- what was acknowledged is there (synchronous_standby_names is set, so all of it),
- no two servers acknowledge: each acknowledged row tells who wrote it, and on which timeline,
- nobody waits longer than he may,
- pgpool has nobody left when they have gone.

The cluster is whole again by rebuild(), as long as nobody else does that."""

import itertools
import os
import re
import shutil
import signal
import threading
import time

import pytest

import processes
import raw
from cluster import Cluster, Server, Target, as_owner, bin_dir, original, owner, run
from proxy import Pgpool
from waiting import SLOW, wait_for, wait_learnt

# each of these needs a cluster of its own and seconds: the others are run always
takes_long = pytest.mark.skipif(not os.environ.get("PGPOOL_TEST_HEAVY"),
                                reason="takes long: PGPOOL_TEST_HEAVY=1 runs it")

TABLE = """CREATE TABLE acks (who int, n int,
    wrote text DEFAULT current_setting('cluster_name'),
    timeline text DEFAULT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
    PRIMARY KEY (who, n))"""
# what becomes of a transaction that a server has died with; 25P02 is only the rest of it
FATES = {"40001", "08007", "25P02"}


class Node(Server):
    """A server that is killed, stopped, cut, and made anew."""

    more = ""  # settings beside those that all have
    prefix = ()  # of the command that starts it
    stopped = ()

    def __init__(self, cluster, name):
        super().__init__(cluster, name)
        self.address = self.host  # where the others find it

    def configure(self, text):
        super().configure("synchronous_standby_names = 'ANY 1 (*)'\n" + self.more + text)

    @property
    def number(self):
        return self.cluster.servers.index(self)

    def postmaster(self):
        with open(self.data + "/postmaster.pid", encoding="ascii") as file:
            return int(file.readline())

    def pids(self):
        first = self.postmaster()
        return [first, *processes.descendants(first)]

    def tell(self, signo, pids=None):
        pids = self.pids() if pids is None else pids
        for pid in pids:
            try:
                os.kill(pid, signo)
            except ProcessLookupError:
                pass
        return pids

    def kill(self):
        """All of its processes, at once; again for those that were forked meanwhile."""
        pids = self.tell(signal.SIGKILL)
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "the server's end")
        self.clear()

    def kill_postmaster(self):
        """Alone; the others go on until they find that out."""
        pids = self.pids()
        os.kill(pids[0], signal.SIGKILL)
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "the server's end", 30)
        self.clear()

    def clear(self):
        """Who is a zombie still would count as the owner of these."""
        for path in (f"{self.data}/postmaster.pid",
                     f"{self.directory}/.s.PGSQL.{self.port}.lock"):
            if os.path.exists(path):
                os.remove(path)

    def freeze(self):
        self.stopped = self.tell(signal.SIGSTOP)

    def thaw(self):
        self.tell(signal.SIGCONT, self.stopped)
        self.stopped = ()

    def follow(self, primary, slot):
        self._write("standby.signal", "")
        self._write("postgresql.auto.conf",
                    f"primary_conninfo = 'host={primary.address} port={primary.port} user=postgres "
                    f"application_name={self.server_name}'\nprimary_slot_name = '{slot}'\n")

    def running(self):
        return os.path.exists(self.data + "/postmaster.pid")

    def begin(self):
        """start() on its own port, without waiting until it answers."""
        self.prepare()
        self.configure("")
        run(*self.prefix, *as_owner(bin_dir() + "/pg_ctl", "-D", self.data, "-W", "-l", self.log,
                                    "-s", "start"))

    def prepare(self):
        """Before each start."""

    def release(self):
        """When it has come to its end."""

    def ask(self, sql, *values):
        """The first row; None when it does not answer."""
        try:
            with self.connect() as one:
                one.execute("SET statement_timeout = '10s'")
                return one.execute(sql, values or None).fetchone()
        except Exception:  # pylint: disable=broad-except
            return None

    def ask_all(self, sql):
        """All rows; none when it does not answer."""
        try:
            return self.rows(sql)
        except Exception:  # pylint: disable=broad-except
            return []

    def rebuild(self, primary):
        """As a standby of that one, whatever it is now; what it had is lost."""
        if self.stopped:
            self.thaw()
        if self.running():
            self.kill()
        shutil.rmtree(self.data)
        slot = f"standby{self.number}"
        with primary.connect() as one:
            one.execute("SET synchronous_commit = local")
            if not one.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s",
                               (slot,)).fetchone():
                one.execute("SELECT pg_create_physical_replication_slot(%s, true)", (slot,))
        run(*as_owner(bin_dir() + "/pg_basebackup", "-D", self.data, "-h", primary.host, "-p",
                      str(primary.port), "-U", "postgres", "-c", "fast", "-X", "stream", "-N"))
        self.follow(primary, slot)
        self.begin()


class SmallNode(Node):
    """Its WAL is on a disk of its own, which can be filled. Needs root."""

    def __init__(self, cluster, name):
        super().__init__(cluster, name)
        self.wal = self.data + "-wal"
        self.filler = self.wal + "/filler"
        os.mkdir(self.wal)
        run("mount", "-t", "tmpfs", "-o", "size=640m,mode=700", "tmpfs", self.wal)
        shutil.chown(self.wal, owner(), owner())

    def prepare(self):
        real = self.data + "/pg_wal"
        if not os.path.islink(real):
            run("sh", "-c", 'rm -rf "$1"/* && cp -a "$0"/. "$1" && rm -rf "$0" && ln -s "$1" "$0"',
                real, self.wal)
            run("chown", "-h", owner(), real)

    def fill(self):
        """The next segment that it needs is one too many."""
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
        for _ in range(20):  # those that are there for later
            if self.ask("SELECT pg_switch_wal() FROM (SELECT pg_logical_emit_message(false, 'a', "
                        "'b')) AS one") is None:
                return

    def free(self):
        if os.path.exists(self.filler):
            os.remove(self.filler)

    def release(self):
        run("umount", "-l", self.wal)


class FailingCluster(Cluster):
    """Commits wait for one of the standbys; every server may become the primary."""

    server_class = Node

    def __init__(self, standbys=2):
        super().__init__(standbys)
        with self.primary.connect() as one:
            one.execute(TABLE)
        self.wait_replayed()

    def _create(self):
        """All at once: standbys wait for their primary and their slot."""
        begin = original()
        for server in self.servers:
            run("cp", "-a", "--reflink=auto", begin, server.data)
            if server is not self.primary:
                server.follow(self.primary, f"standby{server.number}")
            server.begin()
        self.wait_answers(self.primary)
        for server in self.servers[1:]:
            self.primary.rows("SELECT pg_create_physical_replication_slot(%s, true)",
                              f"standby{server.number}")
            self.wait_answers(server)
        self.wait_streaming()

    @staticmethod
    def wait_answers(server):
        wait_for(lambda: server.ask("SELECT 1"), server.server_name, 60)

    def whole(self, primary):
        """All others stream from that one."""
        got = primary.ask("SELECT count(*) FILTER (WHERE state = 'streaming'), "
                          "pg_is_in_recovery() FROM pg_stat_replication")
        return got == (len(self.servers) - 1, False)

    def destroy(self):
        for server in self.servers:
            if server.stopped:
                server.thaw()
        for server in reversed(self.servers):
            if server.running():
                server.stop("immediate")
            server.release()
        super().destroy()


class Keeper(Pgpool):
    """A pgpool that keeps a cluster alive, and is asked over its administration socket."""

    def __init__(self, cluster, engine="auto", **settings):
        weights = {f"backend_weight{n}": 1 for n in range(len(cluster.servers))}
        quick = {"health_check_timeout": f"{int(1000 * SLOW)}ms", "failover_wait": f"{60 * SLOW}s",
                 "log_connections": "off", "log_disconnections": "off",
                 "promotion_timeout": f"{int(10 * SLOW)}s", "auto_failback_interval": 0}
        super().__init__(cluster, engine, **(weights | quick | settings))
        self.admin = Target(self.directory, self.pcp_port, "pgpool", "root" if owner() else None)

    def at_admin(self, timeout):
        return raw.connected(self.admin, timeout=timeout, database=self.admin.database,
                             user=self.admin.user or os.getlogin())

    def show(self, view):
        """Rows as dictionaries."""
        with self.at_admin(20) as one:
            got = one.simple(f"SHOW {view}")
        names = [column[0] for message in got if message.kind == "T"
                 for column in message.columns()]
        return [dict(zip(names, [None if v is None else v.decode() for v in message.row()]))
                for message in got if message.kind == "D"]

    def order(self, words, timeout=60):
        """A command's SQLSTATE: None when it was done."""
        with self.at_admin(timeout) as one:
            got = one.simple(f"PGPOOL {words}")
        return next(iter(raw.codes(got)), None)

    def states(self):
        return [row["state"] for row in self.show("pool_node_states")]

    def primary(self):
        """The node that is published as the primary and is up; -1: there is none."""
        for row in self.show("pool_nodes"):
            if row["role"] == "primary" and row["status"] == "up":
                return int(row["node_id"])
        return -1

    def events(self, name=None, node=None):
        """Texts of the events with that name, about that node."""
        return [row["text"] for row in self.show("pool_events")
                if name in (None, row["event"]) and node in (None, int(row["node_id"] or -1))]

    def wait_state(self, node, *states, timeout=30):
        try:
            wait_for(lambda: self.states()[node] in states, f"node {node} to be {states}", timeout,
                     0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; they are {self.states()}") from error

    def wait_primary(self, *nodes, timeout=40):
        """Until one of these is; returns it."""
        try:
            wait_for(lambda: self.primary() in nodes, f"one of {nodes} to be the primary", timeout,
                     0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.states()}") from error
        return self.primary()

    def wait_event(self, name, node=None, count=1, timeout=30):
        wait_for(lambda: len(self.events(name, node)) >= count, f"event {name} of node {node}",
                 timeout, 0.05)

    def wait_whole(self, timeout=40):
        """Until every node is up."""
        try:
            wait_for(lambda: set(self.states()) == {"up"}, "all nodes to be up", timeout, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.states()}") from error

    def failover_title(self):
        for pid in processes.young(self.pid):
            found = re.search(r": failover: (.*)", processes.title(pid))
            if found:
                return found.group(1)
        return ""

    def deserted(self):
        """Nobody is counted who is not there."""
        others = [row for row in self.show("pool_sessions") if row["database"] == "test"]
        return not others and not self.show("pool_waiters")


class Application(threading.Thread):
    """Statements one after another, over one session as long as it lives."""

    def __init__(self, pgpool, who, patience):
        super().__init__(daemon=True)
        self.pgpool, self.who, self.patience = pgpool, who, patience
        self.codes, self.lost, self.hung, self.longest = [], [], None, 0.0
        self.done = 0
        self.leaving = threading.Event()
        self.start()

    def run(self):
        one = None
        while not self.leaving.is_set() and not self.hung:
            began = time.monotonic()
            try:
                if one is None:
                    one = raw.connected(self.pgpool, timeout=self.patience / SLOW)
                self.step(one)
            except TimeoutError:
                self.hung = f"{self.name_of()} has waited for {self.patience:g} s"
            except (raw.Closed, OSError, AssertionError) as error:
                self.lost.append(f"{self.name_of()}: {error or type(error).__name__}")
                one = one and one.close()
                self.leaving.wait(0.05)
            self.longest = max(self.longest, time.monotonic() - began)
            self.leaving.wait(0.01)
        if one is not None:
            one.close()

    @staticmethod
    def ask(one, sql):
        """As simple(); when the session ends, its last words are told."""
        one.send(raw.query(sql))
        got = []
        try:
            while not got or got[-1].kind != "Z":
                got.append(one.read())
        except raw.Closed as error:
            raise raw.Closed(f"{sql}: closed after {got}") from error
        return got

    def name_of(self):
        return f"{type(self).__name__} {self.who}"


class Writer(Application):
    """Rows 0, 1, 2, ...; every other one in a block."""

    def __init__(self, *arguments):
        self.acknowledged = {}  # n: (began, ended, who wrote it, timeline)
        self.number = 0
        super().__init__(*arguments)

    def step(self, one):
        self.number += 1
        insert = (f"INSERT INTO acks VALUES ({self.who}, {self.number}) "
                  "RETURNING wrote, timeline")
        began, rows = time.monotonic(), []
        for sql in ("BEGIN", insert, "COMMIT") if self.number % 2 else (insert,):
            got = self.ask(one, sql)
            rows += [message.row() for message in got if message.kind == "D"]
            if self.failed(one, got):
                return
        ((wrote, timeline),) = rows
        self.acknowledged[self.number] = (began, time.monotonic(), wrote.decode(),
                                          timeline.decode())
        self.done += 1

    def failed(self, one, got):
        codes = raw.codes(got)
        # a wait for a standby that was cut short by the server: it does not know
        unsure = any(m.kind == "N" and m.fields()["C"] == "01000" for m in got)
        self.codes += codes
        while got[-1].body != b"I" and codes:
            got = self.ask(one, "ROLLBACK")
        return codes or unsure


class Reader(Application):
    def step(self, one):
        self.codes += raw.codes(self.ask(one, "SELECT count(*) FROM acks WHERE who = -1"))
        self.done += 1


class Load:
    """Writers and readers at work; finish() judges."""

    numbers = itertools.count()  # each writer's own, where several loads write to one cluster

    def __init__(self, pgpool, writers=4, readers=2, patience=None):
        patience = patience or 75 * SLOW
        self.pgpool = pgpool
        self.writers = [Writer(pgpool, next(Load.numbers), patience) for _ in range(writers)]
        self.readers = [Reader(pgpool, n, patience) for n in range(readers)]
        self.all = self.writers + self.readers
        try:
            self.wait_going_on()
            wait_learnt(pgpool)
        except BaseException:
            self.leave()
            raise

    def wait_going_on(self, more=3, timeout=75):
        """Until each of them has done more."""
        before = [one.done for one in self.all]

        def gone_on():
            hung = [one.hung for one in self.all if one.hung]
            assert not hung, hung
            return all(one.done >= n + more for one, n in zip(self.all, before))

        try:
            wait_for(gone_on, "the applications to go on", timeout)
        except AssertionError as error:
            stuck = {one.name_of(): (one.done - n, one.codes[-3:], one.lost[-3:])
                     for one, n in zip(self.all, before)}
            raise AssertionError(f"{error}: {stuck}") from error

    def leave(self):
        for one in self.all:
            one.leaving.set()
        for one in self.all:
            one.join(one.patience + 30 * SLOW)

    def codes(self):
        return {code for one in self.all for code in one.codes}

    def lost(self):
        return [words for one in self.all for words in one.lost]

    def acknowledged(self):
        return {(one.who, n): ack for one in self.writers for n, ack in one.acknowledged.items()}

    def faults(self, primary):
        """What is wrong with what was acknowledged, in words; the primary is the last one."""
        acks, wrong = self.acknowledged(), [one.hung for one in self.all if one.hung]
        have = set(primary.rows("SELECT who, n FROM acks"))
        missing = set(acks) - have
        if missing:
            wrong.append(f"{len(missing)} acknowledged rows are missing: "
                         f"{[(row, acks[row]) for row in sorted(missing)[:5]]}")
        return wrong + two_primaries(acks.values())

    def finish(self, primary, codes=frozenset(FATES), lost=0):
        """They leave; primary: who has all of it. Errors beside these codes are wrong, and more
        than so many lost sessions."""
        self.leave()
        assert not self.faults(primary)
        assert self.codes() <= set(codes), self.codes()
        assert len(self.lost()) <= lost, self.lost()
        wait_for(self.pgpool.deserted, "pgpool to count nobody", 10)


def two_primaries(acks):
    """Each timeline has one writer, and none writes once a later one has."""
    writers, wrong, latest = {}, [], (0.0, "")
    for began, ended, wrote, timeline in sorted(acks, key=lambda ack: ack[1]):
        if writers.setdefault(timeline, wrote) != wrote:
            wrong.append(f"{wrote} and {writers[timeline]} have both written on {timeline}")
        if timeline < latest[1] and began > latest[0]:
            wrong.append(f"{wrote} has written on {timeline} when {latest[1]} had begun")
        if timeline > latest[1]:
            latest = (ended, timeline)
    return wrong[:5]
