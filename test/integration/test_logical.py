"""backend_clustering_mode = logical_replication: reads are balanced over subscribers, where these
have what is read; nothing else is, and no subscriber ever gets a write."""

import psycopg
import pytest

import raw
from cluster import Server, original, run
from failing import FailingCluster, Keeper, Node
from waiting import SLOW, Background, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(40), pytest.mark.plain]

SCHEMA = """
CREATE TABLE items (id int PRIMARY KEY, v int);
CREATE TABLE unpublished (id int PRIMARY KEY);
CREATE TABLE filtered (id int PRIMARY KEY);
CREATE TABLE narrow (id int PRIMARY KEY, a int, b int);
CREATE TABLE inserts (id int PRIMARY KEY);
CREATE TABLE other_columns (id int PRIMARY KEY);
CREATE TABLE secured (id int PRIMARY KEY);
CREATE TABLE with_function (id int PRIMARY KEY);
CREATE FUNCTION of_row(with_function) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE TABLE leaves (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE leaves_1 PARTITION OF leaves FOR VALUES FROM (0) TO (100);
CREATE TABLE leaves_2 PARTITION OF leaves FOR VALUES FROM (100) TO (200);
CREATE TABLE half (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE half_1 PARTITION OF half FOR VALUES FROM (0) TO (100);
CREATE TABLE half_2 PARTITION OF half FOR VALUES FROM (100) TO (200);
CREATE VIEW item_view AS SELECT * FROM items;
CREATE SEQUENCE numbers;
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * $1';
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
"""
# with different partitions, and none, on the subscribers
ROOT = """
CREATE TABLE root (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE root_1 PARTITION OF root FOR VALUES FROM (0) TO (100);
CREATE TABLE root_2 PARTITION OF root FOR VALUES FROM (100) TO (200);
"""
CARRIED = ("items", "root", "leaves", "leaves_1", "leaves_2", "half_1")
NOT_CARRIED = ("unpublished", "filtered", "narrow", "inserts", "other_columns", "secured",
               "with_function", "half", "half_2", "root_1", "item_view", "numbers", "pg_class",
               "information_schema.tables")


class Publishing(Node):
    def configure(self, text):
        Server.configure(self, "wal_level = logical\nmax_logical_replication_workers = 20\n"
                         "max_sync_workers_per_subscription = 4\nmax_worker_processes = 30\n"
                         "wal_retrieve_retry_interval = 200ms\n" + text)


class Publication(FailingCluster):
    """A publisher, two subscribers of its databases "test" and "second", and "lonely", which
    nobody subscribes to."""

    server_class = Publishing

    def _create(self):
        for server in self.servers:
            run("cp", "-a", "--reflink=auto", original(), server.data)
            server.begin()
        for server in self.servers:
            self.wait_answers(server)
            server.run("CREATE DATABASE second")
            server.run("CREATE DATABASE lonely")
            server.run(SCHEMA)
            server.run("CREATE TABLE things (id int PRIMARY KEY, who text)", "second")
            server.run("CREATE TABLE things (id int PRIMARY KEY, who text)", "lonely")
        self.publish()
        for server in self.servers[1:]:
            self.subscribe(server)

    def publish(self):
        self.primary.run(ROOT)
        self.primary.run("""
            ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
            CREATE PUBLICATION p FOR TABLE items, secured, with_function, other_columns, leaves,
                half_1,
                filtered WHERE (id < 10), narrow (id, a);
            CREATE PUBLICATION root_p FOR TABLE root WITH (publish_via_partition_root);
            CREATE PUBLICATION insert_p FOR TABLE inserts WITH (publish = 'insert');
            INSERT INTO items SELECT n, 0 FROM generate_series(1, 100) AS n;
            INSERT INTO root SELECT n, n FROM generate_series(1, 150) AS n;
            INSERT INTO leaves SELECT n, n FROM generate_series(1, 150) AS n;
            INSERT INTO half SELECT n FROM generate_series(1, 150) AS n;
            INSERT INTO filtered SELECT n FROM generate_series(1, 20) AS n;
            INSERT INTO narrow SELECT n, n, n FROM generate_series(1, 20) AS n""")
        self.primary.run("CREATE PUBLICATION p FOR ALL TABLES", "second")

    def subscribe(self, server):
        number = server.number
        # the subscriber's own shape of it
        server.run("CREATE TABLE root (id int PRIMARY KEY, v int)" if number == 1 else
                   ROOT.replace("(100)", "(50)"))
        server.run("ALTER TABLE other_columns ADD mine int")
        for database, publications in (("test", "p, root_p, insert_p"), ("second", "p")):
            server.run(f"CREATE SUBSCRIPTION s_{database}_{number} CONNECTION 'host="
                       f"{self.primary.host} port={self.primary.port} user=postgres "
                       f"dbname={database}' PUBLICATION {publications}", database)
            wait_for(lambda d=database: server.values(
                "SELECT DISTINCT srsubstate FROM pg_subscription_rel", d) == ["r"],
                "the first copies", 60)

    def wait_replayed(self):
        """Nobody replays."""


