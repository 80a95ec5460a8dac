"""How names are written, and where they are looked for: quotes, case, schemas, search_path."""

from routing.row import after, another, either, fails, primary, several, standby

SPELLED = [
    standby("SELECT * FROM \"Item\""),
    standby("SELECT i.\"Name\" FROM \"Item\" i"),
    standby("SELECT count(*) FROM ITEM"),
    standby("SELECT count(*) FROM \"item\""),
    standby("SELECT count(*) FROM Public.iTEM"),
    standby("SELECT count(*) FROM \"public\".\"item\""),
    standby("SELECT count(*) FROM public . item"),
    standby("SELECT count(*) FROM public/* x */./* y */item"),
    standby("SELECT \"a column\" FROM \"two words\""),
    standby("SELECT \"insert\" FROM \"update\""),
    standby("SELECT a FROM \"FAST\""),
    primary("SELECT a FROM FAST ORDER BY a"),
    primary("SELECT a FROM \"fast\" ORDER BY a"),
    primary("SELECT a FROM PUBLIC.Fast ORDER BY a"),
    standby("SELECT a FROM switched"),
    primary("SELECT a FROM \"Switched\""),
    standby("SELECT a FROM \"semi;colon\""),
    standby("SELECT a FROM \"dot.ted\""),
    standby("SELECT a FROM \"quo\"\"ted\""),
    primary("SELECT a FROM \"fast;er\""),
    standby("SELECT a FROM größe"),
    standby("SELECT a FROM \"größe\""),
    primary("SELECT a FROM maß"),
    either("SELECT count(*) FROM U&\"it\\0065m\""),
    primary("SELECT count(*) FROM U&\"f\\0061st\""),
    primary("SELECT count(*) FROM U&\"f!0061st\" UESCAPE '!'"),
    # cut at 63 bytes
    standby("SELECT a FROM a23456789_123456789_123456789_123456789_123456789_123456789_123"),
    standby("SELECT a FROM a23456789_123456789_123456789_123456789_123456789_123456789_1234"),
    primary("SELECT a FROM b23456789_123456789_123456789_123456789_123456789_123456789_123"),
    primary("SELECT a FROM b23456789_123456789_123456789_123456789_123456789_123456789_123xyz"),
    standby("SELECT fast.a FROM \"FAST\" AS fast"),
    standby("SELECT fast FROM (SELECT 1) AS s (fast)"),
    standby("SELECT count(*) AS fast FROM item"),
    primary("SELECT \"Lower\"('X')"),
    standby("SELECT Lower('X')"),
    primary("SELECT WRITE_JOURNAL('case')"),
    primary("SELECT \"write_journal\"('quoted')"),
    primary("SELECT U&\"write\\005Fjournal\"('escaped')"),
    primary("SELECT write_journal ('space')"),
    primary("SELECT public.write_journal/* x */('comment')"),
    primary("SELECT public . \"write_journal\"\n('newline')"),
]

SCHEMAS = [
    standby("SELECT place FROM a.same"),
    primary("SELECT place FROM b.same"),
    standby("SELECT place FROM \"C d\".same"),
    primary("SELECT a.same.place FROM a.same, b.same"),
    primary("SELECT place FROM same", error="42P01"),
    standby("SELECT a.which()"),
    primary("SELECT b.which()"),
    standby("SELECT \"C d\".which()"),
    primary("SELECT which()", error="42883"),
]

