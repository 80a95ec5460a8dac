/*
 * pool_passwd with entries of all kinds, Pgpool-II's AES texts, credentials, and prepared
 * passwords.
 */
#include "auth/aes.h"
#include "auth/passwd.h"
#include "auth/saslprep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VERIFIER                                                                                   \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static struct passwd *
parsed(const char *text, const char *key)
{
    struct passwd_source source = {.name = "pool_passwd", .key = key};
    struct passwd *p = NULL;
    struct err err;

    if (passwd_parse(text, strlen(text), &source, &p, &err) != 0)
        fail_msg("%s", err.message);
    return p;
}

/* ---- pool_passwd ---- */

static const char all_kinds[] = "# comment\n\nalice:TEXTse:cret\r\nbob:plain\nbob:newer\n"
                                "carol:md5AABBCCDDaabbccddaabbccddaabbccdd\n"
                                "dave:AESDdM/OGbhuY2DN8G/HWXyjA==\nerin:" VERIFIER "\n"
                                "frank:md5 is no hash here\ngina:AESxyz\n"
                                "henry:SCRAM-SHA-256$4096:x$y:z\niris:";

static void
what_clients_must_prove(void **state)
{
    static const struct {
        const char *user;
        int rc;
        enum secret_kind kind;
        const char *text;
    } expected[] = {
        {"alice", 1, SECRET_TEXT, "se:cret"},
        {"bob", 1, SECRET_TEXT, "newer"},
        {"carol", 1, SECRET_MD5, NULL},
        {"dave", 1, SECRET_TEXT, "Z\xc3\xbcrich"},
        {"erin", 1, SECRET_SCRAM, NULL},
        {"frank", 1, SECRET_TEXT, "md5 is no hash here"},
        {"iris", -1, 0, "empty"},
        {"gina", -1, 0, "base64"},
        {"henry", -1, 0, "malformed"},
        {"nobody", 0, 0, NULL},
        {"", 0, 0, NULL},
    };
    struct passwd *p = parsed(all_kinds, "key");
    struct secret secret;
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(expected) / sizeof(expected[0]); n++) {
        int rc = passwd_secret(p, expected[n].user, &secret, &err);

        assert_int_equal(rc, expected[n].rc);
        if (rc == -1) {
            assert_non_null(strstr(err.message, expected[n].text));
            assert_non_null(strstr(err.message, expected[n].user));
        }
        if (rc == 1)
            assert_int_equal(secret.kind, expected[n].kind);
        if (rc == 1 && expected[n].text != NULL)
            assert_string_equal(secret.text->password, expected[n].text);
        secret_fini(&secret);
    }
    assert_int_equal(passwd_secret(NULL, "alice", &secret, &err), 0);
    passwd_free(p);
    passwd_free(NULL);
}

static void
what_we_can_prove(void **state)
{
    struct passwd *p = parsed(all_kinds, NULL);
    struct credentials *c = passwd_credentials(p, "alice");
    const char *password;
    struct err err;

    (void)state;
    assert_int_equal(c->kind, CREDENTIALS_PASSWORD);
    assert_string_equal(c->password, "se:cret");
    credentials_unref(c);
    c = passwd_credentials(p, "carol");
    assert_int_equal(c->kind, CREDENTIALS_MD5);
    assert_string_equal(c->md5, "aabbccddaabbccddaabbccddaabbccdd");
    credentials_unref(c);
    assert_null(passwd_credentials(p, "dave")); /* there is no key */
    assert_null(passwd_credentials(p, "erin"));
    assert_null(passwd_credentials(p, "nobody"));
    assert_null(passwd_credentials(NULL, "alice"));
    assert_int_equal(passwd_find(p, "alice", &password, &err), 0);
    assert_string_equal(password, "se:cret");
    assert_int_equal(passwd_find(p, "nobody", &password, &err), 0);
    assert_null(password);
    assert_int_equal(passwd_find(NULL, "alice", &password, &err), 0);
    assert_int_equal(passwd_find(p, "carol", &password, &err), -1);
    assert_non_null(strstr(err.message, "md5"));
    assert_int_equal(passwd_find(p, "erin", &password, &err), -1);
    assert_non_null(strstr(err.hint, "erin:TEXT"));
    assert_int_equal(passwd_find(p, "dave", &password, &err), -1);
    assert_non_null(strstr(err.message, "there is no key"));
    passwd_free(p);
}

