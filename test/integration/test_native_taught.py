"""Native replication and snapshot isolation: statements of the simple protocol that the copies get
with parameters. What a client is answered is compared with what PostgreSQL itself answers to the
texts, and what is in the servers with each other and with what PostgreSQL has then."""

import random

import psycopg
import pytest

import raw
from proxy import starter
from test_native import SETTINGS, servers_beside_a_model
from test_native_prepare import Both
from waiting import wait_for

pytestmark = [pytest.mark.plain, pytest.mark.takes(60)]

TABLES = """
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN short AS varchar(3);
CREATE TABLE k (
    id int PRIMARY KEY, i2 int2, i4 int, i8 int8, n numeric(6, 2), f float8, b bool, tx text,
    vc varchar(3), ch char(4), ts timestamp, tz timestamptz, d date, ti time(2), j jsonb, by bytea,
    u uuid, m mood, p positive, s short, a int[], bt bit(3), nm name, o oid, mo money);
CREATE TABLE spans (id int PRIMARY KEY, h interval hour, m interval minute to second, i interval);
CREATE TABLE words (w varchar PRIMARY KEY, v int);
CREATE TABLE chars (c char(8) PRIMARY KEY, v numeric);
CREATE TABLE big (id int8 PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE exact (id numeric PRIMARY KEY, v int);
"""
NAMES = ["k", "spans", "words", "chars", "exact"]


@pytest.fixture(name="servers", scope="module")
def servers_fixture():
    yield from servers_beside_a_model(TABLES)


@pytest.fixture(name="start", params=["native_replication", "snapshot_isolation"])
def start_fixture(servers, engine, request):
    for server, database in [*((server, "test") for server in servers), (servers[0], "model")]:
        with psycopg.connect(server.dsn(dbname=database), autocommit=True) as connection:
            connection.execute(f"TRUNCATE {', '.join(NAMES)}, big")
    mode = {"backend_clustering_mode": request.param}
    for start in starter(servers.cluster, engine):
        yield lambda **more: start(**SETTINGS | mode | more)


class Taught(Both):
    """What the first write of a table may have left in the session, pgpool finds out when that
    rests; up to then its texts go as they are."""

    def settles(self, statement):
        """Waits until the copies get it with parameters; {n} in it is a number."""
        def comes():
            self("BEGIN")
            for n in 900001, 900002:
                self(statement.format(n=n))
            taught = any(is_taught(self.servers) for _ in range(5))
            self("ROLLBACK")
            return taught
        wait_for(comes, f"the copies are taught {statement}")


@pytest.fixture(name="both")
def both_fixture(start, servers):
    both = Taught(start(), servers)
    for table in NAMES:
        both.settles(f"INSERT INTO {table} VALUES ({{n}})")
    yield both
    both.close()


def same_as_model(servers, tables=tuple(NAMES)):
    for table in tables:
        sql = f"SELECT t::text FROM {table} t ORDER BY 1"
        with psycopg.connect(servers[0].dsn(dbname="model")) as connection:
            wanted = connection.execute(sql).fetchall()
        assert servers.same(sql) == wanted


def last_texts(servers):
    """What the copies were sent last, by whoever is in a transaction there."""
    return [text for server in list(servers)[1:] for (text,) in server.rows(
        "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = 'test'")]


def is_taught(servers, count=2):
    texts = last_texts(servers)
    return len(texts) == count and all("$1" in text for text in texts)


