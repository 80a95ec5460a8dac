"""SHOW pool_statements, and what log_min_duration_statement logs."""

import contextlib
import os
import re
import signal

import pytest

import raw
from cache_asker import Asker
from cluster import Target
from proxy import Pgpool
from test_http import fetch, metrics, with_http
from waiting import wait_for

pytestmark = pytest.mark.one_engine

COLUMNS = ("fingerprint", "database", "username", "calls", "errors", "rows", "total_ms", "mean_ms",
           "p50_ms", "p99_ms", "max_ms", "nodes", "reasons", "since", "statement")
NUMBERS = ("calls", "errors", "rows")


def statements(one):
    """Those of the tests' database, by text; each text must stand there once."""
    found = {}
    for values in one.rows("SHOW pool_statements"):
        row = dict(zip(COLUMNS, values, strict=True))
        row |= {name: int(row[name]) for name in NUMBERS}
        row |= {name: float(row[name]) for name in COLUMNS if name.endswith("_ms")}
        row |= {name: counted(row[name]) for name in ("nodes", "reasons")}
        if row["database"] != "test":
            continue
        assert row["statement"] not in found
        found[row["statement"]] = row
    return found


def counted(text):
    """"0 primary 12, 1 standby 30" to {"0 primary": 12, "1 standby": 30}."""
    pairs = [part.rsplit(" ", 1) for part in text.split(", ")] if text else []
    return {name: int(count) for name, count in pairs}


@pytest.fixture(scope="module", name="counting")
def counting_fixture(cluster, engine):
    pgpool = with_http(Pgpool(cluster, engine, num_init_children=1, log_min_messages="info",
                              log_min_duration_statement=0))
    pgpool.start()
    with raw.connected(pgpool) as one:
        one.simple("DROP TABLE IF EXISTS counted")
        one.simple("CREATE TABLE counted (a int PRIMARY KEY, b text)")
    yield pgpool
    pgpool.finish()


@pytest.fixture(name="one")
def one_fixture(counting):
    with raw.connected(counting) as one:
        yield one


# ---- what is counted -----------------------------------------------------------------------------

def test_simple_queries(one):
    for number in range(5):
        one.simple(f"INSERT INTO counted VALUES ({number}, 'secret'), ({number + 100}, 'x')")
    one.simple("INSERT INTO counted VALUES (0, 'secret'), (1, 'secret')")
    row = statements(one)["INSERT INTO counted VALUES ($1, $2), ..."]
    assert (row["calls"], row["errors"], row["rows"]) == (6, 1, 10)
    assert row["nodes"] == {"0 primary": 6} and row["reasons"] == {"writes": 6}
    assert row["database"] and row["username"] and re.fullmatch("[0-9a-f]{16}", row["fingerprint"])
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"] * 1.1
    assert row["total_ms"] == pytest.approx(row["mean_ms"] * 6, rel=0.01, abs=0.01)
    assert "secret" not in str(statements(one))


def test_reads_at_standbys(one):
    one.simple("SELECT a FROM counted WHERE a = 1")
    for number in range(8):
        wait_for(lambda: one.rows(f"SELECT a FROM counted WHERE b = 'n{number}'") == [], "a read")
    row = statements(one)["SELECT a FROM counted WHERE b = $1"]
    assert row["calls"] == 8 and sum(row["nodes"].values()) == 8
    assert sum(row["reasons"].values()) == 8
    assert {place.split()[1] for place in row["nodes"]} <= {"primary", "standby"}


def test_a_standby_is_named(one, counting):
    def at_standby():
        one.simple("SELECT 4711 FROM counted LIMIT 0")
        row = statements(one)["SELECT $1 FROM counted LIMIT $2"]
        return [place for place in row["nodes"] if place.endswith("standby")]
    place = wait_for(at_standby, "a read at a standby")[0]
    assert int(place.split()[0]) > 0
    row = statements(one)["SELECT $1 FROM counted LIMIT $2"]
    assert "balanced" in row["reasons"] and row["rows"] == 0


def test_prepared_statements(one):
    one.send(raw.parse("s", "SELECT g FROM generate_series(1, $1::int) g"), raw.SYNC)
    one.read_until("Z")
    for rows in (1, 2, 3):
        one.send(raw.bind("", "s", str(rows).encode()), raw.execute(), raw.SYNC)
        one.read_until("Z")
    row = statements(one)["SELECT g FROM generate_series($2, $1::int) g"]
    assert (row["calls"], row["errors"], row["rows"]) == (3, 0, 6)


