"""The query cache is never wrong: 50 clients mix reads that may be cached (joins, views,
partitions, children, common table expressions, parameters, both protocols, row security, search
paths, time zones, privileges) with writes of every kind (DML, MERGE, COPY, TRUNCATE, cascades,
triggers, functions, rules, DDL, rollbacks, savepoints, transactions that are prepared), and each
answer is held against what PostgreSQL may say at that moment (cache_ledger.py).

A few seconds each; with PGPOOL_TEST_HEAVY=1 ten minutes."""

import contextlib
import multiprocessing
import os
import random
import threading
import time

import pytest

from cache_clients import Client, Mix, learn, lsn_number
from cache_ledger import Cells, History, Ledger
from cache_tables import FAMILIES, GROUPS, THINGS, schema
from cluster import Cluster, Server
from memcached import Memcached, has_memcached
from proxy import Pgpool
from waiting import SLOW, Background, wait_for

HEAVY = bool(os.environ.get("PGPOOL_TEST_HEAVY"))
SECONDS = float(os.environ.get("PGPOOL_TEST_MIX_S", 600 if HEAVY else 5))
PROCESSES = 4
SEED = int(os.environ.get("PGPOOL_TEST_SEED", "1"))
STALE_S = 10.0  # cache_wal_max_lag: what a write past pgpool may take to be noticed
KILLS, RESTARTS = (100, 20) if HEAVY else (4, 3)

CACHED = {"memory_cache_enabled": "on", "num_init_children": 3}
PRIMARY_READS = {"backend_weight0": 1, "backend_weight1": 0, "backend_weight2": 0}
PRIMARY_OF_TWO = {"backend_weight0": 1, "backend_weight1": 0}

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(SECONDS + 10)]


def pause(seconds):
    """Between two faults: the clients go on."""
    threading.Event().wait(max(seconds, 0))


# ---- running -------------------------------------------------------------------------------------

def run_part(mix, numbers, pipe):
    """Some of the clients, in a process of their own: one interpreter would be slower than what it
    tests."""
    clients = [Client(mix, number) for number in numbers]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    pipe.send(([text for client in clients for text in client.errors],
               {name: sum(client.counts[name] for client in clients)
                for name in clients[0].counts}))


class Run:
    """What came of it."""

    def __init__(self, mix, watch=None):
        context = multiprocessing.get_context("fork")
        for learner in [Background(learn, mix, number) for number in (0, 1, 3)]:
            learner.result()
        mix.until = time.monotonic() + mix.seconds
        pipes, parts = [], []
        for part in range(PROCESSES):
            here, there = context.Pipe(False)
            parts.append(context.Process(target=run_part, daemon=True, args=(
                mix, range(part, mix.clients, PROCESSES), there)))
            pipes.append(here)
            parts[-1].start()
            there.close()
        self.errors, self.counts = [], {}
        try:
            if watch is not None:
                watch(mix)
            for pipe in pipes:
                assert pipe.poll(mix.seconds + 120 * SLOW), "the clients do not come to their end"
                errors, counts = pipe.recv()
                self.errors += errors
                for name, count in counts.items():
                    self.counts[name] = self.counts.get(name, 0) + count
        finally:
            for part in parts:
                part.kill()
                part.join()

    def check(self):
        print(self.counts)
        assert not self.errors, f"{len(self.errors)} wrong:\n" + "\n".join(self.errors[:10])
        assert self.counts["reads"] > 100 and self.counts["writes"] > 10, self.counts


def numbers(pgpool):
    """SHOW pool_cache, by name."""
    with pgpool.connect() as one:
        cursor = one.execute("SHOW pool_cache")
        return dict(zip((column.name for column in cursor.description), cursor.fetchone()))


def tell(pgpool, run):
    cache = numbers(pgpool)
    print(f"{run.counts}, cache: {cache}")
    return cache


