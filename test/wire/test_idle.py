"""What servers say to a connection that nobody uses: it is noticed before somebody does."""

import pytest

import raw
from clients import client, kinds, still_serves
from fake import complete, error, fatal, notice, notification, parameter, ready
from waiting import wait_for


def idle_connection(pgpool, server, user):
    """One that has served a client and was reset."""
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]
    (connection,) = server.of(user)
    connection.wait_reset()
    return connection


@pytest.mark.parametrize("code", ["57P01", "57P05", "08006"])
@pytest.mark.parametrize("closes", [True, False])
def test_fatal_on_an_idle_connection(pgpool, server, user, code, closes):
    """Whether the end of file has come or not: the next client gets another connection, and
    nothing is said against the node."""
    connection = idle_connection(pgpool, server, user)
    connection.send_apart(fatal(code, "terminating connection"), 1000)
    if closes:
        connection.close()
    wait_for(connection.ended.is_set, "the server's connection to end")
    still_serves(pgpool, user)
    assert len(server.of(user)) == 2
    assert "is not to be used" not in pgpool.log_since_mark()


@pytest.mark.parametrize("said", [notice("restart soon"), notification("channel", "payload"),
                                  parameter("TimeZone", "Asia/Tokyo")],
                         ids=["notice", "notification", "parameter"])
def test_asynchronous_messages_on_an_idle_connection(pgpool, server, user, said):
    """They are for nobody; the connection is as good as before."""
    connection = idle_connection(pgpool, server, user)
    connection.send_apart(said, 1000)
    with client(pgpool, user) as one:
        assert kinds(one.simple("SELECT 1")) == "TDCZ"
        assert one.quiet(0)
    assert len(server.of(user)) == 1


def test_asynchronous_messages_between_queries_reach_the_client(pgpool, server, user):
    """While it has the connection, they are for it."""
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]
        server.of(user)[0].send(notice("one"), notification("channel", "two"),
                                parameter("TimeZone", "Asia/Tokyo"))
        assert kinds([one.read() for _ in range(3)]) == "NAS"
        assert one.parameters["TimeZone"] == "Asia/Tokyo"
        assert one.rows("SELECT 1") == [["1"]]


def test_fatal_between_queries_is_not_told(pgpool, server, user):
    """A session that keeps nothing in the server goes on over another connection."""
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]
        connection = server.of(user)[0]
        connection.send_apart(fatal("57P01", "terminating connection"), 1000)
        connection.close()
        wait_for(connection.ended.is_set, "the server's connection to end")
        assert kinds(one.simple("SELECT 1")) == "TDCZ"
    assert len(server.of(user)) == 2


# ---- the reset -----------------------------------------------------------------------------------

@pytest.mark.parametrize("answer", [
    error("XX000", "no") + ready(), complete("DISCARD ALL") + ready("T"),
    complete("DISCARD ALL") + ready() + ready(), raw.message("?"),
    fatal("57P01", "terminating connection"),
], ids=["error", "in_a_transaction", "one_answer_too_many", "nonsense", "fatal"])
def test_reset_that_goes_wrong(pgpool, server, user, answer):
    """Its connection is closed; the next client gets another one."""
    def script(c):
        c.login()
        c.serve_until("DISCARD ALL")
        c.send(answer)
        c.wait_gone()

    server.script(user, script)
    still_serves(pgpool, user)
    first = server.of(user)[0]
    wait_for(first.ended.is_set, "the server's connection to end")
    still_serves(pgpool, user)
    assert len(server.of(user)) == 2


def test_transaction_left_open_is_aborted(pgpool, server, user):
    with client(pgpool, user) as one:
        assert kinds(one.simple("BEGIN")) == "CZ"
    server.of(user)[0].wait_reset()
    still_serves(pgpool, user)
    assert server.of(user)[0].texts[:3] == ["BEGIN", "ABORT", "DISCARD ALL"]


@pytest.mark.parametrize("asked", [
    raw.query("SELECT slow"), raw.parse("", "SELECT slow"),
    raw.parse("", "SELECT slow") + raw.bind("", "") + raw.execute(),
], ids=["query", "parse_only", "no_sync"])
def test_client_that_goes_in_the_middle(pgpool, server, user, asked):
    """What its server has not answered, or not been asked to the end, is no use to others."""
    def script(c):
        c.login()
        while True:
            c.read()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(asked, b"" if asked[:1] == b"Q" else raw.FLUSH)
        wait_for(lambda: server.of(user)[0].texts == ["SELECT slow"], "the statement")
    wait_for(server.of(user)[0].ended.is_set, "the server's connection to end")
    still_serves(pgpool, user)
    assert len(server.of(user)) == 2
