"""Clients whose passwords are known to the servers alone: auth_query, SCRAM and md5, on three
servers, with no password of theirs on pgpool's machine."""

import asyncio
import os
import subprocess

import psycopg
import pytest

import raw
from cluster import Cluster
from proxy import Pgpool
from waiting import wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(5)]

SERVER_HBA = """
local all,replication all trust
host replication all 127.0.0.1/32 trust
host all postgres,asker 127.0.0.1/32 trust
host all hasher 127.0.0.1/32 md5
host all all 127.0.0.1/32 scram-sha-256
"""
RULES = """
host all postgres 127.0.0.1/32 trust
host all +staff 127.0.0.1/32 scram-sha-256
host all +banned 127.0.0.1/32 reject
host all all 127.0.0.1/32 md5
local all alice peer map=me
local all all scram-sha-256
"""
ROLES = """
CREATE ROLE asker LOGIN;
GRANT SELECT ON pg_authid TO asker;
CREATE ROLE staff;
CREATE ROLE banned;
CREATE ROLE alice LOGIN PASSWORD 'alice secret' IN ROLE staff;
CREATE ROLE bob LOGIN PASSWORD 'bob secret' IN ROLE banned;
CREATE ROLE carol LOGIN PASSWORD 'carol secret';
CREATE ROLE silent LOGIN;
CREATE ROLE late LOGIN PASSWORD 'late secret' VALID UNTIL '2001-01-01';
CREATE ROLE timely LOGIN PASSWORD 'timely secret' VALID UNTIL '2100-01-01';
CREATE ROLE nologin PASSWORD 'nologin secret' NOLOGIN;
SET password_encryption = 'md5';
CREATE ROLE hasher LOGIN PASSWORD 'hasher secret';
"""
QUERY = "SELECT rolname, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = $1"


@pytest.fixture(scope="module", name="servers")
def servers_fixture():
    cluster = Cluster(standbys=2)
    cluster.primary.database = "postgres"  # what is granted on pg_authid is granted there
    cluster.sql(ROLES)
    cluster.primary.database = "test"
    for server in cluster.servers:
        server.write_hba(SERVER_HBA)
    yield cluster
    cluster.destroy()


