"""os/etcd_client against real etcd members, by test/integration/etcd_ask beside an event loop that
must go on."""

import os
import queue
import signal
import subprocess
import threading
import time

import pytest

import certificates
from etcd import CONTROL, PROGRAM, Etcd
from proxy import binary
from waiting import SLOW, free_port, wait_for

ASK = os.path.join(os.path.dirname(binary()), "test", "integration", "etcd_ask")

pytestmark = [
    pytest.mark.one_engine, pytest.mark.takes(40),
    pytest.mark.xdist_group("etcd"),
    pytest.mark.skipif(not PROGRAM or not CONTROL, reason="etcd is not installed"),
]

FIELDS = ("end", "revision", "succeeded", "lease", "ttl", "deleted", "sqlstate", "message")


class Answer:
    def __init__(self, fields):
        for name, value in zip(FIELDS, fields):
            setattr(self, name, int(value) if value.isdigit() and name != "sqlstate" else value)
        self.pairs = {}
        self.revisions = {}
        for pair in fields[len(FIELDS):]:
            key, revision, lease, value = pair.split("=", 3)
            self.pairs[key] = value
            self.revisions[key] = int(revision), int(lease)


class Client:
    """etcd_ask with its answers by tag."""

    def __init__(self, hosts, **parameters):
        words = [f"{name}={value}" for name, value in parameters.items()]
        self.process = subprocess.Popen([ASK, f"hosts={hosts}", *words], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.answers = {}
        self.more = threading.Condition()
        self.tags = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            tag, *fields = line.rstrip("\n").split("\t")
            with self.more:
                self.answers.setdefault(tag, queue.Queue()).put(fields)
                self.more.notify_all()

    def send(self, *words):
        self.tags += 1
        tag = f"t{self.tags}"
        self.process.stdin.write(" ".join([tag, *map(str, words)]) + "\n")
        return tag

    def wait(self, tag, timeout=10.0):
        with self.more:
            assert self.more.wait_for(lambda: tag in self.answers, timeout * SLOW), tag
        return self.answers[tag].get(timeout=timeout * SLOW)

    def ask(self, *words):
        return Answer(self.wait(self.send(*words)))

    def word(self, *words):
        return self.wait(self.send(*words))[0]

    def done(self, *words):
        answer = self.ask(*words)
        assert answer.end == "done", f"{words}: {answer.end} {answer.sqlstate} {answer.message}"
        return answer

    def drop(self):
        self.process.stdin.write("free\n")
        assert self.wait("free") == []

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10 * SLOW) == 0
        self.reader.join(10 * SLOW)
        self.process.stdout.close()


@pytest.fixture(name="clients")
def clients_fixture():
    made = []

    def make(hosts, **parameters):
        # more than a watchdog gives: the machine may be busy, an election takes its time
        parameters.setdefault("limit_ms", 5000)
        made.append(Client(hosts, **parameters))
        return made[-1]
    yield make
    for client in made:
        client.close()


@pytest.fixture(name="one", scope="module")
def one_fixture():
    etcd = Etcd()
    yield etcd
    etcd.close()


@pytest.fixture(name="three")
def three_fixture():
    etcd = Etcd(3)
    yield etcd
    etcd.close()


@pytest.mark.parametrize("loop", ["io_uring", "epoll"])
def test_keys_and_transactions(one, clients, loop):
    client = clients(one.hosts, engine=loop)
    prefix = f"keys-{loop}/"
    assert client.done("range", prefix).pairs == {}
    first = client.done("create", prefix + "a", "one", 0)
    assert first.succeeded
    again = client.done("create", prefix + "a", "two", 0)
    assert not again.succeeded
    answer = client.done("range", prefix)
    assert answer.pairs == {prefix + "a": "one"}
    assert answer.revisions[prefix + "a"] == (first.revision, 0)
    assert answer.revision >= first.revision
    assert not client.done("swap", prefix + "a", first.revision + 7, "no").succeeded
    second = client.done("swap", prefix + "a", first.revision, "two")
    assert second.succeeded and second.revision > first.revision
    client.done("create", prefix + "b", "äöü", 0)
    client.done("create", f"keys-{loop}0", "another prefix", 0)
    assert client.done("range", prefix).pairs == {prefix + "a": "two", prefix + "b": "äöü"}
    gone = client.done("delete", prefix + "a", second.revision)
    assert gone.succeeded and gone.deleted == 1
    assert list(client.done("range", prefix).pairs) == [prefix + "b"]


