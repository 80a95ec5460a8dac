/*
 * etcd's client without the rest of pgpool, for test_etcd_client.py: parameters as name=value
 * (hosts, ca_cert, cert, key, user, password, limit_ms), commands on standard input, one in a line,
 * each with a tag of its own; answers come with that tag, as they end, in fields between tabs:
 *
 *   TAG grant TTL | keepalive LEASE | revoke LEASE | range PREFIX | watch PREFIX | endpoint
 *   TAG create KEY VALUE LEASE | swap KEY REVISION VALUE | delete KEY REVISION
 *   TAG large KEY BYTES
 *   TAG longest      the longest turn of the loop until now, in ms
 *
 * "free" drops what is under way, and the end of the input ends all.
 */
#include "base/num.h"
#include "base/str.h"
#include "os/clock.h"
#include "os/etcd_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 6, TICK_MS = 10, TAG_BYTES = 32, TAGS_MAX = 1024 };

static struct {
    struct io *io;
    struct dns *dns;
    struct etcd_client *client;
    struct io_timer tick;
    int64_t ticked_ns;
    int64_t longest_ns;
    char input[65536];
    size_t input_len;
    char tags[TAGS_MAX][TAG_BYTES];
    size_t tag_count;
} drive;

static const char *
parameter(int count, char **words, const char *name)
{
    size_t len = strlen(name);

    for (int n = 1; n < count; n++)
        if (strncmp(words[n], name, len) == 0 && words[n][len] == '=')
            return words[n] + len + 1;
    return NULL;
}

static void
tick(void *ctx)
{
    int64_t now_ns = clock_monotonic_ns();

    drive.longest_ns = MAX(drive.longest_ns, now_ns - drive.ticked_ns);
    drive.ticked_ns = now_ns;
    io_timer_start(drive.io, &drive.tick, TICK_MS, tick, ctx);
}

static void
answered(void *ctx, const struct etcd_answer *answer, const struct err *err)
{
    static const char *const ends[] = {"done", "refused", "failed", "unsure"};
    const char *tag = ctx;

    printf("%s\t%s\t%lld\t%d\t%llu\t%lld\t%lld\t%s\t%s", tag, ends[answer->end],
           (long long)answer->revision, answer->succeeded, (unsigned long long)answer->lease,
           (long long)answer->ttl_s, (long long)answer->deleted, err != NULL ? err->sqlstate : "",
           err != NULL ? err->message : "");
    for (uint32_t n = 0; n < answer->pair_count; n++) {
        const struct etcd_pair *pair = &answer->pairs[n];

        printf("\t%s=%lld=%llu=%s", pair->key, (long long)pair->mod_revision,
               (unsigned long long)pair->lease, pair->value_len < 1000 ? pair->value : "...");
    }
    printf("\n");
    fflush(stdout);
}

static void
changed(void *ctx)
{
    printf("%s\tchanged\n", (const char *)ctx);
    fflush(stdout);
}

static int64_t
number(const char *text)
{
    int64_t value = 0;

    num_parse_i64(text, &value);
    return value;
}

static void
transact(char **words, const struct etcd_call *call)
{
    struct etcd_txn txn = {.compare_count = 1, .op_count = 1};
    char *large = NULL;

    txn.compares[0] = (struct etcd_compare){.what = ETCD_CREATE_REVISION, .key = words[2]};
    txn.ops[0] = (struct etcd_op){.kind = ETCD_PUT, .key = words[2], .value = words[3]};
    txn.ops[0].value_len = strlen(words[3]);
    if (strcmp(words[1], "create") == 0) {
        txn.ops[0].lease = (uint64_t)number(words[4]);
    } else if (strcmp(words[1], "large") == 0) {
        txn.ops[0].value_len = (size_t)number(words[3]);
        txn.ops[0].value = large = calloc(1, txn.ops[0].value_len);
    } else {
        txn.compares[0].what = ETCD_MOD_REVISION;
        txn.compares[0].revision = number(words[3]);
        txn.ops[0].value = words[4];
        txn.ops[0].value_len = strlen(words[4]);
        if (strcmp(words[1], "delete") == 0)
            txn.ops[0].kind = ETCD_DELETE;
    }
    etcd_transact(drive.client, &txn, call);
    free(large);
}

