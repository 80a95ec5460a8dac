"""Answers in memcached: what a session that waits for other things, too, asks it."""

import pytest

import raw
from memcached import Memcached, has_memcached
from waiting import wait_for

READ = "SELECT a FROM remote_t"

pytestmark = [pytest.mark.one_engine,
              pytest.mark.skipif(not has_memcached(), reason="built without memcached")]


@pytest.fixture(name="memcached")
def memcached_fixture():
    memcached = Memcached().start()
    yield memcached
    memcached.kill()


def waiters(pgpool):
    with raw.connected(pgpool) as one:
        return len(one.rows("SHOW pool_waiters"))


def test_who_waits_for_a_connection_has_asked_once(cluster, start_pgpool, memcached):
    """Otherwise a connection would come while it asks, and go to somebody else meanwhile."""
    cluster.sql("CREATE TABLE IF NOT EXISTS remote_t (a int)")
    pgpool = start_pgpool(memory_cache_enabled="on", memqcache_method="memcached",
                          memqcache_memcached_host="127.0.0.1", num_init_children=1,
                          memqcache_memcached_port=memcached.port, pool_mode="auto",
                          max_backend_connections=1, backend_weight1=0, backend_weight2=0)
    with raw.connected(pgpool) as one, raw.connected(pgpool) as two:
        def known():
            before = memcached.count("get_hits")
            assert two.rows(READ) == []
            return memcached.count("get_hits") > before
        wait_for(known, "an answer that is kept")
        one.simple("BEGIN; INSERT INTO remote_t VALUES (1)")
        before = memcached.count("cmd_get")
        two.send(raw.query(READ))
        wait_for(lambda: waiters(pgpool) == 1, "the other one to wait")
        one.simple("COMMIT")
        assert [m.kind for m in two.read_until("Z")][1] == "D"
        assert memcached.count("cmd_get") == before + 1
