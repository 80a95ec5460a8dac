/*
 * Who may administrate, and as what.
 *
 * Called by startup.c with a client's startup packet. pgpool's own user and root are trusted over
 * the unix socket: the kernel says who they are. Everybody else proves a password of pcp.conf.
 * While there is no such file, whoever is on this machine may look, and nobody else comes in.
 *
 * Invariants: c->role is set when a client has passed, never before; what a client is told does not
 * tell whether there is a user of that name.
 */
#include "admin/internal.h"

#include "auth/challenge.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "os/ctlsock.h"
#include "os/sock.h"
#include "os/tls.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* Without pcp.conf. */
static int
enter_without_file(struct admin_client *c, const struct sock_address *peer, bool is_local,
                   struct err *err)
{
    char text[SOCK_TEXT_BYTES];

    if (is_local) {
        c->role = PCP_MONITOR;
        return 0;
    }
    sock_address_text(peer, text, sizeof(text));
    err_set(err, "28000", "administration from \"%s\" is not allowed", text);
    err_hint(err, "Connect on pgpool's own machine, over its unix socket or a loopback address, or "
                  "write a pcp.conf.");
    return -1;
}

static int
check_database(const struct wire_startup *p, struct err *err)
{
    struct wire_view name = p->database.len > 0 ? p->database : p->user;

    if (name.len == strlen(ADMIN_DATABASE) && memcmp(name.data, ADMIN_DATABASE, name.len) == 0)
        return 0;
    err_set(err, "3D000", "database \"%.*s\" does not exist", (int)MIN(name.len, 63u), name.data);
    err_hint(err, "The administration port has one database, \"%s\".", ADMIN_DATABASE);
    return -1;
}

static void
log_why(const char *user, enum pcp_found found)
{
    if (found == PCP_USER_UNKNOWN)
        log_debug("administration: pcp.conf has no user \"%.64s\"", user);
    else if (found == PCP_USER_NEEDS_CLEAR)
        log_warning("administration user \"%.64s\" cannot log in over a network: pcp.conf holds an "
                    "md5 of the password alone, which could only be checked by sending the "
                    "password in the clear (hint: put a SCRAM-SHA-256 verifier there)",
                    user);
}

/* Everybody else than us and root. */
static int
ask_password(struct admin_client *c, const struct wire_startup *p, bool is_local, struct err *err)
{
    const char *user = p->user.data; /* ends with NUL in the packet */
    struct buf b = BUF_EMPTY;
    struct pcp_user found;
    const struct tls_facts *tls = io_stream_tls(c->stream);
    struct challenge_channel channel = {.is_tls = tls != NULL};
    enum pcp_found how = pcp_users_find(c->admin->users, user, is_local || tls != NULL, &found);
    int rc;

    log_why(user, how);
    if (tls != NULL) {
        channel.binding = tls->binding;
        channel.binding_len = tls->binding_len;
    }
    c->login = xcalloc(1, sizeof(*c->login));
    challenge_init(c->login, challenge_method_for(&found.secret), user, &found.secret, &channel);
    secret_fini(&found.secret);
    c->login->doomed = how != PCP_USER_KNOWN;
    c->promised = found.role;
    rc = challenge_begin(c->login, &b, err);
    if (rc == 0)
        admin_send(c, &b);
    buf_free(&b);
    return rc;
}

int
enter_begin(struct admin_client *c, const struct wire_startup *p, struct err *err)
{
    int fd = io_stream_fd(c->stream);
    struct sock_address peer;
    bool is_local;

    if (!sock_peer_address(fd, &peer))
        return err_set(err, "08006", "could not see where the administration client comes from");
    is_local = peer.storage.ss_family == AF_UNIX || sock_is_loopback(&peer);
    if (c->admin->users != NULL && check_database(p, err) != 0)
        return -1;
    if (peer.storage.ss_family == AF_UNIX && ctlsock_is_trusted(fd)) {
        c->role = PCP_ADMIN;
        return 0;
    }
    if (c->admin->users == NULL)
        return enter_without_file(c, &peer, is_local, err);
    return ask_password(c, p, is_local, err);
}

/* How many bytes the message has that stands at the beginning; 0: not all are there. */
static int
answer_length(const struct buf *in, uint32_t *len_r, struct err *err)
{
    uint32_t len;

    *len_r = 0;
    if (in->len > 0 && in->data[0] != 'p')
        return err_set(err, "08P01", "expected password response, got message type %d",
                       in->data[0]);
    if (in->len < WIRE_HEADER_BYTES)
        return 0;
    len = num_get_u32(in->data + 1);
    if (len < 4 || len >= CHALLENGE_ANSWER_MAX)
        return err_set(err, "08P01", "invalid password packet size");
    *len_r = in->len >= len + 1 ? len + 1 : 0;
    return 0;
}

int
enter_step(struct admin_client *c, bool *more_r, struct err *err)
{
    struct buf b = BUF_EMPTY;
    uint32_t len;
    int rc;

    *more_r = true;
    if (answer_length(&c->in, &len, err) != 0)
        return -1;
    if (len == 0)
        return 0;
    rc = challenge_step(c->login, c->in.data, len, &b, err);
    OPENSSL_cleanse(c->in.data, len);
    buf_drop(&c->in, len);
    if (rc == 0) {
        admin_send(c, &b);
        *more_r = c->login->state != CHALLENGE_PASSED;
    }
    buf_free(&b);
    if (rc == 0 && *more_r)
        return c->in.len > 0 ? enter_step(c, more_r, err) : 0;
    if (rc == 0)
        c->role = c->promised;
    enter_forget(c);
    return rc;
}

void
enter_forget(struct admin_client *c)
{
    if (c->login == NULL)
        return;
    challenge_fini(c->login);
    free(c->login);
    c->login = NULL;
}
