"""backend_clustering_mode = native_replication: three servers that know nothing of each other, and
what a session does with them. What is in them is read from each one directly."""

import os

import psycopg
import pytest

import raw
from cluster import run
from independent import Independent
from proxy import starter
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

SETTINGS = {
    "backend_clustering_mode": "native_replication",
    "health_check_period": 1,
    "health_check_max_retries": 1,
    "health_check_retry_delay": 1,
    "health_check_user": "postgres",
    "health_check_database": "postgres",
    "backend_weight0": 1,
    "client_min_messages": "error",
    "log_min_messages": "debug1",
}
PREPARED = "SELECT count(*) FROM pg_prepared_xacts"
TABLES = """
CREATE TABLE t (id int PRIMARY KEY, v int, at timestamptz);
CREATE TABLE later (id int, CONSTRAINT one UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE s;
INSERT INTO t SELECT n, 0 FROM generate_series(1, 5) n;
"""


class Servers:
    def __init__(self):
        self.cluster = Independent(standbys=2)
        for number, server in enumerate(self.cluster.servers):
            with server.connect() as connection:
                connection.execute(TABLES)
                connection.execute(f"CREATE TABLE place AS SELECT {number} AS number")

    def __iter__(self):
        return iter(self.cluster.servers)

    def __getitem__(self, number):
        return self.cluster.servers[number]

    def all(self, sql):
        """What each of them answers."""
        return [server.rows(sql) for server in self.cluster.servers]

    def same(self, sql):
        """What all of them answer."""
        answers = self.all(sql)
        assert answers[0] == answers[1] == answers[2], answers
        return answers[0]

    def wait_all(self, sql, rows, what):
        """Waits until all of them answer that; meanwhile one may be ahead of another."""
        wait_for(lambda: self.all(sql) == [rows] * 3, what)


def servers_with(sql):
    """For a fixture: three servers, on each of which this was run besides."""
    servers = Servers()
    for server in servers:
        with server.connect() as connection:
            connection.execute(sql)
    yield servers
    servers.cluster.destroy()


def servers_beside_a_model(tables):
    """With these tables, and on the first server a database of its own with them, past pgpool:
    what PostgreSQL answers there, we answer."""
    servers = Servers()
    with servers[0].connect() as connection:
        connection.execute("CREATE DATABASE model")
    with servers[0].connect(dbname="model") as connection:
        connection.execute(tables)
    for number, server in enumerate(servers):
        with server.connect() as connection:
            for _ in range(number * 3):  # so that what is made has another number on each
                connection.execute("CREATE TYPE other AS ENUM ()")
                connection.execute("DROP TYPE other")
            connection.execute(tables)
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    servers = Servers()
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(servers, engine):
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**SETTINGS | more)


@pytest.fixture(name="pgpool")
def pgpool_fixture(start):
    return start()


@pytest.fixture(name="client")
def client_fixture(pgpool):
    with pgpool.connect() as connection:
        yield connection


def test_a_write_is_on_all_nodes_when_it_is_answered(servers, client):
    client.execute("INSERT INTO t (id, v) VALUES (10, 1)")
    assert servers.same("SELECT v FROM t WHERE id = 10") == [(1,)]
    assert client.execute("UPDATE t SET v = 2 WHERE id = 10").statusmessage == "UPDATE 1"
    assert servers.same("SELECT v FROM t WHERE id = 10") == [(2,)]
    assert client.execute("DELETE FROM t WHERE id = 10 RETURNING v").fetchall() == [(2,)]
    assert servers.same("SELECT v FROM t WHERE id = 10") == []
    assert servers.same(PREPARED) == [(0,)]


def test_a_transaction_is_on_all_nodes_when_its_commit_is_answered(servers, client):
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id, v) VALUES (20, 1)")
    client.execute("SAVEPOINT a")
    client.execute("UPDATE t SET v = 5 WHERE id = 20")
    client.execute("ROLLBACK TO a")
    assert client.execute("SELECT v FROM t WHERE id = 20").fetchall() == [(1,)]
    assert servers.same("SELECT v FROM t WHERE id = 20") == []
    assert client.execute("COMMIT").statusmessage == "COMMIT"
    assert servers.same("SELECT v FROM t WHERE id = 20") == [(1,)]
    assert servers.same(PREPARED) == [(0,)]


