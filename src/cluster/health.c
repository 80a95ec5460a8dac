/*
 * From the outcomes of probes to a verdict on one node.
 *
 * Called by the health process of the node alone. Invariants: what clears suspicion is an answer
 * and nothing else; DEAD needs evidence about the server, never about ourselves; the verdict
 * changes only when a probe ends.
 */
#include "cluster/health.h"

#include "base/str.h"

#include <string.h>

static const int64_t fast_ns = HEALTH_FAST_MS * NS_PER_MS;
static const int64_t confirm_ns = HEALTH_CONFIRM_MS * NS_PER_MS;

static void
clear_suspicion(struct health *h)
{
    h->suspicious = false;
    h->failures = h->hard = 0;
    h->hard_since_ns = h->counted_ns = 0;
    h->recovering_since_ns = h->shutdown_since_ns = h->terminated_ns = 0;
}

static void
suspect(struct health *h)
{
    h->suspicious = true;
    if (h->fact.verdict != HEALTH_DEAD)
        h->fact.verdict = HEALTH_SUSPECT;
}

/* Has what began at since_ns lasted longer than it may? */
static bool
grace_is_over(int64_t since_ns, int64_t grace_ns, int64_t now_ns)
{
    return now_ns - since_ns >= grace_ns;
}

static void
note_recovering(struct health *h, int64_t *since_ns, int64_t grace_ns, int64_t now_ns)
{
    if (*since_ns == 0)
        *since_ns = now_ns;
    h->suspicious = true;
    h->failures = h->hard = 0;
    h->fact.verdict = grace_is_over(*since_ns, grace_ns, now_ns) ? HEALTH_DEAD : HEALTH_RECOVERING;
}

static void
note_hard_failure(struct health *h, const struct health_config *cfg, int64_t now_ns)
{
    if (h->shutdown_since_ns == 0)
        h->shutdown_since_ns = h->terminated_ns;
    if (h->shutdown_since_ns != 0 &&
        !grace_is_over(h->shutdown_since_ns, cfg->shutdown_grace_ns, now_ns)) {
        h->suspicious = true;
        h->fact.verdict = HEALTH_RECOVERING;
        return;
    }
    suspect(h);
    if (h->hard++ == 0)
        h->hard_since_ns = now_ns;
    else if (now_ns - h->hard_since_ns >= fast_ns)
        h->fact.verdict = HEALTH_DEAD;
}

static void
note_soft_failure(struct health *h, const struct health_config *cfg, int64_t now_ns)
{
    suspect(h);
    if (h->failures == 0 || now_ns - h->counted_ns >= cfg->retry_delay_ns) {
        h->failures++;
        h->counted_ns = now_ns;
    }
    if (h->failures > cfg->max_retries)
        h->fact.verdict = HEALTH_DEAD;
}

static void
judge(struct health *h, const struct health_config *cfg, const struct health_probe *probe)
{
    switch (probe->outcome) {
    case HEALTH_OK:
    case HEALTH_TOO_MANY:
    case HEALTH_REJECTED:
        clear_suspicion(h);
        h->fact.verdict = HEALTH_ALIVE;
        break;
    case HEALTH_REFUSED:
    case HEALTH_RESET:
        note_hard_failure(h, cfg, probe->ended_ns);
        break;
    case HEALTH_TIMEOUT:
    case HEALTH_NONSENSE:
        note_soft_failure(h, cfg, probe->ended_ns);
        break;
    case HEALTH_STARTING:
        h->shutdown_since_ns = 0;
        note_recovering(h, &h->recovering_since_ns, cfg->recovery_grace_ns, probe->ended_ns);
        break;
    case HEALTH_SHUTTING_DOWN:
        note_recovering(h, &h->shutdown_since_ns, cfg->shutdown_grace_ns, probe->ended_ns);
        break;
    case HEALTH_TERMINATED:
        suspect(h);
        h->terminated_ns = probe->ended_ns;
        h->confirm = true;
        break;
    case HEALTH_UNRESOLVED:
        break;
    }
}

static void
count(struct health *h, const struct health_probe *probe, bool was_suspicious)
{
    struct health_stats *stats = &h->stats;
    int64_t duration_us = MAX(probe->ended_ns - probe->began_ns, 0) / 1000;
    bool ok = h->fact.verdict == HEALTH_ALIVE && probe->outcome != HEALTH_UNRESOLVED &&
              probe->outcome != HEALTH_REJECTED;

    if (was_suspicious) {
        stats->retry_count++;
        h->retries++;
        stats->max_retry_count = MAX(stats->max_retry_count, h->retries);
    } else {
        stats->total_count++;
        h->retries = 0;
    }
    if (ok)
        stats->success_count++;
    else if (!h->suspicious || h->fact.verdict == HEALTH_DEAD)
        stats->fail_count++;
    stats->min_duration_us =
        stats->probe_count == 0 ? duration_us : MIN(stats->min_duration_us, duration_us);
    stats->max_duration_us = MAX(stats->max_duration_us, duration_us);
    stats->total_duration_us += duration_us;
    stats->probe_count++;
    stats->last_health_check_us = probe->ended_at_us;
    if (ok)
        stats->last_successful_us = probe->ended_at_us;
    else
        stats->last_failed_us = probe->ended_at_us;
    if (h->fact.verdict == HEALTH_DEAD)
        h->retries = 0;
}

