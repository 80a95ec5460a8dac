/*
 * Which line of pool_hba.conf a client gets.
 *
 * Called by logins. Each line is asked three things, whether the client's address, database and
 * user are meant. One "no" is enough to pass on to the next; something that is not known yet stops
 * us, for the line that is to count may be this one. A match that cannot be made lets nobody in.
 */
#include "auth/hba_parts.h"

#include "base/str.h"

#include <netinet/in.h>
#include <string.h>

/* The client's address, IPv4 within IPv6 taken for what it is. */
struct peer {
    bool is_local;
    int family;
    uint8_t address[16];
};

static void
take_peer(const struct sockaddr *addr, struct peer *peer_r)
{
    *peer_r = (struct peer){.is_local = addr == NULL || addr->sa_family == AF_UNIX};
    if (peer_r->is_local)
        return;
    peer_r->family = addr->sa_family;
    if (addr->sa_family == AF_INET) {
        memcpy(peer_r->address, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
    } else if (addr->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(six)) {
            peer_r->family = AF_INET;
            memcpy(peer_r->address, six->s6_addr + 12, 4);
        } else {
            memcpy(peer_r->address, six->s6_addr, 16);
        }
    }
}

/* ---- addresses ---- */

static bool
is_in(const struct peer *peer, const struct hba_net *net, bool whole)
{
    size_t len = net->family == AF_INET ? 4 : 16;

    if (peer->family != net->family)
        return false;
    for (size_t n = 0; n < len; n++) {
        uint8_t mask = whole ? 0xff : net->mask[n];

        if (((peer->address[n] ^ net->address[n]) & mask) != 0)
            return false;
    }
    return true;
}

static enum hba_verdict
is_here(const struct hba_client *client, const struct peer *peer, const struct hba_line *line)
{
    if (client->nets == NULL)
        return line->method == HBA_REJECT ? HBA_YES : HBA_NO;
    for (uint32_t n = 0; n < client->nets->count; n++) {
        if (is_in(peer, &client->nets->list[n], line->address == HBA_ADDRESS_SAMEHOST))
            return HBA_YES;
    }
    return HBA_NO;
}

static enum hba_verdict
has_name(const struct hba_client *client, const char *pattern)
{
    size_t pattern_len = strlen(pattern);
    size_t len;

    if (client->host_name == NULL)
        return HBA_ASK_HOST_NAME;
    len = strlen(client->host_name);
    if (pattern[0] != '.')
        return len > 0 && str_equal_nocase(client->host_name, pattern) ? HBA_YES : HBA_NO;
    return len >= pattern_len && str_equal_nocase(client->host_name + len - pattern_len, pattern)
               ? HBA_YES
               : HBA_NO;
}

static enum hba_verdict
address_matches(const struct hba_client *client, const struct peer *peer,
                const struct hba_line *line)
{
    switch (line->address) {
    case HBA_ADDRESS_NONE:
    case HBA_ADDRESS_ALL:
        return HBA_YES;
    case HBA_ADDRESS_NET:
        return is_in(peer, &line->net, false) ? HBA_YES : HBA_NO;
    case HBA_ADDRESS_SAMEHOST:
    case HBA_ADDRESS_SAMENET:
        return is_here(client, peer, line);
    case HBA_ADDRESS_NAME:
        return has_name(client, line->host_name);
    }
    return HBA_BROKEN;
}

static bool
type_matches(const struct hba_client *client, const struct peer *peer, enum hba_type type)
{
    switch (type) {
    case HBA_LOCAL:
        return peer->is_local;
    case HBA_HOST:
    case HBA_HOSTNOGSSENC:
        return !peer->is_local;
    case HBA_HOSTSSL:
        return !peer->is_local && client->tls;
    case HBA_HOSTNOSSL:
        return !peer->is_local && !client->tls;
    case HBA_HOSTGSSENC:
        return false;
    }
    return false;
}

/* ---- names ---- */

