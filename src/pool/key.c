/*
 * Keys: by which connections are kept and shared; and what sessions have set, one image for all
 * that have set the same.
 *
 * Called by session/ and by pool.c. Invariants: a key lives while a session holds it or a
 * connection has it; a connection is counted in its key's group.
 */
#include "pool/internal.h"

#include "base/arena.h"
#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

enum { WELCOME_LIFE_S = 60 };

static uint32_t
group_of(const struct pool_key *k)
{
    const struct pool_places *places = &k->pool->callbacks.places;

    return places->group(places->ctx, k->user, k->database);
}

struct pool_key *
pool_key_get(struct pool *p, const char *user, const char *database, const char *parameters,
             size_t parameters_len)
{
    size_t user_len = strlen(user) + 1;
    size_t database_len = strlen(database) + 1;
    size_t len = user_len + database_len + parameters_len;
    struct pool_key *k = xmalloc(sizeof(*k) + len + 1);
    struct pool_key *known;

    memset(k, 0, sizeof(*k));
    k->pool = p;
    k->key_len = len;
    k->user = memcpy(k->bytes, user, user_len);
    k->database = memcpy(k->bytes + user_len, database, database_len);
    k->parameters = k->bytes + user_len + database_len;
    if (parameters_len > 0)
        memcpy(k->parameters, parameters, parameters_len);
    k->parameters_len = parameters_len;
    k->bytes[len] = '\0';
    known = map_get(&p->keys_by_name, k->bytes, len);
    if (known != NULL) {
        free(k);
        k = known;
        list_remove(&k->link);
    } else {
        list_init(&k->idle);
        k->group = group_of(k);
        map_put(&p->keys_by_name, k->bytes, len, k);
    }
    list_append(&p->keys, &k->link);
    k->refs++;
    return k;
}

void
pool_key_ref(struct pool_key *k)
{
    k->refs++;
}

void
pool_key_put(struct pool_key *k)
{
    if (--k->refs > 0)
        return;
    map_remove(&k->pool->keys_by_name, k->bytes, k->key_len);
    list_remove(&k->link);
    buf_free(&k->welcome);
    free(k);
}

const char *
pool_key_user(const struct pool_key *k)
{
    return k->user;
}

const char *
pool_key_database(const struct pool_key *k)
{
    return k->database;
}

const char *
pool_key_parameters(const struct pool_key *k, size_t *len_r)
{
    *len_r = k->parameters_len;
    return k->parameters;
}

void
pool_key_recalls(struct pool_key *k)
{
    k->recalls = true;
}

bool
pool_key_has_recalled(const struct pool_key *k)
{
    return k->recalls;
}

const struct buf *
pool_key_welcome(const struct pool_key *k)
{
    if (k->welcome.len == 0 || io_now_ns(k->pool->io) - k->welcome_ns > WELCOME_LIFE_S * NS_PER_S)
        return NULL;
    return &k->welcome;
}

void
pool_key_set_welcome(struct pool_key *k, const struct buf *messages)
{
    buf_clear(&k->welcome);
    buf_add(&k->welcome, messages->data, messages->len);
    k->welcome_ns = io_now_ns(k->pool->io);
}

/* ---- groups ---- */

static void
move_servers(struct pool_key *k, struct list *servers, uint32_t group)
{
    const struct pool_places *places = &k->pool->callbacks.places;

    list_for_each (it, servers) {
        const struct server *s = list_entry(it, struct server, link);
        if (s->key == k)
            places->move(places->ctx, (struct pool_place){k->group, s->node_id}, group);
    }
}

void
pool_regroup(struct pool *p)
{
    list_for_each (it, &p->keys) {
        struct pool_key *k = list_entry(it, struct pool_key, link);
        uint32_t group = group_of(k);

        if (group == k->group)
            continue;
        move_servers(k, &k->idle, group);
        move_servers(k, &p->busy, group);
        k->group = group;
    }
    pool_regroup_waiters(p);
}

/* ---- parameters of sessions ---- */

struct settings_image *
settings_image_get(struct pool *p, const void *bytes, size_t len)
{
    struct settings_image *image = map_get(&p->images, bytes, len);

    if (image == NULL) {
        image = xmalloc(sizeof(*image) + len);
        image->pool = p;
        image->refs = 0;
        image->len = (uint32_t)len;
        memcpy(image->bytes, bytes, len);
        map_put(&p->images, bytes, len, image);
    }
    image->refs++;
    return image;
}

void
settings_image_put(struct settings_image *image)
{
    if (image == NULL || --image->refs > 0)
        return;
    map_remove(&image->pool->images, image->bytes, image->len);
    free(image);
}

void
server_set_image(struct server *s, struct settings_image *image)
{
    struct settings_image *before = s->image;

    if (image != NULL)
        image->refs++;
    s->image = image;
    settings_image_put(before);
}
