"""The things that are compared: each starts in the foreground, on a port of its own.

All of them stand before the same scratch server and take any client on loopback without a password,
so that nothing but forwarding is measured.
"""

import os
import shutil
import signal
import subprocess

import account
from secure import Secure
from server import DATABASE, USER, as_server, free_port, servers_user, wait_until


USUAL_CLIENTS = 200


class Product:
    """A program between clients and the server. Subclasses give a name and a command."""

    name = ""
    stop_signal = signal.SIGTERM
    shares = False  # lends server connections for a transaction: many clients need few of them
    lacks = {}      # mode: why it cannot be measured in it

    def __init__(self, scratch, server, clients=USUAL_CLIENTS, servers=0):
        """clients: that it must take. servers: connections to the server that it may have, where
        it can be told; 0: as many as it likes."""
        self.server, self.clients, self.servers = server, clients, servers
        self.port = free_port()
        self.dir = os.path.join(scratch, f"{self.name} {clients}".replace(" ", "-"))
        self.log = os.path.join(self.dir, "log")
        self.process = None

    def why_not(self):
        """Why it cannot run here; an empty text when it can."""
        return ""

    def command(self):
        raise NotImplementedError

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        shutil.chown(path, servers_user())
        os.chmod(path, 0o600)
        return path

    def start(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.mkdir(self.dir)
        shutil.chown(self.dir, servers_user())
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, **as_server())
        wait_until(self.answers, f"{self.name} does not answer", log=self.log)

    def check_alive(self):
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}")

    def answers(self):
        self.check_alive()
        return subprocess.run(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U",
                               USER, "-d", DATABASE, "-c", "SELECT 1"], check=False, timeout=10,
                              env=os.environ | {"PGCONNECT_TIMEOUT": "2"},
                              capture_output=True).returncode == 0

    def pid(self):
        return self.process.pid

    def log_end(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read().splitlines()[-5:]

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        pids = account.tree(self.process.pid)
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()


class Direct(Product):
    """No proxy at all: how fast the server is by itself."""

    name = "direct"

    def start(self):
        self.port = self.server.port

    def pid(self):
        return None


class HAProxy(Product):
    """Debian's package, as a TCP proxy."""

    name = "HAProxy"

    def why_not(self):
        return "" if shutil.which("haproxy") else "not installed"

    def command(self):
        return [shutil.which("haproxy"), "-db", "-f", self.write("haproxy.cfg", f"""global
    maxconn {self.clients + 100}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen bench
    bind 127.0.0.1:{self.port}
    server postgresql 127.0.0.1:{self.server.port}
""")]


class PgBouncer(Product):
    """Debian's package."""

    pool_mode = ""

    def why_not(self):
        return "" if shutil.which("pgbouncer") else "not installed"

    def command(self):
        users = self.write("users.txt", f'"{USER}" ""\n')
        return ["pgbouncer", self.write("pgbouncer.ini", f"""[databases]
{DATABASE} = host=127.0.0.1 port={self.server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {self.pool_mode}
max_client_conn = {self.clients + 100}
default_pool_size = {self.servers or 50}
log_connections = 0
log_disconnections = 0
ignore_startup_parameters = extra_float_digits
{Secure.pgbouncer()}""")]


class PgBouncerSession(PgBouncer):
    name, pool_mode = "PgBouncer", "session"


class PgBouncerTransaction(PgBouncer):
    name, pool_mode, shares = "PgBouncer transaction", "transaction", True
    lacks = dict.fromkeys(("prepared", "pipeline", "hit-prepared", "miss-prepared",
                           "light-prepared"),
                          "knows no prepared statements in this mode")


class PgpoolII(Product):
    """Debian's package, streaming replication mode with one node. A process for each client."""

    name = "Pgpool-II"
    stop_signal = signal.SIGINT

    def why_not(self):
        return "" if shutil.which("pgpool") else "not installed"

    def command(self):
        hba = self.write("pool_hba.conf", "")
        pcp = self.write("pcp.conf", "")
        many = f"num_init_children = {self.clients + 10}\n"
        conf = self.write("pgpool.conf", f"""listen_addresses = 'localhost'
port = {self.port}
pcp_port = {free_port()}
unix_socket_directories = '{self.dir}'
pcp_socket_dir = '{self.dir}'
backend_clustering_mode = 'streaming_replication'
backend_hostname0 = '127.0.0.1'
backend_port0 = {self.server.port}
backend_weight0 = 1
enable_pool_hba = off
pool_passwd = ''
sr_check_user = '{USER}'
sr_check_database = '{DATABASE}'
failover_on_backend_error = off
pid_file_name = '{self.dir}/pgpool.pid'
logdir = '{self.dir}'
{many if self.clients > USUAL_CLIENTS else ''}""")
        return ["pgpool", "-n", "-D", "-f", conf, "-F", pcp, "-a", hba]


class Ours(Product):
    """pgpool of this tree, with one node."""

    engine = pool_mode = ""
    settings = ""
    stop_signal = signal.SIGINT
    build_dir = ""

    def program(self):
        return os.path.join(self.build_dir, "pgpool")

    def why_not(self):
        return "" if os.access(self.program(), os.X_OK) else f"not built: {self.program()}"

    def command(self):
        hba = self.write("pool_hba.conf", "")
        pcp = self.write("pcp.conf", "")
        limit = f"max_backend_connections = {self.servers}\n" if self.servers else ""
        conf = self.write("pgpool.conf", f"""listen_addresses = 'localhost'
port = {self.port}
pcp_port = {free_port()}
unix_socket_directories = '{self.dir}'
pcp_socket_dir = '{self.dir}'
backend_hostname0 = '127.0.0.1'
backend_port0 = {self.server.port}
backend_weight0 = 1
pool_passwd = ''
sr_check_user = '{USER}'
sr_check_database = '{DATABASE}'
pid_file_name = '{self.dir}/pgpool.pid'
work_dir = '{self.dir}'
child_max_clients = {max(self.clients, 1000)}
pool_mode = {self.pool_mode}
io_engine = {self.engine}
{limit}{Secure.ours()}{self.settings}""")
        return [self.program(), "-n", "-f", conf, "-F", pcp, "-a", hba]


class Relay(Ours):
    """The null relay of test/bench: forwards bytes and knows nothing of them."""

    stop_signal = signal.SIGTERM

    def program(self):
        return os.path.join(self.build_dir, "test/bench/relay")

    def command(self):
        return [self.program(), "--listen", str(self.port), "--to", f"127.0.0.1:{self.server.port}",
                "--engine", self.engine]


ENGINES = ("io_uring", "epoll")
POOL_MODES = ("session", "transaction", "auto")


def ours(pool_mode, engine):
    return type("Ours", (Ours,), {"name": f"ours {pool_mode} {engine}", "pool_mode": pool_mode,
                                  "engine": engine, "shares": pool_mode != "session"})


def cached(engine):
    """As it pools by session, with the query cache."""
    return type("Ours", (Ours,), {"name": f"ours cached {engine}", "pool_mode": "session",
                                  "engine": engine, "settings": "memory_cache_enabled = on\n"})


def relay(engine):
    return type("Relay", (Relay,), {"name": f"relay {engine}", "engine": engine})


PRODUCTS = [Direct, *map(relay, ENGINES), HAProxy,
            *(ours(pool_mode, engine) for pool_mode in POOL_MODES for engine in ENGINES),
            *map(cached, ENGINES), PgBouncerSession, PgBouncerTransaction, PgpoolII]
REFERENCE = PgBouncerSession.name