def on(self, database):
    return psycopg.connect(self.dsn(dbname=database), autocommit=True)


def run_sql(self, sql, database="test"):
    with on(self, database) as one:
        one.execute(sql)


def values(self, sql, database="test"):
    with on(self, database) as one:
        return [row[0] for row in one.execute(sql).fetchall()]


Publishing.run, Publishing.values = run_sql, values


class LogicalKeeper(Keeper):
    def __init__(self, cluster, engine="auto", **settings):
        # the main node gets reads only when nobody else has what is read
        super().__init__(cluster, engine, **{
            "backend_clustering_mode": "logical_replication", "backend_weight0": 0,
            "sr_check_period": 1, **settings})

    def primary(self):
        for row in self.show("pool_nodes"):
            if row["role"] == "main" and row["status"] == "up":
                return int(row["node_id"])
        return -1

    def explain(self, sql, one=None):
        """Where it would go, and why."""
        if one is None:
            with self.connect() as one:  # pylint: disable=redefined-argument-from-local
                return self.explain(sql, one)
        got = dict(one.execute(f"PGPOOL EXPLAIN {sql}").fetchall())
        return int(got["node_id"] or -1), got["reason"]

    def is_balanced(self, sql, one=None):
        return self.explain(sql, one)[0] > 0

    def wait_balanced(self, sql, balanced=True):
        wait_for(lambda: self.is_balanced(sql) == balanced, f"{sql} to be balanced: {balanced}; "
                 f"{self.explain(sql)}", 30, 0.05)


@pytest.fixture(scope="module", name="cluster")
def cluster_fixture():
    cluster = Publication(standbys=2)
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module", name="keeper")
def keeper_fixture(cluster, engine):
    keeper = LogicalKeeper(cluster, engine).start()
    yield keeper
    keeper.finish()


@pytest.fixture(name="pgpool")
def pgpool_fixture(keeper):
    keeper.wait_whole()
    keeper.wait_primary(0)
    keeper.wait_balanced("SELECT * FROM items")
    return keeper


def where(one, sql="SELECT v FROM items WHERE id = 1"):
    """Who has answered."""
    before = counts(one)
    one.execute(sql).fetchall()
    return [n for n, (a, b) in enumerate(zip(before, counts(one))) if a != b]


def counts(one):
    return [int(row[8]) for row in one.execute("SHOW pool_nodes").fetchall()]


@pytest.mark.parametrize("table", CARRIED)
def test_carried(pgpool, table):
    assert pgpool.is_balanced(f"SELECT count(*) FROM {table}"), pgpool.explain(
        f"SELECT count(*) FROM {table}")
    expected = pgpool.cluster.primary.value(f"SELECT count(*) FROM {table}")
    assert pgpool.value(f"SELECT count(*) FROM {table}") == expected


@pytest.mark.parametrize("table", NOT_CARRIED)
def test_not_carried(pgpool, table):
    node, why = pgpool.explain(f"SELECT * FROM {table}")
    assert node == 0, why
    assert pgpool.value(f"SELECT count(*) FROM {table}") == \
        pgpool.cluster.primary.value(f"SELECT count(*) FROM {table}")


