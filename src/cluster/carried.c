/*
 * What subscribers carry: matching what the servers have told, and looking it up.
 *
 * Made by the lag process, once a period and database; looked up by children for each read.
 * Invariants: whatever contradicts, is missing or does not fit counts against a table; tables of a
 * database are in the order of their numbers.
 */
#include "cluster/carried.h"

#include "base/arena.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t
carried_bytes(const struct cluster_carried *carried)
{
    return offsetof(struct cluster_carried, tables) +
           MIN(carried->table_count, (uint32_t)CARRIED_TABLES_MAX) * sizeof(struct carried_table);
}

const struct carried_database *
carried_find(const struct cluster_carried *carried, const char *database)
{
    for (uint32_t n = 0; n < MIN(carried->database_count, (uint32_t)CARRIED_DATABASES_MAX); n++) {
        if (strcmp(carried->databases[n].name, database) == 0)
            return &carried->databases[n];
    }
    return NULL;
}

static int
by_oid(const void *a, const void *b)
{
    const struct carried_table *x = a;
    const struct carried_table *y = b;

    return x->oid < y->oid ? -1 : x->oid > y->oid;
}

struct cluster_set
carried_nodes(const struct cluster_carried *carried, const struct carried_database *database,
              uint32_t oid)
{
    const struct carried_table key = {.oid = oid};
    const struct carried_table *found =
        bsearch(&key, carried->tables + database->first, database->count, sizeof(key), by_oid);

    return found != NULL ? found->nodes : (struct cluster_set){{0}};
}

/* ---- the book ---------------------------------------------------------------------------------
 */

/* What is known of one table of the main node's. */
struct book_table {
    uint32_t oid;
    bool alone;
    bool is_parent; /* it is known by its leaves */
    const char *name;
    const char *print;
    const char *leaves;
    struct cluster_set has;     /* nodes where it is ready and whole, */
    struct cluster_set spoiled; /* ... and where something is against it */
    struct cluster_set apart;   /* where its name stands for more than itself */
    struct cluster_set reads;   /* the outcome */
};

/* A row of a node's, kept until the main node's are there. */
struct book_row {
    struct book_row *next;
    int node_id;
    struct carried_row row;
};

struct carried_book {
    struct arena arena;
    struct map tables;    /* by name: of rows t */
    struct map parents;   /* by name: of rows p */
    struct map by_oid;    /* of rows t */
    struct map published; /* by publication, line feed, name: a bool, is it full? */
    struct map slots;
    struct book_row *rows;
    const char *settings;
};

struct carried_book *
carried_book_new(void)
{
    struct carried_book *book = xcalloc(1, sizeof(*book));

    arena_init(&book->arena, 64 * 1024);
    return book;
}

void
carried_book_free(struct carried_book *book)
{
    struct map *maps[] = {&book->tables, &book->parents, &book->by_oid, &book->published,
                          &book->slots};

    for (size_t n = 0; n < ARRAY_LEN(maps); n++) {
        map_clear(maps[n], NULL, NULL);
        map_fini(maps[n]);
    }
    arena_fini(&book->arena);
    free(book);
}

static struct book_table *
table_of(struct carried_book *book, struct map *tables, const struct carried_row *row)
{
    struct book_table *t = map_get(tables, row->name, strlen(row->name));

    if (t != NULL)
        return t;
    t = arena_calloc(&book->arena, sizeof(*t));
    t->oid = row->oid;
    t->alone = row->alone;
    t->name = arena_strdup(&book->arena, row->name);
    t->print = arena_strdup(&book->arena, row->print);
    map_put(tables, t->name, strlen(t->name), t);
    return t;
}

static void *
published(struct carried_book *book, const struct carried_row *row, bool **full_r)
{
    const char *key = arena_printf(&book->arena, "%s\n%s", row->at, row->name);

    *full_r = map_get(&book->published, key, strlen(key));
    return (void *)(uintptr_t)key;
}

static void
add_main(struct carried_book *book, const struct carried_row *row)
{
    struct book_table *t;
    const char *key;
    bool *full;

    switch (row->kind) {
    case 's':
        book->settings = arena_strdup(&book->arena, row->print);
        break;
    case 'l':
        map_put(&book->slots, row->at, strlen(row->at), book);
        break;
    case 't':
        t = table_of(book, &book->tables, row);
        map_put(&book->by_oid, &t->oid, sizeof(t->oid), t);
        key = published(book, row, &full);
        if (full == NULL) {
            full = arena_calloc(&book->arena, sizeof(*full));
            *full = row->full;
            map_put(&book->published, key, strlen(key), full);
        }
        *full = *full && row->full;
        break;
    case 'p':
        t = table_of(book, &book->parents, row);
        t->is_parent = true;
        t->leaves = arena_strdup(&book->arena, row->leaves);
        break;
    default:
        break;
    }
}

static const char *
copy(struct carried_book *book, const char *text)
{
    return text != NULL ? arena_strdup(&book->arena, text) : "";
}

