-- Which tables names lead to, and what keeps answers that come from them from being kept. Stands in
-- front of question.sql, whose names (wanted, named) it uses, when the query cache is on.
--
-- Rows have 4194304 in their flags, and besides:
--   1 << enum catalog_uncached   why not to keep what is read
--   65536      what is written spreads: nobody can tell how far
--   131072     a partitioned table that stands for its partitions; of what is read also an unlogged
--              table or a materialized view: logical replication does not bring their changes
--   8388608    it is about a write: 262144 times 0 INSERT, 1 UPDATE, 2 DELETE, 3 TRUNCATE
--   16777216   the text begins with the number of a table; its name follows
--   33554432   that is the name that was asked for
--   67108864   a standby answers: none of this counts
--   1048576    one of PostgreSQL's own functions (2097152: volatile): name and number of arguments
--
-- What is read. Functions are not followed into their bodies: only immutable ones are trusted.
seen(i, c, o) AS (
    SELECT n.i, n.c, n.o FROM named n WHERE n.c <> 'w'
    UNION
    SELECT s.i, x.c, x.o
    FROM seen s
    CROSS JOIN LATERAL (
        SELECT CASE m.m[1] WHEN 'relid' THEN 'r' WHEN 'opno' THEN 'o' WHEN 'resulttype' THEN 't'
            ELSE 'p' END, m.m[2]::pg_catalog.oid
        FROM (
            SELECT w.ev_action::pg_catalog.text -- a view's query
            FROM pg_catalog.pg_rewrite w
            JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
            WHERE s.c = 'r' AND s.o >= 16384 AND w.ev_class = s.o AND w.ev_type = '1'
                AND v.relkind = 'v'
            UNION ALL
            SELECT w.polqual::pg_catalog.text
            FROM pg_catalog.pg_policy w
            JOIN pg_catalog.pg_class v ON v.oid = w.polrelid
            WHERE s.c = 'r' AND w.polrelid = s.o AND v.relrowsecurity
            UNION ALL
            SELECT w.conbin::pg_catalog.text -- a domain's checks
            FROM pg_catalog.pg_constraint w
            WHERE s.c = 't' AND w.contypid = s.o
            UNION ALL
            SELECT w.proargdefaults::pg_catalog.text
            FROM pg_catalog.pg_proc w
            WHERE s.c = 'p' AND w.oid = s.o AND w.oid >= 16384
        ) AS t(tree)
        CROSS JOIN LATERAL pg_catalog.regexp_matches(t.tree,
            ':(relid|funcid|aggfnoid|winfnoid|opno|resulttype) ([0-9]+)', 'g') AS m(m)
        WHERE m.m[1] NOT IN ('opno', 'resulttype') OR m.m[2]::pg_catalog.oid >= 16384
        UNION ALL
        SELECT s.c, w.inhrelid
        FROM pg_catalog.pg_inherits w
        WHERE s.c = 'r' AND w.inhparent = s.o
        UNION ALL
        SELECT 'p', w.oprcode::pg_catalog.oid
        FROM pg_catalog.pg_operator w
        WHERE s.c = 'o' AND w.oid = s.o AND w.oid >= 16384
        UNION ALL
        SELECT 't', CASE WHEN w.typtype = 'd' THEN w.typbasetype ELSE w.typelem END
        FROM pg_catalog.pg_type w
        WHERE s.c = 't' AND w.oid = s.o AND (w.typtype = 'd' OR w.typcategory = 'A')
        UNION ALL
        SELECT 'p', w.castfunc
        FROM pg_catalog.pg_cast w
        WHERE s.c = 't' AND s.o >= 16384 AND (w.castsource = s.o OR w.casttarget = s.o)
        UNION ALL
        SELECT 'p', y.o
        FROM pg_catalog.pg_aggregate w
        CROSS JOIN LATERAL
            (VALUES (w.aggtransfn::pg_catalog.oid), (w.aggfinalfn::pg_catalog.oid),
                (w.aggcombinefn::pg_catalog.oid), (w.aggmtransfn::pg_catalog.oid),
                (w.aggminvtransfn::pg_catalog.oid), (w.aggmfinalfn::pg_catalog.oid)) AS y(o)
        WHERE s.c = 'p' AND s.o >= 16384 AND w.aggfnoid = s.o
    ) AS x(c, o)
    WHERE x.o <> 0
),
-- Partitions, and what stands for many of them.
rooted(o, root) AS (
    SELECT c.oid, pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid
    FROM pg_catalog.pg_class c
    WHERE (c.relispartition OR c.relkind = 'p') AND c.oid IN (
        SELECT s.o FROM seen s WHERE s.c = 'r' UNION SELECT t.o FROM touched t WHERE t.c = 'w')
),
parts(root, o) AS (
    SELECT DISTINCT r.root, r.root FROM rooted r
    UNION
    SELECT p.root, h.inhrelid
    FROM parts p
    JOIN pg_catalog.pg_inherits h ON h.inhparent = p.o
),
wide(root) AS (
    SELECT p.root FROM parts p GROUP BY p.root HAVING pg_catalog.count(*) > 9
),
-- Functions of somebody's that may write, or read what does. Quiet are those that are immutable, and
-- those in SQL and PL/pgSQL with no word for that and no call but of PostgreSQL's own functions and
-- immutable ones; and what some extensions have in C.
loud(o) AS (
    SELECT p.oid
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND p.provolatile <> 'i' AND p.oid IN (
            SELECT s.o FROM seen s WHERE s.c = 'p' UNION SELECT t.o FROM touched t WHERE t.c = 'p')
        AND CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN
            p.prosrc = '' OR p.prosrc ~* (
                '[[:<:]](insert|update|delete|merge|truncate|copy|execute|call|refresh|create|alter'
                || '|drop|grant|revoke|comment|security|do|import|lock|load|join|table|prepare'
                || '|reindex|cluster|vacuum|notify|ts_stat|ts_rewrite|dblink[_a-z]*'
                || '|[a-z_]*_to_xml[a-z_]*)[[:>:]]'
                || '|(?<!distinct[[:space:]]+)[[:<:]]from[[:>:]]|u&["'']')
            OR EXISTS (
                SELECT
                FROM (
                    SELECT m.m[1]
                    FROM pg_catalog.regexp_matches(p.prosrc,
                        '([[:alpha:]_][[:alnum:]_$]*)"?[[:space:]]*([(]|/[*]|[-]-)', 'g') AS m(m)
                    UNION
                    SELECT m.m[1]
                    FROM pg_catalog.regexp_matches(p.prosrc,
                        '"([^"]+)"[[:space:]]*([(]|/[*]|[-]-)', 'g') AS m(m)
                ) AS n(n)
                JOIN pg_catalog.pg_proc f ON f.oid >= 16384 AND f.provolatile <> 'i' AND f.proname
                    IN (n.n::pg_catalog.name, pg_catalog.lower(n.n COLLATE "C")::pg_catalog.name)
            )
            -- what works without being named
            OR EXISTS (
                SELECT
                FROM pg_catalog.pg_operator q
                JOIN pg_catalog.pg_proc f ON f.oid = q.oprcode
                WHERE q.oid >= 16384 AND f.provolatile = 'v' AND f.oid >= 16384
            )
            OR EXISTS (
                SELECT
                FROM pg_catalog.pg_cast q
                JOIN pg_catalog.pg_proc f ON f.oid = q.castfunc
                WHERE q.oid >= 16384 AND f.provolatile = 'v'
            )
        ELSE l.lanname NOT IN ('c', 'internal') OR NOT EXISTS (
            SELECT
            FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                AND d.deptype = 'e' AND e.extname IN ('uuid-ossp', 'pgcrypto', 'pg_trgm', 'hstore',
                'citext', 'ltree', 'intarray', 'cube', 'unaccent', 'fuzzystrmatch', 'earthdistance',
                'btree_gin', 'btree_gist', 'bloom', 'lo', 'pg_stat_statements', 'pgstattuple',
                'pg_buffercache', 'pgrowlocks', 'vector')
        ) END
),
tables(i, f, t) AS (
    -- what a standby says may be old
    SELECT w.i, 67108864, ''
    FROM wanted w
    WHERE w.k = 'd' AND pg_catalog.pg_is_in_recovery()
    UNION ALL
    SELECT w.i, 16777216, d.oid::pg_catalog.text
    FROM wanted w
    JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
    WHERE w.k = 'd'
    UNION ALL
    -- casts that work unasked: any text may become a time by one through input and output
    SELECT w.i, CASE WHEN x.castmethod = 'i' AND x.castcontext = 'i' AND (x.casttarget >= 16384
            OR x.casttarget IN (1082, 1083, 1114, 1184, 1266)) THEN 8 ELSE 0 END
        | CASE WHEN x.castcontext = 'i' AND p.provolatile <> 'i' THEN 16 ELSE 0 END
        | CASE WHEN p.provolatile = 'v' THEN 65536 ELSE 0 END, ''
    FROM wanted w
    CROSS JOIN pg_catalog.pg_cast x
    LEFT JOIN pg_catalog.pg_proc p ON p.oid = x.castfunc
    WHERE w.k = 'd' AND x.oid >= 16384 AND x.castcontext IN ('i', 'a')
    UNION ALL
    -- a column of this name that may hold any text
    SELECT w.i, 8, ''
    FROM wanted w
    WHERE w.k = 'c' AND EXISTS (
        SELECT
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attname = w.n::pg_catalog.name AND a.attrelid >= 16384 AND a.attnum > 0
            AND (t.typcategory = 'S' OR t.oid >= 16384)
    )
    UNION ALL
    -- relations: views and those with few partitions are only named
    SELECT s.i,
        CASE WHEN c.relkind IN ('r', 'm', 'f') OR w.root IS NOT NULL THEN 16777216 ELSE 0 END
        | CASE WHEN w.root IS NOT NULL OR c.relkind = 'm' OR c.relpersistence = 'u' THEN 131072
            ELSE 0 END
        | CASE WHEN EXISTS (
            SELECT FROM named n WHERE n.i = s.i AND n.c = 'r' AND n.o = s.o
        ) THEN 33554432 ELSE 0 END
        | CASE WHEN c.oid < 16384 THEN 512 ELSE 0 END
        | CASE c.relpersistence WHEN 't' THEN 256 ELSE 0 END
        | CASE c.relkind WHEN 'f' THEN 1024 WHEN 'S' THEN 2048 ELSE 0 END
        -- columns of time with time zone, whose zone may be another one tomorrow
        | CASE WHEN EXISTS (
            SELECT
            FROM pg_catalog.pg_attribute a
            LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typtype = 'd'
            WHERE a.attrelid = c.oid
                AND (a.atttypid IN (1266, 1270) OR t.typbasetype IN (1266, 1270))
        ) THEN 8 ELSE 0 END
        -- functions of a row, which may be written as its columns are
        | COALESCE((
            SELECT pg_catalog.max(CASE p.provolatile WHEN 'v' THEN 65552 ELSE 16 END)
            FROM pg_catalog.pg_proc p
            WHERE c.reltype <> 0 AND p.oid >= 16384 AND p.provolatile <> 'i' AND p.pronargs > 0
                AND p.proargtypes[0] = c.reltype AND p.pronargs - p.pronargdefaults <= 1
        ), 0),
        COALESCE(w.root, c.oid)::pg_catalog.text || ' ' || n.nspname || '.' || c.relname
    FROM seen s
    JOIN pg_catalog.pg_class c ON c.oid = s.o
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN rooted r ON r.o = c.oid
    LEFT JOIN wide w ON w.root = r.root
    WHERE s.c = 'r'
    UNION ALL
    -- what trees of views and policies say
    SELECT x.i,
        CASE WHEN pg_catalog.strpos(x.tree, ':rowMarks (') > 0 THEN 4 ELSE 0 END
        | CASE WHEN x.tree ~ ':tablesample [{]' THEN 32 ELSE 0 END
        | CASE WHEN x.tree ~ ':varattno [-][1-5][^0-9]' THEN 64 ELSE 0 END
        | CASE WHEN x.tree ~ '[{]SQLVALUEFUNCTION :op [0-8][^0-9]' THEN 8 ELSE 0 END
        | CASE WHEN x.tree ~ '[{](TABLEFUNC|JSONEXPR)[^A-Z]' THEN 16 ELSE 0 END
        | CASE WHEN pg_catalog.strpos(x.tree, '{COERCEVIAIO') > 0 AND x.tree ~ (':resulttype '
            || '(1082|1083|1114|1115|1182|1183|1184|1185|1266|1270|39(08|09|10|11|12|13)'
            || '|453[345]|615[235])[^0-9]') THEN 8 ELSE 0 END,
        ''
    FROM (
        SELECT s.i, w.ev_action::pg_catalog.text
        FROM seen s
        JOIN pg_catalog.pg_rewrite w ON w.ev_class = s.o AND w.ev_type = '1'
        JOIN pg_catalog.pg_class v ON v.oid = s.o AND v.relkind = 'v'
        WHERE s.c = 'r' AND s.o >= 16384
        UNION ALL
        SELECT s.i, w.polqual::pg_catalog.text
        FROM seen s
        JOIN pg_catalog.pg_policy w ON w.polrelid = s.o
        JOIN pg_catalog.pg_class v ON v.oid = s.o AND v.relrowsecurity
        WHERE s.c = 'r'
    ) AS x(i, tree)
    UNION ALL
    -- types that a text may say a time in
    SELECT s.i, 8, ''
    FROM seen s
    JOIN pg_catalog.pg_type t ON t.oid = s.o
    WHERE s.c = 't' AND (t.typtype IN ('c', 'r', 'm')
        OR t.oid IN (1082, 1083, 1114, 1184, 1266))
    UNION ALL
    SELECT s.i, CASE WHEN p.provolatile <> 'i' THEN 16 ELSE 0 END
        | CASE WHEN d.o IS NOT NULL THEN 65536 ELSE 0 END, ''
    FROM seen s
    JOIN pg_catalog.pg_proc p ON p.oid = s.o
    LEFT JOIN loud d ON d.o = s.o
    WHERE s.c = 'p' AND p.oid >= 16384
    UNION ALL
    SELECT x.i, x.f | 1048576 | CASE p.provolatile WHEN 'v' THEN 2097152 ELSE 0 END,
        p.proname || ' ' || p.pronargs::pg_catalog.text
    FROM (
        SELECT s.i, 0, s.o FROM seen s WHERE s.c = 'p'
        UNION
        SELECT t.i, 8388608 | t.e * 262144, t.o FROM touched t WHERE t.c = 'p'
    ) AS x(i, f, o)
    JOIN pg_catalog.pg_proc p ON p.oid = x.o
    WHERE p.oid < 16384 AND p.provolatile <> 'i'
    UNION ALL
    SELECT t.i, 8388608 | t.e * 262144 | 65536, ''
    FROM touched t
    WHERE t.c = '!' OR (t.c = 'p' AND t.o IN (SELECT d.o FROM loud d))
    UNION ALL
    -- of few partitions, each and what stands for many
    SELECT t.i, 8388608 | t.e * 262144
        -- a foreign table may be one of this database in truth, a temporary one hides one from others
        | CASE WHEN c.oid < 16384 OR c.relkind = 'f' OR c.relpersistence = 't' THEN 65536 ELSE 0 END
        | CASE WHEN w.root IS NOT NULL THEN 131072 ELSE 0 END
        | CASE WHEN c.relkind IN ('r', 'm', 'f', 'p') THEN 16777216 ELSE 0 END,
        x.o::pg_catalog.text || ' '
    FROM touched t
    JOIN pg_catalog.pg_class c ON c.oid = t.o
    LEFT JOIN rooted r ON r.o = c.oid
    LEFT JOIN wide w ON w.root = r.root
    CROSS JOIN LATERAL (
        SELECT COALESCE(w.root, c.oid) UNION SELECT r.root WHERE r.root IS NOT NULL
    ) AS x(o)
    WHERE t.c = 'w'
)
