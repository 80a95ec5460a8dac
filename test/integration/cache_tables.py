"""The tables of the cache's mix: things that can be written and read in many ways, each written in
such a way that every row of it shows its version.

A thing has a table with columns g (the group), n and v (the version), ROWS rows for each group, or,
where `single`, a table or view of its own for each group ("swap_0"). What is written is the target,
which may be a view, have a trigger or a rule; what is read to see the effect is the probe.
"""

import dataclasses
import os

FAMILIES, GROUPS, ROWS = (3 if os.environ.get("PGPOOL_TEST_HEAVY") else 1), 3, 2
ROLES = ("mix_alice", "mix_bob")
GARBAGE = -7  # is written and rolled back again: nobody may see it


@dataclasses.dataclass(frozen=True)
class Thing:
    """By what kinds of statements it can be written says cache_writes.py."""

    name: str
    target: str = ""
    probe: str = ""
    kinds: str = "table"
    single: bool = False
    catalog: bool = False  # a change of the catalog's alone, which servers notice a bit later
    late: bool = False     # what a snapshot is too old for is not there: DROP, TRUNCATE


def _same(name, kinds="table", **more):
    return Thing(name, f"{{s}}.{name}", f"{{s}}.{name}", kinds, **more)


THINGS = {thing.name: thing for thing in (
    _same("plain"), _same("part"), _same("base", "inherit"), _same("secret"), _same("stamp"),
    _same("ftab"),
    Thing("upd", "{s}.updv", "{s}.upd", "view"),
    Thing("log", "{s}.src", "{s}.log", "table"),
    Thing("ruled", "{s}.ruled", "{s}.rtab", "rule"),
    Thing("pair", "", "{s}.detail", "pair"),
    Thing("child", "", "{s}.child_v", "cascade"),
    Thing("stack", "{s}.stack", "{s}.stack_v", "stack"),
    _same("trunc_{g}", "truncate", single=True, late=True),
    _same("ddl_{g}", "rename", single=True, late=True),
    _same("swap_{g}", "swap", single=True, late=True),
    _same("mat_{g}", "refresh", single=True, late=True),
    _same("defv_{g}", "definition", single=True, late=True),
    _same("fn_{g}", "function", single=True, catalog=True, late=True),
    _same("grant_{g}", "grant", single=True, catalog=True, late=True),
    _same("pol_{g}", "policy", single=True, catalog=True, late=True),
    Thing("mine_alice", "mix_alice.mine_{f}", "mix_alice.mine_{f}", "table"),
    Thing("mine_bob", "mix_bob.mine_{f}", "mix_bob.mine_{f}", "table"),
)}

SCHEMA = """
CREATE SCHEMA {s};
GRANT USAGE ON SCHEMA {s} TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA {s} GRANT SELECT ON TABLES TO PUBLIC;
CREATE TABLE {s}.plain (g int, n int, v int, PRIMARY KEY (g, n));
CREATE TABLE {s}.part (g int, n int, v int, PRIMARY KEY (g, n)) PARTITION BY LIST (g);
CREATE TABLE {s}.part_0 PARTITION OF {s}.part FOR VALUES IN (0);
CREATE TABLE {s}.part_1 PARTITION OF {s}.part FOR VALUES IN (1);
CREATE TABLE {s}.part_2 PARTITION OF {s}.part DEFAULT;
CREATE TABLE {s}.base (g int, n int, v int);
CREATE TABLE {s}.base_child (CHECK (n > 0)) INHERITS ({s}.base);
CREATE TABLE {s}.secret (g int, n int, v int, owner text GENERATED ALWAYS AS
    (CASE n WHEN 0 THEN 'mix_alice' ELSE 'mix_bob' END) STORED, PRIMARY KEY (g, n));
ALTER TABLE {s}.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON {s}.secret USING (owner = current_user);
CREATE TABLE {s}.stamp (g int, n int, v int, at timestamptz DEFAULT '2024-01-01 00:00:00+00',
    PRIMARY KEY (g, n));
CREATE TABLE {s}.ftab (g int, n int, v int, PRIMARY KEY (g, n));
CREATE TABLE {s}.upd (g int, n int, v int, PRIMARY KEY (g, n));
CREATE VIEW {s}.updv AS SELECT g, n, v FROM {s}.upd;
CREATE TABLE {s}.src (g int, n int, v int, PRIMARY KEY (g, n));
CREATE TABLE {s}.log (g int, n int, v int, PRIMARY KEY (g, n));
CREATE FUNCTION {s}.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {s}.log VALUES (NEW.g, NEW.n, NEW.v) ON CONFLICT (g, n) DO UPDATE SET v = NEW.v;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON {s}.src FOR EACH ROW EXECUTE FUNCTION {s}.note();
CREATE TABLE {s}.rtab (g int, n int, v int, PRIMARY KEY (g, n));
CREATE TABLE {s}.rother (g int, v int);
CREATE VIEW {s}.ruled AS SELECT g, n, v FROM {s}.rtab;
CREATE RULE u AS ON UPDATE TO {s}.ruled DO INSTEAD
    UPDATE {s}.rtab SET v = NEW.v WHERE g = OLD.g AND n = OLD.n;
CREATE TABLE {s}.item (g int, n int, v int, PRIMARY KEY (g, n));
CREATE TABLE {s}.detail (g int, n int, v int, PRIMARY KEY (g, n));
CREATE TABLE {s}.parent (id bigint PRIMARY KEY);
CREATE TABLE {s}.child (pid bigint REFERENCES {s}.parent ON UPDATE CASCADE ON DELETE CASCADE,
    n int);
CREATE VIEW {s}.child_v AS SELECT (pid / 1000000000)::int AS g, n, (pid % 1000000000)::int AS v
    FROM {s}.child;
CREATE TABLE {s}.stack (g int, n int, UNIQUE (g, n));
CREATE VIEW {s}.stack_v AS SELECT g, 0 AS n, max(n) AS v FROM {s}.stack GROUP BY g
    UNION ALL SELECT g, 1, count(*)::int - 1 FROM {s}.stack GROUP BY g;
CREATE VIEW {s}.joined AS SELECT i.g, i.n, i.v AS a, d.v AS b FROM {s}.item i
    JOIN {s}.detail d USING (g, n);
CREATE VIEW {s}.over_joined AS SELECT g, a, b FROM {s}.joined WHERE n >= 0;
CREATE VIEW {s}.everybodys WITH (security_barrier) AS SELECT g, n, v, owner FROM {s}.secret;
CREATE FUNCTION {s}.write(t text, wg int, wv int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %s SET v = $1 WHERE g = $2 AND v = $1 - 1', t) USING wv, wg;
    RETURN wv;
END $$;
CREATE PROCEDURE {s}.call(t text, wg int, wv int) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %s SET v = $1 WHERE g = $2 AND v = $1 - 1', t) USING wv, wg;
END $$;
"""

