"""Who is the primary, who may be read from, and what happens when that changes or is a lie."""

import os
import signal
import threading

import pytest

import raw
from clients import client, codes, kinds, nodes, refusal, still_serves
from fake import AUTH_OK, PATIENCE, FakeServer, error, fatal, parameter, ready, result
from raw import message
from waiting import SLOW, wait_for

UP = ("up", "primary", "primary")
STANDBY = ("up", "standby", "standby")


def settles(bed, *expected):
    wait_for(lambda: nodes(bed.pgpool) == list(expected), f"the nodes to be {expected}", 15)


def writes(one, bed, node):
    """A write goes to that node, and to no other."""
    text = f"INSERT INTO t VALUES ({one.socket.getsockname()[1]})"
    before = [server.asked(text) for server in bed.servers]
    assert kinds(one.simple(text)) == "CZ"
    for number, server in enumerate(bed.servers):
        assert server.asked(text) - before[number] == (number == node)


def reads_from(one, bed):
    """The number of the node that a read has gone to."""
    text = f"SELECT {one.socket.getsockname()[1]} FROM t"
    before = [server.asked(text) for server in bed.servers]
    assert kinds(one.simple(text)) == "TDCZ"
    return [server.asked(text) - before[number]
            for number, server in enumerate(bed.servers)].index(1)


def promote(bed, old, new):
    """As a failover does; the old one is a standby of the new one afterwards."""
    bed.servers[old].role = "standby"
    bed.servers[new].role = "primary"
    for server in bed.servers:
        server.timeline += 1


# ---- who gets writes -----------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["15.18", "13.11"])
def test_standby_in_the_primary_s_place_gets_no_write(start_bed, version):
    """It says so itself at login, whatever is known of it; also when the connection of the
    client's own login is at hand."""
    bed = start_bed()
    server = bed.servers[0]
    server.told = "standby"
    if version < "14":
        def script(c):
            key = message("K", c.pid.to_bytes(4, "big") + c.key)
            c.send(AUTH_OK, parameter("server_version", version), key, ready())
            c.expect("Q")
            c.send(result("t"), ready())
            c.serve()

        server.script("alice", *[script] * 3)
    with client(bed.pgpool, "alice") as one:
        one.send(raw.query("INSERT INTO x VALUES (1)"))
        (got,) = one.read_to_end()
        assert (got.fields()["S"], got.fields()["C"]) == ("FATAL", "57P03")
    assert server.asked("INSERT INTO x VALUES (1)") == 0
    server.told = None
    server.script("alice")
    with client(bed.pgpool, "alice") as one:
        writes(one, bed, 0)


def test_connection_from_before_the_promotion_gets_no_write(start_bed):
    """What was opened to a standby still says that it is one."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one:
        assert reads_from(one, bed) == 1
    (old,) = bed.servers[1].of("alice")
    promote(bed, 0, 1)
    settles(bed, STANDBY, UP)
    with client(bed.pgpool, "alice") as one:
        writes(one, bed, 1)
    assert "INSERT" not in "".join(old.texts)


def test_two_primaries_get_no_writes(start_bed):
    """Nobody decides between them: an error that says so, and SHOW tells why."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one:
        writes(one, bed, 0)
        bed.servers[1].role = "primary"
        settles(bed, *[("quarantine", "standby", "primary")] * 2)
        for text in ("INSERT INTO lost VALUES (1)", "BEGIN", "SELECT 1 FROM t"):
            assert codes(one.simple(text)) == ["57P03", "Z"]
        with client(bed.pgpool, "bob") as other:  # may come in and look
            assert codes(other.simple("INSERT INTO lost VALUES (1)")) == ["57P03", "Z"]
        assert [server.asked("INSERT INTO lost VALUES (1)") for server in bed.servers] == [0, 0]
        assert "2 nodes say that they are the primary" in bed.pgpool.log_text()
        bed.servers[1].role = "standby"
        settles(bed, UP, STANDBY)
        writes(one, bed, 0)


