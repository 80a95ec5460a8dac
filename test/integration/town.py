"""Three pgpools with a watchdog, three members of etcd and a cluster of PostgreSQL, each at a place
of its own in a network that can be cut (network.py), and a place where clients are. The leading
pgpool holds a virtual address there. Needs root and etcd.

Each pgpool has clocks of its own, as machines have: CLOCK_MONOTONIC and CLOCK_BOOTTIME begin
anywhere, and anew whenever it does. Source: time_namespaces(7), unshare(1)."""

import errno
import os
import random
import shutil
import signal
import socket

import processes
import raw
from cluster import Target, run
from etcd import CONTROL, PROGRAM, Etcd, Member
from failing import FailingCluster, Keeper, Load, Reader, Writer
from network import FarNode, Network, possible
from waiting import SLOW, wait_for, wait_learnt

PGPOOLS, MEMBERS = 3, 3
CLIENT = PGPOOLS + MEMBERS  # its place; the servers' follow
VIRTUAL = "10.93.0.200"
PORT, ETCD_PORT = 9999, 2379
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


def town_possible():
    return possible() and bool(PROGRAM and CONTROL and shutil.which("unshare"))


# ---- etcd ----------------------------------------------------------------------------------------

class FarMember(Member):
    def __init__(self, cluster, name):
        super().__init__(cluster, name)
        self.network = cluster.network
        self.place = PGPOOLS + int(name[1:])
        self.host, self.prefix = self.network.address(self.place), self.network.inside(self.place)
        self.port, self.peer_port = ETCD_PORT, ETCD_PORT + 1
        self.frozen = False

    def listens(self):
        assert self.process.poll() is None, self.cluster.logs()
        with self.network.socket(CLIENT) as probe:
            return probe.connect_ex((self.host, self.port)) == 0

    def freeze(self):
        self.send(signal.SIGSTOP)
        self.frozen = True

    def revive(self):
        """Whatever was done to it."""
        if self.process is None:
            self.start()
        elif self.frozen:
            self.send(signal.SIGCONT)
        self.frozen = False


class FarEtcd(Etcd):
    """In memory: a busy disk would stop it for seconds, and that is a fault of its own."""

    member_class = FarMember
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None

    def __init__(self, network):
        self.network = network
        self.prefix = network.inside(CLIENT)
        super().__init__(MEMBERS)

    def revive(self):
        for member in self.members:
            member.revive()
        wait_for(self.has_leader, "etcd to have a leader", 30)


# ---- clients -------------------------------------------------------------------------------------

class Cautious(socket.socket):
    """Notices by itself that the other side has gone, as a client's should that uses a virtual
    address: a connection to whoever held it before is answered by nobody, or by a reset."""

    def __init__(self):
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                              (socket.TCP_KEEPCNT, 4), (socket.TCP_USER_TIMEOUT, 5000)):
            self.setsockopt(socket.IPPROTO_TCP, option, value)

    def recv(self, *arguments):
        return self._ended(super().recv, *arguments)

    def sendall(self, *arguments):
        return self._ended(super().sendall, *arguments)

    @staticmethod
    def _ended(call, *arguments):
        try:
            return call(*arguments)
        except TimeoutError as error:
            if error.errno == errno.ETIMEDOUT:  # the kernel's word, not that of our own deadline
                raise ConnectionResetError(str(error)) from error
            raise


class Remote(Target):
    """An address, as it is reached from the clients' place."""

    connect_s = 5.0
    name = "remote"

    def __init__(self, town, host, port=PORT, cautious=False):
        super().__init__(host, port)
        self.network, self.cautious = town.network, cautious

    def open(self, timeout):
        one = self.network.socket(CLIENT, make=Cautious if self.cautious else socket.socket)
        try:
            one.settimeout(min(timeout, self.connect_s))
            one.connect((self.host, self.port))
            one.settimeout(timeout)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            one.close()
            raise ConnectionRefusedError(f"{self.host} does not answer") from error
        except BaseException:
            one.close()
            raise
        return one


class TownWriter(Writer):
    """Knows which pgpool it is at. There are many, and the machine is small: they take their
    time."""

    PAUSE_S = 0.03

    def __init__(self, *arguments):
        self.at, self.last = {}, None  # at: n: a pgpool's number
        super().__init__(*arguments)

    def step(self, one):
        if one is not self.last:
            self.last, self.where = one, whose(one)
        before = self.done
        super().step(one)
        if self.done > before:
            self.at[self.number] = self.where
        self.leaving.wait(self.PAUSE_S)


