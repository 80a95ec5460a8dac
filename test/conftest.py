"""How pytest's workers share the tests of wire/ and integration/ (test/run gives them away by
group): what uses one set of servers or one pgpool stays together, all else may go anywhere, and
what takes long begins first. Most tests wait more than they work."""

import os
import time

import pytest

SANITIZED = "sanitize" in os.environ.get("PGPOOL_BIN", "")
USUAL_SECONDS = 0.2
SHARED = ("module", "class", "package")  # scopes of fixtures that are worth sharing


def pytest_configure(config):
    config.addinivalue_line("markers", "takes(seconds): it waits so long, whatever the machine")
    config.addinivalue_line("markers", "one_engine: what it looks at is the same with all of them")
    config.addinivalue_line("markers", "plain: left out under the sanitizers, which would see "
                            "there what they see elsewhere, and take long")


def _shares(item):
    """Uses something that was made for more than one test."""
    fixtures = item._fixtureinfo.name2fixturedefs  # pylint: disable=protected-access
    return any(name != "engine" and definitions[-1].scope in SHARED
               for name, definitions in fixtures.items())


def _group(item):
    """None: alone. A file may name one for all of its tests, where what they share is the same on
    every engine and costs much."""
    named = item.get_closest_marker("xdist_group")
    if named:
        return named.args[0]
    if not _shares(item):
        return None
    engine = item.callspec.params.get("engine", "") if hasattr(item, "callspec") else ""
    return f"{item.path.stem}-{engine}"


def _seconds(item):
    marker = item.get_closest_marker("takes")
    return marker.args[0] if marker else USUAL_SECONDS


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):  # pylint: disable=unused-argument
    """PGPOOL_TEST_UNTIL, in seconds since 1970: what has not begun by then is left out, and told to
    be. What takes long begins first."""
    until = os.environ.get("PGPOOL_TEST_UNTIL")
    if until and time.time() > float(until):
        pytest.skip("no time is left for it")


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(config, items):
    if SANITIZED:
        items[:] = [item for item in items if not item.get_closest_marker("plain")]
    if not getattr(config.option, "loadgroup", False):  # xdist sets it in its workers
        return
    weights = {}
    for item in items:
        group = _group(item)
        if group:
            if not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group(group))
            weights[group] = weights.get(group, 0) + _seconds(item)
    items.sort(key=lambda item: weights.get(_group(item), _seconds(item)), reverse=True)
