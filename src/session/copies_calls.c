/*
 * Native replication: FunctionCall, by which libpq reaches large objects.
 *
 * All nodes call the function, the main node first; what it returns is compared. lo_creat() gives
 * an object a number of the node's own, and lo_create() does when it is given 0: the copies call
 * lo_create() with the main node's instead.
 * Reads go to all, too, since a descriptor has a position. Functions other than those of large
 * objects are refused: nobody looks into them. Called by copies_rules.c, copies.c and
 * copies_links.c.
 *
 * Large objects are written past row locks: who meets another's write gets an error. So whatever
 * has to do with them holds the gate alone. Source: PostgreSQL's manual, chapter "Large Objects",
 * and pg_proc.dat.
 */
#include "session/copies.h"

#include "base/hash.h"
#include "base/num.h"

#include <string.h>

enum { LO_CREAT = 957, LO_CREATE = 715, COMPARED_MAX_BYTES = 32 * 1024 };

static uint32_t
oid_of(const uint8_t *bytes, size_t len)
{
    return len >= WIRE_HEADER_BYTES + 4 ? num_get_u32(bytes + WIRE_HEADER_BYTES) : 0;
}

static bool
makes(const uint8_t *bytes, size_t len)
{
    return oid_of(bytes, len) == LO_CREAT || oid_of(bytes, len) == LO_CREATE;
}

bool
copies_call_is_known(const uint8_t *bytes, size_t len)
{
    if (makes(bytes, len) && (bytes[len - 2] != 0 || bytes[len - 1] != 1))
        return false; /* the number would not be found in its result */
    return keeps_is_of_large_objects(oid_of(bytes, len));
}

bool
copies_calls_large_object(const struct sql_facts *f)
{
    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];
        for (uint32_t at = 0; at < st->function_count; at++) {
            struct sql_text name = st->functions[at].name;
            if ((name.len > 3 && memcmp(name.data, "lo_", 3) == 0) ||
                (name.len == 6 && memcmp(name.data, "loread", 6) == 0) ||
                (name.len == 7 && memcmp(name.data, "lowrite", 7) == 0))
                return true;
        }
    }
    return false;
}

void
copies_note_result(struct copies_outcome *outcome, const uint8_t *msg, size_t len)
{
    uint32_t total = num_get_u32(msg + 1) + 1;

    memcpy(outcome->tag, "its result", sizeof("its result"));
    outcome->hash = total;
    if (total <= COMPARED_MAX_BYTES && len == total)
        outcome->hash = hash_bytes(msg, len);
    outcome->number = 0;
    if (len == WIRE_HEADER_BYTES + 8 && num_get_u32(msg + WIRE_HEADER_BYTES) == 4)
        outcome->number = num_get_u32(msg + WIRE_HEADER_BYTES + 4);
}

void
copies_call_follow(struct session_copies *c)
{
    static const uint8_t head[] = {'F', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 4};
    const struct buf *call = &c->text;
    struct buf b = BUF_EMPTY;

    if (!makes(call->data, call->len))
        return;
    buf_add(&b, head, sizeof(head));
    buf_add_u32(&b, c->outcome.number);
    buf_add(&b, call->data + call->len - 2, 2); /* the form of the result */
    num_put_u32(b.data + 1, (uint32_t)b.len - 1);
    num_put_u32(b.data + WIRE_HEADER_BYTES, LO_CREATE);
    buf_clear(&c->text);
    buf_add(&c->text, b.data, b.len);
    buf_free(&b);
}
