"""Metrics, health and views over HTTP: what is answered, to whom, and what bad clients can do."""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

import processes
import raw
from certificates import client_context
from daemon import Upgradable
from proxy import Pgpool, asked_all_nodes
from test_admin import SANITIZED, VIEWS, Admin, own_address, unreachable
from test_pcp import write_private
from waiting import Background, free_port, wait_for

pytestmark = pytest.mark.one_engine

CONNECTIONS_MAX = 64
SCRAPES = 1000
TYPES = {"counter", "gauge", "histogram"}
SAMPLE = re.compile(r'^(pgpool_\w+)(\{(?:\w+="(?:[^"\\\n]|\\.)*",?)+\})? (-?[0-9.]+)$')
MD5_SECRET = "5ebe2294ecd0e0f08eab7690d2a6ee69"  # of "secret"


class Dark(Admin):
    """Asked over its unix socket, where pgpool's own user needs no password."""

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}")
        try:
            with raw.connected(self.unix(), timeout=5, database="pgpool") as one:
                return asked_all_nodes(one)
        except (OSError, TimeoutError, raw.Closed, AssertionError):
            return False


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


def fetch(port, path, host="127.0.0.1", method="GET", context=None, **headers):
    if context:
        client = http.client.HTTPSConnection(host, port, timeout=20, context=context)
    else:
        client = http.client.HTTPConnection(host, port, timeout=20)
    try:
        client.request(method, path, headers=headers)
        got = client.getresponse()
        return Answer(got.status, got.headers, got.read())
    finally:
        client.close()


def login(user, password):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def samples(text):
    """Name with labels to value. Every line must have the format's form."""
    found, family, seen = {}, None, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            family, kind = line.split()[2:]
            assert kind in TYPES and family not in seen
            seen.add(family)
            continue
        match = SAMPLE.match(line)
        assert match, line
        assert match[1].startswith(family), f"{line} stands in family {family}"
        key = match[1] + (match[2] or "")
        assert key not in found, f"{key} stands twice"
        found[key] = float(match[3])
    return found


def metrics(pgpool):
    answer = fetch(pgpool.http_port, "/metrics")
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return samples(answer.text)


def with_http(pgpool, **settings):
    pgpool.http_port = free_port()
    pgpool.settings |= {"http_listen_addresses": "127.0.0.1", "http_port": pgpool.http_port}
    pgpool.settings |= settings
    return pgpool


@pytest.fixture(scope="module", name="served")
def served_fixture(cluster, engine):
    pgpool = with_http(Pgpool(cluster, engine)).start()
    yield pgpool
    pgpool.finish()


@pytest.fixture(scope="module", name="dark")
def dark_fixture():
    """Without any server that answers."""
    pgpool = with_http(Dark(unreachable(), connect_timeout=1)).start()
    yield pgpool
    pgpool.finish()


@pytest.fixture(name="make_dark")
def make_dark_fixture():
    made = []

    def make(**settings):
        made.append(with_http(Dark(unreachable(1), connect_timeout=1), **settings))
        return made[-1]

    yield make
    for pgpool in made:
        pgpool.finish()


def reload(pgpool):
    before = pgpool.log_text().count("has been reloaded")
    pgpool.write_config()
    os.kill(pgpool.pid, signal.SIGHUP)
    wait_for(lambda: pgpool.log_text().count("has been reloaded") > before, "the reload")


def write_users(pgpool, text):
    write_private(os.path.join(pgpool.directory, "pcp.conf"), text)


# ---- what is answered ----


def test_health_is_not_readiness(dark, served):
    assert fetch(dark.http_port, "/health").text == "ok\n"
    answer = fetch(dark.http_port, "/ready")
    assert (answer.status, answer.text) == (503, "not ready: no primary is known\n")
    for pgpool in (dark, served):
        assert fetch(pgpool.http_port, "/role").text == "leader\n"
    answer = fetch(served.http_port, "/ready")
    assert (answer.status, answer.text) == (200, "ready\n")


def test_every_view_is_json(served):
    assert fetch(served.http_port, "/api").json() == list(VIEWS)
    for name, columns in VIEWS.items():
        for row in fetch(served.http_port, "/api/" + name).json():
            assert list(row) == columns
    nodes = fetch(served.http_port, "/api/POOL_NODES?x=1").json()
    assert [row["role"] for row in nodes] == ["primary", "standby", "standby"]


def test_json_says_what_show_says(served):
    for view in ("pool_status", "pool_holds", "pool_version"):
        with served.connect() as one:
            rows = [list(row) for row in one.execute("SHOW " + view).fetchall()]
        objects = fetch(served.http_port, "/api/" + view).json()
        assert [list(one.values()) for one in objects] == rows


