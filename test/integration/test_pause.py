"""pgpool pause, resume, drain and undrain: clients wait and see no error, servers are free."""

import os
import signal
import subprocess
import threading

import pytest

import processes
import raw
from cluster import Cluster, Target, bin_dir
from daemon import Daemon
from proxy import Pgpool
from waiting import SLOW, Background, wait_for

# none of it is a matter of the engine
pytestmark = pytest.mark.one_engine

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
SECONDS = 60 if HEAVY else int(4 + 2 * SLOW)
SHORT = str(int(SLOW))  # a time limit that passes, in seconds


@pytest.fixture(name="own", scope="module")
def own_fixture():
    """Servers of this module's own: they are restarted."""
    cluster = Cluster(standbys=1)
    cluster.sql("CREATE TABLE IF NOT EXISTS pause_t (a int)")
    yield cluster
    cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(own, engine):
    """A function that starts a pgpool on them."""
    started = []

    def start(**settings):
        started.append(Pgpool(own, engine, **settings).start())
        return started[-1]

    yield start
    for pgpool in started:
        pgpool.finish()


def begin(pgpool, *words):
    return subprocess.Popen(pgpool.command(*words), stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process, check=0):
    out, err = process.communicate(timeout=60 * SLOW)
    assert check is None or process.returncode == check, f"{process.args}: {out}{err}"
    return out, err


def run(pgpool, *words, check=0):
    return finish(begin(pgpool, *words), check)


def show(pgpool, view):
    """At the administration port: a login at the other one may have to wait."""
    with raw.connected(Target("127.0.0.1", pgpool.pcp_port)) as one:
        return one.rows(f"SHOW {view}")


def holds(pgpool):
    return show(pgpool, "pool_holds")


def at_servers(own, database="test", servers=None):
    """Clients of the servers that are pgpool's on behalf of clients."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND " \
          "application_name LIKE 'pause%%' AND pid <> pg_backend_pid()"
    return sum(server.value(sql, database) for server in servers or own.servers)


def wait_free(own, servers=None):
    """pgpool has let go of them; a server process hears of it a moment later."""
    wait_for(lambda: at_servers(own, servers=servers) == 0, "the servers to be free")


class Asking(Background):
    """A client that sends a statement from a thread of its own."""

    def __init__(self, pgpool, sql, **kwargs):
        super().__init__(self.ask, pgpool, sql, kwargs)

    @staticmethod
    def ask(pgpool, sql, kwargs):
        with raw.connected(pgpool, timeout=60, **kwargs) as one:
            return one.rows(sql)


def waiting(pgpool):
    return sum(int(row[3]) for row in holds(pgpool))


def wait_waiting(pgpool, count, *asking):
    """Until so many clients wait, and these among them."""
    def all_wait():
        for one in asking:
            one.check()
            assert one.is_alive(), f"it was answered: {one.value}"
        return waiting(pgpool) == count
    wait_for(all_wait, f"{count} clients to wait")


# ---- pause ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["auto", "transaction"])
def test_pause_blocks_and_resume_frees(start, own, mode):
    pgpool = start(pool_mode=mode)
    with raw.connected(pgpool, application_name="pause") as one:
        one.rows("INSERT INTO pause_t VALUES (1)")
        out, _ = run(pgpool, "pause")
        assert out.splitlines()[-1] == "pgpool is paused: no server connection is open"
        wait_free(own)
        assert [row[:2] for row in holds(pgpool)] == [["paused", ""]]
        assert "paused: all databases\n" in run(pgpool, "status")[0]
        one.send(raw.query("INSERT INTO pause_t VALUES (2)"))
        reader = Asking(pgpool, "SELECT 1", application_name="pause")
        newcomer = Asking(pgpool, "SELECT 2", application_name="pause_new")
        wait_waiting(pgpool, 3, reader, newcomer)
        assert at_servers(own) == 0
        assert run(pgpool, "resume")[0] == "pgpool is in use again\n"
        assert not [got for got in one.read_until("Z") if got.kind == "E"]
        assert reader.result() == [["1"]] and newcomer.result() == [["2"]]
        assert holds(pgpool) == []


def test_open_transaction_goes_on(start, own):
    pgpool = start()
    with raw.connected(pgpool, application_name="pause") as one:
        one.rows("BEGIN")
        one.rows("INSERT INTO pause_t VALUES (3)")
        pause = begin(pgpool, "pause")
        wait_for(lambda: holds(pgpool), "the pause")
        assert one.rows("SELECT 1") == [["1"]]
        one.rows("INSERT INTO pause_t VALUES (4)")
        assert pause.poll() is None
        one.rows("COMMIT")
        assert "pgpool is paused" in finish(pause)[0]
        wait_free(own)
        run(pgpool, "resume")


def test_timeout_tells_and_takes_it_back(start):
    pgpool = start()
    with raw.connected(pgpool, application_name="pause") as one:
        one.rows("BEGIN")
        one.rows("INSERT INTO pause_t VALUES (3)")
        _, err = run(pgpool, "-t", SHORT, "pause", check=1)
        assert 'the time limit is over; what is left is 1 server connection:\n  user "postgres" ' \
               'of database "test" from 127.0.0.1, node 0: in a transaction\n' in err
        assert err.endswith("it was taken back: pgpool is in use as before\n")
        assert holds(pgpool) == []
        one.rows("ROLLBACK")


def test_interrupt_takes_it_back(start):
    pgpool = start()
    with raw.connected(pgpool) as one:
        one.rows("BEGIN")
        one.rows("INSERT INTO pause_t VALUES (3)")
        pause = begin(pgpool, "pause")
        assert pause.stdout.readline().startswith("waiting for ")
        pause.send_signal(signal.SIGINT)
        assert "interrupted; " in finish(pause, 1)[1]
        assert holds(pgpool) == []
        one.rows("ROLLBACK")


def test_what_keeps_its_connection_is_named(start):
    """It goes on, and ends the pause's waiting when it has ended what it keeps."""
    pgpool = start()
    with raw.connected(pgpool) as one:
        one.rows("CREATE TEMP TABLE pause_temp (a int)")
        assert "keeps its connection: a temporary object" in \
            run(pgpool, "-t", SHORT, "pause", check=1)[1]
        pause = begin(pgpool, "pause")
        wait_for(lambda: holds(pgpool), "the pause")
        one.rows("INSERT INTO pause_temp VALUES (1)")
        one.rows("DISCARD ALL")
        finish(pause)
        run(pgpool, "resume")


