"""The ways in which the mix writes: each takes a thing's group from version v - 1 to v, or begins
to and takes it back.

A writer has `do(sql, *values)`, which sends a statement by either protocol, `text(sql)`, which
sends a simple query, and `batch(parts)`. Each function here returns whether it has committed. What
one statement alone does is written so that it has no effect unless the version is v - 1: whose
connection is lost does not know whether the server will still come to it, and tries again.
"""

from cache_tables import GARBAGE, ROWS

UPDATE = "UPDATE {t} SET v = $1 WHERE g = $2 AND v = $1 - 1"


class Write:
    """What is written: a target's group, to become a version."""

    def __init__(self, family, thing, group, version):
        self.family, self.thing, self.group, self.version = family, thing, group, version
        names = {"{s}": f"mix{family}", "{f}": str(family), "{g}": str(group)}
        self.target, self.probe, self.name = thing.target, thing.probe, thing.name
        for name, value in names.items():
            self.target = self.target.replace(name, value)
            self.probe = self.probe.replace(name, value)
            self.name = self.name.replace(name, value)
        self.schema = f"mix{family}"

    def sql(self, text):
        """{t}: the target, {s}: the schema, {g}, {v}, {w}: group, version, the one before."""
        return (text.replace("{t}", self.target).replace("{s}", self.schema)
                .replace("{g}", str(self.group)).replace("{v}", str(self.version))
                .replace("{w}", str(self.version - 1)).replace("{n}", self.name))

    def rows(self):
        return [(self.group, n, self.version) for n in range(ROWS)]


def _update(one, w):
    one.do(w.sql(UPDATE), w.version, w.group)


# ---- one statement -------------------------------------------------------------------------------

def update(one, w):
    _update(one, w)
    return True


def literal(one, w):
    one.text(w.sql("UPDATE {t} SET v = {v} WHERE g = {g} AND v = {w}"))
    return True


def several(one, w):
    """An implicit transaction."""
    one.text(w.sql("UPDATE {t} SET v = {v} WHERE g = {g} AND v = {w}; SELECT 1; SELECT 2"))
    return True


def merge(one, w):
    one.do(w.sql("MERGE INTO {t} x USING (SELECT $1::int AS g, $2::int AS v) y ON x.g = y.g "
                 "WHEN MATCHED AND x.v = y.v - 1 THEN UPDATE SET v = y.v"), w.group, w.version)
    return True


def upsert(one, w):
    one.do(w.sql("INSERT INTO {t} AS x (g, n, v) SELECT $1, n, $2 FROM "
                 f"generate_series(0, {ROWS - 1}) n ON CONFLICT (g, n) DO UPDATE SET v = "
                 "EXCLUDED.v WHERE x.v = EXCLUDED.v - 1"), w.group, w.version)
    return True


def cte(one, w):
    one.do(w.sql("WITH w AS (UPDATE {t} SET v = $1 WHERE g = $2 AND v = $1 - 1 RETURNING g) "
                 "SELECT count(*) FROM w"), w.version, w.group)
    return True


def do_block(one, w):
    one.text(w.sql("DO $$ BEGIN UPDATE {t} SET v = {v} WHERE g = {g} AND v = {w}; END $$"))
    return True


def function(one, w):
    one.do(w.sql("SELECT {s}.write('{t}', $1, $2)"), w.group, w.version)
    return True


def call(one, w):
    one.do(w.sql("CALL {s}.call('{t}', $1, $2)"), w.group, w.version)
    return True


def explain_analyze(one, w):
    one.text(w.sql("EXPLAIN ANALYZE UPDATE {t} SET v = {v} WHERE g = {g} AND v = {w}"))
    return True


def sql_prepared(one, w):
    one.text(w.sql("PREPARE mix_w AS UPDATE {t} SET v = $1 WHERE g = $2 AND v = $1 - 1"))
    one.text(w.sql("EXECUTE mix_w({v}, {g})"))
    one.text("DEALLOCATE mix_w")
    return True


def failing(one, w):
    one.fails(w.sql("UPDATE {t} SET v = v / (n - n) WHERE g = {g}"), "22012")
    return False


# ---- transactions --------------------------------------------------------------------------------

def block(one, w):
    """One's own write is there at once, and nowhere else."""
    one.do("BEGIN")
    _update(one, w)
    one.own(w)
    one.do(one.random.choice(("COMMIT", "END")))
    return True


def read_first(one, w):
    """A transaction that reads, perhaps from the cache, before it writes."""
    one.do(one.random.choice(("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ",
                              "BEGIN READ WRITE")))
    one.own(w, w.version - 1)
    _update(one, w)
    one.own(w)
    one.do("COMMIT")
    return True


