/*
 * A client that costs little: point reads by their key, each client's next one as soon as its
 * answer is there, in one thread.
 *
 *     reads HOST PORT USER DATABASE simple|extended|prepared CLIENTS SECONDS KEYS
 *
 * pgbench costs more than what it measures where that is a hit of the query cache. libpq logs in;
 * then bytes are written and read without it. An answer is whole with its ReadyForQuery, and is to
 * hold one row. Prints "transactions N", "rate N" and the median and the 99th percentile in ms.
 * Source: PostgreSQL's manual, chapter "Frontend/Backend Protocol".
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/num.h"
#include "base/util.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ "SELECT abalance FROM pgbench_accounts WHERE aid = "

enum { CLIENTS_MAX = 1000, ANSWER_MAX = 4096, SLOTS = 100000 };
enum way { SIMPLE, EXTENDED, PREPARED };

struct reader {
    PGconn *conn;
    int fd;
    uint32_t have;
    bool row;
    int64_t asked_ns;
    char answer[ANSWER_MAX];
};

static enum way way;
static int keys;
static uint64_t done_count, seed = 88172645463325252ULL;
static uint32_t counts[SLOTS]; /* of latencies, by microseconds */

__attribute__((format(printf, 1, 2), noreturn)) static void
give_up(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static int
next_key(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return 1 + (int)(seed % (unsigned)keys);
}

/* ---- messages ---- */

static void
add_u32(struct buf *b, uint32_t n)
{
    const uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                              (uint8_t)n};

    buf_add(b, bytes, sizeof(bytes));
}

static void
add_message(struct buf *b, char type, const void *body, size_t len)
{
    buf_add(b, &type, 1);
    add_u32(b, (uint32_t)len + 4);
    buf_add(b, body, len);
}

/* Bind of one parameter as text, Execute of all its rows. */
static void
add_run(struct buf *b, const char *name, const char *key)
{
    static const uint8_t one_text[] = {0, 0, 0, 1}, no_formats[] = {0, 0};
    static const uint8_t execute[5] = {0};
    struct buf body = BUF_EMPTY;

    buf_add(&body, "", 1);
    buf_add(&body, name, strlen(name) + 1);
    buf_add(&body, one_text, sizeof(one_text));
    add_u32(&body, (uint32_t)strlen(key));
    buf_add(&body, key, strlen(key));
    buf_add(&body, no_formats, sizeof(no_formats));
    add_message(b, 'B', body.data, body.len);
    buf_free(&body);
    add_message(b, 'D', "P", 2);
    add_message(b, 'E', execute, sizeof(execute));
    add_message(b, 'S', "", 0);
}

static void
ask(struct reader *r)
{
    static struct buf b;
    char key[16], text[128];

    buf_clear(&b);
    snprintf(key, sizeof(key), "%d", next_key());
    if (way == SIMPLE) {
        int len = snprintf(text, sizeof(text), READ "%s;", key);
        add_message(&b, 'Q', text, (size_t)len + 1);
    } else {
        static const char parse[] = "\0" READ "$1\0\0";
        if (way == EXTENDED)
            add_message(&b, 'P', parse, sizeof(parse));
        add_run(&b, way == EXTENDED ? "" : "read", key);
    }
    r->row = false;
    r->asked_ns = clock_monotonic_ns();
    if (send(r->fd, b.data, b.len, MSG_NOSIGNAL) != (ssize_t)b.len)
        give_up("send: %s", strerror(errno));
}

/* True: the answer is whole. */
static bool
hear(struct reader *r)
{
    ssize_t n = recv(r->fd, r->answer + r->have, sizeof(r->answer) - r->have, 0);
    uint32_t at = 0;
    bool ready = false;

    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        give_up("recv: %s", n == 0 ? "the connection was closed" : strerror(errno));
    r->have += (uint32_t)n;
    while (r->have - at >= 5) {
        const uint8_t *m = (const uint8_t *)r->answer + at;
        uint32_t len =
            1 + ((uint32_t)m[1] << 24 | (uint32_t)m[2] << 16 | (uint32_t)m[3] << 8 | m[4]);
        if (len > sizeof(r->answer))
            give_up("a message of %u bytes", len);
        if (r->have - at < len)
            break;
        if (m[0] == 'E')
            give_up("%.*s", (int)len - 5, r->answer + at + 5);
        r->row |= m[0] == 'D';
        ready |= m[0] == 'Z';
        at += len;
    }
    r->have -= at;
    memmove(r->answer, r->answer + at, r->have);
    if (ready && !r->row)
        give_up("an answer without its row");
    return ready;
}

