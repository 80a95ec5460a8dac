"""What the tests with a PostgreSQL and those with a fake one share: on which engines they run, and
pgpool's log in the report of a test that failed."""

import ctypes
import os
import sys

import pytest

from proxy import Pgpool

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
    # interned: pytest 7 keeps a fixture only while its parameter is the same object
    wanted = map(sys.intern, os.environ.get("PGPOOL_TEST_ENGINES", "io_uring,epoll").split(","))
    return [name for name in wanted if name != "io_uring" or kernel_has_io_uring()] or ["epoll"]


def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        names = engines()
        if metafunc.definition.get_closest_marker("one_engine"):
            names = names[:1]
        metafunc.parametrize("engine", names, scope="module", indirect=True)


@pytest.fixture(scope="module", name="engine")
def engine_fixture(request):
    """A fixture and no plain value: pytest 7 would make a module's pgpool anew for each value of
    another parameter."""
    return request.param


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
