"""The pcp_* tools, psql at the administration port, and who may do what there."""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess

import pytest

import raw
from cluster import Target, bin_dir
from daemon import Daemon
from proxy import Pgpool, binary
from test_admin import own_address
from waiting import SLOW, wait_for

pytestmark = pytest.mark.one_engine

COMMANDS = ("attach_node", "detach_node", "promote_node", "recovery_node")


def verifier(password, iterations=4096):
    """As PostgreSQL keeps it."""
    salt = b"0123456789abcdef"
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")

    def text(data):
        return base64.b64encode(data).decode()

    return f"SCRAM-SHA-256${iterations}:{text(salt)}${text(stored)}:{text(server)}"


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


PCP_CONF = f"""# user:password:role
boss:{verifier("boss pw")}
eyes:{verifier("eyes pw", 5000)}:monitor
old:{md5("old pw")}
middle:md5{md5("middle pwmiddle")}:admin
watch:md5{md5("watch pwwatch")}:monitor
"""
PASSWORDS = {"boss": "boss pw", "eyes": "eyes pw", "old": "old pw", "middle": "middle pw",
             "watch": "watch pw"}
ADMINS = ("boss", "old", "middle")


def write_private(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def write_users(pgpool, text=PCP_CONF, mode=0o600):
    write_private(os.path.join(pgpool.directory, "pcp.conf"), text, mode)


class Tools:
    """Runs tools against a pgpool, over TCP as a user of pcp.conf, or over the unix socket."""

    def __init__(self, pgpool):
        self.pgpool = pgpool
        self.home = os.path.join(pgpool.directory, "home")
        self.links = os.path.join(pgpool.directory, "links")
        os.makedirs(self.home, exist_ok=True)
        os.makedirs(self.links, exist_ok=True)

    def path(self, tool):
        """As they are installed: a link for each."""
        path = os.path.join(self.links, "pcp_" + tool)
        if not os.path.lexists(path):
            os.symlink(os.path.join(os.path.dirname(os.path.abspath(binary())), "pcp"), path)
        return path

    def command(self, tool, *words, user="boss", host="127.0.0.1"):
        return [self.path(tool), "-h", host, "-p", str(self.pgpool.pcp_port), "-U", user, *words]

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return kept | {"HOME": self.home, "LC_ALL": "C.UTF-8"} | more

    def write_pass(self, mode=0o600, name=".pcppass", host="127.0.0.1"):
        write_private(os.path.join(self.home, name), "".join(
            f"{host}:{self.pgpool.pcp_port}:{user}:{password}\n"
            for user, password in PASSWORDS.items()), mode)

    def run(self, tool, *words, user="boss", host="127.0.0.1", stdin="", **more):
        """setsid: no terminal, so that a password is asked for on standard input."""
        return subprocess.run(self.command(tool, *words, user=user, host=host), input=stdin,
                              capture_output=True, text=True, check=False, timeout=60 * SLOW,
                              env=self.environment(**more), start_new_session=True)

    def output(self, tool, *words, **how):
        done = self.run(tool, *words, **how)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def fails(self, tool, *words, **how):
        done = self.run(tool, *words, **how)
        assert done.returncode == 1 and done.stdout == "", done
        return done.stderr


@pytest.fixture(scope="module", name="pgpool")
def pgpool_fixture(cluster, engine):
    pgpool = Pgpool(cluster, engine)
    write_users(pgpool)
    pgpool.start()
    yield pgpool
    pgpool.finish()


@pytest.fixture(name="tools")
def tools_fixture(pgpool):
    tools = Tools(pgpool)
    tools.write_pass()
    return tools


def own(cluster, **settings):
    """In the background, with a log file."""
    daemon = Daemon(cluster, **settings)
    daemon.wait_nodes = lambda: None  # that would need a password
    return daemon


@pytest.fixture(name="start")
def start_fixture(cluster):
    started = []

    def start(users=PCP_CONF, mode=0o600, **settings):
        daemon = own(cluster, **settings)
        if users is not None:
            write_users(daemon, users, mode)
        started.append(daemon.start())
        tools = Tools(daemon)
        tools.write_pass()
        return daemon, tools

    yield start
    for daemon in started:
        daemon.finish()


# ---- what the tools print ------------------------------------------------------------------------

def test_node_count(tools):
    assert tools.output("node_count") == "3\n"
    assert json.loads(tools.output("node_count", "--json")) == {"node_count": 3}
    assert "3" in tools.output("node_count", "-v")


NODE = re.compile(r"127\.0\.0\.1 \d+ 2 [01]\.\d{6} up up (primary|standby) \1 \d+ (\S+) (\S+) "
                  r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def test_node_info(tools, cluster):
    lines = tools.output("node_info", "-a").splitlines()
    assert len(lines) == 3
    found = [NODE.fullmatch(line) for line in lines]
    assert all(found), lines
    assert [got.group(1) for got in found] == ["primary", "standby", "standby"]
    assert [got.group(2) for got in found] == ["none", "streaming", "streaming"]
    for words in (("-n", "1"), ("--node-id=1",), ("1",)):
        (line,) = tools.output("node_info", *words).splitlines()
        assert line.split()[1] == str(cluster.servers[1].port)
    assert tools.output("node_info") == tools.output("node_info", "--all")
    titles = [line.split(" : ")[0].strip() for line in
              tools.output("node_info", "-v", "-n", "0").rstrip().splitlines()]
    assert titles == ["Hostname", "Port", "Status", "Weight", "Status Name", "Backend Status Name",
                      "Role", "Backend Role", "Replication Delay", "Replication State",
                      "Replication Sync State", "Last Status Change"]
    assert "there is no node 7" in tools.fails("node_info", "-n", "7")


def test_node_info_as_json(tools, cluster):
    nodes = json.loads(tools.output("node_info", "--json"))
    assert [node["node_id"] for node in nodes] == [0, 1, 2]
    assert [node["port"] for node in nodes] == [server.port for server in cluster.servers]
    assert nodes[1]["lb_weight"] == 0.5 and nodes[1]["role"] == "standby"
    assert [node["node_id"] for node in
            json.loads(tools.output("node_info", "--json", "2"))] == [2]


def test_proc_count(tools, pgpool):
    pids = sorted(pgpool.named("child"))
    assert sorted(int(pid) for pid in tools.output("proc_count").split()) == pids
    got = json.loads(tools.output("proc_count", "--json"))
    assert (got["count"], sorted(got["pids"])) == (len(pids), pids)
    assert f"Total Processes:{len(pids)}" in tools.output("proc_count", "-v")


def test_proc_info(tools, pgpool):
    with raw.connected(pgpool, user="postgres", database="postgres") as one:
        one.rows("BEGIN")
        one.rows("SELECT 'pcp'")
        rows = json.loads(tools.output("proc_info", "--json"))
        (row,) = [row for row in rows if "'pcp'" in row["statement"]]
        assert (row["database"], row["username"], row["pool_connected"]) == \
            ("postgres", "postgres", 1)
        lines = tools.output("proc_info", "-P", str(row["pool_pid"])).splitlines()
        (line,) = [line for line in lines if "'pcp'" in line]
        assert line.startswith("postgres postgres 2")
        verbose = tools.output("proc_info", "-v", str(row["pool_pid"]))
        assert re.search(r"^Database +: postgres$", verbose, re.M)
        assert verbose.count("\n") % 21 == 0
    assert len(tools.output("proc_info", "-a").splitlines()) >= len(pgpool.named("child"))
    assert "there is no process 1" in tools.fails("proc_info", "-P", "1")


def test_pool_status(tools, pgpool):
    blocks = tools.output("pool_status").split("\n\n")
    assert f"name : port\nvalue: {pgpool.port}\ndesc : " in "\n\n".join(blocks)
    rows = json.loads(tools.output("pool_status", "--json"))
    assert {"item", "value", "description"} == set(rows[0])
    assert [row["value"] for row in rows if row["item"] == "port"] == [str(pgpool.port)]


def test_health_check_stats(tools):
    """The view comes with the health processes; before that there is an error."""
    done = tools.run("health_check_stats", "-n", "1")
    if done.returncode == 0:
        assert done.stdout.startswith("1 127.0.0.1 ")
    else:
        assert "pool_health_check_stats" in done.stderr


def test_no_watchdog(tools):
    assert "the watchdog is not enabled" in tools.fails("watchdog_info")
    assert "the watchdog is not enabled" in tools.fails("watchdog_info", "-n", "0", "-v")


def test_help_and_version(tools):
    for tool in ("node_info", "stop_pgpool", "promote_node"):
        for words in (("--help",), ("-?",)):
            text = tools.output(tool, *words)
            assert f"pcp_{tool} [OPTION]" in text and "--json" in text
        assert re.fullmatch(rf"pcp_{tool} \(pgpool .*\)\n", tools.output(tool, "--version"))
    assert "--switchover" in tools.output("promote_node", "--help")
    assert "--switchover" not in tools.output("stop_pgpool", "--help")


@pytest.mark.parametrize("tool, words", [
    ("node_info", ("-x",)), ("node_info", ("-n", "x")), ("node_info", ("-n",)),
    ("node_info", ("-n", "-1")), ("node_info", ("1", "2")), ("node_count", ("1",)),
    ("attach_node", ()), ("attach_node", ("-g", "1")), ("detach_node", ()), ("recovery_node", ()),
    ("promote_node", ("-s",)), ("stop_pgpool", ("-m", "now")), ("stop_pgpool", ("-s", "world")),
    ("node_info", ("-p", "0")), ("node_info", ("-p", "x")), ("node_info", ("--frobnicate",)),
])
def test_wrong_command_lines(tools, tool, words):
    done = tools.run(tool, *words)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith(f"pcp_{tool}: ") and "--help" in done.stderr


def test_called_by_its_own_name(tools):
    pcp = os.path.realpath(tools.path("node_count"))
    words = ["-h", "127.0.0.1", "-p", str(tools.pgpool.pcp_port), "-U", "boss"]
    for name in ("node_count", "pcp_node_count"):
        done = subprocess.run([pcp, name, *words], capture_output=True, text=True, check=False,
                              env=tools.environment(), timeout=60)
        assert (done.returncode, done.stdout) == (0, "3\n")
    done = subprocess.run([pcp], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and "pcp_node_info" in done.stderr


def test_nobody_there(tools):
    done = tools.run("node_count", "-p", "1", "-w")
    assert done.returncode == 1 and "Connection refused" in done.stderr


# ---- passwords -----------------------------------------------------------------------------------

@pytest.mark.parametrize("user", sorted(PASSWORDS))
def test_every_form_of_password(tools, user):
    assert tools.output("node_count", user=user) == "3\n"


@pytest.mark.parametrize("user", [*sorted(PASSWORDS), "nobody"])
def test_wrong_password(tools, user):
    """Who is not known is told the same."""
    wrong = tools.run("node_count", "-W", user=user, stdin="wrong\n")
    assert wrong.returncode == 1 and wrong.stdout == ""
    assert f'password authentication failed for user "{user}"' in wrong.stderr


def test_password_is_asked_for(tools):
    os.unlink(os.path.join(tools.home, ".pcppass"))
    done = tools.run("node_count", stdin="boss pw\n")
    assert (done.returncode, done.stdout) == (0, "3\n") and "Password: " in done.stderr
    done = tools.run("node_count", "-w", stdin="boss pw\n")
    assert done.returncode == 1 and "Password: " not in done.stderr


def test_password_file(tools):
    """Only one that nobody else can read; PCPPASSFILE names another."""
    tools.write_pass(mode=0o640)
    done = tools.run("node_count", "-w")
    assert done.returncode == 1 and "others can read it" in done.stderr
    tools.write_pass(name="elsewhere")
    path = os.path.join(tools.home, "elsewhere")
    assert tools.output("node_count", "-w", PCPPASSFILE=path) == "3\n"
    tools.write_pass(host="*")
    assert tools.output("node_count", "-w") == "3\n"
    tools.write_pass(host="other")
    assert tools.run("node_count", "-w").returncode == 1


def test_own_user_needs_no_password(tools, pgpool):
    assert tools.output("node_count", "-w", user="anybody", host=pgpool.directory) == "3\n"


def test_another_user_of_the_machine_needs_one(tools, pgpool):
    if os.getuid() != 0:
        pytest.skip("needs root")
    os.chmod(pgpool.directory, 0o755)
    program = os.path.join(bin_dir(), "psql")

    def ask(password):
        return subprocess.run(
            ["setpriv", "--reuid=nobody", "--clear-groups", program, "-w", "-At", "-h",
             pgpool.directory, "-p", str(pgpool.pcp_port), "-U", "old", "-d", "pgpool", "-c",
             "SHOW pool_version"], capture_output=True, text=True, check=False, timeout=60,
            env=tools.environment(PGPASSWORD=password), cwd="/")
    assert ask("old pw").returncode == 0
    done = ask("wrong")
    assert done.returncode != 0 and "password authentication failed" in done.stderr


def login(target, user, database="pgpool"):
    with raw.Raw(target) as one:
        one.send(raw.startup({"user": user, "database": database}))
        return one.read_until("RE")[-1]


def asked(pgpool, user, address="127.0.0.1"):
    """How the user is asked: the body of the Authentication message."""
    return login(Target(address, pgpool.pcp_port), user).body


def test_how_users_are_asked(pgpool):
    sasl = b"\0\0\0\x0aSCRAM-SHA-256\0\0"
    assert asked(pgpool, "boss") == asked(pgpool, "nobody") == sasl
    assert asked(pgpool, "middle")[:4] == b"\0\0\0\5"
    assert asked(pgpool, "old") == b"\0\0\0\3"


def test_no_password_in_the_clear_over_a_network(start):
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    daemon, tools = start(pcp_listen_addresses="*")
    assert asked(daemon, "old", address) == asked(daemon, "boss", address)
    tools.write_pass(host=address)
    assert "password authentication failed" in tools.fails("node_count", user="old", host=address)
    daemon.wait_log("cannot log in over a network")
    assert tools.output("node_count", host=address) == "3\n"


def test_there_is_one_database(pgpool):
    for target in (Target("127.0.0.1", pgpool.pcp_port), Target(pgpool.directory, pgpool.pcp_port)):
        fields = login(target, "boss", "test").fields()
        assert (fields["S"], fields["C"]) == ("FATAL", "3D000") and "pgpool" in fields["H"]


def test_without_a_file(start):
    """Whoever is on this machine may look; only pgpool's own user may do anything."""
    daemon, tools = start(users=None)
    assert tools.output("node_count", "-w", user="anybody") == "3\n"
    assert "42501" not in tools.output("node_info", "-w", user="anybody")
    assert "permission denied" in tools.fails("reload_config", "-w", user="anybody")
    assert "Successful" in tools.output("reload_config", "-w", host=daemon.directory)


def psql(tools, user, text, password=None):
    password = PASSWORDS[user] if password is None else password
    return subprocess.run(
        [os.path.join(bin_dir(), "psql"), "-XAt", "-w", "-h", "127.0.0.1", "-p",
         str(tools.pgpool.pcp_port), "-U", user, "-d", "pgpool", "-c", text],
        capture_output=True, text=True, check=False, timeout=60,
        env=tools.environment(PGPASSWORD=password))


def test_psql(tools):
    for user in PASSWORDS:
        done = psql(tools, user, "SHOW pool_nodes")
        assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.splitlines()) == 3
    done = psql(tools, "boss", "SELECT 1")
    assert done.returncode == 1 and "administration port" in done.stderr
    done = psql(tools, "boss", "SHOW pool_nodes", "wrong")
    assert done.returncode == 2 and "password authentication failed" in done.stderr


# ---- roles ---------------------------------------------------------------------------------------

COMMANDS_OF_ADMINS = [
    "PGPOOL ATTACH NODE 1", "PGPOOL DETACH NODE 1 GRACEFULLY", "PGPOOL PROMOTE NODE 1 SWITCHOVER",
    "PGPOOL SWITCHOVER", "PGPOOL RECOVER NODE 1", "PGPOOL STOP IMMEDIATE", "PGPOOL RELOAD",
    "PGPOOL ROTATE LOG", "PGPOOL INVALIDATE QUERY CACHE", "PGPOOL PAUSE", "PGPOOL RESUME",
    "PGPOOL DRAIN 1", "PGPOOL UNDRAIN 1",
]


@pytest.mark.parametrize("user", ["eyes", "watch"])
def test_a_monitor_may_only_look(tools, user):
    for text in COMMANDS_OF_ADMINS:
        done = psql(tools, user, text)
        assert done.returncode == 1 and "needs the role admin" in done.stderr, text
    assert psql(tools, user, "SHOW pool_status").returncode == 0


@pytest.mark.parametrize("user", ADMINS)
def test_an_admin_may_pause(tools, user):
    assert psql(tools, user, "PGPOOL DRAIN 2").stdout == "DRAIN\n"
    assert psql(tools, user, "PGPOOL UNDRAIN 2").stdout == "UNDRAIN\n"


def test_sessions_take_no_commands(pgpool):
    with raw.connected(pgpool) as one:
        for text in COMMANDS_OF_ADMINS:
            assert one.simple(text)[0].fields()["C"] == "0A000"


# ---- commands to nodes ---------------------------------------------------------------------------

@pytest.mark.parametrize("tool", COMMANDS)
def test_no_such_node(tools, tool):
    assert "there is no node 9" in tools.fails(tool, "-n", "9")


def begin(tools, *words):
    return subprocess.Popen(tools.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=tools.environment(), stdin=subprocess.DEVNULL)


def drained(tools):
    return "drained node" in psql(tools, "boss", "SHOW pool_holds").stdout


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_graceful_detach_drains_first(tools, pgpool, way):
    """What it has begun is taken back when it is given up."""
    with raw.connected(pgpool) as one:
        one.rows("BEGIN")
        one.rows("SET pgpool.pin TO on")
        one.rows("CREATE TEMP TABLE pcp_t (a int)")  # the primary is in use
        tool = begin(tools, "detach_node", "-n", "0", "-g")
        wait_for(lambda: drained(tools), "the drain")
        tool.send_signal(way)
        _, said = tool.communicate(timeout=60)
        assert tool.returncode != 0
        assert way == signal.SIGKILL or "canceling statement due to user request" in said
        wait_for(lambda: not drained(tools), "the drain to be taken back")
        one.rows("ROLLBACK")


# ---- commands to pgpool --------------------------------------------------------------------------

def test_reload(start):
    daemon, tools = start()
    daemon.write_config(client_idle_limit="77s")
    assert tools.output("reload_config") == "pcp_reload_config -- Command Successful\n"
    done = psql(tools, "eyes", "PGPOOL SHOW client_idle_limit")
    assert done.stdout.strip() == "77s"
    assert json.loads(tools.output("reload_config", "--json", "--scope=local"))["result"] == \
        "successful"
    daemon.write_config(client_idle_limit="never", log_min_messages="loud")
    said = tools.fails("reload_config")
    assert "2 faults" in said and "log_min_messages" in said
    assert psql(tools, "eyes", "PGPOOL SHOW client_idle_limit").stdout.strip() == "77s"
    assert "only scope is local" in tools.fails("reload_config", "-s", "cluster")


def test_commands_by_the_extended_protocol(pgpool):
    with raw.connected(Target(pgpool.directory, pgpool.pcp_port), database="pgpool") as one:
        def ask(text):
            one.send(raw.parse("", text), raw.bind("", ""), raw.describe("P"), raw.execute(),
                     raw.SYNC)
            return one.read_until("Z")
        answer = ask("PGPOOL RELOAD")
        assert "".join(got.kind for got in answer) == "12nCZ"
        assert answer[3].body == b"RELOAD\0"
        assert "".join(got.kind for got in ask("PGPOOL ROTATE LOG")) == "EZ"
        one.send(raw.query("PGPOOL RELOAD; SHOW pool_version"))
        assert one.read_until("Z")[0].fields()["C"] == "0A000"


def test_users_are_read_again(start):
    daemon, tools = start()
    write_users(daemon, PCP_CONF.replace("eyes:", "new:"))
    tools.output("reload_config")
    assert psql(tools, "eyes", "SHOW pool_version").returncode == 2
    assert psql(tools, "eyes", "SHOW pool_version", "eyes pw").returncode == 2
    # a faulty file changes nothing, and says where
    write_users(daemon, "boss:plain\n")
    assert "pcp.conf:1: the password is in no known form" in tools.fails("reload_config")
    done = daemon.run("reload", check=1)
    assert "pcp.conf:1: " in done.stderr and "nothing was reloaded" in done.stderr
    assert "pcp.conf:1: " in daemon.run("configtest", check=1).stderr
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("the users of administration stay those that they were")
    assert tools.output("node_count") == "3\n"
    write_users(daemon, PCP_CONF, 0o644)
    assert "others than its owner" in tools.fails("reload_config")
    write_users(daemon)
    assert daemon.run("configtest", check=0)
    tools.output("reload_config")
    assert psql(tools, "eyes", "SHOW pool_version").returncode == 0


@pytest.mark.parametrize("users, mode", [(PCP_CONF, 0o644), ("boss\n", 0o600), ("", 0o600)])
def test_faulty_file_at_start_lets_nobody_in(start, users, mode):
    daemon, tools = start(users, mode)
    assert "password authentication failed" in tools.fails("node_count")
    assert tools.output("node_count", "-w", host=daemon.directory) == "3\n"


def test_log_rotation(start, tools):
    daemon, others = start()
    os.rename(daemon.log, daemon.log + ".old")
    assert others.output("log_rotate") == "pcp_log_rotate -- Command Successful\n"
    wait_for(lambda: os.path.exists(daemon.log), "a new log file")
    assert "logging_collector" in tools.fails("log_rotate")  # this one has no log file


def test_there_is_no_query_cache(tools):
    assert "there is no query cache" in tools.fails("invalidate_query_cache")


@pytest.mark.parametrize("words", [(), ("-m", "f"), ("-m", "immediate"), ("--mode=smart",)])
def test_stop(start, words):
    daemon, tools = start()
    with raw.connected(daemon) as one:
        one.rows("SELECT 1")
        if words and words[0] != "--mode=smart":
            assert tools.output("stop_pgpool", *words) == "pcp_stop_pgpool -- Command Successful\n"
            one.drain_to_end()
    if not words or words[0] == "--mode=smart":
        assert tools.output("stop_pgpool", *words) == "pcp_stop_pgpool -- Command Successful\n"
    wait_for(daemon.ended, "pgpool to end")


def test_smart_stop_waits_for_clients(start):
    daemon, tools = start()
    with raw.connected(daemon) as one:
        tools.output("stop_pgpool")
        assert one.rows("SELECT 1") == [["1"]]
        assert not daemon.ended()
        tools.output("stop_pgpool", "-m", "fast")
        one.drain_to_end()
    wait_for(daemon.ended, "pgpool to end")
