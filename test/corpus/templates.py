"""Templates of the corpus, by file; generate.py says how they are written.

What PostgreSQL 15's parser does not know yet stands in newer.py.
"""

import definitions
import expressions

FRAGMENTS = {
    "table": ["t", "public.t", '"T"', "s.t", '"S"."T"', "db.s.t", "Mixed_Case", '"a ""b"" c"',
              "temp", "pg_temp.t", 'U&"plain"', "ünïcode"],
    "item": ["t", "s.t", "ONLY t", "ONLY (t)", "t *", "t AS a", "t a", "t AS a (x, y)",
             "t a (x, y)", "(SELECT 1) AS q", "(SELECT 1 AS b) q (x)", "LATERAL (SELECT 1) AS q",
             "(VALUES (1, 2), (3, 4)) AS v (x, y)", "(TABLE u) AS q",
             "(SELECT * FROM u UNION SELECT * FROM v) AS q",
             "((SELECT * FROM u) UNION (SELECT * FROM v)) AS q",
             "(((SELECT * FROM u))) AS q", "(WITH w AS (SELECT * FROM u) SELECT * FROM w) AS q",
             "f(1)", "s.f(1, x)", "f(1) AS a", "f(1) AS a (x, y)", "f(1) AS a (x int, y text)",
             "f(1) AS (x int, y numeric(10, 2))", "f(1) a (x s.ty, y ty(3))",
             "f() WITH ORDINALITY", "f() WITH ORDINALITY AS a (x, n)", "LATERAL f(1) AS a",
             "ROWS FROM (f(1), g(2))", "ROWS FROM (f(1) AS (x int), g(2)) WITH ORDINALITY AS a (x)",
             "LATERAL ROWS FROM (f(1)) AS a", "generate_series(1, 10) AS g (i)", "current_date",
             "current_timestamp(3) AS c", "CAST(1 AS int) AS c", "coalesce(1, 2) AS c",
             "user AS u", "current_schema", "t TABLESAMPLE system (10)",
             "t TABLESAMPLE bernoulli (f(1)) REPEATABLE (g(2))", "t AS a TABLESAMPLE s.mine (1, 2)",
             "t TABLESAMPLE system (10) REPEATABLE (1)",
             "xmltable('/r' PASSING x COLUMNS a int PATH '@a', b FOR ORDINALITY)",
             "xmltable('/r' PASSING BY REF f(x) BY REF COLUMNS a int PATH 'a' DEFAULT g(0) NOT "
             "NULL, b numeric(10, 2), c s.ty(3) DEFAULT 1) AS q",
             "xmltable(xmlnamespaces('http://x' AS n, DEFAULT 'y'), '/r' PASSING x COLUMNS a text) "
             "AS q (z)", "LATERAL xmltable('/r' PASSING x COLUMNS a xml PATH '.')",
             "a JOIN b ON a.x = b.x", "a JOIN b ON f(a.x) AND left(a.y, 1) = 'l'",
             "a INNER JOIN b USING (x)", "a LEFT JOIN b USING (x, y)", "a LEFT OUTER JOIN b ON"
             " true",
             "a RIGHT JOIN b ON true", "a RIGHT OUTER JOIN b ON right(x, 2) = y",
             "a FULL JOIN b ON true", "a FULL OUTER JOIN s.b USING (x)", "a CROSS JOIN b",
             "a NATURAL JOIN b", "a NATURAL LEFT JOIN b", "a NATURAL FULL OUTER JOIN b",
             "a JOIN b USING (x) AS j", "a JOIN b ON true JOIN c ON true",
             "a JOIN b JOIN c ON true ON true", "a JOIN (b JOIN c ON true) ON true",
             "(a JOIN b ON true) JOIN c USING (x)", "(a CROSS JOIN b)", "(a JOIN b ON true) AS j",
             "((a JOIN b ON true) LEFT JOIN c ON f(1) > 2)", "(a NATURAL JOIN b) AS j (x, y)",
             "a JOIN LATERAL (SELECT * FROM c WHERE c.x = a.x) q ON true",
             "a LEFT JOIN LATERAL f(a.x) AS q ON q IS NOT NULL", "a, b, c",
             "a, LATERAL f(a.x), s.b",
             "a JOIN b ON CASE WHEN x THEN y END JOIN c ON true", "a JOIN b ON (SELECT x FROM d),"
             " e",
             "a JOIN b ON a.x IS DISTINCT FROM b.x JOIN c ON true",
             "pg_catalog.pg_class", "information_schema.tables", "pg_temp.t"],
    "expr": expressions.EXPRESSIONS,
    "query": ["SELECT 1", "SELECT * FROM t", "VALUES (1, 'a')", "TABLE t", "(SELECT 1)",
              "WITH w AS (SELECT * FROM u) SELECT * FROM w",
              "SELECT * FROM t UNION ALL SELECT * FROM u", "(SELECT 1) EXCEPT (SELECT f(2))"],
    "lock": ["FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE", "FOR KEY SHARE", "FOR UPDATE OF t",
             "FOR SHARE OF t, u", "FOR UPDATE NOWAIT", "FOR UPDATE SKIP LOCKED",
             "FOR KEY SHARE OF t SKIP LOCKED FOR UPDATE OF u NOWAIT"],
}

