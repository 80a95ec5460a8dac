/*
 * Which line of pool_hba.conf a login falls under, and what the client hears when it does not do.
 *
 * Called by login.c. The texts are PostgreSQL's, with the name of our file: who is refused learns
 * where he came from and whom he wanted to be, and nothing that he did not know.
 */
#include "session/login_state.h"

#include "base/log.h"
#include "os/sock.h"
#include "os/tls.h"

#include <stdio.h>
#include <string.h>

/* "host "192.0.2.1", user "joe", database "db", SSL encryption" */
static void
refuse_by_file(const struct session_login *l, const char *what, struct err *err)
{
    const struct session *s = l->session;
    char host[SOCK_TEXT_BYTES];
    int port;

    sock_peer(io_stream_fd(s->client), host, sizeof(host), &port);
    err_set(err, "28000", "%s host \"%s\", user \"%.64s\", database \"%.64s\", %s", what, host,
            s->log.user, s->log.database,
            io_stream_tls(s->client) != NULL ? "SSL encryption" : "no encryption");
}

enum login_match
login_match(struct session_login *l, struct err *err)
{
    const struct session *s = l->session;
    const struct hba_client client = {
        .user = s->log.user,
        .database = s->log.database,
        .addr = sock_addr(&l->peer),
        .tls = io_stream_tls(s->client) != NULL,
        .roles = l->knows_roles ? &l->roles : NULL,
        .host_name = l->host_name,
        .nets = s->host->login.nets,
    };

    if (l->rules->hba == NULL) {
        refuse_by_file(l, "there is no pool_hba.conf that could let in", err);
        return LOGIN_REFUSED;
    }
    switch (hba_match(l->rules->hba, &client, &l->line)) {
    case HBA_NEEDS_ROLES:
        return LOGIN_TAKES_ROLES;
    case HBA_NEEDS_HOST_NAME:
        return LOGIN_TAKES_HOST_NAME;
    case HBA_NO_MATCH:
        refuse_by_file(l, "no pool_hba.conf entry for", err);
        return LOGIN_REFUSED;
    case HBA_MATCH:
        break;
    }
    if (l->line->method != HBA_REJECT)
        return LOGIN_MATCHES;
    refuse_by_file(l, "pool_hba.conf rejects connection for", err);
    return LOGIN_REFUSED;
}

/* ---- names of the system ---- */

enum ident_result
login_maps(const struct session_login *l, const char *system_user)
{
    const struct ident_question q = {
        .map = l->line->options.map,
        .system_user = system_user,
        .role = l->session->log.user,
        .roles = l->knows_roles ? &l->roles : NULL,
    };

    return ident_map(l->rules->ident, &q);
}

static const char *
name_in_certificate(const struct session_login *l, const struct tls_facts *tls)
{
    return l->line->options.clientname == HBA_CLIENTNAME_DN ? tls->dn : tls->common_name;
}

int
login_check_certificate(const struct session_login *l, struct err *err)
{
    const struct tls_facts *tls = io_stream_tls(l->session->client);

    if (l->line->options.clientcert == HBA_CLIENTCERT_OFF ||
        (tls != NULL && tls->peer_present && tls->peer_verified))
        return 0;
    return err_set(err, "28000", "connection requires a valid client certificate");
}

enum ident_result
login_check_name(const struct session_login *l, const char **reason_r)
{
    const struct tls_facts *tls = io_stream_tls(l->session->client);
    const char *name;

    if (l->line == NULL || l->line->options.clientcert != HBA_CLIENTCERT_FULL)
        return IDENT_ALLOWED;
    name = name_in_certificate(l, tls);
    *reason_r = name == NULL ? "its certificate has no name that can be used"
                             : "the name in its certificate is not the role's";
    return name != NULL ? login_maps(l, name) : IDENT_REFUSED;
}

/* ---- words ---- */

void
login_failure(const struct session_login *l, struct err *err)
{
    const char *user = l->session->log.user;

    switch (l->line != NULL ? l->line->method : HBA_SCRAM) {
    case HBA_PASSWORD:
    case HBA_MD5:
    case HBA_SCRAM:
        err_set(err, "28P01", "password authentication failed for user \"%.64s\"", user);
        break;
    case HBA_CERT:
        err_set(err, "28000", "certificate authentication failed for user \"%.64s\"", user);
        break;
    case HBA_PEER:
        err_set(err, "28000", "Peer authentication failed for user \"%.64s\"", user);
        break;
    case HBA_PAM:
        err_set(err, "28000", "PAM authentication failed for user \"%.64s\"", user);
        break;
    case HBA_LDAP:
        err_set(err, "28000", "LDAP authentication failed for user \"%.64s\"", user);
        break;
    case HBA_TRUST:
    case HBA_REJECT:
        err_set(err, "28000", "\"%s\" authentication failed for user \"%.64s\"",
                hba_method_name(l->line->method), user);
        break;
    }
}

static const char *
method_of(const struct session_login *l)
{
    static const char *const methods[] = {[CHALLENGE_CLEAR] = "password",
                                          [CHALLENGE_MD5] = "md5",
                                          [CHALLENGE_SCRAM] = "scram-sha-256"};

    if (l->way == LOGIN_OPEN)
        return "server-trust";
    if (l->way == LOGIN_BY_SERVER)
        return "server-password";
    if (l->challenge != NULL)
        return methods[l->challenge->method];
    return l->line != NULL ? hba_method_name(l->line->method) : "none";
}

void
login_describe(const struct session_login *l, char *text, size_t size)
{
    const struct tls_facts *tls = io_stream_tls(l->session->client);
    size_t used = (size_t)snprintf(text, size, "method=%s", method_of(l));

    if (l->line != NULL && used < size)
        used +=
            (size_t)snprintf(text + used, size - used, " (%s:%u)", l->line->file, l->line->number);
    if (tls != NULL && used < size)
        snprintf(text + used, size - used, " SSL enabled (protocol=%s, cipher=%s, bits=%d%s)",
                 tls->version, tls->cipher, tls->bits, tls->resumed ? ", resumed" : "");
}
