/*
 * Any text as a statement that goes to several servers.
 *
 * Checked besides memory: places ascend within the text and name values that there are; what is
 * refused says why and what to change; a text whose places are replaced is a text of as many
 * statements, and equal as it stands.
 */
#include "fuzz.h"

#include "../unit/sql/known.h"
#include "sql/rewrite.h"

#include <stdlib.h>

enum { TEXT_MAX = 16 * 1024 };

static const struct sql_options options = {true, 17};

static void
check_places(const struct sql_determined *d, size_t len)
{
    uint32_t at = 0;

    for (uint32_t n = 0; n < d->place_count; n++) {
        const struct sql_place *p = &d->places[n];
        if (p->start < at || p->end < p->start || p->end > len)
            BUG("place %u from %u to %u, behind %u", n, p->start, p->end, at);
        if (p->value != SQL_NO_VALUE && p->value >= d->value_count)
            BUG("place %u has value %u of %u", n, p->value, d->value_count);
        at = p->end;
    }
}

static void
check_again(const struct sql_determined *d, struct sql_text text)
{
    struct sql_answer *answers = calloc(d->value_count + 1, sizeof(*answers));
    struct sql_determinism *other = sql_determinism_new();
    struct sql_determined again;
    struct buf b = BUF_EMPTY;

    for (uint32_t n = 0; n < d->value_count; n++)
        answers[n] = (struct sql_answer){"2020", 4};
    if (d->prepares ? sql_rewrite_parameters(d, text, d->parameters + 1, &b)
                    : sql_rewrite_literals(d, text, answers, &b)) {
        struct sql_text replaced = {(const char *)b.data, (uint32_t)b.len};
        sql_determinism_judge(other, replaced, &options, &known_of_test, &again);
        if (again.equality == SQL_MADE_EQUAL)
            BUG("what was made equal is made equal again: %.*s", (int)b.len, (char *)b.data);
        if (again.equality == SQL_UNEQUAL && b.len < TEXT_MAX)
            BUG("what was made equal is refused, %s: %.*s", again.reason.message, (int)b.len,
                (char *)b.data);
    }
    buf_free(&b);
    sql_determinism_free(other);
    free(answers);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sql_determinism *d;
    struct sql_text text = {(const char *)data, (uint32_t)size};
    struct sql_determined r;
    struct buf b = BUF_EMPTY;

    if (size > TEXT_MAX)
        return 0;
    if (d == NULL)
        d = sql_determinism_new();
    sql_determinism_judge(d, text, &options, &known_of_test, &r);
    check_places(&r, size);
    if (r.equality == SQL_UNEQUAL)
        fuzz_check_error(&r.reason);
    if (r.equality == SQL_UNEQUAL && r.reason.hint[0] == '\0')
        BUG("refused without a hint");
    sql_rewrite_question(&r, false, &b);
    buf_free(&b);
    if (r.equality == SQL_MADE_EQUAL)
        check_again(&r, text);
    return 0;
}
