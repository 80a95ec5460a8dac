/*
 * Judges a password in the clear, for test_secrets.py.
 *
 *   secrets USER STORED PASSWORD
 *
 * STORED is rolpassword of pg_authid. Prints "right" or "wrong", or what is wrong with STORED.
 */
#include "auth/challenge.h"
#include "wire/build.h"

#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
    struct buf question = BUF_EMPTY;
    struct buf answer = BUF_EMPTY;
    struct secret secret;
    struct challenge c;
    struct err err;
    int rc;

    if (argc != 4 || secret_parse_role(argv[2], strlen(argv[2]), &secret, &err) != 0) {
        fprintf(stderr, "secrets: %s\n", argc != 4 ? "USER STORED PASSWORD" : err.message);
        return 2;
    }
    challenge_init(&c, CHALLENGE_CLEAR, argv[1], &secret, NULL);
    secret_fini(&secret);
    rc = challenge_begin(&c, &question, &err);
    build_password(&answer, argv[3]);
    if (rc == 0)
        rc = challenge_step(&c, answer.data, (uint32_t)answer.len, &question, &err);
    printf("%s\n", rc == 0 && c.state == CHALLENGE_PASSED ? "right" : "wrong");
    challenge_fini(&c);
    buf_free(&question);
    buf_free(&answer);
    return 0;
}
