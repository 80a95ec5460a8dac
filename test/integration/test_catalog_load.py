"""Sixteen clients that change what names stand for, and read each other's, all at once.

Each client owns a table, a view, a function and a table in each of two schemas, and only the owner
changes these: it knows at any time what they must answer and whether a standby may answer it. Every
statement that reads also tells which server ran it. An answer out of a stale catalog shows:

- a table that is unlogged by now, or a function or view that writes by now, on a standby: an error,
  or, when the read ran again at the primary, at least an error in that standby's log;
- a temporary table taken for the shared one of its name, or the reverse: the other one's content;
- something that a standby may run by now, on the primary.

An owner looks twice at what it changed: at once, when its own write keeps it at the primary, and
again when its reads go to a standby, so that nothing but the catalog decides.
Readers of what others own may find it gone, and older than it is, but not otherwise.

PGPOOL_TEST_HEAVY=1 makes it 60 s instead of 5.
"""

import collections
import os
import random
import threading
import time

import pytest

import raw
from server_log import ServerLog
from waiting import SLOW, Background, wait_for

pytestmark = pytest.mark.one_engine  # what the catalog says is asked alike on both

SECONDS = 60 if os.environ.get("PGPOOL_TEST_HEAVY") else 5
CLIENTS = 16
PGPOOL_SETTINGS = {"num_init_children": 4}

# What a reader may get when the owner is between two of its statements, from PostgreSQL alone too.
GONE = {"42P01", "42883"}
PORT = "current_setting('port')"

SETUP = """
DROP SCHEMA IF EXISTS one CASCADE; DROP SCHEMA IF EXISTS two CASCADE;
CREATE SCHEMA one; CREATE SCHEMA two;
CREATE TABLE one.journal (who int);
CREATE TABLE one.base (a int); INSERT INTO one.base VALUES (1);
CREATE UNLOGGED TABLE two.fast (a int); INSERT INTO two.fast VALUES (1);
CREATE FUNCTION one.write(int) RETURNS int LANGUAGE sql AS
    'INSERT INTO one.journal VALUES ($1) RETURNING 1';
"""
OWNED = """
CREATE {unlogged} TABLE one.thing_{n} AS SELECT 'thing_{n}' AS name, 1 AS version;
CREATE {logged} TABLE one.spare_{n} AS SELECT 'spare_{n}' AS name, 1 AS version;
CREATE VIEW one.view_{n} AS SELECT 'view_{n}' AS name, 1 AS version;
CREATE FUNCTION one.func_{n}() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE TABLE one.place_{n} AS SELECT 'one' AS name;
CREATE UNLOGGED TABLE two.place_{n} AS SELECT 'two' AS name;
"""
PATH = "SET search_path = one, two"


class Wrong(Exception):
    """What must not be: the client reports it, and begins again with a new session."""


class Known:
    """What everybody knows of one name: its versions as far as the owner began to make them, and as
    far as they are made. A reader on the primary sees no less than what was made before."""

    def __init__(self):
        self.begun = self.made = 1


