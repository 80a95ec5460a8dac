-- What a database has, a row each: what it is, and what it says (compare_schema.c). The search path
-- is empty, so that names are qualified. PostgreSQL 12 to 18. What belongs to an extension is told
-- by the extension alone.
WITH own(oid, nspname) AS (
    SELECT n.oid, n.nspname
    FROM pg_namespace AS n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
),
members(class, oid) AS (
    SELECT e.classid, e.objid FROM pg_depend AS e WHERE e.deptype = 'e'
),
relations(oid, relname, relkind, q) AS (
    SELECT c.oid, c.relname, c.relkind, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    FROM pg_class AS c
    JOIN own AS n ON n.oid = c.relnamespace
    WHERE c.relpersistence <> 't'
        AND NOT EXISTS (SELECT FROM members AS m WHERE m.oid = c.oid AND m.class = 'pg_class'::regclass)
),
found(k, v) AS (
    SELECT 'database', concat_ws(' ', pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)
    FROM pg_database AS d
    WHERE d.datname = current_database()
    UNION ALL
    SELECT 'schema ' || quote_ident(n.nspname), '' FROM own AS n
    UNION ALL
    SELECT 'extension ' || quote_ident(e.extname), e.extversion FROM pg_extension AS e
    UNION ALL
    SELECT CASE r.relkind WHEN 'r' THEN 'table ' WHEN 'p' THEN 'table ' WHEN 'v' THEN 'view '
            WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence ' WHEN 'f' THEN 'foreign table '
            ELSE 'type ' END || r.q,
        concat_ws(' ', c.relkind::text, c.relpersistence::text, c.relrowsecurity::text,
            CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
            pg_get_expr(c.relpartbound, c.oid),
            CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)
    FROM relations AS r
    JOIN pg_class AS c ON c.oid = r.oid
    WHERE r.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    UNION ALL
    SELECT 'column ' || r.q || '.' || quote_ident(a.attname),
        concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
            a.attidentity::text, a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid))
    FROM relations AS r
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT 'index ' || r.q,
        concat_ws(' ', pg_get_indexdef(r.oid), CASE WHEN NOT i.indisvalid THEN 'invalid' END)
    FROM relations AS r
    JOIN pg_index AS i ON i.indexrelid = r.oid
    UNION ALL
    SELECT 'constraint ' || quote_ident(c.conname) || ' of ' || COALESCE(r.q, format_type(c.contypid, NULL)),
        concat_ws(' ', pg_get_constraintdef(c.oid), CASE WHEN NOT c.convalidated THEN 'not valid' END)
    FROM pg_constraint AS c
    JOIN own AS n ON n.oid = c.connamespace
    LEFT JOIN relations AS r ON r.oid = c.conrelid
    WHERE c.contype IN ('c', 'f', 'p', 'u', 'x') AND (c.conrelid = 0 OR r.oid IS NOT NULL)
    UNION ALL
    SELECT 'trigger ' || quote_ident(t.tgname) || ' of ' || r.q,
        pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
    FROM relations AS r
    JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 'policy ' || quote_ident(p.polname) || ' of ' || r.q,
        concat_ws(' ', p.polcmd::text, pg_get_expr(p.polqual, p.polrelid),
            pg_get_expr(p.polwithcheck, p.polrelid))
    FROM relations AS r
    JOIN pg_policy AS p ON p.polrelid = r.oid
    UNION ALL
    SELECT 'rule ' || quote_ident(w.rulename) || ' of ' || r.q, pg_get_ruledef(w.oid)
    FROM relations AS r
    JOIN pg_rewrite AS w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'
    UNION ALL
    SELECT 'function ' || quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '('
            || pg_get_function_identity_arguments(p.oid) || ')',
        concat_ws(' ', p.provolatile::text, p.prosecdef::text, pg_get_function_result(p.oid), p.prosrc,
            p.proconfig::text)
    FROM pg_proc AS p
    JOIN own AS n ON n.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM members AS m WHERE m.oid = p.oid AND m.class = 'pg_proc'::regclass)
    UNION ALL
    SELECT 'type ' || quote_ident(n.nspname) || '.' || quote_ident(t.typname),
        concat_ws(' ', t.typtype::text,
            CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END, t.typdefault,
            (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
                FROM pg_enum AS e WHERE e.enumtypid = t.oid))
    FROM pg_type AS t
    JOIN own AS n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('d', 'e', 'r')
        AND NOT EXISTS (SELECT FROM members AS m WHERE m.oid = t.oid AND m.class = 'pg_type'::regclass)
    UNION ALL
    SELECT 'limits of sequence ' || r.q,
        concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
            s.seqcache, s.seqcycle)
    FROM relations AS r
    JOIN pg_sequence AS s ON s.seqrelid = r.oid
)
SELECT f.k, f.v, f.k FROM found AS f ORDER BY f.k COLLATE "C", f.v COLLATE "C"
