/*
 * The login machine. Called by pool/dial for each Authentication message.
 *
 * Invariants: no password leaves over a channel that is not safe; AuthenticationOk before the
 * server's SCRAM signature was checked is a fault. The server is not trusted: what it sends out of
 * order, malformed or longer than MESSAGE_MAX ends the login.
 */
#include "auth/login.h"

#include "auth/md5.h"
#include "base/num.h"
#include "wire/build.h"

#include <openssl/crypto.h>
#include <string.h>

enum {
    AUTH_OK = 0,
    AUTH_CLEARTEXT = 3,
    AUTH_MD5 = 5,
    AUTH_SASL = 10,
    AUTH_SASL_CONTINUE = 11,
    AUTH_SASL_FINAL = 12,
    HEADER = 9,         /* type, length, kind */
    MESSAGE_MAX = 2000, /* as libpq's */
};

static const char plain_name[] = "SCRAM-SHA-256";
static const char plus_name[] = "SCRAM-SHA-256-PLUS";

void
login_init(struct login *l, const char *user, const struct credentials *credentials,
           const struct login_channel *channel)
{
    memset(l, 0, sizeof(*l));
    l->user = user;
    l->credentials = credentials_ref(credentials);
    l->is_safe = channel->is_safe;
    if (channel->is_tls)
        scram_binding_set(&l->binding, channel->binding, channel->binding_len);
}

void
login_fini(struct login *l)
{
    scram_fini(&l->scram);
    credentials_unref(l->credentials);
    memset(l, 0, sizeof(*l));
}

bool
login_done(const struct login *l)
{
    return l->state == LOGIN_DONE;
}

static int
out_of_order(struct err *err)
{
    return err_set(err, "08P01", "the server's authentication messages are out of order");
}

static int
malformed(struct err *err)
{
    return err_set(err, "08P01", "the server's authentication message is malformed");
}

static int
need_credentials(const struct login *l, struct err *err)
{
    if (l->credentials != NULL)
        return 0;
    err_set(err, "28000",
            "the server asks for a password, and pool_passwd has none for user \"%s\"", l->user);
    err_hint(err, "Put a line %s:TEXT<password> into pool_passwd.", l->user);
    return -1;
}

/* What we have proves nothing to a server that asks like this. */
static int
no_proof(const struct login *l, const char *asked, struct err *err)
{
    err_set(err, "28000", "the server asks user \"%s\" for %s, and pgpool has only %s", l->user,
            asked,
            l->credentials->kind == CREDENTIALS_MD5 ? "an md5 hash of the password"
                                                    : "SCRAM keys of the password");
    err_hint(err,
             "Use %s in the server's pg_hba.conf, or put a line %s:TEXT<password> into "
             "pool_passwd.",
             l->credentials->kind == CREDENTIALS_MD5 ? "md5" : "scram-sha-256", l->user);
    return -1;
}

static int
cleartext(struct login *l, uint32_t len, struct buf *out, struct err *err)
{
    if (l->state != LOGIN_BEGUN)
        return out_of_order(err);
    if (len != HEADER)
        return malformed(err);
    if (need_credentials(l, err) != 0)
        return -1;
    if (l->credentials->kind != CREDENTIALS_PASSWORD)
        return no_proof(l, "a password in the clear", err);
    if (!l->is_safe) {
        err_set(err, "28000",
                "the server asks for the password of user \"%s\" in the clear over a "
                "network without TLS",
                l->user);
        err_hint(err, "Use scram-sha-256 in the server's pg_hba.conf.");
        return -1;
    }
    build_password(out, l->credentials->password);
    l->state = LOGIN_PROVED;
    return 0;
}

static int
md5(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    char response[MD5_RESPONSE_BYTES];
    int rc;

    if (l->state != LOGIN_BEGUN)
        return out_of_order(err);
    if (len != HEADER + 4)
        return malformed(err);
    if (need_credentials(l, err) != 0)
        return -1;
    if (l->credentials->kind == CREDENTIALS_SCRAM)
        return no_proof(l, "an md5 hash", err);
    if (l->credentials->kind == CREDENTIALS_MD5)
        rc = md5_response_of_hash(l->credentials->md5, msg + HEADER, response, err);
    else
        rc = md5_response(l->user, l->credentials->password, msg + HEADER, response, err);
    if (rc != 0)
        return -1;
    build_password(out, response);
    OPENSSL_cleanse(response, sizeof(response));
    l->state = LOGIN_PROVED;
    return 0;
}

struct offer {
    bool plain;
    bool plus;
};

