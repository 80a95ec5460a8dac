"""Statements that go to several servers: every row of test/corpus/determinism/cases.txt on three
servers of their own. What is called equal, or is made so, leaves the same in all of them."""

import os
import subprocess

import psycopg
import pytest

from independent import Independent
from proxy import binary

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(60)]

PROGRAM = os.path.join(os.path.dirname(binary()), "test", "integration", "determine")
CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpus", "determinism")

# What lies where, and which numbers things have, is another matter on each server.
OTHER_PLACES = """
CREATE TABLE shifted (i int); SELECT lo_create(0); DROP TABLE shifted;
CREATE TABLE again AS SELECT * FROM p ORDER BY md5(k::text); TRUNCATE p;
INSERT INTO p SELECT * FROM again; DROP TABLE again;
CREATE TABLE again AS SELECT * FROM n ORDER BY md5(y); TRUNCATE n;
INSERT INTO n SELECT * FROM again; DROP TABLE again;
"""

CONTENT = """
SELECT 'sequence ' || c.relname, pg_sequence_last_value(c.oid)::text
    FROM pg_class c WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
UNION ALL SELECT 'column ' || a.attrelid::regclass || a.attname, format_type(atttypid, atttypmod)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE relkind IN ('r', 'm', 'v') AND attnum > 0 AND relnamespace = 'public'::regnamespace
UNION ALL SELECT 'large object', oid::text FROM pg_largeobject_metadata WHERE oid > 70000
ORDER BY 1, 2
"""


class Judge:
    def __init__(self):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __call__(self, letter, words):
        self.process.stdin.write(f"{letter} {words}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()[:-1]

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


def cases():
    with open(CORPUS + "/cases.txt", encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and line[0] != "#"]
    return list(zip(lines[::2], lines[1::2], strict=True))


def content(connection):
    """All that statements leave: definitions, sequences, rows."""
    tables = [name for name, in connection.execute(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'm') AND "
        "relnamespace = 'public'::regnamespace ORDER BY 1").fetchall()]
    rows = [(name, connection.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall())
            for name in tables]
    return connection.execute(CONTENT).fetchall(), rows


class Servers:
    def __init__(self):
        self.cluster = Independent(standbys=2)
        with open(CORPUS + "/schema.sql", encoding="utf-8") as file:
            schema = file.read()
        self.connections = []
        for number, server in enumerate(self.cluster.servers):
            connection = server.connect()
            connection.execute(schema)
            connection.execute(OTHER_PLACES * number or "SELECT 1")
            connection.execute("SELECT setval('s', 100)")
            connection.execute("SELECT nextval('s')")
            self.connections.append(connection)

    def everywhere(self, statement, parameters=None):
        """Runs it on all; returns the SQLSTATEs, None for success."""
        states = []
        for connection in self.connections:
            try:
                with connection.transaction():
                    if parameters is None:
                        connection.execute(statement)
                    else:
                        result = connection.pgconn.exec_params(statement.encode(), parameters)
                        assert result.status in (psycopg.pq.ExecStatus.COMMAND_OK,
                                                 psycopg.pq.ExecStatus.TUPLES_OK), \
                            result.error_message
                states.append(None)
            except psycopg.Error as error:
                states.append(error.sqlstate or type(error).__name__)
        return states

    def ask(self, verdict):
        """The values, as pgpool would: drawn ones on all servers, and the first one's count."""
        _, question, count, drawn, draw, parameters, places = verdict.split("\x1f")
        drawn = [int(number) for number in drawn.split()]
        values = [None] * int(count)
        if values:
            values = [value for value, in self.connections[0].execute(question).fetchall()]
        if drawn:
            for connection in self.connections[1:]:
                connection.execute(draw)
        return values, int(parameters), places

    def same(self):
        found = [content(connection) for connection in self.connections]
        return found[0] == found[1] == found[2], found

    def begin(self):
        for connection in self.connections:
            connection.execute("BEGIN")

    def rollback(self):
        for connection in self.connections:
            connection.execute("ROLLBACK")


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    servers = Servers()
    yield servers
    for connection in servers.connections:
        connection.close()
    servers.cluster.destroy()