def test_later_timeline_decides_between_two_primaries(start_bed):
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    bed.servers[1].timeline = 2
    bed.servers[1].role = "primary"
    settles(bed, ("quarantine", "standby", "primary"), UP)
    with client(bed.pgpool, "alice") as one:
        writes(one, bed, 1)
        assert reads_from(one, bed) == 1


def test_primary_that_is_behind_its_own_timeline_gets_no_writes(start_bed):
    """The later one was seen and has gone: what is left is the past."""
    bed = start_bed(("primary", "standby"))
    bed.servers[1].timeline = 2
    bed.servers[1].role = "primary"
    settles(bed, ("quarantine", "standby", "primary"), UP)
    bed.servers[1].down()
    settles(bed, ("quarantine", "standby", "primary"), ("down", "standby", "primary"))
    with client(bed.pgpool, "alice") as one:
        assert codes(one.simple("INSERT INTO x VALUES (1)")) == ["57P03", "Z"]
    assert bed.servers[0].asked("INSERT INTO x VALUES (1)") == 0


# ---- changes -------------------------------------------------------------------------------------

def test_writes_follow_the_primary(start_bed):
    """Those of a session that was there before, too."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one:
        writes(one, bed, 0)
        promote(bed, 0, 1)
        settles(bed, STANDBY, UP)
        writes(one, bed, 1)
        promote(bed, 1, 0)
        settles(bed, UP, STANDBY)
        writes(one, bed, 0)


def test_session_with_state_does_not_follow(start_bed):
    """Its temporary table is on the old primary: it hears so, and nothing is written."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one:
        assert kinds(one.simple("CREATE TEMP TABLE x (a int)")) == "CZ"
        promote(bed, 0, 1)
        (got,) = one.read_to_end()
        assert (got.fields()["S"], got.fields()["C"]) == ("FATAL", "57P01")
        assert "a temporary object" in got.fields()["D"]
    assert [server.asked("INSERT INTO x VALUES (1)") for server in bed.servers] == [0, 0]


def test_write_waits_though_its_connection_to_the_old_primary_is_open(start_bed):
    """The others have heard before it that there is no primary any more."""
    bed = start_bed(("primary", "standby"), failover_wait="60s")
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one, client(bed.pgpool, "postgres") as other:
        writes(one, bed, 0)
        bed.servers[0].stop_listening()
        settles(bed, ("down", "standby", "primary"), STANDBY)
        one.send(raw.query("INSERT INTO late VALUES (1)"))
        for _ in range(3):  # the one child has read it then
            other.rows("PGPOOL SHOW failover_wait")
        bed.servers[1].timeline = 2
        bed.servers[1].role = "primary"
        assert kinds(one.read_until("Z")) == "CZ"
    assert [server.asked("INSERT INTO late VALUES (1)") for server in bed.servers] == [0, 1]


def test_primary_that_dies_and_is_replaced(start_bed):
    """Meanwhile writes get an error and reads go on; an idle session survives all of it."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one:
        writes(one, bed, 0)
        wait_for(lambda: reads_from(one, bed) == 1, "the standby to have the write")
        bed.servers[0].down()
        settles(bed, ("down", "standby", "primary"), STANDBY)
        assert codes(one.simple("INSERT INTO lost VALUES (1)")) == ["57P03", "Z"]
        assert reads_from(one, bed) == 1
        with client(bed.pgpool, "bob") as other:
            assert reads_from(other, bed) == 1
        bed.servers[1].timeline = 2
        bed.servers[1].role = "primary"
        settles(bed, ("down", "standby", "primary"), UP)
        writes(one, bed, 1)
    assert bed.servers[1].asked("INSERT INTO lost VALUES (1)") == 0


def test_node_added_by_reload(start_bed):
    """Sessions that come then read from it; a new weight counts as soon; it cannot be removed."""
    bed = start_bed()
    with client(bed.pgpool, "alice") as one:
        assert reads_from(one, bed) == 0
        bed.servers.append(FakeServer("standby", "node1"))
        before = dict(bed.pgpool.settings)
        new = {"backend_hostname1": bed.servers[1].host, "backend_port1": bed.servers[1].port}

        def reload(**settings):
            bed.pgpool.settings = dict(before)
            bed.pgpool.write_config(**settings)
            os.kill(bed.pgpool.pid, signal.SIGHUP)

        reload(**new, backend_weight1=1)
        settles(bed, UP, STANDBY)
        with client(bed.pgpool, "bob") as other:
            assert reads_from(other, bed) == 1
            writes(other, bed, 0)
        reload(**new, backend_weight1=0)

        def unread():
            with client(bed.pgpool, "carol") as third:
                return reads_from(third, bed) == 0

        wait_for(unread, "the new weight")
        reload()
        wait_for(lambda: "cannot be removed without a restart" in bed.pgpool.log_text(), "the note")
        settles(bed, UP, STANDBY)
        writes(one, bed, 0)


# ---- reads ---------------------------------------------------------------------------------------

def test_read_waits_for_no_standby_that_is_behind(start_bed):
    """After a write a session reads from the primary until the standby has replayed it."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one:
        assert reads_from(one, bed) == 1
        bed.servers[0].lsn += 1000
        writes(one, bed, 0)
        for _ in range(20):
            assert reads_from(one, bed) == 0
        bed.servers[1].lsn = bed.servers[0].lsn
        wait_for(lambda: reads_from(one, bed) == 1, "the read to go to the standby")


