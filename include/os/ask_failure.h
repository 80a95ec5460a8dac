/*
 * How a question to a server failed, as far as it tells something about the server.
 *
 * libpq hands out text, not errno: the words are those of strerror and of libpq in the locale of
 * this process (daemons stay in "C"), and a SQLSTATE is among them only when the connection has
 * PQERRORS_VERBOSE. Source: PostgreSQL's manual, chapter "libpq", PQsetErrorVerbosity.
 */
#ifndef OS_ASK_FAILURE_H
#define OS_ASK_FAILURE_H

#include "base/err.h"

enum ask_failure {
    ASK_REFUSED,     /* nobody listens: ECONNREFUSED; ENOENT of a unix socket */
    ASK_RESET,       /* ECONNRESET, EPIPE, end of file without a message, and the last word
                      * of a server process whose postmaster has gone */
    ASK_TIMEOUT,     /* the deadline, or ETIMEDOUT */
    ASK_UNREACHABLE, /* EHOSTUNREACH, ENETUNREACH and the like */
    ASK_UNRESOLVED,  /* the name has no address */
    ASK_OWN,         /* our side: memory, descriptors, permissions, certificates, a login method
                      * that we do not know */
    ASK_SERVER,      /* the server speaks and says no; the SQLSTATE is its own */
    ASK_NONSENSE,    /* it does not speak the protocol, or libpq's words are not known here */
};

/* "refused", "reset", ... */
const char *ask_failure_name(enum ask_failure failure);

/* What libpq's message means. When several addresses were tried, the one that says most for a
 * living server counts, and what only our side lacks (no IPv6) least. err gets its words on one
 * line, and the server's SQLSTATE, else sqlstate. "Asks for a password that we do not have" is the
 * server's no, too: 28P01. */
enum ask_failure ask_judge(const char *words, const char *sqlstate, struct err *err);

#endif
