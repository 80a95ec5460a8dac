"""The load of test/soak: clients of every manner, gentle and endless, each of which knows what it
must be answered. What a fault may cost (an error of a few kinds, a lost session) is allowed only
while there is one; an answer that cannot be is wrong at any time."""

import collections
import random
import socket
import struct
import threading
import time

import raw
from waiting import SLOW

ACCOUNTS, BALANCE = 50, 1000
TOTAL = ACCOUNTS * BALANCE
SECRET = "soaked through"
SCHEMA = f"""
CREATE ROLE soak_a LOGIN; CREATE ROLE soak_b LOGIN;
CREATE ROLE soak_s LOGIN PASSWORD '{SECRET}';
CREATE TABLE soak_accounts (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO soak_accounts SELECT g, {BALANCE} FROM generate_series(1, {ACCOUNTS}) AS g;
CREATE VIEW soak_sum AS SELECT sum(balance) AS total, count(*) AS n FROM soak_accounts;
CREATE TABLE soak_own (who int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO soak_own SELECT g, 0 FROM generate_series(0, 99) AS g;
CREATE TABLE soak_copy (who int, batch int, n int, t text);
CREATE INDEX ON soak_copy (who, batch);
CREATE SCHEMA soak_ddl; GRANT ALL ON SCHEMA soak_ddl TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
# what becomes of statements and sessions when a server, a child or a connection is lost
FATES = {"40001", "08007", "25P02", "57P01", "57P02", "57P03", "08006", "08001", "08000", "57014",
         "53300", "55000"}
PATIENCE_S = 75 * SLOW
TEXTS = 20  # of a statement with other numbers: a cache that fills for hours hides a leak
AFTERMATH_S = 15 * SLOW  # so long a fault may still be felt when all is whole again


class Wrong(Exception):
    """An answer that must not be."""


class Fate(Exception):
    """A fault has cost this statement: its SQLSTATE."""


class Load:
    """Its clients, and what they share. trouble() begins a fault, healed() ends it."""

    def __init__(self, pgpool, seed, context):
        self.pgpool, self.seed, self.context = pgpool, seed, context
        self.running, self.leaving = threading.Event(), threading.Event()
        self.pausing = threading.Event()  # who rests need not do that to the end
        self.lock = threading.Lock()
        self.wrong, self.counts = [], collections.Counter()
        self.troubled_until = 0.0
        self.clients = [kind(self, n) for n, kind in enumerate(
            [Transfers] * 4 + [Own] * 4 + [Pipelines] * 2 + [Copies] * 2 + [Keeps] * 3 +
            [Auditor] * 2 + [Errors, Cancels, Definitions])]
        self.comers = Comers(self, len(self.clients))

    def start(self):
        self.running.set()
        for client in [*self.clients, self.comers]:
            client.start()

    def trouble(self):
        self.troubled_until = float("inf")

    def healed(self):
        self.troubled_until = time.monotonic() + AFTERMATH_S

    def in_trouble(self):
        return time.monotonic() < self.troubled_until

    def note(self, what, count=1):
        with self.lock:
            self.counts[what] += count

    def tell_wrong(self, text):
        with self.lock:
            self.wrong.append(f"{time.strftime('%H:%M:%S')} {text}")

    def steps(self):
        return sum(client.steps for client in [*self.clients, self.comers])

    def pause(self):
        """Everybody comes to the end of a step, has a session, and waits."""
        self.running.clear()
        self.pausing.set()

    def parked(self):
        return not self.busy()

    def busy(self):
        return [client for client in [*self.clients, self.comers]
                if client.is_alive() and not client.parked.is_set()]

    def resume(self):
        self.pausing.clear()
        self.running.set()

    def leave(self):
        self.leaving.set()
        self.pausing.set()
        self.running.set()
        for client in [*self.clients, self.comers]:
            client.join(PATIENCE_S + 30 * SLOW)
        return [client.name for client in [*self.clients, self.comers] if client.is_alive()]


class Client(threading.Thread):
    """One client; step() is what it does again and again, pause_s apart on average."""

    pause_s = 0.15

    def __init__(self, load, number):
        super().__init__(name=f"{type(self).__name__} {number}", daemon=True)
        self.load, self.number = load, number
        self.random = random.Random(f"{load.seed}-{number}")
        self.user = "soak_a" if number % 3 == 2 else "postgres"
        self.one, self.names = None, {}
        self.steps, self.parked = 0, threading.Event()

    # ---- its session ----

    def open(self, database="test", user=None):
        user = user or self.user
        one = raw.Raw(self.load.pgpool, timeout=PATIENCE_S / SLOW)
        try:
            if self.random.random() < 0.3:
                one.start_tls(self.load.context)
            last = one.login(user=user, database=database, application_name=f"soak {self.name}",
                             password=SECRET if user == "soak_s" else None)[-1]
        except BaseException:
            one.close()
            raise
        if last.kind != "Z":
            one.close()
            code = last.fields()["C"]
            if code in FATES:
                raise Fate(code)
            raise Wrong(f"login of {user} failed: {last}")
        one.user = user
        return one

    def begin(self):
        """What a new session needs."""
        if self.random.random() < 0.3:
            self.rows("PGPOOL SET memory_cache_enabled = off", form="simple")

    def close(self):
        if self.one is not None:
            self.one.close()
        self.one, self.names = None, {}

    def be_there(self):
        if self.one is None:
            self.one = self.open()
            self.load.note("sessions")
            self.begin()

    def recover(self):
        """Goes on with the session that has lost a statement, or with another one."""
        if self.one is None or self.random.random() < 0.5:
            self.close()
            return
        got = self.one.simple("ROLLBACK")
        while got[-1].body != b"I":
            got = self.one.simple("ROLLBACK")
        self.names = {}
        self.one.simple("DEALLOCATE ALL")
        self.one.simple("DISCARD ALL")
        self.begin()

    # ---- asking ----

    def judge(self, got, sql, wanted=None):
        """Rows of an answer; an error other than the one that is wanted is a fate, or wrong."""
        codes = raw.codes(got)
        if wanted and codes == [wanted]:
            return []
        for message in got:
            if message.kind == "E":
                if message.fields()["C"] in FATES:
                    raise Fate(message.fields()["C"])
                raise Wrong(f"{sql}: {message.fields()}")
            if message.kind == "N" and message.fields()["C"] == "01000":
                raise Fate("01000")  # a wait for a standby was cut short by the server
        if wanted:
            raise Wrong(f"{sql}: no error {wanted}")
        return [[None if v is None else v.decode() for v in message.row()]
                for message in got if message.kind == "D"]

    def rows(self, sql, *values, form=None, wanted=None):
        """By one of three ways; $1, ... are integers."""
        form = form or self.random.choice(("simple", "unnamed", "named"))
        if form == "simple":
            for number in range(len(values), 0, -1):
                sql = sql.replace(f"${number}", str(values[number - 1]))
            return self.judge(self.one.simple(sql), sql, wanted)
        name, parts = "", []
        if form == "named":
            name = self.names.setdefault(sql, f"s{len(self.names)}")
        if name == "" or name not in self.names.get("parsed", set()):
            parts.append(raw.parse(name, sql))
        self.one.send(*parts, raw.bind("", name, *map(str, values)), raw.describe("P"),
                      raw.execute(), raw.SYNC)
        rows = self.judge(self.one.read_until("Z"), sql, wanted)
        if name:
            self.names.setdefault("parsed", set()).add(name)
        return rows

    def expect(self, sql, *values, rows, form=None):
        found = self.rows(sql, *values, form=form)
        if found != rows:
            raise Wrong(f"{self.name}: {sql} {values}: {found} instead of {rows}")

    # ---- its life ----

    def run(self):
        while not self.load.leaving.is_set():
            if not self.load.running.is_set():
                self.guard(self.be_there)
                if self.one is None and not self.load.leaving.wait(0.1):
                    continue
                self.parked.set()
                self.load.running.wait()
                self.parked.clear()
                continue
            self.guard(self.work)
            self.rest()
        self.close()

    def run_without_session(self):
        while not self.load.leaving.is_set():
            if not self.load.running.is_set():
                self.parked.set()
                self.load.running.wait()
                self.parked.clear()
            self.guard(self.work)
            self.close()
            self.rest()

    def rest(self):
        self.load.pausing.wait(self.random.uniform(0.5, 1.5) * self.pause_s)

    def work(self):
        self.be_there()
        self.step()
        self.steps += 1

    def guard(self, what):
        """Errors and lost sessions are a fault's, or wrong."""
        try:
            what()
            return
        except Wrong as error:
            self.load.tell_wrong(f"{self.name}: {error}")
            self.close()
        except TimeoutError:
            self.load.tell_wrong(f"{self.name} has waited for {PATIENCE_S:g} s")
            self.close()
        except Fate as error:
            self.suffer(f"error {error}")
        except (raw.Closed, OSError) as error:
            self.suffer("lost session", error)
            self.close()
        except Exception as error:  # pylint: disable=broad-except
            self.load.tell_wrong(f"{self.name}: {type(error).__name__}: {error}")
            self.close()
        try:
            if self.one is not None:
                self.recover()
        except (Fate, Wrong, raw.Closed, OSError, TimeoutError):
            self.close()

    def suffer(self, what, error=""):
        self.load.note(what)
        if not self.load.in_trouble():
            self.load.tell_wrong(f"{self.name}: {what} without a fault {error!r}")

    def step(self):
        raise NotImplementedError


