"""What a server may do to a client's query: split its answer, break off, or talk nonsense."""

import struct

import pytest

import raw
from clients import batch, client, codes, kinds, still_serves
from fake import (BOUND, CLOSED, COPY_OUT, EMPTY, NO_DATA, PARSED, SUSPENDED, columns, complete,
                  error, fatal, notice, notification, parameter, ready, result, row)
from raw import message
from waiting import wait_for

# One of each message that the answer to a query may hold.
SIMPLE = (notice("hello") + parameter("TimeZone", "UTC") + notification("channel", "load") +
          columns("a", "b") + row("1", None) + row("two", "") + complete("SELECT 2") + EMPTY +
          COPY_OUT + raw.copy_data("1\n") + raw.COPY_DONE + complete("COPY 1") +
          error("22012", "division by zero") + ready())
EXTENDED = (PARSED + message("t", b"\0\0") + NO_DATA + BOUND + columns("a") + row("1") +
            SUSPENDED + row("2") + complete("SELECT 1") + CLOSED + ready())
ASK_EXTENDED = (raw.parse("", "SELECT split") + raw.describe("S") + raw.bind("", "") +
                raw.describe("P") + raw.execute(max_rows=1) + raw.execute() + raw.close("P") +
                raw.SYNC)
LONG = row("x" * 300)


def answers(*parts, close=False):
    """A script that logs in and answers one query with these bytes."""
    def script(c):
        c.login()
        c.expect("Q")
        c.send(*parts)
        if not close:
            c.serve()
    return script


def broken(pgpool, server, user, *parts):
    """What a client reads of a connection that is to end after these bytes; others go on."""
    server.script(user, answers(*parts))
    with client(pgpool, user) as one, client(pgpool, "bystander") as other:
        one.send(raw.query("SELECT broken"))
        data = one.drain_to_end()
        assert other.rows("SELECT 1") == [["1"]]
    wait_for(server.of(user)[0].ended.is_set, "the server's connection to end")
    with client(pgpool, user) as again:
        assert again.rows("SELECT 1") == [["1"]]
    assert len(server.of(user)) == 2
    return data


# ---- in pieces -----------------------------------------------------------------------------------

@pytest.mark.parametrize("asked, awaited, answer, expected", [
    (raw.query("SELECT split"), "Q", SIMPLE, "NSATDDCIHdcCEZ"),
    (ASK_EXTENDED, "PDBDEECS", EXTENDED, "1tn2TDsDC3Z"),
], ids=["simple", "extended"])
def test_answer_split_at_every_boundary(pgpool, server, user, asked, awaited, answer, expected):
    def script(c):
        c.login()
        for at in range(1, len(answer)):
            c.expect(awaited)
            c.send_apart(answer[:at], at)
            c.send(answer[at:])
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        for _ in range(1, len(answer)):
            one.send(asked)
            got = one.read_until("Z")
            assert b"".join(message(m.kind, m.body) for m in got) == answer
            assert kinds(got) == expected
        assert one.rows("SELECT 1") == [["1"]]
    assert len(server.of(user)) == 1


def test_answer_in_single_bytes(pgpool, server, user):
    def script(c):
        c.login()
        c.expect("Q")
        c.send_apart(SIMPLE)
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        assert kinds(one.simple("SELECT split")) == "NSATDDCIHdcCEZ"
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("size", [65_530, 65_536, 70_000, 1_000_000])
@pytest.mark.parametrize("kind", ["row", "notice", "error", "columns"])
def test_long_message(pgpool, server, user, kind, size):
    """Longer than what is looked into: it passes in pieces and counts all the same."""
    text = "x" * size
    long = {"row": row(text), "notice": notice(text), "error": error("22000", text),
            "columns": columns(text)}[kind]
    head = long if kind == "columns" else columns("a") + long
    server.script(user, answers(head, row("1"), complete("SELECT 2"), ready()))
    with client(pgpool, user) as one:
        got = one.simple("SELECT long")
        assert b"".join(message(m.kind, m.body) for m in got) == \
            head + row("1") + complete("SELECT 2") + ready()
        assert one.rows("SELECT 1") == [["1"]]
    assert len(server.of(user)) == 1


