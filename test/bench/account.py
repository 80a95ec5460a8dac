"""What the processes of a product cost: CPU time and memory, read from /proc.

A product is a process and all that descends from it. The CPU time of a descendant that ended is in
its parent's account (cutime), so the sum over the living ones is exact and never falls.
"""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat from the state on, or None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def tree(root):
    """The process ids of root and its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        fields = _stat(name) if name.isdigit() else None
        if fields is not None:
            children.setdefault(int(fields[1]), []).append(int(name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def cpu_seconds(root):
    """User and system time of the whole tree, with that of its ended processes."""
    ticks = 0
    for pid in tree(root):
        fields = _stat(pid)
        if fields is not None:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS


def settled_cpu_seconds(root, deadline_s=2.0):
    """The same, once what the last clients left to do has been done."""
    end = time.monotonic() + deadline_s
    last = cpu_seconds(root)
    while time.monotonic() < end:
        time.sleep(0.1)
        now = cpu_seconds(root)
        if now == last:
            break
        last = now
    return last


def pss_mb(root):
    """Proportional memory of the whole tree in MB; None when it may not be read."""
    total_kb = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total_kb += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except PermissionError:
            return None
        except OSError:
            continue
    return total_kb / 1024
