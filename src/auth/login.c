/*
 * The login machine. Called by pool/dial for each Authentication message.
 *
 * Invariants: no password leaves over a channel that is not safe; AuthenticationOk before the
 * server's SCRAM signature was checked is a fault.
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
    HEADER = 9, /* type, length, kind */
};

void
login_init(struct login *l, const char *user, const char *password, bool channel_is_safe)
{
    memset(l, 0, sizeof(*l));
    l->user = user;
    l->password = password;
    l->channel_is_safe = channel_is_safe;
}

void
login_fini(struct login *l)
{
    scram_fini(&l->scram);
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
need_password(const struct login *l, struct err *err)
{
    if (l->password != NULL)
        return 0;
    err_set(err, "28000",
            "the server asks for a password, and pool_passwd has none for user \"%s\"", l->user);
    err_hint(err, "Put a line %s:TEXT<password> into pool_passwd.", l->user);
    return -1;
}

static int
cleartext(struct login *l, struct buf *out, struct err *err)
{
    if (l->state != LOGIN_BEGUN)
        return out_of_order(err);
    if (need_password(l, err) != 0)
        return -1;
    if (!l->channel_is_safe) {
        err_set(err, "28000",
                "the server asks for the password of user \"%s\" in the clear over a "
                "network without TLS",
                l->user);
        err_hint(err, "Use scram-sha-256 in the server's pg_hba.conf.");
        return -1;
    }
    build_password(out, l->password);
    l->state = LOGIN_PROVED;
    return 0;
}

static int
md5(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    char response[MD5_RESPONSE_BYTES];

    if (l->state != LOGIN_BEGUN || len != HEADER + 4)
        return out_of_order(err);
    if (need_password(l, err) != 0 ||
        md5_response(l->user, l->password, msg + HEADER, response, err) != 0)
        return -1;
    build_password(out, response);
    OPENSSL_cleanse(response, sizeof(response));
    l->state = LOGIN_PROVED;
    return 0;
}

static bool
offers(const uint8_t *list, size_t len, const char *mechanism)
{
    size_t want = strlen(mechanism) + 1;

    while (len > 0 && *list != '\0') {
        size_t n = strnlen((const char *)list, len) + 1;
        if (n > len)
            return false;
        if (n == want && memcmp(list, mechanism, want) == 0)
            return true;
        list += n;
        len -= n;
    }
    return false;
}

static int
sasl(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    struct buf first = BUF_EMPTY;

    if (l->state != LOGIN_BEGUN)
        return out_of_order(err);
    if (!offers(msg + HEADER, len - HEADER, "SCRAM-SHA-256"))
        return err_set(err, "0A000", "the server offers no SASL mechanism that pgpool knows");
    if (need_password(l, err) != 0 || scram_init(&l->scram, "", l->password, NULL, err) != 0)
        return -1;
    scram_first(&l->scram, &first);
    build_sasl_initial(out, "SCRAM-SHA-256", first.data, first.len);
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

int
login_step(struct login *l, const uint8_t *msg, uint32_t len, struct buf *out, struct err *err)
{
    uint32_t kind;

    if (len < HEADER)
        return err_set(err, "08P01", "the server's authentication message is too short");
    kind = num_get_u32(msg + 5);
    switch (kind) {
    case AUTH_OK:
        if (l->state != LOGIN_BEGUN && l->state != LOGIN_PROVED)
            return out_of_order(err);
        l->state = LOGIN_DONE;
        return 0;
    case AUTH_CLEARTEXT:
        return cleartext(l, out, err);
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
