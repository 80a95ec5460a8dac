/*
 * The form that pool_hba.conf and pool_ident.conf have in common, which is that of PostgreSQL's
 * pg_hba.conf and pg_ident.conf (chapter "Client Authentication"): lines of fields, fields of
 * tokens between commas, quotes, comments, lines continued by a backslash, include,
 * include_if_exists, include_dir, and @file for the tokens of another file. For the files of this
 * room, but for the reader.
 *
 * Pure: whoever calls reads the files. Where we are stricter than PostgreSQL, a line has an error
 * where it would guess: quotes that nobody closes, NUL bytes, a file of names without a name.
 */
#ifndef AUTH_HBA_FILE_H
#define AUTH_HBA_FILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

enum {
    HBA_FILE_MAX = 1024 * 1024,      /* bytes of one file */
    HBA_TOTAL_MAX = 8 * 1024 * 1024, /* bytes of all that is read, also of what is read again */
    HBA_READS_MAX = 5000,            /* files, also of those read again */
    HBA_LINES_MAX = 20000,           /* lines that say something */
    HBA_TOKEN_MAX = 10000,           /* bytes of a token */
    HBA_DEPTH_MAX = 10,              /* files within files, as in PostgreSQL */
};

/* How files are read. Both may block. */
struct hba_reader {
    void *ctx;
    /* Adds the whole of a file of at most HBA_FILE_MAX bytes. 1: there is no such file; -1: err
     * says why not. */
    int (*read)(void *ctx, const char *path, struct buf *text_r, struct err *err);
    /* Adds the paths, each with its NUL, of those files of a directory whose names end in ".conf"
     * and do not begin with a dot, in the order of their bytes. NULL: nobody can. */
    int (*list)(void *ctx, const char *path, struct buf *paths_r, struct err *err);
};

struct hba_token {
    const char *text;
    bool quoted; /* it begins with a quote: keywords, @ and + mean nothing */
};

/* At least one token. */
struct hba_field {
    struct hba_token *tokens;
    uint32_t count;
};

struct hba_file_line {
    const char *file;
    uint32_t number;          /* where it begins; 0: the error is the whole file's */
    struct hba_field *fields; /* at least one, unless there is an error */
    uint32_t count;
    const char *error; /* NULL: none */
    const char *hint;  /* NULL: none */
};

/* All that is handed over lies in the arena. */
typedef void hba_file_line_fn(void *ctx, const struct hba_file_line *line);

/* Hands over each line that says something, of the file and of all that it includes, in order. */
void hba_file_read(const struct hba_reader *reader, const char *path, struct arena *arena,
                   hba_file_line_fn *fn, void *ctx);

/* Is it this word, without quotes? */
bool hba_token_is(const struct hba_token *token, const char *word);

/* A token for a message, in quotes: what no terminal shows replaced, cut when long. In the arena.
 */
const char *hba_shown(const char *text, struct arena *arena);

/* ---- for hba_file.c ---- */

/* Goes over one logical line. */
struct hba_cursor {
    const char *at; /* ends in NUL */
};

struct hba_read_token {
    struct buf text;
    bool quoted;
    bool comma; /* more of the same field follows */
};

/* 1: read; 0: the line has no more; -1: err. The text's memory is the caller's, reused. */
int hba_next_token(struct hba_cursor *c, struct hba_read_token *token_r, struct err *err);

#endif
