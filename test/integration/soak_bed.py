"""The cluster, the pgpool, the load and the faults of test/soak, and its life from one quiet point
to the next."""

import os
import random
import re
import signal
import sys
import threading
import time
import traceback

import psycopg

import soak_samples
from certificates import Authority, client_context
from cluster import make_dir
from failing import FailingCluster, Keeper, Node
from soak_clients import ACCOUNTS, SCHEMA, SECRET, TOTAL, Client, Load, Own
from test_http import fetch
from test_pcp import PASSWORDS, Tools, write_private, write_users
from waiting import SLOW, free_port, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "nemesis"))

# found through the path set above
from bed import Breakable, Skip  # noqa: E402
from faults import (crash_backend, freeze_server, kill_server,  # noqa: E402
                    restart_server, terminate_backends)

SETTLE_S = 30  # what closes a connection or takes a moment has come to its end by then
LIFE_S = 10  # of server connections that nobody uses
LOOKS = 8  # at what is exact: for a moment a health check has a descriptor more
HBA = """local all all trust
host all soak_s 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
nobody = threading.Event()  # sets it: waiting for it takes so long


class SoakNode(Node):
    """It keeps its disk small: it runs for hours."""

    more = ("max_wal_size = 256MB\ncheckpoint_timeout = 5min\nmax_slot_wal_keep_size = 1GB\n"
            "log_min_messages = panic\n")

    def harness_row(self, sql):
        with psycopg.connect(self.dsn(application_name="'soak harness'"), autocommit=True) as one:
            return one.execute(sql).fetchone()


class SoakCluster(FailingCluster):
    server_class = SoakNode


class Options:
    recovery = True  # the old primary comes back by pcp_recovery_node


class Bed(Breakable):
    """All of it, running and whole."""

    def __init__(self, seed, engine="auto", **settings):
        super().__init__(Options())
        self.random = random.Random(seed)
        self.cluster, self.pgpool, self.load = None, None, None
        self.faults, self.killed = {}, set()
        self.faults_of_choice, self.deck = FAULTS, []
        self.authority = Authority(make_dir("pgpool-ca-"))
        try:
            self.cluster = SoakCluster(standbys=2)
            with self.cluster.primary.connect() as one:
                one.execute("CREATE DATABASE soak_other")
            self.cluster.sql(SCHEMA)
            self.start(engine, settings)
            self.new_load(seed)
        except BaseException:
            self.destroy()
            raise

    def new_load(self, seed):
        self.pgpool.rows("UPDATE soak_own SET n = 0 RETURNING who")
        self.load = Load(self.pgpool, seed, client_context(self.authority))
        self.load.clients.append(Looks(self.load, len(self.load.clients) + 1, self))
        self.load.trouble()  # the first statements come while the nodes are still looked at

    def start(self, engine, settings):
        certificate, key = self.authority.issue("pgpool", "DNS:localhost,IP:127.0.0.1")
        self.http_port = free_port()
        self.pgpool = Keeper(self.cluster, engine, **({
            "ssl": "on", "ssl_cert": certificate, "ssl_key": key, "enable_pool_hba": "on",
            "pool_mode": "auto", "memory_cache_enabled": "on", "memqcache_total_size": "1MB",
            "connection_life_time": LIFE_S, "http_listen_addresses": "127.0.0.1",
            "http_public": "all", "http_port": self.http_port, "health_check_timeout": "1s",
            "command_timeout": "30s",
            "recovery_user": "postgres", "child_life_time": 0, "log_min_messages": "warning",
        } | settings))
        write_private(os.path.join(self.pgpool.directory, "pool_hba.conf"), HBA)
        write_private(os.path.join(self.pgpool.directory, "pool_passwd"), f"soak_s:TEXT{SECRET}\n")
        write_users(self.pgpool)
        self.tools = Tools(self.pgpool)
        self.tools.write_pass()
        self.pgpool.start()
        self.pgpool.wait_whole()
        self.use_all_slots()

    def use_all_slots(self):
        """There are twice as many slots as children, and the memory of one is in use from the first
        time that its child ends."""
        for _ in range(2):
            for victim in sorted(self.pgpool.named("child")):
                self.killed.add(victim)
                self.pgpool.kill_named("child", victim)

    def destroy(self):
        try:
            self.stop_undoing()
            if self.pgpool:
                self.pgpool.kill()
        finally:
            if self.cluster:
                self.cluster.destroy()
            self.authority.remove()

    # ---- administration --------------------------------------------------------------------------

    def generation(self):
        """Of the configuration."""
        text = fetch(self.http_port, "/metrics").text
        return float(re.search(r"^pgpool_configuration_generation (\S+)", text, re.M).group(1))

    def look(self, rng):
        """One look of an administrator, by one of the ways there are."""
        kind = rng.randrange(4)
        if kind == 0:
            path = rng.choice(("/metrics", "/", "/health", "/role", "/api/pool_statements",
                               "/api/pool_nodes", "/api/pool_events"))
            answer = fetch(self.http_port, path)
            assert answer.status == 200, (path, answer.status, answer.text)
        elif kind == 1:
            view = rng.choice(("pool_nodes", "pool_status", "pool_latency", "pool_routing",
                               "pool_statements", "pool_sessions", "pool_pools", "pool_processes"))
            with self.pgpool.connect() as one:
                one.execute(f"SHOW {view}").fetchall()
        elif kind == 2:
            tool = rng.choice((("node_count",), ("node_info", "0"), ("proc_count",),
                               ("health_check_stats", "1"), ("pool_status",)))
            user = rng.choice(sorted(PASSWORDS))
            self.tools.output(tool[0], *tool[1:], user=user)
        else:
            self.pgpool.show("pool_replication")

    # ---- faults ----------------------------------------------------------------------------------

    def choose_fault(self):
        """Dealt like cards, each as often as its weight: none is left out for long."""
        if not self.deck:
            self.deck = [(fault, role) for fault, role, weight in self.faults_of_choice
                         for _ in range(weight)]
            self.random.shuffle(self.deck)
        return self.deck.pop()

    def inflict(self):
        """One fault; returns words on it."""
        self.load.trouble()
        while True:
            fault, role = self.choose_fault()
            try:
                words = fault(self, self.random, role)
            except Skip:
                continue
            name = f"{fault.__name__} {role}".strip()
            self.faults[name] = self.faults.get(name, 0) + 1
            return words

    def end_fault(self):
        nobody.wait(self.random.random() * 8)
        self.stop_undoing()
        primary = self.heal()
        self.load.healed()
        return primary


def kill_child(bed, rng, _):
    """Never the first one: a process that lives through all of it shows what it gathers."""
    children = sorted(bed.pgpool.named("child"))
    if len(children) < 2:
        raise Skip("no other child")
    victim = rng.choice(children[1:])
    bed.killed.add(victim)
    bed.pgpool.kill_named("child", victim)
    return f"child {victim} killed"


def kill_other(bed, rng, _):
    word = rng.choice(("lag", "health 1", "failover", "pcp", "http"))
    found = bed.pgpool.named(word)
    if not found:
        raise Skip(f"no {word}")
    bed.killed.update(found)
    bed.pgpool.kill_named(word)
    return f"pgpool's {word} killed"


def reload(bed, rng, _):
    bed.pgpool.write_config(health_check_period=rng.choice(("500ms", "1s", "2s")),
                            log_min_duration_statement=rng.choice((-1, 60000)))
    before = bed.generation()
    bed.pgpool.process.send_signal(signal.SIGHUP)
    wait_for(lambda: bed.generation() > before, "the reload", 20)
    return "reload"


FAULTS = [(kill_server, "standby", 4), (kill_server, "primary", 3), (restart_server, "standby", 2),
          (restart_server, "primary", 1), (freeze_server, "standby", 3),
          (terminate_backends, "", 4), (crash_backend, "standby", 1),
          (crash_backend, "primary", 1), (kill_child, "", 3), (kill_other, "", 2),
          (reload, "", 4)]
QUICK = [(terminate_backends, "", 1), (kill_child, "", 1), (kill_other, "", 1), (reload, "", 1)]


class Looks(Client):
    """An administrator, once a second."""

    pause_s = 1.0

    def __init__(self, load, number, bed):
        super().__init__(load, number)
        self.bed = bed

    def run(self):
        self.run_without_session()

    def work(self):
        try:
            self.bed.look(self.random)
            self.steps += 1
        except Exception as error:  # pylint: disable=broad-except
            self.suffer("look of an administrator", error)


# ---- its life ------------------------------------------------------------------------------------

class Soak:
    """say: who hears of each quiet point, a line each."""

    settle_s, life_s, looks = SETTLE_S, LIFE_S, LOOKS

    def __init__(self, bed, samples, say=print, minute_s=60.0, fault_every=3):
        self.bed, self.samples, self.say = bed, samples, say
        self.minute_s, self.fault_every = minute_s, fault_every
        self.told = 0
        self.between = lambda number: None  # what else is done before each quiet point

    def end(self):
        """Before its time."""
        self.samples.length_s = self.samples.clock() - self.samples.began

    def run(self):
        """Until its time is over; returns what was wrong, in words."""
        load, samples = self.bed.load, self.samples
        load.start()
        nobody.wait(3 * SLOW)
        load.healed()
        number = 0
        while samples.clock() - samples.began < samples.length_s:
            number += 1
            self.minute(number)
        staying = load.leave()
        load.tell_wrong(f"{staying} do not end") if staying else None
        return [*load.wrong, *self.deaths(), *self.last_look(), *samples.judge()]

    def minute(self, number):
        began, words, steps = time.monotonic(), "", self.bed.load.steps()
        if self.fault_every and number % self.fault_every == 0:
            words = self.bed.inflict()
            self.bed.end_fault()
        nobody.wait(max(began + self.minute_s - time.monotonic(), 1))
        self.between(number)
        worked_s, steps = time.monotonic() - began, self.bed.load.steps() - steps
        self.quiet(steps / worked_s, words)

    def quiet(self, rate, words):
        load = self.bed.load
        load.pause()
        try:
            self.wait_parked()
            counts = self.settle()
            values, by_pid = soak_samples.measured(self.bed)
            row = self.samples.add(counts, values, by_pid, rate=round(rate, 1),
                                   wrong=len(load.wrong), fault=words)
        finally:
            load.resume()
        if words:
            load.healed()  # it was quiet meanwhile
        self.say(f"{row['time']} {row['seconds']} s: {row['rate']} a second, memory "
                 f"{row['memory_kb']} kB (shared {row['shared_kb']}), child {row['data_kb_child']}"
                 f" kB, {counts['fd_child']} descriptors of children, "
                 f"{counts['server_connections']} server connections, {counts['sessions']} "
                 f"sessions, {row['wrong']} wrong" + (f"; {words}" if words else ""))
        for text in load.wrong[self.told:]:
            self.say(f"    WRONG: {text}")
        self.told = len(load.wrong)
        for name, more in self.samples.above(counts).items():
            self.say(f"    MORE: {name}: {more}")

    def wait_parked(self):
        """Who does not come to the end of his step is told with what he does, and what pgpool and
        the servers say of it."""
        try:
            wait_for(self.bed.load.parked, "the clients to pause", 90, 0.1)
        except AssertionError:
            frames = sys._current_frames()  # pylint: disable=protected-access
            for client in self.bed.load.busy():
                self.say(f"{client.name} goes on:\n" + "".join(
                    traceback.format_stack(frames[client.ident])[-5:]))
            for row in self.bed.pgpool.show("pool_sessions"):
                self.say(f"session {row}")
            for server in self.bed.cluster.servers:
                for row in server.rows("SELECT * FROM pg_stat_activity WHERE state <> 'idle'"):
                    self.say(f"{server.server_name}: {row}")
            raise

    def settle(self):
        """Counts when all has come to rest: the least of some looks, again while that is more than
        it may be, or while it becomes less and nobody knows yet what it may be."""
        deadline, before = time.monotonic() + self.settle_s * SLOW, None
        nobody.wait(self.life_s + 2)
        while True:
            counts = soak_samples.exact(self.bed)
            for _ in range(self.looks):
                nobody.wait(0.2)
                counts = soak_samples.least(counts, soak_samples.exact(self.bed))
            warm = self.samples.is_warm()
            rests = not self.samples.above(counts) if warm else counts == before
            if rests or time.monotonic() > deadline:
                return counts
            before = counts

    def deaths(self):
        """Processes of pgpool's that nobody has killed."""
        found = re.findall(r"(\w+ process (\d+) was terminated by signal.*)",
                           self.bed.pgpool.log_text())
        return [text for text, pid in found if int(pid) not in self.bed.killed]

    def last_look(self):
        """What the servers themselves have in the end."""
        bed = self.bed
        primary, wrong = bed.heal(), []
        for server in bed.cluster.servers:
            wait_for(lambda one=server: one is primary or one.ask(
                "SELECT pg_wal_lsn_diff(%s, pg_last_wal_replay_lsn()) <= 0",
                primary.ask("SELECT pg_current_wal_flush_lsn()")[0]) == (True,),
                     f"{server.server_name} to replay", 30)
            found = server.ask("SELECT total, n FROM soak_sum")
            if found != (TOTAL, ACCOUNTS):
                wrong.append(f"{server.server_name} has {found} in the accounts")
            own = dict(server.rows("SELECT who, n FROM soak_own"))
            wrong += [f"{server.server_name}: row {client.number} is {own.get(client.number)}, not "
                      f"one of {client.may_be}" for client in bed.load.clients
                      if isinstance(client, Own) and own.get(client.number) not in client.may_be]
        return wrong
