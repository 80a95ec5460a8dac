/*
 * pcp.conf, and logins to us: the example of RFC 7677, our own client's side against our server's,
 * clients that are wrong, and clients that send nonsense.
 */
#include "auth/challenge.h"
#include "auth/login.h"
#include "auth/pcp_users.h"
#include "base/num.h"
#include "wire/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define VERIFIER                                                                                   \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define ALONE "a8f6830bce790a8a67fc2e84e12093ba"        /* md5(pencil) */
#define WITH_USER "md520c46e3762c864548e296b33c3406aa9" /* md5(penciluser) */

static struct pcp_users *
parsed(const char *text)
{
    struct pcp_users *u = NULL;
    struct err err;

    if (pcp_users_parse(text, strlen(text), "pcp.conf", &u, &err) != 0)
        fail_msg("%s", err.message);
    return u;
}

/* ---- pcp.conf ---- */

static void
entries_of_all_forms(void **state)
{
    static const struct {
        const char *user;
        enum secret_kind kind;
        enum pcp_role role;
    } expected[] = {{"old", SECRET_MD5_ALONE, PCP_ADMIN}, {"upper", SECRET_MD5_ALONE, PCP_MONITOR},
                    {"user", SECRET_MD5, PCP_ADMIN},      {"eyes", SECRET_MD5, PCP_MONITOR},
                    {"scram", SECRET_SCRAM, PCP_ADMIN},   {"s2", SECRET_SCRAM, PCP_MONITOR}};
    struct pcp_users *u = parsed("# USERID:MD5PASSWD\n\nold:" ALONE "\r\n"
                                 "  upper:A8F6830BCE790A8A67FC2E84E12093BA:monitor  \n"
                                 "user:" WITH_USER "\n\teyes:" WITH_USER ":monitor\n"
                                 "scram:" VERIFIER ":admin\ns2:" VERIFIER ":monitor");
    struct pcp_user found;

    (void)state;
    for (size_t n = 0; n < sizeof(expected) / sizeof(expected[0]); n++) {
        assert_int_equal(pcp_users_find(u, expected[n].user, true, &found), PCP_USER_KNOWN);
        assert_int_equal(found.role, expected[n].role);
        assert_int_equal(found.secret.kind, expected[n].kind);
    }
    assert_int_equal(pcp_users_find(u, "upper", true, &found), PCP_USER_KNOWN);
    assert_string_equal(found.secret.md5, ALONE);
    assert_string_equal(pcp_role_name(PCP_ADMIN), "admin");
    assert_string_equal(pcp_role_name(PCP_MONITOR), "monitor");
    pcp_users_free(u);
    pcp_users_free(NULL);
}

static void
faults_are_named_with_their_line(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } wrong[] = {
        {"a:" ALONE "\nnocolon\n", "pcp.conf:2: the line is not of the form"},
        {":" ALONE "\n", "pcp.conf:1: the line is not of the form"},
        {"a:\n", "no known form"},
        {"a:plain\n", "no known form"},
        {"a:" ALONE "0\n", "no known form"},
        {"a:g8f6830bce790a8a67fc2e84e12093ba\n", "no known form"},
        {"a:" ALONE ":boss\n", "pcp.conf:1: there is no role \"boss\""},
        {"a:" ALONE ":admin:\n", "there is no role"},
        {"a:" ALONE ":\n", "there is no role"},
        {"a:" VERIFIER ":Admin\n", "there is no role"},
        {"a:" ALONE "\n#\na:" WITH_USER "\n", "pcp.conf:3: user \"a\" stands in line 1"},
        {"a:SCRAM-SHA-256$x:QUJD$QUJD:QUJD\n", "iteration count"},
        {"a:SCRAM-SHA-256$0:QUJD$QUJD:QUJD\n", "iteration count"},
        {"a:SCRAM-SHA-256$9999999:QUJD$QUJD:QUJD\n", "iteration count"},
        {"a:SCRAM-SHA-256$4096:Q$QUJD:QUJD\n", "salt"},
        {"a:SCRAM-SHA-256$4096:QUJD$QUJD:QUJD\n", "key"},
        {"a:SCRAM-SHA-256$4096\n", "malformed"},
        {"a:SCRAM-SHA-512$4096:QUJD$QUJD:QUJD\n", "no known form"},
    };

    (void)state;
    for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
        struct pcp_users *u = NULL;
        struct err err;

        if (pcp_users_parse(wrong[n].text, strlen(wrong[n].text), "pcp.conf", &u, &err) != -1)
            fail_msg("accepted: %s", wrong[n].text);
        if (strstr(err.message, wrong[n].said) == NULL)
            fail_msg("%s: %s", wrong[n].text, err.message);
        assert_null(u);
    }
}

