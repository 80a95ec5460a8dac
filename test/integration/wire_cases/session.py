"""A session's state: settings and their reports, notifications, cancel, and what is left behind."""

import raw
from waiting import SLOW, wait_for
from wire_cases.script import (READY, B, Case, E, End, P, Q, Quiet, S, Scenario, Until, query_cases,
                               ready)

CASES = query_cases(
    "setting",
    ("reported", "SET application_name = 'one'", "SHOW application_name"),
    ("not_reported", "SET work_mem = '5MB'", "SHOW work_mem"),
    ("same_value", "SET application_name = 'one'", "SET application_name = 'one'",
     "SET application_name TO one"),
    ("rolled_back", "BEGIN", "SET application_name = 'one'", "ROLLBACK", "SHOW application_name"),
    ("committed", "BEGIN", "SET application_name = 'one'", "COMMIT", "SHOW application_name"),
    ("rolled_back_to_a_savepoint", "BEGIN", "SET timezone = 'Asia/Tokyo'", "SAVEPOINT s",
     "SET timezone = 'America/Lima'", "ROLLBACK TO s", "COMMIT", "SHOW timezone"),
    ("failed_transaction", "BEGIN", "SET application_name = 'one'", "SELECT 1/0", "ROLLBACK"),
    ("local", "BEGIN", "SET LOCAL application_name = 'one'", "SHOW application_name", "COMMIT",
     "SHOW application_name"),
    ("local_outside", "SET LOCAL application_name = 'one'"),
    ("reset", "SET application_name = 'one'", "RESET application_name", "SHOW application_name"),
    ("reset_all", "SET application_name = 'one'", "SET timezone = 'Asia/Tokyo'", "RESET ALL",
     "SHOW timezone"),
    ("default", "SET timezone = 'Asia/Tokyo'", "SET timezone TO DEFAULT", "SHOW timezone"),
    ("discard_all", "SET application_name = 'one'", "SET work_mem = '5MB'", "DISCARD ALL",
     "SHOW work_mem"),
    ("by_function", "SELECT set_config('application_name', 'one', false)",
     "SELECT set_config('work_mem', '6MB', false)", "SHOW work_mem",
     "SELECT current_setting('application_name')"),
    ("by_function_local", "SELECT set_config('application_name', 'one', true)",
     "SHOW application_name"),
    ("quoted", "SET application_name = 'it''s \"x\" \\ '", "SHOW application_name",
     "SET search_path = \"a\"\"b\", public", "SHOW search_path"),
    ("datestyle", "SET datestyle = 'German, DMY'", "SELECT '2020-02-01'::date",
     "SET intervalstyle = iso_8601", "SELECT '1 day'::interval"),
    ("encoding", "SET client_encoding = 'LATIN1'", "SELECT 'x'", "SET NAMES 'UTF8'",
     "SET client_encoding = 'nothing'"),
    ("role", "SET ROLE wire_role", "SELECT current_user, session_user", "SHOW is_superuser",
     "RESET ROLE", "SELECT current_user"),
    ("session_user", "SET SESSION AUTHORIZATION wire_role", "SELECT session_user",
     "RESET SESSION AUTHORIZATION", "SELECT session_user"),
    ("several", "SET application_name = 'one'; SET timezone = 'Asia/Tokyo'; SET work_mem = '5MB'",
     "SHOW timezone"),
    ("bad_value", "SET work_mem = 'many'", "SET timezone = 'Nowhere'", "SET nothing = 1",
     "SET custom.name = 'x'", "SHOW custom.name"),
    ("reads_follow_search_path", "CREATE TEMP VIEW where_am_i AS SELECT 1 AS here",
     "SET search_path = pg_temp", "SELECT * FROM where_am_i", "RESET search_path"),
    ("read_after_setting", "SET timezone = 'Asia/Tokyo'", "SELECT '2020-01-01 00:00Z'::timestamptz",
     "SET timezone = 'America/Lima'", "SELECT '2020-01-01 00:00Z'::timestamptz"),
    ("datestyle_in_parts", "SET datestyle TO iso", "SELECT '2020-03-02'::date",
     "SET datestyle TO ymd", "CREATE TEMP TABLE w AS SELECT '2020-03-02'::date::text AS d",
     "SELECT d FROM w", "SHOW datestyle"),
    ("default_read_only", "SET default_transaction_read_only = on", "CREATE TEMP TABLE w (a int)",
     "CREATE TABLE wire_x (a int)", "RESET default_transaction_read_only"),
    ("session_characteristics", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
     "CREATE TABLE wire_x (a int)"),
)

