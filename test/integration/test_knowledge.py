"""What catalog/knowledge makes of a real server's catalog, so that statements can be judged by it:
the same as by hand (test/unit/sql/known.c) for all of test/corpus/determinism, and what spoils
tables, views, functions and keys one by one."""

import os
import subprocess

import pytest

from independent import Independent
from proxy import binary
from test_determinism import cases, CORPUS

pytestmark = [pytest.mark.one_engine, pytest.mark.plain]

PROGRAM = os.path.join(os.path.dirname(binary()), "test", "integration", "knowledge")

# What is there beside the corpus' tables.
SCHEMA = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
CREATE FUNCTION pure(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION quiet(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT pure($1) + abs($1)';
CREATE FUNCTION lookup(int) RETURNS text LANGUAGE plpgsql STABLE AS
    'DECLARE r text; BEGIN SELECT v INTO STRICT r FROM p WHERE k = $1; RETURN lower(r); END';
CREATE FUNCTION nested() RETURNS int LANGUAGE sql STABLE AS 'SELECT pure(f_bad())';
CREATE FUNCTION writing() RETURNS int LANGUAGE sql AS 'DELETE FROM n RETURNING x';
CREATE FUNCTION timed() RETURNS text LANGUAGE sql STABLE AS 'SELECT current_date::text';
CREATE FUNCTION dynamic(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END';
CREATE FUNCTION first_one() RETURNS int LANGUAGE sql STABLE AS 'SELECT x FROM n LIMIT 1';
CREATE FUNCTION first_ones() RETURNS int[] LANGUAGE sql STABLE AS 'SELECT array (SELECT x FROM n)';
CREATE FUNCTION looping() RETURNS text LANGUAGE plpgsql STABLE AS
    'DECLARE o text; r n; BEGIN FOR r IN SELECT * FROM n LOOP o := o || r.y; END LOOP;
    RETURN o; END';
CREATE FUNCTION gathered() RETURNS text LANGUAGE sql STABLE AS 'SELECT string_agg(y, '''') FROM n';
CREATE VIEW of_luck AS SELECT random()::int AS x;
CREATE FUNCTION looking_on() RETURNS int LANGUAGE sql STABLE AS 'SELECT x FROM of_luck';
CREATE FUNCTION system_number() RETURNS int LANGUAGE sql STABLE AS
    'SELECT count(*)::int FROM pg_class';
CREATE FUNCTION left_out(int, timestamptz DEFAULT now()) RETURNS int LANGUAGE sql IMMUTABLE
    AS 'SELECT extract(second FROM $2)::int + $1';
CREATE FUNCTION lower(n) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1.y)';
CREATE FUNCTION age(n) RETURNS interval LANGUAGE sql IMMUTABLE AS 'SELECT interval ''1 day''';
CREATE FUNCTION overload(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION overload(int, int) RETURNS int LANGUAGE sql AS 'SELECT f_bad()';
CREATE AGGREGATE gather(text) (SFUNC = textcat, STYPE = text);
CREATE FUNCTION initcap(int) RETURNS text LANGUAGE sql AS 'SELECT random()::text';
CREATE SCHEMA other;
CREATE FUNCTION other.hidden() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION hidden() RETURNS int LANGUAGE sql AS 'SELECT f_bad()';

CREATE FUNCTION sets_pure() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN IF TG_OP = 'INSERT' THEN NEW.x := pure(NEW.x); END IF; RETURN NEW; END$$;
CREATE TABLE triggered (x int);
CREATE TRIGGER pure BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION sets_pure();
CREATE TABLE audited (x int);
CREATE FUNCTION audits() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO n VALUES (NEW.x, ''''); RETURN NEW; END';
CREATE TRIGGER audit AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION audits();
CREATE TABLE disabled (x int);
CREATE TRIGGER off BEFORE INSERT ON disabled FOR EACH ROW EXECUTE FUNCTION z_changes();
ALTER TABLE disabled DISABLE TRIGGER off;
CREATE TABLE whenever (x int);
CREATE TRIGGER w BEFORE INSERT ON whenever FOR EACH ROW WHEN (random() < 0.5)
    EXECUTE FUNCTION sets_pure();
CREATE TABLE emptied (k int PRIMARY KEY);
CREATE TABLE emptied_with (k int REFERENCES emptied);
CREATE FUNCTION empties() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM f_bad(); RETURN NULL; END';
CREATE TRIGGER emptying BEFORE TRUNCATE ON emptied_with EXECUTE FUNCTION empties();
CREATE TABLE parent (k int PRIMARY KEY, v int) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF parent FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF parent DEFAULT;
CREATE TABLE above (i int) PARTITION BY LIST (i);
CREATE TABLE below PARTITION OF above DEFAULT;
CREATE TRIGGER in_part BEFORE INSERT ON below FOR EACH ROW EXECUTE FUNCTION z_changes();
CREATE TABLE inherited (k int PRIMARY KEY);
CREATE TABLE heir () INHERITS (inherited);
CREATE TABLE cascades (k int REFERENCES p ON DELETE CASCADE, i int);
CREATE TABLE source (k int PRIMARY KEY);
CREATE TABLE follows (i int REFERENCES source ON DELETE CASCADE);
CREATE TRIGGER z_follows BEFORE DELETE ON follows FOR EACH ROW EXECUTE FUNCTION z_changes();
CREATE TABLE source_2 (k int PRIMARY KEY);
CREATE TABLE set_anew (i int DEFAULT f_bad() REFERENCES source_2 ON DELETE SET DEFAULT);
CREATE TABLE ruled (x int);
CREATE RULE copies AS ON INSERT TO ruled DO ALSO INSERT INTO n VALUES (NEW.x, '');
CREATE TABLE ignored (x int);
CREATE RULE nothing AS ON INSERT TO ignored DO INSTEAD NOTHING;
CREATE TABLE checked (x int CHECK (x < 100), at timestamptz);
CREATE TABLE checked_now (at timestamptz CONSTRAINT past CHECK (at < now()));
CREATE TABLE checked_date (d date CONSTRAINT today CHECK (d < CURRENT_DATE));
CREATE TABLE secured (x int, owner text);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secured USING (owner = current_user);
CREATE TABLE tenants (x int, tenant text);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (tenant = current_setting('app.tenant')
    AND tenant <> current_setting('app.nobody', true));
CREATE TABLE servers (x int, port text);
ALTER TABLE servers ENABLE ROW LEVEL SECURITY;
CREATE POLICY here ON servers USING (port = current_setting('port') OR port = 'a.b');
CREATE FUNCTION tenant() RETURNS text LANGUAGE sql STABLE AS
    $$SELECT current_setting('app.tenant', true)$$;
CREATE FUNCTION port() RETURNS text LANGUAGE sql STABLE AS 'SELECT current_setting(''port'')';
CREATE TABLE lottery (x int);
ALTER TABLE lottery ENABLE ROW LEVEL SECURITY;
CREATE POLICY luck ON lottery USING (random() < 0.5);
CREATE TABLE open_lottery (x int);
CREATE POLICY luck ON open_lottery USING (random() < 0.5);
CREATE DOMAIN stamp AS timestamptz;
CREATE DOMAIN stamp_now AS stamp DEFAULT now();
CREATE DOMAIN recent AS date CONSTRAINT recently CHECK (VALUE > CURRENT_DATE - 7);
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TABLE of_domains (x small, s stamp, n stamp_now, e stamp_now DEFAULT NULL);
CREATE TABLE of_recent (d recent);
CREATE TABLE computed (x int, y int GENERATED ALWAYS AS (x * 2) STORED);
CREATE TABLE lists (x int, d timestamptz[], r tstzrange);
CREATE FOREIGN TABLE far (x int) SERVER elsewhere;
CREATE SCHEMA "Odd one";
CREATE TABLE "Odd one"."it's" (k int PRIMARY KEY, "at" timestamptz DEFAULT now(), c int DEFAULT
    other.hidden());
CREATE TABLE "Odd one".numbered (i int GENERATED BY DEFAULT AS IDENTITY, v int);
CREATE TABLE dropped (a int, b int, k int PRIMARY KEY);
ALTER TABLE dropped DROP COLUMN a;

CREATE VIEW plain AS SELECT k, v, w FROM p;
CREATE VIEW with_defaults AS SELECT id, a FROM t;
CREATE VIEW numbered AS SELECT i, v FROM "Odd one".numbered;
CREATE VIEW over_trigger AS SELECT i FROM z;
CREATE VIEW of_now AS SELECT k, now() - at AS since FROM p;
CREATE VIEW of_today AS SELECT k FROM p WHERE at < CURRENT_DATE;
CREATE VIEW of_random AS SELECT k FROM of_now ORDER BY f_bad();
CREATE VIEW of_few AS SELECT k FROM p LIMIT 3;
CREATE VIEW of_one_each AS SELECT DISTINCT ON (w) k, w FROM p;
CREATE VIEW of_places AS SELECT k, row_number() OVER (ORDER BY w) AS place FROM p;
CREATE VIEW of_lists AS SELECT ARRAY(SELECT k FROM p) AS list;
CREATE VIEW of_system AS SELECT oid AS k FROM pg_class;
CREATE VIEW of_rows AS SELECT k, ctid::text AS place FROM p;
CREATE VIEW of_sample AS SELECT k FROM p TABLESAMPLE bernoulli (10);
CREATE VIEW of_texts AS SELECT y::timestamptz AS at FROM n;
CREATE VIEW of_sums AS SELECT w, count(*)::int AS k FROM p GROUP BY w;
CREATE VIEW of_far AS SELECT x FROM far;
CREATE MATERIALIZED VIEW fixed AS SELECT k, v FROM p;
CREATE MATERIALIZED VIEW varying AS SELECT k, random() AS r FROM p;
CREATE TABLE rowed (k int);
CREATE FUNCTION luck(rowed) RETURNS int LANGUAGE sql AS 'SELECT f_bad()';

CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE keys (a int NOT NULL, b int NOT NULL, c int, d text NOT NULL, e text COLLATE alike NOT
    NULL, f int NOT NULL, g int NOT NULL, h int NOT NULL);
CREATE UNIQUE INDEX ON keys (a, b) INCLUDE (g);
CREATE UNIQUE INDEX ON keys (c);
CREATE UNIQUE INDEX ON keys (f) WHERE f > 0;
CREATE UNIQUE INDEX ON keys (lower(d));
CREATE UNIQUE INDEX ON keys (e COLLATE "C");
ALTER TABLE keys ADD UNIQUE (h) DEFERRABLE;
CREATE INDEX ON keys (g);

CREATE FUNCTION adds(point, int) RETURNS point LANGUAGE sql AS 'SELECT point(random(), $2)';
CREATE OPERATOR +% (LEFTARG = point, RIGHTARG = int, FUNCTION = adds);
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION paired(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW(f_bad(), $1)::pair';
CREATE CAST (int AS pair) WITH FUNCTION paired(int);
CREATE TABLE pairs (p pair DEFAULT 5::pair, x int);
"""

# A statement, and what becomes of it: equal, or words of the reason, or "{" and its values.
JUDGED = """
# functions
INSERT INTO n (x) VALUES (pure(1))
= equal
INSERT INTO n (x) VALUES (quiet(1))
= equal
INSERT INTO n (y) VALUES (lookup(1))
= equal
INSERT INTO n (x) VALUES (nested())
! function "nested"
INSERT INTO n (x) VALUES (writing())
! function "writing"
INSERT INTO n (y) VALUES (timed())
! function "timed"
SELECT dynamic('DELETE FROM n')
! function "dynamic"
INSERT INTO n (x) VALUES (first_one())
! function "first_one"
INSERT INTO n (x) VALUES ((first_ones())[1])
! function "first_ones"
INSERT INTO n (y) VALUES (looping())
! function "looping"
INSERT INTO n (y) VALUES (gathered())
! function "gathered"
INSERT INTO n (x) VALUES (system_number())
! function "system_number"
INSERT INTO n (x) VALUES (looking_on())
! function "looking_on"
INSERT INTO n (x) VALUES (left_out(1))
! function "left_out"
INSERT INTO n (x) SELECT k FROM p WHERE lower(v) = 'v1'
= equal
INSERT INTO x (i) SELECT age(n) FROM n
> CURRENT_DATE
INSERT INTO n (x) VALUES (overload(1))
= equal
INSERT INTO n (x) VALUES (overload(1, 2))
! function "overload"
INSERT INTO n (x) VALUES (overload(1)), (overload(1, 2))
! function "overload"
INSERT INTO n (y) SELECT gather(v) FROM p
! function "gather"
INSERT INTO n (y) VALUES (initcap('x'))
! function "initcap"
INSERT INTO n (x) VALUES (hidden())
! function "hidden"
INSERT INTO n (x) VALUES (other.hidden())
= equal
INSERT INTO n (x) VALUES (no_such_function(1))
! no_such_function
# operators, types, casts
INSERT INTO n (y) VALUES ((point '(1,1)' +% 1)::text)
! operator "+%" calls "random"
INSERT INTO n (x) VALUES ((5::pair).a)
! type "pair" calls "random"
INSERT INTO n (x) VALUES (1 + 1)
= equal
INSERT INTO pairs (x) VALUES (1)
! default
# triggers, rules, checks, policies
INSERT INTO triggered VALUES (1)
= equal
INSERT INTO audited VALUES (1)
! trigger "audit" calls a volatile function "audits"
INSERT INTO disabled VALUES (1)
= equal
INSERT INTO whenever VALUES (1)
! trigger "w" calls "random"
TRUNCATE z
= equal
TRUNCATE emptied, emptied_with
! trigger "emptying" calls "random"
TRUNCATE emptied CASCADE
! trigger "emptying" calls "random"
INSERT INTO emptied_with VALUES (1)
= equal
INSERT INTO parent VALUES (1)
= equal
INSERT INTO above VALUES (1)
! trigger "in_part"
DELETE FROM p WHERE k = 1
= equal
DELETE FROM source WHERE k = 1
! trigger "z_follows"
DELETE FROM source_2 WHERE k = 1
! default of column "i"
INSERT INTO ruled VALUES (1)
! rule "copies"
INSERT INTO ignored VALUES (1)
= equal
INSERT INTO checked (x) VALUES (1)
= equal
INSERT INTO checked_now VALUES ('2020-01-01')
! check "past" calls "now"
INSERT INTO checked_date VALUES ('2020-01-01')
! check "today" reads the time
INSERT INTO secured VALUES (1, 'me')
= equal
INSERT INTO tenants VALUES (1, 'me')
= equal
INSERT INTO servers VALUES (1, 'me')
! policy "here" calls "current_setting"
INSERT INTO n (y) VALUES (tenant())
= equal
INSERT INTO n (y) VALUES (port())
! function "port"
INSERT INTO lottery VALUES (1)
! policy "luck" calls "random"
INSERT INTO n (x) SELECT x FROM lottery
! policy "luck" calls "random"
SELECT x FROM lottery
= equal
INSERT INTO open_lottery VALUES (1)
= equal
# domains, columns
INSERT INTO of_domains (x, n) VALUES (1, '2020-01-01')
= equal
INSERT INTO of_domains (x) VALUES (1)
> {T now() pg_catalog.timestamptz}
INSERT INTO of_domains (s, n) VALUES ('now', '2020-01-01')
> 'now'
INSERT INTO of_recent VALUES ('2020-01-01')
! check "recently" reads the time
INSERT INTO computed (x) VALUES (1)
= equal
INSERT INTO lists (x, r) VALUES (1, '[now,infinity]')
> {T '[now,infinity]'
INSERT INTO far VALUES (1)
! table "far"
INSERT INTO n (x) SELECT x FROM far
! table "far"
SELECT x FROM far
= equal
INSERT INTO "Odd one"."it's" (k) VALUES (1)
> {T now() pg_catalog.timestamptz}
INSERT INTO "Odd one".numbered (v) VALUES (1)
> {D nextval('"Odd one".numbered_i_seq'::regclass) pg_catalog.int4}
UPDATE dropped SET b = random() WHERE k = 1
> {O random()
# views
UPDATE plain SET w = 1 WHERE k = 1
= equal
INSERT INTO with_defaults (a) VALUES (1)
! the default of column
INSERT INTO numbered (v) VALUES (1)
! column "i" behind the view
INSERT INTO over_trigger VALUES (1)
! trigger "z_random"
INSERT INTO n (x) SELECT k FROM of_now
! view "of_now" calls "now"
SELECT k FROM of_now
= equal
INSERT INTO n (x) SELECT k FROM of_today
! view "of_today" reads the time
INSERT INTO n (x) SELECT k FROM of_random
! view "of_random"
INSERT INTO n (x) SELECT k FROM of_few
! view "of_few" takes some of several rows
INSERT INTO n (x) SELECT k FROM of_one_each
! view "of_one_each" takes some of several rows
INSERT INTO n (x) SELECT place FROM of_places
! view "of_places"
INSERT INTO n (x) SELECT list[1] FROM of_lists
! view "of_lists" depends on the order of rows
INSERT INTO n (x) SELECT k::int FROM of_system
! view "of_system" reads the system's own tables
INSERT INTO n (x) SELECT k FROM of_rows
! view "of_rows" reads columns of the system's
INSERT INTO n (x) SELECT k FROM of_sample
! view "of_sample"
INSERT INTO x (z) SELECT at FROM of_texts
! view "of_texts" reads a text as a time
INSERT INTO n (x) SELECT k FROM of_sums
= equal
INSERT INTO n (x) SELECT x FROM of_far
! view "of_far"
SELECT setval('s', x) FROM of_far
! setval
REFRESH MATERIALIZED VIEW fixed
= equal
REFRESH MATERIALIZED VIEW varying
! materialized view "varying" calls "random"
INSERT INTO n (x) SELECT k FROM varying
= equal
INSERT INTO n (x) SELECT rowed.luck FROM rowed
! function "luck" of a row of it calls "random"
# keys
UPDATE keys SET c = random() WHERE a = 1 AND b = 1
> {O random()
UPDATE keys SET c = random() WHERE a = 1
! random
UPDATE keys SET a = random() WHERE c = 1
! random
UPDATE keys SET a = random() WHERE f = 1
! random
UPDATE keys SET a = random() WHERE d = 'x'
! random
UPDATE keys SET a = random() WHERE e = 'x'
! random
UPDATE keys SET a = random() WHERE g = 1
! random
UPDATE keys SET a = random() WHERE h = 1
! random
UPDATE parent SET v = random() WHERE k = 1
> {O random()
UPDATE inherited SET k = random() WHERE k = 1
! random
"""


def judged():
    lines = [line for line in JUDGED.splitlines() if line and line[0] != "#"]
    return list(zip(lines[::2], lines[1::2], strict=True))


class Program:
    def __init__(self, conninfo):
        self.process = subprocess.Popen([PROGRAM, conninfo], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __call__(self, letter, words=""):
        self.process.stdin.write(f"{letter} {words}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()[:-1]

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


@pytest.fixture(name="server", scope="module")
def server_fixture():
    cluster = Independent(standbys=0)
    server = cluster.servers[0]
    with open(CORPUS + "/schema.sql", encoding="utf-8") as file:
        corpus = file.read()
    with server.connect() as connection:
        connection.execute(corpus)
        connection.execute(SCHEMA)
    yield server
    cluster.destroy()


@pytest.fixture(name="program")
def program_fixture(server):
    program = Program(server.dsn())
    yield program
    program.end()


def test_a_server_says_what_was_said_by_hand(program):
    seen = {"equal": 0, "made": 0, "unequal": 0}
    for statement, _ in cases():
        by_hand = program("H", statement)
        asked = program("J", statement)
        assert asked.removesuffix(" missing") == by_hand, statement
        seen[by_hand.split()[0]] += 1
    assert min(seen.values()) > 40, seen


def test_what_spoils_a_statement_is_found(program):
    wrong = []
    for statement, expected in judged():
        found = program("J", statement)
        word = {"=": "equal", "!": "unequal", ">": "made"}[expected[0]]
        if not found.startswith(word) or (word != "equal" and expected[2:] not in found):
            wrong.append((statement, expected, found))
    assert not wrong, "\n".join(map(str, wrong))


def test_what_is_known_is_kept_until_the_catalog_changes(program):
    statement = "INSERT INTO kept (a) VALUES (quiet(1))"
    assert program("S", "CREATE TABLE kept (a int)") == "ok"
    assert program("N", statement) == "3"
    assert program("J", statement) == "equal"
    assert program("N", statement) == "0"
    assert program("N", "DELETE FROM kept USING t WHERE t.id = kept.a") == "2"  # t and =
    assert program("S", "ALTER TABLE kept ADD at timestamptz DEFAULT now()") == "ok"
    assert program("J", statement) == "equal"
    program("C")
    assert program("N", statement) == "3"
    assert program("J", statement).startswith("made ")
    assert program("S", "DROP TABLE kept") == "ok"


def test_what_is_not_there_is_said_to_be_missing(program):
    assert program("J", "INSERT INTO nowhere VALUES (1)").endswith(" missing")
    assert program("J", "INSERT INTO n (x) SELECT k FROM nowhere").endswith(" missing")
    assert not program("J", "INSERT INTO n (x) VALUES (nobody(1))").endswith(" missing")


def test_a_transaction_asks_for_its_own_tables_within_itself(program):
    statement = "INSERT INTO mine (a) VALUES (1)"
    assert program("S", "BEGIN") == "ok"
    assert program("S", "CREATE TEMP TABLE mine (a int, at timestamptz DEFAULT now())") == "ok"
    assert program("W", statement).startswith("made ")
    assert program("S", "SELECT 1 FROM mine") == "ok"
    assert program("S", "ROLLBACK") == "ok"
    assert program("J", statement).endswith(" missing")


@pytest.mark.parametrize("setting", ["quote_all_identifiers = on", "search_path = other, public",
                                     "standard_conforming_strings = off"])
def test_settings_of_the_session_change_no_verdict(program, setting):
    """The names that they change are written as they are then read."""
    statements = [statement for statement, _ in cases()]
    before = [program("H", statement) for statement in statements]
    assert program("S", f"SET {setting}") == "ok"
    for statement, by_hand in zip(statements, before):
        found = program("W", statement).removesuffix(" missing")
        assert found.split()[0] == by_hand.split()[0], (statement, found)
