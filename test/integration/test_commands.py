"""The command line and the life of the daemon: words and options, configtest, reload, stop modes,
pid file and ports, the notify protocol, process titles, log files, and the death of the parent.

What children do for clients is other files' matter; so these tests run on one engine.
"""

import glob
import os
import re
import signal
import socket
import subprocess
import threading
import time

import psycopg
import pytest

import processes
import raw
from cluster import Target, run
from daemon import Daemon, Manager, daemon_answers, makes
from proxy import binary
from waiting import SLOW, free_port, wait_for

FAULTY = """\
prot = 5
port = abc
log_min_messages = 'info
backend_weight0 = -1
listen_addresses = "x"
include 'absent.conf'
num_init_children = 99999
sr_check_period = 3 parsecs
"""


make_fixture, daemon_fixture = makes(Daemon)


def pgpool(*words, **kwargs):
    return run(binary(), *words, check=False, **kwargs)


def setting(target, name):
    """A setting in force, as a client sees it."""
    with raw.connected(target) as one:
        return {row[0]: row[1] for row in one.rows("SHOW pool_status")}[name]


def nodes(target):
    with raw.connected(target) as one:
        return one.rows("SHOW pool_nodes")


# ---- words and options ---------------------------------------------------------------------------

def test_help_and_version():
    for option in ("-h", "--help", "-?"):
        done = pgpool(option)
        assert done.returncode == 0 and not done.stderr
        for word in ("start", "stop", "reload", "status", "configtest", "upgrade", "--mode",
                     "--config-file"):
            assert word in done.stdout
    for option in ("-v", "--version"):
        done = pgpool(option)
        assert done.returncode == 0
        assert re.fullmatch(r"pgpool \d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize("words, message", [
    (["statsu"], 'unknown word "statsu" (did you mean "status"?)'),
    (["frobnicate"], 'unknown word "frobnicate"'),
    (["start", "stop"], 'one word is enough; what is "stop"?'),
    (["-Z"], 'unknown option "-Z"'),
    (["--frobnicate"], 'unknown option "--frobnicate"'),
    (["-f"], 'option "-f" needs a value'),
    (["-f", "", "status"], 'option "-f" needs a value'),
    (["--config-file"], 'option "--config-file" needs a value'),
    (["-m", "foo", "stop"], 'unknown stop mode "foo": smart, fast or immediate'),
    (["-m", "", "stop"], 'option "-m" needs a value'),
])
def test_wrong_command_lines(words, message):
    done = pgpool(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"pgpool: {message}", 'Try "pgpool --help".']


@pytest.mark.parametrize("word", ["start", "stop", "reload", "status", "configtest"])
def test_missing_file_is_named(word, tmp_path):
    done = pgpool("-f", str(tmp_path / "none.conf"), word)
    assert done.returncode == 1
    assert f'could not open "{tmp_path}/none.conf": No such file or directory' in done.stderr
    assert "hint: " in done.stderr


@pytest.mark.parametrize("word, status", [("stop", 1), ("reload", 1), ("status", 3)])
def test_words_without_a_running_one(make, word, status):
    daemon = make()
    done = daemon.run(word, check=status)
    said = done.stdout if word == "status" else done.stderr
    assert f'is not running (nobody holds pid file "{daemon.settings["pid_file_name"]}")' in said


def test_relative_path_of_the_file(make):
    """The daemon leaves the directory; a reload must still find the file."""
    daemon = make()
    run(binary(), "-D", "-f", "pgpool.conf", cwd=daemon.directory)
    daemon.read_pid()
    assert f"configuration: {daemon.config}\n" in daemon.run("status", check=0).stdout
    daemon.reload(log_statement="on")
    wait_for(lambda: setting(daemon, "log_statement") == "on", "a child to take it")