def test_leases(one, clients):
    client = clients(one.hosts)
    grant = client.done("grant", 2)
    assert grant.lease and grant.ttl >= 2
    assert client.done("create", "lease/a", "x", grant.lease).succeeded
    assert client.done("range", "lease/").revisions["lease/a"][1] == grant.lease
    assert client.done("keepalive", grant.lease).ttl == grant.ttl
    client.done("revoke", grant.lease)
    assert client.done("range", "lease/").pairs == {}
    assert client.done("keepalive", grant.lease).ttl == 0
    refused = client.ask("revoke", grant.lease)
    assert (refused.end, refused.sqlstate) == ("refused", "55000")
    assert "lease not found" in refused.message
    refused = client.ask("create", "lease/b", "x", grant.lease)
    assert refused.end == "refused" and "lease not found" in refused.message
    # one that nobody keeps ends by itself
    short = client.done("grant", 1)
    client.done("create", "lease/c", "x", short.lease)
    wait_for(lambda: not client.done("range", "lease/").pairs, "the lease to end", 20)


def test_many_at_once(one, clients):
    client = clients(one.hosts)
    tags = [client.send("create", f"many/{number:03}", number, 0) for number in range(200)]
    for tag in tags:
        assert Answer(client.wait(tag)).succeeded
    pairs = client.done("range", "many/").pairs
    assert list(pairs) == sorted(f"many/{number:03}" for number in range(200))


def test_an_answer_that_is_too_long(one, clients):
    client = clients(one.hosts, limit_ms=5000)
    for number in range(4):
        client.done("large", f"long/{number}", 1200000)
    answer = client.ask("range", "long/")
    assert (answer.end, answer.sqlstate) == ("unsure", "54000")
    assert client.done("range", "long/1").pairs == {"long/1": "..."}
    assert client.ask("large", "long/x", 2000000).end in ("refused", "unsure")


def test_a_watch_hears_of_changes(one, clients):
    client, other = clients(one.hosts), clients(one.hosts)
    watch = client.send("watch", "watch/")
    assert client.wait(watch) == ["changed"]  # it begins
    for number in range(3):
        while not client.answers[watch].empty():
            client.answers[watch].get()
        other.done("create", f"watch/{number}", "x", 0)
        assert client.wait(watch) == ["changed"]


@pytest.mark.parametrize("loop", ["io_uring", "epoll"])
def test_a_killed_member_is_left(three, clients, loop):
    client = clients(three.hosts, engine=loop)
    lease = client.done("grant", 10).lease
    client.done("create", "k/a", "x", lease)
    port = client.word("endpoint").split(":")[1]
    watch = client.send("watch", "k/")
    client.wait(watch)
    three.member_at(port).kill()
    # at once, unless it was the leader: then the others elect first
    wait_for(lambda: client.ask("range", "k/").end == "done", "an answer from another member", 30)
    assert client.done("range", "k/").pairs == {"k/a": "x"}
    assert client.word("endpoint").split(":")[1] != port
    assert client.done("keepalive", lease).ttl >= 10

    def changes():
        while not client.answers[watch].empty():
            client.answers[watch].get()
        client.ask("create", f"k/{time.monotonic_ns()}", "y", 0)
        return client.wait(watch) == ["changed"]
    wait_for(changes, "the watch to go on", 20)


def test_a_frozen_member_is_left(three, clients):
    client = clients(three.hosts, limit_ms=1500)
    first = client.done("create", "f/a", "x", 0)
    frozen = three.member_at(client.word("endpoint").split(":")[1])
    frozen.send(signal.SIGSTOP)
    # what may be sent twice goes to another one in time, unless that one has to elect first
    wait_for(lambda: client.ask("range", "f/").end == "done", "an answer from another member", 30)
    assert client.word("endpoint") != f"127.0.0.1:{frozen.port}"
    assert client.done("swap", "f/a", first.revision, "y").succeeded
    frozen.send(signal.SIGCONT)
    # what may not: nobody knows
    other = three.member_at(client.word("endpoint").split(":")[1])
    other.send(signal.SIGSTOP)
    began = time.monotonic()
    answer = client.ask("create", "f/b", "x", 0)
    assert (answer.end, answer.sqlstate) == ("unsure", "08006")
    assert time.monotonic() - began < 5 * SLOW
    assert client.word("endpoint") != f"127.0.0.1:{other.port}"
    other.send(signal.SIGCONT)
    wait_for(lambda: client.ask("range", "f/").end == "done", "etcd to answer", 30)


def test_without_a_leader_nothing_is_certain(three, clients):
    client = clients(three.hosts)
    client.done("create", "n/a", "x", 0)
    for member in three.members[1:]:
        member.kill()
    for words in (("range", "n/"), ("create", "n/b", "x", 0), ("grant", 5)):
        answer = client.ask(*words)
        assert answer.end in ("unsure", "failed"), words
        assert answer.sqlstate in ("08006", "08001")
    for member in three.members[1:]:
        member.start()
    wait_for(lambda: client.ask("range", "n/").end == "done", "etcd to be back", 60)
    assert int(client.word("longest")) < 500 * SLOW


