"""Online recovery without the rest of pgpool: test/integration/recover drives its engine against
real servers, whatever state their data directories are in."""

import contextlib
import os
import re
import shutil
import signal
import subprocess

import pytest

import processes
from cluster import Cluster, Server, as_owner, bin_dir, owner, run
from proxy import binary
from waiting import SLOW, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(40), pytest.mark.plain]

USER, PASSWORD = "rebuilder", "it's a \\ \"secret\" $HOME"
HBA = "host all,replication rebuilder 127.0.0.1/32 scram-sha-256\n"


class Node(Server):
    """A server that is told by its data directory alone what it is."""

    def __init__(self, cluster, name, number):
        super().__init__(cluster, name)
        self.number = number

    def start(self):
        self._pg_ctl("-l", self.log, "-s", "start")

    def pid(self):
        with open(self.data + "/postmaster.pid", encoding="utf-8") as file:
            return int(file.readline())

    def crash(self):
        """The whole server at once, as when the power fails."""
        pids = [self.pid(), *processes.children(self.pid())]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has ended with its postmaster
                os.kill(pid, signal.SIGKILL)
        # a server that starts counts also those that nobody has taken leave of
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "their end", 30)

    def content(self):
        return self.value("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM data t")

    def add_setting(self, line):
        with open(self.data + "/own.conf", "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def promote(self):
        assert self.value("SELECT pg_promote()")
        self.write(f"promoted {self.server_name}")

    def write(self, word):
        with self.connect() as one:
            one.execute("INSERT INTO data SELECT n + g, %s FROM generate_series(1, 1000) g, "
                        "(SELECT max(id) FROM data) AS last(n)", [word])

    def files_beside(self):
        name = os.path.basename(self.data) + ".pgpool-"
        return sorted(n[len(name):] for n in os.listdir(os.path.dirname(self.data))
                      if n.startswith(name))


class Recoverable(Cluster):
    """Its servers can be rewound, and one user has to say his password."""

    def __init__(self):
        super().__init__()
        for number, server in enumerate(self.servers):
            server.__class__ = Node
            server.number = number
            server.rows("SELECT 1")
            with server.connect() as one:
                one.execute("ALTER SYSTEM SET wal_log_hints = on")
                one.execute("ALTER SYSTEM SET full_page_writes = on")
            with open(server.data + "/pg_hba.conf", encoding="utf-8") as file:
                text = file.read()
            server._write("pg_hba.conf", HBA + text)  # pylint: disable=protected-access
            server.stop()
            server.start()
        secret = PASSWORD.replace("'", "''")
        with self.primary.connect() as one:
            one.execute(f"CREATE USER {USER} SUPERUSER PASSWORD '{secret}'")
            one.execute("CREATE TABLE data (id int PRIMARY KEY, word text)")
            one.execute("INSERT INTO data SELECT g, 'first' FROM generate_series(1, 20000) g")
        self.wait_streaming()
        self.now = self.primary  # who is the primary
        self.count = len(self.servers)

    def new_node(self):
        self.count += 1
        self.servers.append(Node(self, f"node{self.count - 1}", self.count - 1))
        return self.servers[-1]

    def others(self):
        return [server for server in self.servers if server is not self.now]

    def parameters(self, node, more):
        now = self.now
        return [f"{name}={value}" for name, value in {
            "node_id": node.number, "node_host": node.host, "node_port": node.port,
            "data": node.data, "primary_id": now.number, "primary_host": now.host,
            "primary_port": now.port, "primary_data": now.data, "user": USER,
            "password": PASSWORD, "timeout_ms": int(30000 * SLOW), **more}.items()]

    def begin(self, node, **more):
        program = os.path.join(os.path.dirname(binary()), "test", "integration", "recover")
        return subprocess.Popen([program, *self.parameters(node, more)], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def recover(self, node, **more):
        """Returns what was said and how it ended."""
        with self.begin(node, **more) as process:
            text = process.communicate(timeout=90 * SLOW)[0]
        assert PASSWORD not in text and "secret" not in text
        last = text.splitlines()[-1]
        assert last.startswith("ended "), text
        return text, last[len("ended "):]

    def succeed(self, node, **more):
        """Recovers the node; all that the primary has must be there then, and nothing else."""
        text, end = self.recover(node, **more)
        assert end == "done: ", text
        self.check(node)
        return text

    def check(self, node):
        with self.now.connect() as one:
            one.execute("INSERT INTO data SELECT coalesce(max(id), 0) + 1, 'after' FROM data")
        position = self.now.value("SELECT pg_current_wal_flush_lsn()")
        wait_for(lambda: node.value("SELECT pg_is_in_recovery() AND "
                                    "pg_wal_lsn_diff(%s, pg_last_wal_replay_lsn()) <= 0", position),
                 "the node to replay", 20)
        assert node.content() == self.now.content()
        assert node.value("SELECT status FROM pg_stat_wal_receiver") == "streaming"
        assert node.files_beside() == []

    def fail(self, node, pattern, **more):
        text, end = self.recover(node, **more)
        assert re.match("(failed|timed out): ", end) and re.search(pattern, end), text
        return text


@pytest.fixture(scope="module", name="servers")
def servers_fixture():
    servers = Recoverable()
    yield servers
    servers.destroy()


@pytest.fixture(name="node")
def node_fixture(servers):
    """A standby that streams."""
    node = servers.others()[-1]
    if not os.path.exists(node.data + "/postmaster.pid"):
        servers.succeed(node)
    return node


def programs(directory, **own):
    """A directory with PostgreSQL's programs, some of them shell scripts of ours."""
    os.mkdir(directory)
    for name in os.listdir(bin_dir()):
        if name not in own:
            os.symlink(f"{bin_dir()}/{name}", f"{directory}/{name}")
    for name, text in own.items():
        script(f"{directory}/{name}", text)
    return directory


def script(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    if owner():
        shutil.chown(path, owner(), owner())


def wait_line(process, pattern):
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no line like \"{pattern}\"")


def test_destroyed_directory(servers, node):
    node.crash()
    shutil.rmtree(node.data)
    text = servers.succeed(node)
    assert "taking a base backup" in text and "streams from the primary" in text
    assert node.value("SHOW port") == str(node.port)


def test_wrong_password_touches_nothing(servers, node):
    before = node.pid()
    servers.fail(node, "could not ask the primary.*password", password="wrong")
    assert node.pid() == before and node.files_beside() == []


def test_running_standby_is_started_anew(servers, node):
    node.add_setting("work_mem = '4567kB'")
    before = node.pid()
    text = servers.succeed(node, application_name="its_name")
    assert "stopping the server" in text and "taking a base backup" not in text
    assert node.pid() != before and node.value("SHOW work_mem") == "4567kB"
    assert servers.now.value("SELECT state FROM pg_stat_replication "
                             "WHERE application_name = 'its_name'") == "streaming"


def test_crashed_standby_is_started(servers, node):
    node.crash()
    text = servers.succeed(node)
    assert "has nothing that the primary has not" in text


def test_diverged_standby_is_rewound(servers, node):
    node.promote()
    text = servers.succeed(node)
    assert "rewinding" in text and "taking a base backup" not in text, text
    assert node.value("SELECT count(*) FROM data WHERE word LIKE 'promoted%'") == 0


def test_diverged_standby_that_cannot_be_rewound_is_copied(servers, node):
    node.promote()
    node.add_setting("work_mem = '5678kB'")
    tools = programs(servers.directory + "/tools_rewind", pg_rewind="echo not today; exit 1")
    text = servers.succeed(node, bin=tools)
    assert "not today" in text and "taking a base backup" in text
    assert node.value("SHOW work_mem") == "5678kB"


def test_same_timeline_of_another_history_is_copied(servers, node):
    """The primary and the node have both begun timeline 2: pg_rewind would find no difference."""
    old, third = servers.now, servers.others()[0]
    node.promote()
    third.promote()
    servers.now = third
    text = servers.succeed(node)
    assert "has written on timeline 2 itself" in text and "taking a base backup" in text
    assert old.value("SELECT pg_is_in_recovery()") is False
    assert old.value("INSERT INTO data SELECT max(id) + 1, 'alone' FROM data RETURNING 1") == 1
    text = servers.succeed(old, rejoin=1)  # still writable until now
    assert "rewinding" in text and "taking a base backup" not in text, text


def test_crashed_old_primary_is_rewound(servers, node):
    old = servers.now
    node.promote()
    old.write("lost")
    old.crash()
    servers.now = node
    text = servers.succeed(old, rejoin=1)
    assert "rewinding" in text and "taking a base backup" not in text, text
    for other in servers.others():
        if other is not old:
            servers.succeed(other, rejoin=1)


def test_old_primary_that_was_shut_down_first_is_only_started(servers, node):
    old = servers.now
    old.stop()  # sends all of its WAL to who streams
    node.promote()
    servers.now = node
    text = servers.succeed(old, rejoin=1)
    assert "has nothing that the primary has not" in text
    for other in servers.others():
        if other is not old:
            servers.succeed(other, rejoin=1)


def test_new_node(servers):
    node = servers.new_node()
    servers.succeed(node)
    assert servers.now.value("SELECT count(*) FROM pg_stat_replication "
                             "WHERE application_name = %s", f"node{node.number}") == 1
    assert oct(os.stat(node.data).st_mode & 0o777) == "0o700"


def test_other_files_are_left_alone(servers):
    node = servers.new_node()
    os.mkdir(node.data)
    with open(node.data + "/letters", "w", encoding="utf-8") as file:
        file.write("dear\n")
    if owner():
        run("chown", "-R", owner(), node.data)
    servers.fail(node, "is not empty and no data directory")
    assert os.listdir(node.data) == ["letters"]
    servers.servers.remove(node)


def test_other_server_is_left_alone(servers, node):
    """The data directory is one node's, host and port are another's."""
    servers.fail(node, f"listens on port {node.port}, and node .* is not stopped",
                 node_port=servers.now.port)
    spare = servers.new_node()
    servers.fail(spare, "another server than that of .* answers", node_port=node.port)
    servers.servers.remove(spare)
    assert node.value("SELECT 1") == servers.now.value("SELECT 1") == 1
    assert not os.path.exists(spare.data)


def test_unwritable_directory(servers):
    node = servers.new_node()
    servers.servers.remove(node)
    os.mkdir(node.data + ".d", 0o555)
    if owner():
        servers.fail(node, "belongs to root", data=node.data + ".d/data")
        shutil.chown(node.data + ".d", owner())
    servers.fail(node, "must be writable for user", data=node.data + ".d/data")
    servers.fail(node, "does not exist", data=node.data + ".d/missing/data")
    servers.fail(node, "no absolute path", data="data")
    servers.fail(node, "data directory of node . is not known", data="")


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system")
def test_no_space(servers, node):
    small = servers.directory + "/small"
    os.mkdir(small)
    if run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        shutil.chown(small, owner(), owner())
        spare = servers.new_node()
        servers.servers.remove(spare)
        spare.data = small + "/data"
        text = servers.fail(spare, "pg_basebackup failed", data=spare.data)
        assert "No space left on device" in text
        assert not [n for n in os.listdir(small) if n != "data.pgpool-lock"]
    finally:
        run("umount", small)
    assert node.value("SELECT 1") == 1


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGKILL])
def test_ended_half_way_and_begun_again(servers, node, signo):
    node.promote()
    node.stop()
    gate = f"{servers.directory}/gate_{int(signo)}"
    os.mkfifo(gate)
    os.chmod(gate, 0o666)
    tools = programs(f"{servers.directory}/tools_{int(signo)}", pg_rewind="exit 1",
                     pg_basebackup=f"{bin_dir()}/pg_basebackup \"$@\"; echo half way\n"
                     f"read line <{gate}; echo on; exit 1")
    with servers.begin(node, bin=tools) as process:
        wait_line(process, "half way")
        assert "ended failed: another recovery of" in servers.recover(node)[0]
        process.send_signal(signo)
        process.wait(timeout=20 * SLOW)
    if signo == signal.SIGKILL:  # nobody ends its script, which finds nobody to tell
        with open(gate, "w", encoding="utf-8") as file:
            file.write("\n")
    def free():
        return run("flock", "-n", node.data + ".pgpool-lock", "true", check=False).returncode == 0
    wait_for(free, "the script's end")
    assert os.path.exists(node.data + "/PG_VERSION")
    left = "new" in node.files_beside()
    assert left == (signo == signal.SIGTERM)
    text = servers.succeed(node)
    assert ("left unfinished" in text) == left


