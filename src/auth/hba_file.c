/*
 * Files of lines of fields, and what they include.
 *
 * Called by hba.c and ident.c. Invariants: files lie within each other HBA_DEPTH_MAX deep at most,
 * which bounds the recursion, too; whatever they include from where, no more than HBA_TOTAL_MAX
 * bytes, HBA_READS_MAX files and HBA_LINES_MAX lines are looked at. Beyond that one line says so
 * and nothing more is read.
 */
#include "auth/hba_file.h"

#include "config/source.h"

#include <string.h>

struct scan {
    const struct hba_reader *reader;
    struct arena *arena;
    hba_file_line_fn *fn;
    void *ctx;
    size_t total_bytes;
    uint32_t reads;
    uint32_t lines;
    bool full; /* a bound was met: nothing more is handed over */
};

/* Where something stands. */
struct spot {
    const char *file;
    uint32_t line;
    unsigned depth;
};

struct text {
    const char *at;
    const char *end;
    uint32_t line; /* of what comes next, less one */
};

static void read_file(struct scan *s, const struct spot *from, const char *path, bool may_lack);

/* ---- handing over ---- */

static void
hand_over(struct scan *s, const struct hba_file_line *line)
{
    if (s->full)
        return;
    if (++s->lines <= HBA_LINES_MAX) {
        s->fn(s->ctx, line);
        return;
    }
    s->full = true;
    s->fn(s->ctx,
          &(struct hba_file_line){
              .file = line->file,
              .number = line->number,
              .error = arena_printf(s->arena, "there are more than %d lines", HBA_LINES_MAX)});
}

static void
fail(struct scan *s, const struct spot *at, const struct err *err)
{
    hand_over(s, &(struct hba_file_line){
                     .file = at->file,
                     .number = at->line,
                     .error = arena_strdup(s->arena, err->message),
                     .hint = err->hint[0] != '\0' ? arena_strdup(s->arena, err->hint) : NULL});
}

/* ---- texts ---- */

/* 0, 1: there is no such file, or -1. */
static int
fetch(struct scan *s, const char *path, struct buf *text, struct err *err)
{
    int rc;

    if (s->reads >= HBA_READS_MAX || s->total_bytes > HBA_TOTAL_MAX)
        return err_set(err, "54000", "too much is included: more than %d files or %d bytes",
                       HBA_READS_MAX, HBA_TOTAL_MAX);
    s->reads++;
    rc = s->reader->read(s->reader->ctx, path, text, err);
    if (rc == 0 && text->len > HBA_FILE_MAX)
        rc = err_set(err, "54000", "file \"%.300s\" is larger than %d bytes", path, HBA_FILE_MAX);
    s->total_bytes += text->len;
    return rc;
}

/* An empty buffer has no memory. */
static struct text
text_of(const struct buf *b)
{
    const char *at = b->len > 0 ? (const char *)b->data : "";

    return (struct text){at, at + b->len, 0};
}

static size_t
without_line_end(const char *at, size_t len)
{
    while (len > 0 && at[len - 1] == '\r')
        len--;
    return len;
}

/* The next logical line: those that a backslash at their end continues are one. A backslash that a
 * continued line has left in front of an empty one does not count again. */
static bool
next_line(struct text *t, struct buf *line, uint32_t *number_r)
{
    size_t joined = 0;

    if (t->at >= t->end)
        return false;
    buf_clear(line);
    *number_r = t->line + 1;
    for (;;) {
        const char *newline = memchr(t->at, '\n', (size_t)(t->end - t->at));
        const char *stop = newline != NULL ? newline : t->end;

        buf_add(line, t->at, without_line_end(t->at, (size_t)(stop - t->at)));
        t->at = newline != NULL ? newline + 1 : t->end;
        t->line++;
        if (line->len <= joined || line->data[line->len - 1] != '\\')
            return true;
        joined = --line->len;
        if (t->at >= t->end)
            return true;
    }
}

