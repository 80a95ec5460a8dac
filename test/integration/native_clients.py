"""What the clients of native_load.py do: each kind uses something else that all nodes must do
alike."""

import struct
import time

import psycopg

import raw
import soak_clients
from native_load import AGAIN, DOUBT, FATES, Again, Doubt, Refused, Worker
from soak_clients import ACCOUNTS, TOTAL, Wrong
from waiting import SLOW

LO_CREAT, LO_OPEN, LOWRITE, LO_CLOSE, LO_UNLINK = 957, 952, 955, 953, 964


class Transfers(Worker):
    """The sum is the same at any time, whoever reads it and where."""

    pause_s = 0.05

    def step(self):
        if self.random.random() < 0.3:
            self.expect("SELECT sum(balance) FROM soak_accounts", rows=[[str(TOTAL)]])
        self.transaction(self.transfer)

    def transfer(self):
        first, second = self.random.sample(range(1, ACCOUNTS + 1), 2)
        amount = self.random.randint(-50, 50)
        if self.random.random() < 0.3:
            [[balance]] = self.rows("SELECT balance FROM soak_accounts WHERE id = $1 FOR UPDATE",
                                    first)
            self.rows("UPDATE soak_accounts SET balance = $1 WHERE id = $2",
                      int(balance) - amount, first)
        else:
            self.rows("UPDATE soak_accounts SET balance = balance - $1 WHERE id = $2", amount,
                      first)
        if self.random.random() < 0.2:
            self.expect("SELECT sum(balance) FROM soak_accounts", rows=[[str(TOTAL - amount)]])
        if self.random.random() < 0.3:
            self.savepoint(second)
        self.rows("UPDATE soak_accounts SET balance = balance + $1 WHERE id = $2", amount, second)

    def savepoint(self, account):
        self.simple("SAVEPOINT s")
        self.rows("UPDATE soak_accounts SET balance = 0 WHERE id = $1", account)
        if self.random.random() < 0.5:
            self.rows("INSERT INTO soak_accounts VALUES ($1, 0)", account, wanted="23505")
            self.rows("SELECT 1", wanted="25P02")
        self.simple("ROLLBACK TO s")
        if self.random.random() < 0.5:
            self.simple("RELEASE s")


class Own(soak_clients.Own, Worker):
    """One row that it alone writes, and reads at whatever node, also outside of transactions."""

    def step(self):
        soak_clients.Own.step(self)
        if self.random.random() < 0.2:
            self.mark_alone()


