"""Limits and life times of sessions, children and pooled connections, servers that go away or
change their roles, and clients that leave at the worst moment."""

import contextlib
import os
import re
import select
import signal
import time

import pytest

import processes
import raw
from cluster import Cluster, Target
from proxy import Pgpool
from waiting import SLOW, wait_for, wait_learnt
from wire_cases.script import H, P, B, E, Q, S
from wire_cases.session import cancel

pytestmark = [pytest.mark.one_engine, pytest.mark.plain]

MB = 1 << 20


def backends(cluster, application):
    """(node, pid) of each server process with this application_name."""
    sql = ("SELECT pid FROM pg_stat_activity WHERE application_name = %s "
           "AND backend_type = 'client backend'")
    return {(server.server_name, pid) for server in cluster.servers
            for (pid,) in server.rows(sql, application)}


def codes(messages):
    return [got.fields()["C"] if got.kind == "E" else got.kind for got in messages]


def scaled(seconds):
    """A limit of pgpool's that the machine must not reach by itself."""
    return f"{int(seconds * 1000 * SLOW)}ms"


def closed_within(connection, seconds):
    connection.timeout = seconds * SLOW
    return connection.read_to_end()


@contextlib.contextmanager
def stopped(*servers):
    """Postmasters that accept, as the kernel does it, and never answer."""
    pids = []
    for server in servers:
        with open(server.data + "/postmaster.pid", encoding="utf-8") as file:
            pids.append(int(file.readline()))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


# ---- clients' limits -----------------------------------------------------------------------------

def test_client_idle_limit(cluster, start_pgpool):
    pgpool = start_pgpool(client_idle_limit=scaled(1))
    with raw.connected(pgpool) as idle, raw.connected(pgpool) as busy, \
            raw.connected(pgpool) as within:
        within.simple("BEGIN")
        busy.send(Q(f"SELECT pg_sleep({2.5 * SLOW})"))
        assert codes(closed_within(idle, 5)) == ["57P05"]
        assert codes(closed_within(within, 5)) == ["57P05"]
        assert codes(busy.read_until("Z")) == ["T", "D", "C", "Z"]
        # its time begins with the answer
        began = time.monotonic()
        assert busy.rows("SELECT 1") == [["1"]]
        assert codes(closed_within(busy, 5)) == ["57P05"]
        assert time.monotonic() - began > 0.9 * SLOW


def test_authentication_timeout_is_not_put_off_by_single_bytes(cluster, start_pgpool):
    pgpool = start_pgpool(authentication_timeout=scaled(1))
    hello = raw.startup({"user": "postgres", "database": "test", "application_name": "x" * 200})
    with raw.Raw(pgpool) as slow, raw.Raw(pgpool) as silent:
        began = time.monotonic()
        for at in range(len(hello)):
            try:
                slow.send(hello[at:at + 1])
            except OSError:
                break
            if not slow.quiet(0.1):
                break
        assert time.monotonic() - began < 5 * SLOW
        assert slow.read_to_end() == []
        assert closed_within(silent, 5) == []
    with raw.connected(pgpool) as one:
        assert one.rows("SELECT 1") == [["1"]]


def test_authentication_timeout_while_the_server_is_silent(cluster, start_pgpool):
    pgpool = start_pgpool(authentication_timeout="1s", connect_timeout=0)
    with stopped(*cluster.servers[1:]), raw.Raw(pgpool) as one:
        one.send(raw.startup({"user": "postgres", "database": "test"}))
        assert codes(closed_within(one, 5)) == ["57014"]


