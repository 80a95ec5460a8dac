/*
 * One node's health: from the outcomes of probes to a verdict.
 *
 * The health process of a node probes, says here how each probe ended, asks when the next one is
 * due, and sends a fact to the failover process when told to. Pure: no clock, no I/O. Times are
 * CLOCK_MONOTONIC in nanoseconds unless a name ends in _us (wall clock, only to be shown).
 *
 * Evidence, and the verdict:
 * - an answer, or 53300 (no room for us): ALIVE. Whoever says "too many" lives.
 * - 28xxx, 3D000: ALIVE without an answer, and an alarm. It speaks, and rejects us.
 * - name not resolved, no memory, our own fault: unchanged, and an alarm. It says nothing of the
 *   server.
 * - refused or reset: SUSPECT; DEAD at the second one, 100 ms or more after the first. Nobody
 *   listens there.
 * - no answer in time, or nonsense: SUSPECT; DEAD when max_retries are used up. One that comes
 *   sooner than retry_delay after the last that counted does not count: polling fast must not make
 *   death come sooner.
 * - 57P03 starting up, in recovery; 57P02: RECOVERING; DEAD when that lasts longer than
 *   recovery_grace.
 * - 57P03 shutting down: RECOVERING, and so is what is refused afterwards, for shutdown_grace: a
 *   restart is no failure.
 * - 57P01 on the kept connection: SUSPECT, asked again at once. Somebody may have ended just this
 *   connection; when it is refused after that, it is being shut down, see above. When it says that
 *   the postmaster has died, that counts as a lost connection.
 * - a child's report: asked at once, no verdict. A child sees one connection, not the server.
 *
 * Any answer clears all suspicion. A slow query of a user never counts: the probe has a connection
 * of its own.
 */
#ifndef CLUSTER_HEALTH_H
#define CLUSTER_HEALTH_H

#include "base/util.h"

#include <stdbool.h>

enum {
    HEALTH_REASON_BYTES = 112,
    HEALTH_SERVER_BYTES = 128,
    HEALTH_FAST_MS = 100,   /* between probes while suspect, and between two refusals that kill */
    HEALTH_CONFIRM_MS = 10, /* least distance of probes, however many reports come in */
};

/* How a probe ended; cluster/outcome.h reads it from errors. */
enum health_outcome {
    HEALTH_OK,            /* answered: answer is filled */
    HEALTH_REFUSED,       /* ECONNREFUSED; ENOENT of a unix socket */
    HEALTH_RESET,         /* ECONNRESET, EPIPE, end of file without a message */
    HEALTH_TIMEOUT,       /* nothing in time, EHOSTUNREACH, ENETUNREACH */
    HEALTH_STARTING,      /* 57P03 (unless its text says "shutting down"), 57P02 */
    HEALTH_SHUTTING_DOWN, /* 57P03 whose text says so */
    HEALTH_TERMINATED,    /* 57P01 */
    HEALTH_TOO_MANY,      /* 53300 */
    HEALTH_REJECTED,      /* 28xxx, 3D000, 42501 and the like: a server that does not want us */
    HEALTH_UNRESOLVED,    /* DNS, certificates, out of memory or descriptors: our side */
    HEALTH_NONSENSE,      /* it does not speak the protocol */
};

enum health_verdict {
    HEALTH_UNKNOWN, /* no probe has ended yet */
    HEALTH_ALIVE,
    HEALTH_SUSPECT,
    HEALTH_RECOVERING,
    HEALTH_DEAD,
};

/* Per node. 0 of period: no probes but those that are asked for. 0 of a grace: none. */
struct health_config {
    int64_t period_ns;      /* health_check_period */
    uint32_t max_retries;   /* health_check_max_retries */
    int64_t retry_delay_ns; /* health_check_retry_delay */
    int64_t recovery_grace_ns;
    int64_t shutdown_grace_ns;
};

