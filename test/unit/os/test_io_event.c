/*
 * Connecting, listening, watching, timers and signals of the I/O engine, and how it is chosen.
 */
#include "io_bed.h"

#include "base/arena.h"
#include "base/str.h"
#include "os/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- connecting ---------------------------------------------------------------------------- */

static void
start_connect(struct bed *bed, struct tape *t, const struct sockaddr_storage *addr, int timeout_ms)
{
    struct err err = {0};
    socklen_t len =
        addr->ss_family == AF_UNIX ? sizeof(struct sockaddr_un) : sizeof(struct sockaddr_in);

    if (bed->io == NULL)
        skip();
    t->bed = bed;
    t->stream =
        io_connect(bed->io, &(struct io_target){(const struct sockaddr *)addr, len, timeout_ms},
                   &tape_ops, t, &err);
    assert_non_null(t->stream);
    assert_int_equal(t->connected, 0);
}

static void
connect_succeeds_and_sends_what_waited(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = listen_tcp(5, &addr, &len);
    struct tape t = {0};
    char bytes[8] = {0};
    int fd;

    start_connect(bed, &t, &addr, 5000);
    io_send_copy(t.stream, "early", 5);
    bed_until_count(bed, &t.connected, 1);
    assert_int_equal(t.connected_error, 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(recv(fd, bytes, 5, MSG_WAITALL), 5);
    assert_string_equal(bytes, "early");
    put(fd, "answer", 6);
    bed_until_size(bed, &t.received, 6);
    close(fd);
    bed_until_count(bed, &t.closed, 1);
    assert_int_equal(t.connected, 1);
    tape_fini(&t);
    close(listener);
    bed_until_empty(bed);
}

static void
refused_connection_is_told(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    struct tape t = {0};

    close(listen_tcp(5, &addr, &len));
    start_connect(bed, &t, &addr, 5000);
    bed_until_count(bed, &t.connected, 1);
    assert_int_equal(t.connected_error, ECONNREFUSED);
    io_send_copy(t.stream, "lost", 4);
    bed_run_ms(bed, 3);
    assert_int_equal(t.closed, 0);
    tape_fini(&t);
    bed_until_empty(bed);
}

/* A listener whose backlog is full drops what else arrives. */
static void
connection_times_out(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = listen_tcp(0, &addr, &len);
    struct tape fill[3] = {0};
    struct tape t = {0};
    int64_t began_ns;

    for (int n = 0; n < 3; n++)
        start_connect(bed, &fill[n], &addr, 0);
    bed_until_count(bed, &fill[0].connected, 1);
    bed_run_ms(bed, 5);
    began_ns = io_now_ns(bed->io);
    start_connect(bed, &t, &addr, 60);
    bed_until_count(bed, &t.connected, 1);
    assert_int_equal(t.connected_error, ETIMEDOUT);
    assert_true(io_now_ns(bed->io) - began_ns >= 60 * NS_PER_MS);
    tape_fini(&t);
    for (int n = 0; n < 3; n++)
        tape_fini(&fill[n]);
    close(listener);
    bed_until_empty(bed);
}

static void
unix_address(struct sockaddr_storage *addr, const char *name)
{
    struct sockaddr_un *un = (struct sockaddr_un *)addr;

    memset(addr, 0, sizeof(*addr));
    un->sun_family = AF_UNIX;
    /* The abstract name space: nothing to clean up. */
    snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "pgpool-test-%s-%d", name, (int)getpid());
}

struct waiting {
    const struct tape *tapes;
    unsigned at_least;
};

/* Which of them gets the free place is not promised. */
static bool
so_many_connected(void *ctx)
{
    const struct waiting *w = ctx;

    return w->tapes[0].connected + w->tapes[1].connected + w->tapes[2].connected >= w->at_least;
}

static void
unix_connections_wait_for_a_full_backlog(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct tape t[4] = {0};
    struct tape late = {0};
    struct waiting waiting = {.tapes = t};
    int fds[3];

    unix_address(&addr, "backlog");
    start_connect(bed, &late, &addr, 1000);
    bed_until_count(bed, &late.connected, 1);
    assert_int_equal(late.connected_error, ECONNREFUSED);
    tape_fini(&late);

    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(struct sockaddr_un)), 0);
    assert_int_equal(listen(listener, 0), 0);
    for (int n = 0; n < 4; n++)
        start_connect(bed, &t[n], &addr, n == 3 ? 40 : 0);
    bed_until_count(bed, &t[3].connected, 1);
    assert_int_equal(t[3].connected_error, ETIMEDOUT);
    assert_int_equal(t[0].connected, 1);
    assert_int_equal(t[2].connected, 0);
    for (unsigned n = 0; n < 3; n++) {
        waiting.at_least = n + 1;
        bed_until(bed, so_many_connected, &waiting);
        fds[n] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fds[n] >= 0);
        close(fds[n]);
    }
    for (int n = 0; n < 3; n++)
        assert_int_equal(t[n].connected_error, 0);
    for (int n = 0; n < 4; n++)
        tape_fini(&t[n]);
    close(listener);
    bed_until_empty(bed);
}

