"""What is known of the catalog is forgotten when something may have changed it, and not because
somebody's statements fail: the servers are asked as often as that takes, and no answer is stale.

A watcher reads one view, in a session of its own. The questions about that view are counted in the
primary's log: while its catalog is known there are none, and behind each change there is one. When
the view reads an unlogged table, only the primary can answer.
"""

import pytest

import raw
from proxy import starter
from server_log import ServerLog
from waiting import Background, wait_for

pytestmark = pytest.mark.one_engine

QUESTION = "pg_catalog.current_schemas(true)"
DATABASE = ["DROP DATABASE IF EXISTS definitions WITH (FORCE)", "CREATE DATABASE definitions",
            "ALTER DATABASE definitions SET log_statement = 'all'"]
TABLES = """
CREATE TABLE calm (a int); INSERT INTO calm VALUES (1);
CREATE UNLOGGED TABLE fast (a int); INSERT INTO fast VALUES (2);
CREATE TABLE pairs (a int); INSERT INTO pairs VALUES (1), (1);
CREATE TABLE parts (a int) PARTITION BY LIST (a);
CREATE TABLE part PARTITION OF parts FOR VALUES IN (1);
CREATE VIEW seen AS SELECT a FROM calm;
CREATE PROCEDURE half_way(text) LANGUAGE plpgsql AS
    'BEGIN EXECUTE $1; COMMIT; RAISE EXCEPTION ''half way''; END';
"""
CALM = "CREATE OR REPLACE VIEW seen AS SELECT a FROM calm"
FAST = "CREATE OR REPLACE VIEW seen AS SELECT a FROM fast"
LOOK = "SELECT a FROM seen /*NO QUERY CACHE*/"
PRIMARY, STANDBY = "primary", "standby"
# what the watcher sees
KNOWN = "1", [STANDBY], 0
ASKED = "1", [STANDBY], 1
CHANGED = "2", [PRIMARY], 1
BAD_BODY = "CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELEC 1'"


@pytest.fixture(name="made", scope="module")
def made_fixture(cluster):
    with cluster.primary.connect() as connection:
        for sql in DATABASE:
            connection.execute(sql)
    with cluster.primary.connect(dbname="definitions") as connection:
        connection.execute(TABLES)
    cluster.wait_replayed()


@pytest.fixture(name="pgpool", scope="module", params=["plain", "cache"])
def pgpool_fixture(cluster, made, engine, request):  # pylint: disable=unused-argument
    """The cache has its own reasons to forget the catalog."""
    more = {"memory_cache_enabled": "on"} if request.param == "cache" else {}
    for start in starter(cluster, engine):
        yield start(num_init_children=2, **more)


class Watcher:
    def __init__(self, cluster, pgpool):
        self.servers = cluster.servers
        self.one = raw.connected(pgpool, database="definitions")

    def look(self):
        """What the view says, who was asked for that, in order of the servers (a standby that could
        not answer is one of them), and how many questions about it there were."""
        logs = [ServerLog(server) for server in self.servers]
        [[value]] = self.one.rows(LOOK)
        asked = [STANDBY if number else PRIMARY for number, log in enumerate(logs)
                 if any(f"statement: {LOOK}" in entry for entry in log.entries())]
        return value, asked, sum(QUESTION in entry and "E'seen'" in entry
                                 for entry in logs[0].entries())


@pytest.fixture(name="client")
def client_fixture(pgpool):
    with raw.connected(pgpool, database="definitions") as one:
        yield one


@pytest.fixture(name="watcher")
def watcher_fixture(cluster, pgpool, client):
    """One that knows that the view is for everybody."""
    client.rows(CALM)
    watcher = Watcher(cluster, pgpool)
    wait_for(lambda: watcher.look() == KNOWN, "the view to be known")
    yield watcher
    watcher.one.close()


def batch(*texts):
    return raw.batch(*texts, end=b"")


def fail(client, step):
    """A Query, or messages up to Sync, or a list of those, sent at once. Something in it fails."""
    steps = step if isinstance(step, list) else [step]
    client.send(*[raw.query(one) if isinstance(one, str) else one + raw.SYNC for one in steps])
    assert raw.codes(client.read_until("Z", len(steps))) != []


