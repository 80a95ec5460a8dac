"""A pgpool of our own: its configuration, its start, its log, and what must be true at its end."""

import glob
import os
import re
import shutil
import signal
import subprocess

import processes
import raw
from cluster import Target, make_dir
from waiting import free_port, wait_for

COMPLAINTS = re.compile(r"^.*(AddressSanitizer|LeakSanitizer|runtime error:|PANIC: ).*$", re.M)


def binary():
    """The program under test: $PGPOOL_BIN, else test/run's build."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("PGPOOL_BIN",
                          os.path.join(here, "..", "..", "build-test", "gcc", "pgpool"))


def asked_all_nodes(connection):
    """On a slow machine clients are let in before (FIRST_LOOK_LIMIT_MS): what they read may go to
    the primary then, and what they write to nobody."""
    return "waiting" not in [row[3] for row in connection.rows("SHOW pool_nodes")]


class Pgpool(Target):
    """Started by start(), ended by finish(), which also judges how it ended."""

    name = "pgpool"
    running = []  # for the log excerpt of a failed test

    def __init__(self, cluster, engine="auto", **settings):
        super().__init__("127.0.0.1", free_port())
        self.cluster = cluster
        self.directory = make_dir("pgpool-")
        self.config = os.path.join(self.directory, "pgpool.conf")
        self.log = os.path.join(self.directory, "pgpool.log")
        self.pcp_port = free_port()
        self.process = None
        self.log_from = 0
        self.knows_nodes = True
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "pcp_listen_addresses": "127.0.0.1",
            "pcp_port": self.pcp_port,
            "pcp_socket_dir": self.directory,
            "pid_file_name": os.path.join(self.directory, "pgpool.pid"),
            "work_dir": self.directory,
            "num_init_children": 2,
            "io_engine": engine,
            "sr_check_period": 1,
            "sr_check_user": "postgres",
            "sr_check_database": "postgres",
            "log_min_messages": "info",
            "log_connections": "on",
            "log_disconnections": "on",
        }
        for number, server in enumerate(cluster.servers):
            self.settings |= {
                f"backend_hostname{number}": server.host,
                f"backend_port{number}": server.port,
                f"backend_weight{number}": 0 if number == 0 else 1,
                f"backend_data_directory{number}": server.data,
                f"backend_flag{number}": "ALLOW_TO_FAILOVER",
            }
        if os.getuid() != 0:  # else the tests could not look at the processes
            self.settings["allow_core_files"] = "on"
        self.settings["pool_mode"] = os.environ.get("PGPOOL_TEST_POOL_MODE", "auto")
        self.settings |= settings
        if "PGPOOL_VALGRIND" in os.environ:
            self.settings["io_engine"] = "epoll"
        self.port = self.settings["port"]

    def write_config(self, **settings):
        """A pgpool that is about to read it reads what it was, or what it is now."""
        self.settings |= settings
        with open(self.config + ".new", "w", encoding="utf-8") as file:
            for name, value in self.settings.items():
                file.write(f"{name} = '{value}'\n")
        if os.path.exists(self.config):
            now = os.stat(self.config)
            os.chmod(file.name, now.st_mode & 0o7777)
            os.chown(file.name, now.st_uid, now.st_gid)
        os.replace(file.name, self.config)
        for name in ("pool_hba.conf", "pool_passwd"):
            path = os.path.join(self.directory, name)
            if not os.path.exists(path):
                with open(path, "w", encoding="utf-8"):
                    pass
                os.chmod(path, 0o600)

    def reload(self, **settings):
        """Writes these settings and waits until the parent has taken them."""
        done = self.log_text().count("has been reloaded")
        self.write_config(**settings)
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log_text().count("has been reloaded") > done, "the reload")

    def command(self, *words):
        return [binary(), "-f", self.config, "-F", os.path.join(self.directory, "pcp.conf"),
                "-a", os.path.join(self.directory, "pool_hba.conf"), *words]

    def checker(self):
        """With $PGPOOL_VALGRIND all processes run under valgrind (epoll only: it does not see what
        the kernel writes by io_uring)."""
        if "PGPOOL_VALGRIND" not in os.environ:
            return []
        return ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
                "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
                f"--log-file={self.directory}/sanitizer.%p"]

    def start(self, knows_nodes=True):
        """False: it is not to take part in what the others know of the nodes; it answers."""
        self.knows_nodes = knows_nodes
        self.launch()
        try:
            wait_for(self._answers, "pgpool to answer a query", 30)
            self.wait_titles()
        except BaseException as error:
            text = self.log_text()
            self.kill()
            raise AssertionError(f"pgpool did not start: {error}\n{text[-6000:]}") from error
        return self

    def launch(self):
        """Without waiting for anything."""
        self.write_config()
        sanitizer = f"log_path={self.directory}/sanitizer:exitcode=99:detect_leaks=1"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.checker(), *self.command("-n")], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=self.directory, start_new_session=True,
                env={**os.environ, "ASAN_OPTIONS": sanitizer,
                     "UBSAN_OPTIONS": f"print_stacktrace=1:{sanitizer}"})
        Pgpool.running.append(self)

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}")
        try:
            with raw.connected(self, timeout=5, database="postgres") as connection:
                return connection.rows("SELECT 1") == [["1"]] and \
                    (not self.knows_nodes or asked_all_nodes(connection))
        except (OSError, TimeoutError, raw.Closed, AssertionError):
            return False

    def wait_titles(self):
        """Until every process is what its title says; one that was forked just now is called as its
        parent is."""
        if "PGPOOL_VALGRIND" not in os.environ:
            wait_for(lambda: len(self.named("child")) >= int(self.settings["num_init_children"]) and
                     not any(processes.title(pid).startswith("pgpool: parent")
                             for pid in processes.young(self.pid)), "all processes to have titles")

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """The parent and all of its processes."""
        return [self.pid, *processes.descendants(self.pid)]

    def named(self, word):
        """Pids of the processes in whose title the word stands ("child", "lag", "pcp", ...)."""
        return [pid for pid in processes.young(self.pid)
                if re.search(rf"\b{word}\b", processes.title(pid))]

    def kill_named(self, word, *victims):
        """Kills these processes, all of that name by default, and waits until as many others stand
        in their place: somebody killed is listed, and may be what a client comes to, until the
        kernel has ended him."""
        before = self.named(word)
        victims = victims or before
        for pid in victims:
            os.kill(pid, signal.SIGKILL)

        def replaced():
            now = self.named(word)
            return len(now) == len(before) and not set(now) & set(victims)

        wait_for(replaced, f"others in the place of {word} {victims}")

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def mark_log(self):
        self.log_from = os.path.getsize(self.log) if os.path.exists(self.log) else 0

    def log_since_mark(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, "rb") as file:
            file.seek(self.log_from)
            return file.read().decode(errors="replace")

    def complaints(self):
        """What the sanitizers wrote, and PANIC lines of the log."""
        found = [match.group(0) for match in COMPLAINTS.finditer(self.log_text())]
        for path in glob.glob(self.directory + "/sanitizer.*"):
            with open(path, encoding="utf-8", errors="replace") as file:
                found.append(file.read()[:4000])
        found = [text for text in found if text.strip()]
        return found

    def stop(self, signo=signal.SIGINT, timeout=5.0):
        """Asks it to stop and returns its exit code; None when it does not stop in time."""
        self.process.send_signal(signo)
        try:
            wait_for(lambda: self.process.poll() is not None, "pgpool to stop", timeout)
        except AssertionError:
            return None
        return self.process.returncode

    def finish(self):
        """Stops it in the fast mode; every way in which that can be wrong is an error."""
        wrong, pids = [], self.pids()
        if self.process.poll() is not None:
            wrong.append(f"pgpool had ended with {self.process.returncode}")
        else:
            try:  # one that has just ended is a zombie until the parent runs
                wait_for(lambda: not processes.zombies(self.pid), "zombies to go", 5)
            except AssertionError:
                wrong.append(f"zombies: {processes.zombies(self.pid)}")
            code = self.stop()
            if code is None:
                wrong.append("pgpool did not stop within 5 s of SIGINT")
            elif code != 0:
                wrong.append(f"pgpool exited with {code}")
        def left():  # servers that it has just started go on
            return {pid: title for pid in pids if processes.alive(pid) and
                    not (title := processes.title(pid)).startswith("postgres:") and
                    "/postgres -D" not in title}
        try:
            wait_for(lambda: not left(), "its processes", 2)
        except AssertionError:
            wrong.append(f"left behind: {left()}")
        wrong += self.complaints()
        text = self.log_text()
        self.kill()
        if wrong:
            raise AssertionError("\n".join(wrong) + "\nthe log's end:\n" + text[-3000:])

    def kill(self):
        """Ends it whatever its state, and removes its files."""
        if self in Pgpool.running:
            Pgpool.running.remove(self)
        if self.process is not None:
            pids = self.pids() if self.process.poll() is None else []
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
        if not os.environ.get("PGPOOL_TEST_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)


def starter(cluster, engine):
    """For a fixture: a function that starts a pgpool with settings of the test's own. All of them
    are ended behind the test, and each must end well."""
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
