/*
 * Files in a run of bytes: kind, path with its NUL, length (32 bits), content, again and again.
 *
 * Called by proc/hba.c: the parent reads through a copy and publishes it, the others read from it.
 * The bytes come from our own parent, but lengths are not believed all the same.
 */
#include "auth/hba_copy.h"

#include "base/num.h"

#include <string.h>

enum { KIND_FILE = 'f', KIND_DIRECTORY = 'd', KIND_MISSING = 'm' };

struct entry {
    uint8_t kind;
    const char *path;
    const uint8_t *content;
    size_t len;
};

/* The entry at *at_io, which then is behind it. */
static bool
next_entry(const struct buf *bytes, size_t *at_io, struct entry *entry_r)
{
    const uint8_t *at = bytes->data + *at_io;
    size_t left = bytes->len - *at_io;
    const uint8_t *nul = left > 1 ? memchr(at + 1, 0, left - 1) : NULL;

    if (nul == NULL || left - (size_t)(nul + 1 - at) < 4)
        return false;
    *entry_r = (struct entry){at[0], (const char *)at + 1, nul + 5, num_get_u32(nul + 1)};
    if (entry_r->len > left - (size_t)(entry_r->content - at))
        return false;
    *at_io += (size_t)(entry_r->content - at) + entry_r->len;
    return true;
}

/* Adds the content when it is there. 2: nothing is known of it. */
static int
find(const struct hba_copy *copy, uint8_t kind, const char *path, struct buf *content)
{
    struct entry entry;
    size_t at = 0;

    while (copy->bytes.len > 0 && next_entry(&copy->bytes, &at, &entry)) {
        if (strcmp(entry.path, path) != 0)
            continue;
        if (entry.kind == KIND_MISSING && kind == KIND_FILE)
            return 1;
        if (entry.kind != kind)
            continue;
        buf_add(content, entry.content, entry.len);
        return 0;
    }
    return 2;
}

static void
keep(struct hba_copy *copy, uint8_t kind, const char *path, const struct buf *content)
{
    buf_add_u8(&copy->bytes, kind);
    buf_add_cstr(&copy->bytes, path);
    buf_add_u32(&copy->bytes, (uint32_t)content->len);
    buf_add(&copy->bytes, content->data, content->len);
}

static int
read_file(void *ctx, const char *path, struct buf *text, struct err *err)
{
    struct hba_copy *copy = ctx;
    struct buf fresh = BUF_EMPTY;
    int rc = find(copy, KIND_FILE, path, text);

    if (rc != 2)
        return rc;
    if (copy->from == NULL)
        return err_set(err, "58P01", "file \"%.300s\" is not among those that were read", path);
    rc = copy->from->read(copy->from->ctx, path, &fresh, err);
    if (rc >= 0)
        keep(copy, rc == 0 ? KIND_FILE : KIND_MISSING, path, &fresh);
    buf_add(text, fresh.data, fresh.len);
    buf_free(&fresh);
    return rc;
}

static int
list_directory(void *ctx, const char *path, struct buf *paths, struct err *err)
{
    struct hba_copy *copy = ctx;
    struct buf fresh = BUF_EMPTY;
    int rc;

    if (find(copy, KIND_DIRECTORY, path, paths) == 0)
        return 0;
    if (copy->from == NULL || copy->from->list == NULL)
        return err_set(err, "58P01", "directory \"%.300s\" is not among those that were read",
                       path);
    rc = copy->from->list(copy->from->ctx, path, &fresh, err);
    if (rc == 0)
        keep(copy, KIND_DIRECTORY, path, &fresh);
    buf_add(paths, fresh.data, fresh.len);
    buf_free(&fresh);
    return rc;
}

struct hba_reader
hba_copy_reader(struct hba_copy *copy)
{
    return (struct hba_reader){copy, read_file, list_directory};
}
