-- What the catalog says about names. The rows of "wanted" are written in front of this by
-- catalog/question.c: a number, the kind (r relation, w one that is written, f function, o operator,
-- t type, d the database itself, n somebody's function whatever its schema, b the bodies of all
-- functions), schema (empty when none was written), name, and the number of arguments (255: any).
--
-- Answers rows of a name's number, flags as enum catalog_flag has them, and the name of the
-- function that they are about. 1048576 says that the function is PostgreSQL's own, 2097152 that it
-- is volatile. The number -1 stands for the search path. Of bodies the name is one of a parameter
-- of an application's own ("app.user") which stands in one.
--
-- Objects below 16384 are PostgreSQL's own. No backslash stands in here, and every name is written
-- with its schema.
path(s, at) AS (
    SELECT s, at
    FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS p(s, at)
),
named(i, c, o) AS (
    -- relations: the first of that name
    SELECT w.i, w.k, x.oid
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT c.oid
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN path p ON p.s = n.nspname
        WHERE c.relname = w.n::pg_catalog.name
            AND CASE WHEN w.s = '' THEN p.s IS NOT NULL ELSE n.nspname = w.s::pg_catalog.name END
        ORDER BY p.at
        LIMIT 1
    ) x
    WHERE w.k IN ('r', 'w')
    UNION ALL
    -- functions: those that take so many arguments, or all of that name where none does
    SELECT f.i, 'p', f.oid
    FROM (
        SELECT g.i, g.oid, g.fits, pg_catalog.bool_or(g.fits) OVER (PARTITION BY g.i) AS some
        FROM (
            -- of the same argument types, only the first in the path can be called
            SELECT w.i, p.oid, pg_catalog.row_number()
                    OVER (PARTITION BY w.i, p.proargtypes ORDER BY h.at) AS turn,
                w.a = 255 OR w.a BETWEEN p.pronargs - p.pronargdefaults AND p.pronargs
                OR (p.provariadic <> 0 AND w.a >= p.pronargs - 1 - p.pronargdefaults) AS fits
            FROM wanted w
            JOIN pg_catalog.pg_proc p ON p.proname = w.n::pg_catalog.name
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            LEFT JOIN path h ON h.s = n.nspname
            WHERE w.k = 'f'
                AND CASE WHEN w.s = '' THEN h.s IS NOT NULL
                    ELSE n.nspname = w.s::pg_catalog.name END
        ) g
        WHERE g.turn = 1
    ) f
    WHERE f.fits OR NOT f.some
    UNION ALL
    SELECT w.i, 'p', p.oid
    FROM wanted w
    JOIN pg_catalog.pg_proc p ON p.proname = w.n::pg_catalog.name
    WHERE w.k = 'n' AND p.oid >= 16384
    UNION ALL
    -- operators and types that somebody has made
    SELECT w.i, w.k, x.oid
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT o.oid, o.oprnamespace FROM pg_catalog.pg_operator o
        WHERE w.k = 'o' AND o.oprname = w.n::pg_catalog.name
        UNION ALL
        SELECT t.oid, t.typnamespace FROM pg_catalog.pg_type t
        WHERE w.k = 't' AND t.typname = w.n::pg_catalog.name
    ) AS x(oid, namespace)
    JOIN pg_catalog.pg_namespace n ON n.oid = x.namespace
    WHERE x.oid >= 16384
        AND CASE WHEN w.s = '' THEN n.nspname IN (SELECT s FROM path)
            ELSE n.nspname = w.s::pg_catalog.name END
    UNION ALL
    -- casts that work unasked
    SELECT w.i, 'p', x.castfunc
    FROM wanted w
    CROSS JOIN pg_catalog.pg_cast x
    JOIN pg_catalog.pg_proc p ON p.oid = x.castfunc
    WHERE w.k = 'd' AND x.oid >= 16384 AND x.castcontext = 'i' AND p.provolatile = 'v'
),
reach(i, c, o) AS (
    SELECT i, c, o FROM named
    UNION
    SELECT r.i, x.c, x.o
    FROM reach r
    CROSS JOIN LATERAL (
        -- the numbers of objects in the text of stored trees
        SELECT CASE m.m[1] WHEN 'relid' THEN 'r' WHEN 'opno' THEN 'o' WHEN 'resulttype' THEN 't'
            ELSE 'p' END, m.m[2]::pg_catalog.oid
        FROM (
            SELECT w.ev_action::pg_catalog.text -- a view's query
            FROM pg_catalog.pg_rewrite w
            JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
            WHERE r.c = 'r' AND w.ev_class = r.o AND w.ev_type = '1' AND v.relkind = 'v'
            UNION ALL
            SELECT w.polqual::pg_catalog.text -- row security
            FROM pg_catalog.pg_policy w
            JOIN pg_catalog.pg_class v ON v.oid = w.polrelid
            WHERE r.c = 'r' AND w.polrelid = r.o AND v.relrowsecurity
            UNION ALL
            SELECT w.conbin::pg_catalog.text -- a domain's checks
            FROM pg_catalog.pg_constraint w
            WHERE r.c = 't' AND w.contypid = r.o
            UNION ALL
            SELECT w.ev_action::pg_catalog.text -- rules
            FROM pg_catalog.pg_rewrite w
            WHERE r.c = 'w' AND w.ev_class = r.o AND w.ev_type <> '1'
            UNION ALL
            SELECT w.adbin::pg_catalog.text -- defaults
            FROM pg_catalog.pg_attrdef w
            WHERE r.c = 'w' AND w.adrelid = r.o
            UNION ALL
            SELECT w.typdefaultbin::pg_catalog.text -- a domain's
            FROM pg_catalog.pg_type w
            WHERE r.c = 't' AND w.oid = r.o
            UNION ALL
            SELECT pg_catalog.concat(w.indexprs, w.indpred) -- indexes on expressions
            FROM pg_catalog.pg_index w
            WHERE r.c = 'w' AND w.indrelid = r.o
            UNION ALL
            SELECT w.partexprs::pg_catalog.text
            FROM pg_catalog.pg_partitioned_table w
            WHERE r.c = 'w' AND w.partrelid = r.o
            UNION ALL
            SELECT w.tgqual::pg_catalog.text -- triggers' WHEN
            FROM pg_catalog.pg_trigger w
            WHERE r.c = 'w' AND w.tgrelid = r.o
            UNION ALL
            SELECT w.conbin::pg_catalog.text -- a table's checks
            FROM pg_catalog.pg_constraint w
            WHERE r.c = 'w' AND w.conrelid = r.o AND w.contype = 'c'
            UNION ALL
            SELECT w.polwithcheck::pg_catalog.text
            FROM pg_catalog.pg_policy w
            JOIN pg_catalog.pg_class v ON v.oid = w.polrelid
            WHERE r.c = 'w' AND w.polrelid = r.o AND v.relrowsecurity
            UNION ALL
            SELECT pg_catalog.to_jsonb(w) ->> 'prosqlbody' -- a function's, from PostgreSQL 14 on
            FROM pg_catalog.pg_proc w
            WHERE r.c = 'p' AND w.oid = r.o AND w.oid >= 16384
            UNION ALL
            SELECT w.proargdefaults::pg_catalog.text -- of arguments that may be left out
            FROM pg_catalog.pg_proc w
            WHERE r.c = 'p' AND w.oid = r.o AND w.oid >= 16384
        ) AS t(tree)
        CROSS JOIN LATERAL pg_catalog.regexp_matches(t.tree,
            ':(relid|funcid|aggfnoid|winfnoid|opno|resulttype) ([0-9]+)', 'g') AS m(m)
        UNION ALL
        -- partitions and children
        SELECT r.c, w.inhrelid
        FROM pg_catalog.pg_inherits w
        WHERE r.c IN ('r', 'w') AND w.inhparent = r.o
        UNION ALL
        -- what is written is read, too
        SELECT 'r', r.o WHERE r.c = 'w'
        UNION ALL
        -- tables that are written through a view
        SELECT 'w', m.m[1]::pg_catalog.oid
        FROM pg_catalog.pg_rewrite w
        JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
        CROSS JOIN LATERAL pg_catalog.regexp_matches(w.ev_action::pg_catalog.text,
            ':relid ([0-9]+)', 'g') AS m(m)
        WHERE r.c = 'w' AND w.ev_class = r.o AND v.relkind = 'v'
        UNION ALL
        -- triggers
        SELECT 'p', w.tgfoid
        FROM pg_catalog.pg_trigger w
        WHERE r.c = 'w' AND w.tgrelid = r.o AND NOT w.tgisinternal
        UNION ALL
        -- rows that change with those of the table
        SELECT 'w', w.conrelid
        FROM pg_catalog.pg_constraint w
        WHERE r.c = 'w' AND w.confrelid = r.o AND w.contype = 'f'
            AND (w.confdeltype IN ('c', 'n', 'd') OR w.confupdtype IN ('c', 'n', 'd'))
        UNION ALL
        -- domains
        SELECT 't', w.atttypid
        FROM pg_catalog.pg_attribute w
        WHERE r.c = 'w' AND w.attrelid = r.o AND w.attnum > 0 AND w.atttypid >= 16384
        UNION ALL
        -- operators
        SELECT 'p', w.oprcode::pg_catalog.oid
        FROM pg_catalog.pg_operator w
        WHERE r.c = 'o' AND w.oid = r.o
        UNION ALL
        -- what a domain stands on, and casts from and to a type
        SELECT 't', w.typbasetype
        FROM pg_catalog.pg_type w
        WHERE r.c = 't' AND w.oid = r.o AND w.typtype = 'd'
        UNION ALL
        SELECT 'p', w.castfunc
        FROM pg_catalog.pg_cast w
        WHERE r.c = 't' AND r.o >= 16384 AND (w.castsource = r.o OR w.casttarget = r.o)
        UNION ALL
        -- aggregates
        SELECT 'p', y.o
        FROM pg_catalog.pg_aggregate w
        CROSS JOIN LATERAL
            (VALUES (w.aggtransfn::pg_catalog.oid), (w.aggfinalfn::pg_catalog.oid),
                (w.aggcombinefn::pg_catalog.oid), (w.aggmtransfn::pg_catalog.oid),
                (w.aggminvtransfn::pg_catalog.oid), (w.aggmfinalfn::pg_catalog.oid)) AS y(o)
        WHERE r.c = 'p' AND r.o >= 16384 AND w.aggfnoid = r.o
        UNION ALL
        -- what a body names: functions in front of a parenthesis, somebody's types and operators,
        -- and tables where it says that they are written
        SELECT y.c, y.o
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        CROSS JOIN LATERAL (
            SELECT 'p', f.oid
            FROM (
                SELECT m.m[1]
                FROM pg_catalog.regexp_matches(p.prosrc,
                    '([[:alpha:]_][[:alnum:]_$]*)"?[[:space:]]*([(]|/[*]|[-]-)', 'g') AS m(m)
                UNION
                SELECT m.m[1]
                FROM pg_catalog.regexp_matches(p.prosrc, '"([^"]+)"[[:space:]]*([(]|/[*]|[-]-)',
                    'g') AS m(m)
            ) AS n(n)
            JOIN pg_catalog.pg_proc f ON f.oid >= 16384 AND f.proname
                IN (n.n::pg_catalog.name, pg_catalog.lower(n.n COLLATE "C")::pg_catalog.name)
            UNION ALL
            SELECT 't', t.oid
            FROM (
                SELECT DISTINCT m.m[1]
                FROM pg_catalog.regexp_matches(p.prosrc, '([[:alpha:]_][[:alnum:]_$]*)', 'g') AS m(m)
            ) AS n(n)
            JOIN pg_catalog.pg_type t ON t.oid >= 16384 AND t.typname
                IN (n.n::pg_catalog.name, pg_catalog.lower(n.n COLLATE "C")::pg_catalog.name)
            UNION ALL
            SELECT 'o', o.oid
            FROM (
                SELECT DISTINCT m.m[1]
                FROM pg_catalog.regexp_matches(p.prosrc, '([-+*/<>=~!@#%^&|`?]+)', 'g') AS m(m)
            ) AS n(n)
            JOIN pg_catalog.pg_operator o ON o.oid >= 16384 AND o.oprname = n.n::pg_catalog.name
                -- by a name that PostgreSQL has, too, it is seldom meant
                AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_operator b
                    WHERE b.oid < 16384 AND b.oprname = o.oprname
                )
            UNION ALL
            SELECT 'w', t.oid
            FROM (
                SELECT DISTINCT m.m[1]
                FROM pg_catalog.regexp_matches(p.prosrc,
                    '[[:<:]](?:into|update|delete[[:space:]]+from|truncate|table|only|copy)'
                    || '[[:space:]]+(?:"?[^[:space:].;(),"]+"?[[:space:]]*[.][[:space:]]*)?'
                    || '"?([[:alpha:]_][[:alnum:]_$]*)', 'gi') AS m(m)
            ) AS n(n)
            JOIN pg_catalog.pg_class t ON t.oid >= 16384 AND t.relkind IN ('r', 'p', 'v', 'f')
                AND t.relname
                IN (n.n::pg_catalog.name, pg_catalog.lower(n.n COLLATE "C")::pg_catalog.name)
        ) AS y(c, o)
        WHERE r.c = 'p' AND p.oid = r.o AND p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql')
    ) AS x(c, o)
    WHERE x.o <> 0
),
-- Bodies without their comments, and without SET where it is UPDATE's. A literal or a quoted name
-- stays what it is, whatever stands in it. Where a literal may end elsewhere (dollars, a backslash in
-- front of its end) nothing is taken out.
body(o, t) AS (
    SELECT p.oid, CASE
        WHEN p.prosrc ~ ('[$][[:alnum:]_]*[$]|' || pg_catalog.repeat(pg_catalog.chr(92), 2) || '''')
            THEN p.prosrc
        ELSE pg_catalog.regexp_replace(
            pg_catalog.regexp_replace(p.prosrc,
                '(''(?:[^'']|'''')*''|"[^"]*")|[-]-[^' || pg_catalog.chr(10) || ']*'
                || '|/[*](?:[^*]|[*]+[^*/])*[*]+/',
                pg_catalog.chr(92) || '1 ', 'g'),
            '(?<!(for|key)[[:space:]]+)[[:<:]]update([[:space:]]+[^[:space:];]+){0,6}?[[:space:]]+'
            || 'set[[:>:]]', 'update ', 'gi')
        END
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql')
        AND (p.oid IN (SELECT o FROM reach WHERE c = 'p')
            -- what has none of these words sets no such parameter
            OR (EXISTS (SELECT FROM wanted WHERE k = 'b') AND (p.prosrc = '' OR p.prosrc ~* (
                'set_config|execute|u&["'']|[[:<:]]set[[:space:]]*(/[*]|[-]-)'
                || '|[[:<:]]set[[:space:]][^;=]*([.%'']'
                || '|[^' || pg_catalog.chr(1) || '-' || pg_catalog.chr(127) || '])'))))
),
-- Bodies that may set a parameter whose name does not stand in them, or not in ASCII. What EXECUTE runs is known
-- where it begins with a literal that says so.
unnamed(o) AS (
    SELECT b.o
    FROM body b
    CROSS JOIN LATERAL (
        SELECT pg_catalog.regexp_replace(b.t,
            '[[:<:]]set_config[[:space:]]*[(][[:space:]]*''[a-z0-9_.$]+''[[:space:]]*,'
            || '|[[:<:]]execute[[:space:]]+(function|procedure|on)[[:>:]]'
            || '|[[:<:]]execute[[:space:](]*(pg_catalog[.])?(format[[:space:]]*[(][[:space:]]*)?'
            || '(''|[$][[:alnum:]_]*[$])[[:space:]]*'
            || '((select|with|values|table|insert|update|delete|merge|create|alter|drop|truncate'
            || '|grant|revoke|comment|lock|analyze|vacuum|reindex|cluster|refresh|copy|notify'
            || '|explain|listen|unlisten|reset)[[:>:]]'
            || '|set[[:space:]]+(local[[:>:]]'
            || '|(session[[:space:]]+)?[[:alnum:]_.$]+[[:space:]]*(=|to[[:>:]])))',
            '', 'gi')
    ) AS x(t)
    WHERE x.t ~* ('set_config|[[:<:]]execute[[:>:]]'
        || '|[[:<:]]set[[:space:]]+((session|local)[[:space:]]+)?'
        || '([^[:space:];=''()]*[[:space:]]+[.]|[[:alnum:]_.$"]*''|%|/[*]|[-]-'
        || '|[^[:space:];=''()]*[^' || pg_catalog.chr(1) || '-' || pg_catalog.chr(127) || '])'
        || '|[[:<:]]u&["'']')
    UNION ALL
    -- in a stored tree no name can be read
    SELECT p.oid
    FROM pg_catalog.pg_proc p
    WHERE p.oid IN (SELECT o FROM body) AND pg_catalog.strpos(
        pg_catalog.to_jsonb(p) ->> 'prosqlbody',
        ':funcid ' || 'pg_catalog.set_config'::pg_catalog.regproc::pg_catalog.oid || ' ') > 0
)
SELECT -1, 0, pg_catalog.string_agg(pg_catalog.quote_ident(s), ',' ORDER BY at)
FROM path
WHERE s !~ '^pg_temp_'
UNION ALL
SELECT DISTINCT i, 0, '' FROM named
UNION ALL
SELECT i, 1024, ''
FROM wanted
WHERE k = 'd' AND EXISTS (
    SELECT FROM pg_catalog.pg_class c
    WHERE c.oid >= 16384 AND (c.relpersistence = 'u' OR c.relkind = 'f')
)
UNION ALL
SELECT i, 0, '' FROM wanted WHERE k = 'b'
UNION ALL
SELECT i, 2048, '' FROM wanted WHERE k = 'b' AND EXISTS (SELECT FROM unnamed)
UNION ALL
SELECT w.i, 0, x.name
FROM wanted w
CROSS JOIN LATERAL (
    SELECT DISTINCT pg_catalog.lower(pg_catalog.replace(m.m[1], '"', '') COLLATE "C")
    FROM body b
    CROSS JOIN LATERAL pg_catalog.regexp_matches(b.t,
        '(?:[[:<:]]set_config[[:space:]]*[(][[:space:]]*''|[[:<:]]set[[:space:]]+'
        || '(?:(?:session|local)[[:space:]]+)?)([^[:space:];=''(),]+[.][^[:space:];=''(),]+)',
        'gi') AS m(m)
    -- others come in the encoding of who asks
    WHERE m.m[1] !~ ('[^' || pg_catalog.chr(1) || '-' || pg_catalog.chr(127) || ']')
    LIMIT 100
) AS x(name)
WHERE w.k = 'b'
UNION ALL
SELECT r.i, 2052, ''
FROM reach r
JOIN unnamed u ON u.o = r.o
WHERE r.c = 'p'
UNION ALL
-- called from a stored tree
SELECT r.i, 2052, ''
FROM reach r
WHERE r.c = 'p' AND r.o = 'pg_catalog.set_config'::pg_catalog.regproc
    AND NOT EXISTS (SELECT FROM named n WHERE n.i = r.i AND n.c = r.c AND n.o = r.o)
    -- whose rows are the parameters that a view shows
    AND NOT EXISTS (
        SELECT FROM reach x
        WHERE x.i = r.i AND x.c = 'w' AND x.o = 'pg_catalog.pg_settings'::pg_catalog.regclass
    )
