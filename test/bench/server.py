"""The scratch server that all products stand before, and what starting programs needs."""

import glob
import os
import pwd
import random
import socket
import subprocess
import sys
import time

USER = DATABASE = "bench"
MAX_CONNECTIONS = 1200  # a thousand clients of a product that shares none


def free_port():
    """A loopback port that nobody uses, outside the range of outgoing connections."""
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


def bin_dir():
    """Of the newest PostgreSQL here."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if not found:
        sys.exit("no PostgreSQL server in /usr/lib/postgresql")
    return os.path.dirname(max(found, key=lambda path: float(path.split("/")[4])))


class Server:
    """A scratch PostgreSQL cluster."""

    def __init__(self, scratch, scale, settings=""):
        self.bin_dir, self.scale, self.settings = bin_dir(), scale, settings
        self.data = os.path.join(scratch, "server")
        self.log = os.path.join(scratch, "server.log")
        self.port = free_port()

    def run(self, program, *arguments):
        subprocess.run([os.path.join(self.bin_dir, program), *arguments], check=True,
                       stdout=subprocess.DEVNULL, **as_server())

    def sql(self, statement, user="postgres", database="postgres"):
        self.run("psql", "-X", "-q", "-h", os.path.dirname(self.data), "-p", str(self.port),
                 "-U", user, "-d", database, "-c", statement)

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
                       f"max_connections = {MAX_CONNECTIONS}\nshared_buffers = '128MB'\n"
                       "fsync = off\nautovacuum = off\nmax_wal_size = '4GB'\n" + self.settings)
        self.run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "start")
        self.sql(f"CREATE ROLE {USER} LOGIN IN ROLE pg_monitor")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        self.sql("CREATE UNLOGGED TABLE bench_copy (line text)", USER, DATABASE)
        subprocess.run(["pgbench", "-i", "-q", "-s", str(self.scale), "-h", "127.0.0.1", "-p",
                        str(self.port), "-U", USER, DATABASE], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if os.path.exists(os.path.join(self.data, "postmaster.pid")):
            self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