def savepoint(one, w):
    one.do("BEGIN")
    one.do("SAVEPOINT a")
    one.do(w.sql("UPDATE {t} SET v = $1 WHERE g = $2"), GARBAGE, w.group)
    one.do("ROLLBACK TO SAVEPOINT a")
    _update(one, w)
    one.do("SAVEPOINT b")
    one.fails("SELECT 1/0", "22012")
    one.do("ROLLBACK TO b")
    one.own(w)
    one.do("COMMIT")
    return True


def rollback(one, w):
    one.do("BEGIN")
    one.do(w.sql("UPDATE {t} SET v = $1 WHERE g = $2"), GARBAGE, w.group)
    one.own(w, GARBAGE)
    one.do(one.random.choice(("ROLLBACK", "ABORT")))
    one.own(w, w.version - 1)
    return False


def failed(one, w):
    """COMMIT of a transaction that has failed."""
    one.do("BEGIN")
    one.do(w.sql("UPDATE {t} SET v = $1 WHERE g = $2"), GARBAGE, w.group)
    one.fails("SELECT 1/0", "22012")
    one.do("COMMIT")
    return False


def chain(one, w):
    one.do("BEGIN")
    one.do(w.sql("UPDATE {t} SET v = $1 WHERE g = $2"), GARBAGE, w.group)
    one.do("ROLLBACK AND CHAIN")
    _update(one, w)
    one.do("COMMIT AND CHAIN")
    one.own(w)
    one.do("ROLLBACK")
    return True


def pipeline(one, w):
    """BEGIN, a write and COMMIT before anything is answered."""
    one.batch((("BEGIN", ()), (w.sql(UPDATE), (w.version, w.group)), ("COMMIT", ())))
    return True


def rewrite(one, w):
    one.do("BEGIN")
    one.do(w.sql("DELETE FROM {t} WHERE g = $1"), w.group)
    one.do(w.sql("INSERT INTO {t} (g, n, v) SELECT $1, n, $2 FROM "
                 f"generate_series(0, {ROWS - 1}) n"), w.group, w.version)
    one.do("COMMIT")
    return True


def copy(one, w):
    one.do("BEGIN")
    one.do(w.sql("DELETE FROM {t} WHERE g = $1"), w.group)
    one.copy(w.sql("COPY {t} (g, n, v) FROM STDIN"), w.rows())
    one.do("COMMIT")
    return True


def two_phase(one, w):
    """Whoever commits it need not be who has prepared it."""
    name = f"mix_{w.schema}_{w.name}_{w.group}_{w.version}"
    one.do("BEGIN")
    _update(one, w)
    one.text(f"PREPARE TRANSACTION '{name}'")
    one.own(w, w.version - 1)
    with one.another() as other:
        other.text(f"COMMIT PREPARED '{name}'")
    return True


def two_phase_rollback(one, w):
    name = f"mixno_{w.schema}_{w.name}_{w.group}_{w.version}"
    one.do("BEGIN")
    one.do(w.sql("UPDATE {t} SET v = $1 WHERE g = $2"), GARBAGE, w.group)
    one.text(f"PREPARE TRANSACTION '{name}'")
    one.text(f"ROLLBACK PREPARED '{name}'")
    return False


# ---- what only some things know ------------------------------------------------------------------

def pair_block(one, w):
    one.do("BEGIN")
    for table in ("item", "detail"):
        one.do(f"UPDATE {w.schema}.{table} SET v = $1 WHERE g = $2", w.version, w.group)
    one.own(w)
    one.do("COMMIT")
    return True


def pair_cte(one, w):
    one.do(w.sql("WITH w AS (UPDATE {s}.item SET v = $1 WHERE g = $2 AND v = $1 - 1) "
                 "UPDATE {s}.detail SET v = $1 WHERE g = $2 AND v = $1 - 1"), w.version, w.group)
    return True


def pair_text(one, w):
    one.text(w.sql("UPDATE {s}.item SET v = {v} WHERE g = {g} AND v = {w};"
                   "UPDATE {s}.detail SET v = {v} WHERE g = {g} AND v = {w}"))
    return True


def cascade_update(one, w):
    base = w.group * 1000000000
    one.do(w.sql("UPDATE {s}.parent SET id = $1 WHERE id = $2"), base + w.version,
           base + w.version - 1)
    return True


def cascade_delete(one, w):
    base = w.group * 1000000000
    one.do("BEGIN")
    one.do(w.sql("DELETE FROM {s}.parent WHERE id = $1"), base + w.version - 1)
    one.do(w.sql("INSERT INTO {s}.parent VALUES ($1)"), base + w.version)
    one.do(w.sql("INSERT INTO {s}.child SELECT $1, n FROM "
                 f"generate_series(0, {ROWS - 1}) n"), base + w.version)
    one.do("COMMIT")
    return True


