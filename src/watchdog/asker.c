/*
 * Requests to etcd, and what their ends mean to the watchdog.
 *
 * One request of a kind at a time, as the watchdog asks. Whatever is not certain is WD_UNSURE; only
 * a lease that etcd does not know is gone.
 */
#include "watchdog/asker.h"

#include "base/arena.h"
#include "base/str.h"
#include "watchdog/record.h"

#include <stdlib.h>
#include <string.h>

struct question {
    struct wd_asker *asker;
    struct etcd_request *under_way;
    uint32_t serial;
};

struct wd_asker {
    struct etcd_client *client;
    struct etcd_watch *watch;
    const struct wd_asker_ops *ops;
    void *ctx;
    char prefix[WD_PREFIX_BYTES];
    struct question questions[WD_REQUESTS];
    struct wd_picture picture; /* too large for a stack */
    bool telling;
    bool freed;
};

static void
tell(struct wd_asker *asker, const struct wd_event *event, const char *payload,
     const struct err *err)
{
    asker->telling = true;
    asker->ops->answered(asker->ctx, event, payload, err);
    asker->telling = false;
    if (asker->freed)
        free(asker);
}

static bool
is_transaction(enum wd_request request)
{
    return request != WD_GRANT && request != WD_KEEPALIVE && request != WD_FETCH;
}

static enum wd_answer
judge(enum wd_request request, const struct etcd_answer *answer)
{
    switch (answer->end) {
    case ETCD_DONE:
        if (is_transaction(request))
            return answer->succeeded ? WD_OK : WD_NO;
        return request == WD_KEEPALIVE && answer->ttl_s <= 0 ? WD_NO : WD_OK;
    case ETCD_REFUSED:
        return is_transaction(request) ? WD_NO : WD_UNSURE;
    default:
        return WD_UNSURE;
    }
}

static void
answered(void *ctx, const struct etcd_answer *answer, const struct err *err)
{
    struct question *question = ctx;
    struct wd_asker *asker = question->asker;
    enum wd_request request = (enum wd_request)(question - asker->questions);
    struct wd_event event = {.kind = WD_ANSWERED,
                             .request = request,
                             .serial = question->serial,
                             .answer = judge(request, answer),
                             .lease = answer->lease,
                             .ttl_ns = answer->ttl_s * NS_PER_S,
                             .revision = answer->revision};
    const char *payload = NULL;
    struct err own;

    question->under_way = NULL;
    if (request == WD_FETCH && event.answer == WD_OK) {
        event.picture = &asker->picture;
        if (wd_picture_read(&asker->picture, answer, asker->prefix, &payload, &own) != 0) {
            event.answer = WD_UNSURE;
            payload = NULL;
            err = &own;
        }
    }
    tell(asker, &event, payload, err);
}

void
wd_asker_ask(struct wd_asker *asker, const struct wd *wd, const struct wd_config *config,
             const struct wd_action *action, const char *payload)
{
    enum wd_request request = (enum wd_request)action->request;
    struct question *question = &asker->questions[request];
    struct etcd_call call = {answered, question};
    struct wd_transaction t;

    question->serial = action->serial;
    switch (request) {
    case WD_GRANT:
        question->under_way =
            etcd_grant(asker->client, (config->ttl_ns + NS_PER_S - 1) / NS_PER_S, &call);
        break;
    case WD_KEEPALIVE:
        question->under_way = etcd_keepalive(asker->client, action->lease, &call);
        break;
    case WD_FETCH:
        question->under_way = etcd_range(asker->client, asker->prefix, &call);
        break;
    default:
        wd_transaction_init(&t, wd, action, asker->prefix, payload != NULL ? payload : "");
        question->under_way = etcd_transact(asker->client, &t.txn, &call);
        wd_transaction_fini(&t);
        break;
    }
}

static void
changed(void *ctx)
{
    struct wd_asker *asker = ctx;

    asker->ops->changed(asker->ctx);
}

struct wd_asker *
wd_asker_new(struct etcd_client *client, const char *prefix, const struct wd_asker_ops *ops,
             void *ctx)
{
    struct wd_asker *asker = xcalloc(1, sizeof(*asker));

    asker->client = client;
    asker->ops = ops;
    asker->ctx = ctx;
    str_copy(asker->prefix, sizeof(asker->prefix), prefix);
    for (size_t n = 0; n < WD_REQUESTS; n++)
        asker->questions[n].asker = asker;
    asker->watch = etcd_watch(client, asker->prefix, changed, asker);
    return asker;
}

void
wd_asker_free(struct wd_asker *asker)
{
    if (asker == NULL)
        return;
    etcd_unwatch(asker->watch);
    for (size_t n = 0; n < WD_REQUESTS; n++)
        if (asker->questions[n].under_way != NULL)
            etcd_cancel(asker->questions[n].under_way);
    memset(asker->questions, 0, sizeof(asker->questions));
    if (asker->telling)
        asker->freed = true;
    else
        free(asker);
}
