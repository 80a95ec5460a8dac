/*
 * What a parent gives to its successor: one message of text lines, and the descriptors that they
 * speak of.
 *
 *     pgpool handover 1
 *     self PID FIRST COUNT            the giver, and its children's numbers
 *     pid_file PATH
 *     +log                            a line with + has a descriptor, in this order
 *     +writes
 *     +client ADDRESS
 *     +pcp ADDRESS
 *     +http ADDRESS
 *     +elder PID FIRST COUNT          the channel to an older generation
 *
 * It lies in the channel before the new program is started, which inherits the other end; so
 * nobody waits for anybody. A line that is not known is skipped: a later version may add some.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/num.h"
#include "base/str.h"
#include "os/channel.h"
#include "os/title.h"
#include "parent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 64 * 1024 };

static const char variable[] = "PGPOOL_HANDOVER";
static const char greeting[] = "pgpool handover 1";

/* ---- giving ---- */

struct parcel {
    struct buf text;
    int fds[CHANNEL_FDS_MAX];
    size_t count;
};

static void
add_listeners(struct parcel *p, const char *word, const struct sock_listeners *l)
{
    for (uint32_t n = 0; n < l->count; n++) {
        buf_printf(&p->text, "+%s %s\n", word, l->list[n].text);
        p->fds[p->count++] = l->list[n].fd;
    }
}

int
handover_send(int fd, struct parent *pa, struct err *err)
{
    struct parcel p = {.text = BUF_EMPTY};
    bool sent;

    _Static_assert(CHANNEL_FDS_MAX >= 3 * (int)SOCK_LISTEN_MAX + (int)ELDERS_MAX + 2, "all fit");
    buf_printf(&p.text, "%s\nself %d %u %u\npid_file %s\n+log\n+writes\n", greeting, (int)getpid(),
               pa->base.child_base, shared_layout(pa->base.shared)->child_slots, pa->pidfile.path);
    p.fds[p.count++] = pa->own_stderr >= 0 ? pa->own_stderr : STDERR_FILENO;
    p.fds[p.count++] = shared_writes_fd(pa->base.shared);
    add_listeners(&p, "client", &pa->clients);
    add_listeners(&p, "pcp", &pa->pcp);
    add_listeners(&p, "http", &pa->http);
    for (uint32_t n = 0; n < ELDERS_MAX; n++) {
        const struct peer *elder = &pa->peers.elders[n];

        if (elder->fd < 0)
            continue;
        buf_printf(&p.text, "+elder %d %u %u\n", (int)elder->pid, elder->child_base,
                   elder->child_count);
        p.fds[p.count++] = elder->fd;
    }
    sent = channel_send_fds(fd, p.text.data, p.text.len, p.fds, p.count);
    buf_free(&p.text);
    return sent ? 0 : err_set(err, NULL, "could not hand over the listening sockets");
}

void
handover_announce(int fd)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", fd);
    fcntl(fd, F_SETFD, 0);
    setenv(variable, text, 1);
}

/* ---- taking ---- */

static int
take_peer(struct handover *h, const char *text, int fd)
{
    bool is_self = fd < 0;
    unsigned base;
    unsigned count;
    int pid;

    if (sscanf(text, "%d %u %u", &pid, &base, &count) != 3)
        return -1;
    for (uint32_t n = is_self ? 0 : 1; n < (is_self ? 1 : ELDERS_MAX); n++) {
        struct peer *elder = &h->peers->elders[n];

        if (!is_self && elder->fd >= 0)
            continue;
        elder->pid = (pid_t)pid;
        elder->child_base = base;
        elder->child_count = count;
        if (!is_self)
            elder->fd = fd;
        return 0;
    }
    return -1;
}

static bool
is_word(const char *line, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(line, word, len) == 0;
}

static int
keep(int *place, int fd)
{
    if (*place >= 0)
        return -1;
    *place = fd;
    return 0;
}

/* Takes the descriptor over, or closes it. */
static void
take_line(struct handover *h, const char *line, int fd)
{
    const char *value = strchr(line, ' ');
    size_t len = value != NULL ? (size_t)(value - line) : strlen(line);
    struct err ignored; /* more than fit: then they are opened anew, or fail with better words */
    int rc = -1;

    value = value != NULL ? value + 1 : "";
    if (is_word(line, len, "self"))
        take_peer(h, value, -1);
    else if (is_word(line, len, "pid_file"))
        str_copy(h->pid_file, sizeof(h->pid_file), value);
    else if (is_word(line, len, "+client"))
        rc = sock_listeners_add(&h->clients, value, fd, &ignored);
    else if (is_word(line, len, "+pcp"))
        rc = sock_listeners_add(&h->pcp, value, fd, &ignored);
    else if (is_word(line, len, "+http"))
        rc = sock_listeners_add(&h->http, value, fd, &ignored);
    else if (is_word(line, len, "+elder"))
        rc = take_peer(h, value, fd);
    else if (is_word(line, len, "+log"))
        rc = keep(&h->log_fd, fd);
    else if (is_word(line, len, "+writes"))
        rc = keep(&h->writes_fd, fd);
    if (rc != 0 && fd >= 0)
        close(fd);
}

static int
take_lines(struct handover *h, char *text, struct channel_parcel *parcel)
{
    char *at = text;
    size_t next_fd = 0;
    bool greeted = false;

    while (at != NULL && *at != '\0') {
        char *end = strchr(at, '\n');

        if (end != NULL)
            *end = '\0';
        if (!greeted && strcmp(at, greeting) != 0)
            break;
        if (greeted)
            take_line(h, at,
                      at[0] == '+' && next_fd < parcel->fd_count ? parcel->fds[next_fd] : -1);
        next_fd += at[0] == '+';
        greeted = true;
        at = end != NULL ? end + 1 : NULL;
    }
    for (; next_fd < parcel->fd_count; next_fd++)
        close(parcel->fds[next_fd]);
    return greeted && h->peers->elders[0].pid > 0 && h->log_fd >= 0 && h->writes_fd >= 0 ? 0 : -1;
}

int
handover_receive(struct peers *peers, struct handover **h_r, struct err *err)
{
    const char *text = getenv(variable);
    struct channel_parcel parcel;
    struct handover *h;
    uint32_t fd;
    char *message;
    int rc = -1;

    *h_r = NULL;
    if (text == NULL)
        return 0;
    if (!num_parse_u32(text, &fd) || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return err_set(err, NULL, "environment variable \"%s\" names no descriptor", variable);
    title_unsetenv(variable);
    h = xcalloc(1, sizeof(*h));
    h->log_fd = h->writes_fd = -1;
    h->peers = peers;
    peers->elders[0].fd = (int)fd;
    message = xmalloc(MESSAGE_BYTES);
    if (channel_receive_fds((int)fd, message, MESSAGE_BYTES - 1, &parcel) == CHANNEL_GOT) {
        message[parcel.len] = '\0';
        rc = take_lines(h, message, &parcel);
    }
    free(message);
    *h_r = h;
    if (rc != 0)
        return err_set(err, NULL,
                       "the running pgpool hands over in a way that this version does "
                       "not understand");
    return 0;
}

void
handover_close_rest(struct handover *h)
{
    if (h == NULL)
        return;
    sock_listeners_close(&h->clients, false);
    sock_listeners_close(&h->pcp, false);
    sock_listeners_close(&h->http, false);
    fd_close(&h->log_fd);
}
