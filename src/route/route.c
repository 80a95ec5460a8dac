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

/* A standby takes no serializable and no writing transaction, and says so already at SET. */
static bool
sets_transactions(const struct sql_statement *st)
{
    static const char *const names[] = {
        "default_transaction_isolation",  "default_transaction_read_only",
        "default_transaction_deferrable", "transaction_isolation",
        "transaction_read_only",          "transaction_deferrable"};

    if (st->kind != SQL_SET)
        return false;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (st->name.len == strlen(names[n]) && memcmp(st->name.data, names[n], st->name.len) == 0)
            return true;
    }
    return false;
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
           !sets_transactions(st);
}