FAILURES = {
    "no_sql": ["SELEC 1"],
    "not_to_be_read": ["SELECT (1"],
    "several_and_no_sql": [f"{FAST}; COMMIT; SELEC 1"],
    "missing_table": ["DROP TABLE nosuch"],
    "table_that_is_there": ["CREATE TABLE pairs (b int)"],
    "view_of_nothing": ["CREATE OR REPLACE VIEW seen AS SELECT b FROM calm"],
    "grant": ["GRANT SELECT ON nosuch TO postgres"],
    "table_from_a_query": ["CREATE TABLE new AS SELECT 1 / (a - 1) FROM calm"],
    "function_with_a_bad_body": [BAD_BODY],
    "missing_function": ["SELECT nosuch()"],
    "missing_procedure": ["CALL nosuch()"],
    "block_that_is_no_sql": ["DO 'BEGIN SELEC 1; END'"],
    "index": ["CREATE UNIQUE INDEX ON pairs (a)"],
    "several": [f"{FAST}; CREATE TABLE new (a int); DROP TABLE nosuch"],
    "batch": [batch("DROP TABLE nosuch")],
    "batch_no_sql": [batch("SELEC 1")],
    "batch_of_two": [batch("INSERT INTO calm VALUES (5)", "DROP TABLE nosuch")],
    "batch_that_commits_nothing_yet": [batch("SELEC 1", "COMMIT", FAST)],
    "pipeline": [["DROP TABLE nosuch", batch("DROP TABLE nosuch"), "SELEC 1"]],
}


@pytest.mark.parametrize("steps", FAILURES.values(), ids=FAILURES)
def test_what_fails_as_a_whole_makes_nobody_ask(client, watcher, steps):
    for _ in range(3):
        for step in steps:
            fail(client, step)
        assert watcher.look() == KNOWN


