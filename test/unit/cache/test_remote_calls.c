/*
 * cache/remote_calls: lookups in a memcached beside the loop; old values, stopped and dead servers,
 * cancelling, the end while calls are under way.
 */
#include "config.h"

#include "../os/io_bed.h"

#include "cache/remote_calls.h"
#include "os/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DATABASE = 5, TABLE = 77, PATIENCE_MS = 300, LOOKUPS = 40 };

static const struct cache_secret secret = {{11, 22}};

struct hall {
    struct bed *bed;
    struct versions *versions;
    struct remote_calls *calls;
    uint16_t port;
    pid_t pid;
    unsigned ended;
    unsigned found;
};

static uint16_t
free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}

static bool
answers(uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool yes = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

    close(fd);
    return yes;
}

static void
start_memcached(struct hall *h)
{
    char text[8];

    snprintf(text, sizeof(text), "%u", h->port);
    h->pid = fork();
    if (h->pid == 0) {
        execlp("memcached", "memcached", "-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-m", "8",
               "-p", text, (char *)NULL);
        _exit(127);
    }
    for (int n = 0; n < 2000 && !answers(h->port); n++) {
        assert_int_equal(waitpid(h->pid, NULL, WNOHANG), 0);
        poll(NULL, 0, 10);
    }
}

static void
kill_memcached(struct hall *h)
{
    kill(h->pid, SIGKILL);
    waitpid(h->pid, NULL, 0);
    h->pid = 0;
}

static void
set_up(struct hall *h, struct bed *bed)
{
    struct remote_calls_options o = {
        .secret = &secret, .answer_max = 1000, .patience_ms = PATIENCE_MS, .servers = "127.0.0.1"};
    struct err err;

    memset(h, 0, sizeof(*h));
    h->bed = bed;
    if (!memcached_client_is_built())
        skip();
    assert_int_equal(versions_new(4, &h->versions, &err), 0);
    h->port = free_port();
    start_memcached(h);
    o.io = h->bed->io;
    o.versions = h->versions;
    o.port = h->port;
    assert_int_equal(remote_calls_new(&o, &h->calls, &err), 0);
}

static void
tear_down(struct hall *h)
{
    assert_false(remote_calls_free(h->calls));
    if (h->pid > 0)
        kill_memcached(h);
    versions_free(h->versions);
}

static struct store_facts
facts_now(const struct hall *h)
{
    struct store_facts facts = {.as_of_ns = clock_monotonic_ns(), .note = 3};

    read_set_init(&facts.reads, h->versions, DATABASE);
    assert_true(read_set_add(&facts.reads, h->versions, DATABASE, TABLE));
    return facts;
}

static void
found(void *ctx, const struct store_facts *facts, const struct buf *answer)
{
    struct hall *h = ctx;

    assert_int_equal(facts == NULL, answer == NULL);
    if (answer != NULL) {
        assert_int_equal(facts->note, 3);
        assert_int_equal(answer->len, 9);
        assert_memory_equal(answer->data, "an answer", 9);
        h->found++;
    }
    h->ended++;
}

static void
keep(struct hall *h, uint64_t n)
{
    struct cache_key key = {n, n};
    struct store_facts facts = facts_now(h);

    remote_calls_put(h->calls, &key, &facts, "an answer", 9);
}

/* What a lookup ends with. */
static bool
get(struct hall *h, uint64_t n)
{
    struct cache_key key = {n, n};
    unsigned before = h->ended;
    unsigned had = h->found;

    assert_non_null(remote_calls_get(h->calls, &key, found, h));
    bed_until_count(h->bed, &h->ended, before + 1);
    return h->found > had;
}

static bool
becomes_found(struct hall *h, uint64_t n)
{
    for (int turn = 0; turn < 3000; turn++) { /* a busy machine */
        if (get(h, n))
            return true;
        keep(h, n);
        poll(NULL, 0, 10);
    }
    return false;
}

static void
finds_what_was_put_until_it_is_written(void **state)
{
    struct hall hall;
    struct hall *h = &hall;

    set_up(h, *state);
    assert_false(get(h, 1));
    assert_true(becomes_found(h, 1));
    versions_raise(h->versions, DATABASE, TABLE);
    assert_false(get(h, 1));
    assert_true(becomes_found(h, 1));
    versions_raise_all(h->versions);
    assert_false(get(h, 1));
    tear_down(h);
}

static void
a_dead_server_is_a_miss(void **state)
{
    struct hall hall;
    struct hall *h = &hall;

    set_up(h, *state);
    assert_true(becomes_found(h, 1));
    kill_memcached(h);
    for (int n = 0; n < 3; n++)
        assert_false(get(h, 1));
    start_memcached(h);
    assert_true(becomes_found(h, 1));
    tear_down(h);
}

/* However many ask: each ends in time, or is none from the beginning. */
static void
a_stopped_server_keeps_nobody(void **state)
{
    struct hall hall;
    struct hall *h = &hall;
    struct cache_key key = {9, 9};
    int64_t began_ns = clock_monotonic_ns();
    unsigned begun = 0;

    set_up(h, *state);
    kill(h->pid, SIGSTOP);
    for (int n = 0; n < 1000; n++)
        begun += remote_calls_get(h->calls, &key, found, h) != NULL;
    assert_in_range(begun, 1, 999);
    bed_until_count(h->bed, &h->ended, begun);
    assert_int_equal(h->found, 0);
    assert_in_range(clock_monotonic_ns() - began_ns, 0, 30 * NS_PER_S);
    kill(h->pid, SIGCONT);
    assert_true(becomes_found(h, 9));
    tear_down(h);
}

static void
those_that_are_cancelled_hear_nothing(void **state)
{
    struct hall hall;
    struct hall *h = &hall;
    struct remote_call *calls[LOOKUPS];

    set_up(h, *state);
    keep(h, 1);
    for (uint64_t n = 0; n < LOOKUPS; n++) {
        struct cache_key key = {n, n};
        calls[n] = remote_calls_get(h->calls, &key, found, h);
        assert_non_null(calls[n]);
    }
    for (int n = 0; n < LOOKUPS; n++)
        remote_call_cancel(calls[n]);
    assert_true(becomes_found(h, 1));
    h->ended = 0;
    for (uint64_t n = 0; n < LOOKUPS; n++) /* the end comes while they are under way */
        assert_non_null(remote_calls_get(h->calls, &(struct cache_key){n, n}, found, h));
    tear_down(h);
}

int
main(void)
{
    static const struct engine_test tests[] = {
        ENGINE_TEST(finds_what_was_put_until_it_is_written),
        ENGINE_TEST(a_dead_server_is_a_miss),
        ENGINE_TEST(a_stopped_server_keeps_nobody),
        ENGINE_TEST(those_that_are_cancelled_hear_nothing),
    };

    return run_on_engines("remote calls", tests, ARRAY_LEN(tests));
}