/* Names that each end with NUL, and an empty one at the end. False: it is no such list. */
static bool
read_offer(const uint8_t *list, size_t len, struct offer *offer_r)
{
    memset(offer_r, 0, sizeof(*offer_r));
    while (len > 0 && *list != '\0') {
        size_t n = strnlen((const char *)list, len) + 1;
        if (n > len)
            return false;
        offer_r->plain |= n == sizeof(plain_name) && memcmp(list, plain_name, n) == 0;
        offer_r->plus |= n == sizeof(plus_name) && memcmp(list, plus_name, n) == 0;
        list += n;
        len -= n;
    }
    return len == 1;
}

/* SCRAM-SHA-256-PLUS where both sides can. */
static int
choose(struct login *l, const struct offer *offer, struct err *err)
{
    if (offer->plus && l->binding.state == SCRAM_BINDABLE) {
        l->binding.state = SCRAM_BOUND;
        return 0;
    }
    if (offer->plain)
        return 0;
    if (offer->plus) {
        err_set(err, "0A000", "the server insists on channel binding, which is not possible here");
        err_hint(err, "It takes TLS, and a certificate of the server with a known signature.");
        return -1;
    }
    return err_set(err, "0A000", "the server offers no SASL mechanism that pgpool knows");
}

static int
sasl(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    struct buf first = BUF_EMPTY;
    struct offer offer;

    if (l->state != LOGIN_BEGUN)
        return out_of_order(err);
    if (!read_offer(msg + HEADER, len - HEADER, &offer))
        return malformed(err);
    if (choose(l, &offer, err) != 0 || need_credentials(l, err) != 0)
        return -1;
    if (l->credentials->kind == CREDENTIALS_MD5)
        return no_proof(l, "a SCRAM proof", err);
    if (scram_init(&l->scram, "", l->credentials, NULL, err) != 0)
        return -1;
    scram_bind(&l->scram, &l->binding);
    scram_first(&l->scram, &first);
    build_sasl_initial(out, l->binding.state == SCRAM_BOUND ? plus_name : plain_name, first.data,
                       first.len);
    buf_free(&first);
    l->state = LOGIN_SCRAM_FIRST;
    return 0;
}

static int
sasl_continue(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    struct buf final = BUF_EMPTY;
    int rc;

    if (l->state != LOGIN_SCRAM_FIRST)
        return out_of_order(err);
    rc = scram_final(&l->scram, (const char *)msg + HEADER, len - HEADER, &final, err);
    if (rc == 0)
        build_sasl_response(out, final.data, final.len);
    buf_free(&final);
    l->state = LOGIN_SCRAM_FINAL;
    return rc;
}

static int
sasl_final(struct login *l, const uint8_t *msg, uint32_t len, struct err *err)
{
    if (l->state != LOGIN_SCRAM_FINAL)
        return out_of_order(err);
    if (scram_verify(&l->scram, (const char *)msg + HEADER, len - HEADER, err) != 0)
        return -1;
    l->state = LOGIN_PROVED;
    return 0;
}

/* The server lets us in: it may at once, unless it has begun SCRAM and not yet proved itself. */
static int
accepted(struct login *l, uint32_t len, struct err *err)
{
    if (len != HEADER)
        return malformed(err);
    if (l->state == LOGIN_SCRAM_FIRST || l->state == LOGIN_SCRAM_FINAL) {
        err_set(err, "08P01", "the server ends the SCRAM login without proof of itself");
        err_hint(err, "Something may be impersonating the server.");
        return -1;
    }
    if (l->state == LOGIN_DONE)
        return out_of_order(err);
    l->state = LOGIN_DONE;
    return 0;
}

int
login_step(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    uint32_t kind;

    if (len < HEADER)
        return err_set(err, "08P01", "the server's authentication message is too short");
    kind = num_get_u32(msg + 5);
    if (len > MESSAGE_MAX)
        return err_set(err, "08P01", "the server's %s message is too long",
                       kind >= AUTH_SASL ? "SCRAM" : "authentication");
    switch (kind) {
    case AUTH_OK:
        return accepted(l, len, err);
    case AUTH_CLEARTEXT:
        return cleartext(l, len, out, err);
    case AUTH_MD5:
        return md5(l, msg, len, out, err);
    case AUTH_SASL:
        return sasl(l, msg, len, out, err);
    case AUTH_SASL_CONTINUE:
        return sasl_continue(l, msg, len, out, err);
    case AUTH_SASL_FINAL:
        return sasl_final(l, msg, len, err);
    default:
        err_set(err, "0A000",
                "the server asks for authentication method %u, which pgpool does not "
                "know",
                kind);
        err_hint(err, "Use trust, md5 or scram-sha-256 in the server's pg_hba.conf.");
        return -1;
    }
}
