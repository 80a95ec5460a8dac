"""What is done to servers, whoever watches over them, and what administrators ask for. Each fault
returns words on what it has done; who makes no sense now raises Skip."""

import os
import signal
import time

import processes
from bed import AGAIN_S, Skip
from waiting import wait_for

SLOWED = ("checkpointer", "walwriter", "background writer", "walsender", "walreceiver",
          "startup", "logical replication launcher")


def kill_server(bed, rng, role):
    node = bed.victim(rng, role)
    if rng.random() < 0.5:
        node.kill()
        how = "killed"
    else:
        pids = node.pids()
        os.kill(pids[0], signal.SIGKILL)
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "its children", 30)
        node.clear()
        how = "postmaster killed"
    if rng.random() < 0.5:  # whether before or after somebody was promoted
        time.sleep(rng.random() * AGAIN_S)
        node.begin()
        return f"node {node.number} ({role}) {how}, and started again"
    bed.undo.append(lambda: node.running() or node.begin())
    return f"node {node.number} ({role}) {how}"


def freeze_server(bed, rng, role):
    node = bed.victim(rng, role)
    node.freeze()
    bed.undo.append(lambda: node.stopped and node.thaw())
    if rng.random() < 0.5:
        time.sleep(rng.random() * 5)
        node.thaw()
        return f"node {node.number} ({role}) stopped for a while"
    return f"node {node.number} ({role}) stopped"


def restart_server(bed, rng, role):
    node, mode = bed.victim(rng, role), rng.choice(["fast", "immediate"])
    node.stop(mode)
    time.sleep(rng.random())
    node.begin()
    return f"node {node.number} ({role}) restarted, {mode}"


def crash_backend(bed, rng, role):
    node = bed.victim(rng, role)
    row = node.ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                   "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1")
    if row is None:
        raise Skip("it has no backend")
    try:
        os.kill(row[0], signal.SIGKILL)
    except ProcessLookupError as error:
        raise Skip("it has ended") from error
    return f"a backend of node {node.number} ({role}) killed"


def terminate_backends(bed, rng, role):
    node = rng.choice(bed.nodes)
    node.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
             "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
    return f"all backends of node {node.number} terminated"


def slow_server(bed, rng, role):
    """A stand-in for a disk that is: one process of a server sleeps."""
    node = bed.victim(rng, role)
    word = rng.choice(SLOWED)
    found = [pid for pid in node.pids() if word in processes.title(pid)]
    node.tell(signal.SIGSTOP, found)
    bed.undo.append(lambda: node.tell(signal.SIGCONT, found))
    return f"{word} of node {node.number} ({role}) stopped"


def cut_network(bed, rng, role):
    if not bed.far:
        raise Skip("no network of our own")
    node = bed.victim(rng, role)
    network, kind = bed.cluster.network, rng.choice(["to", "from", "both"])
    for watcher in bed.watchers:
        if kind != "from":
            network.cut(watcher, node.place)
        if kind != "to":
            network.cut(node.place, watcher)
    bed.undo.append(network.mend)
    return f"network {kind} node {node.number} ({role}) cut"


def fill_disk(bed, rng, role):
    if not bed.small:
        raise Skip("no disks of our own")
    node = bed.victim(rng, role)
    node.fill()
    bed.undo.append(node.free)
    return f"disk of node {node.number} ({role}) filled"


def command(bed, rng, _):
    node = rng.randrange(3)
    words = rng.choice([f"DETACH NODE {node}", f"ATTACH NODE {node}", f"PROMOTE NODE {node}",
                        f"PROMOTE NODE {node} SWITCHOVER", "SWITCHOVER"])
    loses = words.startswith("PROMOTE") and "SWITCHOVER" not in words
    if loses and bed.away or len(bed.away) > 1:
        raise Skip("somebody is away")
    primary = bed.primary()
    if primary is None:
        raise Skip("there is no primary")
    if words.startswith("DETACH"):
        bed.victim(rng, "primary" if node == primary.number else "standby")
        bed.away.add(node)
    if loses and (not bed.cluster.whole(primary)):
        raise Skip("not everybody streams")
    if loses or "SWITCHOVER" in words:
        bed.away.add(primary.number)
    whom = bed.asked(rng)
    code = whom.order(words)
    return f"{words}{bed.at(whom)}: {code or 'done'}"


SERVER_FAULTS = [
    (kill_server, "primary", 5), (kill_server, "standby", 3), (freeze_server, "primary", 4),
    (freeze_server, "standby", 3), (restart_server, "primary", 2), (restart_server, "standby", 2),
    (crash_backend, "primary", 2), (crash_backend, "standby", 1), (terminate_backends, "", 1),
    (slow_server, "primary", 2), (slow_server, "standby", 3), (cut_network, "primary", 3),
    (cut_network, "standby", 2)]
