/*
 * What would become of a login.
 */
#include "auth/explain.h"
#include "files.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char rules[] = "local all all peer map=m\n"
                            "host all +staff 10.0.0.0/8 reject\n"
                            "host all all 10.0.0.0/8 md5\n"
                            "hostssl all all 192.0.2.0/24 cert\n"
                            "host shut all all reject\n"
                            "host plain all all password\n"
                            "host all all 198.51.100.1/32 pam\n";
static const char passwords[] = "text:TEXTsecret\n"
                                "hashed:md5b44a9b06d576a0b083cd60e5f875cf48\n"
                                "odd:AESxyz\n";

struct case_of_login {
    const char *user;
    const char *database;
    const char *address; /* NULL: a unix socket */
    bool tls;
    bool by_lines;
    const char *auth_user;
    const char *expected[6]; /* "item=words", with words as a part of them */
};

static void
add(void *ctx, const char *item, const char *words)
{
    buf_printf(ctx, "%s=%s\n", item, words);
}

static void
explain(const struct case_of_login *c, struct buf *out)
{
    const struct file files[] = {{"/e/pool_hba.conf", rules, 0}, {NULL, NULL, 0}};
    struct passwd_source source = {.name = "pool_passwd"};
    struct hba_reader reader = files_reader(files);
    struct hba *hba = hba_load(&reader, "/e/pool_hba.conf");
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct explain_login e = {.user = c->user,
                              .database = c->database,
                              .tls = c->tls,
                              .by_lines = c->by_lines,
                              .hba = hba,
                              .auth_user = c->auth_user};
    struct passwd *p;
    struct err err;

    assert_true(hba_is_good(hba));
    assert_int_equal(passwd_parse(passwords, strlen(passwords), &source, &p, &err), 0);
    e.passwords = p;
    if (c->address != NULL) {
        assert_int_equal(inet_pton(AF_INET, c->address, &in.sin_addr), 1);
        e.addr = (const struct sockaddr *)&in;
    }
    explain_login(&e, add, out);
    passwd_free(p);
    hba_unref(hba);
}

static const struct case_of_login cases[] = {
    {"a", "d", NULL, false, true, "", {"rule=/e/pool_hba.conf:1: local", "asks for=the user of"}},
    {"a",
     "d",
     "10.1.2.3",
     false,
     true,
     "asker",
     {"note=an earlier line", "rule=/e/pool_hba.conf:3: host",
      "secret=auth_query, asked as \"asker\"", "asks for=SCRAM-SHA-256\n",
      "servers=with what the client"}},
    {"a", "d", "10.1.2.3", false, true, "", {"secret=none: neither", "nobody comes in"}},
    {"hashed", "d", "10.1.2.3", false, true, "", {"secret=pool_passwd: md5", "asks for=md5"}},
    {"text",
     "d",
     "10.1.2.3",
     true,
     true,
     "",
     {"secret=pool_passwd: the password itself", "asks for=SCRAM-SHA-256, SCRAM-SHA-256-PLUS",
      "servers=with the password of pool_passwd"}},
    {"odd", "d", "10.1.2.3", false, true, "", {"nobody comes in"}},
    {"a", "d", "192.0.2.1", true, true, "", {"certificate=of a trusted", "asks for=a certificate"}},
    {"a", "d", "192.0.2.1", false, true, "", {"rule=no line matches: refused"}},
    {"a", "shut", "203.0.113.1", false, true, "", {"rule=/e/pool_hba.conf:5", "outcome=refused"}},
    {"a",
     "plain",
     "203.0.113.1",
     false,
     true,
     "",
     {"secret=none here: a server decides", "asks for=the password in the clear"}},
    {"a",
     "d",
     "198.51.100.1",
     false,
     true,
     "",
     {"asks for=the password in the clear", "servers=with that password"}},
    {"a",
     "d",
     "203.0.113.1",
     false,
     false,
     "",
     {"rule=none: enable_pool_hba is off", "secret=none here", "nobody comes in"}},
    {"a", "d", NULL, false, false, "", {"asks for=nothing, or, where the servers want one"}},
    {"hashed", "d", "203.0.113.1", false, false, "asker", {"secret=pool_passwd: md5"}},
};

static void
logins_are_explained(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        struct buf out = BUF_EMPTY;

        explain(&cases[n], &out);
        for (size_t at = 0; at < 6 && cases[n].expected[at] != NULL; at++) {
            if (strstr(buf_cstr(&out), cases[n].expected[at]) == NULL)
                fail_msg("case %zu: no \"%s\" in:\n%s", n, cases[n].expected[at], buf_cstr(&out));
        }
        buf_free(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logins_are_explained)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
