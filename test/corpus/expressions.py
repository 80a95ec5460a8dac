"""Expressions of the corpus: one for each production of PostgreSQL's value expressions."""

OPERATORS = [
    "a + b", "- a", "+a * b", "a % b ^ c", "a < b", "a <= f(b)", "a <> b", "a != b", "@ a",
    "a !~~ b",
    "a || f(b)", "a -> 'k' ->> 'l'", "a @> b AND c <@ d", "a ?| ARRAY['x']", "a #>> '{b}'", "a ~ b",
    "a OPERATOR(pg_catalog.+) b", "OPERATOR(pg_catalog.-) a", "a OPERATOR(s.@@@) (b)",
    "OPERATOR(s.!!) f(a)", "a OPERATOR(+) b", "a = ANY (b)", "a < ALL (SELECT x FROM t)",
    "a OPERATOR(s.=) ANY (ARRAY[1, 2])", "a = SOME (f(b))", "NOT a AND b OR NOT f(c)", "a*-b",
]

TESTS = [
    "a IS NULL", "a IS NOT NULL", "a ISNULL", "a NOTNULL", "a IS TRUE", "f(a) IS NOT FALSE",
    "a IS UNKNOWN", "a IS DISTINCT FROM b", "a IS NOT DISTINCT FROM f(b)", "a IS DOCUMENT",
    "a IS NOT DOCUMENT", "a IS NORMALIZED", "a IS NOT NFKC NORMALIZED", "a BETWEEN 1 AND 2",
    "a NOT BETWEEN f(1) AND g(2)", "a BETWEEN SYMMETRIC 1 AND (2)", "a BETWEEN (1) AND f(2)",
    "a IN (1, f(2))", "a NOT IN (SELECT b FROM t)", "(a, b) IN ((1, 2), (3, 4))",
    "(a, b) = (SELECT c, d FROM t)", "a LIKE 'b'", "a NOT LIKE f(b)", "a LIKE ('b')",
    "a NOT LIKE ('b')", "a LIKE b ESCAPE 'c'", "a NOT ILIKE b ESCAPE f(c)",
    "a ILIKE (b) ESCAPE ('x')",
    "a SIMILAR TO 'b'", "a NOT SIMILAR TO (b) ESCAPE '#'", "a LIKE ANY (ARRAY['x'])", "like(a, b)",
    "(a, b) OVERLAPS (c, d)", "(f(a), b) OVERLAPS (c, g(d))", "a LIKE ALL (f(b))",
    "EXISTS (SELECT 1 FROM t)", "NOT EXISTS (TABLE s.t)", "UNIQUE_KEY IS NULL",
]

CALLS = [
    "f()", "s.f(1)", "db.s.f(a)", '"F"(a)', '"S"."F"(a)', "F(A)", "f(a, VARIADIC b)",
    "f(VARIADIC b)",
    "f(a => 1, b => g(2))", "f(a := 1)", "f(ALL a)", "count(DISTINCT a)", "count(*)", "s.count(*)",
    "string_agg(a, ',' ORDER BY b DESC, f(c))", "sum(a) FILTER (WHERE b > f(1))",
    "sum(a) OVER ()", "sum(a) OVER w", "f(a) OVER (PARTITION BY b ORDER BY c)",
    "rank() FILTER (WHERE x) OVER (ORDER BY y ROWS 1 PRECEDING)", "lag(a, 1) OVER (w ORDER BY b)",
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY a)", "mode() WITHIN GROUP (ORDER BY f(a)) OVER w",
    "f((SELECT a FROM t))", "f(ARRAY(SELECT a FROM t))", "f(g(h(i(1))))", "(f(1)).a", "(f(1)).b.c",
    "(f(a))[1:2]", "nextval('s')", "pg_catalog.now()", "left(a, 1)", "right(a, 2)",
    "setval('s', 1, false)", "lo_create(0)", "pg_notify('a', 'b')", "pg_advisory_lock(1)",
    "set_config('a.b', 'c', true)", "txid_current()", "pg_sleep(0)", "random()", "binary_f(1)",
    "replace(a, b, c)", "grouping(a)", "update(a)", "insert(b)", "value(c)", "key(d)", "filter(e)",
    "over(f)", "escape(g, 1)", "zone(h)", "first(i)", "rows(1)", "partition(j)", "row_number()",
    "xmin(1)", "a.b(c)", "date(d)", "text(e)", "name(f)", "isfinite(g)", "overlaps(a, b, c, d)",
    "verbose(1)", "concurrently(1)", "inner(1)", "collation(1)", "authorization(1)", "ilike(a, b)",
    "cube(1, 2)", "rollup(3)", "sets(4)", "by(5)", "set(6)", "document(7)", "second(8)",
    "columns(9)",
]

