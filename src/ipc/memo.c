/*
 * The memo: sets of four places; an entry's words are the key's halves, each mixed with the value,
 * and the value itself. Whoever reads takes the three words in any state and believes them only
 * when both halves fit.
 *
 * Called by catalog/. A new entry takes its own place, the first free one, or one by chance of its
 * key.
 */
#include "ipc/memo.h"

#include <stdatomic.h>

enum { PLACES = 4 };

struct place {
    _Atomic uint64_t a;
    _Atomic uint64_t b;
    _Atomic uint64_t value; /* epoch in the upper half */
};

struct memo {
    _Atomic uint32_t epochs[MEMO_GROUPS];
    uint32_t set_count; /* a power of two */
    _Alignas(64) struct place places[];
};

static uint32_t
sets_for(uint32_t entries)
{
    uint32_t sets = 1;

    while (sets * PLACES < entries && sets < (1u << 24))
        sets *= 2;
    return sets;
}

size_t
memo_bytes(uint32_t entries)
{
    return sizeof(struct memo) + (size_t)sets_for(entries) * PLACES * sizeof(struct place);
}

void
memo_init(struct memo *m, uint32_t entries)
{
    m->set_count = sets_for(entries);
    for (uint32_t n = 0; n < MEMO_GROUPS; n++)
        atomic_init(&m->epochs[n], 1);
}

uint32_t
memo_epoch(const struct memo *m, uint32_t group)
{
    return atomic_load_explicit(&((struct memo *)(uintptr_t)m)->epochs[group % MEMO_GROUPS],
                                memory_order_acquire);
}

void
memo_drop(struct memo *m, uint32_t group)
{
    atomic_fetch_add(&m->epochs[group % MEMO_GROUPS], 1);
}

void
memo_drop_all(struct memo *m)
{
    for (uint32_t n = 0; n < MEMO_GROUPS; n++)
        memo_drop(m, n);
}

static struct place *
set_of(const struct memo *m, struct memo_key key)
{
    struct memo *shared = (struct memo *)(uintptr_t)m;

    return &shared->places[(key.a & (m->set_count - 1)) * PLACES];
}

static uint64_t
word(const _Atomic uint64_t *w)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)w, memory_order_relaxed);
}

bool
memo_get(const struct memo *m, struct memo_key key, uint32_t epoch, uint32_t *value_r)
{
    const struct place *set = set_of(m, key);

    for (uint32_t n = 0; n < PLACES; n++) {
        uint64_t value = word(&set[n].value);
        if ((word(&set[n].a) ^ value) != key.a || (word(&set[n].b) ^ value) != key.b ||
            value >> 32 != epoch)
            continue;
        *value_r = (uint32_t)value;
        return true;
    }
    return false;
}

void
memo_put(struct memo *m, struct memo_key key, uint32_t epoch, uint32_t value)
{
    struct place *set = set_of(m, key);
    struct place *place = NULL;
    uint64_t whole = (uint64_t)epoch << 32 | value;
    uint64_t there = key.b;

    for (uint32_t n = 0; n < PLACES && place == NULL; n++) {
        uint64_t old = word(&set[n].value);
        bool same = (word(&set[n].a) ^ old) == key.a && (word(&set[n].b) ^ old) == key.b;
        if (same || old == 0)
            place = &set[n];
        there = (there ^ word(&set[n].a)) * 0x9e3779b97f4a7c15u;
    }
    /* in whose place follows from what is there: of two that are put in turn, neither drives out
     * the other for ever */
    if (place == NULL)
        place = &set[(there >> 32) % PLACES];
    atomic_store_explicit(&place->a, key.a ^ whole, memory_order_relaxed);
    atomic_store_explicit(&place->b, key.b ^ whole, memory_order_relaxed);
    atomic_store_explicit(&place->value, whole, memory_order_relaxed);
}