class Values(Worker):
    """Values that no two servers would agree about by themselves."""

    COLUMNS = "n, drawn, u, r, at, since, clock, day, t, words"
    WRITES = (  # what each leaves is read again below
        ("INSERT INTO nl_values (who) VALUES ($1)", 1),
        ("INSERT INTO nl_values (who, at, r) VALUES ($1, now(), random())", 1),
        ("INSERT INTO nl_values (who, at, since) VALUES ($1, current_timestamp, localtimestamp(2))",
         1),
        ("INSERT INTO nl_values (who, u, clock) VALUES ($1, gen_random_uuid(), clock_timestamp())",
         1),
        ("INSERT INTO nl_values (who, at, day, t) VALUES ($1, 'now', 'today', 'now')", 1),
        ("INSERT INTO nl_values (who, at) VALUES ($1, statement_timestamp() + interval '1 day'), "
         "($1, now() - interval '1 hour')", 2),
        ("INSERT INTO nl_values (who, drawn) VALUES ($1, nextval('nl_drawn'))", 1))
    CHANGES = (
        "UPDATE nl_values SET at = clock_timestamp(), r = random() WHERE id = $2",
        "UPDATE nl_values SET words = to_char(now(), 'YYYY'), t = current_time::time WHERE id = $2",
        "UPDATE nl_values SET at = now() WHERE who = $1",
        "UPDATE nl_values SET u = gen_random_uuid() WHERE id = $2",
        "INSERT INTO nl_keys AS old VALUES ($1, 1, now()) ON CONFLICT (k) DO UPDATE "
        "SET v = old.v + 1, at = excluded.at")
    # equal or refused, as the judge sees it: in any case the nodes are the same afterwards
    RISKY = (
        "UPDATE nl_values SET r = random() WHERE who = $1",
        "DELETE FROM nl_values WHERE id IN (SELECT id FROM nl_values WHERE who = $1 "
        "ORDER BY id LIMIT 2)",
        "DELETE FROM nl_values WHERE id IN (SELECT id FROM nl_values WHERE who = $1 LIMIT 2)",
        "INSERT INTO nl_values (who, r) SELECT $1, random() FROM generate_series(1, 2)",
        "INSERT INTO nl_values (who) SELECT $1 FROM generate_series(1, 2)",
        "SELECT nl_writes(-abs($1) - (random() * 100000)::int)",
        "UPDATE nl_values SET words = pg_backend_pid()::text WHERE who = $1",
        "UPDATE nl_values SET words = ctid::text WHERE who = $1",
        "SELECT setval('nl_drawn', nextval('nl_drawn') + $1)",
        "DO 'BEGIN PERFORM random(); END'")

    def step(self):
        if self.random.random() < 0.5:
            self.transaction(lambda: [self.write() for _ in range(self.random.randint(1, 3))])
        else:
            self.write()
            self.load.note("transactions")
            self.mark_alone()
        if self.random.random() < 0.2:
            self.rows(self.random.choice(("DELETE FROM nl_values WHERE who = $1",
                                          "DELETE FROM nl_values WHERE who = $1 AND id > 0")),
                      self.number)

    def write(self):
        sql, count = self.random.choice(self.WRITES)
        rows = self.rows(f"{sql} RETURNING id, {self.COLUMNS}", self.number)
        if len(rows) != count:
            raise Wrong(f"{sql} returns {rows}")
        for row in rows:  # at whatever node
            self.expect(f"SELECT id, {self.COLUMNS} FROM nl_values WHERE id = $1", int(row[0]),
                        rows=[row])
        if self.random.random() < 0.4:
            sql = self.random.choice(self.CHANGES)
            self.rows(sql.replace("$2", rows[0][0]), *([self.number] if "$1" in sql else []))
        if self.random.random() < 0.2:
            self.risk(self.random.choice(self.RISKY))

    def risk(self, sql):
        self.rows(sql.replace("$1", str(self.number)), wanted=(None, "0A000", "23505"))
        self.load.note("unequal statements")
        if self.status == b"E":
            raise Refused


class Pipelines(Worker):
    """Many statements before the first answer: transactions of their own, some of which fail, and
    batches of several."""

    def step(self):
        marks, parts, batches = [], [], []
        for _ in range(self.random.randint(2, 6)):
            more, fails = [], self.random.random() < 0.1
            for _ in range(self.random.choice((1, 1, 1, 3))):
                more.append(self.new_mark())
                parts += [raw.parse("", "INSERT INTO nl_marks VALUES ($1, $2)"),
                          raw.bind("", "", str(more[-1]), str(self.number)), raw.execute()]
            if self.random.random() < 0.5:
                parts += [raw.parse("", "INSERT INTO nl_values (who, at) VALUES ($1, now())"),
                          raw.bind("", "", str(self.number)), raw.execute()]
            if fails:
                parts += [raw.parse("", "SELECT 1 / $1::int"), raw.bind("", "", "0"),
                          raw.execute()]
            parts.append(raw.SYNC)
            marks += more
            batches.append((more, fails))
        self.one.send(*parts)
        got = self.heard(len(batches))
        again = None
        for more, fails in batches:
            end = next(n for n, message in enumerate(got) if message.kind == "Z") + 1
            mine, got = got[:end], got[end:]
            try:
                self.judge(mine, f"batch {more}", wanted="22012" if fails else None)
                (self.undone if fails else self.done).update(more)
                self.load.note("transactions")
            except Again as error:
                self.undone.update(more)
                again = error
        if again:
            raise again


