"""What never ends is given up after its time; everybody else is served meanwhile."""

import pytest

import processes
import raw
from clients import client, kinds, still_serves
from fake import PATIENCE, error, ready
from waiting import wait_for

LIMIT = 12  # seconds: of resets and of cancel requests, both 10, and a look once a second


@pytest.mark.takes(11)
@pytest.mark.one_engine
def test_reset_and_cancel_that_never_end(bed, pgpool, server, user):
    """Both at once, for they take long. The reset's connection is closed; the cancel request's
    too, its client hears the end, and the connection that it was for is lent again."""
    def resets(c):
        c.login()
        c.serve_until("DISCARD ALL")
        c.wait_gone()

    def cancelled(c):
        c.login()
        c.serve_until("UPDATE slow SET a = 1")
        assert c.cancelled.wait(PATIENCE)
        c.send(error("57014", "canceling statement"), ready())
        c.serve()

    still_serves(pgpool, user)
    descriptors = processes.descriptors(bed.child())
    server.script(user + "_r", resets)
    server.script(user + "_c", cancelled)
    server.hold_cancels = True
    with client(pgpool, user + "_r") as one:
        assert kinds(one.simple("INSERT INTO x VALUES (1)")) == "CZ"
    reset = server.of(user + "_r")[0]
    with client(pgpool, user + "_c") as one, raw.Raw(pgpool, 20) as request:
        one.send(raw.query("UPDATE slow SET a = 1"))
        connection = server.wait_for_connection(user + "_c")
        wait_for(lambda: "UPDATE slow SET a = 1" in connection.texts, "the statement")
        request.send(raw.cancel_request(one.pid, one.key))
        assert kinds(one.read_until("Z")) == "EZ"

        def ended():
            still_serves(pgpool, user)
            still_serves(pgpool, user + "_r")
            return reset.ended.is_set()

        wait_for(ended, "the reset to be given up", LIMIT, 0.1)
        assert request.drain_to_end() == b""
        assert kinds(one.simple("UPDATE again SET a = 1")) == "CZ"
    assert len(server.of(user + "_c")) == 1
    assert len(server.of(user + "_r")) == 2
    # one more connection is kept than before: of the other user; the reset's was replaced
    wait_for(lambda: processes.descriptors(bed.child()) <= descriptors + 2, "descriptors to go")
