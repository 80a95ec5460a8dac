"""Every statement to a server that may run it: a table of statements in their contexts.

routing/*.py are the table, routing/row.py says how it is written, routing/play.py how it is played:
by each protocol, once on the primary itself for the right answers and twice through pgpool: in
session pooling, and with connections that are lent for a transaction, where a session may stay at
the primary for a moment, until the server has said that nothing is left in it. The primary has
backend_weight 0 here, so what may run on a standby does.
"""

import concurrent.futures

import pytest

import raw
from routing import calls, names, play, reads, relations, sessions, setup, writes
from proxy import Pgpool
from server_log import ServerLog
from waiting import wait_for

# all of it is compared with one direct run; where statements go is no matter of the engine
pytestmark = [pytest.mark.xdist_group("routing"), pytest.mark.one_engine, pytest.mark.plain]

MODULES = (reads, writes, relations, names, calls, sessions)
ROWS = [row for module in MODULES for row in module.ROWS]
NAMES = [f"{module.__name__.rpartition('.')[2]}-{place}-{row.place}"
         for module in MODULES for place, row in enumerate(module.ROWS)]
PROTOCOLS = ("simple", "extended")
PLAYED = [pytest.param(protocol, number, id=f"{protocol}-{NAMES[number]}")
          for protocol in PROTOCOLS for number, row in enumerate(ROWS)
          if not (row.only and row.only != protocol) and (row.values is None or
                                                          protocol == "extended")]
TEMPLATE = "routing"

PGPOOL_SETTINGS = {"read_consistency": "eventual", "pool_mode": "session"}


class Standbys:
    """Waits until they have replayed everything, without a new connection each time."""

    def __init__(self, cluster):
        self.primary, *self.standbys = [raw.connected(server, database="postgres")
                                        for server in cluster.servers]

    def settle(self):
        """A commit of its own takes along what nobody has flushed: the lock of a LOCK TABLE that
        was never committed, which would wait on a standby for who reads there next."""
        self.primary.rows("SELECT pg_logical_emit_message(true, 'routing', '')")
        [[position]] = self.primary.rows("SELECT pg_current_wal_flush_lsn()")
        for one in self.standbys:
            wait_for(lambda s=one: s.rows(
                f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn") == [["t"]],
                f"a standby to replay {position}", 30, pause=0.001)

    def close(self):
        for one in (self.primary, *self.standbys):
            one.close()


@pytest.fixture(scope="module", name="databases")
def databases_fixture(cluster):
    """Makes a fresh copy of the table's databases: a function of a name."""
    with raw.connected(cluster.primary, database="postgres") as one:
        one.rows(f"CREATE DATABASE {TEMPLATE}")
        one.rows(setup.ROLES)
    with raw.connected(cluster.primary, 60, database=TEMPLATE) as one:
        one.rows(setup.SQL)

    def make(name):
        with raw.connected(cluster.primary, 60, database="postgres") as one:
            for copy in (name, f"{name}_path", f"{name}_cast"):
                one.rows(f"CREATE DATABASE {copy} TEMPLATE {TEMPLATE}")
                one.rows(f"ALTER DATABASE {copy} SET log_statement = 'all'")
            one.rows(f"ALTER DATABASE {name}_path SET search_path = b, public")
        with raw.connected(cluster.primary, database=f"{name}_cast") as one:
            one.rows(setup.CAST)
        cluster.wait_replayed()

    return make


def play_both(target, name, databases, cluster, keep=False):
    """{protocol: {row: answers}}; the protocols at the same time, each in a database of its own."""
    def play_one(protocol):
        standbys = Standbys(cluster)
        try:
            return play.Player(target, f"{name}_{protocol}", protocol, standbys.settle,
                               keep).play_all(ROWS)
        finally:
            standbys.close()

    for protocol in PROTOCOLS:
        databases(f"{name}_{protocol}")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(PROTOCOLS, pool.map(play_one, PROTOCOLS)))


@pytest.fixture(scope="module", name="right")
def right_fixture(cluster, databases):
    """The primary's own answers, by protocol and row."""
    return play_both(cluster.primary, "right", databases, cluster, keep=True)


def knows_both_standbys(pgpool):
    ports = set()
    for _ in range(8):
        with raw.connected(pgpool, database="postgres") as one:
            [[standby, port]] = one.rows("SELECT pg_is_in_recovery(), current_setting('port')")
            if standby != "t":
                return False
            ports.add(port)
    return len(ports) == 2