# ---- breaking off --------------------------------------------------------------------------------

@pytest.mark.parametrize("said", [b"", columns("a"), columns("a") + row("1"),
                                  complete("INSERT 0 1")],
                         ids=["nothing", "columns", "row", "complete"])
def test_close_during_a_query(pgpool, server, user, said):
    """The client gets what there was and one error; its session goes on. A read of which nothing
    was told runs again."""
    server.script(user, answers(said, close=True))
    with client(pgpool, user) as one:
        if not said:
            assert one.rows("SELECT 1") == [["1"]]
            return
        one.send(raw.query("SELECT broken"))
        got = one.read_until("Z")
        assert b"".join(message(m.kind, m.body) for m in got[:-2]) == said
        assert got[-2].fields()["S"] == "ERROR"
        assert got[-2].fields()["C"] == "40001"
        assert "closed the connection" in got[-2].fields()["D"]
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("kind", ["row", "copy_data", "long_notice", "header"])
def test_close_in_the_middle_of_a_message(pgpool, server, user, kind):
    """Nothing is put in its place: a client would take an error for the rest of a row."""
    head, cut = {
        "row": (columns("a"), LONG[:100]),
        "copy_data": (COPY_OUT, raw.copy_data("x" * 300)[:100]),
        "long_notice": (b"", notice("x" * 100_000)[:70_000]),
        "header": (columns("a"), LONG[:3]),
    }[kind]
    server.script(user, answers(head, cut, close=True))
    with client(pgpool, user) as one:
        one.send(raw.query("SELECT broken"))
        if kind == "header":
            data = b"".join(message(m.kind, m.body) for m in one.read_until("Z"))
        else:
            data = one.drain_to_end()
        assert data.startswith(head)
        rest = data[len(head):]
        if kind == "header":
            assert rest[:1] == b"E" and b"40001" in rest
        else:
            assert cut.startswith(rest)
    still_serves(pgpool, user)


def test_close_between_queries_is_not_noticed_by_the_client(pgpool, server, user):
    """Nothing was owed and nothing kept: the next statement goes over another connection."""
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]
        first = server.of(user)[0]
        first.close()
        wait_for(first.ended.is_set, "the server's connection to end")
        wait_for(lambda: one.rows("SELECT 1") == [["1"]], "another connection")
    assert len(server.of(user)) == 2


def lost_in_a_transaction(pgpool, server, user, one):
    assert kinds(one.simple("BEGIN")) == "CZ"
    first = server.of(user)[-1]
    first.close()
    wait_for(first.ended.is_set, "the server's connection to end")
    # the child has heard of it when it has served somebody whose bytes came later
    with client(pgpool, user + "_x") as other:
        other.rows("SELECT 1")


def test_close_in_a_transaction(pgpool, server, user):
    """One error for the next statement, others until the client ends the transaction; nothing of it
    reaches another connection."""
    with client(pgpool, user) as one:
        lost_in_a_transaction(pgpool, server, user, one)
        got = one.simple("INSERT INTO x VALUES (1)")
        assert codes(got) == ["40001", "Z"] and got[-1].body == b"E"
        one.send(batch("INSERT INTO x VALUES (2)"))
        got = one.read_until("Z")
        assert codes(got) == ["25P02", "Z"] and got[-1].body == b"E"
        one.send(raw.SYNC)
        assert one.read_until("Z")[-1].body == b"E"
        got = one.simple("COMMIT")
        assert (got[0].body, got[-1].body) == (b"ROLLBACK\0", b"I")
        assert one.rows("SELECT 1") == [["1"]]
    assert len(server.of(user)) == 2
    assert server.asked("INSERT INTO x VALUES (1)") == server.asked("COMMIT") == 0


