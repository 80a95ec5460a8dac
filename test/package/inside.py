"""The part of test/package/run with namespaces of its own: `inside.py ROOT DEB LATER BROKEN LAST`.

ROOT is a bare system with what the package depends on. The cluster's servers run outside of it, and
pgpool inside, on the port that it has by default.
"""

import os
import re
import subprocess
import sys
import traceback

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "test", "integration"))

from cluster import Cluster, Target, run  # noqa: E402  (found through the path set above)
import processes  # noqa: E402
from waiting import wait_for  # noqa: E402

CONFIG = "/etc/pgpool/pgpool.conf"


class Bare:
    """The bare system."""

    def __init__(self, root, cluster):
        self.root, self.cluster = root, cluster
        self.target = Target("localhost", 9999)

    def run(self, *words, check=True):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
               "LC_ALL": "C"}
        return run("chroot", self.root, *words, check=check, timeout=120, env=env)

    def path(self, name):
        return self.root + name

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def pid(self):
        """As we see it: /proc is the same."""
        return int(self.read("/run/pgpool/pgpool.pid"))

    def runs(self):
        return self.run("pgpool", "status", check=False).returncode == 0

    def owner(self, name):
        return self.run("stat", "-c", "%U:%G:%a", name).stdout.strip()

    def answers(self):
        """psql on the port."""
        done = run("psql", "-XAtc", "SELECT 40 + 2", env=self.target.env(), check=False)
        return done.stdout.strip() == "42"


def user_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"^Uid:\s+(\d+)", file.read(), re.M).group(1))


# ---- the checks, each on what the one before has left --------------------------------------------

def dpkg_installs_it(bare, debs):
    done = bare.run("dpkg", "-i", debs["first"])
    assert "error" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert bare.owner(CONFIG) == "root:pgpool:640"
    assert bare.owner("/etc/pgpool/pool_passwd") == "pgpool:pgpool:600"
    assert bare.owner("/var/lib/pgpool") == "pgpool:pgpool:750"
    assert not bare.runs(), "nobody has named a server yet"
    assert bare.run("pgpool", "configtest").returncode == 0


def five_lines_and_psql_works(bare, _debs):
    lines = [f"backend_hostname{n} = '127.0.0.1'\nbackend_port{n} = {server.port}\n"
             for n, server in enumerate(bare.cluster.servers[:2])]
    text = "".join(lines) + "sr_check_user = 'postgres'\n"
    assert text.count("\n") == 5
    with open(bare.path(CONFIG), "a", encoding="utf-8") as file:
        file.write(text)
    bare.run("/etc/init.d/pgpool", "start")
    wait_for(bare.answers, "psql to get an answer through the package's pgpool", 20)
    user = int(bare.run("id", "-u", "pgpool").stdout)
    assert {user_of(pid) for pid in [bare.pid(), *processes.children(bare.pid())]} == {user}
    rows = run("psql", "-XAtc", "SHOW pool_nodes", env=bare.target.env()).stdout.splitlines()
    assert [row.split("|")[3] for row in rows] == ["up", "up"]
    assert [name for name in os.listdir(bare.path("/var/log/pgpool")) if name.endswith(".log")]


def an_upgrade_keeps_session_and_configuration(bare, debs):
    before, old = bare.read(CONFIG), bare.pid()
    os.chmod(bare.path(CONFIG), 0o644)  # an administrator's choice
    with bare.target.connect() as session:
        session.execute("CREATE TEMP TABLE mine AS SELECT 7 AS n")
        session.execute("BEGIN")
        session.execute("INSERT INTO mine VALUES (8)")
        bare.run("dpkg", "-i", debs["later"])
        assert bare.pid() != old and processes.alive(old)
        assert session.execute("SELECT sum(n) FROM mine").fetchall() == [(15,)]
        session.execute("COMMIT")
        assert bare.answers()
    wait_for(lambda: not processes.alive(old), "the old one to end with its last session", 20)
    assert bare.read(CONFIG) == before
    assert bare.owner(CONFIG) == "root:pgpool:644"
    assert bare.run("dpkg-query", "-W", "-f", "${Status} ${Version}", "pgpool").stdout == \
        "install ok installed 0.2"


def a_version_that_does_not_start_changes_nothing(bare, debs):
    old = bare.pid()
    with bare.target.connect() as session:
        session.execute("CREATE TEMP TABLE mine AS SELECT 7 AS n")
        done = bare.run("dpkg", "-i", debs["broken"])
        assert "this one does not start" in done.stdout + done.stderr
        assert "the version that was running goes on" in done.stderr
        assert processes.alive(old) and bare.pid() == old
        assert session.execute("SELECT n FROM mine").fetchall() == [(7,)]
    assert bare.answers()
    bare.run("dpkg", "-i", debs["last"])
    assert bare.pid() != old and bare.answers()


