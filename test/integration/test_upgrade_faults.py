"""What goes wrong when `pgpool upgrade` puts a new generation of processes in the place of the
running one: when the new one does not come up, the old one goes on as if nothing had happened; and
what ends when pgpool is stopped or killed while there are two.
"""

import glob
import os
import re
import signal
import socket
import subprocess

import pytest

import processes
import raw
from cluster import Target
from daemon import Upgradable, answers, makes, pid_in_file
from proxy import binary
from waiting import SLOW, wait_for

# none of it is a matter of the engine
pytestmark = [pytest.mark.one_engine, pytest.mark.plain]


make_fixture, daemon_fixture = makes(Upgradable)


# ---- the new one fails ---------------------------------------------------------------------------

FAILURES = {
    "faulty file": ("", [], r'unknown parameter "prot"[\s\S]*exited with status 1'),
    "missing program": (None, [], r'could not run ".*/program": No such file'),
    "no program": ("exit 3\n", [], r"exited with status 3"),
    "dies": ("kill -SEGV $$\n", [], r"was terminated by signal 11"),
    "hangs": ("exec sleep 1000\n", ["-t", "1"], r"did not serve clients within the time limit"),
    "cannot open": (f"ulimit -n 24\nexec {binary()} \"$@\"\n", [],
                    r"could not make .*\n[\s\S]*exited with status 1"),
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_new_one_that_fails_changes_nothing(daemon, how):
    script, words, said = FAILURES[how]
    if script is None:
        os.unlink(daemon.program)
    elif script:
        daemon.replace_program(script)
    else:
        with open(daemon.config, "a", encoding="utf-8") as file:
            file.write("prot = 1\n")
    daemon.remember()
    before, pids = daemon.files(), daemon.alive()
    with raw.connected(daemon) as one:
        one.simple("CREATE TEMP TABLE mine AS SELECT 42 AS n")
        # the word itself comes from a program that works
        done = subprocess.run([binary(), *daemon.command(*words, "upgrade")[1:]],
                              capture_output=True, text=True, timeout=100 * SLOW, check=False)
        assert done.returncode == 1 and not done.stdout
        assert re.search(said, done.stderr), done.stderr
        assert done.stderr.endswith(f"pgpool: process {daemon.pid} goes on as before\n")
        assert one.rows("SELECT n FROM mine") == [["42"]]
        assert answers(daemon) and answers(Target(daemon.directory, daemon.port))
    assert daemon.files() == before
    daemon.remember()
    assert daemon.alive() == pids
    daemon.wait_log("ERROR:  upgrade has failed, this process goes on: ")
    daemon.use_real_program()
    daemon.write_config()
    daemon.upgrade()
    assert answers(daemon)


def test_a_port_that_is_taken_changes_nothing(daemon):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.write_config(port=taken.getsockname()[1])
        before = daemon.files()
        done = daemon.run("upgrade", check=1)
        assert f'could not listen on "127.0.0.1:{taken.getsockname()[1]}"' in done.stderr
        assert daemon.files() == before
    daemon.write_config(port=daemon.port)
    assert answers(daemon)


def held(daemon):
    """An upgrade whose new program has begun and does nothing yet: the command, the program."""
    daemon.remember()
    daemon.hold_program()
    command = subprocess.Popen([binary(), *daemon.command("upgrade")[1:]],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)

    def program():
        found = [pid for pid in processes.children(daemon.pid)
                 if "pgpool:" not in processes.title(pid) and "/bin/sh" in processes.title(pid)]
        return found[0] if found else 0

    return command, wait_for(program, "the new program")


def test_killed_new_one(daemon):
    command, program = held(daemon)
    with raw.connected(daemon) as one:
        os.kill(program, signal.SIGKILL)
        out, _ = command.communicate(timeout=20 * SLOW)
        assert command.returncode == 1 and "was terminated by signal 9" in out
        assert one.rows("SELECT 1") == [["1"]]
    assert answers(daemon)
    daemon.use_real_program()
    daemon.upgrade()


def test_killed_command(daemon):
    """Nobody waits for the outcome any more: then it is off."""
    command, program = held(daemon)
    command.kill()
    command.wait()
    wait_for(lambda: not processes.alive(program), "the new program to end")
    daemon.wait_log("upgrade has failed, .*: the command that asked for it has ended")
    daemon.use_real_program()
    daemon.upgrade()
    assert answers(daemon)


def test_killed_old_one(daemon):
    """Its sessions are lost, as they are whenever a parent is killed; but pgpool is not."""
    command, program = held(daemon)
    pids = daemon.pids()
    pids.remove(program)
    with raw.connected(daemon) as one:
        os.kill(daemon.pid, signal.SIGKILL)
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "the old processes' end")
        one.read_to_end()
    with raw.Raw(daemon, timeout=30) as waiting:  # the kernel takes clients: the socket lives
        waiting.send(raw.startup({"user": "postgres", "database": "test"}))
        daemon.release_program()
        assert waiting.read_until("ZE")[-1].kind == "Z"
    out, _ = command.communicate(timeout=20 * SLOW)
    assert command.returncode == 1 and "ended or was replaced meanwhile" in out
    daemon.read_pid()
    assert daemon.pid == program
    daemon.remember()
    daemon.use_real_program()
    assert f"process {program}" in daemon.run("status", check=0).stdout
    daemon.upgrade()
    assert answers(daemon)


