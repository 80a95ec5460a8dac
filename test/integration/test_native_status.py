"""Native replication: what the status file says, and what becomes of nodes when nobody can tell
what it said."""

import os
import re

import psycopg
import pytest

from cluster import run
from proxy import starter
from test_native import SETTINGS, Servers
from test_pcp import Tools
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

UNKNOWN = "no node is known to have all that was written"


@pytest.fixture(name="own")
def own_fixture():
    """Servers that a test may break."""
    servers = Servers()
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(own, engine):
    for start in starter(own.cluster, engine):
        yield lambda **more: start(**SETTINGS | {"failover_wait": "1s"} | more)


def status_file(pgpool):
    return os.path.join(pgpool.directory, "pgpool_status")


def order(pgpool, tool, node):
    return Tools(pgpool).run(tool, "-w", "-n", str(node), host=pgpool.directory,
                             user=os.environ.get("USER") or "root")


def write(pgpool, number):
    with pgpool.connect() as client:
        client.execute(f"INSERT INTO t (id) VALUES ({number})")


def leave_node_behind(own, pgpool):
    """Node 1 lacks row 300, and the status file knows that."""
    pgpool.settings["failover_wait"] = "60s"
    own[1].stop("immediate")
    wait_for(lambda: "is detached" in pgpool.log_text(), "node 1 to be detached", 60)
    write(pgpool, 300)
    own[1].start()
    pgpool.stop()
    pgpool.settings["failover_wait"] = "1s"


def refused(pgpool, sql):
    with pytest.raises(psycopg.Error) as caught, pgpool.connect() as client:
        client.execute(sql)
    return caught.value.sqlstate, str(caught.value)


def begin_without_copies(pgpool):
    pgpool.mark_log()
    pgpool.launch()
    wait_for(lambda: "is ready" in pgpool.log_since_mark(), "pgpool to be ready", 30)
    wait_for(lambda: UNKNOWN in pgpool.log_since_mark(), "it to say so", 30)


def flip(path):
    with open(path, "r+b") as file:
        file.seek(20)
        byte = file.read(1)
        file.seek(20)
        file.write(bytes([byte[0] ^ 1]))


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path):
    os.truncate(path, 0)


def replace_by_directory(path):
    os.unlink(path)
    os.mkdir(path)


@pytest.mark.parametrize("damage", [flip, cut, empty, replace_by_directory])
def test_a_status_file_that_cannot_be_read_leaves_no_node(own, start, damage):
    pgpool = start()
    leave_node_behind(own, pgpool)
    damage(status_file(pgpool))
    for _ in range(2):  # what was found out the first time is not forgotten
        begin_without_copies(pgpool)
        for sql in ("INSERT INTO t (id) VALUES (301)", "SELECT 1 FROM t"):
            state, words = refused(pgpool, sql)
            assert state == "57P03", words
        assert "-D" in pgpool.log_since_mark() and "pcp_attach_node" in pgpool.log_since_mark()
        pgpool.stop()
    assert own.all("SELECT id FROM t WHERE id >= 300") == [[(300,)], [], [(300,)]]
    begin_without_copies(pgpool)  # for the fixture, which ends it


def test_one_node_is_used_by_order_when_nobody_knows(own, start):
    pgpool = start()
    leave_node_behind(own, pgpool)
    cut(status_file(pgpool))
    begin_without_copies(pgpool)
    assert refused(pgpool, "SELECT 1 FROM t")[0] == "57P03"
    done = order(pgpool, "attach_node", 2)
    assert done.returncode == 0, done
    wait_for(lambda: pgpool.named("child"), "children")
    write(pgpool, 301)
    for other in (0, 1):
        done = order(pgpool, "attach_node", other)
        assert done.returncode != 0 and "not equal" in done.stderr, done
    pgpool.stop()
    pgpool.start()  # and that is remembered
    write(pgpool, 302)
    assert own.all("SELECT id FROM t WHERE id >= 300") == [
        [(300,)], [], [(300,), (301,), (302,)]]


def test_discarding_the_status_is_the_word_that_all_are_equal(own, start):
    pgpool = start()
    write(pgpool, 310)
    pgpool.stop()
    cut(status_file(pgpool))
    begin_without_copies(pgpool)
    pgpool.stop()
    command = pgpool.command
    pgpool.command = lambda *words: command(*words, "-D")
    pgpool.start()
    write(pgpool, 311)
    pgpool.stop()
    pgpool.command = command
    pgpool.start()
    write(pgpool, 312)
    assert own.same("SELECT id FROM t WHERE id >= 310 ORDER BY 1") == [(310,), (311,), (312,)]


