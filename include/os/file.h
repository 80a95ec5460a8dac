/*
 * Files, read whole and written so that a crash leaves the old or the new one. All of it may
 * block on the disk: at start, at reload, and in processes that serve no clients.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>
#include <sys/types.h>

/* Adds the whole file to out. A file longer than limit_bytes, a directory or a device is an
 * error, and nothing is added. */
int file_read(const char *path, size_t limit_bytes, struct buf *out, struct err *err);

/* Replaces the file: temporary file, fsync, rename, fsync of the directory. Others see the old or
 * the new content, also after a power failure. */
int file_write_durable(const char *path, mode_t mode, const void *bytes, size_t len,
                       struct err *err);

bool file_exists(const char *path);

/* Makes one directory unless it is there. */
int file_make_directory(const char *path, mode_t mode, struct err *err);

#endif