@pytest.fixture(scope="module", name="played")
def played_fixture(cluster, pgpool, engine, databases):
    """What came through pgpool by protocol and row, and what ran on each node."""
    if engine != "direct":
        wait_for(lambda: knows_both_standbys(pgpool), "pgpool to read from both standbys")
    return play_logged(pgpool, engine, databases, cluster)


def play_logged(target, name, databases, cluster):
    logs = [ServerLog(server) for server in cluster.servers]
    answers = play_both(target, name, databases, cluster)
    return answers, [play.ran(log) for log in logs]


@pytest.fixture(scope="module", name="played_lent")
def played_lent_fixture(cluster, engine, databases, played):
    """The same with connections that are lent."""
    if engine == "direct":
        yield played
        return
    lending = Pgpool(cluster, engine, **{**PGPOOL_SETTINGS, "pool_mode": "auto"}).start()
    wait_for(lambda: knows_both_standbys(lending), "pgpool to read from both standbys")
    yield play_logged(lending, engine + "_lent", databases, cluster)
    lending.finish()


NODES = {"primary": {0}, "standby": {1, 2}, "node0": {0}, "node1": {1}, "node2": {2}}


def allowed(row, protocol):
    """The nodes that a row may run on."""
    if row.prepared and protocol == "simple" and row.place == "standby":
        return {0, 1, 2}  # an EXECUTE: it belongs to where its PREPARE was
    return NODES.get(row.place, {0, 1, 2})


def described(row):
    return "; ".join([*row.before, row.sql])


def test_the_table_is_large_enough():
    assert len(ROWS) >= 300
    assert len([row for row in ROWS if row.place == "standby"]) >= 100


@pytest.mark.parametrize("protocol, number", PLAYED)
def test_the_table_is_valid(right, protocol, number):
    """PostgreSQL alone gives the error that the row tells, or none."""
    row, answers = ROWS[number], right[protocol][number]
    assert answers[-1].sqlstate() == row.error, (described(row), answers[-1].errors())
    for step, answer in zip(row.before, answers):
        assert bool(answer.sqlstate()) == getattr(step, "fails", False), (
            described(row), step, answer.errors())


def test_what_the_table_calls_a_read_is_one(cluster, right):
    """A standby alone gives the same answer, to what needs nothing in front of it."""
    reads = {number: row for number, row in enumerate(ROWS)
             if row.place == "standby" and not row.before and row.values is None}
    cluster.wait_replayed()
    answers = []
    for server in cluster.servers[:2]:
        player = play.Player(server, "right_simple", "simple", cluster.wait_replayed, keep=True)
        answers.append({number: player.play(number, row)[-1].comparable(row.varies)
                        for number, row in reads.items()})
        player.close()
    assert len(reads) > 200
    assert [described(row) for number, row in reads.items()
            if answers[0][number] != answers[1][number]] == []


def test_both_standbys_are_read(engine, played):
    if engine != "direct":
        assert min(len(ran) for ran in played[1][1:]) > 50


def check_answers(row, answers, wanted):
    for step, answer, other in zip(row.before, answers, wanted):
        assert answer.comparable() == other.comparable(), (described(row), step)
    assert answers[-1].comparable(row.varies) == wanted[-1].comparable(row.varies), described(row)


def nodes_of(played, protocol, number):
    return {node for node, ran in enumerate(played[1]) if (protocol, number) in ran}


@pytest.mark.parametrize("protocol, number", PLAYED)
def test_row(engine, right, played, protocol, number):
    row = ROWS[number]
    nodes = nodes_of(played, protocol, number)
    check_answers(row, played[0][protocol][number], right[protocol][number])
    if engine != "direct":
        may = allowed(row, protocol)
        # an empty query is in no log
        assert nodes <= may and (nodes or row.place == "either"), described(row)
        assert row.place != "at last" or 0 in nodes, described(row)


@pytest.mark.parametrize("protocol, number", PLAYED)
def test_row_with_lent_connections(engine, right, played_lent, protocol, number):
    row = ROWS[number]
    check_answers(row, played_lent[0][protocol][number], right[protocol][number])
    if engine != "direct":
        may = allowed(row, protocol) | ({0} if row.before else set())
        assert nodes_of(played_lent, protocol, number) <= may, described(row)