def test_a_statement_that_was_prepared_and_fails(client, watcher):
    client.send(raw.parse("gone", "DROP TABLE nosuch"), raw.SYNC)
    client.read_until("Z")
    for _ in range(3):
        client.send(raw.bind("", "gone"), raw.execute(), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == ["42P01"]
        assert watcher.look() == KNOWN


def test_a_batch_in_pieces_that_fails(client, watcher):
    for _ in range(3):
        client.send(raw.parse("", "DROP TABLE nosuch"), raw.describe("S"), raw.FLUSH)
        client.read_until("n")
        client.send(raw.bind("", ""), raw.execute(), raw.SYNC)
        assert raw.codes(client.read_until("Z")) == ["42P01"]
        assert watcher.look() == KNOWN


def test_what_fails_in_a_block(client, watcher):
    for _ in range(3):
        client.rows("BEGIN; INSERT INTO pairs VALUES (3)")
        for step in ("DROP TABLE nosuch", "DROP TABLE pairs", "SELECT (1", "SELEC 1"):
            fail(client, step)
        client.rows("ROLLBACK")
        assert watcher.look() == KNOWN


@pytest.mark.parametrize("step", [
    "BEGIN; DROP TABLE nosuch", "START TRANSACTION; SELEC 1", "BEGIN; SELECT nosuch()",
    batch("BEGIN", "DROP TABLE nosuch"), batch("BEGIN", "SELEC 1"),
    batch("START TRANSACTION READ WRITE", "CALL nosuch()"), f"{FAST}; BEGIN; DROP TABLE nosuch"])
def test_what_fails_with_the_beginning_of_its_block(client, watcher, step):
    for _ in range(3):
        fail(client, step)
        client.rows("ROLLBACK")
        assert watcher.look() == KNOWN


def test_what_fails_behind_a_savepoint(client, watcher):
    for _ in range(3):
        client.rows("BEGIN; SAVEPOINT here")
        fail(client, "DROP TABLE nosuch")
        client.rows("ROLLBACK TO here")
        assert watcher.look() == KNOWN
        client.rows("INSERT INTO pairs VALUES (3)")
        client.rows("COMMIT")
        assert watcher.look() == KNOWN


COMMITS = {
    "by_itself": [FAST],
    "block_of_code": [f"DO $$ BEGIN {FAST}; COMMIT; RAISE 'half way'; END $$"],
    "block_of_code_that_runs_no_sql": [f"DO $$ BEGIN {FAST}; COMMIT; EXECUTE 'SELEC 1'; END $$"],
    "block_of_code_and_a_bad_body": [f"DO $$ BEGIN {FAST}; COMMIT; {BAD_BODY}; END $$"],
    "block_of_code_and_a_missing_table": [f"DO $$ BEGIN {FAST}; COMMIT; DROP TABLE nosuch; END $$"],
    "procedure": [f"CALL half_way('{FAST}')"],
    "batch_with_a_procedure": [batch(f"CALL half_way('{FAST}')")],
    "several": [f"{FAST}; COMMIT; SELECT 1/0"],
    "several_and_one_whose_text_is_wrong": [f"{FAST}; COMMIT; INSERT INTO calm VALUES (1, 2)"],
    "several_and_a_bad_body": [f"{FAST}; COMMIT; {BAD_BODY}"],
    "several_and_a_missing_table": [f"{FAST}; COMMIT; SELECT b FROM nosuch"],
    "begins_in_the_middle": [f"{FAST}; BEGIN; COMMIT; DROP TABLE nosuch"],
    "begins_twice": [f"BEGIN; {FAST}; COMMIT; BEGIN; DROP TABLE nosuch"],
    "begins_twice_and_no_sql": [batch("BEGIN", FAST, "COMMIT", "BEGIN", "SELEC 1")],
    "begins_at_the_end": [f"{FAST}; COMMIT; BEGIN; SELECT b FROM calm"],
    "batch_that_commits": [batch(FAST, "COMMIT", "DROP TABLE nosuch")],
    "batch_that_commits_and_is_no_sql": [batch(FAST, "COMMIT", "SELEC 1")],
    "behind_one_that_fails": [["DROP TABLE nosuch", FAST]],
    "in_front_of_one_that_fails": [[FAST, "DROP TABLE nosuch"]],
    "in_front_of_no_sql": [[FAST, "SELEC 1"]],
    "batches": [[batch("DROP TABLE nosuch"), batch(FAST), batch("DROP TABLE nosuch")]],
    "before_a_savepoint": ["BEGIN", FAST, "SAVEPOINT here", "DROP TABLE nosuch", "ROLLBACK TO here",
                           "COMMIT"],
    "within_a_savepoint": ["BEGIN", "SAVEPOINT here", FAST, "RELEASE here", "SAVEPOINT here",
                           "SELEC 1", "ROLLBACK TO here", "COMMIT"],
    "savepoint_in_the_same_query": ["BEGIN", f"{FAST}; SAVEPOINT here; DROP TABLE nosuch",
                                    "ROLLBACK TO here", "COMMIT"],
    "savepoint_in_the_same_batch": ["BEGIN", batch(FAST, "SAVEPOINT here", "DROP TABLE nosuch"),
                                    "ROLLBACK TO here", "COMMIT"],
    "block_that_goes_on": ["BEGIN", FAST, "COMMIT AND CHAIN"],
    "behind_a_failed_block": ["BEGIN", "DROP TABLE nosuch", f"ROLLBACK; {FAST}; COMMIT; SELECT b"],
}


@pytest.mark.parametrize("steps", COMMITS.values(), ids=COMMITS)
def test_what_is_committed_makes_everybody_ask(client, watcher, steps):
    for step in steps:
        step = step if isinstance(step, list) else [step]
        client.send(*[raw.query(one) if isinstance(one, str) else one + raw.SYNC
                      for one in step])
        client.read_until("Z", len(step))
    assert watcher.look() == CHANGED
    client.simple("ROLLBACK")


def test_what_works_in_several_transactions_makes_everybody_ask(client, watcher):
    """It leaves something, though it fails."""
    for sql, code in (("CREATE UNIQUE INDEX CONCURRENTLY pairs_a ON pairs (a)", "23505"),
                      ("REINDEX INDEX CONCURRENTLY pairs_a", "23505")):
        assert raw.codes(client.simple(sql)) == [code]
        assert watcher.look()[2] == (1 if sql.startswith("CREATE") else 0)
    client.rows("DROP INDEX pairs_a")


def test_a_partition_that_is_detached_halfway(cluster, client, watcher):
    """The first of its transactions has committed; the second one waits until it is cancelled."""
    with cluster.primary.connect(dbname="definitions") as other, \
            cluster.primary.connect(dbname="definitions") as watching:
        other.execute("BEGIN")
        other.execute("SELECT FROM parts")
        client.send(raw.query("ALTER TABLE parts DETACH PARTITION part CONCURRENTLY"))
        wait_for(lambda: watching.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE "
                                          "'ALTER TABLE parts%' AND wait_event_type = 'Lock'")
                 .fetchall(), "the second transaction to wait")
        watching.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE "
                         "'ALTER TABLE parts%' AND pid <> pg_backend_pid()")
        assert raw.codes(client.read_until("Z")) == ["57014"]
        assert watcher.look() == ASKED
        other.execute("ROLLBACK")
    client.rows("ALTER TABLE parts DETACH PARTITION part FINALIZE")
    client.rows("ALTER TABLE parts ATTACH PARTITION part FOR VALUES IN (1)")


