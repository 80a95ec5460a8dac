"""Logins to servers that say unusual things, say them slowly, or do not say anything."""

import struct

import pytest

import raw
from clients import client, kinds, refusal, still_serves
from fake import AUTH_OK, error, fatal, notice, parameter, ready, result
from raw import message
from waiting import SLOW, wait_for

def key(connection, secret=b"\1\2\3\4"):
    connection.key = secret
    return message("K", struct.pack("!I", connection.pid) + secret)


def test_login_in_single_bytes(pgpool, server, user):
    server.script(user, lambda c: (c.send_apart(AUTH_OK + notice("slowly") + c.welcome()),
                                   c.serve()))
    with client(pgpool, user) as one:
        assert one.parameters["server_version"] == "15.18"
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("spoken", ["early", "late"])
def test_notice_during_login(pgpool, server, user, spoken):
    def script(c):
        early, late = (notice("hello"), b"") if spoken == "early" else (b"", notice("hello"))
        c.send(early + AUTH_OK + late + c.welcome())
        c.serve()

    server.script(user, script)
    with raw.Raw(pgpool) as one:
        messages = one.login(user=user)
        assert [m.fields()["M"] for m in messages if m.kind == "N"] == ["hello"]
        assert messages[-1].kind == "Z"
        assert one.rows("SELECT 1") == [["1"]]