# ---- kinds of clients ----------------------------------------------------------------------------

class Transfers(Client):
    """The sum is the same for everybody at any time, and inside of a transfer what it must be."""

    def step(self):
        first, second = sorted(self.random.sample(range(1, ACCOUNTS + 1), 2))
        amount = self.random.randint(-50, 50)
        self.rows("BEGIN", form="simple")
        self.rows("UPDATE soak_accounts SET balance = balance - $1 WHERE id = $2", amount, first)
        if self.random.random() < 0.2:
            self.expect("SELECT sum(balance) FROM soak_accounts", rows=[[str(TOTAL - amount)]])
        if self.random.random() < 0.2:
            self.rows("SAVEPOINT s; UPDATE soak_accounts SET balance = 0 WHERE id = "
                      f"{second}; ROLLBACK TO s", form="simple")
        self.rows("UPDATE soak_accounts SET balance = balance + $1 WHERE id = $2", amount, second)
        self.rows(self.random.choice(("COMMIT", "COMMIT", "ROLLBACK")), form="simple")


class Auditor(Client):
    """Reads of all accounts, from whatever node or cache."""

    pause_s = 0.1

    def step(self):
        sql, rows = self.random.choice((
            ("SELECT sum(balance) FROM soak_accounts", [[str(TOTAL)]]),
            ("SELECT total, n FROM soak_sum", [[str(TOTAL), str(ACCOUNTS)]]),
            ("SELECT sum(a.balance + b.balance) FROM soak_accounts a JOIN soak_accounts b "
             "USING (id)", [[str(2 * TOTAL)]]),
            ("SELECT count(*) FROM soak_accounts WHERE id <= $1", [["7"]])))
        self.expect(sql, *([7] if "$1" in sql else []), rows=rows)


