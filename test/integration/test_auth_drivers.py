"""auth_query with SCRAM on three servers, over TLS on both sides, and no password anywhere on
pgpool's machine: what people use logs in, with channel binding where it can; a changed password
counts from the next login on. Old clients log in, too."""

import asyncio
import glob
import os
import shutil
import ssl

import asyncpg
import psycopg
import pytest

import raw
from cluster import run
from guarded import ASKER, GuardedPgpool, make_cluster
from logins import PLAIN, PLUS, Client, Refused, context_of, outcome
from prove import md5_secret, verifier
from test_drivers import node_modules_fixture  # noqa: F401  pylint: disable=unused-import
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(20)]

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "ein gutes Paßwort"
CHANGED = "another one"
WRONG = "28P01"
LIBPQ = psycopg.pq.version()

POOL_HBA = """
local all all scram-sha-256
hostssl all all 127.0.0.1/32 scram-sha-256
hostnossl all old 127.0.0.1/32 md5
"""
SERVER_HBA = f"""
local all all trust
host replication all 127.0.0.1/32 trust
hostssl all postgres,{ASKER} 127.0.0.1/32 cert map=proxies
hostnossl all postgres 127.0.0.1/32 trust
hostssl all old 127.0.0.1/32 md5
hostssl all all 127.0.0.1/32 scram-sha-256
"""


@pytest.fixture(scope="module", name="servers")
def servers_fixture(authority):
    cluster = make_cluster(authority)
    with cluster.primary.connect() as one:
        one.execute(f"CREATE ROLE {ASKER} LOGIN; GRANT SELECT ON pg_authid TO {ASKER};"
                    f"ALTER ROLE postgres PASSWORD '{PASSWORD}';"
                    f"CREATE ROLE old LOGIN PASSWORD '{md5_secret('old', PASSWORD)}'")
    cluster.guard(SERVER_HBA, f"proxies proxy postgres\nproxies proxy {ASKER}\n")
    cluster.wait_replayed()
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module", name="pgpool")
def pgpool_fixture(engine, authority, servers):
    certificate, key = authority.issue("proxy", "DNS:localhost,IP:127.0.0.1")
    pgpool = GuardedPgpool(
        servers, engine, hba=POOL_HBA, ssl="on", ssl_cert=certificate, ssl_key=key,
        backend_sslmode="verify-full", backend_ssl_ca_cert=authority.root,
        backend_ssl_cert=certificate, backend_ssl_key=key, enable_pool_hba="on",
        auth_user=ASKER, auth_dbname="test",
        auth_query_cache_time="100ms", auth_failure_delay=0)
    pgpool.password = PASSWORD
    pgpool.start()
    yield pgpool
    pgpool.finish()


