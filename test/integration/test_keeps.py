"""pool_mode = auto: a session keeps its server connection while it has left something there, and no
longer."""

import struct

import pytest

import raw
from server_log import ServerLog
from waiting import wait_for

pytestmark = pytest.mark.one_engine
QUESTION = "SELECT ''::pg_catalog.text"


@pytest.fixture(name="auto", scope="module")
def auto_fixture(cluster, engine):
    from proxy import Pgpool
    cluster.sql("CREATE TABLE IF NOT EXISTS kp_t (a int);"
                "DROP ROLE IF EXISTS kp_logged;"
                "CREATE ROLE kp_logged SUPERUSER LOGIN;"
                "ALTER ROLE kp_logged SET log_statement = 'all';"
                "DROP ROLE IF EXISTS kp_role; CREATE ROLE kp_role;"
                "CREATE OR REPLACE FUNCTION kp_temp() RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
                "  CREATE TEMP TABLE IF NOT EXISTS kp_inner (a int); RETURN 5; END $$;"
                "CREATE OR REPLACE FUNCTION kp_untemp() RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
                "  DROP TABLE pg_temp.kp_inner; RETURN 5; END $$;"
                "CREATE OR REPLACE FUNCTION kp_nothing() RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
                "  EXECUTE 'SELECT 1'; RETURN 5; END $$")
    pgpool = Pgpool(cluster, engine, pool_mode="auto", num_init_children=1).start()
    yield pgpool
    pgpool.finish()


class Client:
    """A session that finds itself in SHOW pool_sessions."""

    def __init__(self, pgpool, **params):
        self.pgpool = pgpool
        self.one = raw.connected(pgpool, **params)
        self.port = str(self.one.socket.getsockname()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.one.close()

    def keeps(self):
        with raw.connected(self.pgpool) as other:
            [row] = [row for row in other.rows("SHOW pool_sessions") if row[6] == self.port]
        return row[10], row[9]

    def leaves(self, sql):
        """What it is taken to leave, asked in the same packet: the server is not asked so soon."""
        self.one.send(raw.query(sql), raw.query("SHOW pool_sessions"))
        rows = [got.row() for got in self.one.read_until("Z", 2) if got.kind == "D"]
        [row] = [row for row in rows if len(row) > 10 and row[6].decode() == self.port]
        return row[10].decode()

    def run(self, sql):
        """Whatever its answer is: errors are wanted sometimes."""
        return self.one.simple(sql)

    def value(self, sql):
        return self.one.rows(sql)[0][0]

    def wait_free(self):
        wait_for(lambda: self.keeps() == ("", "0"), "the connection to be given back")

    def wait_kept(self, what):
        """By this alone: the server and the catalog may have to be asked first."""
        wait_for(lambda: self.keeps() == (what, "1"), f"{what} to keep the connection")


@pytest.fixture(name="client")
def client_fixture(auto):
    with Client(auto) as client:
        yield client


@pytest.mark.parametrize("make, end, what", [
    ("CREATE TEMP TABLE kp_1 (a int)", "DROP TABLE kp_1", "a temporary object"),
    ("CREATE TEMP TABLE kp_1 (a int)", "DISCARD TEMP", "a temporary object"),
    ("CREATE TEMP VIEW kp_1 AS SELECT 1", "DROP VIEW kp_1", "a temporary object"),
    ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
     "DROP FUNCTION pg_temp.f()", "a temporary object"),
    ("SELECT 5 AS a INTO TEMP kp_1", "DROP TABLE IF EXISTS kp_1, kp_2", "a temporary object"),
    ("SELECT pg_advisory_lock(7771)", "SELECT pg_advisory_unlock(7771)", "an advisory lock"),
    ("SELECT pg_try_advisory_lock(7772)", "SELECT pg_advisory_unlock_all()", "an advisory lock"),
    ("LISTEN kp_c", "UNLISTEN kp_c", "LISTEN"),
    ("LISTEN kp_c", "UNLISTEN *", "LISTEN"),
    ("PREPARE kp_p AS SELECT 1", "DEALLOCATE kp_p", "a prepared statement of SQL's PREPARE"),
    ("PREPARE kp_p AS SELECT 1", "DEALLOCATE ALL", "a prepared statement of SQL's PREPARE"),
    ("BEGIN; DECLARE kp_c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "CLOSE kp_c",
     "a cursor WITH HOLD"),
])
def test_it_is_given_back_when_nothing_is_left(client, make, end, what):
    client.one.rows(make)
    client.wait_kept(what)
    client.one.rows("INSERT INTO kp_t VALUES (1)")
    client.wait_kept(what)
    client.one.rows(end)
    client.wait_free()


