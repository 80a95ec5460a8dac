"""PGPOOL SHOW, SET and RESET; what is told of statements and of servers' messages; the lag in the
log and in pool_replication."""

import asyncio
import re
import signal

import asyncpg
import psycopg
import pytest

import raw
from waiting import wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.plain]

PGPOOL_SETTINGS = {"recovery_password": "hidden", "sr_check_password": "hidden too"}


def kinds(messages):
    return "".join(got.kind for got in messages)


def fields(messages, kind="E"):
    (found,) = [got.fields() for got in messages if got.kind == kind]
    return found


def shown(one, name):
    return one.rows(f"PGPOOL SHOW {name}")[0][0]


def extended(sql, name=""):
    return b"".join((raw.parse(name, sql), raw.bind("", name), raw.describe("P"), raw.execute(),
                     raw.SYNC))


def tag(messages):
    (found,) = [got.body.rstrip(b"\0").decode() for got in messages if got.kind == "C"]
    return found


@pytest.fixture(name="one")
def one_fixture(pgpool):
    with raw.connected(pgpool) as one:
        yield one


def in_recovery(one):
    return one.rows("SELECT pg_is_in_recovery()") == [["t"]]


# ---- SHOW ----------------------------------------------------------------------------------------

def test_show_names_its_column_after_the_parameter(one, pgpool):
    answer = one.simple("PGPOOL SHOW PORT")
    assert kinds(answer) == "TDCZ"
    assert [column[0] for column in answer[0].columns()] == ["port"]
    assert answer[1].row() == [str(pgpool.port).encode()]
    assert tag(answer) == "SHOW"
    one.send(extended("PGPOOL SHOW backend_port1"))
    answer = one.read_until("Z")
    assert kinds(answer) == "12TDCZ"
    assert answer[3].row() == [str(pgpool.cluster.servers[1].port).encode()]


def test_show_all_and_groups(one, pgpool):
    answer = one.simple("PGPOOL SHOW ALL")
    assert [column[0] for column in answer[0].columns()] == ["item", "value", "description"]
    assert one.rows("PGPOOL SHOW ALL") == one.rows("SHOW pool_status")
    items = {row[0]: row[1] for row in one.rows("PGPOOL SHOW backend")}
    assert items["backend_port2"] == str(pgpool.cluster.servers[2].port)
    assert all(item.startswith("backend_") for item in items)
    assert one.rows("PGPOOL SHOW watchdog") == one.rows("PGPOOL SHOW heartbeat") == []
    assert "health_check_period0" in [row[0] for row in one.rows("PGPOOL SHOW health_check")]


def test_secrets_are_never_shown(one):
    for name in ("recovery_password", "sr_check_password"):
        assert shown(one, name) == "****"
    assert not any("hidden" in value for row in one.rows("PGPOOL SHOW ALL") for value in row)


@pytest.mark.parametrize("name", ["nonsense", "backend_port", "backend_port7", "parallel_mode",
                                  "pool_nodes", "x" * 500])
def test_unknown_parameters_are_an_error_with_a_hint(one, name):
    wrong = fields(one.simple(f"PGPOOL SHOW {name}"))
    if len(name) < 64:
        assert (wrong["C"], bool(wrong["H"])) == ("42704", True)
    assert one.rows("SELECT 1") == [["1"]]


# ---- SET and RESET -------------------------------------------------------------------------------

def test_set_is_the_session_s_own(one, pgpool):
    assert tag(one.simple("PGPOOL SET log_statement TO on")) == "SET"
    assert tag(one.simple("PGPOOL SET client_idle_limit = '5min'")) == "SET"
    assert (shown(one, "log_statement"), shown(one, "client_idle_limit")) == ("on", "5min")
    with raw.connected(pgpool) as other:
        assert (shown(other, "log_statement"), shown(other, "client_idle_limit")) == ("off", "0")
    assert tag(one.simple("PGPOOL RESET client_idle_limit")) == "SET"
    assert (shown(one, "log_statement"), shown(one, "client_idle_limit")) == ("on", "0")
    one.simple("PGPOOL SET client_idle_limit = 7")
    assert tag(one.simple("PGPOOL SET log_statement TO DEFAULT")) == "SET"
    assert shown(one, "log_statement") == "off"
    assert tag(one.simple("PGPOOL RESET ALL")) == "RESET"
    assert shown(one, "client_idle_limit") == "0"


