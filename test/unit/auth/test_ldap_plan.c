/*
 * What the options of an LDAP rule come to: servers, names to bind as, filters, and what is
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/ldap.h"
#include "auth/pam.h"

#include <string.h>

#define BASEDN "dc=example,dc=net"

static const char *
text(struct buf *b)
{
    return b->len > 0 ? buf_cstr(b) : "";
}

/* ---- escaping ---- */

static void
expect_dn(const char *value, const char *escaped)
{
    struct buf out = BUF_EMPTY;

    ldap_escape_dn(&out, value);
    assert_string_equal(text(&out), escaped);
    buf_free(&out);
}

static void
expect_filter(const char *value, const char *escaped)
{
    struct buf out = BUF_EMPTY;

    ldap_escape_filter(&out, value);
    assert_string_equal(text(&out), escaped);
    buf_free(&out);
}

static void
values_stay_values_in_distinguished_names(void **state)
{
    (void)state;
    expect_dn("", "");
    expect_dn("alice", "alice");
    expect_dn("o'neil", "o'neil");
    expect_dn("a,b", "a\\2cb");
    expect_dn("a+b=c", "a\\2bb\\3dc");
    expect_dn("\"<>;\\", "\\22\\3c\\3e\\3b\\5c");
    expect_dn("#1", "\\231");
    expect_dn("1#", "1#");
    expect_dn(" a b ", "\\20a b\\20");
    expect_dn(" ", "\\20");
    expect_dn("  ", "\\20\\20");
    expect_dn("a\nb\x7f", "a\\0ab\\7f");
    expect_dn("j\xc3\xb6rg", "j\xc3\xb6rg");
}

static void
values_stay_values_in_filters(void **state)
{
    (void)state;
    expect_filter("", "");
    expect_filter("alice", "alice");
    expect_filter("*", "\\2a");
    expect_filter("a)(uid=*", "a\\29\\28uid=\\2a");
    expect_filter("a\\2a", "a\\5c2a");
    expect_filter("a\tb", "a\\09b");
    expect_filter("j\xc3\xb6rg", "j\xc3\xb6rg");
}

/* ---- plans ---- */

