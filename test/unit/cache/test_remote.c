/*
 * Answers in memcached: what they look like, who may have made them, and a real memcached that is
 * stopped, killed, and comes back.
 */
#include "config.h"

#include "cache/remote.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct cache_secret secret = {{11, 22}};

/* ---- the value ---- */

static struct store_facts
some_facts(void)
{
    return (struct store_facts){.as_of_ns = 1234567, .note = 9, .reads = {3, {5, 66, 777}}};
}

static void
a_value_comes_back(void **state)
{
    struct cache_key key = {1, 2};
    struct store_facts facts = some_facts();
    struct store_facts got;
    struct buf answer = BUF_EMPTY;
    struct buf value = BUF_EMPTY;
    size_t at;

    (void)state;
    buf_add(&answer, "an answer", 9);
    remote_encode(&secret, &key, &facts, &answer, &value);
    assert_true(value.len <= remote_value_max(9));
    assert_true(remote_decode(&secret, &key, &value, &got, &at));
    assert_int_equal(got.as_of_ns, 1234567);
    assert_int_equal(got.note, 9);
    assert_int_equal(got.reads.n, 3);
    assert_memory_equal(got.reads.slots, facts.reads.slots, 3 * sizeof(uint32_t));
    assert_int_equal(value.len - at, 9);
    assert_memory_equal(value.data + at, "an answer", 9);
    buf_free(&answer);
    buf_free(&value);
}

