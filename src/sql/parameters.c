/*
 * Parameters in the place of constants (sql/parameters.h).
 *
 * Called by session/ for what the copies of native replication are to do. Goes through the
 * scanner's tokens once, and writes the text anew as it goes. What stands around a constant
 * decides: the token in front of it, the one behind it, and whether all parentheses round it only
 * group. A parenthesis behind a word is a call or a type's modifier, or a list: nothing in there is
 * touched.
 *
 * Invariants: what is no constant is copied byte for byte; no string stays in the text; each
 * parameter is used once, so that its type is found where it stands and nowhere else.
 */
#include "sql/parameters.h"

#include "base/arena.h"
#include "base/num.h"
#include "sql/token.h"

#include "gram.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    TEXT_MAX = 16 * 1024,
    PARAMETERS_MAX = 200,
    INT4_OID = 23,
    NAME_MAX_BYTES = 63, /* PostgreSQL cuts a longer one, and says so each time that it is parsed */
};

struct sql_parameters {
    struct sql_work work;
    void *scanner;
    struct buf text;
    struct buf types;
    struct buf values;
    struct buf places; /* struct sql_parameter_place */
    uint32_t done;     /* of the text: copied so far */
    uint16_t count;
    bool strings;
    bool exact;
    bool in_where;
    uint32_t depth;  /* of parentheses */
    uint32_t opaque; /* ... of them from the first on that does not only group; 0: none */
    uint32_t row;    /* the parenthesis behind VALUES; 0: none yet */
    bool has_row;    /* ... and it is closed */
    bool has_field;  /* INSERT names a column's field */
};

struct sql_parameters *
sql_parameters_new(void)
{
    struct sql_parameters *p = xcalloc(1, sizeof(*p));

    p->scanner = sql_scanner_new(&p->work);
    return p;
}

void
sql_parameters_free(struct sql_parameters *p)
{
    if (p == NULL)
        return;
    sql_scanner_free(p->scanner);
    buf_free(&p->text);
    buf_free(&p->types);
    buf_free(&p->values);
    buf_free(&p->places);
    free(p->work.tokens);
    free(p->work.heads);
    free(p->work.marks);
    free(p);
}

/* ---- what a token is ---- */

static const struct sql_token *
token(const struct sql_parameters *p, uint32_t at)
{
    return &p->work.tokens[at];
}

static bool
is_operator(const struct sql_parameters *p, uint32_t at, const char *which)
{
    const struct sql_token *t = token(p, at);

    return t->kind == T_OPERATOR && t->len == strlen(which) &&
           memcmp(p->work.text + t->start, which, t->len) == 0;
}

/* One of those that are an operator of two sides for sure, or a sign. */
static bool
computes(const struct sql_parameters *p, uint32_t at)
{
    const struct sql_token *t = token(p, at);

    return t->kind == T_OPERATOR && t->len == 1 &&
           memchr("+-*/", p->work.text[t->start], 4) != NULL;
}

static bool
compares(const struct sql_parameters *p, uint32_t at)
{
    static const char *const which[] = {"=", "<", ">", "<=", ">=", "<>", "!="};

    for (size_t n = 0; n < ARRAY_LEN(which); n++) {
        if (is_operator(p, at, which[n]))
            return true;
    }
    return false;
}

static bool
is_name(const struct sql_parameters *p, uint32_t at)
{
    return token(p, at)->kind == T_NAME || token(p, at)->kind == T_QUOTED;
}

/* A name, also one that is a key word elsewhere ("key", "value"). */
static bool
may_be_column(const struct sql_parameters *p, uint32_t at)
{
    return is_name(p, at) || token(p, at)->category == SQL_UNRESERVED;
}

/* Does a parenthesis behind this token only group what is in it? */
static bool
groups(const struct sql_parameters *p, uint32_t at)
{
    switch (token(p, at)->kind) {
    case '(':
    case ',':
    case K_VALUES:
    case K_WHERE:
    case K_AND:
    case K_OR:
    case K_NOT:
        return true;
    default:
        return computes(p, at) || compares(p, at);
    }
}

/* Is what ends with this token a column, and neither a type behind a constant nor a constant's
 * field? */
static bool
ends_column(const struct sql_parameters *p, uint32_t at)
{
    while (at > 1 && may_be_column(p, at) && token(p, at - 1)->kind == '.')
        at -= 2;
    if (at < 1 || !may_be_column(p, at))
        return false;
    return token(p, at - 1)->kind == K_SET || groups(p, at - 1);
}