def test_two_clients_for_the_last_place(start_pgpool):
    """They come at the same moment by two sockets: the second one waits, nobody is refused."""
    pgpool = start_pgpool(num_init_children=1, child_max_clients=1)
    child, = pgpool.named("child")
    wait_for(lambda: "child 0: 0 clients" in processes.title(child), "the place to be free")
    os.kill(child, signal.SIGSTOP)
    try:
        clients = [raw.Raw(pgpool), raw.Raw(Target(pgpool.directory, pgpool.port))]
        for client in clients:
            client.send(raw.startup({"user": "postgres", "database": "test"}))
    finally:
        os.kill(child, signal.SIGCONT)
    ready, _, _ = select.select([client.socket for client in clients], [], [], 10 * SLOW)
    assert ready
    if ready[0] is not clients[0].socket:
        clients.reverse()
    for client in clients:
        assert client.read_until("ZE")[-1].kind == "Z"
        client.close()


def test_reserved_connections(cluster, start_pgpool):
    pgpool = start_pgpool(num_init_children=1, child_max_clients=4, reserved_connections=1)
    wait_for(lambda: sessions(pgpool) == 1, "the first client to be gone")
    clients = [raw.connected(pgpool) for _ in range(3)]
    try:
        with raw.Raw(pgpool) as one:
            (got,) = one.read_to_end()
            assert got.fields()["C"] == "53300" and got.fields()["S"] == "FATAL"
        assert [one.rows("SELECT 1") for one in clients] == [[["1"]]] * 3
    finally:
        for one in clients:
            one.close()
    wait_for(lambda: accepted(pgpool), "a client to be accepted again")


def sessions(pgpool):
    """Clients, the one that asks included."""
    with raw.connected(pgpool) as one:
        answer = one.simple("SHOW pool_processes")
    names = [column[0] for column in answer[0].columns()]
    return sum(dict(zip(names, got.row()))["username"] not in (b"", None)
               for got in answer if got.kind == "D")


def accepted(pgpool):
    try:
        with raw.connected(pgpool, timeout=5) as one:
            return one.rows("SELECT 1") == [["1"]]
    except (AssertionError, raw.Closed, OSError, TimeoutError):
        return False


# ---- children ------------------------------------------------------------------------------------

def test_child_max_connections(cluster, start_pgpool):
    """The child ends, and a client that it still has goes on."""
    pgpool = start_pgpool(num_init_children=1, child_max_connections=5)
    first = pgpool.named("child")
    with raw.connected(pgpool) as stays:
        for _ in range(20):
            with raw.connected(pgpool) as one:
                assert one.rows("SELECT 1") == [["1"]]
        assert stays.rows("SELECT 2") == [["2"]]
    wait_for(lambda: len(pgpool.named("child")) == 1 and pgpool.named("child") != first,
             "the first child to be gone")


def test_children_retire_only_when_somebody_takes_their_place(cluster, start_pgpool):
    """One client stays at each child: there is no slot for more children, yet all are served."""
    pgpool = start_pgpool(num_init_children=1, child_max_connections=2)
    staying = []
    try:
        for _ in range(6):
            staying.append(raw.connected(pgpool))
            for _ in range(3):
                wait_for(lambda: accepted(pgpool), "a client to be served")
        assert [one.rows("SELECT 1") for one in staying] == [[["1"]]] * 6
    finally:
        for one in staying:
            one.close()
    wait_for(lambda: accepted(pgpool), "a client to be served")


def test_child_life_time(cluster, start_pgpool):
    pgpool = start_pgpool(num_init_children=1, child_life_time=scaled(1))
    with raw.connected(pgpool) as one:
        first = pgpool.named("child")
        one.quiet(2.5 * SLOW)
        assert pgpool.named("child") == first, "it has a client"
    wait_for(lambda: pgpool.named("child") and pgpool.named("child") != first, "a new child")
    with raw.connected(pgpool) as one:
        assert one.rows("SELECT 1") == [["1"]]


# ---- pooled connections --------------------------------------------------------------------------

def visit(pgpool, application, **more):
    """A client that reads from a standby and writes."""
    with raw.connected(pgpool, application_name=application, **more) as one:
        wait_for(lambda: one.rows("SELECT current_setting('cluster_name')") != [["node0"]],
                 "reads to go to a standby")
        one.simple("SELECT pg_current_xact_id()")
        one.send(raw.TERMINATE)
        one.read_to_end()