def test_status(daemon):
    lines = daemon.run("status", check=0).stdout.splitlines()
    assert lines[0] == f"pgpool is running (process {daemon.pid})"
    assert re.fullmatch(r"since: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+", lines[1])
    assert lines[2:5] == [f"configuration: {daemon.config}",
                          f"pid file: {daemon.settings['pid_file_name']}", "processes:"]
    shown = {int(line.split()[0]) for line in lines[5:]}
    assert shown == set(daemon.pids())


# ---- configtest ----------------------------------------------------------------------------------

def test_configtest_of_a_good_file(make):
    daemon = make()
    done = daemon.run("configtest", check=0)
    assert done.stdout == f'configuration "{daemon.config}" is fine\n'
    assert done.stderr == ""


def test_configtest_names_every_fault(make):
    daemon = make()
    with open(daemon.config, "w", encoding="utf-8") as file:
        file.write("include 'faulty.conf'\nbackend_port0 = 70000\n")
    faulty = os.path.join(daemon.directory, "faulty.conf")
    with open(faulty, "w", encoding="utf-8") as file:
        file.write(FAULTY)
    done = daemon.run("configtest", check=1)
    assert done.stdout == ""
    for number in range(1, len(FAULTY.splitlines()) + 1):
        assert f"pgpool: {faulty}:{number}: " in done.stderr
    assert f"pgpool: {daemon.config}:2: " in done.stderr
    assert 'did you mean "port"?' in done.stderr
    assert done.stderr.endswith(f'configuration file "{daemon.config}" cannot be used\n')


def test_configtest_looks_at_passwords(make):
    daemon = make()
    path = os.path.join(daemon.directory, "pool_passwd")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a:TEXTb\n\n# comment\ngarbage\n")
    assert f"{path}:4: the line is not of the form user:password" in \
        daemon.run("configtest", check=1).stderr
    with open(path, "w", encoding="utf-8") as file:
        file.write("a:TEXTb\nb:AESQUJD\n")
    done = daemon.run("configtest", check=0)
    assert f"warning: {path}:2: there is no key for an AES password" in done.stderr
    os.chmod(path, 0o644)
    for words in (("configtest",), ("-n",)):
        done = daemon.run(*words, check=1)
        assert f"{path}: others than its owner can use this file (hint: chmod 600" in done.stderr
        assert "TEXTb" not in done.stderr
    assert not os.path.exists(daemon.settings["pid_file_name"])


def test_configtest_looks_at_the_key(make):
    daemon = make()
    with open(os.path.join(daemon.directory, "pool_passwd"), "w", encoding="utf-8") as file:
        file.write("a:AESQUJD\n")
    key = os.path.join(daemon.directory, "key")
    assert f'could not look at "{key}"' in daemon.run("-k", key, "configtest", check=1).stderr
    with open(key, "w", encoding="utf-8") as file:
        file.write("\nsecond\n")
    os.chmod(key, 0o644)
    done = daemon.run("-k", key, "configtest", check=1)
    assert f"{key}: others than its owner can use this file" in done.stderr
    os.chmod(key, 0o600)
    assert f"{key}:1: the key of encrypted passwords is empty" in \
        daemon.run("-k", key, "configtest", check=1).stderr
    with open(key, "w", encoding="utf-8") as file:
        file.write("key\n")
    done = daemon.run("-k", key, "configtest", check=0)
    assert "cannot be decrypted with this key" in done.stderr


def test_faulty_file_does_not_start(make):
    daemon = make()
    with open(daemon.config, "a", encoding="utf-8") as file:
        file.write("prot = 1\n")
    done = daemon.run("-n", check=1)
    assert 'unknown parameter "prot" (hint: did you mean "port"?)' in done.stderr
    assert not os.path.exists(daemon.settings["pid_file_name"])


# ---- reload --------------------------------------------------------------------------------------