class Own(Client):
    """One row that it alone writes: what it reads is what it has written. What was under way when
    something was lost may have been done or not; the next write settles that, because each names
    what it replaces."""

    pause_s = 0.08

    def __init__(self, load, number):
        super().__init__(load, number)
        self.may_be, self.last = {0}, 0

    def write(self):
        self.last += 1
        block = self.random.random() < 0.3
        old, self.may_be = self.may_be, self.may_be | {self.last}
        if block:
            self.rows("BEGIN", form="simple")
        got = self.rows("UPDATE soak_own SET n = $1 WHERE who = $2 AND n BETWEEN $3 AND $4 "
                        "RETURNING n", self.last, self.number, min(old), max(old))
        if got != [[str(self.last)]]:
            raise Wrong(f"{self.name}: row {self.number} is none of {old}: {got}")
        if block:
            self.read({self.last})
            undo = self.random.random() < 0.3
            self.rows("ROLLBACK" if undo else "COMMIT", form="simple")
            self.may_be = {self.last} if not undo else old
        else:
            self.may_be = {self.last}

    def read(self, may_be):
        got = self.rows("SELECT n FROM soak_own WHERE who = $1", self.number)
        if len(got) != 1 or int(got[0][0]) not in may_be:
            raise Wrong(f"{self.name}: row {self.number} is {got}, not one of {may_be}")

    def step(self):
        if self.random.random() < 0.3:
            self.write()
        self.read(self.may_be)


