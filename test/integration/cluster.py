"""A PostgreSQL cluster of our own: a primary and streaming standbys, in a directory of its own, on
free ports, open to everybody on this machine (trust). When root runs the tests, the servers run as
user postgres.

Every server begins as a copy of one stopped primary, which is made once and kept in the cache:
initdb and base backups would cost each cluster seconds."""

import fcntl
import glob
import hashlib
import inspect
import os
import re
import shutil
import subprocess
import tempfile

import psycopg

from waiting import SLOW, free_port, wait_for

SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 300
max_prepared_transactions = 10
wal_level = replica
max_wal_senders = 10
max_replication_slots = 10
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = 1s
wal_keep_size = 64MB
wal_retrieve_retry_interval = 100ms
max_wal_size = 2GB
checkpoint_timeout = 1h
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %a: '
include_if_exists = 'own.conf'
"""
HBA = "local all,replication all trust\nhost all,replication all 127.0.0.1/32 trust\n"

CONNECT_S = int(20 * SLOW)

# What outlives a run: see test/run.
CACHE = os.environ.get("PGPOOL_CACHE") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "build-test", "cache")


def bin_dir():
    """The newest PostgreSQL of this machine that has a server."""
    found = [d for d in glob.glob("/usr/lib/postgresql/*/bin")
             if os.path.exists(d + "/initdb") and re.search(r"/(1[2-8])/bin$", d)]
    if not found:
        raise RuntimeError("no PostgreSQL server (12 to 18) in /usr/lib/postgresql")
    return max(found, key=lambda d: int(d.split("/")[-2]))


def owner():
    """Who runs the servers: postgres when we are root."""
    return "postgres" if os.getuid() == 0 else None


def as_owner(*command):
    return ["runuser", "-u", owner(), "--", *command] if owner() else list(command)


def run(*command, check=True, timeout=60.0, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          timeout=timeout * SLOW, stdin=subprocess.DEVNULL, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}"
                             f"{done.stderr}")
    return done


def make_dir(prefix):
    """A directory that the servers' user can reach; a short path, because sockets live in it."""
    path = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    os.chmod(path, 0o755)
    return path


