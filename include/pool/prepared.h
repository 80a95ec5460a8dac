/*
 * Prepared statements as the pool knows them: by content. Sessions that prepare the same text with
 * the same parameter types share one, whatever they call it; a server connection knows it by a name
 * of ours, and keeps it when it goes from one session to the next.
 *
 * Source: PostgreSQL's manual, chapter "Message Flow", section "Extended Query".
 */
#ifndef POOL_PREPARED_H
#define POOL_PREPARED_H

#include "base/list.h"
#include "base/map.h"

#include <stdbool.h>

struct pool;
struct server;

enum { PREPARED_NAME_BYTES = 24 };

struct prepared {
    struct pool *pool;
    uint64_t id;
    uint32_t refs;
    uint32_t query_len;
    uint32_t key_len;
    uint16_t type_count;
    uint8_t name_len;
    char name[PREPARED_NAME_BYTES]; /* on servers, with NUL */
    const uint8_t *types;           /* type_count OIDs in network byte order */
    const char *query;              /* query_len bytes and a NUL */
    char key[];                     /* what it is found by: scope, types, query */
};

/* What may be prepared. scope: what else its meaning depends on (the search path), so that sessions
 * share only what means the same. */
struct prepared_text {
    const char *query;
    size_t query_len;
    const uint8_t *types;
    uint16_t type_count;
    uint64_t scope;
};

/* The one with this content, new or known; the caller holds a reference. */
struct prepared *prepared_get(struct pool *p, const struct prepared_text *text);
void prepared_ref(struct prepared *prepared);
void prepared_put(struct prepared *prepared);

/* ---- what a server connection knows ---------------------------------------------------------- */

struct known_statements {
    struct map by_id;
    struct list used; /* least recently used first */
};

bool server_knows(struct server *s, struct prepared *prepared);
/* It is on its way there. Returns one that must be closed for it, or NULL (the caller gets its
 * reference): more than limit are not kept, 0: no limit. */
struct prepared *server_learns(struct server *s, struct prepared *prepared, uint32_t limit);
void server_forgets(struct server *s, const struct prepared *prepared);
void server_forgets_all(struct server *s);

#endif
