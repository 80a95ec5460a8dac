/*
 * Logins of the status page, and requests that do not come from it.
 */
#include "auth/http_sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND_NS = 1000000000 };

static struct http_sessions sessions;
static const int64_t start_ns = INT64_C(5) * SECOND_NS;

static int
setup(void **state)
{
    (void)state;
    memset(&sessions, 0, sizeof(sessions));
    return 0;
}

static void
begin(const char *user, enum pcp_role role, int64_t now_ns, char token_r[HTTP_TOKEN_BYTES])
{
    const struct http_login who = {user, role};
    const struct http_session *one;
    struct err err;

    assert_int_equal(http_sessions_begin(&sessions, &who, now_ns, &one, &err), 0);
    memcpy(token_r, one->token, HTTP_TOKEN_BYTES);
}

static void
a_token_is_its_users(void **state)
{
    char alice[HTTP_TOKEN_BYTES];
    char mary[HTTP_TOKEN_BYTES];
    const struct http_session *one;

    (void)state;
    begin("alice", PCP_ADMIN, start_ns, alice);
    begin("mary", PCP_MONITOR, start_ns, mary);
    assert_int_equal(strlen(alice), HTTP_TOKEN_BYTES - 1);
    assert_string_not_equal(alice, mary);
    one = http_sessions_find(&sessions, alice, start_ns);
    assert_non_null(one);
    assert_string_equal(one->user, "alice");
    assert_int_equal(one->role, PCP_ADMIN);
    assert_int_equal(http_sessions_find(&sessions, mary, start_ns)->role, PCP_MONITOR);
    http_sessions_end(&sessions, alice);
    assert_null(http_sessions_find(&sessions, alice, start_ns));
    assert_non_null(http_sessions_find(&sessions, mary, start_ns));
    http_sessions_forget(&sessions);
    assert_null(http_sessions_find(&sessions, mary, start_ns));
}

static void
odd_tokens_are_nobodys(void **state)
{
    char token[HTTP_TOKEN_BYTES];
    char other[HTTP_TOKEN_BYTES + 1];

    (void)state;
    assert_null(http_sessions_find(&sessions, "", start_ns));
    begin("alice", PCP_ADMIN, start_ns, token);
    assert_null(http_sessions_find(&sessions, NULL, start_ns));
    assert_null(http_sessions_find(&sessions, "", start_ns));
    memcpy(other, token, HTTP_TOKEN_BYTES);
    other[HTTP_TOKEN_BYTES - 2] ^= 1;
    assert_null(http_sessions_find(&sessions, other, start_ns));
    other[HTTP_TOKEN_BYTES - 2] = '\0';
    assert_null(http_sessions_find(&sessions, other, start_ns));
    snprintf(other, sizeof(other), "%sx", token);
    assert_null(http_sessions_find(&sessions, other, start_ns));
    memset(other, '0', HTTP_TOKEN_BYTES - 1);
    other[HTTP_TOKEN_BYTES - 1] = '\0';
    assert_null(http_sessions_find(&sessions, other, start_ns));
    http_sessions_end(&sessions, other);
    http_sessions_end(&sessions, NULL);
    assert_non_null(http_sessions_find(&sessions, token, start_ns));
}

static void
a_login_ends_unused_and_at_last(void **state)
{
    const int64_t idle_ns = INT64_C(1) * HTTP_SESSION_IDLE_S * SECOND_NS;
    const int64_t life_ns = INT64_C(1) * HTTP_SESSION_LIFE_S * SECOND_NS;
    char token[HTTP_TOKEN_BYTES];
    int64_t now_ns = start_ns;

    (void)state;
    begin("alice", PCP_ADMIN, now_ns, token);
    for (; now_ns <= start_ns + life_ns; now_ns += idle_ns)
        assert_non_null(http_sessions_find(&sessions, token, now_ns));
    assert_null(http_sessions_find(&sessions, token, now_ns));
    assert_null(http_sessions_find(&sessions, token, start_ns));
    begin("alice", PCP_ADMIN, now_ns, token);
    assert_null(http_sessions_find(&sessions, token, now_ns + idle_ns + 1));
}

static void
the_one_not_used_for_longest_makes_room(void **state)
{
    char tokens[HTTP_SESSIONS_MAX + 1][HTTP_TOKEN_BYTES];

    (void)state;
    for (int n = 0; n < HTTP_SESSIONS_MAX; n++)
        begin("alice", PCP_ADMIN, start_ns + n, tokens[n]);
    assert_non_null(http_sessions_find(&sessions, tokens[0], start_ns + 100));
    begin("alice", PCP_ADMIN, start_ns + 101, tokens[HTTP_SESSIONS_MAX]);
    for (int n = 0; n <= HTTP_SESSIONS_MAX; n++)
        assert_int_equal(http_sessions_find(&sessions, tokens[n], start_ns + 102) != NULL, n != 1);
}

static void
requests_of_other_pages_are_told(void **state)
{
    static const struct {
        const char *host, *origin, *site;
        bool is_ours;
    } rows[] = {
        {"db:9719", "http://db:9719", "same-origin", true},
        {"db:9719", "https://DB:9719", NULL, true},
        {"db:9719", NULL, "same-origin", true},
        {"[::1]:9719", "http://[::1]:9719", "same-origin", true},
        {"db:9719", NULL, NULL, false},
        {"db:9719", "http://db:9720", "same-site", false},
        {"db:9719", "http://db:9720", NULL, false},
        {"db:9719", "http://db:9720", "same-origin", false},
        {"db:9719", "http://db:9719", "cross-site", false},
        {"db:9719", "http://db:9719", "none", false},
        {"db:9719", "http://db:9719", "", false},
        {"db:9719", "http://db:9719.evil.example", NULL, false},
        {"db:9719", "http://evil.example/db:9719", NULL, false},
        {"db:9719", "http://user@db:9719", NULL, false},
        {"db:9719", "db:9719", NULL, false},
        {"db:9719", "null", NULL, false},
        {"db:9719", "", NULL, false},
        {"", "http://", NULL, false},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        const struct http_request r = {
            .host = rows[n].host, .origin = rows[n].origin, .site = rows[n].site};

        if (http_request_is_ours(&r) != rows[n].is_ours)
            fail_msg("row %zu", n);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_token_is_its_users, setup),
        cmocka_unit_test_setup(odd_tokens_are_nobodys, setup),
        cmocka_unit_test_setup(a_login_ends_unused_and_at_last, setup),
        cmocka_unit_test_setup(the_one_not_used_for_longest_makes_room, setup),
        cmocka_unit_test(requests_of_other_pages_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
