/*
 * Key words: from the letters of a word to its token number and category.
 *
 * Called by the scanner for every word. The index is a hash table that is filled once per
 * sql_work: no word is compared more than a few times.
 */
#include "sql/token.h"

#include "base/arena.h"

#include "gram.h"

#include <string.h>

enum { INDEX = 2048, WORD_MAX = 20 };

#define UNRESERVED SQL_UNRESERVED
#define COL_NAME SQL_COL_NAME
#define TYPE_FUNC SQL_TYPE_FUNC
#define RESERVED SQL_RESERVED
static const struct {
    char word[WORD_MAX];
    uint8_t len;
    uint8_t category;
    uint16_t token;
} keywords[] = {
    {"", 0, 0, 0},
#define SQL_KEYWORD(word, token, category) {word, sizeof(word) - 1, category, token},
#include "tables/keywords.def"
#undef SQL_KEYWORD
    /* no word of PostgreSQL's */
    {"pgpool", 6, SQL_NO_KEYWORD, K_PGPOOL},
};

static uint32_t
slot_of(const char *folded, uint32_t len)
{
    uint32_t hash = len;

    for (uint32_t n = 0; n < len; n++)
        hash = hash * 31 + (uint8_t)folded[n];
    return (hash ^ hash >> 11) % INDEX;
}

void
sql_keywords_init(struct sql_work *w)
{
    w->keywords = xcalloc(INDEX, sizeof(*w->keywords));
    for (size_t n = 1; n < ARRAY_LEN(keywords); n++) {
        uint32_t slot = slot_of(keywords[n].word, keywords[n].len);
        while (w->keywords[slot] != 0)
            slot = (slot + 1) % INDEX;
        w->keywords[slot] = (uint16_t)n;
    }
}

void
sql_keyword(const struct sql_work *w, const char *word, uint32_t len, struct sql_token *t)
{
    char folded[WORD_MAX];
    uint32_t slot;

    t->kind = T_NAME;
    t->category = SQL_NO_KEYWORD;
    if (len < 2 || len >= WORD_MAX)
        return;
    for (uint32_t n = 0; n < len; n++)
        folded[n] = (char)(word[n] >= 'A' && word[n] <= 'Z' ? word[n] + 32 : word[n]);
    for (slot = slot_of(folded, len); w->keywords[slot] != 0; slot = (slot + 1) % INDEX) {
        uint32_t n = w->keywords[slot];
        if (keywords[n].len != len || memcmp(keywords[n].word, folded, len) != 0)
            continue;
        t->kind = keywords[n].token;
        t->category = keywords[n].category;
        return;
    }
}
