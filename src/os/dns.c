/*
 * Names to addresses with c-ares, on the loop of one process.
 *
 * One `struct name` per name that was ever asked for: its last good answer, and who waits for the
 * next one. Everybody who waits gets one outcome, from the timer `deliver`, so that no callback
 * runs inside a call of theirs. A question has one deadline of its own, whatever c-ares still
 * tries; what it finds later serves the next one.
 *
 * c-ares tells which descriptors it wants watched (socket_changed) and how long it wants to sleep
 * (tick). It may call answered inside of ares_getaddrinfo: nothing is freed there.
 */
#include "os/dns.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    ASK_TIMEOUT_MS = 1200, /* of one try of one server */
    ASK_TRIES = 3,
    KEEP_OLD_MS = 2000, /* after a failure the old answer is used this long unasked */
    WATCHES_MAX = 32,
    TICK_MAX_MS = 1000,
};

static const char resolv_conf[] = "/etc/resolv.conf";

struct name {
    struct list all; /* in dns->names_by_age */
    struct list waiting;
    struct dns *dns;
    bool known;
    struct dns_answer answer; /* ports 0 */
    int64_t fresh_until_ns;
    bool asking;
    int64_t deadline_ns;
    char text[];
};

struct dns_query {
    struct list node; /* in name->waiting, then in dns->ready */
    struct dns *dns;
    uint16_t port;
    dns_done_fn *done;
    void *ctx;
    bool failed;
    struct dns_answer answer;
    struct err err;
};

struct dns {
    struct io *io;
    ares_channel channel;
    struct timespec resolv_changed;
    uint32_t asking; /* questions that c-ares still works on */
    struct map names;
    struct list names_by_age;
    struct list ready;
    struct list reverses; /* struct dns_reverse, those that nobody waits for any more included */
    struct io_timer deliver;
    struct io_timer tick;
    struct {
        ares_socket_t fd;
        struct io_watch *watch;
    } watches[WATCHES_MAX];
    uint32_t watch_count;
    bool closing;
};

static void tick(void *ctx);

/* ---- c-ares on the loop ---- */

static void
set_tick(struct dns *dns)
{
    struct timeval longest = {.tv_sec = TICK_MAX_MS / 1000};
    struct timeval room;
    const struct timeval *tv;

    if (dns->asking == 0 && dns->watch_count == 0) {
        io_timer_stop(&dns->tick);
        return;
    }
    tv = ares_timeout(dns->channel, &longest, &room);
    io_timer_start(dns->io, &dns->tick, tv->tv_sec * 1000 + tv->tv_usec / 1000 + 1, tick, dns);
}

static void
socket_ready(void *ctx, int fd, unsigned events)
{
    struct dns *dns = ctx;

    ares_process_fd(dns->channel, events & IO_READABLE ? fd : ARES_SOCKET_BAD,
                    events & IO_WRITABLE ? fd : ARES_SOCKET_BAD);
    set_tick(dns);
}

static void
socket_changed(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = ctx;
    unsigned events = (readable ? IO_READABLE : 0) | (writable ? IO_WRITABLE : 0);
    uint32_t n = 0;

    while (n < dns->watch_count && dns->watches[n].fd != fd)
        n++;
    if (n < dns->watch_count) {
        if (events != 0) {
            io_watch_change(dns->watches[n].watch, events);
            return;
        }
        io_unwatch(dns->watches[n].watch);
        dns->watches[n] = dns->watches[--dns->watch_count];
    } else if (events != 0 && n < WATCHES_MAX) {
        dns->watches[n].fd = fd;
        dns->watches[n].watch = io_watch(dns->io, fd, events, socket_ready, dns);
        dns->watch_count++;
    }
}

static int
open_channel(struct dns *dns, struct err *err)
{
    struct ares_options options = {
        .timeout = ASK_TIMEOUT_MS,
        .tries = ASK_TRIES,
        .lookups = (char *)(uintptr_t) "fb", /* /etc/hosts, then DNS */
        .sock_state_cb = socket_changed,
        .sock_state_cb_data = dns,
    };
    struct stat st;
    int rc = ares_init_options(&dns->channel, &options,
                               ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                   ARES_OPT_SOCK_STATE_CB);

    if (rc != ARES_SUCCESS)
        return err_set(err, "58000", "could not start the resolver: %s", ares_strerror(rc));
    if (stat(resolv_conf, &st) == 0)
        dns->resolv_changed = st.st_mtim;
    return 0;
}

