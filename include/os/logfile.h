/*
 * A log file that is appended to and now and then replaced by a new one.
 *
 * Names come from a pattern of strftime(3). Whoever writes here may block on the disk: only the
 * logger does. A new file that cannot be opened leaves the old one in use.
 */
#ifndef OS_LOGFILE_H
#define OS_LOGFILE_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>
#include <sys/types.h>

enum { LOGFILE_PATH_BYTES = 1024 };

struct logfile {
    int fd; /* -1: none is open; what is written goes to stderr */
    char path[LOGFILE_PATH_BYTES];
    int64_t opened_us; /* wall clock */
    int64_t bytes;
    bool in_line; /* the last byte written does not end a line */
};

#define LOGFILE_NONE ((struct logfile){.fd = -1})

struct logfile_name {
    const char *directory; /* made when it is missing */
    const char *pattern;
    mode_t mode;
    bool truncate; /* a file that is there under another name than the present one begins empty,
                    * unless somebody has written into it since the present one was opened */
};

/* Opens the file of this moment and closes the one before, also when it is the same one (somebody
 * may have moved it away). */
int logfile_open(struct logfile *f, const struct logfile_name *name, struct err *err);
void logfile_close(struct logfile *f);
void logfile_write(struct logfile *f, const void *bytes, size_t len);

/* Milliseconds until the next full multiple of age_ms, local time: with one day, until midnight. */
int64_t logfile_until_next_ms(int64_t age_ms);

#endif
