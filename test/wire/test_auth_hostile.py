"""Peers that want to break the login: clients that say the wrong thing in every field of every
message, and servers that ask for impossible ones. Each ends its own session alone, with words that
help; the child stays, and what it takes for them is bounded."""

import base64
import itertools
import os
import struct

import pytest

import processes
import raw
from clients import still_serves
from fake import AUTH_OK, auth
from logins import PLAIN, PLUS, Client, Refused, Scram, verifier_of
from prove import MD5, SASL, SASL_CONTINUE, SASL_FINAL, base64_of, md5_secret
from raw import cstr, message
from scram import Exchange
from waiting import SLOW, wait_for

PASSWORD = "secret"
NUMBERS = itertools.count()
FORMS = {"scram": lambda user: verifier_of(PASSWORD), "text": lambda user: "TEXT" + PASSWORD,
         "hash": lambda user: md5_secret(user, PASSWORD)}
PASSWORDS = "".join(f"{kind}{number}:{form(kind + str(number))}\n"
                    for kind, form in FORMS.items() for number in range(1000))
PGPOOL_SETTINGS = {"auth_failure_delay": 0, "authentication_timeout": f"{int(20 * SLOW)}s",
                   "max_unauthenticated_clients": 0}
GROWTH_LIMIT_KB = 8 * 1024
SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")
WRONG, MALFORMED, UNSUPPORTED, UNBOUND = "28P01", "08P01", "0A000", "28000"


def refused(client):
    """SQLSTATE of the error that ends it; nothing may come behind it."""
    with pytest.raises(Refused) as caught:
        while True:
            kind, _ = client.read_auth()
            assert kind != 0, "it was let in"
    assert client.bytes_to_end() == b""
    fields = caught.value.fields
    assert fields.get("S") == "FATAL" and fields.get("M"), fields
    return fields["C"]


def fresh(kind="scram"):
    """A user whom no other test has, whose password pool_passwd has in that form."""
    return f"{kind}{next(NUMBERS)}"


def asked(pgpool, user=None):
    """A client that has been asked for what it has to prove."""
    client = Client(pgpool)
    client.user = user or fresh()
    client.begin(client.user, "test")
    kind, rest = client.read_auth()
    assert kind in (SASL, MD5)
    client.mechanisms = rest.decode(errors="replace").rstrip("\0").split("\0")
    return client


def initial(name, data, length=None):
    return message("p", cstr(name) + struct.pack("!i", len(data) if length is None else length) +
                   data)


def first_of(text):
    return initial(PLAIN, text.encode() if isinstance(text, str) else text)


NONCE = "fyko+d2lbbFgONRv9qkxdawL"

# what the client's first message is, and how it ends
FIRST = {
    "empty": (b"", MALFORMED), "comma": (",", MALFORMED), "flag_alone": ("n", MALFORMED),
    "no_header": (f"n=,r={NONCE}", MALFORMED), "unknown_flag": (f"x,,n=,r={NONCE}", MALFORMED),
    "upper_flag": (f"N,,n=,r={NONCE}", MALFORMED),
    "long_flag": ("n" * 500 + f",,n=,r={NONCE}", MALFORMED),
    "binding_without_plus": (f"p=tls-server-end-point,,n=,r={NONCE}", MALFORMED),
    "binding_of_no_kind": (f"p=,,n=,r={NONCE}", MALFORMED),
    "binding_cut": (f"p,,n=,r={NONCE}", MALFORMED),
    "authzid": (f"n,a=postgres,n=,r={NONCE}", UNSUPPORTED),
    "authzid_without_letter": (f"n,postgres,n=,r={NONCE}", MALFORMED),
    "extension": (f"n,,m=must,n=,r={NONCE}", UNSUPPORTED),
    "no_name": (f"n,,r={NONCE}", MALFORMED), "no_nonce": ("n,,n=", MALFORMED),
    "name_cut": ("n,,n", MALFORMED), "only_header": ("n,,", MALFORMED),
    "order_turned": (f"n,,r={NONCE},n=", MALFORMED), "empty_nonce": ("n,,n=,r=", MALFORMED),
    "nonce_with_blank": ("n,,n=,r=a b", MALFORMED),
    "nonce_of_control": ("n,,n=,r=a\x01", MALFORMED),
    "nonce_not_ascii": ("n,,n=,r=ä", MALFORMED), "nul": (f"n,,n=,r={NONCE}\0", MALFORMED),
    "nul_in_front": (f"\0n,,n=,r={NONCE}", MALFORMED),
    "nul_in_name": (f"n,,n=a\0b,r={NONCE}", MALFORMED),
    "noise": (b"\xff" * 100, MALFORMED), "commas": ("," * 900, MALFORMED),
}


