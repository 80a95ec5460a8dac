/*
 * One line of pool_hba.conf: connection type, databases, users, address, method, options.
 *
 * Called by hba.c. The first fault that is found is the line's error.
 */
#include "auth/hba_parts.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

/* The fields of a line, one after the other. */
struct walk {
    struct hba_memory *memory;
    const struct hba_file_line *text;
    uint32_t at;
};

static const char types[] =
    "local, host, hostssl, hostnossl, hostgssenc or hostnogssenc begins a line.";
static const char methods_there_are[] = "There are trust, reject, scram-sha-256, md5, password, "
                                        "cert, peer, pam and ldap.";

static const struct {
    const char *name;
    enum hba_method method;
} methods[] = {
    {"trust", HBA_TRUST}, {"reject", HBA_REJECT}, {"password", HBA_PASSWORD},
    {"md5", HBA_MD5},     {"cert", HBA_CERT},     {"scram-sha-256", HBA_SCRAM},
    {"peer", HBA_PEER},   {"pam", HBA_PAM},       {"ldap", HBA_LDAP},
};

static const char *const not_offered[] = {"gss", "sspi", "ident", "radius", "bsd", "oauth"};

static const struct hba_field *
next_field(struct walk *w)
{
    return w->at < w->text->count ? &w->text->fields[w->at++] : NULL;
}

/* NULL with err: the line ends, or the field is a list. */
static const struct hba_token *
next_single(struct walk *w, const char *what, struct err *err)
{
    const struct hba_field *field = next_field(w);

    if (field == NULL) {
        err_set(err, "F0000", "the line ends before the %s", what);
        return NULL;
    }
    if (field->count > 1) {
        err_set(err, "F0000", "more than one %s", what);
        err_hint(err, "It takes a line for each.");
        return NULL;
    }
    return &field->tokens[0];
}

static int
take_type(struct walk *w, enum hba_type *type_r, struct err *err)
{
    const struct hba_token *token = next_single(w, "connection type", err);

    if (token == NULL)
        return -1;
    for (int type = HBA_LOCAL; type <= HBA_HOSTNOGSSENC; type++) {
        if (strcmp(token->text, hba_type_name((enum hba_type)type)) == 0) {
            *type_r = (enum hba_type)type;
            return 0;
        }
    }
    err_set(err, "F0000", "invalid connection type %s", hba_shown(token->text, &w->memory->arena));
    err_hint(err, "%s", types);
    return -1;
}

/* ---- names ---- */

static int
take_plain(struct hba_memory *m, const struct hba_token *token, struct hba_name *name,
           struct err *err)
{
    if (token->text[0] != '/')
        return 0;
    name->kind = HBA_NAME_REGEX;
    name->regex = hba_memory_regex(m, token->text + 1, err);
    return name->regex != NULL ? 0 : -1;
}

int
hba_take_user(struct hba_memory *m, const struct hba_token *token, struct hba_name *name_r,
              struct err *err)
{
    *name_r = (struct hba_name){HBA_NAME_PLAIN, token->text, NULL};
    if (hba_token_is(token, "all"))
        name_r->kind = HBA_NAME_ALL;
    else if (!token->quoted && token->text[0] == '+')
        name_r->kind = HBA_NAME_MEMBER;
    else
        return take_plain(m, token, name_r, err);
    return 0;
}

static int
take_database(struct hba_memory *m, const struct hba_token *token, struct hba_name *name_r,
              struct err *err)
{
    static const struct {
        const char *word;
        enum hba_name_kind kind;
    } words[] = {
        {"all", HBA_NAME_ALL},
        {"sameuser", HBA_NAME_SAMEUSER},
        {"samerole", HBA_NAME_SAMEROLE},
        {"samegroup", HBA_NAME_SAMEROLE},
        {"replication", HBA_NAME_REPLICATION},
    };

    *name_r = (struct hba_name){HBA_NAME_PLAIN, token->text, NULL};
    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        if (hba_token_is(token, words[n].word)) {
            name_r->kind = words[n].kind;
            return 0;
        }
    }
    return take_plain(m, token, name_r, err);
}

static int
take_names(struct walk *w, bool users, struct hba_names *names_r, struct err *err)
{
    const struct hba_field *field = next_field(w);

    if (field == NULL)
        return err_set(err, "F0000", "the line ends before the %s", users ? "user" : "database");
    names_r->list = arena_alloc(&w->memory->arena, field->count * sizeof(*names_r->list));
    names_r->count = field->count;
    for (uint32_t n = 0; n < field->count; n++) {
        int rc = users ? hba_take_user(w->memory, &field->tokens[n], &names_r->list[n], err)
                       : take_database(w->memory, &field->tokens[n], &names_r->list[n], err);
        if (rc != 0)
            return -1;
    }
    return 0;
}

/* ---- addresses ---- */

static bool
parse_literal(const char *text, int *family_r, uint8_t address_r[16])
{
    *family_r = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    return inet_pton(*family_r, text, address_r) == 1;
}

/* Digits and dots, or colons: nobody's name. */
static bool
looks_like_address(const char *text)
{
    return strchr(text, ':') != NULL || text[strspn(text, "0123456789.")] == '\0';
}

static void
set_mask(struct hba_net *net, uint32_t bits)
{
    memset(net->mask, 0, sizeof(net->mask));
    for (uint32_t n = 0; n < bits; n++)
        net->mask[n / 8] |= (uint8_t)(0x80 >> n % 8);
}

