/*
 * currval() and lastval(): what a session has drawn from sequences, and on which connection.
 *
 * The server keeps that with its connection, and gives it to nobody else. A connection on which
 * something was drawn, or may have been, has a ticket that its session knows; the session takes
 * that connection again when it can. When it asks for what it has drawn and the connection has
 * been used by somebody else meanwhile, there is no right answer: it is asked behind DISCARD
 * SEQUENCES, and the server says that nothing was drawn; but all sessions of its login keep their
 * connections from their next write on. nextval() and setval() in a statement of the session
 * (pinning_function_list) keep the connection at once.
 *
 * Called by unit.c (what a unit holds) and client.c (before it is sent). With pool_mode = auto
 * only; nothing of this costs a round trip.
 */
#include "session/internal.h"

#include "config/config.h"

#include <string.h>

/* lastval() is right wherever the session has drawn last; currval() of another sequence may not. */
static void
take_recalls(const struct sql_statement *st, struct unit *u)
{
    for (uint32_t n = 0; n < st->function_count; n++) {
        const struct sql_function *f = &st->functions[n];
        if (f->function_class != SQL_FUNCTION_SESSION || !sql_function_recalls(f))
            continue;
        u->recalls = true;
        u->recalls_any |= f->name.data[0] == 'c';
    }
}

/* nextval() beside currval() in one statement: as a rule, the one for the other. */
static bool
draws_by_name(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->function_count; n++) {
        const struct sql_function *f = &st->functions[n];
        if (f->function_class == SQL_FUNCTION_PRIMARY && sql_function_draws(f))
            return true;
    }
    return false;
}

/* What it may write is no sequence's: by what it is, or by PostgreSQL's own functions alone. */
static bool
writes_otherwise(const struct sql_statement *st)
{
    switch (st->kind) {
    case SQL_NOTIFY:
    case SQL_LISTEN:
    case SQL_UNLISTEN:
    case SQL_PREPARE:
    case SQL_DEALLOCATE:
    case SQL_DISCARD:
    case SQL_CLOSE:
    case SQL_LOCK:
    case SQL_TRUNCATE:
    case SQL_VACUUM:
    case SQL_ANALYZE:
    case SQL_COMMENT:
    case SQL_GRANT:
    case SQL_SET_SESSION:
        return true;
    case SQL_SELECT:
        break;
    default:
        return false;
    }
    if (st->writes)
        return false;
    for (uint32_t n = 0; n < st->function_count; n++) {
        if (st->functions[n].function_class == SQL_FUNCTION_UNKNOWN)
            return false;
    }
    return !draws_by_name(st);
}

bool
sequences_drawn(const struct sql_facts *f, const struct verdict *v)
{
    if (!v->may_write || v->judged || v->watched)
        return v->may_write && v->flags & CATALOG_DRAWS;
    return v->by_catalog || f->count != 1 || !writes_otherwise(&f->statements[0]);
}

void
sequences_scan(struct session *s, struct unit *u, const struct sql_facts *f)
{
    uint32_t calls = 0;

    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        calls += st->function_count;
        if (st->function_count > 0 && !u->drew && !draws_by_name(st))
            take_recalls(st, u);
        u->drew |= st->may_write && !writes_otherwise(st);
    }
    if (calls > 0)
        u->pins_sequence |= (catalog_pins(s->host->catalog, f) & CATALOG_PINS_SEQUENCE) != 0;
}

/* May a query of ours go in front of the unit? */
static bool
may_run(const struct session *s, const struct server *server)
{
    return s->batch != server && server->tx_status != 'E' && !server->pending.skip_till_sync &&
           !server->pending.copy_in;
}

/* Nothing of what others have drawn is left there. */
static void
discard(struct session *s, struct server *server)
{
    static const char sql[] = "DISCARD SEQUENCES";

    if (server->ticket == 0 || !may_run(s, server))
        return;
    server_run(server, sql, sizeof(sql) - 1, 0);
    server->ticket = 0;
}

static void
recall(struct session *s, const struct unit *u, struct server *server)
{
    bool known = pool_key_has_recalled(s->key);

    pool_key_recalls(s->key);
    if (s->ticket != 0 && server->ticket == s->ticket && !(s->torn && u->recalls_any))
        return;
    discard(s, server);
    if (s->ticket != 0 && !known)
        log_warning("a session asks for currval() or lastval(), but its connection was lent to "
                    "others; from now on, sessions of user \"%s\" and database \"%s\" keep theirs "
                    "when they have written",
                    pool_key_user(s->key), pool_key_database(s->key));
}

static void
draw(struct session *s, const struct unit *u, struct server *server)
{
    bool keeps = u->pins_sequence || pool_key_has_recalled(s->key);
    bool kept = s->keeps.kinds & 1u << SESSION_KEEPS_SEQUENCE;
    bool mine = s->ticket != 0 && server->ticket == s->ticket;

    /* from here on all that it draws is there, and nothing else */
    if (keeps && !kept && (s->torn || !mine)) {
        discard(s, server);
        mine = s->torn = false;
    }
    if (keeps)
        session_keep(s, SESSION_KEEPS_SEQUENCE);
    if (likely(mine))
        return;
    s->torn = s->ticket != 0 && server->ticket != 0;
    s->ticket = ++s->host->tickets;
    server->ticket = s->ticket;
}

void
sequences_send(struct session *s, const struct unit *u, struct server *server)
{
    if (session_pool_mode(s) != CONFIG_POOL_MODE_AUTO || server != s->primary)
        return;
    if (unlikely(u->recalls))
        recall(s, u, server);
    if (u->draws)
        draw(s, u, server);
}

void
sequences_discarded(struct session *s, struct server *server)
{
    server->ticket = s->ticket = 0;
    s->torn = false;
    if (s->keeps.kinds != 0)
        keeps_drop(s, SESSION_KEEPS_SEQUENCE);
}
