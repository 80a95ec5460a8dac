/*
 * What clients ask once they are in: each message gets its answer here, at once and as a whole.
 *
 * Called by admin.c, one message at a time, and only while the client's output is not full. There
 * are no transactions: the client is always ready again. Only commands take time (hold.c, order.c),
 * and no message is handled meanwhile.
 */
#include "admin/internal.h"

#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "sql/command.h"
#include "wire/build.h"

#include <stdio.h>
#include <string.h>

enum { ANSWERS_MAX_BYTES = 1024 * 1024 };

const struct inspect_view admin_nothing = {.name = ""};

const struct sql_facts *
admin_facts(struct admin_client *c, struct wire_view text)
{
    struct sql_options options = {.standard_conforming_strings = true};

    return sql_facts(c->admin->sql, text.data, text.len, &options);
}

static void
not_ours(struct admin_client *c, struct err *err)
{
    char names[480] = "";
    size_t used = 0;
    const struct inspect_view *view;

    for (uint32_t n = 0; (view = inspect_view_at(n)) != NULL && used < sizeof(names); n++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", n > 0 ? ", " : "",
                                 view->name);
    err_set(err, "0A000", "this is pgpool's administration port, which runs no SQL");
    err_hint(err, "SHOW answers here: %s; and PGPOOL SHOW. Applications connect to port %d.", names,
             (int)c->admin->input->config->port);
}

static int
find_hold(struct admin_client *c, const struct sql_command *command, struct admin_target *target_r,
          struct err *err)
{
    static const enum hold_verb verbs[] = {[SQL_COMMAND_PAUSE] = HOLD_PAUSE,
                                           [SQL_COMMAND_RESUME] = HOLD_RESUME,
                                           [SQL_COMMAND_DRAIN] = HOLD_DRAIN,
                                           [SQL_COMMAND_UNDRAIN] = HOLD_UNDRAIN};
    struct hold_request *r = &target_r->hold;
    uint32_t node_id = 0;

    if (admin_check_role(c, err) != 0)
        return -1;
    r->verb = verbs[command->verb];
    target_r->view.view = &admin_nothing;
    if (r->verb == HOLD_PAUSE || r->verb == HOLD_RESUME) {
        str_copy(r->database, sizeof(r->database), command->name);
        return 0;
    }
    if (!num_parse_u32(command->name, &node_id) || node_id >= NODES_MAX)
        return err_set(err, "22023", "there is no node %s", command->name);
    r->node_id = (int32_t)node_id;
    return 0;
}

/* PGPOOL SHOW, PAUSE and the like; there is no session here that could set anything. */
static int
find_command(struct admin_client *c, struct sql_text text, struct admin_target *target_r,
             struct err *err)
{
    const struct sql_options options = {.standard_conforming_strings = true};
    struct inspect_question question = {.parameter = true};
    struct sql_command command;

    if (sql_command_parse(text, &options, &command, err) != 0)
        return -1;
    if (command.verb == SQL_COMMAND_EXPLAIN_LOGIN)
        return admin_login_find(c, &command, target_r, err);
    if (command.verb >= SQL_COMMAND_ATTACH) {
        target_r->view.view = &admin_nothing;
        return order_find(c, &command, &target_r->order, err);
    }
    if (command.verb >= SQL_COMMAND_PAUSE)
        return find_hold(c, &command, target_r, err);
    if (command.verb != SQL_COMMAND_SHOW) {
        err_set(err, "0A000", "parameters cannot be set on pgpool's administration port");
        err_hint(err,
                 "A session sets its own on port %d; pgpool.conf and \"pgpool reload\" set "
                 "those of all.",
                 c->admin->input->config->port);
        return -1;
    }
    question.name = (struct sql_text){command.name, (uint32_t)strlen(command.name)};
    return inspect_find(c->admin->input, &question, &target_r->view, err);
}

int
admin_find(struct admin_client *c, const struct sql_statement *st, struct wire_view text,
           struct admin_target *target_r, struct err *err)
{
    struct inspect_question question = {.name = st->name};

    memset(target_r, 0, sizeof(*target_r));
    if (st->kind == SQL_POOL)
        return find_command(c, (struct sql_text){text.data + st->start, st->end - st->start},
                            target_r, err);
    if (st->kind == SQL_POOL_SHOW)
        return inspect_find(c->admin->input, &question, &target_r->view, err);
    if (st->kind == SQL_EMPTY) {
        target_r->view.view = &admin_nothing;
        return 0;
    }
    not_ours(c, err);
    return -1;
}

/* ---- simple queries ---- */

static void
add_row(void *ctx, const char *const *values, uint16_t count)
{
    build_data_row(ctx, values, count);
}