def test_set_takes_effect(one, pgpool):
    one.rows("SELECT 'not logged'")
    one.simple("PGPOOL SET log_statement = on")
    one.rows("SELECT 'logged'")
    wait_for(lambda: "statement: SELECT 'logged'" in pgpool.log_since_mark(), "the log")
    assert "SELECT 'not logged'" not in pgpool.log_since_mark()


def test_idle_limit_of_the_session(one, pgpool):
    with raw.connected(pgpool) as other:
        one.simple("PGPOOL SET client_idle_limit = 1")
        (end,) = [got for got in one.read_to_end() if got.kind == "E"]
        assert end.fields()["C"] == "57P05"
        assert other.rows("SELECT 1") == [["1"]]


def test_extended_protocol(one):
    one.send(extended("PGPOOL SET log_statement = on"))
    assert kinds(one.read_until("Z")) == "12nCZ"
    one.send(raw.parse("s", "PGPOOL SHOW log_statement"), raw.describe("S", "s"), raw.SYNC)
    assert kinds(one.read_until("Z")) == "1tTZ"
    one.send(raw.bind("", "s"), raw.execute(), raw.FLUSH)
    assert one.read_until("C")[1].row() == [b"on"]
    one.send(raw.SYNC)
    one.read_until("Z")
    one.send(raw.parse("r", "PGPOOL RESET ALL"), raw.describe("S", "r"), raw.bind("p", "r"),
             raw.execute("p"), raw.bind("", "s"), raw.execute(), raw.SYNC)
    answer = one.read_until("Z")
    assert kinds(answer) == "1tn2C2DCZ"
    assert answer[6].row() == [b"off"]
    one.send(raw.bind("", "s"), raw.execute("other"), raw.SYNC)
    assert fields(one.read_until("Z"))["C"] == "34000"
    one.send(raw.bind("", "s", "value"), raw.execute(), raw.SYNC)
    assert fields(one.read_until("Z"))["C"] == "08P01"
    one.send(raw.parse("", "PGPOOL SET log_statement = $1"), raw.SYNC)
    assert fields(one.read_until("Z"))["C"] == "42601"
    one.send(raw.close("S", "s"), raw.SYNC)
    assert kinds(one.read_until("Z")) == "3Z"
    one.send(raw.bind("", "s"), raw.execute(), raw.SYNC)
    assert fields(one.read_until("Z"))["C"] == "26000"


def test_batch_in_pieces(one):
    """A portal of ours lives up to Sync, and no longer."""
    one.send(raw.parse("", "PGPOOL SHOW port"), raw.FLUSH)
    assert one.read().kind == "1"
    one.send(raw.bind("", ""), raw.FLUSH)
    assert one.read().kind == "2"
    one.send(raw.describe("P"), raw.FLUSH)
    assert one.read().kind == "T"
    one.send(raw.execute(), raw.SYNC)
    assert kinds(one.read_until("Z")) == "DCZ"
    for between in (raw.SYNC, raw.query("SELECT 1"), extended("SELECT 1")):
        one.send(raw.parse("", "PGPOOL SHOW port"), raw.bind("", ""), raw.FLUSH)
        one.read_until("2")
        one.send(between)
        one.read_until("Z")
        one.send(raw.execute(), raw.SYNC)
        assert fields(one.read_until("Z"))["C"] == "34000"


def test_closing_the_unnamed_statement_keeps_the_named(one):
    one.send(raw.parse("kept", "SELECT 7"), raw.SYNC, raw.parse("", "PGPOOL SHOW port"),
             raw.close("S"), raw.SYNC, raw.bind("", "kept"), raw.execute(), raw.SYNC)
    answer = one.read_until("Z", 3)
    assert kinds(answer) == "1Z13Z2DCZ"


