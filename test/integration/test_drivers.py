"""What people use: psql, pg_dump, pgbench and drivers. Each script runs once directly and once
through pgpool, and must give the same results."""

import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from cluster import CACHE, run
from drivers import asyncpg_script, psycopg_script
from waiting import SLOW, wait_for

pytestmark = pytest.mark.plain

HERE = os.path.dirname(os.path.abspath(__file__))
NODE_PACKAGES = ("pg@8", "pg-cursor@2")


@pytest.fixture(scope="module", name="data")
def data_fixture(cluster):
    cluster.sql("""
        DROP TABLE IF EXISTS drv_child, drv_t;
        CREATE TABLE drv_t (id int PRIMARY KEY, name text NOT NULL, at date, price numeric(8,2));
        INSERT INTO drv_t SELECT g, 'name ' || g, '2020-01-01'::date + g, g * 1.5
            FROM generate_series(0, 999) g;
        CREATE TABLE drv_child (id serial PRIMARY KEY, parent int REFERENCES drv_t, body text);
        INSERT INTO drv_child (parent, body) SELECT g % 1000, repeat('b', g % 100)
            FROM generate_series(1, 3000) g;
        CREATE INDEX ON drv_child (parent);
        CREATE OR REPLACE VIEW drv_view AS SELECT id, upper(name) AS loud FROM drv_t;
        COMMENT ON TABLE drv_t IS 'what drivers read';
        ANALYZE drv_t; ANALYZE drv_child""")


def output(target, *command, check=True, **env):
    done = run(*command, check=check, timeout=120, env=target.env(PSQLRC="/dev/null", **env),
               cwd="/tmp")
    return done.returncode, done.stdout, done.stderr.replace(str(target.port), "PORT")


def same(direct, pgpool, play):
    """Runs it against both and compares."""
    expected = play(direct)
    assert play(pgpool) == expected
    return expected


# ---- psql ----------------------------------------------------------------------------------------

PSQL = {
    "describe": r"\d drv_*" "\n" r"\d+ drv_t" "\n" r"\dt drv_*" "\n" r"\dv drv*" "\n" r"\di drv*"
                "\n" r"\ds drv*" "\n" r"\dn" "\n" r"\df pg_catalog.int4pl" "\n" r"\du postgres" "\n"
                r"\dp drv_t" "\n" r"\dT int4" "\n" r"\dd drv*",
    "results": "SELECT * FROM drv_t ORDER BY id LIMIT 20;\nTABLE drv_view LIMIT 3;\n"
               "SELECT count(*), sum(price) FROM drv_t;\nSELECT 1/0;\nSELECT 1;",
    "variables": "SELECT count(*) AS n FROM drv_t \\gset\n\\echo :n\n"
                 "\\if :{?n}\n\\echo yes\n\\endif\n"
                 "SELECT :n + 1;\nSELECT 'drv_' || 't' AS t \\gset\nSELECT count(*) FROM :t;\n"
                 "SELECT format('SELECT %s', g) FROM generate_series(1, 3) g \\gexec\n",
    "formats": "\\x on\nSELECT * FROM drv_t WHERE id = 1;\n"
               "\\pset format csv\nTABLE drv_view LIMIT 2;\n"
               "\\pset format html\nSELECT '<x>';\n",
    "descriptions": "SELECT id, name, price FROM drv_t \\gdesc\nSELECT 1 \\gdesc\n"
                    "SELEC \\gdesc\n",
    "cursor_by_fetch_count": "\\set FETCH_COUNT 50\nSELECT id FROM drv_t ORDER BY id;\n"
                             "SELECT 10/(500 - id) FROM drv_t WHERE id > 490 ORDER BY id;\n"
                             "SELECT 1;",
    "transactions": "BEGIN;\nCREATE TABLE drv_tx (a int);\n\\d drv_tx\nROLLBACK;\n\\d drv_tx\n"
                    "\\set ON_ERROR_ROLLBACK on\nBEGIN;\nSELECT 1/0;\nSELECT 2;\nCOMMIT;\n",
    "copy": "CREATE TEMP TABLE c (a int, b text);\nCOPY c FROM STDIN;\n1\tone\n2\ttwo\n\\.\n"
            "COPY c TO STDOUT;\n\\copy c to stdout csv\n\\copy c from stdin csv\n3,three\n\\.\n"
            "TABLE c;\nCOPY c FROM STDIN;\nx\ty\n\\.\nSELECT count(*) FROM c;\n",
    "settings": "\\encoding LATIN1\n\\encoding\nSHOW client_encoding;\n"
                "SET timezone = 'Asia/Tokyo';\n"
                "SHOW timezone;\nRESET ALL;\n",
    "session": "\\c test postgres\nSELECT current_database();\n\\c no_such_database\nSELECT 1;\n",
}


