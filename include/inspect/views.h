/*
 * The views' own functions and what they share; for the files of this room.
 */
#ifndef INSPECT_VIEWS_H
#define INSPECT_VIEWS_H

#include "inspect/inspect.h"
#include "ipc/slots.h"

#define VIEW(name, run, ...)                                                                       \
    void run(const struct inspect_input *in, inspect_row_fn *row, void *ctx);
#include "tables/views.def"
#undef VIEW

/* A node's role here: "primary" or "standby", "main" or "replica" where that is not the question.
 */
const char *views_role(const struct inspect_input *in, uint32_t node_id);

/* Its status in Pgpool-II's words, and when that changed (wall clock; 0: never). */
const char *views_status(const struct inspect_input *in, uint32_t node_id);
int64_t views_changed_at_us(const struct inspect_input *in, uint32_t node_id);

/* What was counted of it over all children, also those that have ended. */
struct node_counters views_count_node(struct shared *shared, uint32_t node_id);

/* Adds how long things took at it, over all children, also those that have ended. */
void views_add_times(const struct inspect_input *in, uint32_t node_id,
                     struct histogram *statements_io, struct histogram *waits_io);

/* The next server slot of a child that is used, from *at_io on; NULL behind the last. */
const struct server_slot *views_next_server(struct shared *shared, uint32_t child_no,
                                            uint32_t *at_io);

/* As Pgpool-II words it: enum session_slot_state. */
const char *views_session_state(uint32_t state);

/* PGPOOL SHOW: the view of ALL or a group of parameters; NULL when it is the name of neither. */
const struct inspect_view *views_find_group(const char *name, size_t len);

/* The one value of a parameter that exists. */
void views_parameter(const struct inspect_input *in, const char *name, inspect_row_fn *row,
                     void *ctx);

enum { VIEWS_TIME_BYTES = 32, VIEWS_NUMBER_BYTES = 32 };

/* Writes local time as "2026-01-31 12:00:00", "" for 0. Returns text_r. */
const char *views_time(int64_t wall_us, char text_r[VIEWS_TIME_BYTES]);

/* The same with microseconds. */
const char *views_time_us(int64_t wall_us, char text_r[VIEWS_TIME_BYTES]);

enum { VIEWS_KEEPS_BYTES = 640 }; /* for all words there are */

/* What ties a session to its connection (tables/keeps.def), as words. Returns text_r. */
const char *views_keeps(uint32_t keeps, char text_r[VIEWS_KEEPS_BYTES]);

const char *views_number(int64_t value, char text_r[VIEWS_NUMBER_BYTES]);

#endif
