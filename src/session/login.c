/*
 * A client's login, from its startup packet to the moment at which it may have a connection: rule,
 * secret, proof, credentials, key of the pool.
 *
 * Called by startup.c, by session.c (more has come, the end) and by whatever it waits for. Without
 * rules, a role whose secret is known proves it; for any other the servers decide.
 *
 * Invariants: nobody gets a key of the pool, and so a connection, before it has passed, but one of
 * a kind that is made without any proof of ours (POOL_OPEN), or whose connection is its own login
 * (LOGIN_BY_SERVER); unknown roles go through the same steps as known ones; a client is asked one
 * thing at a time, and whatever it says before is refused; what it said is wiped.
 */
#include "session/login_state.h"

#include "auth/credentials.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "os/clock.h"
#include "os/sock.h"
#include "os/tls.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* of what a client answers, as PostgreSQL bounds them, without the type byte */
    PASSWORD_MAX = 65535,
    SASL_MAX = 1024,
    PATIENCE_MS = 500, /* who has been silent for less is not ended for others */
    CROWDED_LOG_S = 60,
};

/* ---- rules ---- */

struct login_rules *
login_rules_new(const struct login_rules *content)
{
    struct login_rules *r = xcalloc(1, sizeof(*r));

    *r = *content;
    r->refs = 1;
    return r;
}

struct login_rules *
login_rules_ref(struct login_rules *r)
{
    r->refs++;
    return r;
}

void
login_rules_unref(struct login_rules *r)
{
    if (r == NULL || --r->refs > 0)
        return;
    hba_unref(r->hba);
    ident_unref(r->ident);
    passwd_free(r->passwords);
    free(r);
}

/* ---- life ---- */

struct session_login *
login_new(struct session *s)
{
    struct login_host *h = &s->host->login;
    struct session_login *l = xcalloc(1, sizeof(*l));

    l->session = s;
    l->silent_ns = io_now_ns(s->host->io);
    list_append(&h->begun, &l->link);
    h->begun_count++;
    return l;
}

static void
drop_challenge(struct session_login *l)
{
    if (l->challenge != NULL)
        challenge_fini(l->challenge);
    free(l->challenge);
    l->challenge = NULL;
}

void
login_free(struct session_login *l)
{
    if (l == NULL)
        return;
    login_ask_no_more(l);
    if (l->server != NULL)
        server_close(l->server, "its session has gone");
    drop_challenge(l);
    credentials_unref(l->proof);
    credentials_unref(l->proved);
    free(l->system_user);
    for (uint32_t n = 0; n < l->roles.count; n++)
        free((char *)(uintptr_t)l->roles.names[n]);
    free((void *)(uintptr_t)l->roles.names);
    free(l->host_name);
    buf_free(&l->parameters);
    login_rules_unref(l->rules);
    list_remove(&l->link);
    l->session->host->login.begun_count--;
    free(l);
}

static struct session_login *
oldest_silent(const struct login_host *h)
{
    list_for_each (it, &h->begun) {
        struct session_login *l = list_entry(it, struct session_login, link);
        int64_t now_ns = io_now_ns(l->session->host->io);

        if (l->silent_ns != 0 && now_ns - l->silent_ns > PATIENCE_MS * NS_PER_MS)
            return l;
    }
    return NULL;
}

void
login_hosts_sweep(struct login_host *h)
{
    while (h->begun_max > 0 && h->begun_count > h->begun_max) {
        struct session_login *l = oldest_silent(h);
        int64_t now_ns;

        if (l == NULL)
            return;
        now_ns = io_now_ns(l->session->host->io);
        if (h->crowded_ns == 0 || now_ns - h->crowded_ns > CROWDED_LOG_S * NS_PER_S)
            log_warning("more than max_unauthenticated_clients (%u) are about to log in: those "
                        "that stay silent are disconnected",
                        h->begun_max);
        h->crowded_ns = now_ns;
        session_end(l->session, "others want to log in, and it says nothing");
    }
}

/* ---- refusals ---- */