# column, values: each of them goes in by INSERT and by UPDATE, some are errors
VALUES = {
    "i2": ["5", "-5", "'7'", "32767", "32768", "- 32768", "1.5", "'1.5'", "NULL", "DEFAULT"],
    "i4": ["2147483647", "2147483648", "-2147483648", "-2147483647", "'12'", "007", "1e3",
           "3 - -2", "-(3)", "2 * -3 + 4", "- - 3", "7 / 2", "-7 / 2", "2147483647 + 1", "1 / 0",
           "5::int", "-5::int2", "abs(-3)", "- 2 ^ 2", "'x'", "(1 + 2) * 3", "'4'::int8", "true",
           "CASE WHEN id > 0 THEN 1 ELSE 2 END"],
    "i8": ["1", "-1", "9223372036854775807", "-9223372036854775808", "2147483647 * 2"],
    "n": ["1", "1.005", "'2.345'", "9999", "99999", "-3.7", "1e2", "7 / 2", "7 / 2.0"],
    "f": ["1", "1.5", "'NaN'", "'-Infinity'", "'0.1'::float8", "2 - 0.1"],
    "b": ["true", "'t'", "'off'", "'maybe'", "'1'::bool", "1"],
    "tx": ["'x'", "''", "'it''s'", "''''", "'a\\b'", "E'a\\nb'", "$$q$$", "$q$ $$ $q$",
           "U&'\\0061'",
           "'$1'", "5", "-5", "007", "'a' || 'b'", "upper('a')", "'a'::text", "'a'::varchar(1)",
           "'Grüße'", "'a'\n'b'", "'now'", "N'n'", "('x')", "'x' COLLATE \"C\"", "1.50", "NULL"],
    "vc": ["'abc'", "'abcd'", "'ab   '", "'abcd'::varchar", "'abcd'::varchar(3)", "'abcd'::text",
           "12", "1234", "-12"],
    "ch": ["'a'", "'a  '", "'abcde'", "'abcd '", "'abcde'::text", "5"],
    "ts": ["'2020-01-02 03:04:05.6789'", "'02/03/2020'", "'2020-01-02'::date", "'2020-01-02'::text",
           "'2020-01-02 10:00+05'", "'2020-01-02 10:00+05'::timestamptz", "'infinity'"],
    "tz": ["'2020-01-02 03:04:05'", "'2020-01-02 03:04:05+05'", "'02/03/2020 1:2'::timestamptz",
           "'02/03/2020 1:2'::timestamp with time zone", "timestamptz '02/03/2020'",
           "'02/03/2020 1:2'::timestamp without time zone", "'2020-07-01 12:00 CET'"],
    "d": ["'2020-02-30'", "'03/04/2020'", "'2020-03-04'::timestamptz", "date '2020-03-04'"],
    "ti": ["'1:2:3.456'", "'1:2:3.456'::time", "'25:00'"],
    "j": ["'{\"a\": [1, \"it''s\"]}'", "'1'", "'x'", "'\"a\\u0041\"'", "'{}'::jsonb"],
    "by": ["'\\x41'", "'abc'", "'a\\\\b'", "'\\x4'"],
    "u": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'x'", "'{A0EEBC99-9C0B4EF8BB6D6BB9BD380A11}'"],
    "m": ["'sad'", "'wild'", "'fine'::mood"],
    "p": ["5", "0", "-5", "'6'", "'-6'", "7::positive"],
    "s": ["'abc'", "'abcd'", "'abc  '"],
    "a": ["'{1,2}'", "ARRAY[1, 2]", "'{1'", "'[0:1]={1,2}'"],
    "bt": ["'101'", "B'101'", "'1'", "X'5'", "5::bit(3)"],
    "nm": ["'a'", "'" + "n" * 70 + "'", "5"],
    "o": ["5", "-5", "'7'", "4294967295"],
    "mo": ["5", "'5.5'", "'$1,000.10'"],
}


@pytest.mark.parametrize("column", VALUES)
def test_a_value_is_the_one_of_its_text(both, servers, column):
    both.settles("UPDATE k SET tx = 'x' WHERE id = {n}")
    for number, value in enumerate(VALUES[column]):
        for n in range(2):
            both(f"INSERT INTO k (id, {column}) VALUES ({number * 10 + n}, {value})")
    both("INSERT INTO k (id) VALUES (-1)")
    for value in VALUES[column]:
        for n in range(2):
            both(f"UPDATE k SET {column} = {value} WHERE id = {n - 1}")
    same_as_model(servers, ["k"])


