"""Which tables statements read and write, and which answers may be kept, as the catalog of a real
server says (src/catalog/tables.sql). Each row says what must come out; and whatever changes when
the statement is run must be among what it was said to write."""

import functools
import os
import subprocess

import psycopg
import pytest

from proxy import binary

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(40)]

PROGRAM = os.path.join(os.path.dirname(binary()), "test", "integration", "cache_tables")

SETTINGS = ["cache_unsafe_memqcache_table_list = 'secret_.*,other[.]hidden'",
            "cache_safe_memqcache_table_list = 'far_safe,far_view'"]

SCHEMA = """
CREATE EXTENSION IF NOT EXISTS file_fdw;
CREATE SCHEMA other;
CREATE TABLE a (id int PRIMARY KEY, x text, d date, ts timestamptz DEFAULT now(), ti time);
CREATE TABLE b (id serial PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, y text);
CREATE TABLE c (id int PRIMARY KEY, 
    b int DEFAULT 1 REFERENCES b ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE d (id int PRIMARY KEY, c int REFERENCES c ON UPDATE CASCADE);
CREATE TABLE e (id int PRIMARY KEY, a int REFERENCES a);
CREATE TABLE textual (td text, vd varchar, when_text text);
CREATE TABLE other.hidden (id int);
CREATE TABLE secret_plans (id int);
CREATE TABLE zoned (id int, t timetz);
CREATE UNLOGGED TABLE unlogged (id int);
CREATE TABLE other.a (id int);
CREATE TABLE "Quoted t" ("Id" int);
CREATE TABLE gen (id int GENERATED ALWAYS AS IDENTITY, n int,
    twice int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO a SELECT g, 'x' || g, '2020-01-01', '2020-01-01', '10:00' FROM generate_series(1, 5) g;
INSERT INTO b SELECT g, g, 'y' FROM generate_series(1, 5) g;
INSERT INTO c SELECT g, g FROM generate_series(1, 5) g;
INSERT INTO d SELECT g, g FROM generate_series(1, 5) g;
INSERT INTO secret_plans VALUES (1);

-- functions
CREATE FUNCTION imm(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION sta(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION sta_reads(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM a';
CREATE FUNCTION vol(int) RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION vol_writes(int) RETURNS int VOLATILE LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO e VALUES ($1 + 100, NULL); RETURN 1; END';
CREATE FUNCTION sta_hides(int) RETURNS int STABLE LANGUAGE plpgsql
    AS 'BEGIN RETURN vol_writes($1); END';
CREATE FUNCTION vol_dynamic(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END';
CREATE FUNCTION definer(int) RETURNS int LANGUAGE sql SECURITY DEFINER
    AS 'UPDATE e SET a = NULL RETURNING 1';
CREATE FUNCTION definer_imm(int) RETURNS int LANGUAGE sql IMMUTABLE SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION with_default(int, int DEFAULT vol_writes(1)) RETURNS int IMMUTABLE LANGUAGE sql
    AS 'SELECT 1';
CREATE FUNCTION vol_atomic() RETURNS int LANGUAGE sql
    BEGIN ATOMIC INSERT INTO e VALUES (900) RETURNING 1; END;
CREATE FUNCTION lower(int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION other.lower(text) RETURNS text VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION row_label(other.a) RETURNS text STABLE LANGUAGE sql AS 'SELECT ''l''';
CREATE FUNCTION sfunc(int, int) RETURNS int STABLE LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE agg_vol(int) (SFUNC = sfunc, STYPE = int);
CREATE AGGREGATE agg_imm(int) (SFUNC = int4pl, STYPE = int);
CREATE OPERATOR +@+ (LEFTARG = int, RIGHTARG = int, FUNCTION = sfunc);
CREATE FUNCTION ipl(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE OPERATOR @@@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = ipl);

-- types
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN checked AS int CHECK (imm(VALUE) > 0);
CREATE DOMAIN odd AS int CHECK (sta(VALUE) > 0);
CREATE DOMAIN day AS date;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a int, b date);
CREATE TABLE typed (p positive, o odd, m mood);
CREATE TABLE dwrites (p positive DEFAULT 1, o int);

-- views
CREATE VIEW v_ab AS SELECT a.x, b.id FROM a JOIN b ON a.id = b.a;
CREATE VIEW v_on_v AS SELECT count(*) FROM v_ab, c;
CREATE VIEW v_simple AS SELECT id, x FROM a WHERE id < 100;
CREATE VIEW v_where AS SELECT id FROM c WHERE b IN (SELECT id FROM b);
CREATE VIEW v_now AS SELECT id FROM a WHERE ts < now();
CREATE VIEW v_date AS SELECT id FROM a WHERE d < current_date;
CREATE VIEW v_user AS SELECT id FROM a WHERE x = current_user;
CREATE VIEW v_cast AS SELECT td::date FROM textual;
CREATE VIEW v_char AS SELECT to_char(ts, 'YYYY') FROM a;
CREATE VIEW v_age AS SELECT age(d) FROM a;
CREATE VIEW v_age2 AS SELECT age(d, d) FROM a;
CREATE VIEW v_fn AS SELECT vol(id) FROM a;
CREATE VIEW v_imm AS SELECT imm(id) FROM a;
CREATE VIEW v_lock AS SELECT id FROM a FOR UPDATE;
CREATE VIEW v_sample AS SELECT id FROM a TABLESAMPLE system (50);
CREATE VIEW v_xmin AS SELECT xmin FROM a;
CREATE VIEW v_secret AS SELECT id FROM secret_plans;
CREATE VIEW v_sys AS SELECT relname FROM pg_class;
CREATE VIEW v_seq AS SELECT last_value FROM b_id_seq;
CREATE VIEW v_writes AS SELECT vol_writes(1) AS w;
CREATE VIEW v_setting AS SELECT current_setting('work_mem');
CREATE VIEW v_const AS SELECT 1 AS one, 'now'::timestamptz AS moment;
CREATE VIEW v_union AS SELECT id FROM a UNION ALL SELECT id FROM e;
CREATE VIEW v_cte AS WITH x AS (SELECT id FROM d) SELECT x.id FROM x, unlogged;
CREATE MATERIALIZED VIEW m_ab AS SELECT a.id FROM a JOIN b ON true;
CREATE VIEW v_m AS SELECT * FROM m_ab;
CREATE MATERIALIZED VIEW m_writes AS SELECT vol_writes(800) WITH NO DATA;

-- inheritance and partitions
CREATE TABLE parent (id int);
CREATE TABLE child1 (y int) INHERITS (parent);
CREATE TABLE child2 () INHERITS (child1);
CREATE TABLE p (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (10) TO (15);
CREATE TABLE of_p (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE);
INSERT INTO p VALUES (1, 1), (11, 1); INSERT INTO of_p VALUES (1, 1);
CREATE TABLE w (id int, n int) PARTITION BY LIST (id);
DO $$ BEGIN FOR i IN 1..40 LOOP
    EXECUTE format('CREATE TABLE w%s PARTITION OF w FOR VALUES IN (%s)', i, i);
    END LOOP; END $$;
CREATE VIEW v_w AS SELECT w.id FROM w, a;
CREATE TABLE empty_p (id int) PARTITION BY LIST (id);
DO $$ BEGIN FOR i IN 1..30 LOOP EXECUTE format('CREATE TABLE many%s (id int)', i); END LOOP; END $$;
CREATE TABLE big (id int);
DO $$ BEGIN FOR i IN 1..30 LOOP
    EXECUTE format('CREATE TABLE big%s () INHERITS (big)', i);
    END LOOP; END $$;
CREATE TABLE hub (id int PRIMARY KEY);
DO $$ BEGIN FOR i IN 1..30 LOOP
    EXECUTE format('CREATE TABLE spoke%s (h int REFERENCES hub ON DELETE CASCADE)', i);
    END LOOP; END $$;

-- triggers, rules
CREATE TABLE log (t text);
CREATE FUNCTION trg_log() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO log VALUES (1); RETURN NEW; END';
CREATE FUNCTION trg_touch() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN IF NEW IS DISTINCT FROM OLD THEN NEW.ts := now(); END IF; RETURN NEW; END';
CREATE FUNCTION trg_calls() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM vol_writes(NEW.id); RETURN NEW; END';
CREATE FUNCTION trg_calls_imm() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN NEW.id := imm(NEW.id); RETURN NEW; END';
CREATE TABLE logged (id int, ts timestamptz);
CREATE TRIGGER l AFTER INSERT ON logged FOR EACH ROW EXECUTE FUNCTION trg_log();
CREATE TABLE touch (id int, ts timestamptz);
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON touch FOR EACH ROW EXECUTE FUNCTION trg_touch();
CREATE TABLE calls (id int);
CREATE TRIGGER c BEFORE INSERT ON calls FOR EACH ROW EXECUTE FUNCTION trg_calls();
CREATE TABLE calls_imm (id int);
CREATE TRIGGER c BEFORE INSERT ON calls_imm FOR EACH ROW EXECUTE FUNCTION trg_calls_imm();
CREATE TABLE vec (t text, v tsvector);
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON vec FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger(v, 'pg_catalog.english', t);
CREATE TABLE when_t (id int);
CREATE TRIGGER w BEFORE INSERT ON when_t FOR EACH ROW WHEN (vol_writes(NEW.id) > 0)
    EXECUTE FUNCTION trg_calls_imm();
CREATE TABLE stmt_t (id int);
CREATE TRIGGER s AFTER TRUNCATE ON stmt_t FOR EACH STATEMENT EXECUTE FUNCTION trg_log();
CREATE TABLE off_t (id int);
CREATE TRIGGER o AFTER INSERT ON off_t FOR EACH ROW EXECUTE FUNCTION trg_log();
ALTER TABLE off_t DISABLE TRIGGER o;
CREATE TABLE pt (id int) PARTITION BY LIST (id);
CREATE TABLE pt1 PARTITION OF pt FOR VALUES IN (1);
CREATE TRIGGER l AFTER INSERT ON pt FOR EACH ROW EXECUTE FUNCTION trg_log();
CREATE TABLE cascading (id int PRIMARY KEY);
CREATE TABLE cascaded (c int REFERENCES cascading ON DELETE CASCADE);
INSERT INTO cascading VALUES (1); INSERT INTO cascaded VALUES (1);
CREATE TRIGGER l AFTER DELETE ON cascaded FOR EACH ROW EXECUTE FUNCTION trg_log();
CREATE TABLE ruled (id int);
CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO log VALUES ('r');
CREATE TABLE nothing (id int);
CREATE RULE r AS ON DELETE TO nothing DO INSTEAD NOTHING;
CREATE VIEW v_instead AS SELECT x, id FROM v_ab;
CREATE TRIGGER i INSTEAD OF INSERT ON v_instead FOR EACH ROW EXECUTE FUNCTION trg_log();
CREATE TABLE def (id int DEFAULT vol_writes(500), n int DEFAULT vol(1));
CREATE TABLE def_own (id uuid DEFAULT gen_random_uuid(), ts timestamptz DEFAULT clock_timestamp());
CREATE TABLE idx (id int);
CREATE INDEX ON idx (imm(id));
CREATE VIEW v_logged AS SELECT id FROM logged;
CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self ON DELETE CASCADE);
CREATE TABLE set_default (id int DEFAULT vol_writes(700)
    REFERENCES cascading ON DELETE SET DEFAULT);

-- row security
CREATE TABLE rls (id int, owner text);
ALTER TABLE rls ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON rls USING (owner = current_user AND id IN (SELECT id FROM e));
CREATE TABLE rls_setting (id int, owner text);
ALTER TABLE rls_setting ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON rls_setting USING (owner = current_setting('app.user'));
CREATE TABLE rls_off (id int, owner text);
CREATE POLICY p ON rls_off USING (owner = current_setting('app.user'));
CREATE TABLE rls_fn (id int);
ALTER TABLE rls_fn ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON rls_fn USING (sta(id) > 0) WITH CHECK (vol_writes(id) > 0);
CREATE VIEW v_rls AS SELECT id FROM rls;

-- foreign tables
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE far (id int) SERVER files OPTIONS (filename '/dev/null');
CREATE FOREIGN TABLE far_safe (id int) SERVER files OPTIONS (filename '/dev/null');
CREATE VIEW far_view AS SELECT * FROM far;
CREATE VIEW far_other AS SELECT * FROM far;
"""