def make_tables(cluster, target):
    """Through pgpool, which would not hear of it otherwise."""
    with target.connect() as one:
        one.execute(schema())
    cluster.wait_replayed()


def new_ledger():
    return Ledger(Cells(FAMILIES, THINGS, GROUPS))


@pytest.fixture(name="mix")
def mix_fixture(cluster):
    """A function that makes one, on new tables."""
    def make(pgpool, **more):
        make_tables(cluster, pgpool)
        return Mix(pgpool, cluster.primary, new_ledger(), SECONDS, seed=SEED, **more)
    return make


def check_hits(cache, run):
    """Enough of the reads were answered by the cache for the test to say something."""
    assert int(cache["num_cache_hits"]) * 50 > run.counts["reads"], (cache, run.counts)


# ---- tests ---------------------------------------------------------------------------------------

def test_the_checker_without_a_cache(mix, direct, start_pgpool):
    """What it holds for right is what PostgreSQL says, and what pgpool forwards."""
    once = mix(direct, strict=True)
    once.seconds /= 2
    Run(once).check()
    pgpool = start_pgpool(memory_cache_enabled="off", read_consistency="global")
    once = mix(pgpool)
    once.seconds /= 2
    Run(once).check()


def test_all_reads_from_the_primary(mix, start_pgpool):
    """The strictest form: nobody may see what is older than what anybody has seen."""
    pgpool = start_pgpool(**CACHED, **PRIMARY_READS, read_consistency="global")
    run = Run(mix(pgpool, strict=True))
    cache = tell(pgpool, run)
    run.check()
    check_hits(cache, run)


@pytest.mark.parametrize("consistency", ("global", "session"))
def test_reads_from_standbys(mix, start_pgpool, consistency):
    pgpool = start_pgpool(**CACHED, read_consistency=consistency)
    run = Run(mix(pgpool, session=consistency == "session"))
    cache = tell(pgpool, run)
    run.check()
    check_hits(cache, run)


def test_without_invalidation_it_is_wrong(mix, start_pgpool):
    """The test can fail."""
    pgpool = start_pgpool(**CACHED, **PRIMARY_READS, memqcache_auto_cache_invalidation="off")
    for _ in range(8):  # a slow machine needs more of them
        run = Run(mix(pgpool, strict=True))
        tell(pgpool, run)
        if any("; right: " in text for text in run.errors):
            return
    assert False, run.errors


# ---- processes that are killed -------------------------------------------------------------------

def kill_children(pgpool):
    """Again and again one of them, until enough of them were."""
    def watch(mix):
        rng = random.Random(mix.seed)
        for _ in range(KILLS):
            pause(max(mix.until - time.monotonic(), 0) / (KILLS + 1) * rng.random() * 1.5)
            children = pgpool.named("child")
            victim = rng.choice(children)
            mix.ledger.note_killed(victim)
            pgpool.kill_named("child", victim)
            if time.monotonic() > mix.until:
                break
        print(f"{mix.ledger.killed[0]} killed")
    return watch


def no_doubts_left(pgpool):
    """Every table can be cached again: nobody waits for what the dead have left."""
    with pgpool.connect() as one:
        def hits():
            before = int(numbers(pgpool)["num_cache_hits"])
            for _ in range(3):
                one.execute("SELECT g, v FROM mix0.plain WHERE g = 0 /* after all */").fetchall()
            return int(numbers(pgpool)["num_cache_hits"]) > before
        wait_for(hits, "the cache to be of use again", 20)


def test_children_are_killed(mix, start_pgpool):
    pgpool = start_pgpool(**CACHED, **PRIMARY_READS, read_consistency="global")
    run = Run(mix(pgpool, strict=True, careful=True), kill_children(pgpool))
    cache = tell(pgpool, run)
    run.check()
    assert run.counts["lost"] > 0
    check_hits(cache, run)
    no_doubts_left(pgpool)


