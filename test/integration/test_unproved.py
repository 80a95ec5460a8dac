"""Nobody gets what somebody else has proved: a connection that lies idle in the pool of a role is
not given to a client that has not proved to be it, by whatever means it tries (CVE-2025-46801), nor
after the rules, the passwords or the servers have changed."""

import signal
import types

import pytest

import raw
from guarded import ASKER, GuardedPgpool, make_cluster, only
from logins import Client, Refused, context_of, md5_answer, outcome, verifier_of
from prove import CLEAR, MD5, SASL, initial, md5_secret, message, verifier
from waiting import wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(15)]

PASSWORD = "what the role knows"
WRONG, NO_WAY = "28P01", "28000"
FORMS = {"text": lambda user: "TEXT" + PASSWORD, "md5": lambda user: md5_secret(user, PASSWORD),
         "scram": lambda user: verifier_of(PASSWORD)}
METHODS = {"password": "text", "md5": "md5", "scram-sha-256": "scram"}
SERVER_HBA = f"""
local all all trust
host replication all 127.0.0.1/32 trust
host all postgres,{ASKER},open 127.0.0.1/32 trust
host all half 127.0.0.1/32 {{half}}
host all md5 127.0.0.1/32 md5
host all all 127.0.0.1/32 scram-sha-256
"""
POOL_HBA = """
host all postgres all trust
{more}
host all text all password
host all md5 all md5
host all scram,asked all scram-sha-256
hostssl all badge all cert
host all plain all scram-sha-256
"""


@pytest.fixture(scope="module", name="servers")
def servers_fixture(authority):
    cluster = make_cluster(authority)
    with cluster.primary.connect() as one:
        one.execute(f"CREATE ROLE {ASKER} LOGIN SUPERUSER; CREATE ROLE open LOGIN;"
                    f"CREATE ROLE md5 LOGIN PASSWORD '{md5_secret('md5', PASSWORD)}';" +
                    "".join(f"CREATE ROLE {name} LOGIN PASSWORD '{verifier_of(PASSWORD)}';"
                            for name in ("text", "scram", "asked", "half", "unkept", "plain",
                                         "badge")))
    cluster.wait_replayed()
    for server in cluster.servers:
        server.guard(SERVER_HBA.format(
            half="scram-sha-256" if server is cluster.primary else "trust"))
    yield cluster
    cluster.destroy()


PASSWD = f"postgres:TEXTadmin\nbadge:TEXT{PASSWORD}\n" + "".join(
    f"{name}:{form(name)}\n" for name, form in FORMS.items())


@pytest.fixture(scope="module", name="pgpool")
def pgpool_fixture(engine, authority, servers):
    certificate, key = authority.issue("proxy", "DNS:localhost,IP:127.0.0.1")
    pgpool = GuardedPgpool(
        servers, engine, hba=POOL_HBA.format(more=""), passwd=PASSWD, ssl="on",
        ssl_cert=certificate, ssl_key=key, ssl_ca_cert=authority.root, ssl_crl_file=authority.crl(),
        enable_pool_hba="on", auth_user=ASKER, auth_failure_delay=0, max_pool=32)
    pgpool.password = "admin"
    pgpool.start()
    yield pgpool
    pgpool.finish()


def leave_one_idle(pgpool, user, **how):
    """The pid of a server connection of the role's that the pool has."""
    with pgpool.enter(user, PASSWORD, database="test", **how) as one:
        (pid,), = one.rows("SELECT pg_backend_pid()")
        one.leave()
    return pid


def is_idle(servers, pid):
    return servers.primary.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND "
                                 "state = 'idle'", pid) == 1


def ended(client):
    """The login was refused, and nothing else has come."""
    with pytest.raises((Refused, AssertionError)) as caught:
        client.prove("anybody", "a guess")
        client.settle()
    assert isinstance(caught.value, Refused), caught.value
    assert client.bytes_to_end() == b""


# ---- at an idle connection -----------------------------------------------------------------------

