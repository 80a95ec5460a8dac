"""Several pgpools before one cluster, on a real etcd: one of them leads, nothing is promoted twice,
and all of them know the same primary, whoever is killed or cut off."""

import os
import re
import signal
import struct
import urllib.error
import urllib.request

import pytest

import processes
import raw
from daemon import Upgradable
from etcd import PROGRAM, Etcd
from failing import FailingCluster, Keeper, Load
from proxy import Pgpool
from waiting import SLOW, free_port, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(8), pytest.mark.plain,
              pytest.mark.skipif(PROGRAM is None, reason="needs etcd (Debian: etcd-server)")]


class Member(Keeper):
    """One of several pgpools."""

    def title(self, kind):
        for pid in processes.young(self.pid):
            found = re.search(rf"pgpool: {kind}: (.*)", processes.title(pid))
            if found:
                return found.group(1)
        return ""

    def pid_of(self, kind):
        return next(pid for pid in processes.young(self.pid)
                    if re.search(rf"pgpool: {kind}\b", processes.title(pid)))

    def leads(self):
        return self.title("watchdog").startswith("leads")

    def kill_all(self):
        """With all its processes, at once."""
        pids = [self.pid, *processes.descendants(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(30 * SLOW)
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "its end")
        if self in Pgpool.running:
            Pgpool.running.remove(self)

    def freeze(self):
        """All its processes; returns them, to be thawed."""
        pids = [self.pid, *processes.descendants(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    def pgpools(self):
        """What it says of each of them: their numbers and states."""
        return {int(row["node_id"]): row["state_name"] for row in self.show("pool_watchdog")}

    def knows(self, *nodes):
        """Is one of these the primary here?"""
        return self.primary() in nodes


class Team:
    """A cluster, etcd, and pgpools."""

    def __init__(self, engine, members=2, etcd=3, **settings):
        self.engine = engine
        self.cluster = FailingCluster(standbys=2)
        self.nodes = self.cluster.servers
        self.etcd = Etcd(etcd)
        self.settings = {"use_watchdog": "on", "wd_etcd_hosts": self.etcd.hosts,
                         "health_check_period": "1s", "wd_lease_ttl": "3s",
                         "failover_wait": f"{60 * SLOW}s"} | settings
        for number in range(members):
            self.settings[f"hostname{number}"] = f"pgpool{number}"
        self.members = []
        for number in range(members):
            self.members.append(self.member(number).start())
        for member in self.members:
            member.wait_whole()
        if members:
            wait_for(lambda: any(member.leads() for member in self.members), "a leader")

    def member(self, number, **settings):
        own = {"pgpool_node_id": number, "wd_priority": 10 - number, "http_port": free_port()}
        return Member(self.cluster, self.engine, **(self.settings | own | settings))

    def leader(self):
        return next(member for member in self.members if member.leads())

    def others(self, one):
        return [member for member in self.members if member is not one]

    def kill(self, member):
        self.members.remove(member)
        member.kill_all()

    def wait_leader(self, *members, timeout=20):
        wait_for(lambda: any(member.leads() for member in members), "another leader", timeout)
        return self.leader()

    def wait_primary(self, *nodes, timeout=40):
        """Until all members say that one of these is the primary, the same one; on timeline 2."""
        wait_for(lambda: all(member.knows(*nodes) for member in self.members),
                 f"one of {nodes} to be the primary everywhere", timeout, 0.05)
        primary, = {member.primary() for member in self.members}
        return self.nodes[primary]

    def timeline(self, node):
        return int(node.value("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), 16)

    def sleepers(self):
        return sum(node.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
                              "query = 'SELECT pg_sleep(600)'") for node in self.nodes)

    def primaries(self):
        """Servers that run as primaries now."""
        return [node.number for node in self.nodes
                if node.ask("SELECT pg_is_in_recovery()") == (False,)]

    def finish(self):
        try:
            for member in self.members:
                member.finish()
        finally:
            self.etcd.close()
            self.cluster.destroy()


@pytest.fixture(name="team")
def team_fixture(engine):
    team = Team(engine)
    yield team
    team.finish()


def test_one_leads_and_all_serve(team):
    first = team.leader()
    assert first is team.members[0]  # it has the priority
    loads = [Load(member, writers=2, readers=1) for member in team.members]
    for load in loads:
        load.wait_going_on()
    other, = team.others(first)
    assert first.pgpools() == other.pgpools() == {0: "LEADER", 1: "STANDBY"}
    assert other.order("ATTACH NODE 1") == "55000"  # the leader's to do
    assert first.order("ATTACH NODE 1") is None
    for load in loads:
        load.finish(team.nodes[0])


def errors(one):
    return [got.fields()["C"] for got in one.read_until("Z") if got.kind == "E"]


def test_cancel_requests_find_their_member(engine):
    """Whichever pgpool a balancer has chosen for it, and with a wrong key none."""
    ports = [free_port() for _ in range(3)]
    names = {f"hostname{n}": "127.0.0.1" for n in range(3)}
    team = Team(engine, members=0, etcd=1, **names,
                **{f"pgpool_port{n}": port for n, port in enumerate(ports)})
    try:
        team.members = [team.member(n, port=port).start() for n, port in enumerate(ports)]
        for member in team.members:
            member.wait_whole()
        for holder in team.members:
            for asked in team.members:
                with raw.connected(holder) as one:
                    one.send(raw.query("SELECT pg_sleep(600)"))
                    wait_for(lambda: team.sleepers() == 1, "it to run")
                    for key in (b"\0" * 4, one.key):
                        assert team.sleepers() == 1
                        with raw.Raw(asked) as request:
                            request.send(raw.cancel_request(one.pid, key))
                            assert request.drain_to_end() == b""
                    assert errors(one) == ["57014"]
        # one is away: the others are asked all the same, and whoever asked is not kept
        team.kill(team.members[0])
        holder, asked = team.members
        with raw.connected(holder) as one:
            one.send(raw.query("SELECT pg_sleep(600)"))
            wait_for(lambda: team.sleepers() == 1, "it to run")
            with raw.Raw(asked) as request:
                request.send(raw.cancel_request(one.pid, one.key))
                assert request.drain_to_end() == b""
            assert errors(one) == ["57014"]
        # marked, it goes no further
        with raw.connected(holder) as one:
            one.send(raw.query("SELECT pg_sleep(600)"))
            wait_for(lambda: team.sleepers() == 1, "it to run")
            for member in (asked, holder):
                assert team.sleepers() == 1
                with raw.Raw(member) as request:
                    request.send(struct.pack("!III", 16, 80891975, one.pid) + one.key)
                    assert request.drain_to_end() == b""
            assert errors(one) == ["57014"]
    finally:
        team.finish()


def page(member, path):
    """Status and text of what it says over HTTP."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{member.settings['http_port']}{path}",
                                    timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def test_http_says_who_leads(engine):
    team = Team(engine, http_listen_addresses="127.0.0.1")
    try:
        first = team.leader()
        other, = team.others(first)
        assert page(first, "/role") == (200, "leader\n")
        assert page(other, "/role") == (503, "member\n")
        assert page(other, "/ready") == (200, "ready\n")
        team.kill(first)
        wait_for(lambda: page(other, "/role") == (200, "leader\n"), "the other one to say so", 20)
    finally:
        team.finish()


def test_killed_leader(team):
    """The other one leads, nothing is promoted, and its clients notice nothing."""
    first = team.leader()
    other, = team.others(first)
    load = Load(other)
    team.kill(first)
    team.wait_leader(other, timeout=10)
    load.wait_going_on()
    assert team.primaries() == [0] and not load.codes() and not load.lost()
    load.finish(team.nodes[0])


def test_killed_primary(team):
    """One promotion, and everybody publishes it."""
    loads = [Load(member, writers=2, readers=1) for member in team.members]
    team.nodes[0].kill()
    primary = team.wait_primary(1, 2)
    assert team.timeline(primary) == 2
    assert team.primaries() == [primary.number]
    for load in loads:
        load.wait_going_on()
    for load in loads:
        load.finish(primary)


def test_killed_leader_and_primary(team):
    """Who is left waits until the killed one cannot write any more, and promotes."""
    first = team.leader()
    other, = team.others(first)
    load = Load(other)
    team.kill(first)
    team.nodes[0].kill()
    primary = team.wait_primary(1, 2)
    assert team.timeline(primary) == 2 and team.primaries() == [primary.number]
    load.wait_going_on()
    load.finish(primary)
    wait_for(lambda: primary.ask("SELECT count(*) FROM pg_stat_replication "
                                 "WHERE state = 'streaming'") == (1,), "the other standby", 30)


def test_frozen_leader_and_killed_primary(team):
    """It wakes up when another one leads and another node is the primary: nothing of it is lost,
    nothing goes to the old one, and it is a member like the others again."""
    first = team.leader()
    other, = team.others(first)
    load = Load(first)
    frozen = first.freeze()
    try:
        team.nodes[0].kill()
        team.wait_leader(other)
        wait_for(lambda: other.knows(1, 2), "another primary", 30, 0.05)
        team.nodes[0].begin()
        wait_for(lambda: team.nodes[0].ask("SELECT 1"), "the old one", 30)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    primary = team.wait_primary(1, 2)
    load.wait_going_on()
    assert not first.leads() and other.leads()
    load.finish(primary)


def test_judge_that_hangs(team):
    """The failover process of the leader is stopped: another one leads."""
    first = team.leader()
    other, = team.others(first)
    pid = first.pid_of("failover")
    os.kill(pid, signal.SIGSTOP)
    try:
        team.wait_leader(other, timeout=30)
    finally:
        os.kill(pid, signal.SIGCONT)
    team.nodes[0].kill()
    team.wait_primary(1, 2)


def test_etcd_gone(team):
    """Traffic goes on while nobody can have been promoted; without its primary nothing is, until
    etcd is back."""
    loads = [Load(member, writers=2, readers=1) for member in team.members]
    for member in team.etcd.members:
        member.send(signal.SIGSTOP)
    wait_for(lambda: not any(member.leads() for member in team.members), "nobody to lead", 10)
    for load in loads:
        load.wait_going_on(10)
        assert not load.codes() and not load.lost()
    team.nodes[0].kill()
    for member in team.members:
        member.wait_state(0, "down", "up", "suspect", "unknown")
    assert team.primaries() == []
    for member in team.etcd.members:
        member.send(signal.SIGCONT)
    primary = team.wait_primary(1, 2)
    assert team.timeline(primary) == 2 and team.primaries() == [primary.number]
    for load in loads:
        load.wait_going_on()
    for load in loads:
        load.finish(primary)


def test_stopped_leader(team):
    """It hands over: the other one leads at once."""
    first = team.leader()
    other, = team.others(first)
    team.members.remove(first)
    first.finish()
    team.wait_leader(other, timeout=2)
    assert team.primaries() == [0]
    keys = team.etcd.control("get", "--prefix", "/pgpool/", "--keys-only").stdout.split()
    assert sorted(keys) == ["/pgpool/leader", "/pgpool/member/1", "/pgpool/roster/1",
                            "/pgpool/state"]


def test_switchover(team):
    """All members let go of the old primary before the new one is told."""
    loads = [Load(member, writers=2, readers=1) for member in team.members]
    assert team.leader().order("PROMOTE NODE 1 SWITCHOVER") is None
    primary = team.wait_primary(1)
    assert team.timeline(primary) == 2
    for load in loads:
        load.wait_going_on()
    for load in loads:
        load.finish(primary)
    for member in team.members:
        member.wait_whole()  # the old one becomes a standby


def test_start_without_etcd(team):
    """It serves reads, writes nothing, and all of it when etcd is back."""
    one = team.members.pop()
    one.kill_all()
    for member in team.etcd.members:
        member.send(signal.SIGSTOP)
    late = team.member(1, failover_wait="0s").start(knows_nodes=False)
    team.members.append(late)
    with raw.connected(late) as client:
        wait_for(lambda: not raw.codes(client.simple("SELECT 1 FROM acks LIMIT 1")), "a read", 20)
        assert raw.codes(client.simple("INSERT INTO acks VALUES (-5, 1)"))
    for member in team.etcd.members:
        member.send(signal.SIGCONT)
    team.wait_primary(0)
    with raw.connected(late) as client:
        wait_for(lambda: not raw.codes(client.simple("INSERT INTO acks VALUES (-5, 2)")),
                 "a write", 20)


def test_upgrade(team):
    """The new generation takes the old one's number when the old lease has ended."""
    own = {"pgpool_node_id": 2, "wd_priority": 1, "hostname2": "pgpool2", "pool_mode": "auto"}
    one = Upgradable(team.cluster, **(team.settings | own))
    one.start()
    try:
        with raw.connected(one) as client:
            wait_for(lambda: not raw.codes(client.simple("INSERT INTO acks VALUES (-6, 1)")),
                     "a write", 20)
        before = team.etcd.control("get", "/pgpool/roster/2").stdout
        one.upgrade()
        with raw.connected(one) as client:
            wait_for(lambda: not raw.codes(client.simple("INSERT INTO acks VALUES (-6, 2)")),
                     "a write of the new generation", 30)
        assert team.etcd.control("get", "/pgpool/roster/2").stdout != before
        assert team.leader() is team.members[0] and team.primaries() == [0]
        wait_for(lambda: team.members[0].pgpools()[2] == "STANDBY", "it to be a member", 10)
    finally:
        one.finish()


@pytest.mark.parametrize("kind", ["watchdog", "failover"])
def test_killed_process(team, kind):
    """Of the leader: clients notice nothing, and afterwards all is as before."""
    first = team.leader()
    load = Load(first)
    os.kill(first.pid_of(kind), signal.SIGKILL)
    team.wait_leader(*team.members, timeout=15)
    load.wait_going_on()
    assert not load.codes() and not load.lost()
    team.nodes[0].kill()
    primary = team.wait_primary(1, 2)
    load.wait_going_on()
    load.finish(primary)
