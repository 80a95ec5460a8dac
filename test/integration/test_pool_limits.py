"""How many may come and how many may be served at a time: the limits, and who waits for what."""

import os
import re
import signal
import subprocess
import threading

import pytest

import raw
from cluster import Target, wait_for
from waiting import SLOW, free_port

# none of it is a matter of the engine
pytestmark = [pytest.mark.one_engine, pytest.mark.plain]

TOO_MANY = {"C": "53300", "S": "FATAL", "M": "sorry, too many clients already"}


@pytest.fixture(name="limited")
def limited_fixture(start_pgpool):
    """A function that starts a pgpool, and returns it when its first client has left."""

    def start(**settings):
        pgpool = start_pgpool(**settings)
        wait_for(lambda: clients(pgpool) == 1, "nobody but who asks to be there")
        return pgpool

    return start


def clients(pgpool):
    try:
        with raw.connected(pgpool) as one:
            return len(one.rows("SHOW pool_sessions"))
    except AssertionError:
        return -1


def reload(pgpool, **settings):
    pgpool.write_config(**settings)
    pgpool.process.send_signal(signal.SIGHUP)


# ---- max_client_connections ----------------------------------------------------------------------

class Door:
    """Lets clients in, as many as there are places for."""

    def __init__(self, pgpool):
        self.pgpool = pgpool
        self.inside = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.inside:
            one.close()

    def let_in(self):
        """None for one who was let in, else what he was told."""
        one = raw.Raw(self.pgpool)
        last = one.login()[-1]
        if last.kind == "Z":
            self.inside.append(one)
            return None
        one.close()
        return {name: last.fields()[name] for name in TOO_MANY}


@pytest.mark.parametrize("children", [1, 3])
def test_clients_beyond_the_limit_are_refused(limited, children):
    with Door(limited(max_client_connections=3, num_init_children=children)) as door:
        wait_for(lambda: door.let_in() is None and len(door.inside) == 3, "three clients")
        assert door.let_in() == TOO_MANY
        door.inside.pop().close()
        wait_for(lambda: door.let_in() is None, "the place of who left")
        assert door.let_in() == TOO_MANY
        for one in door.inside:
            assert one.rows("SELECT 1 /* pgpool: primary */") == [["1"]]


def test_a_cancel_request_needs_no_place(cluster, limited):
    with Door(limited(max_client_connections=1, num_init_children=1)) as door:
        wait_for(lambda: door.let_in() is None, "the client")
        [one] = door.inside
        one.send(raw.query("SELECT pg_sleep(60) /* pgpool: primary */"))
        wait_for(lambda: cluster.primary.value(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
            "'SELECT pg_sleep(60)%'"), "the statement to run")
        with raw.Raw(door.pgpool) as other:
            other.send(raw.cancel_request(one.pid, one.key))
            other.read_to_end()
        assert [got.fields()["C"] for got in one.read_until("Z") if got.kind == "E"] == ["57014"]


def test_the_limit_of_clients_is_reloaded(limited):
    with Door(limited(num_init_children=1)) as door:
        assert door.let_in() is None and door.let_in() is None
        reload(door.pgpool, max_client_connections=1)
        wait_for(lambda: door.let_in() == TOO_MANY, "the new limit")
        reload(door.pgpool, max_client_connections=0)
        wait_for(lambda: door.let_in() is None, "no limit")


def test_a_child_that_dies_leaves_no_client_counted(limited):
    with Door(limited(max_client_connections=2, num_init_children=1)) as door:
        wait_for(lambda: door.let_in() is None and len(door.inside) == 2, "two clients")
        door.pgpool.kill_named("child")
        door.inside.clear()
        assert door.let_in() is None and door.let_in() is None
        assert door.let_in() == TOO_MANY


# ---- who waits -----------------------------------------------------------------------------------

def waiters(one):
    """Rows of SHOW pool_waiters, without the process."""
    return sorted(row[1:] for row in one.rows("SHOW pool_waiters"))


def send_inserts(clients_):
    for one in clients_:
        one.send(raw.query("INSERT INTO pl_t VALUES (1)"))


