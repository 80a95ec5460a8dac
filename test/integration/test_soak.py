"""Everything that servers and applications do on a busy day, for ten minutes: nobody is promoted.

PGPOOL_TEST_HEAVY=1 runs it; PGPOOL_TEST_SOAK_S is for how long, 600 s unless told otherwise."""

import os
import random
import subprocess
import threading
import time

import psycopg
import pytest

import raw
from cluster import HBA, as_owner, bin_dir, make_dir, run
from failing import FATES, FailingCluster, Keeper, Load, takes_long
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.one_engine, takes_long]

LASTS_S = float(os.environ.get("PGPOOL_TEST_SOAK_S", "600"))
# a terminated connection, a server without room, one that is asked while a storm rages
MISHAPS = FATES | {"57P01", "53300", "57014", "55P03"}


lasts = threading.Event()  # nobody sets it: waiting for it takes so long


class Trouble(threading.Thread):
    """Makes one kind of it again and again until told to leave."""

    def __init__(self, name, pause_s, make, *args):
        super().__init__(name=name, daemon=True)
        self.pause_s, self.make, self.args = pause_s, make, args
        self.leaving, self.count, self.error = threading.Event(), 0, None

    def run(self):
        try:
            while not self.leaving.wait(self.pause_s):
                self.make(*self.args)
                self.count += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


def sleep_long(pgpool):
    with raw.connected(pgpool, timeout=200) as one:
        one.simple("SELECT pg_sleep(60) /* pgpool: primary */")


def wait_for_lock(pgpool):
    """Who waits gives up by lock_timeout or gets it."""
    with pgpool.connect() as holder, raw.connected(pgpool, timeout=60) as waiter:
        try:
            holder.execute("BEGIN")
            holder.execute("LOCK TABLE soak_lock")
            waiter.send(raw.query("SET lock_timeout = '20s'; LOCK TABLE soak_lock"))
            holder.execute("SELECT pg_sleep(5)")
            holder.execute("COMMIT")
            waiter.read_until("Z")
        except (psycopg.Error, raw.Closed, OSError):
            pass  # somebody was terminated


def storm(cluster):
    """All connections of a server are taken for a while."""
    held, server = [], random.choice(cluster.servers)
    try:
        while len(held) < 500:
            held.append(psycopg.connect(server.dsn(dbname="postgres")))
    except psycopg.OperationalError:
        lasts.wait(4)
    finally:
        for one in held:
            one.close()


def terminate(cluster):
    random.choice(cluster.servers).ask(
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE "
        "backend_type = 'client backend' AND pid <> pg_backend_pid() AND query NOT LIKE "
        "'%%pg_sleep(60)%%' ORDER BY random() LIMIT 3) AS s")


def come_wrongly(pgpool):
    for words in ({"user": "nobody_of_that_name"}, {"dbname": "no_such_database"},
                  {"password": "wrong", "user": "soak_locked"}):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(pgpool.dsn(**words)).close()


def change_checks(pgpool):
    """The checks themselves may not log in for a while: an alarm."""
    pgpool.reload(health_check_user="soak_locked")
    lasts.wait(3)
    pgpool.reload(health_check_user="")
    lasts.wait(2)


def lose_names(hosts):
    with open(hosts, encoding="utf-8") as file:
        good = file.read()
    with open(hosts, "w", encoding="utf-8") as file:
        file.write("127.0.0.1 localhost\n")
    lasts.wait(5)
    with open(hosts, "w", encoding="utf-8") as file:
        file.write(good)


def work(pgpool, folder):
    """pgbench at full load; it ends when one of its connections is terminated."""
    subprocess.run([str(bin_dir() + "/pgbench"), "-n", "-c", "16", "-T", "20", "-f", folder],
                   env=pgpool.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=False)


@pytest.fixture(name="bed")
def bed_fixture(engine):
    cluster = FailingCluster(standbys=2)
    folder = make_dir("pgpool-soak-")
    files = {"hosts": "127.0.0.1 localhost db0.example db1.example db2.example\n",
             "resolv": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
             "script": "\\set n random(1, 1000)\nSELECT count(*) FROM acks WHERE n = :n;\n"
                       "INSERT INTO soak (n) VALUES (:n);\n"}
    for name, text in files.items():
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    class Elsewhere(Keeper):
        """The names of its servers are known in its own place alone."""

        def command(self, *words):
            return ["unshare", "-m", "sh", "-c",
                    f"mount --bind {folder}/hosts /etc/hosts && "
                    f"mount --bind {folder}/resolv /etc/resolv.conf "
                    '&& exec "$@"', "sh", *super().command(*words)]

    for server in cluster.servers:
        server.write_hba("host all soak_locked 127.0.0.1/32 scram-sha-256\n" + HBA)
    cluster.sql("CREATE ROLE soak_locked LOGIN PASSWORD 'unknown to all'; "
                "CREATE TABLE soak (n int); CREATE TABLE soak_lock (n int)")
    names = {f"backend_hostname{n}": f"db{n}.example" for n in range(3)}
    pgpool = Elsewhere(cluster, engine, **names).start()
    pgpool.wait_whole()
    yield cluster, pgpool, folder
    pgpool.finish()
    cluster.destroy()
    run("rm", "-rf", folder)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: names mean something else for one pgpool")
def test_nobody_is_promoted(bed):
    cluster, pgpool, folder = bed
    load = Load(pgpool, writers=8, readers=8)
    troubles = [Trouble("pg_sleep(60)", 0.1, sleep_long, pgpool),
                Trouble("lock waits", 0.1, wait_for_lock, pgpool),
                Trouble("53300", 20, storm, cluster),
                Trouble("terminated", 3, terminate, cluster),
                Trouble("wrong logins", 0.5, come_wrongly, pgpool),
                Trouble("locked checks", 15, change_checks, pgpool),
                Trouble("no names", 10, lose_names, folder + "/hosts"),
                Trouble("full load", 0.1, work, pgpool, folder + "/script")]
    for trouble in troubles:
        trouble.start()
    end = time.monotonic() + LASTS_S
    while time.monotonic() < end:
        lasts.wait(1)
        assert all(trouble.error is None for trouble in troubles), \
            [(t.name, t.error) for t in troubles if t.error]
        assert not pgpool.events("failover begun")
    for trouble in troubles:
        trouble.leaving.set()
    for trouble in troubles:
        trouble.join(150 * SLOW)
    print({trouble.name: trouble.count for trouble in troubles}, "rows", len(load.acknowledged()))
    assert all(trouble.count and not trouble.error for trouble in troubles)
    load.wait_going_on()
    pgpool.wait_whole()
    assert cluster.primary.ask("SELECT timeline_id FROM pg_control_checkpoint()") == (1,)
    for event in ("failover begun", "promoted", "candidate"):
        assert not pgpool.events(event), pgpool.events(event)
    wait_for(lambda: cluster.whole(cluster.primary), "both standbys to stream", 30)
    load.finish(cluster.primary, MISHAPS, lost=10 ** 6)
