/*
 * Who may see what over HTTP.
 */
#include "auth/http_door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* md5 of "secret"; and of "pencil" what RFC 7677 has in its example */
static const char FILE_TEXT[] = "alice:5ebe2294ecd0e0f08eab7690d2a6ee69:monitor\n"
                                "carol:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                                "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

static struct config *config;
static struct pcp_users *users;
static struct http_door door;
static struct http_request request;

static int
setup(void **state)
{
    struct config_report report;
    struct err err;

    (void)state;
    config_report_init(&report);
    assert_int_equal(config_load_text("", 0, "test.conf", &config, &report), 0);
    config_report_fini(&report);
    assert_int_equal(pcp_users_parse(FILE_TEXT, strlen(FILE_TEXT), "pcp.conf", &users, &err), 0);
    memset(&door, 0, sizeof(door));
    door.config = config;
    assert_int_equal(http_door_forget(&door, &err), 0);
    request = (struct http_request){.path = "/metrics", .host = "localhost:9719"};
    assert_true(sock_parse_literal("127.0.0.1", 1234, &request.peer));
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    config_free(config);
    pcp_users_free(users);
    return 0;
}

static enum http_verdict
judge(enum config_http_public need)
{
    struct err why;

    return http_door_judge(&door, &request, need, &why);
}

static void
from_elsewhere(void)
{
    assert_true(sock_parse_literal("192.0.2.7", 1234, &request.peer));
}

static void
say(const char *user, const char *password)
{
    request.user = user;
    request.password = password;
}

static void
health_is_for_all(void **state)
{
    (void)state;
    from_elsewhere();
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_HEALTH), HTTP_LET_IN);
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_REFUSE);
    config->http_public = CONFIG_HTTP_PUBLIC_METRICS;
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_LET_IN);
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_REFUSE);
    config->http_public = CONFIG_HTTP_PUBLIC_ALL;
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_LET_IN);
}

static void
without_a_file_this_machine_may_look(void **state)
{
    (void)state;
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_LET_IN);
    request.host = "rebound.example:9719";
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_REFUSE);
    request.host = "";
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_REFUSE);
    request.host = "localhost";
    from_elsewhere();
    request.is_tls = true;
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_REFUSE);
}

static void
with_a_file_the_password_counts(void **state)
{
    (void)state;
    door.users = users;
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_ASK);
    say("alice", "secret");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_LET_IN);
    assert_int_equal(door.proved.count, 1);
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_LET_IN);
    assert_int_equal(door.proved.count, 1);
    say("carol", "pencil");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_LET_IN);
    say("carol", "pencil ");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_ASK);
    say("carol", "secret");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_ASK);
    say("alice", "Secret");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_ASK);
    say("alice", "");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_ASK);
    say("bob", "secret");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_ASK);
    say("", "");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_ASK);
}

static void
no_password_crosses_a_network_in_the_clear(void **state)
{
    (void)state;
    door.users = users;
    from_elsewhere();
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_REFUSE);
    say("alice", "secret");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_REFUSE);
    request.is_tls = true;
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_METRICS), HTTP_LET_IN);
}

/* What was proved is forgotten with the users. */
static void
other_users_prove_anew(void **state)
{
    struct err err;

    (void)state;
    door.users = users;
    say("alice", "secret");
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_LET_IN);
    pcp_users_free(users);
    assert_int_equal(pcp_users_parse("", 0, "pcp.conf", &users, &err), 0);
    door.users = users;
    assert_int_equal(http_door_forget(&door, &err), 0);
    assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_ASK);
}

/* More than there is room for: each still has to be right. */
static void
the_oldest_is_forgotten(void **state)
{
    char text[64 * 12];
    size_t len = 0;
    char name[8] = "u0";
    struct err err;

    (void)state;
    for (char n = 0; n < 12; n++) {
        name[1] = (char)('a' + n);
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%s:5ebe2294ecd0e0f08eab7690d2a6ee69\n", name);
    }
    pcp_users_free(users);
    assert_int_equal(pcp_users_parse(text, len, "pcp.conf", &users, &err), 0);
    door.users = users;
    for (int n = 0; n < 24; n++) {
        name[1] = (char)('a' + n % 12);
        say(name, "secret");
        assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_LET_IN);
        say(name, "wrong");
        assert_int_equal(judge(CONFIG_HTTP_PUBLIC_ALL), HTTP_ASK);
    }
    assert_int_equal(door.proved.count, HTTP_PROVED_MAX);
}

static void
names_of_this_machine(void **state)
{
    static const char *const good[] = {"localhost", "LOCALHOST:80", "127.0.0.1",  "127.0.0.1:9719",
                                       "[::1]",     "[::1]:9719",   "192.0.2.1:1"};
    static const char *const bad[] = {"",
                                      ":",
                                      ":80",
                                      "example.org",
                                      "localhost.example.org",
                                      "localhost:",
                                      "[::1",
                                      "::1",
                                      "[]",
                                      "[::1]x",
                                      "[::1]:x",
                                      "localhost:99999",
                                      "local",
                                      "[x]:9719",
                                      "127.0.0.1.",
                                      "1",
                                      "localhost:80:80"};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(good); n++)
        if (!http_host_is_local(good[n]))
            fail_msg("\"%s\" is refused", good[n]);
    for (size_t n = 0; n < ARRAY_LEN(bad); n++)
        if (http_host_is_local(bad[n]))
            fail_msg("\"%s\" is taken", bad[n]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(health_is_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_file_this_machine_may_look, setup, teardown),
        cmocka_unit_test_setup_teardown(with_a_file_the_password_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(no_password_crosses_a_network_in_the_clear, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(other_users_prove_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_is_forgotten, setup, teardown),
        cmocka_unit_test(names_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