def test_what_was_cancelled_makes_everybody_ask(cluster, client, watcher):
    """It may have been too late for that."""
    with cluster.primary.connect(dbname="definitions") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE calm IN ACCESS EXCLUSIVE MODE")
        client.rows("SET statement_timeout = '100ms'")
        assert raw.codes(client.simple("DROP TABLE calm CASCADE")) == ["57014"]
        other.execute("ROLLBACK")
    client.rows("RESET statement_timeout")
    assert watcher.look() == ASKED


def test_what_waits_behind_another_definition(cluster, client, watcher):
    """Both were sent at once. The first one has ended when the second has not."""
    with cluster.primary.connect(dbname="definitions") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE fast IN ACCESS EXCLUSIVE MODE")
        client.send(raw.query("CREATE TABLE first (a int)"), raw.query(FAST))
        client.read_until("Z")
        wait_for(lambda: watcher.look() == KNOWN, "the view to be known again")
        other.execute("ROLLBACK")
    client.read_until("Z")
    assert watcher.look() == CHANGED
    client.rows("DROP TABLE first")


def test_a_connection_that_is_lost_makes_everybody_ask(cluster, client, watcher):
    with cluster.primary.connect(dbname="definitions") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE calm IN ACCESS EXCLUSIVE MODE")
        client.send(raw.query("DROP TABLE calm CASCADE"))
        with cluster.primary.connect(dbname="postgres") as killer:
            wait_for(lambda: killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'DROP TABLE calm%' AND wait_event_type = 'Lock'").fetchall(),
                "the statement to wait")
        client.read_until("ZE")
        other.execute("ROLLBACK")
    assert watcher.look() == ASKED


@pytest.mark.parametrize("extended", [False, True])
def test_a_client_that_is_gone_before_it_has_its_answer(cluster, pgpool, watcher, extended):
    """The primary does not know that, and commits."""
    gate = cluster.primary.connect(dbname="definitions")
    gate.execute("SELECT pg_advisory_lock(1)")
    with raw.connected(pgpool, database="definitions") as one:
        one.send(batch(FAST, "SELECT pg_advisory_xact_lock(1)") + raw.SYNC if extended
                 else raw.query(f"{FAST}; SELECT pg_advisory_xact_lock(1)"))
        wait_for(lambda: gate.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"
                                      ).fetchall(), "it to run")
    wait_for(lambda: watcher.look() == KNOWN, "the view to be known again")
    gate.close()
    wait_for(lambda: cluster.primary.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                                           "'%xact_lock(1)' AND datname = 'definitions'") == 0,
             "the connection to be closed")
    assert watcher.look() == CHANGED


# ---- texts that are too long to be read ----------------------------------------------------------