static void
bad_lines_are_named(void **state)
{
    struct passwd_source source = {.name = "f"};
    struct passwd *p = NULL;
    struct err err;
    char *line = calloc(1, PASSWD_LINE_MAX + 10);

    (void)state;
    assert_int_equal(passwd_parse("a:b\nnocolon\n", 12, &source, &p, &err), -1);
    assert_non_null(strstr(err.message, "f:2: "));
    assert_int_equal(passwd_parse(":x\n", 3, &source, &p, &err), -1);
    assert_int_equal(passwd_parse("a\0b:x\n", 6, &source, &p, &err), -1);
    memset(line, 'a', PASSWD_LINE_MAX + 1);
    line[1] = ':';
    assert_int_equal(passwd_parse(line, PASSWD_LINE_MAX + 1, &source, &p, &err), -1);
    assert_int_equal(passwd_parse(NULL, 0, &source, &p, &err), 0);
    assert_false(passwd_fault(p, &err));
    assert_false(passwd_fault(NULL, &err));
    passwd_free(p);
    p = parsed("a:b\nc:AESxyz\nd:SCRAM-SHA-256$\n", "key");
    assert_true(passwd_fault(p, &err));
    assert_non_null(strstr(err.message, "pool_passwd:2: "));
    assert_non_null(strstr(err.hint, "TEXT"));
    passwd_free(p);
    free(line);
}

static void
passwords_of_the_configuration(void **state)
{
    struct passwd *p = parsed("", "key");
    struct passwd *keyless = parsed("", NULL);
    struct buf aes = BUF_EMPTY;
    const char *password;
    struct err err;

    (void)state;
    buf_add_str(&aes, "AES");
    assert_int_equal(aes_encrypt("key", "of a watcher", &aes, &err), 0);
    password = passwd_configured(p, buf_cstr(&aes), &err);
    assert_string_equal(password, "of a watcher");
    assert_ptr_equal(passwd_configured(p, buf_cstr(&aes), &err), password);
    assert_string_equal(passwd_configured(p, "TEXTAESop", &err), "AESop");
    assert_string_equal(passwd_configured(p, "bare", &err), "bare");
    assert_string_equal(passwd_configured(NULL, "TEXTx", &err), "x");
    assert_null(passwd_configured(p, "AESop", &err));
    assert_null(passwd_configured(keyless, buf_cstr(&aes), &err));
    assert_non_null(strstr(err.hint, ".pgpoolkey"));
    assert_null(passwd_configured(NULL, buf_cstr(&aes), &err));
    buf_free(&aes);
    passwd_free(p);
    passwd_free(keyless);
}

/* ---- AES ---- */

/* Made by Pgpool-II's own pg_enc 4.3.5. */
static const struct {
    const char *key;
    const char *password;
    const char *base64;
} of_pgpool_ii[] = {
    {"k", "foo", "nYFSK8zMrzXLZ7Qc8D2VhA=="},
    {"a key", "of a watcher, 16+ bytes long", "zNcIEDeiIEAOeylsUWIeKmxor2NuSbldYqgIlwlKh40="},
    {"key", "Z\xc3\xbcrich", "DdM/OGbhuY2DN8G/HWXyjA=="},
};

static void
texts_of_pgpool_ii(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(of_pgpool_ii) / sizeof(of_pgpool_ii[0]); n++) {
        struct buf out = BUF_EMPTY;
        struct err err;
        char *text;

        assert_int_equal(aes_encrypt(of_pgpool_ii[n].key, of_pgpool_ii[n].password, &out, &err), 0);
        assert_string_equal(buf_cstr(&out), of_pgpool_ii[n].base64);
        text = aes_decrypt(of_pgpool_ii[n].key, of_pgpool_ii[n].base64, &err);
        assert_string_equal(text, of_pgpool_ii[n].password);
        saslprep_free(text);
        text = aes_decrypt("not the key", of_pgpool_ii[n].base64, &err);
        assert_true(text == NULL || strcmp(text, of_pgpool_ii[n].password) != 0);
        saslprep_free(text);
        buf_free(&out);
    }
}

