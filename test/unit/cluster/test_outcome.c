/* outcome.h: what an error says about the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/outcome.h"

struct example {
    const char *sqlstate;
    const char *words;
    enum health_outcome outcome;
};

static const struct example examples[] = {
    /* the server itself speaks: never its death */
    {"57P03", "the database system is starting up", HEALTH_STARTING},
    {"57P03", "the database system is in recovery mode", HEALTH_STARTING},
    {"57P03", "the database system is not yet accepting connections", HEALTH_STARTING},
    {"57P03", "the database system is shutting down", HEALTH_SHUTTING_DOWN},
    {"57P02", "terminating connection because of crash of another server process", HEALTH_STARTING},
    {"57P01", "terminating connection due to administrator command", HEALTH_TERMINATED},
    {"57P05", "terminating connection due to idle-session timeout", HEALTH_TERMINATED},
    {"53300", "sorry, too many clients already", HEALTH_TOO_MANY},
    {"53200", "out of memory", HEALTH_REJECTED},
    {"28P01", "password authentication failed for user \"a\"", HEALTH_REJECTED},
    {"28000", "no pg_hba.conf entry for host \"::1\"", HEALTH_REJECTED},
    {"3D000", "database \"x\" does not exist", HEALTH_REJECTED},
    {"42501", "permission denied for function pg_control_system", HEALTH_REJECTED},
    {"57014", "canceling statement due to statement timeout", HEALTH_REJECTED},
    {"08001", "could not fork new process for connection: Cannot allocate memory", HEALTH_TOO_MANY},
    /* nobody is there */
    {"08001", "connection to server at \"::1\", port 5432 failed: Connection refused",
     HEALTH_REFUSED},
    {"08001", "connection to server on socket \"/x/.s.PGSQL.1\" failed: No such file or directory",
     HEALTH_REFUSED},
    {"08001", "connection to server on socket \"/x/.s.PGSQL.1\" failed: Connection refused",
     HEALTH_REFUSED},
    {"08001", "could not receive data from server: Connection reset by peer", HEALTH_RESET},
    {"08006", "server closed the connection unexpectedly", HEALTH_RESET},
    {"08006", "SSL SYSCALL error: EOF detected", HEALTH_RESET},
    /* silence */
    {"57014", "no answer from \"db:5432\" in time", HEALTH_TIMEOUT},
    {"08001", "connection to server at \"db\", port 5432 failed: No route to host", HEALTH_TIMEOUT},
    {"08001", "connection to server at \"db\", port 5432 failed: Connection timed out",
     HEALTH_TIMEOUT},
    /* our own fault */
    {"08001", "could not translate host name \"db\" to address: Timeout while contacting DNS",
     HEALTH_UNRESOLVED},
    {"08001", "could not read certificate file \"x\": no such file", HEALTH_UNRESOLVED},
    {"08001", "server does not support SSL, but SSL was required", HEALTH_UNRESOLVED},
    {"08001", "could not create socket: Too many open files", HEALTH_UNRESOLVED},
    {"08001", "fe_sendauth: no password supplied", HEALTH_REJECTED},
    {"08001", "SCRAM authentication requires libpq version 10 or above", HEALTH_REJECTED},
    /* who knows */
    {"08001", "expected authentication request from server, but received H", HEALTH_NONSENSE},
    {"08001", "received invalid response to SSL negotiation: H", HEALTH_NONSENSE},
    {"08P01", "the server answers a question with COPY", HEALTH_NONSENSE},
    {"", "no answer", HEALTH_NONSENSE},
};

static void
errors_are_understood(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(examples); n++) {
        const struct example *e = &examples[n];

        if (health_outcome_of_failure(e->sqlstate, e->words) != e->outcome)
            fail_msg("%s: %s", e->sqlstate, e->words);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(errors_are_understood)};

    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
