/*
 * Keys: by which connections are kept and shared; and what sessions have set, one image for all
 * that have set the same.
 *
 * Called by session/ and by pool.c. Invariants: a key lives while a session holds it or a
 * connection has it; a connection is counted in its key's group; credentials of a key are those
 * that a client has proved, to us or to a server.
 */
#include "pool/internal.h"

#include "auth/credentials.h"
#include "auth/passwd.h"
#include "base/arena.h"
#include "base/log.h"
#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

enum { WELCOME_LIFE_S = 60, SHUT_LIFE_S = 60 };

static uint32_t
group_of(const struct pool_key *k)
{
    const struct pool_places *places = &k->pool->callbacks.places;

    return places->group(places->ctx, k->user, k->database);
}

static struct pool_key *
key_new(struct pool *p, const struct pool_login *login)
{
    size_t user_len = strlen(login->user) + 1;
    size_t database_len = strlen(login->database) + 1;
    size_t len = user_len + database_len + login->parameters_len;
    struct pool_key *k = xmalloc(sizeof(*k) + len + 2);

    memset(k, 0, sizeof(*k));
    k->pool = p;
    k->means = (uint8_t)login->means;
    k->key_len = len + 1;
    k->user = memcpy(k->bytes, login->user, user_len);
    k->database = memcpy(k->bytes + user_len, login->database, database_len);
    k->parameters = k->bytes + user_len + database_len;
    if (login->parameters_len > 0)
        memcpy(k->parameters, login->parameters, login->parameters_len);
    k->parameters_len = login->parameters_len;
    k->bytes[len] = (char)login->means;
    k->bytes[len + 1] = '\0';
    return k;
}

struct pool_key *
pool_key_get(struct pool *p, const struct pool_login *login)
{
    struct pool_key *k = key_new(p, login);
    struct pool_key *known = map_get(&p->keys_by_name, k->bytes, k->key_len);

    if (known != NULL) {
        free(k);
        k = known;
        list_remove(&k->link);
    } else {
        list_init(&k->idle);
        k->group = group_of(k);
        map_put(&p->keys_by_name, k->bytes, k->key_len, k);
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
    credentials_unref(k->credentials);
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
    k->shut_ns = 0;
}

/* ---- credentials ---- */

void
pool_key_set_credentials(struct pool_key *k, struct credentials *credentials)
{
    struct credentials *before = k->credentials;

    BUG_UNLESS(k->means == POOL_PROVED);
    k->credentials = credentials_ref(credentials);
    credentials_unref(before);
}

struct credentials *
pool_key_credentials(const struct pool_key *k)
{
    if (k->means == POOL_OPEN)
        return NULL;
    if (k->credentials != NULL)
        return credentials_ref(k->credentials);
    return k->pool->options.passwords != NULL
               ? passwd_credentials(k->pool->options.passwords, k->user)
               : NULL;
}

void
pool_key_refused(struct pool_key *k, int node_id, const struct credentials *credentials)
{
    const struct pool_callbacks *c = &k->pool->callbacks;
    bool is_final = c->refused == NULL || c->refused(c->ctx, node_id, k->user);

    if (k->means == POOL_OPEN)
        k->shut_ns = io_now_ns(k->pool->io);
    if (credentials == NULL || k->credentials != credentials || !is_final)
        return;
    log_debug("what a client has proved of user \"%s\" does not count any more", k->user);
    credentials_unref(k->credentials);
    k->credentials = NULL;
}

bool
pool_key_is_shut(const struct pool_key *k)
{
    return k->shut_ns != 0 && io_now_ns(k->pool->io) - k->shut_ns < SHUT_LIFE_S * NS_PER_S;
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
