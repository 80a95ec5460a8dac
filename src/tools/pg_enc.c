/*
 * pg_enc and pg_md5: the command lines of Pgpool-II's tools, and SCRAM verifiers.
 *
 * Options and output are those of Pgpool-II's, but for --scram, for passwords that come through a
 * pipe, and for the exit status: 0 only on success, 1 when it failed, 2 for a wrong command line.
 * Passwords are wiped from memory; those of the command line others may have seen already.
 */
#include "config.h"

#include "tools/pg_enc.h"

#include "auth/aes.h"
#include "auth/md5.h"
#include "auth/scram_keys.h"
#include "base/arena.h"
#include "base/str.h"
#include "os/file.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum { STATUS_FAILED = 1, STATUS_USAGE = 2, TYPED_MAX = 1024, SALT_BYTES = 16, PATH_BYTES = 4096 };
enum { KEY_FILE_MAX = 64 * 1024, PASSWORD_MAX = 1000 }; /* encrypted, it must fit aes_decrypt() */

static int
failed(const struct pg_enc *p, const struct err *err)
{
    fprintf(stderr, "%s: %s%s%s%s\n", p->tool, err->message, err->hint[0] != '\0' ? " (hint: " : "",
            err->hint, err->hint[0] != '\0' ? ")" : "");
    return STATUS_FAILED;
}

/* ---- what is typed ---- */

/* A line of standard input, not shown where that is a terminal. */
static int
type_in(const char *what, char line[TYPED_MAX], struct err *err)
{
    struct termios before;
    struct termios quiet;
    bool hidden = tcgetattr(STDIN_FILENO, &before) == 0;
    bool got;

    if (hidden) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        printf("%s: ", what);
        fflush(stdout);
    }
    got = fgets(line, TYPED_MAX, stdin) != NULL;
    if (hidden) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        printf("\n");
    }
    if (!got)
        return err_set(err, NULL, "there is no %s on standard input", what);
    if (strchr(line, '\n') == NULL && strlen(line) == TYPED_MAX - 1)
        return err_set(err, NULL, "the %s is longer than %d bytes", what, TYPED_MAX - 2);
    line[strcspn(line, "\r\n")] = '\0';
    return 0;
}

/* ---- the key ---- */

static void
key_path(const struct pg_enc *p, char path[PATH_BYTES])
{
    const char *named = getenv("PGPOOLKEYFILE");
    const char *home = getenv("HOME");
    const struct passwd *pw = home == NULL ? getpwuid(geteuid()) : NULL;

    if (p->key_file != NULL)
        str_copy(path, PATH_BYTES, p->key_file);
    else if (named != NULL && named[0] != '\0')
        str_copy(path, PATH_BYTES, named);
    else
        snprintf(path, PATH_BYTES, "%s/.pgpoolkey",
                 home != NULL ? home
                 : pw != NULL ? pw->pw_dir
                              : "");
}

static int
read_key(const struct pg_enc *p, char key[TYPED_MAX], struct err *err)
{
    char path[PATH_BYTES];
    struct buf text = BUF_EMPTY;
    struct stat st;
    int rc;

    if (p->ask_key)
        return type_in("encryption key", key, err);
    if (p->key != NULL) {
        if (!str_copy(key, TYPED_MAX, p->key))
            return err_set(err, NULL, "the encryption key is longer than %d bytes", TYPED_MAX - 1);
        return 0;
    }
    key_path(p, path);
    printf("trying to read key from file %s\n", path);
    if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
        return err_set(err, NULL, "%s: others than its owner can use this file (hint: chmod 600)",
                       path);
    rc = file_read(path, KEY_FILE_MAX, &text, err);
    if (rc == 0) {
        text.len = strcspn(buf_cstr(&text), "\r\n");
        if (!str_copy(key, TYPED_MAX, buf_cstr(&text)))
            rc = err_set(err, NULL, "%s: the key is longer than %d bytes", path, TYPED_MAX - 1);
    }
    if (text.cap > 0)
        OPENSSL_cleanse(text.data, text.cap);
    buf_free(&text);
    return rc;
}

/* ---- what is made of a password ---- */

struct work {
    const struct pg_enc *p;
    const char *path; /* pool_passwd; NULL: print */
    char key[TYPED_MAX];
};