@pytest.mark.parametrize("sql", [
    "CREATE TEMP TABLE kp_1 (no_such_type_kp kp)",
    "LISTEN kp_c; SELECT 1/0",
    "BEGIN; CREATE TEMP TABLE kp_1 (a int) ON COMMIT DROP; COMMIT",
    "BEGIN; LISTEN kp_c; ROLLBACK",
    "CREATE TEMP TABLE kp_1 (a int) ON COMMIT DROP",
    "SELECT pg_advisory_unlock(1)",
    "SELECT pg_advisory_unlock_all()",
    "DO $$ BEGIN PERFORM 1; END $$",
    "SELECT kp_nothing()",
    "BEGIN; SET work_mem = '7MB'; ROLLBACK",
    "DECLARE kp_c CURSOR WITH HOLD FOR SELECT 1/0",
    "EXECUTE kp_nobody",
    "SELEC 1",
    "SELECT 1; SELEC 1",
    "UPDATE kp_nowhere SET a = 1",
    "SELECT kp_nobody()",
    "UPDATE pg_settings SET setting = '5MB' WHERE name = 'no such name'",
])
def test_what_left_nothing_keeps_nothing(client, sql):
    client.run(sql)
    client.wait_free()


@pytest.mark.parametrize("sql", ["SELEC 1", "UPDATE kp_nowhere SET a = 1"])
def test_what_is_refused_in_a_batch_keeps_nothing(client, sql):
    client.one.send(raw.parse("", sql) + raw.bind("", "") + raw.execute() + raw.SYNC)
    assert raw.codes(client.one.read_until("Z"))[0] in ("42601", "42P01")
    client.wait_free()


def test_large_objects_keep_nothing(client):
    """By FunctionCall, as libpq has it. Asked in the same packet: it never has the connection."""
    calls = [raw.function_call(957, "-1", result_format=1), raw.query("BEGIN"),
             raw.function_call(715, "0", result_format=1), raw.query("ROLLBACK")]
    client.one.send(*calls, raw.query("SHOW pool_sessions"))
    got = client.one.read_until("Z", 5)
    assert [message.kind for message in got if message.kind in "VE"] == ["V", "V"]
    rows = [message.row() for message in got if message.kind == "D"]
    assert [row[10] for row in rows if row[6].decode() == client.port] == [b""]
    oid = struct.unpack("!I", next(message for message in got if message.kind == "V").body[4:])[0]
    client.one.rows(f"SELECT lo_unlink({oid})")


def test_what_is_refused_in_a_block_keeps_nothing(client):
    for sql in ("BEGIN", "UPDATE kp_nowhere SET a = 1"):
        client.run(sql)
    assert client.keeps()[0] == ""
    client.one.rows("ROLLBACK")


def test_what_is_refused_behind_what_is_kept(client):
    client.one.rows("LISTEN kp_c")
    for sql in ("SELEC 1", "UPDATE kp_nowhere SET a = 1"):
        client.run(sql)
    client.one.rows("NOTIFY kp_c")
    assert "LISTEN" in client.keeps()[0]


def test_a_rolled_back_transaction_step_by_step(client):
    for sql in ("BEGIN", "CREATE TEMP TABLE kp_1 (a int)", "LISTEN kp_c"):
        client.one.rows(sql)
    assert client.keeps() == ("a temporary object; LISTEN", "1")
    client.one.rows("ROLLBACK")
    client.wait_free()


def test_all_of_it_must_be_gone(client):
    client.one.rows("LISTEN kp_c")
    client.one.rows("SELECT pg_advisory_lock(7773)")
    client.one.rows("CREATE TEMP TABLE kp_1 AS SELECT 5 AS a")
    client.one.rows("SELECT pg_advisory_unlock(7773)")
    client.one.rows("UNLISTEN *")
    assert client.value("SELECT a FROM kp_1") == "5"
    assert "temporary" in client.keeps()[0]
    client.one.rows("DROP TABLE kp_1")
    client.wait_free()


def test_what_a_question_finds_left_is_shown(client):
    """Of two temporary tables one is gone."""
    client.one.rows("CREATE TEMP TABLE kp_1 AS SELECT 5 AS a")
    client.one.rows("CREATE TEMP TABLE kp_2 AS SELECT 6 AS a")
    client.one.rows("SELECT kp_nothing()")
    client.wait_kept("a temporary object")
    client.one.rows("DROP TABLE kp_1")
    assert client.value("SELECT a FROM kp_2") == "6"
    client.one.rows("DROP TABLE kp_2")
    client.wait_free()


def test_temporary_tables_of_functions(client):
    assert client.value("SELECT kp_temp()") == "5"
    client.wait_kept("a temporary object")
    assert client.value("SELECT count(*) FROM kp_inner") == "0"
    client.one.rows("SELECT kp_untemp()")
    client.wait_free()


def backend(client):
    return client.value("SELECT pg_backend_pid() /* pgpool: primary */")


def is_there(cluster, pid):
    return cluster.primary.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid) == 1


def test_a_connection_with_a_temporary_schema_is_closed(cluster, client):
    client.one.rows("CREATE TEMP TABLE kp_1 (a int)")
    before = backend(client)
    client.one.rows("DROP TABLE kp_1")
    client.wait_free()
    wait_for(lambda: not is_there(cluster, before), "the server process to end")
    client.one.rows("LISTEN kp_c")
    before = backend(client)
    client.one.rows("UNLISTEN kp_c")
    client.wait_free()
    assert is_there(cluster, before)


