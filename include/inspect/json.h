/*
 * Views as JSON.
 */
#ifndef INSPECT_JSON_H
#define INSPECT_JSON_H

#include "inspect/inspect.h"

/* Appends an array with an object for each row: columns by name, values as texts, as SHOW has them,
 * or null. Bytes that are no UTF-8 become U+FFFD. Nothing in a build without HTTP. */
void inspect_json(const struct inspect_input *in, const struct inspect_view *view, struct buf *out);

/* Appends an array of the views' names. */
void inspect_json_names(struct buf *out);

#endif