def test_standby_of_another_timeline_is_not_fresh(start_bed):
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    with client(bed.pgpool, "alice") as one:
        bed.servers[0].timeline = 2
        writes(one, bed, 0)
        for _ in range(20):
            assert reads_from(one, bed) == 0
        bed.servers[1].timeline = 2
        wait_for(lambda: reads_from(one, bed) == 1, "the read to go to the standby")


def test_standby_of_another_system_is_not_used(start_bed):
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    bed.servers[1].system += 1
    settles(bed, UP, ("quarantine", "standby", "standby"))
    with client(bed.pgpool, "alice") as one:
        assert reads_from(one, bed) == 0


@pytest.mark.parametrize("refuses", [
    fatal("53300", "sorry, too many clients already"), fatal("28000", "no entry in pg_hba.conf"),
    error(None, "go away", "FATAL"), message("?"),
], ids=["full", "hba", "no_sqlstate", "nonsense"])
def test_standby_that_refuses_a_login_is_left_alone(start_bed, refuses):
    """The session reads from the primary, and does not ask again and again."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    bed.servers[1].script("alice", *[lambda c: c.send(refuses)] * 50)
    with client(bed.pgpool, "alice") as one:
        for _ in range(5):
            assert reads_from(one, bed) == 0
    assert len(bed.servers[1].of("alice")) <= 2
    with client(bed.pgpool, "bob") as other:
        assert reads_from(other, bed) == 1


def test_both_nodes_refuse_a_login(start_bed):
    """The primary's word counts: a standby may not have heard of a role yet."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    bed.servers[0].script("alice", lambda c: c.send(fatal("28000", "the primary")))
    bed.servers[1].script("alice", lambda c: c.send(fatal("28000", "the standby")))
    assert refusal(bed.pgpool, "alice")["M"] == "the primary"


def test_next_node_is_asked_when_one_does_not_answer(start_bed):
    """After connect_timeout; the standby that took the connection and said nothing is left out."""
    bed = start_bed(("primary", "standby"), connect_timeout=f"{int(1000 * SLOW)}ms")
    settles(bed, UP, STANDBY)
    bed.servers[1].script("alice", *[lambda c: c.wait_gone()] * 10)
    with client(bed.pgpool, "bob") as other, raw.Raw(bed.pgpool) as one:
        one.send(raw.startup({"user": "alice", "database": "test"}))
        silent = bed.servers[1].wait_for_connection("alice")

        def given_up():
            writes(other, bed, 0)
            return silent.gone.is_set()

        wait_for(given_up, "the silent standby to be given up", pause=0)
        assert one.read_until("ZE")[-1].kind == "Z"
        assert "server_version" in one.parameters and bed.servers[0].of("alice")
        writes(one, bed, 0)


