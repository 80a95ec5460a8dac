/*
 * Any bytes as pool_limits.
 *
 * Checked besides memory: what is wrong has its line; each entry that is kept counts for somebody,
 * can be found, and is taken from the canonical text as it was printed there.
 */
#include "fuzz.h"

#include "config/load.h"

static const char file_name[] = "pool_limits";
static const char nobody[] = "\001";

static void
check_findings(const struct config_report *report)
{
    for (uint32_t n = 0; n < report->count; n++) {
        if (strcmp(report->findings[n].file, file_name) != 0 || report->findings[n].line == 0)
            BUG("a finding without its place");
    }
}

static void
check_entries(const struct config_limits *limits)
{
    if (limits->count > CONFIG_LIMITS_MAX)
        BUG("more entries than there may be");
    for (uint32_t n = 0; n < limits->count; n++) {
        const struct config_limit *entry = &limits->list[n];
        const char *database = entry->database != NULL ? entry->database : nobody;
        const char *user = entry->user != NULL ? entry->user : nobody;

        if (config_limit_find(limits, database, user) != entry)
            BUG("an entry is not the first that matches its own names");
        if ((entry->group > 0) != (entry->max_connections > 0) || entry->group >= CONFIG_GROUPS_MAX)
            BUG("an entry has the wrong group");
    }
}

/* Another process takes what this one has printed. */
static void
check_round_trip(const struct config_limits *limits)
{
    static struct config again;
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    struct err err;

    again.limits = (struct config_limits){NULL, 0};
    arena_init(&again.arena, 0);
    for (uint32_t n = 0; n < limits->count; n++) {
        buf_clear(&first);
        buf_clear(&second);
        limits_print(&limits->list[n], &first);
        if (limits_take_printed(&again, buf_cstr(&first), &err) != 0)
            BUG("what was printed is refused: %s", err.message);
        limits_print(&again.limits.list[n], &second);
        if (first.len != second.len || memcmp(first.data, buf_cstr(&second), first.len) != 0)
            BUG("what was printed changes when it is taken");
    }
    arena_fini(&again.arena);
    buf_free(&first);
    buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct limits_source source = {(const char *)data, size, file_name};
    struct config_limits limits;
    struct config_report report;
    struct arena arena;

    arena_init(&arena, 0);
    config_report_init(&report);
    config_limits_parse(&source, &arena, &limits, &report);
    check_findings(&report);
    check_entries(&limits);
    check_round_trip(&limits);
    config_report_fini(&report);
    arena_fini(&arena);
    return 0;
}