def padded(begin, end="", each="('it is a row: create, alter, drop'), "):
    """About 200 kB."""
    return begin + each * (200_000 // len(each)) + end


DATA = padded("INSERT INTO notes VALUES ", "('x')")
SCRIPT = padded("INSERT INTO notes VALUES ", f"('x'); {FAST}")


@pytest.mark.parametrize("text, seen", [
    (DATA, KNOWN),
    (padded("INSERT INTO notes VALUES ('x') /* ", f" */; {FAST}", "what is it? "), CHANGED),
    (SCRIPT, CHANGED),
    (SCRIPT.replace(FAST, FAST.upper().replace("SEEN", "seen")), CHANGED),
    (padded("INSERT INTO notes VALUES ", f"('x'); {FAST}", "(E'\\''), "), CHANGED),
    (padded("INSERT INTO notes VALUES ", f"('x'); {FAST}", "($$'$$), "), CHANGED),
    (padded("", FAST, f"SELECT '{'a' * 2000}' AS \"it's\"; "), CHANGED),
    (padded("SELECT 1 ", "", "-- it's \n") + f"; {FAST}", CHANGED),
    (padded("SELECT '", "' AS a INTO new_table", "a"), ASKED),
    (FAST + padded("; SELECT '", "'", "a"), CHANGED),
    (padded("SELECT '", "'; DO 'BEGIN EXECUTE $x$" + FAST + "$x$; END'", "a"), CHANGED),
], ids=["data", "comment", "script", "upper_case", "backslashes", "dollars", "names",
        "line_comments", "into", "at_its_begin", "block"])
def test_a_text_that_is_too_long_to_be_read(cluster, client, watcher, text, seen):
    with cluster.primary.connect(dbname="definitions") as connection:
        connection.execute("CREATE UNLOGGED TABLE IF NOT EXISTS notes (note text); "
                           "DROP TABLE IF EXISTS new_table")
    cached = client.rows("PGPOOL SHOW memory_cache_enabled") == [["on"]]
    wait_for(lambda: watcher.look() == KNOWN, "the view to be known")
    client.send(raw.query(text))
    assert raw.codes(client.read_until("Z")) == []
    assert watcher.look() == (ASKED if cached and seen == KNOWN else seen)
    assert watcher.look()[2] == 0


def test_a_word_of_which_a_part_has_passed(client, watcher):
    """The first 64 kB pass at once."""
    for before in range(65536 - 16, 65536 + 4):
        client.rows(CALM)
        wait_for(lambda: watcher.look() == KNOWN, "the view to be known")
        text = "SELECT '".ljust(before, "a") + f"'; {FAST}; SELECT '" + "a" * 70_000 + "'"
        client.send(raw.query(text))
        assert raw.codes(client.read_until("Z")) == []
        assert watcher.look() == CHANGED


def test_a_long_statement_of_a_batch(client, watcher):
    text = "CREATE OR REPLACE VIEW seen AS SELECT " + padded("CASE WHEN ", "true", "true AND ")
    client.send(batch(text + " THEN a END AS a FROM fast") + raw.SYNC)
    assert raw.codes(client.read_until("Z")) == []
    assert watcher.look() == CHANGED


# ---- plans ---------------------------------------------------------------------------------------

STAR = "SELECT * FROM calm WHERE a = $1"
ALTER = batch("ALTER TABLE calm ADD b int")


def run_star(one):
    one.send(raw.parse("star", STAR), raw.bind("", "star", "1"), raw.execute(), raw.SYNC)
    got = one.read_until("Z")
    assert raw.codes(got) == []
    return [message.row() for message in got if message.kind == "D"]


@pytest.mark.parametrize("steps", [
    ["BEGIN", "ALTER TABLE calm ADD b int", raw.parse("s", STAR), "ROLLBACK"],
    [ALTER + raw.parse("s", STAR) + batch("DROP TABLE nosuch")],
    [ALTER + raw.FLUSH + raw.parse("s", STAR) + raw.FLUSH + batch("DROP TABLE nosuch")],
    [raw.parse("s", STAR.replace("1", "2")), ALTER + raw.parse("t", STAR) + batch("SELEC 1")],
], ids=["block", "batch", "batch_in_pieces", "batch_and_no_sql"])
def test_what_was_parsed_in_vain_is_nobody_elses(cluster, engine, made, steps):
    """The statement has a column more than the table that is left: to whoever prepares the same
    text on the same connection, PostgreSQL would say that his plan must not change its result."""
    del made
    for start in starter(cluster, engine):
        pgpool = start(num_init_children=1, backend_weight0=1, backend_weight1=0, backend_weight2=0,
                       max_pool=1)
        with raw.connected(pgpool, database="definitions") as one:
            for step in steps:
                one.send(raw.query(step) if isinstance(step, str) else step + raw.SYNC)
                one.read_until("Z")
        with raw.connected(pgpool, database="definitions") as other:
            assert run_star(other) == [[b"1"]]


# ---- in the middle of the noise ------------------------------------------------------------------

def test_many_that_fail_make_nobody_ask(pgpool, watcher):
    """Several clients at once, with whatever fails, while the watcher reads."""
    def noise(number):
        with raw.connected(pgpool, database="definitions") as one:
            for _ in range(30):
                for steps in list(FAILURES.values())[number::3]:
                    for step in steps:
                        fail(one, step)

    threads = [Background(noise, number) for number in range(3)]
    while any(thread.is_alive() for thread in threads):
        assert watcher.look() == KNOWN
    for thread in threads:
        thread.result()
    assert watcher.look() == KNOWN