/* At once, with its result waiting, and while the answer is out. */
static void
closing_while_connecting_tells_nothing(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = listen_tcp(0, &addr, &len);
    struct tape t[6] = {0};

    for (int n = 0; n < 2; n++) {
        start_connect(bed, &t[n], &addr, 1000);
        io_stream_close(t[n].stream, n == 1);
        t[n].stream = NULL;
    }
    bed_until_empty(bed);
    assert_int_equal(t[0].connected + t[1].connected, 0);
    for (int n = 2; n < 6; n++)
        start_connect(bed, &t[n], &addr, 1000);
    bed_run_ms(bed, 5);
    assert_int_equal(t[5].connected, 0);
    for (int n = 2; n < 6; n++)
        tape_fini(&t[n]);
    bed_until_empty(bed);
    bed_run_ms(bed, 5);
    assert_int_equal(t[5].connected, 0);
    close(listener);
}

/* ---- listening ----------------------------------------------------------------------------- */

struct door {
    struct io_listener *listener;
    unsigned accepted;
    unsigned failed;
    int error;
    unsigned pause_at;
    unsigned close_at;
};

static void
on_accepted(void *ctx, int fd, int error)
{
    struct door *d = ctx;

    assert_non_null(d->listener);
    if (error != 0) {
        assert_int_equal(fd, -1);
        d->failed++;
        d->error = error;
        return;
    }
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    close(fd);
    d->accepted++;
    if (d->accepted == d->pause_at)
        io_listener_pause(d->listener);
    if (d->accepted == d->close_at) {
        io_listener_close(d->listener);
        d->listener = NULL;
    }
}

static void
knock(const struct sockaddr_storage *addr, socklen_t len, int *fds, int count)
{
    for (int n = 0; n < count; n++) {
        fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[n], (const struct sockaddr *)addr, len), 0);
    }
}

static void
hang_up(const int *fds, int count)
{
    for (int n = 0; n < count; n++)
        close(fds[n]);
}

static void
listener_pauses_and_resumes(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    int fd = listen_tcp(64, &addr, &len);
    struct door d = {.pause_at = 5};
    int fds[40];

    if (bed->io == NULL)
        skip();
    d.listener = io_listen(bed->io, fd, on_accepted, &d);
    knock(&addr, len, fds, 40);
    bed_until_count(bed, &d.accepted, 5);
    bed_run_ms(bed, 10);
    assert_true(d.accepted <= 6);
    io_listener_resume(d.listener);
    bed_until_count(bed, &d.accepted, 40);
    io_listener_pause(d.listener);
    io_listener_resume(d.listener);
    hang_up(fds, 40);
    knock(&addr, len, fds, 3);
    bed_until_count(bed, &d.accepted, 43);
    assert_int_equal(d.failed, 0);
    hang_up(fds, 3);
    io_listener_close(d.listener);
    bed_run_ms(bed, 1);
    close(fd);
}

struct pair {
    struct io_listener *listeners[2];
    unsigned accepted;
};

static void
on_accepted_by_pair(void *ctx, int fd, int error)
{
    struct pair *p = ctx;

    assert_int_equal(error, 0);
    close(fd);
    p->accepted++;
    for (int n = 0; n < 2; n++)
        io_listener_pause(p->listeners[n]);
}

static bool
is_quiet(void *ctx)
{
    return io_listener_is_quiet(ctx);
}

/* Whoever the kernel has woken for a client takes him: nobody else hears of him. */
static void
paused_listener_passes_nobody_over(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr[2];
    socklen_t len[2];
    struct pair p = {.accepted = 0};
    int fds[2];
    int clients[4];

    if (bed->io == NULL)
        skip();
    for (int n = 0; n < 2; n++) {
        fds[n] = listen_tcp(64, &addr[n], &len[n]);
        p.listeners[n] = io_listen(bed->io, fds[n], on_accepted_by_pair, &p);
    }
    bed_run_ms(bed, 5);
    for (int n = 0; n < 2; n++) {
        assert_false(io_listener_is_quiet(p.listeners[n]));
        knock(&addr[n], len[n], clients + n, 1);
    }
    bed_until_count(bed, &p.accepted, 2);
    for (int n = 0; n < 2; n++)
        bed_until(bed, is_quiet, p.listeners[n]);
    for (int n = 0; n < 2; n++) {
        assert_true(io_listener_is_quiet(p.listeners[n]));
        knock(&addr[n], len[n], clients + 2 + n, 1);
    }
    bed_run_ms(bed, 5);
    assert_int_equal(p.accepted, 2);
    hang_up(clients, 4);
    for (int n = 0; n < 2; n++)
        io_listener_close(p.listeners[n]);
    bed_run_ms(bed, 1);
    close(fds[0]);
    close(fds[1]);
}

