"""Native replication: COPY FROM STDIN to all nodes, and what may happen in the middle of it."""

import threading

import psycopg
import pytest

import raw
from proxy import starter
from test_native import PREPARED, SETTINGS, servers_with
from test_native_faults import end_connections, waits_for_lock
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

TABLES = """
CREATE TABLE wide (id int, v text);
CREATE TABLE filled (id serial PRIMARY KEY, v int, at timestamptz DEFAULT now());
"""
COUNT = "SELECT count(*), sum(hashtext(t::text)::bigint) FROM t"
MIB = 1024 * 1024


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with(TABLES)


@pytest.fixture(name="start")
def start_fixture(servers, engine):
    for server in servers:
        with server.connect() as connection:
            connection.execute("TRUNCATE wide; DELETE FROM t WHERE id > 5; UPDATE t SET v = 0")
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**SETTINGS | more)
    assert servers.same(PREPARED) == [(0,)]
    servers.same(COUNT)


@pytest.fixture(name="pgpool")
def pgpool_fixture(start):
    return start()


@pytest.fixture(name="client")
def client_fixture(pgpool):
    with pgpool.connect() as connection:
        yield connection


def copy(client, ids, table="t (id, v)", end=None):
    with client.cursor() as cursor:
        with cursor.copy(f"COPY {table} FROM STDIN") as data:
            for number in ids:
                data.write_row((number, 0))
            if end is not None:
                raise end
        return cursor.statusmessage


def ids(servers):
    return [row[0] for row in servers.same("SELECT id FROM t WHERE id > 5 ORDER BY id")]


def kinds(messages):
    return "".join(got.kind for got in messages)


def test_rows_are_on_all_nodes_when_it_is_answered(servers, client):
    assert copy(client, range(100, 5100)) == "COPY 5000"
    assert len(ids(servers)) == 5000
    client.execute("INSERT INTO t (id) VALUES (6)")
    assert ids(servers)[0] == 6


def test_in_a_transaction(servers, client):
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id, v) VALUES (10, 1)")
    copy(client, [11, 12])
    client.execute("UPDATE t SET v = 5 WHERE id = 11")
    client.execute("SAVEPOINT a")
    with pytest.raises(psycopg.errors.UniqueViolation):
        copy(client, [13, 12])
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        client.execute("SELECT 1")
    client.execute("ROLLBACK TO a")
    copy(client, [14])
    assert servers.same("SELECT id FROM t WHERE id > 5") == []
    assert client.execute("COMMIT").statusmessage == "COMMIT"
    assert servers.same("SELECT id, v FROM t WHERE id > 5 ORDER BY id") == [
        (10, 1), (11, 5), (12, 0), (14, 0)]
    client.execute("BEGIN")
    copy(client, [15])
    client.execute("ROLLBACK")
    client.execute("BEGIN")
    with pytest.raises(psycopg.errors.UniqueViolation):
        copy(client, [16, 14])
    assert client.execute("COMMIT").statusmessage == "ROLLBACK"
    assert ids(servers) == [10, 11, 12, 14]


def test_one_that_fails_leaves_nothing(servers, client):
    with pytest.raises(psycopg.errors.UniqueViolation):
        copy(client, [20, 21, 1])
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        copy(client, [22, "a", *range(30, 3000)])
    with pytest.raises(psycopg.errors.UndefinedTable):
        copy(client, [23], "nowhere")
    with pytest.raises(psycopg.errors.QueryCanceled):
        copy(client, [24], end=psycopg.errors.QueryCanceled("enough"))
    assert ids(servers) == []
    copy(client, [25])
    assert ids(servers) == [25]


def test_columns_that_would_differ_must_be_named(servers, client):
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="default of column"):
        copy(client, [1], "filled (id, v)")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="default of column"):
        copy(client, [1], "filled (v, at)")
    with client.cursor().copy("COPY filled FROM STDIN") as data:
        data.write_row((1, 2, "2020-01-01 00:00:00+00"))
    assert servers.same("SELECT id, v, at = '2020-01-01 00:00+00' FROM filled") == [(1, 2, True)]


