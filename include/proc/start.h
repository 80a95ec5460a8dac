/*
 * The pgpool program: its command line, and the daemon that it may become.
 */
#ifndef PROC_START_H
#define PROC_START_H

#include "base/err.h"
#include "os/pidfile.h"
#include "proc/proc.h"

#include <stdbool.h>

struct config;

enum command_word {
    COMMAND_START,
    COMMAND_STOP,
    COMMAND_RELOAD,
    COMMAND_STATUS,
    COMMAND_CONFIGTEST,
    COMMAND_UPGRADE,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_DRAIN,
    COMMAND_UNDRAIN,
    COMMAND_COMPARE,
    COMMAND_MIGRATE,
};

enum { COMMAND_UPGRADE_LIMIT_S = 60 };

/* What the command line says. Strings belong to it, or to the program's life. */
struct command {
    enum command_word word;
    enum proc_stop mode; /* of stop */
    bool foreground;
    bool debug;          /* everything into the log */
    bool discard_status; /* forget which nodes were down */
    bool connect;        /* of configtest: the nodes, too */
    bool clear_oidmaps;  /* forget what the query cache knows of tables */
    bool help;
    bool version;
    const char *object; /* what the word is about: a database, a node, a file; NULL: nothing */
    char **objects;     /* of compare: databases; none: all */
    int object_count;
    const char *nodes;       /* of compare: numbers with commas; NULL: all */
    const char *from;        /* of migrate: whose file it is; NULL: to be seen */
    const char *part;        /* of migrate: which new file; NULL: pgpool.conf */
    int timeout_s;           /* of upgrade, pause, drain, compare; 0: none was given */
    const char *program;     /* absolute path of this program (os/exec.h); NULL: not known */
    struct proc_files files; /* absolute paths */
};

/* Returns 0, or -1 with a message for the user (exit status 2). */
int command_parse(int argc, char **argv, struct command *cmd_r, struct err *err);
void command_print_help(void);

/* Does all of it: parses, runs, returns the exit status. */
int command_main(int argc, char **argv);

/* stop, reload, status, configtest, upgrade: return the exit status. */
int control_stop(const struct command *cmd);
int control_reload(const struct command *cmd);
int control_status(const struct command *cmd);
int control_configtest(const struct command *cmd);
int control_upgrade(const struct command *cmd);

/* pause, resume, drain, undrain. */
int control_hold(const struct command *cmd);

/* Compares the nodes' databases; 3: there are differences. */
int control_compare(const struct command *cmd);

/* Prints a new file from an old one of Pgpool-II or PgBouncer. */
int control_migrate(const struct command *cmd);

/* Loads the configuration and prints what was found to stderr; NULL when it holds a fault. */
struct config *control_load(const struct command *cmd);

/* pool_passwd and its key: -1 when one is faulty or readable by others, as said to stderr. */
int control_check_passwords(const struct command *cmd, const struct config *cfg);

/* Whether the hosts of etcd can be understood, where there is a watchdog; -1 after a message. */
int control_check_etcd(const struct config *cfg);

/* Becomes the parent process and serves until it is stopped. Takes the configuration over. Faults
 * at start are told through the log, which still is stderr then. Returns the exit status. */
int parent_main(const struct command *cmd, struct config *cfg);

#endif
