/*
 * Routing by facts. Called by session/ for each statement of a unit.
 *
 * SHOW goes to the primary: several parameters tell about the server itself. SET may run where the
 * session reads, since it is run again wherever the session goes later.
 */
#include "route/route.h"

bool
route_kind_is_read(int kind)
{
    switch ((enum sql_kind)kind) {
    case SQL_SELECT:
    case SQL_EMPTY:
    case SQL_COPY_TO:
    case SQL_SET:
    case SQL_POOL_SHOW:
        return true;
    default:
        return false;
    }
}

bool
route_is_plain_read(const struct sql_statement *st)
{
    return route_kind_is_read(st->kind) && !st->may_write && !st->locks_rows &&
           !st->may_touch_session && !st->system_catalog;
}
