-- What a server of logical replication says of the tables of this database: rows as
-- include/cluster/carried.h has them: kind, at, slot, name, print, oid, full, alone, leaves. Asked
-- are the main node (of its publications and slots) and subscribers (of their subscriptions), by the
-- same text: what a server is not, it has nothing to say of. Every name is written with its schema.
--
-- A subscription that is disabled, or has not caught up with a table, has no slot for it. What is
-- left out counts against a table, too: row security, triggers that fire for replicated changes,
-- columns of types that are somebody's own, and what is not permanent.
WITH RECURSIVE rels(o, k, name, print) AS (
    SELECT c.oid, c.relkind,
        pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
        pg_catalog.concat_ws('|', pg_catalog.pg_get_userbyid(c.relowner), c.relacl::pg_catalog.text,
            pg_catalog.pg_get_userbyid(n.nspowner), n.nspacl::pg_catalog.text, a.t)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', pg_catalog.quote_ident(w.attname),
                pg_catalog.format_type(w.atttypid, w.atttypmod), l.collname, l.collnamespace = 11,
                w.attgenerated, CASE WHEN w.attgenerated <> '' THEN
                    pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, w.attacl::pg_catalog.text),
                ';' ORDER BY w.attnum),
            pg_catalog.max(w.atttypid) FILTER (WHERE w.atttypid >= 16384)
        FROM pg_catalog.pg_attribute w
        LEFT JOIN pg_catalog.pg_collation l ON l.oid = w.attcollation
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = w.attrelid AND d.adnum = w.attnum
        WHERE w.attrelid = c.oid AND w.attnum > 0 AND NOT w.attisdropped
    ) AS a(t, own)
    WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
        AND NOT c.relrowsecurity AND a.own IS NULL
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_trigger g
            WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled IN ('A', 'R')
        )
),
alone(o) AS (
    SELECT r.o
    FROM rels r
    WHERE r.k = 'p' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.o)
),
tree(root, o) AS (
    SELECT r.o, r.o
    FROM rels r
    WHERE EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.o)
    UNION
    SELECT t.root, i.inhrelid
    FROM tree t
    JOIN pg_catalog.pg_inherits i ON i.inhparent = t.o
),
leaves(root, names, oids) AS (
    SELECT t.root,
        pg_catalog.string_agg(n.nspname || '.' || c.relname, ',' ORDER BY n.nspname, c.relname),
        pg_catalog.string_agg(c.oid::pg_catalog.text, ' ')
    FROM tree t
    JOIN pg_catalog.pg_class c ON c.oid = t.o
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind <> 'p'
    GROUP BY t.root
)
SELECT 's'::pg_catalog.text, ''::pg_catalog.text, ''::pg_catalog.text, ''::pg_catalog.text,
    pg_catalog.md5(pg_catalog.concat_ws('|',
        pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
        (SELECT pg_catalog.string_agg(s.name || '=' || s.setting, ',' ORDER BY s.name)
        FROM pg_catalog.pg_settings s
        WHERE s.name IN ('TimeZone', 'DateStyle', 'IntervalStyle', 'lc_monetary', 'lc_numeric',
            'lc_time', 'default_text_search_config', 'bytea_output', 'extra_float_digits',
            'xmlbinary', 'xmloption', 'search_path', 'standard_conforming_strings', 'array_nulls',
            'default_transaction_isolation', 'quote_all_identifiers', 'transform_null_equals',
            'timezone_abbreviations', 'backslash_quote')),
        (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', CASE WHEN x.setrole <> 0 THEN
                pg_catalog.pg_get_userbyid(x.setrole) END, x.setdatabase <> 0,
                x.setconfig::pg_catalog.text), ';' ORDER BY CASE WHEN x.setrole <> 0 THEN
                pg_catalog.pg_get_userbyid(x.setrole) END, x.setdatabase <> 0)
        FROM pg_catalog.pg_db_role_setting x
        WHERE x.setdatabase IN (0, d.oid)))),
    0::pg_catalog.int8, false, false, ''::pg_catalog.text
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT 'l', s.slot_name, '', '', '', 0, false, false, ''
FROM pg_catalog.pg_replication_slots s
WHERE s.database = pg_catalog.current_database() AND s.plugin = 'pgoutput' AND s.active
UNION ALL
SELECT 't', p.pubname, '', r.name, pg_catalog.md5(r.print), r.o::pg_catalog.int8,
    p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
    AND (pg_catalog.to_jsonb(t) ->> 'rowfilter') IS NULL
    AND CASE WHEN pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(t) -> 'attnames') = 'array' THEN
        pg_catalog.jsonb_array_length(pg_catalog.to_jsonb(t) -> 'attnames') >= (
            SELECT pg_catalog.count(*)
            FROM pg_catalog.pg_attribute w
            WHERE w.attrelid = r.o AND w.attnum > 0 AND NOT w.attisdropped AND w.attgenerated = ''
        ) ELSE true END,
    r.o IN (SELECT a.o FROM alone a), ''
FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
JOIN rels r ON r.name
    = pg_catalog.quote_ident(t.schemaname) || '.' || pg_catalog.quote_ident(t.tablename)
UNION ALL
SELECT 'u', p.name, CASE WHEN s.subenabled AND x.srsubstate = 'r' THEN
        COALESCE(s.subslotname, '')::pg_catalog.text ELSE '' END,
    r.name, pg_catalog.md5(r.print), 0, false, r.o IN (SELECT a.o FROM alone a), ''
FROM pg_catalog.pg_subscription s
JOIN pg_catalog.pg_subscription_rel x ON x.srsubid = s.oid
JOIN rels r ON r.o = x.srrelid
CROSS JOIN LATERAL pg_catalog.unnest(s.subpublications) AS p(name)
WHERE s.subdbid = (
        SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
    )
UNION ALL
SELECT 'p', '', '', r.name, pg_catalog.md5(pg_catalog.concat_ws('|', r.print, l.names)),
    r.o::pg_catalog.int8, false, false, l.oids
FROM leaves l
JOIN rels r ON r.o = l.root
