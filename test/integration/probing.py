"""What health processes tell: by their titles, in the log, and in SHOW pool_health_check_stats."""

import re
import time

import processes
import raw
from waiting import wait_for


def title(pgpool, node):
    """What the health process of a node says of it."""
    for pid in pgpool.named(f"health {node}"):
        return re.sub(r".*: health \d+: ", "", processes.title(pid))
    return ""


def shows(pgpool, pattern, node):
    try:
        wait_for(lambda: re.search(pattern, title(pgpool, node)), f"\"{pattern}\"", 15)
    except AssertionError as error:
        raise AssertionError(f"{error}; health {node} shows {title(pgpool, node)}") from error


def said(pgpool, words, node):
    """The log's lines of the health process about a node, with these words."""
    return [line for line in pgpool.log_text().splitlines()
            if "health pid" in line and f'node {node} "' in line and words in line]


def stats(pgpool, node):
    """The row of the view: counts as numbers."""
    with raw.connected(pgpool, user="postgres", database="postgres") as one:
        answer = one.simple("SHOW pool_health_check_stats")
    (names,) = [[column[0] for column in got.columns()] for got in answer if got.kind == "T"]
    row = [got.row() for got in answer if got.kind == "D"][node]
    values = [value.decode() for value in row]
    return {name: int(value) if value.isdigit() else value for name, value in zip(names, values)}


def another_check(pgpool, node):
    """Until one that has begun after now has ended."""
    before = stats(pgpool, node)["total_count"]
    wait_for(lambda: stats(pgpool, node)["total_count"] > before + 1, "another check", 15)


def wait_left_alone(pgpool, node):
    """Until nobody probes the node any more: at first the failover process wants to know all."""
    seen = [-1, 0.0]

    def quiet():
        count = stats(pgpool, node)["total_count"]
        if count != seen[0]:
            seen[:] = [count, time.monotonic()]
        return count and time.monotonic() - seen[1] > 0.5

    wait_for(quiet, "the probes to end", 20, 0.1)
