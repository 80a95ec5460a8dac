"""Several pgpools before one cluster: what was written through one of them is read through another,
as read_consistency says."""

import pytest

from etcd import PROGRAM
from test_watchdog import Team
from waiting import wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(15), pytest.mark.plain,
              pytest.mark.skipif(PROGRAM is None, reason="needs etcd (Debian: etcd-server)")]

# Rows are added: who reads what was updated may prune it, and standbys hear of that late.
READ = "SELECT max(v), pg_is_in_recovery() FROM seen"
WRITE = "INSERT INTO seen VALUES (%s)"


@pytest.fixture(name="team", scope="module")
def team_fixture(engine):
    team = Team(engine, etcd=1, sr_check_period="60s", backend_weight0=0)
    with team.members[0].connect() as one:
        one.execute("CREATE TABLE seen (v int)")
        one.execute("INSERT INTO seen VALUES (0)")
    team.cluster.wait_replayed()
    yield team
    team.finish()


@pytest.fixture(name="paused")
def paused_fixture(team):
    """Standbys that replay nothing more."""
    for node in team.nodes[1:]:
        node.value("SELECT pg_wal_replay_pause()")
        wait_for(lambda node=node: node.value("SELECT pg_get_wal_replay_pause_state()") == "paused",
                 "the replay to pause")
    yield
    for node in team.nodes[1:]:
        node.value("SELECT pg_wal_replay_resume()")
    team.cluster.wait_replayed()


def at(member, consistency):
    one = member.connect()
    one.execute(f"PGPOOL SET read_consistency TO {consistency}")
    return one


def read(session):
    return session.execute(READ).fetchone()


@pytest.mark.usefixtures("paused")
def test_standbys_that_are_behind(team):
    here, there = team.members
    with here.connect() as writer, at(there, "global") as reads, \
            at(there, "eventual") as whatever:
        before = read(reads)[0]
        wait_for(lambda: read(whatever) == (before, True), "standbys to be read from")
        for version in range(before + 1, before + 20):
            writer.execute(WRITE, (version,))
            assert read(reads)[0] == version
            with reads.transaction():
                assert read(reads)[0] == version
            with there.connect() as new:  # whoever wrote it may have come here since
                assert read(new)[0] == version
            assert read(whatever) == (before, True)  # the test could fail
        plan = dict(reads.execute(f"PGPOOL EXPLAIN {READ}").fetchall())
        assert "there are other pgpools" in plan["read_consistency"]


@pytest.mark.parametrize("consistency", ["global", "session"])
def test_standbys_that_keep_up(team, consistency):
    """They get the reads, and nobody waits for a period of lag's to be over."""
    standby = 0
    here, there = team.members
    with here.connect() as writer, at(there, consistency) as reads:
        wait_for(lambda: read(reads)[1], "standbys to be read from", 60)
        version = read(reads)[0]
        for number in range(200):
            if number % 4 == 0:
                version += 1
                writer.execute(WRITE, (version,))
            if consistency == "global":
                shown, where = read(reads)
            else:
                with there.connect() as new:
                    shown, where = read(new)
            assert shown == version
            standby += where
    assert standby > 50, (standby, there.show("pool_nodes"))


def test_a_standby_that_hangs(team):
    """It is not waited for. (The other one has to be there: commits are synchronous.)"""
    here, there = team.members
    frozen = team.nodes[1]
    with here.connect() as writer:
        sessions = [at(there, "global") for _ in range(6)]
        version = read(sessions[0])[0]
        frozen.freeze()
        try:
            for one in sessions:
                version += 1
                writer.execute(WRITE, (version,))
                assert read(one)[0] == version
        finally:
            frozen.thaw()
            for one in sessions:
                one.close()
