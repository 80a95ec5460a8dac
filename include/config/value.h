/*
 * Values of options: from text, to text, compared and copied, by the type of the option's row.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/err.h"
#include "config/option.h"

enum {
    VALUE_MAX = 16 * 1024,  /* bytes of one value, half as many of a list */
    VALUE_REGEX_MAX = 1024, /* bytes of one regular expression */
    VALUE_LIST_MAX = 1024,  /* texts in a list */
};

struct value_home {
    struct arena *arena;   /* what texts and lists are kept in */
    const char *directory; /* of relative paths; NULL leaves them as they are */
};

/* Sets the field from text. -1 with a message that names neither file nor option, and a hint that
 * says what would be right; the field is then as it was. */
int value_parse(const struct option *option, const char *text, const struct value_home *home,
                void *field, struct err *err);

/* Adds the value as value_parse reads it, without quotes. */
void value_print(const struct option *option, const void *field, struct buf *out);

/* Whether the file format wants quotes round it, as far as the type goes. */
bool value_is_text(const struct option *option);

bool value_equal(const struct option *option, const void *a, const void *b);

/* Copies with the texts that belong to it. */
void value_copy(const struct option *option, void *dst, const void *src, struct arena *arena);

/* Adds what values are right, for people: "1 .. 65535", "auto, io_uring or epoll". Adds nothing
 * when any text is. */
void value_print_range(const struct option *option, struct buf *out);

/* Adds what units a value may have: "ms, s, min, h, d"; nothing when it has none. */
void value_print_units(const struct option *option, struct buf *out);

/* The parts of the above for TIME, SIZE, INT, DOUBLE and MODE: src/config/number.c */
int number_parse(const struct option *option, const char *text, void *field, struct err *err);
void number_print(const struct option *option, const void *field, struct buf *out);
void number_print_range(const struct option *option, struct buf *out);

/* For LIST and REGEXES: src/config/list.c */
int list_parse(const struct option *option, const char *text, struct arena *arena,
               struct config_list *list_r, struct err *err);
void list_print(const struct option *option, const struct config_list *list, struct buf *out);
bool list_equal(const struct config_list *a, const struct config_list *b);
void list_copy(struct config_list *dst, const struct config_list *src, struct arena *arena);

/* -1 unless the text is an extended regular expression of reasonable cost. */
int regex_check(const char *pattern, struct err *err);

/* As a file has them: src/config/words.c */
/* A quoted word without its quotes and escapes, in the arena; NULL when it would hold a NUL. */
char *value_unquote(const char *quoted, size_t quoted_len, struct arena *arena);
/* Adds the text in quotes, with all that could be misread written as an escape. */
void value_quote(const char *text, struct buf *out);
/* Adds the words as a comment with lines of at most 78 columns, each behind `# `. */
void value_comment(const char *text, struct buf *out);

/* A text in quotes for a message: control characters replaced, cut when long. Adds. */
void value_quote_short(const char *text, struct buf *out);

#endif
