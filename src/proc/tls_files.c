/*
 * Files of TLS: from their paths to the contexts of a child.
 *
 * Called by the parent and by configtest (tls_files_read) and by children (tls_sides_take). The
 * form in which the parent hands them over is a row of texts, each behind its length: what stands
 * in the files, the private key without its passphrase.
 */
#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "ipc/shared.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/run.h"
#include "os/tls.h"
#include "proc/tls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSPHRASE_LIMIT_S = 10 };

enum file {
    FILE_CERT,
    FILE_KEY,
    FILE_CA,
    FILE_CRL,
    FILE_DH,
    FILE_BACKEND_CERT,
    FILE_BACKEND_KEY,
    FILE_BACKEND_CA,
    FILE_BACKEND_CRL,
    FILE_HTTP_CERT,
    FILE_HTTP_KEY,
    FILE_COUNT,
};

/* ---- what libpq is told ---- */

static const char *const mode_words[] = {
    [CONFIG_SSLMODE_DISABLE] = "disable",     [CONFIG_SSLMODE_ALLOW] = "allow",
    [CONFIG_SSLMODE_PREFER] = "prefer",       [CONFIG_SSLMODE_REQUIRE] = "require",
    [CONFIG_SSLMODE_VERIFY_CA] = "verify-ca", [CONFIG_SSLMODE_VERIFY_FULL] = "verify-full"};

static const char *const version_words[] = {[CONFIG_TLS_ANY] = "",
                                            [CONFIG_TLS_1_0] = "TLSv1",
                                            [CONFIG_TLS_1_1] = "TLSv1.1",
                                            [CONFIG_TLS_1_2] = "TLSv1.2",
                                            [CONFIG_TLS_1_3] = "TLSv1.3"};

/* Where nothing is set, libpq would look into the home directory of whoever has started us. */
static const char *
or_nothing(const char *path)
{
    return path[0] != '\0' ? path : "/dev/null/none";
}

struct ask_tls
proc_ask_tls(const struct config *cfg)
{
    return (struct ask_tls){
        .mode = mode_words[cfg->backend_sslmode],
        .ca_cert = or_nothing(cfg->backend_ssl_ca_cert),
        .crl_file = or_nothing(cfg->backend_ssl_crl_file),
        .cert = or_nothing(cfg->backend_ssl_cert),
        .key = or_nothing(cfg->backend_ssl_key),
        .min_version = version_words[cfg->backend_ssl_min_protocol_version],
    };
}

/* ---- the passphrase ---- */

struct asking {
    struct io *io;
    char *passphrase; /* NULL: nothing was printed */
    bool succeeded;
};

static void
on_line(void *ctx, const char *text)
{
    struct asking *a = ctx;

    if (a->passphrase == NULL)
        a->passphrase = xstrdup(text);
}

static void
on_end(void *ctx, const struct run_result *result)
{
    struct asking *a = ctx;

    a->succeeded = run_succeeded(result);
    io_stop(a->io);
}

/* %p becomes the prompt, %% a percent sign. */
static void
add_command(struct buf *out, const char *command, const char *key_path)
{
    for (const char *p = command; *p != '\0'; p++) {
        if (p[0] == '%' && p[1] == 'p') {
            buf_printf(out, "'Passphrase of %s: '",
                       strchr(key_path, '\'') == NULL ? key_path : "the private key");
            p++;
        } else {
            p += p[0] == '%' && p[1] == '%';
            buf_add(out, p, 1);
        }
    }
}

/* A loop of its own, for a bounded time: at start there is none yet, and a reload has to know the
 * outcome. The parent serves no clients. */
static int
ask_passphrase(const struct config *cfg, const char *key_path, char **passphrase_r, struct err *err)
{
    static const struct run_ops ops = {on_line, on_end};
    struct io_options io_options = {.engine = IO_ENGINE_EPOLL};
    struct buf command = BUF_EMPTY;
    struct asking a = {0};
    struct run_options options = {
        .ops = &ops, .deadline_ns = clock_monotonic_ns() + PASSPHRASE_LIMIT_S * NS_PER_S};
    struct run *run = NULL;
    int rc = io_new(&io_options, &a.io, err);

    if (rc != 0)
        return -1;
    add_command(&command, cfg->ssl_passphrase_command, key_path);
    options.command = buf_cstr(&command);
    rc = run_start(a.io, &options, &a, &run, err);
    if (rc == 0)
        rc = io_run(a.io, err);
    run_free(run);
    io_free(a.io);
    buf_free(&command);
    if (rc == 0 && (!a.succeeded || a.passphrase == NULL)) {
        rc = err_set(err, "F0000", "\"ssl_passphrase_command\" did not give a passphrase");
        err_hint(err, "it has %d s, must end with status 0, and its first line is the passphrase",
                 PASSPHRASE_LIMIT_S);
    }
    if (rc != 0 && a.passphrase != NULL) {
        OPENSSL_cleanse(a.passphrase, strlen(a.passphrase));
        free(a.passphrase);
        a.passphrase = NULL;
    }
    *passphrase_r = a.passphrase;
    return rc;
}

