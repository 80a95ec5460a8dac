/*
 * What comments say to us: where a text is to run, and whether its result is to be cached.
 *
 * Called by the scanner for every comment in slashes and stars. A comment that says nothing known
 * is a comment. Letters in either case, spaces as one likes.
 */
#include "sql/token.h"

#include "base/str.h"

#include <string.h>

enum { HINT_MAX = 64, NODE_MAX = 9999 };

/* The comment's words with one space between them, in lower case; empty when it is too long. */
static void
plain(const char *from, uint32_t len, char *to)
{
    char *begin = to;

    to[0] = '\0';
    if (len >= HINT_MAX)
        return;
    for (uint32_t n = 0; n < len; n++) {
        char c = from[n];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            if (to > begin && to[-1] != ' ')
                *to++ = ' ';
            continue;
        }
        *to++ = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    while (to > begin && to[-1] == ' ')
        to--;
    *to = '\0';
}

/* "node=2" and "node = 2" */
static bool
is_node(const char *word, uint32_t *node_r)
{
    uint32_t node = 0;

    if (strncmp(word, "node", 4) != 0)
        return false;
    word += 4;
    word += *word == ' ';
    if (*word++ != '=')
        return false;
    word += *word == ' ';
    if (*word == '\0')
        return false;
    for (; *word != '\0'; word++) {
        if (*word < '0' || *word > '9')
            return false;
        node = node * 10 + (uint32_t)(*word - '0');
        if (node > NODE_MAX)
            return false;
    }
    *node_r = node;
    return true;
}

static void
take_place(struct sql_work *w, const char *word)
{
    uint32_t node;

    word += *word == ' ';
    w->has_hint = true;
    if (w->hint != SQL_HINT_NONE)
        return;
    if (strcmp(word, "primary") == 0) {
        w->hint = SQL_HINT_PRIMARY;
    } else if (strcmp(word, "standby") == 0) {
        w->hint = SQL_HINT_STANDBY;
    } else if (is_node(word, &node)) {
        w->hint = SQL_HINT_NODE;
        w->hint_node = node;
    }
}

void
sql_hint_take(struct sql_work *w, const char *comment, uint32_t len)
{
    char text[HINT_MAX];

    if (len < 4)
        return;
    plain(comment + 2, len - 4, text);
    if (strncmp(text, "pgpool:", 7) == 0)
        take_place(w, text + 7);
    else if (strncmp(text, "pgpool :", 8) == 0)
        take_place(w, text + 8);
    else if (strcmp(text, "no load balance") == 0)
        w->no_load_balance = true;
    else if (strcmp(text, "force query cache") == 0)
        w->force_query_cache = true;
    else if (strcmp(text, "no query cache") == 0)
        w->no_query_cache = true;
}
