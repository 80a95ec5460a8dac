/*
 * Routing by facts. Called by session/ for each statement of a unit.
 *
 * SHOW goes to the primary: several parameters tell about the server itself. SET may run where the
 * session reads, since it is run again wherever the session goes later.
 */
#include "route/route.h"

#include <string.h>

bool
route_kind_is_read(int kind)
{
    switch ((enum sql_kind)kind) {
    case SQL_SELECT:
    case SQL_EMPTY:
    case SQL_COPY_TO:
    case SQL_SET:
    case SQL_POOL_SHOW:
    case SQL_EXPLAIN: /* of a read: what it explains counts in may_write */
        return true;
    default:
        return false;
    }
}

/* A standby takes no serializable and no writing transaction, and says so already at SET. What
 * random() goes on from is not run again elsewhere. */
static bool
stays_at_primary(const struct sql_statement *st)
{
    static const char *const names[] = {"default_transaction_isolation",
                                        "default_transaction_read_only",
                                        "default_transaction_deferrable",
                                        "transaction_isolation",
                                        "transaction_read_only",
                                        "transaction_deferrable",
                                        "seed"};

    if (st->kind != SQL_SET)
        return false;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (st->name.len == strlen(names[n]) && memcmp(st->name.data, names[n], st->name.len) == 0)
            return true;
    }
    return false;
}

enum route_reason
route_why_not(const struct sql_statement *st)
{
    if (st->locks_rows)
        return ROUTE_LOCKS;
    if (!route_kind_is_read(st->kind) || stays_at_primary(st))
        return st->writes && st->kind != SQL_SET ? ROUTE_WRITES : ROUTE_KIND;
    if (st->system_catalog)
        return ROUTE_SYSTEM;
    if (st->writes)
        return ROUTE_WRITES;
    if (st->may_write)
        return ROUTE_FUNCTION;
    return ROUTE_KEEPS;
}

const char *
route_reason_words(enum route_reason reason)
{
    static const char *const words[] = {
#define ROUTE_REASON(id, name, words) [ROUTE_##id] = (words),
#include "tables/reasons.def"
#undef ROUTE_REASON
    };

    return words[reason];
}

bool
route_is_plain_read(const struct sql_statement *st)
{
    return !st->may_write && !st->may_touch_session && route_may_be_plain_read(st);
}

bool
route_may_be_plain_read(const struct sql_statement *st)
{
    bool writes = (st->may_write || st->may_touch_session) && !st->unknown_calls;

    return route_kind_is_read(st->kind) && !writes && !st->locks_rows && !st->system_catalog &&
           !stays_at_primary(st);
}
