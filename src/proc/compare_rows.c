/*
 * Two answers beside each other: which rows only one has, and which say something else.
 *
 * Called for rows of tables and for definitions alike. Neighbours in the first answer that differ
 * in the same way are told as one range.
 */
#include "base/arena.h"
#include "base/map.h"
#include "compare.h"

#include <stdio.h>
#include <string.h>

enum kind { SAME, OTHER, MISSING, EXTRA };

static const char *const words[] = {"", "differs at", "is missing at", "is only at"};
static const char *const many_words[] = {"", "differ at", "are missing at", "are only at"};

/* Neighbours that differ in the same way. */
struct range {
    const char *what;
    const struct compare_node *node;
    uint32_t *ranges;
    enum kind kind;
    const char *from;
    const char *to;
    uint64_t count;
};

static void
end_range(struct range *r)
{
    if (r->kind != SAME && r->count > 0 && *r->ranges > 0) {
        --*r->ranges;
        if (r->count == 1)
            printf("%s: %s %s node %u\n", r->what, r->from, words[r->kind], r->node->node_id);
        else
            printf("%s: %s to %s (%llu rows) %s node %u\n", r->what, r->from, r->to,
                   (unsigned long long)r->count, many_words[r->kind], r->node->node_id);
        if (*r->ranges == 0)
            printf("%s: more of it is only counted\n", r->what);
    }
    r->count = 0;
}

static void
add(struct range *r, enum kind kind, const char *label, bool alone)
{
    if (kind != r->kind || alone)
        end_range(r);
    if (r->count++ == 0)
        r->from = label;
    r->to = label;
    r->kind = kind;
}

static const char *
label_of(const struct compare_node *n, uint32_t row)
{
    return compare_value(n, row, n->rows.columns > 2 ? 2 : 0);
}

void
compare_rows(const struct compare_node *first, const struct compare_node *node, const char *what,
             uint32_t *ranges, struct compare_found *found)
{
    struct range range = {.what = what, .node = node, .ranges = ranges, .kind = SAME};
    bool alone = first->rows.columns > 2;
    struct map seen = {NULL, 0, 0};

    for (uint32_t row = 0; row < node->rows.count; row++) {
        const char *key = compare_value(node, row, 0);
        map_put(&seen, key, strlen(key), (void *)(uintptr_t)compare_value(node, row, 1));
    }
    for (uint32_t row = 0; row < first->rows.count; row++) {
        const char *key = compare_value(first, row, 0);
        const char *value = map_remove(&seen, key, strlen(key));
        enum kind kind = SAME;
        if (value == NULL)
            kind = MISSING;
        else if (strcmp(value, compare_value(first, row, 1)) != 0)
            kind = OTHER;
        found->missing += kind == MISSING;
        found->other += kind == OTHER;
        add(&range, kind, label_of(first, row), alone);
    }
    end_range(&range);
    range.kind = SAME;
    for (uint32_t row = 0; row < node->rows.count; row++) {
        const char *key = compare_value(node, row, 0);
        bool extra = map_get(&seen, key, strlen(key)) != NULL;
        found->extra += extra;
        add(&range, extra ? EXTRA : SAME, label_of(node, row), alone);
    }
    end_range(&range);
    map_clear(&seen, NULL, NULL);
    map_fini(&seen);
}
