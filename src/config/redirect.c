/*
 * Entries of redirect preference lists; called when a file is checked, and by route/ when it makes
 * rules of them.
 */
#include "config/redirect.h"

#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "config/value.h"

#include <string.h>

static bool
take_node(const char *text, int *node_id_r)
{
    uint32_t number;

    if (str_equal_nocase(text, "primary"))
        *node_id_r = REDIRECT_TO_PRIMARY;
    else if (str_equal_nocase(text, "standby"))
        *node_id_r = REDIRECT_TO_STANDBY;
    else if (num_parse_u32(text, &number) && number < CONFIG_NODES_MAX)
        *node_id_r = (int)number;
    else
        return false;
    return true;
}

/* "node(ratio)" */
static bool
take_place(const char *text, struct redirect *r)
{
    char node[16];
    char ratio[32];
    const char *open = strchr(text, '(');
    size_t len = strlen(text);

    r->ratio = 1;
    if (open == NULL)
        return take_node(text, &r->node_id);
    return text[len - 1] == ')' && str_copy_n(node, sizeof(node), text, (size_t)(open - text)) &&
           str_copy_n(ratio, sizeof(ratio), open + 1, len - (size_t)(open - text) - 2) &&
           take_node(node, &r->node_id) && num_parse_double(ratio, &r->ratio) && r->ratio >= 0 &&
           r->ratio <= 1;
}

int
redirect_parse(const char *entry, struct redirect *r, struct err *err)
{
    const char *colon = strrchr(entry, ':');

    if (colon == NULL || colon == entry || !take_place(colon + 1, r) ||
        !str_copy_n(r->name, sizeof(r->name), entry, (size_t)(colon - entry))) {
        err_set(err, "22023", "\"%s\" is no redirect preference", entry);
        err_hint(err, "Write name:node or name:node(ratio), with a number, \"primary\" or "
                      "\"standby\" for the node and a ratio from 0 to 1.");
        return -1;
    }
    return regex_check(r->name, err);
}
