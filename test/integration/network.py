"""A network of namespaces for a pgpool and its servers, which can be cut between any two of them,
each direction by itself: what is sent is lost, and nobody hears of it. Needs root. The tests
themselves reach everybody over unix sockets.

A cut is a rule of routing at the receiver: what comes in from there has no way on. Source: ip-rule
(8), ip-netns(8)."""

import contextlib
import ctypes
import itertools
import os
import socket

from cluster import owner, run
from failing import FailingCluster, Keeper, Node
from waiting import SLOW

CLONE_NEWNET = 0x40000000
HBA = "local all,replication all trust\nhost all,replication all 10.93.0.0/24 trust\n"


def possible():
    """Is the kernel's part of it there, and are we allowed to?"""
    if os.getuid() != 0:
        return False
    name = f"pgpool-try-{os.getpid()}"
    try:
        if run("ip", "netns", "add", name, check=False).returncode != 0:
            return False
        done = run("ip", "-n", name, "link", "add", "br0", "type", "bridge", check=False)
        return done.returncode == 0
    except FileNotFoundError:
        return False
    finally:
        run("ip", "netns", "del", name, check=False)


class Network:
    """A bridge, and as many places at it as are asked for."""

    numbers = itertools.count()

    def __init__(self):
        self.name = f"pgpool-{os.getpid()}-{next(Network.numbers)}"
        self.places, self.cuts = [], []
        self._ip("netns", "add", self.name)
        self._ip("-n", self.name, "link", "add", "br0", "type", "bridge")
        self._ip("-n", self.name, "link", "set", "br0", "up")

    @staticmethod
    def _ip(*words):
        run("ip", *words)

    def place(self):
        """Returns its number; see address() and inside()."""
        number = len(self.places)
        space = f"{self.name}-{number}"
        self._ip("netns", "add", space)
        self.places.append(space)
        self._ip("-n", self.name, "link", "add", f"v{number}", "type", "veth", "peer", "name",
                 "eth0", "netns", space)
        self._ip("-n", self.name, "link", "set", f"v{number}", "master", "br0", "up")
        self._ip("-n", space, "address", "add", f"{self.address(number)}/24", "dev", "eth0")
        self._ip("-n", space, "link", "set", "eth0", "up")
        self._ip("-n", space, "link", "set", "lo", "up")
        # behind our rules comes what is said about our own addresses
        self._ip("-n", space, "rule", "add", "pref", "100", "table", "local")
        self._ip("-n", space, "rule", "del", "pref", "0")
        # whose client has gone without a word (its RST was lost) is told so within the test
        run(*self.inside(number), "sysctl", "-qw", *(f"net.ipv4.tcp_keepalive_{name}={value}"
            for name, value in (("time", 3), ("intvl", 1), ("probes", 3))))
        return number

    @staticmethod
    def address(number):
        return f"10.93.0.{number + 1}"

    def inside(self, number):
        """In front of a command that is to run there."""
        return ["ip", "netns", "exec", self.places[number]]

    @contextlib.contextmanager
    def entered(self, number):
        """This thread is there meanwhile: sockets that it makes belong there, for good. Source:
        setns(2)."""
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.places[number]}", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"could not enter {self.places[number]}")
            try:
                yield
            finally:
                if libc.setns(here, CLONE_NEWNET) != 0:
                    os._exit(1)  # whatever it did next would be done elsewhere
        finally:
            os.close(here)
            os.close(there)

    def socket(self, number, *kind, make=socket.socket):
        with self.entered(number):
            return make(*kind)

    def pids(self, number):
        """All processes there."""
        return [int(pid) for pid in run("ip", "netns", "pids", self.places[number]).stdout.split()]

    def cut(self, sender, receiver):
        rule = ("rule", "add", "pref", "5", "iif", "eth0", "from", self.address(sender),
                "blackhole")
        cut = (self.places[receiver], rule)
        if cut not in self.cuts:
            self._ip("-n", self.places[receiver], *rule)
            self.cuts.append(cut)

    def cut_both(self, one, other):
        self.cut(one, other)
        self.cut(other, one)

    def mend(self):
        for space, rule in self.cuts:
            self._ip("-n", space, "rule", "del", *rule[2:])
        self.cuts = []

    def destroy(self):
        for space in [*self.places, self.name]:
            run("ip", "netns", "del", space, check=False)


class FarNode(Node):
    """A server at a place of its own, the number of which is one more than the node's."""

    def __init__(self, cluster, name):
        super().__init__(cluster, name)
        self.place = cluster.network.place()
        self.host, self.port = cluster.directory, 5432 + self.place  # the sockets' names differ
        self.address = cluster.network.address(self.place)
        self.prefix = cluster.network.inside(self.place)

    def configure(self, text):
        with open(self.data + "/pg_hba.conf", "w", encoding="utf-8") as file:
            file.write(HBA)
        super().configure("listen_addresses = '*'\n" + text)


class FarCluster(FailingCluster):
    """Place 0 is pgpool's."""

    server_class = FarNode

    def __init__(self, standbys=2):
        self.network = Network()
        self.network.place()
        try:
            super().__init__(standbys)
        except BaseException:
            self.network.destroy()
            raise

    def destroy(self):
        self.network.mend()
        super().destroy()
        self.network.destroy()


class FarKeeper(Keeper):
    """A pgpool at place 0. The tests come to it over its unix socket."""

    def __init__(self, cluster, engine="auto", **settings):
        names = {f"backend_hostname{n}": server.address
                 for n, server in enumerate(cluster.servers)}
        quick = {"connect_timeout": f"{int(2000 * SLOW)}ms"}
        super().__init__(cluster, engine, **(names | quick | settings))
        self.host = self.directory
        if not owner():
            raise RuntimeError("only root may do this")

    def command(self, *words):
        return [*self.cluster.network.inside(0), *super().command(*words)]


