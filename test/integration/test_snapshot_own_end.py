"""snapshot_isolation: reads and SET in one batch run in a transaction of pgpool's own. The client
has heard that they have succeeded when its COMMIT is lost, or is stopped."""

import contextlib

import psycopg
import pytest

import raw
from independent import made
from proxy import starter
from test_native import SETTINGS
from waiting import SLOW, Background, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(40)]

MORE = """
CREATE TABLE plain (id int PRIMARY KEY, tx text);
INSERT INTO plain VALUES (1, '');
CREATE FUNCTION notes() RETURNS int LANGUAGE plpgsql STABLE AS
    $$BEGIN PERFORM pg_notify('nobody', 'listens'); RETURN 1; END$$;
"""
OURS = "datname = 'test' AND query = 'COMMIT' AND wait_event_type = 'Lock'"
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE"
HOLDS = f"{COUNT} query LIKE 'NOTIFY%' AND wait_event = 'SyncRep'"
WAITING = f"{COUNT} {OURS}"


@pytest.fixture(name="nodes", scope="module")
def nodes_fixture():
    yield from made(MORE)


@pytest.fixture(name="start")
def start_fixture(nodes, engine):
    for start in starter(nodes, engine):
        yield lambda **more: start(**SETTINGS | {"backend_clustering_mode": "snapshot_isolation"} |
                                   more)


@pytest.fixture(name="one")
def one_fixture(start):
    with raw.connected(start(), timeout=20 * SLOW) as one:
        one.rows("SET TimeZone TO 'America/Lima'")
        yield one


def on_each(servers, sql):
    for server in servers:
        with server.connect() as connection:
            connection.execute(sql)
            connection.execute("SELECT pg_reload_conf()")


class Held:
    """Holds the COMMIT of what has notified: on each server another one waits in the middle of its
    own, for a standby that there is not."""

    def __init__(self, servers):
        self.servers, self.ends = servers, False

    def __enter__(self):
        on_each(self.servers, "ALTER SYSTEM SET synchronous_standby_names = 'none'")
        self.others = [Background(self._notify, server) for server in self.servers]
        for server in self.servers:
            wait_for(lambda s=server: s.value(HOLDS) == 1, "NOTIFY to wait")

    def __exit__(self, *_):
        self.ends = True
        on_each(self.servers, "ALTER SYSTEM RESET synchronous_standby_names")
        for other in self.others:
            other.result()

    def _notify(self, server):
        """The server's processes hear of its new configuration a moment later."""
        with server.connect() as connection, contextlib.suppress(psycopg.OperationalError):
            while not self.ends:  # the server may be stopped
                connection.execute("NOTIFY nobody; SELECT pg_logical_emit_message(true, '', '')")


BATCH = ["SET TimeZone TO 'Asia/Tokyo'", "SELECT notes()"]


def commit_waits(nodes):
    """The server at which it does."""
    wait_for(lambda: any(server.value(WAITING) for server in nodes.servers), "our COMMIT")
    [node] = [server for server in nodes.servers if server.value(WAITING)]
    return node


def test_its_commit_is_stopped(nodes, one):
    """By a cancel request: PostgreSQL tells the client, behind the answers that it has."""
    with Held(nodes.servers):
        one.send(raw.batch(*BATCH))
        node = commit_waits(nodes)
        node.rows(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {OURS}")
        got = one.read_until("Z")
    assert "".join(m.kind for m in got if m.kind != "S") == "12C12DCEZ", got
    assert raw.codes(got) == ["57014"] and got[-1].body == b"I", got
    assert one.rows("SHOW TimeZone") == [["America/Lima"]]
    one.send(raw.batch(*BATCH))
    assert raw.codes(one.read_until("Z")) == []
    assert one.rows("SHOW TimeZone") == [["Asia/Tokyo"]]


@pytest.mark.parametrize("place", ["main", "another", "serializable"])
def test_its_node_is_lost(nodes, start, place):
    """What was read was read right, but where SERIALIZABLE needs the COMMIT for that. Weights place
    the reads."""
    serializable = place == "serializable"
    if serializable:
        on_each(nodes.servers, "ALTER SYSTEM SET default_transaction_isolation = 'serializable'")
    weights = {f"backend_weight{n}": str(int((n == 0) != (place == "another"))) for n in range(3)}
    with raw.connected(start(**weights), timeout=60 * SLOW) as one:
        one.rows("SET TimeZone TO 'America/Lima'")
        with Held(nodes.servers):
            one.send(raw.batch(*BATCH))
            node = commit_waits(nodes)
            assert (node is nodes.servers[0]) == (place != "another")
            node.stop("immediate")
            got = one.read_until("Z")
            node.start()
        assert raw.codes(got) == (["40001"] if serializable else []), got
        assert got[-1].body == b"I"
        zone = "America/Lima" if serializable else "Asia/Tokyo"
        assert one.rows("SHOW TimeZone") == [[zone]]
    if serializable:
        on_each(nodes.servers, "ALTER SYSTEM RESET default_transaction_isolation")


def test_its_connection_is_lost_in_the_middle(nodes, one):
    """The client has not sent Sync: it is ended as it would be by the server itself."""
    one.send(raw.batch(*BATCH, end=raw.FLUSH))
    one.read_until("C")
    one.read_until("C")
    ended = [server.rows("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE "
                         "datname = 'test' AND state = 'active' AND wait_event = 'ClientRead'")
             for server in nodes.servers]
    assert sorted(ended) == [[], [], [(True,)]]
    assert raw.codes([one.read()]) == ["57P01"]
    with pytest.raises(raw.Closed):
        one.read()