@pytest.mark.parametrize("sql", ["CREATE TEMP TABLE kp_1 (a int)", "LOAD 'auto_explain'"])
def test_discard_all_closes_it_too(cluster, client, sql):
    client.one.rows(sql)
    before = backend(client)
    client.one.rows("DISCARD ALL")
    client.wait_free()
    wait_for(lambda: not is_there(cluster, before), "the server process to end")


@pytest.mark.parametrize("sql", [
    "DO $$ BEGIN SET work_mem = '7MB'; END $$",
    "SELECT set_config('work_mem', '7MB', false)",
    "UPDATE pg_settings SET setting = '7168' WHERE name = 'work_mem'",
    "SET work_mem = '7MB'; SELECT 1",
    "BEGIN; SET work_mem = '7MB'; COMMIT",
])
def test_parameters_set_in_any_way_follow(auto, sql):
    """The server is asked for them, and then they are as if they had been SET."""
    with Client(auto) as client, Client(auto) as other:
        client.one.rows("SET search_path = \"$user\", 'Kp''s', public")
        client.one.rows("SET timezone = 'Asia/Tokyo'")
        client.one.rows("SET kp.nobodys = 'own'")
        client.run(sql)
        client.wait_free()
        for _ in range(3):
            other.one.rows("BEGIN")
            assert other.value("SHOW work_mem") == "4MB"
            assert other.value("SHOW timezone") == "UTC"
            assert client.value("SHOW work_mem") == "7MB"
            assert client.value("SHOW timezone") == "Asia/Tokyo"
            assert client.value("SHOW kp.nobodys") == "own"
            assert client.value("SHOW search_path") == "\"$user\", \"Kp's\", public"
            other.one.rows("COMMIT")
        client.wait_free()
        client.one.rows("RESET work_mem")
        assert client.value("SHOW work_mem") == "4MB"


OWN = r"""
CREATE FUNCTION own_set(text) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('kp.who', $1, false); RETURN ''; END $$;
CREATE FUNCTION own_outer() RETURNS text LANGUAGE sql AS
  $$ -- it's own_set() that does it
     SELECT own_set('alice') $$;
CREATE FUNCTION own_words() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN
     -- update the owner
     SET kp.who = 'alice'; END $$;
CREATE FUNCTION own_any(n text, v text) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config(n, v, false); END $$;
CREATE FUNCTION own_dynamic(n text) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE format('SET %s = %L', n, 'alice'); END $$;
CREATE FUNCTION own_text(sql text) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE sql; END $$;
CREATE FUNCTION own_hidden(v text) RETURNS text LANGUAGE sql AS $$ SELECT v $$;
CREATE SCHEMA own_s;
CREATE FUNCTION own_s.own_hidden(v text) RETURNS text LANGUAGE sql AS
  $$ SELECT set_config('kp.' || 'who', v, false) $$;
CREATE FUNCTION own_tree() RETURNS text LANGUAGE sql
  RETURN set_config('kp.who', 'alice', false);
CREATE PROCEDURE own_call() LANGUAGE plpgsql AS
  $$ BEGIN SET SESSION "kp.who" TO 'alice'; END $$;
CREATE FUNCTION own_trigger() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('kp.who', NEW.who, false); RETURN NEW; END $$;
CREATE TABLE own_t (who text);
CREATE TRIGGER t BEFORE INSERT ON own_t FOR EACH ROW EXECUTE FUNCTION own_trigger();
CREATE FUNCTION own_nothing() RETURNS void LANGUAGE plpgsql AS
  $$ DECLARE n int; BEGIN
     INSERT INTO own_t SELECT '' WHERE false; UPDATE own_t /* ! */ SET who = '' WHERE false;
     EXECUTE format('SELECT 1 FROM %I', 'own_t') INTO n;
     EXECUTE 'UPDATE own_t SET who = who WHERE who = $1' USING 'x';
     SET LOCAL kp.who = 'gone'; PERFORM set_config('kp.who', 'gone', true); END $$;
CREATE FUNCTION own_harmless(t text) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'UPDATE ' || t || ' SET ' || 'who' || ' = who WHERE false'; END $$;
CREATE FUNCTION "Own Quoted"() RETURNS text LANGUAGE sql AS
  $$ SELECT set_config('kp.' || 'who', 'alice', false) $$;
CREATE FUNCTION own_quotes() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN PERFORM "Own Quoted"(); END $$;
CREATE FUNCTION own_comment() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN PERFORM own_any/* ! */('kp.who', 'alice'); END $$;
CREATE FUNCTION own_apostrophe() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN
     -- don't update it here
     SET kp.who = 'alice'; END $$;
CREATE FUNCTION own_remarks(n text) RETURNS void LANGUAGE plpgsql AS
  $$ DECLARE v text := 'alice'; BEGIN
     -- it's /* odd
     PERFORM set_config(n, v, false); /* here */ END $$;
CREATE FUNCTION own_dollars(n text, v text) RETURNS text LANGUAGE plpgsql AS
  $$ DECLARE d text; BEGIN
     d := $q$--$q$; PERFORM set_config(n, v, false);
     RETURN d; END $$;
CREATE FUNCTION own_second(n text) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'SELECT 1; SET ' || n || ' = ''alice'''; END $$;
CREATE FUNCTION own_escapes() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN PERFORM U&"set\005fconfig"('kp.' || 'who', 'alice', false); END $$;
CREATE FUNCTION own_yes(text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('kp.' || 'who', 'alice', false); RETURN true; END $$;
CREATE FUNCTION own_step(text, text) RETURNS text LANGUAGE sql AS
  $$ SELECT own_yes($2)::text $$;
CREATE FUNCTION own_same(text, text) RETURNS text LANGUAGE sql AS $$ SELECT $2 $$;
CREATE AGGREGATE own_moves(text) (SFUNC = own_same, STYPE = text, MSFUNC = own_step,
  MINVFUNC = own_same, MSTYPE = text);
CREATE OPERATOR ### (LEFTARG = text, RIGHTARG = text, FUNCTION = own_step);
CREATE FUNCTION own_operator() RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN RETURN 'a'::text ### 'b'::text; END $$;
CREATE DOMAIN own_domain AS text CHECK (own_yes(VALUE));
CREATE FUNCTION own_declares() RETURNS text LANGUAGE plpgsql AS
  $$ DECLARE d own_domain; BEGIN d := 'a'; RETURN d; END $$;
CREATE TABLE own_index (a text);
CREATE INDEX ON own_index (a) WHERE own_yes(a);
CREATE TABLE own_part (a text) PARTITION BY LIST (own_yes(a));
CREATE TABLE own_part_1 PARTITION OF own_part DEFAULT;
CREATE TABLE own_when (a text);
CREATE FUNCTION own_not() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON own_when FOR EACH ROW WHEN (own_yes(NEW.a))
  EXECUTE FUNCTION own_not();
CREATE FUNCTION own_argument() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config(TG_ARGV[0], 'alice', false); RETURN NEW; END $$;
CREATE TABLE own_log (a text);
CREATE TRIGGER t BEFORE INSERT ON own_log FOR EACH ROW EXECUTE FUNCTION own_argument('kp.who');
CREATE FUNCTION own_writes() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.own_log VALUES ('x'); END $$;
CREATE FUNCTION own_umlaut() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN SET kp.Ä = 'alice'; END $$;
"""
FOLLOWED, KEPT = "followed", "kept"


