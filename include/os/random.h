/*
 * Random bytes good enough for keys, from the kernel.
 */
#ifndef OS_RANDOM_H
#define OS_RANDOM_H

#include "base/err.h"
#include "base/util.h"

/* Fails only when the kernel has no random source at all. */
int random_bytes(void *dst, size_t len, struct err *err);

#endif