static void
wipe_input(struct session *s, size_t len)
{
    if (s->in.len > 0)
        OPENSSL_cleanse(s->in.data, len);
    buf_drop(&s->in, len);
}

static void
tell_refusal(void *ctx)
{
    struct session *s = ctx;

    io_send_copy(s->client, s->in.data, s->in.len);
    session_end(s, "its login was refused");
}

/* Nothing of the login is held meanwhile but the stream. */
static void
refuse_later(struct session_login *l, const void *bytes, size_t len)
{
    struct session *s = l->session;

    if (l->by_secret)
        role_query_forget(s->host->login.roles, s->log.user);
    pool_wait_no_more(s->host->pool, &s->waiter);
    s->login = NULL;
    login_free(l);
    if (s->admitted)
        s->host->dismiss(s->host->ctx);
    s->admitted = false;
    if (s->key != NULL)
        pool_key_put(s->key);
    s->key = NULL;
    wipe_input(s, s->in.len);
    buf_add(&s->in, bytes, len);
    io_pause(s->client);
    session_enter(s, CLIENT_REFUSED);
    io_timer_start(s->host->io, &s->timer, s->host->login.failure_delay_ms, tell_refusal, s);
}

/* What the client is not told: why, from where, by which line. */
static void
log_refusal(const struct session_login *l, const struct err *err, const char *reason)
{
    const struct log_context *before = log_set_context(&l->session->log);
    struct err words = *err;
    char host[SOCK_TEXT_BYTES];
    int port;

    sock_peer(io_stream_fd(l->session->client), host, sizeof(host), &port);
    if (l->line != NULL)
        err_detail(&words, "%s; connection from %s, %s line %u", reason, host, l->line->file,
                   l->line->number);
    else
        err_detail(&words, "%s; connection from %s", reason, host);
    log_error_parts(LOG_LEVEL_FATAL, &words);
    log_set_context(before);
}

void
login_refuse(struct session_login *l, const struct err *err, const char *reason)
{
    struct buf b = BUF_EMPTY;

    log_refusal(l, err, l->doom[0] != '\0' ? l->doom : reason);
    build_error(&b, "FATAL", err);
    refuse_later(l, b.data, b.len);
    buf_free(&b);
}

void
login_refuse_with(struct session_login *l, const struct err *err, const uint8_t *fatal,
                  size_t fatal_len)
{
    log_refusal(l, err, "a server has refused it");
    refuse_later(l, fatal, fatal_len);
}

void
login_broken(struct session_login *l, const struct err *err)
{
    session_fatal(l->session, err);
}

/* ---- asking the client ---- */

static void
ask_client(struct session_login *l, enum login_asked what, const struct buf *question)
{
    struct session *s = l->session;
    struct err err;

    if (s->in.len > 0) {
        err_set(&err, "08P01", "received a message before the client was asked for anything");
        login_refuse(l, &err, "it did not wait for our question");
        return;
    }
    session_send(s, question);
    l->asked = (uint8_t)what;
    l->silent_ns = io_now_ns(s->host->io);
    if (io_is_paused(s->client))
        io_resume(s->client);
}

static void
ask_text(struct session_login *l)
{
    struct buf b = BUF_EMPTY;

    build_auth_cleartext(&b);
    ask_client(l, LOGIN_ASKED_TEXT, &b);
    buf_free(&b);
}

static enum challenge_method
method_for(const struct session_login *l, const struct secret *secret)
{
    if (l->line == NULL)
        return challenge_method_for(secret);
    return l->line->method == HBA_PASSWORD ? CHALLENGE_CLEAR
           : l->line->method == HBA_MD5    ? CHALLENGE_MD5
                                           : CHALLENGE_SCRAM;
}

static void
ask_proof(struct session_login *l, const struct secret *secret)
{
    struct session *s = l->session;
    const struct tls_facts *tls = io_stream_tls(s->client);
    struct challenge_channel channel = {
        .is_tls = tls != NULL,
        .binding = tls != NULL ? tls->binding : NULL,
        .binding_len = tls != NULL ? tls->binding_len : 0,
        .mock_key = s->host->login.mock_key,
    };
    struct buf b = BUF_EMPTY;
    struct err err;

    l->challenge = xcalloc(1, sizeof(*l->challenge));
    challenge_init(l->challenge, method_for(l, secret), s->log.user, secret, &channel);
    if (challenge_begin(l->challenge, &b, &err) != 0)
        login_broken(l, &err);
    else
        ask_client(l, LOGIN_ASKED_PROOF, &b);
    buf_free(&b);
}