def settled_backends(cluster, application):
    """When all of them have been reset."""
    sql = ("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s "
           "AND (state <> 'idle' OR query <> 'DISCARD ALL')")
    wait_for(lambda: not any(server.value(sql, application) for server in cluster.servers),
             "the connections to be reset")
    return backends(cluster, application)


def test_connections_are_kept_and_used_again(cluster, start_pgpool):
    pgpool = start_pgpool(pool_mode="session", num_init_children=1, backend_weight2=0)
    visit(pgpool, "kept")
    before = settled_backends(cluster, "kept")
    assert len(before) == 2
    for _ in range(5):
        visit(pgpool, "kept")
        assert settled_backends(cluster, "kept") == before


def test_connection_cache_off(cluster, start_pgpool):
    pgpool = start_pgpool(num_init_children=1, connection_cache="off")
    visit(pgpool, "not_kept")
    wait_for(lambda: not backends(cluster, "not_kept"), "the connections to be closed")


def test_connection_life_time(cluster, start_pgpool):
    pgpool = start_pgpool(pool_mode="session", num_init_children=1, connection_life_time=scaled(2))
    visit(pgpool, "mortal")
    with raw.connected(pgpool, application_name="mortal2") as one:
        one.rows("SELECT 1")
        assert backends(cluster, "mortal")
        wait_for(lambda: not backends(cluster, "mortal"), "the connections to be closed")
        assert len(backends(cluster, "mortal2")) == 1, "it is in use"


def test_max_pool(cluster, start_pgpool):
    pgpool = start_pgpool(num_init_children=1, max_pool=2)
    for name in ("pool_a", "pool_b", "pool_c", "pool_b"):
        visit(pgpool, name)
    wait_for(lambda: not backends(cluster, "pool_a"), "the connections not used for longest to go")
    assert backends(cluster, "pool_b") and backends(cluster, "pool_c")


def test_startup_parameters_keep_connections_apart(cluster, start_pgpool):
    pgpool = start_pgpool(num_init_children=1)
    visit(pgpool, "apart", options="-c work_mem=5MB")
    visit(pgpool, "apart", options="-c work_mem=6MB")
    # to the primary and a standby each; questions to the catalog may have had one of their own
    assert len(backends(cluster, "apart")) in (4, 5, 6)
    with raw.connected(pgpool, application_name="apart", options="-c work_mem=6MB") as one:
        assert one.rows("SELECT current_setting('work_mem')") == [["6MB"]]


def test_reset_query_list(cluster, start_pgpool):
    pgpool = start_pgpool(num_init_children=1,
                          reset_query_list="ABORT; SET application_name = reset; DISCARD TEMP")
    with raw.connected(pgpool, application_name="reset_by_hand") as one:
        one.simple("BEGIN")
        one.simple("SET work_mem = '7MB'")
    wait_for(lambda: len(backends(cluster, "reset")) >= 1, "the connection to be reset")


TEMPORARY = {
    "table": [Q("CREATE TEMP TABLE left_over (a int)")],
    "select_into": [Q("SELECT 1 AS a INTO TEMP left_over")],
    "function": [Q("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")],
    "prepared": [P("", "CREATE TEMP TABLE left_over (a int)") + B("", "") + E() + S],
    "search_path": [Q("SET search_path = PG_TEMP, public"), Q("SELECT current_schema()")],
}


@pytest.mark.parametrize("how", TEMPORARY)
def test_no_temporary_schema_is_inherited(cluster, start_pgpool, how):
    """DISCARD ALL empties it and leaves it, and the next session would find it in its path."""
    pgpool = start_pgpool(num_init_children=1)
    with raw.connected(pgpool, application_name="left_over") as one:
        one.rows("SELECT pg_current_xact_id() IS NULL")
        before = backends(cluster, "left_over")
        for sent in TEMPORARY[how]:
            one.send(sent)
            assert "E" not in [got.kind for got in one.read_until("Z")]
        one.send(raw.TERMINATE)
        one.read_to_end()
    wait_for(lambda: before - backends(cluster, "left_over"), "its connection to be closed")
    with raw.connected(pgpool, application_name="left_over") as one:
        assert one.rows("SELECT current_schemas(true) FROM pg_current_xact_id()") == \
            [["{pg_catalog,public}"]]


