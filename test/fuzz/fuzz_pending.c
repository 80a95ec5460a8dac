/*
 * The queue of owed answers with any sequence of pushes and answers: a server that keeps to no
 * rule.
 *
 * An input is a sequence of steps. The low four bits of a step's byte say what is sent, or that a
 * message comes, whose type the next byte chooses; the highest bit: the answer is not for the
 * client. Checked: counters agree with the entries, entries leave in the order in which they came,
 * and each tag is settled exactly once.
 */
#include "fuzz.h"

#include "pool/pending.h"

#include <stdlib.h>

enum { STEPS_MAX = 20000, KIND_BITS = 15, SKIP_BIT = 128 };

struct tag {
    uint32_t number; /* in the order of pushes, from 1 */
    uint32_t settled;
};

struct bed {
    struct pending p;
    struct tag *tags;
    uint32_t pushed;
    uint32_t settled;
};

static void
settled(void *ctx, const struct pending_entry *e, bool done UNUSED)
{
    struct bed *bed = ctx;
    struct tag *tag = e->tag;

    if (tag->settled++ > 0)
        BUG("tag %u is settled again", tag->number);
    if (e->flags != (uint16_t)tag->number)
        BUG("tag %u comes back with other flags", tag->number);
    bed->settled++;
}

static void
check_queue(const struct bed *bed)
{
    const struct pending *p = &bed->p;
    uint32_t forwards = 0;
    uint32_t last = 0;

    if (p->count > p->cap || (p->cap & (p->cap - 1)) != 0 || p->count > PENDING_MAX)
        BUG("%u entries in a queue of %u", p->count, p->cap);
    if (p->count + bed->settled != bed->pushed)
        BUG("%u pushed, %u settled, %u left", bed->pushed, bed->settled, p->count);
    for (uint32_t n = 0; n < p->count; n++) {
        const struct pending_entry *e = &p->ring[(p->head + n) & (p->cap - 1)];
        const struct tag *tag = e->tag;
        if (tag->settled > 0 || tag->number <= last)
            BUG("entry %u holds tag %u", n, tag->number);
        last = tag->number;
        forwards += !e->skip && e->kind != PENDING_COPY_END;
    }
    if (p->forwards != forwards)
        BUG("%u entries are for the client, %u are counted", forwards, p->forwards);
    if ((p->skip_till_sync && p->count > 0) || (p->copy_in && p->count == 0))
        BUG("%u entries left while skipping or in COPY", p->count);
    if (p->count > 0 && p->ring[p->head].kind == PENDING_COPY_END)
        BUG("the end of a COPY is waited for");
}

static void
push(struct bed *bed, uint8_t kind, bool skip)
{
    uint32_t number = ++bed->pushed;
    struct tag *tag = &bed->tags[number];
    struct pending_entry e = {.kind = kind, .skip = skip, .flags = (uint16_t)number, .tag = tag};
    uint32_t count = bed->p.count;
    bool waits;

    tag->number = number;
    waits = pending_push(&bed->p, &e, settled, bed);
    if (waits != (bed->p.count == count + 1) || waits == (tag->settled > 0))
        BUG("a push says that it waits, and does not");
}

static void
answer(struct bed *bed, uint8_t byte)
{
    static const char types[] = "123ACDEGHIKNRSTVWZcdnstv";
    uint8_t type = (uint8_t)types[byte % (sizeof(types) - 1)];
    bool owed = bed->p.count > 0;
    bool skip = owed && bed->p.ring[bed->p.head].skip;
    uint32_t count = bed->p.count;
    struct pending_step step = pending_answer(&bed->p, type, settled, bed);

    if (bed->p.count > count)
        BUG("an answer makes more answers owed");
    if (type != 'Z' &&
        (step.cycle_end || step.unasked != !owed || (type != 'E' && step.skip != skip)))
        BUG("message \"%c\": cycle_end %d, unasked %d, skip %d", type, step.cycle_end, step.unasked,
            step.skip);
    if (type == 'Z' && step.cycle_end == step.unasked)
        BUG("a ReadyForQuery ends a cycle and was not asked for, or neither");
    if (step.cycle_end && step.skip != step.ended.skip)
        BUG("the end of a cycle goes somewhere else");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes b = {data, data + MIN(size, (size_t)STEPS_MAX)};
    struct bed bed = {.tags = calloc(STEPS_MAX + 2, sizeof(struct tag))};

    pending_init(&bed.p);
    while (b.at < b.end) {
        uint8_t byte = fuzz_byte(&b);
        if ((byte & KIND_BITS) > PENDING_COPY_END)
            answer(&bed, fuzz_byte(&b));
        else if (!pending_is_full(&bed.p))
            push(&bed, byte & KIND_BITS, (byte & SKIP_BIT) != 0);
        check_queue(&bed);
    }
    pending_fini(&bed.p, settled, &bed);
    if (bed.settled != bed.pushed || bed.p.count > 0)
        BUG("%u pushed, %u settled in the end", bed.pushed, bed.settled);
    free(bed.tags);
    return 0;
}
