/*
 * The files with passwords, read when a process starts and at every reload: pool_passwd by each
 * that logs in to servers, pcp.conf by the one for administration.
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
#include <sys/stat.h>
#include <unistd.h>

void
proc_read_passwords(const struct config *cfg, struct passwd **passwords_io)
{
    struct passwd *fresh = NULL;
    struct buf text = BUF_EMPTY;
    struct err err;
    int rc;

    if (cfg->pool_passwd[0] != '\0' && file_exists(cfg->pool_passwd)) {
        rc = file_read(cfg->pool_passwd, PASSWD_FILE_MAX, &text, &err);
        if (rc == 0)
            rc = passwd_parse((const char *)text.data, text.len, cfg->pool_passwd, &fresh, &err);
        if (text.len > 0)
            OPENSSL_cleanse(text.data, text.len);
        buf_free(&text);
        if (rc != 0) {
            log_warning("%s; the passwords known before stay", err.message);
            return;
        }
    }
    passwd_free(*passwords_io);
    *passwords_io = fresh;
}

/* Nobody else may read it, and nobody else may have written it; a file of root's may be readable by
 * a group, which pgpool's user then is in. */
static int
check_access(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set_errno(err, "58P01", errno, "could not look at \"%s\"", path);
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
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

int
proc_read_pcp_users(const char *path, struct pcp_users **users_r, struct err *err)
{
    struct buf text = BUF_EMPTY;
    int rc;

    *users_r = NULL;
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (check_access(path, err) != 0)
        return -1;
    rc = file_read(path, PCP_FILE_MAX, &text, err);
    if (rc == 0)
        rc = pcp_users_parse(buf_cstr(&text), text.len, path, users_r, err);
    if (text.len > 0)
        OPENSSL_cleanse(text.data, text.len);
    buf_free(&text);
    return rc;
}
