"""The health processes and real servers: what is death and what is not."""

import os
import signal

import pytest

import processes
from cluster import HBA, Cluster
from probing import another_check, said, shows, stats, wait_left_alone
from proxy import Pgpool
from waiting import SLOW, wait_for

# these processes have an engine of their own
pytestmark = [pytest.mark.one_engine, pytest.mark.takes(30)]
PRIMARY, STANDBY = r"^alive, a primary on timeline 1$", r"^alive, a standby on timeline 1$"
# servers are judged and nothing is done about them
SETTINGS = {"backend_clustering_mode": "raw", "health_check_period": f"{int(200 * SLOW)}ms",
            "health_check_timeout": f"{int(1000 * SLOW)}ms", "health_check_retry_delay": "100ms"}


@pytest.fixture(scope="module", name="cluster")
def cluster_fixture():
    cluster = Cluster(standbys=1)
    cluster.sql("CREATE USER prober PASSWORD 'secret'; GRANT pg_monitor TO prober;"
                "CREATE USER plain")
    yield cluster
    cluster.destroy()


@pytest.fixture(name="pgpool")
def pgpool_fixture(cluster, engine):
    pgpool = Pgpool(cluster, engine, **SETTINGS).start()
    shows(pgpool, PRIMARY, 0)
    shows(pgpool, STANDBY, 1)
    yield pgpool
    pgpool.finish()


def postmaster(server):
    with open(server.data + "/postmaster.pid", encoding="ascii") as file:
        return int(file.readline())


def tell_all(server, signo):
    """Every process of a server."""
    first = postmaster(server)
    pids = [first, *processes.descendants(first)]
    for pid in pids:
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            pass
    return pids


def kill(server):
    pids = tell_all(server, signal.SIGKILL)
    wait_for(lambda: not any(processes.alive(pid) for pid in pids), "the server's end")
    # who is a zombie still would count as the owner of these
    os.remove(server.data + "/postmaster.pid")
    os.remove(f"{server.directory}/.s.PGSQL.{server.port}.lock")


