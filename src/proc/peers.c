/*
 * The channels to other generations' parents: what is said over them, and who is there.
 *
 * Called by the parent alone. A peer is believed no more than it must be: it can stop us, ask for
 * cancels by key, and end; nothing that it says is an address or a length. Nothing here waits.
 */
#include "peers.h"

#include "base/buf.h"
#include "base/log.h"
#include "cache/shared.h"
#include "os/channel.h"
#include "parent.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_BYTES = 1024,
    LINES_PER_TURN = 32,
    RELAY_ID_BITS = 10, /* behind the process: nobody takes an answer for his that is another's */
};

void
peers_init(struct peers *p)
{
    memset(p, 0, sizeof(*p));
    for (uint32_t n = 0; n < ELDERS_MAX; n++)
        p->elders[n].fd = -1;
    p->successor.fd = -1;
    p->last_relay = (uint32_t)getpid() << RELAY_ID_BITS;
}

void
peer_close(struct peer *peer)
{
    if (peer->watch != NULL)
        io_unwatch(peer->watch);
    peer->watch = NULL;
    fd_close(&peer->fd);
}

void
peers_forget(struct peers *p)
{
    for (uint32_t n = 0; n < ELDERS_MAX; n++)
        fd_close(&p->elders[n].fd);
    fd_close(&p->successor.fd);
}

uint32_t
peers_elder_count(const struct parent *pa)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < ELDERS_MAX; n++)
        count += pa->peers.elders[n].fd >= 0;
    return count;
}

void
peers_kill_elders(struct parent *pa)
{
    for (uint32_t n = 0; n < ELDERS_MAX; n++) {
        const struct peer *elder = &pa->peers.elders[n];

        if (elder->fd < 0)
            continue;
        log_warning("parent process %d of an older generation did not stop in time and is killed",
                    (int)elder->pid);
        kill(elder->pid, SIGKILL);
    }
}

/* ---- saying ---- */

static bool
say(const struct peer *peer, const char *fmt, va_list args)
{
    char line[LINE_BYTES];
    int len = vsnprintf(line, sizeof(line), fmt, args);

    return peer->fd >= 0 && len > 0 && (size_t)len < sizeof(line) &&
           channel_send(peer->fd, line, (size_t)len);
}

bool
peer_say(const struct peer *peer, const char *fmt, ...)
{
    va_list args;
    bool said;

    va_start(args, fmt);
    said = say(peer, fmt, args);
    va_end(args);
    return said;
}

void
peers_say_to_elders(struct parent *pa, const char *fmt, ...)
{
    for (uint32_t n = 0; n < ELDERS_MAX; n++) {
        va_list args;

        va_start(args, fmt);
        say(&pa->peers.elders[n], fmt, args);
        va_end(args);
    }
}

/* ---- cancel requests ---- */

static bool
has_child(const struct peer *peer, uint32_t number)
{
    return peer->fd >= 0 && number >= peer->child_base &&
           number - peer->child_base < peer->child_count;
}

static struct peer *
peer_at(struct parent *pa, uint32_t at)
{
    return at < ELDERS_MAX ? &pa->peers.elders[at] : &pa->peers.successor;
}

static void
tell_asker(struct parent *pa, uint32_t slot, uint64_t token, bool found)
{
    struct inbox_msg msg = {.kind = INBOX_CANCEL_DONE};

    msg.cancel_done.token = token;
    msg.cancel_done.found = found;
    inbox_send(pa->base.inboxes, slot, &msg);
}

static bool
pass_on(struct parent *pa, struct peer *peer, const struct inbox_msg *msg)
{
    struct relay *r;
    char key[2 * INBOX_KEY_BYTES + 1] = "";

    for (uint32_t n = 0; n < msg->cancel.key_len; n++)
        snprintf(key + 2 * n, 3, "%02x", msg->cancel.key[n]);
    if (++pa->peers.last_relay == 0)
        pa->peers.last_relay = 1;
    r = &pa->peers.relays[pa->peers.last_relay % RELAYS_MAX];
    if (r->id != 0)
        tell_asker(pa, r->from, r->token, true);
    *r = (struct relay){pa->peers.last_relay, msg->from, msg->cancel.token, peer};
    if (peer_say(peer, "cancel %u %u %s", r->id, msg->cancel.pid, key))
        return true;
    r->id = 0;
    return false;
}

void
peers_cancel(struct parent *pa, const struct inbox_msg *msg)
{
    uint32_t number = proc_child_of_pid(msg->cancel.pid);

    for (uint32_t at = 0; at <= ELDERS_MAX; at++) {
        if (has_child(peer_at(pa, at), number) && pass_on(pa, peer_at(pa, at), msg))
            return;
    }
    tell_asker(pa, msg->from, msg->cancel.token, false);
}

static void
heard_cancelled(struct parent *pa, const char *line)
{
    struct relay *r;
    unsigned id;
    unsigned found = 1; /* older versions do not say */

    if (sscanf(line, "cancelled %u %u", &id, &found) < 1)
        return;
    r = &pa->peers.relays[id % RELAYS_MAX];
    if (id == 0 || r->id != id)
        return;
    r->id = 0;
    tell_asker(pa, r->from, r->token, found != 0);
}

/* What it was asked for nobody answers any more. */
static void
forget_relays(struct parent *pa, const struct peer *to)
{
    for (uint32_t n = 0; n < RELAYS_MAX; n++) {
        struct relay *r = &pa->peers.relays[n];

        if (r->id == 0 || r->to != to)
            continue;
        r->id = 0;
        tell_asker(pa, r->from, r->token, true);
    }
}

