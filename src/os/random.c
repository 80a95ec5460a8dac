/*
 * Random bytes: getrandom, whose pool is ready long before any daemon starts.
 */
#include "os/random.h"

#include <errno.h>
#include <sys/random.h>

int
random_bytes(void *dst, size_t len, struct err *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = getrandom((uint8_t *)dst + done, len - done, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, NULL, errno, "could not get random bytes");
        done += (size_t)n;
    }
    return 0;
}
