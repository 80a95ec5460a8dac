"""Native replication and snapshot isolation: what the main node runs as statements that it knows. A
client of the simple protocol is answered, byte by byte, what that server itself answers it."""

import psycopg
import pytest

import raw
from proxy import starter
from test_native import SETTINGS, servers_with
from waiting import wait_for, wait_learnt

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

TABLES = """
CREATE TABLE e (id int PRIMARY KEY, u int UNIQUE, c int CHECK (c > 0), n int NOT NULL DEFAULT 1,
    i4 int, i8 int8, i2 int2, f int REFERENCES e (id), tx text, vc varchar(3), b bool,
    ts timestamp, tz timestamptz, gone int, "Odd ""name" int);
INSERT INTO e (id, u, c, i4, i8, i2, f, tx, ts, gone)
    SELECT n, n, n, n, n, n, 1, 'x', '2020-01-01', n FROM generate_series(1, 5) n;
CREATE VIEW v AS SELECT id AS number, i4 + 1 AS more, tx FROM e;
CREATE TABLE pairs (a int, b int, v int, PRIMARY KEY (a, b));
INSERT INTO pairs VALUES (1, 1, 1), (1, 2, 2);
"""
UPDATE = "UPDATE e SET i4 = i4 + {n} WHERE id = 2"


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_with(TABLES)


@pytest.fixture(name="start", params=["native_replication", "snapshot_isolation"])
def start_fixture(servers, engine, request):
    mode = {"backend_clustering_mode": request.param}
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**SETTINGS | mode | more)
    for table in "e", "pairs":
        servers.same(f"SELECT t::text FROM {table} t ORDER BY 1")


class Client:
    def __init__(self, target):
        self.raw = raw.connected(target)

    def __call__(self, *messages):
        """Queries, or messages of a batch up to Sync. Their answers, as bytes."""
        answers = []
        for sent in messages:
            if isinstance(sent, str):
                self.raw.send(raw.query(sent))
            else:
                self.raw.send(*sent, raw.SYNC)
            answers += [(got.kind, got.body) for got in self.raw.read_until("Z")
                        if got.kind != "S"]
        return answers

    def pid(self):
        rows = [body for kind, body in self("SELECT pg_backend_pid()") if kind == "D"]
        return int(rows[0][6:])


class Pair:
    """A client of pgpool, and one of the main node itself, in the same database."""

    def __init__(self, pgpool, servers):
        self.servers = servers
        self.client = Client(pgpool)
        self.model = Client(servers[0])
        self.settles(UPDATE)

    def close(self):
        self.client.raw.close()
        self.model.raw.close()

    def is_known(self):
        """Does the main node have the client's last statement in a transaction with parameters?"""
        texts = [text for (text,) in self.servers[0].rows(
            "SELECT query FROM pg_stat_activity WHERE datname = 'test' AND "
            "state LIKE 'idle in tr%'")]
        assert len(texts) == 1, texts
        return "$1" in texts[0]

    def settles(self, *steps):
        """Waits until the last of the steps is such: what the first ones may have left, pgpool asks
        the server, when the session rests."""
        def comes():
            self.client("BEGIN", *[step.format(n=1) for step in steps])
            known = self.is_known()
            self.client("ROLLBACK")
            return known
        wait_for(comes, f"the main node knows {steps[-1]}", pause=0.1)

    def same(self, *steps, known=True, times=4):
        """In a transaction that is rolled back, again and again; {n} is another number each time.
        known: of the last of the steps; None: whether or not."""
        if known:
            self.settles(*steps)
        for n in range(1, times + 1):
            mine = self.client("BEGIN", *[step.format(n=n) for step in steps])
            if known is not None:
                assert self.is_known() == known, steps
            self.client("ROLLBACK")
            wanted = self.model("BEGIN", *[step.format(n=n) for step in steps])
            self.model("ROLLBACK")
            assert mine == wanted, (steps, n, mine, wanted)
        return mine

    def same_alone(self, step, times=4):
        """Outside of transactions, where it changes nothing."""
        for n in range(1, times + 1):
            mine, wanted = self.client(step.format(n=n)), self.model(step.format(n=n))
            assert mine == wanted, (step, n, mine, wanted)
        return mine

    def both(self, *steps):
        return self.client(*steps), self.model(*steps)