SYNTAX = [
    "current_date", "current_time", "current_time(2)", "current_timestamp", "CURRENT_TIMESTAMP(3)",
    "localtime", "localtime(0)", "localtimestamp", "localtimestamp(6)", "current_role",
    "current_user", "user", "session_user", "current_catalog", "current_schema", "current_schema()",
    "extract(year FROM a)", "extract('dow' FROM f(b))", "EXTRACT(second FROM now())",
    "position(a IN b)", "position('x' IN f(c))", "substring(a FROM 1)", "substring(a FROM 1 FOR 2)",
    "substring(a FOR 2)", "substring(a FOR 2 FROM 1)", "substring(a SIMILAR b ESCAPE c)",
    "substring(a, 1, f(2))", "substring(f(a) FROM g(1))", "overlay(a PLACING b FROM 1)",
    "overlay(a PLACING b FROM 1 FOR f(2))", "overlay(a, b, 1)", "trim(a)", "trim(BOTH FROM a)",
    "trim(LEADING 'x' FROM f(a))", "trim(TRAILING FROM a)", "trim(BOTH 'x' FROM a)",
    "trim('x' FROM a)", "trim(a, 'x')", "normalize(a)", "normalize(f(a), NFC)",
    "a AT TIME ZONE 'UTC'", "a AT TIME ZONE f(b)", "a AT TIME ZONE ('x')", "f(a) AT TIME ZONE b",
    "COLLATION FOR (a)", "collation for (f(a))", "a COLLATE \"C\"", "f(a) COLLATE s.c",
    "coalesce(a, f(b))", "nullif(a, g(b))", "greatest(a, b)", "least(f(a), b)",
    "xmlconcat(a, f(b))", "xmlelement(NAME a)", "xmlelement(NAME a, xmlattributes(b AS c, f(d) AS"
    " e),"
    " g(h), 'x')", "xmlexists('/a' PASSING b)", "xmlexists('/a' PASSING BY REF f(b) BY VALUE)",
    "xmlforest(a, f(b) AS c)", "xmlparse(DOCUMENT a)", "xmlparse(CONTENT f(a) PRESERVE WHITESPACE)",
    "xmlparse(DOCUMENT (a) STRIP WHITESPACE)", "xmlpi(NAME a)", "xmlpi(NAME a, f(b))",
    "xmlroot(a, VERSION '1.0')", "xmlroot(a, VERSION NO VALUE, STANDALONE YES)",
    "xmlserialize(CONTENT a AS text)", "xmlserialize(DOCUMENT f(a) AS varchar(10))",
    "xmlagg(a ORDER BY b)", "json_object('{a,b}')", "json_build_object('a', f(1))",
]

CASTS = [
    "a::int", "a::numeric(10, 2)", "a::s.ty", "a::ty(3)", "f(a)::text", "a::int[]", "a::int[3][4]",
    "a::int ARRAY", "a::int ARRAY[4]", "a::text::s.ty::int", "a::double precision",
    "a::character varying(10)", "a::char(3)", "a::bit varying(4)", "a::national character"
    " varying(3)",
    "a::time(3) with time zone", "a::timestamp without time zone", "a::timestamp(0) with time zone",
    "a::interval", "a::interval(3)", "a::interval day to second(3)", "a::interval year",
    "a::\"Ty\"",
    "a::interval second(2)", "a::timestamp AT TIME ZONE f(b)", "CAST(a AS int)",
    "CAST(f(a) AS s.ty)",
    "CAST(a AS numeric(10, 2))", "CAST(a AS ty(3)[])", "CAST(a AS double precision)",
    "CAST((SELECT a FROM t) AS text)", "'t'::regclass", "'s.t'::regclass",
    "'\"S\".\"T\"'::regclass",
    "CAST('t' AS regclass)", "CAST('T' AS pg_catalog.regclass)", "regclass 't'", "'123'::regclass",
    "'t'::text::regclass", "'f'::regproc", "date '2020-01-01'", "timestamp '2020-01-01'",
    "timestamp(3) with time zone '2020-01-01'", "time '00:00'", "time with time zone '00:00+1'",
    "interval '1 day'", "interval '1' year", "interval '1' day to second(3)", "interval(3) '1 s'",
    "interval '1' second (3)", "numeric(3, 1) '1.2'", "s.ty 'x'", "ty(1) 'x'", "int '1'", "bit '1'",
    "character varying(3) 'abc'", "varchar 'x'", "double precision '1'", "json '{}'", "boolean 't'",
    "bool 't'", "\"Ty\" 'x'", "text 'a'", "name 'b'", "point '(1,2)'", "xml '<a/>'", "-1::int",
]

OTHER = [
    "1", "-1.5e10", ".5", "1.", "'a'", "'it''s'", "E'a\\n\\'b'", "B'01'", "X'1f'", "N'x'",
    "U&'\\0061'", "U&'!0061' UESCAPE '!'", "$$a ' b$$", "$x$ $$ ; $x$", "NULL", "true", "false",
    "$1",
    "$2::int + $10", "a", "t.a", "s.t.a", "\"A\".\"b c\"", "t.*", "(t).*", "(t.a).b", "a[1]",
    "a[1:2][f(3)]", "a[:f(2)]", "a[1:]", "$1[1].b", "$1.a", "ROW(a, f(b))", "ROW()", "(a, b)",
    "(a, f(b))", "(a)", "((f(a)))", "ARRAY[1, f(2)]", "ARRAY[[1], [2]]", "ARRAY[]::int[]",
    "ARRAY(SELECT a FROM t)", "CASE WHEN a THEN f(b) ELSE g(c) END", "CASE a WHEN 1 THEN b END",
    "CASE f(a) WHEN g(1) THEN CASE WHEN b THEN c END ELSE (SELECT d FROM t) END", "CASE WHEN a THEN"
    " 1 END || f(b)", "(SELECT a FROM t)", "(SELECT a FROM t LIMIT 1)[1]", "(VALUES (1))",
    "((SELECT 1 FROM a) UNION SELECT 2 FROM b)", "(WITH w AS (SELECT * FROM t) SELECT * FROM w)",
    "1 /* c */ + -- d", "value + key", "year - month", "a.value", "t.select",
    "insert", "update, delete", "values", "between", "coalesce", "time, timestamp, interval",
    "char, bit, varchar", "set, show, temp", "rows, range, groups", "over", "filter", "first, next",
    "merge, into_x", "row", "setof", "xmlelement", "position, substring", "begin, commit, work",
]

EXPRESSIONS = [
    text.replace("[", "\\[").replace("]", "\\]").replace("{", "\\{").replace("}", "\\}")
    .replace("|", "\\|")
    for text in OPERATORS + TESTS + CALLS + SYNTAX + CASTS + OTHER
    if not text.endswith("-- d")
]