def says(*parts):
    return lambda client, user: client.send(*parts)


def answers(text):
    return lambda client, user: client.say(text(user))


TRICKS = {
    "a_query": says(raw.query("SELECT 'got it'")),
    "an_extended_query": says(raw.parse("", "SELECT 1"), raw.bind("", ""), raw.execute(), raw.SYNC),
    "a_sync": says(raw.SYNC),
    "a_second_startup": lambda client, user: client.begin(user, "test"),
    "an_empty_answer": says(message(b"\0")),
    "no_answer_at_all": says(message(b"")),
    "only_nul": says(message(b"\0" * 40)),
    "the_hash": answers(lambda user: md5_secret(user, PASSWORD)),
    "the_verifier": answers(lambda user: verifier_of(PASSWORD)),
    "the_name": answers(lambda user: user),
    "md5_without_salt": answers(lambda user: md5_answer(md5_secret(user, PASSWORD), b"\0\0\0\0")),
    "scram_without_proof": says(message(b"c=biws,r=x")),
    "scram_final_at_once": says(message(b"c=biws,r=x,p=" + b"A" * 43 + b"=")),
    "scram_on_its_own": says(initial(b"n,,n=,r=x"), message(b"c=biws,r=x,p=AAAA")),
    "a_cancel_request": says(raw.cancel_request(1, b"\0\0\0\0")),
}


@pytest.mark.parametrize("user", METHODS.values())
@pytest.mark.parametrize("trick", TRICKS)
def test_trick_beside_an_idle_connection(pgpool, servers, user, trick):
    leave_one_idle(pgpool, user)
    with Client(pgpool) as client:
        client.begin(user, "test")
        kind, _ = client.read_auth()
        assert kind in (CLEAR, MD5, SASL)
        TRICKS[trick](client, user)
        ended(client)
    assert outcome(pgpool, user, PASSWORD) == "in"


@pytest.mark.parametrize("user", METHODS.values())
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_all_in_one_packet(pgpool, user, tls):
    """The startup packet, an answer and a query, before anything was asked."""
    leave_one_idle(pgpool, user)
    with Client(pgpool) as client:
        if tls:
            client.start_tls(context_of())
        client.send(raw.startup({"user": user, "database": "test"}),
                    message(raw.cstr(PASSWORD)), raw.query("SELECT 'got it'"), raw.SYNC)
        messages = client.read_to_end() if not tls else []
        if tls:
            ended(client)
        assert not [got for got in messages if got.kind in "ZDTK"]


def test_startup_parameters_make_nobody_else_of_a_client(pgpool, servers):
    """Whoever may come in as one role is not in the connections of another one."""
    leave_one_idle(pgpool, "scram")
    for params in ({"session_authorization": "scram"}, {"role": "scram"},
                   {"options": "-c role=scram"}, {"user ": "scram"}):
        try:
            with pgpool.enter("text", PASSWORD, database="test", **params) as one:
                assert one.rows("SELECT session_user, pg_backend_pid()")[0][0] == "text"
        except Refused:
            pass
    with Client(pgpool) as client:  # the same name twice: the last counts, as in PostgreSQL
        client.send(raw.startup([("user", "text"), ("database", "test"), ("user", "scram")]))
        with pytest.raises(Refused):
            client.prove("text", PASSWORD + "!")
            client.settle()


def test_two_logins_of_one_role_at_once(pgpool):
    """The right one's proof does not count for the wrong one, whichever ends first."""
    for _ in range(10):
        with Client(pgpool) as right, Client(pgpool) as wrong:
            for one in (right, wrong):
                one.begin("scram", "test")
            right.prove("scram", PASSWORD)
            right.settle()
            with pytest.raises(Refused):
                wrong.prove("scram", "a guess")
            assert right.rows("SELECT session_user") == [["scram"]]


# ---- when something changes ----------------------------------------------------------------------