@pytest.mark.parametrize("by", ["word", "signal"])
def test_faulty_file_changes_nothing(daemon, by):
    before = dict(daemon.settings)
    with raw.connected(daemon) as one:
        status = one.rows("SHOW pool_status")
        with open(daemon.config, "a", encoding="utf-8") as file:
            file.write("log_statement = on\nclient_idle_limit = 7\nprot = 5\n")
        if by == "word":
            done = daemon.run("reload", check=1)
            assert "unknown parameter \"prot\"" in done.stderr
            assert done.stderr.endswith("pgpool: nothing was reloaded\n")
        else:
            daemon.signal(signal.SIGHUP)
            daemon.wait_log(r'ERROR: .*pgpool\.conf:\d+: unknown parameter "prot"')
            daemon.wait_log(r'ERROR: .*was not changed, because it contains faults')
        assert one.rows("SHOW pool_status") == status
    daemon.write_config(**before)
    daemon.reload(log_statement="on")
    wait_for(lambda: setting(daemon, "log_statement") == "on", "a child to take it")


def test_what_needs_a_restart_is_named(daemon):
    port = daemon.port
    daemon.reload(port=free_port(), num_init_children=3, backend_port1=free_port(),
                  client_idle_limit="1h")
    for name in ("port", "num_init_children", "backend_port1"):
        daemon.wait_log(f'"{name}" cannot be changed without a restart: it keeps its value')
    wait_for(lambda: setting(daemon, "client_idle_limit") in ("1h", "3600", "60min"),
             "a child to take what can be taken")
    assert setting(daemon, "port") == str(port)
    assert setting(daemon, "num_init_children") == "2"
    assert len(daemon.named("child")) == 2


def test_reload_takes_in_a_node_and_keeps_sessions(make, cluster):
    daemon = make()
    last = {name: daemon.settings.pop(name) for name in list(daemon.settings)
            if re.fullmatch(r"backend_.*2", name)}
    daemon.start()
    assert [row[0] for row in nodes(daemon)] == ["0", "1"]
    with raw.connected(daemon) as one:
        one.simple("SET work_mem = '7MB'")
        daemon.reload(**last)
        wait_for(lambda: [row[3] for row in nodes(daemon)] == ["up"] * 3, "the third node")
        assert one.rows("SHOW work_mem") == [["7MB"]]
    assert nodes(daemon)[2][2] == str(cluster.servers[2].port)
    for name in last:
        del daemon.settings[name]
    daemon.reload()
    daemon.wait_log("node 2 cannot be removed without a restart: it stays")
    assert [row[3] for row in nodes(daemon)] == ["up"] * 3


def test_new_processes_live_by_the_reloaded_file(daemon):
    daemon.reload(log_statement="on")
    daemon.kill_named("child")
    with raw.connected(daemon) as one:
        one.rows("SELECT 4711")
    daemon.wait_log("SELECT 4711")


# ---- start ---------------------------------------------------------------------------------------

FIRST_LOOK_S = 2  # FIRST_LOOK_LIMIT_MS: then clients are let in, whoever has answered


def test_first_client_finds_all_nodes(make):
    """The command returns when clients are served, and they find the servers."""
    for _ in range(5):
        daemon = make()
        began = time.monotonic()
        daemon.launch()
        in_time = time.monotonic() - began < FIRST_LOOK_S
        with raw.connected(daemon) as one:
            if in_time:
                assert one.rows("SELECT 1") == [["1"]]
                assert [row[3] for row in one.rows("SHOW pool_nodes")] == ["up"] * 3
        daemon.run("-m", "fast", "stop", check=0)


def test_silent_node_does_not_keep_it_from_serving(make):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        daemon = make(backend_port2=silent.getsockname()[1])
        daemon.launch()
        with raw.connected(daemon) as one:
            assert one.rows("SELECT 1") == [["1"]]


def test_daemon_leaves_the_terminal(make):
    """Whoever waits for the end of the command's output gets it; what it said is there."""
    daemon = make().start()
    for pid in daemon.pids():
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        for number in (0, 1):
            assert os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/null"
    session = int(processes.stat(daemon.pid)[3])
    assert session not in (daemon.pid, os.getsid(0))
    assert processes.stat(daemon.pid)[4] == "0", "it has a terminal"