def test_a_rollback_leaves_nothing_anywhere(servers, client):
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id, v) VALUES (30, 1)")
    client.execute("ROLLBACK")
    client.execute("INSERT INTO t (id, v) VALUES (31, 1)")
    assert servers.same("SELECT id FROM t WHERE id IN (30, 31)") == [(31,)]


def test_an_error_on_the_main_node_reaches_nobody_else(servers, client):
    with pytest.raises(psycopg.errors.UniqueViolation):
        client.execute("INSERT INTO t (id, v) VALUES (1, 1)")
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id, v) VALUES (40, 1)")
    client.execute("SAVEPOINT a")
    with pytest.raises(psycopg.errors.UniqueViolation):
        client.execute("INSERT INTO t (id, v) VALUES (1, 1)")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        client.execute("INSERT INTO t (id, v) VALUES (41, 1)")
    client.execute("ROLLBACK TO a")
    client.execute("INSERT INTO t (id, v) VALUES (42, 1)")
    client.execute("COMMIT")
    assert servers.same("SELECT id FROM t WHERE id BETWEEN 40 AND 42 ORDER BY 1") == [(40,), (42,)]
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id, v) VALUES (43, 1)")
    with pytest.raises(psycopg.errors.DivisionByZero):
        client.execute("UPDATE t SET v = 1 / 0 WHERE id = 43")
    assert client.execute("COMMIT").statusmessage == "ROLLBACK"
    assert servers.same("SELECT id FROM t WHERE id = 43") == []


def test_a_commit_that_the_main_node_refuses_is_one_nowhere(servers, client):
    with pytest.raises(psycopg.errors.UniqueViolation):
        client.execute("INSERT INTO later VALUES (1), (1)")
    client.execute("BEGIN")
    client.execute("INSERT INTO later VALUES (2), (2)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        client.execute("COMMIT")
    client.execute("INSERT INTO later VALUES (3)")
    assert servers.same("SELECT id FROM later") == [(3,)]
    assert servers.same(PREPARED) == [(0,)]


def test_an_error_on_another_node_ends_the_transaction_everywhere(servers, client):
    """It has a row that the main node does not have."""
    servers[2].rows("INSERT INTO t (id, v) VALUES (50, 7) RETURNING id")
    with pytest.raises(psycopg.errors.SerializationFailure, match="node 2"):
        client.execute("INSERT INTO t (id, v) VALUES (50, 1)")
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id, v) VALUES (51, 1)")
    client.execute("INSERT INTO t (id, v) VALUES (50, 1)")
    with pytest.raises(psycopg.errors.SerializationFailure, match="node 2"):
        client.execute("COMMIT")
    client.execute("INSERT INTO t (id, v) VALUES (52, 1)")
    ids = servers.all("SELECT id FROM t WHERE id BETWEEN 50 AND 52 ORDER BY 1")
    assert ids == [[(52,)], [(52,)], [(50,), (52,)]]
    assert servers.same(PREPARED) == [(0,)]
    servers[2].rows("DELETE FROM t WHERE id = 50 RETURNING id")


def test_another_row_count_ends_the_transaction_everywhere(servers, pgpool, client):
    servers[1].rows("UPDATE t SET v = 9 WHERE id = 1 RETURNING id")
    with pytest.raises(psycopg.errors.SerializationFailure, match='"UPDATE 0", not "UPDATE 1"'):
        client.execute("UPDATE t SET v = 1 WHERE id = 1 AND v = 0")
    assert servers.all("SELECT v FROM t WHERE id = 1") == [[(0,)], [(9,)], [(0,)]]
    servers[1].rows("UPDATE t SET v = 0 WHERE id = 1 RETURNING id")
    assert "node 1 did not do what the main node did" in pgpool.log_text()


def test_a_block_that_another_node_has_broken_goes_on_as_failed(servers, client):
    servers[1].rows("UPDATE t SET v = 9 WHERE id = 2 RETURNING id")
    client.execute("BEGIN")
    client.execute("UPDATE t SET v = 1 WHERE id = 2 AND v = 0")

    def told():
        try:
            client.execute("SELECT 1")
        except psycopg.errors.SerializationFailure:
            return True
        return False

    wait_for(told, "the error of node 1")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        client.execute("SELECT 1")
    assert client.execute("COMMIT").statusmessage == "ROLLBACK"
    assert servers.all("SELECT v FROM t WHERE id = 2") == [[(0,)], [(9,)], [(0,)]]
    servers[1].rows("UPDATE t SET v = 0 WHERE id = 2 RETURNING id")


