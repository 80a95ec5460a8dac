"""Native replication and snapshot isolation: statements that servers know, with parameters in the
place of constants, where a text would do something else. PostgreSQL decides some things by what it
sees of a constant, when it parses and when it plans."""

import pytest

import raw
from proxy import starter
from test_native import SETTINGS, servers_beside_a_model
from test_native_taught import Taught
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(40)]

TABLES = """
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nobody') THEN
    CREATE ROLE nobody; END IF; END $$;
CREATE TABLE w (id int PRIMARY KEY, i int, j int, b bool, tx text);
CREATE SCHEMA hidden;
CREATE TABLE hidden.h (id int PRIMARY KEY, i int);
INSERT INTO hidden.h VALUES (1, 1);
CREATE FUNCTION zone() RETURNS text LANGUAGE sql AS
    $$ SELECT set_config('TimeZone', 'Asia/Tokyo', false) $$;
CREATE FUNCTION zone_too() RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN set_config('TimeZone', 'Asia/Tokyo', false); END $$;
CREATE VIEW zones AS SELECT zone() AS z;
"""
START = "INSERT INTO w VALUES (1, 1, 1), (2, NULL, 0)"


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_beside_a_model(TABLES)


@pytest.fixture(name="session", params=["native_replication", "snapshot_isolation"])
def session_fixture(servers, engine, request):
    """Begins a session, with two rows in the table."""
    mode = {"backend_clustering_mode": request.param}
    sessions = []
    for start in starter(servers.cluster, engine):
        pgpool = start(**SETTINGS | mode | {"backend_weight0": 0})

        def begin():
            sessions.append(Taught(pgpool, servers))
            sessions[-1].pgpool = pgpool
            sessions[-1]("TRUNCATE w")
            sessions[-1](START)
            sessions[-1].settles("INSERT INTO w (id) VALUES ({n})")
            return sessions[-1]
        yield begin
        for both in sessions:
            both.close()


@pytest.fixture(name="both")
def both_fixture(session):
    return session()


def same(both, sql="SELECT w::text FROM w ORDER BY id"):
    both(sql)
    both.servers.same(sql)


def test_transform_null_equals_counts_as_of_the_statement(both):
    for step in ("UPDATE w SET b = (i = NULL) WHERE id = 2",
                 "UPDATE w SET b = ((NULL) = i) WHERE id = 2",
                 "UPDATE w SET b = i = NULL WHERE id = 2",
                 "UPDATE w SET j = 5 WHERE id = 2 AND i = NULL",
                 "UPDATE w SET j = 6 WHERE id = 2 AND (NULL) = i"):
        for setting in "off", "on", "off", "on":
            both(f"SET transform_null_equals TO {setting}")
            for _ in range(3):
                both(step)
                same(both)


def test_what_is_never_computed_does_not_fail(session):
    for step in ("UPDATE w SET b = (i / 0 = 1 OR 1 = 1) WHERE id = 1",
                 "UPDATE w SET b = (1 = 2) AND (1 / 0 = 1) WHERE id = 1",
                 "UPDATE w SET j = 7 WHERE id = 1 AND (i / 0 = 1 OR 2 = 1 + 1)",
                 "UPDATE w SET j = 7 WHERE id = 1 AND (i / 0 = 1 OR (2) = (2))",
                 "UPDATE w SET b = i / 0 = 1 AND 1 = 2 WHERE id = 1",
                 "INSERT INTO w (id, b) VALUES (100, (1 = 2) AND (1 / 0 = 1))"):
        both = session()
        both("SET plan_cache_mode TO force_generic_plan")
        for _ in range(4):
            both("BEGIN")
            both(step)
            both("DELETE FROM w WHERE id = 100")
            both("COMMIT")
            same(both)
        both.close()


def test_a_schema_that_a_role_may_not_use(both):
    both("GRANT ALL ON hidden.h TO nobody")
    try:
        for _ in range(4):
            both("UPDATE hidden.h SET i = i + 1 WHERE id = 1")
        both("BEGIN")
        both("SET LOCAL ROLE nobody")
        both("UPDATE hidden.h SET i = i + 1 WHERE id = 1")
        both("ROLLBACK")
        both("SET ROLE nobody")
        both("UPDATE hidden.h SET i = i + 1 WHERE id = 1")
        both("SELECT set_config('role', 'none', false)")
        both("UPDATE hidden.h SET i = i + 1 WHERE id = 1")
        both("SELECT set_config('role', 'nobody', false)")
        both("UPDATE hidden.h SET i = i + 1 WHERE id = 1")
        both("RESET ROLE")
        both("UPDATE hidden.h SET i = i + 1 WHERE id = 1")
    finally:
        both("RESET ROLE")


@pytest.mark.parametrize("reset", ["RESET TimeZone", "SET TimeZone TO DEFAULT", "RESET ALL",
                                   "SET TimeZone TO 'America/Lima'"])