class Blocks(Worker):
    """Transactions whose statements are all on their way before the first answer."""

    def step(self):
        mark, commits = self.new_mark(), self.random.random() < 0.8
        keys = sorted(self.random.sample(range(1, 30), 3))
        texts = ["INSERT INTO nl_keys VALUES ($1, 1) ON CONFLICT (k) DO UPDATE SET v = 1",
                 "UPDATE nl_keys SET v = v + 1 WHERE k = $1", "DELETE FROM nl_keys WHERE k = $1"]
        parts = [raw.query("BEGIN")]
        for key in keys:
            parts += [raw.parse("", self.random.choice(texts)), raw.bind("", "", str(key)),
                      raw.execute(), raw.SYNC]
        parts += [raw.query(f"INSERT INTO nl_marks VALUES ({mark}, {self.number})"),
                  raw.query("COMMIT" if commits else "ROLLBACK")]
        self.one.send(*parts)
        if not commits:
            self.undone.add(mark)
        got, wrong = self.heard(len(keys) + 3), None
        while got:
            end = next(n for n, message in enumerate(got) if message.kind == "Z") + 1
            mine, got = got[:end], got[end:]
            try:
                self.judge(mine, "COMMIT" if commits and not got else "a pipelined block",
                           wanted=(None, "25P02") if wrong else None)
            except (Again, Doubt) as error:
                wrong = wrong or error
            tag = [message.body for message in mine if message.kind == "C"]
        if commits and wrong is None and tag == [b"COMMIT\0"]:
            self.done.add(mark)
            self.load.note("transactions")
        elif commits and not isinstance(wrong, Doubt):
            self.undone.add(mark)
        if wrong:
            raise wrong
        if commits and tag != [b"COMMIT\0"]:
            raise Wrong(f"a pipelined block ends with {tag} and no error")


class Drivers(Worker):
    """psycopg as applications use it: its transactions, statements that it prepares, pipelines."""

    def __init__(self, load, number):
        super().__init__(load, number)
        self.connection = None

    def be_there(self):
        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(self.load.pgpool.dsn(
                options="'-c statement_timeout=0'"), autocommit=True, prepare_threshold=2)
            self.load.note("sessions")

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def recover(self):
        pass

    def step(self):
        mark, since = self.new_mark(), time.monotonic()
        self.status = b"T"
        try:
            if self.random.random() < 0.5:
                with self.connection.pipeline(), self.connection.transaction():
                    self.write(mark)
            else:
                with self.connection.transaction():
                    self.write(mark)
            self.done.add(mark)
            self.load.note("transactions")
        except psycopg.Error as error:
            self.fail(mark, error)
        self.load.took(type(self).__name__, since)
        self.status = b"I"
        got = self.connection.execute("SELECT count(*) FROM nl_marks WHERE id = %s",
                                      (mark,)).fetchone()[0]
        if got != (mark in self.done):
            raise Wrong(f"mark {mark}: {got}, and it was {mark in self.done}")

    def write(self, mark):
        for _ in range(self.random.randint(1, 4)):
            self.connection.execute("INSERT INTO nl_values (who, at) VALUES (%s, now())",
                                    (self.number,))
        self.connection.execute("INSERT INTO nl_marks VALUES (%s, %s)", (mark, self.number))
        self.connection.execute("DELETE FROM nl_values WHERE who = %s", (self.number,))

    def fail(self, mark, error):
        code = error.sqlstate
        self.load.note_error(code or "lost session", "in a transaction")
        if code in AGAIN:
            self.undone.add(mark)
            raise Again(code)
        if self.load.in_trouble() and (code is None or code in FATES | {DOUBT, "25P02"}):
            if code is None:
                self.close()
            raise Doubt(code)
        raise Wrong(f"{code}: {error}")