def test_a_node_that_was_not_there_before_is_no_copy(own, start):
    """Another address is another server, as far as anybody knows."""
    pgpool = start()
    write(pgpool, 320)
    pgpool.stop()
    pgpool.settings["backend_hostname2"] = "localhost"
    pgpool.start()
    write(pgpool, 321)
    assert own.all("SELECT id FROM t WHERE id >= 320 ORDER BY 1") == [
        [(320,), (321,)], [(320,), (321,)], [(320,)]]


def test_a_node_is_detached_by_order_and_not_attached_again_before_it_is_equal(own, start):
    pgpool = start()
    assert order(pgpool, "detach_node", 1).returncode == 0
    write(pgpool, 330)
    done = order(pgpool, "attach_node", 1)
    assert done.returncode != 0 and "not equal" in done.stderr, done
    assert order(pgpool, "detach_node", 0).returncode == 0
    done = order(pgpool, "detach_node", 2)
    assert done.returncode != 0 and "only node" in done.stderr
    wait_for(lambda: write_is_done(pgpool, 331), "node 2 to be written to")
    assert own.all("SELECT id FROM t WHERE id >= 330 ORDER BY 1") == [
        [(330,)], [], [(330,), (331,)]]


def write_is_done(pgpool, number):
    try:
        write(pgpool, number)
    except psycopg.errors.UniqueViolation:
        return True
    except psycopg.Error:
        return False
    return True


def test_a_dead_node_that_may_not_be_detached_holds_writes(own, start):
    pgpool = start(backend_flag1="DISALLOW_TO_FAILOVER", shutdown_grace="100ms")
    write(pgpool, 340)
    own[1].stop("immediate")
    wait_for(lambda: re.search(r'node 1 "\S+" is dead', pgpool.log_text()),
             "node 1 to be called dead", 60)
    state, words = refused(pgpool, "INSERT INTO t (id) VALUES (341)")
    assert state == "57P03", words
    assert "is detached" not in pgpool.log_text()
    assert order(pgpool, "detach_node", 1).returncode == 0
    wait_for(lambda: write_is_done(pgpool, 342), "writes to go on")
    assert own[0].rows("SELECT id FROM t WHERE id >= 340 ORDER BY 1") == [(340,), (342,)]


def test_without_health_checks_a_client_s_connection_finds_it_out(own, start):
    pgpool = start(health_check_period=0, failover_wait="60s")
    write(pgpool, 350)
    own[1].stop("immediate")
    write(pgpool, 351)
    assert "node 1" in pgpool.log_text() and "is detached" in pgpool.log_text()
    with pgpool.connect() as client:
        assert client.execute("SHOW pool_node_states").fetchall() == []
    assert own[0].rows("SELECT id FROM t WHERE id >= 350 ORDER BY 1") == [(350,), (351,)]


def test_no_node_is_promoted_and_none_in_use_is_recovered(own, start):
    pgpool = start()
    done = order(pgpool, "promote_node", 1)
    assert done.returncode != 0 and "no node is promoted" in done.stderr, done
    done = order(pgpool, "recovery_node", 1)
    assert done.returncode != 0 and "detach it first" in done.stderr, done
    write(pgpool, 360)
    assert own.same("SELECT id FROM t WHERE id >= 360") == [(360,)]


# ---- configtest --connect ------------------------------------------------------------------------

def test_rights_at_the_nodes(own, start):
    """What this mode needs, and not what promotion does."""
    pgpool = start()
    done = run(*pgpool.command("configtest", "--connect"), check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    pgpool.write_config(sr_check_user="keeper", recovery_user="postgres")
    for number in 0, 1:
        with own[number].connect() as connection:
            connection.execute("CREATE ROLE keeper LOGIN IN ROLE pg_monitor")
    with own[2].connect() as connection:
        connection.execute("CREATE ROLE keeper LOGIN SUPERUSER")
        connection.execute("ALTER SYSTEM SET max_prepared_transactions = 0")
    own[2].stop()
    own[2].start()
    done = run(*pgpool.command("configtest", "--connect"), check=False)
    assert done.returncode == 1
    for node in 0, 1:
        assert re.search(rf'error: node {node} .* user "keeper": it may not set sequences .*'
                         "ALTER ROLE keeper SUPERUSER", done.stderr), done.stderr
    assert re.search(r'warning: node 2 .* user "keeper": it may not prepare transactions',
                     done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 3, done.stderr
