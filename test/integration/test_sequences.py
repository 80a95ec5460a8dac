"""pool_mode = auto: currval() and lastval() are the session's own, and what functions that are
listed leave keeps the connection."""

import pytest

import raw
from test_keeps import Client, backend
from waiting import wait_for

pytestmark = pytest.mark.one_engine


@pytest.fixture(name="auto", scope="module")
def auto_fixture(cluster, engine):
    from proxy import Pgpool
    cluster.sql("DROP TABLE IF EXISTS sq_t; CREATE TABLE sq_t (n serial, a text);"
                "DROP TABLE IF EXISTS sq_child; CREATE TABLE sq_child (a text);"
                "DROP SEQUENCE IF EXISTS sq_s; CREATE SEQUENCE sq_s;"
                "CREATE OR REPLACE FUNCTION sq_listed() RETURNS int IMMUTABLE LANGUAGE sql"
                " AS 'SELECT 5';")
    for number in range(6):
        cluster.sql(f"DROP ROLE IF EXISTS sq_{number}; CREATE ROLE sq_{number} SUPERUSER LOGIN")
    pgpool = Pgpool(cluster, engine, pool_mode="auto", num_init_children=1,
                    pinning_function_list="nextval,setval,public\\\\.sq_lis.*").start()
    yield pgpool
    pgpool.finish()


def error(one, sql):
    found = [got.fields() for got in one.simple(sql) if got.kind == "E"]
    return found[0]["C"] if found else None


def extended(one, sql):
    one.send(raw.parse("", sql), raw.bind("", ""), raw.execute(), raw.SYNC)
    [got] = [got for got in one.read_until("Z") if got.kind in "DE"]
    return got.row()[0].decode() if got.kind == "D" else got.fields()["C"]


def draw_elsewhere(auto, user, clients=4):
    """Others of the same login draw on all connections that there are."""
    others = [Client(auto, user=user) for _ in range(clients)]
    for other in others:
        other.one.rows("BEGIN")
        other.one.rows("INSERT INTO sq_t (a) VALUES ('other')")
    for other in others:
        other.one.rows("COMMIT")
        other.one.close()


def test_nextval_keeps_the_connection(auto):
    with Client(auto, user="sq_0") as client, Client(auto, user="sq_0") as other:
        mine = client.value("SELECT nextval('sq_s')")
        client.wait_kept("what was drawn from a sequence")
        for _ in range(3):
            other.one.rows("SELECT nextval('sq_s')")
            assert client.value("SELECT currval('sq_s')") == mine
            assert extended(client.one, "SELECT lastval()") == mine
        client.one.rows("DISCARD SEQUENCES")
        client.wait_free()
        assert error(client.one, "SELECT currval('sq_s')") == "55000"
        assert other.value("SELECT currval('sq_s')") != mine


def test_prepared_nextval_keeps_the_connection(auto):
    with Client(auto, user="sq_0") as client, Client(auto, user="sq_0") as other:
        client.one.send(raw.parse("s", "SELECT nextval('sq_s')"), raw.SYNC)
        client.one.read_until("Z")
        for _ in range(2):
            client.one.send(raw.bind("", "s"), raw.execute(), raw.SYNC)
            [got] = [got for got in client.one.read_until("Z") if got.kind in "DE"]
            other.one.rows("SELECT nextval('sq_s')")
            assert client.value("SELECT currval('sq_s')") == got.row()[0].decode()
        client.wait_kept("what was drawn from a sequence")


@pytest.mark.parametrize("sql", ["SELECT lastval()", "SELECT currval('sq_t_n_seq')"])
def test_who_has_drawn_nothing_is_told_so(auto, sql):
    """Whatever others have drawn on the connection that it gets."""
    draw_elsewhere(auto, "sq_1")
    with Client(auto, user="sq_1") as client:
        for _ in range(3):
            assert error(client.one, sql) == "55000"
            assert extended(client.one, sql) == "55000"
        client.one.rows("BEGIN")
        assert error(client.one, sql) == "55000"
        client.one.rows("ROLLBACK")
        client.wait_free()


def test_what_a_default_has_drawn_is_asked_for_where_it_was(auto):
    with Client(auto, user="sq_2") as client, Client(auto, user="sq_2") as idle:
        assert backend(idle)
        idle.wait_free()
        mine = client.value("INSERT INTO sq_t (a) VALUES ('mine') RETURNING n")
        client.wait_free()
        for _ in range(3):
            assert backend(idle)
            assert client.value("SELECT lastval()") == mine
        assert client.value("SELECT currval('sq_t_n_seq')") == mine


def test_a_login_that_asks_keeps_its_connections_when_it_writes(auto):
    """The first answer that cannot be given is an error and never somebody else's."""
    with Client(auto, user="sq_3") as client:
        client.one.rows("INSERT INTO sq_t (a) VALUES ('mine')")
        client.wait_free()
        draw_elsewhere(auto, "sq_3")
        assert error(client.one, "SELECT lastval()") == "55000"
        for _ in range(3):
            mine = client.value("INSERT INTO sq_t (a) VALUES ('mine') RETURNING n")
            draw_elsewhere(auto, "sq_3")
            assert client.value("SELECT lastval()") == mine
            assert client.value("INSERT INTO sq_child VALUES (currval('sq_t_n_seq')) RETURNING a") \
                == mine
        client.wait_kept("what was drawn from a sequence")
    with Client(auto, user="sq_3") as client:
        client.one.rows("SELECT 1")
        client.wait_free()


def test_a_failed_question_fails_its_transaction(auto):
    with Client(auto, user="sq_4") as client:
        client.one.rows("INSERT INTO sq_t (a) VALUES ('mine')")
        client.wait_free()
        draw_elsewhere(auto, "sq_4")
        assert error(client.one, "BEGIN; SELECT lastval()") == "55000"
        assert client.one.simple("COMMIT")[0].body == b"ROLLBACK\0"


def test_one_statement_draws_and_asks(auto):
    with Client(auto, user="sq_5") as client:
        [[one, two]] = client.one.rows("SELECT nextval('sq_s'), currval('sq_s')")
        assert one == two


def test_listed_functions_keep_the_connection(auto):
    with Client(auto) as client:
        assert client.value("SELECT public.sq_listed()") == "5"
        assert "cannot be asked" in client.keeps()[0]
        client.one.rows("DISCARD ALL")
        client.wait_free()
        assert extended(client.one, "SELECT public.sq_listed()") == "5"
        assert "cannot be asked" in client.keeps()[0]
        client.one.rows("DISCARD ALL")
        assert client.value("SELECT sq_listed()") == "5"
        wait_for(lambda: "cannot be asked" in client.keeps()[0], "the catalog's word")
