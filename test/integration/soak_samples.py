"""What test/soak counts at its quiet points, and when that has grown.

Two kinds of numbers. Those that are exact (descriptors, processes, sessions, server connections,
slots, prepared statements) are the same at each quiet point, because the same clients stand there
and do nothing: one more than during the warm-up is a leak. Memory is not: it is taken in steps and
filled by caches up to their limits, so it is judged by medians, once it has had time to fill.

Judged of a process's own memory is what it has asked the kernel for (VmData of proc(5)), and of
the shared memory, which has a fixed size, what is in use. What is resident of a process's own is
written down as well, but it creeps for hours without any leak: tables that are as large as they
will ever be are touched page by page, at random places, while what is allocated stays the same."""

import csv
import os
import re
import statistics
import time

import processes

# malloc takes and gives back memory in steps of 128 kB (M_TOP_PAD, M_TRIM_THRESHOLD), each process
# has an arena, and each arena a step that it may just have taken: that much is noise. A real leak
# of one byte in a hundred transactions is over it after a night.
STEP_KB = 128
SHARE = 0.02  # of what a kind of process has: pages are shared and dealt out anew by forks
JUDGED = ("data_kb_", "shared_kb")
SLOPE_KB_PER_H = 256  # of one process that lived through it
WARM = 1 / 3  # of the time: caches of facts, of the catalog and of results fill up
TELLING = 12  # samples behind the warm-up, at least, before memory is judged
TITLE = re.compile(r"pgpool: (\w+)")


def kind_of(pid):
    found = TITLE.match(processes.title(pid))
    return found.group(1) if found else "other"


def memory(pid):
    """Anonymous and shared memory of a process in kB, by its share in each page, and what it has
    asked for; None: it has gone."""
    found = {}
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                words = line.split()
                found[words[0]] = words[1]
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            found |= {words[0]: words[1] for words in map(str.split, file)
                      if words and words[0] == "VmData:"}
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    if "Pss_Anon:" not in found or "VmData:" not in found:
        return None
    return tuple(int(found[name]) for name in ("Pss_Anon:", "Pss_Shmem:", "VmData:"))


def pgpool_counts(pgpool):
    """Descriptors and processes by kind."""
    counts = {}
    for pid in [pgpool.pid, *processes.young(pgpool.pid)]:
        kind = kind_of(pid)
        for name, count in ((f"fd_{kind}", processes.descriptors(pid)), (f"processes_{kind}", 1)):
            counts[name] = counts.get(name, 0) + count
    return counts


SERVERS = """SELECT
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
        AND application_name <> 'soak harness'),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
        AND state LIKE 'idle in%'),
    (SELECT count(*) FROM pg_prepared_xacts),
    (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical' OR temporary)"""


def server_counts(cluster):
    names = ("server_connections", "server_transactions", "prepared_transactions", "slots_of_ours")
    counts = dict.fromkeys(names, 0)
    for server in cluster.servers:
        for name, value in zip(names, server.harness_row(SERVERS)):
            counts[name] += value
    return counts


def session_counts(pgpool):
    sessions = [row for row in pgpool.show("pool_sessions")
                if row["application_name"].startswith("soak")]
    return {"sessions": len(sessions), "waiters": len(pgpool.show("pool_waiters"))}


def exact(bed):
    """All that must come back; what is different between two looks is counted as its least."""
    return pgpool_counts(bed.pgpool) | server_counts(bed.cluster) | session_counts(bed.pgpool)


def measured(bed):
    """Memory by kind of process, and what views tell of shared memory in use."""
    found, anonymous, shared = {}, 0, 0
    by_pid = {}
    for pid in [bed.pgpool.pid, *processes.young(bed.pgpool.pid)]:
        kind, got = kind_of(pid), memory(pid)
        if got is None:
            continue
        for name, kb in ((f"anon_kb_{kind}", got[0]), (f"data_kb_{kind}", got[2])):
            found[name] = found.get(name, 0) + kb
        by_pid[f"{kind} {pid}"] = got[2]
        anonymous, shared = anonymous + got[0], shared + got[1]
    found["shared_kb"] = shared
    found["memory_kb"] = anonymous + shared
    cache = bed.pgpool.show("pool_cache")[0]
    found["cache_bytes"] = int(cache["used_cache_entries_size"])
    found["cache_entries"] = int(cache["num_cache_entries"])
    found["statements"] = len(bed.pgpool.show("pool_statements"))
    return found, by_pid


