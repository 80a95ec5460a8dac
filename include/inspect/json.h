/*
 * Views as JSON.
 */
#ifndef INSPECT_JSON_H
#define INSPECT_JSON_H

#include "inspect/inspect.h"

/* Appends an array with an object for each row: columns by name, values as texts, as SHOW has them,
 * or null. Bytes that are no UTF-8 become U+FFFD. Nothing in a build without HTTP. */
void inspect_json(const struct inspect_input *in, const struct inspect_view *view, struct buf *out);

/* The same of no more than so many rows, and only of those that have something in this column of
 * the view. */
struct inspect_json_choice {
    uint16_t column;
    uint32_t rows_max;
};
void inspect_json_some(const struct inspect_input *in, const struct inspect_view *view,
                       const struct inspect_json_choice *choice, struct buf *out);

/* Appends the text as a string with its quotes. */
void inspect_json_text(const char *text, struct buf *out);

/* Appends an array of the views' names. */
void inspect_json_names(struct buf *out);

#endif
