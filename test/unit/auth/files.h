/*
 * Files that stand in a test: a reader over a list of paths and texts.
 */
#ifndef TEST_UNIT_AUTH_FILES_H
#define TEST_UNIT_AUTH_FILES_H

#include "auth/hba_file.h"

#include <string.h>

struct file {
    const char *path; /* NULL behind the last */
    const char *text; /* NULL: it cannot be read */
    size_t len;       /* 0: that of the text */
};

/* ctx: const struct file *, any number. */
static inline int
files_read(void *ctx, const char *path, struct buf *text, struct err *err)
{
    for (const struct file *f = ctx; f->path != NULL; f++) {
        if (strcmp(f->path, path) != 0)
            continue;
        if (f->text == NULL)
            return err_set(err, "58P01", "could not open file \"%s\": Permission denied", path);
        buf_add(text, f->text, f->len > 0 ? f->len : strlen(f->text));
        return 0;
    }
    return 1;
}

/* Those that begin with the directory and end in ".conf", in the order of the list. */
static inline int
files_list(void *ctx, const char *path, struct buf *paths, struct err *err)
{
    size_t len = strlen(path);
    size_t before = paths->len;

    for (const struct file *f = ctx; f->path != NULL; f++) {
        size_t whole = strlen(f->path);

        if (strncmp(f->path, path, len) == 0 && f->path[len] == '/' &&
            strcmp(f->path + whole - 5, ".conf") == 0)
            buf_add_cstr(paths, f->path);
    }
    if (paths->len == before)
        return err_set(err, "58P01", "could not open directory \"%s\": No such file or directory",
                       path);
    return 0;
}

static inline struct hba_reader
files_reader(const struct file *files)
{
    return (struct hba_reader){(void *)(uintptr_t)files, files_read, files_list};
}

#endif
