/*
 * What the failure of a question says about the server.
 *
 * Called by the health processes. Invariant: what the server itself said never counts as its
 * death, but for a process that tells of its postmaster's; and neither does what went wrong on our
 * side.
 */
#include "cluster/outcome.h"

#include <string.h>

/* What the server said, where that is no simple refusal. */
struct rule {
    const char *sqlstate;
    enum health_outcome outcome;
};

static const struct rule rules[] = {
    {"57P01", HEALTH_TERMINATED}, /* admin_shutdown */
    {"57P05", HEALTH_TERMINATED}, /* idle_session_timeout: of this connection only */
    {"57P02", HEALTH_STARTING},   /* crash_shutdown: it recovers now */
    {"57P03", HEALTH_STARTING},   /* cannot_connect_now */
    {"53300", HEALTH_TOO_MANY},   /* too_many_connections */
    {"53000", HEALTH_TOO_MANY},   /* it could not make a process for us */
};

static enum health_outcome
outcome_of_error(const struct err *err)
{
    /* one SQLSTATE for both; a server that speaks another language is given the longer grace */
    if (strcmp(err->sqlstate, "57P03") == 0 && strstr(err->message, "shutting down") != NULL)
        return HEALTH_SHUTTING_DOWN;
    for (size_t n = 0; n < ARRAY_LEN(rules); n++) {
        if (strcmp(err->sqlstate, rules[n].sqlstate) == 0)
            return rules[n].outcome;
    }
    return HEALTH_REJECTED;
}

enum health_outcome
health_outcome_of_failure(enum ask_failure failure, const struct err *err)
{
    switch (failure) {
    case ASK_REFUSED:
        return HEALTH_REFUSED;
    case ASK_RESET:
        return HEALTH_RESET;
    case ASK_TIMEOUT:
    case ASK_UNREACHABLE:
        return HEALTH_TIMEOUT;
    case ASK_UNRESOLVED:
    case ASK_OWN:
        return HEALTH_UNRESOLVED;
    case ASK_SERVER:
        return outcome_of_error(err);
    case ASK_NONSENSE:
        return HEALTH_NONSENSE;
    }
    return HEALTH_NONSENSE;
}