def test_says_when_its_log_is_lost(make):
    daemon = make(logging_collector="off")
    daemon.write_config()
    done = daemon.run("-D", check=0)
    daemon.read_pid()
    assert "WARNING:  further log output is lost" in done.stderr
    assert "listening on" in done.stderr


def test_log_directory_that_cannot_be_is_said(make):
    daemon = make(log_directory="/proc/none")
    done = daemon.run("-D", check=1)
    assert 'FATAL:  could not make directory "/proc/none"' in done.stderr
    assert not os.path.exists(daemon.settings["pid_file_name"])


def test_failed_start_is_said_also_when_the_log_goes_elsewhere(make):
    daemon = make(log_destination="syslog", log_directory="/proc/none")
    assert 'pgpool: could not make directory "/proc/none"' in daemon.run("-D", check=1).stderr


def test_second_one_with_the_same_pid_file(daemon, make):
    second = make(pid_file_name=daemon.settings["pid_file_name"])
    for words in (["-n"], []):
        done = second.run(*words, check=1)
        assert f"another pgpool is running (process {daemon.pid} holds " \
               f"\"{daemon.settings['pid_file_name']}\")" in done.stderr
        assert "hint: stop it with \"pgpool stop\"" in done.stderr
    daemon.read_pid()
    assert not daemon.ended()


def test_second_one_on_the_same_port(daemon, make):
    over_tcp = make(port=daemon.port, unix_socket_directories="")
    done = over_tcp.run("-n", check=1)
    assert f'could not listen on "127.0.0.1:{daemon.port}"' in done.stderr
    over_unix = make(port=daemon.port, unix_socket_directories=daemon.directory,
                     listen_addresses="")
    done = over_unix.run("-n", check=1)
    path = f"{daemon.directory}/.s.PGSQL.{daemon.port}"
    assert f'could not listen on "{path}": it is in use' in done.stderr
    assert f"process {daemon.pid} listens there" in done.stderr
    assert os.path.exists(path)
    assert daemon_answers(daemon)()
    for other in (over_tcp, over_unix):
        assert not os.path.exists(other.settings["pid_file_name"])


def test_starts_over_what_a_killed_one_left(make):
    daemon = make().start()
    pids = daemon.pids()
    os.kill(daemon.pid, signal.SIGKILL)
    wait_for(lambda: not any(processes.alive(pid) for pid in pids), "all to end")
    assert os.path.exists(daemon.settings["pid_file_name"])
    daemon.run("status", check=3)
    daemon.start()
    assert daemon.pid not in pids
    with raw.connected(daemon) as one:
        assert one.rows("SELECT 1") == [["1"]]


def test_pid_file_and_sockets_go_with_it(make):
    daemon = make().start()
    assert os.path.exists(daemon.settings["pid_file_name"])
    assert len(glob.glob(daemon.directory + "/.s.PGSQL.*")) == 4
    daemon.run("-m", "fast", "stop", check=0)
    assert not os.path.exists(daemon.settings["pid_file_name"])
    assert not glob.glob(daemon.directory + "/.s.PGSQL.*")


# ---- stop ----------------------------------------------------------------------------------------

