"""Functions, operators, casts, domains, aggregates: what they do is in the catalog only."""

from routing.row import after, at_last, either, primary, standby

FUNCTIONS = [
    standby("SELECT read_stable()"),
    standby("SELECT read_plpgsql()"),
    standby("SELECT read_atomic()"),
    standby("SELECT read_return(1)"),
    standby("SELECT public.read_stable()"),
    standby("SELECT add_up(1, 2)"),
    standby("SELECT add_up(id, 1) FROM item WHERE add_up(id, 0) < 3 ORDER BY id"),
    standby("SELECT id FROM read_rows(2)"),
    standby("SELECT r.name FROM read_table(2) r"),
    standby("SELECT (read_rows(1)).name"),
    standby("SELECT i.id, r.id FROM item i, LATERAL read_rows(i.id) r WHERE i.id < 3 "
            "ORDER BY 1, 2"),
    standby("SELECT * FROM ROWS FROM (read_table(2), generate_series(1, 3)) x"),
    standby("WITH x AS (SELECT read_stable() AS n) SELECT n FROM x"),
    standby("SELECT here()"),
    standby("SELECT read_stable(), here(), add_up(1, 1), count(*) FROM item"),
    standby("SELECT add_up(b.x, b.y) FROM (VALUES (1, 2)) b (x, y)"),
    primary("SELECT read_volatile()"),
    primary("SELECT write_journal('x')"),
    primary("SELECT write_journal(what => 'x')"),
    primary("SELECT write_journal(what := 'x')"),
    primary("SELECT write_sql()"),
    primary("SELECT write_atomic()"),
    primary("SELECT * FROM write_rows()"),
    primary("SELECT write_rows()"),
    primary("SELECT * FROM item i LEFT JOIN write_rows() w ON w = i.id WHERE i.id = 1"),
    primary("SELECT * FROM ROWS FROM (generate_series(1, 2), write_rows()) x"),
    primary("SELECT x FROM item, LATERAL (SELECT write_journal(name)) l (x) WHERE id = 1"),
    primary("SELECT id FROM item WHERE write_journal(name) = 1 ORDER BY id"),
    primary("SELECT id FROM item ORDER BY write_journal(name), id"),
    primary("SELECT CASE WHEN true THEN write_journal('x') END"),
    primary("SELECT ARRAY[write_journal('x')], ROW(write_journal('y')), (write_journal('z'))"),
    primary("SELECT COALESCE(NULL, write_journal('x'))"),
    primary("SELECT lower(write_journal('x')::text)"),
    primary("SELECT add_up(1, write_journal('x'))"),
    primary("SELECT 1 IN (SELECT write_journal('x'))"),
    primary("VALUES (1), (write_journal('x'))"),
    primary("SELECT 1 UNION SELECT write_journal('x')"),
    primary("SELECT count(*) OVER (ORDER BY write_journal('x'))"),
    primary("SELECT sum(id) OVER w FROM tree WINDOW w AS (PARTITION BY write_journal('w')) "
            "LIMIT 1"),
    primary("SELECT item_id, count(*) FROM part_of GROUP BY GROUPING SETS ((item_id), "
            "(write_journal('g')), ()) ORDER BY 1, 2"),
    primary("SELECT 1 LIMIT write_journal('x')"),
    primary("SELECT x.* FROM XMLTABLE('/r' PASSING xmlelement(name r, write_journal('x')) "
            "COLUMNS n int PATH '.') x"),
    primary("SELECT substring('abc' FROM write_journal('x') FOR 1)"),
    primary("SELECT id FROM item TABLESAMPLE system (100 * write_journal('x')) ORDER BY id"),
    # overloads
    primary("SELECT pick(1)"),
    standby("SELECT pick(1, 2)"),
    primary("SELECT pick(pick(1, 2))"),
    primary("SELECT pick(1, pick(2))"),
    standby("SELECT pick(1, pick(2, 3))"),
    primary("SELECT typed('x')"),
    primary("SELECT typed('x'::text)"),
    either("SELECT typed(1)"),
    primary("SELECT optional(1)"),
    primary("SELECT optional(1, 2)"),
    standby("SELECT optional(1, 2, 3)"),
    standby("SELECT default_stable()"),
    standby("SELECT default_stable(1)"),
    primary("SELECT default_write(1)"),
    either("SELECT default_write(1, 2)"),
    primary("SELECT many_write(1, 2, 3)"),
    primary("SELECT many_write(VARIADIC ARRAY[1, 2])"),
    standby("SELECT many('a', 'b', 'c')"),
    standby("SELECT many('a')"),
    # a function of a row, written as if it were a column
    at_last("SELECT i.item_note FROM item i WHERE id = 1"),
    primary("SELECT item_note(i) FROM item i WHERE id = 1"),
    at_last("SELECT (i).item_note FROM item i WHERE id = 1"),
    at_last("SELECT item.item_note FROM item WHERE id = 2"),
    standby("SELECT i.item_label FROM item i WHERE id = 1"),
    standby("SELECT item_label(i) FROM item i WHERE id = 1"),
    # what they read is told by their body only
    at_last("SELECT read_fast()"),
    at_last("SELECT read_fast_atomic()"),
    primary("SELECT make_temp()"),
    primary("SELECT set_path('a')"),
]