def test_who_waits_is_shown_while_everything_waits(cluster, limited):
    cluster.sql("CREATE TABLE IF NOT EXISTS pl_t (a int)")
    pgpool = limited(pool_mode="auto", max_backend_connections=1, num_init_children=1)
    admin = Target("127.0.0.1", pgpool.pcp_port)
    with raw.connected(pgpool) as holder, raw.connected(pgpool) as looker, \
            raw.connected(pgpool) as one, raw.connected(pgpool) as two, \
            raw.connected(pgpool, user="postgres", database="postgres") as three:
        assert waiters(looker) == []
        holder.rows("BEGIN")
        holder.rows("INSERT INTO pl_t VALUES (1)")
        send_inserts((one, two))
        three.send(raw.query("SELECT txid_current()"))
        wait_for(lambda: [row[:4] for row in waiters(looker)] == [
            ["postgres", "postgres", "0", "1"], ["test", "postgres", "0", "2"]], "all to wait")
        with raw.connected(admin) as other:
            rows = waiters(other)
        assert [row[5:] for row in rows] == [["1", "1"], ["1", "1"]]
        before = int(rows[0][4])
        wait_for(lambda: int(waiters(looker)[0][4]) > before, "the wait to be longer")
        holder.rows("COMMIT")
        for client in (one, two, three):
            assert "E" not in [got.kind for got in client.read_until("Z")]
        assert waiters(looker) == []


def test_the_log_tells_who_waits(cluster, limited):
    cluster.sql("CREATE TABLE IF NOT EXISTS pl_t (a int)")
    pgpool = limited(pool_mode="auto", max_backend_connections=1, num_init_children=1)
    with raw.connected(pgpool) as holder, raw.connected(pgpool) as one, \
            raw.connected(pgpool, application_name="else") as two, \
            raw.connected(pgpool, user="postgres", database="postgres") as three:
        holder.rows("BEGIN")
        holder.rows("INSERT INTO pl_t VALUES (1)")
        send_inserts((one, two))
        three.send(raw.query("SELECT txid_current()"))
        # the first look may come while not all of them wait
        wait_for(lambda: re.search(
            r"clients wait for a server connection: \d, the longest for \d+ ms; most of them, \d, "
            r'as user "postgres" for database "(test|postgres)" at node 0, which has 1 of at most',
            pgpool.log_text()), "the log to tell")
        holder.rows("COMMIT")
        for client in (one, two, three):
            assert "E" not in [got.kind for got in client.read_until("Z")]


def test_who_gives_up_waits_no_more(cluster, limited):
    cluster.sql("CREATE TABLE IF NOT EXISTS pl_t (a int)")
    pgpool = limited(pool_mode="auto", max_backend_connections=1, num_init_children=1)
    with raw.connected(pgpool) as holder, raw.connected(pgpool) as looker, \
            raw.connected(pgpool) as one, raw.connected(pgpool) as two:
        holder.rows("BEGIN")
        holder.rows("INSERT INTO pl_t VALUES (1)")
        send_inserts((one, two))
        wait_for(lambda: [row[3] for row in waiters(looker)] == ["2"], "both to wait")
        with raw.Raw(pgpool) as other:
            other.send(raw.cancel_request(one.pid, one.key))
            other.read_to_end()
        assert [got.fields()["C"] for got in one.read_until("Z") if got.kind == "E"] == ["57014"]
        wait_for(lambda: [row[3] for row in waiters(looker)] == ["1"], "one to wait")
        two.close()
        wait_for(lambda: waiters(looker) == [], "nobody to wait")


# ---- pool_limits: what a database or user has of its own -----------------------------------------