CASES += query_cases(
    "notify",
    ("oneself", "LISTEN wire_n", "NOTIFY wire_n, 'payload'", "UNLISTEN wire_n",
     "NOTIFY wire_n, 'lost'"),
    ("at_commit", "LISTEN wire_n", "BEGIN", "NOTIFY wire_n, 'one'", "NOTIFY wire_n, 'two'",
     "NOTIFY wire_n, 'one'", "COMMIT", "UNLISTEN *"),
    ("not_when_rolled_back", "LISTEN wire_n", "BEGIN", "NOTIFY wire_n", "ROLLBACK"),
    ("by_function", "LISTEN wire_n", "SELECT pg_notify('wire_n', 'x')"),
    ("listen_rolled_back", "BEGIN", "LISTEN wire_n", "ROLLBACK", "NOTIFY wire_n"),
    ("discarded", "LISTEN wire_n", "DISCARD ALL", "NOTIFY wire_n"),
    ("channels", "LISTEN wire_b", "LISTEN wire_a", "SELECT pg_listening_channels()",
     "UNLISTEN *", "SELECT pg_listening_channels()"),
)


def batch(sql):
    return P("", sql) + B("", "") + E() + S


CASES += [
    Case("setting_by_execute", batch("SET application_name = 'one'"), READY,
         batch("SHOW application_name"), READY),
    Case("settings_pipelined", batch("SET timezone = 'Asia/Tokyo'"), batch("SHOW timezone"),
         batch("RESET timezone"), batch("SHOW timezone"), ready(4)),
    Case("setting_in_a_batch_that_fails", P("", "SET application_name = 'one'"), B("", ""), E(),
         P("", "SELECT 1/0"), B("", ""), E(), S, READY, Q("SHOW application_name"), READY),
    Case("notify_by_execute", batch("LISTEN wire_n"), READY, batch("NOTIFY wire_n, 'x'"), READY),
    Case("terminated_by_itself", Q("SELECT pg_terminate_backend(pg_backend_pid())"), End()),
    Case("cancelled_by_itself", Q("SELECT pg_cancel_backend(pg_backend_pid())"), READY),
    Case("idle_in_transaction_timeout",
         Q(f"SET idle_in_transaction_session_timeout = {int(300 * SLOW)}"), READY,
         Q("BEGIN"), READY, Q("SELECT count(*) FROM wire_t"), READY, End()),
]


def scenario(function):
    CASES.append(Scenario(function))
    return function


def comparable(messages):
    return [got.comparable() for got in messages]


def cancel(target, pid, key):
    """Asks for a cancel and waits until the server has closed that connection."""
    with raw.Raw(target) as connection:
        connection.send(raw.cancel_request(pid, key))
        return connection.drain_to_end()


def wait_active(target, text):
    """Until a query with this text runs on one of the servers."""
    wait_for(lambda: any(server.value(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s "
        "AND pid <> pg_backend_pid()", f"%{text}%") for server in target.cluster.servers),
        f"{text} to run")


def sleeping(target, connection, sql, mark):
    """Starts a query that takes long, and returns once it runs."""
    connection.send(sql)
    wait_active(target, mark)


@scenario
def cancel_running_query(target):
    with raw.connected(target) as one:
        sleeping(target, one, Q("SELECT pg_sleep(30) /*c1*/"), "*c1*")
        out = [cancel(target, one.pid, one.key)]
        out += comparable(one.read_until("Z"))
        return out + ["quiet" if one.quiet(0.1) else "noise"] + comparable(one.simple("SELECT 1"))


@scenario
def cancel_in_a_transaction(target):
    with raw.connected(target) as one:
        one.simple("BEGIN")
        sleeping(target, one, Q("SELECT pg_sleep(30) /*c2*/"), "*c2*")
        cancel(target, one.pid, one.key)
        return comparable(one.read_until("Z") + one.simple("SELECT 1") + one.simple("ROLLBACK"))


@scenario
def cancel_a_batch(target):
    with raw.connected(target) as one:
        sleeping(target, one, P("", "SELECT pg_sleep(30) /*c3*/") + B("", "") + E() +
                 P("", "SELECT 2") + B("", "") + E() + S + batch("SELECT 3"), "*c3*")
        cancel(target, one.pid, one.key)
        return comparable(one.read_until("Z", 2))


@scenario
def cancel_a_pipelined_query_keeps_the_next(target):
    """PostgreSQL signals the process and its group: on a busy machine the second signal may come
    late, and hit the next one after all. Not each time."""
    for _ in range(5):
        with raw.connected(target) as one:
            sleeping(target, one, Q("SELECT pg_sleep(30) /*c4*/") + Q("SELECT 2"), "*c4*")
            cancel(target, one.pid, one.key)
            got = one.read_until("Z", 2)
        if len(raw.codes(got)) == 1:
            break
    return comparable(got)


