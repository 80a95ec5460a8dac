"""Native replication by the extended protocol: what drivers send."""

import psycopg
import pytest

import raw
from proxy import starter
from test_native import PREPARED, SETTINGS, Servers

pytestmark = [pytest.mark.plain, pytest.mark.takes(30)]


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    servers = Servers()
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="pgpool")
def pgpool_fixture(servers, engine):
    for start in starter(servers.cluster, engine):
        yield start(**SETTINGS)


@pytest.fixture(name="client")
def client_fixture(pgpool):
    with pgpool.connect() as connection:
        yield connection


def kinds(messages):
    return "".join(got.kind for got in messages)


def test_parameters_reach_all_nodes(servers, client):
    for n in range(12):  # psycopg prepares from the sixth time on
        client.execute("INSERT INTO t (id, v) VALUES (%s, %s)", (300 + n, n))
    client.execute("UPDATE t SET v = v + %s WHERE id = %s", (100, 300))
    rows = servers.same("SELECT id, v FROM t WHERE id BETWEEN 300 AND 311 ORDER BY id")
    assert rows == [(300, 100)] + [(300 + n, n) for n in range(1, 12)]
    assert servers.same(PREPARED) == [(0,)]


def test_transactions_of_parameters(servers, pgpool):
    with psycopg.connect(pgpool.dsn()) as client:  # not autocommit: it sends BEGIN itself
        client.execute("INSERT INTO t (id, v) VALUES (%s, %s)", (320, 1))
        client.execute("UPDATE t SET v = %s WHERE id = 320", (2,), prepare=True)
        client.commit()
        client.execute("INSERT INTO t (id, v) VALUES (%s, %s)", (321, 1))
        client.rollback()
        with pytest.raises(psycopg.errors.UniqueViolation):
            client.execute("INSERT INTO t (id, v) VALUES (%s, %s)", (320, 1))
        client.rollback()
    assert servers.same("SELECT id, v FROM t WHERE id IN (320, 321)") == [(320, 2)]


def test_many_in_one_batch(servers, client):
    with client.pipeline():
        for n in range(20):
            client.execute("INSERT INTO t (id, v) VALUES (%s, %s)", (330 + n, n))
    assert len(servers.same("SELECT id, v FROM t WHERE id BETWEEN 330 AND 349 ORDER BY id")) == 20
    with client.cursor() as cursor:
        cursor.executemany("UPDATE t SET v = %s WHERE id = %s", [(7, 330 + n) for n in range(20)])
    assert servers.same("SELECT DISTINCT v FROM t WHERE id BETWEEN 330 AND 349") == [(7,)]


