/*
 * Memory shared by a process and all that it forks later.
 */
#ifndef OS_SHM_H
#define OS_SHM_H

#include "base/err.h"
#include "base/util.h"

/* Zeroed; the kernel gives pages only as they are touched. */
int shm_new(size_t bytes, void **map_r, struct err *err);
void shm_free(void *map, size_t bytes);

#endif
