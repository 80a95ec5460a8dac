-- What the catalog says of names, so that sql/determinism.h can judge whether a statement does the
-- same on several servers. The rows of "wanted" are written in front of this by
-- catalog/knowledge_ask.c: a number, the kind (r relation, f function, o operator, t type, d the
-- database itself), schema (empty when none was written), name, and the number of arguments (255:
-- any).
--
-- Answers rows of a name's number, a letter, a number, and three texts:
--   p   the search path (of number -1)
--   +   the name is there; the number: of a function, 1 one of PostgreSQL's own, 2 somebody's
--   c a the column at that place, its type and default (a: GENERATED ALWAYS AS IDENTITY)
--   k   a key: places of columns
--   b   the name is a plain table, and writing it runs nothing of somebody's
--   u   a function of somebody's that a default calls: schema and name
--   R   what makes a read of it differ: what it is in, what it does, and the function of PostgreSQL's
--       own that it calls, with the number of arguments; where that is empty it differs for certain
--   W Z the same of what only a write, or only TRUNCATE, does
--   D   the same of a function that a default calls: schema, name, function
--
-- Objects below 16384 are PostgreSQL's own. No backslash stands in here, and every name is written
-- with its schema. Works on PostgreSQL 12 to 18.
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
),
-- All that a name leads to: r relations that are read, w the written one itself, v one that is written
-- through a view, x one that is written with it (children, rows that change by foreign keys), z one
-- that is truncated, p functions, t types of columns; T stored trees, U that of a view that is written,
-- D those of the written table's defaults. w is 0 for what is reached by reading, 1 only by writing, 2
-- only by TRUNCATE; d is the function that a default calls, when it is reached by that; via says to
-- people where it stands.
reach(i, w, c, o, d, via, tree) AS (
    SELECT n.i, x.w, x.c, n.o, 0::pg_catalog.oid,
        ''::pg_catalog.text COLLATE "C", ''::pg_catalog.text COLLATE "C"
    FROM named n
    CROSS JOIN (VALUES ('r', 'r', 0), ('r', 'w', 1), ('r', 'z', 2), ('p', 'p', 0)) AS x(k, c, w)
    WHERE n.c = x.k
    UNION ALL
    SELECT n.i, 0, 'p', q.oprcode::pg_catalog.oid, 0::pg_catalog.oid,
        'operator "' || q.oprname || '"', ''
    FROM named n
    JOIN pg_catalog.pg_operator q ON q.oid = n.o
    WHERE n.c = 'o'
    UNION ALL
    SELECT n.i, 0, 't', n.o, 0::pg_catalog.oid, 'type "' || t.typname || '"', ''
    FROM named n
    JOIN pg_catalog.pg_type t ON t.oid = n.o
    WHERE n.c = 't'
    UNION ALL
    -- casts that work unasked
    SELECT w.i, 0, 'p', x.castfunc, 0::pg_catalog.oid, 'a cast to type "' || t.typname || '"', ''
    FROM wanted w
    CROSS JOIN pg_catalog.pg_cast x
    JOIN pg_catalog.pg_type t ON t.oid = x.casttarget
    WHERE w.k = 'd' AND x.oid >= 16384 AND x.castcontext IN ('i', 'a') AND x.castfunc <> 0
    UNION
    SELECT r.i, GREATEST(r.w, x.w), x.c, x.o, COALESCE(x.d, r.d),
        CASE WHEN x.c = 'v' THEN '' WHEN r.via = '' THEN x.via ELSE r.via END, x.tree
    FROM reach r
    CROSS JOIN LATERAL (
        -- objects in stored trees
        SELECT 0, CASE WHEN m.m[1] = 'relid' THEN y.c ELSE 'p' END,
            CASE WHEN m.m[1] = 'opno' THEN COALESCE((
                    SELECT q.oprcode::pg_catalog.oid
                    FROM pg_catalog.pg_operator q
                    WHERE q.oid = m.m[2]::pg_catalog.oid AND q.oid >= 16384
                ), 0::pg_catalog.oid)
                ELSE m.m[2]::pg_catalog.oid END,
            NULL::pg_catalog.oid, ''::pg_catalog.text, ''::pg_catalog.text
        FROM pg_catalog.regexp_matches(
            -- but current_setting() of an application's own parameter: its name has a dot
            pg_catalog.regexp_replace(r.tree, ':funcid (2077|3294) :[^{}]*:args [(][{]CONST [^{}]*'
                || ':constvalue [0-9]+ [[][^]]* 46 [^]]*[]]', '', 'g'),
            ':(relid|funcid|aggfnoid|winfnoid|opno) ([0-9]+)', 'g') AS m(m)
        CROSS JOIN LATERAL (SELECT 'r' UNION ALL SELECT 'v' WHERE r.c = 'U') AS y(c)
        WHERE r.c IN ('T', 'U')
        UNION ALL
        -- of defaults the text tells what it calls by name, but not operators and casts
        SELECT 1, 'p', q.oprcode::pg_catalog.oid, NULL, '', ''
        FROM pg_catalog.regexp_matches(r.tree, ':opno ([0-9]+)', 'g') AS m(m)
        JOIN pg_catalog.pg_operator q ON q.oid = m.m[1]::pg_catalog.oid
        WHERE r.c = 'D' AND q.oid >= 16384
        UNION ALL
        SELECT 1, 'p', m.m[1]::pg_catalog.oid,
            CASE WHEN m.m[2] IN ('1', '2') THEN NULL ELSE m.m[1]::pg_catalog.oid END, '', ''
        FROM pg_catalog.regexp_matches(r.tree, ':funcid ([0-9]+) :funcresulttype [0-9]+ '
            || ':funcretset [a-z]+ :funcvariadic [a-z]+ :funcformat ([0-9])', 'g') AS m(m)
        WHERE r.c = 'D' AND m.m[1]::pg_catalog.oid >= 16384
        UNION ALL
        -- views
        SELECT 0, CASE WHEN r.c = 'r' OR v.relkind = 'm' THEN 'T' ELSE 'U' END,
            v.oid, NULL,
            CASE v.relkind WHEN 'm' THEN 'materialized view "' ELSE 'view "' END || v.relname || '"',
            w.ev_action::pg_catalog.text
        FROM pg_catalog.pg_rewrite w
        JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
        WHERE r.c IN ('r', 'w', 'v') AND w.ev_class = r.o AND w.ev_type = '1' AND v.oid >= 16384
            AND (v.relkind = 'v' OR (v.relkind = 'm' AND r.c = 'w'))
        UNION ALL
        -- row security
        SELECT 0, 'T', w.oid, NULL, 'policy "' || w.polname || '"',
            pg_catalog.concat(w.polqual, CASE WHEN r.c <> 'r' THEN w.polwithcheck END)
        FROM pg_catalog.pg_policy w
        JOIN pg_catalog.pg_class v ON v.oid = w.polrelid
        WHERE r.c IN ('r', 'w', 'v', 'x') AND w.polrelid = r.o AND v.relrowsecurity
        UNION ALL
        -- functions of a row, which may be written as its columns are
        SELECT 0, 'p', p.oid, NULL, 'function "' || p.proname || '" of a row of it', ''
        FROM pg_catalog.pg_class v
        JOIN pg_catalog.pg_proc p ON p.proargtypes[0] = v.reltype
        WHERE r.c = 'r' AND r.via = '' AND v.oid = r.o AND v.reltype <> 0 AND p.oid >= 16384
            AND p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1
        UNION ALL
        -- partitions and children
        SELECT 0, CASE WHEN r.c IN ('r', 'z') THEN r.c ELSE 'x' END, w.inhrelid, NULL, '', ''
        FROM pg_catalog.pg_inherits w
        WHERE r.c IN ('r', 'w', 'v', 'x', 'z') AND w.inhparent = r.o
        UNION ALL
        -- rows that change with those of the table
        SELECT 1, 'x', w.conrelid, NULL, '', ''
        FROM pg_catalog.pg_constraint w
        WHERE r.c IN ('w', 'v', 'x') AND w.confrelid = r.o AND w.contype = 'f'
            AND (w.confdeltype IN ('c', 'n', 'd') OR w.confupdtype IN ('c', 'n', 'd'))
        UNION ALL
        SELECT 2, 'z', w.conrelid, NULL, '', ''
        FROM pg_catalog.pg_constraint w
        WHERE r.c = 'z' AND w.confrelid = r.o AND w.contype = 'f'
        UNION ALL
        SELECT 1, 'T', w.adrelid, NULL, 'the default of column "' || a.attname || '"',
            w.adbin::pg_catalog.text
        FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_attrdef w ON w.adrelid = k.conrelid AND w.adnum = ANY (k.conkey)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = w.adrelid AND a.attnum = w.adnum
        WHERE r.c = 'x' AND k.conrelid = r.o AND k.contype = 'f'
            AND (k.confdeltype = 'd' OR k.confupdtype = 'd')
        UNION ALL
        -- triggers; a partition's own copies pass for internal before PostgreSQL 15
        SELECT 1, 'p', w.tgfoid, NULL, 'trigger "' || w.tgname || '"', ''
        FROM pg_catalog.pg_trigger w
        WHERE r.c IN ('w', 'v', 'x', 'z') AND w.tgrelid = r.o AND w.tgenabled <> 'D'
            AND (NOT w.tgisinternal OR w.tgfoid >= 16384)
            AND (w.tgtype::pg_catalog.int4 & CASE r.c WHEN 'z' THEN 32 ELSE 28 END) <> 0
        UNION ALL
        SELECT 1, 'T', w.oid, NULL, 'trigger "' || w.tgname || '"', w.tgqual::pg_catalog.text
        FROM pg_catalog.pg_trigger w
        WHERE r.c IN ('w', 'v', 'x') AND w.tgrelid = r.o AND w.tgenabled <> 'D'
            AND w.tgqual IS NOT NULL
        UNION ALL
        -- checks of tables and of domains
        SELECT 1, 'T', w.oid, NULL, 'check "' || w.conname || '"', w.conbin::pg_catalog.text
        FROM pg_catalog.pg_constraint w
        WHERE w.contype = 'c' AND ((r.c IN ('w', 'v', 'x') AND w.conrelid = r.o)
                OR (r.c = 't' AND w.contypid = r.o))
        UNION ALL
        SELECT 1, 't', w.atttypid, NULL, '', ''
        FROM pg_catalog.pg_attribute w
        WHERE r.c IN ('w', 'v', 'x') AND w.attrelid = r.o AND w.attnum > 0 AND NOT w.attisdropped
            AND w.atttypid >= 16384
        UNION ALL
        SELECT 0, 't', CASE WHEN w.typtype = 'd' THEN w.typbasetype ELSE w.typelem END, NULL, '',
            ''
        FROM pg_catalog.pg_type w
        WHERE r.c = 't' AND w.oid = r.o AND (w.typtype = 'd' OR w.typcategory = 'A')
        UNION ALL
        SELECT 0, 'p', w.castfunc, NULL, '', ''
        FROM pg_catalog.pg_cast w
        WHERE r.c = 't' AND r.via LIKE 'type %' AND r.o >= 16384
            AND (w.castsource = r.o OR w.casttarget = r.o)
        UNION ALL
        -- defaults: of the written table by themselves, of one behind a view as whatever it calls
        SELECT 1, CASE r.c WHEN 'w' THEN 'D' ELSE 'T' END, w.oid, NULL,
            'the default of column "' || a.attname || '"', w.adbin::pg_catalog.text
        FROM pg_catalog.pg_attrdef w
        JOIN pg_catalog.pg_attribute a ON a.attrelid = w.adrelid AND a.attnum = w.adnum
        WHERE r.c IN ('w', 'v') AND w.adrelid = r.o AND a.attgenerated = ''
        UNION ALL
        SELECT 1, CASE r.c WHEN 'w' THEN 'D' ELSE 'T' END, t.oid, NULL,
            'the default of type "' || t.typname || '"', t.typdefaultbin::pg_catalog.text
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE r.c IN ('w', 'v') AND a.attrelid = r.o AND a.attnum > 0 AND NOT a.attisdropped
            AND NOT a.atthasdef AND t.typdefaultbin IS NOT NULL
        UNION ALL
        -- functions: what their arguments are when they are left out, and a tree instead of a body,
        -- which there is from PostgreSQL 14 on
        SELECT 0, 'T', p.oid, NULL, 'function "' || p.proname || '"',
            pg_catalog.concat(p.proargdefaults::pg_catalog.text,
                CASE WHEN p.provolatile <> 'i' THEN pg_catalog.to_jsonb(p) ->> 'prosqlbody' END)
        FROM pg_catalog.pg_proc p
        WHERE r.c = 'p' AND p.oid = r.o AND p.oid >= 16384
        UNION ALL
        -- what a body calls
        SELECT 0, 'p', f.oid, NULL, 'function "' || p.proname || '"', ''
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        CROSS JOIN LATERAL (
            SELECT pg_catalog.regexp_replace(p.prosrc, '[[:<:]]current_setting[[:space:]]*[(]'
                || '[[:space:]]*''[[:alnum:]_]+[.][[:alnum:]_.]+''', '', 'gi')
        ) AS b(t)
        CROSS JOIN LATERAL (
            SELECT m.m[1]
            FROM pg_catalog.regexp_matches(b.t,
                '([[:alpha:]_][[:alnum:]_$]*)"?[[:space:]]*([(]|/[*]|[-]-)', 'g') AS m(m)
            UNION
            SELECT m.m[1]
            FROM pg_catalog.regexp_matches(b.t, '"([^"]+)"[[:space:]]*([(]|/[*]|[-]-)', 'g')
                AS m(m)
        ) AS n(n)
        JOIN pg_catalog.pg_proc f ON f.proname
            IN (n.n::pg_catalog.name, pg_catalog.lower(n.n COLLATE "C")::pg_catalog.name)
        WHERE r.c = 'p' AND p.oid = r.o AND p.oid >= 16384 AND p.provolatile <> 'i'
            AND l.lanname IN ('sql', 'plpgsql')
        UNION ALL
        -- what a body reads that is more than rows
        SELECT 0, 'r', v.oid, NULL, 'function "' || p.proname || '"', ''
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        CROSS JOIN LATERAL (
            SELECT m.m[1]
            FROM pg_catalog.regexp_matches(p.prosrc, '([[:alpha:]_][[:alnum:]_$]*)', 'g') AS m(m)
            UNION
            SELECT m.m[1] FROM pg_catalog.regexp_matches(p.prosrc, '"([^"]+)"', 'g') AS m(m)
        ) AS n(n)
        JOIN pg_catalog.pg_class v ON v.relname
            IN (n.n::pg_catalog.name, pg_catalog.lower(n.n COLLATE "C")::pg_catalog.name)
        WHERE r.c = 'p' AND p.oid = r.o AND p.oid >= 16384 AND p.provolatile <> 'i'
            AND l.lanname IN ('sql', 'plpgsql') AND v.oid >= 16384
            AND (v.relkind IN ('v', 'f') OR v.relrowsecurity)
    ) AS x(w, c, o, d, via, tree)
    WHERE x.o <> 0 AND (x.c NOT IN ('T', 'U', 'D') OR x.tree <> '')
),
-- What of it differs, and why. Of functions those that are not immutable, unless they are written in
-- SQL or PL/pgSQL and have no word for writing, for the current time, for types that a text may say
-- that in, for what depends on the order of rows or for the system's numbers.
differs(i, w, d, via, what, own, args) AS (
    SELECT r.i, r.w, r.d, r.via,
        CASE WHEN p.oid < 16384 THEN 'calls "'
            WHEN p.prokind NOT IN ('f', 'p') THEN 'calls an aggregate "'
            ELSE 'calls a volatile function "' END || p.proname || '"',
        CASE WHEN p.oid < 16384 THEN p.proname::pg_catalog.text ELSE '' END,
        CASE WHEN p.oid < 16384 AND p.proname = 'age' THEN p.pronargs ELSE 255 END
    FROM reach r
    JOIN pg_catalog.pg_proc p ON p.oid = r.o
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE r.c = 'p' AND CASE
        WHEN p.oid < 16384 THEN (p.provolatile <> 'i' OR p.prokind IN ('a', 'w'))
            -- a name that is asked for is the text's to judge
            AND NOT EXISTS (SELECT FROM named n WHERE n.i = r.i AND n.c = 'p' AND n.o = r.o)
            AND p.proname NOT IN ('suppress_redundant_updates_trigger', 'tsvector_update_trigger',
                'tsvector_update_trigger_column')
        WHEN p.prokind NOT IN ('f', 'p') THEN true
        WHEN p.provolatile = 'i' THEN false
        WHEN l.lanname NOT IN ('sql', 'plpgsql') THEN true
        ELSE p.prosrc ~* (
            '[[:<:]](merge|copy|execute|call|refresh|create|alter|drop|grant|revoke|comment|security'
            || '|do|import|lock|load|prepare|reindex|cluster|vacuum|notify|cursor|limit|offset|fetch'
            || '|tablesample|over|now|today|tomorrow|yesterday|current_date|current_time'
            || '|current_timestamp|localtime|localtimestamp|date|time|timetz|timestamp|timestamptz'
            || '|xmin|xmax|cmin|cmax|ctid|tableoid|oid|tg_relid|information_schema'
            || '|(date|ts|tstz)(multi)?range|dblink[_a-z]*|[a-z_]*_to_xml[a-z_]*)[[:>:]]'
            -- but not as TG_OP says it
            || '|(?<!'')[[:<:]](insert|update|delete|truncate)[[:>:]]'
            || '|[[:<:]]pg_(?!catalog[[:>:]]|trigger_depth[[:>:]])'
            || '|[[:<:]]array[[:space:]]*[(]|[[:<:]]distinct[[:space:]]+on[[:>:]]'
            || '|[[:<:]]for[[:>:]][^;]*[[:<:]]in[[:space:](]+(select|with|values|table)[[:>:]]'
            || '|u&["'']')
            -- what works without being named
            OR EXISTS (
                SELECT
                FROM pg_catalog.pg_operator q
                JOIN pg_catalog.pg_proc f ON f.oid = q.oprcode
                WHERE q.oid >= 16384 AND f.provolatile <> 'i' AND f.oid >= 16384
                    AND pg_catalog.strpos(p.prosrc, q.oprname::pg_catalog.text) > 0
            )
            OR EXISTS (
                SELECT
                FROM pg_catalog.pg_cast q
                JOIN pg_catalog.pg_proc f ON f.oid = q.castfunc
                JOIN pg_catalog.pg_type t ON t.oid IN (q.castsource, q.casttarget)
                WHERE q.oid >= 16384 AND f.provolatile <> 'i'
                    AND pg_catalog.strpos(pg_catalog.lower(p.prosrc), t.typname::pg_catalog.text) > 0
            )
        END
    UNION ALL
    SELECT r.i, r.w, r.d, r.via, x.what, '', 0
    FROM reach r
    CROSS JOIN (VALUES
        ('[{]SQLVALUEFUNCTION :op [0-8][^0-9]', 'reads the time'),
        ('[{]COERCEVIAIO.* :resulttype (10(82|83)|11(14|15|82|83|84|85)|12(66|70)|39(08|09|10|11|12|13)'
            || '|453[345]|615[235])[^0-9]', 'reads a text as a time'),
        (':limit(Count|Offset) [{]|:hasDistinctOn true', 'takes some of several rows'),
        ('[{]WINDOWFUNC |[{]SUBLINK :subLinkType 6[^0-9]', 'depends on the order of rows'),
        (':tablesample [{]', 'takes a sample of a table'),
        (':varattno -[1-9]', 'reads columns of the system''s'),
        (':rowMarks [(]', 'locks rows'),
        ('[{]QUERY :commandType [2-7]', 'writes')
    ) AS x(pattern, what)
    WHERE r.c IN ('T', 'U') AND r.tree ~ x.pattern
    UNION ALL
    SELECT r.i, r.w, r.d, CASE WHEN r.via = '' THEN 'table "' || c.relname || '"' ELSE r.via END,
        CASE WHEN c.relkind = 'f' THEN 'is read from elsewhere'
            ELSE 'reads the system''s own tables' END, '', 0
    FROM reach r
    JOIN pg_catalog.pg_class c ON c.oid = r.o
    WHERE r.c IN ('r', 'w', 'v', 'x', 'z') AND (c.relkind = 'f' OR (c.oid < 16384 AND r.via <> ''))
    UNION ALL
    -- all rules but DO INSTEAD NOTHING, whose number was another one before MERGE
    SELECT r.i, 1, r.d, 'rule "' || w.rulename || '"', 'makes another statement of it', '', 0
    FROM reach r
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.o
    WHERE r.c IN ('w', 'v', 'x') AND w.ev_type <> '1' AND w.ev_enabled <> 'D'
        AND NOT (w.is_instead AND w.ev_qual::pg_catalog.text = '<>' AND w.ev_action::pg_catalog.text
            ~ '^[(][{]QUERY :commandType [67] [^{]*:utilityStmt <> ')
    UNION ALL
    SELECT r.i, 1, r.d, 'column "' || a.attname || '" behind the view', 'is numbered', '', 0
    FROM reach r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.o
    WHERE r.c = 'v' AND a.attnum > 0 AND a.attidentity <> ''
    UNION ALL
    -- any text may become a time by one through input and output
    SELECT w.i, 0, 0::pg_catalog.oid, 'a cast to type "' || t.typname || '"',
        'reads a text as a time', '', 0
    FROM wanted w
    CROSS JOIN pg_catalog.pg_cast x
    JOIN pg_catalog.pg_type t ON t.oid = x.casttarget
    WHERE w.k = 'd' AND x.oid >= 16384 AND x.castmethod = 'i' AND x.castcontext IN ('i', 'a')
        AND t.typcategory = 'D'
),
-- What domains stand on.
base(o, b) AS (
    SELECT a.atttypid, a.atttypid
    FROM named n
    JOIN pg_catalog.pg_attribute a ON a.attrelid = n.o
    WHERE n.c = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT b.o, t.typbasetype
    FROM base b
    JOIN pg_catalog.pg_type t ON t.oid = b.b
    WHERE t.typtype = 'd'
),
columns(i, o, n, attnum, place, attnotnull, attcollation) AS (
    SELECT n.i, n.o, a.attname, a.attnum,
        pg_catalog.row_number() OVER (PARTITION BY n.i ORDER BY a.attnum) - 1, a.attnotnull,
        a.attcollation
    FROM named n
    JOIN pg_catalog.pg_attribute a ON a.attrelid = n.o
    WHERE n.c = 'r' AND a.attnum > 0 AND NOT a.attisdropped
)
SELECT -1, 'p', 0::pg_catalog.int8, pg_catalog.string_agg(pg_catalog.quote_ident(s), ',' ORDER BY at),
    '', ''
