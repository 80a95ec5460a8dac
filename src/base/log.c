/*
 * The log: one sink, one level and one prefix per process, set at its start and by a reload.
 * Lines are formatted on the stack and handed over whole, so that two processes never mix theirs.
 */
#include "base/log.h"

#include "base/err.h"
#include "base/log_json.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, PREFIX_MAX = 256, NAME_MAX_BYTES = 64 };

static struct {
    log_sink_fn *sink;
    void *sink_ctx;
    struct log_limits limits;
    char prefix[PREFIX_MAX];
    char process[NAME_MAX_BYTES];
    const struct log_context *ctx;
    uint64_t line_number;
    bool json;
} state = {
    .limits = {LOG_LEVEL_WARNING, LOG_DEFAULT}, .prefix = "%m: %a pid %p: ", .process = "main"};

static const char *const level_names[] = {
    [LOG_DEBUG5] = "debug5",       [LOG_DEBUG4] = "debug4",         [LOG_DEBUG3] = "debug3",
    [LOG_DEBUG2] = "debug2",       [LOG_DEBUG1] = "debug1",         [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_NOTICE] = "notice", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_LOG] = "log",       [LOG_LEVEL_FATAL] = "fatal",     [LOG_LEVEL_PANIC] = "panic",
};

void
log_set_sink(log_sink_fn *sink, void *ctx)
{
    state.sink = sink;
    state.sink_ctx = ctx;
}

void
log_set_level(enum log_level level)
{
    state.limits.level = level;
}

void
log_set_verbosity(enum log_verbosity verbosity)
{
    state.limits.verbosity = verbosity;
}

static const struct log_limits *
limits(void)
{
    return state.ctx != NULL && state.ctx->limits != NULL ? state.ctx->limits : &state.limits;
}

bool
log_enabled(enum log_level level)
{
    return level >= limits()->level;
}

void
log_set_prefix(const char *log_line_prefix)
{
    str_copy(state.prefix, sizeof(state.prefix), log_line_prefix);
}

void
log_set_json(bool json)
{
    state.json = json;
}

bool
log_is_json(void)
{
    return state.json;
}

void
log_set_process(const char *name)
{
    str_copy(state.process, sizeof(state.process), name);
}

const struct log_context *
log_set_context(const struct log_context *ctx)
{
    const struct log_context *before = state.ctx;

    state.ctx = ctx;
    return before;
}

static size_t
print_time(char *dst, size_t room, bool with_ms)
{
    struct timespec now;
    struct tm tm;
    size_t len;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    len = strftime(dst, room, "%Y-%m-%d %H:%M:%S", &tm);
    if (with_ms && room - len > 4)
        len += (size_t)snprintf(dst + len, room - len, ".%03ld", now.tv_nsec / 1000000);
    return len;
}

/* As PostgreSQL's jsonlog has it. */
static void
print_stamp(char *dst, size_t room)
{
    size_t len = print_time(dst, room, true);
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(dst + len, room - len, " %Z", &tm);
}

static const char *
or_unknown(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : "[unknown]";
}

static size_t
print_letter(char letter, char *dst, size_t room)
{
    const struct log_context *ctx = state.ctx;
    int n = 0;

    switch (letter) {
    case 'a':
        n = snprintf(dst, room, "%s", ctx != NULL ? or_unknown(ctx->application) : state.process);
        break;
    case 'd':
        n = snprintf(dst, room, "%s", ctx != NULL ? or_unknown(ctx->database) : "");
        break;
    case 'u':
        n = snprintf(dst, room, "%s", ctx != NULL ? or_unknown(ctx->user) : "");
        break;
    case 'p':
        n = snprintf(dst, room, "%d", (int)getpid());
        break;
    case 'P':
        n = snprintf(dst, room, "%s", state.process);
        break;
    case 'l':
        n = snprintf(dst, room, "%llu", (unsigned long long)state.line_number);
        break;
    case 't':
        return print_time(dst, room, false);
    case 'm':
        return print_time(dst, room, true);
    case '%':
        n = snprintf(dst, room, "%%");
        break;
    default: /* as PostgreSQL: unknown letters print nothing */
        break;
    }
    return n < 0 ? 0 : MIN((size_t)n, room - 1);
}

static size_t
print_prefix(char *dst, size_t room)
{
    size_t len = 0;

    for (const char *p = state.prefix; *p != '\0' && len + 1 < room; p++) {
        if (*p == '%' && p[1] != '\0')
            len += print_letter(*++p, dst + len, room - len);
        else
            dst[len++] = *p;
    }
    return len;
}

