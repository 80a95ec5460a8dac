/*
 * The history of moments and WAL positions that freshness is judged by.
 *
 * Used by the lag process alone, one history per primary and timeline. While nothing is written
 * the newest pair's moment is moved forward in place, so that an idle cluster needs one pair; since
 * when a standby has been behind, its first moment tells.
 *
 * Invariant: t_ns, first_ns and lsn are all strictly ascending; first_ns is not after t_ns.
 */
#include "cluster/fresh.h"

#include <string.h>

enum {
    USUAL_BLOCK_BYTES = 8192,
    USUAL_SEGMENT_BYTES = 16 * 1024 * 1024,
    /* sizes of the two page headers, the same in every supported server (PostgreSQL's manual,
     * chapter "WAL Internals", and pg_waldump's output at page boundaries) */
    SHORT_HEADER_BYTES = 24,
    LONG_HEADER_BYTES = 40,
};

uint64_t
cluster_fresh_target(uint64_t insert_lsn, uint32_t block_bytes, uint32_t segment_bytes)
{
    uint64_t block = block_bytes != 0 ? block_bytes : USUAL_BLOCK_BYTES;
    uint64_t segment = segment_bytes != 0 ? segment_bytes : USUAL_SEGMENT_BYTES;

    if (insert_lsn % segment < block)
        return insert_lsn % segment == LONG_HEADER_BYTES ? insert_lsn - LONG_HEADER_BYTES
                                                         : insert_lsn;
    return insert_lsn % block == SHORT_HEADER_BYTES ? insert_lsn - SHORT_HEADER_BYTES : insert_lsn;
}

/* Gives up the pair that is missed least: the one between whose neighbours the gap is smallest,
 * compared with how long ago that was. */
static void
thin_out(struct cluster_fresh *history)
{
    const struct cluster_fresh_pair *pairs = history->pairs;
    int64_t newest_ns = pairs[history->count - 1].t_ns;
    uint32_t least = 1;
    double least_gap = 2;

    for (uint32_t at = 1; at + 1 < history->count; at++) {
        double gap = (double)(pairs[at + 1].t_ns - pairs[at - 1].t_ns) /
                     (double)(newest_ns - pairs[at - 1].t_ns + 1);

        if (gap < least_gap) {
            least_gap = gap;
            least = at;
        }
    }
    history->count--;
    memmove(&history->pairs[least], &history->pairs[least + 1],
            (history->count - least) * sizeof(history->pairs[0]));
}

void
cluster_fresh_note(struct cluster_fresh *history, int64_t t_ns, uint64_t lsn)
{
    if (history->count > 0) {
        struct cluster_fresh_pair *newest = &history->pairs[history->count - 1];

        if (t_ns <= newest->t_ns || lsn < newest->lsn)
            return;
        if (lsn == newest->lsn) {
            newest->t_ns = t_ns;
            return;
        }
    }
    if (history->count == CLUSTER_FRESH_PAIRS)
        thin_out(history);
    history->pairs[history->count++] = (struct cluster_fresh_pair){t_ns, t_ns, lsn};
}

int64_t
cluster_fresh_as_of(const struct cluster_fresh *history, uint64_t replay_lsn)
{
    for (uint32_t at = history->count; at > 0; at--)
        if (history->pairs[at - 1].lsn <= replay_lsn)
            return history->pairs[at - 1].t_ns;
    return 0;
}

uint64_t
cluster_fresh_delay_bytes(const struct cluster_fresh *history, uint64_t replay_lsn)
{
    if (history->count == 0 || history->pairs[history->count - 1].lsn <= replay_lsn)
        return 0;
    return history->pairs[history->count - 1].lsn - replay_lsn;
}

int64_t
cluster_fresh_delay_us(const struct cluster_fresh *history, uint64_t replay_lsn, int64_t now_ns)
{
    for (uint32_t at = 0; at < history->count; at++)
        if (history->pairs[at].lsn > replay_lsn)
            return MAX(now_ns - history->pairs[at].first_ns, 0) / 1000;
    return 0;
}