def test_rule_that_is_reloaded_counts_at_once(pgpool, servers):
    """First nobody has to prove anything, then everybody."""
    pgpool.write_files(pool_hba_conf=POOL_HBA.format(more="host all plain all trust"),
                       pool_passwd=PASSWD + f"plain:TEXT{PASSWORD}\n")
    pgpool.reload()
    assert outcome(pgpool, "plain", "a guess") == "in"
    leave_one_idle(pgpool, "plain")
    pgpool.write_files(pool_hba_conf=POOL_HBA.format(more=""))
    pgpool.reload()
    assert outcome(pgpool, "plain", "a guess") == WRONG
    assert outcome(pgpool, "plain", PASSWORD) == "in"
    pgpool.write_files(pool_hba_conf=POOL_HBA.format(more="host all plain all reject"))
    pgpool.reload()
    assert outcome(pgpool, "plain", PASSWORD) == NO_WAY
    pgpool.write_files(pool_hba_conf=POOL_HBA.format(more=""), pool_passwd=PASSWD)
    pgpool.reload()


def test_faulty_rules_change_nothing(pgpool):
    """The file is taken as a whole, or not at all: nobody comes in by its good half."""
    pgpool.write_files(pool_hba_conf="host all all all trust\nhost all all all nonsense\n")
    pgpool.mark_log()
    pgpool.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "nonsense" in pgpool.log_since_mark(), "the fault to be logged")
    assert outcome(pgpool, "scram", "a guess") == WRONG
    assert outcome(pgpool, "scram", PASSWORD) == "in"
    pgpool.write_files(pool_hba_conf=POOL_HBA.format(more=""))
    pgpool.reload()


def test_secret_that_is_reloaded_counts_at_once(pgpool, servers):
    """pool_passwd has another verifier: the old password is nobody's any more."""
    leave_one_idle(pgpool, "scram")
    other = verifier_of("another password")
    pgpool.write_files(pool_passwd=PASSWD.replace(FORMS["scram"]("scram"), other))
    pgpool.reload()
    assert outcome(pgpool, "scram", PASSWORD) == WRONG
    pgpool.write_files(pool_passwd=PASSWD)
    pgpool.reload()
    assert outcome(pgpool, "scram", PASSWORD) == "in"


def test_secret_that_the_servers_do_not_have(pgpool, servers):
    """pool_passwd is stale: who knows what it says is let in by us, and by no server; what is idle
    from before was made by somebody who knew the servers' password, and is not his."""
    leave_one_idle(pgpool, "scram")
    stale = verifier("stale", 5000, b"of another time.")
    pgpool.write_files(pool_passwd=PASSWD.replace(FORMS["scram"]("scram"), stale))
    pgpool.reload()
    came = outcome(pgpool, "scram", "stale", application_name="new key")
    assert came in (NO_WAY, WRONG)
    pgpool.write_files(pool_passwd=PASSWD)
    pgpool.reload()
    assert outcome(pgpool, "scram", PASSWORD) == "in"


def show_badge(pgpool, authority, file):
    """Who shows that certificate, as role badge."""
    identity = authority.path(file + ".crt"), authority.path(file + ".key")
    with Client(pgpool) as one:
        one.start_tls(context_of(authority, identity))
        one.enter("badge", "test")
        (row,) = one.rows("SELECT session_user, pg_backend_pid()")
        one.leave()
        return row


def test_revoked_certificate_beside_an_idle_connection(pgpool, authority, servers):
    """Two certificates for one name, of which one is revoked: the other one still serves."""
    for file in ("lost", "kept"):
        authority.issue(file, common_name="badge")
    user, pid = show_badge(pgpool, authority, "lost")
    assert user == "badge"
    authority.revoke("lost")
    authority.crl()
    pgpool.reload()
    wait_for(lambda: is_idle(servers, pid), "the connection to be idle")
    with pytest.raises((Refused, OSError, raw.Closed)):
        show_badge(pgpool, authority, "lost")
    with Client(pgpool) as one, pytest.raises(Refused) as refused:  # without any
        one.start_tls(context_of())
        one.enter("badge", "test", PASSWORD)
    assert refused.value.sqlstate == NO_WAY
    assert show_badge(pgpool, authority, "kept")[0] == "badge"