static void
write_stderr(const char *line, size_t len)
{
    char out[LINE_MAX_BYTES + 1];

    memcpy(out, line, len);
    out[len] = '\n';
    fwrite(out, 1, len + 1, stderr); /* unbuffered: one write, so lines never mix */
}

/* Names and statements come from clients: none may begin a line of its own. */
static void
keep_one_line(char *line, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        if ((unsigned char)line[n] < ' ' || line[n] == 0x7f)
            line[n] = ' ';
    }
}

static void
hand_over(enum log_level level, const char *line, size_t len)
{
    if (state.sink != NULL)
        state.sink(state.sink_ctx, level, line, len);
    else
        write_stderr(line, len);
}

/* label: what the line is, "error" as a rule; written in capitals. sqlstate: "" or NULL for none.
 */
static void
emit_text(enum log_level level, const char *label, const char *sqlstate, const char *message)
{
    bool with_state = sqlstate != NULL && sqlstate[0] != '\0';
    char line[LINE_MAX_BYTES];
    char name[NAME_MAX_BYTES];
    size_t len;
    int n;

    state.line_number++;
    len = print_prefix(line, PREFIX_MAX * 2);
    str_copy(name, sizeof(name), label);
    for (char *c = name; *c != '\0'; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    n = snprintf(line + len, sizeof(line) - len, "%s:  %s%s%s", name, with_state ? sqlstate : "",
                 with_state ? ": " : "", message);
    if (n > 0)
        len = MIN(len + (size_t)n, sizeof(line) - 1);
    keep_one_line(line, len);
    hand_over(level, line, len);
}

static void
emit_json(enum log_level level, const struct log_parts *parts)
{
    const struct log_context *ctx = state.ctx;
    char line[LINE_MAX_BYTES];
    char stamp[NAME_MAX_BYTES];
    struct log_json j = {.timestamp = stamp,
                         .backend_type = state.process,
                         .severity = level_names[level],
                         .state_code = parts->sqlstate,
                         .message = parts->message,
                         .detail = parts->detail,
                         .hint = parts->hint,
                         .query_id = parts->query_id,
                         .pid = (int)getpid(),
                         .line_num = ++state.line_number};

    print_stamp(stamp, sizeof(stamp));
    if (ctx != NULL) {
        j.user = ctx->user;
        j.dbname = ctx->database;
        j.application_name = ctx->application;
        j.remote = ctx->remote;
    }
    hand_over(level, line, log_json_print(line, sizeof(line), &j));
}

void
log_write(enum log_level level, const char *fmt, ...)
{
    char message[LINE_MAX_BYTES];
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (state.json)
        emit_json(level, &(struct log_parts){.message = message});
    else
        emit_text(level, level_names[level], NULL, message);
}

static bool
has(const char *part)
{
    return part != NULL && part[0] != '\0';
}

void
log_parts(enum log_level level, const struct log_parts *parts)
{
    enum log_verbosity verbosity = limits()->verbosity;
    struct log_parts shown = *parts;

    if (!log_enabled(level))
        return;
    if (verbosity == LOG_TERSE)
        shown.detail = shown.hint = NULL;
    if (state.json) {
        emit_json(level, &shown);
        return;
    }
    emit_text(level, level_names[level], verbosity == LOG_VERBOSE ? parts->sqlstate : NULL,
              parts->message);
    if (has(shown.detail))
        emit_text(level, "detail", NULL, shown.detail);
    if (has(shown.hint))
        emit_text(level, "hint", NULL, shown.hint);
}

void
log_error_parts(enum log_level level, const struct err *err)
{
    log_parts(level, &(struct log_parts){.sqlstate = err->sqlstate,
                                         .message = err->message,
                                         .detail = err->detail,
                                         .hint = err->hint});
}

void
log_bug(const char *file, int line, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    log_write(LOG_LEVEL_PANIC, "%s:%d: %s (this is a bug in pgpool; please report it)", file, line,
              text);
    abort();
}

int
log_level_parse(const char *name)
{
    for (size_t level = 0; level < ARRAY_LEN(level_names); level++) {
        if (str_equal_nocase(name, level_names[level]))
            return (int)level;
    }
    if (str_equal_nocase(name, "debug"))
        return LOG_DEBUG2;
    return -1;
}

const char *
log_level_name(enum log_level level)
{
    return level_names[level];
}
