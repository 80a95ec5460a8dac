/*
 * Puts values into a text's places.
 *
 * Called by whoever sends one text to several servers, with what determinism.c found. Invariant:
 * what an answer says stays within quotes, whatever it is, and however the session reads
 * backslashes.
 */
#include "sql/rewrite.h"

#include "base/str.h"
#include "sql/literal.h"

#include <string.h>

enum { PARAMETERS_MAX = 65535 };

static void
add(struct buf *sql, struct sql_text text)
{
    buf_add(sql, text.data, text.len);
}

static bool
has_zone(struct sql_text type)
{
    static const char word[] = "timestamptz";
    static const char words[] = "with time zone";
    size_t len = sizeof(word) - 1;
    char lower[64];

    if (type.len >= sizeof(lower))
        return false;
    for (uint32_t n = 0; n < type.len; n++)
        lower[n] =
            (char)(type.data[n] >= 'A' && type.data[n] <= 'Z' ? type.data[n] + 32 : type.data[n]);
    lower[type.len] = '\0';
    if (strchr(lower, '[') != NULL || strncmp(lower, "time ", 5) == 0)
        return false;
    return (strstr(lower, word) != NULL && strlen(strstr(lower, word)) <= len + 4) ||
           (strncmp(lower, "timestamp", 9) == 0 && strstr(lower, words) != NULL);
}

static void
add_question(const struct sql_value *v, struct buf *sql)
{
    if (!has_zone(v->type)) {
        buf_add_str(sql, "((");
        add(sql, v->expression);
        buf_add_str(sql, "\n)::");
        add(sql, v->type);
        buf_add_str(sql, ")::pg_catalog.text");
        return;
    }
    /* an abbreviated zone may be read as another one; infinity has no form */
    buf_add_str(sql, "(SELECT COALESCE(pg_catalog.to_char(pg_catalog.timezone('UTC', v.v),"
                     " 'YYYY-MM-DD HH24:MI:SS.US BC') || ' UTC', v.v::pg_catalog.text)"
                     " FROM (SELECT (");
    add(sql, v->expression);
    buf_add_str(sql, "\n)::pg_catalog.timestamptz OFFSET 0) AS v(v))");
}

void
sql_rewrite_question(const struct sql_determined *d, bool drawn, struct buf *sql)
{
    const char *before = "VALUES (";

    for (uint32_t n = 0; n < d->value_count; n++) {
        if (drawn && d->values[n].kind != SQL_VALUE_DRAWN)
            continue;
        buf_add_str(sql, before);
        add_question(&d->values[n], sql);
        buf_add_u8(sql, ')');
        before = ", (";
    }
}

static void
add_literal(const struct sql_value *v, const struct sql_answer *a, struct buf *sql)
{
    if (a->data == NULL)
        buf_add_str(sql, "NULL");
    else
        sql_add_literal(sql, (struct sql_text){a->data, a->len});
    buf_add_str(sql, "::");
    add(sql, v->type);
}

/* answers NULL: parameters from `first` on. */
static void
rewrite(const struct sql_determined *d, struct sql_text text, const struct sql_answer *answers,
        uint32_t first, struct buf *sql)
{
    uint32_t at = 0;

    for (uint32_t n = 0; n < d->place_count; n++) {
        const struct sql_place *p = &d->places[n];
        buf_add(sql, text.data + at, p->start - at);
        add(sql, p->before);
        if (p->value != SQL_NO_VALUE && answers != NULL) {
            add_literal(&d->values[p->value], &answers[p->value], sql);
        } else if (p->value != SQL_NO_VALUE) {
            buf_printf(sql, "$%u::", first + p->value);
            add(sql, d->values[p->value].type);
        }
        add(sql, p->behind);
        at = p->end;
    }
    buf_add(sql, text.data + at, text.len - at);
}

bool
sql_rewrite_literals(const struct sql_determined *d, struct sql_text text,
                     const struct sql_answer *answers, struct buf *sql)
{
    if (d->prepares)
        return false;
    rewrite(d, text, answers, 0, sql);
    return true;
}

bool
sql_rewrite_parameters(const struct sql_determined *d, struct sql_text text, uint32_t first,
                       struct buf *sql)
{
    if (d->literals_only || first + d->value_count > PARAMETERS_MAX + 1u)
        return false;
    rewrite(d, text, NULL, first, sql);
    return true;
}

void
sql_rewrite_execute(const struct sql_determined *prepared, const struct sql_answer *answers,
                    struct sql_text execute, uint32_t end, struct buf *sql)
{
    bool closed = end > 0 && execute.data[end - 1] == ')';

    buf_add(sql, execute.data, closed ? end - 1 : end);
    for (uint32_t n = 0; n < prepared->value_count; n++) {
        buf_add_str(sql, closed || n > 0 ? ", " : " (");
        add_literal(&prepared->values[n], &answers[n], sql);
    }
    if (closed || prepared->value_count > 0)
        buf_add_u8(sql, ')');
    buf_add(sql, execute.data + end, execute.len - end);
}
