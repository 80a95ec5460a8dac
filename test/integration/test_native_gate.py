"""Native replication: statements that do not find their rows by a key, while others commit."""

import threading

import psycopg
import pytest

import raw
from proxy import starter
from test_native import PREPARED, SETTINGS, servers_with
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

ROUNDS = 60
TABLES = """
CREATE TABLE g (id int PRIMARY KEY, w int NOT NULL, v int NOT NULL);
CREATE TABLE total (id int PRIMARY KEY, n bigint, s bigint);
CREATE TABLE watched (id int PRIMARY KEY, n bigint);
CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql STABLE AS
    'BEGIN NEW.n := (SELECT count(*) FROM g); RETURN NEW; END';
CREATE TRIGGER counts BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION counts();
"""
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with(TABLES)


@pytest.fixture(name="pgpool")
def pgpool_fixture(servers, engine):
    for server in servers:
        with server.connect() as connection:
            connection.execute("TRUNCATE g, total, watched")
    for start in starter(servers.cluster, engine):
        yield start(**SETTINGS)
    assert servers.same(PREPARED) == [(0,)]
    servers.wait_all(LOCKS, [(0,)], "nobody to hold the gate")


class Writer(threading.Thread):
    """One client: its statements, again and again. What must be tried again is."""

    def __init__(self, pgpool, number, run):
        super().__init__(daemon=True)
        self.pgpool, self.number, self.act, self.wrong = pgpool, number, run, None

    def run(self):
        try:
            with self.pgpool.connect() as client:
                for turn in range(ROUNDS):
                    self.until_done(client, self.number * 1000 + turn)
        except psycopg.Error as error:
            self.wrong = error

    def until_done(self, client, key):
        while True:
            try:
                self.act(client, key)
                return
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                client.execute("ROLLBACK")