@scenario
def cancel_twice(target):
    with raw.connected(target) as one:
        sleeping(target, one, Q("SELECT pg_sleep(30) /*c5*/"), "*c5*")
        cancel(target, one.pid, one.key)
        out = one.read_until("Z")
        cancel(target, one.pid, one.key)
        one.simple("SELECT 'may be hit'")
        return comparable(out + one.simple("SELECT 1"))


@scenario
def cancel_idle_session(target):
    with raw.connected(target) as one:
        out = [cancel(target, one.pid, one.key), one.quiet(0.2)]
        return out + comparable(one.simple("SELECT 1"))


@scenario
def cancel_with_a_wrong_key(target):
    with raw.connected(target) as one:
        sleeping(target, one, Q(f"SELECT pg_sleep({SLOW}) /*c6*/"), "*c6*")
        out = [cancel(target, one.pid, bytes(b ^ 1 for b in one.key)),
               cancel(target, one.pid + 1, one.key)]
        return out + comparable(one.read_until("Z"))


@scenario
def cancel_never_hits_another_session(target):
    with raw.connected(target) as one, raw.connected(target) as two:
        sleeping(target, two, Q(f"SELECT pg_sleep({SLOW}) /*c7*/"), "*c7*")
        cancel(target, one.pid, one.key)
        return comparable(two.read_until("Z") + one.simple("SELECT 1"))


@scenario
def cancel_a_copy_out(target):
    with raw.connected(target) as one:
        sleeping(target, one, Q("COPY (SELECT g, pg_sleep(0.01) FROM generate_series(1, 10000) g "
                                "/*c8*/) TO STDOUT"), "*c8*")
        cancel(target, one.pid, one.key)
        out = [got for got in one.read_until("Z") if got.kind != "d"]
        return comparable(out + one.simple("SELECT 1"))


@scenario
def cancel_with_a_finished_session_s_key(target):
    with raw.connected(target) as one:
        pid, key = one.pid, one.key
        one.send(raw.TERMINATE)
        one.read_to_end()
    with raw.connected(target) as two:
        out = [cancel(target, pid, key)]
        return out + comparable(two.simple("SELECT 1"))


@scenario
def hundred_cancels_at_once(target):
    with raw.connected(target) as one:
        for _ in range(100):
            with raw.Raw(target) as connection:
                connection.send(raw.cancel_request(one.pid, bytes(len(one.key))))
        return comparable(one.simple("SELECT 1"))


@scenario
def notification_reaches_an_idle_listener(target):
    with raw.connected(target) as one, raw.connected(target) as two:
        one.simple("LISTEN wire_idle")
        two.simple("NOTIFY wire_idle, 'first'")
        out = one.read_until("A")
        two.simple("SELECT pg_notify('wire_idle', 'second')")
        out += one.read_until("A")
        two.simple("NOTIFY wire_other, 'not for one'")
        return comparable(out) + [one.quiet(0.1)] + comparable(one.simple("SELECT 1"))


@scenario
def notification_waits_for_the_transaction(target):
    with raw.connected(target) as one, raw.connected(target) as two:
        one.simple("LISTEN wire_busy")
        one.simple("BEGIN")
        two.simple("NOTIFY wire_busy, 'x'")
        out = one.simple("SELECT 1")
        return comparable(out + one.simple("COMMIT"))


def leave(target, *queries, read=True):
    """A client that does this and goes away without a word."""
    with raw.connected(target) as connection:
        for sql in queries:
            connection.send(Q(sql))
            if read:
                connection.read_until("ZG")


def next_clients(target, *queries, count=4):
    """What clients that come afterwards see; several, so that a reused server is met."""
    out = []
    for _ in range(count):
        with raw.connected(target) as connection:
            for sql in queries:
                out += comparable(connection.simple(sql))
            connection.send(raw.TERMINATE)
    return out


@scenario
def disconnect_in_a_transaction(target):
    for _ in range(4):
        leave(target, "BEGIN", "INSERT INTO wire_t VALUES (500, 'lost')")
    return next_clients(target, "SELECT * FROM wire_t WHERE id = 500")


@scenario
def disconnect_in_a_failed_transaction(target):
    for _ in range(4):
        leave(target, "BEGIN", "SELECT 1/0")
    return next_clients(target, "SELECT 1")


@scenario
def disconnect_releases_locks(target):
    for _ in range(2):
        leave(target, "SELECT pg_advisory_lock(4711)", "BEGIN", "LOCK TABLE wire_t")
    wait_for(lambda: target.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
                                  "AND objid = 4711") == 0, "the advisory lock to be released")
    return next_clients(target, "BEGIN; LOCK TABLE wire_t NOWAIT; COMMIT",
                        "SELECT pg_try_advisory_xact_lock(4711)", count=2)


