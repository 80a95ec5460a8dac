/*
 * What the files of the command line's words share.
 */
#ifndef PROC_CONTROL_H
#define PROC_CONTROL_H

#include "base/err.h"
#include "proc/start.h"

#include <sys/types.h>

enum { CONTROL_PATH_BYTES = 512 };

/* The process id of the running pgpool, and its pid file; 0 or -1, after a message, when there is
 * none or nobody can tell. */
pid_t control_need_running(const struct command *cmd, char pid_file_r[CONTROL_PATH_BYTES]);

/* Asks at its control socket and waits so long for an answer, which has CONTROL_ANSWER_BYTES. Our
 * stderr goes along. */
struct control_question {
    const char *pid_file;
    const char *text;
    int limit_s;
};
int control_ask(const struct control_question *q, char *answer, struct err *err);

/* control_connect.c: what pgpool's own users may do at the nodes; -1 after words about what is
 * missing. */
int control_check_nodes(const struct config *cfg, const char *key_path);

/* control_holds.c: prints what is paused and drained; nothing when nothing is, or nobody says. */
void control_print_holds(const char *pid_file);

struct config_report;

/* All findings to stderr, each in a line. */
void control_print_report(const struct config_report *report);

#endif
