"""A PostgreSQL server that does as a test tells it: threads, loopback, no database.

Whoever watches servers (pgpool's lag and health processes) is answered by its role; clients'
connections run a script, which the test gives by user name: a function of the connection, in a
thread of its own.
Without a script a connection logs in and serves: a query's text is its answer, unless the server's
`replies` has another one.

Source of the messages: PostgreSQL's manual, chapter "Frontend/Backend Protocol".
"""

import errno
import itertools
import os
import re
import socket
import ssl
import struct
import threading
import time
import zlib

import raw
from raw import cstr, message
from unread import Unread
from waiting import SLOW, free_port, wait_for

TEXT_OID = 25
SSL_CODE, GSS_CODE, CANCEL_CODE = 80877103, 80877104, 80877102
PATIENCE = 20.0 * SLOW
SYSTEM = 7000000000000000001

PARSED, BOUND, CLOSED = message("1"), message("2"), message("3")
NO_DATA, SUSPENDED, EMPTY = message("n"), message("s"), message("I")
AUTH_OK = message("R", struct.pack("!I", 0))
COPY_IN = message("G", struct.pack("!bH", 0, 0))
COPY_OUT = message("H", struct.pack("!bH", 0, 0))
COPY_DONE = raw.COPY_DONE


def auth(kind, body=b""):
    return message("R", struct.pack("!I", kind) + body)


def ready(status="I"):
    return message("Z", status.encode())


def complete(tag):
    return message("C", cstr(tag))


def columns(*names):
    return message("T", struct.pack("!H", len(names)) + b"".join(
        cstr(name) + struct.pack("!IhIhih", 0, 0, TEXT_OID, -1, -1, 0) for name in names))


def row(*values):
    body = struct.pack("!H", len(values))
    for value in values:
        value = value.encode() if isinstance(value, str) else value
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message("D", body)


def result(*values):
    """The whole answer to a query with one row."""
    return columns(*(f"c{n}" for n in range(len(values)))) + row(*values) + complete("SELECT 1")


def _fields(kind, severity, sqlstate, text):
    parts = {"S": severity, "V": severity, "C": sqlstate, "M": text}
    return message(kind, b"".join(name.encode() + cstr(value)
                                  for name, value in parts.items() if value) + b"\0")


def error(sqlstate, text, severity="ERROR"):
    """sqlstate None: without that field."""
    return _fields("E", severity, sqlstate, text)


def fatal(sqlstate, text):
    return error(sqlstate, text, "FATAL")


def notice(text):
    return _fields("N", "NOTICE", "00000", text)


def parameter(name, value):
    return message("S", cstr(name) + cstr(value))


def notification(channel, payload, pid=1):
    return message("A", struct.pack("!I", pid) + cstr(channel) + cstr(payload))


def usual(sql):
    """What a query gets that nobody thought of: its own text, "1" for SELECT 1."""
    word, _, rest = sql.strip().rstrip(";").partition(" ")
    word = word.upper()
    if word == "SELECT" or word == "SHOW":
        return result(rest)
    if word in ("INSERT", "UPDATE", "DELETE"):
        return complete("INSERT 0 1" if word == "INSERT" else word + " 1")
    return complete("DISCARD ALL" if word == "DISCARD" else word) if word else EMPTY


def bound_values(body):
    """The values that a Bind has."""
    at = body.index(b"\0", body.index(b"\0") + 1) + 1
    (formats,) = struct.unpack_from("!H", body, at)
    at += 2 + 2 * formats
    (count,), at, values = struct.unpack_from("!H", body, at), at + 2, []
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        values.append(None if size < 0 else body[at + 4:at + 4 + size])
        at += 4 + max(size, 0)
    return values


LOOKUP = "BEGIN READ ONLY;"


ROW_TABLES, ROW_EVENT, ROW_WRITE, ROW_TABLE = 1 << 22, 1 << 18, 1 << 23, 1 << 24


