/*
 * The views' own functions and what they share; for the files of this room.
 */
#ifndef INSPECT_VIEWS_H
#define INSPECT_VIEWS_H

#include "inspect/inspect.h"

#define VIEW(name, run, ...)                                                                       \
    void run(const struct inspect_input *in, inspect_row_fn *row, void *ctx);
#include "tables/views.def"
#undef VIEW

enum { VIEWS_TIME_BYTES = 32, VIEWS_NUMBER_BYTES = 32 };

/* Writes local time as "2026-01-31 12:00:00", "" for 0. Returns text_r. */
const char *views_time(int64_t wall_us, char text_r[VIEWS_TIME_BYTES]);

const char *views_number(int64_t value, char text_r[VIEWS_NUMBER_BYTES]);

#endif
