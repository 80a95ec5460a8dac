"""TLS on both sides with psql and PostgreSQL: modes, certificates that are replaced and revoked
under load, handshakes that are begun and left, passphrases, and what configtest says."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import psycopg
import pytest

import processes
import raw
from certificates import Authority, client_context
from cluster import Cluster, make_dir, owner, run
from proxy import Pgpool, binary, starter
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(30)]
LEFT = 1000  # handshakes
HBA = """
local all,replication all trust
hostnossl replication all 127.0.0.1/32 trust
hostssl all all 127.0.0.1/32 trust clientcert=verify-ca
"""
HBA_OPEN = """
local all,replication all trust
host all,replication all 127.0.0.1/32 trust
"""


def set_hba(server, text):
    """Over the unix socket: TCP takes a certificate."""
    server._write("pg_hba.conf", text)  # pylint: disable=protected-access
    with psycopg.connect(f"host={server.directory} port={server.port} user=postgres dbname=test",
                         autocommit=True) as direct:
        direct.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module", name="authority")
def authority_fixture():
    authority = Authority(make_dir("tls-"))
    authority.issue("server", "DNS:localhost,IP:127.0.0.1")
    authority.issue("pgpool", "DNS:localhost,IP:127.0.0.1")
    authority.issue("next", "DNS:localhost,IP:127.0.0.1")
    authority.issue("alice")
    authority.issue("mallory")
    yield authority
    authority.remove()


@pytest.fixture(scope="module", name="secure")
def secure_fixture(authority):
    """A cluster whose servers let nobody in over TCP without TLS and a certificate."""
    cluster = Cluster(1)
    for server in cluster.servers:
        for name in ("root.crt", "server.crt", "server.key"):
            target = os.path.join(server.data, name)
            shutil.copy(authority.path(name), target)
            if owner():
                shutil.chown(target, owner(), owner())
            os.chmod(target, 0o600)
        server.configure("ssl = on\nssl_ca_file = 'root.crt'\nssl_cert_file = 'server.crt'\n"
                         "ssl_key_file = 'server.key'\n")
        server.rows("SELECT pg_reload_conf()")
    for server in cluster.servers:
        set_hba(server, HBA)
    yield cluster
    cluster.destroy()


def both_sides(authority, **settings):
    return {"ssl": "on", "ssl_cert": authority.path("pgpool.crt"),
            "ssl_key": authority.path("pgpool.key"),
            "backend_sslmode": "verify-full", "backend_ssl_ca_cert": authority.root,
            "backend_ssl_cert": authority.path("pgpool.crt"),
            "backend_ssl_key": authority.path("pgpool.key"), **settings}


@pytest.fixture(name="start")
def start_fixture(secure, engine):
    yield from starter(secure, engine)


def psql(pgpool, sql, **words):
    dsn = pgpool.dsn(**words)
    return run("psql", "-XAtc", sql, dsn, env=pgpool.env())


def test_administration_port(secure, authority, start):
    """Who administrates over a network does it by TLS, and binds his password to the channel."""
    server = secure.servers[0]
    with psycopg.connect(f"host={server.directory} port={server.port} user=postgres dbname=test") \
            as direct:
        secret = direct.pgconn.encrypt_password(b"secret", b"boss", b"scram-sha-256").decode()
    pgpool = start(**both_sides(authority))
    path = os.path.join(pgpool.directory, "pcp.conf")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(f"boss:{secret}\n")
    reload(pgpool)
    words = {"host": "localhost", "port": pgpool.pcp_port, "dbname": "pgpool", "user": "boss",
             "sslmode": "verify-full", "sslrootcert": authority.root, "channel_binding": "require"}
    assert "pgpool" in psql(pgpool, "SHOW pool_version", password="secret",
                            **words).stdout
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pgpool.dsn(password="wrong", **words))
    with socket.create_connection(("127.0.0.1", pgpool.pcp_port), 10 * SLOW) as early:
        early.sendall(bytes.fromhex("0000000804d2162f") + b"more")
        assert b"unencrypted" in early.recv(4096)
    with socket.create_connection(("127.0.0.1", pgpool.pcp_port), 10 * SLOW) as faulty:
        faulty.sendall(bytes.fromhex("0000000804d2162f"))
        assert faulty.recv(1) == b"S"
        faulty.sendall(b"this is no handshake")
        while faulty.recv(4096):
            pass
    assert "pgpool" in psql(pgpool, "SHOW pool_version", password="secret", **words).stdout


def reload(pgpool):
    pgpool.mark_log()
    pgpool.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "has been reloaded" in pgpool.log_since_mark() or
             "was not changed" in pgpool.log_since_mark(), "the reload")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_psql_and_server(start, authority, version):
    pgpool = start(**both_sides(authority))
    done = psql(pgpool, "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                sslmode="verify-full", sslrootcert=authority.root, host="localhost",
                ssl_min_protocol_version=version, ssl_max_protocol_version=version)
    assert done.stdout.strip() == "TLSv1.3"
    # lag, health and the children, all of them
    assert pgpool.cluster.primary.host
    with psycopg.connect(f"host={pgpool.cluster.directory} port={pgpool.cluster.primary.port} "
                         "user=postgres dbname=test", autocommit=True) as direct:
        rows = direct.execute(
            "SELECT application_name, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE client_addr IS NOT NULL AND backend_type = 'client backend'").fetchall()
    assert {"pgpool lag"} <= {name for name, _ in rows}
    assert all(encrypted for _, encrypted in rows), rows


def test_wrong_server_is_refused_by_psql(start, authority):
    pgpool = start(**both_sides(authority))
    done = run("psql", "-XAtc", "SELECT 1",
               pgpool.dsn(sslmode="verify-full", sslrootcert=authority.path("alice.crt"),
                          host="localhost"), env=pgpool.env(), check=False)
    assert done.returncode != 0 and "certificate verify failed" in done.stderr


def test_copy_and_large_results(start, authority):
    pgpool = start(**both_sides(authority))
    with psycopg.connect(pgpool.dsn(sslmode="require"), autocommit=True) as one:
        one.execute("CREATE TEMP TABLE t (a text)")
        with one.cursor().copy("COPY t FROM STDIN") as copy:
            for n in range(2000):
                copy.write("x" * 10000 + f"{n}\n")
        assert one.execute("SELECT sum(length(a)) FROM t").fetchone()[0] > 20_000_000
        rows = one.execute("SELECT a FROM t").fetchall()
        assert len(rows) == 2000 and all(row[0].startswith("xxx") for row in rows)


def test_cancel(start, authority):
    pgpool = start(**both_sides(authority))
    with psycopg.connect(pgpool.dsn(sslmode="require"), autocommit=True) as one:
        timer = threading.Timer(0.5, one.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            one.execute("SELECT pg_sleep(60)")
        timer.join()


# ---- certificates that change --------------------------------------------------------------------

def replace(authority, name):
    """As an administrator does it: the new files take the place of the old at once."""
    for ending in ("crt", "key"):
        shutil.copy2(authority.path(f"{name}.{ending}"), authority.path(f"used.{ending}.new"))
        os.rename(authority.path(f"used.{ending}.new"), authority.path(f"used.{ending}"))


class Load(threading.Thread):
    """Connects again and again and asks; `errors` is what went wrong."""

    def __init__(self, dsn):
        super().__init__(daemon=True)
        self.dsn, self.done, self.errors, self.count = dsn, threading.Event(), [], 0

    def run(self):
        try:
            with psycopg.connect(self.dsn, autocommit=True) as steady:
                while not self.done.is_set():
                    with psycopg.connect(self.dsn, autocommit=True) as fresh:
                        fresh.execute("SELECT 1")
                    steady.execute("SELECT 1")
                    self.count += 1
        except psycopg.Error as error:
            self.errors.append(str(error))

    def __enter__(self):
        self.start()
        wait_for(lambda: self.count > 2 or self.errors, "the load")
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join(60 * SLOW)


def shown(pgpool):
    """The certificate that clients see."""
    context = client_context()
    with raw.Raw(pgpool).start_tls(context) as one:
        return one.socket.getpeercert(binary_form=True)


def pem_of(path):

    with open(path, encoding="utf-8") as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def test_certificate_replaced_under_load(start, authority):
    replace(authority, "pgpool")
    pgpool = start(**both_sides(authority, ssl_cert=authority.path("used.crt"),
                                ssl_key=authority.path("used.key")))
    assert shown(pgpool) == pem_of(authority.path("pgpool.crt"))
    dsn = pgpool.dsn(sslmode="verify-full", sslrootcert=authority.root, host="localhost")
    with Load(dsn) as load, Load(dsn) as other:
        for name in ("next", "pgpool", "next"):
            replace(authority, name)
            reload(pgpool)
            wait_for(lambda n=name: shown(pgpool) == pem_of(authority.path(n + ".crt")),
                     "the new certificate")
            before = load.count
            wait_for(lambda b=before: load.count > b + 2 or load.errors, "the load to go on")
    assert not load.errors and not other.errors


def test_faulty_files_change_nothing(start, authority):
    replace(authority, "pgpool")
    pgpool = start(**both_sides(authority, ssl_cert=authority.path("used.crt"),
                                ssl_key=authority.path("used.key")))
    with psycopg.connect(pgpool.dsn(sslmode="require"), autocommit=True) as one:
        shutil.copy2(authority.path("next.crt"), authority.path("used.crt"))  # not its key
        reload(pgpool)
        assert "does not fit the certificate" in pgpool.log_since_mark()
        os.remove(authority.path("used.key"))
        reload(pgpool)
        assert "used.key" in pgpool.log_since_mark()
        one.execute("SELECT 1")
        assert shown(pgpool) == pem_of(authority.path("pgpool.crt"))
        # a child that is forked now has what was in force
        pgpool.kill_named("child")
        assert shown(pgpool) == pem_of(authority.path("pgpool.crt"))
    replace(authority, "next")
    reload(pgpool)
    wait_for(lambda: shown(pgpool) == pem_of(authority.path("next.crt")), "the new certificate")


def test_revoked_client_is_refused_after_the_reload(start, authority):
    pgpool = start(**both_sides(authority, ssl_ca_cert=authority.root,
                                ssl_crl_file=authority.crl()))
    words = {"sslmode": "require", "sslcert": authority.path("mallory.crt"),
             "sslkey": authority.path("mallory.key")}
    with psycopg.connect(pgpool.dsn(**words), autocommit=True) as one:
        authority.revoke("mallory")
        authority.crl()
        reload(pgpool)

        def refused():
            try:
                psycopg.connect(pgpool.dsn(**words)).close()
            except psycopg.OperationalError as error:
                return "revoked" in str(error)
            return False

        wait_for(refused, "mallory to be refused")
        assert refused()
        one.execute("SELECT 1")  # nobody is dropped
    alice = {**words, "sslcert": authority.path("alice.crt"), "sslkey": authority.path("alice.key")}
    psycopg.connect(pgpool.dsn(**alice)).close()
    psycopg.connect(pgpool.dsn(sslmode="require")).close()


# ---- handshakes that are left --------------------------------------------------------------------

def test_handshakes_that_are_left(start, authority):
    pgpool = start(**both_sides(authority, authentication_timeout=f"{int(8 * SLOW)}s",
                                child_max_clients=1000))
    left = []
    try:
        for n in range(LEFT):
            one = socket.create_connection((pgpool.host, pgpool.port))
            one.sendall(raw.SSL_REQUEST)
            left.append(one)
        for n, one in enumerate(left):
            assert one.recv(1) == b"S"
            one.sendall((b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01")[n % 3])
        with psycopg.connect(pgpool.dsn(sslmode="require"), autocommit=True) as other:
            assert other.execute("SELECT 1").fetchone() == (1,)
        memory = sum(processes.pss_kb(pid) for pid in pgpool.named("child"))
        if "sanitize" not in binary():
            assert memory < 100 * 1024, f"{memory} kB"
        for one in left:
            one.settimeout(60 * SLOW)
            assert one.recv(100) in (b"", b"\x15\x03\x01\x00\x02\x02\x32")
    finally:
        for one in left:
            one.close()
    psycopg.connect(pgpool.dsn(sslmode="require")).close()


# ---- passphrases and configtest ------------------------------------------------------------------

def test_passphrase_command(start, authority):
    protected = authority.protect("pgpool", "open sesame")
    word = authority.path("word")
    with open(word, "w", encoding="utf-8") as file:
        file.write("open sesame\n")
    pgpool = start(**both_sides(authority, ssl_key=protected,
                                ssl_passphrase_command=f"cat {word}"))
    assert shown(pgpool) == pem_of(authority.path("pgpool.crt"))
    with open(word, "w", encoding="utf-8") as file:
        file.write("open barley\n")
    reload(pgpool)
    assert "was not changed" in pgpool.log_since_mark()
    psycopg.connect(pgpool.dsn(sslmode="require")).close()
    for pid in pgpool.pids():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            assert b"sesame" not in file.read()
    assert "sesame" not in pgpool.log_text() and "barley" not in pgpool.log_text()


def configtest(pgpool):
    done = subprocess.run(pgpool.command("configtest"), capture_output=True, text=True, check=False,
                          timeout=60 * SLOW)
    return done.returncode, done.stdout + done.stderr


def test_configtest(secure, engine, authority):
    pgpool = Pgpool(secure, engine, **both_sides(authority))
    readable = authority.path("readable.key")
    shutil.copy(authority.path("pgpool.key"), readable)
    os.chmod(readable, 0o644)
    expired = authority.issue("expired", expired=True)
    protected = authority.protect("pgpool", "open sesame")
    faults = [({"ssl_key": authority.path("alice.key")}, "does not fit the certificate"),
              ({"ssl_key": readable}, "has group or world access"),
              ({"ssl_key": authority.path("nowhere.key")}, "nowhere.key"),
              ({"ssl_cert": authority.path("pgpool.key")}, "could not read the certificate"),
              ({"ssl_key": protected}, "protected by a passphrase"),
              ({"ssl_key": protected, "ssl_passphrase_command": "false"}, "ssl_passphrase_command"),
              ({"ssl_ca_cert": authority.path("pgpool.key")}, "authorities"),
              ({"ssl_crl_file": authority.path("pgpool.crt")}, "revoked"),
              ({"ssl_ciphers": "NONSENSE"}, "NONSENSE"),
              ({"ssl_ecdh_curve": "nonsense"}, "nonsense"),
              ({"ssl_cert": ""}, '"ssl_cert" is not set'),
              ({"ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.2"},
               "older than"),
              ({"backend_ssl_key": readable}, "has group or world access"),
              ({"backend_ssl_ca_cert": ""}, "backend_ssl_ca_cert")]
    try:
        pgpool.write_config()
        status, text = configtest(pgpool)
        assert status == 0, text
        for settings, words in faults:
            before = dict(pgpool.settings)
            pgpool.write_config(**settings)
            status, text = configtest(pgpool)
            assert status != 0 and words in text, (settings, text)
            pgpool.settings = before
        pgpool.write_config(ssl_cert=expired[0], ssl_key=expired[1])
        status, text = configtest(pgpool)
        assert status == 0 and "has expired" in text, text
    finally:
        pgpool.kill()


def test_ca_directory(start, authority):
    """As "openssl rehash" makes it, revocation lists included."""
    directory = authority.path("hashed")
    os.makedirs(directory)
    shutil.copy(authority.root, directory + "/root.pem")
    shutil.copy(authority.crl(), directory + "/crl.pem")
    subprocess.run(["openssl", "rehash", directory], check=True)
    pgpool = start(**both_sides(authority, ssl_ca_cert_dir=directory))
    words = {"sslmode": "require", "sslcert": authority.path("alice.crt"),
             "sslkey": authority.path("alice.key")}
    psycopg.connect(pgpool.dsn(**words)).close()
    authority.issue("revoked")
    authority.revoke("revoked")
    shutil.copy(authority.crl(), directory + "/crl.pem")
    reload(pgpool)
    words = {**words, "sslcert": authority.path("revoked.crt"),
             "sslkey": authority.path("revoked.key")}
    with pytest.raises(psycopg.OperationalError, match="revoked"):
        for _ in range(20):  # a child may not have taken it yet
            psycopg.connect(pgpool.dsn(**words)).close()


def test_libpq_looks_at_no_home_directory(secure, engine, authority):
    """Of whoever has started pgpool: it may not be ours to read."""
    home = authority.path("home/.postgresql")
    os.makedirs(home)
    for name in ("postgresql.crt", "postgresql.key", "root.crt"):
        shutil.copy(authority.path("alice.crt"), os.path.join(home, name))
        os.chmod(os.path.join(home, name), 0o600)
    for server in secure.servers:
        set_hba(server, HBA_OPEN)
    pgpool = Pgpool(secure, engine, backend_sslmode="require")
    before = os.environ.get("HOME", "/")
    os.environ["HOME"] = authority.path("home")
    try:
        pgpool.start()
    finally:
        os.environ["HOME"] = before
        for server in secure.servers:
            set_hba(server, HBA)
    pgpool.finish()
