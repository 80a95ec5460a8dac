"""The query cache as administrators see it: switches, limits, views, commands."""

import getpass
import os

import pytest

import raw
from cache_asker import Asker, rows_of
from cache_bed import (PGPOOL_SETTINGS, T, one_fixture, tables_fixture,  # noqa: F401
                       two_fixture)
from cluster import Target
from proxy import Pgpool
from test_pcp import Tools
from waiting import wait_for

pytestmark = pytest.mark.one_engine

# ---- limits and switches -------------------------------------------------------------------------

def test_a_session_may_do_without(one, two):
    one.warm_rows(T)
    two.rows("PGPOOL SET memory_cache_enabled = off")
    two.never_hits(lambda: two.simple(T))
    assert one.is_hit(T)
    two.rows("PGPOOL RESET memory_cache_enabled")
    assert two.is_hit(T)


def test_per_database_and_user(cluster, tables, engine):
    pgpool = Pgpool(cluster, engine, **PGPOOL_SETTINGS)
    pgpool.settings["pool_limits"] = os.path.join(pgpool.directory, "pool_limits")
    with open(pgpool.settings["pool_limits"], "w", encoding="utf-8") as file:
        file.write("test cache_a - - cache=off\n")
    pgpool.start()
    try:
        with Asker(pgpool) as one, Asker(pgpool, user="cache_a") as other:
            one.warm_rows(T)
            other.never_hits(lambda: other.simple(T))
    finally:
        pgpool.finish()


def test_expiry(tables, start_pgpool):
    pgpool = start_pgpool(**PGPOOL_SETTINGS | {"memqcache_expire": 1})
    with Asker(pgpool) as one:
        one.warm_rows(T)
        wait_for(lambda: not one.is_hit(T), "the answer to expire")
        one.warm_rows(T)


def test_listed_tables(tables, start_pgpool):
    pgpool = start_pgpool(**PGPOOL_SETTINGS | {
        "cache_unsafe_memqcache_table_list": "other,c[.]u"})
    with Asker(pgpool) as one:
        one.warm_rows(T)
        one.never_hits(lambda: one.simple("SELECT a FROM c.other"))
        one.never_hits(lambda: one.simple("SELECT a FROM c.u"))
        assert "cache_unsafe" in dict(one.rows("PGPOOL EXPLAIN SELECT a FROM c.other"))["cache"]


def test_off_by_default(tables, start_pgpool):
    pgpool = start_pgpool()
    with Asker(pgpool) as one:
        one.never_hits(lambda: one.simple(T))
        assert one.rows("SHOW pool_cache") == [["0", "0", "0.00", "0", "0", "0", "0", "0", "0"]]
        assert one.rows("SHOW pool_cache_tables") == []
        assert one.rows("SHOW pool_cache_statements") == []
        assert "memory_cache_enabled" in dict(one.rows("PGPOOL EXPLAIN " + T))["cache"]
        assert raw.codes(one.simple("PGPOOL SET CACHE DELETE 'SELECT 1'")) == ["55000"]


def test_memory_is_bounded(tables, start_pgpool):
    pgpool = start_pgpool(**PGPOOL_SETTINGS | {"memqcache_total_size": "2MB",
                                               "memqcache_max_num_cache": 1000})
    with Asker(pgpool) as one:
        one.warm_rows(T)
        for number in range(3000):
            one.simple(f"SELECT a, b, repeat('x', 1000) FROM c.t WHERE a < {number}")
        row = one.rows("SHOW pool_cache")[0]
        assert int(row[5]) <= 1000
        assert int(row[6]) + int(row[7]) <= 2 * 1024 * 1024
        one.warm_rows(T)


