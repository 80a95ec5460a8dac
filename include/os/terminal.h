/*
 * A terminal as a screen: for a program that draws on it and obeys single keys.
 *
 * However the program ends, also by a signal while it waits for something else, the terminal is as
 * it was. One at a time; standard input and output.
 */
#ifndef OS_TERMINAL_H
#define OS_TERMINAL_H

#include "base/util.h"

#include <stdbool.h>

/* Are both standard input and output terminals? */
bool terminal_is_there(void);

/* Another screen, without cursor and without wrapping; keys come at once and are not shown. SIGINT
 * ends the program with status 0, SIGTERM, SIGHUP and SIGQUIT with 128 and their number. */
void terminal_take(void);
void terminal_restore(void);

/* 80 by 24 where it does not say. */
void terminal_size(size_t *columns_r, size_t *lines_r);

/* All of it; what cannot be written is lost. */
void terminal_write(const void *bytes, size_t len);

/* A key, as a byte; or one of these. */
enum { TERMINAL_NOTHING = -1, TERMINAL_RESIZED = -2, TERMINAL_GONE = -3 };
int terminal_key(int wait_ms);

#endif