def test_pipeline_of_ours_and_theirs(one):
    """Answers come in order, and each statement finds what stood in front of it."""
    one.send(raw.query("SELECT 1"), raw.query("PGPOOL SET log_per_node_statement = on"),
             raw.query("SELECT 2"), extended("PGPOOL SHOW log_per_node_statement"),
             raw.query("PGPOOL RESET ALL"), extended("SELECT 3"),
             raw.query("PGPOOL SHOW log_per_node_statement"))
    answer = one.read_until("Z", 7)
    assert kinds(answer) == "TDCZ" "CZ" "TDCZ" "12TDCZ" "CZ" "12TDCZ" "TDCZ"
    assert [got.row() for got in answer if got.kind == "D"] == \
        [[b"1"], [b"2"], [b"on"], [b"3"], [b"off"]]


@pytest.mark.parametrize("sql, code, words", [
    ("PGPOOL SET nonsense = 1", "42704", "nonsense"),
    ("PGPOOL SET log_statment = on", "42704", "log_statment"),
    ("PGPOOL SET port = 1", "55P02", "restart"),
    ("PGPOOL SET delay_threshold = 1", "55P02", "cannot be changed now"),
    ("PGPOOL SET recovery_password = 'a secret'", "55P02", "cannot be changed"),
    ("PGPOOL SET log_statement = perhaps", "22023", '"perhaps"'),
    ("PGPOOL SET client_idle_limit = -1", "22023", '"-1"'),
    ("PGPOOL SET read_consistency = 'strong'", "22023", '"strong"'),
    ("PGPOOL RESET port", "55P02", "port"),
    ("PGPOOL RESET nonsense", "42704", "nonsense"),
    ("PGPOOL DROP everything", "42601", '"DROP"'),
])
def test_wrong_settings_are_errors_with_hints(one, sql, code, words):
    for extended_too in (False, True):
        one.send(extended(sql) if extended_too else raw.query(sql))
        wrong = fields(one.read_until("Z"))
        assert (wrong["S"], wrong["C"]) == ("ERROR", code)
        assert words in wrong["M"]
        assert wrong.get("H")
        assert "a secret" not in str(wrong)
    assert one.rows("SELECT 1") == [["1"]]


def test_failed_transaction_takes_no_setting(one):
    for begin in ("BEGIN", "BEGIN; SELECT 1/0"):
        one.simple(begin)
        if begin == "BEGIN":
            one.simple("SELECT 1/0")
        for sql in ("PGPOOL SET log_statement = on", "PGPOOL RESET ALL"):
            one.send(raw.query(sql), extended(sql))
            answer = one.read_until("Z", 2)
            assert [got.fields()["C"] for got in answer if got.kind == "E"] == ["25P02"] * 2
            assert answer[-1].body == b"E"
        one.simple("ROLLBACK")
    assert shown(one, "log_statement") == "off"


def test_transactions_do_not_undo_a_setting(one):
    """Also in one whose BEGIN no server has seen yet."""
    for first in ("SELECT 1", "CREATE TEMP TABLE x (i int)"):
        one.simple("BEGIN")
        assert tag(one.simple("PGPOOL SET log_statement = on")) == "SET"
        one.simple(first)
        assert one.simple("PGPOOL SET client_idle_limit = 77")[-1].body == b"T"
        one.simple("ROLLBACK")
        assert (shown(one, "log_statement"), shown(one, "client_idle_limit")) == ("on", "77s")
        one.simple("PGPOOL RESET ALL")


@pytest.mark.parametrize("sql", ["DISCARD ALL", "RESET ALL"])
def test_postgresql_s_own_reset_does_not_touch_it(one, sql):
    one.simple("PGPOOL SET log_statement = on")
    assert kinds(one.simple(sql))[-2:] == "CZ"
    assert shown(one, "log_statement") == "on"


