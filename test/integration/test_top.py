"""pgpool top: on a terminal, which is a pty here, and printed once."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import pytest

import raw
from proxy import binary
from waiting import wait_for

pytestmark = pytest.mark.one_engine

ESCAPE = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def command(pgpool, *options):
    return [binary(), "top", "-h", pgpool.directory, "-p", str(pgpool.pcp_port), "-w", *options]


class Terminal:
    """A pgpool top on a pty, and what its screen shows: the last frame."""

    def __init__(self, pgpool, *options, rows=20, columns=150):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(command(pgpool, *options), stdin=slave, stdout=slave,
                                        stderr=slave, start_new_session=True)
        self.output = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536).decode("utf-8", "replace")
        return self.output

    def frame(self):
        """Lines of the last whole frame."""
        frames = self.read().split("\x1b[H")
        whole = [frame for frame in frames[1:] if "\x1b[J" in frame]
        return [ESCAPE.sub("", line).rstrip() for line in whole[-1].split("\r\n")] if whole else []

    def press(self, keys):
        os.write(self.master, keys.encode())

    def shows(self, text):
        return wait_for(lambda: [line for line in self.frame() if re.search(text, line)],
                        f"{text} on the screen")

    def ended(self):
        wait_for(lambda: (self.read(), self.process.poll())[1] is not None, "pgpool top to end")
        return self.process.returncode

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before and \
            self.read().rstrip().endswith(LEAVE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def terminal(pgpool, *options, **size):
    one = Terminal(pgpool, *options, **size)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module", name="busy")
def busy_fixture(cluster, engine):
    from proxy import Pgpool
    pgpool = Pgpool(cluster, engine, num_init_children=1)
    pgpool.start()
    with raw.connected(pgpool) as one:
        for _ in range(30):
            one.simple("SELECT 'a' AS often")
        one.simple("SELECT pg_sleep(0.4) AS slow")
        one.simple("SELECT g AS many FROM generate_series(1, 500) g")
        one.simple("SELECT 1/0 AS wrong")
        one.simple('SELECT 1 AS "moves\x1b[2Jthe\x1b[Hscreen\u009b2J"')
        one.rows("SHOW pool_statements")  # all of it has been added
    yield pgpool
    pgpool.finish()


def run(pgpool, *options):
    return subprocess.run(command(pgpool, *options), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


def order(lines):
    """The texts' last words, as they follow each other."""
    text = "\n".join(lines)
    names = [name for name in ("often", "slow", "many", "wrong") if f"AS {name}" in text]
    return sorted(names, key=lambda name: text.index(f"AS {name}"))


# ---- once ----------------------------------------------------------------------------------------

def test_once(busy):
    got = run(busy, "--once")
    assert got.returncode == 0 and got.stderr == ""
    lines = got.stdout.splitlines()
    assert re.match(r"pgpool \S+:\d+  \d\d:\d\d:\d\d  \d+ statements by time", lines[0])
    assert re.match(r"nodes: 0 primary \w+, 1 standby \w+", lines[1])
    assert lines[2].split()[:3] == ["CALLS", "TOTAL", "MEAN"]
    assert order(lines)[0] == "slow"
    often = [line for line in lines if "AS often" in line][0]
    assert often.split()[0] == "30" and re.search(r"\d (primary|standby) 30", often)
    assert "\x1b" not in got.stdout and "\x9b" not in got.stdout


def test_no_terminal_is_once(busy):
    assert run(busy).stdout.count("STATEMENT") == 1


@pytest.mark.parametrize("by, first", [("calls", "often"), ("rows", "many"), ("errors", "wrong"),
                                       ("mean", "slow"), ("p99", "slow"), ("TIME", "slow")])
def test_sorted(busy, by, first):
    got = run(busy, "--once", "-s", by)
    assert got.returncode == 0 and order(got.stdout.splitlines())[0] == first


def test_so_many_rows(busy):
    assert len(run(busy, "--once", "-n", "2").stdout.splitlines()) == 3 + 2


def test_wrong_command_lines(busy):
    for options in (["-s", "nothing"], ["-d", "0"], ["-n", "x"], ["-p", "0"], ["what"], ["-x"],
                    ["-d"]):
        got = run(busy, *options)
        assert got.returncode == 2 and got.stdout == "" and "--help" in got.stderr
    got = run(busy, "--help")
    assert got.returncode == 0 and "--once" in got.stdout
    main = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True)
    assert "pgpool top" in main.stdout


def test_nobody_is_there(tmp_path):
    got = subprocess.run([binary(), "top", "-h", str(tmp_path), "-w", "--once"],
                         capture_output=True, text=True, check=False)
    assert got.returncode == 1 and "pgpool top: " in got.stderr and got.stdout == ""


# ---- on a terminal -------------------------------------------------------------------------------

def test_it_refreshes(busy):
    with terminal(busy, "-d", "1") as top, raw.connected(busy) as one:
        top.shows("statements by time, every 1 s")
        top.shows("AS slow")
        for _ in range(20):
            one.simple("SELECT 'x' AS newcomer")
        line = top.shows("AS newcomer")[0]
        assert line.split()[2] == "20"
        assert ENTER in top.output and top.frame()[1].startswith("calls/s ")
        assert len(top.frame()) <= 20
        assert all(len(line) <= 150 for line in top.frame())
        top.press("q")
        assert top.ended() == 0 and top.is_restored()


def test_keys(busy):
    with terminal(busy, "-d", "3600") as top:
        top.shows("by time")
        for key, name, first in (("c", "calls", "often"), ("r", "rows", "many"),
                                 ("e", "errors", "wrong"), ("m", "mean", "slow")):
            top.press(key)
            top.shows(f"by {name}, every")
            assert order(top.frame())[0] == first
        top.press("R")
        top.shows("by mean, least first")
        assert order(top.frame())[-1] == "slow"
        top.press("-")
        top.shows("every 3599 s")
        top.press(" ")
        top.press("l")
        top.shows("by load")
        top.press("\x04")
        assert top.ended() == 0 and top.is_restored()


def test_no_statement_moves_the_screen(busy):
    with terminal(busy, "-d", "3600", columns=200) as top:
        top.shows("moves.*the.*screen")
        for frame in top.output.split("\x1b[H")[1:]:
            assert "\x1b[2J" not in frame and "\u009b" not in frame


def test_another_size(busy):
    with terminal(busy, "-d", "3600", rows=24, columns=150) as top:
        top.shows("AS slow")
        top.resize(8, 60)
        os.kill(top.process.pid, signal.SIGWINCH)
        wait_for(lambda: 0 < len(top.frame()) <= 8 and all(len(x) <= 60 for x in top.frame()),
                 "a smaller screen")


@pytest.mark.parametrize("signo, status", [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_signals_restore_the_terminal(busy, signo, status):
    with terminal(busy, "-d", "3600") as top:
        top.shows("AS slow")
        os.kill(top.process.pid, signo)
        assert top.ended() == status and top.is_restored()


def test_pgpool_goes_and_comes_back(start_pgpool):
    pgpool = start_pgpool(num_init_children=1)
    with terminal(pgpool, "-d", "1") as top:
        top.shows("by time")
        with raw.connected(pgpool) as one:
            one.simple("SELECT 1 AS stays")
        top.shows("AS stays")
        os.kill(pgpool.named("pcp")[0], signal.SIGKILL)
        top.shows("server closed|terminat|connection")
        wait_for(lambda: not re.search("server closed|terminat|connection", "\n".join(top.frame()))
                 and "AS stays" in "\n".join(top.frame()), "the list to be there again")
