"""Many clients over few server connections, each of which uses temporary tables, LISTEN, advisory
locks, parameters, roles, statements prepared both ways, cursors, sequences and transactions at
random, and checks after every step that all of its own state is there, and nobody else's.

A few seconds long; with PGPOOL_TEST_HEAVY=1, 200 clients for five minutes."""

import os
import random
import threading
import time

import pytest

import raw

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
SECONDS = 300 if HEAVY else 5
CLIENTS = 200 if HEAVY else 20
CONNECTIONS = 10 if HEAVY else 6
PATIENCE = 120.0
SEED = int(os.environ.get("PGPOOL_TEST_SEED", "1"))
DEFAULT_MEMORY = "4MB"


class Wrong(Exception):
    """An answer that PostgreSQL would not have given."""


class Client(threading.Thread):
    """One session: what it has made, and steps that change that."""

    def __init__(self, pgpool, number, until):
        super().__init__(name=f"client {number}")
        self.pgpool = pgpool
        self.number = number
        self.until = until
        self.random = random.Random(SEED * 1000 + number)
        self.history = []
        self.wrong = None
        self.steps = 0
        self.one = None
        self.forget()
        self.memory, self.role, self.statement = DEFAULT_MEMORY, None, None

    def forget(self):
        """All that only the connection has; the rest follows the session everywhere."""
        self.table = self.lock = self.sql_statement = self.cursor = self.drawn = None
        self.listens = False
        self.heard = []

    # ---- asking ----

    def messages(self, found, sql):
        for got in found:
            if got.kind == "A":
                self.heard.append(got.body[4:].split(b"\0")[1].decode())
            if got.kind == "E":
                raise Wrong(f"{sql}: {got.fields()}")
        return [[None if v is None else v.decode() for v in got.row()]
                for got in found if got.kind == "D"]

    def simple(self, sql):
        return self.messages(self.one.simple(sql), sql)

    def extended(self, sql):
        self.one.send(raw.parse("", sql), raw.bind("", ""), raw.describe("P"), raw.execute(),
                      raw.SYNC)
        return self.messages(self.one.read_until("Z"), sql)

    def rows(self, sql):
        self.history.append(sql)
        return self.random.choice((self.simple, self.extended))(sql)

    def value(self, sql):
        rows = self.rows(sql)
        return rows[0][0] if rows else None

    def expect(self, sql, wanted):
        found = self.value(sql)
        if found != wanted:
            raise Wrong(f"{sql}: {found!r} instead of {wanted!r}")

    def fails(self, sql, code):
        self.history.append(sql)
        found = [got.fields()["C"] for got in self.one.simple(sql) if got.kind == "E"]
        if found != [code]:
            raise Wrong(f"{sql}: {found} instead of {code}")

    def token(self):
        return str(self.random.randint(1, 1000000000))

    # ---- what follows the session ----

    def set_memory(self):
        self.memory = f"{self.random.randint(5, 60)}MB"
        self.rows(self.random.choice((
            f"SET work_mem = '{self.memory}'",
            f"SELECT set_config('work_mem', '{self.memory}', false)",
            f"DO $$ BEGIN SET work_mem = '{self.memory}'; END $$")))

    def reset_memory(self):
        self.memory = DEFAULT_MEMORY
        self.rows("RESET work_mem")

    def set_role(self):
        self.role = f"mix_role{self.random.randint(0, 1)}"
        self.rows(f"SET ROLE {self.role}")

    def reset_role(self):
        self.role = None
        self.rows(self.random.choice(("RESET ROLE", "SET ROLE NONE")))

    def parse(self):
        self.history.append("Parse")
        self.statement = self.token()
        self.one.send(raw.close("S", "mix"),
                      raw.parse("mix", f"SELECT {self.statement}, $1::text"), raw.SYNC)
        self.messages(self.one.read_until("Z"), "Parse")

    def close(self):
        self.history.append("Close")
        self.statement = None
        self.one.send(raw.close("S", "mix"), raw.SYNC)
        self.messages(self.one.read_until("Z"), "Close")

    # ---- what only the connection has ----

    def temporary(self):
        if self.table is None:
            self.table = self.token()
            self.rows(self.random.choice((
                f"CREATE TEMP TABLE mix_temp AS SELECT {self.table} AS a",
                f"SELECT {self.table} AS a INTO TEMP mix_temp",
                f"SELECT mix_make_temp({self.table})")))
        else:
            self.table = None
            self.rows(self.random.choice(("DROP TABLE mix_temp", "DISCARD TEMP",
                                          "SELECT mix_drop_temp()")))

    def advisory(self):
        if self.lock is None:
            self.lock = str(self.number + 1)
            self.expect(f"SELECT pg_try_advisory_lock(815, {self.lock})", "t")
        else:
            self.expect(f"SELECT pg_advisory_unlock(815, {self.lock})", "t")
            self.lock = None

    def listen(self):
        self.listens = not self.listens
        self.rows(f"{'LISTEN' if self.listens else 'UNLISTEN'} mix_{self.number}")

    def prepare(self):
        if self.sql_statement is None:
            self.sql_statement = self.token()
            self.rows(f"PREPARE mix_sql AS SELECT {self.sql_statement}")
        else:
            self.sql_statement = None
            self.rows("DEALLOCATE mix_sql")

    def hold(self):
        if self.cursor is None:
            first = self.random.randint(1, 1000000)
            self.rows("BEGIN")
            self.rows("DECLARE mix_hold CURSOR WITH HOLD FOR "
                      f"SELECT generate_series({first}, {first + 1000})")
            self.expect("FETCH mix_hold", str(first))
            self.rows("COMMIT")
            self.cursor = first + 1
        else:
            self.cursor = None
            self.rows("CLOSE mix_hold")

    def draw(self):
        if self.drawn is None:
            self.drawn = self.value("SELECT nextval('mix_s')")
        else:
            self.drawn = None
            self.rows("DISCARD SEQUENCES")

    # ---- what leaves nothing ----

    def write(self):
        token = self.token()
        self.expect(f"INSERT INTO mix_t VALUES ({self.number}, {token}) RETURNING b", token)

    def transaction(self):
        self.rows("BEGIN")
        self.rows("SET LOCAL work_mem = '61MB'")
        self.rows(f"INSERT INTO mix_t VALUES ({self.number}, 0)")
        self.rows("DECLARE mix_c CURSOR FOR SELECT generate_series(7, 9)")
        self.expect("SHOW work_mem", "61MB")
        self.expect("FETCH mix_c", "7")
        self.expect("FETCH mix_c", "8")
        self.rows(self.random.choice(("COMMIT", "ROLLBACK")))

    def undone(self):
        """State that its transaction takes away again."""
        self.rows("BEGIN")
        self.rows("SET work_mem = '62MB'")
        self.rows("CREATE TEMP TABLE mix_undone AS SELECT 5 AS a")
        self.rows("LISTEN mix_undone")
        self.expect("SELECT a FROM mix_undone", "5")
        if self.random.random() < 0.5:
            self.fails("SELECT 1/0", "22012")
        self.rows("ROLLBACK")
        self.fails("SELECT a FROM mix_undone", "42P01")

    def on_commit(self):
        self.rows("BEGIN")
        self.rows("CREATE TEMP TABLE mix_undone ON COMMIT DROP AS SELECT 5 AS a")
        self.expect("SELECT a FROM mix_undone", "5")
        self.rows("COMMIT")

    def error(self):
        self.fails("SELECT 1/0", "22012")

    def pipeline(self):
        token = self.token()
        self.history.append("pipeline")
        self.one.send(*[raw.parse("", f"SELECT {token} + {n}") + raw.bind("", "") + raw.execute() +
                        raw.SYNC for n in range(5)])
        found = self.messages(self.one.read_until("Z", 5), "pipeline")
        if found != [[str(int(token) + n)] for n in range(5)]:
            raise Wrong(f"pipeline: {found}")

    def discard(self):
        self.rows("DISCARD ALL")
        self.forget()
        self.memory, self.role, self.statement = DEFAULT_MEMORY, None, None

    # ---- running ----

    FOLLOWS = (set_memory, reset_memory, set_role, reset_role, parse, close)
    KEEPS = (temporary, advisory, listen, prepare, hold, draw)
    LEAVES_NOTHING = (write, transaction, undone, on_commit, error, pipeline)

    def run(self):
        try:
            self.one = raw.connected(self.pgpool, PATIENCE)
            while time.monotonic() < self.until:
                self.episode()
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = (f"{self.name}, step {self.steps}: {error!r}, after "
                          f"{self.history[-12:]}")
        finally:
            if self.one is not None:
                self.one.close()

    def episode(self):
        """Some of everything, and back to nothing: others want a connection, too."""
        kept = self.random.sample(self.KEEPS, self.random.randint(0, 3))
        steps = kept + self.random.choices(self.FOLLOWS + self.LEAVES_NOTHING, k=4)
        self.random.shuffle(steps)
        for step in steps:
            self.do(step)
        if self.random.random() < 0.1:
            self.do(Client.discard)
        self.random.shuffle(kept)
        for step in kept:
            if self.has(step):
                self.do(step)
        if self.random.random() < 0.5:
            self.one.quiet(self.random.random() * 0.05)

    def has(self, step):
        return {"temporary": self.table, "advisory": self.lock, "listen": self.listens,
                "prepare": self.sql_statement, "hold": self.cursor,
                "draw": self.drawn}[step.__name__]

    def do(self, step):
        step(self)
        self.check()
        self.steps += 1

    def check(self):
        self.expect("SHOW work_mem", self.memory)
        self.expect("SELECT current_user", self.role or "postgres")
        self.expect("SELECT current_user /* pgpool: primary */", self.role or "postgres")
        token = self.token()
        self.expect(f"SELECT {token}", token)
        self.check_statements(token)
        self.check_kept()
        self.check_notifications()

    def check_statements(self, token):
        self.one.send(raw.bind("", "mix", token), raw.execute(), raw.SYNC)
        found = self.one.read_until("Z")
        if self.statement is None:
            if [got.fields()["C"] for got in found if got.kind == "E"] != ["26000"]:
                raise Wrong(f"Bind of what was closed: {found}")
        elif self.messages(found, "Bind") != [[self.statement, token]]:
            raise Wrong(f"Bind: {found} instead of {self.statement}, {token}")

    def check_kept(self):
        if self.table is not None:
            self.expect("SELECT a FROM mix_temp", self.table)
        if self.lock is not None:
            self.expect("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = "
                        f"815 AND objid = {self.lock} AND pid = pg_backend_pid()", "1")
        if self.sql_statement is not None:
            self.expect("EXECUTE mix_sql", self.sql_statement)
        if self.cursor is not None:
            self.expect("FETCH mix_hold", str(self.cursor))
            self.cursor += 1
        if self.drawn is not None:
            self.expect("SELECT currval('mix_s')", self.drawn)

    def check_notifications(self):
        """One's own come with the answer."""
        token = self.token()
        self.rows(f"NOTIFY mix_{self.number}, '{token}'")
        heard, self.heard = self.heard, []
        if heard != ([token] if self.listens else []):
            raise Wrong(f"notified of {heard}, listening: {self.listens}")


