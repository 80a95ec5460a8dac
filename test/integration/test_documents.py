"""doc/ is true: every command in it is run, every excerpt of a configuration checked, every link
followed. documents.py says how blocks are marked."""

import os
import re
import shutil
import subprocess

import pytest

import documents
from cluster import make_dir, owner
from documents import TOP, TUTORIAL, Place, blocks, parse, read, with_commands
from proxy import binary
from waiting import wait_for

pytestmark = pytest.mark.one_engine


@pytest.fixture(name="place")
def place_fixture():
    place = Place()
    yield place
    place.remove()


@pytest.fixture(name="etc")
def etc_fixture(authority):
    """A directory in the place of /etc/pgpool, with the files that excerpts name."""
    directory = make_dir("pgpool-etc-")
    certificate, key = authority.issue("server", names="DNS:localhost")
    for source, name in ((authority.root, "ca.crt"), (certificate, "server.crt"),
                         (key, "server.key")):
        path = os.path.join(directory, name)
        shutil.copy(source, path)
        if owner():
            shutil.chown(path, owner())
        os.chmod(path, 0o600)
    yield directory
    shutil.rmtree(directory)


def written(path):
    """The server's port in each line of the tutorial's second terminal."""
    with open(path, encoding="utf-8") as file:
        return re.findall(r"^\d+\|[\d:.]+\|(\d+)$", file.read(), re.M)


class Reader:
    """Somebody who follows documents to the letter, looks before going on, and notes what was
    seen."""

    def __init__(self, place):
        self.place = place
        self.terminal = None

    def look(self, block):
        """What the tutorial lets its reader wait for."""
        if "kill -9" in block.text:
            before = written(self.terminal)[-1]
            wait_for(lambda: written(self.terminal)[-1] != before,
                     "the writer to go on at another server", 60)
            wait_for(lambda: sorted(row[3] for row in self.place.nodes()) == ["down", "up", "up"],
                     "one node down", 30)
        if "RECOVER NODE" in block.text or "SWITCHOVER" in block.text:
            self.place.wait_all_up()
        if "pgpool upgrade" in block.text:
            self.place.wait_one_generation()

    def follow(self, block):
        if block.word == "elsewhere":
            return ""
        if block.word == "second-terminal":
            self.terminal = self.place.begin(block)
            wait_for(lambda: len(written(self.terminal)) > 2, "the second terminal to write", 30)
            return ""
        said = ""
        if block.word == "apply":
            self.place.apply(block)
        elif block.kind == "sh":
            said = self.place.run(block)
        elif block.kind == "sql":
            said = self.place.sql(block)
        self.look(block)
        return said

    def fresh(self):
        """As each how-to guide expects it: no settings of the one before."""
        self.place.end_terminals()
        self.place.wait_all_up()
        for name in ("pgpool.local.conf", "pool_hba.conf"):
            with open(os.path.join(self.place.data, name), "w", encoding="utf-8"):
                pass
        self.follow(documents.Block("a fresh start", 0, "sh", "pgpool upgrade"))


def prepare_old_files(place):
    """The files of Pgpool-II and PgBouncer that somebody moves from."""
    old = os.path.join(place.root, "old")
    os.mkdir(old)
    for source, name in (("streaming.conf", "pgpool.conf"), ("pgbouncer.ini", "pgbouncer.ini")):
        text = read(f"test/integration/migrate/{source}")
        numbers = iter(range(20001, 20100))
        filled = re.sub(r"@(primary|standby|port|pcp_port)@", lambda _: str(next(numbers)), text)
        with open(os.path.join(old, name), "w", encoding="utf-8") as file:
            file.write(filled.replace("@dir@", old))
    for name, text in (("userlist.txt", '"alice" "secret"\n'),
                       ("pool_hba.conf", "host all all 127.0.0.1/32 md5\n"),
                       ("pool_passwd", "alice:TEXTsecret\n")):
        path = os.path.join(old, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)


def test_every_command_works(place):
    """From nothing to the tutorial's failover, and through all guides; its last block cleans up."""
    reader = Reader(place)
    tutorial = parse(TUTORIAL, read(TUTORIAL))
    last = [block for block in tutorial if block.kind == "sh"][-1]
    said = {block: reader.follow(block) for block in tutorial if block is not last}
    whole = "\n".join(said.values())
    for words in re.findall(r'says "([^"]+)"', read(TUTORIAL)):
        assert words in whole
    assert "is the primary, on timeline 2" in whole and "streams from node" in whole
    prepare_old_files(place)
    for document in with_commands()[1:]:
        reader.fresh()
        for block in parse(document, read(document)):
            reader.follow(block)
    place.run(last)
    assert not os.path.exists(place.data)


def test_what_does_not_run_here_is_shell():
    for block in blocks("sh"):
        done = subprocess.run(["sh", "-n"], input=block.text, text=True, capture_output=True,
                              check=False)
        assert done.returncode == 0, f"{block}: {done.stderr}"


def test_excerpts_pass_configtest(etc):
    for block in blocks("conf"):
        said = documents.configtest(etc, block.text.replace("/etc/pgpool/", etc + "/"))
        assert not said, f"{block}: {said}"
    for block in blocks("hba"):
        said = documents.configtest(etc, "enable_pool_hba = on\nauth_user = 'x'\nssl = on\n"
                                    f"ssl_cert = '{etc}/server.crt'\nssl_key = '{etc}/server.key'\n"
                                    f"ssl_ca_cert = '{etc}/ca.crt'\n", block.text)
        assert not said, f"{block}: {said}"


def test_links_lead_somewhere():
    for document in documents.names("doc/*.md", "doc/howto/*.md", "doc/decisions/*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", read(document)):
            path, _, anchor = target.partition("#")
            if re.match(r"https?:", target):
                continue
            full = os.path.normpath(os.path.join(TOP, os.path.dirname(document), path)) \
                if path else os.path.join(TOP, document)
            assert os.path.exists(full), f"{document}: {target}"
            if anchor:
                with open(full, encoding="utf-8") as file:
                    heads = re.findall(r"^#+ (.*)$", file.read(), re.M)
                slugs = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
                assert anchor in slugs, f"{document}: {target}"


def test_messages_of_the_troubleshooting_guide_are_ours():
    """What stands in quotes in a heading there is in the program, but for names and numbers."""
    strings = subprocess.run(["strings", "-n", "4", binary()], capture_output=True, text=True,
                             check=True).stdout
    heads = re.findall(r"^### `([^`]+)`$", read("doc/howto/troubleshooting.md"), re.M)
    assert len(heads) >= 15
    for head in heads:
        for part in re.split(r"\.\.\.|\"[A-Za-z0-9_:.*]*\"|\d+", head):
            part = part.strip(" :,\"")
            assert len(part) < 4 or part in strings, f"{head}: no \"{part}\""


def test_a_broken_command_is_noticed(place):
    os.mkdir(place.data)
    for text in ("false", "psql --no-such-option", "true | false | cat"):
        with pytest.raises(AssertionError, match="a.md:3 failed"):
            place.run(documents.Block("a.md", 3, "sh", text))
    with pytest.raises(AssertionError, match="what is"):
        parse("a.md", "\n```sh nowhere\nfalse\n```\n")
    assert "unknown parameter" in documents.configtest(place.root, "no_such_option = 1\n")
