"""Clients that prove who they are to pgpool, and clients that say something else instead. The child
must outlive them all, and nobody gets at a connection who has not passed."""

import hashlib
import itertools
import struct

import pytest

import raw
from conftest import Bed
from clients import client, codes, refusal, still_serves
from fake import auth, columns, complete, fatal, row
from prove import CLEAR, MD5, SASL, SASL_CONTINUE, SASL_FINAL, initial, md5_secret, text, verifier
from scram import Exchange
from waiting import SLOW, wait_for

SALT = b"0123456789abcdef"
USERS = itertools.count()
KINDS = {"text": lambda user: "TEXTsecret", "scram": lambda user: verifier("secret", salt=SALT),
         "hash": lambda user: md5_secret(user, "secret")}
PASSWORDS = "".join(f"{kind}{n}:{make(f'{kind}{n}')}\n" for kind, make in KINDS.items()
                    for n in range(400))
ASKED = {"text": [SASL, SASL_CONTINUE, SASL_FINAL], "scram": [SASL, SASL_CONTINUE, SASL_FINAL],
         "hash": [MD5]}


@pytest.fixture(name="user", params=KINDS)
def user_fixture(request):
    """One whose password is known to pool_passwd in each form."""
    return f"{request.param}{next(USERS)}"


@pytest.fixture(name="scrammer")
def scrammer_fixture():
    return f"scram{next(USERS)}"


def kind_of(user):
    return user.rstrip("0123456789")


def asks_scram(c):
    """As a server with the same verifier: it is pgpool that has to prove the password."""
    assert Exchange("secret", salt=SALT).run(c)
    c.login()
    c.serve()


def asks_md5(c):
    c.send(auth(MD5, b"salt"))
    right = "md5" + hashlib.md5(md5_secret(c.user, "secret")[3:].encode() + b"salt").hexdigest()
    assert c.read() == ("p", right.encode() + b"\0")
    c.login()
    c.serve()


def last(one):
    """The fields of the error that ends the connection."""
    messages = one.read_to_end()
    assert messages[-1].kind == "E", messages
    return messages[-1].fields()


# ---- right and wrong -----------------------------------------------------------------------------

def test_right_password(pgpool, server, user):
    with client(pgpool, user, password="secret") as one:
        assert one.rows("SELECT 1") == [["1"]]
        assert one.prover.asked == ASKED[kind_of(user)] + [0]
    assert len(server.of(user)) == 1


@pytest.mark.parametrize("password", ["Secret", "secret ", "secre", "x" * 1000, "\u00e9"],
                         ids=["case", "blank", "short", "long", "accent"])
def test_wrong_password(pgpool, server, user, password):
    fields = refusal(pgpool, user, password=password)
    assert (fields["S"], fields["C"]) == ("FATAL", "28P01")
    assert fields["M"] == f'password authentication failed for user "{user}"'
    assert "D" not in fields and "H" not in fields
    assert not server.of(user)


def test_reused_connection_takes_the_right_password(pgpool, server, user):
    """CVE-2025-46801: a connection that waits in the pool is nobody's who has not passed."""
    with client(pgpool, user, password="secret") as one:
        assert one.rows("SELECT 1") == [["1"]]
    (connection,) = server.of(user)
    connection.wait_reset()
    before = len(connection.texts)
    assert refusal(pgpool, user, password="wrong")["C"] == "28P01"
    assert len(connection.texts) == before and not connection.gone.is_set()
    with client(pgpool, user, password="secret") as one:
        assert one.rows("SELECT 2") == [["2"]]
    assert len(server.of(user)) == 1


@pytest.mark.parametrize("kind, script", [("scram", asks_scram), ("text", asks_scram),
                                          ("text", asks_md5), ("hash", asks_md5)])
def test_proof_serves_towards_the_servers(pgpool, server, kind, script):
    user = f"{kind}{next(USERS)}"
    server.script(user, script)
    with client(pgpool, user, password="secret") as one:
        assert one.rows("SELECT 1") == [["1"]]