class Client:
    """One of the sixteen: the owner of what has its number, a reader of the rest."""

    def __init__(self, number, storm):
        self.number, self.storm = number, storm
        self.random = random.Random(number)
        self.one = None
        self.pinned = False  # the session has something that no other connection has
        self.wrong = []
        self.done = collections.Counter()
        self.turned = collections.Counter()  # was for the primary only, is balanced now: at once?
        self.forget()

    def forget(self):
        """Its objects are as OWNED makes them."""
        self.version = 1
        self.unlogged = {"thing": bool(self.number % 2), "spare": not self.number % 2,
                         "view": False, "func": False}  # True: for the primary only
        for kind in ("thing", "view", "func"):
            self.storm.known[f"{kind}_{self.number}"].made = 1

    # ---- statements ----

    def renew(self):
        """A new session; what the old one was pinned by is gone."""
        if self.one:
            self.one.send(raw.TERMINATE)
            self.one.close()
        self.one, self.pinned = raw.connected(self.storm.target), False
        self.run(PATH)

    def answer(self, sql):
        """Rows and SQLSTATE, by either protocol."""
        if self.random.random() < 0.5 or ";" in sql:
            self.one.send(raw.query(sql))
        else:
            self.one.send(raw.parse("", sql), raw.bind("", ""), raw.execute(), raw.SYNC)
        rows, error = [], None
        for got in self.one.read_until("Z"):
            if got.kind == "D":
                rows.append([value.decode() for value in got.row()])
            elif got.kind == "E":
                error = got.fields()
        return rows, error

    def run(self, *statements):
        for sql in statements:
            rows, error = self.answer(sql)
            if error:
                raise Wrong(f"{sql}: {error}")
        return rows

    def text(self, sql):
        return sql.format(n=self.number, v=self.version)

    def change(self, kind, *statements, unlogged=None):
        """Statements of the owner, behind which the object has the next version, and a look."""
        known = self.storm.known[f"{kind}_{self.number}"]
        self.version += 1
        known.begun = self.version
        self.run(*map(self.text, statements))
        known.made = self.version
        was, is_now = self.unlogged[kind], self.unlogged[kind] if unlogged is None else unlogged
        self.unlogged[kind] = is_now
        self.look_at(kind, was and not is_now)

    # ---- reading what one owns ----

    def read(self, sql, expected, primary_only):
        [*values, port] = self.run(f"{sql} /* owner */")[0]
        if values != expected:
            raise Wrong(f"{sql}: {values} on {port} instead of {expected}")
        if primary_only and port != self.storm.primary_port:
            raise Wrong(f"{sql}: on the standby {port}")
        self.storm.count_read(port)
        return port

    def look(self, sql, expected, primary_only, turned=False):
        """Reads at once, and again when the session's own writes do not matter any more."""
        self.read(sql, expected, primary_only)
        if self.storm.direct or self.pinned:
            self.read(sql, expected, primary_only)
            return
        self.until_standby("a read to go to a standby behind a write")
        port = self.read(sql, expected, primary_only)
        if primary_only:
            return
        if turned:
            self.turned[port != self.storm.primary_port] += 1
        # what others change at that moment may have kept it from being found out
        wait_for(lambda: self.read(sql, expected, False) != self.storm.primary_port,
                 f"{sql} to be balanced again", 5)

    def until_standby(self, what):
        if not self.storm.direct:
            wait_for(lambda: self.run(f"SELECT {PORT}")[0][0] != self.storm.primary_port, what, 30,
                     pause=0.005)

    def look_at(self, kind, turned):
        """The owner's object as it stands. What runs a function that writes may have been left
        anything in its session: such a session has no other use."""
        name, primary_only = f"{kind}_{self.number}", self.unlogged[kind]
        if kind == "func":
            sql, expected = f"SELECT {name}(), {PORT}", [str(self.version)]
        else:
            sql, expected = f"SELECT name, version, {PORT} FROM {name}", [name, str(self.version)]
        if primary_only and kind in ("func", "view"):
            self.read(sql, expected, True)
            self.renew()
            self.until_standby("a new session to read from a standby")
            self.read(sql, expected, True)
            self.renew()
        else:
            self.look(sql, expected, primary_only, turned)

    # ---- what owners do ----

    def new_version(self):
        self.change("thing", "UPDATE thing_{n} SET version = {v}")

    def switch_table(self):
        word = "LOGGED" if self.unlogged["thing"] else "UNLOGGED"
        self.change("thing", f"ALTER TABLE thing_{{n}} SET {word}",
                    "UPDATE thing_{n} SET version = {v}", unlogged=word == "UNLOGGED")

    def switch_in_a_transaction(self):
        word = "LOGGED" if self.unlogged["thing"] else "UNLOGGED"
        self.run("BEGIN", self.text("SELECT name FROM thing_{n}") if not self.unlogged["thing"]
                 else "SELECT 1", self.text(f"ALTER TABLE thing_{{n}} SET {word}"))
        rows = self.run(self.text(f"SELECT name, {PORT} FROM thing_{{n}}"))
        if rows[0][1] != self.storm.primary_port:
            raise Wrong(f"a transaction that altered a table reads from {rows}")
        self.run("ROLLBACK")
        # the version counts on, for its owner's own sake
        self.change("thing", "UPDATE thing_{n} SET version = {v}")

    def make_anew(self):
        unlogged = self.random.random() < 0.5
        word = "UNLOGGED " if unlogged else ""
        self.change("thing", "DROP TABLE thing_{n}", f"CREATE {word}TABLE one.thing_{{n}} AS "
                    "SELECT 'thing_{n}' AS name, {v} AS version", unlogged=unlogged)

    def rename_away(self):
        """A name that stands for nothing is found nowhere, and then again."""
        name = f"thing_{self.number}"
        self.run(f"ALTER TABLE {name} RENAME TO gone_{self.number}")
        rows, error = self.answer(f"SELECT name FROM {name}")
        if not error or error["C"] != "42P01":
            raise Wrong(f"{name} was renamed, and is read: {rows} {error}")
        self.run(f"ALTER TABLE gone_{self.number} RENAME TO {name}")
        self.change("thing", "UPDATE thing_{n} SET version = {v}")

    def swap(self):
        """Two tables, one logged and one not, exchange their names."""
        steps = ["ALTER TABLE thing_{n} RENAME TO swap_{n}",
                 "ALTER TABLE spare_{n} RENAME TO thing_{n}",
                 "ALTER TABLE swap_{n} RENAME TO spare_{n}",
                 "UPDATE thing_{n} SET name = 'thing_{n}', version = {v}",
                 "UPDATE spare_{n} SET name = 'spare_{n}'"]
        if self.random.random() < 0.5:
            steps = ["BEGIN", *steps, "COMMIT"]
        else:
            steps = ["; ".join(steps)]
        self.unlogged["spare"], unlogged = self.unlogged["thing"], self.unlogged["spare"]
        self.change("thing", *steps, unlogged=unlogged)

    def move_to_the_other_schema(self):
        name = f"thing_{self.number}"
        self.run(f"ALTER TABLE one.{name} SET SCHEMA two")
        expected = [name, str(self.storm.known[name].made)]
        for found in (name, f"two.{name}"):
            self.look(f"SELECT name, version, {PORT} FROM {found}", expected,
                      self.unlogged["thing"])
        self.run(f"ALTER TABLE two.{name} SET SCHEMA one")
        self.look(f"SELECT name, version, {PORT} FROM one.{name}", expected,
                  self.unlogged["thing"])

    def switch_function(self):
        writes = not self.unlogged["func"]
        body = "STABLE AS 'SELECT {v}'" if not writes else \
            "VOLATILE AS 'SELECT {v} FROM (SELECT one.write({n})) w'"
        self.change("func", "CREATE OR REPLACE FUNCTION one.func_{n}() RETURNS int LANGUAGE sql "
                    + body, unlogged=writes)

    def replace_view(self):
        query, primary_only = self.random.choice([
            ("SELECT 'view_{n}' AS name, {v} AS version", False),
            ("SELECT 'view_{n}' AS name, {v} AS version FROM one.base", False),
            ("SELECT 'view_{n}' AS name, {v} AS version FROM two.fast", True),
            ("SELECT 'view_{n}' AS name, {v} * one.write({n}) AS version", True)])
        self.change("view", f"CREATE OR REPLACE VIEW one.view_{{n}} AS {query}",
                    unlogged=primary_only)

    def hide_by_a_temporary_table(self):
        """A shared table of somebody, as long as this session has one of that name."""
        name = f"thing_{self.random.randrange(CLIENTS)}"
        self.pinned = True
        self.run(f"CREATE TEMP TABLE {name} AS SELECT 'temporary' AS name, {self.number} AS "
                 "version")
        self.look(f"SELECT name, version, {PORT} FROM {name}", ["temporary", str(self.number)],
                  True)
        if self.random.random() < 0.5:
            self.run(f"DROP TABLE pg_temp.{name}")
            self.read_of(name)
        self.renew()
        self.read_of(name)

    def hide_in_a_transaction(self):
        name = f"thing_{self.number}"
        self.run("BEGIN", f"CREATE TEMP TABLE {name} ON COMMIT DROP AS SELECT 'temporary' AS name")
        rows = self.run(f"SELECT name FROM {name}")
        if rows != [["temporary"]]:
            raise Wrong(f"{name} is {rows}, not the temporary table")
        self.run(self.random.choice(["COMMIT", "ROLLBACK"]))
        self.pinned = True
        self.look(f"SELECT name, {PORT} FROM {name}", [name], self.unlogged["thing"])
        self.renew()

    def switch_path(self):
        """One name, a logged table in one schema and an unlogged one in the other."""
        sql = f"SELECT name, {PORT} FROM place_{self.number}"
        for path, primary_only in (("two", True), ("one", False), ("two, one", True)):
            self.run(f"SET search_path = {path}")
            self.look(sql, [path[:3]], primary_only)
        self.run("BEGIN", "SET LOCAL search_path = one", "COMMIT")
        self.look(sql, ["two"], True)
        self.run(PATH)
        self.look(sql, ["one"], False)

    # ---- what readers do ----

    def read_others(self):
        for _ in range(8):
            number = self.random.randrange(CLIENTS)
            self.read_of(f"{self.random.choice(['thing', 'thing', 'view', 'func'])}_{number}")
        if self.random.random() < 0.2:
            self.renew()

    def read_of(self, name):
        known = self.storm.known[name]
        least = known.made
        if name.startswith("func"):
            rows, error = self.answer(f"SELECT '{name}', {name}(), {PORT}")
        else:
            rows, error = self.answer(f"SELECT name, version, {PORT} FROM {name}")
        if error and error["C"] in GONE:
            self.storm.gone += 1
            return
        if error:
            raise Wrong(f"{name} of another: {error}")
        if len(rows) != 1 or rows[0][0] != name:
            raise Wrong(f"{name} of another: {rows}")
        version, port = int(rows[0][1]), rows[0][2]
        if version > known.begun or (port == self.storm.primary_port and version < least):
            raise Wrong(f"{name} of another: {rows}, of versions {least} to {known.begun}")
        self.storm.count_read(port)

    ACTIONS = (new_version, switch_table, switch_in_a_transaction, make_anew, rename_away, swap,
               move_to_the_other_schema, switch_function, replace_view, hide_by_a_temporary_table,
               hide_in_a_transaction, switch_path, read_others, read_others, read_others)

    def go(self):
        """Until the time is over; each thing that is wrong costs a new session only."""
        rounds, action = [], self.start_again
        while self.storm.goes_on() and len(self.wrong) < 20:
            try:
                if not self.one:
                    self.start_again()
                if not rounds:  # all of them, in an order of its own
                    rounds = self.random.sample(self.ACTIONS, len(self.ACTIONS))
                action = rounds.pop()
                action(self)
                self.done[action.__name__] += 1
            except (Wrong, AssertionError, OSError, raw.Closed) as error:
                self.wrong.append(f"client {self.number}, {action.__name__}: {error!r}")
                if self.one:
                    self.one.close()
                self.one = None
        if self.one:
            self.one.close()

    def start_again(self):
        """Its objects as at the beginning, whatever had become of them."""
        self.renew()
        if self.wrong:
            with raw.connected(self.storm.primary) as one:
                one.rows(f"""
                    DROP TABLE IF EXISTS one.thing_{self.number}, two.thing_{self.number},
                        one.spare_{self.number}, one.swap_{self.number}, one.gone_{self.number},
                        one.place_{self.number}, two.place_{self.number};
                    DROP VIEW one.view_{self.number}; DROP FUNCTION one.func_{self.number}()""")
                one.rows(self.storm.owned(self.number))
            self.forget()


