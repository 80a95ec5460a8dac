"""A client's side of every password method, and the forms in which servers keep passwords.

Source: RFC 5802, RFC 7677; PostgreSQL's manual, sections "Start-up" and "SASL Authentication"."""

import base64
import hashlib
import hmac
import os
import struct

OK, CLEAR, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12


def message(body):
    return b"p" + struct.pack("!I", len(body) + 4) + body


def text(words):
    return message(words.encode() + b"\0")


def base64_of(data):
    return base64.b64encode(data).decode()


def _hmac(key, data):
    return hmac.digest(key, data, "sha256")


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


def verifier(password, iterations=4096, salt=None):
    """As in pg_authid."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return (f"SCRAM-SHA-256${iterations}:{base64_of(salt)}${base64_of(stored)}:"
            f"{base64_of(_hmac(salted, b'Server Key'))}")


def initial(data, mechanism=b"SCRAM-SHA-256"):
    return message(mechanism + b"\0" + struct.pack("!i", len(data)) + data)


class Prover:
    """Answers what it is asked, one message for one Authentication message; `asked` tells which
    they were."""

    def __init__(self, user, password):
        self.user, self.password = user, password
        self.asked = []
        self.bare = "n=,r=" + base64_of(os.urandom(18))

    def _md5(self, salt):
        inner = md5_secret(self.user, self.password)[3:]
        return text("md5" + hashlib.md5(inner.encode() + salt).hexdigest())

    def _proof(self, first):
        said = dict(part.split("=", 1) for part in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(),
                                     base64.b64decode(said["s"]), int(said["i"]))
        key = _hmac(salted, b"Client Key")
        last = f"c=biws,r={said['r']}"
        signed = f"{self.bare},{first},{last}".encode()
        signature = _hmac(hashlib.sha256(key).digest(), signed)
        self.expected = base64_of(_hmac(_hmac(salted, b"Server Key"), signed))
        proof = base64_of(bytes(a ^ b for a, b in zip(key, signature)))
        return message(f"{last},p={proof}".encode())

    def answer(self, body):
        """Of an Authentication message; None: it wants none."""
        (kind,), rest = struct.unpack_from("!I", body), body[4:]
        self.asked.append(kind)
        if kind == CLEAR:
            return text(self.password)
        if kind == MD5:
            return self._md5(rest)
        if kind == SASL:
            return initial(("n,," + self.bare).encode())
        if kind == SASL_CONTINUE:
            return self._proof(rest.decode())
        if kind == SASL_FINAL:
            assert rest.decode() == "v=" + self.expected, "the server has not proved itself"
        return None
