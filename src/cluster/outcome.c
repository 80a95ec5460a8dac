/*
 * What the failure of a question says about the server.
 *
 * Called by the health processes. Invariant: what the server itself said never counts as its
 * death, and neither does what went wrong on our side; words that nobody knows count as nonsense,
 * which kills only when it stays.
 */
#include "cluster/outcome.h"

#include <string.h>

struct rule {
    const char *text; /* of a SQLSTATE its beginning, of words any part */
    enum health_outcome outcome;
};

/* The first one that fits counts. */
static const struct rule states[] = {
    {"57P01", HEALTH_TERMINATED}, /* admin_shutdown */
    {"57P05", HEALTH_TERMINATED}, /* idle_session_timeout: of this connection only */
    {"57P02", HEALTH_STARTING},   /* crash_shutdown: it recovers now */
    {"57P03", HEALTH_STARTING},   /* cannot_connect_now */
    {"53300", HEALTH_TOO_MANY},   /* too_many_connections */
    {"58000", HEALTH_UNRESOLVED}, /* the resolver did not start */
    {"08P01", HEALTH_NONSENSE},   /* protocol_violation */
};

static const struct rule phrases[] = {
    {"expected authentication request", HEALTH_NONSENSE},
    {"invalid response", HEALTH_NONSENSE},
    {"could not translate host name", HEALTH_UNRESOLVED},
    {"Connection refused", HEALTH_REFUSED},
    {"on socket", HEALTH_REFUSED}, /* of which there is no file */
    {"Connection reset", HEALTH_RESET},
    {"Broken pipe", HEALTH_RESET},
    {"closed the connection", HEALTH_RESET},
    {"EOF detected", HEALTH_RESET},
    {"unexpected eof", HEALTH_RESET},
    {"timed out", HEALTH_TIMEOUT},
    {"No route to host", HEALTH_TIMEOUT},
    {"unreachable", HEALTH_TIMEOUT},
    {"Host is down", HEALTH_TIMEOUT},
    {"could not fork", HEALTH_TOO_MANY}, /* it has no memory, and says so without a SQLSTATE */
    {"no password supplied", HEALTH_REJECTED},
    {"authentication", HEALTH_REJECTED},
    {"SCRAM", HEALTH_REJECTED},
    {"certificate", HEALTH_UNRESOLVED},
    {"SSL", HEALTH_UNRESOLVED},
    {"out of memory", HEALTH_UNRESOLVED},
    {"Too many open files", HEALTH_UNRESOLVED},
    {"could not create socket", HEALTH_UNRESOLVED},
    {"Cannot assign requested address", HEALTH_UNRESOLVED},
};

/* 08001 and 08006 are what os/ask says where the server has said nothing. */
static bool
is_by_words(const char *sqlstate)
{
    return sqlstate[0] == '\0' || strcmp(sqlstate, "08001") == 0 || strcmp(sqlstate, "08006") == 0;
}

enum health_outcome
health_outcome_of_failure(const char *sqlstate, const char *words)
{
    if (strcmp(sqlstate, "57P03") == 0 && strstr(words, "shutting down") != NULL)
        return HEALTH_SHUTTING_DOWN;
    if (strcmp(sqlstate, "57014") == 0 && strstr(words, "no answer from") == words)
        return HEALTH_TIMEOUT;
    if (!is_by_words(sqlstate)) {
        for (size_t n = 0; n < ARRAY_LEN(states); n++) {
            if (strcmp(sqlstate, states[n].text) == 0)
                return states[n].outcome;
        }
        return HEALTH_REJECTED;
    }
    for (size_t n = 0; n < ARRAY_LEN(phrases); n++) {
        if (strstr(words, phrases[n].text) != NULL)
            return phrases[n].outcome;
    }
    return HEALTH_NONSENSE;
}