static int
make_verifier(const char *password, struct buf *out, struct err *err)
{
    struct scram_keys keys = {.iterations = SCRAM_ITERATIONS, .salt_len = SALT_BYTES};
    struct scram_verifier v;
    int rc = -1;

    if (RAND_bytes(keys.salt, SALT_BYTES) != 1)
        err_set(err, NULL, "could not make random bytes");
    else if (scram_derive(password, &keys, err) == 0)
        rc = scram_verifier_of(&keys, &v) ? 0 : err_set(err, NULL, "OpenSSL has no SHA-256");
    if (rc == 0)
        scram_verifier_text(&v, out);
    OPENSSL_cleanse(&keys, sizeof(keys));
    return rc;
}

/* As it stands in pool_passwd; alone: as pg_md5 prints it, for pcp.conf. */
static int
make_secret(const struct work *w, const char *user, const char *password, struct buf *out,
            struct err *err)
{
    char hex[33];
    int rc;

    if (w->p->scram)
        return make_verifier(password, out, err);
    if (!w->p->is_md5) {
        buf_add_str(out, "AES");
        return aes_encrypt(w->key, password, out, err);
    }
    rc = w->path != NULL ? md5_of_password(user, password, hex, err)
                         : md5_of(password, strlen(password), hex, err);
    if (rc == 0)
        buf_printf(out, "%s%s", w->path != NULL ? "md5" : "", hex);
    OPENSSL_cleanse(hex, sizeof(hex));
    return rc;
}

static int
handle(void *ctx, const struct pg_enc_pair *pair, struct err *err)
{
    const struct work *w = ctx;
    const char *user = pair->user;
    const char *password = pair->password;
    struct buf secret = BUF_EMPTY;
    int rc;

    if (password[0] == '\0' || strlen(password) > PASSWORD_MAX)
        return err_set(err, NULL, "the password is empty, or longer than %d bytes", PASSWORD_MAX);
    if (w->p->is_md5 && pair->line_number > 0)
        printf("LINE#%02u: USER: <%s>\n", pair->line_number, user);
    rc = make_secret(w, user, password, &secret, err);
    if (rc == 0 && w->path != NULL)
        rc = pg_enc_update(w->path, user, buf_cstr(&secret), err);
    else if (rc == 0 && (w->p->is_md5 || w->p->scram))
        printf("%s\n", buf_cstr(&secret));
    else if (rc == 0)
        printf("\n%s\npool_passwd string: %s\n", buf_cstr(&secret) + 3, buf_cstr(&secret));
    buf_free(&secret);
    return rc;
}

static const char *
user_of(const struct pg_enc *p)
{
    const struct passwd *pw = p->user == NULL ? getpwuid(getuid()) : NULL;

    return p->user != NULL ? p->user : pw != NULL ? pw->pw_name : "";
}

static int
work(struct work *w, struct err *err)
{
    const struct pg_enc *p = w->p;
    const char *password = p->password;
    struct pg_enc_pair pair = {.line_number = 0};
    char typed[TYPED_MAX];
    int rc;

    if (p->input != NULL) {
        printf("trying to read username:password pairs from file %s\n", p->input);
        return pg_enc_pairs(p->input, handle, w, err);
    }
    if (p->ask || password == NULL) {
        if (type_in(p->is_md5 ? "password" : "db password", typed, err) != 0)
            return -1;
        password = typed;
    }
    pair.user = user_of(p);
    pair.password = password;
    rc = handle(w, &pair, err);
    if (password == typed)
        OPENSSL_cleanse(typed, sizeof(typed));
    return rc;
}

static int
run(const struct pg_enc *p)
{
    struct work w = {.p = p};
    char *path = NULL;
    struct err err;
    int rc = 0;

    if (!p->is_md5 && !p->scram) {
        rc = read_key(p, w.key, &err);
        if (rc == 0 && w.key[0] == '\0')
            rc = err_set(&err, NULL, "encryption key not provided");
    }
    if (rc == 0 && p->update) {
        w.path = path = pg_enc_pool_passwd(p->config, &err);
        rc = path != NULL ? 0 : -1;
    }
    if (rc == 0)
        rc = work(&w, &err);
    OPENSSL_cleanse(w.key, sizeof(w.key));
    free(path);
    return rc == 0 ? 0 : failed(p, &err);
}

