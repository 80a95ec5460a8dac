"""The extended protocol where only an unusual server shows what the proxy remembers."""

import pytest

import raw
from clients import batch, client, codes, kinds, still_serves
from fake import BOUND, CLOSED, PARSED, SUSPENDED, columns, complete, error, notice, ready, row

ROLES = ("primary", "standby")
PGPOOL_SETTINGS = {"read_consistency": "eventual"}  # reads go to the standby always
FAILED = error("42601", "syntax error")
USE = raw.bind("", "s") + raw.describe("P") + raw.execute() + raw.SYNC
ROWS = columns("a") + row("1") + complete("SELECT 1")


def script_of(*steps):
    """Pairs: the messages that must come, the answer to them; then it serves."""
    def script(c):
        c.login()
        for awaited, answer in steps:
            c.expect(awaited)
            c.send(answer)
        c.serve()
    return script


def test_parse_that_fails_is_forgotten(pgpool, server, user):
    """The name may be given again, and it is never parsed on another connection by itself."""
    server.script(user, script_of(("PS", FAILED + ready()), ("PS", PARSED + ready()),
                                  ("BDES", BOUND + ROWS + ready())))
    with client(pgpool, user) as one:
        one.send(raw.parse("s", "INSERT INTO bad SELECT 1"), raw.SYNC)
        assert codes(one.read_until("Z")) == ["42601", "Z"]
        one.send(raw.parse("s", "INSERT INTO good VALUES (1)"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "1Z"
        one.send(USE)
        assert kinds(one.read_until("Z")) == "2TDCZ"
    assert server.asked("INSERT INTO bad SELECT 1", user) == 1
    assert server.asked("INSERT INTO good VALUES (1)", user) == 1


def test_parse_behind_an_error_is_forgotten(pgpool, server, user):
    """The server skips it without a word: the name is free, and its use is an error there."""
    server.script(user, script_of(
        ("PPS", FAILED + ready()), ("BDES", error("26000", "does not exist") + ready()),
        ("PS", PARSED + ready()), ("BDES", BOUND + ROWS + ready())))
    with client(pgpool, user) as one:
        one.send(raw.parse("", "INSERT INTO bad SELECT 1"),
                 raw.parse("s", "INSERT INTO skipped SELECT 1"), raw.SYNC)
        assert codes(one.read_until("Z")) == ["42601", "Z"]
        one.send(USE)
        assert codes(one.read_until("Z")) == ["26000", "Z"]
        one.send(raw.parse("s", "INSERT INTO good VALUES (1)"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "1Z"
        one.send(USE)
        assert kinds(one.read_until("Z")) == "2TDCZ"


def test_close_behind_an_error_does_not_free_the_name(pgpool, server, user):
    """The server still knows the statement, and so does the session."""
    server.script(user, script_of(
        ("PS", PARSED + ready()), ("PS", FAILED + ready()), ("BDES", BOUND + ROWS + ready())))
    with client(pgpool, user) as one:
        one.send(raw.parse("s", "INSERT INTO x VALUES (1)"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "1Z"
        one.send(raw.parse("", "INSERT INTO bad SELECT 1"), raw.close("S", "s"), raw.SYNC)
        assert codes(one.read_until("Z")) == ["42601", "Z"]
        one.send(USE)
        assert kinds(one.read_until("Z")) == "2TDCZ"


def test_cached_plan_error_passes_and_the_statement_stays(pgpool, server, user):
    """As PostgreSQL has it: the client hears of it, and may prepare the statement anew."""
    plan = error("0A000", "cached plan must not change result type")
    server.script(user, script_of(
        ("PS", PARSED + ready()), ("BDES", BOUND + ROWS + ready()), ("BDES", plan + ready()),
        ("BDES", plan + ready()), ("PS", PARSED + ready()),
        ("BDES", BOUND + ROWS + ready())))
    with client(pgpool, user) as one:
        one.send(raw.parse("s", "INSERT INTO x VALUES (1) RETURNING *"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "1Z"
        for expected in (["2", "T", "D", "C", "Z"], ["0A000", "Z"], ["0A000", "Z"]):
            one.send(USE)
            assert codes(one.read_until("Z")) == expected
        one.send(raw.close("S", "s"), raw.parse("s", "INSERT INTO x VALUES (1) RETURNING *"),
                 raw.SYNC)
        assert kinds(one.read_until("Z")) == "31Z"
        one.send(USE)
        assert kinds(one.read_until("Z")) == "2TDCZ"


def test_statement_is_parsed_where_it_is_needed(bed, pgpool, user):
    """Once on each connection, unseen by the client."""
    primary, standby = bed.servers
    with client(pgpool, user) as one:
        one.send(raw.parse("s", "SELECT x FROM t"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "1Z"
        for _ in range(3):
            one.send(USE)
            assert kinds(one.read_until("Z")) == "2TDCZ"
        assert kinds(one.simple("BEGIN")) == "CZ"
        for _ in range(3):
            one.send(USE)
            assert kinds(one.read_until("Z")) == "2TDCZ"
        assert kinds(one.simple("COMMIT")) == "CZ"
    assert [s.asked("SELECT x FROM t", user) for s in (primary, standby)] == [1, 1]


@pytest.mark.parametrize("said", [FAILED, notice("hello") + FAILED], ids=["error", "notice_too"])
def test_parse_of_ours_that_fails(bed, pgpool, server, user, said):
    """The statement was good on the standby and is not on the primary: the client's batch fails
    with that error once, and goes on behind its Sync."""
    server.script(user, script_of(("Q", complete("BEGIN") + ready("T")),
                                  ("PBDES", said + ready("E")),
                                  ("Q", complete("ROLLBACK") + ready())))
    with client(pgpool, user) as one:
        one.send(raw.parse("s", "SELECT x FROM t"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "1Z"
        assert kinds(one.simple("BEGIN")) == "CZ"
        one.send(USE)
        got = [got for got in one.read_until("Z") if got.kind != "N"]
        assert codes(got) == ["42601", "Z"]
        assert got[-1].body == b"E"
        assert kinds(one.simple("ROLLBACK")) == "CZ"
        one.send(USE)
        assert kinds(one.read_until("Z")) == "2TDCZ"


def test_suspended_portal_keeps_its_connection(bed, pgpool, server, user):
    """Its rows come from where it was opened, whatever is sent between, until it is closed."""
    server.script(user, script_of(
        ("Q", complete("BEGIN") + ready("T")),
        ("PBES", PARSED + BOUND + row("1") + SUSPENDED + ready("T")),
        ("Q", complete("INSERT 0 1") + ready("T")),
        ("ES", row("2") + SUSPENDED + ready("T")),
        ("EH", row("3") + complete("SELECT 1")),
        ("CS", CLOSED + ready("T")),
        ("Q", complete("COMMIT") + ready())))
    with client(pgpool, user) as one:
        assert kinds(one.simple("BEGIN")) == "CZ"
        one.send(raw.parse("", "SELECT x FROM t"), raw.bind("p", ""), raw.execute("p", 1), raw.SYNC)
        assert kinds(one.read_until("Z")) == "12DsZ"
        assert kinds(one.simple("INSERT INTO x VALUES (1)")) == "CZ"
        one.send(raw.execute("p", 1), raw.SYNC)
        assert kinds(one.read_until("Z")) == "DsZ"
        one.send(raw.execute("p", 1), raw.FLUSH)
        assert kinds(one.read_until("C")) == "DC"
        one.send(raw.close("P", "p"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "3Z"
        assert kinds(one.simple("COMMIT")) == "CZ"
    assert not bed.servers[1].asked("SELECT x FROM t", user)


def test_suspended_portal_outside_of_a_transaction(pgpool, server, user):
    """By Flush, the next Execute comes to the same server, before the Sync ends the portal."""
    server.script(user, script_of(
        ("PBEH", PARSED + BOUND + row("1") + SUSPENDED), ("EH", row("2") + SUSPENDED),
        ("ES", row("3") + complete("SELECT 1") + ready())))
    with client(pgpool, user) as one:
        one.send(raw.parse("", "SELECT x FROM t"), raw.bind("", ""), raw.execute("", 1), raw.FLUSH)
        assert kinds(one.read_until("s")) == "12Ds"
        one.send(raw.execute("", 1), raw.FLUSH)
        assert kinds(one.read_until("s")) == "Ds"
        one.send(raw.execute("", 1), raw.SYNC)
        assert kinds(one.read_until("Z")) == "DCZ"


def test_client_that_goes_with_a_suspended_portal(bed, pgpool, server, user):
    """Nobody inherits it: the connection is reset after its transaction, or closed."""
    with client(pgpool, user) as one:
        assert kinds(one.simple("BEGIN")) == "CZ"
        server.replies["SELECT portal FROM t"] = columns("a") + row("1") + SUSPENDED
        one.send(batch("SELECT portal FROM t", portal="p", rows=1))
        assert kinds(one.read_until("Z")) == "12TDsZ"
    server.of(user)[0].wait_reset()
    assert server.of(user)[0].texts[-2:] == ["ABORT", "DISCARD ALL"]
    still_serves(pgpool, user)


def test_error_before_anything_was_read(pgpool, server, user):
    """The error of the first message of many: all else up to Sync is nothing, twice over."""
    server.script(user, script_of(
        ("P", FAILED), ("BDESPBDES", ready() + PARSED + BOUND + ROWS + ready())))
    with client(pgpool, user) as one:
        one.send(batch("INSERT INTO bad SELECT 1"), batch("INSERT INTO good VALUES (1)"))
        assert codes(one.read_until("Z", 2)) == ["42601", "Z", "1", "2", "T", "D", "C", "Z"]
        assert kinds(one.simple("INSERT INTO x VALUES (1)")) == "CZ"
    still_serves(pgpool, user)
