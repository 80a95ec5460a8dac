"""The administration port: SHOW in every way of asking, errors, limits, and broken clients.

Most tests run on a pgpool whose servers are all unreachable: administration must not notice.
"""

import asyncio
import os
import re
import select
import signal
import socket
import struct
import types

import asyncpg
import psycopg
import pytest

import processes
import raw
from cluster import Target, run
from proxy import Pgpool
from waiting import SLOW, free_port, wait_for

VIEWS_DEF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "include",
                         "tables", "views.def")
CLIENTS_MAX = 64
SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")


def views():
    """Name to columns, from the table that the program is made of."""
    with open(VIEWS_DEF, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    found = {}
    for name, columns in re.findall(r"^VIEW\((\w+), \w+,([^)]*)\)", text, re.M):
        found[name] = re.findall(r'"(\w+)"', columns)
    return found


VIEWS = views()


class Admin(Pgpool):
    """Ready when its administration port answers, whatever its servers do."""

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}")
        try:
            with raw.connected(self.tcp(), timeout=5) as one:
                return len(one.rows("SHOW pool_version")) == 1
        except (OSError, TimeoutError, raw.Closed, AssertionError):
            return False

    def tcp(self):
        return Target("127.0.0.1", self.pcp_port)

    def unix(self):
        return Target(self.directory, self.pcp_port)

    def place(self, name):
        return self.tcp() if name == "tcp" else self.unix()

    def pcp_pid(self):
        return self.named("pcp")[0]


def unreachable(count=2):
    """What Pgpool asks of a cluster, with nobody behind it."""
    servers = [types.SimpleNamespace(host="127.0.0.1", port=free_port(), data="/nonexistent")
               for _ in range(count)]
    return types.SimpleNamespace(servers=servers)


@pytest.fixture(scope="module", name="dark")
def dark_fixture():
    """A pgpool without any server that answers; its administration process must outlive the
    tests."""
    pgpool = Admin(unreachable(), connect_timeout=1).start()
    pid = pgpool.pcp_pid()
    yield pgpool
    same = pgpool.pcp_pid() == pid
    pgpool.finish()
    assert same, "the administration process was forked again"


@pytest.fixture(name="start_dark")
def start_dark_fixture():
    started = []

    def start(**settings):
        started.append(Admin(unreachable(), connect_timeout=1, **settings).start())
        return started[-1]

    yield start
    for pgpool in started:
        if pgpool in Pgpool.running:
            pgpool.finish()


@pytest.fixture(name="one")
def one_fixture(dark):
    with raw.connected(dark.tcp()) as connection:
        yield connection


def kinds(messages):
    return "".join(got.kind for got in messages)


def ask_extended(sql, name="", portal="", max_rows=0):
    return (raw.parse(name, sql) + raw.bind(portal, name) + raw.describe("P", portal) +
            raw.execute(portal, max_rows) + raw.SYNC)


def check_error(got, sqlstate, severity="ERROR"):
    fields = got.fields()
    assert (fields["C"], fields["V"]) == (sqlstate, severity), fields
    return fields


def still_serves(connection):
    assert len(connection.rows("SHOW pool_version")) == 1


# ---- the views -----------------------------------------------------------------------------------

@pytest.mark.parametrize("place", ["tcp", "unix"])
@pytest.mark.parametrize("view", sorted(VIEWS))
def test_view(dark, place, view):
    """Both protocols give the same columns, and as many rows."""
    with raw.connected(dark.place(place)) as one:
        simple = one.simple(f"SHOW {view}")
        one.send(ask_extended(f"show {view.upper()};"))
        extended = one.read_until("Z")
    # there are no clients here, nothing is paused or kept, and there is no watchdog and
    # no pool_ident.conf
    rows = "D*" if view in ("pool_sessions", "pool_waiters", "pool_holds", "pool_watchdog",
                            "pool_statements", "pool_cache_tables", "pool_cache_statements",
                            "pool_cache_wal", "pool_ident_file_mappings") else "D+"
    assert re.fullmatch(f"T{rows}CZ", kinds(simple))
    assert re.fullmatch(f"12T{rows}CZ", kinds(extended))
    for answer in (simple, extended):
        (columns,) = [got.columns() for got in answer if got.kind == "T"]
        assert [column[0] for column in columns] == VIEWS[view]
        assert all(column[3] == 25 for column in columns)
        assert all(len(got.row()) == len(columns) for got in answer if got.kind == "D")
        assert answer[-2].body == b"SHOW\0"
    assert kinds(simple).count("D") == kinds(extended).count("D")


