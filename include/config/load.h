/*
 * A generation that holds nothing but defaults; for the files of this room.
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "config/config.h"

/* The directory is that of relative paths; with NULL they stay relative. */
struct config *config_new(const char *path, const char *directory);

#endif
