"""Native replication: what doc/clustering.md says is refused, and whether
replication_unsafe_statements lets it through."""

import psycopg
import pytest

import raw
from proxy import starter
from test_native import SETTINGS, servers_with

pytestmark = [pytest.mark.plain, pytest.mark.takes(30)]

TABLES = """
CREATE TABLE r (id int PRIMARY KEY, v int, at timestamptz DEFAULT now(), o oid, m xid);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE moods (id int PRIMARY KEY, m mood);
CREATE FUNCTION writes() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO moods VALUES (NEW.id); RETURN NEW; END$$;
CREATE TABLE watched (id int PRIMARY KEY);
CREATE TRIGGER w AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION writes();
CREATE PROCEDURE does() LANGUAGE plpgsql AS $$BEGIN DELETE FROM moods; END$$;
CREATE SEQUENCE numbers;
INSERT INTO r SELECT n, n FROM generate_series(1, 5) n;
"""

# What would be something else on each node.
UNSAFE = [
    "INSERT INTO watched VALUES (1)",
    "CALL does()",
    "DO 'BEGIN DELETE FROM moods; END'",
    "UPDATE r SET v = random() * 10",
    "DELETE FROM moods WHERE id IN (SELECT v FROM r LIMIT 1)",
    "INSERT INTO moods SELECT DISTINCT ON (v > 100) v FROM r WHERE id < 0",
    "UPDATE r SET v = (SELECT array_length(array_agg(v), 1) FROM r)",
    "DELETE FROM moods WHERE id IN (SELECT id FROM r WHERE id < 0 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM moods WHERE id IN (SELECT id FROM r TABLESAMPLE SYSTEM (0))",
    "UPDATE r SET v = (SELECT count(*) FROM pg_class)",
    "UPDATE r SET m = xmin",
    "UPDATE r SET o = 'r'::regclass",
    "UPDATE r SET at = lower('NOW')::timestamptz",
    "ALTER TABLE r ADD COLUMN more serial",
    "CREATE MATERIALIZED VIEW made AS SELECT now() AS at",
    "EXPLAIN ANALYZE CREATE TABLE fresh AS SELECT 1 AS a",
    "CREATE TABLE fresh (id int); INSERT INTO fresh VALUES (1)",
]
COPIES_UNSAFE = ["COPY r (id) FROM STDIN", "COPY r (id, v) FROM '/nowhere/at/all'",
                 "COPY r (id, v, at, o, m) FROM PROGRAM 'exit 0'"]

# What is refused whatever the setting is.
REFUSED = [
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "PREPARE TRANSACTION 'mine'", "COMMIT PREPARED 'mine'", "ROLLBACK PREPARED 'mine'",
    "LOAD 'plpgsql'", "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO public", "NONSENSE",
    "CREATE TABLE made AS EXECUTE writing", "EXPLAIN ANALYZE EXECUTE writing",
    "EXPLAIN EXECUTE reading (1 + 1)", "EXECUTE typed ('sad')",
    "SELECT 1; BEGIN", "SELECT 1; SAVEPOINT a", "FETCH c; SELECT 1",
    "SELECT 1; PREPARE b AS SELECT 1", "SELECT 1; EXECUTE writing", "LISTEN a; SELECT 1",
    "NOTIFY a; SELECT 1",
    "SELECT 1; COPY r (id, v) TO STDOUT",
    "SELECT pg_advisory_lock(1); SELECT 1", "SET enable_seqscan = on; DELETE FROM moods",
]
IN_BLOCK = ["DISCARD ALL", "DECLARE c CURSOR FOR SELECT id FROM r FOR UPDATE",
            "DECLARE c CURSOR FOR SELECT nextval('numbers')"]
PREPARED = ["PREPARE writing AS DELETE FROM moods", "PREPARE reading AS SELECT $1::int",
            "PREPARE typed (mood) AS INSERT INTO moods VALUES (7, $1)"]
WRITE = "DELETE FROM moods WHERE id = 1"


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with(TABLES)


@pytest.fixture(name="start")
def start_fixture(servers, engine):
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**SETTINGS | more)


def everything(servers):
    return [server.rows("SELECT r::text FROM r UNION ALL SELECT m::text FROM moods m UNION ALL"
                        " SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                        " ORDER BY 1") for server in servers]


def assert_refused(client, text):
    try:
        client.execute(text)
    except psycopg.errors.FeatureNotSupported as refusal:
        assert refusal.diag.message_hint, text
    else:
        pytest.fail(f"{text} was not refused")


def test_what_would_differ_is_refused(servers, start):
    before = everything(servers)
    with start().connect() as client:
        for text in UNSAFE + COPIES_UNSAFE:
            assert_refused(client, text)
        client.execute("BEGIN")
        client.execute("DECLARE c CURSOR FOR SELECT id FROM r")
        assert_refused(client, "DELETE FROM r WHERE CURRENT OF c")
    assert everything(servers) == before


def test_and_is_let_through_where_that_is_allowed(servers, start):
    before = everything(servers)
    with start(replication_unsafe_statements="allow").connect() as client:
        for text in UNSAFE:
            client.execute("BEGIN")
            client.execute(text)
            client.execute("ROLLBACK")
    assert everything(servers) == before


def test_what_is_refused_whatever_is_allowed(servers, start):
    before = everything(servers)
    with start(replication_unsafe_statements="allow").connect() as client:
        for text in PREPARED:
            client.execute(text)
        for text in REFUSED:
            assert_refused(client, text)
        for text in IN_BLOCK:
            client.execute("BEGIN")
            assert_refused(client, text)
            client.execute("ROLLBACK")
        assert client.execute("SELECT 1").fetchall() == [(1,)]
    assert everything(servers) == before


def bound(text, *values, rows=0):
    return [raw.parse("", text), raw.bind("", "", *values), raw.execute("", rows)]


BATCHES = {
    "copy": bound(WRITE) + bound("COPY r (id, v, at, o, m) FROM STDIN"),
    "commit": bound(WRITE) + bound("COMMIT"),
    "savepoint": bound(WRITE) + bound("SAVEPOINT a"),
    "limit": bound(WRITE, rows=1),
    "bound only": [raw.parse("", WRITE), raw.bind("", "")],
    "now": bound("UPDATE r SET at = $1 WHERE id = 1", b"now"),
    "level": bound("BEGIN ISOLATION LEVEL REPEATABLE READ") +
             bound("UPDATE r SET at = clock_timestamp() WHERE id = 1"),
    "function": [raw.function_call(1299)],  # now()
}


@pytest.mark.parametrize("batch", BATCHES)
def test_messages_that_are_refused(servers, start, batch):
    before = everything(servers)
    end = [] if batch == "function" else [raw.SYNC]
    with raw.connected(start(replication_unsafe_statements="allow")) as client:
        client.send(*BATCHES[batch], *end)
        assert raw.codes(client.read_until("Z")) == ["0A000"]
        client.simple("ROLLBACK")
        client.send(*bound(WRITE), raw.message("H"))
        assert client.read_until("E")[-1].fields()["C"] == "0A000"
        client.send(raw.SYNC)
        client.read_until("Z")
        assert client.rows("SELECT 1") == [["1"]]
    assert everything(servers) == before


def test_a_reader_of_its_own_takes_reads_only(start):
    pgpool = start(backend_weight0=0)
    with pgpool.connect() as client:
        client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        assert client.execute("SELECT number FROM place").fetchone()[0] != 0
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            client.execute("SET LOCAL enable_seqscan = on")
