/*
 * What the failure of a question says about the server: one of the outcomes of cluster/health.h.
 * Pure.
 *
 * Source: PostgreSQL's manual, appendix "PostgreSQL Error Codes".
 */
#ifndef CLUSTER_OUTCOME_H
#define CLUSTER_OUTCOME_H

#include "cluster/health.h"
#include "os/ask_failure.h"

/* failure and err as os/ask.h tells them. */
enum health_outcome health_outcome_of_failure(enum ask_failure failure, const struct err *err);

#endif
