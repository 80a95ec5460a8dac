"""Logins to the administration port: clients that prove their password, and clients that send
nonsense instead. The process for administration must outlive them all."""

import base64
import hashlib
import hmac
import struct

import pytest

import raw
from cluster import Target

pytestmark = pytest.mark.one_engine

SALT, ITERATIONS = b"0123456789abcdef", 4096
SALTED = hashlib.pbkdf2_hmac("sha256", b"secret", SALT, ITERATIONS)
CLIENT_KEY = hmac.digest(SALTED, b"Client Key", "sha256")
STORED_KEY = hashlib.sha256(CLIENT_KEY).digest()
SERVER_KEY = hmac.digest(SALTED, b"Server Key", "sha256")


def base64_of(data):
    return base64.b64encode(data).decode()


PCP_USERS = (f"boss:SCRAM-SHA-256${ITERATIONS}:{base64_of(SALT)}"
             f"${base64_of(STORED_KEY)}:{base64_of(SERVER_KEY)}\n"
             f"middle:md5{hashlib.md5(b'secretmiddle').hexdigest()}\n"
             f"old:{hashlib.md5(b'secret').hexdigest()}:monitor\n")


@pytest.fixture(scope="module", name="port")
def port_fixture(bed):
    pids = bed.pgpool.named("pcp")
    yield Target("127.0.0.1", bed.pgpool.pcp_port)
    assert bed.pgpool.named("pcp") == pids, "the process for administration was forked again"


def begun(port, user):
    """Who has sent a startup packet, and what it was answered."""
    one = raw.Raw(port)
    one.send(raw.startup({"user": user, "database": "pgpool"}))
    return one, one.read_until("R")[-1]


def initial(data, mechanism=b"SCRAM-SHA-256", length=None):
    length = len(data) if length is None else length
    return raw.message("p", mechanism + b"\0" + struct.pack("!i", length) + data)


def auth_body(got, kind):
    assert (got.kind, got.body[:4]) == ("R", struct.pack("!I", kind)), got
    return got.body[4:]


class Login:
    """A client's side of SCRAM that can lie."""

    def __init__(self, one, header="n,,", nonce="abcdefgh"):
        self.one = one
        self.header = header
        self.bare = f"n=,r={nonce}"

    def first(self):
        self.one.send(initial((self.header + self.bare).encode()))
        self.said = auth_body(self.one.read_until("RE")[-1], 11).decode()
        self.nonce = self.said.split(",")[0][2:]

    def last(self, header=None, nonce=None, proof=None, middle=""):
        sent = f"c={header or base64_of(self.header.encode())},r={nonce or self.nonce}{middle}"
        message = f"{self.bare},{self.said},{sent}".encode()
        signature = hmac.digest(STORED_KEY, message, "sha256")
        if proof is None:
            proof = base64_of(bytes(a ^ b for a, b in zip(CLIENT_KEY, signature)))
        self.signature = base64_of(hmac.digest(SERVER_KEY, message, "sha256"))
        self.one.send(raw.message("p", f"{sent},p={proof}".encode()))

    def check_signature(self):
        assert auth_body(self.one.read_until("RE")[-1], 12).decode() == "v=" + self.signature


def refused(one, *states):
    (got,) = one.read_to_end()
    fields = got.fields()
    assert (fields["S"], fields["C"] in states) == ("FATAL", True), fields
    one.close()
    return fields


@pytest.mark.parametrize("header", ["n,,", "y,,"])
@pytest.mark.parametrize("middle", ["", ",x=extension"])
def test_right_password(port, header, middle):
    one, asked = begun(port, "boss")
    assert auth_body(asked, 10) == b"SCRAM-SHA-256\0\0"
    login = Login(one, header)
    login.first()
    login.last(middle=middle)
    login.check_signature()
    assert one.read_until("Z")[0].body == struct.pack("!I", 0)
    assert len(one.rows("SHOW pool_version")) == 1
    one.close()


FIRSTS = {
    "nothing": raw.message("p", b""),
    "no_mechanism_end": raw.message("p", b"SCRAM-SHA-256"),
    "no_length": raw.message("p", b"SCRAM-SHA-256\0"),
    "length_beyond": initial(b"n,,n=,r=abc", length=100),
    "length_before": initial(b"n,,n=,r=abc", length=3),
    "other_mechanism": initial(b"n,,n=,r=abc", b"SCRAM-SHA-256-PLUS"),
    "plain": initial(b"\0boss\0secret", b"PLAIN"),
    "empty": initial(b""),
    "no_header": initial(b"n=,r=abc"),
    "channel_binding": initial(b"p=tls-server-end-point,,n=,r=abc"),
    "no_nonce": initial(b"n,,n="),
    "empty_nonce": initial(b"n,,n=,r="),
    "unprintable_nonce": initial(b"n,,n=,r=a\0b"),
    "eight_bits": initial(b"n,,n=,r=\xff\xfe"),
    "long_nonce": initial(b"n,,n=,r=" + b"a" * 4000),
    "long": initial(b"n,,n=,r=" + b"a" * 6000),
    "bytes": initial(bytes(range(256))),
    "password": raw.message("p", b"secret\0"),
    "not_even_p": raw.query("SHOW pool_version"),
    "too_long": b"p" + struct.pack("!I", 100_000) + b"x" * 1000,
    "huge_length": b"p\x7f\xff\xff\xff",
    "negative": b"p\xff\xff\xff\xff",
    "short_length": b"p\0\0\0\3",
}