def test_values_in_its_condition_are_the_main_node_s(servers, client):
    with client.cursor().copy("COPY wide FROM STDIN WHERE id > extract(year FROM now()) "
                              "AND v < clock_timestamp()::text") as data:
        data.write_row((1, "0"))
        data.write_row((9999, "0"))
    assert servers.same("SELECT id FROM wide") == [(9999,)]


@pytest.mark.parametrize("form", ["binary", "csv"])
def test_other_formats(servers, client, form):
    with client.cursor() as cursor:
        with cursor.copy(f"COPY t (id, v) FROM STDIN (FORMAT {form})") as data:
            if form == "binary":
                data.set_types(["int4", "int4"])
                data.write_row((50, 1))
            else:
                data.write("50,1\n")
    assert servers.same("SELECT id, v FROM t WHERE id > 5") == [(50, 1)]


def test_a_temporary_table(servers, client):
    client.execute("CREATE TEMPORARY TABLE mine (id int, v int)")
    copy(client, [60, 61], "mine")
    client.execute("INSERT INTO t (id, v) SELECT id, v FROM mine")
    assert ids(servers) == [60, 61]


@pytest.mark.parametrize("ahead", [True, False])
def test_in_the_extended_protocol(servers, pgpool, ahead):
    """ahead: the data come before the server has asked for them."""
    head = [raw.parse("", "COPY t (id) FROM STDIN"), raw.bind("", ""), raw.describe("P"),
            raw.execute(), raw.SYNC]
    with raw.connected(pgpool) as client:
        for number, end, code in ((70, raw.COPY_DONE, []), (71, raw.copy_fail("no"), ["57014"]),
                                  (72, raw.COPY_DONE, [])):
            client.send(*head)
            if not ahead:
                assert kinds(client.read_until("G"))[-1] == "G"
            client.send(raw.copy_data(f"{number}\n"), raw.copy_data(f"{number + 10}\n"), end,
                        raw.SYNC)
            answer = client.read_until("Z")
            assert raw.codes(answer) == code
            assert answer[-1].body == b"I"
        client.send(*head)
        assert kinds(client.read_until("G"))[-1] == "G"
        client.send(raw.copy_data("1\n"), raw.copy_data("a\n"), raw.FLUSH)
        assert raw.codes(client.read_until("E")) == ["22P02"]
        client.send(raw.copy_data("2\n"), raw.COPY_DONE, raw.SYNC)
        assert kinds(client.read_until("Z")) == "Z"
        assert client.rows("SELECT 1") == [["1"]]
    assert ids(servers) == [70, 72, 80, 82]


