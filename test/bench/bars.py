"""What must be true of the figures: each line a bar, and whether it holds."""

import table

REFERENCE, PGPOOL_II = "PgBouncer", "Pgpool-II"
POOL_MODES = ("session", "transaction", "auto")
BASE_MB, CLIENT_KB = 15, 2.0


def _ratios():
    """(mode, product, field, other product, at most)"""
    for pool_mode in POOL_MODES:
        for engine, limit in (("io_uring", 0.85), ("epoll", 1.05)):
            name = f"ours {pool_mode} {engine}"
            for mode in ("simple", "extended", "prepared"):
                yield mode, name, "cpu", REFERENCE, limit
                yield mode, name, "cpu", f"relay {engine}", 1.2
                if engine == "io_uring":
                    yield mode, name, "cpu", PGPOOL_II, 0.3
            yield "many", name, "p99_ms", "PgBouncer transaction", 1.5


def _connects(cells):
    theirs = cells.get(("connect", REFERENCE))
    for (mode, name), cell in cells.items():
        part = table.ratio(cell, theirs, "rate")
        if mode == "connect" and name.startswith("ours") and part is not None:
            yield (f"connect, {name}: connections a second {part:.2f} x {REFERENCE}, at least 1",
                   part >= 1)


def _idle(cells):
    for (mode, name), cell in cells.items():
        base, client = cell.median("base_mb"), cell.median("client_kb")
        if mode == "idle10000" and name.startswith("ours") and base is not None:
            yield (f"{mode}, {name}: {base:.1f} MB, at most {BASE_MB}, and {client:.2f} kB a client"
                   f", at most {CLIENT_KB:g}", base <= BASE_MB and client <= CLIENT_KB)


def _part(cells, mode, name, other, field):
    """None where one of both was not measured."""
    cell = cells.get((mode, name))
    return cell and table.ratio(cell, cells.get((mode, other)), field)


def _cache(cells):
    """What a hit costs beside what forwarding costs others, and a miss beside no cache at all."""
    for way in ("simple", "extended", "prepared"):
        for engine in ("io_uring", "epoll"):
            hit, name = f"hit-{way}", f"ours cached {engine}"
            part = _part(cells, hit, name, REFERENCE, "cpu")
            if part is not None:
                yield f"{hit}, {name}: CPU {part:.2f} x {REFERENCE}, at most 0.55", part <= 0.55
            for mode in (hit, f"light-{way}"):
                part = _part(cells, mode, name, "direct", "rate")
                if part is not None:
                    yield f"{mode}, {name}: rate {part:.2f} x direct, at least 2", part >= 2
            part = _part(cells, f"miss-{way}", name, f"ours session {engine}", "cpu")
            if part is not None:
                yield (f"miss-{way}, {name}: CPU {part:.2f} x without the cache, at most 1.1",
                       part <= 1.1)


def judge(cells):
    """Pairs of a text and whether it holds, of what was measured."""
    for mode, name, field, other, limit in _ratios():
        if (mode, name) in cells and (mode, other) in cells:
            part = table.ratio(cells[mode, name], cells[mode, other], field)
            if part is not None:
                what = "CPU" if field == "cpu" else "p99"
                yield (f"{mode}, {name}: {what} {part:.2f} x {other}, at most {limit:g}",
                       part <= limit)
    yield from _cache(cells)
    yield from _connects(cells)
    yield from _idle(cells)