@pytest.mark.parametrize("form", ["simple", "extended"])
@pytest.mark.parametrize("sql, answer", [("COMMIT", "40001"), ("ROLLBACK", "C")])
def test_close_in_a_transaction_that_ends_next(pgpool, server, user, form, sql, answer):
    """A COMMIT is never said to have succeeded."""
    with client(pgpool, user) as one:
        lost_in_a_transaction(pgpool, server, user, one)
        one.send(raw.query(sql) if form == "simple" else batch(sql))
        got = one.read_until("Z")
        assert [code for code in codes(got) if code not in "12n"] == [answer, "Z"]
        assert got[-1].body == b"I"
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("texts, answers_", [
    (["INSERT INTO x VALUES (1)"], ["08007", "Z"]),
    (["SELECT 1 FROM x", "INSERT INTO x VALUES (1)"], ["08007", "Z", "08007", "Z"]),
    (["BEGIN", "INSERT INTO x VALUES (1)", "SELECT 2"], ["40001", "Z", "25P02", "Z", "25P02", "Z"]),
    (["BEGIN", "INSERT INTO x VALUES (1)", "COMMIT", "SELECT 3"],
     ["08007", "Z", "25P02", "Z", "25P02", "Z", "08007", "Z"]),
    (["BEGIN; INSERT INTO x VALUES (1); COMMIT"], ["08007", "Z"]),
    (["BEGIN; INSERT INTO x VALUES (1)"], ["40001", "Z"]),
])
def test_close_with_answers_owed(pgpool, server, user, texts, answers_):
    """Each gets an answer; whether something may have been committed is said."""
    texts = [f"{text} /* {user} */" for text in texts]

    def script(c):
        c.login()
        c.serve_one()
        for text in texts:
            c.expect("Q", text)
        c.close()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.rows("SELECT 1 /* pgpool: primary */")
        one.send(*[raw.query(text) for text in texts])
        got = one.read_until("Z", len(texts))
        assert codes(got) == answers_
        if got[-1].body == b"E":
            assert one.simple("ROLLBACK")[0].body == b"ROLLBACK\0"
        assert one.rows("SELECT 1") == [["1"]]
    assert [server.asked(text) for text in texts] == [1] * len(texts)


def test_close_in_a_batch_without_sync(pgpool, server, user):
    def script(c):
        c.login()
        c.expect("PBDE")
        c.close()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(raw.parse("", "INSERT INTO x VALUES (1)"), raw.bind("", ""), raw.describe("P", ""),
                 raw.execute(), raw.FLUSH)
        assert codes(one.read_until("E")) == ["40001"]
        one.send(raw.SYNC)
        assert [m.kind for m in one.read_until("Z")] == ["Z"]
        assert one.rows("SELECT 1") == [["1"]]


def test_close_of_a_connection_with_state(pgpool, server, user):
    """Its temporary table is gone: so is the session, and it is told why."""
    with client(pgpool, user) as one:
        one.simple("CREATE TEMP TABLE x (a int)")
        server.of(user)[0].close()
        (got,) = one.read_to_end()
        assert (got.fields()["S"], got.fields()["C"]) == ("FATAL", "57P01")
        assert "a temporary object" in got.fields()["D"]
    still_serves(pgpool, user)


@pytest.mark.parametrize("code, words", [
    ("57P01", "terminating connection due to unexpected postmaster exit"),
    ("57P02", "terminating connection because of crash of another server process")])
def test_fatal_of_a_server_that_ends(pgpool, server, user, code, words):
    """The session does not end with its server."""
    server.script(user, answers(fatal(code, words), close=True))
    with client(pgpool, user) as one:
        one.send(raw.query("INSERT INTO broken VALUES (1)"))
        got = one.read_until("Z")
        assert codes(got) == ["08007", "Z"] and got[0].fields()["D"] == words
        assert one.rows("SELECT 1") == [["1"]]
    server.script(user, answers(fatal(code, words), close=True))
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]  # a read runs again, on another connection


@pytest.mark.parametrize("message", [raw.query("BEGIN"), batch("BEGIN")], ids=["query", "batch"])
def test_a_begin_that_is_not_answered_runs_again(pgpool, server, user, message):
    def script(c):
        c.login()
        c.expect("Q" if message[:1] == b"Q" else "PBDES")
        c.close()

    server.script(user, script)
    with client(pgpool, user) as one:
        one.send(message)
        assert one.read_until("Z")[-1].body == b"T"
        assert kinds(one.simple("INSERT INTO x VALUES (1)")) == "CZ"
        assert one.simple("COMMIT")[-1].body == b"I"
    (connection,) = [c for c in server.of(user) if "Q" in c.kinds and len(c.texts) > 1]
    assert [text.split()[0] for text in connection.texts][:3] == ["BEGIN", "INSERT", "COMMIT"]