@pytest.mark.parametrize("name", FIRST)
def test_first_message(pgpool, server, name):
    text, code = FIRST[name]
    with asked(pgpool) as client:
        client.send(first_of(text))
        assert refused(client) == code
    assert not server.of(client.user)
    still_serves(pgpool)


def test_name_in_scram_does_not_count(pgpool):
    """PostgreSQL ignores it: the startup packet has said who it is."""
    with asked(pgpool) as client:
        client.send(first_of(f"n,,n=postgres,r={NONCE}"))
        assert client.read_auth()[0] == SASL_CONTINUE


INITIAL = {
    "no_mechanism": (initial("", b"n,,n=,r=x"), MALFORMED),
    "other_mechanism": (initial("SCRAM-SHA-1", b"n,,n=,r=x"), MALFORMED),
    "plus_without_tls": (initial(PLUS, b"p=tls-server-end-point,,n=,r=x"), MALFORMED),
    "lower_case": (initial(PLAIN.lower(), b"n,,n=,r=x"), MALFORMED),
    "longer_name": (initial(PLAIN + "X", b"n,,n=,r=x"), MALFORMED),
    "name_without_end": (message("p", PLAIN.encode()), MALFORMED),
    "no_length": (message("p", cstr(PLAIN)), MALFORMED),
    "half_a_length": (message("p", cstr(PLAIN) + b"\0\0"), MALFORMED),
    "length_too_long": (initial(PLAIN, b"n,,n=,r=x", 1000), MALFORMED),
    "length_too_short": (initial(PLAIN, b"n,,n=,r=x", 3), MALFORMED),
    "length_minus_two": (initial(PLAIN, b"n,,n=,r=x", -2), MALFORMED),
    "length_minus_one_and_data": (initial(PLAIN, b"n,,n=,r=x", -1), MALFORMED),
    "length_huge": (initial(PLAIN, b"n,,n=,r=x", 0x7fffffff), MALFORMED),
    "empty_message": (message("p"), MALFORMED),
    "a_password": (message("p", cstr(PASSWORD)), MALFORMED),
    "an_md5": (message("p", cstr("md5" + "0" * 32)), MALFORMED),
    "a_query": (raw.query("SELECT 1"), MALFORMED),
    "a_startup_packet": (raw.startup({"user": "other"}), MALFORMED),
    "a_flush": (raw.FLUSH, MALFORMED),
    "noise": (b"\xff" * 64, MALFORMED),
    "http": (b"GET / HTTP/1.1\r\n\r\n", MALFORMED),
    "a_huge_length": (struct.pack("!cI", b"p", 0x7fffffff), MALFORMED),
    "length_0": (struct.pack("!cI", b"p", 0), MALFORMED),
    "length_3": (struct.pack("!cI", b"p", 3), MALFORMED),
    "length_negative": (struct.pack("!cI", b"p", 0xffffffff), MALFORMED),
    "a_megabyte_announced": (struct.pack("!cI", b"p", 1 << 20), MALFORMED),
}


@pytest.mark.parametrize("name", INITIAL)
def test_initial_response(pgpool, server, name):
    sent, code = INITIAL[name]
    with asked(pgpool) as client:
        client.send(sent)
        assert refused(client) == code
    assert not server.of(client.user)
    still_serves(pgpool)


def changed(letter, value):
    """Of a message: this attribute is another one."""
    return lambda text: ",".join(f"{letter}={value}" if part.startswith(letter + "=") else part
                                 for part in text.split(","))


def without(letter):
    return lambda text: ",".join(part for part in text.split(",") if not part.startswith(letter))


def flipped(text):
    """One bit of the proof is another one."""
    head, _, proof = text.rpartition(",p=")
    data = bytearray(base64.b64decode(proof))
    data[7] ^= 1
    return f"{head},p={base64.b64encode(data).decode()}"


