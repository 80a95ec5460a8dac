/*
 * An area: shared memory with one writing process, two copies and an atomic epoch.
 *
 * The writer fills the idle copy and publishes it; a writer killed half way leaves the old copy
 * valid. Readers copy out and retry when the writer passed them; they never wait for it.
 */
#ifndef IPC_AREA_H
#define IPC_AREA_H

#include "base/util.h"

#include <stdatomic.h>
#include <stdbool.h>

struct area {
    _Atomic uint64_t epoch; /* copy epoch % 2 is the valid one; 0: nothing published yet */
    uint64_t payload_bytes;
    _Alignas(64) uint8_t copies[];
};

/* Bytes that an area with this payload takes in shared memory. */
size_t area_bytes(size_t payload_bytes);
void area_init(struct area *a, size_t payload_bytes);

/* Writer: the idle copy, holding what is published now; change it, then publish. */
void *area_write(struct area *a);
void area_publish(struct area *a);

/* One load; compare with the epoch of your copy to see whether there is news. */
static inline uint64_t
area_epoch(const struct area *a)
{
    return atomic_load_explicit(&((struct area *)(uintptr_t)a)->epoch, memory_order_acquire);
}

/* For a large payload that is mostly empty, so that its empty part is never touched. Writer: the
 * idle copy with whatever stands in it, all of it to be filled anew. Reader: the published copy
 * (NULL when there is none); copy out what you need and bound every length that you read there,
 * and believe it only when area_unchanged says so, else begin again. */
void *area_write_anew(struct area *a);
const void *area_peek(const struct area *a, uint64_t *epoch_r);
bool area_unchanged(const struct area *a, uint64_t epoch);

/* Copies the published payload; returns its epoch, 0 when there is none (dst is then cleared). */
uint64_t area_read(const struct area *a, void *dst);

#endif
