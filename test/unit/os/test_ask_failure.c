/*
 * libpq's words: what each of them says about a server.
 */
#include "os/ask_failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TO "connection to server at \"db0\" (192.0.2.1), port 5432 failed: "
#define TO_V6 "connection to server at \"db0\" (2001:db8::1), port 5432 failed: "
#define HINT "\n\tIs the server running on that host and accepting TCP/IP connections?\n"

static void
assert_means(const char *words, enum ask_failure failure, const char *sqlstate)
{
    struct err err;
    enum ask_failure got = ask_judge(words, "08001", &err);

    if (got != failure)
        fail_msg("\"%s\" means \"%s\"", words, ask_failure_name(got));
    assert_string_equal(err.sqlstate, sqlstate);
}

static void
system_errors_are_told_apart(void **state)
{
    (void)state;
    assert_means(TO "Connection refused" HINT, ASK_REFUSED, "08001");
    assert_means("connection to server on socket \"/x/.s.PGSQL.5432\" failed: No such file or "
                 "directory\n\tIs the server running locally and accepting connections on that "
                 "socket?\n",
                 ASK_REFUSED, "08001");
    assert_means(TO "Connection timed out" HINT, ASK_TIMEOUT, "08001");
    assert_means(TO "timeout expired\n", ASK_TIMEOUT, "08001");
    assert_means(TO "No route to host" HINT, ASK_UNREACHABLE, "08001");
    assert_means(TO "Network is unreachable" HINT, ASK_UNREACHABLE, "08001");
    assert_means("could not receive data from server: Connection reset by peer\n", ASK_RESET,
                 "08001");
    assert_means("could not send data to server: Broken pipe\n", ASK_RESET, "08001");
    assert_means(TO "server closed the connection unexpectedly\n\tThis probably means the server "
                    "terminated abnormally\n\tbefore or while processing the request.\n",
                 ASK_RESET, "08001");
    assert_means("SSL SYSCALL error: Connection reset by peer\n", ASK_RESET, "08001");
    assert_means("SSL SYSCALL error: EOF detected\n", ASK_RESET, "08001");
}

static void
our_own_faults_say_nothing_of_the_server(void **state)
{
    (void)state;
    assert_means("could not create socket: Too many open files\n", ASK_OWN, "08001");
    assert_means("out of memory\n", ASK_OWN, "08001");
    assert_means(TO "Permission denied" HINT, ASK_OWN, "08001");
    assert_means(TO "Cannot assign requested address" HINT, ASK_OWN, "08001");
    assert_means(TO "could not read certificate file \"/x\": No such file or directory\n", ASK_OWN,
                 "08001");
    assert_means(TO "SSL error: certificate verify failed\n", ASK_OWN, "08001");
    assert_means(TO "server does not support SSL, but SSL was required\n", ASK_OWN, "08001");
    assert_means("invalid sslmode value: \"x\"\n", ASK_OWN, "08001");
    assert_means("could not translate host name \"db0\" to address: Name or service not known\n",
                 ASK_UNRESOLVED, "08001");
}

static void
server_is_heard_whatever_its_language(void **state)
{
    struct err err;

    (void)state;
    assert_means(TO "FATAL:  57P03: the database system is starting up\nLOCATION:  x, y.c:1\n",
                 ASK_SERVER, "57P03");
    assert_means(TO "\320\222\320\220\320\226\320\235\320\236:  28P01: x\n", ASK_SERVER, "28P01");
    assert_means(TO "ERROR:  08P01: no such database\n", ASK_SERVER, "08P01");
    assert_means(TO "fe_sendauth: no password supplied\n", ASK_SERVER, "28P01");
    assert_means(TO "server sent an error response during SSL exchange\n", ASK_SERVER, "53000");
    assert_means(TO "could not fork new process for connection: Cannot allocate memory\n",
                 ASK_SERVER, "53000");
    assert_int_equal(ask_judge(TO "FATAL:  53300: sorry, too many clients already\n"
                                  "LOCATION:  InitProcess, proc.c:361\n",
                               "08001", &err),
                     ASK_SERVER);
    assert_string_equal(err.message, "sorry, too many clients already");
    /* codes have five characters, of digits and capitals */
    assert_means("x:  57P0: y\n", ASK_NONSENSE, "08001");
    assert_means("x:  57p03: y\n", ASK_NONSENSE, "08001");
    assert_means("x:  57P03", ASK_NONSENSE, "08001");
}

static void
nonsense_is_what_nobody_knows(void **state)
{
    struct err err;

    (void)state;
    assert_means(TO "received invalid response to SSL negotiation: H\n", ASK_NONSENSE, "08001");
    assert_means(TO "expected authentication request from server, but received S\n", ASK_NONSENSE,
                 "08001");
    assert_means("something new\n", ASK_NONSENSE, "08001");
    assert_int_equal(ask_judge("", "08006", &err), ASK_NONSENSE);
    assert_string_equal(err.message, "no answer");
    assert_string_equal(err.sqlstate, "08006");
}

static void
of_several_addresses_the_living_one_counts(void **state)
{
    struct err err;

    (void)state;
    assert_means(TO_V6 "Connection refused" HINT TO "FATAL:  57P03: starting\n", ASK_SERVER,
                 "57P03");
    assert_means(TO "FATAL:  57P03: starting\n" TO_V6 "Connection refused" HINT, ASK_SERVER,
                 "57P03");
    assert_means(TO_V6 "Connection refused" HINT TO "Connection timed out" HINT, ASK_TIMEOUT,
                 "08001");
    /* we have no IPv6: that is no reason to doubt that nobody listens */
    assert_means(TO_V6 "Network is unreachable" HINT TO "Connection refused" HINT, ASK_REFUSED,
                 "08001");
    assert_means(TO "Connection refused" HINT TO_V6 "Cannot assign requested address" HINT,
                 ASK_REFUSED, "08001");
    ask_judge(TO_V6 "Network is unreachable" HINT TO "Connection refused" HINT, "08001", &err);
    assert_string_equal(err.message, TO "Connection refused");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_errors_are_told_apart),
        cmocka_unit_test(our_own_faults_say_nothing_of_the_server),
        cmocka_unit_test(server_is_heard_whatever_its_language),
        cmocka_unit_test(nonsense_is_what_nobody_knows),
        cmocka_unit_test(of_several_addresses_the_living_one_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
