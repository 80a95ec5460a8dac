/*
 * Our facts beside PostgreSQL's own parser (libpg_query): over every SQL file that the installed
 * PostgreSQL packages carry, and over the corpus in test/corpus. Without libpg_query, only what has
 * an expectation written beside it is checked.
 *
 * A file of the corpus has one statement a line; "--" begins a comment, "--= facts" says what is to
 * be found in the next line, for what is newer than the parser.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "judge.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_PG_QUERY
#include <pg_query.h>
#endif

#include <cmocka.h>

static bool
read_file(const char *path, struct buf *b)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    buf_clear(b);
    if (f == NULL)
        return false;
    do {
        n = fread(buf_reserve(b, 65536), 1, 65536, f);
        b->len += n;
    } while (n > 0);
    fclose(f);
    return true;
}

static void
report(const struct judge *j, const char *what)
{
    printf("%s: %u texts, %u statements compared (%u called reads), %u expectations, %u refused by "
           "PostgreSQL, %u not understood here, %u differences, %u writes called reads\n",
           what, j->texts, j->statements, j->reads, j->expectations, j->refused, j->beyond,
           j->wrong, j->cardinal);
}

/* ---- the corpus ---- */

static void
judge_corpus_file(struct judge *j, const char *path)
{
    struct buf b = BUF_EMPTY;
    const char *want = NULL;
    char *line, *end;

    assert_true(read_file(path, &b));
    buf_cstr(&b);
    for (line = (char *)b.data; line < (char *)b.data + b.len; line = end + 1) {
        end = line + strcspn(line, "\n");
        *end = '\0';
        if (strncmp(line, "--= ", 4) == 0) {
            want = line + 4;
        } else if (strncmp(line, "--", 2) != 0 && *line != '\0') {
            if (want != NULL)
                judge_expectation(j, line, want, path);
#ifdef HAVE_PG_QUERY
            else
                judge_text(j, line, path);
#endif
            want = NULL;
        }
    }
    buf_free(&b);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The files of a directory whose names end in .sql, sorted. */
static char **
sql_files(const char *directory, size_t *count_r)
{
    DIR *d = opendir(directory);
    struct dirent *e;
    char **paths = NULL;
    size_t count = 0;

    while (d != NULL && (e = readdir(d)) != NULL) {
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".sql") != 0)
            continue;
        paths = xrealloc(paths, (count + 1) * sizeof(*paths));
        len += strlen(directory) + 2;
        paths[count] = xmalloc(len);
        snprintf(paths[count++], len, "%s/%s", directory, e->d_name);
    }
    if (d != NULL)
        closedir(d);
    if (count > 0)
        qsort(paths, count, sizeof(*paths), by_name);
    *count_r = count;
    return paths;
}

static void
free_files(char **paths, size_t count)
{
    for (size_t n = 0; n < count; n++)
        free(paths[n]);
    free(paths);
}

static void
the_corpus(void **state)
{
    struct judge j = {.cache = sql_cache_new(1 << 20), .all_accepted = true};
    size_t count;
    char **paths = sql_files(CORPUS, &count);

    (void)state;
    assert_true(count > 0);
    for (size_t n = 0; n < count; n++)
        judge_corpus_file(&j, paths[n]);
    report(&j, "corpus");
    free_files(paths, count);
    sql_cache_free(j.cache);
    assert_true(j.expectations > 0);
#ifdef HAVE_PG_QUERY
    assert_true(j.statements >= 1500);
#endif
    assert_int_equal(j.cardinal, 0);
    assert_int_equal(j.wrong, 0);
}

/* ---- what the packages carry ---- */

#ifdef HAVE_PG_QUERY
/* Takes out psql's commands, and puts names where the server puts some. */
static void
preprocess(struct buf *b)
{
    struct buf out = BUF_EMPTY;
    const char *at = buf_cstr(b);

    while (*at != '\0') {
        size_t len = strcspn(at, "\n");
        if (*at != '\\') {
            for (size_t n = 0; n < len; n++) {
                if (strncmp(at + n, "@ext", 4) == 0 && strchr(at + n + 1, '@') != NULL) {
                    buf_add_str(&out, "public");
                    n = (size_t)(strchr(at + n + 1, '@') - at);
                } else {
                    buf_add_u8(&out, (uint8_t)at[n]);
                }
            }
        }
        buf_add_u8(&out, '\n');
        at += len + (at[len] == '\n');
    }
    buf_free(b);
    *b = out;
}

/* The whole text at once when it is short enough for that, and each statement by itself. */
static void
judge_sql_file(struct judge *j, const char *path)
{
    struct buf b = BUF_EMPTY;
    PgQuerySplitResult split;

    assert_true(read_file(path, &b));
    preprocess(&b);
    if (b.len < 60000)
        judge_text(j, buf_cstr(&b), path);
    split = pg_query_split_with_scanner(buf_cstr(&b));
    for (int n = 0; split.error == NULL && n < split.n_stmts; n++) {
        struct buf one = BUF_EMPTY;
        if (split.stmts[n]->stmt_len < 60000) {
            buf_add(&one, b.data + split.stmts[n]->stmt_location, (size_t)split.stmts[n]->stmt_len);
            judge_text(j, buf_cstr(&one), path);
        }
        buf_free(&one);
    }
    pg_query_free_split_result(split);
    buf_free(&b);
}

static void
files_of_the_packages(void **state)
{
    static const char *const directories[] = {
        "/usr/share/postgresql/15", "/usr/share/postgresql/15/contrib",
        "/usr/share/postgresql/15/extension", "/usr/share/postgresql-common/t/foo/foo-123",
        "/usr/share/postgresql-common/t/foo/foo-123/sql"};
    struct judge j = {.cache = sql_cache_new(1 << 20)};

    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(directories); d++) {
        size_t count;
        char **paths = sql_files(directories[d], &count);
        for (size_t n = 0; n < count; n++)
            judge_sql_file(&j, paths[n]);
        free_files(paths, count);
    }
    report(&j, "packages");
    sql_cache_free(j.cache);
    if (j.texts == 0) {
        printf("skipped: no SQL files of PostgreSQL 15 are installed\n");
        skip();
    }
    assert_int_equal(j.cardinal, 0);
    assert_int_equal(j.wrong, 0);
}
#else
static void
files_of_the_packages(void **state)
{
    (void)state;
    printf("skipped: libpg_query is not installed (libpg-query-dev)\n");
    skip();
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus),
        cmocka_unit_test(files_of_the_packages),
    };

    return cmocka_run_group_tests_name("sql/judge", tests, NULL, NULL);
}