@scenario
def disconnect_with_settings(target):
    for _ in range(4):
        leave(target, "SET work_mem = '9MB'", "SET application_name = 'left'",
              "SET timezone = 'Asia/Tokyo'", "CREATE TEMP TABLE left_behind (a int)",
              "PREPARE left_prepared AS SELECT 1", "LISTEN wire_left", "SET ROLE wire_role")
    return next_clients(target, "SHOW work_mem", "SHOW application_name", "SHOW timezone",
                        "SELECT to_regclass('left_behind')", "EXECUTE left_prepared",
                        "SELECT pg_listening_channels()", "SELECT current_user",
                        "NOTIFY wire_left")


@scenario
def disconnect_in_a_running_query(target):
    for _ in range(4):
        leave(target, "SELECT pg_sleep(0.3)", read=False)
    return next_clients(target, "SELECT 1")


@scenario
def disconnect_with_unread_rows(target):
    for _ in range(4):
        leave(target, "SELECT repeat('x', 1000) FROM generate_series(1, 20000)", read=False)
    return next_clients(target, "SELECT 2")


@scenario
def disconnect_in_copy_in(target):
    for _ in range(4):
        leave(target, "BEGIN", "COPY wire_t FROM STDIN")
    return next_clients(target, "SELECT count(*) FROM wire_t", "BEGIN; LOCK TABLE wire_t; COMMIT")


@scenario
def disconnect_after_parse_only(target):
    for _ in range(4):
        with raw.connected(target) as connection:
            connection.send(P("left", "SELECT 1"), B("left_portal", "left"))
    return next_clients(target, "EXECUTE left", "SELECT 1")


@scenario
def disconnect_in_an_errored_batch(target):
    for _ in range(4):
        with raw.connected(target) as connection:
            connection.send(P("", "SELEC"), B("", ""), raw.FLUSH)
            connection.read_until("E")
    return next_clients(target, "SELECT 1")


@scenario
def disconnect_in_a_half_message(target):
    for _ in range(4):
        with raw.connected(target) as connection:
            connection.send(Q("SELECT 1")[:-4])
    return next_clients(target, "SELECT 2")


@scenario
def disconnect_within_startup(target):
    hello = raw.startup({"user": "postgres", "database": "test"})
    for data in (b"", hello[:3], hello[:20], raw.SSL_REQUEST, raw.SSL_REQUEST[:5]):
        with raw.Raw(target) as connection:
            connection.send(data)
    return next_clients(target, "SELECT 1", count=2)


@scenario
def disconnect_right_after_startup(target):
    for _ in range(5):
        with raw.Raw(target) as connection:
            connection.send(raw.startup({"user": "postgres", "database": "test"}))
    return next_clients(target, "SELECT 1", count=2)


@scenario
def terminated_session_gets_one_error(target):
    with raw.connected(target) as one, raw.connected(target) as two:
        pid = one.rows("SELECT pg_backend_pid() FROM (SELECT pg_advisory_lock(99)) l")[0][0]
        killed = two.rows(f"SELECT pg_terminate_backend({pid}), pg_advisory_lock(98)")[0][0]
        return [killed] + comparable(one.read_to_end()) + comparable(two.simple("SELECT 1"))


@scenario
def two_sessions_see_each_other_s_commits(target):
    with raw.connected(target) as one, raw.connected(target) as two:
        out = one.simple("CREATE TABLE wire_two (a int)")
        out += one.simple("INSERT INTO wire_two VALUES (1)")
        out += one.simple("SELECT * FROM wire_two")
        out += two.simple("BEGIN; INSERT INTO wire_two VALUES (2)")
        out += one.simple("BEGIN; SELECT * FROM wire_two FOR UPDATE; COMMIT")
        out += two.simple("COMMIT")
        out += one.simple("BEGIN; LOCK TABLE wire_two; SELECT * FROM wire_two; COMMIT")
        return comparable(out + one.simple("DROP TABLE wire_two"))


@scenario
def every_boundary_of_a_batch(target):
    data = P("", "SELECT $1::text") + B("", "", "x") + raw.describe("P") + E() + S + Q("SELECT 2")
    out = []
    with raw.connected(target) as one:
        for at in range(1, len(data)):
            one.send(data[:at])
            one.quiet(0.001)
            one.send(data[at:])
            out += comparable(one.read_until("Z", 2))
    return out


@scenario
def every_boundary_of_a_startup(target):
    data = raw.startup({"user": "postgres", "database": "test", "application_name": "cut"})
    out = []
    for at in range(1, len(data), 3):
        with raw.Raw(target) as one:
            one.send(data[:at])
            one.quiet(0.001)
            one.send(data[at:])
            out.append(one.read_until("ZE")[-1].comparable())
            one.send(raw.TERMINATE)
    return out
