/*
 * The files with passwords, read when a process starts and at every reload: pool_passwd and its key
 * by each that logs in to servers or lets clients in, pcp.conf by the one for administration; and
 * the passwords of the users that watch servers.
 *
 * A file that others can read is not used. What was read is wiped from the buffers here.
 */
#include "auth/passwd.h"
#include "auth/pcp_users.h"
#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "os/file.h"
#include "proc/proc.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 64 * 1024 };

/* Nobody else may read it, and nobody else may have written it; a file of root's may be readable by
 * a group, which pgpool's user then is in. Root itself (configtest) looks at pgpool's files. */
static int
check_access(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set_errno(err, "58P01", errno, "could not look at \"%s\"", path);
    if (st.st_uid != 0 && geteuid() != 0 && st.st_uid != geteuid()) {
        err_set(err, "F0000", "%s: the file belongs to another user", path);
        err_hint(err, "It must belong to pgpool's own user or root.");
        return -1;
    }
    if ((st.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0 ||
        (st.st_uid != 0 && (st.st_mode & S_IRGRP) != 0)) {
        err_set(err, "F0000", "%s: others than its owner can use this file", path);
        err_hint(err, "chmod 600, or 640 where it belongs to root.");
        return -1;
    }
    return 0;
}

static int
read_private(const char *path, size_t limit_bytes, struct buf *text, struct err *err)
{
    int result;

    if (check_access(path, err) != 0)
        return -1;
    result = file_read(path, limit_bytes, text, err);
    if (result != 0 && access(path, R_OK) != 0)
        err_hint(err, "It must belong to pgpool's own user, or to root and that user's group.");
    return result;
}

static void
forget(struct buf *text)
{
    if (text->cap > 0)
        OPENSSL_cleanse(text->data, text->cap);
    buf_free(text);
}

/* The first line. */
static int
read_key(const char *path, struct buf *key, struct err *err)
{
    if (read_private(path, KEY_FILE_MAX, key, err) != 0)
        return -1;
    key->len = strcspn(buf_cstr(key), "\r\n");
    buf_cstr(key);
    if (key->len > 0)
        return 0;
    return err_set(err, "F0000", "%s:1: the key of encrypted passwords is empty", path);
}

int
proc_load_passwords(const char *path, const char *key_path, struct passwd **p_r, struct err *err)
{
    struct passwd_source source = {.name = path};
    struct buf text = BUF_EMPTY;
    struct buf key = BUF_EMPTY;
    int rc = 0;

    if (key_path[0] != '\0') {
        rc = read_key(key_path, &key, err);
        source.key = (const char *)key.data;
    }
    if (rc == 0 && path[0] != '\0' && file_exists(path))
        rc = read_private(path, PASSWD_FILE_MAX, &text, err);
    if (rc == 0)
        rc = passwd_parse((const char *)text.data, text.len, &source, p_r, err);
    forget(&text);
    forget(&key);
    return rc;
}

void
proc_read_passwords(const struct config *cfg, const char *key_path, struct passwd **passwords_io)
{
    struct passwd *fresh;
    struct err err;

    if (proc_load_passwords(cfg->pool_passwd, key_path, &fresh, &err) != 0) {
        log_warning("%s%s%s%s; the passwords known before stay", err.message,
                    err.hint[0] != '\0' ? " (hint: " : "", err.hint,
                    err.hint[0] != '\0' ? ")" : "");
        return;
    }
    passwd_free(*passwords_io);
    *passwords_io = fresh;
}

const char *
proc_password(struct passwd *passwords, const char *user, const char *configured)
{
    const char *found = NULL;
    struct err err;
    int rc = 0;

    if (configured[0] == '\0')
        rc = passwd_find(passwords, user, &found, &err);
    else
        found = passwd_configured(passwords, configured, &err);
    if (rc != 0 || (found == NULL && configured[0] != '\0'))
        log_warning("no password for user \"%s\": %s%s%s%s", user, err.message,
                    err.hint[0] != '\0' ? " (hint: " : "", err.hint,
                    err.hint[0] != '\0' ? ")" : "");
    return found;
}

int
proc_read_pcp_users(const char *path, struct pcp_users **users_r, struct err *err)
{
    struct buf text = BUF_EMPTY;
    int rc;

    *users_r = NULL;
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    rc = read_private(path, PCP_FILE_MAX, &text, err);
    if (rc == 0)
        rc = pcp_users_parse(buf_cstr(&text), text.len, path, users_r, err);
    forget(&text);
    return rc;
}

bool
proc_take_pcp_users(const struct proc *p, bool at_start, struct pcp_users **users_io)
{
    const char *path = p->files->pcp_conf;
    struct pcp_users *fresh;
    struct err err;

    if (proc_read_pcp_users(path, &fresh, &err) != 0) {
        log_error("%s", err.message);
        if (!at_start) {
            log_error("the users of administration stay those that they were");
            return false;
        }
        if (pcp_users_parse("", 0, path, &fresh, &err) != 0) {
            log_fatal("%s", err.message);
            exit(1);
        }
    }
    *users_io = fresh;
    return true;
}
