/*
 * What the other files of session/ ask of copies*.c: all of it only in the mode native_replication
 * (s->copies), and at no other time called. Decision 0026.
 */
#ifndef SESSION_NATIVE_H
#define SESSION_NATIVE_H

#include "session/internal.h"

enum { HOLD_MAX_ALL_BYTES = 16 * 1024 * 1024 };

/* As HOLD_MAX_BYTES, where all of a unit must be known before any of it leaves. */
static inline size_t
hold_max_bytes(const struct session *s)
{
    return unlikely(s->copies != NULL) ? HOLD_MAX_ALL_BYTES : HOLD_MAX_BYTES;
}

enum copies_turn { COPIES_GOES_ON, COPIES_WAITS, COPIES_ANSWERED };
void copies_start(struct session *s); /* it has come in */
/* A batch that begins a transaction and writes: BEGIN is answered, and is all that is left of u.
 * False: u may be less than before, too, which is sent. */
bool copies_cuts(struct session *s, const uint8_t *bytes, struct unit *u);
/* The unit has gone to s->cur: so does a Sync, when it is a piece of a batch. Returns the effects
 * when it is none. */
struct effect *copies_cut_sent(struct session *s, struct effect *effects);
/* Is a piece of a batch under way there? Who loses that can tell nobody what has become of it. */
bool copies_cut_is_on(const struct session *s, const struct server *server);
/* Snapshot isolation (copies_order.c)? */
bool copies_orders(const struct session *s);
/* Does the client's unit wait for snapshots to be taken? What is asked then is not for it to
 * cancel. */
bool copies_is_beginning(const struct session *s);
/* This BEGIN was answered, and no server has run it. */
void copies_order_begins(struct session *s, const struct sql_statement *begin);
/* One of its connections is gone. */
void copies_order_lost(struct session *s, const struct server *server);
/* The unit was sent. */
void copies_behind(struct session *s, const struct unit *u);
/* What comes of the unit? Before it is placed. WAITS: the session is stalled. ANSWERED: its bytes
 * may be fewer than before, and the rest is another unit. */
enum copies_turn copies_look(struct session *s, const uint8_t *bytes, struct unit *u);
/* It is placed: the connections and values that it needs. GOES_ON: *bytes are what is to be sent
 * there; when these are others, copies_unit() is what is in them. */
enum copies_turn copies_place(struct session *s, struct server *server, const uint8_t **bytes,
                              const struct unit *u);
struct unit *copies_unit(struct session *s);
/* It is about to be sent, behind what is sent here. */
void copies_in_front(struct session *s, struct server *server, const uint8_t *bytes,
                     const struct unit *u);
/* A Query leaves for that server, where e is to be expected: true when it was sent, and is
 * expected, as a statement that the server knows. The client cannot tell. */
bool copies_main_takes(struct session *s, struct server *server, const uint8_t *bytes,
                       const struct unit *u, const struct pending_entry *e);
/* As server_ops has it, of the primary. */
bool copies_ends(struct session *s, struct server *server, uint8_t type, const uint8_t *msg,
                 size_t len);
bool copies_row(struct session *s, struct server *server, const uint8_t *msg, size_t len);
/* True: the end of the cycle is not the client's yet. */
bool copies_cycle_end(struct session *s, struct server *server, const struct pending_entry *e,
                      bool failed);
void copies_cycle_ended(struct session *s); /* behind answers_cycle_end */
/* Bytes for the client of this server's: true when they are kept back until all have committed. */
bool copies_keeps_back(struct session *s, const struct server *server, const uint8_t *bytes,
                       size_t len);
/* The connection to the primary is about to be lost: is the client to hear nothing of that, as what
 * is under way there runs again, or it is soon known what has become of it? */
bool copies_again_spares(struct session *s, const struct server *server);
/* What ties the session to its primary, were that lost now, as keeps.kinds: not what a statement
 * has left there that would run again. */
uint32_t copies_again_kinds(const struct session *s);
/* copies_heir.c: what the session has on all nodes, and the next main node. */
/* These (keeps.kinds) were noted; anew: none of them was there. */
void copies_note_kept(struct session *s, uint32_t kinds, bool anew);
/* The main node was asked about some, and has told of others. */
void copies_note_found(struct session *s, uint32_t asked, uint32_t found);
/* Those that would be on the next main node, too, were this one lost now. */
uint32_t copies_lasting(const struct session *s);
/* Is the main node about to commit, so that whatever the transaction has left may be there soon? */
bool copies_commits(const struct session *s);
/* It has, and some copies have not yet: what the transaction has left is there, and the client will
 * be told so. */
