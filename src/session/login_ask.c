/*
 * What a login has to wait for that is neither its client nor a server: the name of its host, and
 * what is asked on a thread (PAM, LDAP, the name of a user of this system).
 *
 * Called by login.c; each question ends in one call of it, from the event loop, unless
 * login_ask_no_more comes first. What runs on a thread has copies of all that it needs, since the
 * login and its rules may go meanwhile. They are wiped and freed with the job.
 */
#include "session/login_state.h"

#include "auth/ldap.h"
#include "auth/pam.h"
#include "base/arena.h"
#include "base/str.h"
#include "os/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

enum { LDAP_LIMIT_MS = 20000, NAME_BYTES = 256 };

/* ---- the name of the client's host ---- */

static bool
is_same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    const struct sockaddr_in *a4 = (const void *)a;
    const struct sockaddr_in *b4 = (const void *)b;
    const struct sockaddr_in6 *a6 = (const void *)a;
    const struct sockaddr_in6 *b6 = (const void *)b;

    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a->sa_family == AF_INET6 &&
           memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

static void
no_host_name(struct session_login *l)
{
    free(l->host_name);
    l->host_name = xstrdup("");
    login_host_name_known(l);
}

/* Whoever owns an address may give it any name; the name's owner has to agree. */
static void
leads_back(void *ctx, const struct dns_answer *answer, const struct err *err UNUSED)
{
    struct session_login *l = ctx;

    l->forward = NULL;
    for (uint32_t n = 0; answer != NULL && n < answer->count; n++) {
        if (is_same_address(sock_addr(&answer->list[n]), sock_addr(&l->peer))) {
            login_host_name_known(l);
            return;
        }
    }
    no_host_name(l);
}

static void
has_name(void *ctx, const char *name)
{
    struct session_login *l = ctx;

    l->reverse = NULL;
    if (name == NULL) {
        no_host_name(l);
        return;
    }
    l->host_name = xstrdup(name);
    l->forward = dns_lookup(l->session->host->login.dns, name, 0, leads_back, l);
}

void
login_ask_host_name(struct session_login *l)
{
    l->reverse = dns_name_of(l->session->host->login.dns, sock_addr(&l->peer), has_name, l);
}

/* ---- on a thread ---- */

struct login_job {
    struct arena arena; /* of the texts below */
    struct ldap_request ldap;
    struct pam_request pam;
    uid_t uid;
    char *password;
    char name[NAME_BYTES];
    struct err err;
    bool failed;
};

static void
discard(void *arg)
{
    struct login_job *j = arg;

    if (j->password != NULL)
        OPENSSL_cleanse(j->password, strlen(j->password));
    if (j->ldap.options.bindpasswd != NULL)
        OPENSSL_cleanse((char *)(uintptr_t)j->ldap.options.bindpasswd,
                        strlen(j->ldap.options.bindpasswd));
    arena_fini(&j->arena);
    free(j);
}

static struct login_job *
job_new(const char *password)
{
    struct login_job *j = xcalloc(1, sizeof(*j));

    arena_init(&j->arena, 0);
    if (password != NULL)
        j->password = arena_strdup(&j->arena, password);
    return j;
}

/* Whoever cannot be asked has not agreed. */
static void
run_job(struct session_login *l, const struct worker_call *call, struct login_job *j)
{
    struct err err;

    l->job = worker_run(l->session->host->login.worker, call, j, l, &err);
    if (l->job != NULL)
        return;
    discard(j);
    login_broken(l, &err);
}

static void
find_user(void *arg)
{
    struct login_job *j = arg;
    char room[16 * 1024];
    struct passwd pw;
    struct passwd *found = NULL;
    int rc = getpwuid_r(j->uid, &pw, room, sizeof(room), &found);

    j->failed = found == NULL || strlen(found->pw_name) >= sizeof(j->name);
    if (!j->failed)
        str_copy(j->name, sizeof(j->name), found->pw_name);
    else if (rc != 0)
        err_set_errno(&j->err, "58000", rc, "could not look up user %u of this system",
                      (unsigned)j->uid);
    else
        err_set(&j->err, "28000", "there is no user %u of this system", (unsigned)j->uid);
}

