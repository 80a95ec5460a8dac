-- Which tables are written, when those of question.sql are: stands in front of tables.sql.
--
-- What is written: w relations, in which way (v) when the name is written in that one (e); r those
-- that are read for it; p functions that are called; t types of columns; ! a rule.
touched(i, e, c, o, v) AS (
    SELECT n.i, g.e, 'w', n.o, g.e
    FROM named n
    CROSS JOIN (VALUES (0), (1), (2), (3)) AS g(e)
    WHERE n.c = 'w'
    UNION
    SELECT t.i, t.e, x.c, x.o, x.v
    FROM touched t
    CROSS JOIN LATERAL (
        -- INSERT does not go on to children that are no partitions
        SELECT 'w', h.inhrelid, t.v
        FROM pg_catalog.pg_inherits h
        JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid
        WHERE t.c = 'w' AND h.inhparent = t.o AND (t.v <> 0 OR k.relispartition)
        UNION ALL
        -- rows that move to another partition
        SELECT 'w', k.oid, g.v
        FROM pg_catalog.pg_class k
        CROSS JOIN (VALUES (0), (2)) AS g(v)
        WHERE t.c = 'w' AND t.v = 1 AND k.oid = t.o AND k.relkind = 'p'
        UNION ALL
        -- rows that change with those of the table; TRUNCATE ... CASCADE asks for no action
        SELECT 'w', w.conrelid,
            CASE WHEN t.v = 3 THEN 3 WHEN t.v = 2 AND w.confdeltype = 'c' THEN 2 ELSE 1 END
        FROM pg_catalog.pg_constraint w
        WHERE t.c = 'w' AND w.contype = 'f' AND w.confrelid = t.o
            AND (t.v = 3 OR (t.v = 1 AND w.confupdtype IN ('c', 'n', 'd'))
                OR (t.v = 2 AND w.confdeltype IN ('c', 'n', 'd')))
        UNION ALL
        SELECT '!', 1::pg_catalog.oid, t.v
        FROM pg_catalog.pg_rewrite w
        WHERE t.c = 'w' AND w.ev_class = t.o AND w.ev_enabled <> 'D'
            AND w.ev_type::pg_catalog.text = CASE t.v WHEN 0 THEN '3' WHEN 1 THEN '2'
                WHEN 2 THEN '4' ELSE '' END
            -- all but DO INSTEAD NOTHING, whose number was another one before MERGE
            AND NOT (w.ev_qual::pg_catalog.text = '<>' AND w.ev_action::pg_catalog.text
                ~ '^[(][{]QUERY :commandType [67] [^{]*:utilityStmt <> ')
        UNION ALL
        -- triggers; a partition's own copies pass for internal before PostgreSQL 15
        SELECT 'p', w.tgfoid, t.v
        FROM pg_catalog.pg_trigger w
        WHERE t.c = 'w' AND w.tgrelid = t.o AND w.tgfoid >= 16384 AND w.tgenabled <> 'D'
            AND (w.tgtype::pg_catalog.int4 & CASE t.v WHEN 0 THEN 4 WHEN 1 THEN 16 WHEN 2 THEN 8
                ELSE 32 END) <> 0
        UNION ALL
        -- columns' domains, and what those stand on
        SELECT 't', w.atttypid, t.v
        FROM pg_catalog.pg_attribute w
        WHERE t.c = 'w' AND t.v < 2 AND w.attrelid = t.o AND w.attnum > 0 AND w.atttypid >= 16384
        UNION ALL
        SELECT 't', w.typbasetype, t.v
        FROM pg_catalog.pg_type w
        WHERE t.c = 't' AND w.oid = t.o AND w.typtype = 'd' AND w.typbasetype >= 16384
        UNION ALL
        SELECT CASE WHEN m.m[1] <> 'relid' THEN 'p' ELSE y.c END,
            CASE m.m[1] WHEN 'opno' THEN COALESCE((
                    SELECT q.oprcode::pg_catalog.oid
                    FROM pg_catalog.pg_operator q
                    WHERE q.oid = m.m[2]::pg_catalog.oid AND q.oid >= 16384
                ), 0::pg_catalog.oid)
                ELSE m.m[2]::pg_catalog.oid END,
            t.v
        FROM (
            SELECT w.ev_action::pg_catalog.text, v.relkind = 'v' AND t.c = 'w' -- a view's query
            FROM pg_catalog.pg_rewrite w
            JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
            WHERE t.c IN ('w', 'r') AND w.ev_class = t.o AND w.ev_type = '1'
                AND (v.relkind = 'v' OR (v.relkind = 'm' AND t.c = 'w'))
            UNION ALL
            SELECT pg_catalog.concat(w.polqual, w.polwithcheck), false
            FROM pg_catalog.pg_policy w
            JOIN pg_catalog.pg_class v ON v.oid = w.polrelid
            WHERE t.c IN ('w', 'r') AND w.polrelid = t.o AND v.relrowsecurity
            UNION ALL
            SELECT w.adbin::pg_catalog.text, false -- defaults
            FROM pg_catalog.pg_attrdef w
            WHERE t.c = 'w' AND t.v < 2 AND w.adrelid = t.o
            UNION ALL
            SELECT pg_catalog.concat(w.indexprs, w.indpred), false
            FROM pg_catalog.pg_index w
            WHERE t.c = 'w' AND w.indrelid = t.o
            UNION ALL
            SELECT w.partexprs::pg_catalog.text, false
            FROM pg_catalog.pg_partitioned_table w
            WHERE t.c = 'w' AND w.partrelid = t.o
            UNION ALL
            SELECT w.tgqual::pg_catalog.text, false -- triggers' WHEN
            FROM pg_catalog.pg_trigger w
            WHERE t.c = 'w' AND w.tgrelid = t.o
            UNION ALL
            SELECT w.conbin::pg_catalog.text, false -- checks of tables and domains
            FROM pg_catalog.pg_constraint w
            WHERE (t.c = 'w' AND w.conrelid = t.o AND w.contype = 'c')
                OR (t.c = 't' AND w.contypid = t.o)
            UNION ALL
            SELECT w.typdefaultbin::pg_catalog.text, false
            FROM pg_catalog.pg_type w
            WHERE t.c = 't' AND w.oid = t.o
        ) AS z(tree, through)
        CROSS JOIN LATERAL pg_catalog.regexp_matches(z.tree,
            ':(relid|funcid|aggfnoid|winfnoid|opno) ([0-9]+)', 'g') AS m(m)
        CROSS JOIN LATERAL (SELECT 'r' UNION ALL SELECT 'w' WHERE z.through) AS y(c)
    ) AS x(c, o, v)
    WHERE x.o <> 0
)
