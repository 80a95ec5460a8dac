"""Native replication and snapshot isolation: whole transactions in one batch of the extended
protocol. What a client is answered is compared with what PostgreSQL itself answers, and what is in
the servers with each other."""

import psycopg
import pytest

import raw
from test_native_chain import ALL, both_fixture, mode_fixture, pgpool_fixture, servers_fixture
from test_native_faults import end_connections
from test_native_prepare import text
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]
__all__ = ["both_fixture", "mode_fixture", "pgpool_fixture", "servers_fixture"]


def batch(*statements):
    return [message for statement in statements
            for message in (text(statement) if isinstance(statement, str) else statement)]


def insert(key, value=1):
    return text("INSERT INTO c VALUES ($1, $2)", str(key), str(value))


SCRIPTS = {
    "reads": [
        batch("BEGIN", "SELECT count(*) FROM c", "COMMIT"),
        batch("BEGIN", "SELECT count(*) FROM c", "SELECT v FROM c WHERE id = 1", "ROLLBACK"),
        batch("BEGIN READ ONLY", "SELECT count(*) FROM c", "COMMIT"),
        batch("BEGIN", "SELECT v FROM c WHERE id = 1 FOR UPDATE", "COMMIT"),
        batch("BEGIN", "COMMIT"), batch("BEGIN", "SELECT 1", "COMMIT", "SELECT count(*) FROM c"),
        batch("BEGIN", "SELECT 1 / (v - 1) FROM c", "COMMIT"), batch("SELECT 1"), "ROLLBACK",
    ],
    "writes": [
        batch("BEGIN", insert(10), "COMMIT"),
        batch("BEGIN", insert(11), "SELECT count(*) FROM c", insert(12), "COMMIT"),
        batch("BEGIN", insert(13), "ROLLBACK"), batch("BEGIN", "UPDATE c SET v = v + 1", "END"),
        batch("START TRANSACTION", insert(14), "SAVEPOINT a"), batch(insert(1)),
        batch("ROLLBACK TO a", insert(15), "SAVEPOINT b", insert(18), "RELEASE b", "COMMIT"),
        "BEGIN", batch(insert(16), "COMMIT"),
        batch("BEGIN", insert(17), "ABORT"), "SELECT * FROM c ORDER BY id",
    ],
    "errors": [
        batch("BEGIN", insert(1), "COMMIT"), batch("COMMIT"),
        batch("BEGIN", insert(20), insert(1), insert(21), "COMMIT"), batch("SELECT 1"),
        batch("SELECT 1", "ROLLBACK"), batch("ROLLBACK"),
        batch("BEGIN", insert(22), "COMMIT", insert(23), "SELECT 1 / 0"),
        batch("BEGIN", "INSERT INTO c VALUES ('x', 1)", "COMMIT"), "ROLLBACK",
        "SELECT * FROM c ORDER BY id",
    ],
    "several transactions": [
        batch("BEGIN", insert(30), "COMMIT", "BEGIN", insert(31), "COMMIT"),
        batch("BEGIN", insert(32), "ROLLBACK", "BEGIN", insert(33), "COMMIT"),
        batch("BEGIN", insert(34), "COMMIT", "BEGIN", insert(1), "COMMIT"), "ROLLBACK",
        batch("BEGIN", insert(35), "COMMIT", "BEGIN", insert(36)), batch("COMMIT"),
        batch("BEGIN", "SELECT 1", "COMMIT", "BEGIN", insert(37), "COMMIT", "BEGIN", "SELECT 2"),
        batch("COMMIT"), batch("BEGIN", insert(38), "COMMIT AND CHAIN", insert(39), "COMMIT"),
        "SELECT * FROM c ORDER BY id",
    ],
    "names": [
        batch([raw.parse("b", "BEGIN"), raw.parse("i", "INSERT INTO c VALUES ($1, 1)"),
               raw.parse("c", "COMMIT")]),
        [raw.bind("", "b"), raw.execute(), raw.bind("", "i", "40"), raw.execute(),
         raw.bind("", "i", "41"), raw.execute(), raw.bind("", "c"), raw.execute()],
        [raw.bind("", "b"), raw.execute(), raw.parse("u", "UPDATE c SET v = 7 WHERE id = $1"),
         raw.describe("S", "u"), raw.bind("", "u", "40"), raw.execute(), raw.close("S", "i"),
         raw.bind("", "c"), raw.execute(), raw.close("S", "u")],
        batch([raw.parse("i", "INSERT INTO c VALUES ($1, 2)")]),
        [raw.bind("", "b"), raw.execute(), raw.bind("", "i", "42"), raw.execute(),
         raw.bind("", "c"), raw.execute()], "SELECT * FROM c ORDER BY id",
    ],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_is_as_with_postgresql(both, script):
    both.play(SCRIPTS[script], ALL)


def test_pipelines_of_drivers(servers, pgpool):
    with pgpool.connect() as client:
        with client.pipeline():
            for n in range(3):
                with client.transaction():
                    client.execute("INSERT INTO c VALUES (%s, 1)", (50 + 2 * n,))
                    client.execute("INSERT INTO c VALUES (%s, (SELECT count(*) FROM c))",
                                   (51 + 2 * n,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            with client.pipeline():
                with client.transaction():
                    client.execute("INSERT INTO c VALUES (60, 1)")
                    client.execute("INSERT INTO c VALUES (50, 1)")
        assert client.execute("SELECT count(*) FROM c WHERE id >= 50").fetchall() == [(6,)]
    assert len(servers.same("SELECT * FROM c WHERE id >= 50 ORDER BY id")) == 6


def test_a_commit_that_fails_silences_the_rest(servers, pgpool):
    with raw.connected(pgpool) as client:
        for rest in ([], ["BEGIN", insert(65), "COMMIT"], [insert(66)]):
            client.send(*batch("BEGIN", insert(64), "INSERT INTO late VALUES (1, 99)", "COMMIT",
                               *rest), raw.SYNC)
            answers = client.read_until("Z")
            assert raw.codes(answers) == ["23503"]
            assert [got.kind for got in answers[-2:]] == ["E", "Z"]
            assert answers[-1].body == b"I"
            assert client.rows("SELECT count(*) FROM c") == [["5"]]
    assert len(servers.same("SELECT * FROM c")) == 5


def test_settings_and_statements_of_a_piece_are_followed(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(*batch("BEGIN", "SET search_path TO pg_temp, public",
                           "PREPARE a AS INSERT INTO c VALUES ($1, 1)", "EXECUTE a (67)",
                           "ROLLBACK"), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == []
        assert client.rows("SHOW search_path") == [['"$user", public']]
        client.send(*batch("BEGIN", "SET search_path TO pg_catalog, public", "SAVEPOINT a",
                           "RELEASE a", "EXECUTE a (68)", "COMMIT"), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == []
        assert client.rows("SHOW search_path") == [["pg_catalog, public"]]
    assert servers.same("SELECT id FROM c WHERE id > 60") == [(68,)]


def test_reads_in_front_of_a_piece_are_answered_first(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(*batch("BEGIN", insert(69)), raw.SYNC, *batch("SELECT 1"), raw.SYNC,
                    *batch("SELECT 2", "COMMIT"), raw.SYNC)
        answers = client.read_until("Z", 3)
    assert "".join(got.kind for got in answers) == "12nC12nCZ" "12TDCZ" "12TDC12nCZ"
    assert servers.same("SELECT id FROM c WHERE id > 60") == [(69,)]


def test_many_in_one_write(servers, pgpool):
    """Batches behind each other, none of which waits for the one before."""
    with raw.connected(pgpool) as client:
        for n in range(8):
            client.send(*batch("BEGIN", insert(70 + n), "UPDATE c SET v = v + 1 WHERE v > 0",
                               "COMMIT"), raw.SYNC)
        answers = client.read_until("Z", 8)
        assert raw.codes(answers) == []
        assert "".join(got.kind for got in answers) == "12nC12nC12nC12nCZ" * 8
    assert len(servers.same("SELECT * FROM c WHERE id >= 70 ORDER BY id")) == 8


def test_a_copy_that_is_lost_in_the_middle(servers, pgpool):
    with raw.connected(pgpool) as client:
        client.send(*batch("BEGIN", insert(90), "COMMIT"), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == []
        end_connections(servers[1])
        for n in range(3):  # it is heard of when it is heard of
            client.send(*batch("BEGIN", insert(91 + n), "COMMIT"), raw.SYNC)
            answers = client.read_until("Z")
            assert raw.codes(answers) in ([], ["40001"])
            if answers[-1].body == b"E":
                client.simple("ROLLBACK")
    servers.same("SELECT * FROM c WHERE id >= 90 ORDER BY id")


def test_the_main_node_that_is_lost_ends_the_session(servers, pgpool):
    with raw.connected(pgpool) as client, servers[0].connect() as blocker:
        blocker.execute("BEGIN")
        blocker.execute("INSERT INTO c VALUES (95, 1)")
        client.send(*batch("BEGIN", insert(94), insert(95), "COMMIT"), raw.SYNC)
        wait_for(lambda: servers[0].rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock'"), "the main node to be lost")
        with pytest.raises(raw.Closed):
            client.read_until("Z")
        blocker.execute("ROLLBACK")
    assert servers.same("SELECT * FROM c WHERE id >= 95") == []