# each of them three times, with other numbers
STATEMENTS = [
    "UPDATE k SET i4 = i4 + {n}, i8 = i8 - {n}, n = n * {n} WHERE id = {n}",
    "UPDATE k SET i4 = i4 + -{n}, i2 = -{n} WHERE id = {n}",
    "UPDATE k SET (i4, i8) = ({n}, {n} + 1) WHERE (id = {n})",
    "UPDATE k SET n = round(n, {n}), d = d + {n}, i4 = i4 / {n} WHERE id = {n}",
    "UPDATE k SET b = i4 > {n} AND i8 = {n} WHERE id = {n}",
    "UPDATE k SET b = tx = 'u' WHERE id = {n}", "UPDATE k SET b = d = '2020-01-02' WHERE id = {n}",
    "UPDATE k AS t SET i4 = t.i4 + {n} WHERE t.id = {n}",
    "UPDATE ONLY k SET i4 = {n} /* {n} */ WHERE id = {n} -- {n}",
    "UPDATE k SET tx = 'x' WHERE id = '{n}'", "UPDATE k SET tx = 'x' WHERE id = {n}.0",
    "UPDATE k SET tx = 'x' WHERE id = {n}::int8", "UPDATE k SET tx = 'x' WHERE id = - -{n}",
    "UPDATE k SET a = a || {n} WHERE id = {n}", "UPDATE k SET j = j - {n} WHERE id = {n}",
    "UPDATE k SET nothing = {n} WHERE id = {n}",
    "UPDATE k SET tx = {n} || 'x' WHERE id = {n}", "UPDATE k SET i4 = {n} + 'x' WHERE id = {n}",
    "UPDATE k SET ts = ts + '{n} days' WHERE id = {n}", "UPDATE k SET ts = {n} WHERE id = {n}",
    "INSERT INTO k VALUES ({n}0, {n}, {n})", "INSERT INTO k VALUES ({n}1, {n}), ({n}2, {n})",
    "INSERT INTO k (id, i4) VALUES ({n}3, {n}) RETURNING id, i4",
    "INSERT INTO k (id, i4) VALUES ({n}, {n}) ON CONFLICT (id) DO UPDATE SET i4 = k.i4 + {n}",
    "INSERT INTO k (id, i4) VALUES ({n}, {n}) ON CONFLICT DO NOTHING",
    "DELETE FROM k WHERE id = {n}0", "DELETE FROM k WHERE id = {n}1 RETURNING id, i4",
    "DELETE FROM k WHERE id = {n}2 AND i4 = {n}", "DELETE FROM k WHERE id = {n}999",
    "INSERT INTO words VALUES ('a{n}', {n})", "UPDATE words SET v = {n} WHERE w = 'a{n}'",
    "UPDATE words SET w = 'b{n}' WHERE w = 'a{n}'", "DELETE FROM words WHERE w = 'b{n}'",
    "INSERT INTO chars VALUES ('a{n}', {n})", "UPDATE chars SET v = v + {n} WHERE c = 'a{n}  '",
    "DELETE FROM chars WHERE c = 'a{n}'", "INSERT INTO exact VALUES ({n}, {n})",
    "UPDATE exact SET v = {n}0 WHERE id = {n}", "UPDATE exact SET v = {n}1 WHERE id = '{n}.0'",
    "INSERT INTO spans VALUES ({n}, '{n}', '{n}:30', '{n}:30')",
    "UPDATE spans SET h = '1{n}', m = '{n}', i = '{n}' WHERE id = {n}",
    "UPDATE spans SET h = '{n} h', i = '{n}'::interval, m = interval '{n}' hour WHERE id = {n}",
]


def test_statements_do_what_their_texts_do(both, servers):
    for n in range(1, 4):
        both(f"INSERT INTO k (id, i4, i8, n, d, ts, tx, a, j) VALUES ({n}, {n}, {n}, {n}, "
             f"'2020-01-0{n}', '2020-01-0{n}', 'u', '{{1}}', '[1, 2]')")
    for statement in STATEMENTS:
        for block in False, True:
            for n in 1, 2, 3:
                if block:
                    both("BEGIN")
                both(statement.format(n=n))
                if block:
                    both("COMMIT")
        same_as_model(servers)


def test_copies_get_what_was_seen_with_parameters(both, servers):
    statements = ["INSERT INTO k (id, i8) VALUES ({n}, -5)",
                  "UPDATE k SET tx = 'it''s', i4 = i4 + -4 WHERE id = {n}",
                  "DELETE FROM words WHERE w = '{n}'"]
    for statement in statements:
        both.settles(statement)
    both("BEGIN")
    for statement in statements:
        both(statement.format(n=7))
        wait_for(lambda: is_taught(servers) and statement[:6] in last_texts(servers)[0] and
                 statement[:6] in last_texts(servers)[1], statement)
    both("INSERT INTO k (id, ch) VALUES (8, 'once')")
    wait_for(lambda: all("once" in text for text in last_texts(servers)), "a text as it is")
    both("COMMIT")
    same_as_model(servers)