@pytest.mark.parametrize("when", ["in_a_query", "in_a_transaction", "in_a_batch"])
def test_fatal_passes_once(pgpool, server, user, when):
    def script(c):
        c.login()
        if when == "in_a_transaction":
            c.serve_one()
        else:
            c.expect("Q" if when == "in_a_query" else "PBDES")
        c.send(fatal("57P01", "terminating connection due to administrator command"))

    server.script(user, script)
    with client(pgpool, user) as one:
        if when == "in_a_transaction":
            assert kinds(one.simple("BEGIN")) == "CZ"
        else:
            one.send(raw.query("SELECT x") if when == "in_a_query" else batch("SELECT x"))
        (got,) = one.read_to_end()
        assert (got.fields()["S"], got.fields()["C"]) == ("FATAL", "57P01")
    still_serves(pgpool, user)
    assert server.role == "primary" and "is not to be used" not in pgpool.log_since_mark()


# ---- nonsense ------------------------------------------------------------------------------------

@pytest.mark.parametrize("nonsense", [
    message("?"), message("\0"), struct.pack("!cI", b"Z", 3), struct.pack("!cI", b"C", 0),
    struct.pack("!cI", b"D", 0xffffffff), struct.pack("!cI", b"D", 0x40000001),
    struct.pack("!cI", b"d", 1 << 31), message("Z", b"II"), message("1", b"x"),
    b"HTTP/1.1 400 Bad Request\r\n",
], ids=["type", "type_0", "length_3", "length_0", "length_negative", "length_1_gb", "length_2_gb",
        "long_ready", "long_parsed", "http"])
def test_nonsense_in_an_answer(pgpool, server, user, nonsense):
    """What made sense passes, then one error; the connection is closed."""
    head = columns("a") + row("1")
    data = broken(pgpool, server, user, head, nonsense)
    assert data.startswith(head)
    assert data[len(head):len(head) + 1] == b"E" and b"08P01" in data


def test_ready_with_an_unknown_status(pgpool, server, user):
    """Whatever it means, it is not idle: nobody else gets the connection before an ABORT."""
    server.script(user, answers(result("1"), ready("?")))
    with client(pgpool, user) as one:
        assert kinds(one.simple("SELECT x")) == "TDCZ"
    server.of(user)[0].wait_reset()
    still_serves(pgpool, user)
    assert server.of(user)[0].texts[:3] == ["SELECT x", "ABORT", "DISCARD ALL"]


@pytest.mark.parametrize("stray", [
    row("stray"), ready(), complete("STRAY"), error("22000", "stray"), PARSED, row("stray")[:9],
    row("x" * 100_000), EMPTY, raw.copy_data("stray"),
], ids=["row", "ready", "complete", "error", "parsed", "half_a_row", "long_row", "empty",
        "copy_data"])
@pytest.mark.parametrize("when", ["at_once", "later"])
def test_answer_to_nothing_reaches_nobody_else(pgpool, server, user, stray, when):
    """It comes with an answer, or when that client has gone: its connection is used no more."""
    together = when == "at_once"

    def script(c):
        c.login()
        c.expect("Q")
        c.send(result("1"), ready(), stray if together else b"")
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        assert kinds(one.simple("SELECT x")) == "TDCZ"
        first = server.of(user)[0]
        if not together:
            one.close()
            first.wait_reset()
            first.send(stray)
    wait_for(first.ended.is_set, "the server's connection to end")
    for _ in range(3):
        with client(pgpool, user) as other:
            assert codes(other.simple("SELECT other")) == ["T", "D", "C", "Z"]
            assert other.rows("SELECT 1") == [["1"]]
            assert other.quiet(0)


def test_two_errors_in_one_answer(pgpool, server, user):
    """Both pass, and the connection still counts as what it says it is."""
    server.script(user, answers(error("22000", "one"), error("22000", "two"), ready()))
    with client(pgpool, user) as one:
        assert kinds(one.simple("SELECT x")) == "EEZ"
        assert one.rows("SELECT 1") == [["1"]]
