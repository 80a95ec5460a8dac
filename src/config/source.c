/*
 * Configuration files on the disk. Called by load.c.
 *
 * Only regular files are read, and never more than the limit: a configuration that names a pipe or
 * a device must not hang or fill the parent.
 */
#include "config/source.h"

#include "config/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens without waiting for anybody at the other end of a pipe. */
static FILE *
open_regular(const char *path, struct err *err)
{
    struct stat st;
    FILE *stream;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        err_set_errno(err, "58030", errno, "could not open \"%.300s\"", path);
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        err_set(err, "58030", "could not read \"%.300s\": not a regular file", path);
        close(fd);
        return NULL;
    }
    stream = fdopen(fd, "r");
    if (stream == NULL) {
        err_set_errno(err, "58030", errno, "could not read \"%.300s\"", path);
        close(fd);
    }
    return stream;
}

int
source_read(const char *path, char **text_r, size_t *len_r, struct err *err)
{
    FILE *stream = open_regular(path, err);
    char *text;
    size_t len;

    if (stream == NULL)
        return -1;
    text = xmalloc(CONFIG_FILE_MAX + 1);
    len = fread(text, 1, CONFIG_FILE_MAX + 1, stream);
    if (ferror(stream))
        err_set_errno(err, "58030", errno, "could not read \"%.300s\"", path);
    else if (len > CONFIG_FILE_MAX)
        err_set(err, "54000", "file \"%.300s\" is longer than %d bytes", path, CONFIG_FILE_MAX);
    else
        goto done;
    fclose(stream);
    free(text);
    return -1;
done:
    fclose(stream);
    *text_r = text;
    *len_r = len;
    return 0;
}

bool
source_exists(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

static char *
join(const char *directory, const char *name)
{
    struct buf path = BUF_EMPTY;

    buf_printf(&path, "%s/%s", directory, name);
    buf_cstr(&path);
    return (char *)path.data;
}

char *
source_absolute(const char *path)
{
    char *directory;
    char *absolute;

    if (path[0] == '/')
        return xstrdup(path);
    directory = getcwd(NULL, 0);
    if (directory == NULL)
        return xstrdup(path);
    absolute = join(strcmp(directory, "/") == 0 ? "" : directory, path);
    free(directory);
    return absolute;
}

char *
source_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory;

    if (slash == NULL)
        return NULL;
    directory = xstrdup(path);
    directory[slash - path] = '\0';
    return directory;
}

const char *
source_join(const char *file, const char *path, struct arena *arena)
{
    const char *slash = strrchr(file, '/');

    if (path[0] == '/' || slash == NULL)
        return arena_strdup(arena, path);
    return arena_printf(arena, "%.*s/%s", (int)(slash - file), file, path);
}

static bool
is_config_name(const char *name)
{
    size_t len = strlen(name);

    return name[0] != '.' && len > 5 && strcmp(name + len - 5, ".conf") == 0;
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
source_list(const char *path, struct source_list *list_r, struct err *err)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    *list_r = (struct source_list){NULL, 0};
    if (dir == NULL)
        return err_set_errno(err, "58030", errno, "could not open directory \"%.300s\"", path);
    while ((entry = readdir(dir)) != NULL) {
        if (!is_config_name(entry->d_name))
            continue;
        if (list_r->count == SOURCE_LIST_MAX) {
            closedir(dir);
            source_list_free(list_r);
            return err_set(err, "54000", "directory \"%.300s\" holds more than %d files", path,
                           SOURCE_LIST_MAX);
        }
        list_r->paths = xrealloc(list_r->paths, (list_r->count + 1) * sizeof(list_r->paths[0]));
        list_r->paths[list_r->count++] = join(path, entry->d_name);
    }
    closedir(dir);
    if (list_r->count > 0)
        qsort(list_r->paths, list_r->count, sizeof(list_r->paths[0]), compare_names);
    return 0;
}

void
source_list_free(struct source_list *list)
{
    for (size_t n = 0; n < list->count; n++)
        free(list->paths[n]);
    free(list->paths);
    *list = (struct source_list){NULL, 0};
}