/* A process may live for months; resolv.conf changes with the network. */
static void
follow_resolv_conf(struct dns *dns)
{
    ares_channel before = dns->channel;
    struct stat st;
    struct err err;

    if (dns->asking != 0 || stat(resolv_conf, &st) != 0 ||
        (st.st_mtim.tv_sec == dns->resolv_changed.tv_sec &&
         st.st_mtim.tv_nsec == dns->resolv_changed.tv_nsec))
        return;
    if (open_channel(dns, &err) != 0) {
        dns->channel = before;
        log_warning("%s", err.message);
        return;
    }
    ares_destroy(before);
}

/* ---- outcomes ---- */

static void
deliver(void *ctx)
{
    struct dns *dns = ctx;

    while (!list_empty(&dns->ready)) {
        struct dns_query *q = list_first(&dns->ready, struct dns_query, node);

        list_remove(&q->node);
        q->done(q->ctx, q->failed ? NULL : &q->answer, q->failed ? &q->err : NULL);
        free(q);
    }
}

static void
set_ports(struct dns_answer *answer, uint16_t port)
{
    for (uint32_t n = 0; n < answer->count; n++) {
        struct sockaddr_storage *addr = &answer->list[n].storage;

        if (addr->ss_family == AF_INET)
            ((struct sockaddr_in *)addr)->sin_port = htons(port);
        else if (addr->ss_family == AF_INET6)
            ((struct sockaddr_in6 *)addr)->sin6_port = htons(port);
    }
}

static void
make_ready(struct dns *dns, struct dns_query *q)
{
    list_append(&dns->ready, &q->node);
    io_timer_start(dns->io, &dns->deliver, 0, deliver, dns);
}

/* Everybody who waits for this name gets its answer, or the error when it has none. */
static void
finish(struct name *name, const char *why)
{
    list_for_each_safe (it, tmp, &name->waiting) {
        struct dns_query *q = list_entry(it, struct dns_query, node);

        list_remove(&q->node);
        if (name->known) {
            q->answer = name->answer;
            set_ports(&q->answer, q->port);
        } else {
            q->failed = true;
            err_set(&q->err, "08001", "could not translate host name \"%s\" to address: %s",
                    name->text, why);
        }
        make_ready(name->dns, q);
    }
}

/* The resolver failed; what it said before may well still be true. */
static void
fall_back(struct name *name, const char *why)
{
    if (name->known) {
        if (!name->answer.old)
            log_warning("could not translate host name \"%s\" to address: %s; using the last known "
                        "address",
                        name->text, why);
        name->answer.old = true;
        name->fresh_until_ns = io_now_ns(name->dns->io) + KEEP_OLD_MS * NS_PER_MS;
    }
    finish(name, why);
}

static void
keep_answer(struct name *name, const struct ares_addrinfo *info)
{
    struct dns_answer answer = {0};

    for (const struct ares_addrinfo_node *at = info->nodes;
         at != NULL && answer.count < DNS_ADDRESSES_MAX; at = at->ai_next) {
        struct sock_address *addr = &answer.list[answer.count];

        if ((at->ai_family != AF_INET && at->ai_family != AF_INET6) ||
            (size_t)at->ai_addrlen > sizeof(addr->storage))
            continue;
        memcpy(&addr->storage, at->ai_addr, (size_t)at->ai_addrlen);
        addr->len = (socklen_t)at->ai_addrlen;
        answer.count++;
    }
    name->known = answer.count > 0;
    name->answer = answer;
    name->fresh_until_ns = io_now_ns(name->dns->io) + DNS_KEEP_MS * NS_PER_MS;
}

