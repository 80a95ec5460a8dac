/*
 * Which statements answer the same on another server that has the same tables, and is no copy of
 * the first one: a subscriber of logical replication.
 */
#ifndef ROUTE_ANYWHERE_H
#define ROUTE_ANYWHERE_H

#include "sql/facts.h"

#include <stdbool.h>

/*
 * Of a plain read, by its text alone: no function that looks into the catalog, the server or the
 * place of rows, no type that stands for a number of the catalog's, no system column, no sample.
 * Tables and names of somebody's own are the caller's to look at. EXPLAIN is of the server that
 * runs it. Pure.
 */
bool route_runs_anywhere(const struct sql_statement *st);

#endif
