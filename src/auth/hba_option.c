/*
 * Options behind the method: name=value.
 *
 * Called by hba_line.c. Each is a row: which methods it is for, and what takes its value.
 */
#include "auth/hba_parts.h"

#include "base/num.h"

#include <string.h>

/* One option on its way. */
struct given {
    struct hba_memory *memory;
    struct hba_line *line;
    const char *name;
    const char *value;
};

#define FOR(method) (1U << (method))
enum { FOR_ANY = ~0 };

static int
bad_value(const struct given *g, const char *hint, struct err *err)
{
    err_set(err, "F0000", "invalid value %s of \"%s\"", hba_shown(g->value, &g->memory->arena),
            g->name);
    err_hint(err, "%s", hint);
    return -1;
}

static int
take_text(const struct given *g, const char **text_r)
{
    *text_r = g->value[0] != '\0' ? arena_strdup(&g->memory->arena, g->value) : NULL;
    return 0;
}

static int
take_bool(const struct given *g, bool *on_r, struct err *err)
{
    if (strcmp(g->value, "0") != 0 && strcmp(g->value, "1") != 0)
        return bad_value(g, "It is 1 or 0.", err);
    *on_r = g->value[0] == '1';
    return 0;
}

static int
take_map(const struct given *g, struct err *err UNUSED)
{
    return take_text(g, &g->line->options.map);
}

static int
need_hostssl(const struct given *g, struct err *err)
{
    if (g->line->type == HBA_HOSTSSL)
        return 0;
    return err_set(err, "F0000", "\"%s\" is for hostssl lines only", g->name);
}

static int
take_clientcert(const struct given *g, struct err *err)
{
    struct hba_options *o = &g->line->options;

    if (need_hostssl(g, err) != 0)
        return -1;
    if (strcmp(g->value, "verify-full") == 0)
        o->clientcert = HBA_CLIENTCERT_FULL;
    else if (strcmp(g->value, "verify-ca") == 0 && g->line->method != HBA_CERT)
        o->clientcert = HBA_CLIENTCERT_CA;
    else
        return bad_value(g,
                         g->line->method == HBA_CERT
                             ? "With method cert it can only be verify-full."
                             : "It is verify-ca or verify-full.",
                         err);
    return 0;
}

static int
take_clientname(const struct given *g, struct err *err)
{
    struct hba_options *o = &g->line->options;

    if (need_hostssl(g, err) != 0)
        return -1;
    if (strcmp(g->value, "CN") != 0 && strcmp(g->value, "DN") != 0)
        return bad_value(g, "It is CN or DN.", err);
    o->clientname = g->value[0] == 'D' ? HBA_CLIENTNAME_DN : HBA_CLIENTNAME_CN;
    o->clientname_set = true;
    return 0;
}

static int
take_pamservice(const struct given *g, struct err *err UNUSED)
{
    return take_text(g, &g->line->options.pamservice);
}

static int
take_hostname(const struct given *g, struct err *err)
{
    return take_bool(g, &g->line->options.pam_use_hostname, err);
}

static int
take_use_passwd(const struct given *g, struct err *err UNUSED)
{
    g->line->note = "backend_use_passwd has no effect: it is not needed";
    return 0;
}

/* ---- ldap ---- */

static int
take_url(const struct given *g, struct err *err)
{
    return hba_take_ldap_url(g->memory, g->value, &g->line->options.ldap, err);
}

static int
take_tls(const struct given *g, struct err *err)
{
    return take_bool(g, &g->line->options.ldap.tls, err);
}

static int
take_scheme(const struct given *g, struct err *err)
{
    if (strcmp(g->value, "ldap") != 0 && strcmp(g->value, "ldaps") != 0)
        return bad_value(g, "It is ldap or ldaps.", err);
    g->line->options.ldap.ldaps = strcmp(g->value, "ldaps") == 0;
    g->line->options.ldap.scheme_set = true;
    return 0;
}

static int
take_port(const struct given *g, struct err *err)
{
    uint32_t port;

    if (!num_parse_u32(g->value, &port) || port == 0 || port > UINT16_MAX)
        return bad_value(g, "It is a number from 1 to 65535.", err);
    g->line->options.ldap.port = (uint16_t)port;
    return 0;
}