FINAL = {
    "empty": (lambda text: "", MALFORMED), "nul": (lambda text: "\0", MALFORMED),
    "no_channel": (without("c"), MALFORMED), "no_nonce": (without("r"), MALFORMED),
    "no_proof": (without("p"), MALFORMED), "only_proof": (lambda text: text[-46:], MALFORMED),
    "empty_channel": (changed("c", ""), MALFORMED), "channel_y": (changed("c", "eSws"), MALFORMED),
    "channel_bound": (changed("c", base64_of(b"p=tls-server-end-point,," + b"x" * 32)), MALFORMED),
    "channel_is_no_base64": (changed("c", "!!!!"), MALFORMED),
    "channel_longer": (changed("c", base64_of(b"n,," + b"x" * 300)), MALFORMED),
    "other_nonce": (changed("r", NONCE), MALFORMED), "empty_nonce": (changed("r", ""), MALFORMED),
    "nonce_longer": (lambda text: text.replace(",p=", "x,p="), MALFORMED),
    "nonce_shorter": (lambda text: text[:-48] + text[-47:], MALFORMED),
    "nonce_is_ours_alone": (lambda text: changed("r", text.split("r=")[1][:24])(text), MALFORMED),
    "order_turned": (lambda text: ",".join(text.split(",")[1::-1] + text.split(",")[2:]),
                     MALFORMED),
    "empty_proof": (changed("p", ""), MALFORMED), "proof_is_no_base64": (changed("p", "!!!!"),
                                                                         MALFORMED),
    "short_proof": (changed("p", base64_of(b"x" * 31)), MALFORMED),
    "long_proof": (changed("p", base64_of(b"x" * 33)), MALFORMED),
    "huge_proof": (changed("p", "A" * 800), MALFORMED),
    "something_behind": (lambda text: text + ",x=y", MALFORMED),
    "nul_behind": (lambda text: text + "\0", MALFORMED),
    "two_proofs": (lambda text: text + ",p=" + base64_of(b"x" * 32), WRONG),
    "extension": (lambda text: text.replace(",p=", ",x=y,p="), WRONG),
    "wrong_proof": (changed("p", base64_of(b"x" * 32)), WRONG),
    "zero_proof": (changed("p", base64_of(b"\0" * 32)), WRONG), "flipped": (flipped, WRONG),
    "noise": (lambda text: b"\xff" * 200, MALFORMED),
}


@pytest.mark.parametrize("kind", ["scram", "text"])
@pytest.mark.parametrize("name", FINAL)
def test_final_message(pgpool, server, name, kind):
    """The same in whatever form its password is known."""
    change, code = FINAL[name]
    with asked(pgpool, fresh(kind)) as client:
        exchange = Scram(PASSWORD, spoil={"final": change})
        first = exchange.first()
        client.send(initial(PLAIN, first))
        _, rest = client.read_auth()
        client.send(message("p", exchange.final(rest.decode())))
        assert refused(client) == code
    assert not server.of(client.user)
    still_serves(pgpool)


def test_proof_of_another_login_does_not_count(pgpool, server):
    """Somebody has listened, and says all of it again."""
    said = []

    def keep(text):
        said.append(text)
        return text

    user = fresh()
    with asked(pgpool, user) as client:
        client.scram(PASSWORD, False, {"final": keep})
        client.read_auth()
        client.settle()
    with asked(pgpool, user) as client:
        nonce = said[0].split("r=")[1][:24]
        client.send(first_of(f"n,,n=,r={nonce}"))
        assert client.read_auth()[0] == SASL_CONTINUE
        client.send(message("p", said[0].encode()))
        assert refused(client) == MALFORMED
    assert len(server.of(user)) <= 1


def test_nothing_is_taken_before_its_turn(pgpool, server):
    """All messages at once, guessed: what comes before we have asked is refused."""
    one, other = fresh("hash"), fresh()
    with Client(pgpool) as client:
        client.begin(one, "test")
        client.send(message("p", cstr("md5" + "0" * 32)), raw.query("SELECT 1"))
        assert refused(client) in (WRONG, MALFORMED)
    with Client(pgpool) as client:
        client.send(raw.startup({"user": other, "database": "test"}) +
                    first_of(f"n,,n=,r={NONCE}") + message("p", b"c=biws,r=x,p=x") +
                    raw.query("SELECT 1"))
        assert refused(client) in (WRONG, MALFORMED)
    assert not server.of(one) and not server.of(other)