def test_metrics_count_what_happens(served):
    def statements(found, kind):
        return sum(value for key, value in found.items()
                   if key.startswith("pgpool_node_statements_total") and f'kind="{kind}"' in key)

    def timed(found):
        return sum(value for key, value in found.items()
                   if key.startswith("pgpool_statement_duration_seconds_count"))

    before = metrics(served)
    with served.connect() as one:
        for number in range(20):
            one.execute("SELECT %s::int", (number,))
        one.execute("CREATE TEMP TABLE metrics_t (a int)")
        one.execute("INSERT INTO metrics_t VALUES (1)")
        with pytest.raises(Exception):
            one.execute("SELECT 1/0")
        during = metrics(served)
    assert statements(during, "select") - statements(before, "select") >= 20
    assert statements(during, "insert") - statements(before, "insert") == 1
    assert timed(during) - timed(before) >= 22
    assert sum(value for key, value in during.items() if key.startswith(
        "pgpool_clients{") and f'database="{served.database}"' in key) >= 1
    assert during["pgpool_clients_accepted_total"] > before["pgpool_clients_accepted_total"]
    for node in range(3):
        assert during[f'pgpool_node_primary{{node_id="{node}"}}'] == (node == 0)
        assert during[f'pgpool_node_status{{node_id="{node}",status="up"}}'] == 1
        assert during[f'pgpool_node_reachable{{node_id="{node}"}}'] == 1
    assert during['pgpool_processes{kind="http"}'] == 1
    with served.connect() as one:
        rows = one.execute("SHOW pool_latency").fetchall()
    assert [row[:2] for row in rows] == [(kind, str(node)) for kind in ("statement", "wait")
                                         for node in range(3)]
    assert sum(int(row[2]) for row in rows[:3]) >= timed(during)
    assert float(rows[0][4]) <= float(rows[0][6]) <= float(rows[0][8])


def test_histograms_are_cumulative(served):
    found = metrics(served)
    for node in range(3):
        name = f'pgpool_statement_duration_seconds_bucket{{node_id="{node}"'
        values = [value for key, value in found.items() if key.startswith(name)]
        count = found[f'pgpool_statement_duration_seconds_count{{node_id="{node}"}}']
        assert len(values) > 30 and values == sorted(values) and values[-1] == count


def test_a_wait_is_counted(cluster, engine):
    pgpool = with_http(Pgpool(cluster, engine, max_backend_connections=1,
                              num_init_children=1, pool_mode="session",
                              load_balance_mode="off")).start()
    name = 'pgpool_connection_wait_seconds_count{node_id="0"}'
    try:
        with pgpool.connect() as first:
            first.execute("CREATE TEMP TABLE waits_t (a int)")
            before = metrics(pgpool)[name]

            def second():
                with pgpool.connect() as other:
                    other.execute("CREATE TEMP TABLE waits_t (a int)")

            waiting = Background(second)
            wait_for(lambda: sum(value for key, value in metrics(pgpool).items()
                                 if key.startswith("pgpool_clients_waiting")) == 1, "one to wait")
        waiting.result()
        assert metrics(pgpool)[name] > before
    finally:
        pgpool.finish()


def promtool():
    return shutil.which("promtool") or os.environ.get("PROMTOOL")


@pytest.mark.skipif(not promtool(), reason="needs promtool (Debian: prometheus)")
def test_promtool_finds_no_fault(served, dark):
    for pgpool in (served, dark):
        text = fetch(pgpool.http_port, "/metrics").body
        done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True,
                              check=False, timeout=60)
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")


SCRAPE_CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: pgpool
    basic_auth: {username: alice, password: secret}
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""