def test_session_mode_waits_for_goodbye(start):
    pgpool = start(pool_mode="session")
    with raw.connected(pgpool) as one:
        one.rows("INSERT INTO pause_t VALUES (1)")
        assert "in session mode" in run(pgpool, "-t", SHORT, "pause", check=1)[1]
        pause = begin(pgpool, "pause")
        wait_for(lambda: holds(pgpool), "the pause")
        one.rows("INSERT INTO pause_t VALUES (1)")
        assert pause.poll() is None
    finish(pause)
    run(pgpool, "resume")


def test_one_database(start, own):
    pgpool = start()
    with raw.connected(pgpool, application_name="pause") as one, \
            raw.connected(pgpool, application_name="pause", database="postgres") as other:
        one.rows("INSERT INTO pause_t VALUES (1)")
        other.rows("SELECT pg_advisory_xact_lock(1)")
        assert run(pgpool, "pause", "-d", "test")[0].splitlines()[-1] == \
            'database "test" is paused: no server connection is open'
        assert [row[:2] for row in holds(pgpool)] == [["paused database", "test"]]
        wait_free(own)
        assert other.rows("SELECT 1") == [["1"]]
        asking = Asking(pgpool, "SELECT 1")
        wait_waiting(pgpool, 1, asking)
        run(pgpool, "pause")
        assert "is not paused by itself" not in run(pgpool, "resume", "test")[1]
        assert asking.is_alive()
        assert "is not paused by itself" in run(pgpool, "resume", "test", check=1)[1]
        run(pgpool, "resume")
        assert asking.result() == [["1"]]


def test_twice_and_for_nothing(start):
    pgpool = start()
    assert run(pgpool, "resume")[0] == "pgpool was not paused\n"
    assert run(pgpool, "undrain", "1")[0] == "node 1 was not drained\n"
    run(pgpool, "pause")
    assert run(pgpool, "pause")[0] == \
        "pgpool is paused (it was before): no server connection is open\n"
    assert run(pgpool, "resume")[0] == "pgpool is in use again\n"
    assert run(pgpool, "resume")[0] == "pgpool was not paused\n"


@pytest.mark.parametrize("words, message", [
    (["pause", "a", "b"], 'one database is enough; what is "b"?'),
    (["pause", "-d"], "the name of the database is missing"),
    (["resume", "x" * 64], f'"{"x" * 64}" is no name of a database'),
    (["drain"], "the number of the node is missing"),
    (["drain", "x"], '"x" is no number of a node'),
    (["drain", "128"], '"128" is no number of a node'),
    (["undrain", "1", "2"], 'one node is enough; what is "2"?'),
    (["-t", "0", "pause"], 'timeout "0" is no number of seconds from 1 to 86400'),
])
def test_wrong_words(start, words, message):
    assert message in run(Pgpool.running[-1] if Pgpool.running else start(), *words, check=2)[1]


