"""The virtual address in a network of namespaces: brought up for a while, renewed, taken down, gone
when all of pgpool is killed; the commands of who leads; trusted servers and interfaces."""

import os
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from cluster import run
from network import Network, possible
from proxy import binary
from waiting import SLOW, wait_for

PROGRAM = os.path.join(os.path.dirname(binary()), "test", "integration", "wd_address")
IPV4, IPV6 = "10.93.0.200", "fd93::200"
FOR_A_WHILE = " valid_lft $_LIFETIME_$ preferred_lft $_LIFETIME_$"
SETTINGS_V4 = {"delegate_ip": IPV4, "if_cmd_path": "/sbin", "arping_cmd": "",
               "if_up_cmd": "ip addr replace $_IP_$/24 dev eth0" + FOR_A_WHILE,
               "if_down_cmd": "ip addr del $_IP_$/24 dev eth0"}
SETTINGS_V6 = SETTINGS_V4 | {"delegate_ip": IPV6,
                             "if_up_cmd": "ip addr replace $_IP_$/64 dev eth0 nodad" + FOR_A_WHILE,
                             "if_down_cmd": "ip addr del $_IP_$/64 dev eth0"}
OLD = {"if_up_cmd": "ip addr add $_IP_$/24 dev eth0"}  # as Pgpool-II has it

pytestmark = [
    pytest.mark.one_engine, pytest.mark.takes(60),
    pytest.mark.skipif(not possible(), reason="no namespaces of the network"),
]