/* ---- reading ---- */

/* As PostgreSQL has it: nobody else may read it, but a group where it belongs to root. */
static int
check_key_access(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set_errno(err, "58P01", errno, "could not look at private key file \"%s\"",
                             path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, "F0000", "private key file \"%s\" is not a regular file", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, "F0000",
                       "private key file \"%s\" must be owned by pgpool's user or root", path);
    if ((st.st_uid == geteuid() && geteuid() != 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) ||
        (st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0)) {
        err_set(err, "F0000", "private key file \"%s\" has group or world access", path);
        err_hint(err, "It must have permissions u=rw (0600) or less if owned by pgpool's user, or "
                      "u=rw,g=r (0640) or less if owned by root.");
        return -1;
    }
    return 0;
}

static int
read_key(const struct config *cfg, const char *path, struct buf *out, struct err *err)
{
    struct buf text = BUF_EMPTY;
    struct tls_text key;
    char *passphrase = NULL;
    int rc = check_key_access(path, err);

    if (rc == 0)
        rc = file_read(path, TLS_FILES_MAX, &text, err);
    key = (struct tls_text){(const char *)text.data, text.len};
    if (rc == 0 && tls_key_is_encrypted(key) && cfg->ssl_passphrase_command[0] != '\0') {
        rc = ask_passphrase(cfg, path, &passphrase, err);
        if (rc == 0)
            rc = tls_decrypt_key(key, passphrase, out, err);
    } else if (rc == 0) {
        buf_add(out, text.data, text.len);
    }
    if (passphrase != NULL)
        OPENSSL_cleanse(passphrase, strlen(passphrase));
    free(passphrase);
    tls_files_free(&text);
    return rc;
}

static int
read_any(const char *path, struct buf *out, struct err *err)
{
    return path[0] == '\0' ? 0 : file_read(path, TLS_FILES_MAX, out, err);
}

static int
read_trust(const struct config *cfg, struct buf *texts, struct err *err)
{
    struct tls_found found = {&texts[FILE_CA], &texts[FILE_CRL]};

    if (read_any(cfg->ssl_ca_cert, &texts[FILE_CA], err) != 0 ||
        read_any(cfg->ssl_crl_file, &texts[FILE_CRL], err) != 0)
        return -1;
    if (cfg->ssl_ca_cert_dir[0] == '\0')
        return 0;
    if (texts[FILE_CA].len > 0)
        buf_add_u8(&texts[FILE_CA], '\n');
    if (texts[FILE_CRL].len > 0)
        buf_add_u8(&texts[FILE_CRL], '\n');
    return tls_read_directory(cfg->ssl_ca_cert_dir, TLS_FILES_MAX, &found, err);
}

static int
read_texts(const struct config *cfg, struct buf *texts, struct err *err)
{
    if (cfg->ssl && (read_any(cfg->ssl_cert, &texts[FILE_CERT], err) != 0 ||
                     read_key(cfg, cfg->ssl_key, &texts[FILE_KEY], err) != 0 ||
                     read_trust(cfg, texts, err) != 0 ||
                     read_any(cfg->ssl_dh_params_file, &texts[FILE_DH], err) != 0))
        return -1;
    if (cfg->http_ssl_cert[0] != '\0' &&
        (read_any(cfg->http_ssl_cert, &texts[FILE_HTTP_CERT], err) != 0 ||
         read_key(cfg, cfg->http_ssl_key, &texts[FILE_HTTP_KEY], err) != 0))
        return -1;
    if (cfg->backend_sslmode == CONFIG_SSLMODE_DISABLE)
        return 0;
    if (cfg->backend_ssl_key[0] != '\0' && check_key_access(cfg->backend_ssl_key, err) != 0)
        return -1;
    if (read_any(cfg->backend_ssl_cert, &texts[FILE_BACKEND_CERT], err) != 0 ||
        read_any(cfg->backend_ssl_key, &texts[FILE_BACKEND_KEY], err) != 0 ||
        read_any(cfg->backend_ssl_ca_cert, &texts[FILE_BACKEND_CA], err) != 0 ||
        read_any(cfg->backend_ssl_crl_file, &texts[FILE_BACKEND_CRL], err) != 0)
        return -1;
    return 0;
}