def test_another_salt_at_the_server(pgpool, server, scrammer):
    """The keys that were proved do not fit; the client hears why, and no proof leaves."""
    def script(c):
        try:
            Exchange("secret").run(c)
        finally:
            assert c.kinds == "p"

    server.script(scrammer, script)
    assert refusal(pgpool, scrammer, password="secret")["C"] == "28000"
    still_serves(pgpool)


def test_refused_keys_are_proved_anew(pgpool, server, scrammer):
    """What a server does not take any more is dropped; the next client brings its own."""
    server.script(scrammer, lambda c: (c.send(fatal("28P01", "no"))), asks_scram)
    assert refusal(pgpool, scrammer, password="secret")["M"] == "no"
    with client(pgpool, scrammer, password="secret") as one:
        assert one.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("version", [raw.V3_0, raw.V3_2])
def test_protocol_versions(pgpool, user, version):
    with raw.Raw(pgpool) as one:
        assert one.login(user=user, password="secret", version=version)[-1].kind == "Z"


def test_answers_in_single_bytes(pgpool, user):
    with raw.Raw(pgpool) as one:
        send = one.send
        one.send = lambda *parts: one.send_in_pieces(b"".join(parts))
        assert one.login(user=user, password="secret")[-1].kind == "Z"
        one.send = send
        assert one.rows("SELECT 1") == [["1"]]


def test_statement_right_behind_the_proof(pgpool, user):
    """As PostgreSQL takes it: the last answer of a login and a query in one segment."""
    with raw.Raw(pgpool) as one:
        one.send(raw.startup({"user": user, "database": "test"}))
        prover = raw.Prover(user, "secret")
        for kind in ASKED[kind_of(user)]:
            got = one.read_until("R")[-1]
            answer = prover.answer(got.body) or b""
            if kind in (MD5, SASL_CONTINUE):
                answer += raw.query("SELECT 7")
            one.send(answer)
        messages = one.read_until("Z", 2)
        assert [got.row() for got in messages if got.kind == "D"] == [[b"7"]]


# ---- nonsense ------------------------------------------------------------------------------------

def begun(pgpool, user):
    """Who has sent a startup packet and was asked for a proof."""
    one = raw.Raw(pgpool)
    one.send(raw.startup({"user": user, "database": "test"}))
    assert one.read_until("R")
    return one


