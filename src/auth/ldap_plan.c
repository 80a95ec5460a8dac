/*
 * What the options of an LDAP rule come to for one user: servers, the name to bind as, or the
 * search for it. Pure.
 *
 * Called by auth/ldap.c, and for each rule when it is read. A user's name is a stranger's text: it
 * gets into a distinguished name only as a value, and into a filter likewise. Source: PostgreSQL's
 * manual, "LDAP Authentication"; RFC 4514, 4515, 4516.
 */
#include "auth/ldap.h"
#include "base/num.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { PORT_LDAP = 389, PORT_LDAPS = 636 };

static const char placeholder[] = "$username";

/* The options with the parts of the URL in the places that were left open. */
struct settings {
    struct ldap_options o;
    enum ldap_scope scope;
    struct buf url; /* its parts, decoded, each with a NUL behind it */
};

static bool
given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* ---- escaping ---- */

static void
add_escaped(struct buf *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";

    buf_add_u8(out, '\\');
    buf_add_u8(out, (uint8_t)digits[byte >> 4]);
    buf_add_u8(out, (uint8_t)digits[byte & 15]);
}

void
ldap_escape_dn(struct buf *out, const char *value)
{
    size_t len = strlen(value);

    for (size_t at = 0; at < len; at++) {
        uint8_t byte = (uint8_t)value[at];
        bool outer_space = byte == ' ' && (at == 0 || at + 1 == len);

        if (byte < ' ' || byte == 0x7f || strchr("\"+,;<=>\\", byte) != NULL || outer_space ||
            (byte == '#' && at == 0))
            add_escaped(out, byte);
        else
            buf_add_u8(out, byte);
    }
}

void
ldap_escape_filter(struct buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        uint8_t byte = (uint8_t)*value;

        if (byte < ' ' || byte == 0x7f || strchr("*()\\", byte) != NULL)
            add_escaped(out, byte);
        else
            buf_add_u8(out, byte);
    }
}

/* ---- the URL ---- */

static int
fail_url(const char *url, const char *why, struct err *err)
{
    return err_set(err, "F0000", "could not read LDAP URL \"%s\": %s", url, why);
}

static int
hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes a part into s->url. Returns where it begins there; -1: no valid text. */
static ptrdiff_t
decode(struct settings *s, const char *text, size_t len)
{
    ptrdiff_t start = (ptrdiff_t)s->url.len;

    for (size_t at = 0; at < len; at++) {
        int high;
        int low;

        if (text[at] != '%') {
            buf_add_u8(&s->url, (uint8_t)text[at]);
            continue;
        }
        high = len - at > 2 ? hex_value(text[at + 1]) : -1;
        low = high >= 0 ? hex_value(text[at + 2]) : -1;
        if (low < 0 || high * 16 + low == 0)
            return -1;
        buf_add_u8(&s->url, (uint8_t)(high * 16 + low));
        at += 2;
    }
    buf_add_u8(&s->url, 0);
    return start;
}

static int
parse_scope(const char *text, enum ldap_scope *scope_r)
{
    static const char *const names[] = {
        [LDAP_SCOPE_IS_BASE] = "base", [LDAP_SCOPE_IS_ONE] = "one", [LDAP_SCOPE_IS_SUB] = "sub"};

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (str_equal_nocase(text, names[n])) {
            *scope_r = (enum ldap_scope)n;
            return 0;
        }
    }
    return text[0] == '\0' ? 0 : -1;
}

/* host, host:port or [address]:port */
static int
split_host(char *text, uint16_t *port_r)
{
    char *colon = strrchr(text, ':');
    char *bracket = strchr(text, ']');
    uint32_t port;

    if (colon == NULL || (bracket != NULL && colon < bracket))
        return 0;
    if (!num_parse_u32(colon + 1, &port) || port == 0 || port > UINT16_MAX)
        return -1;
    *port_r = (uint16_t)port;
    *colon = '\0';
    return 0;
}

enum url_part { URL_HOST, URL_BASE, URL_ATTRIBUTE, URL_SCOPE, URL_FILTER, URL_PARTS };

