"""The network between pgpool and the servers is cut: what is silent is no proof of death, and yet
applications must go on."""

import pytest

import network
from failing import FATES, Load, takes_long
from network import FarCluster, FarKeeper
from waiting import wait_for

# none of it is a matter of the engine
pytestmark = [pytest.mark.one_engine, pytest.mark.takes(15),
              pytest.mark.skipif(not network.possible(), reason="needs root and namespaces"),
              pytest.mark.plain]


@pytest.fixture(name="cluster")
def cluster_fixture():
    cluster = FarCluster()
    yield cluster
    cluster.destroy()


@pytest.fixture(name="pgpool")
def pgpool_fixture(cluster, engine):
    pgpool = FarKeeper(cluster, engine).start()
    pgpool.wait_whole()
    yield pgpool
    pgpool.finish()


@pytest.mark.parametrize("cut", [((0, 1),), ((1, 0),), ((0, 1), (1, 0))],
                         ids=["to", "from", "both"])
def test_primary_is_cut_off(cluster, pgpool, cut):
    """It goes on for all that it knows, and nobody comes to it by pgpool, then or later."""
    load = Load(pgpool)
    for sender, receiver in cut:
        cluster.network.cut(sender, receiver)
    primary = cluster.servers[pgpool.wait_primary(1, 2)]
    load.wait_going_on()
    cluster.network.mend()
    pgpool.wait_state(0, "rogue")
    load.wait_going_on(10)
    wait_for(lambda: cluster.servers[0].ask(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'test' AND pid <> pg_backend_pid() "
        "AND wait_event IS DISTINCT FROM 'SyncRep'") == (0,), "nobody to be there", 30)
    load.finish(primary)


def test_primary_loses_its_standbys(cluster, pgpool):
    """Commits wait, as without pgpool, and nobody is promoted."""
    load = Load(pgpool)
    cluster.network.cut_both(1, 2)
    cluster.network.cut_both(1, 3)
    checks = int(pgpool.show("pool_health_check_stats")[0]["total_count"])
    wait_for(lambda: int(pgpool.show("pool_health_check_stats")[0]["total_count"]) > checks + 5,
             "checks", 30, 0.1)
    assert pgpool.states() == ["up"] * 3 and pgpool.primary() == 0
    cluster.network.mend()
    load.wait_going_on()
    load.finish(cluster.primary)
    assert not pgpool.events("failover begun")


@takes_long
def test_pgpool_is_cut_off_from_all(cluster, pgpool):
    """Nobody can be promoted; when they can be reached again nothing has happened."""
    load = Load(pgpool)
    for server in (1, 2, 3):
        cluster.network.cut_both(0, server)
    pgpool.wait_event("no candidate")
    cluster.network.mend()
    primary = pgpool.wait_primary(0, 1, 2)
    load.wait_going_on()
    load.finish(cluster.servers[primary], FATES | {"57P03"}, lost=100)
