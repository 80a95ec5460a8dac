"""Sessions under attack: what follows a session from server to server, what must never reach a
standby or another client, and how a session ends."""

import threading
import time

import pytest

import raw
from raw import batch
from waiting import Background, wait_for
from wire_cases.script import CUT, READY, B, Case, D, E, End, H, P, Q, S, Until, ready


class Settled:
    """Lets the standbys catch up: the session reads from one of them again, unless it stays with
    the primary for good."""

    def __init__(self, seconds=0.5):
        self.seconds = seconds

    def play(self, connection):
        if connection.target.name == "direct":
            return []
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            if connection.rows("SELECT current_setting('cluster_name')") != [["node0"]]:
                break
            connection.quiet(0.01)
        return []


SETTLED = Settled()
TOKYO_READ = (SETTLED, Q("SELECT '2020-01-01 00:00Z'::timestamptz"), READY)
LONG = "/*" + "z" * 70_000 + "*/"


@pytest.fixture(scope="module", autouse=True, name="table")
def table_fixture(cluster):
    cluster.sql("""CREATE TABLE IF NOT EXISTS sess_t (a int, d date DEFAULT '2020-02-01');
                   TRUNCATE sess_t; INSERT INTO sess_t SELECT generate_series(1, 10)""")


@pytest.fixture(autouse=True, name="primary_known")
def primary_known_fixture(pgpool):
    """Right after the start standbys may have been heard of, and the primary not yet."""
    for _ in range(4):  # children have each their own view
        wait_for(lambda: primary_answers(pgpool), "the primary to be known")


def primary_answers(target):
    with raw.connected(target) as one:
        return "E" not in [got.kind for got in one.simple("SELECT txid_current()")]


@pytest.fixture(name="behind")
def behind_fixture(cluster):
    """Standbys that replay nothing."""
    for standby in cluster.servers[1:]:
        standby.rows("SELECT pg_wal_replay_pause(), 1")
    yield
    for standby in cluster.servers[1:]:
        standby.rows("SELECT pg_wal_replay_resume(), 1")
    cluster.wait_replayed()


# ---- the same answers as PostgreSQL's ------------------------------------------------------------

FAILS_LATE = "SELECT nothing FROM sess_t"  # only the server can tell that this is wrong

