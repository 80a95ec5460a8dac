"""What the statements of the table are about, made once and copied for each run.

Names tell what matters: "fast" is unlogged, "far" is foreign, "write_" and "_write" change
something, "same" is another table in each schema, "empty" is always empty.
"""

# Roles belong to the cluster: they are there already when a second run begins.
ROLES = """
DO $$ BEGIN CREATE ROLE routing_user LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
DO $$ BEGIN CREATE ROLE routing_path LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
ALTER ROLE routing_path SET search_path = b, public;
"""

TABLES = """
CREATE EXTENSION file_fdw; CREATE EXTENSION hstore; CREATE EXTENSION dblink;
CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_trgm; CREATE EXTENSION tablefunc;

CREATE TABLE item (id int PRIMARY KEY, name text, price numeric, tags text[], doc jsonb, made date);
INSERT INTO item SELECT n, 'item ' || n, n * 1.5, ARRAY['tag' || n, 'all'],
    jsonb_build_object('n', n, 'list', jsonb_build_array(n, n + 1)), '2020-01-01'::date + n
    FROM generate_series(1, 6) n;
CREATE TABLE part_of (id int PRIMARY KEY, item_id int REFERENCES item, note text);
INSERT INTO part_of SELECT n, n % 6 + 1, 'note ' || n FROM generate_series(1, 8) n;
CREATE TABLE tree (id int PRIMARY KEY, parent int);
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 1), (4, 2);
CREATE TABLE journal (n bigserial, what text) WITH (autovacuum_enabled = off);
CREATE TABLE empty (n int, what text);
CREATE SEQUENCE counter;
CREATE UNLOGGED TABLE fast (a int); INSERT INTO fast VALUES (1), (2);
CREATE TABLE switched (a int); INSERT INTO switched VALUES (1);
CREATE UNLOGGED TABLE switched_fast (a int); INSERT INTO switched_fast VALUES (1);

-- names that are words, that fold, that are long
CREATE TABLE "Item" (id int, "Name" text); INSERT INTO "Item" VALUES (1, 'quoted');
CREATE TABLE "two words" ("a column" int); INSERT INTO "two words" VALUES (1);
CREATE TABLE "update" ("insert" int, nextval int, "for" text);
INSERT INTO "update" VALUES (1, 2, 'x');
CREATE TABLE "FAST" (a int); INSERT INTO "FAST" VALUES (7);
CREATE UNLOGGED TABLE "Switched" (a int); INSERT INTO "Switched" VALUES (8);
CREATE TABLE "semi;colon" (a int); INSERT INTO "semi;colon" VALUES (1);
CREATE TABLE "dot.ted" (a int); INSERT INTO "dot.ted" VALUES (1);
CREATE TABLE "quo""ted" (a int); INSERT INTO "quo""ted" VALUES (1);
CREATE UNLOGGED TABLE "fast;er" (a int); INSERT INTO "fast;er" VALUES (1);
CREATE TABLE "größe" (a int); INSERT INTO "größe" VALUES (1);
CREATE UNLOGGED TABLE "maß" (a int); INSERT INTO "maß" VALUES (1);
CREATE TABLE a23456789_123456789_123456789_123456789_123456789_123456789_123 (a int);
CREATE UNLOGGED TABLE b23456789_123456789_123456789_123456789_123456789_123456789_123 (a int);

-- one name in several schemas
CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA "C d"; CREATE SCHEMA routing_user;
CREATE TABLE a.same (place text); INSERT INTO a.same VALUES ('a');
CREATE UNLOGGED TABLE b.same (place text); INSERT INTO b.same VALUES ('b');
CREATE TABLE "C d".same (place text); INSERT INTO "C d".same VALUES ('C d');
CREATE TABLE mine (place text); INSERT INTO mine VALUES ('public');
CREATE UNLOGGED TABLE routing_user.mine (place text);
INSERT INTO routing_user.mine VALUES ('routing_user');

-- partitions and children
CREATE TABLE split (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (10);
CREATE TABLE split_2 PARTITION OF split FOR VALUES FROM (10) TO (20);
INSERT INTO split VALUES (1, 'one'), (11, 'eleven');
CREATE TABLE split_mixed (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE split_mixed_1 PARTITION OF split_mixed FOR VALUES FROM (0) TO (10);
CREATE UNLOGGED TABLE split_mixed_2 PARTITION OF split_mixed FOR VALUES FROM (10) TO (20);
INSERT INTO split_mixed VALUES (1, 'one'), (11, 'eleven');
CREATE TABLE split_deep (k int, v text) PARTITION BY LIST (v);
CREATE TABLE split_deep_x PARTITION OF split_deep FOR VALUES IN ('x') PARTITION BY RANGE (k);
CREATE UNLOGGED TABLE split_deep_x1 PARTITION OF split_deep_x FOR VALUES FROM (0) TO (10);
INSERT INTO split_deep VALUES (1, 'x');
CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);
CREATE TABLE parent_mixed (a int);
CREATE UNLOGGED TABLE child_mixed (b int) INHERITS (parent_mixed);
INSERT INTO parent_mixed VALUES (1); INSERT INTO child_mixed VALUES (2, 3);

-- what is not here
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE far (a int) SERVER files OPTIONS (program 'echo 5');
CREATE TABLE split_far (k int) PARTITION BY RANGE (k);
CREATE TABLE split_far_1 PARTITION OF split_far FOR VALUES FROM (0) TO (5);
CREATE FOREIGN TABLE split_far_2 PARTITION OF split_far FOR VALUES FROM (5) TO (10)
    SERVER files OPTIONS (program 'echo 5');
INSERT INTO split_far VALUES (1);
"""

