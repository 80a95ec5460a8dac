/*
 * A hostile server: any sequence of Authentication messages to the login machine.
 *
 * The first byte says what we know and how safe the channel is; then come messages, each as one
 * byte of length, one of kind and the body. In a body, byte 1 stands for our nonce and byte 2 for
 * the right signature, so that SCRAM gets further than chance would. Checked besides memory: a
 * SCRAM login is done only when the server has proved itself, once; the password never leaves over
 * a channel that is not safe; what is sent is one whole message.
 */
#include "fuzz.h"

#include "auth/login.h"
#include "base/num.h"

#include <openssl/evp.h>

enum { HAS_PASSWORD = 1, IS_SAFE = 2, KEEPS_ON = 4, IS_TLS = 8, HAS_MD5 = 16, HAS_KEYS = 32 };
enum { PROOFS = HAS_PASSWORD | HAS_MD5 | HAS_KEYS, KIND_SASL = 10, KIND_CONTINUE = 11 };

static const char password[] = "hunter2 is secret";

static void
add_body(struct buf *msg, struct fuzz_bytes *b, size_t len, const struct login *l)
{
    char signature[SCRAM_KEY_BYTES * 2];

    EVP_EncodeBlock((unsigned char *)signature, l->scram.server_signature, SCRAM_KEY_BYTES);
    for (; len > 0 && b->at < b->end; len--) {
        uint8_t byte = fuzz_byte(b);
        if (byte == 1)
            buf_add_str(msg, l->scram.nonce);
        else if (byte == 2)
            buf_add_str(msg, signature);
        else
            buf_add_u8(msg, byte);
    }
}

/* Many iterations are allowed and take long: nothing is learned from them. */
static bool
takes_long(const struct buf *msg)
{
    const uint8_t *equals = msg->data;
    size_t left = msg->len;

    while (left > 6 && (equals = memchr(equals, '=', left - 6)) != NULL) {
        size_t digits = 0;
        left = msg->len - (size_t)(++equals - msg->data);
        while (digits < left && equals[digits] >= '0' && equals[digits] <= '9')
            digits++;
        if (digits > 3)
            return true;
    }
    return false;
}

static void
check_sent(const struct login *l, const struct buf *out, uint8_t flags)
{
    bool tells =
        out->len > 0 && memmem(out->data, out->len, password, sizeof(password) - 1) != NULL;

    if (out->len > 0 && (out->data[0] != 'p' || out->len < WIRE_HEADER_BYTES ||
                         num_get_u32(out->data + 1) + 1 != out->len))
        BUG("what is sent is not one message");
    if (out->len > 0 && (flags & PROOFS) == 0)
        BUG("something is sent without a password");
    if (tells && (flags & IS_SAFE) == 0)
        BUG("the password leaves over a channel that is not safe");
    if (tells && l->state != LOGIN_PROVED)
        BUG("the password leaves in state %d", l->state);
}

static void
check_state(const struct login *l, bool begun_scram, bool done)
{
    if (login_done(l) != (l->state == LOGIN_DONE))
        BUG("done in state %d", l->state);
    if (login_done(l) && begun_scram && !l->scram.verified)
        BUG("done, and the server has proved nothing");
    if (done && !login_done(l))
        BUG("a login that was done is not");
    if (l->scram.verified && !l->scram.proved)
        BUG("verified before we proved anything");
}

/* Keys for the salt and the iterations that the corpus has. */
static struct credentials *
known(uint8_t flags)
{
    struct scram_keys keys = {.iterations = 10, .salt_len = 4, .salt = "salt"};

    if ((flags & HAS_PASSWORD) != 0)
        return credentials_password(password);
    if ((flags & HAS_KEYS) != 0)
        return credentials_scram(&keys);
    return (flags & HAS_MD5) != 0 ? credentials_md5("aabbccddaabbccddaabbccddaabbccdd") : NULL;
}

/* Returns false when the login has failed. */
static bool
step(struct login *l, const struct buf *msg, uint8_t flags, bool *scram_io)
{
    struct buf out = BUF_EMPTY;
    struct err err = {0};
    bool done = login_done(l);
    int rc = login_step(l, msg->data, (uint32_t)msg->len, &out, &err);

    if (rc != 0) {
        fuzz_check_error(&err);
        if (out.len > 0)
            BUG("a login that fails sends something");
    } else if (msg->data[8] == KIND_SASL) {
        *scram_io = true;
    }
    check_sent(l, &out, flags);
    check_state(l, *scram_io, done);
    if (strstr(err.message, password) != NULL || strstr(err.hint, password) != NULL)
        BUG("the password stands in a message");
    buf_free(&out);
    return rc == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes b = {data, data + size};
    uint8_t flags = fuzz_byte(&b);
    struct buf msg = BUF_EMPTY;
    struct credentials *credentials = known(flags);
    struct login_channel channel = {.is_safe = (flags & IS_SAFE) != 0,
                                    .is_tls = (flags & IS_TLS) != 0,
                                    .binding = (const uint8_t *)password,
                                    .binding_len = sizeof(password)};
    struct login l;
    bool scram = false;
    bool goes_on = true;

    login_init(&l, "user", credentials, &channel);
    credentials_unref(credentials);
    while (goes_on && b.at < b.end) {
        size_t len = fuzz_byte(&b);
        buf_clear(&msg);
        buf_add_u8(&msg, 'R');
        buf_add_u32(&msg, 0);
        buf_add_u32(&msg, fuzz_byte(&b));
        add_body(&msg, &b, len, &l);
        num_put_u32(msg.data + 1, (uint32_t)msg.len - 1);
        if (msg.data[8] == KIND_CONTINUE && takes_long(&msg))
            break;
        goes_on = step(&l, &msg, flags, &scram) || (flags & KEEPS_ON) != 0;
    }
    login_fini(&l);
    buf_free(&msg);
    return 0;
}
