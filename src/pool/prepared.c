/*
 * Prepared statements by content, and which of them a server connection knows.
 *
 * Called by session/ for Parse, Bind and Describe, and by pool/server and pool/pool when a
 * connection ends or is reset. Invariants: a statement lives while a session or a connection holds
 * it; a connection's list names exactly what was parsed there under our name and not closed since.
 */
#include "pool/prepared.h"

#include "base/arena.h"
#include "pool/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct known {
    struct list link;
    struct prepared *prepared;
};

/* ---- by content ---- */

static void
write_key(struct buf *key, const struct prepared_text *t)
{
    buf_clear(key);
    buf_add(key, &t->scope, sizeof(t->scope));
    buf_add(key, &t->type_count, sizeof(t->type_count));
    if (t->type_count > 0)
        buf_add(key, t->types, (size_t)t->type_count * 4);
    buf_add(key, t->query, t->query_len);
}

struct prepared *
prepared_get(struct pool *p, const struct prepared_text *text)
{
    struct buf *key = pool_scratch(p);
    struct prepared *made;
    char *types;

    write_key(key, text);
    made = map_get(pool_statements(p), key->data, key->len);
    if (made != NULL) {
        made->refs++;
        return made;
    }
    made = xmalloc(sizeof(*made) + key->len + 1);
    memcpy(made->key, key->data, key->len);
    made->key[key->len] = '\0';
    made->pool = p;
    made->id = pool_next_statement_id(p);
    made->refs = 1;
    made->key_len = (uint32_t)key->len;
    made->query_len = (uint32_t)text->query_len;
    made->type_count = text->type_count;
    made->name_len = (uint8_t)snprintf(made->name, sizeof(made->name), "pgpool_%llu",
                                       (unsigned long long)made->id);
    types = made->key + sizeof(text->scope) + sizeof(text->type_count);
    made->types = (const uint8_t *)types;
    made->query = types + (size_t)text->type_count * 4;
    map_put(pool_statements(p), made->key, made->key_len, made);
    return made;
}

void
prepared_ref(struct prepared *prepared)
{
    prepared->refs++;
}

void
prepared_put(struct prepared *prepared)
{
    if (--prepared->refs > 0)
        return;
    map_remove(pool_statements(prepared->pool), prepared->key, prepared->key_len);
    free(prepared);
}

/* ---- by connection ---- */

static struct known *
find(struct server *s, const struct prepared *prepared)
{
    return map_get(&s->known.by_id, &prepared->id, sizeof(prepared->id));
}

bool
server_knows(struct server *s, struct prepared *prepared)
{
    struct known *k = find(s, prepared);

    if (k == NULL)
        return false;
    if (s->known.used.prev != &k->link) {
        list_remove(&k->link);
        list_append(&s->known.used, &k->link);
    }
    return true;
}

/* Takes it out of the list; the reference goes to the caller. */
static struct prepared *
drop(struct server *s, struct known *k)
{
    struct prepared *prepared = k->prepared;

    map_remove(&s->known.by_id, &prepared->id, sizeof(prepared->id));
    list_remove(&k->link);
    free(k);
    return prepared;
}

struct prepared *
server_learns(struct server *s, struct prepared *prepared, uint32_t limit)
{
    struct known *k;

    if (find(s, prepared) != NULL)
        return NULL;
    k = xmalloc(sizeof(*k));
    k->prepared = prepared;
    prepared->refs++;
    map_put(&s->known.by_id, &prepared->id, sizeof(prepared->id), k);
    list_append(&s->known.used, &k->link);
    if (limit == 0 || s->known.by_id.count <= limit)
        return NULL;
    return drop(s, list_first(&s->known.used, struct known, link));
}

void
server_forgets(struct server *s, const struct prepared *prepared)
{
    struct known *k = find(s, prepared);

    if (k != NULL)
        prepared_put(drop(s, k));
}

void
server_forgets_all(struct server *s)
{
    while (!list_empty(&s->known.used))
        prepared_put(drop(s, list_first(&s->known.used, struct known, link)));
}
