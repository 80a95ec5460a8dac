/*
 * Native replication: the same rows on all nodes.
 *
 * READ COMMITTED takes a snapshot for each statement on each node. A commit that falls between two
 * nodes' snapshots of one statement would be seen on one and not on the other, and no row lock
 * orders the two. Statements that find their rows by nothing but a key take the newest row
 * everywhere, so it does not matter to them (sql/by_key.c). For all others there is a gate in each
 * database: an advisory lock of ours, which every transaction that writes holds until it ends.
 * Those that have written by key alone hold it together; one that has done anything else holds it
 * alone.
 *
 * It is taken on the main node in front of the statement, and on each copy in front of the same
 * statement. So who holds it alone on the main node is behind all commits there; on a copy it waits
 * for those of them that have not come there yet; and whoever comes behind it on the main node
 * waits for it on the copy. A circle is the main node's to find, as of all locks (40P01).
 *
 * With snapshot isolation all statements see the same rows anyway. There the gate is for what is
 * read without a snapshot and without a lock, as functions are: who defines something has it alone.
 *
 * Invariants: no statement that is not by key is sent to a node on which the transaction does not
 * hold the gate alone; no transaction that has written commits without it. A lock that was taken
 * behind a savepoint ends with ROLLBACK TO, so behind any of these it counts as not held, and is
 * taken again. Source: PostgreSQL's manual, sections "Advisory Locks" and "Read Committed Isolation
 * Level".
 */
#include "session/copies.h"

#include "base/num.h"
#include "base/str.h"

#include <string.h>

/* Under other levels than READ COMMITTED the snapshot may be older than the lock: division by zero.
 */
static const char alone[] =
    "SELECT pg_catalog.txid_current(), pg_catalog.pg_advisory_xact_lock(" GATE_LOCK_NUMBERS "), "
    "1 OPERATOR(pg_catalog./) CASE WHEN pg_catalog.current_setting('transaction_isolation') "
    "OPERATOR(pg_catalog.=) 'read committed' THEN 1 ELSE 0 END";

/* ... but for those that all nodes take at one moment (copies_order.c). */
static const char alone_any[] =
    "SELECT pg_catalog.txid_current(), pg_catalog.pg_advisory_xact_lock(" GATE_LOCK_NUMBERS ")";

/* Nearly every transaction takes it together with others: by FunctionCall, which a server neither
 * parses nor plans. The functions' numbers are those of pg_proc.dat, the same in all versions:
 * txid_current(), and pg_advisory_xact_lock_shared(int4, int4) with the same two numbers. */
static const uint8_t ask_number[] = {'F', 0, 0, 0, 14, 0, 0, 0x0b, 0x7f, 0, 0, 0, 0, 0, 0};
static const uint8_t take_shared[] = {
    'F', 0, 0, 0, 32,   0,    0,    0x0c, 0x16, /* its number */
    0,   1, 0, 1, 0,    2,                      /* all in binary, two of them: */
    0,   0, 0, 4, 0x70, 0x67, 0x70, 0x6f,       /* pgpo */
    0,   0, 0, 4, 0x6f, 0x6c, 0x3a, 0x67,       /* ol:g */
    0,   0,
};

static const char *
sql_of_alone(const struct session_copies *c)
{
    return c->host->gates != NULL ? alone_any : alone;
}

static void
call(struct server *server, const uint8_t *message, size_t len, uint16_t flags)
{
    server_expect(server, PENDING_CALL, true, flags, NULL);
    server_send(server, message, len);
}

enum copies_gate
copies_gate_of(const struct session_copies *c, const struct sql_determined *d)
{
    if (c->rule.way != COPIES_ALL || !c->rule.writes)
        return GATE_NONE;
    if (c->host->gates != NULL)
        return c->rule.defines || c->rule.alone || c->rule.data ? GATE_ALONE : GATE_SHARED;
    return c->rule.alone || (c->rule.judged && !d->by_key) ? GATE_ALONE : GATE_SHARED;
}

void
copies_gate_ask(struct session_copies *c, enum copies_gate gate, uint16_t flags)
{
    const char *sql = sql_of_alone(c);
    struct server *main = c->s->primary;

    c->gate = c->gate_due = (uint8_t)gate;
    if (gate == GATE_ALONE) {
        server_ask(main, sql, strlen(sql), CYCLE_XID | flags);
        return;
    }
    call(main, ask_number, sizeof(ask_number), CYCLE_XID);
    call(main, take_shared, sizeof(take_shared), CYCLE_GATE | flags);
}

void
copies_gate_hear(struct session_copies *c, const uint8_t *msg, size_t len)
{
    enum { VALUE = WIRE_HEADER_BYTES + 4 };

    c->xid[0] = '\0'; /* of null, which it is never */
    if (len > VALUE && num_get_u32(msg + WIRE_HEADER_BYTES) == len - VALUE)
        str_copy_n(c->xid, sizeof(c->xid), (const char *)msg + VALUE, len - VALUE);
}

void
copies_gate_follow(struct copy *copy)
{
    enum copies_gate gate = copy->all->gate_due;
    const char *sql = sql_of_alone(copy->all);

    if (gate == GATE_ALONE)
        copies_run(copy, sql, strlen(sql), 0);
    else if (gate == GATE_SHARED)
        call(copy->server, take_shared, sizeof(take_shared), 0);
}

void
copies_gate_late(struct session_copies *c)
{
    copies_gate_ask(c, GATE_SHARED, 0);
    list_for_each (it, &c->copies) {
        struct copy *copy = list_entry(it, struct copy, link);
        if (copy->server != NULL && copy->begun)
            copies_gate_follow(copy);
    }
    c->gate_due = GATE_NONE;
}

void
copies_gate_doubt(struct session_copies *c)
{
    c->gate = c->gate_due = GATE_NONE;
}

void
copies_gate_failed(struct session_copies *c)
{
    copies_gate_doubt(c);
    if (strcmp(c->doom.sqlstate, "22012") != 0)
        return;
    err_set(&c->doom, "0A000",
            "a statement that does not find its rows by a key cannot be run on all nodes under "
            "another isolation level than READ COMMITTED (native_replication)");
    err_hint(&c->doom, "Name the row by all columns of its key, or use READ COMMITTED.");
}
