"""A cluster that asks for passwords over TLS or without, and a pgpool in front of it that has rules
and secrets of its own."""

import os
import signal
import shutil
import types

import psycopg

from cluster import Cluster, Server, owner
from logins import Client, Refused, context_of
from proxy import Pgpool, asked_all_nodes
from waiting import wait_for

ASKER = "auth_asker"  # runs auth_query


class GuardedServer(Server):
    """Offers TLS. Its certificate lies beside its sockets."""

    def configure(self, text):
        directory = self.directory
        super().configure(f"ssl = on\nssl_cert_file = '{directory}/server.crt'\n"
                          f"ssl_key_file = '{directory}/server.key'\n"
                          f"ssl_ca_file = '{directory}/root.crt'\n{text}")

    def guard(self, hba, ident=""):
        """Until whoever connects falls under it."""
        self._write("pg_ident.conf", ident)
        self._write("pg_hba.conf", hba)
        (before,), = self._ask("SELECT pg_conf_load_time()")
        self._ask("SELECT pg_reload_conf()")
        wait_for(lambda: self._ask("SELECT pg_conf_load_time()") != [(before,)],
                 "the server to reload")

    def _ask(self, sql):
        """Over its socket: the rest may be closed to us."""
        dsn = f"host={self.directory} port={self.port} dbname=postgres user=postgres"
        with psycopg.connect(dsn, autocommit=True) as one:
            return one.execute(sql).fetchall()


class GuardedCluster(Cluster):
    server_class = GuardedServer
    authority = None  # set before one is made

    def _create(self):
        self.authority.issue("server", "DNS:localhost,IP:127.0.0.1")
        for name in ("root.crt", "server.crt", "server.key"):
            path = os.path.join(self.directory, name)
            shutil.copy(self.authority.path(name), path)
            os.chmod(path, 0o600)
            if owner():
                shutil.chown(path, owner(), owner())
        super()._create()

    def guard(self, hba, ident=""):
        for server in self.servers:
            server.guard(hba, ident)


def make_cluster(authority):
    GuardedCluster.authority = authority
    return GuardedCluster()


def only(*servers):
    """A cluster for pgpool that has these alone."""
    return types.SimpleNamespace(servers=list(servers))


class GuardedPgpool(Pgpool):
    """With pool_hba.conf, pool_ident.conf, pool_passwd and the key of its AES entries."""

    def __init__(self, cluster, engine="auto", hba="", ident="", passwd="", key=None, **settings):
        super().__init__(cluster, engine, **{"num_init_children": 1} | settings)
        self.password = ""  # of user postgres
        self.rounds = 0
        self.files = {"pool_hba.conf": hba, "pool_ident.conf": ident, "pool_passwd": passwd}
        if key is not None:
            self.files[".pgpoolkey"] = key + "\n"
        self.write_files()

    def write_files(self, **files):
        """By name with _ in place of the dot."""
        for name in self.files:
            self.files[name] = files.get(name.replace(".", "_"), self.files[name])
            path = os.path.join(self.directory, name)
            with open(path + ".new", "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(self.files[name])
            os.rename(path + ".new", path)

    def command(self, *words):
        key = os.path.join(self.directory, ".pgpoolkey")
        return super().command(*(["-k", key] if ".pgpoolkey" in self.files else []), *words)

    def enter(self, user=None, password=None, **how):
        """A client that has logged in, over TLS where that is offered."""
        client = Client(self)
        try:
            if self.settings.get("ssl") == "on":
                client.start_tls(context_of())
            return client.enter(user or self.user, how.pop("database", "postgres"),
                                self.password if password is None else password, **how)
        except BaseException:
            client.close()
            raise

    def _answers(self):
        assert self.process.poll() is None, f"it ended with {self.process.returncode}"
        try:
            with self.enter() as one:
                return one.rows("SELECT 1") == [["1"]] and asked_all_nodes(one)
        except (OSError, TimeoutError, Refused, AssertionError):
            return False

    def reload(self, **settings):
        """Until its only child has the settings."""
        assert int(self.settings["num_init_children"]) == 1
        self.rounds += 1
        self.write_config(failback_command=f"echo {self.rounds}", **settings)
        self.process.send_signal(signal.SIGHUP)
        wait_for(self._has_reloaded, "pgpool to reload")

    def _has_reloaded(self):
        try:
            with self.enter() as one:
                return f"echo {self.rounds}" in one.rows("PGPOOL SHOW failback_command")[0]
        except Refused:
            return False
