/*
 * The test bed of the I/O engine; see io_bed.h.
 */
#include "io_bed.h"

#include "base/arena.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEADLINE_MS = 60000 };

/* ---- the bed ------------------------------------------------------------------------------- */

static const enum io_engine engines[] = {IO_ENGINE_IO_URING, IO_ENGINE_EPOLL};

int
bed_setup(void **state)
{
    const enum io_engine *engine = *state;
    struct bed *bed = xcalloc(1, sizeof(*bed));
    struct io_options options = {.engine = *engine};
    struct err err;

    bed->engine = *engine;
    if (io_new(&options, &bed->io, &err) != 0)
        print_message("%s\n", err.message);
    *state = bed;
    return 0;
}

int
bed_teardown(void **state)
{
    struct bed *bed = *state;

    io_free(bed->io);
    free(bed);
    return 0;
}

void
bed_use(struct bed *bed, const struct io_options *options)
{
    struct io_options o = *options;
    struct err err;

    if (bed->io == NULL)
        skip();
    io_free(bed->io);
    bed->io = NULL;
    o.engine = bed->engine;
    assert_int_equal(io_new(&o, &bed->io, &err), 0);
}

static void
on_poll(void *ctx)
{
    struct bed *bed = ctx;

    if (bed->condition(bed->condition_ctx))
        io_stop(bed->io);
    else
        io_timer_start(bed->io, &bed->poll, 1, on_poll, bed);
}

static void
on_deadline(void *ctx)
{
    struct bed *bed = ctx;

    bed->timed_out = true;
    io_stop(bed->io);
}

static void
run(struct bed *bed, int deadline_ms)
{
    struct err err = {0};

    if (bed->io == NULL)
        skip();
    bed->timed_out = false;
    io_timer_start(bed->io, &bed->deadline, deadline_ms, on_deadline, bed);
    if (io_run(bed->io, &err) != 0)
        fail_msg("%s", err.message);
    io_timer_stop(&bed->poll);
    io_timer_stop(&bed->deadline);
}

void
bed_until(struct bed *bed, bool (*condition)(void *ctx), void *ctx)
{
    if (bed->io == NULL)
        skip();
    bed->condition = condition;
    bed->condition_ctx = ctx;
    io_timer_start(bed->io, &bed->poll, 0, on_poll, bed);
    run(bed, DEADLINE_MS);
    if (bed->timed_out)
        fail_msg("waited in vain");
}

void
bed_run_ms(struct bed *bed, int ms)
{
    run(bed, ms);
}

struct count {
    const void *counter;
    size_t at_least;
};

static bool
size_reached(void *ctx)
{
    const struct count *c = ctx;

    return *(const size_t *)c->counter >= c->at_least;
}

static bool
count_reached(void *ctx)
{
    const struct count *c = ctx;

    return *(const unsigned *)c->counter >= c->at_least;
}

void
bed_until_size(struct bed *bed, const size_t *counter, size_t at_least)
{
    struct count c = {counter, at_least};

    bed_until(bed, size_reached, &c);
}

void
bed_until_count(struct bed *bed, const unsigned *counter, unsigned at_least)
{
    struct count c = {counter, at_least};

    bed_until(bed, count_reached, &c);
}

static bool
nothing_left(void *ctx)
{
    struct bed *bed = ctx;
    struct io_stats stats;

    io_get_stats(bed->io, &stats);
    return stats.streams == 0 && stats.buffers_out == 0;
}

void
bed_until_empty(struct bed *bed)
{
    bed_until(bed, nothing_left, bed);
}

int
run_on_engines(const char *group, const struct engine_test *tests, size_t count)
{
    struct CMUnitTest *all = xcalloc(count * ARRAY_LEN(engines), sizeof(*all));
    char *names = xcalloc(count * ARRAY_LEN(engines), 128);
    size_t n = 0;
    int failed;

    for (size_t t = 0; t < count; t++) {
        for (size_t e = 0; e < ARRAY_LEN(engines); e++, n++) {
            snprintf(names + n * 128, 128, "%s [%s]", tests[t].name, io_engine_name(engines[e]));
            all[n].name = names + n * 128;
            all[n].test_func = tests[t].fn;
            all[n].setup_func = bed_setup;
            all[n].teardown_func = bed_teardown;
            all[n].initial_state = (void *)(uintptr_t)&engines[e];
        }
    }
    failed = _cmocka_run_group_tests(group, all, n, NULL, NULL);
    free(all);
    free(names);
    return failed;
}

