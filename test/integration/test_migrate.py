"""`pgpool migrate`: configurations of Pgpool-II and PgBouncer are written anew, and what comes out
is started against a real cluster."""

import glob
import os
import re

import pytest

from cluster import run
from daemon import Daemon
from proxy import binary

pytestmark = pytest.mark.one_engine

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "migrate")
PGPOOL2 = ["pgpool-ii-4.8.conf", "streaming.conf", "before-4.2.conf", "pool-only.conf",
           "watchdog.conf", "cache.conf"]
PGBOUNCER = ["pgbouncer.ini", "pgbouncer-many.ini"]
POOL_HBA = "local all all trust\nhost all all 127.0.0.1/32 trust\n"
USERLIST = ('"postgres" "se""cret"\n; a comment\n"other" "md5%s"\n"third" "SCRAM-SHA-256$4096:'
            'c2FsdHNhbHRzYWx0c2FsdA==$%s:%s"\n"of:colon" "x"\nnonsense\n') % (
                "0" * 32, "A" * 43 + "=", "A" * 43 + "=")
WRITE = """BEGIN; CREATE TEMP TABLE t (n int) ON COMMIT DROP; INSERT INTO t VALUES (7);
           SELECT n FROM t; COMMIT"""
FAULT = re.compile(r"^(?!pgpool: (warning|note): )", re.M)


