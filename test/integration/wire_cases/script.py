"""How a protocol case is written: a list of steps, the same for every server.

Bytes are collected and sent together before the next step that reads; READY reads up to
ReadyForQuery, and so on. What was read is the transcript, and two servers must give the same one.
A case that needs two connections is a function from a target to a transcript.
"""

import raw
from waiting import SLOW

Q, P, B, D, E, C = raw.query, raw.parse, raw.bind, raw.describe, raw.execute, raw.close
S, H = raw.SYNC, raw.FLUSH


class Until:
    """Reads up to the count-th message of one of these kinds."""

    def __init__(self, kinds, count=1):
        self.kinds, self.count = kinds, count

    def play(self, connection):
        return [got.comparable() for got in connection.read_until(self.kinds, self.count)]


class End:
    """Reads until the server closes. With maybe_error a server may say why before, or may not:
    PostgreSQL only logs that a message has no possible length."""

    def __init__(self, maybe_error=False):
        self.maybe_error = maybe_error

    def play(self, connection):
        messages = [got.comparable() for got in connection.read_to_end()]
        if self.maybe_error:
            messages = [m for m in messages if m[0] != "E"]
        return messages + ["closed"]


class Quiet:
    """Nothing may come for a moment."""

    def __init__(self, seconds=0.1):
        self.seconds = seconds

    def play(self, connection):
        return ["quiet" if connection.quiet(self.seconds * SLOW) else "noise"]


class Letters:
    """Reads bytes that are no message."""

    def __init__(self, count=1):
        self.count = count

    def play(self, connection):
        return [connection.read_bytes(self.count)]


class Login:
    """Reads the answer to a startup message, its parameters in any order."""

    def play(self, connection):
        messages = [got.comparable() for got in connection.read_until("ZE")]
        settings = sorted(m for m in messages if m[0] == "S")
        return [m for m in messages if m[0] != "S"] + settings


class Pieces:
    """Sends data in pieces of so many bytes."""

    def __init__(self, data, size=1):
        self.data, self.size = data, size

    def play(self, connection):
        connection.send_in_pieces(self.data, self.size)
        return []


class Cut:
    """Sends what was collected, and lets it arrive before the rest follows."""

    def play(self, connection):
        connection.quiet(0.003)
        return []


READY = Until("Z")
CUT = Cut()


def ready(count):
    return Until("Z", count)


class Case:
    """login: False for cases that begin with the startup message, else its parameters."""

    def __init__(self, name, *steps, login=True):
        self.name, self.steps, self.login = name, steps, login
        # Whatever a case left behind shows in the answer to one more query.
        if login is not False and not isinstance(steps[-1], End):
            self.steps += (Q("SELECT 'still here'"), READY)

    def play(self, target):
        transcript, pending = [], []
        with raw.Raw(target) as connection:
            if self.login is not False:
                connection.login(**(self.login if isinstance(self.login, dict) else {}))
            for step in self.steps:
                if isinstance(step, bytes):
                    pending.append(step)
                    continue
                if pending:
                    connection.send(*pending)
                    pending = []
                transcript += step.play(connection)
            if self.login is not False and not isinstance(self.steps[-1], End):
                connection.send(raw.TERMINATE)
        return transcript


class Scenario:
    """A case written as a function; target -> transcript."""

    def __init__(self, function):
        self.name, self.play = function.__name__, function


def query_cases(prefix, *rows):
    """Cases of simple queries alone: (name, query, query, ...)."""
    return [Case(f"{prefix}_{name}", *(step for sql in queries for step in (Q(sql), READY)))
            for name, *queries in rows]
