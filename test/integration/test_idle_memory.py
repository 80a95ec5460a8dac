"""What clients cost that do nothing: memory, and nothing of the others' time.

PGPOOL_TEST_HEAVY=1 makes them 10,000.
"""

import os
import re
import sys

import pytest

import processes
from waiting import SLOW, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))

from idle import IdleClients, raise_limit  # noqa: E402  (found through the path set above)

CLIENTS = 10000 if os.environ.get("PGPOOL_TEST_HEAVY") else 2000
FIRST = 100
BASE_LIMIT_KB = 15 * 1024
CLIENT_LIMIT_KB = 2.0
SLOWEST_MS = 1000
USUAL_MS = 50
SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")

pytestmark = [
    pytest.mark.skipif(SANITIZED, reason="the sanitizers need memory themselves"),
    pytest.mark.takes(8),
]


def counted(pgpool):
    """Clients by the children's titles, which follow once a second."""
    titles = [processes.title(pid) for pid in pgpool.named("child")]
    return sum(int(match[1]) for title in titles if (match := re.search(r"(\d+) clients", title)))


def pss_kb(pgpool, clients):
    wait_for(lambda: counted(pgpool) == clients, f"{clients} clients in the titles")
    return sum(processes.pss_kb(pid) for pid in pgpool.pids())


def check_latencies(latencies):
    latencies.sort()
    assert latencies[-1] < SLOWEST_MS * SLOW, f"the slowest answer took {latencies[-1]:.0f} ms"
    usual = latencies[len(latencies) * 9 // 10]
    assert usual < USUAL_MS * SLOW, f"a tenth took longer than {usual:.0f} ms"


def test_idle_clients_are_small_and_answered_at_once(start_pgpool):
    raise_limit(CLIENTS)
    pgpool = start_pgpool(pool_mode="transaction", child_max_clients=CLIENTS,
                          log_connections="off", log_disconnections="off")
    with IdleClients(pgpool.port, pgpool.user, pgpool.database) as clients:
        clients.add(FIRST)
        clients.ask_all()
        base = pss_kb(pgpool, FIRST)
        assert base < BASE_LIMIT_KB, f"{base} kB with {FIRST} clients"
        clients.add(CLIENTS - FIRST)
        idle = (pss_kb(pgpool, CLIENTS) - base) / (CLIENTS - FIRST)
        assert idle <= CLIENT_LIMIT_KB, f"{idle:.2f} kB for each idle client"
        check_latencies(clients.ask_all())
        used = (pss_kb(pgpool, CLIENTS) - base) / (CLIENTS - FIRST)
        assert used <= CLIENT_LIMIT_KB, f"{used:.2f} kB for each client that has asked"