static int
check_line(struct buf *line, struct err *err)
{
    if (line->len > 0 && memchr(line->data, 0, line->len) != NULL)
        return err_set(err, "F0000", "unexpected byte 0x00");
    return 0;
}

/* ---- fields ---- */

static void
add_token(struct scan *s, struct buf *tokens, struct hba_read_token *t)
{
    struct hba_token token = {arena_strdup(s->arena, buf_cstr(&t->text)), t->quoted};

    buf_add(tokens, &token, sizeof(token));
}

static int expand_file(struct scan *s, const struct spot *at, const char *name, struct buf *tokens,
                       struct err *err);

/* Adds the tokens of a field. 0: the line has no more. */
static int
read_field(struct scan *s, const struct spot *at, struct hba_cursor *c, struct buf *tokens,
           struct err *err)
{
    struct hba_read_token t = {.text = BUF_EMPTY};
    bool any = false;
    int rc;

    do {
        rc = hba_next_token(c, &t, err);
        if (rc <= 0)
            break;
        any = true;
        if (!t.quoted && t.text.len > 1 && t.text.data[0] == '@')
            rc = expand_file(s, at, buf_cstr(&t.text) + 1, tokens, err);
        else
            add_token(s, tokens, &t);
    } while (rc >= 0 && t.comma);
    buf_free(&t.text);
    return rc < 0 ? -1 : any;
}

/* Adds all tokens of a file of names. */
static int
expand_text(struct scan *s, const struct spot *file, const struct buf *text, struct buf *tokens,
            struct err *err)
{
    struct text t = text_of(text);
    struct spot at = *file;
    struct buf line = BUF_EMPTY;
    int rc = 0;

    while (rc == 0 && next_line(&t, &line, &at.line)) {
        struct hba_cursor c = {buf_cstr(&line)};

        rc = check_line(&line, err);
        while (rc == 0 && (rc = read_field(s, &at, &c, tokens, err)) > 0)
            rc = 0;
        if (rc != 0)
            err_prefix(err, "%.300s:%u: ", at.file, at.line);
    }
    buf_free(&line);
    return rc;
}

/* Bounded: each level adds one to the depth. */
static int
expand_file(struct scan *s, const struct spot *at, const char *name, struct buf *tokens,
            struct err *err)
{
    const char *path = source_join(at->file, name, s->arena);
    struct spot inner = {path, 0, at->depth + 1};
    struct buf text = BUF_EMPTY;
    size_t before = tokens->len;
    int rc;

    if (inner.depth > HBA_DEPTH_MAX)
        return err_set(err, "54000",
                       "files stand within each other more than %d deep at \"%.300s\"",
                       HBA_DEPTH_MAX, path);
    rc = fetch(s, path, &text, err);
    if (rc > 0)
        rc = err_set(err, "58P01", "there is no file \"%.300s\"", path);
    if (rc == 0)
        rc = expand_text(s, &inner, &text, tokens, err);
    if (rc == 0 && tokens->len == before)
        rc = err_set(err, "F0000", "file \"%.300s\" holds no name", path);
    buf_free(&text);
    return rc;
}

static void
keep_field(struct scan *s, struct buf *fields, const struct buf *tokens)
{
    struct hba_field field = {arena_alloc(s->arena, tokens->len),
                              (uint32_t)(tokens->len / sizeof(struct hba_token))};

    memcpy(field.tokens, tokens->data, tokens->len);
    buf_add(fields, &field, sizeof(field));
}

static int
split_line(struct scan *s, const struct spot *at, struct buf *line, struct hba_file_line *line_r,
           struct err *err)
{
    struct hba_cursor c = {buf_cstr(line)};
    struct buf fields = BUF_EMPTY;
    struct buf tokens = BUF_EMPTY;
    int rc = check_line(line, err);

