"""Native replication and snapshot isolation: COMMIT AND CHAIN, ROLLBACK AND CHAIN. What a client is
answered is compared with what PostgreSQL itself answers, and what is in the servers with each
other."""

import psycopg
import pytest

import raw
from proxy import starter
from test_native import PREPARED, SETTINGS, Servers
from test_native_faults import end_connections
from test_native_prepare import Both, text
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

TABLES = """
CREATE TABLE c (id int PRIMARY KEY, v int);
CREATE TABLE late (id int PRIMARY KEY, r int REFERENCES c DEFERRABLE INITIALLY DEFERRED);
INSERT INTO c SELECT n, n FROM generate_series(1, 5) n;
"""
ALL = ["SELECT * FROM c ORDER BY id", "SELECT * FROM late ORDER BY id", PREPARED]
LEVELS = ("SELECT current_setting('transaction_isolation'), "
          "current_setting('transaction_read_only'), current_setting('transaction_deferrable')")


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    servers = Servers()
    with servers[0].connect() as connection:
        connection.execute("CREATE DATABASE model")
    for server, database in [*((server, "test") for server in servers), (servers[0], "model")]:
        with server.connect(dbname=database) as connection:
            connection.execute(TABLES)
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="mode", params=["native_replication", "snapshot_isolation"])
def mode_fixture(request):
    return request.param


@pytest.fixture(name="pgpool")
def pgpool_fixture(servers, engine, mode):
    for server, database in [*((server, "test") for server in servers), (servers[0], "model")]:
        with server.connect(dbname=database) as connection:
            connection.execute("TRUNCATE c, late; "
                               "INSERT INTO c SELECT n, n FROM generate_series(1, 5) n")
    for start in starter(servers.cluster, engine):
        yield start(**SETTINGS | {"backend_clustering_mode": mode})
    for sql in ALL:
        servers.same(sql)


@pytest.fixture(name="both")
def both_fixture(pgpool, servers, mode):
    """Where all transactions are REPEATABLE READ, those of the model are."""
    both = Both(pgpool, servers)
    if mode == "snapshot_isolation":
        both.model.simple("SET default_transaction_isolation TO 'repeatable read'")
    yield both
    both.close()


