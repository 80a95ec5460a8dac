"""Fixtures: one cluster a session, one pgpool a module and engine, both as targets of clients."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from certificates import Authority  # noqa: E402  (found through the path set above)
from cluster import Cluster, make_dir  # noqa: E402
from common import (engine_fixture, pytest_generate_tests,  # noqa: E402,F401
                    pytest_runtest_makereport, pytest_runtest_setup)
from proxy import Pgpool, starter  # noqa: E402


@pytest.fixture(scope="session", name="cluster")
def cluster_fixture():
    cluster = Cluster()
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="session", name="direct")
def direct_fixture(cluster):
    """The primary itself: what it answers is right."""
    return cluster.primary


@pytest.fixture(scope="module", name="pgpool")
def pgpool_fixture(request, cluster, engine):
    """A running pgpool; a module's PGPOOL_SETTINGS are its settings."""
    if engine == "direct":
        yield cluster.primary
        return
    pgpool = Pgpool(cluster, engine, **getattr(request.module, "PGPOOL_SETTINGS", {})).start()
    yield pgpool
    pgpool.finish()


@pytest.fixture(scope="module", name="authority")
def authority_fixture():
    """Of certificates; a module may have one of its own that has issued some already."""
    authority = Authority(make_dir("pgpool-ca-"))
    yield authority
    authority.remove()


@pytest.fixture(name="start_pgpool")
def start_pgpool_fixture(cluster, engine):
    """A function that starts a pgpool with settings of the test's own."""
    yield from starter(cluster, engine)
