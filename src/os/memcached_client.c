/*
 * libmemcached: a handle per call that runs, all copies of the one that was set up at first.
 *
 * Called by cache/remote.c on threads. A handle is not thread-safe, so idle ones lie in a list
 * under a lock, which is never held while a server is asked. A handle on which a call failed is
 * kept: it knows which servers are dead.
 */
#include "config.h"

#include "os/memcached_client.h"

#ifdef HAVE_MEMCACHED

#include "base/arena.h"
#include "base/num.h"
#include "base/str.h"

#include <libmemcached/memcached.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum {
    IDLE_MAX = 16,
    RETRY_S = 2,
    FAILURES = 1,                  /* and a server is left out */
    EXPIRE_MAX_S = 30 * 24 * 3600, /* more would be taken for a date */
    ADDRESS_MAX = 256,
};

struct memcached_client {
    memcached_st *first; /* set up, never used for calls */
    uint32_t timeout_ms;
    pthread_mutex_t lock;
    memcached_st *idle[IDLE_MAX];
    unsigned idle_count;
};

bool
memcached_client_is_built(void)
{
    return true;
}

/* ---- the list of servers ---- */

static int
refuse(struct err *err, const char *server)
{
    err_set(err, "22023", "invalid memcached server \"%s\"", server);
    err_hint(err, "Servers look like this: \"host\", \"host:11211\", \"[::1]:11211\", or the "
                  "absolute path of a socket.");
    return -1;
}

static int
add_server(memcached_st *m, char *server, uint32_t port, struct err *err)
{
    char whole[ADDRESS_MAX];
    char *host = server;
    char *colon = strrchr(server, ':');
    char *closing = strrchr(server, ']');

    str_copy(whole, sizeof(whole), server);
    if (server[0] == '/')
        return memcached_success(memcached_server_add_unix_socket(m, server)) ? 0
                                                                              : refuse(err, whole);
    if (colon != NULL && (closing == NULL || colon > closing)) {
        if (!num_parse_u32(colon + 1, &port) || port == 0 || port > UINT16_MAX)
            return refuse(err, whole);
        *colon = '\0';
    }
    if (server[0] == '[') {
        if (closing == NULL || closing[1] != '\0')
            return refuse(err, whole);
        *closing = '\0';
        host++;
    }
    if (host[0] == '\0' || !memcached_success(memcached_server_add(m, host, (in_port_t)port)))
        return refuse(err, whole);
    return 0;
}

static int
add_servers(memcached_st *m, const struct memcached_options *o, struct err *err)
{
    const char *at = o->servers;

    for (;;) {
        char server[ADDRESS_MAX];
        size_t len = strcspn(at, ",");
        size_t from = strspn(at, " \t");
        size_t to = len;

        while (to > from && strchr(" \t", at[to - 1]) != NULL)
            to--;
        if (from >= to || to - from >= sizeof(server))
            return refuse(err, at);
        memcpy(server, at + from, to - from);
        server[to - from] = '\0';
        if (add_server(m, server, o->port, err) != 0)
            return -1;
        if (at[len] == '\0')
            return 0;
        at += len + 1;
    }
}

/* ---- the client ---- */

static void
set_up(memcached_st *m, uint32_t timeout_ms)
{
    const struct {
        memcached_behavior_t behavior;
        uint64_t value;
    } settings[] = {
        {MEMCACHED_BEHAVIOR_NO_BLOCK, 1}, /* or timeouts do not count for connecting */
        {MEMCACHED_BEHAVIOR_TCP_NODELAY, 1},
        {MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, timeout_ms},
        {MEMCACHED_BEHAVIOR_POLL_TIMEOUT, timeout_ms},
        {MEMCACHED_BEHAVIOR_SND_TIMEOUT, timeout_ms * 1000ULL},
        {MEMCACHED_BEHAVIOR_RCV_TIMEOUT, timeout_ms * 1000ULL},
        {MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA},
        {MEMCACHED_BEHAVIOR_RETRY_TIMEOUT, RETRY_S},
        {MEMCACHED_BEHAVIOR_DEAD_TIMEOUT, RETRY_S},
        {MEMCACHED_BEHAVIOR_SERVER_FAILURE_LIMIT, FAILURES},
        {MEMCACHED_BEHAVIOR_REMOVE_FAILED_SERVERS, 1},
    };

    for (size_t n = 0; n < ARRAY_LEN(settings); n++)
        memcached_behavior_set(m, settings[n].behavior, settings[n].value);
}

int
memcached_client_open(const struct memcached_options *options, struct memcached_client **c_r,
                      struct err *err)
{
    memcached_st *m = memcached_create(NULL);
    struct memcached_client *c;

