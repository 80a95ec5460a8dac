"""Who may come in, cell by cell: what the client's rule asks for x where pgpool has its secrets
from x what the servers ask pgpool for x TLS on either side x one and three servers x a new and a
reused server connection x the right one and a wrong one. auth_oracle.py says what must happen.

Each cell is one key of the pool: a role, a database (which chooses the rule) and an
application_name. On an empty pool comes a wrong one; then the right one, whose server connection is
new; the right one again until he has that connection; and a wrong one while it lies idle
(CVE-2025-46801).

A sample of the cells is played; PGPOOL_TEST_HEAVY=1 plays all of them.
"""

import concurrent.futures
import ctypes
import os
import pwd
import threading
import types

import pytest

import auth_oracle as oracle
import raw
from auth_oracle import IN
from certificates import Authority
from cluster import make_dir, run
from guarded import ASKER, GuardedPgpool, make_cluster, only
from logins import PLAIN, PLUS, Client, Refused, context_of, verifier_of
from prove import md5_secret

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
ONE_IN = 1 if HEAVY else 8
AT_ONCE = 8
KEY = "the key of this pgpool"
BY = "by_"  # a database's name in front of the method that its line has
FREE = BY + "server"  # where there are no rules
NOBODY = 65534

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(60 if HEAVY else 20)]

POOL_HBA = "\n".join([
    "host all postgres 127.0.0.1/32 trust",
    *(f"{kind} {BY}{method} all {address} {line}"
      for method, line in (("trust", "trust"), ("reject", "reject"), ("password", "password"),
                           ("md5", "md5"), ("scram", "scram-sha-256"))
      for kind, address in (("local", ""), ("host", "all"))),
    f"hostssl {BY}cert all all cert map=people",
    f"hostssl {BY}clientcert all all scram-sha-256 clientcert=verify-full",
    f"local {BY}peer all peer map=accounts"]) + "\n"
POOL_IDENT = f"people tester all\naccounts {pwd.getpwuid(os.getuid()).pw_name} all\n"
SERVER_HBA = "\n".join([
    "local all all trust",
    "host replication all 127.0.0.1/32 trust",
    f"host all postgres,{ASKER},on_trust_absent_unkept 127.0.0.1/32 trust",
    *(f"host all +asked_{method} 127.0.0.1/32 {line}"
      for method, line in (("trust", "trust"), ("password", "password"), ("md5", "md5"),
                           ("scram", "scram-sha-256"))),
    "host all all 127.0.0.1/32 scram-sha-256"]) + "\n"


# ---- the beds ------------------------------------------------------------------------------------

def aes(password):
    """As Pgpool-II's pg_enc."""
    done = run("bash", "-c", 'printf %s "$1" | openssl enc -aes-256-cbc -md sha1 -nosalt -base64 '
               '-A -pass "pass:$2"', "-", password, KEY)
    return "AES" + done.stdout.strip()


def entry(role):
    form = {"text": lambda: "TEXT" + role.password, "aes": lambda: aes(role.password),
            "md5": lambda: md5_secret(role.name, role.password),
            "scram": lambda: verifier_of(role.password)}[role.kept]
    return f"{role.name}:{form()}\n"


def create_role(role):
    stored = {"scram": f"PASSWORD '{verifier_of(role.password)}'",
              "md5": f"PASSWORD '{md5_secret(role.name, role.password)}'"}.get(role.stored, "")
    return f"CREATE ROLE {role.name} LOGIN IN ROLE asked_{role.server} {stored};"


@pytest.fixture(scope="module", name="authority")
def authority_fixture():
    authority = Authority(make_dir("pgpool-ca-"))
    authority.issue("proxy", "DNS:localhost,IP:127.0.0.1")
    yield authority
    authority.remove()


@pytest.fixture(scope="module", name="servers")
def servers_fixture(authority):
    cluster = make_cluster(authority)
    with cluster.primary.connect() as one:
        one.execute(f"CREATE ROLE {ASKER} LOGIN SUPERUSER;" + "".join(
            f"CREATE ROLE asked_{method};" for method in ("trust", "password", "md5", "scram")) +
            "".join(create_role(role) for role in oracle.roles() if role.stored != "absent"))
        for method in oracle.WAYS:
            one.execute(f"CREATE DATABASE {BY}{method or 'server'}")
    cluster.guard(SERVER_HBA)
    cluster.wait_replayed()
    yield cluster.servers
    cluster.destroy()


