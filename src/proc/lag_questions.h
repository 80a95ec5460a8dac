/*
 * What the lag process asks a node: where it stands, and who it is.
 *
 * Source: PostgreSQL's manual, chapters "System Administration Functions" and "Logical
 * Replication".
 */
#ifndef PROC_LAG_QUESTIONS_H
#define PROC_LAG_QUESTIONS_H

#include <stdbool.h>
#include <stdint.h>

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

/* Of COL_TIMELINE. */
uint32_t lag_timeline(const char *text, bool standby);

/* Makes a primary flush all of its WAL that no commit has made it flush: of pages that were cleaned
 * up by a read. Its WAL writer leaves the last incomplete block of that alone, and what is not
 * flushed is not sent to standbys. A transaction with a number that has written nothing commits
 * without waiting, and wakes the WAL writer. One row. */
extern const char lag_flush[];

#endif
