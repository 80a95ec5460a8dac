"""A watchdog among machines: the leader is killed at each step of a failover, and etcd goes away
while applications are at work."""

import os
import time

import pytest

import raw
from etcd_relay import Relay
from town import ETCD_PORT, Town, TownLoad, TownPgpool, town_possible
from town_records import Records
from failing import takes_long
from waiting import SLOW, wait_for

AWAY_S = float(os.environ.get("PGPOOL_TEST_ETCD_AWAY_S", "8"))  # 300: what is promised

# none of it is a matter of the engine
pytestmark = [pytest.mark.one_engine, pytest.mark.takes(60), pytest.mark.plain,
              pytest.mark.skipif(not town_possible(), reason="needs root, namespaces and etcd")]

SETTINGS = {"auto_failback_interval": 0, "failover_wait": f"{60 * SLOW}s"}


class RelayedPgpool(TownPgpool):
    """Its requests to etcd can be watched, and stopped."""

    relay = None

    def watchdog(self):
        self.relay = Relay(self.network, self.number, ETCD_PORT, self.town.etcd.members)
        return super().watchdog() | {"wd_etcd_hosts": f"127.0.0.1:{ETCD_PORT}"}

    def kill(self):
        super().kill()
        self.relay.close()


class RelayedTown(Town):
    pgpool_class = RelayedPgpool


class Bed:
    """A town, and what is written down of it."""

    def __init__(self, town):
        self.town, self.records = town, Records(town)

    def load(self, **how):
        self.records.loads.append(TownLoad(self.town, **how))
        return self.records.loads[-1]

    def heal(self, old):
        """The old primary becomes a standby, whoever was killed begins again."""
        self.town.revive()
        leader = self.town.wait_leader()
        wait_for(leader.answers, "the leader to answer", 30)
        others = [node.number for node in self.town.cluster.servers if node is not old]
        primary = self.town.cluster.servers[leader.wait_primary(*others, timeout=60)]
        old.rebuild(primary)
        self.town.wait_settled()
        return primary

    def end(self, load, primary):
        """All go on, and nothing was wrong."""
        load.wait_going_on()
        load.leave()
        wrong = self.records.judge(primary)
        assert not wrong, "\n".join(wrong)

    def finish(self):
        try:
            self.records.close()
        finally:
            self.town.finish()


def beds(town_class, **settings):
    bed = Bed(town_class(**SETTINGS, **settings))
    yield bed
    bed.finish()


@pytest.fixture(name="relayed", scope="module")
def relayed_fixture():
    yield from beds(RelayedTown)


@pytest.fixture(name="bed", params=["release", "keep"])
def bed_fixture(request):
    yield from beds(Town, wd_on_etcd_loss=request.param)


def fail_over(bed, number=None, when=None):
    """The primary is killed, and the leader at its commit of that number, before or behind it.
    Returns the texts of the states that the leader has committed; None: it never came to that
    one."""
    town = bed.town
    leader = town.wait_leader()
    old = town.cluster.servers[leader.primary()]
    before = len(bed.records.promotions())
    load = bed.load()
    leader.relay.begin(number, when)
    old.kill()
    came = True
    if number is not None:
        came = wait_for(lambda: leader.relay.stopped.is_set() or
                        len(bed.records.promotions()) > before and leader.primary() >= 0 and
                        "over", f"commit {number} of the leader", 60) is True
        if came:
            leader.kill_all()
    else:
        leader.wait_primary(*{0, 1, 2} - {old.number}, timeout=60)
    commits = list(leader.relay.commits)
    leader.relay.begin()
    bed.end(load, bed.heal(old))
    assert len(bed.records.promotions()) > before
    return commits if came else None


@pytest.mark.parametrize("number, when", [(0, "behind"), (2, "before")])
def test_leader_dies_at_a_step(relayed, number, when):
    fail_over(relayed, number, when)


@takes_long
@pytest.mark.takes(600)
def test_leader_dies_at_each_step(relayed):
    """As many as there are."""
    commits = len(fail_over(relayed))
    assert commits >= 3
    for number in range(commits):
        for when in ("before", "behind"):
            print(f"commit {number}, {when}")
            fail_over(relayed, number, when)


@pytest.mark.parametrize("apart_s", [0.0, *(pytest.param(seconds, marks=takes_long) for seconds
                                            in (-1.0, -0.1, 0.1, 0.5, 1.0, 2.0))])
def test_leader_and_primary_die(relayed, apart_s):
    """The leader so many seconds behind the primary, or before it."""
    town = relayed.town
    leader = town.wait_leader()
    old = town.cluster.servers[leader.primary()]
    load = relayed.load()
    first, second = (leader.kill_all, old.kill) if apart_s < 0 else (old.kill, leader.kill_all)
    first()
    then = time.monotonic() + abs(apart_s)
    wait_for(lambda: time.monotonic() >= then, "the second one's turn", 60, 0.01)
    second()
    relayed.end(load, relayed.heal(old))


def test_sessions_end_where_the_address_was(relayed):
    """Their clients reach another pgpool: nobody would tell this one, and they have locks."""
    town = relayed.town
    leader = town.wait_leader()
    with raw.connected(town.virtual, timeout=20) as one, \
            raw.connected(leader.door, timeout=20) as other:
        one.rows("BEGIN")
        one.rows("LOCK TABLE acks IN EXCLUSIVE MODE")
        sessions = len(leader.show("pool_sessions"))
        leader.freeze()
        town.wait_leader(leader)
        leader.thaw()
        wait_for(lambda: len(leader.show("pool_sessions")) < sessions, "the session's end", 20)
        assert other.rows("SELECT 1") == [["1"]]
    town.wait_settled()
    with raw.connected(town.virtual, timeout=20) as one:
        one.rows("BEGIN; SET LOCAL lock_timeout = '5s'; LOCK TABLE acks IN EXCLUSIVE MODE; COMMIT")


def test_etcd_is_away_under_load(bed):
    """Applications do not notice, nothing is promoted, and all is well when it is back. At the
    virtual address only when that stays."""
    town = bed.town
    keeps = town.pgpools[0].settings["wd_on_etcd_loss"] == "keep"
    leader = town.wait_leader()
    primary = town.cluster.servers[leader.primary()]
    load = bed.load(virtual=1 if keeps else 0)
    for member in town.etcd.members:
        member.kill()
    deadline = time.monotonic() + AWAY_S
    try:
        while time.monotonic() < deadline:
            load.wait_going_on()
            assert not load.codes() and not load.lost(), (load.codes(), load.lost())
    except BaseException:
        load.leave()  # or it would go on against a town that is gone
        raise
    assert town.holders() == ([leader.number] if keeps else [])
    town.etcd.revive()
    town.wait_settled()
    bed.end(load, primary)
    assert not load.codes() and not load.lost() and not bed.records.promotions()
    assert max(one.longest for one in load.all) < 5 * SLOW