def test_nobody_there(clients):
    client = clients(f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}")
    answer = client.ask("create", "a", "b", 0)
    assert (answer.end, answer.sqlstate) == ("failed", "08001")
    assert "127.0.0.1" in answer.message
    client = clients("no.such.name.invalid:2379")
    answer = client.ask("range", "a")
    assert (answer.end, answer.sqlstate) == ("failed", "08001")
    assert int(client.word("longest")) < 500 * SLOW


def test_a_name_instead_of_an_address(one, clients):
    client = clients(f"http://localhost:{one.members[0].port}")
    assert client.done("range", "name/").pairs == {}


@pytest.mark.parametrize("hosts", ["", "a:b", "ftp://x:1", "http://a/b", ",", "[::1", "a:0",
                                   ",".join(["h:1"] * 9)])
def test_hosts_that_are_none(hosts):
    done = subprocess.run([ASK, f"hosts={hosts}"], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=10 * SLOW)
    assert done.returncode == 1
    assert done.stdout.startswith("error\t22023\t")


def test_what_is_dropped_while_it_is_under_way(one, clients):
    client = clients(one.hosts)
    for number in range(20):
        client.send("create", f"drop/{number}", "x", 0)
    client.send("watch", "drop/")
    client.drop()


# ---- users --------------------------------------------------------------------------------

@pytest.fixture(name="guarded")
def guarded_fixture():
    etcd = Etcd()
    for words in (("user", "add", "root:r"), ("user", "grant-role", "root", "root"),
                  ("user", "add", "pgpool:p w"), ("role", "add", "pools"),
                  ("role", "grant-permission", "pools", "readwrite", "pools/", "pools0"),
                  ("user", "grant-role", "pgpool", "pools")):
        if words[:3] == ("user", "grant-role", "root"):
            etcd.control("role", "add", "root", check=False)
        etcd.control(*words)
    etcd.control("auth", "enable")
    yield etcd
    etcd.close()


def test_users(guarded, clients):
    client = clients(guarded.hosts, user="pgpool", password="p w", limit_ms=5000)
    watch = client.send("watch", "pools/")
    assert client.wait(watch) == ["changed"]
    assert client.done("create", "pools/a", "x", 0).succeeded
    assert client.done("range", "pools/").pairs == {"pools/a": "x"}
    answer = client.ask("range", "secret/")
    assert (answer.end, answer.sqlstate) == ("refused", "42501")
    # a restart forgets all tokens; nobody notices
    guarded.members[0].kill()
    guarded.members[0].start()
    wait_for(guarded.members[0].listens, "etcd to listen", 30)
    wait_for(lambda: client.ask("range", "pools/").end == "done", "a new token", 30)

    for parameters in ({"user": "pgpool", "password": "wrong"}, {"user": "nobody"}, {}):
        other = clients(guarded.hosts, limit_ms=5000, **parameters)
        answer = other.ask("range", "pools/")
        assert answer.end == "refused", parameters
        assert answer.sqlstate in ("28000", "55000"), answer.sqlstate


def test_a_user_where_there_are_none(one, clients):
    answer = clients(one.hosts, user="pgpool", password="x").ask("range", "a/")
    assert (answer.end, answer.sqlstate) == ("refused", "28000")
    assert "authentication is not enabled" in answer.message


# ---- TLS --------------------------------------------------------------------------------

def test_tls(tmp_path, clients):
    authority = certificates.Authority(str(tmp_path / "ca"))
    stranger = certificates.Authority(str(tmp_path / "other"), "other")
    identity = authority.issue("server", "IP:127.0.0.1,DNS:localhost")
    own = dict(zip(("cert", "key"), authority.issue("pgpool")))
    etcd = Etcd(1, authority, identity)
    try:
        port = etcd.members[0].port
        client = clients(etcd.hosts, ca_cert=authority.root, limit_ms=5000, **own)
        wait_for(lambda: client.ask("range", "a").end == "done", "etcd to answer", 30)
        assert client.done("create", "a", "b", 0).succeeded
        client = clients(f"https://localhost:{port}", ca_cert=authority.root, limit_ms=5000, **own)
        assert client.done("range", "a").pairs == {"a": "b"}
        for parameters in ({"ca_cert": stranger.root, **own}, {"ca_cert": authority.root},
                           {**own}):
            hosts = f"https://127.0.0.1:{port}"
            answer = clients(hosts, limit_ms=5000, **parameters).ask("create", "x", "y", 0)
            assert answer.end in ("failed", "unsure"), parameters
        assert clients(f"http://127.0.0.1:{port}", limit_ms=5000).ask("range", "a").end != "done"
        assert client.done("range", "x").pairs == {}
    finally:
        etcd.close()
