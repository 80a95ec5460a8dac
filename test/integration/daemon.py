"""A pgpool that goes into the background by itself, also one that is upgraded, and the socket of a
service manager."""

import errno
import os
import re
import signal
import socket
import subprocess

import pytest

import processes
import raw
from cluster import Target, run
from proxy import Pgpool, asked_all_nodes, binary
from waiting import SLOW, wait_for


class Daemon(Pgpool):
    """A pgpool that goes into the background by itself, and is spoken to by commands."""

    def __init__(self, cluster, **settings):
        super().__init__(cluster, "auto", **settings)
        self.log_directory = os.path.join(self.directory, "log")
        self.settings = {"logging_collector": "on", "log_directory": self.log_directory,
                         "log_filename": "pgpool.log"} | self.settings
        self.log = os.path.join(self.log_directory, "pgpool.log")
        self.parent = 0

    def run(self, *words, check=None, **kwargs):
        """Runs a command; check is the exit status that it must have."""
        done = run(*self.command(*words), check=False, **kwargs)
        assert check is None or done.returncode == check, \
            f"{words} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def start(self, *words, **kwargs):
        self.launch(*words, **kwargs)
        self.wait_nodes()
        return self

    def launch(self, *words, **kwargs):
        """As it is when the command has returned."""
        self.write_config()
        self.run(*words, check=0, **kwargs)
        self.read_pid()
        self.wait_titles()
        if self not in Pgpool.running:  # it may have run before
            Pgpool.running.append(self)

    def wait_nodes(self):
        """As the administration port tells: where clients are, tests may count them."""
        def asked():
            with raw.connected(Target("127.0.0.1", self.settings["pcp_port"])) as one:
                return asked_all_nodes(one)
        wait_for(asked, "all nodes to be asked", 30)

    def read_pid(self):
        with open(self.settings["pid_file_name"], encoding="utf-8") as file:
            self.parent = int(file.read())

    @property
    def pid(self):
        return self.parent

    def signal(self, signo):
        os.kill(self.parent, signo)

    def ended(self):
        return not (self.parent and processes.alive(self.parent))

    def log_text(self):
        return super().log_text() if os.path.exists(self.log) else ""

    def wait_log(self, pattern, count=1):
        """Until so many lines of the log match; returns them."""
        def found():
            lines = [line for line in self.log_text().splitlines() if re.search(pattern, line)]
            return lines if len(lines) >= count else None
        return wait_for(found, f"{count} lines like \"{pattern}\" in the log")

    def reload(self, **settings):
        """Writes these settings and waits until they were taken."""
        pattern = "has been reloaded"
        before = len(re.findall(pattern, self.log_text()))
        self.write_config(**settings)
        self.run("reload", check=0)
        self.wait_log(pattern, before + 1)

    def finish(self):
        """Whatever the test has left: no process outlives it, and nobody complains."""
        pids = [] if self.ended() else self.pids()
        try:
            if pids:
                self.run("-m", "fast", "stop", check=0)
            wait_for(lambda: not any(processes.alive(pid) for pid in pids), "its processes", 5)
            assert not self.complaints()
        finally:
            for pid in pids:
                if processes.alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.kill()


class Upgradable(Daemon):
    """A daemon with a program of its own (a link, to be put elsewhere), which knows all processes
    that it ever had."""

    def __init__(self, cluster, engine="auto", **settings):
        super().__init__(cluster, io_engine=engine, **settings)
        self.program = os.path.join(self.directory, "program")
        os.symlink(binary(), self.program)
        self.seen = set()

    def command(self, *words):
        return [self.program, *super().command(*words)[1:]]

    def environment(self):
        sanitizer = f"log_path={self.directory}/sanitizer:exitcode=99:detect_leaks=1"
        return {**os.environ, "ASAN_OPTIONS": sanitizer,
                "UBSAN_OPTIONS": f"print_stacktrace=1:{sanitizer}"}

    def start(self, *words, **kwargs):
        super().start(*words, env={**self.environment(), **kwargs.pop("env", {})}, **kwargs)
        self.remember()
        return self

    def remember(self):
        self.seen |= set(self.pids())

    def upgrade(self, *words, **settings):
        """Returns the old parent's pid; ours is the new one's from then on."""
        if settings:
            self.write_config(**settings)
        self.remember()
        old = self.pid
        done = self.run(*words, "upgrade", check=0, timeout=100)
        self.read_pid()
        self.port = self.settings["port"]
        assert self.pid != old
        assert done.stdout == f"pgpool (process {self.pid}) has taken over from process {old}\n"
        self.wait_titles()
        self.remember()
        wait_for(lambda: not self.still_accepting(old), "the old children to close their doors")
        self.wait_nodes()
        return old

    @staticmethod
    def still_accepting(old):
        """Children of a parent that was replaced who have not heard of it: a client may be theirs
        even now."""
        return [pid for pid in processes.children(old)
                if re.search(r"child \d+: \d+ client", processes.title(pid))]

    def upgrading(self, *words):
        """The command as a process."""
        return subprocess.Popen(self.command(*words, "upgrade"), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def replace_program(self, script):
        """By a shell script, as a new package would do it: under another name, then renamed."""
        with open(self.program + ".tmp", "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(self.program + ".tmp", 0o755)
        os.rename(self.program + ".tmp", self.program)

    def hold_program(self):
        """The next program waits until release_program before it does anything."""
        os.mkfifo(self.directory + "/gate")
        self.replace_program(f"read line <{self.directory}/gate\nexec {binary()} \"$@\"\n")

    def release_program(self):
        gate = wait_for(self._open_gate, "the program to wait at its gate")
        os.write(gate, b"go\n")
        os.close(gate)

    def _open_gate(self):
        """None while nobody waits there: then an open that waits might do so for ever."""
        try:
            return os.open(self.directory + "/gate", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return None

    def files(self):
        return sorted(name for name in os.listdir(self.directory) if name not in ("gate",))

    def alive(self):
        return sorted(pid for pid in self.seen if processes.alive(pid))

    def finish(self):
        if not self.ended():
            self.remember()
        self.use_real_program()
        try:
            super().finish()
            wait_for(lambda: not self.alive(), "all of its processes", 5)
        finally:
            for pid in self.alive():
                os.kill(pid, signal.SIGKILL)

    def use_real_program(self):
        if os.path.exists(self.directory):
            if os.path.lexists(self.program):
                os.unlink(self.program)
            os.symlink(binary(), self.program)


def daemon_answers(daemon):
    def answers():
        try:
            with raw.connected(daemon, timeout=5) as one:
                return one.rows("SELECT 1") == [["1"]]
        except (OSError, TimeoutError, raw.Closed, AssertionError):
            return False
    return answers


def answers(target):
    return daemon_answers(target)()


def pid_in_file(pgpool):
    with open(pgpool.settings["pid_file_name"], encoding="utf-8") as file:
        return int(file.read())


def makes(kind):
    """The fixtures of a module whose daemons are of this kind: a function that makes one, not
    started yet; and one that runs."""
    @pytest.fixture(name="make")
    def make_fixture(cluster):
        made = []

        def make(**settings):
            made.append(kind(cluster, **settings))
            made[-1].write_config()
            return made[-1]

        yield make
        for daemon in made:
            daemon.finish()

    @pytest.fixture(name="daemon")
    def daemon_fixture(make):
        return make().start()

    return make_fixture, daemon_fixture


class Manager:
    """The socket of a service manager."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10 * SLOW)

    def next(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
