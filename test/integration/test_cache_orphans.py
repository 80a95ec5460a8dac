"""What was left behind at the servers: as long as it may still write, the query cache does not give
these tables, and is off after a start or an upgrade."""

import pytest

from cached import hit, is_hit
from cluster import run
from daemon import Upgradable, makes
from proxy import binary
from waiting import wait_for

pytestmark = pytest.mark.one_engine

CACHE = {"memory_cache_enabled": "on"}
ON = "the query cache is on"

make, daemon = makes(Upgradable)  # pylint: disable=invalid-name


@pytest.fixture(name="left", scope="module")
def left_fixture(cluster):
    """A function that begins a statement which waits, and one that lets it go on."""
    cluster.sql("CREATE TABLE left_behind (id int)")
    holder = cluster.primary.connect()
    writers = []

    class Left:
        """A statement that somebody has left behind."""

        def begin(self):
            holder.execute("SELECT pg_advisory_lock(1)")
            writers.append(cluster.primary.connect())
            writers[-1].pgconn.send_query(
                b"INSERT INTO left_behind SELECT 1 FROM pg_advisory_xact_lock(1)")
            wait_for(lambda: holder.execute("SELECT count(*) FROM pg_locks WHERE locktype = "
                                            "'advisory' AND NOT granted").fetchone()[0] == 1,
                     "the statement to wait")

        def let_go(self):
            holder.execute("SELECT pg_advisory_unlock(1)")
            writers.pop().pgconn.get_result()

    yield Left()
    holder.close()
    cluster.sql("DROP TABLE left_behind")


def looks(cluster):
    """How often the primary was asked by now whether something is left: one of more is needed."""
    return cluster.primary.rows("SELECT query_start FROM pg_stat_activity WHERE application_name = "
                                "'pgpool orphans' AND query LIKE '%pg_stat_activity%'")


def wait_looks(cluster):
    """Until it was asked twice from now on."""
    for _ in range(2):
        before = looks(cluster)
        wait_for(lambda b=before: looks(cluster) and looks(cluster) != b, "the primary to be asked")


def count(daemon_):
    return daemon_.log_text().count(ON)


def test_it_is_on_after_a_start(make):  # pylint: disable=redefined-outer-name
    one = make(**CACHE).start()
    one.wait_log(ON)


def test_statements_from_before_the_start_are_waited_for(make, left, cluster):
    left.begin()
    one = make(**CACHE).start()
    wait_looks(cluster)
    assert count(one) == 0
    left.let_go()
    one.wait_log(ON)


def test_off_while_an_older_generation_has_sessions(make, cluster):
    one = make(**CACHE).start()
    one.wait_log(ON)
    with one.connect() as client:
        client.execute("SELECT 1")
        one.upgrade()
        with one.connect() as other:
            other.execute("SELECT 1")
        assert not looks(cluster) and count(one) == 1
        client.execute("SELECT 1")
    one.wait_log("the older generation of parent process [0-9]+ has ended")
    one.wait_log(ON, 2)


def test_what_an_older_generation_has_left_is_waited_for(make, left, cluster):
    one = make(**CACHE).start()
    one.wait_log(ON)
    with one.connect() as client:
        client.execute("SELECT 1")
        one.upgrade()
        left.begin()
    one.wait_log("the older generation of parent process [0-9]+ has ended")
    wait_looks(cluster)
    assert count(one) == 1
    left.let_go()
    one.wait_log(ON, 2)


def test_on_again_after_an_upgrade_that_failed(make):
    one = make(**CACHE).start()
    one.wait_log(ON)
    one.replace_program("exit 1\n")
    assert run(binary(), *one.command("upgrade")[1:], check=False).returncode != 0
    one.wait_log(ON, 2)
    one.use_real_program()


def test_what_a_killed_child_has_sent_is_waited_for(make, cluster):
    """Its table gives no hits until the statement has ended, and what it wrote then."""
    ended = "server processes were left with has ended"
    read = "SELECT count(*) FROM orphaned"
    one = make(**CACHE, log_min_messages="debug1", load_balance_mode="off").start()
    one.wait_log(ON)
    cluster.sql("CREATE TABLE orphaned (id int)")
    with cluster.primary.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(2)")
        with one.connect(prepare_threshold=None) as reader:
            assert hit(one, reader, read) == 0
        client = one.connect()
        client.pgconn.send_query(b"INSERT INTO orphaned SELECT 1 FROM pg_advisory_xact_lock(2)")
        wait_for(lambda: holder.execute("SELECT count(*) FROM pg_locks WHERE locktype = "
                                        "'advisory' AND NOT granted").fetchone()[0] == 1,
                 "the statement to wait")
        before = one.log_text().count(ended)
        one.kill_named("child")
        wait_looks(cluster)
        assert one.log_text().count(ended) == before
        with one.connect(prepare_threshold=None) as reader:
            for _ in range(10):
                assert is_hit(one, reader, read) == (0, False)
            holder.execute("SELECT pg_advisory_unlock(2)")
            one.wait_log(ended, before + 1)
            assert hit(one, reader, read) == 1
    cluster.sql("DROP TABLE orphaned")
