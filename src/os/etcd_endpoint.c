/*
 * Where etcd is: endpoints as people write them, URLs, and addresses for libcurl. Pure.
 */
#include "etcd_private.h"

#include "base/num.h"
#include "base/str.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

void
etcd_endpoint_url(const struct etcd_endpoint *endpoint, const char *path, char *url_r)
{
    bool v6 = strchr(endpoint->host, ':') != NULL;

    snprintf(url_r, ETCD_URL_BYTES, "%s://%s%s%s:%u%s", endpoint->tls ? "https" : "http",
             v6 ? "[" : "", endpoint->host, v6 ? "]" : "", endpoint->port, path);
}

/* What libcurl is to take instead of asking for the name; "" for a literal. */
void
etcd_endpoint_resolve(const struct etcd_endpoint *endpoint, const struct dns_answer *answer,
                      char *text_r, size_t size)
{
    struct sock_address literal;
    size_t len;

    text_r[0] = '\0';
    if (sock_parse_literal(endpoint->host, endpoint->port, &literal))
        return;
    len = (size_t)snprintf(text_r, size, "%s:%u:", endpoint->host, endpoint->port);
    for (uint32_t n = 0; n < answer->count && len < size; n++) {
        char address[64];

        if (getnameinfo((const struct sockaddr *)&answer->list[n].storage, answer->list[n].len,
                        address, sizeof(address), NULL, 0, NI_NUMERICHOST) == 0)
            len += (size_t)snprintf(text_r + len, size - len, "%s%s", n > 0 ? "," : "", address);
    }
}

static int
parse_endpoint(const char *text, size_t len, bool tls, struct etcd_endpoint *endpoint_r)
{
    char buffer[300];
    char *host = buffer;
    char *port;

    memset(endpoint_r, 0, sizeof(*endpoint_r));
    endpoint_r->tls = tls;
    endpoint_r->port = 2379;
    if (!str_copy_n(buffer, sizeof(buffer), text, len))
        return -1;
    if (strncmp(host, "https://", 8) == 0 || strncmp(host, "http://", 7) == 0) {
        endpoint_r->tls = host[4] == 's';
        host += endpoint_r->tls ? 8 : 7;
    }
    if (host[0] == '[') {
        port = strchr(++host, ']');
        if (port == NULL)
            return -1;
        *port++ = '\0';
    } else {
        port = strchr(host, ':');
    }
    if (port != NULL && *port == ':') {
        uint32_t number;

        *port = '\0';
        if (!num_parse_u32(port + 1, &number) || number == 0 || number > 65535)
            return -1;
        endpoint_r->port = (uint16_t)number;
    } else if (port != NULL && *port != '\0') {
        return -1;
    }
    if (host[0] == '\0' || strpbrk(host, "/ @?#") != NULL ||
        !str_copy(endpoint_r->host, sizeof(endpoint_r->host), host))
        return -1;
    snprintf(endpoint_r->name, sizeof(endpoint_r->name), "%s:%u", endpoint_r->host,
             endpoint_r->port);
    return 0;
}

int
etcd_endpoints_parse(struct etcd_endpoints *endpoints, const char *hosts, bool tls, struct err *err)
{
    const char *at = hosts != NULL ? hosts : "";

    while (*at != '\0') {
        size_t len;

        at += strspn(at, ", ");
        len = strcspn(at, ", ");
        if (len == 0)
            break;
        if (endpoints->count == ETCD_ENDPOINTS_MAX)
            return err_set(err, "22023", "more than %d endpoints of etcd", ETCD_ENDPOINTS_MAX);
        if (parse_endpoint(at, len, tls, &endpoints->list[endpoints->count]) != 0) {
            err_set(err, "22023", "invalid endpoint of etcd \"%.*s\"", (int)len, at);
            err_hint(err, "Write host:port or https://host:port, separated by commas.");
            return -1;
        }
        endpoints->count++;
        at += len;
    }
    if (endpoints->count == 0)
        return err_set(err, "22023", "no endpoint of etcd is set");
    return 0;
}

int
etcd_hosts_check(const char *hosts, struct err *err)
{
    struct etcd_endpoints endpoints = {0};

    return etcd_endpoints_parse(&endpoints, hosts, false, err);
}
