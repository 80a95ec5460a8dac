/*
 * tools/pcp.h: which line of .pcppass counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/pcp.h"

#include <string.h>

static const char file[] = "# localhost:9898:alice:comment\n"
                           "\n"
                           "localhost:9898\n"
                           "localhost:9898:alice:se:cr\\:et\\\\\r\n"
                           "localhost:9898:alice:second\n"
                           "/tmp\\:x:9898:bob:bobs\n"
                           "*:1:bob:any host\n"
                           "h*:1:carol:no pattern\n"
                           "host:*:dave:\n"
                           "a:2:*:last";

static const struct {
    const char *host;
    const char *port;
    const char *user;
    const char *password; /* NULL: none */
} expected[] = {
    {"localhost", "9898", "alice", "se:cr:et\\"},
    {"localhost", "9899", "alice", NULL},
    {"localhos", "9898", "alice", NULL},
    {"localhost", "9898", "alic", NULL},
    {"localhost", "9898", "alicee", NULL},
    {"# localhost", "9898", "alice", NULL},
    {"/tmp:x", "9898", "bob", "bobs"},
    {"anywhere", "1", "bob", "any host"},
    {"host", "1", "carol", NULL},
    {"h*", "1", "carol", "no pattern"},
    {"host", "77", "dave", ""},
    {"a", "2", "zoe", "last"},
    {"", "", "", NULL},
};

static void
the_first_line_that_fits_counts(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(expected); n++) {
        struct pcp_pass_key key = {expected[n].host, expected[n].port, expected[n].user};
        struct buf password = BUF_EMPTY;
        bool found = pcp_pass_find(file, sizeof(file) - 1, &key, &password);

        if (found != (expected[n].password != NULL))
            fail_msg("%s:%s:%s", key.host, key.port, key.user);
        if (found)
            assert_string_equal(buf_cstr(&password), expected[n].password);
        buf_free(&password);
    }
}

static void
an_empty_file_has_none(void **state)
{
    struct pcp_pass_key key = {"h", "1", "u"};
    struct buf password = BUF_EMPTY;

    (void)state;
    assert_false(pcp_pass_find(NULL, 0, &key, &password));
    assert_false(pcp_pass_find("\n\n", 2, &key, &password));
    assert_false(pcp_pass_find("\\", 1, &key, &password));
    assert_int_equal(password.len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_line_that_fits_counts),
        cmocka_unit_test(an_empty_file_has_none),
    };

    return cmocka_run_group_tests_name("pcp_pass", tests, NULL, NULL);
}