class Pipelines(Client):
    """Many statements before the first answer, some of which fail."""

    def step(self):
        parts, wanted = [], []
        for _ in range(self.random.randint(2, 8)):
            n = self.random.randint(0, 99)  # few: a cache that fills for hours hides a leak
            fails = self.random.random() < 0.1
            parts += [raw.parse("", "SELECT 1000 / $1::int, $2::text"),
                      raw.bind("", "", "0" if fails else "10", str(n)), raw.execute(), raw.SYNC]
            wanted.append("22012" if fails else ["100", str(n)])
        self.one.send(*parts)
        got = self.one.read_until("Z", len(wanted))
        for want in wanted:
            end = next(n for n, message in enumerate(got) if message.kind == "Z") + 1
            mine, got = got[:end], got[end:]
            if isinstance(want, str):
                self.judge(mine, "division by zero", wanted=want)
            elif self.judge(mine, "pipeline") != [want]:
                raise Wrong(f"{self.name}: {mine} instead of {want}")


class Copies(Client):
    """COPY in and out; each batch of rows is another one."""

    pause_s = 0.4

    def __init__(self, load, number):
        super().__init__(load, number)
        self.batch = 0

    def step(self):
        self.batch = self.batch % TEXTS + 1
        lines = [f"{self.number}\t{self.batch}\t{n}\t{'x' * self.random.randint(0, 200)}\n"
                 for n in range(self.random.randint(1, 100))]
        block = self.random.random() < 0.5
        if block:
            self.rows("BEGIN", form="simple")
        self.one.send(raw.query("COPY soak_copy FROM STDIN"))
        got = self.one.read_until("GZ")
        if got[-1].kind == "G":
            for at in range(0, len(lines), 10):
                self.one.send(raw.copy_data("".join(lines[at:at + 10])))
            self.one.send(raw.COPY_DONE)
            got += self.one.read_until("Z")
        self.judge(got, "COPY in")
        got = self.one.simple("COPY (SELECT * FROM soak_copy WHERE "
                              f"who = {self.number} AND batch = {self.batch} ORDER BY n) TO STDOUT")
        self.judge(got, "COPY out")
        found = b"".join(message.body for message in got if message.kind == "d").decode()
        if found != "".join(lines):
            raise Wrong(f"{self.name}: COPY gives {found[:200]!r} instead of {lines[:5]}")
        if block:
            self.rows(self.random.choice(("COMMIT", "ROLLBACK")), form="simple")
        self.rows("DELETE FROM soak_copy WHERE who = $1", self.number)