class Runner:
    """test/integration/wd_address at place 0 of a network."""

    def __init__(self, network, settings):
        self.network = network
        self.address = settings.get("delegate_ip", IPV4)
        self.lines = []
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            for name, value in settings.items():
                quoted = value.replace("\\", "\\\\").replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")
            file.flush()
            self.process = subprocess.Popen(
                [*network.inside(0), PROGRAM, file.name], text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
            threading.Thread(target=self._read, daemon=True).start()
            self.heard("ready")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def heard(self, line, count=1):
        wait_for(lambda: self.lines.count(line) >= count, f"\"{line}\" to be heard")

    def said(self, words):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as file:
            return words in file.read()

    def send(self, line):
        self.process.stdin.write(line + "\n")

    def is_up(self):
        family = "-6" if ":" in self.address else "-4"
        return f" {self.address}/" in run("ip", family, "-n", self.network.places[0], "-o", "addr",
                                          "show", "dev", "eth0").stdout

    def wait_up(self):
        wait_for(self.is_up, "the address to be up")

    def wait_down(self, timeout=10.0):
        wait_for(lambda: not self.is_up(), "the address to be down", timeout)

    def kill(self):
        self.process.kill()
        self.process.wait(10 * SLOW)

    def close(self):
        self.kill()
        self.process.stdin.close()
        self.log.close()


@pytest.fixture(scope="module", name="network")
def network_fixture():
    network = Network()
    try:
        for number in range(2):
            space = network.places[network.place()]
            run("ip", "-n", space, "addr", "add", f"fd93::{number + 1}/64", "dev", "eth0", "nodad")
        yield network
    finally:
        network.destroy()


@pytest.fixture(name="start")
def start_fixture(network):
    started = []

    def start(settings, **more):
        started.append(Runner(network, settings | more))
        return started[-1]

    yield start
    for one in started:
        one.close()
    run("ip", "-n", network.places[0], "link", "set", "eth0", "up")
    for address in (f"{IPV4}/24", f"{IPV6}/64"):
        run("ip", "-n", network.places[0], "addr", "del", address, "dev", "eth0", check=False)


# refused is an answer, too
KNOCK = """import socket, sys
try:
    socket.create_connection((sys.argv[1], 1), timeout=1).close()
except ConnectionRefusedError:
    pass
"""


def answers(network, address):
    return run(*network.inside(1), sys.executable, "-c", KNOCK, address,
               check=False).returncode == 0


@pytest.mark.parametrize("settings", [SETTINGS_V4, SETTINGS_V6], ids=["ipv4", "ipv6"])
def test_up_renewed_and_down(network, start, settings):
    one = start(settings)
    one.send("up 0")
    one.heard("ended 1")
    wait_for(lambda: answers(network, one.address), "the address to answer a neighbour")
    end = time.monotonic() + 4.0  # longer than any one lifetime

    def renewed():
        count = one.lines.count("ended 1")
        one.send("keep 2600")
        one.heard("ended 1", count + 1)
        assert one.is_up()
        return time.monotonic() > end

    wait_for(renewed, "several lifetimes to pass", pause=0.3)
    count = one.lines.count("ended 1")
    one.send("down")
    one.heard("ended 1", count + 1)
    assert not one.is_up()
    assert one.said("the virtual address is up") and one.said("the virtual address is down")


@pytest.mark.parametrize("settings", [SETTINGS_V4, SETTINGS_V6], ids=["ipv4", "ipv6"])
def test_the_kernel_takes_it_from_the_dead(start, settings):
    """Before the moment that the watchdog has said, and not long before it."""
    one = start(settings)
    began = time.monotonic()
    one.send("up 3600")
    one.heard("ended 1")
    one.kill()
    one.wait_down()
    assert 2.5 < time.monotonic() - began < 3.6 + SLOW - 1


def test_the_kernel_takes_it_from_the_silent(start):
    """Nobody renews it, nobody takes it down; then it is down without a command that goes well."""
    one = start(SETTINGS_V4)
    one.send("up 1600")
    one.heard("ended 1")
    one.wait_down()
    one.send("down")
    one.heard("ended 1", 2)


def test_not_for_less_than_a_second(start):
    one = start(SETTINGS_V4)
    one.send("up 1100")
    one.send("down")
    one.heard("ended 1")
    assert not one.is_up() and one.lines == ["ready", "ended 1"]


def test_a_command_that_is_late_is_killed(start, tmp_path):
    """It might bring the address up for longer than may be."""
    late = tmp_path / "late"
    late.write_text("#!/bin/sh\nexec sleep 100\n")
    late.chmod(0o755)
    one = start(SETTINGS_V4, if_up_cmd=f"{late} $_IP_$ $_LIFETIME_$")
    one.send("up 1600")
    one.heard("ended 0")
    assert one.said("if_up_cmd did not end in time")


def test_tried_again(start):
    one = start(SETTINGS_V4, if_up_cmd="ip addr replace $_IP_$/24 dev nowhere" + FOR_A_WHILE)
    one.send("up 0")
    one.heard("ended 0", 2)
    assert one.said("the virtual address could not be brought up: trying again")
    one.send("down")
    one.heard("ended 1")


def test_kept_for_ever_and_lost_with_the_process(start):
    one = start(SETTINGS_V4)
    one.send("up 0")
    one.heard("ended 1", 2)  # renewed by itself
    one.kill()
    assert one.is_up()
    one.wait_down(20.0)


def test_a_guardian_takes_down_what_has_no_lifetime(start):
    one = start(SETTINGS_V4, **OLD)
    one.send("up 2600")
    one.heard("ended 1")
    one.kill()
    one.wait_down()


def test_a_guardian_that_is_killed_is_replaced(start):
    one = start(SETTINGS_V4, **OLD)
    one.send("up 2600")
    one.heard("ended 1")

    def guardians():
        return run("pgrep", "-P", str(one.process.pid), check=False).stdout.split()

    (first,) = guardians()
    run("kill", "-9", first)
    wait_for(lambda: guardians() not in ([], [first]), "another guardian")
    one.send("down")
    one.heard("ended 1", 2)
    wait_for(lambda: not guardians(), "the guardian to go")
    assert not one.is_up()


def test_left_by_an_earlier_life(network, start):
    run("ip", "-n", network.places[0], "addr", "add", f"{IPV4}/24", "dev", "eth0")
    one = start(SETTINGS_V4)
    one.wait_down()
    assert one.said("the virtual address is up from an earlier time")
    assert one.lines == ["ready"]


def test_down_waits_for_an_up_that_runs(start, tmp_path):
    """Otherwise the address might come up after it was taken down."""
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 0.5\nexec ip addr add $1/24 dev eth0\n")
    slow.chmod(0o755)
    one = start(SETTINGS_V4, if_up_cmd=f"{slow} $_IP_$")
    one.send("up 10000")
    one.send("down")
    one.heard("ended 1")
    assert not one.is_up() and one.lines == ["ready", "ended 1"]


def test_neighbours_are_told_once(start, tmp_path):
    told = tmp_path / "told"
    tell = tmp_path / "tell"
    tell.write_text(f"#!/bin/sh\necho $1 >>{told}\n")
    tell.chmod(0o755)
    one = start(SETTINGS_V4, arping_cmd="tell $_IP_$", arping_path=str(tmp_path))
    for count in range(1, 4):
        one.send("keep 2600")
        one.heard("ended 1", count)
    wait_for(told.exists, "the neighbours to be told")
    assert told.read_text() == IPV4 + "\n"


def test_programs_of_the_system_are_found(start, tmp_path):
    """Not all systems have arping where Pgpool-II looks for it."""
    one = start(SETTINGS_V4, arping_cmd="true $_IP_$", arping_path=str(tmp_path))
    one.send("keep 2600")
    one.heard("ended 1")
    assert not one.said("arping_cmd")
    other = start(SETTINGS_V4, arping_cmd="none-such $_IP_$", arping_path=str(tmp_path))
    wait_for(lambda: other.said(f'arping_cmd: there is no program "none-such" in "{tmp_path}"'),
             "what is missing to be told")


def test_escalation_commands(start, tmp_path):
    """One after the other, and the last word is the one that counts."""
    seen = tmp_path / "seen"
    one = start(SETTINGS_V4,
                wd_escalation_command=f"sleep 0.3; echo up >>{seen}; echo done",
                wd_de_escalation_command=f"echo down >>{seen}; exit 3")
    for word in ("escalate", "resign", "escalate", "resign"):
        one.send(word)
    wait_for(lambda: one.said("wd_de_escalation_command exited with status 3"), "the second one")
    assert seen.read_text() == "up\ndown\n"
    assert one.said("wd_escalation_command: done")


def test_trusted_servers(start, tmp_path):
    """One that answers is enough."""
    mark = tmp_path / "b"
    one = start(SETTINGS_V4, trusted_servers="a, b", trusted_server_command=f"ls {tmp_path}/%h")
    one.heard("surroundings 0")
    assert one.said("no trusted server answers: this pgpool may be cut off: ls: ")
    mark.touch()
    wait_for(lambda: "surroundings 1" in one.lines, "the server to be asked again", 20.0)


def test_interfaces(network, start):
    one = start(SETTINGS_V4, wd_monitoring_interfaces_list="nowhere, eth0")
    other = start(SETTINGS_V4, wd_monitoring_interfaces_list="any")
    space = network.places[0]
    run("ip", "-n", space, "link", "set", "eth0", "down")
    for runner in (one, other):
        runner.heard("surroundings 0")
    run("ip", "-n", space, "link", "set", "eth0", "up")
    for runner in (one, other):
        runner.heard("surroundings 1")
