/*
 * Commands: their output, their end, their deadline, and what they find when they start.
 */
#include "io_bed.h"

#include "base/arena.h"
#include "os/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What was heard of one command. */
struct heard {
    struct run *run;
    struct buf lines; /* each with a "|" behind it */
    unsigned line_count;
    unsigned ended;
    unsigned free_at_line; /* frees the run at this line; 0: never */
    bool free_at_end;
    struct run_result result;
};

static void
on_line(void *ctx, const char *text)
{
    struct heard *h = ctx;

    assert_int_equal(h->ended, 0);
    buf_printf(&h->lines, "%s|", text);
    if (++h->line_count == h->free_at_line)
        run_free(h->run);
}

static void
on_ended(void *ctx, const struct run_result *result)
{
    struct heard *h = ctx;

    h->ended++;
    assert_int_equal(h->ended, 1);
    h->result = *result;
    if (h->free_at_end) {
        run_free(h->run);
        h->run = NULL;
    }
}

static const struct run_ops heard_ops = {on_line, on_ended};

static struct bed *
bed_of(void **state)
{
    struct bed *bed = *state;

    if (bed->io == NULL)
        skip();
    return bed;
}

static void
start(struct bed *bed, struct heard *h, const struct run_options *options)
{
    struct run_options heard_by = *options;
    struct err err;

    heard_by.ops = &heard_ops;
    if (run_start(bed->io, &heard_by, h, &h->run, &err) != 0)
        fail_msg("%s", err.message);
}

static int64_t
after_ms(const struct bed *bed, int64_t ms)
{
    return io_now_ns(bed->io) + ms * NS_PER_MS;
}

static void
fini(struct heard *h)
{
    run_free(h->run);
    buf_free(&h->lines);
    errno = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Runs it to its end; the caller calls fini. */
static void
hear(struct bed *bed, struct heard *h, const struct run_options *options)
{
    start(bed, h, options);
    bed_until_count(bed, &h->ended, 1);
}

static void
assert_command_says(struct bed *bed, const char *command, const char *lines)
{
    struct run_options options = {.command = command};
    struct heard h = {0};

    hear(bed, &h, &options);
    assert_string_equal(buf_cstr(&h.lines), lines);
    assert_true(run_succeeded(&h.result));
    fini(&h);
}

static bool
is_gone(void *ctx)
{
    const pid_t *pid = ctx;
    char path[64];
    char text[256] = "";
    const char *state;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)*pid);
    file = fopen(path, "r");
    if (file == NULL)
        return true;
    if (fgets(text, sizeof(text), file) == NULL)
        text[0] = '\0';
    fclose(file);
    state = strrchr(text, ')');
    return state == NULL || state[2] == 'Z' || state[2] == 'X';
}

/* ---- output and end ---- */

static void
output_and_error_output_come_line_by_line(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "echo one; echo two >&2; echo; printf last; exit 3"};
    struct heard h = {0};
    char text[64];
    int descriptors = count_descriptors();

    hear(bed, &h, &options);
    assert_string_equal(buf_cstr(&h.lines), "one|two||last|");
    assert_int_equal(h.result.end, RUN_EXITED);
    assert_int_equal(h.result.code, 3);
    run_result_text(&h.result, text, sizeof(text));
    assert_string_equal(text, "exited with status 3");
    fini(&h);
    assert_int_equal(count_descriptors(), descriptors);
}

static void
signal_that_ended_it_is_told(void **state)
{
    struct run_options options = {.command = "kill -KILL $$"};
    struct heard h = {0};
    char text[64];

    hear(bed_of(state), &h, &options);
    assert_int_equal(h.result.end, RUN_SIGNALED);
    assert_int_equal(h.result.code, SIGKILL);
    run_result_text(&h.result, text, sizeof(text));
    assert_string_equal(text, "was ended by signal 9: Killed");
    fini(&h);
}

