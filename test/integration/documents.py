"""The commands in doc/: found by their fences, and run in a scratch set-up.

A fence's first word says what a block is, the words behind it what becomes of it:

    sh                    run by bash, in order; the first command that fails is the end
    sh second-terminal    the same, beside the others, until the document ends
    sh elsewhere          cannot be run here (systemctl, kubectl, another host): only its syntax
    sql, sql admin        run through pgpool's port, or its administration port's unix socket
    sql server            run at the primary, as its superuser
    sql elsewhere         not run
    conf                  part of a pgpool.conf: `pgpool configtest` must find nothing
    conf apply            the same, and in force for what follows
    hba, hba apply        a pool_hba.conf
    text                  what something prints, a diagram

Paths and ports are in the documents as a reader has them; here they are replaced."""

import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import textwrap

import processes
from cluster import as_owner, bin_dir, make_dir, owner, run
from proxy import binary
from waiting import SLOW, wait_for

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
WORDS = {"sh": {"", "second-terminal", "elsewhere"}, "conf": {"", "apply"}, "hba": {"", "apply"},
         "sql": {"", "admin", "server", "elsewhere"}, "text": {""}}
TUTORIAL = "doc/tutorial.md"
BASE = """backend_hostname0 = '127.0.0.1'
backend_port0 = 5432
sr_check_user = 'pgpool_check'
sr_check_password = 'x'
"""


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def names(*patterns):
    return sorted(os.path.relpath(path, TOP) for pattern in patterns
                  for path in glob.glob(os.path.join(TOP, pattern)))


def with_commands():
    return [TUTORIAL] + names("doc/explanation.md", "doc/howto/*.md")


class Block:
    """One fenced block of a document."""

    def __init__(self, document, line, info, text):
        self.where = f"{document}:{line}"
        self.kind, _, self.word = info.partition(" ")
        self.text = text

    def __repr__(self):
        return self.where


def parse(document, text):
    found = []
    fence = re.compile(r"^( *)```(.*)\n((?:(?! *```).*\n)*?) *```$", re.M)
    for match in fence.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        block = Block(document, line, match[2], textwrap.dedent(match[3]))
        assert block.word in WORDS.get(block.kind, ()), f"{block}: what is \"{match[2]}\"?"
        found.append(block)
    assert len(re.findall(r"^ *```", text, re.M)) == 2 * len(found), f"{document}: an open fence"
    return found


def blocks(kind=None):
    return [block for document in with_commands() for block in parse(document, read(document))
            if kind in (None, block.kind)]