def test_values_are_the_main_node_s(servers, client):
    client.execute("INSERT INTO t (id, v, at) VALUES (60, 1, now())")
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id, v, at) VALUES (61, nextval('s'), clock_timestamp())")
    client.execute("COMMIT")
    client.execute("UPDATE t SET v = nextval('s') WHERE id = 60")
    rows = servers.same("SELECT id, v, at FROM t WHERE id IN (60, 61) ORDER BY 1")
    assert [row[:2] for row in rows] == [(60, 2), (61, 1)]
    assert servers.same("SELECT last_value FROM s") == [(2,)]
    client.execute("CREATE TABLE v1 AS SELECT nextval('s') AS n, now() AS at")
    assert [row[0] for row in servers.same("SELECT n, at FROM v1")] == [3]


def test_defaults_are_the_main_node_s(servers, client):
    client.execute("CREATE TABLE filled (id serial PRIMARY KEY, v int, "
                   "at timestamptz DEFAULT clock_timestamp(), u uuid DEFAULT gen_random_uuid())")
    client.execute("INSERT INTO filled (v) VALUES (1), (2)")
    client.execute("BEGIN")
    client.execute("ALTER TABLE filled ADD COLUMN more timestamptz")
    client.execute("ALTER TABLE filled ALTER COLUMN more SET DEFAULT clock_timestamp()")
    client.execute("INSERT INTO filled (v) VALUES (3)")
    client.execute("COMMIT")
    rows = servers.same("SELECT id, v, at, u, more FROM filled ORDER BY id")
    assert [row[:2] for row in rows] == [(1, 1), (2, 2), (3, 3)]
    assert rows[2][4] is not None and rows[0][3] != rows[1][3]


def test_settings_are_the_same_on_all_nodes(servers, client):
    client.execute("SET timezone = 'Asia/Tokyo'")
    client.execute("INSERT INTO t (id, at) VALUES (70, '2020-01-01 00:00')")
    client.execute("BEGIN")
    client.execute("SET timezone = 'UTC'")
    client.execute("INSERT INTO t (id, at) VALUES (71, '2020-01-01 00:00')")
    client.execute("SET LOCAL timezone = 'America/New_York'")
    client.execute("INSERT INTO t (id, at) VALUES (72, '2020-01-01 00:00')")
    client.execute("COMMIT")
    client.execute("INSERT INTO t (id, at) VALUES (73, '2020-01-01 00:00')")
    rows = servers.same("SELECT extract(day FROM at AT TIME ZONE 'UTC')::int, "
                        "extract(hour FROM at AT TIME ZONE 'UTC')::int "
                        "FROM t WHERE id BETWEEN 70 AND 73 ORDER BY id")
    assert rows == [(31, 15), (1, 0), (1, 5), (1, 0)]


def test_definitions_and_what_runs_in_no_transaction(servers, client):
    client.execute("CREATE TABLE made (id int)")
    client.execute("CREATE INDEX CONCURRENTLY made_id ON made (id)")
    client.execute("VACUUM made")
    assert servers.same("SELECT count(*) FROM pg_class WHERE relname LIKE 'made%'") == [(2,)]
    client.execute("DROP TABLE made")
    assert servers.same("SELECT count(*) FROM pg_class WHERE relname LIKE 'made%'") == [(0,)]


def test_temporary_tables_are_on_all_nodes(servers, client):
    client.execute("CREATE TEMPORARY TABLE mine (id int)")
    client.execute("INSERT INTO mine VALUES (80)")
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id) SELECT id FROM mine")
    client.execute("COMMIT")
    assert servers.same("SELECT id FROM t WHERE id = 80") == [(80,)]


def test_reads_are_spread_until_the_transaction_has_written(servers, pgpool):
    seen = set()
    for _ in range(12):
        with pgpool.connect() as connection:
            seen.add(connection.execute("SELECT number FROM place").fetchone()[0])
    assert seen == {0, 1, 2}
    with pgpool.connect() as connection:
        for n in range(5):
            connection.execute("BEGIN")
            connection.execute("SELECT 1")
            connection.execute(f"INSERT INTO t (id) VALUES ({90 + n})")
            assert connection.execute("SELECT number FROM place").fetchone() == (0,)
            assert connection.execute(f"SELECT id FROM t WHERE id = {90 + n}").fetchall()
            connection.execute("COMMIT")
    assert len(servers.same("SELECT id FROM t WHERE id BETWEEN 90 AND 94")) == 5


