"""Native replication and snapshot isolation: statements that servers know, with parameters in the
place of constants, where a text would do something else. PostgreSQL decides some things by what it
sees of a constant, when it parses and when it plans."""

import pytest

from proxy import starter
from test_native import SETTINGS, servers_beside_a_model
from test_native_taught import Taught

pytestmark = [pytest.mark.plain, pytest.mark.takes(40)]

TABLES = """
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nobody') THEN
    CREATE ROLE nobody; END IF; END $$;
CREATE TABLE w (id int PRIMARY KEY, i int, j int, b bool, tx text);
CREATE SCHEMA hidden;
CREATE TABLE hidden.h (id int PRIMARY KEY, i int);
INSERT INTO hidden.h VALUES (1, 1);
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
