"""The query cache, as a server and its clients see it: what is asked again and what is not, while
answers and commits come when the test wants them."""

import threading

import pytest

import raw
from clients import batch, client, codes, kinds
from fake import COPY_IN, columns, complete, error, notice, parameter, ready, row
from waiting import wait_for

PGPOOL_SETTINGS = {"memory_cache_enabled": "on", "memqcache_maxcache": "2kB",
                   "memqcache_cache_block_size": "1MB"}
ANSWER = columns("c0") + row("x") + complete("SELECT 1")


@pytest.fixture(name="text")
def text_fixture(user):
    """A read of the test's own: nobody else's answer to it is kept."""
    return f"SELECT a FROM t_{user} WHERE b = 1"


@pytest.fixture(name="table")
def table_fixture(user):
    return f"t_{user}"


def told(messages):
    return [(got.kind, got.body) for got in messages]


def is_kept(server, one, text):
    """The server is asked for the first of two, and for the second not."""
    one.simple(text)
    before = server.asked(text)
    answer = one.simple(text)
    assert answer[-1].kind == "Z"
    return server.asked(text) == before


def wait_kept(server, one, text):
    wait_for(lambda: is_kept(server, one, text), f"the answer to {text} to be kept")


def learn(server, one, write):
    """Until pgpool knows which tables the text writes, and that there are no others."""
    aside = f"SELECT a FROM aside WHERE b = '{write}'"

    def is_known():
        wait_kept(server, one, aside)
        one.simple(write)
        return not is_asked(server, one, aside)

    wait_for(is_known, f"the tables of {write} to be known")


def is_asked(server, one, text):
    before = server.asked(text)
    one.simple(text)
    return server.asked(text) == before + 1


# ---- forms ----

def test_simple_query(pgpool, server, user, text):
    with client(pgpool, user) as one:
        first = one.simple(text)
        wait_kept(server, one, text)
        before = server.asked(text)
        assert told(one.simple(text)) == told(first)
        with client(pgpool, user) as other:
            assert told(other.simple(text)) == told(first)
        assert server.asked(text) == before


def test_a_hit_needs_no_server_connection(pgpool, server, user, text):
    with client(pgpool, user) as one:
        wait_kept(server, one, text)
        server.of(user)[0].close()
        server.of(user)[0].ended.wait(10)
        count = len(server.of(user))
        assert kinds(one.simple(text)) == "TDCZ"
        assert len(server.of(user)) == count


FORMS = {
    "PBDES": lambda sql: batch(sql),
    "PBES": lambda sql: raw.parse("", sql) + raw.bind("", "") + raw.execute() + raw.SYNC,
    "PBDES_S": lambda sql: (raw.parse("", sql) + raw.bind("", "") + raw.describe("S") +
                            raw.execute() + raw.SYNC),
}


@pytest.mark.parametrize("form", FORMS)
def test_extended(pgpool, server, user, text, form):
    with client(pgpool, user) as one:
        wait_kept(server, one, text)
        one.send(FORMS[form](text))
        first = told(one.read_until("Z"))
        before = server.asked(text)
        for _ in range(3):
            one.send(FORMS[form](text))
            assert told(one.read_until("Z")) == first
        assert server.asked(text) == before
        # the statement is there, as if the server had parsed it
        one.send(raw.bind("", "") + raw.execute() + raw.SYNC)
        assert kinds(one.read_until("Z")) == "2DCZ"


def test_named_statements(pgpool, server, user, text):
    """By whatever name; the server parses it when it is needed, and not before."""
    with client(pgpool, user) as one, client(pgpool, user) as other:
        wait_kept(server, one, text)
        use = raw.bind("", "s") + raw.execute() + raw.SYNC
        one.send(raw.parse("s", text) + raw.SYNC)
        assert kinds(one.read_until("Z")) == "1Z"
        one.send(use)
        first = told(one.read_until("Z"))
        other.send(raw.parse("other", text) + raw.bind("", "other") + raw.describe("P") +
                   raw.execute() + raw.SYNC)
        assert kinds(other.read_until("Z")) == "12TDCZ"
        before = server.asked(text)
        one.send(use)
        assert told(one.read_until("Z")) == first
        assert server.asked(text) == before
        # a second Parse of the name is the server's error
        one.send(raw.parse("s", text) + raw.bind("", "s") + raw.execute() + raw.SYNC)
        one.read_until("Z")
        # a Parse that was answered here: used for something that must go to the server
        other.send(raw.parse("o2", text) + raw.bind("", "o2") + raw.describe("P") +
                   raw.execute() + raw.SYNC)
        assert kinds(other.read_until("Z")) == "12TDCZ"
        other.send(raw.bind("p", "o2") + raw.execute("p", 1) + raw.SYNC)
        assert kinds(other.read_until("Z")) == "2DCZ"