NO_FUNCTION = "no it calls a function whose answers may change"
NO_TIME = "no it may depend on the time"
NO_LOCKS = "no it locks rows"
NO_SAMPLE = "no it reads a sample of a table"
NO_COLUMN = "no it reads columns of the system's"
NO_MISSING = "no a name in it is not known"
NO_TEMPORARY = "no it reads a temporary table"
NO_SYSTEM = "no it reads the system's own tables"
NO_FOREIGN = "no it reads a foreign table"
NO_SEQUENCE = "no it reads a sequence"
NO_LISTED = 'no it reads a table in "cache_unsafe_memqcache_table_list"'
NO_MANY = "no it comes from too many tables"
NO_KIND = "no it is no plain read"
MANY = ", ".join(f"many{n}" for n in range(1, 31))
MOST = [f"many{n}" for n in range(1, 25)]

READS = [
    ("SELECT * FROM a", "a"),
    ("SELECT 1", ""),
    ("VALUES (1), (2)", ""),
    ("TABLE a", "a"),
    ("SELECT * FROM a, b WHERE a.id = b.a", "a b"),
    ("SELECT * FROM public.a, other.a", NO_FUNCTION),  # row_label(other.a) may be its column
    ('SELECT "Id" FROM "Quoted t"', "Quoted t"),
    ("SELECT (SELECT count(*) FROM b) FROM a WHERE id IN (SELECT a FROM e)", "a b e"),
    ("WITH x AS (SELECT * FROM a), b AS (SELECT 1) SELECT * FROM x, b", "a"),
    ("SELECT 1 FROM a UNION SELECT 2 FROM c", "a c"),
    ("SELECT 'a'::regclass", ""),
    ("SELECT * FROM unlogged", "unlogged", "roots"),
    ("SELECT * FROM gen", "gen"),
    ("SELECT * FROM typed", "typed"),
    # views
    ("SELECT * FROM v_ab", "a b"),
    ("SELECT * FROM v_on_v", "a b c"),
    ("SELECT * FROM v_where", "b c"),
    ("SELECT * FROM v_union", "a e"),
    ("SELECT * FROM v_cte", "d unlogged", "roots"),
    ("SELECT * FROM v_const", ""),
    ("SELECT * FROM v_user", "a"),
    ("SELECT * FROM v_char", "a"),
    ("SELECT * FROM v_imm", "a"),
    ("SELECT * FROM v_age2", "a"),
    ("SELECT * FROM v_m", "m_ab", "roots"),
    ("SELECT * FROM m_ab", "m_ab", "roots"),
    ("SELECT * FROM v_now", NO_FUNCTION),
    ("SELECT * FROM v_date", NO_TIME),
    ("SELECT * FROM v_cast", NO_TIME),
    ("SELECT * FROM v_age", NO_FUNCTION),
    ("SELECT * FROM v_fn", NO_FUNCTION),
    ("SELECT * FROM v_writes", NO_FUNCTION),
    ("SELECT * FROM v_setting", NO_FUNCTION),
    ("SELECT * FROM v_lock", NO_LOCKS),
    ("SELECT * FROM v_sample", NO_SAMPLE),
    ("SELECT * FROM v_xmin", NO_COLUMN),
    ("SELECT * FROM v_sys", NO_SYSTEM),
    ("SELECT * FROM v_seq", NO_SEQUENCE),
    ("SELECT * FROM information_schema.tables", NO_SYSTEM),
    ("SELECT * FROM pg_settings", NO_SYSTEM),
    # inheritance and partitions
    ("SELECT * FROM parent", "parent child1 child2"),
    ("SELECT * FROM ONLY parent", "parent child1 child2"),
    ("SELECT * FROM child1", "child1 child2"),
    ("SELECT * FROM p", "p1 p2a"),
    ("SELECT * FROM p2", "p2a"),
    ("SELECT * FROM p1", "p1"),
    ("SELECT * FROM w", "w", "roots"),
    ("SELECT * FROM w7", "w", "roots"),
    ("SELECT * FROM v_w", "a w", "roots"),
    ("SELECT * FROM empty_p", ""),
    ("SELECT * FROM big", NO_MANY),
    ("SELECT 1 FROM " + MANY, NO_MANY),
    ("SELECT 1 FROM " + ", ".join(MOST), " ".join(MOST)),
    # functions, operators, types
    ("SELECT count(*), sum(id), max(x), string_agg(x, ',') FROM a", "a"),
    ("SELECT imm(id) FROM a", "a"),
    ("SELECT definer_imm(1)", ""),
    ("SELECT pg_catalog.lower(x) FROM a", "a"),
    ("SELECT to_char(ts, 'YYYY'), date_trunc('day', ts), extract(year FROM ts) FROM a", "a"),
    ("SELECT jsonb_build_object('a', x), json_agg(x), array_to_string(array_agg(x), ',')"
     " FROM a", "a"),
    ("SELECT row_number() OVER (ORDER BY x), lag(x) OVER w FROM a WINDOW w AS (ORDER BY id)", "a"),
    ("SELECT * FROM generate_series(1, 3)", ""),
    ("SELECT current_user, session_user, current_database()", ""),
    ("SELECT agg_imm(id), id @@@@ 1 FROM a GROUP BY id", "a"),
    ("SELECT id::positive, id::checked FROM a", "a"),
    ("SELECT 'good'::mood", ""),
    ("SELECT lower(x) FROM a", NO_FUNCTION),  # there is one for numbers
    ("SELECT upper(x) FROM a", "a"),
    ("SELECT lower(id) FROM a", NO_FUNCTION),
    ("SELECT other.lower(x) FROM a", NO_FUNCTION),
    ("SELECT sta(id) FROM a", NO_FUNCTION),
    ("SELECT vol(1)", NO_FUNCTION),
    ("SELECT with_default(1)", NO_FUNCTION),
    ("SELECT agg_vol(id) FROM a", NO_FUNCTION),
    ("SELECT id +@+ 1 FROM a", NO_FUNCTION),
    ("SELECT id::odd FROM a", NO_FUNCTION),
    ("SELECT now()", NO_FUNCTION),
    ("SELECT random()", NO_FUNCTION),
    ("SELECT nextval('b_id_seq')", NO_FUNCTION),
    ("SELECT current_setting('work_mem')", NO_FUNCTION),
    ("SELECT pg_backend_pid()", NO_FUNCTION),
    ("SELECT age(d) FROM a", NO_FUNCTION),
    ("SELECT age(d, '2020-01-01') FROM a", "a"),
    ("SELECT inet_client_addr()", NO_FUNCTION),
    ("SELECT query_to_xml('SELECT 1', true, true, '')", NO_FUNCTION),
    ("SELECT * FROM ts_stat('SELECT v FROM vec')", NO_FUNCTION),
    ("SELECT x.row_label FROM other.a x", NO_FUNCTION),
    ("SELECT no_such(1)", NO_MISSING),
    ("SELECT current_date", NO_FUNCTION),
    # time
    ("SELECT 'now'::timestamptz", NO_TIME),
    ("SELECT id FROM a WHERE d = 'TODAY'", NO_TIME),
    ("SELECT id FROM a WHERE d = '2020-01-01'", "a"),
    ("SELECT ts::date, d::timestamptz FROM a", "a"),
    ("SELECT td::date FROM textual", NO_TIME),
    ("SELECT vd::date FROM textual", NO_TIME),
    ("SELECT no_column::date FROM a", "a"),  # fails, or is a field of what is there
    ("SELECT (td || '')::date FROM textual", NO_TIME),
    ("SELECT x::day FROM a", NO_TIME),
    ("SELECT x::pair FROM a", NO_TIME),
    ("SELECT * FROM zoned", NO_TIME),
    ("SELECT ti::timetz FROM a", NO_TIME),
    # not plain
    ("SELECT * FROM a FOR UPDATE", NO_LOCKS),
    ("SELECT * FROM a TABLESAMPLE system (10)", NO_SAMPLE),
    ("SELECT xmin FROM a", NO_COLUMN),
    ("SELECT * INTO n FROM a", NO_KIND),
    ("EXPLAIN SELECT 1", NO_KIND),
    ("COPY a TO STDOUT", NO_KIND),
    ("SELECT * FROM pg_class", NO_SYSTEM),
    ("SELECT * FROM b_id_seq", NO_SEQUENCE),
    ("SELECT * FROM no_such", NO_MISSING),
    ("SELECT * FROM other.no_such", NO_MISSING),
    ("SELECT * FROM tempo", NO_TEMPORARY),
    ("SELECT * FROM pg_temp.tempo", NO_TEMPORARY),
    # row security
    ("SELECT * FROM rls", "rls e"),
    ("SELECT * FROM v_rls", "rls e"),
    ("SELECT * FROM rls_setting", NO_FUNCTION),
    ("SELECT * FROM rls_off", "rls_off"),
    ("SELECT * FROM rls_fn", NO_FUNCTION),
    # lists
    ("SELECT * FROM secret_plans", NO_LISTED),
    ("SELECT * FROM v_secret", NO_LISTED),
    ("SELECT * FROM other.hidden", NO_LISTED),
    ("SELECT * FROM far", NO_FOREIGN),
    ("SELECT * FROM far_other", NO_FOREIGN),
    ("SELECT * FROM far_safe", "far_safe"),
    ("SELECT * FROM far_view", "far"),
]