enum { CROWD = 300 };

struct crowd {
    struct io_listener *listener;
    struct io_watch *watches[CROWD];
    unsigned seen;
    unsigned accepted;
};

static void
on_accepted_in_crowd(void *ctx, int fd, int error)
{
    struct crowd *c = ctx;

    assert_int_equal(error, 0);
    close(fd);
    c->accepted++;
}

static void
on_crowd(void *ctx, int fd, unsigned events)
{
    struct crowd *c = ctx;

    (void)events;
    event_clear(fd);
    c->seen++;
    io_listener_pause(c->listener);
}

/* Also when his word comes last of so many that one wait does not bring all. */
static void
paused_listener_passes_nobody_over_in_a_crowd(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    struct crowd c = {.seen = 0};
    int fd = listen_tcp(64, &addr, &len);
    int fds[CROWD];
    int client;
    struct err err;

    if (bed->io == NULL)
        skip();
    c.listener = io_listen(bed->io, fd, on_accepted_in_crowd, &c);
    for (int n = 0; n < CROWD; n++) {
        assert_int_equal(event_new(&fds[n], &err), 0);
        c.watches[n] = io_watch(bed->io, fds[n], IO_READABLE, on_crowd, &c);
    }
    bed_run_ms(bed, 5);
    for (int n = 0; n < CROWD; n++)
        event_raise(fds[n]);
    knock(&addr, len, &client, 1);
    bed_until_count(bed, &c.seen, CROWD);
    bed_until_count(bed, &c.accepted, 1);
    bed_until(bed, is_quiet, c.listener);
    assert_int_equal(c.accepted, 1);
    hang_up(&client, 1);
    io_listener_close(c.listener);
    for (int n = 0; n < CROWD; n++)
        io_unwatch(c.watches[n]);
    bed_run_ms(bed, 1);
    hang_up(fds, CROWD);
    close(fd);
}

static void
closed_listener_accepts_no_more(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    int fd = listen_tcp(64, &addr, &len);
    struct door d = {.close_at = 3};
    int fds[10];

    if (bed->io == NULL)
        skip();
    d.listener = io_listen(bed->io, fd, on_accepted, &d);
    knock(&addr, len, fds, 10);
    bed_until_count(bed, &d.accepted, 3);
    bed_run_ms(bed, 5);
    assert_int_equal(d.accepted, 3);
    hang_up(fds, 10);
    close(fd);
}

