-- Written by generate.py from newer.py: do not edit.
--= select; calls json_object, value, key
SELECT JSON_OBJECT('a' VALUE value(1), key(2): 3)
--= select; calls json_array, key
SELECT JSON_ARRAY(key(1))
--= select; calls json_object, f
SELECT JSON_OBJECT('a' VALUE f(1))
--= select; calls json_object; read
SELECT JSON_OBJECT('a': 1, 'b' VALUE 2 ABSENT ON NULL)
--= select; calls json_object; read
SELECT JSON_OBJECT('a' VALUE (1), b VALUE (2) WITH UNIQUE KEYS RETURNING jsonb)
--= select; calls json_array; read
SELECT JSON_ARRAY(1, 2 NULL ON NULL RETURNING numeric(3, 2))
--= select; reads t; calls json_array; read
SELECT JSON_ARRAY(SELECT a FROM t)
--= select; reads t; calls json_objectagg; read
SELECT JSON_OBJECTAGG(a: b ABSENT ON NULL WITH UNIQUE) FILTER (WHERE c) FROM t
--= select; reads t; calls json_arrayagg, lower; read
SELECT JSON_ARRAYAGG(a ORDER BY lower(b) NULL ON NULL RETURNING text) OVER w FROM t
--= select; reads t; calls g
SELECT a FROM t WHERE g(b) IS JSON
--= select; reads t; read
SELECT a FROM t WHERE b IS NOT JSON OBJECT WITH UNIQUE KEYS
--= select; reads t; read
SELECT a IS JSON SCALAR FROM t
--= select; calls pg_catalog.system_user; read
SELECT SYSTEM_USER
--= select; reads t; read
SELECT a FROM (SELECT a FROM t)
--= select; reads t, u; read
SELECT * FROM (SELECT a FROM t), (VALUES (1)) JOIN u ON true
--= select; read
SELECT 1_000_000, 0xFF_FF, 0o17, 0b1_01, 1_0.5_0e1_0
--= select; reads t; calls any_value; read
SELECT any_value(a) FROM t GROUP BY b
--= copy from; writes t
COPY t FROM STDIN WITH (DEFAULT 'x', FORMAT csv)
--= explain; reads t; read
EXPLAIN (GENERIC_PLAN) SELECT a FROM t WHERE b = $1
--= vacuum; writes t
VACUUM (SKIP_DATABASE_STATS, BUFFER_USAGE_LIMIT '1MB', PROCESS_MAIN) t
--= reindex
REINDEX DATABASE
--= reindex
REINDEX (VERBOSE) SYSTEM
--= grant
GRANT a TO b WITH INHERIT TRUE, SET FALSE
--= grant
REVOKE INHERIT OPTION FOR a FROM b
--= ddl; writes t
CREATE TABLE t (a int STORAGE external COMPRESSION lz4)
--= ddl; writes t
ALTER TABLE t ALTER a SET STORAGE DEFAULT
--= ddl
CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (origin = none)
--= ddl; writes t
CREATE TRIGGER x AFTER TRUNCATE ON t EXECUTE FUNCTION f()
--= ddl
CREATE ROLE r WITH ADMIN a
--= ddl; reads t
CREATE STATISTICS ON a, b FROM t
--= merge; reads u; writes t; calls merge_action
MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING merge_action(), t.*
--= merge; reads u; writes t; calls f
MERGE INTO t USING u ON true WHEN NOT MATCHED BY SOURCE AND f(t.a) THEN DELETE WHEN NOT MATCHED BY TARGET THEN INSERT VALUES (1)
--= select; reads u; writes t; calls merge_action
WITH m AS (MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING merge_action()) SELECT * FROM m
--= select; reads u; writes t
WITH m AS (MERGE INTO t USING u ON true WHEN MATCHED THEN UPDATE SET a = 1 RETURNING *) TABLE m
--= copy to; reads u; writes t
COPY (MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING *) TO STDOUT
--= select; reads t; calls json_exists; read
SELECT JSON_EXISTS(a, '$.b' PASSING c AS d ERROR ON ERROR) FROM t
--= select; reads t; calls json_value, f
SELECT JSON_VALUE(a, '$' PASSING f(b) AS c RETURNING int DEFAULT 0 ON EMPTY NULL ON ERROR) FROM t
--= select; reads t; calls json_value, g
SELECT JSON_VALUE(a, '$' RETURNING s.ty DEFAULT g(1) ON EMPTY) FROM t
--= select; reads t; calls json_query; read
SELECT JSON_QUERY(a FORMAT JSON, '$' RETURNING jsonb WITH CONDITIONAL ARRAY WRAPPER KEEP QUOTES ON SCALAR STRING EMPTY ARRAY ON EMPTY) FROM t
--= select; calls json, json_scalar, json_serialize; read
SELECT JSON('{}' FORMAT JSON WITH UNIQUE KEYS), JSON_SCALAR(1), JSON_SERIALIZE('1' RETURNING varchar(3))
--= select; reads t; calls json_table; read
SELECT j.* FROM t, JSON_TABLE(t.a, '$[*]' AS p PASSING t.b AS c COLUMNS (n FOR ORDINALITY, d int PATH '$.d' DEFAULT 0 ON EMPTY, e s.ty(3) FORMAT JSON WITHOUT WRAPPER, f text EXISTS PATH '$.f' FALSE ON ERROR, NESTED PATH '$.g' AS q COLUMNS (h numeric(3, 2))) ERROR ON ERROR) AS j
--= select; calls json_table, f
SELECT * FROM JSON_TABLE(f(1), '$' COLUMNS (NESTED '$.a' COLUMNS (b int)))
--= select; reads t; calls json_table; read
SELECT * FROM t LEFT JOIN LATERAL JSON_TABLE(t.a, '$' COLUMNS (b int)) AS j (x) ON true
--= select; calls now, pg_catalog.timezone; read
SELECT now() AT LOCAL
--= select; reads t; calls pg_catalog.timezone; read
SELECT a AT LOCAL FROM t
--= copy from; writes t; calls f
COPY t FROM STDIN WITH (ON_ERROR ignore, LOG_VERBOSITY verbose, FORCE_NULL *) WHERE f(a)
--= explain; reads t; read
EXPLAIN (ANALYZE, SERIALIZE TEXT, MEMORY) SELECT a FROM t
--= explain; writes t
EXPLAIN (MEMORY) DELETE FROM t
--= ddl; writes t
ALTER TABLE t ALTER COLUMN a SET EXPRESSION AS (f(b))
--= ddl; writes t
ALTER TABLE t SET ACCESS METHOD DEFAULT
--= ddl
CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION f()
--= grant; writes t
GRANT MAINTAIN ON t TO r
--= cluster
CLUSTER (VERBOSE)
--= update; writes t
UPDATE t SET a = 1 RETURNING old.a, new.a
--= insert; reads u; writes t; calls f
INSERT INTO t SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = 2 RETURNING WITH (OLD AS o, NEW AS n) o.a, f(n.b)
--= delete; writes t
DELETE FROM t RETURNING WITH (OLD AS "select") *
--= merge; reads u; writes t; calls merge_action
MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING WITH (NEW AS n) merge_action(), n.*
--= ddl; writes t
CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)
--= ddl; writes t
CREATE TABLE t (a int4range, PRIMARY KEY (b, a WITHOUT OVERLAPS))
--= ddl; writes t
CREATE TABLE t (FOREIGN KEY (a, PERIOD b) REFERENCES u (a, PERIOD b))
--= ddl; writes t
ALTER TABLE t ADD CONSTRAINT c CHECK (f(a)) NOT ENFORCED
--= ddl; writes t
ALTER TABLE t ADD CONSTRAINT c NOT NULL a NOT VALID
--= ddl; writes t
ALTER TABLE t ALTER CONSTRAINT c INHERIT
--= ddl; writes t
CREATE FOREIGN TABLE t (LIKE u INCLUDING ALL) SERVER s
--= vacuum; writes t, s.u
VACUUM (ANALYZE) ONLY t, s.u
--= analyze; writes t
ANALYZE ONLY t (a, b)
--= copy from; writes t
COPY t FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 5)
--= copy to; reads v; read
COPY v TO STDOUT
--= select; calls uuidv7
SELECT uuidv7()
--= select; reads t; calls array_sort
SELECT array_sort(a) FROM t
--= ddl
CREATE DATABASE d LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'
--= not understood
SELECT a f(1)
--= not understood
SELECT FROM (SELECT 1
--= not understood
SELECT U&"d\0061t" FROM t
--= not understood
SELECT a FROM U&"d!0061t" UESCAPE '!'
--= not understood
SELECT * FROM WHERE
--= not understood
WITH SELECT
--= not understood
BEGIN ATOMIC SELECT 1
--= other
FROBNICATE t