@pytest.mark.parametrize("consistency", ("session", "global", "eventual"))
def test_what_a_standby_has_answered(cluster, tables, start_pgpool, consistency):
    """It is kept as of when the standby was fresh: never older than what was written since."""
    pgpool = start_pgpool(memory_cache_enabled="on", read_consistency=consistency)
    with Asker(pgpool) as one, Asker(pgpool) as two:
        def ask():
            """WAL that ends in no commit is not flushed: standbys lack it until the next one."""
            two.rows("UPDATE c.other SET a = a")
            return one.simple(T)
        one.warm(ask)
        for number in range(20):
            two.rows(f"UPDATE c.t SET b = '{number}' WHERE a = 1")
            for asker in (one, two):
                messages, was_hit = asker.hit(lambda a=asker: a.simple(T))
                if was_hit or (consistency != "eventual" and
                               (asker is two or consistency == "global")):
                    assert rows_of(messages) == [[str(number)]]
        assert rows_of(one.warm(ask)) == [["19"]]


# ---- administration ------------------------------------------------------------------------------

def test_pool_cache(one):
    with_columns = one.simple("SHOW pool_cache")
    assert [c[0] for c in with_columns[0].columns()] == [
        "num_cache_hits", "num_selects", "cache_hit_ratio", "num_hash_entries",
        "used_hash_entries", "num_cache_entries", "used_cache_entries_size",
        "free_cache_entries_size", "fragment_cache_entries_size"]
    one.warm_rows(T)
    row = rows_of(one.extended("SHOW pool_cache"))[0]
    assert int(row[0]) > 0 and int(row[1]) > 0 and 0 < float(row[2]) < 1
    assert 0 < int(row[4]) == int(row[5]) <= int(row[3])
    assert int(row[6]) > int(row[8]) >= 0 and int(row[7]) > 0


def test_rates_by_table_and_statement(one, two):
    sql = "SELECT a /* of this test */ FROM c.other WHERE a < 1000"
    one.warm_rows(sql)
    for _ in range(10):
        assert one.is_hit(sql)
    for _ in range(3):
        two.rows("UPDATE c.other SET a = a")

    def counted():
        statements = {row[4]: row for row in one.rows("SHOW pool_cache_statements")}
        tables = [row for row in one.rows("SHOW pool_cache_tables") if row[2] == "c.other"]
        name = sql.replace("1000", "0")
        return name in statements and int(statements[name][1]) > 10 and \
            any(row[0] == "test" and int(row[3]) > 10 and int(row[6]) > 0 for row in tables)
    wait_for(counted, "the numbers")


def test_cache_delete(one, two):
    one.warm_rows(T)
    one.warm_rows("SELECT a FROM c.other")
    messages = two.simple(f"PGPOOL SET CACHE DELETE '{T}'")
    assert [got.kind for got in messages] == ["N", "C", "Z"]
    assert messages[0].fields()["S"] == "NOTICE" and "query cache deleted" in \
        messages[0].fields()["M"]
    assert messages[1].body == b"SET\0"
    assert not one.is_hit(T)
    assert one.is_hit("SELECT a FROM c.other")
    one.warm_rows(T)
    rows_of(two.extended("PGPOOL SET CACHE DELETE 'SELECT b FROM c.t'"))
    assert not one.is_hit(T)
    assert raw.codes(one.simple("PGPOOL SET CACHE DELETE SELECT")) == ["42601"]


def test_invalidation_by_pcp(one, pgpool):
    tools = Tools(pgpool)
    one.warm_rows(T)
    done = tools.run("invalidate_query_cache", "-w", host=pgpool.directory)
    assert (done.returncode, done.stdout) == (
        0, "pcp_invalidate_query_cache -- Command Successful\n"), done
    assert not one.is_hit(T)
    one.warm_rows(T)


def test_views_at_the_administration_port(one, pgpool):
    one.warm_rows(T)
    target = Target(pgpool.directory, pgpool.pcp_port)
    with raw.connected(target, user=getpass.getuser(), database="pgpool") as admin:
        assert int(admin.rows("SHOW pool_cache")[0][0]) > 0
        assert admin.rows("SHOW pool_cache_tables")
        admin.send(raw.parse("", "SHOW pool_cache_statements"), raw.bind("", ""),
                   raw.describe("P"), raw.execute(), raw.SYNC)
        assert not raw.codes(admin.read_until("Z"))
        assert [got.body for got in admin.simple("PGPOOL INVALIDATE QUERY CACHE")
                if got.kind == "C"] == [b"INVALIDATE QUERY CACHE\0"]
    assert not one.is_hit(T)
