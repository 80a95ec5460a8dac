/*
 * A null relay over os/io: accepts, connects to a target, forwards bytes both ways and knows
 * nothing about them. What it costs is the floor under every proxy that is built on os/io.
 *
 *     relay --listen PORT --to HOST:PORT|/unix/path [--engine auto|io_uring|epoll]
 *           [--buffers N] [--buffer-bytes N] [--timer]
 *
 * One process, loopback only. Prints its statistics and ends on SIGTERM.
 */
#include "base/num.h"
#include "base/slab.h"
#include "base/str.h"
#include "os/io.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

struct pair;

struct side {
    struct pair *pair;
    struct io_stream *stream;
    struct side *other;
};

struct pair {
    struct side client;
    struct side server;
};

static struct io *io;
static struct slab pairs;
static struct sockaddr_storage target;
static socklen_t target_len;
static struct io_timer tick;

static void
end_pair(struct pair *p)
{
    if (p->client.stream != NULL)
        io_stream_close(p->client.stream, true);
    if (p->server.stream != NULL)
        io_stream_close(p->server.stream, true);
    slab_put(&pairs, p);
}

static void
on_received(void *ctx, struct io_rx *rx)
{
    struct side *from = ctx;

    io_send_rx(from->other->stream, rx, 0, rx->len);
    if (io_is_full(from->other->stream))
        io_pause(from->stream);
}

static void
on_drained(void *ctx)
{
    struct side *s = ctx;

    io_resume(s->other->stream);
}

static void
on_closed(void *ctx, int error)
{
    struct side *s = ctx;

    (void)error;
    end_pair(s->pair);
}

static void
on_connected(void *ctx, int error)
{
    struct side *s = ctx;

    if (error != 0)
        end_pair(s->pair);
}

static const struct io_stream_ops ops = {
    .connected = on_connected,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

static void
on_accepted(void *ctx, int fd, int error)
{
    struct pair *p;
    struct err err;

    (void)ctx;
    if (error != 0)
        return;
    p = slab_get(&pairs);
    p->client.pair = p->server.pair = p;
    p->client.other = &p->server;
    p->server.other = &p->client;
    p->client.stream = io_stream_open(io, fd, &ops, &p->client);
    p->server.stream =
        io_connect(io, &(struct io_target){(struct sockaddr *)&target, target_len, 5000}, &ops,
                   &p->server, &err);
    if (p->server.stream == NULL) {
        fprintf(stderr, "%s\n", err.message);
        end_pair(p);
    }
}

static void
on_tick(void *ctx)
{
    io_timer_start(io, &tick, 1000, on_tick, ctx);
}

static void
on_signal(void *ctx, int signo)
{
    struct io_stats st;

    (void)ctx;
    (void)signo;
    io_get_stats(io, &st);
    printf("%s: turns %llu, system calls %llu, receives %llu, sends %llu, copied %llu bytes\n",
           io_engine_name(io_engine(io)), (unsigned long long)st.turns,
           (unsigned long long)st.system_calls, (unsigned long long)st.receives,
           (unsigned long long)st.sends, (unsigned long long)st.copied_bytes);
    io_stop(io);
}

static int
listen_on(uint32_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 1024) != 0) {
        perror("could not listen");
        exit(1);
    }
    return fd;
}

static bool
parse_target(const char *text)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&target;
    struct sockaddr_in *in = (struct sockaddr_in *)&target;
    const char *colon = strrchr(text, ':');
    char host[64];
    uint32_t port;

    if (text[0] == '/') {
        un->sun_family = AF_UNIX;
        target_len = sizeof(*un);
        return str_copy(un->sun_path, sizeof(un->sun_path), text);
    }
    if (colon == NULL || !num_parse_u32(colon + 1, &port) || port > 65535)
        return false;
    str_copy_n(host, sizeof(host), text, (size_t)(colon - text));
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    target_len = sizeof(*in);
    return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static enum io_engine
parse_engine(const char *text)
{
    if (strcmp(text, "io_uring") == 0)
        return IO_ENGINE_IO_URING;
    return strcmp(text, "epoll") == 0 ? IO_ENGINE_EPOLL : IO_ENGINE_AUTO;
}

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"to", required_argument, NULL, 't'},
    {"engine", required_argument, NULL, 'e'},
    {"buffers", required_argument, NULL, 'n'},
    {"buffer-bytes", required_argument, NULL, 'b'},
    {"timer", no_argument, NULL, 'T'},
    {NULL, 0, NULL, 0},
};

int
main(int argc, char **argv)
{
    struct io_options options = {0};
    const int signals[] = {SIGTERM, SIGINT, 0};
    uint32_t port = 0;
    bool with_timer = false;
    bool ok = true;
    struct err err;
    int c;

    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (c == 'l')
            ok = ok && num_parse_u32(optarg, &port);
        else if (c == 't')
            ok = ok && parse_target(optarg);
        else if (c == 'e')
            options.engine = parse_engine(optarg);
        else if (c == 'n')
            ok = ok && num_parse_u32(optarg, &options.buffer_count);
        else if (c == 'b')
            ok = ok && num_parse_u32(optarg, &options.buffer_bytes);
        else if (c == 'T')
            with_timer = true;
        else
            ok = false;
    }
    if (!ok || port == 0 || target_len == 0) {
        fprintf(stderr, "usage: relay --listen PORT --to HOST:PORT|/path [--engine NAME]\n");
        return 2;
    }
    slab_init(&pairs, sizeof(struct pair), 64);
    if (io_new(&options, &io, &err) != 0 || io_signals(io, signals, on_signal, NULL, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    io_listen(io, listen_on(port), on_accepted, NULL);
    if (with_timer)
        on_tick(NULL);
    if (io_run(io, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    io_free(io);
    slab_fini(&pairs);
    return 0;
}