def test_smart_stop_waits_for_clients(make):
    daemon = make().start()
    with raw.connected(daemon) as one:
        stopping = subprocess.Popen(daemon.command("stop"), stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
        wait_for(lambda: "smart stop" in processes.title(daemon.pid), "the stop to begin")
        assert one.rows("SELECT 1") == [["1"]]
        for host in (daemon.host, daemon.directory):
            with pytest.raises(ConnectionRefusedError):  # nobody is left waiting in a queue
                raw.Raw(Target(host, daemon.port))
        assert one.rows("SELECT 2") == [["2"]]
        assert stopping.poll() is None
    out, _ = stopping.communicate(timeout=20 * SLOW)
    assert stopping.returncode == 0
    assert re.fullmatch(rf"waiting for pgpool \(process {daemon.pid}\) to stop\.* done\n", out)
    daemon.run("status", check=3)


def test_stricter_stop_overrides(make):
    daemon = make().start()
    with raw.connected(daemon) as one:
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: "smart stop" in processes.title(daemon.pid), "the stop to begin")
        daemon.run("-m", "fast", "stop", check=0)
        assert [got.fields()["C"] for got in one.read_to_end() if got.kind == "E"] == ["57P01"]


def test_fast_stop_tells_clients(make):
    daemon = make().start()
    with raw.connected(daemon) as idle, raw.connected(daemon) as busy:
        busy.send(raw.query("SELECT pg_sleep(60)"))
        wait_for(lambda: daemon.cluster.primary.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)'") or
            any(server.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                             "'SELECT pg_sleep(60)'") for server in daemon.cluster.servers),
            "the query to run")
        daemon.run("-m", "fast", "stop", check=0)
        for one in (idle, busy):
            assert [got.fields()["C"] for got in one.read_to_end() if got.kind == "E"] == ["57P01"]


@pytest.mark.parametrize("mode", ["immediate", "i", "imm"])
def test_immediate_stop(make, mode):
    daemon = make().start()
    with raw.connected(daemon) as one:
        daemon.run(f"--mode={mode}", "stop", check=0)
        assert not [got for got in one.read_to_end() if got.kind == "E"]


def test_stop_and_status_with_a_broken_file(daemon):
    """Whoever has broken the file can still stop pgpool, wherever the pid file is named."""
    os.rename(daemon.config, daemon.config + ".whole")
    with open(daemon.config, "w", encoding="utf-8") as file:
        file.write(f"prot = 1\ninclude '{daemon.config}.whole'\n")
    done = daemon.run("status", check=0)
    assert "has faults" in done.stderr
    assert f"process {daemon.pid}" in done.stdout
    daemon.run("-m", "fast", "stop", check=0)
    assert daemon.ended()


# ---- service manager -----------------------------------------------------------------------------

@pytest.mark.parametrize("words", [["-n"], []], ids=["foreground", "background"])
def test_notify_protocol(make, words):
    daemon = make()
    with Manager(daemon.directory) as manager:
        started = subprocess.Popen(daemon.command("-D", *words), stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL,
                                   env={**os.environ, "NOTIFY_SOCKET": manager.path})
        ready = manager.next()
        daemon.read_pid()
        assert ready == {"READY": "1", "MAINPID": str(daemon.pid)}
        daemon.wait_nodes()
        with raw.connected(daemon) as one:
            assert one.rows("SELECT 1") == [["1"]]
        if not words:
            assert started.wait(10 * SLOW) == 0
        daemon.signal(signal.SIGHUP)
        reloading = manager.next()
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
        assert manager.next() == ready
        with open(daemon.config, "a", encoding="utf-8") as file:
            file.write("prot = 1\n")
        daemon.signal(signal.SIGHUP)
        assert manager.next()["RELOADING"] == "1"
        assert manager.next() == ready, "a faulty file must not leave it reloading"
        daemon.signal(signal.SIGTERM)
        assert manager.next() == {"STOPPING": "1"}
        wait_for(daemon.ended if not words else lambda: started.poll() is not None, "its end")
        if words:
            assert started.returncode == 0


# ---- titles --------------------------------------------------------------------------------------

