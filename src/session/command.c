/*
 * PGPOOL SHOW, PGPOOL SET, PGPOOL RESET and PGPOOL EXPLAIN: a session's look at the options, and
 * its own values; PGPOOL SET CACHE DELETE.
 *
 * Called by local.c for statements of the kind SQL_POOL, in either protocol. What is set holds at
 * once and until it is reset or the session ends; no transaction undoes it, and no RESET ALL or
 * DISCARD ALL of PostgreSQL's. A transaction that has failed takes no SET and no RESET.
 */
#include "session/internal.h"

#include "config/overrides.h"
#include "sql/command.h"
#include "wire/build.h"

#include <string.h>

static int
parse(struct session *s, struct sql_text text, struct sql_command *command_r, struct err *err)
{
    const struct sql_options options = {.standard_conforming_strings = s->plain_strings};

    if (sql_command_parse(text, &options, command_r, err) != 0)
        return -1;
    if (command_r->verb < SQL_COMMAND_PAUSE)
        return 0;
    err_set(err, "0A000", "pgpool takes commands at its administration port only");
    err_hint(err,
             "Connect to port %d, database \"pgpool\", or use the pcp_ tools, or \"pgpool pause\" "
             "and its like.",
             (int)session_options(s)->config->pcp_port);
    return -1;
}

static void
answer_explain(struct session *s, struct sql_text inner, enum session_part part, struct buf *out)
{
    if (part != SESSION_ROWS)
        explain_description(out);
    if (part == SESSION_DESCRIPTION)
        return;
    explain_rows(s, inner, out);
    build_command_complete(out, "EXPLAIN");
}

int
command_check(struct session *s, struct sql_text text, struct err *err)
{
    struct sql_command command;

    return parse(s, text, &command, err);
}

bool
command_explains(struct session *s, struct sql_text text, struct sql_text *inner_r)
{
    struct sql_command command;
    struct err err;

    if (parse(s, text, &command, &err) != 0 || command.verb != SQL_COMMAND_EXPLAIN)
        return false;
    *inner_r = command.rest;
    return true;
}

static void
warn_without_effect(struct session *s, const char *name, struct buf *out)
{
    struct err words;

    if (!session_options(s)->warns || config_has_effect(name))
        return;
    err_set(&words, "01000", "parameter \"%s\" is not built yet and has no effect", name);
    build_notice(out, "WARNING", &words);
}

static int
run(struct session *s, const struct sql_command *command, struct buf *out, struct err *err)
{
    bool all = command->verb == SQL_COMMAND_RESET_ALL;
    bool sets = command->verb == SQL_COMMAND_SET && !command->is_default;

    if (s->tx_status == 'E')
        return err_set(err, "25P02",
                       "current transaction is aborted, commands ignored until end of transaction "
                       "block");
    if (command->verb == SQL_COMMAND_CACHE_DELETE)
        return cache_delete(s, command->rest, out, err);
    if (all)
        options_reset_all(s);
    else if (options_set(s, command->name, sets ? command->value : NULL, err) != 0)
        return -1;
    if (sets)
        warn_without_effect(s, command->name, out);
    build_command_complete(out, all ? "RESET" : "SET");
    return 0;
}

int
command_answer(struct session *s, struct sql_text text, enum session_part part, struct buf *out,
               struct err *err)
{
    struct session_question q = {.parameter = true, .part = part};
    struct sql_command command;

    if (parse(s, text, &command, err) != 0)
        return -1;
    if (command.verb == SQL_COMMAND_EXPLAIN) {
        answer_explain(s, command.rest, part, out);
        return 0;
    }
    if (command.verb == SQL_COMMAND_SHOW) {
        q.name = (struct sql_text){command.name, (uint32_t)strlen(command.name)};
        return s->host->show(s->host->ctx, s, &q, out, err);
    }
    if (part == SESSION_DESCRIPTION) {
        build_simple(out, 'n');
        return 0;
    }
    return run(s, &command, out, err);
}
