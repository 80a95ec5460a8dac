"""The ways in which products are used, and what is measured in each.

A mode measures one product once and returns a Sample. What is counted is named by its units: most
count transactions, bulk modes megabytes. CPU time is that of all the product's processes.
"""

import dataclasses
import glob
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import account
import idle
import protocol
from server import DATABASE, USER

MB = 1024 * 1024
IDLE_SETTLE_S = 1.5  # what children do once a second has been done


@dataclasses.dataclass
class Sample:
    """One measurement; None is what was not or cannot be measured."""

    rate: float = None  # units a second
    p50_ms: float = None
    p99_ms: float = None
    cpu: float = None  # seconds for cpu_units units
    pss_mb: float = None
    base_mb: float = None  # idle clients: without them,
    client_kb: float = None  # and with them, each


def quantiles(latencies_ms):
    """The median and the 99th percentile."""
    ordered = sorted(latencies_ms)
    return statistics.median(ordered), ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]


class Mode:
    """One way of using a product."""

    unit, cpu_units = "tx", 100000
    clients = servers = 0  # more than the usual: a product of its own is started for the mode

    def __init__(self, name, words):
        self.name, self.words = name, words

    def refuses(self, product):
        """Why this product cannot be measured so; an empty text when it can."""
        return product.lacks.get(self.name, "")

    def measure(self, product, options):
        """CPU time and memory around what use() does."""
        pid, memory, probe, before = product.pid(), [], None, 0
        product.check_alive()
        if pid is not None:
            before = account.settled_cpu_seconds(pid)
            probe = threading.Timer(options.seconds / 2, lambda: memory.append(account.pss_mb(pid)))
            probe.start()
        units, sample = self.use(product, options)
        if pid is not None:
            probe.join()
            product.check_alive()
            sample.cpu = (account.settled_cpu_seconds(pid) - before) / units * self.cpu_units
            sample.pss_mb = memory[0] if memory else None
        return sample

    def use(self, product, options):
        """Returns the number of units, and a Sample with rate and latencies."""
        raise NotImplementedError


def read_log(prefix):
    """Latencies in ms. Source: pgbench's manual, section "Per-Transaction Logging"."""
    latencies = []
    for path in glob.glob(prefix + ".*"):
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if len(fields) > 2 and fields[2].isdigit():
                    latencies.append(int(fields[2]) / 1000)
    return latencies


class Pgbench(Mode):
    """pgbench with these arguments. A script's transactions count as often as `each` says."""

    def __init__(self, name, words, arguments, script=None, each=1):
        super().__init__(name, words)
        self.arguments, self.script, self.each = arguments, script, each

    def how(self, options, directory):
        arguments = [word.format(clients=options.clients) for word in self.arguments]
        if self.script:
            path = os.path.join(directory, "script.sql")
            with open(path, "w", encoding="ascii") as file:
                file.write(self.script)
            arguments += ["-f", path]
        return arguments

    def use(self, product, options):
        directory = tempfile.mkdtemp(prefix="pgpool-bench-log-", dir="/tmp")
        try:
            run = subprocess.run(
                ["pgbench", "-n", "-T", str(options.seconds), *self.how(options, directory),
                 "--log", f"--log-prefix={directory}/log", "-h", "127.0.0.1", "-p",
                 str(product.port), "-U", USER, DATABASE], check=False, capture_output=True,
                text=True, timeout=options.seconds + 120)
            count = re.search(r"transactions actually processed: (\d+)", run.stdout)
            rate = re.search(r"^tps = ([\d.]+)", run.stdout, re.M)
            if run.returncode != 0 or not count or not rate or count[1] == "0":
                errors = [line for line in run.stderr.splitlines() if "error" in line]
                raise RuntimeError(f"pgbench: {(errors or ['nothing was done'])[0]}")
            p50, p99 = quantiles(read_log(f"{directory}/log"))
        except subprocess.TimeoutExpired as error:
            raise RuntimeError("pgbench: did not end") from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return int(count[1]) * self.each, Sample(float(rate[1]) * self.each, p50, p99)


