"""Native replication and snapshot isolation: PREPARE and EXECUTE in SQL. What a client is answered
is compared with what PostgreSQL itself answers, and what is in the servers with each other."""

import re

import psycopg
import pytest

import raw
from proxy import starter
from test_native import PREPARED, SETTINGS, servers_beside_a_model
from test_native_faults import end_connections
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

TABLES = """
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE TABLE p (id int PRIMARY KEY, v numeric, at timestamptz DEFAULT now(), m mood);
CREATE TABLE words (id int PRIMARY KEY, w text);
CREATE SEQUENCE numbers;
INSERT INTO p (id, v, at) SELECT n, n, '2020-01-01' FROM generate_series(1, 5) n;
"""
ALL = ["SELECT * FROM p ORDER BY id", "SELECT * FROM words ORDER BY id",
       "SELECT last_value, is_called FROM numbers",
       PREPARED]


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_beside_a_model(TABLES)


@pytest.fixture(name="start", params=["native_replication", "snapshot_isolation"])
def start_fixture(servers, engine, request):
    for server, database in [*((server, "test") for server in servers), (servers[0], "model")]:
        with psycopg.connect(server.dsn(dbname=database), autocommit=True) as connection:
            connection.execute("DELETE FROM p WHERE id > 5; UPDATE p SET v = id; TRUNCATE words")
    mode = {"backend_clustering_mode": request.param}
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**SETTINGS | mode | more)
    for sql in ALL:
        servers.same(sql)


@pytest.fixture(name="pgpool")
def pgpool_fixture(start):
    return start()


def plain(got):
    """What protocol's statements are called on servers is pgpool's own affair."""
    kind, *parts = got.comparable()
    if kind == "E":
        parts[0]["M"] = re.sub(r'(prepared statement) "[^"]*" (requires)', r"\1 \2", parts[0]["M"])
    return kind, *parts


class Both:
    """The same messages to pgpool and to PostgreSQL."""

    def __init__(self, pgpool, servers):
        self.servers = servers
        self.client = raw.connected(pgpool)
        self.model = raw.connected(servers[0], database="model")

    def __call__(self, step):
        """step: a Query, or messages up to Sync. What came of it is the same; returns it."""
        answers = []
        for to in (self.client, self.model):
            to.send(raw.query(step) if isinstance(step, str) else b"".join([*step, raw.SYNC]))
            answers.append([plain(got) for got in to.read_until("Z") if got.kind not in "SN"])
        assert answers[0] == answers[1], (step, answers)
        self.open = answers[0][-1] != ("Z", b"I")
        return answers[0]

    def play(self, steps, tables):
        """All of them; outside of a transaction the nodes have the same in these, each a SELECT."""
        for step in steps:
            self(step)
            for sql in () if self.open else tables:
                self.servers.same(sql)

    def close(self):
        self.client.close()
        self.model.close()


@pytest.fixture(name="both")
def both_fixture(pgpool, servers):
    both = Both(pgpool, servers)
    yield both
    both.close()


def bound(name, *values):
    return [raw.bind("", name, *values), raw.execute()]


def text(sql, *values):
    """A statement by the extended protocol."""
    return [raw.parse("", sql), raw.bind("", "", *values), raw.describe("P"), raw.execute()]


