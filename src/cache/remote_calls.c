/*
 * Lookups in memcached beside the event loop (cache/remote_calls.h).
 *
 * A question is the worker's from the moment its job is begun: the call, which is the loop's, has
 * the job alone, and gives that up when its time is over. What a thread needs (client, secret)
 * lives as long as the object, or for ever when a thread does not come back.
 *
 * Reads and writes have workers of their own, so that answers that are being kept keep nobody
 * waiting. While too much is under way, nothing more begins.
 */
#include "cache/remote_calls.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/log.h"
#include "os/clock.h"

#include <stdlib.h>

enum {
    THREADS = 4,
    GETS_MAX = 256,
    PUTS_MAX = 64,
    PUTS_MAX_BYTES = 4 * 1024 * 1024,
    END_MS = 100,
    COMPLAIN_S = 60,
};

struct remote_calls {
    struct remote_calls_options o;
    struct cache_secret secret;
    struct memcached_client *client;
    struct worker *gets;
    struct worker *puts;
    size_t put_bytes; /* under way */
    int64_t complained_ns;
    struct list calls;
};

struct remote_call {
    struct remote_calls *rc;
    struct list link;
    struct worker_job *job;
    struct io_timer timer;
    remote_found_fn *found;
    void *ctx;
};

int
remote_calls_new(const struct remote_calls_options *o, struct remote_calls **rc_r, struct err *err)
{
    struct remote_calls *rc = xcalloc(1, sizeof(*rc));
    struct memcached_options options = {
        .servers = o->servers, .port = o->port, .timeout_ms = MAX(o->patience_ms * 3 / 4, 1)};

    if (memcached_client_open(&options, &rc->client, err) != 0) {
        free(rc);
        return -1;
    }
    rc->o = *o;
    rc->secret = *o->secret;
    rc->gets = worker_new(o->io, THREADS, GETS_MAX);
    rc->puts = worker_new(o->io, 1, PUTS_MAX);
    list_init(&rc->calls);
    *rc_r = rc;
    return 0;
}

static void
call_free(struct remote_call *call)
{
    list_remove(&call->link);
    io_timer_stop(&call->timer);
    free(call);
}

bool
remote_calls_free(struct remote_calls *rc)
{
    unsigned left;

    if (rc == NULL)
        return false;
    list_for_each_safe (it, tmp, &rc->calls)
        call_free(list_entry(it, struct remote_call, link));
    left = worker_free(rc->gets, END_MS);
    left += worker_free(rc->puts, END_MS);
    if (left > 0)
        return true; /* what they use stays */
    memcached_client_close(rc->client);
    free(rc);
    return false;
}

/* Once a minute: each process says it for itself. */
static void
complain(struct remote_calls *rc, const struct err *err)
{
    int64_t now_ns = clock_monotonic_ns();

    if (rc->complained_ns != 0 && now_ns - rc->complained_ns < COMPLAIN_S * NS_PER_S)
        return;
    rc->complained_ns = now_ns;
    log_warning("%s; statements go to the servers meanwhile", err->message);
}

static struct remote_question *
question_new(struct remote_calls *rc, const struct cache_key *key)
{
    struct remote_question *q = xcalloc(1, sizeof(*q));

    q->client = rc->client;
    q->secret = &rc->secret;
    q->key = *key;
    q->answer_max = rc->o.answer_max;
    q->expire_s = rc->o.expire_s;
    return q;
}

static void
question_free(void *arg)
{
    struct remote_question *q = arg;

    buf_free(&q->answer);
    free(q);
}

/* ---- lookups ---- */

static void
run_get(void *arg)
{
    remote_get(arg);
}

/* As the store judges its own entries. */
static bool
is_of_use(const struct remote_calls *rc, const struct remote_question *q)
{
    int64_t age_ns = clock_monotonic_ns() - q->facts.as_of_ns;

    return q->result == MEMCACHED_DONE &&
           (rc->o.expire_s == 0 || age_ns < rc->o.expire_s * NS_PER_S) &&
           versions_valid(rc->o.versions, &q->facts.reads, q->facts.as_of_ns);
}

static void
got(void *ctx, void *arg)
{
    struct remote_call *call = ctx;
    struct remote_calls *rc = call->rc;
    struct remote_question *q = arg;
    remote_found_fn *found = call->found;
    void *found_ctx = call->ctx;
    bool of_use = is_of_use(rc, q);

    if (q->result == MEMCACHED_FAILED)
        complain(rc, &q->err);
    call_free(call);
    found(found_ctx, of_use ? &q->facts : NULL, of_use ? &q->answer : NULL);
}

static void
too_late(void *ctx)
{
    struct remote_call *call = ctx;
    remote_found_fn *found = call->found;
    void *found_ctx = call->ctx;

    worker_cancel(call->job);
    call_free(call);
    found(found_ctx, NULL, NULL);
}

struct remote_call *
remote_calls_get(struct remote_calls *rc, const struct cache_key *key, remote_found_fn *found,
                 void *ctx)
{
    static const struct worker_call how = {run_get, got, question_free};
    struct remote_question *q = question_new(rc, key);
    struct remote_call *call = xcalloc(1, sizeof(*call));
    struct err err;

    call->rc = rc;
    call->found = found;
    call->ctx = ctx;
    list_append(&rc->calls, &call->link);
    call->job = worker_run(rc->gets, &how, q, call, &err);
    if (call->job == NULL) {
        question_free(q);
        call_free(call);
        return NULL;
    }
    io_timer_start(rc->o.io, &call->timer, rc->o.patience_ms, too_late, call);
    return call;
}

void
remote_call_cancel(struct remote_call *call)
{
    worker_cancel(call->job);
    call_free(call);
}

/* ---- keeping ---- */

static void
run_put(void *arg)
{
    remote_put(arg);
}

static void
was_put(void *ctx, void *arg)
{
    struct remote_calls *rc = ctx;
    struct remote_question *q = arg;

    rc->put_bytes -= q->answer.len;
    if (q->result == MEMCACHED_FAILED)
        complain(rc, &q->err);
}

bool
remote_calls_fit(const struct remote_calls *rc, size_t len)
{
    return len <= rc->o.answer_max;
}

void
remote_calls_put(struct remote_calls *rc, const struct cache_key *key,
                 const struct store_facts *facts, const void *bytes, size_t len)
{
    static const struct worker_call how = {run_put, was_put, question_free};
    struct remote_question *q;
    struct err err;

    if (len > rc->o.answer_max || rc->put_bytes + len > PUTS_MAX_BYTES ||
        !versions_valid(rc->o.versions, &facts->reads, facts->as_of_ns))
        return;
    q = question_new(rc, key);
    q->facts = *facts;
    buf_add(&q->answer, bytes, len);
    if (worker_run(rc->puts, &how, q, rc, &err) == NULL)
        question_free(q);
    else
        rc->put_bytes += len;
}
