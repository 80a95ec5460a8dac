/*
 * Adding findings to a report; for the files of this room.
 */
#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H

#include "config/config.h"

enum { REPORT_FINDINGS_MAX = 200 }; /* those after it are counted, not kept */

/* A place in a file; copied. {NULL, 0} for none. */
struct place {
    const char *file;
    uint32_t line;
};

/* The hint may be NULL. */
void report_add(struct config_report *report, enum config_severity severity, struct place place,
                const char *hint, const char *fmt, ...) PRINTF_LIKE(5, 6);

static inline bool
report_full(const struct config_report *report)
{
    return report->count >= REPORT_FINDINGS_MAX;
}

#endif