SELECTS = [
    "SELECT <expr>",
    "SELECT a FROM <item>",
    "SELECT a FROM x JOIN y ON true, <item> WHERE f(1)",
    "SELECT a FROM <table> WHERE b = 1",
    "SELECT [ALL | DISTINCT | DISTINCT ON (a) | DISTINCT ON (a, f(b))] a, b AS x, c y FROM t",
    "SELECT [* | t.* | s.t.* | t.a | (t).a | (f(1)).* | (f(1)).a | a.b.c.d] FROM t",
    "SELECT 1 AS {x | \"Q\" | select | from | table | order | user | update | for | into | end}",
    "SELECT 1 {x | \"Q\" | value | update | insert | key | commit | show | temp}",
    "SELECT FROM t",
    "SELECT a FROM t {ORDER BY value(a) | GROUP BY escape(a), rows(b) | JOIN u ON conflict(a) |"
    " WHERE a SIMILAR TO second(b) | WHERE a LIKE b ESCAPE escape(c) | WHERE a IN (groups(1)) |"
    " ORDER BY passing(1), columns(2), path(3) | FETCH FIRST (value(1)) ROWS ONLY |"
    " WHERE a AT TIME ZONE value(b) = like(c, d) | ORDER BY overlaps(1, 2, 3, 4) |"
    " WHERE key LIKE ('x') AND value ILIKE (f(b)) | WHERE first * 2 < path - 1 |"
    " WINDOW w AS (ORDER BY a ROWS rows(1) PRECEDING) | WHERE NOT value(1) | LIMIT value(1)}",
    "SELECT {treat(a AS nextval) | treat(f(b) AS s.lower) | xmlconcat(document(1), passing(2)) |"
    " xmlparse(DOCUMENT value(1)) | xmlexists('/a' PASSING BY VALUE value(1)) |"
    " sum(a) OVER (ORDER BY b RANGE BETWEEN range(1) PRECEDING AND groups(2) FOLLOWING) |"
    " xmlroot(a, VERSION columns(1)) | a BETWEEN value(1) AND escape(2) | key * value | rows * 2}",
    "SELECT {1 /*+ x */ | a/*=b*/+c | a+/*b*/c | a +/* /*+ */ */- b | 1 --+ x | a*/**/b |"
    " a-/*-*/-b | /*+f(1)*/ g(2) | a @-/**/ b | 1 --}",
    "SELECT a FROM t WHERE {a = 1 | f(<expr>) | EXISTS (SELECT 1 FROM u) | a IN (TABLE u)}",
    "SELECT a FROM t GROUP BY {a | a, f(b) | () | ROLLUP (a, b) | CUBE (a, f(b)) |"
    " GROUPING SETS ((a), (b, c), ()) | GROUPING SETS (CUBE (a, b), ROLLUP (c), f(d)) | ALL a |"
    " DISTINCT a, ROLLUP (a) | (a, b) | ROLLUP ((a, b), c)} [HAVING count(*) > f(1)]",
    "SELECT cube(a) FROM t GROUP BY b ORDER BY cube(c)",
    "SELECT a FROM t ORDER BY {a | a ASC | a DESC | f(a) NULLS FIRST | a USING > NULLS LAST |"
    " a USING OPERATOR(s.<) | (a, b) | (SELECT x FROM u), 2 | a COLLATE \"C\"}",
    "SELECT a FROM t {LIMIT 1 | LIMIT ALL | LIMIT f(1) OFFSET g(2) | OFFSET 1 ROWS | OFFSET 1 |"
    " OFFSET 1 ROW FETCH FIRST ROW ONLY | FETCH NEXT 5 ROWS ONLY | FETCH FIRST (1 + 2) ROWS ONLY |"
    " ORDER BY a FETCH FIRST 5 ROWS WITH TIES | FETCH NEXT (f(1)) ROWS ONLY }",
    "SELECT a, sum(b) OVER w FROM t WINDOW w AS ({PARTITION BY a | ORDER BY b DESC | "
    "PARTITION BY f(a), b ORDER BY c | ORDER BY a ROWS UNBOUNDED PRECEDING |"
    " ORDER BY a ROWS BETWEEN 1 PRECEDING AND f(2) FOLLOWING |"
    " ORDER BY a RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW EXCLUDE TIES |"
    " ORDER BY a GROUPS BETWEEN (1) PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW |"
    " ORDER BY a ROWS (2) PRECEDING EXCLUDE GROUP | ORDER BY a RANGE (3) PRECEDING})"
    "[, w2 AS (w) | , w2 AS (w ORDER BY x)]",
    "SELECT a FROM t <lock>",
    "SELECT a FROM t ORDER BY a LIMIT 1 <lock>",
    "SELECT a FROM (SELECT * FROM t {FOR UPDATE | FOR SHARE | FOR NO KEY UPDATE}) x",
    "SELECT a FROM ((SELECT * FROM t) {FOR SHARE | FOR UPDATE}) x",
    "(SELECT a FROM t) {FOR UPDATE | FOR KEY SHARE NOWAIT | FOR READ ONLY | LIMIT 1 FOR SHARE}",
    "SELECT a, (SELECT b FROM u {FOR UPDATE | LIMIT 1}) FROM t",
    "SELECT a FROM t {UNION | UNION ALL | UNION DISTINCT | INTERSECT | INTERSECT ALL | EXCEPT |"
    " EXCEPT ALL} {SELECT b FROM u | TABLE u | VALUES (1) | (SELECT b FROM u ORDER BY 1 LIMIT 1)}",
    "(SELECT 1 FROM a UNION SELECT 2 FROM b) {INTERSECT | EXCEPT} (TABLE c) ORDER BY 1 OFFSET 1",
    "((SELECT 1)) {UNION ((SELECT f(2))) | ORDER BY f(1) | LIMIT 2}",
    "SELECT a FROM t UNION SELECT a FROM u INTERSECT SELECT a FROM v ORDER BY {1 | f(a)}",
    "VALUES {(1) | (1, 'a'), (2, 'b') | (f(1), DEFAULT) | ((SELECT x FROM t)) | (1) ORDER BY 1 |"
    " (1) LIMIT 1 OFFSET 2 | ($1, $2::int)}",
    "TABLE {t | ONLY t | t * | s.t | t ORDER BY a | t LIMIT 1 | t UNION TABLE u | t FOR UPDATE}",
    "SELECT a INTO {t | s.t | TABLE t | TEMP t | TEMPORARY t | TEMP TABLE t | LOCAL TEMP t |"
    " LOCAL TEMPORARY TABLE t | GLOBAL TEMP TABLE t | UNLOGGED t | UNLOGGED TABLE s.t} FROM u",
    "SELECT a INTO {global FROM u | temp | temp.t | local FROM u | unlogged.t FROM u}",
    "SELECT a INTO t FROM u UNION SELECT b FROM v",
    "SELECT ARRAY(SELECT a FROM t), (SELECT b FROM u), (TABLE v), x IN (SELECT c FROM w)",
]