def test_not_among_other_statements_of_a_batch(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(raw.parse("", "COPY t (id) FROM STDIN"), raw.bind("", ""), raw.execute(),
                    raw.parse("", "INSERT INTO t (id) VALUES (90)"), raw.bind("", ""),
                    raw.execute(), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == ["0A000"]
    assert ids(servers) == []


@pytest.mark.parametrize("block", [True, False])
def test_an_error_in_the_middle_of_a_message(servers, pgpool, block):
    """What is left of that belongs to no statement behind it."""
    long = raw.copy_data("".join(f"{number}\tx{number}\n" for number in range(20000)))
    with raw.connected(pgpool) as client:
        if block:
            client.simple("BEGIN")
            client.simple("INSERT INTO t (id) VALUES (100)")
        client.send(raw.query("COPY wide FROM STDIN"))
        assert kinds(client.read_until("G")) == "G"
        client.send(raw.copy_data("1\ty\na\tb\n") + long[:100000])
        assert raw.codes(client.read_until("E")) == ["22P02"]
        client.send(long[100000:], raw.COPY_DONE)
        assert kinds(client.read_until("Z")) == "Z"
        if block:
            client.simple("ROLLBACK")
        assert client.rows("SELECT count(*) FROM wide") == [["0"]]
        client.simple("INSERT INTO t (id) VALUES (101)")
    assert ids(servers) == [101]


def test_a_statement_in_the_middle_ends_the_session(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(raw.query("COPY t (id) FROM STDIN"), raw.copy_data("110\n"),
                    raw.query("INSERT INTO t (id) VALUES (111)"))
        assert raw.codes(client.read_to_end()) == ["08P01"]
    assert ids(servers) == []


def test_statements_behind_its_end_wait_for_it(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(raw.query("COPY t (id) FROM STDIN"), raw.copy_data("120\n"), raw.COPY_DONE,
                    raw.query("UPDATE t SET v = 3 WHERE id = 120"), raw.copy_data("late\n"),
                    raw.COPY_DONE, raw.query("SELECT v FROM t WHERE id = 120"))
        assert kinds(client.read_until("Z", 3)) == "GCZCZTDCZ"
    assert servers.same("SELECT v FROM t WHERE id = 120") == [(3,)]


def test_another_node_that_fails_ends_the_transaction_everywhere(servers, client):
    """It has a row that the main node does not have."""
    servers[2].rows("INSERT INTO t (id, v) VALUES (130, 7) RETURNING id")
    with pytest.raises(psycopg.errors.SerializationFailure, match="node 2"):
        copy(client, range(130, 20000))
    client.execute("BEGIN")
    copy(client, range(130, 140))
    with pytest.raises(psycopg.errors.SerializationFailure, match="node 2"):
        client.execute("COMMIT")
    assert servers.all("SELECT count(*) FROM t WHERE id > 5") == [[(0,)], [(0,)], [(1,)]]
    servers[2].rows("DELETE FROM t WHERE id = 130 RETURNING id")
    copy(client, [131])
    assert ids(servers) == [131]


RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY t%' AND state = 'active'"


def lose_in_the_middle(servers, client, number, end):
    """The node ends its part of a COPY, of which `end` is still to be sent."""
    data = raw.copy_data("141\n142\n")
    client.send(raw.query("COPY t (id) FROM STDIN"))
    assert kinds(client.read_until("G")) == "G"
    client.send(data[:len(data) - end])
    servers.wait_all(RUNNING, [(1,)], "the COPY to run everywhere")
    end_connections(servers[number])
    wait_for(lambda: servers[number].rows(RUNNING) == [(0,)], "its process to end")
    client.send(data[len(data) - end:], raw.COPY_DONE)


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("end", [0, 4])
def test_a_copy_that_is_lost_in_the_middle(servers, pgpool, block, end):
    with raw.connected(pgpool) as client:
        if block:
            client.simple("BEGIN")
            client.simple("INSERT INTO t (id) VALUES (140)")
        lose_in_the_middle(servers, client, 1, end)
        messages = client.read_until("Z")
        if block:
            assert kinds(messages) == "CZ"
            assert raw.codes(client.simple("COMMIT")) == ["40001"]
        else:
            assert raw.codes(messages) == ["40001"]
        client.simple("ROLLBACK")
        assert client.rows("SELECT count(*) FROM t WHERE id > 5") == [["0"]]
        client.simple("INSERT INTO t (id) VALUES (143)")
    assert ids(servers) == [143]


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("end", [0, 4])
def test_a_main_node_that_is_lost_in_the_middle(servers, pgpool, block, end):
    with raw.connected(pgpool) as client:
        if block:
            client.simple("BEGIN")
            client.simple("INSERT INTO t (id) VALUES (144)")
        lose_in_the_middle(servers, client, 0, end)
        assert raw.codes(client.read_to_end()) == ["57P01"]
    with raw.connected(pgpool) as client:
        client.simple("INSERT INTO t (id) VALUES (145)")
    assert ids(servers) == [145]
    assert "did not do" not in pgpool.log_text()


def test_a_client_that_goes_in_the_middle(servers, pgpool):
    for data in (raw.copy_data("150\n"), raw.copy_data("150\n151\n")[:-3], b""):
        client = raw.connected(pgpool)
        client.send(raw.query("COPY t (id) FROM STDIN"))
        client.read_until("G")
        client.send(data)
        client.close()
    servers.wait_all("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = relation "
                     "WHERE relname = 't'", [(0,)], "its transaction to end everywhere")
    assert ids(servers) == []


def test_a_cancel_request(servers, pgpool):
    """A server that waits for data hears of it with the next ones."""
    with raw.connected(pgpool) as client:
        client.send(raw.query("COPY t (id) FROM STDIN"), raw.copy_data("160\n"))
        client.read_until("G")
        with raw.Raw(pgpool) as canceller:
            canceller.send(raw.cancel_request(client.pid, client.key))
            canceller.drain_to_end()

        numbers = iter(range(100000, 200000))

        def answered():
            client.send(raw.copy_data(f"{next(numbers)}\n"))
            return not client.quiet(0)

        wait_for(answered, "the cancel request to arrive")
        assert raw.codes(client.read_until("Z")) == ["57014"]
        client.send(raw.COPY_DONE)
        client.simple("INSERT INTO t (id) VALUES (161)")
    assert ids(servers) == [161]


def peak_kib(pgpool):
    """Of the process that has taken the most."""
    peaks = []
    for pid in pgpool.pids():
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            peaks += [int(line.split()[1]) for line in file if line.startswith("VmHWM")]
    return max(peaks)


def test_it_is_as_fast_as_the_slowest_and_keeps_little(servers, start):
    pgpool = start(num_init_children=1)
    row = "1\t" + "x" * 8000 + "\n"
    size = 64 * MIB
    with raw.connected(pgpool, timeout=120) as client:
        client.simple("SELECT 1")
        before = peak_kib(pgpool)
        with servers[2].connect() as person:
            person.execute("BEGIN")
            person.execute("LOCK TABLE wide IN SHARE MODE")
            client.send(raw.query("COPY wide FROM STDIN"))
            client.read_until("G")
            sender = threading.Thread(daemon=True, target=client.socket.sendall, args=(
                raw.copy_data(row * 10) * (size // len(row) // 10) + raw.COPY_DONE,))
            sender.start()
            wait_for(lambda: waits_for_lock(servers[2]), "the COPY to wait on node 2")
            person.execute("COMMIT")
        assert kinds(client.read_until("Z")) == "CZ"
        sender.join(60)
        assert peak_kib(pgpool) - before < 8 * 1024
    assert servers.same("SELECT count(*) > 8000, min(length(v)) FROM wide") == [(True, 8000)]


def test_clients_that_copy_the_same_keys_leave_the_same(servers, pgpool):
    wrong = []
    may_fail = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected,
                psycopg.errors.SerializationFailure)

    def run(number):
        try:
            with pgpool.connect() as client:
                client.prepare_threshold = None
                for turn in range(15):
                    try:
                        client.execute("BEGIN")
                        if (turn + number) % 3 == 0:
                            client.execute("INSERT INTO t (id, v) VALUES (%s, %s)",
                                           (200 + turn, number))
                        client.execute("UPDATE t SET v = v * 3 %% 1000 + %s WHERE id = %s",
                                       (number, turn % 4 + 1))
                        copy(client, [200 + turn + 1, 300 + turn * 5 + number])
                        client.execute("COMMIT")
                    except may_fail:
                        client.execute("ROLLBACK")
        except psycopg.Error as error:
            wrong.append(error)

    clients = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(4)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(300)
        assert not thread.is_alive()
    assert wrong == []
    servers.same("SELECT id, v FROM t ORDER BY id")
    assert len(ids(servers)) > 15
