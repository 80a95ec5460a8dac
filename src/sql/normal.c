/*
 * Normal forms of texts (sql/normal.h).
 *
 * Called by session/ for a text that it does not know yet. Goes through the scanner's tokens once:
 * each is written to the text, and in small letters to the hash, so that blanks count for neither.
 * Invariant: of T_STRING and T_NUMBER no byte is copied, and without a good end of the scan
 * nothing.
 */
#include "sql/normal.h"

#include "base/arena.h"
#include "base/num.h"
#include "base/siphash.h"
#include "sql/token.h"

#include "gram.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 * 1024 };

struct sql_normal {
    struct sql_work work;
    void *scanner;
    struct buf text;
    struct siphash hash;
    uint32_t last_end;  /* of the token before, in the text */
    uint32_t parameter; /* the highest so far */
};

struct sql_normal *
sql_normal_new(void)
{
    struct sql_normal *n = xcalloc(1, sizeof(*n));

    n->scanner = sql_scanner_new(&n->work);
    return n;
}

void
sql_normal_free(struct sql_normal *n)
{
    if (n == NULL)
        return;
    sql_scanner_free(n->scanner);
    buf_free(&n->text);
    free(n->work.tokens);
    free(n->work.heads);
    free(n->work.marks);
    free(n);
}

/* ---- what is written ---- */

static void
hash_word(struct sql_normal *n, const char *word, size_t len)
{
    siphash_add(&n->hash, word, len);
    siphash_add(&n->hash, "", 1);
}

