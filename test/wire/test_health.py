"""The health processes: what they make of refusals, silence and nonsense, as their titles and the
log show it."""

import os
import re
import signal
import socket
import threading
import time

import pytest

import probing
from clients import client
from fake import Gone, columns, complete, error, fatal, ready, result, row
from raw import query
from waiting import SLOW, wait_for

pytestmark = pytest.mark.one_engine  # these processes have an engine of their own

FAST = {"health_check_period": "50ms", "health_check_timeout": f"{int(250 * SLOW)}ms",
        "health_check_max_retries": 1, "health_check_retry_delay": "20ms"}
ALIVE = r"alive, a standby on timeline 1$"


def shows(bed, pattern, node=1):
    probing.shows(bed.pgpool, pattern, node)


def said(bed, words, node=1):
    return probing.said(bed.pgpool, words, node)


def start(start_bed, **settings):
    bed = start_bed(("primary", "standby"), **FAST | settings)
    shows(bed, ALIVE)
    shows(bed, r"alive, a primary on timeline 1$", 0)
    return bed


def probe_anew(server):
    """The next probe needs a new connection."""
    for connection in list(server.probers):
        connection.close()


def stats(bed, node=1):
    return probing.stats(bed.pgpool, node)


def another_check(bed, node=1):
    probing.another_check(bed.pgpool, node)


def back_to_life(bed):
    server = bed.servers[1]
    server.probe_login = server.probe_answer = None
    shows(bed, ALIVE)


def test_refused_is_dead(start_bed):
    bed = start(start_bed)
    bed.servers[1].stop_listening()
    shows(bed, r"dead: .*Connection refused")
    assert len(said(bed, "may be dead")) == len(said(bed, "is dead")) == 1
    another_check(bed)
    assert len(said(bed, "may be dead")) == len(said(bed, "is dead")) == 1
    shows(bed, "alive, a primary", 0)


@pytest.mark.parametrize("words", [
    fatal("57P03", "the database system is starting up"),
    fatal("57P03", "the database system is in recovery mode"),
    fatal("57P03", "the database system is shutting down"),
], ids=["starting", "recovery", "shutting_down"])
def test_refused_for_now_is_not_dead(start_bed, words):
    bed = start(start_bed)
    bed.servers[1].probe_login = lambda c: (c.send(words), c.close())
    probe_anew(bed.servers[1])
    shows(bed, r"recovering: the database system is ")
    asked = len(bed.servers[1].probers)
    wait_for(lambda: len(bed.servers[1].probers) > asked + 3, "more probes")
    shows(bed, r"recovering: the database system is ")
    back_to_life(bed)
    assert not said(bed, "is dead")
    assert len(said(bed, "takes no connections for now")) == len(said(bed, "alive again")) == 1


def test_graces_end(start_bed):
    bed = start(start_bed, recovery_grace="300ms", shutdown_grace="300ms")
    for words in ("the database system is starting up", "the database system is shutting down"):
        bed.servers[1].probe_login = lambda c, w=words: (c.send(fatal("57P03", w)), c.close())
        probe_anew(bed.servers[1])
        shows(bed, "dead: " + words)
        back_to_life(bed)


def test_shutdown_is_death_when_that_is_wanted(start_bed):
    bed = start(start_bed, failover_on_backend_shutdown="on", shutdown_grace=1000)
    words = "the database system is shutting down"
    bed.servers[1].probe_login = lambda c: (c.send(fatal("57P03", words)), c.close())
    probe_anew(bed.servers[1])
    shows(bed, "dead: " + words)


def test_shutdown_has_its_grace_when_nobody_listens_any_more(start_bed):
    """Also when the words "shutting down" were missed: 57P01 told it."""
    bed = start(start_bed, shutdown_grace=1000)
    server = bed.servers[1]

    def goodbye(connection):
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        connection.send(fatal("57P01", "terminating connection due to administrator command"))
        raise Gone()

    server.probe_answer = goodbye
    shows(bed, "recovering: .*Connection refused")
    asked = stats(bed)["retry_count"]
    wait_for(lambda: stats(bed)["retry_count"] > asked + 2, "more refusals")
    assert not said(bed, "is dead")


