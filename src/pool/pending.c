/*
 * The queue of owed answers. Called by pool/server for every message in either direction; knows
 * the protocol's rules of who answers what, and nothing of bytes.
 *
 * Invariants: entries leave in order; an error drops the entries that the server will ignore, so
 * that what is left is exactly what it will still answer.
 */
#include "pool/pending.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

void
pending_init(struct pending *p)
{
    memset(p, 0, sizeof(*p));
    p->ring = p->small;
    p->cap = PENDING_INLINE;
}

static struct pending_entry *
at(struct pending *p, uint32_t n)
{
    return &p->ring[(p->head + n) & (p->cap - 1)];
}

static bool
is_forward(const struct pending_entry *e)
{
    return !e->skip && e->kind != PENDING_COPY_END;
}

static void
drop_head(struct pending *p, bool done, pending_settled_fn *settled, void *ctx)
{
    struct pending_entry e = *at(p, 0);

    p->head = (p->head + 1) & (p->cap - 1);
    p->count--;
    p->forwards -= is_forward(&e);
    if (!e.fake)
        p->copy_in = false; /* it was the head's */
    if ((e.tag != NULL || e.note != 0) && settled != NULL)
        settled(ctx, &e, done);
}

void
pending_fini(struct pending *p, pending_settled_fn *settled, void *ctx)
{
    while (p->count > 0)
        drop_head(p, false, settled, ctx);
    if (p->ring != p->small)
        free(p->ring);
    pending_init(p);
}

static void
grow(struct pending *p)
{
    struct pending_entry *ring = xmalloc(sizeof(*ring) * p->cap * 2);

    for (uint32_t n = 0; n < p->count; n++)
        ring[n] = *at(p, n);
    if (p->ring != p->small)
        free(p->ring);
    p->ring = ring;
    p->cap *= 2;
    p->head = 0;
}

bool
pending_ends_cycle(uint8_t kind)
{
    return kind == PENDING_QUERY || kind == PENDING_SYNC || kind == PENDING_CALL;
}

void
pending_note_owed(const struct pending *p, struct pending_owed *owed_r)
{
    *owed_r = (struct pending_owed){
        .skip_till_sync = p->skip_till_sync && p->count == 0,
        .in_doubt = p->sync_in_doubt && (p->count > 0 || p->skip_till_sync),
    };
    if (p->forwards == 0)
        return;
    owed_r->kinds = xmalloc(p->forwards * sizeof(*owed_r->kinds));
    owed_r->flags = xmalloc(p->forwards * sizeof(*owed_r->flags));
    for (uint32_t n = 0; n < p->count; n++) {
        const struct pending_entry *e = &p->ring[(p->head + n) & (p->cap - 1)];
        if (!is_forward(e))
            continue;
        owed_r->kinds[owed_r->count] = e->kind;
        owed_r->flags[owed_r->count++] = e->flags;
    }
}

void
pending_owed_free(struct pending_owed *owed)
{
    free(owed->kinds);
    free(owed->flags);
    *owed = (struct pending_owed){.count = 0};
}

static void
drop_unqueued(const struct pending_entry *e, pending_settled_fn *settled, void *ctx)
{
    if ((e->tag != NULL || e->note != 0) && settled != NULL)
        settled(ctx, e, false);
}

/* What the server reads while it waits for data has no answer: it ignores Sync, and anything but
 * the end of the data makes the COPY fail, which is then over for what follows. Yet when the COPY
 * has failed for another reason, which we cannot know, the server answers what we took for
 * swallowed. */
static void
feed_copy(struct pending *p, uint8_t kind)
{
    p->copy_in = kind == PENDING_SYNC;
    p->sync_in_doubt |= kind != PENDING_COPY_END;
}

bool
pending_push(struct pending *p, const struct pending_entry *e, pending_settled_fn *settled,
             void *ctx)
{
    bool ignored = e->kind == PENDING_COPY_END && p->count == 0;

    if (p->skip_till_sync) {
        ignored = e->kind != PENDING_SYNC;
        p->skip_till_sync = ignored;
    } else if (p->copy_in) {
        ignored = true;
        if (!e->fake)
            feed_copy(p, e->kind);
    }
    if (ignored) {
        drop_unqueued(e, settled, ctx);
        return false;
    }
    if (p->count == p->cap)
        grow(p);
    *at(p, p->count++) = *e;
    p->forwards += is_forward(e);
    return true;
}

