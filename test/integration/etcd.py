"""Real etcd members on loopback ports of their own, in a directory that goes with them."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from waiting import SLOW, free_port, wait_for

# The package of Debian; the demo and the tests run its program, never its service.
PROGRAM = shutil.which("etcd")
CONTROL = shutil.which("etcdctl")


class Member:
    host = "127.0.0.1"
    prefix = ()  # of the command that starts it

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.port, self.peer_port = free_port(), free_port()
        self.process = None

    @property
    def peer(self):
        return f"http://{self.host}:{self.peer_port}"

    def start(self):
        cluster = self.cluster
        scheme = "https" if cluster.identity else "http"
        url = f"{scheme}://{self.host}:{self.port}"
        words = [*self.prefix, PROGRAM, "--name", self.name, "--data-dir", cluster.path(self.name),
                 "--listen-client-urls", url, "--advertise-client-urls", url,
                 "--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer,
                 "--initial-cluster",
                 ",".join(f"{member.name}={member.peer}" for member in cluster.members),
                 "--heartbeat-interval", "50", "--election-timeout", "500"]
        if cluster.identity:
            words += ["--cert-file", cluster.identity[0], "--key-file", cluster.identity[1],
                      "--client-cert-auth", "--trusted-ca-file", cluster.authority.root]
        with open(cluster.path(self.name + ".log"), "ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)

    def listens(self):
        assert self.process.poll() is None, self.cluster.logs()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, signo):
        self.process.send_signal(signo)
        if signo == signal.SIGSTOP:  # its threads stop one by one, and may answer until then
            wait_for(lambda: self._states() == {"T"}, "it to stop", 30)

    def _states(self):
        found = set()
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/stat"):
            try:
                with open(path, encoding="utf-8") as file:
                    found.add(file.read().rpartition(")")[2].split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # that thread has ended
        return found

    def kill(self):
        if self.process is None:
            return
        self.process.kill()
        self.process.wait(30 * SLOW)
        self.process = None


class Etcd:
    member_class = Member
    prefix = ()  # of etcdctl's commands
    base = None  # where its directory is

    def __init__(self, count=1, authority=None, identity=None):
        self.directory = tempfile.mkdtemp(prefix="pgpool-etcd-", dir=self.base)
        self.authority, self.identity = authority, identity
        self.members = []
        self.members += [self.member_class(self, f"m{number}") for number in range(count)]
        for member in self.members:
            member.start()
        for member in self.members:
            wait_for(member.listens, f"{member.name} to listen", 30)
        if not identity:
            wait_for(self.has_leader, "etcd to have a leader", 30)

    def path(self, name):
        return os.path.join(self.directory, name)

    def logs(self):
        text = ""
        for member in self.members:
            with open(self.path(member.name + ".log"), encoding="utf-8", errors="replace") as log:
                text += log.read()[-2000:]
        return text

    @property
    def hosts(self):
        return ",".join(f"{member.host}:{member.port}" for member in self.members)

    def control(self, *words, check=True):
        done = subprocess.run([*self.prefix, CONTROL, "--endpoints", self.hosts, *words],
                              capture_output=True, text=True, check=False, timeout=30 * SLOW,
                              env={**os.environ, "ETCDCTL_API": "3"})
        assert not check or done.returncode == 0, done.stderr
        return done

    def has_leader(self):
        return self.control("get", "nothing", check=False).returncode == 0

    def member_at(self, port):
        return next(member for member in self.members if member.port == int(port))

    def close(self):
        for member in self.members:
            if member.process is not None:
                member.send(signal.SIGCONT)
            member.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