static int
take_bits(struct hba_net *net, const char *bits, struct err *err)
{
    uint32_t most = net->family == AF_INET ? 32 : 128;
    uint32_t count;

    if (!isdigit((unsigned char)bits[0]) || !num_parse_u32(bits, &count) || count > most)
        return err_set(err, "F0000", "the length of the mask is no number from 0 to %u", most);
    set_mask(net, count);
    return 0;
}

static int
take_mask(struct walk *w, struct hba_net *net, struct err *err)
{
    const struct hba_token *token = next_single(w, "netmask", err);
    int family;

    if (token == NULL) {
        err_hint(err, "Write address/bits, or the mask as a field of its own.");
        return -1;
    }
    if (!parse_literal(token->text, &family, net->mask)) {
        err_set(err, "F0000", "invalid netmask %s", hba_shown(token->text, &w->memory->arena));
        err_hint(err, "An address is written address/bits, or is followed by its mask.");
        return -1;
    }
    if (family != net->family)
        return err_set(err, "F0000", "address and netmask are not of the same kind");
    return 0;
}

static int
take_name(struct walk *w, struct hba_line *line, const char *address, const char *slash,
          struct err *err)
{
    const char *shown = hba_shown(address, &w->memory->arena);

    if (address[0] == '\0' || looks_like_address(address)) {
        err_set(err, "F0000", "invalid address %s", shown);
        err_hint(err, "All four numbers of an IPv4 address have to be there.");
        return -1;
    }
    if (slash != NULL) {
        err_set(err, "F0000", "host name %s has a mask", shown);
        err_hint(err,
                 "Only addresses have one; a name that begins with a dot stands for all below.");
        return -1;
    }
    line->address = HBA_ADDRESS_NAME;
    line->host_name = address;
    return 0;
}

static int
take_address(struct walk *w, struct hba_line *line, struct err *err)
{
    const struct hba_token *token = next_single(w, "address", err);
    const char *address;
    const char *slash;

    if (token == NULL)
        return -1;
    line->address = hba_token_is(token, "all")        ? HBA_ADDRESS_ALL
                    : hba_token_is(token, "samehost") ? HBA_ADDRESS_SAMEHOST
                    : hba_token_is(token, "samenet")  ? HBA_ADDRESS_SAMENET
                                                      : HBA_ADDRESS_NET;
    if (line->address != HBA_ADDRESS_NET)
        return 0;
    slash = strchr(token->text, '/');
    address = slash != NULL
                  ? arena_strndup(&w->memory->arena, token->text, (size_t)(slash - token->text))
                  : token->text;
    if (!parse_literal(address, &line->net.family, line->net.address))
        return take_name(w, line, address, slash, err);
    return slash != NULL ? take_bits(&line->net, slash + 1, err) : take_mask(w, &line->net, err);
}

/* ---- methods ---- */

static int
find_method(struct walk *w, const char *name, enum hba_method *method_r, struct err *err)
{
    for (size_t n = 0; n < ARRAY_LEN(methods); n++) {
        if (strcmp(name, methods[n].name) == 0) {
            *method_r = methods[n].method;
            return 0;
        }
    }
    for (size_t n = 0; n < ARRAY_LEN(not_offered); n++) {
        if (strcmp(name, not_offered[n]) == 0) {
            err_set(err, "0A000", "authentication method \"%s\" is not offered by pgpool", name);
            err_hint(err, "%s", methods_there_are);
            return -1;
        }
    }
    err_set(err, "F0000", "invalid authentication method %s", hba_shown(name, &w->memory->arena));
    err_hint(err, "%s", methods_there_are);
    return -1;
}

static int
take_method(struct walk *w, struct hba_line *line, struct err *err)
{
    const struct hba_token *token = next_single(w, "authentication method", err);

    if (token == NULL)
        return -1;
    /* on a local line PostgreSQL has always taken ident for peer */
    if (line->type == HBA_LOCAL && strcmp(token->text, "ident") == 0)
        line->method = HBA_PEER;
    else if (find_method(w, token->text, &line->method, err) != 0)
        return -1;
    if (line->method == HBA_PEER && line->type != HBA_LOCAL)
        return err_set(err, "F0000", "authentication method \"peer\" is for local lines only");
    if (line->method == HBA_CERT && line->type != HBA_HOSTSSL)
        return err_set(err, "F0000", "authentication method \"cert\" is for hostssl lines only");
    line->options.ldap.scope = HBA_LDAP_SUBTREE;
    return 0;
}

static int
take_options(struct walk *w, struct hba_line *line, struct err *err)
{
    const struct hba_field *field;

    while ((field = next_field(w)) != NULL) {
        for (uint32_t n = 0; n < field->count; n++) {
            if (hba_take_option(w->memory, line, field->tokens[n].text, err) != 0)
                return -1;
        }
    }
    return hba_check_options(line, err);
}

int
hba_parse_line(struct hba_memory *m, const struct hba_file_line *text, struct hba_line *line,
               struct err *err)
{
    struct walk w = {m, text, 0};

    if (take_type(&w, &line->type, err) != 0 || take_names(&w, false, &line->databases, err) != 0 ||
        take_names(&w, true, &line->users, err) != 0)
        return -1;
    if (line->type != HBA_LOCAL && take_address(&w, line, err) != 0)
        return -1;
    if (take_method(&w, line, err) != 0)
        return -1;
    return take_options(&w, line, err);
}

const char *
hba_method_name(enum hba_method method)
{
    for (size_t n = 0; n < ARRAY_LEN(methods); n++) {
        if (methods[n].method == method)
            return methods[n].name;
    }
    return "?";
}