bool
pending_take_fake(struct pending *p, struct pending_entry *e_r, pending_settled_fn *settled,
                  void *ctx)
{
    if (p->count == 0 || !at(p, 0)->fake)
        return false;
    *e_r = *at(p, 0);
    drop_head(p, true, settled, ctx);
    return true;
}

/* The server reads, for COPY, what was sent behind its command. */
static void
enter_copy_in(struct pending *p, pending_settled_fn *settled, void *ctx)
{
    p->copy_in = true;
    while (p->copy_in && p->count > 1) {
        struct pending_entry e = *at(p, 1);
        *at(p, 1) = *at(p, 0);
        p->head = (p->head + 1) & (p->cap - 1);
        p->count--;
        p->forwards -= is_forward(&e);
        if (!e.fake)
            feed_copy(p, e.kind);
        drop_unqueued(&e, settled, ctx);
    }
}

/* The end of data that no COPY has read has no answer: it leaves with what stands in front. */
static void
trim(struct pending *p, pending_settled_fn *settled, void *ctx)
{
    while (p->count > 0 && at(p, 0)->kind == PENDING_COPY_END)
        drop_head(p, true, settled, ctx);
}

/* An error ends the running command, and in the extended protocol all up to the next Sync. */
static void
fail(struct pending *p, pending_settled_fn *settled, void *ctx)
{
    p->error_seen = true;
    p->copy_in = false;
    if (pending_ends_cycle(at(p, 0)->kind))
        return;
    while (p->count > 0 && at(p, 0)->kind != PENDING_SYNC)
        drop_head(p, false, settled, ctx);
    p->skip_till_sync = p->count == 0;
}

/* Nothing is owed: it is the Sync of a COPY that failed before the Sync was read as data, or
 * nobody's. */
static void
end_doubt(struct pending *p, struct pending_step *step)
{
    if (!p->skip_till_sync || !p->sync_in_doubt) {
        step->unasked = true;
        return;
    }
    step->cycle_end = step->failed = true;
    step->ended.kind = PENDING_SYNC;
    p->skip_till_sync = p->error_seen = false;
}

static void
end_cycle(struct pending *p, struct pending_step *step, pending_settled_fn *settled, void *ctx)
{
    while (p->count > 0 && !pending_ends_cycle(at(p, 0)->kind))
        drop_head(p, false, settled, ctx);
    if (p->count == 0) {
        end_doubt(p, step);
        return;
    }
    step->skip = at(p, 0)->skip;
    step->ended = *at(p, 0);
    step->cycle_end = true;
    step->failed = p->error_seen;
    p->error_seen = false;
    drop_head(p, !step->failed, settled, ctx);
    trim(p, settled, ctx);
}

static bool
answers(uint8_t type, uint8_t kind)
{
    switch (kind) {
    case PENDING_PARSE:
        return type == '1';
    case PENDING_BIND:
        return type == '2';
    case PENDING_CLOSE:
        return type == '3';
    case PENDING_DESCRIBE:
        return type == 'T' || type == 'n';
    case PENDING_EXECUTE:
        return type == 'C' || type == 'I' || type == 's';
    default:
        return false;
    }
}

/* An error is told to whoever asked for the cycle that it ends, also when it strikes a message of
 * ours in the client's batch: nothing else would tell why the batch has failed. A batch ends with
 * its Sync, whatever stands in front of that. */
static bool
error_is_skipped(struct pending *p)
{
    if (pending_ends_cycle(at(p, 0)->kind))
        return at(p, 0)->skip;
    for (uint32_t n = 1; n < p->count; n++) {
        if (at(p, n)->kind == PENDING_SYNC)
            return at(p, n)->skip;
    }
    return false;
}

struct pending_step
pending_answer(struct pending *p, uint8_t type, pending_settled_fn *settled, void *ctx)
{
    struct pending_step step = {0};

    if (type == 'Z') {
        end_cycle(p, &step, settled, ctx);
        return step;
    }
    if (p->count == 0) {
        step.unasked = true;
        return step;
    }
    step.skip = at(p, 0)->skip;
    if (type == 'E') {
        step.skip = error_is_skipped(p);
        fail(p, settled, ctx);
    } else if (type == 'G') {
        enter_copy_in(p, settled, ctx);
    } else if (answers(type, at(p, 0)->kind)) {
        drop_head(p, true, settled, ctx);
        trim(p, settled, ctx);
    }
    return step;
}
