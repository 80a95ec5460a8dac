"""replicate_select: reads run on all nodes, and the main node's answer counts."""

import psycopg
import pytest

from proxy import starter
from test_native import SETTINGS, Servers
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(40)]

SCANS = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'place'"
READ = "SELECT number FROM place"


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    servers = Servers()
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(servers, engine):
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**SETTINGS | {"replicate_select": "on"} | more)


@pytest.fixture(name="pgpool", params=["native_replication", "snapshot_isolation"])
def pgpool_fixture(start, request):
    return start(backend_clustering_mode=request.param)


def scans(servers):
    return [row[0][0] for row in servers.all(SCANS)]


def grown(servers, before, count):
    """A server's process tells what it has counted a second later, or at its end."""
    def all_have():
        return all(now - then == count for now, then in zip(scans(servers), before))
    wait_for(all_have, f"{count} scans more on each node", 20)


def test_reads_run_on_all_nodes_and_the_main_node_answers(servers, pgpool):
    before = scans(servers)
    for _ in range(2):
        with pgpool.connect() as client:
            assert client.execute(READ).fetchall() == [(0,)]
            assert client.execute(READ + " WHERE number >= %s", (0,)).fetchall() == [(0,)]
            client.execute("BEGIN")
            assert client.execute(READ).fetchall() == [(0,)]
            client.execute("UPDATE t SET v = 1 WHERE id = 1")
            assert client.execute(READ, prepare=True).fetchall() == [(0,)]
            client.execute("COMMIT")
            assert client.execute(READ + " WHERE number = 2").fetchall() == []
    pgpool.kill_named("child")  # and so its connections
    grown(servers, before, 10)


def test_comments_send_no_read_elsewhere(servers, pgpool):
    """It wins over all balancing."""
    before = scans(servers)
    with pgpool.connect() as client:
        for node in (1, 2):
            text = f"SELECT /* pgpool: node={node} */ number FROM place"
            assert client.execute(text).fetchall() == [(0,)]
            assert client.execute(text, prepare=True).fetchall() == [(0,)]
    pgpool.kill_named("child")
    grown(servers, before, 4)


def test_a_read_that_fails_elsewhere_ends_the_transaction(servers, pgpool):
    with servers[1].connect() as connection:
        connection.execute("ALTER TABLE place RENAME TO away")
    with pgpool.connect() as client:
        with pytest.raises(psycopg.errors.SerializationFailure, match="node 1"):
            client.execute(READ)
        with servers[1].connect() as connection:
            connection.execute("ALTER TABLE away RENAME TO place")
        assert client.execute(READ).fetchall() == [(0,)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            client.execute("SELECT 1 / 0")
        assert client.execute(READ).fetchall() == [(0,)]


def test_large_answers_and_portals_in_parts(servers, pgpool):
    with pgpool.connect() as client:
        rows = client.execute("SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n")
        assert len(rows.fetchall()) == 20000
        client.execute("BEGIN")
        client.execute("DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id")
        assert client.execute("FETCH 2 FROM c").fetchall() == [(1,), (2,)]
        client.execute("COMMIT")
    assert servers.same("SELECT count(*) FROM pg_prepared_xacts") == [(0,)]