/* Is it all that an element of VALUES is? */
static bool
is_element(const struct sql_parameters *p, uint32_t first, uint32_t last)
{
    int before = token(p, first - 1)->kind;
    int behind = token(p, last + 1)->kind;

    return p->row > 0 && !p->has_row && p->depth == 1 && (before == '(' || before == ',') &&
           (behind == ')' || behind == ',');
}

/* May a constant end here? */
static bool
ends_value(const struct sql_parameters *p, uint32_t at)
{
    int kind = token(p, at)->kind;

    return at == p->work.count || kind == ',' || kind == ')' || kind == K_WHERE || kind == K_AND;
}

/* What makes the statement one that is not for this, wherever it stands. */
static bool
is_foreign(const struct sql_token *t)
{
    switch (t->kind) {
    case '[':
    case ']':
    case ';':
    case T_INNER:
    case T_PARAM:
    case K_CONFLICT:
    case K_FROM:
    case K_RETURNING:
    case K_SELECT:
    case K_TABLE:
    case K_USING:
    case K_WITH:
        return true;
    default:
        return false;
    }
}

/* ---- what is written ---- */

static void
copy_up_to(struct sql_parameters *p, uint32_t offset)
{
    buf_add(&p->text, p->work.text + p->done, offset - p->done);
    p->done = offset;
}

/* Of UPDATE: the name in "SET name =" or ", name =" in front of the constant. */
static struct sql_text
column_assigned(const struct sql_parameters *p, uint32_t first)
{
    const struct sql_token *t;

    if (p->in_where || p->depth > 0 || token(p, 0)->kind != K_UPDATE || first < 4 ||
        !is_operator(p, first - 1, "=") || !may_be_column(p, first - 2) ||
        (token(p, first - 3)->kind != K_SET && token(p, first - 3)->kind != ','))
        return (struct sql_text){NULL, 0};
    t = token(p, first - 2);
    return (struct sql_text){p->work.text + t->start, t->len};
}

/* Is it neither computed with at once, nor assigned in a way that is not seen? */
static bool
fails_alike(const struct sql_parameters *p, uint32_t first, uint32_t last, bool assigned)
{
    if (computes(p, last + 1))
        return false;
    return assigned || computes(p, first - 1) || p->in_where || token(p, 0)->kind != K_UPDATE ||
           (compares(p, first - 1) && !is_operator(p, first - 1, "="));
}

/* In the place of tokens `first` to `last`. The value's bytes follow. */
static void
write_parameter(struct sql_parameters *p, uint32_t first, uint32_t last, uint32_t type)
{
    struct sql_parameter_place place = {.start = token(p, first)->start,
                                        .column = column_assigned(p, first)};

    p->exact = p->exact && fails_alike(p, first, last, place.column.len > 0);
    copy_up_to(p, place.start);
    place.parameter_start = (uint32_t)p->text.len;
    buf_printf(&p->text, " $%u ", ++p->count);
    p->done = token(p, last)->start + token(p, last)->len;
    place.len = p->done - place.start;
    place.parameter_len = (uint32_t)p->text.len - place.parameter_start;
    buf_add(&p->places, &place, sizeof(place));
    buf_add_u32(&p->types, type);
}

/* ---- integers ---- */

static bool
is_int4(const struct sql_parameters *p, uint32_t at)
{
    const struct sql_token *t = token(p, at);
    uint64_t value = 0;

    if (t->kind != T_NUMBER || t->len > 10)
        return false;
    for (uint32_t n = 0; n < t->len; n++) {
        char c = p->work.text[t->start + n];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (uint64_t)(c - '0');
    }
    return value <= INT32_MAX;
}

/* What stands between constants only PostgreSQL computes when it plans, and what is false or true
 * then it does not compute the rest of. So an integer's other side must be a column. */
static bool
follows_column(const struct sql_parameters *p, uint32_t first)
{
    return first > 2 && (computes(p, first - 1) || compares(p, first - 1)) &&
           ends_column(p, first - 2);
}

static bool
is_sign(const struct sql_parameters *p, uint32_t at)
{
    if (at < 2 || !is_operator(p, at, "-"))
        return false;
    return token(p, at - 1)->kind == '(' || token(p, at - 1)->kind == ',' || computes(p, at - 1) ||
           compares(p, at - 1);
}