SCRIPTS = {
    "commits": [
        "BEGIN", "INSERT INTO c VALUES (10, 1)", "COMMIT AND CHAIN", "INSERT INTO c VALUES (11, 1)",
        LEVELS, "END WORK AND CHAIN", "UPDATE c SET v = v + 1 WHERE v = 1", "SELECT * FROM c",
        "COMMIT AND NO CHAIN", "SELECT * FROM c ORDER BY id",
    ],
    "rolls back": [
        "BEGIN", "INSERT INTO c VALUES (20, 1)", "ROLLBACK AND CHAIN",
        "INSERT INTO c VALUES (21, 1)",
        "ROLLBACK AND CHAIN", "INSERT INTO c VALUES (22, 1)", "COMMIT AND CHAIN", "SELECT * FROM c",
        "ABORT AND CHAIN", "COMMIT",
    ],
    "failed": [
        "BEGIN", "INSERT INTO c VALUES (1, 1)", "COMMIT AND CHAIN", "INSERT INTO c VALUES (30, 1)",
        "COMMIT", "BEGIN", "INSERT INTO c VALUES (31, 1)", "INSERT INTO c VALUES (1, 1)",
        "SELECT 1",
        "ROLLBACK AND CHAIN", "INSERT INTO c VALUES (32, 1)", "SAVEPOINT s",
        "INSERT INTO c VALUES (1, 1)", "ROLLBACK TO s", "COMMIT AND CHAIN",
        "DELETE FROM c WHERE id = 1",
        "COMMIT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN",
    ],
    "deferred constraints": [
        "BEGIN", "INSERT INTO c VALUES (40, 1)", "INSERT INTO late VALUES (1, 40)",
        "COMMIT AND CHAIN", "INSERT INTO late VALUES (2, 99)", "INSERT INTO c VALUES (99, 1)",
        "COMMIT AND CHAIN", "DELETE FROM late", "COMMIT",
    ],
    "characteristics": [
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "INSERT INTO c VALUES (50, 1)",
        "COMMIT AND CHAIN", "SELECT current_setting('transaction_isolation')",
        "INSERT INTO c VALUES (51, 1)", "COMMIT AND CHAIN",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "INSERT INTO c VALUES (52, 1)",
        "COMMIT AND CHAIN", LEVELS, "INSERT INTO c VALUES (53, 1)", "SET TRANSACTION READ ONLY",
        "COMMIT AND CHAIN", LEVELS, "INSERT INTO c VALUES (54, 1)", "ROLLBACK AND CHAIN", LEVELS,
        "COMMIT",
    ],
    "read only": [
        "BEGIN READ ONLY", "SELECT count(*) FROM c", "COMMIT AND CHAIN", "SELECT count(*) FROM c",
        "SELECT current_setting('transaction_read_only')", "ROLLBACK AND CHAIN",
        "SELECT count(*) FROM c", "COMMIT", "INSERT INTO c VALUES (60, 1)",
    ],
    "nothing yet": [
        "BEGIN", "COMMIT AND CHAIN", "INSERT INTO c VALUES (70, 1)", "COMMIT AND CHAIN",
        "COMMIT AND CHAIN", "SELECT count(*) FROM c", "ROLLBACK AND CHAIN", "COMMIT",
        "BEGIN", "SELECT count(*) FROM c", "COMMIT AND CHAIN", "INSERT INTO c VALUES (71, 1)",
        "COMMIT", "BEGIN", "SELECT count(*) FROM c", "COMMIT AND CHAIN", "SELECT count(*) FROM c",
        "UPDATE c SET v = v + 1", "COMMIT",
    ],
    "settings and definitions": [
        "BEGIN", "SET search_path TO pg_catalog", "CREATE TABLE public.fresh (id int PRIMARY KEY)",
        "COMMIT AND CHAIN", "SHOW search_path", "INSERT INTO public.fresh VALUES (1)",
        "SET LOCAL search_path TO public", "COMMIT AND CHAIN", "SHOW search_path",
        "SET search_path TO public", "ROLLBACK AND CHAIN", "SHOW search_path",
        "DROP TABLE public.fresh", "COMMIT", "RESET search_path",
    ],
    "the extended protocol": [
        "BEGIN", text("INSERT INTO c VALUES ($1, 1)", "80"), text("COMMIT AND CHAIN"),
        text("INSERT INTO c VALUES ($1, 1)", "81"), text("ROLLBACK AND CHAIN"),
        text("INSERT INTO c VALUES ($1, 1)", "82"), text("COMMIT"),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_is_as_with_postgresql(both, script):
    both.play(SCRIPTS[script], ALL)


def test_it_takes_a_new_snapshot(servers, pgpool):
    with pgpool.connect() as client, pgpool.connect() as other:
        client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert client.execute("SELECT count(*) FROM c").fetchall() == [(5,)]
        client.execute("UPDATE c SET v = 0 WHERE id = 1")
        other.execute("INSERT INTO c VALUES (90, 1)")
        assert client.execute("SELECT count(*) FROM c").fetchall() == [(5,)]
        client.execute("COMMIT AND CHAIN")
        assert client.execute("SELECT count(*) FROM c").fetchall() == [(6,)]
        other.execute("INSERT INTO c VALUES (91, 1)")
        assert client.execute("SELECT count(*) FROM c").fetchall() == [(6,)]
        client.execute("INSERT INTO c VALUES (92, 1)")
        client.execute("ROLLBACK AND CHAIN")
        assert client.execute("SELECT count(*) FROM c").fetchall() == [(7,)]
        client.execute("COMMIT")
    assert len(servers.same("SELECT * FROM c ORDER BY id")) == 7


def test_several_in_one_write(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(*map(raw.query, ("BEGIN", "INSERT INTO c VALUES (95, 1)", "COMMIT AND CHAIN",
                                     "INSERT INTO c VALUES (96, 1)", "ROLLBACK AND CHAIN",
                                     "INSERT INTO c VALUES (97, 1)", "COMMIT AND CHAIN",
                                     "SELECT 1", "COMMIT")))
        answers = client.read_until("Z", 9)
        assert raw.codes(answers) == []
        assert [got.body for got in answers if got.kind == "Z"] == [b"T"] * 8 + [b"I"]
    assert servers.same("SELECT id FROM c WHERE id > 90 ORDER BY id") == [(95,), (97,)]


def test_a_copy_that_is_lost_behind_it(servers, pgpool):
    with pgpool.connect() as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO c VALUES (100, 1)")
        client.execute("COMMIT AND CHAIN")
        for number in (1, 2):
            end_connections(servers[number])
        wait_for(lambda: "terminating connection" in pgpool.log_text(), "the loss")
        try:
            client.execute("INSERT INTO c VALUES (101, 1)")
            client.execute("COMMIT")
        except psycopg.errors.SerializationFailure:
            client.execute("ROLLBACK")
    rows = servers.same("SELECT id FROM c WHERE id > 99 ORDER BY id")
    assert rows in ([(100,)], [(100,), (101,)])


def test_what_is_not_built_is_refused(servers, pgpool):
    with pgpool.connect() as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO c VALUES (110, 1)")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            client.execute("COMMIT AND CHAIN; INSERT INTO c VALUES (111, 1)")
        client.execute("ROLLBACK")
    assert servers.same("SELECT id FROM c WHERE id > 109") == []
