"""Cancel requests: which server they reach, and what they may not hit or leave behind."""

import pytest

import processes
import raw
from clients import client, codes, kinds, still_serves
from fake import PATIENCE, error, ready
from waiting import wait_for

ROLES = ("primary", "standby")
PGPOOL_SETTINGS = {"read_consistency": "eventual"}  # reads go to the standby always
CANCELED = error("57014", "canceling statement due to user request")


def until_cancelled(c):
    """Logs in, and answers the first query when a cancel request came."""
    c.login()
    c.expect("Q")
    if not c.cancelled.wait(PATIENCE):
        raise AssertionError("no cancel request came")
    c.send(CANCELED, ready())
    c.serve()


def cancel(pgpool, one, key=None):
    """Sends the request and returns at its end of file."""
    with raw.Raw(pgpool) as request:
        request.send(raw.cancel_request(one.pid, one.key if key is None else key))
        assert request.drain_to_end() == b""


def running(server, user, text="SELECT slow"):
    return wait_for(lambda: [c for c in server.of(user) if text in c.texts], f"{text} to run")[0]


@pytest.fixture(autouse=True)
def no_requests_yet(bed):
    for server in bed.servers:
        server.cancels.clear()
        server.hold_cancels = False


@pytest.mark.parametrize("node, text", [(0, "UPDATE slow SET a = 1"), (1, "SELECT slow FROM t")],
                         ids=["write", "read"])
def test_reaches_the_right_server(bed, pgpool, user, node, text):
    """The one that runs the statement, with its own pid and key; and only it."""
    server, other = bed.servers[node], bed.servers[1 - node]
    server.script(user, until_cancelled)
    with client(pgpool, user) as one:
        one.send(raw.query(text))
        connection = running(server, user, text)
        cancel(pgpool, one)
        assert codes(one.read_until("Z")) == ["57014", "Z"]
        assert one.quiet(0)
        assert one.rows("SELECT 1 FROM t") == [["1 FROM t"]]
    assert server.cancels == [(connection.pid, connection.key)]
    assert other.cancels == []


@pytest.mark.parametrize("length", [4, 32, 256])
def test_server_keys_of_any_length(bed, pgpool, user, length):
    def script(c):
        c.key = bytes(range(256))[-length:]
        until_cancelled(c)

    server = bed.servers[0]
    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.query("UPDATE slow SET a = 1"))
        connection = running(server, user, "UPDATE slow SET a = 1")
        cancel(pgpool, one)
        assert codes(one.read_until("Z")) == ["57014", "Z"]
    assert server.cancels == [(connection.pid, connection.key)]


@pytest.mark.parametrize("key", [b"", b"1234", b"x" * 32, b"x" * 256])
def test_wrong_key_reaches_nobody(bed, pgpool, user, key):
    server = bed.servers[0]
    server.script(user, until_cancelled)
    with client(pgpool, user) as one:
        one.send(raw.query("UPDATE slow SET a = 1"))
        running(server, user, "UPDATE slow SET a = 1")
        with raw.Raw(pgpool) as request:
            request.send(raw.cancel_request(one.pid, key))
            request.drain_to_end()
        cancel(pgpool, one)  # the right one comes behind it, and is the only one
        assert codes(one.read_until("Z")) == ["57014", "Z"]
    assert len(server.cancels) == 1


def test_idle_session_is_left_alone(bed, pgpool, user):
    """Also when its connection is lent to another client by now."""
    server = bed.servers[0]
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]
        cancel(pgpool, one)
        assert one.rows("SELECT 1") == [["1"]]
    cancel(pgpool, one)
    still_serves(pgpool, user)
    assert server.cancels == []


def test_connection_is_lent_to_nobody_while_its_cancel_is_under_way(bed, pgpool, user):
    """The request could hit the next client's statement."""
    server = bed.servers[0]
    server.script(user, until_cancelled)
    server.hold_cancels = True
    with client(pgpool, user) as one:
        one.send(raw.query("UPDATE slow SET a = 1"))
        first = running(server, user, "UPDATE slow SET a = 1")
        with raw.Raw(pgpool) as request:
            request.send(raw.cancel_request(one.pid, one.key))
            assert codes(one.read_until("Z")) == ["57014", "Z"]
            one.close()
            first.wait_reset()
            with client(pgpool, user) as two:
                assert kinds(two.simple("UPDATE other SET a = 1")) == "CZ"
            assert "UPDATE other SET a = 1" not in first.texts
            wait_for(lambda: server.cancel_sockets, "the request")
            server.cancel_sockets.pop().close()
            assert request.drain_to_end() == b""
    assert len(server.of(user)) == 2


def test_during_the_server_login(bed, pgpool, user):
    """The statement has reached no server: it ends with the error, the half-made connection with
    it, and nobody else notices."""
    server = bed.servers[0]
    server.script(user, lambda c: (c.login(), c.wait_gone()), lambda c: c.wait_gone())
    with client(pgpool, user, application_name="one") as one, client(pgpool, "bystander") as other:
        # the connection of its login goes, so that the next statement must dial
        for connection in bed.servers[0].of(user) + bed.servers[1].of(user):
            connection.close()
            wait_for(connection.ended.is_set, "it to end")
        server.script(user, lambda c: c.wait_gone())
        before = len(server.of(user))
        one.send(raw.query("UPDATE slow SET a = 1"))
        silent = server.wait_for_connection(user, before)
        cancel(pgpool, one)
        assert codes(one.read_until("Z")) == ["57014", "Z"]
        wait_for(silent.gone.is_set, "the connection to end", 2)  # before connect_timeout does it
        assert other.rows("SELECT 1") == [["1"]]
        assert one.rows("SELECT 1 FROM t") == [["1 FROM t"]]
        assert kinds(one.simple("UPDATE slow SET a = 1")) == "CZ"
    assert server.cancels == []


def test_hundred_requests_at_once(bed, pgpool, user):
    """All end, and one statement is cancelled once."""
    server = bed.servers[0]
    server.script(user, until_cancelled)
    with client(pgpool, user) as one:
        one.send(raw.query("UPDATE slow SET a = 1"))
        running(server, user, "UPDATE slow SET a = 1")
        requests = [raw.Raw(pgpool) for _ in range(100)]
        for request in requests:
            request.send(raw.cancel_request(one.pid, one.key))
        assert codes(one.read_until("Z")) == ["57014", "Z"]
        for request in requests:
            assert request.drain_to_end() == b""
            request.close()
        assert kinds(one.simple("UPDATE again SET a = 1")) == "CZ"
    descriptors = processes.descriptors(bed.child())
    still_serves(pgpool, user)
    # a server connection may have come or gone meanwhile; a leak would be of a hundred
    wait_for(lambda: processes.descriptors(bed.child()) <= descriptors + 2, "descriptors to go")
