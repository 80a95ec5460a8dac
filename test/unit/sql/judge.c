/*
 * Comparing: statement by statement, kind, tables, calls, casts; and the cardinal rule, that
 * nothing which writes, locks or calls what may do so is ever called a read.
 */
#include "judge.h"

#include "base/buf.h"
#include "tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 40 };

static const struct sql_options options = {.standard_conforming_strings = true,
                                           .server_version = 15};
static const struct sql_options newest = {.standard_conforming_strings = true,
                                          .server_version = 18};

static void
differ(struct judge *j, const char *where, const char *text, const char *fmt, ...)
{
    char what[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    j->wrong++;
    if (j->shown++ < SHOWN_MAX)
        fprintf(stderr, "%s: %s\n    %.400s\n", where, what, text);
}

/* ---- names ---- */

static const char *
full_name(struct arena *a, struct sql_text schema, struct sql_text name)
{
    if (schema.len == 0)
        return arena_strndup(a, name.data, name.len);
    return arena_printf(a, "%.*s.%.*s", (int)schema.len, schema.data, (int)name.len, name.data);
}

static void
add_name(struct arena *a, struct tree_names *to, struct sql_text schema, struct sql_text name)
{
    const char *full = full_name(a, schema, name);

    if (to->count < TREE_NAMES_MAX && !tree_has(to, full))
        to->names[to->count++] = full;
}

static void
take_tables(struct arena *a, const struct sql_statement *st, unsigned use, struct tree_names *to)
{
    to->count = 0;
    for (uint32_t n = 0; n < st->table_count; n++) {
        if (st->tables[n].use & use)
            add_name(a, to, st->tables[n].schema, st->tables[n].name);
    }
}

static void
take_functions(struct arena *a, const struct sql_statement *st, struct tree_names *to)
{
    to->count = 0;
    for (uint32_t n = 0; n < st->function_count; n++)
        add_name(a, to, st->functions[n].schema, st->functions[n].name);
}

#ifdef HAVE_PG_QUERY

/* The first name that one has and the other has not; NULL when they are the same. */
static const char *
difference(const struct tree_names *ours, const struct tree_names *theirs, bool *ours_r)
{
    for (uint32_t n = 0; n < ours->count; n++) {
        *ours_r = true;
        if (!tree_has(theirs, ours->names[n]))
            return ours->names[n];
    }
    for (uint32_t n = 0; n < theirs->count; n++) {
        *ours_r = false;
        if (!tree_has(ours, theirs->names[n]))
            return theirs->names[n];
    }
    return NULL;
}

struct place {
    struct judge *j;
    const char *where;
    const char *text;
};

static bool
same_names(const struct place *p, const char *what, const struct tree_names *ours,
           const struct tree_names *theirs)
{
    bool is_ours = false;
    const char *name = difference(ours, theirs, &is_ours);

    if (name == NULL)
        return true;
    differ(p->j, p->where, p->text, "%s: only %s: %s", what, is_ours ? "ours" : "theirs", name);
    return false;
}

/* ---- a statement ---- */

static bool
same_tables(const struct place *p, struct arena *a, const struct sql_statement *st,
            const struct tree_statement *t)
{
    struct tree_names *ours = arena_calloc(a, sizeof(*ours));

    take_tables(a, st, SQL_USE_READ, ours);
    if (!same_names(p, "reads", ours, &t->reads))
        return false;
    take_tables(a, st, SQL_USE_WRITE, ours);
    return same_names(p, "writes", ours, &t->writes_to);
}

static bool
same_calls(const struct place *p, struct arena *a, const struct sql_statement *st,
           const struct tree_statement *t)
{
    struct tree_names *ours = arena_calloc(a, sizeof(*ours));

    if (!t->judges_functions)
        return true;
    take_functions(a, st, ours);
    if (!same_names(p, "calls", ours, &t->functions))
        return false;
    ours->count = 0;
    for (uint32_t n = 0; n < st->operator_count; n++) {
        if (st->operators[n].schema.len > 0)
            add_name(a, ours, st->operators[n].schema, st->operators[n].name);
    }
    return same_names(p, "operators", ours, &t->operators);
}

/* Types that SQL has words for stand in the tree as pg_catalog's; those we leave out. */
static bool
same_types(const struct place *p, struct arena *a, const struct sql_statement *st,
           const struct tree_statement *t)
{
    struct tree_names *ours = arena_calloc(a, sizeof(*ours));
    struct tree_names *theirs = arena_calloc(a, sizeof(*theirs));

    if (!t->judges_functions)
        return true;
    for (uint32_t n = 0; n < st->type_count; n++)
        add_name(a, ours, st->types[n].schema, st->types[n].name);
    for (uint32_t n = 0; n < t->types.count; n++) {
        if (strncmp(t->types.names[n], "pg_catalog.", 11) != 0 || tree_has(ours, t->types.names[n]))
            theirs->names[theirs->count++] = t->types.names[n];
    }
    for (uint32_t n = 0; n < theirs->count; n++) {
        if (!tree_has(ours, theirs->names[n])) {
            differ(p->j, p->where, p->text, "casts: only theirs: %s", theirs->names[n]);
            return false;
        }
    }
    return true;
}

static void
judge_statement(const struct place *p, struct arena *a, const struct sql_statement *st,
                const struct tree_statement *t)
{
    struct judge *j = p->j;

    j->statements++;
    j->reads += !st->may_write;
    if (!st->may_write && t->writes) {
        j->cardinal++;
        differ(j, p->where, p->text, "CALLED A READ, and holds %s", t->why);
    }
    if (st->kind != t->kind) {
        differ(j, p->where, p->text, "is %s, and %s for PostgreSQL (%s)", sql_kind_name(st->kind),
               sql_kind_name(t->kind), t->node);
        return;
    }
    if (st->start < t->start || st->end > t->end) {
        differ(j, p->where, p->text, "stands from %u to %u, for PostgreSQL from %u to %u",
               st->start, st->end, t->start, t->end);
        return;
    }
    if (same_tables(p, a, st, t) && same_calls(p, a, st, t))
        same_types(p, a, st, t);
}

void
judge_text(struct judge *j, const char *text, const char *where)
{
    const struct sql_facts *f = sql_facts(j->cache, text, strlen(text), &options);
    struct place p = {j, where, text};
    struct arena a;
    struct tree tree;
    uint32_t count;

    arena_init(&a, 1 << 16);
    j->texts++;
    if (!tree_of(&a, text, &tree)) {
        j->refused++;
        if (j->all_accepted)
            differ(j, where, text, "refused by PostgreSQL");
        goto out;
    }
    count = f->count == 1 && f->statements[0].kind == SQL_EMPTY ? 0 : f->count;
    if (!f->understood) {
        j->beyond++;
        differ(j, where, text, "not understood");
    } else if (count != tree.count) {
        differ(j, where, text, "%u statements, %u for PostgreSQL", count, tree.count);
    } else {
        for (uint32_t n = 0; n < count; n++)
            judge_statement(&p, &a, &f->statements[n], &tree.statements[n]);
    }
out:
    arena_fini(&a);
}

#endif

/* ---- expectations ---- */

static void
add_part(struct buf *b, const char *word, const struct tree_names *names)
{
    for (uint32_t n = 0; n < names->count; n++)
        buf_printf(b, "%s%s", n == 0 ? word : ", ", names->names[n]);
}

void
judge_expectation(struct judge *j, const char *text, const char *want, const char *where)
{
    const struct sql_facts *f = sql_facts(j->cache, text, strlen(text), &newest);
    const struct sql_statement *st = &f->statements[0];
    struct buf got = BUF_EMPTY;
    struct arena a;
    struct tree_names *names;

    arena_init(&a, 1 << 16);
    names = arena_calloc(&a, sizeof(*names));
    buf_add_str(&got, f->understood ? sql_kind_name(st->kind) : "not understood");
    take_tables(&a, st, SQL_USE_READ, names);
    add_part(&got, "; reads ", names);
    take_tables(&a, st, SQL_USE_WRITE, names);
    add_part(&got, "; writes ", names);
    take_functions(&a, st, names);
    add_part(&got, "; calls ", names);
    if (!f->may_write)
        buf_add_str(&got, "; read");
    j->texts++;
    j->expectations++;
    if (f->count != 1 || strcmp(buf_cstr(&got), want) != 0)
        differ(j, where, text, "got \"%s\", want \"%s\"", buf_cstr(&got), want);
    buf_free(&got);
    arena_fini(&a);
}
