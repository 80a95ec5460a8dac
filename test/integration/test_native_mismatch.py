"""Native replication: nodes that do something else than the others are detached, where the
configuration wants that, and the client notices nothing."""

import psycopg
import pytest

from test_native import PREPARED
from test_native_recovery import (execute, order, own_fixture,  # pylint: disable=unused-import
                                  start_fixture)
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(40)]

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
    with pytest.raises(psycopg.errors.SerializationFailure):
        execute(pgpool, "UPDATE t SET v = 5 WHERE id = 3")
    wait_for(lambda: detached(pgpool) == [0], "the main node to be detached")
    with pgpool.connect() as client:
        client.execute("BEGIN")
        assert client.execute("UPDATE t SET v = 7 WHERE id = 3").statusmessage == "UPDATE 1"
        client.execute("COMMIT")
    assert own.all("SELECT v FROM t WHERE id = 3") == [[], [(7,)], [(7,)]]
    assert own.same(PREPARED) == [(0,)]