@pytest.fixture(scope="module", name="start")
def start_fixture(engine, authority, servers):
    """A pgpool in front of so many of the servers, made when it is first asked for."""
    made = {}

    def start(nodes):
        if nodes not in made:
            certificate, key = authority.path("proxy.crt"), authority.path("proxy.key")
            pgpool = GuardedPgpool(
                only(*servers[:nodes]), engine, hba=POOL_HBA, ident=POOL_IDENT, key=KEY,
                passwd="postgres:TEXTadmin\n" + "".join(
                    entry(role) for role in oracle.roles() if role.kept),
                ssl="on", ssl_cert=certificate, ssl_key=key, ssl_ca_cert=authority.root,
                backend_ssl_ca_cert=authority.root, backend_sslmode="disable", max_pool=64,
                auth_failure_delay=0, max_unauthenticated_clients=0, enable_pool_hba="on",
                log_connections="off", log_disconnections="off")
            pgpool.password = "admin"
            made[nodes] = pgpool.start()
        return made[nodes]

    yield start
    for pgpool in made.values():
        pgpool.finish()


# ---- one login -----------------------------------------------------------------------------------

def connect_as(user_id, make):
    """The kernel tells whom a unix socket was connected by; only this thread becomes him."""
    libc, setresuid = ctypes.CDLL(None, use_errno=True), 117
    assert libc.syscall(setresuid, -1, user_id, -1) == 0
    try:
        return make()
    finally:
        assert libc.syscall(setresuid, -1, 0, -1) == 0


ISSUING = threading.Lock()


def identity(authority, name):
    """Certificate and key, made when they are first asked for; None: nobody's."""
    pair = (authority.path(f"{name}.crt"), authority.path(f"{name}.key")) if name else None
    with ISSUING:
        if pair and not os.path.exists(pair[0]):
            authority.issue(name)
    return pair


class Attempt:
    """Somebody who wants to be the cell's role; person: right, or in which way he is wrong."""

    def __init__(self, pgpool, authority, cell, person):
        self.pgpool, self.authority = pgpool, authority
        self.cell, self.person = cell, person
        self.asked = None
        self.seen = None  # pid of the primary's connection, node that reads, whether it was TLS

    @property
    def database(self):
        return BY + (self.cell.method or "server")

    def _connect(self):
        if self.cell.way != "unix":
            return Client(self.pgpool)
        target = types.SimpleNamespace(host=self.pgpool.directory, port=self.pgpool.port)
        if self.cell.method == "peer" and self.person != "right":
            return connect_as(NOBODY, lambda: Client(target))
        return Client(target)

    def _certificate(self):
        """Of whom; None: he shows none."""
        if self.person in ("certificate", "no_certificate"):
            return "stranger" if self.person == "certificate" else None
        return {"cert": "tester", "clientcert": self.cell.role.name}.get(self.cell.method)

    def _password(self):
        role = self.cell.role
        other = next(one for one in oracle.roles() if one != role)
        return {"password": "what nobody knows", "others": other.password, "empty": "",
                "hash": md5_secret(role.name, role.password),
                "verifier": verifier_of(role.password),
                "name": role.name}.get(self.person, role.password)

    def _secure(self, client):
        name = self._certificate()
        client.start_tls(context_of(self.authority, identity(self.authority, name)))

    def _look(self, client):
        (user, pid, tls), = client.rows(
            "SELECT session_user, pg_backend_pid(), "
            "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())")
        (node,), = client.rows("SELECT current_setting('cluster_name')")
        assert user == self.cell.role.name
        self.seen = (pid, node, tls == "t")

    def run(self):
        """"in", or the SQLSTATE of the refusal."""
        client = self._connect()
        try:
            if self.cell.way in oracle.TLS:
                self._secure(client)
            client.enter(self.cell.role.name, self.database, self._password(),
                         self.cell.way == "bound",
                         application_name=f"{self.cell.config} {self.cell.way}")
            self._look(client)
            client.leave()
            return IN
        except Refused as refused:
            assert client.bytes_to_end() == b"", "something comes behind the refusal"
            return refused.sqlstate
        finally:
            self.asked = client.asked
            client.close()


# ---- one cell ------------------------------------------------------------------------------------

