/*
 * The key of a cached answer: 128 bits over everything that the answer depends on.
 *
 * A builder takes one field after another. Each goes in with its kind and its length, so that no
 * two different lists of fields are the same bytes: ('ab', 'c') is not ('a', 'bc'), a NULL is not
 * an empty text. The hash is keyed with a secret of this start of the daemon, so that nobody can
 * look for statements whose keys collide; what is left is the chance of one in 2^128 per pair.
 *
 * A builder is a plain value: a session builds what is the same for all of its statements once
 * (database, roles, parameters) and goes on from a copy of it. Nothing here allocates.
 *
 * Whose answers are keyed must add, in an order of its own that is always the same: the database;
 * the session's role and the current one (row security, current_user, search paths of "$user");
 * every parameter that PostgreSQL reports and every other one that was set; the statement; of each
 * parameter its type, format and value; the formats of the result's columns; and the form of the
 * answer (which messages it consists of). Forgetting one of them gives wrong answers; adding one
 * too many only costs hits.
 */
#ifndef CACHE_KEY_H
#define CACHE_KEY_H

#include "base/siphash.h"

enum cache_field {
    CACHE_DATABASE = 1, /* its oid; or its name, where a database cannot be renamed unseen */
    CACHE_SESSION_ROLE, /* session_user */
    CACHE_ROLE,         /* current_user */
    CACHE_SETTING_NAME, /* of a parameter, and then */
    CACHE_SETTING,      /* its value */
    CACHE_STATEMENT,    /* the text, or what stands for it */
    CACHE_VALUE_TYPE,   /* oid of a parameter's type; 0: the server finds it out */
    CACHE_VALUE_FORMAT,
    CACHE_VALUE,
    CACHE_VALUE_NULL,
    CACHE_RESULT_FORMAT,
    CACHE_FORM,
};

struct cache_key {
    uint64_t a;
    uint64_t b;
};

/* Random, chosen once by the parent before it forks. */
struct cache_secret {
    uint64_t words[2];
};

struct cache_key_builder {
    struct siphash hash;
};

void cache_key_begin(struct cache_key_builder *b, const struct cache_secret *secret);
void cache_key_add(struct cache_key_builder *b, enum cache_field field, const void *bytes,
                   size_t len);
void cache_key_add_text(struct cache_key_builder *b, enum cache_field field, const char *text);
void cache_key_add_number(struct cache_key_builder *b, enum cache_field field, uint64_t number);

/* A parameter's value as Bind brings it; len -1: NULL. */
void cache_key_add_value(struct cache_key_builder *b, const void *bytes, int32_t len);

/* Of all that was added. More may be added afterwards. */
struct cache_key cache_key_end(const struct cache_key_builder *b);

#endif