static void
no_other_value_is_believed(void **state)
{
    struct cache_key key = {1, 2}, other_key = {1, 3};
    struct cache_secret other_secret = {{11, 23}};
    struct store_facts facts = some_facts();
    union {
        struct store_facts facts;
        uint8_t room[sizeof(struct store_facts) + 64];
    } too_many = {.room = {0}};
    struct store_facts got;
    struct buf answer = BUF_EMPTY;
    struct buf value = BUF_EMPTY;
    size_t at, len;

    (void)state;
    buf_add(&answer, "an answer", 9);
    remote_encode(&secret, &key, &facts, &answer, &value);
    assert_false(remote_decode(&secret, &other_key, &value, &got, &at));
    assert_false(remote_decode(&other_secret, &key, &value, &got, &at));
    for (size_t bit = 0; bit < 8 * value.len; bit++) {
        value.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(remote_decode(&secret, &key, &value, &got, &at));
        value.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(remote_decode(&secret, &key, &value, &got, &at));
    for (len = value.len; value.len > 0;) {
        value.len--;
        assert_false(remote_decode(&secret, &key, &value, &got, &at));
    }
    value.len = len;
    buf_add(&value, "x", 1);
    assert_false(remote_decode(&secret, &key, &value, &got, &at));

    /* signed, and nonsense all the same */
    too_many.facts.reads.n = READ_SET_MAX + 1;
    buf_clear(&value);
    buf_clear(&answer);
    remote_encode(&secret, &key, &too_many.facts, &answer, &value);
    assert_false(remote_decode(&secret, &key, &value, &got, &at));
    buf_free(&answer);
    buf_free(&value);
}

/* ---- the list of servers ---- */

static int
open_client(const char *servers, struct memcached_client **c_r, struct err *err)
{
    struct memcached_options options = {.servers = servers, .port = 11211, .timeout_ms = 200};

    return memcached_client_open(&options, c_r, err);
}

static void
understands_lists_of_servers(void **state)
{
    static const char *const good[] = {"localhost", "a, b ,c:1",   "127.0.0.1:11212",
                                       "[::1]",     "[::1]:11211", "/run/memcached.sock"};
    static const char *const bad[] = {"",    ",",       "a,",   "a:",     ":5",   "a:x",
                                      "a:0", "a:70000", "[::1", "[::1]x", "[]:5", " "};
    struct memcached_client *c = NULL;
    struct err err;

    (void)state;
    if (!memcached_client_is_built()) {
        assert_int_equal(open_client("localhost", &c, &err), -1);
        assert_string_equal(err.sqlstate, "0A000");
        skip();
    }
    for (size_t n = 0; n < ARRAY_LEN(good); n++) {
        assert_int_equal(open_client(good[n], &c, &err), 0);
        memcached_client_close(c);
    }
    for (size_t n = 0; n < ARRAY_LEN(bad); n++) {
        assert_int_equal(open_client(bad[n], &c, &err), -1);
        assert_string_equal(err.sqlstate, "22023");
    }
    memcached_client_close(NULL);
}

/* ---- a real one ---- */

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

static pid_t
start_memcached(uint16_t port)
{
    char text[8];
    pid_t pid;

    snprintf(text, sizeof(text), "%u", port);
    pid = fork();
    if (pid == 0) {
        execlp("memcached", "memcached", "-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-m", "8",
               "-p", text, (char *)NULL);
        _exit(127);
    }
    for (int n = 0; n < 2000 && !answers(port); n++) {
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it is there at all */
        poll(NULL, 0, 10);
    }
    return pid;
}

static void
stop_memcached(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

struct fixture {
    uint16_t ports[2];
    pid_t pids[2];
    struct memcached_client *client;
    struct buf text;
};

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err;

    *state = f;
    if (!memcached_client_is_built())
        return 0;
    for (int n = 0; n < 2; n++) {
        f->ports[n] = free_port();
        f->pids[n] = start_memcached(f->ports[n]);
        buf_printf(&f->text, "%s127.0.0.1:%u", n > 0 ? "," : "", f->ports[n]);
    }
    return open_client(buf_cstr(&f->text), &f->client, &err);
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    memcached_client_close(f->client);
    for (int n = 0; n < 2; n++) {
        if (f->pids[n] > 0)
            stop_memcached(f->pids[n]);
    }
    buf_free(&f->text);
    free(f);
    return 0;
}

static struct remote_question
question(struct fixture *f, uint64_t n)
{
    return (struct remote_question){.client = f->client,
                                    .secret = &secret,
                                    .key = {n * 0x9e3779b97f4a7c15ULL, n},
                                    .answer_max = 1000,
                                    .facts = some_facts()};
}

static enum memcached_answer
put(struct fixture *f, uint64_t n)
{
    struct remote_question q = question(f, n);

    buf_printf(&q.answer, "answer %llu", (unsigned long long)n);
    remote_put(&q);
    buf_free(&q.answer);
    return q.result;
}

/* What is found is right. */
static enum memcached_answer
get(struct fixture *f, uint64_t n)
{
    struct remote_question q = question(f, n);
    char expected[40];

    snprintf(expected, sizeof(expected), "answer %llu", (unsigned long long)n);
    memset(&q.facts, 0, sizeof(q.facts));
    remote_get(&q);
    if (q.result == MEMCACHED_DONE) {
        assert_string_equal(buf_cstr(&q.answer), expected);
        assert_int_equal(q.facts.as_of_ns, 1234567);
    } else {
        assert_int_equal(q.answer.len, 0);
    }
    if (q.result == MEMCACHED_FAILED)
        assert_string_equal(q.err.sqlstate, "58000");
    buf_free(&q.answer);
    return q.result;
}

static void
finds_what_was_put(void **state)
{
    struct fixture *f = *state;
    struct remote_question q;

    if (!memcached_client_is_built())
        skip();
    for (uint64_t n = 0; n < 50; n++) {
        assert_int_equal(get(f, n), MEMCACHED_ABSENT);
        assert_int_equal(put(f, n), MEMCACHED_DONE);
        assert_int_equal(get(f, n), MEMCACHED_DONE);
    }
    q = question(f, 7);
    remote_delete(&q);
    assert_int_equal(q.result, MEMCACHED_DONE);
    assert_int_equal(get(f, 7), MEMCACHED_ABSENT);
    q = question(f, 8);
    q.answer_max = 0;
    remote_get(&q);
    assert_int_equal(q.result, MEMCACHED_DONE); /* the rest of the room is enough */
    buf_free(&q.answer);
}

static void
others_values_are_none(void **state)
{
    struct fixture *f = *state;
    struct remote_question q = question(f, 1);
    char name[REMOTE_NAME_BYTES];
    struct buf out = BUF_EMPTY;
    struct err err;

    if (!memcached_client_is_built())
        skip();
    remote_name(&q.key, name);
    assert_int_equal(
        memcached_client_set(f->client, name, &(struct memcached_value){"anything", 8, 60}, &err),
        MEMCACHED_DONE);
    assert_int_equal(memcached_client_get(f->client, name, 8, &out, &err), MEMCACHED_DONE);
    assert_int_equal(out.len, 8);
    assert_int_equal(memcached_client_get(f->client, name, 7, &out, &err), MEMCACHED_ABSENT);
    assert_int_equal(get(f, 1), MEMCACHED_ABSENT);
    buf_free(&out);
}

/* Until it is so: a server that was dead is tried again after some time. */
static bool
becomes(struct fixture *f, enum memcached_answer wanted)
{
    for (int n = 0; n < 1500; n++) {
        if (put(f, 5) == MEMCACHED_DONE && get(f, 5) == wanted)
            return true;
        poll(NULL, 0, 20);
    }
    return false;
}

static void
dead_servers_are_misses(void **state)
{
    struct fixture *f = *state;

    if (!memcached_client_is_built())
        skip();
    for (uint64_t n = 0; n < 20; n++)
        assert_int_equal(put(f, n), MEMCACHED_DONE);
    stop_memcached(f->pids[0]);
    stop_memcached(f->pids[1]);
    f->pids[0] = f->pids[1] = 0;
    for (uint64_t n = 0; n < 20; n++)
        assert_int_not_equal(get(f, n), MEMCACHED_DONE);
    assert_int_not_equal(put(f, 1), MEMCACHED_DONE);
    for (int n = 0; n < 2; n++)
        f->pids[n] = start_memcached(f->ports[n]);
    assert_true(becomes(f, MEMCACHED_DONE));
}

static void
one_of_two_is_enough(void **state)
{
    struct fixture *f = *state;
    int found = 0;

    if (!memcached_client_is_built())
        skip();
    stop_memcached(f->pids[1]);
    f->pids[1] = 0;
    for (uint64_t n = 0; n < 20; n++) {
        for (int tries = 0; tries < 10 && put(f, n) != MEMCACHED_DONE; tries++) {
        }
        found += get(f, n) == MEMCACHED_DONE;
    }
    assert_true(found > 5);
}

/* The signal alone may come behind one more answer. */
static void
stop(pid_t pid)
{
    int status;

    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

static void
a_stopped_server_is_a_miss(void **state)
{
    struct fixture *f = *state;

    if (!memcached_client_is_built())
        skip();
    for (uint64_t n = 0; n < 5; n++)
        put(f, n);
    stop(f->pids[0]);
    stop(f->pids[1]);
    for (uint64_t n = 0; n < 5; n++)
        assert_int_not_equal(get(f, n), MEMCACHED_DONE);
    kill(f->pids[0], SIGCONT);
    kill(f->pids[1], SIGCONT);
    assert_true(becomes(f, MEMCACHED_DONE));
}

static void *
use_client(void *arg)
{
    struct fixture *f = arg;
    uint64_t first = (uint64_t)(uintptr_t)pthread_self();

    for (uint64_t n = 0; n < 200; n++) {
        if (put(f, first + n) == MEMCACHED_DONE)
            get(f, first + n);
        get(f, n);
    }
    return NULL;
}

static void
threads_do_not_mix(void **state)
{
    enum { THREADS = 20 }; /* more than there are handles kept */
    struct fixture *f = *state;
    pthread_t threads[THREADS];

    if (!memcached_client_is_built())
        skip();
    for (int n = 0; n < THREADS; n++)
        assert_int_equal(pthread_create(&threads[n], NULL, use_client, f), 0);
    for (int n = 0; n < THREADS; n++)
        pthread_join(threads[n], NULL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_comes_back),
        cmocka_unit_test(no_other_value_is_believed),
        cmocka_unit_test(understands_lists_of_servers),
        TEST(finds_what_was_put),
        TEST(others_values_are_none),
        TEST(dead_servers_are_misses),
        TEST(one_of_two_is_enough),
        TEST(a_stopped_server_is_a_miss),
        TEST(threads_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
