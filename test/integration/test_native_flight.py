"""Native replication: what is under way when a node dies, or another transaction is in the way, is
its client's only where the client has a transaction of its own open: a statement outside of one
runs again, and a COMMIT is answered when it is known what has become of it."""

import threading

import psycopg
import pytest

import raw
from cluster import Server
from failing import Node
from independent import Independent
from proxy import starter
from test_native import PREPARED, SETTINGS, TABLES
from test_native_faults import SLOW_COMMIT, WAITS, Blocker, end_connections, waits_for_lock
from waiting import SLOW, forget_catalog, wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(90)]

MODES = ["native_replication", "snapshot_isolation"]
FORMS = [False, True]  # by a batch of the extended protocol?


class Mortal(Node):
    def configure(self, text):
        Server.configure(self, text)


class Mortals(Independent):
    server_class = Mortal

    def __init__(self):
        super().__init__(standbys=2)
        for server in self.servers:
            with server.connect() as connection:
                connection.execute(TABLES)
                connection.execute(SLOW_COMMIT)

    def __getitem__(self, number):
        return self.servers[number]

    def same(self, sql, numbers=(0, 1, 2)):
        answers = [self.servers[number].rows(sql) for number in numbers]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]


@pytest.fixture(name="whole", scope="module")
def whole_fixture():
    """For tests that leave all servers as they are."""
    cluster = Mortals()
    yield cluster
    cluster.destroy()


@pytest.fixture(name="own")
def own_fixture():
    cluster = Mortals()
    yield cluster
    cluster.destroy()


@pytest.fixture(name="start")
def start_fixture(engine):
    starters = []

    def start(cluster, mode, **more):
        generator = starter(cluster, engine)
        starters.append(generator)
        return next(generator)(**SETTINGS | {"backend_clustering_mode": mode,
                                             "failover_wait": "60s"} | more)

    yield start
    for generator in starters:
        next(generator, None)


class Runner(threading.Thread):
    """Runs statements in a session, and says what each was answered: its SQLSTATE, or its rows and
    its command tag."""

    def __init__(self, pgpool, extended, *statements):
        super().__init__(daemon=True)
        self.connection = pgpool.connect()
        self.extended, self.statements, self.answers = extended, statements, []
        self.start()

    def run(self):
        for statement in self.statements:
            try:
                done = self.connection.execute(statement, prepare=self.extended)
                rows = done.fetchall() if done.description else None
                self.answers.append((rows, done.statusmessage))
            except psycopg.Error as error:
                self.answers.append(error.sqlstate)

    def ended(self):
        self.join(120)
        assert not self.is_alive()
        self.connection.close()
        return self.answers


def with_lock(server):
    wait_for(lambda: waits_for_lock(server), "the statement to wait")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extended", FORMS)