@pytest.fixture(name="own", scope="module")
def own_fixture(cluster, engine):
    """Two connections for all: who gives his back meets another one's."""
    from proxy import Pgpool
    cluster.sql("DROP DATABASE IF EXISTS kp_own WITH (FORCE)")
    cluster.sql("CREATE DATABASE kp_own")
    with cluster.primary.connect(dbname="kp_own") as connection:
        connection.execute(OWN)
    pgpool = Pgpool(cluster, engine, pool_mode="auto", num_init_children=1,
                    max_backend_connections=2, backend_weight1=0, backend_weight2=0).start()
    yield pgpool
    pgpool.finish()


def owner(pgpool):
    return Client(pgpool, database="kp_own")


@pytest.mark.parametrize("sql, fate", [
    ("SET kp.who = 'alice'", FOLLOWED),
    ("SELECT set_config('kp.who', 'alice', false)", FOLLOWED),
    ("SELECT set_config('kp.' || 'who', 'alice', false)", KEPT),
    ("SELECT 1 FROM set_config('kp.who', 'al' || 'ice', false)", FOLLOWED),
    ("SET kp.who = 'alice'; SELECT 1", FOLLOWED),
    ("BEGIN; SAVEPOINT a; SET kp.who = 'alice'; RELEASE a; COMMIT", FOLLOWED),
    ("DO $$ BEGIN SET kp.who = 'alice'; END $$", FOLLOWED),
    ("DO $$ BEGIN PERFORM set_config(lower('KP.WHO'), 'alice', false); END $$", KEPT),
    ("DO $$ BEGIN PERFORM own_set('alice'); END $$", FOLLOWED),
    ("DO $$ BEGIN PERFORM public.own_any('kp.who', 'alice'); END $$", KEPT),
    ("SELECT own_set('alice')", FOLLOWED),
    ("SELECT own_outer()", FOLLOWED),
    ("SELECT own_words()", FOLLOWED),
    ("SELECT own_any('kp.who', 'alice')", KEPT),
    ("SELECT own_dynamic('kp.who')", KEPT),
    ("SELECT own_text('SET kp.who = ''alice''')", KEPT),
    ("SELECT own_tree()", KEPT),
    ("CALL own_call()", FOLLOWED),
    ("INSERT INTO own_t VALUES ('alice')", FOLLOWED),
    ("PREPARE p AS SELECT own_set('alice'); EXECUTE p; DEALLOCATE p", FOLLOWED),
    ("BEGIN; SET LOCAL search_path TO own_s, public; SELECT own_hidden('alice'); COMMIT", KEPT),
    ("BEGIN;; SET LOCAL search_path TO own_s;; SELECT own_hidden('alice');; COMMIT", KEPT),
    ("SET search_path TO own_s, public; SELECT own_hidden('alice'); RESET search_path", KEPT),
    ("DROP TABLE IF EXISTS own_u;; CREATE TABLE own_u (a text);; SELECT own_any('kp.y', '1');;"
     " DISCARD ALL;; INSERT INTO own_u SELECT * FROM own_any('kp.who', 'alice')", KEPT),
    ("BEGIN;; CREATE OR REPLACE FUNCTION own_new() RETURNS text LANGUAGE sql AS"
     " $$ SELECT set_config('kp.' || 'who', 'alice', false) $$;; SELECT own_new();; COMMIT", KEPT),
    ("BEGIN;; DROP FUNCTION IF EXISTS own_new();; CREATE FUNCTION own_new() RETURNS text LANGUAGE"
     " sql AS $$ SELECT set_config('kp.who', 'alice', false) $$;; SELECT own_new();; COMMIT",
     FOLLOWED),
    ("SELECT pg_catalog.\"set_config\"('kp.who', 'alice', false)", FOLLOWED),
    ("INSERT INTO own_t VALUES ('alice') RETURNING set_config('kp.other', '', false)", FOLLOWED),
    ("PREPARE p AS SELECT own_any('kp.who', 'alice');; EXECUTE p;; DEALLOCATE p", KEPT),
    ("SELECT own_quotes()", KEPT),
    ("SELECT own_comment()", KEPT),
    ("SELECT own_apostrophe()", FOLLOWED),
    ("SELECT own_remarks('kp.who')", KEPT),
    ("SELECT own_dollars('kp.who', 'alice')", KEPT),
    ("SELECT own_second('kp.who')", KEPT),
    ("SELECT own_escapes()", KEPT),
    ("SELECT own_moves(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
     " FROM (VALUES ('a'), ('b'), ('c')) AS v(a)", KEPT),
    ("SELECT own_operator()", KEPT),
    ("SELECT own_declares()", KEPT),
    ("INSERT INTO own_index VALUES ('a')", KEPT),
    ("INSERT INTO own_part VALUES ('a')", KEPT),
    ("INSERT INTO own_when VALUES ('a')", KEPT),
    ("SELECT own_writes()", KEPT),
    ("DO $$ BEGIN INSERT INTO own_log VALUES ('x'); END $$", KEPT),
    ("DO $$ BEGIN PERFORM \"Own Quoted\"(); END $$", KEPT),
    ("DO $$ BEGIN PERFORM own_any --\n('kp.who', 'alice'); END $$", KEPT),
    ("DO E'BEGIN SE\\x54 kp.who = ''alice''; END'", KEPT),
    ("SELECT own_umlaut();; SET kp.who = 'alice'", KEPT),
])
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_an_applications_own_parameters(own, sql, fate, known):
    """They stand in no view of the server's. Nobody else sees them, and who set them does, whether
    the catalog had been asked before or not."""
    if not known:
        with owner(own) as one:
            one.run("CREATE OR REPLACE VIEW own_v AS SELECT 1 AS a")  # all is forgotten
    who = "SELECT current_setting('kp.who', true)"
    with owner(own) as alice, owner(own) as bob, owner(own) as carol:
        for one in sql.split(";;"):
            assert "E" not in [got.kind for got in alice.run(one)]
        if fate == FOLLOWED:
            alice.wait_free()
        else:
            wait_for(lambda: "cannot be asked" in alice.keeps()[0], "the catalog's answer")
        for _ in range(3):
            assert alice.value(who) == "alice"
            if fate == FOLLOWED:
                bob.one.rows("BEGIN")
                bob.one.rows("DELETE FROM own_t")
                assert bob.value(who) in (None, "")
            assert carol.value(who) in (None, "")
            bob.one.rows("ROLLBACK")
        carol.one.rows("SET kp.who = 'carol'")
        assert alice.value(who) == "alice"
        alice.one.rows("DISCARD ALL")
        alice.wait_free()
        assert carol.value(who) == "carol"
        assert alice.value(who) in (None, "")


