/*
 * An error as a value: what failed, for whom, and what to do about it.
 *
 * A function that can fail returns 0 or -1 and fills a `struct err` that its caller owns. The
 * text follows PostgreSQL's message style guide (chapter "Error Message Style Guide"): lower
 * case, no full stop, the subject in quotes.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/util.h"

struct err {
    char sqlstate[6]; /* five characters and NUL; "XX000" when nobody said better */
    char message[512];
    char detail[256]; /* empty when there is none */
    char hint[512];   /* empty when there is none */
};

/* Sets the message; sqlstate may be NULL for "XX000". Clears detail and hint. Always returns -1,
 * so that `return err_set(...)` reads well. */
int err_set(struct err *err, const char *sqlstate, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": <strerror(errnum)>" at the end. */
int err_set_errno(struct err *err, const char *sqlstate, int errnum, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

void err_detail(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts words in front of the message: "pgpool.conf:12: " for example. */
void err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
