/*
 * What the catalog would know of the tables of test/corpus/determinism/schema.sql.
 */
#ifndef TEST_SQL_KNOWN_H
#define TEST_SQL_KNOWN_H

#include "sql/determinism.h"

extern const struct sql_known known_of_test;

#endif
