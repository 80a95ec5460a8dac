/* Names in blocks of procedural code. */
#include "base/buf.h"
#include "sql/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
add(void *ctx, enum sql_block_name what, struct sql_text name)
{
    struct buf *b = ctx;

    if (b->len > 0)
        buf_add_u8(b, ' ');
    buf_add(b, name.data, name.len);
    if (what == SQL_BLOCK_CALL)
        buf_add_str(b, "()");
    if (what == SQL_BLOCK_WRITE)
        buf_add_str(b, "!");
}

static void
names_and_doubts(void **state)
{
    static const struct {
        const char *text;
        bool known;
        const char *names;
    } cases[] = {
        {"", true, ""},
        {"DO $$ BEGIN SET app.User = 'x'; END $$", true, "app.user"},
        {"DO 'BEGIN SET SESSION \"App.x\" TO 1; set local a.b.c=2; END'", true, "app.x a.b.c"},
        {"DO $$ BEGIN SET work_mem = '1MB'; RESET app.x; END $$", true, ""},
        {"DO $$ BEGIN PERFORM set_config('app.x', v, false); END $$", true, "app.x"},
        {"DO $$ BEGIN PERFORM Set_Config ( 'app.x' , v, false); END $$", true, "app.x"},
        {"DO $$ BEGIN PERFORM set_config('work_mem', v, false); END $$", true, ""},
        {"DO $$ BEGIN PERFORM set_config(n, v, false); END $$", false, ""},
        {"DO $$ BEGIN PERFORM set_config(E'app.x', v, false); END $$", false, ""},
        {"DO $$ BEGIN PERFORM set_config('app.' || n, v, false); END $$", false, ""},
        {"DO $$ BEGIN PERFORM set_config/**/('app.x', v, false); END $$", false, ""},
        {"DO 'BEGIN PERFORM set_config(''app.x'', v, false); END'", false, ""},
        {"DO $$ BEGIN EXECUTE s; END $$", false, ""},
        {"DO $$ BEGIN SET /* x */ app.x = 1; END $$", false, ""},
        {"DO $$ BEGIN SET app . x = 1; END $$", false, ""},
        {"DO $$ BEGIN SET app.x . y = 1; END $$", false, "app.x"},
        {"DO $$ BEGIN UPDATE t SET a.b = 1, c = 2; END $$", true, "update! a.b"},
        {"DO $$ BEGIN reset_config('app.x', v); v := offset.a; END $$", true, "reset_config()"},
        {"DO $$ BEGIN PERFORM app.Tenant (1), \"F\"(2); IF(a) THEN b; END $$", true,
         "tenant() F() if()"},
        {"DO $$ BEGIN PERFORM f/**/(1), g --\n(2), \"a b\" (3); END $$", true, "f() g() a b()"},
        {"DO $$ BEGIN PERFORM U&\"set\\005fconfig\"('app.x', v, false); END $$", false, ""},
        {"DO $$ BEGIN RAISE NOTICE E'\\n'; END $$", true, ""},
        {"DO E'BEGIN S\\x45T app.x = 1; END'", false, ""},
        {"DO $$ BEGIN SET U&\"app\\002ex\" = 1; END $$", false, ""},
        {"DO U&'BEGIN SE\\0054 app.x = 1; END'", false, ""},
        {"DO $$ BEGIN SET", true, ""},
        {"DO $$ BEGIN SET app.x", true, "app.x"},
        {"SET_CONFIG", false, ""},
        {"set_config(", false, ""},
        {"set_config('a.b'", false, ""},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        struct buf b = BUF_EMPTY;
        bool known = sql_block_names(cases[n].text, strlen(cases[n].text), add, &b);
        if (known != cases[n].known || strcmp(buf_cstr(&b), cases[n].names) != 0)
            fail_msg("%s: %d %s", cases[n].text, known, buf_cstr(&b));
        buf_free(&b);
    }
}

static void
names_without_an_end(void **state)
{
    char text[4096] = "SET a.";
    struct buf b = BUF_EMPTY;

    (void)state;
    memset(text + 6, 'x', sizeof(text) - 6);
    assert_false(sql_block_names(text, sizeof(text), add, &b));
    memcpy(text, "set_config('a.", 14);
    assert_false(sql_block_names(text, sizeof(text), add, &b));
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_doubts),
        cmocka_unit_test(names_without_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