class Storm:
    """All the clients, and what they share."""

    def __init__(self, cluster, target, direct):
        self.target, self.primary, self.direct = target, cluster.primary, direct
        self.primary_port = str(cluster.primary.port)
        self.known = collections.defaultdict(Known)
        self.reads = collections.Counter()
        self.gone = 0
        self.end = 0.0
        self.logs = []
        self.lock = threading.Lock()
        self.clients = [Client(number, self) for number in range(CLIENTS)]

    def owned(self, number):
        words = ["UNLOGGED", ""] if number % 2 else ["", "UNLOGGED"]
        return OWNED.format(n=number, unlogged=words[0], logged=words[1])

    def count_read(self, port):
        with self.lock:
            self.reads[port] += 1

    def goes_on(self):
        """On a slow machine until everything was done once, but not for ever."""
        now = time.monotonic()
        return now < self.end or (now < self.end + 30 * SLOW and not self.done_all())

    def done_all(self):
        return set(self.done()) == {action.__name__ for action in Client.ACTIONS}

    def run(self, seconds):
        self.end = time.monotonic() + seconds
        threads = [Background(client.go) for client in self.clients]
        for thread in threads:
            thread.result(seconds + 300)

    def wrong(self):
        return [text for client in self.clients for text in client.wrong]

    def done(self):
        return sum((client.done.copy() for client in self.clients), collections.Counter())