def rows_of(target, view):
    with raw.connected(target) as one:
        return [dict(zip(VIEWS[view], row)) for row in one.rows(f"SHOW {view}")]


def test_nodes_that_do_not_answer(dark):
    nodes = rows_of(dark.tcp(), "pool_nodes")
    assert [node["port"] for node in nodes] == [str(s.port) for s in dark.cluster.servers]
    assert all(node["status"] in ("waiting", "down") for node in nodes)


def test_processes_are_the_children(dark):
    shown = {int(row["pool_pid"]) for row in rows_of(dark.unix(), "pool_processes")}
    assert shown == set(dark.named("child"))


def test_same_as_on_the_port_of_applications(cluster):
    pgpool = Admin(cluster).start()
    try:
        def settled():
            nodes = rows_of(pgpool.tcp(), "pool_nodes")
            return [node["status"] for node in nodes] == ["up"] * len(cluster.servers)

        wait_for(settled, "the nodes to be up", 30)
        with raw.connected(pgpool, database="postgres") as application:
            assert application.rows("SHOW pool_version") == \
                [list(row.values()) for row in rows_of(pgpool.tcp(), "pool_version")]
        assert [node["role"] for node in rows_of(pgpool.tcp(), "pool_nodes")] == \
            ["primary"] + ["standby"] * (len(cluster.servers) - 1)
    finally:
        pgpool.finish()


def test_reload_shows(dark):
    def limit():
        return {row["item"]: row["value"]
                for row in rows_of(dark.tcp(), "pool_status")}["client_idle_limit"]

    before = limit()
    dark.write_config(client_idle_limit=77)
    os.kill(dark.pid, signal.SIGHUP)
    wait_for(lambda: limit() != before, "the new value to show")
    assert limit().startswith("77")


# ---- clients of others ---------------------------------------------------------------------------

@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_psql(dark, place):
    env = dark.place(place).env(PGSSLMODE="prefer")
    done = run("psql", "-XAt", "-c", "SHOW pool_nodes", "-c", "SHOW pool_version", env=env)
    lines = done.stdout.splitlines()
    assert len(lines) == len(dark.cluster.servers) + 1
    assert "pgpool" in lines[-1]
    done = run("psql", "-XAt", "-c", "SELECT 1", env=env, check=False)
    assert done.returncode == 1
    assert f"Applications connect to port {dark.port}" in done.stderr


def test_psycopg(dark):
    with psycopg.connect(dark.tcp().dsn(), autocommit=True) as connection:
        for prepare in (False, True):
            for binary in (False, True):
                rows = connection.execute("SHOW pool_nodes", prepare=prepare,
                                          binary=binary).fetchall()
                assert [row[0] for row in rows] == ["0", "1"]
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            connection.execute("SELECT 1")
        assert len(connection.execute("SHOW pool_version").fetchall()) == 1


def test_asyncpg(dark):
    async def ask():
        target = dark.tcp()
        connection = await asyncpg.connect(host=target.host, port=target.port, user="postgres",
                                           database="postgres", timeout=10 * SLOW)
        try:
            return await connection.fetch("SHOW pool_nodes")
        finally:
            await connection.close()

    rows = asyncio.run(ask())
    assert [row["node_id"] for row in rows] == ["0", "1"]


# ---- errors --------------------------------------------------------------------------------------

