"""TLS towards servers: every backend_sslmode against servers of every kind."""

import socket
import threading

import pytest

import raw
from certificates import Authority, server_context
from clients import client, codes, refusal
from cluster import make_dir
from conftest import Bed
from fake import PATIENCE, error, fatal, ready
from waiting import Background, wait_for

AUTHORITY = Authority(make_dir("tls-"))
STRANGER = Authority(make_dir("tls-"), "somebody else")
RIGHT = AUTHORITY.issue("server", "DNS:localhost,IP:127.0.0.1")
OTHER_NAME = AUTHORITY.issue("other", "DNS:db.example")
BY_COMMON_NAME = AUTHORITY.issue("named", "", "127.0.0.1")
REVOKED = AUTHORITY.issue("revoked", "IP:127.0.0.1")
CLIENT = AUTHORITY.issue("pgpool")
AUTHORITY.revoke("revoked")
UNKNOWN = STRANGER.issue("server", "DNS:localhost,IP:127.0.0.1")
CHECKED = {"backend_ssl_ca_cert": AUTHORITY.root}
NO_ENTRY = fatal("28000", "no pg_hba.conf entry for this kind of connection")


@pytest.fixture(scope="module", autouse=True)
def certificates_fixture():
    yield
    AUTHORITY.remove()
    STRANGER.remove()


@pytest.fixture(name="start_tls_bed")
def start_tls_bed_fixture(engine):
    """As start_bed, but the server offers TLS from its first connection on.

    pgpool's own first questions have been answered then: the next connection is a client's.
    """
    started = []

    def start(identity=RIGHT, authority=None, **settings):
        bed = Bed(engine, **settings)
        bed.servers[0].tls = identity and server_context(identity, authority)
        started.append(bed)
        bed.start()
        wait_for(lambda: "is a primary of system" in bed.pgpool.log_text(), "the first probe")
        return bed

    yield start
    wrong = []
    for bed in started:
        wrong += bed.faults()
        try:
            bed.finish()
        except AssertionError as failure:
            wrong.append(str(failure))
    assert not wrong, "\n".join(wrong)


def login(bed, user):
    """The TLS versions of the connections that a login took."""
    with client(bed.pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]
    return [c.tls for c in bed.servers[0].of(user)]


def breaks_off(connection):
    """Answers S, and leaves in the handshake."""
    connection.send(b"S")
    connection.socket.recv(1000)
    connection.socket.shutdown(socket.SHUT_RDWR)


def test_disable(start_tls_bed):
    bed = start_tls_bed(backend_sslmode="disable")
    bed.servers[0].ssl_answers = [b"X"]
    assert login(bed, "one") == [None]
    assert bed.servers[0].ssl_answers == [b"X"]


def test_switched_off_while_a_server_is_asked(start_tls_bed):
    """The server says yes to what a reload does not want any more."""
    bed = start_tls_bed(backend_sslmode="prefer")
    server = bed.servers[0]
    asked, answers = threading.Event(), threading.Event()

    def slow(connection):
        asked.set()
        assert answers.wait(PATIENCE)
        connection.send(b"S")

    server.ssl_answers = [slow]
    one = Background(login, bed, "slow")
    assert asked.wait(PATIENCE)
    bed.reload(backend_sslmode="disable")
    answers.set()
    assert one.result()[-1] is None
    assert "was terminated by" not in bed.pgpool.log_text()


def test_allow(start_tls_bed):
    bed = start_tls_bed(backend_sslmode="allow")
    server = bed.servers[0]
    assert login(bed, "plain") == [None]
    server.script("strict", lambda c: c.send(NO_ENTRY))
    assert login(bed, "strict") == [None, "TLSv1.3"]
    server.script("nobody", lambda c: c.send(NO_ENTRY), lambda c: c.send(NO_ENTRY))
    assert refusal(bed.pgpool, "nobody")["C"] == "28000"
    assert [c.tls for c in server.of("nobody")] == [None, "TLSv1.3"]
    server.script("wrong", lambda c: c.send(fatal("28P01", "wrong password")))
    assert refusal(bed.pgpool, "wrong")["C"] == "28P01"
    assert [c.tls for c in server.of("wrong")] == [None]


def test_prefer(start_tls_bed):
    bed = start_tls_bed()
    server = bed.servers[0]
    assert login(bed, "secure") == ["TLSv1.3"]
    server.ssl_answers = [None]
    assert login(bed, "refused") == [None]
    server.ssl_answers = [breaks_off]
    assert login(bed, "broken") == [None]
    server.script("strict", lambda c: c.send(NO_ENTRY))
    assert login(bed, "strict") == ["TLSv1.3", None]
    server.script("wrong", lambda c: c.send(fatal("28P01", "wrong password")))
    assert refusal(bed.pgpool, "wrong")["C"] == "28P01"
    assert [c.tls for c in server.of("wrong")] == ["TLSv1.3"]


def test_require(start_tls_bed):
    bed = start_tls_bed(UNKNOWN, backend_sslmode="require")
    server = bed.servers[0]
    assert login(bed, "secure") == ["TLSv1.3"]
    server.script("strict", lambda c: c.send(NO_ENTRY))
    assert refusal(bed.pgpool, "strict")["C"] == "28000"
    assert [c.tls for c in server.of("strict")] == ["TLSv1.3"]