ANSWERS_OF_MD5 = {
    "empty": message("p", b"\0"), "no_end": message("p", b"md5"), "nothing": message("p"),
    "short": message("p", cstr("md5" + "0" * 31)), "long": message("p", cstr("md5" + "0" * 33)),
    "upper": message("p", cstr("MD5" + "0" * 32)), "two_texts": message("p", b"md5\0md5\0"),
    "the_hash": None,
    "the_password": message("p", cstr(PASSWORD)),
    "long_text": message("p", cstr("x" * 60000)),
    "too_long": struct.pack("!cI", b"p", 70000) + b"x" * 1000,
    "scram": first_of(f"n,,n=,r={NONCE}"),
}


def answer_of_md5(name, user):
    return ANSWERS_OF_MD5[name] or message("p", cstr(md5_secret(user, PASSWORD)))


@pytest.mark.parametrize("name", ANSWERS_OF_MD5)
def test_answers_of_md5(pgpool, server, name):
    with asked(pgpool, fresh("hash")) as client:
        client.send(answer_of_md5(name, client.user))
        assert refused(client) in (WRONG, MALFORMED)
    assert not server.of(client.user)
    still_serves(pgpool)


@pytest.mark.parametrize("cut", [1, 4, 5, 17, 18, 21, 22, 30, 50])
def test_client_that_goes_in_the_middle(pgpool, server, cut):
    """At every border of the first message."""
    with asked(pgpool) as client:
        client.send(first_of(f"n,,n=,r={NONCE}")[:cut])
    assert not server.of(client.user)
    still_serves(pgpool)


def test_right_login_in_single_bytes(pgpool):
    with Client(pgpool) as client:
        client.send_in_pieces(raw.startup({"user": fresh(), "database": "test"}))
        assert client.read_auth()[0] == SASL
        exchange = Scram(PASSWORD)
        client.send_in_pieces(initial(PLAIN, exchange.first()))
        _, rest = client.read_auth()
        client.send_in_pieces(message("p", exchange.final(rest.decode())))
        assert client.read_auth()[0] == SASL_FINAL
        assert client.read_auth()[0] == 0
        client.settle()
        assert client.rows("SELECT 1") == [["1"]]


def test_mechanism_without_a_message(pgpool):
    """The first message may come by itself, when it is asked for."""
    with asked(pgpool) as client:
        exchange = Scram(PASSWORD)
        client.send(initial(PLAIN, b"", -1))
        assert client.read_auth() == (SASL_CONTINUE, b"")
        client.send(message("p", exchange.first()))
        _, rest = client.read_auth()
        client.send(message("p", exchange.final(rest.decode())))
        assert client.read_auth()[0] == SASL_FINAL
        assert client.read_auth()[0] == 0


def test_unknown_roles_have_a_salt_of_their_own(start_bed):
    """The same at each try, another one for each name: as of known ones."""
    rules = "host all bystander,postgres all trust\nhost all all all scram-sha-256\n"
    bed = start_bed(files={"pool_hba.conf": rules}, enable_pool_hba="on", auth_failure_delay=0)

    def salt(user):
        with asked(bed.pgpool, user) as client:
            client.send(first_of(f"n,,n=,r={NONCE}"))
            _, rest = client.read_auth()
            said = dict(part.split("=", 1) for part in rest.decode().split(","))
            client.send(message("p", f"c=biws,r={said['r']},p={base64_of(b'x' * 32)}".encode()))
            assert refused(client) == WRONG
            return said["s"], said["i"]

    assert salt("one") == salt("one") != salt("two")
    assert len(base64.b64decode(salt("one")[0])) == 16 and salt("one")[1] == "4096"


@pytest.mark.skipif(SANITIZED, reason="the sanitizers need memory themselves")
def test_memory_of_hostile_clients_is_bounded(pgpool, bed):
    """Each says as much as it may, and then some; the second round takes nothing more."""
    def round_of():
        clients = [asked(pgpool) for _ in range(100)]
        for client in clients:
            try:
                client.send(struct.pack("!cI", b"p", 1000) + b"n" * 900)
                client.send(b"x" * 20000)
            except OSError:
                pass  # it was ended before
        for client in clients:
            client.close()
        still_serves(pgpool)
        return processes.pss_kb(bed.child())

    first = round_of()
    rounds = [round_of() for _ in range(3)]
    assert max(rounds) - first < GROWTH_LIMIT_KB, [first, *rounds]


# ---- servers -------------------------------------------------------------------------------------