def tables_of(number, kind, name):
    """What names lead to, as src/catalog/tables.sql says it: each relation is a table with a number
    of its own, which no trigger, view or rule goes beyond."""
    oid = f"{zlib.crc32(name.encode()) | 1} {name}"
    if kind == "d":
        return row(number, str(ROW_TABLES | ROW_TABLE), "5")
    if kind == "r":
        return row(number, str(ROW_TABLES | ROW_TABLE), oid)
    if kind == "w":
        flags = ROW_TABLES | ROW_WRITE | ROW_TABLE
        return b"".join(row(number, str(flags | event * ROW_EVENT), oid) for event in range(4))
    return b""


def known(question):
    """pgpool's question to the catalog: whatever is named is there and harmless."""
    names = re.findall(r",\((\d+),'([a-z])',E'((?:[^']|'')*)',E'((?:[^']|'')*)',", question)
    asks_tables = f"{ROW_TABLES}|" in question
    return (complete("BEGIN") + complete("SET") + columns("i", "flags", "name") +
            row("-1", "0", "pg_catalog,public") +
            b"".join(row(number, "0", "") for number, *_ in names) +
            b"".join(tables_of(number, kind, name) for number, kind, _, name in names
                     if asks_tables) +
            complete("SELECT 1") + complete("ROLLBACK") + ready())


class Gone(Exception):
    """The other side has closed the connection."""