/* Whatever it answers will be wrong. */
static void
doom(struct session_login *l, const char *why)
{
    struct secret secret;

    str_copy(l->doom, sizeof(l->doom), why);
    secret_mock(l->session->log.user, l->session->host->login.mock_key, &secret);
    ask_proof(l, &secret);
    secret_fini(&secret);
}

/* ---- into the pool ---- */

static void
take_key(struct session_login *l, enum pool_means means)
{
    struct session *s = l->session;
    const struct pool_login login = {s->log.user, s->log.database, (const char *)l->parameters.data,
                                     l->parameters.len, means};

    if (s->key != NULL)
        pool_key_put(s->key);
    s->key = pool_key_get(s->host->pool, &login);
    memset(l->tried, 0, sizeof(l->tried));
}

static void ask_roles(struct session_login *l, void (*resume)(struct session_login *l));

static void
let_in(struct session_login *l)
{
    const char *reason = "";
    struct err err;

    switch (login_check_name(l, &reason)) {
    case IDENT_NEEDS_ROLES:
        ask_roles(l, let_in);
        return;
    case IDENT_REFUSED:
        login_failure(l, &err);
        login_refuse(l, &err, reason);
        return;
    case IDENT_ALLOWED:
        break;
    }
    l->way = LOGIN_BY_US;
    take_key(l, POOL_PROVED);
    if (l->proved != NULL)
        pool_key_set_credentials(l->session->key, l->proved);
    startup_enter(l->session);
}

/* c is taken over. */
static void
passed(struct session_login *l, struct credentials *c)
{
    l->proved = c;
    let_in(l);
}

/* Nothing is known here of what the role has to prove. */
static void
let_servers_decide(struct session_login *l)
{
    l->way = LOGIN_OPEN;
    take_key(l, POOL_OPEN);
    if (pool_key_is_shut(l->session->key))
        login_needs_text(l);
    else
        startup_enter(l->session);
}

void
login_needs_text(struct session_login *l)
{
    const struct session *s = l->session;
    struct err err;

    if (s->host->login.allow_clear_text || l->peer.storage.ss_family == AF_UNIX ||
        io_stream_tls(s->client) != NULL) {
        l->way = LOGIN_BY_SERVER;
        ask_text(l);
        return;
    }
    err_set(&err, "28000", "pgpool has no way to check the password of user \"%.64s\"",
            s->log.user);
    err_hint(&err, "Set auth_user, so that pgpool asks the servers for it, or put it into "
                   "pool_passwd. Without either, passwords are asked for over TLS or a unix socket "
                   "alone, unless allow_clear_text_frontend_auth is on.");
    login_refuse(l, &err, "the servers ask for a password, and none is known here");
}

/* ---- what the role has to prove ---- */

static void
no_secret_known(struct session_login *l)
{
    if (l->line == NULL) {
        let_servers_decide(l);
    } else if (l->line->method == HBA_PASSWORD) {
        l->way = LOGIN_BY_SERVER;
        ask_text(l);
    } else {
        doom(l, "there is no entry in pool_passwd, and auth_user is not set");
    }
}

static void
secret_told(void *ctx, const struct role_answer *answer)
{
    struct session_login *l = ctx;
    struct err err;

    if (answer->failure != NULL) {
        err_set(&err, "58000", "could not ask the servers for the password of user \"%.64s\"",
                l->session->log.user);
        err_hint(&err, "The log of pgpool tells why.");
        login_broken(l, &err);
        return;
    }
    l->by_secret = true;
    if (answer->secret != NULL)
        ask_proof(l, answer->secret);
    else
        doom(l, answer->why != NULL ? answer->why : "nothing is known of it");
}