@pytest.mark.parametrize("sql", [
    "SELECT own_nothing()",
    "SELECT own_harmless('own_t')",
    "DO $$ BEGIN PERFORM own_nothing(); END $$",
    "SELECT set_config('kp.who', 'alice', true)",
    "SELECT set_config('kp.' || 'who', 'alice', true)",
])
def test_no_own_parameter_keeps_nothing(own, sql):
    with owner(own) as alice:
        assert "E" not in [got.kind for got in alice.run(sql)]
        alice.wait_free()
        assert alice.value("SELECT current_setting('kp.who', true)") in (None, "")


def test_an_own_parameter_that_a_function_resets(own):
    with owner(own) as alice, owner(own) as bob:
        alice.one.rows("SET kp.who = 'alice'")
        alice.one.rows("SELECT own_set('')")
        alice.wait_free()
        bob.one.rows("SET kp.who = 'bob'")
        assert alice.value("SELECT current_setting('kp.who', true)") == ""
        assert bob.value("SELECT current_setting('kp.who', true)") == "bob"


def test_own_parameters_of_statements_of_the_protocol(own):
    """The name comes with the execution."""
    with owner(own) as alice, owner(own) as carol:
        alice.one.send(raw.parse("s", "SELECT set_config($1, $2, false)"), raw.SYNC)
        alice.one.read_until("Z")
        alice.one.send(raw.bind("", "s", "kp.who", "alice"), raw.execute(), raw.SYNC)
        assert "E" not in [got.kind for got in alice.one.read_until("Z")]
        alice.one.quiet(0.05)
        for _ in range(3):
            assert carol.value("SELECT current_setting('kp.who', true)") in (None, "")
            assert alice.value("SELECT current_setting('kp.who', true)") == "alice"


