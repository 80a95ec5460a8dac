"""Passwords that others know: LDAP servers (a real slapd of our own) and PAM, asked on threads by
test/integration/authenticate, beside an event loop that must go on."""

import errno
import os
import re
import shutil
import socket
import subprocess

import pytest

from cluster import as_owner, make_dir, owner, run
from proxy import binary
from waiting import SLOW, Background, free_port, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(10)]

BASE = "dc=example,dc=net"
SEARCHER, SEARCHER_PASSWORD = f"cn=searcher,{BASE}", "look but do not touch"

# The password of each user is "<uid>'s own". One has a name that must be escaped in its DN.
USERS = ["alice", "bob", "o,neil", "twin"]
CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
argsfile {directory}/slapd.args
TLSCertificateFile {directory}/server.crt
TLSCertificateKeyFile {directory}/server.key
disallow bind_anon
database mdb
maxsize 10485760
suffix "{base}"
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{searcher}" read by * none
"""
ENTRY = """
dn: uid={dn},{base}
objectClass: inetOrgPerson
uid: {uid}
cn: {uid}
sn: {uid}
mail: {uid}@example.net
userPassword: {uid}'s own
"""
LDIF = f"""dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: {SEARCHER}
objectClass: person
cn: searcher
sn: searcher
userPassword: {SEARCHER_PASSWORD}

dn: ou=others,{BASE}
objectClass: organizationalUnit
ou: others