bool copies_has_committed(const struct session *s);
/* It is lost, and the session with some of those goes on: it is bereft. */
void copies_bereave(struct session *s, int node_id);
bool copies_is_bereft(const struct session *s);
/* The node that it is bereft of answers as the main one, and has nothing of it any more. */
void copies_main_lives(struct session *s);
bool copies_is_disinherited(const struct session *s); /* so it is */
/* Its connection to the main node. NO_HEIR: the one to this node was lost, too. LOOK_THERE: it is
 * the node that it is bereft of, and may be gone for good or not. */
enum copies_heir { COPIES_HEIR, COPIES_NO_HEIR, COPIES_LOOK_THERE };
enum copies_heir copies_take_over(struct session *s, int node_id, struct server **server_r);
/* Is the client owed an answer that no server is to give? */
bool copies_owes(const struct session *s);
/* The connection to the primary is gone. */
void copies_main_lost(struct session *s, const struct server *server);
/* Its block has failed on several nodes, and the client does not know why yet: adds the error. */
bool copies_tell_why(struct session *s, struct buf *b);
/* COPY FROM STDIN. A message of it: GOES_ON: it is for the main node, and what of CopyData goes
 * there is told by copies_data_pass. ANSWERED: it is for nobody. */
enum copies_turn copies_data_message(struct session *s, uint8_t type);
void copies_data_pass(struct session *s, struct io_rx *rx, const uint8_t *bytes, size_t len);
void copies_data_passed(struct session *s); /* a long message is through */
bool copies_data_is_full(const struct session *s);
void copies_data_wanted(struct session *s, struct server *server); /* by the main node */
bool copies_is_busy(const struct session *s);
void copies_release(struct session *s); /* the primary was given back */
/* What the client waits for at the copies is cancelled. False: at the main node only an end is
 * under way, which it must come to. */
bool copies_cancel(struct session *s);
void copies_end(struct session *s); /* the session ends */
/* No session is there any more. */
void copies_host_fini(struct session_host *host);

/* copies_prepare.c: what PREPARE has made, of its text; NULL when that is not known. */
struct copies_prepared *copies_prepared_new(struct session *s, struct sql_text prepare);
void copies_prepared_free(struct copies_prepared *p); /* NULL: nothing */
size_t copies_prepared_bytes(const struct copies_prepared *p);
/* The main node is lost: can another one be told of it all, so that it means the same? */
bool copies_may_prepare_again(const struct session *s);
/* It is to be, ... */
void copies_statements_lost(struct session *s);
/* ... in front of what goes to this one: true when it is on its way, and the session stalled. */
bool copies_prepares_again(struct session *s, struct server *server);
/* Must the catalog be asked about what this stands for? */
bool copies_execute_asks(struct session *s, struct statement *st);
/* Does it leave nothing in the session, as was judged before it was sent? */
bool copies_prepared_is_harmless(const struct statement *st);
/* The same of what this EXECUTE runs. */
bool copies_execute_is_harmless(struct session *s, const struct sql_statement *execute);
bool copies_text_asks(struct session *s, const struct sql_facts *f); /* the same of an EXECUTE */

/* settings.c */
/* All that the session has set is set there, by whatever has done so. */
void settings_are_there(struct session *s, struct server *server);

/* keeps.c: for copies_hold. What nobody knows of what the session has left is asked now, where no
 * answer of a server comes behind which it would be. */
void keeps_hurry(struct session *s);
/* For copies_links: the same. True: the answer is to come, and the session goes on by it. */
bool keeps_settles(struct session *s);
/* ... which it would be outside of a transaction. */
bool keeps_may_settle(struct session *s);

/* retry.c: for copies_again.c. A unit that was sent stands in front of what the client has sent
 * since, as if it had not been. Not within client_pump. */
void retry_put_back(struct session *s, const uint8_t *bytes, size_t len);

/* outage.c: for session.c and answers.c. Has it something on the connection to the primary that it
 * needs, and that copies have, too? As of a loss now; again: what is under way runs again. */
bool outage_bereaves(const struct session *s, bool again);
/* Would it survive that, outside of a transaction and with nothing under way? */
bool outage_may_leave(const struct session *s);
/* For copies_again.c. The session goes on, and its client does not hear of it: what was under way
 * on the connection that is lost is somebody's matter. */
void outage_spare(struct session *s, const struct err *err);
/* Would a session with these (keeps.kinds) not survive that? Then why. */
bool outage_ties(const struct session *s, uint32_t kinds, struct err *why_r);

/* transaction.c: for copies_cuts. */
/* A batch that begins a transaction and goes on: its first statement is answered here. How many of
 * its bytes that are; 0: it is not so simple. */
size_t tx_begins_alone(struct session *s, const uint8_t *bytes, const struct unit *u);

#endif
