/*
 * md5, SCRAM as a client, and the login machine with servers that behave and that do not.
 */
#include "auth/login.h"
#include "auth/md5.h"
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
    struct credentials *c = credentials_password("pencil");
    struct scram s;
    struct err err;

    (void)state;
    assert_int_equal(scram_init(&s, "user", c, "rOprNGfwEbeRWgbNEkqO", &err), 0);
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
    assert_non_null(strstr(err.message, "other-error"));
    assert_int_equal(scram_verify(&s, "e=\x1b[2J", 6, &err), -1);
    assert_null(strchr(err.message, '\x1b'));
    assert_int_equal(scram_verify(&s, last, sizeof(last) - 1, &err), 0);
    buf_free(&out);
    scram_fini(&s);
    credentials_unref(c);
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
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4294967295",
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=many",
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=",
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
        "r=nonce\x01,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=nonceX",
        "m=x,r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        ("r=nonceX,s=QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD"
         "QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD,i=4096"),
        "r=nonceX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=y",
        "s=W22ZaJ0SNY7soEsUEjb6gQ==,r=nonceX,i=4096",
    };
    struct credentials *c = credentials_password("x");
    struct buf out = BUF_EMPTY;
    struct scram s;
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(firsts) / sizeof(firsts[0]); n++) {
        assert_int_equal(scram_init(&s, "", c, "nonce", &err), 0);
        scram_first(&s, &out);
        assert_int_equal(scram_final(&s, firsts[n], strlen(firsts[n]), &out, &err), -1);
        scram_fini(&s);
    }
    buf_free(&out);
    credentials_unref(c);
}

static const uint8_t binding[32] = "0123456789abcdef0123456789abcde";

/* What servers send. */
static void
sasl(struct buf *msg, const char *list, size_t len)
{
    buf_clear(msg);
    buf_add_u8(msg, 'R');
    buf_add_u32(msg, (uint32_t)len + 8);
    buf_add_u32(msg, 10);
    buf_add(msg, list, len);
}

static int
step(struct login *l, const struct buf *msg, struct buf *out, struct err *err)
{
    buf_clear(out);
    return login_step(l, msg->data, (uint32_t)msg->len, out, err);
}

static void
start(struct login *l, struct credentials *c, bool is_safe, bool is_tls)
{
    struct login_channel channel = {.is_safe = is_safe, .is_tls = is_tls};

    if (is_tls) {
        channel.binding = binding;
        channel.binding_len = sizeof(binding);
    }
    login_init(l, "u", c, &channel);
    credentials_unref(c);
}

static void
fails(struct login *l, const struct buf *msg, const char *sqlstate, const char *said)
{
    struct buf out = BUF_EMPTY;
    struct err err;

    assert_int_equal(login_step(l, msg->data, (uint32_t)msg->len, &out, &err), -1);
    assert_string_equal(err.sqlstate, sqlstate);
    if (strstr(err.message, said) == NULL)
        fail_msg("%s", err.message);
    assert_null(strstr(err.message, "hunter2"));
    assert_int_equal(out.len, 0);
    assert_false(login_done(l));
    login_fini(l);
    buf_free(&out);
}

static struct credentials *
keys_of(const char *password)
{
    struct scram_keys keys = {.iterations = 4096, .salt_len = 4, .salt = "salt"};
    struct err err;

    assert_int_equal(scram_derive(password, &keys, &err), 0);
    return credentials_scram(&keys);
}

static void
logins(void **state)
{
    static const uint8_t salt[4] = {9, 8, 7, 6};
    struct buf ok = BUF_EMPTY, clear = BUF_EMPTY, md5 = BUF_EMPTY, scram = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct login l;
    struct err err;

    (void)state;
    build_auth_ok(&ok);
    build_auth_cleartext(&clear);
    build_auth_md5(&md5, salt);
    sasl(&scram, "SCRAM-SHA-256\0", 15);

    start(&l, NULL, false, false);
    assert_false(login_done(&l));
    assert_int_equal(step(&l, &ok, &out, &err), 0);
    assert_true(login_done(&l));
    login_fini(&l);

    start(&l, NULL, true, false);
    fails(&l, &clear, "28000", "pool_passwd has none");
    start(&l, NULL, true, false);
    fails(&l, &md5, "28000", "pool_passwd has none");
    start(&l, NULL, true, false);
    fails(&l, &scram, "28000", "pool_passwd has none");
    start(&l, credentials_password("hunter2"), false, false);
    fails(&l, &clear, "28000", "in the clear");
    start(&l, credentials_password("p"), true, false);
    assert_int_equal(step(&l, &clear, &out, &err), 0);
    assert_int_equal(out.len, 7);
    fails(&l, &clear, "08P01", "out of order");

    start(&l, credentials_password("p"), false, false);
    assert_int_equal(step(&l, &md5, &out, &err), 0);
    assert_int_equal(out.len, 5 + MD5_RESPONSE_BYTES);
    assert_int_equal(step(&l, &ok, &out, &err), 0);
    assert_true(login_done(&l));
    assert_int_equal(step(&l, &ok, &out, &err), -1);
    login_fini(&l);

    start(&l, credentials_password("p"), false, false);
    assert_int_equal(step(&l, &scram, &out, &err), 0);
    assert_string_equal((char *)out.data + 5, "SCRAM-SHA-256");
    fails(&l, &ok, "08P01", "without proof"); /* it has proved nothing */

    buf_free(&ok);
    buf_free(&clear);
    buf_free(&md5);
    buf_free(&scram);
    buf_free(&out);
}