static enum hba_verdict
is_member(const struct hba_roles *roles, const char *role)
{
    if (roles == NULL)
        return HBA_ASK_ROLES;
    for (uint32_t n = 0; n < roles->count; n++) {
        if (strcmp(roles->names[n], role) == 0)
            return HBA_YES;
    }
    return HBA_NO;
}

static enum hba_verdict
regex_matches(const struct hba_regex *regex, const char *text)
{
    int rc = hba_regex_match(regex, text, NULL);

    return rc < 0 ? HBA_BROKEN : rc > 0 ? HBA_YES : HBA_NO;
}

enum hba_verdict
hba_user_matches(const struct hba_name *name, const char *user, const struct hba_roles *roles)
{
    switch (name->kind) {
    case HBA_NAME_ALL:
        return HBA_YES;
    case HBA_NAME_MEMBER:
        return is_member(roles, name->text + 1);
    case HBA_NAME_REGEX:
        return regex_matches(name->regex, user);
    default:
        return strcmp(name->text, user) == 0 ? HBA_YES : HBA_NO;
    }
}

static enum hba_verdict
database_matches(const struct hba_name *name, const struct hba_client *client)
{
    if (client->replication)
        return name->kind == HBA_NAME_REPLICATION ? HBA_YES : HBA_NO;
    switch (name->kind) {
    case HBA_NAME_ALL:
        return HBA_YES;
    case HBA_NAME_SAMEUSER:
        return strcmp(client->database, client->user) == 0 ? HBA_YES : HBA_NO;
    case HBA_NAME_SAMEROLE:
        return is_member(client->roles, client->database);
    case HBA_NAME_REGEX:
        return regex_matches(name->regex, client->database);
    case HBA_NAME_PLAIN:
        return strcmp(name->text, client->database) == 0 ? HBA_YES : HBA_NO;
    default:
        return HBA_NO;
    }
}

/* One "yes" is enough; else what is not known is. */
static enum hba_verdict
either(enum hba_verdict a, enum hba_verdict b)
{
    if (a == HBA_BROKEN || b == HBA_BROKEN)
        return HBA_BROKEN;
    if (a == HBA_YES || b == HBA_YES)
        return HBA_YES;
    return a != HBA_NO ? a : b;
}

/* One "no" is enough; else what is not known is. */
static enum hba_verdict
both(enum hba_verdict a, enum hba_verdict b)
{
    if (a == HBA_NO || b == HBA_NO)
        return HBA_NO;
    if (a == HBA_BROKEN || b == HBA_BROKEN)
        return HBA_BROKEN;
    return a != HBA_YES ? a : b;
}

static enum hba_verdict
line_matches(const struct hba_client *client, const struct peer *peer, const struct hba_line *line)
{
    enum hba_verdict databases = HBA_NO;
    enum hba_verdict users = HBA_NO;

    if (!type_matches(client, peer, line->type))
        return HBA_NO;
    for (uint32_t n = 0; n < line->databases.count && databases != HBA_YES; n++)
        databases = either(databases, database_matches(&line->databases.list[n], client));
    for (uint32_t n = 0; n < line->users.count && users != HBA_YES; n++)
        users = either(users, hba_user_matches(&line->users.list[n], client->user, client->roles));
    /* roles are asked for before names of hosts: those are slow to get */
    return both(both(databases, users), address_matches(client, peer, line));
}

enum hba_result
hba_match(const struct hba *h, const struct hba_client *client, const struct hba_line **line_r)
{
    const struct hba_line *line;
    struct peer peer;

    *line_r = NULL;
    if (!hba_is_good(h))
        return HBA_NO_MATCH;
    take_peer(client->addr, &peer);
    for (uint32_t n = 0; (line = hba_line_at(h, n)) != NULL; n++) {
        switch (line_matches(client, &peer, line)) {
        case HBA_NO:
            break;
        case HBA_YES:
            *line_r = line;
            return HBA_MATCH;
        case HBA_ASK_ROLES:
            return HBA_NEEDS_ROLES;
        case HBA_ASK_HOST_NAME:
            return HBA_NEEDS_HOST_NAME;
        case HBA_BROKEN:
            return HBA_NO_MATCH;
        }
    }
    return HBA_NO_MATCH;
}
