"""What a program does with psycopg 3: all of it returns values that two servers must share."""

import asyncio
import datetime
import decimal
import threading
import uuid

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from waiting import SLOW, Background, wait_for

VALUES = [
    ("int", 42), ("bigint", 1 << 40), ("numeric", decimal.Decimal("12.3400")), ("float8", 0.1),
    ("text", "grüße"), ("text", ""), ("text", None), ("bool", True), ("bytea", b"\0\1\xff"),
    ("date", datetime.date(2020, 2, 29)), ("timestamp", datetime.datetime(2020, 1, 1, 12, 30)),
    ("interval", datetime.timedelta(days=1, seconds=5)), ("uuid", uuid.UUID(int=77)),
    ("int[]", [1, None, 3]), ("text[]", ["a", "b\"c"]),
]


def types(dsn):
    out = []
    with psycopg.connect(dsn) as connection:
        for binary in (False, True):
            for kind, value in VALUES:
                cursor = connection.cursor(binary=binary)
                cursor.execute(sql.SQL("SELECT %s::{}").format(sql.SQL(kind)), (value,))
                out.append(cursor.fetchone()[0])
            cursor.execute("SELECT %b::int, %t::int, %s::jsonb", (1, 2, Jsonb({"a": [1]})))
            out.append((cursor.fetchone(), [c.type_code for c in cursor.description]))
    return out


def transactions(dsn):
    out = []
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TEMP TABLE t (a int PRIMARY KEY)")
        connection.commit()
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (1)")
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO t VALUES (2)")
                    connection.execute("INSERT INTO t VALUES (1)")
            except psycopg.errors.UniqueViolation as error:
                out.append((error.sqlstate, error.diag.constraint_name, error.diag.table_name))
            connection.execute("INSERT INTO t VALUES (3)")
        connection.execute("INSERT INTO t VALUES (4)")
        connection.rollback()
        out.append(connection.execute("SELECT * FROM t ORDER BY a").fetchall())
        try:
            connection.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            out.append(connection.info.transaction_status.name)
        connection.rollback()
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.read_only = True
        out.append(connection.execute("SHOW transaction_isolation").fetchone())
        out.append(connection.execute("SHOW transaction_read_only").fetchone())
    return out


def prepared(dsn):
    out = []
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=1) as connection:
        connection.execute("CREATE TEMP TABLE t (a int, b text)")
        for number in range(10):
            connection.execute("INSERT INTO t VALUES (%s, %s)", (number, f"row {number}"))
            out.append(connection.execute("SELECT b FROM t WHERE a = %s", (number,)).fetchone())
            out.append(connection.execute("SELECT name FROM drv_t WHERE id = %s", (number,),
                                          prepare=True).fetchone())
        connection.execute("ALTER TABLE t ADD c int")
        try:
            out.append(connection.execute("SELECT b FROM t WHERE a = %s", (1,)).fetchone())
        except psycopg.errors.FeatureNotSupported as error:
            out.append(error.sqlstate)
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s) RETURNING a",
                               [(n, "x") for n in range(100, 120)], returning=True)
            while True:
                out.append(cursor.fetchall())
                if not cursor.nextset():
                    break
        with psycopg.ClientCursor(connection) as cursor:
            out.append(cursor.execute("SELECT %s, %s; SELECT 2", (1, "x'y")).fetchall())
            cursor.nextset()
            out.append(cursor.fetchall())
        connection.execute("DEALLOCATE ALL")
    return out


def pipeline(dsn):
    out = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE t (a int)")
        with connection.pipeline() as pipe:
            cursors = [connection.execute("SELECT %s::int + 1", (n,)) for n in range(50)]
            out += [cursor.fetchone() for cursor in cursors]
            connection.execute("INSERT INTO t SELECT generate_series(1, 10)")
            count = connection.execute("SELECT count(*) FROM t")
            pipe.sync()
            out.append(count.fetchone())
        try:
            with connection.pipeline() as pipe:
                good = connection.execute("SELECT 1")
                connection.execute("SELECT 1/0")
                connection.execute("SELECT 2")
                pipe.sync()
                out.append(good.fetchone())
        except psycopg.Error as error:
            out.append(error.sqlstate)
        with connection.pipeline(), connection.transaction():
            connection.execute("INSERT INTO t VALUES (99)")
            out.append(connection.execute("SELECT max(a) FROM t").fetchone())
        with connection.pipeline():
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO t VALUES (%s)", [(n,) for n in range(200)])
        out.append(connection.execute("SELECT count(*), sum(a) FROM t").fetchone())
    return out


