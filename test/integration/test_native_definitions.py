"""Native replication: what fails as a whole makes nobody ask the catalog again, and what is
committed makes everybody ask. As in test_definitions.py, where a watcher reads; here it writes."""

import pytest

import raw
from proxy import starter
from server_log import ServerLog
from test_native import SETTINGS, servers_beside_a_model
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(60)]

TABLES = """
CREATE TABLE watched (id int PRIMARY KEY, n int); INSERT INTO watched VALUES (1, 0);
CREATE TABLE pairs (a int); INSERT INTO pairs VALUES (1), (1);
"""
CHANGE = "ALTER TABLE watched ALTER n SET DEFAULT {}"


def run(server, sql):
    """Past pgpool."""
    with server.connect() as connection:
        connection.execute(sql)


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    for servers in servers_beside_a_model(TABLES):
        for server in servers:
            run(server, "ALTER DATABASE test SET log_statement = 'all'")
        yield servers


@pytest.fixture(name="pgpool", scope="module", params=["native_replication", "snapshot_isolation"])
def pgpool_fixture(servers, engine, request):
    for start in starter(servers.cluster, engine):
        yield start(**SETTINGS | {"backend_clustering_mode": request.param})


@pytest.fixture(name="client")
def client_fixture(pgpool):
    with raw.connected(pgpool) as one:
        yield one


class Watcher:
    """Writes to one table, by key, and counts what the main node is asked about it."""

    def __init__(self, servers, pgpool):
        self.main = servers[0]
        self.one = raw.connected(pgpool)

    def asks(self):
        log = ServerLog(self.main)
        self.one.rows("UPDATE watched SET n = n + 1 WHERE id = 1")
        return any("E'watched'" in entry for entry in log.entries())


@pytest.fixture(name="watcher")
def watcher_fixture(servers, pgpool):
    watcher = Watcher(servers, pgpool)
    wait_for(lambda: not watcher.asks(), "the table to be known")
    yield watcher
    watcher.one.close()
    servers.same("SELECT * FROM watched")


@pytest.mark.parametrize("sql", [
    "SELEC 1", "DROP TABLE nosuch", "CREATE TABLE pairs (b int)",
    "CREATE UNIQUE INDEX ON pairs (a)", "SELECT nosuch()",
    "CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELEC 1'"])
@pytest.mark.parametrize("block", [False, True])
def test_what_fails_makes_nobody_ask(client, watcher, sql, block):
    for _ in range(3):
        if block:
            client.rows("BEGIN")
        assert raw.codes(client.simple(sql)) != []
        if block:
            client.rows("ROLLBACK")
        assert not watcher.asks()


def test_what_fails_on_a_copy_alone_makes_nobody_ask(servers, client, watcher):
    """All nodes roll it back."""
    run(servers[1], "CREATE TABLE elsewhere (a int)")
    try:
        for _ in range(3):
            assert raw.codes(client.simple("CREATE TABLE elsewhere (a int)")) == ["40001"]
            assert not watcher.asks()
    finally:
        run(servers[1], "DROP TABLE elsewhere")
    assert servers.same("SELECT to_regclass('elsewhere')") == [(None,)]


def test_a_block_that_fails_on_a_copy(servers, client, watcher):
    """What its definitions were is forgotten with its end."""
    run(servers[1], "CREATE TABLE elsewhere (a int)")
    try:
        client.rows("BEGIN")
        client.rows(CHANGE.format(5))
        client.simple("CREATE TABLE elsewhere (a int)")
        client.simple("COMMIT")
    finally:
        run(servers[1], "DROP TABLE elsewhere")
    client.simple("ROLLBACK")
    client.rows("SELECT 1")
    assert servers.same("SELECT to_regclass('elsewhere')") == [(None,)]
    wait_for(lambda: not watcher.asks(), "the table to be known")


@pytest.mark.parametrize("steps", [
    [CHANGE.format(1)],
    ["BEGIN", CHANGE.format(2), "COMMIT"],
    ["BEGIN", CHANGE.format(3), "COMMIT AND CHAIN"],
    ["BEGIN", CHANGE.format(4), "SAVEPOINT s", "DROP TABLE nosuch", "ROLLBACK TO s", "COMMIT"],
], ids=["alone", "block", "chain", "savepoint"])
def test_what_is_committed_makes_everybody_ask(client, watcher, steps):
    for step in steps:
        client.simple(step)
    assert watcher.asks()
    client.simple("ROLLBACK")
