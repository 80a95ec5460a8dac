"""pgpool compare: independent servers that are equal, and each kind of difference."""

import os
import subprocess

import pytest

from cluster import make_dir
from independent import Independent
from proxy import binary
from waiting import SLOW

pytestmark = pytest.mark.one_engine

SCHEMA = """
CREATE SCHEMA "Odd one";
CREATE TABLE keyed (a int, b text, v text, PRIMARY KEY (a, b));
CREATE TABLE large (id bigint PRIMARY KEY, v text, at timestamptz, f float8, j jsonb, x bytea);
CREATE TABLE bare (x int, y text);
CREATE TABLE "Odd one"."Ta""b'le" ("I d" int PRIMARY KEY, "v,w" text);
CREATE TABLE empty ();
CREATE TABLE padded (c char(9), b bit(9), t timestamp(0), PRIMARY KEY (c, b, t));
CREATE TABLE parted (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (1000);
CREATE TABLE serials (id serial PRIMARY KEY, v text DEFAULT 'd' CHECK (v <> ''));
CREATE SEQUENCE alone;
CREATE VIEW seen AS SELECT a, v FROM keyed;
CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * i';
CREATE INDEX large_v ON large (v);
INSERT INTO keyed SELECT i, 'b''' || j, '\\v'
    FROM generate_series(1, 30) i, generate_series(1, 9) j;
INSERT INTO large SELECT i, 'v' || i,
    '2020-01-01 00:00:00.123456+00'::timestamptz + i * interval '1s',
    i / 7.0, jsonb_build_object('i', i), decode(md5(i::text), 'hex')
    FROM generate_series(1, 25000) i;
INSERT INTO padded SELECT i::text, i::bit(9), '2020-01-01' FROM generate_series(1, 12000) i;
INSERT INTO bare SELECT i % 50, 'same' FROM generate_series(1, 3000) i;
INSERT INTO "Odd one"."Ta""b'le" SELECT i, 'x' FROM generate_series(1, 20) i;
INSERT INTO parted SELECT i, 'p' FROM generate_series(1, 900) i;
INSERT INTO serials (v) VALUES ('a'), ('b');
SELECT lo_from_bytea(70001, repeat('abc', 3000)::bytea);
"""


class Compared:
    """Two equal servers, and what compare says of them."""

    def __init__(self):
        self.cluster = Independent(standbys=1)
        self.directory = make_dir("pgpool-compare-")
        self.config = self.directory + "/pgpool.conf"
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("backend_clustering_mode = raw\nsr_check_user = postgres\n")
            file.write(f"pid_file_name = '{self.directory}/pgpool.pid'\n")
            for number, server in enumerate(self.cluster.servers):
                file.write(f"backend_hostname{number} = '127.0.0.1'\n"
                           f"backend_port{number} = {server.port}\n")
        os.chmod(self.config, 0o644)
        for server in self.cluster.servers:
            self.on(server, SCHEMA)

    @staticmethod
    def on(server, text, database="test"):
        with server.connect() as connection:
            connection.execute(text)

    def compare(self, *words, nodes=None):
        option = [f"--nodes={nodes}"] if nodes else []
        return subprocess.run([binary(), "-f", self.config, *option, "compare", *words],
                              capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=120 * SLOW)

    def different(self, text, undo, *words, node=1):
        """What is said when this was done at one node alone; undone behind it."""
        server = self.cluster.servers[node]
        self.on(server, text)
        try:
            done = self.compare("test")
        finally:
            self.on(server, undo)
        assert done.returncode == 3, done.stdout + done.stderr
        for word in words:
            assert word in done.stdout, done.stdout
        return done.stdout

    def equal(self):
        done = self.compare("test")
        assert (done.returncode, done.stdout) == (0, 'database "test":\nno differences\n'), \
            done.stdout + done.stderr
        return done


@pytest.fixture(name="both", scope="module")
def both_fixture():
    both = Compared()
    yield both
    both.cluster.destroy()