static void
listener_survives_lack_of_descriptors(void **state)
{
    struct bed *bed = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    int fd = listen_tcp(8, &addr, &len);
    struct door d = {0};
    struct rlimit old;
    struct rlimit tight;
    int fds[1];
    int64_t began_ns;

    if (bed->io == NULL)
        skip();
    knock(&addr, len, fds, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)fds[0] + 1;
    /* Numbers below the last one may be free: fill them. */
    for (int filler = dup(fds[0]); filler < fds[0]; filler = dup(fds[0]))
        assert_true(filler >= 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    d.listener = io_listen(bed->io, fd, on_accepted, &d);
    bed_until_count(bed, &d.failed, 1);
    began_ns = io_now_ns(bed->io);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(d.error, EMFILE);
    assert_int_equal(d.accepted, 0);
    bed_until_count(bed, &d.accepted, 1);
    assert_true(io_now_ns(bed->io) - began_ns >= 50 * NS_PER_MS);
    hang_up(fds, 1);
    io_listener_close(d.listener);
    close(fd);
}

/* ---- watching ------------------------------------------------------------------------------ */

struct eye {
    struct io_watch *watch;
    unsigned seen;
    unsigned readable;
    unsigned writable;
    unsigned close_at;
};

static void
on_watch(void *ctx, int fd, unsigned events)
{
    struct eye *e = ctx;

    assert_non_null(e->watch);
    e->seen++;
    e->readable += (events & IO_READABLE) != 0;
    e->writable += (events & IO_WRITABLE) != 0;
    if (e->seen == e->close_at) {
        io_unwatch(e->watch);
        e->watch = NULL;
        close(fd);
    }
}

static void
watch_is_level_triggered(void **state)
{
    struct bed *bed = *state;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct eye e = {0};
    uint64_t value = 1;

    if (bed->io == NULL)
        skip();
    e.watch = io_watch(bed->io, fd, IO_READABLE, on_watch, &e);
    bed_run_ms(bed, 3);
    assert_int_equal(e.seen, 0);
    assert_int_equal(write(fd, &value, sizeof(value)), sizeof(value));
    bed_until_count(bed, &e.seen, 5);
    assert_int_equal(e.writable, 0);
    assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
    bed_run_ms(bed, 1);
    e.seen = 0;
    bed_run_ms(bed, 3);
    assert_int_equal(e.seen, 0);

    io_watch_change(e.watch, IO_READABLE | IO_WRITABLE);
    bed_until_count(bed, &e.writable, 3);
    io_watch_change(e.watch, 0);
    bed_run_ms(bed, 1);
    e.seen = 0;
    assert_int_equal(write(fd, &value, sizeof(value)), sizeof(value));
    bed_run_ms(bed, 3);
    assert_int_equal(e.seen, 0);
    io_watch_change(e.watch, IO_READABLE);
    e.close_at = 2;
    bed_until_count(bed, &e.seen, 2);
    bed_run_ms(bed, 2);
    assert_int_equal(e.seen, 2);
}

static void
hang_up_counts_as_what_was_asked_for(void **state)
{
    struct bed *bed = *state;
    struct eye e = {0};
    int fds[2];

    if (bed->io == NULL)
        skip();
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    e.watch = io_watch(bed->io, fds[0], IO_READABLE, on_watch, &e);
    bed_run_ms(bed, 1);
    close(fds[1]);
    bed_until_count(bed, &e.readable, 1);
    assert_int_equal(e.writable, 0);
    io_unwatch(e.watch);
    close(fds[0]);
}

/* A number that is closed and reused while a watch on it ends. */
static void
reused_number_is_no_old_watch(void **state)
{
    struct bed *bed = *state;
    uint64_t value = 1;

    if (bed->io == NULL)
        skip();
    for (int n = 0; n < 100; n++) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        struct eye gone = {0};
        struct eye e = {0};

        gone.watch = io_watch(bed->io, fd, IO_READABLE, on_watch, &gone);
        if (n % 2 == 0)
            bed_run_ms(bed, 0);
        if (n % 4 < 2)
            assert_int_equal(write(fd, &value, sizeof(value)), sizeof(value));
        io_unwatch(gone.watch);
        gone.watch = NULL;
        close(fd);
        fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        e.watch = io_watch(bed->io, fd, IO_READABLE, on_watch, &e);
        e.close_at = 1;
        bed_until_count(bed, &e.seen, 1);
        assert_int_equal(gone.seen, 0);
    }
}

/* ---- timers -------------------------------------------------------------------------------- */

struct alarm_clock {
    struct bed *bed;
    struct io_timer timer;
    int64_t started_ns;
    int64_t fired_ns;
    int64_t delay_ms;
    unsigned fired;
    unsigned order;
    unsigned *counter;
    struct alarm_clock *stops;
    unsigned again;
};

static void
ring(void *ctx)
{
    struct alarm_clock *a = ctx;

    assert_false(io_timer_running(&a->timer));
    a->fired++;
    a->order = ++*a->counter;
    a->fired_ns = io_now_ns(a->bed->io);
    if (a->stops != NULL)
        io_timer_stop(&a->stops->timer);
    if (a->again > 0) {
        a->again--;
        io_timer_start(a->bed->io, &a->timer, a->delay_ms, ring, a);
    }
}

static void
set_alarm(struct bed *bed, struct alarm_clock *a, int64_t delay_ms, unsigned *counter)
{
    a->bed = bed;
    a->delay_ms = delay_ms;
    a->counter = counter;
    io_timer_start(bed->io, &a->timer, delay_ms, ring, a);
}

static void
timers_fire_in_order_of_time(void **state)
{
    struct bed *bed = *state;
    struct alarm_clock a[50] = {0};
    unsigned counter = 0;

    if (bed->io == NULL)
        skip();
    for (unsigned n = 0; n < 50; n++)
        set_alarm(bed, &a[n], 2 + (int64_t)(n * 17 % 50), &counter);
    for (unsigned n = 0; n < 50; n += 5)
        io_timer_stop(&a[n].timer);
    bed_until_count(bed, &counter, 40);
    bed_run_ms(bed, 3);
    assert_int_equal(counter, 40);
    for (unsigned n = 0; n < 50; n++) {
        assert_int_equal(a[n].fired, n % 5 != 0);
        for (unsigned m = 0; m < 50; m++) {
            if (a[n].fired && a[m].fired && a[n].delay_ms < a[m].delay_ms)
                assert_true(a[n].order < a[m].order);
        }
    }
}