def copy(dsn):
    out = []
    with psycopg.connect(dsn) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TEMP TABLE t (a int, b text, c timestamp)")
        with cursor.copy("COPY t FROM STDIN") as copying:
            for number in range(500):
                copying.write_row((number, f"tab\t{number}", datetime.datetime(2020, 1, 1)))
        out.append(cursor.rowcount)
        with cursor.copy("COPY t (a, b) FROM STDIN (FORMAT binary)") as copying:
            copying.set_types(["int4", "text"])
            for number in range(500):
                copying.write_row((number, None))
        with cursor.copy("COPY t TO STDOUT") as copying:
            data = b"".join(bytes(block) for block in copying)
        out.append((len(data), hash(data)))
        with cursor.copy("COPY (SELECT a, b FROM t WHERE a < 3) TO STDOUT (FORMAT binary)") as it:
            it.set_types(["int4", "text"])
            out.append(list(it.rows()))
        connection.commit()
        try:
            with cursor.copy("COPY t FROM STDIN") as copying:
                copying.write(b"not a number\tx\t\\N\n")
        except psycopg.errors.InvalidTextRepresentation as error:
            out.append(error.diag.context)
        connection.rollback()
        try:
            with cursor.copy("COPY t FROM STDIN") as copying:
                copying.write_row((1, "x", None))
                raise ValueError("changed my mind")
        except (ValueError, psycopg.errors.QueryCanceled):  # which one, differs by its version
            out.append(connection.info.transaction_status.name)
        connection.rollback()
        out.append(cursor.execute("SELECT count(*) FROM t").fetchone())
    return out


def cursors(dsn):
    out = []
    with psycopg.connect(dsn) as connection:
        with connection.cursor("c1", row_factory=dict_row) as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT id, name FROM drv_t WHERE id <= %s ORDER BY id", (30,))
            out += list(cursor)
        with connection.cursor("c2", scrollable=True, binary=True) as cursor:
            cursor.execute("SELECT generate_series(1, 100)")
            out.append(cursor.fetchmany(3))
            cursor.scroll(50)
            out.append(cursor.fetchone())
            cursor.scroll(0, mode="absolute")
            out.append(cursor.fetchone())
        with connection.cursor("c3", withhold=True) as cursor:
            cursor.execute("SELECT generate_series(1, 10)")
            connection.commit()
            out.append(cursor.fetchall())
        connection.commit()
        with connection.cursor() as cursor:
            out.append(sum(row[0] for row in cursor.stream("SELECT generate_series(1, 5000)")))
    return out


def asks_to_cancel(dsn):
    """Connection.cancel from another thread, while the query runs."""
    out = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        ended = threading.Event()

        def later():
            """One that comes before the query has begun is for nobody."""
            while not ended.wait(0.3 * SLOW):
                connection.cancel()

        canceller = Background(later)
        try:
            connection.execute("SELECT pg_sleep(30)")
        except psycopg.errors.QueryCanceled as error:
            out.append(error.diag.message_primary)
        finally:
            ended.set()
        canceller.result()
        out.append(connection.execute("SELECT 1").fetchone())
    return out


def notices_and_notifications(dsn):
    notices, notified = [], []
    with psycopg.connect(dsn, autocommit=True) as one, psycopg.connect(dsn, autocommit=True) as two:
        one.add_notice_handler(lambda diag: notices.append((diag.severity, diag.message_primary)))
        one.add_notify_handler(lambda note: notified.append((note.channel, note.payload)))
        one.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        one.execute("LISTEN drv_channel")
        two.execute("NOTIFY drv_channel, 'first'")
        two.execute("SELECT pg_notify('drv_channel', 'second')")
        wait_for(lambda: one.execute("SELECT 1") and len(notified) == 2, "two notifications")
    return notices + notified


def two_phase(dsn):
    with psycopg.connect(dsn) as connection:
        xid = connection.xid(1, "drv_global", "drv_branch")
        connection.tpc_begin(xid)
        connection.execute("CREATE TABLE drv_two_phase (a int)")
        connection.tpc_prepare()
        with psycopg.connect(dsn) as other:
            waiting = [x.gtrid for x in other.tpc_recover()]
        connection.tpc_rollback()
        return waiting, connection.execute("SELECT to_regclass('drv_two_phase')").fetchone()


def facts_of_the_session(dsn):
    with psycopg.connect(dsn, application_name="facts", options="-c work_mem=7MB") as connection:
        info = connection.info
        return (info.server_version, info.encoding, info.dbname, info.user, str(info.timezone),
                info.parameter_status("application_name"), info.parameter_status("DateStyle"),
                info.parameter_status("is_superuser"),
                connection.execute("SHOW work_mem").fetchone())


async def _asynchronous(dsn):
    out = []
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT name FROM drv_t WHERE id < %s ORDER BY id", (5,))
            out.append(await cursor.fetchall())
            async with cursor.copy("COPY (SELECT generate_series(1, 100)) TO STDOUT") as copying:
                out.append([row async for row in copying.rows()][-1])
        async with connection.pipeline():
            cursors_ = [await connection.execute("SELECT %s::text", (n,)) for n in range(20)]
            out += [await cursor.fetchone() for cursor in cursors_]

    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        async for row in connection.cursor().stream("SELECT generate_series(1, 3)"):
            out.append(row)

    async def one(number):
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            async with connection.cursor(f"c{number}") as cursor:
                await cursor.execute("SELECT generate_series(1, %s)", (number,))
                return sum([row[0] async for row in cursor])

    out.append(await asyncio.gather(*(one(n) for n in range(1, 20))))
    return out


def asynchronous(dsn):
    return asyncio.run(_asynchronous(dsn))


SCRIPTS = [types, transactions, prepared, pipeline, copy, cursors, asks_to_cancel,
           notices_and_notifications, two_phase, facts_of_the_session, asynchronous]