OPERATORS = [
    primary("SELECT 1 ==> 2"),
    primary("SELECT id ==> 1 FROM item ORDER BY id"),
    primary("SELECT !! 3"),
    primary("SELECT 1 OPERATOR(public.==>) 2"),
    primary("SELECT id FROM item WHERE id ==> 1 > 2 ORDER BY id"),
    primary("SELECT 1 + !!2"),
    primary("SELECT 1 ==>/* x */ 2"),
    primary("SELECT 5 BETWEEN 1 AND 1 ==> 7"),
    standby("SELECT 3 |-| 2"),
    standby("SELECT id |-| 1 FROM item ORDER BY id"),
    standby("SELECT 3 OPERATOR(a.<+>) 2"),
    primary("SELECT 3 OPERATOR(b.<+>) 2"),
    at_last("SELECT 1 <+> 2", error="42883"),
    standby("SELECT 1 || 'x', -2, @ -3, |/ 4.0, 2 ^ 3, 7 % 4, ~ 1, 1 # 2, 1 << 2"),
    standby("SELECT 'abc' ^@ 'a', 'abc' ~~ 'a%', 'abc' !~* 'B'"),
    standby("SELECT '==>', \"for\" FROM \"update\" -- ==>"),
    primary("SELECT sum_write(id) FROM item"),
    primary("SELECT sum_write(id) OVER (ORDER BY id) FROM item"),
    primary("SELECT sum_write(id) FILTER (WHERE id > 2) FROM item"),
    primary("SELECT sum_end(id) FROM item"),
    standby("SELECT sum_pure(id) FROM item"),
    standby("SELECT sum_pure(id) OVER (ORDER BY id) FROM item"),
]

CASTS = [
    primary("SELECT 1::loud"),
    primary("SELECT CAST(1 AS loud)"),
    primary("SELECT id::public.loud FROM item ORDER BY id"),
    primary("SELECT id::\"loud\" FROM item ORDER BY id"),
    primary("SELECT loud_of(1)"),
    primary("SELECT loud(1)", error="42883"),
    standby("SELECT 1::quiet"),
    standby("SELECT CAST(id AS public.quiet) FROM item ORDER BY id"),
    standby("SELECT 'sad'::mood, mood 'happy', CAST('sad' AS mood)"),
    standby("SELECT ROW(1, 2)::pair, (p).x FROM pairs ORDER BY id"),
    primary("SELECT 'x'::noted"),
    primary("SELECT noted 'x'"),
    primary("SELECT CAST(name AS noted) FROM item ORDER BY id"),
    primary("SELECT 'x'::noted_again"),
    primary("SELECT ARRAY['x']::noted[]"),
    at_last("SELECT ROW('x', 1)::holder"),
    at_last("SELECT '(x,1)'::holder"),
    at_last("SELECT (json_populate_record(NULL::holder, '{\"n\": \"x\"}')).n"),
    primary("SELECT * FROM json_to_record('{\"n\": \"x\"}') AS r (n noted)"),
    primary("SELECT x.n FROM XMLTABLE('/r' PASSING ('<r>x</r>'::xml) "
            "COLUMNS n noted PATH '.') x"),
    standby("SELECT 'x'::short"),
    standby("SELECT 5::small, CAST(7 AS small)"),
    standby("SELECT '{1,2}'::int[], 1::float8::numeric(5, 2), '1'::bit(3), 'x'::varchar(3)"),
    either("SELECT 'toolong'::short", error="23514"),
    *after("SET search_path = b", rows=[
        primary("SELECT 1::public.loud"), at_last("SELECT 1::loud", error="42704")]),
]

# Session state that a later statement shows.
STATES = [
    *after("SELECT setseed(0.5)", rows=[primary("SELECT random()")]),
    *after("SELECT set_config('work_mem', '6MB', false)", rows=[
        either("SELECT current_setting('work_mem')"), either("SHOW work_mem")]),
    *after("SELECT set_config('my.name', 'x', false)", rows=[
        either("SELECT current_setting('my.name')")]),
    *after("BEGIN", "SELECT set_config('my.name', 'x', true)", rows=[
        either("SELECT current_setting('my.name')")]),
    *after("SELECT lock_it()", rows=[
        primary("SELECT pg_advisory_unlock(8)"),
        primary("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 8 "
                "AND pid = pg_backend_pid()")]),
]

ROWS = FUNCTIONS + OPERATORS + CASTS + STATES
