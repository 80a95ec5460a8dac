"""A client that knows whether it was answered from the cache."""

import raw
from waiting import wait_for


class Asker:
    """One session. Nobody else may read through that pgpool meanwhile."""

    def __init__(self, pgpool, **login):
        self.pgpool = pgpool
        self.one = raw.connected(pgpool, **login)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.one.close()

    def rows(self, sql):
        return self.one.rows(sql)

    def hits(self):
        return int(self.one.rows("SHOW pool_cache")[0][0])

    # ---- ways of asking: each returns all messages ----

    def simple(self, sql):
        return self.one.simple(sql)

    def extended(self, sql, *values, name="", parse=True, describe="P", formats=(), results=(),
                 types=()):
        """A batch; describe: "P", "S" or None."""
        parts = [raw.parse(name, sql, *types)] if parse else []
        parts.append(raw.bind("", name, *values, formats=formats, results=results))
        if describe is not None:
            parts.append(raw.describe(describe, name if describe == "S" else ""))
        self.one.send(*parts, raw.execute(), raw.SYNC)
        return self.one.read_until("Z")

    # ---- hits ----

    def hit(self, ask):
        """What ask() returns, and whether the cache has answered it."""
        before = self.hits()
        messages = ask()
        return messages, self.hits() > before

    def warm(self, ask, what="a hit"):
        """Asks until it is answered from the cache, and returns that answer."""
        def answered():
            messages, was_hit = self.hit(ask)
            return messages if was_hit else None
        return wait_for(answered, what)

    def warm_rows(self, sql):
        return rows_of(self.warm(lambda: self.simple(sql), f"a hit of {sql}"))

    def is_hit(self, sql):
        return self.hit(lambda: self.simple(sql))[1]

    def never_hits(self, ask, times=4):
        """Names that are not known yet are asked for: only later an answer could be kept."""
        found = []
        for _ in range(times):
            messages, was_hit = self.hit(ask)
            assert not was_hit, messages
            found.append(messages)
        return found


def rows_of(messages):
    assert not raw.codes(messages), messages
    return [[None if v is None else v.decode() for v in got.row()]
            for got in messages if got.kind == "D"]


def bytes_of(messages):
    """All of an answer, to be compared."""
    return [(got.kind, got.body) for got in messages]