def test_each_statement_of_a_batch(one):
    text = "SELECT 1 / $1::int AS %s"
    parts = []
    for name, value in (("first", "1"), ("second", "0"), ("third", "1")):
        parts += [raw.parse("", text % name), raw.bind("", "", value.encode()), raw.execute()]
    one.send(*parts, raw.SYNC)
    assert raw.codes(one.read_until("Z")) == ["22012"]
    found = statements(one)
    rows = [found.get(f"SELECT $2 / $1::int AS {name}") for name in ("first", "second", "third")]
    assert [(row["calls"], row["errors"], row["rows"]) for row in rows[:2]] == \
        [(1, 0, 1), (1, 1, 0)]
    assert rows[2] is None, "the server has not looked at it"


def test_a_portal_in_pieces(one):
    one.send(raw.parse("", "SELECT g FROM generate_series(1, 10) g"), raw.bind("", ""),
             raw.execute(max_rows=4), raw.execute(max_rows=4), raw.SYNC)
    one.read_until("Z")
    row = statements(one)["SELECT g FROM generate_series($1, $2) g"]
    assert (row["calls"], row["rows"]) == (1, 4), "the first piece is what is counted"


def test_pipelined_queries(one):
    one.send(*(raw.query(f"SELECT {number} AS pipelined") for number in range(50)))
    for _ in range(50):
        one.read_until("Z")
    row = statements(one)["SELECT $1 AS pipelined"]
    assert (row["calls"], row["rows"], row["errors"]) == (50, 50, 0)


def test_errors_do_not_hide_what_follows(one):
    one.send(raw.query("SELECT 1/0 AS wrong"), raw.query("SELECT 1/0 AS wrong"),
             raw.query("SELECT 1 AS right_after"))
    for _ in range(3):
        one.read_until("Z")
    found = statements(one)
    assert (found["SELECT $1/$2 AS wrong"]["calls"], found["SELECT $1/$2 AS wrong"]["errors"]) \
        == (2, 2)
    assert found["SELECT $1 AS right_after"]["errors"] == 0


def test_copy(one):
    one.send(raw.query("COPY counted FROM STDIN"))
    one.read_until("G")
    one.send(raw.copy_data(b"9001\tx\n9002\ty\n"), raw.message("c"))
    one.read_until("Z")
    assert statements(one)["COPY counted FROM STDIN"]["rows"] == 2


def test_users_and_databases(one, counting):
    with raw.connected(counting, database="postgres") as other:
        other.simple("SELECT 'who' AS elsewhere")
        rows = [row for row in other.rows("SHOW pool_statements") if row[14].endswith("elsewhere")]
    one.simple("SELECT 'who' AS elsewhere")
    rows = [row for row in one.rows("SHOW pool_statements") if row[14].endswith("elsewhere")]
    assert len(rows) == 2 and len({row[0] for row in rows}) == 1
    assert len({row[1] for row in rows}) == 2


def test_a_client_that_leaves(one, counting):
    """Nobody's place stays taken by what never ended."""
    for number in range(20):
        with raw.connected(counting) as other:
            other.send(raw.query(f"SELECT pg_sleep(5) AS left_{number}"))
    one.simple("SELECT 1 AS still_counted")
    assert statements(one)["SELECT $1 AS still_counted"]["calls"] == 1


# ---- where it is shown ---------------------------------------------------------------------------

def test_most_time_first(one):
    one.simple("SELECT pg_sleep(0.2) AS slow")
    times = [float(row[6]) for row in one.rows("SHOW pool_statements")]
    assert times == sorted(times, reverse=True) and times[0] >= 200


def test_http(one, counting):
    one.simple("SELECT 'http' AS shown")
    statements(one)
    rows = fetch(counting.http_port, "/api/pool_statements").json()
    row = [row for row in rows if row["statement"] == "SELECT $1 AS shown"][0]
    assert tuple(row) == COLUMNS and row["calls"] == "1"
    found = metrics(counting)
    assert found["pgpool_statements_tracked"] == len(rows)
    assert found["pgpool_statements_limit"] == 1000
    assert found["pgpool_statements_evicted_total"] == 0
    assert found["pgpool_statements_uncounted_total"] == 0
    assert found["pgpool_statements_reset_time_seconds"] > 1e9