def test_parameters_of_all_kinds_reach_the_client(pgpool, server, user):
    """Unknown names, empty values, the same name twice: the last counts."""
    def script(c):
        c.send(AUTH_OK, parameter("surprise", ""), parameter("TimeZone", "Asia/Tokyo"),
               c.welcome()[:-6], parameter("TimeZone", "America/Lima"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        assert one.parameters["surprise"] == ""
        assert one.parameters["TimeZone"] == "America/Lima"
        assert one.rows("SELECT 1") == [["1"]]


def test_large_messages_during_login(pgpool, server, user):
    """Larger than any buffer, each in pieces."""
    def script(c):
        c.send(AUTH_OK, notice("n" * 200_000), parameter("long", "v" * 300_000), c.welcome())
        c.serve()

    server.script(user, script)
    with raw.Raw(pgpool) as one:
        messages = one.login(user=user)
        assert len(one.parameters["long"]) == 300_000
        assert [len(m.fields()["M"]) for m in messages if m.kind == "N"] == [200_000]
        assert one.rows("SELECT 1") == [["1"]]


def test_too_large_a_message_during_login(pgpool, server, user):
    """It is refused at its header, not collected."""
    server.script(user, lambda c: (c.send(AUTH_OK + struct.pack("!cI", b"N", 900_000_000)),
                                   c.wait_gone()))
    assert refusal(pgpool, user)["C"] == "08P01"
    still_serves(pgpool)


def test_refusal_passes_as_it_came(pgpool, server, user):
    server.script(user, lambda c: c.send(fatal("3D000", "database \"x\" does not exist")))
    fields = refusal(pgpool, user)
    assert (fields["S"], fields["C"]) == ("FATAL", "3D000")
    assert fields["M"] == 'database "x" does not exist'
    still_serves(pgpool)


def test_refusal_without_sqlstate(pgpool, server, user):
    server.script(user, lambda c: c.send(error(None, "go away", "FATAL")))
    assert refusal(pgpool, user)["M"] == "go away"
    still_serves(pgpool)


@pytest.mark.parametrize("body", [b"", b"\0", b"S", b"SFATAL", b"SFATAL\0Mno end", b"\xff" * 40],
                         ids=["empty", "no_fields", "letter", "cut", "no_end", "noise"])
def test_refusal_that_cannot_be_read(pgpool, server, user, body):
    server.script(user, lambda c: c.send(message("E", body)))
    with raw.Raw(pgpool) as one:
        one.send(raw.startup({"user": user, "database": "test"}))
        assert one.drain_to_end()[:1] == b"E"
    still_serves(pgpool)


def test_server_negotiates_a_protocol_version(pgpool, server, user):
    """It speaks 3.0 only: our client hears of what we speak, not of what it does."""
    def script(c):
        c.send(message("v", struct.pack("!II", 0, 0)), AUTH_OK, c.welcome())
        c.serve()

    server.script(user, script)
    with raw.Raw(pgpool) as one:
        messages = one.login(user=user, version=raw.V3_2)
        assert "v" not in kinds(messages)
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("size", [4, 32, 256])
def test_server_keys_of_any_length_stay_here(pgpool, server, user, size):
    """A client has a key of ours, of the length that its protocol allows."""
    secret = bytes(range(256))[-size:]

    def script(c):
        c.send(AUTH_OK, key(c, secret), ready())
        c.serve()

    server.script(user, script, script)
    for version, length in ((raw.V3_0, [4]), (raw.V3_2, range(4, 257))):
        with raw.Raw(pgpool) as one:
            messages = one.login(user=user, version=version)
            assert messages[-1].kind == "Z"
            assert len(one.key) in length
            assert not any(secret in got.body for got in messages)
            assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("size", [0, 3, 257, 5000])
def test_server_key_of_impossible_length(pgpool, server, user, size):
    server.script(user, lambda c: (c.send(AUTH_OK, key(c, b"k" * size), ready()), c.wait_gone()))
    assert refusal(pgpool, user)["C"] == "08P01"
    still_serves(pgpool)


@pytest.mark.parametrize("what", [
    ready(), message("?"), message("R", b""), struct.pack("!cI", b"R", 3),
    struct.pack("!cI", b"S", 0xffffffff), message("G", b"\0\0\0"), b"HTTP/1.1 400 Bad Request\r\n",
    AUTH_OK + message("Z", b""), AUTH_OK + message("1"),
], ids=["ready_at_once", "unknown_type", "short_auth", "length_3", "length_negative", "copy_in",
        "http", "empty_ready", "parse_complete"])
def test_nonsense_during_login(pgpool, server, user, what):
    """The client is told, the connection closed, and nobody else harmed."""
    server.script(user, lambda c: (c.send(what), c.wait_gone()))
    with client(pgpool, "bystander") as other:
        assert refusal(pgpool, user)["C"] == "08P01"
        assert other.rows("SELECT 1") == [["1"]]
    wait_for(server.of(user)[0].ended.is_set, "the server's connection to end")


def test_role_is_asked_of_an_old_server(pgpool, server, user):
    """Before version 14 a server does not tell by itself whether it is a standby."""
    def script(c):
        c.send(AUTH_OK, parameter("server_version", "13.11"), key(c), ready())
        c.expect("Q")
        c.send(result("f"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]
    first, second = server.of(user)[0].texts[:2]
    assert first.startswith("SELECT pg_catalog.pg_is_in_recovery(),") and second == "SELECT 1"


def test_close_during_login(pgpool, server, user):
    """There is one node only: the client comes in, and is served when that answers."""
    server.script(user, lambda c: c.send(AUTH_OK))
    with client(pgpool, "bystander") as other, client(pgpool, user) as one:
        assert other.rows("SELECT 1") == [["1"]]
        assert one.rows("SELECT 1") == [["1"]]


def test_server_that_never_answers_is_given_up(start_bed):
    """After connect_timeout; others are served meanwhile, and behind it."""
    bed = start_bed(connect_timeout=f"{int(1000 * SLOW)}ms")
    pgpool, server = bed.pgpool, bed.servers[0]
    server.script("alice", *[lambda c: c.wait_gone()] * 2)
    with raw.Raw(pgpool) as one, client(pgpool, "bystander") as other:
        one.send(raw.startup({"user": "alice", "database": "test"}))
        silent = server.wait_for_connection("alice")

        def given_up():
            assert other.rows("SELECT 1") == [["1"]]
            return silent.gone.is_set()

        wait_for(given_up, "the silent server to be given up", pause=0)
        assert one.read_until("ZE")[-1].kind == "Z"
        for _ in range(20):
            assert other.rows("SELECT 1") == [["1"]]
        one.send(raw.query("SELECT 1"))
        (got,) = one.read_to_end()
        assert (got.fields()["S"], got.fields()["C"]) == ("FATAL", "08001")
        assert other.rows("SELECT 1") == [["1"]]
    still_serves(pgpool, "alice")


def test_client_gone_before_the_server_answers(pgpool, server, user):
    """Its half-made server connection goes too."""
    server.script(user, lambda c: c.wait_gone())
    with raw.Raw(pgpool) as one:
        one.send(raw.startup({"user": user, "database": "test"}))
        silent = server.wait_for_connection(user)
    wait_for(silent.gone.is_set, "the server's connection to end", 3)
    still_serves(pgpool)
