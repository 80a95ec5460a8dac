"""What pgpools of a watchdog show of each other, and the virtual address of a whole pgpool."""

import os
import re

import pytest

import raw
from cluster import run
from etcd import PROGRAM
from test_http import metrics, with_http
from test_pcp import Tools, write_users
from test_watchdog import Team, team_fixture  # pylint: disable=unused-import
from waiting import wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(12), pytest.mark.plain,
              pytest.mark.skipif(PROGRAM is None, reason="needs etcd (Debian: etcd-server)")]

ADDRESS = "10.93.77.1"


def rows(member):
    return member.show("pool_watchdog")


def test_members_see_each_other(team):
    first, second = team.members
    for member in (first, second):
        wait_for(lambda m=member: [row["state_name"] for row in rows(m)].count("LEADER") == 1 and
                 all(row["alive_nodes"] == "0,1,2" for row in rows(m)), "all to be known")
    own, other = rows(first)
    assert (own["node_id"], own["is_self"], own["state_name"]) == ("0", "YES", "LEADER")
    assert (own["hostname"], own["escalated"], own["quorum"]) == ("pgpool0", "YES", "QUORUM EXIST")
    assert (other["node_id"], other["is_self"], other["state_name"]) == ("1", "NO", "STANDBY")
    assert int(own["lease_ms"]) > 0 and int(own["writes_ms"]) > 0
    assert own["etcd"] in team.etcd.hosts and int(own["etcd_age_ms"]) < 3000
    assert int(own["term"]) > 0 and int(own["state_revision"]) > 0
    own, other = rows(second)
    assert (own["node_id"], own["state_name"], own["escalated"]) == ("1", "STANDBY", "NO")
    assert (other["state_name"], other["priority"], other["difference"]) == ("LEADER", "10", "")
    team.kill(first)
    wait_for(lambda: [row["state_name"] for row in rows(second)] == ["LEADER", "LOST"],
             "the other one to lead", 30)
    write_users(second)  # from here on the views are for its users alone
    second.reload()
    tools = Tools(second)
    tools.write_pass()
    port = second.port
    assert tools.output("watchdog_info").splitlines() == [
        f"2 2 YES pgpool1:{port} Linux pgpool1 pgpool1", "",
        f"pgpool1:{port} Linux pgpool1 pgpool1 {port} 0 4 LEADER 0 MEMBER YES",
        f"pgpool0:{port} Linux pgpool0 pgpool0 {port} 0 8 LOST 0 MEMBER NO"]


def test_lists_of_nodes_that_differ(team):
    first, second = team.members
    team.members.append(third := team.member(2, backend_port1=1))
    third.start(knows_nodes=False)
    wait_for(lambda: len(rows(third)) == 3, "the third one to see the others", 20)
    for member in (first, second):
        wait_for(lambda m=member: any("node 1 is" in (row["difference"] or "") for row in rows(m)),
                 "the difference to be known", 20)
    assert any(" here and \"" in row["difference"] for row in rows(third) if row["is_self"] == "NO")


def in_state(member):
    """Numbers of pgpools to the states that its metrics say they are in."""
    found = {}
    for name, value in metrics(member).items():
        match = re.fullmatch(r'pgpool_watchdog_state\{pgpool_id="(\d)",self="(yes|no)",'
                             r'state="(\w+)"\}', name)
        if match and value:
            assert match[1] not in found and (match[2] == "yes") == (match[1] == member.number)
            found[match[1]] = match[3]
    return found


def test_metrics_say_who_leads(engine):
    team = Team(engine, members=0)
    try:
        for number in range(2):
            member = with_http(team.member(number))
            member.number = str(number)
            team.members.append(member.start())
        first, second = team.members
        both = {"0": "leader", "1": "standby"}
        for member, is_leading in ((first, 1), (second, 0)):
            wait_for(lambda m=member: in_state(m) == both, "both to be known", 20)
            found = metrics(member)
            assert found["pgpool_watchdog_leads"] == is_leading
            assert found["pgpool_watchdog_term"] > 0 and found["pgpool_watchdog_address_up"] == 0
            assert found["pgpool_watchdog_lease_seconds"] > 0
            assert found["pgpool_watchdog_writes_seconds"] > 0
            assert found["pgpool_watchdog_etcd_age_seconds"] < 3
        term = found["pgpool_watchdog_term"]
        team.kill(first)
        wait_for(lambda: in_state(second) == {"0": "lost", "1": "leader"}, "the other one to lead",
                 30)
        found = metrics(second)
        assert found["pgpool_watchdog_leads"] == 1 and found["pgpool_watchdog_term"] > term
    finally:
        team.finish()


@pytest.mark.parametrize("clears, more", [("on", 0), ("off", 1)])
def test_a_new_leader_begins_with_an_empty_cache(engine, clears, more):
    """What the old one has let pass may have changed anything."""
    team = Team(engine, memory_cache_enabled="on", clear_memqcache_on_escalation=clears)
    try:
        first, second = team.members
        with team.nodes[0].connect() as one:
            one.execute("CREATE TABLE kept AS SELECT 1 AS a")

        def hits():
            second.value("SELECT a FROM kept")
            return int(second.show("pool_cache")[0]["num_cache_hits"])

        before = hits()
        wait_for(lambda: hits() > before, "the answer to be kept", 30)
        team.kill(first)
        wait_for(second.leads, "the other one to lead", 30)
        wait_for(lambda: rows(second)[0]["escalated"] == "YES", "it to be told")
        before = int(second.show("pool_cache")[0]["num_cache_hits"])
        assert hits() == before + more
    finally:
        team.finish()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give the host an address")
def test_the_address_goes_with_pgpool(engine):
    def is_up():
        return f" {ADDRESS}/" in run("ip", "-o", "addr", "show", "dev", "lo").stdout

    lifetime = " valid_lft $_LIFETIME_$ preferred_lft $_LIFETIME_$"
    team = Team(engine, members=1, etcd=1, delegate_ip=ADDRESS, if_cmd_path="/sbin", arping_cmd="",
                if_up_cmd="ip addr replace $_IP_$/32 dev lo" + lifetime,
                if_down_cmd="ip addr del $_IP_$/32 dev lo")
    try:
        member, = team.members
        wait_for(is_up, "the address to be up")
        wait_for(lambda: rows(member)[0]["address"] == "up", "the view to say so")
        team.kill(member)
        wait_for(lambda: not is_up(), "the kernel to take it down")
        team.members.append(team.member(0).start())
        wait_for(is_up, "the address to be up again", 30)
        team.members.pop().finish()
        assert not is_up()
    finally:
        team.finish()
        run("ip", "addr", "del", f"{ADDRESS}/32", "dev", "lo", check=False)


def test_sessions_end_while_the_address_is_elsewhere(engine):
    """The look for sessions of the virtual address comes right behind the one that ends those that
    are idle, which are still there then."""
    team = Team(engine, members=1, etcd=1, delegate_ip=ADDRESS, if_cmd_path="/bin", arping_cmd="",
                if_up_cmd="true", if_down_cmd="true", client_idle_limit="1s")
    try:
        member, = team.members
        children = sorted(member.named("child"))
        for _ in range(2):
            sessions = [raw.connected(member) for _ in range(4)]
            for one in sessions:
                assert raw.codes(one.read_to_end()) == ["57P05"]
                one.close()
        assert sorted(member.named("child")) == children
    finally:
        team.finish()
