/*
 * What it costs to understand a statement: microseconds each, best of several rounds.
 *
 * "unseen": scanner, grammar, look and facts, of texts that all differ in a name; "cached": a text
 * that was seen, exactly or with another number in it. libpg_query, PostgreSQL's own parser, does
 * the same text in the same run, with the output that costs it least.
 */
#include "base/util.h"
#include "sql/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef HAVE_PG_QUERY
#include <pg_query.h>
#endif

enum { TEXTS = 16384, ROUNDS = 15, TEXT_MAX = 128 };

static const struct sql_options options = {.standard_conforming_strings = true};
static char (*texts)[TEXT_MAX];

static double
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The statement with three letters of a column's name that change, or with its number changing. */
static void
make_texts(bool same_names)
{
    for (int n = 0; n < TEXTS; n++)
        snprintf(texts[n], TEXT_MAX, "SELECT abalance FROM pgbench_accounts WHERE %c%c%c = %d;",
                 same_names ? 'a' : 'a' + n / 676 % 26, same_names ? 'i' : 'a' + n / 26 % 26,
                 same_names ? 'd' : 'a' + n % 26, same_names ? 10000 + n : 12345);
}

static double
round_of(struct sql_cache *c, bool one_text, unsigned *sum)
{
    double began = now_us();

    for (int n = 0; n < TEXTS; n++) {
        const char *text = texts[one_text ? 0 : n];
        *sum += sql_facts(c, text, strlen(text), &options)->may_write;
    }
    return (now_us() - began) / TEXTS;
}

static void
measure(const char *what, bool same_names, bool one_text, double goal)
{
    double best = 1e9;
    unsigned sum = 0;

    make_texts(same_names);
    for (int n = 0; n < ROUNDS; n++) {
        struct sql_cache *c = sql_cache_new(1 << 20);
        double us;
        if (same_names)
            round_of(c, one_text, &sum);
        us = round_of(c, one_text, &sum);
        best = MIN(best, us);
        sql_cache_free(c);
    }
    printf("%-34s %8.3f us", what, best);
    if (goal > 0)
        printf("   goal %.1f: %s", goal, best <= goal ? "reached" : "MISSED");
    printf("%s\n", sum > 0 ? "   (wrong facts)" : "");
}

static void
measure_peer(void)
{
#ifdef HAVE_PG_QUERY
    double best = 1e9;

    make_texts(false);
    for (int round = 0; round < 3; round++) {
        double began = now_us();
        for (int n = 0; n < TEXTS / 8; n++)
            pg_query_free_protobuf_parse_result(pg_query_parse_protobuf(texts[n]));
        best = MIN(best, (now_us() - began) / (TEXTS / 8));
    }
    printf("%-34s %8.3f us\n", "libpg_query (protobuf)", best);
#else
    printf("%-34s skipped: libpg_query is not installed\n", "libpg_query");
#endif
}

int
main(void)
{
    texts = malloc(TEXTS * sizeof(*texts));
    if (texts == NULL)
        return 1;
    printf("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;\n");
    measure("unseen", false, false, 2.0);
    measure("cached, the same text", true, true, 0.2);
    measure("cached, with another number", true, false, 0.2);
    measure_peer();
    free(texts);
    return 0;
}
