-- The tables that cases.txt speaks of; test/unit/sql/known.c says the same of them.
CREATE TABLE t (id serial PRIMARY KEY, a int, b text, at timestamptz DEFAULT now(), d date);
CREATE TABLE u (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n int, r float8 DEFAULT random(), s text);
CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
CREATE TABLE p (k int PRIMARY KEY, v text, w int, at timestamp);
CREATE TABLE k2 (a int, b int, v text, PRIMARY KEY (a, b));
CREATE TABLE n (x int, y text);
CREATE TABLE q ("Wei""rd" int DEFAULT 5, "at" timestamptz DEFAULT (now() + '1 day'::interval), v text);
CREATE TABLE x (i interval, l pg_lsn, big bigint, y uuid, f float8, z timetz, tm time, tx text);
CREATE FUNCTION f_equal(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION f_bad() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT (random() * 1000000)::int';
CREATE TABLE z (i int);
CREATE FUNCTION z_changes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.i := f_bad(); RETURN NEW; END';
CREATE TRIGGER z_random BEFORE INSERT OR UPDATE ON z FOR EACH ROW EXECUTE FUNCTION z_changes();
CREATE TABLE fd (a int, c int DEFAULT f_bad());
CREATE SEQUENCE s;
INSERT INTO p SELECT i, 'v' || i, i % 7, '2020-01-01' FROM generate_series(1, 40) AS i;
INSERT INTO k2 SELECT i, j, 'v' FROM generate_series(1, 5) AS i, generate_series(1, 5) AS j;
INSERT INTO n SELECT i % 5, 'y' || i FROM generate_series(1, 20) AS i;