static void
arguments_are_no_shell_text(void **state)
{
    const char *const argv[] = {"/bin/echo", "$HOME; *", "two  spaces", NULL};
    struct run_options options = {.argv = argv};
    struct heard h = {0};

    hear(bed_of(state), &h, &options);
    assert_string_equal(buf_cstr(&h.lines), "$HOME; * two  spaces|");
    fini(&h);
}

static void
program_that_is_not_there_ends_with_words(void **state)
{
    const char *const argv[] = {"/nonexistent/program", NULL};
    struct run_options options = {.argv = argv};
    struct heard h = {0};

    hear(bed_of(state), &h, &options);
    assert_int_equal(h.result.end, RUN_EXITED);
    assert_int_equal(h.result.code, RUN_NOT_FOUND);
    assert_string_equal(buf_cstr(&h.lines),
                        "could not run \"/nonexistent/program\": No such file or directory|");
    fini(&h);
}

static void
long_lines_are_cut(void **state)
{
    struct run_options options = {
        .command = "printf '%1024d\\n%1025d\\n%100000d\\nshort\\n' 1 2 3; printf '%2000d' 4"};
    struct heard h = {0};

    hear(bed_of(state), &h, &options);
    assert_int_equal(h.line_count, 5);
    assert_int_equal(h.lines.len, 4 * (RUN_LINE_BYTES + 1) + strlen("short|"));
    assert_int_equal(h.lines.data[RUN_LINE_BYTES - 1], '1');
    assert_int_equal(h.lines.data[2 * RUN_LINE_BYTES], ' ');
    fini(&h);
}

static void
binary_is_made_printable(void **state)
{
    struct bed *bed = bed_of(state);

    assert_command_says(bed, "printf 'a\\001\\033[1m\\tb\\177\\r\\n'", "a??[1m b?|");
    assert_command_says(bed, "printf 'gr\\303\\274n \\342\\202\\254 \\360\\237\\230\\200\\n'",
                        "gr\303\274n \342\202\254 \360\237\230\200|");
    /* Latin-1, cut, overlong, surrogate, beyond Unicode, C1 control */
    assert_command_says(bed, "printf '\\374n \\342\\202\\n\\300\\257\\n\\355\\240\\200\\n'",
                        "?n ??|??|???|");
    assert_command_says(bed, "printf '\\364\\220\\200\\200\\n\\302\\233\\n\\000\\n'", "????|??|?|");
}

static void
much_output_arrives_whole(void **state)
{
    struct run_options options = {
        .command = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"};
    struct heard h = {0};

    hear(bed_of(state), &h, &options);
    assert_int_equal(h.line_count, 20000);
    assert_string_equal(buf_cstr(&h.lines) + h.lines.len - 11, "line 19999|");
    fini(&h);
}

/* ---- what it finds ---- */

static void
standard_input_is_empty_or_what_is_given(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "cat"};
    char *big = xcalloc(1, 300001);
    struct heard h = {0};
    struct heard of_big = {0};

    assert_command_says(bed, "cat; readlink /proc/self/fd/0", "/dev/null|");
    options.input = "a\nb\n";
    options.input_len = 4;
    hear(bed, &h, &options);
    assert_string_equal(buf_cstr(&h.lines), "a|b|");
    fini(&h);
    /* more than a pipe holds, and nobody reads it */
    options = (struct run_options){.command = "exit 0", .input = big, .input_len = 300000};
    hear(bed, &of_big, &options);
    assert_true(run_succeeded(&of_big.result));
    fini(&of_big);
    free(big);
}

static void
it_has_a_session_of_its_own(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {
        .command = "read pid name state parent group session rest </proc/self/stat;"
                   " echo $$ $group $session"};
    struct heard h = {0};
    char expected[64];

    hear(bed, &h, &options);
    snprintf(expected, sizeof(expected), "%d %d %d|", (int)run_pid(h.run), (int)run_pid(h.run),
             (int)run_pid(h.run));
    assert_string_equal(buf_cstr(&h.lines), expected);
    fini(&h);
}

