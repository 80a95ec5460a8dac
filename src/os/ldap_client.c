/*
 * libldap: one connection, with a deadline for all of it.
 *
 * Called by auth/ldap.c on threads. libldap is thread-safe as long as no handle is shared; its
 * global options are read once, from ldap.conf. Before each step the time that is left becomes the
 * handle's timeouts. They do not bound a TLS handshake, nor the rest of an answer that has
 * begun: so each read and write of the socket goes through a layer of our own, below TLS, that
 * waits for the socket no longer than to the deadline.
 */
#include "config.h"

#include "os/ldap_client.h"

#ifdef HAVE_LDAP

#include "base/arena.h"
#include "os/clock.h"

#include <errno.h>
#include <lber.h>
#include <ldap.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

_Static_assert(LDAP_SCOPE_BASE == 0 && LDAP_SCOPE_ONELEVEL == 1 && LDAP_SCOPE_SUBTREE == 2,
               "struct ldap_search says so");

enum { LAYER_LEVEL = LBER_SBIOD_LEVEL_PROVIDER + 1 }; /* on the socket, below TLS */

struct ldap_client {
    LDAP *handle;
    int64_t deadline_ns;
    struct ldap_conncb connected;
};

bool
ldap_client_is_built(void)
{
    return true;
}

/* ---- the layer: see lber-sockbuf(3) ---- */

static int
layer_setup(Sockbuf_IO_Desc *layer, void *client)
{
    layer->sbiod_pvt = client;
    return 0;
}

static int
layer_end(Sockbuf_IO_Desc *layer UNUSED)
{
    return 0;
}

static int
layer_control(Sockbuf_IO_Desc *layer, int option, void *arg)
{
    return LBER_SBIOD_CTRL_NEXT(layer, option, arg);
}

static bool
wait_for_socket(const Sockbuf_IO_Desc *layer, short events)
{
    const struct ldap_client *c = layer->sbiod_pvt;
    struct pollfd p = {.fd = -1, .events = events};
    ber_socket_t fd = -1;
    int rc;

    if (ber_sockbuf_ctrl(layer->sbiod_sb, LBER_SB_OPT_GET_FD, &fd) != 1)
        return true;
    p.fd = fd;
    do {
        int64_t left_ms = (c->deadline_ns - clock_monotonic_ns()) / NS_PER_MS;

        rc = poll(&p, 1, left_ms > 0 ? (int)MIN(left_ms, (int64_t)INT_MAX) : 0);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0)
        errno = ETIMEDOUT;
    return rc > 0;
}

static ber_slen_t
layer_read(Sockbuf_IO_Desc *layer, void *bytes, ber_len_t len)
{
    return wait_for_socket(layer, POLLIN) ? LBER_SBIOD_READ_NEXT(layer, bytes, len) : -1;
}

static ber_slen_t
layer_write(Sockbuf_IO_Desc *layer, void *bytes, ber_len_t len)
{
    return wait_for_socket(layer, POLLOUT) ? LBER_SBIOD_WRITE_NEXT(layer, bytes, len) : -1;
}

static Sockbuf_IO layer_io = {
    .sbi_setup = layer_setup,
    .sbi_remove = layer_end,
    .sbi_ctrl = layer_control,
    .sbi_read = layer_read,
    .sbi_write = layer_write,
    .sbi_close = layer_end,
};

static int
on_connected(LDAP *handle UNUSED, Sockbuf *socket, LDAPURLDesc *server UNUSED,
             struct sockaddr *address UNUSED, struct ldap_conncb *connected)
{
    return ber_sockbuf_add_io(socket, &layer_io, LAYER_LEVEL, connected->lc_arg);
}

static void
on_disconnected(LDAP *handle UNUSED, Sockbuf *socket UNUSED, struct ldap_conncb *connected UNUSED)
{
}

/* ---- steps ---- */