def test_the_main_node_dies_while_it_runs_a_statement(own, start, mode, extended):
    """Once a plain one, and once one with values of the main node's, whose rows are answered."""
    pgpool = start(own, mode)
    with Blocker(own[0], 3), Blocker(own[0], 4):
        plain = Runner(pgpool, extended, "UPDATE t SET v = v + 7 WHERE id = 3", "SELECT 1")
        with_lock(own[0])
        values = Runner(pgpool, extended, "UPDATE t SET v = v + 8, at = now() WHERE id = 4 "
                                          "RETURNING id, v, at IS NULL")
        wait_for(lambda: own[0].value("SELECT count(*) FROM pg_stat_activity "
                                      "WHERE wait_event_type = 'Lock'") == 2, "both to wait")
        own[0].kill()
    assert plain.ended() == [(None, "UPDATE 1"), ([(1,)], "SELECT 1")]
    assert values.ended() == [([(4, 8, False)], "UPDATE 1")]
    assert own.same("SELECT id, v FROM t WHERE v <> 0 ORDER BY id", (1, 2)) == [(3, 7), (4, 8)]
    assert own.same("SELECT count(DISTINCT at) FROM t", (1, 2)) == [(1,)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extended", FORMS)
def test_the_main_node_dies_while_another_one_runs_a_statement(own, start, mode, extended):
    pgpool = start(own, mode)
    with Blocker(own[2], 3):
        runner = Runner(pgpool, extended, "UPDATE t SET v = v + 7 WHERE id = 3 RETURNING v")
        with_lock(own[2])
        own[0].kill_postmaster()
        wait_for(lambda: "node 0" in pgpool.log_text() and "is detached" in pgpool.log_text(),
                 "it to be detached", 60)
    assert runner.ended() == [([(7,)], "UPDATE 1")]
    assert own.same("SELECT v FROM t WHERE id = 3", (1, 2)) == [(7,)]


def waits_in_commit(server):
    wait_for(lambda: server.value(f"SELECT count(*) FROM pg_stat_activity WHERE {WAITS}") == 1,
             "COMMIT to wait")


@pytest.mark.parametrize("extended", FORMS)
@pytest.mark.parametrize("block", [False, True])
def test_the_main_node_dies_in_a_commit(own, start, extended, block):
    """The others have prepared it, and commit it for that; who sets something in the block has
    it set. Not with snapshot_isolation: constraints are checked in front of COMMIT there, so that
    nothing waits in it."""
    pgpool = start(own, "native_replication", replication_unsafe_statements="allow")
    statements = ["INSERT INTO slow VALUES (1)"]
    answers = [(None, "INSERT 0 1")]
    if block:
        statements = ["BEGIN", "SET timezone = 'Asia/Tokyo'", *statements, "COMMIT",
                      "SHOW timezone"]
        answers = [(None, "BEGIN"), (None, "SET"), *answers, (None, "COMMIT"),
                   ([("Asia/Tokyo",)], "SHOW")]
    gate = own[0].connect()
    gate.execute("SELECT pg_advisory_lock(1)")
    runner = Runner(pgpool, extended, *statements)
    waits_in_commit(own[0])
    own[0].kill()
    gate.close()
    assert runner.ended() == answers
    assert own.same("SELECT id FROM slow", (1, 2)) == [(1,)]
    assert own.same(PREPARED, (1, 2)) == [(0,)]


@pytest.mark.parametrize("extended", FORMS)
@pytest.mark.parametrize("block", [False, True])
def test_the_main_node_is_there_again_and_has_not_committed(own, start, extended, block):
    """A statement runs again then; of a block the client is told that it is rolled back."""
    pgpool = start(own, "native_replication", replication_unsafe_statements="allow")
    statements = ["INSERT INTO slow VALUES (1)"]
    gate = own[0].connect()
    gate.execute("SELECT pg_advisory_lock(1)")
    runner = Runner(pgpool, extended, *(["BEGIN", *statements, "COMMIT"] if block else statements))
    waits_in_commit(own[0])
    pid = own[0].value(f"SELECT pid FROM pg_stat_activity WHERE {WAITS}")
    own[0].tell(9, [pid])  # all of its neighbours go with it
    answer = runner.ended()[-1]
    gate.close()
    rows = own.same("SELECT id FROM slow", (1, 2))
    if block and answer == "40001":
        assert rows == []
    else:  # perhaps it was detached meanwhile
        assert (answer, rows) == ((None, "COMMIT" if block else "INSERT 0 1"), [(1,)])
    assert own.same(PREPARED, (1, 2)) == [(0,)]


@pytest.mark.parametrize("statement", ["LISTEN flight", "SELECT pg_advisory_lock(77)",
                                       "SET timezone = 'Asia/Tokyo'", "SHOW timezone",
                                       "NOTIFY flight", "DISCARD ALL", "DEALLOCATE ALL",
                                       "CLOSE ALL"])
def test_what_is_the_connection_s_alone_runs_again(own, start, statement):
    """It has gone with the connection, and nothing else: the next main node is told it."""
    pgpool = start(own, "native_replication", pool_mode="session")  # it has a connection already
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        assert one.rows("SELECT count(*) FROM t /* pgpool: primary */")
        with own[0].connect() as blocker:
            if "lock" in statement:
                blocker.execute("SELECT pg_advisory_lock(77)")
            else:
                own[0].freeze()
            one.send(raw.query(statement))
            if "lock" not in statement:
                wait_for(lambda: "may be dead" in pgpool.log_text(), "it to be missed", 60)
            else:
                wait_for(lambda: own[0].value("SELECT count(*) FROM pg_stat_activity "
                                              "WHERE wait_event = 'advisory'") == 1, "it to wait")
            own[0].kill()
        kinds = [got.kind for got in one.read_until("Z") if got.kind != "S"]
        assert kinds[-2:] == ["C", "Z"]
        if "SET" not in statement:  # which another node may have answered
            assert "a statement without effect runs again" in pgpool.log_text()
        if "LISTEN" in statement:
            with own[1].connect() as other:
                other.execute("NOTIFY flight")
            assert one.read_until("A")
        elif "lock" in statement:
            assert own[1].value("SELECT count(*) FROM pg_locks WHERE objid = 77") == 1
        elif "SET" in statement:
            assert one.rows("SHOW timezone") == [["Asia/Tokyo"]]


LEAVES = """CREATE TABLE plainly (id int); CREATE TABLE leaves (id int);
    CREATE FUNCTION leaves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM set_config('kp.left', 'yes', false); RETURN NEW; END $$;
    CREATE TRIGGER leaves BEFORE INSERT ON leaves FOR EACH ROW EXECUTE FUNCTION leaves()"""


@pytest.mark.parametrize("table", ["plainly", "leaves"])
def test_nobody_has_asked_what_ran_before_it_died(own, start, table):
    """The catalog is forgotten before the session can be judged: the next main node is asked, and
    who has left nothing on the dead one goes on."""
    for server in own.servers:
        with server.connect() as connection:
            connection.execute(LEAVES)
    pgpool = start(own, "native_replication", replication_unsafe_statements="allow")
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        with Blocker(own[0], 3):
            one.send(raw.query(f"INSERT INTO {table} VALUES (1)") +
                     raw.query("UPDATE t SET v = v + 7 WHERE id = 3"))
            with_lock(own[0])
            forget_catalog(pgpool)
            own[0].kill()
        assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
        if table == "plainly":
            assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
            assert one.rows("SELECT v FROM t WHERE id = 3") == [["7"]]
        else:
            [error] = one.read_to_end()
            assert error.fields()["C"] == "57P01" and "function" in error.fields()["D"]
    assert own.same("SELECT v FROM t WHERE id = 3", (1, 2)) == [(7 if table == "plainly" else 0,)]
    assert own.same(f"SELECT id FROM {table}", (1, 2)) == [(1,)]


def test_a_read_behind_what_nobody_has_asked_about(own, start):
    """That may have left something, so the read is at the main node whatever the catalog says of
    it; when that is lost, it is asked, and the read runs again."""
    for server in own.servers:
        with server.connect() as connection:
            connection.execute(LEAVES)
    pgpool = start(own, "native_replication", replication_unsafe_statements="allow")
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        locker = own[0].connect()
        locker.execute("BEGIN; LOCK TABLE t")
        one.send(raw.query("INSERT INTO plainly VALUES (1)") +
                 raw.query("SELECT v FROM t WHERE id = 3"))
        with_lock(own[0])
        own[0].kill()
        assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
        assert [got.kind for got in one.read_until("Z")] == ["T", "D", "C", "Z"]
    assert own.same("SELECT id FROM plainly", (1, 2)) == [(1,)]


@pytest.mark.parametrize("statement", ["SELEC 1", "UPDATE nowhere SET v = 1"])
def test_what_was_refused_before_it_died(own, start, statement):
    """It has not run, so that there is nothing to be asked about."""
    pgpool = start(own, "native_replication", replication_unsafe_statements="allow")
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        with Blocker(own[0], 3):
            one.send(raw.query(statement) + raw.query("UPDATE t SET v = v + 7 WHERE id = 3"))
            with_lock(own[0])
            own[0].kill()
        assert [got.kind for got in one.read_until("Z")] == ["E", "Z"]
        assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
        assert one.rows("SELECT v FROM t WHERE id = 3") == [["7"]]


@pytest.mark.parametrize("known", [False, True])
def test_what_was_refused_behind_what_ran(own, start, known):
    """What ran is asked about, and not what was refused: "missing" would end the session."""
    with own[0].connect() as connection, own[1].connect() as one, own[2].connect() as two:
        for each in (connection, one, two):
            each.execute(LEAVES)
    pgpool = start(own, "native_replication", replication_unsafe_statements="allow")
    refused = "UPDATE nowhere SET v = 1"
    with raw.connected(pgpool, timeout=60 * SLOW) as one:
        if known:
            with raw.connected(pgpool, timeout=60 * SLOW) as other:
                for _ in range(3):
                    other.rows("SELECT v FROM t WHERE id = 2")
                    other.send(raw.query(refused))
                    other.read_until("Z")
        for text in ("BEGIN", "INSERT INTO plainly VALUES (1)", "SAVEPOINT p"):
            one.rows(text)
        one.send(raw.query(refused))
        assert [got.kind for got in one.read_until("Z")] == ["E", "Z"]
        with Blocker(own[0], 3):
            one.send(raw.query("ROLLBACK TO p") + raw.query("COMMIT") +
                     raw.query("UPDATE t SET v = v + 7 WHERE id = 3"))
            with_lock(own[0])
            own[0].kill()
        for _ in range(3):
            assert [got.kind for got in one.read_until("Z")] == ["C", "Z"]
        assert one.rows("SELECT v FROM t WHERE id = 3") == [["7"]]
    assert own.same("SELECT id FROM plainly", (1, 2)) == [(1,)]


# ---- conflicts -----------------------------------------------------------------------------------

def end_waiting(server):
    server.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock'")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extended", FORMS)
def test_another_node_s_connection_ends(whole, start, mode, extended):
    pgpool = start(whole, mode)
    with Blocker(whole[2], 3):
        runner = Runner(pgpool, extended, "UPDATE t SET v = 31 WHERE id = 3 RETURNING v",
                        "UPDATE t SET v = 0 WHERE id = 3 AND v = 31")
        for _ in range(2):
            with_lock(whole[2])
            end_waiting(whole[2])
            wait_for(lambda: not waits_for_lock(whole[2]), "it to end")
    assert runner.ended() == [([(31,)], "UPDATE 1"), (None, "UPDATE 1")]
    assert whole.same("SELECT v FROM t WHERE id = 3") == [(0,)]
    assert whole.same(PREPARED) == [(0,)]


@pytest.mark.parametrize("extended", FORMS)
def test_what_the_client_has_rows_of_does_not_run_again(whole, start, extended):
    pgpool = start(whole, "native_replication")
    with Blocker(whole[2], 3):
        runner = Runner(pgpool, extended,
                        "UPDATE t SET v = 32 WHERE id = 3 RETURNING repeat('x', 100000)")
        with_lock(whole[2])
        end_waiting(whole[2])
        assert runner.ended() == ["40001"]
    assert whole.same("SELECT v FROM t WHERE id = 3") == [(0,)]


@pytest.mark.parametrize("extended", FORMS)
def test_what_is_cancelled_does_not_run_again(whole, start, extended):
    pgpool = start(whole, "native_replication")
    with Blocker(whole[2], 3):
        runner = Runner(pgpool, extended, "UPDATE t SET v = 33 WHERE id = 3")
        with_lock(whole[2])
        runner.connection.cancel()
        assert runner.ended() == ["57014"]
    assert whole.same("SELECT v FROM t WHERE id = 3") == [(0,)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("statement", ["UPDATE t SET v = 34 WHERE id = 3",
                                       "SELECT pg_sleep(0.001 * (100 + %d))"])
def test_cancelled_more_often_than_there_are_statements(whole, start, mode, statement):
    """The second request may come when the transaction round the statement is ended by pgpool. It
    may hit the client's next statement, too, as in PostgreSQL; but no block is left open."""
    pgpool = start(whole, mode, client_min_messages="error")
    with raw.connected(pgpool) as one:
        for n in range(25):
            with Blocker(whole[0], 3):
                one.send(raw.query(statement.replace("%d", str(n))))
                if "UPDATE" in statement:
                    with_lock(whole[0])
                others = [raw.Raw(pgpool) for _ in range(6)]
                for other in others:
                    other.send(raw.cancel_request(one.pid, one.key))
                for other in others:
                    other.drain_to_end()
                [*got, ready] = one.read_until("Z")
                assert raw.codes(got) == ["57014"] or "sleep" in statement
                assert ready.body == b"I"
            answers = [one.simple("SELECT 1") for _ in range(7)]
            assert {got[-1].body for got in answers} == {b"I"}
            assert raw.codes(answers[-1]) == []
    assert whole.same("SELECT v FROM t WHERE id = 3") == [(0,)]


@pytest.mark.parametrize("extended", FORMS)
def test_a_row_that_has_changed_since_the_snapshot(whole, start, extended):
    pgpool = start(whole, "snapshot_isolation")
    with whole[0].connect() as stranger:
        stranger.autocommit = True
        stranger.execute("BEGIN")
        stranger.execute("UPDATE t SET v = v WHERE id = 4")
        runner = Runner(pgpool, extended, "UPDATE t SET v = v + 1 WHERE id = 4")
        with_lock(whole[0])
        stranger.execute("COMMIT")
        assert runner.ended() == [(None, "UPDATE 1")]
    assert whole.same("UPDATE t SET v = 0 WHERE id = 4 RETURNING 1") == [(1,)]


@pytest.mark.parametrize("extended", FORMS)
def test_a_circle_through_two_nodes(whole, start, extended):
    """As test_native_deadlock.py has it, with a statement outside of a transaction as the one that
    gives up."""
    for number, server in enumerate(whole.servers):
        with server.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS h, place")
            connection.execute("CREATE TABLE h AS SELECT n AS id, 0 AS v "
                               "FROM generate_series(1, 20) n")
            connection.execute("ALTER TABLE h ADD PRIMARY KEY (id)")
            connection.execute(f"CREATE TABLE place AS SELECT {number} AS number")
    pgpool = start(whole, "snapshot_isolation")
    with pgpool.connect() as one:
        one.execute("BEGIN")
        one.execute("UPDATE h SET v = v + 1 WHERE id = (SELECT number + 10 FROM place)")
        runner = Runner(pgpool, extended, "UPDATE h SET v = v + 5 WHERE id = 11")
        with_lock(whole[1])
        one.execute("UPDATE h SET v = v + 2 WHERE id = 11")
        one.execute("ROLLBACK")
        assert runner.ended() == [(None, "UPDATE 1")]
    assert "a deadlock through several nodes" in pgpool.log_text()
    assert whole.same("SELECT id, v FROM h WHERE v <> 0") == [(11, 5)]