SINGLE = """
CREATE TABLE {s}.trunc_{g} AS SELECT {g} AS g, n, 0 AS v FROM generate_series(0, {last}) n;
CREATE TABLE {s}.ddl_{g} AS SELECT {g} AS g, n, 0 AS v, 0 AS c0 FROM generate_series(0, {last}) n;
CREATE TABLE {s}.swap_{g} AS SELECT {g} AS g, n, 0 AS v FROM generate_series(0, {last}) n;
CREATE TABLE {s}.mbase_{g} AS SELECT {g} AS g, n, 0 AS v FROM generate_series(0, {last}) n;
CREATE MATERIALIZED VIEW {s}.mat_{g} AS SELECT g, n, v FROM {s}.mbase_{g};
CREATE VIEW {s}.defv_{g} AS SELECT g, n, 0 AS v FROM {s}.rother RIGHT JOIN
    (SELECT {g} AS g, n FROM generate_series(0, {last}) n) x USING (g);
CREATE FUNCTION {s}.fn_{g}() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE TABLE {s}.grant_{g} AS SELECT {g} AS g, 0 AS v;
REVOKE SELECT ON {s}.grant_{g} FROM PUBLIC;
CREATE TABLE {s}.pol_{g} AS SELECT {g} AS g, n AS v FROM generate_series(0, 1) n;
ALTER TABLE {s}.pol_{g} ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON {s}.pol_{g} USING (v = 0);
INSERT INTO {s}.parent VALUES ({g}::bigint * 1000000000);
INSERT INTO {s}.child SELECT {g}::bigint * 1000000000, n FROM generate_series(0, {last}) n;
INSERT INTO {s}.stack VALUES ({g}, 0);
"""

FILLED = ("plain", "part", "base", "secret", "stamp", "ftab", "upd", "src", "rtab", "item",
          "detail")


def schema():
    """All statements that make the tables anew."""
    parts = [f"DROP SCHEMA IF EXISTS mix{f} CASCADE" for f in range(FAMILIES)]
    for role in ROLES:
        parts.append(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object "
                     "THEN NULL; END $$")
        parts.append(f"DROP SCHEMA IF EXISTS {role} CASCADE; CREATE SCHEMA {role};"
                     f"GRANT USAGE ON SCHEMA {role} TO PUBLIC;"
                     f"ALTER DEFAULT PRIVILEGES IN SCHEMA {role} GRANT SELECT ON TABLES TO PUBLIC;"
                     f"ALTER ROLE {role} SET search_path = {role}")
        parts += [f"CREATE TABLE {role}.mine_{f} (g int, n int, v int, who text DEFAULT '{role}', "
                  f"PRIMARY KEY (g, n))" for f in range(FAMILIES)]
    for f in range(FAMILIES):
        parts.append(SCHEMA.replace("{s}", f"mix{f}"))
        parts += [SINGLE.replace("{s}", f"mix{f}").replace("{g}", str(g))
                  .replace("{last}", str(ROWS - 1)) for g in range(GROUPS)]
        tables = [f"mix{f}.{table}" for table in FILLED] + [f"{r}.mine_{f}" for r in ROLES]
        parts += [f"INSERT INTO {table} (g, n, v) SELECT g, n, 0 FROM "
                  f"generate_series(0, {GROUPS - 1}) g, generate_series(0, {ROWS - 1}) n"
                  for table in tables]
        parts.append(f"DELETE FROM mix{f}.base WHERE n > 0; INSERT INTO mix{f}.base_child "
                     f"SELECT g, n, 0 FROM generate_series(0, {GROUPS - 1}) g, "
                     f"generate_series(1, {ROWS - 1}) n")
    return ";\n".join(parts)


