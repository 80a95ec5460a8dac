/*
 * One command of the watchdog: its words, its run, what is told of it.
 *
 * Used by the runner alone. No shell sees the words: what is in the configuration is all that is
 * run. The same failure again is not told again, for some of these run twice a second.
 */
#include "watchdog/commands.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 64 };

/* The shell waits for the end of its input: nobody writes there. */
static const char *const guardian[] = {
    "/bin/sh", "-c", "trap '' HUP INT TERM; read -r end; exec \"$@\"", "pgpool-guardian"};

struct words {
    char *text;
    const char *argv[ARRAY_LEN(guardian) + WORDS_MAX + 1];
    uint32_t count;
};

/* ---- words ---- */

static void
replace(const char *text, const char *what, const char *by, struct buf *out)
{
    const char *found;

    for (; (found = strstr(text, what)) != NULL; text = found + strlen(what)) {
        buf_add(out, text, (size_t)(found - text));
        buf_add_str(out, by);
    }
    buf_add_str(out, text);
}

/* Where the first of the words is: in the directory that was named, or else in the first of the
 * system's that has it, as systems do not agree on them. */
static const char *
find_directory(const struct wd_command_text *text, const char *words)
{
    static const char *const systems[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};
    int len = (int)strcspn(words, " \t");
    struct buf path = BUF_EMPTY;
    const char *found = NULL;

    for (size_t n = 0; found == NULL && n <= ARRAY_LEN(systems); n++) {
        const char *directory = n == 0 ? text->directory : systems[n - 1];
        buf_clear(&path);
        buf_printf(&path, "%s/%.*s", directory, len, words);
        if (access(buf_cstr(&path), X_OK) == 0)
            found = directory;
    }
    buf_free(&path);
    if (found == NULL)
        log_warning("%s: there is no program \"%.*s\" in \"%s\", nor where the system has its own; "
                    "install it, or name its directory",
                    text->name, len, words, text->directory);
    return found != NULL ? found : text->directory;
}

void
wd_command_init(struct wd_command *c, struct io *io, void *ctx, const struct wd_command_text *text,
                const char *address)
{
    struct buf whole = BUF_EMPTY;
    const char *words = text->text + strspn(text->text, " \t");

    *c = (struct wd_command){.io = io, .ctx = ctx, .name = text->name};
    if (words[0] != '/' && words[0] != '\0')
        buf_printf(&whole, "%s/", find_directory(text, words));
    replace(words, "$_IP_$", address, &whole);
    c->text = xstrdup(buf_cstr(&whole));
    buf_free(&whole);
}

void
wd_command_fini(struct wd_command *c)
{
    wd_command_kill(c);
    free(c->text);
    c->text = NULL;
}

void
wd_command_guard(struct wd_command *c)
{
    c->guards = true;
}

void
wd_command_set_lifetime(struct wd_command *c, int64_t lifetime_s)
{
    c->lifetime_s = lifetime_s;
}

/* False: there are too many. Free words->text. */
static bool
split(const struct wd_command *c, struct words *words)
{
    struct buf text = BUF_EMPTY;
    char lifetime[24];
    char *at;

    memset(words, 0, sizeof(*words));
    for (size_t n = 0; c->guards && n < ARRAY_LEN(guardian); n++)
        words->argv[words->count++] = guardian[n];
    snprintf(lifetime, sizeof(lifetime), "%" PRId64, c->lifetime_s);
    replace(c->text, "$_LIFETIME_$", lifetime, &text);
    words->text = xstrdup(buf_cstr(&text));
    buf_free(&text);
    for (at = words->text; *at != '\0';) {
        at += strspn(at, " \t");
        if (*at == '\0')
            break;
        if (words->count == ARRAY_LEN(words->argv) - 1)
            return false;
        words->argv[words->count++] = at;
        at += strcspn(at, " \t");
        if (*at != '\0')
            *at++ = '\0';
    }
    return true;
}

/* ---- runs ---- */

static void
said(void *ctx, const char *text)
{
    struct wd_command *c = ctx;

    if (c->failures == 0)
        log_info("%s: %s", c->name, text);
}

static void
ended(void *ctx, const struct run_result *result)
{
    struct wd_command *c = ctx;
    bool done = run_succeeded(result);
    char words[128];

    run_free(c->run);
    c->run = NULL;
    if (done) {
        c->failures = 0;
    } else if (c->failures++ == 0) {
        run_result_text(result, words, sizeof(words));
        log_info("%s %s", c->name, words);
    }
    if (c->ended != NULL)
        c->ended(c->ctx, done);
}

bool
wd_command_is_set(const struct wd_command *c)
{
    return c->text != NULL && c->text[0] != '\0';
}

bool
wd_command_runs(const struct wd_command *c)
{
    return c->run != NULL;
}

bool
wd_command_start(struct wd_command *c, int64_t limit_ms, void (*ended_fn)(void *ctx, bool done))
{
    static const struct run_ops ops = {said, ended};
    struct words words;
    struct run_options options = {
        .ops = &ops, .argv = words.argv, .hold_input = c->guards, .outlives_us = true};
    struct err err;
    bool started = false;

    if (limit_ms != 0)
        options.deadline_ns = io_now_ns(c->io) + limit_ms * NS_PER_MS;
    c->ended = ended_fn;
    if (!split(c, &words))
        err_set(&err, "53400", "it has more than %d words", WORDS_MAX);
    else if (words.count == 0)
        err_set(&err, "22023", "it is empty");
    else
        started = run_start(c->io, &options, c, &c->run, &err) == 0;
    if (!started && c->failures++ == 0)
        log_warning("could not run %s: %s", c->name, err.message);
    free(words.text);
    return started;
}

void
wd_command_kill(struct wd_command *c)
{
    run_free(c->run);
    c->run = NULL;
}

void
wd_command_leave(struct wd_command *c)
{
    run_leave(c->run);
    c->run = NULL;
}
