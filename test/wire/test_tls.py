"""TLS with clients: how it begins, what is refused, what goes through it."""

import ssl
import types

import pytest

import raw
from certificates import Authority, client_context
from clients import codes, still_serves
from cluster import make_dir
from fake import PATIENCE, error, fatal, ready, result
from waiting import wait_for

AUTHORITY = Authority(make_dir("tls-"))
CERTIFICATE, KEY = AUTHORITY.issue("pgpool", "DNS:localhost,IP:127.0.0.1")
PGPOOL_SETTINGS = {"ssl": "on", "ssl_cert": CERTIFICATE, "ssl_key": KEY}
POSTGRESQL = ("postgresql",)
CANCELED = error("57014", "canceling statement due to user request")


@pytest.fixture(scope="module", autouse=True)
def certificates_fixture():
    yield
    AUTHORITY.remove()


def secured(pgpool, protocols=(), ask=True):
    context = client_context(AUTHORITY, protocols=protocols, check=True)
    return raw.Raw(pgpool).start_tls(context, ask, "localhost")


def test_session_over_tls(pgpool, user):
    with secured(pgpool) as one:
        assert one.login(user=user)[-1].kind == "Z"
        assert one.socket.version() == "TLSv1.3"
        assert one.rows("SELECT 1") == [["1"]]


def test_long_answer_and_long_question(pgpool, server, user):
    """Longer than any buffer, both ways."""
    long = "x" * 3_000_000
    server.replies["SELECT long"] = result(long)
    with secured(pgpool) as one:
        one.login(user=user)
        assert one.rows("SELECT long") == [[long]]
        assert one.rows("SELECT '" + long + "'") == [["'" + long + "'"]]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(pgpool, user, version):
    context = client_context(AUTHORITY)
    context.minimum_version = context.maximum_version = version
    with raw.Raw(pgpool).start_tls(context) as one:
        assert one.login(user=user)[-1].kind == "Z"


def test_too_old_a_version(pgpool):
    context = client_context(AUTHORITY)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with raw.Raw(pgpool) as one, pytest.raises((ssl.SSLError, OSError)):
        one.start_tls(context)
    still_serves(pgpool)


def test_plain_clients_are_served_beside(pgpool):
    still_serves(pgpool)


def test_no_tls_over_unix_sockets(pgpool):

    local = types.SimpleNamespace(host=pgpool.directory, port=pgpool.port)
    with raw.Raw(local) as one:
        one.send(raw.SSL_REQUEST)
        assert one.read_bytes(1) == b"N"
        assert one.login()[-1].kind == "Z"


def test_gss_is_refused_and_tls_follows(pgpool, user):
    with raw.Raw(pgpool) as one:
        one.send(raw.GSS_REQUEST)
        assert one.read_bytes(1) == b"N"
        one.start_tls(client_context(AUTHORITY))
        one.send(raw.GSS_REQUEST)
        assert one.read_until("E")[-1].fields()["C"] == "0A000"


# ---- bytes at the wrong time ---------------------------------------------------------------------

def test_bytes_behind_the_request(pgpool):
    """CVE-2021-23214: somebody in between could have put them there."""
    with raw.Raw(pgpool) as one:
        one.send(raw.SSL_REQUEST + raw.startup({"user": "postgres"}))
        (got,) = one.read_to_end()
        assert got.fields()["C"] == "08P01"
        assert "unencrypted data after SSL request" in got.fields()["M"]
    still_serves(pgpool)


def test_second_request(pgpool):
    with secured(pgpool) as one:
        one.send(raw.SSL_REQUEST)
        assert one.read_to_end()[-1].fields()["C"] == "0A000"


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", raw.startup({"user": "postgres"}),
                                  b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 600,
                                  b"\x15\x03\x01\x00\x02\x02\x28", b"\x17" * 70000],
                         ids=["http", "startup", "hello", "alert", "data"])
def test_junk_in_place_of_a_hello(pgpool, junk):
    with raw.Raw(pgpool) as one:
        one.send(raw.SSL_REQUEST)
        assert one.read_bytes(1) == b"S"
        try:
            one.send(junk)
        except OSError:
            pass
        rest = one.drain_to_end()
        assert len(rest) < 100 and b"SELECT" not in rest
    still_serves(pgpool)


def test_end_in_the_handshake(pgpool):
    for sent in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
        with raw.Raw(pgpool) as one:
            one.send(raw.SSL_REQUEST)
            assert one.read_bytes(1) == b"S"
            one.send(sent)
    still_serves(pgpool)


