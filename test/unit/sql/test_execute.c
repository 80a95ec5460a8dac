/* execute.h: the name and the statement in PREPARE and EXECUTE, however they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sql/execute.h"

#include <stdlib.h>
#include <string.h>

/* name NULL: it is not understood. */
static const struct {
    const char *text;
    const char *name;
    bool types;
    const char *query;
} prepares[] = {
    {"PREPARE p AS SELECT 1", "p", false, "SELECT 1"},
    {"prepare P as\nSELECT 1", "P", false, "SELECT 1"},
    {"PREPARE p(int)AS(SELECT $1)", "p", true, "(SELECT $1)"},
    {"PREPARE p (numeric(10,2), \"a)b\"[], /* ) */ text -- )\n) AS INSERT INTO t VALUES ($1)", "p",
     true, "INSERT INTO t VALUES ($1)"},
    {"PREPARE/* a /* b */ */\"a\"\"b\" AS -- c\n SELECT 1", "\"a\"\"b\"", false, "SELECT 1"},
    {"PREPARE as AS SELECT 1", "as", false, "SELECT 1"},
    {"PREPARE \xc3\xa4$1 AS SELECT 1", "\xc3\xa4$1", false, "SELECT 1"},
    {"PREPARE U&\"a\" AS SELECT 1", NULL, false, NULL},
    {"PREPARE p (t('x')) AS SELECT 1", NULL, false, NULL},
    {"PREPARE p (int AS SELECT 1", NULL, false, NULL},
    {"PREPARE p ASK", NULL, false, NULL},
    {"PREPARE p (a", NULL, false, NULL},
    {"PREPARE", NULL, false, NULL},
    {"PREPARE /* a", NULL, false, NULL},
    {"PREPAREp AS SELECT 1", NULL, false, NULL},
    {"EXECUTE p", NULL, false, NULL},
};

/* So that a sanitizer sees what reads behind its end. */
static char *
exact(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

static void
prepare_is_taken_apart(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(prepares); n++) {
        size_t len = strlen(prepares[n].text);
        char *text = exact(prepares[n].text, len);
        const char *name = prepares[n].name;
        struct sql_prepare r;
        bool done = sql_prepare_parts((struct sql_text){text, (uint32_t)len}, 0, &r);
        assert_int_equal(done, name != NULL);
        if (done) {
            assert_int_equal(r.name_end - r.name, strlen(name));
            assert_memory_equal(text + r.name, name, strlen(name));
            assert_int_equal(r.types, prepares[n].types);
            assert_int_equal(len - r.query, strlen(prepares[n].query));
            assert_memory_equal(text + r.query, prepares[n].query, len - r.query);
        }
        free(text);
    }
}

static const struct {
    const char *text;
    uint32_t start;
    const char *name;
} executes[] = {
    {"EXECUTE p", 0, "p"},
    {"EXECUTE p(1)", 0, "p"},
    {"-- c\nexecute\t\"p (\" (1)", 5, "\"p (\""},
    {"EXECUTE p;", 0, "p"},
    {"EXECUTE u&\"p\"", 0, NULL},
    {"EXECUTE \"p", 0, "\"p"},
    {"EXECUTE", 0, NULL},
    {"EXECUTE p", 99, NULL},
    {"", 0, NULL},
};

static void
execute_tells_its_name(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(executes); n++) {
        size_t len = strlen(executes[n].text);
        char *text = exact(executes[n].text, len);
        const char *name = executes[n].name;
        struct sql_prepare r;
        bool done =
            sql_execute_parts((struct sql_text){text, (uint32_t)len}, executes[n].start, &r);
        assert_int_equal(done, name != NULL);
        if (done) {
            assert_int_equal(r.name_end - r.name, strlen(name));
            assert_memory_equal(text + r.name, name, strlen(name));
        }
        free(text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepare_is_taken_apart),
        cmocka_unit_test(execute_tells_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