FROM path
WHERE s !~ '^pg_temp_'
UNION ALL
SELECT DISTINCT n.i, '+', CASE WHEN n.c <> 'p' THEN 0 WHEN n.o < 16384 THEN 1 ELSE 2 END, '', '', ''
FROM named n
UNION ALL
SELECT c.i, CASE a.attidentity WHEN 'a' THEN 'a' ELSE 'c' END, c.place, c.n::pg_catalog.text,
    pg_catalog.quote_ident(s.nspname) || '.' || CASE
        WHEN t.typcategory = 'A' AND t.typelem <> 0 AND e.typnamespace = t.typnamespace
            THEN pg_catalog.quote_ident(e.typname) || '[]'
        ELSE pg_catalog.quote_ident(t.typname) END,
    CASE WHEN a.attgenerated <> '' THEN NULL
        WHEN a.attidentity <> '' THEN
            'nextval(' || pg_catalog.quote_literal(q.oid::pg_catalog.regclass::pg_catalog.text)
            || '::regclass)'
        WHEN a.atthasdef THEN pg_catalog.pg_get_expr(f.adbin, f.adrelid)
        ELSE pg_catalog.pg_get_expr(d.typdefaultbin, 0) END
FROM columns c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.o AND a.attnum = c.attnum
JOIN pg_catalog.pg_type d ON d.oid = a.atttypid
JOIN base b ON b.o = a.atttypid
JOIN pg_catalog.pg_type t ON t.oid = b.b AND t.typtype <> 'd'
JOIN pg_catalog.pg_namespace s ON s.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
LEFT JOIN LATERAL (
    -- of partitions, from PostgreSQL 17 on, it is the topmost table's
    SELECT g.objid
    FROM (VALUES (c.o), (pg_catalog.pg_partition_root(c.o)::pg_catalog.oid)) AS y(o)
    JOIN pg_catalog.pg_attribute u ON u.attrelid = y.o AND u.attname = a.attname
    JOIN pg_catalog.pg_depend g ON g.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND g.refobjid = y.o AND g.refobjsubid = u.attnum AND g.deptype = 'i'
        AND g.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE a.attidentity <> ''
    ORDER BY y.o <> c.o
    LIMIT 1
) AS q(oid) ON true
UNION ALL
SELECT n.i, 'b', 0, '', '', ''
FROM named n
JOIN pg_catalog.pg_class v ON v.oid = n.o
WHERE n.c = 'r' AND v.relkind IN ('r', 'p') AND NOT v.relrowsecurity
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = n.o)
    AND NOT EXISTS (
        SELECT
        FROM reach r
        WHERE r.i = n.i AND ((r.c = 'p' AND r.o >= 16384) OR r.c IN ('U', 'v'))
    )
