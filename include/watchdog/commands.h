/*
 * Commands of the watchdog, one at a time each; for the runner.
 */
#ifndef WATCHDOG_COMMANDS_H
#define WATCHDOG_COMMANDS_H

#include "config/config.h"
#include "os/io.h"
#include "os/run.h"

#include <stdbool.h>

/* Borrowed until wd_command_init returns, but for the name, which is static. */
struct wd_command_text {
    const char *name;      /* of the parameter, for the log */
    const char *text;      /* words with blanks between them; $_IP_$ and $_LIFETIME_$ */
    const char *directory; /* of the program, when it does not begin with a slash; where it is not
                            * there, the first of the system that has it */
};

struct wd_command {
    struct io *io;
    void *ctx;
    const char *name;
    char *text; /* with everything replaced but $_LIFETIME_$ */
    int64_t lifetime_s;
    bool guards;
    struct run *run;
    void (*ended)(void *ctx, bool done);
    unsigned failures; /* since it went well: what is said is told once */
};

void wd_command_init(struct wd_command *c, struct io *io, void *ctx,
                     const struct wd_command_text *text, const char *address);
/* Ends it. */
void wd_command_fini(struct wd_command *c);

/* From now on it waits, in a session of its own, until this process has ended or has left it, and
 * runs only then. */
void wd_command_guard(struct wd_command *c);
void wd_command_set_lifetime(struct wd_command *c, int64_t lifetime_s);

bool wd_command_is_set(const struct wd_command *c); /* it has words */
bool wd_command_runs(const struct wd_command *c);

/* ended may be NULL; limit_ms 0: no limit. False: it could not be started, ended is not called. */
bool wd_command_start(struct wd_command *c, int64_t limit_ms, void (*ended)(void *ctx, bool done));

/* Its group gets SIGKILL; ended is not called. */
void wd_command_kill(struct wd_command *c);

/* It goes on without us. */
void wd_command_leave(struct wd_command *c);

/* ---- escalation.c: wd_escalation_command and wd_de_escalation_command, one after the other ----
 */

struct wd_escalation {
    struct io *io;
    struct run *run;
    char *commands[2]; /* of ceasing to be leader, and of becoming it */
    int64_t limit_ms;
    bool runs_up; /* which one runs */
    bool wanted;
    bool waits; /* the wanted one is to run when that has ended */
};

void wd_escalation_init(struct wd_escalation *e, struct io *io);
void wd_escalation_fini(struct wd_escalation *e); /* what runs is left to its end */
void wd_escalation_reload(struct wd_escalation *e, const struct config *config);
void wd_escalate(struct wd_escalation *e, bool up);
bool wd_escalation_is_idle(const struct wd_escalation *e);

#endif