void
peers_close_elders(struct parent *pa)
{
    for (uint32_t n = 0; n < ELDERS_MAX; n++) {
        peer_close(&pa->peers.elders[n]);
        forget_relays(pa, &pa->peers.elders[n]);
    }
}

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
parse_key(const char *text, struct inbox_msg *msg)
{
    size_t len = strlen(text);

    if (len % 2 != 0 || len / 2 > INBOX_KEY_BYTES)
        return false;
    for (size_t n = 0; n < len / 2; n++) {
        int high = hex_digit(text[2 * n]);
        int low = hex_digit(text[2 * n + 1]);

        if (high < 0 || low < 0)
            return false;
        msg->cancel.key[n] = (uint8_t)(high << 4 | low);
    }
    msg->cancel.key_len = (uint32_t)len / 2;
    return true;
}

/* The token that our child gives back says whom to answer, and what. */
static void
heard_cancel(struct parent *pa, const struct peer *peer, const char *line)
{
    struct inbox_msg msg = {.kind = INBOX_CANCEL};
    char key[2 * INBOX_KEY_BYTES + 1] = "";
    uint32_t at = 0;
    uint32_t child_no;
    unsigned pid;
    unsigned id;

    _Static_assert(INBOX_KEY_BYTES == 256, "the width below");
    if (sscanf(line, "cancel %u %u %512s", &id, &pid, key) != 3 || !parse_key(key, &msg))
        return;
    while (peer_at(pa, at) != peer)
        at++;
    msg.cancel.pid = pid;
    msg.cancel.token = (uint64_t)at << 32 | id;
    child_no = proc_child_of_pid(pid) - pa->base.child_base;
    if (child_no >= shared_layout(pa->base.shared)->child_slots ||
        pa->processes[shared_slot_of_child(pa->base.shared, child_no)].pid == 0 ||
        !inbox_send(pa->base.inboxes, shared_slot_of_child(pa->base.shared, child_no), &msg))
        peer_say(peer, "cancelled %u 0", id);
}

void
peers_cancel_done(struct parent *pa, const struct inbox_msg *msg)
{
    uint32_t at = (uint32_t)(msg->cancel_done.token >> 32);

    if (at <= ELDERS_MAX)
        peer_say(peer_at(pa, at), "cancelled %u %u", (uint32_t)msg->cancel_done.token,
                 msg->cancel_done.found);
}

/* ---- hearing ---- */

static void
heard_stop(struct parent *pa, const char *line)
{
    int mode;

    if (sscanf(line, "stop %d", &mode) == 1 && mode >= PROC_STOP_SMART &&
        mode <= PROC_STOP_IMMEDIATE)
        parent_stop(pa, (enum proc_stop)mode);
}

static void
heard_serving(struct parent *pa, struct peer *peer, const char *line)
{
    if (sscanf(line, "serving %u %u", &peer->child_base, &peer->child_count) != 2)
        peer->child_count = 0;
    upgrade_done(pa);
}

static bool
begins(const char *line, const char *word)
{
    size_t len = strlen(word);

    return strncmp(line, word, len) == 0 && (line[len] == ' ' || line[len] == '\0');
}

static void
hear(struct peer *peer, const char *line)
{
    struct parent *pa = peer->parent;
    bool is_successor = peer == &pa->peers.successor;
    struct err err; /* the log has it */

    if (begins(line, "stop"))
        heard_stop(pa, line);
    else if (begins(line, "rotate"))
        parent_rotate_log(pa);
    else if (begins(line, "cancel"))
        heard_cancel(pa, peer, line);
    else if (begins(line, "cancelled"))
        heard_cancelled(pa, line);
    else if (begins(line, "serving") && is_successor)
        heard_serving(pa, peer, line);
    else if (begins(line, "reload") && !is_successor && !pa->succeeded)
        parent_reload(pa, "told to reload by the older generation", &err);
}

/* What the last of them has left at the servers is waited for (proc/orphans.h) before the cache is
 * open. While an upgrade is under way, it is closed for that. */
static void
note_elders(struct parent *pa)
{
    if (pa->base.cache != NULL && peers_elder_count(pa) == 0 && !pa->succeeded &&
        pa->upgrade.pid == 0)
        cache_open(pa->base.cache, CACHE_CLOSED_GENERATION);
}

static void
gone(struct peer *peer)
{
    struct parent *pa = peer->parent;
    bool was_elder = peer != &pa->peers.successor;

    peer_close(peer);
    forget_relays(pa, peer);
    if (was_elder) {
        log_info("the older generation of parent process %d has ended", (int)peer->pid);
        shared_set_elders(pa->base.shared, peers_elder_count(pa));
        note_elders(pa);
        wake_send(pa->base.wakes, SLOT_FAILOVER);
        parent_finish_when_alone(pa);
    }
}

void
peer_hear(struct peer *peer)
{
    struct channel_parcel parcel;
    char line[LINE_BYTES];
    int fd = peer->fd;

    for (int n = 0; n < LINES_PER_TURN && peer->fd == fd; n++) {
        switch (channel_receive_fds(fd, line, sizeof(line) - 1, &parcel)) {
        case CHANNEL_NOTHING:
            return;
        case CHANNEL_GONE:
            gone(peer);
            return;
        case CHANNEL_GOT:
            while (parcel.fd_count > 0)
                fd_close(&parcel.fds[--parcel.fd_count]);
            line[parcel.len] = '\0';
            hear(peer, line);
            break;
        }
    }
}

static void
on_readable(void *ctx, int fd UNUSED, unsigned events UNUSED)
{
    peer_hear(ctx);
}

void
peer_watch(struct parent *pa, struct peer *peer)
{
    peer->parent = pa;
    peer->watch = io_watch(pa->io, peer->fd, IO_READABLE, on_readable, peer);
}