def test_put_back_when_ended_between_two_renames(servers, node):
    node.stop()
    os.rename(node.data, node.data + ".pgpool-old")
    text = servers.succeed(node)
    assert "taking a base backup" not in text


def test_rewound_that_does_not_stream_is_copied(servers, node):
    """The WAL that the standby lacks has gone from the primary."""
    node.stop()
    with servers.now.connect() as one:
        one.execute("ALTER SYSTEM SET wal_keep_size = 0")
        one.execute("SELECT pg_reload_conf()")
        one.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                    "WHERE NOT active")
        for _ in range(3):
            one.execute("INSERT INTO data SELECT max(id) + 1, 'more' FROM data")
            one.execute("SELECT pg_switch_wal()")
            one.execute("CHECKPOINT")
    text = servers.succeed(node, timeout_ms=int(3000 * SLOW))
    assert "does not stream from the primary in time" in text and "taking a base backup" in text


def test_command_with_the_script_at_its_input(servers, node):
    before = node.pid()
    text = servers.succeed(node, node_host="localhost", command=" ".join(
        ["echo node %d at %h:%p in %D from %P %N:%S;", *as_owner("sh"), "-s"]))
    assert (f"node {node.number} at localhost:{node.port} in {node.data} from "
            f"{servers.now.number} {servers.now.host}:{servers.now.port}") in text
    assert node.pid() != before


