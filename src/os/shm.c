/*
 * Shared memory as one anonymous mapping: no name that could collide or be left behind.
 */
#include "os/shm.h"

#include <errno.h>
#include <sys/mman.h>

int
shm_new(size_t bytes, void **map_r, struct err *err)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED)
        return err_set_errno(err, "53200", errno, "could not make %zu bytes of shared memory",
                             bytes);
    *map_r = map;
    return 0;
}

void
shm_free(void *map, size_t bytes)
{
    munmap(map, bytes);
}
