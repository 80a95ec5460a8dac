"""Plain reads in every syntax that SQL has for them: a standby may run them, so it must."""

from routing.row import after, at_last, either, primary, standby

PLAIN = [
    standby("SELECT 1"),
    standby("select name from item where id = 3"),
    standby("SELECT count(*), sum(price), avg(id) FROM item"),
    standby("TABLE tree"),
    standby("TABLE ONLY tree"),
    standby("VALUES (1, 'x'), (2, 'y')"),
    standby("VALUES (1), (2) ORDER BY 1 DESC LIMIT 1"),
    standby("(SELECT id FROM item ORDER BY id LIMIT 1) UNION ALL (VALUES (9))"),
    standby("((SELECT 1))"),
    standby("SELECT"),
    standby("SELECT FROM item WHERE id = 1"),
    standby("SELECT ALL id FROM item ORDER BY id"),
    standby("SELECT DISTINCT ON (item_id) item_id, note FROM part_of ORDER BY item_id, note"),
    standby("SELECT i.* FROM item i, part_of p WHERE i.id = p.item_id ORDER BY p.id"),
    standby("SELECT * FROM item AS i (a, b) WHERE a = 1"),
    standby("SELECT id FROM ONLY item ORDER BY id"),
    standby("SELECT id FROM item * ORDER BY id"),
    standby("SELECT a.id FROM item a JOIN part_of b ON a.id = b.item_id ORDER BY b.id"),
    standby("SELECT count(*) FROM item LEFT JOIN part_of USING (id)"),
    standby("SELECT count(*) FROM item JOIN part_of USING (id) AS j WHERE j.id > 1"),
    standby("SELECT count(*) FROM item NATURAL FULL OUTER JOIN part_of"),
    standby("SELECT count(*) FROM item CROSS JOIN (part_of CROSS JOIN tree)"),
    standby("SELECT id FROM item UNION SELECT id FROM part_of ORDER BY id"),
    standby("SELECT id FROM item INTERSECT SELECT id FROM tree ORDER BY id"),
    standby("SELECT id FROM part_of EXCEPT ALL SELECT id FROM item ORDER BY id"),
    standby("SELECT id FROM item ORDER BY id DESC NULLS LAST LIMIT 2 OFFSET 1"),
    standby("SELECT id FROM item ORDER BY id OFFSET 1 ROW FETCH FIRST 2 ROWS ONLY"),
    standby("SELECT item_id FROM part_of ORDER BY item_id FETCH FIRST 1 ROW WITH TIES"),
    standby("SELECT id FROM item ORDER BY id USING >"),
    standby("SELECT (SELECT name FROM item i WHERE i.id = p.item_id) FROM part_of p ORDER BY p.id"),
    standby("SELECT id FROM item i WHERE EXISTS (SELECT FROM part_of p WHERE p.item_id = i.id) "
            "AND id NOT IN (SELECT id FROM tree) AND id < ALL (SELECT 7) ORDER BY 1"),
    standby("SELECT ARRAY(SELECT id FROM item ORDER BY id)"),
    standby("SELECT s.n FROM (SELECT count(*) AS n FROM item) s"),
    standby("SELECT * FROM (VALUES (1, 2), (3, 4)) v (x, y)"),
    standby("SELECT i.id, l.note FROM item i, LATERAL (SELECT note FROM part_of p "
            "WHERE p.item_id = i.id ORDER BY p.id LIMIT 1) l ORDER BY i.id"),
    standby("SELECT i.id, g FROM item i LEFT JOIN LATERAL generate_series(1, i.id) g ON true "
            "WHERE i.id < 3 ORDER BY 1, 2"),
    standby("SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY['x', 'y'])) "
            "WITH ORDINALITY AS r (a, b, n)"),
    standby("SELECT * FROM json_to_record('{\"a\": 1}') AS r (a int)"),
    standby("SELECT count(*) > 0 FROM item TABLESAMPLE BERNOULLI (100) REPEATABLE (1)"),
    standby("SELECT count(*) FROM item TABLESAMPLE system (100)"),
]