@pytest.fixture(name="pair")
def pair_fixture(start, servers):
    pair = Pair(start(), servers)
    yield pair
    pair.close()


def state_of(answers):
    """SQLSTATE of the only error."""
    (body,) = [body for kind, body in answers if kind == "E"]
    (state,) = [part[1:] for part in body.split(b"\0") if part[:1] == b"C"]
    return state.decode()


def test_writes_are_answered_as_texts_are(pair):
    for step in (UPDATE, "UPDATE e SET i4 = {n} WHERE id = 2",
                 "UPDATE e SET i8 = -{n} WHERE id = 2",
                 "UPDATE e SET i4 = i4 - {n}, i8 = i8 * -{n} WHERE id = {n}",
                 "update E set I4={n} where ID={n} ; ", "UPDATE e SET i4 = {n} WHERE id = 99{n}",
                 "/* {n} */UPDATE e AS t SET i4 = t.i4 + {n} WHERE t.id = 3 AND i4 < 1000{n}",
                 "UPDATE e SET \"i4\" = {n}, u = 10{n} WHERE \"id\" = 2",
                 "UPDATE e SET b = i4 > {n} WHERE id = 2",
                 "UPDATE e SET tz = CURRENT_TIMESTAMP, i4 = i4 + {n} WHERE id = 2",
                 "INSERT INTO e (id, i2, vc, tz) VALUES (10{n}, {n}, {n}, now())",
                 "INSERT INTO pairs VALUES (7{n}, -{n}, {n})",
                 "UPDATE pairs SET v = v + {n} WHERE a = 1 AND b = {n}",
                 "DELETE FROM pairs WHERE a = 1 AND b = {n}", "DELETE FROM e WHERE id = 5{n}"):
        pair.same(step, known=None if step[:2] == "/*" else True)
    pair.same("UPDATE e SET i4 = i4 + 4 WHERE id = 2", times=12)


READS = [
    "SELECT i4 FROM e WHERE id = {n}", "SELECT id, tx, ts, i8 FROM public.e WHERE id = {n};",
    "SELECT id, i4 FROM e WHERE id = 99{n}", "SELECT e.id, e.b FROM e WHERE e.id = -{n}",
    "SELECT v FROM pairs WHERE a = 1 AND b = {n}", "SELECT id FROM e WHERE i4 = {n} AND i8 = {n}",
    "SELECT \"Odd \"\"name\" FROM e WHERE id = {n}",
    "SELECT number, more FROM v WHERE number = {n}",
    "SELECT id, id, id FROM e WHERE id = {n}", "SELECT e FROM e WHERE id = {n}",
    "SELECT id FROM e WHERE i2 = {n}", "select TX from E where ID = {n}",
]


@pytest.mark.parametrize("read", READS)
def test_reads_in_a_transaction_that_has_written_are_answered_as_texts_are(pair, read):
    """Also numbers of tables and columns."""
    pair.same(UPDATE, read)
    pair.same(UPDATE, read.replace("{n}", "2"), times=10)


