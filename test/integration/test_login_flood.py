"""Clients that begin to log in and never end: they say nothing, half a packet, nothing when they
are asked for a password, or leave TLS half way. Others log in all the while; the memory that it
takes is bounded; and after authentication_timeout all of them are gone.

PGPOOL_TEST_HEAVY=1 makes them 1,000 of each kind.
"""

import os
import resource
import select
import socket
import ssl
import time

import pytest

import processes
import raw
from guarded import ASKER, GuardedPgpool, make_cluster
from logins import Client, Refused, context_of, outcome
from waiting import SLOW, Background, wait_for

MANY = 1000 if os.environ.get("PGPOOL_TEST_HEAVY") else 300
TIMEOUT_S = 6
LIMIT_S = 1.0 * SLOW
CLIENT_LIMIT_KB = 48  # a half-made TLS connection of OpenSSL's, above all
PASSWORD = "what alice knows"
SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")

pytestmark = [pytest.mark.plain, pytest.mark.takes(35), pytest.mark.one_engine]


@pytest.fixture(scope="module", name="servers")
def servers_fixture(authority):
    cluster = make_cluster(authority)
    with cluster.primary.connect() as one:
        one.execute(f"CREATE ROLE {ASKER} LOGIN SUPERUSER; ALTER ROLE postgres PASSWORD 'admin';"
                    f"CREATE ROLE alice LOGIN PASSWORD '{PASSWORD}'")
    cluster.wait_replayed()
    cluster.guard("local all all trust\nhost replication all 127.0.0.1/32 trust\n"
                  f"host all postgres,{ASKER} 127.0.0.1/32 trust\n"
                  "host all all 127.0.0.1/32 scram-sha-256\n")
    yield cluster
    cluster.destroy()


def start(engine, authority, servers, **settings):
    certificate, key = authority.issue("proxy", "DNS:localhost,IP:127.0.0.1")
    pgpool = GuardedPgpool(
        servers, engine, hba="host all all all scram-sha-256\n", ssl="on", ssl_cert=certificate,
        ssl_key=key, enable_pool_hba="on", auth_user=ASKER, num_init_children=2,
        authentication_timeout=f"{TIMEOUT_S}s", log_connections="off", log_disconnections="off",
        **settings)
    pgpool.password = "admin"
    return pgpool.start()


@pytest.fixture(scope="module", name="pgpool")
def pgpool_fixture(engine, authority, servers):
    """Without a limit on their number: only the time ends them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    pgpool = start(engine, authority, servers, max_unauthenticated_clients=0,
                   child_max_clients=2000)
    yield pgpool
    pgpool.finish()


# ---- how far they come ---------------------------------------------------------------------------

def client_hello():
    """The bytes that begin a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context_of().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    return outgoing.read()


HELLO = client_hello()
STARTUP = raw.startup({"user": "alice", "database": "test"})
KINDS = {
    "silent": [b""],
    "half_a_packet": [STARTUP[:20]],
    "asked": [STARTUP],
    "asked_unknown": [raw.startup({"user": "nobody", "database": "test"})],
    "half_an_answer": [STARTUP, b"p\0\0\0\x30SCRAM"],
    "tls_asked": [raw.SSL_REQUEST],
    "tls_half": [raw.SSL_REQUEST, HELLO[:40]],
    "tls_hello": [raw.SSL_REQUEST, HELLO],
    "tls_at_once": [HELLO[:40]],
}
NO_TLS = [name for name in KINDS if not name.startswith("tls")]
ONLY_TLS = [name for name in KINDS if name.startswith("tls_")]


def begin(pgpool, kind):
    """One that stays there; it reads what it is answered only as far as it must."""
    sock = socket.create_connection((pgpool.host, pgpool.port), 20 * SLOW)
    for number, part in enumerate(KINDS[kind]):
        if number:
            sock.recv(1 if KINDS[kind][0] == raw.SSL_REQUEST else 4096)
        sock.sendall(part)
    return sock


def is_open(sock):
    """Nothing but answers has come."""
    while select.select([sock], [], [], 0)[0]:
        try:
            if not sock.recv(65536):
                return False
        except OSError:
            return False
    return True


def memory_kb(pgpool):
    return sum(processes.pss_kb(pid) for pid in pgpool.named("child"))


