/*
 * Any bytes as pcp.conf, and then as a hostile client's messages to the login machine.
 *
 * Checked besides memory: what is refused says on which line; nobody but a user of the file is
 * known; and a login without the password never passes, whatever is sent.
 */
#include "fuzz.h"

#include "auth/challenge.h"
#include "auth/pcp_users.h"

static const char file_name[] = "pcp.conf";

/* Messages, each as one byte of length and the body; in a body byte 1 stands for the nonce. */
static void
attack(const struct pcp_user *user, bool doomed, const uint8_t *data, size_t size)
{
    struct fuzz_bytes b = {data, data + size};
    struct buf out = BUF_EMPTY;
    struct buf msg = BUF_EMPTY;
    struct challenge c;
    struct err err = {0};

    challenge_init(&c, challenge_method_for(&user->secret), "fuzz", &user->secret, NULL);
    c.doomed |= doomed;
    if (challenge_begin(&c, &out, &err) != 0)
        BUG("no question");
    while (b.at < b.end) {
        uint8_t len = fuzz_byte(&b);

        buf_clear(&msg);
        buf_add_u8(&msg, 'p');
        buf_add_u32(&msg, 0); /* the header was checked before */
        for (; len > 0 && b.at < b.end; len--) {
            uint8_t byte = fuzz_byte(&b);

            if (byte == 1 && c.scram.nonce.len > 0)
                buf_add(&msg, c.scram.nonce.data, c.scram.nonce.len);
            else
                buf_add_u8(&msg, byte);
        }
        if (challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err) != 0) {
            fuzz_check_error(&err);
            break;
        }
        if (c.state == CHALLENGE_PASSED)
            BUG("a login has passed without the password");
    }
    challenge_fini(&c);
    buf_free(&msg);
    buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char fixed[] = "fuzz:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                                "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";
    struct pcp_users *u;
    struct pcp_user user;
    struct err err = {0};

    if (pcp_users_parse((const char *)data, size, file_name, &u, &err) != 0) {
        fuzz_check_error(&err);
        if (strncmp(err.message, file_name, strlen(file_name)) != 0)
            BUG("a fault without its place");
    } else {
        if (pcp_users_find(u, "", true, &user) != PCP_USER_UNKNOWN)
            BUG("nobody is known");
        attack(&user, true, data, size);
        pcp_users_free(u);
    }
    if (pcp_users_parse(fixed, sizeof(fixed) - 1, file_name, &u, &err) != 0 ||
        pcp_users_find(u, "fuzz", false, &user) != PCP_USER_KNOWN)
        BUG("a good file is refused");
    attack(&user, false, data, size);
    pcp_users_free(u);
    return 0;
}
