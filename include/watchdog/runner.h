/*
 * The runner: brings the virtual address up and down, and runs the commands of who leads.
 *
 * For the process of the watchdog, on its loop; nothing here blocks. Each command has a deadline
 * and a process group of its own, and its output goes to the log.
 *
 * THE ADDRESS. Commands of if_up_cmd, if_down_cmd and arping_cmd are run without a shell, their
 * words parted by blanks, $_IP_$ and $_LIFETIME_$ replaced. With $_LIFETIME_$ in if_up_cmd the
 * address is up until the moment that the watchdog says, less up to a second, and the kernel takes
 * it away then, whatever has become of us. Without it a guardian, a small process of its own,
 * waits for our end and runs if_down_cmd then. What an earlier life has left up is taken down
 * first.
 */
#ifndef WATCHDOG_RUNNER_H
#define WATCHDOG_RUNNER_H

#include "config/config.h"
#include "os/io.h"
#include "watchdog/watchdog.h"

struct wd_runner;

struct wd_runner_ops {
    /* An attempt to bring the address up or down has ended: tell the watchdog WD_ADDRESS_ENDED
     * with it. Up is tried again by itself, as long as it is wanted; down is not. */
    void (*address_ended)(void *ctx, bool done);
};

/* config is read during the call alone; io and ops must outlive the runner. Begins to take down
 * what was left up. */
struct wd_runner *wd_runner_new(struct io *io, const struct config *config,
                                const struct wd_runner_ops *ops, void *ctx);

/* Is the address up on this host, before there is a runner? For struct wd_config. */
bool wd_runner_address_is_left(const struct config *config);

/* No callback runs any more. An address that is up then stays as long as its lifetime, or is taken
 * down by the guardian. NULL is allowed. */
void wd_runner_free(struct wd_runner *r);

/* After a reload: what may change then. */
void wd_runner_reload(struct wd_runner *r, const struct config *config);

/* Carries out WD_DO_ADDRESS_UP, _KEEP, _DOWN, WD_DO_ESCALATE and _DE_ESCALATE; false: it is none of
 * them. */
bool wd_runner_do(struct wd_runner *r, const struct wd_action *action);

/* Nothing of it runs or waits but a guardian: for an orderly end. */
bool wd_runner_is_idle(const struct wd_runner *r);

#endif
