/*
 * What the unit tests of config/ share: loading a text and looking for a finding.
 */
#ifndef UNIT_CONFIG_UNIT_H
#define UNIT_CONFIG_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#include <stdio.h>
#include <string.h>

/* A configuration with its report; free both with loaded_fini. */
struct loaded {
    struct config *cfg; /* NULL when it was refused */
    struct config_report report;
};

static inline struct loaded
load_bytes(const char *text, size_t len)
{
    struct loaded l = {.cfg = NULL};

    config_report_init(&l.report);
    if (config_load_text(text, len, "/etc/pgpool/test.conf", &l.cfg, &l.report) != 0)
        l.cfg = NULL;
    assert_true((l.cfg == NULL) == (l.report.faults > 0));
    return l;
}

static inline struct loaded
load(const char *text)
{
    return load_bytes(text, strlen(text));
}

static inline void
loaded_fini(struct loaded *l)
{
    config_free(l->cfg);
    config_report_fini(&l->report);
}

/* The finding whose printed form holds the words, or NULL. */
static inline const struct config_finding *
find(const struct loaded *l, const char *words)
{
    const struct config_finding *found = NULL;
    struct buf text = BUF_EMPTY;

    for (uint32_t n = 0; n < l->report.count && found == NULL; n++) {
        buf_clear(&text);
        config_finding_print(&l->report.findings[n], &text);
        if (strstr(buf_cstr(&text), words) != NULL)
            found = &l->report.findings[n];
    }
    buf_free(&text);
    return found;
}

/* Everything found, for the message of a failing test. */
static inline void
assert_found(const struct loaded *l, enum config_severity severity, const char *words)
{
    const struct config_finding *finding = find(l, words);

    if (finding == NULL) {
        for (uint32_t n = 0; n < l->report.count; n++)
            print_error("found: %s:%u %s (%s)\n", l->report.findings[n].file,
                        l->report.findings[n].line, l->report.findings[n].text,
                        l->report.findings[n].hint);
        fail_msg("not found: %s", words);
    }
    assert_int_equal(finding->severity, severity);
}

/* The text is refused with a fault that holds the words. */
static inline void
refused(const char *text, const char *words)
{
    struct loaded l = load(text);

    assert_found(&l, CONFIG_FAULT, words);
    loaded_fini(&l);
}

/* The text loads, with a warning or note that holds the words. */
static inline void
warned(const char *text, enum config_severity severity, const char *words)
{
    struct loaded l = load(text);

    assert_non_null(l.cfg);
    assert_found(&l, severity, words);
    loaded_fini(&l);
}

/* The option shows the value after the text was loaded. */
static inline void
shows(const char *text, const char *name, const char *value)
{
    struct loaded l = load(text);
    struct buf shown = BUF_EMPTY;

    if (l.cfg == NULL)
        fail_msg("refused: %s: %s", text, l.report.findings[0].text);
    assert_true(config_get(l.cfg, NULL, name, &shown));
    assert_string_equal(buf_cstr(&shown), value);
    buf_free(&shown);
    loaded_fini(&l);
}

#endif
