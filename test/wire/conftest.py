"""Fixtures: fake servers and a pgpool in front of them, one set a module and engine. What the
clients are is the integration tests'."""

import os
import re
import sys
import types

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))

from common import (engine_fixture, pytest_generate_tests,  # noqa: E402,F401
                    pytest_runtest_makereport, pytest_runtest_setup)
from clients import client, nodes  # noqa: E402
from cluster import run  # noqa: E402
from fake import FakeServer  # noqa: E402
from proxy import Pgpool  # noqa: E402
from waiting import SLOW, wait_for  # noqa: E402

# where a server connection stays with its client, each of them can be told what to do
USUAL = {"num_init_children": 1, "health_check_period": 0,
         "connect_timeout": f"{int(5 * SLOW)}s", "pool_mode": "session",
         "failover_wait": 0}


def servers_of(roles):
    return [FakeServer(role, f"node{number}") for number, role in enumerate(roles)]


class Bed:
    """Some fake servers and a pgpool."""

    def __init__(self, engine, roles=("primary",), files=None, **settings):
        self.servers = servers_of(roles)
        self.pgpool = Pgpool(types.SimpleNamespace(servers=self.servers), engine,
                             **USUAL | settings)
        for name, text in (files or {}).items():
            self.write(name, text)

    def write(self, name, text):
        """A file beside pgpool.conf."""
        path = os.path.join(self.pgpool.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)

    def reload(self, **settings):
        """Until every process has what the files say now."""
        self.pgpool.write_config(**settings)
        run(*self.pgpool.command("reload"))
        with client(self.pgpool, "postgres", database="postgres") as one:
            for name, value in settings.items():
                wait_for(lambda n=name, v=value: one.rows(f"PGPOOL SHOW {n}")[0][-1] == str(v),
                         f"{name} to be {value}")

    def start(self):
        self.pgpool.start()
        wait_for(lambda: all(node[0] == "up" for node in nodes(self.pgpool)), "the nodes to be up")
        return self

    def child(self):
        return self.pgpool.named("child")[0]

    def faults(self):
        """What scripts have complained of since the last time."""
        found = []
        for server in self.servers:
            found += server.faults
            server.faults.clear()
        return found

    def finish(self):
        try:
            self.pgpool.finish()
        finally:
            for server in self.servers:
                server.down()


@pytest.fixture(scope="module", name="bed")
def bed_fixture(request, engine):
    """A module's ROLES, PASSWORDS, PCP_USERS and PGPOOL_SETTINGS make it another one."""
    module = request.module
    files = {"pool_passwd": getattr(module, "PASSWORDS", "")}
    if hasattr(module, "PCP_USERS"):
        files["pcp.conf"] = module.PCP_USERS
    bed = Bed(engine, getattr(module, "ROLES", ("primary",)), files,
              **getattr(module, "PGPOOL_SETTINGS", {})).start()
    pid = bed.child()
    yield bed
    same = bed.child() == pid
    bed.finish()
    assert same, "the child was forked again"


@pytest.fixture(name="pgpool")
def pgpool_fixture(bed):
    """The module's pgpool; no script may have failed at the test's end."""
    yield bed.pgpool
    assert not bed.faults()


@pytest.fixture(name="server")
def server_fixture(bed):
    """The first server, the primary."""
    return bed.servers[0]


@pytest.fixture(name="user")
def user_fixture(request):
    """A user of the test's own: its connections are shared with no other test."""
    return re.sub(r"\W+", "_", request.node.name)[-60:].strip("_")


@pytest.fixture(name="start_bed")
def start_bed_fixture(engine):
    """A function that starts servers and a pgpool of the test's own."""
    started = []

    def start(roles=("primary",), files=None, **settings):
        started.append(Bed(engine, roles, files, **settings).start())
        return started[-1]

    yield start
    wrong = []
    for bed in started:
        wrong += bed.faults()
        try:
            bed.finish()
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)
