/*
 * Password files, md5 and SCRAM, and the login machine with servers that behave and that do not.
 */
#include "auth/login.h"
#include "auth/md5.h"
#include "auth/passwd.h"
#include "auth/scram.h"
#include "base/buf.h"
#include "wire/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
passwords_of_a_file(void **state)
{
    static const char text[] = "# comment\n\nalice:TEXTse:cret\r\nbob:plain\nbob:newer\n"
                               "carol:md5aabbccddaabbccddaabbccddaabbccdd\ndave:AESxyz=\n"
                               "erin:SCRAM-SHA-256$4096:x$y:z";
    const char *password;
    struct passwd *p;
    struct err err;

    (void)state;
    assert_int_equal(passwd_parse(text, sizeof(text) - 1, "pool_passwd", &p, &err), 0);
    assert_int_equal(passwd_find(p, "alice", &password, &err), 0);
    assert_string_equal(password, "se:cret");
    assert_int_equal(passwd_find(p, "bob", &password, &err), 0);
    assert_string_equal(password, "newer");
    assert_int_equal(passwd_find(p, "nobody", &password, &err), 0);
    assert_null(password);
    assert_int_equal(passwd_find(p, "carol", &password, &err), -1);
    assert_int_equal(passwd_find(p, "dave", &password, &err), -1);
    assert_int_equal(passwd_find(p, "erin", &password, &err), -1);
    assert_non_null(strstr(err.hint, "erin:TEXT"));
    assert_int_equal(passwd_find(NULL, "alice", &password, &err), 0);
    assert_null(password);
    passwd_free(p);
    passwd_free(NULL);
}

static void
bad_lines_are_named(void **state)
{
    struct passwd *p = NULL;
    struct err err;

    (void)state;
    assert_int_equal(passwd_parse("a:b\nnocolon\n", 12, "f", &p, &err), -1);
    assert_non_null(strstr(err.message, "f:2: "));
    assert_int_equal(passwd_parse(":x\n", 3, "f", &p, &err), -1);
    assert_int_equal(passwd_parse("a\0b:x\n", 6, "f", &p, &err), -1);
}

static void
md5_of_postgresql(void **state)
{
    static const uint8_t salt[4] = {1, 2, 3, 4};
    char response[MD5_RESPONSE_BYTES];
    struct err err;

    (void)state;
    assert_int_equal(md5_response("joe", "secret", salt, response, &err), 0);
    assert_string_equal(response, "md5850be429f1fe77df3f603ac424abb440");
}

static void
rfc_7677_example(void **state)
{
    static const char first[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    static const char last[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    struct buf out = BUF_EMPTY;
    struct scram s;
    struct err err;

    (void)state;
    assert_int_equal(scram_init(&s, "user", "pencil", "rOprNGfwEbeRWgbNEkqO", &err), 0);
    scram_first(&s, &out);
    assert_string_equal(buf_cstr(&out), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    buf_clear(&out);
    assert_int_equal(scram_verify(&s, last, sizeof(last) - 1, &err), -1);
    assert_int_equal(scram_final(&s, first, sizeof(first) - 1, &out, &err), 0);
    assert_string_equal(buf_cstr(&out),
                        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_int_equal(scram_verify(&s, "v=AAAA", 6, &err), -1);
    assert_int_equal(scram_verify(&s, "e=other-error", 13, &err), -1);
    assert_int_equal(scram_verify(&s, last, sizeof(last) - 1, &err), 0);
    buf_free(&out);
    scram_fini(&s);
}

static void
hostile_servers(void **state)
{
    static const char *const firsts[] = {
        "",
        "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=nonce,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=nonceX,s=,i=4096",
        "r=nonceX,s=W22*aJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==",
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000",
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=y",
        "s=W22ZaJ0SNY7soEsUEjb6gQ==,r=nonceX,i=4096",
    };
    struct buf out = BUF_EMPTY;
    struct scram s;
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(firsts) / sizeof(firsts[0]); n++) {
        assert_int_equal(scram_init(&s, "", "x", "nonce", &err), 0);
        scram_first(&s, &out);
        assert_int_equal(scram_final(&s, firsts[n], strlen(firsts[n]), &out, &err), -1);
        scram_fini(&s);
    }
    buf_free(&out);
}

static int
step(struct login *l, const struct buf *msg, struct buf *out, struct err *err)
{
    buf_clear(out);
    return login_step(l, msg->data, (uint32_t)msg->len, out, err);
}

static void
logins(void **state)
{
    static const uint8_t salt[4] = {9, 8, 7, 6};
    static const char *const scram[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", NULL};
    static const char *const other[] = {"GS2-KRB5", NULL};
    struct buf ok = BUF_EMPTY, clear = BUF_EMPTY, md5 = BUF_EMPTY, sasl = BUF_EMPTY;
    struct buf unknown = BUF_EMPTY, out = BUF_EMPTY;
    struct login l;
    struct err err;

    (void)state;
    build_auth_ok(&ok);
    build_auth_cleartext(&clear);
    build_auth_md5(&md5, salt);
    build_auth_sasl(&sasl, scram);
    build_auth_sasl(&unknown, other);

    login_init(&l, "u", NULL, false);
    assert_false(login_done(&l));
    assert_int_equal(step(&l, &ok, &out, &err), 0);
    assert_true(login_done(&l));

    login_init(&l, "u", NULL, true);
    assert_int_equal(step(&l, &clear, &out, &err), -1);
    assert_non_null(strstr(err.message, "pool_passwd has none"));
    login_init(&l, "u", "p", false);
    assert_int_equal(step(&l, &clear, &out, &err), -1);
    login_init(&l, "u", "p", true);
    assert_int_equal(step(&l, &clear, &out, &err), 0);
    assert_int_equal(out.len, 7);
    assert_int_equal(step(&l, &clear, &out, &err), -1);

    login_init(&l, "u", "p", false);
    assert_int_equal(step(&l, &md5, &out, &err), 0);
    assert_int_equal(out.len, 5 + MD5_RESPONSE_BYTES);
    assert_int_equal(step(&l, &ok, &out, &err), 0);
    assert_true(login_done(&l));

    login_init(&l, "u", "p", false);
    assert_int_equal(step(&l, &unknown, &out, &err), -1);
    assert_int_equal(step(&l, &sasl, &out, &err), 0);
    assert_string_equal((char *)out.data + 5, "SCRAM-SHA-256");
    assert_int_equal(step(&l, &ok, &out, &err), -1); /* it has proved nothing */
    assert_false(login_done(&l));
    login_fini(&l);

    buf_free(&ok);
    buf_free(&clear);
    buf_free(&md5);
    buf_free(&sasl);
    buf_free(&unknown);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_of_a_file), cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(md5_of_postgresql),   cmocka_unit_test(rfc_7677_example),
        cmocka_unit_test(hostile_servers),     cmocka_unit_test(logins),
    };

    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