@pytest.mark.parametrize("name, arguments", [
    ("set_config", ("kp.who", "alice", "f")),
    ("own_any", ("kp.who", "alice")),
])
def test_own_parameters_of_function_calls(own, name, arguments):
    with owner(own) as alice, owner(own) as carol:
        oid = int(alice.value(f"SELECT '{name}'::regproc::oid"))
        alice.one.send(raw.function_call(oid, *arguments))
        assert "E" not in [got.kind for got in alice.one.read_until("Z")]
        wait_for(lambda: "cannot be asked" in alice.keeps()[0], "the catalog's answer")
        for _ in range(3):
            assert carol.value("SELECT current_setting('kp.who', true)") in (None, "")
            assert alice.value("SELECT current_setting('kp.who', true)") == "alice"


def test_own_parameters_behind_discard_in_its_batch(own):
    """What is noted with a statement is not forgotten with DISCARD ALL in front of it."""
    with owner(own) as alice, owner(own) as carol:
        parts = [part for sql in ("DISCARD ALL", "SELECT own_any('kp.who', 'alice')")
                 for part in (raw.parse("", sql), raw.bind("", ""), raw.execute())]
        alice.one.send(*parts, raw.SYNC)
        assert "E" not in [got.kind for got in alice.one.read_until("Z")]
        for _ in range(3):
            assert carol.value("SELECT current_setting('kp.who', true)") in (None, "")
            assert alice.value("SELECT current_setting('kp.who', true)") == "alice"


@pytest.mark.parametrize("texts, value", [
    ((b"SET client_encoding = 'LATIN1'", b"SET kp.who = '\xe9'"), "c3a9"),
    ((b"SET client_encoding = 'LATIN1'", b"SELECT own_set('\xe9')"), "c3a9"),
    ((b"SET client_encoding = 'LATIN1'", b"SET kp.who = '\xe9'", b"RESET client_encoding"),
     "c3a9"),
    ((b"SET kp.who = '\xc3\xa9'", b"SET client_encoding = 'LATIN1'"), "c3a9"),
    ((b"SET standard_conforming_strings = off", b"SET kp.who = 'a\\\\b'",
      b"SET standard_conforming_strings = on"), "615c62"),
    ((b"SET kp.who = 'a\\b'", b"SET standard_conforming_strings = off"), "615c62"),
])
def test_values_are_read_as_they_were_set(own, texts, value):
    """On other connections, which another session has used that reads literals in another way."""
    who = "SELECT encode(convert_to(current_setting('kp.who', true), 'UTF8'), 'hex')"
    with owner(own) as alice, owner(own) as bob, owner(own) as carol:
        carol.one.rows("SET standard_conforming_strings = off")
        carol.one.rows("SET client_encoding = 'LATIN2'")
        for text in texts:
            alice.one.send(raw.message("Q", text + b"\0"))
            assert "E" not in [got.kind for got in alice.one.read_until("Z")]
        alice.wait_free()
        for one in (bob, carol, bob):
            one.one.rows("BEGIN")
            assert alice.value(who) == value
            one.one.rows("ROLLBACK")
            assert alice.value(who) == value


def test_a_question_that_fails_is_asked_again(cluster, own):
    """However quiet the session is: it would keep its connection for nothing."""
    with cluster.primary.connect(dbname="kp_own") as other:
        other.execute("DROP ROLE IF EXISTS kp_plain")
        other.execute("CREATE ROLE kp_plain LOGIN")
        with Client(own, database="kp_own", user="kp_plain") as client:
            other.execute("REVOKE EXECUTE ON FUNCTION pg_listening_channels() FROM PUBLIC")
            log = ServerLog(cluster.primary)
            client.one.rows("LISTEN kp_c")
            client.one.rows("UNLISTEN kp_c")
            wait_for(lambda: any("denied for function pg_listening" in entry
                                 for entry in log.entries()), "the question to fail")
            assert client.keeps() == ("LISTEN", "1")
            other.execute("GRANT EXECUTE ON FUNCTION pg_listening_channels() TO PUBLIC")
            client.wait_free()


def test_pipelined_statements_behind_a_question(client):
    """They are ordered behind it, and what they leave is not taken for gone."""
    for turn in range(30):
        client.one.send(raw.query("LISTEN kp_c"), raw.query("UNLISTEN kp_c"))
        client.one.read_until("Z", 2)
        client.one.quiet(0.001 * (turn % 10))
        client.one.send(raw.query("CREATE TEMP TABLE kp_1 AS SELECT 5 AS a"))
        client.one.read_until("Z")
        assert client.value("SELECT a FROM kp_1") == "5"
        client.one.quiet(0.01)
        assert client.value("SELECT a FROM kp_1") == "5"
        client.one.rows("DROP TABLE kp_1")
    client.wait_free()


