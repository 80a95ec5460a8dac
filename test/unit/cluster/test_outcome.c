/* outcome.h: what an error says about the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/outcome.h"

struct example {
    enum ask_failure failure;
    const char *sqlstate;
    const char *words;
    enum health_outcome outcome;
};

static const struct example examples[] = {
    /* the server itself speaks: never its death, but once */
    {ASK_SERVER, "57P03", "the database system is starting up", HEALTH_STARTING},
    {ASK_SERVER, "57P03", "the database system is in recovery mode", HEALTH_STARTING},
    {ASK_SERVER, "57P03", "das Datenbanksystem startet", HEALTH_STARTING},
    {ASK_SERVER, "57P03", "the database system is shutting down", HEALTH_SHUTTING_DOWN},
    {ASK_SERVER, "57P02", "terminating connection because of crash", HEALTH_STARTING},
    {ASK_SERVER, "57P01", "terminating connection due to administrator command", HEALTH_TERMINATED},
    {ASK_SERVER, "57P05", "terminating connection due to idle-session timeout", HEALTH_TERMINATED},
    {ASK_SERVER, "53300", "sorry, too many clients already", HEALTH_TOO_MANY},
    {ASK_SERVER, "53000", "could not fork new process for connection", HEALTH_TOO_MANY},
    {ASK_SERVER, "53200", "out of memory", HEALTH_REJECTED},
    {ASK_SERVER, "28P01", "password authentication failed for user \"a\"", HEALTH_REJECTED},
    {ASK_SERVER, "3D000", "database \"x\" does not exist", HEALTH_REJECTED},
    {ASK_SERVER, "42501", "permission denied for function pg_control_system", HEALTH_REJECTED},
    {ASK_SERVER, "57014", "canceling statement due to statement timeout", HEALTH_REJECTED},
    {ASK_SERVER, "XX000", "is this PostgreSQL, shutting down?", HEALTH_REJECTED},
    /* nobody is there, or silence */
    {ASK_REFUSED, "08001", "Connection refused", HEALTH_REFUSED},
    {ASK_RESET, "08006", "server closed the connection unexpectedly", HEALTH_RESET},
    {ASK_TIMEOUT, "57014", "no answer in time", HEALTH_TIMEOUT},
    {ASK_UNREACHABLE, "08001", "No route to host", HEALTH_TIMEOUT},
    /* our own fault */
    {ASK_UNRESOLVED, "08001", "could not translate host name", HEALTH_UNRESOLVED},
    {ASK_OWN, "08001", "Too many open files", HEALTH_UNRESOLVED},
    /* who knows */
    {ASK_NONSENSE, "08P01", "the server answers a question with COPY", HEALTH_NONSENSE},
};

static void
errors_are_understood(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(examples); n++) {
        const struct example *e = &examples[n];
        struct err err;

        err_set(&err, e->sqlstate, "%s", e->words);
        if (health_outcome_of_failure(e->failure, &err) != e->outcome)
            fail_msg("%s: %s", e->sqlstate, e->words);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(errors_are_understood)};

    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
