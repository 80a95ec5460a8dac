"""The things that are compared: each starts in the foreground, on a port of its own.

All of them stand before the same scratch server and take any client on loopback without a password,
so that nothing but forwarding is measured.
"""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time

import account

USER = DATABASE = "bench"


def free_port():
    """A loopback port that nobody uses, outside the range of outgoing connections."""
    import random

    while True:
        port = random.randint(20000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def servers_user():
    """Who runs the servers: PostgreSQL and PgBouncer refuse root."""
    return "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def as_server():
    """Arguments of subprocess that run a program as that user, away from our terminal."""
    arguments = {"stdin": subprocess.DEVNULL, "start_new_session": True, "cwd": "/"}
    if os.getuid() == 0:
        arguments |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    return arguments


def wait_until(condition, what, deadline_s=20.0, log=None):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            hint = f" (log: {log})" if log else ""
            raise RuntimeError(f"{what}: not after {deadline_s:.0f} s{hint}")
        time.sleep(0.05)


def server_bin_dir():
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if not found:
        sys.exit("no PostgreSQL server in /usr/lib/postgresql")
    return os.path.dirname(max(found, key=lambda path: float(path.split("/")[4])))


class Server:
    """A scratch PostgreSQL cluster."""

    def __init__(self, scratch, bin_dir, scale):
        self.bin_dir, self.scale = bin_dir, scale
        self.data = os.path.join(scratch, "server")
        self.log = os.path.join(scratch, "server.log")
        self.port = free_port()

    def run(self, program, *arguments):
        subprocess.run([os.path.join(self.bin_dir, program), *arguments], check=True,
                       stdout=subprocess.DEVNULL, **as_server())

    def sql(self, statement):
        self.run("psql", "-X", "-q", "-h", os.path.dirname(self.data), "-p", str(self.port),
                 "-U", "postgres", "-d", "postgres", "-c", statement)

    def start(self):
        scratch = os.path.dirname(self.data)
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "--no-locale",
                 "-E", "UTF8")
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as file:
            # The superuser only through the private directory; others see just the scratch tables.
            file.write(f"local all all trust\nhost all {USER} 127.0.0.1/32 trust\n")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n"
                       f"unix_socket_directories = '{scratch}'\nunix_socket_permissions = 0700\n"
                       "max_connections = 400\nshared_buffers = '128MB'\nfsync = off\n"
                       "autovacuum = off\n")
        self.run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "start")
        self.sql(f"CREATE ROLE {USER} LOGIN IN ROLE pg_monitor")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        subprocess.run(["pgbench", "-i", "-q", "-s", str(self.scale), "-h", "127.0.0.1", "-p",
                        str(self.port), "-U", USER, DATABASE], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if os.path.exists(os.path.join(self.data, "postmaster.pid")):
            self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")


class Product:
    """A program between pgbench and the server. Subclasses give a name and a command."""

    name = ""
    stop_signal = signal.SIGTERM

    def __init__(self, scratch, server):
        self.server = server
        self.port = free_port()
        self.dir = os.path.join(scratch, self.name)
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


class PgBouncer(Product):
    """Debian's package, session mode."""

    name = "PgBouncer"

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
pool_mode = session
max_client_conn = 200
default_pool_size = 50
log_connections = 0
log_disconnections = 0
ignore_startup_parameters = extra_float_digits
""")]


class PgpoolII(Product):
    """Debian's package, streaming replication mode with one node."""

    name = "Pgpool-II"
    stop_signal = signal.SIGINT

    def why_not(self):
        return "" if shutil.which("pgpool") else "not installed"

    def command(self):
        hba = self.write("pool_hba.conf", "")
        pcp = self.write("pcp.conf", "")
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
""")
        return ["pgpool", "-n", "-D", "-f", conf, "-F", pcp, "-a", hba]


class Ours(Product):
    """pgpool of this tree, with one node."""

    engine = ""
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
io_engine = {self.engine}
{self.settings}""")
        return [self.program(), "-n", "-f", conf, "-F", pcp, "-a", hba]


class OursUring(Ours):
    name, engine = "ours io_uring", "io_uring"


class OursEpoll(Ours):
    name, engine = "ours epoll", "epoll"


class Relay(Ours):
    """The null relay of test/bench: forwards bytes and knows nothing of them."""

    stop_signal = signal.SIGTERM

    def program(self):
        return os.path.join(self.build_dir, "test/bench/relay")

    def command(self):
        return [self.program(), "--listen", str(self.port), "--to", f"127.0.0.1:{self.server.port}",
                "--engine", self.engine]


class RelayUring(Relay):
    name, engine = "relay io_uring", "io_uring"


class RelayEpoll(Relay):
    name, engine = "relay epoll", "epoll"


PRODUCTS = [Direct, RelayUring, RelayEpoll, OursUring, OursEpoll, PgBouncer, PgpoolII]
REFERENCE = PgBouncer.name
