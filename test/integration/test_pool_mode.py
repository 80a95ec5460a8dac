"""pool_mode: clients share server connections, and each keeps what is its own."""

import os
import random
import threading
import time

import pytest

import raw
from waiting import SLOW, wait_for

pytestmark = pytest.mark.one_engine  # nothing here is a matter of the engine

SECONDS = 300 if os.environ.get("PGPOOL_TEST_HEAVY") else 6
CLIENTS = 24


@pytest.fixture(name="auto")
def auto_fixture(cluster, start_pgpool):
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    return start_pgpool(pool_mode="auto", num_init_children=1)


def value(one, sql):
    return one.rows(sql)[0][0]


def working(cluster, name):
    """How many are in a transaction, all at the moment when this was asked: a server that was told
    to go is not."""
    return cluster.primary.value("SELECT count(*) FROM pg_stat_activity "
                                 "WHERE application_name = %s AND xact_start <= now()", name)


def connections(cluster, name):
    return cluster.primary.value("SELECT count(*) FROM pg_stat_activity "
                                 "WHERE application_name = %s", name)


def keeps(one):
    """What each session is tied by, of the module's own name."""
    return sorted(row[10] for row in one.rows("SHOW pool_sessions") if row[4] == "pm")


def keeps_nothing_behind(one, sql):
    """Asked in the same packet: what a statement may leave is not asked for so soon."""
    one.send(raw.query(sql), raw.query("SHOW pool_sessions"))
    rows = [got.row() for got in one.read_until("Z", 2) if got.kind == "D"]
    return all(len(row) > 10 and row[10] == b"" for row in rows)


def test_clients_share_connections(auto):
    clients = [raw.connected(auto) for _ in range(20)]
    # until the catalog has told that the table has no triggers and the like
    wait_for(lambda: keeps_nothing_behind(clients[0], "INSERT INTO pm_t VALUES (1)"),
             "the catalog to be asked")
    for _ in range(3):
        for one in clients:
            one.rows("INSERT INTO pm_t VALUES (1)")
    pids = {value(one, "SELECT pg_backend_pid() /* pgpool: primary */") for one in clients}
    assert len(pids) <= 2
    for one in clients:
        one.close()


def test_in_session_mode_they_do_not(cluster, start_pgpool):
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    pgpool = start_pgpool(pool_mode="session", num_init_children=1)
    clients = [raw.connected(pgpool, application_name="pm_own") for _ in range(5)]
    for one in clients:
        one.rows("INSERT INTO pm_t VALUES (1)")
    assert connections(cluster, "pm_own") >= 5
    for one in clients:
        one.close()


def test_settings_follow_their_session(auto):
    with raw.connected(auto) as one, raw.connected(auto) as two:
        one.rows("SET work_mem = '7MB'")
        two.rows("SET timezone = 'Asia/Tokyo'")
        for _ in range(3):
            assert value(one, "SELECT current_setting('work_mem') /* pgpool: primary */") == "7MB"
            assert value(two, "SELECT current_setting('work_mem') /* pgpool: primary */") != "7MB"
            assert value(two, "SHOW timezone") == "Asia/Tokyo"
            assert value(one, "SHOW timezone") != "Asia/Tokyo"
        one.rows("BEGIN")
        one.rows("SET work_mem = '9MB'")
        one.rows("ROLLBACK")
        assert value(one, "SHOW work_mem") == "7MB"
        one.rows("RESET work_mem")
        assert value(one, "SHOW work_mem") == value(two, "SHOW work_mem") != "7MB"
        two.rows("RESET ALL")
        assert value(two, "SHOW timezone") == value(one, "SHOW timezone")


def test_a_setting_that_may_fail_comes_first(auto):
    """Its statement waits for it, since without it it would do something else."""
    with raw.connected(auto) as one, raw.connected(auto) as two:
        one.rows("SET default_tablespace = 'pg_default'")
        for _ in range(3):
            two.rows("SELECT 1 /* pgpool: primary */")
            assert value(one, "SHOW default_tablespace") == "pg_default"
            assert value(two, "SHOW default_tablespace") == ""


def run(one, name, *values):
    one.send(raw.bind("", name, *values), raw.execute(), raw.SYNC)
    return [got for got in one.read_until("Z") if got.kind in "DE"]


def test_names_of_statements_are_the_session_s_own(auto):
    with raw.connected(auto) as one, raw.connected(auto) as two:
        for client, text in ((one, "SELECT 'one'"), (two, "SELECT 'two'")):
            client.send(raw.parse("s", text), raw.SYNC)
            client.read_until("Z")
        for _ in range(3):
            assert run(one, "s")[0].row() == [b"one"]
            assert run(two, "s")[0].row() == [b"two"]
        one.send(raw.close("S", "s"), raw.SYNC)
        one.read_until("Z")
        assert run(one, "s")[0].fields()["C"] == "26000"
        assert run(two, "s")[0].row() == [b"two"]


