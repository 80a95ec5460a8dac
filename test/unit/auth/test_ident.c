/*
 * Maps of names.
 */
#include "auth/hba.h"
#include "auth/ident.h"
#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct ident *
load(const char *text)
{
    const struct file files[] = {
        {"/e/i", text, 0}, {"/e/more", "m extra plain", 0}, {NULL, NULL, 0}};
    struct hba_reader reader = files_reader(files);

    return ident_load(&reader, "/e/i");
}

static enum ident_result
map(const char *text, struct ident_question q)
{
    struct ident *i = load(text);
    enum ident_result result;

    assert_true(ident_is_good(i));
    result = ident_map(i, &q);
    ident_unref(i);
    return result;
}

static void
assert_fault(const char *text, const char *why)
{
    struct ident *i = load(text);
    struct ident_question q = {.map = "m", .system_user = "a", .role = "a"};

    assert_false(ident_is_good(i));
    assert_non_null(ident_line_at(i, 0)->error);
    assert_int_equal(ident_line_at(i, 0)->rule, 0);
    if (strstr(ident_line_at(i, 0)->error, why) == NULL)
        fail_msg("%s: %s", text, ident_line_at(i, 0)->error);
    assert_int_equal(ident_map(i, &q), IDENT_REFUSED);
    ident_unref(i);
}

#define Q(m, s, r) ((struct ident_question){.map = (m), .system_user = (s), .role = (r)})

static void
without_a_map_names_are_equal(void **state)
{
    struct ident_question q = Q(NULL, "joe", "Joe");

    (void)state;
    assert_int_equal(ident_map(NULL, &q), IDENT_REFUSED);
    q.nocase = true;
    assert_int_equal(ident_map(NULL, &q), IDENT_ALLOWED);
    assert_int_equal(map("m joe x", Q(NULL, "joe", "x")), IDENT_REFUSED);
    assert_int_equal(map("m joe x", Q(NULL, "joe", "joe")), IDENT_ALLOWED);
    q.map = "m";
    assert_int_equal(ident_map(NULL, &q), IDENT_REFUSED);
}

static void
any_line_of_the_map_will_do(void **state)
{
    static const char text[] = "m joe x\nm joe y # both\nn joe z\ninclude more\nm Ann w\n";

    (void)state;
    assert_int_equal(map(text, Q("m", "joe", "x")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("m", "joe", "y")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("m", "joe", "z")), IDENT_REFUSED);
    assert_int_equal(map(text, Q("m", "joe", "joe")), IDENT_REFUSED);
    assert_int_equal(map(text, Q("n", "joe", "z")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("o", "joe", "joe")), IDENT_REFUSED);
    assert_int_equal(map(text, Q("m", "extra", "plain")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("m", "ann", "W")), IDENT_REFUSED);
    assert_int_equal(
        map(text,
            (struct ident_question){.map = "m", .system_user = "ann", .role = "W", .nocase = true}),
        IDENT_ALLOWED);
}

static void
expressions_fill_in_the_role(void **state)
{
    static const char text[] = "m /^(.*)@a$ \\1\n"
                               "m /^(.*)@b$ pre_\\1_x\n"
                               "m /^boss@ root\n"
                               "m /^u(.*)$ \"/^r_\"\n"
                               "m /^(all)x$ \\1\n";

    (void)state;
    assert_int_equal(map(text, Q("m", "joe@a", "joe")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("m", "joe@a", "joe@a")), IDENT_REFUSED);
    assert_int_equal(map(text, Q("m", "@a", "x")), IDENT_REFUSED);
    assert_int_equal(map(text, Q("m", "joe@b", "pre_joe_x")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("m", "joe@b", "joe")), IDENT_REFUSED);
    assert_int_equal(map(text, Q("m", "boss@c", "root")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("m", "u1", "r_1")), IDENT_ALLOWED);
    assert_int_equal(map(text, Q("m", "u1", "s_1")), IDENT_REFUSED);
    /* what is filled in is a name */
    assert_int_equal(map(text, Q("m", "allx", "joe")), IDENT_REFUSED);
    assert_int_equal(map("m /^(.*)$ \\1", Q("m", "+g", "x")), IDENT_REFUSED);
    assert_int_equal(map("m /^(.*)$ \\1", Q("m", "/.", "x")), IDENT_REFUSED);
}

static void
roles_may_be_all_or_members(void **state)
{
    static const char *const names[] = {"joe", "staff"};
    const struct hba_roles roles = {names, 2};
    static const char text[] = "m root all\nm ann +staff\nm ann late\nn ann \"+staff\"\n";
    struct ident_question q = Q("m", "ann", "joe");

    (void)state;
    assert_int_equal(map(text, Q("m", "root", "anybody")), IDENT_ALLOWED);
    assert_int_equal(map(text, q), IDENT_NEEDS_ROLES);
    assert_int_equal(map(text, Q("m", "ann", "late")), IDENT_ALLOWED);
    q.roles = &roles;
    assert_int_equal(map(text, q), IDENT_ALLOWED);
    q.roles = &(struct hba_roles){names, 1};
    assert_int_equal(map(text, q), IDENT_REFUSED);
    q.map = "n";
    q.roles = &roles;
    assert_int_equal(map(text, q), IDENT_REFUSED);
    assert_int_equal(map(text, Q("n", "ann", "+staff")), IDENT_ALLOWED);
}

static void
faults_are_told_with_their_line(void **state)
{
    struct ident *i = load("m a b\n\nm a\nm c d\n");

    (void)state;
    assert_int_equal(ident_line_at(i, 0)->rule, 1);
    assert_int_equal(ident_line_at(i, 1)->number, 3);
    assert_int_equal(ident_line_at(i, 2)->rule, 2);
    assert_string_equal(ident_line_at(i, 2)->system_user, "c");
    assert_null(ident_line_at(i, 3));
    ident_unref(i);
    assert_fault("m", "ends before the system name");
    assert_fault("m a", "ends before the role");
    assert_fault("m,n a b", "more than one map");
    assert_fault("m a b,c", "more than one role");
    assert_fault("m a b c", "goes on behind the role");
    assert_fault("m /( b", "parentheses are not closed");
    assert_fault("m a /[", "brackets are not closed");
    assert_fault("m /^a$ \\1", "has no parentheses");
    assert_fault("m \"a b", "double quotes");
    assert_fault("include none", "there is no file");
}

static void
no_file_is_no_fault(void **state)
{
    const struct file files[] = {{NULL, NULL, 0}};
    const struct file bad[] = {{"/e/i", NULL, 0}, {NULL, NULL, 0}};
    struct hba_reader reader = files_reader(files);
    struct ident *i = ident_load(&reader, "/e/i");

    (void)state;
    assert_true(ident_is_good(i));
    assert_null(ident_line_at(i, 0));
    ident_unref(ident_ref(i));
    ident_unref(i);
    ident_unref(ident_ref(NULL));
    reader = files_reader(bad);
    i = ident_load(&reader, "/e/i");
    assert_false(ident_is_good(i));
    ident_unref(i);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_map_names_are_equal),
        cmocka_unit_test(any_line_of_the_map_will_do),
        cmocka_unit_test(expressions_fill_in_the_role),
        cmocka_unit_test(roles_may_be_all_or_members),
        cmocka_unit_test(faults_are_told_with_their_line),
        cmocka_unit_test(no_file_is_no_fault),
    };

    return cmocka_run_group_tests_name("ident", tests, NULL, NULL);
}