CASES = [
    # a name's statement
    Case("unnamed_statement_replaced_by_a_long_one", P("", "SELECT 1"), S, READY,
         P("", "SELECT 2 " + LONG), S, READY, B("", ""), E(), S, READY),
    Case("taken_name_and_a_long_statement", P("a", "SELECT 1"), S, READY,
         P("a", "SELECT 2 " + LONG), S, READY, B("", "a"), E(), S, READY),
    Case("name_of_a_failed_parse_reused_in_the_pipeline", P("a", FAILS_LATE), S,
         P("a", "SELECT 1"), S, ready(2), B("", "a"), E(), S, READY, B("", "a"), E(), S, READY),
    Case("unnamed_statement_after_a_setting_elsewhere", P("", "SELECT $1::int"), S, READY,
         P("s", "SET timezone = 'Asia/Tokyo'"), B("", "s"), E(), S, READY,
         P("w", "SELECT a FROM sess_t WHERE a = 1 FOR UPDATE"), B("", "w"), E(), S, READY,
         B("", "", "7"), E(), S, READY),
    # settings and transactions
    Case("setting_rolled_back_in_a_pipeline", Q("BEGIN"), Q("SET timezone = 'Asia/Tokyo'"),
         Q("ROLLBACK"), ready(3), *TOKYO_READ),
    Case("setting_chained_in_a_pipeline", Q("BEGIN"), Q("SET timezone = 'Asia/Tokyo'"),
         Q("COMMIT AND CHAIN"), Q("ROLLBACK"), ready(4), *TOKYO_READ),
    Case("setting_undone_by_savepoint_in_a_pipeline", Q("BEGIN"), Q("SAVEPOINT s"),
         Q("SET timezone = 'Asia/Tokyo'"), Q("ROLLBACK TO s"), Q("COMMIT"), ready(5), *TOKYO_READ),
    Case("setting_rolled_back_in_a_batch", batch("BEGIN", "SET timezone = 'Asia/Tokyo'",
                                                 "ROLLBACK"), READY, *TOKYO_READ),
    Case("setting_committed_in_a_batch", batch("BEGIN", "SET timezone = 'Asia/Tokyo'", "COMMIT"),
         READY, *TOKYO_READ),
    Case("setting_committed_in_a_batch_that_fails",
         batch("SET timezone = 'Asia/Tokyo'", "COMMIT", "SELECT 1/0"), READY, *TOKYO_READ),
    Case("setting_begun_and_committed_in_a_batch_that_fails",
         batch("BEGIN", "SET timezone = 'Asia/Tokyo'", "COMMIT", "SELECT 1/0"), READY, *TOKYO_READ),
    Case("setting_undone_by_savepoint_in_a_batch",
         batch("BEGIN", "SAVEPOINT s", "SET timezone = 'Asia/Tokyo'", "ROLLBACK TO s", "COMMIT"),
         READY, *TOKYO_READ),
    Case("setting_before_begin_in_a_batch",
         batch("SET timezone = 'Asia/Tokyo'", "BEGIN"), READY, Q("ROLLBACK"), READY, *TOKYO_READ),
    Case("setting_in_a_failed_transaction_pipelined", Q("BEGIN"), Q("SET timezone = 'Asia/Tokyo'"),
         Q("SELECT 1/0"), Q("COMMIT"), ready(4), *TOKYO_READ),
    Case("setting_and_prepare_transaction", Q("BEGIN"), READY, Q("SET timezone = 'Asia/Tokyo'"),
         READY, Q("PREPARE TRANSACTION 'sess_2pc'"), READY, Q("ROLLBACK PREPARED 'sess_2pc'"),
         READY, *TOKYO_READ),
    Case("setting_bound_but_not_executed", P("", "SET timezone = 'Asia/Tokyo'"), B("", ""), D("P"),
         S, READY, Q("SELECT d, d::timestamptz FROM sess_t WHERE a = 1 FOR UPDATE"), READY,
         *TOKYO_READ),
    Case("setting_bound_in_one_batch_and_executed_in_the_next", Q("BEGIN"), READY,
         P("", "SET timezone = 'Asia/Tokyo'"), B("p", ""), S, READY, E("p"), S, READY, Q("COMMIT"),
         READY, *TOKYO_READ),
    Case("setting_made_of_two", Q("SET datestyle = 'German'"), READY, Q("SET datestyle = 'MDY'"),
         READY, Q("SELECT d FROM sess_t WHERE a = 1"), READY,
         Q("SELECT d FROM sess_t WHERE a = 1 FOR UPDATE"), READY),
    Case("setting_by_update_of_pg_settings",
         Q("UPDATE pg_settings SET setting = 'Asia/Tokyo' WHERE name = 'TimeZone'"), READY,
         *TOKYO_READ),
    Case("setting_by_prepared_update_of_pg_settings",
         batch("UPDATE pg_settings SET setting = 'Asia/Tokyo' WHERE name = 'TimeZone'"), READY,
         *TOKYO_READ),
    Case("setting_on_the_reader_counts_on_the_primary", Q("SET timezone = 'Asia/Tokyo'"), READY,
         *TOKYO_READ, Q("INSERT INTO sess_t (a) VALUES (-77) RETURNING "
                              "'2020-01-01 00:00Z'::timestamptz"), READY,
         Q("DELETE FROM sess_t WHERE a = -77"), READY),
    Case("setting_on_the_primary_counts_on_the_reader", Q("BEGIN"), READY,
         Q("SET timezone = 'Asia/Tokyo'"), READY, Q("COMMIT"), READY, *TOKYO_READ,
         Q("RESET timezone"), READY, *TOKYO_READ),
    Case("setting_local_ends_with_its_transaction", Q("BEGIN"), READY,
         Q("SET LOCAL timezone = 'Asia/Tokyo'"), READY, *TOKYO_READ, Q("COMMIT"), READY,
         *TOKYO_READ),
    Case("setting_by_set_config", Q("SELECT set_config('timezone', 'Asia/Tokyo', false)"), READY,
         *TOKYO_READ, Q("DISCARD ALL"), READY, *TOKYO_READ),
    Case("setting_in_a_function",
         Q("CREATE FUNCTION pg_temp.tz() RETURNS void LANGUAGE plpgsql AS "
           "$$ BEGIN SET timezone = 'Asia/Tokyo'; END $$"), READY, Q("SELECT pg_temp.tz()"), READY,
         *TOKYO_READ),
    Case("setting_of_startup_options", *TOKYO_READ,
         Q("SELECT d::timestamptz FROM sess_t WHERE a = 1 FOR UPDATE"), READY,
         Q("SET timezone = 'Asia/Tokyo'"), READY, Q("RESET timezone"), READY, *TOKYO_READ,
         Q("DISCARD ALL"), READY, *TOKYO_READ, login={"options": "-c timezone=Asia/Kolkata"}),
    Case("reset_all_rolled_back", Q("SET timezone = 'Asia/Tokyo'"), READY, Q("BEGIN"), READY,
         Q("RESET ALL"), READY, Q("ROLLBACK"), READY, *TOKYO_READ),
    # what a standby cannot do
    Case("serializable_by_default", Q("SET default_transaction_isolation = 'serializable'"), READY,
         SETTLED, Q("SELECT count(*) FROM sess_t"), READY, Q("SHOW transaction_isolation"), READY),
    Case("serializable_by_startup_options", SETTLED, Q("SELECT count(*) FROM sess_t"), READY,
         login={"options": "-c default_transaction_isolation=serializable"}),
    Case("serializable_by_startup_parameter", SETTLED, Q("SELECT count(*) FROM sess_t"), READY,
         login={"default_transaction_isolation": "serializable"}),
    Case("serializable_for_one_transaction", Q("BEGIN"), READY,
         Q("SET transaction_isolation = 'serializable'"), READY, Q("COMMIT"), READY,
         SETTLED, Q("SELECT count(*) FROM sess_t"), READY),
    Case("read_write_outside_a_transaction", Q("SET transaction_read_only = off"), READY,
         SETTLED, Q("SELECT count(*) FROM sess_t"), READY),
    Case("read_only_by_default", Q("SET default_transaction_read_only = on"), READY,
         SETTLED, Q("SELECT count(*) FROM sess_t"), READY, Q("INSERT INTO sess_t VALUES (1)"),
         READY,
         Q("SET default_transaction_read_only = off"), READY, Q("SELECT count(*) FROM sess_t"),
         READY),
    # batches that end in an unusual way
    Case("query_behind_a_batch_that_was_only_flushed", P("a", "SELECT 1"), D("S", "a"), H,
         Until("T"), B("", "a"), E(), Q("SELECT a FROM sess_t WHERE a = 1 FOR UPDATE"), READY),
    Case("query_behind_a_flushed_parse", P("a", "SELECT 1"), D("S", "a"), H, Until("T"),
         Q("SELECT 2"), READY, S, READY, B("", "a"), E(), S, READY),
    Case("write_behind_a_flushed_read", P("a", "SELECT 1"), D("S", "a"), H, Until("T"), B("", "a"),
         E(), H, Until("C"), P("", "SELECT a FROM sess_t WHERE a = 1 FOR UPDATE"), B("", ""), E(),
         S, READY),
    Case("function_call_behind_a_flushed_parse", P("a", "SELECT 1"), D("S", "a"), H, Until("T"),
         raw.function_call(1397, "-5"), READY),
    Case("unknown_message_in_copy", Q("CREATE TEMP TABLE c (a int)"), READY,
         Q("COPY c FROM STDIN"), Until("G"), raw.message("y"), End(maybe_error=True)),
    Case("unknown_message_behind_a_copy_command", Q("CREATE TEMP TABLE c (a int)"), READY,
         Q("COPY c FROM STDIN"), raw.message("y"), Until("G"), End(maybe_error=True)),
    Case("terminate_in_copy", Q("CREATE TEMP TABLE c (a int)"), READY,
         P("", "COPY c FROM STDIN"), B("", ""), E(), H, Until("G"), raw.TERMINATE,
         End(maybe_error=True)),
    Case("read_error_then_flush_then_sync", P("", FAILS_LATE), H, Until("E"), B("", ""), E(), S,
         READY, Q("SELECT a FROM sess_t WHERE a = 1 FOR UPDATE"), READY),
    Case("suspended_portal_then_write", P("", "SELECT generate_series(1, 5)"), B("", ""),
         E("", 2), S, READY, Q("SELECT a FROM sess_t WHERE a = 1 FOR UPDATE"), READY),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_as_postgresql(direct, pgpool, case):
    assert case.play(pgpool) == case.play(direct)


# ---- views of ours in the middle of something ----------------------------------------------------

def kinds(messages):
    return "".join(got.kind for got in messages)


def test_view_in_a_failed_batch(pgpool):
    with raw.connected(pgpool) as one:
        one.send(P("", FAILS_LATE), H)
        assert one.read().fields()["C"] == "42703"
        one.send(P("", "SHOW pool_nodes"), B("", ""), E(), S)
        assert kinds(one.read_until("Z")) == "Z"
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("ending", [H, b""])
def test_view_in_an_open_batch(pgpool, ending):
    """Whatever the answer: the batch ends, and what follows is served."""
    with raw.connected(pgpool) as one:
        one.send(P("", "SELECT 1"), B("", ""), E(), ending)
        one.quiet(0.3)
        one.send(Q("SHOW pool_nodes"))
        one.read_until("Z")
        assert one.rows("SELECT 2") == [["2"]]
        assert one.rows("INSERT INTO sess_t VALUES (0) RETURNING a") == [["0"]]


def test_view_in_a_copy_ends_it(pgpool):
    with raw.connected(pgpool) as one:
        one.simple("CREATE TEMP TABLE c (a int)")
        one.send(Q("COPY c FROM STDIN"))
        one.read_until("G")
        one.send(Q("SHOW pool_nodes"))
        one.read_to_end()


# ---- freshness -----------------------------------------------------------------------------------

WRITES = {
    "flushed": (P("", "INSERT INTO sess_t VALUES (101)"), B("", ""), E(), H, Until("C"), S, READY),
    "flushed_with_a_read": (P("", "INSERT INTO sess_t VALUES (101)"), B("", ""), E(), H,
                            Until("C"), P("", "SELECT 1"), B("", ""), E(), S, READY),
    "long_batch": (P("w", "INSERT INTO sess_t VALUES ($1)"), S, READY,
                   *(B("", "w", str(n)) + E() for n in range(5000)), S, READY),
    "copy": (Q("COPY sess_t (a) FROM STDIN"), Until("G"), raw.copy_data("101\n"), raw.COPY_DONE,
             READY),
    "copy_by_execute": (P("", "COPY sess_t (a) FROM STDIN"), B("", ""), E(), H, Until("G"),
                        raw.copy_data("101\n"), raw.COPY_DONE, S, READY),
    "failed_batch_with_a_commit": (batch("INSERT INTO sess_t VALUES (101)", "COMMIT",
                                         "SELECT 1/0"), READY),
    "transaction": (Q("BEGIN"), READY, Q("INSERT INTO sess_t VALUES (101)"), READY, Q("COMMIT"),
                    READY),
    "transaction_in_a_batch": (batch("BEGIN", "INSERT INTO sess_t VALUES (101)", "COMMIT"), READY),
    "string": (Q("SELECT 1; INSERT INTO sess_t VALUES (101); SELECT 2"), READY),
    "held_back": (P("", "INSERT INTO sess_t VALUES (101)"), B("", ""), E(), CUT, CUT, S, READY),
    "prepared_transaction": (Q("BEGIN"), READY, Q("INSERT INTO sess_t VALUES (101)"), READY,
                             Q("PREPARE TRANSACTION 'sess_fresh'"), READY,
                             Q("COMMIT PREPARED 'sess_fresh'"), READY),
    "with_clause": (Q("WITH w AS (INSERT INTO sess_t VALUES (101) RETURNING a) SELECT * FROM w"),
                    READY),
    "sql_execute": (Q("PREPARE w AS INSERT INTO sess_t VALUES (101)"), READY, Q("EXECUTE w"),
                    READY),
    "do": (Q("DO $$ BEGIN INSERT INTO sess_t VALUES (101); END $$"), READY),
}


@pytest.mark.parametrize("write", WRITES)
def test_session_reads_what_it_wrote(cluster, pgpool, behind, write):
    with raw.connected(pgpool) as one:
        before = int(cluster.primary.value("SELECT count(*) FROM sess_t"))
        for step in WRITES[write]:
            if isinstance(step, bytes):
                one.send(step)
            else:
                step.play(one)
        after = cluster.primary.value("SELECT count(*) FROM sess_t")
        assert after > before
        for _ in range(5):
            assert one.rows("SELECT count(*) FROM sess_t") == [[str(after)]]


# ---- stalls --------------------------------------------------------------------------------------

def test_many_flushed_messages_behind_a_slow_one(pgpool):
    """More answers are owed than may be, and no Sync ends them."""
    count = 12_000
    with raw.connected(pgpool) as one:
        one.send(P("", "SELECT pg_sleep(0.5)"), B("", ""), E(), H)
        sender = Background(one.send, (raw.close("P") * 1000 + H) * (count // 1000) + S)
        answers = one.read_until("Z")
        sender.result()
        assert kinds(answers).count("3") == count


def test_many_messages_without_flush(pgpool):
    count = 30_000
    with raw.connected(pgpool) as one:
        one.send(P("", "SELECT pg_sleep(0.5)"), B("", ""), E())
        for _ in range(count // 1000):
            one.send(raw.close("P") * 1000)
        one.send(S)
        assert kinds(one.read_until("Z")).count("3") == count


# ---- one client's bytes --------------------------------------------------------------------------

def test_notifications_do_not_tear_rows(cluster, pgpool):
    """A listener that reads long rows gets each notification between two messages."""
    with raw.connected(pgpool) as one, raw.connected(pgpool) as two:
        one.simple("LISTEN sess_n")
        SETTLED.play(one)
        one.send(Q("SELECT repeat('r', 300000), pg_sleep(0.002) FROM generate_series(1, 100)"))
        stop = threading.Event()

        def notify():
            while not stop.is_set():
                two.simple("NOTIFY sess_n, 'torn'")

        other = Background(notify)
        try:
            answers = one.read_until("Z")
        finally:
            stop.set()
            other.result()
        rows = [got.row()[0] for got in answers if got.kind == "D"]
        assert len(rows) == 100
        assert all(row == b"r" * 300_000 for row in rows)
        assert set(kinds(answers)) <= set("TDCZA")
