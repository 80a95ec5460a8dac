/*
 * Parameters by which a server reads literals: what a string stands for as a timestamp, an
 * interval, an amount of money is decided when a statement is parsed, and stays so in a prepared
 * statement.
 *
 * So two sessions share a prepared statement only where these are the same (lookup_meaning), and a
 * connection on which a statement may have been parsed under others is not given to anybody else.
 * In native replication what was prepared under others is not run on all nodes. Called by lookup.c,
 * statements.c, settings.c and by native replication. Source: PostgreSQL's manual, chapter "Server
 * Configuration", section "Client Connection Defaults", and "PREPARE".
 */
#include "session/internal.h"

#include "base/hash.h"
#include "base/str.h"

#include <string.h>

/* How a text is cut into words; literals of settings mean something else under another one. */
static const char *const of_texts[] = {"client_encoding", "standard_conforming_strings"};

static const char *const of_literals[] = {
    "timezone",    "datestyle", "intervalstyle", "timezone_abbreviations",
    "lc_monetary", "xmloption", "array_nulls",   "transform_null_equals"};

static bool
is_one_of(struct sql_text name, const char *const *names, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        if (name.len == strlen(names[n]) && str_equal_nocase_n(name.data, names[n], name.len))
            return true;
    }
    return false;
}

bool
settings_is_reading(struct sql_text name)
{
    return is_one_of(name, of_texts, ARRAY_LEN(of_texts));
}

bool
settings_is_of_literals(struct sql_text name)
{
    return is_one_of(name, of_literals, ARRAY_LEN(of_literals));
}

bool
settings_of_literals(const struct sql_statement *st)
{
    for (uint32_t n = 0; n < st->setting_count; n++) {
        const struct sql_text name = st->settings[n].name;
        if (name.data == NULL || settings_is_of_literals(name) || settings_is_reading(name))
            return true;
    }
    return st->kind == SQL_SET_LOCAL &&
           (settings_is_of_literals(st->name) || settings_is_reading(st->name));
}

static uint64_t
number_of(const struct session *s, bool (*counts)(struct sql_text name))
{
    const struct list *const lists[] = {&s->settings.applied, &s->settings.pending};
    uint64_t number = 0;

    for (size_t n = 0; n < ARRAY_LEN(lists); n++) {
        list_for_each (it, lists[n]) {
            const struct setting *x = list_entry(it, struct setting, link);
            const char *text = x->bytes + x->name_len;
            bool resets = x->text_len >= 5 && str_equal_nocase_n(text, "reset", 5);
            if (counts((struct sql_text){x->bytes, x->name_len}) &&
                (lists[n] != &s->settings.applied || !resets))
                number = number * 31 + hash_bytes(x->bytes, (size_t)x->name_len + x->text_len);
        }
    }
    return number;
}

uint64_t
settings_reading(const struct session *s)
{
    return number_of(s, settings_is_reading);
}

uint32_t
settings_literals(const struct session *s)
{
    return (uint32_t)number_of(s, settings_is_of_literals);
}

/* A string in whatever quotes. */
bool
settings_text_has_literals(struct sql_text text)
{
    for (uint32_t n = 0; n < text.len; n++) {
        if (text.data[n] == '\'' || (text.data[n] == '$' && n + 1 < text.len &&
                                     !(text.data[n + 1] >= '0' && text.data[n + 1] <= '9')))
            return true;
    }
    return false;
}