@pytest.mark.parametrize("sql", [
    "SELECT twice(v) FROM items", "SELECT v::small FROM items", "SELECT xmin, v FROM items",
    "SELECT tableoid FROM items", "SELECT 'items'::regclass::oid", "SELECT to_regclass('items')",
    "SELECT current_setting('cluster_name')", "SELECT pg_relation_size('items')",
    "SELECT nextval('numbers')", "SELECT version()", "EXPLAIN SELECT * FROM items",
    "SELECT * FROM items TABLESAMPLE SYSTEM (10)", "SELECT to_tsvector('simple', 'a')",
    "SELECT * FROM items, unpublished", "SELECT * FROM items WHERE id IN (SELECT id FROM narrow)",
    "SELECT * FROM items FOR UPDATE", "INSERT INTO items VALUES (0, 0)",
    "WITH w AS (DELETE FROM items RETURNING *) SELECT * FROM w",
    "SELECT pg_get_viewdef('item_view')", "SELECT has_table_privilege('items', 'SELECT')",
    "SELECT query_to_xml('SELECT * FROM unpublished', true, true, '')",
    "SELECT table_to_xml('items', true, true, '')",
])
def test_main_node_alone(pgpool, sql):
    assert pgpool.explain(sql)[0] == 0, pgpool.explain(sql)


@pytest.mark.parametrize("sql", [
    "SELECT 1", "SELECT count(*), max(v), now() FROM items WHERE id > random() * 10",
    "SELECT i.v, upper('a') FROM items i JOIN root r USING (id) WHERE r.v::text LIKE '1%'",
    "SELECT * FROM public.items ORDER BY id LIMIT 10", "TABLE items", "VALUES (1)",
])
def test_balanced(pgpool, sql):
    assert pgpool.is_balanced(sql), pgpool.explain(sql)
    pgpool.rows(sql)


def test_second_database_and_one_without_subscriptions(pgpool):
    for database, balanced in (("second", True), ("lonely", False)):
        with on(pgpool, database) as one:
            for sql in ("SELECT * FROM things", "SELECT 1"):
                wait_for(lambda s=sql, c=one, b=balanced: pgpool.is_balanced(s, c) == b,
                         f"{sql} in {database}: {balanced}")
                one.execute(sql).fetchall()
            one.execute("INSERT INTO things VALUES (1, 'me') ON CONFLICT DO NOTHING")
            assert one.execute("SELECT who FROM things").fetchall() == [("me",)]


def test_show_pool_nodes(pgpool):
    rows = pgpool.show("pool_nodes")
    assert [row["role"] for row in rows] == ["main", "replica", "replica"]
    assert [row["status"] for row in rows] == ["up"] * 3
    assert [row["pg_role"] for row in rows] == ["primary"] * 3
    assert {row["replication_delay"] for row in rows} == {"0"}
    assert {row["replication_state"] for row in rows} == {""}


@pytest.mark.parametrize("consistency", ["session", "global"])
def test_read_your_writes(cluster, pgpool, consistency):
    """2,000 times: whichever node answers has it. With global the reader is another session."""
    cluster.primary.run("UPDATE items SET v = 0 WHERE id = 1")
    with pgpool.connect() as writer, pgpool.connect() as other:
        reader = writer if consistency == "session" else other
        for one in {writer, reader}:
            one.execute(f"PGPOOL SET read_consistency = {consistency}")
        before = counts(reader)
        for n in range(1, 2001):
            writer.execute("UPDATE items SET v = %s WHERE id = 1", (n,))
            if n % 20 == 0:  # some time later, on a subscriber
                wait_for(lambda: pgpool.is_balanced("SELECT v FROM items WHERE id = 1", reader),
                         "a subscriber to be fresh")
            assert reader.execute("SELECT v FROM items WHERE id = 1").fetchone() == (n,)
        got = [b - a for a, b in zip(before, counts(reader))]
    assert sum(got[1:]) >= 100, got


