/*
 * The texts of online recovery: the shell script that makes a node's server a standby, and the
 * statements that run a script of the user's on the primary.
 *
 * All values are quoted for the shell and for SQL here. Pure: nothing is run.
 */
#ifndef CLUSTER_REBUILD_H
#define CLUSTER_REBUILD_H

#include "base/buf.h"
#include "base/err.h"

enum rebuild_mode {
    REBUILD_AUTO,  /* pg_rewind when it can serve, else a base backup */
    REBUILD_COPY,  /* a base backup */
    REBUILD_CLEAN, /* nothing but: take away what was kept for a failure */
};

/* How the script ends. */
enum { REBUILD_COPIED = 0, REBUILD_REWOUND = 10 };

/* Borrowed. Hosts are names, literals or directories of unix sockets. */
struct rebuild {
    enum rebuild_mode mode;
    int node_id;
    const char *node_host; /* as pgpool calls it */
    uint16_t node_port;
    const char *data_directory;
    const char *application_name; /* of its WAL receiver; "": as it is */
    const char *primary_host;
    uint16_t primary_port;
    const char *user;
    const char *password; /* "": none */
    const char *system_identifier;
    uint32_t timeline;         /* of the primary */
    int server_version;        /* as libpq counts: 150018 */
    const char *history;       /* rebuild_history of the primary's timeline; "" on timeline 1 */
    const char *bin_directory; /* of PostgreSQL's programs; "": searched */
    int64_t wait_s;            /* for the server to start */
};

/* What `sh -s` reads: parameters and script, with the password in it. -1 when a value holds what
 * cannot be passed on safely: control characters, a relative directory, a strange host. */
int rebuild_script(const struct rebuild *r, struct buf *out, struct err *err);

/* The earlier timelines and their ends of a timeline's history file, "1 0/3000148\n2 ...". */
void rebuild_history(const char *file, struct buf *out);

/* Adds a word for the shell, in single quotes. */
void rebuild_quote_shell(struct buf *out, const char *word);

/* Adds a literal for SQL, whatever standard_conforming_strings is. */
void rebuild_quote_sql(struct buf *out, const char *text);

/*
 * The statement that runs a program in the data directory of the server that it is sent to, as
 * pgpool_recovery() of Pgpool-II does, without an extension: COPY to a program that nothing is
 * sent to. words[0] is the name of the script; NULL ends. Its output goes to a file there, which
 * base backups leave out by its name; rebuild_output_sql reads it meanwhile.
 * -1 when a word holds control characters.
 * Source: PostgreSQL's manual, COPY, "PROGRAM"; chapter "Streaming Replication Protocol",
 * BASE_BACKUP, which names the files that are not sent.
 */
int rebuild_program_sql(const char *data_directory, int node_id, const char *const *words,
                        struct buf *out, struct err *err);

/* One column: the next bytes of that output from offset on, in hexadecimal digits. */
void rebuild_output_sql(int node_id, uint64_t offset, struct buf *out);

/* Takes the file away. */
void rebuild_forget_sql(int node_id, struct buf *out);

#endif