static void
nobody_learns_who_is_known(void **state)
{
    struct pcp_users *u = parsed("a:" ALONE "\nb:" VERIFIER "\n");
    struct pcp_users *again = parsed("a:" ALONE "\nb:" VERIFIER "\n");
    struct pcp_users *other = parsed("b:" VERIFIER "\na:" ALONE "\n");
    struct pcp_users *empty = parsed("");
    struct pcp_user one;
    struct pcp_user two;

    (void)state;
    /* as the first entry is asked, and always with the same salt */
    assert_int_equal(pcp_users_find(u, "x", true, &one), PCP_USER_UNKNOWN);
    assert_int_equal(one.secret.kind, SECRET_MD5_ALONE);
    assert_int_equal(pcp_users_find(other, "x", true, &one), PCP_USER_UNKNOWN);
    assert_int_equal(one.secret.kind, SECRET_SCRAM);
    assert_int_equal(pcp_users_find(u, "x", false, &one), PCP_USER_UNKNOWN);
    assert_int_equal(pcp_users_find(again, "x", false, &two), PCP_USER_UNKNOWN);
    assert_int_equal(one.secret.kind, SECRET_SCRAM);
    assert_memory_equal(&one.secret, &two.secret, sizeof(one.secret));
    assert_int_equal(one.secret.scram.salt_len, 16);
    pcp_users_find(u, "y", false, &two);
    assert_memory_not_equal(one.secret.scram.salt, two.secret.scram.salt, 16);
    pcp_users_find(other, "x", false, &two);
    assert_memory_not_equal(one.secret.scram.salt, two.secret.scram.salt, 16);
    /* and so is who must not be asked for his password here */
    assert_int_equal(pcp_users_find(u, "a", false, &one), PCP_USER_NEEDS_CLEAR);
    assert_int_equal(one.secret.kind, SECRET_SCRAM);
    assert_int_equal(pcp_users_find(u, "b", false, &one), PCP_USER_KNOWN);
    assert_int_equal(pcp_users_find(empty, "b", true, &one), PCP_USER_UNKNOWN);
    assert_int_equal(one.secret.scram.iterations, 4096);
    pcp_users_free(u);
    pcp_users_free(again);
    pcp_users_free(other);
    pcp_users_free(empty);
}

/* ---- SCRAM ---- */

static void
add_text(struct buf *b, const char *text)
{
    buf_clear(b);
    buf_add_str(b, text);
}

