"""Writes that bypass pgpool count for the query cache (cache_invalidation = wal): the stream of
each database's changes, when a commit counts, and what happens when the stream cannot be."""

import contextlib
import os
import signal
import time

import psycopg
import pytest

import processes
from cached import cached, hit, is_hit
from cluster import Cluster, Server, Target, run
from proxy import Pgpool
from waiting import Background, wait_for

pytestmark = pytest.mark.one_engine

SETTINGS = {"memory_cache_enabled": "on", "cache_invalidation": "wal", "num_init_children": 2,
            "log_min_messages": "debug1", "health_check_period": 1,
            "failover_on_backend_error": "on"}
COLUMNS = ("database", "node_id", "slot", "state", "since", "received_lsn", "applied_lsn",
           "lag_bytes", "lag_ms", "commits", "good_for_ms", "last_error")


class Logical(Server):
    """A server whose changes can be decoded."""

    more = ""

    def configure(self, text):
        super().configure("wal_level = logical\n" + self.more + text)

    def set(self, more):
        self.more = more
        self.configure("")
        self.rows("SELECT pg_reload_conf()")


class LogicalCluster(Cluster):
    server_class = Logical


@pytest.fixture(scope="module", name="logical")
def logical_fixture():
    cluster = LogicalCluster(standbys=1)
    cluster.sql("""CREATE TABLE t (id int PRIMARY KEY, v int);
        CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
        INSERT INTO t VALUES (1, 0)""")
    yield cluster
    cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(logical, engine):
    made = []

    def start(cluster=logical, **settings):
        made.append(Pgpool(cluster, engine, **{**SETTINGS, **settings}).start())
        return made[-1]

    yield start
    for pgpool in made:
        pgpool.finish()


def stream(pgpool, database="test"):
    """Its row in SHOW pool_cache_wal; the session that asks wants nothing of that database."""
    other = Target(pgpool.host, pgpool.port, "postgres")
    for row in other.rows("SHOW pool_cache_wal"):
        if row[0] == database:
            return dict(zip(COLUMNS, row))
    return None


def wait_state(pgpool, state, database="test", timeout=20):
    def reached():
        row = stream(pgpool, database)
        return row if row and row["state"] == state else None
    return wait_for(reached, f"the stream of {database} to be {state}", timeout)


