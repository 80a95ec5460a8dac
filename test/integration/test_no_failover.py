"""What happens to servers every day is no reason to promote another one."""

import os
import signal
import subprocess

import psycopg
import pytest

import raw
from cluster import HBA, make_dir, run
from failing import FATES, FailingCluster, Keeper, Load, takes_long
from waiting import SLOW, Background, wait_for

# none of it is a matter of the engine
pytestmark = [pytest.mark.one_engine, pytest.mark.takes(40), pytest.mark.plain]
# a server that crashes or is shut down tells those who are with it
SERVER_ENDS = FATES | {"57P01", "57P02"}


@pytest.fixture(scope="module", name="cluster")
def cluster_fixture():
    cluster = FailingCluster(standbys=2)
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module", name="keeper")
def keeper_fixture(cluster, engine):
    keeper = Keeper(cluster, engine).start()
    yield keeper
    keeper.finish()


@pytest.fixture(name="pgpool")
def pgpool_fixture(cluster, keeper):
    """All is well before and after, and whatever a test does: nothing was promoted."""
    keeper.wait_whole()
    wait_for(lambda: cluster.whole(cluster.primary), "both standbys to stream", 30)
    yield keeper
    keeper.wait_primary(0)
    keeper.wait_whole()
    assert cluster.primary.ask("SELECT timeline_id FROM pg_control_checkpoint()") == (1,)
    assert not keeper.events("promoted") and not keeper.events("candidate")


def test_crash_of_one_backend(cluster, pgpool):
    """All of the server's connections end, it recovers, and applications wait for that."""
    load = Load(pgpool)
    with cluster.primary.connect() as one:
        os.kill(one.execute("SELECT pg_backend_pid()").fetchone()[0], signal.SIGKILL)
    load.wait_going_on()
    load.finish(cluster.primary, SERVER_ENDS)
    assert not pgpool.events("failover begun")


@takes_long
def test_crash_of_one_backend_of_a_standby(cluster, pgpool):
    load = Load(pgpool)
    with cluster.servers[2].connect() as one:
        os.kill(one.execute("SELECT pg_backend_pid()").fetchone()[0], signal.SIGKILL)
    load.wait_going_on()
    load.finish(cluster.primary, SERVER_ENDS)


def test_terminated_backends(cluster, pgpool):
    """Whoever had them hears of it, and nobody else."""
    with raw.connected(pgpool) as idle:
        idle.rows("SELECT 1")
        load = Load(pgpool)
        for server in cluster.servers:
            server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "datname = 'test' AND pid <> pg_backend_pid()")
        load.wait_going_on()
        assert idle.rows("SELECT 1") == [["1"]]
    load.finish(cluster.primary, SERVER_ENDS, lost=6)
    assert not pgpool.events("failover begun")


def test_no_connection_left(cluster, pgpool):
    """53300 says that the server lives."""
    load, held = Load(pgpool), []
    try:
        try:
            while len(held) < 400:
                held.append(psycopg.connect(cluster.primary.dsn(dbname="postgres")))
        except psycopg.OperationalError as error:
            assert "too many clients" in str(error)
        assert 0 < len(held) < 400
        for row in pgpool.show("pool_health_check_stats")[:1]:
            before = int(row["total_count"])
        wait_for(lambda: int(pgpool.show("pool_health_check_stats")[0]["total_count"]) > before + 1,
                 "two more checks", 20, 0.1)
        load.wait_going_on()
    finally:
        for one in held:
            one.close()
    load.finish(cluster.primary, FATES)
    assert not pgpool.events("failover begun")


@takes_long
def test_disk_is_full_for_a_statement(cluster, pgpool):
    """The error is the statement's."""
    load = Load(pgpool)
    with raw.connected(pgpool) as one:
        for _ in range(20):
            assert raw.codes(one.simple("DO $$ BEGIN RAISE disk_full; END $$")) == ["53100"]
        load.wait_going_on()
        one.rows("SELECT 1")
    load.finish(cluster.primary)
    assert not pgpool.events("failover begun")


def test_nobody_may_log_in_for_the_checks(cluster, pgpool):
    for server in cluster.servers:
        server.write_hba("host all nobody 127.0.0.1/32 reject\n" + HBA)
    load = Load(pgpool)
    pgpool.reload(health_check_user="nobody")
    try:
        for node in range(3):
            pgpool.wait_event("configuration alarm", node)
        load.wait_going_on()
        assert pgpool.primary() == 0
    finally:
        pgpool.reload(health_check_user="")
        for server in cluster.servers:
            server.write_hba(HBA)
    for node in range(3):
        pgpool.wait_event("configuration alarm over", node)
    load.finish(cluster.primary)
    assert not pgpool.events("failover begun")


def test_typo_in_the_configuration(cluster, pgpool):
    """Nothing of such a file is taken, and the commands say so."""
    load = Load(pgpool)
    good = pgpool.settings["health_check_timeout"]
    pgpool.write_config(health_check_timeout="often", backend_port1=1)
    words = "was not changed, because it contains faults"
    refused = pgpool.log_text().count(words)
    pgpool.process.send_signal(signal.SIGHUP)
    wait_for(lambda: pgpool.log_text().count(words) > refused, "the refusal")
    load.wait_going_on()
    assert pgpool.states() == ["up"] * 3
    pgpool.reload(health_check_timeout=good, backend_port1=cluster.servers[1].port)
    load.finish(cluster.primary)