/* What a server said of itself. */
struct health_answer {
    bool in_recovery;
    bool streams;      /* of a standby: it receives, as it says itself */
    uint32_t timeline; /* 0: not known now; of a standby the one that it receives or replays */
    uint64_t system_identifier;
    uint64_t
        received_lsn; /* the greater of received and replayed; of a primary the insert position */
    uint64_t flushed_lsn; /* of a primary: no standby can have more; 0 of a standby */
};

struct health_probe {
    enum health_outcome outcome;
    int64_t began_ns;
    int64_t ended_ns;
    int64_t ended_at_us;
    struct health_answer answer; /* with HEALTH_OK */
    const char *error;           /* words for people; NULL or borrowed for the call */
};

/* The columns of SHOW pool_health_check_stats that are counted. A check is a probe and its
 * retries; durations are of probes; last_..._us are 0 when there was none. */
struct health_stats {
    uint64_t total_count;
    uint64_t success_count;
    uint64_t fail_count;
    uint64_t skip_count;
    uint64_t retry_count;
    uint64_t max_retry_count;
    uint64_t probe_count;
    int64_t max_duration_us;
    int64_t min_duration_us;
    int64_t total_duration_us;
    int64_t last_health_check_us;
    int64_t last_successful_us;
    int64_t last_skip_us;
    int64_t last_failed_us;
};

/* For the failover process (cluster/plan.h). Safe to repeat. */
struct health_fact {
    uint8_t verdict;    /* enum health_verdict */
    bool misconfigured; /* the alarm; never a reason for a failover */
    bool answered;      /* answer is what the probe that began at began_ns brought */
    int64_t began_ns;
    struct health_answer answer;
    char reason[HEALTH_REASON_BYTES]; /* "" when alive and asked */
};

/* The caller's, at home in its slot; all zeroes is a new one. */
struct health {
    struct health_fact fact;
    struct health_answer last_answer; /* to see what has changed */
    bool suspicious;                  /* something happened since the last proof of life */
    bool confirm;                     /* asked for out of turn */
    uint32_t failures;                /* that count as retries */
    uint32_t retries;                 /* probes of this check beyond its first */
    uint32_t hard;                    /* refusals and resets */
    int64_t hard_since_ns;            /* the first of them */
    int64_t counted_ns;               /* the last failure that counted */
    int64_t recovering_since_ns;      /* 0: not */
    int64_t shutdown_since_ns;        /* 0: not */
    int64_t terminated_ns;            /* 57P01 since the last answer; 0: none */
    int64_t began_ns;                 /* the last probe */
    int64_t ended_ns;
    int64_t hurry_ns;       /* asked for by the failover process: distance, */
    int64_t hurry_until_ns; /* and until when */
    struct health_stats stats;
    char server[HEALTH_SERVER_BYTES]; /* the caller's mark: whose health it is */
};

/* A probe has ended. True when h->fact is to be sent: the verdict, the alarm, the role, timeline or
 * system are new, or the failover process has asked to hear of every probe. */
bool health_probe_ended(struct health *h, const struct health_config *cfg,
                        const struct health_probe *probe);

/* A child had an error with this node. */
void health_report(struct health *h);

/* The kept connection was lost between two probes; `terminated`: by 57P01. Asked at once, no
 * verdict. */
void health_lost(struct health *h, bool terminated, int64_t now_ns);

/* The failover process wants to hear of every probe, one each `every_ns`, until `until_ns`. */
void health_hurry(struct health *h, int64_t every_ns, int64_t until_ns);

/* A probe was due and left out (the node is in maintenance and nobody asks). */
void health_skipped(struct health *h, int64_t at_us);

/* When the next probe is to begin: may lie in the past, which means now; INT64_MAX: not by itself.
 * Only one probe at a time. */
int64_t health_next_ns(const struct health *h, const struct health_config *cfg);

/* retry_count by total_count, and the mean duration in us; 0 when there is nothing to divide. */
double health_average_retries(const struct health_stats *stats);
int64_t health_average_duration_us(const struct health_stats *stats);

const char *health_verdict_name(enum health_verdict verdict);

#endif