dn: cn=second twin,ou=others,{BASE}
objectClass: inetOrgPerson
cn: second twin
sn: twin
uid: twin
userPassword: twin's own
"""


def ask(method, user, password, env=None, **more):
    """What the program says, a line each; secrets must not be there."""
    program = os.path.join(os.path.dirname(binary()), "test", "integration", "authenticate")
    words = {"method": method, "user": user, "password": password, **more}
    done = run(program, *[f"{name}={value}" for name, value in words.items()], check=False,
               env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stdout + done.stderr
    for secret in (password, more.get("bindpasswd")):
        assert not secret or secret not in done.stdout + done.stderr
    return done.stdout.splitlines()


def number(lines, name):
    return int(next(line for line in lines if line.startswith(name + " ")).split()[1])


class Slapd:
    """A server on the loopback interface, with StartTLS and ldaps, run by nobody in particular."""

    def __init__(self):
        self.directory = make_dir("pgpool_slapd_")
        self.port, self.tls_port = free_port(), free_port()
        os.mkdir(self.directory + "/data")
        # its own name is not the package's, which AppArmor keeps to the package's directories
        shutil.copy("/usr/sbin/slapd", self.directory + "/server")
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", self.directory + "/server.key", "-out", self.directory + "/server.crt")
        self._write("slapd.conf", CONFIG.format(directory=self.directory, base=BASE,
                                                searcher=SEARCHER))
        self._write("data.ldif", LDIF + "".join(
            ENTRY.format(dn=uid.replace(",", "\\,"), uid=uid, base=BASE) for uid in USERS))
        if owner():
            run("chown", "-R", owner(), self.directory)
        self._server("-T", "add", "-l", self.directory + "/data.ldif")
        with open(self.directory + "/log", "wb") as log:
            self.process = subprocess.Popen(
                as_owner(*self._words("-d", "0", "-h", f"ldap://127.0.0.1:{self.port} "
                                      f"ldaps://127.0.0.1:{self.tls_port}")),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._listens, "slapd to listen")

    def _write(self, name, text):
        with open(f"{self.directory}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def _words(self, *words):
        return [self.directory + "/server", "-f", self.directory + "/slapd.conf", *words]

    def _server(self, *words):
        # it looks at the name that it was called by, unless -T says what it is
        name, file, conf, *_ = self._words()
        run(*as_owner(name, words[0], words[1], file, conf, *words[2:]))

    def _listens(self):
        assert self.process.poll() is None, "slapd has ended"
        for port in (self.port, self.tls_port):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return False
        return True

    def ask(self, user, password, **more):
        more = {"server": "127.0.0.1", "port": self.port, **more}
        return ask("ldap", user, password,
                   env={"LDAPTLS_CACERT": self.directory + "/server.crt", **more.pop("env", {})},
                   **more)

    def stop(self):
        self.process.terminate()
        self.process.wait(10 * SLOW)
        shutil.rmtree(self.directory)


@pytest.fixture(name="slapd", scope="module")
def slapd_fixture():
    server = Slapd()
    yield server
    server.stop()


BIND = {"prefix": "uid=", "suffix": "," + BASE}
SEARCH = {"basedn": BASE, "binddn": SEARCHER, "bindpasswd": SEARCHER_PASSWORD}


def refused(lines, sqlstate="28000"):
    return re.match(rf"no {sqlstate}: ", lines[0]) is not None


@pytest.mark.parametrize("form", [
    BIND, SEARCH, {**SEARCH, "searchattribute": "cn"},
    {**SEARCH, "searchfilter": "(&(objectClass=person)(|(uid=$username)(mail=$username)))"}],
    ids=["bind", "search", "attribute", "filter"])
def test_a_password_is_right_or_wrong(slapd, form):
    assert slapd.ask("alice", "alice's own", **form)[0] == "yes"
    assert refused(slapd.ask("alice", "bob's own", **form))
    assert refused(slapd.ask("alice", "", **form))  # which slapd would take for an anonymous bind
    assert refused(slapd.ask("carol", "carol's own", **form))
    assert refused(slapd.ask("", "alice's own", **form))


def test_by_url(slapd):
    url = f"ldap://127.0.0.1:{slapd.port}/{BASE.replace(',', '%2c')}?uid?sub"
    more = {"url": url, "server": "", "port": 0, "binddn": SEARCHER,
            "bindpasswd": SEARCHER_PASSWORD}
    assert slapd.ask("alice", "alice's own", **more)[0] == "yes"
    assert refused(slapd.ask("alice", "wrong", **more))
    # the scope of an URL is base unless it says so
    assert refused(slapd.ask("alice", "alice's own", **{**more, "url": url[:-len("?sub")]}))


def test_by_mail_address(slapd):
    form = {**SEARCH, "searchfilter": "(mail=$username)"}
    assert slapd.ask("bob@example.net", "bob's own", **form)[0] == "yes"


def test_a_name_that_occurs_twice_is_nobodys(slapd):
    lines = slapd.ask("twin", "twin's own", **SEARCH)
    assert refused(lines) and "several entries" in lines[0]


def test_names_do_not_leave_their_place(slapd):
    # escaped in a distinguished name
    assert slapd.ask("o,neil", "o,neil's own", **BIND)[0] == "yes"
    assert refused(slapd.ask("alice," + BASE, "alice's own", prefix="uid=", suffix=""))
    # not used at all where the whole would be one
    assert refused(slapd.ask(f"uid=alice,{BASE}", "alice's own", suffix=","))
    # PostgreSQL does not search for such names
    for name in ("al*", "alice)(uid=*", "a\\6cice", "al/ce", "*"):
        lines = slapd.ask(name, "alice's own", **SEARCH)
        assert refused(lines) and "may not be used" in lines[0], lines


def test_the_searcher_is_not_the_user(slapd):
    """Its password being wrong is a fault of the configuration, and no refusal of the user."""
    lines = slapd.ask("alice", "alice's own", **{**SEARCH, "bindpasswd": "wrong"})
    assert refused(lines, "58000") and "ldapbinddn" in lines[0]
    lines = slapd.ask("alice", "alice's own", basedn=BASE)  # this server serves no anonymous ones
    assert lines[0] != "yes"


def test_encrypted(slapd):
    assert slapd.ask("alice", "alice's own", tls=1, **BIND)[0] == "yes"
    ldaps = {"scheme": "ldaps", "port": slapd.tls_port, **BIND}
    assert slapd.ask("alice", "alice's own", **ldaps)[0] == "yes"
    assert refused(slapd.ask("alice", "wrong", tls=1, **BIND))
    # a certificate that nobody vouches for, and one of another name
    nobody = {"LDAPTLS_CACERT": "/etc/hostname", "LDAPTLS_REQCERT": "demand"}
    assert refused(slapd.ask("alice", "alice's own", tls=1, env=nobody, **BIND), "58000")
    assert refused(slapd.ask("alice", "alice's own", tls=1, server="127.0.0.2", **BIND), "58000")
    # plain where TLS is spoken, and TLS where it is not
    assert refused(slapd.ask("alice", "alice's own", scheme="ldaps", timeout_ms=2000, **BIND),
                   "58000")


def test_servers_one_after_the_other(slapd):
    dead = free_port()
    url = f"ldap://127.0.0.1:{dead}/{BASE}?uid?sub"
    lines = slapd.ask("alice", "alice's own", url=url, server="", port=0, binddn=SEARCHER,
                      bindpasswd=SEARCHER_PASSWORD)
    assert refused(lines, "58000") and f"127.0.0.1:{dead}" in lines[0]
    # nobody listens at the first address; the second one knows
    assert slapd.ask("alice", "alice's own", server="127.0.0.3 127.0.0.1", **BIND)[0] == "yes"


def test_many_at_once(slapd):
    lines = slapd.ask("alice", "alice's own", times=40, threads=4, **SEARCH)
    assert lines[:40] == ["yes"] * 40
    assert number(lines, "left") == 0


class Silent:
    """Takes connections and says nothing, or not enough."""

    def __init__(self, words=b""):
        self.words, self.taken = words, []

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = Background(self._serve)
        return self

    def _serve(self):
        while True:
            try:
                self.taken.append(self.socket.accept()[0])
            except OSError:  # it was shut down
                return
            self.taken[-1].sendall(self.words)

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.result()
        for one in (self.socket, *self.taken):
            one.close()


# The beginnings of an answer, of a TLS record, and of a record of 16 kB.
@pytest.mark.parametrize("words", [b"", b"0\x84\0\0", b"\x16\x03", b"\x16\x03\x03\x40\0\x02"],
                         ids=["nothing", "answer", "record", "long"])
@pytest.mark.parametrize("more", [BIND, SEARCH, {**BIND, "tls": 1}, {**BIND, "scheme": "ldaps"}],
                         ids=["bind", "search", "tls", "ldaps"])
def test_a_server_that_does_not_answer(more, words):
    with Silent(words) as silent:
        lines = ask("ldap", "alice", "alice's own", server="127.0.0.1", port=silent.port,
                    timeout_ms=700, times=2, **more)
    assert refused(lines, "58000") and refused(lines[1:], "58000")
    if not words:  # else it may be seen at once that this is nothing
        assert number(lines, "ticks") >= 10  # the loop went on
    assert number(lines, "left") == 0


def test_a_silent_server_leaves_time_for_the_next(slapd):
    with socket.create_server(("127.0.0.4", slapd.port)):
        lines = slapd.ask("alice", "alice's own", timeout_ms=4000, server="127.0.0.4 127.0.0.1",
                          **BIND)
    assert lines[0] == "yes"


def test_nobody_waits_for_an_answer_any_more():
    with Silent() as silent:
        lines = ask("ldap", "alice", "alice's own", server="127.0.0.1", port=silent.port,
                    timeout_ms=600000, times=6, threads=4, cancel_ms=100, end_ms=50, **BIND)
    assert lines[:6] == ["cancelled"] * 6
    assert number(lines, "left") >= 4  # the end did not wait for them


# ---- PAM ----

ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs root: files in /etc/pam.d")
SCRIPT = """#!/bin/sh
password=$(cat | tr -d '\\0')
echo "$PAM_USER from ${PAM_RHOST:-here} for $PAM_SERVICE $PAM_TYPE" >>%s
[ "$PAM_USER" != sleeper ] || exec cat %s
[ "$password" = "$PAM_USER's own" ]
"""
SERVICES = {
    "asks": "auth required pam_exec.so quiet expose_authtok {script}\n"
            "account required pam_permit.so\n",
    "nobody": "auth required pam_deny.so\naccount required pam_permit.so\n",
    "expired": "auth required pam_permit.so\naccount required pam_deny.so\n",
    "broken": "auth required pam_there_is_none.so\naccount required pam_permit.so\n",
}


class Pam:
    """Services of our own, while the tests run."""

    def __init__(self):
        self.directory = make_dir("pgpool_pam_")
        self.said, self.gate = self.directory + "/said", self.directory + "/gate"
        os.mkfifo(self.gate)
        script = self.directory + "/script"
        with open(script, "w", encoding="utf-8") as file:
            file.write(SCRIPT % (self.said, self.gate))
        os.chmod(script, 0o755)
        self.names = {name: f"pgpool_test_{os.getpid()}_{name}" for name in SERVICES}
        for name, text in SERVICES.items():
            with open("/etc/pam.d/" + self.names[name], "w", encoding="utf-8") as file:
                file.write(text.format(script=script))

    def ask(self, service, user, password, **more):
        return ask("pam", user, password, service=self.names[service], **more)

    def heard(self):
        with open(self.said, encoding="utf-8") as file:
            return file.read().splitlines()

    def open_gate(self):
        """Whoever sleeps behind it wakes up, and ends."""
        try:
            os.close(os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            assert error.errno == errno.ENXIO  # nobody does

    def remove(self):
        self.open_gate()
        for name in self.names.values():
            os.unlink("/etc/pam.d/" + name)
        shutil.rmtree(self.directory)


@pytest.fixture(name="pam", scope="module")
def pam_fixture():
    services = Pam()
    yield services
    services.remove()


@ROOT
def test_pam_says_yes_or_no(pam):
    assert pam.ask("asks", "alice", "alice's own")[0] == "yes"
    assert pam.ask("asks", "alice", "bob's own")[0].startswith("no ")  # pam_exec: an error
    assert refused(pam.ask("nobody", "alice", "alice's own"))
    assert refused(pam.ask("asks", "alice", ""))
    assert refused(pam.ask("asks", "", "'s own"))


@ROOT
def test_pam_is_told_where_the_client_is(pam):
    name = pam.names["asks"]
    pam.ask("asks", "dora", "dora's own", rhost="192.0.2.7")
    pam.ask("asks", "dora", "dora's own")
    assert pam.heard()[-2:] == [f"dora from 192.0.2.7 for {name} auth",
                                f"dora from here for {name} auth"]


@ROOT
def test_the_account_counts_too(pam):
    lines = pam.ask("expired", "alice", "anything")
    assert refused(lines) and "account" in lines[0]


@ROOT
def test_a_service_that_does_not_work(pam):
    assert pam.ask("broken", "alice", "alice's own")[0] != "yes"
    # a service without a file is "other", which Debian lets nobody in by
    assert ask("pam", "alice", "alice's own", service="pgpool_test_none")[0] != "yes"


@ROOT
def test_pam_beside_the_loop(pam):
    """A module that hangs: the loop goes on, others get their answer, the end does not wait."""
    lines = pam.ask("asks", "sleeper", "sleeper's own", times=2, threads=2, cancel_ms=300,
                    end_ms=50)
    assert lines[:2] == ["cancelled"] * 2
    assert number(lines, "ticks") >= 10
    assert number(lines, "left") == 2
