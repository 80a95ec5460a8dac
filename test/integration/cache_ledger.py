"""What readers may see: a ledger of versions that all processes of a test share.

What is written consists of cells (a table, or a pair of tables, and a group of their rows). Every
committed write takes a cell from one version to the next, and whoever writes holds the cell's lock
from before its first byte leaves until its outcome is known. So these numbers bound what a read may
show, whatever is cached:

    acked   the highest version whose write was acknowledged,
    begun   the highest version whose commit may have been sent,
    seen    the highest version that anybody was shown,
    floor   as acked, but of writes that bypass pgpool only those that it must know of by now.

A read that was sent when acked was A and answered when begun was B shows a version from A to B.
"""

import multiprocessing
import time
from multiprocessing.sharedctypes import RawArray

RING = 64  # writes past pgpool per cell that are not known to have been noticed yet


class Cells:
    """Numbers for (family, thing, group)."""

    def __init__(self, families, things, groups):
        self.families, self.groups = families, groups
        self.things = {name: number for number, name in enumerate(things)}

    def __len__(self):
        return self.families * len(self.things) * self.groups

    def number(self, family, thing, group):
        return (family * len(self.things) + self.things[thing]) * self.groups + group


class Ledger:
    """Shared by processes that are forked after it was made."""

    def __init__(self, cells):
        count = len(cells)
        context = multiprocessing.get_context("fork")
        self.cells = cells
        self.acked, self.begun = RawArray("q", count), RawArray("q", count)
        self.seen, self.floor = RawArray("q", count), RawArray("q", count)
        self.doubtful = RawArray("b", count)  # the outcome of the write to "begun" is not known
        self.locks = [context.Lock() for _ in range(count)]
        self.killed = RawArray("i", 4096)  # processes of pgpool that the test has killed
        self.passed = RawArray("q", count * RING * 2)  # (version, lsn) of writes past pgpool
        self.errors = RawArray("q", 8)

    # ---- writers, with the cell's lock ----

    def begin(self, cell):
        """The version to be written. The commit may leave from now on."""
        self.begun[cell] = self.acked[cell] + 1
        return self.begun[cell]

    def give_up(self, cell):
        """Nothing was committed, and nothing will be."""
        self.begun[cell] = self.acked[cell]

    def done(self, cell):
        self.acked[cell] = self.floor[cell] = self.begun[cell]
        self.doubtful[cell] = 0

    def done_past_pgpool(self, cell, lsn):
        version = self.begun[cell]
        at = (cell * RING + version % RING) * 2
        self.passed[at + 1], self.passed[at] = lsn, version
        self.acked[cell] = version
        self.doubtful[cell] = 0

    # ---- whoever watches cache_invalidation = wal ----

    def noticed(self, lsn):
        """Every write whose commit is not behind this position must be known to the cache."""
        for cell, lock in enumerate(self.locks):
            if self.floor[cell] == self.acked[cell] or not lock.acquire(block=False):
                continue
            try:
                for version in range(self.acked[cell], self.floor[cell], -1):
                    at = (cell * RING + version % RING) * 2
                    if self.passed[at] == version and self.passed[at + 1] <= lsn:
                        self.floor[cell] = version
                        break
            finally:
                lock.release()

    def all_from(self, acked):
        """What was acknowledged as long ago as pgpool may take to notice."""
        for cell, lock in enumerate(self.locks):
            if self.floor[cell] < acked[cell] and lock.acquire(block=False):
                self.floor[cell] = max(self.floor[cell], acked[cell])
                lock.release()

    # ---- killers ----

    def note_killed(self, pid):
        self.killed[0] += 1
        self.killed[self.killed[0]] = pid

    def was_killed(self, pid):
        return pid in self.killed[1:self.killed[0] + 1]


class History:
    """What "acked" was some time ago."""

    def __init__(self, ledger, seconds):
        self.ledger, self.seconds, self.past = ledger, seconds, []

    def step(self):
        now = time.monotonic()
        self.past.append((now, self.ledger.acked[:]))
        while len(self.past) > 1 and self.past[1][0] <= now - self.seconds:
            self.past.pop(0)
        if self.past[0][0] <= now - self.seconds:
            self.ledger.all_from(self.past[0][1])
