"""Reads survive their standby: what it gives up runs again, and the client never knows."""

import os
import threading

import psycopg
import pytest

import raw
from waiting import wait_for

READS = 10_000 if os.environ.get("PGPOOL_TEST_HEAVY") else 800
CLIENTS = 16


class Readers:
    """Clients that read until they have read their share and may stop, and what went wrong."""

    def __init__(self, pgpool, prepared=False):
        self.pgpool, self.prepared = pgpool, prepared
        self.errors, self.good, self.may_stop = [], [0] * CLIENTS, threading.Event()
        self.threads = [threading.Thread(target=self._read, args=(number,))
                        for number in range(CLIENTS)]

    def _read(self, number):
        try:
            with psycopg.connect(self.pgpool.dsn(), autocommit=True,
                                 prepare_threshold=0 if self.prepared else None) as connection:
                while self.good[number] < READS // CLIENTS or not self.may_stop.is_set():
                    row = connection.execute("SELECT sum(a), count(*) FROM surv, pg_sleep(0.01)")
                    assert row.fetchone() == (sum(range(200)), 200)
                    self.good[number] += 1
        except (psycopg.Error, AssertionError) as error:
            self.errors.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.may_stop.set()
        for thread in self.threads:
            thread.join()

    def running(self):
        return any(thread.is_alive() for thread in self.threads)

    def judge(self):
        assert self.errors == []
        assert min(self.good) >= READS // CLIENTS


@pytest.fixture(name="table")
def table_fixture(cluster):
    cluster.sql("CREATE TABLE IF NOT EXISTS surv (a int, b int) WITH (autovacuum_enabled = off); "
                "TRUNCATE surv; INSERT INTO surv SELECT g, 0 FROM generate_series(0, 199) g")


@pytest.fixture(name="impatient")
def impatient_fixture(cluster, table):
    """Standbys that let no read keep replay waiting."""
    for standby in cluster.servers[1:]:
        standby.configure("hot_standby_feedback = off\nmax_standby_streaming_delay = 0\n")
        standby.rows("SELECT pg_reload_conf(), 1")
        wait_for(lambda s=standby: s.value("SHOW max_standby_streaming_delay") == "0",
                 "the standby to be impatient")
    yield
    for standby in cluster.servers[1:]:
        standby.configure("")
        standby.rows("SELECT pg_reload_conf(), 1")


@pytest.mark.parametrize("prepared", [False, True], ids=["unnamed", "prepared"])
def test_conflicts_with_replay(cluster, impatient, start_pgpool, prepared):
    pgpool = start_pgpool(read_consistency="eventual")

    def provoked():
        for _ in range(5):
            writer.execute("UPDATE surv SET b = b + 1")
            writer.execute("VACUUM surv")
        return not readers.running() or \
            pgpool.log_text().count("runs again at the primary") >= 10

    with cluster.primary.connect() as writer, Readers(pgpool, prepared) as readers:
        wait_for(provoked, "reads that run again", 30)
        readers.may_stop.set()
        while readers.running():
            provoked()
    readers.judge()


def test_standby_that_restarts(cluster, table, start_pgpool):
    pgpool = start_pgpool()
    standby = cluster.servers[2]
    try:
        with Readers(pgpool) as readers:
            for mode in ("immediate", "fast", "immediate"):
                standby.stop(mode)
                standby.start()
    finally:
        cluster.wait_streaming()
    readers.judge()


def test_read_in_flight_when_its_server_is_terminated(cluster, table, pgpool):
    with raw.connected(pgpool, application_name="surv") as one:
        # long enough to be found, on the standby only
        one.send(raw.query("SELECT pg_is_in_recovery() FROM "
                           "pg_sleep(CASE WHEN pg_is_in_recovery() THEN 60 ELSE 0 END)"))
        victims = wait_for(lambda: [
            (server, row) for server in cluster.servers[1:]
            for row in server.rows("SELECT pid FROM pg_stat_activity WHERE application_name = "
                                   "'surv' AND state = 'active'")], "the read to run")
        victims[0][0].rows("SELECT pg_terminate_backend(%s), 1", victims[0][1][0])
        answer = one.read_until("Z")
        assert [got.kind for got in answer] == list("TDCZ")
        assert one.rows("SELECT count(*) FROM surv") == [["200"]]


def test_in_a_transaction_the_error_is_told(cluster, table, pgpool):
    with raw.connected(pgpool, application_name="surv_tx") as one:
        one.rows("BEGIN")
        assert one.rows("SELECT pg_is_in_recovery()") == [["t"]]
        for server in cluster.servers[1:]:
            server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "application_name = 'surv_tx'")
        kinds = [got.kind for got in one.read_to_end()]
        assert kinds == ["E"]
