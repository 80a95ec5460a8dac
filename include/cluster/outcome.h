/*
 * What the failure of a question says about the server: from SQLSTATE and words to one of the
 * outcomes of cluster/health.h. Pure.
 *
 * Source: PostgreSQL's manual, appendix "PostgreSQL Error Codes".
 */
#ifndef CLUSTER_OUTCOME_H
#define CLUSTER_OUTCOME_H

#include "cluster/health.h"

/* sqlstate and words as os/ask.h gives them: the server's own where it spoke; else 08001, 08006 or
 * 08P01 with the words of libpq in English, or 57014 for its deadline. */
enum health_outcome health_outcome_of_failure(const char *sqlstate, const char *words);

#endif