def test_one_upgrade_at_a_time(daemon):
    command, _ = held(daemon)
    second = subprocess.run([binary(), *daemon.command("upgrade")[1:]], capture_output=True,
                            text=True, timeout=20 * SLOW, check=False)
    assert second.returncode == 1 and "another upgrade is under way" in second.stderr
    daemon.release_program()
    out, _ = command.communicate(timeout=60 * SLOW)
    assert command.returncode == 0 and "has taken over" in out
    daemon.read_pid()


def test_upgrades_at_once(daemon):
    """Four commands at the same moment: each does it or says why not, and pgpool is there."""
    commands = [daemon.upgrading() for _ in range(4)]
    outs = [command.communicate(timeout=100 * SLOW)[0] for command in commands]
    assert any("has taken over" in out for out in outs), outs
    for command, out in zip(commands, outs):
        assert (command.returncode == 0) == ("has taken over" in out), out
        assert command.returncode == 0 or "under way" in out or "meanwhile" in out or \
            "is stopping" in out or "control socket" in out, out
    daemon.read_pid()
    wait_for(lambda: daemon.run("status", check=0).stdout.count("pgpool: parent:") == 1,
             "the old ones' end")
    daemon.remember()
    assert answers(daemon)


# ---- stop ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_stop_ends_all_generations(daemon, mode):
    with raw.connected(daemon) as one:
        daemon.upgrade()
        with raw.connected(daemon) as two:
            daemon.upgrade()
            with raw.connected(daemon) as three:
                daemon.run("-m", mode, "stop", check=0)
                for connection in (one, two, three):
                    assert raw.codes(connection.read_to_end()) == \
                        (["57P01"] if mode == "fast" else [])
    assert not daemon.alive(), "who stops waits for all of them"
    left = glob.glob(daemon.directory + "/.s.PGSQL.*") + \
        glob.glob(daemon.settings["pid_file_name"] + "*")
    assert not left
    daemon.run("status", check=3)