def test_values_and_formats_are_told_apart(pgpool, server, user, table):
    sql = f"SELECT a FROM {table} WHERE b = $1"

    def ask(one, *values, **other):
        before = len([c for conn in server.of(user) for c in conn.kinds if c == "B"])
        one.send(raw.parse("", sql) + raw.bind("", "", *values, **other) + raw.describe("P") +
                 raw.execute() + raw.SYNC)
        assert kinds(one.read_until("Z")) == "12TDCZ"
        return len([c for conn in server.of(user) for c in conn.kinds if c == "B"]) == before

    with client(pgpool, user) as one:
        wait_for(lambda: ask(one, "1"), "it to be kept")
        for values, other in ((("2",), {}), ((None,), {}), (("",), {}), (("1",), {"formats": (1,)}),
                              (("1",), {"results": (1,)})):
            assert not ask(one, *values, **other), (values, other)
            assert ask(one, *values, **other), (values, other)
        assert ask(one, "1")
        for value in ("now", "Today 10:00", "{yesterday}", " tomorrow"):
            assert not ask(one, value)
            assert not ask(one, value), value
        assert not ask(one, "nowhere") and ask(one, "nowhere")


def test_rows_in_portions_are_not_kept(pgpool, server, user, text):
    with client(pgpool, user) as one:
        wait_kept(server, one, text)
        for _ in range(2):
            before = server.of(user)[0].kinds.count("E")
            one.send(batch(text, rows=5))
            assert kinds(one.read_until("Z")) == "12TDCZ"
            assert server.of(user)[0].kinds.count("E") == before + 1


def test_texts_that_differ_in_numbers_or_blanks(pgpool, server, user, table):
    with client(pgpool, user) as one:
        for text in (f"SELECT a FROM {table} WHERE b = 7", f"SELECT a FROM {table} WHERE b = 8",
                     f"SELECT a FROM {table} WHERE  b = 7"):
            wait_kept(server, one, text)
            assert one.rows(text) == [[text[7:]]]


# ---- what is not kept ----

@pytest.mark.parametrize("said", [
    error("22012", "division by zero"), notice("hello") + ANSWER, parameter("x", "y") + ANSWER,
    columns("c0") + row("x" * 3000) + complete("SELECT 1"), ANSWER + ANSWER,
    columns("c0") + row("x")[:1] + row("x")[1:] + error("57014", "canceled")],
    ids=["error", "notice", "parameter", "long", "two", "rows_and_error"])
def test_not_kept(pgpool, server, user, text, said):
    with client(pgpool, user) as one:
        wait_kept(server, one, text + "0")
        server.replies[text] = said
        for _ in range(3):
            assert is_asked(server, one, text)
        server.replies.pop(text)


@pytest.mark.parametrize("sql", [
    "/*NO QUERY CACHE*/ {}", "/* pgpool: primary */ {}", "{}; {}", "{} FOR UPDATE",
    "{} AND c < 'now'"])
def test_texts_not_kept(pgpool, server, user, text, sql):
    text = sql.format(text, text)
    with client(pgpool, user) as one:
        for _ in range(4):
            assert is_asked(server, one, text)


# ---- writes ----

@pytest.mark.parametrize("write", [
    "INSERT INTO {} VALUES (1)", "UPDATE {} SET a = 1", "DELETE FROM {}", "TRUNCATE {}",
    "DROP TABLE {}", "DO $$ anything $$", "CALL p()", "gibberish", "GRANT SELECT ON {} TO x",
    "CREATE ROLE x", "BEGIN; INSERT INTO {} VALUES (1); COMMIT", "COMMIT PREPARED 'x'"])
def test_a_write_in_another_session_makes_it_miss(pgpool, server, user, text, table, write):
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        wait_kept(server, one, text)
        other.simple(write.format(table))
        assert is_asked(server, one, text)
        wait_kept(server, one, text)


def test_a_write_of_another_table_does_not(pgpool, server, user, text, table):
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, other, f"INSERT INTO {table}_2 VALUES (1)")
        wait_kept(server, one, text)
        other.simple(f"INSERT INTO {table}_2 VALUES (1)")
        assert not is_asked(server, one, text)
        other.send(raw.parse("", f"INSERT INTO {table}_2 VALUES (1)") + raw.bind("", "") +
                   raw.execute() + raw.SYNC)
        other.read_until("Z")
        assert not is_asked(server, one, text)