def probers(server):
    return [row[0] for row in server.rows(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgpool health'")]


def probe_anew(server):
    """Ends the connection that probes, as anybody may."""
    return server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                       "WHERE application_name = 'pgpool health'")


def test_killed_server_is_dead_at_once(cluster, pgpool):
    """The end of its connection tells it: the next check would come much later."""
    pgpool.reload(health_check_period=1000)
    wait_left_alone(pgpool, 0)
    kill(cluster.primary)
    shows(pgpool, "^dead: .*Connection refused", 0)
    assert len(said(pgpool, "is dead", 0)) == 1
    cluster.primary.start()
    with cluster.primary.connect() as one:
        one.execute("CHECKPOINT")  # standbys that have all of the WAL wait for more
    pgpool.reload(health_check_period=1)
    shows(pgpool, PRIMARY, 0)
    assert len(said(pgpool, "is alive again", 0)) == 1
    assert not said(pgpool, "dead", 1)
    cluster.wait_streaming()


def test_stopped_server_is_dead_by_silence(cluster, pgpool):
    tell_all(cluster.primary, signal.SIGSTOP)
    try:
        shows(pgpool, "^dead: no answer", 0)
    finally:
        tell_all(cluster.primary, signal.SIGCONT)
    shows(pgpool, PRIMARY, 0)
    assert len(said(pgpool, "is dead", 0)) == len(said(pgpool, "is alive again", 0)) == 1
    got = stats(pgpool, 0)
    assert got["fail_count"] >= 1 and got["retry_count"] >= 1
    assert got["last_failed_health_check"]


def test_restart_is_no_death(cluster, pgpool):
    server = cluster.primary
    server.stop("fast")
    shows(pgpool, "^recovering: ", 0)
    server.start()
    shows(pgpool, PRIMARY, 0)
    assert not said(pgpool, "is dead", 0)
    cluster.wait_streaming()


def test_crash_of_one_backend_is_no_death(cluster, pgpool):
    """All others end with it, and the server recovers."""
    with cluster.primary.connect() as one:
        pid = one.execute("SELECT pg_backend_pid()").fetchone()[0]
        before = probers(cluster.primary)
        os.kill(pid, signal.SIGKILL)

    def recovered():
        try:
            now = probers(cluster.primary)
        except Exception:  # pylint: disable=broad-except
            return False
        return now and not set(now) & set(before)

    wait_for(recovered, "the server to recover, and to be probed", 20)
    shows(pgpool, PRIMARY, 0)
    assert not said(pgpool, "is dead", 0)
    cluster.wait_streaming()


def test_server_that_starts_up_for_long(cluster, pgpool):
    server = cluster.servers[1]
    server.stop()
    server.configure("hot_standby = off\n")
    process = server.start_in_background()
    try:
        shows(pgpool, "^recovering: the database system is not", 1)
        asked = stats(pgpool, 1)["retry_count"]
        wait_for(lambda: stats(pgpool, 1)["retry_count"] > asked + 3, "more probes")
        assert not said(pgpool, "is dead", 1)
        pgpool.reload(recovery_grace=0)
        shows(pgpool, "^dead: the database system is not", 1)
    finally:
        server.stop()
        process.wait(20 * SLOW)
        server.start()
    shows(pgpool, STANDBY, 1)
    cluster.wait_streaming()


def test_terminated_probe_says_nothing(cluster, pgpool):
    for server in cluster.servers:
        before = probers(server)
        assert len(before) == 1
        probe_anew(server)
        wait_for(lambda s=server, b=before: len(probers(s)) == 1 and probers(s) != b,
                 "another connection")
    shows(pgpool, PRIMARY, 0)
    shows(pgpool, STANDBY, 1)
    for node in (0, 1):
        assert not said(pgpool, "is dead", node)


def test_wrong_password_and_database(cluster, pgpool):
    """Alarms, never deaths."""
    for server in cluster.servers:
        server.write_hba("host all prober 127.0.0.1/32 scram-sha-256\n" + HBA)
    pgpool.reload(health_check_user="prober", health_check_password="wrong")
    shows(pgpool, "^alive: password authentication failed", 0)
    shows(pgpool, "^alive: password authentication failed", 1)
    another_check(pgpool, 0)
    assert len(said(pgpool, "could not be checked", 0)) == 1
    pgpool.reload(health_check_password="TEXTsecret", health_check_database0="nope")
    shows(pgpool, "^alive: database \"nope\" does not exist", 0)
    shows(pgpool, STANDBY, 1)
    assert len(said(pgpool, "can be checked again", 1)) == 1
    pgpool.reload(health_check_database0="postgres")
    shows(pgpool, PRIMARY, 0)
    for node in (0, 1):
        assert not said(pgpool, "is dead", node)
    for server in cluster.servers:
        server.write_hba(HBA)


def limit_prober(cluster, connections):
    with cluster.primary.connect() as one:
        one.execute(f"ALTER ROLE prober CONNECTION LIMIT {connections}")


def test_full_server_is_alive(cluster, pgpool):
    """Who has a connection goes on with it; who gets none hears 53300."""
    pgpool.reload(health_check_user="prober")
    wait_for(lambda: cluster.primary.value(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'prober'") == 1, "the prober")
    shows(pgpool, PRIMARY, 0)
    limit_prober(cluster, 0)
    another_check(pgpool, 0)
    shows(pgpool, PRIMARY, 0)
    probe_anew(cluster.primary)
    shows(pgpool, "^alive: too many connections for role", 0)
    another_check(pgpool, 0)
    limit_prober(cluster, -1)
    shows(pgpool, PRIMARY, 0)
    assert not said(pgpool, "is dead", 0)


def test_user_without_rights(cluster, pgpool):
    assert not said(pgpool, "grant pg_monitor", 1)
    pgpool.reload(health_check_user="plain")
    wait_for(lambda: said(pgpool, "grant pg_monitor", 1), "the advice")
    another_check(pgpool, 1)
    assert len(said(pgpool, "grant pg_monitor", 1)) == 1
    assert not said(pgpool, "grant pg_monitor", 0)
    shows(pgpool, PRIMARY, 0)
    shows(pgpool, STANDBY, 1)


def test_counters_outlive_their_process(pgpool):
    another_check(pgpool, 0)
    before = stats(pgpool, 0)
    pgpool.kill_named("health 0")
    another_check(pgpool, 0)
    after = stats(pgpool, 0)
    assert after["total_count"] > before["total_count"] >= 2
    assert after["success_count"] > before["success_count"]
    assert after["fail_count"] == 0
    assert after["status"] == "up" and after["role"] in ("main", "primary")
    assert after["average_retry_count"] == "0.000000"
    shows(pgpool, PRIMARY, 0)


def test_reload_changes_periods_and_nodes(cluster, pgpool):
    pgpool.reload(health_check_period=0, health_check_period1="100ms")
    another_check(pgpool, 1)
    pgpool.reload(backend_hostname2=cluster.primary.host, backend_port2=cluster.primary.port,
           health_check_period2="100ms")
    shows(pgpool, PRIMARY, 2)
    another_check(pgpool, 2)
    pgpool.reload(health_check_period="100ms")
    another_check(pgpool, 0)


def test_timeline_of_a_standby_whose_primary_died(engine):
    """It followed a new primary, and its control file does not know yet: without the names of its
    WAL files it could not be promoted next."""
    cluster = Cluster(standbys=2)
    pgpool = Pgpool(cluster, engine, **SETTINGS).start()
    try:
        _, first, second = cluster.servers
        kill(cluster.primary)
        assert first.value("SELECT pg_promote()")
        shows(pgpool, "a primary on timeline 2$", 1)
        with second.connect() as one:
            one.execute(f"ALTER SYSTEM SET primary_conninfo = 'host={first.host} "
                        f"port={first.port} user=postgres application_name=node2'")
            one.execute("ALTER SYSTEM SET primary_slot_name = ''")
            one.execute("SELECT pg_reload_conf()")
        shows(pgpool, "a standby on timeline 2$", 2)
        position = first.value("SELECT pg_current_wal_flush_lsn()")
        wait_for(lambda: second.value("SELECT pg_last_wal_replay_lsn() >= %s", position),
                 "the standby")
        kill(first)
        shows(pgpool, "^dead: ", 1)
        wait_for(lambda: second.value("SELECT count(*) FROM pg_stat_wal_receiver") == 0,
                 "the end of its receiver")
        assert second.value("SELECT timeline_id FROM pg_control_checkpoint()") == 1
        another_check(pgpool, 2)
        shows(pgpool, "a standby on timeline 2$", 2)
    finally:
        try:
            pgpool.finish()
        finally:
            cluster.destroy()