def test_what_might_differ_is_sent_as_text(pair):
    for step in ("UPDATE e SET i2 = {n} WHERE id = 2", "UPDATE e SET vc = {n} WHERE id = 2",
                 "UPDATE e SET tx = 'x{n}' WHERE id = 2", "UPDATE e SET i4 = 2 * {n} WHERE id = 2",
                 "UPDATE e SET (i4, i8) = ({n}, {n}) WHERE id = 2",
                 "UPDATE e SET i4 = i4 + {n} WHERE id = 2 AND tx = NULL",
                 "UPDATE e SET i4 = i4 + {n}, tx = 'Grüße' WHERE id = 2",
                 "UPDATE e SET i4 = {n} WHERE id = 2 RETURNING i4",
                 f"UPDATE e AS {'a' * 70} SET i4 = {{n}} WHERE id = 2"):
        pair.same(step, known=False)
    for read in ("SELECT * FROM e WHERE id = {n}", "SELECT i4 + 1 FROM e WHERE id = {n}",
                 "SELECT i4 FROM e WHERE id = {n} FOR UPDATE", "SELECT i4 FROM e WHERE id > {n}",
                 "SELECT i4 AS a FROM e WHERE id = {n}", "SELECT i4 FROM e, v WHERE id = {n}",
                 "SELECT i4 FROM e WHERE id = {n} OR id = 1", "SELECT i4 FROM e WHERE id = '{n}'",
                 f"SELECT {'a' * 70}.i4 FROM e AS {'a' * 70} WHERE id = {{n}}"):
        pair.same(UPDATE, read, known=False)
    pair.both("SET transform_null_equals TO on")
    pair.same("UPDATE e SET i4 = i4 + {n} WHERE id = 2 AND tx = NULL", known=False)


# SQLSTATE of what fails each time
FAILURES = {
    "INSERT INTO e (id, u) VALUES (2{n}, 1)": "23505",
    "INSERT INTO e (id, i4) VALUES (2, {n})": "23505",
    "UPDATE e SET u = 1 WHERE id = 2": "23505",
    "UPDATE e SET c = -{n} WHERE id = 2": "23514",
    "INSERT INTO e (id, c) VALUES (2{n}, -5)": "23514",
    "INSERT INTO e (id, n) VALUES (2{n}, NULL)": "23502",
    "UPDATE e SET f = 9{n} WHERE id = 2": "23503",
    "DELETE FROM e WHERE id = 1": "23503",
    "UPDATE e SET i4 = i4 + 2147483647 WHERE id = 2": "22003",
    "UPDATE e SET i4 = i4 / 0 WHERE id = 2": "22012",
    "UPDATE e SET i4 = i4 * {n}, i2 = i2 + 100000 WHERE id = 2": "22003",
    "INSERT INTO e (id, i2) VALUES (2{n}, 100000)": "22003",
    "INSERT INTO e (id, vc) VALUES (2{n}, 10000)": "22001",
}


@pytest.mark.parametrize("step", FAILURES)
def test_what_fails_fails_with_the_same_words(pair, step):
    assert state_of(pair.same(step, times=9)) == FAILURES[step]
    assert state_of(pair.same_alone(step)) == FAILURES[step]
    pair.both("SET log_parameter_max_length_on_error TO -1")
    assert state_of(pair.same(step)) == FAILURES[step]
    pair.both("SET log_parameter_max_length_on_error TO 1")
    assert state_of(pair.same(step, known=None)) == FAILURES[step]


def test_what_is_computed_when_it_is_planned_fails_where_no_row_is(pair):
    for value, state in {"5 / 0": "22012", "2147483647 + 1": "22003", "-(5 / 0)": "22012",
                         "3 * (i4 - i4) + 1 / 0": "22012"}.items():
        got = pair.same(f"UPDATE e SET i4 = {value} WHERE id = 99", known=None, times=9)
        assert state_of(got) == state
    assert state_of(pair.same("UPDATE e SET i2 = 100000 WHERE id = 99", known=False,
                              times=9)) == "22003"
    assert state_of(pair.same("UPDATE e SET vc = 10000 WHERE id = 99", known=False,
                              times=9)) == "22001"
    pair.same("UPDATE e SET i4 = i4 / 0 WHERE id = 99", times=9)