def test_a_prepared_write(pgpool, server, user, text, table):
    """Parse alone writes nothing."""
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, other, f"INSERT INTO {table} VALUES (1)")
        wait_kept(server, one, text)
        other.send(raw.parse("w", f"INSERT INTO {table} VALUES (1)") + raw.SYNC)
        assert kinds(other.read_until("Z")) == "1Z"
        assert not is_asked(server, one, text)
        other.send(raw.bind("", "w") + raw.execute() + raw.SYNC)
        assert kinds(other.read_until("Z")) == "2CZ"
        assert is_asked(server, one, text)


class Held:
    """A script whose server holds the answer to one text until it is let go."""

    def __init__(self, text, answer=None):
        self.text = text
        self.answer = answer if answer is not None else complete("INSERT 0 1") + ready()
        self.come = threading.Event()
        self.go = threading.Event()

    def __call__(self, connection):
        connection.login()
        connection.serve_until(self.text)
        self.come.set()
        assert self.go.wait(20)
        connection.send(self.answer)
        connection.serve()


def test_a_write_under_way_makes_it_miss(pgpool, server, user, text, table):
    write = f"INSERT INTO {table} VALUES (99)"
    held = Held(write)
    server.script(user + "2", held)
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, one, f"INSERT INTO {table} VALUES (1)")
        wait_kept(server, one, text)
        other.send(raw.query(write))
        assert held.come.wait(20)
        for _ in range(3):
            assert is_asked(server, one, text)
        held.go.set()
        assert kinds(other.read_until("Z")) == "CZ"
        # what was read meanwhile is older than the commit
        assert is_asked(server, one, text)
        wait_kept(server, one, text)


def test_a_read_that_began_before_the_write_is_not_kept(pgpool, server, user, text, table):
    held = Held(text, ANSWER + ready())
    server.script(user + "2", held)
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, one, f"INSERT INTO {table} VALUES (1)")
        one.simple(f"INSERT INTO {table} VALUES (1)")
        other.send(raw.query(text))
        assert held.come.wait(20)
        one.simple(f"INSERT INTO {table} VALUES (1)")
        held.go.set()
        assert kinds(other.read_until("Z")) == "TDCZ"
        assert is_asked(server, one, text)


def test_rollback_keeps_entries(pgpool, server, user, text, table):
    write = f"INSERT INTO {table} VALUES (1)"
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, other, write)
        wait_kept(server, one, text)
        other.simple("BEGIN")
        other.simple(write)
        before = server.asked(text)
        one.simple(text)
        assert server.asked(text) == before + 1  # the write may commit
        other.simple("ROLLBACK")
        assert not is_asked(server, one, text)
        # a block that has failed
        server.replies[write + " "] = error("23505", "duplicate")
        other.simple("BEGIN")
        other.simple(write)
        other.simple(write + " ")
        other.simple("COMMIT")
        assert not is_asked(server, one, text)
        # a statement that has failed
        other.simple(write + " ")
        assert not is_asked(server, one, text)
        other.send(raw.parse("", write + " ") + raw.bind("", "") + raw.execute() + raw.SYNC)
        other.read_until("Z")
        assert not is_asked(server, one, text)
        other.simple("BEGIN")
        other.simple(write)
        other.simple("COMMIT")
        assert is_asked(server, one, text)


