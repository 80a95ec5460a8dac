/*
 * The extended protocol on the administration port: statements and portals, which are names for
 * views, and their answers.
 *
 * Called by query.c, which sends what is appended, or the error, and then skips up to Sync. A
 * portal that is fetched in portions makes its view anew for each and goes on at the row where it
 * stopped: rows that came or went in between may be missed or seen twice, and none are kept.
 */
#include "admin/internal.h"

#include "base/arena.h"
#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

struct portal {
    struct admin_target target;
    uint32_t sent; /* rows */
    bool done;
};

static int
check_name(const struct map *names, struct wire_view name, struct err *err)
{
    if (name.len > ADMIN_NAME_MAX_BYTES)
        return err_set(err, "42622", "the name \"%.32s...\" is too long", name.data);
    if (names->count >= ADMIN_NAMES_MAX && map_get(names, name.data, name.len) == NULL)
        return err_set(err, "54000", "too many prepared statements or portals");
    return 0;
}

static const struct admin_target *
find_statement(struct admin_client *c, struct wire_view name, struct err *err)
{
    const struct admin_target *target = map_get(&c->statements, name.data, name.len);

    if (target == NULL && name.len == 0)
        err_set(err, "26000", "unnamed prepared statement does not exist");
    else if (target == NULL)
        err_set(err, "26000", "prepared statement \"%.*s\" does not exist", (int)name.len,
                name.data);
    return target;
}

static struct portal *
find_portal(struct admin_client *c, struct wire_view name, struct err *err)
{
    struct portal *portal = map_get(&c->portals, name.data, name.len);

    if (portal == NULL)
        err_set(err, "34000", "portal \"%.*s\" does not exist", (int)name.len, name.data);
    return portal;
}

/* ---- Parse and Bind ---- */

static int
take_parse(struct admin_client *c, const uint8_t *msg, uint32_t len, struct buf *out,
           struct err *err)
{
    struct admin_target target;
    struct admin_target *kept;
    const struct sql_facts *f;
    struct wire_parse p;

    if (wire_parse_parse(msg, len, &p, err) != WIRE_OK)
        return -1;
    f = admin_facts(c, p.query);
    if (f->count > 1)
        return err_set(err, "42601", "cannot insert multiple commands into a prepared statement");
    if (admin_find(c, &f->statements[0], p.query, &target, err) != 0 ||
        check_name(&c->statements, p.name, err) != 0)
        return -1;
    if (p.name.len > 0 && map_get(&c->statements, p.name.data, p.name.len) != NULL)
        return err_set(err, "42P05", "prepared statement \"%.*s\" already exists", (int)p.name.len,
                       p.name.data);
    kept = xmalloc(sizeof(*kept));
    *kept = target;
    free(map_put(&c->statements, p.name.data, p.name.len, kept));
    build_simple(out, '1');
    return 0;
}

static int
take_bind(struct admin_client *c, const uint8_t *msg, uint32_t len, struct buf *out,
          struct err *err)
{
    const struct admin_target *target;
    struct portal *portal;
    struct wire_bind b;

    if (wire_parse_bind(msg, len, &b, err) != WIRE_OK)
        return -1;
    target = find_statement(c, b.statement, err);
    if (target == NULL || wire_check_bind(msg, len, &b, err) != 0 ||
        check_name(&c->portals, b.portal, err) != 0)
        return -1;
    if (b.portal.len > 0 && map_get(&c->portals, b.portal.data, b.portal.len) != NULL)
        return err_set(err, "42P03", "cursor \"%.*s\" already exists", (int)b.portal.len,
                       b.portal.data);
    portal = xcalloc(1, sizeof(*portal));
    portal->target = *target;
    free(map_put(&c->portals, b.portal.data, b.portal.len, portal));
    build_simple(out, '2');
    return 0;
}

/* ---- Describe and Close ---- */

