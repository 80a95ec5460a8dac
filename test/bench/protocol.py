"""The little of PostgreSQL's protocol that measuring clients need: log in, ask, read what comes.

Source: PostgreSQL's manual, chapter "Frontend/Backend Protocol".
"""

import struct


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def query(text):
    return message(b"Q", text.encode() + b"\0")


def startup(user, database):
    body = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
    return struct.pack("!II", len(body) + 8, 3 << 16) + body


def one_value(text):
    """The body of a DataRow with this value alone."""
    return struct.pack("!Hi", 1, len(text)) + text.encode()


def read_answer(sock, until="Z"):
    """All messages up to one of these kinds (ReadyForQuery): their kinds, and the last DataRow's
    body."""
    data, at, kinds, row = b"", 0, "", b""
    while True:
        while len(data) - at >= 5:
            length = struct.unpack_from("!I", data, at + 1)[0] + 1
            if len(data) - at < length:
                break
            kind = chr(data[at])
            kinds += kind
            if kind == "E":
                raise RuntimeError(f"error: {data[at + 5:at + length]}")
            if kind == "D":
                row = data[at + 5:at + length]
            at += length
            if kind in until:
                return kinds, row
        more = sock.recv(65536)
        if not more:
            raise RuntimeError("the connection was closed")
        data += more


def swallow(sock, buffer):
    """An answer of any size, up to ReadyForQuery, looked at no closer than its end needs. Returns
    the number of its bytes. buffer: memory to receive into."""
    view, total, tail = memoryview(buffer), 0, b""
    ready = message(b"Z", b"I")
    while tail != ready:
        count = sock.recv_into(buffer)
        if count == 0:
            raise RuntimeError("the connection was closed")
        total += count
        tail = (tail + bytes(view[max(0, count - len(ready)):count]))[-len(ready):]
    return total
