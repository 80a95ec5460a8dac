/*
 * Where a statement may run, from its facts. Pure.
 *
 * This first version knows two places: the primary, for everything that writes, belongs to an
 * explicit transaction, leaves something in the session, or is in doubt; and a node for reads.
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include "sql/facts.h"

#include <stdbool.h>

/* Why something goes where it goes (include/tables/reasons.def). */
enum route_reason {
#define ROUTE_REASON(id, name, words) ROUTE_##id,
#include "tables/reasons.def"
#undef ROUTE_REASON
    ROUTE_REASON_COUNT
};

const char *route_reason_words(enum route_reason reason);

/* Of a statement that is no plain read. */
enum route_reason route_why_not(const struct sql_statement *st);

/* True when a standby may run it, and gives the answer that the primary would give. */
bool route_is_plain_read(const struct sql_statement *st);

/* The same, where all functions that are not known turn out to be harmless. */
bool route_may_be_plain_read(const struct sql_statement *st);

/* The same from the kind alone; what else is known must be asked beside it. */
bool route_kind_is_read(int kind);

#endif
