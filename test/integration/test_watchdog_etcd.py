"""The watchdog's step function on a real etcd: members that are processes of their own
(test/integration/wd_member), killed, frozen and stopped, and an etcd that goes away. All of them
read one clock, so that what each says of itself can be compared."""

import os
import signal
import subprocess
import threading
import time

import pytest

from etcd import CONTROL, PROGRAM, Etcd
from proxy import binary
from waiting import SLOW, wait_for

MEMBER = os.path.join(os.path.dirname(binary()), "test", "integration", "wd_member")

pytestmark = [
    pytest.mark.one_engine, pytest.mark.takes(60),
    pytest.mark.xdist_group("watchdog-etcd"),
    pytest.mark.skipif(not PROGRAM or not CONTROL, reason="etcd is not installed"),
]


def boottime_ms():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000


class Member:
    def __init__(self, etcd, number, priority, *words):
        self.number = number
        self.lines = []
        self.process = subprocess.Popen(
            [MEMBER, f"hosts={etcd.hosts}", f"id={number}", f"priority={priority}", *words],
            text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            moment, words = line.rstrip("\n").split(" ", 1)
            self.lines.append((int(moment), words))

    def said(self, word, since=0):
        return [(moment, words) for moment, words in list(self.lines)
                if moment >= since and words.split()[0] == word]

    def wait(self, word, since=0, timeout=15.0):
        return wait_for(lambda: self.said(word, since), f"member {self.number} to say {word}",
                        timeout)[0]

    def send(self, line):
        self.process.stdin.write(line + "\n")

    def reigns(self):
        """From when until when it may have acted as the leader, by what it said."""
        reigns = []
        for moment, words in list(self.lines):
            if words.startswith("leads "):
                until = int(words.split()[1])
                if reigns:
                    reigns[-1][1] = min(reigns[-1][1], moment)
                if until > moment:
                    reigns.append([moment, until])
        return reigns

    def leads(self):
        reigns = self.reigns()
        return bool(reigns) and reigns[-1][1] > boottime_ms()

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10 * SLOW)


class Members(list):
    def leader(self):
        return next((member for member in self if member.leads()), None)

    def others(self, member):
        return [other for other in self if other is not member]

    def wait_leader(self):
        return wait_for(self.leader, "a member to lead", 20)

    def next_leader(self, old):
        return wait_for(lambda: next((m for m in self.others(old) if m.leads()), None),
                        "another member to lead", 20)

    def check(self):
        reigns = sorted((begin, end, member.number) for member in self
                        for begin, end in member.reigns())
        for (_, end, one), (begin, _, other) in zip(reigns, reigns[1:]):
            assert one == other or end <= begin, f"{one} and {other} lead at once: {reigns}"


@pytest.fixture(name="etcd", scope="module")
def etcd_fixture():
    etcd = Etcd(3)
    yield etcd
    etcd.close()


@pytest.fixture(name="members")
def members_fixture(etcd):
    etcd.control("del", "pgpool/", "--prefix")
    members = Members(Member(etcd, number, 10 - number) for number in range(3))
    members.etcd = etcd
    yield members
    for member in members:
        member.kill()
    members.check()


def settled(members):
    """The first state is there, everybody applies it, and may be relied upon to."""
    leader = members.wait_leader()
    for member in members:
        wait_for(lambda m=member: any("primary 0" in words for _, words in
                                      m.said("apply") + m.said("committed")),
                 f"member {member.number} to apply the first state", 15)
    wait_for(lambda: "electable=0,1,2" in members.etcd.control("get", "pgpool/state").stdout,
             "all nodes to be electable", 15)
    return members.wait_leader() if not leader.leads() else leader


def test_a_killed_leader_is_followed(members):
    leader = settled(members)
    killed = boottime_ms()
    leader.kill()
    following = members.next_leader(leader)
    began = following.wait("judge", killed)[0]
    assert began - killed < 6000 * SLOW
    assert following.said("up", killed)


