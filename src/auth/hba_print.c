/*
 * Lines of pool_hba.conf as SHOW and messages have them: the forms of pg_hba_file_rules.
 */
#include "auth/hba_parts.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
    [HBA_LOCAL] = "local",           [HBA_HOST] = "host",
    [HBA_HOSTSSL] = "hostssl",       [HBA_HOSTNOSSL] = "hostnossl",
    [HBA_HOSTGSSENC] = "hostgssenc", [HBA_HOSTNOGSSENC] = "hostnogssenc",
};

const char *
hba_type_name(enum hba_type type)
{
    return type_names[type];
}

/* ---- arrays ---- */

static bool
needs_quotes(const char *text)
{
    return text[0] == '\0' || str_equal_nocase(text, "null") ||
           text[strcspn(text, "{}\",\\ \t\n\r\v\f")] != '\0';
}

void
hba_print_element(const char *text, struct buf *out)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        buf_add_u8(out, ',');
    if (!needs_quotes(text)) {
        buf_add_str(out, text);
        return;
    }
    buf_add_u8(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_add_u8(out, '\\');
        buf_add_u8(out, (uint8_t)*text);
    }
    buf_add_u8(out, '"');
}

void
hba_print_names(const struct hba_names *names, struct buf *out)
{
    struct buf array = BUF_EMPTY;

    buf_add_u8(&array, '{');
    for (uint32_t n = 0; n < names->count; n++)
        hba_print_element(names->list[n].text, &array);
    buf_add_u8(&array, '}');
    buf_add(out, array.data, array.len);
    buf_free(&array);
}

static void
add_option(struct buf *array, const char *name, const char *value)
{
    struct buf both = BUF_EMPTY;

    if (value == NULL)
        return;
    if (array->len == 0)
        buf_add_u8(array, '{');
    buf_printf(&both, "%s=%s", name, value);
    hba_print_element(buf_cstr(&both), array);
    buf_free(&both);
}

static void
add_ldap(struct buf *array, const struct hba_ldap *ldap)
{
    char port[8];

    snprintf(port, sizeof(port), "%u", ldap->port);
    add_option(array, "ldapserver", ldap->server);
    add_option(array, "ldapport", ldap->port != 0 ? port : NULL);
    add_option(array, "ldapscheme", !ldap->scheme_set ? NULL : ldap->ldaps ? "ldaps" : "ldap");
    add_option(array, "ldaptls", ldap->tls ? "true" : NULL);
    add_option(array, "ldapprefix", ldap->prefix);
    add_option(array, "ldapsuffix", ldap->suffix);
    add_option(array, "ldapbasedn", ldap->basedn);
    add_option(array, "ldapbinddn", ldap->binddn);
    add_option(array, "ldapbindpasswd", ldap->bindpasswd != NULL ? "****" : NULL);
    add_option(array, "ldapsearchattribute", ldap->searchattribute);
    add_option(array, "ldapsearchfilter", ldap->searchfilter);
    if (ldap->scope != HBA_LDAP_BASE)
        add_option(array, "ldapscope", ldap->scope == HBA_LDAP_ONE ? "1" : "2");
}

void
hba_print_options(const struct hba_line *line, struct buf *out)
{
    const struct hba_options *o = &line->options;
    struct buf array = BUF_EMPTY;

    add_option(&array, "map", o->map);
    add_option(&array, "clientcert",
               o->clientcert == HBA_CLIENTCERT_FULL ? "verify-full"
               : o->clientcert == HBA_CLIENTCERT_CA ? "verify-ca"
                                                    : NULL);
    if (o->clientname_set)
        add_option(&array, "clientname", o->clientname == HBA_CLIENTNAME_DN ? "DN" : "CN");
    add_option(&array, "pamservice", o->pamservice);
    add_option(&array, "pam_use_hostname", o->pam_use_hostname ? "1" : NULL);
    if (line->method == HBA_LDAP)
        add_ldap(&array, &o->ldap);
    if (array.len > 0)
        buf_add_u8(&array, '}');
    buf_add(out, array.data, array.len);
    buf_free(&array);
}

/* ---- addresses ---- */

static void
print_literal(int family, const uint8_t *address, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];

    if (inet_ntop(family, address, text, sizeof(text)) != NULL)
        buf_add_str(out, text);
}

void
hba_print_address(const struct hba_line *line, struct buf *out)
{
    switch (line->address) {
    case HBA_ADDRESS_NONE:
        break;
    case HBA_ADDRESS_ALL:
        buf_add_str(out, "all");
        break;
    case HBA_ADDRESS_SAMEHOST:
        buf_add_str(out, "samehost");
        break;
    case HBA_ADDRESS_SAMENET:
        buf_add_str(out, "samenet");
        break;
    case HBA_ADDRESS_NET:
        print_literal(line->net.family, line->net.address, out);
        break;
    case HBA_ADDRESS_NAME:
        buf_add_str(out, line->host_name);
        break;
    }
}

void
hba_print_netmask(const struct hba_line *line, struct buf *out)
{
    if (line->address == HBA_ADDRESS_NET)
        print_literal(line->net.family, line->net.mask, out);
}
