/*
 * Definitions and sequences: one question for all of a kind, and the answers beside each other.
 *
 * Called by compare.c. Names are qualified, because the search path is empty; what PostgreSQL or an
 * extension made itself is told by the extension alone.
 */
#include "compare.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANGES = 1000, SEQUENCES = 200 };

/* Each row: what it is, and what it says. */
static const char definitions[] =
#include "compare_schema_sql.h"
    ;

static void
beside_each_other(struct compare *c, const char *what)
{
    uint32_t ranges = RANGES;

    for (uint32_t n = 1; n < c->node_count; n++) {
        struct compare_found found = {0, 0, 0};
        compare_rows(&c->nodes[0], &c->nodes[n], what, &ranges, &found);
        c->differences += found.other + found.missing + found.extra;
    }
}

/* ---- sequences ---- */

/* Sequences that all nodes have: their qualified names, as one text with NULs. */
static void
common_sequences(struct compare *c, struct buf *names)
{
    static const char word[] = "sequence ";
    struct map seen[CONFIG_NODES_MAX] = {{NULL, 0, 0}};

    for (uint32_t n = 1; n < c->node_count; n++) {
        for (uint32_t row = 0; row < c->nodes[n].rows.count; row++) {
            const char *key = compare_value(&c->nodes[n], row, 0);
            map_put(&seen[n], key, strlen(key), c);
        }
    }
    for (uint32_t row = 0; row < c->nodes[0].rows.count; row++) {
        const char *key = compare_value(&c->nodes[0], row, 0);
        bool common = strncmp(key, word, sizeof(word) - 1) == 0 &&
                      compare_value(&c->nodes[0], row, 1)[0] == 'S';
        for (uint32_t n = 1; n < c->node_count; n++)
            common = common && map_get(&seen[n], key, strlen(key)) != NULL;
        if (common)
            buf_add_cstr(names, key + sizeof(word) - 1);
    }
    for (uint32_t n = 1; n < c->node_count; n++) {
        map_clear(&seen[n], NULL, NULL);
        map_fini(&seen[n]);
    }
}

static void
add_literal(struct buf *sql, const char *text)
{
    buf_add_u8(sql, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_add_u8(sql, '\'');
        buf_add_u8(sql, (uint8_t)*text);
    }
    buf_add_u8(sql, '\'');
}

static void
compare_sequences(struct compare *c, const struct buf *names)
{
    const char *at = (const char *)names->data;
    const char *end;
    struct buf sql = BUF_EMPTY;

    if (names->len == 0)
        return;
    end = at + names->len;
    while (at < end) {
        buf_clear(&sql);
        for (uint32_t n = 0; n < SEQUENCES && at < end; n++) {
            buf_add_str(&sql, n == 0 ? "ROLLBACK TO SAVEPOINT c; SELECT " : " UNION ALL SELECT ");
            add_literal(&sql, at);
            buf_printf(&sql,
                       " AS k, last_value::text || CASE WHEN is_called THEN '' ELSE ' next' END, ");
            add_literal(&sql, at);
            buf_printf(&sql, " FROM %s", at);
            at += strlen(at) + 1;
        }
        if (!compare_ask(c, buf_cstr(&sql)))
            break;
        beside_each_other(c, "value of sequence");
    }
    buf_free(&sql);
}

void
compare_schema(struct compare *c)
{
    struct buf names = BUF_EMPTY;

    if (!compare_ask(c, definitions))
        return;
    beside_each_other(c, "definition");
    common_sequences(c, &names);
    compare_sequences(c, &names);
    buf_free(&names);
}