def test_read_that_runs_again_stays_in_front_of_what_follows(start_bed):
    """Its standby has given it up, and has not said yet that it is ready again."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    given_up, followed = threading.Event(), threading.Event()

    def script(c):
        c.login()
        c.expect("Q", "SELECT 1 FROM t")
        c.send(error("40001", "canceling statement due to conflict with recovery"))
        given_up.set()
        assert followed.wait(PATIENCE)
        c.send(ready())
        c.serve()

    bed.servers[1].script("alice", script)
    with client(bed.pgpool, "alice") as one:
        one.send(raw.query("SELECT 1 FROM t"))
        assert given_up.wait(PATIENCE)
        one.send(raw.query("SELECT 2 FROM t"))
        still_serves(bed.pgpool)
        followed.set()
        for _ in range(2):
            assert codes(one.read_until("Z"))[-1] == "Z"
    assert bed.servers[0].asked("SELECT 1 FROM t", "alice") == 1


@pytest.mark.parametrize("end", ["error", "loss"])
def test_parse_alone_runs_again_too(start_bed, end):
    """As some drivers prepare: Parse, Describe, Sync, and nothing executed yet."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)

    def script(c):
        c.login()
        c.expect("PDS")
        if end == "loss":
            c.close()
            return
        c.send(error("40001", "canceling statement due to conflict with recovery"), ready())
        c.serve()

    bed.servers[1].script("alice", script)
    with client(bed.pgpool, "alice") as one:
        one.send(raw.parse("s", "SELECT 1 FROM t"), raw.describe("S", "s"), raw.SYNC)
        assert kinds(one.read_until("Z")) == "1tTZ"
        one.send(raw.bind("", "s"), raw.execute(), raw.SYNC)
        assert kinds(one.read_until("Z")) == "2DCZ"
    assert bed.servers[0].asked("SELECT 1 FROM t", "alice") >= 1


# ---- questions to the catalog --------------------------------------------------------------------

def gone(connection, _):
    connection.close()
    return b""


@pytest.mark.parametrize("lookup", [
    lambda *_: error("42501", "permission denied for table pg_class") + ready(),
    lambda *_: result("1") + ready(), lambda *_: result("a", "b", "c") + ready(), gone,
], ids=["refused", "other columns", "nonsense", "lost"])
def test_catalog_that_cannot_be_asked(start_bed, lookup):
    """The statement goes to the primary, and is answered."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    bed.servers[0].lookup = lookup
    with client(bed.pgpool, "alice") as one:
        assert kinds(one.simple("SELECT a FROM unknown_to_all")) == "TDCZ"
        assert bed.servers[0].asked("SELECT a FROM unknown_to_all", "alice") == 1
    still_serves(bed.pgpool)


def test_catalog_that_never_answers(start_bed):
    """After some seconds the statement goes to the primary; for a while nobody asks again."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    asked, end = [], threading.Event()

    def silence(*_):
        asked.append(1)
        end.wait(2 * PATIENCE)
        return b""

    bed.servers[0].lookup = silence
    with client(bed.pgpool, "alice") as one:
        assert kinds(one.simple("SELECT a FROM unknown_to_all")) == "TDCZ"
        assert kinds(one.simple("SELECT a FROM unknown_as_well")) == "TDCZ"
    end.set()
    assert len(asked) == 1
    assert bed.servers[0].asked("SELECT a FROM unknown_as_well", "alice") == 1


def test_ddl_that_overtakes_every_question(start_bed):
    """What is known is outdated before it arrives, again and again: the statement is answered."""
    bed = start_bed(("primary", "standby"))
    settles(bed, UP, STANDBY)
    server = bed.servers[0]
    known = server.lookup
    with client(bed.pgpool, "bob") as other, client(bed.pgpool, "alice") as one:
        other.rows("UPDATE x SET a = 1")

        def overtaken(connection, question):
            other.simple("CREATE TABLE y ()")
            return known(connection, question)

        server.lookup = overtaken
        assert kinds(one.simple("SELECT a FROM unknown_to_all")) == "TDCZ"
        assert server.asked("SELECT a FROM unknown_to_all", "alice") == 1