#define LDAP_TEXT(field)                                                                           \
    static int take_##field(const struct given *g, struct err *err UNUSED)                         \
    {                                                                                              \
        return take_text(g, &g->line->options.ldap.field);                                         \
    }
LDAP_TEXT(server)
LDAP_TEXT(prefix)
LDAP_TEXT(suffix)
LDAP_TEXT(basedn)
LDAP_TEXT(binddn)
LDAP_TEXT(bindpasswd)
LDAP_TEXT(searchattribute)
LDAP_TEXT(searchfilter)

/* ---- all of them ---- */

static const struct {
    const char *name;
    unsigned methods;
    const char *methods_text;
    int (*take)(const struct given *g, struct err *err);
} options[] = {
    {"map", FOR(HBA_PEER) | FOR(HBA_CERT), "peer and cert", take_map},
    {"clientcert", (unsigned)FOR_ANY, "", take_clientcert},
    {"clientname", (unsigned)FOR_ANY, "", take_clientname},
    {"pamservice", FOR(HBA_PAM), "pam", take_pamservice},
    {"pam_use_hostname", FOR(HBA_PAM), "pam", take_hostname},
    {"ldapurl", FOR(HBA_LDAP), "ldap", take_url},
    {"ldaptls", FOR(HBA_LDAP), "ldap", take_tls},
    {"ldapscheme", FOR(HBA_LDAP), "ldap", take_scheme},
    {"ldapserver", FOR(HBA_LDAP), "ldap", take_server},
    {"ldapport", FOR(HBA_LDAP), "ldap", take_port},
    {"ldapprefix", FOR(HBA_LDAP), "ldap", take_prefix},
    {"ldapsuffix", FOR(HBA_LDAP), "ldap", take_suffix},
    {"ldapbasedn", FOR(HBA_LDAP), "ldap", take_basedn},
    {"ldapbinddn", FOR(HBA_LDAP), "ldap", take_binddn},
    {"ldapbindpasswd", FOR(HBA_LDAP), "ldap", take_bindpasswd},
    {"ldapsearchattribute", FOR(HBA_LDAP), "ldap", take_searchattribute},
    {"ldapsearchfilter", FOR(HBA_LDAP), "ldap", take_searchfilter},
    {"backend_use_passwd", (unsigned)FOR_ANY, "", take_use_passwd},
};

static int
take_named(const struct given *g, struct err *err)
{
    for (size_t n = 0; n < ARRAY_LEN(options); n++) {
        if (strcmp(g->name, options[n].name) != 0)
            continue;
        if ((options[n].methods & FOR(g->line->method)) == 0)
            return err_set(err, "F0000", "\"%s\" is for the authentication method%s %s only",
                           g->name, strchr(options[n].methods_text, ' ') != NULL ? "s" : "",
                           options[n].methods_text);
        return options[n].take(g, err);
    }
    return err_set(err, "F0000", "unknown authentication option %s",
                   hba_shown(g->name, &g->memory->arena));
}

int
hba_take_option(struct hba_memory *m, struct hba_line *line, const char *token, struct err *err)
{
    const char *equals = strchr(token, '=');
    struct given g = {m, line, NULL, NULL};

    if (equals != NULL) {
        g.name = arena_strndup(&m->arena, token, (size_t)(equals - token));
        g.value = equals + 1;
        return take_named(&g, err);
    }
    if (line->method == HBA_PAM && line->options.pamservice == NULL && token[0] != '\0') {
        line->options.pamservice = arena_strdup(&m->arena, token);
        line->note = "the name of the PAM service is written pamservice=NAME now";
        return 0;
    }
    err_set(err, "F0000", "%s is no authentication option", hba_shown(token, &m->arena));
    err_hint(err, "Options read name=value, in double quotes where they hold blanks or commas.");
    return -1;
}

int
hba_check_options(struct hba_line *line, struct err *err)
{
    if (line->method == HBA_CERT)
        line->options.clientcert = HBA_CLIENTCERT_FULL;
    return line->method == HBA_LDAP ? hba_check_ldap(&line->options.ldap, err) : 0;
}