@pytest.mark.parametrize("sql", ["SELECT 1", "BEGIN", "SET a = 1", "SHOW server_version",
                                 "nonsense (", "COPY t FROM STDIN", "DROP TABLE pool_nodes"])
def test_anything_else_is_refused(dark, one, sql):
    simple = one.simple(sql)
    assert kinds(simple) == "EZ"
    one.send(ask_extended(sql))
    extended = one.read_until("Z")
    assert kinds(extended) == "EZ"
    for got in (simple[0], extended[0]):
        fields = check_error(got, "0A000")
        assert f"Applications connect to port {dark.port}" in fields["H"]
        assert all(view in fields["H"] for view in VIEWS)
    still_serves(one)


def test_unknown_view(one):
    answer = one.simple("SHOW pool_nonsense")
    assert kinds(answer) == "EZ"
    fields = check_error(answer[0], "42704")
    assert all(view in fields["H"] for view in VIEWS)
    still_serves(one)


def test_parameters(one, dark):
    """PGPOOL SHOW of one, of a group, and of all; by both protocols, and in portions."""
    answer = one.simple("PGPOOL SHOW pcp_port")
    assert kinds(answer) == "TDCZ"
    assert [column[0] for column in answer[0].columns()] == ["pcp_port"]
    assert answer[1].row() == [str(dark.pcp_port).encode()]
    assert one.rows("PGPOOL SHOW ALL") == one.rows("SHOW pool_status")
    assert {row[0][:8] for row in one.rows("PGPOOL SHOW backend")} == {"backend_"}
    one.send(raw.parse("s", "PGPOOL SHOW pcp_port"), raw.describe("S", "s"), raw.SYNC)
    answer = one.read_until("Z")
    assert kinds(answer) == "1tTZ"
    assert [column[0] for column in answer[2].columns()] == ["pcp_port"]
    one.send(raw.bind("p", "s"), raw.close("S", "s"), raw.describe("P", "p"), raw.execute("p"),
             ask_extended("PGPOOL SHOW backend"))
    answer = one.read_until("Z")
    assert kinds(answer)[:6] == "23TDC1"
    assert answer[3].row() == [str(dark.pcp_port).encode()]
    one.send(raw.parse("", "PGPOOL SHOW ALL"), raw.bind("p", ""), raw.execute("p", 3), raw.SYNC)
    assert kinds(one.read_until("Z")) == "12DDDsZ"
    assert kinds(one.simple("PGPOOL SHOW port; SHOW pool_version")) == "TDCTDCZ"


@pytest.mark.parametrize("sql, code", [
    ("PGPOOL SHOW nonsense", "42704"), ("PGPOOL SHOW backend_port77", "42704"),
    ("PGPOOL SHOW", "42601"), ("PGPOOL DROP x", "42601"),
    ("PGPOOL SET log_statement = on", "0A000"), ("PGPOOL RESET ALL", "0A000")])
def test_wrong_parameters(one, sql, code):
    one.send(raw.query(sql), ask_extended(sql))
    answer = one.read_until("Z", 2)
    assert kinds(answer) == "EZEZ"
    for got in (answer[0], answer[2]):
        check_error(got, code)
    still_serves(one)


def test_several_statements(one):
    assert kinds(one.simple("SHOW pool_version; SHOW pool_version")) == "TDCTDCZ"
    assert kinds(one.simple("SHOW pool_version; SELECT 1; SHOW pool_version")) == "TDCEZ"
    assert kinds(one.simple("")) == "IZ"
    assert kinds(one.simple(" ; -- nothing")) == "IZ"
    one.send(raw.parse("", "SHOW pool_version; SHOW pool_version"), raw.SYNC)
    answer = one.read_until("Z")
    check_error(answer[0], "42601")
    still_serves(one)


def test_answers_to_one_string_are_bounded(one):
    answer = one.simple("SHOW pool_status;" * 200)
    assert kinds(answer)[-2:] == "EZ"
    check_error(answer[-2], "54000")
    assert sum(len(got.body) for got in answer) < 3 << 20
    still_serves(one)


