"""How a row of the table is written: a statement, what was run before it, and where it must run.

    standby("SELECT a FROM t")                       a plain read: balanced, always
    primary("INSERT INTO t VALUES (1)")              nowhere else
    either("SHOW work_mem")                          any server will do
    at_last("SELECT i.f FROM t i")                   a standby may refuse it first
    *after("BEGIN", "INSERT INTO t VALUES (1)", rows=[
        primary("SELECT a FROM t")])                 the same steps in front of each of the rows

Whatever the place, the answer must be the one that the primary itself gives.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    place: str  # "primary", "standby", "either", "at last" or "node" with a number
    sql: str
    before: tuple = ()  # steps: statements in front of it, each waited for and replayed
    user: str = "postgres"
    database: str = ""  # "path" has a search_path of its own, "cast" an implicit cast that writes
    options: str = ""  # of the startup message
    error: str = None  # the SQLSTATE that PostgreSQL answers with
    varies: bool = False  # the contents differ from run to run: only the kinds of messages count
    values: tuple = None  # parameters: such a row has the extended protocol only
    data: str = ""  # what COPY FROM STDIN gets
    prepared: bool = False  # PREPAREd or parsed in front of the steps, then executed by its name
    only: str = ""  # "simple" or "extended": the other cannot express it


class Step(str):
    """A statement of a context; a plain str counts as one."""

    fails = False  # an error is what it is there for
    several = False  # statements in one text: only the simple protocol has that
    by_another = False  # another session runs it, and stays until the row has ended


def fails(sql):
    step = Step(sql)
    step.fails = True
    return step


def several(sql):
    step = Step(sql)
    step.several = True
    return step


def another(sql):
    step = Step(sql)
    step.by_another = True
    return step


def primary(sql, **more):
    return Row("primary", sql, **more)


def standby(sql, **more):
    return Row("standby", sql, **more)


def either(sql, **more):
    return Row("either", sql, **more)


def at_last(sql, **more):
    """For the primary by what no name in it tells: a standby, which refuses it, may be asked first,
    if the client does not notice."""
    return Row("at last", sql, **more)


def on_node(number, sql, **more):
    return Row(f"node{number}", sql, **more)


def after(*steps, rows, **more):
    """The rows with these steps in front of their own, and whatever else they have in common."""
    return [dataclasses.replace(row, before=steps + row.before, **more) for row in rows]