UNION ALL
-- Keys. One whose collation or operators are not the column's own finds other rows alike.
SELECT x.i, 'k', 0, x.places, '', ''
FROM (
    SELECT n.i, k.indexrelid, k.indnkeyatts,
        pg_catalog.count(z.oid) AS found,
        pg_catalog.string_agg(c.place::pg_catalog.text, ' ' ORDER BY p.at) AS places
    FROM named n
    JOIN pg_catalog.pg_index k ON k.indrelid = n.o
    JOIN pg_catalog.pg_class v ON v.oid = n.o
    JOIN pg_catalog.pg_class q ON q.oid = k.indexrelid
    JOIN pg_catalog.pg_am m ON m.oid = q.relam
    CROSS JOIN LATERAL pg_catalog.generate_series(0, k.indnkeyatts - 1) AS p(at)
    JOIN columns c ON c.i = n.i AND c.attnum = k.indkey[p.at] AND c.attnotnull
        AND c.attcollation = k.indcollation[p.at]
        -- from PostgreSQL 18 on, rows may be older than that it is not null
        AND NOT EXISTS (
            SELECT
            FROM pg_catalog.pg_constraint s
            WHERE s.conrelid = n.o AND s.contype = 'n' AND NOT s.convalidated
                AND s.conkey = ARRAY[c.attnum]
        )
    JOIN pg_catalog.pg_opclass z ON z.oid = k.indclass[p.at] AND z.opcdefault
    WHERE n.c = 'r' AND k.indisunique AND k.indimmediate AND k.indisvalid AND NOT k.indisexclusion
        AND k.indpred IS NULL AND k.indexprs IS NULL AND m.amname = 'btree' AND k.indnkeyatts <= 8
        AND v.relkind IN ('r', 'p', 'm')
        AND (v.relkind = 'p' OR NOT EXISTS (
            SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = n.o
        ))
    GROUP BY n.i, k.indexrelid, k.indnkeyatts
) AS x
WHERE x.found = x.indnkeyatts
UNION ALL
SELECT DISTINCT r.i, 'u', 0, n.nspname::pg_catalog.text, p.proname::pg_catalog.text, ''
FROM reach r
JOIN pg_catalog.pg_proc p ON p.oid = r.d
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE r.d <> 0
UNION ALL
SELECT DISTINCT d.i, CASE d.w WHEN 0 THEN 'R' WHEN 1 THEN 'W' ELSE 'Z' END, d.args, d.via, d.what, d.own
FROM differs d
WHERE d.d = 0
UNION ALL
SELECT DISTINCT d.i, 'D', d.args, n.nspname::pg_catalog.text, p.proname::pg_catalog.text, d.own
FROM differs d
JOIN pg_catalog.pg_proc p ON p.oid = d.d
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE d.d <> 0
