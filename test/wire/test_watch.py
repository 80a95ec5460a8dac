"""pgpool's own questions to servers: what it makes of refusals, silence, and nonsense."""

import pytest

import raw
from clients import client, codes, kinds, nodes
from fake import columns, complete, error, fatal, notice, ready, row
from raw import message
from scram import Exchange
from waiting import SLOW, wait_for

pytestmark = pytest.mark.one_engine  # all of it happens in the lag process

UP = ("up", "primary", "primary")
STANDBY = ("up", "standby", "standby")


def settles(bed, *expected, timeout=15):
    wait_for(lambda: nodes(bed.pgpool) == list(expected), f"the nodes to be {expected}", timeout)


def ask_anew(server):
    """The next question needs a new connection."""
    for connection in list(server.watchers):  # not one that is dialled meanwhile
        connection.close()


def said_of(bed, node):
    """The log's lines about a node."""
    return [line for line in bed.pgpool.log_text().splitlines() if f'node {node} "' in line]


def down_then_up(bed, words):
    """Node 1 is not used, for a reason that the log gives once; then it is as before."""
    server = bed.servers[1]
    ask_anew(server)
    wait_for(lambda: nodes(bed.pgpool)[1][0] == "down", "the node to be down")
    asked = len(server.watchers)
    wait_for(lambda: len(server.watchers) > asked, "another attempt")
    (line,) = [line for line in said_of(bed, 1) if "is not to be used" in line]
    assert words in line
    with client(bed.pgpool, "alice") as one:
        assert kinds(one.simple("INSERT INTO x VALUES (1)")) == "CZ"
        assert kinds(one.simple("SELECT x FROM t")) == "TDCZ"
    server.watch_login = server.watch_answer = None
    settles(bed, UP, STANDBY)


def start(start_bed, **settings):
    bed = start_bed(("primary", "standby"), **settings)
    settles(bed, UP, STANDBY)
    return bed