@pytest.mark.parametrize("answer", [
    fatal("53300", "sorry, too many clients already"),
    b"Ecould not fork new process for connection: Cannot allocate memory\n\0",
], ids=["53300", "fork"])
def test_no_room_is_alive(start_bed, answer):
    bed = start(start_bed)
    bed.servers[1].probe_login = lambda c: (c.send(answer), c.close())
    probe_anew(bed.servers[1])
    shows(bed, "^alive: .*(sorry|could not fork)")
    another_check(bed)
    shows(bed, "^alive: .*(sorry|could not fork)")
    back_to_life(bed)
    assert not said(bed, "is dead")


@pytest.mark.parametrize("answer", [
    fatal("28P01", "password authentication failed for user \"postgres\""),
    fatal("3D000", "database \"postgres\" does not exist"),
    fatal("28000", "no pg_hba.conf entry for host \"127.0.0.1\""),
], ids=["password", "database", "hba"])
def test_rejected_is_alive_and_an_alarm(start_bed, answer):
    bed = start(start_bed)
    bed.servers[1].probe_login = lambda c: (c.send(answer), c.close())
    probe_anew(bed.servers[1])
    shows(bed, "^alive: ")
    another_check(bed)
    assert len(said(bed, "could not be checked")) == 1
    back_to_life(bed)
    wait_for(lambda: said(bed, "can be checked again"), "the end of the alarm")
    assert not said(bed, "is dead")


def test_refused_statement_is_alive_and_an_alarm(start_bed):
    bed = start(start_bed)
    bed.servers[1].probe_answer = error("42501", "permission denied") + ready()
    shows(bed, "^alive: permission denied")
    back_to_life(bed)
    assert len(bed.servers[1].probers) == 1


def test_passing_error_is_asked_again(start_bed):
    """PostgreSQL reads its control file while somebody writes it."""
    bed = start(start_bed)
    server = bed.servers[1]
    answers = []

    def answer(_):
        answers.append(0)
        if len(answers) % 2:
            return error("XX000", "calculated CRC checksum does not match") + ready()
        return server.probed() + ready()

    server.probe_answer = answer
    wait_for(lambda: len(answers) > 6, "questions")
    server.probe_answer = None
    assert not said(bed, "could not be checked")
    assert len(server.probers) == 1


@pytest.mark.parametrize("login, answer", [
    (lambda c: c.wait_gone(), None),
    (lambda c: (c.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), c.wait_gone()), None),
    (None, b""),
    (None, columns("a") + complete("SELECT 0") + ready()),
    (None, result("maybe") + ready()),
    (None, columns("a") + row("t")[:9]),
    (None, complete("SET") + ready()),
], ids=["login", "http", "answer", "no_rows", "maybe", "half", "no_columns"])
def test_silence_and_nonsense_are_dead_after_the_retries(start_bed, login, answer):
    bed = start(start_bed)
    server = bed.servers[1]
    server.probe_login, server.probe_answer = login, answer
    if login:
        probe_anew(server)
    shows(bed, "^dead: ")
    assert len(said(bed, "may be dead")) == len(said(bed, "is dead")) == 1
    back_to_life(bed)


def test_retries_are_counted_and_one_silence_is_not_death(start_bed):
    bed = start(start_bed, health_check_max_retries=1000)
    server = bed.servers[1]
    server.probe_answer = b""
    shows(bed, "^suspect: no answer")
    server.probe_answer = None
    shows(bed, ALIVE)
    got = stats(bed)
    assert got["retry_count"] >= 1 and got["max_retry_count"] >= 1
    assert got["fail_count"] == 0
    assert got["last_failed_health_check"] and got["last_successful_health_check"]
    assert got["max_duration"] >= 200
    assert len(said(bed, "alive again")) == 1


def test_our_own_silence_says_nothing(start_bed):
    """The health process itself does not run while the answer arrives, past the deadline."""
    bed = start(start_bed, health_check_max_retries=0)
    server = bed.servers[1]
    (pid,) = bed.pgpool.named("health 1")
    asked, stopped = threading.Event(), threading.Event()

    def answer(_):
        asked.set()
        stopped.wait(20 * SLOW)
        return server.probed(timeline="7") + ready()

    server.probe_answer = answer
    assert asked.wait(20 * SLOW)
    os.kill(pid, signal.SIGSTOP)
    try:
        late = time.monotonic() + 0.25 * SLOW + 0.5
        stopped.set()
        wait_for(lambda: time.monotonic() > late, "the deadline to pass")
    finally:
        os.kill(pid, signal.SIGCONT)
    shows(bed, "a standby on timeline 7$")
    assert not said(bed, "dead")