def test_equal_servers_have_no_differences(both):
    done = both.equal()
    assert "table 1 of " in done.stderr
    done = both.compare()
    assert done.returncode == 0 and 'database "postgres":' in done.stdout, done.stdout + done.stderr


def test_rows_are_told_by_their_keys(both):
    both.different("UPDATE large SET v = 'w' WHERE id BETWEEN 12000 AND 12004",
                   "UPDATE large SET v = 'v' || id WHERE id BETWEEN 12000 AND 12004",
                   "table public.large: id 12000 to id 12004 (5 rows) differ at node 1",
                   "table public.large: 5 rows differ: 5 in what they say, 0 missing, 0 too many",
                   "5 differences")
    both.different("UPDATE large SET f = f + 1e-12 WHERE id = 7",
                   "UPDATE large SET f = 7 / 7.0 WHERE id = 7",
                   "table public.large: id 7 differs at node 1")
    both.equal()


def test_rows_that_only_one_node_has(both):
    both.different("DELETE FROM keyed WHERE a = 3 AND b = 'b''4'",
                   "INSERT INTO keyed VALUES (3, 'b''4', '\\v')",
                   "table public.keyed: a 3, b 'b''4' is missing at node 1")
    both.different("INSERT INTO large (id) VALUES (0), (30000), (30001)",
                   "DELETE FROM large WHERE id IN (0, 30000, 30001)",
                   "table public.large: id 0 is only at node 1",
                   "table public.large: id 30000 to id 30001 (2 rows) are only at node 1")
    both.different("DELETE FROM large WHERE id > 9000",
                   "INSERT INTO large SELECT i, 'v' || i, '2020-01-01 00:00:00.123456+00'"
                   "::timestamptz + i * interval '1s', i / 7.0, jsonb_build_object('i', i), "
                   "decode(md5(i::text), 'hex') FROM generate_series(9001, 25000) i",
                   "id 9001 to id 10000 (1000 rows) are missing at node 1",
                   "16000 missing")
    both.different('UPDATE "Odd one"."Ta""b\'le" SET "v,w" = NULL WHERE "I d" = 20',
                   'UPDATE "Odd one"."Ta""b\'le" SET "v,w" = \'x\' WHERE "I d" = 20',
                   "I d 20 differs at node 1")
    both.different("DELETE FROM padded WHERE c = '11999'",
                   "INSERT INTO padded VALUES ('11999', 11999::bit(9), '2020-01-01')",
                   "table public.padded: 1 rows differ: 0 in what they say, 1 missing, 0 too many")
    both.different("UPDATE parted SET v = 'q' WHERE k = 500",
                   "UPDATE parted SET v = 'p' WHERE k = 500",
                   "table public.parted_high: k 500 differs at node 1")
    both.equal()


def test_the_node_that_has_less_may_be_the_first(both):
    both.different("DELETE FROM keyed WHERE a = 30", "INSERT INTO keyed SELECT 30, 'b''' || j, "
                   "'\\v' FROM generate_series(1, 9) j",
                   "table public.keyed: a 30, b 'b''1' to a 30, b 'b''9' (9 rows) are only at "
                   "node 1",
                   node=0)
    both.equal()


def test_rows_without_a_key(both):
    both.different("INSERT INTO bare VALUES (77, 'o''ther'), (77, 'o''ther')",
                   "DELETE FROM bare WHERE x = 77",
                   "table public.bare: '(77,o''ther)' is only at node 1")
    both.different("DELETE FROM bare WHERE ctid = (SELECT min(ctid) FROM bare WHERE x = 5)",
                   "INSERT INTO bare VALUES (5, 'same')",
                   "table public.bare: '(5,same)' differs at node 1")
    both.equal()