class Target:
    """Where a client connects to."""

    name = "direct"

    def __init__(self, host, port, database="test", user="postgres"):
        self.host, self.port, self.database, self.user = host, port, database, user

    def env(self, **more):
        """The environment for psql and its like."""
        return {**os.environ, "PGHOST": self.host, "PGPORT": str(self.port),
                "PGDATABASE": self.database, "PGUSER": self.user,
                "PGCONNECT_TIMEOUT": str(CONNECT_S),
                "PATH": bin_dir() + ":" + os.environ["PATH"], **more}

    def dsn(self, **more):
        parts = {"host": self.host, "port": self.port, "dbname": self.database, "user": self.user,
                 "connect_timeout": CONNECT_S, **more}
        return " ".join(f"{name}={value}" for name, value in parts.items())

    def connect(self, **more):
        return psycopg.connect(self.dsn(), autocommit=True, **more)

    def rows(self, sql, *values):
        with self.connect() as connection:
            return connection.execute(sql, values or None).fetchall()

    def value(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def lock_temporary(self, name):
        """The connection of somebody who has locked a session's temporary table of that name."""
        table = self.value("SELECT oid::regclass::text FROM pg_class "
                           "WHERE relpersistence = 't' AND relname = %s", name)
        connection = self.connect()
        connection.execute(f"BEGIN; LOCK TABLE {table}")
        return connection


class Server(Target):
    """One PostgreSQL server."""

    def __init__(self, cluster, name):
        super().__init__("127.0.0.1", free_port())
        self.cluster = cluster
        self.server_name = name
        self.directory = directory = cluster.directory  # of its sockets
        self.data = os.path.join(directory, name)
        self.log = os.path.join(directory, name + ".log")

    def _pg_ctl(self, *words, check=True):
        return run(*as_owner(bin_dir() + "/pg_ctl", "-D", self.data, "-w", "-t",
                              str(int(50 * SLOW)), *words), check=check)

    def _write(self, name, text):
        path = os.path.join(self.data, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        if owner():
            shutil.chown(path, owner(), owner())

    def configure(self, text):
        """Replaces the settings that are this server's alone."""
        self._write("own.conf", f"port = {self.port}\ncluster_name = '{self.server_name}'\n"
                    f"unix_socket_directories = '{self.directory}'\n{text}")

    def follow(self, primary, slot):
        """Makes it a standby."""
        self._write("standby.signal", "")
        self._write("postgresql.auto.conf",
                    f"primary_conninfo = 'host={primary.host} port={primary.port} user=postgres "
                    f"application_name={self.server_name}'\nprimary_slot_name = '{slot}'\n")

    def start(self):
        for _ in range(5):  # somebody may have taken the port meanwhile
            self.configure("")
            if self._pg_ctl("-l", self.log, "-s", "start", check=False).returncode == 0:
                return
            self.port = free_port()
        with open(self.log, encoding="utf-8") as file:
            raise AssertionError(f"{self.server_name} does not start:\n{file.read()[-3000:]}")

    def start_in_background(self):
        """For a server that will not take connections; the caller waits for its end."""
        return subprocess.Popen(as_owner(bin_dir() + "/postgres", "-D", self.data),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def write_hba(self, text):
        self._write("pg_hba.conf", text)
        self.rows("SELECT pg_reload_conf()")

    def stop(self, mode="fast"):
        self._pg_ctl("-m", mode, "-s", "stop", check=False)


def make_original(directory):
    """A stopped primary with an empty database "test", as directory/original."""
    if owner():
        shutil.chown(directory, owner())
    data = directory + "/original"
    run(*as_owner(bin_dir() + "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions"))
    with open(data + "/postgresql.conf", "a", encoding="utf-8") as file:
        file.write(SETTINGS)
    with open(data + "/pg_hba.conf", "w", encoding="utf-8") as file:
        file.write(HBA)
    subprocess.run(as_owner(bin_dir() + "/postgres", "--single", "-D", data, "postgres"),
                   input=b"CREATE DATABASE test\n", capture_output=True, check=True)


def original():
    """The directory that every server's begins as a copy of; made by whoever needs it first."""
    key = hashlib.sha256((bin_dir() + run(bin_dir() + "/postgres", "-V").stdout + SETTINGS + HBA +
                          inspect.getsource(make_original)).encode()).hexdigest()
    path = os.path.join(CACHE, f"postgresql-{key[:16]}")
    os.makedirs(CACHE, exist_ok=True)
    with open(CACHE + "/lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(path):
            directory = make_dir("pgpool-pg-")
            try:
                make_original(directory)
                run("cp", "-a", directory + "/original", path + ".new")
                os.rename(path + ".new", path)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
    return path


class Cluster:
    """servers[0] is the primary at first."""

    server_class = Server

    def __init__(self, standbys=2):
        self.directory = make_dir("pgpool-pg-")
        if owner():
            shutil.chown(self.directory, owner())
        self.servers = [self.server_class(self, f"node{n}") for n in range(standbys + 1)]
        try:
            self._create()
        except BaseException:
            self.destroy()
            raise

    @property
    def primary(self):
        return self.servers[0]

    def _create(self):
        begin = original()
        primary, standbys = self.primary, self.servers[1:]
        for server in self.servers:
            run("cp", "-a", "--reflink=auto", begin, server.data)
        primary.start()
        for number, standby in enumerate(standbys, 1):
            primary.rows("SELECT pg_create_physical_replication_slot(%s), 1", f"standby{number}")
            standby.follow(primary, f"standby{number}")
            standby.start()
        self.wait_streaming()

    def wait_streaming(self):
        wait_for(lambda: self.primary.value(
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
            == len(self.servers) - 1, "the standbys to stream", 30)
        self.wait_replayed()

    def wait_replayed(self):
        """Until every standby has replayed what the primary has written by now."""
        position = self.primary.value("SELECT pg_current_wal_flush_lsn()")
        for standby in self.servers[1:]:
            wait_for(lambda s=standby: s.value(
                "SELECT pg_wal_lsn_diff(%s, pg_last_wal_replay_lsn()) <= 0", position),
                f"{standby.server_name} to replay {position}", 30)

    def sql(self, text):
        """Runs it on the primary and waits for the standbys."""
        with self.primary.connect() as connection:
            connection.execute(text)
        self.wait_replayed()

    def destroy(self):
        for server in reversed(self.servers):
            if os.path.exists(server.data + "/postmaster.pid"):
                server.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)
