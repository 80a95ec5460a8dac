-- Appended to question.sql in logical replication: which relation a name stands for (134217728: the
-- text is its number), and what another server need not have by the same name: views and the like,
-- functions, operators and types of somebody's own (8192: enum catalog_flag).
UNION ALL
SELECT n.i, 134217728, n.o::pg_catalog.text
FROM named n
WHERE n.c = 'r'
UNION ALL
SELECT r.i, 8192, ''
FROM reach r
LEFT JOIN pg_catalog.pg_class c ON r.c = 'r' AND c.oid = r.o
WHERE r.o >= 16384 AND (r.c IN ('p', 'o', 't') OR (r.c = 'r' AND (c.relkind NOT IN ('r', 'p')
    -- functions of a row, which may be written as its columns are
    OR EXISTS (
        SELECT
        FROM pg_catalog.pg_proc p
        WHERE p.oid >= 16384 AND p.pronargs > 0 AND p.proargtypes[0] = c.reltype
    ))))
