/*
 * Does a statement find its rows by nothing but a key?
 *
 * Two servers that run it look at two moments; between them others may commit on one and not on
 * the other. A statement that takes the rows that it is given (INSERT of VALUES), or one row that
 * is named by all columns of a key, waits for whoever writes that row and takes its newest state,
 * so that it does the same whatever its snapshot is. Any other one may find different rows. Called
 * by determinism.c behind the judgement. Invariant: true is said of nothing that was not
 * recognised as such.
 */
#include "sql/determining.h"

#include "gram.h"

/* Another query in it, at whatever level. */
static bool
asks_more(const struct sql_determinism *d, const struct sql_head *h)
{
    for (uint32_t n = h->first; n < h->end; n++) {
        int kind = d->t[n].kind;
        bool first = n == h->first && h->kind == SQL_SELECT;

        if ((kind == K_SELECT && !first) || kind == K_TABLE || kind == K_WITH)
            return true;
    }
    return false;
}

/* Functions of somebody's may read whatever they like; setval() depends on when it comes. */
static bool
calls_plainly(const struct sql_determinism *d, const struct sql_function *functions, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        const struct sql_function *f = &functions[n];

        if (determinism_same(f->name, "setval"))
            return false;
        if (!f->syntax && d->known->function(d->known->ctx, f) != SQL_KNOWN_NOT)
            return false;
    }
    return d->known->spoiler == NULL;
}

/* Is the target all that it looks at? */
static bool
names_only_target(const struct sql_determinism *d)
{
    uint32_t written = 0;

    for (uint32_t n = 0; n < d->table_count; n++) {
        if (d->tables[n].use & SQL_USE_WRITE)
            written++;
        else if (d->tables[n].use != SQL_USE_NAMED)
            return false;
    }
    return written == 1 && d->target != NULL && d->target->bare;
}

/* FOR UPDATE and its like of one row: it waits for whoever writes that, and takes its newest state.
 * Who does not wait may find the row locked on one server, and free on another. */
static bool
locks_by_key(struct sql_determinism *d, const struct sql_head *h)
{
    const struct sql_known_table *table;
    struct sql_clauses c;
    uint32_t end;

    determinism_clauses(d, h->first, h->end, &c);
    if (c.from == 0 || c.where == 0 || c.group + c.order + c.limit + c.set_operation > 0)
        return false;
    table = determinism_only_table(d, &c, h->end);
    if (table == NULL || !table->bare)
        return false;
    for (end = c.where + 1; end < h->end && d->t[end].kind != K_FOR; end++) {
        if (d->t[end].kind == '(')
            end = d->t[end].match;
    }
    for (uint32_t n = end; n < h->end; n++) {
        if (determinism_is(d, n, "nowait") || determinism_is(d, n, "skip"))
            return false;
    }
    return determinism_one_row(d, table, c.where + 1, end, determinism_text(""));
}

bool
determinism_by_key(struct sql_determinism *d, const struct sql_statement *st,
                   const struct sql_head *h, const struct sql_function *functions)
{
    if (asks_more(d, h) || !calls_plainly(d, functions, st->function_count))
        return false;
    switch (h->kind) {
    case SQL_INSERT:
        return names_only_target(d);
    case SQL_UPDATE:
    case SQL_DELETE:
        return d->keyed && names_only_target(d);
    case SQL_SELECT:
        return st->table_count == 0 || (st->locks_rows && locks_by_key(d, h));
    case SQL_EXECUTE: /* by its arguments; what it runs is judged by itself */
        return st->table_count == 0;
    default:
        return false;
    }
}