@pytest.mark.parametrize("drop", ["DROP DATABASE sess_d", "drop\n  database sess_d",
                                  "CREATE DATABASE sess_e TEMPLATE sess_d",
                                  "ALTER DATABASE sess_d RENAME TO sess_e"])
def test_pooled_connections_do_not_hold_a_database(cluster, start_pgpool, drop):
    pgpool = start_pgpool()
    cluster.sql("DROP DATABASE IF EXISTS sess_d")
    cluster.sql("DROP DATABASE IF EXISTS sess_e")
    cluster.sql("CREATE DATABASE sess_d")
    try:
        with raw.connected(pgpool) as one:
            for _ in range(8):  # both children have some
                visit(pgpool, "holds", database="sess_d")
            assert "E" not in codes(one.simple(drop))[0]
    finally:
        cluster.sql("DROP DATABASE IF EXISTS sess_d WITH (FORCE)")
        cluster.sql("DROP DATABASE IF EXISTS sess_e WITH (FORCE)")


@pytest.mark.takes(61)
@pytest.mark.one_engine
def test_welcome_is_the_server_s_after_a_minute_too(cluster, start_pgpool):
    """Idle connections of the pool tell no parameters: the login asks for new ones, and does not
    make the pool grow."""
    pgpool = start_pgpool(num_init_children=1, backend_weight2=0)
    cluster.sql("CREATE TABLE IF NOT EXISTS sess_w (a int)")

    def told():
        with raw.connected(pgpool, application_name="minute", options="-c timezone=Asia/Tokyo",
                           DateStyle="German") as one:
            wait_for(lambda: one.rows("SELECT current_setting('cluster_name')") != [["node0"]],
                     "reads to go to a standby")
            one.simple("INSERT INTO sess_w VALUES (1)")
            one.send(raw.TERMINATE)
            one.read_to_end()
            return one.parameters

    first = told()
    assert first["TimeZone"] == "Asia/Tokyo"
    before = len(backends(cluster, "minute"))
    raw.Raw(pgpool).quiet(61)
    assert told() == first
    assert len(backends(cluster, "minute")) <= before


# ---- dialling ------------------------------------------------------------------------------------

def test_cancel_while_the_server_is_dialled(cluster, start_pgpool):
    pgpool = start_pgpool(connection_cache="off", connect_timeout="30s")
    with raw.connected(pgpool) as one:
        with stopped(*cluster.servers[1:]):
            one.send(Q("SELECT 1"))
            assert one.quiet(0.3)
            assert cancel(pgpool, one.pid, one.key) == b""
            assert codes(one.read_until("Z")) == ["57014", "Z"]
            one.send(P("", "SELECT 1"), B("", ""), E(), S)
            assert one.quiet(0.3)
            cancel(pgpool, one.pid, one.key)
            assert codes(one.read_until("Z")) == ["57014", "Z"]
            assert one.rows("SELECT pg_current_xact_id() IS NULL") == [["f"]]
        assert one.rows("SELECT 2") == [["2"]]


@pytest.mark.parametrize("ending", [b"", raw.TERMINATE, Q("SELECT 1")[:-4]])
def test_client_gone_while_the_server_is_dialled(cluster, start_pgpool, ending):
    pgpool = start_pgpool(connection_cache="off", connect_timeout="30s")
    with stopped(*cluster.servers[1:]):
        for _ in range(5):
            with raw.Raw(pgpool) as one:
                one.send(raw.startup({"user": "postgres", "database": "test",
                                      "application_name": "gone"}))
                one.quiet(0.1)
                one.send(Q("SELECT 1"), ending)
        wait_for(lambda: all("0 clients, 0 server" in processes.title(pid)
                             for pid in pgpool.named("child")), "the sessions to be gone")
    wait_for(lambda: not backends(cluster, "gone"), "the server connections to be gone")


