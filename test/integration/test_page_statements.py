"""The statements on the status page, and how all of it looks: PGPOOL_TEST_SCREENSHOTS names a
directory that pictures are kept in."""

import os
import struct

import pytest

import browser as browsers
import raw
# pylint: disable=unused-import
from test_page import (admin_fixture, browser_fixture, chromium_fixture, page_fixture,
                       site_fixture)
# pylint: enable=unused-import
from waiting import wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(20)]

CALLS = 40
NAME = "SELECT $1 AS \"<b id='injected'>\""


def rows(page):
    """Of the table, each as its columns to what can be read there."""
    return page.run("""
        return [...document.querySelectorAll("#statements tbody tr")].map(row =>
            Object.fromEntries([...row.cells].map(one => [one.dataset.label, one.innerText])));
        """)


def found(page, text):
    """The row of that statement, with who asked it as "who"."""
    for row in rows(page):
        words, _, who = row["Statement"].partition("\n")
        if words == text:
            return row | {"who": who.strip()}
    return None


def milliseconds(text):
    number, unit = text.split()
    return float(number) * {"ms": 1, "s": 1000}[unit]


@pytest.fixture(name="asked", scope="module")
def asked_fixture(site):
    """What clients have asked."""
    with raw.connected(site.pgpool) as one:
        for n in range(CALLS):
            one.rows(f"SELECT count(*) FROM seen WHERE a = {n}")
            one.simple("SELECT a FROM seen_by_nobody")
        one.rows("SELECT pg_sleep(0.5), 'a secret'")
        one.rows(NAME.replace("$1", "'a secret'"))
    return site


def test_statements_of_clients_are_counted(asked, admin):
    """Those first that have taken the most time, with the numbers of SHOW pool_statements."""
    text = "SELECT count(*) FROM seen WHERE a = $1"
    wait_for(lambda: (row := found(admin, text)) and row["Calls"] == str(CALLS), "the statement",
             20)
    assert found(admin, text)["who"] == "postgres on test"
    failed = found(admin, "SELECT a FROM seen_by_nobody")
    assert failed["Calls"].split() == [str(CALLS), str(CALLS), "failed"]
    assert failed["Rows"] == "0"
    slow = found(admin, "SELECT pg_sleep($1), $2")
    assert (slow["Calls"], slow["Rows"]) == ("1", "1")
    assert all(400 <= milliseconds(slow[name]) < 60000
               for name in ("Total", "Mean", "50 %", "99 %", "Longest"))
    told, = (row for row in asked.get("/page/statements") if row["statement"] == text)
    row = found(admin, text)
    assert row["Where"].split("\n") == [told["nodes"], told["reasons"]]
    assert abs(milliseconds(row["Total"]) - float(told["total_ms"])) <= 1
    totals = [float(row["total_ms"]) for row in asked.get("/page/statements")]
    assert totals == sorted(totals, reverse=True)
    assert "a secret" not in admin.run("return document.body.innerHTML")


def test_the_text_of_a_statement_can_be_seen(asked, admin):
    """Without scrolling aside, on whatever screen."""
    wait_for(lambda: found(admin, NAME), "the statement", 20)
    for size in (browsers.WIDE, browsers.NARROW, (320, 640)):
        admin.resize(*size)
        wait_for(lambda: admin.run("""
            return [...document.querySelectorAll("#statements td:first-child")].every(one => {
                const box = one.getBoundingClientRect();
                return box.left >= 0 && box.right <= innerWidth && box.width > 100;
            }) && document.documentElement.scrollWidth <= innerWidth;
            """), f"the texts to fit into {size}")


def test_their_texts_stay_texts(asked, admin):
    wait_for(lambda: found(admin, NAME), "the statement", 20)
    assert not admin.all("#injected")


def size_of(path):
    """Of a PNG. Source: the PNG specification, IHDR."""
    with open(path, "rb") as file:
        head = file.read(24)
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack("!II", head[16:24])


@pytest.mark.parametrize("scheme", ("light", "dark"))
@pytest.mark.parametrize("size", (browsers.WIDE, browsers.NARROW), ids=("wide", "narrow"))
def test_screenshots(asked, admin, scheme, size, tmp_path):
    """All of the page, from left to right without anything to scroll to."""
    folder = os.environ.get("PGPOOL_TEST_SCREENSHOTS") or str(tmp_path)
    name = "wide" if size == browsers.WIDE else "narrow"
    path = os.path.join(folder, f"page-{name}-{scheme}.png")
    admin.prefer(scheme)
    admin.resize(*size)
    admin.wait_shown(".plot svg path")
    wait_for(lambda: found(admin, "SELECT count(*) FROM seen WHERE a = $1"), "the statements", 20)
    admin.screenshot(path)
    width, height = size_of(path)
    assert width == size[0] and height > size[1]
    assert os.path.getsize(path) > 20000, "there is hardly anything on it"
    assert asked.states()[0] == "up"
