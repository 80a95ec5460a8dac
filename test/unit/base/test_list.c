/* list.h: order, removal while walking, and nodes that stand in no list. */
#include "unit.h"

#include "base/list.h"

struct item {
    int number;
    struct list link;
};

static void
append_and_prepend_keep_order(void **state)
{
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct list head;
    int expected = 0;

    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    list_append(&head, &items[1].link);
    list_append(&head, &items[2].link);
    list_prepend(&head, &items[0].link);
    assert_false(list_empty(&head));
    list_for_each (it, &head)
        assert_int_equal(list_entry(it, struct item, link)->number, expected++);
    assert_int_equal(expected, 3);
    assert_int_equal(list_first(&head, struct item, link)->number, 0);
    assert_int_equal(list_last(&head, struct item, link)->number, 2);
}

static void
remove_is_safe_twice(void **state)
{
    struct item item = {.number = 1};
    struct list head;

    (void)state;
    list_init(&head);
    assert_false(list_linked(&item.link));
    list_init(&item.link);
    assert_false(list_linked(&item.link));
    list_append(&head, &item.link);
    assert_true(list_linked(&item.link));
    list_remove(&item.link);
    assert_false(list_linked(&item.link));
    list_remove(&item.link);
    assert_true(list_empty(&head));
}

static void
walking_survives_removal(void **state)
{
    struct item items[5];
    struct list head;
    int left = 0;

    (void)state;
    list_init(&head);
    for (int n = 0; n < 5; n++) {
        items[n].number = n;
        list_append(&head, &items[n].link);
    }
    list_for_each_safe (it, next, &head) {
        if (list_entry(it, struct item, link)->number % 2 == 0)
            list_remove(it);
    }
    list_for_each (it, &head)
        left += list_entry(it, struct item, link)->number;
    assert_int_equal(left, 1 + 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_and_prepend_keep_order),
        cmocka_unit_test(remove_is_safe_twice),
        cmocka_unit_test(walking_survives_removal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