void
carried_book_add(struct carried_book *book, int node_id, const struct carried_row *row)
{
    struct book_row *r;

    if (node_id < 0) {
        add_main(book, row);
        return;
    }
    r = arena_calloc(&book->arena, sizeof(*r));
    r->node_id = node_id;
    r->row = *row;
    r->row.at = copy(book, row->at);
    r->row.slot = copy(book, row->slot);
    r->row.name = copy(book, row->name);
    r->row.print = copy(book, row->print);
    r->row.leaves = "";
    r->next = book->rows;
    book->rows = r;
}

/* ---- matching ---------------------------------------------------------------------------------
 */

/* A table of a subscription, seen through one of its publications. */
static void
match_table(struct carried_book *book, const struct book_row *r)
{
    struct book_table *t = map_get(&book->tables, r->row.name, strlen(r->row.name));
    bool known_slot = map_get(&book->slots, r->row.slot, strlen(r->row.slot)) != NULL;
    bool *full;

    if (t == NULL)
        return;
    published(book, &r->row, &full);
    if (!known_slot || strcmp(t->print, r->row.print) != 0 || (full != NULL && !*full))
        cluster_set_add(&t->spoiled, r->node_id);
    else if (full != NULL)
        cluster_set_add(&t->has, r->node_id);
    if (!r->row.alone)
        cluster_set_add(&t->apart, r->node_id);
}

static void
match_parent(struct carried_book *book, const struct book_row *r)
{
    struct book_table *t = map_get(&book->parents, r->row.name, strlen(r->row.name));

    if (t != NULL && strcmp(t->print, r->row.print) == 0)
        cluster_set_add(&t->has, r->node_id);
}

static bool
has_whole(const struct book_table *t, int node_id)
{
    return cluster_set_has(&t->has, node_id) && !cluster_set_has(&t->spoiled, node_id);
}

static bool
has_leaves(struct carried_book *book, const struct book_table *parent, int node_id)
{
    const char *at = parent->leaves;
    uint32_t count = 0;

    while (*at != '\0') {
        char *end;
        uint32_t oid = (uint32_t)strtoul(at, &end, 10);
        const struct book_table *leaf = map_get(&book->by_oid, &oid, sizeof(oid));

        if (end == at || leaf == NULL || !has_whole(leaf, node_id))
            return false;
        at = *end == ' ' ? end + 1 : end;
        count++;
    }
    return count > 0;
}

struct closing {
    struct carried_book *book;
    struct cluster_carried *carried;
    struct cluster_set nodes;
    struct carried_database *database;
    bool full;
};

static bool
close_table(void *ctx, const void *key UNUSED, size_t len UNUSED, void *value)
{
    struct closing *c = ctx;
    const struct book_table *t = value;
    struct carried_table *out = &c->carried->tables[c->carried->table_count];
    struct cluster_set nodes = {{0}};
    bool any = false;

    for (int node_id = 0; node_id < CLUSTER_NODES_MAX; node_id++) {
        bool reads =
            t->is_parent
                ? cluster_set_has(&t->has, node_id) && has_leaves(c->book, t, node_id)
                : t->alone && has_whole(t, node_id) && !cluster_set_has(&t->apart, node_id);

        if (!reads || !cluster_set_has(&c->nodes, node_id))
            continue;
        cluster_set_add(&nodes, node_id);
        any = true;
    }
    if (!any)
        return true;
    if (c->carried->table_count >= CARRIED_TABLES_MAX) {
        c->full = true;
        return false;
    }
    *out = (struct carried_table){.oid = t->oid, .nodes = nodes};
    c->carried->table_count++;
    c->database->count++;
    return true;
}

/* One number once: a table that is published itself and is known by its leaves, too. */
static void
merge(struct closing *c)
{
    struct carried_table *tables = c->carried->tables + c->database->first;
    uint32_t kept = 0;

    qsort(tables, c->database->count, sizeof(*tables), by_oid);
    for (uint32_t n = 0; n < c->database->count; n++) {
        if (kept == 0 || tables[kept - 1].oid != tables[n].oid) {
            tables[kept++] = tables[n];
            continue;
        }
        for (size_t word = 0; word < ARRAY_LEN(tables[n].nodes.bits); word++)
            tables[kept - 1].nodes.bits[word] |= tables[n].nodes.bits[word];
    }
    c->database->count = kept;
    c->carried->table_count = c->database->first + kept;
}

bool
carried_book_close(struct carried_book *book, const struct carried_database *as,
                   struct cluster_carried *carried)
{
    struct closing c = {.book = book, .carried = carried};
    uint32_t before = carried->table_count;

    if (carried->database_count >= CARRIED_DATABASES_MAX)
        return false;
    c.database = &carried->databases[carried->database_count];
    *c.database = *as;
    c.database->first = before;
    c.database->count = 0;
    for (const struct book_row *r = book->rows; r != NULL; r = r->next) {
        if (r->row.kind == 's' && book->settings != NULL &&
            strcmp(book->settings, r->row.print) == 0)
            cluster_set_add(&c.nodes, r->node_id);
        else if (r->row.kind == 'u')
            match_table(book, r);
        else if (r->row.kind == 'p')
            match_parent(book, r);
    }
    c.database->nodes = c.nodes;
    map_visit(&book->tables, close_table, &c);
    if (!c.full)
        map_visit(&book->parents, close_table, &c);
    if (c.full) {
        carried->table_count = before;
        return false;
    }
    merge(&c);
    carried->database_count++;
    return true;
}