static void
find_secret(struct session_login *l)
{
    struct session *s = l->session;
    struct secret secret;
    struct err err;
    int rc = passwd_secret(l->rules->passwords, s->log.user, &secret, &err);

    if (rc < 0) {
        doom(l, err.message);
        return;
    }
    if (rc > 0) {
        ask_proof(l, &secret);
        secret_fini(&secret);
        return;
    }
    if (!role_query_is_on(s->host->login.roles)) {
        no_secret_known(l);
        return;
    }
    l->waiter = (struct role_waiter){.done = secret_told, .ctx = l};
    role_query_ask(s->host->login.roles, ROLE_ASK_SECRET, s->log.user, &l->waiter);
}

/* ---- rules ---- */

static void go_by_rules(struct session_login *l);

static void
roles_told(void *ctx, const struct role_answer *answer)
{
    struct session_login *l = ctx;
    const char **names;
    struct err err;

    if (answer->failure != NULL) {
        err_set(&err, "58000", "could not ask the servers for the roles of user \"%.64s\"",
                l->session->log.user);
        err_hint(&err, "The log of pgpool tells why.");
        login_broken(l, &err);
        return;
    }
    names = xcalloc((size_t)answer->role_count + 1, sizeof(*names));
    for (uint32_t n = 0; n < answer->role_count; n++)
        names[n] = xstrdup(answer->roles[n]);
    l->roles = (struct hba_roles){names, answer->role_count};
    l->knows_roles = true;
    l->resume(l);
}

static void
ask_roles(struct session_login *l, void (*resume)(struct session_login *l))
{
    struct session *s = l->session;
    struct err err;

    if (!role_query_is_on(s->host->login.roles)) {
        log_warning("a rule asks for members of a role, which takes auth_user");
        err_set(&err, "58000", "could not ask the servers for the roles of user \"%.64s\"",
                s->log.user);
        err_hint(&err, "The log of pgpool tells why.");
        login_broken(l, &err);
        return;
    }
    l->resume = resume;
    l->waiter = (struct role_waiter){.done = roles_told, .ctx = l};
    role_query_ask(s->host->login.roles, ROLE_ASK_MEMBERSHIP, s->log.user, &l->waiter);
}

static void
by_method(struct session_login *l)
{
    struct err err;

    if (login_check_certificate(l, &err) != 0) {
        login_refuse(l, &err, "it has shown no certificate that a trusted authority stands for");
        return;
    }
    switch (l->line->method) {
    case HBA_TRUST:
    case HBA_CERT:
        passed(l, NULL);
        return;
    case HBA_PASSWORD:
    case HBA_MD5:
    case HBA_SCRAM:
        find_secret(l);
        return;
    case HBA_PEER:
        login_ask_system_user(l);
        return;
    case HBA_PAM:
        if (l->line->options.pam_use_hostname && l->host_name == NULL)
            login_ask_host_name(l);
        else
            ask_text(l);
        return;
    case HBA_LDAP:
        ask_text(l);
        return;
    case HBA_REJECT:
        break;
    }
    login_failure(l, &err);
    login_refuse(l, &err, "its line lets nobody in");
}

static void
go_by_rules(struct session_login *l)
{
    struct err err;

    switch (login_match(l, &err)) {
    case LOGIN_MATCHES:
        by_method(l);
        return;
    case LOGIN_REFUSED:
        login_refuse(l, &err, l->line != NULL ? "its line rejects it" : "no line matches");
        return;
    case LOGIN_TAKES_ROLES:
        ask_roles(l, go_by_rules);
        return;
    case LOGIN_TAKES_HOST_NAME:
        login_ask_host_name(l);
        return;
    }
}

void
login_host_name_known(struct session_login *l)
{
    go_by_rules(l);
}

static void
check_system_user(struct session_login *l)
{
    char reason[160];
    struct err err;

    switch (login_maps(l, l->system_user)) {
    case IDENT_NEEDS_ROLES:
        ask_roles(l, check_system_user);
        return;
    case IDENT_ALLOWED:
        passed(l, NULL);
        return;
    case IDENT_REFUSED:
        break;
    }
    snprintf(reason, sizeof(reason), "the user of this system is \"%.64s\"", l->system_user);
    login_failure(l, &err);
    login_refuse(l, &err, reason);
}