static void
user_found(void *ctx, void *arg)
{
    struct session_login *l = ctx;
    struct login_job *j = arg;

    l->job = NULL;
    login_system_user_known(l, j->failed ? NULL : j->name, &j->err);
}

void
login_ask_system_user(struct session_login *l)
{
    static const struct worker_call call = {find_user, user_found, discard};
    struct login_job *j = job_new(NULL);
    struct err err;

    if (!sock_peer_user(io_stream_fd(l->session->client), &j->uid)) {
        discard(j);
        err_set(&err, "58000", "could not see who stands behind the unix socket");
        login_broken(l, &err);
        return;
    }
    run_job(l, &call, j);
}

/* ---- PAM and LDAP ---- */

static void
ask_pam(void *arg)
{
    struct login_job *j = arg;

    j->failed = pam_check(&j->pam, &j->err) != 0;
}

static void
ask_ldap(void *arg)
{
    struct login_job *j = arg;

    j->failed = ldap_check(&j->ldap, &j->err) != 0;
}

static void
authority_said(void *ctx, void *arg)
{
    struct session_login *l = ctx;
    struct login_job *j = arg;

    l->job = NULL;
    login_authority_said(l, j->password, j->failed ? &j->err : NULL);
}

static const char *
copy_text(struct login_job *j, const char *text)
{
    return text != NULL ? arena_strdup(&j->arena, text) : NULL;
}

static void
fill_pam(const struct session_login *l, struct login_job *j)
{
    const struct hba_options *o = &l->line->options;
    char host[SOCK_TEXT_BYTES];
    int port;

    j->pam.service = copy_text(j, o->pamservice);
    j->pam.user = arena_strdup(&j->arena, l->session->log.user);
    j->pam.password = j->password;
    if (l->peer.storage.ss_family == AF_UNIX)
        return;
    sock_peer(io_stream_fd(l->session->client), host, sizeof(host), &port);
    j->pam.remote_host = arena_strdup(&j->arena, o->pam_use_hostname && l->host_name != NULL &&
                                                         l->host_name[0] != '\0'
                                                     ? l->host_name
                                                     : host);
}

static const char *
scope_of(enum hba_ldap_scope scope)
{
    static const char *const scopes[] = {
        [HBA_LDAP_BASE] = "base", [HBA_LDAP_ONE] = "one", [HBA_LDAP_SUBTREE] = "sub"};

    return scopes[scope];
}

static void
fill_ldap(const struct session_login *l, struct login_job *j)
{
    const struct hba_ldap *o = &l->line->options.ldap;

    j->ldap = (struct ldap_request){
        .options =
            {
                .server = copy_text(j, o->server),
                .port = o->port,
                .tls = o->tls,
                .scheme = o->ldaps ? "ldaps" : "ldap",
                .prefix = copy_text(j, o->prefix),
                .suffix = copy_text(j, o->suffix),
                .basedn = copy_text(j, o->basedn),
                .binddn = copy_text(j, o->binddn),
                .bindpasswd = copy_text(j, o->bindpasswd),
                .searchattribute = copy_text(j, o->searchattribute),
                .searchfilter = copy_text(j, o->searchfilter),
                .scope = scope_of(o->scope),
            },
        .user = arena_strdup(&j->arena, l->session->log.user),
        .password = j->password,
        .timeout_ms = LDAP_LIMIT_MS,
    };
}

void
login_ask_authority(struct session_login *l, const char *password)
{
    static const struct worker_call pam = {ask_pam, authority_said, discard};
    static const struct worker_call ldap = {ask_ldap, authority_said, discard};
    struct login_job *j = job_new(password);

    if (l->line->method == HBA_PAM)
        fill_pam(l, j);
    else
        fill_ldap(l, j);
    run_job(l, l->line->method == HBA_PAM ? &pam : &ldap, j);
}

void
login_ask_no_more(struct session_login *l)
{
    if (l->reverse != NULL)
        dns_reverse_cancel(l->reverse);
    if (l->forward != NULL)
        dns_cancel(l->forward);
    if (l->job != NULL)
        worker_cancel(l->job);
    role_query_leave(&l->waiter);
    l->reverse = NULL;
    l->forward = NULL;
    l->job = NULL;
}