REFUSED = [
    "INSERT INTO t (id) VALUES (100); COMMIT; INSERT INTO t (id) VALUES (101)",
    "SAVEPOINT b; INSERT INTO t (id) VALUES (101)",
    "SET search_path TO pg_temp, public; INSERT INTO t (id) VALUES (101)",
    "CREATE TABLE fresh (id int); INSERT INTO fresh VALUES (101)",
    "INSERT INTO t (id) VALUES (101); COPY t (id) FROM STDIN",
    "LISTEN a; INSERT INTO t (id) VALUES (101)",
    "SELECT pg_advisory_lock(1); INSERT INTO t (id) VALUES (101)",
    "PREPARE TRANSACTION 'mine'",
    "LOAD 'plpgsql'",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_not_built_is_refused_and_runs_nowhere(servers, client, statement):
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        client.execute(statement)
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id) VALUES (103)")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        client.execute(statement)
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        client.execute("SELECT 1")
    client.execute("ROLLBACK")
    assert servers.same("SELECT id FROM t WHERE id BETWEEN 100 AND 103") == []


def test_several_statements_are_one_transaction_on_all_nodes(servers, pgpool):
    text = ("INSERT INTO t (id, v, at) VALUES (150, nextval('s'), now()); "
            "UPDATE t SET v = v + 1 WHERE id = 150 RETURNING v; SELECT id FROM t WHERE id = 150; "
            "INSERT INTO t (id, at) VALUES (151, clock_timestamp())")
    with raw.connected(pgpool) as client:
        assert "".join(got.kind for got in client.simple(text)) == "CTDCTDCCZ"
        rows = servers.same("SELECT id, v IS NULL, at FROM t WHERE id IN (150, 151) ORDER BY 1")
        assert [row[:2] for row in rows] == [(150, False), (151, True)]
        servers.same("SELECT id, v, at FROM t WHERE id IN (150, 151)")
        assert raw.codes(client.simple("UPDATE t SET v = -1 WHERE id = 150; "
                                       "INSERT INTO t (id) VALUES (1); SELECT 1")) == ["23505"]
        assert client.rows("SELECT 1; SELECT 2") == [["1"], ["2"]]
        client.simple("BEGIN")
        client.simple("SAVEPOINT a")
        client.simple("INSERT INTO t (id) VALUES (152); INSERT INTO t (id) VALUES (153)")
        assert raw.codes(client.simple("DELETE FROM t; SELECT 1 / 0")) == ["22012"]
        assert raw.codes(client.simple("DELETE FROM t; SELECT 1")) == ["25P02"]
        client.simple("ROLLBACK TO a")
        client.simple("INSERT INTO t (id) VALUES (154); INSERT INTO t (id) VALUES (155)")
        client.simple("SET work_mem = '5MB'; SET DateStyle = 'German'")
        client.simple("INSERT INTO t (id, at) VALUES (156, '1.2.2003')")
        client.simple("COMMIT")
    assert servers.same("SELECT id FROM t WHERE id > 151 AND id < 160 ORDER BY 1") == [
        (154,), (155,), (156,)]
    assert servers.same("SELECT v > 0 FROM t WHERE id = 150") == [(True,)]
    servers.same("SELECT at FROM t WHERE id = 156")


def test_several_statements_that_another_node_has_not_done(servers, client):
    servers[1].rows("INSERT INTO t (id) VALUES (161) RETURNING id")
    with pytest.raises(psycopg.errors.SerializationFailure, match="node 1"):
        client.execute("INSERT INTO t (id) VALUES (160); INSERT INTO t (id) VALUES (161)")
    assert servers.all("SELECT id FROM t WHERE id IN (160, 161)") == [[], [(161,)], []]
    servers[1].rows("DELETE FROM t WHERE id = 161 RETURNING id")


def test_statements_sent_together_behind_an_error_are_on_all_nodes(servers, pgpool):
    """ROLLBACK has not been answered when the next one comes."""
    with raw.connected(pgpool) as client:
        client.simple("BEGIN")
        assert raw.codes(client.simple("INSERT INTO t (id) VALUES (1)")) == ["23505"]
        client.send(raw.query("ROLLBACK"), raw.query("INSERT INTO t (id) VALUES (165)"))
        assert raw.codes(client.read_until("Z", 2)) == []
        client.simple("BEGIN")
        assert raw.codes(client.simple("INSERT INTO t (id) VALUES (1)")) == ["23505"]
        client.send(raw.query("ROLLBACK"),
                    raw.query("INSERT INTO t (id) VALUES (166); INSERT INTO t (id) VALUES (167)"))
        assert raw.codes(client.read_until("Z", 2)) == []
    assert len(servers.same("SELECT id FROM t WHERE id BETWEEN 165 AND 167")) == 3