DEFINED = [  # what is run, what is defined meanwhile and how it is taken back
    ("UPDATE e SET i4 = 123 , gone = gone + 5 WHERE id = 2",
     "ALTER TABLE e RENAME gone TO went", "ALTER TABLE e RENAME went TO gone", "42703"),
    ("UPDATE e SET i4 = i4 + -5 WHERE i8 = 3 AND id = 2 AND gone = -5",
     "ALTER TABLE e ALTER gone TYPE bool USING gone > 0",
     "ALTER TABLE e ALTER gone TYPE int USING id", "42883"),
    ("INSERT INTO e (id, gone) VALUES (200, - 5)",
     "ALTER TABLE e ALTER gone TYPE date USING '2020-01-01'",
     "ALTER TABLE e ALTER gone TYPE int USING id", "42804"),
    ("DELETE FROM pairs WHERE a = 1 AND b = 2",
     "ALTER TABLE pairs RENAME TO couples", "ALTER TABLE couples RENAME TO pairs", "42P01"),
    ("INSERT INTO pairs VALUES (12345, 2, 3)",
     "ALTER TABLE pairs DROP v", "ALTER TABLE pairs ADD v int DEFAULT 0", "42601"),
]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("step, change, back, state, past", [
    (*case, past) for case in DEFINED for past in (True, False)
    if past or case[3] != "42P01"])  # that pgpool says by itself
def test_definitions_of_others_are_met_as_a_text_meets_them(start, servers, step, change, back,
                                                            state, past, alone):
    """past: pgpool does not see them, so that the main node's own statement meets them."""
    pgpool = start()
    pair = Pair(pgpool, servers)

    def define(sql):
        targets = servers if past else [pgpool]
        for target in targets:
            with psycopg.connect(target.dsn(dbname="test"), autocommit=True) as connection:
                connection.execute(sql)

    try:
        pair.same(step)
        define(change)
        got = [pair.same_alone(step, times=1) if alone else pair.same(step, known=None, times=1)
               for _ in range(2)]
        assert [state_of(answers) for answers in got] == [state] * 2
    finally:
        define(back)
    pair.close()


def test_a_result_of_another_type_costs_one_transaction_at_most(pair, servers):
    """Its definition was made past pgpool; one that pgpool sees costs none."""
    read = "SELECT gone, id FROM e WHERE id = {n}"
    pair.same(UPDATE, read)
    for server in servers:
        with server.connect() as connection:
            connection.execute("ALTER TABLE e ALTER gone TYPE bigint")
    got = pair.client("BEGIN", UPDATE.format(n=1), read.format(n=2))
    assert state_of(got) == "40001"
    pair.client("ROLLBACK")
    pair.same(UPDATE, read)
    other = Client(pair.client.raw.target)
    other("ALTER TABLE e ALTER gone TYPE int")
    pair.same(UPDATE, read)
    other.raw.close()


def test_a_name_that_is_gone_costs_nothing_outside_of_a_block(pair):
    def forget():
        rows = pair.client("BEGIN", UPDATE.format(n=1), UPDATE.format(n=2),
                           "SELECT name FROM pg_prepared_statements WHERE statement ~ 'i4 \\+'",
                           "ROLLBACK")
        names = [body[6:].decode() for kind, body in rows if kind == "D"]
        assert names
        for name in names:
            pair.client(f"DEALLOCATE {name}")
        wait_learnt(pair.client.raw.target)  # until then texts are sent

    forget()
    pair.same_alone("UPDATE e SET i4 = i4 + {n} WHERE id = 99")
    pair.same(UPDATE, known=None)
    pair.client("DISCARD ALL")
    pair.settles(UPDATE)
    forget()
    assert state_of(pair.client("BEGIN", UPDATE.format(n=1), "ROLLBACK")) == "40001"
    pair.same(UPDATE, known=None)


