/* utf8.h: what is a character, and what is none. */
#include "unit.h"

#include "base/utf8.h"

#include <string.h>

static unsigned
length(const char *text)
{
    return utf8_length(text, strlen(text));
}

static void
characters_of_every_length(void **state)
{
    (void)state;
    assert_int_equal(utf8_length("\0", 1), 1);
    assert_int_equal(length("a\x80"), 1);
    assert_int_equal(length("\xC2\x80"), 2);
    assert_int_equal(length("\xDF\xBF"), 2);
    assert_int_equal(length("\xE0\xA0\x80"), 3);
    assert_int_equal(length("\xED\x9F\xBF"), 3);
    assert_int_equal(length("\xEF\xBF\xBF"), 3);
    assert_int_equal(length("\xF0\x90\x80\x80"), 4);
    assert_int_equal(length("\xF4\x8F\xBF\xBF"), 4);
    assert_int_equal(length(UTF8_REPLACEMENT), 3);
}

static void
what_is_none(void **state)
{
    static const char *const texts[] = {"\x80",
                                        "\xBF",
                                        "\xC0\x80",
                                        "\xC1\xBF",
                                        "\xC2",
                                        "\xC2\xC2",
                                        "\xE0\x9F\xBF",
                                        "\xED\xA0\x80",
                                        "\xED\xBF\xBF",
                                        "\xE2\x82",
                                        "\xE2\x82\x41",
                                        "\xE2\x41\x82",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF4\x90\x80\x80",
                                        "\xF5\x80\x80\x80",
                                        "\xF0\x90\x80",
                                        "\xFE",
                                        "\xFF",
                                        "\xF0\x90\x80\xC0",
                                        "\xF8\x88\x80\x80"};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(texts); n++)
        assert_int_equal(length(texts[n]), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_of_every_length),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
