/*
 * Process titles: the kernel shows the memory where the command line once stood; the environment
 * lies right behind it and gives more room once it has been copied away.
 */
#include "os/title.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char *start;
    size_t room;
    char **environ_copy; /* kept reachable */
    size_t count;        /* of its strings */
} state;

void
title_init(int argc, char **argv)
{
    size_t count = 0;
    char *end;

    if (argc < 1)
        return;
    state.start = argv[0];
    end = argv[0] + strlen(argv[0]) + 1;
    for (int i = 1; i < argc && argv[i] == end; i++)
        end += strlen(argv[i]) + 1;
    while (environ[count] != NULL)
        count++;
    state.environ_copy = xcalloc(count + 1, sizeof(*state.environ_copy));
    for (size_t i = 0; i < count; i++) {
        if (environ[i] == end)
            end += strlen(environ[i]) + 1;
        state.environ_copy[i] = xstrdup(environ[i]);
    }
    environ = state.environ_copy;
    state.count = count;
    state.room = (size_t)(end - state.start);
}

void
title_unsetenv(const char *name)
{
    size_t len = strlen(name);

    if (environ != state.environ_copy)
        return;
    for (size_t i = 0; i < state.count; i++) {
        char *text = state.environ_copy[i];

        if (strncmp(text, name, len) != 0 || text[len] != '=')
            continue;
        memmove(state.environ_copy + i, state.environ_copy + i + 1,
                (state.count - i) * sizeof(*state.environ_copy));
        state.count--;
        free(text);
        return;
    }
}

void
title_set(const char *title)
{
    size_t len = strlen(title);

    if (state.room < 2)
        return;
    len = MIN(len, state.room - 1);
    memcpy(state.start, title, len);
    memset(state.start + len, 0, state.room - len);
}