static void
take_integer(struct sql_parameters *p, uint32_t at)
{
    const struct sql_token *t = token(p, at);
    bool sign = is_sign(p, at - 1);
    uint32_t first = sign ? at - 1 : at;

    if (p->opaque > 0 || !is_int4(p, at) ||
        !(is_element(p, first, at) ||
          (follows_column(p, first) && (ends_value(p, at + 1) || computes(p, at + 1)))))
        return;
    write_parameter(p, first, at, INT4_OID);
    buf_add_u32(&p->values, t->len + sign);
    if (sign)
        buf_add_u8(&p->values, '-');
    buf_add(&p->values, p->work.text + t->start, t->len);
}

/* ---- strings ---- */

/* Behind the type of a cast, which begins at token `at`; 0: it is none that is known. */
static uint32_t
type_end(const struct sql_parameters *p, uint32_t at)
{
    static const char *const names[] = {
        "bool",     "boolean", "bytea",   "date",   "float4",    "float8",  "int",  "int2",
        "int4",     "int8",    "integer", "bigint", "json",      "jsonb",   "name", "numeric",
        "smallint", "text",    "time",    "timetz", "timestamp", "varchar", "uuid", "timestamptz"};
    static const char *const zone[] = {"time", "zone"};
    const struct sql_token *t;
    bool known = false;

    if (token(p, at)->kind == T_NAME && token(p, at)->len == 10 &&
        memcmp(p->work.text + token(p, at)->start, "pg_catalog", 10) == 0 &&
        token(p, at + 1)->kind == '.')
        at += 2;
    t = token(p, at);
    for (size_t n = 0; !known && !t->quoted && n < ARRAY_LEN(names); n++)
        known = t->len == strlen(names[n]) &&
                strncasecmp(p->work.text + t->start, names[n], t->len) == 0;
    if (!known)
        return 0;
    at++;
    if (token(p, at)->kind != K_WITH && token(p, at)->kind != K_WITHOUT)
        return at;
    for (size_t n = 0; n < 2; n++) {
        t = token(p, at + 1 + n);
        if (t->len != 4 || strncasecmp(p->work.text + t->start, zone[n], 4) != 0)
            return 0;
    }
    return at + 3;
}

/* What stands between its quotes. */
static struct sql_text
between_quotes(const struct sql_parameters *p, uint32_t at)
{
    const struct sql_token *t = token(p, at);
    uint32_t head = (p->work.text[t->start] | 0x20) == 'e' ? 2 : 1;

    return (struct sql_text){p->work.text + t->start + head, t->len > head ? t->len - head - 1 : 0};
}

/* 'x' or E'x', with nothing in it that may be read in two ways. */
static bool
is_plain_string(const struct sql_parameters *p, uint32_t at)
{
    const struct sql_token *t = token(p, at);
    struct sql_text s = between_quotes(p, at);

    if (s.data[-1] != '\'' || s.data + s.len >= p->work.text + t->start + t->len ||
        s.data[s.len] != '\'')
        return false;
    for (uint32_t n = 0; n < s.len; n++) {
        if (s.data[n] == '\\')
            return false;
        if (s.data[n] == '\'' && (n + 1 >= s.len || s.data[++n] != '\''))
            return false;
    }
    return true;
}

static void
write_string(struct sql_parameters *p, uint32_t at)
{
    struct sql_text s = between_quotes(p, at);
    size_t head = p->values.len;

    write_parameter(p, at, at, 0);
    p->strings = true;
    buf_add_u32(&p->values, 0);
    for (uint32_t n = 0; n < s.len; n++) {
        buf_add_u8(&p->values, (uint8_t)s.data[n]);
        n += s.data[n] == '\'';
    }
    num_put_u32(p->values.data + head, (uint32_t)(p->values.len - head - 4));
}

/* Is the type one of those that tell a moment or a day? What they are cast to next depends on the
 * session, and is not computed when a statement is planned. */
static bool
is_moment(const struct sql_parameters *p, uint32_t first, uint32_t end)
{
    for (uint32_t at = first; at < end; at++) {
        const struct sql_token *t = token(p, at);
        const char *word = p->work.text + t->start;
        if ((t->len == 4 && strncasecmp(word, "date", 4) == 0) ||
            (t->len >= 9 && strncasecmp(word, "timestamp", 9) == 0))
            return true;
    }
    return false;
}