def cascade_rollback(one, w):
    one.do("BEGIN")
    one.do(w.sql("DELETE FROM {s}.parent WHERE id = $1"), w.group * 1000000000 + w.version - 1)
    one.do("ROLLBACK")
    return False


def push(one, w):
    one.do(w.sql("INSERT INTO {s}.stack VALUES ($1, $2) ON CONFLICT DO NOTHING"), w.group,
           w.version)
    return True


def push_copy(one, w):
    """A COPY that is a transaction of its own; nothing can be in it twice."""
    one.copy(w.sql("COPY {s}.stack (g, n) FROM STDIN"), [(w.group, w.version)], "23505")
    return True


def push_fails(one, w):
    one.fails(w.sql("INSERT INTO {s}.stack VALUES ({g}, {w})"), "23505")
    return False


def truncate(one, w):
    one.do("BEGIN")
    one.do(w.sql("TRUNCATE {t}"))
    if one.random.random() < 0.5:
        one.copy(w.sql("COPY {t} (g, n, v) FROM STDIN"), w.rows())
    else:
        one.do(w.sql("INSERT INTO {t} SELECT $1, n, $2 FROM "
                     f"generate_series(0, {ROWS - 1}) n"), w.group, w.version)
    one.own(w)
    one.do("COMMIT")
    return True


def truncate_rollback(one, w):
    one.do("BEGIN")
    one.do(w.sql("TRUNCATE {t}"))
    one.do("ROLLBACK")
    one.own(w, w.version - 1)
    return False


def rename(one, w):
    one.do("BEGIN")
    one.do(w.sql("ALTER TABLE {t} RENAME COLUMN c{w} TO c{v}"))
    one.do(w.sql("UPDATE {t} SET v = $1"), w.version)
    one.do("COMMIT")
    return True


def swap(one, w):
    one.do("BEGIN")
    one.do(w.sql("DROP TABLE {t}"))
    one.do(w.sql(f"CREATE TABLE {{t}} AS SELECT {{g}} AS g, n, {{v}} AS v FROM "
                 f"generate_series(0, {ROWS - 1}) n"))
    one.do("COMMIT")
    return True


def refresh(one, w):
    one.do("BEGIN")
    one.do(w.sql("UPDATE {s}.mbase_{g} SET v = $1"), w.version)
    one.do(w.sql("REFRESH MATERIALIZED VIEW {t}"))
    one.do("COMMIT")
    return True


def base_only(one, w):
    """What a materialised view shows does not change before it is refreshed."""
    one.do(w.sql("UPDATE {s}.mbase_{g} SET v = v"))
    return False


def _in_block(one, *texts):
    if not one.careful and len(texts) == 1 and one.random.random() < 0.5:
        one.do(texts[0])
        return True
    one.do("BEGIN")
    for text in texts:
        one.do(text)
    one.do("COMMIT")
    return True


def define_view(one, w):
    return _in_block(one, w.sql(
        "CREATE OR REPLACE VIEW {t} AS SELECT g, n, {v} AS v FROM {s}.rother RIGHT JOIN "
        f"(SELECT {{g}} AS g, n FROM generate_series(0, {ROWS - 1}) n) x USING (g)"))


def define_function(one, w):
    return _in_block(one, w.sql("CREATE OR REPLACE FUNCTION {t}() RETURNS int LANGUAGE sql "
                                "IMMUTABLE AS 'SELECT {v}'"))


def grant(one, w):
    return _in_block(one, w.sql("GRANT SELECT ON {t} TO mix_alice, mix_bob" if w.version % 2 else
                                "REVOKE SELECT ON {t} FROM mix_alice, mix_bob"))


def policy(one, w):
    return _in_block(one, w.sql(f"ALTER POLICY odd ON {{t}} USING (v = {w.version % 2})"))


PLAIN = (update, literal, several, do_block, function, call, explain_analyze, failing, block,
         read_first, savepoint, rollback, failed, chain, pipeline, two_phase, two_phase_rollback)
# Behind these nothing of the database is valid any more, or while they run.
EVERYTHING = (do_block, function, call, two_phase, two_phase_rollback, sql_prepared)
KINDS = {
    "rule": PLAIN,
    "inherit": PLAIN + (cte, sql_prepared, merge),
    "view": PLAIN + (cte, sql_prepared, rewrite),
    "table": PLAIN + (cte, sql_prepared, merge, upsert, rewrite, copy),
    "pair": (pair_block, pair_cte, pair_text),
    "cascade": (cascade_update, cascade_update, cascade_delete, cascade_rollback),
    "stack": (push, push_copy, push_fails),
    "truncate": (truncate, truncate, truncate_rollback),
    "rename": (rename,),
    "swap": (swap,),
    "refresh": (refresh, refresh, base_only),
    "definition": (define_view,),
    "function": (define_function,),
    "grant": (grant,),
    "policy": (policy,),
}
