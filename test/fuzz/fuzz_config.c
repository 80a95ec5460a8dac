/*
 * Any bytes as pgpool.conf: no undefined behaviour, and what is accepted prints to a text that is
 * accepted without a fault and prints to the same text again.
 */
#include "config/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
print_findings(const struct config_report *report)
{
    struct buf text = BUF_EMPTY;

    for (uint32_t n = 0; n < report->count; n++)
        config_finding_print(&report->findings[n], &text);
    buf_free(&text);
}

static void
ignore(void *ctx, const char *item, const char *value, const char *description)
{
    *(size_t *)ctx += strlen(item) + strlen(value) + strlen(description);
}

/* Another process loads what this one has printed. */
static void
check_round_trip(const struct config *cfg)
{
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    struct config_report report;
    struct config *again;
    size_t shown = 0;

    config_report_init(&report);
    config_print(cfg, &first);
    buf_cstr(&first);
    if (config_load_text((const char *)first.data, first.len, "/another/file", &again, &report) !=
        0)
        BUG("what was printed does not load: %s", report.findings[0].text);
    config_print(again, &second);
    if (first.len != second.len || memcmp(first.data, buf_cstr(&second), first.len) != 0)
        BUG("what was printed changes when it is loaded");
    config_show(again, NULL, CONFIG_GROUP_ALL, ignore, &shown);
    if (config_reload_check(cfg, again, &report) != 0)
        BUG("a reload without a change is refused: %s", report.findings[0].text);
    config_free(again);
    config_report_fini(&report);
    buf_free(&first);
    buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report;
    struct config *cfg;

    config_report_init(&report);
    if (config_load_text((const char *)data, size, "/etc/fuzz.conf", &cfg, &report) == 0) {
        check_round_trip(cfg);
        config_free(cfg);
    }
    print_findings(&report);
    config_report_fini(&report);
    return 0;
}
