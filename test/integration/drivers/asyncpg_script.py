"""What a program does with asyncpg, which speaks the protocol by itself: binary formats, named
statements, portals with row limits."""

import asyncio
import datetime
import decimal
import io

import asyncpg

from waiting import SLOW, wait_for_async


async def types(connect):
    connection = await connect()
    out = []
    for kind, value in [("int4", 1), ("int8", 1 << 40), ("numeric", decimal.Decimal("1.50")),
                        ("text", "grüße"), ("bytea", b"\0\xff"), ("bool", False),
                        ("date", datetime.date(2020, 2, 29)), ("int4[]", [1, None]),
                        ("text[]", [["a"], ["b"]]), ("interval", datetime.timedelta(hours=5)),
                        ("point", (1.0, 2.0)), ("jsonb", '{"a": 1}'), ("inet", None)]:
        out.append(str(await connection.fetchval(f"SELECT $1::{kind}", value)))
    await connection.execute("CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok')")
    await connection.execute("CREATE TYPE pg_temp.pair AS (a int, b text)")
    out.append(await connection.fetchval("SELECT 'ok'::pg_temp.mood"))
    out.append(tuple(await connection.fetchval("SELECT (1, 'x')::pg_temp.pair")))
    out.append(await connection.fetchval("SELECT array['sad', 'ok']::pg_temp.mood[]"))
    await connection.close()
    return out


async def statements(connect):
    connection = await connect()
    statement = await connection.prepare("SELECT name FROM drv_t WHERE id = $1")
    out = [await statement.fetchval(n) for n in range(1, 20)]
    out.append(str(statement.get_parameters()) + str(statement.get_attributes()))
    out += [str(await connection.fetchrow(f"SELECT {n} AS n, $1::int AS m", n)) for n in range(150)]
    await connection.execute("CREATE TEMP TABLE t (a int PRIMARY KEY, b text)")
    await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(n, "x") for n in range(100)])
    try:
        await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(200, "y"), (1, "z")])
    except asyncpg.UniqueViolationError as error:
        out.append((error.sqlstate, error.constraint_name, error.detail))
    out.append(await connection.fetchval("SELECT count(*) FROM t"))
    await connection.execute("ALTER TABLE t ADD c int; INSERT INTO t VALUES (300, 'q', 3)")
    out.append([tuple(r) for r in await connection.fetch("SELECT * FROM t WHERE a = $1", 300)])
    out.append(await connection.execute("SELECT 1; SELECT 2; UPDATE t SET c = 1"))
    await connection.close()
    return out


async def transactions(connect):
    connection = await connect()
    out = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        out.append(await connection.fetchval("SHOW transaction_isolation"))
        async for record in connection.cursor("SELECT generate_series(1, 120)", prefetch=7):
            out.append(record[0])
        cursor = await connection.cursor("SELECT generate_series(1, 30)")
        out.append([r[0] for r in await cursor.fetch(5)])
        await cursor.forward(10)
        out.append(await cursor.fetchrow())
    try:
        async with connection.transaction():
            await connection.execute("CREATE TEMP TABLE gone (a int)")
            async with connection.transaction():
                await connection.fetchval("SELECT 1/0")
    except asyncpg.DivisionByZeroError as error:
        out.append(str(error))
    out.append(await connection.fetchval("SELECT to_regclass('gone')::text"))
    await connection.close()
    return [str(value) for value in out]


async def copies(connect):
    connection = await connect()
    await connection.execute("CREATE TEMP TABLE t (a int, b text)")
    out = [await connection.copy_records_to_table("t", records=[(n, f"r{n}") for n in range(1000)])]
    blocks = []

    async def collect(block):
        blocks.append(bytes(block))

    out.append(await connection.copy_from_query("SELECT * FROM t WHERE a < $1", 10, output=collect))
    out.append(b"".join(blocks))
    try:
        await connection.copy_to_table("t", source=io.BytesIO(b"no number\tx\n"))
    except asyncpg.PostgresError as error:
        out.append((error.sqlstate, error.context))
    out.append(await connection.fetchval("SELECT count(*) FROM t"))
    await connection.close()
    return out


async def timeouts(connect):
    """asyncpg cancels a query that took too long, and goes on with the connection."""
    connection = await connect()
    out = []
    for _ in range(3):
        try:
            await connection.fetchval("SELECT pg_sleep(30)", timeout=0.2 * SLOW)
        except asyncio.TimeoutError:
            out.append("timeout")
        out.append(await connection.fetchval("SELECT 1"))
    await connection.close()
    return out


async def notifications(connect):
    one, two = await connect(), await connect()
    heard = []
    await one.add_listener("drv_async", lambda _, pid, channel, text: heard.append((channel, text)))
    await two.execute("NOTIFY drv_async, 'a'")
    await two.execute("SELECT pg_notify('drv_async', 'b')")

    async def both_heard():
        return len(heard) == 2

    await wait_for_async(both_heard, "two notifications")
    await one.reset()
    await one.close()
    await two.close()
    return heard


async def many_at_once(connect):
    async def one(number):
        connection = await connect()
        value = [await connection.fetchval("SELECT $1::int * 2", number + n) for n in range(5)]
        await connection.close()
        return value

    return await asyncio.gather(*(one(number) for number in range(30)))


def play(target, scenario):
    async def connect():
        return await asyncpg.connect(host=target.host, port=target.port, user=target.user,
                                     database=target.database, timeout=20 * SLOW)

    return asyncio.run(scenario(connect))


SCRIPTS = [types, statements, transactions, copies, timeouts, notifications, many_at_once]
