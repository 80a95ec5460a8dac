"""Fixtures: one cluster a session, one pgpool a module and engine, both as targets of clients."""

import ctypes
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cluster import Cluster  # noqa: E402  (found through the path set above)
from proxy import Pgpool  # noqa: E402

IO_URING_SETUP = 425


def kernel_has_io_uring():
    """False where the kernel or a container forbids it: then there is only epoll to test."""
    params = ctypes.create_string_buffer(120)
    ring = ctypes.CDLL(None, use_errno=True).syscall(IO_URING_SETUP, 4, params)
    if ring >= 0:
        os.close(ring)
    return ring >= 0


def engines():
    """"direct" is no engine: it lets the tests judge themselves with PostgreSQL as the proxy."""
    wanted = os.environ.get("PGPOOL_TEST_ENGINES", "io_uring,epoll").split(",")
    return [name for name in wanted if name != "io_uring" or kernel_has_io_uring()] or ["epoll"]


def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", engines(), scope="module")


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


@pytest.fixture(name="start_pgpool")
def start_pgpool_fixture(cluster, engine):
    """A function that starts a pgpool with settings of the test's own."""
    started = []

    def start(**settings):
        started.append(Pgpool(cluster, engine, **settings).start())
        return started[-1]

    yield start
    wrong = []
    for pgpool in started:
        try:
            pgpool.finish()
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    for pgpool in Pgpool.running:
        pgpool.mark_log()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for pgpool in Pgpool.running:
            report.sections.append((f"pgpool's log on port {pgpool.port}",
                                    pgpool.log_since_mark()[-4000:]))
