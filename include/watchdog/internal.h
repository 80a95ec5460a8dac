/*
 * What the files of the watchdog share (src/watchdog); nobody else includes it.
 */
#ifndef WATCHDOG_INTERNAL_H
#define WATCHDOG_INTERNAL_H

#include "watchdog/watchdog.h"

/*
 * Safety rules that a test breaks on purpose, one at a time, to see that it notices. Anywhere else
 * they hold, and cost nothing.
 */
enum wd_rule {
    WD_RULE_NONE,
    WD_RULE_LEASE_BY_CLOCK,      /* who leads ends by our own clock */
    WD_RULE_LEASE_FROM_SENDING,  /* a lease counts from before its request */
    WD_RULE_ALL_FENCED,          /* everybody on the roster has acted on the fence, or is missing */
    WD_RULE_FENCE_SEEN,          /* in a picture that is not older than the fence */
    WD_RULE_WAIT_FOR_MISSING,    /* what missing members go by has ended */
    WD_RULE_CANDIDATE_CUT,       /* the candidate receives nothing */
    WD_RULE_CANDIDATE_ELECTABLE, /* ... and missing members count on it */
    WD_RULE_ELECTABLE_WHEN_SEEN, /* all members have applied the state it is in with */
    WD_RULE_PROOF_OF_STANDBYS,   /* alone: nobody was promoted */
    WD_RULE_PROOF_EXCUSE,        /* alone: nodes are left out for a while only */
    WD_RULE_JOIN_THEN_LOOK,      /* who has just joined looks before it writes */
    WD_RULE_ONE_CANDIDATE,       /* of an epoch */
    WD_RULE_EPOCH_FORWARD,       /* never back */
    WD_RULE_COMMIT_BEFORE_ACT,   /* steps wait for their commit */
    WD_RULE_CONSENSUS,           /* one member's word kills nobody */
    WD_RULE_ADDRESS_LIFETIME,    /* the address ends with the lease */
    WD_RULE_LEFT_IS_UP,          /* what an earlier process brought up counts as up */
    WD_RULE_DOWN_BEFORE_RESIGN,  /* it is taken down before anybody else may have it */
    WD_RULE_UNSURE_IS_NO,        /* a commit without an answer is not done */
    WD_RULES
};

#ifdef WATCHDOG_RULES_BREAK
bool wd_rule_is_broken(enum wd_rule rule); /* the test's */
#define WD_RULE(rule, holds) ((holds) || wd_rule_is_broken(WD_RULE_##rule))
#else
#define WD_RULE(rule, holds) (holds)
#endif

struct wd_turn {
    struct wd *wd;
    const struct wd_config *config;
    const struct wd_event *event;
    struct wd_actions *actions;
    int64_t now_ns;
};

/* ---- watchdog.c ---- */

struct wd_action *wd_do(struct wd_turn *turn, enum wd_action_kind kind);
/* Asks etcd; NULL when one of its kind is under way. */
struct wd_action *wd_ask(struct wd_turn *turn, enum wd_request request);
void wd_tell(struct wd_turn *turn, const char *text);
/* The sooner moment. One that has come already was seen to in the last turn: what it waits for now
 * is another event. */
static inline int64_t
wd_sooner(const struct wd *wd, int64_t next_ns, int64_t at_ns)
{
    return at_ns > wd->now_ns ? MIN(next_ns, at_ns) : next_ns;
}
/* As soon as possible. */
void wd_fetch_now(struct wd *wd);

/* ---- member.c: lease, membership, what our key says ---- */

bool wd_has_lease(const struct wd *wd, int64_t now_ns);
void wd_member_answered(struct wd_turn *turn, int64_t sent_ns);
void wd_member_pictured(struct wd_turn *turn);
void wd_member_settle(struct wd_turn *turn);
int64_t wd_member_next_ns(const struct wd *wd);

/* ---- leader.c: term, judging, proposals ---- */

void wd_leader_pictured(struct wd_turn *turn);
void wd_leader_settle(struct wd_turn *turn);
void wd_leader_propose(struct wd_turn *turn);
void wd_leader_committed(struct wd_turn *turn);
int64_t wd_leader_next_ns(const struct wd *wd, const struct wd_config *config);
/* The term is over, whoever has it. */
void wd_leader_step_down(struct wd_turn *turn);

/* ---- state.c: the committed state here ---- */

/* A state that was committed is ours. */
void wd_state_take(struct wd_turn *turn, const struct wd_state *state, int64_t revision);
/* What the watchdog itself keeps of a state that follows `before`. */
void wd_state_keep(struct wd_state *after, const struct wd_state *before);
/* Why the one may not follow the other; NULL: it may. */
const char *wd_state_objection(const struct wd *wd, const struct wd_config *config, int64_t now_ns);

/* ---- fence.c: everybody has acted on it, or cannot write ---- */

void wd_fence_pictured(struct wd_turn *turn);
void wd_fence_settle(struct wd_turn *turn);
int64_t wd_fence_next_ns(const struct wd *wd, const struct wd_config *config);
/* Nodes that may become electable now are added. True when there were any. */
bool wd_fence_elect(const struct wd *wd, const struct wd_config *config, int64_t now_ns,
                    struct wd_state *state);

/* ---- address.c ---- */

void wd_address_settle(struct wd_turn *turn);

#endif
