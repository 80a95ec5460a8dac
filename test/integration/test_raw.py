"""backend_clustering_mode = raw: nobody replicates, everything goes to one node, and the next one
takes its place."""

import os

import psycopg
import pytest

import raw
from cluster import Server, make_dir, original, run
from failing import FailingCluster, Keeper, Node
from test_pcp import Tools
from waiting import SLOW, Background, wait_for, wait_learnt

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(20), pytest.mark.plain]


class Single(Node):
    def configure(self, text):
        """Its commits wait for nobody."""
        Server.configure(self, text)


class Alone(FailingCluster):
    """Servers that know nothing of each other, and tell who they are."""

    server_class = Single

    def _create(self):
        begin = original()
        for server in self.servers:
            run("cp", "-a", "--reflink=auto", begin, server.data)
            server.begin()
        for server in self.servers:
            self.wait_answers(server)
            with server.connect() as one:
                one.execute(f"CREATE TABLE who AS SELECT {server.number} AS n")
                one.execute("CREATE TABLE log (t text)")

    def wait_replayed(self):
        """Nobody replays."""


class RawKeeper(Keeper):
    def primary(self):
        for row in self.show("pool_nodes"):
            if row["role"] == "main" and row["status"] == "up":
                return int(row["node_id"])
        return -1

    def who(self):
        return self.value("SELECT n FROM who")


@pytest.fixture(scope="module", name="cluster")
def cluster_fixture():
    cluster = Alone(standbys=2)
    yield cluster
    cluster.destroy()


@pytest.fixture(name="pgpool")
def pgpool_fixture(cluster, engine):
    for server in cluster.servers:
        if not server.running():
            server.begin()
            cluster.wait_answers(server)
    keeper = RawKeeper(cluster, engine, backend_clustering_mode="raw")
    keeper.start()
    keeper.wait_whole()
    keeper.wait_primary(0)
    yield keeper
    keeper.finish()


def test_everything_goes_to_the_main_node(pgpool):
    """Reads, writes, transactions: there is no balancing, whatever the weights are."""
    with pgpool.connect() as one:
        for _ in range(20):
            assert one.execute("SELECT n FROM who").fetchone() == (0,)
            one.execute("INSERT INTO log VALUES ('main')")
        with one.transaction():
            assert one.execute("SELECT n FROM who").fetchone() == (0,)
        assert one.execute("/* pgpool: standby */ SELECT n FROM who").fetchone() == (0,)
    counts = [int(row["select_cnt"]) for row in pgpool.show("pool_nodes")]
    assert counts[0] >= 20 and counts[1:] == [0, 0]


def test_show_pool_nodes(pgpool):
    rows = pgpool.show("pool_nodes")
    assert [row["role"] for row in rows] == ["main", "replica", "replica"]
    assert [row["status"] for row in rows] == ["up"] * 3
    assert {row["replication_delay"] for row in rows} == {"0"}
    assert {row["replication_state"] for row in rows} == {""}
    assert [row["load_balance_node"] for row in rows][1:] == ["false"] * 2


def test_next_one_takes_over(cluster, pgpool):
    """And the first one stays away, whatever it says, until it is attached."""
    with pgpool.connect() as one:
        one.execute("BEGIN")
        assert one.execute("SELECT n FROM who").fetchone() == (0,)
        cluster.servers[0].kill()
        pgpool.wait_primary(1)
        with pytest.raises(psycopg.Error):  # what was open on the old one is gone
            one.execute("INSERT INTO log VALUES ('lost')")
    assert pgpool.who() == 1
    assert cluster.servers[1].value("SELECT count(*) FROM log WHERE t = 'lost'") == 0
    assert pgpool.states() == ["down", "up", "up"]
    cluster.servers[0].begin()
    cluster.wait_answers(cluster.servers[0])
    checks = int(pgpool.show("pool_health_check_stats")[0]["success_count"])
    wait_for(lambda: int(pgpool.show("pool_health_check_stats")[0]["success_count"]) > checks + 1,
             "checks of node 0", 30)
    assert pgpool.who() == 1 and pgpool.states()[0] == "down"
    assert pgpool.order("ATTACH NODE 0") is None
    pgpool.wait_primary(0)
    assert pgpool.who() == 0
    pgpool.wait_whole()


def test_statements_wait_for_the_next_one(cluster, pgpool):
    """An idle session goes on, without an error."""
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        assert one.rows("SELECT n FROM who") == [["0"]]
        wait_learnt(pgpool)
        cluster.servers[0].kill()
        pgpool.wait_primary(1)
        assert one.rows("SELECT n FROM who") == [["1"]]
        wait_learnt(pgpool)
        cluster.servers[1].kill()
        pgpool.wait_primary(2)
        assert one.rows("SELECT n FROM who") == [["2"]]


def test_last_node_is_waited_for(cluster, pgpool):
    for number in (2, 1, 0):
        cluster.servers[number].kill()
        pgpool.wait_state(number, "down")
    statement = Background(pgpool.who)
    for number in (1, 0):
        cluster.servers[number].begin()
        cluster.wait_answers(cluster.servers[number])
    assert statement.result() == 0
    assert pgpool.states() == ["up", "down", "down"]


def test_flag_keeps_the_main_node(cluster, pgpool):
    pgpool.reload(backend_flag0="DISALLOW_TO_FAILOVER")
    cluster.servers[0].kill()
    pgpool.wait_state(0, "down")
    assert pgpool.primary() == -1 and pgpool.states()[1:] == ["up", "up"]
    cluster.servers[0].begin()
    pgpool.wait_primary(0)
    assert pgpool.who() == 0


def test_attach_and_detach_by_pcp(pgpool):
    tools = Tools(pgpool)
    own = {"user": pgpool.admin.user or os.getlogin(), "host": pgpool.directory}
    tools.output("detach_node", "-w", "-n", "0", **own)
    pgpool.wait_primary(1)
    assert pgpool.who() == 1
    assert pgpool.states()[0] == "maintenance"
    tools.output("attach_node", "-w", "-n", "0", **own)
    pgpool.wait_primary(0)
    assert pgpool.who() == 0
    got = tools.run("promote_node", "-w", "-n", "1", **own)
    assert got.returncode != 0 and "raw mode" in got.stderr
    assert pgpool.primary() == 0


def test_choice_outlives_pgpool(cluster, pgpool):
    """Node 0 lacks what was written to node 1: a restart of pgpool does not make it the main node
    again."""
    cluster.servers[0].kill()
    pgpool.wait_primary(1)
    pgpool.stop()
    cluster.servers[0].begin()
    cluster.wait_answers(cluster.servers[0])
    pgpool.start()
    pgpool.wait_primary(1)
    assert pgpool.who() == 1 and pgpool.states()[0] == "down"


def test_commands_are_run(cluster, pgpool):
    directory = make_dir("pgpool-raw-")
    told = os.path.join(directory, "told")
    pgpool.reload(failover_command=f"echo failover %d %m >> {told}",
                  fence_command=f"echo fence %d >> {told}")
    cluster.servers[0].kill()
    pgpool.wait_primary(1)
    with open(told, encoding="utf-8") as file:
        assert file.read().splitlines() == ["fence 0", "failover 0 1"]