ALL = "everything"
WRITES = [
    ("INSERT INTO a VALUES (50)", "a"),
    ("INSERT INTO b (a, y) VALUES (1, 'z')", "b"),
    ("INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING", "a"),
    ("INSERT INTO b VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 70", "b c d"),
    ("INSERT INTO b VALUES (1) ON CONFLICT (id) DO NOTHING", "b"),
    ("UPDATE a SET x = 'q'", "a"),
    ("UPDATE b SET id = id + 100", "b c d"),
    ("UPDATE c SET id = id + 100", "c d"),
    ("DELETE FROM a WHERE id = 1", ("a b c", "a b c d")),
    ("DELETE FROM e", "e"),
    ("DELETE FROM b WHERE id = 2", "b c d"),
    ("WITH x AS (DELETE FROM e RETURNING a) INSERT INTO log SELECT 1 FROM x", "e log"),
    ("WITH x AS (INSERT INTO e VALUES (77) RETURNING a) SELECT * FROM x", "e"),
    ("MERGE INTO e USING a ON e.id = a.id WHEN NOT MATCHED THEN INSERT VALUES (a.id)", "e"),
    ("TRUNCATE e", "e"),
    ("TRUNCATE a CASCADE", "a b c d e"),
    ("TRUNCATE log, e", "e log"),
    ("COPY e FROM '/dev/null'", "e"),
    ("REFRESH MATERIALIZED VIEW m_ab", "m_ab"),
    ("REFRESH MATERIALIZED VIEW m_writes", ALL),
    ("INSERT INTO gen (n) VALUES (1)", "gen"),
    ("INSERT INTO def_own DEFAULT VALUES", "def_own"),
    ("INSERT INTO def DEFAULT VALUES", ALL),
    ("DELETE FROM def", "def"),
    ("INSERT INTO dwrites DEFAULT VALUES", "dwrites"),
    ("INSERT INTO idx VALUES (1)", "idx"),
    ("INSERT INTO unlogged VALUES (1)", "unlogged"),
    ("DELETE FROM self", "self"),
    # views
    ("UPDATE v_simple SET x = 'n'", "a"),
    ("DELETE FROM v_simple WHERE id = 1", "a b c d"),
    ("INSERT INTO v_instead VALUES ('1', 2)", ALL),
    ("INSERT INTO v_logged VALUES (1)", ALL),
    ("UPDATE v_rls SET id = 1", "rls"),
    # inheritance, partitions
    ("INSERT INTO parent VALUES (1)", "parent"),
    ("UPDATE parent SET id = 1", "parent child1 child2"),
    ("INSERT INTO child1 VALUES (1)", "child1"),
    ("INSERT INTO p VALUES (2, 2)", "p p1 p2 p2a"),
    ("INSERT INTO p1 VALUES (3, 2)", "p p1"),
    ("UPDATE p SET id = 12 WHERE id = 1", "p p1 p2 p2a of_p"),
    ("DELETE FROM p1", "p p1 of_p"),
    ("DELETE FROM p", "p p1 p2 p2a of_p"),
    ("TRUNCATE p CASCADE", "p p1 p2 p2a of_p"),
    ("INSERT INTO w VALUES (1, 1)", "w"),
    ("UPDATE w7 SET n = 1", "w"),
    ("TRUNCATE w", "w"),
    ("UPDATE big SET id = 1", ALL),
    ("DELETE FROM hub", ALL),
    ("INSERT INTO hub VALUES (1)", "hub"),
    # triggers, rules
    ("INSERT INTO logged VALUES (1)", ALL),
    ("UPDATE logged SET id = 1", "logged"),
    ("INSERT INTO touch VALUES (1)", "touch"),
    ("UPDATE touch SET id = 2", "touch"),
    ("INSERT INTO calls VALUES (1)", ALL),
    ("INSERT INTO calls_imm VALUES (1)", "calls_imm"),
    ("INSERT INTO vec VALUES ('a b')", "vec"),
    ("INSERT INTO when_t VALUES (1)", ALL),
    ("TRUNCATE stmt_t", ALL),
    ("DELETE FROM stmt_t", "stmt_t"),
    ("INSERT INTO off_t VALUES (1)", "off_t"),
    ("INSERT INTO pt VALUES (1)", ALL),
    ("INSERT INTO pt1 VALUES (1)", ALL),
    ("DELETE FROM cascading", ALL),
    ("INSERT INTO ruled VALUES (1)", ALL),
    ("DELETE FROM ruled", "ruled"),
    ("DELETE FROM nothing", "nothing"),
    ("INSERT INTO rls_fn VALUES (1)", ALL),
    ("INSERT INTO rls VALUES (1)", "rls"),
    # functions
    ("SELECT vol(1)", ""),
    ("SELECT vol_writes(1)", ALL),
    ("SELECT sta_hides(1)", ALL),
    ("SELECT sta(1)", ""),
    ("SELECT vol_dynamic('')", ALL),
    ("SELECT definer(1)", ALL),
    ("SELECT with_default(1)", ALL),
    ("SELECT vol_atomic()", ALL),
    ("SELECT * FROM v_writes", ALL),
    ("SELECT nextval('b_id_seq')", ""),
    ("SELECT pg_advisory_xact_lock(1), set_config('a.b', '1', true)", ""),
    ("SELECT query_to_xml('SELECT vol_writes(1)', true, true, '')", ALL),
    ("SELECT agg_vol(id) FROM a", ""),
    ("INSERT INTO log SELECT vol_writes(1)", ALL),
    ("INSERT INTO log SELECT w FROM v_writes", ALL),
    ("UPDATE a SET x = vol(1)", "a"),
    ("DECLARE c CURSOR FOR SELECT vol_writes(1)", ALL),
    ("EXPLAIN (ANALYZE) DELETE FROM e", "e"),
    ("EXPLAIN DELETE FROM e", ""),
    # others
    ("SELECT * FROM a FOR UPDATE", ""),
    ("LOCK a", ""),
    ("VACUUM a", ""),
    ("BEGIN", ""),
    ("SET work_mem = 100", ""),
    ("CALL no_such()", ALL),
    ("DO 'BEGIN END'", ALL),
    ("EXECUTE p", ALL),
    ("CREATE TABLE n (id int)", ALL),
    ("SELECT * INTO n FROM a", ALL),
    ("CREATE TABLE n AS SELECT 1", ALL),
    ("DROP TABLE a", ALL),
    ("COMMIT PREPARED 'x'", ALL),
    ("INSERT INTO no_such VALUES (1)", ALL),
    ("INSERT INTO far VALUES (1)", ALL),
    ("INSERT INTO tempo VALUES (1)", ALL),
    ("UPDATE pg_class SET relname = relname", ALL),
    ("INSERT INTO secret_plans VALUES (2)", "secret_plans"),
]