@pytest.fixture(scope="module", name="storm")
def storm_fixture(cluster, pgpool, engine):
    storm = Storm(cluster, pgpool, engine == "direct")
    cluster.sql(SETUP + "".join(map(storm.owned, range(CLIENTS))))
    if not storm.direct:
        with raw.connected(pgpool) as one:
            wait_for(lambda: one.rows(f"SELECT {PORT}") != [[storm.primary_port]],
                     "a standby to be read")
    storm.logs = [ServerLog(server) for server in cluster.servers[1:]]
    storm.run(SECONDS)
    cluster.wait_replayed()
    yield storm
    cluster.sql("DROP SCHEMA one CASCADE; DROP SCHEMA two CASCADE")


def test_nothing_is_wrong(storm):
    wrong = storm.wrong()
    assert not wrong, f"{len(wrong)}, in {sum(storm.done().values())} actions:\n" + \
        "\n".join(wrong[:40])


def test_every_thing_was_done(storm):
    """The test above says nothing otherwise."""
    assert storm.done_all()
    if not storm.direct:
        standbys = [count for port, count in storm.reads.items() if port != storm.primary_port]
        assert len(standbys) == 2 and sum(standbys) > sum(storm.reads.values()) // 10


def test_no_standby_refused_an_owner(storm):
    """Who else reads may have been sent there right before something changed."""
    refused = [entry[-300:] for log in storm.logs for entry in log.entries()
               if "STATEMENT: " in entry and "/* owner */" in entry]
    assert not refused, f"{len(refused)}:\n" + "\n".join(refused[:20])


def test_what_may_be_balanced_now_is(storm):
    turned = sum((client.turned for client in storm.clients), collections.Counter())
    if not storm.direct:
        assert turned[True] > turned[False], turned
