/*
 * What the changes of one database make invalid, and when.
 *
 * Called by wal_stream.c with each message. A table is doubted from its first change on; when the
 * transaction's commit is here, all of its doubts wait in line until a snapshot says that it can be
 * seen (wal.h says why). Invariant: what lies before `received` is doubted or raised.
 */
#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/num.h"
#include "wal.h"
#include "wire/logical.h"

#include <stdlib.h>

struct pending {
    struct list at;
    uint32_t xid;
    uint64_t before; /* the position up to which all was received before it */
    struct doubt doubt;
};

struct wal_changes {
    struct wal *w;
    uint32_t database;
    bool in_transaction;
    uint32_t xid;
    uint32_t last_table; /* of this transaction; 0: none */
    struct doubt doubt;
    struct list pending; /* oldest first */
    uint64_t received;
    uint64_t commits;
    struct map tables; /* oid to the hash of how it looks */
};

struct wal_changes *
wal_changes_new(struct wal *w)
{
    struct wal_changes *ch = xcalloc(1, sizeof(*ch));

    ch->w = w;
    list_init(&ch->pending);
    return ch;
}

static void
raise_and_drop(struct wal_changes *ch, struct pending *p)
{
    doubt_end(ch->w->doubts, &p->doubt, true);
    list_remove(&p->at);
    free(p);
}

static void
give_up(struct wal_changes *ch)
{
    while (!list_empty(&ch->pending))
        raise_and_drop(ch, container_of(ch->pending.next, struct pending, at));
    if (ch->in_transaction)
        doubt_end(ch->w->doubts, &ch->doubt, true);
    ch->in_transaction = false;
    map_fini(&ch->tables);
    ch->tables = (struct map){0};
}

void
wal_changes_free(struct wal_changes *ch)
{
    give_up(ch);
    free(ch);
}

void
wal_changes_begin(struct wal_changes *ch, uint32_t database)
{
    give_up(ch);
    ch->database = database;
    ch->received = 0;
}

/* ---- messages ---- */

static void
doubt_table(struct wal_changes *ch, uint32_t oid)
{
    if (oid == ch->last_table)
        return;
    ch->last_table = oid;
    doubt_begin(ch->w->doubts, &ch->doubt, oid);
}

static void
take_begin(struct wal_changes *ch, const struct wire_logical *m)
{
    ch->in_transaction = true;
    ch->xid = m->xid;
    ch->last_table = 0;
    doubt_init(&ch->doubt, ch->database);
}

static void
take_commit(struct wal_changes *ch, const struct wire_logical *m)
{
    ch->in_transaction = false;
    if (doubt_any(&ch->doubt)) {
        struct pending *p = xcalloc(1, sizeof(*p));

        *p = (struct pending){.xid = ch->xid, .before = ch->received, .doubt = ch->doubt};
        list_append(&ch->pending, &p->at);
        ch->commits++;
        wal_watch_soon(ch->w->watch);
    }
    wal_changes_note_end(ch, m->end_lsn);
}

/* It comes again now and then, and is told apart by what it says. */
static bool
is_another(struct wal_changes *ch, const struct wire_logical *m, const struct wal_message *bytes)
{
    uint64_t hash = hash_bytes(bytes->bytes, bytes->len) | 1;
    void *before = map_put(&ch->tables, &m->oid, sizeof(m->oid), (void *)(uintptr_t)hash);

    return before != NULL && (uintptr_t)before != (uintptr_t)hash;
}

static bool
is_in_order(const struct wal_changes *ch, enum wire_logical_kind kind)
{
    switch (kind) {
    case WIRE_LOGICAL_BEGIN:
        return !ch->in_transaction;
    case WIRE_LOGICAL_RELATION:
    case WIRE_LOGICAL_TYPE:
        return true;
    default:
        return ch->in_transaction;
    }
}

int
wal_changes_take(struct wal_changes *ch, const struct wal_message *bytes, bool *changed_r,
                 struct err *err)
{
    struct wire_logical m;

    *changed_r = false;
    if (wire_logical_parse(bytes->bytes, bytes->len, &m, err) != WIRE_OK)
        return -1;
    if (!is_in_order(ch, m.kind))
        return err_set(err, "08P01", "a logical replication message is not in its place");
    switch (m.kind) {
    case WIRE_LOGICAL_BEGIN:
        take_begin(ch, &m);
        break;
    case WIRE_LOGICAL_COMMIT:
        take_commit(ch, &m);
        break;
    case WIRE_LOGICAL_RELATION:
        *changed_r = is_another(ch, &m, bytes);
        break;
    case WIRE_LOGICAL_INSERT:
    case WIRE_LOGICAL_UPDATE:
    case WIRE_LOGICAL_DELETE:
        doubt_table(ch, m.oid);
        break;
    case WIRE_LOGICAL_TRUNCATE:
        for (uint32_t n = 0; n < m.count; n++)
            doubt_table(ch, num_get_u32(m.oids + 4 * (size_t)n));
        break;
    default:
        break;
    }
    return 0;
}

/* In the middle of a transaction not all before it has been received. */
void
wal_changes_note_end(struct wal_changes *ch, uint64_t lsn)
{
    if (!ch->in_transaction)
        ch->received = MAX(ch->received, lsn);
}

/* ---- what can be seen ---- */

void
wal_changes_settle(struct wal_changes *ch, const struct cache_snapshot *snapshot)
{
    struct list *next;

    for (struct list *at = ch->pending.next; at != &ch->pending; at = next) {
        struct pending *p = container_of(at, struct pending, at);

        next = at->next;
        if (cache_snapshot_ended(snapshot, p->xid))
            raise_and_drop(ch, p);
    }
}

bool
wal_changes_wait(const struct wal_changes *ch)
{
    return !list_empty(&ch->pending);
}

uint64_t
wal_changes_received(const struct wal_changes *ch)
{
    return ch->received;
}

uint64_t
wal_changes_applied(const struct wal_changes *ch)
{
    return list_empty(&ch->pending) ? ch->received
                                    : container_of(ch->pending.next, struct pending, at)->before;
}

uint64_t
wal_changes_commits(const struct wal_changes *ch)
{
    return ch->commits;
}