def test_a_batch_that_fails_leaves_nothing(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(raw.parse("", "INSERT INTO t (id) VALUES ($1::int)"), raw.bind("", "", b"350"),
                    raw.execute(), raw.bind("", "", b"1"), raw.execute(), raw.message("S"))
        assert kinds(client.read_until("Z")) == "12C2EZ"
        assert client.rows("SELECT id FROM t WHERE id = 350") == []
        client.send(raw.parse("", "INSERT INTO t (id) VALUES ($1::int)"), raw.bind("", "", b"351"),
                    raw.execute(), raw.bind("", "", b"352"), raw.execute(), raw.message("S"))
        assert kinds(client.read_until("Z")) == "12C2CZ"
    assert servers.same("SELECT id FROM t WHERE id BETWEEN 350 AND 352 ORDER BY 1") == [
        (351,), (352,)]
    assert servers.same(PREPARED) == [(0,)]


def test_begin_and_the_first_statement_in_one_batch(servers, pgpool):
    """As JDBC does."""
    with raw.connected(pgpool) as client:
        client.send(raw.parse("", "BEGIN"), raw.bind("", ""), raw.execute(),
                    raw.parse("", "INSERT INTO t (id) VALUES (360)"), raw.bind("", ""),
                    raw.execute(), raw.message("S"))
        assert kinds(client.read_until("Z")) == "12C12CZ"
        assert servers.same("SELECT id FROM t WHERE id = 360") == []
        client.send(raw.parse("", "COMMIT"), raw.bind("", ""), raw.execute(), raw.message("S"))
        assert kinds(client.read_until("Z")) == "12CZ"
    assert servers.same("SELECT id FROM t WHERE id = 360") == [(360,)]


@pytest.mark.parametrize("begin", ["BEGIN", "START TRANSACTION", "begin read write"])
def test_values_and_the_gate_in_the_batch_that_begins_the_transaction(servers, pgpool, begin):
    first = [raw.parse("b", begin), raw.bind("", "b"), raw.execute()]
    with raw.connected(pgpool) as client:
        client.send(*first, raw.parse("", "INSERT INTO t (id, v, at) "
                                          "VALUES ($1, nextval('s'), now())"),
                    raw.bind("", "", b"361"), raw.describe("P"), raw.execute(), raw.SYNC)
        answer = client.read_until("Z")
        assert kinds(answer) == "12C12nCZ"
        assert answer[2].body == (b"START TRANSACTION\0" if begin[0] == "S" else b"BEGIN\0")
        assert answer[-1].body == b"T"
        assert servers.same("SELECT id FROM t WHERE id = 361") == []
        client.simple("COMMIT")
        client.send(raw.bind("", "b"), raw.execute(),
                    raw.parse("", "UPDATE t SET v = v + 1 WHERE v > 0"), raw.bind("", ""),
                    raw.execute(), raw.parse("", "SELECT 1"), raw.bind("", ""), raw.execute(),
                    raw.SYNC)
        assert kinds(client.read_until("Z")) == "2C12C12DCZ"
        client.simple("COMMIT")
        client.send(raw.bind("", "b"), raw.execute(),
                    raw.parse("", "INSERT INTO t (id) VALUES (1)"), raw.bind("", ""),
                    raw.execute(), raw.SYNC)
        answer = client.read_until("Z")
        assert kinds(answer) == "2C12EZ"
        assert answer[-1].body == b"E"
        client.simple("ROLLBACK")
        client.send(raw.bind("", "b"), raw.execute(),
                    raw.parse("", "LOAD 'plpgsql'"), raw.bind("", ""), raw.execute(), raw.SYNC)
        answer = client.read_until("Z")
        assert kinds(answer) == "2CEZ"
        assert answer[-1].body == b"E"
        assert raw.codes(client.simple("SELECT 1")) == ["25P02"]
        client.simple("COMMIT")
        assert client.rows("SELECT v > 0 FROM t WHERE id = 361") == [["t"]]
        servers.same("SELECT id, v, at FROM t ORDER BY id")
        client.simple("DELETE FROM t WHERE id = 361")


def test_prepared_with_flush_and_executed_later(servers, pgpool):
    """As asyncpg does."""
    with raw.connected(pgpool) as client:
        client.send(raw.parse("a", "INSERT INTO t (id) VALUES ($1)"), raw.describe("S", "a"),
                    raw.message("H"))
        assert kinds(client.read_until("Tn")) == "1tn"
        client.send(raw.bind("", "a", b"370"), raw.execute(), raw.message("S"))
        assert kinds(client.read_until("Z")) == "2CZ"
        client.send(raw.bind("", "a", b"371"), raw.execute(), raw.message("S"))
        assert kinds(client.read_until("Z")) == "2CZ"
    assert servers.same("SELECT id FROM t WHERE id BETWEEN 370 AND 371 ORDER BY 1") == [
        (370,), (371,)]


def test_rows_that_are_returned_in_binary(servers, client):
    cursor = client.cursor(binary=True)
    cursor.execute("INSERT INTO t (id, v) VALUES (%s, %s) RETURNING id, v", (380, 5))
    assert cursor.fetchall() == [(380, 5)]
    assert servers.same("SELECT v FROM t WHERE id = 380") == [(5,)]


def test_another_node_s_error_is_told_at_the_end_of_the_batch(servers, client):
    servers[2].rows("INSERT INTO t (id) VALUES (390) RETURNING id")
    with pytest.raises(psycopg.errors.SerializationFailure, match="node 2"):
        client.execute("INSERT INTO t (id) VALUES (%s)", (390,))
    assert servers.all("SELECT id FROM t WHERE id = 390") == [[], [], [(390,)]]
    client.execute("SELECT %s", (1,))


def test_values_are_the_main_node_s(servers, client):
    client.execute("CREATE TABLE filled (id serial PRIMARY KEY, v int, "
                   "at timestamptz DEFAULT clock_timestamp())")
    for n in range(8):
        client.execute("INSERT INTO filled (v) VALUES (%s)", (n,), prepare=True)
    assert client.execute("INSERT INTO filled (v, at) VALUES (%s, now()) RETURNING id",
                          (8,)).fetchone() == (9,)
    with client.pipeline():
        for n in range(9, 15):
            client.execute("INSERT INTO filled (v) VALUES (%s)", (n,))
    client.execute("BEGIN")
    with client.cursor() as cursor:
        cursor.executemany("INSERT INTO filled (v) VALUES (%s)", [(n,) for n in range(15, 20)])
    client.execute("COMMIT")
    rows = servers.same("SELECT id, v, at FROM filled ORDER BY id")
    assert [row[:2] for row in rows] == [(n + 1, n) for n in range(20)]
    assert len({row[2] for row in rows}) == 20


@pytest.mark.parametrize("first", ["SELECT 1", "INSERT INTO t (id) VALUES (396)", "SELECT 1 / 0"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "ROLLBACK TO a"])
def test_the_end_of_a_transaction_and_a_write_in_one_batch(servers, pgpool, first, end):
    with raw.connected(pgpool) as client:
        for text in ("BEGIN", "SAVEPOINT a", first):
            client.simple(text)
        client.send(raw.parse("", end), raw.bind("", ""), raw.execute(),
                    raw.parse("", "INSERT INTO t (id) VALUES (397)"), raw.bind("", ""),
                    raw.execute(), raw.message("S"))
        assert kinds(client.read_until("Z")) == "12C12CZ"
        client.simple("ROLLBACK")
        wanted = [(396,)] if end == "COMMIT" and first[0] == "I" else []
        wanted += [(397,)] if end != "ROLLBACK TO a" else []
        assert servers.same("SELECT id FROM t WHERE id IN (396, 397) ORDER BY id") == wanted
        client.simple("DELETE FROM t WHERE id IN (396, 397)")


@pytest.mark.parametrize("batch", [
    [raw.parse("", "INSERT INTO t (id) VALUES (395)"), raw.bind("p", ""), raw.execute("p", 1)],
    [raw.parse("", "INSERT INTO t (id) VALUES (395)"), raw.bind("p", "")],
    [raw.parse("", "INSERT INTO t (id) VALUES (395)"), raw.bind("", ""), raw.execute(),
     raw.parse("", "COMMIT"), raw.bind("", ""), raw.execute()],
    [raw.parse("", "UPDATE t SET at = $1 WHERE id = 1"), raw.bind("", "", b"now"), raw.execute()],
])
def test_what_is_not_built_is_refused(servers, pgpool, batch):
    with raw.connected(pgpool) as client:
        client.send(*batch, raw.message("S"))
        answer = client.read_until("Z")
        assert kinds(answer) == "EZ"
        assert answer[0].fields()["C"] == "0A000"
        assert client.rows("SELECT 1") == [["1"]]
    assert servers.same("SELECT id FROM t WHERE id = 395 OR at IS NOT NULL") == []