class TownLoad(Load):
    """Writers at the virtual address, so many, one at each pgpool, and readers at each of these."""

    def __init__(self, town, patience=None, virtual=2):
        virtual = virtual if town.address else 0
        patience = patience or 75 * SLOW
        self.pgpool = town.pgpools[0]
        doors = [town.virtual] * virtual + [pgpool.door for pgpool in town.pgpools]
        self.writers = [TownWriter(door, next(Load.numbers), patience) for door in doors]
        self.readers = [Reader(door, n, patience)
                        for n, door in enumerate(doors[max(virtual - 1, 0):])]
        self.all = self.writers + self.readers
        try:
            self.wait_going_on()
            for pgpool in town.pgpools:
                wait_learnt(pgpool)
        except BaseException:
            self.leave()
            raise


def whose(one):
    """The number of the pgpool that this connection is to."""
    return int(one.rows("PGPOOL SHOW pgpool_node_id")[0][0])


# ---- pgpools -------------------------------------------------------------------------------------

class TownPgpool(Keeper):
    """One of the three; the tests come to it over its unix socket, clients through its door."""

    if_path = os.path.dirname(shutil.which("ip") or "/sbin/ip")
    arping = shutil.which("arping")

    def __init__(self, town, number, engine="auto", **settings):
        self.town, self.number, self.network = town, number, town.network
        names = {f"backend_hostname{n}": server.address
                 for n, server in enumerate(town.cluster.servers)}
        quick = {"connect_timeout": f"{int(2000 * SLOW)}ms"}
        super().__init__(town.cluster, engine, **(names | quick | self.watchdog() | settings))
        self.host = self.directory
        self.door = Remote(town, self.network.address(number))
        self.stopped = ()
        self.faketime = os.path.join(self.directory, "clock")
        self.step_clock(0)

    def watchdog(self):
        """All members listen at the same port: what clients know is the virtual address."""
        others = {f"hostname{n}": self.network.address(n) for n in range(PGPOOLS)} | \
                 {f"pgpool_port{n}": PORT for n in range(PGPOOLS)}
        return others | {
            "port": PORT, "listen_addresses": "*",
            "use_watchdog": "on", "pgpool_node_id": self.number, "wd_priority": 3 - self.number,
            "wd_etcd_hosts": self.town.etcd.hosts,
            "delegate_ip": VIRTUAL if self.town.address else "",
            "if_cmd_path": self.if_path, **self.announcing()}

    def announcing(self):
        return {"arping_path": os.path.dirname(self.arping)} if self.arping else {}

    def command(self, *words):
        boot = random.randrange(10 ** 6)
        clocks = ["unshare", "-T", "--boottime", str(boot), "--monotonic", str(boot // 2)]
        return [*self.network.inside(self.number), *(clocks if words == ("-n",) else []),
                *super().command(*words)]

    def step_clock(self, seconds):
        """The wall clock, when this runs under libfaketime (Town's faketime)."""
        with open(self.faketime + ".new", "w", encoding="ascii") as file:
            file.write(f"{seconds:+d}s\n")
        os.rename(self.faketime + ".new", self.faketime)

    def launch(self):
        kept = dict(os.environ)
        if self.town.faketime:
            os.environ |= {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.faketime,
                           "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
        try:
            super().launch()
        finally:
            os.environ.clear()
            os.environ.update(kept)

    def all_pids(self):
        """Also those that its parent has left behind."""
        return self.network.pids(self.number)

    def signal_all(self, signo, pids=None):
        pids = self.all_pids() if pids is None else pids
        for pid in pids:
            try:
                os.kill(pid, signo)
            except ProcessLookupError:
                pass
        return pids

    def freeze(self):
        self.stopped = self.signal_all(signal.SIGSTOP)

    def thaw(self):
        self.signal_all(signal.SIGCONT, self.stopped)
        self.stopped = ()

    def kill_all(self):
        """At once, as if its machine had lost power, but that its sockets are closed."""
        self.signal_all(signal.SIGKILL)
        self.gone()

    def gone(self, timeout=20):
        """Waits until nobody is left, and forgets it."""
        self.stopped = ()
        self.process.wait(timeout * SLOW)
        wait_for(lambda: not self.all_pids(), f"the end of pgpool {self.number}", timeout)
        if self in Keeper.running:
            Keeper.running.remove(self)

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def revive(self):
        """Whatever was done to it; without waiting until it answers."""
        if self.stopped:
            self.thaw()
        if not self.runs():
            if self.process is not None:
                self.gone()
            self.launch()

    def answers(self):
        return self.runs() and self._answers()


# ---- the town ------------------------------------------------------------------------------------

class TownCluster(FailingCluster):
    server_class = FarNode

    def __init__(self, network):
        self.network = network
        super().__init__()


class Town:
    """All of it, running and settled. settings are those of all pgpools; address False: they have
    no virtual one, as behind a load balancer; faketime: their wall clocks can step."""

    pgpool_class = TownPgpool

    def __init__(self, engine="auto", faketime=False, address=True, **settings):
        self.faketime, self.address = faketime, address
        self.network = Network()
        self.etcd = self.cluster = None
        self.pgpools = []
        try:
            for _ in range(CLIENT + 1):
                self.network.place()
            self.etcd = FarEtcd(self.network)
            self.cluster = TownCluster(self.network)
            self.virtual = Remote(self, VIRTUAL, cautious=True)
            self.pgpools = [self.pgpool_class(self, number, engine, **settings)
                            for number in range(PGPOOLS)]
            for pgpool in self.pgpools:
                pgpool.launch()
            self.wait_settled()
        except BaseException as error:
            logs = "".join(f"pgpool {one.number}:\n{one.log_text()[-4000:]}\n"
                           for one in self.pgpools if os.path.exists(one.log))
            self.destroy()
            raise AssertionError(f"no town: {error}\n{logs}") from error

    def leader_key(self):
        """Number of the pgpool that leads, as etcd says; None: nobody."""
        words = self.etcd.control("get", "--print-value-only", "/pgpool/leader",
                                  check=False).stdout.split()
        return next((int(word[3:]) for word in words if word.startswith("id=")), None)

    def leader(self):
        number = self.leader_key()
        return None if number is None else self.pgpools[number]

    def wait_leader(self, *others, timeout=30):
        """Until one leads who is none of these."""
        return wait_for(lambda: (one := self.leader()) and one not in others and one,
                        "a leader", timeout, 0.05)

    def holders(self):
        """Who has the virtual address now, as ip tells."""
        return [number for number in range(PGPOOLS) if f" {VIRTUAL}/" in
                run("ip", "-n", self.network.places[number], "-o", "address").stdout]

    def virtual_at(self, connect_s=1.0):
        """Number of the pgpool that answers at the virtual address; None: none does."""
        door = Remote(self, VIRTUAL, cautious=True)
        door.connect_s = connect_s
        try:
            with raw.connected(door, timeout=max(2 * connect_s, 1.0)) as one:
                return whose(one)
        except (OSError, TimeoutError, raw.Closed, AssertionError):
            return None

    def agree(self):
        """All see all nodes up and the same primary; the leader alone has the address, which
        answers."""
        try:
            primaries = {one.primary() for one in self.pgpools}
            states = {state for one in self.pgpools for state in one.states()}
        except (OSError, TimeoutError, raw.Closed, AssertionError) as error:
            return f"{type(error).__name__}: {error}"
        leader = self.leader_key()
        found = {"primaries": primaries, "states": states, "leader": leader,
                 "holders": self.holders()}
        if len(primaries) != 1 or -1 in primaries or states != {"up"} or leader is None:
            return found
        if self.address and (found["holders"] != [leader] or self.virtual_at() != leader):
            return found
        return None

    def wait_settled(self, timeout=60):
        for pgpool in self.pgpools:
            wait_for(pgpool.answers, f"pgpool {pgpool.number} to answer", timeout, 0.1)
        seen = [None]

        def agree():
            seen[0] = self.agree()
            return seen[0] is None

        try:
            wait_for(agree, "all to agree", timeout, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen[0]}") from error

    def revive(self):
        """Everybody but the servers runs, and the network is whole."""
        self.network.mend()
        self.etcd.revive()
        for pgpool in self.pgpools:
            pgpool.revive()

    def finish(self):
        """Every pgpool is to end well."""
        wrong = []
        for pgpool in reversed(self.pgpools):
            try:
                pgpool.finish()
            except AssertionError as error:
                wrong.append(f"pgpool {pgpool.number}: {error}")
        self.pgpools = []
        self.destroy()
        assert not wrong, "\n".join(wrong)

    def destroy(self):
        for pgpool in self.pgpools:
            if pgpool.process is not None:
                pgpool.signal_all(signal.SIGKILL)
            pgpool.kill()
        self.network.mend()
        try:
            if self.cluster:
                self.cluster.destroy()
        finally:
            if self.etcd:
                self.etcd.close()
            self.network.destroy()


def young(pid, word):
    """Pids of the processes below that one in whose title the word stands."""
    return [one for one in processes.young(pid) if f" {word}" in f" {processes.title(one)}"]
