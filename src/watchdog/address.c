/*
 * The virtual address: up only while we lead, with a lifetime that ends before the lease.
 *
 * Invariant: another member may bring it up only when our lease has ended or our term was laid
 * down; before the one the lifetime ends, before the other the address has been taken down.
 */
#include "watchdog/internal.h"

static int64_t
lifetime_ns(const struct wd *wd, const struct wd_config *config)
{
    if (config->keep_address || WD_RULE(ADDRESS_LIFETIME, false))
        return INT64_MAX;
    return wd->lease_until_ns;
}

static bool
is_wanted(const struct wd_turn *turn)
{
    const struct wd *wd = turn->wd;

    return turn->config->address && wd->term != 0 && !wd->resigning &&
           wd_has_lease(wd, turn->now_ns);
}

/* With wd_on_etcd_loss = keep: the last picture that we have seen shows us as the leader. */
static bool
is_kept(const struct wd_turn *turn)
{
    const struct wd *wd = turn->wd;

    return turn->config->keep_address && !wd->resigning && !wd->stopping &&
           wd->seen.leader.id == turn->config->id &&
           wd->seen.leader.incarnation == turn->config->incarnation;
}

void
wd_address_settle(struct wd_turn *turn)
{
    struct wd *wd = turn->wd;
    bool is_held = wd->address == WD_ADDRESS_UP || wd->address == WD_ADDRESS_COMING;
    int64_t until_ns = lifetime_ns(wd, turn->config);

    if (is_wanted(turn)) {
        if (wd->address == WD_ADDRESS_DOWN) {
            wd->address = WD_ADDRESS_COMING;
            wd_do(turn, WD_DO_ADDRESS_UP)->until_ns = until_ns;
        } else if (is_held && until_ns > wd->address_until_ns) {
            wd_do(turn, WD_DO_ADDRESS_KEEP)->until_ns = until_ns;
        }
        wd->address_until_ns = until_ns;
        if (is_held || wd->address == WD_ADDRESS_COMING)
            return;
    }
    if (wd->address == WD_ADDRESS_DOWN || (is_held && is_kept(turn)))
        return;
    if (wd->address == WD_ADDRESS_GOING && turn->now_ns < wd->next_address_ns)
        return;
    wd->address = WD_ADDRESS_GOING;
    wd->next_address_ns = turn->now_ns + turn->config->retry_ns;
    wd_do(turn, WD_DO_ADDRESS_DOWN);
}