void
login_system_user_known(struct session_login *l, const char *name, const struct err *why)
{
    struct err err;

    if (name != NULL) {
        l->system_user = xstrdup(name);
        check_system_user(l);
        return;
    }
    login_failure(l, &err);
    login_refuse(l, &err, why->message);
}

void
login_authority_said(struct session_login *l, const char *password, const struct err *why)
{
    struct err err;

    if (why == NULL) {
        passed(l, credentials_password(password));
        return;
    }
    login_failure(l, &err);
    login_refuse(l, &err, why->message);
}

void
login_begin(struct session_login *l)
{
    struct session *s = l->session;

    l->silent_ns = 0;
    l->rules = login_rules_ref(s->host->login.rules);
    if (!sock_peer_address(io_stream_fd(s->client), &l->peer)) {
        session_end(s, "the client is gone");
        return;
    }
    if (l->rules->by_lines)
        go_by_rules(l);
    else
        find_secret(l);
}

/* ---- what the client answers ---- */

/* How many bytes the message has that stands at the beginning; 0: not all are there. -1: it is none
 * that was asked for. */
static int
answer_length(const struct session_login *l, uint32_t *len_r, struct err *err)
{
    const struct buf *in = &l->session->in;
    bool sasl = l->asked == LOGIN_ASKED_PROOF && l->challenge->method == CHALLENGE_SCRAM;
    uint32_t len;

    *len_r = 0;
    if (in->len > 0 && in->data[0] != 'p')
        return err_set(err, "08P01", "expected %s response, got message type %d",
                       sasl ? "SASL" : "password", in->data[0]);
    if (in->len < WIRE_HEADER_BYTES)
        return 0;
    len = num_get_u32(in->data + 1);
    if (len < 4 || len > (uint32_t)(sasl ? SASL_MAX : PASSWORD_MAX))
        return err_set(err, "08P01", "invalid message length");
    *len_r = in->len >= (size_t)len + 1 ? len + 1 : 0;
    return 0;
}

static void
take_proof(struct session_login *l, uint32_t len)
{
    struct session *s = l->session;
    struct buf out = BUF_EMPTY;
    struct err err;
    int rc = challenge_step(l->challenge, s->in.data, len, &out, &err);

    wipe_input(s, len);
    if (rc != 0) {
        login_refuse(l, &err, "what it has answered is wrong");
    } else if (l->challenge->state == CHALLENGE_PASSED) {
        session_send(s, &out);
        passed(l, challenge_credentials(l->challenge));
    } else {
        ask_client(l, LOGIN_ASKED_PROOF, &out);
    }
    buf_free(&out);
}

static void
take_text(struct session_login *l, uint32_t len)
{
    struct session *s = l->session;
    struct err err;
    const char *text = challenge_text(s->in.data, len, &err);
    struct credentials *proof = text != NULL ? credentials_password(text) : NULL;

    wipe_input(s, len);
    if (proof == NULL) {
        login_refuse(l, &err, "what it has answered is no password");
        return;
    }
    if (l->way != LOGIN_BY_SERVER) {
        login_ask_authority(l, proof->password);
        credentials_unref(proof);
        return;
    }
    l->proof = proof;
    take_key(l, POOL_PROVED);
    startup_ask_a_server(s);
}

void
login_received(struct session_login *l)
{
    uint8_t asked = l->asked;
    uint32_t len;
    struct err err;

    if (asked == LOGIN_ASKED_NOTHING)
        return;
    if (l->session->in.data[0] == 'X') {
        session_end(l->session, "the client does not want to log in");
        return;
    }
    if (answer_length(l, &len, &err) != 0) {
        login_refuse(l, &err, "it did not answer what it was asked");
        return;
    }
    if (len == 0)
        return;
    l->asked = LOGIN_ASKED_NOTHING;
    l->silent_ns = 0;
    if (asked == LOGIN_ASKED_PROOF)
        take_proof(l, len);
    else
        take_text(l, len);
}