@pytest.mark.parametrize("answer, words", [
    (None, "does not offer TLS"), (b"E", "answered SSLRequest with an error"),
    (b"X", "answered SSLRequest with byte 0x58"), (b"SS", "unencrypted data"),
    (b"S\x16\x03\x03", "unencrypted data"), (breaks_off, "closed in the TLS handshake")],
    ids=["N", "E", "X", "SS", "early", "breaks off"])
def test_faulty_answers(start_tls_bed, answer, words):
    """Nobody logs in over such a connection; the next one is a new chance."""
    bed = start_tls_bed(backend_sslmode="require")
    server = bed.servers[0]
    server.ssl_answers = [answer]
    with raw.Raw(bed.pgpool) as one:
        one.login(user="unlucky")
    assert server.of("unlucky") == []
    wait_for(lambda: words in bed.pgpool.log_text(), "the log to tell of it")


@pytest.mark.parametrize("answer", [b"E", b"X", b"SS"])
def test_prefer_does_not_fall_back_from_nonsense(start_tls_bed, answer):
    bed = start_tls_bed()
    server = bed.servers[0]
    server.ssl_answers = [answer]
    with raw.Raw(bed.pgpool) as one:
        one.login(user="unlucky")
    assert server.of("unlucky") == []


@pytest.mark.parametrize("mode, identity, good", [
    ("require", UNKNOWN, False), ("verify-ca", UNKNOWN, False), ("verify-ca", RIGHT, True),
    ("verify-ca", OTHER_NAME, True), ("verify-full", RIGHT, True),
    ("verify-full", BY_COMMON_NAME, True), ("verify-full", OTHER_NAME, False),
    ("verify-full", UNKNOWN, False), ("verify-full", REVOKED, False)],
    ids=lambda value: value if isinstance(value, str) else "" if isinstance(value, bool) else
    value[0].rsplit("/", 1)[1])
def test_certificates_are_checked(start_tls_bed, mode, identity, good):
    bed = start_tls_bed(RIGHT, backend_sslmode=mode, backend_ssl_crl_file=AUTHORITY.crl(),
                        **CHECKED)
    server = bed.servers[0]
    server.ssl_answers = [server_context(identity)]
    if good:
        assert login(bed, "one") == ["TLSv1.3"]
        return
    with raw.Raw(bed.pgpool) as one:
        one.login(user="one")
    assert server.of("one") == []
    wait_for(lambda: "certificate" in bed.pgpool.log_text(), "the log to tell of it")


def test_our_certificate(start_tls_bed):
    bed = start_tls_bed(RIGHT, AUTHORITY, backend_sslmode="verify-full",
                        backend_ssl_cert=CLIENT[0], backend_ssl_key=CLIENT[1], **CHECKED)
    assert login(bed, "one") == ["TLSv1.3"]
    (connection,) = bed.servers[0].of("one")
    assert (("commonName", "pgpool"),) in connection.certificate["subject"]
    for watcher in bed.servers[0].watchers:
        assert watcher.tls == "TLSv1.3"


@pytest.mark.parametrize("identity", [RIGHT, None], ids=["tls", "plain"])
def test_cancel_goes_the_same_way(start_tls_bed, identity):
    bed = start_tls_bed(identity)
    server = bed.servers[0]

    def until_cancelled(c):
        c.login()
        c.expect("Q")
        assert c.cancelled.wait(PATIENCE)
        c.send(error("57014", "canceling statement due to user request"), ready())
        c.serve()

    server.script("one", until_cancelled)
    with client(bed.pgpool, "one") as one:
        one.send(raw.query("UPDATE slow SET a = 1"))
        wait_for(lambda: [c for c in server.of("one") if c.texts], "it to run")
        with raw.Raw(bed.pgpool) as request:
            request.send(raw.cancel_request(one.pid, one.key))
            assert request.drain_to_end() == b""
        assert codes(one.read_until("Z")) == ["57014", "Z"]
    assert server.cancels_tls == ["TLSv1.3" if identity else None]


def test_no_key_of_a_cancel_request_in_the_clear(start_tls_bed):
    """A server that offered TLS before does not now."""
    bed = start_tls_bed()
    server = bed.servers[0]

    def script(c):
        c.login()
        c.expect("Q")
        wait_for(lambda: not server.ssl_answers, "the request")
        c.send(error("57014", "enough"), ready())
        c.serve()

    server.script("one", script)
    with client(bed.pgpool, "one") as one:
        one.send(raw.query("UPDATE slow SET a = 1"))
        wait_for(lambda: [c for c in server.of("one") if c.texts], "it to run")
        server.ssl_answers = [None]
        with raw.Raw(bed.pgpool) as request:
            request.send(raw.cancel_request(one.pid, one.key))
            assert request.drain_to_end() == b""
        one.read_until("Z")
    assert server.cancels == []


def test_big_things_go_through(start_tls_bed):
    bed = start_tls_bed(backend_sslmode="require")
    long = "z" * 5_000_000
    with client(bed.pgpool, "one") as one:
        assert one.rows("SELECT '" + long + "'") == [["'" + long + "'"]]


def test_goodbye_to_the_server(start_tls_bed):
    bed = start_tls_bed(backend_sslmode="require", connection_cache="off")
    assert set(login(bed, "one")) == {"TLSv1.3"}
    for connection in bed.servers[0].of("one"):
        wait_for(connection.ended.is_set, "the connection's end")
        assert connection.kinds.endswith("X")
