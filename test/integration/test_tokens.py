"""Each answer goes to the client that asked: many clients, each asking for tokens of its own in
every form of the protocol, over few server connections; with cancel requests, clients that leave in
the middle of an answer, timeouts and killed servers among them.

A few seconds long; with PGPOOL_TEST_HEAVY=1, 200 clients for five minutes."""

import os
import random
import socket
import struct
import threading
import time

import pytest

import raw
from waiting import SLOW, Background

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
SECONDS = 300 if HEAVY else 5
CLIENTS = 200 if HEAVY else 24
PATIENCE = 120.0
SEED = int(os.environ.get("PGPOOL_TEST_SEED", "1"))
NAME = "tokens"
REVERSE = 3062  # pg_proc.oid of reverse(text)
# What may befall a statement here: its server was killed, or it was cancelled or took too long.
MISHAPS = {"57P01", "57P02", "57P03", "57014", "40001", "08006", "08003", "25P02", "53300", "55000"}


class Foreign(Exception):
    """An answer that is not one's own."""


class Mishap(Exception):
    """The connection is not worth going on with."""


class Asker(threading.Thread):
    """A client, and another one in its place when it was left without an answer."""

    def __init__(self, pgpool, number, until):
        super().__init__(name=f"asker {number}")
        self.pgpool, self.number, self.until = pgpool, number, until
        self.random = random.Random(SEED * 1000 + number)
        self.count = self.answered = self.mishaps = 0
        self.wrong = None
        self.one = None
        self.prepared = False

    def token(self):
        self.count += 1
        return f"client {self.number} token {self.count}"

    # ---- asking ----

    def read(self, ends=1):
        """Values of all rows until so many ReadyForQuery."""
        values, errors = [], []
        for got in self.one.read_until("Z", ends):
            if got.kind == "D":
                values.append([None if v is None else v.decode() for v in got.row()])
            elif got.kind == "d":
                values.append([got.body.decode().rstrip("\n")])
            elif got.kind == "V":
                values.append([got.body[:3:-1].decode()])
            elif got.kind == "E":
                errors.append(got.fields())
        for fields in errors:
            if fields["C"] not in MISHAPS:
                raise Foreign(f"{fields}")
        if errors:
            for value in values:  # whatever came before that is one's own, too
                self.own(value)
            raise Mishap(errors[0]["C"])
        return values

    def own(self, value):
        if not str(value[0]).startswith(f"client {self.number} token "):
            raise Foreign(f"{value[:1]} for {self.number}")

    def expect(self, tokens, ends=1):
        found = self.read(ends)
        if found != [[token] for token in tokens]:
            raise Foreign(f"{found} instead of {tokens}")
        self.answered += len(tokens)

    def prepare(self):
        if not self.prepared:
            self.one.send(raw.parse("token", "SELECT $1::text"), raw.SYNC)
            self.read()
        self.prepared = True

    # ---- the forms ----

    def simple(self):
        token = self.token()
        self.one.send(raw.query(f"SELECT '{token}'"))
        self.expect([token])

    def several(self):
        tokens = [self.token() for _ in range(3)]
        self.one.send(raw.query("; ".join(f"SELECT '{token}'" for token in tokens)))
        self.expect(tokens)

    def write(self):
        token = self.token()
        self.one.send(raw.query(f"INSERT INTO tokens_t VALUES ('{token}') RETURNING a"))
        self.expect([token])

    def unnamed(self):
        token = self.token()
        self.one.send(raw.parse("", "SELECT $1::text", 25), raw.bind("", "", token),
                      raw.describe("P"), raw.execute(), raw.SYNC)
        self.expect([token])

    def binary(self):
        token = self.token()
        self.one.send(raw.parse("", "SELECT $1::text", 25),
                      raw.bind("", "", token, formats=(1,), results=(1,)), raw.execute(), raw.SYNC)
        self.expect([token])

    def named(self):
        self.prepare()
        token = self.token()
        self.one.send(raw.bind("", "token", token), raw.execute(), raw.SYNC)
        self.expect([token])

    def pipeline(self):
        self.prepare()
        tokens = [self.token() for _ in range(self.random.randint(2, 20))]
        self.one.send(*(raw.bind("", "token", token) + raw.execute() for token in tokens), raw.SYNC)
        self.expect(tokens)

    def pipeline_of_batches(self):
        self.prepare()
        tokens = [self.token() for _ in range(self.random.randint(2, 20))]
        self.one.send(*(raw.bind("", "token", token) + raw.execute() + raw.SYNC
                        for token in tokens))
        self.expect(tokens, len(tokens))

    def queries_at_once(self):
        tokens = [self.token() for _ in range(self.random.randint(2, 10))]
        self.one.send(*(raw.query(f"SELECT '{token}'") for token in tokens))
        self.expect(tokens, len(tokens))

    def transaction(self):
        tokens = [self.token() for _ in range(2)]
        for sql in ("BEGIN", *(f"SELECT '{token}'" for token in tokens), "COMMIT"):
            self.one.send(raw.query(sql))
            self.expect([sql[8:-1]] if sql.startswith("SELECT") else [])

    def cursor(self):
        token = self.token()
        self.one.send(raw.query("BEGIN"), raw.query(
            f"DECLARE c CURSOR FOR SELECT '{token}' FROM generate_series(1, 3)"),
                      raw.query("FETCH 2 FROM c"), raw.query("FETCH 2 FROM c"), raw.query("END"))
        self.expect([token] * 3, 5)

    def portal(self):
        token = self.token()
        self.one.send(raw.parse("", f"SELECT '{token}' FROM generate_series(1, 3)"),
                      raw.bind("", ""), raw.execute("", 2), raw.execute("", 2), raw.SYNC)
        self.expect([token] * 3)

    def copy(self):
        token = self.token()
        self.one.send(raw.query(f"COPY (SELECT '{token}') TO STDOUT"))
        self.expect([token])

    def function(self):
        token = self.token()
        self.one.send(raw.function_call(REVERSE, token))
        self.expect([token])

    # ---- what gets in the way ----

    def cancelled(self):
        self.one.send(raw.query(f"SELECT '{self.token()}', pg_sleep(2)"))
        with socket.create_connection((self.pgpool.host, self.pgpool.port)) as other:
            other.sendall(raw.cancel_request(self.one.pid, self.one.key))
            other.settimeout(PATIENCE)
            other.recv(1)
        try:
            for value in self.read():
                self.own(value)
        except Mishap as mishap:
            if str(mishap) != "57014":
                raise

    def too_slow(self):
        self.one.send(raw.query("SET statement_timeout = 20"))
        self.read()
        self.one.send(raw.query(f"SELECT '{self.token()}', pg_sleep(2)"))
        try:
            self.read()
            raise Foreign("a statement that sleeps for 2 s ended before its timeout of 20 ms")
        except Mishap as mishap:
            if str(mishap) != "57014":
                raise
        self.one.send(raw.query("RESET statement_timeout"))
        self.read()

    def leaves(self):
        token = self.token()
        self.one.send(raw.query(f"SELECT '{token}', repeat('x', 100000) "
                                "FROM generate_series(1, 50)"))
        for _ in range(self.random.randint(0, 3)):
            got = self.one.read()
            if got.kind == "D":
                self.own([value.decode() for value in got.row()])
        raise Mishap("it left")

    def leaves_a_row(self):
        """In the middle of one, and resets the connection."""
        self.one.send(raw.query(f"SELECT repeat('{self.token()}', 1000000)"))
        self.one.read()
        self.one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Mishap("it left")

    FORMS = (simple, several, write, unnamed, binary, named, pipeline, pipeline_of_batches,
             queries_at_once, transaction, cursor, portal, copy, function)
    TROUBLE = (cancelled, too_slow, leaves, leaves_a_row)

    # ---- all of it ----

    def step(self):
        if self.one is None:
            self.one, self.prepared = raw.Raw(self.pgpool, PATIENCE), False
            last = self.one.login(application_name=NAME)[-1]
            if last.kind != "Z":
                raise Mishap(last.fields()["C"])
        forms = self.TROUBLE if self.random.random() < 0.05 else self.FORMS
        self.random.choice(forms)(self)

    def goes_on(self):
        """On a slow machine until there was an answer, but not for ever."""
        now = time.monotonic()
        return now < self.until or (not self.answered and now < self.until + 30 * SLOW)

    def run(self):
        try:
            while self.goes_on():
                try:
                    self.step()
                except (Mishap, raw.Closed, ConnectionError):
                    self.mishaps += 1
                    self.one.close()
                    self.one = None
        except BaseException as error:  # told by who looks at it
            self.wrong = f"{self.name}: {error!r}"
        finally:
            if self.one is not None:
                self.one.close()