class Migrated(Daemon):
    """A pgpool whose configuration came out of `pgpool migrate`."""

    def __init__(self, cluster, old):
        super().__init__(cluster)
        self.old = os.path.join(self.directory, "old", old)
        self.settings["num_init_children"] = 1  # at least as many processes
        os.mkdir(os.path.dirname(self.old))
        for path in glob.glob(HERE + "/*"):
            with open(path, encoding="utf-8") as file:
                self.put("old/" + os.path.basename(path), self.filled(file.read()))

    def filled(self, text):
        values = {"port": self.port, "pcp_port": self.pcp_port, "dir": self.directory,
                  "primary": self.cluster.servers[0].port,
                  "standby": self.cluster.servers[1].port}
        return re.sub(r"@(\w+)@", lambda match: str(values[match.group(1)]), text)

    def put(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def migrate(self, *words):
        return run(binary(), *words, "migrate", self.old, check=False)

    def write_config(self, **settings):
        """It is what it is: this only puts its neighbours beside it."""
        assert not settings
        for name, text in (("pool_hba.conf", POOL_HBA), ("pool_passwd", "")):
            if not os.path.exists(os.path.join(self.directory, name)):
                self.put(name, text)

    def take(self, more=""):
        """Migrates, checks, and returns the new text."""
        done = self.migrate()
        assert done.returncode == 0, done.stdout + done.stderr
        self.put("pgpool.conf", done.stdout + more)
        self.write_config()
        tested = self.run("configtest")
        assert tested.returncode == 0, tested.stdout + tested.stderr
        return done

    def log_text(self):
        return "".join(open(path, encoding="utf-8", errors="replace").read()
                       for path in glob.glob(self.log_directory + "/*"))


@pytest.fixture(name="old")
def old_fixture(cluster):
    made = []

    def make(name):
        made.append(Migrated(cluster, name))
        return made[-1]

    yield make
    for pgpool in made:
        pgpool.finish()


def old_text(name, seen=()):
    """With what it includes."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        text = file.read()
    for other in re.findall(r"^%?include '?([^'\n]+)'?$", text, re.M):
        assert other not in seen
        text += old_text(other, (*seen, name))
    return text


def new_value(text, name):
    found = re.findall(rf"^{name} = (.*)$", text, re.M)
    assert len(found) <= 1, f"{name} is set more than once:\n{text}"
    return found[0].strip("'") if found else None


@pytest.fixture(scope="module", name="migrant")
def migrant_fixture(direct):
    """A role with a password."""
    with direct.connect() as connection:
        connection.execute("CREATE ROLE migrant LOGIN PASSWORD 'knock'")
    yield
    with direct.connect() as connection:
        connection.execute("DROP ROLE migrant")


@pytest.mark.parametrize("name", PGPOOL2 + PGBOUNCER)
@pytest.mark.usefixtures("migrant")
def test_psql_works_with_what_comes_out(old, name):
    pgpool = old(name)
    more = "" if name in PGPOOL2 else (
        f"pid_file_name = '{pgpool.directory}/pgpool.pid'\nwork_dir = '{pgpool.directory}'\n"
        f"pcp_port = {pgpool.pcp_port}\npcp_socket_dir = '{pgpool.directory}'\n")
    if name == "pgbouncer-many.ini":
        more += f"logging_collector = on\nlog_directory = '{pgpool.log_directory}'\n"
    pgpool.take(more)
    pgpool.start()
    env = pgpool.env()
    if name == "pgbouncer.ini":  # whom auth_query knows has to prove it
        env = pgpool.env(PGUSER="migrant", PGPASSWORD="knock")
        wrong = run("psql", "-c", "SELECT 1", env=env | {"PGPASSWORD": "knack"}, check=False)
        assert wrong.returncode == 2 and "password authentication failed" in wrong.stderr
    done = run("psql", "-XAtqc", WRITE, env=env)
    assert done.stdout.split() == ["7"]
    done = run("psql", "-XAtc", "SHOW pool_nodes", env=env)
    nodes = [row.split("|") for row in done.stdout.splitlines()]
    assert [row[2] for row in nodes][0] == str(pgpool.cluster.servers[0].port)
    assert [row[3] for row in nodes] == ["up"] * len(nodes)


@pytest.mark.parametrize("name", PGPOOL2 + PGBOUNCER)
def test_every_parameter_is_accounted_for(old, name):
    new = old(name).migrate().stdout
    text = re.sub(r"^\s*[;#].*$", "", old_text(name), flags=re.M)
    if name in PGBOUNCER:
        names = re.findall(r"^\"?([\w ]+)\"?\s+=", text.split("[pgbouncer]")[1].split("[")[0], re.M)
    else:
        names = [word for word in re.findall(r"^(\w+) *=", text, re.M)]
    words = set(re.findall(r"[\w-]+", new))
    assert len(names) > 15
    missing = [word for word in names if word.strip() not in words]
    assert not missing, f"{missing}\n{new}"


def test_secrets_stand_in_no_comment(old):
    for name in ("before-4.2.conf", "watchdog.conf", "pgbouncer-many.ini"):
        done = old(name).migrate()
        comments = [line for line in done.stdout.splitlines() if line.startswith("#")]
        assert "never" not in "\n".join(comments) + done.stderr


def test_clients_are_no_processes_any_more(old):
    new = old("streaming.conf").take().stdout
    assert new_value(new, "num_init_children") is None
    assert new_value(new, "max_backend_connections") == "200"
    assert new_value(new, "max_client_connections") == "99"
    assert new_value(new, "reserved_connections") is None
    assert new_value(new, "failover_command").startswith("/etc/pgpool-II/failover.sh %d ")
    assert new_value(new, "process_management_mode") is None
    assert new_value(new, "backend_weight0") == "0"


def test_old_names_and_switches_are_understood(old):
    done = old("before-4.2.conf").take()
    new = done.stdout
    assert new_value(new, "backend_clustering_mode") == "streaming_replication"
    assert new_value(new, "write_function_list") == "currval, lastval, nextval, setval"
    assert new_value(new, "failover_on_backend_error") == "off"
    assert new_value(new, "work_dir") is not None and new_value(new, "logdir") is None
    assert "ALWAYS_PRIMARY" in new_value(new, "backend_flag0")
    assert 'unknown parameter "system_db_hostname"' in done.stderr
    assert "log_line_prefix decides" in new


def test_a_value_that_nobody_chose_gives_way(old):
    new = old("pgpool-ii-4.8.conf").take().stdout
    for name in ("health_check_period", "health_check_timeout", "auto_failback", "if_up_cmd"):
        assert new_value(new, name) is None
        assert re.search(rf"^# was: {name} = ", new, re.M)
    assert new_value(old("streaming.conf").migrate().stdout, "health_check_period") == "5s"


def test_a_chosen_period_stays_for_each_node(old):
    pgpool = old("pool-only.conf")
    with open(pgpool.old, "a", encoding="utf-8") as file:
        file.write("health_check_period = 9\nhealth_check_period0 = 0\n")
    new = pgpool.take().stdout
    assert new_value(new, "health_check_period") == "9s"
    assert new_value(new, "health_check_period0") == "0"


def test_the_watchdog_waits_for_etcd(old):
    new = old("watchdog.conf").take().stdout
    assert new_value(new, "use_watchdog") == "off"
    assert "wd_etcd_hosts" in new
    assert new_value(new, "hostname1") == "server2"
    assert new_value(new, "delegate_ip") == "192.0.2.50"
    assert new_value(new, "wd_port1") is None


@pytest.mark.parametrize("line, mode", [
    ("backend_clustering_mode = 'native_replication'", "native_replication"),
    ("backend_clustering_mode = snapshot_isolation", "snapshot_isolation"),
    ("replication_mode = true", "native_replication")])
def test_what_native_replication_has_not_is_turned_off(old, line, mode):
    pgpool = old("cache.conf")
    with open(pgpool.old, "a", encoding="utf-8") as file:
        file.write(f"{line}\ninsert_lock = off\nlobj_lock_table = 'locks'\nuse_watchdog = on\n")
    new = pgpool.take().stdout
    assert new_value(new, "backend_clustering_mode") == mode
    assert new_value(new, "memory_cache_enabled") == "off"
    assert "# was: memory_cache_enabled = 'on'" in new
    assert new_value(new, "use_watchdog") == "off" and "wd_etcd_hosts" not in new
    for name in ("insert_lock", "lobj_lock_table"):
        assert new_value(new, name) is None
        assert re.search(rf"^# was: {name} = .*\n# Not needed: ", new, re.M)
    assert "so far" not in new


def test_the_cache_stays_on_elsewhere(old):
    assert new_value(old("cache.conf").take().stdout, "memory_cache_enabled") == "on"


def test_a_node_without_a_port_is_none(old):
    new = old("pool-only.conf").take().stdout
    assert new_value(new, "backend_hostname1") is None
    assert "# was: backend_hostname1 = 'leftover'" in new


def test_a_mode_that_is_not_built_is_refused(old):
    """Sent to one of several independent servers, writes would be lost."""
    pgpool = old("pool-only.conf")
    with open(pgpool.old, "a", encoding="utf-8") as file:
        file.write("backend_clustering_mode = 'slony'\n")
    done = pgpool.migrate()
    assert done.returncode == 1
    assert "backend_clustering_mode" in done.stderr and FAULT.search(done.stderr)
    assert new_value(done.stdout, "backend_clustering_mode") == "slony"


def test_no_text_of_the_old_file_becomes_a_setting(old):
    pgpool = old("pool-only.conf")
    with open(pgpool.old, "a", encoding="utf-8") as file:
        file.write("no_such = 'a\\nport = 1'\nwd_lifecheck_query = 'b\\nport = 2'\n"
                   "parallel_mode = '\\012port = 3'\nlog_line_prefix = 'c\\nport = 4'\n")
    new = pgpool.take().stdout
    assert new_value(new, "port") == str(pgpool.port)


def test_lines_and_values_that_are_wrong_are_said(old):
    pgpool = old("pool-only.conf")
    with open(pgpool.old, "a", encoding="utf-8") as file:
        file.write("max_pool = many\nthis is no line\nclient_idle_limit = 10 20\n"
                   "backend_port200 = 1\n")
    done = pgpool.take()
    assert 'value of "max_pool"' in done.stderr
    assert done.stderr.count("the line is not understood") == 2
    assert new_value(done.stdout, "max_pool") is None
    assert "backend_port200" in done.stdout


def test_files_that_cannot_be_read_are_faults(old):
    pgpool = old("cache.conf")
    os.unlink(os.path.join(pgpool.directory, "old", "cache-nodes.conf"))
    done = pgpool.migrate()
    assert done.returncode == 1 and "cache-nodes.conf" in done.stderr and done.stdout == ""
    with open(pgpool.old, "a", encoding="utf-8") as file:
        file.write("include 'cache.conf'\n")
    pgpool.put("old/cache-nodes.conf", "")
    done = pgpool.migrate()
    assert done.returncode == 1 and "include each other" in done.stderr


def test_pgbouncer_becomes_several_files(old):
    pgpool = old("pgbouncer-many.ini")
    pgpool.put("old/userlist.txt", USERLIST)
    pgpool.put("old/bouncer_hba.conf", POOL_HBA)
    new = pgpool.take().stdout
    assert new_value(new, "query_wait_timeout") == "30500ms"
    assert new_value(new, "connect_timeout") == "7s"
    assert new_value(new, "enable_pool_hba") == "on"
    assert new_value(new, "backend_port1") is None and "#backend_port1 = " in new
    assert new_value(new, "max_backend_connections") == str(40 + 40 + 40)
    limits = pgpool.migrate("--part=pool_limits").stdout
    assert [line.split() for line in limits.splitlines() if line[:1] != "#"] == [
        ["*", "reports", "session", "3"], ["*", '"odd', 'user"', "transaction", "0"],
        ["test", "*", "session", "40"], ["test", "*", "-", "7"], ["test", "*", "-", "40"]]
    done = pgpool.migrate("--part=pool_passwd")
    lines = [line for line in done.stdout.splitlines() if line[:1] != "#"]
    assert [line.split(":")[0] for line in lines] == ["postgres", "other", "third"]
    assert lines[0] == 'postgres:TEXTse"cret'
    assert done.stderr.count("the line is not understood") == 2
    assert pgpool.migrate("--part=pool_hba.conf").stdout.endswith(POOL_HBA)
    for part, text in (("pool_limits", limits), ("pool_passwd", done.stdout)):
        pgpool.put(part, text)
    assert pgpool.run("configtest").returncode == 0


def test_tls_and_methods_of_pgbouncer_become_rules(old):
    pgpool = old("pgbouncer.ini")
    with open(pgpool.old, "a", encoding="utf-8") as file:
        file.write("client_tls_sslmode = verify-full\nclient_tls_protocols = tlsv1.3\n"
                   "client_tls_key_file = /k\nclient_tls_cert_file = /c\n")
    done = pgpool.migrate()
    assert done.returncode == 0, done.stderr
    assert new_value(done.stdout, "ssl") == "on"
    assert new_value(done.stdout, "ssl_min_protocol_version") == "TLSv1.3"
    assert new_value(done.stdout, "enable_pool_hba") == "on"
    rules = pgpool.migrate("--part=pool_hba.conf").stdout
    assert re.search(r"^hostssl +all +all +all +scram-sha-256 clientcert=verify-ca$", rules, re.M)
    assert not re.search(r"^host ", rules, re.M)


@pytest.mark.parametrize("words, status", [
    (["migrate"], 2), (["migrate", "/no/such/file"], 1), (["migrate", "a", "b"], 2),
    (["--from=x", "migrate", "a"], 2), (["--part=x", "migrate", "a"], 2),
    (["--part=pool_limits", "--from=pgpool-ii", "migrate", "/dev/null"], 1)])
def test_commands_that_are_wrong(words, status):
    done = run(binary(), *words, check=False)
    assert done.returncode == status
    assert done.stdout == "" and done.stderr.startswith("pgpool: ")


def test_a_file_of_our_own_stays_what_it_is(old):
    pgpool = old("streaming.conf")
    again = pgpool.take().stdout
    pgpool.put("old/streaming.conf", again)
    twice = pgpool.take().stdout
    def settings(text):
        return [line for line in text.splitlines() if line and not line.startswith("#")]
    assert settings(twice) == settings(again)
