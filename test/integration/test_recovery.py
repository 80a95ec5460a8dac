"""pcp_recovery_node and switchover, by the administration port, while clients write and read."""

import os
import shutil
import signal
import threading

import pytest

import processes
import raw
from cluster import Cluster, Server, bin_dir, run
from proxy import Pgpool
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(20)]


class Load:
    """Clients that go on whatever happens, and remember what was acknowledged and what failed."""

    count = 0

    def __init__(self, pgpool):
        Load.count += 1
        self.first = Load.count * 1000000
        self.pgpool, self.stopping = pgpool, threading.Event()
        self.acknowledged, self.errors, self.faults = set(), [], []
        self.steps = [0] * 4
        self.threads = [threading.Thread(target=self.go, args=(n,)) for n in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_steps(20)
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120 * SLOW)

    def wait_steps(self, more):
        before = list(self.steps)
        wait_for(lambda: self.faults or all(now >= was + more
                                            for now, was in zip(self.steps, before)),
                 "all clients to go on", 60)

    def go(self, who):
        try:
            with raw.connected(self.pgpool, timeout=120 * SLOW) as one:
                while not self.stopping.wait(0.002):
                    n = self.first + self.steps[who]
                    got = one.simple(f"INSERT INTO rebuilt VALUES ({who}, {n})" if who % 2
                                     else "SELECT count(*) FROM rebuilt")
                    errors = [m.fields()["C"] for m in got if m.kind == "E"]
                    self.errors += errors
                    if who % 2 and not errors:
                        self.acknowledged.add((who, n))
                    self.steps[who] += 1
        except BaseException as error:  # pylint: disable=broad-except
            self.faults.append(f"client {who}: {error!r}")


class Site:
    """A cluster behind a pgpool whose nodes lie on this host."""

    def __init__(self, engine):
        self.cluster = Cluster(standbys=2)
        self.cluster.sql("CREATE TABLE rebuilt (who int, n int, PRIMARY KEY (who, n))")
        self.pgpool = Pgpool(self.cluster, engine, backend_weight0=1, recovery_user="postgres",
                             auto_failback_interval=0).start()

    def admin(self, sql):
        """As root or pgpool's own user."""
        done = run(bin_dir() + "/psql", "-X", "-h", self.pgpool.directory, "-p",
                   str(self.pgpool.pcp_port), "-d", "pgpool", "-c", sql, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def states(self):
        with raw.connected(self.pgpool) as one:
            return {int(row[0]): row[3] for row in one.rows("SHOW pool_node_states")}

    def primary(self):
        with raw.connected(self.pgpool) as one:
            found = [int(row[0]) for row in one.rows("SHOW pool_nodes") if row[6] == "primary"]
        return found[0] if found else None

    def wait_whole(self):
        wait_for(lambda: set(self.states().values()) == {"up"}, "all nodes to be up", 60)

    def wait_known(self):
        """Until it is known of the load's statements that they leave nothing on a connection."""
        def free():
            with raw.connected(self.pgpool) as one:
                return len(rows := one.rows("SHOW pool_sessions")) > 4 and \
                    not any(row[-1] for row in rows)
        wait_for(free, "sessions that keep no connection", 30)

    def wait_read(self, node_id):
        """Until reads go to the node, and what it answers is what was written."""
        def reads():
            with raw.connected(self.pgpool) as one:
                return one.rows("SELECT current_setting('port')") == [[str(port)]]
        port = self.cluster.servers[node_id].port
        wait_for(reads, f"reads at node {node_id}", 30)

    def check(self, load):
        assert not load.faults and not load.errors, (load.faults, load.errors)
        rows = set(self.cluster.servers[self.primary()].rows("SELECT who, n FROM rebuilt"))
        assert load.acknowledged <= rows
        self.cluster.servers[self.primary()].rows("SELECT 1 FROM (SELECT 1) AS x")


@pytest.fixture(scope="module", name="site")
def site_fixture(engine):
    site = Site(engine)
    yield site
    site.pgpool.finish()
    site.cluster.destroy()


def kill_server(server):
    with open(server.data + "/postmaster.pid", encoding="ascii") as file:
        postmaster = int(file.readline())
    pids = [postmaster] + processes.descendants(postmaster)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    # a server that starts counts also those that nobody has taken leave of
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "its end", 30)


def test_a_destroyed_standby(site):
    node = next(n for n in (1, 2) if n != site.primary())
    with Load(site.pgpool) as load:
        site.wait_known()
        kill_server(site.cluster.servers[node])
        shutil.rmtree(site.cluster.servers[node].data)
        load.wait_steps(5)
        said = site.admin(f"PGPOOL RECOVER NODE {node}")
        assert "base backup" in said and "streams" in said
        load.wait_steps(20)
    site.wait_whole()
    site.wait_read(node)
    site.check(load)


def test_a_switchover_and_back(site):
    """No statement fails, and the old primary becomes a standby by itself."""
    old = site.primary()
    for node in (next(n for n in (0, 1, 2) if n != old), old):
        with Load(site.pgpool) as load:
            site.wait_known()
            site.admin(f"PGPOOL PROMOTE NODE {node} SWITCHOVER")
            assert site.primary() == node
            load.wait_steps(20)
        site.wait_whole()
        site.check(load)


def test_a_switchover_where_nothing_is_written(site):
    """At the end of a segment, and with WAL that nobody has a reason to flush."""
    for unflushed in False, True:
        old = site.primary()
        server = site.cluster.servers[old]
        server.rows("SELECT pg_switch_wal()")
        if unflushed:
            server.rows("SELECT pg_logical_emit_message(false, 'test', 'no commit')")
        site.admin(f"PGPOOL PROMOTE NODE {next(n for n in (0, 1, 2) if n != old)} SWITCHOVER")
        assert site.primary() != old
        site.wait_whole()


def test_an_old_primary(site):
    """Its own processes were killed; what was under way there is told as such, reads never fail."""
    old = site.primary()
    with Load(site.pgpool) as load:
        kill_server(site.cluster.servers[old])
        wait_for(lambda: site.primary() not in (None, old), "another primary", 30)
        load.wait_steps(20)
        assert set(load.errors) <= {"08007"} and len(load.errors) <= 2
        load.errors = []
        site.admin(f"PGPOOL RECOVER NODE {old}")
        load.wait_steps(20)
    site.wait_whole()
    site.wait_read(old)
    assert not load.faults and not load.errors, (load.faults, load.errors)


def test_a_node_that_is_new(site):
    server = Server(site.cluster, "node3")
    site.cluster.servers.append(server)
    with Load(site.pgpool) as load:
        site.pgpool.write_config(backend_hostname3=server.host, backend_port3=server.port,
                                 backend_weight3=1, backend_data_directory3=server.data,
                                 backend_application_name3="node3")
        site.admin("PGPOOL RELOAD")
        wait_for(lambda: 3 in site.states(), "the new node to be known")
        site.admin("PGPOOL RECOVER NODE 3")
        load.wait_steps(20)
    site.wait_whole()
    site.wait_read(3)
    site.check(load)
