"""Native replication: nodes that do something else than the others are detached, where the
configuration wants that, and the client notices nothing."""

import psycopg
import pytest

import raw
from test_native import PREPARED
from test_native_recovery import (execute, order, own_fixture,  # pylint: disable=unused-import
                                  start_fixture)
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(40)]

UPDATE, KEPT = "UPDATE t SET v = 5 WHERE id = 3", "INSERT INTO t (id) VALUES (7)"
COUNTS = {"failover_if_affected_tuples_mismatch": "on"}
KINDS = {"replication_stop_on_mismatch": "on"}


def behind(own, node, sql):
    """Behind pgpool's back."""
    with own[node].connect() as connection:
        connection.execute(sql)


def detached(pgpool):
    return [n for n in range(3) if f'WARNING:  node {n} "' in pgpool.log_text()
            and "is detached" in "".join(line for line in pgpool.log_text().splitlines()
                                         if f'node {n} "' in line)]


def test_a_copy_with_another_count_is_detached_and_the_others_commit(own, start):
    pgpool = start(**COUNTS)
    behind(own, 2, "DELETE FROM t WHERE id = 3")
    with pgpool.connect() as client:
        assert client.execute("UPDATE t SET v = 5 WHERE id = 3").statusmessage == "UPDATE 1"
        assert detached(pgpool) == [2]
        client.execute("BEGIN")
        client.execute("UPDATE t SET v = 6 WHERE id = 3")
        client.execute("COMMIT")
    assert own.all("SELECT v FROM t WHERE id = 3") == [[(6,)], [(6,)], []]
    assert own.same(PREPARED) == [(0,)]


def test_a_copy_with_an_error_in_a_block_is_detached_when_that_commits(own, start):
    pgpool = start(**KINDS)
    behind(own, 1, "INSERT INTO t (id) VALUES (600)")
    with pgpool.connect() as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id, v) VALUES (600, 1)")
        client.execute("INSERT INTO t (id, v) VALUES (601, nextval('s'))")
        client.execute("SAVEPOINT a")
        client.execute("UPDATE t SET v = 2 WHERE id = 600")
        assert client.execute("COMMIT").statusmessage == "COMMIT"
        assert detached(pgpool) == [1]
        client.execute("UPDATE t SET v = 3 WHERE id = 600")
    assert own.all("SELECT v FROM t WHERE id BETWEEN 600 AND 601 ORDER BY id") == [
        [(3,), (1,)], [(None,)], [(3,), (1,)]]


def test_who_rolls_back_detaches_nobody(own, start):
    pgpool = start(**KINDS)
    behind(own, 1, "INSERT INTO t (id) VALUES (610)")
    with pgpool.connect() as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO t (id, v) VALUES (610, 1)")
        client.execute("ROLLBACK")
        client.execute("INSERT INTO t (id, v) VALUES (611, 1)")
    assert not detached(pgpool)
    assert own.same("SELECT id FROM t WHERE id = 611") == [(611,)]


def test_each_parameter_is_for_its_own_kind(own, start):
    pgpool = start(**KINDS)
    behind(own, 2, "DELETE FROM t WHERE id = 3")
    with pytest.raises(psycopg.errors.SerializationFailure):
        execute(pgpool, "UPDATE t SET v = 5 WHERE id = 3")
    pgpool.stop()
    pgpool.settings |= {"replication_stop_on_mismatch": "off", **COUNTS}
    pgpool.start()
    behind(own, 1, "INSERT INTO t (id) VALUES (620)")
    with pytest.raises(psycopg.errors.SerializationFailure):
        execute(pgpool, "INSERT INTO t (id) VALUES (620)")
    assert not detached(pgpool)
    assert own.same("SELECT v FROM t WHERE id = 2") == [(0,)]
    assert own[0].rows("SELECT v FROM t WHERE id = 3") == [(0,)]


def test_of_two_nodes_the_main_one_is_right(own, start):
    pgpool = start(**COUNTS)
    assert order(pgpool, "detach_node", 2).returncode == 0
    behind(own, 0, "DELETE FROM t WHERE id = 3")
    with pgpool.connect() as client:
        assert client.execute("UPDATE t SET v = 5 WHERE id = 3").statusmessage == "UPDATE 0"
        client.execute("INSERT INTO t (id) VALUES (630)")
    assert detached(pgpool) == [1, 2]
    assert own.all("SELECT id FROM t WHERE id = 630") == [[(630,)], [], []]