static bool
says_something_new(const struct health_answer *a, const struct health_answer *b)
{
    return a->in_recovery != b->in_recovery || a->timeline != b->timeline ||
           a->system_identifier != b->system_identifier;
}

bool
health_probe_ended(struct health *h, const struct health_config *cfg,
                   const struct health_probe *probe)
{
    struct health_fact before = h->fact;
    bool in_check = h->suspicious && h->fact.verdict != HEALTH_DEAD;
    bool fresh = false;

    h->began_ns = probe->began_ns;
    h->ended_ns = probe->ended_ns;
    h->confirm = false;
    judge(h, cfg, probe);
    count(h, probe, in_check);

    h->fact.misconfigured =
        probe->outcome == HEALTH_REJECTED || probe->outcome == HEALTH_UNRESOLVED;
    h->fact.answered = probe->outcome == HEALTH_OK;
    h->fact.began_ns = probe->began_ns;
    str_copy(h->fact.reason, sizeof(h->fact.reason),
             h->fact.answered || probe->error == NULL ? "" : probe->error);
    if (h->fact.answered) {
        fresh = says_something_new(&probe->answer, &h->last_answer);
        h->fact.answer = h->last_answer = probe->answer;
    }
    return fresh || before.verdict != h->fact.verdict ||
           before.misconfigured != h->fact.misconfigured ||
           (h->fact.answered && !before.answered) || probe->ended_ns < h->hurry_until_ns;
}

void
health_report(struct health *h)
{
    h->confirm = true;
}

void
health_lost(struct health *h, bool terminated, int64_t now_ns)
{
    h->confirm = true;
    if (terminated)
        h->terminated_ns = now_ns;
}

void
health_hurry(struct health *h, int64_t every_ns, int64_t until_ns)
{
    every_ns = MAX(every_ns, confirm_ns);
    if (until_ns <= h->hurry_until_ns && every_ns >= h->hurry_ns)
        return; /* somebody else wants more */
    h->hurry_ns = every_ns;
    h->hurry_until_ns = until_ns;
}

void
health_skipped(struct health *h, int64_t at_us)
{
    h->stats.skip_count++;
    h->stats.last_skip_us = at_us;
}

static int64_t
next_by_verdict(const struct health *h, const struct health_config *cfg)
{
    int64_t regular_ns = cfg->period_ns > 0 ? h->began_ns + cfg->period_ns : INT64_MAX;

    switch ((enum health_verdict)h->fact.verdict) {
    case HEALTH_SUSPECT:
        if (h->hard == 0 && h->failures > 0)
            return h->ended_ns + cfg->retry_delay_ns;
        return h->ended_ns + fast_ns;
    case HEALTH_RECOVERING:
        return h->ended_ns + fast_ns;
    default:
        return regular_ns;
    }
}

int64_t
health_next_ns(const struct health *h, const struct health_config *cfg)
{
    int64_t next_ns = next_by_verdict(h, cfg);

    if (h->stats.probe_count == 0)
        return cfg->period_ns > 0 || h->confirm || h->hurry_until_ns > 0 ? 0 : INT64_MAX;
    if (h->confirm)
        next_ns = MIN(next_ns, h->began_ns + confirm_ns);
    if (h->ended_ns < h->hurry_until_ns)
        next_ns = MIN(next_ns, h->began_ns + h->hurry_ns);
    return next_ns;
}

double
health_average_retries(const struct health_stats *stats)
{
    return stats->total_count == 0 ? 0 : (double)stats->retry_count / (double)stats->total_count;
}

int64_t
health_average_duration_us(const struct health_stats *stats)
{
    return stats->probe_count == 0 ? 0 : stats->total_duration_us / (int64_t)stats->probe_count;
}

const char *
health_verdict_name(enum health_verdict verdict)
{
    static const char *const names[] = {
        [HEALTH_UNKNOWN] = "unknown",       [HEALTH_ALIVE] = "alive", [HEALTH_SUSPECT] = "suspect",
        [HEALTH_RECOVERING] = "recovering", [HEALTH_DEAD] = "dead",
    };

    return (unsigned)verdict < ARRAY_LEN(names) ? names[verdict] : names[HEALTH_UNKNOWN];
}
