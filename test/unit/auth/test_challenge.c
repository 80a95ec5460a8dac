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
        {"a:SCRAM-SHA-256$4294967295:QUJD$QUJD:QUJD\n", "iteration count"},
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

static const struct scram_binding unbound = {.state = SCRAM_UNBOUND};

static void
add_text(struct buf *b, const char *text)
{
    buf_clear(b);
    buf_add_str(b, text);
}

static bool
is_key_of(const uint8_t *client_key, const char *password, const struct scram_verifier *v)
{
    struct scram_keys keys = {.iterations = v->iterations, .salt_len = v->salt_len};
    struct err err;

    memcpy(keys.salt, v->salt, sizeof(keys.salt));
    assert_int_equal(scram_derive(password, &keys, &err), 0);
    return memcmp(keys.client_key, client_key, SCRAM_KEY_BYTES) == 0;
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
    scram_server_init(&s, &v, &unbound);
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
    assert_true(is_key_of(s.client_key, "pencil", &v));
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
        "y",
        "y,",
        "n,",
        "nn,,n=,r=abc",
        "p=tls-server-end-point,,n=,r=abc",
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

        scram_server_init(&s, &v, &unbound);
        add_text(&in, firsts[n]);
        if (scram_server_first(&s, &in, "OURS", &out, &err) != -1)
            fail_msg("accepted: %s", firsts[n]);
        scram_server_fini(&s);
    }
    for (size_t n = 0; n < sizeof(finals) / sizeof(finals[0]); n++) {
        struct scram_server s;

        scram_server_init(&s, &v, &unbound);
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

static const uint8_t mock_key[SECRET_MOCK_KEY_BYTES] = "the key of this pgpool, 32 byte";
static const uint8_t our_binding[32] = "the hash of our certificate....";
static const uint8_t their_binding[32] = "of somebody in between's, rather";

/* Lets our client's machine log in to our server's. Returns 0 when it passed. */
static int
log_in(struct challenge *c, const char *user, const struct credentials *credentials,
       const struct login_channel *channel, struct err *err)
{
    struct buf to_client = BUF_EMPTY;
    struct buf to_server = BUF_EMPTY;
    struct login l;
    int rc = challenge_begin(c, &to_client, err);

    login_init(&l, user, credentials, channel);
    while (rc == 0 && c->state != CHALLENGE_PASSED) {
        buf_clear(&to_server);
        rc = login_step(&l, to_client.data, (uint32_t)to_client.len, &to_server, err);
        buf_clear(&to_client);
        if (rc == 0)
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

static const struct login_channel safe = {.is_safe = true};

/* text: the password of a SECRET_TEXT, or one of the other forms. */
static void
secret_of(const char *text, struct secret *secret)
{
    struct credentials *c;
    struct err err;

    if (secret_parse(text, strlen(text), secret, &err) == 0)
        return;
    c = credentials_password(text);
    secret_of_text(c, secret);
    credentials_unref(c);
}

struct attempt {
    enum challenge_method method;
    const char *secret;
    const char *password;
    bool doomed;
};

/* *proved_r: what was proved, or NULL; the caller's. */
static int
attempt(const struct attempt *a, struct credentials **proved_r, struct err *err)
{
    const struct challenge_channel channel = {.mock_key = mock_key};
    struct credentials *credentials = credentials_password(a->password);
    struct secret secret;
    struct challenge c;
    int rc;

    secret_of(a->secret, &secret);
    challenge_init(&c, a->method, "user", &secret, &channel);
    secret_fini(&secret);
    if (a->doomed)
        c.doomed = true;
    rc = log_in(&c, "user", credentials, &safe, err);
    *proved_r = challenge_credentials(&c);
    assert_int_equal(rc == 0, *proved_r != NULL);
    challenge_fini(&c);
    credentials_unref(credentials);
    return rc;
}

static int
try(enum challenge_method method, const char *secret, const char *password, struct err *err)
{
    struct attempt a = {method, secret, password, false};
    struct credentials *proved;
    int rc = attempt(&a, &proved, err);

    credentials_unref(proved);
    return rc;
}

static const struct {
    enum challenge_method method;
    const char *secret;
    bool possible;
    enum credentials_kind proved;
} logins[] = {
    {CHALLENGE_CLEAR, ALONE, true, CREDENTIALS_PASSWORD},
    {CHALLENGE_CLEAR, WITH_USER, true, CREDENTIALS_PASSWORD},
    {CHALLENGE_CLEAR, VERIFIER, true, CREDENTIALS_PASSWORD},
    {CHALLENGE_CLEAR, "pencil", true, CREDENTIALS_PASSWORD},
    {CHALLENGE_MD5, ALONE, false, 0},
    {CHALLENGE_MD5, WITH_USER, true, CREDENTIALS_MD5},
    {CHALLENGE_MD5, VERIFIER, true, CREDENTIALS_SCRAM},
    {CHALLENGE_MD5, "pencil", true, CREDENTIALS_PASSWORD},
    {CHALLENGE_SCRAM, ALONE, false, 0},
    {CHALLENGE_SCRAM, WITH_USER, false, 0},
    {CHALLENGE_SCRAM, VERIFIER, true, CREDENTIALS_SCRAM},
    {CHALLENGE_SCRAM, "pencil", true, CREDENTIALS_PASSWORD},
};

static void
passwords_are_checked(void **state)
{
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(logins) / sizeof(logins[0]); n++) {
        struct attempt a = {logins[n].method, logins[n].secret, "pencil", false};
        struct credentials *proved;
        int rc = attempt(&a, &proved, &err);

        assert_int_equal(rc, logins[n].possible ? 0 : -1);
        if (rc == 0)
            assert_int_equal(proved->kind, logins[n].proved);
        else
            assert_string_equal(err.sqlstate, "28P01");
        credentials_unref(proved);
        a.doomed = true;
        assert_int_equal(attempt(&a, &proved, &err), -1);
        assert_string_equal(err.sqlstate, "28P01");
        assert_int_equal(try(a.method, a.secret, "Pencil", &err), -1);
        assert_string_equal(err.sqlstate, "28P01");
        assert_string_equal(err.message, "password authentication failed for user \"user\"");
        assert_int_equal(try(a.method, a.secret, "pencil2", &err), -1);
    }
}

static void
no_empty_password(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(try(CHALLENGE_CLEAR, "pencil", "", &err), -1);
    assert_string_equal(err.sqlstate, "28P01");
    assert_non_null(strstr(err.message, "empty password"));
    assert_int_equal(try(CHALLENGE_CLEAR, VERIFIER, "", &err), -1);
    assert_int_equal(try(CHALLENGE_SCRAM, VERIFIER, "", &err), -1);
}

/* What a client has proved logs us in to a server that keeps the same, and to no other. */
static void
proofs_log_in_to_servers(void **state)
{
    static const struct {
        enum challenge_method method;
        const char *secret;
        enum challenge_method servers;
        const char *servers_secret;
        int rc;
    } cases[] = {
        {CHALLENGE_SCRAM, VERIFIER, CHALLENGE_SCRAM, VERIFIER, 0},
        {CHALLENGE_SCRAM, VERIFIER, CHALLENGE_MD5, VERIFIER, 0},
        {CHALLENGE_SCRAM, VERIFIER, CHALLENGE_MD5, WITH_USER, -1},
        {CHALLENGE_SCRAM, VERIFIER, CHALLENGE_CLEAR, VERIFIER, -1},
        {CHALLENGE_SCRAM, VERIFIER, CHALLENGE_SCRAM, "pencil", -1}, /* another salt */
        {CHALLENGE_MD5, WITH_USER, CHALLENGE_MD5, WITH_USER, 0},
        {CHALLENGE_MD5, WITH_USER, CHALLENGE_SCRAM, VERIFIER, -1},
        {CHALLENGE_SCRAM, "pencil", CHALLENGE_SCRAM, VERIFIER, 0},
        {CHALLENGE_SCRAM, "pencil", CHALLENGE_MD5, WITH_USER, 0},
        {CHALLENGE_SCRAM, "pencil", CHALLENGE_CLEAR, ALONE, 0},
        {CHALLENGE_CLEAR, VERIFIER, CHALLENGE_CLEAR, ALONE, 0},
    };

    (void)state;
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct attempt a = {cases[n].method, cases[n].secret, "pencil", false};
        struct credentials *proved;
        struct secret secret;
        struct challenge c;
        struct err err;

        assert_int_equal(attempt(&a, &proved, &err), 0);
        secret_of(cases[n].servers_secret, &secret);
        challenge_init(&c, cases[n].servers, "user", &secret, NULL);
        secret_fini(&secret);
        if (log_in(&c, "user", proved, &safe, &err) != cases[n].rc)
            fail_msg("%zu: %s", n, err.message);
        challenge_fini(&c);
        credentials_unref(proved);
    }
}

static void
channel_binding(void **state)
{
    static const struct {
        struct challenge_channel ours;
        struct login_channel theirs;
        const char *sqlstate; /* NULL: it works */
    } cases[] = {
        {{true, our_binding, 32, NULL}, {true, true, our_binding, 32}, NULL},
        {{true, our_binding, 32, NULL}, {true, true, NULL, 0}, NULL},
        {{true, our_binding, 32, NULL}, {true, true, their_binding, 32}, "28000"},
        {{true, our_binding, 31, NULL}, {true, true, our_binding, 32}, "28000"},
        {{true, NULL, 0, NULL}, {true, true, our_binding, 32}, NULL}, /* "y", and true */
        {{false, our_binding, 32, NULL}, {true, true, our_binding, 32}, NULL},
    };
    struct credentials *credentials = credentials_password("pencil");
    struct secret secret;

    (void)state;
    secret_of(VERIFIER, &secret);
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct challenge c;
        struct err err;
        int rc;

        challenge_init(&c, CHALLENGE_SCRAM, "user", &secret, &cases[n].ours);
        rc = log_in(&c, "user", credentials, &cases[n].theirs, &err);
        assert_int_equal(rc, cases[n].sqlstate == NULL ? 0 : -1);
        if (rc != 0)
            assert_string_equal(err.sqlstate, cases[n].sqlstate);
        challenge_fini(&c);
    }
    secret_fini(&secret);
    credentials_unref(credentials);
}