WITHS = [
    "WITH w AS ({<query> | INSERT INTO u VALUES (1) RETURNING a | UPDATE u SET a = 1 RETURNING * |"
    " DELETE FROM u USING v RETURNING a | INSERT INTO s.u SELECT * FROM v}) SELECT * FROM w",
    "WITH w [(a, b)] AS [MATERIALIZED | NOT MATERIALIZED] (SELECT 1, f(2)) SELECT a FROM w",
    "WITH w AS (SELECT * FROM a), x AS (SELECT * FROM w), y AS (SELECT * FROM x, b) TABLE y",
    "WITH w AS (SELECT * FROM w) SELECT * FROM w",
    "WITH RECURSIVE w AS (SELECT * FROM w) SELECT * FROM w",
    "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE w (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM w WHERE n < f(9))"
    " {SELECT * FROM w | TABLE w | SELECT * FROM w, u}",
    "WITH RECURSIVE w (a, b) AS (SELECT 1, 2 UNION SELECT x, y FROM w JOIN t ON true)"
    " {SEARCH DEPTH FIRST BY a SET o | SEARCH BREADTH FIRST BY a, b SET o |"
    " CYCLE a SET c USING p | CYCLE a, b SET c TO 'Y' DEFAULT 'N' USING p |"
    " SEARCH DEPTH FIRST BY a SET o CYCLE b SET c USING p} [, v AS (SELECT * FROM w)]"
    " SELECT * FROM w",
    "WITH w AS (WITH x AS ({SELECT * FROM t | DELETE FROM t RETURNING *}) SELECT * FROM x)"
    " SELECT * FROM w, x",
    "SELECT * FROM (WITH w AS (SELECT 1) SELECT * FROM w) q, w",
    "(WITH w AS (SELECT * FROM a) SELECT * FROM w) UNION SELECT * FROM w",
    "WITH w AS (SELECT 1) (SELECT * FROM w) UNION SELECT * FROM w",
    "WITH w AS (SELECT 1) SELECT (SELECT a FROM w), (WITH w AS (SELECT * FROM t) TABLE w) FROM s.w",
    'WITH "W" AS (SELECT 1) SELECT * FROM {"W" | w}',
    "WITH W AS (SELECT 1) SELECT * FROM {w | \"w\" | \"W\"}",
    "WITH w AS (SELECT * FROM t) {INSERT INTO u SELECT * FROM w | UPDATE u SET a = w.a FROM w |"
    " DELETE FROM u USING w WHERE u.a = w.a | INSERT INTO w SELECT * FROM w |"
    " MERGE INTO u USING w ON true WHEN MATCHED THEN DELETE | VALUES (1) | TABLE w}",
    "INSERT INTO u WITH w AS (SELECT * FROM t) SELECT * FROM w [ON CONFLICT DO NOTHING]",
    "WITH w AS (INSERT INTO a SELECT f(1) RETURNING *), x AS (UPDATE b SET c = 1 FROM w RETURNING"
    " b.*), y AS (DELETE FROM d WHERE e IN (SELECT e FROM x)) SELECT * FROM w, x, g",
    "SELECT a FROM t WHERE b IN (WITH w AS (SELECT * FROM u) SELECT a FROM w)",
    "WITH w AS MATERIALIZED (SELECT a FROM t {FOR UPDATE | FOR KEY SHARE}) SELECT * FROM w",
    "WITH w AS (SELECT nextval('s')) SELECT * FROM w",
]