def run_together(pgpool, *acts):
    writers = [Writer(pgpool, n + 1, act) for n, act in enumerate(acts)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
        assert not writer.is_alive()
        assert writer.wrong is None, writer.wrong


def insert(client, key):
    client.execute(f"INSERT INTO g VALUES ({key}, {key % 4}, 1)")


def insert_with_parameters(client, key):
    client.execute("INSERT INTO g VALUES (%s, %s, 1)", (key, key % 4), prepare=True)


def insert_in_a_block(client, key):
    client.execute("BEGIN")
    client.execute(f"INSERT INTO g VALUES ({key}, {key % 4}, 1)")
    client.execute(f"UPDATE g SET v = v + 1 WHERE id = {key}")
    client.execute("COMMIT")


def add_to_many(client, key):
    client.execute(f"UPDATE g SET v = v + {key} WHERE w = {key % 4}")


def add_to_many_with_parameters(client, key):
    client.execute("UPDATE g SET v = v + %s WHERE w = %s", (key, key % 4), prepare=True)


def sum_up(client, key):
    client.execute(f"INSERT INTO total SELECT {key}, count(*), sum(v) FROM g")


def sum_up_in_a_block(client, key):
    client.execute("BEGIN")
    client.execute(f"INSERT INTO total VALUES ({key}, 0, 0)")
    client.execute("SAVEPOINT a")
    client.execute(f"UPDATE total SET n = (SELECT count(*) FROM g) WHERE id = {key}")
    client.execute("ROLLBACK TO a")
    client.execute(f"UPDATE total SET n = (SELECT count(*) FROM g), s = 1 WHERE id = {key}")
    client.execute("COMMIT")


def fire(client, key):
    client.execute(f"INSERT INTO watched VALUES ({key}, 0)")


def execute_by_key(client, key):
    if key % 1000 == 0:
        client.execute("DEALLOCATE ALL")
        client.execute("PREPARE one AS INSERT INTO g VALUES ($1, $2, 1)")
        client.execute("PREPARE own AS UPDATE g SET v = v + 1 WHERE id = $1")
    client.execute("BEGIN")
    client.execute(f"EXECUTE one ({key}, {key % 4})")
    client.execute(f"EXECUTE own ({key})")
    client.execute("COMMIT")


def execute_on_many(client, key):
    if key % 1000 == 0:
        client.execute("DEALLOCATE ALL")
        client.execute("PREPARE many AS UPDATE g SET v = v + $1 WHERE w = $2")
        client.execute("PREPARE sums AS INSERT INTO total SELECT $1, count(*), sum(v) FROM g")
    client.execute(f"EXECUTE many ({key}, {key % 4})")
    client.execute(f"EXECUTE sums ({key})")


def delete_some(client, key):
    client.execute(f"DELETE FROM g WHERE v > {key} * 40")


def equal(servers):
    for table in ("g", "total", "watched"):
        servers.same(f"SELECT * FROM {table} ORDER BY id")


def test_copies_stay_equal_whatever_writes_beside_whatever(servers, pgpool):
    run_together(pgpool, insert, insert_in_a_block, add_to_many, sum_up, fire, delete_some)
    equal(servers)
    assert servers[0].value("SELECT count(*) FROM total") == ROUNDS
    assert servers[0].value("SELECT count(*) FROM watched") == ROUNDS


def test_a_transaction_that_has_failed_leaves_nothing_to_the_next(servers, pgpool):
    """It has held the gate and failed before any copy heard of it."""
    with pgpool.connect() as client:
        client.execute("INSERT INTO g VALUES (1, 1, 1)")
        client.execute("BEGIN")
        with pytest.raises(psycopg.errors.UniqueViolation):
            client.execute("INSERT INTO g VALUES (1, 1, 1)")
        client.execute("ROLLBACK")
        client.execute("BEGIN")
        client.execute("INSERT INTO g VALUES (2, 2, 1)")
        servers.wait_all(LOCKS, [(1,)], "the gate to be held everywhere")
        client.execute("COMMIT")
    equal(servers)


def test_copies_stay_equal_with_parameters_and_savepoints(servers, pgpool):
    run_together(pgpool, insert, insert_with_parameters, add_to_many_with_parameters,
                 sum_up_in_a_block, insert_in_a_block)
    equal(servers)
    assert servers[0].value("SELECT count(*) FROM total WHERE s = 1") == ROUNDS


def test_copies_stay_equal_with_statements_of_prepare(servers, pgpool):
    run_together(pgpool, insert, execute_by_key, execute_on_many, execute_on_many, fire)
    equal(servers)
    assert servers[0].value("SELECT count(*) FROM total") == 2 * ROUNDS


def begun(pgpool, *statements):
    client = pgpool.connect()
    client.execute("BEGIN")
    for statement in statements:
        client.execute(statement)
    return client


def in_background(client, sql):
    states = []

    def run():
        try:
            client.execute(sql)
            states.append(None)
        except psycopg.Error as error:
            states.append(error.sqlstate)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, states


def test_writers_by_key_do_not_wait_for_each_other(servers, pgpool):
    with begun(pgpool, "INSERT INTO g VALUES (1, 1, 1)") as one, pgpool.connect() as other:
        other.execute("INSERT INTO g VALUES (2, 1, 1)")
        other.execute("UPDATE g SET v = 7 WHERE id = 2")
        one.execute("COMMIT")
    assert servers.same("SELECT id, v FROM g ORDER BY 1") == [(1, 1), (2, 7)]


def test_a_statement_that_is_not_by_key_waits_for_writers_and_they_for_it(servers, pgpool):
    one = begun(pgpool, "INSERT INTO g VALUES (1, 3, 1)")
    two = pgpool.connect()
    three = pgpool.connect()
    thread, states = in_background(two, "UPDATE g SET v = v + 10 WHERE w = 3")
    wait_for(lambda: servers[0].value(WAITS) == 1, "it to wait")
    later, later_states = in_background(three, "INSERT INTO g VALUES (2, 3, 1)")
    wait_for(lambda: servers[0].value(WAITS) == 2, "the next one to wait")
    one.execute("COMMIT")
    for waiting in (thread, later):
        waiting.join(60)
    assert states == later_states == [None]
    assert servers.same("SELECT id, v FROM g ORDER BY 1") == [(1, 11), (2, 1)]
    for client in (one, two, three):
        client.close()


def test_a_circle_is_broken_and_its_victim_is_told_why(servers, pgpool):
    one = begun(pgpool, "INSERT INTO g VALUES (1, 3, 1)")
    two = begun(pgpool, "INSERT INTO g VALUES (2, 3, 1)")
    thread, states = in_background(two, "UPDATE g SET v = 2 WHERE w = 3")
    wait_for(lambda: servers[0].value(WAITS) == 1, "the second to wait for the first")
    mine, my_states = in_background(one, "UPDATE g SET v = 3 WHERE w = 3")
    for waiting in (thread, mine):
        waiting.join(60)
    assert sorted(states + my_states, key=str) == ["40P01", None]
    winner, loser = (one, two) if my_states == [None] else (two, one)
    winner.execute("COMMIT")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        loser.execute("INSERT INTO g VALUES (3, 3, 1)")
    loser.execute("ROLLBACK")
    loser.execute("INSERT INTO g VALUES (4, 3, 1)")
    assert len(servers.same("SELECT id, v FROM g ORDER BY 1")) == 2
    one.close()
    two.close()


def test_other_isolation_levels_take_writes_by_key_alone(servers, pgpool):
    with pgpool.connect() as client:
        client.execute("INSERT INTO g VALUES (1, 3, 1)")
        for level in ("REPEATABLE READ", "SERIALIZABLE"):
            begin = f"BEGIN ISOLATION LEVEL {level}"
            client.execute(begin)
            client.execute("UPDATE g SET v = v + 1 WHERE id = 1")
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="READ COMMITTED"):
                client.execute("UPDATE g SET v = 0 WHERE w = 3")
            client.execute("ROLLBACK")
            client.execute(begin)
            client.execute("UPDATE g SET v = v + 1 WHERE id = 1")
            client.execute("COMMIT")
        client.execute("SET default_transaction_isolation = 'repeatable read'")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="READ COMMITTED"):
            client.execute("UPDATE g SET v = 0 WHERE w = 3")
    assert servers.same("SELECT v FROM g") == [(3,)]


