"""Every protocol case, against PostgreSQL itself and through pgpool: the same messages with the
same contents, but for process numbers, keys and places in the server's source."""

import struct

import pytest

import raw
from cluster import Target
from wire_cases import copy, extended, session, simple, startup
from wire_cases.script import Login

ALL = startup.CASES + simple.CASES + extended.CASES + copy.CASES + session.CASES

# What PostgreSQL 18 documents and an older server, our oracle here, cannot show.
NEGOTIATED = [
    # asked for, answer: NegotiateProtocolVersion (newest protocol, unknown options) or None
    ("3.2", raw.V3_2, {}, None),
    ("3.3", raw.V3_0 + 3, {}, (raw.V3_2, [])),
    ("3.9999", raw.V3_0 + 9999, {}, (raw.V3_2, [])),
    ("3.9999_and_option", raw.V3_0 + 9999, {"_pq_.test_protocol_negotiation": ""},
     (raw.V3_2, ["_pq_.test_protocol_negotiation"])),
    ("3.2_and_options", raw.V3_2, {"_pq_.a": "1", "application_name": "x", "_pq_.b": "2"},
     (raw.V3_2, ["_pq_.a", "_pq_.b"])),
]


@pytest.fixture(scope="module", name="oracle")
def oracle_fixture(cluster, direct):
    """PostgreSQL's own answers, each asked for once."""
    cluster.sql("""
        CREATE TABLE IF NOT EXISTS wire_t (id int PRIMARY KEY, name text, at date DEFAULT now());
        TRUNCATE wire_t;
        INSERT INTO wire_t SELECT g, 'name ' || g, '2020-01-01'::date + g
            FROM generate_series(1, 10) g;
        DO $$ BEGIN CREATE ROLE wire_role LOGIN; EXCEPTION WHEN duplicate_object THEN END $$""")
    transcripts = {}

    def ask(case):
        if case.name not in transcripts:
            transcripts[case.name] = case.play(direct)
        return transcripts[case.name]

    return ask


def test_there_are_enough_cases():
    names = [case.name for case in ALL]
    assert len(names) >= 150
    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_case(oracle, pgpool, case):
    assert case.play(pgpool) == oracle(case)


def negotiation(got):
    version, count = struct.unpack_from("!II", got.body)
    names = got.body[8:].split(b"\0")[:-1]
    assert count == len(names)
    return version, [name.decode() for name in names]


@pytest.mark.parametrize("asked, version, options, expected",
                         NEGOTIATED, ids=[row[0] for row in NEGOTIATED])
def test_negotiation(oracle, pgpool, asked, version, options, expected):
    with raw.Raw(pgpool) as one:
        messages = one.login(version=version, **options)
        kinds = [got.kind for got in messages]
        assert kinds[-1] == "Z", messages
        told = [negotiation(got) for got in messages if got.kind == "v"]
        assert told == ([expected] if expected else [])
        if told:
            assert kinds.index("v") < kinds.index("R")
        assert 4 <= len(one.key) <= 256
        assert one.rows("SELECT 1") == [["1"]]


def test_protocol_3_1_is_served(oracle, pgpool):
    with raw.Raw(pgpool) as one:
        messages = one.login(version=raw.V3_0 + 1)
        assert messages[-1].kind == "Z"
        assert len(one.key) == 4
        assert [negotiation(m) for m in messages if m.kind == "v"] in ([], [(raw.V3_0, [])])


def test_protocol_3_0_gets_a_short_key(oracle, pgpool):
    with raw.connected(pgpool) as one:
        assert len(one.key) == 4


def test_protocol_3_2_cancels_with_its_key(oracle, pgpool):
    with raw.Raw(pgpool) as one:
        one.login(version=raw.V3_2)
        session.sleeping(pgpool, one, raw.query("SELECT pg_sleep(30) /*v32*/"), "*v32*")
        session.cancel(pgpool, one.pid, one.key)
        kinds = [got.fields()["C"] if got.kind == "E" else got.kind for got in one.read_until("Z")]
        assert kinds[-2:] == ["57014", "Z"]


@pytest.mark.parametrize("major", [1, 2])
def test_old_protocol_is_refused(oracle, pgpool, major):
    with raw.Raw(pgpool) as one:
        one.send(raw.startup({"user": "postgres"}, major << 16))
        answer = one.drain_to_end()
        assert answer[:1] == b"E"
        assert f"unsupported frontend protocol {major}.0".encode() in answer


@pytest.mark.parametrize("requests", ["G", "SG", "GS"])
def test_gss_is_declined(oracle, pgpool, requests):
    """PostgreSQL may be built with GSSAPI and say G: only the answer N is ours."""
    with raw.Raw(pgpool) as one:
        for letter in requests:
            one.send(raw.GSS_REQUEST if letter == "G" else raw.SSL_REQUEST)
            assert one.read_bytes(1) == b"N"
        one.send(raw.startup(startup.WHO))
        assert Login().play(one) == oracle(startup.CASES[0])[:-1]


def test_gss_twice_is_refused(oracle, pgpool):
    with raw.Raw(pgpool) as one:
        one.send(raw.GSS_REQUEST)
        assert one.read_bytes(1) == b"N"
        one.send(raw.GSS_REQUEST)
        (got,) = one.read_to_end()
        assert got.fields()["C"] == "0A000"
        assert "unsupported frontend protocol 1234.5680" in got.fields()["M"]


@pytest.mark.parametrize("value", ["true", "on", "1", "database"])
def test_replication_is_refused(oracle, pgpool, value):
    with raw.Raw(pgpool) as one:
        messages = one.login(replication=value)
        fields = messages[-1].fields()
        assert messages[-1].kind == "E" and fields["S"] == "FATAL"
        assert "replication" in fields["M"]
        assert one.read_to_end() == []


def test_login_over_the_unix_socket(oracle, direct, pgpool):
    def play(host, port):
        with raw.Raw(Target(host, port)) as one:
            one.send(raw.startup({"user": "postgres", "database": "test"}))
            return Login().play(one) + [got.comparable() for got in one.simple("SELECT 1")]

    assert play(pgpool.directory, pgpool.port) == play(direct.directory, direct.port)
