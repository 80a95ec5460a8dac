/*
 * pool_passwd, read by each process that logs in to servers, when it starts and at every reload;
 * and the passwords of the users that watch servers.
 */
#include "auth/passwd.h"
#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "os/file.h"
#include "proc/proc.h"

#include <openssl/crypto.h>
#include <string.h>

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

const char *
proc_password(const struct passwd *passwords, const char *user, const char *configured)
{
    const char *found = NULL;
    struct err err;

    if (strncmp(configured, "TEXT", 4) == 0)
        return configured + 4;
    if (configured[0] != '\0')
        return configured;
    if (passwd_find(passwords, user, &found, &err) != 0)
        log_warning("%s", err.message);
    return found;
}