QUERIES = [
    standby("WITH x AS (SELECT id FROM item) SELECT count(*) FROM x"),
    standby("WITH x AS MATERIALIZED (SELECT 1 AS a), y (b) AS NOT MATERIALIZED (SELECT a FROM x) "
            "SELECT * FROM y"),
    standby("WITH x AS (VALUES (1)) TABLE x"),
    standby("WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 4) "
            "SELECT sum(n) FROM r"),
    standby("WITH RECURSIVE r AS (SELECT id, parent FROM tree WHERE id = 1 UNION ALL SELECT t.id, "
            "t.parent FROM tree t JOIN r ON t.parent = r.id) SEARCH DEPTH FIRST BY id SET o "
            "CYCLE id SET c USING p SELECT id FROM r ORDER BY o"),
    standby("SELECT * FROM (WITH x AS (SELECT 1 AS a) SELECT a FROM x) s"),
    standby("WITH fast AS (SELECT 1 AS a) SELECT a FROM fast"),
    standby("WITH item AS (SELECT id FROM public.item WHERE id = 1) SELECT * FROM item"),
    standby("SELECT item_id, note, row_number() OVER w, rank() OVER (ORDER BY item_id), "
            "lag(note) OVER w FROM part_of WINDOW w AS (PARTITION BY item_id ORDER BY id) "
            "ORDER BY id"),
    standby("SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW "
            "EXCLUDE TIES) FROM item ORDER BY id"),
    standby("SELECT item_id, id % 2, count(*) FROM part_of GROUP BY GROUPING SETS "
            "((item_id), (2), ()) ORDER BY 1, 2, 3"),
    standby("SELECT item_id, grouping(item_id), count(*) FROM part_of GROUP BY ROLLUP (item_id) "
            "HAVING count(*) > 1 ORDER BY 1, 2"),
    standby("SELECT count(*) FROM part_of GROUP BY DISTINCT CUBE (item_id, id) ORDER BY 1 LIMIT 1"),
    standby("SELECT count(*) FILTER (WHERE id > 2), string_agg(name, ',' ORDER BY id), "
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM item"),
    standby("SELECT array_agg(DISTINCT item_id ORDER BY item_id) FROM part_of"),
]

EXPRESSIONS = [
    standby("SELECT CASE WHEN id = 1 THEN 'one' ELSE name END FROM item ORDER BY id"),
    standby("SELECT id BETWEEN 1 AND 2, id IS DISTINCT FROM 3, name LIKE 'i%' ESCAPE '!', "
            "name ~ '^i', name SIMILAR TO 'i%' FROM item ORDER BY id"),
    standby("SELECT '2020-01-01'::date + interval '1 day', DATE '2020-01-01', "
            "TIMESTAMP '2020-01-01 00:00' AT TIME ZONE 'UTC'"),
    standby("SELECT CAST('7' AS int), '7'::int4::text, int '7', text 'x' || 'y'"),
    standby("SELECT extract(year FROM made), made + 1 FROM item ORDER BY id"),
    standby("SELECT substring(name FROM 1 FOR 2), position('t' IN name), trim(BOTH 'i' FROM name), "
            "overlay(name PLACING 'x' FROM 1 FOR 1) FROM item ORDER BY id"),
    standby("SELECT tags[1], tags[1:2], ARRAY[1, 2] || 3, 'all' = ANY (tags) FROM item "
            "ORDER BY id"),
    standby("SELECT doc->'n', doc->>'n', doc#>'{list,0}', doc @> '{\"n\": 1}', doc ? 'n', "
            "doc @? '$.n' FROM item ORDER BY id"),
    standby("SELECT jsonb_path_query(doc, '$.list[*]') FROM item WHERE id = 1"),
    standby("SELECT json_build_object('a', 1), to_jsonb(i) FROM item i WHERE id = 1"),
    standby("SELECT jsonb_agg(id ORDER BY id), json_object_agg(id, name ORDER BY id) FROM item"),
    standby("SELECT xmlelement(name a, xmlattributes(id AS i), name), xmlforest(id, name), "
            "xmlconcat('<x/>', '<y/>') FROM item WHERE id = 1"),
    standby("SELECT xpath('/a/text()', '<a>x</a>'), xmlexists('/a' PASSING '<a/>')"),
    standby("SELECT x.* FROM XMLTABLE('/r/a' PASSING ('<r><a>1</a></r>'::xml) "
            "COLUMNS n int PATH '.') x"),
    standby("SELECT xmlparse(CONTENT 'x'), xmlserialize(CONTENT '<a/>'::xml AS text)"),
    standby("SELECT ROW(1, 2) < (1, 3), (1, 2) = (1, 2), (i).name FROM item i WHERE id = 1"),
    standby("SELECT COALESCE(NULL, 1), NULLIF(1, 2), GREATEST(1, 2), LEAST(1, 2)"),
    standby("SELECT 'A' COLLATE \"C\" < 'b', N'x', B'101', X'1F', 1e3, 'a'\n'b'"),
    standby(r"SELECT E'a\'b', U&'d\0061t', $$it's$$, $x$a $$ b$x$"),
    standby("SELECT 'it''s; nextval(''counter'')'"),
    standby("SELECT 'for update', \"for\" FROM \"update\""),
    standby("SELECT $$ ; INSERT INTO journal (what) VALUES ('x') $$"),
    standby("SELECT nextval FROM \"update\""),
    standby("SELECT \"insert\" AS nextval, 1 AS delete FROM \"update\" AS \"select\""),
    standby("SELECT 1 AS \"nextval('counter')\""),
    standby("SELECT current_user, session_user, current_date IS NOT NULL, user, current_role"),
    standby("SELECT CURRENT_SCHEMA, current_schemas(false), current_catalog = current_database()"),
    standby("SELECT now() = transaction_timestamp(), current_timestamp(0) IS NOT NULL"),
    standby("SELECT to_tsvector('simple', name) @@ to_tsquery('simple', 'item') FROM item "
            "ORDER BY id"),
    standby("SELECT int4range(1, 5) @> 3, '{[1,2]}'::int4multirange, point(1, 2) <-> point(1, 3)"),
    standby("SELECT 'happy'::mood > 'sad', enum_range(NULL::mood)"),
    standby("SELECT 'a=>1'::hstore -> 'a'"),
    standby("SELECT hstore('a', '1') || 'b=>2'"),
    standby("SELECT similarity('abc', 'abd') > 0, 'abc' % 'abc'"),
    standby("SELECT encode(digest('x', 'md5'), 'hex')"),
    standby("SELECT id OPERATOR(pg_catalog.+) 1 FROM item ORDER BY id"),
    standby("SELECT pg_catalog.lower('X'), \"lower\"('X'), LOWER('X'), pg_catalog . upper('x')"),
    standby("SELECT format('%s', 1), concat_ws(',', 1, 2), quote_ident('A b'), md5('x')"),
    standby("SELECT pg_typeof(1), pg_column_size('x'::text), pg_size_pretty(10::bigint)"),
    standby("SELECT num_nulls(NULL, 1), VARIADIC_.x FROM (SELECT 1 AS x) VARIADIC_"),
    standby("SELECT format('%s %s', VARIADIC ARRAY['a', 'b'])"),
]

COMMENTS = [
    standby("/* leading */ SELECT id FROM item ORDER BY id"),
    standby("-- leading\nSELECT 2"),
    standby("/* a /* nested ; */ comment */ SELECT/**/3"),
    standby("   \t\n SELECT 4"),
    standby("SELECT 5;"),
    standby("; ; SELECT 6 ;;"),
    standby("SELECT '/* pgpool: primary */', 7"),
    standby("SELECT '/*NO LOAD BALANCE*/', 8"),
    standby("SELECT '--', /* ' */ 9 -- '"),
    standby("/* INSERT INTO journal; nextval('counter') FOR UPDATE */ SELECT 10"),
    standby("/*+ SeqScan(item) */ SELECT 11"),
    primary("/* pgpool: primary */ SELECT 12"),
    primary("SELECT 13 /* pgpool: primary */"),
    primary("/*NO LOAD BALANCE*/ SELECT 14"),
    standby("/* pgpool: standby */ SELECT 15"),
    primary("/* pgpool: standby */ INSERT INTO journal (what) VALUES ('hint')"),
    primary("/* pgpool: standby */ SELECT nextval('counter') > 0"),
    primary("/* pgpool: standby */ SELECT write_journal('hint')"),
    primary("/* pgpool: standby */ SELECT a FROM fast"),
    primary("/* pgpool: node=1 */ SELECT id FROM item WHERE id = 1 FOR UPDATE"),
    primary("/* pgpool: node=1 */ SELECT count(*) FROM fast_view"),
    primary("/* pgpool: standby */ WITH w AS (DELETE FROM empty RETURNING 1) "
            "SELECT count(*) FROM w"),
    either(""),
    either(";"),
    either("-- nothing"),
]

# Harmless although volatile: what they answer may differ, who runs them does not matter.
HARMLESS = [
    standby("SELECT random()", varies=True),
    standby("SELECT id FROM item ORDER BY random()", varies=True),
    standby("SELECT clock_timestamp(), timeofday()", varies=True),
    standby("SELECT now(), localtimestamp, statement_timestamp()", varies=True),
    standby("SELECT pg_sleep(0)"),
    standby("SELECT pg_sleep_for('0 s')"),
    standby("SELECT pg_is_in_recovery()", varies=True),
    standby("SELECT version()"),
    standby("SELECT gen_random_uuid()", varies=True),
    standby("SELECT current_setting('work_mem'), current_setting('no.such', true)"),
    standby("SELECT current_database() = current_catalog, pg_client_encoding()"),
    standby("SELECT length(random()::text) > 0 WHERE clock_timestamp() > '2000-01-01'"),
    standby("SELECT * FROM clock_view"),
]

LONG = ", ".join(f"'a literal with the number {number}'" for number in range(400))
LONG_TEXTS = [
    standby(f"SELECT cardinality(ARRAY[{LONG}])"),
    standby(f"SELECT cardinality(ARRAY[{LONG}]), count(*) FROM item WHERE name NOT IN ({LONG})"),
    primary(f"SELECT id, cardinality(ARRAY[{LONG}]) FROM item WHERE id = 1 FOR UPDATE"),
    primary(f"SELECT cardinality(ARRAY[{LONG}]), write_journal('long')"),
    primary(f"SELECT a FROM fast WHERE '' NOT IN ({LONG}) ORDER BY a"),
    primary(f"INSERT INTO journal (what) SELECT x FROM unnest(ARRAY[{LONG}]) x WHERE x = ''"),
    primary(f"WITH x AS (SELECT {LONG}), w AS (DELETE FROM empty RETURNING 1) SELECT count(*) "
            "FROM x"),
]

# PostgreSQL answers with an error, and so must we.
WRONG = [
    primary("SELECT no_such_column FROM no_such_table", error="42P01"),
    primary("SELECT no_such_function(1)", error="42883"),
    primary("SELECT no_such_schema.f()", error="3F000"),
    at_last("SELECT 'x'::no_such_type", error="42704"),
    at_last("SELECT 1 <#> 2", error="42883"),
    either("SELECT no_such_column FROM item", error="42703"),
    either("SELECT id FROM item, part_of", error="42702"),
    either("SELECT 1/0", error="22012"),
    either("SELECT 'x'::int", error="22P02"),
    primary("SELEC 1", error="42601"),
    either("SELECT 1 FROM", error="42601"),
    primary("SELECT (1", error="42601"),
    primary("INSERT INTO item VALUES (1)", error="23505"),
    primary("WITH x AS (SELECT 1) FROBNICATE x", error="42601"),
    either("SELECT * FROM (WITH w AS (DELETE FROM empty RETURNING 1) SELECT 1) s", error="0A000"),
    either("SELECT 'unterminated", error="42601"),
    either("SELECT id FROM {database}.public.item ORDER BY id"),
    standby("SELECT item.id FROM {database}.public.item ORDER BY 1"),
    either("SELECT id FROM elsewhere.public.item", error="0A000"),
]

# A read behind other things of the same session is balanced again.
AFTERWARDS = [
    *after("INSERT INTO journal (what) VALUES ('x')", rows=[
        standby("SELECT count(*) > 0 FROM journal"), standby("SELECT id FROM item ORDER BY id")]),
    *after("UPDATE item SET price = price WHERE id = 1", rows=[
        standby("SELECT max(id) FROM item")]),
    *after("SELECT write_journal('x')", rows=[either("SELECT count(*) > 0 FROM journal")]),
    *after("SELECT nextval('counter') > 0", rows=[standby("SELECT count(*) FROM item")]),
    *after("SELECT id FROM item WHERE id = 1 FOR UPDATE", rows=[
        standby("SELECT name FROM item WHERE id = 1")]),
    *after("SELECT count(*) FROM pg_class", rows=[standby("SELECT count(*) FROM item")]),
    *after("SELECT count(*) FROM fast", rows=[standby("SELECT count(*) FROM item")]),
    *after("CREATE TABLE made_here (a int)", "INSERT INTO made_here VALUES (3)", rows=[
        standby("SELECT a FROM made_here")]),
    *after("COPY journal (what) FROM STDIN", rows=[standby("SELECT count(*) > 0 FROM journal")]),
    *after("SHOW work_mem", "VACUUM item", "ANALYZE item", rows=[
        standby("SELECT count(*) FROM item")]),
    *after("NOTIFY nobody", rows=[standby("SELECT count(*) FROM item")]),
    *after("CALL nothing()", rows=[either("SELECT count(*) FROM item")]),
    *after("DO $$ BEGIN PERFORM 1; END $$", rows=[either("SELECT count(*) FROM item")]),
]

ROWS = (PLAIN + QUERIES + EXPRESSIONS + COMMENTS + HARMLESS + LONG_TEXTS + WRONG + AFTERWARDS)
