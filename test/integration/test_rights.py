"""What the processes of a pgpool may do, and who may look into them."""

import os
import signal
import subprocess

import pytest

import processes
import raw
from cluster import as_owner, owner, run
from daemon import Upgradable, answers, makes, pid_in_file
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(6),
              pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be able to give it up")]

make, _ = makes(Upgradable)

KEPT_BY_ROOT = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 14 | 1 << 29  # capabilities(7), in os/rights.c
RUN_COMMANDS = ("parent", "failover")


def uid_of(name):
    return int(run("id", "-u", name).stdout)


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {name: value.split() for name, value in
                (line.rstrip("\n").split(":", 1) for line in file)}


def capabilities(pid, name):
    return int(status(pid)[name][0], 16)


def by_name(daemon):
    """The processes: "child", "parent", ... and the pids of each kind."""
    found = {}
    for pid in daemon.pids():
        words = processes.title(pid).split(": ")
        found.setdefault(words[1].split()[0], []).append(pid)
    return found


def everyone(daemon):
    return [(kind, pid) for kind, pids in by_name(daemon).items() for pid in pids]


def may_look(pid):
    """Whether the servers' user may read the process's memory map."""
    return run(*as_owner("cat", f"/proc/{pid}/maps"), check=False).returncode == 0


@pytest.fixture(name="given")
def given_fixture(make):
    """Makes a daemon for the servers' user, in a directory of his."""
    def give(**settings):
        daemon = make(run_as_user=owner(), **settings)
        for name in ("", *os.listdir(daemon.directory)):
            os.lchown(os.path.join(daemon.directory, name), uid_of(owner()), -1)
        return daemon
    return give


def check_is_owner(daemon):
    uid = uid_of(owner())
    groups = sorted(run("id", "-G", owner()).stdout.split())
    kinds = by_name(daemon)
    assert {"parent", "child", "lag", "health", "failover", "pcp", "logger"} <= set(kinds)
    for kind, pid in everyone(daemon):
        now = status(pid)
        assert set(now["Uid"]) == {str(uid)}, kind
        assert sorted(now["Groups"]) == groups, kind
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert capabilities(pid, name) == 0, (kind, name)
        runs_commands = kind in RUN_COMMANDS
        assert now["NoNewPrivs"] == ["0" if runs_commands else "1"], kind
        assert not may_look(pid), kind


def test_root_becomes_another_user(given):
    daemon = given().start()
    check_is_owner(daemon)
    # what it needs later
    daemon.reload(log_min_messages="debug1")
    os.rename(daemon.log, daemon.log + ".1")
    os.kill(daemon.pid, signal.SIGUSR1)
    wait_for(lambda: os.path.exists(daemon.log), "a new log file")
    daemon.run("status", check=0)
    with raw.connected(daemon) as one:
        assert one.rows("SELECT 1") == [["1"]]
    for pid in daemon.named("child"):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: answers(daemon), "another child")
    check_is_owner(daemon)
    sockets = [name for name in daemon.files() if name.startswith(".s.")]
    assert len(sockets) == 4
    daemon.run("-m", "fast", "stop", check=0)
    assert not [name for name in daemon.files() if name.startswith(".s.") or ".pid" in name]


def test_the_upgrade_is_that_user_too(given):
    daemon = given().start()
    daemon.upgrade()
    check_is_owner(daemon)
    assert pid_in_file(daemon) == daemon.pid
    wait_for(lambda: answers(daemon), "it to serve")


def test_that_user_may_start_it(given):
    daemon = given(logging_collector="off")
    process = subprocess.Popen(as_owner(*daemon.command("-n")), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: answers(daemon), "it to serve", 30)
        # although /proc/PID of the daemon is root's
        assert "is running" in run(*as_owner(*daemon.command("status"))).stdout
    finally:
        for pid in processes.children(process.pid):  # runuser waits for it
            os.kill(pid, signal.SIGINT)
        process.wait(20 * SLOW)


def test_commands_run_as_that_user(given):
    daemon = given()
    said = os.path.join(daemon.directory, "said")
    daemon.write_config(failover_on_backend_error="off",
                        event_command=f"echo \"$(id -un) $HOME $(ulimit -c)\" >>{said}")
    daemon.start()
    daemon.run("drain", "1", check=0)
    wait_for(lambda: os.path.exists(said) and os.path.getsize(said) > 0, "an event")
    with open(said, encoding="utf-8") as file:
        who, home = file.readline().split()[:2]
    assert (who, home) == (owner(), os.path.expanduser(f"~{owner()}"))


def test_root_keeps_little(make):
    """Without run_as_user only those who run commands have root's rights."""
    daemon = make().start()
    for kind, pid in everyone(daemon):
        assert set(status(pid)["Uid"]) == {"0"}
        if kind in RUN_COMMANDS:
            assert capabilities(pid, "CapEff") == capabilities(os.getpid(), "CapEff"), kind
            continue
        for name in ("CapPrm", "CapEff", "CapBnd"):
            assert capabilities(pid, name) & ~KEPT_BY_ROOT == 0, (kind, name)
        assert status(pid)["NoNewPrivs"] == ["1"]


def test_core_files_are_for_who_asks(given):
    daemon = given(allow_core_files="on").start()
    for kind, pid in everyone(daemon):
        assert may_look(pid), kind
        with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
            limit = next(line for line in file if line.startswith("Max core file size"))
        soft, hard = limit.split()[4:6]
        assert soft == hard


@pytest.mark.parametrize("settings, words", [
    ({"run_as_user": "there-is-none"}, "user \"there-is-none\" does not exist"),
    ({"run_as_user": "nobody", "run_as_group": "there-is-none"}, "group \"there-is-none\""),
    ({"run_as_group": "nogroup"}, "needs \"run_as_user\""),
    ({"run_as_user": "nobody"}, "could not replace the pid file in directory"),
], ids=["user", "group", "group_alone", "directory"])
def test_what_cannot_be_is_said(make, settings, words):
    daemon = make(logging_collector="off", **settings)
    done = daemon.run(check=1)
    assert words in done.stderr
    if os.path.exists(daemon.settings["pid_file_name"]):  # it could not be removed any more
        wait_for(lambda: not processes.alive(pid_in_file(daemon)), "it to end")


def test_only_root_becomes_somebody_else(given):
    daemon = given(logging_collector="off")
    daemon.write_config(run_as_user="nobody")
    done = run(*as_owner(*daemon.command()), check=False)
    assert done.returncode == 1 and "only root can become another user" in done.stderr