# ---- the extended protocol -----------------------------------------------------------------------

def test_statements_and_portals(one):
    one.send(raw.parse("s", "SHOW pool_version"), raw.describe("S", "s"), raw.SYNC)
    assert kinds(one.read_until("Z")) == "1tTZ"
    one.send(raw.parse("s", "SHOW pool_nodes"), raw.SYNC)
    check_error(one.read_until("Z")[0], "42P05")
    one.send(raw.bind("p", "s"), raw.bind("p", "s"), raw.SYNC)
    answer = one.read_until("Z")
    assert kinds(answer) == "2EZ"
    check_error(answer[1], "42P03")
    one.send(raw.bind("p", "s"), raw.close("S", "s"), raw.execute("p"), raw.close("P", "p"),
             raw.execute("p"), raw.execute("p"), raw.SYNC)
    answer = one.read_until("Z")
    assert kinds(answer) == "23DC3EZ"
    check_error(answer[-2], "34000")
    one.send(raw.bind("", "s"), raw.SYNC)
    check_error(one.read_until("Z")[0], "26000")
    one.send(raw.execute(), raw.SYNC)
    check_error(one.read_until("Z")[0], "34000")
    one.send(raw.close("S", "never"), raw.close("P", "never"), raw.SYNC)
    assert kinds(one.read_until("Z")) == "33Z"


def test_empty_statement(one):
    one.send(raw.parse("", ""), raw.describe("S"), raw.bind("", ""), raw.describe("P"),
             raw.execute(), raw.SYNC)
    assert kinds(one.read_until("Z")) == "1tn2nIZ"


def test_fetch_in_portions(one):
    whole = one.rows("SHOW pool_status")
    one.send(raw.parse("", "SHOW pool_status"), raw.bind("p", ""), raw.FLUSH)
    one.read_until("2")
    rows, turns = [], 0
    while True:
        one.send(raw.execute("p", 50), raw.FLUSH)
        answer = one.read_until("sCE")
        rows += [[v.decode() for v in got.row()] for got in answer if got.kind == "D"]
        turns += 1
        if answer[-1].kind == "C":
            break
        assert kinds(answer) == "D" * 50 + "s"
    assert rows == whole and turns == len(whole) // 50 + 1
    one.send(raw.execute("p"), raw.SYNC)
    assert kinds(one.read_until("Z")) == "CZ"


def test_bind_is_checked(one):
    good = raw.parse("", "SHOW pool_version")
    names = b"\0\0"
    for bad in (b"noend", names, names + b"\0", names + b"\0\1", names + b"\0\0",
                names + b"\0\1\0\0\0\0", names + b"\0\0\0\0\0\1", names + b"\xff" * 100,
                names + b"\0" * 7, raw.bind("", "", "value")[5:]):
        one.send(good, raw.message("B", bad), raw.SYNC)
        answer = one.read_until("Z")
        assert kinds(answer) == "1EZ", bad
        check_error(answer[1], "08P01")
    one.send(good, raw.bind("", "", formats=(1,), results=(1, 0)), raw.execute(), raw.SYNC)
    assert kinds(one.read_until("Z")) == "12DCZ"


def test_silent_after_an_error_until_sync(one):
    one.send(raw.parse("", "SELECT 1"), raw.bind("", ""), raw.execute(),
             raw.query("SHOW pool_version"), raw.FLUSH, raw.SYNC,
             ask_extended("SHOW pool_version"))
    assert kinds(one.read_until("Z", 2)) == "EZ12TDCZ"


def test_names_are_bounded(one):
    one.send(raw.parse("n" * 300, "SHOW pool_version"), raw.SYNC)
    check_error(one.read_until("Z")[0], "42622")
    one.send(*(raw.parse(f"s{n}", "SHOW pool_version") for n in range(300)), raw.SYNC)
    answer = one.read_until("Z")
    assert kinds(answer) == "1" * 256 + "EZ"
    check_error(answer[-2], "54000")
    one.send(raw.close("S", "s0"), ask_extended("SHOW pool_version"))
    assert kinds(one.read_until("Z")) == "312TDCZ"


