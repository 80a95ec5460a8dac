/*
 * Requests to etcd, and what their ends mean to the watchdog.
 *
 * One request of a kind at a time, as the watchdog asks. Whatever is not certain is WD_UNSURE; only
 * a lease that etcd does not know is gone.
 */
#include "watchdog/asker.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "cluster/pgpools.h"
#include "watchdog/nodes.h"
#include "watchdog/record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct question {
    struct wd_asker *asker;
    struct etcd_request *under_way;
    uint32_t serial;
};

/* A member whose list of nodes is another one. */
struct difference {
    uint32_t id;
    char words[PGPOOL_DIFFERENCE_BYTES];
};

struct wd_asker {
    struct etcd_client *client;
    struct etcd_watch *watch;
    const struct wd_asker_ops *ops;
    void *ctx;
    char prefix[WD_PREFIX_BYTES];
    struct question questions[WD_REQUESTS];
    struct wd_picture picture; /* too large for a stack */
    char *nodes;
    uint32_t difference_count;
    struct difference differences[WD_MEMBERS_MAX];
    struct difference fresh[WD_MEMBERS_MAX];
    bool telling;
    bool freed;
};

static void
release(struct wd_asker *asker)
{
    free(asker->nodes);
    free(asker);
}

static void
tell(struct wd_asker *asker, const struct wd_event *event, const char *payload,
     const struct err *err)
{
    asker->telling = true;
    asker->ops->answered(asker->ctx, event, payload, err);
    asker->telling = false;
    if (asker->freed)
        release(asker);
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

/* ---- lists of nodes ---- */

const char *
wd_asker_difference(const struct wd_asker *asker, uint32_t id)
{
    for (uint32_t n = 0; n < asker->difference_count; n++) {
        if (asker->differences[n].id == id)
            return asker->differences[n].words;
    }
    return "";
}

/* Nothing is known of who has written no list. */
static bool
differs(const struct wd_asker *asker, const char *member, char *words_r)
{
    const char *nodes = strchr(member, '\n');

    return nodes != NULL && nodes[1] != '\0' &&
           wd_nodes_differ(asker->nodes, nodes + 1, words_r, PGPOOL_DIFFERENCE_BYTES);
}

/* Members were read in the order of their keys: the n-th key is the n-th member. */
static void
compare_nodes(struct wd_asker *asker, const struct etcd_answer *answer)
{
    const struct wd_member *member = asker->picture.members;
    size_t prefix_len = strlen(asker->prefix);
    uint32_t count = 0;

    for (uint32_t n = 0; n < answer->pair_count && asker->nodes != NULL; n++) {
        struct difference *d = &asker->fresh[count];

        if (strncmp(answer->pairs[n].key + prefix_len, "member/", 7) != 0)
            continue;
        d->id = member->id;
        member++;
        if (!differs(asker, answer->pairs[n].value, d->words))
            continue;
        if (strcmp(wd_asker_difference(asker, d->id), d->words) != 0)
            log_warning("the node list of pgpool %" PRIu32 " is another one: %s", d->id, d->words);
        count++;
    }
    for (uint32_t n = 0; n < asker->difference_count; n++) {
        uint32_t id = asker->differences[n].id;
        bool still = false;

        for (uint32_t at = 0; at < count; at++)
            still = still || asker->fresh[at].id == id;
        if (!still)
            log_info("pgpool %" PRIu32 " has no other node list any more", id);
    }
    memcpy(asker->differences, asker->fresh, count * sizeof(asker->fresh[0]));
    asker->difference_count = count;
}

void
wd_asker_set_nodes(struct wd_asker *asker, const char *nodes)
{
    free(asker->nodes);
    asker->nodes = xstrdup(nodes);
}

/* ---- answers and questions ---- */

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
        } else {
            compare_nodes(asker, answer);
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
        if (request == WD_JOIN || request == WD_UPDATE)
            payload = asker->nodes;
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
        release(asker);
}