def test_reset(one, start_pgpool, cluster, engine):
    pgpool = start_pgpool(num_init_children=1)
    with raw.connected(pgpool) as two, admin(pgpool) as console:
        two.simple("SELECT 1 AS forgotten")
        assert "SELECT $1 AS forgotten" in statements(two)
        assert raw.codes(two.simple("PGPOOL RESET STATEMENTS")) != []
        assert "SELECT $1 AS forgotten" in statements(two)
        assert console.simple("PGPOOL RESET STATEMENTS")[0].kind == "C"
        assert "SELECT $1 AS forgotten" not in statements(two)
        two.simple("SELECT 2 AS forgotten")
        assert statements(two)["SELECT $1 AS forgotten"]["calls"] == 1


@contextlib.contextmanager
def admin(pgpool):
    """Over the unix socket, where no password is asked for."""
    with raw.connected(Target(pgpool.directory, pgpool.pcp_port), database="pgpool") as one:
        yield one


def test_off(start_pgpool):
    pgpool = start_pgpool(pool_statements_max=0)
    with raw.connected(pgpool) as one, admin(pgpool) as console:
        one.simple("SELECT 1")
        assert one.rows("SHOW pool_statements") == []
        assert raw.codes(console.simple("PGPOOL RESET STATEMENTS")) == ["55000"]


def test_the_list_is_bounded(start_pgpool):
    pgpool = start_pgpool(pool_statements_max=16, num_init_children=1)
    with raw.connected(pgpool) as one:
        for number in range(200):
            one.simple(f"SELECT 1 AS c{number}")
        assert 8 <= len(one.rows("SHOW pool_statements")) <= 16


def test_cached_answers(cluster, engine, start_pgpool):
    pgpool = start_pgpool(memory_cache_enabled="on", num_init_children=1)
    with raw.connected(pgpool) as one:
        one.simple("CREATE TABLE IF NOT EXISTS counted (a int PRIMARY KEY, b text)")
    with Asker(pgpool) as asker:
        asker.warm_rows("SELECT b FROM counted WHERE a = -1")
        row = statements(asker)["SELECT b FROM counted WHERE a = $1"]
    assert row["nodes"]["cache"] >= 1 and row["reasons"]["cache"] == row["nodes"]["cache"]


# ---- processes -----------------------------------------------------------------------------------

def test_children_add_up_and_die(start_pgpool):
    pgpool = start_pgpool(num_init_children=2)
    clients = [raw.connected(pgpool) for _ in range(12)]
    try:
        for one in clients:
            for _ in range(10):
                one.simple("SELECT 1 AS together")
        one = clients[0]
        wait_for(lambda: statements(one)["SELECT $1 AS together"]["calls"] == 120, "all to add up")
        for pid in pgpool.named("child"):
            os.kill(pid, signal.SIGKILL)
    finally:
        for one in clients:
            one.close()

    def still_there():
        with contextlib.suppress(OSError, raw.Closed, AssertionError), raw.connected(pgpool) as one:
            one.simple("SELECT 1 AS after_death")
            found = statements(one)
            return found["SELECT $1 AS together"]["calls"] == 120 and \
                "SELECT $1 AS after_death" in found
        return False
    wait_for(still_there, "the next children to count")


# ---- log_min_duration_statement ------------------------------------------------------------------

def logged(pgpool, text):
    """Lines about durations with the text in them."""
    with open(pgpool.log, encoding="utf-8", errors="replace") as file:
        return [line for line in file if "duration: " in line and text in line]