static int
describe(struct admin_client *c, const struct wire_target *t, struct buf *out, struct err *err)
{
    static const uint8_t no_parameters[] = {'t', 0, 0, 0, 6, 0, 0};
    const struct admin_target *target = NULL;
    const struct portal *portal;

    if (t->kind == 'S') {
        target = find_statement(c, t->name, err);
    } else if (t->kind == 'P') {
        portal = find_portal(c, t->name, err);
        target = portal != NULL ? &portal->target : NULL;
    } else {
        err_set(err, "08P01", "invalid DESCRIBE message subtype %d", t->kind);
    }
    if (target == NULL)
        return -1;
    if (t->kind == 'S')
        buf_add(out, no_parameters, sizeof(no_parameters));
    if (target->view.view == &admin_nothing)
        build_simple(out, 'n');
    else
        inspect_describe(&target->view, out);
    return 0;
}

/* What does not exist is closed without an error. */
static int
close_name(struct admin_client *c, const struct wire_target *t, struct buf *out, struct err *err)
{
    if (t->kind == 'S')
        free(map_remove(&c->statements, t->name.data, t->name.len));
    else if (t->kind == 'P')
        free(map_remove(&c->portals, t->name.data, t->name.len));
    else
        return err_set(err, "08P01", "invalid CLOSE message subtype %d", t->kind);
    build_simple(out, '3');
    return 0;
}

static int
take_target(struct admin_client *c, const uint8_t *msg, uint32_t len, struct buf *out,
            struct err *err)
{
    struct wire_target t;

    if (wire_parse_target(msg, len, &t, err) != WIRE_OK)
        return -1;
    return msg[0] == 'D' ? describe(c, &t, out, err) : close_name(c, &t, out, err);
}

/* ---- Execute ---- */

struct portion {
    struct buf *out;
    uint32_t at;    /* row of the view */
    uint32_t first; /* not sent before */
    uint32_t most;  /* of this portion */
    uint32_t count;
};

static void
take_row(void *ctx, const char *const *values, uint16_t count)
{
    struct portion *p = ctx;

    if (p->at++ < p->first || p->count == p->most)
        return;
    p->count++;
    build_data_row(p->out, values, count);
}

static int
take_execute(struct admin_client *c, const uint8_t *msg, uint32_t len, struct buf *out,
             struct err *err)
{
    struct portion p = {.out = out, .most = UINT32_MAX};
    struct portal *portal;
    struct wire_execute e;

    if (wire_parse_execute(msg, len, &e, err) != WIRE_OK)
        return -1;
    portal = find_portal(c, e.portal, err);
    if (portal == NULL)
        return -1;
    if (portal->target.hold.verb != 0) {
        hold_begin(c, &portal->target.hold, false);
        return 0;
    }
    if (portal->target.order.verb != 0) {
        order_begin(c, &portal->target.order, false);
        return 0;
    }
    if (portal->target.view.view == &admin_nothing) {
        build_empty_query(out);
        return 0;
    }
    p.first = portal->sent;
    if (e.max_rows > 0 && e.max_rows <= INT32_MAX)
        p.most = e.max_rows;
    if (!portal->done && portal->target.view.view == &admin_login_view)
        admin_login_run(c, &portal->target.login, take_row, &p);
    else if (!portal->done)
        inspect_run(c->admin->input, &portal->target.view, take_row, &p);
    portal->sent += p.count;
    portal->done |= p.count < p.most;
    if (portal->done)
        build_command_complete(out, "SHOW");
    else
        build_simple(out, 's');
    return 0;
}

int
extended_message(struct admin_client *c, const uint8_t *msg, uint32_t len, struct buf *out,
                 struct err *err)
{
    switch (msg[0]) {
    case 'P':
        return take_parse(c, msg, len, out, err);
    case 'B':
        return take_bind(c, msg, len, out, err);
    case 'E':
        return take_execute(c, msg, len, out, err);
    default:
        return take_target(c, msg, len, out, err);
    }
}

/* ---- forgetting ---- */

static void
free_value(void *ctx UNUSED, void *value)
{
    free(value);
}

void
extended_forget_portals(struct admin_client *c)
{
    map_clear(&c->portals, free_value, NULL);
}

void
extended_forget_unnamed(struct admin_client *c)
{
    free(map_remove(&c->statements, "", 0));
    extended_forget_portals(c);
}

void
extended_fini(struct admin_client *c)
{
    extended_forget_portals(c);
    map_clear(&c->statements, free_value, NULL);
}
