/*
 * Certificates and keys: read by the parent at start and at every reload, handed to the children
 * through shared memory, so that all have the same and no child reads a file or asks for a
 * passphrase.
 */
#ifndef PROC_TLS_H
#define PROC_TLS_H

#include "base/buf.h"
#include "base/err.h"
#include "os/ask.h"

#include <stdbool.h>

struct config;
struct shared;
struct tls_context;

/* What the configuration says of TLS to servers, for libpq. Borrowed from it. */
struct ask_tls proc_ask_tls(const struct config *cfg);

/* Reads all files of these options and makes contexts of them, to see whether they are good; the
 * log tells of certificates that have expired. Blocks on the disk, and on ssl_passphrase_command
 * for at most 10 s. files_r is wiped by tls_files_free. -1: err says which file and why. */
int tls_files_read(const struct config *cfg, struct buf *files_r, struct err *err);
void tls_files_free(struct buf *files);

/* What a child has. NULL: no TLS on that side. */
struct tls_sides {
    struct tls_context *accepts;
    struct tls_context *connects;
};

/* Takes what the parent has published in place of what there is. */
void tls_sides_take(const struct config *cfg, struct shared *sh, struct tls_sides *sides);
void tls_sides_free(struct tls_sides *sides);

/* Certificate and key of the process for HTTP, as PEM; empty: no TLS there. */
struct tls_http {
    struct buf cert;
    struct buf key;
};

/* A copy of what the parent has published. */
void tls_http_take(struct shared *sh, struct tls_http *h_r);
bool tls_http_equal(const struct tls_http *a, const struct tls_http *b);
void tls_http_free(struct tls_http *h); /* wipes it; usable again */

#endif