def test_all_are_logged_without_values(one, counting):
    one.simple("SELECT 'a secret', 12345 AS logged_simple")
    one.send(raw.parse("", "SELECT $1::text AS logged_bound"), raw.bind("", "", b"a secret"),
             raw.execute(), raw.SYNC)
    one.read_until("Z")
    line = wait_for(lambda: logged(counting, "logged_simple"), "the line")[0]
    assert re.search(r"LOG:  duration: \d+\.\d{3} ms  statement: SELECT \$1, \$2 AS logged_simple$",
                     line)
    line = wait_for(lambda: logged(counting, "logged_bound"), "the line")[0]
    assert re.search(r"duration: \d+\.\d{3} ms  execute: SELECT \$1::text AS logged_bound$", line)
    with open(counting.log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    assert "a secret" not in text
    assert re.search(r"DETAIL:  Node \d \((primary|standby)\): .*; succeeded, 1 rows, "
                     r"fingerprint [0-9a-f]{16}\.$", text, re.MULTILINE)


def test_long_ones_with_values(start_pgpool):
    pgpool = start_pgpool(log_min_duration_statement="150ms", log_duration_values="on",
                          pool_statements_max=0)
    with raw.connected(pgpool) as one:
        one.simple("SELECT 'short' AS not_logged")
        one.simple("SELECT pg_sleep(0.3), 'it''s' AS logged_simple")
        one.send(raw.parse("", "SELECT pg_sleep(0.3), $1::text, $2::text, $3::int AS logged_bound"),
                 raw.bind("", "", b"it's", None, b"\0\0\0\7", formats=(0, 0, 1)), raw.execute(),
                 raw.SYNC)
        assert raw.codes(one.read_until("Z")) == []
        wait_for(lambda: logged(pgpool, "logged_bound"), "the line")
        assert "statement: SELECT pg_sleep(0.3), 'it''s' AS logged_simple" in \
            logged(pgpool, "logged_simple")[0]
        assert "parameters: $1 = 'it''s', $2 = NULL, $3 = (4 bytes)" in \
            logged(pgpool, "logged_bound")[0]
        assert not logged(pgpool, "not_logged")
        one.simple("PGPOOL SET log_min_duration_statement = 0")
        one.simple("SELECT 'short' AS logged_now")
        wait_for(lambda: logged(pgpool, "logged_now"), "the line")
        one.simple("PGPOOL SET log_min_duration_statement = -1")
        one.simple("SELECT pg_sleep(0.3) AS not_logged")
        assert not logged(pgpool, "not_logged")


@pytest.mark.parametrize("statements_max", (0, 1000))
def test_databases_and_users_have_their_own(cluster, engine, statements_max):
    pgpool = Pgpool(cluster, engine, pool_statements_max=statements_max,
                    log_min_duration_statement="1h")
    pgpool.settings["pool_limits"] = os.path.join(pgpool.directory, "pool_limits")
    with open(pgpool.settings["pool_limits"], "w", encoding="utf-8") as file:
        file.write("postgres * - - cache=off log_min_duration_statement=0\n")
    pgpool.start()
    try:
        with raw.connected(pgpool, database="postgres") as one, raw.connected(pgpool) as other:
            shown = "PGPOOL SHOW log_min_duration_statement"
            assert (one.rows(shown), other.rows(shown)) == ([["0"]], [["1h"]])
            other.simple("SELECT 1 AS not_logged")
            one.simple("SELECT 1 AS logged_theirs")
            wait_for(lambda: logged(pgpool, "logged_theirs"), "the line")
            one.simple("PGPOOL SET log_min_duration_statement = -1")
            one.simple("SELECT 2 AS not_logged")
            for number, reset in enumerate(("PGPOOL RESET log_min_duration_statement",
                                            "PGPOOL RESET ALL")):
                one.simple("PGPOOL SET log_min_duration_statement = -1")
                one.simple(reset)
                one.simple(f"SELECT 1 AS logged_again{number}")
                wait_for(lambda n=number: logged(pgpool, f"logged_again{n}"), "the line")
            one.simple("DISCARD ALL")
            one.simple("SELECT 1 AS logged_still")
            wait_for(lambda: logged(pgpool, "logged_still"), "the line")
            assert not logged(pgpool, "not_logged")
    finally:
        pgpool.finish()


def test_copy_with_values(start_pgpool):
    pgpool = start_pgpool(log_min_duration_statement=0, log_duration_values="on",
                          num_init_children=1)
    with raw.connected(pgpool) as one:
        one.simple("CREATE TABLE IF NOT EXISTS counted (a int PRIMARY KEY, b text)")
        one.send(raw.query("COPY counted FROM STDIN /* as sent */"))
        one.read_until("G")
        one.send(raw.copy_fail("no"), raw.query("SELECT 'behind it'"))
        assert raw.codes(one.read_until("Z")) == ["57014"]
        one.read_until("Z")
        wait_for(lambda: logged(pgpool, "behind it"), "the line")
        assert "FROM STDIN /* as sent */" in logged(pgpool, "COPY counted")[0]
        assert logged(pgpool, "behind it")[0].rstrip().endswith("statement: SELECT 'behind it'")