def test_a_stopped_leader_hands_over(members):
    leader = settled(members)
    stopped = boottime_ms()
    leader.send("stop")
    following = members.next_leader(leader)
    assert following.wait("judge", stopped)[0] - stopped < 1000 * SLOW
    down, up = leader.wait("down", stopped)[0], following.wait("up", stopped)[0]
    assert down <= up
    leader.wait("end", stopped)


def test_a_frozen_leader_wakes_as_none(members):
    leader = settled(members)
    frozen = boottime_ms()
    leader.process.send_signal(signal.SIGSTOP)
    following = members.next_leader(leader)
    wait_for(lambda: boottime_ms() > frozen + 6000, "two leases", 20)
    woken = boottime_ms()
    leader.process.send_signal(signal.SIGCONT)
    leader.wait("stop", woken)
    assert leader.said("leads", woken)[0][1] == "leads 0"
    assert following.leads()


def test_members_act_on_a_fence(members):
    leader = settled(members)
    asked = boottime_ms()
    leader.send("fence")
    assert leader.wait("fenced", asked)[1] == "fenced 1"
    for member in members.others(leader):
        assert any("epoch 1 primary -1" in words for _, words in member.said("apply", asked))
    assert not leader.said("cut", asked)
    leader.send("publish 1")
    for member in members.others(leader):
        wait_for(lambda m=member: any("primary 1" in words for _, words in
                                      m.said("apply", asked)), "the new primary", 15)


def test_a_fence_waits_for_who_is_missing(members):
    leader = settled(members)
    missing = members.others(leader)[0]
    killed = boottime_ms()
    missing.kill()
    leader.send("fence")
    fenced = leader.wait("fenced", killed, 30)[0]
    cut = leader.wait("cut", killed)[0]
    assert cut > killed + 2000  # its lease had to end
    assert fenced >= cut + 1500  # and its proofs


def test_a_leader_killed_in_its_fence_is_followed_in_it(members):
    leader = settled(members)
    asked = boottime_ms()
    leader.send("fence")
    leader.wait("committed", asked)
    leader.kill()
    following = members.next_leader(leader)
    fenced = following.wait("fenced", asked, 30)
    assert fenced[1] == "fenced 1"
    following.send("publish 2")
    rest = next(m for m in members if m not in (leader, following))
    wait_for(lambda: any("primary 2" in words for _, words in rest.said("apply", asked)),
             "the new primary", 15)


def test_nobody_leads_without_etcd(members, etcd):
    leader = settled(members)
    gone = boottime_ms()
    for member in etcd.members:
        member.send(signal.SIGSTOP)
    try:
        leader.wait("stop", gone)
        leader.wait("down", gone)
        assert leader.wait("stop", gone)[0] - gone < 4000 * SLOW
        assert members.leader() is None
    finally:
        for member in etcd.members:
            member.send(signal.SIGCONT)
    back = boottime_ms()
    members.wait_leader()
    wait_for(lambda: any(member.said("judge", back) for member in members), "a judge", 20)


def test_who_alone_does_not_reach_the_primary_hands_over(members):
    leader = settled(members)
    blind = boottime_ms()
    leader.send("dead 0")
    following = members.next_leader(leader)
    assert following.wait("judge", blind)
    assert leader.said("down", blind)


def test_who_has_another_list_of_nodes_works_with_nobody(members, etcd):
    """It says where the lists differ, and so do the others; it leads only when it is alone."""
    settled(members)
    member = Member(etcd, 3, 99, "nodes=0 a:1;1 x:1;2 c:1;")
    members.append(member)
    assert member.wait("differs")[1] == 'differs 0 node 1 is "x:1" here and "b:1" there'
    assert members[0].wait("differs")[1] == 'differs 3 node 1 is "b:1" here and "x:1" there'
    member.wait("tells:")
    stopped = boottime_ms()
    members.leader().send("stop")
    wait_for(lambda: any(other.said("judge", stopped) for other in members), "another judge", 20)
    assert not member.said("judge")
    gone = boottime_ms()
    member.kill()
    assert members.wait_leader() is not member
    wait_for(lambda: any(words == "differs 3 " for _, words in members[1].said("differs", gone) +
                         members[2].said("differs", gone)), "the lists to be the same", 20)
