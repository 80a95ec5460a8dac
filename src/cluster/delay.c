/*
 * How far a standby is behind, in words. Called by the lag process once a period. Pure.
 */
#include "cluster/delay.h"

#include "config/config.h"

#include <inttypes.h>
#include <stdio.h>

const char *
cluster_delay_text(const struct config *cfg, const struct node_freshness *node,
                   char text_r[CLUSTER_DELAY_BYTES])
{
    if (cfg->delay_threshold_by_time_ms > 0)
        snprintf(text_r, CLUSTER_DELAY_BYTES, "%" PRId64 " ms", node->delay_us / 1000);
    else
        snprintf(text_r, CLUSTER_DELAY_BYTES, "%" PRIu64 " bytes", node->delay_bytes);
    return text_r;
}

bool
cluster_delay_is_logged(const struct config *cfg, const struct node_freshness *node)
{
    bool by_time = cfg->delay_threshold_by_time_ms > 0;

    switch (cfg->log_standby_delay) {
    case CONFIG_STANDBY_DELAY_ALWAYS:
        return by_time ? node->delay_us >= 1000 : node->delay_bytes > 0;
    case CONFIG_STANDBY_DELAY_IF_OVER:
        if (by_time)
            return node->delay_us > cfg->delay_threshold_by_time_ms * 1000;
        return cfg->delay_threshold_bytes > 0 &&
               node->delay_bytes > (uint64_t)cfg->delay_threshold_bytes;
    default:
        return false;
    }
}