class Keeps(Client):
    """Temporary tables, LISTEN, cursors and locks; one of them keeps a table all its life, and with
    that its connection, on which statements are prepared."""

    pause_s = 0.3

    def __init__(self, load, number):
        super().__init__(load, number)
        self.stays = number % 3 == 0

    def begin(self):
        super().begin()
        if self.stays:
            self.rows("CREATE TEMP TABLE soak_stays AS SELECT 4711 AS a", form="simple")

    def step(self):
        self.random.choice((self.temporary, self.listen, self.cursor, self.hold, self.portal,
                            self.lock))()
        if self.stays:
            self.expect("SELECT a FROM soak_stays", rows=[["4711"]])

    def temporary(self):
        """Mostly one that goes with its transaction: DROP TABLE may mean any table, so all that is
        known of tables is asked for anew behind it, and the load is to be gentle."""
        n, drops = self.random.randint(1, 100), self.random.random() < 0.05
        make = f"SELECT g FROM generate_series(1, {n}) AS g"
        if drops:
            self.rows(f"CREATE TEMP TABLE soak_temp AS {make}", form="simple")
        else:
            self.rows("BEGIN", form="simple")
            self.rows(f"CREATE TEMP TABLE soak_temp ON COMMIT DROP AS {make}", form="simple")
        self.expect("SELECT count(*), sum(g) FROM soak_temp", form="unnamed",
                    rows=[[str(n), str(n * (n + 1) // 2)]])
        self.rows("DROP TABLE soak_temp" if drops else "COMMIT", form="simple")

    def listen(self):
        channel, word = f"soak_{self.number}", str(self.random.randint(1, 10 ** 9))
        self.rows(f"LISTEN {channel}", form="simple")
        got = self.one.simple(f"NOTIFY {channel}, '{word}'")
        self.judge(got, "NOTIFY")
        heard = [message.body[4:].split(b"\0")[1].decode() for message in got
                 if message.kind == "A"]
        if heard != [word]:
            raise Wrong(f"{self.name}: heard {heard} instead of {word}")
        self.rows(f"UNLISTEN {channel}", form="simple")

    def cursor(self):
        first = self.random.randint(1, TEXTS) * 1000
        self.rows("BEGIN", form="simple")
        self.rows("DECLARE soak_c CURSOR FOR SELECT g FROM "
                  f"generate_series({first}, {first + 50}) AS g", form="simple")
        for n in range(0, 30, 10):
            self.expect("FETCH 10 FROM soak_c", rows=[[str(first + n + g)] for g in range(10)])
        self.rows(self.random.choice(("CLOSE soak_c; COMMIT", "COMMIT", "ROLLBACK")), form="simple")

    def hold(self):
        self.rows("DECLARE soak_h CURSOR WITH HOLD FOR SELECT generate_series(1, 20)",
                  form="simple")
        self.expect("FETCH 3 FROM soak_h", rows=[["1"], ["2"], ["3"]])
        self.rows("CLOSE soak_h", form="simple")

    def portal(self):
        """Rows by and by."""
        self.rows("BEGIN", form="simple")
        self.one.send(raw.parse("", "SELECT g FROM generate_series(1, 25) AS g"),
                      raw.bind("soak_p", ""), raw.execute("soak_p", 10), raw.execute("soak_p", 10),
                      raw.execute("soak_p", 10), raw.SYNC)
        rows = self.judge(self.one.read_until("Z"), "portal")
        if rows != [[str(g)] for g in range(1, 26)]:
            raise Wrong(f"{self.name}: portal gives {rows}")
        self.rows("COMMIT", form="simple")

    def lock(self):
        self.expect("SELECT pg_try_advisory_lock(4711, $1)", self.number, rows=[["t"]])
        self.expect("SELECT pg_advisory_unlock(4711, $1)", self.number, rows=[["t"]])


class Errors(Client):
    """What is wrong is told to be. What nobody understands is left to Definitions: it may do
    anything, so all that is known of tables is asked for anew behind it, and the load is to be
    gentle."""

    def step(self):
        sql, code = self.random.choice((
            ("SELECT 1 / 0", "22012"),
            (f"INSERT INTO soak_accounts VALUES ({self.random.randint(1, ACCOUNTS)}, 0)", "23505"),
            ("SELECT 'x'::int", "22P02")))
        block = self.random.random() < 0.5
        if block:
            self.rows("BEGIN", form="simple")
        self.rows(sql, form=self.random.choice(("simple", "unnamed")), wanted=code)
        if block:
            self.rows("SELECT 1", form="simple", wanted="25P02")
            self.rows("ROLLBACK", form="simple")
        self.expect("SELECT $1 + 1", self.number, rows=[[str(self.number + 1)]])


class Cancels(Client):
    """Statements that would take long."""

    pause_s = 1.0

    def step(self):
        self.one.send(raw.query("SELECT pg_sleep(60)"))
        for _ in range(20):
            if not self.one.quiet(0.3 * SLOW):
                break
            self.cancel()
        self.judge(self.one.read_until("Z"), "pg_sleep", wanted="57014")
        for _ in range(3):  # one that was sent once too often
            if not raw.codes(self.one.simple("SELECT 1")):
                return
        raise Wrong(f"{self.name}: cancelled again and again")

    def cancel(self):
        with raw.Raw(self.load.pgpool, timeout=PATIENCE_S / SLOW) as other:
            if self.random.random() < 0.3:
                other.start_tls(self.load.context)
            other.send(raw.cancel_request(self.one.pid, self.one.key))
            other.drain_to_end()


class Definitions(Client):
    """DDL now and then, which what is known of tables must follow. Few tables: each is statements
    of its own, which are counted."""

    pause_s = 60.0

    def step(self):
        table = f"soak_ddl.t{self.random.randint(0, 2)}"
        self.one.simple("DEALLOCATE ALL")
        self.names = {}
        self.rows(f"DROP TABLE IF EXISTS {table} CASCADE", form="simple")
        self.rows(f"CREATE TABLE {table} (a int)", form="simple")
        self.rows(f"INSERT INTO {table} SELECT generate_series(1, 10)", form="simple")
        self.expect(f"SELECT count(*), max(a) FROM {table}", rows=[["10", "10"]])
        self.rows(f"ALTER TABLE {table} ADD COLUMN b int DEFAULT 3", form="simple")
        self.rows(f"CREATE VIEW {table}_v AS SELECT a + b AS c FROM {table}", form="simple")
        self.expect(f"SELECT sum(b) FROM {table}", rows=[["30"]])
        self.expect(f"SELECT sum(c) FROM {table}_v", rows=[["85"]])
        self.rows("SELECT * FROM soak_nowhere", form="unnamed", wanted="42P01")
        self.rows("SELEC 1", form="simple", wanted="42601")
        self.rows("SELECT nothing(1)", form="simple", wanted="42883")
        self.rows(f"TRUNCATE {table}", form="simple")
        self.expect(f"SELECT count(*) FROM {table}_v", rows=[["0"]])


class Comers(Client):
    """Sessions that come and go: with and without TLS, as several roles, in several databases. Some
    go without a word, some in the middle of a statement, some are not let in."""

    pause_s = 0.5

    def be_there(self):
        """Its sessions do not last."""

    def run(self):
        self.run_without_session()

    def step(self):
        kind = self.random.random()
        if kind < 0.05:
            self.be_refused()
            return
        database = self.random.choice(("test", "test", "postgres", "soak_other"))
        user = self.random.choice(("postgres", "soak_a", "soak_b", "soak_s"))
        self.one = one = self.open(database, user)
        self.load.note("comers")
        self.expect("SELECT current_database(), current_user", rows=[[database, one.user]])
        if kind < 0.07:
            one.send(raw.query("BEGIN; SELECT pg_sleep(0.2), repeat('x', 100000)"))
            if self.random.random() < 0.5:
                one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
            self.load.note("clients gone in the middle")
        elif kind < 0.9:
            one.send(raw.TERMINATE)

    def be_refused(self):
        words = self.random.choice((
            {"user": "soak_s", "password": "wrong"},
            {"user": "postgres", "database": "soak_nowhere"}))
        with raw.Raw(self.load.pgpool, timeout=PATIENCE_S / SLOW) as one:
            last = one.login(**words)[-1]
        if last.kind != "E" or last.fields()["C"] not in FATES | {"28P01", "3D000"}:
            raise Wrong(f"{words}: {last}")