def test_frozen_subscriber_is_not_fresh(cluster, pgpool):
    """Its worker hangs: it goes on answering reads, and says that it knows less."""
    with pgpool.connect() as one:
        workers = [cluster.servers[n].values(
            "SELECT pid FROM pg_stat_subscription WHERE pid IS NOT NULL") for n in (1, 2)]
        for server, pids in zip(cluster.servers[1:], workers):
            server.tell(19, pids)
        try:
            one.execute("UPDATE items SET v = 77 WHERE id = 2")
            for _ in range(50):
                assert one.execute("SELECT v FROM items WHERE id = 2").fetchone() == (77,)
            assert "read_consistency" in pgpool.explain("SELECT v FROM items", one)[1]
        finally:
            for server, pids in zip(cluster.servers[1:], workers):
                server.tell(18, pids)
        wait_for(lambda: pgpool.is_balanced("SELECT v FROM items WHERE id = 2", one), "freshness")
        assert one.execute("SELECT v FROM items WHERE id = 2").fetchone() == (77,)


def test_disabled_subscription(cluster, pgpool):
    cluster.servers[1].run("ALTER SUBSCRIPTION s_test_1 DISABLE")
    try:
        for _ in range(20):
            wait_for(lambda: pgpool.explain("SELECT * FROM items")[0] == 2, "node 2 alone", 30)
    finally:
        cluster.servers[1].run("ALTER SUBSCRIPTION s_test_1 ENABLE")
    wait_for(lambda: pgpool.explain("SELECT * FROM items")[0] == 1, "node 1 again", 30)


def test_table_added_later(cluster, pgpool):
    """It is carried when the subscription has copied it, and not before."""
    for server in cluster.servers:
        server.run("CREATE TABLE later (id int PRIMARY KEY)")
    sql = "SELECT count(*) FROM later"
    cluster.primary.run("INSERT INTO later SELECT generate_series(1, 10)")
    assert not pgpool.is_balanced(sql)
    cluster.primary.run("ALTER PUBLICATION p ADD TABLE later")
    wait_for_round(pgpool)
    assert not pgpool.is_balanced(sql) and pgpool.value(sql) == 10
    for server in cluster.servers[1:]:
        server.run(f"ALTER SUBSCRIPTION s_test_{server.number} REFRESH PUBLICATION")
    pgpool.wait_balanced(sql)
    assert pgpool.value(sql) == 10
    # by pgpool, it counts at once
    with pgpool.connect() as one:
        one.execute("ALTER PUBLICATION p DROP TABLE later")
        for n in range(11, 14):
            one.execute("INSERT INTO later VALUES (%s)", (n,))
            wait_for(lambda: pgpool.is_balanced("SELECT * FROM items", one), "fresh subscribers")
            assert one.execute(sql).fetchone() == (n,)
    wait_for_round(pgpool)
    assert not pgpool.is_balanced(sql)


def wait_for_round(pgpool):
    """Until all have been asked anew. The servers count the questions."""
    main = pgpool.cluster.primary
    asked = ("SELECT query_start FROM pg_stat_activity WHERE application_name = "
             "'pgpool carried' AND datname = 'test' AND state = 'idle'")
    first = main.values(asked)
    wait_for(lambda: main.values(asked) not in ([], first), "a question", 30)
    second = main.values(asked)
    wait_for(lambda: main.values(asked) not in ([], second), "another one", 30)


def test_first_copy_is_not_finished(cluster, pgpool):
    """A row of the subscriber's own stops the copy."""
    for server in cluster.servers:
        server.run("CREATE TABLE stuck (id int PRIMARY KEY)")
    for server in cluster.servers[1:]:
        server.run("INSERT INTO stuck VALUES (1)")
    cluster.primary.run("INSERT INTO stuck SELECT generate_series(1, 10)")
    cluster.primary.run("ALTER PUBLICATION p ADD TABLE stuck")
    sql = "SELECT count(*) FROM stuck"
    for server in cluster.servers[1:]:
        server.run(f"ALTER SUBSCRIPTION s_test_{server.number} REFRESH PUBLICATION")
        wait_for(lambda s=server: s.values("SELECT srsubstate FROM pg_subscription_rel WHERE "
                                           "srrelid = 'stuck'::regclass") == ["d"], "the copy")
    wait_for_round(pgpool)
    assert not pgpool.is_balanced(sql) and pgpool.value(sql) == 10
    assert pgpool.is_balanced("SELECT * FROM items")
    for server in cluster.servers[1:]:
        server.run("DELETE FROM stuck")
    pgpool.wait_balanced(sql)
    assert pgpool.value(sql) == 10