/* SCRAM's first message by itself, behind an empty one of ours; and what binds wrongly. */
static int
say_first(struct challenge *c, const char *mechanism, const char *first, struct err *err)
{
    struct buf msg = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    int rc;

    assert_int_equal(challenge_begin(c, &out, err), 0);
    build_sasl_initial(&msg, mechanism, first, strlen(first));
    rc = challenge_step(c, msg.data, (uint32_t)msg.len, &out, err);
    buf_free(&msg);
    buf_free(&out);
    return rc;
}

static void
clients_that_bind_wrongly(void **state)
{
    static const struct challenge_channel channel = {true, our_binding, 32, NULL};
    static const struct {
        const char *mechanism;
        const char *first;
        const char *sqlstate;
    } cases[] = {
        {"SCRAM-SHA-256", "y,,n=,r=abc", "28000"}, /* somebody took our offer away */
        {"SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc", "08P01"},
        {"SCRAM-SHA-256-PLUS", "n,,n=,r=abc", "08P01"},
        {"SCRAM-SHA-256-PLUS", "y,,n=,r=abc", "08P01"},
        {"SCRAM-SHA-256-PLUS", "p=tls-unique,,n=,r=abc", "08P01"},
        {"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,x,n=,r=abc", "08P01"},
        {"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,a=me,n=,r=abc", "0A000"},
        {"SCRAM-SHA-256-PLUS", "p=,,n=,r=abc", "08P01"},
        {"SCRAM-SHA-512", "n,,n=,r=abc", "08P01"},
    };
    struct secret secret;
    struct challenge c;
    struct err err;

    (void)state;
    secret_of(VERIFIER, &secret);
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        challenge_init(&c, CHALLENGE_SCRAM, "user", &secret, &channel);
        if (say_first(&c, cases[n].mechanism, cases[n].first, &err) != -1)
            fail_msg("accepted: %s", cases[n].first);
        assert_string_equal(err.sqlstate, cases[n].sqlstate);
        challenge_fini(&c);
    }
    challenge_init(&c, CHALLENGE_SCRAM, "user", &secret, &channel);
    assert_int_equal(say_first(&c, "SCRAM-SHA-256", "n,,n=,r=abc", &err), 0);
    challenge_fini(&c);
    secret_fini(&secret);
}