def test_the_time_is_the_main_nodes_on_all(both, servers):
    """A value of the main node's, which it is asked for by a statement that it knows."""
    moments = set()
    for n in range(4):
        both(f"INSERT INTO big VALUES ({n}, CURRENT_TIMESTAMP)")
        moments.add(servers.same(f"SELECT at::text FROM big WHERE id = {n}")[0])
    assert len(moments) == 4
    for n in range(4):
        both(f"INSERT INTO big VALUES ({n + 10}, 'now')")
        moments.add(servers.same(f"SELECT at::text FROM big WHERE id = {n + 10}")[0])
    assert len(moments) == 8
    for zone in "UTC", "Asia/Tokyo", "UTC":
        both(f"SET TimeZone TO '{zone}'")
        for n in range(2):
            both(f"UPDATE big SET at = CURRENT_DATE WHERE id = {n}")
            servers.same("SELECT id, at FROM big ORDER BY id")


def test_settings_count_as_of_the_statement(both, servers):
    insert = "INSERT INTO k (id, tz, d, tx) VALUES ({}, '02/03/2020 1:2', '02/03/2020', 'a''b')"
    typed = "INSERT INTO k (id, tz, d) VALUES ({}, '02/03/2020'::timestamptz, '02/03/2020'::date)"
    number = 0
    for setting in ("DateStyle TO ISO, MDY", "DateStyle TO ISO, DMY", "TimeZone TO 'Asia/Tokyo'",
                    "standard_conforming_strings TO off", "client_encoding TO LATIN1",
                    "TimeZone TO 'UTC'", "DateStyle TO ISO, MDY"):
        both(f"SET {setting}")
        for _ in range(2):
            both(insert.format(number))
            both(typed.format(number + 1))
            number += 2
    both("SET standard_conforming_strings TO off")
    for n in range(3):
        both(f"INSERT INTO k (id, tx) VALUES ({number + n}, 'a\\'b')")
    same_as_model(servers, ["k"])


def test_names_count_as_of_the_statement(both, servers):
    """What a name stands for changes: by the search path, by temporary tables, by definitions."""
    insert = "INSERT INTO words VALUES ('{n}', 1)"
    number = iter(range(100))

    def thrice(settles=True):
        if settles:
            both.settles(insert)
        for _ in range(3):
            both(insert.format(n=next(number)))

    thrice()
    both("CREATE SCHEMA other")
    both("CREATE TABLE other.words (w varchar PRIMARY KEY, v varchar)")
    thrice()
    both("SET search_path TO other, public")
    thrice()
    both("RESET search_path")
    thrice()
    both("ALTER TABLE words ALTER v TYPE numeric USING v + 0.5")
    thrice()
    both("ALTER TABLE words ADD x int DEFAULT 7")
    thrice()
    both("BEGIN")
    both("ALTER TABLE words ALTER v TYPE int USING v")
    thrice(settles=False)
    both("ROLLBACK")
    thrice()
    both("ALTER TABLE words DROP x")
    both("DROP TABLE words")
    both("CREATE TABLE words (w varchar PRIMARY KEY, v int)")
    thrice()
    both("CREATE TEMPORARY TABLE words (w text PRIMARY KEY, v int)")
    thrice(settles=False)
    same_as_model(servers, ["public.words", "other.words"])
    both("DROP TABLE words")
    thrice(settles=False)
    both("DISCARD ALL")
    thrice()
    both("DEALLOCATE ALL")
    thrice()
    same_as_model(servers, ["public.words", "other.words"])
    both("DROP SCHEMA other CASCADE")