static void
environment_is_added(void **state)
{
    const char *const environment[] = {"PGPOOL_TEST_ONE=1 2", "HOME=/nowhere", NULL};
    struct run_options options = {.command = "echo $PGPOOL_TEST_ONE $HOME; test -n \"$PATH\"",
                                  .environment = environment};
    struct heard h = {0};

    hear(bed_of(state), &h, &options);
    assert_string_equal(buf_cstr(&h.lines), "1 2 /nowhere|");
    assert_true(run_succeeded(&h.result));
    assert_null(getenv("PGPOOL_TEST_ONE"));
    fini(&h);
}

static void
no_descriptor_is_inherited(void **state)
{
    struct bed *bed = bed_of(state);
    int fd = fcntl(STDERR_FILENO, F_DUPFD, 77);
    char command[128];

    assert_true(fd >= 77);
    snprintf(command, sizeof(command),
             "for fd in 3 4 5 6 7 8 9 %d; do test ! -e /proc/$$/fd/$fd || echo $fd; done", fd);
    assert_command_says(bed, command, "");
    close(fd);
}

/* Without 32 and 33, which the C library keeps from us: they are as whoever ran this test left
 * them. */
static void
assert_ignores(struct bed *bed, bool outlives_us, uint64_t expected)
{
    struct run_options options = {.command = "grep -E 'Sig(Blk|Ign)' /proc/self/status",
                                  .outlives_us = outlives_us};
    struct heard h = {0};
    unsigned long long blocked;
    unsigned long long ignored;

    hear(bed, &h, &options);
    assert_int_equal(sscanf(buf_cstr(&h.lines), "SigBlk: %llx|SigIgn: %llx", &blocked, &ignored),
                     2);
    assert_int_equal(blocked, 0);
    assert_int_equal(ignored & ~0x180000000ULL, expected);
    fini(&h);
}

static void
signals_are_at_their_default(void **state)
{
    struct bed *bed = bed_of(state);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    sigset_t blocked;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGPIPE, &ignore, &before);
    assert_ignores(bed, false, 0);
    assert_ignores(bed, true, 1ULL << (SIGPIPE - 1));
    sigaction(SIGPIPE, &before, NULL);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
}

/* ---- bounds ---- */

static void
deadline_ends_it(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "exec tail -f /dev/null"};
    struct heard h = {0};
    char text[64];
    int64_t began_ns = io_now_ns(bed->io);

    options.deadline_ns = after_ms(bed, 300);
    hear(bed, &h, &options);
    assert_int_equal(h.result.end, RUN_TIMED_OUT);
    assert_false(run_succeeded(&h.result));
    assert_true(io_now_ns(bed->io) - began_ns >= 300 * NS_PER_MS);
    run_result_text(&h.result, text, sizeof(text));
    assert_string_equal(text, "did not end in time");
    fini(&h);
}

static void
deadline_that_is_over_ends_it_at_once(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "exec tail -f /dev/null", .deadline_ns = 1};
    struct heard h = {0};

    hear(bed, &h, &options);
    assert_int_equal(h.result.end, RUN_TIMED_OUT);
    fini(&h);
}

static void
deadline_far_away_changes_nothing(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "echo done"};
    struct heard h = {0};

    options.deadline_ns = after_ms(bed, 3600 * 1000);
    hear(bed, &h, &options);
    assert_true(run_succeeded(&h.result));
    fini(&h);
}

static void
who_ignores_sigterm_is_killed(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "trap '' TERM; echo begun; tail -f /dev/null"};
    struct heard h = {0};

    options.deadline_ns = after_ms(bed, 500);
    hear(bed, &h, &options);
    assert_int_equal(h.result.end, RUN_TIMED_OUT);
    fini(&h);
}