def test_protocol_statements_under_their_own_name(auto):
    """EXECUTE of what Parse has made puts the client's name on the connection."""
    with Client(auto) as client, Client(auto) as other:
        for one, text in ((client.one, "SELECT 'one'"), (other.one, "SELECT 'two'")):
            one.send(raw.parse("kp_s", text), raw.SYNC)
            one.read_until("Z")
        for _ in range(3):
            assert client.value("EXECUTE kp_s") == "one"
            client.wait_free()
            assert other.value("EXECUTE kp_s") == "two"
            other.wait_free()


@pytest.mark.parametrize("sql", ["SELECT setseed(0.5)", "SET seed TO 0.5"])
def test_what_cannot_be_asked_for_keeps_it(client, sql):
    client.one.rows(sql)
    first = [client.value("SELECT random() /* pgpool: primary */") for _ in range(3)]
    assert "cannot be asked" in client.keeps()[0]
    client.one.rows(sql)
    assert [client.value("SELECT random() /* pgpool: primary */") for _ in range(3)] == first
    client.one.rows("DISCARD ALL")
    client.wait_free()


def questions(log):
    return sum(QUESTION in entry for entry in log.entries())


def test_it_is_asked_only_when_all_may_be_gone(cluster, auto):
    with Client(auto, user="kp_logged") as client:
        client.one.rows("LISTEN kp_c")
        log = ServerLog(cluster.primary)
        for _ in range(50):
            client.one.rows("SELECT pg_advisory_lock(7774)")
            client.one.rows("SELECT pg_advisory_unlock(7774)")
            client.one.quiet(0.01)
        assert questions(log) == 0


def test_a_client_that_is_busy_is_not_asked_for_each_statement(cluster, auto):
    with Client(auto, user="kp_logged") as client:
        log = ServerLog(cluster.primary)
        client.one.send(*[raw.query(f"SELECT pg_advisory_{what}(7775)")
                          for _ in range(200) for what in ("lock", "unlock")])
        client.one.read_until("Z", 400)
        client.wait_free()
        assert 1 <= questions(log) <= 40


def test_questions_in_vain_become_rare(cluster, auto):
    with Client(auto, user="kp_logged") as client:
        client.one.rows("CREATE TEMP TABLE kp_1 (a int)")
        log = ServerLog(cluster.primary)
        for _ in range(200):
            client.one.rows("DROP TABLE IF EXISTS kp_2")
            client.one.quiet(0.006)
        assert 1 <= questions(log) <= 12


def listen(one, form):
    if form == "simple":
        one.rows("LISTEN kp_n")
        return
    one.send(raw.parse("", "LISTEN kp_n"), raw.bind("", ""), raw.execute(), raw.SYNC)
    assert "E" not in [got.kind for got in one.read_until("Z")]


@pytest.mark.parametrize("form", ["simple", "extended"])
def test_notifications_arrive_while_idle(auto, form):
    with Client(auto) as client, Client(auto) as other:
        listen(client.one, form)
        assert client.keeps() == ("LISTEN", "1")
        for number in range(3):
            other.one.rows(f"NOTIFY kp_n, 'number {number}'")
            got = client.one.read()
            assert (got.kind, got.body[4:]) == ("A", f"kp_n\0number {number}\0".encode())
        client.one.rows("UNLISTEN kp_n")
        client.wait_free()
        other.one.rows("NOTIFY kp_n, 'nobody'")
        assert client.value("SELECT 5") == "5"
        assert client.one.quiet(0.05)


ROLES = [
    ("SET ROLE kp_role", "RESET ROLE"),
    ("SET ROLE kp_role", "SET ROLE NONE"),
    ("SET SESSION ROLE kp_role", "SET SESSION AUTHORIZATION DEFAULT"),
    ("SET SESSION AUTHORIZATION kp_role", "RESET SESSION AUTHORIZATION"),
    ("BEGIN; SET ROLE kp_role; COMMIT", "RESET ROLE"),
    ("DO $$ BEGIN SET ROLE kp_role; END $$", "RESET ROLE"),
    ("SELECT set_config('role', 'kp_role', false)", "DO $$ BEGIN RESET ROLE; END $$"),
    ("SET ROLE kp_role", "DISCARD ALL"),
]
WHO = "SELECT current_user /* pgpool: primary */"


@pytest.mark.parametrize("make, end", ROLES)
def test_roles_follow_their_session(auto, make, end):
    with Client(auto) as client, Client(auto) as other:
        client.run(make)
        client.wait_free()
        for _ in range(3):
            other.one.rows("BEGIN")
            assert other.value(WHO) == "postgres"
            assert client.value(WHO) == client.value("SELECT current_user") == "kp_role"
            other.one.rows("COMMIT")
        client.one.rows("RESET ALL")
        assert client.value(WHO) == "kp_role"
        client.one.rows(end)
        client.wait_free()
        assert client.value(WHO) == client.value("SELECT current_user") == "postgres"
        assert other.value(WHO) == "postgres"


def test_a_role_that_is_rolled_back(auto):
    with Client(auto) as client:
        client.one.rows("BEGIN")
        client.one.rows("SET ROLE kp_role")
        assert client.value(WHO) == "kp_role"
        client.one.rows("ROLLBACK")
        assert client.value(WHO) == "postgres"
        client.one.rows("BEGIN")
        client.one.rows("SET LOCAL ROLE kp_role")
        assert client.value(WHO) == "kp_role"
        client.one.rows("COMMIT")
        assert client.value(WHO) == "postgres"
        client.wait_free()