static int
answer_statement(struct admin_client *c, const struct sql_statement *st, struct wire_view text,
                 struct buf *out, struct err *err)
{
    struct admin_target target;

    if (admin_find(c, st, text, &target, err) != 0)
        return -1;
    if (target.hold.verb != 0) {
        hold_begin(c, &target.hold, true);
        return 0;
    }
    if (target.order.verb != 0) {
        order_begin(c, &target.order, true);
        return 0;
    }
    if (target.view.view == &admin_nothing) {
        build_empty_query(out);
        return 0;
    }
    inspect_describe(&target.view, out);
    if (target.view.view == &admin_login_view) {
        admin_login_run(c, &target.login, add_row, out);
        build_command_complete(out, "EXPLAIN");
    } else {
        inspect_rows(c->admin->input, &target.view, out);
    }
    return 0;
}

static bool
has_command(const struct sql_facts *f, struct wire_view text)
{
    const struct sql_options options = {.standard_conforming_strings = true};
    struct sql_command command;
    struct err err;

    for (uint32_t n = 0; n < f->count; n++) {
        const struct sql_statement *st = &f->statements[n];

        if (st->kind == SQL_POOL &&
            sql_command_parse((struct sql_text){text.data + st->start, st->end - st->start},
                              &options, &command, &err) == 0 &&
            command.verb >= SQL_COMMAND_PAUSE && command.verb != SQL_COMMAND_EXPLAIN_LOGIN)
            return true;
    }
    return false;
}

static int
answer_text(struct admin_client *c, struct wire_view text, struct buf *out, struct err *err)
{
    const struct sql_facts *f = admin_facts(c, text);

    if (f->count > 1 && has_command(f, text))
        return err_set(err, "0A000", "a command of PGPOOL stands alone in its query");
    for (uint32_t n = 0; n < MAX(f->count, 1u); n++) {
        if (out->len > ANSWERS_MAX_BYTES)
            return err_set(err, "54000", "the answers to one query string are too long");
        if (answer_statement(c, &f->statements[n], text, out, err) != 0)
            return -1;
    }
    return 0;
}

static void
simple_query(struct admin_client *c, const uint8_t *msg, uint32_t len)
{
    struct buf b = BUF_EMPTY;
    struct wire_view text;
    struct err err;

    extended_forget_unnamed(c);
    if (wire_parse_query(msg, len, &text, &err) != WIRE_OK || answer_text(c, text, &b, &err) != 0)
        build_error(&b, "ERROR", &err);
    if (!admin_is_busy(c)) /* else that is answered when it has ended */
        build_ready(&b, 'I');
    admin_send(c, &b);
    buf_free(&b);
}

/* ---- messages ---- */

static void
refuse(struct admin_client *c, const struct err *err, bool ready)
{
    struct buf b = BUF_EMPTY;

    build_error(&b, "ERROR", err);
    if (ready)
        build_ready(&b, 'I');
    else
        c->skip_till_sync = true;
    admin_send(c, &b);
    buf_free(&b);
}

static void
take_sync(struct admin_client *c)
{
    struct buf b = BUF_EMPTY;

    c->skip_till_sync = false;
    extended_forget_portals(c);
    build_ready(&b, 'I');
    admin_send(c, &b);
    buf_free(&b);
}

static void
take_extended(struct admin_client *c, const uint8_t *msg, uint32_t len)
{
    struct buf b = BUF_EMPTY;
    struct err err;

    if (extended_message(c, msg, len, &b, &err) == 0)
        admin_send(c, &b);
    else
        refuse(c, &err, false);
    buf_free(&b);
}

void
admin_message(struct admin_client *c, const uint8_t *msg, uint32_t len)
{
    struct err err;

    if (msg[0] == 'X') {
        admin_end(c, "the client said goodbye");
        return;
    }
    if (c->skip_till_sync && msg[0] != 'S')
        return;
    switch (msg[0]) {
    case 'Q':
        simple_query(c, msg, len);
        break;
    case 'S':
        take_sync(c);
        break;
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
        take_extended(c, msg, len);
        break;
    case 'F':
        not_ours(c, &err);
        refuse(c, &err, true);
        break;
    default: /* Flush: everything leaves at once anyway. COPY outside of COPY: nothing */
        break;
    }
}

void
admin_message_too_long(struct admin_client *c, uint8_t type)
{
    struct err err;

    if (c->skip_till_sync || type == 'd')
        return;
    err_set(&err, "54000", "the message is too long for the administration port");
    err_detail(&err, "At most %d bytes are taken.", ADMIN_INPUT_MAX_BYTES);
    refuse(c, &err, type == 'Q' || type == 'F');
}