def write_limits(pgpool, *lines):
    with open(os.path.join(pgpool.directory, "pool_limits"), "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def reload_limits(pgpool, *lines):
    """Until the parent has read them, one way or the other."""
    pgpool.mark_log()
    write_limits(pgpool, *lines)
    reload(pgpool)
    wait_for(lambda: re.search("has been reloaded|was not changed", pgpool.log_since_mark()),
             "the reload to end")


@pytest.fixture(name="with_limits")
def with_limits_fixture(cluster, limited):
    """A function that starts a pgpool with these lines in its pool_limits."""
    cluster.sql("CREATE TABLE IF NOT EXISTS pl_t (a int)")

    def start(*lines, **settings):
        pgpool = limited(**{"pool_mode": "auto", "num_init_children": 1, **settings})
        reload_limits(pgpool, *lines)
        return pgpool

    return start


def shares(pgpool, **params):
    """Does a session give its connection back between transactions?"""
    with raw.connected(pgpool, **params) as one:
        one.rows("SELECT txid_current()")
        [own] = [row for row in one.rows("SHOW pool_sessions") if row[1] == str(session_of(one))]
        return own[9] == "0"


def session_of(one):
    """The index of a session, as its key for cancel requests says."""
    return one.pid & ((1 << 17) - 1)


def test_a_database_or_user_has_its_pool_mode(with_limits):
    pgpool = with_limits("# who has what", 'postgres * session -', "", '"test"  all  -  -')
    wait_for(lambda: not shares(pgpool, database="postgres"), "the session mode")
    wait_for(lambda: shares(pgpool), "the auto mode, once the catalog was asked")
    reload_limits(pgpool, "* postgres session -")
    wait_for(lambda: not shares(pgpool), "the session mode of the user")
    with raw.connected(pgpool) as one:
        one.rows("SELECT txid_current()")
        reload_limits(pgpool)
        wait_for(lambda: shares(pgpool), "the mode of pgpool.conf")
        one.rows("SELECT txid_current()")
        own = [row[9] for row in one.rows("SHOW pool_sessions") if row[1] == str(session_of(one))]
        assert own == ["1"], "a session keeps the mode that it began with"


def test_a_faulty_file_changes_nothing(with_limits):
    pgpool = with_limits("* * session -")
    wait_for(lambda: not shares(pgpool), "the session mode")
    reload_limits(pgpool, "* * auto -", "test bob fast -", "test bob - many")
    text = pgpool.log_since_mark()
    assert 'pool_limits:2: "fast" is no pool_mode' in text
    assert 'pool_limits:3: "many" is no number of connections' in text
    assert "was not changed, because it contains faults" in text
    assert not shares(pgpool)
    os.remove(os.path.join(pgpool.directory, "pool_limits"))
    reload(pgpool)
    wait_for(lambda: shares(pgpool), "no entries")


def test_configtest_prints_each_fault(limited):
    pgpool = limited(num_init_children=1)
    write_limits(pgpool, "test", "* * - 3", "test bob - 3", '"x * - 4')
    done = subprocess.run(pgpool.command("configtest"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    path = os.path.join(pgpool.directory, "pool_limits")
    assert f"{path}:1: the line ends too early" in done.stderr
    assert f"warning: {path}:3: entry has no effect: that of line 2 matches" in done.stderr
    assert f"{path}:4: double quotes that the line does not close" in done.stderr
    write_limits(pgpool, "* * - 3")
    done = subprocess.run(pgpool.command("configtest"), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr


# ---- pool_limits: connections of their own -------------------------------------------------------

def pids_at(server, *names):
    return set(server.value("SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity "
                            "WHERE application_name = ANY(%s)", list(names)))


def working(cluster, name):
    """How many are in a transaction at the primary, all at the moment when this was asked: one that
    was told to go is not, and one that began while the others were counted may have the place of
    one of them."""
    return cluster.primary.value("SELECT count(*) FROM pg_stat_activity "
                                 "WHERE application_name = %s AND xact_start <= now()", name)


class Busy(threading.Thread):
    """Transactions, one after the other, until all are told to stop."""

    def __init__(self, pgpool, stop, name, **params):
        super().__init__()
        self.pgpool, self.stop, self.steps, self.wrong = pgpool, stop, 0, None
        self.params = {"application_name": name, **params}

    def run(self):
        try:
            with raw.connected(self.pgpool, timeout=60, **self.params) as one:
                while not self.stop.is_set():
                    one.rows("BEGIN")
                    one.rows("SELECT txid_current()")
                    one.rows("COMMIT")
                    self.steps += 1
        except BaseException as error:  # reported by who looks at it
            self.wrong = repr(error)


def most_while(busy, stop, look, during=lambda: True):
    """The most that was seen at a time until everybody had his turn, and what is done meanwhile has
    been done often enough."""
    most = 0
    for one in busy:
        one.start()
    try:
        def all_served():
            nonlocal most
            most = max(most, look())
            enough = during()
            return any(one.wrong for one in busy) or (
                most > 0 and enough and all(one.steps > 5 for one in busy))
        wait_for(all_served, "everybody's turn", 60)
    finally:
        stop.set()
        for one in busy:
            one.join()
    assert not [one.wrong for one in busy if one.wrong]
    return most


@pytest.mark.parametrize("children", [1, 3])
def test_an_entry_has_its_own_limit(cluster, with_limits, children):
    """Over all children, and shared by them; nobody else is bound by it."""
    pgpool = with_limits("postgres * - 2", num_init_children=children)
    stop = threading.Event()
    busy = [Busy(pgpool, stop, "pl_few", database="postgres") for _ in range(12)]
    others = [raw.connected(pgpool, application_name="pl_free") for _ in range(4)]
    try:
        for one in others:
            one.rows("BEGIN")
            one.rows("SELECT txid_current()")
        most = most_while(busy, stop, lambda: working(cluster, "pl_few"))
        assert working(cluster, "pl_free") == 4
    finally:
        for one in others:
            one.close()
    assert most <= 2


def test_who_waits_for_his_entry_keeps_nobody_waiting(cluster, with_limits):
    """There is a place for others, in every child, while an entry has none."""
    pgpool = with_limits("postgres * - 1", max_backend_connections=6, num_init_children=2)
    holders = [raw.connected(pgpool, database="postgres") for _ in range(20)]
    others = []
    try:
        holders[0].rows("BEGIN")
        holders[0].rows("SELECT txid_current()")
        for one in holders[1:]:
            one.send(raw.query("SELECT txid_current()"))
        with raw.connected(pgpool) as looker:
            wait_for(lambda: sum(int(row[3]) for row in waiters(looker)) == 19, "all to wait")
            assert {tuple(row[:3] + row[5:]) for row in waiters(looker)} == {
                ("postgres", "postgres", "0", "1", "1")}
        for _ in range(5):
            others.append(raw.connected(pgpool))
            others[-1].rows("BEGIN")
            others[-1].rows("SELECT txid_current()")
        holders[0].rows("COMMIT")
        for one in holders[1:]:
            assert "E" not in [got.kind for got in one.read_until("Z")]
    finally:
        for one in holders + others:
            one.close()


def test_the_limit_of_all_holds_besides(cluster, with_limits):
    pgpool = with_limits("postgres * - 2", "* * - 3", max_backend_connections=4,
                         num_init_children=2)
    stop = threading.Event()
    busy = [Busy(pgpool, stop, "pl_both", database="postgres") for _ in range(8)]
    busy += [Busy(pgpool, stop, "pl_both") for _ in range(8)]
    assert most_while(busy, stop, lambda: working(cluster, "pl_both")) <= 4


def test_a_reload_moves_what_is_counted(cluster, with_limits):
    """Lines come, go and change places while everybody is busy: the limit holds all the time."""
    shapes = [["postgres * - 2"], ["none * - 7", "postgres * - 2"],
              ["a * - 1", "b * - 1", "postgres * - 2"], ["none * - 9", "* postgres session -"],
              ["postgres postgres - 2", "* * - 1"]]
    pgpool = with_limits(*shapes[0], num_init_children=3)
    stop = threading.Event()
    busy = [Busy(pgpool, stop, "pl_move", database="postgres") for _ in range(9)]
    rounds = 0

    def change():
        nonlocal rounds
        reload_limits(pgpool, *shapes[rounds % 3])
        rounds += 1
        return rounds > 6

    assert most_while(busy, stop, lambda: working(cluster, "pl_move"), change) <= 2
    for shape in shapes[3:]:
        reload_limits(pgpool, *shape)
    holders = [raw.connected(pgpool, database="postgres") for _ in range(3)]
    try:
        for one in holders[:2]:
            one.rows("BEGIN")
            one.rows("SELECT txid_current()")
        holders[2].send(raw.query("SELECT txid_current()"))
        with raw.connected(pgpool) as looker:
            wait_for(lambda: [row[3:4] + row[5:] for row in waiters(looker)] == [["1", "2", "2"]],
                     "the third to wait")
            reload_limits(pgpool, "postgres * - 3")
            assert "E" not in [got.kind for got in holders[2].read_until("Z")]
    finally:
        for one in holders:
            one.close()


def test_a_killed_child_leaves_none_counted_for_an_entry(cluster, with_limits):
    pgpool = with_limits("postgres * - 1")
    with raw.connected(pgpool, database="postgres") as one:
        one.rows("BEGIN")
        one.rows("SELECT txid_current()")
        pgpool.kill_named("child")
    with raw.connected(pgpool, database="postgres") as one:
        assert "E" not in [got.kind for got in one.simple("SELECT txid_current()")]


# ---- min_pool_size -------------------------------------------------------------------------------

def end_all(server, name):
    server.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                 "WHERE application_name = %s", name)


def use_once(pgpool, name, **params):
    with raw.connected(pgpool, application_name=name, **params) as one:
        one.rows("SELECT txid_current()")


@pytest.fixture(name="warm")
def warm_fixture(limited):
    return lambda **settings: limited(**{"pool_mode": "auto", "num_init_children": 1,
                                         "max_pool": 8, **settings})


def test_connections_are_there_before_anybody_asks(cluster, warm):
    """To every node, also when they are lost while no client is there."""
    pgpool = warm(min_pool_size=3)
    use_once(pgpool, "pl_warm")
    wait_for(lambda: all(len(pids_at(server, "pl_warm")) == 3 for server in cluster.servers),
             "three to each node")
    for server in cluster.servers:
        end_all(server, "pl_warm")
    wait_for(lambda: all(len(pids_at(server, "pl_warm")) == 3 for server in cluster.servers),
             "three others")
    reload(pgpool, min_pool_size=0)
    wait_for(lambda: "has been reloaded" in pgpool.log_text(), "the reload")
    end_all(cluster.primary, "pl_warm")
    wait_for(lambda: pids_at(cluster.primary, "pl_warm") == set(), "them to go")
    with raw.connected(pgpool, application_name="pl_other") as looker:
        looker.rows("SELECT txid_current()")
    assert pids_at(cluster.primary, "pl_warm") == set()


def test_warm_connections_are_renewed_and_never_fewer(cluster, warm):
    pgpool = warm(min_pool_size=2, connection_life_time="1s")
    use_once(pgpool, "pl_renew")
    wait_for(lambda: len(pids_at(cluster.primary, "pl_renew")) >= 2, "two")
    first = pids_at(cluster.primary, "pl_renew")

    def all_others():
        now = pids_at(cluster.primary, "pl_renew")
        assert len(now) >= 2
        return not now & first

    wait_for(all_others, "others in their place")


def test_warm_connections_respect_the_limits(cluster, warm):
    """All places are taken by warm ones: who asks gets one of them at once."""
    pgpool = warm(min_pool_size=5, max_backend_connections=2,
                  query_wait_timeout=f"{int(5 * SLOW)}s")
    use_once(pgpool, "pl_cold", database="postgres")
    use_once(pgpool, "pl_full")
    wait_for(lambda: len(pids_at(cluster.primary, "pl_full", "pl_cold")) == 2, "two")
    names = ("pl_full", "pl_cold", "pl_third")
    for _ in range(3):
        for name in names:
            use_once(pgpool, name, database="postgres" if name == "pl_cold" else "test")
            wait_for(lambda: len(pids_at(cluster.primary, *names)) <= 2, "no more than two")


def test_a_dead_node_is_left_alone(cluster, warm):
    dead = free_port()
    pgpool = warm(min_pool_size=2, backend_hostname3="127.0.0.1", backend_port3=dead,
                  backend_weight3=1)
    use_once(pgpool, "pl_dead")
    wait_for(lambda: len(pids_at(cluster.primary, "pl_dead")) >= 2, "two to the primary")
    wait_for(lambda: re.search("lag pid.*node 3", pgpool.log_text()), "node 3 to be asked")
    assert not re.search("child pid.*could not connect to node 3", pgpool.log_text())


def test_a_database_with_warm_connections_can_be_dropped(cluster, warm):
    cluster.sql("DROP DATABASE IF EXISTS pl_gone")
    cluster.sql("CREATE DATABASE pl_gone")
    pgpool = warm(min_pool_size=2)
    wait_for(lambda: is_there(pgpool, "pl_gone"), "the database on the standbys")
    use_once(pgpool, "pl_drop", database="pl_gone")
    wait_for(lambda: len(pids_at(cluster.primary, "pl_drop")) >= 2, "two")
    with raw.connected(pgpool, timeout=30) as one:
        one.rows("DROP DATABASE pl_gone")
    assert pids_at(cluster.primary, "pl_drop") == set()


def is_there(pgpool, database):
    try:
        use_once(pgpool, "pl_drop", database=database)
        return True
    except AssertionError:
        return False