    if (m == NULL)
        return err_set(err, "53200", "out of memory");
    set_up(m, options->timeout_ms);
    if (add_servers(m, options, err) != 0) {
        memcached_free(m);
        return -1;
    }
    c = xcalloc(1, sizeof(*c));
    c->first = m;
    c->timeout_ms = options->timeout_ms;
    pthread_mutex_init(&c->lock, NULL);
    *c_r = c;
    return 0;
}

void
memcached_client_close(struct memcached_client *c)
{
    if (c == NULL)
        return;
    for (unsigned n = 0; n < c->idle_count; n++)
        memcached_free(c->idle[n]);
    memcached_free(c->first);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static memcached_st *
take(struct memcached_client *c)
{
    memcached_st *m;

    pthread_mutex_lock(&c->lock);
    m = c->idle_count > 0 ? c->idle[--c->idle_count] : memcached_clone(NULL, c->first);
    pthread_mutex_unlock(&c->lock);
    return m;
}

static void
give(struct memcached_client *c, memcached_st *m)
{
    pthread_mutex_lock(&c->lock);
    if (c->idle_count < IDLE_MAX) {
        c->idle[c->idle_count++] = m;
        m = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    memcached_free(m);
}

/* ---- calls ---- */

static enum memcached_answer
judge(memcached_st *m, memcached_return_t rc, struct err *err)
{
    if (memcached_success(rc))
        return MEMCACHED_DONE;
    if (rc == MEMCACHED_NOTFOUND)
        return MEMCACHED_ABSENT;
    err_set(err, "58000", "memcached: %s", memcached_strerror(m, rc));
    return MEMCACHED_FAILED;
}

static enum memcached_answer
no_memory(struct err *err)
{
    err_set(err, "53200", "out of memory");
    return MEMCACHED_FAILED;
}

enum memcached_answer
memcached_client_get(struct memcached_client *c, const char *key, size_t max_len, struct buf *out,
                     struct err *err)
{
    memcached_st *m = take(c);
    enum memcached_answer answer;
    memcached_return_t rc;
    size_t len = 0;
    uint32_t flags;
    char *value;

    if (m == NULL)
        return no_memory(err);
    value = memcached_get(m, key, strlen(key), &len, &flags, &rc);
    answer = judge(m, rc, err);
    if (answer == MEMCACHED_DONE && (value == NULL || len > max_len))
        answer = MEMCACHED_ABSENT;
    if (answer == MEMCACHED_DONE)
        buf_add(out, value, len);
    free(value);
    give(c, m);
    return answer;
}

enum memcached_answer
memcached_client_set(struct memcached_client *c, const char *key,
                     const struct memcached_value *value, struct err *err)
{
    memcached_st *m = take(c);
    enum memcached_answer answer;
    memcached_return_t rc;

    if (m == NULL)
        return no_memory(err);
    rc = memcached_set(m, key, strlen(key), value->bytes, value->len,
                       (time_t)MIN(value->expire_s, (uint32_t)EXPIRE_MAX_S), 0);
    answer = judge(m, rc, err);
    give(c, m);
    return answer;
}

enum memcached_answer
memcached_client_delete(struct memcached_client *c, const char *key, struct err *err)
{
    memcached_st *m = take(c);
    enum memcached_answer answer;

    if (m == NULL)
        return no_memory(err);
    answer = judge(m, memcached_delete(m, key, strlen(key), 0), err);
    give(c, m);
    return answer;
}

#else

bool
memcached_client_is_built(void)
{
    return false;
}

int
memcached_client_open(const struct memcached_options *options UNUSED,
                      struct memcached_client **c_r UNUSED, struct err *err)
{
    return err_set(err, "0A000", "memcached is not supported by this build");
}

void
memcached_client_close(struct memcached_client *c UNUSED)
{
}

enum memcached_answer
memcached_client_get(struct memcached_client *c UNUSED, const char *key UNUSED,
                     size_t max_len UNUSED, struct buf *out UNUSED, struct err *err UNUSED)
{
    return MEMCACHED_FAILED;
}

enum memcached_answer
memcached_client_set(struct memcached_client *c UNUSED, const char *key UNUSED,
                     const struct memcached_value *value UNUSED, struct err *err UNUSED)
{
    return MEMCACHED_FAILED;
}

enum memcached_answer
memcached_client_delete(struct memcached_client *c UNUSED, const char *key UNUSED,
                        struct err *err UNUSED)
{
    return MEMCACHED_FAILED;
}

#endif
