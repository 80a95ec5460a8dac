/*
 * What the lag process asks a node: where it stands, and who it is.
 *
 * Source: PostgreSQL's manual, chapters "System Administration Functions" and "Logical
 * Replication".
 */
#ifndef PROC_LAG_QUESTIONS_H
#define PROC_LAG_QUESTIONS_H

#include <stdbool.h>

/* Columns of one row; from COL_SYSTEM on only when it tells who it is. */
enum {
    COL_RECOVERY,
    COL_LSN,
    COL_TIMELINE,
    COL_APPLIED, /* of a subscriber, in logical replication */
    COL_SYSTEM,
    COL_RECEIVER,
    COL_CONNINFO,
    COL_LEVELS,
    COL_SEES_ORIGINS, /* the next question may ask for origins */
};

/* who: who it is as well. logical: logical replication; origins: the role may see those. */
const char *lag_question(bool who, bool logical, bool origins);

#endif