/* Its child ends by SIGTERM, what that has started does not. */
static void
deadline_ends_grandchildren(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command =
                                      "(trap '' TERM; exec tail -f /dev/null) & echo $!; wait"};
    struct heard h = {0};
    pid_t grandchild;

    start(bed, &h, &options);
    bed_until_count(bed, &h.line_count, 1);
    grandchild = (pid_t)strtol(buf_cstr(&h.lines), NULL, 10);
    run_free(h.run);
    bed_until(bed, is_gone, &grandchild);

    h.line_count = 0;
    buf_clear(&h.lines);
    options.deadline_ns = after_ms(bed, 500);
    hear(bed, &h, &options);
    assert_int_equal(h.result.end, RUN_TIMED_OUT);
    if (h.line_count > 0) { /* where the machine is not too slow for it */
        grandchild = (pid_t)strtol(buf_cstr(&h.lines), NULL, 10);
        bed_until(bed, is_gone, &grandchild);
    }
    fini(&h);
}

static void
what_is_left_in_the_background_lives_on(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "tail -f /dev/null & echo $!"};
    struct heard h = {0};
    pid_t left;

    options.deadline_ns = after_ms(bed, 3600 * 1000);
    hear(bed, &h, &options);
    assert_true(run_succeeded(&h.result));
    left = (pid_t)strtol(buf_cstr(&h.lines), NULL, 10);
    fini(&h);
    assert_true(left > 0);
    assert_false(is_gone(&left));
    kill(left, SIGKILL);
    bed_until(bed, is_gone, &left);
}

/* Fast, and never ending. */
static void
flood_keeps_nobody(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "yes & exec tail -f /dev/null"};
    struct heard h = {0};

    options.deadline_ns = after_ms(bed, 100);
    hear(bed, &h, &options);
    assert_int_equal(h.result.end, RUN_TIMED_OUT);
    fini(&h);
}

static void
it_may_close_its_output(void **state)
{
    struct run_options options = {.command = "exec >/dev/null 2>&1 </dev/null; exit 5"};
    struct heard h = {0};

    hear(bed_of(state), &h, &options);
    assert_int_equal(h.result.code, 5);
    fini(&h);
}

/* ---- freeing, old kernels ---- */

static bool
has_no_child(void *ctx)
{
    (void)ctx;
    errno = 0;
    return waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

static void
freeing_ends_it(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "trap '' TERM; tail -f /dev/null & echo $!; wait"};
    struct heard h = {0};
    int descriptors = count_descriptors();
    pid_t grandchild;

    start(bed, &h, &options);
    bed_until_count(bed, &h.line_count, 1);
    grandchild = (pid_t)strtol(buf_cstr(&h.lines), NULL, 10);
    run_free(h.run);
    h.run = NULL;
    bed_until(bed, is_gone, &grandchild);
    bed_until(bed, has_no_child, NULL);
    assert_int_equal(h.ended, 0);
    fini(&h);
    assert_int_equal(count_descriptors(), descriptors);
}

/* Its input ends when it is left: it goes on by itself. Freed, it ends without noticing. */
static void
held_input_ends_when_it_is_left(void **state)
{
    struct bed *bed = bed_of(state);
    char mark[] = "/tmp/pgpool-test-XXXXXX";
    char command[100];
    struct run_options options = {.command = command, .hold_input = true, .outlives_us = true};
    int fd = mkstemp(mark);

    assert_true(fd >= 0);
    close(fd);
    snprintf(command, sizeof(command), "read -r word; rm %s", mark);
    for (int leaves = 0; leaves < 2; leaves++) {
        struct heard h = {0};

        start(bed, &h, &options);
        if (leaves == 1)
            run_leave(h.run);
        else
            run_free(h.run);
        bed_until(bed, has_no_child, NULL);
        assert_int_equal(access(mark, F_OK), leaves == 1 ? -1 : 0);
        assert_int_equal(h.ended, 0);
        buf_free(&h.lines);
    }
}

