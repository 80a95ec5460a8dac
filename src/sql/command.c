/*
 * Reads the few words of PGPOOL SHOW, SET, RESET, EXPLAIN and of the commands of administration.
 *
 * Called by whoever answers them, with a text that the scanner has gone through before: quotes and
 * comments are closed. Anything else than the words that are expected is a syntax error, told in
 * PostgreSQL's words.
 */
#include "sql/command.h"

#include "base/str.h"

#include <string.h>

enum word_kind {
    WORD_END,
    WORD_NAME,   /* also a number, and a number with a unit behind it */
    WORD_QUOTED, /* "name" */
    WORD_TEXT,   /* 'text' */
    WORD_OTHER,  /* one byte */
};

struct words {
    const char *at;
    const char *end;
    bool plain_strings; /* a backslash in quotes is itself */
    enum word_kind kind;
    const char *start; /* of the word that was read, as it stands in the text */
    bool escaped;      /* E'text' */
};

static bool
begins_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || (c & 0x80) != 0;
}

static bool
comes(const struct words *w, const char *two)
{
    return w->end - w->at >= 2 && memcmp(w->at, two, 2) == 0;
}

static void
skip_comment(struct words *w)
{
    int depth = 0;

    do {
        if (comes(w, "/*")) {
            depth++;
            w->at += 2;
        } else if (comes(w, "*/")) {
            depth--;
            w->at += 2;
        } else {
            w->at++;
        }
    } while (depth > 0 && w->at < w->end);
}

static void
skip_blanks(struct words *w)
{
    while (w->at < w->end) {
        if (comes(w, "--"))
            while (w->at < w->end && *w->at != '\n' && *w->at != '\r')
                w->at++;
        else if (comes(w, "/*"))
            skip_comment(w);
        else if (memchr(" \t\n\r\f\v", *w->at, 6) != NULL)
            w->at++;
        else
            return;
    }
}

/* Behind the closing quote. One that is written twice is no end, nor is one behind a backslash. */
static void
skip_quoted(struct words *w, char quote, bool backslashes)
{
    for (w->at++; w->at < w->end; w->at++) {
        if (backslashes && *w->at == '\\' && w->at + 1 < w->end)
            w->at++;
        else if (*w->at == quote && w->at + 1 < w->end && w->at[1] == quote)
            w->at++;
        else if (*w->at == quote)
            break;
    }
    if (w->at < w->end)
        w->at++;
}

static void
next_word(struct words *w)
{
    bool sign;

    skip_blanks(w);
    w->start = w->at;
    w->escaped = false;
    if (w->at == w->end) {
        w->kind = WORD_END;
        return;
    }
    if ((*w->at == 'e' || *w->at == 'E') && w->at + 1 < w->end && w->at[1] == '\'') {
        w->escaped = true;
        w->at++;
    }
    sign = (*w->at == '-' || *w->at == '+') && w->at + 1 < w->end && w->at[1] >= '0' &&
           w->at[1] <= '9';
    if (*w->at == '\'') {
        w->kind = WORD_TEXT;
        w->escaped |= !w->plain_strings;
        skip_quoted(w, '\'', w->escaped);
    } else if (*w->at == '"') {
        w->kind = WORD_QUOTED;
        skip_quoted(w, '"', false);
    } else if (sign || begins_word(*w->at)) {
        w->kind = WORD_NAME;
        do
            w->at++;
        while (w->at < w->end && (begins_word(*w->at) || *w->at == '$'));
    } else {
        w->kind = WORD_OTHER;
        w->at++;
    }
}

static bool
is_word(const struct words *w, const char *word)
{
    size_t len = (size_t)(w->at - w->start);

    return w->kind == WORD_NAME && len == strlen(word) && str_equal_nocase_n(w->start, word, len);
}

static int
unexpected(const struct words *w, struct err *err)
{
    if (w->kind == WORD_END)
        return err_set(err, "42601", "syntax error at end of input");
    return err_set(err, "42601", "syntax error at or near \"%.*s\"",
                   (int)MIN(w->at - w->start, (ptrdiff_t)64), w->start);
}

/* The word without its quotes; false when it does not fit. */
static bool
take(const struct words *w, char *to, size_t room)
{
    bool quoted = w->kind == WORD_QUOTED || w->kind == WORD_TEXT;
    char quote = w->kind == WORD_TEXT ? '\'' : '"';
    const char *from = w->start;
    const char *end = w->at;
    size_t len = 0;

    if (quoted) {
        from = (const char *)memchr(from, quote, (size_t)(end - from)) + 1;
        end--;
    }
    for (; from < end; from++) {
        if (quoted && from + 1 < end && (*from == quote || (w->escaped && *from == '\\')))
            from++; /* what stands behind it is meant */
        if (len + 1 >= room)
            return false;
        to[len++] = *from;
    }
    to[len] = '\0';
    return true;
}