@dataclasses.dataclass(frozen=True)
class Read:
    """A statement with columns g and one version for each of the things, then what `more` names;
    $1 is the group, if it is of one; {g} stands in the names of what is one group's."""

    sql: str
    things: tuple
    rows: int = ROWS  # for each group
    equal: bool = False  # all versions of a row are the same
    more: str = ""
    named: bool = True  # may be a prepared statement of a name: its columns stay the same
    snapshot: bool = True  # a transaction's first snapshot shows it rightly


def _of(table, thing=None, **more):
    return Read(f"SELECT g, v FROM {{s}}.{table} WHERE g = $1", (thing or table,), **more)


READS = (
    _of("plain"), _of("part"), _of("part_{g}", "part"), _of("base"), _of("ftab"),
    _of("upd"), _of("updv", "upd"), _of("log"), _of("rtab", "ruled"), _of("ruled"),
    _of("item", "pair"), _of("child_v", "child"), _of("stack_v", "stack"),
    Read("SELECT g, v FROM ONLY {s}.base WHERE g = $1", ("base",), 1),
    Read("SELECT g, v FROM {s}.base_child WHERE g = $1", ("base",), ROWS - 1),
    Read("SELECT g, max(v), min(v) FROM {s}.plain GROUP BY g", ("plain", "plain"), 1, True),
    Read("SELECT g, max(v), min(v) FROM {s}.part GROUP BY g", ("part", "part"), 1, True),
    Read("SELECT i.g, i.v, d.v FROM {s}.item i JOIN {s}.detail d USING (g, n) WHERE g = $1",
         ("pair", "pair"), equal=True),
    Read("SELECT p.g, p.v, q.v FROM {s}.plain p JOIN {s}.part q USING (g, n)", ("plain", "part")),
    Read("SELECT g, a, b FROM {s}.joined WHERE g = $1", ("pair", "pair"), equal=True),
    Read("SELECT * FROM {s}.over_joined", ("pair", "pair"), equal=True),
    Read("SELECT src.g, src.v, log.v FROM {s}.src LEFT JOIN {s}.log USING (g, n)", ("log", "log"),
         equal=True),
    Read("WITH x AS (SELECT * FROM {s}.plain), y AS (SELECT g, n, v FROM {s}.base) "
         "SELECT g, x.v, y.v FROM x JOIN y USING (g, n) WHERE g = $1", ("plain", "base")),
    Read("SELECT g, v FROM {s}.upd WHERE g = $1 AND EXISTS (SELECT 1 FROM {s}.ftab f "
         "WHERE f.g = $1 AND f.n = upd.n)", ("upd",)),
    Read("SELECT g, v, (SELECT max(v) FROM {s}.rtab r WHERE r.g = p.g) FROM {s}.part p",
         ("part", "ruled")),
    Read("SELECT g, v, max(v) OVER (PARTITION BY g) FROM {s}.ftab", ("ftab", "ftab"), equal=True),
    Read("SELECT g, v FROM {s}.plain WHERE g = $1 AND n = 0 UNION ALL "
         "SELECT g, v FROM {s}.plain WHERE g = $1 AND n = 1", ("plain",)),
    Read("SELECT g, v, owner FROM {s}.secret WHERE g = $1", ("secret",), more="owner"),
    Read("SELECT g, v, owner FROM {s}.secret", ("secret",), more="owner"),
    Read("SELECT g, v FROM {s}.everybodys WHERE g = $1", ("secret",)),
    Read("SELECT g, v, to_char(at, 'HH24') FROM {s}.stamp WHERE g = $1", ("stamp",), more="hour"),
    Read("SELECT g, v, current_user::text FROM {s}.plain WHERE g = $1", ("plain",), more="user"),
    Read("SELECT g, v, who FROM mine_{f} WHERE g = $1", ("mine",), more="who"),
    _of("trunc_{g}", snapshot=False), _of("swap_{g}", snapshot=False),
    _of("mat_{g}", snapshot=False), _of("defv_{g}", snapshot=False),
    Read("SELECT * FROM {s}.ddl_{g}", ("ddl_{g}",), more="columns", named=False, snapshot=False),
    Read("SELECT g, {s}.fn_{g}(), v FROM {s}.plain WHERE g = $1", ("fn_{g}", "plain"),
         snapshot=False),
    Read("SELECT g, v FROM {s}.grant_{g}", ("grant_{g}",), more="granted", snapshot=False),
    Read("SELECT g, v FROM {s}.pol_{g}", ("pol_{g}",), more="policy", snapshot=False),
)