static void
hash_folded(struct sql_normal *n, const char *word, size_t len)
{
    char folded[64];

    for (size_t at = 0; at < len; at += sizeof(folded)) {
        size_t part = MIN(len - at, sizeof(folded));
        for (size_t i = 0; i < part; i++) {
            char c = word[at + i];
            folded[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        }
        siphash_add(&n->hash, folded, part);
    }
    siphash_add(&n->hash, "", 1);
}

/* Blanks and comments in front of a token are one blank. */
static void
separate(struct sql_normal *n, const struct sql_token *t)
{
    if (n->text.len > 0 && t->start > n->last_end)
        buf_add_u8(&n->text, ' ');
    n->last_end = t->start + t->len;
}

static void
write_token(struct sql_normal *n, const struct sql_token *t)
{
    const char *word = n->work.text + t->start;

    separate(n, t);
    buf_add(&n->text, word, t->len);
    if (t->quoted)
        hash_word(n, word, t->len);
    else
        hash_folded(n, word, t->len);
}

static void
write_constant(struct sql_normal *n, const struct sql_token *first, const struct sql_token *last)
{
    separate(n, first);
    n->last_end = last->start + last->len;
    buf_printf(&n->text, "$%u", ++n->parameter);
    hash_word(n, "$", 1);
}

static void
write_rest(struct sql_normal *n, const struct sql_token *last)
{
    buf_add_str(&n->text, ", ...");
    hash_word(n, "...", 3);
    n->last_end = last->start + last->len;
}

/* ---- what stands where ---- */

static bool
is_sign(const struct sql_work *w, const struct sql_token *t)
{
    return t->kind == T_OPERATOR && t->len == 1 &&
           (w->text[t->start] == '-' || w->text[t->start] == '+');
}

/* Does an operand end here, so that a sign behind it is an operator? */
static bool
ends_operand(const struct sql_token *t)
{
    switch (t->kind) {
    case T_STRING:
    case T_NUMBER:
    case T_PARAM:
    case T_QUOTED:
    case ')':
    case ']':
        return true;
    case T_OPERATOR:
        return false;
    default:
        return t->kind == T_NAME || (t->kind > 255 && t->category != SQL_RESERVED);
    }
}

/* Behind the constant at token `at`; 0: there is none. */
static uint32_t
constant_end(const struct sql_normal *n, uint32_t at)
{
    const struct sql_token *t = n->work.tokens;

    if (t[at].kind == T_STRING || t[at].kind == T_NUMBER)
        return at + 1;
    if (is_sign(&n->work, &t[at]) && t[at + 1].kind == T_NUMBER &&
        (at == 0 || !ends_operand(&t[at - 1])))
        return at + 2;
    return 0;
}

/* The same for what may stand in a list of values. */
static uint32_t
value_end(const struct sql_normal *n, uint32_t at)
{
    switch (n->work.tokens[at].kind) {
    case T_PARAM:
    case K_DEFAULT:
    case K_FALSE:
    case K_NULL:
    case K_TRUE:
        return at + 1;
    default:
        return constant_end(n, at);
    }
}

/* Where the list of nothing but values that begins at token `at` ends: at `close`; 0: it is none.
 */
static uint32_t
list_end(const struct sql_normal *n, uint32_t at, int close)
{
    for (;;) {
        at = value_end(n, at);
        if (at == 0)
            return 0;
        if (n->work.tokens[at].kind == close)
            return at;
        if (n->work.tokens[at++].kind != ',')
            return 0;
    }
}

/* Behind the rows that follow one that ends in front of token `at`; the same: there are none. */
static uint32_t
rows_end(const struct sql_normal *n, uint32_t at)
{
    const struct sql_token *t = n->work.tokens;

    while (t[at].kind == ',' && t[at + 1].kind == '(') {
        uint32_t close = list_end(n, at + 2, ')');
        if (close == 0)
            break;
        at = close + 1;
    }
    return at;
}

static uint32_t
write_value(struct sql_normal *n, uint32_t at)
{
    uint32_t end = constant_end(n, at);

    if (end == 0) {
        write_token(n, &n->work.tokens[at]);
        return at + 1;
    }
    write_constant(n, &n->work.tokens[at], &n->work.tokens[end - 1]);
    return end;
}

/* What stands in the parenthesis or bracket at token `at`, when that is a list of values: the first
 * one stands for all of them, whether they are constants or parameters. Returns where it ends; the
 * token behind `at` when it is none. */
static uint32_t
write_list(struct sql_normal *n, uint32_t at)
{
    const struct sql_token *t = n->work.tokens;
    uint32_t end = list_end(n, at + 1, t[at].kind == '(' ? ')' : ']');

    write_token(n, &t[at]);
    if (end == 0)
        return at + 1;
    separate(n, &t[at + 1]);
    n->last_end = t[end].start;
    buf_printf(&n->text, "$%u, ...", ++n->parameter);
    hash_word(n, "$...", 4);
    return end;
}

/* The rows behind VALUES at token `at`: the first one, and that there may be more. */
static uint32_t
write_rows(struct sql_normal *n, uint32_t at)
{
    const struct sql_token *t = n->work.tokens;
    uint32_t close = list_end(n, at + 2, ')');
    uint32_t end;

    write_token(n, &t[at++]);
    if (close == 0)
        return at;
    while (at < close)
        at = write_value(n, at);
    write_token(n, &t[at++]);
    end = rows_end(n, at);
    if (end > at)
        write_rest(n, &t[end - 1]);
    return end;
}

static bool
is_array(const struct sql_normal *n, uint32_t at)
{
    return n->work.tokens[at].kind == K_ARRAY && n->work.tokens[at + 1].kind == '[';
}

static uint32_t
write_next(struct sql_normal *n, uint32_t at)
{
    const struct sql_token *t = n->work.tokens;

    if (t[at].kind == K_VALUES && t[at + 1].kind == '(')
        return write_rows(n, at);
    if ((t[at].kind == K_IN && t[at + 1].kind == '(') || is_array(n, at)) {
        write_token(n, &t[at]);
        return write_list(n, at + 1);
    }
    return write_value(n, at);
}

/* ---- all of it ---- */

static void
find_parameters(struct sql_normal *n)
{
    n->parameter = 0;
    for (uint32_t at = 0; at < n->work.count; at++) {
        const struct sql_token *t = &n->work.tokens[at];
        uint32_t number = 0;

        for (uint32_t c = 1; t->kind == T_PARAM && c < t->len && number < 100000; c++)
            number = number * 10 + (uint32_t)(n->work.text[t->start + c] - '0');
        n->parameter = MAX(n->parameter, number);
    }
}

static void
write_all(struct sql_normal *n)
{
    uint32_t count = n->work.count;

    while (count > 0 && n->work.tokens[count - 1].kind == ';')
        count--;
    n->work.tokens[count].kind = 0;
    n->work.count = count;
    find_parameters(n);
    for (uint32_t at = 0; at < count;)
        at = write_next(n, at);
}

uint64_t
sql_normalise(struct sql_normal *n, const char *text, size_t len, const struct sql_options *options,
              struct sql_text *text_r)
{
    static const uint64_t key[2] = {0x7067706f6f6c2073, 0x746174656d656e74};
    static const char unreadable[] = "<not readable as SQL>";
    struct sql_work *w = &n->work;
    uint64_t fingerprint;

    siphash_init(&n->hash, key);
    buf_clear(&n->text);
    n->last_end = 0;
    w->text = text;
    w->len = (uint32_t)MIN(len, (size_t)TEXT_MAX + 1);
    w->standard_strings = options->standard_conforming_strings;
    w->server_version = options->server_version;
    if (len <= TEXT_MAX && sql_scan(n->scanner, w)) {
        write_all(n);
    } else {
        buf_add_str(&n->text, unreadable);
        hash_word(n, unreadable, sizeof(unreadable));
    }
    text_r->data = buf_cstr(&n->text);
    text_r->len = (uint32_t)n->text.len;
    fingerprint = siphash_result(&n->hash).a;
    return fingerprint != 0 ? fingerprint : 1;
}
