"""SCRAM-SHA-256, the server's side, which may be told to lie. Source: RFC 5802 and RFC 7677."""

import base64
import hashlib
import hmac
import os
import struct

from fake import auth
from raw import cstr

SASL, SASL_CONTINUE, SASL_FINAL = 10, 11, 12


def _hmac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


def attributes(text):
    return {part[:1]: part[2:] for part in text.decode().split(",")}


class Exchange:
    """One login. lie is the message that changes, and how: a function of its right text."""

    def __init__(self, password, iterations=4096, lie=None, change=None, offer=(b"SCRAM-SHA-256",),
                 salt=None):
        self.password = password.encode()
        self.iterations = iterations
        self.salt = salt or os.urandom(16)
        self.lie, self.change = lie, change
        self.offer = offer
        self.proved = False

    def _say(self, name, text):
        return self.change(text) if name == self.lie else text

    def run(self, connection):
        """Everything up to the proof; True when the password was right."""
        connection.send(auth(SASL, b"".join(cstr(name) for name in self.offer) + b"\0"))
        _, body = connection.read()
        mechanism, _, rest = body.partition(b"\0")
        assert mechanism == b"SCRAM-SHA-256", mechanism
        (size,) = struct.unpack_from("!I", rest)
        client_first = rest[4:]
        assert size == len(client_first) and client_first.startswith(b"n,,")
        bare = client_first[3:]
        nonce = attributes(bare)["r"] + base64.b64encode(os.urandom(18)).decode()
        first = self._say("first", f"r={nonce},s={base64.b64encode(self.salt).decode()},"
                                   f"i={self.iterations}").encode()
        connection.send(auth(SASL_CONTINUE, first))
        _, final = connection.read()
        without_proof, _, proof = final.rpartition(b",p=")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, self.salt, self.iterations)
        signed = b",".join((bare, first, without_proof))
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        right = bytes(a ^ b for a, b in zip(client_key, signature))
        self.proved = base64.b64decode(proof) == right
        if self.proved:
            verifier = _hmac(_hmac(salted, b"Server Key"), signed)
            connection.send(auth(SASL_FINAL, self._say(
                "final", "v=" + base64.b64encode(verifier).decode()).encode()))
        return self.proved
