"""The clients of the cache's mix: each reads from a few statements that all of them share, so that
they hit, and writes now and then; each answer is held against the ledger."""

import contextlib
import dataclasses
import random
import re
import struct
import threading
import time

import raw
from cache_ledger import Ledger
from cache_tables import FAMILIES, GROUPS, READS, ROLES, ROWS, THINGS
from cache_writes import EVERYTHING, KINDS, Write

PATIENCE = 60.0
HOT = 8  # statements that most reads are of, each asked in one way,
HOT_S = 2.5  # for so long
FORMS = ("simple", "extended", "described", "binary", "named", "named, described")
DEFINES = ("rename", "swap", "definition", "function", "grant", "policy")
ZONES = {"UTC": "00", "Asia/Tokyo": "09"}
BINARY = {16: ">?", 21: ">h", 23: ">i", 20: ">q"}
TRY_AGAIN = ("40001", "40P01", "55P03")
LOST = (raw.Closed, ConnectionError)


class Wrong(Exception):
    """An answer that PostgreSQL would not have given."""


class Failed(Exception):
    """An ErrorResponse."""

    def __init__(self, sql, fields):
        super().__init__(f"{sql}: {fields['C']} {fields['M']}")
        self.code = fields["C"]


def literal(sql, values):
    for number in range(len(values), 0, -1):
        sql = sql.replace(f"${number}", str(values[number - 1]))
    return sql


def as_text(value, kind):
    if value is None:
        return None
    return str(struct.unpack(BINARY[kind], value)[0]) if kind in BINARY else value.decode()


class Answer:
    """The rows that came, as texts."""

    def __init__(self, messages, binary, sql):
        self.names, self.rows, kinds = None, [], None
        for got in messages:
            if got.kind == "E":
                raise Failed(sql, got.fields())
            if got.kind == "T":
                columns = got.columns()
                self.names, kinds = [c[0] for c in columns], [c[3] for c in columns]
            if got.kind == "D":
                row = got.row()
                self.rows.append([as_text(v, kinds[n] if binary else None)
                                  for n, v in enumerate(row)])


@dataclasses.dataclass(frozen=True)
class Profile:
    """What the answers of a session depend on."""

    login: str = "postgres"
    role: str = ""  # SET ROLE
    zone: str = "UTC"
    path: str = "mix_alice"

    @property
    def user(self):
        return self.role or self.login

    def settings(self):
        texts = [f"SET TimeZone = '{self.zone}'"]
        if self.login == "postgres":
            texts.append(f"SET search_path = {self.path}")
        if self.role:
            texts.append(f"SET ROLE {self.role}")
        return texts


