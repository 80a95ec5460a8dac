/*
 * Connection strings. Called by the failover process when standbys are to follow another primary.
 */
#include "os/conninfo.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

static void
add_pair(struct buf *out, const char *keyword, const char *value)
{
    if (out->len > 0)
        buf_add(out, " ", 1);
    buf_add(out, keyword, strlen(keyword));
    buf_add(out, "='", 2);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            buf_add(out, "\\", 1);
        buf_add(out, p, 1);
    }
    buf_add(out, "'", 1);
}

static bool
names_server(const char *keyword)
{
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
           strcmp(keyword, "port") == 0;
}

void
conninfo_with_server(const char *conninfo, const char *host, uint16_t port, struct buf *out)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    struct buf pairs = BUF_EMPTY;
    char number[8];

    snprintf(number, sizeof(number), "%u", port);
    add_pair(&pairs, "host", host);
    add_pair(&pairs, "port", number);
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val != NULL && o->val[0] != '\0' && !names_server(o->keyword))
            add_pair(&pairs, o->keyword, o->val);
    }
    buf_add(out, pairs.data, pairs.len);
    buf_free(&pairs);
    PQconninfoFree(options);
}

static const char *
value_of(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) == 0)
            return o->val != NULL ? o->val : "";
    }
    return "";
}

bool
conninfo_is_server(const char *conninfo, const char *host, uint16_t port)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    char number[8];
    bool same;

    snprintf(number, sizeof(number), "%u", port);
    same = options != NULL && value_of(options, "hostaddr")[0] == '\0' &&
           strcmp(value_of(options, "host"), host) == 0 &&
           strcmp(value_of(options, "port"), number) == 0;
    PQconninfoFree(options);
    return same;
}