static void
command(char **words)
{
    char *tag = drive.tags[drive.tag_count++ % TAGS_MAX];
    struct etcd_call call = {answered, tag};

    str_copy(tag, TAG_BYTES, words[0]);
    if (strcmp(words[1], "grant") == 0) {
        etcd_grant(drive.client, number(words[2]), &call);
    } else if (strcmp(words[1], "keepalive") == 0) {
        etcd_keepalive(drive.client, (uint64_t)number(words[2]), &call);
    } else if (strcmp(words[1], "revoke") == 0) {
        etcd_revoke(drive.client, (uint64_t)number(words[2]), &call);
    } else if (strcmp(words[1], "range") == 0) {
        etcd_range(drive.client, words[2], &call);
    } else if (strcmp(words[1], "watch") == 0) {
        etcd_watch(drive.client, words[2], changed, call.ctx);
    } else if (strcmp(words[1], "endpoint") == 0) {
        printf("%s\t%s\n", words[0], etcd_client_endpoint(drive.client));
    } else if (strcmp(words[1], "longest") == 0) {
        printf("%s\t%lld\n", words[0], (long long)(drive.longest_ns / NS_PER_MS));
    } else {
        transact(words, &call);
    }
    fflush(stdout);
}

static void
line(char *text)
{
    static char none[] = "";
    char *words[WORDS_MAX];
    size_t count = 0;

    for (char *at = text; *at != '\0' && count < WORDS_MAX;) {
        words[count++] = at;
        at += strcspn(at, " ");
        if (*at != '\0')
            *at++ = '\0';
    }
    while (count < WORDS_MAX)
        words[count++] = none;
    if (strcmp(words[0], "free") != 0) {
        command(words);
        return;
    }
    etcd_client_free(drive.client);
    drive.client = NULL;
    printf("free\n");
    fflush(stdout);
}

static void
input(void *ctx UNUSED, int fd, unsigned events UNUSED)
{
    ssize_t got =
        read(fd, drive.input + drive.input_len, sizeof(drive.input) - 1 - drive.input_len);
    char *end;

    if (got <= 0) {
        io_stop(drive.io);
        return;
    }
    drive.input_len += (size_t)got;
    drive.input[drive.input_len] = '\0';
    while ((end = memchr(drive.input, '\n', drive.input_len)) != NULL) {
        size_t len = (size_t)(end - drive.input) + 1;

        *end = '\0';
        line(drive.input);
        drive.input_len -= len;
        memmove(drive.input, drive.input + len, drive.input_len);
    }
}

int
main(int argc, char **argv)
{
    struct etcd_target target = {
        .hosts = parameter(argc, argv, "hosts"),
        .ca_cert = parameter(argc, argv, "ca_cert"),
        .cert = parameter(argc, argv, "cert"),
        .key = parameter(argc, argv, "key"),
        .user = parameter(argc, argv, "user"),
        .password = parameter(argc, argv, "password"),
    };
    const char *limit = parameter(argc, argv, "limit_ms");
    struct io_options options = {.engine = IO_ENGINE_AUTO};
    struct io_watch *watch;
    struct err err;

    if (limit != NULL)
        target.limit_ms = number(limit);
    if (parameter(argc, argv, "engine") != NULL)
        options.engine = strcmp(parameter(argc, argv, "engine"), "epoll") == 0 ? IO_ENGINE_EPOLL
                                                                               : IO_ENGINE_IO_URING;
    if (io_new(&options, &drive.io, &err) != 0 || dns_new(drive.io, &drive.dns, &err) != 0 ||
        etcd_client_new(drive.io, drive.dns, &target, &drive.client, &err) != 0) {
        printf("error\t%s\t%s\n", err.sqlstate, err.message);
        return 1;
    }
    watch = io_watch(drive.io, STDIN_FILENO, IO_READABLE, input, NULL);
    drive.ticked_ns = clock_monotonic_ns();
    tick(NULL);
    io_run(drive.io, &err);
    io_unwatch(watch);
    io_timer_stop(&drive.tick);
    etcd_client_free(drive.client);
    dns_free(drive.dns);
    io_free(drive.io);
    return 0;
}