class Copies(Worker):
    """COPY in, some of which fail on one of two sides, and COPY out."""

    pause_s = 0.3

    def step(self):
        kind = self.random.random()
        if kind < 0.5:
            self.transaction(self.both)
        elif kind < 0.8:
            self.both()
            self.load.note("transactions")
        else:
            self.fails()
        self.rows("DELETE FROM soak_copy WHERE who = $1", self.number)

    def send(self, lines, end):
        self.one.send(raw.query("COPY soak_copy FROM STDIN"))
        got = self.one.read_until("GZ")
        if got[-1].kind == "G":
            for at in range(0, len(lines), 10):
                self.one.send(raw.copy_data("".join(lines[at:at + 10])))
            self.one.send(end)
            got += self.heard()
        return got

    def lines(self):
        self.last += 1
        return [f"{self.number}\t{self.last}\t{n}\t{'x' * self.random.randint(0, 200)}\n"
                for n in range(self.random.randint(1, 100))]

    def both(self):
        lines = self.lines()
        self.judge(self.send(lines, raw.COPY_DONE), "COPY in")
        self.one.send(raw.query("COPY (SELECT * FROM soak_copy WHERE who = "
                                f"{self.number} AND batch = {self.last} ORDER BY n) TO STDOUT"))
        got = self.heard()
        self.judge(got, "COPY out")
        found = b"".join(message.body for message in got if message.kind == "d").decode()
        if found != "".join(lines):
            raise Wrong(f"{self.name}: COPY gives {found[:200]!r} instead of {lines[:5]}")

    def fails(self):
        lines = self.lines()
        if self.random.random() < 0.5:
            self.judge(self.send(lines, raw.copy_fail("no more")), "COPY in", wanted="57014")
        else:
            lines.insert(self.random.randint(0, len(lines)), "no number\t1\t1\t1\n")
            self.judge(self.send(lines, raw.COPY_DONE), "COPY in", wanted="22P02")


class Objects(Worker):
    """Large objects, by SQL and by FunctionCall."""

    pause_s = 0.5

    def call(self, oid, *values):
        """With binary values and a binary result; the bytes."""
        body = struct.pack("!IHHH", oid, 1, 1, len(values))
        for value in values:
            value = value if isinstance(value, bytes) else struct.pack("!I", value)
            body += struct.pack("!i", len(value)) + value
        self.one.send(raw.message("F", body + struct.pack("!H", 1)))
        got = self.heard()
        self.judge(got, f"function {oid}")
        return struct.unpack("!I", got[0].body[4:])[0]

    def step(self):
        if self.random.random() < 0.5:
            self.transaction(self.by_call)
        else:
            self.transaction(self.by_sql)
        if self.random.random() < 0.5:
            self.transaction(self.remove)

    def by_call(self):
        oid = self.call(LO_CREAT, 0x60000)
        descriptor = self.call(LO_OPEN, oid, 0x60000)
        data = b"x" * self.random.randint(1, 5000)
        if self.call(LOWRITE, descriptor, data) != len(data):
            raise Wrong("lowrite has written less")
        self.call(LO_CLOSE, descriptor)
        self.rows("INSERT INTO nl_objects VALUES ($1, $2)", oid, self.number)

    def by_sql(self):
        oid = int(self.rows("SELECT lo_from_bytea(0, 'abc')")[0][0])
        self.rows("SELECT lo_put($1, 3, 'def')", oid)
        self.expect("SELECT lo_get($1)", oid, rows=[["\\x616263646566"]])
        self.rows("INSERT INTO nl_objects VALUES ($1, $2)", oid, self.number)

    def remove(self):
        for [oid] in self.rows("SELECT oid FROM nl_objects WHERE who = $1", self.number):
            if self.random.random() < 0.5:
                self.call(LO_UNLINK, int(oid))
            else:
                self.rows("SELECT lo_unlink($1)", int(oid))
            self.rows("DELETE FROM nl_objects WHERE oid = $1", int(oid))


