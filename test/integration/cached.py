"""Reads that come from the query cache, told apart from others by what SHOW pool_routing counts."""

from waiting import wait_for


def cached(pgpool):
    """How many reads were answered from the cache."""
    return sum(int(row[1]) for row in pgpool.rows("SHOW pool_routing") if row[0] == "cache")


def is_hit(pgpool, connection, sql):
    """The first value of the answer, and whether it came from the cache; nobody else reads."""
    before = cached(pgpool)
    value = connection.execute(sql).fetchone()[0]
    return value, cached(pgpool) > before


def hit(pgpool, connection, sql):
    """Reads until it comes from the cache; the first value."""
    def given():
        value, from_cache = is_hit(pgpool, connection, sql)
        return (value,) if from_cache else None
    return wait_for(given, f"a hit of {sql}")[0]
