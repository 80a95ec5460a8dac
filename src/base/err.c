/*
 * Errors as values. Called by every room; formats into the caller's struct, allocates nothing.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
start(struct err *err, const char *sqlstate, const char *fmt, va_list args)
{
    memcpy(err->sqlstate, "XX000", sizeof(err->sqlstate));
    if (sqlstate != NULL && strlen(sqlstate) == 5)
        memcpy(err->sqlstate, sqlstate, sizeof(err->sqlstate));
    err->detail[0] = '\0';
    err->hint[0] = '\0';
    vsnprintf(err->message, sizeof(err->message), fmt, args);
}

int
err_set(struct err *err, const char *sqlstate, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    start(err, sqlstate, fmt, args);
    va_end(args);
    return -1;
}

int
err_set_errno(struct err *err, const char *sqlstate, int errnum, const char *fmt, ...)
{
    va_list args;
    size_t len;

    va_start(args, fmt);
    start(err, sqlstate, fmt, args);
    va_end(args);
    len = strlen(err->message);
    snprintf(err->message + len, sizeof(err->message) - len, ": %s", strerror(errnum));
    return -1;
}

void
err_detail(struct err *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(err->detail, sizeof(err->detail), fmt, args);
    va_end(args);
}

void
err_hint(struct err *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(err->hint, sizeof(err->hint), fmt, args);
    va_end(args);
}

void
err_prefix(struct err *err, const char *fmt, ...)
{
    char old[sizeof(err->message)];
    va_list args;
    size_t len;

    memcpy(old, err->message, sizeof(old));
    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    len = strlen(err->message);
    snprintf(err->message + len, sizeof(err->message) - len, "%s", old);
}