class Place:
    """Where documents are followed: a checkout with quickstart, which takes the pgpool that is
    tested instead of building one, and a directory that is both its and /etc/pgpool."""

    def __init__(self):
        self.root = make_dir("pgpool-doc-")
        self.top = os.path.join(self.root, "checkout")
        self.data = os.path.join(self.root, "data")
        self.bin = os.path.join(self.root, "bin")
        self.saved = os.path.join(self.root, "environment")
        self.beside = []
        os.makedirs(self.bin)
        os.mkdir(os.path.join(self.root, "home"))
        shutil.copytree(os.path.join(TOP, "sample"), os.path.join(self.top, "sample"))
        build = os.path.join(self.top, "sample", "quickstart.d", "build.sh")
        with open(build, "a", encoding="utf-8") as file:
            file.write("check_packages() { packages=; }\nbuild() {\n"
                       f"    install -D {shlex.quote(binary())} \"$dir/build/pgpool\"\n}}\n")
        self.make_tools()

    def make_tools(self):
        """pgpool finds the configuration that a reader has in /etc/pgpool; the other tools."""
        user = f"runuser -u {owner()} -- " if owner() else ""
        wrapper = os.path.join(self.bin, "pgpool")
        program = os.path.join(self.data, "build", "pgpool")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\ncase \" $* \" in *' migrate '* | *' -f '* | *' top '*)"
                       f" exec {program} \"$@\" ;; esac\ncd /\nexec {user}{program}"
                       f" -f {self.data}/pgpool.conf -F {self.data}/pcp.conf"
                       f" -a {self.data}/pool_hba.conf \"$@\"\n")
        os.chmod(wrapper, 0o755)
        built = os.path.dirname(os.path.realpath(binary()))
        for tool in names("doc/pcp_*.1"):
            os.symlink(os.path.join(built, "pcp"),
                       os.path.join(self.bin, os.path.basename(tool)[:-2]))
        shutil.copy(os.path.join(built, "pg_enc"), os.path.join(self.root, "pg_enc"))
        with open(os.path.join(self.bin, "pg_enc"), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ncd /\nexec {user}{self.root}/pg_enc \"$@\"\n")
        os.chmod(os.path.join(self.bin, "pg_enc"), 0o755)

    def settings(self):
        path = os.path.join(self.data, "settings")
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file)

    def here(self, text):
        """The text with the paths and ports of this place."""
        taken = self.settings()
        ports = {"9999": "pgpool_port", "9898": "pcp_port", "9719": "http_port",
                 "5433": "node0_port", "5434": "node1_port", "5435": "node2_port"}
        text = text.replace("/var/tmp/pgpool-tutorial", self.data)
        text = text.replace("/etc/pgpool/", self.data + "/")
        text = text.replace("/etc/pgpool2/", self.root + "/old/")
        text = re.sub(r"\bchown pgpool\b", f"chown {owner() or os.getuid()}", text)
        return re.sub(r"\b(" + "|".join(ports) + r")\b",
                      lambda found: taken.get(ports[found[0]], found[0]), text)

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "HOME": os.path.join(self.root, "home"), "PAGER": "cat",
                "PATH": f"{self.bin}:{kept['PATH']}:{bin_dir()}"}

    def bash(self, text):
        prologue = f"[ ! -e {self.saved} ] || . {self.saved}\nset -eo pipefail\n"
        return ["bash", "-c", f"{prologue}{self.here(text)}\nexport -p >{self.saved}"]

    def run(self, block):
        """What the block printed; it must succeed."""
        done = subprocess.run(self.bash(block.text), cwd=self.top, env=self.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=120 * SLOW, check=False)
        assert done.returncode == 0, f"{block} failed with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def begin(self, block):
        """Runs it beside the others; returns where its output goes."""
        path = os.path.join(self.root, f"output{len(self.beside)}")
        with open(path, "w", encoding="utf-8") as output:
            self.beside.append(subprocess.Popen(
                self.bash(block.text), cwd=self.top, env=self.environment(), text=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True))
        return path

    def sql(self, block):
        database = ("-h", "localhost", "-p", "9999", "-U", "quickstart", "quickstart")
        if block.word == "admin":
            database = ("-h", f"{self.data}/run", "-p", "9898", "pgpool")
        if block.word == "server":
            database = ("-h", "127.0.0.1", "-p", str(self.primary_port()), "-U", "postgres")
        file = os.path.join(self.root, "block.sql")
        with open(file, "w", encoding="utf-8") as output:
            output.write(self.here(block.text))
        command = ["psql", "-Xw", "-v", "ON_ERROR_STOP=1", "-f", file,
                   *(self.here(word) for word in database)]
        done = run(*command, check=False,
                   env={**self.environment(), "PGPASSFILE": self.data + "/pgpass"})
        assert done.returncode == 0, f"{block} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def nodes(self):
        """Rows of SHOW pool_nodes: node, host, port, status, ..., role at [6]."""
        port = self.settings()["pgpool_port"]
        done = run("psql", "-XAtw", "-h", "localhost", "-p", port, "-U", "quickstart", "-c",
                   "SHOW pool_nodes", "quickstart",
                   env={**self.environment(), "PGPASSFILE": self.data + "/pgpass"})
        return [line.split("|") for line in done.stdout.splitlines()]

    def primary_port(self):
        return wait_for(lambda: [row[2] for row in self.nodes()
                                 if row[6] == "primary" and row[3] == "up"],
                        "a primary", 30)[0]

    def wait_all_up(self):
        wait_for(lambda: [row[3] for row in self.nodes()] == ["up"] * 3, "all nodes to be up", 60)

    def wait_one_generation(self):
        """Until processes from before an upgrade have ended: pause and drain are refused before."""
        command = [os.path.join(self.bin, "pgpool"), "status"]
        wait_for(lambda: "an older generation" not in run(*command).stdout, "one generation", 30)

    def apply(self, block):
        name = "pgpool.local.conf" if block.kind == "conf" else "pool_hba.conf"
        with open(os.path.join(self.data, name), "a", encoding="utf-8") as file:
            file.write(self.here(block.text))

    def end_terminals(self):
        for process in self.beside:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.beside = []

    def remove(self):
        self.end_terminals()
        pids = []
        for name in ("node*/postmaster.pid", "run/pgpool.pid"):
            for path in glob.glob(os.path.join(self.data, name)):
                with open(path, encoding="utf-8") as file:
                    pids.append(int(file.readline()))
        for pid in pids:
            if processes.alive(pid):
                os.kill(pid, signal.SIGQUIT)
        wait_for(lambda: not [pid for pid in pids if processes.alive(pid)], "the end", 30)
        shutil.rmtree(self.root)


def configtest(directory, text, hba="local all all trust\n"):
    """What is wrong with that as a pgpool.conf, and with that as its pool_hba.conf."""
    paths = {"pgpool.conf": BASE + text, "pool_hba.conf": hba}
    for name, content in paths.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(os.path.join(directory, name), 0o644)
    done = run(*as_owner(binary(), "-f", os.path.join(directory, "pgpool.conf"), "configtest"),
               check=False, cwd="/")
    said = done.stdout + done.stderr
    return said if done.returncode != 0 or "without effect" in said else ""