# ---- memcached -----------------------------------------------------------------------------------

@pytest.fixture(name="memcached")
def memcached_fixture():
    memcached = Memcached().start()
    yield memcached
    memcached.kill()


def restart_memcached(memcached):
    def watch(mix):
        each = mix.seconds / (2 * RESTARTS + 1)
        for _ in range(RESTARTS):
            pause(each)
            memcached.kill()
            pause(each)
            memcached.start()
    return watch


@pytest.mark.skipif(not has_memcached(), reason="built without memcached")
def test_memcached_is_killed_and_restarted(mix, start_pgpool, memcached):
    pgpool = start_pgpool(**CACHED, **PRIMARY_READS, memqcache_method="memcached",
                          memqcache_memcached_host="127.0.0.1",
                          memqcache_memcached_port=memcached.port)
    run = Run(mix(pgpool, strict=True), restart_memcached(memcached))
    cache = tell(pgpool, run)
    run.check()
    assert int(cache["num_cache_hits"]) > 0


# ---- writes past pgpool --------------------------------------------------------------------------

class Logical(Server):
    """A server whose changes can be decoded."""

    def configure(self, text):
        super().configure("wal_level = logical\n" + text)


class LogicalCluster(Cluster):
    server_class = Logical


@pytest.fixture(name="logical", scope="module")
def logical_fixture():
    cluster = LogicalCluster(standbys=1)
    yield cluster
    cluster.destroy()


def wal_position(pgpool):
    """What the cache has heard of, in the database of the test; 0: it is off."""
    with pgpool.connect() as one:
        cursor = one.execute("SHOW pool_cache_wal")
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row)) for row in cursor.fetchall()]
    found = [row for row in rows if row["database"] == "test"]
    return lsn_number(found[0]["applied_lsn"]) if found else 0


def follow_wal(pgpool, stop):
    """Tells the ledger what must be known by now: what is behind the position that pgpool shows,
    and what is older than it may take to notice."""
    def follow(mix):
        history = History(mix.ledger, STALE_S)
        while not stop.is_set():
            mix.ledger.noticed(wal_position(pgpool))
            history.step()
            stop.wait(0.02)

    def watch(mix):
        thread = threading.Thread(target=follow, args=(mix,), daemon=True)
        thread.start()
        pause(mix.until - time.monotonic())
        stop.set()
        thread.join()
    return watch


# What is published must say which row is meant.
REPLICATED = """DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname LIKE 'mix%' AND relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', t);
    END LOOP;
END $$"""

# What nobody can hear of through logical replication: definitions and privileges alone.
HEARD = tuple(name for name, thing in THINGS.items()
              if thing.kinds not in ("definition", "function", "grant", "policy", "refresh"))


def test_writers_past_pgpool(logical, start_pgpool_at):
    pgpool = start_pgpool_at(logical, **CACHED, **PRIMARY_OF_TWO, cache_invalidation="wal",
                             cache_wal_max_lag=f"{int(STALE_S)}s")
    make_tables(logical, pgpool)
    logical.sql(REPLICATED)
    mix = Mix(pgpool, logical.primary, new_ledger(), SECONDS, seed=SEED, past=True, things=HEARD)
    with pgpool.connect() as one:
        def is_on():
            one.execute("SELECT g FROM mix0.plain").fetchall()
            return wal_position(pgpool)
        wait_for(is_on, "the stream of changes", 20)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.callback(stop.set)
        run = Run(mix, follow_wal(pgpool, stop))
    cache = tell(pgpool, run)
    run.check()
    check_hits(cache, run)


@pytest.fixture(name="start_pgpool_at")
def start_pgpool_at_fixture(engine):
    """As start_pgpool, at a cluster that is told."""
    started = []

    def start(cluster, **settings):
        started.append(Pgpool(cluster, engine, **settings).start())
        return started[-1]

    yield start
    for pgpool in started:
        pgpool.finish()
