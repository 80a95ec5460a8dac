"""backend_clustering_mode = snapshot_isolation: one snapshot on all nodes, no commit
between."""

import subprocess

import psycopg
import pytest

import raw
from proxy import starter
from test_native import PREPARED, SETTINGS, servers_with
from test_native_gate import LOCKS, begun, in_background, kinds
from test_native_faults import end_connections
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

MODE = SETTINGS | {"backend_clustering_mode": "snapshot_isolation"}
LEVEL = "SELECT current_setting('transaction_isolation')"
READS = [f"SELECT /* pgpool: node={node} */ sum(v) FROM g" for node in range(3)]
TABLES = """
CREATE TABLE g (id int PRIMARY KEY, w int NOT NULL, v int NOT NULL);
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
"""


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with(TABLES)


@pytest.fixture(name="start")
def start_fixture(servers, engine):
    for server in servers:
        with server.connect() as connection:
            connection.execute("TRUNCATE g")
            connection.execute("INSERT INTO g SELECT n, n % 4, 0 FROM generate_series(1, 8) n")
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**MODE | more)
    assert servers.same(PREPARED) == [(0,)]
    servers.wait_all(LOCKS, [(0,)], "nobody to hold the gate")


@pytest.fixture(name="pgpool")
def pgpool_fixture(start):
    return start()


@pytest.fixture(name="client")
def client_fixture(pgpool):
    with pgpool.connect() as connection:
        yield connection


def value(client, sql):
    return client.execute(sql).fetchone()[0]


BEGINS = [("BEGIN", "repeatable read"), ("BEGIN ISOLATION LEVEL READ COMMITTED", "repeatable read"),
          ("START TRANSACTION READ ONLY -- by word", "repeatable read"),
          ("BEGIN ISOLATION LEVEL SERIALIZABLE", "serializable"),
          ("BEGIN READ ONLY, ISOLATION LEVEL SERIALIZABLE", "serializable")]


@pytest.mark.parametrize("begin, level", BEGINS)
def test_every_transaction_is_repeatable_read_or_serializable(client, begin, level):
    client.execute(begin)
    assert value(client, LEVEL) == level
    assert value(client, "SHOW transaction_isolation") == level if "ONLY" not in begin else True
    assert client.execute("COMMIT").statusmessage == "COMMIT"
    assert value(client, LEVEL) == "repeatable read"
    client.execute(begin)
    client.execute("SAVEPOINT a") if "ONLY" not in begin else None
    assert value(client, LEVEL) == level
    client.execute("ROLLBACK")


