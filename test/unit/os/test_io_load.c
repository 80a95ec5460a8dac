/*
 * The I/O engine under load: byte-exact relaying, too few receive buffers, numbers reused at
 * once. The far ends are driven by threads with sockets of their own.
 */
#include "io_bed.h"

#include "base/arena.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef PGPOOL_SANITIZE
enum { RELAY_BYTES = 10 << 20 };
#else
enum { RELAY_BYTES = 50 << 20 };
#endif

/* Writes one pattern and expects another, in pieces of random size. */
struct end {
    int fd;
    uint64_t writes;
    uint64_t expects;
    size_t total;
    size_t written;
    size_t read;
    unsigned random;
    bool wrong;
    pthread_t thread;
    unsigned *ended;
};

static unsigned
random_up_to(struct end *e, unsigned limit)
{
    e->random = e->random * 1103515245u + 12345u;
    return (e->random >> 8) % limit + 1;
}

static void
write_some(struct end *e)
{
    uint8_t bytes[70000];
    size_t len = random_up_to(e, random_up_to(e, sizeof(bytes)));
    ssize_t n;

    len = MIN(len, e->total - e->written);
    for (size_t at = 0; at < len; at++)
        bytes[at] = pattern(e->writes, e->written + at);
    n = send(e->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        e->written += (size_t)n;
}

static bool
check_some(struct end *e)
{
    uint8_t bytes[70000];
    ssize_t n = recv(e->fd, bytes, random_up_to(e, sizeof(bytes)), MSG_DONTWAIT);

    for (ssize_t at = 0; at < n; at++) {
        if (bytes[at] != pattern(e->expects, e->read + (size_t)at)) {
            e->wrong = true;
            return false;
        }
    }
    if (n > 0)
        e->read += (size_t)n;
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void *
drive(void *ctx)
{
    struct end *e = ctx;
    bool alive = true;

    while (alive && (e->written < e->total || e->read < e->total)) {
        struct pollfd p = {e->fd, POLLIN, 0};

        if (e->written < e->total)
            p.events |= POLLOUT;
        if (poll(&p, 1, 60000) <= 0)
            break;
        if ((p.revents & POLLOUT) != 0)
            write_some(e);
        if ((p.revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            alive = check_some(e);
    }
    __atomic_add_fetch(e->ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void
start_end(struct end *e, int fd, unsigned seed, unsigned *ended)
{
    e->fd = fd;
    e->random = seed;
    e->ended = ended;
    assert_int_equal(pthread_create(&e->thread, NULL, drive, e), 0);
}

static void
finish_end(struct end *e)
{
    pthread_join(e->thread, NULL);
    assert_false(e->wrong);
    assert_int_equal(e->written, e->total);
    assert_int_equal(e->read, e->total);
    close(e->fd);
}

/* ---- relaying ------------------------------------------------------------------------------ */

struct relay_side {
    struct io_stream *stream;
    struct relay_side *other;
    unsigned turn;
};

/* Forwards in all the ways there are. */
static void
relay_received(void *ctx, struct io_rx *rx)
{
    struct relay_side *from = ctx;
    struct io_stream *to = from->other->stream;
    size_t third = rx->len / 3;

    switch (from->turn++ % 4) {
    case 0:
        io_send_copy(to, rx->data, rx->len);
        break;
    case 1:
        io_send_copy(to, rx->data, third);
        io_send_rx(to, rx, third, rx->len - third);
        break;
    case 2:
        io_send_rx(to, rx, 0, third);
        io_send_copy(to, rx->data + third, third);
        io_send_rx(to, rx, 2 * third, rx->len - 2 * third);
        break;
    default:
        io_send_rx(to, rx, 0, rx->len);
        break;
    }
    if (io_is_full(to))
        io_pause(from->stream);
}

static void
relay_drained(void *ctx)
{
    struct relay_side *s = ctx;

    io_resume(s->other->stream);
}

static void
relay_closed(void *ctx, int error)
{
    (void)ctx;
    (void)error;
}

static const struct io_stream_ops relay_ops = {
    .received = relay_received,
    .drained = relay_drained,
    .closed = relay_closed,
};

static void
relay_between(struct bed *bed, bool tcp)
{
    struct end left = {.writes = 1, .expects = 2, .total = RELAY_BYTES};
    struct end right = {.writes = 2, .expects = 1, .total = RELAY_BYTES};
    struct relay_side a = {0};
    struct relay_side b = {.other = &a};
    unsigned ended = 0;
    int fds_a[2];
    int fds_b[2];

    if (bed->io == NULL)
        skip();
    socket_pair(tcp, fds_a);
    socket_pair(tcp, fds_b);
    a.other = &b;
    a.stream = io_stream_open(bed->io, fds_a[0], &relay_ops, &a);
    b.stream = io_stream_open(bed->io, fds_b[0], &relay_ops, &b);
    start_end(&left, fds_a[1], 42, &ended);
    start_end(&right, fds_b[1], 43, &ended);
    bed_until_count(bed, &ended, 2);
    finish_end(&left);
    finish_end(&right);
    io_stream_close(a.stream, true);
    io_stream_close(b.stream, true);
    bed_until_empty(bed);
}

static void
relay_is_byte_exact_on_unix_sockets(void **state)
{
    relay_between(*state, false);
}

static void
relay_is_byte_exact_on_tcp(void **state)
{
    relay_between(*state, true);
}

/* ---- starvation ---------------------------------------------------------------------------- */

enum { STARVING = 200, STARVING_BYTES = 40000 };

/* One thread speaks for all: to each stream one pattern, and the same back. */
static void *
drive_all(void *ctx)
{
    struct end *ends = ctx;
    bool busy = true;

    while (busy) {
        struct pollfd p[STARVING];

        busy = false;
        for (int n = 0; n < STARVING; n++) {
            bool want = ends[n].read < ends[n].total && !ends[n].wrong;

            p[n].fd = want ? ends[n].fd : -1;
            p[n].events = (short)(POLLIN | (ends[n].written < ends[n].total ? POLLOUT : 0));
            busy |= want;
        }
        if (busy && poll(p, STARVING, 60000) <= 0)
            break;
        for (int n = 0; n < STARVING; n++) {
            if (p[n].fd >= 0 && (p[n].revents & POLLOUT) != 0)
                write_some(&ends[n]);
            if (p[n].fd >= 0 && (p[n].revents & POLLIN) != 0)
                check_some(&ends[n]);
        }
    }
    __atomic_store_n(ends[0].ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void
many_streams_share_few_buffers(void **state)
{
    struct bed *bed = *state;
    const struct io_options few = {.buffer_bytes = 1024, .buffer_count = 8};
    struct tape *tapes = xcalloc(STARVING, sizeof(*tapes));
    struct end *ends = xcalloc(STARVING, sizeof(*ends));
    unsigned ended = 0;
    pthread_t thread;

    bed_use(bed, &few);
    for (unsigned n = 0; n < STARVING; n++) {
        tapes[n].echo = true;
        ends[n].fd = tape_open_pair(bed, &tapes[n]);
        ends[n].writes = ends[n].expects = n;
        ends[n].total = STARVING_BYTES;
        ends[n].random = n;
        ends[n].ended = &ended;
    }
    assert_int_equal(pthread_create(&thread, NULL, drive_all, ends), 0);
    bed_until_count(bed, &ended, 1);
    pthread_join(thread, NULL);
    for (unsigned n = 0; n < STARVING; n++) {
        assert_false(ends[n].wrong);
        assert_int_equal(ends[n].read, STARVING_BYTES);
        close(ends[n].fd);
        tape_fini(&tapes[n]);
    }
    bed_until_empty(bed);
    free(tapes);
    free(ends);
}

/* ---- numbers reused at once ---------------------------------------------------------------- */

enum { STORM = 2000, AT_ONCE = 16 };

static void
check_tags(const struct tape *t, uint32_t tag)
{
    for (size_t at = 0; at + 4 <= t->got.len; at += 4) {
        uint32_t got;

        memcpy(&got, t->got.data + at, 4);
        assert_int_equal(got, tag);
    }
}

static void
storm_of_descriptors_mixes_nothing_up(void **state)
{
    struct bed *bed = *state;
    struct tape tapes[AT_ONCE] = {0};
    uint32_t tags[AT_ONCE] = {0};
    int fds[AT_ONCE];
    int before = count_descriptors();

    memset(fds, -1, sizeof(fds));
    for (uint32_t n = 0; n < STORM; n++) {
        struct tape *t = &tapes[n % AT_ONCE];
        int *fd = &fds[n % AT_ONCE];
        uint32_t words[64];

        check_tags(t, tags[n % AT_ONCE]);
        if (*fd >= 0 && n % 3 == 0)
            close(*fd);
        tape_fini(t);
        if (*fd >= 0 && n % 3 != 0)
            close(*fd);
        *t = (struct tape){.close_on_data = n % 5 == 0, .echo = n % 7 == 0};
        *fd = n % 2 == 0 ? tape_open_pair(bed, t) : tape_open_tcp(bed, t);
        tags[n % AT_ONCE] = n;
        for (size_t w = 0; w < ARRAY_LEN(words); w++)
            words[w] = n;
        put(*fd, words, sizeof(words));
        if (n % 4 == 1)
            bed_run_ms(bed, 0);
        if (n % 50 == 0)
            bed_run_ms(bed, 1);
    }
    for (int n = 0; n < AT_ONCE; n++) {
        check_tags(&tapes[n], tags[n]);
        tape_fini(&tapes[n]);
        close(fds[n]);
    }
    bed_until_empty(bed);
    assert_int_equal(count_descriptors(), before);
}

/* ---- turns --------------------------------------------------------------------------------- */

struct turns {
    struct io_timer timer;
    unsigned begun;
    unsigned when_fired; /* how many had begun then */
};

static void
turn_begins(void *ctx)
{
    struct turns *turns = ctx;

    turns->begun++;
}

static void
fired(void *ctx)
{
    struct turns *turns = ctx;

    turns->when_fired = turns->begun;
}

static void
turn_is_told_before_all_else(void **state)
{
    struct bed *bed = *state;
    struct turns turns = {0};
    unsigned begun;

    if (bed->io == NULL)
        skip();
    io_on_turn(bed->io, turn_begins, &turns);
    io_timer_start(bed->io, &turns.timer, 0, fired, &turns);
    bed_until_count(bed, &turns.when_fired, 1);
    assert_true(turns.when_fired >= 1);
    io_on_turn(bed->io, NULL, NULL);
    begun = turns.begun;
    turns.when_fired = 0;
    io_timer_start(bed->io, &turns.timer, 0, fired, &turns);
    bed_until_count(bed, &turns.when_fired, begun);
    assert_int_equal(turns.begun, begun);
}

int
main(void)
{
    const struct engine_test tests[] = {
        ENGINE_TEST(relay_is_byte_exact_on_unix_sockets),
        ENGINE_TEST(relay_is_byte_exact_on_tcp),
        ENGINE_TEST(many_streams_share_few_buffers),
        ENGINE_TEST(storm_of_descriptors_mixes_nothing_up),
        ENGINE_TEST(turn_is_told_before_all_else),
    };

    return run_on_engines("load", tests, ARRAY_LEN(tests));
}