FUNCTIONS = """
CREATE FUNCTION write_journal(what text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.journal (what) VALUES ($1); RETURN 1; END $$;
CREATE FUNCTION write_sql() RETURNS bigint LANGUAGE sql AS
    'INSERT INTO public.journal (what) VALUES (''sql'') RETURNING 1::bigint';
CREATE FUNCTION write_atomic() RETURNS bigint LANGUAGE sql
    BEGIN ATOMIC INSERT INTO journal (what) VALUES ('atomic') RETURNING 1::bigint; END;
CREATE FUNCTION write_rows() RETURNS SETOF int LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO journal (what) VALUES ('rows'); RETURN NEXT 1; RETURN NEXT 2; END $$;
CREATE FUNCTION read_volatile() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM item';
CREATE FUNCTION read_stable() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM item';
CREATE FUNCTION read_plpgsql() RETURNS bigint LANGUAGE plpgsql STABLE AS
    'BEGIN RETURN (SELECT count(*) FROM item); END';
CREATE FUNCTION read_atomic() RETURNS bigint LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT count(*) FROM item; END;
CREATE FUNCTION read_return(int) RETURNS int LANGUAGE sql STABLE RETURN $1 + 1;
CREATE FUNCTION read_rows(int) RETURNS SETOF item LANGUAGE sql STABLE AS
    'SELECT * FROM item WHERE id <= $1 ORDER BY id';
CREATE FUNCTION read_table(int) RETURNS TABLE (id int, name text) LANGUAGE sql STABLE AS
    'SELECT id, name FROM item WHERE id <= $1 ORDER BY id';
CREATE FUNCTION add_up(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE FUNCTION here() RETURNS text LANGUAGE sql STABLE SET search_path = a AS
    'SELECT place FROM same';
CREATE FUNCTION write_switched() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';

-- stable ones that read what a standby has not, told by their body only
CREATE FUNCTION read_fast() RETURNS bigint LANGUAGE plpgsql STABLE AS
    'BEGIN RETURN (SELECT count(*) FROM fast); END';
CREATE FUNCTION read_fast_atomic() RETURNS bigint LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT count(*) FROM fast; END;

-- overloads
CREATE FUNCTION pick(int) RETURNS int LANGUAGE sql AS 'SELECT write_journal(''pick'') + $1';
CREATE FUNCTION pick(int, int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1 + $2';
CREATE FUNCTION a.which() RETURNS text LANGUAGE sql STABLE AS 'SELECT ''a''::text';
CREATE FUNCTION b.which() RETURNS text LANGUAGE sql AS
    'SELECT ''b'' || public.write_journal(''which'')';
CREATE FUNCTION "C d".which() RETURNS text LANGUAGE sql STABLE AS 'SELECT ''C d''::text';
CREATE FUNCTION typed(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION typed(text) RETURNS int LANGUAGE sql AS 'SELECT write_journal($1)';
CREATE FUNCTION optional(int, int DEFAULT 1) RETURNS int LANGUAGE sql AS
    'SELECT write_journal(''optional'') + $1 + $2';
CREATE FUNCTION optional(int, int, int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1 + $2 + $3';
CREATE FUNCTION default_stable(int DEFAULT 4) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION default_write(int, bigint DEFAULT nextval('counter')) RETURNS bool LANGUAGE sql
    STABLE AS 'SELECT $1 < $2';
CREATE FUNCTION many_write(VARIADIC int[]) RETURNS int LANGUAGE sql AS
    'SELECT write_journal(''many'') + cardinality($1)';
CREATE FUNCTION many(VARIADIC text[]) RETURNS int LANGUAGE sql STABLE AS 'SELECT cardinality($1)';
CREATE FUNCTION "Lower"(text) RETURNS text LANGUAGE sql AS
    'SELECT lower($1) || write_journal(''Lower'')';

-- a schema that is in nobody's search_path by default: builtin names with other meanings
CREATE SCHEMA odd;
CREATE TYPE pair AS (x int, y int);
CREATE TABLE pairs (id int, p pair); INSERT INTO pairs VALUES (1, (1, 2)), (2, (3, 4));
CREATE FUNCTION odd.random() RETURNS float8 LANGUAGE sql AS
    'SELECT 42.0::float8 + public.write_journal(''random'')';
CREATE FUNCTION odd.lower(pair) RETURNS text LANGUAGE sql AS
    'SELECT ''pair'' || public.write_journal(''lower'')';
CREATE FUNCTION odd.upper(pair) RETURNS text LANGUAGE sql STABLE AS 'SELECT ''PAIR''::text';
CREATE FUNCTION odd.version() RETURNS text LANGUAGE sql STABLE AS 'SELECT ''odd''::text';
CREATE FUNCTION odd.nextval(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1 + 1';
CREATE FUNCTION odd.pair_add(pair, pair) RETURNS int LANGUAGE sql AS
    'SELECT public.write_journal(''add'') + ($1).x + ($2).x';
CREATE OPERATOR odd.+ (LEFTARG = pair, RIGHTARG = pair, FUNCTION = odd.pair_add);

-- what changes the session
CREATE FUNCTION set_path(text) RETURNS text LANGUAGE sql AS
    'SELECT set_config(''search_path'', $1, false)';
CREATE FUNCTION make_temp() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN CREATE TEMP TABLE item AS SELECT 77 AS id; RETURN 1; END $$;
CREATE FUNCTION lock_it() RETURNS bool LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_lock(8); RETURN true; END';

-- types, operators, casts, aggregates
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE FUNCTION int_note(int, int) RETURNS int LANGUAGE sql AS 'SELECT write_journal(''op'') + $1';
CREATE OPERATOR ==> (LEFTARG = int, RIGHTARG = int, FUNCTION = int_note);
CREATE FUNCTION int_pure(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
CREATE OPERATOR |-| (LEFTARG = int, RIGHTARG = int, FUNCTION = int_pure);
CREATE OPERATOR a.<+> (LEFTARG = int, RIGHTARG = int, FUNCTION = int_pure);
CREATE OPERATOR b.<+> (LEFTARG = int, RIGHTARG = int, FUNCTION = int_note);
CREATE FUNCTION int_before(int) RETURNS int LANGUAGE sql AS 'SELECT write_journal(''op'') + $1';
CREATE OPERATOR !! (RIGHTARG = int, FUNCTION = int_before);
CREATE TYPE loud AS (t text); CREATE TYPE quiet AS (t text);
CREATE FUNCTION loud_of(int) RETURNS loud LANGUAGE sql AS
    'SELECT ROW($1 + public.write_journal(''cast''))::public.loud';
CREATE CAST (int AS loud) WITH FUNCTION loud_of(int);
CREATE FUNCTION quiet_of(int) RETURNS quiet LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1)::quiet';
CREATE CAST (int AS quiet) WITH FUNCTION quiet_of(int);
CREATE FUNCTION check_write(text) RETURNS bool LANGUAGE sql AS
    'SELECT write_journal(''check'') = 1';
CREATE FUNCTION check_pure(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT length($1) < 5';
CREATE DOMAIN noted AS text CHECK (check_write(VALUE));
CREATE DOMAIN short AS text CHECK (check_pure(VALUE));
CREATE DOMAIN noted_again AS noted;
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TYPE holder AS (n noted, i int);
CREATE FUNCTION item_note(item) RETURNS int LANGUAGE sql AS 'SELECT write_journal($1.name)';
CREATE FUNCTION item_label(item) RETURNS text LANGUAGE sql STABLE AS
    'SELECT ''<'' || $1.name || ''>''';
CREATE FUNCTION sum_step(int, int) RETURNS int LANGUAGE sql AS
    'SELECT write_journal(''step'') + $1 + $2';
CREATE AGGREGATE sum_write(int) (SFUNC = sum_step, STYPE = int, INITCOND = '0');
CREATE AGGREGATE sum_pure(int) (SFUNC = add_up, STYPE = int, INITCOND = '0');
CREATE AGGREGATE sum_end(int) (SFUNC = add_up, STYPE = int, INITCOND = '0', FINALFUNC = int_before);
CREATE PROCEDURE put(text) LANGUAGE sql AS 'INSERT INTO journal (what) VALUES ($1)';
CREATE PROCEDURE nothing() LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION journal_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO journal (what) VALUES (TG_OP); RETURN NEW; END $$;
"""