@pytest.fixture(name="judge")
def judge_fixture():
    judge = Judge()
    yield judge
    judge.end()


def is_run(statement):
    return "$1" not in statement and not statement.startswith(("COPY", "EXECUTE", "FETCH"))


def test_what_is_equal_leaves_the_same_everywhere(servers, judge):
    ran = 0
    for statement, expected in cases():
        verdict = judge("J", statement)
        if expected[0] == "!":
            assert verdict.startswith("unequal "), statement
            continue
        if not is_run(statement):
            continue
        servers.begin()
        if verdict != "equal":
            values, _, _ = servers.ask(verdict)
            statement = judge("R", "\x1f".join("\\N" if v is None else v for v in values))
        states = servers.everywhere(statement)
        same, found = servers.same()
        servers.rollback()
        assert len(set(states)) == 1, (statement, states)
        assert expected[0] == "." or states[0] is None, (statement, states)
        assert same, (statement, found)
        ran += 1
    assert ran > 120


def test_parameters_do_as_well_as_literals(servers, judge):
    for statement, expected in cases():
        if expected[0] != ">" or not is_run(statement):
            continue
        verdict = judge("J", statement)
        servers.begin()
        values, parameters, places = servers.ask(verdict)
        if places == "parameters":
            text = judge("P", str(parameters + 1))
            states = servers.everywhere(text, [None if v is None else v.encode() for v in values])
            same, found = servers.same()
            assert states == [None] * 3, (text, states)
            assert same, (text, found)
        servers.rollback()


def test_as_they_stand_they_leave_something_else(servers):
    """Without it, all of this would prove nothing."""
    different = []
    for statement, expected in cases():
        if expected[0] == "." or not is_run(statement):
            continue
        servers.begin()
        states = servers.everywhere(statement)
        if states == [None] * 3 and not servers.same()[0]:
            different.append(statement)
        servers.rollback()
        for connection in servers.connections:
            connection.execute("SELECT setval('s', 1000), setval('t_id_seq', 1000), "
                               "setval('g_id_seq', 1000)")
    assert len(different) > 80, different


@pytest.mark.parametrize("settings", [
    "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Shanghai'",
    "SET DateStyle = 'Postgres, MDY'; SET TimeZone = 'America/St_Johns'",
    "SET DateStyle = 'German'; SET TimeZone = '<+03>-3'; SET standard_conforming_strings = off",
])
def test_values_are_right_whatever_the_session_has_set(servers, judge, settings):
    """A zone by its abbreviation may be read as another one; days and months may change places."""
    wanted = {
        "INSERT INTO t (a) VALUES (1)": "SELECT at - now() FROM t WHERE a = 1",
        "INSERT INTO p (k, at) VALUES (501, now())":
            "SELECT at - localtimestamp FROM p WHERE k = 501",
        "INSERT INTO p (k, at) VALUES (502, LOCALTIMESTAMP)":
            "SELECT at - localtimestamp FROM p WHERE k = 502",
        "INSERT INTO p (k, at) VALUES (503, 'now')":
            "SELECT at - localtimestamp FROM p WHERE k = 503",
        "INSERT INTO p (k, at) VALUES (504, timestamptz 'now')":
            "SELECT at - localtimestamp FROM p WHERE k = 504",
        "INSERT INTO t (id, a, d) VALUES (601, 2, CURRENT_DATE)":
            "SELECT (d - current_date) * interval '1 day' FROM t WHERE a = 2",
        "INSERT INTO x (z) VALUES (CURRENT_TIME)":
            "SELECT z::time - localtime FROM x WHERE z IS NOT NULL",
    }
    for statement, check in wanted.items():
        servers.begin()
        for connection in servers.connections:
            connection.execute(settings.replace("SET ", "SET LOCAL "))
        values, _, _ = servers.ask(judge("J", statement))
        states = servers.everywhere(judge("R", "\x1f".join(values)))
        same, found = servers.same()
        error = servers.connections[0].execute(
            f"SELECT max(abs(extract(epoch FROM e))) FROM ({check}) AS e(e)").fetchone()[0]
        servers.rollback()
        assert states == [None] * 3, (statement, values, states)
        assert same, (statement, found)
        assert error < 600, (statement, values, error)
