/*
 * The terminal of a program that draws (os/terminal.h). Called by tools/ only.
 *
 * Signals end the program from their handler: nothing is called there that is not safe.
 */
#include "os/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const char enter[] = "\033[?1049h\033[?25l\033[?7l"; /* other screen, no cursor, no wrap */
static const char leave[] = "\033[?7h\033[?25h\033[?1049l";

static struct termios before;

bool
terminal_is_there(void)
{
    return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
}

void
terminal_write(const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}

void
terminal_restore(void)
{
    terminal_write(leave, sizeof(leave) - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void
ended_by_signal(int signo)
{
    terminal_restore();
    _exit(signo == SIGINT ? 0 : 128 + signo);
}

static void
size_changed(int signo UNUSED)
{
}

void
terminal_take(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction act = {.sa_handler = ended_by_signal};
    struct sigaction resized = {.sa_handler = size_changed}; /* ends a poll */
    struct termios raw;

    tcgetattr(STDIN_FILENO, &before);
    for (size_t n = 0; n < ARRAY_LEN(ends); n++)
        sigaction(ends[n], &act, NULL);
    sigaction(SIGWINCH, &resized, NULL);
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* stopped, it would leave the shell this screen */
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    terminal_write(enter, sizeof(enter) - 1);
}

void
terminal_size(size_t *columns_r, size_t *lines_r)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;

    *columns_r = known ? size.ws_col : 80;
    *lines_r = known ? size.ws_row : 24;
}

int
terminal_key(int wait_ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    int n = poll(&p, 1, wait_ms);
    unsigned char key;

    if (n == 0)
        return TERMINAL_NOTHING;
    if (n < 0)
        return errno == EINTR ? TERMINAL_RESIZED : TERMINAL_GONE;
    return read(STDIN_FILENO, &key, 1) == 1 ? key : TERMINAL_GONE;
}
