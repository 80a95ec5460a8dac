/*
 * nodes.h: lists of nodes as text, and where two of them differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watchdog/nodes.h"

#include <string.h>

static void
prints(const char *settings, const char *expected)
{
    struct config_report report;
    struct config *config;
    struct buf text = BUF_EMPTY;

    config_report_init(&report);
    assert_int_equal(config_load_text(settings, strlen(settings), "a", &config, &report), 0);
    wd_nodes_print(config, &text);
    assert_string_equal(buf_cstr(&text), expected);
    buf_free(&text);
    config_free(config);
    config_report_fini(&report);
}

static void
a_line_for_each_node(void **state UNUSED)
{
    prints("", "");
    prints("backend_hostname0 = Db1\nbackend_port0 = 5432\nbackend_hostname2 = '::1'\n"
           "backend_port2 = 5433\nbackend_weight2 = 7\n",
           "0 db1:5432\n2 ::1:5433\n");
    prints("backend_port1 = 5432\n", "1 :5432\n");
}

static void
the_same_hash_everywhere(void **state UNUSED)
{
    assert_true(wd_nodes_hash("0 db1:5432\n") == UINT64_C(0xc53d0200ced832e6));
    assert_true(wd_nodes_hash("") != 0);
    assert_true(wd_nodes_hash("0 a:1\n") != wd_nodes_hash("0 a:2\n"));
}

static void
differ(const char *ours, const char *theirs, const char *expected)
{
    char words[120];

    assert_true(wd_nodes_differ(ours, theirs, words, sizeof(words)));
    assert_string_equal(words, expected);
}

static void
where_lists_differ(void **state UNUSED)
{
    char words[120];

    assert_false(wd_nodes_differ("0 a:1\n", "0 a:1\n", words, sizeof(words)));
    assert_string_equal(words, "");
    differ("0 a:1\n1 b:1\n", "0 a:1\n1 c:1\n", "node 1 is \"b:1\" here and \"c:1\" there");
    differ("0 a:1\n1 b:1\n", "0 a:1\n", "node 1 is \"b:1\" here, and not there");
    differ("1 b:1\n", "0 a:1\n1 b:1\n", "node 0 is \"a:1\" there, and not here");
    differ("0 a:1\n2 c:1\n", "1 b:1\n2 d:1\n",
           "node 0 is \"a:1\" here, and not there, node 1 is \"b:1\" there, and not here, "
           "node 2 is \"c:1\" here and \"d:1\" there");
    differ("", "0 a:1\n", "node 0 is \"a:1\" there, and not here");
}

static void
any_text_may_come(void **state UNUSED)
{
    static const char *const texts[] = {"\n\n",
                                        "x",
                                        "-1 a:1\n",
                                        "0",
                                        "0\n",
                                        "999 a:1",
                                        "0 \n",
                                        "1 b:1\n0 a:1\n1 b:1\n",
                                        "99999999999999999999 x:1"};
    char words[64];

    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        assert_true(wd_nodes_differ("0 a:1\n", texts[n], words, sizeof(words)));
        assert_true(words[0] != '\0');
    }
    assert_true(wd_nodes_differ("", "x", words, sizeof(words)));
    assert_string_equal(words, "their list is not understood");
    differ("0 a:1\n", "0 a\x01\x7f:1\n", "node 0 is \"a:1\" here and \"a??:1\" there");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_for_each_node),
        cmocka_unit_test(the_same_hash_everywhere),
        cmocka_unit_test(where_lists_differ),
        cmocka_unit_test(any_text_may_come),
    };

    return cmocka_run_group_tests_name("nodes", tests, NULL, NULL);
}