def test_hello_in_single_bytes(pgpool, user):
    """Through OpenSSL in memory, so that the bytes can leave one by one."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(AUTHORITY).wrap_bio(incoming, outgoing)
    with raw.Raw(pgpool) as one:
        one.send(raw.SSL_REQUEST)
        assert one.read_bytes(1) == b"S"

        def step(function, *arguments):
            while True:
                try:
                    return function(*arguments)
                except ssl.SSLWantReadError:
                    one.send_in_pieces(outgoing.read())
                    incoming.write(one.socket.recv(1))

        step(tls.do_handshake)
        tls.write(raw.startup({"user": user, "database": "test"}))
        one.send_in_pieces(outgoing.read())
        got = b""
        while not got.endswith(raw.message("Z", b"I")):
            got += step(tls.read, 1)


# ---- direct TLS ----------------------------------------------------------------------------------

def test_direct_tls(pgpool, user):
    with secured(pgpool, POSTGRESQL, ask=False) as one:
        assert one.socket.selected_alpn_protocol() == "postgresql"
        assert one.login(user=user)[-1].kind == "Z"
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("protocols", [(), ("h2",), ("http/1.1", "h2")])
def test_direct_tls_without_its_protocol(pgpool, protocols):
    with pytest.raises(ssl.SSLError, match="NO_APPLICATION_PROTOCOL|no application protocol"):
        secured(pgpool, protocols, ask=False)
    still_serves(pgpool)


def test_wrong_protocol_behind_the_request(pgpool):
    with pytest.raises(ssl.SSLError, match="NO_APPLICATION_PROTOCOL|no application protocol"):
        secured(pgpool, ("h2",))


def test_protocol_behind_the_request(pgpool, user):
    with secured(pgpool, POSTGRESQL) as one:
        assert one.socket.selected_alpn_protocol() == "postgresql"
        assert one.login(user=user)[-1].kind == "Z"


def test_direct_tls_behind_a_request(pgpool):
    with raw.Raw(pgpool) as one:
        one.send(raw.GSS_REQUEST)
        assert one.read_bytes(1) == b"N"
        with pytest.raises((ssl.SSLError, OSError)):
            one.start_tls(client_context(AUTHORITY, protocols=POSTGRESQL), ask=False)
    still_serves(pgpool)


# ---- the rest of a session's life ----------------------------------------------------------------

def test_resumption(pgpool, user):
    context = client_context(AUTHORITY)
    with raw.Raw(pgpool).start_tls(context) as one:
        one.login(user=user)
        session = one.socket.session
        assert not one.socket.session_reused
    with raw.Raw(pgpool) as one:
        one.send(raw.SSL_REQUEST)
        assert one.read_bytes(1) == b"S"
        one.socket = context.wrap_socket(one.socket, session=session)
        assert one.socket.session_reused
        assert one.login(user=user)[-1].kind == "Z"
        assert one.rows("SELECT 1") == [["1"]]


def test_goodbye(pgpool, user):
    """The server's end is told as TLS tells it: nobody has cut the connection off."""
    with secured(pgpool) as one:
        one.login(user=user)
        one.send(raw.TERMINATE)
        assert one.socket.recv(100) == b""  # not an error: close_notify came


def test_refusal_of_a_login_goes_through_tls(pgpool, server, user):

    server.script(user, lambda c: c.send(fatal("28000", "not you")))
    with secured(pgpool) as one:
        assert one.login(user=user)[-1].fields()["C"] == "28000"


def test_cancel_over_tls(pgpool, server, user):
    def until_cancelled(c):
        c.login()
        c.expect("Q")
        assert c.cancelled.wait(PATIENCE)
        c.send(CANCELED, ready())
        c.serve()

    server.script(user, until_cancelled)
    with secured(pgpool) as one:
        one.login(user=user)
        one.send(raw.query("UPDATE slow SET a = 1"))
        wait_for(lambda: [c for c in server.of(user) if c.texts], "it to run")
        with secured(pgpool) as request:
            request.send(raw.cancel_request(one.pid, one.key))
            assert request.drain_to_end() == b""
        assert codes(one.read_until("Z")) == ["57014", "Z"]


def test_slow_reader(pgpool, server, user):
    """Who does not read holds the server back, not pgpool's memory."""
    server.replies["SELECT much"] = result("y" * 20_000_000)
    with secured(pgpool) as one:
        one.login(user=user)
        one.send(raw.query("SELECT much"))
        still_serves(pgpool)
        assert one.read_until("Z")[1].row()[0] == b"y" * 20_000_000


def test_bytes_of_one_record_in_many_messages(pgpool, user):
    with secured(pgpool) as one:
        one.login(user=user)
        one.send(b"".join(raw.query(f"SELECT {n}") for n in range(2000)))
        got = one.read_until("Z", 2000)
        rows = [message.row()[0] for message in got if message.kind == "D"]
        assert rows == [str(n).encode() for n in range(2000)]
