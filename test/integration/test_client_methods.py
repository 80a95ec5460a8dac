"""Ways in beside passwords that the servers know: TLS with channel binding, certificates, LDAP and
PAM, with pool_hba.conf in force and real servers that ask for SCRAM behind it."""

import os

import psycopg
import pytest

import raw
from certificates import Authority
from cluster import Cluster, make_dir
from proxy import Pgpool
from test_foreign_passwords import BASE, ROOT, Pam, Slapd

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(8)]

SERVER_HBA = """
local all,replication all trust
host replication all 127.0.0.1/32 trust
host all postgres,asker 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
ROLES = """
CREATE ROLE asker LOGIN;
GRANT SELECT ON pg_authid TO asker;
CREATE ROLE alice LOGIN PASSWORD 'alice''s own';
CREATE ROLE bob LOGIN PASSWORD 'bob''s own';
CREATE ROLE certy LOGIN PASSWORD 'certy secret';
CREATE ROLE dora LOGIN PASSWORD 'dora secret';
CREATE ROLE binder LOGIN PASSWORD 'binder secret';
CREATE ROLE tess LOGIN PASSWORD 'tess secret';
"""
RULES = """
host all postgres 127.0.0.1/32 trust
hostssl all certy 127.0.0.1/32 cert map=outside
hostssl all tess 127.0.0.1/32 trust clientcert=verify-ca
hostssl all dora 127.0.0.1/32 scram-sha-256 clientcert=verify-full
host all alice 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={port} ldapprefix="uid=" \\
    ldapsuffix=",{base}"
host all bob 127.0.0.1/32 pam pamservice={service}
hostssl all all 127.0.0.1/32 scram-sha-256
local all all scram-sha-256
"""


@pytest.fixture(scope="module", name="servers")
def servers_fixture():
    cluster = Cluster(standbys=1)
    cluster.primary.database = "postgres"
    cluster.sql(ROLES)
    cluster.primary.database = "test"
    for server in cluster.servers:
        server.write_hba(SERVER_HBA)
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module", name="authority")
def authority_fixture():
    authority = Authority(make_dir("tls-"))
    authority.issue("pgpool", "DNS:localhost,IP:127.0.0.1")
    for name in ("dora", "outsider", "stranger"):
        authority.issue(name)
    yield authority
    authority.remove()


@pytest.fixture(scope="module", name="slapd")
def slapd_fixture():
    server = Slapd()
    yield server
    server.stop()


@pytest.fixture(scope="module", name="pam")
def pam_fixture():
    if os.getuid() != 0:
        yield None
        return
    services = Pam()
    yield services
    services.remove()


@pytest.fixture(scope="module", name="pgpool")
def pgpool_fixture(servers, engine, authority, slapd, pam):
    pgpool = Pgpool(servers, engine, auth_user="asker", enable_pool_hba="on",
                    auth_failure_delay="0", ssl="on", ssl_cert=authority.path("pgpool.crt"),
                    ssl_key=authority.path("pgpool.key"), ssl_ca_cert=authority.root)
    rules = RULES.format(port=slapd.port, base=BASE,
                         service=pam.names["asks"] if pam else "other")
    for name, text in (("pool_hba.conf", rules),
                       ("pool_ident.conf", "outside outsider certy\n")):
        path = os.path.join(pgpool.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
    pgpool.start()
    yield pgpool
    pgpool.finish()


def connect(pgpool, user, password=None, **more):
    return psycopg.connect(pgpool.dsn(user=user), password=password, autocommit=True,
                           **{"sslmode": "disable", **more})


def refused(pgpool, user, password=None, **more):
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(pgpool, user, password, **more)
    return str(caught.value)


def serves(connection, user):
    """At the primary and at the standby: both ask for the role's own password."""
    assert connection.execute("SELECT current_user").fetchone() == (user,)
    connection.execute("CREATE TEMP TABLE t (a int)")
    connection.close()


def certificate(authority, name):
    return {"sslmode": "require", "sslcert": authority.path(name + ".crt"),
            "sslkey": authority.path(name + ".key"), "sslrootcert": authority.root}


def test_channel_binding(pgpool, authority):
    """The client insists on it."""
    tls = {"sslmode": "verify-full", "sslrootcert": authority.root, "channel_binding": "require"}
    pgpool.mark_log()
    serves(connect(pgpool, "binder", "binder secret", **tls), "binder")
    log = pgpool.log_since_mark()
    assert "user=binder" in log and "method=scram-sha-256" in log
    assert "SSL enabled (protocol=TLSv1.3" in log
    assert "password authentication failed" in refused(pgpool, "binder", "wrong", **tls)


def test_certificate_of_a_name_in_the_map(pgpool, authority):
    """Nobody has proved a password of certy: the servers, which ask for one, get none."""
    words = refused(pgpool, "certy", **certificate(authority, "outsider"))
    assert "certificate" not in words and "password" in words
    assert "certificate authentication failed" in \
        refused(pgpool, "certy", **certificate(authority, "stranger"))
    assert "connection requires a valid client certificate" in \
        refused(pgpool, "certy", sslmode="require", sslcert="/nonexistent")
    assert "no pool_hba.conf entry" in refused(pgpool, "certy")


def test_certificate_beside_a_password(pgpool, authority):
    serves(connect(pgpool, "dora", "dora secret", **certificate(authority, "dora")), "dora")
    refused(pgpool, "dora", "wrong", **certificate(authority, "dora"))
    assert '"dora"' in refused(pgpool, "dora", "dora secret",
                               **certificate(authority, "stranger"))
    assert "connection requires a valid client certificate" in \
        refused(pgpool, "dora", "dora secret", sslmode="require", sslcert="/nonexistent")


def test_ldap(pgpool):
    serves(connect(pgpool, "alice", "alice's own"), "alice")
    assert 'LDAP authentication failed for user "alice"' in refused(pgpool, "alice", "wrong")
    with raw.Raw(pgpool) as one:
        assert one.login(user="alice", password="")[-1].fields()["C"] in ("28P01", "28000")


@ROOT
def test_pam(pgpool, pam):
    serves(connect(pgpool, "bob", "bob's own"), "bob")
    assert 'PAM authentication failed for user "bob"' in refused(pgpool, "bob", "wrong")
    assert any(line.startswith("bob from 127.0.0.1") for line in pam.heard())


def test_what_trusted_clients_use(pgpool, authority):
    """A line that trusts uses what another client of that role has proved, and has nothing to use
    before. The other one comes in by a line for another address of this host."""
    trusted = certificate(authority, "stranger")
    assert "password" in refused(pgpool, "tess", **trusted)
    other = psycopg.connect(pgpool.dsn(user="tess", host=pgpool.directory),
                            password="tess secret", autocommit=True)
    serves(other, "tess")
    serves(connect(pgpool, "tess", **trusted), "tess")
