"""Native replication and snapshot isolation: statements by chance (native_literals.py), again and
again until pgpool sends them as statements that the servers know. Each is answered what PostgreSQL
itself answers to the text, and all nodes have what it has then.

A few plays in each mode; with PGPOOL_TEST_HEAVY=1 as long as PGPOOL_TEST_LONG_S says.
PGPOOL_TEST_SEED is what all is made from; a failure tells it."""

import os
import random
import re
import time

import psycopg
import pytest

import native_literals
import raw
from proxy import starter
from test_native import SETTINGS, servers_beside_a_model
from waiting import wait_for

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
LONG_S = float(os.environ.get("PGPOOL_TEST_LONG_S", 600)) if HEAVY else 10
PLAYS = 18  # without HEAVY, whatever time they take
SEED = os.environ.get("PGPOOL_TEST_SEED", "1")
SHARE = 0.3  # of plain statements by usual keys: with parameters on the copies, at least
REFUSED = 0.3  # of all, at most

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(LONG_S * 2 + 30)]


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_beside_a_model(native_literals.DEFINITIONS + "CREATE SCHEMA other;")


@pytest.fixture(name="pgpool", params=["native_replication", "snapshot_isolation"])
def pgpool_fixture(servers, engine, request):
    mode = {"backend_clustering_mode": request.param, "log_min_messages": "warning"}
    for start in starter(servers.cluster, engine):
        yield start(**SETTINGS | mode)


def comparable(got, sql):
    """Types of users' own have numbers of their own in each database. What may be a time the main
    node is asked for by itself, and an error of that has no position in the client's text."""
    if got.kind == "T":
        return "T", [(*column[:3], min(column[3], 16384), *column[4:]) for column in got.columns()]
    kind, *parts = got.comparable()
    if kind == "E" and parts[0]["C"] == "22007" and "U&'" in sql:
        parts[0].pop("P", None)
    return kind, *parts


class Refused(Exception):
    """By pgpool alone."""


class Run:
    """One client of pgpool and one of PostgreSQL."""

    def __init__(self, pgpool, servers, dice):
        self.servers, self.dice, self.pgpool = servers, dice, pgpool
        self.done, self.counts = [], {"sent": 0, "refused": 0, "looked": 0, "taught": 0, "main": 0}
        self.watches = [server.connect() for server in servers]
        self.client = self.model = None
        self.renew()

    def renew(self):
        for one in self.client, self.model:
            if one is not None:
                one.close()
        self.client = raw.connected(self.pgpool)
        self.model = raw.connected(self.servers[0], database="model")
        self.done.append("-- a new session")

    def close(self):
        self.client.close()
        self.model.close()
        for watch in self.watches:
            watch.close()

    def ask(self, to, sql):
        encoding = "latin1" if to.parameters.get("client_encoding") == "LATIN1" else "utf-8"
        to.send(raw.query(sql.encode(encoding, "replace")))
        return [got for got in to.read_until("Z") if got.kind != "S"]

    def __call__(self, sql):
        self.done.append(sql)
        self.counts["sent"] += 1
        answer = self.ask(self.client, sql)
        errors = [got.fields() for got in answer if got.kind == "E"]
        if errors and errors[-1]["C"] == "0A000" and "F" not in errors[-1]:  # no server's
            raise Refused(sql)
        mine = [comparable(got, sql) for got in answer]
        wanted = [comparable(got, sql) for got in self.ask(self.model, sql)]
        assert mine == wanted, self.told(f"\n  pgpool: {mine}\n  PostgreSQL: {wanted}")
        return errors

    def told(self, what):
        return "\n".join([f"PGPOOL_TEST_SEED={SEED}", *self.done[-60:], what])

    def look(self):
        """Do the main node and the first copy have the last statement with parameters?"""
        known = []
        for watch in self.watches[:2]:
            texts = watch.execute("SELECT query FROM pg_stat_activity WHERE datname = 'test' AND "
                                  "state LIKE 'idle in%'").fetchall()
            known.append(bool(texts) and "$1" in texts[0][0])
        return known

    def settle(self, table):
        """What a function may have left in the session, pgpool asks when that rests: waits for
        it. There are tables for which it is never known."""
        def comes():
            self("BEGIN")
            for _ in range(2):
                self(table.settling())
            known = self.look()
            self("ROLLBACK")
            return known[1]
        try:
            wait_for(comes, "parameters", timeout=0.5 if table.usual else 0.1)
        except AssertionError as failed:
            if "in vain" not in str(failed):
                raise

    def block(self, statements, counts):
        """counts: the copies should know the first one."""
        end = self.dice.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])
        try:
            self("BEGIN")
            failed = False
            for n, sql in enumerate(statements):
                if n > 0 and self.dice.random() < 0.5:
                    self("SAVEPOINT s")
                    self(sql)
                    self("ROLLBACK TO s" if self.dice.random() < 0.5 else "RELEASE s")
                else:
                    failed = bool(self(sql))
            if len(statements) == 1 and counts and not failed:
                known = self.look()
                self.counts["looked"] += 1
                self.counts["main"] += known[0]
                self.counts["taught"] += known[1]
            self(end)
        except Refused:
            self.counts["refused"] += 1
            self.done.append("-- refused")
            for one in self.client, self.model:
                self.ask(one, "ROLLBACK")

    def alone(self, sql):
        try:
            self(sql)
        except Refused:
            self.counts["refused"] += 1
            self.done.append("-- refused")

    def same(self, names):
        for name in names:
            sql = f"SELECT t::text FROM public.{name} t ORDER BY 1"
            with psycopg.connect(self.servers[0].dsn(dbname="model")) as connection:
                wanted = connection.execute(sql).fetchall()
            got = [watch.execute(sql).fetchall() for watch in self.watches]
            assert got == [wanted] * 3, self.told(f"\n  {name}: {got}\n  PostgreSQL: {wanted}")


