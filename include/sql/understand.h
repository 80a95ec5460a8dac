/*
 * Between the cache and the look into statements. Private to sql/.
 */
#ifndef SQL_UNDERSTAND_H
#define SQL_UNDERSTAND_H

#include "sql/facts.h"
#include "sql/walk.h"

/* Finds the facts of the text in w: found holds its statements, each with the counts of what
 * belongs to it, in the order of the lists. False when it is not understood. literals_r: facts
 * depend on what stands in a string. */
bool sql_understand(struct sql_work *w, void *scanner, struct sql_found *found, bool *literals_r);

#endif
