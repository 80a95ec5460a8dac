/*
 * Words for how far a standby is behind, as log_standby_delay and the thresholds have it.
 */
#ifndef CLUSTER_DELAY_H
#define CLUSTER_DELAY_H

#include "cluster/view.h"

struct config;

enum { CLUSTER_DELAY_BYTES = 48 };

/* "2345 ms" when delay_threshold_by_time is set, else "1234 bytes". Returns text_r. */
const char *cluster_delay_text(const struct config *cfg, const struct node_freshness *node,
                               char text_r[CLUSTER_DELAY_BYTES]);

/* Does log_standby_delay want a standby's delay in the log? "always" means whenever it is more
 * than nothing; a threshold of 0 is none. */
bool cluster_delay_is_logged(const struct config *cfg, const struct node_freshness *node);

#endif
