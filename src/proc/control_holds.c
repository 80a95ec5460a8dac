/*
 * The words pause, resume, drain and undrain.
 *
 * The running pgpool does what it is asked at once; until servers are free, this command asks it
 * every tenth of a second what is left, and tells. When it gives up, by -t or by a signal, it takes
 * back what it has begun: nobody waits for a maintenance that does not come.
 */
#include "base/str.h"
#include "control.h"
#include "os/clock.h"
#include "parent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ANSWER_LIMIT_S = 10, STATUS_LIMIT_S = 2, ASK_EVERY_MS = 100 };

struct hold {
    const struct command *cmd;
    char pid_file[CONTROL_PATH_BYTES];
    struct hold_request request;
    char text[HOLD_TEXT_BYTES];
    bool is_new; /* this command has begun it */
    char answer[CONTROL_ANSWER_BYTES];
};

/* "pgpool", "database \"shop\"", "node 1" */
static void
print_subject(const struct hold *h, char *text_r, size_t room)
{
    if (h->request.verb == HOLD_DRAIN || h->request.verb == HOLD_UNDRAIN)
        snprintf(text_r, room, "node %d", (int)h->request.node_id);
    else if (h->request.database[0] != '\0')
        snprintf(text_r, room, "database \"%s\"", h->request.database);
    else
        snprintf(text_r, room, "pgpool");
}

static int
ask(struct hold *h, const char *text)
{
    struct control_question q = {h->pid_file, text, ANSWER_LIMIT_S};
    struct err err;

    if (control_ask(&q, h->answer, &err) != 0) {
        fprintf(stderr, "pgpool: %s\n", err.message);
        return -1;
    }
    if (strncmp(h->answer, "failed ", 7) != 0)
        return 0;
    fprintf(stderr, "pgpool: %s\n", h->answer + 7);
    return -1;
}

/* ---- waiting ---- */

static void
block_signals(sigset_t *set_r)
{
    sigemptyset(set_r);
    sigaddset(set_r, SIGINT);
    sigaddset(set_r, SIGTERM);
    sigaddset(set_r, SIGHUP);
    sigprocmask(SIG_BLOCK, set_r, NULL);
}

static bool
signal_comes(const sigset_t *set)
{
    static const struct timespec pause = {.tv_nsec = ASK_EVERY_MS * NS_PER_MS};

    return sigtimedwait(set, NULL, &pause) > 0;
}

static int
give_up(struct hold *h, unsigned left, const char *why)
{
    struct hold_request reverse = hold_request_reverse(&h->request);
    const char *line = strchr(h->answer, '\n') + 1;
    char subject[HOLD_TEXT_BYTES];
    char text[HOLD_TEXT_BYTES];

    print_subject(h, subject, sizeof(subject));
    fprintf(stderr, "pgpool: %s; what is left is %u server connection%s:\n", why, left,
            left == 1 ? "" : "s");
    for (size_t len; *line != '\0'; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");
        fprintf(stderr, "  %.*s\n", (int)len, line);
    }
    if (!h->is_new) {
        fprintf(stderr, "pgpool: %s stays as it was before, %s\n", subject,
                h->request.verb == HOLD_DRAIN ? "drained" : "paused");
        return 1;
    }
    hold_request_write(&reverse, text);
    if (ask(h, text) == 0)
        fprintf(stderr, "pgpool: it was taken back: %s is in use as before\n", subject);
    return 1;
}

static int
wait_until_free(struct hold *h)
{
    int64_t began_ns = clock_monotonic_ns();
    unsigned told = 0;
    unsigned left;
    sigset_t signals;
    char text[HOLD_TEXT_BYTES + 8];

    block_signals(&signals);
    snprintf(text, sizeof(text), "left %s", h->text);
    for (;;) {
        if (ask(h, text) != 0 || sscanf(h->answer, "left %u", &left) != 1)
            return 1;
        if (left == 0)
            return 0;
        if (h->cmd->timeout_s > 0 &&
            clock_monotonic_ns() - began_ns >= h->cmd->timeout_s * NS_PER_S)
            return give_up(h, left, "the time limit is over");
        if (left != told) {
            printf("waiting for %u server connection%s\n", left, left == 1 ? "" : "s");
            fflush(stdout);
        }
        told = left;
        if (signal_comes(&signals))
            return give_up(h, left, "interrupted");
    }
}

/* ---- the words ---- */

static void
make_request(struct hold *h)
{
    static const enum hold_verb verbs[] = {[COMMAND_PAUSE] = HOLD_PAUSE,
                                           [COMMAND_RESUME] = HOLD_RESUME,
                                           [COMMAND_DRAIN] = HOLD_DRAIN,
                                           [COMMAND_UNDRAIN] = HOLD_UNDRAIN};
    const char *object = h->cmd->object;

    h->request.verb = verbs[h->cmd->word];
    if (h->request.verb == HOLD_DRAIN || h->request.verb == HOLD_UNDRAIN)
        h->request.node_id = (int32_t)strtol(object, NULL, 10);
    else if (object != NULL)
        str_copy(h->request.database, sizeof(h->request.database), object);
    hold_request_write(&h->request, h->text);
}

static void
say_done(const struct hold *h)
{
    bool drain = h->request.verb == HOLD_DRAIN;
    char subject[HOLD_TEXT_BYTES];

    print_subject(h, subject, sizeof(subject));
    if (drain || h->request.verb == HOLD_PAUSE)
        printf("%s is %s%s: no server connection is open%s\n", subject,
               drain ? "drained" : "paused", h->is_new ? "" : " (it was before)",
               drain ? " to it" : "");
    else if (h->is_new)
        printf("%s is in use again\n", subject);
    else
        printf("%s was not %s\n", subject, h->request.verb == HOLD_UNDRAIN ? "drained" : "paused");
}

static int
hold(struct hold *h)
{
    int is_new = 0;

    make_request(h);
    if (control_need_running(h->cmd, h->pid_file) <= 0 || ask(h, h->text) != 0)
        return 1;
    if (sscanf(h->answer, "done %d", &is_new) != 1) {
        fprintf(stderr, "pgpool: the running pgpool does not understand: %s\n", h->answer);
        return 1;
    }
    h->is_new = is_new != 0;
    if ((h->request.verb == HOLD_PAUSE || h->request.verb == HOLD_DRAIN) && wait_until_free(h) != 0)
        return 1;
    say_done(h);
    return 0;
}

int
control_hold(const struct command *cmd)
{
    struct hold h = {.cmd = cmd};

    return hold(&h);
}

void
control_print_holds(const char *pid_file)
{
    struct control_question q = {pid_file, "holds", STATUS_LIMIT_S};
    char answer[CONTROL_ANSWER_BYTES];
    struct err err;

    if (control_ask(&q, answer, &err) == 0 && strncmp(answer, "holds\n", 6) == 0)
        printf("%s", answer + 6);
}
