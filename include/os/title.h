/*
 * What ps shows as a process's command line.
 */
#ifndef OS_TITLE_H
#define OS_TITLE_H

#include "base/util.h"

/* First thing in main: moves the environment away, so that its place can be written over. */
void title_init(int argc, char **argv);

/* Removes a variable from the environment that was moved away, and frees it: unsetenv does not know
 * that it could. Before title_init, and for a variable that was set since, it does nothing. */
void title_unsetenv(const char *name);

/* Cut when it is longer than the room that the command line and the environment had. */
void title_set(const char *title);

#endif
