"""What reads see: never less than the session wrote, and where they go when a standby is behind.

PGPOOL_TEST_HEAVY=1 makes it 2,000 writes for each way of writing instead of 100.
"""

import os
import threading
import time

import psycopg
import pytest

import raw
from waiting import SLOW, Background, wait_for

TIMES = 2000 if os.environ.get("PGPOOL_TEST_HEAVY") else 100
DELAY_MS = 200


def configure(cluster, text):
    """A setting of both standbys."""
    for standby in cluster.servers[1:]:
        standby.configure(text)
        standby.rows("SELECT pg_reload_conf(), 1")


@pytest.fixture(name="table")
def table_fixture(cluster):
    cluster.sql("""
        CREATE TABLE IF NOT EXISTS seen (id int PRIMARY KEY, n int);
        TRUNCATE seen; INSERT INTO seen VALUES (1, 0);
        CREATE OR REPLACE FUNCTION write_seen(int) RETURNS int LANGUAGE sql
            AS 'UPDATE seen SET n = $1 WHERE id = 1 RETURNING n'""")
    yield
    cluster.wait_replayed()


@pytest.fixture(name="late")
def late_fixture(cluster, table):
    """Standbys that replay what was committed 200 ms ago."""
    configure(cluster, f"recovery_min_apply_delay = '{DELAY_MS}ms'\n")
    for standby in cluster.servers[1:]:
        wait_for(lambda s=standby: s.value("SHOW recovery_min_apply_delay") == f"{DELAY_MS}ms",
                 "the standby to be late")
    yield
    configure(cluster, "")
    cluster.wait_replayed()


READ = "SELECT n FROM seen WHERE id = 1"


def simple(write):
    def step(one, number):
        one.rows(write.format(number))
        return one.rows(READ) == [[str(number)]]
    return step


def extended(one, number):
    one.send(raw.parse("", "UPDATE seen SET n = $1 WHERE id = 1"), raw.bind("", "", str(number)),
             raw.execute(), raw.SYNC)
    one.read_until("Z")
    one.send(raw.parse("", READ), raw.bind("", ""), raw.execute(), raw.SYNC)
    return [got.row() for got in one.read_until("Z") if got.kind == "D"] == [[b"%d" % number]]


def pipelined(one, number):
    one.send(raw.parse("", "UPDATE seen SET n = $1 WHERE id = 1"), raw.bind("", "", str(number)),
             raw.execute(), raw.SYNC, raw.parse("", READ), raw.bind("", ""), raw.execute(),
             raw.SYNC)
    got = one.read_until("Z") + one.read_until("Z")
    return [message.row() for message in got if message.kind == "D"] == [[b"%d" % number]]


def by_copy(one, number):
    one.send(raw.query("BEGIN; DELETE FROM seen; COPY seen FROM STDIN; COMMIT"))
    one.read_until("G")
    one.send(raw.copy_data(f"1\t{number}\n"), raw.COPY_DONE)
    one.read_until("Z")
    return one.rows(READ) == [[str(number)]]


def by_execute(one, number):
    if number == 1:
        one.rows("PREPARE w (int) AS UPDATE seen SET n = $1 WHERE id = 1")
    one.rows(f"EXECUTE w({number})")
    return one.rows(READ) == [[str(number)]]


def in_a_transaction(one, number):
    one.rows("BEGIN")
    one.rows(f"UPDATE seen SET n = {number} WHERE id = 1")
    inside = one.rows(READ) == [[str(number)]]
    one.rows("COMMIT")
    return inside and one.rows(READ) == [[str(number)]]


WAYS = {
    "simple": simple("UPDATE seen SET n = {} WHERE id = 1"),
    "extended": extended,
    "pipelined": pipelined,
    "function": simple("SELECT write_seen({})"),
    "cte": simple("WITH w AS (UPDATE seen SET n = {} WHERE id = 1 RETURNING n) SELECT * FROM w"),
    "do": simple("DO $$ BEGIN UPDATE seen SET n = {} WHERE id = 1; END $$"),
    "copy": by_copy,
    "execute": by_execute,
    "transaction": in_a_transaction,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_session_reads_what_it_wrote(late, pgpool, way):
    with raw.connected(pgpool) as one:
        stale = [number for number in range(1, TIMES + 1) if not WAYS[way](one, number)]
    assert stale == []


def in_recovery(one):
    return one.rows("SELECT pg_is_in_recovery()") == [["t"]]


def test_reads_return_to_the_standbys(late, pgpool):
    """Within 300 ms after the standbys have replayed; the best of some attempts, since the machine
    may be busy with something else."""
    taken = []
    with raw.connected(pgpool) as one:
        while len(taken) < 10 * SLOW and min(taken, default=1) > (DELAY_MS + 300) / 1000:
            for number in range(20):
                one.rows(f"UPDATE seen SET n = {number} WHERE id = 1")
                assert one.rows(READ) == [[str(number)]]
            began = time.monotonic()
            wait_for(lambda: in_recovery(one), "reads to go to a standby again")
            taken.append(time.monotonic() - began)
            assert one.rows(READ) == [["19"]]
    assert min(taken) <= (DELAY_MS + 300) / 1000, taken


NOT_FLUSHED = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()) > 0"


