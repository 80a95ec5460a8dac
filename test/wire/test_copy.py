"""COPY whose server fails at each point, and clients that do not hear of it in time."""

import pytest

import raw
from clients import client, codes, kinds, still_serves
from fake import BOUND, COPY_IN, COPY_OUT, PARSED, complete, error, fatal, ready
from waiting import wait_for

FAILED = error("22P04", "bad data")
DATA = raw.copy_data("1\n")
DONE = raw.COPY_DONE
SQL = "COPY t FROM STDIN"


def swallow(c, kinds_of_copy="dcf"):
    """What PostgreSQL reads and drops after a COPY has failed; returns what comes behind it."""
    kind = c.read()[0]
    while kind in kinds_of_copy:
        kind = c.read()[0]
    return kind


@pytest.mark.parametrize("pieces", [0, 1, 3])
@pytest.mark.parametrize("ends", [DONE, raw.copy_fail("no")], ids=["done", "fail"])
@pytest.mark.parametrize("more", [0, 2])
def test_error_after_some_pieces(pgpool, server, user, pieces, ends, more):
    """The client sends on, as it has not heard; the next query is answered as itself."""
    def script(c):
        c.login()
        c.expect("Q", SQL)
        c.send(COPY_IN)
        c.expect("d" * pieces)
        c.send(FAILED, ready())
        assert swallow(c) == "Q"
        assert c.texts[-1] == "SELECT 1"
        c.send(c.reply("SELECT 1"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.query(SQL))
        assert one.read().kind == "G"
        one.send(DATA * pieces)
        if not more:
            assert codes(one.read_until("Z")) == ["22P04", "Z"]
        one.send(DATA * more, ends)
        if more:
            assert codes(one.read_until("Z")) == ["22P04", "Z"]
        assert one.rows("SELECT 1") == [["1"]]
        assert one.quiet(0)
    still_serves(pgpool, user)


def test_error_in_place_of_the_copy(pgpool, server, user):
    def script(c):
        c.login()
        c.expect("Q", SQL)
        c.send(FAILED, ready())
        assert swallow(c) == "Q"
        c.send(c.reply("SELECT 1"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.query(SQL), DATA, DONE)
        assert codes(one.read_until("Z")) == ["22P04", "Z"]
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("answer, expected", [
    (complete("COPY 1") + ready(), ["C", "Z"]),
    (FAILED + ready(), ["22P04", "Z"]),
    (FAILED + FAILED + ready(), ["22P04", "22P04", "Z"]),
], ids=["complete", "error", "two_errors"])
def test_answer_after_the_end(pgpool, server, user, answer, expected):
    def script(c):
        c.login()
        c.expect("Q", SQL)
        c.send(COPY_IN)
        c.expect("ddc")
        c.send(answer)
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.query(SQL), DATA, DATA, DONE)
        assert codes(one.read_until("Z")) == ["G", *expected]
        assert one.rows("SELECT 1") == [["1"]]


def extended(sql=SQL):
    return raw.parse("", sql) + raw.bind("", "") + raw.execute()


@pytest.mark.parametrize("pieces", [0, 1, 3])
@pytest.mark.parametrize("heard", [True, False])
def test_error_in_an_extended_copy(pgpool, server, user, pieces, heard):
    """Everything up to the Sync behind the data is dropped by the server."""
    def script(c):
        c.login()
        c.expect("PBEH" if heard else "PBE")
        c.send(PARSED, BOUND, COPY_IN)
        c.expect("d" * pieces)
        c.send(FAILED)
        assert swallow(c, "dcfHPBE") == "S"
        c.send(ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(extended(), raw.FLUSH if heard else b"")
        if heard:
            assert codes(one.read_until("G")) == ["1", "2", "G"]
        one.send(DATA * pieces, DATA, DONE, raw.SYNC)
        assert codes(one.read_until("Z")) == [*([] if heard else "12G"), "22P04", "Z"]
        assert one.rows("SELECT 1") == [["1"]]
        assert one.quiet(0)
    still_serves(pgpool, user)


def test_close_in_the_middle(pgpool, server, user):
    """One error; what the client sends on goes nowhere."""
    def script(c):
        c.login()
        c.expect("Q", SQL)
        c.send(COPY_IN)
        c.expect("d")

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.query(SQL), DATA)
        assert codes(one.read_until("Z")) == ["G", "08007", "Z"]
        one.send(DATA, raw.COPY_DONE)
        assert one.rows("SELECT 1") == [["1"]]


def test_fatal_in_the_middle(pgpool, server, user):
    def script(c):
        c.login()
        c.expect("Q", SQL)
        c.send(COPY_IN)
        c.expect("d")
        c.send(fatal("57P01", "terminating connection due to administrator command"))

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.query(SQL), DATA)
        assert codes(one.read_to_end()) == ["G", "57P01"]
    still_serves(pgpool, user)


@pytest.mark.parametrize("pieces", [0, 2])
def test_client_that_goes_in_the_middle(pgpool, server, user, pieces):
    """Its COPY must not end as if it were whole."""
    def script(c):
        c.login()
        c.expect("Q", SQL)
        c.send(COPY_IN)
        c.wait_gone()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.query(SQL))
        assert one.read().kind == "G"
        one.send(DATA * pieces)
        connection = server.of(user)[0]
        wait_for(lambda: connection.kinds.count("d") == pieces, "the data")
    wait_for(connection.ended.is_set, "the server's connection to end")
    assert "c" not in connection.kinds
    still_serves(pgpool, user)
    assert len(server.of(user)) == 2


def test_copy_out_broken_off_by_an_error(pgpool, server, user):
    def script(c):
        c.login()
        c.expect("Q")
        c.send(COPY_OUT, DATA, DATA, error("57014", "canceling statement"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        assert codes(one.simple("COPY t TO STDOUT")) == ["H", "d", "d", "57014", "Z"]
        assert one.rows("SELECT 1") == [["1"]]


def test_copy_done_of_a_server_that_was_not_asked(pgpool, server, user):
    """A phantom CopyDone within an answer changes nothing in what is owed."""
    def script(c):
        c.login()
        c.expect("PBES")
        c.send(PARSED, BOUND, DONE, complete("COPY 0"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(extended("COPY t TO STDOUT"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "12cCZ"
        assert one.rows("SELECT 1") == [["1"]]
    server.of(user)[0].wait_reset()
    still_serves(pgpool, user)
    assert len(server.of(user)) == 1
