/*
 * What may have changed the servers' catalog, and when everybody is to forget what is known of it:
 * what the other files of session/ tell definitions.c. Decision 0009.
 */
#ifndef SESSION_DEFINITIONS_H
#define SESSION_DEFINITIONS_H

#include "session/internal.h"

/* Flags of the client's own cycles; on entries that are ours these numbers are others'. */
enum {
    CYCLE_DEFINES = 2, /* something in it may change the catalog: */
    CYCLE_LASTS = 4,   /* ... or something else in it may be committed though the cycle fails, or be
                        * known to others */
    CYCLE_RAN = 8,     /* ... and is executed by then: of a batch */
    CYCLE_UNDONE = 16, /* the answer to definitions_are_undone() when it ended */
};

/* What of a session's may change the catalog, a set. */
enum definitions {
    DEFINITIONS_UNDER_WAY = 1, /* a cycle with CYCLE_DEFINES is not over */
    DEFINITIONS_MADE = 2,      /* one has succeeded, or nobody knows, in the running transaction */
};

/* A text of the unit; defines: it may change the catalog, by what is known. */
void definitions_note(struct unit *u, const struct sql_facts *f, struct wire_view text,
                      bool defines);
/* A Parse, a Bind or the Describe of a statement stands next in it, */
void definitions_note_plan(const struct session *s, struct unit *u);
/* and this was a Bind. */
void definitions_note_run(const struct session *s, struct unit *u);
/* Those of the above flags that the unit's cycle has by it. Before it is sent. */
uint16_t definitions_flags(const struct session *s, const struct unit *u);

/* A Query or Parse that is too long to be understood has begun to pass, from its first byte on; */
void definitions_pass_begins(struct session *s, const uint8_t *bytes, size_t len);
/* ... and this is more of it. */
void definitions_pass(struct session *s, const uint8_t *bytes, size_t len);

/* A cycle of the client's has ended on this server: whatever may have changed the catalog in it was
 * rolled back, and nobody knows anything by it. */
bool definitions_are_undone(const struct server *server, const struct pending_entry *e,
                            bool failed);
/* The end of a cycle, to be told to definitions_cycle_end later. Nothing of its owner's is in it.
 */
struct pending_entry definitions_kept(const struct server *server, const struct pending_entry *e,
                                      bool failed);
/* The same end, at once or as it was kept. What is committed, or may be, makes the catalog be
 * forgotten; before the session has the server's status. */
void definitions_cycle_end(struct session *s, const struct server *server,
                           const struct pending_entry *e, bool failed);
/* A connection is gone. */
void definitions_lost(struct session *s);
/* The session ends, and has its connections still. One that may change the catalog, and comes to
 * its end without a client, is taken from it. */
void definitions_session_ends(struct session *s);

/* The first two words of a definition, in their order: "create" and "table". A comment is a word of
 * no letters. Borrowed from the text. */
void definitions_words(const struct sql_statement *st, const char *text,
                       struct sql_text words_r[2]);
/* Is it one of these, which are in lower case? */
bool definitions_is_word(struct sql_text word, const char *const *list, size_t count);

#endif