@pytest.fixture(name="role")
def role_fixture(servers, request):
    """One of the test's own."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[:60]
    servers.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    return name


# ---- those who log in ----------------------------------------------------------------------------

def conninfo(pgpool, authority, role, password, **more):
    parts = {"host": "127.0.0.1", "port": pgpool.port, "dbname": "test", "user": role,
             "password": f"'{password}'", "sslmode": "verify-full", "sslrootcert": authority.root,
             "channel_binding": "require", "connect_timeout": int(20 * SLOW), **more}
    if LIBPQ >= 160000:
        parts.setdefault("require_auth", "scram-sha-256")
    return " ".join(f"{name}={value}" for name, value in parts.items())


def by_psql(pgpool, authority, role, password, **_):
    done = run("psql", "-X", "-At", conninfo(pgpool, authority, role, password), "-c",
               "SELECT session_user", check=False)
    if done.returncode == 0:
        return done.stdout.strip()
    assert "password authentication failed" in done.stderr, done.stderr
    return WRONG


def by_psycopg(pgpool, authority, role, password, words=None, **_):
    try:
        with psycopg.connect(conninfo(pgpool, authority, role, password, **(words or {}))) as one:
            return one.execute("SELECT session_user").fetchone()[0]
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error)
        return WRONG


def by_asyncpg(pgpool, authority, role, password, **_):
    async def enter():
        context = ssl.create_default_context(cafile=authority.root)
        one = await asyncpg.connect(host="127.0.0.1", port=pgpool.port, database="test", user=role,
                                    password=password, ssl=context, timeout=20 * SLOW)
        who = await one.fetchval("SELECT session_user")
        await one.close()
        return who

    try:
        return asyncio.run(enter())
    except asyncpg.PostgresError as error:
        return error.sqlstate


def by_node(pgpool, authority, role, password, node_modules, **_):
    return run(shutil.which("node"), HERE + "/drivers/enter_node.js", "127.0.0.1",
               str(pgpool.port), "test", role, authority.root,
               env={**os.environ, "NODE_PATH": node_modules, "PGPASSWORD": password}).stdout.strip()


def by_jdbc(pgpool, authority, role, password, classes, **_):
    (jar,) = glob.glob("/usr/share/java/postgresql.jar")
    url = (f"jdbc:postgresql://127.0.0.1:{pgpool.port}/test?sslmode=verify-full&"
           f"sslrootcert={authority.root}")
    return run("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp",
               f"{jar}:{classes}", "Enter", url, role,
               env={**os.environ, "LC_ALL": "C.UTF-8", "PGPASSWORD": password}).stdout.strip()


DRIVERS = {"psql": by_psql, "psycopg": by_psycopg, "asyncpg": by_asyncpg, "node": by_node,
           "jdbc": by_jdbc}


@pytest.fixture(scope="module", name="classes")
def classes_fixture(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("classes"))
    run("javac", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-cp",
        "/usr/share/java/postgresql.jar", "-d", folder, HERE + "/drivers/Enter.java")
    return folder


# ---- tests ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", DRIVERS)
def test_driver(pgpool, authority, servers, role, node_modules, classes, name):
    """Right and wrong, on an empty pool and on one that has the connection; and the same when the
    password has been changed."""
    def enters(password):
        return DRIVERS[name](pgpool, authority, role, password, node_modules=node_modules,
                             classes=classes)

    assert enters(CHANGED) == WRONG
    assert enters(PASSWORD) == role
    assert enters(CHANGED) == WRONG
    servers.sql(f"ALTER ROLE {role} PASSWORD '{CHANGED}'")
    assert enters(PASSWORD) in (WRONG, role)  # it may be known for auth_query_cache_time
    wait_for(lambda: outcome(pgpool, role, PASSWORD, True) == WRONG,
             "the old password to be refused", 1)
    assert enters(CHANGED) == role
    assert enters(PASSWORD) == WRONG


def test_reads_go_to_standbys_and_writes_to_the_primary(pgpool, authority, servers, role):
    """What the client has proved opens every server of the cluster."""
    servers.sql(f"CREATE TABLE of_{role} (a int); GRANT ALL ON of_{role} TO {role}")
    nodes = set()

    def everywhere():
        with psycopg.connect(conninfo(pgpool, authority, role, PASSWORD), autocommit=True) as one:
            nodes.add(one.execute("SELECT current_setting('cluster_name')").fetchone()[0])
            one.execute(f"INSERT INTO of_{role} VALUES (1)")
        return len(nodes) == 2

    wait_for(everywhere, "both standbys to be read from")
    assert nodes == {"node1", "node2"}


@pytest.mark.skipif(LIBPQ < 160000, reason="libpq 16 has require_auth")
def test_require_auth(pgpool, authority, role):
    assert by_psycopg(pgpool, authority, role, PASSWORD) == role
    with pytest.raises(psycopg.OperationalError, match="require_auth|authentication method"):
        by_psycopg(pgpool, authority, role, PASSWORD,
                   {"require_auth": "md5", "channel_binding": "prefer"})


@pytest.mark.skipif(LIBPQ < 170000, reason="libpq 17 has sslnegotiation")
def test_direct_tls_of_libpq(pgpool, authority, role):
    assert by_psycopg(pgpool, authority, role, PASSWORD, {"sslnegotiation": "direct"}) == role


@pytest.mark.parametrize("version", [raw.V3_0, raw.V3_2], ids=["3.0", "3.2"])
@pytest.mark.parametrize("direct", [False, True], ids=["asked", "direct"])
def test_new_clients(pgpool, authority, role, version, direct):
    """TLS at once with ALPN, SCRAM-SHA-256-PLUS, protocol 3.2."""
    with Client(pgpool) as one:
        protocols = ("postgresql",) if direct else ()
        one.start_tls(context_of(authority, protocols=protocols), not direct)
        if direct:
            assert one.socket.selected_alpn_protocol() == "postgresql"
        one.begin(role, "test", version)
        one.prove(role, PASSWORD, binds=True)
        one.settle()
        assert one.mechanisms == [PLUS, PLAIN] and one.asked == PLUS
        assert len(one.key) == (4 if version == raw.V3_0 else 32)
        assert one.rows("SELECT session_user") == [[role]]


def test_direct_tls_without_alpn_is_refused(pgpool, role):
    """As PostgreSQL: whoever does not say what he wants to speak may have been sent by somebody
    else (ALPACA)."""
    with pytest.raises(Refused):
        with Client(pgpool) as one:
            one.start_tls(context_of(), ask=False)
            one.enter(role, "test", PASSWORD)


def test_binding_to_another_channel_is_refused(pgpool, role):
    """Somebody in between, with a certificate of his own."""
    with Client(pgpool) as one:
        one.start_tls(context_of())
        one.binding = b"\1" * 32
        with pytest.raises(Refused) as refused:
            one.enter(role, "test", PASSWORD, binds=True)
        assert refused.value.sqlstate == "28000"


def test_withheld_offer_is_noticed(pgpool, role):
    """Somebody in between takes SCRAM-SHA-256-PLUS out of what is offered: the client says y."""
    with Client(pgpool) as one:
        one.start_tls(context_of())
        one.begin(role, "test")
        one.read_auth()
        one.mechanisms = [PLAIN]
        with pytest.raises(Refused) as refused:
            one.scram(PASSWORD, binds=True)
        assert refused.value.sqlstate in ("28000", "08P01")


@pytest.mark.parametrize("password", [PASSWORD, CHANGED], ids=["right", "wrong"])
def test_old_client(pgpool, password):
    """Protocol 3.0, md5 alone, no TLS."""
    with Client(pgpool) as one:
        if password == PASSWORD:
            assert one.enter("old", "test", password).rows("SELECT 1") == [["1"]]
        else:
            with pytest.raises(Refused) as refused:
                one.enter("old", "test", password)
            assert refused.value.sqlstate == WRONG
        assert one.asked == "md5"


def test_old_password_does_not_reach_what_is_pooled(pgpool, servers, role):
    """A connection lies idle that was made with it."""
    with pgpool.enter(role, PASSWORD) as one:
        (before,), = one.rows("SELECT pg_backend_pid()")
        one.leave()
    servers.sql(f"ALTER ROLE {role} PASSWORD '{CHANGED}'")
    wait_for(lambda: outcome(pgpool, role, PASSWORD, True, database="postgres") == WRONG,
             "the old password to be refused", 1)
    assert servers.primary.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
                                 before) == 1
    with pgpool.enter(role, CHANGED) as one:
        assert one.rows("SELECT session_user") == [[role]]


def test_changed_password_while_standbys_are_behind(pgpool, servers, role):
    """The primary has it, the standbys have not heard of it yet: the next login succeeds."""
    standbys = servers.servers[1:]
    for standby in standbys:
        standby.rows("SELECT pg_wal_replay_pause(), 1")
    try:
        with servers.primary.connect() as one:
            one.execute(f"ALTER ROLE {role} PASSWORD '{CHANGED}'")
        wait_for(lambda: outcome(pgpool, role, CHANGED, True) == "in",
                 "the new password", 1)
        for _ in range(5):
            with pgpool.enter(role, CHANGED, database="test") as one:
                assert one.rows("SELECT session_user") == [[role]]
                assert one.rows("SELECT 1") == [["1"]]
    finally:
        for standby in standbys:
            standby.rows("SELECT pg_wal_replay_resume(), 1")
    servers.wait_replayed()
    with pgpool.enter(role, CHANGED, database="test") as one:
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("change", ["ALTER ROLE {} PASSWORD NULL", "DROP ROLE {}"])
def test_role_that_has_nothing_to_prove_any_more(pgpool, servers, role, change):
    with pgpool.enter(role, PASSWORD, database="test") as one:
        one.leave()
    servers.sql(change.format(role))
    wait_for(lambda: outcome(pgpool, role, PASSWORD, True) == WRONG,
             "it to be refused", 1)


@pytest.mark.parametrize("change", ["VALID UNTIL '2020-01-01'", "NOLOGIN"])
def test_query_that_tells_more(pgpool, servers, role, change):
    """Until when the password is valid, and who may log in at all: who has a connection in the pool
    is refused, too."""
    pgpool.reload(auth_query="SELECT rolname, rolpassword, rolvaliduntil FROM pg_authid "
                             "WHERE rolname = $1 AND rolcanlogin")
    with pgpool.enter(role, PASSWORD, database="test") as one:
        one.leave()
    servers.sql(f"ALTER ROLE {role} {change}")
    wait_for(lambda: outcome(pgpool, role, PASSWORD, True) == WRONG,
             "it to be refused", 1)


def test_verifier_as_given_by_the_servers_user(pgpool, servers, role):
    """A verifier that was made elsewhere, with other iterations, counts as any other."""
    servers.sql(f"ALTER ROLE {role} PASSWORD '{verifier(CHANGED, 5000, os.urandom(20))}'")
    with pgpool.enter(role, CHANGED, database="test") as one:
        assert one.rows("SELECT 1") == [["1"]]
    assert outcome(pgpool, role, PASSWORD, True) == WRONG


def test_nothing_of_a_client_reaches_the_connection_that_asks(pgpool, servers, role):
    """CVE-2021-3935 and the like: startup parameters, search_path, names with quotes."""
    servers.sql(f"CREATE SCHEMA trap_{role}; GRANT ALL ON SCHEMA trap_{role} TO PUBLIC;"
                f"CREATE VIEW trap_{role}.pg_authid AS SELECT 'x'::name AS rolname, "
                f"'{md5_secret(role, 'trap')}'::text AS rolpassword")
    hostile = {"search_path": f"trap_{role}", "options": f"-c search_path=trap_{role}",
               "role": "postgres", "session_authorization": "postgres"}
    for name, value in hostile.items():
        with pytest.raises(Refused):
            with Client(pgpool) as one:
                one.start_tls(context_of())
                one.enter(role, "test", "trap", **{name: value})
    for name in ("'; DROP TABLE x; --", f"{role}' OR true --", "$1", "x" * 200, "\\", '"'):
        assert outcome(pgpool, name, PASSWORD, True) == WRONG
    assert outcome(pgpool, role, PASSWORD, True) == "in"


def test_no_secret_lies_on_this_machine(pgpool, servers):
    """Neither in files of pgpool's nor in its log, its titles or its environment."""
    rows = servers.primary.rows("SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL")
    secrets = [PASSWORD, CHANGED] + [row[0].rpartition("$")[2].partition(":")[0] for row in rows]
    for folder, _, names in os.walk(pgpool.directory):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                text = file.read()
            assert not [one for one in secrets if one.encode() in text], path
    for pid in pgpool.pids():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read()
        assert not [one for one in secrets if one.encode() in text], pid
