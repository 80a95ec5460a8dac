"""debian/ and package/ fit this pgpool; test/package/run installs the Debian package."""

import os
import re
import shlex
import subprocess
import urllib.error
import urllib.request

import pytest
import yaml

from cluster import run
from daemon import Daemon, answers
from proxy import binary
from waiting import free_port, wait_for

pytestmark = pytest.mark.one_engine

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def manifests():
    return {one["kind"]: one for one in yaml.safe_load_all(read("package/kubernetes.yaml"))}


def container():
    return manifests()["Deployment"]["spec"]["template"]["spec"]["containers"][0]


class Pod(Daemon):
    """pgpool with the configuration of the example, at places of this machine."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.http_port = free_port()
        self.settings["num_init_children"] = 2
        kinds = manifests()
        text = kinds["ConfigMap"]["data"]["pgpool.conf"]
        secret = os.path.join(self.directory, "secret.conf")
        with open(secret, "w", encoding="utf-8") as file:
            file.write(kinds["Secret"]["stringData"]["secret.conf"] +
                       "sr_check_user = 'postgres'\nauth_user = ''\n")
        servers = cluster.servers
        for old, new in (("port = 9999", f"port = {self.port}"),
                         ("'postgres-0.postgres'", f"'{servers[0].host}'"),
                         ("'postgres-1.postgres'", f"'{servers[1].host}'"),
                         ("backend_port0 = 5432", f"backend_port0 = {servers[0].port}"),
                         ("backend_port1 = 5432", f"backend_port1 = {servers[1].port}"),
                         ("http_port = 9719", f"http_port = {self.http_port}"),
                         ("/etc/pgpool-secret/secret.conf", secret),
                         ("'/run/pgpool", f"'{self.directory}"),
                         ("'/var/lib/pgpool'", f"'{self.directory}'")):
            assert old in text, old
            text = text.replace(old, new)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text + f"pcp_port = {self.pcp_port}\nlogging_collector = on\n"
                       f"log_directory = '{self.log_directory}'\nlog_filename = 'pgpool.log'\n")

    def write_config(self, **settings):
        assert not settings

    def wait_nodes(self):
        wait_for(lambda: answers(self), "pgpool to answer", 20)

    def status(self, path):
        try:
            url = f"http://127.0.0.1:{self.http_port}{path}"
            with urllib.request.urlopen(url, timeout=10) as page:
                return page.status
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(name="pod")
def pod_fixture(cluster):
    pod = Pod(cluster)
    try:
        yield pod.start()
    finally:
        pod.finish()


def test_kubernetes_probes_are_answered(pod):
    paths = {kind: container()[kind]["httpGet"]["path"]
             for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths["readinessProbe"] == "/ready"
    for path in paths.values():
        wait_for(lambda path=path: pod.status(path) == 200, f"{path} to say yes", 10)
    assert pod.status("/metrics") in (200, 401, 403)  # this machine may


def test_kubernetes_stop_waits_for_clients_and_then_tells_them(pod):
    words = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert words[:2] == ["/bin/sh", "-c"]
    grace = manifests()["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    waits = [int(number) for number in re.findall(r"(?:sleep|timeout) (\d+)", words[2])]
    assert len(waits) == 2 and sum(waits) < grace - 10
    script = re.sub(r"sleep \d+;", "", re.sub(r"timeout \d+", "timeout 1", words[2]))
    script = script.replace("pgpool -f /etc/pgpool/pgpool.conf",
                            shlex.join([binary(), "-f", pod.config]))
    assert script.count(pod.config) == 2
    with pod.connect() as session:
        session.execute("SELECT 1")
        done = subprocess.run(["/bin/sh", "-c", script], check=False, timeout=60)
        assert done.returncode == 0
        assert pod.ended()
        assert "shut" in str(pytest.raises(Exception, session.execute, "SELECT 1").value) or \
            session.closed


def test_the_container_has_every_library():
    """Each library that the program is linked with comes with a package that the recipe names."""
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", binary()).stdout)
    paths = dict(re.findall(r"(\S+) => (\S+)", run("ldd", binary()).stdout))
    final = read("package/Containerfile").rsplit("\nFROM ", 1)[1]
    assert len(needed) > 5
    for name in needed:
        if name.startswith(("libc.so", "libm.so", "libasan", "libubsan", "libgcc", "ld-linux")):
            continue
        real = os.path.realpath(paths[name])
        found = run("dpkg", "-S", real, check=False).stdout or \
            run("dpkg", "-S", real.replace("/usr/lib/", "/lib/", 1)).stdout
        package = found.split(":")[0]
        assert re.search(rf"[\s]{re.escape(package)}[\s]", final), f"{package} for {name}"


def test_the_package_s_configuration_is_accepted(tmp_path):
    for name in ("pgpool.conf", "pool_hba.conf"):
        (tmp_path / name).write_text(read("debian/files.d/" + name) +
                                     ("enable_pool_hba = on\n" if name == "pgpool.conf" else ""))
    (tmp_path / "pool_passwd").touch(0o600)
    (tmp_path / "conf.d").mkdir()
    done = run(binary(), "-f", str(tmp_path / "pgpool.conf"), "configtest", check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "warning" in line] == \
        [line for line in done.stderr.splitlines() if "no node is configured" in line]


@pytest.mark.parametrize("name", ["package/bash-completion", "debian/pgpool.postinst",
                                  "debian/pgpool.prerm", "debian/pgpool.postrm",
                                  "debian/pgpool.init"])
def test_scripts_can_be_read(name):
    run("bash" if name.startswith("package") else "sh", "-n", os.path.join(TOP, name))


def test_completion_knows_every_word_and_option():
    text = read("package/bash-completion")
    usage = run(binary(), "--help").stdout
    words = set(re.findall(r"^  pgpool (?:\[.*?\] ?(?:\.\.\.)? ?)*(\w+)", usage, re.M))
    options = set(re.findall(r"--[a-z-]+", usage))
    assert {"migrate", "upgrade", "compare"} <= words and "--part" in options
    missing = [word for word in words | options if not re.search(rf"(?<!\w){word}\b", text)]
    assert not missing
