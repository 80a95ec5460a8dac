"""What a literal stands for is decided when its statement is parsed, by parameters such as
TimeZone. Sessions share prepared statements on servers only where they would read them alike."""

import pytest

import raw

pytestmark = [pytest.mark.plain, pytest.mark.one_engine]

# in UTC: 12 o'clock where the session is
TEXT = "SELECT '2020-02-01 12:00'::timestamptz AT TIME ZONE 'UTC'"
OF = {"UTC": "2020-02-01 12:00:00", "Asia/Tokyo": "2020-02-01 03:00:00",
      "America/Lima": "2020-02-01 17:00:00"}


@pytest.fixture(name="pgpool")
def pgpool_fixture(start_pgpool):
    """One connection for all."""
    return start_pgpool(num_init_children=1, max_backend_connections=1)


def ask(one, name, parse=True):
    one.send((raw.parse(name, TEXT) if parse else b"") + raw.bind("", name) + raw.execute() +
             raw.SYNC)
    [row] = [message.row() for message in one.read_until("Z") if message.kind == "D"]
    return row[0].decode()


@pytest.mark.parametrize("name", ["", "s"])
@pytest.mark.parametrize("text", ["SET TimeZone TO '{}'",
                                  "SELECT set_config('TimeZone', '{}', false)"])
def test_a_session_with_another_time_zone(pgpool, name, text):
    for zone in ("UTC", "Asia/Tokyo", "UTC", "America/Lima", "Asia/Tokyo", "UTC"):
        with raw.connected(pgpool) as one:
            one.rows(text.format(zone))
            assert ask(one, name) == OF[zone], zone
            assert ask(one, name, parse=False) == OF[zone], zone


@pytest.mark.parametrize("name", ["", "s"])
@pytest.mark.parametrize("sets", ["SET LOCAL TimeZone TO '{}'", "set local timezone to '{}'",
                                  "SELECT set_config('TimeZone', '{}', true)"])
def test_for_a_transaction(pgpool, name, sets):
    for zone in ("Asia/Tokyo", "America/Lima"):
        with raw.connected(pgpool) as one:
            one.rows("SET TimeZone TO 'UTC'")
            one.rows("BEGIN")
            one.rows(sets.format(zone))
            assert ask(one, name) == OF[zone]
            one.rows("COMMIT")
        for _ in range(2):
            with raw.connected(pgpool) as one:
                one.rows("SET TimeZone TO 'UTC'")
                assert ask(one, name) == OF["UTC"], zone


def test_nobody_gets_what_was_prepared_anew_under_another_one(pgpool):
    """Two take turns on the connection; one of them goes on with what it has parsed before."""
    with raw.connected(pgpool) as one:
        one.rows("SET TimeZone TO 'UTC'")
        assert ask(one, "s") == OF["UTC"]
        one.rows("SET TimeZone TO 'Asia/Tokyo'")
        with raw.connected(pgpool) as other:  # knows no statement any more
            other.rows("DISCARD ALL")
        ask(one, "s", parse=False)  # whatever it means
        with raw.connected(pgpool) as other:
            other.rows("SET TimeZone TO 'UTC'")
            assert ask(other, "s") == OF["UTC"]

