/*
 * Areas. The epoch counts publications; copy epoch % 2 is the valid one, so the writer always
 * works in the other one, and a writer that dies half way leaves the valid one alone.
 *
 * Called by the one writing process of each area (include/tables/areas.def) and by all readers.
 * The writer touches a copy only after the epoch has moved away from it. A reader therefore
 * trusts what it copied when the epoch stands still around the copying, and reads again when it
 * does not: publications are rare compared with the time that a copy takes.
 */
#include "ipc/area.h"

#include <string.h>

static size_t
copy_stride(size_t payload_bytes)
{
    return (payload_bytes + 63) & ~(size_t)63;
}

size_t
area_bytes(size_t payload_bytes)
{
    return sizeof(struct area) + 2 * copy_stride(payload_bytes);
}

void
area_init(struct area *a, size_t payload_bytes)
{
    a->payload_bytes = payload_bytes;
    atomic_store_explicit(&a->epoch, 0, memory_order_release);
}

static const uint8_t *
copy_of(const struct area *a, uint64_t epoch)
{
    return a->copies + (epoch % 2) * copy_stride(a->payload_bytes);
}

void *
area_write_anew(struct area *a)
{
    /* Whoever reads this copy as the one published before must see the epoch move before the
     * bytes do. */
    atomic_thread_fence(memory_order_seq_cst);
    return (uint8_t *)(uintptr_t)copy_of(a, area_epoch(a) + 1);
}

void *
area_write(struct area *a)
{
    uint8_t *idle = area_write_anew(a);
    uint64_t epoch = area_epoch(a);

    if (epoch == 0)
        memset(idle, 0, a->payload_bytes);
    else
        memcpy(idle, copy_of(a, epoch), a->payload_bytes);
    return idle;
}

void
area_publish(struct area *a)
{
    atomic_fetch_add_explicit(&a->epoch, 1, memory_order_release);
}

const void *
area_peek(const struct area *a, uint64_t *epoch_r)
{
    *epoch_r = area_epoch(a);
    return *epoch_r == 0 ? NULL : copy_of(a, *epoch_r);
}

bool
area_unchanged(const struct area *a, uint64_t epoch)
{
    atomic_thread_fence(memory_order_acquire);
    return area_epoch(a) == epoch;
}

uint64_t
area_read(const struct area *a, void *dst)
{
    for (;;) {
        uint64_t epoch;
        const void *copy = area_peek(a, &epoch);

        if (copy == NULL) {
            memset(dst, 0, a->payload_bytes);
            return 0;
        }
        memcpy(dst, copy, a->payload_bytes);
        if (area_unchanged(a, epoch))
            return epoch;
    }
}