@pytest.mark.parametrize("script", PSQL)
def test_psql(data, direct, pgpool, script):
    same(direct, pgpool, lambda target: psql(target, PSQL[script]))


def psql(target, text, *options):
    done = subprocess.run(["psql", "-X", "-a", *options], input=text, capture_output=True,
                          text=True, check=False, env=target.env(), cwd="/tmp", timeout=60 * SLOW)
    return done.returncode, done.stdout, done.stderr.replace(str(target.port), "PORT")


def test_psql_in_one_transaction(data, direct, pgpool):
    text = "CREATE TABLE drv_one (a int); INSERT INTO drv_one VALUES (1); SELECT 1/0; SELECT 2;"
    expected = same(direct, pgpool, lambda t: psql(t, text, "-1", "-v", "ON_ERROR_STOP=1", "-f-"))
    assert expected[0] == 3
    assert direct.value("SELECT to_regclass('drv_one')") is None


def test_psql_copies_files(data, direct, pgpool):
    def play(target):
        with tempfile.TemporaryDirectory() as folder:
            file = folder + "/rows"
            out = output(target, "psql", "-X", "-c", f"\\copy drv_child to '{file}'")
            out += output(target, "psql", "-X", "-c", "CREATE TEMP TABLE c (LIKE drv_child)", "-c",
                          f"\\copy c from '{file}'", "-c", "SELECT count(*), sum(id) FROM c")
            with open(file, encoding="utf-8") as rows:
                return out, rows.read()

    same(direct, pgpool, play)


def interrupted(target, command, ready, what):
    """Starts psql, sends it SIGINT when it is ready, and returns how it ended."""
    with tempfile.TemporaryFile("w+") as out:
        with subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=target.env(),
                              stdin=subprocess.DEVNULL, start_new_session=True) as process:
            def text():
                out.flush()
                with open(f"/proc/self/fd/{out.fileno()}", encoding="utf-8") as again:
                    return again.read()

            try:
                wait_for(lambda: ready(text()), what, 20)
                process.send_signal(signal.SIGINT)
                process.wait(20 * SLOW)
            finally:
                if process.poll() is None:
                    process.kill()
            return process.returncode, text()


def test_psql_watch(data, direct, pgpool):
    def play(target):
        code, text = interrupted(
            target, ["psql", "-X", "-At", "-f", watch],
            lambda text: text.count("1000\n") >= 3, "three results of \\watch")
        assert code in (0, 3), text  # by where the signal hits: the query, or the pause behind it
        return set(re.findall(r"^1000$|ERROR:(?!  canceling).*", text, re.M))

    with tempfile.TemporaryDirectory() as folder:
        watch = folder + "/watch.sql"
        with open(watch, "w", encoding="utf-8") as file:
            file.write("SELECT count(*) FROM drv_t \\watch 0.1\n")
        same(direct, pgpool, play)


def test_psql_interrupted(data, direct, pgpool):
    def play(target):
        mark = f"drv_interrupt_{target.name}"
        return interrupted(
            target, ["psql", "-X", "-c", f"SELECT pg_sleep(60) /* {mark} */", "-c", "SELECT 2"],
            lambda _: any(server.value(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' "
                "AND pid <> pg_backend_pid()", f"%{mark}%") for server in target.cluster.servers),
            "the query to run")

    code, text = same(direct, pgpool, play)
    assert "canceling statement due to user request" in text


# ---- pg_dump, pg_restore -------------------------------------------------------------------------

def dump(target, *options):
    code, text, error = output(target, "pg_dump", *options)
    return code, re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M), error


def test_pg_dump(data, direct, pgpool):
    code, text, _ = same(direct, pgpool, lambda t: dump(t, "-t", "drv_*"))
    assert code == 0 and text.count("\n") > 4000
    same(direct, pgpool, lambda t: dump(t, "-t", "drv_*", "--inserts", "--rows-per-insert=10"))
    same(direct, pgpool, lambda t: dump(t, "--schema-only"))


def test_pg_restore(data, direct, pgpool):
    def play(target):
        database = f"drv_restored_{target.name}"
        with tempfile.TemporaryDirectory() as folder:
            output(target, "pg_dump", "-Fc", "-t", "drv_*", "-f", folder + "/dump")
            output(target, "dropdb", "--if-exists", database)
            output(target, "createdb", database)
            output(target, "pg_restore", "-d", database, folder + "/dump")
            out = [dump(target, "-d", database)]
            out.append(output(target, "pg_restore", "-1", "-d", database, folder + "/dump",
                              check=False)[0])
            output(target, "pg_restore", "--clean", "--if-exists", "-d", database, folder + "/dump")
            out.append(dump(target, "-d", database)[1] == out[0][1])
            return out

    expected = same(direct, pgpool, play)
    assert expected[1] != 0 and expected[2]