def least(first, second):
    return {name: min(first.get(name, 0), second.get(name, 0)) for name in {*first, *second}}


class Samples:
    """One row a quiet point, in memory and in a file of comma-separated values."""

    def __init__(self, path, length_s, clock=time.monotonic):
        self.path, self.length_s, self.clock, self.began = path, length_s, clock, clock()
        self.rows = []  # (seconds, exact, measured, by process)
        self.names = None

    def add(self, counts, values, by_pid, **more):
        at = self.clock() - self.began
        self.rows.append((at, counts, values, by_pid))
        row = {"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "seconds": round(at), **more,
               **dict(sorted(values.items())), **dict(sorted(counts.items()))}
        new = self.names is None
        self.names = self.names or list(row)
        with open(self.path, "w" if new else "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.names, extrasaction="ignore", restval="")
            if new:
                writer.writeheader()
            writer.writerow(row)
            os.fsync(file.fileno())
        return row

    # ---- growth ----

    def parts(self):
        """Rows of the warm-up, two at least, and those behind it."""
        cut = max(sum(row[0] <= self.length_s * WARM for row in self.rows), 2)
        return self.rows[:cut], self.rows[cut:]

    def is_warm(self):
        return len(self.rows) >= 2 and self.clock() - self.began > self.length_s * WARM

    def above(self, counts):
        """What is more than it was at the end of the warm-up, at its least in the second half of
        that: names and words."""
        first = self.parts()[0]
        allowed = {}
        for _, was, _, _ in first[len(first) // 2:]:
            for name, count in was.items():
                allowed[name] = min(allowed.get(name, count), count)
        return {name: f"{count} instead of {allowed.get(name, 0)}"
                for name, count in counts.items() if count > allowed.get(name, 0)}

    def judge(self):
        """What has grown, in words; nothing: no growth. Every quiet point behind the warm-up counts
        for what is exact."""
        found, (_, later) = [], self.parts()
        for at, counts, _, _ in later:
            found += [f"{name} at {at:.0f} s: {words}"
                      for name, words in self.above(counts).items()]
        if len(later) < TELLING:
            return found
        return found + self._grown(later) + self._slopes(later)

    def _grown(self, later):
        """Medians of the last half of what is behind the warm-up against those of the first."""
        found, half = [], len(later) // 2
        for name in sorted(later[-1][2]):
            if not name.startswith(JUDGED):
                continue
            before, after = (statistics.median(row[2].get(name, 0) for row in part)
                             for part in (later[:half], later[half:]))
            limit = max(2 * STEP_KB, SHARE * before)
            if after - before > limit:
                found.append(f"{name}: {before:.0f} kB, then {after:.0f} kB; {limit:.0f} kB "
                             "more would be noise")
        return found

    def _slopes(self, later):
        """Of each process that was there all the time (Theil and Sen: the median of the slopes
        between all pairs of samples; single jumps do not move it)."""
        found = []
        for name in later[-1][3]:
            points = [(row[0], row[3][name]) for row in later if name in row[3]]
            if len(points) < TELLING or len(points) < 0.8 * len(later):
                continue
            slope = 3600 * slope_of(points)
            gained = slope * (points[-1][0] - points[0][0]) / 3600
            if slope > SLOPE_KB_PER_H and gained > STEP_KB:
                found.append(f"{name} grows by {slope:.0f} kB an hour: {points[0][1]} kB, then "
                             f"{points[-1][1]} kB")
        return found


def slope_of(points):
    return statistics.median((y - b) / (x - a) for n, (a, b) in enumerate(points)
                             for x, y in points[n + 1:] if x > a)
