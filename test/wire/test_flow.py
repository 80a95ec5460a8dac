"""Slow servers and slow clients: bounded memory, and nobody else waits."""

import os
import select
import threading

import pytest

import processes
import raw
from clients import client, kinds, still_serves
from fake import COPY_IN, columns, complete, ready, row
from raw import message
from waiting import SLOW, wait_for

GROWTH_KB = 6 * 1024
SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")
MANY = 48 * 1024 * 1024
ROW = row("x" * 8000)


class Memory:
    """How much the child has grown since."""

    def __init__(self, bed):
        self.pid = bed.child()
        self.before = processes.pss_kb(self.pid)

    def check(self):
        if not SANITIZED:  # the sanitizers need memory themselves
            assert processes.pss_kb(self.pid) - self.before < GROWTH_KB


def stuck(sock):
    """Nothing more can be written: every buffer on the way is full."""
    return not select.select([], [sock], [], 0.2 * SLOW)[1]


def flood(connection, chunk, total):
    """Sends from the script's thread; connection.sent tells how far it has come."""
    connection.sent = 0
    while connection.sent < total:
        connection.send(chunk)
        connection.sent += len(chunk)


def send_until_stuck(one, chunk):
    """How much a client could send to somebody who does not read."""
    one.socket.setblocking(False)
    sent = 0
    try:
        while not stuck(one.socket):
            try:
                sent += one.socket.send(chunk)
            except BlockingIOError:
                pass
            assert sent < 4 * MANY, "nobody stops the client"
    finally:
        one.socket.setblocking(True)
    return sent


@pytest.mark.parametrize("chunk", [ROW, row("x" * 1_000_000)], ids=["rows", "long_rows"])
def test_client_that_does_not_read(bed, pgpool, server, user, chunk):
    """The server waits; all of it arrives when the client reads."""
    count = MANY // len(chunk)

    def script(c):
        c.login()
        c.expect("Q")
        c.send(columns("a"))
        flood(c, chunk, count * len(chunk))
        c.send(complete(f"SELECT {count}"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user, 30) as one:
        memory = Memory(bed)
        one.send(raw.query("SELECT many"))
        connection = wait_for(lambda: [c for c in server.of(user) if getattr(c, "sent", 0)],
                              "the flood")[0]
        wait_for(lambda: stuck(connection.socket), "the server to wait")
        assert connection.sent < MANY
        memory.check()
        still_serves(pgpool)
        got = one.read_until("Z")
        assert kinds(got) == "T" + "D" * count + "CZ"
        memory.check()
        assert one.rows("SELECT 1") == [["1"]]


def test_client_that_goes_instead_of_reading(bed, pgpool, server, user):
    def script(c):
        c.login()
        c.expect("Q")
        c.send(columns("a"))
        flood(c, ROW, 1 << 40)

    server.script(user, script)
    memory = Memory(bed)
    with client(pgpool, user) as one:
        one.send(raw.query("SELECT many"))
        connection = wait_for(lambda: [c for c in server.of(user) if getattr(c, "sent", 0)],
                              "the flood")[0]
        wait_for(lambda: stuck(connection.socket), "the server to wait")
    wait_for(connection.ended.is_set, "the server's connection to end")
    memory.check()
    still_serves(pgpool)


@pytest.mark.parametrize("kind", ["copy_data", "long_query", "queries", "batches"])
def test_server_that_does_not_read(bed, pgpool, server, user, kind):
    """The client waits, others do not; when it goes, the connection goes."""
    def script(c):
        c.login()
        if kind == "copy_data":
            c.expect("Q")
            c.send(COPY_IN)
        c.server.hold.wait()

    server.hold = threading.Event()
    server.script(user, script)
    with client(pgpool, user) as one:
        memory = Memory(bed)
        if kind == "copy_data":
            one.send(raw.query("COPY t FROM STDIN"))
            assert one.read().kind == "G"
            send_until_stuck(one, raw.copy_data("x" * 60_000))
        elif kind == "long_query":
            one.send(b"Q" + (MANY * 4).to_bytes(4, "big"))
            send_until_stuck(one, b"x" * 60_000)
        elif kind == "queries":
            send_until_stuck(one, raw.query("SELECT '" + "x" * 30_000 + "'"))
        else:
            send_until_stuck(one, (raw.parse("", "SELECT $1") + raw.bind("", "", "x" * 20_000) +
                                   raw.execute() + raw.SYNC))
        memory.check()
        still_serves(pgpool)
        memory.check()
    server.hold.set()
    wait_for(server.of(user)[0].ended.is_set, "the server's connection to end")
    still_serves(pgpool)


def test_both_are_slow(bed, pgpool, server, user):
    """The client sends without reading, the server answers without reading on: full in both
    directions, bounded, and whole when the client reads at last."""
    asked = raw.query("SELECT '" + "q" * 10_000 + "'")
    count = 5000

    def script(c):
        c.login()
        for _ in range(count):
            c.expect("Q")
            c.texts.clear()
            c.send(columns("a"), ROW, ROW, complete("SELECT 2"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user, 30) as one:
        memory = Memory(bed)
        data = asked * count
        one.socket.setblocking(False)
        sent = 0
        while not stuck(one.socket):
            sent += one.socket.send(data[sent:sent + 100_000])
            assert sent < len(data), "nobody stops the client"
        memory.check()
        still_serves(pgpool)
        received = b""
        whole = count * len(columns("a") + ROW + ROW + complete("SELECT 2") + ready())
        size = 0
        while size < whole:
            readable, writable, _ = select.select([one.socket],
                                                  [one.socket] if sent < len(data) else [], [],
                                                  20 * SLOW)
            assert readable or writable, f"stuck at {size} of {whole}"
            if writable:
                sent += one.socket.send(data[sent:sent + 100_000])
            if readable:
                received = one.socket.recv(1 << 18)
                assert received
                size += len(received)
        assert size == whole and received.endswith(ready())
        memory.check()
        one.socket.setblocking(True)
        assert one.rows("SELECT 1") == [["1"]]


def test_server_that_talks_while_it_is_fed(bed, pgpool, server, user):
    """A COPY whose server says something for every piece, to a client that reads nothing before
    it has sent everything it can."""
    def script(c):
        c.login()
        c.expect("Q")
        c.send(COPY_IN)
        while c.read()[0] == "d":
            c.send(message("N", b"SNOTICE\0Mx" + b"n" * 8000 + b"\0\0"))
        c.send(complete("COPY 1"), ready())
        c.serve()

    server.script(user, script)
    with client(pgpool, user, 30) as one:
        memory = Memory(bed)
        one.send(raw.query("COPY t FROM STDIN"))
        assert one.read().kind == "G"
        piece = raw.copy_data("x" * 7999)
        sent = send_until_stuck(one, piece)
        memory.check()
        still_serves(pgpool)
        # the rest of the piece that was cut, while the client reads
        rest = piece[sent % len(piece):] if sent % len(piece) else b""
        notices = -(-sent // len(piece))
        one.socket.setblocking(False)
        data = rest + raw.COPY_DONE
        while data:
            select.select([one.socket], [one.socket], [], 10 * SLOW)
            try:
                one.buffer += one.socket.recv(1 << 18)
            except BlockingIOError:
                pass
            try:
                data = data[one.socket.send(data):]
            except BlockingIOError:
                pass
        assert kinds(one.read_until("Z")) == "N" * notices + "CZ"
        assert one.rows("SELECT 1") == [["1"]]
