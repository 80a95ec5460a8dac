"""Logins by hand, right ones and such as are wrong on purpose: SSLRequest or TLS at once, a
password in the clear, md5, SCRAM-SHA-256 with and without channel binding.

Source: PostgreSQL's manual, sections "Start-up" and "SASL Authentication"; RFC 5802, 7677 and 5929.
"""

import base64
import functools
import hashlib
import hmac
import os
import ssl
import struct

import raw
from certificates import client_context
from prove import CLEAR, MD5, OK, SASL, SASL_CONTINUE, SASL_FINAL, base64_of, initial, md5_secret, \
    message, text as text_message, verifier

PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"


def _hmac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


@functools.lru_cache(maxsize=None)
def salted(password, salt, iterations):
    """The one step that takes long."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


@functools.lru_cache(maxsize=None)
def verifier_of(password):
    """The same each time."""
    return verifier(password, salt=b"sixteen bytes of")


def md5_answer(kept, salt):
    return "md5" + hashlib.md5(kept[3:].encode() + salt).hexdigest()


def attributes(text):
    return {part[:1]: part[2:] for part in text.split(",")}


class Scram:
    """The client's side. `spoil` changes what is said: the name of a message (first, final) to a
    function of its right text. flag: what it says of channel binding; binding: the channel."""

    def __init__(self, password, flag="n", binding=b"", spoil=None, nonce=None):
        self.password = password
        self.header = f"{flag},,"
        self.binding = binding
        self.spoil = spoil or {}
        self.nonce = nonce or base64_of(os.urandom(18))
        self.bare = f"n=,r={self.nonce}"
        self.server_key = b""
        self.signed = b""

    def _say(self, name, words):
        change = self.spoil.get(name)
        words = change(words) if change else words
        return words if isinstance(words, bytes) else words.encode()

    def first(self):
        return self._say("first", self.header + self.bare)

    def final(self, server_first):
        said = attributes(server_first)
        assert said["r"].startswith(self.nonce) and len(said["r"]) > len(self.nonce), server_first
        keys = salted(self.password, base64.b64decode(said["s"]), int(said["i"]))
        channel = self.header.encode() + self.binding
        without_proof = f"c={base64_of(channel)},r={said['r']}"
        self.signed = f"{self.bare},{server_first},{without_proof}".encode()
        client_key = _hmac(keys, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), self.signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.server_key = _hmac(keys, b"Server Key")
        return self._say("final", f"{without_proof},p={base64_of(proof)}")

    def check(self, server_final):
        """The server has to know the password, too."""
        right = "v=" + base64_of(_hmac(self.server_key, self.signed))
        assert server_final == right, f"the server's signature is wrong: {server_final}"


def end_point(certificate):
    """RFC 5929, for certificates that are signed with SHA-256."""
    return hashlib.sha256(certificate).digest()


@functools.lru_cache(maxsize=None)
def context_of(authority=None, identity=None, protocols=()):
    """As client_context, made once."""
    return client_context(authority, identity, protocols)


class Refused(Exception):
    """The login failed; fields of the error, or nothing when the connection just ended."""

    def __init__(self, fields, asked):
        super().__init__(f"{fields} after {asked}")
        self.fields = fields
        self.sqlstate = fields.get("C", "closed")
        self.asked = asked


class Client(raw.Raw):
    """One that logs in. `asked` is what it was asked for; `mechanisms` what SASL had to offer."""

    def __init__(self, target, timeout=20.0):
        super().__init__(target, timeout)
        self.asked = None
        self.mechanisms = []
        self.binding = None

    def start_tls(self, context, ask=True, host=None):
        try:
            super().start_tls(context, ask, host)
        except (ssl.SSLError, ConnectionError) as error:
            raise Refused({"M": str(error)}, None) from error
        self.binding = end_point(self.socket.getpeercert(binary_form=True))
        return self

    def begin(self, user, database, version=raw.V3_0, **params):
        self.send(raw.startup({"user": user, "database": database, **params}, version))

    def read_auth(self):
        """Kind and rest of the next authentication message; Refused when there comes none."""
        while True:
            try:
                got = self.read()
            except (raw.Closed, ssl.SSLError) as error:
                raise Refused({"M": str(error)}, self.asked) from error
            if got.kind == "E":
                raise Refused(got.fields(), self.asked)
            if got.kind == "R":
                return struct.unpack_from("!I", got.body)[0], got.body[4:]
            assert got.kind in "vN", f"{got} during the login"

    def say(self, words):
        self.send(text_message(words))

    def _flag(self, binds):
        """Which mechanism, and what is said of channel binding."""
        if binds and PLUS in self.mechanisms:
            return PLUS, "p=tls-server-end-point"
        return PLAIN, "y" if binds else "n"

    def scram(self, password, binds, spoil=None):
        name, flag = self._flag(binds and self.binding is not None)
        exchange = Scram(password, flag, self.binding if name == PLUS else b"", spoil)
        self.send(initial(exchange.first(), name.encode()))
        self.asked = name
        kind, rest = self.read_auth()
        assert kind == SASL_CONTINUE, kind
        self.send(message(exchange.final(rest.decode())))
        kind, rest = self.read_auth()
        assert kind == SASL_FINAL, kind
        exchange.check(rest.decode())

    def prove(self, user, password, binds=False, spoil=None):
        """Answers whatever is asked until the server is content; raises Refused."""
        while True:
            kind, rest = self.read_auth()
            if kind == OK:
                return
            assert self.asked is None, "it is asked for a second thing"
            if kind == CLEAR:
                self.asked = "password"
                self.say(password)
            elif kind == MD5:
                self.asked = "md5"
                self.say(md5_answer(md5_secret(user, password), rest))
            elif kind == SASL:
                self.asked = PLAIN
                self.mechanisms = rest.decode().rstrip("\0").split("\0")
                self.scram(password, binds, spoil)
            else:
                raise AssertionError(f"authentication method {kind}")

    def settle(self):
        """From AuthenticationOk to ReadyForQuery. A server may refuse here, too."""
        try:
            last = self.read_until("ZE")[-1]
        except raw.Closed as error:
            raise Refused({"M": "closed"}, self.asked) from error
        if last.kind == "E":
            raise Refused(last.fields(), self.asked)

    def enter(self, user, database, password="", binds=False, **params):
        self.begin(user, database, **params)
        self.prove(user, password, binds)
        self.settle()
        return self

    def leave(self):
        self.send(raw.TERMINATE)
        self.drain_to_end()
        self.close()

    def bytes_to_end(self):
        """What still comes until the other side closes."""
        try:
            return self.drain_to_end()
        except ssl.SSLError:
            return b""


def outcome(target, user, password="", tls=False, database="test", **params):
    """"in", or the SQLSTATE of the refusal."""
    client = Client(target)
    try:
        if tls:
            client.start_tls(context_of())
        client.enter(user, database, password, **params).leave()
        return "in"
    except Refused as refused:
        return refused.sqlstate
    finally:
        client.close()