def test_command_that_does_it_by_itself(servers, node):
    node.stop()
    text = servers.succeed(node, command=" ".join(
        as_owner(bin_dir() + "/pg_ctl", "start", "-s", "-D", "%D", "-l", node.log)))
    assert "rewinding" not in text


def test_command_that_fails(servers, node):
    text = servers.fail(node, "exited with status 3", command="echo no way there; exit 3")
    assert "no way there" in text
    servers.fail(node, "does not stream from the primary in time: .*refused", command="true",
                 node_port=1, timeout_ms=300)


def test_node_on_another_host(servers, node):
    servers.fail(node, "on another host.*set recovery_command", node_host="192.0.2.1")


def test_scripts_on_the_primary(servers, node):
    """With Pgpool-II's arguments; what they say arrives while they run."""
    node.crash()
    shutil.rmtree(node.data)
    primary, gate = servers.now, servers.directory + "/gate"
    os.mkfifo(gate)
    os.chmod(gate, 0o666)
    script(primary.data + "/it's first", f"""echo "arguments: $*"
read line <{gate}
PGPASSWORD= {bin_dir()}/pg_basebackup -h $7 -p $4 -U postgres -D $3 -R -c fast || exit 1
echo "port = $6" >>$3/postgresql.auto.conf
echo "primary_slot_name = ''" >>$3/postgresql.auto.conf
echo 'é and \\ and a last line without its end' | tr -d '\\n'
""")
    script(primary.data + "/pgpool_remote_start", f"""echo "start: $*"
{bin_dir()}/pg_ctl start -s -D $2 -l $2.log 2>/dev/null >/dev/null </dev/null
""")
    with servers.begin(node, first_stage="it's first") as process:
        assert wait_line(process, "arguments") == (
            f"arguments: {primary.data} {node.host} {node.data} {primary.port} {node.number} "
            f"{node.port} {primary.host}\n")
        assert "is still at work on the primary" in servers.recover(node, first_stage="x")[0]
        with open(gate, "w", encoding="utf-8") as file:
            file.write("\n")
        text = process.communicate(timeout=60 * SLOW)[0]
    assert text.endswith("ended done: \n"), text
    assert "é and \\ and a last line without its end\n" in text
    assert f"start: {node.host} {node.data}\n" in text
    servers.check(node)
    assert not [n for n in os.listdir(primary.data) if "pgpool_recovery" in n]


def test_script_that_fails(servers, node):
    script(servers.now.data + "/failing", "echo at first; echo it is no use >&2; exit 7")
    servers.fail(node, "script \"failing\" failed on the primary: it is no use",
                 first_stage="failing")
    servers.fail(node, "script \"missing\" failed on the primary", first_stage="missing")
    assert node.value("SELECT 1") == 1


def test_primary_that_is_none(servers, node):
    servers.fail(servers.others()[0], "is not a primary", primary_id=node.number,
                 primary_port=node.port)
