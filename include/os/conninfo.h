/*
 * Connection strings of libpq. Source: PostgreSQL's manual, chapter "libpq", section "Connection
 * Strings".
 */
#ifndef OS_CONNINFO_H
#define OS_CONNINFO_H

#include "base/buf.h"
#include "base/util.h"

#include <stdbool.h>

/* Adds to out: what the string says, but for another server: host (a name, an address, or the
 * directory of a unix socket) and port; all else stays. An unreadable or empty string counts as one
 * that says nothing. */
void conninfo_with_server(const char *conninfo, const char *host, uint16_t port, struct buf *out);

/* Does the string name this host and port, each as it is written? */
bool conninfo_is_server(const char *conninfo, const char *host, uint16_t port);

#endif