static int
take_name(struct words *w, struct sql_command *c, struct err *err)
{
    if ((w->kind != WORD_NAME && w->kind != WORD_QUOTED) || w->start[0] == '-' ||
        w->start[0] == '+')
        return unexpected(w, err);
    if (!take(w, c->name, sizeof(c->name)))
        return err_set(err, "42622", "the name \"%.*s...\" is too long", 32, w->start);
    for (char *at = c->name; w->kind == WORD_NAME && *at != '\0'; at++)
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    next_word(w);
    return 0;
}

static int
take_value(struct words *w, struct sql_command *c, struct err *err)
{
    if (!is_word(w, "to") && !(w->kind == WORD_OTHER && *w->start == '='))
        return unexpected(w, err);
    next_word(w);
    if (w->kind == WORD_END || w->kind == WORD_OTHER)
        return unexpected(w, err);
    c->is_default = is_word(w, "default");
    if (!c->is_default && !take(w, c->value, sizeof(c->value)))
        return err_set(err, "22023", "the value of parameter \"%s\" is longer than %d bytes",
                       c->name, SQL_COMMAND_VALUE_BYTES - 1);
    next_word(w);
    return 0;
}

static int
take_reset(struct words *w, struct sql_command *c, struct err *err)
{
    if (is_word(w, "statements"))
        c->verb = SQL_COMMAND_RESET_STATEMENTS;
    else if (is_word(w, "all"))
        c->verb = SQL_COMMAND_RESET_ALL;
    else
        return take_name(w, c, err);
    next_word(w);
    return 0;
}

/* All that stands behind the word, whatever it is. */
static int
take_rest(struct words *w, struct sql_command *c, struct err *err)
{
    const char *rest = w->at;

    c->verb = SQL_COMMAND_EXPLAIN;
    next_word(w);
    if (w->kind == WORD_END)
        return unexpected(w, err);
    if (memchr(" \t\n\r\f\v", *rest, 6) != NULL)
        rest++; /* the blank that ends the word; others and comments are the statement's */
    c->rest = (struct sql_text){rest, (uint32_t)(w->end - rest)};
    w->kind = WORD_END;
    return 0;
}

/* PAUSE and its like; false: it is none of them. */
static bool
is_hold(const struct words *w, struct sql_command *c)
{
    static const struct {
        const char *word;
        enum sql_command_verb verb;
    } holds[] = {{"pause", SQL_COMMAND_PAUSE},
                 {"resume", SQL_COMMAND_RESUME},
                 {"drain", SQL_COMMAND_DRAIN},
                 {"undrain", SQL_COMMAND_UNDRAIN}};

    for (size_t n = 0; n < ARRAY_LEN(holds); n++) {
        if (!is_word(w, holds[n].word))
            continue;
        c->verb = holds[n].verb;
        return true;
    }
    return false;
}

static int
take_hold(struct words *w, struct sql_command *c, struct err *err)
{
    bool of_node = c->verb == SQL_COMMAND_DRAIN || c->verb == SQL_COMMAND_UNDRAIN;

    next_word(w);
    if (w->kind == WORD_END && !of_node)
        return 0;
    if (take_name(w, c, err) != 0)
        return -1;
    if (c->name[0] == '\0' || (of_node && strspn(c->name, "0123456789") != strlen(c->name)))
        return err_set(err, "42601",
                       of_node ? "\"%s\" is no number of a node" : "there is no database \"%s\"",
                       c->name);
    return 0;
}

/* ---- commands to nodes and to pgpool ---- */

enum operand { OPERAND_NONE, OPERAND_NODE, OPERAND_MODE };

/* Up to three words, what stands behind them, and what may follow. */
struct order {
    const char *words[3];
    enum sql_command_verb verb;
    enum operand operand;
    bool gracefully;
    bool switchover;
};

static const struct order orders[] = {
    {{"attach", "node"}, SQL_COMMAND_ATTACH, OPERAND_NODE, false, false},
    {{"detach", "node"}, SQL_COMMAND_DETACH, OPERAND_NODE, true, false},
    {{"promote", "node"}, SQL_COMMAND_PROMOTE, OPERAND_NODE, true, true},
    {{"switchover"}, SQL_COMMAND_SWITCHOVER, OPERAND_NONE, false, false},
    {{"recover", "node"}, SQL_COMMAND_RECOVER, OPERAND_NODE, false, false},
    {{"stop"}, SQL_COMMAND_STOP, OPERAND_MODE, false, false},
    {{"reload"}, SQL_COMMAND_RELOAD, OPERAND_NONE, false, false},
    {{"rotate", "log"}, SQL_COMMAND_ROTATE_LOG, OPERAND_NONE, false, false},
    {{"invalidate", "query", "cache"}, SQL_COMMAND_INVALIDATE_CACHE, OPERAND_NONE, false, false},
};

static const struct order *
find_order(const struct words *w)
{
    for (size_t n = 0; n < ARRAY_LEN(orders); n++) {
        if (is_word(w, orders[n].words[0]))
            return &orders[n];
    }
    return NULL;
}