def test_several_statements_behind_an_error_run_nowhere(servers, client):
    """In a block that has failed ROLLBACK lets others through."""
    for text in ("ROLLBACK TO a; INSERT INTO t (id) VALUES (105)",
                 "ROLLBACK; INSERT INTO t (id) VALUES (105)"):
        client.execute("BEGIN")
        client.execute("SAVEPOINT a")
        with pytest.raises(psycopg.errors.DivisionByZero):
            client.execute("UPDATE t SET v = 1 / 0")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            client.execute(text)
        client.execute("COMMIT")
    assert servers.same("SELECT id FROM t WHERE id = 105") == []


def test_long_statements(servers, client):
    """More than what other modes hold of a statement."""
    client.execute("CREATE TABLE long (id int PRIMARY KEY, v text, at timestamptz)")
    rows = ", ".join(f"({n}, '{'x' * 100}', now())" for n in range(6000))
    assert len(rows) > 700000
    assert client.execute(f"INSERT INTO long VALUES {rows}").statusmessage == "INSERT 0 6000"
    assert servers.same("SELECT count(*), count(DISTINCT at) FROM long") == [(6000, 1)]
    for size in (1 << 20, 17 << 20):
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="more than 1 MB"):
            client.execute(f"INSERT INTO long VALUES (-1, '{'x' * size}')")
    client.execute("INSERT INTO long VALUES (%s, %s)", (-2, "y" * (2 << 20)))
    client.execute("BEGIN")
    client.execute("INSERT INTO long VALUES (%s, %s, now())", (-3, "z" * (2 << 20)))
    client.execute("COMMIT")
    assert servers.same("SELECT id, length(v) FROM long WHERE id < 0 ORDER BY id") == [
        (-3, 2 << 20), (-2, 2 << 20)]
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="more than 16 MB"):
        client.execute("INSERT INTO long VALUES (%s, %s)", (-4, "y" * (17 << 20)))
    client.execute("DROP TABLE long")


def test_what_is_not_known_to_be_equal_is_refused(servers, start):
    unequal = "INSERT INTO t (id) SELECT 110 + (random() * 1000000)::int FROM t LIMIT 1"
    with start().connect() as client:
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            client.execute(unequal)
        assert servers.same("SELECT id FROM t WHERE id BETWEEN 110 AND 119") == []
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("INSERT INTO nowhere VALUES (1)")
    with start(replication_unsafe_statements="allow").connect() as client:
        client.execute(unequal)
    ids = servers.all("SELECT max(id) FROM t")
    assert len({row[0] for row in ids}) == 3, ids
    for server in servers:
        server.rows("DELETE FROM t WHERE id > 100000 RETURNING id")


def test_a_client_that_goes_leaves_nothing(servers, pgpool):
    client = pgpool.connect()
    client.execute("BEGIN")
    client.execute("INSERT INTO t (id) VALUES (120)")
    client.close()
    servers.wait_all("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = relation "
                     "WHERE relname = 't'", [(0,)], "its transaction to end everywhere")
    assert servers.same("SELECT id FROM t WHERE id = 120") == []


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_clients_that_meet_in_the_same_rows_leave_the_same(servers, pgpool, protocol):
    """The order is the main node's, everywhere."""
    script = os.path.join(pgpool.directory, "meet.sql")
    with open(script, "w", encoding="utf-8") as file:
        file.write("\\set a random(1, 4)\n\\set b random(1, 1000)\n"
                   "BEGIN;\nUPDATE t SET v = v * 3 % 1000 + :b WHERE id = :a;\n"
                   "UPDATE t SET v = v + 1 WHERE id = :a;\nCOMMIT;\n"
                   "UPDATE t SET v = v * 7 % 1000 WHERE id = :a;\n")
    done = run("pgbench", "-n", "-c", "6", "-j", "2", "-t", "40", "-M", protocol, "-f", script,
               env=pgpool.env())
    assert "number of transactions actually processed: 240/240" in done.stdout, done.stdout
    assert len(servers.same("SELECT id, v FROM t WHERE id <= 4 ORDER BY id")) == 4
    assert servers.same(PREPARED) == [(0,)]
