/*
 * Sessions of clients who came over the virtual address, when another pgpool holds that now.
 *
 * Such a client is gone for us: what it sends goes to the new holder, which resets its connection,
 * and nobody tells us. Its session would live for as long as the kernel's keepalive is (two hours),
 * with all locks of its transaction. So each child looks by itself whether the address is still one
 * of this host's: that depends on nobody who may have been killed, and it is the kernel that takes
 * the address away then.
 */
#include "child.h"

#include "base/log.h"
#include "config/config.h"
#include "os/here.h"
#include "proc/proc.h"
#include "session/session.h"

static bool
came_over(const struct session *s, const struct sock_address *address)
{
    struct sock_address local;

    return session_came_to(s, &local) && sock_same_host(&local, address);
}

void
child_sweep_address(struct child *c)
{
    const struct config *cfg = c->proc->config;
    struct sock_address address;
    uint32_t ended = 0;
    struct err err;

    if (!cfg->use_watchdog || c->session_count == 0 ||
        !sock_parse_literal(cfg->delegate_ip, 0, &address) || !here_lacks_address(&address))
        return;
    err_set(&err, "57P01", "the virtual address is at another pgpool now");
    for (uint32_t n = 0; n < c->max_sessions && c->session_count > 0; n++) {
        if (c->sessions[n] == NULL || !came_over(c->sessions[n], &address))
            continue;
        session_terminate(c->sessions[n], &err);
        ended++;
    }
    if (ended > 0)
        log_info(
            "%u session%s that came over the virtual address ended: it is at another pgpool now",
            ended, ended == 1 ? "" : "s");
}
