/*
 * Memory shared by a process and all that it forks later.
 */
#ifndef OS_SHM_H
#define OS_SHM_H

#include "base/err.h"
#include "base/util.h"

/* Zeroed; the kernel gives pages only as they are touched. */
int shm_new(size_t bytes, void **map_r, struct err *err);

/* As shm_new, for one that another program is to map as well: *fd_r (close-on-exec, the caller's)
 * is what to hand to it. */
int shm_new_passable(size_t bytes, void **map_r, int *fd_r, struct err *err);

/* Maps what shm_new_passable made elsewhere; the descriptor stays the caller's. Fails when it is
 * smaller than that. */
int shm_map(int fd, size_t bytes, void **map_r, struct err *err);

void shm_free(void *map, size_t bytes);

#endif