def test_other_definition(cluster, pgpool):
    """DDL is not replicated: what the main node's table has and the subscriber's has not."""
    for server in cluster.servers:
        server.run("CREATE TABLE grows (id int PRIMARY KEY)")
    cluster.primary.run("ALTER PUBLICATION p ADD TABLE grows")
    for server in cluster.servers[1:]:
        server.run(f"ALTER SUBSCRIPTION s_test_{server.number} REFRESH PUBLICATION")
    pgpool.wait_balanced("SELECT * FROM grows")
    with pgpool.connect() as one:
        one.execute("ALTER TABLE grows ADD more int DEFAULT 7")
        assert one.execute("SELECT * FROM grows").description[1].name == "more"
        wait_for_round(pgpool)
        assert one.execute("SELECT * FROM grows").description[1].name == "more"
    assert not pgpool.is_balanced("SELECT * FROM grows")
    for server in cluster.servers[1:]:
        server.run("ALTER TABLE grows ADD more int DEFAULT 7")
    pgpool.wait_balanced("SELECT * FROM grows")
    cluster.primary.run("CREATE ROLE somebody")
    cluster.primary.run("GRANT SELECT ON grows TO somebody")  # rights are not replicated either
    pgpool.wait_balanced("SELECT * FROM grows", False)


def test_transactions(pgpool):
    """One of reads runs on a subscriber, and goes on at the main node when it comes to something
    that is not carried, or writes."""
    with pgpool.connect() as one:
        before = counts(one)
        with one.transaction():
            one.execute("SELECT count(*) FROM items")
            one.execute("SELECT count(*) FROM root")
        middle = counts(one)
        assert sum(b - a for a, b in zip(before[1:], middle[1:])) >= 2 and before[0] == middle[0]
        with one.transaction():
            one.execute("SELECT count(*) FROM items")
            assert one.execute("SELECT count(*) FROM narrow WHERE b IS NULL").fetchone() == (0,)
            one.execute("UPDATE items SET v = v + 1 WHERE id = 3")
            one.execute("SELECT count(*) FROM items")
        with one.transaction():
            one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            one.execute("SELECT count(*) FROM items")
            assert one.execute("SELECT count(b) FROM narrow").fetchone() == (20,)


def test_prepared_statements(cluster, pgpool):
    """What is known when one is prepared need not be so when it is executed."""
    with pgpool.connect(prepare_threshold=0) as one:
        sql = "SELECT v FROM items WHERE id = %s"

        def is_balanced():
            before = counts(one)[0]
            one.execute(sql, (5,))
            return counts(one)[0] == before
        wait_for(is_balanced, "a subscriber to run it", 30)
        for server in cluster.servers[1:]:
            server.run(f"ALTER SUBSCRIPTION s_test_{server.number} DISABLE")
        try:
            pgpool.wait_balanced("SELECT v FROM items", False)
            cluster.primary.run("UPDATE items SET v = 55 WHERE id = 5")
            for _ in range(10):
                assert one.execute(sql, (5,)).fetchone() == (55,)
        finally:
            for server in cluster.servers[1:]:
                server.run(f"ALTER SUBSCRIPTION s_test_{server.number} ENABLE")
        pgpool.wait_balanced("SELECT v FROM items")


def test_subscribers_are_read_only(cluster, pgpool):
    """What pgpool cannot know: there, a cast that the main node does not have writes. It is
    refused, and the read runs again at the main node."""
    for server in cluster.servers[1:]:
        server.run("CREATE FUNCTION writer(int) RETURNS text LANGUAGE plpgsql AS "
                   "'BEGIN INSERT INTO unpublished VALUES (4711); RETURN 4711; END'")
        server.run("CREATE CAST (int AS text) WITH FUNCTION writer(int)")
        assert server.value("SELECT v::text FROM items WHERE id = 6") == "4711"
        server.run("DELETE FROM unpublished")
    sql = "SELECT v::text FROM items WHERE id = 6"
    again = pgpool.log_text().count("its standby gave it up")
    try:
        with pgpool.connect() as one:
            assert one.info.parameter_status("default_transaction_read_only") == "off"
            wait_for(lambda: pgpool.is_balanced(sql, one), "it to be balanced")
            assert one.execute(sql).fetchone() == ("0",)
        assert pgpool.log_text().count("its standby gave it up") == again + 1
        for server in cluster.servers[1:]:
            assert server.values("SELECT count(*) FROM unpublished") == [0]
    finally:
        for server in cluster.servers[1:]:
            server.run("DROP FUNCTION writer(int) CASCADE")


