/*
 * PGPOOL EXPLAIN statement: where the statement would go now, why, and what was looked at for that.
 *
 * Called by command.c. Nothing is sent to a server for it but, once, the question to the catalog
 * (unit.c sees to that); the statement is judged by the same functions that place a real one.
 */
#include "session/internal.h"

#include "wire/build.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_BYTES = 256 };

/* ---- rows ---- */

static void PRINTF_LIKE(3, 4) add_row(struct buf *out, const char *item, const char *fmt, ...)
{
    char value[VALUE_BYTES];
    const char *values[2] = {item, value};
    va_list args;

    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    build_data_row(out, values, 2);
}

static const char *
what_it_is(const struct verdict *v)
{
    if (v->may_write)
        return "it may write";
    return v->plain ? "it only reads" : "it is for the primary";
}

static void
add_statement(const struct sql_facts *f, const struct verdict *v, struct buf *out)
{
    if (!f->understood)
        add_row(out, "statement", "not understood: it may write");
    else if (f->count > 1)
        add_row(out, "statement", "%u statements: they may write", f->count);
    else
        add_row(out, "statement", "%s: %s%s", sql_kind_name(f->statements[0].kind), what_it_is(v),
                v->touches_session ? ", and it may leave something in the session" : "");
}

static void
add_catalog(struct session *s, const struct sql_statement *st, const struct verdict *v,
            struct buf *out)
{
    struct sql_text culprit = {"", 0};
    uint32_t flags;

    if (!v->by_catalog) {
        add_row(out, "catalog", "not asked: nothing depends on it");
        return;
    }
    if (v->unknown || !catalog_judge(s->host->catalog, &s->scope, st, &flags, &culprit)) {
        add_row(out, "catalog", "it could not be asked");
        return;
    }
    if (v->plain)
        add_row(out, "catalog", "nothing against it");
    else
        add_row(out, "catalog", "\"%.*s\": %s", (int)culprit.len, culprit.data,
                route_reason_words(v->reason));
}

static void
add_cache(struct session *s, const struct sql_facts *f, const struct verdict *v, struct buf *out)
{
    char words[CACHE_WORDS_BYTES];

    cache_words(s, f, v, words);
    add_row(out, "cache", "%s", words);
}

static void
add_session(const struct session *s, struct buf *out)
{
    const char *transaction = "none";

    if (s->tx.deferred)
        transaction = "begun, and not sent to a server yet";
    else if (s->tx.on_reader)
        transaction = "runs on the node that is read from";
    else if (s->tx_status != 'I')
        transaction = "runs on the primary";
    add_row(out, "session",
            s->pinned ? "held at the primary by what it has left there"
                      : "nothing holds it at the primary");
    add_row(out, "transaction", "%s", transaction);
}

static void
add_consistency(struct session *s, struct buf *out)
{
    static const char *const names[] = {[SESSION_SEES_ITS_OWN] = "session",
                                        [SESSION_SEES_ALL] = "global",
                                        [SESSION_SEES_WHATEVER] = "eventual"};
    int64_t not_before = place_not_before_ns(s);
    const char *name = names[session_options(s)->consistency];

    if (s->look_ns == 1 && session_options(s)->consistency == SESSION_SEES_ALL)
        add_row(out, "read_consistency",
                "%s: all that anybody has written; the nodes are asked "
                "where they stand, for there are other pgpools",
                name);
    else if (not_before <= 1)
        add_row(out, "read_consistency", "%s: any standby will do", name);
    else
        add_row(out, "read_consistency", "%s: what was written until %.3f ms ago must be there",
                name, (double)(io_now_ns(s->host->io) - not_before) / 1e6);
}

static void
add_nodes(struct session *s, struct buf *out)
{
    const struct cluster_view *view = s->host->view;
    int64_t not_before = place_not_before_ns(s);
    char item[32];

    for (uint32_t n = 0; n < view->node_count; n++) {
        const struct cluster_node *node = &view->nodes[n];
        if ((int)n == view->primary_id || node->role != NODE_ROLE_STANDBY)
            continue;
        snprintf(item, sizeof(item), "node %u", n);
        if (!node->usable)
            add_row(out, item, "not usable");
        else
            add_row(out, item, "weight %g, %s, %llu bytes and %.3f ms behind", node->weight,
                    node->fresh_as_of_ns >= not_before ? "fresh enough" : "not fresh enough",
                    (unsigned long long)node->delay_bytes, (double)node->delay_us / 1e3);
    }
}

static void
add_place(struct session *s, const struct unit *u, struct buf *out)
{
    const struct cluster_view *view = s->host->view;
    enum route_reason reason;
    int node_id = place_decide(s, u, &reason);

    if (node_id < 0) {
        add_row(out, "node_id", "%s", "");
        add_row(out, "role", "none: no server is available for it");
    } else {
        add_row(out, "node_id", "%d", node_id);
        add_row(out, "role", "%s", node_id == view->primary_id ? "primary" : "standby");
    }
    add_row(out, "reason", "%s", route_reason_words(reason));
}

void
explain_rows(struct session *s, struct sql_text inner, struct buf *out)
{
    struct buf text = BUF_EMPTY; /* with a NUL behind it, as the text of a Query has */
    const struct sql_facts *f;
    struct verdict v;
    struct unit u;
    int64_t look_ns = s->look_ns;

    /* as if the nodes had just said where they stand: whoever runs it asks them */
    if (s->host->is_one_of_several && look_ns == 0)
        s->look_ns = 1;
    buf_add(&text, inner.data, inner.len);
    inner.data = buf_cstr(&text);
    unit_of_text(s, inner.data, inner.len, &u);
    add_place(s, &u, out);
    f = session_facts(s, inner.data, inner.len);
    v = lookup_verdict(s, f);
    add_statement(f, &v, out);
    add_catalog(s, &f->statements[0], &v, out);
    add_cache(s, f, &v, out);
    add_session(s, out);
    add_consistency(s, out);
    add_nodes(s, out);
    s->look_ns = look_ns;
    buf_free(&text);
}

void
explain_description(struct buf *out)
{
    static const char *const columns[] = {"item", "value"};

    build_row_description(out, columns, 2);
}