def test_no_such_node(start):
    assert "there is no node 5" in run(start(), "drain", "5", check=1)[1]


def test_killed_children_stay_paused(start, own):
    pgpool = start()
    run(pgpool, "pause")
    pgpool.kill_named("child")
    asking = Asking(pgpool, "SELECT 1", application_name="pause")
    wait_waiting(pgpool, 1, asking)
    assert at_servers(own) == 0
    assert run(pgpool, "pause")[0].startswith("pgpool is paused (it was before)")
    run(pgpool, "resume")
    assert asking.result() == [["1"]]


def test_stopped_child_is_waited_for(start):
    """It has not heard of it, and nobody knows what it will do next."""
    pgpool = start()
    pid = pgpool.named("child")[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert f"process {pid} has not heard of it yet" in \
            run(pgpool, "-t", SHORT, "pause", check=1)[1]
    finally:
        os.kill(pid, signal.SIGCONT)
    run(pgpool, "pause")
    run(pgpool, "resume")


def test_query_wait_timeout_does_not_count(start):
    limit = f"{int(1000 * SLOW)}ms"
    pgpool = start(query_wait_timeout=limit, max_backend_connections=2,
                   authentication_timeout=limit)
    run(pgpool, "pause")
    with raw.Raw(pgpool) as late:
        late.send(raw.startup({"user": "postgres", "database": "test"}))
        asking = [Asking(pgpool, "SELECT 1") for _ in range(4)]
        wait_waiting(pgpool, 5, *asking)
        threading.Event().wait(3 * SLOW)
        run(pgpool, "resume")
        for one in asking:
            assert one.result() == [["1"]]
        assert not [got for got in late.read_until("Z") if got.kind == "E"]


def test_cancel_while_paused(start):
    pgpool = start()
    with pgpool.connect() as one:
        one.execute("SELECT 1")
        run(pgpool, "pause")

        def cancel():
            try:
                wait_waiting(pgpool, 1)
            except AssertionError:
                run(pgpool, "resume")  # or the statement waits for ever
                raise
            one.cancel()

        asking = Background(cancel)
        with pytest.raises(Exception, match="canceling statement due to user request"):
            one.execute("INSERT INTO pause_t VALUES (1)")
        asking.result()
        run(pgpool, "resume")
        assert one.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_stop_while_paused(own, engine, mode):
    daemon = Daemon(own, io_engine=engine).start()
    try:
        daemon.run("pause", check=0)
        asking = Asking(daemon, "SELECT 1")
        wait_waiting(daemon, 1, asking)
        daemon.run("-m", mode, "stop", check=0)
        asking.join(20 * SLOW)
        assert asking.error is not None
    finally:
        daemon.finish()


def test_upgrade_is_refused_while_paused(own, engine):
    daemon = Daemon(own, io_engine=engine).start()
    try:
        daemon.run("pause", check=0)
        assert "pgpool is paused" in daemon.run("upgrade", check=1).stderr
        daemon.run("resume", check=0)
        with raw.connected(daemon) as one:
            daemon.run("upgrade", check=0, timeout=100)
            daemon.read_pid()
            daemon.wait_nodes()
            assert "an older generation" in daemon.run("pause", check=1).stderr
            assert one.rows("SELECT 1") == [["1"]]
        wait_for(lambda: daemon.run("pause").returncode == 0, "the old one to end")
        daemon.run("resume", check=0)
    finally:
        daemon.finish()


def pgbench(pgpool, seconds, *words):
    return subprocess.Popen(["pgbench", "-n", "-c", "32", "-j", "2", "-T", str(seconds), *words],
                            env=pgpool.env(), text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_begun(pgpool):
    """More SELECTs and UPDATEs than a start has."""
    wait_for(lambda: sum(int(row[5]) + int(row[7]) for row in show(pgpool, "pool_backend_stats"))
             > 100, "some transactions")


def assert_no_error(process):
    out, _ = process.communicate(timeout=120 * SLOW)
    assert process.returncode == 0 and "abort" not in out and "error" not in out.lower(), out
    assert "number of failed transactions: 0" in out or "failed" not in out, out


@pytest.fixture(name="bench", scope="module")
def bench_fixture(own):
    subprocess.run([bin_dir() + "/pgbench", "-i", "-q", "-s", "32"], env=own.primary.env(),
                   check=True, capture_output=True)
    own.wait_replayed()


@pytest.mark.parametrize("words", [["-S"], ["-S", "-M", "prepared"], []],
                         ids=["simple", "prepared", "tpcb"])
def test_pgbench_across_pauses(start, bench, words):
    pgpool = start(max_backend_connections=20)
    client = pgbench(pgpool, SECONDS, *words)
    wait_begun(pgpool)
    count = 0
    while client.poll() is None:
        run(pgpool, "-t", "30", "pause")
        run(pgpool, "resume")
        count += 1
        threading.Event().wait(5 if HEAVY else 0.5)
    assert_no_error(client)
    assert count >= 2


def test_pgbench_across_reloads(start, bench):
    pgpool = start(max_backend_connections=20)
    client = pgbench(pgpool, SECONDS)
    number = 0
    while client.poll() is None:
        number += 1
        pgpool.write_config(query_wait_timeout=f"{60 + number}s",
                            max_backend_connections=18 + number % 3)
        run(pgpool, "reload")
        threading.Event().wait(1)
    assert_no_error(client)
    assert number >= 3


def test_servers_are_restarted_meanwhile(start, own, bench):
    pgpool = start()
    client = pgbench(pgpool, SECONDS + 4, "-S" if HEAVY else "-N")
    wait_begun(pgpool)
    run(pgpool, "pause")
    for server in own.servers:
        server.stop()
        server.start()
    run(pgpool, "resume")
    assert_no_error(client)
    own.wait_streaming()
    assert processes.alive(pgpool.pid)


def test_pause_while_the_servers_are_down(start, own):
    """What comes while nobody is the primary waits, too."""
    pgpool = start()
    run(pgpool, "pause")
    for server in own.servers:
        server.stop()
    wait_for(lambda: [row[4] for row in show(pgpool, "pool_nodes")] == ["down"] * 2,
             "both to be down")
    asking = [Asking(pgpool, "INSERT INTO pause_t VALUES (9)"), Asking(pgpool, "SELECT 1")]
    wait_waiting(pgpool, 2, *asking)
    for server in own.servers:
        server.start()
    run(pgpool, "resume")
    for one in asking:
        one.result()
    own.wait_streaming()


# ---- drain ---------------------------------------------------------------------------------------

def test_drain_moves_reads_away(start, own):
    pgpool = start()
    with raw.connected(pgpool, application_name="pause") as one:
        assert one.rows("SHOW port") and one.rows("SELECT 1")
        port = "SELECT current_setting('port') FROM (SELECT 1) AS one"
        wait_for(lambda: one.rows(port) == [[str(own.servers[1].port)]], "the standby to be read")
        out, _ = run(pgpool, "drain", "1")
        assert out.splitlines()[-1] == "node 1 is drained: no server connection is open to it"
        wait_free(own, own.servers[1:])
        assert "drained: node 1\n" in run(pgpool, "status")[0]
        assert [row[:2] for row in holds(pgpool)] == [["drained node", "1"]]
        for _ in range(5):
            assert one.rows(port) == [[str(own.servers[0].port)]]
        with raw.connected(pgpool) as two:
            assert two.rows(port) == [[str(own.servers[0].port)]]
        own.servers[1].stop()
        assert one.rows(port) == [[str(own.servers[0].port)]]
        own.servers[1].start()
        assert run(pgpool, "undrain", "1")[0] == "node 1 is in use again\n"
        wait_for(lambda: one.rows(port) == [[str(own.servers[1].port)]], "the standby to be read")


def test_drain_waits_for_transactions(start):
    pgpool = start()
    with raw.connected(pgpool) as one:
        one.rows("BEGIN READ ONLY")
        one.rows("SELECT count(*) FROM pause_t")
        _, err = run(pgpool, "-t", SHORT, "drain", "1", check=None)
        if err:
            assert "node 1: in a transaction" in err
        one.rows("COMMIT")
        run(pgpool, "drain", "1")
        run(pgpool, "undrain", "1")


def test_drained_primary(start, own):
    """Writes wait, reads go on."""
    pgpool = start()
    with raw.connected(pgpool, application_name="pause") as one:
        one.rows("SELECT count(*) FROM pause_t")
        run(pgpool, "drain", "0")
        wait_free(own, own.servers[:1])
        writer = Asking(pgpool, "INSERT INTO pause_t VALUES (5)")
        wait_waiting(pgpool, 1, writer)
        assert one.rows("SELECT count(*) FROM pause_t")
        own.primary.stop()
        wait_for(lambda: show(pgpool, "pool_nodes")[0][4] == "down", "it to be down")
        second = Asking(pgpool, "INSERT INTO pause_t VALUES (6)")
        wait_waiting(pgpool, 2, writer, second)
        own.primary.start()
        run(pgpool, "undrain", "0")
        writer.result()
        second.result()
    own.wait_streaming()


# ---- at the administration port ------------------------------------------------------------------

def admin(pgpool):
    """As pgpool's own user: over the unix socket."""
    return Target(pgpool.directory, pgpool.pcp_port)


def test_sql_pauses(start, own):
    pgpool = start()
    with raw.connected(pgpool, application_name="pause") as one, \
            raw.connected(admin(pgpool)) as boss:
        one.rows("BEGIN")
        one.rows("INSERT INTO pause_t VALUES (1)")
        boss.send(raw.query("PGPOOL PAUSE"), raw.query("SHOW pool_holds"))
        wait_for(lambda: holds(pgpool), "the pause")
        one.rows("COMMIT")
        assert boss.read_until("Z")[0].body == b"PAUSE\0"
        assert [got.row()[0] for got in boss.read_until("Z") if got.kind == "D"] == [b"paused"]
        wait_free(own)
        asking = Asking(pgpool, "SELECT 1")
        wait_waiting(pgpool, 1, asking)
        assert boss.simple("PGPOOL RESUME")[0].body == b"RESUME\0"
        assert asking.result() == [["1"]]
        for text, name in (('PGPOOL PAUSE "Te st"', "Te st"), ("PGPOOL PAUSE TEST", "test")):
            assert boss.simple(text)[0].body == b"PAUSE\0"
            assert [row[:2] for row in boss.rows("SHOW pool_holds")] == [["paused database", name]]
            boss.simple("PGPOOL RESUME")
        assert boss.simple("PGPOOL DRAIN 1")[0].body == b"DRAIN\0"
        assert [row[:2] for row in boss.rows("SHOW pool_holds")] == [["drained node", "1"]]
        assert boss.simple("pgpool undrain 1;")[0].body == b"UNDRAIN\0"
        assert boss.rows("SHOW pool_holds") == []


def test_sql_by_the_extended_protocol(start):
    pgpool = start()
    with raw.connected(admin(pgpool)) as boss:
        def ask(text):
            boss.send(raw.parse("", text), raw.bind("", ""), raw.describe("P"), raw.execute(),
                      raw.SYNC)
            return boss.read_until("Z")
        assert "".join(got.kind for got in ask("PGPOOL PAUSE")) == "12nCZ"
        assert len(holds(pgpool)) == 1
        assert "".join(got.kind for got in ask("PGPOOL DRAIN 7")) == "12nEZ"
        assert ask("PGPOOL RESUME")[3].body == b"RESUME\0"
        assert holds(pgpool) == []


def test_sql_takes_back_what_is_not_waited_for(start):
    pgpool = start()
    with raw.connected(pgpool) as one:
        one.rows("BEGIN")
        one.rows("INSERT INTO pause_t VALUES (1)")
        for way in ("cancel", "goodbye", "at once"):
            boss = raw.connected(admin(pgpool))
            boss.send(raw.query("PGPOOL PAUSE"))
            if way != "at once":
                wait_for(lambda: holds(pgpool), "the pause")
            if way == "cancel":
                with raw.Raw(admin(pgpool)) as request:
                    request.send(raw.cancel_request(boss.pid, boss.key))
                    request.drain_to_end()
                assert boss.read_until("Z")[0].fields()["C"] == "57014"
            boss.close()
            wait_for(lambda: holds(pgpool) == [], "it to be taken back")
        one.rows("COMMIT")


def test_sql_is_not_for_everybody(start):
    pgpool = start()
    text = "PGPOOL PAUSE"
    for target, code in ((pgpool, "0A000"), (Target("127.0.0.1", pgpool.pcp_port), "42501")):
        with raw.connected(target) as one:
            assert one.simple(text)[0].fields()["C"] == code
            assert one.simple("PGPOOL PAUSE a b")[0].fields()["C"] == "42601"
    with raw.connected(admin(pgpool)) as boss:
        assert boss.simple("PGPOOL PAUSE; SHOW pool_version")[0].fields()["C"] == "0A000"
        for text in ("PGPOOL DRAIN", "PGPOOL DRAIN x", 'PGPOOL PAUSE ""', "PGPOOL RESUME 'a'"):
            assert boss.simple(text)[0].fields()["C"] == "42601"
        assert boss.simple("PGPOOL DRAIN 300")[0].fields()["C"] == "22023"
    assert holds(pgpool) == []
