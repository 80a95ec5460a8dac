/*
 * ldapurl (RFC 4516) and what LDAP's options must be together.
 *
 * Called by hba_option.c. ldap[s]://host[:port]/basedn[?attribute[?scope[?filter[?extensions]]]]
 */
#include "auth/hba_parts.h"

#include "base/num.h"
#include "base/str.h"

#include <ctype.h>
#include <string.h>

enum { PART_DN, PART_ATTRIBUTE, PART_SCOPE, PART_FILTER, PART_EXTENSIONS, PARTS };

static int
bad_url(struct err *err, const char *what)
{
    err_set(err, "F0000", "invalid value of \"ldapurl\": %s", what);
    err_hint(err, "It reads ldap://host[:port]/basedn[?attribute[?scope[?filter]]].");
    return -1;
}

static unsigned
hex(char c)
{
    return isdigit((unsigned char)c) ? (unsigned)(c - '0')
                                     : (unsigned)(tolower((unsigned char)c) - 'a' + 10);
}

/* Undoes %XX. An empty part is NULL. */
static int
decode(struct arena *arena, const char *text, const char **decoded_r, struct err *err)
{
    char *out = arena_strdup(arena, text);

    *decoded_r = out[0] != '\0' ? out : NULL;
    for (; *text != '\0'; text++) {
        if (*text != '%') {
            *out++ = *text;
            continue;
        }
        if (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]) ||
            (text[1] == '0' && text[2] == '0'))
            return bad_url(err, "% is not followed by two hexadecimal digits");
        *out++ = (char)(hex(text[1]) << 4 | hex(text[2]));
        text += 2;
    }
    *out = '\0';
    return 0;
}

/* host, host:port, [IPv6], [IPv6]:port */
static int
take_host(struct arena *arena, char *host, struct hba_ldap *ldap, struct err *err)
{
    char *behind = host[0] == '[' ? strchr(host, ']') : host;
    char *colon;
    uint32_t port;

    if (behind == NULL)
        return bad_url(err, "a bracket is not closed");
    colon = strchr(behind, ':');
    if (colon != NULL) {
        if (!num_parse_u32(colon + 1, &port) || port == 0 || port > UINT16_MAX)
            return bad_url(err, "the port is no number from 1 to 65535");
        ldap->port = (uint16_t)port;
        *colon = '\0';
    } else {
        ldap->port = ldap->ldaps ? 636 : 389;
    }
    if (host[0] == '[' && behind[1] != '\0')
        return bad_url(err, "something stands behind the bracket");
    return decode(arena, host, &ldap->server, err);
}

static int
take_scope(const char *text, struct hba_ldap *ldap, struct err *err)
{
    if (text[0] == '\0' || str_equal_nocase(text, "base"))
        ldap->scope = HBA_LDAP_BASE;
    else if (str_equal_nocase(text, "one") || str_equal_nocase(text, "onelevel"))
        ldap->scope = HBA_LDAP_ONE;
    else if (str_equal_nocase(text, "sub") || str_equal_nocase(text, "subtree"))
        ldap->scope = HBA_LDAP_SUBTREE;
    else
        return bad_url(err, "the scope is not base, one or sub");
    return 0;
}

/* Cuts at the character; what follows, "" without. */
static char *
cut(char *text, char at)
{
    char *found = strchr(text, at);

    if (found == NULL)
        return text + strlen(text);
    *found = '\0';
    return found + 1;
}

static int
take_parts(struct arena *arena, char *text, struct hba_ldap *ldap, struct err *err)
{
    char *parts[PARTS];

    for (int n = 0; n < PARTS; n++) {
        parts[n] = text;
        text = n < PART_EXTENSIONS ? cut(text, '?') : text;
    }
    if (strchr(parts[PART_EXTENSIONS], '!') != NULL)
        return bad_url(err, "critical extensions are not supported");
    cut(parts[PART_ATTRIBUTE], ','); /* one is enough */
    if (take_scope(parts[PART_SCOPE], ldap, err) != 0 ||
        decode(arena, parts[PART_DN], &ldap->basedn, err) != 0 ||
        decode(arena, parts[PART_ATTRIBUTE], &ldap->searchattribute, err) != 0)
        return -1;
    return decode(arena, parts[PART_FILTER], &ldap->searchfilter, err);
}

int
hba_take_ldap_url(struct hba_memory *m, const char *url, struct hba_ldap *ldap, struct err *err)
{
    char *text = arena_strdup(&m->arena, url);
    char *scheme = strstr(text, "://");
    char *rest;

    if (scheme == NULL)
        return bad_url(err, "it does not begin with ldap:// or ldaps://");
    *scheme = '\0';
    ldap->ldaps = str_equal_nocase(text, "ldaps");
    if (!ldap->ldaps && !str_equal_nocase(text, "ldap"))
        return bad_url(err, "it does not begin with ldap:// or ldaps://");
    ldap->scheme_set = true;
    text = scheme + 3;
    rest = cut(text, '/');
    if (strchr(text, '?') != NULL)
        return bad_url(err, "there is no / behind the host");
    if (take_host(&m->arena, text, ldap, err) != 0)
        return -1;
    return take_parts(&m->arena, rest, ldap, err);
}

int
hba_check_ldap(const struct hba_ldap *ldap, struct err *err)
{
    bool binds = ldap->prefix != NULL || ldap->suffix != NULL;
    bool searches = ldap->basedn != NULL || ldap->binddn != NULL || ldap->bindpasswd != NULL ||
                    ldap->searchattribute != NULL || ldap->searchfilter != NULL;

    if (ldap->server == NULL)
        return err_set(err, "F0000", "\"ldap\" needs \"ldapserver\" or \"ldapurl\"");
    if (binds && searches) {
        err_set(err, "F0000",
                "\"ldapprefix\" and \"ldapsuffix\" do not go together with options of a search");
        err_hint(err, "Either the name is put between prefix and suffix, or it is searched for "
                      "below \"ldapbasedn\".");
        return -1;
    }
    if (!binds && ldap->basedn == NULL)
        return err_set(err, "F0000",
                       "\"ldap\" needs \"ldapprefix\", \"ldapsuffix\" or \"ldapbasedn\"");
    if (ldap->searchattribute != NULL && ldap->searchfilter != NULL)
        return err_set(err, "F0000",
                       "\"ldapsearchattribute\" and \"ldapsearchfilter\" do not go together");
    return 0;
}
