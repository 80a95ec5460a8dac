"""What /proc tells about processes."""

import os


def stat(pid):
    """Fields of /proc/PID/stat behind the name (state, parent, group, session, ...), or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parents():
    """Each process's parent, by one look at /proc."""
    return {pid: int(fields[1]) for pid in all_pids() if (fields := stat(pid))}


def children(parent):
    """Pids of the processes whose parent is this one, zombies included."""
    return [pid for pid, its_parent in _parents().items() if its_parent == parent]


def descendants(parent):
    parents, found = _parents(), [parent]
    for pid in found:  # grows while it is walked
        found += [child for child, its_parent in parents.items() if its_parent == pid]
    return found[1:]


def young(parent):
    """As descendants, much cheaper, for whoever looks again and again: when a process ends at this
    very moment, another one may be missing. Source: proc(5), /proc/PID/task/TID/children."""
    found = [parent]
    for pid in found:  # grows while it is walked
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
                return descendants(parent)  # the kernel does not tell
    return found[1:]


def alive(pid):
    fields = stat(pid)
    return fields is not None and fields[0] not in "ZX"


def zombies(parent):
    return [pid for pid in children(parent) if (fields := stat(pid)) and fields[0] == "Z"]


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def pss_kb(pid):
    """Proportional memory: what is shared counts by its share."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def cpu_ticks(pid):
    fields = stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:
        return 0