def test_who_waits_is_told_the_same(pair, servers):
    """Of a row that somebody has locked."""
    for step in UPDATE, "DELETE FROM pairs WHERE a = 1 AND b = 1":
        pair.same(step, known=None, times=3)
    with servers[0].connect() as holder:
        holder.autocommit = False
        holder.execute("SELECT 1 FROM e WHERE id = 2 FOR UPDATE")
        for setting in "statement_timeout", "lock_timeout":
            pair.both(f"SET {setting} TO 200")
            got = pair.same(UPDATE, known=None, times=3)
            assert state_of(got) == {"statement_timeout": "57014", "lock_timeout": "55P03"}[setting]
            assert state_of(pair.same_alone(UPDATE, times=2)) == state_of(got)
            pair.both(f"RESET {setting}")
        answers = []
        for client in pair.client, pair.model:
            client("BEGIN")
            client.raw.send(raw.query(UPDATE.format(n=1)))
            wait_for(lambda: servers[0].value(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1,
                "it waits")
            with raw.Raw(client.raw.target) as other:
                other.send(raw.cancel_request(client.raw.pid, client.raw.key))
                other.drain_to_end()
            answers.append([(got.kind, got.body) for got in client.raw.read_until("Z")])
            client("ROLLBACK")
        assert answers[0] == answers[1]
        assert state_of(answers[0]) == "57014"
        holder.rollback()


def test_what_a_query_ends_is_ended(pair):
    """The unnamed statement, and the unnamed portal."""
    batch = [raw.parse("", "SELECT 7"), raw.bind("", ""), raw.execute()]
    for n in range(2):
        got = []
        for client in pair.client, pair.model:
            got.append(client("BEGIN", batch, UPDATE.format(n=n), [raw.bind("", ""),
                                                                   raw.execute()], "ROLLBACK"))
            got[-1] += client("BEGIN", UPDATE.format(n=n), [raw.execute()], "ROLLBACK")
            got[-1] += client("BEGIN", UPDATE.format(n=n), "SELECT i4 FROM e WHERE id = 2",
                              [raw.parse("", "SELECT name FROM pg_cursors"), raw.bind("p", ""),
                               raw.execute("p")], "ROLLBACK")
        assert [[raw.Got(*one).comparable() for one in some] for some in got[:1]] == \
            [[raw.Got(*one).comparable() for one in some] for some in got[1:]]


def test_queries_in_one_write_are_answered_in_order(pair):
    steps = ["BEGIN", UPDATE.format(n=1), "SELECT i4 FROM e WHERE id = 2", UPDATE.format(n=2),
             "SELECT i4, tx FROM e WHERE id = 2", "SELECT i4 FROM e WHERE id = 3",
             "INSERT INTO e (id, u) VALUES (300, 1)", "SELECT i4 FROM e WHERE id = 2", "ROLLBACK",
             "SELECT i4 FROM e WHERE id = 2"]
    for _ in range(4):
        got = []
        for client in pair.client, pair.model:
            client.raw.send(*[raw.query(step) for step in steps])
            got.append([(m.kind, m.body) for m in client.raw.read_until("Z", len(steps))])
        assert got[0] == got[1]


def test_savepoints_bring_it_back(pair):
    pair.same(UPDATE, "SAVEPOINT s", "UPDATE e SET i4 = i4 / 0 WHERE id = 2", "ROLLBACK TO s",
              UPDATE, "SELECT i4 FROM e WHERE id = 2")


def test_a_functions_doubt_makes_texts(start, servers):
    pair = Pair(start(replication_unsafe_statements="allow"), servers)
    pair.client("CREATE FUNCTION forgets() RETURNS void LANGUAGE plpgsql AS "
                "$$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    pair.settles(UPDATE)
    mine, wanted = pair.both("SELECT forgets()")
    assert [kind for kind, _ in mine] == [kind for kind, _ in wanted] == ["T", "D", "C", "Z"]
    pair.same(UPDATE, "SELECT i4 FROM e WHERE id = 2", known=False, times=6)
    pair.client("DROP FUNCTION forgets()", "DISCARD ALL")
    pair.settles(UPDATE)
    pair.close()


def test_few_statements_are_kept(start, servers):
    pair = Pair(start(max_prepared_statements=2), servers)
    for _ in range(2):
        for step in (UPDATE, "UPDATE e SET i8 = i8 + {n} WHERE id = 2",
                     "DELETE FROM pairs WHERE a = {n} AND b = 1"):
            pair.same(step, "SELECT i4 FROM e WHERE id = 2", "SELECT i8 FROM e WHERE id = {n}")
    pair.close()
