"""What the query cache's tests share: tables, sessions, and the settings of their pgpool."""

import pytest

import raw
from cache_asker import Asker

# All reads at the primary: what is kept is fresh at once.
PGPOOL_SETTINGS = {"memory_cache_enabled": "on", "backend_weight0": 1, "backend_weight1": 0,
                   "backend_weight2": 0, "memqcache_maxcache": "20kB",
                   "allow_sql_comments": "on"}

TABLES = """
DROP SCHEMA IF EXISTS c CASCADE; CREATE SCHEMA c;
CREATE TABLE c.t (a int PRIMARY KEY, b text); INSERT INTO c.t VALUES (1, 'x'), (2, 'y');
CREATE TABLE c.other (a int); INSERT INTO c.other VALUES (7);
CREATE VIEW c.v AS SELECT a, b FROM c.t; CREATE VIEW c.vv AS SELECT a FROM c.v;
CREATE MATERIALIZED VIEW c.m AS SELECT count(*) FROM c.t;
CREATE TABLE c.part (a int, b int) PARTITION BY LIST (a);
CREATE TABLE c.part1 PARTITION OF c.part FOR VALUES IN (1);
CREATE TABLE c.part2 PARTITION OF c.part FOR VALUES IN (2);
INSERT INTO c.part VALUES (1, 10), (2, 20);
CREATE TABLE c.base (a int); CREATE TABLE c.heir () INHERITS (c.base);
INSERT INTO c.heir VALUES (1);
CREATE TABLE c.owner (id int PRIMARY KEY); INSERT INTO c.owner VALUES (1);
CREATE TABLE c.owned (id int REFERENCES c.owner ON UPDATE CASCADE ON DELETE CASCADE);
INSERT INTO c.owned VALUES (1);
CREATE TABLE c.src (a int); CREATE TABLE c.log (a int); INSERT INTO c.log VALUES (0);
CREATE FUNCTION c.note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE c.log SET a = a + 1; RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON c.src FOR EACH ROW EXECUTE FUNCTION c.note();
CREATE VIEW c.ruled AS SELECT a FROM c.other;
CREATE RULE r AS ON INSERT TO c.ruled DO INSTEAD UPDATE c.other SET a = NEW.a;
CREATE FUNCTION c.writes() RETURNS int LANGUAGE sql AS
    $$ UPDATE c.t SET b = b || '!' WHERE a = 1; SELECT 1 $$;
CREATE PROCEDURE c.proc() LANGUAGE sql AS $$ UPDATE c.t SET b = b || '!' WHERE a = 1 $$;
CREATE FUNCTION c.fixed(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION c.says(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RAISE NOTICE 'computed'; RETURN $1; END $$;
CREATE FUNCTION c.steady() RETURNS int LANGUAGE sql STABLE AS 'SELECT a FROM c.other';
CREATE UNLOGGED TABLE c.u (a int); INSERT INTO c.u VALUES (1);
CREATE SEQUENCE c.s;
CREATE VIEW c.clock AS SELECT now() AS at;
CREATE TABLE c.guarded (a int, owner text); ALTER TABLE c.guarded ENABLE ROW LEVEL SECURITY;
INSERT INTO c.guarded VALUES (1, 'cache_a'), (2, 'cache_b');
CREATE POLICY own ON c.guarded USING (owner = current_user);
CREATE TABLE c.setting (a int); ALTER TABLE c.setting ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON c.setting USING (a = current_setting('c.a', true)::int);
INSERT INTO c.setting VALUES (1), (2);
CREATE TABLE c.big AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 50);
"""
ROLES = ("cache_a", "cache_b")


@pytest.fixture(name="tables")
def tables_fixture(cluster, pgpool):
    """Made through pgpool, which would not hear of it otherwise."""
    with raw.connected(pgpool) as one:
        make_tables(one)
    cluster.wait_replayed()


def make_tables(one):
    for role in ROLES:
        one.rows(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN "
                 "NULL; END $$")
        one.rows(f"DROP SCHEMA IF EXISTS {role} CASCADE; CREATE SCHEMA {role};"
                 f"CREATE TABLE {role}.mine AS SELECT '{role}' AS who;"
                 f"GRANT USAGE ON SCHEMA {role} TO {role}; GRANT SELECT ON {role}.mine TO {role};")
    one.rows(TABLES + "GRANT USAGE ON SCHEMA c TO PUBLIC;"
             "GRANT SELECT ON ALL TABLES IN SCHEMA c TO PUBLIC;")


@pytest.fixture(name="one")
def one_fixture(tables, pgpool):
    with Asker(pgpool) as one:
        yield one


@pytest.fixture(name="two")
def two_fixture(tables, pgpool):
    with Asker(pgpool) as two:
        yield two


T = "SELECT b FROM c.t WHERE a = 1"


def direct_rows(direct, sql):
    with raw.connected(direct) as one:
        return one.rows(sql)