def wrong_ones(cell):
    """In which ways somebody is not him, by what the method looks at."""
    if not oracle.has_wrong_one(cell):
        return []
    if cell.method == "cert":
        return ["certificate", "no_certificate"]
    if cell.method == "clientcert":
        return ["password", "certificate", "no_certificate"]
    if cell.method == "peer":
        return ["account"] if os.getuid() == 0 else []
    return ["password", "others", "empty", "hash", "verifier", "name"]


def must_be(cell, person):
    if cell.method == "clientcert":
        certificate = {"certificate": "another's", "no_certificate": "none"}.get(person, "right")
        return oracle.expected(cell, person != "password", certificate)
    return oracle.expected(cell, person == "right")


def must_be_asked(cell, person):
    question = oracle.expected_question(cell)
    if question is None or (cell.method == "clientcert" and person == "no_certificate"):
        return None
    if question == "scram":
        return PLUS if cell.way == "bound" else PLAIN
    return question


class Play:
    """Plays cells, and collects what was wrong."""

    def __init__(self, pgpool, authority):
        self.pgpool, self.authority = pgpool, authority
        self.wrong, self.logins, self.reused, self.nodes = [], 0, 0, set()

    def _try(self, cell, person, when):
        attempt = Attempt(self.pgpool, self.authority, cell, person)
        try:
            came = attempt.run()
        except (AssertionError, OSError, TimeoutError, raw.Closed) as error:
            came = f"{type(error).__name__}: {error}"
        self.logins += 1
        if came != must_be(cell, person):
            self.wrong.append(f"{cell}: {person} {when}: {came} instead of {must_be(cell, person)}")
        elif attempt.asked != must_be_asked(cell, person):
            self.wrong.append(f"{cell}: {person} {when}: it was asked for {attempt.asked} instead "
                              f"of {must_be_asked(cell, person)}")
        if attempt.seen:
            self.nodes.add(attempt.seen[1])
            if attempt.seen[2] != cell.config.tls:
                self.wrong.append(f"{cell}: TLS to the server: {attempt.seen[2]}")
        return attempt

    def _until_reused(self, cell, pid):
        """A connection that a client has left is cleaned first: the next one may be too early."""
        pids = {pid}
        for _ in range(50):
            attempt = self._try(cell, "right", "again")
            if attempt.seen is None:
                return
            if attempt.seen[0] in pids:
                self.reused += 1
                return
            pids.add(attempt.seen[0])
        self.wrong.append(f"{cell}: no connection is ever reused")

    def cell(self, cell):
        wrong = wrong_ones(cell)
        number = cell.number()
        if wrong:
            self._try(cell, wrong[number % len(wrong)], "on an empty pool")
        first = self._try(cell, "right", "first")
        if first.seen is None:
            return
        if oracle.is_reused(cell):
            self._until_reused(cell, first.seen[0])
        else:
            self._try(cell, "right", "again")
        for person in wrong if HEAVY and number % 8 == 0 else wrong[:1]:
            self._try(cell, person, "beside an idle connection")


def settings_of(config):
    return {"enable_pool_hba": "on" if config.rules else "off",
            "auth_user": ASKER if config.query else "",
            "backend_sslmode": "verify-full" if config.tls else "disable"}


CONFIGS = [config for nodes in (1, 3) for config in oracle.configs(nodes)]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_matrix(start, authority, config):
    pgpool = start(config.nodes)
    pgpool.reload(**settings_of(config))
    play = Play(pgpool, authority)
    every = [cell for cell in oracle.cells(config) if cell.number() % ONE_IN == 0]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(play.cell, every))
    assert not play.wrong, f"{len(play.wrong)} of {play.logins} logins:\n" + \
        "\n".join(sorted(play.wrong)[:40])
    assert play.logins and play.reused
    if HEAVY and config.nodes == 3 and play.reused > 20:
        assert len(play.nodes) > 1, "all reads went to one node"


def test_the_oracle_has_cells_of_all_kinds():
    """Each value stands in some cell that is let in and in one that is not."""
    every = [cell for config in CONFIGS for cell in oracle.cells(config)]
    let_in = [cell for cell in every if oracle.expected(cell, True) == IN]
    assert len(every) > 2000 and len(let_in) > 700
    for what in ("server", "stored", "kept"):
        values = {getattr(cell.role, what) for cell in every}
        inside = {getattr(cell.role, what) for cell in let_in}
        assert values - inside <= {"absent"}, (what, values - inside)
    assert {cell.method for cell in every} - {cell.method for cell in let_in} == \
        {"reject", "nothing"}
    assert {cell.config for cell in let_in} == set(CONFIGS)
