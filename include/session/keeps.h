/*
 * What the other files of session/ ask of keeps.c and named.c: what a session has left on its
 * connection to the primary, and what becomes of that.
 */
#ifndef SESSION_KEEPS_H
#define SESSION_KEEPS_H

#include "session/internal.h"

/* keeps.c */
/* Must idle connections go, as the statement does not bear them, or they are not like new ones
 * behind it? */
bool keeps_renews(const struct sql_statement *st, const char *text);
/* A unit is about to be sent there. */
static inline void
keeps_before(struct session *s, const struct server *server)
{
    if (s->batch != server)
        s->keeps.blank = s->keeps.kinds == 0 && server->pending.count == 0;
}
/* The connection to the primary may hold something from now on. */
void session_keep(struct session *s, enum session_keeps what);
static inline bool
session_keeps_primary(const struct session *s)
{
    return s->keeps.kinds != 0;
}
/* It does not hold this any more. */
void keeps_drop(struct session *s, enum session_keeps what);
/* What was noted as nobody knew better, and is known to be nothing by now, goes. */
void keeps_reconsider(struct session *s);
/* A unit is to go to this connection, which needs something of ours first: true when the unit waits
 * (the session is stalled), or the session is over. That is the parameters that the session has
 * set; and on the connection of before may have run what nobody had asked about: the next one is
 * asked, and who has left something there ends. */
bool keeps_waits_there(struct session *s, struct server *server);
/* It holds nothing any more. */
void keeps_clear(struct session *s);
/* A parameter was set that keeps reads at the primary. */
void keeps_pin(struct session *s);
/* The statement goes to the server; touches: enum touches. */
void keeps_statement(struct session *s, struct server *server, const struct sql_statement *st,
                     const char *text, uint8_t touches);
/* The same for what only the text as a whole tells. */
void keeps_text(struct session *s, const struct sql_facts *f, const char *text, uint8_t touches);
/* A Bind of a statement of PREPARE's. */
void keeps_bound(struct session *s, const struct statement *st);
/* The connection knows a statement of the protocol by the client's name, as long as it is kept. */
void keeps_lent_name(struct session *s);

/* FunctionCall. */
void keeps_called(struct session *s, uint32_t oid);
/* One of those by which libpq reaches large objects: nothing is left behind its transaction. */
bool keeps_is_of_large_objects(uint32_t oid);
/* Parameters of the session hold from now on that the server has not said, should it be asked at
 * the moment: they were set at another one. */
void keeps_overtaken(struct session *s);
/* What has been noted since the last end of a transaction may not be there. */
void keeps_doubt(struct session *s);
/* A cycle of the client's has failed there, and ends. */
void keeps_failed(struct session *s, const struct server *server);
/* Nothing runs on the server at this moment. doubtful: what ran there may have been undone. */
void keeps_cycle_end(struct session *s, struct server *server, bool doubtful);
/* The answer to what was asked: a row of it, and its end. */
void keeps_row(struct session *s, struct server *server, const uint8_t *msg, size_t len);
void keeps_answered(struct session *s, struct server *server, bool failed);
/* The transaction that is open, if one is, is rolled back with its connection, and all that ran in
 * it. */
void keeps_undone(struct session *s);
/* The connection is gone, and all that it held; who is bereft (copies_heir.c) finds again what the
 * copies have. */
void keeps_lost(struct session *s);
void keeps_fini(struct session *s);

/* named.c */
/* A text of the session's names a parameter; only names with a point count. */
void named_add(struct session *s, struct sql_text name);
/* The statement goes to the server. */
void named_statement(struct session *s, const struct sql_statement *st, const char *text);
/* What the statement calls is not known; or nothing is, of something that runs. */
void named_unjudged(struct session *s, const struct sql_statement *st);
void named_uncertain(struct session *s);
/* A cycle of the client's ends there. refused: nothing of it has run; what was noted for it goes,
 * where it is told apart from what was noted for others. */
void named_cycle_end(struct session *s, const struct server *server, bool refused);
/* By all that is known it may leave something. */
void named_sure(struct session *s);
/* Is all known by now of what was not when it ran, and does none of it leave anything? Then a
 * function was noted in vain. */
bool named_is_harmless(struct session *s);
/* Before the server is asked what the session has set: is known what it has run? NAMED_ASK: the
 * text that is to be run on the primary first, whose rows and end are to be told to the others.
 * NAMED_LATER: somebody else is asking. */
enum named_state { NAMED_KNOWN, NAMED_ASK, NAMED_LATER };
enum named_state named_settle(struct session *s, struct buf *sql);
bool named_is_asking(const struct session *s);
void named_row(struct session *s, const uint8_t *body, size_t len);
void named_answered(struct session *s, bool failed);
/* Appends what asks for the values, in keeps.c's form. */
void named_question(struct session *s, struct buf *sql);
void named_lost(struct session *s);        /* nothing that has run counts any more */
void named_interrupted(struct session *s); /* it does, and what was asked will not be answered */
/* The connection is lost, or will be. Is all that matters of what ran there whether the catalog
 * knows it as harmless? Then (named_owe) the question is owed, and the next connection is asked
 * (named_pay); NAMED_KNOWN: it is not owed any more, or it cannot be said that nothing was left. */
bool named_may_owe(const struct session *s);
void named_owe(struct session *s);
bool named_owes(const struct session *s);
enum named_state named_pay(struct session *s, struct buf *sql);
void named_clear(struct session *s);

#endif