static void
example_of_the_rfc(void **state)
{
    struct scram_verifier v;
    struct scram_server s;
    struct buf in = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct err err;
    bool right;

    (void)state;
    assert_int_equal(scram_verifier_parse(VERIFIER, strlen(VERIFIER), &v, &err), 0);
    scram_server_init(&s, &v);
    add_text(&in, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert_int_equal(scram_server_first(&s, &in, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", &out, &err), 0);
    assert_string_equal(buf_cstr(&out), "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                        "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    buf_clear(&out);
    add_text(&in, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_int_equal(scram_server_final(&s, &in, &out, &right, &err), 0);
    assert_true(right);
    assert_string_equal(buf_cstr(&out), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    scram_server_fini(&s);
    buf_free(&in);
    buf_free(&out);
}

static void
nonsense_in_scram_messages(void **state)
{
    static const char *const firsts[] = {
        "",
        "n",
        "n,,",
        "x,,n=,r=abc",
        "n,a=me,n=,r=abc",
        "p=tls-unique,,n=,r=abc",
        "n,x,n=,r=abc",
        "n,,m=x,n=,r=abc",
        "n,,r=abc",
        "n,,n=,r=",
        "n,,n=",
        "n,,n=,r=a\x01z",
        "n,,n=,r=a b",
    };
    static const char *const finals[] = {
        "",
        "c=biws",
        "c=biws,r=abcOURS",
        "c=eSws,r=abcOURS,p=QUJD",
        "c=biws,r=abc,p=QUJD",
        "c=biws,r=abcOURS,p=QUJD",
        "c=biws,r=abcOURS,p=",
        "c=biws,r=abcOURS,p=!!",
        "r=abcOURS,c=biws,p=QUJD",
        ",p=QUJD",
        "c=biws,r=abcOURSx,p=QUJD",
    };
    struct scram_verifier v;
    struct buf in = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct err err;
    bool right;

    (void)state;
    scram_verifier_parse(VERIFIER, strlen(VERIFIER), &v, &err);
    for (size_t n = 0; n < sizeof(firsts) / sizeof(firsts[0]); n++) {
        struct scram_server s;

        scram_server_init(&s, &v);
        add_text(&in, firsts[n]);
        if (scram_server_first(&s, &in, "OURS", &out, &err) != -1)
            fail_msg("accepted: %s", firsts[n]);
        scram_server_fini(&s);
    }
    for (size_t n = 0; n < sizeof(finals) / sizeof(finals[0]); n++) {
        struct scram_server s;

        scram_server_init(&s, &v);
        add_text(&in, "n,,n=,r=abc");
        assert_int_equal(scram_server_first(&s, &in, "OURS", &out, &err), 0);
        add_text(&in, finals[n]);
        if (scram_server_final(&s, &in, &out, &right, &err) != -1)
            fail_msg("accepted: %s", finals[n]);
        assert_false(right);
        assert_string_equal(err.sqlstate, "08P01");
        scram_server_fini(&s);
    }
    buf_free(&in);
    buf_free(&out);
}

/* ---- whole logins ---- */

/* Lets our client's machine log in to our server's. Returns 0 when it passed. */
static int
log_in(struct challenge *c, const char *user, const char *password, struct err *err)
{
    struct buf to_client = BUF_EMPTY;
    struct buf to_server = BUF_EMPTY;
    struct login l;
    int rc = challenge_begin(c, &to_client, err);

    login_init(&l, user, password, true);
    while (rc == 0 && c->state != CHALLENGE_PASSED) {
        buf_clear(&to_server);
        assert_int_equal(login_step(&l, to_client.data, (uint32_t)to_client.len, &to_server, err),
                         0);
        buf_clear(&to_client);
        rc = challenge_step(c, to_server.data, (uint32_t)to_server.len, &to_client, err);
    }
    if (rc == 0 && to_client.len > 0) /* our signature */
        assert_int_equal(login_step(&l, to_client.data, (uint32_t)to_client.len, &to_server, err),
                         0);
    login_fini(&l);
    buf_free(&to_client);
    buf_free(&to_server);
    return rc;
}

static const char *const forms[] = {ALONE, WITH_USER, VERIFIER};

static int
try(const char *form, const char *password, bool doomed, struct err *err)
{
    struct secret secret;
    struct challenge c;
    int rc;

    assert_int_equal(secret_parse(form, strlen(form), &secret, err), 0);
    challenge_init(&c, "user", &secret);
    c.doomed = doomed;
    rc = log_in(&c, "user", password, err);
    challenge_fini(&c);
    return rc;
}

static void
passwords_are_checked(void **state)
{
    struct err err;

    (void)state;
    for (size_t n = 0; n < 3; n++) {
        assert_int_equal(try(forms[n], "pencil", false, &err), 0);
        assert_int_equal(try(forms[n], "pencil", true, &err), -1);
        assert_string_equal(err.sqlstate, "28P01");
        assert_int_equal(try(forms[n], "Pencil", false, &err), -1);
        assert_string_equal(err.sqlstate, "28P01");
        assert_string_equal(err.message, "password authentication failed for user \"user\"");
        assert_int_equal(try(forms[n], "", false, &err), -1);
    }
}

static void
malformed_messages_fail(void **state)
{
    static const struct {
        const char *form;
        const char *body;
        size_t len;
    } wrong[] = {
        {ALONE, "", 0},
        {ALONE, "pencil", 6},
        {ALONE, "pen\0il", 7},
        {WITH_USER, "", 0},
        {WITH_USER, "md5", 3},
        {VERIFIER, "", 0},
        {VERIFIER, "SCRAM", 5},
        {VERIFIER, "SCRAM-SHA-256", 14},
        {VERIFIER, "SCRAM-SHA-256\0\0\0\0\7n,,n=,r=a", 28},
        {VERIFIER, "SCRAM-SHA-256\0\xff\xff\xff\xff", 18},
        {VERIFIER, "PLAIN\0\0\0\0\1x", 11},
    };

    (void)state;
    for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
        struct buf msg = BUF_EMPTY;
        struct buf out = BUF_EMPTY;
        struct secret secret;
        struct challenge c;
        struct err err;

        secret_parse(wrong[n].form, strlen(wrong[n].form), &secret, &err);
        challenge_init(&c, "user", &secret);
        assert_int_equal(challenge_begin(&c, &out, &err), 0);
        buf_add_u8(&msg, 'p');
        buf_add_u32(&msg, (uint32_t)wrong[n].len + 4);
        buf_add(&msg, wrong[n].body, wrong[n].len);
        if (challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err) != -1)
            fail_msg("accepted: %zu", n);
        assert_string_equal(err.sqlstate, "08P01");
        challenge_fini(&c);
        buf_free(&msg);
        buf_free(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_of_all_forms),
        cmocka_unit_test(faults_are_named_with_their_line),
        cmocka_unit_test(nobody_learns_who_is_known),
        cmocka_unit_test(example_of_the_rfc),
        cmocka_unit_test(nonsense_in_scram_messages),
        cmocka_unit_test(passwords_are_checked),
        cmocka_unit_test(malformed_messages_fail),
    };

    return cmocka_run_group_tests_name("challenge", tests, NULL, NULL);
}