static void
answered(void *ctx, int status, int timeouts UNUSED, struct ares_addrinfo *info)
{
    struct name *name = ctx;

    name->dns->asking--;
    name->asking = false;
    if (!name->dns->closing) {
        if (status == ARES_SUCCESS) {
            keep_answer(name, info);
            finish(name, "it has no address");
        } else if (status == ARES_ENOTFOUND || status == ARES_ENODATA) {
            name->known = false;
            finish(name, "no such name");
        } else {
            fall_back(name, ares_strerror(status));
        }
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
}

static void
tick(void *ctx)
{
    struct dns *dns = ctx;
    int64_t now_ns = io_now_ns(dns->io);

    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    list_for_each (it, &dns->names_by_age) {
        struct name *name = list_entry(it, struct name, all);

        if (name->asking && now_ns >= name->deadline_ns && !list_empty(&name->waiting))
            fall_back(name, "the resolver did not answer in time");
    }
    set_tick(dns);
}

/* ---- names ---- */

static struct name *
find_name(const struct dns *dns, const char *host)
{
    return map_get(&dns->names, host, strlen(host));
}

static void
free_name(void *ctx UNUSED, void *value)
{
    struct name *name = value;

    list_remove(&name->all);
    list_for_each_safe (it, tmp, &name->waiting)
        free(list_entry(it, struct dns_query, node));
    free(name);
}

/* The oldest name that nobody waits for makes room. */
static void
make_room(struct dns *dns)
{
    if (dns->names.count < DNS_CACHE_NAMES_MAX)
        return;
    list_for_each (it, &dns->names_by_age) {
        struct name *name = list_entry(it, struct name, all);

        if (!name->asking && list_empty(&name->waiting)) {
            map_remove(&dns->names, name->text, strlen(name->text));
            free_name(NULL, name);
            return;
        }
    }
}

static struct name *
add_name(struct dns *dns, const char *host)
{
    size_t len = strlen(host);
    struct name *name;

    make_room(dns);
    name = xcalloc(1, sizeof(*name) + len + 1);
    memcpy(name->text, host, len + 1);
    name->dns = dns;
    list_init(&name->waiting);
    list_append(&dns->names_by_age, &name->all);
    map_put(&dns->names, host, len, name);
    return name;
}

static void
ask(struct name *name)
{
    struct dns *dns = name->dns;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    if (!name->asking || name->deadline_ns <= io_now_ns(dns->io))
        name->deadline_ns = io_now_ns(dns->io) + DNS_TIMEOUT_MS * NS_PER_MS;
    if (name->asking)
        return;
    follow_resolv_conf(dns);
    name->asking = true;
    dns->asking++;
    ares_getaddrinfo(dns->channel, name->text, NULL, &hints, answered, name);
    set_tick(dns);
}

/* ---- addresses to names ---- */

/* c-ares may answer inside of the question, and answers each, also on the way out: so each ends by
 * its timer, and its memory goes when c-ares has spoken and nobody waits. */
struct dns_reverse {
    struct list node;
    struct dns *dns;
    dns_named_fn *done; /* NULL: nobody waits any more */
    void *ctx;
    bool asking;
    struct io_timer timer;
    char name[NI_MAXHOST];
};

static void
end_reverse(struct dns_reverse *r)
{
    io_timer_stop(&r->timer);
    list_remove(&r->node);
    free(r);
}

static void
tell_name(void *ctx)
{
    struct dns_reverse *r = ctx;
    dns_named_fn *done = r->done;
    void *whose = r->ctx;
    char name[NI_MAXHOST];

    str_copy(name, sizeof(name), r->name);
    r->done = NULL;
    if (!r->asking)
        end_reverse(r);
    done(whose, name[0] != '\0' ? name : NULL);
}

static void
named(void *ctx, int status, int timeouts UNUSED, struct hostent *host)
{
    struct dns_reverse *r = ctx;

    r->asking = false;
    r->dns->asking--;
    if (r->dns->closing)
        return;
    if (r->done == NULL) {
        end_reverse(r);
        return;
    }
    if (status == ARES_SUCCESS && host->h_name != NULL && strlen(host->h_name) < sizeof(r->name))
        str_copy(r->name, sizeof(r->name), host->h_name);
    io_timer_start(r->dns->io, &r->timer, 0, tell_name, r);
}

struct dns_reverse *
dns_name_of(struct dns *dns, const struct sockaddr *addr, dns_named_fn *done, void *ctx)
{
    struct dns_reverse *r = xcalloc(1, sizeof(*r));
    const void *bytes = &((const struct sockaddr_in *)(const void *)addr)->sin_addr;
    int len = sizeof(struct in_addr);

    r->dns = dns;
    r->done = done;
    r->ctx = ctx;
    list_append(&dns->reverses, &r->node);
    io_timer_start(dns->io, &r->timer, DNS_TIMEOUT_MS, tell_name, r);
    if (addr->sa_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
        len = sizeof(struct in6_addr);
    } else if (addr->sa_family != AF_INET) {
        io_timer_start(dns->io, &r->timer, 0, tell_name, r);
        return r;
    }
    follow_resolv_conf(dns);
    r->asking = true;
    dns->asking++;
    ares_gethostbyaddr(dns->channel, bytes, len, addr->sa_family, named, r);
    set_tick(dns);
    return r;
}

void
dns_reverse_cancel(struct dns_reverse *r)
{
    r->done = NULL;
    io_timer_stop(&r->timer);
    if (!r->asking)
        end_reverse(r);
}

/* ---- the face ---- */

int
dns_new(struct io *io, struct dns **dns_r, struct err *err)
{
    struct dns *dns = xcalloc(1, sizeof(*dns));

    dns->io = io;
    list_init(&dns->names_by_age);
    list_init(&dns->ready);
    list_init(&dns->reverses);
    if (open_channel(dns, err) != 0) {
        free(dns);
        return -1;
    }
    *dns_r = dns;
    return 0;
}

void
dns_free(struct dns *dns)
{
    if (dns == NULL)
        return;
    dns->closing = true;
    io_timer_stop(&dns->deliver);
    io_timer_stop(&dns->tick);
    ares_destroy(dns->channel);
    list_for_each_safe (it2, tmp2, &dns->reverses)
        end_reverse(list_entry(it2, struct dns_reverse, node));
    list_for_each_safe (it, tmp, &dns->ready)
        free(list_entry(it, struct dns_query, node));
    map_clear(&dns->names, free_name, NULL);
    map_fini(&dns->names);
    free(dns);
}

static bool
is_local_host(const char *host)
{
    return str_equal_nocase(host, "localhost");
}

/* What needs neither a question nor a memory. err is set when host is a path that cannot be. */
static bool
know_at_once(const char *host, uint16_t port, struct dns_answer *answer_r, struct err *err)
{
    memset(answer_r, 0, sizeof(*answer_r));
    answer_r->count = 1;
    if (host[0] == '/')
        return sock_unix_address(host, port, &answer_r->list[0], err) == 0;
    if (is_local_host(host)) {
        sock_parse_literal("127.0.0.1", port, &answer_r->list[0]);
        sock_parse_literal("::1", port, &answer_r->list[1]);
        answer_r->count = 2;
        return true;
    }
    return sock_parse_literal(host, port, &answer_r->list[0]);
}

bool
dns_known(struct dns *dns, const char *host, uint16_t port, struct dns_answer *answer_r)
{
    const struct name *name;
    struct err err;

    if (know_at_once(host, port, answer_r, &err))
        return true;
    name = find_name(dns, host);
    if (name == NULL || !name->known || io_now_ns(dns->io) >= name->fresh_until_ns)
        return false;
    *answer_r = name->answer;
    set_ports(answer_r, port);
    return true;
}

struct dns_query *
dns_lookup(struct dns *dns, const char *host, uint16_t port, dns_done_fn *done, void *ctx)
{
    struct dns_query *q = xcalloc(1, sizeof(*q));
    struct name *name;

    *q = (struct dns_query){.dns = dns, .port = port, .done = done, .ctx = ctx};
    if (dns_known(dns, host, port, &q->answer)) {
        make_ready(dns, q);
        return q;
    }
    if (host[0] == '/') {
        q->failed = !know_at_once(host, port, &q->answer, &q->err);
        make_ready(dns, q);
        return q;
    }
    name = find_name(dns, host);
    if (name == NULL)
        name = add_name(dns, host);
    list_append(&name->waiting, &q->node);
    ask(name);
    return q;
}

void
dns_cancel(struct dns_query *q)
{
    list_remove(&q->node);
    free(q);
}
