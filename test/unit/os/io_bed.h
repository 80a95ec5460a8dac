/*
 * What the tests of the I/O engine share: an engine under test, streams that record what happens
 * to them, and waiting for conditions with a deadline.
 *
 * Every test runs once on each engine; where the kernel refuses io_uring, its half is skipped.
 */
#ifndef UNIT_OS_IO_BED_H
#define UNIT_OS_IO_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "os/io.h"

struct bed {
    struct io *io;
    enum io_engine engine;
    struct io_timer poll;
    struct io_timer deadline;
    bool timed_out;
    bool (*condition)(void *ctx);
    void *condition_ctx;
};

/* A stream of the engine that keeps what it received. */
struct tape {
    struct bed *bed;
    struct io_stream *stream;
    struct buf got;
    size_t received; /* bytes, also when they are not kept */
    unsigned receives;
    unsigned drained;
    unsigned closed;
    int closed_error;
    unsigned connected;
    int connected_error;
    unsigned secured;        /* with and without an error */
    struct err secure_error; /* message "": none */
    bool echo;               /* sends back what it receives */
    bool pause_on_data;      /* pauses itself in received */
    bool close_on_data;
    struct tape *close_other; /* closed when something happens here */
    struct tape *forward_to;  /* relays instead of keeping */
};

extern const struct io_stream_ops tape_ops;

int bed_setup(void **state);
int bed_teardown(void **state);
/* Restarts the engine of the bed with other options. */
void bed_use(struct bed *bed, const struct io_options *options);

/* Runs the loop until the condition holds; fails the test when it does not within the deadline. */
void bed_until(struct bed *bed, bool (*condition)(void *ctx), void *ctx);
/* Runs the loop that long: for what must not happen meanwhile. */
void bed_run_ms(struct bed *bed, int ms);
/* Until the counter is at least so much. */
void bed_until_size(struct bed *bed, const size_t *counter, size_t at_least);
void bed_until_count(struct bed *bed, const unsigned *counter, unsigned at_least);
/* Until no stream is left, and all receive buffers are back. */
void bed_until_empty(struct bed *bed);

/* A stream on one end of a socket pair; returns the other, nonblocking end. */
int tape_open_pair(struct bed *bed, struct tape *t);
/* The same over TCP on the loopback interface. */
int tape_open_tcp(struct bed *bed, struct tape *t);
void tape_fini(struct tape *t);

void socket_pair(bool tcp, int fds_r[2]);
/* Listens on a free port of the loopback interface. */
int listen_tcp(int backlog, struct sockaddr_storage *addr_r, socklen_t *len_r);
int count_descriptors(void);
/* Writes all of it, or fails the test; for what fits into a socket. */
void put(int fd, const void *bytes, size_t len);

/* The byte at a place of a stream of test data. */
static inline uint8_t
pattern(uint64_t seed, uint64_t at)
{
    uint64_t x = (at / 8 + 1) * 0x9e3779b97f4a7c15u + seed;

    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return (uint8_t)(x >> ((at & 7) * 8));
}

/* Each test once for each engine. */
struct engine_test {
    const char *name;
    CMUnitTestFunction fn;
};
#define ENGINE_TEST(test)                                                                          \
    {                                                                                              \
        .name = #test, .fn = test                                                                  \
    }
int run_on_engines(const char *group, const struct engine_test *tests, size_t count);

#endif