RETURNING = "[RETURNING * | RETURNING a AS x, f(b) | RETURNING (SELECT c FROM r)]"

CHANGES = [
    "INSERT INTO <table> VALUES (1)",
    "INSERT INTO t [AS x] [(a) | (a, b.c, d\\[1\\])] [OVERRIDING SYSTEM VALUE |"
    " OVERRIDING USER VALUE] {VALUES (1) | VALUES (1, DEFAULT), (f(2), 'x') | SELECT * FROM u |"
    " (SELECT * FROM u) | TABLE u | SELECT * FROM u JOIN v ON true |"
    " SELECT * FROM u, v WHERE f(a) | (VALUES (1)) | SELECT a FROM u UNION SELECT b FROM v |"
    " WITH w AS (TABLE u) TABLE w}",
    "INSERT INTO t DEFAULT VALUES " + RETURNING,
    "INSERT INTO t (a) VALUES (1) " + RETURNING,
    "INSERT INTO t AS x VALUES (1) ON CONFLICT {DO NOTHING | (a) DO NOTHING |"
    " (a, lower(b)) WHERE c > f(1) DO NOTHING | (a COLLATE \"C\" text_pattern_ops) DO NOTHING |"
    " ON CONSTRAINT k DO NOTHING | (a) DO UPDATE SET b = excluded.b |"
    " (a) DO UPDATE SET (b, c) = (1, f(2)) WHERE x.d IS DISTINCT FROM excluded.d |"
    " (a) DO UPDATE SET (b) = (SELECT e FROM u), f = DEFAULT | ((a + 1)) DO NOTHING} " + RETURNING,
    "INSERT INTO t SELECT * FROM u ON CONFLICT {DO NOTHING | (a) DO UPDATE SET b = 1}",
    "INSERT INTO t SELECT * FROM u JOIN v ON true ON CONFLICT (a) DO NOTHING",
    "INSERT INTO t SELECT * FROM u {ORDER BY 1 LIMIT 2 | FOR UPDATE | GROUP BY a}",
    "UPDATE <table> SET a = 1",
    "UPDATE {t | ONLY t | ONLY (t) | t * | s.t | t AS x | t x | ONLY t AS x} SET a = 1",
    "UPDATE t SET {a = 1 | a = DEFAULT | a = f(b), c = d | (a, b) = (1, 2) | (a) = ROW(f(1)) |"
    " (a, b) = (SELECT c, d FROM u) | a\\[1\\] = 2 | a.b = 3 | a\\[1:f(2)\\] = x |"
    " a = (SELECT max(b) FROM u), (c, d) = (1, DEFAULT)} " + RETURNING,
    "UPDATE t SET a = 1 FROM <item>",
    "UPDATE t SET a = 1 [FROM u | FROM u JOIN v ON true, (SELECT 1) w] WHERE {t.a = 1 |"
    " CURRENT OF c | a IN (SELECT b FROM x) | a IS DISTINCT FROM b} " + RETURNING,
    "DELETE FROM <table>",
    "DELETE FROM {t | ONLY t | ONLY (t) | t * | s.t | t AS x | t x}",
    "DELETE FROM t [AS x] [USING u | USING u, v AS w | USING u JOIN v USING (a) | USING f(1)]"
    " WHERE {a = 1 | CURRENT OF c | EXISTS (SELECT 1 FROM x WHERE x.a = t.a)} " + RETURNING,
    "MERGE INTO {t | ONLY t | s.t | t AS x | t x} USING {u | ONLY u | u AS y | (SELECT * FROM u)"
    " y |"
    " u JOIN v ON true | (VALUES (1)) y (a) | f(1) AS y | a CROSS JOIN b} ON t.a = u.a"
    " WHEN MATCHED THEN DELETE",
    "MERGE INTO t USING u ON {true | f(t.a) = u.a | CASE WHEN t.a THEN true END |"
    " t.a IS NOT DISTINCT FROM u.a | EXISTS (SELECT 1 FROM v)} {WHEN MATCHED THEN DELETE |"
    " WHEN MATCHED AND f(1) THEN UPDATE SET a = 1 | WHEN MATCHED THEN UPDATE SET (a, b) = (1, 2) |"
    " WHEN MATCHED THEN DO NOTHING | WHEN NOT MATCHED THEN INSERT VALUES (1) |"
    " WHEN NOT MATCHED AND x > 1 THEN INSERT (a, b) VALUES (f(1), DEFAULT) |"
    " WHEN NOT MATCHED THEN INSERT DEFAULT VALUES | WHEN NOT MATCHED THEN INSERT (a) OVERRIDING"
    " SYSTEM VALUE VALUES (1) | WHEN NOT MATCHED THEN DO NOTHING | WHEN MATCHED THEN UPDATE SET"
    " a = (SELECT b FROM v) WHEN NOT MATCHED THEN INSERT (a) VALUES ((SELECT c FROM w))}",
    "COPY {t | s.t | \"T\" | t (a, b)} FROM {STDIN | '/tmp/x' | PROGRAM 'cat x' | STDIN CSV"
    " HEADER |"
    " STDIN WITH (FORMAT csv, HEADER true, FORCE_NULL (a, b)) | STDIN WITH CSV QUOTE '''' |"
    " STDIN (FREEZE) | STDIN WHERE a > f(1) | STDIN WITH (FORMAT text) WHERE s.g(a) IN (1) |"
    " STDIN DELIMITER '\\|' NULL ''}",
    "COPY {t | s.t | t (a, b) | (SELECT * FROM t) | (SELECT f(1) FROM s.t) | (VALUES (1)) |"
    " (TABLE t) | (WITH w AS (SELECT 1) SELECT * FROM w) |"
    " (SELECT a FROM t FOR UPDATE) | (INSERT INTO t VALUES (1) RETURNING a) |"
    " (UPDATE t SET a = 1 RETURNING *) | (DELETE FROM t RETURNING *) | (SELECT nextval('s'))}"
    " TO STDOUT",
    "COPY {t | (SELECT f(1))} TO {STDOUT | '/tmp/x' | PROGRAM 'cat' | STDOUT CSV HEADER |"
    " STDOUT WITH (FORMAT binary) | STDOUT (FORMAT csv, FORCE_QUOTE *) | STDOUT WITH DELIMITER"
    " ','}",
]

FILES = {
    "select.sql": SELECTS,
    "with.sql": WITHS,
    "change.sql": CHANGES,
    "session.sql": definitions.SESSION,
    "utility.sql": definitions.UTILITY,
    "define.sql": definitions.DEFINE,
}
