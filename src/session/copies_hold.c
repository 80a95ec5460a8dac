/*
 * Native replication: writes are held, so that a node can be made equal to the others.
 *
 * Called by copies.c for each unit, and by proc/child_holds.c, which counts those that still stand
 * in the way. A transaction that has begun goes on to its end; none begins, and nothing that is for
 * all nodes. What one node reads outside of a transaction goes on. A session that has something of
 * its own on the copies could not take one more, so it is in the way until that is gone, and goes
 * on meanwhile; but once this process has said that nobody is in the way (SESSION_WRITES_STOPPED),
 * nobody comes into it again.
 */
#include "session/copies.h"

#include "config/config.h"

enum {
    /* All but what is on the main node alone, what was drawn from sequences, which is drawn on a
     * new connection as well, and prepared statements, which it is told when it needs them. */
    PINS = (1u << SESSION_KEEPS_STATEMENTS) | (1u << SESSION_KEEPS_TEMPORARY) |
           (1u << SESSION_KEEPS_ROLE) | (1u << SESSION_KEEPS_SETTING) |
           (1u << SESSION_KEEPS_LIBRARY) | (1u << SESSION_KEEPS_UNKNOWN),
};

bool
session_pins_copies(uint32_t keeps)
{
    return (keeps & PINS) != 0;
}

bool
copies_tie(const struct session *s)
{
    return (s->keeps.kinds & (PINS | 1u << SESSION_KEEPS_FUNCTION)) != 0;
}

static bool
is_owed(const struct session *s)
{
    return s->cur != NULL && s->cur->pending.count > 0;
}

/* Nobody knows what it has left there until the server has been asked, which is soon. */
static bool
is_to_be_asked(const struct session *s)
{
    return (s->keeps.kinds & 1u << SESSION_KEEPS_FUNCTION) != 0 && !named_owes(s) &&
           session_pool_mode(s) == CONFIG_POOL_MODE_AUTO;
}

/* Does it leave a transaction block open? */
static bool
opens_block(const struct session_copies *c, const struct unit *u)
{
    return u->begins || (u->flags & CYCLE_OPENS) != 0 || (u->type != 'Q' && c->begins);
}

enum copies_turn
copies_hold(struct session_copies *c, const struct unit *u, uint8_t way)
{
    struct session *s = c->s;
    bool opens = opens_block(c, u);

    if (likely(s->host->writes == SESSION_WRITES_GO) || s->tx_status != 'I' || c->main_begun ||
        way == COPIES_DISCARD || way == COPIES_REFUSED || (way == COPIES_AS_ALWAYS && !opens) ||
        (s->host->writes == SESSION_WRITES_HELD && session_pins_copies(s->keeps.kinds))) {
        c->opens = opens || (c->opens && is_owed(s));
        return COPIES_GOES_ON;
    }
    if (is_owed(s)) { /* it may be in a block, as that answer says */
        s->stall = STALL_ANSWERS;
        return COPIES_WAITS;
    }
    if (s->cancelled || s->waited_out) {
        hold_give_up(s, u);
        return COPIES_ANSWERED;
    }
    if (is_to_be_asked(
            s)) /* its block was ended here, and no answer of a server has come behind it */
        keeps_hurry(s);
    hold_writes(s);
    return COPIES_WAITS;
}

bool
session_waits_in_the_way(const struct session *s)
{
    return s->on_hold && session_pins_copies(s->keeps.kinds);
}

bool
session_is_in_the_way(const struct session *s)
{
    const struct session_copies *c = s->copies;

    return c != NULL &&
           (s->tx_status != 'I' || copies_is_busy(s) || c->main_begun || (c->opens && is_owed(s)) ||
            session_pins_copies(s->keeps.kinds) || is_to_be_asked(s));
}