def test_smart_stop_waits_for_all_generations(daemon):
    with raw.connected(daemon) as one:
        daemon.upgrade()
        stopping = subprocess.Popen(daemon.command("stop"), stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
        wait_for(lambda: "smart stop" in processes.title(daemon.pid), "the stop to begin")
        assert one.rows("SELECT 1") == [["1"]]
        assert stopping.poll() is None
    stopping.communicate(timeout=20 * SLOW)
    assert stopping.returncode == 0
    assert not daemon.alive()


def test_a_stopped_elder_is_killed(daemon):
    """One that does not obey is no reason to wait."""
    with raw.connected(daemon):
        old = daemon.upgrade()
        os.kill(old, signal.SIGSTOP)
        daemon.run("-m", "fast", "stop", check=0)
        wait_for(lambda: not daemon.alive(), "all to end")


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop_at_the_very_moment(daemon, signo):
    """One that was sent to the old parent while it was pgpool ends pgpool, also when the old one
    hears of it after it was replaced."""
    command, program = held(daemon)
    old = daemon.pid
    os.kill(old, signal.SIGSTOP)
    os.kill(old, signo)
    daemon.release_program()
    wait_for(lambda: pid_in_file(daemon) == program, "the new one to take over", 30)
    assert answers(daemon)
    os.kill(old, signal.SIGCONT)
    wait_for(lambda: not processes.alive(program) and not processes.alive(old), "all to end")
    command.communicate(timeout=20 * SLOW)
    assert not glob.glob(daemon.settings["pid_file_name"] + "*")


def test_reload_and_rotation_during_an_upgrade(daemon):
    """What the new program has read is read again, and its log goes on in a new file, too."""
    old = daemon.pid

    def new_parent():
        for pid in processes.children(old):
            if processes.title(pid).startswith("pgpool: parent: listening on") and \
                    any("logger: writing" in processes.title(child)
                        for child in processes.children(pid)):
                return pid
        return None

    def wait_said(words):
        """In the new file, or still in the old one."""
        def said():
            with open(daemon.log + ".1", encoding="utf-8") as before:
                return words in before.read() + daemon.log_text()
        wait_for(said, words, 30)

    def is_logged():
        with raw.connected(daemon) as one:
            one.rows("SELECT 'needle'")
        return "statement: SELECT 'needle'" in daemon.log_text()

    with socket.create_server(("127.0.0.1", 0)) as silent:  # the new one waits for its answer
        daemon.write_config(backend_hostname3="127.0.0.1", backend_port3=silent.getsockname()[1])
        command = daemon.upgrading()
        new = wait_for(new_parent, "the new processes", 30)
        os.kill(new, signal.SIGSTOP)
        os.rename(daemon.log, daemon.log + ".1")
        daemon.write_config(log_statement="on")
        for signo in (signal.SIGUSR1, signal.SIGHUP):
            os.kill(old, signo)
        wait_said("LOG:  received SIGHUP")
        os.kill(new, signal.SIGCONT)
        assert "has taken over" in command.communicate(timeout=60 * SLOW)[0]
        daemon.read_pid()
        wait_said("LOG:  told to reload by the older generation")
        wait_for(is_logged, "the new one to log statements in the new file", pause=0.2)


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_stop_during_an_upgrade(daemon, mode):
    command, program = held(daemon)
    stopping = subprocess.Popen([binary(), *daemon.command("-m", mode, "stop")[1:]],
                                stdout=subprocess.DEVNULL)
    if mode == "smart":  # it waits for the new one, which hears of the stop as soon as it listens
        wait_for(lambda: "smart stop" in processes.title(daemon.pid), "the stop to begin")
        daemon.release_program()
    assert stopping.wait(60 * SLOW) == 0
    command.communicate(timeout=20 * SLOW)
    assert command.returncode == 1
    wait_for(lambda: not processes.alive(program) and not daemon.alive(), "all to end")
    assert not glob.glob(daemon.directory + "/.s.PGSQL.*")
    assert not glob.glob(daemon.settings["pid_file_name"] + "*")


def test_new_one_goes_with_its_own_death_alone(daemon):
    """The new parent is killed when it has taken over: its own sessions end, the old ones do not,
    and pgpool can be started again beside them."""
    with raw.connected(daemon) as one:
        old = daemon.upgrade()
        pids = daemon.pids()
        with raw.connected(daemon) as two:
            os.kill(daemon.pid, signal.SIGKILL)
            two.read_to_end()
        # a child that is still to end could take a client that comes later
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "the new generation's end")
        assert one.rows("SELECT 1") == [["1"]]
        assert processes.alive(old)
        daemon.start()
        assert answers(daemon)
        assert one.rows("SELECT 1") == [["1"]]
    wait_for(lambda: not processes.alive(old), "the old parent's end")
    assert answers(daemon)
    assert os.path.exists(f"{daemon.directory}/.s.PGSQL.{daemon.port}")