void
tls_files_free(struct buf *files)
{
    if (files->data != NULL)
        OPENSSL_cleanse(files->data, files->cap);
    buf_free(files);
}

/* ---- contexts ---- */

/* False: it is not what the parent writes. */
static bool
find_texts(const uint8_t *bytes, size_t len, struct tls_text *texts)
{
    size_t at = 0;

    for (int n = 0; n < FILE_COUNT; n++) {
        uint32_t size;

        if (len - at < sizeof(size))
            return false;
        memcpy(&size, bytes + at, sizeof(size));
        at += sizeof(size);
        if (size > len - at)
            return false;
        texts[n] = (struct tls_text){(const char *)bytes + at, size};
        at += size;
    }
    return true;
}

static enum tls_version
version_of(enum config_tls_version version)
{
    return version == CONFIG_TLS_ANY
               ? TLS_ANY
               : (enum tls_version)((int)TLS_1_0 + (int)version - (int)CONFIG_TLS_1_0);
}

static int
make_accepting(const struct config *cfg, const struct tls_text *texts, struct tls_tickets *tickets,
               struct tls_context **context_r, struct err *err)
{
    struct tls_options o = {
        .cert = texts[FILE_CERT],
        .key = texts[FILE_KEY],
        .ca = texts[FILE_CA],
        .crl = texts[FILE_CRL],
        .dh = texts[FILE_DH],
        .ciphers = cfg->ssl_ciphers,
        .ciphers_1_3 = cfg->ssl_tls13_ciphers,
        .curves = cfg->ssl_ecdh_curve,
        .min_version = version_of(cfg->ssl_min_protocol_version),
        .max_version = version_of(cfg->ssl_max_protocol_version),
        .prefers_own_ciphers = cfg->ssl_prefer_server_ciphers,
        .tickets = tickets,
    };

    if (tls_context_new(&o, context_r, err) == 0)
        return 0;
    err_prefix(err, "TLS for clients (\"ssl_cert\" is \"%.200s\"): ", cfg->ssl_cert);
    return -1;
}

static int
make_connecting(const struct config *cfg, const struct tls_text *texts,
                struct tls_context **context_r, struct err *err)
{
    struct tls_options o = {
        .connects = true,
        .cert = texts[FILE_BACKEND_CERT],
        .key = texts[FILE_BACKEND_KEY],
        .ca = texts[FILE_BACKEND_CA],
        .crl = texts[FILE_BACKEND_CRL],
        .min_version = version_of(cfg->backend_ssl_min_protocol_version),
        .verify = cfg->backend_sslmode == CONFIG_SSLMODE_VERIFY_FULL ? TLS_VERIFY_FULL
                  : cfg->backend_sslmode == CONFIG_SSLMODE_VERIFY_CA ? TLS_VERIFY_CA
                                                                     : TLS_VERIFY_NONE,
    };

    if (tls_context_new(&o, context_r, err) == 0)
        return 0;
    err_prefix(err, "TLS for servers (\"backend_sslmode\"): ");
    return -1;
}

static int
make_sides(const struct config *cfg, const struct tls_text *texts, struct tls_tickets *tickets,
           struct tls_sides *sides_r, struct err *err)
{
    *sides_r = (struct tls_sides){NULL, NULL};
    if (cfg->ssl && make_accepting(cfg, texts, tickets, &sides_r->accepts, err) != 0)
        return -1;
    if (cfg->backend_sslmode != CONFIG_SSLMODE_DISABLE &&
        make_connecting(cfg, texts, &sides_r->connects, err) != 0) {
        tls_sides_free(sides_r);
        return -1;
    }
    return 0;
}

void
tls_sides_free(struct tls_sides *sides)
{
    tls_context_unref(sides->accepts);
    tls_context_unref(sides->connects);
    *sides = (struct tls_sides){NULL, NULL};
}