# ---- when the servers decide ---------------------------------------------------------------------

@pytest.fixture(scope="module", name="asking")
def asking_fixture(engine, authority, servers):
    """No rules, and nothing known of anybody but the administrator."""
    certificate, key = authority.issue("proxy", "DNS:localhost,IP:127.0.0.1")
    pgpool = GuardedPgpool(servers, engine, passwd="postgres:TEXTadmin\n", ssl="on",
                           ssl_cert=certificate, ssl_key=key, auth_failure_delay=0)
    pgpool.password = "admin"
    pgpool.start()
    yield pgpool
    pgpool.finish()


def test_server_is_asked_each_time(asking, servers):
    """Somebody's right password does not count for the next one, while his connection is idle."""
    for _ in range(3):
        pid = leave_one_idle(asking, "unkept")
        assert outcome(asking, "unkept", "a guess", True) == WRONG
        assert outcome(asking, "unkept", "", True) == WRONG
        assert outcome(asking, "unkept", PASSWORD) == NO_WAY, "over no safe channel"
        wait_for(lambda pid=pid: is_idle(servers, pid), "the connection to be idle still")


def test_logins_that_a_server_checks_do_not_pile_up(asking, servers):
    """Each makes a connection, which takes the place of the one before."""
    for _ in range(12):
        leave_one_idle(asking, "unkept")
    for server in servers.servers:
        wait_for(lambda server=server: server.value(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'unkept'") <= 2,
            f"{server.server_name} to have few connections")


def test_unix_socket_is_safe_enough_to_ask(asking):
    target = types.SimpleNamespace(host=asking.directory, port=asking.port)
    assert outcome(target, "unkept", PASSWORD) == "in"
    assert outcome(target, "unkept", "a guess") == WRONG


def test_allowed_in_the_clear(asking):
    asking.reload(allow_clear_text_frontend_auth="on")
    assert outcome(asking, "unkept", PASSWORD) == "in"
    assert outcome(asking, "unkept", "a guess") == WRONG
    asking.reload(allow_clear_text_frontend_auth="off")
    assert outcome(asking, "unkept", PASSWORD) == NO_WAY


def test_standby_that_trusts_opens_nothing_at_the_primary(asking, servers):
    """Its pg_hba.conf is another one. Whoever comes in by it has what it gives, and never a
    connection to the primary that somebody else has proved himself for."""
    server = servers.primary
    with raw.Raw(server) as direct:
        assert direct.login(user="half")[-1].kind in "RE"
    for password in (PASSWORD, "a guess"):
        try:
            with asking.enter("half", password, database="test") as one:
                got = one.simple("SELECT pg_backend_pid()") if password == "a guess" else []
                assert not [m for m in got if m.kind == "D"], "the primary has let it in"
        except (Refused, raw.Closed):
            pass


def test_open_role_stays_apart(asking, servers):
    """One that the servers trust, and one that they do not, beside each other."""
    assert outcome(asking, "open", "whatever") == "in"
    leave_one_idle(asking, "unkept")
    assert outcome(asking, "unkept", "whatever", True) == WRONG


def test_one_server_and_three_see_the_same(engine, authority, servers):
    """auth_query alone, one server: wrong ones beside an idle connection."""
    pgpool = GuardedPgpool(only(servers.primary), engine, passwd="postgres:TEXTadmin\n",
                           auth_user=ASKER, auth_failure_delay=0)
    pgpool.password = "admin"
    pgpool.start()
    try:
        leave_one_idle(pgpool, "asked")
        for password in ("a guess", "", verifier_of(PASSWORD)):
            assert outcome(pgpool, "asked", password) == WRONG
        assert outcome(pgpool, "nobody", PASSWORD) == WRONG
        assert outcome(pgpool, "asked", PASSWORD) == "in"
    finally:
        pgpool.finish()