def start(servers, engine, **settings):
    pgpool = Pgpool(servers, engine, auth_user="asker", auth_query=QUERY.replace("'", "''"),
                    enable_pool_hba="on", auth_failure_delay="0", **settings)
    for name, text in (("pool_hba.conf", RULES),
                       ("pool_ident.conf", f"me {os.environ.get('USER') or 'root'} alice\n"
                                           "me root alice\n")):
        with open(os.path.join(pgpool.directory, name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(os.path.join(pgpool.directory, name), 0o600)
    return pgpool.start()


@pytest.fixture(scope="module", name="pgpool")
def pgpool_fixture(servers, engine):
    pgpool = start(servers, engine)
    yield pgpool
    pgpool.finish()


def connect(pgpool, user, password=None, **more):
    return psycopg.connect(pgpool.dsn(user=user), password=password or f"{user} secret",
                           autocommit=True, **more)


def refused(pgpool, user, password=None, **more):
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(pgpool, user, password, **more)
    return str(caught.value)


@pytest.mark.parametrize("user", ["alice", "carol", "hasher", "timely"])
def test_login_reads_and_writes(pgpool, user):
    """At the primary and at a standby, with what the client has proved."""
    with connect(pgpool, user) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        connection.execute("CREATE TEMP TABLE t (a int)")
        connection.execute("INSERT INTO t VALUES (1)")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_psql(pgpool):
    def run(password):
        return subprocess.run(["psql", "-XAtqw", "-c", "SELECT current_user"], text=True,
                              env=pgpool.env(PGUSER="alice", PGPASSWORD=password),
                              capture_output=True, check=False, timeout=60)

    assert run("alice secret").stdout == "alice\n"
    wrong = run("another")
    assert wrong.returncode == 2
    assert 'password authentication failed for user "alice"' in wrong.stderr


@pytest.mark.parametrize("user", ["alice", "hasher"])
def test_asyncpg(pgpool, user):
    """It has a SCRAM of its own."""
    asyncpg = pytest.importorskip("asyncpg")

    async def ask(password):
        connection = await asyncpg.connect(host=pgpool.host, port=pgpool.port, user=user,
                                           database="test", password=password, ssl=False)
        try:
            return await connection.fetchval("SELECT current_user")
        finally:
            await connection.close()

    assert asyncio.run(ask(f"{user} secret")) == user
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(ask("wrong"))


@pytest.mark.parametrize("user, password", [
    ("alice", "wrong"), ("hasher", "wrong"), ("nobody", "x"), ("silent", "x"),
    ("late", "late secret"), ("carol", "alice secret")])
def test_wrong_passwords_are_alike(pgpool, user, password):
    assert refused(pgpool, user, password).endswith(
        f'FATAL:  password authentication failed for user "{user}"\n') or \
        f'password authentication failed for user "{user}"' in refused(pgpool, user, password)


def test_server_has_the_last_word(pgpool):
    """The password is right, and the server says why it is not enough."""
    assert 'role "nologin" is not permitted to log in' in refused(pgpool, "nologin")
    assert 'database "nope" does not exist' in refused(pgpool, "carol", dbname="nope")


def test_roles_of_a_user(pgpool):
    assert "pool_hba.conf rejects connection" in refused(pgpool, "bob")


def test_reused_connections_are_for_those_who_prove_it(pgpool):
    """CVE-2025-46801: whatever waits in the pool, a wrong password gets at nothing."""
    for _ in range(3):
        with connect(pgpool, "carol") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        for password in ("wrong", "alice secret", ""):
            assert "password" in refused(pgpool, "carol", password or " ")
        with raw.Raw(pgpool) as one:
            assert one.login(user="carol")[-1].kind == "R"
            one.send(raw.query("SELECT 1"))
            assert raw.codes(one.read_to_end()) == ["08P01"]


def test_changed_password(servers, pgpool):
    """It works for the next login, and the old one does not; who is in stays in."""
    servers.sql("CREATE ROLE dora LOGIN PASSWORD 'old'")
    with connect(pgpool, "dora", "old") as before:
        servers.sql("ALTER ROLE dora PASSWORD 'new'")
        wait_for(lambda: _works(pgpool, "dora", "new"), "the new password to work")
        refused(pgpool, "dora", "old")
        assert before.execute("SELECT 1").fetchone() == (1,)
        with connect(pgpool, "dora", "new") as after:
            assert after.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            after.execute("CREATE TEMP TABLE t (a int)")
    servers.sql("ALTER ROLE dora PASSWORD NULL")
    wait_for(lambda: not _works(pgpool, "dora", "new"), "the password to be refused")


def _works(pgpool, user, password):
    try:
        connect(pgpool, user, password).close()
        return True
    except psycopg.OperationalError:
        return False


def test_who_stands_behind_a_unix_socket(pgpool):
    """This test's own user is alice by pool_ident.conf, and nobody else; her connections are made
    with what she has proved over the network."""
    with connect(pgpool, "alice") as connection:
        connection.execute("SELECT 1")
    with psycopg.connect(pgpool.dsn(user="alice", host=pgpool.directory)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("alice",)
    with psycopg.connect(pgpool.dsn(user="carol", host=pgpool.directory),
                         password="carol secret") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("carol",)


def test_no_password_is_kept(pgpool):
    for name in os.listdir(pgpool.directory):
        path = os.path.join(pgpool.directory, name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
            assert "alice secret" not in text and "SCRAM-SHA-256$" not in text


def test_explain_login(pgpool):
    """At the administration port."""
    def explain(words):
        with psycopg.connect(host=pgpool.directory, port=pgpool.pcp_port, dbname="pgpool",
                             user="root", autocommit=True) as connection:
            return connection.execute(f"PGPOOL EXPLAIN LOGIN {words}").fetchall()

    found = dict(explain("carol test '127.0.0.1'"))
    assert ":5: host {all} {all} 127.0.0.1 255.255.255.255 md5" in found["rule"]
    assert found["secret"] == 'auth_query, asked as "asker"'
    assert found["asks for"] == "SCRAM-SHA-256"
    assert dict(explain("carol test '192.0.2.1' SSL"))["rule"] == "no line matches: refused"
    assert dict(explain("alice test local"))["asks for"].startswith("the user of the system")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        explain("carol test 'nowhere'")


def test_without_rules(servers, engine):
    """enable_pool_hba = off: what auth_query knows has to be proved, the same."""
    pgpool = Pgpool(servers, engine, auth_user="asker", auth_failure_delay="0")
    path = os.path.join(pgpool.directory, "pool_passwd")
    with open(path, "w", encoding="utf-8") as file:
        file.write("postgres:TEXTpostgres\n")
    os.chmod(path, 0o600)
    pgpool.settings["sr_check_password"] = ""
    try:
        pgpool.launch()
        wait_for(lambda: _works(pgpool, "alice", "alice secret"), "a login", 30)
        refused(pgpool, "alice", "wrong")
        with connect(pgpool, "hasher") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with connect(pgpool, "postgres", "postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        pgpool.finish()
    except BaseException:
        pgpool.kill()
        raise