def lsn(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def want(pgpool, database="test"):
    """Sessions of that database read until it has a row: the cache is not on from the start."""
    def wanted():
        Target(pgpool.host, pgpool.port, database).rows("SELECT 1")
        return stream(pgpool, database)
    wait_for(wanted, f"the stream of {database} to be wanted")


def on(pgpool, database="test"):
    want(pgpool, database)
    row = wait_state(pgpool, "streaming", database)
    wait_for(lambda: int(stream(pgpool, database)["good_for_ms"]) > 0, "a lease")
    return row


def position(server):
    return lsn(server.value("SELECT pg_current_wal_insert_lsn()::text"))


def wait_applied(pgpool, at, database="test"):
    wait_for(lambda: lsn(stream(pgpool, database)["applied_lsn"]) >= at, f"{at:x} to be applied")


def direct(server, sql):
    with server.connect() as one:
        one.execute(sql)


@pytest.fixture(scope="module", name="start_once")
def start_once_fixture(logical):
    pgpool = Pgpool(logical, "epoll", **SETTINGS).start()
    on(pgpool)
    yield pgpool
    pgpool.finish()


def test_a_database_that_is_wanted_has_a_stream(start, logical):
    pgpool = start()
    row = on(pgpool)
    assert row["last_error"] == "" and row["node_id"] == "0"
    assert logical.primary.value("SELECT temporary FROM pg_replication_slots WHERE slot_name = %s",
                                 row["slot"]) is True
    assert logical.primary.value("SELECT puballtables FROM pg_publication") is True


@pytest.mark.parametrize("statement, commits", [
    ("INSERT INTO t SELECT g, g FROM generate_series(1000, 3000) AS g", 1),
    ("UPDATE t SET v = v + 1", 1),
    ("DELETE FROM t WHERE id > 1", 1),
    ("BEGIN; INSERT INTO t VALUES (7, 7); SAVEPOINT a; DELETE FROM t WHERE id = 7; "
     "ROLLBACK TO a; COMMIT", 1),
    ("BEGIN; INSERT INTO t VALUES (8, 8); ROLLBACK", 0),
    ("TRUNCATE p", 1),
    ("INSERT INTO p VALUES (1, 1)", 1),
    ("BEGIN; INSERT INTO t VALUES (9, 9); PREPARE TRANSACTION 'a'", 0),
    ("COMMIT PREPARED 'a'", 1),
    ("CREATE TEMPORARY TABLE x (a int); INSERT INTO x VALUES (1)", 0),
    ("SELECT 1", 0),
])
def test_each_commit_of_others_counts_once(start_once, logical, statement, commits):
    before = int(stream(start_once)["commits"])
    direct(logical.primary, statement)
    wait_applied(start_once, position(logical.primary))
    assert int(stream(start_once)["commits"]) == before + commits
    assert stream(start_once)["state"] == "streaming"


@contextlib.contextmanager
def slow_standby(cluster):
    """Its primary's commits wait for it, and it does not answer."""
    primary, standby = cluster.servers
    with open(standby.data + "/postmaster.pid", encoding="ascii") as file:
        pids = processes.descendants(int(file.readline()))
    primary.set(f"synchronous_standby_names = '{standby.server_name}'\n")
    wait_for(lambda: primary.value("SELECT sync_state FROM pg_stat_replication WHERE "
                                   "application_name = %s", standby.server_name) == "sync",
             "the standby to be synchronous")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        primary.set("")


def test_a_commit_counts_when_it_can_be_seen(start_once, logical):
    """With a synchronous standby the stream brings a commit long before anybody can see it."""
    primary = logical.primary
    with primary.connect() as other:
        with slow_standby(logical):
            before = stream(start_once)
            writer = psycopg.connect(primary.dsn(), autocommit=True)
            writer.pgconn.send_query(b"UPDATE t SET v = 4711")
            row = wait_for(lambda: (lambda r: r if lsn(r["received_lsn"]) >
                                    lsn(r["applied_lsn"]) else None)(stream(start_once)),
                           "the commit to be received")
            assert int(row["commits"]) == int(before["commits"]) + 1
            assert other.execute("SELECT v FROM t WHERE id = 1").fetchone()[0] != 4711
            seen = lsn(row["received_lsn"])
            for _ in range(20):
                other.execute("SET synchronous_commit = local")
                other.execute("SELECT pg_logical_emit_message(true, 'test', 'more')")
                assert lsn(stream(start_once)["applied_lsn"]) < seen
        writer.pgconn.get_result()
        assert other.execute("SELECT v FROM t WHERE id = 1").fetchone()[0] == 4711
        wait_applied(start_once, seen)
        writer.close()


def test_a_stream_that_is_lost_begins_anew(start_once, logical):
    before = stream(start_once)["slot"]
    logical.primary.rows("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                         "WHERE slot_name = %s", before)
    wait_for(lambda: (lambda r: r["slot"] not in ("", before) and r["state"] == "streaming")(
        stream(start_once)), "another stream")
    assert stream(start_once)["last_error"] == ""


def test_without_its_process_there_is_no_lease(start_once, logical):
    before = stream(start_once)["slot"]
    pid, = start_once.named("wal")
    os.kill(pid, signal.SIGSTOP)
    direct(logical.primary, "UPDATE t SET v = v + 1")
    wait_for(lambda: stream(start_once)["good_for_ms"] == "0", "the lease to end", 20)
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: stream(start_once)["good_for_ms"] != "0", "a lease")
    start_once.kill_named("wal")
    wait_for(lambda: (lambda r: r["slot"] not in ("", before) and r["state"] == "streaming")(
        stream(start_once)), "another stream")
    direct(logical.primary, "UPDATE t SET v = v + 1")
    wait_applied(start_once, position(logical.primary))


def test_a_paused_database_has_no_slot(start_once, logical):
    direct(Target(logical.primary.host, logical.primary.port, "postgres"), "CREATE DATABASE other")
    on(start_once, "other")
    run(*start_once.command("pause", "other"))
    wait_state(start_once, "paused", "other")
    wait_for(lambda: not logical.primary.rows(
        "SELECT 1 FROM pg_replication_slots WHERE database = 'other'"), "its slot to be dropped")
    run(*start_once.command("resume", "other"))
    on(start_once, "other")


def test_a_database_is_dropped_through_pgpool(start_once):
    """The server refuses while there is a slot."""
    want(start_once, "other")
    with Target(start_once.host, start_once.port, "postgres").connect() as one:
        def dropped():
            try:
                one.execute("DROP DATABASE other")
                return True
            except psycopg.errors.ObjectInUse:
                return False
        wait_for(dropped, "the database to be dropped", 20)
    row = wait_state(start_once, "failed", "other")
    assert row["good_for_ms"] == "0" and 'database "other" does not exist' in row["last_error"]


def test_what_is_missing_is_said(start, logical):
    primary = logical.primary
    direct(primary, "CREATE ROLE reader LOGIN; CREATE ROLE streamer LOGIN REPLICATION")
    direct(primary, "CREATE DATABASE bare")
    bare = Target(primary.host, primary.port, "bare")
    pgpool = start(cache_wal_user="reader")
    want(pgpool, "bare")
    row = wait_state(pgpool, "failed", "bare")
    assert "replication" in row["last_error"]
    pgpool.write_config(cache_wal_user="streamer")
    pgpool.process.send_signal(signal.SIGHUP)
    wait_for(lambda: 'publication "pgpool_cache" is missing, and only a superuser may create it'
             in stream(pgpool, "bare")["last_error"], "the publication to be missed")
    direct(bare, "CREATE TABLE no_key (a int)")
    pgpool.write_config(cache_wal_user="")
    pgpool.process.send_signal(signal.SIGHUP)
    row = wait_for(lambda: (lambda r: r if "no_key" in r["last_error"] else None)(
        stream(pgpool, "bare")), "the table without a key to be told of")
    direct(bare, "CREATE PUBLICATION pgpool_cache FOR TABLE no_key")
    wait_for(lambda: "is not one of all changes" in stream(pgpool, "bare")["last_error"],
             "the publication to be refused")
    direct(bare, "DROP PUBLICATION pgpool_cache")
    direct(bare, "ALTER TABLE no_key REPLICA IDENTITY FULL")
    on(pgpool, "bare")
    assert pgpool.log_text().count("hint: ") >= 3


def test_a_publication_that_is_changed_is_noticed(start_once, logical):
    on(start_once)
    direct(logical.primary, "ALTER PUBLICATION pgpool_cache SET (publish = 'insert')")
    wait_for(lambda: "is not one of all changes" in stream(start_once)["last_error"],
             "the change to be noticed")
    assert stream(start_once)["good_for_ms"] == "0"
    direct(logical.primary, "DROP PUBLICATION pgpool_cache")
    on(start_once)


def test_ddl_of_others_counts(start_once, logical):
    """Seen by what it does to what children know of the catalog is test_cache.py's; here: it is
    noticed, and temporary tables are not."""
    on(start_once)
    direct(logical.primary, "CREATE TABLE d (id int PRIMARY KEY, v int)")
    direct(logical.primary, "INSERT INTO d VALUES (1, 1)")
    direct(logical.primary, "ALTER TABLE d ADD COLUMN w text")
    direct(logical.primary, "INSERT INTO d VALUES (2, 2, 'x')")
    wait_applied(start_once, position(logical.primary))
    assert stream(start_once)["state"] == "streaming"
    direct(logical.primary, "DROP TABLE d")


def test_a_transaction_from_before_is_waited_for(start, logical):
    with psycopg.connect(logical.primary.dsn()) as long:
        long.execute("INSERT INTO t VALUES (5000, 1)")
        pgpool = start()
        want(pgpool)
        row = wait_state(pgpool, "waiting")
        assert row["good_for_ms"] == "0"
        long.commit()
    on(pgpool)
    direct(logical.primary, "DELETE FROM t WHERE id = 5000")


def test_without_wal_level_logical(start, cluster):
    pgpool = start(cluster)
    want(pgpool)
    row = wait_state(pgpool, "failed")
    assert '"wal_level"' in row["last_error"] and row["good_for_ms"] == "0"


def test_without_the_cache_there_is_no_process(start, logical):
    assert start(logical, memory_cache_enabled="off").named("wal") == []
    assert start(logical, cache_invalidation="sql").named("wal") == []
    assert start(logical, cache_invalidation="sql").rows("SHOW pool_cache_wal") == []


def test_a_new_primary_has_a_new_stream(start, engine):  # pylint: disable=unused-argument
    cluster = LogicalCluster(standbys=1)
    try:
        cluster.sql("CREATE TABLE t (id int PRIMARY KEY, v int)")
        pgpool = start(cluster)
        before = on(pgpool)
        cluster.primary.stop("immediate")
        wait_for(lambda: (lambda r: r["node_id"] == "1" and r["state"] == "streaming")(
            stream(pgpool)), "a stream from the new primary", 60)
        assert stream(pgpool)["slot"] != before["slot"]
        direct(cluster.servers[1], "INSERT INTO t VALUES (1, 1)")
        wait_applied(pgpool, position(cluster.servers[1]))
        assert int(stream(pgpool)["good_for_ms"]) > 0
    finally:
        cluster.destroy()


def test_configtest_says_what_is_missing(start, logical, cluster):
    pgpool = start(cluster, cache_wal_user="cache_reader")
    direct(cluster.primary, "DROP ROLE IF EXISTS cache_reader; CREATE ROLE cache_reader LOGIN")
    cluster.wait_replayed()
    done = run(*pgpool.command("--connect", "configtest"), check=False)
    assert "it may not decode changes for the query cache (hint: set wal_level" in done.stderr
    assert "hint: ALTER ROLE cache_reader REPLICATION)" in done.stderr and done.returncode != 0
    direct(cluster.primary, "DROP ROLE cache_reader")
    done = run(*start(logical).command("--connect", "configtest"), check=False)
    assert "query cache" not in done.stderr


# ---- with hits -----------------------------------------------------------------------------------

@pytest.fixture(scope="module", name="tables")
def tables_fixture(logical):
    logical.sql("""CREATE SCHEMA h;
        CREATE TABLE h.t (id int PRIMARY KEY, v int);
        CREATE TABLE h.c (id int PRIMARY KEY, t int REFERENCES h.t ON DELETE CASCADE);
        CREATE TABLE h.p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
        CREATE TABLE h.p1 PARTITION OF h.p FOR VALUES FROM (0) TO (100);
        CREATE TABLE h.p2 PARTITION OF h.p FOR VALUES FROM (100) TO (200);
        CREATE VIEW h.v AS SELECT v + 1 AS v FROM h.t;
        CREATE UNLOGGED TABLE h.u (id int PRIMARY KEY);
        CREATE MATERIALIZED VIEW h.m AS SELECT count(*) AS n FROM h.t;
        INSERT INTO h.t VALUES (1, 1), (2, 2), (3, 3);
        INSERT INTO h.c VALUES (1, 3)""")


READS = ("SELECT sum(v) FROM h.t", "SELECT count(*) FROM h.c", "SELECT sum(v) FROM h.p",
         "SELECT max(v) FROM h.v")


@pytest.mark.parametrize("statement", [
    "UPDATE h.t SET v = v + 1",
    "INSERT INTO h.p VALUES (1, 1)",
    "UPDATE h.p SET id = 150",
    "DELETE FROM h.t WHERE id = 3",
    "TRUNCATE h.p",
    "COPY h.t FROM PROGRAM 'seq 10 12'",
    "BEGIN; UPDATE h.t SET v = 7; PREPARE TRANSACTION 'h'",
    "COMMIT PREPARED 'h'",
    "DO $$ BEGIN UPDATE h.t SET v = 8; END $$",
    "TRUNCATE h.t CASCADE",
])
def test_what_others_wrote_is_not_given_as_it_was(start_once, logical, tables, statement):
    # pylint: disable=unused-argument
    on(start_once)
    with start_once.connect(prepare_threshold=None) as client:
        for read in READS:
            hit(start_once, client, read)
        if statement.startswith("COPY"):
            statement = "INSERT INTO h.t SELECT g, g FROM generate_series(10, 12) AS g"
        if statement.startswith("BEGIN"):
            with psycopg.connect(logical.primary.dsn(), autocommit=True) as one:
                for part in statement.split("; "):
                    one.execute(part)
        else:
            direct(logical.primary, statement)
        wait_applied(start_once, position(logical.primary))
        for read in READS:
            assert client.execute(read).fetchone()[0] == logical.primary.value(read), read
            hit(start_once, client, read)


def test_definitions_of_others_count_within_a_second_or_so(start_once, logical, tables):
    # pylint: disable=unused-argument
    on(start_once)
    direct(logical.primary, "INSERT INTO h.t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 1")
    wait_applied(start_once, position(logical.primary))
    with start_once.connect(prepare_threshold=None) as client:
        read = "SELECT max(v) FROM h.v"
        before = hit(start_once, client, read)
        direct(logical.primary, "CREATE OR REPLACE VIEW h.v AS SELECT v + 1000 AS v FROM h.t")
        wait_for(lambda: client.execute(read).fetchone()[0] == before + 999, "the other view", 15)
        hit(start_once, client, read)
        direct(logical.primary, "BEGIN; ALTER TABLE h.t RENAME TO old; CREATE TABLE h.t (v int); "
                                "COMMIT")
        wait_for(lambda: client.execute("SELECT sum(v) FROM h.t").fetchone()[0] is None,
                 "the other table", 15)
        direct(logical.primary, "DROP TABLE h.t; ALTER TABLE h.old RENAME TO t")
        wait_for(lambda: client.execute("SELECT sum(v) FROM h.t").fetchone()[0] is not None,
                 "the first table", 15)


def test_what_is_not_in_the_stream_is_not_kept(start_once, tables):
    # pylint: disable=unused-argument
    on(start_once)
    with start_once.connect(prepare_threshold=None) as client:
        for read in ("SELECT count(*) FROM h.u", "SELECT n FROM h.m"):
            for _ in range(5):
                assert not is_hit(start_once, client, read)[1], read
                hit(start_once, client, "SELECT count(*) FROM h.c")


def test_no_hits_of_what_cannot_be_seen_yet(start, logical, tables):
    """What lies between: the stream has brought a commit that waits for its standby. Neither what
    was before may be kept as what is now, nor may anything be given."""
    # pylint: disable=unused-argument
    primary, standby = logical.servers
    pgpool = start(load_balance_mode="off")
    on(pgpool)
    read = "SELECT v FROM h.t WHERE id = 1"
    direct(primary, "INSERT INTO h.t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 1")
    wait_applied(pgpool, position(primary))
    with pgpool.connect(prepare_threshold=None) as client:
        assert hit(pgpool, client, read) == 1
        with slow_standby(logical):
            before = lsn(stream(pgpool)["received_lsn"])
            writer = psycopg.connect(primary.dsn(), autocommit=True)
            writer.pgconn.send_query(b"UPDATE h.t SET v = 2 WHERE id = 1")
            wait_for(lambda: lsn(stream(pgpool)["received_lsn"]) > before and
                     int(stream(pgpool)["lag_bytes"]) > 0, "the commit to be received")
            for _ in range(10):
                assert is_hit(pgpool, client, read) == (1, False)
        writer.pgconn.get_result()
        wait_applied(pgpool, position(primary))
        for _ in range(3):
            assert client.execute(read).fetchone()[0] == 2
        assert hit(pgpool, client, read) == 2
        writer.close()
    assert standby.value("SELECT 1") == 1


def test_counters_never_go_back_behind_what_was_applied(start, logical, tables):
    """Writers that bypass pgpool, readers through it, for some seconds. A standby that is read from
    may be behind, with the cache or without."""
    # pylint: disable=unused-argument
    pgpool = start(load_balance_mode="off")
    on(pgpool)
    direct(logical.primary, "CREATE TABLE IF NOT EXISTS h.n (id int PRIMARY KEY, n int)")
    direct(logical.primary, "INSERT INTO h.n VALUES (1, 0)")
    end = time.monotonic() + 4
    known = [0]

    def write():
        with logical.primary.connect() as one, \
                Target(pgpool.host, pgpool.port, "postgres").connect() as other:
            number = 0
            while time.monotonic() < end:
                number += 1
                one.execute("UPDATE h.n SET n = %s", (number,))
                at = lsn(one.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()[0])
                while True:
                    row = [r for r in other.execute("SHOW pool_cache_wal").fetchall()
                           if r[0] == "test"][0]
                    if lsn(row[6]) >= at:
                        break
                known[0] = number

    def read():
        count = 0
        with pgpool.connect(prepare_threshold=None) as one:
            while time.monotonic() < end:
                least = known[0]
                value = one.execute("SELECT n FROM h.n WHERE id = 1").fetchone()[0]
                assert value >= least, f"{value} was read when {least} had been applied"
                count += 1
        return count

    before = cached(pgpool)
    readers = [Background(read) for _ in range(3)]
    writer = Background(write)
    total = sum(reader.result() for reader in readers)
    writer.result()
    assert known[0] > 10 and cached(pgpool) - before > total / 10
