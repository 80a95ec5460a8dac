/*
 * How long statements take: what the other files of session/ tell timed.c, and nothing of it unless
 * statements are timed. Decision 0027.
 */
#ifndef SESSION_TIMED_H
#define SESSION_TIMED_H

#include "session/internal.h"

/* A statement leaves: what its entry is to have as its note. The text is that of the facts. */
uint32_t timed_query(struct session *s, const struct sql_facts *f, const char *text, size_t len);
/* st: what the Bind names; NULL: nobody knows. */
void timed_bind(struct session *s, const struct statement *st, const uint8_t *msg, uint32_t len);
uint32_t timed_execute(struct session *s); /* 0: nothing is counted */
/* An entry with a note is settled. */
void timed_settled(struct session *s, struct server *server, const struct pending_entry *entry,
                   bool done);
/* It was answered from the query cache. */
void timed_cached(struct session *s, uint64_t identity, const char *text, size_t len);
void timed_fini(struct session *s);

/* What pool_limits says of log_min_duration_statement for its database and user (startup.c). */
void startup_take_logging(struct session *s);
/* log_min_duration_statement as pool_limits has it: as if the session had set it. */
void options_preset_logging(struct session *s, int64_t duration_ms);

#endif