static void
make(const struct ldap_options *options, const char *user, struct ldap_plan *plan)
{
    struct err err;

    if (ldap_plan_make(options, user, plan, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(ldap_options_check(options, &err), 0);
}

static void
expect_name(const struct ldap_options *options, const char *user, const char *name)
{
    struct ldap_plan plan;

    make(options, user, &plan);
    assert_false(plan.searches);
    assert_string_equal(text(&plan.name), name);
    ldap_plan_free(&plan);
}

static void
expect_search(const struct ldap_options *options, const char *user, const char *filter)
{
    struct ldap_plan plan;

    make(options, user, &plan);
    assert_true(plan.searches);
    assert_string_equal(text(&plan.base), BASEDN);
    assert_string_equal(text(&plan.filter), filter);
    assert_int_equal(plan.name.len, 0);
    ldap_plan_free(&plan);
}

static void
expect_refusal(const struct ldap_options *options, const char *user)
{
    struct ldap_plan plan;
    struct err err;

    assert_int_equal(ldap_plan_make(options, user, &plan, &err), -1);
    assert_string_equal(err.sqlstate, "28000");
    ldap_plan_free(&plan);
    assert_int_equal(ldap_options_check(options, &err), 0);
}

static void
names_to_bind_as(void **state)
{
    struct ldap_options o = {.server = "s", .prefix = "uid=", .suffix = "," BASEDN};

    (void)state;
    expect_name(&o, "alice", "uid=alice," BASEDN);
    expect_name(&o, "a,dc=x", "uid=a\\2cdc\\3dx," BASEDN);
    expect_name(&o, "a/b", "uid=a/b," BASEDN);
    expect_refusal(&o, "");
    o.prefix = "EXAMPLE\\";
    o.suffix = NULL;
    expect_name(&o, "alice", "EXAMPLE\\alice");
    o.prefix = "";
    o.suffix = "@example.net";
    expect_name(&o, "alice", "alice@example.net");
    /* what is not in a distinguished name must not look like one */
    expect_refusal(&o, "uid=alice," BASEDN);
    expect_refusal(&o, "alice\\");
    expect_refusal(&o, "OTHER/alice");
}

static void
searches(void **state)
{
    struct ldap_options o = {.server = "s", .basedn = BASEDN};
    static const char *const strange[] = {"*", "a*", "(", ")", "a\\2a", "a/b", ""};

    (void)state;
    expect_search(&o, "alice", "(uid=alice)");
    o.searchattribute = "sAMAccountName";
    expect_search(&o, "alice", "(sAMAccountName=alice)");
    o.searchattribute = NULL;
    o.searchfilter = "(|(uid=$username)(mail=$username))";
    expect_search(&o, "alice", "(|(uid=alice)(mail=alice))");
    expect_search(&o, "a=b", "(|(uid=a=b)(mail=a=b))");
    expect_search(&o, "$username", "(|(uid=$username)(mail=$username))");
    for (size_t n = 0; n < ARRAY_LEN(strange); n++)
        expect_refusal(&o, strange[n]);
}

static void
expect_uris(const struct ldap_options *options, unsigned count, const char *joined)
{
    struct ldap_plan plan;

    make(options, "alice", &plan);
    assert_int_equal(plan.uri_count, count);
    for (size_t at = 0; at + 1 < plan.uris.len; at++) {
        if (plan.uris.data[at] == 0)
            plan.uris.data[at] = ' ';
    }
    assert_string_equal((const char *)plan.uris.data, joined);
    ldap_plan_free(&plan);
}

static void
servers(void **state)
{
    struct ldap_options o = {.server = "one", .basedn = BASEDN};

    (void)state;
    expect_uris(&o, 1, "ldap://one:389");
    o.server = " one  two.example.net ";
    expect_uris(&o, 2, "ldap://one:389 ldap://two.example.net:389");
    o.scheme = "ldaps";
    expect_uris(&o, 2, "ldaps://one:636 ldaps://two.example.net:636");
    o.port = 1636;
    o.server = "::1 [::2] 192.0.2.1";
    expect_uris(&o, 3, "ldaps://[::1]:1636 ldaps://[::2]:1636 ldaps://192.0.2.1:1636");
}

static void
urls(void **state)
{
    struct ldap_options o = {.url = "ldap://one:1389/dc=example%2cdc=net?cn?sub"};
    struct ldap_plan plan;

    (void)state;
    expect_search(&o, "alice", "(cn=alice)");
    expect_uris(&o, 1, "ldap://one:1389");
    make(&o, "alice", &plan);
    assert_int_equal(plan.scope, LDAP_SCOPE_IS_SUB);
    ldap_plan_free(&plan);
    o.url = "LDAPS://one/" BASEDN "??ONE?(x=$username)";
    expect_search(&o, "alice", "(x=alice)");
    expect_uris(&o, 1, "ldaps://one:636");
    make(&o, "alice", &plan);
    assert_int_equal(plan.scope, LDAP_SCOPE_IS_ONE);
    ldap_plan_free(&plan);
    o.url = "ldap://[::1]:1/" BASEDN;
    expect_uris(&o, 1, "ldap://[::1]:1");
    make(&o, "alice", &plan);
    assert_int_equal(plan.scope, LDAP_SCOPE_IS_BASE);
    ldap_plan_free(&plan);
    o.url = "ldap:///" BASEDN;
    o.server = "two";
    expect_uris(&o, 1, "ldap://two:389");
    o.url = "ldap://one";
    o.basedn = BASEDN;
    o.server = NULL;
    expect_uris(&o, 1, "ldap://one:389");
    o = (struct ldap_options){.server = "s", .basedn = BASEDN};
    make(&o, "alice", &plan);
    assert_int_equal(plan.scope, LDAP_SCOPE_IS_SUB);
    ldap_plan_free(&plan);
}

static void
expect_fault(const struct ldap_options *options, const char *words)
{
    struct ldap_plan plan;
    struct err err;

    assert_int_equal(ldap_options_check(options, &err), -1);
    assert_string_equal(err.sqlstate, "F0000");
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", err.message, words);
    assert_int_equal(ldap_plan_make(options, "alice", &plan, &err), -1);
    assert_string_equal(err.sqlstate, "F0000");
    ldap_plan_free(&plan);
}

static void
faults(void **state)
{
#define FAULT(words, ...) expect_fault(&(struct ldap_options){__VA_ARGS__}, words)
    (void)state;
    FAULT("needs one of", .server = "s");
    FAULT("needs ldapserver", .prefix = "uid=");
    FAULT("needs ldapserver", .server = " ", .prefix = "uid=");
    FAULT("needs ldapserver", .url = "ldap:///" BASEDN);
    FAULT("exclude", .server = "s", .prefix = "uid=", .basedn = BASEDN);
    FAULT("exclude", .server = "s", .suffix = "x", .searchfilter = "(uid=$username)");
    FAULT("exclude", .server = "s", .prefix = "uid=", .url = "ldap://s/" BASEDN);
    FAULT("exclude each other", .server = "s", .basedn = BASEDN, .searchattribute = "uid",
          .searchfilter = "(uid=$username)");
    FAULT("does not contain", .server = "s", .basedn = BASEDN, .searchfilter = "(uid=admin)");
    FAULT("neither", .server = "s", .basedn = BASEDN, .scheme = "ldapi");
    FAULT("exclude", .server = "s", .basedn = BASEDN, .scheme = "ldaps", .tls = true);
    FAULT("list of host names", .server = "ldap://s", .basedn = BASEDN);
    FAULT("begins", .url = "http://s/" BASEDN);
    FAULT("begins", .url = "ldap:/s/" BASEDN);
    FAULT("port", .url = "ldap://s:0/" BASEDN);
    FAULT("port", .url = "ldap://s:65536/" BASEDN);
    FAULT("port", .url = "ldap://s:x/" BASEDN);
    FAULT("scope", .url = "ldap://s/" BASEDN "?uid?all");
    FAULT("one attribute", .url = "ldap://s/" BASEDN "?uid,cn?sub");
    FAULT("extensions", .url = "ldap://s/" BASEDN "?uid?sub??x");
    FAULT("hexadecimal", .url = "ldap://s/dc=%2");
    FAULT("hexadecimal", .url = "ldap://s/dc=%zz");
    FAULT("hexadecimal", .url = "ldap://s/dc=%00");
    FAULT("something else", .url = "ldap://s/" BASEDN, .scheme = "ldaps");
}

/* An empty password would be an anonymous bind, which succeeds: it gets nowhere. */
static void
empty_passwords(void **state)
{
    struct ldap_request ldap = {.options = {.server = "192.0.2.1", .prefix = "uid="},
                                .user = "alice",
                                .password = "",
                                .timeout_ms = 60000};
    struct pam_request pam = {.service = "pgpool_test_none", .user = "alice", .password = ""};
    struct err err;

    (void)state;
    assert_int_equal(ldap_check(&ldap, &err), -1);
    assert_string_equal(err.sqlstate, "28000");
    assert_int_equal(pam_check(&pam, &err), -1);
    assert_string_equal(err.sqlstate, "28000");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stay_values_in_distinguished_names),
        cmocka_unit_test(values_stay_values_in_filters),
        cmocka_unit_test(names_to_bind_as),
        cmocka_unit_test(searches),
        cmocka_unit_test(servers),
        cmocka_unit_test(urls),
        cmocka_unit_test(faults),
        cmocka_unit_test(empty_passwords),
    };

    return cmocka_run_group_tests_name("auth/ldap", tests, NULL, NULL);
}
