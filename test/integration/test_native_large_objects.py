"""Native replication: large objects have the same numbers and contents on all nodes."""

import os
import struct

import psycopg
import pytest

import raw
from cluster import run
from proxy import starter
from test_native import PREPARED, SETTINGS, Servers

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

OBJECTS = "SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid"
LO_CREAT, LO_OPEN, LOWRITE, LO_UNLINK = 957, 952, 955, 964
LOREAD, LO_LSEEK, LO_CREATE = 954, 956, 715


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    servers = Servers()
    yield servers
    servers.cluster.destroy()


@pytest.fixture(name="pgpool")
def pgpool_fixture(servers, engine):
    for server in servers:
        server.rows("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    for start in starter(servers.cluster, engine):
        yield start(**SETTINGS)
    assert servers.same(PREPARED) == [(0,)]


def call(client, oid, *values):
    """With binary values and a binary result; the error's code, or the bytes."""
    body = struct.pack("!IHHH", oid, 1, 1, len(values))
    for value in values:
        value = value if isinstance(value, bytes) else struct.pack("!i", value)
        body += struct.pack("!i", len(value)) + value
    client.send(raw.message("F", body + struct.pack("!H", 1)))
    answer = client.read_until("Z")
    return raw.codes(answer) or answer[0].body[4:]


def number(result):
    return struct.unpack("!I", result)[0]


def test_calls_of_libpq(servers, pgpool):
    # the numbers that the nodes would give are not the same
    servers[1].rows("SELECT lo_unlink(lo_creat(-1)) FROM generate_series(1, 50)")
    with raw.connected(pgpool) as client:
        client.simple("BEGIN")
        oid = number(call(client, LO_CREAT, 0x60000))
        fd = number(call(client, LO_OPEN, oid, 0x60000))
        assert number(call(client, LOWRITE, fd, b"abcdef" * 1000)) == 6000
        assert number(call(client, LO_LSEEK, fd, 3, 0)) == 3
        assert call(client, LOREAD, fd, 4) == b"defa"
        assert number(call(client, LOWRITE, fd, b"XYZ")) == 3
        assert servers.same("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]
        client.simple("COMMIT")
        [row] = servers.same(OBJECTS)
        assert row[0] == oid and row[1][:12] == b"abcdefaXYZef"
        other = number(call(client, LO_CREAT, 0x60000))
        assert [row[0] for row in servers.same(OBJECTS)] == sorted([oid, other])
        assert call(client, LO_UNLINK, 1) == ["42704"]
        client.simple("BEGIN")
        client.simple("SAVEPOINT a")
        assert call(client, LO_UNLINK, 1) == ["42704"]
        assert call(client, LO_UNLINK, oid) == ["25P02"]
        client.simple("ROLLBACK TO a")
        assert number(call(client, LO_UNLINK, other)) == 1
        client.simple("COMMIT")
        third = number(call(client, LO_CREATE, 0))
        assert third > 0 and number(call(client, LO_CREATE, 77)) == 77
        assert [row[0] for row in servers.same(OBJECTS)] == sorted([77, oid, third])
        assert number(call(client, LO_UNLINK, third)) == number(call(client, LO_UNLINK, 77)) == 1
        client.send(raw.function_call(LO_CREAT, "-1"))
        assert raw.codes(client.read_until("Z")) == ["0A000"]  # its result would be a text
        assert call(client, 2078, b"work_mem", b"1MB", b"\0") == ["0A000"]
        assert client.rows("SELECT 1") == [["1"]]
    assert [row[0] for row in servers.same(OBJECTS)] == [oid]


def test_another_node_s_result_that_differs_ends_the_transaction(servers, pgpool):
    with raw.connected(pgpool) as client:
        oid = number(call(client, LO_CREAT, 0x60000))
        servers[2].rows(f"SELECT lo_put({oid}, 0, 'mine')")
        client.simple("BEGIN")
        fd = number(call(client, LO_OPEN, oid, 0x60000))
        assert number(call(client, LO_LSEEK, fd, 0, 2)) == 0  # its end
        assert raw.codes(client.simple("COMMIT")) == ["40001"]
        servers[2].rows(f"SELECT lo_truncate(lo_open({oid}, 393216), 0)")
    servers.same(OBJECTS)


def test_psql_imports_and_unlinks(servers, pgpool):
    path = os.path.join(pgpool.directory, "large")
    with open(path, "wb") as file:
        file.write(os.urandom(300000))
    os.chmod(path, 0o644)
    answer = run("psql", "-X", pgpool.dsn(), "-c", f"\\lo_import {path}")
    [row] = servers.same(OBJECTS)
    with open(path, "rb") as file:
        assert row[1] == file.read()
    assert str(row[0]) in str(answer)
    run("psql", "-X", "-q", pgpool.dsn(), "-c", f"\\lo_unlink {row[0]}")
    assert servers.same(OBJECTS) == []


def test_functions_of_sql(servers, pgpool):
    servers[2].rows("SELECT lo_unlink(lo_creat(-1)) FROM generate_series(1, 50)")
    with pgpool.connect() as client:
        one = client.execute("SELECT lo_creat(-1)").fetchone()[0]
        two = client.execute("SELECT lo_from_bytea(0, %s)", (b"abc",)).fetchone()[0]
        client.execute("SELECT lo_create(77777)")
        client.execute("BEGIN")
        fd = client.execute(f"SELECT lo_open({one}, 131072)").fetchone()[0]
        client.execute(f"SELECT lowrite({fd}, 'hello')")
        client.execute(f"SELECT lo_put({two}, 1, 'X')")
        client.execute("COMMIT")
        client.execute("SELECT lo_unlink(77777)")
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            client.execute("SELECT lo_import('/etc/hostname')")
    assert sorted(servers.same(OBJECTS)) == sorted([(one, b"hello"), (two, b"aXc")])