PATHS = [
    *after("SET search_path = a, public", rows=[
        standby("SELECT place FROM same"), standby("SELECT which()"),
        standby("SELECT count(*) FROM item"), primary("SELECT place FROM b.same"),
        primary("SELECT b.which()"), standby("SELECT 1 <+> 1")]),
    *after("SET search_path = b, public", rows=[
        primary("SELECT place FROM same"), primary("SELECT which()"),
        standby("SELECT count(*) FROM item"), standby("SELECT place FROM a.same"),
        standby("SELECT a.which()"), primary("SELECT 1 <+> 1"),
        primary("WITH x AS (SELECT place FROM same) SELECT * FROM x")]),
    *after("SET search_path TO b, a", rows=[primary("SELECT place FROM same")]),
    *after("SET search_path TO a, b", rows=[standby("SELECT place FROM same")]),
    *after("SET search_path TO nowhere, a, b", rows=[standby("SELECT place FROM same")]),
    *after("SET SESSION search_path = 'b', 'public'", rows=[primary("SELECT place FROM same")]),
    *after("SET search_path = \"C d\", b", rows=[
        standby("SELECT place FROM same"), standby("SELECT which()")]),
    *after("SET search_path = 'C d', b", rows=[standby("SELECT place FROM same")]),
    *after("SET search_path = 'a, b'", rows=[
        primary("SELECT place FROM same", error="42P01")]),
    *after("SET SCHEMA 'b'", rows=[primary("SELECT place FROM same")]),
    *after("SET SCHEMA 'a'", rows=[standby("SELECT place FROM same")]),
    *after("SET search_path = b", "SET search_path = a", rows=[standby("SELECT place FROM same")]),
    *after("SET search_path = b", "RESET search_path", rows=[
        primary("SELECT place FROM same", error="42P01")]),
    *after("SET search_path = a", "SET search_path TO DEFAULT", rows=[
        primary("SELECT place FROM same", error="42P01")]),
    *after("SET search_path = b", "RESET ALL", rows=[
        standby("SELECT count(*) FROM item")]),
    *after("SET search_path = b", "DISCARD ALL", rows=[standby("SELECT count(*) FROM item")]),
    *after("SET search_path = a", "INSERT INTO public.journal (what) VALUES ('x')", rows=[
        standby("SELECT place FROM same")]),
    *after("SELECT set_config('search_path', 'b', false)", rows=[
        primary("SELECT place FROM same")]),
    *after("SELECT set_config('search_path', 'a', false)", rows=[
        either("SELECT place FROM same")]),
    *after("SELECT set_config('search_path', 'b', true)", rows=[
        primary("SELECT place FROM same", error="42P01")]),
    *after("SELECT set_path('b')", rows=[primary("SELECT place FROM same")]),
    *after("SELECT set_path('a')", rows=[either("SELECT place FROM same")]),
    *after("DO $$ BEGIN SET search_path = b; END $$", rows=[primary("SELECT place FROM same")]),
    *after("BEGIN", "SET LOCAL search_path = b", rows=[primary("SELECT place FROM same")]),
    *after("BEGIN", "SET LOCAL search_path = a", rows=[either("SELECT place FROM same")]),
    *after("BEGIN", "SET LOCAL search_path = b", "COMMIT", rows=[
        primary("SELECT place FROM same", error="42P01"), standby("SELECT count(*) FROM item")]),
    *after("SET search_path = a", "BEGIN", "SET LOCAL search_path = b", "COMMIT", rows=[
        standby("SELECT place FROM same")]),
    *after("SET search_path = a", "BEGIN", "SET search_path = b", "ROLLBACK", rows=[
        standby("SELECT place FROM same")]),
    *after("SET search_path = b", "BEGIN", "SET search_path = a", "ROLLBACK", rows=[
        primary("SELECT place FROM same")]),
    *after("SET search_path = a", "BEGIN", "SET search_path = b", "COMMIT", rows=[
        primary("SELECT place FROM same")]),
    *after("SET search_path = a", "BEGIN", "SAVEPOINT s", "SET search_path = b", "ROLLBACK TO s",
           rows=[either("SELECT place FROM same")]),
    *after("SET search_path = b", "BEGIN", "SAVEPOINT s", "SET search_path = a", "ROLLBACK TO s",
           "COMMIT", rows=[primary("SELECT place FROM same")]),
    *after("SET search_path = b", "BEGIN", "SET search_path = a", fails("SELECT 1/0"), "COMMIT",
           rows=[primary("SELECT place FROM same")]),
    *after(several("BEGIN; SET LOCAL search_path = b"), rows=[primary("SELECT place FROM same")]),
    # found at once in pg_catalog, whatever else has the name, unless the path says otherwise
    *after("SET search_path = odd, public", rows=[
        either("SELECT random() < 1"), either("SELECT length(version()) > 3")]),
    *after("SET search_path = odd, pg_catalog, public", rows=[
        primary("SELECT random()"), standby("SELECT version()"), primary("SELECT odd.random()"),
        either("SELECT pg_catalog.random() < 1"), either("SELECT nextval(1)"),
        primary("SELECT nextval('counter'::regclass) > 0")]),
    *after("SET search_path = public, odd", rows=[
        primary("SELECT lower(p) FROM pairs ORDER BY id"), primary("SELECT lower(ROW(1, 2)::pair)"),
        standby("SELECT upper(p) FROM pairs ORDER BY id"), either("SELECT lower('X')"),
        standby("SELECT upper('x')"), primary("SELECT p + p FROM pairs ORDER BY id"),
        either("SELECT 1 + 1"), either("SELECT 1 OPERATOR(pg_catalog.+) 1"),
        primary("SELECT sum(p + p) FROM pairs")]),
    primary("SELECT odd.lower(p) FROM pairs ORDER BY id"),
    primary("SELECT p OPERATOR(odd.+) p FROM pairs ORDER BY id"),
    *after("SET search_path = pg_temp, a", rows=[either("SELECT place FROM same")]),
    *after("SET search_path = ''", rows=[
        standby("SELECT count(*) FROM public.item"),
        primary("SELECT count(*) FROM item", error="42P01")]),
    *after("SET search_path = pg_catalog", rows=[
        standby("SELECT count(*) FROM public.item"), primary("SELECT public.write_sql()")]),
    # another session's path is its own
    *after("SET search_path = a", another("SET search_path = b"), another("SELECT place FROM same"),
           rows=[standby("SELECT place FROM same")]),
    *after("SET search_path = b", another("SET search_path = a"), another("SELECT place FROM same"),
           rows=[primary("SELECT place FROM same")]),
]

