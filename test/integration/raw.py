"""PostgreSQL's protocol by hand: messages to send, a connection that sends and reads them, and
contents made comparable between two servers.

Source: PostgreSQL's manual, chapter "Frontend/Backend Protocol".
"""

import re
import select
import socket
import struct
import time

from prove import Prover
from waiting import SLOW

V3_0 = 196608
V3_2 = 196610
SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)


# ---- messages to send ----------------------------------------------------------------------------

def cstr(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def startup(params, version=V3_0):
    """params: a dict or a list of pairs (so that names can repeat)."""
    pairs = params.items() if isinstance(params, dict) else params
    body = b"".join(cstr(name) + cstr(value) for name, value in pairs) + b"\0"
    return struct.pack("!II", len(body) + 8, version) + body


def cancel_request(pid, key):
    return struct.pack("!III", 12 + len(key), 80877102, pid) + key


def query(sql):
    return message("Q", cstr(sql))


def parse(name, sql, *types):
    return message("P", cstr(name) + cstr(sql) + struct.pack(f"!H{len(types)}I", len(types),
                                                             *types))


def bind(portal, statement, *values, formats=(), results=()):
    """values: None, str or bytes."""
    body = cstr(portal) + cstr(statement)
    body += struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    body += struct.pack("!H", len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
            continue
        value = value.encode() if isinstance(value, str) else value
        body += struct.pack("!i", len(value)) + value
    return message("B", body + struct.pack(f"!H{len(results)}H", len(results), *results))


def describe(kind, name=""):
    return message("D", kind.encode() + cstr(name))


def execute(portal="", max_rows=0):
    return message("E", cstr(portal) + struct.pack("!I", max_rows))


def close(kind, name=""):
    return message("C", kind.encode() + cstr(name))


def function_call(oid, *arguments, result_format=0):
    body = struct.pack("!IHH", oid, 0, len(arguments))
    for value in arguments:
        body += struct.pack("!i", -1) if value is None else \
            struct.pack("!i", len(value)) + value.encode()
    return message("F", body + struct.pack("!H", result_format))


def copy_data(data):
    return message("d", data.encode() if isinstance(data, str) else data)


def copy_fail(reason):
    return message("f", cstr(reason))


SYNC = message("S")
FLUSH = message("H")
COPY_DONE = message("c")
TERMINATE = message("X")


def batch(*texts, end=SYNC):
    """Runs these statements."""
    return b"".join(parse("", text) + bind("", "") + execute() for text in texts) + end


# What differs between servers and sessions: versions that one knows, where temporary things are.
VARIABLE = re.compile(r": server supports .*$|(?<=pg_temp)_\d+")


# ---- messages that came --------------------------------------------------------------------------

class Got:
    """One message of a server."""

    def __init__(self, kind, body):
        self.kind = kind
        self.body = body

    def fields(self):
        """Of an ErrorResponse or NoticeResponse."""
        parts = self.body.rstrip(b"\0").split(b"\0")
        return {part[:1].decode(): part[1:].decode() for part in parts if part}

    def row(self):
        (count,), at, values = struct.unpack_from("!H", self.body), 2, []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", self.body, at)
            at += 4
            values.append(None if size < 0 else self.body[at:at + size])
            at += max(size, 0)
        return values

    def columns(self):
        (count,), at, columns = struct.unpack_from("!H", self.body), 2, []
        for _ in range(count):
            end = self.body.index(b"\0", at)
            table, number, kind, size, modifier, form = struct.unpack_from(
                "!IhIhih", self.body, end + 1)
            columns.append((self.body[at:end].decode(), table != 0, number, kind, size, modifier,
                            form))
            at = end + 19
        return columns

    def comparable(self):
        """Without what differs between two sessions or two places in a server's source."""
        if self.kind in "EN":
            return (self.kind, {name: VARIABLE.sub("", value)
                                for name, value in self.fields().items() if name not in "FLR"})
        if self.kind == "K":
            return ("K", "pid", len(self.body) - 4)
        if self.kind == "A":
            return ("A", self.body[4:])
        if self.kind == "D":
            values = [v if v is None or len(v) < 200 else (len(v), hash(v)) for v in self.row()]
            return ("D", values)
        if self.kind == "T":
            return ("T", self.columns())
        if self.kind == "d" and len(self.body) > 200:
            return ("d", len(self.body), hash(self.body))
        return (self.kind, self.body)

    def __repr__(self):
        return repr(self.comparable())


class Closed(Exception):
    """The server closed the connection."""


class Raw:
    """A connection. Every read has a deadline; after twenty that passed in vain a shorter one, so
    that a run against a server that hangs comes to its end."""

    hangs = 0

    def __init__(self, target, timeout=10.0):
        self.target = target
        self.timeout = (timeout if Raw.hangs < 20 else 1.0) * SLOW
        self.pid = 0
        self.key = b""
        self.parameters = {}
        self.prover = None
        self.buffer = b""
        if hasattr(target, "open"):  # it knows how
            self.socket = target.open(self.timeout)
        elif target.host.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(self.timeout)
            self.socket.connect(f"{target.host}/.s.PGSQL.{target.port}")
        else:
            self.socket = socket.create_connection((target.host, target.port), self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def send_in_pieces(self, data, size=1):
        """Each piece as a segment of its own, as far as the kernel allows it."""
        for at in range(0, len(data), size):
            self.socket.sendall(data[at:at + size])

    def start_tls(self, context, ask=True, host=None):
        """ask False: begins with TLS at once."""
        if ask:
            self.send(SSL_REQUEST)
            answer = self.read_bytes(1)
            if answer != b"S":
                raise AssertionError(f"SSLRequest was answered with {answer!r}")
        self.socket.settimeout(self.timeout)
        self.socket = context.wrap_socket(self.socket, server_hostname=host)
        return self

    def quiet(self, seconds):
        """True when nothing arrives within that time."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]

    def _fill(self, size, deadline):
        while len(self.buffer) < size:
            try:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                more = self.socket.recv(1 << 18)
            except socket.timeout:
                Raw.hangs += 1
                raise TimeoutError(f"no answer within {self.timeout:g} s") from None
            except ConnectionError:
                more = b""
            if not more:
                raise Closed()
            self.buffer += more

    def read_bytes(self, size):
        """Bytes that are no message: the one letter that answers an SSLRequest."""
        self._fill(size, time.monotonic() + self.timeout)
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read(self):
        """The next message."""
        deadline = time.monotonic() + self.timeout
        self._fill(5, deadline)
        kind, size = chr(self.buffer[0]), struct.unpack_from("!I", self.buffer, 1)[0]
        self._fill(1 + size, deadline)
        got = Got(kind, self.buffer[5:1 + size])
        self.buffer = self.buffer[1 + size:]
        if got.kind == "S":
            name, value = got.body.split(b"\0")[:2]
            self.parameters[name.decode()] = value.decode()
        elif got.kind == "K":
            self.pid, self.key = struct.unpack_from("!I", got.body)[0], got.body[4:]
        return got

    def read_until(self, kinds, count=1):
        """Messages up to the count-th of one of these kinds, that one included."""
        messages = []
        while count > 0:
            messages.append(self.read())
            count -= messages[-1].kind in kinds
        return messages

    def read_to_end(self):
        """Messages until the server closes."""
        messages = []
        try:
            while True:
                messages.append(self.read())
        except Closed:
            return messages

    def drain_to_end(self):
        """Whatever bytes come until the server closes."""
        deadline = time.monotonic() + self.timeout
        try:
            while True:
                self._fill(len(self.buffer) + 1, deadline)
        except Closed:
            taken, self.buffer = self.buffer, b""
            return taken

    def login(self, user="postgres", database="test", version=V3_0, password=None, **params):
        """All messages up to ReadyForQuery, an error, or a question that there is no answer to."""
        self.send(startup({"user": user, "database": database, **params}, version))
        self.prover = Prover(user, password or "")
        messages = []
        while not messages or messages[-1].kind not in "ZE":
            messages.append(self.read())
            if messages[-1].kind != "R":
                continue
            answer = self.prover.answer(messages[-1].body)
            if answer is not None and password is None:
                return messages
            self.send(answer or b"")
        return messages

    def simple(self, sql):
        """Messages of one simple query, ReadyForQuery included."""
        self.send(query(sql))
        return self.read_until("Z")

    def rows(self, sql):
        """Rows of one simple query as lists of str; an error is raised."""
        rows = []
        for got in self.simple(sql):
            if got.kind == "E":
                raise AssertionError(f"{sql}: {got.fields()}")
            if got.kind == "D":
                rows.append([None if v is None else v.decode() for v in got.row()])
        return rows


def connected(target, timeout=10.0, **params):
    """A connection that has logged in."""
    raw = Raw(target, timeout)
    last = raw.login(**params)[-1]
    if last.kind != "Z":
        raw.close()
        raise AssertionError(f"login failed: {last}")
    return raw


def codes(messages):
    """The SQLSTATEs of the errors among them."""
    return [got.fields()["C"] for got in messages if got.kind == "E"]