def test_another_sessions_definitions_count(both, servers, start):
    insert = "INSERT INTO exact VALUES ({n}, 7)"
    both.settles(insert)
    other = Both(start(), servers)
    other("ALTER TABLE exact ALTER v TYPE text")
    other("ALTER TABLE exact ADD z int DEFAULT 5")
    both.settles(insert)
    for n in range(3, 6):
        both(insert.format(n=n))
    other("ALTER TABLE exact DROP z")
    other("ALTER TABLE exact ALTER v TYPE int USING v::int")
    other.close()
    both.settles(insert)
    for n in range(6, 9):
        both(insert.format(n=n))
    same_as_model(servers)


def test_transactions_fail_as_they_do_with_texts(both, servers):
    for n in range(3):
        both(f"INSERT INTO k (id, i4) VALUES ({n}, {n})")
    for n in range(3):
        both("BEGIN")
        both(f"INSERT INTO k (id, i4) VALUES ({n + 10}, {n})")
        both(f"INSERT INTO k (id, i4) VALUES ({n}, {n})")
        both(f"INSERT INTO k (id, i4) VALUES ({n + 20}, {n})")
        both("COMMIT")
        both("BEGIN")
        both(f"INSERT INTO k (id, i4) VALUES ({n + 10}, {n})")
        both("SAVEPOINT s")
        both(f"INSERT INTO k (id, i4) VALUES ({n}, {n})")
        both("ROLLBACK TO s")
        both(f"UPDATE k SET i4 = i4 + {n} WHERE id = {n}")
        both("ROLLBACK TO s")
        both(f"UPDATE k SET i4 = i4 + {n} WHERE id = {n}")
        both("COMMIT" if n else "ROLLBACK")
        same_as_model(servers)


def test_few_statements_are_kept(start, servers):
    """More kinds of statements than a connection keeps: those go that were not used for longest."""
    both = Taught(start(max_prepared_statements=2), servers)
    columns = ["i2", "i4", "i8", "n", "f"]
    both.settles("INSERT INTO k (id) VALUES ({n})")
    for n in range(3):
        both("BEGIN")
        for at, column in enumerate(columns):
            both(f"INSERT INTO k (id, {column}) VALUES ({n * 10 + at}, {n})")
        both("COMMIT")
    for n in range(3):
        for at, column in enumerate(columns):
            both(f"UPDATE k SET {column} = {column} + {n} WHERE id = {at}")
    same_as_model(servers)
    both.close()


def test_a_function_that_forgets_all_names_costs_one_transaction_at_most(both, servers):
    both("CREATE FUNCTION forgets() RETURNS void LANGUAGE plpgsql AS "
         "$$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    for n in range(3):
        both(f"INSERT INTO k (id, i4) VALUES ({n}, {n})")
    both.settles("UPDATE k SET i4 = i4 + {n} WHERE id = 1")
    both.client.send(raw.query("SELECT forgets()"))
    both.client.read_until("Z")
    for _ in range(2):  # the first may fail for it
        both.client.send(raw.query("UPDATE k SET i4 = i4 + 1 WHERE id = 1"))
        both.client.read_until("Z")
    servers.same("SELECT id, i4 FROM k ORDER BY id")
    for n in range(10, 13):
        both(f"INSERT INTO k (id, i4) VALUES ({n}, {n})")
    servers.same("SELECT id, i4 FROM k ORDER BY id")


def any_statement(dice):
    columns = dice.sample(sorted(VALUES), dice.randint(1, 3))
    values = [dice.choice(VALUES[column]) for column in columns]
    row = dice.randint(1, 20)
    kind = dice.choice("IIUUUD")
    if kind == "I":
        return f"INSERT INTO k (id, {', '.join(columns)}) VALUES ({row}, {', '.join(values)})"
    if kind == "U":
        sets = ", ".join(f"{column} = {value}" for column, value in zip(columns, values))
        return f"UPDATE k SET {sets} WHERE id = {row}"
    return f"DELETE FROM k WHERE id = {row}"


def test_whatever_comes_does_the_same_as_texts(both, servers):
    dice = random.Random(26)
    kinds = [any_statement(dice) for _ in range(25)]
    for _ in range(40):
        block = dice.random() < 0.5
        if block:
            both("BEGIN")
        for _ in range(dice.randint(1, 5)):
            both(dice.choice(kinds) if dice.random() < 0.7 else any_statement(dice))
        if block:
            both(dice.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
    same_as_model(servers, ["k"])