/* Where a string may stand: as an element of VALUES, or behind "=" and a column that it is assigned
 * to or compared with in WHERE, in no parenthesis. Not for a column's field: it may be an interval,
 * which nobody has looked at. Returns behind it and its cast; 0: no. */
static uint32_t
take_string(struct sql_parameters *p, uint32_t at)
{
    uint32_t end = at + 1;
    bool fits;

    if (token(p, end)->kind == T_CAST)
        end = type_end(p, end + 1);
    if (end == 0 || !is_plain_string(p, at))
        return 0;
    if (p->row > 0)
        fits = !p->has_field && is_element(p, at, end - 1);
    else
        fits = p->depth == 0 && ends_value(p, end) &&
               (p->in_where ? is_operator(p, at - 1, "=") && follows_column(p, at)
                            : column_assigned(p, at).len > 0);
    if (!fits)
        return 0;
    p->exact = p->exact && is_moment(p, at + 1, end);
    write_string(p, at);
    return end;
}

/* ---- all of it ---- */

static bool
open_parenthesis(struct sql_parameters *p, uint32_t at)
{
    p->depth++;
    if (token(p, at - 1)->kind == K_VALUES) {
        if (p->row > 0 || p->depth != 1)
            return false;
        p->row = at;
    }
    if (p->opaque == 0 && !groups(p, at - 1))
        p->opaque = p->depth;
    return true;
}

static void
close_parenthesis(struct sql_parameters *p)
{
    if (p->opaque == p->depth)
        p->opaque = 0;
    p->depth--;
    p->has_row |= p->row > 0 && p->depth == 0;
}

/* With transform_null_equals, "= NULL" is another thing as soon as it is parsed. */
static bool
null_is_plain(const struct sql_parameters *p, uint32_t at)
{
    int before = token(p, at - 1)->kind;

    if (before == K_IS || (before == K_NOT && token(p, at - 2)->kind == K_IS))
        return true;
    return is_element(p, at, at) || (column_assigned(p, at).len > 0 && ends_value(p, at + 1));
}

/* A name that is cut, with a notice each time that it is parsed. */
static bool
is_cut(const struct sql_token *t)
{
    return t->len > NAME_MAX_BYTES && t->kind != T_STRING && t->kind != T_NUMBER;
}

/* Behind the token at `at`; 0: the text is not for this. */
static uint32_t
take(struct sql_parameters *p, uint32_t at)
{
    p->in_where |= token(p, at)->kind == K_WHERE;
    p->exact = p->exact && !is_cut(token(p, at));
    p->has_field |= token(p, at)->kind == '.' && p->depth > 0 && p->row == 0;
    if (p->has_row)
        return 0; /* ORDER BY or LIMIT, which may leave the row out, or more rows */
    switch (token(p, at)->kind) {
    case T_STRING:
        return take_string(p, at);
    case K_NULL:
        return null_is_plain(p, at) ? at + 1 : 0;
    case T_NUMBER:
        take_integer(p, at);
        return at + 1;
    case '(':
        return open_parenthesis(p, at) ? at + 1 : 0;
    case ')':
        close_parenthesis(p);
        return at + 1;
    default:
        return is_foreign(token(p, at)) ? 0 : at + 1;
    }
}

/* Of a DELETE, FROM is a part. */
static uint32_t
first_of(const struct sql_parameters *p)
{
    switch (token(p, 0)->kind) {
    case K_INSERT:
    case K_UPDATE:
        return 1;
    case K_DELETE:
        return token(p, 1)->kind == K_FROM ? 2 : 0;
    default:
        return 0;
    }
}

static void
begin(struct sql_parameters *p)
{
    buf_clear(&p->text);
    buf_clear(&p->types);
    buf_clear(&p->values);
    buf_clear(&p->places);
    p->done = p->depth = p->opaque = p->row = 0;
    p->count = 0;
    p->has_row = p->has_field = p->strings = p->in_where = false;
    p->exact = true;
}

