/*
 * The runner and the surroundings without a watchdog, for test_watchdog_address.py: configured by
 * the file that the command line names, with commands on standard input:
 *
 *   up MS | keep MS     the address, for so many milliseconds from now; 0: for ever
 *   down
 *   escalate | resign
 *   quit                ends at once, with whatever is up; so does the end of the input
 *
 * What it hears is printed, an event in a line: "ended 0|1", "surroundings 0|1", "ready".
 */
#include "base/log.h"
#include "os/clock.h"
#include "watchdog/runner.h"
#include "watchdog/surroundings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    struct io *io;
    struct wd_runner *runner;
    char input[4096];
    size_t input_len;
} me;

static void
say(const char *word, bool value)
{
    printf("%s %d\n", word, value);
    fflush(stdout);
}

static void
address_ended(void *ctx UNUSED, bool done)
{
    say("ended", done);
}

static void
surroundings_changed(void *ctx UNUSED, bool are_there)
{
    say("surroundings", are_there);
}

static int64_t
until_ns(const char *ms)
{
    int64_t left = strtol(ms, NULL, 10);

    return left == 0 ? INT64_MAX : clock_boottime_ns() + left * NS_PER_MS;
}

static void
command(const char *line)
{
    struct wd_action action = {0};

    if (strncmp(line, "up ", 3) == 0)
        action = (struct wd_action){.kind = WD_DO_ADDRESS_UP, .until_ns = until_ns(line + 3)};
    else if (strncmp(line, "keep ", 5) == 0)
        action = (struct wd_action){.kind = WD_DO_ADDRESS_KEEP, .until_ns = until_ns(line + 5)};
    else if (strcmp(line, "down") == 0)
        action.kind = WD_DO_ADDRESS_DOWN;
    else if (strcmp(line, "escalate") == 0)
        action.kind = WD_DO_ESCALATE;
    else if (strcmp(line, "resign") == 0)
        action.kind = WD_DO_DE_ESCALATE;
    else
        io_stop(me.io);
    wd_runner_do(me.runner, &action);
}

static void
input(void *ctx UNUSED, int fd, unsigned events UNUSED)
{
    ssize_t got = read(fd, me.input + me.input_len, sizeof(me.input) - me.input_len);
    char *end;

    if (got <= 0) {
        io_stop(me.io);
        return;
    }
    me.input_len += (size_t)got;
    while ((end = memchr(me.input, '\n', me.input_len)) != NULL) {
        size_t len = (size_t)(end - me.input) + 1;

        *end = '\0';
        command(me.input);
        me.input_len -= len;
        memmove(me.input, me.input + len, me.input_len);
    }
}

int
main(int argc, char **argv)
{
    static const struct wd_runner_ops ops = {address_ended};
    static const struct wd_surroundings_ops surroundings_ops = {surroundings_changed};
    struct wd_surroundings *surroundings;
    struct config_report report;
    struct io_watch *watch;
    struct config *config;
    struct err err;

    config_report_init(&report);
    if (argc != 2 || config_load_file(argv[1], &config, &report) != 0 ||
        io_new(NULL, &me.io, &err) != 0)
        return 1;
    me.runner = wd_runner_new(me.io, config, &ops, NULL);
    surroundings = wd_surroundings_new(me.io, config, &surroundings_ops, NULL);
    config_free(config);
    config_report_fini(&report);
    watch = io_watch(me.io, STDIN_FILENO, IO_READABLE, input, NULL);
    puts("ready");
    fflush(stdout);
    io_run(me.io, &err);
    io_unwatch(watch);
    wd_surroundings_free(surroundings);
    wd_runner_free(me.runner);
    io_free(me.io);
    return 0;
}