static void
texts_that_are_none(void **state)
{
    static const char *const wrong[] = {"", "x", "!!!!", "QUJD", "QUJDQUJDQUJDQUJDQUJDQQ=="};
    char *huge = calloc(1, 4001);
    struct err err;

    (void)state;
    for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
        assert_null(aes_decrypt("key", wrong[n], &err));
        assert_string_equal(err.sqlstate, "F0000");
    }
    memset(huge, 'A', 4000);
    assert_null(aes_decrypt("key", huge, &err));
    free(huge);
}

/* ---- credentials ---- */

static struct scram_keys
salted(const char *salt, uint32_t iterations)
{
    struct scram_keys keys = {.iterations = iterations, .salt_len = (uint32_t)strlen(salt)};

    memcpy(keys.salt, salt, strlen(salt));
    return keys;
}

static void
keys_are_derived_once(void **state)
{
    struct credentials *c = credentials_password("pencil");
    struct scram_keys first = salted("salt", 4096);
    struct scram_keys again = salted("salt", 4096);
    struct scram_keys other = salted("pepper", 4096);
    struct scram_keys third = salted("sugar", 1);
    struct scram_keys many = salted("salt", SCRAM_DERIVE_MAX + 1);
    struct err err;

    (void)state;
    assert_int_equal(credentials_keys(c, &first, &err), 0);
    assert_memory_equal(&c->derived[0], &first, sizeof(first));
    memset(c->derived[0].client_key, 7, SCRAM_KEY_BYTES); /* shows where the next come from */
    assert_int_equal(credentials_keys(c, &again, &err), 0);
    assert_int_equal(again.client_key[0], 7);
    assert_int_equal(credentials_keys(c, &other, &err), 0);
    assert_memory_not_equal(other.client_key, first.client_key, SCRAM_KEY_BYTES);
    assert_int_equal(credentials_keys(c, &third, &err), 0); /* the first is forgotten */
    assert_int_equal(credentials_keys(c, &again, &err), 0);
    assert_memory_equal(again.client_key, first.client_key, SCRAM_KEY_BYTES);
    assert_int_equal(credentials_keys(c, &many, &err), -1);
    assert_string_equal(err.sqlstate, "0A000");
    credentials_unref(c);
}

static void
keys_that_were_proved(void **state)
{
    struct scram_keys keys = salted("salt", SCRAM_DERIVE_MAX * 5);
    struct scram_keys same = salted("salt", SCRAM_DERIVE_MAX * 5);
    struct scram_keys other = salted("pepper", SCRAM_DERIVE_MAX * 5);
    struct scram_keys fewer = salted("salt", 4096);
    struct credentials *c;
    struct credentials *md5 = credentials_md5("aabbccddaabbccddaabbccddaabbccdd");
    struct err err;

    (void)state;
    memset(keys.client_key, 1, sizeof(keys.client_key));
    memset(keys.server_key, 2, sizeof(keys.server_key));
    c = credentials_scram(&keys);
    assert_int_equal(credentials_keys(c, &same, &err), 0);
    assert_memory_equal(&same, &keys, sizeof(keys));
    assert_int_equal(credentials_keys(c, &other, &err), -1);
    assert_string_equal(err.sqlstate, "28000");
    assert_int_equal(credentials_keys(c, &fewer, &err), -1);
    assert_int_equal(credentials_keys(md5, &same, &err), -1);
    credentials_unref(c);
    credentials_unref(md5);
}

static void
equality(void **state)
{
    struct scram_keys keys = salted("salt", 4096);
    struct scram_keys other = salted("salt", 4096);
    struct credentials *list[7];

    (void)state;
    other.client_key[3] = 1;
    list[0] = NULL;
    list[1] = credentials_password("a");
    list[2] = credentials_password("ab");
    list[3] = credentials_md5("aabbccddaabbccddaabbccddaabbccdd");
    list[4] = credentials_md5("bbbbccddaabbccddaabbccddaabbccdd");
    list[5] = credentials_scram(&keys);
    list[6] = credentials_scram(&other);
    for (int a = 0; a < 7; a++) {
        for (int b = 0; b < 7; b++)
            assert_int_equal(credentials_equal(list[a], list[b]), a == b);
    }
    for (int a = 1; a < 7; a += 2) {
        struct credentials *twin = a == 1   ? credentials_password("a")
                                   : a == 3 ? credentials_md5("aabbccddaabbccddaabbccddaabbccdd")
                                            : credentials_scram(&keys);
        assert_true(credentials_equal(list[a], twin));
        credentials_unref(twin);
    }
    assert_null(credentials_ref(NULL));
    assert_ptr_equal(credentials_ref(list[1]), list[1]);
    credentials_unref(list[1]);
    for (int a = 0; a < 7; a++)
        credentials_unref(list[a]);
}