@takes_long
def test_slow_statements(cluster, pgpool):
    """Who works is not dead, however long it takes and whoever waits for it."""
    checks = int(pgpool.show("pool_health_check_stats")[0]["total_count"])
    with pgpool.connect() as holder, raw.connected(pgpool, timeout=60) as waiter:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE acks")
        sleep = Background(pgpool.rows, "SELECT pg_sleep(2) /* pgpool: primary */")
        waiter.send(raw.query("INSERT INTO acks VALUES (-2, 1)"))
        wait_for(lambda: int(pgpool.show("pool_health_check_stats")[0]["total_count"]) > checks + 2,
                 "checks", 20, 0.1)
        sleep.result()
        holder.execute("COMMIT")
        assert not raw.codes(waiter.read_until("Z"))
    assert not pgpool.events("failover begun")


@takes_long
def test_processes_of_pgpool_die(cluster, pgpool):
    """A child's sessions end with it; all others do not notice."""
    load = Load(pgpool, writers=4, readers=4)
    pgpool.kill_named("failover")
    load.wait_going_on()
    pgpool.kill_named("health 0")
    pgpool.kill_named("lag")
    load.wait_going_on()
    assert not load.lost()
    pgpool.kill_named("child", pgpool.named("child")[0])
    load.wait_going_on()
    pgpool.wait_whole()
    load.finish(cluster.primary, lost=8)
    assert not pgpool.events("failover begun")


def test_restart_of_all_servers_in_turn(cluster, pgpool):
    """Applications wait. Who is in the middle of a statement hears of a fast shutdown, as without
    pgpool; who is not does not notice."""
    load = Load(pgpool)
    with raw.connected(pgpool) as idle:
        idle.rows("SELECT 1 /* pgpool: primary */")
        for server in reversed(cluster.servers):
            server.stop("fast")
            server.begin()
            wait_for(lambda s=server: s.ask("SELECT 1"), server.server_name, 30)
            pgpool.wait_state(server.number, "up")
            wait_for(lambda: cluster.whole(cluster.primary), "streaming", 30)
            load.wait_going_on()
        assert idle.rows("SELECT 1 /* pgpool: primary */") == [["1"]]
    load.finish(cluster.primary, SERVER_ENDS, lost=12)
    assert not pgpool.events("failover begun")


def die_and_come_back(cluster, pgpool, load):
    """The primary, when nothing may be promoted in its place."""
    cluster.primary.kill()
    pgpool.wait_state(0, "down")
    assert pgpool.primary() == -1 and pgpool.states()[1:] == ["up", "up"]
    cluster.primary.begin()
    pgpool.wait_primary(0)
    load.wait_going_on()
    load.finish(cluster.primary)


@pytest.mark.parametrize("flag", ["DISALLOW_TO_FAILOVER", "ALWAYS_PRIMARY"])
def test_backend_flag_forbids_it(cluster, pgpool, flag):
    refused = len(pgpool.events("failover refused"))
    pgpool.reload(backend_flag0=flag)
    load = Load(pgpool)
    try:
        die_and_come_back(cluster, pgpool, load)
    finally:
        load.leave()
        pgpool.reload(backend_flag0="ALLOW_TO_FAILOVER")
    assert len(pgpool.events("failover refused")) == refused + 1


def test_drained_primary_is_being_worked_on(cluster, pgpool):
    load = Load(pgpool)
    drain = Background(pgpool.order, "DRAIN 0")
    wait_for(lambda: [row for row in pgpool.show("pool_holds") if row["kind"] == "drained node"],
             "the drain")
    try:
        cluster.primary.kill()
        pgpool.wait_state(0, "down")
        cluster.primary.begin()
        pgpool.wait_state(0, "up")
    finally:
        assert pgpool.order("UNDRAIN 0") is None
        drain.result()
    load.wait_going_on()
    load.finish(cluster.primary)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: names mean something else for one pgpool")
def test_name_service_fails(cluster, engine):
    """The last address that was known stays good."""
    directory = make_dir("pgpool-names-")
    hosts, resolv = directory + "/hosts", directory + "/resolv.conf"
    with open(hosts, "w", encoding="utf-8") as file:
        file.write("127.0.0.1 localhost db0.example db1.example db2.example\n")
    with open(resolv, "w", encoding="utf-8") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")

    class Elsewhere(Keeper):
        def command(self, *words):
            return ["unshare", "-m", "sh", "-c",
                    f"mount --bind {hosts} /etc/hosts && mount --bind {resolv} /etc/resolv.conf "
                    '&& exec "$@"', "sh", *super().command(*words)]

    names = {f"backend_hostname{n}": f"db{n}.example" for n in range(3)}
    pgpool = Elsewhere(cluster, engine, **names).start()
    try:
        load = Load(pgpool)
        with open(hosts, "w", encoding="utf-8") as file:
            file.write("127.0.0.1 localhost\n")
        for server in cluster.servers:
            server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "application_name = 'pgpool health'")
        for server in cluster.servers:
            server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "datname = 'test' AND pid <> pg_backend_pid()")
        load.wait_going_on()
        assert pgpool.states() == ["up"] * 3
        load.finish(cluster.primary, SERVER_ENDS, lost=6)
        assert not pgpool.events("failover begun")
    finally:
        pgpool.finish()
        run("rm", "-rf", directory)