/* Fills what the line itself leaves open. */
static int
use_url(struct settings *s, char *const part[URL_PARTS], struct err *err)
{
    const char *url = s->o.url;
    uint16_t port = 0;

    if (split_host(part[URL_HOST], &port) != 0)
        return fail_url(url, "the port is no number from 1 to 65535", err);
    s->scope = LDAP_SCOPE_IS_BASE;
    if (parse_scope(part[URL_SCOPE], &s->scope) != 0)
        return fail_url(url, "the scope is none of base, one and sub", err);
    if (strchr(part[URL_ATTRIBUTE], ',') != NULL)
        return fail_url(url, "one attribute is enough", err);
    if (!given(s->o.server)) {
        s->o.server = part[URL_HOST];
        s->o.port = s->o.port != 0 ? s->o.port : port;
    }
    if (!given(s->o.basedn))
        s->o.basedn = part[URL_BASE];
    if (!given(s->o.searchattribute))
        s->o.searchattribute = part[URL_ATTRIBUTE];
    if (!given(s->o.searchfilter))
        s->o.searchfilter = part[URL_FILTER];
    return 0;
}

/* scheme://host:port/base?attribute?scope?filter */
static int
read_url(struct settings *s, struct err *err)
{
    const char *url = s->o.url;
    const char *at;
    bool is_ldaps = str_equal_nocase_n(url, "ldaps://", 8);
    ptrdiff_t starts[URL_PARTS];
    char *part[URL_PARTS];

    if (!is_ldaps && !str_equal_nocase_n(url, "ldap://", 7))
        return fail_url(url, "it begins neither with \"ldap://\" nor with \"ldaps://\"", err);
    if (given(s->o.scheme) && strcmp(s->o.scheme, is_ldaps ? "ldaps" : "ldap") != 0)
        return fail_url(url, "ldapscheme says something else", err);
    s->o.scheme = is_ldaps ? "ldaps" : "ldap";
    at = url + (is_ldaps ? 8 : 7);
    for (int n = 0; n < URL_PARTS; n++) {
        size_t len = strcspn(at, n == URL_HOST ? "/?" : "?");

        starts[n] = decode(s, at, len);
        if (starts[n] < 0)
            return fail_url(url, "behind each \"%\" stand two hexadecimal digits", err);
        at += len;
        /* without a slash there is no base, and its question mark is still to come */
        if (*at == '/' || (*at == '?' && n != URL_HOST))
            at++;
    }
    if (*at != '\0')
        return fail_url(url, "extensions are not supported", err);
    for (int n = 0; n < URL_PARTS; n++)
        part[n] = (char *)s->url.data + starts[n];
    return use_url(s, part, err);
}

/* ---- checks ---- */

static int
check_forms(const struct ldap_options *o, struct err *err)
{
    bool binds = given(o->prefix) || given(o->suffix);
    bool searches = given(o->basedn) || given(o->binddn) || given(o->bindpasswd) ||
                    given(o->searchattribute) || given(o->searchfilter) || given(o->url);

    if (binds && searches)
        return err_set(err, "F0000",
                       "ldapprefix and ldapsuffix exclude ldapbasedn, ldapbinddn, ldapbindpasswd, "
                       "ldapsearchattribute, ldapsearchfilter and ldapurl");
    if (!binds && !given(o->basedn))
        return err_set(err, "F0000",
                       "method \"ldap\" needs one of ldapbasedn, ldapprefix and ldapsuffix");
    if (given(o->searchattribute) && given(o->searchfilter))
        return err_set(err, "F0000", "ldapsearchattribute and ldapsearchfilter exclude each other");
    if (given(o->searchfilter) && strstr(o->searchfilter, placeholder) == NULL) {
        err_set(err, "F0000", "LDAP search filter \"%s\" does not contain \"%s\"", o->searchfilter,
                placeholder);
        err_detail(err, "every user would be the same entry");
        return -1;
    }
    return 0;
}

static int
check_connection(const struct ldap_options *o, struct err *err)
{
    if (given(o->scheme) && strcmp(o->scheme, "ldap") != 0 && strcmp(o->scheme, "ldaps") != 0)
        return err_set(err, "F0000", "ldapscheme \"%s\" is neither \"ldap\" nor \"ldaps\"",
                       o->scheme);
    if (o->tls && given(o->scheme) && strcmp(o->scheme, "ldaps") == 0)
        return err_set(err, "F0000", "ldaptls and the scheme \"ldaps\" exclude each other");
    if (!given(o->server) || o->server[strspn(o->server, " ")] == '\0') {
        err_set(err, "F0000", "method \"ldap\" needs ldapserver, or an ldapurl with a host");
        err_hint(err, "servers are not looked for in the DNS");
        return -1;
    }
    if (strpbrk(o->server, "/?\\\"<>,") != NULL)
        return err_set(err, "F0000", "ldapserver \"%s\" is no list of host names", o->server);
    return 0;
}

