/*
 * Configuration files on the disk: reading them whole, and finding what they include. All of it
 * may block; children do not call it.
 */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

enum {
    SOURCE_LINE_MAX = 128 * 1024,       /* bytes of a line */
    SOURCE_TOTAL_MAX = 4 * 1024 * 1024, /* bytes of a file and all that it includes */
    SOURCE_LIST_MAX = 1000,             /* files of a directory */
};

/* The caller frees the text. -1 when the file cannot be read, is no regular file, or is longer
 * than CONFIG_FILE_MAX. */
int source_read(const char *path, char **text_r, size_t *len_r, struct err *err);
bool source_exists(const char *path);

/* The caller frees what these return. The directory is "" for the root, NULL when the path names
 * none. */
char *source_absolute(const char *path);
char *source_directory(const char *path);

/* A path that a file names, seen from that file's directory. */
const char *source_join(const char *file, const char *path, struct arena *arena);

struct source_list {
    char **paths;
    size_t count;
};

/* The files of a directory whose names end in ".conf" and do not begin with a dot, sorted by the
 * bytes of their names. */
int source_list(const char *path, struct source_list *list_r, struct err *err);
void source_list_free(struct source_list *list);

#endif