@pytest.mark.parametrize("said, words", [
    (fatal("28P01", "password authentication failed for user \"postgres\""),
     "password authentication failed"),
    (fatal("57P03", "the database system is starting up"), "the database system is starting up"),
    (error(None, "go away", "FATAL"), "go away"),
    (b"", "server closed the connection unexpectedly"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not to be used"),
], ids=["password", "starting_up", "no_sqlstate", "nothing", "http"])
def test_refused_login(start_bed, said, words):
    bed = start(start_bed)
    bed.servers[1].watch_login = lambda c: (c.send(said), c.close())
    down_then_up(bed, words)


@pytest.mark.parametrize("right", [True, False])
def test_password_of_the_watcher(start_bed, right):
    """sr_check_password, proved by SCRAM."""
    bed = start(start_bed, sr_check_password="secret")
    server = bed.servers[1]

    def asks(c):
        if Exchange("secret" if right else "another").run(c):
            c.login()
        else:
            c.send(fatal("28P01", "password authentication failed"))
            c.close()

    server.watch_login = asks
    if not right:
        down_then_up(bed, "password authentication failed")
        return
    before = len(server.watchers)
    ask_anew(server)
    wait_for(lambda: len(server.watchers) > before and server.watchers[-1].kinds.count("Q") > 1,
             "questions over the new connection")
    assert nodes(bed.pgpool) == [UP, STANDBY]


@pytest.mark.parametrize("answer", [
    error("42501", "permission denied for function pg_control_system") + ready(),
    error("42501", "no") + error("42501", "no") + ready(),
    columns("a") + complete("SELECT 0") + ready(),
    columns("a") + row("maybe") + complete("SELECT 1") + ready(),
    columns("a") + row(None) + complete("SELECT 1") + ready(),
    complete("SET") + ready(), message("I") + ready(),
], ids=["refused", "refused_twice", "no_rows", "maybe", "null", "no_columns", "empty"])
def test_answer_that_tells_nothing(start_bed, answer):
    """Above all the server is not taken for a primary."""
    bed = start(start_bed)
    bed.servers[1].watch_answer = answer
    wait_for(lambda: nodes(bed.pgpool)[1][0] == "down", "the node to be down")
    assert nodes(bed.pgpool)[0] == UP
    assert not [line for line in said_of(bed, 1) if "up and a primary" in line]
    bed.servers[1].watch_answer = None
    ask_anew(bed.servers[1])
    settles(bed, UP, STANDBY)


def test_lost_idle_connection_says_nothing_against_the_node(start_bed):
    """It is asked again over a new one, and nothing is logged."""
    bed = start(start_bed)
    text = bed.pgpool.log_text()
    for server in bed.servers:
        before = len(server.watchers)
        server.watchers[-1].wait_unasked()
        server.watchers[-1].send(fatal("57P01", "terminating connection"))
        server.watchers[-1].close()
        wait_for(lambda s=server, n=before: len(s.watchers) > n and "Q" in s.watchers[-1].kinds,
                 "a new connection")
        with client(bed.pgpool, "alice") as one:
            assert kinds(one.simple("INSERT INTO x VALUES (1)")) == "CZ"
    assert nodes(bed.pgpool) == [UP, STANDBY]
    assert "not to be used" not in bed.pgpool.log_text()[len(text):]


def test_notice_on_an_idle_connection(start_bed):
    """Does no harm, and does not get into the log as noise of libpq's."""
    bed = start(start_bed)
    watcher = bed.servers[1].watchers[-1]
    watcher.wait_unasked()
    watcher.send(notice("hello"), notice("again"))
    asked = watcher.kinds.count("Q")
    wait_for(lambda: watcher.kinds.count("Q") > asked, "the next question")
    assert nodes(bed.pgpool) == [UP, STANDBY]
    assert len(bed.servers[1].watchers) == 1


@pytest.mark.takes(11)
def test_silence(start_bed):
    """At login on one node, at a question on the next, in the middle of nonsense on others: all are
    given up after the deadline, while the primary serves, and are back when they speak."""
    nonsense = [b"", message("G", b"\0\0\0"), message("?"), message("D", b"\xff\xff"),
                columns("a") + message("D", b"\0\1\x7f\xff\xff\xff"),
                columns("a") + row("t")[:9]]
    standbys = 1 + len(nonsense)
    bed = start_bed(("primary", *["standby"] * standbys), connect_timeout=f"{int(500 * SLOW)}ms")
    settles(bed, UP, *[STANDBY] * standbys)
    bed.servers[1].watch_login = lambda c: c.wait_gone()
    ask_anew(bed.servers[1])
    for server, answer in zip(bed.servers[2:], nonsense):
        server.watch_answer = answer
    with client(bed.pgpool, "alice") as one:
        def all_down():
            assert kinds(one.simple("INSERT INTO x VALUES (1)")) == "CZ"
            return [node[0] for node in nodes(bed.pgpool)] == ["up"] + ["down"] * standbys

        wait_for(all_down, "the silent nodes to be down", 20, 0.1)
    assert "in time" in bed.pgpool.log_text()
    for server in bed.servers[1:]:
        server.watch_login = server.watch_answer = None
        ask_anew(server)
    settles(bed, UP, *[STANDBY] * standbys)


def test_nobody_answers_at_all(start_bed):
    """Clients come in all the same, are told, and are served as soon as somebody does."""
    bed = start_bed()
    server = bed.servers[0]
    server.watch_login = lambda c: c.close()
    ask_anew(server)
    wait_for(lambda: nodes(bed.pgpool)[0][0] == "down", "the node to be down")
    with client(bed.pgpool, "alice") as one:
        assert codes(one.simple("SELECT 1")) == ["57P03", "Z"]
        one.send(raw.parse("", "SELECT 1"), raw.bind("", ""), raw.execute(), raw.SYNC)
        assert codes(one.read_until("Z")) == ["57P03", "Z"]
        server.watch_login = None
        settles(bed, UP)
        assert one.rows("SELECT 1") == [["1"]]