@pytest.mark.parametrize("statements", [
    ["INSERT INTO {0} VALUES (1)", "BEGIN", "INSERT INTO {0} VALUES (1)", "ROLLBACK"],
    ["BEGIN", "INSERT INTO {0} VALUES (1)", "COMMIT", "BEGIN", "ROLLBACK"],
    ["BEGIN", "INSERT INTO {0} VALUES (1)", "COMMIT AND CHAIN", "ROLLBACK"],
    ["BEGIN", "INSERT INTO {0} VALUES (1)", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'"]])
def test_a_rollback_behind_a_commit_in_a_pipeline(pgpool, server, user, text, table, statements):
    """Nothing of what was committed is taken for undone."""
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, other, f"INSERT INTO {table} VALUES (1)")
        server.replies["COMMIT AND CHAIN"] = complete("COMMIT")
        wait_kept(server, one, text)
        other.send(b"".join(raw.query(sql.format(table)) for sql in statements))
        other.read_until("Z", len(statements))
        assert is_asked(server, one, text)


def test_a_pipeline_of_writes_ends_with_the_last(pgpool, server, user, text, table):
    write = f"INSERT INTO {table} VALUES (99)"
    held = Held(write)
    server.script(user + "2", held)
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, one, f"INSERT INTO {table} VALUES (1)")
        wait_kept(server, one, text)
        other.send(raw.query(f"INSERT INTO {table} VALUES (1)") + raw.query(write))
        other.read_until("Z")
        assert held.come.wait(20)
        for _ in range(2):
            assert is_asked(server, one, text)
        held.go.set()
        other.read_until("Z")
        assert is_asked(server, one, text)
        assert not is_asked(server, one, text)


def test_copy(pgpool, server, user, text, table):
    copy = f"COPY {table} FROM STDIN"
    def script(connection):
        connection.login()
        connection.serve_until(copy)
        connection.send(COPY_IN)
        connection.expect("dc")
        connection.send(complete("COPY 1") + ready())
        connection.serve()

    server.script(user + "2", script)
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        learn(server, one, f"INSERT INTO {table} VALUES (1)")
        wait_kept(server, one, text)
        other.send(raw.query(copy))
        other.read_until("G")
        for _ in range(2):
            assert is_asked(server, one, text)
        other.send(raw.copy_data("1\n") + raw.COPY_DONE)
        assert kinds(other.read_until("Z")) == "CZ"
        assert is_asked(server, one, text)
        assert not is_asked(server, one, text)


def test_function_call(pgpool, server, user, text):
    def script(connection):
        connection.login()
        connection.expect("F")
        connection.send(raw.message("V", b"\xff\xff\xff\xff") + ready())
        connection.serve()

    server.script(user + "2", script)
    with client(pgpool, user) as one, client(pgpool, user + "2") as other:
        wait_kept(server, one, text)
        other.send(raw.function_call(20000))
        assert kinds(other.read_until("Z")) == "VZ"
        assert is_asked(server, one, text)


@pytest.mark.parametrize("how", ["lost", "left"])
def test_a_write_whose_end_is_not_heard_of(start_bed, how):
    """Its table gives no hits any more: nobody knows when it commits. Others do."""
    bed = start_bed(memory_cache_enabled="on")
    server, text, write = bed.servers[0], "SELECT a FROM t", "INSERT INTO t VALUES (99)"
    held = Held(write)
    server.script("u2", held)
    with client(bed.pgpool, "u") as one, client(bed.pgpool, "u2") as other:
        learn(server, one, "INSERT INTO t VALUES (1)")
        wait_kept(server, one, text)
        wait_kept(server, one, "SELECT a FROM other")
        other.send(raw.query(write))
        assert held.come.wait(20)
        server.left = 1
        if how == "lost":
            server.of("u2")[0].close()
            other.read_until("Z")
        else:
            other.close()
            server.of("u2")[0].gone.wait(10)
        held.go.set()
        for _ in range(3):
            assert is_asked(server, one, text)
        assert not is_asked(server, one, "SELECT a FROM other")
        server.left = 0
        wait_kept(server, one, text)


def test_a_client_that_leaves_its_transaction(pgpool, server, user, text, table):
    """It is rolled back, wherever its connection goes: entries stay, and others are kept."""
    write = f"INSERT INTO {table} VALUES (1)"
    with client(pgpool, user) as one:
        learn(server, one, write)
        wait_kept(server, one, text)
        with client(pgpool, user + "2") as other:
            other.simple("BEGIN")
            other.simple(write)
            assert is_asked(server, one, text)
        wait_for(lambda: not is_asked(server, one, text), "the doubt to be taken back")


# ---- transactions ----

def test_in_a_transaction(pgpool, server, user, text, table):
    """READ COMMITTED, as long as it has only read."""
    write = f"INSERT INTO {table}_2 VALUES (1)"
    with client(pgpool, user) as one:
        learn(server, one, write)
        wait_kept(server, one, text)
        one.simple("BEGIN ISOLATION LEVEL READ COMMITTED")
        before = server.asked(text)
        answer = one.simple(text)
        assert answer[-1].body == b"T" and server.asked(text) == before
        one.simple(write)
        for _ in range(2):
            assert is_asked(server, one, text)
        one.simple("COMMIT")
        answer = one.simple(text)
        assert answer[-1].body == b"I" and server.asked(text) == before + 2
        for level in ("REPEATABLE READ", "SERIALIZABLE"):
            one.simple(f"BEGIN ISOLATION LEVEL {level}")
            assert is_asked(server, one, text), level
            one.simple("COMMIT")
        one.simple("BEGIN ISOLATION LEVEL READ COMMITTED")
        one.simple("SET LOCAL timezone = 'UTC'")
        assert is_asked(server, one, text)
        one.simple("COMMIT")


# ---- sessions ----

def test_parameters_are_told_apart(pgpool, server, user, text):
    with client(pgpool, user) as one, client(pgpool, user) as other:
        wait_kept(server, one, text)
        other.simple("SET datestyle = 'german'")
        assert is_asked(server, other, text)
        assert not is_asked(server, other, text)
        other.simple("RESET datestyle")
        other.simple("SET application_name = 'x'")
        one.simple("SET datestyle = 'german'")
        assert not is_asked(server, one, text)
        with client(pgpool, user + "2") as third:
            assert is_asked(server, third, text)
        with client(pgpool, user, database="other") as third:
            assert is_asked(server, third, text)
        with client(pgpool, user, options="-c datestyle=iso") as third:
            assert is_asked(server, third, text)
        with client(pgpool, user, application_name="mine") as third:
            assert not is_asked(server, third, text)


def test_it_may_be_turned_off_for_a_session(pgpool, server, user, text):
    with client(pgpool, user) as one:
        wait_kept(server, one, text)
        one.simple("PGPOOL SET memory_cache_enabled = off")
        for _ in range(2):
            assert is_asked(server, one, text)
        forced = f"/*FORCE QUERY CACHE*/ {text}"
        wait_kept(server, one, forced)
        one.simple("PGPOOL RESET memory_cache_enabled")
        assert not is_asked(server, one, text)


def test_slots_and_counters(pgpool, server, user, text):
    """As if a server had answered."""
    def routed():
        with client(pgpool, "postgres", database="postgres") as other:
            return {name: int(count) for name, count, *_ in other.rows("SHOW pool_routing")}

    with client(pgpool, user) as one:
        wait_kept(server, one, text)
        before = routed()["cache"]
        one.simple(text)
        assert routed()["cache"] == before + 1


def test_limits_turn_it_on_and_off(start_bed):
    bed = start_bed(files={"pool_limits": "* on - - cache=on\n* off - - cache=off\n"})
    server, text = bed.servers[0], "SELECT a FROM t"
    with client(bed.pgpool, "on") as one, client(bed.pgpool, "off") as other, \
            client(bed.pgpool, "third") as third:
        wait_kept(server, one, text)
        for session in (other, third):
            for _ in range(2):
                assert is_asked(server, session, text)
        other.simple("INSERT INTO t VALUES (1)")
        assert is_asked(server, one, text)


def test_two_children(start_bed):
    """They share what is kept, and the doubts."""
    bed = start_bed(num_init_children=2, memory_cache_enabled="on")
    server, text, write = bed.servers[0], "SELECT a FROM t", "INSERT INTO t VALUES (99)"
    held = Held(write)
    with client(bed.pgpool, "u") as one, client(bed.pgpool, "u") as two, \
            client(bed.pgpool, "u") as three, client(bed.pgpool, "u") as four:
        learn(server, one, "INSERT INTO t VALUES (1)")
        wait_kept(server, one, text)
        for session in (two, three, four):
            assert not is_asked(server, session, text)
        four.simple("INSERT INTO t VALUES (1)")
        assert is_asked(server, one, text)
        server.script("w", held)
        with client(bed.pgpool, "w") as writer:
            writer.send(raw.query(write))
            assert held.come.wait(20)
            for session in (one, two, three, four):
                assert is_asked(server, session, text)
            held.go.set()
            writer.read_until("Z")
        assert [is_asked(server, session, text) for session in (one, two, three, four)] == \
            [True, False, False, False]


def test_off(start_bed):
    bed = start_bed()
    server, text = bed.servers[0], "SELECT a FROM t"
    with client(bed.pgpool, "u") as one:
        for _ in range(3):
            assert is_asked(server, one, text)
        assert codes(one.simple("PGPOOL SET memory_cache_enabled = on")) == ["55000", "Z"]


def test_without_invalidation(start_bed):
    """As documented: writes leave answers where they are."""
    bed = start_bed(memory_cache_enabled="on", memqcache_auto_cache_invalidation="off")
    server, text = bed.servers[0], "SELECT a FROM t"
    with client(bed.pgpool, "u") as one:
        wait_kept(server, one, text)
        one.simple("INSERT INTO t VALUES (1)")
        assert not is_asked(server, one, text)
