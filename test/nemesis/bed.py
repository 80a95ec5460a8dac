"""What the nemeses have in common: a cluster that is broken and made whole, and what was
acknowledged in all rounds."""

import os
import time

os.environ.setdefault("PGPOOL_TEST_PATIENCE", "2")

# the environment is set above
from waiting import SLOW  # noqa: E402 # pylint: disable=wrong-import-position

AGAIN_S = 1.5  # at most, between two faults,
LONG_S = 8.0  # and until they are taken back


class Skip(Exception):
    """This fault makes no sense now."""


class Breakable:
    """A cluster (self.cluster) behind a pgpool (self.pgpool), or several: then that is whom orders
    are given to."""

    watchers = (0,)  # places of pgpools in the network

    def __init__(self, options):
        self.options = options
        self.far = False  # is there a network of our own?
        self.small = False  # are there disks of our own?
        self.away = set()  # servers that something was done to
        self.made = set()  # servers that were made anew in this round
        self.undo = []
        self.acks = []  # of all rounds: Load objects

    @property
    def nodes(self):
        return self.cluster.servers

    def primary(self):
        """Who is it, for pgpool? None: nobody."""
        try:
            number = self.pgpool.primary()
        except Exception:  # pylint: disable=broad-except
            return None
        return self.nodes[number] if number >= 0 else None

    def asked(self, _):
        """Whom an administrator turns to,"""
        return self.pgpool

    def at(self, _):
        """in words."""
        return ""

    # ---- what may be done ------------------------------------------------------------------------

    def victim(self, rng, role):
        """A server of that role that may go away: whoever is left has all that was acknowledged."""
        primary = self.primary()
        if primary is None:
            raise Skip("there is no primary")
        here = [node for node in self.nodes if node.number not in self.away]
        if primary not in here:
            raise Skip("the primary is away already")
        others = [node for node in here if node is not primary]
        streaming = primary.ask("SELECT count(*) FROM pg_stat_replication "
                                "WHERE state = 'streaming'")
        if not streaming or streaming[0] < len(others) or not others:
            raise Skip("not everybody streams")
        if role == "standby" and len(others) < 2:
            raise Skip("the last standby")
        node = primary if role == "primary" else rng.choice(others)
        self.away.add(node.number)
        return node

    # ---- the end of a round ----------------------------------------------------------------------

    def stop_undoing(self):
        for undo in reversed(self.undo):
            undo()
        self.undo = []

    def is_lost(self, node, primary):
        """It does not stream from the primary and will not by itself."""
        if node.ask("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'") and \
                primary.ask("SELECT 1 FROM pg_stat_replication WHERE application_name = %s "
                            "AND state = 'streaming'", node.server_name):
            return False
        return True

    def heal_one(self, node, primary, patience):
        """Once, and again only when that does not help for long."""
        state = self.pgpool.states()[node.number]
        late = time.monotonic() > patience[node]
        soon = time.monotonic() > patience[node] - 4 * SLOW  # pgpool may be making it a standby
        if state == "maintenance":
            self.pgpool.order(f"ATTACH NODE {node.number}")
        elif (soon and state in ("rogue", "fenced", "quarantined") and node not in self.made) or (
                late and self.is_lost(node, primary)):
            self.make_anew(node, primary)
            self.made.add(node)
            patience[node] = time.monotonic() + 20 * SLOW

    def heal(self):
        """Until all are up: whoever does not come back by himself for a while is made anew."""
        number = self.pgpool.wait_primary(0, 1, 2, timeout=60)
        primary = self.nodes[number]
        patience = {node: time.monotonic() + 8 * SLOW for node in self.nodes}
        deadline = time.monotonic() + 90 * SLOW
        while set(self.pgpool.states()) != {"up"} or not self.cluster.whole(primary):
            if self.pgpool.primary() not in (number, -1):
                number = self.pgpool.primary()
                primary = self.nodes[number]
            if time.monotonic() > deadline:
                raise AssertionError(f"not whole again: {self.pgpool.states()}")
            for node in self.nodes:
                if node is not primary and self.pgpool.primary() == number:
                    self.heal_one(node, primary, patience)
            time.sleep(0.1)
        self.away.clear()
        self.made.clear()
        return primary

    def make_anew(self, node, primary):
        print(f"    node {node.number} is made anew", flush=True)
        if not getattr(self.options, "recovery", False):
            node.rebuild(primary)
            return
        if node.running():
            node.kill()
        code = self.pgpool.order(f"RECOVER NODE {node.number}", timeout=120)
        assert code is None, f"pcp_recovery_node {node.number}: {code}"


# ---- rounds --------------------------------------------------------------------------------------

def inflict(bed, rng, schedule, faults):
    """One to three faults, one after another; who makes no sense now is left out."""
    wanted = rng.choice([1, 2, 2, 3])
    weights = [weight for _, _, weight in faults]
    for _ in range(20):
        if len(schedule) >= wanted:
            return
        fault, role, _ = rng.choices(faults, weights)[0]
        try:
            words = fault(bed, rng, role)
        except Skip:
            continue
        schedule.append(words)
        time.sleep(rng.random() * AGAIN_S)


def faults_of_all(bed, primary):
    """Every row of every round."""
    have = set(primary.rows("SELECT who, n FROM acks"))
    acks = {}
    for load in bed.acks:
        acks |= load.acknowledged()
    missing = sorted(set(acks) - have)
    return [f"{len(missing)} acknowledged rows are missing, as {missing[:5]}: "
            f"{[acks[row] for row in missing[:5]]}"] if missing else []