@pytest.fixture(name="fresh")
def fresh_fixture(cluster, engine):
    """A pgpool of the test's own; servers are up before and after."""
    keeper = LogicalKeeper(cluster, engine, failover_wait="1s").start()
    keeper.wait_whole()
    keeper.wait_balanced("SELECT * FROM items")
    yield keeper
    for server in cluster.servers:
        if not server.running():
            server.begin()
            cluster.wait_answers(server)
    keeper.finish()


def test_main_node_is_dead(cluster, fresh):
    """Nobody takes its place: writes are refused, reads go on as fresh as they can be."""
    with raw.connected(fresh, timeout=60 * SLOW) as one:
        one.simple("SELECT v FROM items WHERE id = 1")
        cluster.primary.kill()
        fresh.wait_state(0, "down")
        assert fresh.primary() == -1 and fresh.states()[1:] == ["up", "up"]
        for sql in ("UPDATE items SET v = 0 WHERE id = 9", "SELECT * FROM unpublished",
                    "SELECT nobody_has_asked() FROM unheard_of"):
            assert raw.codes(one.simple(sql)) == ["57P03"]
    assert fresh.events("failover refused") and not fresh.events("promoted")
    with fresh.connect() as one:
        assert len(one.execute("SELECT v FROM items WHERE id = 1").fetchall()) == 1
    for server in cluster.servers[1:]:
        assert server.values("SELECT pg_is_in_recovery()") == [False]
    cluster.primary.begin()
    fresh.wait_primary(0)
    fresh.value("UPDATE items SET v = 0 WHERE id = 9 RETURNING 1")


def test_statements_wait_for_the_main_node(cluster, fresh):
    fresh.reload(failover_wait=f"{60 * SLOW}s")
    cluster.primary.kill()
    fresh.wait_state(0, "down")
    write = Background(fresh.value, "UPDATE items SET v = 8 WHERE id = 8 RETURNING v")
    cluster.primary.begin()
    assert write.result() == 8


def test_subscriber_dies_and_comes_back(cluster, fresh):
    with fresh.connect() as one:
        cluster.servers[1].kill()
        fresh.wait_state(1, "down")
        for _ in range(10):
            one.execute("SELECT count(*) FROM items")
        cluster.servers[1].begin()
        fresh.wait_whole()
        wait_for(lambda: fresh.explain("SELECT * FROM items")[0] == 1, "node 1 again", 30)


def test_commands(fresh):
    assert fresh.order("PROMOTE NODE 1") == "55000"
    assert fresh.order("DETACH NODE 1") is None
    fresh.wait_state(1, "maintenance")
    assert all(fresh.explain("SELECT * FROM items")[0] == 2 for _ in range(5))
    assert fresh.order("ATTACH NODE 1") is None
    fresh.wait_whole()
    assert fresh.primary() == 0


def test_flag_names_another_main_node(cluster, fresh):
    """A person has turned the replication round: pgpool follows by a reload, and what was a
    subscriber's connection is not written to."""
    with fresh.connect() as one:
        one.execute("SELECT * FROM items")
        fresh.reload(backend_flag2="ALWAYS_PRIMARY")
        fresh.wait_primary(2)
        for _ in range(3):
            one.execute("CREATE TABLE mine AS SELECT 1")
            one.execute("DROP TABLE mine")
        assert {fresh.explain("SELECT * FROM items")[0] for _ in range(5)} == {2}
    fresh.reload(backend_flag2="ALLOW_TO_FAILOVER")
    fresh.wait_primary(0)
    fresh.wait_balanced("SELECT * FROM items")