static int
settle(const struct ldap_options *options, struct settings *s, struct err *err)
{
    *s = (struct settings){.o = *options, .scope = LDAP_SCOPE_IS_SUB};
    if (given(options->url) && read_url(s, err) != 0)
        return -1;
    return check_forms(&s->o, err) == 0 ? check_connection(&s->o, err) : -1;
}

int
ldap_options_check(const struct ldap_options *options, struct err *err)
{
    struct settings s;
    int result = settle(options, &s, err);

    buf_free(&s.url);
    return result;
}

/* ---- the plan ---- */

static void
add_uris(const struct ldap_options *o, struct ldap_plan *plan)
{
    bool is_ldaps = given(o->scheme) && strcmp(o->scheme, "ldaps") == 0;
    uint16_t port = o->port != 0 ? o->port : is_ldaps ? PORT_LDAPS : PORT_LDAP;
    const char *at = o->server + strspn(o->server, " ");

    while (*at != '\0') {
        size_t len = strcspn(at, " ");
        /* an address of IPv6 */
        bool bare = at[0] != '[' && memchr(at, ':', len) != NULL;

        buf_printf(&plan->uris, "%s://%s%.*s%s:%u", is_ldaps ? "ldaps" : "ldap", bare ? "[" : "",
                   (int)len, at, bare ? "]" : "", port);
        buf_add_u8(&plan->uris, 0);
        plan->uri_count++;
        at += len;
        at += strspn(at, " ");
    }
}

static int
fail_user(const char *user, struct err *err)
{
    return err_set(err, "28000", "user name \"%s\" may not be used with LDAP", user);
}

/* With "uid=" in front, the name is a value of a distinguished name. Otherwise (DOMAIN\user,
 * user@domain) what is sent is taken for such a name only if it looks like one. */
static int
plan_bind(const struct ldap_options *o, const char *user, struct buf *name, struct err *err)
{
    const char *prefix = given(o->prefix) ? o->prefix : "";

    buf_add_str(name, prefix);
    if (strchr(prefix, '=') != NULL)
        ldap_escape_dn(name, user);
    else if (strpbrk(user, "\"+,;<=>\\/") == NULL)
        buf_add_str(name, user);
    else
        return fail_user(user, err);
    if (given(o->suffix))
        buf_add_str(name, o->suffix);
    buf_cstr(name);
    return 0;
}

static int
plan_search(const struct ldap_options *o, const char *user, struct ldap_plan *plan, struct err *err)
{
    const char *at = o->searchfilter;
    const char *found;

    /* as PostgreSQL, which lists what may have a meaning in a filter */
    if (strpbrk(user, "*()\\/") != NULL)
        return fail_user(user, err);
    plan->searches = true;
    buf_add_str(&plan->base, o->basedn);
    buf_cstr(&plan->base);
    if (!given(at)) {
        buf_printf(&plan->filter, "(%s=", given(o->searchattribute) ? o->searchattribute : "uid");
        ldap_escape_filter(&plan->filter, user);
        buf_add_str(&plan->filter, ")");
    } else {
        while ((found = strstr(at, placeholder)) != NULL) {
            buf_add(&plan->filter, at, (size_t)(found - at));
            ldap_escape_filter(&plan->filter, user);
            at = found + strlen(placeholder);
        }
        buf_add_str(&plan->filter, at);
    }
    buf_cstr(&plan->filter);
    return 0;
}

int
ldap_plan_make(const struct ldap_options *options, const char *user, struct ldap_plan *plan_r,
               struct err *err)
{
    struct settings s;
    int result;

    *plan_r = (struct ldap_plan){.start_tls = options->tls};
    result = settle(options, &s, err);
    if (result == 0 && user[0] == '\0')
        result = err_set(err, "28000", "empty user name");
    if (result == 0) {
        add_uris(&s.o, plan_r);
        plan_r->scope = s.scope;
        result = given(s.o.basedn) ? plan_search(&s.o, user, plan_r, err)
                                   : plan_bind(&s.o, user, &plan_r->name, err);
    }
    buf_free(&s.url);
    return result;
}

void
ldap_plan_free(struct ldap_plan *plan)
{
    buf_free(&plan->uris);
    buf_free(&plan->base);
    buf_free(&plan->filter);
    buf_free(&plan->name);
}
