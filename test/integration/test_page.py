"""The status page as people use it in a browser, by pointer and by keys, and as others abuse it."""

import contextlib
import http.client
import http.server
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import browser as browsers
import processes
import raw
from certificates import client_context
from cluster import Cluster
from proxy import Pgpool
from test_admin import SANITIZED, own_address
from test_http import MD5_SECRET, fetch, login, reload, samples, with_http, write_users
from waiting import Background, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(60)]

USERS = f"alice:{MD5_SECRET}:admin\nmary:{MD5_SECRET}:monitor\n"
SEEN_S = 2  # after a node has died


class Site:
    """A cluster of our own behind a pgpool with the page."""

    def __init__(self):
        self.cluster = Cluster(standbys=2)
        self.cluster.sql("CREATE TABLE seen (a int)")
        self.pgpool = with_http(Pgpool(self.cluster, backend_weight0=1, recovery_user="postgres",
                                       auto_failback_interval=0, auto_failback="off"))
        write_users(self.pgpool, USERS)
        self.pgpool.start()
        self.port = self.pgpool.http_port
        self.origin = f"http://127.0.0.1:{self.port}"

    def finish(self):
        self.pgpool.finish()
        self.cluster.destroy()

    def states(self):
        with raw.connected(self.pgpool) as one:
            return {int(row[0]): row[3] for row in one.rows("SHOW pool_node_states")}

    def wait_state(self, node_id, state):
        wait_for(lambda: self.states()[node_id] == state, f"node {node_id} to be {state}", 60)

    def post(self, path, **headers):
        return fetch(self.port, path, method="POST",
                     **{"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **headers})

    def token(self, user):
        answer = self.post("/page/login", **login(user, "secret"))
        assert answer.status == 200, answer.text
        return {"Authorization": "Bearer " + answer.json()["token"]}

    def get(self, path, user="mary"):
        answer = fetch(self.port, path, **self.token(user))
        assert answer.status == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module", name="site")
def site_fixture():
    site = Site()
    yield site
    site.finish()


@pytest.fixture(scope="module", name="chromium")
def chromium_fixture():
    browsers.need()
    browser = browsers.Browser()
    yield browser
    browser.close()


@pytest.fixture(name="browser")
def browser_fixture(chromium):
    chromium.renew()
    return chromium


@pytest.fixture(name="page")
def page_fixture(site, browser):
    """Opened by nobody that is known. At its end the console has nothing to complain of."""
    browser.open(site.origin + "/")
    browser.wait_shown("#welcome")
    yield browser
    assert browser.complaints() == []


def enter(page, user, password="secret"):
    page.click("#welcome-login")
    page.one("#login-user").send_keys(user)
    page.one("#login-password").send_keys(password)
    page.click("#login-send")


@pytest.fixture(name="admin")
def admin_fixture(page):
    enter(page, "alice")
    page.wait_shown("#content")
    page.wait_shown("#nodes table")
    return page


def state(page, node_id):
    """What the badge of a node says."""
    return page.run("""
        const rows = [...document.querySelectorAll("#nodes tbody tr")];
        const row = rows.find(one => one.cells[0].firstElementChild.textContent === arguments[0]);
        return row?.querySelector(".state").textContent ?? "";
        """, str(node_id))


def wait_badge(page, node_id, words, timeout=20.0):
    wait_for(lambda: state(page, node_id) == words, f"node {node_id} to be shown as {words}",
             timeout)


def give(page, word, node_id):
    """Clicks a command of a node and confirms it."""
    page.click(f"[aria-label='{word} node {node_id}']")
    page.wait_shown("#ask-dialog")
    assert f"node {node_id}" in page.text("#ask-title")
    page.click("#ask-send")
    wait_for(lambda: not page.shown("#ask-dialog"), "the dialog to close")


def last_order(page):
    return page.text("#orders li")


def cell(page, node_id, title):
    return page.run("""
        const rows = [...document.querySelectorAll("#nodes tbody tr")];
        const row = rows.find(one => one.cells[0].firstElementChild.textContent === arguments[0]);
        return [...row.cells].find(one => one.dataset.label === arguments[1]).innerText;
        """, str(node_id), title)


# ---- what it shows ----


def test_nothing_is_shown_before_the_login(site, page):
    assert "pcp.conf" in page.text("#why")
    assert not page.shown("#content") and not page.shown("#logout")
    for path in ("/page/now", "/page/events", "/page/pins", "/page/waiters", "/page/history/0"):
        answer = fetch(site.port, path)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "127.0.0.1" not in fetch(site.port, "/page/who").text


def test_a_monitor_sees_and_commands_nothing(page):
    enter(page, "mary")
    page.wait_shown("#nodes table")
    for node_id in range(3):
        wait_badge(page, node_id, "up")
    assert [cell(page, node_id, "Role").split()[0] for node_id in range(3)] == \
        ["primary", "standby", "standby"]
    assert page.text("#user") == "mary, monitor"
    assert page.text("#ready") == "ready"
    assert not page.shown(".buttons button") and not page.shown("#pause")
    page.wait_text("#events", "primary found")
    page.wait_text("#events", "pgpool has been started")
    assert not page.shown("#statements-section") or page.shown("#statements table, #statements p")


def test_a_fresh_page_shows_what_was(site, page):
    """Samples are the server's: there are some before anybody looks."""
    with site.pgpool.connect() as one:
        def counted():
            for _ in range(50):
                one.execute("SELECT count(*) FROM seen")
            got = site.get("/page/history/0")
            rows = [dict(zip(got["fields"], row)) for row in got["samples"]]
            return [row for row in rows if row["reads"] > 0 and row["p50_ms"] > 0 and
                    row["clients"] > 0]
        sample = wait_for(counted, "a sample with reads in it", 20)[-1]
    assert sample["p50_ms"] <= sample["p90_ms"] <= sample["p99_ms"]
    assert sample["lag0_ms"] == 0
    assert abs(sample["reads"] + sample["writes"] -
               sum(sample[f"node{node_id}"] for node_id in range(3))) < 1
    got = site.get("/page/history/0")
    assert got["kept"] * got["every_ms"] == 3600 * 1000
    later = site.get(f"/page/history/{got['next'] - 1}")
    assert later["from"] == got["next"] - 1 and len(later["samples"]) < len(got["samples"]) + 2
    assert site.get("/page/history/99999999")["from"] == 0  # another process's
    enter(page, "mary")
    page.wait_shown(".plot svg path")
    paths = page.run("return [...document.querySelectorAll('.plot')].map(one => "
                     "one.querySelectorAll('path[d^=M]').length)")
    assert len(paths) == 6 and all(count >= 2 for count in paths)
    assert "per second" in page.one(".plot svg").accessible_name


def test_pins_and_waiters_are_listed(site, admin):
    with site.pgpool.connect() as one:
        one.execute("CREATE TEMP TABLE pinned (a int)")
        admin.wait_text("#pins", "a temporary object")
        admin.wait_text("#pins", "postgres on test")
    wait_for(lambda: "no session is pinned" in admin.text("#pins"), "the pin to go")


def test_a_reload_is_an_event(site, page):
    reload(site.pgpool)
    enter(page, "mary")
    page.wait_text("#events", "the configuration has been read anew")


# ---- nodes ----


def test_a_dead_standby_is_seen(site, admin):
    """Within two seconds; and when it lives again, a click takes it back."""
    server = site.cluster.servers[2]
    try:
        with open(server.data + "/postmaster.pid", encoding="ascii") as file:
            os.kill(int(file.readline()), signal.SIGKILL)
        wait_for(lambda: state(admin, 2).startswith("down") or
                 state(admin, 2).endswith("does not answer"), "the dead standby on the page",
                 SEEN_S)
        wait_badge(admin, 2, "down")
        assert admin.driver.title == "1 down – pgpool"
        admin.wait_text("#events", "node 2 is down")
    finally:
        for path in (f"{server.data}/postmaster.pid",
                     f"{site.cluster.directory}/.s.PGSQL.{server.port}.lock"):
            with contextlib.suppress(FileNotFoundError):  # nobody may have reaped it yet
                os.remove(path)
        server.start()
    give(admin, "Attach", 2)
    wait_badge(admin, 2, "up", 60)


def test_a_node_is_detached_and_attached(site, admin):
    give(admin, "Detach", 1)
    wait_badge(admin, 1, "maintenance")
    assert site.states()[1] == "maintenance"
    wait_for(lambda: "done" in last_order(admin), "the command to be done")
    assert "Detach node 1" in last_order(admin) and "alice" in last_order(admin)
    give(admin, "Attach", 1)
    wait_badge(admin, 1, "up", 60)
    assert site.states()[1] == "up"
    assert 'administration command "detach/1" of the status page: user "alice"' in \
        site.pgpool.log_text()


def test_who_cancels_does_nothing(site, admin):
    admin.click("[aria-label='Detach node 1']")
    admin.wait_shown("#ask-dialog")
    before = site.pgpool.log_text().count("administration command")
    admin.click("#ask-cancel")
    wait_for(lambda: not admin.shown("#ask-dialog"), "the dialog to close")
    assert site.pgpool.log_text().count("administration command") == before
    assert site.states()[1] == "up"


def test_pause_and_resume(site, admin):
    with site.pgpool.connect() as one:
        one.execute("SELECT 1")
        admin.click("#pause")
        admin.wait_shown("#ask-dialog")
        admin.click("#ask-send")
        admin.wait_text("#banner-paused", "paused")
        waiting = Background(one.execute, "SELECT count(*) FROM seen")
        admin.wait_text("#holds", "all databases")
        wait_for(lambda: "1" in admin.run("return document.querySelector('#holds tbody')"
                                          ".rows[0].cells[2].innerText"), "a client that waits")
        waiting.check()
        assert waiting.is_alive()
        admin.click("#resume")
        admin.click("#ask-send")
        waiting.result()
    wait_for(lambda: not admin.shown("#banner-paused"), "the banner to go")
    admin.wait_text("#events", "nothing is paused")


def test_a_refused_command_says_why(site, admin):
    """Two pages: what was possible when one of them looked is not any more."""
    answer = site.post("/page/do/recover/0", **site.token("alice"))
    assert answer.status == 202
    wait_for(lambda: "failed" in last_order(admin), "the command to fail")
    assert "Rebuild node 0" in last_order(admin)
    assert len(last_order(admin).splitlines()) > 1


@pytest.mark.takes(90)
def test_a_node_is_rebuilt_and_promoted(site, admin):
    """Recovery with its progress, then a switchover and back."""
    give(admin, "Rebuild", 2)
    wait_for(lambda: "under way" in last_order(admin), "progress", 30)
    wait_for(lambda: "done" in last_order(admin), "the end of the recovery", 90)
    lines = admin.run("return [...document.querySelectorAll('#orders li:first-child .lines li')]"
                      ".map(one => one.textContent)")
    assert len(lines) >= 3, lines
    wait_badge(admin, 2, "up", 60)
    for node_id in (2, 0):
        wait_for(lambda: set(site.states().values()) == {"up"}, "all to be up", 60)
        give(admin, "Promote", node_id)
        wait_for(lambda node_id=node_id: "primary" in cell(admin, node_id, "Role"),
                 f"node {node_id} to be the primary", 60)
        wait_for(lambda: "done" in last_order(admin), "the switchover to be done", 60)
    wait_for(lambda: set(site.states().values()) == {"up"}, "all to be up", 60)


# ---- without a pointer, without eyes, on a phone ----


def test_by_keys_alone(site, page):
    from selenium.webdriver import Keys  # pylint: disable=import-outside-toplevel
    page.run("document.getElementById('welcome-login').focus()")
    page.type(Keys.ENTER)
    page.wait_shown("#login-dialog")
    assert page.focused() == "login-user"
    page.type("alice", Keys.TAB)
    assert page.focused() == "login-password"
    page.type("secret", Keys.ENTER)
    page.wait_shown("#nodes table")
    page.run("document.querySelector(\"[aria-label='Detach node 1']\").focus()")
    page.type(Keys.SPACE)
    page.wait_shown("#ask-dialog")
    page.type(Keys.ESCAPE)
    wait_for(lambda: not page.shown("#ask-dialog"), "the dialog to close")
    assert page.run("return document.activeElement.getAttribute('aria-label')") == "Detach node 1"
    reached = set()
    page.run("document.activeElement.blur(); document.getElementById('main').focus()")
    for _ in range(40):
        page.type(Keys.TAB)
        reached.add(page.run("const one = document.activeElement; return one.id || "
                             "one.getAttribute('aria-label')?.slice(0, 13) || one.tagName"))
    assert {"Detach node 0", "Rebuild node ", "events", "pause", "A"} <= reached, reached
    assert any(name.startswith("Traffic") for name in reached), reached
    page.wait_shown(".plot svg path")
    page.run("document.querySelector('.plot svg').focus()")
    page.type(Keys.ARROW_LEFT)
    assert page.shown(".plot .cursor") and page.run(
        "return document.querySelector('.legend').getAttribute('aria-live')") == "polite"
    assert site.states()[1] == "up"


def test_everything_has_a_name(admin):
    admin.wait_shown(".plot svg path")
    for selector, role in (("button", "button"), ("svg", "image"), ("table", "table"),
                           ("input:not([type=password])", "textbox"), ("a[href]", "link"),
                           ("dialog", "dialog"), ("meter", "meter")):
        found = admin.all(selector)
        assert found, selector
        for one in found:
            if not one.is_displayed():
                continue
            assert one.accessible_name.strip(), f"{selector} {one.get_attribute('outerHTML')[:200]}"
            assert one.aria_role == role, (selector, one.aria_role)
    admin.run("document.getElementById('login-dialog').showModal()")
    assert admin.one("#login-user").accessible_name == "User"
    assert admin.one("#login-password").accessible_name == "Password"
    admin.run("document.getElementById('login-dialog').close()")
    assert admin.run("return document.documentElement.lang") == "en"
    assert admin.run("return document.querySelectorAll('h1').length") == 1
    assert admin.run("return [...document.querySelectorAll('section')].every(one => "
                     "document.getElementById(one.getAttribute('aria-labelledby')))")
    headers = admin.all("#nodes th")
    assert {one.aria_role for one in headers if one.is_displayed()} == {"columnheader"}


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
                        for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


READABLE = """
    const back = one => { for (; one; one = one.parentElement) {
        const colour = getComputedStyle(one).backgroundColor;
        if (!/^rgba\\(.*, 0\\)$/.test(colour)) return colour; } return "rgb(255, 255, 255)"; };
    const texts = "p, span, td, th, button:enabled, b, li, dt, dd, h2, a, time";
    return [...document.querySelectorAll(texts)]
        .filter(one => one.checkVisibility() && one.innerText.trim() !== "")
        .map(one => [getComputedStyle(one).color, back(one), one.innerText.slice(0, 40)]);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_every_screen(admin, scheme):
    admin.prefer(scheme)
    admin.wait_shown(".plot svg path")
    for size in (browsers.WIDE, browsers.NARROW, (320, 640)):
        admin.resize(*size)
        wait_for(lambda: admin.run("return document.documentElement.scrollWidth <= innerWidth"),
                 f"all to fit into {size}")
        poor = [found for found in admin.run(READABLE) if contrast(*found[:2]) < 4.5]
        assert not poor, poor[:5]
    dark = luminance(admin.run("return getComputedStyle(document.body).backgroundColor")) < 0.2
    assert dark == (scheme == "dark")


def test_the_theme_is_a_choice(page):
    back = "return getComputedStyle(document.body).backgroundColor"
    page.prefer("light")
    light = page.run(back)
    page.click("#theme")
    page.click("#theme")
    assert page.text("#theme") == "Theme: dark"
    dark = page.run(back)
    assert dark != light
    page.driver.refresh()
    page.wait_shown("#welcome")
    assert page.text("#theme") == "Theme: dark" and page.run(back) == dark
    page.click("#theme")
    assert page.text("#theme") == "Theme: system" and page.run(back) == light


# ---- logins ----


def test_a_login_is_of_its_tab_and_ends(site, admin):
    token = admin.run("return sessionStorage.getItem('pgpool-token')")
    bearer = {"Authorization": "Bearer " + token}
    admin.driver.refresh()
    admin.wait_shown("#nodes table")
    assert admin.text("#user") == "alice, admin"
    assert fetch(site.port, "/page/now", **bearer).status == 200
    admin.click("#logout")
    admin.wait_shown("#welcome")
    answer = fetch(site.port, "/page/now", **bearer)
    assert answer.status == 401 and "has ended" in answer.text
    assert admin.run("return document.cookie") == ""
    assert admin.run("return sessionStorage.length") == 0


def test_what_is_under_way_is_given_up_at_logout(site, admin):
    """Else the answers to what an admin has asked would come to whoever sits there now, or be
    refused, which the console tells."""
    http, = site.pgpool.named("http")
    admin.run("""
        window.seen = [];
        const real = window.fetch;
        window.fetch = (path, how) => { seen.push([path, how.signal]); return real(path, how); };
        """)
    left = "return seen.filter(([_, signal]) => !signal.aborted).map(([path, _]) => path)"
    os.kill(http, signal.SIGSTOP)
    try:
        admin.run("seen.length = 0")
        wait_for(lambda: "/page/now" in admin.run("return seen.map(([path, _]) => path)"),
                 "something to be asked")
        admin.run("document.getElementById('logout').click()")
        assert admin.run(left) == ["/page/logout"]
    finally:
        os.kill(http, signal.SIGCONT)
    admin.wait_shown("#welcome")
    assert not admin.shown("#content")


def test_other_users_end_all_logins(site, page):
    enter(page, "mary")
    page.wait_shown("#nodes table")
    token = site.token("alice")
    write_users(site.pgpool, USERS.replace("alice", "alix"))
    try:
        reload(site.pgpool)
        wait_for(lambda: fetch(site.port, "/page/now", **token).status == 401, "the login to end")
        assert site.post("/page/login", **login("alice", "secret")).status == 401
        page.wait_shown("#welcome")
    finally:
        write_users(site.pgpool, USERS)
        reload(site.pgpool)
    wait_for(lambda: site.post("/page/login", **login("alice", "secret")).status == 200,
             "the old users")
    page.complaints()  # of the request that was refused


def test_a_wrong_password_is_answered_late(site, page):
    enter(page, "alice", "Secret")
    page.wait_text("#login-fault", "password authentication failed")
    assert page.shown("#login-dialog") and not page.shown("#content")
    assert any("401" in line for line in page.complaints())
    assert 'user "alice": password authentication failed' in site.pgpool.log_text()
    page.one("#login-password").send_keys("secret")
    page.click("#login-send")
    page.wait_shown("#nodes table")


def test_guessing_is_slow_and_keeps_nobody_else_away(site):
    """Some wrong passwords at a time are answered late, those beyond are not even tried."""
    site.pgpool.settings["auth_failure_delay"] = "3s"
    reload(site.pgpool)
    known = login("mary", "secret")
    assert fetch(site.port, "/metrics", **known).status == 200
    try:
        token = site.token("alice")
        began = time.monotonic()
        assert site.post("/page/login", **login("alice", "guess")).status == 401
        assert time.monotonic() - began >= 3
        with ThreadPoolExecutor(40) as pool:
            tries = [pool.submit(site.post, "/page/login", **login("alice", f"guess{n}"))
                     for n in range(40)]
            wait_for(lambda: any(one.done() for one in tries), "one that is not tried")
            assert fetch(site.port, "/health").status == 200
            assert fetch(site.port, "/page/now", **token).status == 200
            assert fetch(site.port, "/metrics", **known).status == 200
            found = sorted(one.result().status for one in tries)
        assert set(found) == {401, 429} and found.count(401) >= 16
    finally:
        site.pgpool.settings["auth_failure_delay"] = "200ms"
        reload(site.pgpool)
    wait_for(lambda: site.post("/page/login", **login("alice", "secret")).status == 200,
             "a login to be possible again")


def test_the_server_may_end_while_answers_are_late(site):
    """Another certificate or a fast stop ends it; here a process that has such connections."""
    pgpool = with_http(Pgpool(site.cluster, auth_failure_delay="30s"))
    write_users(pgpool, USERS)
    pgpool.start()
    try:
        pid, = pgpool.named("http")
        late = Background(fetch_or_error, pgpool.http_port, "/metrics", **login("alice", "guess"))
        wait_for(lambda: "1 client" in processes.title(pid), "the client to be there")
        wait_for(lambda: "password authentication failed" in pgpool.log_text(), "the failure")
    finally:
        pgpool.finish()
    assert late.result() is None


def fetch_or_error(port, path, **headers):
    try:
        return fetch(port, path, **headers)
    except (OSError, http.client.HTTPException):
        return None


def test_only_the_login_takes_a_password(site):
    """Nothing else of the page tells whether one is right: it would do so at once."""
    for password in ("secret", "guess"):
        who = fetch(site.port, "/page/who", **login("alice", password)).json()
        assert who["may_look"] is False and who["role"] == ""
        answer = fetch(site.port, "/page/now", **login("alice", password))
        assert answer.status == 401 and "Basic" not in answer.headers["WWW-Authenticate"]


# ---- who may command ----


def test_a_monitor_changes_nothing(site):
    token = site.token("mary")
    for what in ("detach/1", "attach/1", "promote/1", "switchover/1", "recover/1", "pause",
                 "resume"):
        answer = site.post(f"/page/do/{what}", **token)
        assert answer.status == 403 and "role admin" in answer.text
        assert site.post(f"/page/do/{what}").status == 401
        assert site.post(f"/page/do/{what}", **login("alice", "secret")).status == 401
        assert fetch(site.port, f"/page/do/{what}", **site.token("alice")).status == 405
    assert set(site.states().values()) == {"up"}
    assert not site.get("/page/now")["paused"]


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "none"},
    {},
], ids=lambda value: "-".join(value.values()) or "nothing")
def test_a_forged_request_is_refused(site, headers):
    """Even with an admin's token, which no other page has."""
    token = site.token("alice")
    for path in ("/page/do/detach/1", "/page/logout"):
        answer = fetch(site.port, path, method="POST", **headers, **token)
        assert answer.status == 403 and "status page itself" in answer.text
    assert fetch(site.port, "/page/login", method="POST", **headers,
                 **login("alice", "secret")).status == 403
    assert fetch(site.port, "/page/now", **token).status == 200
    assert site.states()[1] == "up"


@pytest.mark.parametrize("what, status", [
    ("detach/9", 404), ("detach/", 404), ("detach", 404), ("detach/-1", 404), ("detach/1/2", 404),
    ("detach/1x", 404), ("pause/1", 404), ("", 404), ("stop", 404), ("x" * 3000, 404),
    ("detach/%31", 404),
])
def test_odd_commands(site, what, status):
    assert site.post(f"/page/do/{what}", **site.token("alice")).status == status
    assert set(site.states().values()) == {"up"}


@pytest.mark.parametrize("bearer", ["", "x", "0" * 64, "\xff" * 64, "0" * 63, "f" * 65])
def test_odd_tokens(site, bearer):
    value = f"Bearer {bearer}".encode("latin-1")
    assert site.post("/page/do/detach/1", Authorization=value).status == 401
    assert fetch(site.port, "/page/now", Authorization=value).status == 401


class Evil:
    """A page of somebody else's, on this machine: to a browser, another port is the same site."""

    def __init__(self, target):
        page = f"""<!DOCTYPE html><title>evil</title>
            <form id=form method=post action="{target}/page/do/detach/1"></form>
            <script>
            const results = [];
            const tries = [
              fetch("{target}/page/do/detach/1", {{method: "POST", mode: "no-cors",
                                                  credentials: "include"}}),
              fetch("{target}/page/do/detach/1", {{method: "POST", credentials: "include",
                headers: {{Authorization: "Bearer 00"}}}}),
              fetch("{target}/page/now", {{credentials: "include"}}),
              fetch("{target}/page/page.js", {{mode: "no-cors"}}),
            ];
            Promise.allSettled(tries).then(all => {{
              document.title = all.map(one => one.status + (one.value?.type ?? "")).join(",");
            }});
            </script><iframe src="{target}/"></iframe>""".encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_another_page_gets_nothing_done(site, browser):
    """In the browser of an admin who is logged in."""
    browser.open(site.origin + "/")
    browser.wait_shown("#welcome")
    enter(browser, "alice")
    browser.wait_shown("#nodes table")
    evil = Evil(site.origin)
    refused = "a command that came from another page was refused"
    before = site.pgpool.log_text().count(refused)
    commands = site.pgpool.log_text().count("administration command")
    try:
        browser.driver.switch_to.new_window("tab")
        browser.open(evil.url)
        wait_for(lambda: "," in browser.driver.title, "the evil page's requests")
        # the one with a header was not even sent, nothing could be read, no script loaded
        assert browser.driver.title == "rejected,rejected,rejected,rejected"
        browser.run("document.getElementById('form').submit()")
        browser.wait_text("body", "status page itself")
    finally:
        evil.close()
    assert site.pgpool.log_text().count(refused) >= before + 2
    assert site.pgpool.log_text().count("administration command") == commands
    assert site.states()[1] == "up"


def test_the_page_runs_nothing_but_its_own(site, admin):
    answer = fetch(site.port, "/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Set-Cookie" not in answer.headers
    files = [answer.text] + [fetch(site.port, "/page/" + name).text
                             for name in ("page.js", "plot.js", "page.css", "icon.svg")]
    known = "http://www.w3.org/2000/svg"  # a name, nothing that is loaded
    assert not [line for text in files for line in text.splitlines()
                if re.search(r"https?://|\bon\w+=\"|style=\"|innerHTML|\beval\(", line)
                and known not in line]
    loaded = admin.run("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded and all(name.startswith(site.origin + "/") for name in loaded)
    admin.run("""
        const one = document.createElement("script");
        try { one.textContent = "window.hacked = 1"; document.head.append(one); } catch {}
        """)
    admin.run("""
        const one = document.createElement("div");
        try { one.innerHTML = "<img src=x onerror='window.hacked = 2'>"; document.body.append(one);
        } catch {}
        """)
    assert admin.run("return window.hacked ?? 0") == 0
    assert admin.complaints()  # of both


def test_names_from_clients_stay_text(site, admin):
    evil = "<img src=x onerror='window.hacked = 1'>"
    with site.pgpool.connect(application_name=evil) as one:
        one.execute("CREATE TEMP TABLE pinned (a int)")
        admin.wait_text("#pins", evil)
    assert admin.run("return window.hacked ?? 0") == 0
    assert admin.run("return document.querySelectorAll('main img').length") == 0


# ---- where there are no logins ----


def test_without_pcp_conf_it_is_to_look_at_here_only(site, browser):
    pgpool = with_http(Pgpool(site.cluster), http_listen_addresses="*").start()
    try:
        origin = f"http://127.0.0.1:{pgpool.http_port}"
        browser.open(origin + "/")
        browser.wait_shown("#nodes table")
        assert not browser.shown("#login") and not browser.shown(".buttons button")
        assert browser.complaints() == []
        for headers in ({}, login("alice", "secret"), {"Authorization": "Bearer " + "0" * 64}):
            answer = fetch(pgpool.http_port, "/page/do/detach/1", method="POST", Origin=origin,
                           **headers)
            assert answer.status == 403
        assert fetch(pgpool.http_port, "/page/login", method="POST", Origin=origin,
                     **login("alice", "secret")).status == 403
        assert fetch(pgpool.http_port, "/page/now", Host="rebound.example").status == 403
        if own_address() is not None:
            answer = fetch(pgpool.http_port, "/page/now", host=own_address())
            assert answer.status == 403 and "pcp.conf" in answer.text
    finally:
        pgpool.finish()


def test_over_a_network_only_with_tls(site, authority):
    address = own_address()
    if address is None:
        pytest.skip("this machine has no other address")
    plain = with_http(Pgpool(site.cluster), http_listen_addresses="*")
    cert, key = authority.issue("page", f"IP:{address}")
    secured = with_http(Pgpool(site.cluster), http_listen_addresses="*", http_ssl_cert=cert,
                        http_ssl_key=key)
    context = client_context(authority, check=True)
    try:
        for pgpool in (plain, secured):
            write_users(pgpool, USERS)
            pgpool.start()
        ours = {"Sec-Fetch-Site": "same-origin"}
        local = fetch(plain.http_port, "/page/login", method="POST", **ours,
                      **login("alice", "secret"))
        token = {"Authorization": "Bearer " + local.json()["token"]}
        assert fetch(plain.http_port, "/page/now", **token).status == 200
        for path, headers in (("/page/login", login("alice", "secret")), ("/page/do/pause", token)):
            answer = fetch(plain.http_port, path, host=address, method="POST", **ours, **headers)
            assert answer.status == 403 and "in the clear" in answer.text
        answer = fetch(secured.http_port, "/page/login", host=address, method="POST",
                       context=context, **ours, **login("alice", "secret"))
        token = {"Authorization": "Bearer " + answer.json()["token"]}
        assert fetch(secured.http_port, "/page/now", host=address, context=context,
                     **token).status == 200
    finally:
        plain.finish()
        secured.finish()


def test_what_it_costs(site):
    """A page that is open asks twice a second: no child is asked, and little is kept."""
    token = site.token("mary")
    pid, = site.pgpool.named("http")
    for path in ("/page/now", "/page/history/0", "/page/events"):
        fetch(site.port, path, **token)
    children = site.pgpool.named("child")
    before = sum(processes.cpu_ticks(child) for child in children)
    files, memory = processes.descriptors(pid), processes.pss_kb(pid)
    for _ in range(300):
        for path in ("/page/now", "/page/history/0"):
            assert fetch(site.port, path, **token).status == 200
    wait_for(lambda: processes.descriptors(pid) <= files, "connections to be closed")
    if not SANITIZED:  # which keeps what was freed for a while
        assert processes.pss_kb(pid) < memory + 4096
    assert sum(processes.cpu_ticks(child) for child in children) - before <= 20
    assert samples(fetch(site.port, "/metrics", **login("mary", "secret")).text)