def kill_servers(cluster, ended):
    """Now and then, one that answers such a client, of whatever node."""
    chosen = random.Random(SEED)
    while not ended.wait(0.3):
        chosen.choice(cluster.servers).rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s "
            "ORDER BY random() LIMIT 1", NAME)


@pytest.mark.takes(SECONDS)
@pytest.mark.parametrize("mode", ["auto", "transaction", "session"] if HEAVY else ["auto"])
def test_answers_are_for_who_asked(cluster, start_pgpool, mode):
    cluster.sql("DROP TABLE IF EXISTS tokens_t; CREATE TABLE tokens_t (a text)")
    limit = 0 if mode == "session" else 8
    pgpool = start_pgpool(pool_mode=mode, max_backend_connections=limit, num_init_children=2)
    until = time.monotonic() + SECONDS
    askers = [Asker(pgpool, number, until) for number in range(CLIENTS)]
    ended = threading.Event()
    for asker in askers:
        asker.start()
    killer = Background(kill_servers, cluster, ended)
    for asker in askers:
        asker.join()
    ended.set()
    killer.result()
    print(f"{sum(a.answered for a in askers)} tokens, {sum(a.mishaps for a in askers)} mishaps")
    assert not [asker.wrong for asker in askers if asker.wrong]
    assert all(asker.answered > 0 for asker in askers)
    assert any(asker.mishaps > 0 for asker in askers)
