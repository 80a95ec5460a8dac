/*
 * A directory of certificates as OpenSSL knows it: <hash>.<number> holds a certificate,
 * <hash>.r<number> a revocation list. Read whole, so that no handshake has to look there.
 */
#include "base/str.h"
#include "os/file.h"
#include "os/tls.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { HASH_DIGITS = 8, PATH_BYTES = 4096 };

static bool
is_hashed(const char *name, bool *revoked_r)
{
    const char *p = name;

    while (isxdigit((unsigned char)*p))
        p++;
    if (p != name + HASH_DIGITS || *p++ != '.')
        return false;
    *revoked_r = *p == 'r';
    p += *revoked_r;
    return *p != '\0' && strspn(p, "0123456789") == strlen(p);
}

int
tls_read_directory(const char *path, size_t limit, struct tls_found *found, struct err *err)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (directory == NULL)
        return err_set_errno(err, "58P01", errno, "could not open directory \"%s\"", path);
    while (rc == 0 && (entry = readdir(directory)) != NULL) {
        char file[PATH_BYTES];
        struct buf *out;
        bool revoked;

        if (!is_hashed(entry->d_name, &revoked))
            continue;
        out = revoked ? found->revocations : found->authorities;
        if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >= (int)sizeof(file))
            rc = err_set(err, "58P01", "path of \"%s\" is too long", entry->d_name);
        else if (out->len >= limit)
            rc = err_set(err, "54000", "directory \"%s\" holds more than %zu bytes", path, limit);
        else
            rc = file_read(file, limit - out->len, out, err);
        buf_add_u8(out, '\n');
    }
    closedir(directory);
    return rc;
}
