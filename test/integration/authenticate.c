/*
 * Asks PAM or LDAP on workers beside a loop, for test_foreign_passwords.py: parameters as
 * name=value; method=pam or ldap, times=N jobs at once, threads=N, cancel_ms and end_ms.
 *
 * Prints "yes" or "no SQLSTATE: message" for each answer, "ticks N" (turns of a timer of 10 ms
 * while the answers were awaited), and "left N": threads that had not come back within end_ms.
 */
#include "auth/ldap.h"
#include "auth/pam.h"
#include "base/num.h"
#include "os/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 10, JOBS_MAX = 64 };

struct question {
    int result;
    struct err err;
};

struct drive {
    struct io *io;
    struct worker *worker;
    struct worker_job *jobs[JOBS_MAX];
    struct question questions[JOBS_MAX];
    struct io_timer tick;
    struct io_timer cancel;
    unsigned ticks;
    unsigned awaited;
};

static int words_count;
static char **words;

static const char *
value(const char *name)
{
    size_t len = strlen(name);

    for (int n = 1; n < words_count; n++) {
        if (strncmp(words[n], name, len) == 0 && words[n][len] == '=')
            return words[n] + len + 1;
    }
    return NULL;
}

static uint32_t
number(const char *name, uint32_t preset)
{
    uint32_t result = preset;

    if (value(name) != NULL)
        num_parse_u32(value(name), &result);
    return result;
}

static void
ask(void *arg)
{
    struct question *q = arg;
    struct pam_request pam = {value("service"), value("user"), value("password"), value("rhost")};
    struct ldap_request ldap = {
        .options = {.server = value("server"),
                    .port = (uint16_t)number("port", 0),
                    .tls = number("tls", 0) != 0,
                    .scheme = value("scheme"),
                    .prefix = value("prefix"),
                    .suffix = value("suffix"),
                    .basedn = value("basedn"),
                    .binddn = value("binddn"),
                    .bindpasswd = value("bindpasswd"),
                    .searchattribute = value("searchattribute"),
                    .searchfilter = value("searchfilter"),
                    .url = value("url")},
        .user = value("user"),
        .password = value("password"),
        .timeout_ms = (int)number("timeout_ms", 10000),
    };

    q->result =
        strcmp(value("method"), "pam") == 0 ? pam_check(&pam, &q->err) : ldap_check(&ldap, &q->err);
}

static void
stop_when_all_is_said(struct drive *d)
{
    if (d->awaited == 0)
        io_stop(d->io);
}

static void
answered(void *ctx, void *arg)
{
    struct drive *d = ctx;
    struct question *q = arg;

    if (q->result == 0)
        printf("yes\n");
    else
        printf("no %s: %s\n", q->err.sqlstate, q->err.message);
    d->jobs[q - d->questions] = NULL;
    d->awaited--;
    stop_when_all_is_said(d);
}

static void
discard(void *arg)
{
    (void)arg;
}

static void
on_tick(void *ctx)
{
    struct drive *d = ctx;

    d->ticks++;
    io_timer_start(d->io, &d->tick, TICK_MS, on_tick, d);
}

static void
on_cancel(void *ctx)
{
    struct drive *d = ctx;

    for (unsigned n = 0; n < JOBS_MAX; n++) {
        if (d->jobs[n] == NULL)
            continue;
        worker_cancel(d->jobs[n]);
        printf("cancelled\n");
        d->awaited--;
    }
    stop_when_all_is_said(d);
}

static void
begin(struct drive *d)
{
    static const struct worker_call call = {ask, answered, discard};
    uint32_t times = number("times", 1);

    for (unsigned n = 0; n < times && n < JOBS_MAX; n++) {
        struct err err;

        d->jobs[n] = worker_run(d->worker, &call, &d->questions[n], d, &err);
        if (d->jobs[n] == NULL)
            printf("no %s: %s\n", err.sqlstate, err.message);
        d->awaited += d->jobs[n] != NULL;
    }
}

int
main(int argc, char **argv)
{
    static struct drive d; /* threads that were left alone may still look at it */
    struct io_options engine = {.engine = IO_ENGINE_EPOLL};
    struct err err;

    words_count = argc;
    words = argv;
    if (value("method") == NULL || value("user") == NULL || value("password") == NULL)
        return 98;
    if (io_new(&engine, &d.io, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    d.worker = worker_new(d.io, number("threads", 4), JOBS_MAX);
    begin(&d);
    io_timer_start(d.io, &d.tick, TICK_MS, on_tick, &d);
    if (value("cancel_ms") != NULL)
        io_timer_start(d.io, &d.cancel, number("cancel_ms", 0), on_cancel, &d);
    if (io_run(d.io, &err) != 0)
        fprintf(stderr, "%s\n", err.message);
    io_timer_stop(&d.tick);
    io_timer_stop(&d.cancel);
    printf("ticks %u\nleft %u\n", d.ticks, worker_free(d.worker, (int)number("end_ms", 10000)));
    io_free(d.io);
    fflush(stdout);
    _exit(0);
}