def test_a_role_beside_what_it_may_not_set_keeps_the_connection(auto):
    with Client(auto) as client, Client(auto) as other:
        client.one.rows("SET log_min_duration_statement = 60000")
        client.one.rows("SET ROLE kp_role")
        for _ in range(3):
            assert client.value(WHO) == "kp_role"
            assert client.value("SHOW log_min_duration_statement") == "1min"
            assert other.value("SHOW log_min_duration_statement") == "-1"
        assert "a role" in client.keeps()[0]
        client.one.rows("RESET ROLE")
        client.wait_free()
        assert client.value("SHOW log_min_duration_statement") == "1min"
        assert other.value("SHOW log_min_duration_statement") == "-1"


TRIGGERS = """
DROP TABLE IF EXISTS kp_a, kp_b, kp_c CASCADE;
CREATE TABLE kp_a (a int PRIMARY KEY, b int DEFAULT 5);
CREATE TABLE kp_b (a int REFERENCES kp_a ON DELETE CASCADE);
CREATE TABLE kp_c (a int);
CREATE VIEW kp_v AS SELECT a FROM kp_c;
CREATE OR REPLACE FUNCTION kp_make() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    CREATE TEMP TABLE IF NOT EXISTS kp_inner (a int); RETURN NULL; END $$;
CREATE TRIGGER t AFTER DELETE ON kp_b FOR EACH ROW EXECUTE FUNCTION kp_make();
CREATE TRIGGER t AFTER INSERT ON kp_c FOR EACH ROW EXECUTE FUNCTION kp_make();
CREATE OR REPLACE FUNCTION kp_listens() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    LISTEN kp_c; RETURN 5; END $$;
CREATE VIEW kp_w AS SELECT kp_listens() AS a;
DROP TABLE IF EXISTS kp_d CASCADE;
CREATE TABLE kp_d (a int PRIMARY KEY, b serial CHECK (b > 0), c int REFERENCES kp_d, d uuid
    DEFAULT gen_random_uuid());
CREATE OR REPLACE FUNCTION kp_plain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.b := NEW.b + 1; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON kp_d FOR EACH ROW EXECUTE FUNCTION kp_plain();
"""


@pytest.fixture(name="triggers", scope="module")
def triggers_fixture(cluster, auto):
    with cluster.primary.connect() as connection:
        connection.execute(TRIGGERS)
    # as if it had passed by: what is known is dropped
    with raw.connected(auto) as one:
        one.rows("CREATE OR REPLACE VIEW kp_x AS SELECT 1 AS a")


@pytest.mark.parametrize("sql, what", [
    ("INSERT INTO kp_c VALUES (1)", "a temporary object"),
    ("INSERT INTO kp_v VALUES (1)", "a temporary object"),
    ("COPY kp_c FROM STDIN", "a temporary object"),
    ("INSERT INTO kp_t SELECT kp_temp()", "a temporary object"),
    ("UPDATE kp_t SET a = kp_temp()", "a temporary object"),
    ("INSERT INTO kp_a VALUES (1); INSERT INTO kp_b VALUES (1); DELETE FROM kp_a",
     "a temporary object"),
    ("WITH x AS (INSERT INTO kp_c VALUES (2) RETURNING a) SELECT * FROM x", "a temporary object"),
    ("SELECT a FROM kp_w", "LISTEN"),
    ("INSERT INTO kp_t SELECT a FROM kp_w", "LISTEN"),
    ("EXPLAIN ANALYZE INSERT INTO kp_t SELECT a FROM kp_w", "LISTEN"),
])
def test_what_triggers_views_and_functions_leave_is_noticed(auto, triggers, sql, what):
    """Also when the names are known, and through prepared statements."""
    with raw.connected(auto) as one:
        one.rows("INSERT INTO kp_t VALUES (1)")
    for turn in range(3):
        with Client(auto) as client:
            if sql.startswith("COPY"):
                client.one.send(raw.query(sql), raw.copy_data("1\n"), raw.COPY_DONE)
                assert client.one.read_until("Z")[-2].kind == "C"
            elif turn == 2 and ";" not in sql:
                client.one.send(raw.parse("s", sql), raw.bind("", "s"), raw.execute(), raw.SYNC)
                assert "E" not in [got.kind for got in client.one.read_until("Z")]
            else:
                client.one.rows(sql)
            client.wait_kept(what)


def test_writes_without_such_things_keep_nothing(cluster, auto, triggers):
    with Client(auto, user="kp_logged") as client:
        for sql in ("INSERT INTO kp_d (a) VALUES (7) ON CONFLICT DO NOTHING",
                    "UPDATE kp_d SET b = 6", "DELETE FROM kp_d",
                    "INSERT INTO kp_t SELECT a FROM kp_t WHERE random() < 0"):
            wait_for(lambda sql=sql: client.leaves(sql) == "", "the catalog to be asked")
            log = ServerLog(cluster.primary)
            for _ in range(5):
                assert client.leaves(sql) == ""
            assert questions(log) == 0