def mix(pgpool):
    until = time.monotonic() + SECONDS
    clients = [Client(pgpool, number, until) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return [client.wrong for client in clients if client.wrong], sum(c.steps for c in clients)


@pytest.fixture(name="tables")
def tables_fixture(cluster):
    cluster.sql("DROP TABLE IF EXISTS mix_t; CREATE TABLE mix_t (a int, b int);"
                "DROP SEQUENCE IF EXISTS mix_s; CREATE SEQUENCE mix_s;"
                "CREATE OR REPLACE FUNCTION mix_make_temp(bigint) RETURNS void LANGUAGE plpgsql AS"
                " $$ BEGIN CREATE TEMP TABLE mix_temp AS SELECT $1 AS a; END $$;"
                "CREATE OR REPLACE FUNCTION mix_drop_temp() RETURNS void LANGUAGE plpgsql AS"
                " $$ BEGIN DROP TABLE pg_temp.mix_temp; END $$")
    for role in ("mix_role0", "mix_role1"):
        if not cluster.primary.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", role):
            cluster.sql(f"CREATE ROLE {role} SUPERUSER")


@pytest.mark.takes(SECONDS)
def test_auto_gives_no_wrong_answer(start_pgpool, tables):
    pgpool = start_pgpool(pool_mode="auto", max_backend_connections=CONNECTIONS,
                          num_init_children=2)
    wrong, steps = mix(pgpool)
    print(f"{steps} steps")
    assert not wrong, "\n".join(wrong)
    assert steps > CLIENTS


@pytest.mark.takes(SECONDS)
@pytest.mark.one_engine
def test_the_mix_can_fail(start_pgpool, tables):
    """In transaction mode, what only a connection has is lost."""
    pgpool = start_pgpool(pool_mode="transaction", max_backend_connections=CONNECTIONS,
                          num_init_children=2)
    wrong, _ = mix(pgpool)
    assert wrong