class Connection:
    """One connection to a fake server. Its script reads with read() and expect(); other threads
    may send() and look at `texts` and `gone`."""

    pids = itertools.count(1000)

    def __init__(self, server, sock):
        self.server = server
        self.socket = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.ports = sock.getpeername()[1], sock.getsockname()[1]
        self.unread = None
        self.pid = next(Connection.pids)
        self.key = os.urandom(4)
        self.params = {}
        self.tls = None  # the version of TLS
        self.certificate = None  # of the other side
        self.status = "I"
        self.statements = {}
        self.portals = {}
        self.values = []  # of the last Bind, as bytes
        self.texts = []  # of simple queries and Parse messages
        self.kinds = ""  # of all messages
        self.answered = 0  # of a watcher's questions
        self.resets = 0  # how often DISCARD ALL was answered
        self.cancelled = threading.Event()
        self.gone = threading.Event()  # the other side has closed
        self.ended = threading.Event()  # the script has returned

    @property
    def user(self):
        return self.params.get("user")

    # ---- bytes ----

    def _fill(self, size):
        while len(self.buffer) < size:
            try:
                more = self.socket.recv(1 << 18)
            except OSError:
                more = b""
            if not more:
                self.gone.set()
                raise Gone()
            self.buffer += more

    def _take(self, size):
        self._fill(size)
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def send(self, *parts):
        try:
            self.socket.sendall(b"".join(parts))
        except OSError:
            self.gone.set()
            raise Gone() from None

    def _wait_read(self):
        self.unread = self.unread or Unread(*self.ports)
        wait_for(lambda: self.unread.bytes() == 0, "pgpool to read", pause=0.0001)

    def wait_reset(self, count=1):
        """Until pgpool has read the answer to its count-th reset: it is idle then."""
        wait_for(lambda: self.resets >= count, f"reset {count}")
        self._wait_read()

    def wait_unasked(self, seconds=0.1):
        """Until the last question was answered, that long ago, and pgpool has read the answer: who
        watches asks once a second."""
        seen = [0, time.monotonic()]

        def quiet():
            if self.answered != seen[0] or self.kinds.count("Q") != self.answered:
                seen[:] = [self.answered, time.monotonic()]
            return self.answered and time.monotonic() - seen[1] >= seconds

        before = self.answered
        wait_for(lambda: self.answered > before, "the next question", pause=0.002)
        wait_for(quiet, "the questions to end", pause=0.002)
        self._wait_read()

    def send_apart(self, data, size=1):
        """In pieces, each read by pgpool before the next one leaves."""
        for at in range(0, len(data), size):
            self.send(data[at:at + size])
            self._wait_read()

    def close(self):
        """An orderly end; it may be called from any thread."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    # ---- messages ----

    def read_startup(self):
        """The code of the first packet that is no request for encryption, and its body."""
        while True:
            size, code = struct.unpack("!II", self._take(8))
            body = self._take(size - 8)
            if code not in (SSL_CODE, GSS_CODE):
                return code, body
            if code == SSL_CODE:
                self._answer_ssl()
            else:
                self.send(b"N")

    def _answer_ssl(self):
        with self.server.lock:
            answer = self.server.ssl_answers.pop(0) if self.server.ssl_answers else \
                self.server.tls
        if answer is None:
            self.send(b"N")
        elif isinstance(answer, bytes):
            self.send(answer)
        elif callable(answer):
            answer(self)
        else:
            self.start_tls(answer)

    def start_tls(self, context):
        self.send(b"S")
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except (ssl.SSLError, OSError):
            raise Gone() from None
        self.tls = self.socket.version()
        self.certificate = self.socket.getpeercert()

    def read(self):
        """Kind and body of the next message. Questions to the catalog are answered here: they come
        on connections of their own, at times of their own, and are no test's matter."""
        kind, size = struct.unpack("!cI", self._take(5))
        body = self._take(size - 4)
        kind = kind.decode()
        if kind == "Q" and body.startswith(LOOKUP.encode()):
            self.send(self.server.lookup(self, body.decode()))
            return self.read()
        self.kinds += kind
        if kind == "Q":
            self.texts.append(body[:-1].decode())
        elif kind == "P":
            self.texts.append(body.split(b"\0")[1].decode())
        return kind, body

    def expect(self, kinds, text=None):
        """These messages, in this order; the text is that of the Query among them."""
        for wanted in kinds:
            kind, body = self.read()
            if kind != wanted:
                raise AssertionError(f"expected {kinds}, got {kind} {body[:200]!r}")
            if text is not None and kind == "Q" and self.texts[-1] != text:
                raise AssertionError(f"expected {text!r}, got {self.texts[-1]!r}")

    def wait_gone(self):
        """Reads until the other side closes."""
        while True:
            self.read()

    def welcome(self):
        """What follows AuthenticationOk in a usual login."""
        standby = "on" if (self.server.told or self.server.role) == "standby" else "off"
        pairs = {"server_version": "15.18", "in_hot_standby": standby, "client_encoding": "UTF8",
                 "standard_conforming_strings": "on", "TimeZone": "UTC"}
        return (b"".join(parameter(*pair) for pair in pairs.items()) +
                message("K", struct.pack("!I", self.pid) + self.key) + ready())

    def login(self):
        self.send(AUTH_OK + self.welcome())

    # ---- serving ----

    def serve(self):
        """Answers until the other side goes."""
        while self.serve_one() != "X":
            pass

    def serve_until(self, text):
        """Answers queries until this text was asked, which it leaves to the caller."""
        while True:
            kind, body = self.read()
            if kind == "Q" and self.texts[-1] == text:
                return
            self._answer(kind, body)

    def serve_one(self):
        kind, body = self.read()
        self._answer(kind, body)
        return kind

    def reply(self, sql):
        """Bytes for the text; its transaction is followed."""
        answer = self.server.replies.get(sql)
        if callable(answer):
            answer = answer(self)
        if answer is None:
            answer = usual(sql)
        word = sql.split(" ")[0].upper()
        if answer.startswith(b"E"):
            self.status = "E" if self.status != "I" else "I"
        elif word == "BEGIN":
            self.status = "T"
        elif word in ("COMMIT", "ROLLBACK", "ABORT"):
            self.status = "I"
        return answer

    def _answer(self, kind, body):
        if kind == "Q":
            self.send(self.reply(self.texts[-1]) + ready(self.status))
            self.resets += self.texts[-1] == "DISCARD ALL"
        elif kind == "P":
            name, sql = body.split(b"\0")[:2]
            self.statements[name] = sql.decode()
            self.send(PARSED)
        elif kind == "B":
            portal, name = body.split(b"\0")[:2]
            self.portals[portal] = self.statements[name]
            self.values = bound_values(body)
            self.send(BOUND)
        elif kind == "D":
            named = self.statements if body[:1] == b"S" else self.portals
            sql = named[body[1:-1]]
            answer = self.reply(sql) if sql in self.server.replies else usual(sql)
            types = message("t", b"\0\0") if body[:1] == b"S" else b""
            head = answer[:1 + struct.unpack_from("!I", answer, 1)[0]] \
                if sql in self.server.replies else columns("c0")
            self.send(types + (head if answer.startswith(b"T") else NO_DATA))
        elif kind == "E":
            answer = self.reply(self.portals[body.split(b"\0")[0]])
            if answer.startswith(b"T"):  # Execute describes nothing
                answer = answer[1 + struct.unpack_from("!I", answer, 1)[0]:]
            self.send(answer)
        elif kind == "C":
            self.send(CLOSED)
        elif kind == "S":
            self.send(ready(self.status))


