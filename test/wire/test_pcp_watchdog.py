"""pcp_watchdog_info's output for a cluster that a fake administration port makes up: field by field
as scripts for Pgpool-II's tool read it."""

import json
import os
import socket
import struct
import subprocess
import threading

import pytest

import raw
from proxy import binary
from waiting import SLOW

pytestmark = pytest.mark.one_engine

COLUMNS = ("node_id", "name", "hostname", "pgpool_port", "wd_port", "priority", "state",
           "state_name", "membership", "membership_name", "lifecheck_started", "escalated",
           "delegate_ip", "quorum")
ROWS = [
    ("1", "b:9999 Linux b", "b", "9999", "0", "1", "7", "STANDBY", "0", "MEMBER", "YES", "NO",
     "192.0.2.1", "QUORUM EXIST"),
    ("0", "a:9999 Linux a", "a", "9999", "0", "5", "4", "LEADER", "0", "MEMBER", "YES", "NO", None,
     None),
    ("2", "c:9998 Linux c", "c", "9998", "0", "1", "8", "LOST", "0", "MEMBER", "NO", "NO", None,
     None),
    ("3", "d:9999 Linux d", "d", "9999", "0", None, "0", "DEAD", "2", "REVOKED-NO-SHOW", "NO", "NO",
     None, None),
]


def description():
    fields = b"".join(name.encode() + struct.pack("!xihihih", 0, 0, 25, -1, -1, 0)
                      for name in COLUMNS)
    return raw.message("T", struct.pack("!h", len(COLUMNS)) + fields)


def row(values):
    data = b"".join(struct.pack("!i", -1) if value is None
                    else struct.pack("!i", len(value)) + value.encode() for value in values)
    return raw.message("D", struct.pack("!h", len(values)) + data)


def receive(connection, count):
    data = b""
    while len(data) < count:
        got = connection.recv(count - len(data))
        if not got:
            raise EOFError
        data += got
    return data


def serve(connection, rows):
    ready = raw.message("Z", b"I")
    with connection:
        receive(connection, struct.unpack("!I", receive(connection, 4))[0] - 4)
        connection.sendall(raw.message("R", struct.pack("!I", 0)) + ready)
        kind, length = struct.unpack("!cI", receive(connection, 5))
        assert (kind, receive(connection, length - 4)) == (b"Q", b"SHOW pool_watchdog\0")
        connection.sendall(description() + b"".join(map(row, rows)) +
                           raw.message("C", b"SHOW\0") + ready)
        connection.recv(100)


@pytest.fixture(name="ask")
def ask_fixture():
    """Runs the tool against a port that answers once, with these rows."""
    program = os.path.join(os.path.dirname(os.path.abspath(binary())), "pcp")
    listener = socket.create_server(("127.0.0.1", 0))

    def ask(*words, rows=ROWS):
        thread = threading.Thread(target=lambda: serve(listener.accept()[0], rows), daemon=True)
        thread.start()
        done = subprocess.run(
            [program, "watchdog_info", "-h", "127.0.0.1", "-p", str(listener.getsockname()[1]),
             "-U", "boss", "-w", *words], capture_output=True, text=True, check=False,
            timeout=60 * SLOW, env=os.environ | {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"})
        thread.join(60 * SLOW)
        return done

    with listener:
        yield ask


def output(done):
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


LINES = ["b:9999 Linux b b 9999 0 7 STANDBY 0 MEMBER YES",
         "a:9999 Linux a a 9999 0 4 LEADER 0 MEMBER YES",
         "c:9998 Linux c c 9998 0 8 LOST 0 MEMBER NO",
         "d:9999 Linux d d 9999 0 0 DEAD 2 REVOKED-NO-SHOW NO"]


def test_a_line_for_each(ask):
    head = "4 3 NO a:9999 Linux a a\n\n"
    assert output(ask()) == head + "\n".join(LINES) + "\n"
    assert output(ask("-n", "0")) == head + LINES[0] + "\n"
    assert output(ask("-n", "2")) == head + LINES[2] + "\n"


def test_with_titles(ask):
    assert output(ask("-v", "-n", "1")) == """Watchdog Cluster Information
Total Nodes              : 4
Remote Nodes             : 3
Member Remote Nodes      : 2
Alive Remote Nodes       : 1
Nodes required for quorum: 1
Quorum state             : QUORUM EXIST
Local node escalation    : NO
Leader Node Name         : a:9999 Linux a
Leader Host Name         : a

Watchdog Node Information
Node Name         : a:9999 Linux a
Host Name         : a
Delegate IP       : 192.0.2.1
Pgpool port       : 9999
Watchdog port     : 0
Node priority     : 5
Status            : 4
Status Name       : LEADER
Membership Status : MEMBER
Lifecheck Started : YES

"""


def test_as_json(ask):
    rows = json.loads(output(ask("--json")))
    assert [one["name"] for one in rows] == [one[1] for one in ROWS]
    assert rows[0]["state"] == 7 and rows[3]["priority"] is None


def test_nobody_leads(ask):
    assert output(ask(rows=ROWS[:1])).startswith("1 1 NO Not Set Not Set\n\n")


def test_what_is_not_there(ask):
    done = ask("-n", "4")
    assert (done.returncode, done.stdout) == (1, "") and "no pgpool 4" in done.stderr
    done = ask(rows=[])
    assert (done.returncode, done.stdout) == (1, "")
    assert "the watchdog is not enabled" in done.stderr