/* ---- the run ---- */

static void
log_in(struct reader *r, char **arguments)
{
    const char *const names[] = {"host", "port", "user", "dbname", "sslmode", NULL};
    const char *const values[] = {arguments[0], arguments[1], arguments[2],
                                  arguments[3], "disable",    NULL};
    PGresult *result;

    r->conn = PQconnectdbParams(names, values, 0);
    if (PQstatus(r->conn) != CONNECTION_OK)
        give_up("%s", PQerrorMessage(r->conn));
    if (way == PREPARED) {
        result = PQprepare(r->conn, "read", READ "$1", 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            give_up("%s", PQerrorMessage(r->conn));
        PQclear(result);
    }
    r->fd = PQsocket(r->conn);
    if (fcntl(r->fd, F_SETFL, fcntl(r->fd, F_GETFL) | O_NONBLOCK) != 0)
        give_up("fcntl: %s", strerror(errno));
}

static void
count(struct reader *r, int64_t now_ns)
{
    int64_t us = (now_ns - r->asked_ns) / 1000;

    counts[us < SLOTS ? us : SLOTS - 1]++;
    done_count++;
}

static double
quantile_ms(double part)
{
    uint64_t left = (uint64_t)((double)done_count * part);
    int us = 0;

    while (us < SLOTS - 1 && left >= counts[us])
        left -= counts[us++];
    return us / 1000.0;
}

static void
run(struct reader *readers, int clients, int seconds)
{
    struct epoll_event events[CLIENTS_MAX];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    int64_t began_ns = clock_monotonic_ns(), end_ns = began_ns + seconds * 1000000000LL;
    int64_t now_ns = began_ns;

    for (int n = 0; n < clients; n++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &readers[n]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, readers[n].fd, &event) != 0)
            give_up("epoll_ctl: %s", strerror(errno));
        ask(&readers[n]);
    }
    while (now_ns < end_ns) {
        int found = epoll_wait(poll, events, CLIENTS_MAX, 1000);
        now_ns = clock_monotonic_ns();
        for (int n = 0; n < found; n++) {
            struct reader *r = events[n].data.ptr;
            if (hear(r)) {
                count(r, now_ns);
                ask(r);
            }
        }
    }
    close(poll);
    printf("transactions %llu\nrate %.1f\np50 %.3f\np99 %.3f\n", (unsigned long long)done_count,
           (double)done_count * 1e9 / (double)(now_ns - began_ns), quantile_ms(0.5),
           quantile_ms(0.99));
}

static int
number(const char *text, int most)
{
    int64_t n;

    if (!num_parse_i64(text, &n) || n < 1 || n > most)
        give_up("%s: not a number from 1 to %d", text, most);
    return (int)n;
}

int
main(int argc, char **argv)
{
    static const char *const ways[] = {"simple", "extended", "prepared"};
    struct reader *readers;
    int clients, seconds;

    if (argc != 9)
        give_up("usage: %s HOST PORT USER DATABASE simple|extended|prepared CLIENTS SECONDS KEYS",
                argv[0]);
    while (way < ARRAY_LEN(ways) && strcmp(argv[5], ways[way]) != 0)
        way++;
    clients = number(argv[6], CLIENTS_MAX);
    seconds = number(argv[7], 3600);
    keys = number(argv[8], INT32_MAX);
    if (way == ARRAY_LEN(ways))
        give_up("%s: not a form of the protocol", argv[5]);
    readers = xcalloc((size_t)clients, sizeof(*readers));
    for (int n = 0; n < clients; n++)
        log_in(&readers[n], argv + 1);
    run(readers, clients, seconds);
    for (int n = 0; n < clients; n++)
        close(readers[n].fd);
    free(readers);
    return 0;
}