def test_a_main_node_against_all_others_is_detached(own, start):
    pgpool = start(**COUNTS)
    behind(own, 0, "DELETE FROM t WHERE id = 3")
    with pgpool.connect() as client:
        client.execute("BEGIN")
        client.execute("UPDATE t SET v = 5 WHERE id = 3")
        with pytest.raises(psycopg.errors.SerializationFailure):
            client.execute("COMMIT")
    wait_for(lambda: detached(pgpool) == [0], "the main node to be detached")
    with pgpool.connect() as client:
        client.execute("BEGIN")
        assert client.execute("UPDATE t SET v = 7 WHERE id = 3").statusmessage == "UPDATE 1"
        client.execute("COMMIT")
    assert own.all("SELECT v FROM t WHERE id = 3") == [[], [(7,)], [(7,)]]
    assert own.same(PREPARED) == [(0,)]


# ---- nobody waits for good, however the statement came -------------------------------------------

def bound(sql):
    return raw.parse("", sql) + raw.bind("", "") + raw.describe("P") + raw.execute()


def copied(number, *end):
    return (raw.copy_data(f"{number}\t1\n"), raw.COPY_DONE, *end)


# what is sent at once, and how many ReadyForQuery come
FORMS = {
    "simple": ([raw.query(UPDATE)], 1),
    "several": ([raw.query(f"{UPDATE}; SELECT 1; {UPDATE}")], 1),
    "extended": ([bound(UPDATE), raw.SYNC], 1),
    "batch": ([bound(UPDATE), bound("SELECT 1"), bound(UPDATE), raw.SYNC], 1),
    "block": ([raw.query("BEGIN"), raw.query(UPDATE), raw.query("SELECT 1"), raw.query("COMMIT")],
              4),
    "block in batches": ([raw.query("BEGIN"), bound(UPDATE), raw.SYNC, bound(UPDATE), raw.SYNC,
                          bound("SAVEPOINT a"), raw.SYNC, bound("COMMIT"), raw.SYNC], 5),
    "rolled back to": ([raw.query("BEGIN"), raw.query("SAVEPOINT a"), raw.query(UPDATE),
                        raw.query("ROLLBACK TO a"), raw.query("COMMIT")], 5),
    "pipeline": ([bound(UPDATE), raw.SYNC] * 5, 5),
    "pipeline of queries": ([raw.query(UPDATE)] * 5, 5),
    "batch with BEGIN": ([bound("BEGIN"), bound(UPDATE), raw.SYNC, bound("COMMIT"), raw.SYNC], 2),
    "values": ([bound("UPDATE t SET at = clock_timestamp() WHERE id = 3"), raw.SYNC], 1),
    "no key": ([bound("UPDATE t SET v = 5 WHERE id BETWEEN 2 AND 5"), raw.SYNC], 1),
    "copy": ([raw.query("COPY t (id, v) FROM STDIN"), *copied(600)], 1),
    "copy, extended": ([bound("COPY t (id, v) FROM STDIN"), raw.SYNC, *copied(600, raw.SYNC)], 1),
    "copy in a block": ([raw.query("BEGIN"), raw.query("COPY t (id, v) FROM STDIN"), *copied(600),
                         raw.query("COMMIT")], 3),
}


@pytest.mark.parametrize("mode", ["native_replication", "snapshot_isolation"])
@pytest.mark.parametrize("node", [1, 0])
def test_nobody_waits_for_good_behind_a_mismatch(own, start, mode, node):
    """Node 0 is the main one: then both others have done something else."""
    pgpool = start(backend_clustering_mode=mode)
    behind(own, node, "DELETE FROM t WHERE id = 3")
    for number in (1, 2) if node == 0 else (node,):
        behind(own, number, "INSERT INTO t (id) VALUES (600)")
    for name, (parts, count) in FORMS.items():
        with raw.connected(pgpool, timeout=20) as client:
            client.send(*parts)
            got = client.read_until("Z", count)
            assert "40001" in raw.codes(got) or name == "rolled back to", (name, got)
            while client.simple("ROLLBACK")[-1].body != b"I":
                pass
            assert client.rows("SELECT count(*) FROM t WHERE id = 2") == [["1"]], name
            assert not raw.codes(client.simple(KEPT)), name  # the same connections still write
            assert not raw.codes(client.simple("DELETE FROM t WHERE id = 7")), name
    assert own.same(PREPARED) == [(0,)]
    assert not detached(pgpool)
    assert sorted(map(len, own.all("SELECT FROM t WHERE id = 3"))) == [0, 1, 1]