/* ---- the parent ---- */

static void
warn(const struct tls_context *context, const char *option, const char *path)
{
    struct err warning;

    if (context != NULL && tls_context_warns(context, &warning))
        log_warning("%s \"%s\": %s", option, path, warning.message);
}

/* Another library uses them (os/http_server.h); what is wrong with them, this one says, too. */
static int
try_http(const struct config *cfg, const struct tls_text *texts, struct err *err)
{
    struct tls_options o = {.cert = texts[FILE_HTTP_CERT], .key = texts[FILE_HTTP_KEY]};
    struct tls_context *context;

    if (cfg->http_ssl_cert[0] == '\0')
        return 0;
    if (tls_context_new(&o, &context, err) != 0) {
        err_prefix(err, "TLS for HTTP (\"http_ssl_cert\" is \"%.200s\"): ", cfg->http_ssl_cert);
        return -1;
    }
    warn(context, "http_ssl_cert", cfg->http_ssl_cert);
    tls_context_unref(context);
    return 0;
}

static int
try_texts(const struct config *cfg, const struct buf *files, struct err *err)
{
    struct tls_text texts[FILE_COUNT];
    struct tls_sides sides;

    if (!find_texts(files->data, files->len, texts))
        return err_set(err, NULL, "certificates and keys cannot be handed to the children");
    if (try_http(cfg, texts, err) != 0 || make_sides(cfg, texts, NULL, &sides, err) != 0)
        return -1;
    warn(sides.accepts, "ssl_cert", cfg->ssl_cert);
    warn(sides.connects, "backend_ssl_cert", cfg->backend_ssl_cert);
    tls_sides_free(&sides);
    return 0;
}

int
tls_files_read(const struct config *cfg, struct buf *files_r, struct err *err)
{
    struct buf texts[FILE_COUNT] = {0};
    int rc = read_texts(cfg, texts, err);

    for (int n = 0; n < FILE_COUNT; n++) {
        uint32_t size = (uint32_t)texts[n].len;

        if (rc == 0) {
            buf_add(files_r, &size, sizeof(size));
            buf_add(files_r, texts[n].data, texts[n].len);
        }
        tls_files_free(&texts[n]);
    }
    if (rc == 0)
        rc = try_texts(cfg, files_r, err);
    if (rc != 0)
        tls_files_free(files_r);
    return rc;
}

/* ---- a child ---- */

void
tls_sides_take(const struct config *cfg, struct shared *sh, struct tls_sides *sides)
{
    struct tls_text texts[FILE_COUNT];
    struct tls_sides fresh;
    struct err err;
    size_t len;
    uint8_t *bytes = shared_read_tls(sh, &len);

    if (bytes == NULL)
        return;
    /* The parent has tried the same. */
    if (!find_texts(bytes, len, texts)) {
        log_error("certificates and keys in shared memory cannot be read");
    } else if (make_sides(cfg, texts, shared_tickets(sh), &fresh, &err) != 0) {
        log_error("%s; what was in force stays", err.message);
    } else {
        tls_sides_free(sides);
        *sides = fresh;
    }
    OPENSSL_cleanse(bytes, len);
    free(bytes);
}

/* ---- the process for HTTP ---- */

void
tls_http_take(struct shared *sh, struct tls_http *h_r)
{
    struct tls_text texts[FILE_COUNT];
    size_t len;
    uint8_t *bytes = shared_read_tls(sh, &len);

    *h_r = (struct tls_http){BUF_EMPTY, BUF_EMPTY};
    if (bytes == NULL)
        return;
    if (find_texts(bytes, len, texts)) {
        buf_add(&h_r->cert, texts[FILE_HTTP_CERT].data, texts[FILE_HTTP_CERT].len);
        buf_add(&h_r->key, texts[FILE_HTTP_KEY].data, texts[FILE_HTTP_KEY].len);
    } else {
        log_error("certificates and keys in shared memory cannot be read");
    }
    OPENSSL_cleanse(bytes, len);
    free(bytes);
}

static bool
is_same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

bool
tls_http_equal(const struct tls_http *a, const struct tls_http *b)
{
    return is_same(&a->cert, &b->cert) && is_same(&a->key, &b->key);
}

void
tls_http_free(struct tls_http *h)
{
    tls_files_free(&h->cert);
    tls_files_free(&h->key);
}