UNION ALL
SELECT r.i,
    CASE c.relpersistence WHEN 'u' THEN 16 WHEN 't' THEN 32 ELSE 0 END
    | CASE WHEN c.oid < 16384 THEN 64 ELSE 0 END
    | CASE c.relkind WHEN 'f' THEN 128 WHEN 'S' THEN 256 ELSE 0 END
    -- a view that locks rows
    | CASE WHEN c.relkind = 'v' AND EXISTS (
            SELECT FROM pg_catalog.pg_rewrite w
            WHERE w.ev_class = c.oid AND w.ev_type = '1'
                AND pg_catalog.strpos(w.ev_action::pg_catalog.text, ':rowMarks (') > 0
        ) THEN 2 ELSE 0 END,
    ''
FROM reach r
JOIN pg_catalog.pg_class c ON c.oid = r.o
WHERE r.c = 'r'
UNION ALL
-- columns that are numbered
SELECT r.i, 4096, ''
FROM reach r
JOIN pg_catalog.pg_attribute a ON a.attrelid = r.o
WHERE r.c = 'w' AND a.attnum > 0 AND a.attidentity <> ''
UNION ALL
-- A body may leave something in the session, or change the catalog, when it has a word for that;
-- SET in an UPDATE is none. Of other languages than SQL and PL/pgSQL nobody can tell (2048: the
-- server cannot be asked for what they leave), but that C functions are what they are declared to be,
-- and that those of some extensions leave nothing. A volatile one may draw from a sequence (4096).
SELECT r.i,
    CASE WHEN p.oid < 16384 THEN 1048576 | CASE p.provolatile WHEN 'v' THEN 2097152 ELSE 0 END
    ELSE
        CASE p.provolatile WHEN 'v' THEN 4098 ELSE 0 END
        | CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN
            CASE WHEN b.t
                ~* ('[[:<:]](set|set_config|reset|discard|temp|temporary|pg_temp|listen|unlisten|load'
                || '|prepare|deallocate|execute|call|hold|lo_open|dblink_connect)[[:>:]]'
                || '|[[:<:]]do[[:>:]](?![[:space:]]+(nothing|update|also|instead)[[:>:]])'
                || '|advisory_lock|advisory_unlock') THEN 4 ELSE 0 END
            | CASE WHEN p.provolatile = 'v' AND b.t
                ~* ('[[:<:]](create|alter|drop|grant|revoke|comment|security|refresh|call)[[:>:]]'
                || '|[[:<:]]execute[[:>:]](?![[:space:](]*(format[[:space:]]*[(][[:space:]]*)?'
                || '''[[:space:]]*(select|insert|update|delete|values)[[:>:]])'
                || '|[[:<:]]do[[:>:]](?![[:space:]]+(nothing|update|also|instead)[[:>:]])')
                THEN 8 ELSE 0 END
        WHEN l.lanname IN ('c', 'internal') THEN
            CASE WHEN p.provolatile <> 'v' OR EXISTS (
                SELECT
                FROM pg_catalog.pg_depend d
                JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                    AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                    AND d.deptype = 'e' AND e.extname IN ('uuid-ossp', 'pgcrypto', 'pg_trgm',
                    'tablefunc', 'hstore', 'citext', 'ltree', 'intarray', 'cube', 'unaccent',
                    'fuzzystrmatch', 'earthdistance', 'btree_gin', 'btree_gist', 'bloom', 'lo',
                    'pg_stat_statements', 'pgstattuple', 'pg_buffercache', 'pgrowlocks', 'postgis',
                    'vector')
            ) THEN 0 ELSE 2060 END
        ELSE 2060 END
    END,
    CASE WHEN p.oid < 16384 THEN p.proname::pg_catalog.text ELSE n.nspname || '.' || p.proname END
FROM reach r
JOIN pg_catalog.pg_proc p ON p.oid = r.o
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN body b ON b.o = p.oid
WHERE r.c = 'p' AND (p.oid >= 16384 OR p.provolatile <> 'i')