def play(run, table):
    """Statements of a few shapes, each again and again."""
    dice = run.dice
    run.settle(table)
    share = dice.choice([0, 0.3, 0.7, 1, 1])
    shapes = [table.statement(share) for _ in range(dice.randint(2, 4))]
    for n in range(dice.choice([3, 4, 8])):
        if dice.random() < 0.15:  # what the servers know by now was read with the old value
            run(f"SET {dice.choice(native_literals.SETTINGS)}")
        for at, (shape, plain) in enumerate(shapes):
            shape = other_numbers(dice, shape)
            counts = n > 0 and table.usual and plain and shape[0] != "S"
            shapes[at] = shape, plain
            if dice.random() < 0.3:
                run.alone(shape)
            elif dice.random() < 0.8:
                run.block([shape], counts)
            else:
                run.block([shape, dice.choice(shapes)[0]], counts)


def other_numbers(dice, sql):
    """The same with other constants in some places."""
    return re.sub(r"(?<=[ (])[1-9](?=[,) ]|$)|(?<='w)[1-9](?=')",
                  lambda found: str(dice.randint(1, 9)) if dice.random() < 0.5 else found[0], sql)


def test_whatever_comes_is_what_postgresql_does(pgpool, servers):
    dice = random.Random(SEED)
    run = Run(pgpool, servers, dice)
    ends, plays = time.monotonic() + LONG_S, 0
    number, letter = 0, pgpool.settings["backend_clustering_mode"][0]

    def is_over():
        return time.monotonic() > ends if HEAVY else plays >= PLAYS
    while not is_over():
        tables = [native_literals.Table(dice, f"{letter}{number + n}") for n in range(3)]
        while not tables[0].usual:
            tables[0] = native_literals.Table(dice, tables[0].name)
        number += len(tables)
        run("RESET ALL")
        for table in tables:
            for sql in table.definition():
                failed = run(sql)
                assert not failed, (sql, failed)
        for _ in range(8):
            if is_over():
                break
            plays += 1
            if dice.random() < 0.4:
                run(f"SET {dice.choice(native_literals.SETTINGS)}")
            table = dice.choice([*tables, tables[0]])
            if dice.random() < 0.15:
                run(table.change())
            hides = dice.random() < 0.1  # behind a temporary one
            if hides:
                run(f"CREATE TEMPORARY TABLE {table.name} (LIKE public.{table.name} INCLUDING ALL)")
            play(run, table)
            if hides:
                run(f"DROP TABLE pg_temp.{table.name}")
            run.same([table.name for table in tables])
            if dice.random() < 0.1:
                run.renew()
        for table in tables:
            run(f"DROP TABLE public.{table.name}")
    run.close()
    print(run.counts)
    assert run.counts["taught"] > 0, run.counts
    if not HEAVY and SEED == "1":  # there are tables that have too little of it
        assert run.counts["taught"] >= run.counts["looked"] * SHARE, run.counts
    assert run.counts["refused"] <= run.counts["sent"] * REFUSED, run.counts
