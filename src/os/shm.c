/*
 * Shared memory as one mapping, anonymous or of a file in memory that has no name: nothing that
 * could collide or be left behind.
 */
#include "os/shm.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

int
shm_map(int fd, size_t bytes, void **map_r, struct err *err)
{
    struct stat st;
    void *map;

    if (fstat(fd, &st) != 0 || st.st_size < (off_t)bytes)
        return err_set(err, "53200", "shared memory that was handed over is too small");
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return err_set_errno(err, "53200", errno, "could not map %zu bytes of shared memory",
                             bytes);
    *map_r = map;
    return 0;
}

int
shm_new_passable(size_t bytes, void **map_r, int *fd_r, struct err *err)
{
    int fd = memfd_create("pgpool", MFD_CLOEXEC);

    if (fd < 0)
        return err_set_errno(err, "53200", errno, "could not make shared memory");
    if (ftruncate(fd, (off_t)bytes) != 0) {
        err_set_errno(err, "53200", errno, "could not make %zu bytes of shared memory", bytes);
        close(fd);
        return -1;
    }
    if (shm_map(fd, bytes, map_r, err) != 0) {
        close(fd);
        return -1;
    }
    *fd_r = fd;
    return 0;
}

void
shm_free(void *map, size_t bytes)
{
    munmap(map, bytes);
}