def test_read_goes_elsewhere_when_its_server_does_not_answer(cluster, start_pgpool):
    pgpool = start_pgpool(connection_cache="off", connect_timeout="1s")
    with raw.connected(pgpool) as one:
        with stopped(*cluster.servers[1:]):
            began = time.monotonic()
            assert one.rows("SELECT 1") == [["1"]]
            assert one.rows("SELECT 2") == [["2"]]
            assert time.monotonic() - began < 8 * SLOW


def test_cancel_request_that_nobody_answers_ends(cluster, start_pgpool):
    """The child that was to answer is killed meanwhile: the request is not waited for for ever."""
    pgpool = start_pgpool(authentication_timeout="2s")
    with raw.connected(pgpool) as one:
        one.rows("SELECT pg_sleep(0)")  # it has its connection, and its names are known
        with stopped(*cluster.servers):
            one.send(Q("SELECT pg_sleep(60)"))
            requests = [raw.Raw(pgpool) for _ in range(6)]  # either child takes some
            for request in requests:
                request.send(raw.cancel_request(one.pid, one.key))
            assert requests[0].quiet(0.3)
            os.kill(child_of(one, pgpool), signal.SIGKILL)
            for request in requests:
                assert closed_within(request, 6) == []
                request.close()


def child_of(connection, pgpool):
    """The process that serves the connection, by its key's number."""
    number = (connection.pid >> 17) - 1
    with raw.connected(pgpool) as one:
        pass
    authorized = re.findall(r"pid (\d+): LOG:  connection authorized", pgpool.log_text())
    assert one.pid and authorized
    by_number = {(one.pid >> 17) - 1: int(authorized[-1])}
    others = [pid for pid in pgpool.named("child") if pid not in by_number.values()]
    return by_number.get(number, others[0])


# ---- ends in the middle of a row -----------------------------------------------------------------

def rest_of_row(one):
    """What stands behind the head of the DataRow."""
    data = one.drain_to_end()
    return data[data.index(b"D") + 11:]


def begin_huge_row(one):
    one.send(Q("SELECT repeat('x', 50*1024*1024), pg_current_xact_id()"))
    assert one.read().kind == "T"


def test_lost_server_puts_no_words_into_a_row(cluster, start_pgpool):
    pgpool = start_pgpool()
    with raw.connected(pgpool, application_name="torn") as one:
        begin_huge_row(one)
        assert cluster.primary.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                    "application_name = 'torn' AND query LIKE 'SELECT repeat%%'")
        assert set(rest_of_row(one)) == {ord("x")}


def test_stop_puts_no_words_into_a_row(cluster, start_pgpool):
    pgpool = start_pgpool()
    with raw.connected(pgpool) as one, raw.connected(pgpool) as idle:
        begin_huge_row(one)
        pgpool.process.send_signal(signal.SIGINT)
        assert codes(idle.read_to_end()) == ["57P01"]
        assert set(rest_of_row(one)) == {ord("x")}
        pgpool.process.wait(10 * SLOW)
    pgpool.start()


# ---- memory --------------------------------------------------------------------------------------

SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")
measures_memory = pytest.mark.skipif(SANITIZED, reason="the sanitizers need memory themselves")


def most_kb(pgpool):
    return max(processes.pss_kb(pid) for pid in pgpool.named("child"))


def flood(connection, data, most):
    """Sends without reading until nothing more is taken, or most bytes were."""
    connection.socket.settimeout(1.0)
    sent = 0
    try:
        while sent < most:
            sent += connection.socket.send(data)
    except TimeoutError:
        pass
    return sent


@measures_memory
@pytest.mark.parametrize("question", [Q("SHOW pool_status"), S, Q("SHOW pool_nothing"),
                                      P("", "SHOW pool_version") + B("", "") + E() + S])