@pytest.mark.parametrize("make, check, what", [
    ("CREATE TEMP TABLE pm_temp AS SELECT 5 AS a", "SELECT a FROM pm_temp", "temporary"),
    ("SELECT pg_advisory_lock(77)",
     "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
     "advisory lock"),
    ("PREPARE pm_p AS SELECT 5", "EXECUTE pm_p", "prepared statement"),
    ("LISTEN pm_channel", "SELECT count(*) FROM pg_listening_channels()", "LISTEN"),
    ("BEGIN; DECLARE pm_c SCROLL CURSOR WITH HOLD FOR SELECT 5; COMMIT",
     "FETCH ABSOLUTE 1 FROM pm_c", ""),
])
def test_state_keeps_the_connection(auto, make, check, what):
    with raw.connected(auto, application_name="pm") as one, raw.connected(auto) as two:
        one.simple(make)
        wanted = value(one, check)
        assert wanted in ("5", "1")
        for _ in range(3):
            two.rows("SELECT 1 /* pgpool: primary */")
            two.rows("INSERT INTO pm_t VALUES (2)")
            assert value(one, check) == wanted
        assert any(what in words and words for words in keeps(two))
        one.rows("DISCARD ALL")
        wait_for(lambda: keeps(two) == [""], "it to keep nothing")


def test_transaction_mode_loses_state(cluster, start_pgpool):
    """What auto is for: here a temporary table may be on another connection."""
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    pgpool = start_pgpool(pool_mode="transaction", num_init_children=1)
    with raw.connected(pgpool) as one, raw.connected(pgpool) as two:
        one.rows("CREATE TEMP TABLE pm_lost (a int)")
        two.rows("BEGIN")
        two.rows("INSERT INTO pm_t VALUES (1)")
        assert "E" in [got.kind for got in one.simple("SELECT a FROM pm_lost")]
        two.rows("ROLLBACK")


class Client(threading.Thread):
    """Does things at random, and checks after each that all of its own state is there."""

    def __init__(self, pgpool, number, until):
        super().__init__()
        self.one = raw.connected(pgpool)
        self.number = number
        self.until = until
        self.random = random.Random(number)
        self.memory = "4MB"
        self.table = self.lock = self.statement = None
        self.steps = 0
        self.wrong = None

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.step()
                self.check()
                self.steps += 1
        except BaseException as error:  # reported by the test
            self.wrong = f"client {self.number} after {self.steps} steps: {error!r}"
        finally:
            self.one.close()

    def step(self):
        getattr(self, self.random.choice(("setting", "temporary", "advisory", "prepared", "write",
                                          "transaction", "discard")))()

    def setting(self):
        self.memory = f"{self.random.randint(1, 60)}MB"
        self.one.rows(f"SET work_mem = '{self.memory}'")

    def temporary(self):
        if self.table is None:
            self.table = str(self.random.randint(1, 1000000))
            self.one.rows(f"CREATE TEMP TABLE pm_mix AS SELECT {self.table} AS a")
        else:
            self.table = None
            self.one.rows("DROP TABLE pm_mix")

    def advisory(self):
        if self.lock is None:
            self.lock = 1000 + self.number
            self.one.rows(f"SELECT pg_advisory_lock({self.lock})")
        else:
            assert value(self.one, f"SELECT pg_advisory_unlock({self.lock})") == "t"
            self.lock = None

    def prepared(self):
        self.statement = str(self.random.randint(1, 1000000))
        self.one.send(raw.close("S", "s"), raw.parse("s", f"SELECT {self.statement}, $1::text"),
                      raw.SYNC)
        assert "E" not in [got.kind for got in self.one.read_until("Z")]

    def write(self):
        self.one.rows(f"INSERT INTO pm_t VALUES ({self.number})")

    def transaction(self):
        self.one.rows("BEGIN")
        self.one.rows("SET LOCAL work_mem = '61MB'")
        self.one.rows("INSERT INTO pm_t VALUES (0)")
        assert value(self.one, "SHOW work_mem") == "61MB"
        self.one.rows(self.random.choice(("COMMIT", "ROLLBACK")))

    def discard(self):
        if self.random.random() > 0.1:
            return
        self.one.rows("DISCARD ALL")
        self.memory, self.table, self.lock, self.statement = "4MB", None, None, None

    def check(self):
        assert value(self.one, "SHOW work_mem") == self.memory
        token = f"{self.number}-{self.steps}"
        assert value(self.one, f"SELECT '{token}'") == token
        if self.table:
            assert value(self.one, "SELECT a FROM pm_mix") == self.table
        if self.lock:
            assert value(self.one, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
                         f"objid = {self.lock} AND pid = pg_backend_pid()") == "1"
        if self.statement:
            [got] = run(self.one, "s", token.encode())
            assert got.kind == "D", got.fields()
            assert got.row() == [self.statement.encode(), token.encode()]