NONSENSE = {
    "nothing": raw.message("p"),
    "no_end": raw.message("p", b"secret"),
    "two_texts": raw.message("p", b"secret\0secret\0"),
    "no_mechanism_end": raw.message("p", b"SCRAM-SHA-256"),
    "no_length": raw.message("p", b"SCRAM-SHA-256\0"),
    "length_beyond": raw.message("p", b"SCRAM-SHA-256\0\0\0\0\x64n,,n=,r=abc"),
    "other_mechanism": initial(b"n,,n=,r=abc", b"PLAIN"),
    "plus_without_tls": initial(b"p=tls-server-end-point,,n=,r=abc", b"SCRAM-SHA-256-PLUS"),
    "binding_without_tls": initial(b"p=tls-server-end-point,,n=,r=abc"),
    "no_nonce": initial(b"n,,n="),
    "empty_nonce": initial(b"n,,n=,r="),
    "no_header": initial(b"n=,r=abc"),
    "nul_inside": initial(b"n,,n=\0,r=abc"),
    "noise": raw.message("p", bytes(range(256)) * 3),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_as_an_answer(pgpool, server, user, name):
    with begun(pgpool, user) as one:
        one.send(NONSENSE[name])
        assert last(one)["C"] in ("08P01", "28P01", "28000", "0A000")
    assert not server.of(user)
    still_serves(pgpool)


@pytest.mark.parametrize("sent, word", [(raw.query("SELECT 1"), 81), (raw.SYNC, 83),
                                        (raw.parse("", "SELECT 1"), 80), (b"\0", 0)],
                         ids=["query", "sync", "parse", "nul"])
def test_other_messages_than_an_answer(pgpool, server, user, sent, word):
    with begun(pgpool, user) as one:
        one.send(sent)
        fields = last(one)
        assert fields["C"] == "08P01"
        assert fields["M"].endswith(f"response, got message type {word}")
    assert not server.of(user)


def test_goodbye_instead_of_an_answer(pgpool, user):
    """A client without a password comes again with one; that is no failure."""
    pgpool.mark_log()
    with begun(pgpool, user) as one:
        one.send(raw.TERMINATE)
        assert one.read_to_end() == []
    with begun(pgpool, user) as one:
        pass
    still_serves(pgpool)
    assert "FATAL" not in pgpool.log_since_mark()
    with client(pgpool, "counter") as one:
        wait_for(lambda: len(one.rows("SHOW pool_sessions")) == 1, "the others to be forgotten")


@pytest.mark.parametrize("length", [0, 3, 65536, 0x7fffffff, 0xffffffff])
def test_impossible_lengths(pgpool, user, length):
    """Told from the header alone."""
    with begun(pgpool, user) as one:
        one.send(b"p" + struct.pack("!I", length))
        assert last(one)["C"] == "08P01"


def test_long_sasl_message(pgpool, scrammer):
    for size in (900, 1100):
        with begun(pgpool, scrammer) as one:
            one.send(initial(b"n,,n=,r=" + b"x" * size))
            if size < 1000:
                assert one.read().kind == "R"
            else:
                assert last(one)["C"] == "08P01"


@pytest.mark.parametrize("early", [text("secret"), initial(b"n,,n=,r=abc"), raw.query("SELECT 1")],
                         ids=["password", "sasl", "query"])
def test_who_does_not_wait_for_the_question(pgpool, server, user, early):
    with raw.Raw(pgpool) as one:
        one.send(raw.startup({"user": user, "database": "test"}) + early)
        assert last(one)["C"] == "08P01"
    assert not server.of(user)


def test_answer_twice(pgpool, server, scrammer):
    with begun(pgpool, scrammer) as one:
        one.send(initial(b"n,,n=,r=abcdefgh") * 2)
        assert last(one)["C"] in ("08P01", "28P01")
    assert not server.of(scrammer)


def test_user_without_an_entry_and_a_server_that_asks_nothing(pgpool, server):
    """The servers decide: this one lets everybody in."""
    name = f"open{next(USERS)}"
    with client(pgpool, name) as one:
        assert one.rows("SELECT 1") == [["1"]]
        assert one.prover.asked == [0]


# ---- the servers decide --------------------------------------------------------------------------

def asks_clear(password, served=True):
    def script(c):
        c.send(auth(CLEAR))
        if c.read() != ("p", password.encode() + b"\0"):
            c.send(fatal("28P01", "the server says no"))
            return
        c.login()
        if served:
            c.serve()
    return script


def refuses_empty_hands(c):
    """Asks, and is asked by nobody who has an answer."""
    c.send(auth(CLEAR))
    c.wait_gone()


@pytest.fixture(scope="module", name="clear_bed")
def clear_bed_fixture(engine):
    bed = Bed(engine, allow_clear_text_frontend_auth="on").start()
    yield bed
    bed.finish()


def test_password_is_passed_to_a_server(clear_bed, user):
    server = clear_bed.servers[0]
    server.script(user, refuses_empty_hands, asks_clear("right"))
    with client(clear_bed.pgpool, user, password="right") as one:
        assert one.prover.asked == [CLEAR, 0]
        assert one.rows("SELECT 1") == [["1"]]
    assert not clear_bed.faults()


def test_each_password_is_checked_by_a_login_of_its_own(clear_bed, user):
    """Whoever comes behind somebody who knew it has to know it, too."""
    server = clear_bed.servers[0]
    server.script(user, refuses_empty_hands, asks_clear("right"), asks_clear("right"),
                  asks_clear("right"))
    with client(clear_bed.pgpool, user, password="right") as one:
        assert one.rows("SELECT 1") == [["1"]]
    server.of(user)[1].wait_reset()
    fields = refusal(clear_bed.pgpool, user, password="wrong")
    assert (fields["C"], fields["M"]) == ("28P01", "the server says no")
    with client(clear_bed.pgpool, user, password="right") as one:
        assert one.rows("SELECT 2") == [["2"]]
    assert not clear_bed.faults()


def test_server_that_does_not_look_at_the_password(clear_bed, user):
    """It asked the first time; nobody has checked the password the second time."""
    server = clear_bed.servers[0]
    server.script(user, refuses_empty_hands)
    assert refusal(clear_bed.pgpool, user, password="whatever")["C"] == "28P01"


def test_empty_password(clear_bed, user):
    server = clear_bed.servers[0]
    server.script(user, refuses_empty_hands)
    with begun(clear_bed.pgpool, user) as one:
        one.send(text(""))
        assert last(one)["C"] == "28P01"
    assert len(server.of(user)) == 1


def test_long_password(clear_bed, user):
    """The longest that PostgreSQL takes."""
    server = clear_bed.servers[0]
    password = "p" * (65535 - 5)
    server.script(user, refuses_empty_hands, asks_clear(password))
    with client(clear_bed.pgpool, user, password=password) as one:
        assert one.rows("SELECT 1") == [["1"]]


# ---- limits --------------------------------------------------------------------------------------

def test_failures_are_answered_late_and_keep_nobody_waiting(start_bed):
    bed = start_bed(files={"pool_passwd": "alice:TEXTsecret\n"},
                    auth_failure_delay=f"{int(3000 * SLOW)}ms")
    with raw.Raw(bed.pgpool, timeout=20) as one:
        assert one.login(user="alice")[-1].kind == "R"
        one.send(raw.message("p", b"nonsense"))
        for _ in range(20):
            still_serves(bed.pgpool)
        assert one.quiet(0.05)
        assert last(one)["C"] == "08P01"


def test_authentication_timeout(start_bed):
    """It covers all of the login: no packet, half a packet, no answer, half an answer."""
    bed = start_bed(files={"pool_passwd": "alice:TEXTsecret\n"}, authentication_timeout="1s")
    hello = raw.startup({"user": "alice", "database": "test"})
    silent = [raw.Raw(bed.pgpool, timeout=20) for _ in range(4)]
    silent[1].send(hello[:10])
    silent[2].send(hello)
    silent[3].send(hello)
    assert silent[3].read().kind == "R"
    silent[3].send(b"p\0")
    assert [codes(one.read_to_end()) for one in silent] == \
        [[], [], ["R", "57014"], ["57014"]]
    still_serves(bed.pgpool)


def test_too_many_that_say_nothing(start_bed):
    """The oldest go; whoever logs in is served at once."""
    bed = start_bed(max_unauthenticated_clients=10)
    silent = [raw.Raw(bed.pgpool, timeout=20) for _ in range(40)]
    wait_for(lambda: sum(not one.quiet(0) for one in silent) >= 30, "the oldest to be disconnected")
    still_serves(bed.pgpool)
    assert all(one.drain_to_end() == b"" for one in silent[:10])


# ---- auth_query ----------------------------------------------------------------------------------

QUERY = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1"


class Roles:
    """What a server answers to auth_query."""

    def __init__(self, server, **secrets):
        self.secrets = secrets
        self.asked = []
        server.replies[QUERY] = self.answer

    def answer(self, connection):
        if not connection.values:
            return columns("rolname", "rolpassword") + complete("SELECT 0")
        name = connection.values[0].decode()
        if connection.kinds[-1] == "E":
            self.asked.append(name)
        rows = row(name, self.secrets[name]) if name in self.secrets else b""
        return columns("rolname", "rolpassword") + rows + complete("SELECT 1")


@pytest.fixture(scope="module", name="query_bed")
def query_bed_fixture(engine):
    bed = Bed(engine, files={"pool_passwd": "postgres:TEXTp\n",
                             "pool_hba.conf": "host all postgres 127.0.0.1/32 trust\n"
                                              "host all all 127.0.0.1/32 scram-sha-256\n"},
              enable_pool_hba="on", auth_user="asker", auth_query_cache_time="100ms").start()
    yield bed
    bed.finish()


def test_secret_is_asked_from_the_servers(query_bed):
    server = query_bed.servers[0]
    roles = Roles(server, quentin=verifier("secret", salt=SALT))
    server.script("quentin", asks_scram)
    with client(query_bed.pgpool, "quentin", password="secret",
                search_path="evil", options="-c search_path=evil") as one:
        assert one.rows("SELECT 1") == [["1"]]
    assert roles.asked == ["quentin"]
    (asker,) = server.of("asker")[-1:]
    assert asker.params["options"].startswith("-c search_path= ")
    assert "evil" not in str(asker.params) and asker.params["database"] == "postgres"
    assert not query_bed.faults()


@pytest.mark.parametrize("secret", [verifier("other"), md5_secret("rita", "secret"), None,
                                    "SCRAM-SHA-256$broken", ""],
                         ids=["other", "md5", "null", "broken", "empty"])
def test_secrets_that_nobody_can_prove(query_bed, secret):
    """A wrong one, one of another form, none: the same answer."""
    Roles(query_bed.servers[0], rita=secret)
    fields = refusal(query_bed.pgpool, "rita", password="secret")
    assert fields["C"] == "28P01"
    assert fields["M"] == 'password authentication failed for user "rita"'


def test_changed_password(query_bed):
    server = query_bed.servers[0]
    roles = Roles(server, sue=verifier("old"))
    with client(query_bed.pgpool, "sue", password="old"):
        pass
    roles.secrets["sue"] = verifier("new")
    # what is kept for a moment goes with the login that fails by it
    refusal_seen = raw.Raw(query_bed.pgpool)
    refusal_seen.login(user="sue", password="new")
    with client(query_bed.pgpool, "sue", password="new") as one:
        assert one.rows("SELECT 1") == [["1"]]
    assert refusal(query_bed.pgpool, "sue", password="old")["C"] == "28P01"


def test_unknown_role_is_asked_as_any_other(query_bed):
    """The same salt each time, another one for another name."""
    Roles(query_bed.servers[0])

    def salt_for(name):
        with raw.Raw(query_bed.pgpool) as one:
            assert one.login(user=name)[-1].body[4:] == b"SCRAM-SHA-256\0\0"
            one.send(initial(b"n,,n=,r=abcdefgh"))
            return one.read().body.decode().split(",")[1:]

    assert salt_for("nobody") == salt_for("nobody") != salt_for("nobody2")
    assert salt_for("nobody")[1] == "i=4096"


def test_many_at_once_are_one_question(query_bed):
    roles = Roles(query_bed.servers[0], tina=verifier("secret"))
    many = [raw.Raw(query_bed.pgpool) for _ in range(10)]
    for one in many:
        one.send(raw.startup({"user": "tina", "database": "test"}))
    for one in many:
        assert one.read().kind == "R"
        one.close()
    assert len(roles.asked) < 10


def test_question_that_fails(start_bed):
    """That is no wrong password: the client hears that it could not be asked."""
    bed = start_bed(files={"pool_hba.conf": "host all postgres 127.0.0.1/32 trust\n"
                                            "host all all 127.0.0.1/32 scram-sha-256\n"},
                    enable_pool_hba="on", auth_user="asker")
    bed.servers[0].script("asker", lambda c: c.send(fatal("28P01", "not you")))
    fields = refusal(bed.pgpool, "ulla")
    assert fields["C"] == "58000" and "not you" not in str(fields)
    assert "not you" in bed.pgpool.log_text()


# ---- rules ---------------------------------------------------------------------------------------

RULES = """
host all postgres 127.0.0.1/32 trust
host secrets all 127.0.0.1/32 reject
host all trusted 127.0.0.1/32 trust
host all clear 127.0.0.1/32 password
host all hashed 127.0.0.1/32 md5
host all scrammed 127.0.0.1/32 md5
host all strict 127.0.0.1/32 scram-sha-256
hostssl all secured 127.0.0.1/32 trust
local all all trust
"""
RULED = ("clear:TEXTsecret\nhashed:" + md5_secret("hashed", "secret") + "\nscrammed:" +
         verifier("secret") + "\nstrict:" + md5_secret("strict", "secret") + "\n")


@pytest.fixture(scope="module", name="ruled_bed")
def ruled_bed_fixture(engine):
    bed = Bed(engine, files={"pool_passwd": RULED, "pool_hba.conf": RULES},
              enable_pool_hba="on").start()
    yield bed
    bed.finish()


@pytest.mark.parametrize("name, asked", [("trusted", [0]), ("clear", [CLEAR, 0]),
                                         ("hashed", [MD5, 0]),
                                         ("scrammed", [SASL, SASL_CONTINUE, SASL_FINAL, 0])])
def test_methods(ruled_bed, name, asked):
    with client(ruled_bed.pgpool, name, password="secret") as one:
        assert one.prover.asked == asked
        assert one.rows("SELECT 1") == [["1"]]
    if asked != [0]:
        assert refusal(ruled_bed.pgpool, name, password="wrong")["C"] == "28P01"


def test_md5_does_not_do_for_scram(ruled_bed):
    assert refusal(ruled_bed.pgpool, "strict", password="secret")["C"] == "28P01"


@pytest.mark.parametrize("name, database, words", [
    ("alice", "secrets", 'pool_hba.conf rejects connection for host "127.0.0.1", user "alice", '
                         'database "secrets", no encryption'),
    ("stranger", "test", 'no pool_hba.conf entry for host "127.0.0.1", user "stranger", '
                         'database "test", no encryption'),
    ("secured", "test", 'no pool_hba.conf entry for host "127.0.0.1", user "secured", '
                        'database "test", no encryption'),
], ids=["reject", "no_line", "hostssl"])
def test_refusals_in_words(ruled_bed, name, database, words):
    fields = refusal(ruled_bed.pgpool, name, database=database, password="secret")
    assert (fields["C"], fields["M"]) == ("28000", words)
    assert not ruled_bed.servers[0].of(name)


def test_trusted_role_without_credentials(ruled_bed):
    """It is let in by us; the server wants what nobody has."""
    server = ruled_bed.servers[0]
    server.script("trusted", refuses_empty_hands)
    fields = refusal(ruled_bed.pgpool, "trusted", application_name="other")
    assert fields["C"] == "28000"


def test_reload_counts_for_new_logins(start_bed):
    bed = start_bed(files={"pool_hba.conf": "host all all 127.0.0.1/32 trust\n"},
                    enable_pool_hba="on")
    with client(bed.pgpool, "vera") as before:
        bed.write("pool_hba.conf", "host all postgres 127.0.0.1/32 trust\n"
                                   "host all all 127.0.0.1/32 reject\n")
        bed.reload(auth_failure_delay="0")
        assert refusal(bed.pgpool, "vera")["C"] == "28000"
        assert before.rows("SELECT 1") == [["1"]]


def test_log_of_a_refusal(ruled_bed):
    """What the client is not told: from where, and by which line."""
    pgpool = ruled_bed.pgpool
    pgpool.mark_log()
    refusal(pgpool, "hashed", password="wrong")
    log = pgpool.log_since_mark()
    assert 'password authentication failed for user "hashed"' in log
    assert "connection from 127.0.0.1" in log and "pool_hba.conf line 6" in log


def test_log_of_a_connection(ruled_bed):
    pgpool = ruled_bed.pgpool
    pgpool.mark_log()
    with client(pgpool, "scrammed", password="secret"):
        pass
    assert "user=scrammed database=test application_name= method=scram-sha-256" in \
        pgpool.log_since_mark()


def test_no_password_in_the_log(ruled_bed, clear_bed, bed):
    for one in (ruled_bed, clear_bed, bed):
        assert "secret\n" not in one.pgpool.log_text()
        assert "TEXTsecret" not in one.pgpool.log_text()