@pytest.mark.parametrize("sql", [
    "PGPOOL SET log_statement = on; SELECT 1", "SELECT 1; PGPOOL SET log_statement = on",
    "SHOW pool_nodes; SELECT 1", "PGPOOL SHOW ALL; PGPOOL SHOW ALL"])
def test_refused_beside_other_statements(one, sql):
    wrong = fields(one.simple(sql))
    assert wrong["C"] == "0A000" and wrong["H"]
    first, second = sql.split("; ")
    one.send(raw.parse("", first), raw.bind("", ""), raw.execute(), raw.parse("", second),
             raw.bind("", ""), raw.execute(), raw.SYNC)
    answer = one.read_until("Z")
    if "PGPOOL SHOW" not in first:
        assert kinds(answer) == "EZ" and fields(answer)["C"] == "0A000"
    assert one.rows("SELECT 1") == [["1"]]
    assert shown(one, "log_statement") == "off"


def test_survives_a_reload(one, pgpool):
    one.simple("PGPOOL SET client_idle_limit = 100")
    with raw.connected(pgpool) as other:
        pgpool.write_config(client_idle_limit=50, log_statement="on")
        pgpool.process.send_signal(signal.SIGHUP)
        wait_for(lambda: shown(other, "client_idle_limit") == "50s", "the reload")
        wait_for(lambda: shown(one, "log_statement") == "on", "the reload in the other child")
        assert shown(one, "client_idle_limit") == "100s"
        one.simple("PGPOOL RESET client_idle_limit")
        assert shown(one, "client_idle_limit") == "50s"
        one.simple("PGPOOL SET log_statement = off")
        pgpool.write_config(client_idle_limit=0, log_statement="off")
        pgpool.process.send_signal(signal.SIGHUP)
        wait_for(lambda: shown(one, "client_idle_limit") == "0", "the second reload")
        assert shown(one, "log_statement") == "off"


def test_settings_end_with_the_session(pgpool):
    for _ in range(4):
        with raw.connected(pgpool) as one:
            assert shown(one, "log_statement") == "off"
            one.simple("PGPOOL SET log_statement = on")


def test_drivers(pgpool):
    with psycopg.connect(pgpool.dsn(), autocommit=True) as connection:
        connection.execute("PGPOOL SET read_consistency TO 'eventual'", prepare=True)
        assert connection.execute("PGPOOL SHOW read_consistency", prepare=True,
                                  binary=True).fetchall() == [("eventual",)]
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            connection.execute("PGPOOL SET read_consistency TO 'never'")
    # a driver's transaction around all of it
    with psycopg.connect(pgpool.dsn()) as connection:
        connection.execute("PGPOOL SET log_statement = on")
        connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("PGPOOL SHOW log_statement").fetchall() == [("on",)]


@pytest.mark.filterwarnings("ignore")
def test_asyncpg(pgpool):
    async def talk():
        connection = await asyncpg.connect(host=pgpool.host, port=pgpool.port, user="postgres",
                                           database="test")
        await connection.execute("PGPOOL SET log_statement = on")
        row = await connection.fetchrow("PGPOOL SHOW log_statement")
        await connection.close()
        return row["log_statement"]

    assert asyncio.run(talk()) == "on"


# ---- read_consistency ----------------------------------------------------------------------------

def test_consistency_of_the_session(one, pgpool, cluster):
    """With replay paused: who writes reads from the primary, whatever is set meanwhile; who says
    that it does not matter reads what the standbys have."""
    cluster.sql("CREATE TABLE IF NOT EXISTS own (n int); TRUNCATE own")
    for standby in cluster.servers[1:]:
        standby.rows("SELECT pg_wal_replay_pause()")
    try:
        one.simple("PGPOOL SET read_consistency = eventual")
        one.rows("INSERT INTO own VALUES (1)")
        wait_for(lambda: in_recovery(one), "the catalog to tell that the table has no triggers")
        assert one.rows("SELECT n FROM own") == []
        one.simple("PGPOOL SET read_consistency = session")
        assert one.rows("SELECT n FROM own") == [["1"]] and not in_recovery(one)
        one.simple("PGPOOL SET read_consistency TO eventual")
        assert one.rows("SELECT n FROM own") == []
        one.simple("PGPOOL RESET ALL")
        assert one.rows("SELECT n FROM own") == [["1"]]
    finally:
        for standby in cluster.servers[1:]:
            standby.rows("SELECT pg_wal_replay_resume()")
        cluster.wait_replayed()


