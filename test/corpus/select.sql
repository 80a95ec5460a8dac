-- Written by generate.py: do not edit.
SELECT a + b
SELECT - a
SELECT +a * b
SELECT a % b ^ c
SELECT a < b
SELECT a <= f(b)
SELECT a <> b
SELECT a != b
SELECT @ a
SELECT a !~~ b
SELECT a || f(b)
SELECT a -> 'k' ->> 'l'
SELECT a @> b AND c <@ d
SELECT a ?| ARRAY['x']
SELECT a #>> '{b}'
SELECT a ~ b
SELECT a OPERATOR(pg_catalog.+) b
SELECT OPERATOR(pg_catalog.-) a
SELECT a OPERATOR(s.@@@) (b)
SELECT OPERATOR(s.!!) f(a)
SELECT a OPERATOR(+) b
SELECT a = ANY (b)
SELECT a < ALL (SELECT x FROM t)
SELECT a OPERATOR(s.=) ANY (ARRAY[1, 2])
SELECT a = SOME (f(b))
SELECT NOT a AND b OR NOT f(c)
SELECT a*-b
SELECT a IS NULL
SELECT a IS NOT NULL
SELECT a ISNULL
SELECT a NOTNULL
SELECT a IS TRUE
SELECT f(a) IS NOT FALSE
SELECT a IS UNKNOWN
SELECT a IS DISTINCT FROM b
SELECT a IS NOT DISTINCT FROM f(b)
SELECT a IS DOCUMENT
SELECT a IS NOT DOCUMENT
SELECT a IS NORMALIZED
SELECT a IS NOT NFKC NORMALIZED
SELECT a BETWEEN 1 AND 2
SELECT a NOT BETWEEN f(1) AND g(2)
SELECT a BETWEEN SYMMETRIC 1 AND (2)
SELECT a BETWEEN (1) AND f(2)
SELECT a IN (1, f(2))
SELECT a NOT IN (SELECT b FROM t)
SELECT (a, b) IN ((1, 2), (3, 4))
SELECT (a, b) = (SELECT c, d FROM t)
SELECT a LIKE 'b'
SELECT a NOT LIKE f(b)
SELECT a LIKE ('b')
SELECT a NOT LIKE ('b')
SELECT a LIKE b ESCAPE 'c'
SELECT a NOT ILIKE b ESCAPE f(c)
SELECT a ILIKE (b) ESCAPE ('x')
SELECT a SIMILAR TO 'b'
SELECT a NOT SIMILAR TO (b) ESCAPE '#'
SELECT a LIKE ANY (ARRAY['x'])
SELECT like(a, b)
SELECT (a, b) OVERLAPS (c, d)
SELECT (f(a), b) OVERLAPS (c, g(d))
SELECT a LIKE ALL (f(b))
SELECT EXISTS (SELECT 1 FROM t)
SELECT NOT EXISTS (TABLE s.t)
SELECT UNIQUE_KEY IS NULL
SELECT f()
SELECT s.f(1)
SELECT db.s.f(a)
SELECT "F"(a)
SELECT "S"."F"(a)
SELECT F(A)
SELECT f(a, VARIADIC b)
SELECT f(VARIADIC b)
SELECT f(a => 1, b => g(2))
SELECT f(a := 1)
SELECT f(ALL a)
SELECT count(DISTINCT a)
SELECT count(*)
SELECT s.count(*)
SELECT string_agg(a, ',' ORDER BY b DESC, f(c))
SELECT sum(a) FILTER (WHERE b > f(1))
SELECT sum(a) OVER ()
SELECT sum(a) OVER w
SELECT f(a) OVER (PARTITION BY b ORDER BY c)
SELECT rank() FILTER (WHERE x) OVER (ORDER BY y ROWS 1 PRECEDING)
SELECT lag(a, 1) OVER (w ORDER BY b)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a)
SELECT mode() WITHIN GROUP (ORDER BY f(a)) OVER w
SELECT f((SELECT a FROM t))
SELECT f(ARRAY(SELECT a FROM t))
SELECT f(g(h(i(1))))
SELECT (f(1)).a
SELECT (f(1)).b.c
SELECT (f(a))[1:2]
SELECT nextval('s')
SELECT pg_catalog.now()
SELECT left(a, 1)
SELECT right(a, 2)
SELECT setval('s', 1, false)
SELECT lo_create(0)
SELECT pg_notify('a', 'b')
SELECT pg_advisory_lock(1)
SELECT set_config('a.b', 'c', true)
SELECT txid_current()
SELECT pg_sleep(0)
SELECT random()
SELECT binary_f(1)
SELECT replace(a, b, c)
SELECT grouping(a)
SELECT update(a)
SELECT insert(b)
SELECT value(c)
SELECT key(d)
SELECT filter(e)
SELECT over(f)
SELECT escape(g, 1)
SELECT zone(h)
SELECT first(i)
SELECT rows(1)
SELECT partition(j)
SELECT row_number()
SELECT xmin(1)
SELECT a.b(c)
SELECT date(d)
SELECT text(e)
SELECT name(f)
SELECT isfinite(g)
SELECT overlaps(a, b, c, d)
SELECT verbose(1)
SELECT concurrently(1)
SELECT inner(1)
SELECT collation(1)
SELECT authorization(1)
SELECT ilike(a, b)
SELECT cube(1, 2)
SELECT rollup(3)
SELECT sets(4)
SELECT by(5)
SELECT set(6)
SELECT document(7)
SELECT second(8)
SELECT columns(9)
SELECT current_date
SELECT current_time
SELECT current_time(2)
SELECT current_timestamp
SELECT CURRENT_TIMESTAMP(3)
SELECT localtime
SELECT localtime(0)
SELECT localtimestamp
SELECT localtimestamp(6)
SELECT current_role
SELECT current_user
SELECT user
SELECT session_user
SELECT current_catalog
SELECT current_schema
SELECT current_schema()
SELECT extract(year FROM a)
SELECT extract('dow' FROM f(b))
SELECT EXTRACT(second FROM now())
SELECT position(a IN b)
SELECT position('x' IN f(c))
SELECT substring(a FROM 1)
SELECT substring(a FROM 1 FOR 2)
SELECT substring(a FOR 2)
SELECT substring(a FOR 2 FROM 1)
SELECT substring(a SIMILAR b ESCAPE c)
SELECT substring(a, 1, f(2))
SELECT substring(f(a) FROM g(1))
SELECT overlay(a PLACING b FROM 1)
SELECT overlay(a PLACING b FROM 1 FOR f(2))
SELECT overlay(a, b, 1)
SELECT trim(a)
SELECT trim(BOTH FROM a)
SELECT trim(LEADING 'x' FROM f(a))
SELECT trim(TRAILING FROM a)
SELECT trim(BOTH 'x' FROM a)
SELECT trim('x' FROM a)
SELECT trim(a, 'x')
SELECT normalize(a)
SELECT normalize(f(a), NFC)
SELECT a AT TIME ZONE 'UTC'
SELECT a AT TIME ZONE f(b)
SELECT a AT TIME ZONE ('x')
SELECT f(a) AT TIME ZONE b
SELECT COLLATION FOR (a)
SELECT collation for (f(a))
SELECT a COLLATE "C"
SELECT f(a) COLLATE s.c
SELECT coalesce(a, f(b))
SELECT nullif(a, g(b))
SELECT greatest(a, b)
SELECT least(f(a), b)
SELECT xmlconcat(a, f(b))
SELECT xmlelement(NAME a)
SELECT xmlelement(NAME a, xmlattributes(b AS c, f(d) AS e), g(h), 'x')
SELECT xmlexists('/a' PASSING b)
SELECT xmlexists('/a' PASSING BY REF f(b) BY VALUE)
SELECT xmlforest(a, f(b) AS c)
SELECT xmlparse(DOCUMENT a)
SELECT xmlparse(CONTENT f(a) PRESERVE WHITESPACE)
SELECT xmlparse(DOCUMENT (a) STRIP WHITESPACE)
SELECT xmlpi(NAME a)
SELECT xmlpi(NAME a, f(b))
SELECT xmlroot(a, VERSION '1.0')
SELECT xmlroot(a, VERSION NO VALUE, STANDALONE YES)
SELECT xmlserialize(CONTENT a AS text)
SELECT xmlserialize(DOCUMENT f(a) AS varchar(10))
SELECT xmlagg(a ORDER BY b)
SELECT json_object('{a,b}')
SELECT json_build_object('a', f(1))
SELECT a::int
SELECT a::numeric(10, 2)
SELECT a::s.ty
SELECT a::ty(3)
SELECT f(a)::text
SELECT a::int[]
SELECT a::int[3][4]
SELECT a::int ARRAY
SELECT a::int ARRAY[4]
SELECT a::text::s.ty::int
SELECT a::double precision
SELECT a::character varying(10)
SELECT a::char(3)
SELECT a::bit varying(4)
SELECT a::national character varying(3)
SELECT a::time(3) with time zone
SELECT a::timestamp without time zone
SELECT a::timestamp(0) with time zone
SELECT a::interval
SELECT a::interval(3)
SELECT a::interval day to second(3)
SELECT a::interval year
SELECT a::"Ty"
SELECT a::interval second(2)
SELECT a::timestamp AT TIME ZONE f(b)
SELECT CAST(a AS int)
SELECT CAST(f(a) AS s.ty)
SELECT CAST(a AS numeric(10, 2))
SELECT CAST(a AS ty(3)[])
SELECT CAST(a AS double precision)
SELECT CAST((SELECT a FROM t) AS text)
SELECT 't'::regclass
SELECT 's.t'::regclass
SELECT '"S"."T"'::regclass
SELECT CAST('t' AS regclass)
SELECT CAST('T' AS pg_catalog.regclass)
SELECT regclass 't'
SELECT '123'::regclass
SELECT 't'::text::regclass
SELECT 'f'::regproc
SELECT date '2020-01-01'
SELECT timestamp '2020-01-01'
SELECT timestamp(3) with time zone '2020-01-01'
SELECT time '00:00'
SELECT time with time zone '00:00+1'
SELECT interval '1 day'
SELECT interval '1' year
SELECT interval '1' day to second(3)
SELECT interval(3) '1 s'
SELECT interval '1' second (3)
SELECT numeric(3, 1) '1.2'
SELECT s.ty 'x'
SELECT ty(1) 'x'
SELECT int '1'
SELECT bit '1'
SELECT character varying(3) 'abc'
SELECT varchar 'x'
SELECT double precision '1'
SELECT json '{}'
SELECT boolean 't'
SELECT bool 't'
SELECT "Ty" 'x'
SELECT text 'a'
SELECT name 'b'
SELECT point '(1,2)'
SELECT xml '<a/>'
SELECT -1::int
SELECT 1
SELECT -1.5e10
SELECT .5
SELECT 1.
SELECT 'a'
SELECT 'it''s'
SELECT E'a\n\'b'
SELECT B'01'
SELECT X'1f'
SELECT N'x'
SELECT U&'\0061'
SELECT U&'!0061' UESCAPE '!'
SELECT $$a ' b$$
SELECT $x$ $$ ; $x$
SELECT NULL
SELECT true
SELECT false
SELECT $1
SELECT $2::int + $10
SELECT a
SELECT t.a
SELECT s.t.a
SELECT "A"."b c"
SELECT t.*
SELECT (t).*
SELECT (t.a).b
SELECT a[1]
SELECT a[1:2][f(3)]
SELECT a[:f(2)]
SELECT a[1:]
SELECT $1[1].b
SELECT $1.a
SELECT ROW(a, f(b))
SELECT ROW()
SELECT (a, b)
SELECT (a, f(b))
SELECT (a)
SELECT ((f(a)))
SELECT ARRAY[1, f(2)]
SELECT ARRAY[[1], [2]]
SELECT ARRAY[]::int[]
SELECT ARRAY(SELECT a FROM t)
SELECT CASE WHEN a THEN f(b) ELSE g(c) END
SELECT CASE a WHEN 1 THEN b END
SELECT CASE f(a) WHEN g(1) THEN CASE WHEN b THEN c END ELSE (SELECT d FROM t) END
SELECT CASE WHEN a THEN 1 END || f(b)
SELECT (SELECT a FROM t)
SELECT (SELECT a FROM t LIMIT 1)[1]
SELECT (VALUES (1))
SELECT ((SELECT 1 FROM a) UNION SELECT 2 FROM b)
SELECT (WITH w AS (SELECT * FROM t) SELECT * FROM w)
SELECT value + key
SELECT year - month
SELECT a.value
SELECT t.select
SELECT insert
SELECT update, delete
SELECT values
SELECT between
SELECT coalesce
SELECT time, timestamp, interval
SELECT char, bit, varchar
SELECT set, show, temp
SELECT rows, range, groups
SELECT over
SELECT filter
SELECT first, next
SELECT merge, into_x
SELECT row
SELECT setof
SELECT xmlelement
SELECT position, substring
SELECT begin, commit, work
SELECT a FROM t
SELECT a FROM s.t
SELECT a FROM ONLY t
SELECT a FROM ONLY (t)
SELECT a FROM t *
SELECT a FROM t AS a
SELECT a FROM t a
SELECT a FROM t AS a (x, y)
SELECT a FROM t a (x, y)
SELECT a FROM (SELECT 1) AS q
SELECT a FROM (SELECT 1 AS b) q (x)
SELECT a FROM LATERAL (SELECT 1) AS q
SELECT a FROM (VALUES (1, 2), (3, 4)) AS v (x, y)
SELECT a FROM (TABLE u) AS q
SELECT a FROM (SELECT * FROM u UNION SELECT * FROM v) AS q
SELECT a FROM ((SELECT * FROM u) UNION (SELECT * FROM v)) AS q
SELECT a FROM (((SELECT * FROM u))) AS q
SELECT a FROM (WITH w AS (SELECT * FROM u) SELECT * FROM w) AS q
SELECT a FROM f(1)
SELECT a FROM s.f(1, x)
SELECT a FROM f(1) AS a
SELECT a FROM f(1) AS a (x, y)
SELECT a FROM f(1) AS a (x int, y text)
SELECT a FROM f(1) AS (x int, y numeric(10, 2))
SELECT a FROM f(1) a (x s.ty, y ty(3))
SELECT a FROM f() WITH ORDINALITY
SELECT a FROM f() WITH ORDINALITY AS a (x, n)
SELECT a FROM LATERAL f(1) AS a
SELECT a FROM ROWS FROM (f(1), g(2))
SELECT a FROM ROWS FROM (f(1) AS (x int), g(2)) WITH ORDINALITY AS a (x)
SELECT a FROM LATERAL ROWS FROM (f(1)) AS a
SELECT a FROM generate_series(1, 10) AS g (i)
SELECT a FROM current_date
SELECT a FROM current_timestamp(3) AS c
SELECT a FROM CAST(1 AS int) AS c
SELECT a FROM coalesce(1, 2) AS c
SELECT a FROM user AS u
SELECT a FROM current_schema
SELECT a FROM t TABLESAMPLE system (10)
SELECT a FROM t TABLESAMPLE bernoulli (f(1)) REPEATABLE (g(2))
SELECT a FROM t AS a TABLESAMPLE s.mine (1, 2)
SELECT a FROM t TABLESAMPLE system (10) REPEATABLE (1)
SELECT a FROM xmltable('/r' PASSING x COLUMNS a int PATH '@a', b FOR ORDINALITY)
SELECT a FROM xmltable('/r' PASSING BY REF f(x) BY REF COLUMNS a int PATH 'a' DEFAULT g(0) NOT NULL, b numeric(10, 2), c s.ty(3) DEFAULT 1) AS q
SELECT a FROM xmltable(xmlnamespaces('http://x' AS n, DEFAULT 'y'), '/r' PASSING x COLUMNS a text) AS q (z)
SELECT a FROM LATERAL xmltable('/r' PASSING x COLUMNS a xml PATH '.')
SELECT a FROM a JOIN b ON a.x = b.x
SELECT a FROM a JOIN b ON f(a.x) AND left(a.y, 1) = 'l'
SELECT a FROM a INNER JOIN b USING (x)
SELECT a FROM a LEFT JOIN b USING (x, y)
SELECT a FROM a LEFT OUTER JOIN b ON true
SELECT a FROM a RIGHT JOIN b ON true
SELECT a FROM a RIGHT OUTER JOIN b ON right(x, 2) = y
SELECT a FROM a FULL JOIN b ON true
SELECT a FROM a FULL OUTER JOIN s.b USING (x)
SELECT a FROM a CROSS JOIN b
SELECT a FROM a NATURAL JOIN b
SELECT a FROM a NATURAL LEFT JOIN b
SELECT a FROM a NATURAL FULL OUTER JOIN b
SELECT a FROM a JOIN b USING (x) AS j
SELECT a FROM a JOIN b ON true JOIN c ON true
SELECT a FROM a JOIN b JOIN c ON true ON true
SELECT a FROM a JOIN (b JOIN c ON true) ON true
SELECT a FROM (a JOIN b ON true) JOIN c USING (x)
SELECT a FROM (a CROSS JOIN b)
SELECT a FROM (a JOIN b ON true) AS j
SELECT a FROM ((a JOIN b ON true) LEFT JOIN c ON f(1) > 2)
SELECT a FROM (a NATURAL JOIN b) AS j (x, y)
SELECT a FROM a JOIN LATERAL (SELECT * FROM c WHERE c.x = a.x) q ON true
SELECT a FROM a LEFT JOIN LATERAL f(a.x) AS q ON q IS NOT NULL
SELECT a FROM a, b, c
SELECT a FROM a, LATERAL f(a.x), s.b
SELECT a FROM a JOIN b ON CASE WHEN x THEN y END JOIN c ON true
SELECT a FROM a JOIN b ON (SELECT x FROM d), e
SELECT a FROM a JOIN b ON a.x IS DISTINCT FROM b.x JOIN c ON true
SELECT a FROM pg_catalog.pg_class
SELECT a FROM information_schema.tables
SELECT a FROM pg_temp.t
SELECT a FROM x JOIN y ON true, t WHERE f(1)
SELECT a FROM x JOIN y ON true, s.t WHERE f(1)
SELECT a FROM x JOIN y ON true, ONLY t WHERE f(1)
SELECT a FROM x JOIN y ON true, ONLY (t) WHERE f(1)
SELECT a FROM x JOIN y ON true, t * WHERE f(1)
SELECT a FROM x JOIN y ON true, t AS a WHERE f(1)
SELECT a FROM x JOIN y ON true, t a WHERE f(1)
SELECT a FROM x JOIN y ON true, t AS a (x, y) WHERE f(1)
SELECT a FROM x JOIN y ON true, t a (x, y) WHERE f(1)
SELECT a FROM x JOIN y ON true, (SELECT 1) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, (SELECT 1 AS b) q (x) WHERE f(1)
SELECT a FROM x JOIN y ON true, LATERAL (SELECT 1) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, (VALUES (1, 2), (3, 4)) AS v (x, y) WHERE f(1)
SELECT a FROM x JOIN y ON true, (TABLE u) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, (SELECT * FROM u UNION SELECT * FROM v) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, ((SELECT * FROM u) UNION (SELECT * FROM v)) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, (((SELECT * FROM u))) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, (WITH w AS (SELECT * FROM u) SELECT * FROM w) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, f(1) WHERE f(1)
SELECT a FROM x JOIN y ON true, s.f(1, x) WHERE f(1)
SELECT a FROM x JOIN y ON true, f(1) AS a WHERE f(1)
SELECT a FROM x JOIN y ON true, f(1) AS a (x, y) WHERE f(1)
SELECT a FROM x JOIN y ON true, f(1) AS a (x int, y text) WHERE f(1)
SELECT a FROM x JOIN y ON true, f(1) AS (x int, y numeric(10, 2)) WHERE f(1)
SELECT a FROM x JOIN y ON true, f(1) a (x s.ty, y ty(3)) WHERE f(1)
SELECT a FROM x JOIN y ON true, f() WITH ORDINALITY WHERE f(1)
SELECT a FROM x JOIN y ON true, f() WITH ORDINALITY AS a (x, n) WHERE f(1)
SELECT a FROM x JOIN y ON true, LATERAL f(1) AS a WHERE f(1)
SELECT a FROM x JOIN y ON true, ROWS FROM (f(1), g(2)) WHERE f(1)
SELECT a FROM x JOIN y ON true, ROWS FROM (f(1) AS (x int), g(2)) WITH ORDINALITY AS a (x) WHERE f(1)
SELECT a FROM x JOIN y ON true, LATERAL ROWS FROM (f(1)) AS a WHERE f(1)
SELECT a FROM x JOIN y ON true, generate_series(1, 10) AS g (i) WHERE f(1)
SELECT a FROM x JOIN y ON true, current_date WHERE f(1)
SELECT a FROM x JOIN y ON true, current_timestamp(3) AS c WHERE f(1)
SELECT a FROM x JOIN y ON true, CAST(1 AS int) AS c WHERE f(1)
SELECT a FROM x JOIN y ON true, coalesce(1, 2) AS c WHERE f(1)
SELECT a FROM x JOIN y ON true, user AS u WHERE f(1)
SELECT a FROM x JOIN y ON true, current_schema WHERE f(1)
SELECT a FROM x JOIN y ON true, t TABLESAMPLE system (10) WHERE f(1)
SELECT a FROM x JOIN y ON true, t TABLESAMPLE bernoulli (f(1)) REPEATABLE (g(2)) WHERE f(1)
SELECT a FROM x JOIN y ON true, t AS a TABLESAMPLE s.mine (1, 2) WHERE f(1)
SELECT a FROM x JOIN y ON true, t TABLESAMPLE system (10) REPEATABLE (1) WHERE f(1)
SELECT a FROM x JOIN y ON true, xmltable('/r' PASSING x COLUMNS a int PATH '@a', b FOR ORDINALITY) WHERE f(1)
SELECT a FROM x JOIN y ON true, xmltable('/r' PASSING BY REF f(x) BY REF COLUMNS a int PATH 'a' DEFAULT g(0) NOT NULL, b numeric(10, 2), c s.ty(3) DEFAULT 1) AS q WHERE f(1)
SELECT a FROM x JOIN y ON true, xmltable(xmlnamespaces('http://x' AS n, DEFAULT 'y'), '/r' PASSING x COLUMNS a text) AS q (z) WHERE f(1)
SELECT a FROM x JOIN y ON true, LATERAL xmltable('/r' PASSING x COLUMNS a xml PATH '.') WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b ON a.x = b.x WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b ON f(a.x) AND left(a.y, 1) = 'l' WHERE f(1)
SELECT a FROM x JOIN y ON true, a INNER JOIN b USING (x) WHERE f(1)
SELECT a FROM x JOIN y ON true, a LEFT JOIN b USING (x, y) WHERE f(1)
SELECT a FROM x JOIN y ON true, a LEFT OUTER JOIN b ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, a RIGHT JOIN b ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, a RIGHT OUTER JOIN b ON right(x, 2) = y WHERE f(1)
SELECT a FROM x JOIN y ON true, a FULL JOIN b ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, a FULL OUTER JOIN s.b USING (x) WHERE f(1)
SELECT a FROM x JOIN y ON true, a CROSS JOIN b WHERE f(1)
SELECT a FROM x JOIN y ON true, a NATURAL JOIN b WHERE f(1)
SELECT a FROM x JOIN y ON true, a NATURAL LEFT JOIN b WHERE f(1)
SELECT a FROM x JOIN y ON true, a NATURAL FULL OUTER JOIN b WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b USING (x) AS j WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b ON true JOIN c ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b JOIN c ON true ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN (b JOIN c ON true) ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, (a JOIN b ON true) JOIN c USING (x) WHERE f(1)
SELECT a FROM x JOIN y ON true, (a CROSS JOIN b) WHERE f(1)
SELECT a FROM x JOIN y ON true, (a JOIN b ON true) AS j WHERE f(1)
SELECT a FROM x JOIN y ON true, ((a JOIN b ON true) LEFT JOIN c ON f(1) > 2) WHERE f(1)
SELECT a FROM x JOIN y ON true, (a NATURAL JOIN b) AS j (x, y) WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN LATERAL (SELECT * FROM c WHERE c.x = a.x) q ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, a LEFT JOIN LATERAL f(a.x) AS q ON q IS NOT NULL WHERE f(1)
SELECT a FROM x JOIN y ON true, a, b, c WHERE f(1)
SELECT a FROM x JOIN y ON true, a, LATERAL f(a.x), s.b WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b ON CASE WHEN x THEN y END JOIN c ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b ON (SELECT x FROM d), e WHERE f(1)
SELECT a FROM x JOIN y ON true, a JOIN b ON a.x IS DISTINCT FROM b.x JOIN c ON true WHERE f(1)
SELECT a FROM x JOIN y ON true, pg_catalog.pg_class WHERE f(1)
SELECT a FROM x JOIN y ON true, information_schema.tables WHERE f(1)
SELECT a FROM x JOIN y ON true, pg_temp.t WHERE f(1)
SELECT a FROM t WHERE b = 1
SELECT a FROM public.t WHERE b = 1
SELECT a FROM "T" WHERE b = 1
SELECT a FROM s.t WHERE b = 1
SELECT a FROM "S"."T" WHERE b = 1
SELECT a FROM db.s.t WHERE b = 1
SELECT a FROM Mixed_Case WHERE b = 1
SELECT a FROM "a ""b"" c" WHERE b = 1
SELECT a FROM temp WHERE b = 1
SELECT a FROM pg_temp.t WHERE b = 1
SELECT a FROM U&"plain" WHERE b = 1
SELECT a FROM ünïcode WHERE b = 1
SELECT a, b AS x, c y FROM t
SELECT ALL a, b AS x, c y FROM t
SELECT DISTINCT a, b AS x, c y FROM t
SELECT DISTINCT ON (a) a, b AS x, c y FROM t
SELECT DISTINCT ON (a, f(b)) a, b AS x, c y FROM t
SELECT FROM t
SELECT * FROM t
SELECT t.* FROM t
SELECT s.t.* FROM t
SELECT t.a FROM t
SELECT (t).a FROM t
SELECT (f(1)).* FROM t
SELECT (f(1)).a FROM t
SELECT a.b.c.d FROM t
SELECT 1 AS x
SELECT 1 AS "Q"
SELECT 1 AS select
SELECT 1 AS from
SELECT 1 AS table
SELECT 1 AS order
SELECT 1 AS user
SELECT 1 AS update
SELECT 1 AS for
SELECT 1 AS into
SELECT 1 AS end
SELECT 1 x
SELECT 1 "Q"
SELECT 1 value
SELECT 1 update
SELECT 1 insert
SELECT 1 key
SELECT 1 commit
SELECT 1 show
SELECT 1 temp
SELECT a FROM t ORDER BY value(a)
SELECT a FROM t GROUP BY escape(a), rows(b)
SELECT a FROM t JOIN u ON conflict(a)
SELECT a FROM t WHERE a SIMILAR TO second(b)
SELECT a FROM t WHERE a LIKE b ESCAPE escape(c)
SELECT a FROM t WHERE a IN (groups(1))
SELECT a FROM t ORDER BY passing(1), columns(2), path(3)
SELECT a FROM t FETCH FIRST (value(1)) ROWS ONLY
SELECT a FROM t WHERE a AT TIME ZONE value(b) = like(c, d)
SELECT a FROM t ORDER BY overlaps(1, 2, 3, 4)
SELECT a FROM t WHERE key LIKE ('x') AND value ILIKE (f(b))
SELECT a FROM t WHERE first * 2 < path - 1
SELECT a FROM t WINDOW w AS (ORDER BY a ROWS rows(1) PRECEDING)
SELECT a FROM t WHERE NOT value(1)
SELECT a FROM t LIMIT value(1)
SELECT treat(a AS nextval)
SELECT treat(f(b) AS s.lower)
SELECT xmlconcat(document(1), passing(2))
SELECT xmlparse(DOCUMENT value(1))
SELECT xmlexists('/a' PASSING BY VALUE value(1))
SELECT sum(a) OVER (ORDER BY b RANGE BETWEEN range(1) PRECEDING AND groups(2) FOLLOWING)
SELECT xmlroot(a, VERSION columns(1))
SELECT a BETWEEN value(1) AND escape(2)
SELECT key * value
SELECT rows * 2
SELECT 1 /*+ x */
SELECT a/*=b*/+c
SELECT a+/*b*/c
SELECT a +/* /*+ */ */- b
SELECT 1 --+ x
SELECT a*/**/b
SELECT a-/*-*/-b
SELECT /*+f(1)*/ g(2)
SELECT a @-/**/ b
SELECT 1 --
SELECT a FROM t WHERE a = 1
SELECT a FROM t WHERE f(a + b)
SELECT a FROM t WHERE f(- a)
SELECT a FROM t WHERE f(+a * b)
SELECT a FROM t WHERE f(a % b ^ c)
SELECT a FROM t WHERE f(a < b)
SELECT a FROM t WHERE f(a <= f(b))
SELECT a FROM t WHERE f(a <> b)
SELECT a FROM t WHERE f(a != b)
SELECT a FROM t WHERE f(@ a)
SELECT a FROM t WHERE f(a !~~ b)
SELECT a FROM t WHERE f(a || f(b))
SELECT a FROM t WHERE f(a -> 'k' ->> 'l')
SELECT a FROM t WHERE f(a @> b AND c <@ d)
SELECT a FROM t WHERE f(a ?| ARRAY['x'])
SELECT a FROM t WHERE f(a #>> '{b}')
SELECT a FROM t WHERE f(a ~ b)
SELECT a FROM t WHERE f(a OPERATOR(pg_catalog.+) b)
SELECT a FROM t WHERE f(OPERATOR(pg_catalog.-) a)
SELECT a FROM t WHERE f(a OPERATOR(s.@@@) (b))
SELECT a FROM t WHERE f(OPERATOR(s.!!) f(a))
SELECT a FROM t WHERE f(a OPERATOR(+) b)
SELECT a FROM t WHERE f(a = ANY (b))
SELECT a FROM t WHERE f(a < ALL (SELECT x FROM t))
SELECT a FROM t WHERE f(a OPERATOR(s.=) ANY (ARRAY[1, 2]))
SELECT a FROM t WHERE f(a = SOME (f(b)))
SELECT a FROM t WHERE f(NOT a AND b OR NOT f(c))
SELECT a FROM t WHERE f(a*-b)
SELECT a FROM t WHERE f(a IS NULL)
SELECT a FROM t WHERE f(a IS NOT NULL)
SELECT a FROM t WHERE f(a ISNULL)
SELECT a FROM t WHERE f(a NOTNULL)
SELECT a FROM t WHERE f(a IS TRUE)
SELECT a FROM t WHERE f(f(a) IS NOT FALSE)
SELECT a FROM t WHERE f(a IS UNKNOWN)
SELECT a FROM t WHERE f(a IS DISTINCT FROM b)
SELECT a FROM t WHERE f(a IS NOT DISTINCT FROM f(b))
SELECT a FROM t WHERE f(a IS DOCUMENT)
SELECT a FROM t WHERE f(a IS NOT DOCUMENT)
SELECT a FROM t WHERE f(a IS NORMALIZED)
SELECT a FROM t WHERE f(a IS NOT NFKC NORMALIZED)
SELECT a FROM t WHERE f(a BETWEEN 1 AND 2)
SELECT a FROM t WHERE f(a NOT BETWEEN f(1) AND g(2))
SELECT a FROM t WHERE f(a BETWEEN SYMMETRIC 1 AND (2))
SELECT a FROM t WHERE f(a BETWEEN (1) AND f(2))
SELECT a FROM t WHERE f(a IN (1, f(2)))
SELECT a FROM t WHERE f(a NOT IN (SELECT b FROM t))
SELECT a FROM t WHERE f((a, b) IN ((1, 2), (3, 4)))
SELECT a FROM t WHERE f((a, b) = (SELECT c, d FROM t))
SELECT a FROM t WHERE f(a LIKE 'b')
SELECT a FROM t WHERE f(a NOT LIKE f(b))
SELECT a FROM t WHERE f(a LIKE ('b'))
SELECT a FROM t WHERE f(a NOT LIKE ('b'))
SELECT a FROM t WHERE f(a LIKE b ESCAPE 'c')
SELECT a FROM t WHERE f(a NOT ILIKE b ESCAPE f(c))
SELECT a FROM t WHERE f(a ILIKE (b) ESCAPE ('x'))
SELECT a FROM t WHERE f(a SIMILAR TO 'b')
SELECT a FROM t WHERE f(a NOT SIMILAR TO (b) ESCAPE '#')
SELECT a FROM t WHERE f(a LIKE ANY (ARRAY['x']))
SELECT a FROM t WHERE f(like(a, b))
SELECT a FROM t WHERE f((a, b) OVERLAPS (c, d))
SELECT a FROM t WHERE f((f(a), b) OVERLAPS (c, g(d)))
SELECT a FROM t WHERE f(a LIKE ALL (f(b)))
SELECT a FROM t WHERE f(EXISTS (SELECT 1 FROM t))
SELECT a FROM t WHERE f(NOT EXISTS (TABLE s.t))
SELECT a FROM t WHERE f(UNIQUE_KEY IS NULL)
SELECT a FROM t WHERE f(f())
SELECT a FROM t WHERE f(s.f(1))
SELECT a FROM t WHERE f(db.s.f(a))
SELECT a FROM t WHERE f("F"(a))
SELECT a FROM t WHERE f("S"."F"(a))
SELECT a FROM t WHERE f(F(A))
SELECT a FROM t WHERE f(f(a, VARIADIC b))
SELECT a FROM t WHERE f(f(VARIADIC b))
SELECT a FROM t WHERE f(f(a => 1, b => g(2)))
SELECT a FROM t WHERE f(f(a := 1))
SELECT a FROM t WHERE f(f(ALL a))
SELECT a FROM t WHERE f(count(DISTINCT a))
SELECT a FROM t WHERE f(count(*))
SELECT a FROM t WHERE f(s.count(*))
SELECT a FROM t WHERE f(string_agg(a, ',' ORDER BY b DESC, f(c)))
SELECT a FROM t WHERE f(sum(a) FILTER (WHERE b > f(1)))
SELECT a FROM t WHERE f(sum(a) OVER ())
SELECT a FROM t WHERE f(sum(a) OVER w)
SELECT a FROM t WHERE f(f(a) OVER (PARTITION BY b ORDER BY c))
SELECT a FROM t WHERE f(rank() FILTER (WHERE x) OVER (ORDER BY y ROWS 1 PRECEDING))
SELECT a FROM t WHERE f(lag(a, 1) OVER (w ORDER BY b))
SELECT a FROM t WHERE f(percentile_cont(0.5) WITHIN GROUP (ORDER BY a))
SELECT a FROM t WHERE f(mode() WITHIN GROUP (ORDER BY f(a)) OVER w)
SELECT a FROM t WHERE f(f((SELECT a FROM t)))
SELECT a FROM t WHERE f(f(ARRAY(SELECT a FROM t)))
SELECT a FROM t WHERE f(f(g(h(i(1)))))
SELECT a FROM t WHERE f((f(1)).a)
SELECT a FROM t WHERE f((f(1)).b.c)
SELECT a FROM t WHERE f((f(a))[1:2])
SELECT a FROM t WHERE f(nextval('s'))
SELECT a FROM t WHERE f(pg_catalog.now())
SELECT a FROM t WHERE f(left(a, 1))
SELECT a FROM t WHERE f(right(a, 2))
SELECT a FROM t WHERE f(setval('s', 1, false))
SELECT a FROM t WHERE f(lo_create(0))
SELECT a FROM t WHERE f(pg_notify('a', 'b'))
SELECT a FROM t WHERE f(pg_advisory_lock(1))
SELECT a FROM t WHERE f(set_config('a.b', 'c', true))
SELECT a FROM t WHERE f(txid_current())
SELECT a FROM t WHERE f(pg_sleep(0))
SELECT a FROM t WHERE f(random())
SELECT a FROM t WHERE f(binary_f(1))
SELECT a FROM t WHERE f(replace(a, b, c))
SELECT a FROM t WHERE f(grouping(a))
SELECT a FROM t WHERE f(update(a))
SELECT a FROM t WHERE f(insert(b))
SELECT a FROM t WHERE f(value(c))
SELECT a FROM t WHERE f(key(d))
SELECT a FROM t WHERE f(filter(e))
SELECT a FROM t WHERE f(over(f))
SELECT a FROM t WHERE f(escape(g, 1))
SELECT a FROM t WHERE f(zone(h))
SELECT a FROM t WHERE f(first(i))
SELECT a FROM t WHERE f(rows(1))
SELECT a FROM t WHERE f(partition(j))
SELECT a FROM t WHERE f(row_number())
SELECT a FROM t WHERE f(xmin(1))
SELECT a FROM t WHERE f(a.b(c))
SELECT a FROM t WHERE f(date(d))
SELECT a FROM t WHERE f(text(e))
SELECT a FROM t WHERE f(name(f))
SELECT a FROM t WHERE f(isfinite(g))
SELECT a FROM t WHERE f(overlaps(a, b, c, d))
SELECT a FROM t WHERE f(verbose(1))
SELECT a FROM t WHERE f(concurrently(1))
SELECT a FROM t WHERE f(inner(1))
SELECT a FROM t WHERE f(collation(1))
SELECT a FROM t WHERE f(authorization(1))
SELECT a FROM t WHERE f(ilike(a, b))
SELECT a FROM t WHERE f(cube(1, 2))
SELECT a FROM t WHERE f(rollup(3))
SELECT a FROM t WHERE f(sets(4))
SELECT a FROM t WHERE f(by(5))
SELECT a FROM t WHERE f(set(6))
SELECT a FROM t WHERE f(document(7))
SELECT a FROM t WHERE f(second(8))
SELECT a FROM t WHERE f(columns(9))
SELECT a FROM t WHERE f(current_date)
SELECT a FROM t WHERE f(current_time)
SELECT a FROM t WHERE f(current_time(2))
SELECT a FROM t WHERE f(current_timestamp)
SELECT a FROM t WHERE f(CURRENT_TIMESTAMP(3))
SELECT a FROM t WHERE f(localtime)
SELECT a FROM t WHERE f(localtime(0))
SELECT a FROM t WHERE f(localtimestamp)
SELECT a FROM t WHERE f(localtimestamp(6))
SELECT a FROM t WHERE f(current_role)
SELECT a FROM t WHERE f(current_user)
SELECT a FROM t WHERE f(user)
SELECT a FROM t WHERE f(session_user)
SELECT a FROM t WHERE f(current_catalog)
SELECT a FROM t WHERE f(current_schema)
SELECT a FROM t WHERE f(current_schema())
SELECT a FROM t WHERE f(extract(year FROM a))
SELECT a FROM t WHERE f(extract('dow' FROM f(b)))
SELECT a FROM t WHERE f(EXTRACT(second FROM now()))
SELECT a FROM t WHERE f(position(a IN b))
SELECT a FROM t WHERE f(position('x' IN f(c)))
SELECT a FROM t WHERE f(substring(a FROM 1))
SELECT a FROM t WHERE f(substring(a FROM 1 FOR 2))
SELECT a FROM t WHERE f(substring(a FOR 2))
SELECT a FROM t WHERE f(substring(a FOR 2 FROM 1))
SELECT a FROM t WHERE f(substring(a SIMILAR b ESCAPE c))
SELECT a FROM t WHERE f(substring(a, 1, f(2)))
SELECT a FROM t WHERE f(substring(f(a) FROM g(1)))
SELECT a FROM t WHERE f(overlay(a PLACING b FROM 1))
SELECT a FROM t WHERE f(overlay(a PLACING b FROM 1 FOR f(2)))
SELECT a FROM t WHERE f(overlay(a, b, 1))
SELECT a FROM t WHERE f(trim(a))
SELECT a FROM t WHERE f(trim(BOTH FROM a))
SELECT a FROM t WHERE f(trim(LEADING 'x' FROM f(a)))
SELECT a FROM t WHERE f(trim(TRAILING FROM a))
SELECT a FROM t WHERE f(trim(BOTH 'x' FROM a))
SELECT a FROM t WHERE f(trim('x' FROM a))
SELECT a FROM t WHERE f(trim(a, 'x'))
SELECT a FROM t WHERE f(normalize(a))
SELECT a FROM t WHERE f(normalize(f(a), NFC))
SELECT a FROM t WHERE f(a AT TIME ZONE 'UTC')
SELECT a FROM t WHERE f(a AT TIME ZONE f(b))
SELECT a FROM t WHERE f(a AT TIME ZONE ('x'))
SELECT a FROM t WHERE f(f(a) AT TIME ZONE b)
SELECT a FROM t WHERE f(COLLATION FOR (a))
SELECT a FROM t WHERE f(collation for (f(a)))
SELECT a FROM t WHERE f(a COLLATE "C")
SELECT a FROM t WHERE f(f(a) COLLATE s.c)
SELECT a FROM t WHERE f(coalesce(a, f(b)))
SELECT a FROM t WHERE f(nullif(a, g(b)))
SELECT a FROM t WHERE f(greatest(a, b))
SELECT a FROM t WHERE f(least(f(a), b))
SELECT a FROM t WHERE f(xmlconcat(a, f(b)))
SELECT a FROM t WHERE f(xmlelement(NAME a))
SELECT a FROM t WHERE f(xmlelement(NAME a, xmlattributes(b AS c, f(d) AS e), g(h), 'x'))
SELECT a FROM t WHERE f(xmlexists('/a' PASSING b))
SELECT a FROM t WHERE f(xmlexists('/a' PASSING BY REF f(b) BY VALUE))
SELECT a FROM t WHERE f(xmlforest(a, f(b) AS c))
SELECT a FROM t WHERE f(xmlparse(DOCUMENT a))
SELECT a FROM t WHERE f(xmlparse(CONTENT f(a) PRESERVE WHITESPACE))
SELECT a FROM t WHERE f(xmlparse(DOCUMENT (a) STRIP WHITESPACE))
SELECT a FROM t WHERE f(xmlpi(NAME a))
SELECT a FROM t WHERE f(xmlpi(NAME a, f(b)))
SELECT a FROM t WHERE f(xmlroot(a, VERSION '1.0'))
SELECT a FROM t WHERE f(xmlroot(a, VERSION NO VALUE, STANDALONE YES))
SELECT a FROM t WHERE f(xmlserialize(CONTENT a AS text))
SELECT a FROM t WHERE f(xmlserialize(DOCUMENT f(a) AS varchar(10)))
SELECT a FROM t WHERE f(xmlagg(a ORDER BY b))
SELECT a FROM t WHERE f(json_object('{a,b}'))
SELECT a FROM t WHERE f(json_build_object('a', f(1)))
SELECT a FROM t WHERE f(a::int)
SELECT a FROM t WHERE f(a::numeric(10, 2))
SELECT a FROM t WHERE f(a::s.ty)
SELECT a FROM t WHERE f(a::ty(3))
SELECT a FROM t WHERE f(f(a)::text)
SELECT a FROM t WHERE f(a::int[])
SELECT a FROM t WHERE f(a::int[3][4])
SELECT a FROM t WHERE f(a::int ARRAY)
SELECT a FROM t WHERE f(a::int ARRAY[4])
SELECT a FROM t WHERE f(a::text::s.ty::int)
SELECT a FROM t WHERE f(a::double precision)
SELECT a FROM t WHERE f(a::character varying(10))
SELECT a FROM t WHERE f(a::char(3))
SELECT a FROM t WHERE f(a::bit varying(4))
SELECT a FROM t WHERE f(a::national character varying(3))
SELECT a FROM t WHERE f(a::time(3) with time zone)
SELECT a FROM t WHERE f(a::timestamp without time zone)
SELECT a FROM t WHERE f(a::timestamp(0) with time zone)
SELECT a FROM t WHERE f(a::interval)
SELECT a FROM t WHERE f(a::interval(3))
SELECT a FROM t WHERE f(a::interval day to second(3))
SELECT a FROM t WHERE f(a::interval year)
SELECT a FROM t WHERE f(a::"Ty")
SELECT a FROM t WHERE f(a::interval second(2))
SELECT a FROM t WHERE f(a::timestamp AT TIME ZONE f(b))
SELECT a FROM t WHERE f(CAST(a AS int))
SELECT a FROM t WHERE f(CAST(f(a) AS s.ty))
SELECT a FROM t WHERE f(CAST(a AS numeric(10, 2)))
SELECT a FROM t WHERE f(CAST(a AS ty(3)[]))
SELECT a FROM t WHERE f(CAST(a AS double precision))
SELECT a FROM t WHERE f(CAST((SELECT a FROM t) AS text))
SELECT a FROM t WHERE f('t'::regclass)
SELECT a FROM t WHERE f('s.t'::regclass)
SELECT a FROM t WHERE f('"S"."T"'::regclass)
SELECT a FROM t WHERE f(CAST('t' AS regclass))
SELECT a FROM t WHERE f(CAST('T' AS pg_catalog.regclass))
SELECT a FROM t WHERE f(regclass 't')
SELECT a FROM t WHERE f('123'::regclass)
SELECT a FROM t WHERE f('t'::text::regclass)
SELECT a FROM t WHERE f('f'::regproc)
SELECT a FROM t WHERE f(date '2020-01-01')
SELECT a FROM t WHERE f(timestamp '2020-01-01')
SELECT a FROM t WHERE f(timestamp(3) with time zone '2020-01-01')
SELECT a FROM t WHERE f(time '00:00')
SELECT a FROM t WHERE f(time with time zone '00:00+1')
SELECT a FROM t WHERE f(interval '1 day')
SELECT a FROM t WHERE f(interval '1' year)
SELECT a FROM t WHERE f(interval '1' day to second(3))
SELECT a FROM t WHERE f(interval(3) '1 s')
SELECT a FROM t WHERE f(interval '1' second (3))
SELECT a FROM t WHERE f(numeric(3, 1) '1.2')
SELECT a FROM t WHERE f(s.ty 'x')
SELECT a FROM t WHERE f(ty(1) 'x')
SELECT a FROM t WHERE f(int '1')
SELECT a FROM t WHERE f(bit '1')
SELECT a FROM t WHERE f(character varying(3) 'abc')
SELECT a FROM t WHERE f(varchar 'x')
SELECT a FROM t WHERE f(double precision '1')
SELECT a FROM t WHERE f(json '{}')
SELECT a FROM t WHERE f(boolean 't')
SELECT a FROM t WHERE f(bool 't')
SELECT a FROM t WHERE f("Ty" 'x')
SELECT a FROM t WHERE f(text 'a')
SELECT a FROM t WHERE f(name 'b')
SELECT a FROM t WHERE f(point '(1,2)')
SELECT a FROM t WHERE f(xml '<a/>')
SELECT a FROM t WHERE f(-1::int)
SELECT a FROM t WHERE f(1)
SELECT a FROM t WHERE f(-1.5e10)
SELECT a FROM t WHERE f(.5)
SELECT a FROM t WHERE f(1.)
SELECT a FROM t WHERE f('a')
SELECT a FROM t WHERE f('it''s')
SELECT a FROM t WHERE f(E'a\n\'b')
SELECT a FROM t WHERE f(B'01')
SELECT a FROM t WHERE f(X'1f')
SELECT a FROM t WHERE f(N'x')
SELECT a FROM t WHERE f(U&'\0061')
SELECT a FROM t WHERE f(U&'!0061' UESCAPE '!')
SELECT a FROM t WHERE f($$a ' b$$)
SELECT a FROM t WHERE f($x$ $$ ; $x$)
SELECT a FROM t WHERE f(NULL)
SELECT a FROM t WHERE f(true)
SELECT a FROM t WHERE f(false)
SELECT a FROM t WHERE f($1)
SELECT a FROM t WHERE f($2::int + $10)
SELECT a FROM t WHERE f(a)
SELECT a FROM t WHERE f(t.a)
SELECT a FROM t WHERE f(s.t.a)
SELECT a FROM t WHERE f("A"."b c")
SELECT a FROM t WHERE f(t.*)
SELECT a FROM t WHERE f((t).*)
SELECT a FROM t WHERE f((t.a).b)
SELECT a FROM t WHERE f(a[1])
SELECT a FROM t WHERE f(a[1:2][f(3)])
SELECT a FROM t WHERE f(a[:f(2)])
SELECT a FROM t WHERE f(a[1:])
SELECT a FROM t WHERE f($1[1].b)
SELECT a FROM t WHERE f($1.a)
SELECT a FROM t WHERE f(ROW(a, f(b)))
SELECT a FROM t WHERE f(ROW())
SELECT a FROM t WHERE f((a, b))
SELECT a FROM t WHERE f((a, f(b)))
SELECT a FROM t WHERE f((a))
SELECT a FROM t WHERE f(((f(a))))
SELECT a FROM t WHERE f(ARRAY[1, f(2)])
SELECT a FROM t WHERE f(ARRAY[[1], [2]])
SELECT a FROM t WHERE f(ARRAY[]::int[])
SELECT a FROM t WHERE f(ARRAY(SELECT a FROM t))
SELECT a FROM t WHERE f(CASE WHEN a THEN f(b) ELSE g(c) END)
SELECT a FROM t WHERE f(CASE a WHEN 1 THEN b END)
SELECT a FROM t WHERE f(CASE f(a) WHEN g(1) THEN CASE WHEN b THEN c END ELSE (SELECT d FROM t) END)
SELECT a FROM t WHERE f(CASE WHEN a THEN 1 END || f(b))
SELECT a FROM t WHERE f((SELECT a FROM t))
SELECT a FROM t WHERE f((SELECT a FROM t LIMIT 1)[1])
SELECT a FROM t WHERE f((VALUES (1)))
SELECT a FROM t WHERE f(((SELECT 1 FROM a) UNION SELECT 2 FROM b))
SELECT a FROM t WHERE f((WITH w AS (SELECT * FROM t) SELECT * FROM w))
SELECT a FROM t WHERE f(value + key)
SELECT a FROM t WHERE f(year - month)
SELECT a FROM t WHERE f(a.value)
SELECT a FROM t WHERE f(t.select)
SELECT a FROM t WHERE f(insert)
SELECT a FROM t WHERE f(update, delete)
SELECT a FROM t WHERE f(values)
SELECT a FROM t WHERE f(between)
SELECT a FROM t WHERE f(coalesce)
SELECT a FROM t WHERE f(time, timestamp, interval)
SELECT a FROM t WHERE f(char, bit, varchar)
SELECT a FROM t WHERE f(set, show, temp)
SELECT a FROM t WHERE f(rows, range, groups)
SELECT a FROM t WHERE f(over)
SELECT a FROM t WHERE f(filter)
SELECT a FROM t WHERE f(first, next)
SELECT a FROM t WHERE f(merge, into_x)
SELECT a FROM t WHERE f(row)
SELECT a FROM t WHERE f(setof)
SELECT a FROM t WHERE f(xmlelement)
SELECT a FROM t WHERE f(position, substring)
SELECT a FROM t WHERE f(begin, commit, work)
SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u)
SELECT a FROM t WHERE a IN (TABLE u)
SELECT a FROM t GROUP BY a
SELECT a FROM t GROUP BY a, f(b)
SELECT a FROM t GROUP BY ()
SELECT a FROM t GROUP BY ROLLUP (a, b)
SELECT a FROM t GROUP BY CUBE (a, f(b))
SELECT a FROM t GROUP BY GROUPING SETS ((a), (b, c), ())
SELECT a FROM t GROUP BY GROUPING SETS (CUBE (a, b), ROLLUP (c), f(d))
SELECT a FROM t GROUP BY ALL a
SELECT a FROM t GROUP BY DISTINCT a, ROLLUP (a)
SELECT a FROM t GROUP BY (a, b)
SELECT a FROM t GROUP BY ROLLUP ((a, b), c)
SELECT a FROM t GROUP BY a HAVING count(*) > f(1)
SELECT cube(a) FROM t GROUP BY b ORDER BY cube(c)
SELECT a FROM t ORDER BY a
SELECT a FROM t ORDER BY a ASC
SELECT a FROM t ORDER BY a DESC
SELECT a FROM t ORDER BY f(a) NULLS FIRST
SELECT a FROM t ORDER BY a USING > NULLS LAST
SELECT a FROM t ORDER BY a USING OPERATOR(s.<)
SELECT a FROM t ORDER BY (a, b)
SELECT a FROM t ORDER BY (SELECT x FROM u), 2
SELECT a FROM t ORDER BY a COLLATE "C"
SELECT a FROM t LIMIT 1
SELECT a FROM t LIMIT ALL
SELECT a FROM t LIMIT f(1) OFFSET g(2)
SELECT a FROM t OFFSET 1 ROWS
SELECT a FROM t OFFSET 1
SELECT a FROM t OFFSET 1 ROW FETCH FIRST ROW ONLY
SELECT a FROM t FETCH NEXT 5 ROWS ONLY
SELECT a FROM t FETCH FIRST (1 + 2) ROWS ONLY
SELECT a FROM t ORDER BY a FETCH FIRST 5 ROWS WITH TIES
SELECT a FROM t FETCH NEXT (f(1)) ROWS ONLY
SELECT a, sum(b) OVER w FROM t WINDOW w AS (PARTITION BY a )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( ORDER BY b DESC )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( PARTITION BY f(a), b ORDER BY c )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( ORDER BY a ROWS UNBOUNDED PRECEDING )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( ORDER BY a ROWS BETWEEN 1 PRECEDING AND f(2) FOLLOWING )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( ORDER BY a RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW EXCLUDE TIES )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( ORDER BY a GROUPS BETWEEN (1) PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( ORDER BY a ROWS (2) PRECEDING EXCLUDE GROUP )
SELECT a, sum(b) OVER w FROM t WINDOW w AS ( ORDER BY a RANGE (3) PRECEDING)
SELECT a, sum(b) OVER w FROM t WINDOW w AS (PARTITION BY a ), w2 AS (w)
SELECT a, sum(b) OVER w FROM t WINDOW w AS (PARTITION BY a ) , w2 AS (w ORDER BY x)
SELECT a FROM t FOR UPDATE
SELECT a FROM t FOR NO KEY UPDATE
SELECT a FROM t FOR SHARE
SELECT a FROM t FOR KEY SHARE
SELECT a FROM t FOR UPDATE OF t
SELECT a FROM t FOR SHARE OF t, u
SELECT a FROM t FOR UPDATE NOWAIT
SELECT a FROM t FOR UPDATE SKIP LOCKED
SELECT a FROM t FOR KEY SHARE OF t SKIP LOCKED FOR UPDATE OF u NOWAIT
SELECT a FROM t ORDER BY a LIMIT 1 FOR UPDATE
SELECT a FROM t ORDER BY a LIMIT 1 FOR NO KEY UPDATE
SELECT a FROM t ORDER BY a LIMIT 1 FOR SHARE
SELECT a FROM t ORDER BY a LIMIT 1 FOR KEY SHARE
SELECT a FROM t ORDER BY a LIMIT 1 FOR UPDATE OF t
SELECT a FROM t ORDER BY a LIMIT 1 FOR SHARE OF t, u
SELECT a FROM t ORDER BY a LIMIT 1 FOR UPDATE NOWAIT
SELECT a FROM t ORDER BY a LIMIT 1 FOR UPDATE SKIP LOCKED
SELECT a FROM t ORDER BY a LIMIT 1 FOR KEY SHARE OF t SKIP LOCKED FOR UPDATE OF u NOWAIT
SELECT a FROM (SELECT * FROM t FOR UPDATE ) x
SELECT a FROM (SELECT * FROM t FOR SHARE ) x
SELECT a FROM (SELECT * FROM t FOR NO KEY UPDATE) x
SELECT a FROM ((SELECT * FROM t) FOR SHARE ) x
SELECT a FROM ((SELECT * FROM t) FOR UPDATE) x
(SELECT a FROM t) FOR UPDATE
(SELECT a FROM t) FOR KEY SHARE NOWAIT
(SELECT a FROM t) FOR READ ONLY
(SELECT a FROM t) LIMIT 1 FOR SHARE
SELECT a, (SELECT b FROM u FOR UPDATE ) FROM t
SELECT a, (SELECT b FROM u LIMIT 1) FROM t
SELECT a FROM t UNION SELECT b FROM u
SELECT a FROM t UNION ALL SELECT b FROM u
SELECT a FROM t UNION DISTINCT SELECT b FROM u
SELECT a FROM t INTERSECT SELECT b FROM u
SELECT a FROM t INTERSECT ALL SELECT b FROM u
SELECT a FROM t EXCEPT SELECT b FROM u
SELECT a FROM t EXCEPT ALL SELECT b FROM u
SELECT a FROM t UNION TABLE u
SELECT a FROM t UNION VALUES (1)
SELECT a FROM t UNION (SELECT b FROM u ORDER BY 1 LIMIT 1)
(SELECT 1 FROM a UNION SELECT 2 FROM b) INTERSECT (TABLE c) ORDER BY 1 OFFSET 1
(SELECT 1 FROM a UNION SELECT 2 FROM b) EXCEPT (TABLE c) ORDER BY 1 OFFSET 1
((SELECT 1)) UNION ((SELECT f(2)))
((SELECT 1)) ORDER BY f(1)
((SELECT 1)) LIMIT 2
SELECT a FROM t UNION SELECT a FROM u INTERSECT SELECT a FROM v ORDER BY 1
SELECT a FROM t UNION SELECT a FROM u INTERSECT SELECT a FROM v ORDER BY f(a)
VALUES (1)
VALUES (1, 'a'), (2, 'b')
VALUES (f(1), DEFAULT)
VALUES ((SELECT x FROM t))
VALUES (1) ORDER BY 1
VALUES (1) LIMIT 1 OFFSET 2
VALUES ($1, $2::int)
TABLE t
TABLE ONLY t
TABLE t *
TABLE s.t
TABLE t ORDER BY a
TABLE t LIMIT 1
TABLE t UNION TABLE u
TABLE t FOR UPDATE
SELECT a INTO t FROM u
SELECT a INTO s.t FROM u
SELECT a INTO TABLE t FROM u
SELECT a INTO TEMP t FROM u
SELECT a INTO TEMPORARY t FROM u
SELECT a INTO TEMP TABLE t FROM u
SELECT a INTO LOCAL TEMP t FROM u
SELECT a INTO LOCAL TEMPORARY TABLE t FROM u
SELECT a INTO GLOBAL TEMP TABLE t FROM u
SELECT a INTO UNLOGGED t FROM u
SELECT a INTO UNLOGGED TABLE s.t FROM u
SELECT a INTO global FROM u
SELECT a INTO temp
SELECT a INTO temp.t
SELECT a INTO local FROM u
SELECT a INTO unlogged.t FROM u
SELECT a INTO t FROM u UNION SELECT b FROM v
SELECT ARRAY(SELECT a FROM t), (SELECT b FROM u), (TABLE v), x IN (SELECT c FROM w)
