/*
 * pool_passwd as pg_enc and pg_md5 change it. Called by pg_enc.c.
 *
 * The file is replaced as a whole, so that pgpool never reads half of one. Contents are wiped.
 */
#include "base/arena.h"
#include "config/config.h"
#include "os/file.h"
#include "tools/pg_enc.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 * 1024 * 1024 };

static const char debian_config[] = "/etc/pgpool2/pgpool.conf";
static const char built_in_config[] = PGPOOL_SYSCONFDIR "/pgpool.conf";

static void
forget(struct buf *b)
{
    if (b->cap > 0)
        OPENSSL_cleanse(b->data, b->cap);
    buf_free(b);
}

static bool
is_of(const char *line, size_t len, const char *user)
{
    size_t user_len = strlen(user);

    return len > user_len && line[user_len] == ':' && memcmp(line, user, user_len) == 0;
}

void
pg_enc_put(const struct buf *content, const char *user, const char *secret, struct buf *out)
{
    const char *at = (const char *)content->data;
    const char *end = content->len > 0 ? at + content->len : at;
    bool put = false;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;

        if (!is_of(at, (size_t)(stop - at), user)) {
            buf_add(out, at, (size_t)(stop - at));
            buf_add_u8(out, '\n');
        } else if (!put) {
            buf_printf(out, "%s:%s\n", user, secret);
            put = true;
        }
        at = newline != NULL ? newline + 1 : end;
    }
    if (!put)
        buf_printf(out, "%s:%s\n", user, secret);
}

int
pg_enc_update(const char *path, const char *user, const char *secret, struct err *err)
{
    struct buf before = BUF_EMPTY;
    struct buf after = BUF_EMPTY;
    struct stat st;
    bool is_there = stat(path, &st) == 0;
    int rc = 0;

    if (!is_there && errno != ENOENT)
        rc = err_set_errno(err, NULL, errno, "could not look at \"%s\"", path);
    if (user[0] == '\0' || user[0] == '#' || strpbrk(user, ":\r\n") != NULL)
        rc = err_set(err, NULL, "pool_passwd can have no entry for a user \"%s\"", user);
    if (rc == 0 && is_there)
        rc = file_read(path, FILE_MAX, &before, err);
    if (rc == 0) {
        pg_enc_put(&before, user, secret, &after);
        rc = file_write_durable(path, S_IRUSR | S_IWUSR, after.data, after.len, err);
    }
    if (rc == 0 && is_there && st.st_uid != geteuid() && chown(path, st.st_uid, st.st_gid) != 0)
        rc = err_set_errno(err, NULL, errno, "could not give \"%s\" back to its owner", path);
    forget(&before);
    forget(&after);
    return rc;
}

char *
pg_enc_pool_passwd(const char *config, struct err *err)
{
    struct config_report report;
    struct config *cfg = NULL;
    struct buf line = BUF_EMPTY;
    char *path = NULL;

    if (config == NULL)
        config = access(built_in_config, F_OK) == 0 || access(debian_config, F_OK) != 0
                     ? built_in_config
                     : debian_config;
    config_report_init(&report);
    err_set(err, NULL, "configuration \"%s\" cannot be used", config);
    if (config_load_faulty_file(config, &cfg, &report) == 0) {
        if (cfg->pool_passwd[0] != '\0')
            path = xstrdup(cfg->pool_passwd);
        else
            err_set(err, NULL, "pool_passwd is empty in \"%s\": there is no file to write to",
                    config);
    } else if (report.count > 0) {
        config_finding_print(&report.findings[0], &line);
        err_set(err, NULL, "%s", buf_cstr(&line));
    }
    buf_free(&line);
    config_free(cfg);
    config_report_fini(&report);
    return path;
}

/* The line ends with NUL. */
static int
split(char *line, struct pg_enc_pair *pair, struct err *err)
{
    char *colon;

    colon = strchr(line, ':');
    if (colon == NULL || colon == line || colon[1] == '\0')
        return err_set(err, NULL, "the line is not of the form user:password");
    *colon = '\0';
    pair->user = line;
    pair->password = colon + 1;
    return 0;
}

int
pg_enc_pairs(const char *path, pg_enc_pair_fn *fn, void *ctx, struct err *err)
{
    struct buf text = BUF_EMPTY;
    struct pg_enc_pair pair = {.line_number = 0};
    int rc = file_read(path, FILE_MAX, &text, err);
    char *at = rc == 0 ? (char *)(uintptr_t)buf_cstr(&text) : NULL;
    char *end = at != NULL ? at + text.len : NULL;

    while (rc == 0 && at < end) {
        char *stop = at + strcspn(at, "\n");

        pair.line_number++;
        *stop = '\0';
        at[strcspn(at, "\r")] = '\0';
        if (at[0] != '\0')
            rc = split(at, &pair, err) != 0 ? -1 : fn(ctx, &pair, err);
        if (rc != 0)
            err_prefix(err, "%s:%u: ", path, pair.line_number);
        at = stop + 1;
    }
    forget(&text);
    return rc;
}
