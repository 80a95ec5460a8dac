/*
 * etcd's client of a pgpool that was built without it: there is never one.
 */
#include "os/etcd_client.h"

#include "base/log.h"

#include "config.h"

#ifndef HAVE_ETCD

bool
etcd_client_is_built(void)
{
    return false;
}

int
etcd_client_new(struct io *io UNUSED, struct dns *dns UNUSED,
                const struct etcd_target *target UNUSED, struct etcd_client **client_r UNUSED,
                struct err *err)
{
    return err_set(err, "0A000", "this pgpool was built without etcd");
}

void
etcd_client_free(struct etcd_client *client UNUSED)
{
}

struct etcd_request *
etcd_grant(struct etcd_client *client UNUSED, int64_t ttl_s UNUSED,
           const struct etcd_call *call UNUSED)
{
    BUG("there is no etcd");
}

struct etcd_request *
etcd_keepalive(struct etcd_client *client UNUSED, uint64_t lease UNUSED,
               const struct etcd_call *call UNUSED)
{
    BUG("there is no etcd");
}

struct etcd_request *
etcd_revoke(struct etcd_client *client UNUSED, uint64_t lease UNUSED,
            const struct etcd_call *call UNUSED)
{
    BUG("there is no etcd");
}

struct etcd_request *
etcd_range(struct etcd_client *client UNUSED, const char *prefix UNUSED,
           const struct etcd_call *call UNUSED)
{
    BUG("there is no etcd");
}

struct etcd_request *
etcd_transact(struct etcd_client *client UNUSED, const struct etcd_txn *txn UNUSED,
              const struct etcd_call *call UNUSED)
{
    BUG("there is no etcd");
}

void
etcd_cancel(struct etcd_request *request UNUSED)
{
}

struct etcd_watch *
etcd_watch(struct etcd_client *client UNUSED, const char *prefix UNUSED,
           void (*changed)(void *ctx) UNUSED, void *ctx UNUSED)
{
    BUG("there is no etcd");
}

void
etcd_unwatch(struct etcd_watch *watch UNUSED)
{
}

const char *
etcd_client_endpoint(const struct etcd_client *client UNUSED)
{
    return "";
}

#endif