@pytest.mark.plain
@pytest.mark.skipif(not shutil.which("prometheus"), reason="needs prometheus")
def test_a_real_prometheus_scrapes_it(make_dark, tmp_path):
    pgpool = make_dark()
    write_users(pgpool, f"alice:{MD5_SECRET}:monitor\n")
    pgpool.start()
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(SCRAPE_CONFIG % pgpool.http_port)
    with open(tmp_path / "log", "wb") as log, subprocess.Popen(
            ["prometheus", f"--config.file={tmp_path}/prometheus.yml",
             f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log) as prometheus:
        def asked(query):
            answer = fetch_or_none(port, "/api/v1/query?query=" + query)
            return answer and answer.status == 200 and answer.json()["data"]["result"]
        try:
            found = wait_for(lambda: asked("pgpool_node_info"), "Prometheus to have scraped", 40)
            assert found[0]["metric"]["node_id"] == "0"
            assert asked("up")[0]["value"][1] == "1"
            # as many as were written: none was taken for a bad one
            written = len(samples(fetch(pgpool.http_port, "/metrics",
                                        **login("alice", "secret")).text))
            taken = asked("scrape_samples_scraped")[0]["value"][1]
            assert int(taken) == written
        finally:
            prometheus.terminate()


def board_as_rules(path):
    """What Grafana's board asks for, as rules, so that promtool can judge it."""
    with open(path, encoding="utf-8") as file:
        board = json.load(file)
    asked = [target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
             for panel in board["panels"] for target in panel["targets"]]
    return {"groups": [{"name": "board", "rules": [
        {"record": f"panel{number}", "expr": expr} for number, expr in enumerate(asked)]}]}


@pytest.mark.skipif(not promtool(), reason="needs promtool (Debian: prometheus)")
def test_samples_ask_for_metrics_that_there_are(served, tmp_path):
    here = os.path.dirname(os.path.abspath(__file__))
    sample = os.path.join(here, "..", "..", "sample", "grafana")
    of_board = tmp_path / "board.yml"  # JSON is YAML
    of_board.write_text(json.dumps(board_as_rules(os.path.join(sample, "pgpool.json"))))
    for rules in (os.path.join(sample, "alerts.yml"), of_board):
        done = subprocess.run([promtool(), "check", "rules", rules], capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    families = set(re.findall(r"^# TYPE (\w+)", fetch(served.http_port, "/metrics").text, re.M))
    families |= {name + part for name in families for part in ("_bucket", "_sum", "_count")}
    for file in ("alerts.yml", "pgpool.json"):
        with open(os.path.join(sample, file), encoding="utf-8") as text:
            used = set(re.findall(r"\bpgpool_\w+", text.read()))
        unknown = {name for name in used - families if not name.startswith("pgpool_cache_")}
        assert used and not unknown, f"{file} uses {unknown}"


def test_scrapes_cost_the_children_nothing(served):
    """They are not asked: a thousand answers, and no child has run for any of them. The process for
    HTTP keeps nothing of what it answered."""
    children = served.named("child")
    pid, = served.named("http")
    metrics(served)
    before = sum(processes.cpu_ticks(child) for child in children)
    files, memory = processes.descriptors(pid), processes.pss_kb(pid)
    client = http.client.HTTPConnection("127.0.0.1", served.http_port, timeout=60)
    for _ in range(SCRAPES):
        client.request("GET", "/metrics")
        answer = client.getresponse()
        assert answer.status == 200 and len(answer.read()) > 10000
    client.close()
    wait_for(lambda: processes.descriptors(pid) <= files, "connections to be closed")
    assert sum(processes.cpu_ticks(child) for child in children) - before <= 20
    if not SANITIZED:  # which keeps what was freed for a while
        assert processes.pss_kb(pid) < memory + 4096
    assert served.named("http") == [pid]


# ---- to whom ----


def test_without_pcp_conf_it_is_for_this_machine(make_dark):
    address = own_address()
    pgpool = make_dark(http_listen_addresses="*").start()
    assert fetch(pgpool.http_port, "/metrics").status == 200
    assert fetch(pgpool.http_port, "/metrics", Host="rebound.example").status == 403
    if address is None:
        pytest.skip("this machine has no other address")
    assert fetch(pgpool.http_port, "/health", host=address).status == 200
    answer = fetch(pgpool.http_port, "/metrics", host=address)
    assert answer.status == 403 and "pcp.conf" in answer.text
    pgpool.settings["http_public"] = "metrics"
    reload(pgpool)
    wait_for(lambda: fetch(pgpool.http_port, "/metrics", host=address).status == 200, "the reload")
    assert fetch(pgpool.http_port, "/api", host=address).status == 403


def test_users_of_pcp_conf(make_dark):
    pgpool = make_dark(http_listen_addresses="*")
    write_users(pgpool, f"alice:{MD5_SECRET}:monitor\n")
    pgpool.start()
    port = pgpool.http_port
    for path in ("/metrics", "/api", "/api/pool_nodes"):
        answer = fetch(port, path)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="pgpool"')
        assert fetch(port, path, **login("alice", "secret")).status == 200
    for user, password in (("alice", "Secret"), ("alice", ""), ("bob", "secret"), ("", "")):
        assert fetch(port, "/metrics", **login(user, password)).status == 401
    for odd in ("Basic", "Basic ====", "Basic \xff", "Basic YQ==", "Bearer x",
                "Basic " + "A" * 9000):
        assert fetch(port, "/metrics", Authorization=odd.encode("latin-1")).status == 401
    assert 'user "bob": password authentication failed' in pgpool.log_text()
    assert fetch(port, "/ready").status == 503
    if own_address() is not None:
        answer = fetch(port, "/metrics", host=own_address(), **login("alice", "secret"))
        assert answer.status == 403 and "in the clear" in answer.text
    write_users(pgpool, f"carol:{MD5_SECRET}\n")
    reload(pgpool)
    wait_for(lambda: fetch(port, "/api", **login("alice", "secret")).status == 401, "the reload")
    assert fetch(port, "/api", **login("carol", "secret")).status == 200


def test_faulty_pcp_conf_lets_nobody_in(make_dark):
    pgpool = make_dark()
    write_users(pgpool, "what is this\n")
    pgpool.start()
    assert fetch(pgpool.http_port, "/metrics").status == 401
    assert fetch(pgpool.http_port, "/metrics", **login("what is this", "")).status == 401
    assert fetch(pgpool.http_port, "/health").status == 200


def test_tls(make_dark, authority):
    names = "DNS:localhost,IP:127.0.0.1" + (f",IP:{own_address()}" if own_address() else "")
    first = authority.issue("http-one", names)
    second = authority.issue("http-two", names)
    pgpool = make_dark(http_listen_addresses="*", http_ssl_cert=first[0], http_ssl_key=first[1])
    write_users(pgpool, f"alice:{MD5_SECRET}\n")
    pgpool.start()
    port, context = pgpool.http_port, client_context(authority, check=True)
    host = own_address() or "127.0.0.1"

    def subject():
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secured:
                assert secured.version() in ("TLSv1.2", "TLSv1.3")
                return dict(part[0] for part in secured.getpeercert()["subject"])["commonName"]

    assert subject() == "http-one"
    assert fetch(port, "/health", host=host, context=context).text == "ok\n"
    assert fetch(port, "/metrics", host=host, context=context).status == 401
    answer = fetch(port, "/metrics", host=host, context=context, **login("alice", "secret"))
    assert answer.status == 200 and len(samples(answer.text)) > 100
    with pytest.raises((http.client.HTTPException, OSError)):
        fetch(port, "/health")
    old = client_context(authority, check=True)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        fetch(port, "/health", context=old)
    pgpool.settings |= {"http_ssl_cert": second[0], "http_ssl_key": second[1]}
    reload(pgpool)
    wait_for(lambda: subject() == "http-two", "the other certificate")


@pytest.mark.parametrize("settings, words", [
    ({"http_ssl_cert": "/nonexistent"}, "belong together"),
    ({"http_ssl_cert": "/nonexistent", "http_ssl_key": "/nonexistent"}, "/nonexistent"),
    ({"http_public": "nobody"}, "http_public"),
    ({"http_port": "0"}, "http_port"),
])
def test_configtest_tells_faults(dark, settings, words):
    pgpool = Pgpool(dark.cluster, **settings)
    try:
        pgpool.write_config()
        done = subprocess.run(pgpool.command("configtest"), capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode != 0 and words in done.stdout + done.stderr
    finally:
        pgpool.kill()


# ---- bad clients ----


def talk(port, data, timeout=20):
    """All that is answered, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        got = b""
        with contextlib.suppress(OSError):  # it may have answered and closed before all was sent
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        try:
            while chunk := client.recv(65536):
                got += chunk
        except ConnectionResetError:
            pass
    return got


HEAD = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("data, status", [
    (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /metrics%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /%6detrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /../metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /api/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /api/pool_nodes/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /api/" + b"x" * 4000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /api/%s%n\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
    (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", b"405"),
    (b"DELETE /api/pool_nodes HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
    (b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
    (HEAD + b"Content-Length: 5\r\n\r\nhello", b"413"),
    (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", b"413"),
    (HEAD + b"Content-Length: -1\r\n\r\n", b"4"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"413"),
    (HEAD + b"X: " + b"y" * 40000 + b"\r\n\r\n", b"431"),
    (b"GET /" + b"y" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
    (b"GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n", b""),
    (b"hello\r\n\r\n", b""),
    (b"\r\n" * 1000, b""),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, b""),
    (b"\0\0\0\x08\x04\xd2\x16\x2f", b""),
    (b"", b""),
], ids=lambda value: None if value == b"" or len(value) > 3 else value.decode())
def test_bad_requests(dark, data, status):
    """b"": closed, with or without a word."""
    pid, = dark.named("http")
    got = talk(dark.http_port, data)
    if status:
        assert got.startswith(b"HTTP/1.1 " + status), got[:200]
    elif got:
        assert re.match(rb"HTTP/1.[01] [45]\d\d ", got), got[:200]
    assert fetch(dark.http_port, "/health").status == 200
    assert dark.named("http") == [pid]


def test_head_and_what_browsers_are_told(dark):
    answer = fetch(dark.http_port, "/metrics", method="HEAD")
    assert answer.status == 200 and answer.body == b""
    assert int(answer.headers["Content-Length"]) > 10000
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_pipelined_requests_are_answered_in_turn(dark):
    one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /role HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", dark.http_port), timeout=20) as client:
        client.sendall(one * 20 + last)
        got = b""
        while chunk := client.recv(65536):
            got += chunk
    assert got.count(b"\r\n\r\nok\n") == 20 and got.endswith(b"leader\n")


def test_connections_are_limited(dark):
    """One more than there may be waits until another one goes; nobody else is kept from
    anything."""
    pid, = dark.named("http")
    files = processes.descriptors(pid)
    held = [socket.create_connection(("127.0.0.1", dark.http_port), timeout=20)
            for _ in range(CONNECTIONS_MAX)]
    wait_for(lambda: f"{CONNECTIONS_MAX} clients" in processes.title(pid), "all to be there")
    late = Background(fetch, dark.http_port, "/health")
    with raw.connected(dark.unix(), database="pgpool") as other:
        assert len(other.rows("SHOW pool_version")) == 1
    assert processes.descriptors(pid) <= files + CONNECTIONS_MAX + 1
    held.pop().close()
    assert late.result().status == 200
    for one in held:
        one.close()
    wait_for(lambda: processes.descriptors(pid) <= files, "all connections to be closed")
    assert fetch(dark.http_port, "/health").status == 200


@pytest.mark.takes(16)
def test_silent_clients_are_disconnected(dark):
    with socket.create_connection(("127.0.0.1", dark.http_port), timeout=60) as client:
        client.sendall(b"GET /health HT")
        got = client.recv(1000)
    assert got == b"" or got.startswith(b"HTTP/1.1 408 ")


def test_slow_readers_keep_nobody_waiting(dark):
    slow = []
    for _ in range(8):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", dark.http_port))
        client.sendall((HEAD + b"\r\n") * 50)
        slow.append(client)
    for _ in range(20):
        assert fetch(dark.http_port, "/metrics").status == 200
    for client in slow:
        client.close()


# ---- the process ----


def test_off_by_default(cluster):
    pgpool = Dark(unreachable(1)).start()
    try:
        assert not pgpool.named("http")
    finally:
        pgpool.finish()


def test_not_ready_while_the_last_sessions_end(cluster, engine):
    """A smart stop: load balancers look elsewhere, and whoever is still there is served."""
    pgpool = with_http(Pgpool(cluster, engine)).start()
    try:
        with pgpool.connect() as last:
            last.execute("SELECT 1")
            assert fetch(pgpool.http_port, "/ready").status == 200
            pgpool.process.send_signal(signal.SIGTERM)
            wait_for(lambda: fetch(pgpool.http_port, "/ready").status == 503, "not to be ready")
            assert fetch(pgpool.http_port, "/role").text == "finishing\n"
            assert fetch(pgpool.http_port, "/health").text == "ok\n"
            assert last.execute("SELECT 2").fetchall() == [(2,)]
        wait_for(lambda: pgpool.process.poll() is not None, "pgpool to end")
        assert pgpool.process.returncode == 0
    finally:
        pgpool.kill()


def test_another_one_takes_its_place(dark):
    dark.kill_named("http")
    wait_for(lambda: fetch_or_none(dark.http_port, "/health"), "the next one to answer")
    assert fetch(dark.http_port, "/metrics").status == 200


def fetch_or_none(port, path):
    try:
        return fetch(port, path)
    except (OSError, http.client.HTTPException):
        return None


def test_an_upgrade_refuses_nobody(cluster, engine):
    """The sockets are handed over: somebody asks all the time, and is always answered."""
    pgpool = with_http(Upgradable(cluster, engine))
    try:
        pgpool.start()
        stop = []

        def ask():
            count = 0
            while not stop:
                assert fetch(pgpool.http_port, "/health").status == 200
                count += 1
            return count

        asking = Background(ask)
        pgpool.upgrade()
        wait_for(lambda: len(pgpool.named("http")) == 1, "the new process")
        before = metrics(pgpool)["pgpool_start_time_seconds"]
        stop.append(True)
        assert asking.result() > 0
        assert metrics(pgpool)["pgpool_start_time_seconds"] == before
    finally:
        pgpool.finish()