def test_titles(daemon):
    assert processes.title(daemon.pid).startswith("pgpool: parent: listening on ")
    assert f"127.0.0.1:{daemon.port}" in processes.title(daemon.pid)
    for kind, count in (("lag", 1), ("pcp", 1), ("logger", 1), ("child", 2)):
        titles = [processes.title(pid) for pid in processes.children(daemon.pid)]
        assert len([t for t in titles if t.startswith(f"pgpool: {kind}")]) == count, titles
    wait_for(lambda: [processes.title(pid) for pid in daemon.named("logger")] ==
             [f"pgpool: logger: writing {daemon.log}"], "the logger's title")
    with raw.connected(daemon) as one:
        one.rows("SELECT 1")
        wait_for(lambda: any(re.search(r"child \d+: 1 client", processes.title(pid))
                             for pid in daemon.named("child")), "a title with a client")


# ---- log -----------------------------------------------------------------------------------------

def test_log_lines_by_their_options(make):
    daemon = make(log_line_prefix="[%p] %u@%d %a|", log_statement="on", log_connections="on",
                  log_per_node_statement="on", log_client_messages="on",
                  num_init_children=1).start()
    with raw.connected(daemon, application_name="tester") as one:
        one.rows("SELECT 'needle'")
    child = r"^\[\d+\] postgres@test tester\|LOG:  "
    daemon.wait_log(child + r"statement: SELECT 'needle'")
    daemon.wait_log(child + r"DB node id: [012] backend pid: \d+ statement: SELECT 'needle'")
    daemon.wait_log(child + r'message type "Q" from the client, \d+ bytes')
    daemon.wait_log(r"connection authorized: user=postgres database=test application_name=tester")
    daemon.wait_log(r"^\[\d+\] @ lag\|LOG:  node 0 is the primary")
    daemon.reload(log_statement="off", log_client_messages="off", log_per_node_statement="off",
                  log_line_prefix="new: ", log_connections="off")
    wait_for(lambda: setting(daemon, "log_statement") == "off", "the child to take it")
    with raw.connected(daemon) as one:
        one.rows("SELECT 'quiet'")
    daemon.wait_log(r"^new: ")
    daemon.run("-m", "fast", "stop", check=0)
    assert "quiet" not in daemon.log_text()


def test_log_file_mode_and_directory(make):
    daemon = make(log_file_mode="0640").start()
    assert os.stat(daemon.log).st_mode & 0o777 == 0o640
    assert os.stat(daemon.log_directory).st_mode & 0o777 == 0o700


def test_reload_goes_on_in_the_same_file(daemon):
    os.rename(daemon.log, daemon.log + ".1")
    name, daemon.log = daemon.log, daemon.log + ".1"
    daemon.reload(log_statement="on")
    daemon.reload(log_statement="off")
    assert not os.path.exists(name)
    daemon.log = os.path.join(daemon.log_directory, "other.log")
    daemon.write_config(log_filename="other.log")
    daemon.run("reload", check=0)  # that it was taken may be said in the old file still
    wait_for(lambda: os.path.exists(daemon.log), "the other log file")
    with raw.connected(daemon) as one:
        one.rows("SELECT 1")
    daemon.wait_log("connection authorized")
    assert not os.path.exists(name)


@pytest.mark.parametrize("to", ["parent", "logger"])
def test_usr1_takes_a_new_file(daemon, to):
    moved = daemon.log + ".1"
    os.rename(daemon.log, moved)
    os.kill(daemon.pid if to == "parent" else daemon.named("logger")[0], signal.SIGUSR1)
    wait_for(lambda: os.path.exists(daemon.log), "a new log file")
    with raw.connected(daemon) as one:
        one.rows("SELECT 1")
    daemon.wait_log("connection authorized")
    with open(moved, encoding="utf-8") as file:
        assert "is ready" in file.read()


def test_rotation_by_size(make):
    daemon = make(log_filename="pgpool-%S.log", log_rotation_size="1kB", log_statement="on")
    daemon.start()

    def many_files():
        with raw.connected(daemon) as one:
            for number in range(20):
                one.rows(f"SELECT {number}, '{'x' * 100}'")
        return len(glob.glob(daemon.log_directory + "/*")) >= 3

    wait_for(many_files, "three log files", 20)
    daemon.run("-m", "fast", "stop", check=0)  # nothing is being written any more
    for path in glob.glob(daemon.log_directory + "/*"):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert text == "" or text.endswith("\n"), f"{path} ends in a line"
        assert all(re.match(r"\d{4}-\d\d-\d\d ", line) for line in text.splitlines())