VIEWS = """
CREATE VIEW item_view AS SELECT id, name FROM item;
CREATE VIEW item_nested AS SELECT v.id, p.note FROM item_view v JOIN part_of p ON p.item_id = v.id;
CREATE VIEW item_stable AS SELECT read_stable() AS n;
CREATE VIEW item_barrier WITH (security_barrier) AS SELECT * FROM item WHERE id < 4;
CREATE VIEW item_invoker WITH (security_invoker) AS SELECT * FROM item WHERE id < 3;
CREATE VIEW values_view AS VALUES (1, 'one'), (2, 'two');
CREATE RECURSIVE VIEW tree_view (id) AS
    SELECT 1 UNION ALL SELECT t.id FROM tree t JOIN tree_view v ON t.parent = v.id;
CREATE VIEW clock_view AS SELECT random() >= 0 AS r, clock_timestamp() > '2000-01-01' AS c;
CREATE VIEW write_view AS SELECT write_journal('view') AS w;
CREATE VIEW write_nested AS SELECT w + 1 AS w FROM write_view;
CREATE VIEW write_where AS SELECT id FROM item WHERE write_sql() = 1;
CREATE VIEW write_operator AS SELECT id ==> 1 AS w FROM item WHERE id = 1;
CREATE VIEW write_cast AS SELECT id::loud AS w FROM item WHERE id = 1;
CREATE VIEW write_domain AS SELECT name::noted AS w FROM item WHERE id = 1;
CREATE VIEW write_aggregate AS SELECT sum_write(id) AS w FROM item;
CREATE VIEW write_rows_view AS SELECT * FROM write_rows();
CREATE VIEW seq_view AS SELECT nextval('counter') > 0 AS n;
CREATE VIEW seq_value_view AS SELECT last_value FROM counter;
CREATE VIEW fast_view AS SELECT a FROM fast;
CREATE VIEW fast_nested AS SELECT v.a FROM fast_view v WHERE EXISTS (SELECT 1 FROM item);
CREATE VIEW fast_subquery AS SELECT (SELECT count(*) FROM fast) AS n;
CREATE VIEW far_view AS SELECT a FROM far;
CREATE VIEW split_mixed_view AS SELECT * FROM split_mixed;
CREATE VIEW catalog_view AS SELECT count(*) > 0 AS n FROM pg_class;
CREATE VIEW catalog_nested AS SELECT n FROM catalog_view;
CREATE VIEW schema_view AS SELECT count(*) > 0 AS n FROM information_schema.tables;
CREATE VIEW lock_view AS SELECT id FROM item WHERE id = 1 FOR UPDATE;
CREATE VIEW lock_nested AS SELECT id FROM lock_view;
CREATE VIEW advisory_view AS SELECT pg_try_advisory_xact_lock(1) AS l;
CREATE VIEW setting_view AS SELECT current_setting('work_mem') AS s;
CREATE VIEW b.item_view AS SELECT place FROM b.same;
CREATE VIEW instead_view AS SELECT id, name FROM item;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO journal (what) VALUES (NEW.name); RETURN NEW; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE ON instead_view
    FOR EACH ROW EXECUTE FUNCTION instead();
CREATE VIEW rule_view AS SELECT id FROM item;
CREATE RULE rule_view_insert AS ON INSERT TO rule_view DO INSTEAD
    INSERT INTO journal (what) VALUES (NEW.id);
CREATE VIEW replaced_view AS SELECT 1 AS n;
CREATE MATERIALIZED VIEW item_stored AS SELECT id, name FROM item;
CREATE MATERIALIZED VIEW fast_stored AS SELECT a FROM fast;
CREATE MATERIALIZED VIEW write_stored AS SELECT write_journal('stored') AS w;

-- row security: the superuser is not bound by it, routing_user is
CREATE FUNCTION secret_write(text) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN INSERT INTO journal (what) VALUES ($1); RETURN true; END $$;
CREATE FUNCTION secret_stable(text) RETURNS bool LANGUAGE sql STABLE AS 'SELECT $1 <> ''no''';
CREATE TABLE secret_own (who name, t text);
CREATE TABLE secret_noted (t text); CREATE TABLE secret_checked (t text);
CREATE TABLE secret_fast (t text);
INSERT INTO secret_own VALUES ('routing_user', 'mine'), ('postgres', 'his');
INSERT INTO secret_noted VALUES ('x'); INSERT INTO secret_checked VALUES ('no'), ('yes');
INSERT INTO secret_fast VALUES ('1'), ('9');
ALTER TABLE secret_own ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret_noted ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret_checked ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret_fast ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secret_own USING (who = current_user);
CREATE POLICY p ON secret_noted USING (secret_write(t));
CREATE POLICY p ON secret_checked USING (secret_stable(t));
CREATE POLICY p ON secret_fast USING (t IN (SELECT a::text FROM fast));
CREATE VIEW secret_view WITH (security_invoker) AS SELECT t FROM secret_noted;
GRANT ALL ON ALL TABLES IN SCHEMA public, a, b, odd, "C d", routing_user
    TO routing_user, routing_path;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO routing_user, routing_path;
GRANT ALL ON SCHEMA public, a, b, odd, "C d", routing_user
    TO routing_user, routing_path;
"""

SQL = TABLES + FUNCTIONS + VIEWS

# What is known of a cast that nobody wrote may count for all that is read in its database, so it
# has one of its own.
CAST = """
CREATE FUNCTION loud_int(loud) RETURNS int LANGUAGE sql AS 'SELECT write_journal(''implicit'')';
CREATE CAST (loud AS int) WITH FUNCTION loud_int(loud) AS IMPLICIT;
CREATE TABLE louds (l loud); INSERT INTO louds VALUES (ROW('x'));
CREATE VIEW write_implicit AS SELECT abs(l) AS w FROM louds;
"""
