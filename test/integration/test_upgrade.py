"""Restart without dropping clients: `pgpool upgrade` puts a new generation of processes in the
place of the running one, which finishes its sessions.

What must hold at every moment: no client is refused or lost. What happens when something goes
wrong is test_upgrade_faults.py's matter.

PGPOOL_TEST_HEAVY=1 makes the load of 32 clients 60 s long instead of 8.
"""

import glob
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import psycopg
import pytest

import processes
import raw
from cluster import Target
from daemon import Manager, Upgradable, answers, makes, pid_in_file
from proxy import Pgpool, binary
from waiting import SLOW, Background, free_port, wait_for


make_fixture, daemon_fixture = makes(Upgradable)


# ---- under load ----------------------------------------------------------------------------------

SECONDS = 60 if os.environ.get("PGPOOL_TEST_HEAVY") else int(4 + 4 * SLOW)

SCRIPT = """\
\\set aid random(1, 1000)
BEGIN;
UPDATE upgrade_load SET n = n + 1 WHERE aid = :aid;
SELECT n FROM upgrade_load WHERE aid = :aid;
END;
SELECT count(*) FROM upgrade_load WHERE aid = :aid;
"""


class Load:
    """pgbench through it; judge() says what went wrong."""

    def __init__(self, target, *options, seconds):
        path = os.path.join(target.directory, "load.sql")
        if not os.path.exists(path):  # another one may be reading it
            with open(path, "w", encoding="utf-8") as file:
                file.write(SCRIPT)
        self.process = subprocess.Popen(
            ["pgbench", "-n", "-f", path, "-T", str(seconds), *options], env=target.env(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def runs(self):
        return self.process.poll() is None

    def judge(self):
        text, _ = self.process.communicate(timeout=120 * SLOW)
        assert self.process.returncode == 0, text
        assert not re.search(r"error|aborted|FATAL|refused|closed", text, re.I), text
        assert "number of failed transactions: 0" in text, text
        assert int(re.search(r"transactions actually processed: (\d+)", text)[1]) > 0, text


@pytest.fixture(scope="module", name="table")
def table_fixture(cluster):
    cluster.sql("""DROP TABLE IF EXISTS upgrade_load;
        CREATE TABLE upgrade_load AS SELECT aid, 0 AS n FROM generate_series(1, 1000) aid;
        ALTER TABLE upgrade_load ADD PRIMARY KEY (aid)""")


def clients_of(daemon):
    """How many clients the current generation has, as its titles say."""
    found = [re.search(r": (\d+) clients", processes.title(pid))
             for pid in processes.children(pid_in_file(daemon))]
    return sum(int(match[1]) for match in found if match)


def served_by(daemon):
    """How many clients the current generation has had, as the log says."""
    children = [pid for pid in processes.children(pid_in_file(daemon))
                if "pgpool: child" in processes.title(pid)]
    return sum(daemon.log_text().count(f" pid {pid}: LOG:  connection auth")
               for pid in children)


def under_load(daemon, upgrade):
    """Two upgrades while clients stay and while clients come and go, over TCP and unix sockets."""
    seconds = int(10 + 4 * SLOW)
    local = Target(daemon.directory, daemon.port)
    local.directory = daemon.directory
    loads = [Load(daemon, "-c", "16", "-j", "2", seconds=seconds),
             Load(daemon, "-C", "-c", "4", seconds=seconds),
             Load(local, "-C", "-c", "4", "-M", "prepared", seconds=seconds)]
    wait_for(lambda: clients_of(daemon) >= 16, "the load", 30)
    upgrade()
    wait_for(lambda: served_by(daemon) >= 20, "clients of the new generation", 30)
    upgrade()
    wait_for(lambda: served_by(daemon) >= 20, "clients of the newest generation", 30)
    assert all(load.runs() for load in loads), "the load has ended too early to mean anything"
    for load in loads:
        load.judge()


def test_under_load(make, table, engine):
    daemon = make(engine=engine, log_disconnections="off").start()
    olds = []
    under_load(daemon, lambda: olds.append(daemon.upgrade()))
    wait_for(lambda: not any(processes.alive(pid) for pid in olds), "the old generations' end", 10)
    assert answers(daemon)
    assert not re.search(r"^\S+ \S+ .*(ERROR|FATAL|PANIC):  ", daemon.log_text(), re.M)


@pytest.mark.one_engine
def test_thirty_two_clients(make, table, engine):
    """They stay in the old generation to their end, and others come to the new one."""
    daemon = make(engine=engine).start()
    loads = [Load(daemon, "-c", "32", "-j", "2", seconds=SECONDS),
             Load(daemon, "-C", "-c", "2", seconds=SECONDS)]
    wait_for(lambda: clients_of(daemon) >= 32, "the load", 30)
    old = daemon.upgrade()
    wait_for(lambda: served_by(daemon) >= 5, "clients of the new generation", 30)
    assert loads[0].runs(), "the load has ended too early to mean anything"
    for load in loads:
        load.judge()
    wait_for(lambda: not processes.alive(old), "the old generation's end")
    assert not re.search(r"^\S+ \S+ .*(ERROR|FATAL|PANIC):  ", daemon.log_text(), re.M)


def test_under_load_in_the_foreground(cluster, table, engine):
    """Whoever started it in the foreground sees it run until it ends, whatever the generation."""
    pgpool = Pgpool(cluster, engine, log_disconnections="off").start()
    try:
        def upgrade():
            done = subprocess.run(pgpool.command("upgrade"), capture_output=True, text=True,
                                  timeout=100 * SLOW, check=False)
            assert done.returncode == 0, done.stderr

        under_load(pgpool, upgrade)
        wait_for(lambda: "stands in for process" in processes.title(pgpool.pid), "the old one to "
                 "have nothing left to do", 10)
        assert processes.title(pgpool.pid) == \
            f"pgpool: parent: stands in for process {pid_in_file(pgpool)}"
        assert answers(pgpool)
    finally:
        pgpool.finish()


# ---- two generations -----------------------------------------------------------------------------

def test_sessions_live_on(daemon):
    """What a session has stays, in its old process; who comes after is the new one's."""
    child, = [pid for pid in daemon.named("child") if "child 0" in processes.title(pid)]
    with raw.connected(daemon) as one, raw.connected(daemon) as two:
        one.simple("CREATE TEMP TABLE mine AS SELECT 42 AS n")
        two.simple("BEGIN")
        old = daemon.upgrade()
        assert one.rows("SELECT n FROM mine") == [["42"]]
        two.rows("SELECT 1")
        assert two.simple("COMMIT")[-1].kind == "Z"
        with raw.connected(daemon) as three:
            assert three.rows("SELECT 1") == [["1"]]
            assert three.pid not in (one.pid, two.pid)
            wait_for(lambda: clients_of(daemon) == 1, "the new generation's client")
        wait_for(lambda: processes.title(child) == "pgpool: child 0: finishing 2 sessions",
                 "the old child's title")
        assert processes.title(old) == \
            f"pgpool: parent: finishing, process {daemon.pid} has taken over"
        shown = daemon.run("status", check=0).stdout
        assert shown.startswith(f"pgpool is running (process {daemon.pid})\n")
        newer, older = shown.split("an older generation:\n")
        assert "listening on" in newer and "finishing" not in newer
        assert f"{old}  pgpool: parent: finishing" in older
        assert f"{child}  pgpool: child 0: finishing 2 sessions" in older
        two.close()
        wait_for(lambda: processes.title(child) == "pgpool: child 0: finishing 1 session",
                 "one session less")
        assert processes.alive(old)
    wait_for(lambda: not processes.alive(old), "the old parent to end with its last session")
    assert "older generation:" not in daemon.run("status", check=0).stdout
    assert answers(daemon)


def test_one_of_each(daemon):
    """The new generation has its services at once, and the old one keeps what its sessions need."""
    with raw.connected(daemon) as one:
        old = daemon.upgrade()
        for kind, count in (("lag", 1), ("pcp", 1), ("logger", 1), ("child", 2)):
            assert len(daemon.named(kind)) == count, kind
        wait_for(lambda: not any("pcp" in processes.title(pid)
                                 for pid in processes.children(old)), "the old pcp to end")
        kept = [processes.title(pid) for pid in processes.children(old) if pid != daemon.pid]
        assert any("lag" in title for title in kept) and any("logger" in title for title in kept)
        admin = Target("127.0.0.1", daemon.pcp_port)
        for target in (admin, Target(daemon.directory, daemon.pcp_port)):
            with raw.connected(target) as two:
                shown = {row[0] for row in two.rows("SHOW pool_processes")}
                assert shown and shown <= {str(pid) for pid in daemon.named("child")}
        assert one.rows("SELECT 1") == [["1"]]


def test_old_generation_keeps_nothing_warm(make, cluster):
    """It has the connections of its sessions, and leaves the servers' places to the new one."""
    daemon = make(min_pool_size=3, num_init_children=1).start()

    def connections():
        return cluster.primary.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'warm_elder'")

    with raw.connected(daemon, application_name="warm_elder") as one:
        one.simple("CREATE TEMP TABLE mine (n int)")
        wait_for(lambda: connections() >= 3, "warm connections")
        daemon.upgrade()
        wait_for(lambda: connections() == 1, "the session's own to be left")
        later = time.monotonic() + 3 * SLOW
        wait_for(lambda: connections() != 1 or time.monotonic() > later, "a sweep or two")
        assert connections() == 1
        one.simple("INSERT INTO mine VALUES (1)")


def test_administration_clients_live_on(daemon):
    with raw.connected(daemon) as one, \
            raw.connected(Target("127.0.0.1", daemon.pcp_port)) as admin:
        old = daemon.upgrade()
        assert len(admin.rows("SHOW pool_nodes")) == 3
        one.close()
        wait_for(lambda: not processes.alive(old), "the old parent to end with its last session")


def test_new_generation_hears_of_the_old_one_s_writes(make, cluster):
    """A session of the new one never reads older data than one of the old one wrote."""
    cluster.sql("CREATE TABLE IF NOT EXISTS upgrade_seen (n int); TRUNCATE upgrade_seen;"
                "INSERT INTO upgrade_seen VALUES (0)")
    daemon = make(read_consistency="global").start()
    standbys = cluster.servers[1:]
    with raw.connected(daemon) as old:
        daemon.upgrade()
        with raw.connected(daemon) as new:
            assert new.rows("SELECT n FROM upgrade_seen") == [["0"]]
            try:
                for standby in standbys:
                    standby.rows("SELECT pg_wal_replay_pause(), 1")
                old.simple("UPDATE upgrade_seen SET n = 1")
                assert new.rows("SELECT n FROM upgrade_seen") == [["1"]]
                with raw.connected(daemon) as later:
                    assert later.rows("SELECT n FROM upgrade_seen") == [["1"]]
            finally:
                for standby in standbys:
                    standby.rows("SELECT pg_wal_replay_resume(), 1")
    cluster.wait_replayed()


def test_new_generation_s_lag_hears_of_the_old_one_s_writes(make):
    """Its reads come back to the standbys as soon as these have caught up, not a period later."""
    daemon = make(read_consistency="global", sr_check_period="1h").start()
    with raw.connected(daemon) as old:
        old.simple("CREATE TABLE IF NOT EXISTS upgrade_woken (n int)")
        daemon.upgrade()
        with raw.connected(daemon) as new:
            for _ in range(3):
                old.simple("INSERT INTO upgrade_woken VALUES (1)")
                wait_for(lambda: new.rows("SELECT pg_is_in_recovery()") == [["t"]],
                         "a read on a standby")


def wait_logs_statements(one):
    wait_for(lambda: one.rows("PGPOOL SHOW log_statement") == [["on"]], "its child to reload")


def test_log_of_both(daemon):
    with raw.connected(daemon) as one:
        daemon.reload(log_statement="on")
        wait_logs_statements(one)
        daemon.upgrade()
        one.rows("SELECT 'by the old one'")
        with raw.connected(daemon) as two:
            two.rows("SELECT 'by the new one'")
        daemon.wait_log("statement: SELECT 'by the old one'")
        daemon.wait_log("statement: SELECT 'by the new one'")
        os.rename(daemon.log, daemon.log + ".1")
        daemon.signal(signal.SIGUSR1)
        wait_for(lambda: len([pid for pid in daemon.seen if
                              daemon.log in [open_file(pid, n) for n in range(30)]]) == 2,
                 "both loggers to have begun a new file")
        one.rows("SELECT 'after rotation'")
        daemon.wait_log("statement: SELECT 'after rotation'")
    daemon.wait_log("the older generation of parent process .* has ended")
    daemon.wait_log("this generation has finished")  # by another logger


def open_file(pid, number):
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}")
    except (FileNotFoundError, PermissionError):
        return ""


def test_three_generations(daemon):
    with raw.connected(daemon) as one:
        first = daemon.upgrade()
        with raw.connected(daemon) as two:
            second = daemon.upgrade()
            with raw.connected(daemon) as three:
                for connection in (one, two, three):
                    assert connection.rows("SELECT 1") == [["1"]]
                assert len({one.pid, two.pid, three.pid}) == 3
                assert daemon.run("status", check=0).stdout.count("an older generation:") == 2
        wait_for(lambda: not processes.alive(second), "the second generation's end")
        assert processes.alive(first)
        shown = daemon.run("status", check=0).stdout
        assert shown.count("an older generation:") == 1 and f" {first}  pgpool" in shown
        assert one.rows("SELECT 1") == [["1"]]
    wait_for(lambda: not processes.alive(first), "the first generation's end")


def test_too_many_generations(daemon):
    connections = []
    for _ in range(8):
        connections.append(raw.connected(daemon))
        daemon.upgrade()
    connections.append(raw.connected(daemon))
    done = daemon.run("upgrade", check=1)
    assert "too many older generations still finish their sessions" in done.stderr
    for connection in connections:
        assert connection.rows("SELECT 1") == [["1"]]
    connections[3].close()
    daemon.wait_log("the older generation of parent process .* has ended")
    daemon.upgrade()
    for connection in connections:
        connection.close()


# ---- what is started -----------------------------------------------------------------------------

def test_what_lies_at_the_path_now_is_started(daemon):
    """A package puts a new file in the old one's place; a link that is turned elsewhere is one."""
    copy = os.path.join(daemon.directory, "copy")
    shutil.copy(binary(), copy)
    os.unlink(daemon.program)
    os.symlink(copy, daemon.program)
    assert os.readlink(f"/proc/{daemon.pid}/exe") == os.path.realpath(binary())
    daemon.upgrade()
    assert os.readlink(f"/proc/{daemon.pid}/exe") == copy
    shutil.copy(binary(), copy + ".new")
    os.rename(copy + ".new", copy)
    assert os.readlink(f"/proc/{daemon.pid}/exe") == copy + " (deleted)"
    daemon.upgrade()
    assert os.readlink(f"/proc/{daemon.pid}/exe") == copy
    assert answers(daemon)


@pytest.mark.parametrize("how", ["relative", "search path"])
def test_path_is_found_again(make, how):
    daemon = make()
    directory, name = os.path.split(daemon.program)
    words = daemon.command("-D")[1:]
    program = "./" + name if how == "relative" else name
    done = subprocess.run([program, *words], cwd=directory, check=False, stdin=subprocess.DEVNULL,
                          env={**daemon.environment(), "PATH": "/nowhere:.:" + os.environ["PATH"]})
    assert done.returncode == 0
    daemon.read_pid()
    daemon.wait_titles()
    Pgpool.running.append(daemon)
    daemon.upgrade()
    daemon.wait_log(f'received upgrade request, starting "{directory}/.*{name}"')
    assert answers(daemon)


def settled(look):
    """What is seen for longer than the second in which pgpool looks after everything."""
    seen = [(time.monotonic(), look())]

    def same():
        now = look()
        if now != seen[0][1]:
            seen[0] = (time.monotonic(), now)
        return time.monotonic() - seen[0][0] > 1.5 * SLOW

    wait_for(same, "nothing to change any more", 30)
    return seen[0][1]


def test_no_descriptor_is_handed_down(daemon):
    """However many generations there were, a process has what it had in the first."""
    def descriptors():
        kinds = ("lag", "pcp", "logger", "child 0", "child 1")
        return {kind: [processes.descriptors(pid) for pid in found] for kind, found in
                [("parent", [daemon.pid]), *((kind, daemon.named(kind)) for kind in kinds)]}

    before = settled(descriptors)
    for _ in range(3):
        old = daemon.upgrade()
        wait_for(lambda pid=old: not processes.alive(pid), "the old one's end")
    wait_for(lambda: descriptors() == before, f"descriptors to be as before: {before}")


def test_options_are_the_same(make):
    daemon = make().start("-d")
    daemon.upgrade()
    daemon.wait_log(rf"main pid {daemon.pid}: LOG:  pgpool .* is ready")
    daemon.wait_log("DEBUG1:  child . process started", 4)


def test_startup_options_are_taken_into_account(daemon):
    """Those for which a reload is not enough: the number of children, ports, sockets' modes."""
    old_port, old_pcp = daemon.port, daemon.pcp_port
    with raw.connected(daemon) as one:
        daemon.upgrade(port=free_port(), pcp_port=free_port(), num_init_children=3,
                       unix_socket_permissions="0700")
        assert len(daemon.named("child")) == 3
        assert answers(daemon) and answers(Target(daemon.directory, daemon.port))
        path = f"{daemon.directory}/.s.PGSQL.{daemon.port}"
        assert os.stat(path).st_mode & 0o777 == 0o700
        for port in (old_port, old_pcp):
            wait_for(lambda p=port: not listens(p), "the old port to be closed")
            assert not glob.glob(f"{daemon.directory}/.s.PGSQL.{port}*")
        assert one.rows("SELECT 1") == [["1"]]
    daemon.upgrade(unix_socket_permissions="0770")
    assert os.stat(path).st_mode & 0o777 == 0o770


def test_deleted_socket_file(daemon):
    """Somebody has tidied up: the new one makes its file anew."""
    path = f"{daemon.directory}/.s.PGSQL.{daemon.port}"
    local = Target(daemon.directory, daemon.port)
    os.unlink(path)
    assert not answers(local)
    daemon.upgrade()
    assert answers(local) and answers(daemon)
    with open(path + ".lock", encoding="utf-8") as lock:
        assert int(lock.read()) == daemon.pid
    daemon.upgrade()
    assert answers(local)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_pid_file_cannot_be_another(daemon):
    before = daemon.settings["pid_file_name"]
    with open(daemon.config, "a", encoding="utf-8") as file:
        file.write(f"pid_file_name = '{before}.other'\n")
    # the word looks for the other file, and finds nobody; whoever speaks to the socket is refused
    assert "is not running" in daemon.run("upgrade", check=1).stderr
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(20 * SLOW)
        control.connect(before + ".control")
        control.send(b"upgrade 20")
        assert control.recv(1000).startswith(b"failed the new process ")
    daemon.write_config()
    assert answers(daemon)


def test_control_socket_is_the_user_s_own(daemon):
    path = daemon.settings["pid_file_name"] + ".control"
    assert os.stat(path).st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(20 * SLOW)
        control.connect(path)
        control.send(b"make tea")
        assert control.recv(1000) == b'failed this version does not know the request "make tea"'
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as idle:
        idle.connect(path)
        daemon.upgrade()


def test_bad_timeout(daemon):
    for text in ("0", "x", "-1", "100000"):
        assert "is no number of seconds from 1 to 86400" in \
            daemon.run("-t", text, "upgrade", check=2).stderr


def test_nobody_to_upgrade(make):
    assert "pgpool is not running" in make().run("upgrade", check=1).stderr


def test_reload_is_the_new_one_s(daemon):
    with raw.connected(daemon) as one:
        daemon.upgrade()
        daemon.reload(log_statement="on")
        with raw.connected(daemon) as two:
            wait_logs_statements(two)
            two.rows("SELECT 'new'")
        one.rows("SELECT 'old'")
        daemon.wait_log("statement: SELECT 'new'")
        assert "statement: SELECT 'old'" not in daemon.log_text()


# ---- the process in the foreground ---------------------------------------------------------------

def foreground(cluster, engine="auto", **environment):
    pgpool = Pgpool(cluster, engine)
    pgpool.write_config()
    with open(pgpool.log, "ab") as log:
        pgpool.process = subprocess.Popen(
            pgpool.command("-n", "-D"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            cwd=pgpool.directory, start_new_session=True, env={**os.environ, **environment})
    Pgpool.running.append(pgpool)
    return pgpool


def run_word(pgpool, *words):
    done = subprocess.run(pgpool.command(*words), capture_output=True, text=True,
                          timeout=100 * SLOW, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("by", ["word", "signal"])
def test_foreground_stays(cluster, by):
    """The process that was started ends with pgpool, with its status, and passes signals on."""
    pgpool = foreground(cluster)
    try:
        wait_for(lambda: answers(pgpool), "an answer", 30)
        for _ in range(2):
            with raw.connected(pgpool) as one:
                run_word(pgpool, "upgrade")
                assert one.rows("SELECT 1") == [["1"]]
        current = pid_in_file(pgpool)
        wait_for(lambda: processes.children(pgpool.pid) == [current], "only the newest to be left")
        pgpool.process.send_signal(signal.SIGHUP)
        wait_for(lambda: re.search(rf"main pid {current}: LOG:  received SIGHUP",
                                   pgpool.log_text()), "the newest to reload")
        assert pgpool.process.poll() is None
        if by == "word":
            run_word(pgpool, "-m", "fast", "stop")
        else:
            pgpool.process.send_signal(signal.SIGINT)
        assert pgpool.process.wait(10 * SLOW) == 0
        assert not processes.alive(current)
    finally:
        pgpool.kill()


def test_foreground_tells_of_death(cluster):
    pgpool = foreground(cluster)
    try:
        wait_for(lambda: answers(pgpool), "an answer", 30)
        run_word(pgpool, "upgrade")
        wait_for(lambda: "stands in" in processes.title(pgpool.pid), "it to stand in")
        os.kill(pid_in_file(pgpool), signal.SIGKILL)
        assert pgpool.process.wait(10 * SLOW) == 1
    finally:
        pgpool.kill()


def test_foreground_outlives_pgpool(cluster):
    """It passes signals to whoever is the newest, and to older generations that still have sessions
    when that one has died."""
    pgpool = foreground(cluster)
    try:
        wait_for(lambda: answers(pgpool), "an answer", 30)
        run_word(pgpool, "upgrade")
        wait_for(lambda: "stands in" in processes.title(pgpool.pid), "it to stand in")
        with raw.connected(pgpool) as one:
            run_word(pgpool, "upgrade")
            killed = pid_in_file(pgpool)
            pgpool.process.send_signal(signal.SIGHUP)
            wait_for(lambda: re.search(rf"main pid {killed}: LOG:  received SIGHUP",
                                       pgpool.log_text()), "the newest to reload")
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: not processes.alive(killed), "its end")
            assert one.rows("SELECT 1") == [["1"]]
            pgpool.process.send_signal(signal.SIGINT)
            assert raw.codes(one.read_to_end()) == ["57P01"]
        pgpool.process.wait(10 * SLOW)
    finally:
        pgpool.kill()


@pytest.mark.parametrize("words", [["-n"], []], ids=["foreground", "background"])
def test_service_manager_follows(make, words):
    """The old main process names the new one, and ends; the new one says what follows."""
    daemon = make()
    with Manager(daemon.directory) as manager:
        started = subprocess.Popen(daemon.command("-D", *words), stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL,
                                   env={**os.environ, "NOTIFY_SOCKET": manager.path})
        assert manager.next()["READY"] == "1"
        daemon.read_pid()
        old = daemon.pid
        daemon.upgrade()
        assert manager.next() == {"MAINPID": str(daemon.pid)}
        if words:
            assert started.wait(10 * SLOW) == 0, "the manager follows: nobody need stand in"
        wait_for(lambda: not processes.alive(old), "the old one's end")
        daemon.signal(signal.SIGHUP)
        assert manager.next()["RELOADING"] == "1"
        assert manager.next() == {"READY": "1", "MAINPID": str(daemon.pid)}
        daemon.signal(signal.SIGTERM)
        assert manager.next() == {"STOPPING": "1"}
        wait_for(daemon.ended, "its end")
        started.wait(10 * SLOW)


# ---- cancel requests -----------------------------------------------------------------------------

def sleep_query(one):
    one.send(raw.query("SELECT pg_sleep(60), pg_current_xact_id()"))


def wait_running(cluster, count):
    wait_for(lambda: cluster.primary.value(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
        "'SELECT pg_sleep(60), pg_cur%'") == count, f"{count} running statements")


def cancel(daemon, pid, key):
    """Sends the request and waits for its end, as libpq does."""
    with raw.Raw(daemon) as request:
        request.send(struct.pack("!II", 12 + len(key), 80877102), struct.pack("!I", pid), key)
        assert request.drain_to_end() == b""


@pytest.mark.parametrize("version", [raw.V3_0, raw.V3_2], ids=["3.0", "3.2"])
def test_cancel_reaches_the_old_generation(make, cluster, version, engine):
    """And only the session that it names, in whatever generation."""
    daemon = make(engine=engine).start()
    connections = []
    for number in range(3):
        for _ in range(2):
            one = raw.Raw(daemon, timeout=30)
            assert one.login(version=version)[-1].kind == "Z"
            sleep_query(one)
            connections.append(one)
        if number < 2:
            daemon.upgrade()
    wait_running(cluster, 6)
    assert len({one.pid for one in connections}) == 6
    for left, at in ((5, 3), (4, 0), (3, 5), (2, 1), (1, 4), (0, 2)):
        one = connections[at]
        cancel(daemon, one.pid, bytes(len(one.key)))  # a wrong key
        cancel(daemon, one.pid, one.key)
        assert raw.codes(one.read_until("Z")) == ["57014"]
        wait_running(cluster, left)
    for one in connections:
        assert one.rows("SELECT 1") == [["1"]]
        one.close()


def test_cancel_by_a_driver(daemon, cluster):
    with daemon.connect() as one:
        daemon.upgrade()
        canceller = Background(lambda: (wait_running(cluster, 1), one.cancel()))
        try:
            with pytest.raises(psycopg.errors.QueryCanceled):
                one.execute("SELECT pg_sleep(60), pg_current_xact_id()")
        finally:
            canceller.result()


def test_cancel_that_the_old_generation_does_not_answer(daemon):
    """Its parent hangs and is killed: the request ends with it."""
    with raw.connected(daemon) as one:
        old = daemon.upgrade()
        os.kill(old, signal.SIGSTOP)
        with raw.Raw(daemon, timeout=30) as request:
            request.send(struct.pack("!II", 12 + len(one.key), 80877102),
                         struct.pack("!I", one.pid), one.key)
            wait_for(lambda: clients_of(daemon) == 1, "the request to be taken")
            os.kill(old, signal.SIGKILL)
            assert request.drain_to_end() == b""
        one.read_to_end()
    assert answers(daemon)


def test_cancel_for_nobody(daemon):
    """A session that has ended with its generation: the request ends all the same."""
    with raw.connected(daemon) as one:
        pid, key = one.pid, one.key
        old = daemon.upgrade()
    wait_for(lambda: not processes.alive(old), "the old one's end")
    for number in (pid, 0, 0xFFFFFFFF, 1 << 17, 0x7FFFFFFF):
        cancel(daemon, number, key)
    assert answers(daemon)