class Keeps(Worker):
    """Temporary tables, and what LISTEN, cursors and SET leave in a session."""

    pause_s = 0.6
    keeps = True

    def step(self):
        self.random.choice((self.temporary, self.dropped, self.dropped, self.cursor, self.listen,
                            self.set, self.set, self.prepared, self.prepared))()

    def temporary(self):
        """Goes with its transaction, which cannot be prepared then."""
        def body():
            n = self.random.randint(1, 50)
            self.simple("CREATE TEMP TABLE nl_temp (g int PRIMARY KEY) ON COMMIT DROP")
            self.rows("INSERT INTO nl_temp SELECT g FROM generate_series(1, $1) AS g", n)
            self.rows("DELETE FROM nl_temp WHERE g = 1")
            self.expect("SELECT count(*) FROM nl_temp", rows=[[str(n - 1)]])
            self.rows("INSERT INTO nl_keys SELECT -100000 - g, g FROM nl_temp "
                      "ON CONFLICT (k) DO UPDATE SET v = excluded.v")
        self.transaction(body)

    def dropped(self):
        self.simple("CREATE TEMP TABLE nl_stays (a int PRIMARY KEY, b timestamptz DEFAULT now())")
        self.rows("INSERT INTO nl_stays (a) VALUES ($1)", self.number)
        self.transaction(lambda: self.rows("INSERT INTO nl_keys SELECT -200000, a, b FROM nl_stays "
                                           "ON CONFLICT (k) DO UPDATE SET at = excluded.at"))
        self.expect("SELECT a FROM nl_stays", rows=[[str(self.number)]])
        self.simple("DROP TABLE nl_stays")

    def prepared(self):
        """By SQL's PREPARE."""
        self.simple("PREPARE nl_p (int) AS INSERT INTO nl_values (who, at) VALUES ($1, now()) "
                    "RETURNING who")
        self.simple("PREPARE nl_q AS SELECT count(*) FROM nl_marks WHERE id = $1")
        for _ in range(self.random.randint(1, 3)):
            self.expect(f"EXECUTE nl_p({self.number})", form="simple", rows=[[str(self.number)]])
            self.expect("EXECUTE nl_q(-1)", form="simple", rows=[["0"]])
        self.transaction(lambda: self.simple(f"EXECUTE nl_p({self.number})"))
        self.simple("DEALLOCATE nl_p")
        self.simple("DEALLOCATE nl_q")

    def recover(self):
        self.close()  # the table may be there or not

    def cursor(self):
        def body():
            self.simple("DECLARE nl_c CURSOR FOR SELECT g FROM generate_series(1, 50) AS g")
            self.rows("INSERT INTO nl_values (who) VALUES ($1)", self.number)
            self.expect("FETCH 2 FROM nl_c", rows=[["1"], ["2"]])
            self.simple("CLOSE nl_c")
        self.transaction(body)

    def listen(self):
        self.simple("LISTEN nl_channel")
        self.mark_alone()
        self.simple("UNLISTEN nl_channel")

    def set(self):
        self.simple("SET timezone = 'Asia/Tokyo'")
        self.rows("INSERT INTO nl_values (who, since, words) VALUES ($1, now(), now()::text)",
                  self.number)
        self.simple("RESET timezone")


class Errors(Worker):
    """What is wrong is told to be, and leaves nothing."""

    pause_s = 0.2

    def step(self):
        sql, code = self.random.choice((
            ("UPDATE nl_keys SET v = 1 / (v - v) WHERE k = 1000000", None),
            (f"INSERT INTO soak_accounts VALUES ({self.random.randint(1, ACCOUNTS)}, 0)", "23505"),
            ("INSERT INTO nl_values (who) VALUES (NULL)", "23502"),
            ("INSERT INTO nl_values (who) VALUES ('x')", "22P02"),
            ("UPDATE nowhere SET a = 1", "42P01"), ("SELEC 1", ("42601", "0A000")),
            (f"INSERT INTO nl_marks VALUES ({self.number}, 1 / 0)", "22012")))
        if self.random.random() < 0.5:
            self.rows(sql, wanted=code)
            self.mark_alone()
            return

        def body():
            self.rows("INSERT INTO nl_values (who) VALUES ($1)", self.number)
            self.simple("SAVEPOINT e")
            self.rows(sql, wanted=code)
            if code == "42P01" or code and code[0] == "42601":
                raise Refused
            self.simple("ROLLBACK TO e")
        self.transaction(body)