static bool
scan(struct sql_parameters *p, struct sql_text text, const struct sql_options *options)
{
    struct sql_work *w = &p->work;

    w->text = text.data;
    w->len = text.len;
    w->standard_strings = options->standard_conforming_strings;
    w->server_version = options->server_version;
    if (text.len > TEXT_MAX || !sql_scan(p->scanner, w) || w->count == 0)
        return false;
    while (w->count > 1 && w->tokens[w->count - 1].kind == ';')
        w->count--;
    w->tokens[w->count].kind = 0;
    return true;
}

static bool
is_ascii(struct sql_text text)
{
    uint8_t all = 0;

    for (uint32_t n = 0; n < text.len; n++)
        all |= (uint8_t)text.data[n];
    return all < 128;
}

static bool
take_all(struct sql_parameters *p, uint32_t at, struct sql_text text, struct sql_with_parameters *r)
{
    uint32_t last;

    while (at < p->work.count) {
        at = take(p, at);
        if (at == 0 || p->count > PARAMETERS_MAX)
            return false;
    }
    if (p->count == 0)
        return false;
    last = p->work.count - 1;
    copy_up_to(p, token(p, last)->start + token(p, last)->len);
    if (!is_ascii((struct sql_text){(const char *)p->text.data, (uint32_t)p->text.len}))
        return false; /* names in the client's encoding, which may be another one next time */
    *r = (struct sql_with_parameters){
        .text = {(const char *)p->text.data, (uint32_t)p->text.len},
        .count = p->count,
        .strings = p->strings,
        .exact = p->exact && is_ascii(text), /* characters count as bytes in positions then */
        .places = (const struct sql_parameter_place *)p->places.data,
        .types = p->types.data,
        .values = p->values.data,
        .values_len = p->values.len,
    };
    return true;
}

bool
sql_parameters_take(struct sql_parameters *p, struct sql_text text,
                    const struct sql_options *options, struct sql_with_parameters *r)
{
    uint32_t at;

    begin(p);
    if (!scan(p, text, options))
        return false;
    at = first_of(p);
    return at > 0 && take_all(p, at, text, r) && (token(p, 0)->kind != K_INSERT || p->has_row);
}

/* ---- reads ---- */

/* Behind "a", "a.b" or "a.b.c"; 0: it is something else. */
static uint32_t
behind_name(const struct sql_parameters *p, uint32_t at)
{
    while (is_name(p, at)) {
        if (token(p, at + 1)->kind != '.')
            return at + 1;
        at += 2;
    }
    return 0;
}

/* Behind "a, b, c"; 0: the same. */
static uint32_t
behind_names(const struct sql_parameters *p, uint32_t at)
{
    at = behind_name(p, at);
    while (at > 0 && token(p, at)->kind == ',')
        at = behind_name(p, at + 1);
    return at;
}

/* "a = 1 AND b = -2", up to the end. */
static bool
are_conditions(const struct sql_parameters *p, uint32_t at)
{
    for (;;) {
        at = behind_name(p, at);
        if (at == 0 || !is_operator(p, at, "="))
            return false;
        at += is_operator(p, at + 1, "-") ? 2 : 1;
        if (!is_int4(p, at))
            return false;
        if (at + 1 == p->work.count)
            return true;
        if (token(p, at + 1)->kind != K_AND)
            return false;
        at += 2;
    }
}

bool
sql_parameters_take_read(struct sql_parameters *p, struct sql_text text,
                         const struct sql_options *options, struct sql_with_parameters *r)
{
    uint32_t at;

    begin(p);
    if (!scan(p, text, options) || token(p, 0)->kind != K_SELECT)
        return false;
    at = behind_names(p, 1);
    if (at == 0 || token(p, at)->kind != K_FROM)
        return false;
    at = behind_name(p, at + 1);
    if (at == 0 || token(p, at)->kind != K_WHERE || !are_conditions(p, at + 1))
        return false;
    for (uint32_t n = 0; n < at; n++)
        p->exact = p->exact && !is_cut(token(p, n));
    return take_all(p, at, text, r) && r->exact;
}

/* ---- positions ---- */

uint32_t
sql_parameters_position(const struct sql_parameter_place *places, uint16_t count, uint32_t position)
{
    uint32_t at = position - 1;

    for (uint16_t n = count; n-- > 0;) {
        const struct sql_parameter_place *place = &places[n];
        if (at >= place->parameter_start + place->parameter_len)
            return position - (place->parameter_start + place->parameter_len) + place->start +
                   place->len;
        if (at >= place->parameter_start)
            return place->start + 1;
    }
    return position;
}