def test_sequences_and_large_objects(both):
    both.different("SELECT setval('alone', 9)", "SELECT setval('alone', 1, false)",
                   "value of sequence: public.alone differs at node 1")
    both.different("SELECT nextval('serials_id_seq')", "SELECT setval('serials_id_seq', 2)",
                   "value of sequence: public.serials_id_seq differs at node 1")
    both.different("SELECT lo_put(70001, 2500, 'X')", "SELECT lo_put(70001, 2500, 'b')",
                   "large object 70001, page 1 differs at node 1")
    both.different("SELECT lo_create(70002)", "SELECT lo_unlink(70002)",
                   "large object 70002 is only at node 1")
    both.equal()


@pytest.mark.parametrize("text, undo, word", [
    ("CREATE TABLE more (i int)", "DROP TABLE more", "definition: table public.more is only at"),
    ("ALTER TABLE bare ADD COLUMN z int", "ALTER TABLE bare DROP COLUMN z",
     "definition: column public.bare.z is only at"),
    ("ALTER TABLE bare ALTER x TYPE bigint", "ALTER TABLE bare ALTER x TYPE int",
     "definition: column public.bare.x differs at"),
    ("ALTER TABLE serials ALTER v SET DEFAULT 'e'", "ALTER TABLE serials ALTER v SET DEFAULT 'd'",
     "definition: column public.serials.v differs at"),
    ("DROP INDEX large_v", "CREATE INDEX large_v ON large (v)",
     "definition: index public.large_v is missing at"),
    ("ALTER TABLE serials DROP CONSTRAINT serials_v_check",
     "ALTER TABLE serials ADD CHECK (v <> '')",
     "definition: constraint serials_v_check of public.serials is missing at"),
    ("CREATE OR REPLACE VIEW seen AS SELECT a, v FROM keyed WHERE a > 1",
     "CREATE OR REPLACE VIEW seen AS SELECT a, v FROM keyed",
     "definition: view public.seen differs at"),
    ("CREATE OR REPLACE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3 * i'",
     "CREATE OR REPLACE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS "
     "'SELECT 2 * i'", "definition: function public.twice(i integer) differs at"),
    ("ALTER SEQUENCE alone INCREMENT 2", "ALTER SEQUENCE alone INCREMENT 1",
     "definition: limits of sequence public.alone differs at"),
    ("CREATE SCHEMA third", "DROP SCHEMA third", "definition: schema third is only at"),
    ("CREATE RULE r AS ON DELETE TO bare DO INSTEAD NOTHING", "DROP RULE r ON bare",
     "definition: rule r of public.bare is only at"),
])
def test_definitions(both, text, undo, word):
    both.different(text, undo, word)


def test_nobody_waits_for_it(both):
    """It reads while somebody holds locks of writers, and a definition may change behind it."""
    with both.cluster.servers[1].connect() as connection:
        connection.execute("BEGIN; LOCK TABLE large IN EXCLUSIVE MODE; DELETE FROM keyed")
        both.equal()
        connection.execute("ROLLBACK")


def test_what_cannot_be_compared_is_said(both):
    done = both.compare("nowhere")
    assert done.returncode == 1
    assert 'database "nowhere": ' in done.stderr and "does not exist" in done.stderr
    assert "not everything could be compared" in done.stdout
    done = both.compare("test", nodes="0")
    assert done.returncode == 1 and "two nodes" in done.stderr
    done = both.compare("test", nodes="0,7")
    assert done.returncode == 1 and '"7" is no number of a node' in done.stderr
    server = both.cluster.servers[1]
    server.stop()
    try:
        done = both.compare("test")
    finally:
        server.start()
    assert done.returncode == 1 and "node 1" in done.stderr


def test_databases_that_one_node_lacks(both):
    both.on(both.cluster.servers[0], "CREATE DATABASE other")
    try:
        done = both.compare()
    finally:
        both.on(both.cluster.servers[0], "DROP DATABASE other")
    assert done.returncode == 3
    assert "database: other is missing at node 1" in done.stdout