    while (rc == 0 && (rc = read_field(s, at, &c, &tokens, err)) > 0) {
        rc = 0;
        keep_field(s, &fields, &tokens);
        buf_clear(&tokens);
    }
    *line_r = (struct hba_file_line){.file = at->file, .number = at->line};
    line_r->count = (uint32_t)(fields.len / sizeof(struct hba_field));
    if (line_r->count > 0) {
        line_r->fields = arena_alloc(s->arena, fields.len);
        memcpy(line_r->fields, fields.data, fields.len);
    }
    buf_free(&fields);
    buf_free(&tokens);
    return rc;
}

/* ---- what is included ---- */

static void
include_directory(struct scan *s, const struct spot *at, const char *path)
{
    struct buf paths = BUF_EMPTY;
    struct err err;
    int rc;

    if (s->reader->list == NULL)
        rc = err_set(&err, "0A000", "include_dir cannot be used here");
    else
        rc = s->reader->list(s->reader->ctx, path, &paths, &err);
    if (rc != 0)
        fail(s, at, &err);
    for (size_t n = 0; rc == 0 && n < paths.len && !s->full;) {
        const char *one = (const char *)paths.data + n;

        n += strlen(one) + 1;
        read_file(s, at, arena_strdup(s->arena, one), false);
    }
    buf_free(&paths);
}

/* True when the line was one that includes something. */
static bool
take_include(struct scan *s, const struct spot *at, const struct hba_file_line *line)
{
    const struct hba_token *word = &line->fields[0].tokens[0];
    bool directory = hba_token_is(word, "include_dir");
    bool may_lack = hba_token_is(word, "include_if_exists");
    const char *path;
    struct err err;

    if (line->fields[0].count != 1 || (!directory && !may_lack && !hba_token_is(word, "include")))
        return false;
    if (line->count != 2 || line->fields[1].count != 1) {
        err_set(&err, "F0000", "\"%s\" is followed by one name of a %s", word->text,
                directory ? "directory" : "file");
        err_hint(&err, "A name that holds blanks or commas stands in double quotes.");
        fail(s, at, &err);
        return true;
    }
    path = source_join(at->file, line->fields[1].tokens[0].text, s->arena);
    if (directory)
        include_directory(s, at, path);
    else
        read_file(s, at, path, may_lack);
    return true;
}

static void
read_text(struct scan *s, const struct spot *file, const struct buf *text)
{
    struct text t = text_of(text);
    struct spot at = *file;
    struct buf buffer = BUF_EMPTY;
    struct hba_file_line line;
    struct err err;

    while (!s->full && next_line(&t, &buffer, &at.line)) {
        if (split_line(s, &at, &buffer, &line, &err) != 0)
            fail(s, &at, &err);
        else if (line.count > 0 && !take_include(s, &at, &line))
            hand_over(s, &line);
    }
    buf_free(&buffer);
}

/* Bounded: each level adds one to the depth. What is wrong stands where the file is included. */
static void
read_file(struct scan *s, const struct spot *from, const char *path, bool may_lack)
{
    struct spot inner = {path, 0, from->depth + 1};
    struct buf text = BUF_EMPTY;
    struct err err;
    int rc;

    if (inner.depth > HBA_DEPTH_MAX + 1) {
        err_set(&err, "54000", "files include each other more than %d deep at \"%.300s\"",
                HBA_DEPTH_MAX, path);
        fail(s, from, &err);
        return;
    }
    rc = fetch(s, path, &text, &err);
    if (rc > 0 && !may_lack)
        rc = err_set(&err, "58P01", "there is no file \"%.300s\"", path);
    if (rc < 0)
        fail(s, from, &err);
    else if (rc == 0)
        read_text(s, &inner, &text);
    buf_free(&text);
}

void
hba_file_read(const struct hba_reader *reader, const char *path, struct arena *arena,
              hba_file_line_fn *fn, void *ctx)
{
    struct scan s = {.reader = reader, .arena = arena, .fn = fn, .ctx = ctx};
    struct spot nowhere = {arena_strdup(arena, path), 0, 0};

    read_file(&s, &nowhere, nowhere.file, false);
}