@pytest.mark.parametrize("user", ["boss", "nobody"])
@pytest.mark.parametrize("name", sorted(FIRSTS))
def test_malformed_first_message(port, name, user):
    one, _ = begun(port, user)
    one.send(FIRSTS[name])
    refused(one, "08P01")


def test_unsupported_parts(port):
    for first in (b"n,a=other,n=,r=abc", b"n,,m=must,n=,r=abc"):
        one, _ = begun(port, "boss")
        one.send(initial(first))
        refused(one, "0A000")


LASTS = {
    "other_header": {"header": "eSws"},
    "no_base64_header": {"header": "!!"},
    "short_nonce": {"nonce": "abcdefgh"},
    "other_nonce": {"nonce": "x" * 40},
    "no_base64_proof": {"proof": "!!!!"},
    "short_proof": {"proof": "QUJD"},
    "empty_proof": {"proof": ""},
    "long_proof": {"proof": "QUJD" * 300},
    "something_behind": {"proof": base64_of(b"x" * 32) + ",x=y"},
}


@pytest.mark.parametrize("name", sorted(LASTS))
def test_malformed_last_message(port, name):
    one, _ = begun(port, "boss")
    login = Login(one)
    login.first()
    login.last(**LASTS[name])
    refused(one, "08P01")


@pytest.mark.parametrize("user", ["boss", "nobody"])
def test_wrong_proof(port, user):
    """Who is not known is told so as late, and in the same words."""
    one, _ = begun(port, user)
    login = Login(one)
    login.first()
    login.last(proof=base64_of(b"\0" * 32))
    fields = refused(one, "28P01")
    assert fields["M"] == f'password authentication failed for user "{user}"'


def test_the_right_proof_of_another_user(port):
    """Whoever knows boss's password is not thereby nobody else."""
    one, _ = begun(port, "nobody")
    login = Login(one)
    login.first()
    login.last()
    refused(one, "28P01")


def test_a_proof_is_no_use_again(port):
    one, _ = begun(port, "boss")
    login = Login(one)
    login.first()
    one.send(raw.message("p", f"c=biws,r={login.nonce},p={base64_of(CLIENT_KEY)}".encode()))
    refused(one, "28P01")


def test_unknown_users_have_one_salt(port):
    said = []
    for user in ("nobody", "nobody", "somebody"):
        one, _ = begun(port, user)
        login = Login(one)
        login.first()
        said.append(login.said.split(",")[1:])
        one.close()
    assert said[0] == said[1] != said[2]
    assert said[0][1] == f"i={ITERATIONS}" and len(base64.b64decode(said[0][0][2:])) == len(SALT)


@pytest.mark.parametrize("user, kind", [("middle", 5), ("old", 3)])
@pytest.mark.parametrize("sent, state", [
    (raw.message("p", b""), "08P01"), (raw.message("p", b"secret"), "08P01"),
    (raw.message("p", b"se\0cret\0"), "08P01"), (raw.message("p", b"\0"), "28P01"),
    (raw.message("p", b"md5" + b"0" * 32 + b"\0"), "28P01"),
    (raw.message("p", b"x" * 4000 + b"\0"), "28P01"), (raw.SYNC, "08P01"),
], ids=["nothing", "no_end", "nul_inside", "empty", "zeroes", "long", "sync"])
def test_other_methods(port, user, kind, sent, state):
    one, asked = begun(port, user)
    auth_body(asked, kind)
    one.send(sent)
    refused(one, state)


def test_passwords_in_portions(port):
    """Byte by byte, and together with what comes next."""
    one, _ = begun(port, "old")
    for byte in raw.message("p", b"secret\0"):
        one.send(bytes([byte]))
    assert one.read_until("Z")[0].body == struct.pack("!I", 0)
    one.close()
    one, _ = begun(port, "old")
    one.send(raw.message("p", b"secret\0"), raw.query("SHOW pool_version"))
    assert [got.kind for got in one.read_until("Z", 2)].count("D") == 1
    one.close()


def test_nothing_is_answered_before(port):
    """A question in place of the password, also behind a startup packet in one piece."""
    one = raw.Raw(port)
    one.send(raw.startup({"user": "boss", "database": "pgpool"}), raw.query("SHOW pool_version"))
    answer = one.read_to_end()
    assert [got.kind for got in answer] == ["R", "E"]
    assert answer[1].fields()["C"] == "08P01"
    one.close()
