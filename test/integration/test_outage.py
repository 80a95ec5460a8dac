"""The primary dies and another one takes over, whoever promotes it: sessions wait and go on."""

import os
import signal
import threading
import time

import pytest

import processes
import raw
import waiting
from cluster import Cluster
from proxy import Pgpool
from test_native_faults import waits_for_lock
from waiting import SLOW, wait_for

# none of it is a matter of the engine
pytestmark = pytest.mark.one_engine
CLIENTS = 12


class Grave:
    """A cluster whose primary can be killed, once."""

    def __init__(self):
        self.cluster = Cluster(standbys=2)
        self.cluster.sql("CREATE TABLE outage (who int, n int, PRIMARY KEY (who, n));"
                         "CREATE TABLE outage_set (a text)")

    @property
    def next(self):
        return self.cluster.servers[1]

    def kill_primary(self):
        """All of its processes, at once."""
        with open(self.cluster.primary.data + "/postmaster.pid", encoding="ascii") as file:
            postmaster = int(file.readline())
        pids = [postmaster] + processes.descendants(postmaster)
        os.kill(postmaster, signal.SIGKILL)
        for pid in pids[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "the primary's end")
        os.remove(self.cluster.primary.data + "/postmaster.pid")

    def promote(self):
        assert self.next.value("SELECT pg_promote()")


@pytest.fixture(name="grave")
def grave_fixture():
    grave = Grave()
    yield grave
    grave.cluster.destroy()


@pytest.fixture(name="pgpool")
def pgpool_fixture(grave, engine):
    pgpool = Pgpool(grave.cluster, engine, failover_wait=f"{60 * SLOW}s").start()
    yield pgpool
    pgpool.finish()


class Writer(threading.Thread):
    """Inserts rows 0, 1, 2, ... and remembers which were acknowledged, and each error's code."""

    def __init__(self, pgpool, who, form):
        super().__init__()
        self.pgpool, self.who, self.form = pgpool, who, form
        self.acknowledged, self.codes, self.fault = set(), [], None
        self.stopping = threading.Event()
        self.done = 0
        self.start()

    def run(self):
        try:
            with raw.connected(self.pgpool, timeout=120 * SLOW) as one:
                one.rows("SET application_name = 'writer'")
                while not self.stopping.is_set():
                    self.step(one)
                    self.done += 1
                assert one.rows("SHOW application_name") == [["writer"]]
        except BaseException as error:  # pylint: disable=broad-except
            self.fault = error

    def statements(self):
        insert = f"INSERT INTO outage VALUES ({self.who}, {self.done})"
        return ["BEGIN", insert, "COMMIT"] if self.form == "block" else [insert]

    def ask(self, one, sql):
        if self.form == "extended":
            one.send(raw.parse("", sql), raw.bind("", ""), raw.describe("P", ""), raw.execute(),
                     raw.SYNC)
        else:
            one.send(raw.query(sql))
        return one.read_until("Z")

    def step(self, one):
        for sql in self.statements():
            got = self.ask(one, sql)
            errors = [m.fields()["C"] for m in got if m.kind == "E"]
            self.codes += errors
            if errors:
                while got[-1].body != b"I":
                    got = self.ask(one, "ROLLBACK")
                return
        self.acknowledged.add(self.done)

    def finish(self):
        self.stopping.set()
        self.join(150 * SLOW)
        assert not self.is_alive()
        if self.fault:
            raise self.fault