def test_global_consistency_of_one_session(one, pgpool, cluster):
    """What others write counts for the one that has said so, and for no other."""
    cluster.sql("CREATE TABLE IF NOT EXISTS own (n int); TRUNCATE own")
    with raw.connected(pgpool) as writer, raw.connected(pgpool) as other:
        # nobody may wait for something older
        wait_for(lambda: in_recovery(one) and in_recovery(other), "reads to go to standbys")
        one.simple("PGPOOL SET read_consistency = global")
        for standby in cluster.servers[1:]:
            standby.rows("SELECT pg_wal_replay_pause()")
        try:
            writer.rows("INSERT INTO own VALUES (1)")
            assert one.rows("SELECT n FROM own") == [["1"]]
            assert other.rows("SELECT n FROM own") == []
        finally:
            for standby in cluster.servers[1:]:
                standby.rows("SELECT pg_wal_replay_resume()")
            cluster.wait_replayed()


# ---- notices and messages ------------------------------------------------------------------------

def notices(messages):
    return [got.fields()["M"] for got in messages if got.kind == "N"]


def backend_pid(one):
    return one.rows("SELECT pg_backend_pid()")[0][0]


def test_notice_per_node_statement(one):
    wait_for(lambda: in_recovery(one), "reads to go to a standby")
    one.simple("PGPOOL SET notice_per_node_statement = on")
    for sql, nodes in (("SELECT pg_is_in_recovery()", "12"), ("SELECT pg_backend_pid()", "0")):
        answer = one.simple(sql)
        (said,) = notices(answer)
        node, pid, text = re.fullmatch(r"DB node id: (\d+) backend pid: (\d+) statement: (.*)",
                                       said).groups()
        assert node in nodes and text == sql
        assert fields(answer, "N")["S"] == "NOTICE"
    assert [got.row() for got in answer if got.kind == "D"] == [[pid.encode()]]
    one.send(extended("CREATE TEMP TABLE t (i int)"))
    (said,) = notices(one.read_until("Z"))
    assert said.startswith("DB node id: 0 ") and said.endswith(": CREATE TEMP TABLE t (i int)")
    one.send(raw.parse("s", "SELECT 5"), raw.SYNC, raw.bind("", "s"), raw.execute(), raw.SYNC,
             raw.query("SELECT 6"), raw.query("COMMIT"))
    assert [said.split(": ")[-1] for said in notices(one.read_until("Z", 4))] == \
        ["SELECT 5", "SELECT 6", "COMMIT", "there is no transaction in progress"]
    one.simple("PGPOOL SET client_min_messages = warning")
    assert kinds(one.simple("SELECT 1")) == "TDCZ"
    one.simple("PGPOOL SET client_min_messages = log")
    assert kinds(one.simple("SELECT 1")) == "NTDCZ"
    one.simple("PGPOOL RESET ALL")
    assert kinds(one.simple("SELECT 1")) == "TDCZ"


def test_long_statements_are_noticed_whole(one):
    one.simple("PGPOOL SET notice_per_node_statement = on")
    text = "SELECT '" + "ä" * 20000 + "'"
    (said,) = notices(one.simple(text))
    assert said.endswith(text)


def test_no_notice_inside_of_a_message(one):
    """A row of 40 MB passes in pieces while further statements come in."""
    one.simple("PGPOOL SET notice_per_node_statement = on")
    one.send(raw.query("SELECT repeat('x', 40000000)"))
    first = [one.read(), one.read()]
    assert kinds(first) == "NT"
    for number in range(50):
        one.send(raw.query(f"SELECT {number}"))
    answer = one.read_until("Z", 51)
    assert len(notices(answer)) == 50
    (row,) = [got.row() for got in answer if got.kind == "D" and len(got.body) > 10 ** 6]
    assert row == [b"x" * 40000000]
    assert [got.row() for got in answer if got.kind == "D"][1:] == \
        [[b"%d" % number] for number in range(50)]


