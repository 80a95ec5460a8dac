/*
 * What becomes of statements that go to several servers, for test_determinism.py; the tables are
 * those of test/corpus/determinism/schema.sql.
 *
 * Reads lines, answers each with one:
 *   J statement      "equal", "unequal reason" or "made", then, between 0x1f, the question for all
 *                    values, how many there are, the numbers of those that are drawn (with spaces
 *                    between), the question for these, the text's parameters, and "literals" or
 *                    "parameters" for what its places take
 *   R value...       the last statement with these literals, with 0x1f between; "\N" is null
 *   P number         the same with parameters from that number on
 */
#include "sql/rewrite.h"

#include "../unit/sql/known.h"
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 256 };

static const struct sql_options options = {true, 15};

/* On one line. */
static void
add_question(const struct sql_determined *d, bool drawn, struct buf *out)
{
    size_t from = out->len;

    sql_rewrite_question(d, drawn, out);
    for (size_t n = from; n < out->len; n++) {
        if (out->data[n] == '\n')
            out->data[n] = ' ';
    }
}

static void
judge(const struct sql_determined *d, struct buf *out)
{
    if (d->equality == SQL_EQUAL) {
        buf_add_str(out, "equal");
        return;
    }
    if (d->equality == SQL_UNEQUAL) {
        buf_printf(out, "unequal %s", d->reason.message);
        return;
    }
    buf_add_str(out, "made\x1f");
    add_question(d, false, out);
    buf_printf(out, "\x1f%u\x1f", d->value_count);
    for (uint32_t n = 0; n < d->value_count; n++) {
        if (d->values[n].kind == SQL_VALUE_DRAWN)
            buf_printf(out, "%u ", n);
    }
    buf_add_str(out, "\x1f");
    add_question(d, true, out);
    buf_printf(out, "\x1f%u\x1f%s", d->parameters, d->literals_only ? "literals" : "parameters");
}

static void
put_values(const struct sql_determined *d, struct sql_text text, char *values, struct buf *out)
{
    struct sql_answer answers[VALUES_MAX] = {{NULL, 0}};
    char *next = values;

    for (uint32_t n = 0; n < d->value_count && n < VALUES_MAX && next != NULL; n++) {
        char *value = strsep(&next, "\x1f");
        if (strcmp(value, "\\N") != 0)
            answers[n] = (struct sql_answer){value, (uint32_t)strlen(value)};
    }
    if (!sql_rewrite_literals(d, text, answers, out))
        buf_add_str(out, "no literals");
}

int
main(void)
{
    struct sql_determinism *determinism = sql_determinism_new();
    struct sql_determined d = {.equality = SQL_EQUAL};
    struct sql_text text = {"", 0};
    struct buf out = BUF_EMPTY;
    char *line = NULL, *last = NULL;
    size_t size = 0;
    ssize_t len;

    while ((len = getline(&line, &size, stdin)) > 1) {
        line[len - 1] = '\0';
        buf_clear(&out);
        switch (line[0]) {
        case 'J':
            free(last);
            last = strdup(line + 2);
            text = (struct sql_text){last, (uint32_t)strlen(last)};
            sql_determinism_judge(determinism, text, &options, &known_of_test, &d);
            judge(&d, &out);
            break;
        case 'R':
            put_values(&d, text, line + 2, &out);
            break;
        case 'P':
            if (!sql_rewrite_parameters(&d, text, (uint32_t)strtoul(line + 2, NULL, 10), &out))
                buf_add_str(&out, "no parameters");
            break;
        default:
            break;
        }
        printf("%s\n", buf_cstr(&out));
        fflush(stdout);
    }
    free(line);
    free(last);
    buf_free(&out);
    sql_determinism_free(determinism);
    return 0;
}
