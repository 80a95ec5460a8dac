/*
 * What passes from a client without being looked into (src/session/pass.c), for client.c.
 */
#ifndef SESSION_PASS_H
#define SESSION_PASS_H

#include "session/internal.h"

/* Bytes from a client; rx: they stand in it, NULL: they were held. */
struct piece {
    struct io_rx *rx;
    const uint8_t *bytes;
};
/* A message of COPY, as far as it is there. False: it must wait. */
bool pass_copy(struct session *s, const struct piece *p, const struct unit *u);
/* More of the message of which s->pass_left is to come: how many of the bytes. */
size_t pass_on(struct session *s, const struct piece *p, size_t len);

#endif