def test_client_that_does_not_read_our_own_answers(cluster, start_pgpool, question):
    pgpool = start_pgpool()
    with raw.connected(pgpool) as one:
        flood(one, question * 1000, 16 * MB)
        assert most_kb(pgpool) < 20 * 1024


@measures_memory
def test_many_prepared_statements_are_bounded(cluster, start_pgpool):
    """All work, whether they are remembered or not."""
    pgpool = start_pgpool()
    count, filler = 1200, "/*" + "s" * 60_000 + "*/"
    with raw.connected(pgpool) as one:
        for number in range(count):
            one.send(P(f"s{number}", f"SELECT {number} {filler}"), S)
            assert one.read_until("Z")[0].kind == "1"
        assert most_kb(pgpool) < 40 * 1024
        for number in (0, count // 2, count - 1):
            one.send(B("", f"s{number}"), E(), S)
            assert one.read_until("Z")[1].row() == [b"%d" % number]
        one.simple("DEALLOCATE ALL")
        one.send(B("", "s0"), S)
        assert codes(one.read_until("Z")) == ["26000", "Z"]


def test_batch_in_single_bytes_is_cheap(cluster, start_pgpool):
    """A long batch that grows by single bytes is not looked at from its begin each time."""
    pgpool = start_pgpool(num_init_children=1)
    child = pgpool.named("child")[0]
    data = b"".join(P(f"p{n}", "SELECT 1") + B("", f"p{n}") for n in range(1200))
    with raw.connected(pgpool) as one, raw.connected(pgpool) as other:
        one.send(data)
        other.rows("SELECT 1")
        before = processes.cpu_ticks(child)
        more = raw.close("P") * 60
        for at in range(len(more)):
            one.send(more[at:at + 1])
            one.quiet(0.001)
        ticks = processes.cpu_ticks(child) - before
        one.send(S)
        one.read_until("Z")
    assert ticks < 0.5 * os.sysconf("SC_CLK_TCK") * SLOW


# ---- reload and a new primary --------------------------------------------------------------------

def test_reload_adds_a_backend(cluster, start_pgpool):
    settings = Pgpool(cluster).settings
    pgpool = start_pgpool(backend_weight2=0)
    with raw.connected(pgpool) as before:
        assert before.rows("SELECT current_setting('cluster_name')") == [["node1"]]
        pgpool.settings.pop("backend_weight2")
        pgpool.write_config(backend_weight2=settings["backend_weight2"])
        pgpool.process.send_signal(signal.SIGHUP)

        def reader():
            with raw.connected(pgpool) as one:
                return one.rows("SELECT current_setting('cluster_name')")[0][0]

        wait_for(lambda: reader() == "node2", "a read on the other standby")
        assert before.rows("SELECT 1") == [["1"]]


@pytest.fixture(name="scratch")
def scratch_fixture(engine):
    """A cluster that a test may spoil."""
    cluster = Cluster(standbys=2)
    cluster.sql("CREATE TABLE moved (a int); INSERT INTO moved VALUES (0)")
    pgpool = Pgpool(cluster, engine, backend_weight0=0).start()
    yield cluster, pgpool
    try:
        pgpool.finish()
    finally:
        cluster.destroy()


@pytest.mark.one_engine
def test_promotion_with_the_old_primary_alive(scratch):
    """Nobody writes to the old primary once the new one is known: transactions on it end, idle
    sessions follow."""
    cluster, pgpool = scratch
    old, new = cluster.servers[0], cluster.servers[1]
    with contextlib.ExitStack() as stack:
        idle, reading, within, batch, held, copying = (
            stack.enter_context(raw.connected(pgpool)) for _ in range(6))
        idle.rows("INSERT INTO moved VALUES (1) RETURNING a")
        reading.rows("SELECT count(*) FROM moved")
        within.simple("BEGIN")
        within.rows("INSERT INTO moved VALUES (2) RETURNING a")
        batch.send(P("", "INSERT INTO moved VALUES (3)"), B("", ""), E(), H)
        batch.read_until("C")
        wait_learnt(pgpool)
        held.simple("CREATE TEMP TABLE held (a int)")
        copying.send(Q("COPY moved FROM STDIN"))
        copying.read_until("G")
        with Target(pgpool.directory, pgpool.pcp_port, "pgpool", "root").connect() as admin:
            admin.execute("PGPOOL PROMOTE NODE 1")
        wait_for(lambda: writes_at(pgpool) == "node1", "writes to go to the new primary")
        assert codes(copying.read_until("Z")) == ["08007", "Z"]
        assert codes(within.simple("INSERT INTO moved VALUES (2)")) == ["40001", "Z"]
        assert codes(within.simple("COMMIT")) == ["C", "Z"]
        batch.send(S)
        assert codes(batch.read_until("Z")) == ["40001", "Z"]
        assert idle.rows("INSERT INTO moved VALUES (4) RETURNING "
                         "current_setting('cluster_name')") == [["node1"]]
        assert reading.rows("INSERT INTO moved VALUES (5) RETURNING "
                            "current_setting('cluster_name')") == [["node1"]]
        assert codes(held.read_to_end()) == ["57P01"]
    assert old.rows("SELECT a FROM moved ORDER BY a") == [(0,), (1,)]
    assert {4, 5} <= {a for (a,) in new.rows("SELECT a FROM moved")}


def writes_at(pgpool):
    with raw.connected(pgpool) as one:
        return "".join(got.row()[0].decode() for got in one.simple(
            "SELECT current_setting('cluster_name') FROM pg_current_xact_id()") if got.kind == "D")


@pytest.mark.one_engine
def test_promotion_after_the_old_primary_has_died(scratch):
    cluster, pgpool = scratch
    old, new = cluster.servers[0], cluster.servers[1]
    with raw.connected(pgpool) as idle, raw.connected(pgpool) as within:
        idle.rows("INSERT INTO moved VALUES (1) RETURNING a")
        reads = raw.connected(pgpool)
        reads.rows("SELECT count(*) FROM moved")
        within.simple("BEGIN")
        wait_learnt(pgpool)
        within.rows("INSERT INTO moved VALUES (2) RETURNING a")
        old.stop("immediate")
        new.rows("SELECT pg_promote()")
        assert codes(within.simple("INSERT INTO moved VALUES (2)"))[-2:] == ["40001", "Z"]
        assert codes(within.simple("ROLLBACK")) == ["C", "Z"]

        def served(connection):
            return "E" not in "".join(got.kind for got in connection.simple(
                "INSERT INTO moved VALUES (3)"))

        wait_for(lambda: served(idle), "writes to be served again")
        assert served(reads)
        assert idle.rows("SELECT count(*) > 0 FROM moved") == [["t"]]
        reads.close()
    assert (2,) not in new.rows("SELECT a FROM moved")


def test_crash_of_one_server_process_tears_no_rows(scratch):
    """The primary's other processes say good-bye with a notice, while a client reads long rows from
    a standby."""
    cluster, pgpool = scratch
    with raw.connected(pgpool) as one, raw.connected(pgpool, application_name="victim") as two:
        one.rows("INSERT INTO moved VALUES (1) RETURNING a")
        two.rows("INSERT INTO moved VALUES (1) RETURNING a")
        wait_for(lambda: one.rows("SELECT current_setting('cluster_name')") != [["node0"]],
                 "reads to go to a standby")
        one.send(Q("SELECT repeat('r', 300000), pg_sleep(0.01) FROM generate_series(1, 100)"))
        assert one.read_until("D")
        pid = next(pid for node, pid in backends(cluster, "victim") if node == "node0")
        os.kill(pid, signal.SIGKILL)
        answers = one.read_until("Z")
        assert all(got.row()[0] == b"r" * 300_000 for got in answers if got.kind == "D")
        assert set("".join(got.kind for got in answers)) == set("DCZ")