def test_killed_logger_loses_nothing(make):
    daemon = make(log_statement="on").start()
    with raw.connected(daemon) as one:
        for number in range(300):
            if number % 100 == 50:
                daemon.wait_log(f"SELECT {number - 1} AS counted")  # it is not behind
                for pid in daemon.named("logger"):
                    os.kill(pid, signal.SIGKILL)
            one.rows(f"SELECT {number} AS counted")
    daemon.wait_log("SELECT 299 AS counted")
    found = re.findall(r"statement: SELECT (\d+) AS counted", daemon.log_text())
    # what a killed logger had read and not yet written is gone with it: at most a pipe's read each
    assert len(found) >= 200
    assert found == sorted(found, key=int)
    assert "logger process" in daemon.log_text()


def test_log_of_the_foreground_goes_to_stderr(make):
    daemon = make(logging_collector="off")
    process = subprocess.Popen(daemon.command("-n", "-D"), stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr))
    reader.start()
    try:
        wait_for(lambda: any("is ready" in line for line in lines), "the log")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10 * SLOW) == 0
        reader.join()
    assert lines[-1].endswith("pgpool has stopped\n")
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: \w+ pid \d+: ", line)
               for line in lines)


# ---- death ---------------------------------------------------------------------------------------

def test_all_end_with_the_parent(make):
    daemon = make().start()
    with raw.connected(daemon) as one:
        one.rows("SELECT 1")
        pids = daemon.pids()
        os.kill(daemon.pid, signal.SIGKILL)
        wait_for(lambda: not any(processes.alive(pid) for pid in pids), "all to end")
        one.read_to_end()
    daemon.run("status", check=3)


@pytest.mark.parametrize("kind", ["child", "lag", "pcp", "logger"])
def test_a_killed_process_is_replaced(daemon, kind):
    victim = daemon.named(kind)[0]
    daemon.kill_named(kind, victim)
    assert not processes.zombies(daemon.pid)
    assert daemon_answers(daemon)()
    daemon.wait_log(rf"{kind} process {victim} was terminated by signal 9")


# ---- configtest --connect ------------------------------------------------------------------------

def test_rights_at_the_nodes(cluster, start_pgpool):
    pgpool = start_pgpool()
    done = run(*pgpool.command("configtest", "--connect"), check=False)
    assert done.returncode == 0, done.stderr
    cluster.sql("CREATE ROLE watcher LOGIN")
    try:
        pgpool.write_config(sr_check_user="watcher")
        done = run(*pgpool.command("configtest", "--connect"), check=False)
        assert done.returncode == 1
        for right in ("pg_promote(boolean, integer) TO watcher", "pg_reload_conf() TO watcher",
                      "GRANT pg_monitor TO watcher", "PARAMETER primary_conninfo TO watcher"):
            assert right in done.stderr
        with psycopg.connect(cluster.primary.dsn(dbname="postgres"), autocommit=True) as one:
            one.execute("GRANT pg_monitor TO watcher;"
                        "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO watcher;"
                        "GRANT EXECUTE ON FUNCTION pg_reload_conf() TO watcher;"
                        "GRANT ALTER SYSTEM ON PARAMETER primary_conninfo TO watcher;"
                        "ALTER ROLE watcher REPLICATION")
        cluster.wait_replayed()
        done = run(*pgpool.command("configtest", "--connect"), check=False)
        assert done.returncode == 0, done.stderr
    finally:
        with psycopg.connect(cluster.primary.dsn(dbname="postgres"), autocommit=True) as one:
            one.execute("DROP OWNED BY watcher; DROP ROLE watcher")
