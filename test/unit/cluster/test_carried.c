/* carried.h: what subscribers carry of the main node's tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/carried.h"

#include <stdlib.h>
#include <string.h>

static struct carried_book *book;
static struct cluster_carried *carried;

static void
main_says(char kind, const char *at, const char *name, uint32_t oid, const char *leaves)
{
    struct carried_row row = {.kind = kind,
                              .full = true,
                              .alone = true,
                              .oid = oid,
                              .at = at,
                              .slot = "",
                              .name = name,
                              .print = "print",
                              .leaves = leaves};

    carried_book_add(book, -1, &row);
}

static struct carried_row
subscribed(const char *name)
{
    return (struct carried_row){.kind = 'u',
                                .alone = true,
                                .at = "pub",
                                .slot = "slot",
                                .name = name,
                                .print = "print",
                                .leaves = ""};
}

static void
node_says(int node_id, const struct carried_row *row)
{
    carried_book_add(book, node_id, row);
}

static void
node_has(int node_id, const char *name)
{
    struct carried_row row = subscribed(name);

    node_says(node_id, &row);
}

static int
setup(void **state)
{
    struct carried_row settings = {
        .kind = 's', .at = "", .slot = "", .name = "", .print = "print", .leaves = ""};

    (void)state;
    book = carried_book_new();
    carried = calloc(1, sizeof(*carried));
    node_says(1, &settings); /* who answers first does not matter */
    node_has(1, "public.t");
    main_says('s', "", "", 0, "");
    main_says('l', "slot", "", 0, "");
    main_says('t', "pub", "public.t", 100, "");
    node_says(2, &settings);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    free(carried);
    return 0;
}

static bool
carries(int node_id, uint32_t oid)
{
    struct carried_database as = {.name = "db", .epoch = 5};
    const struct carried_database *d;
    struct cluster_set nodes;

    if (book != NULL) {
        assert_true(carried_book_close(book, &as, carried));
        carried_book_free(book);
        book = NULL;
    }
    d = carried_find(carried, "db");
    assert_non_null(d);
    assert_int_equal(d->epoch, 5);
    nodes = carried_nodes(carried, d, oid);
    return cluster_set_has(&nodes, node_id);
}

static void
ready_table_is_carried(void **state)
{
    (void)state;
    assert_true(carries(1, 100));
    assert_false(carries(2, 100));
    assert_false(carries(1, 99));
    assert_null(carried_find(carried, "other"));
    assert_true(cluster_set_has(&carried_find(carried, "db")->nodes, 2));
}

static void
filter_in_any_publication_counts(void **state)
{
    struct carried_row row = {.kind = 't',
                              .full = false,
                              .alone = true,
                              .oid = 100,
                              .at = "narrow",
                              .slot = "",
                              .name = "public.t",
                              .print = "print",
                              .leaves = ""};
    struct carried_row through = subscribed("public.t");

    (void)state;
    carried_book_add(book, -1, &row);
    through.at = "narrow";
    node_says(1, &through);
    node_has(2, "public.t"); /* its subscription does not have that one */
    assert_false(carries(1, 100));
    assert_true(carries(2, 100));
}

static void
publication_must_have_it(void **state)
{
    struct carried_row row = subscribed("public.t");

    (void)state;
    row.at = "another";
    node_says(2, &row);
    assert_false(carries(2, 100));
}

static void
slot_must_be_the_main_node_s(void **state)
{
    struct carried_row row = subscribed("public.t");

    (void)state;
    row.slot = "elsewhere";
    node_says(1, &row); /* beside the good one: two sources */
    node_says(2, &row);
    assert_false(carries(1, 100));
    assert_false(carries(2, 100));
}

static void
print_must_be_the_same(void **state)
{
    struct carried_row row = subscribed("public.t");

    (void)state;
    row.print = "other";
    node_says(2, &row);
    assert_false(carries(2, 100));
}

static void
settings_must_be_the_same(void **state)
{
    struct carried_row settings = {
        .kind = 's', .at = "", .slot = "", .name = "", .print = "other", .leaves = ""};

    (void)state;
    node_says(3, &settings);
    node_has(3, "public.t");
    assert_false(carries(3, 100));
    assert_false(cluster_set_has(&carried_find(carried, "db")->nodes, 3));
}

static void
children_make_a_name_more_than_a_table(void **state)
{
    struct carried_row row = subscribed("public.t");

    (void)state;
    row.alone = false;
    node_says(2, &row);
    assert_false(carries(2, 100));
}

static void
parent_needs_all_of_its_leaves(void **state)
{
    struct carried_row parent = {
        .kind = 'p', .at = "", .slot = "", .name = "public.p", .print = "print", .leaves = ""};

    (void)state;
    main_says('t', "pub", "public.a", 201, "");
    main_says('t', "pub", "public.b", 202, "");
    main_says('p', "", "public.p", 200, "201 202");
    main_says('p', "", "public.q", 300, "201 203");
    for (int node_id = 1; node_id <= 2; node_id++) {
        node_has(node_id, "public.a");
        parent.name = "public.p";
        node_says(node_id, &parent);
        parent.name = "public.q";
        node_says(node_id, &parent);
    }
    node_has(1, "public.b");
    assert_true(carries(1, 200));
    assert_true(carries(1, 201));
    assert_false(carries(2, 200));
    assert_true(carries(2, 201));
    assert_false(carries(1, 300));
}

static void
root_may_be_published_itself_and_by_leaves(void **state)
{
    (void)state;
    main_says('t', "pub", "public.a", 201, "");
    main_says('p', "", "public.t", 100, "201");
    assert_true(carries(1, 100));
    assert_int_equal(carried->table_count, 1);
}

static void
too_many_databases_are_not_carried(void **state)
{
    struct carried_database as = {.name = "db"};

    (void)state;
    carried->database_count = CARRIED_DATABASES_MAX;
    assert_false(carried_book_close(book, &as, carried));
    carried->database_count = 0;
    carried->table_count = CARRIED_TABLES_MAX;
    assert_false(carried_book_close(book, &as, carried));
    assert_int_equal(carried->table_count, CARRIED_TABLES_MAX);
    assert_int_equal(carried->database_count, 0);
    carried_book_free(book);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ready_table_is_carried),
        TEST(filter_in_any_publication_counts),
        TEST(publication_must_have_it),
        TEST(slot_must_be_the_main_node_s),
        TEST(print_must_be_the_same),
        TEST(settings_must_be_the_same),
        TEST(children_make_a_name_more_than_a_table),
        TEST(parent_needs_all_of_its_leaves),
        TEST(root_may_be_published_itself_and_by_leaves),
        TEST(too_many_databases_are_not_carried),
    };

    return cmocka_run_group_tests_name("carried", tests, NULL, NULL);
}