def the_service_stops_and_starts(bare, _debs):
    bare.run("/etc/init.d/pgpool", "restart")
    wait_for(bare.answers, "psql to get an answer", 20)
    bare.run("/etc/init.d/pgpool", "stop")
    assert not bare.runs()
    assert bare.run("/etc/init.d/pgpool", "status", check=False).returncode == 3


def root_types_pgpool(bare, _debs):
    bare.run("rm", "-rf", "/run/pgpool")  # as after a boot
    bare.run("pgpool")
    wait_for(bare.answers, "psql to get an answer", 20)
    assert user_of(bare.pid()) == int(bare.run("id", "-u", "pgpool").stdout)
    assert bare.run("pgpool", "reload").returncode == 0


def bash_completes_words(bare, _debs):
    script = """source /usr/share/bash-completion/completions/pgpool
compopt() { :; }
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pgpool; echo "${COMPREPLY[*]}"; }
complete_line pgpool mi
complete_line pgpool -m f
complete_line pgpool --part = pool_l
complete_line pgpool migrate /etc/pgpool/pool_h
complete_line pgpool --no
complete_line pgpool top --sort = p
"""
    done = subprocess.run(["chroot", bare.root, "bash", "-c", script], check=True, text=True,
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert done.stdout.splitlines() == ["migrate", "fast", "pool_limits",
                                        "/etc/pgpool/pool_hba.conf", "--nodes=", "p99"]


def the_unit_is_right_and_hard(bare, _debs):
    unit = bare.path("/lib/systemd/system/pgpool.service")
    with open(unit, encoding="utf-8") as file:
        text = file.read()
    assert "\nUser=pgpool\n" in text and "\nStateDirectory=pgpool\n" in text
    assert "/usr/bin/pgpool -n -f /etc/pgpool/pgpool.conf" in text and "/usr/local" not in text
    if subprocess.run(["which", "systemd-analyze"], stdout=subprocess.DEVNULL,
                      check=False).returncode != 0:
        return
    done = run("systemd-analyze", "verify", f"--root={bare.root}", "pgpool.service", check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines()
                  if "pgpool.service" in line and "'man " not in line and
                  "sysinit.target" not in line]  # the bare system has neither
    assert not complaints, complaints
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=45", unit, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-800:]


def removal_stops_it_and_keeps_the_configuration(bare, _debs):
    pid = bare.pid()
    bare.run("dpkg", "-r", "pgpool")
    wait_for(lambda: not processes.alive(pid), "pgpool to end", 10)
    assert "sr_check_user = 'postgres'" in bare.read(CONFIG)


def purge_leaves_nothing(bare, _debs):
    bare.run("dpkg", "-P", "pgpool")
    found = [name for name in ("/etc/pgpool", "/var/lib/pgpool", "/var/log/pgpool", "/run/pgpool",
                               "/etc/init.d/pgpool") if os.path.exists(bare.path(name))]
    assert not found, found


CHECKS = [dpkg_installs_it, five_lines_and_psql_works, an_upgrade_keeps_session_and_configuration,
          a_version_that_does_not_start_changes_nothing, the_service_stops_and_starts,
          root_types_pgpool, bash_completes_words, the_unit_is_right_and_hard,
          removal_stops_it_and_keeps_the_configuration, purge_leaves_nothing]


def prepare(root, debs):
    """Mounts and network, which nobody else sees."""
    run("ip", "link", "set", "lo", "up")
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "proc", "proc", root + "/proc")
    run("mount", "--rbind", "/dev", root + "/dev")
    with open(root + "/etc/hosts", "w", encoding="utf-8") as file:  # an installer writes it
        file.write("127.0.0.1 localhost\n::1 localhost\n")
    inside = {}
    for name, path in debs.items():
        inside[name] = f"/tmp/{name}.deb"
        run("cp", path, root + inside[name])
    return inside


def main():
    root = sys.argv[1]
    debs = prepare(root, dict(zip(("first", "later", "broken", "last"), sys.argv[2:6])))
    cluster = Cluster()
    passed = failed = 0
    try:
        bare = Bare(root, cluster)
        for check in CHECKS:
            try:
                check(bare, debs)
                passed += 1
                print(f"ok      {check.__name__}", flush=True)
            except Exception:  # whatever it is, the next one may work
                failed += 1
                print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
    finally:
        cluster.destroy()
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
