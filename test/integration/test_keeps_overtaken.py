"""What a session sets on one server while another is asked what functions have set there: the
answer is older, and changes nothing of it."""

import pytest

import raw
from independent import Independent
from proxy import starter
from test_native import SETTINGS
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.one_engine, pytest.mark.takes(20)]

ASKED = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
         " AND query LIKE $$SELECT ''::pg_catalog.text%$$")
NAMES = {"TimeZone": ("America/Lima", "Asia/Tokyo"), "search_path": ("one", "two"),
         "kp.nobodys": ("one", "two")}


@pytest.fixture(name="started", scope="module", params=["streaming", "native_replication"])
def started_fixture(request, engine):
    """Reads, and SET, go to another node than the primary."""
    own = request.param != "streaming" and Independent(standbys=1)
    nodes = own or request.getfixturevalue("cluster")
    settings = {"backend_weight0": 0, "backend_weight1": 1, "pool_mode": "auto",
                "read_consistency": "eventual"}
    if own:
        settings = SETTINGS | settings
    for start in starter(nodes, engine):
        yield nodes, start(**settings)
    if own:
        own.destroy()


@pytest.fixture(name="one")
def one_fixture(started):
    with raw.connected(started[1]) as one:
        yield one


@pytest.fixture(name="asks")
def asks_fixture(started):
    """What has the primary asked while the session is elsewhere, and what lets it answer."""
    primary = started[0].servers[0]

    def asks(one):
        one.rows("SELECT 1")
        holder.execute("BEGIN; LOCK TABLE pg_catalog.pg_depend")
        one.send(raw.query("DEALLOCATE p") + raw.query("SELECT 1"))
        assert raw.codes(one.read_until("Z", 2)) == []
        wait_for(lambda: primary.value(ASKED + " AND wait_event_type = 'Lock'"), "the question")

    def answers():
        holder.execute("ROLLBACK")
        wait_for(lambda: not primary.value(ASKED), "the answer")

    with primary.connect() as holder:
        yield asks, answers


@pytest.mark.parametrize("name", NAMES)
def test_what_is_set_meanwhile_holds(one, asks, name):
    before, wanted = NAMES[name]
    ask, answer = asks
    one.rows("PREPARE p AS SELECT 1")
    one.rows(f"SET {name} TO '{before}'")
    ask(one)
    one.rows(f"SET {name} TO '{wanted}'")
    answer()
    for _ in range(3):
        for tail in ("", " FOR UPDATE"):  # there, and at the primary
            assert one.rows(f"SELECT current_setting('{name}'){tail}") == [[wanted]]


def test_nothing_is_kept_behind_it(one, asks, started):
    """The connection is given back as ever."""
    ask, answer = asks
    one.rows("PREPARE p AS SELECT 1")
    ask(one)
    one.rows("SET TimeZone TO 'Asia/Tokyo'")
    answer()
    port = str(one.socket.getsockname()[1])

    def keeps():
        with raw.connected(started[1]) as other:
            [row] = [row for row in other.rows("SHOW pool_sessions") if row[6] == port]
        return row[10]
    wait_for(lambda: not keeps(), "nothing to be kept")
