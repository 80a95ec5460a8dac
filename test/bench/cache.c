/*
 * What the query cache costs: nanoseconds of CPU for a key, a hit, a put, best of several rounds.
 *
 * Entries of 100 bytes, 1 kB and 64 kB; hits on one entry again and again (in the CPU's cache) and
 * on all of a store of 64 MB in turn (out of memory).
 */
#include "cache/store.h"
#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7, DB = 5, TABLE = 16384 };

static struct versions *versions;
static struct store *store;
static struct buf out;

static void
open_store(void)
{
    struct store_limits limits = {
        .total_bytes = 64 << 20, .entries_max = 1000000, .entry_bytes = 400 * 1024, .owners = 8};
    struct err err;

    store_free(store);
    if (store_new(&limits, versions, &store, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

static struct cache_key
key_of(uint64_t n)
{
    static const struct cache_secret secret = {{1, 2}};
    struct cache_key_builder b;

    cache_key_begin(&b, &secret);
    cache_key_add_number(&b, CACHE_STATEMENT, n);
    return cache_key_end(&b);
}

static void
put_all(const struct cache_key *keys, uint64_t count, size_t len)
{
    struct store_facts facts = {.as_of_ns = clock_monotonic_ns()};
    void *bytes = calloc(1, len);

    read_set_init(&facts.reads, versions, DB);
    read_set_add(&facts.reads, versions, DB, TABLE);
    for (uint64_t n = 0; n < count; n++)
        store_put(store, &keys[n], &facts, bytes, len);
    free(bytes);
}

static double
time_hits(const struct cache_key *keys, uint64_t count, uint64_t times)
{
    int64_t now = clock_monotonic_ns();
    int64_t began = clock_cpu_ns();
    struct store_facts facts;
    uint64_t hits = 0;

    for (uint64_t n = 0; n < times; n++) {
        buf_clear(&out);
        hits += store_get(store, &keys[n % count], now, &out, &facts);
    }
    if (hits < times / 2)
        printf("only %llu hits of %llu\n", (unsigned long long)hits, (unsigned long long)times);
    return (double)(clock_cpu_ns() - began) / (double)times;
}

static void
measure_entries(const char *what, size_t len)
{
    uint64_t count = MIN((uint64_t)100000, (uint64_t)(40 << 20) / (len + 150));
    struct cache_key *keys = calloc(count, sizeof(*keys));
    double hot = 1e9, all = 1e9, put = 1e9;

    for (uint64_t n = 0; n < count; n++)
        keys[n] = key_of(n);
    for (int round = 0; round < ROUNDS; round++) {
        double ns;
        int64_t began;

        open_store();
        put_all(keys, count, len); /* brings the memory in */
        began = clock_cpu_ns();
        put_all(keys, count, len);
        ns = (double)(clock_cpu_ns() - began) / (double)count;
        put = MIN(put, ns);
        ns = time_hits(keys, 1, 4 * count);
        hot = MIN(hot, ns);
        ns = time_hits(keys, count, 4 * count);
        all = MIN(all, ns);
    }
    printf("%-6s  hit, same entry %8.0f ns   hit, all in turn %8.0f ns   put %8.0f ns\n", what, hot,
           all, put);
    free(keys);
}

static void
measure_key(void)
{
    static const char text[] = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
    static const struct cache_secret secret = {{1, 2}};
    struct cache_key_builder session;
    double best = 1e9;
    uint64_t sum = 0;

    cache_key_begin(&session, &secret);
    for (int n = 0; n < 12; n++) {
        cache_key_add_text(&session, CACHE_SETTING_NAME, "standard_conforming_strings");
        cache_key_add_text(&session, CACHE_SETTING, "on");
    }
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_cpu_ns();
        double ns;

        for (int n = 0; n < 100000; n++) {
            struct cache_key_builder b = session;

            cache_key_add(&b, CACHE_STATEMENT, text, sizeof(text) - 1);
            cache_key_add_value(&b, &n, sizeof(n));
            cache_key_add_number(&b, CACHE_FORM, 3);
            sum += cache_key_end(&b).a;
        }
        ns = (double)(clock_cpu_ns() - began) / 100000;
        best = MIN(best, ns);
    }
    printf("key of a statement of %zu bytes with one value: %.0f ns%s\n", sizeof(text) - 1, best,
           sum == 0 ? "!" : "");
}

int
main(void)
{
    struct err err;

    if (versions_new(8, &versions, &err) != 0)
        return 1;
    measure_key();
    measure_entries("100 B", 100);
    measure_entries("1 kB", 1000);
    measure_entries("64 kB", 65536);
    store_free(store);
    versions_free(versions);
    buf_free(&out);
    return 0;
}