def test_what_a_quiet_primary_does_not_flush(cluster, table, pgpool):
    """WAL of a transaction that has no number and is rolled back, such as that of pages that a read
    has cleaned up: standbys would not get it before the next commit, or for tens of seconds."""
    del table
    cluster.wait_replayed()
    with raw.connected(pgpool) as one:
        wait_for(lambda: one.rows("SELECT pg_is_in_recovery() FROM seen") == [["t"]], "a standby")
        one.send(raw.query("UPDATE seen SET n = 1; COMMIT; BEGIN; "
                           "SELECT pg_logical_emit_message(false, 'a', 'b'); ROLLBACK"))
        assert raw.codes(one.read_until("Z")) == []
        wait_for(lambda: one.rows("SELECT pg_is_in_recovery() FROM seen") == [["t"]],
                 "a standby to be fresh", 8)
    assert not cluster.primary.value(NOT_FLUSHED)


def test_a_new_session_sees_what_was_written_before_it_began(late, pgpool):
    for number in range(1, TIMES // 4):
        with raw.connected(pgpool) as one:
            one.rows(f"UPDATE seen SET n = {number} WHERE id = 1")
        with raw.connected(pgpool) as one:
            assert one.rows(READ) == [[str(number)]]


def write_and_compare(pgpool, count, sessions):
    """One writes, the others read right after; how often they saw less."""
    stale = []
    readers = [raw.connected(pgpool) for _ in range(sessions)]
    try:
        with raw.connected(pgpool) as writer:
            for number in range(1, count + 1):
                writer.rows(f"UPDATE seen SET n = {number} WHERE id = 1")
                stale += [number for one in readers if one.rows(READ) != [[str(number)]]]
    finally:
        for one in readers:
            one.close()
    return stale


def test_global_sees_what_others_wrote(late, start_pgpool):
    pgpool = start_pgpool(read_consistency="global")
    assert write_and_compare(pgpool, TIMES // 10, 20) == []


def test_eventual_may_be_stale(late, start_pgpool):
    """Proves that the tests above can fail."""
    pgpool = start_pgpool(read_consistency="eventual")
    assert write_and_compare(pgpool, 10, 4) != []


def test_a_paused_standby_loses_its_reads(cluster, table, start_pgpool):
    pgpool = start_pgpool(delay_threshold_by_time="2s")
    paused = cluster.servers[1]
    writes, stop = [], threading.Event()

    def write():
        with psycopg.connect(pgpool.dsn(), autocommit=True) as connection:
            while not stop.wait(0.02):
                connection.execute("UPDATE seen SET n = n + 1 WHERE id = 1")
                writes.append(time.monotonic())

    def port_of(one):
        return one.rows("SELECT current_setting('port')")[0][0]

    readers = []

    def one_reads_there():
        readers.append(raw.connected(pgpool))
        return port_of(readers[-1]) == str(paused.port)

    try:
        for _ in range(4):
            wait_for(one_reads_there, "reads from the standby that will be behind")
        paused.rows("SELECT pg_wal_replay_pause(), 1")
        writer = Background(write)

        def left():
            writer.check()
            return str(paused.port) not in {port_of(one) for one in readers}

        wait_for(left, "reads to leave the standby that is behind")
        paused.rows("SELECT pg_wal_replay_resume(), 1")
        wait_for(one_reads_there, "reads to come back to it")
    finally:
        stop.set()
        paused.rows("SELECT pg_wal_replay_resume(), 1")
        for one in readers:
            one.close()
    writer.result()
    assert writes


def test_redirect_lists(cluster, start_pgpool):
    ports = [str(server.port) for server in cluster.servers]
    pgpool = start_pgpool(backend_weight0=1,
                          app_name_redirect_preference_list="report:2,live:primary",
                          database_redirect_preference_list="postgres:1")

    def port(**login):
        with raw.connected(pgpool, **login) as one:
            return one.rows("SELECT current_setting('port')")[0][0]

    for _ in range(4):
        assert port(application_name="report") == ports[2]
        assert port(application_name="live") == ports[0]
        assert port(database="postgres") == ports[1]
        assert port(database="postgres", application_name="report") == ports[2]
    assert {port() for _ in range(6)} == set(ports)


def test_patterns_send_statements_to_the_primary(cluster, table, start_pgpool):
    pgpool = start_pgpool(primary_routing_query_pattern_list="from seen;fresh")
    with raw.connected(pgpool) as one:
        assert one.rows("SELECT pg_is_in_recovery()") == [["t"]]
        assert one.rows("SELECT pg_is_in_recovery() FROM seen") == [["f"]]
        assert one.rows("SELECT pg_is_in_recovery() /* fresh */") == [["f"]]
        one.send(raw.parse("s", "SELECT pg_is_in_recovery() FROM seen"), raw.bind("", "s"),
                 raw.execute(), raw.SYNC)
        assert [got.row() for got in one.read_until("Z") if got.kind == "D"] == [[b"f"]]
        one.send(raw.bind("", "s"), raw.execute(), raw.SYNC)
        assert [got.row() for got in one.read_until("Z") if got.kind == "D"] == [[b"f"]]
