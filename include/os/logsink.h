/*
 * Where log lines go: stderr, syslog, or both.
 *
 * A line never holds up an event loop for long. When whoever reads the other end of stderr is
 * slow, the first line waits at most 100 ms; from then on lines are dropped and counted until one
 * passes again, and a line says how many are missing.
 */
#ifndef OS_LOGSINK_H
#define OS_LOGSINK_H

#include "base/util.h"

#include <stdbool.h>

struct logsink_options {
    bool to_stderr;
    bool to_syslog;
    unsigned facility; /* 0 to 7: LOCAL0 to LOCAL7 */
    const char *ident; /* copied; at most 63 bytes count */
};

/* Installs the sink of this process; again after fork and at every reload. Where nothing listens
 * for syslog, its lines go to stderr. */
void logsink_use(const struct logsink_options *options);

#endif
