/*
 * A hostile client: any sequence of messages to the machine that asks it for its password.
 *
 * The first byte says how it is asked, of which kind its secret is, and whether there is a channel
 * to bind to; then come messages, each as one byte of length and the body. In a body byte 1 stands
 * for the nonce that was agreed on, and byte 2 for the base64 of the header and the binding, so
 * that SCRAM gets further than chance would. Checked besides memory: nobody passes, since nobody
 * here knows the password; nothing is proved; whatever is said to the client is one whole message
 * of authentication, and holds nothing of the secret.
 */
#include "fuzz.h"

#include "auth/challenge.h"
#include "base/num.h"

enum { METHOD = 3, KIND = 12, HAS_TLS = 16, IS_DOOMED = 32 };

static const char password[] = "6a1f-e2b7-never-guessed-0c55";
static const uint8_t mock_key[SECRET_MOCK_KEY_BYTES] = "0123456789abcdef0123456789abcde";
static const uint8_t binding[32] = "fedcba9876543210fedcba987654321";

/* The text stays, with what was derived from it, and so is derived once. */
static struct secret
secret_of(enum secret_kind kind)
{
    static struct credentials *text;
    struct secret secret = {.kind = kind, .md5 = "61d2aa42c4f4b8f3a5d31ccf7f0e6b7a"};
    struct scram_keys keys = {.iterations = 1, .salt_len = 4, .salt = "salt"};
    struct err err;

    if (text == NULL)
        text = credentials_password(password);
    if (scram_derive(password, &keys, &err) != 0 || !scram_verifier_of(&keys, &secret.scram))
        BUG("%s", err.message);
    if (kind == SECRET_TEXT)
        secret_of_text(text, &secret);
    return secret;
}

static void
add_body(struct buf *msg, struct fuzz_bytes *b, size_t len, const struct challenge *c)
{
    for (; len > 0 && b->at < b->end; len--) {
        uint8_t byte = fuzz_byte(b);
        if (byte == 1)
            buf_add(msg, c->scram.nonce.data, c->scram.nonce.len);
        else if (byte == 2)
            buf_add(msg, c->scram.header.data, c->scram.header.len);
        else
            buf_add_u8(msg, byte);
    }
}

static void
check_said(const struct buf *out)
{
    if (out->len == 0)
        return;
    if (out->data[0] != 'R' || out->len < WIRE_HEADER_BYTES + 4 ||
        num_get_u32(out->data + 1) + 1 != out->len)
        BUG("what is said is not one message");
    if (memmem(out->data, out->len, password, sizeof(password) - 1) != NULL)
        BUG("the password is told");
}

static bool
step(struct challenge *c, const struct buf *msg)
{
    struct buf out = BUF_EMPTY;
    struct err err = {0};
    enum challenge_state before = c->state;
    int rc = challenge_step(c, msg->data, (uint32_t)msg->len, &out, &err);

    check_said(&out);
    if (rc != 0) {
        fuzz_check_error(&err);
        if (out.len > 0)
            BUG("a login that fails says something");
        if (strstr(err.message, password) != NULL)
            BUG("the password stands in a message");
    } else if (c->state <= before) {
        BUG("asked the same again");
    }
    if (c->state == CHALLENGE_PASSED)
        BUG("passed without the password");
    if (challenge_credentials(c) != NULL)
        BUG("something was proved");
    buf_free(&out);
    return rc == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes b = {data, data + size};
    uint8_t flags = fuzz_byte(&b);
    struct challenge_channel channel = {
        .is_tls = (flags & HAS_TLS) != 0,
        .binding = binding,
        .binding_len = sizeof(binding),
        .mock_key = mock_key,
    };
    struct secret secret = secret_of((enum secret_kind)((flags & KIND) >> 2));
    struct buf msg = BUF_EMPTY;
    struct challenge c;
    struct err err = {0};
    bool goes_on = true;

    /* the fuzzer reads it out of comparisons; who knows it may be told it again */
    if (size > 0 && memmem(data, size, password, sizeof(password) - 1) != NULL)
        return -1;
    challenge_init(&c, (enum challenge_method)((flags & METHOD) % 3), "user", &secret, &channel);
    secret_fini(&secret);
    c.doomed |= (flags & IS_DOOMED) != 0;
    if (challenge_begin(&c, &msg, &err) != 0)
        BUG("%s", err.message);
    check_said(&msg);
    while (goes_on && b.at < b.end) {
        size_t len = fuzz_byte(&b);
        buf_clear(&msg);
        buf_add_u8(&msg, 'p');
        buf_add_u32(&msg, 0);
        add_body(&msg, &b, len, &c);
        num_put_u32(msg.data + 1, (uint32_t)msg.len - 1);
        goes_on = step(&c, &msg);
    }
    challenge_fini(&c);
    buf_free(&msg);
    return 0;
}
