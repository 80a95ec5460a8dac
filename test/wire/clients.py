"""What the clients of these tests do again and again."""

import raw


def client(pgpool, user, timeout=10.0, **params):
    """A client that has logged in."""
    return raw.connected(pgpool, timeout, user=user, **params)


def kinds(messages):
    return "".join(got.kind for got in messages)


def codes(messages):
    """The kinds, with an error's SQLSTATE in its place."""
    return [got.fields().get("C", "?") if got.kind == "E" else got.kind for got in messages]


def refusal(pgpool, user, **params):
    """The fields of the error that ends a login."""
    with raw.Raw(pgpool) as one:
        messages = one.login(user=user, **params)
        assert messages[-1].kind == "E", messages
        assert one.read_to_end() == []
        return messages[-1].fields()


def nodes(pgpool):
    """SHOW pool_nodes: for each node its status, role, and the role that the server claims."""
    with client(pgpool, "postgres", database="postgres") as one:
        answer = one.simple("SHOW pool_nodes")
    (names,) = [[column[0] for column in got.columns()] for got in answer if got.kind == "T"]
    rows = [dict(zip(names, got.row())) for got in answer if got.kind == "D"]
    return [tuple(row[name].decode() for name in ("status", "role", "pg_role")) for row in rows]


def still_serves(pgpool, user="bystander"):
    with client(pgpool, user) as one:
        assert one.rows("SELECT 1") == [["1"]]


def batch(sql, name="", portal="", rows=0):
    return (raw.parse(name, sql) + raw.bind(portal, name) + raw.describe("P", portal) +
            raw.execute(portal, rows) + raw.SYNC)
