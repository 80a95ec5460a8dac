/*
 * Log messages: levels, the line prefix, and one sink per process.
 *
 * Levels are PostgreSQL's. The sink (stderr, syslog, a pipe to the logger process) is a callback
 * that the process installs; without one the line goes to stderr. Formatting happens only when
 * the level is enabled. Nothing here blocks but the sink.
 *
 * Source: PostgreSQL's manual, chapter "Error Reporting and Logging"; Pgpool-II's log_line_prefix
 * letters: %a application, %p pid, %P process name, %t time, %m time with ms, %d database,
 * %u user, %l line number, %%.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/util.h"

#include <stdbool.h>

enum log_level {
    LOG_DEBUG5,
    LOG_DEBUG4,
    LOG_DEBUG3,
    LOG_DEBUG2,
    LOG_DEBUG1,
    LOG_LEVEL_INFO,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_LOG,
    LOG_LEVEL_FATAL,
    LOG_LEVEL_PANIC,
};

/* How much of an error is logged: its message; its detail and hint, too; and its SQLSTATE. */
enum log_verbosity { LOG_TERSE, LOG_DEFAULT, LOG_VERBOSE };

/* What is logged. */
struct log_limits {
    enum log_level level; /* nothing below */
    enum log_verbosity verbosity;
};

/* Whom a line speaks of. Borrowed: all of it must live as long as the context is set. */
struct log_context {
    const char *application;
    const char *database;
    const char *user;
    const char *remote;              /* "host:port", "[local]"; NULL: not known */
    const struct log_limits *limits; /* NULL: those of the process */
};

/* One complete line without its newline. */
typedef void log_sink_fn(void *ctx, enum log_level level, const char *line, size_t len);

void log_set_sink(log_sink_fn *sink, void *ctx);

/* Messages below the level are dropped, but where the context has limits of its own. As in
 * PostgreSQL, LOG ranks between ERROR and FATAL. */
void log_set_level(enum log_level level);
void log_set_verbosity(enum log_verbosity verbosity);
bool log_enabled(enum log_level level);

/* Each message is one line with an object of JSON in it (base/log_json.h); the prefix does not
 * count. Off at first. */
void log_set_json(bool json);
bool log_is_json(void);

/* Copied. At most 255 bytes count. */
void log_set_prefix(const char *log_line_prefix);

/* %P, and what a process calls itself. Copied. */
void log_set_process(const char *name);

/* NULL when no session is being served. Returns the context that was set before. */
const struct log_context *log_set_context(const struct log_context *ctx);

/* Control characters in a text become blanks: a message is one line. */
void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A message and what belongs to it. NULL or "": there is none. */
struct log_parts {
    const char *sqlstate;
    const char *message;
    const char *detail;
    const char *hint;
    uint64_t query_id; /* 0: none; for JSON */
};

/* As much of it as the verbosity says: as text each part in a line, message, DETAIL, HINT. */
void log_parts(enum log_level level, const struct log_parts *parts);

/* The same for an error. */
struct err;
void log_error_parts(enum log_level level, const struct err *err);

/* "debug5" ... "panic", "info", "notice", "warning", "error", "log", "fatal"; -1 when unknown. */
int log_level_parse(const char *name);
const char *log_level_name(enum log_level level);

#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (unlikely(log_enabled(LOG_DEBUG1)))                                                     \
            log_write(LOG_DEBUG1, __VA_ARGS__);                                                    \
    } while (0)
#define log_info(...) log_write(LOG_LEVEL_LOG, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_fatal(...) log_write(LOG_LEVEL_FATAL, __VA_ARGS__)

/* An invariant of ours does not hold: says where, and ends this process (abort). */
void log_bug(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4) NORETURN;
#define BUG(...) log_bug(__FILE__, __LINE__, __VA_ARGS__)
#define BUG_UNLESS(cond)                                                                           \
    do {                                                                                           \
        if (unlikely(!(cond)))                                                                     \
            log_bug(__FILE__, __LINE__, "assertion failed: %s", #cond);                            \
    } while (0)

#endif