def first_lie(text):
    """A server's first message that says this, with the client's nonce in it."""
    def script(c):
        c.send(auth(SASL, cstr(PLAIN) + b"\0"))
        _, body = c.read()
        nonce = body.rpartition(b"r=")[2].decode()
        said = text.format(nonce=nonce, salt=base64_of(b"sixteen bytes of"))
        c.send(auth(SASL_CONTINUE, said.encode(errors="surrogateescape")))
        c.wait_gone()
    return script


def sends(*parts):
    return lambda c: (c.send(*parts), c.wait_gone())


SERVERS = {
    # what our keys fit is said by the verifier: its salt, its iterations
    "other_salt": first_lie("r={nonce}abc,s=AAAA,i=4096"),
    "other_iterations": first_lie("r={nonce}abc,s={salt},i=1"),
    "many_iterations": first_lie("r={nonce}abc,s={salt},i=999999999"),
    "nonce_not_ours": first_lie("r=abc,s={salt},i=4096"),
    "nonce_alone": first_lie("r={nonce},s={salt},i=4096"),
    "nonce_of_control": first_lie("r={nonce}\x01,s={salt},i=4096"),
    "negative_iterations": first_lie("r={nonce}abc,s={salt},i=-4096"),
    "nothing": first_lie(""), "noise": first_lie("\xff" * 500),
    "an_error": first_lie("e=other-error"),
    "long": first_lie("r={nonce}abc,s={salt},i=4096,x=" + "y" * 10000),
    "cleartext": sends(auth(3)), "md5": sends(auth(5, b"salt")),
    "md5_cut": sends(auth(5, b"s")), "unknown": sends(auth(4711)),
    "cut": sends(message("R", b"\0\0")), "empty": sends(message("R")),
    "long_offer": sends(auth(SASL, b"X" * 3000 + b"\0\0")),
    "offer_without_end": sends(auth(SASL, PLAIN.encode())),
    "no_offer": sends(auth(SASL, b"")),
    "many_offers": sends(auth(SASL, b"Y\0" * 900 + b"\0")),
    "huge_announced": sends(struct.pack("!cII", b"R", 1 << 30, 10)),
    "half_a_megabyte": sends(message("R", struct.pack("!I", 10) + b"Z" * (1 << 19))),
    "plus_alone": sends(auth(SASL, cstr(PLUS) + b"\0")),
    "final_at_once": sends(auth(SASL_FINAL, b"v=x")),
    "let_in_without_proof": sends(auth(SASL, cstr(PLAIN) + b"\0"), AUTH_OK),
}


@pytest.mark.parametrize("name", SERVERS)
def test_server_that_lies_to_keys(pgpool, server, name):
    """We have the keys of SCRAM alone, which its client has proved. No password leaves, nobody gets
    in, nobody else is harmed, and the keys are still good for an honest server."""
    user = fresh()
    server.script(user, SERVERS[name])
    with Client(pgpool) as client, pytest.raises(Refused) as refusal:
        client.enter(user, "test", PASSWORD)
    fields = refusal.value.fields
    assert fields["S"] == "FATAL", fields
    assert fields["C"] in (MALFORMED, UNBOUND, UNSUPPORTED, WRONG), fields
    (connection,) = server.of(user)
    wait_for(connection.ended.is_set, "the server's connection to end")
    assert connection.kinds in ("", "p", "pp")
    still_serves(pgpool)
    with Client(pgpool) as client:
        client.enter(user, "test", PASSWORD)
        assert client.rows("SELECT 1") == [["1"]]


def test_keys_for_an_honest_server(pgpool, server):
    """The fake server has the verifier's salt, and checks the proof."""
    def script(c):
        assert Exchange(PASSWORD, salt=b"sixteen bytes of").run(c)
        c.login()
        c.serve()

    user = fresh()
    server.script(user, script)
    with Client(pgpool) as client:
        client.enter(user, "test", PASSWORD)
        assert client.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("kind", ["scram", "cleartext"])
def test_hash_is_kept_from_other_methods(pgpool, server, kind):
    """We have an md5 hash alone."""
    user = fresh("hash")
    server.script(user, sends(auth(3) if kind == "cleartext" else auth(SASL, cstr(PLAIN) + b"\0")))
    with Client(pgpool) as client, pytest.raises(Refused) as refusal:
        client.enter(user, "test", PASSWORD)
    assert refusal.value.sqlstate == UNBOUND
    assert server.of(user)[-1].kinds == ""
