/*
 * A generation that holds nothing but defaults, and its entries of pool_limits; for the files of
 * this room.
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/err.h"
#include "config/config.h"

/* The directory is that of relative paths; with NULL they stay relative. */
struct config *config_new(const char *path, const char *directory);

/* limits.c */
/* Reads the file that cfg->pool_limits names, if it is there. */
void limits_load(struct config *cfg, struct config_report *report);
/* An entry in the canonical text: the name of its line, and its value. */
#define limits_entry_name "pool_limits_entry"
void limits_print(const struct config_limit *entry, struct buf *out);
int limits_take_printed(struct config *cfg, const char *text, struct err *err);
/* Entries for a database and a user that had one keep its group; what was a group's number in `old`
 * is no other's in `next`. */
void limits_keep_groups(const struct config_limits *old, struct config_limits *next);

#endif