@pytest.mark.parametrize("extended", [False, True])
def test_what_a_function_has_set_is_reset_everywhere(both, reset, extended):
    """All in one packet: the server has not been asked what the function has left."""
    steps = ["SELECT set_config('TimeZone', 'Asia/Tokyo', false)",
             "UPDATE w SET tx = '2020-02-01 00:00'::timestamptz::timestamptz(0)::date WHERE id = 1",
             reset, "UPDATE w SET j = extract(hour FROM '2020-02-01 12:00+00'::timestamptz) "
             "WHERE id = 1"]
    for _ in range(3):
        for to in both.client, both.model:
            to.send(*[raw.parse("", step) + raw.bind("", "") + raw.execute() + raw.SYNC
                      if extended else raw.query(step) for step in steps])
            assert raw.codes(to.read_until("Z", len(steps))) == []
        both.servers.same("SELECT w::text FROM w ORDER BY id")
        both("SELECT w::text FROM w ORDER BY id")
        both("SHOW TimeZone")
    wait_for(lambda: keeps(both) == [""], "the session to keep nothing")
    with raw.connected(both.pgpool) as other:  # it may get the first one's connections
        assert other.rows("UPDATE w SET tx = '2020-02-01 12:00+00'::timestamptz::text "
                          "WHERE id = 1 RETURNING tx") == [["2020-02-01 12:00:00+00"]]
    both.servers.same("SELECT w::text FROM w ORDER BY id")
    both(steps[1])
    both("SHOW TimeZone")
    both(steps[-1])
    same(both)


def keeps(both):
    """What the session keeps, told by another one: it has to rest."""
    port = str(both.client.socket.getsockname()[1])
    with raw.connected(both.pgpool) as other:
        return [row[10] for row in other.rows("SHOW pool_sessions") if row[6] == port]


@pytest.mark.parametrize("reset", ["RESET TimeZone", "RESET ALL", "SET TimeZone TO 'America/Lima'"])
def test_what_is_known_to_be_set_is_reset_everywhere(both, reset):
    """The server was asked, and the session keeps its connections for another reason."""
    both("LISTEN here")
    for _ in range(2):
        both("SELECT zone()")
        wait_for(lambda: keeps(both) == ["LISTEN"], "the server to be asked", 20)
        both(reset)
        both("UPDATE w SET j = extract(hour FROM '2020-02-01 12:00+00'::timestamptz) WHERE id = 1")
        same(both)
        both("SHOW TimeZone")


@pytest.mark.parametrize("read", ["SELECT zone()", "SELECT zone_too()", "SELECT z FROM zones",
                                  "SELECT 1; SELECT zone()"])
@pytest.mark.parametrize("block", [False, True])
def test_what_a_function_sets_is_set_everywhere(both, read, block):
    """All in one packet, and in a session that goes on."""
    steps = [read, "UPDATE w SET j = extract(hour FROM '2020-02-01 12:00+00'::timestamptz), "
             "tx = '2020-02-01 12:00+00'::timestamptz::text WHERE id = 1", "RESET TimeZone"]
    if block:
        steps = ["BEGIN", *steps[:2], "COMMIT", steps[2]]
    for n in range(4):
        if n == 2:
            both("LISTEN here")
        for to in both.client, both.model:
            to.send(*[raw.query(step) for step in steps])
            assert raw.codes(to.read_until("Z", len(steps))) == []
        both.servers.same("SELECT w::text FROM w ORDER BY id")
        both("SELECT w::text FROM w ORDER BY id")
        both("SHOW TimeZone")


def test_a_field_is_read_as_what_it_is(both):
    """Of a type of intervals with fields, which read a constant in another way than a parameter."""
    both("CREATE TYPE spans AS (h interval hour, m interval minute)")
    both("CREATE TABLE fields (id int PRIMARY KEY, c spans)")
    both.settles("INSERT INTO fields (id) VALUES ({n})")
    for n in range(4):
        both(f"INSERT INTO fields (id, c.h, c.m) VALUES ({n}, '5', '7')")
        both(f"UPDATE fields SET c.h = '{n}' WHERE id = {n}")
        same(both, "SELECT id, c::text FROM fields ORDER BY id")
    both("DROP TABLE fields")
    both("DROP TYPE spans")


@pytest.mark.parametrize("change", [
    "SET LOCAL {} TO {}", "SET {} TO {}", "SELECT set_config('{}', '{}', true)",
    "SELECT set_config('{}', '{}', false)"])
def test_names_are_read_as_of_the_statement(both, change):
    """In the client's encoding, and in the schemas of the search path."""
    both('CREATE TABLE letters (id int PRIMARY KEY, v int, "ä" int, "Ã¤" int)')
    both("INSERT INTO letters VALUES (1, 0, 0, 0)")
    both("CREATE SCHEMA before")
    both("CREATE TABLE before.letters AS SELECT * FROM letters")
    both("ALTER TABLE before.letters ADD PRIMARY KEY (id)")
    both.settles("UPDATE letters SET v = {n} WHERE id = 1")
    for n in range(3):
        both(f'UPDATE letters SET "ä" = {n} WHERE id = 1')
    for name, value, back in (("client_encoding", "LATIN1", "UTF8"),
                              ("search_path", "before", "public")):
        both("BEGIN")
        both(change.format(name, value))
        both('UPDATE letters SET "ä" = 7 WHERE id = 1')
        both("UPDATE letters SET v = 7 WHERE id = 1")
        both("COMMIT")
        both(f"SET {name} TO {back}")
        same(both, "SELECT * FROM letters, before.letters b")
    both("DROP TABLE letters, before.letters")
    both("DROP SCHEMA before")


def test_a_block_that_has_failed_at_a_node_of_its_own_says_so(session):
    for end in "ROLLBACK", "COMMIT", "ROLLBACK TO s":
        for step in "SAVEPOINT s", "ROLLBACK TO s", "UPDATE w SET j = 1 WHERE id = 1", "SELECT 1":
            both = session()
            both("BEGIN")
            both("SELECT j / 0 FROM w")
            both(step)
            both(end)
            both("ROLLBACK")
            both("UPDATE w SET j = 5 WHERE id = 1")
            same(both)
            both.close()