# ---- pgbench -------------------------------------------------------------------------------------

PIPELINE = r"""
\set aid random(1, 100000)
\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
\endpipeline
\startpipeline
BEGIN;
SELECT 1;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, 0, now());
COMMIT;
\endpipeline
"""


@pytest.fixture(scope="module", name="bench")
def bench_fixture(pgpool):
    """pgbench's tables, made through pgpool."""
    output(pgpool, "pgbench", "-i", "-q", "-s", "1")
    return pgpool


def pgbench(target, *options, clients=4, transactions=40):
    _, text, error = output(target, "pgbench", "-n", "-c", str(clients), "-j", "2", "-t",
                            str(transactions), *options)
    done = re.search(r"actually processed: (\d+)/(\d+)", text)
    assert done and done.group(1) == done.group(2) == str(clients * transactions), text + error
    failed = re.search(r"failed transactions: (\d+)", text)
    assert not failed or failed.group(1) == "0", text
    assert "error" not in error.lower(), error


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("options", [[], ["-S"], ["-S", "-C"], ["-C"], ["-N"]], ids=" ".join)
def test_pgbench(bench, direct, mode, options):
    pgbench(bench, "-M", mode, *options, transactions=10 if "-C" in options else 40)
    assert direct.value("SELECT (SELECT sum(abalance) FROM pgbench_accounts)"
                        " - (SELECT coalesce(sum(delta), 0) FROM pgbench_history)") == 0


@pytest.mark.parametrize("mode", ["extended", "prepared"])
def test_pgbench_pipelines(bench, direct, mode):
    script = os.path.join(bench.directory, "pipeline.sql")
    with open(script, "w", encoding="utf-8") as file:
        file.write(PIPELINE)
    before = direct.value("SELECT sum(abalance) FROM pgbench_accounts")
    pgbench(bench, "-M", mode, "-f", script)
    assert direct.value("SELECT sum(abalance) FROM pgbench_accounts") - before == 160
    with direct.connect() as connection:  # so that balances equal the history again
        connection.execute("UPDATE pgbench_accounts SET abalance = 0; TRUNCATE pgbench_history")


# ---- libraries -----------------------------------------------------------------------------------

@pytest.mark.parametrize("script", psycopg_script.SCRIPTS, ids=lambda f: f.__name__)
def test_psycopg(data, direct, pgpool, script):
    same(direct, pgpool, lambda target: script(target.dsn()))


@pytest.mark.parametrize("script", asyncpg_script.SCRIPTS, ids=lambda f: f.__name__)
def test_asyncpg(data, direct, pgpool, script):
    same(direct, pgpool, lambda target: asyncpg_script.play(target, script))


def test_libpq_modes(data, direct, pgpool, tmp_path):
    program = str(tmp_path / "libpq_modes")
    flags = run("pkg-config", "--cflags", "--libs", "libpq").stdout.split()
    run("gcc", "-Wall", "-Wextra", "-Werror", "-o", program, HERE + "/drivers/libpq_modes.c",
        *flags)
    code, text, _ = same(direct, pgpool, lambda t: output(t, program, t.dsn()))
    assert "PGRES_SINGLE_TUPLE" in text and "PGRES_PIPELINE_ABORTED" in text


@pytest.fixture(scope="session", name="node_modules")
def node_modules_fixture():
    """node's pg, installed once into the build directory, whichever worker needs it first."""
    folder = os.path.join(CACHE, "node")
    done = folder + "/installed"
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(done):
            run("npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", folder,
                *NODE_PACKAGES, timeout=120, cwd=folder)
            with open(done, "w", encoding="ascii"):
                pass
    return folder + "/node_modules"


def test_node(data, direct, pgpool, node_modules):
    def play(target):
        return output(target, shutil.which("node"), HERE + "/drivers/node_pg.js", target.host,
                      str(target.port), target.database, target.user, NODE_PATH=node_modules)[:2]

    code, text = same(direct, pgpool, play)
    assert "refused" in text


def test_jdbc(data, direct, pgpool, tmp_path):
    (jar,) = glob.glob("/usr/share/java/postgresql.jar")
    run("javac", "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-cp", jar, "-d", str(tmp_path),
        HERE + "/drivers/Jdbc.java")

    def play(target):
        return output(target, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto",
                      "-cp", f"{jar}:{tmp_path}", "Jdbc",
                      f"jdbc:postgresql://{target.host}:{target.port}/{target.database}")[:2]

    code, text = same(direct, pgpool, play)
    assert "refused: 3D000" in text
