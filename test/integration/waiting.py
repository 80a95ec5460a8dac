"""Waiting for conditions with a deadline, threads that tell what went wrong, and ports that nobody
uses."""

import asyncio
import os
import random
import socket
import threading
import time

# A sanitizer build and a noisy machine are slow; a deadline is there to end a hang, not to measure.
SLOW = float(os.environ.get("PGPOOL_TEST_PATIENCE", "1"))


def wait_for(condition, what, timeout=10.0, pause=0.02):
    """Calls condition until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout * SLOW:g} s in vain for {what}")
        time.sleep(pause)


async def wait_for_async(condition, what, timeout=10.0, pause=0.02):
    """As wait_for, for a coroutine function."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = await condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout * SLOW:g} s in vain for {what}")
        await asyncio.sleep(pause)


def forget_catalog(pgpool):
    """Makes a pgpool forget what it knows of names: another list does that."""
    name, wanted = "cache_safe_memqcache_table_list", f"nobody_{random.randrange(10**9)}"
    pgpool.reload(**{name: wanted})

    def shown():
        with pgpool.connect() as one:
            return one.execute(f"PGPOOL SHOW {name}").fetchone()[0] == wanted
    wait_for(shown, "a child to have the new list")


class Background(threading.Thread):
    """Runs a function beside the test, which hears of what went wrong there from result(), and
    from check() while it waits for something else."""

    def __init__(self, function, *arguments, **more):
        super().__init__(daemon=True)
        self.call = function, arguments, more
        self.value = self.error = None
        self.start()

    def run(self):
        function, arguments, more = self.call
        try:
            self.value = function(*arguments, **more)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def check(self):
        if self.error:
            raise self.error

    def result(self, timeout=60.0):
        self.join(timeout * SLOW)
        self.check()
        assert not self.is_alive(), f"{self.call[0]} has not ended within {timeout * SLOW:g} s"
        return self.value


PORTS = range(10240, 32000)  # below those that the kernel takes for outgoing connections
_given = set()


def _own_ports():
    """A port is bound later than it is chosen: what pytest's workers choose from must not
    overlap."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    workers = max(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), worker + 1)
    return PORTS[worker * len(PORTS) // workers:(worker + 1) * len(PORTS) // workers]


def free_port():
    """A TCP port that no other worker is given, and never the same one twice."""
    while True:
        port = random.SystemRandom().choice(_own_ports())
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def wait_learnt(pgpool):
    """Until no session keeps its connection: what a new text leaves is asked about behind it."""
    def keeps():
        with pgpool.connect() as one:
            return [row[10] for row in one.execute("SHOW pool_sessions").fetchall() if row[10]]
    wait_for(lambda: not keeps(), "the catalog to be asked")