def mix(pgpool):
    clients = [Client(pgpool, number, time.monotonic() + SECONDS) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return [client.wrong for client in clients if client.wrong], sum(c.steps for c in clients)


def test_nobody_sees_another_s_state(cluster, start_pgpool):
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    pgpool = start_pgpool(pool_mode="auto", num_init_children=2)
    wrong, steps = mix(pgpool)
    assert not wrong, wrong
    assert steps > CLIENTS


def test_a_few_connections_serve_many(cluster, start_pgpool):
    """No more than max_backend_connections, over both children, and everybody gets an answer."""
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    pgpool = start_pgpool(pool_mode="auto", max_backend_connections=3)
    wrong, most, ended = [], 0, threading.Event()

    def work(number):
        try:
            with raw.connected(pgpool, application_name="pm_many", timeout=60) as one:
                for step in range(20):
                    one.rows("BEGIN")
                    one.rows("INSERT INTO pm_t VALUES (1)")
                    token = f"{number}.{step}"
                    assert value(one, f"SELECT '{token}'") == token
                    one.rows("COMMIT")
                    assert value(one, f"SELECT '{token}'") == token
        except BaseException as error:  # reported below
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    watcher = threading.Thread(target=lambda: [thread.join() for thread in threads] and ended.set())
    watcher.start()
    while not ended.wait(0.05):
        most = max(most, working(cluster, "pm_many"))
    watcher.join()
    assert not wrong, wrong
    assert 1 <= most <= 3


class Busy(threading.Thread):
    """Transactions, one after the other, until all are told to stop."""

    def __init__(self, pgpool, stop, sql="INSERT INTO pm_t VALUES (1)", **params):
        super().__init__()
        self.pgpool, self.stop, self.sql, self.params = pgpool, stop, sql, params
        self.steps, self.wrong = 0, None

    def run(self):
        try:
            with raw.connected(self.pgpool, timeout=60, **self.params) as one:
                while not self.stop.is_set():
                    one.rows("BEGIN")
                    one.rows(self.sql)
                    one.rows("COMMIT")
                    self.steps += 1
        except BaseException as error:  # reported by who looks at it
            self.wrong = repr(error)


def all_get_their_turn(busy, stop):
    for one in busy:
        one.start()
    try:
        wait_for(lambda: all(one.steps > 5 or one.wrong for one in busy), "everybody's turn")
    finally:
        stop.set()
        for one in busy:
            one.join()
    assert not [one.wrong for one in busy if one.wrong]


def test_no_child_keeps_all_connections(cluster, start_pgpool):
    """While the clients of all children want more than there are, each child has some."""
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    pgpool = start_pgpool(pool_mode="auto", max_backend_connections=3, num_init_children=4)
    stop = threading.Event()
    all_get_their_turn([Busy(pgpool, stop) for _ in range(24)], stop)


def test_no_database_keeps_all_connections(cluster, start_pgpool):
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    pgpool = start_pgpool(pool_mode="auto", max_backend_connections=2, num_init_children=1)
    stop = threading.Event()
    busy = [Busy(pgpool, stop) for _ in range(12)]
    busy.append(Busy(pgpool, stop, "SELECT txid_current()", database="postgres"))
    all_get_their_turn(busy, stop)


def test_who_waits_too_long_is_told(cluster, start_pgpool):
    cluster.sql("CREATE TABLE IF NOT EXISTS pm_t (a int)")
    pgpool = start_pgpool(pool_mode="auto", max_backend_connections=1, num_init_children=1,
                          query_wait_timeout=f"{int(1000 + 1000 * SLOW)}ms")
    with raw.connected(pgpool) as one, raw.connected(pgpool) as two:
        one.rows("BEGIN")
        one.rows("INSERT INTO pm_t VALUES (1)")
        answer = two.simple("INSERT INTO pm_t VALUES (2)")
        assert [got.fields()["C"] for got in answer if got.kind == "E"] == ["53300"]
        assert answer[-1].body == b"I"
        one.rows("COMMIT")
        assert two.simple("INSERT INTO pm_t VALUES (2)")[-2].kind == "C"
    wait_for(lambda: "clients wait for a server connection" in pgpool.log_text(), "the log to tell")
