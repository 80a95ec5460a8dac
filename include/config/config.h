/*
 * The configuration: one frozen generation of every option of pgpool.conf.
 *
 * A generation is made by config_load_file or config_load_text, numbered by its maker, and from
 * then on only read. A reload makes a new one beside the old. The parent checks a file once and
 * hands the outcome to the other processes as text (config_print); loading that text touches no
 * file, is cheap, and cannot fail.
 *
 * The fields come from include/tables/options.def, where each is described:
 *
 *   BOOL            bool            cfg->load_balance_mode
 *   INT, MODE       int             cfg->port
 *   DOUBLE          double          cfg->backends[0].weight
 *   TIME            int64_t, ms     cfg->client_idle_limit_ms (whatever unit the file uses)
 *   SIZE            int64_t, bytes  cfg->log_rotation_size_bytes
 *   STRING, SECRET  const char *    cfg->log_line_prefix, never NULL
 *   PATH            const char *    cfg->pool_passwd, absolute, or "" when there is none
 *   ENUM            enum            cfg->log_min_messages
 *   FLAGS           unsigned        cfg->log_destination & CONFIG_LOG_SYSLOG
 *   LIST, REGEXES   config_list     cfg->listen_addresses.items[0 .. count - 1]
 *
 * Values per node: cfg->backends[node_id].hostname (the option backend_hostname<N>), and so on.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/util.h"
#include "config/limits.h"

#include <stdbool.h>

enum {
    CONFIG_NODES_MAX = 128,         /* node numbers are 0 .. 127 */
    CONFIG_FILE_MAX = 1024 * 1024,  /* bytes of one file */
    CONFIG_PRINT_MAX = 1024 * 1024, /* bytes that config_print adds at most */
    CONFIG_INCLUDE_DEPTH_MAX = 10,
    CONFIG_NAME_MAX = 64, /* bytes of a parameter's name, its NUL included */
};

#define OPTION_ENUM_BEGIN(type) enum type {
#define OPTION_VALUE(constant, word) constant,
#define OPTION_BIT(constant, bit, word) constant = 1 << (bit),
#define OPTION_ENUM_END(type)                                                                      \
    }                                                                                              \
    ;
#include "tables/option_values.def"

/* Borrowed from the generation. */
struct config_list {
    const char *const *items;
    uint32_t count;
};

/* One server. */
struct config_backend {
    bool configured; /* false: no such node, the other fields hold the defaults */
#define CONFIG_IN_BACKEND(field) field
#define CONFIG_IN_HEALTH(field) field
#include "tables/option_fields.def"
};

/* One pgpool of a watchdog cluster; there is none when it has no hostname. */
struct config_peer {
#define CONFIG_IN_PEER(field) field
#include "tables/option_fields.def"
};

/* One path for heartbeats; there is none when it has no hostname. */
struct config_heartbeat {
#define CONFIG_IN_HEARTBEAT(field) field
#include "tables/option_fields.def"
};

struct config {
    uint64_t generation;    /* set by its maker before anybody else sees it; 0 at first */
    const char *path;       /* of the file, absolute when config_load_file read it */
    uint32_t backend_count; /* highest node number + 1; some below may not be configured */
    struct config_backend backends[CONFIG_NODES_MAX];
    struct config_peer peers[CONFIG_NODES_MAX];
    struct config_heartbeat heartbeats[CONFIG_NODES_MAX];
#define CONFIG_IN_GLOBAL(field) field
#define CONFIG_IN_HEALTH(field) field
#include "tables/option_fields.def"
    struct config_limits limits; /* what stood in the file pool_limits */
    struct arena arena;          /* owns all texts and lists */
};

enum config_severity {
    CONFIG_FAULT,   /* the configuration cannot be used */
    CONFIG_WARNING, /* it can, but probably does not do what its author meant */
    CONFIG_NOTE,    /* worth a line in the log */
};

/* One thing found in a file. Borrowed from the report. */
struct config_finding {
    enum config_severity severity;
    const char *file; /* "" when it belongs to no place in a file */
    uint32_t line;    /* 0 when it belongs to none */
    const char *text; /* in the style of PostgreSQL's messages */
    const char *hint; /* "" when there is none */
};

/* All that was found, in the order of finding; never only the first fault. */
struct config_report {
    struct arena arena;
    struct config_finding *findings;
    uint32_t count;
    uint32_t room;
    uint32_t faults; /* how many of them are faults */
};

void config_report_init(struct config_report *report);
void config_report_fini(struct config_report *report);

/* Adds one finding as it is shown to people, without a newline:
 * `/etc/pgpool/pgpool.conf:12: unknown parameter "prot" (hint: did you mean "port"?)`. */
void config_finding_print(const struct config_finding *finding, struct buf *out);

/*
 * Reads and checks a file with all that it includes. Blocks on the disk. Returns 0 and a
 * generation that the caller owns, or -1 when the report holds a fault. Warnings and notes (options
 * that have no effect yet, in one line) are added in either case. The report must be initialised;
 * what it held stays.
 */
int config_load_file(const char *path, struct config **cfg_r, struct config_report *report);

/* As above, but faults are only reported: what a faulty line would have set keeps its default. -1
 * only when the file cannot be read. For whoever looks for a running pgpool while its file is
 * broken. */
int config_load_faulty_file(const char *path, struct config **cfg_r, struct config_report *report);

/* The same from memory; includes are faults, no file is touched. The name stands for the file's
 * path in messages, and relative files belong to its directory. */
int config_load_text(const char *text, size_t len, const char *name, struct config **cfg_r,
                     struct config_report *report);

/* NULL is allowed. */
void config_free(struct config *cfg);

/*
 * Adds the canonical text: what differs from the defaults, one option per line. config_load_text
 * makes the same values of it and finds no fault, whatever the name.
 */
void config_print(const struct config *cfg, struct buf *out);

/*
 * Before a reload takes effect: what of `next` needs a restart gets the value that it has in
 * `old`, and a note names it. That holds for options of the context "startup", and for a node that
 * vanished or changed its host or port; new nodes and all else stand. Returns 0, or -1 with a
 * fault when the outcome does not fit together; then keep `old`.
 */
int config_reload_check(const struct config *old, struct config *next,
                        struct config_report *report);

/* Options that are shown together. */
enum config_group {
    CONFIG_GROUP_ALL,
    CONFIG_GROUP_BACKEND,      /* what belongs to a node */
    CONFIG_GROUP_WATCHDOG,     /* ... to a pgpool of the cluster */
    CONFIG_GROUP_HEARTBEAT,    /* ... to a path for heartbeats */
    CONFIG_GROUP_HEALTH_CHECK, /* what each node may have its own of */
};

/*
 * Each option of the group with its value as people write it ("5min", "on"), in the order of the
 * table, values per node for the nodes that exist. What a session has set for itself counts (own
 * may be NULL). Secrets show as "****". All texts are valid only during the call.
 */
struct config_overrides;
typedef void config_show_fn(void *ctx, const char *item, const char *value,
                            const char *description);
void config_show(const struct config *cfg, const struct config_overrides *own,
                 enum config_group group, config_show_fn *fn, void *ctx);

/* Adds the value of one option ("port", "backend_hostname0", an old name) as config_show gives it;
 * false when there is none of that name. */
bool config_get(const struct config *cfg, const struct config_overrides *own, const char *name,
                struct buf *out);

/* Add the file pgpool.conf.sample and the manual page pgpool.conf(5), as printed from the table. */
void config_print_sample(struct buf *out);
void config_print_man(struct buf *out);

#endif
