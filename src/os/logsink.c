/*
 * The sink of a process's log lines.
 *
 * stderr may be a file, a terminal, or a pipe (to the logger, or to what the user gave us). Pieces
 * of at most PIPE_BUF bytes are written after poll has found room; what was cut off in the middle
 * gets its end of line first. syslog is one nonblocking datagram per line to /dev/log.
 */
#include "os/logsink.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 100, IDENT_BYTES = 64, OUT_BYTES = 9000, FACILITY_LOCAL0 = 16 };

static struct {
    bool to_stderr;
    bool to_syslog;
    unsigned facility;
    char ident[IDENT_BYTES];
    int syslog_fd;
    bool never_full; /* stderr is a file */
    bool torn;       /* the last line was cut off */
    uint64_t missing;
} state = {.syslog_fd = -1};

static bool
has_room(int wait_ms)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    int n;

    if (state.never_full)
        return true;
    do {
        n = poll(&p, 1, wait_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0 && (p.revents & POLLOUT) != 0;
}

/* False when not all of it could leave in time. */
static bool
write_pieces(const char *bytes, size_t len, int wait_ms)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n;

        if (!has_room(wait_ms)) {
            state.torn = state.torn || done > 0;
            return false;
        }
        n = write(STDERR_FILENO, bytes + done, MIN(len - done, (size_t)PIPE_BUF));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && wait_ms > 0) {
            wait_ms = 0; /* another process was faster; once more, without waiting */
            continue;
        }
        if (n <= 0) {
            state.torn = state.torn || done > 0;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool
tell_missing(void)
{
    char text[192];
    int len;

    if (state.torn) {
        if (!write_pieces("\n", 1, 0))
            return false;
        state.torn = false;
    }
    if (state.missing == 0)
        return true;
    len = snprintf(text, sizeof(text),
                   log_is_json()
                       ? "{\"pid\":%d,\"error_severity\":\"WARNING\",\"message\":\"%llu log lines "
                         "are missing here: the log was not read in time\"}\n"
                       : "pgpool[%d]: %llu log lines are missing here: the log was not read in "
                         "time\n",
                   (int)getpid(), (unsigned long long)state.missing);
    if (!write_pieces(text, (size_t)len, 0))
        return false;
    state.missing = 0;
    return true;
}

static void
to_stderr(const char *line, size_t len)
{
    char out[OUT_BYTES];

    len = MIN(len, sizeof(out) - 1);
    memcpy(out, line, len);
    out[len] = '\n';
    if (!tell_missing() || !write_pieces(out, len + 1, state.missing == 0 ? WAIT_MS : 0))
        state.missing++;
}

static int
severity_of(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_PANIC:
        return 2; /* critical */
    case LOG_LEVEL_FATAL:
        return 3; /* error */
    case LOG_LEVEL_ERROR:
    case LOG_LEVEL_WARNING:
        return 4; /* warning, as PostgreSQL maps an error of a session */
    case LOG_LEVEL_NOTICE:
        return 5;
    case LOG_LEVEL_LOG:
    case LOG_LEVEL_INFO:
        return 6;
    default:
        return 7; /* debug */
    }
}

static bool
connect_syslog(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

    if (state.syslog_fd >= 0)
        return true;
    state.syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (state.syslog_fd < 0)
        return false;
    if (connect(state.syslog_fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
        return true;
    close(state.syslog_fd);
    state.syslog_fd = -1;
    return false;
}

/* False when nothing listens. A full queue drops the line: that is syslog's way. */
static bool
to_syslog(enum log_level level, const char *line, size_t len)
{
    char out[OUT_BYTES];
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    int head;

    localtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
    head = snprintf(out, sizeof(out), "<%u>%s %s[%d]: ",
                    (FACILITY_LOCAL0 + state.facility) * 8 + (unsigned)severity_of(level), stamp,
                    state.ident, (int)getpid());
    len = MIN(len, sizeof(out) - (size_t)head);
    memcpy(out + head, line, len);
    for (int tries = 0; tries < 2; tries++) {
        if (!connect_syslog())
            return false;
        if (send(state.syslog_fd, out, (size_t)head + len, MSG_NOSIGNAL) >= 0 || errno == EAGAIN ||
            errno == EMSGSIZE)
            return true;
        close(state.syslog_fd); /* syslogd was started anew */
        state.syslog_fd = -1;
    }
    return false;
}

static void
sink(void *ctx UNUSED, enum log_level level, const char *line, size_t len)
{
    bool seen = state.to_syslog && to_syslog(level, line, len);

    if (state.to_stderr || !seen)
        to_stderr(line, len);
}

void
logsink_use(const struct logsink_options *options)
{
    struct stat st;

    state.to_stderr = options->to_stderr;
    state.to_syslog = options->to_syslog;
    state.facility = options->facility;
    str_copy(state.ident, sizeof(state.ident), options->ident);
    state.never_full = fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    log_set_sink(sink, NULL);
}