def test_a_level_that_is_set_behind_begin(client):
    for asked, level in (("READ COMMITTED", "repeatable read"), ("SERIALIZABLE", "serializable")):
        client.execute("BEGIN")
        client.execute(f"SET TRANSACTION ISOLATION LEVEL {asked}")
        client.execute("LOCK TABLE g IN SHARE MODE")
        assert value(client, LEVEL) == level
        with pytest.raises(psycopg.errors.ActiveSqlTransaction):
            client.execute("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
        client.execute("ROLLBACK")


@pytest.mark.parametrize("node", [0, 1, 2])
def test_a_snapshot_is_kept_at_the_reader_and_at_the_main_node(servers, pgpool, client, node):
    count = f"SELECT /* pgpool: node={node} */ sum(v) FROM g"
    client.execute("BEGIN")
    assert value(client, count) == 0
    with pgpool.connect() as other:
        other.execute("UPDATE g SET v = 1 WHERE w = 3")
        assert value(other, count) == 2
    assert value(client, count) == 0
    client.execute("SAVEPOINT a")
    assert value(client, count) == 0
    client.execute("INSERT INTO g SELECT 100, 7, sum(v) FROM g")
    client.execute("COMMIT")
    assert servers.same("SELECT v FROM g WHERE id = 100") == [(0,)]
    assert value(client, count) == 2


def test_a_transaction_that_reads_on_one_node_ends_on_all(servers, pgpool, client):
    for end, tag in (("COMMIT", "COMMIT"), ("ROLLBACK", "ROLLBACK")):
        client.execute("BEGIN")
        value(client, "SELECT /* pgpool: node=2 */ count(*) FROM g")
        assert client.execute(end).statusmessage == tag
    client.execute("BEGIN")
    with pytest.raises(psycopg.errors.DivisionByZero):
        client.execute("SELECT /* pgpool: node=2 */ 1 / (v * 0) FROM g")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        client.execute("SELECT 1")
    assert client.execute("COMMIT").statusmessage == "ROLLBACK"
    client.execute("UPDATE g SET v = 5 WHERE id = 1")
    assert servers.same("SELECT v FROM g WHERE id = 1") == [(5,)]
    for server in servers:
        wait_for(lambda server=server: server.value(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == 0,
            "all to be ended")
    assert "40001" not in pgpool.log_text()


def test_writers_that_are_not_by_key_do_not_wait_for_each_other(servers, pgpool):
    one = begun(pgpool, "UPDATE g SET v = 1 WHERE w = 1")
    two = begun(pgpool, "UPDATE g SET v = 2 WHERE w = 2",
                "INSERT INTO g SELECT id + 10, 9, v FROM g WHERE w = 1")
    two.execute("COMMIT")
    one.execute("COMMIT")
    assert servers.same("SELECT id, v FROM g WHERE w IN (1, 2, 9) ORDER BY id") == [
        (1, 1), (2, 2), (5, 1), (6, 2), (11, 0), (15, 0)]
    one.close()
    two.close()


def test_who_comes_second_to_a_row_gets_40001(servers, pgpool, client):
    client.execute("BEGIN")
    assert value(client, "SELECT v FROM g WHERE id = 3") == 0
    with pgpool.connect() as other:
        other.execute("UPDATE g SET v = 7 WHERE id = 3")
    with pytest.raises(psycopg.errors.SerializationFailure, match="concurrent update"):
        client.execute("UPDATE g SET v = v + 1 WHERE id = 3")
    assert client.execute("COMMIT").statusmessage == "ROLLBACK"
    client.execute("UPDATE g SET v = v + 1 WHERE id = 3")
    assert servers.same("SELECT v FROM g WHERE id = 3") == [(8,)]


def test_serializable_is_the_main_node_s_to_judge(servers, pgpool):
    """Write skew: REPEATABLE READ lets both through."""
    for level, states in (("REPEATABLE READ", {None}), ("SERIALIZABLE", {None, "40001"})):
        clients = [pgpool.connect() for _ in range(2)]
        seen = set()
        for client in clients:
            client.execute(f"BEGIN ISOLATION LEVEL {level}")
            value(client, "SELECT sum(v) FROM g WHERE w = 1")
        for number, client in enumerate(clients):
            try:
                client.execute(f"UPDATE g SET v = v + 1 WHERE id = {1 if number else 5}")
                client.execute("COMMIT")
                seen.add(None)
            except psycopg.errors.SerializationFailure as error:
                seen.add(error.sqlstate)
                client.execute("ROLLBACK")
        assert seen == states
        for client in clients:
            client.close()
    servers.same("SELECT id, v FROM g ORDER BY id")


def test_begin_in_front_of_others_in_a_batch(servers, pgpool):
    with raw.connected(pgpool) as one, pgpool.connect() as other:
        one.send(raw.batch("BEGIN", "SELECT count(*) FROM g WHERE w = 77"))
        assert kinds(one.read_until("Z")) == "12C12DCZ"
        other.execute("INSERT INTO g VALUES (200, 77, 0)")
        one.send(raw.batch("SELECT count(*) FROM g WHERE w = 77"))
        assert [got.body for got in one.read_until("Z") if got.kind == "D"][0].endswith(b"0")
        one.send(raw.batch("INSERT INTO g SELECT 201, 78, count(*) FROM g WHERE w = 77"))
        assert kinds(one.read_until("Z")) == "12CZ"
        one.send(raw.batch("COMMIT"))
        assert kinds(one.read_until("Z")) == "12CZ"
        one.send(raw.batch("BEGIN", "UPDATE g SET v = 3 WHERE w = 78", "SELECT 1 / 0", "SELECT 2"))
        assert kinds(one.read_until("Z")) == "12C12C1EZ"
        one.send(raw.batch("ROLLBACK"))
        assert kinds(one.read_until("Z")) == "12CZ"
    assert servers.same("SELECT v FROM g WHERE w = 78") == [(0,)]


REFUSED_BATCHES = [("SELECT 1", "BEGIN"), ("BEGIN", "SELECT 1", "BEGIN"),
                   ("SELECT 1", "BEGIN", "SELECT 1")]


@pytest.mark.parametrize("texts", REFUSED_BATCHES)
def test_transactions_that_begin_or_end_inside_of_a_batch(servers, pgpool, texts):
    with raw.connected(pgpool) as one:
        one.send(raw.batch(*texts))
        answer = one.read_until("Z")
        assert "E" in kinds(answer)
        if answer[-1].body != b"I":
            one.send(raw.batch("ROLLBACK"))
            assert one.read_until("Z")[-1].body == b"I"
        one.send(raw.batch("INSERT INTO g VALUES (300, 30, 0)"))
        assert kinds(one.read_until("Z")) == "12CZ"
    assert servers.same("SELECT v FROM g WHERE id = 300") == [(0,)]


def test_begin_behind_a_batch_that_was_flushed(servers, pgpool):
    with raw.connected(pgpool) as one, pgpool.connect() as other:
        one.send(raw.batch("SELECT count(*) FROM g", end=raw.FLUSH))
        assert kinds(one.read_until("C")) == "12DC"
        one.send(raw.batch("BEGIN", "SELECT count(*) FROM g WHERE w = 88"))
        answer = one.read_until("Z")
        assert kinds(answer) == "12C12DCZ" and answer[-1].body == b"T"
        other.execute("INSERT INTO g VALUES (400, 88, 0)")
        one.send(raw.batch("INSERT INTO g SELECT 401, 89, count(*) FROM g WHERE w = 88"))
        assert kinds(one.read_until("Z")) == "12CZ"
        one.send(raw.batch("COMMIT"))
        assert one.read_until("Z")[-1].body == b"I"
    assert servers.same("SELECT v FROM g WHERE id = 401") == [(0,)]


def test_locks_of_rows_outside_of_transactions(client):
    assert value(client, "SELECT v FROM g WHERE id = 1 FOR UPDATE") == 0
    assert value(client, "SELECT pg_try_advisory_xact_lock(7)")


@pytest.mark.parametrize("node", [0, 1, 2])
def test_a_connection_that_ends_when_the_transaction_has_only_read(servers, pgpool, node):
    """Nothing of it takes effect outside of it."""
    with pgpool.connect() as client:
        client.execute("BEGIN")
        assert value(client, READS[1]) == 0
        end_connections(servers[node])
        wait_for(lambda: servers[node].value("SELECT count(*) FROM pg_stat_activity WHERE "
                                             "state LIKE 'idle in transaction%'") == 0, "its end")
        with pytest.raises(psycopg.Error):
            client.execute("UPDATE g SET v = v + 1 WHERE w = 1")
            client.execute("COMMIT")
    with pgpool.connect() as client:
        assert value(client, READS[2]) == 0
        client.execute("UPDATE g SET v = v + 1 WHERE w = 1")
        assert value(client, READS[1]) == 2
    assert servers.same("SELECT sum(v) FROM g") == [(2,)]


def test_it_cannot_be_taken_over_by_another_pgpool(pgpool, client):
    done = subprocess.run(pgpool.command("upgrade"), capture_output=True, text=True,
                          timeout=100 * SLOW, check=False)
    assert done.returncode != 0
    assert "cannot be taken over" in done.stderr + pgpool.log_text()
    assert value(client, "SELECT 1") == 1


def test_a_definition_that_is_newer_than_the_snapshot(servers, pgpool, client):
    client.execute("BEGIN")
    value(client, "SELECT count(*) FROM g")
    with pgpool.connect() as other:
        other.execute("CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE "
                      "AS 'SELECT n * 3'")
    with pytest.raises(psycopg.errors.SerializationFailure, match="definition"):
        client.execute("UPDATE g SET v = twice(2) WHERE id = 1")
    client.execute("ROLLBACK")
    client.execute("UPDATE g SET v = twice(2) WHERE id = 1")
    assert servers.same("SELECT v FROM g WHERE id = 1") == [(6,)]


def slow_commits(servers, standby):
    """The main node's commits wait for a standby that there is not; '' lets them go."""
    with servers[0].connect() as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        connection.execute("SELECT pg_reload_conf()")


def stuck_commit(servers, pgpool):
    """A commit that the main node has and tells nobody."""
    slow_commits(servers, "nobody")
    client = pgpool.connect()
    thread, states = in_background(client, "UPDATE g SET v = 50 WHERE w = 3")
    wait_for(lambda: servers[0].value("SELECT count(*) FROM pg_stat_activity "
                                      "WHERE wait_event = 'SyncRep'") == 1, "it to hang")
    return client, thread, states


def test_snapshots_wait_for_a_commit_that_is_under_way(servers, pgpool):
    client, thread, states = stuck_commit(servers, pgpool)
    try:
        readers = [pgpool.connect() for _ in READS]
        reads = [in_background(reader, sql) for reader, sql in zip(readers, READS)]
        begins = begun(pgpool)
        waits, wait_states = in_background(begins, "UPDATE g SET v = 9 WHERE w = 3")
        for reader in (readers[0], begins):
            wait_for(lambda reader=reader: reader.cancel() or not (
                waits if reader is begins else reads[0][0]).is_alive(), "it to be cancelled", 20)
        assert reads[0][1] == wait_states == ["57014"]
        readers[1].pgconn.finish()
    finally:
        slow_commits(servers, "")
    thread.join(60)
    reads[2][0].join(60)
    assert states == reads[2][1] == [None]
    for sql in READS:
        assert value(readers[0], sql) == 100
    begins.execute("ROLLBACK")


def test_a_child_that_is_killed_in_a_commit_leaves_no_half_of_it(servers, pgpool):
    """Whoever asks gets no answer before the other nodes have what the main node has."""
    client, thread, _ = stuck_commit(servers, pgpool)
    try:
        pgpool.kill_named("child")
        thread.join(60)
        assert servers[1].value(PREPARED) == servers[2].value(PREPARED) == 1
        readers = [pgpool.connect() for _ in READS]
        reads = [in_background(reader, sql) for reader, sql in zip(readers, READS)]
        wait_for(lambda: readers[0].cancel() or not reads[0][0].is_alive(), "its cancel", 20)
        assert reads[0][1] == ["57014"]
    finally:
        slow_commits(servers, "")
    for read, states in reads[1:]:
        read.join(60)
        assert states == [None]
    for reader, sql in zip(readers, READS):
        assert value(reader, sql) == 100
    servers.wait_all(PREPARED, [(0,)], "the prepared ones to be ended")
    client.close()
