"""Native replication and snapshot isolation: whatever sets a parameter, and whenever it does, rows
are written on all nodes as PostgreSQL alone would write them."""

import os
import random
import threading

import pytest

import raw
from independent import made
from proxy import starter
from test_native import SETTINGS
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(25)]

TABLES = """
CREATE TABLE plain (id int PRIMARY KEY, v int, tx text, at timestamp);
INSERT INTO plain VALUES (1, 0, '');
CREATE FUNCTION sets(zone text, for_transaction bool) RETURNS text LANGUAGE plpgsql
AS $$ BEGIN RETURN set_config('TimeZone', zone, for_transaction); END $$;
CREATE FUNCTION nothing() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1'; RETURN 5;
END $$;
"""
TEXT = "'2020-02-01 12:00+00'::timestamptz::text"
AT = "'2020-02-01 12:00'::timestamptz AT TIME ZONE 'UTC'"
WRITES = f"UPDATE plain SET tx = {TEXT}, at = {AT} WHERE id = 1"
ZONES = "America/Lima", "Asia/Tokyo", "Europe/Paris", "UTC"
ANYWHERE = [
    ["SET TimeZone TO '{}'"], ["SET TimeZone TO '{}'"], ["RESET TimeZone"], ["RESET ALL"],
    ["SELECT set_config('TimeZone', '{}', false)"], ["SELECT set_config('TimeZone', '{}', true)"],
    ["SELECT sets('{}', false)"], ["SELECT sets('{}', true)"], ["SELECT nothing()"],
    ["SET TimeZone TO '{}'", "SELECT 1"], ["SELECT 1", "SET TimeZone TO '{}'"],
    ["RESET ALL", "SELECT 1"], ["SET TimeZone TO '{}'", "SELECT 1 / 0"], ["SELECT 1"],
    ["CREATE TEMP TABLE IF NOT EXISTS tt (a int)"], ["SET search_path TO pg_temp, public"],
    ["SET search_path TO public"], ["SELECT setseed(0.5)"], ["DISCARD TEMP"],
    ["PREPARE s AS SELECT 1"], ["DEALLOCATE ALL"], ["UPDATE plain SET v = 1"]]
OUTSIDE = [["BEGIN"], ["BEGIN"], ["DISCARD ALL"]]
INSIDE = [["COMMIT"], ["ROLLBACK"], ["SAVEPOINT a"], ["ROLLBACK TO a"],
          ["SET LOCAL TimeZone TO '{}'"]]
SEEDS = 300 if os.environ.get("PGPOOL_TEST_HEAVY") else 15
nobody = threading.Event()  # sets it: waiting for it takes so long


@pytest.fixture(name="nodes", scope="module")
def nodes_fixture():
    yield from made(TABLES)


@pytest.fixture(name="pgpool", params=["native_replication", "snapshot_isolation"])
def pgpool_fixture(nodes, engine, request):
    for start in starter(nodes, engine):
        yield start(**SETTINGS | {"backend_clustering_mode": request.param})


def run(one, texts, simple):
    """Errors, and rows, of a query or a batch."""
    if simple:
        messages = one.simple(texts[0])
    else:
        one.send(b"".join(raw.parse("", text) + raw.bind("", "") + raw.execute()
                          for text in texts) + raw.SYNC)
        messages = one.read_until("Z")
    return raw.codes(messages), [got.row() for got in messages if got.kind == "D"]


def play(nodes, one, alone, chance):
    """Both do the same, but only one writes; returns what has been done, or None: as it must be."""
    done = []
    block = False
    for _ in range(25):
        texts = [text.format(chance.choice(ZONES))
                 for text in chance.choice(ANYWHERE + (INSIDE if block else OUTSIDE))]
        simple = len(texts) == 1 and chance.random() < 0.7
        done.append((texts, simple, run(one, texts, simple)))
        if "UPDATE" not in texts[0]:
            wanted = run(alone, texts, simple)
            if "0A000" in done[-1][2][0]:
                return None  # refused, as documented; the two are not alike any more
            if done[-1][2] != wanted:
                return done, wanted
        block = (block or texts == ["BEGIN"]) and texts not in (["COMMIT"], ["ROLLBACK"])
        nobody.wait(chance.choice([0, 0, chance.random() * 0.012]))
        wanted = run(alone, [f"SELECT {TEXT}, {AT}"], True)
        if block or chance.random() < 0.5:
            continue
        done.append((run(one, [WRITES], True), "written"))
        rows = [server.rows("SELECT tx, at::text FROM plain")[0] for server in nodes]
        if any(tuple(value.encode() for value in row) != tuple(wanted[1][0]) for row in rows):
            return done, wanted, rows
    return None


PATH = "SET search_path TO pg_temp, public"  # the server is asked behind it, not in front of it
SETS = "SELECT sets('Asia/Tokyo', false)"
LIMA = "SET TimeZone TO 'America/Lima'"


@pytest.mark.parametrize("texts, wanted", [
    ([LIMA, PATH], "07:00:00-05"), ([PATH, LIMA], "07:00:00-05"), ([PATH, SETS], "21:00:00+09"),
    ([PATH, LIMA, SETS], "21:00:00+09"), ([PATH, SETS, LIMA, SETS], "21:00:00+09"),
    ([SETS, LIMA, PATH], "07:00:00-05"), (["RESET ALL", PATH], "12:00:00+00")])
@pytest.mark.parametrize("known", [True, False])
def test_behind_a_function(nodes, pgpool, known, texts, wanted):
    """A session with a temporary table keeps its connections; what the function has set is known by
    then, or not."""
    def keeps():
        with raw.connected(pgpool) as other:
            return [row[10] for row in other.rows("SHOW pool_sessions") if row[10]]

    with raw.connected(pgpool) as one:
        for text in ("CREATE TEMP TABLE tt (a int)", LIMA, WRITES, SETS, WRITES):
            one.rows(text)
        if known:
            wait_for(lambda: keeps() == ["a temporary object"], "the answer")
        one.send(b"".join(map(raw.query, [*texts, WRITES])))
        assert raw.codes(one.read_until("Z", len(texts) + 1)) == []
    rows = [server.rows("SELECT tx FROM plain") for server in nodes.servers]
    assert rows == [[(f"2020-02-01 {wanted}",)]] * 3


def test_a_mix(nodes, pgpool):
    for seed in range(SEEDS):
        with raw.connected(pgpool) as one, raw.connected(nodes.servers[0]) as alone:
            found = play(nodes.servers, one, alone, random.Random(seed))
        assert found is None, (seed, found)