SCRIPTS = {
    "plainly": [
        "PREPARE a AS INSERT INTO p (id, v, at) VALUES ($1, $2, '2021-01-01')",
        "EXECUTE a (10, 1.5)", "EXECUTE a(11, 1 + 1)", "execute\n/* ( */ a -- )\n (12, NULL) ; ",
        "EXECUTE a (10, 1)", "EXECUTE a (13)", "EXECUTE a (13, 'x')", "EXECUTE a",
        "PREPARE u (int, text) AS UPDATE p SET v = v + $1 WHERE id = $1 RETURNING id, v, $2",
        "EXECUTE u (10, 'it''s')", "EXECUTE u (99, 'none')",
        "PREPARE \"A b\" AS DELETE FROM p WHERE v > 1", "EXECUTE \"A b\"", "EXECUTE \"A b\"",
        "SELECT id, v FROM p ORDER BY id",
    ],
    "names": [
        "EXECUTE a (1)", "PREPARE a AS INSERT INTO words VALUES ($1, $2)",
        "PREPARE a AS SELECT 1", "EXECUTE a (1, 'x')",
        "PREPARE b AS INSERT INTO nowhere VALUES (1)",
        "EXECUTE b", "DEALLOCATE b", "DEALLOCATE a", "EXECUTE a (2, 'x')",
        "PREPARE a AS SELECT $1::int + 1", "EXECUTE a (2)", "DEALLOCATE PREPARE a",
        "PREPARE a AS DELETE FROM words WHERE id = $1", "EXECUTE a (1)", "DEALLOCATE ALL",
        "EXECUTE a (1)", "PREPARE a AS INSERT INTO words VALUES (5, 'y')", "EXECUTE a",
        "DISCARD ALL", "EXECUTE a", "PREPARE A AS INSERT INTO words VALUES (6, 'y')", "EXECUTE a",
        "SELECT name, statement, parameter_types FROM pg_prepared_statements "
        "WHERE name !~ '^pgpool'",
        "SELECT * FROM words ORDER BY id",
    ],
    "transactions": [
        "BEGIN", "PREPARE a AS INSERT INTO words VALUES ($1, $2)", "EXECUTE a (20, 'a')",
        "ROLLBACK", "EXECUTE a (21, 'b')", "BEGIN", "EXECUTE a (22, 'c')", "SAVEPOINT s",
        "EXECUTE a (22, 'd')", "EXECUTE a (23, 'e')", "ROLLBACK TO s", "EXECUTE a (23, 'e')",
        "COMMIT", "BEGIN", "EXECUTE a (24, 'f')", "EXECUTE b (1)", "PREPARE c AS SELECT 1",
        "COMMIT", "EXECUTE c", "BEGIN", "DEALLOCATE a", "EXECUTE a (25, 'g')", "ROLLBACK",
        "EXECUTE a (25, 'g')", "BEGIN", "EXECUTE nothing", "ROLLBACK",
        "SELECT * FROM words ORDER BY id",
    ],
    "what the protocol has named": [
        [raw.parse("a", "INSERT INTO words VALUES ($1, $2)")], bound("a", "30", "x"),
        "EXECUTE a (31, 'y')", "PREPARE a AS SELECT 1", "BEGIN", "EXECUTE a (32, 'z')", "COMMIT",
        [raw.close("S", "a")], "EXECUTE a (33, 'z')",
        "PREPARE b AS INSERT INTO words VALUES ($1, $2) RETURNING id", [raw.parse("b", "SELECT 1")],
        [raw.describe("S", "b")], bound("b", "33", "x"), bound("b", "33", "x"),
        [raw.bind("", "b", b"\0\0\0\x22", "y", formats=(1, 0)), raw.execute()],
        [raw.close("S", "b")], bound("b", "36", "x"), "EXECUTE b (36, 'x')",
        "PREPARE b (bigint, text) AS INSERT INTO words VALUES ($1, $2)",
        [raw.bind("", "b", b"\0\0\0\0\0\0\0\x25", "y", formats=(1, 0)), raw.execute()],
        bound("b", "38", "x") + bound("b", "39", "x"),
        bound("b", "40", "x") + bound("b", "39", "x"),
        "DEALLOCATE b", "SELECT * FROM words ORDER BY id",
    ],
    "the extended protocol": [
        text("PREPARE a AS INSERT INTO words VALUES ($1, $2) RETURNING w"),
        text("EXECUTE a (40, 'x')"), text("EXECUTE a ($1, $2)", "41", "y"),
        text("EXECUTE a (40, 'x')"), text("PREPARE a AS SELECT 1"),
        [raw.parse("run", "EXECUTE a ($1::int, 'z')")], bound("run", "42") + bound("run", "43"),
        "BEGIN", bound("run", "44"), "ROLLBACK", bound("run", "45"), text("DEALLOCATE a"),
        "SELECT * FROM words ORDER BY id",
    ],
    "reads": [
        "PREPARE r (int) AS SELECT v FROM p WHERE id = $1", "EXECUTE r (3)",
        "EXPLAIN EXECUTE r (3)",
        "BEGIN", "UPDATE p SET v = 33 WHERE id = 3", "EXECUTE r (3)", "ROLLBACK", "EXECUTE r (3)",
        "PREPARE l AS SELECT v FROM p WHERE id = $1 FOR UPDATE", "EXECUTE l (3)",
        "PREPARE w AS INSERT INTO words VALUES (50, 'x')", "EXPLAIN (COSTS OFF) EXECUTE w",
        "SELECT * FROM words",
    ],
    "types": [
        "PREPARE e AS INSERT INTO p (id, m, at) VALUES ($1, $2, '2021-01-01')",
        "EXECUTE e (60, 'sad')", "EXECUTE e (61, 'wild')", "EXECUTE e (61, 'fine'::mood)",
        "PREPARE s (smallint) AS INSERT INTO p (id, v, at) VALUES (62, $1, '2021-01-01')",
        "EXECUTE s (1.7)", "PREPARE o (int, text) AS DELETE FROM p WHERE id = 60",
        "EXECUTE o (1)", "EXECUTE o (1, 'x')",
        "PREPARE k AS INSERT INTO words VALUES ($1, $2)", "ALTER TABLE words ALTER id TYPE numeric",
        "EXECUTE k (63.4, 'x')", "ALTER TABLE words ALTER id TYPE int", "EXECUTE k (64.6, 'y')",
        "SELECT id, v, m::text FROM p ORDER BY id", "SELECT * FROM words",
    ],
    "settings": [
        "CREATE SCHEMA other", "CREATE TABLE other.words (id int PRIMARY KEY, w text)",
        "PREPARE a AS INSERT INTO words VALUES ($1, 'x')", "EXECUTE a (70)",
        "SET search_path TO other", "EXECUTE a (71)", "RESET search_path", "EXECUTE a (72)",
        "SELECT * FROM words", "SELECT * FROM other.words", "DROP SCHEMA other CASCADE",
        "PREPARE b AS INSERT INTO words VALUES ($1, 'a\\b')", "EXECUTE b (73)",
        "SELECT * FROM words ORDER BY id",
    ],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_is_as_with_postgresql(both, script):
    both.play(SCRIPTS[script], ALL)


def test_names_that_are_not_known_in_the_extended_protocol(pgpool):
    with raw.connected(pgpool) as client:
        client.simple("PREPARE a AS INSERT INTO words VALUES (48, 'x')")
        client.send(raw.parse("run", "EXECUTE a"), raw.SYNC)
        client.read_until("Z")
        client.simple("DEALLOCATE a")
        for step in (text("EXECUTE a"), bound("run"), bound("a")):
            client.send(*step, raw.SYNC)
            assert raw.codes(client.read_until("Z")) == ["26000"]


def test_values_are_the_main_nodes(servers, pgpool):
    """In what is prepared, and in the arguments."""
    with pgpool.connect() as client:
        client.execute("PREPARE a AS INSERT INTO p (id, v) VALUES ($1, nextval('numbers')) "
                       "RETURNING v")
        first = client.execute("EXECUTE a (100)").fetchall()[0][0]
        assert client.execute("EXECUTE a (101)").fetchall() == [(first + 1,)]
        client.execute("PREPARE b (int, timestamptz, numeric) AS "
                       "INSERT INTO p (id, at, v) VALUES ($1, $2, $3)")
        client.execute("EXECUTE b (102, clock_timestamp(), random()::numeric)")
        client.execute("EXECUTE b (103, '2020-02-02', nextval('numbers')) -- it's")
        assert client.execute("SELECT v FROM p WHERE id = 103").fetchall() == [(first + 2,)]
        client.execute("PREPARE \"an update\" AS UPDATE p SET at = now(), v = random() + $2 "
                       "WHERE id = $1 RETURNING at = now(), 'a' /* ( */")
        with client.transaction():
            client.execute("EXECUTE \"an update\" (100, nextval('numbers'))")
            assert client.execute("EXECUTE \"an update\" (101, 2.5::float8)").fetchall() == [
                (True, "a")]
            with pytest.raises(psycopg.errors.UniqueViolation):
                with client.transaction():
                    client.execute("EXECUTE a (100)")
        rows = servers.same("SELECT id, v >= 2.5, at > now() - interval '1 hour' FROM p "
                            "WHERE id > 99 ORDER BY id")
        assert [row[0] for row in rows] == [100, 101, 102, 103]
        assert rows[1] == (101, True, True) and rows[3][2] is False
        client.execute("PREPARE r AS SELECT $1::bigint, count(*) > 0 FROM p")
        drawn = client.execute("EXECUTE r (nextval('numbers'))").fetchall()
        assert drawn == [(servers.same("SELECT last_value FROM numbers")[0][0], True)]
        assert client.execute("EXECUTE r (lastval())").fetchall() == drawn
        assert client.execute("EXECUTE r (1 + 2)").fetchall() == [(3, True)]
        client.execute("PREPARE m AS INSERT INTO p (id, m) VALUES ($1, $2)")
        client.execute("EXECUTE m (104, 'sad')")
        assert servers.same("SELECT m::text FROM p WHERE id = 104") == [("sad",)]
        with raw.connected(pgpool) as other:
            other.simple("PREPARE a AS INSERT INTO p (id, v) VALUES ($1, nextval('numbers'))")
            other.send(*bound("a", "105"), *bound("a", "106"), raw.SYNC)
            assert "".join(got.kind for got in other.read_until("Z")) == "2C2CZ"
            other.send(*text("EXECUTE a (107)"), raw.SYNC)
            assert raw.codes(other.read_until("Z")) == ["0A000"]
        assert len(servers.same("SELECT id, v FROM p WHERE id > 104 ORDER BY id")) == 2


REFUSED = {
    "PREPARE a AS UPDATE p SET v = random() WHERE v > 1": ["EXECUTE a"],
    "PREPARE a AS INSERT INTO p (id, at) VALUES ($1, $2)": ["EXECUTE a (110, 'now')"],
    "PREPARE a (mood) AS INSERT INTO p (id, m) VALUES (110, $1)": ["EXECUTE a ('sad')"],
    "PREPARE a AS INSERT INTO words VALUES (110, 'a') RETURNING w": [
        "EXPLAIN ANALYZE EXECUTE a", "CREATE TABLE made AS EXECUTE a",
        "SELECT 1; EXECUTE a", "INSERT INTO words VALUES (111, 'a'); EXECUTE a"],
    "PREPARE a AS SELECT $1::bigint": ["EXPLAIN EXECUTE a (nextval('numbers'))",
                                       "EXPLAIN ANALYZE EXECUTE a (nextval('numbers'))"],
    "PREPARE U&\"a\" AS INSERT INTO words VALUES (110, 'a')": ["EXECUTE a"],
    "SELECT 1": ["PREPARE a AS INSERT INTO", "SELECT 1; PREPARE a AS INSERT INTO words VALUES (1)",
                 "PREPARE a AS SELECT 1; EXECUTE a"],
}


@pytest.mark.parametrize("prepare", REFUSED)
def test_what_is_not_equal_is_refused_and_runs_nowhere(servers, pgpool, prepare):
    before = [servers.same(sql) for sql in ALL]
    with pgpool.connect() as client:
        client.execute(prepare)
        for execute in REFUSED[prepare]:
            with pytest.raises(psycopg.errors.FeatureNotSupported) as refusal:
                client.execute(execute)
            assert refusal.value.diag.message_hint
            client.execute("BEGIN")
            client.execute("INSERT INTO words VALUES (112, 'a')")
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                client.execute(execute)
            client.execute("COMMIT")
    assert [servers.same(sql) for sql in ALL] == before


def test_what_was_prepared_in_a_batch_that_failed_does_not_run_on_one_node(servers, pgpool):
    """It is there, but nobody has said so."""
    with raw.connected(pgpool) as client:
        client.send(*text("PREPARE a AS INSERT INTO words VALUES (115, 'x')"),
                    *text("SELECT 1 / 0"), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == ["22012"]
        assert raw.codes(client.simple("EXECUTE a")) == ["26000"]
        client.send(*bound("a"), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == ["26000"]
        client.simple("DEALLOCATE a")
        client.simple("PREPARE a AS INSERT INTO words VALUES (116, 'x')")
        assert raw.codes(client.simple("EXECUTE a")) == []
    assert servers.same("SELECT * FROM words") == [(116, "x")]


def test_another_reading_of_its_text_is_refused(servers, pgpool):
    with pgpool.connect() as client:
        client.execute("PREPARE a AS INSERT INTO words VALUES ($1, 'a\\b')")
        client.execute("PREPARE b AS INSERT INTO words VALUES ($1, 'b')")
        client.execute("EXECUTE a (120)")
        client.execute("SET standard_conforming_strings TO off")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="other parameters"):
            client.execute("EXECUTE a (121)")
        client.execute("EXECUTE b (122)")
        client.execute("RESET standard_conforming_strings")
        client.execute("EXECUTE a (123)")
    assert servers.same("SELECT id, w FROM words ORDER BY id") == [
        (120, "a\\b"), (122, "b"), (123, "a\\b")]


def test_a_connection_to_a_copy_that_is_lost_is_told_anew(servers, pgpool):
    with pgpool.connect() as client:
        client.execute("PREPARE a AS INSERT INTO words VALUES ($1, $2)")
        client.execute("PREPARE b AS INSERT INTO p (id, v) VALUES ($1, nextval('numbers'))")
        client.execute("EXECUTE a (130, 'x')")
        for turn in range(3):
            end_connections(servers[1])
            end_connections(servers[2])
            wait_for(lambda: all(servers[n].value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = 'test' "
                "AND pid <> pg_backend_pid() AND application_name = ''") == 0 for n in (1, 2)),
                     "the connections to end")
            until_it_is_done(client, f"EXECUTE a ({131 + turn}, 'y')")
            until_it_is_done(client, f"EXECUTE b ({131 + turn})")
    assert len(servers.same("SELECT * FROM words WHERE id BETWEEN 130 AND 133")) == 4
    assert len(servers.same("SELECT id, v FROM p WHERE id BETWEEN 131 AND 133")) == 3


def until_it_is_done(client, sql):
    """The loss is heard of when it is heard of."""
    def done():
        try:
            client.execute(sql)
        except psycopg.errors.SerializationFailure:
            return False
        return True
    wait_for(done, sql)


def test_the_sessions_of_a_child_do_not_meet(servers, start):
    """Many of them prepare under one name, over a few connections."""
    pgpool = start(num_init_children=1, max_backend_connections=4)
    clients = [pgpool.connect() for _ in range(3)]
    for n, client in enumerate(clients):
        client.execute(f"PREPARE a AS INSERT INTO words VALUES ($1, '{n}')")
    for turn in range(4):
        for n, client in enumerate(clients):
            client.execute(f"EXECUTE a ({140 + turn * 3 + n})")
            client.execute(f"INSERT INTO p (id) VALUES ({140 + turn * 3 + n})")
    for client in clients:
        client.close()
    assert servers.same("SELECT id, w FROM words WHERE id >= 140 ORDER BY id") == [
        (140 + n, str(n % 3)) for n in range(12)]


def test_with_pool_mode_transaction_writes_are_refused(servers, start):
    with start(pool_mode="transaction").connect() as client:
        client.execute("PREPARE a AS INSERT INTO words VALUES (150, 'x')")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="pool_mode"):
            client.execute("EXECUTE a")
    assert servers.same("SELECT * FROM words") == []