def serve_client(connection):
    connection.login()
    connection.serve()


class FakeServer:
    """Listens while it is up(). Attributes may be changed at any time by the test."""

    host = "127.0.0.1"
    data = "/nonexistent"

    def __init__(self, role="primary", name="node0"):
        self.name = name
        self.role = role
        self.told = None  # the role that clients' connections are told, if another one
        self.timeline = 1
        self.lsn = 0x5000100
        self.system = SYSTEM
        self.lookup = lambda connection, question: known(question)
        self.tls = None  # an ssl.SSLContext: offers TLS
        # What the next SSLRequests get instead: None, bytes, a context, or a function of the
        # connection
        self.ssl_answers = []
        self.replies = {}  # a query's text to bytes, or to a function of the connection
        self.scripts = {}  # a user's name to the scripts of its connections, in order
        self.watch_login = None  # a script of connections that watch, in place of a login
        self.watch_answer = None  # to whatever they ask, in place of the truth
        self.probe_login = self.probe_answer = None  # the same for whoever probes its health
        self.hold_cancels = False  # cancel requests get no end of file
        self.connections = []  # of clients, in order
        self.watchers = []
        self.probers = []
        self.left = 0
        self.cancels = []  # pid and key of each request
        self.cancels_tls = []  # TLS version of each
        self.cancel_sockets = []
        self.faults = []  # of scripts
        self.lock = threading.Lock()
        self._listen()
        self._begin(self._accept)

    def _listen(self):
        """Not on a port of the kernel's choice: when this server is down, the kernel could give it
        to somebody else, even to a connection that is to find nobody there."""
        while True:
            self.listener, self.port = socket.socket(), free_port()
            try:
                self.listener.bind((self.host, self.port))
                break
            except OSError:
                self.listener.close()
        self.listener.listen(256)

    @staticmethod
    def _begin(function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self._begin(self._run, Connection(self, sock))

    def _run(self, connection):
        try:
            code, body = connection.read_startup()
            if code == CANCEL_CODE:
                self.cancels_tls.append(connection.tls)
                self._cancel(connection, body)
                return
            words = [word.decode() for word in body.split(b"\0")]
            connection.params = dict(zip(words[::2], words[1::2]))
            self._script_of(connection)(connection)
        except Gone:
            pass
        except OSError as fault:
            if fault.errno != errno.EBADF:  # else another thread has ended it
                self.faults.append(f"{connection.user}: {fault!r}")
        except Exception as fault:  # pylint: disable=broad-except
            self.faults.append(f"{connection.user}: {type(fault).__name__}: {fault}")
        finally:
            connection.ended.set()
            connection.socket.close()

    def _script_of(self, connection):
        if connection.params.get("application_name") == "pgpool lag":
            self.watchers.append(connection)
            return self._watched
        if connection.params.get("application_name") == "pgpool health":
            self.probers.append(connection)
            return self._probed
        if connection.params.get("application_name") == "pgpool orphans":
            return self._left
        with self.lock:
            self.connections.append(connection)
            scripts = self.scripts.get(connection.user)
            return scripts.pop(0) if scripts else serve_client

    def _cancel(self, connection, body):
        pid, key = struct.unpack_from("!I", body)[0], body[4:]
        self.cancels.append((pid, key))
        for other in self.connections:
            if (other.pid, other.key) == (pid, key):
                other.cancelled.set()
        if self.hold_cancels:
            self.cancel_sockets.append(connection)
            connection.wait_gone()

    def _watched(self, connection):
        (self.watch_login or Connection.login)(connection)
        while True:
            kind, _ = connection.read()
            if kind == "X":
                return
            sql = connection.texts.pop()
            if self.watch_answer is not None:
                connection.send(self.watch_answer)
            elif "pg_stat_replication" in sql:
                connection.send(columns("a", "b", "c"), complete("SELECT 0"), ready())
            else:
                connection.send(self._state(sql), ready())
            connection.answered += 1

    def _probed(self, connection):
        (self.probe_login or Connection.login)(connection)
        while connection.read()[0] != "X":
            answer = self.probe_answer
            if answer is None:
                answer = self.probed() + ready()
            connection.send(answer(connection) if callable(answer) else answer)
            connection.answered += 1

    def _left(self, connection):
        """How many statements are left of those who are gone: the query cache waits for them."""
        connection.login()
        while connection.read()[0] != "X":
            began = "clock_timestamp" in connection.texts.pop()
            connection.send(result("1.0") if began else result(str(self.left), None),
                            ready())

    def probed(self, **other):
        """What it says of its health, in the columns that pgpool asks for."""
        standby = self.role == "standby"
        lsn = f"{self.lsn >> 32:X}/{self.lsn & 0xffffffff:X}"
        said = {"recovery": "t" if standby else "f",
                "timeline": str(self.timeline) if standby else f"{self.timeline:08X}{5:016X}",
                "system": str(self.system), "received": lsn, "replayed": lsn if standby else None,
                "control": str(self.timeline) if standby else None, "blind": "f", "may_list": "t"}
        assert not set(other) - set(said)
        return result(*(said | other).values())

    def _state(self, sql):
        """Who it is and how far, in the columns that pgpool asks for."""
        standby = self.role == "standby"
        lsn = f"{self.lsn >> 32:X}/{self.lsn & 0xffffffff:X}"
        values = ["t" if standby else "f", lsn,
                  str(self.timeline) if standby else f"{self.timeline:08X}{5:016X}"]
        if "pg_control_system" in sql:
            values += [None, str(self.system), "streaming" if standby else None,
                       f"application_name={self.name}" if standby else None]
        return result(*values)

    # ---- for tests ----

    def script(self, user, *functions):
        """For the user's next connections, one each; later ones serve as usual."""
        with self.lock:
            self.scripts[user] = list(functions)

    def of(self, user):
        """The user's connections so far."""
        return [connection for connection in self.connections if connection.user == user]

    def wait_for_connection(self, user, number=0):
        return wait_for(lambda: self.of(user)[number:number + 1],
                        f"connection {number} of {user}")[0]

    def asked(self, text, user=None):
        """How often a text has come, from everybody or from one user."""
        return sum(connection.texts.count(text) for connection in self.connections
                   if user in (None, connection.user))

    def stop_listening(self):
        """Refuses from now on, and ends every connection that watches or probes."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.watchers + self.probers:
            connection.close()

    def down(self):
        self.stop_listening()
        for connection in self.connections + self.cancel_sockets:
            connection.close()