static void
mechanism_without_a_message(void **state)
{
    static const char body[] = "SCRAM-SHA-256\0\xff\xff\xff\xff";
    struct secret secret;
    struct challenge c;
    struct buf msg = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct err err;

    (void)state;
    secret_of(VERIFIER, &secret);
    challenge_init(&c, CHALLENGE_SCRAM, "user", &secret, NULL);
    secret_fini(&secret);
    assert_int_equal(challenge_begin(&c, &out, &err), 0);
    buf_add_u8(&msg, 'p');
    buf_add_u32(&msg, sizeof(body) - 1 + 4);
    buf_add(&msg, body, sizeof(body) - 1);
    buf_clear(&out);
    assert_int_equal(challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err), 0);
    assert_int_equal(out.len, 9);
    assert_int_equal(c.state, CHALLENGE_FIRST);
    buf_clear(&msg);
    build_sasl_response(&msg, "n,,n=,r=abc", 11);
    assert_int_equal(challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err), 0);
    assert_int_equal(c.state, CHALLENGE_PROOF);
    challenge_fini(&c);
    buf_free(&msg);
    buf_free(&out);
}

static void
unknown_roles_look_like_others(void **state)
{
    static const uint8_t other_key[SECRET_MOCK_KEY_BYTES] = "another";
    struct secret one, again, other, third;
    struct scram_keys salt;
    struct err err;

    (void)state;
    secret_mock("nobody", mock_key, &one);
    secret_mock("nobody", mock_key, &again);
    secret_mock("nobody2", mock_key, &other);
    secret_mock("nobody", other_key, &third);
    assert_memory_equal(&one, &again, sizeof(one));
    assert_int_equal(one.kind, SECRET_SCRAM);
    assert_int_equal(one.scram.iterations, 4096);
    assert_int_equal(one.scram.salt_len, 16);
    assert_int_equal(strlen(one.md5), 32);
    assert_memory_not_equal(one.scram.salt, other.scram.salt, 16);
    assert_memory_not_equal(one.scram.salt, third.scram.salt, 16);
    assert_memory_not_equal(one.md5, other.md5, 32);
    /* the same salt as of a role whose password stands in pool_passwd */
    secret_salt("nobody", mock_key, &salt);
    assert_memory_equal(salt.salt, one.scram.salt, 16);
    for (enum challenge_method m = CHALLENGE_CLEAR; m <= CHALLENGE_SCRAM; m++) {
        struct credentials *c = credentials_password("pencil");
        struct challenge ch;

        challenge_init(&ch, m, "nobody", &one, NULL);
        assert_int_equal(log_in(&ch, "nobody", c, &safe, &err), -1);
        assert_string_equal(err.sqlstate, "28P01");
        challenge_fini(&ch);
        one.kind = SECRET_MD5;
        challenge_init(&ch, m, "nobody", &one, NULL);
        assert_int_equal(log_in(&ch, "nobody", c, &safe, &err), -1);
        assert_string_equal(err.sqlstate, "28P01");
        challenge_fini(&ch);
        one.kind = SECRET_SCRAM;
        credentials_unref(c);
    }
}