DEFAULTS = [
    primary("SELECT place FROM same", user="routing_path"),
    primary("SELECT which()", user="routing_path"),
    standby("SELECT count(*) FROM item", user="routing_path"),
    standby("SELECT place FROM a.same", user="routing_path"),
    primary("SELECT * FROM item_view", user="routing_path"),
    *after("SET search_path = a", rows=[
        standby("SELECT place FROM same"), standby("SELECT which()")], user="routing_path"),
    *after("SET search_path = a", "RESET search_path", rows=[
        primary("SELECT place FROM same")], user="routing_path"),
    *after("SET search_path = a", "SET search_path TO DEFAULT", rows=[
        primary("SELECT place FROM same")], user="routing_path"),
    *after("SET search_path = a", "DISCARD ALL", rows=[
        primary("SELECT place FROM same")], user="routing_path"),
    primary("SELECT place FROM same", database="path"),
    primary("SELECT which()", database="path"),
    standby("SELECT place FROM a.same", database="path"),
    primary("SELECT * FROM item_view", database="path"),
    *after("SET search_path = a", rows=[standby("SELECT place FROM same")], database="path"),
    standby("SELECT place FROM same", options="-c search_path=a"),
    primary("SELECT place FROM same", options="-c search_path=b"),
    primary("SELECT place FROM same", options="--search_path=b,public"),
    standby("SELECT which()", options="-csearch_path=a,public"),
    standby("SELECT place FROM same", options="-c search_path=a", user="routing_path"),
    standby("SELECT place FROM same", options="-c search_path=a", database="path"),
    *after("SET search_path = a", "RESET search_path", rows=[
        primary("SELECT place FROM same")], options="-c search_path=b"),
    # "$user"
    primary("SELECT place FROM mine", user="routing_user"),
    standby("SELECT place FROM mine"),
    standby("SELECT place FROM public.mine", user="routing_user"),
    *after("SET ROLE routing_user", rows=[primary("SELECT place FROM mine")]),
    *after("SET SESSION AUTHORIZATION routing_user", rows=[primary("SELECT place FROM mine")]),
    *after("SET search_path = public, \"$user\"", rows=[
        standby("SELECT place FROM mine")], user="routing_user"),
]

STRINGS = [
    *after("SET standard_conforming_strings = off", "SET escape_string_warning = off", rows=[
        standby(r"SELECT 'it\'s', id FROM item WHERE id = 1"),
        primary(r"SELECT 'a\'', nextval('counter') > 0, '\''"),
        primary(r"SELECT 'a\' FROM item --', a FROM fast ORDER BY a"),
        standby(r"SELECT E'\'' || 'x'"), primary(r"SELECT '\\' FROM advisory_view")]),
    standby(r"SELECT 'a\' FROM item --' FROM tree WHERE id = 1"),
    standby(r"SELECT 'a\', count(*) FROM item --'"),
    *after("SET client_encoding = 'LATIN1'", rows=[standby("SELECT count(*) FROM item")]),
    *after("SET quote_all_identifiers = on", rows=[standby("SELECT count(*) FROM item")]),
]

ROWS = SPELLED + SCHEMAS + PATHS + DEFAULTS + STRINGS
