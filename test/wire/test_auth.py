"""Servers that ask for a password: every method, wrong passwords, and servers that lie."""

import base64
import hashlib
import itertools

import pytest

import raw
from clients import client, refusal, still_serves
from fake import AUTH_OK, auth, fatal
from scram import SASL, SASL_CONTINUE, SASL_FINAL, Exchange
from waiting import wait_for

USERS = itertools.count()
PASSWORDS = "".join(f"alice{n}:TEXTsecret\n" for n in range(200)) + (
    "bare:secret\nlong:TEXT" + "s" * 3000 + "\nencrypted:AESxyz\n"
    "hashed:md5" + "0" * 32 + "\nverifier:SCRAM-SHA-256$4096:x$y:z\n")
CLEARTEXT, MD5 = 3, 5
WRONG = fatal("28P01", "password authentication failed")


@pytest.fixture(name="user")
def user_fixture():
    """One whose password pool_passwd knows."""
    return f"alice{next(USERS)}"


def welcome(c, right):
    """As PostgreSQL ends a login."""
    if not right:
        c.send(WRONG)
        return
    c.login()
    c.serve()


def asks_cleartext(password):
    def script(c):
        c.send(auth(CLEARTEXT))
        welcome(c, c.read() == ("p", password.encode() + b"\0"))
    return script


def asks_md5(password):
    def script(c):
        c.send(auth(MD5, b"salt"))
        inner = hashlib.md5((password + c.user).encode()).hexdigest()
        right = "md5" + hashlib.md5(inner.encode() + b"salt").hexdigest()
        welcome(c, c.read() == ("p", right.encode() + b"\0"))
    return script


def asks_scram(password, **how):
    def script(c):
        welcome(c, Exchange(password, **how).run(c))
    return script


METHODS = pytest.mark.parametrize("asks", [asks_cleartext, asks_md5, asks_scram],
                                  ids=["cleartext", "md5", "scram"])


def served(pgpool, user):
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]


@METHODS
def test_password_from_pool_passwd(pgpool, server, user, asks):
    server.script(user, asks("secret"))
    served(pgpool, user)


@METHODS
@pytest.mark.parametrize("name, password", [("bare", "secret"), ("long", "s" * 3000)])
def test_forms_of_an_entry(pgpool, server, asks, name, password):
    """The key differs by the application's name, so that each test logs in."""
    server.script(name, asks(password))
    with client(pgpool, name, application_name=asks.__name__) as one:
        assert one.rows("SELECT 1") == [["1"]]


@METHODS
def test_wrong_password(pgpool, server, user, asks):
    """The server's own words reach the client; the node is not blamed."""
    server.script(user, asks("another"))
    with client(pgpool, "bystander") as other:
        fields = refusal(pgpool, user)
        assert (fields["S"], fields["C"], fields["M"]) == \
            ("FATAL", "28P01", "password authentication failed")
        assert other.rows("SELECT 1") == [["1"]]
    served(pgpool, user)


@METHODS
@pytest.mark.parametrize("name", ["stranger", "encrypted", "hashed", "verifier"])
def test_no_usable_password(pgpool, server, asks, name):
    """The client hears what to do; it is not let in, and nobody else is harmed."""
    if (asks, name) == (asks_md5, "hashed"):
        pytest.skip("that proves it to a server that asks for md5")

    def script(c):
        try:
            asks("secret")(c)
        finally:
            assert c.kinds == "", "nothing may be answered"

    server.script(name, script)
    with client(pgpool, "bystander") as other:
        fields = refusal(pgpool, name, application_name=asks.__name__)
        assert (fields["S"], fields["C"]) == ("FATAL", "28000")
        assert f"{name}:TEXT" in fields["H"]
        assert other.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("kind", [2, 6, 7, 8, 9, 13, 1000, 0xffffffff])
def test_unsupported_method(pgpool, server, user, kind):
    server.script(user, lambda c: (c.send(auth(kind, b"x" * 4)), c.wait_gone()))
    fields = refusal(pgpool, user)
    assert (fields["S"], fields["C"]) == ("FATAL", "0A000")
    still_serves(pgpool)