/* ---- tapes --------------------------------------------------------------------------------- */

static void
close_tape(struct tape *t)
{
    if (t != NULL && t->stream != NULL) {
        io_stream_close(t->stream, false);
        t->stream = NULL;
    }
}

static void
on_connected(void *ctx, int error)
{
    struct tape *t = ctx;

    assert_non_null(t->stream);
    t->connected++;
    t->connected_error = error;
}

static void
on_received(void *ctx, struct io_rx *rx)
{
    struct tape *t = ctx;

    assert_non_null(t->stream);
    assert_true(rx->len > 0);
    assert_int_equal(t->closed, 0);
    t->received += rx->len;
    t->receives++;
    if (t->forward_to != NULL) {
        io_send_rx(t->forward_to->stream, rx, 0, rx->len);
        if (io_is_full(t->forward_to->stream))
            io_pause(t->stream);
        return;
    }
    buf_add(&t->got, rx->data, rx->len);
    if (t->echo) {
        io_send_rx(t->stream, rx, 0, rx->len);
        if (io_is_full(t->stream))
            io_pause(t->stream);
    }
    if (t->pause_on_data)
        io_pause(t->stream);
    close_tape(t->close_other);
    if (t->close_on_data)
        close_tape(t);
}

static void
on_drained(void *ctx)
{
    struct tape *t = ctx;

    assert_non_null(t->stream);
    assert_true(io_unsent_bytes(t->stream) <= IO_LOW_WATER);
    t->drained++;
    if (t->echo)
        io_resume(t->stream);
}

static void
on_closed(void *ctx, int error)
{
    struct tape *t = ctx;

    assert_non_null(t->stream);
    t->closed++;
    t->closed_error = error;
    assert_int_equal(t->closed, 1);
    close_tape(t->close_other);
}

static void
on_secured(void *ctx, const struct err *err)
{
    struct tape *t = ctx;

    assert_non_null(t->stream);
    assert_int_equal(t->secured, 0);
    t->secured++;
    if (err != NULL)
        t->secure_error = *err;
    close_tape(t->close_other);
    if (t->close_on_data)
        close_tape(t);
}

const struct io_stream_ops tape_ops = {
    .connected = on_connected,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
    .secured = on_secured,
};

static int
open_tape(struct bed *bed, struct tape *t, bool tcp)
{
    int fds[2];

    if (bed->io == NULL)
        skip();
    socket_pair(tcp, fds);
    t->bed = bed;
    t->stream = io_stream_open(bed->io, fds[0], &tape_ops, t);
    return fds[1];
}

int
tape_open_pair(struct bed *bed, struct tape *t)
{
    return open_tape(bed, t, false);
}

int
tape_open_tcp(struct bed *bed, struct tape *t)
{
    return open_tape(bed, t, true);
}

void
tape_fini(struct tape *t)
{
    close_tape(t);
    buf_free(&t->got);
}

/* ---- sockets ------------------------------------------------------------------------------- */

int
listen_tcp(int backlog, struct sockaddr_storage *addr_r, socklen_t *len_r)
{
    struct sockaddr_in *in = (struct sockaddr_in *)addr_r;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memset(addr_r, 0, sizeof(*addr_r));
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *len_r = sizeof(*in);
    assert_int_equal(bind(fd, (struct sockaddr *)addr_r, *len_r), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)addr_r, len_r), 0);
    return fd;
}

void
socket_pair(bool tcp, int fds_r[2])
{
    struct sockaddr_storage addr;
    socklen_t len;
    int listener;

    if (!tcp) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_r),
                         0);
        return;
    }
    listener = listen_tcp(1, &addr, &len);
    fds_r[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds_r[1], (struct sockaddr *)&addr, len), 0);
    assert_int_equal(fcntl(fds_r[1], F_SETFL, O_NONBLOCK), 0);
    fds_r[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fds_r[0] >= 0);
    close(listener);
}

int
count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

void
put(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}