class Reads(Mode):
    """test/bench/reads, whose own cost is small: what a product can do, not what pgbench can."""

    def __init__(self, name, words, way, count, keys):
        super().__init__(name, words)
        self.way, self.count, self.keys = way, count, keys

    def use(self, product, options):
        program = os.path.join(options.build, "test/bench/reads")
        run = subprocess.run(
            [program, "127.0.0.1", str(product.port), USER, DATABASE, self.way,
             str(self.count), str(options.seconds), str(self.keys)],
            check=False, capture_output=True, text=True, timeout=options.seconds + 120)
        if run.returncode != 0:
            raise RuntimeError(f"reads: {run.stderr.strip()}")
        told = dict(line.split() for line in run.stdout.splitlines())
        return int(told["transactions"]), Sample(float(told["rate"]), float(told["p50"]),
                                                 float(told["p99"]))


class Many(Pgbench):
    """Many active clients over few server connections: only for those that share them."""

    def __init__(self, name, words, arguments, clients, servers):
        super().__init__(name, words, arguments)
        self.clients, self.servers = clients, servers

    def refuses(self, product):
        return super().refuses(product) or ("" if product.shares
                                            else "a server connection for each client")


class Bulk(Mode):
    """One client and statements of many megabytes, by a socket of our own that looks at nothing."""

    unit, cpu_units = "MB", 10000

    def __init__(self, name, words, megabytes):
        super().__init__(name, words)
        self.bytes = megabytes * MB

    def transfer(self, sock, buffer):
        """Moves them once."""
        raise NotImplementedError

    def use(self, product, options):
        buffer, seconds = bytearray(MB), []
        with socket.create_connection(("127.0.0.1", product.port), timeout=60) as sock:
            sock.sendall(protocol.startup(USER, DATABASE))
            protocol.read_answer(sock)
            self.prepare(sock)
            end = time.monotonic() + options.seconds
            while not seconds or time.monotonic() < end:
                began = time.monotonic()
                self.transfer(sock, buffer)
                seconds.append(time.monotonic() - began)
            sock.sendall(protocol.message(b"X"))
        megabytes = len(seconds) * self.bytes / MB
        return megabytes, Sample(megabytes / sum(seconds),
                                 *quantiles([each * 1000 for each in seconds]))

    def prepare(self, sock):
        """Before the first."""