@pytest.mark.parametrize("offer, works", [
    ((b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"), True),
    ((b"SCRAM-SHA-256-PLUS",), False),
    ((b"SCRAM-SHA-1", b"PLAIN"), False),
    ((), False),
], ids=["plus_too", "plus_only", "others", "none"])
def test_offered_mechanisms(pgpool, server, user, offer, works):
    if works:
        server.script(user, asks_scram("secret", offer=offer))
        served(pgpool, user)
        return
    listed = b"".join(name + b"\0" for name in offer) + b"\0"
    server.script(user, lambda c: (c.send(auth(SASL, listed)), c.wait_gone()))
    assert refusal(pgpool, user)["C"] == "0A000"


@pytest.mark.parametrize("iterations", [1, 2, 4096, 100_000])
def test_iteration_counts(pgpool, server, user, iterations):
    server.script(user, asks_scram("secret", iterations=iterations))
    served(pgpool, user)


def replaced(letter, value):
    """Changes one attribute of a SCRAM message."""
    def change(text):
        parts = [f"{letter}={value}" if part.startswith(letter + "=") else part
                 for part in text.split(",")]
        return ",".join(parts)
    return change


def own_nonce(text):
    """Ours alone, with nothing of the server's behind it."""
    parts = text.split(",")
    return ",".join([parts[0][:2 + 32]] + parts[1:])


LIES = {
    "other_nonce": ("first", replaced("r", "x" * 60)),
    "our_nonce_only": ("first", own_nonce),
    "empty_nonce": ("first", replaced("r", "")),
    "long_nonce": ("first", lambda text: text.replace(",s=", "n" * 3000 + ",s=")),
    "no_salt": ("first", replaced("s", "")),
    "salt_is_no_base64": ("first", replaced("s", "!!!!")),
    "long_salt": ("first", replaced("s", "QUJD" * 1000)),
    "no_iterations": ("first", replaced("i", "")),
    "iterations_0": ("first", replaced("i", "0")),
    "iterations_negative": ("first", replaced("i", "-1")),
    "iterations_huge": ("first", replaced("i", "4294967295")),
    "iterations_beyond_all": ("first", replaced("i", "9" * 60)),
    "iterations_a_word": ("first", replaced("i", "many")),
    "extension": ("first", lambda text: "m=must," + text),
    "something_behind": ("first", lambda text: text + ",x=y"),
    "empty_first": ("first", lambda text: ""),
    "nul_inside": ("first", lambda text: text.replace(",", "\0")),
    "long_first": ("first", lambda text: text + "," + "x" * 100_000),
}


@pytest.mark.parametrize("name", LIES)
def test_hostile_first_message(pgpool, server, user, name):
    """No proof leaves, and the child's processor is not spent."""
    lie, change = LIES[name]

    def script(c):
        try:
            Exchange("secret", lie=lie, change=change).run(c)
        finally:
            assert c.kinds == "p", "only the first message may come"

    server.script(user, script)
    with client(pgpool, "bystander") as other:
        fields = refusal(pgpool, user)
        assert (fields["S"], fields["C"]) == ("FATAL", "08P01")
        assert "SCRAM" in fields["M"]
        assert other.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("final, code", [
    ("v=" + base64.b64encode(b"\0" * 32).decode(), "28P01"),
    ("v=" + base64.b64encode(b"\0" * 31).decode(), "08P01"),
    ("v=", "08P01"), ("", "08P01"), ("v=!!!!", "08P01"), ("e=invalid-proof", "28P01"),
    ("e=" + "x" * 1500, "28P01"), ("e=" + "x" * 5000, "08P01"),
], ids=["wrong", "short", "empty", "nothing", "no_base64", "error", "long_error",
        "too_long_error"])
def test_server_that_does_not_prove_itself(pgpool, server, user, final, code):
    def script(c):
        assert Exchange("secret", lie="final", change=lambda _: final).run(c)
        c.login()
        c.wait_gone()

    server.script(user, script)
    fields = refusal(pgpool, user)
    assert (fields["S"], fields["C"]) == ("FATAL", code)
    wait_for(server.of(user)[0].ended.is_set, "the server's connection to end")


@pytest.mark.parametrize("steps", [
    (auth(SASL_CONTINUE, b"r=x,s=QUJD,i=1"),), (auth(SASL_FINAL, b"v=x"),),
    (auth(SASL, b"SCRAM-SHA-256\0\0"), AUTH_OK),
    (auth(SASL, b"SCRAM-SHA-256\0\0"), auth(SASL_FINAL, b"v=x")),
    (auth(SASL, b"SCRAM-SHA-256\0\0"), auth(SASL, b"SCRAM-SHA-256\0\0")),
    (auth(SASL, b"SCRAM-SHA-256\0\0"), auth(CLEARTEXT)),
    (auth(SASL, b"SCRAM-SHA-256\0\0"), auth(MD5, b"salt")),
    (auth(CLEARTEXT), auth(CLEARTEXT)), (auth(MD5, b"sal"),), (auth(MD5, b"salty"),),
    (AUTH_OK, auth(CLEARTEXT)),
], ids=["continue_first", "final_first", "ok_without_proof", "final_without_proof", "sasl_twice",
        "cleartext_in_sasl", "md5_in_sasl", "cleartext_twice", "short_salt", "long_salt",
        "cleartext_after_ok"])
def test_messages_out_of_order(pgpool, server, user, steps):
    """Above all: no password in the clear behind the back of SCRAM."""
    def script(c):
        c.send(*steps)
        try:
            c.wait_gone()
        finally:
            assert c.kinds in ("", "p")

    server.script(user, script)
    with raw.Raw(pgpool) as one:
        fields = one.login(user=user)[-1].fields()
    assert (fields["S"], fields["C"]) == ("FATAL", "08P01")
    still_serves(pgpool)