class Cancels(Worker):
    """Statements that wait for a lock, and are cancelled."""

    pause_s = 0.5

    def step(self):
        key = 500 + self.number
        with raw.Raw(self.load.pgpool, timeout=self.load.deadline_s / SLOW) as holder:
            last = holder.login(application_name="load holder")[-1]
            if last.kind != "Z":
                raise Wrong(f"login failed: {last}")
            self.rows("INSERT INTO nl_keys VALUES ($1, 0) ON CONFLICT (k) DO UPDATE SET v = 0", key)
            codes = raw.codes(holder.simple("BEGIN") + holder.simple(
                f"UPDATE nl_keys SET v = 1 WHERE k = {key}"))
            if codes and not (self.load.in_trouble() or codes[0] in AGAIN):
                raise Wrong(f"{self.name}: the holder gets {codes}")
            if codes:
                return
            self.cancelled(f"UPDATE nl_keys SET v = 2 WHERE k = {key}")
            holder.send(raw.query("ROLLBACK"))
            holder.read_until("Z")
        self.mark_alone()

    def cancelled(self, sql):
        """It waits for the holder, or for the gate behind him."""
        self.one.send(raw.query(sql))
        for _ in range(20):
            if not self.one.quiet(0.3 * SLOW):
                break
            with raw.Raw(self.load.pgpool, timeout=self.load.deadline_s / SLOW) as other:
                other.send(raw.cancel_request(self.one.pid, self.one.key))
                other.drain_to_end()
        wanted = ("57014",)
        if self.load.in_trouble():  # the holder may be gone
            wanted = ("57014", None)
        self.judge(self.heard(), sql, wanted=wanted)
        found = []
        for _ in range(3):  # one cancel that was sent once too often
            found.append(self.one.simple("SELECT 1"))
            if not raw.codes(found[-1]):
                return
        raise Wrong(f"{self.name}: cancelled again and again: {found}")


class Definitions(Worker):
    """DDL now and then."""

    pause_s = 8.0

    def step(self):
        table = f"nl_ddl.t{self.random.randint(0, 2)}"
        self.rows(f"DROP TABLE IF EXISTS {table} CASCADE", form="simple")
        self.simple(f"CREATE TABLE {table} (a serial PRIMARY KEY, at timestamptz DEFAULT now())")
        self.transaction(lambda: self.change(table))
        self.rows(f"INSERT INTO {table} (at) VALUES (now()), (now())", form="unnamed")
        self.simple(f"CREATE INDEX ON {table} (at)")
        self.random.choice((lambda: self.simple(f"TRUNCATE {table}"),
                            lambda: self.simple(f"TRUNCATE {table} RESTART IDENTITY"),
                            lambda: self.simple(f"ALTER TABLE {table} DROP COLUMN at"),
                            lambda: self.simple(f"ANALYZE {table}"),
                            lambda: self.simple(f"VACUUM {table}")))()
        self.mark_alone(form="simple")

    def change(self, table):
        self.simple(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS b int DEFAULT 3")
        self.simple(f"CREATE OR REPLACE VIEW {table}_v AS SELECT a + b AS c FROM {table}")
        self.simple(f"INSERT INTO {table} (b) VALUES (4)")


class Comers(Worker):
    """Sessions that come and go; some without a word, in the middle of something."""

    pause_s = 0.3

    def be_there(self):
        """Its sessions do not last."""

    def run(self):
        self.run_without_session()

    def step(self):
        self.one, kind = self.open(), self.random.random()
        self.load.note("comers")
        if kind < 0.4:
            self.mark_alone()
            self.one.send(raw.TERMINATE)
            return
        mark = self.new_mark()
        insert = f"INSERT INTO nl_marks VALUES ({mark}, {self.number})"
        self.load.note("clients gone in the middle")
        if kind < 0.5:
            self.one.send(raw.query(insert))  # it may be there
        elif kind < 0.6:
            self.one.send(raw.query("BEGIN"), raw.query(insert), raw.query("COMMIT"))
        elif kind < 0.7:
            self.undone.add(mark)
            self.one.send(raw.query("BEGIN"), raw.query(insert))
            self.one.read_until("ZE", 2)
        elif kind < 0.8:
            self.undone.add(mark)
            self.one.send(raw.query("COPY nl_marks FROM STDIN"), raw.copy_data(
                f"{mark}\t{self.number}\n"))
        elif kind < 0.9:
            self.one.send(raw.parse("", insert), raw.bind("", ""), raw.execute(), raw.SYNC,
                          raw.query("SELECT 1 / 0"))
        else:
            self.undone.add(mark)
            self.one.send(raw.query("BEGIN"), raw.parse("", insert), raw.bind("", ""),
                          raw.execute())


KINDS = [Transfers, Transfers, Transfers, Own, Own, Own, Values, Values, Values, Pipelines,
         Pipelines, Blocks, Drivers, Copies, Objects, Keeps, Errors, Cancels, Definitions, Comers]
