/*
 * Rules out of the configuration: regular expressions and redirect preference lists.
 *
 * Built by proc/child for each generation of the configuration, asked by session/.
 */
#include "route/rules.h"

#include "base/arena.h"
#include "config/config.h"
#include "config/redirect.h"
#include "config/regexes.h"

#include <stdlib.h>
#include <string.h>

struct preference {
    regex_t name;
    struct route_wish wish;
    double ratio;
};

struct preferences {
    struct preference *list;
    uint32_t count;
};

struct route_rules {
    struct regexes patterns;
    struct preferences by_application;
    struct preferences by_database;
    struct preferences by_user;
};

/* ---- one entry ---- */

static struct route_wish
wish_of(const struct redirect *r)
{
    if (r->node_id == REDIRECT_TO_PRIMARY)
        return (struct route_wish){.kind = ROUTE_WISH_PRIMARY};
    if (r->node_id == REDIRECT_TO_STANDBY)
        return (struct route_wish){.kind = ROUTE_WISH_STANDBY};
    return (struct route_wish){.kind = ROUTE_WISH_NODE, .node_id = r->node_id};
}

static int
take_preference(const char *entry, struct preference *p_r, struct err *err)
{
    struct redirect r;

    if (redirect_parse(entry, &r, err) != 0 ||
        regexes_compile_one(&p_r->name, r.name, true, true, err) != 0)
        return -1;
    p_r->ratio = r.ratio;
    p_r->wish = wish_of(&r);
    return 0;
}

/* ---- all of them ---- */

static int
take_list(struct preferences *p, const struct config_list *list, struct err *err)
{
    p->list = xcalloc(MAX(list->count, 1u), sizeof(*p->list));
    for (uint32_t n = 0; n < list->count; n++) {
        if (take_preference(list->items[n], &p->list[n], err) != 0)
            return -1;
        p->count++;
    }
    return 0;
}

int
route_rules_new(const struct config *cfg, struct route_rules **rules_r, struct err *err)
{
    struct route_rules *rules = xcalloc(1, sizeof(*rules));

    if (regexes_compile(&rules->patterns, &cfg->primary_routing_query_pattern_list, false, err) !=
            0 ||
        take_list(&rules->by_application, &cfg->app_name_redirect_preference_list, err) != 0 ||
        take_list(&rules->by_database, &cfg->database_redirect_preference_list, err) != 0 ||
        take_list(&rules->by_user, &cfg->user_redirect_preference_list, err) != 0) {
        route_rules_free(rules);
        return -1;
    }
    *rules_r = rules;
    return 0;
}

static void
free_list(struct preferences *p)
{
    for (uint32_t n = 0; n < p->count; n++)
        regfree(&p->list[n].name);
    free(p->list);
}

void
route_rules_free(struct route_rules *rules)
{
    if (rules == NULL)
        return;
    regexes_free(&rules->patterns);
    free_list(&rules->by_application);
    free_list(&rules->by_database);
    free_list(&rules->by_user);
    free(rules);
}

/* ---- questions ---- */

bool
route_rules_pattern(const struct route_rules *rules, const char *text, size_t len)
{
    return regexes_match(&rules->patterns, text, len);
}

static bool
find_wish(const struct preferences *p, const char *name, double draw, struct route_wish *wish_r)
{
    for (uint32_t n = 0; n < p->count; n++) {
        const struct preference *entry = &p->list[n];
        if (regexec(&entry->name, name, 0, NULL, 0) != 0)
            continue;
        *wish_r = draw < entry->ratio ? entry->wish : (struct route_wish){.kind = ROUTE_WISH_NONE};
        return true;
    }
    return false;
}

struct route_wish
route_rules_wish(const struct route_rules *rules, const struct route_client *client, double draw)
{
    struct route_wish wish = {.kind = ROUTE_WISH_NONE};

    if (client->application[0] != '\0' &&
        find_wish(&rules->by_application, client->application, draw, &wish))
        return wish;
    if (!find_wish(&rules->by_database, client->database, draw, &wish))
        find_wish(&rules->by_user, client->user, draw, &wish);
    return wish;
}
