/*
 * Drives online recovery alone, for test_recovery_engine.py: parameters as name=value, what the
 * engine says on standard output, and "ended <result>: <words>" last. SIGTERM stops it.
 */
#include "base/arena.h"
#include "base/num.h"
#include "proc/recovery.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct drive {
    struct io *io;
    struct recovery *recovery;
    int status;
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
    return "";
}

static uint32_t
number(const char *name)
{
    uint32_t result = 0;

    num_parse_u32(value(name), &result);
    return result;
}

static void
progress(void *ctx, const char *text)
{
    (void)ctx;
    printf("%s\n", text);
    fflush(stdout);
}

static void
ended(void *ctx, enum plan_result result, const char *text)
{
    static const char *const names[] = {"done", "failed", "timed out"};
    struct drive *d = ctx;

    printf("ended %s: %s\n", names[result], text);
    d->status = (int)result;
    recovery_stop(d->recovery);
    d->recovery = NULL;
    io_stop(d->io);
}

static void
on_signal(void *ctx, int signo)
{
    struct drive *d = ctx;

    d->status = signo;
    recovery_stop(d->recovery);
    d->recovery = NULL;
    io_stop(d->io);
}

int
main(int argc, char **argv)
{
    static const struct recovery_ops ops = {progress, NULL, ended};
    struct io_options engine = {.engine = IO_ENGINE_EPOLL};
    struct drive d = {NULL, NULL, 0};
    struct dns *dns;
    struct err err;

    words_count = argc;
    words = argv;
    if (io_new(&engine, &d.io, &err) != 0 || dns_new(d.io, &dns, &err) != 0 ||
        io_signals(d.io, (const int[]){SIGTERM, 0}, on_signal, &d, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    d.recovery = recovery_start(
        d.io, dns,
        &(struct recovery_options){
            .node = {(int)number("node_id"), value("node_host"), (uint16_t)number("node_port"),
                     value("data"), value("application_name")},
            .primary = {(int)number("primary_id"), value("primary_host"),
                        (uint16_t)number("primary_port"), value("primary_data"), ""},
            .user = value("user"),
            .password = value("password"),
            .database = "postgres",
            .first_stage = value("first_stage"),
            .second_stage = value("second_stage"),
            .command = value("command"),
            .bin_directory = value("bin"),
            .timeout_ms = number("timeout_ms"),
            .rejoin = number("rejoin") != 0},
        &ops, &d);
    if (io_run(d.io, &err) != 0)
        fprintf(stderr, "%s\n", err.message);
    dns_free(dns);
    io_free(d.io);
    return d.status;
}