def test_a_lock_timeout_at_the_gate(servers, pgpool):
    one = begun(pgpool, "INSERT INTO g VALUES (1, 3, 1)")
    with pgpool.connect() as client:
        client.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            client.execute("UPDATE g SET v = 0 WHERE w = 3")
        client.execute("BEGIN")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            client.execute("UPDATE g SET v = 0 WHERE w = 3")
        client.execute("ROLLBACK")
        client.execute("INSERT INTO g VALUES (2, 3, 1)")
    one.execute("COMMIT")
    one.close()
    assert servers.same("SELECT id, v FROM g ORDER BY 1") == [(1, 1), (2, 1)]


def kinds(messages):
    return "".join(got.kind for got in messages)


def test_a_batch_that_begins_a_transaction_holds_the_gate_from_its_end_on(servers, pgpool):
    with raw.connected(pgpool) as one, pgpool.connect() as two:
        one.send(raw.batch("BEGIN", "INSERT INTO g VALUES (1, 3, 1)"))
        assert kinds(one.read_until("Z")) == "12C12CZ"
        thread, states = in_background(two, "UPDATE g SET v = v + 10 WHERE w = 3")
        wait_for(lambda: servers[0].value(WAITS) == 1, "it to wait")
        one.send(raw.batch("COMMIT"))
        assert kinds(one.read_until("Z")) == "12CZ"
        thread.join(60)
        assert states == [None]
        one.send(raw.batch("BEGIN", "UPDATE g SET v = v + 1 WHERE w = 3"))
        assert kinds(one.read_until("Z")) == "12C12CZ"
        thread, states = in_background(two, "INSERT INTO g VALUES (2, 3, 1)")
        wait_for(lambda: servers[0].value(WAITS) == 1, "it to wait, too")
        one.send(raw.batch("COMMIT"))
        assert kinds(one.read_until("Z")) == "12CZ"
        thread.join(60)
        assert states == [None]
    assert servers.same("SELECT v FROM g ORDER BY id") == [(12,), (1,)]


