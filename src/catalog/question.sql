-- What the catalog says about names. The rows of "wanted" are written in front of this by
-- catalog/question.c: a number, the kind (r relation, f function, o operator, t type, d the
-- database itself), schema (empty when none was written), name, and the number of arguments
-- (255: any).
--
-- Answers rows of a name's number, flags as enum catalog_flag has them, and the name of the
-- function that they are about. 1048576 says that the function is PostgreSQL's own, 2097152 that it
-- is volatile. The number -1 stands for the search path.
--
-- Objects below 16384 are PostgreSQL's own. No backslash stands in here, and every name is written
-- with its schema.
path(s, at) AS (
    SELECT s, at
    FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS p(s, at)
),
named(i, c, o) AS (
    -- relations: the first of that name
    SELECT w.i, 'r', x.oid
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
    WHERE w.k = 'r'
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
        SELECT 'r', w.inhrelid FROM pg_catalog.pg_inherits w WHERE r.c = 'r' AND w.inhparent = r.o
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
            (VALUES (w.aggtransfn::pg_catalog.oid), (w.aggfinalfn::pg_catalog.oid)) AS y(o)
        WHERE r.c = 'p' AND r.o >= 16384 AND w.aggfnoid = r.o
        UNION ALL
        -- functions whose names stand in a body, in front of a parenthesis
        SELECT 'p', f.oid
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        CROSS JOIN LATERAL (
            SELECT DISTINCT pg_catalog.lower(m.m[1])
            FROM pg_catalog.regexp_matches(p.prosrc, '([[:alpha:]_][[:alnum:]_$]*)"?[[:space:]]*[(]',
                'g') AS m(m)
        ) AS y(name)
        JOIN pg_catalog.pg_proc f ON f.proname = y.name::pg_catalog.name AND f.oid >= 16384
        WHERE r.c = 'p' AND p.oid = r.o AND p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql')
    ) AS x(c, o)
    WHERE x.o <> 0
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
-- A body may leave something in the session, or change the catalog, when it has a word for that;
-- SET in an UPDATE is none. Of other languages than SQL and PL/pgSQL nobody can tell, but that C
-- functions are what they are declared to be.
SELECT r.i,
    CASE WHEN p.oid < 16384 THEN 1048576 | CASE p.provolatile WHEN 'v' THEN 2097152 ELSE 0 END
    ELSE
        CASE p.provolatile WHEN 'v' THEN 2 ELSE 0 END
        | CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN
            CASE WHEN pg_catalog.regexp_replace(p.prosrc,
                    '[[:<:]]update[[:>:]][^;]*?[[:<:]]set[[:>:]]', '', 'gi')
                ~* ('[[:<:]](set|set_config|reset|discard|temp|temporary|pg_temp|listen|unlisten|load'
                || '|prepare|deallocate|execute|call|do|hold|lo_open|dblink_connect)[[:>:]]'
                || '|advisory_lock|advisory_unlock') THEN 4 ELSE 0 END
            | CASE WHEN p.provolatile = 'v' AND p.prosrc
                ~* ('[[:<:]](create|alter|drop|grant|revoke|comment|security|refresh|execute|call|do)'
                || '[[:>:]]') THEN 8 ELSE 0 END
        WHEN l.lanname IN ('c', 'internal') THEN CASE p.provolatile WHEN 'v' THEN 12 ELSE 0 END
        ELSE 12 END
    END,
    CASE WHEN p.oid < 16384 THEN p.proname::pg_catalog.text ELSE n.nspname || '.' || p.proname END
FROM reach r
JOIN pg_catalog.pg_proc p ON p.oid = r.o
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE r.c = 'p' AND (p.oid >= 16384 OR p.provolatile <> 'i')