def test_pipeline(one):
    count = 500
    one.send(*(ask_extended("SHOW pool_version") if n % 2 else raw.query("SHOW pool_version")
               for n in range(count)))
    assert kinds(one.read_until("Z", count)) == "TDCZ12TDCZ" * (count // 2)


def test_copy_and_function_messages(one):
    one.send(raw.copy_data("x" * 200_000), raw.COPY_DONE, raw.copy_fail("no"),
             raw.query("SHOW pool_version"))
    assert kinds(one.read_until("Z")) == "TDCZ"
    one.send(raw.function_call(1, "x"))
    answer = one.read_until("Z")
    assert kinds(answer) == "EZ"
    check_error(answer[0], "0A000")
    still_serves(one)


# ---- startup -------------------------------------------------------------------------------------

LOGIN = raw.startup({"user": "postgres"})


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_byte_at_a_time(dark, place):
    with raw.Raw(dark.place(place)) as one:
        one.send_in_pieces(raw.SSL_REQUEST)
        assert one.read_bytes(1) == b"N"
        one.send_in_pieces(raw.GSS_REQUEST)
        assert one.read_bytes(1) == b"N"
        one.send_in_pieces(LOGIN)
        assert one.read_until("ZE")[-1].kind == "Z"
        one.send_in_pieces(ask_extended("SHOW pool_version"))
        assert kinds(one.read_until("Z")) == "12TDCZ"


def test_all_in_one_write(dark):
    with raw.Raw(dark.tcp()) as one:
        one.send(LOGIN, raw.query("SHOW pool_version"), raw.TERMINATE)
        assert kinds(one.read_to_end()).endswith("ZTDCZ")


@pytest.mark.parametrize("version,spoken", [((3, 0), None), ((3, 2), None), ((3, 1), (3, 0)),
                                            ((3, 9999), (3, 2))])
def test_negotiation(dark, version, spoken):
    with raw.Raw(dark.tcp()) as one:
        one.send(raw.startup({"user": "u"}, version[0] << 16 | version[1]))
        answer = one.read_until("ZE")
        assert answer[-1].kind == "Z"
        told = [struct.unpack_from("!II", got.body) for got in answer if got.kind == "v"]
        assert told == ([(spoken[0] << 16 | spoken[1], 0)] if spoken else [])
        assert len(one.key) == (32 if (spoken or version) == (3, 2) else 4)
        assert "pgpool" in one.parameters["server_version"]
        still_serves(one)


@pytest.mark.parametrize("sent,sqlstate", [
    (raw.startup({"user": "u"}, 2 << 16), "0A000"),
    (raw.startup({"database": "d"}), "28000"),
    (raw.startup({"user": "u", "replication": "database"}), "0A000"),
    (raw.SSL_REQUEST + LOGIN, "08P01"),
    (b"\xff\xff\xff\xff", "08P01"),
    (struct.pack("!II", 7, 3 << 16), "08P01"),
    (struct.pack("!II", 9, 3 << 16) + b"x", "08P01"),
    (struct.pack("!II", 14, 3 << 16) + b"user\0u", "08P01"),
    (struct.pack("!I", 10005), "08P01"),
])
def test_bad_startup(dark, one, sent, sqlstate):
    with raw.Raw(dark.tcp()) as bad:
        bad.send(sent)
        answer = bad.read_to_end()
        assert kinds(answer) == "E"
        check_error(answer[0], sqlstate, "FATAL")
    still_serves(one)


@pytest.mark.parametrize("request_", [raw.SSL_REQUEST, raw.GSS_REQUEST])
def test_encryption_asked_twice(dark, request_):
    with raw.Raw(dark.tcp()) as bad:
        bad.send(request_)
        assert bad.read_bytes(1) == b"N"
        bad.send(request_)
        check_error(bad.read_to_end()[0], "0A000", "FATAL")


@pytest.mark.parametrize("sent", [raw.cancel_request(1, b"1234"), b"\x16\x03\x01\x02\x00\x01"])
def test_closed_without_a_word(dark, one, sent):
    with raw.Raw(dark.tcp()) as other:
        other.send(sent)
        assert other.drain_to_end() == b""
    still_serves(one)


def own_address():
    """An address of this machine that is no loopback; None when it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def test_strangers_are_refused(start_dark):
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    pgpool = start_dark(pcp_listen_addresses="*")
    with raw.Raw(Target(address, pgpool.pcp_port)) as stranger:
        stranger.send(LOGIN)
        answer = stranger.read_to_end()
        assert kinds(answer) == "E"
        fields = check_error(answer[0], "28000", "FATAL")
        assert address in fields["M"] and "loopback" in fields["H"]
    with raw.connected(pgpool.tcp()) as friend:
        still_serves(friend)


# ---- clients that misbehave ----------------------------------------------------------------------

@pytest.mark.parametrize("sent", [
    b"y\0\0\0\4", b"Q\0\0\0\3", b"S\xff\xff\xff\xff", b"p\0\0\0\5\0", b"\0\0\0\0\0", b"H\0\1\0\0",
    b"\xff" * 100_000,
])
def test_malformed_messages_end_their_session(dark, one, sent):
    with raw.connected(dark.tcp()) as bad:
        bad.send(sent)
        answer = bad.read_to_end()
        assert kinds(answer) == "E"
        check_error(answer[0], "08P01", "FATAL")
    still_serves(one)


@pytest.mark.parametrize("sent", [
    raw.message("Q", b"SHOW pool_version"), raw.message("Q", b""), raw.message("Q", b"a\0b\0"),
    raw.message("P", b"x") + raw.SYNC, raw.message("P", b"\0\0\0\5") + raw.SYNC,
    raw.message("D", b"") + raw.SYNC, raw.message("D", b"X\0") + raw.SYNC,
    raw.message("C", b"\xff\0") + raw.SYNC, raw.message("E", b"\0\0\0") + raw.SYNC,
])
def test_malformed_bodies_are_errors(one, sent):
    one.send(sent)
    answer = one.read_until("Z")
    assert kinds(answer) == "EZ"
    check_error(answer[0], "08P01")
    still_serves(one)


def test_long_messages_are_refused_and_dropped(one):
    padding = " " * 300_000
    one.send(raw.query("SHOW pool_version" + padding), raw.query("SHOW pool_version"))
    answer = one.read_until("Z", 2)
    assert kinds(answer) == "EZTDCZ"
    check_error(answer[0], "54000")
    one.send(raw.parse("", "SHOW pool_version" + padding), raw.bind("", "", padding), raw.SYNC,
             ask_extended("SHOW pool_version"))
    assert kinds(one.read_until("Z", 2)) == "EZ12TDCZ"
    fits = 65536 - 5 - 1 - len("SHOW pool_version")
    assert kinds(one.simple("SHOW pool_version" + " " * fits)) == "TDCZ"
    assert kinds(one.simple("SHOW pool_version" + " " * (fits + 1))) == "EZ"


def test_huge_length_that_never_comes(dark, one):
    with raw.connected(dark.tcp()) as bad:
        bad.send(b"Q" + struct.pack("!I", 0x3FFFFFFE), b"x" * 100)
        check_error(bad.read_until("Z")[0], "54000")
        still_serves(one)


def test_clients_that_leave_midway(dark):
    pid = dark.pcp_pid()
    wait_for(lambda: re.search(r"\b0 clients", processes.title(pid)), "the others to be gone")
    before = processes.descriptors(pid)
    whole = raw.SSL_REQUEST + LOGIN + ask_extended("SHOW pool_status") * 3
    for size in [*range(0, len(whole), 7), len(whole)]:
        for reset in (False, True):
            gone = raw.Raw(dark.tcp())
            gone.send(whole[:8])
            if size > 8:
                assert gone.read_bytes(1) == b"N"
                gone.send(whole[8:size])
            if reset:
                gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            gone.close()
    wait_for(lambda: processes.descriptors(pid) <= before, "their descriptors to be closed")
    with raw.connected(dark.tcp()) as one:
        still_serves(one)
    assert dark.pcp_pid() == pid


def test_too_many_clients(dark):
    clients = [raw.connected(dark.place("unix" if n % 2 else "tcp")) for n in range(CLIENTS_MAX)]
    try:
        with raw.Raw(dark.tcp()) as late:
            late.send(LOGIN)
            check_error(late.read_to_end()[0], "53300", "FATAL")
        clients.pop().close()

        def served():
            try:
                clients.append(raw.connected(dark.tcp()))
                return True
            except AssertionError:
                return False

        wait_for(served, "the place that became free")
        for connection in clients:
            still_serves(connection)
    finally:
        for connection in clients:
            connection.close()


@pytest.mark.takes(10)
def test_silent_clients_are_closed(dark, one):
    """Also when they hold every place there is: somebody else gets in afterwards."""
    silent = [raw.Raw(dark.tcp(), timeout=30) for _ in range(CLIENTS_MAX + 30)]
    try:
        silent[0].send(LOGIN[:10])
        still_serves(one)
        assert silent[0].drain_to_end() == b""
        with raw.connected(dark.unix(), timeout=30) as after:
            still_serves(after)
    finally:
        for connection in silent:
            connection.close()


def fill(connection, data):
    """Sends as much as the other side takes, without ever reading."""
    connection.socket.setblocking(False)
    sent = 0
    while sent < len(data):
        if not select.select([], [connection.socket], [], 1)[1]:
            break
        sent += connection.socket.send(data[sent:sent + 65536])
    return sent


def test_slow_reader_is_bounded(dark, one):
    """Half a million questions and nobody who reads: the rest is not even taken."""
    pid = dark.pcp_pid()
    with raw.connected(dark.tcp()) as slow:
        question = raw.query("SHOW pool_status")
        sent = fill(slow, question * 500_000)
        assert sent < len(question) * 500_000
        still_serves(one)
        if not SANITIZED:
            assert processes.pss_kb(pid) < 20 * 1024
        slow.timeout = 60 * SLOW
        whole = sent // len(question)
        total = 0
        while total < min(whole, 500):
            answer = slow.read_until("Z")
            assert re.fullmatch("TD+CZ", kinds(answer))
            total += 1
        still_serves(one)


def test_reader_that_takes_nothing_is_closed(dark, one):
    pid = dark.pcp_pid()
    before = processes.descriptors(pid)
    with raw.connected(dark.tcp()) as slow:
        fill(slow, raw.query("SHOW pool_status") * 500_000)
        wait_for(lambda: processes.descriptors(pid) <= before, "it to be closed", 30)
    still_serves(one)


# ---- the process ---------------------------------------------------------------------------------

@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_stop_tells_clients(start_dark, signo):
    pgpool = start_dark()
    with raw.connected(pgpool.tcp()) as busy, raw.connected(pgpool.unix()) as idle, \
            raw.Raw(pgpool.tcp()) as starting:
        still_serves(busy)
        starting.send(LOGIN[:6])
        assert pgpool.stop(signo) == 0
        for one in (busy, idle):
            answer = one.read_to_end()
            assert kinds(answer) == "E"
            check_error(answer[0], "57P01", "FATAL")
        starting.drain_to_end()
    assert pgpool.complaints() == []
    pgpool.kill()


def test_killed_process_comes_back(start_dark):
    pgpool = start_dark()
    with raw.connected(pgpool.tcp()) as one:
        pid = pgpool.pcp_pid()
        os.kill(pid, signal.SIGKILL)
        assert one.drain_to_end() == b""

    def served():
        try:
            with raw.connected(pgpool.unix()) as again:
                return len(again.rows("SHOW pool_version")) == 1
        except (OSError, raw.Closed):
            return False

    wait_for(served, "the process to be forked again")
    assert pgpool.pcp_pid() != pid
