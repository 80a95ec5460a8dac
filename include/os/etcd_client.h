/*
 * A client of etcd (v3), through its JSON gateway, on the loop of one process.
 *
 * Several endpoints are tried in turn: one that refuses, is silent, or has no leader is left for
 * the next one, for this request when that may be sent twice, and for the following ones. Each
 * request has one deadline for all of it: name, connection, TLS, login, answer. Nothing here
 * blocks. Source: etcd's manual, "gRPC gateway" and "API reference" (v3.4 and later).
 *
 * How a request ended says what may have become of it: DONE and REFUSED are etcd's words; FAILED
 * was never sent; UNSURE was, and may have been carried out, or may be even later. A transaction
 * that only its own comparisons let through may be sent twice by libcurl when a kept connection
 * dies: then it reports succeeded = false for what it did itself.
 */
#ifndef OS_ETCD_CLIENT_H
#define OS_ETCD_CLIENT_H

#include "base/err.h"
#include "os/dns.h"
#include "os/io.h"

#include <stdbool.h>

struct etcd_client;
struct etcd_request;
struct etcd_watch;

enum {
    ETCD_ENDPOINTS_MAX = 8,
    ETCD_OPS_MAX = 8,
    ETCD_ANSWER_BYTES = 4 * 1024 * 1024, /* a longer one is an error */
    ETCD_KEY_BYTES = 512,
};

/* Was built with libcurl and libjansson. */
bool etcd_client_is_built(void);

/* Whether hosts, as in struct etcd_target, can be understood; -1 (22023). */
int etcd_hosts_check(const char *hosts, struct err *err);

/* Copied; NULL or "" where there is nothing to say. */
struct etcd_target {
    const char *hosts;   /* "host:port, https://host:port": http:// where nothing is said, but
                          * https://   when there is a ca_cert; port 2379 */
    const char *ca_cert; /* files, as for OpenSSL; without ca_cert: the system's */
    const char *cert;
    const char *key;
    const char *user;
    const char *password;
    int64_t limit_ms; /* of a request; 0: 1000 */
};

/* -1 (22023) when hosts cannot be understood. io and dns must outlive it. */
int etcd_client_new(struct io *io, struct dns *dns, const struct etcd_target *target,
                    struct etcd_client **client_r, struct err *err);

/* Drops all requests and watches without calling them. Allowed in their callbacks. NULL is allowed.
 */
void etcd_client_free(struct etcd_client *client);

enum etcd_end { ETCD_DONE, ETCD_REFUSED, ETCD_FAILED, ETCD_UNSURE };

struct etcd_pair {
    const char *key;
    size_t key_len;
    const char *value; /* followed by a NUL that does not count */
    size_t value_len;
    int64_t create_revision;
    int64_t mod_revision;
    uint64_t lease; /* 0: none */
};

struct etcd_answer {
    enum etcd_end end;
    int64_t revision; /* of etcd, when it was done */
    bool succeeded;   /* of txn: the comparisons held */
    uint64_t lease;   /* of grant */
    int64_t ttl_s;    /* of grant and keepalive; 0 of keepalive: there is no such lease */
    int64_t deleted;  /* of txn: how many keys */
    uint32_t pair_count;
    const struct etcd_pair *pairs; /* of range, and of ranges of a txn */
};

/* Called once, always from io_run and never inside of the call that asked. answer is valid during
 * the call; err is NULL with ETCD_DONE: 08001 (FAILED), 08006 (UNSURE), 28000 (name or password),
 * 42501 (not permitted), 55000 (refused otherwise), 08P01 (nonsense: UNSURE), 54000 (too long). */
typedef void etcd_done_fn(void *ctx, const struct etcd_answer *answer, const struct err *err);

struct etcd_call {
    etcd_done_fn *done;
    void *ctx;
};

/* A lease of at least so many seconds; etcd may give more, and has a minimum of its own. */
struct etcd_request *etcd_grant(struct etcd_client *client, int64_t ttl_s,
                                const struct etcd_call *call);
struct etcd_request *etcd_keepalive(struct etcd_client *client, uint64_t lease,
                                    const struct etcd_call *call);
struct etcd_request *etcd_revoke(struct etcd_client *client, uint64_t lease,
                                 const struct etcd_call *call);

/* All pairs whose keys begin so, linearizable, as of one revision, in the order of keys. */
struct etcd_request *etcd_range(struct etcd_client *client, const char *prefix,
                                const struct etcd_call *call);

enum etcd_compare_what { ETCD_CREATE_REVISION, ETCD_MOD_REVISION, ETCD_VALUE };

/* Must be equal; a revision of 0: the key is absent. */
struct etcd_compare {
    enum etcd_compare_what what;
    const char *key;
    int64_t revision;
    const char *value;
};

enum etcd_op_kind { ETCD_PUT, ETCD_DELETE, ETCD_GET };

/* Keys are NUL-terminated. */
struct etcd_op {
    enum etcd_op_kind kind;
    const char *key;
    const void *value; /* of PUT */
    size_t value_len;
    uint64_t lease; /* of PUT; 0: none */
};

/* Borrowed during the call. */
struct etcd_txn {
    uint32_t compare_count;
    struct etcd_compare compares[ETCD_OPS_MAX];
    uint32_t op_count; /* when all compare equal; otherwise nothing is done */
    struct etcd_op ops[ETCD_OPS_MAX];
};

struct etcd_request *etcd_transact(struct etcd_client *client, const struct etcd_txn *txn,
                                   const struct etcd_call *call);

/* done is not called any more; what was sent may be carried out all the same. */
void etcd_cancel(struct etcd_request *request);

/* Calls changed when keys that begin so have changed, and each time when the watch had to be begun
 * anew, since something may have been missed: a hint to ask again, not a log of changes. */
struct etcd_watch *etcd_watch(struct etcd_client *client, const char *prefix,
                              void (*changed)(void *ctx), void *ctx);
void etcd_unwatch(struct etcd_watch *watch);

/* Where the next request goes to, "host:port", for people. */
const char *etcd_client_endpoint(const struct etcd_client *client);

#endif