def test_a_cancel_at_the_gate(servers, pgpool):
    one = begun(pgpool, "INSERT INTO g VALUES (1, 3, 1)")
    two = pgpool.connect()
    thread, states = in_background(two, "UPDATE g SET v = 0 WHERE w = 3")
    wait_for(lambda: servers[0].value(WAITS) == 1, "it to wait")
    two.cancel()
    thread.join(60)
    assert states == ["57014"]
    two.execute("INSERT INTO g VALUES (2, 3, 1)")
    one.execute("COMMIT")
    assert servers.same("SELECT id, v FROM g ORDER BY 1") == [(1, 1), (2, 1)]
    one.close()
    two.close()


def test_a_client_that_goes_while_it_waits_at_the_gate(servers, pgpool):
    """All nodes run its statement, or none does: its end may be heard before or behind that."""
    one = begun(pgpool, "INSERT INTO g VALUES (1, 3, 1)")
    two = pgpool.connect()
    in_background(two, "UPDATE g SET v = 0 WHERE w = 3")
    wait_for(lambda: servers[0].value(WAITS) == 1, "it to wait")
    two.pgconn.finish()
    one.execute("COMMIT")
    one.close()
    servers.wait_all(LOCKS, [(0,)], "it to leave")
    assert servers.same("SELECT id, v FROM g ORDER BY 1") in ([(1, 0)], [(1, 1)])


# ---- rows that are locked by their key -----------------------------------------------------------

LOCK = "SELECT v FROM g WHERE id = %s FOR UPDATE"


@pytest.mark.parametrize("extended", [False, True])
def test_who_locks_other_rows_is_not_waited_for(servers, pgpool, extended):
    with pgpool.connect() as one, pgpool.connect() as two:
        one.execute("INSERT INTO g VALUES (1, 1, 10), (2, 2, 20)")
        two.execute("SET lock_timeout = '20s'")
        for client, key in (one, 1), (two, 2):
            client.execute("BEGIN")
            lock = LOCK if extended else LOCK.replace("%s", str(key))
            done = client.execute(lock, (key,) if extended else None, prepare=extended)
            assert done.fetchall() == [(10 * key,)]
            client.execute(f"UPDATE g SET v = v + 1 WHERE id = {key}")
        two.execute("COMMIT")
        one.execute("COMMIT")
    assert servers.same("SELECT id, v FROM g ORDER BY id") == [(1, 11), (2, 21)]


def test_what_is_read_with_a_lock_is_written_back(servers, pgpool):
    """Nobody's addition is lost, while rows come and go."""
    keys = range(1, 4)

    def add(client, key):
        row = key % len(keys) + 1
        client.execute("BEGIN")
        [(value,)] = client.execute(LOCK, (row,), prepare=key % 2 == 0).fetchall()
        client.execute(f"UPDATE g SET v = {value + 1} WHERE id = {row}")
        client.execute("COMMIT")

    def come_and_go(client, key):
        client.execute("BEGIN")
        locked = client.execute(LOCK, (99,)).fetchall()
        client.execute("DELETE FROM g WHERE id = 99" if locked
                       else f"INSERT INTO g VALUES (99, 0, {key}) ON CONFLICT (id) DO NOTHING")
        client.execute("COMMIT")

    with pgpool.connect() as client:
        for key in keys:
            client.execute(f"INSERT INTO g VALUES ({key}, 0, 0)")
    run_together(pgpool, add, add, add, come_and_go, come_and_go)
    rows = servers.same("SELECT id, v FROM g WHERE id < 99 ORDER BY id")
    assert sum(value for _, value in rows) == 3 * ROUNDS, rows
    servers.same("SELECT * FROM g ORDER BY id")
