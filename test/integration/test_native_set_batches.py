"""Native replication: what a batch sets in front of what depends on it holds on all nodes, or the
batch is refused."""

import pytest

import raw
from independent import made
from proxy import starter
from test_native import SETTINGS
from waiting import SLOW

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(40)]

MORE = """
CREATE TABLE plain (id int PRIMARY KEY, v int, tx text, at timestamp);
INSERT INTO plain VALUES (1, 0, '');
CREATE TABLE r (id int, v float8);
CREATE SCHEMA other;
CREATE TABLE other.r (id int, v float8 DEFAULT random());
"""
WHEN = "'2020-02-01 12:00+00'::timestamptz::text"
ZONE = f"UPDATE plain SET tx = {WHEN} WHERE id = 1"
TOKYO = "2020-02-01 21:00:00+09"
NAMED = "INSERT INTO r (id) VALUES (1)"


@pytest.fixture(name="nodes", scope="module")
def nodes_fixture():
    yield from made(MORE)


@pytest.fixture(name="pgpool", params=["native_replication", "snapshot_isolation"])
def pgpool_fixture(nodes, engine, request):
    for start in starter(nodes, engine):
        yield start(**SETTINGS | {"backend_clustering_mode": request.param})


@pytest.fixture(name="one")
def one_fixture(nodes, pgpool):
    for server in nodes.servers:
        server.rows("UPDATE plain SET tx = '', at = NULL WHERE id = 1 RETURNING 1")
        server.rows("DELETE FROM r RETURNING 1")
        server.rows("DELETE FROM other.r RETURNING 1")
    with raw.connected(pgpool, timeout=20 * SLOW) as one:
        one.rows("SET TimeZone TO 'America/Lima'")
        one.rows("UPDATE plain SET v = v + 1 WHERE id = 1")  # that is on all nodes now
        yield one


def same(nodes, sql):
    answers = [server.rows(sql) for server in nodes.servers]
    assert all(answer == answers[0] for answer in answers), answers
    return answers[0]


def batch(one, *texts):
    """The errors of one batch, in words of SQLSTATE."""
    one.send(raw.batch(*texts))
    return raw.codes(one.read_until("Z"))


SETS = ["SET TimeZone TO 'Asia/Tokyo'", "SET LOCAL TimeZone TO 'Asia/Tokyo'"]


@pytest.mark.parametrize("sets", SETS)
def test_what_is_written_behind_it(nodes, one, sets):
    """It is there, too, when the batch is rolled back or not."""
    assert batch(one, "SELECT 1", sets, ZONE, "SELECT 1") == []
    assert same(nodes, "SELECT tx FROM plain") == [(TOKYO,)]
    lasts = "LOCAL" not in sets
    assert one.rows("SHOW TimeZone") == [["Asia/Tokyo" if lasts else "America/Lima"]]
    one.rows("UPDATE plain SET tx = '2020-02-01 12:00+00'::timestamptz::text WHERE id = 1")
    assert (same(nodes, "SELECT tx FROM plain") == [(TOKYO,)]) == lasts
    one.rows("SET TimeZone TO 'America/Lima'")
    assert batch(one, sets, ZONE, "SELECT 1 / 0") == ["22012"]
    assert one.rows("SHOW TimeZone") == [["America/Lima"]]
    one.rows(ZONE)
    assert "07:00:00-05" in same(nodes, "SELECT tx FROM plain")[0][0]


@pytest.mark.parametrize("sets", ["SET TimeZone TO 'Asia/Tokyo'",
                                  "SELECT set_config('TimeZone', 'Asia/Tokyo', false)"])
def test_what_is_read_beside_it(nodes, pgpool, one, sets):
    """It holds from then on, unless the batch fails."""
    with raw.connected(pgpool) as new:
        assert batch(new, sets, "SELECT 1") == []
        new.rows(ZONE)
        assert same(nodes, "SELECT tx FROM plain") == [(TOKYO,)]
    assert batch(one, sets, "SELECT 1") == []
    one.rows(ZONE)
    assert same(nodes, "SELECT tx FROM plain") == [(TOKYO,)]
    assert one.rows("SHOW TimeZone") == [["Asia/Tokyo"]]
    assert batch(one, "SELECT 1", sets.replace("Asia/Tokyo", "UTC"), "SELECT 1 / 0") == ["22012"]
    one.rows(ZONE)
    assert same(nodes, "SELECT tx FROM plain") == [(TOKYO,)]


def test_what_is_written_in_front_of_it(nodes, one):
    assert batch(one, ZONE, "SET TimeZone TO 'Asia/Tokyo'", "SHOW TimeZone") == []
    assert "07:00:00-05" in same(nodes, "SELECT tx FROM plain")[0][0]
    one.rows(ZONE)
    assert same(nodes, "SELECT tx FROM plain") == [(TOKYO,)]


@pytest.mark.parametrize("sets", [*SETS, "SELECT set_config('TimeZone', 'Asia/Tokyo', false)"])
def test_values_behind_it(nodes, one, sets):
    """They would be those of in front of it."""
    at = "UPDATE plain SET at = localtimestamp WHERE id = 1"
    assert batch(one, sets, at) == ["0A000"]
    assert same(nodes, "SELECT at FROM plain") == [(None,)]
    one.rows("BEGIN")
    assert batch(one, sets, at) == []
    one.rows("COMMIT")
    [(at,)] = same(nodes, "SELECT at > now() AT TIME ZONE 'Asia/Tokyo' - interval '1 h' FROM plain")
    assert at is True


@pytest.mark.parametrize("sets", [
    "SET search_path TO other", "SET LOCAL search_path TO other",
    "SELECT set_config('search_path', 'other', false)"])
def test_names_behind_it(nodes, one, sets):
    """The table that is meant has a default that no two servers agree about."""
    assert batch(one, sets, NAMED) == ["0A000"]
    assert same(nodes, "SELECT count(*) FROM other.r") == [(0,)]
    one.rows("BEGIN")
    assert batch(one, sets, NAMED, "SELECT 1") == []
    one.rows("COMMIT")
    [(value,)] = same(nodes, "SELECT v FROM other.r")
    assert value is not None


def test_all_of_it_is_reset(nodes, one):
    assert batch(one, "RESET ALL", ZONE) == ["0A000"]
    assert same(nodes, "SELECT tx FROM plain") == [("",)]
    assert batch(one, "RESET ALL", "SELECT 1") == []
    one.rows(ZONE)
    assert "12:00:00+00" in same(nodes, "SELECT tx FROM plain")[0][0]


@pytest.mark.parametrize("sql", [False, True])
def test_what_was_prepared_before_it(nodes, one, sql):
    """The main node has read its literal by what was set then, and the others have not yet."""
    text = "UPDATE plain SET tx = '2020-02-01 12:00'::timestamptz AT TIME ZONE 'UTC' WHERE id = 1"

    def run():
        if sql:
            return raw.codes(one.simple("EXECUTE s"))
        one.send(raw.bind("", "s") + raw.execute() + raw.SYNC)
        return raw.codes(one.read_until("Z"))

    if sql:
        assert raw.codes(one.simple(f"PREPARE s AS {text}")) == []
    else:
        one.send(raw.parse("s", text) + raw.SYNC)
        assert raw.codes(one.read_until("Z")) == []
    one.rows("SET TimeZone TO 'Asia/Tokyo'")
    assert run() == ["0A000"]
    assert same(nodes, "SELECT tx FROM plain") == [("",)]
    one.rows("SET TimeZone TO 'America/Lima'")
    assert run() == []
    assert same(nodes, "SELECT tx FROM plain") == [("2020-02-01 17:00:00",)]