def profile(number):
    """Most are like others, or they would not hit."""
    zone = "Asia/Tokyo" if number % 8 == 7 else "UTC"
    if number % 2 == 0:
        return Profile(zone=zone, path=ROLES[0])
    role = ROLES[number // 2 % 2]
    if number % 16 < 8:
        return Profile(login=role, zone=zone, path=role)
    return Profile(role=role, zone=zone, path=ROLES[0])


class Session:
    """A connection that speaks both protocols."""

    def __init__(self, target, rng, who=Profile(), careful=False):
        self.target, self.random, self.profile, self.careful = target, rng, who, careful
        self.named, self.names = {}, 0
        self.low = None  # of a cell: what must be seen
        self.one = raw.connected(target, PATIENCE, user=who.login)
        for text in who.settings():
            self.text(text)

    def close(self):
        self.one.close()

    # ---- asking ----

    def text(self, sql):
        return Answer(self.one.simple(sql), False, sql)

    def ask(self, sql, values, form):
        """In one of the FORMS."""
        if form == "simple":
            return self.text(literal(sql, values))
        binary = form == "binary"
        describe = binary or "described" in form
        parts, name = [], ""
        if form.startswith("named"):
            name = self.named.get(sql, "")
            if not name:
                self.names += 1
                name = self.named[sql] = f"mix_{self.names}"
                parts.append(raw.parse(name, sql))
        else:
            parts.append(raw.parse("", sql))
        parts.append(raw.bind("", name, *map(str, values), results=(1,) if binary else ()))
        parts += [raw.describe("P")] if describe else []
        self.one.send(*parts, raw.execute(), raw.SYNC)
        try:
            return Answer(self.one.read_until("Z"), binary, sql)
        except Failed:
            self.named.pop(sql, None)
            raise

    def do(self, sql, *values):
        forms = FORMS if sql.startswith(("UPDATE", "SELECT g")) else FORMS[:4]
        return self.ask(sql, values, self.random.choice(forms))

    def fails(self, sql, code):
        try:
            self.do(sql)
        except Failed as error:
            if error.code != code:
                raise
            return
        raise Wrong(f"{sql} did not fail")

    def batch(self, parts):
        """All of it before anything is answered, as one batch or several."""
        one_sync, sent = self.random.random() < 0.5, []
        for number, (sql, values) in enumerate(parts):
            sent += [raw.parse("", sql), raw.bind("", "", *map(str, values)), raw.execute()]
            if not one_sync or number == len(parts) - 1:
                sent.append(raw.SYNC)
        self.one.send(*sent)
        return Answer(self.one.read_until("Z", 1 if one_sync else len(parts)), False, str(parts))

    def copy(self, sql, rows, accept=None):
        self.one.send(raw.query(sql))
        messages = self.one.read_until("GZ")
        if messages[-1].kind == "G":
            data = "".join("\t".join(map(str, row)) + "\n" for row in rows)
            self.one.send(raw.copy_data(data), raw.COPY_DONE)
            messages += self.one.read_until("Z")
        try:
            Answer(messages, False, sql)
        except Failed as error:
            if error.code != accept:
                raise

    @contextlib.contextmanager
    def another(self):
        """Another session, or this one."""
        if self.careful or self.random.random() < 0.5:
            yield self
            return
        other = Session(self.target, self.random)
        try:
            yield other
        finally:
            other.close()

    def own(self, w, version=None):
        """What this session must see of what it writes."""
        exact = version is None or version < 0
        version = w.version if version is None else version
        sql = f"SELECT g, v FROM {w.probe} WHERE g = $1"
        rows = self.do(sql, w.group).rows
        lowest = version if exact else min(self.low(w), version)
        if len(rows) != ROWS or any(not lowest <= int(row[1]) <= version for row in rows):
            raise Wrong(f"{sql}, {w.group}: {rows} where {lowest} to {version} is right, in the "
                        "middle of its own write")


# ---- checking ------------------------------------------------------------------------------------

class Asked:
    """A read with all that is needed to judge its answer."""

    def __init__(self, client, rng):
        self.client, self.read = client, rng.choice(READS)
        read, family, group = self.read, rng.randrange(FAMILIES), rng.randrange(GROUPS)
        self.form = rng.choice(FORMS if read.named else ("simple", "described", "binary"))
        self.ledger = client.ledger
        names = (("{s}", f"mix{family}"), ("{f}", str(family)), ("{g}", str(group)))
        self.sql = read.sql
        for name, value in names:
            self.sql = self.sql.replace(name, value)
        self.group = group
        self.of_one = "$1" in read.sql or "{g}" in read.sql
        self.values = (group,) if "$1" in read.sql else ()
        self.things = [thing if thing != "mine" else client.profile.path.replace("mix", "mine")
                       for thing in read.things]
        groups = (group,) if self.of_one else range(GROUPS)
        self.cells = {(thing, g): client.cells.number(family, thing, g)
                      for thing in set(self.things) for g in groups}
        self.low, self.high = {}, {}

    def sent(self):
        for (thing, _), cell in self.cells.items():
            self.low[cell] = self.client.lowest(cell, THINGS[thing].catalog)

    def answered(self):
        for cell in self.cells.values():
            self.high[cell] = self.ledger.begun[cell]

    def wrong(self, answer, why):
        bounds = {key: (self.low[cell], self.high[cell]) for key, cell in self.cells.items()}
        return Wrong(f"{self.sql}, {self.values}, as {self.client.profile}: {why}: "
                     f"{answer and answer.rows}, {answer and answer.names}; right: {bounds}; "
                     f"seen {[self.ledger.seen[c] for c in self.cells.values()]}, "
                     f"acknowledged {[self.ledger.acked[c] for c in self.cells.values()]}")

    def expected_rows(self):
        rows = self.read.rows
        if self.read.more == "owner" and self.client.profile.user in ROLES:
            rows = 1
        return rows * (1 if self.of_one else GROUPS)

    def check(self, answer):
        if self.read.more in ("granted", "policy"):
            self.check_parity(answer)
            return
        if answer is None:
            raise self.wrong(answer, "permission denied")
        if len(answer.rows) != self.expected_rows():
            raise self.wrong(answer, f"not {self.expected_rows()} rows")
        shown = {}
        for row in answer.rows:
            group, versions = int(row[0]), row[1:1 + len(self.things)]
            if self.read.more == "columns":
                versions = [row[2]]
            if self.read.equal and len(set(versions)) > 1:
                raise self.wrong(answer, "not of one moment")
            for column, (thing, version) in enumerate(zip(self.things, versions)):
                if shown.setdefault((column, group), version) != version:
                    raise self.wrong(answer, "not of one moment")
                self.check_version(answer, self.cells.get((thing, group), -1), version)
            self.check_more(answer, row)
        if self.client.mix.strict:
            self.note_seen(shown)

    def check_version(self, answer, cell, version):
        if cell < 0 or version is None or not self.low[cell] <= int(version) <= self.high[cell]:
            raise self.wrong(answer, f"version {version}")

    def note_seen(self, shown):
        for (column, group), version in shown.items():
            cell = self.cells[self.things[column], group]
            if self.ledger.seen[cell] < int(version):
                self.ledger.seen[cell] = int(version)

    def check_more(self, answer, row):
        more, who, last = self.read.more, self.client.profile, row[-1]
        if (more == "owner" and who.user in ROLES and last != who.user) or \
                (more == "hour" and last != ZONES[who.zone]) or \
                (more == "user" and last != who.user) or (more == "who" and last != who.path):
            raise self.wrong(answer, f"{more} {last}")
        if more == "columns" and answer.names[3] != f"c{row[2]}":
            raise self.wrong(answer, f"columns {answer.names}")

    def check_parity(self, answer):
        """It shows only whether the version is odd."""
        cell = next(iter(self.cells.values()))
        parities = {v % 2 for v in range(self.low[cell], self.high[cell] + 1)}
        if self.client.profile.user not in ROLES:
            if len(answer.rows) != (1 if self.read.more == "granted" else 2):
                raise self.wrong(answer, "rows")
        elif self.read.more == "granted":
            if (answer is not None) + 0 not in parities:
                raise self.wrong(answer, "permission")
        elif answer is None or len(answer.rows) != 1 or int(answer.rows[0][1]) not in parities:
            raise self.wrong(answer, "policy")


# ---- clients -------------------------------------------------------------------------------------

@dataclasses.dataclass
class Mix:
    """What a run is like."""

    pgpool: object
    primary: object  # itself, for writes past pgpool and for looking after lost connections
    ledger: Ledger
    seconds: float
    clients: int = 50
    strict: bool = False   # all reads are the primary's: nobody sees what anybody saw newer before
    session: bool = False  # only one's own writes are sure to be seen
    past: bool = False     # half of the writers write past pgpool
    careful: bool = False  # children of pgpool are killed
    pause_s: float = 1.5   # between two writes of a client
    seed: int = 1
    until: float = 0.0
    things: tuple = tuple(THINGS)

    def may_define(self):
        """Behind DDL nothing is known of any name, and what is read must be asked for first: so
        there are times without, or hardly anything would be answered from the cache."""
        period = min(self.seconds, 60.0)
        return (self.until - time.monotonic()) % period < 0.2 * period


def learn(mix, number):
    """Asks for all there is once, so that the names are known."""
    rng = random.Random(number)
    session = Session(mix.pgpool, rng, profile(number))
    try:
        for read in READS:
            for family in range(FAMILIES):
                for group in range(GROUPS if "{g}" in read.sql else 1):
                    sql = read.sql.replace("{s}", f"mix{family}").replace("{f}", str(family)) \
                        .replace("{g}", str(group))
                    with contextlib.suppress(Failed):
                        session.text(literal(sql, (group,)))
    finally:
        session.close()


class Client(threading.Thread):
    """One application."""

    def __init__(self, mix, number):
        super().__init__(name=f"client {number}", daemon=True)
        self.mix, self.number, self.ledger = mix, number, mix.ledger
        self.cells = mix.ledger.cells
        self.random = random.Random(mix.seed * 1000 + number)
        self.profile = profile(number)
        self.session, self.child, self.direct = None, 0, None
        self.own = {}  # versions that it has written itself
        self.errors, self.counts = [], {"reads": 0, "writes": 0, "lost": 0, "again": 0}
        self.next_write = time.monotonic() + self.random.random() * mix.pause_s
        self.past = mix.past and number % 4 == 0

    # ---- bounds ----

    def lowest(self, cell, catalog=False):
        if self.mix.session:
            return self.own.get(cell, 0)
        low = self.ledger.floor[cell]
        return max(low, self.ledger.seen[cell]) if self.mix.strict and not catalog else low

    def lowest_of_write(self, w):
        return self.lowest(self.cells.number(w.family, w.thing.name, w.group), w.thing.catalog)

    # ---- connections ----

    def connect(self):
        deadline = time.monotonic() + PATIENCE
        while self.session is None:
            try:
                self.session = Session(self.mix.pgpool, self.random, self.profile,
                                       self.mix.careful)
                self.session.low = self.lowest_of_write
                if self.mix.careful:
                    self.learn_child()
            except LOST:
                self.session = None
                if not self.mix.careful or time.monotonic() > deadline:
                    raise

    def learn_child(self):
        port = str(self.session.one.socket.getsockname()[1])
        self.child = int(next(row[0] for row in self.session.text("SHOW pool_sessions").rows
                              if row[6] == port))

    def disconnect(self):
        if self.session is not None:
            self.session.close()
        self.session = None

    # ---- reads ----

    def choose_read(self):
        hot = random.Random(self.mix.seed * 7919 + int(time.monotonic() / HOT_S))
        rng = self.random
        if rng.random() < 0.85:
            for _ in range(rng.randrange(HOT)):
                hot.random()
            rng = random.Random(hot.random())
        return Asked(self, rng)

    def ask(self, asked):
        try:
            return self.session.ask(asked.sql, asked.values, asked.form)
        except Failed as error:
            if asked.read.more == "granted" and error.code == "42501":
                return None
            raise

    def read(self):
        asked = self.choose_read()
        asked.sent()
        answer = self.ask(asked)
        asked.answered()
        asked.check(answer)
        self.counts["reads"] += 1

    def read_in_transaction(self):
        """Each statement with a snapshot of its own."""
        self.session.do("BEGIN")
        try:
            for _ in range(3):
                asked = self.choose_read()
                if asked.read.more != "granted":
                    asked.sent()
                    answer = self.ask(asked)
                    asked.answered()
                    asked.check(answer)
                    self.counts["reads"] += 1
        finally:
            self.session.do("ROLLBACK")

    def read_in_snapshot(self):
        """All of the moment of the first one."""
        everything = [asked for asked in (self.choose_read() for _ in range(8))
                      if asked.read.snapshot][:3]
        self.session.do("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            for asked in everything:
                asked.sent()
            for number, asked in enumerate(everything):
                answer = self.ask(asked)
                if number == 0:
                    for each in everything:
                        each.answered()
                asked.check(answer)
                self.counts["reads"] += 1
        finally:
            self.session.do("ROLLBACK")

    # ---- writes ----

    def write(self):
        family, group = self.random.randrange(FAMILIES), self.random.randrange(GROUPS)
        thing = THINGS[self.random.choice(self.mix.things)]
        if thing.kinds in DEFINES and not self.mix.may_define():
            return
        cell = self.cells.number(family, thing.name, group)
        kind = self.random.choice(KINDS[thing.kinds])
        if kind in EVERYTHING and self.random.random() < 0.7:  # or hardly anything would be a hit
            kind = self.random.choice(KINDS[thing.kinds])
        with self.ledger.locks[cell]:
            if self.ledger.doubtful[cell]:
                self.settle(cell, family, thing, group)
            self.write_locked(cell, kind, Write(family, thing, group, self.ledger.begin(cell)))
        self.counts["writes"] += 1

    def write_locked(self, cell, kind, w):
        past = self.past and self.random.random() < 0.5
        if past and self.direct is None:
            self.direct = Session(self.mix.primary, self.random)
            self.direct.low = lambda w: w.version - 1
        session = self.direct if past else self.session
        try:
            committed = kind(session, w)
        except Failed as error:
            session.text("ROLLBACK")
            self.ledger.give_up(cell)
            if error.code not in TRY_AGAIN:
                raise Wrong(f"{kind.__name__} of {w.name}: {error}") from error
            self.counts["again"] += 1
            return
        except (Wrong, *LOST) as error:
            self.ledger.doubtful[cell] = 1
            raise Wrong(f"{kind.__name__}: {error}") if isinstance(error, Wrong) else error
        if not committed:
            self.ledger.give_up(cell)
        elif past:
            lsn = session.text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").rows[0][0]
            self.ledger.done_past_pgpool(cell, int(lsn))
        else:
            self.ledger.done(cell)
            self.own[cell] = w.version

    def settle(self, cell, family, thing, group):
        """The outcome of a write whose connection was lost, from the primary."""
        w = Write(family, thing, group, self.ledger.begun[cell])
        look = Session(self.mix.primary, self.random)
        try:
            found = self.look_after(look, w)
        finally:
            look.close()
        if found == w.version:
            self.ledger.done(cell)
        elif found != self.ledger.acked[cell]:
            raise Wrong(f"{w.name}, {group} is at {found} after a lost connection: {w.version} ?")

    def look_after(self, look, w):
        deadline = time.monotonic() + PATIENCE
        look.text("SET lock_timeout = '500ms'")
        while True:
            for name, in look.text("SELECT gid FROM pg_prepared_xacts WHERE gid LIKE "
                                   f"'mix%\\_{w.schema}\\_{w.name}\\_{w.group}\\_%'").rows:
                how = "ROLLBACK" if name.startswith("mixno_") else "COMMIT"
                with contextlib.suppress(Failed):
                    self.session.text(f"{how} PREPARED '{name}'")
            try:
                return version_now(look, w)
            except Failed as error:
                look.text("ROLLBACK")
                if error.code != "55P03" or time.monotonic() > deadline:
                    raise

    # ---- running ----

    def step(self):
        now = time.monotonic()
        chance = self.random.random()
        if self.profile.user == "postgres" and now >= self.next_write:
            self.next_write = now + self.random.expovariate(1 / self.mix.pause_s)
            self.write()
        elif chance < 0.04:
            self.read_in_transaction()
        elif chance < 0.06:
            self.read_in_snapshot()
        elif chance < 0.065 and not self.mix.careful:
            self.disconnect()
            self.connect()
        else:
            self.read()

    def careful_step(self):
        try:
            self.step()
        except Failed as error:
            if error.code not in TRY_AGAIN:
                raise
            self.counts["again"] += 1
        except LOST:
            if not self.mix.careful or not self.ledger.was_killed(self.child):
                raise
            self.counts["lost"] += 1
            self.disconnect()
            self.connect()

    def run(self):
        try:
            self.connect()
            while time.monotonic() < self.mix.until and self.ledger.errors[0] < 20:
                try:
                    self.careful_step()
                except Wrong as error:
                    self.errors.append(str(error))
                    self.ledger.errors[0] += 1
                    self.disconnect()
                    self.connect()
        except Exception as error:  # pylint: disable=broad-except
            self.ledger.errors[0] += 1
            self.errors.append(f"{self.name}: {error!r}")
        finally:
            self.disconnect()
            if self.direct is not None:
                self.direct.close()


def version_now(look, w):
    """Waits for whoever writes it."""
    kind = w.thing.kinds
    look.text("BEGIN")
    if kind in ("function", "grant", "policy", "definition", "refresh"):
        sql = {"function": "SELECT {s}.fn_{g}()", "definition": "SELECT v FROM {t}",
               "refresh": "SELECT v FROM {t}",
               "grant": "SELECT has_table_privilege('mix_alice', '{t}', 'SELECT')::int",
               "policy": "SELECT substring(qual FROM '= (\\d)') FROM pg_policies WHERE "
                         "schemaname = '{s}' AND tablename = 'pol_{g}'"}[kind]
        found = int(look.text(w.sql(sql)).rows[0][0])
        if kind in ("grant", "policy"):
            found = w.version - (found + w.version) % 2
    else:
        table = {"child": "{s}.parent", "stack": "{s}.stack", "pair": "{s}.item",
                 "upd": "{s}.upd", "ruled": "{s}.rtab", "log": "{s}.src"}.get(w.thing.name, "{t}")
        look.text(w.sql(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
        found = int(look.text(f"SELECT v FROM {w.probe} WHERE g = {w.group}").rows[0][0])
    look.text("COMMIT")
    return found


def lsn_number(text):
    found = re.fullmatch(r"([0-9A-F]+)/([0-9A-F]+)", text or "")
    return int(found[1], 16) * 2 ** 32 + int(found[2], 16) if found else 0