def logged(pgpool):
    return re.findall(r"message (\w+) from node (\d+), server process (\d+)(: \d+ more)?",
                      pgpool.log_since_mark())


def test_log_backend_messages(one, pgpool):
    one.simple("PGPOOL SET log_backend_messages = verbose")
    pid = backend_pid(one)
    one.rows("/* pgpool: primary */ SELECT generate_series(1, 3)")
    wait_for(lambda: [found[0] for found in logged(pgpool) if found[2] == pid] == [
        "RowDescription", "DataRow", "CommandComplete", "ReadyForQuery", "RowDescription",
        "DataRow", "DataRow", "DataRow", "CommandComplete", "ReadyForQuery"], "all messages")
    one.simple("PGPOOL SET log_backend_messages = terse")
    pgpool.mark_log()
    one.rows("/* pgpool: primary */ SELECT generate_series(1, 3)")
    wait_for(lambda: [(found[0], found[3]) for found in logged(pgpool)] == [
        ("RowDescription", ""), ("DataRow", ""), ("DataRow", ": 2 more"), ("CommandComplete", ""),
        ("ReadyForQuery", "")], "changes of kind")
    one.simple("PGPOOL SET log_backend_messages = none")
    pgpool.mark_log()
    one.rows("SELECT 1")
    with raw.connected(pgpool) as other:
        other.rows("SELECT 1")
    assert logged(pgpool) == []


def test_reload_reaches_open_connections(one, pgpool):
    """Also those that a session holds already, and one that has other settings of its own."""
    with raw.connected(pgpool) as other:
        pids = {backend_pid(one), backend_pid(other)}
        other.simple("PGPOOL SET log_statement = on")
        try:
            pgpool.write_config(log_backend_messages="verbose")
            pgpool.process.send_signal(signal.SIGHUP)
            wait_for(lambda: shown(one, "log_backend_messages") ==
                     shown(other, "log_backend_messages") == "verbose", "the reload")
            for each in (one, other):
                each.rows("SELECT pg_backend_pid()")
            wait_for(lambda: pids <= {found[2] for found in logged(pgpool)}, "both in the log")
            other.simple("PGPOOL SET log_backend_messages = none")
            pgpool.mark_log()
            other.rows("SELECT pg_backend_pid()")
            assert logged(pgpool) == []
        finally:
            pgpool.write_config(log_backend_messages="none")
            pgpool.process.send_signal(signal.SIGHUP)
            wait_for(lambda: shown(one, "log_backend_messages") == "none", "the reload")


def test_log_level_of_the_session(one, pgpool):
    """Down to debug for one session, up to nothing for another."""
    with raw.connected(pgpool) as quiet:
        one.simple("PGPOOL SET log_statement = on")
        quiet.simple("PGPOOL SET log_statement = on")
        quiet.simple("PGPOOL SET log_min_messages = fatal")
        quiet.rows("SELECT 'quiet'")
        one.rows("SELECT 'loud'")
        wait_for(lambda: "'loud'" in pgpool.log_since_mark(), "the log")
        assert "'quiet'" not in pgpool.log_since_mark()


# ---- lag -----------------------------------------------------------------------------------------

@pytest.fixture(name="paused")
def paused_fixture(cluster):
    """Standby 1 does not replay, and there is something to replay."""
    cluster.sql("CREATE TABLE IF NOT EXISTS own (n int)")
    cluster.servers[1].rows("SELECT pg_wal_replay_pause()")
    cluster.primary.rows("WITH w AS (INSERT INTO own SELECT generate_series(1, 20000) RETURNING 1)"
                         " SELECT count(*) FROM w")
    yield
    cluster.servers[1].rows("SELECT pg_wal_replay_resume()")
    cluster.wait_replayed()