static void
what_proves_nothing_to_a_server(void **state)
{
    static const uint8_t salt[4] = {9, 8, 7, 6};
    static const char hash[] = "20c46e3762c864548e296b33c3406aa9";
    struct buf clear = BUF_EMPTY, md5 = BUF_EMPTY, scram = BUF_EMPTY, out = BUF_EMPTY;
    struct login l;
    struct err err;

    (void)state;
    build_auth_cleartext(&clear);
    build_auth_md5(&md5, salt);
    sasl(&scram, "SCRAM-SHA-256\0", 15);
    start(&l, credentials_md5(hash), true, false);
    fails(&l, &clear, "28000", "only an md5 hash");
    start(&l, credentials_md5(hash), true, false);
    fails(&l, &scram, "28000", "only an md5 hash");
    start(&l, credentials_md5(hash), true, false);
    assert_int_equal(step(&l, &md5, &out, &err), 0);
    login_fini(&l);
    start(&l, keys_of("hunter2"), true, false);
    fails(&l, &clear, "28000", "only SCRAM keys");
    start(&l, keys_of("hunter2"), true, false);
    fails(&l, &md5, "28000", "only SCRAM keys");
    buf_free(&clear);
    buf_free(&md5);
    buf_free(&scram);
    buf_free(&out);
}

static void
channel_binding_where_both_can(void **state)
{
    static const char both[] = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";
    static const char plus[] = "SCRAM-SHA-256-PLUS\0";
    static const char plain[] = "SCRAM-SHA-256\0";
    static const char other[] = "GS2-KRB5\0SCRAM-SHA-1\0";
    static const struct {
        const char *list;
        size_t len;
        bool is_tls;
        const char *chosen; /* NULL: fails */
        const char *header;
    } cases[] = {
        {both, sizeof(both), true, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"},
        {both, sizeof(both), false, "SCRAM-SHA-256", "n,,"},
        {plus, sizeof(plus), true, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"},
        {plus, sizeof(plus), false, NULL, NULL},
        {plain, sizeof(plain), true, "SCRAM-SHA-256", "y,,"},
        {plain, sizeof(plain), false, "SCRAM-SHA-256", "n,,"},
        {other, sizeof(other), true, NULL, NULL},
    };
    struct buf msg = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct login l;
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        const char *name;

        sasl(&msg, cases[n].list, cases[n].len);
        start(&l, credentials_password("p"), true, cases[n].is_tls);
        if (cases[n].chosen == NULL) {
            fails(&l, &msg, "0A000", "server");
            continue;
        }
        assert_int_equal(step(&l, &msg, &out, &err), 0);
        name = (const char *)out.data + 5;
        assert_string_equal(name, cases[n].chosen);
        assert_memory_equal(name + strlen(name) + 5, cases[n].header, strlen(cases[n].header));
        login_fini(&l);
    }
    buf_free(&msg);
    buf_free(&out);
}

static void
lists_and_messages_that_are_none(void **state)
{
    static const struct {
        const char *list;
        size_t len;
    } lists[] = {{"", 0},
                 {"SCRAM-SHA-256", 13},
                 {"SCRAM-SHA-256", 14},
                 {"SCRAM-SHA-256\0\0", 16},
                 {"SCRAM-SHA-256\0X", 15}};
    static const uint8_t short_one[] = {'R', 0, 0, 0, 4};
    struct buf msg = BUF_EMPTY;
    struct login l;

    (void)state;
    for (size_t n = 0; n < sizeof(lists) / sizeof(lists[0]); n++) {
        sasl(&msg, lists[n].list, lists[n].len);
        start(&l, credentials_password("p"), true, false);
        fails(&l, &msg, "08P01", "malformed");
    }
    buf_clear(&msg);
    buf_add(&msg, short_one, sizeof(short_one));
    start(&l, credentials_password("p"), true, false);
    fails(&l, &msg, "08P01", "too short");
    for (uint32_t kind = 0; kind < 20; kind++) {
        sasl(&msg, "x", 1);
        msg.data[8] = (uint8_t)kind;
        while (msg.len < 2100)
            buf_add_u8(&msg, 'x');
        start(&l, credentials_password("p"), true, false);
        fails(&l, &msg, "08P01", "too long");
        msg.len = 10;
        start(&l, credentials_password("p"), true, false);
        fails(&l, &msg,
              kind == 0 || kind == 3 || kind == 5 || (kind >= 10 && kind <= 12) ? "08P01" : "0A000",
              "server");
    }
    buf_free(&msg);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md5_of_postgresql),
        cmocka_unit_test(rfc_7677_example),
        cmocka_unit_test(hostile_servers),
        cmocka_unit_test(logins),
        cmocka_unit_test(what_proves_nothing_to_a_server),
        cmocka_unit_test(channel_binding_where_both_can),
        cmocka_unit_test(lists_and_messages_that_are_none),
    };

    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
