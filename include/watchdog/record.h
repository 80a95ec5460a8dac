/*
 * The keys in etcd and what stands in them, as text.
 *
 *   <prefix>member/3   pgpool_member 1 id=3 priority=1 incarnation=... alive=0,2 dead=- ... , a
 *                      newline, and its list of nodes (watchdog/nodes.h)
 *   <prefix>roster/3   the incarnation, 16 hexadecimal digits
 *   <prefix>leader     pgpool_leader 1 id=3 incarnation=...
 *   <prefix>state      pgpool_state 1 epoch=5 primary=0 ... , a newline, and the payload as it is
 *
 * Fields have a fixed order. What is not understood, down to a version that is not known, is an
 * error, never a guess. Pure.
 */
#ifndef WATCHDOG_RECORD_H
#define WATCHDOG_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "os/etcd_client.h"
#include "watchdog/watchdog.h"

enum { WD_PREFIX_BYTES = 128, WD_KEYS_BYTES = WD_PREFIX_BYTES + 32 };

void wd_member_print(const struct wd_member *member, struct buf *out);
/* All of it is written but lease and key_revision, which are 0. -1 (22023): that is none. What
 * stands behind the first line does not count. */
int wd_member_parse(struct wd_member *member, const char *text, struct err *err);

/* payload: without its NUL. */
void wd_state_print(const struct wd_state *state, const char *payload, struct buf *out);
/* *payload_r points into text. */
int wd_state_parse(struct wd_state *state, const char *text, const char **payload_r,
                   struct err *err);

/* What a range over the prefix has brought. *payload_r points into the answer; "" without a state.
 * -1 when any key is not understood: then there is no picture. Keys of others are an error, too. */
int wd_picture_read(struct wd_picture *picture, const struct etcd_answer *answer,
                    const char *prefix, const char **payload_r, struct err *err);

/* The transaction of a request of wd_do's (JOIN to LEAVE), with the memory that it points into. */
struct wd_transaction {
    struct etcd_txn txn;
    char keys[3][WD_KEYS_BYTES];
    char incarnation[17];
    struct buf value;
};

/* payload: of COMMIT, as the action says; of JOIN and UPDATE, our list of nodes. wd as it was when
 * the action was made. */
void wd_transaction_init(struct wd_transaction *t, const struct wd *wd,
                         const struct wd_action *action, const char *prefix, const char *payload);
void wd_transaction_fini(struct wd_transaction *t);

#endif