/* A verifier with too many iterations costs nothing where the client derives; in the clear we would
 * have to. */
static void
many_iterations(void **state)
{
    struct secret secret;
    struct challenge c;
    struct credentials *credentials = credentials_password("pencil");
    struct err err;

    (void)state;
    secret_of(VERIFIER, &secret);
    secret.scram.iterations = 2000000;
    challenge_init(&c, CHALLENGE_SCRAM, "user", &secret, NULL);
    assert_int_equal(say_first(&c, "SCRAM-SHA-256", "n,,n=,r=abc", &err), 0);
    challenge_fini(&c);
    challenge_init(&c, CHALLENGE_CLEAR, "user", &secret, NULL);
    assert_int_equal(log_in(&c, "user", credentials, &safe, &err), -1);
    assert_string_equal(err.sqlstate, "0A000");
    challenge_fini(&c);
    secret_fini(&secret);
    credentials_unref(credentials);
}

static void
nothing_comes_behind_the_end(void **state)
{
    struct credentials *credentials = credentials_password("pencil");
    struct buf msg = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct secret secret;
    struct challenge c = {0};
    struct err err;

    (void)state;
    challenge_fini(&c);
    secret_of("pencil", &secret);
    challenge_init(&c, CHALLENGE_CLEAR, "user", &secret, NULL);
    assert_null(challenge_credentials(&c));
    assert_int_equal(log_in(&c, "user", credentials, &safe, &err), 0);
    build_password(&msg, "pencil");
    assert_int_equal(challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err), -1);
    assert_string_equal(err.sqlstate, "08P01");
    msg.data[0] = 'Q';
    assert_int_equal(challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err), -1);
    assert_null(challenge_text(msg.data, (uint32_t)msg.len, &err));
    challenge_fini(&c);
    secret_fini(&secret);
    credentials_unref(credentials);
    buf_free(&msg);
    buf_free(&out);
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
        {ALONE, "pencil\0\0", 8},
        {WITH_USER, "", 0},
        {WITH_USER, "md5", 3},
        {VERIFIER, "", 0},
        {VERIFIER, "SCRAM", 5},
        {VERIFIER, "SCRAM-SHA-256", 14},
        {VERIFIER, "SCRAM-SHA-256\0\0\0\0\7n,,n=,r=a", 28},
        {VERIFIER, "SCRAM-SHA-256\0\xff\xff\xff\xffx", 19},
        {VERIFIER, "SCRAM-SHA-256\0\xff\xff\xff\xfe", 18},
        {VERIFIER, "SCRAM-SHA-256-PLUS\0\0\0\0\1x", 24},
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
        challenge_init(&c, challenge_method_for(&secret), "user", &secret, NULL);
        assert_int_equal(challenge_begin(&c, &out, &err), 0);
        buf_add_u8(&msg, 'p');
        buf_add_u32(&msg, (uint32_t)wrong[n].len + 4);
        buf_add(&msg, wrong[n].body, wrong[n].len);
        if (challenge_step(&c, msg.data, (uint32_t)msg.len, &out, &err) != -1)
            fail_msg("accepted: %zu", n);
        assert_string_equal(err.sqlstate, "08P01");
        assert_null(challenge_credentials(&c));
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
        cmocka_unit_test(no_empty_password),
        cmocka_unit_test(proofs_log_in_to_servers),
        cmocka_unit_test(channel_binding),
        cmocka_unit_test(clients_that_bind_wrongly),
        cmocka_unit_test(mechanism_without_a_message),
        cmocka_unit_test(unknown_roles_look_like_others),
        cmocka_unit_test(many_iterations),
        cmocka_unit_test(nothing_comes_behind_the_end),
        cmocka_unit_test(malformed_messages_fail),
    };

    return cmocka_run_group_tests_name("challenge", tests, NULL, NULL);
}