def test_sessions_live_through_a_failover(grave, pgpool):
    """No session ends, none hangs, no error but those that say what has become of a transaction,
    and nothing acknowledged is missing."""
    grave.cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'node1'")
    grave.cluster.sql("SELECT pg_reload_conf()")
    wait_for(lambda: grave.cluster.primary.value(
        "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1, "node1")
    idle = [raw.connected(pgpool, timeout=120 * SLOW) for _ in range(3)]
    for one in idle:
        one.rows("SET work_mem = '7MB'")
        one.send(raw.parse("s", "SELECT current_setting('work_mem') /* pgpool: primary */"),
                 raw.SYNC)
        one.read_until("Z")
    writers = [Writer(pgpool, n, ("simple", "extended", "block")[n % 3]) for n in range(CLIENTS)]
    try:
        wait_for(lambda: all(one.done > 5 for one in writers), "the writers", 60)
        waiting.wait_learnt(pgpool)
        grave.kill_primary()
        grave.promote()
        before = [one.done for one in writers]
        wait_for(lambda: all(one.done > n + 5 for one, n in zip(writers, before)),
                 "the writers to go on", 60)
    finally:
        for one in writers:
            one.finish()
    assert {code for one in writers for code in one.codes} <= {"40001", "08007", "25P02"}
    assert all(len(one.codes) <= 2 for one in writers), [one.codes for one in writers]
    for one in idle:
        one.send(raw.bind("", "s"), raw.execute(), raw.SYNC)
        assert [m.row() for m in one.read_until("Z") if m.kind == "D"] == [[b"7MB"]]
        one.close()
    rows = {(who, n) for who, n in grave.next.rows("SELECT who, n FROM outage")}
    missing = {(one.who, n) for one in writers for n in one.acknowledged} - rows
    assert not missing


def test_statements_wait_as_long_as_failover_wait_says(grave, engine):
    pgpool = Pgpool(grave.cluster, engine, failover_wait="2s", health_check_period=0).start()
    try:
        with raw.connected(pgpool) as one:
            one.rows("INSERT INTO outage VALUES (1, 1)")
            waiting.wait_learnt(pgpool)
            grave.kill_primary()
            began = time.monotonic()
            [error, ready] = one.simple("INSERT INTO outage VALUES (1, 2)")
            assert error.fields()["C"] == "57P03" and ready.body == b"I"
            assert "failover_wait" in error.fields()["D"]
            assert time.monotonic() - began >= 1.9
            # whom the standbys can serve does not wait
            assert one.rows("SELECT pg_is_in_recovery() /* pgpool: standby */")
            one.send(raw.query("INSERT INTO outage VALUES (1, 3)"))
            grave.promote()
            got = one.read_until("Z")
            if got[0].kind == "E":  # the promotion took longer than it may wait
                assert got[0].fields()["C"] == "57P03"
            wait_for(lambda: one.simple("INSERT INTO outage VALUES (1, 4)")[0].kind == "C",
                     "a write at the new primary", 30)
    finally:
        pgpool.finish()


@pytest.mark.parametrize("leaves", [False, True])
def test_what_ran_there_and_nobody_has_asked_about(grave, pgpool, leaves):
    """The catalog is forgotten before the session can be judged: the new primary is asked, and who
    has left nothing at the old one goes on."""
    if leaves:
        grave.cluster.sql("CREATE FUNCTION leaves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                          "PERFORM set_config('kp.left', 'yes', false); RETURN NEW; END $$; "
                          "CREATE TRIGGER leaves BEFORE INSERT ON outage_set FOR EACH ROW "
                          "EXECUTE FUNCTION leaves()")
    grave.cluster.sql("INSERT INTO outage VALUES (1, 1)")
    grave.cluster.wait_streaming()
    blocker = grave.cluster.primary.connect()
    blocker.execute("BEGIN; SELECT FROM outage FOR UPDATE")
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        one.send(raw.query("INSERT INTO outage_set VALUES ('x')") +
                 raw.query("UPDATE outage SET n = 2"))
        wait_for(lambda: grave.cluster.primary.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1,
                 "the second statement to wait")
        waiting.forget_catalog(pgpool)
        grave.kill_primary()
        grave.promote()
        assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
        [error, _] = one.read_until("Z")
        assert error.fields()["C"] == "08007"
        if leaves:
            one.send(raw.query("SELECT 1"))
            [error] = one.read_to_end()
            assert error.fields()["C"] == "57P01" and "function" in error.fields()["D"]
        else:
            assert one.rows("SELECT 1") == [["1"]]
            one.rows("INSERT INTO outage VALUES (1, 3)")


@pytest.mark.parametrize("writes", [False, True])
def test_a_read_that_the_catalog_was_not_asked_about(grave, engine, writes):
    """As no connection was free for that. It runs again when it has no effect; of another one the
    client is told that nobody knows."""
    grave.cluster.sql("CREATE FUNCTION notes() RETURNS int LANGUAGE sql VOLATILE AS "
                      "'INSERT INTO outage VALUES (1, 7) RETURNING n'; "
                      "CREATE VIEW noted AS SELECT notes() AS n FROM outage_set")
    grave.cluster.wait_streaming()
    pgpool = Pgpool(grave.cluster, engine, failover_wait=f"{60 * SLOW}s", pool_mode="session",
                    max_backend_connections=2).start()
    try:
        locker = grave.cluster.primary.connect()
        with raw.connected(pgpool, timeout=60 * SLOW) as one, raw.connected(pgpool) as other:
            one.rows("INSERT INTO outage VALUES (1, 1)")  # they keep all connections
            other.rows("INSERT INTO outage VALUES (1, 2)")
            locker.execute("BEGIN; LOCK TABLE outage_set")
            one.send(raw.query("SELECT n FROM noted" if writes else "SELECT a FROM outage_set"))
            wait_for(lambda: grave.cluster.primary.value(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1,
                     "the read to wait")
            grave.kill_primary()
            grave.promote()
            got = one.read_until("Z")
            assert raw.codes(got) == (["08007"] if writes else [])
            assert writes or [message.kind for message in got] == ["T", "C", "Z"]
            assert one.rows("SELECT 1") == [["1"]]
    finally:
        pgpool.finish()


def test_all_of_it_is_discarded_meanwhile(grave, pgpool):
    """The session had a temporary table, and wants none of it any more."""
    primary = grave.cluster.primary
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        one.rows("CREATE TEMP TABLE mine (a int)")
        one.rows("SET work_mem = '7MB'")
        blocker = primary.lock_temporary("mine")
        one.send(raw.query("DISCARD ALL"))
        wait_for(lambda: waits_for_lock(primary), "DISCARD to wait")
        grave.kill_primary()
        grave.promote()
        assert raw.codes(one.read_until("Z")) == []
        blocker.close()
        assert raw.codes(one.simple("SELECT a FROM mine")) == ["42P01"]
        assert one.rows("SHOW work_mem") == [["4MB"]]


def test_what_was_open_there(grave, pgpool):
    """A transaction, a temporary table, parameters set in a transaction: each as it should."""
    with raw.connected(pgpool, timeout=60 * SLOW) as block, \
            raw.connected(pgpool, timeout=60 * SLOW) as table, \
            raw.connected(pgpool, timeout=60 * SLOW) as setting:
        block.rows("BEGIN")
        block.rows("INSERT INTO outage VALUES (1, 1)")
        table.rows("CREATE TEMP TABLE mine (a int)")
        setting.rows("SET work_mem = '7MB'")
        setting.rows("BEGIN")
        setting.rows("SET work_mem = '8MB'")
        grave.kill_primary()
        grave.promote()
        [error] = table.read_to_end()
        assert error.fields()["C"] == "57P01" and "temporary" in error.fields()["D"]
        assert block.simple("INSERT INTO outage VALUES (1, 2)")[0].fields()["C"] == "40001"
        assert block.simple("SELECT 1")[0].fields()["C"] == "25P02"
        assert block.simple("ROLLBACK")[0].body == b"ROLLBACK\0"
        assert setting.simple("COMMIT")[0].fields()["C"] == "40001"
        assert setting.rows("SHOW work_mem") == [["7MB"]]
        block.rows("INSERT INTO outage VALUES (1, 3)")
        assert block.rows("SELECT n FROM outage") == [["3"]]