static void
timers_restart_and_stop_each_other(void **state)
{
    struct bed *bed = *state;
    struct alarm_clock a[4] = {0};
    unsigned counter = 0;
    int64_t began_ns;

    if (bed->io == NULL)
        skip();
    bed_run_ms(bed, 0);
    began_ns = io_now_ns(bed->io);
    set_alarm(bed, &a[0], 5, &counter);
    set_alarm(bed, &a[1], 5, &counter);
    set_alarm(bed, &a[2], 3, &counter);
    a[0].stops = &a[1];
    a[1].stops = &a[0];
    set_alarm(bed, &a[2], 30, &counter);
    a[3].again = 50;
    set_alarm(bed, &a[3], 0, &counter);
    bed_until_count(bed, &a[2].fired, 1);
    assert_int_equal(a[0].fired + a[1].fired, 1);
    assert_int_equal(a[3].fired, 51);
    assert_int_equal(a[2].fired, 1);
    assert_true(a[2].fired_ns - began_ns >= 30 * NS_PER_MS);
    assert_false(io_timer_running(&a[0].timer));
    io_timer_stop(&a[0].timer);
}

/* ---- signals ------------------------------------------------------------------------------- */

static void
on_signal(void *ctx, int signo)
{
    unsigned *seen = ctx;

    *seen += signo == SIGUSR1 ? 1 : signo == SIGUSR2 ? 16 : 1000;
}

static void
signals_come_through_the_loop(void **state)
{
    struct bed *bed = *state;
    const int signals[] = {SIGUSR1, SIGUSR2, 0};
    unsigned seen = 0;
    struct err err;

    if (bed->io == NULL)
        skip();
    assert_int_equal(io_signals(bed->io, signals, on_signal, &seen, &err), 0);
    raise(SIGUSR2);
    raise(SIGUSR1);
    assert_int_equal(seen, 0);
    bed_until_count(bed, &seen, 17);
    raise(SIGUSR1);
    bed_until_count(bed, &seen, 18);
    assert_int_equal(seen, 18);
}

/* ---- choosing ------------------------------------------------------------------------------ */

static void
epoll_stands_in_where_io_uring_is_refused(void **state)
{
    const struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog prog = {ARRAY_LEN(filter), (struct sock_filter *)(uintptr_t)filter};
    const struct io_options uring = {.engine = IO_ENGINE_IO_URING};
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct io *io = NULL;
        struct err err;
        bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 &&
                  io_new(&uring, &io, &err) == -1 && io == NULL && io_new(NULL, &io, &err) == 0 &&
                  io_engine(io) == IO_ENGINE_EPOLL;

        io_free(io);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(io_engine_name(IO_ENGINE_IO_URING), "io_uring");
    assert_string_equal(io_engine_name(IO_ENGINE_EPOLL), "epoll");
    assert_string_equal(io_engine_name(IO_ENGINE_AUTO), "auto");
}

int
main(void)
{
    const struct engine_test tests[] = {
        ENGINE_TEST(connect_succeeds_and_sends_what_waited),
        ENGINE_TEST(refused_connection_is_told),
        ENGINE_TEST(connection_times_out),
        ENGINE_TEST(unix_connections_wait_for_a_full_backlog),
        ENGINE_TEST(closing_while_connecting_tells_nothing),
        ENGINE_TEST(listener_pauses_and_resumes),
        ENGINE_TEST(paused_listener_passes_nobody_over),
        ENGINE_TEST(paused_listener_passes_nobody_over_in_a_crowd),
        ENGINE_TEST(closed_listener_accepts_no_more),
        ENGINE_TEST(listener_survives_lack_of_descriptors),
        ENGINE_TEST(watch_is_level_triggered),
        ENGINE_TEST(hang_up_counts_as_what_was_asked_for),
        ENGINE_TEST(reused_number_is_no_old_watch),
        ENGINE_TEST(timers_fire_in_order_of_time),
        ENGINE_TEST(timers_restart_and_stop_each_other),
        ENGINE_TEST(signals_come_through_the_loop),
    };
    const struct CMUnitTest once[] = {
        cmocka_unit_test(epoll_stands_in_where_io_uring_is_refused),
    };

    return run_on_engines("events", tests, ARRAY_LEN(tests)) +
           cmocka_run_group_tests(once, NULL, NULL);
}
