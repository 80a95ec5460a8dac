/*
 * Native replication: a copy that has done something else than the main node.
 *
 * Mostly the transaction is rolled back everywhere. With failover_if_affected_tuples_mismatch (row
 * counts) or replication_stop_on_mismatch (errors, other commands) the nodes that are fewer are
 * detached instead, and the others commit; of as many on both sides, the main node is right. Where
 * the main node is alone against others that agree, what the client was told is not what most have:
 * it is rolled back, and the main node is detached.
 *
 * Invariant: who is left out of a transaction is detached, and that is known here, before the main
 * node commits it. An error that says nothing of what is stored (a lock, a cancel request, memory)
 * leaves nobody out.
 */
#include "session/copies.h"

#include "base/log.h"
#include "base/str.h"
#include "config/config.h"

#include <string.h>

static struct copy *
copy_at(const struct list *it)
{
    return list_entry(it, struct copy, link);
}

static bool
is_passing(const char *sqlstate)
{
    static const char *const classes[] = {"08", "40", "53", "55", "57", "58", "25"};

    for (size_t n = 0; n < ARRAY_LEN(classes); n++) {
        if (strncmp(sqlstate, classes[n], 2) == 0)
            return true;
    }
    return false;
}

/* Of "UPDATE 3" the length of "UPDATE". */
static size_t
word_len(const char *tag)
{
    size_t len = strlen(tag);

    while (len > 0 && (tag[len - 1] == ' ' || (tag[len - 1] >= '0' && tag[len - 1] <= '9')))
        len--;
    return len;
}

static bool
same_words(const char *a, const char *b)
{
    size_t len = word_len(a);

    return len == word_len(b) && strncmp(a, b, len) == 0;
}

bool
copies_deviates(struct copy *copy, bool failed, const struct copies_outcome *wanted)
{
    const struct session_copies *c = copy->all;
    const struct config *cfg = c->s != NULL ? session_options(c->s)->config : NULL;
    bool counts = !failed && same_words(copy->outcome.tag, wanted->tag);

    if (cfg == NULL || c->rule.way == COPIES_ALONE || (failed && is_passing(copy->err.sqlstate)) ||
        !(counts ? cfg->failover_if_affected_tuples_mismatch : cfg->replication_stop_on_mismatch))
        return false;
    copy->deviates = true;
    copy->deviation = copy->outcome.hash * 31 + copy->heard;
    for (const char *at = copy->err.sqlstate; failed && *at != '\0'; at++)
        copy->deviation = copy->deviation * 31 + (uint8_t)*at;
    return true;
}

void
copies_lose_main(struct session_copies *c)
{
    if (c->main_gives_way)
        c->host->lose_copy(c->host->ctx, c->main_id, "it did not do what most nodes did");
    c->main_gives_way = false;
}

/* Are there more that agree with each other than with it? */
static bool
main_is_alone(const struct session_copies *c)
{
    const struct copy *first = NULL;
    uint32_t with = 1;
    uint32_t against = 0;

    list_for_each (it, &c->copies) {
        const struct copy *copy = copy_at(it);
        if (!copy->deviates) {
            with++;
            continue;
        }
        if (first == NULL)
            first = copy;
        if (copy->deviation != first->deviation)
            return false;
        against++;
    }
    return against > with;
}

static void
give_way(struct session_copies *c)
{
    err_set(&c->doom, "40001",
            "the transaction was rolled back: node %d did not do what most nodes did", c->main_id);
    err_hint(&c->doom, "Run the transaction again.");
    c->doomed = true;
    log_error_parts(LOG_LEVEL_WARNING, &c->doom);
    c->main_gives_way = true;
    copies_step_later(c);
}

bool
copies_leave_out(struct session_copies *c)
{
    bool done = true;
    bool any = false;

    list_for_each (it, &c->copies)
        any |= copy_at(it)->deviates;
    if (!any)
        return true;
    if (main_is_alone(c)) {
        give_way(c);
        return false;
    }
    list_for_each (it, &c->copies) {
        struct copy *copy = copy_at(it);
        if (!copy->deviates)
            continue;
        if (c->host->view->nodes[copy->node_id].copy) {
            c->host->lose_copy(c->host->ctx, copy->node_id, "it did not do what the main node did");
            done = false;
            continue;
        }
        copy->begun = false;
        copies_unlink(copy);
    }
    if (!done)
        copies_step_later(c);
    return done;
}