/* The first use of the library reads its files, which only one thread may do. */
static void
read_defaults(void)
{
    int version;

    ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

static int
fail_late(struct err *err)
{
    return err_set(err, "58000", "no answer from the LDAP server in time");
}

/* What is left becomes the timeout of the next step; -1: nothing is left. */
static int
set_timeout(struct ldap_client *c, struct timeval *left_r, struct err *err)
{
    int64_t left_ns = c->deadline_ns - clock_monotonic_ns();

    if (left_ns <= 0)
        return fail_late(err);
    left_r->tv_sec = (time_t)(left_ns / NS_PER_S);
    left_r->tv_usec = (suseconds_t)(left_ns % NS_PER_S / 1000) + 1;
    if (ldap_set_option(c->handle, LDAP_OPT_NETWORK_TIMEOUT, left_r) != LDAP_OPT_SUCCESS ||
        ldap_set_option(c->handle, LDAP_OPT_TIMEOUT, left_r) != LDAP_OPT_SUCCESS)
        return err_set(err, "58000", "could not set the timeout of an LDAP connection");
    return 0;
}

/* With what the server or TLS has to say about it. */
static void
explain(const struct ldap_client *c, const char *sqlstate, int rc, struct err *err)
{
    char *more = NULL;

    ldap_get_option(c->handle, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
    if (more != NULL && more[0] != '\0')
        err_set(err, sqlstate, "%s (%s)", ldap_err2string(rc), more);
    else
        err_set(err, sqlstate, "%s", ldap_err2string(rc));
    ldap_memfree(more);
}

int
ldap_client_open(const char *uri, bool start_tls, int64_t deadline_ns,
                 struct ldap_client **client_r, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ldap_client *c = xcalloc(1, sizeof(*c));
    int version = LDAP_VERSION3;
    struct timeval left;
    int rc;

    pthread_once(&once, read_defaults);
    c->deadline_ns = deadline_ns;
    c->connected = (struct ldap_conncb){on_connected, on_disconnected, c};
    rc = ldap_initialize(&c->handle, uri);
    if (rc != LDAP_SUCCESS) {
        err_set(err, "58000", "could not prepare a connection to \"%s\": %s", uri,
                ldap_err2string(rc));
        free(c);
        return -1;
    }
    if (ldap_set_option(c->handle, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
        ldap_set_option(c->handle, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS ||
        ldap_set_option(c->handle, LDAP_OPT_RESTART, LDAP_OPT_ON) != LDAP_OPT_SUCCESS ||
        ldap_set_option(c->handle, LDAP_OPT_CONNECT_CB, &c->connected) != LDAP_OPT_SUCCESS) {
        err_set(err, "58000", "could not set the options of an LDAP connection");
    } else if (set_timeout(c, &left, err) == 0) {
        rc = start_tls ? ldap_start_tls_s(c->handle, NULL, NULL) : LDAP_SUCCESS;
        if (rc == LDAP_SUCCESS) {
            *client_r = c;
            return 0;
        }
        explain(c, "58000", rc, err);
        err_prefix(err, "could not start TLS with the LDAP server: ");
    }
    ldap_client_close(c);
    return -1;
}

enum ldap_answer
ldap_client_bind(struct ldap_client *c, const char *name, const char *password, struct err *err)
{
    struct berval secret = {strlen(password), (char *)(uintptr_t)password};
    struct timeval left;
    int rc;

    if (set_timeout(c, &left, err) != 0)
        return LDAP_ANSWER_UNKNOWN;
    rc = ldap_sasl_bind_s(c->handle, name, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
    switch (rc) {
    case LDAP_SUCCESS:
        return LDAP_ANSWER_YES;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_NO_SUCH_OBJECT:
    case LDAP_INVALID_DN_SYNTAX:
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_INSUFFICIENT_ACCESS:
        explain(c, "28000", rc, err);
        return LDAP_ANSWER_NO;
    default:
        explain(c, "58000", rc, err);
        return LDAP_ANSWER_UNKNOWN;
    }
}

static enum ldap_answer
take_name(struct ldap_client *c, LDAPMessage *found, struct buf *name_r, struct err *err)
{
    int count = ldap_count_entries(c->handle, found);
    char *name;

    if (count != 1) {
        err_set(err, "28000",
                count < 1 ? "no entry matches the filter" : "several entries match the filter");
        return LDAP_ANSWER_NO;
    }
    name = ldap_get_dn(c->handle, ldap_first_entry(c->handle, found));
    if (name == NULL || name[0] == '\0') {
        err_set(err, "58000", "the LDAP server did not name the entry");
        ldap_memfree(name);
        return LDAP_ANSWER_UNKNOWN;
    }
    buf_add_str(name_r, name);
    ldap_memfree(name);
    return LDAP_ANSWER_YES;
}

enum ldap_answer
ldap_client_find(struct ldap_client *c, const struct ldap_search *search, struct buf *name_r,
                 struct err *err)
{
    char nothing[] = LDAP_NO_ATTRS;
    char *attributes[] = {nothing, NULL};
    enum ldap_answer answer = LDAP_ANSWER_UNKNOWN;
    LDAPMessage *found = NULL;
    struct timeval left;
    int rc;

    if (set_timeout(c, &left, err) != 0)
        return LDAP_ANSWER_UNKNOWN;
    /* Two are enough to know that it is not the only one. */
    rc = ldap_search_ext_s(c->handle, search->base, search->scope, search->filter, attributes, 0,
                           NULL, NULL, &left, 2, &found);
    if (rc == LDAP_SUCCESS || rc == LDAP_SIZELIMIT_EXCEEDED) {
        answer = take_name(c, found, name_r, err);
    } else {
        explain(c, "58000", rc, err);
    }
    ldap_msgfree(found);
    return answer;
}

/* Says goodbye, if there is anybody who would take it at once. */
void
ldap_client_close(struct ldap_client *c)
{
    if (c == NULL)
        return;
    ldap_unbind_ext(c->handle, NULL, NULL);
    free(c);
}

#else

bool
ldap_client_is_built(void)
{
    return false;
}

int
ldap_client_open(const char *uri UNUSED, bool start_tls UNUSED, int64_t deadline_ns UNUSED,
                 struct ldap_client **client_r UNUSED, struct err *err)
{
    return err_set(err, "0A000", "this pgpool was built without LDAP");
}

enum ldap_answer
ldap_client_bind(struct ldap_client *c UNUSED, const char *name UNUSED, const char *password UNUSED,
                 struct err *err UNUSED)
{
    return LDAP_ANSWER_UNKNOWN;
}

enum ldap_answer
ldap_client_find(struct ldap_client *c UNUSED, const struct ldap_search *search UNUSED,
                 struct buf *name_r UNUSED, struct err *err UNUSED)
{
    return LDAP_ANSWER_UNKNOWN;
}

void
ldap_client_close(struct ldap_client *c UNUSED)
{
}

#endif
