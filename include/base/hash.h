/*
 * Hashing for tables in memory. Seeded once per process with random bytes (hash_seed), so that a
 * client cannot choose colliding keys.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/util.h"

void hash_seed(uint64_t seed);
uint64_t hash_bytes(const void *bytes, size_t len);

#endif