static int
take_operand(struct words *w, enum operand operand, struct sql_command *c, struct err *err)
{
    if (operand == OPERAND_NONE)
        return 0;
    if (operand == OPERAND_MODE && !is_word(w, "smart") && !is_word(w, "fast") &&
        !is_word(w, "immediate"))
        return unexpected(w, err);
    if (take_name(w, c, err) != 0)
        return -1;
    if (operand == OPERAND_NODE &&
        (c->name[0] == '\0' || strspn(c->name, "0123456789") != strlen(c->name)))
        return err_set(err, "42601", "\"%s\" is no number of a node", c->name);
    return 0;
}

static int
take_order(struct words *w, const struct order *o, struct sql_command *c, struct err *err)
{
    c->verb = o->verb;
    for (size_t n = 0; n < ARRAY_LEN(o->words) && o->words[n] != NULL; n++) {
        if (!is_word(w, o->words[n]))
            return unexpected(w, err);
        next_word(w);
    }
    if (take_operand(w, o->operand, c, err) != 0)
        return -1;
    if (o->switchover && is_word(w, "switchover")) {
        c->switchover = true;
        next_word(w);
    }
    if (o->gracefully && is_word(w, "gracefully")) {
        c->gracefully = true;
        next_word(w);
    }
    return 0;
}

/* A name, or what stands in quotes of either kind, as it is written. */
static int
take_operand_text(struct words *w, char *to, size_t room, struct err *err)
{
    if (w->kind == WORD_END || w->kind == WORD_OTHER)
        return unexpected(w, err);
    if (!take(w, to, room))
        return err_set(err, "42622", "the name \"%.*s...\" is too long", 32, w->start);
    next_word(w);
    return 0;
}

/* EXPLAIN LOGIN user database address [SSL] */
static int
take_login(struct words *w, struct sql_command *c, struct err *err)
{
    c->verb = SQL_COMMAND_EXPLAIN_LOGIN;
    next_word(w);
    if (take_operand_text(w, c->name, sizeof(c->name), err) != 0 ||
        take_operand_text(w, c->value, sizeof(c->value), err) != 0 ||
        take_operand_text(w, c->address, sizeof(c->address), err) != 0)
        return -1;
    if (is_word(w, "ssl")) {
        c->over_ssl = true;
        next_word(w);
    }
    return 0;
}

static int
take_explain(struct words *w, struct sql_command *c, struct err *err)
{
    struct words ahead = *w;

    next_word(&ahead);
    if (!is_word(&ahead, "login"))
        return take_rest(w, c, err);
    *w = ahead;
    return take_login(w, c, err);
}

/* SET CACHE DELETE 'statement' */
static int
take_cache(struct words *w, struct sql_command *c, struct err *err)
{
    c->verb = SQL_COMMAND_CACHE_DELETE;
    next_word(w);
    if (!is_word(w, "delete"))
        return unexpected(w, err);
    next_word(w);
    if (w->kind != WORD_TEXT)
        return unexpected(w, err);
    c->rest = (struct sql_text){w->start, (uint32_t)(w->at - w->start)};
    next_word(w);
    return 0;
}

size_t
sql_command_unquote(struct sql_text literal, const struct sql_options *options, char *to_r)
{
    struct words w = {.at = literal.data,
                      .end = literal.data + literal.len,
                      .plain_strings = options->standard_conforming_strings};

    next_word(&w);
    if (w.kind != WORD_TEXT || !take(&w, to_r, literal.len))
        return 0;
    return strlen(to_r);
}

static int
take_command(struct words *w, struct sql_command *c, struct err *err)
{
    if (is_word(w, "explain"))
        return take_explain(w, c, err);
    if (is_word(w, "show")) {
        c->verb = SQL_COMMAND_SHOW;
        next_word(w);
        return take_name(w, c, err);
    }
    if (is_hold(w, c))
        return take_hold(w, c, err);
    if (find_order(w) != NULL)
        return take_order(w, find_order(w), c, err);
    if (is_word(w, "reset")) {
        c->verb = SQL_COMMAND_RESET;
        next_word(w);
        return take_reset(w, c, err);
    }
    if (!is_word(w, "set")) {
        unexpected(w, err);
        err_hint(err, "There are PGPOOL SHOW, PGPOOL SET, PGPOOL RESET and PGPOOL EXPLAIN.");
        return -1;
    }
    c->verb = SQL_COMMAND_SET;
    next_word(w);
    if (is_word(w, "cache"))
        return take_cache(w, c, err);
    if (take_name(w, c, err) != 0)
        return -1;
    return take_value(w, c, err);
}

int
sql_command_parse(struct sql_text text, const struct sql_options *options,
                  struct sql_command *command_r, struct err *err)
{
    struct words w = {.at = text.data,
                      .end = text.data + text.len,
                      .plain_strings = options->standard_conforming_strings};

    memset(command_r, 0, sizeof(*command_r));
    next_word(&w);
    if (!is_word(&w, "pgpool"))
        return unexpected(&w, err);
    next_word(&w);
    if (take_command(&w, command_r, err) != 0)
        return -1;
    return w.kind == WORD_END ? 0 : unexpected(&w, err);
}
