/*
 * Native replication: COMMIT AND CHAIN, ROLLBACK AND CHAIN.
 *
 * The transaction ends on all nodes as any other one. The main node begins the next one by itself;
 * the copies begin it in front of their next statement, with the characteristics that the main node
 * says it has: it is asked in the same write, by SHOW, which takes no snapshot. With snapshot
 * isolation the next one takes its snapshots with its first statement, as any other one.
 *
 * Called by copies.c, copies_rules.c, copies_order.c and copies_end.c. Invariant: nothing of a
 * transaction that has ended (its number, how it held the gate) is taken for the next one's.
 * Source: PostgreSQL's manual, reference "COMMIT" and "ROLLBACK".
 */
#include "session/copies.h"

#include "base/str.h"

#include <string.h>

enum { ISOLATION, READ_ONLY, DEFERRABLE, ANSWERS };

/* What the main node has of it must not be there when the next one begins; the copies have
 * nothing. */
struct copies_rule
copies_rule_of_chain(const struct copies_look *look)
{
    const struct session_copies *c = look->s->copies;
    bool commits = look->st->kind == SQL_COMMIT;

    if (!copies_any_begun(c) && c->gate == GATE_NONE && c->xid[0] == '\0')
        return (struct copies_rule){.way = COPIES_AS_ALWAYS};
    if (!copies_any_begun(c))
        commits = false; /* it has failed before any of them heard of it */
    return (struct copies_rule){.way = commits ? COPIES_COMMIT : COPIES_ROLLBACK, .chains = true};
}

void
copies_chain_ask(struct session_copies *c)
{
    static const char sql[] =
        "SHOW transaction_isolation; SHOW transaction_read_only; SHOW transaction_deferrable";

    c->asks = 1;
    buf_clear(&c->values);
    server_ask(c->s->primary, sql, sizeof(sql) - 1, CYCLE_VALUES);
}

static bool
is_on(struct sql_text text)
{
    return text.len == 2 && memcmp(text.data, "on", 2) == 0;
}

/* False: the main node has not said it all. */
static bool
take_answers(const struct buf *values, struct sql_text answers_r[ANSWERS])
{
    size_t at = 0;

    for (uint32_t n = 0; n < ANSWERS; n++) {
        uint32_t len;
        if (at + sizeof(len) > values->len)
            return false;
        memcpy(&len, values->data + at, sizeof(len));
        at += sizeof(len);
        if (len > values->len - at)
            return false;
        answers_r[n] = (struct sql_text){(const char *)values->data + at, len};
        at += len;
    }
    return true;
}

struct buf
copies_chained(struct session_copies *c)
{
    static const char committed[] = "read committed";
    struct session *s = c->s;
    struct sql_text answers[ANSWERS];
    struct buf begin = BUF_EMPTY;

    if (!c->rule.chains || s == NULL || s->primary == NULL || s->primary->tx_status != 'T' ||
        !take_answers(&c->values, answers))
        return begin;
    buf_add_str(&begin, "BEGIN ISOLATION LEVEL ");
    buf_add(&begin, answers[ISOLATION].data, answers[ISOLATION].len);
    buf_add_str(&begin, is_on(answers[READ_ONLY]) ? ", READ ONLY" : ", READ WRITE");
    buf_add_str(&begin, is_on(answers[DEFERRABLE]) ? ", DEFERRABLE" : ", NOT DEFERRABLE");
    c->snapshot = answers[ISOLATION].len != sizeof(committed) - 1 ||
                  memcmp(answers[ISOLATION].data, committed, sizeof(committed) - 1) != 0;
    c->set_tx = false;
    tx_fini(s);
    if (s->defines)
        catalog_changed(c->host->catalog, pool_key_database(c->key));
    return begin;
}

void
copies_chain_lost(struct session_copies *c)
{
    copies_say_lost(&c->doom, c->main_id);
    copies_fail_block(c, false);
    session_show_state(c->s, SESSION_SLOT_IN_TX);
}