class Asked:
    """The program, on a database of its own."""

    def __init__(self, server):
        self.dsn = server.dsn(dbname="cache_catalog")
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.connection.execute(SCHEMA)
        self.names = dict(self.connection.execute(
            "SELECT oid::text, relname FROM pg_class WHERE oid >= 16384").fetchall())
        self.program = subprocess.Popen([PROGRAM, self.dsn] + SETTINGS, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.before = self.contents()

    def line(self, text):
        self.program.stdin.write(text.encode() + b"\0")
        self.program.stdin.flush()
        return self.program.stdout.readline().decode().rstrip("\n")

    def ask(self, text):
        """What is read, what is written, and whether logical replication misses some of it."""
        reads, writes, roots = self.line(text).split("\t")
        return self.named(reads[2:], "yes"), self.named(writes[2:], ""), roots

    def named(self, words, sign):
        if words.startswith(("no ", "unknown", ALL)):
            return words
        numbers = words[len(sign):].split()
        return " ".join(sorted(self.names[number] for number in numbers))

    def contents(self):
        """Of each table with rows of its own, a sum."""
        rows = self.connection.execute(
            "SELECT relname, (xpath('//s/text()', query_to_xml(format("
            "'SELECT md5(string_agg(md5(t::text), '''' ORDER BY md5(t::text))) AS s"
            " FROM ONLY %s t',"
            " oid::regclass), false, true, '')))[1]::text FROM pg_class WHERE oid >= 16384"
            " AND relkind IN ('r', 'm') AND relpersistence <> 't' AND relispopulated").fetchall()
        return dict(rows)

    def close(self):
        self.program.stdin.close()
        self.program.wait()
        self.connection.close()


@pytest.fixture(scope="module", name="asked")
def asked_fixture(cluster):
    server = cluster.primary
    with psycopg.connect(server.dsn(dbname="postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE cache_catalog")
        asked = Asked(server)
        asked.line("!CREATE TEMP TABLE tempo (id int)")
        yield asked
        asked.close()
        connection.execute("DROP DATABASE cache_catalog")


def either(wanted):
    return [" ".join(sorted(w.split())) if not w.startswith("no ") else w
            for w in (wanted if isinstance(wanted, tuple) else (wanted,))]


@pytest.mark.parametrize("row", READS, ids=lambda row: row[0][:60])
def test_reads(asked, row):
    reads, _, roots = asked.ask(row[0])
    assert reads in either(row[1])
    assert roots == (row[2] if len(row) > 2 else "") or reads.startswith("no ")


@functools.lru_cache(maxsize=None)
def changed(asked, text):
    """The tables whose contents are others when the statement has run; None when it cannot."""
    before = asked.before
    with asked.connection.transaction(force_rollback=True):
        try:
            with asked.connection.transaction():
                asked.connection.execute(text)
        except psycopg.Error:
            return None
        after = asked.contents()
    return sorted(name for name in after if before.get(name) != after[name])


def stands_for(asked, name):
    """A table's own name, and that of the topmost one that it is a partition of."""
    row = asked.connection.execute(
        "SELECT pg_partition_root(oid)::regclass::text FROM pg_class"
        " WHERE relname = %s AND relispartition", [name]).fetchone()
    return {name} if row is None else {name, row[0]}


@pytest.mark.parametrize("row", WRITES, ids=lambda row: row[0][:60])
def test_writes(asked, row):
    _, writes, _ = asked.ask(row[0])
    assert writes in either(row[1])
    for name in changed(asked, row[0]) or []:
        assert writes == ALL or stands_for(asked, name) & set(writes.split()), name


def test_most_of_the_writes_write(asked):
    """So that the check above checks something."""
    tables = [changed(asked, text) for text, _ in WRITES]
    assert sum(1 for t in tables if t) >= 40
    assert any(len(t) > 2 for t in tables if t)


def test_what_is_read_counts(asked):
    """A read that may be kept gives another answer only when one of its tables is another."""
    kept = []
    for row in READS:
        reads, _, _ = asked.ask(row[0])
        if not reads.startswith("no "):
            kept.append((row[0], set(reads.split())))
    assert len(kept) > 40

    def answers():
        result = []
        for text, _ in kept:
            try:
                with asked.connection.transaction():
                    result.append(asked.connection.execute(text).fetchall())
            except psycopg.Error as e:
                result.append(str(e))
        return result

    before = answers()
    for text, _ in WRITES:
        with asked.connection.transaction(force_rollback=True):
            try:
                with asked.connection.transaction():
                    asked.connection.execute(text)
            except psycopg.Error:
                continue
            after = answers()
        _, writes, _ = asked.ask(text)
        for (read, tables), old, new in zip(kept, before, after):
            if old != new:
                assert writes == ALL or tables & set(writes.split()), (text, read)