static void
freeing_is_allowed_in_its_callbacks(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "echo 1; echo 2; echo 3; printf 4"};
    struct heard ends = {.free_at_end = true};

    hear(bed, &ends, &options);
    assert_null(ends.run);
    fini(&ends);
    for (unsigned at = 1; at <= 4; at++) {
        struct heard h = {.free_at_line = at};

        start(bed, &h, &options);
        bed_until_count(bed, &h.line_count, at);
        h.run = NULL;
        bed_until(bed, has_no_child, NULL);
        assert_int_equal(h.line_count, at);
        assert_int_equal(h.ended, 0);
        fini(&h);
    }
}

static void
kernel_without_pidfd_will_do(void **state)
{
    struct bed *bed = bed_of(state);
    struct run_options options = {.command = "echo one; exit 4", .unwatched = true};
    struct heard h = {0};
    struct heard late = {0};
    struct heard freed = {0};

    hear(bed, &h, &options);
    assert_string_equal(buf_cstr(&h.lines), "one|");
    assert_int_equal(h.result.code, 4);
    fini(&h);
    options = (struct run_options){.command = "exec tail -f /dev/null", .unwatched = true};
    start(bed, &freed, &options);
    run_free(freed.run);
    freed.run = NULL;
    bed_until(bed, has_no_child, NULL);
    fini(&freed);
    options.deadline_ns = after_ms(bed, 100);
    hear(bed, &late, &options);
    assert_int_equal(late.result.end, RUN_TIMED_OUT);
    fini(&late);
}

static void
many_run_side_by_side(void **state)
{
    struct bed *bed = bed_of(state);
    struct heard h[16] = {0};
    char command[64];

    for (unsigned n = 0; n < ARRAY_LEN(h); n++) {
        struct run_options options = {.command = command};

        snprintf(command, sizeof(command), "echo %u; exit %u", n, n);
        start(bed, &h[n], &options);
    }
    for (unsigned n = 0; n < ARRAY_LEN(h); n++) {
        bed_until_count(bed, &h[n].ended, 1);
        assert_int_equal(h[n].result.code, n);
    }
    for (unsigned n = 0; n < ARRAY_LEN(h); n++) {
        run_free(h[n].run);
        buf_free(&h[n].lines);
    }
}

int
main(void)
{
    static const struct engine_test tests[] = {
        ENGINE_TEST(output_and_error_output_come_line_by_line),
        ENGINE_TEST(signal_that_ended_it_is_told),
        ENGINE_TEST(arguments_are_no_shell_text),
        ENGINE_TEST(program_that_is_not_there_ends_with_words),
        ENGINE_TEST(long_lines_are_cut),
        ENGINE_TEST(binary_is_made_printable),
        ENGINE_TEST(much_output_arrives_whole),
        ENGINE_TEST(standard_input_is_empty_or_what_is_given),
        ENGINE_TEST(it_has_a_session_of_its_own),
        ENGINE_TEST(environment_is_added),
        ENGINE_TEST(no_descriptor_is_inherited),
        ENGINE_TEST(signals_are_at_their_default),
        ENGINE_TEST(deadline_ends_it),
        ENGINE_TEST(deadline_that_is_over_ends_it_at_once),
        ENGINE_TEST(deadline_far_away_changes_nothing),
        ENGINE_TEST(who_ignores_sigterm_is_killed),
        ENGINE_TEST(deadline_ends_grandchildren),
        ENGINE_TEST(what_is_left_in_the_background_lives_on),
        ENGINE_TEST(flood_keeps_nobody),
        ENGINE_TEST(it_may_close_its_output),
        ENGINE_TEST(freeing_ends_it),
        ENGINE_TEST(held_input_ends_when_it_is_left),
        ENGINE_TEST(freeing_is_allowed_in_its_callbacks),
        ENGINE_TEST(kernel_without_pidfd_will_do),
        ENGINE_TEST(many_run_side_by_side),
    };

    return run_on_engines("os/run", tests, ARRAY_LEN(tests));
}
