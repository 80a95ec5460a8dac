/*
 * What was found in a configuration: kept in order, all of it, so that one look at a file shows
 * everything that is wrong with it. Limited, so that a file of rubbish does not fill the memory.
 */
#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 4096, ROOM_FIRST = 16 };

void
config_report_init(struct config_report *report)
{
    *report = (struct config_report){.count = 0};
    arena_init(&report->arena, 0);
}

void
config_report_fini(struct config_report *report)
{
    arena_fini(&report->arena);
    free(report->findings);
    *report = (struct config_report){.count = 0};
}

void
report_add(struct config_report *report, enum config_severity severity, struct place place,
           const char *hint, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;

    report->faults += severity == CONFIG_FAULT;
    if (report_full(report))
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (report->count == report->room) {
        report->room = MAX(report->room * 2, (uint32_t)ROOM_FIRST);
        report->findings = xrealloc(report->findings, report->room * sizeof(report->findings[0]));
    }
    report->findings[report->count++] = (struct config_finding){
        .severity = severity,
        .file = arena_strdup(&report->arena, place.file != NULL ? place.file : ""),
        .line = place.line,
        .text = arena_strdup(&report->arena, text),
        .hint = arena_strdup(&report->arena, hint != NULL ? hint : ""),
    };
}

void
config_finding_print(const struct config_finding *finding, struct buf *out)
{
    if (finding->file[0] != '\0')
        buf_printf(out, "%s:", finding->file);
    if (finding->line > 0)
        buf_printf(out, "%u:", finding->line);
    if (finding->file[0] != '\0')
        buf_add_u8(out, ' ');
    buf_add_str(out, finding->text);
    if (finding->hint[0] != '\0')
        buf_printf(out, " (hint: %s)", finding->hint);
}