class Receive(Bulk):
    """A result or a COPY that is answered with lines of 1 kB."""

    LINE = 1024

    def __init__(self, name, words, megabytes, statement):
        super().__init__(name, words, megabytes)
        self.text = statement.format(line=self.LINE - 12, lines=self.bytes // self.LINE)

    def transfer(self, sock, buffer):
        sock.sendall(protocol.query(self.text))
        received = protocol.swallow(sock, buffer)
        if received < self.bytes * 9 // 10:
            raise RuntimeError(f"only {received} bytes came")


class CopyIn(Bulk):
    """COPY from the client, into a table that is emptied in the same transaction."""

    LINE = 1019  # and five bytes before each
    LINES_AT_ONCE = 64

    def transfer(self, sock, buffer):
        data = protocol.message(b"d", b"x" * (self.LINE - 1) + b"\n") * self.LINES_AT_ONCE
        sock.sendall(protocol.query("BEGIN; TRUNCATE bench_copy; COPY bench_copy FROM STDIN"))
        protocol.read_answer(sock, until="G")
        for _ in range(self.bytes // len(data)):
            sock.sendall(data)
        sock.sendall(protocol.message(b"c"))
        protocol.read_answer(sock)
        sock.sendall(protocol.query("ROLLBACK"))
        protocol.read_answer(sock)


class Idle(Mode):
    """Clients that log in and stay, and then ask once each, where the product shares."""

    unit = "client"
    NOT_SHARED_MAX = 1000

    def __init__(self, name, words, clients):
        super().__init__(name, words)
        self.clients = clients

    def refuses(self, product):
        if product.name == "direct":
            return "no processes of its own"
        logs_in_alone = product.shares or product.name.startswith(("ours", "PgBouncer"))
        if self.clients > self.NOT_SHARED_MAX and not logs_in_alone:
            return "a server connection for each client"
        return ""

    def measure(self, product, options):
        sample = Sample()
        sample.base_mb = self.pss_mb(product)
        with idle.IdleClients(product.port, USER, DATABASE) as clients:
            clients.add(self.clients)
            sample.pss_mb = self.pss_mb(product)
            if product.shares:
                sample.p50_ms, sample.p99_ms = quantiles(clients.ask_all())
                sample.pss_mb = max(sample.pss_mb, self.pss_mb(product))
        sample.client_kb = (sample.pss_mb - sample.base_mb) * 1024 / self.clients
        return sample

    def pss_mb(self, product):
        time.sleep(IDLE_SETTLE_S)
        product.check_alive()
        memory = account.pss_mb(product.pid())
        if memory is None:
            raise RuntimeError("its memory may be read by root alone")
        return memory


PIPELINE = "\\startpipeline\n" + 100 * (
    "\\set aid random(1, 100000 * :scale)\n"
    "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n") + "\\endpipeline\n"
HITS = "\\set aid random(1, 100)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
MISSES = HITS.replace("100)", "2000000000)")  # so seldom twice that it does not count
EIGHT = ["-c", "{clients}", "-j", "2"]
RESULT = "SELECT repeat('x', {line}) FROM generate_series(1, {lines})"

MODES = [
    Pgbench("simple", "pgbench -S, 8 clients", ["-S", "-M", "simple", *EIGHT]),
    Pgbench("extended", "the same, extended protocol", ["-S", "-M", "extended", *EIGHT]),
    Pgbench("prepared", "the same, prepared statements", ["-S", "-M", "prepared", *EIGHT]),
    *(Pgbench(f"hit-{way}", f"point reads of 100 keys, 8 clients, {way}", ["-M", way, *EIGHT], HITS)
      for way in ("simple", "extended", "prepared")),
    *(Reads(f"light-{way}", f"the same, 50 clients that cost little, {way}", way, 50, 100)
      for way in ("simple", "extended", "prepared")),
    *(Pgbench(f"miss-{way}", f"point reads, each of another key, 8 clients, {way}",
              ["-M", way, *EIGHT], MISSES) for way in ("simple", "prepared")),
    Pgbench("tpcb", "pgbench's TPC-B, 8 clients", ["-M", "simple", *EIGHT]),
    Pgbench("connect", "pgbench -S -C: a login for each transaction",
            ["-S", "-M", "simple", "-C", *EIGHT]),
    Pgbench("latency", "pgbench -S, one client", ["-S", "-M", "simple", "-c", "1", "-j", "1"]),
    Pgbench("pipeline", "pipelines of 100 prepared SELECTs, 8 clients; latency of a pipeline",
            ["-M", "prepared", "-D", "scale=1", *EIGHT], PIPELINE, 100),
    Receive("result", "results of 100 MB, one client", 100, RESULT),
    Receive("copyout", "COPY TO STDOUT of 100 MB, one client", 100,
            "COPY (" + RESULT + ") TO STDOUT"),
    CopyIn("copyin", "COPY FROM STDIN of 100 MB, one client", 100),
    Many("many", "pgbench -S, 1,000 clients over 20 server connections",
         ["-S", "-M", "simple", "-c", "1000", "-j", "2"], 1000, 20),
    Idle("idle1000", "1,000 idle clients; latency of one query by each, in turn", 1000),
    Idle("idle10000", "10,000 idle clients; latency of one query by each, in turn", 10000),
]
QUICK = ("simple", "prepared", "hit-simple", "connect", "pipeline", "result", "idle1000")
