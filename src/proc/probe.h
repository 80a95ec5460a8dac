/*
 * One probe at a time of one server, over one kept connection: is it there, and who does it say
 * it is? For the health process.
 */
#ifndef PROC_PROBE_H
#define PROC_PROBE_H

#include "base/err.h"
#include "cluster/health.h"
#include "os/ask.h"

#include <stdbool.h>

struct probe;

struct probe_ops {
    /* How it ended. result->error is the words of what went wrong, else NULL. */
    void (*ended)(void *ctx, const struct health_probe *result);
    /* The kept connection was lost while nothing was asked. */
    void (*lost)(void *ctx, const struct err *err);
};

/* 0: no limit. */
struct probe_limits {
    int64_t timeout_ms; /* of all of it */
    int64_t connect_ms; /* and when it has to connect first */
};

/* Opens nothing yet. ops is borrowed; io and dns must outlive it. */
struct probe *probe_new(struct io *io, struct dns *dns, const struct probe_ops *ops, void *ctx);

/* Closes; no callback runs any more. */
void probe_free(struct probe *p);

/* True when the target is another one: the connection is closed, and a probe that runs is forgotten
 * without a callback. */
bool probe_set_target(struct probe *p, const struct ask_target *target);

/* A callback tells, never inside this call. Not while one runs. */
void probe_begin(struct probe *p, const struct probe_limits *limits);
bool probe_is_running(const struct probe *p);

/* The user may not see the state of the server's WAL receiver: then the timeline of a standby is
 * that of its control file, which may be minutes old. */
bool probe_is_blind(const struct probe *p);

#endif
