/*
 * The lines of a pgbouncer.ini: sections, names and values, with what %include takes in.
 *
 * Source: PgBouncer's manual, pgbouncer.ini(5).
 */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include "base/arena.h"
#include "config/report.h"

#include <stdbool.h>

struct ini_line {
    const char *section;
    const char *name;
    const char *value;
    struct place place;
};

struct ini {
    struct ini_line *lines;
    uint32_t count;
    uint32_t room;
};

/* Whether the text has a section that only PgBouncer knows. */
bool ini_is_pgbouncer(const char *text, size_t len);

/* Reads the file; all texts belong to the arena. Lines that are none are warned of. -1 with a fault
 * when a file cannot be read. Free with ini_fini in any case. */
int ini_read(const char *path, struct arena *arena, struct ini *ini_r,
             struct config_report *report);
void ini_fini(struct ini *ini);

/* The last value of a name in a section, NULL when it is not set. */
const char *ini_get(const struct ini *ini, const char *section, const char *name);

/* The next `word = value` of a connection string; at moves behind it. false at its end, and at what
 * is none. Values may stand in single quotes. */
bool ini_next_word(const char **at, struct arena *arena, const char **word_r, const char **value_r);

#endif