def slowest_login(pgpool, until):
    """Logs in again and again, plain and by TLS."""
    slowest, number = 0.0, 0
    while not until():
        begun = time.monotonic()
        assert outcome(pgpool, "alice", PASSWORD, number % 2 == 1) == "in"
        slowest = max(slowest, time.monotonic() - begun)
        number += 1
    assert number > 3
    return slowest


def flood(pgpool, kinds):
    """So many that begin; others must come in while they are there, and until they are gone."""
    socks, gone = [], []
    before = memory_kb(pgpool)

    others = Background(slowest_login, pgpool, lambda: bool(gone))
    begun = time.monotonic()
    for number in range(MANY):
        others.check()
        socks.append(begin(pgpool, kinds[number % len(kinds)]))
    grown = memory_kb(pgpool) - before
    alive = sum(map(is_open, socks))
    took = time.monotonic() - begun
    assert took > TIMEOUT_S or alive == MANY, f"{MANY - alive} were ended too early"
    wait_for(lambda: not sum(map(is_open, socks)), "all to be gone",
             TIMEOUT_S + 5, pause=0.1)
    gone.append(True)
    slowest = others.result()
    for sock in socks:
        sock.close()
    assert slowest < LIMIT_S, f"a login took {slowest:.2f} s"
    return grown


@pytest.mark.parametrize("kinds", [NO_TLS, ONLY_TLS], ids=["plain", "tls"])
def test_logins_that_never_end(pgpool, kinds):
    first = flood(pgpool, kinds)
    if SANITIZED:
        return
    assert first < MANY * CLIENT_LIMIT_KB, f"{first} kB for {MANY} clients"
    again = flood(pgpool, kinds)
    assert again < first / 2 + 1024, f"first {first} kB, then {again} kB more"


def test_too_many_at_once_give_way(engine, authority, servers):
    """max_unauthenticated_clients: the oldest ones that are silent are ended, long before their
    time is over; whoever logs in is not."""
    pgpool = start(engine, authority, servers, max_unauthenticated_clients=20)
    try:
        socks = [begin(pgpool, ("silent", "asked", "tls_hello")[n % 3]) for n in range(120)]
        begun = time.monotonic()
        wait_for(lambda: sum(map(is_open, socks)) <= 40, "most of them to be ended", 5, pause=0.1)
        assert time.monotonic() - begun < TIMEOUT_S
        assert outcome(pgpool, "alice", PASSWORD) == "in"
        assert outcome(pgpool, "alice", PASSWORD, True) == "in"
        assert "max_unauthenticated_clients" in pgpool.log_text()
        for sock in socks:
            sock.close()
    finally:
        pgpool.finish()


def test_guessing_is_slow_and_logged(engine, authority, servers):
    """auth_failure_delay holds the answer back, for nobody else; a client that waits there costs no
    more than its connection, and no secret is in the log."""
    delay = 1.0
    pgpool = start(engine, authority, servers, auth_failure_delay=f"{int(delay * 1000)}ms")
    try:
        begun = time.monotonic()
        guesses = [Background(outcome, pgpool, "alice", f"guess {n}") for n in range(20)]
        assert outcome(pgpool, "alice", PASSWORD) == "in"
        assert [guess.result() for guess in guesses] == ["28P01"] * 20
        assert delay <= time.monotonic() - begun
        text = pgpool.log_text()
        assert text.count('password authentication failed for user "alice"') >= 20
        assert "127.0.0.1" in text and "guess" not in text and PASSWORD not in text
    finally:
        pgpool.finish()


def test_unknown_and_wrong_look_the_same(pgpool):
    """The messages, by all methods; and the time that the answer takes lies within what noise
    makes."""
    def fields(user):
        with Client(pgpool) as one, pytest.raises(Refused) as refused:
            one.enter(user, "test", "a guess")
        return {name: value.replace(user, "USER")
                for name, value in refused.value.fields.items() if name not in "FLR"}

    assert fields("alice") == fields("nobody_at_all")

    def seconds(user):
        begun = time.monotonic()
        fields(user)
        return time.monotonic() - begun

    pairs = [(seconds("alice"), seconds("nobody_at_all")) for _ in range(15)]
    known, unknown = sorted(a for a, _ in pairs)[7], sorted(b for _, b in pairs)[7]
    assert abs(known - unknown) < 0.5 * max(known, unknown) + 0.005, (known, unknown)
