"""Waiting for conditions with a deadline, and ports that nobody uses."""

import asyncio
import os
import random
import socket
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


_given = set()


def free_port():
    """A TCP port below the range from which the kernel takes the ports of outgoing connections, and
    never the same one twice."""
    while True:
        port = random.SystemRandom().randrange(10240, 32000)
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