def replication(target):
    with psycopg.connect(target.dsn(), autocommit=True) as connection:
        cursor = connection.execute("SHOW pool_replication")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def test_pool_replication(pgpool, cluster, paused):
    def behind():
        rows = replication(pgpool)
        late = float(rows[1]["delay_ms"] or 0) > 1500 and int(rows[1]["delay_bytes"]) > 100000
        return rows if late and int(rows[2]["delay_bytes"]) < 100000 else None

    rows = wait_for(behind, "node 1 to be behind, and it alone", 15)
    assert [row["role"] for row in rows] == ["primary", "standby", "standby"]
    assert [row["node_id"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["fresh_age_ms"] == "0" and rows[0]["delay_bytes"] == "0"
    assert int(rows[1]["fresh_age_ms"]) >= 1500 > 1 > int(rows[0]["fresh_age_ms"])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", row["fresh_as_of"])
               for row in rows)
    assert rows[1]["fresh_as_of"] < rows[2]["fresh_as_of"] <= rows[0]["fresh_as_of"]
    assert [row["replication_state"] for row in rows[1:]] == ["streaming"] * 2
    assert [row["replication_sync_state"] for row in rows] == ["", "async", "async"]
    assert [row["timeline"] for row in rows] == ["1"] * 3
    assert all(re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", row["lsn"]) for row in rows)
    assert rows[1]["lsn"] == cluster.servers[1].value("SELECT pg_last_wal_replay_lsn()::text")
    assert [row["last_error"] for row in rows] == [""] * 3


def delays(pgpool):
    return re.findall(r'node (\d) "[^"]*" is (\d+) (bytes|ms) behind the primary, node 0',
                      pgpool.log_since_mark())


@pytest.mark.parametrize("settings, unit, node_delay", [
    ({"log_standby_delay": "always"}, "bytes", r"\d+"),
    ({"log_standby_delay": "if_over_threshold", "delay_threshold": "1kB"}, "bytes", r"\d+"),
    ({"delay_threshold_by_time": "1s"}, "ms", r"\d+\.\d{6} second"),
], ids=["always", "over", "by_time"])
def test_standby_delay_is_logged_once_a_period(start_pgpool, paused, settings, unit, node_delay):
    pgpool = start_pgpool(**settings)
    wait_for(lambda: [d for d in delays(pgpool) if d[0] == "1"][2:], "three lines", 15)
    told = [d for d in delays(pgpool) if d[0] == "1"]
    assert {d[2] for d in told} == {unit}
    assert len(told) < 8
    assert int(told[-1][1]) > (1000 if unit == "ms" else 0)
    delay = pgpool.rows("SHOW pool_nodes")[1][10]
    assert re.fullmatch(node_delay, delay) and float(delay.split()[0]) > 0


@pytest.mark.parametrize("settings", [
    {"log_standby_delay": "none", "delay_threshold": "1kB"},
    {"log_standby_delay": "if_over_threshold"},
    {"log_standby_delay": "if_over_threshold", "delay_threshold": "100GB"},
], ids=["none", "no_threshold", "under"])
def test_standby_delay_is_not_logged(start_pgpool, paused, settings):
    pgpool = start_pgpool(**settings)
    wait_for(lambda: float(replication(pgpool)[1]["delay_ms"] or 0) > 3000,
             "node 1 to be behind for several periods", 15)
    assert delays(pgpool) == []


def test_a_statement_of_sql_beside_one_of_ours(pgpool):
    """It has no text that anybody here knows."""
    with raw.connected(pgpool) as one:
        one.rows("PREPARE of_sql AS SELECT 1")
        for batch in ((raw.bind("", "of_sql"),), (raw.describe("S", "of_sql"),),
                      (raw.bind("", "of_sql"), raw.describe("P", ""), raw.execute())):
            one.send(raw.parse("", "SHOW pool_nodes"), *batch, raw.SYNC)
            answer = one.read_until("Z")
            assert [got.fields()["C"] for got in answer if got.kind == "E"] == ["0A000"]
        assert one.rows("EXECUTE of_sql") == [["1"]]