/* ---- the command line ---- */

static const struct option md5_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"prompt", no_argument, NULL, 'p'},
    {"md5auth", no_argument, NULL, 'm'},
    {"username", required_argument, NULL, 'u'},
    {"config-file", required_argument, NULL, 'f'},
    {"input-file", required_argument, NULL, 'i'},
    {NULL, 0, NULL, 0},
};

static const struct option enc_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"prompt", no_argument, NULL, 'p'},
    {"prompt-for-key", no_argument, NULL, 'P'},
    {"update-pass", no_argument, NULL, 'm'},
    {"scram", no_argument, NULL, 's'},
    {"username", required_argument, NULL, 'u'},
    {"config-file", required_argument, NULL, 'f'},
    {"input-file", required_argument, NULL, 'i'},
    {"key-file", required_argument, NULL, 'k'},
    {"enc-key", required_argument, NULL, 'K'},
    {NULL, 0, NULL, 0},
};

static void
print_help(const struct pg_enc *p)
{
    printf("%s: %s\n\nUsage:\n  %s [OPTION]... [PASSWORD]\n\nOptions:\n", p->tool,
           p->is_md5 ? "md5 hashes of passwords, for pcp.conf and pool_passwd"
                     : "encrypted passwords and SCRAM verifiers, for pool_passwd",
           p->tool);
    if (!p->is_md5)
        printf("  -s, --scram              a SCRAM-SHA-256 verifier, as PostgreSQL keeps it\n"
               "  -k, --key-file=FILE      the file with the key; default: $PGPOOLKEYFILE, then\n"
               "                           ~/.pgpoolkey\n"
               "  -K, --enc-key=KEY        the key itself\n"
               "  -P, --prompt-for-key     ask for the key\n");
    printf("  -p, --prompt             ask for the password (as without PASSWORD)\n"
           "  -m, --%-19s write an entry into pool_passwd\n"
           "  -u, --username=NAME      of this user; default: yours\n"
           "  -f, --config-file=FILE   the pgpool.conf that says where pool_passwd lies\n"
           "  -i, --input-file=FILE    read lines user:password from the file\n"
           "  -h, --help               print this text\n"
           "  -V, --version            print the version\n",
           p->is_md5 ? "md5auth" : "update-pass");
}

static bool
take_option(struct pg_enc *p, int letter)
{
    switch (letter) {
    case 'p':
        p->ask = true;
        return true;
    case 'P':
        p->ask_key = true;
        return true;
    case 'm':
        p->update = true;
        return true;
    case 's':
        p->scram = true;
        return true;
    case 'u':
        p->user = optarg;
        return true;
    case 'f':
        p->config = optarg;
        return true;
    case 'i':
        p->input = optarg;
        return true;
    case 'k':
        p->key_file = optarg;
        return true;
    case 'K':
        p->key = optarg;
        return true;
    default:
        return false;
    }
}

static int
usage(const struct pg_enc *p, const char *what)
{
    fprintf(stderr, "%s: %s%s(--help says more)\n", p->tool, what, what[0] != '\0' ? " " : "");
    return STATUS_USAGE;
}

int
main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    struct pg_enc p = {.tool = slash != NULL ? slash + 1 : argv[0]};
    int letter;

    p.is_md5 = strcmp(p.tool, "pg_md5") == 0;
    while ((letter = getopt_long(argc, argv, p.is_md5 ? "hVpmu:f:i:" : "hVpPmsu:f:i:k:K:",
                                 p.is_md5 ? md5_options : enc_options, NULL)) != -1) {
        if (letter == 'h') {
            print_help(&p);
            return 0;
        }
        if (letter == 'V') {
            printf("%s\n", PACKAGE_STRING);
            return 0;
        }
        if (!take_option(&p, letter))
            return usage(&p, "");
    }
    if (argc - optind > 1)
        return usage(&p, "one password is enough");
    if (optind < argc && p.input != NULL)
        return usage(&p, "a password or a file of them, not both");
    p.password = optind < argc ? argv[optind] : NULL;
    return run(&p);
}
