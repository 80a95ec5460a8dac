/*
 * A memo: what any process has found out and all may use, in shared memory without locks.
 *
 * Entries are small (a key of 128 bits, 32 bits of value) and may vanish at any time: when the
 * table is full, when two processes write the same place, when their group is dropped. An entry
 * that is torn, by a race or a process killed half way, does not match its key and is none.
 * Groups are what is forgotten together; several may share a number.
 */
#ifndef IPC_MEMO_H
#define IPC_MEMO_H

#include "base/util.h"

#include <stdbool.h>

enum { MEMO_GROUPS = 256 };

struct memo;

struct memo_key {
    uint64_t a;
    uint64_t b;
};

/* Bytes of a memo with room for this many entries or a few more. The memory must be all zeroes. */
size_t memo_bytes(uint32_t entries);
void memo_init(struct memo *m, uint32_t entries);

/* The group's epoch now. What is put with an epoch that has passed is never found. */
uint32_t memo_epoch(const struct memo *m, uint32_t group);

/* Forgets the group, or all of them. */
void memo_drop(struct memo *m, uint32_t group);
void memo_drop_all(struct memo *m);

/* False when it is not there. */
bool memo_get(const struct memo *m, struct memo_key key, uint32_t epoch, uint32_t *value_r);

/* epoch: the group's from before the value was found out. */
void memo_put(struct memo *m, struct memo_key key, uint32_t epoch, uint32_t value);

#endif