def test_role_and_timeline_are_told(start_bed):
    bed = start(start_bed)
    server = bed.servers[1]
    server.timeline = 2
    shows(bed, "a standby on timeline 2$")
    server.role = "primary"
    shows(bed, "a primary on timeline 2$")
    assert len(said(bed, "is a primary of system")) == 1


def test_timeline_of_a_standby_that_receives_nothing(start_bed):
    """Its WAL files tell it; the control file is older."""
    bed = start(start_bed)
    server = bed.servers[1]

    def answer(connection):
        if "pg_stat_wal_receiver" in connection.texts[-1]:
            return server.probed(timeline=None) + ready()
        return files

    files = result("3") + ready()
    server.probe_answer = answer
    shows(bed, "a standby on timeline 3$")
    files = error("42501", "permission denied for function pg_ls_waldir") + ready()
    shows(bed, "a standby on timeline 1$")
    server.probe_answer = server.probed(timeline=None, may_list="f", control="5") + ready()
    shows(bed, "a standby on timeline 5$")
    assert len(server.probers) == 1


def test_user_who_may_not_see_the_receiver(start_bed):
    bed = start(start_bed)
    server = bed.servers[1]
    server.probe_answer = server.probed(timeline=None, blind="t", control="4") + ready()
    shows(bed, "a standby on timeline 4$")
    another_check(bed)
    assert len(said(bed, "grant pg_monitor")) == 1


def has_trouble(bed, user):
    """A connection to the primary that is dialled for a session fails."""
    def warnings():
        return len(re.findall("child pid.*WARNING", bed.pgpool.log_text()))

    before = warnings()
    bed.servers[0].script(user, lambda c: c.close())
    with client(bed.pgpool, user) as one:
        one.send(query("INSERT INTO x VALUES (1)"))
        one.read_to_end()
    wait_for(lambda: warnings() > before, "the child to complain")


def probes(server):
    return sum(one.answered for one in server.probers)


@pytest.mark.takes(8)
def test_without_a_period_only_what_is_asked_for(start_bed):
    """A lost connection and a client's trouble are reasons to ask; neither is a verdict."""
    bed = start_bed(("primary", "standby"), health_check_period=0, failover_on_backend_error="off")
    primary = bed.servers[0]
    probing.wait_left_alone(bed.pgpool, 0)
    before = probes(primary)
    for close in (lambda c: c.close(), lambda c: (c.send(fatal("57P01", "go")), c.close())):
        close(primary.probers[-1])
        wait_for(lambda n=before: probes(primary) > n, "a probe over a new connection")
        before += 1
    has_trouble(bed, "bob")
    has_trouble(bed, "rob")
    bed.pgpool.write_config(failover_on_backend_error="on")
    bed.pgpool.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "has been reloaded" in bed.pgpool.log_text(), "the reload")
    assert probes(primary) == before
    has_trouble(bed, "tob")
    wait_for(lambda: probes(primary) > before, "a probe")
    assert not said(bed, "is dead", 0)
    shows(bed, "^alive, a primary", 0)


def add_node(bed, host, port):
    """By a reload; it may not answer."""
    bed.pgpool.write_config(backend_hostname2=host, backend_port2=port, backend_weight2=1)
    bed.pgpool.process.send_signal(signal.SIGHUP)


def test_name_that_is_not_resolved_says_nothing(start_bed):
    bed = start(start_bed, health_check_timeout=30)
    add_node(bed, "no.such.name.invalid", 5432)
    shows(bed, "^unknown: could not translate host name", 2)
    assert len(said(bed, "could not be checked", 2)) == 1
    assert not said(bed, "is dead", 2)


def test_listener_that_nobody_serves(start_bed):
    """Dialling is bounded, too: a listener whose queue is full answers nothing."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        bed = start(start_bed)
        add_node(bed, "127.0.0.1", deaf.getsockname()[1])
        shows(bed, "^dead: no answer", 2)
        for one in crowd:
            one.close()