/* ---- verifiers and prepared passwords ---- */

static void
verifiers_as_text(void **state)
{
    struct scram_verifier v;
    struct scram_verifier made;
    struct scram_keys keys;
    struct buf text = BUF_EMPTY;
    struct err err;

    (void)state;
    assert_int_equal(scram_verifier_parse(VERIFIER, strlen(VERIFIER), &v, &err), 0);
    scram_verifier_text(&v, &text);
    assert_string_equal(buf_cstr(&text), VERIFIER);
    keys = (struct scram_keys){.iterations = v.iterations, .salt_len = v.salt_len};
    memcpy(keys.salt, v.salt, sizeof(keys.salt));
    assert_int_equal(scram_derive("pencil", &keys, &err), 0);
    assert_true(scram_verifier_of(&keys, &made));
    assert_memory_equal(&made, &v, sizeof(v));
    keys.iterations = 0;
    assert_int_equal(scram_derive("pencil", &keys, &err), -1);
    buf_free(&text);
}

static void
stored_passwords_of_roles(void **state)
{
    struct secret secret;
    struct err err;

    (void)state;
    assert_int_equal(secret_parse_role(VERIFIER, strlen(VERIFIER), &secret, &err), 0);
    assert_int_equal(secret.kind, SECRET_SCRAM);
    assert_int_equal(secret_parse_role("md5aabbccddaabbccddaabbccddaabbccdd", 35, &secret, &err),
                     0);
    assert_int_equal(secret.kind, SECRET_MD5);
    assert_int_equal(secret_parse_role("aabbccddaabbccddaabbccddaabbccdd", 32, &secret, &err), -1);
    assert_int_equal(secret_parse_role("", 0, &secret, &err), -1);
    assert_string_equal(err.sqlstate, "F0000");
}

static void
prepared_passwords(void **state)
{
    /* RFC 4013, section 3, and what PostgreSQL leaves as it is */
    static const char *const pairs[][2] = {
        {"", ""},
        {"user", "user"},
        {"USER", "USER"},
        {"I\xc2\xadX", "IX"},                     /* soft hyphen */
        {"\xc2\xaa", "a"},                        /* feminine ordinal */
        {"\xe2\x85\xa8", "IX"},                   /* roman numeral nine */
        {"\x07", "\x07"},                         /* ASCII is not looked at */
        {"\x07\xc2\xaa", "\x07\xc2\xaa"},         /* prohibited */
        {"\xd8\xa7\x31", "\xd8\xa7\x31"},         /* both directions */
        {"a\xc2\xa0z", "a z"},                    /* no-break space */
        {"\xc2\xad", "\xc2\xad"},                 /* nothing would be left */
        {"\xff\xfe", "\xff\xfe"},                 /* no UTF-8 */
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}, /* not assigned in Unicode 3.2 */
        {"a\xcd\x80", "a\xcd\x80"},               /* U+0340 */
        {"\xf0\xaf\xa1\xa8\xf0\xaf\xa6\xbf.", "\xe3\x9b\xbc\xe4\xb5\x97."}, /* corrected */
        {"e\xcc\x81", "\xc3\xa9"},                                          /* composed */
        {"\xe2\x80\x8b\x61", " a"},                                         /* zero width space */
    };

    (void)state;
    for (size_t n = 0; n < sizeof(pairs) / sizeof(pairs[0]); n++) {
        char *prepared = saslprep(pairs[n][0]);

        if (strcmp(prepared, pairs[n][1]) != 0)
            fail_msg("%zu: \"%s\"", n, prepared);
        saslprep_free(prepared);
    }
    saslprep_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_must_prove),
        cmocka_unit_test(what_we_can_prove),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(passwords_of_the_configuration),
        cmocka_unit_test(texts_of_pgpool_ii),
        cmocka_unit_test(texts_that_are_none),
        cmocka_unit_test(keys_are_derived_once),
        cmocka_unit_test(keys_that_were_proved),
        cmocka_unit_test(equality),
        cmocka_unit_test(verifiers_as_text),
        cmocka_unit_test(stored_passwords_of_roles),
        cmocka_unit_test(prepared_passwords),
    };

    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
