/*
 * `pgpool migrate`: which program's file it is, and whether what has become of it is good.
 *
 * Called by proc/migrate.c, in a command of its own: it reads files, and never writes one.
 */
#include "config/migrate.h"

#include "config/migrate_parts.h"
#include "config/source.h"

#include <stdlib.h>
#include <string.h>

/* Reads it to see; -1 when it cannot be read. */
static int
recognise(const char *path, enum migrate_from *from, struct config_report *report)
{
    char *text;
    size_t len;
    struct err err;

    if (*from != MIGRATE_FROM_ANY)
        return 0;
    if (source_read(path, &text, &len, &err) != 0) {
        report_add(report, CONFIG_FAULT, (struct place){NULL, 0}, err.hint, "%s", err.message);
        return -1;
    }
    *from = ini_is_pgbouncer(text, len) ? MIGRATE_FROM_PGBOUNCER : MIGRATE_FROM_PGPOOL2;
    free(text);
    return 0;
}

/* Faults of the new text, with its lines. */
static int
check(const struct buf *text, struct config_report *report)
{
    struct config *cfg = NULL;
    struct config_report found;
    int rc;

    config_report_init(&found);
    rc = config_load_text((const char *)text->data, text->len, "the new pgpool.conf", &cfg, &found);
    for (uint32_t n = 0; n < found.count; n++) {
        const struct config_finding *finding = &found.findings[n];

        if (finding->severity == CONFIG_FAULT)
            report_add(report, CONFIG_FAULT, (struct place){finding->file, finding->line},
                       finding->hint, "%s", finding->text);
    }
    config_report_fini(&found);
    config_free(cfg);
    return rc;
}

/* A comment belongs to what follows: an empty line stands in front of one behind a setting, and
 * never two in a row. */
static void
space_out(const struct buf *text, struct buf *out)
{
    const char *at = (const char *)text->data;
    const char *end = at + text->len;
    bool was_setting = false;
    bool was_empty = true;

    while (at < end) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((eol != NULL ? eol + 1 : end) - at);
        bool empty = *at == '\n';
        bool comment = at[0] == '#' && len > 1 && strchr(" -\n", at[1]) != NULL;
        bool begins = len > 5 && strncmp(at, "# was", 5) == 0;

        if ((comment && was_setting) || (begins && !was_empty))
            buf_add_u8(out, '\n');
        if (!empty || !was_empty)
            buf_add(out, at, len);
        was_setting = !empty && !comment;
        was_empty = empty;
        at += len;
    }
}

int
config_migrate(const struct migrate_request *request, struct buf *out, struct config_report *report)
{
    struct migrate_request known = *request;
    struct buf written = BUF_EMPTY;
    struct buf text = BUF_EMPTY;
    int rc;

    if (recognise(known.path, &known.from, report) != 0)
        return -1;
    if (known.from == MIGRATE_FROM_PGBOUNCER) {
        rc = migrate_pgbouncer(&known, &written, report);
    } else if (known.part != MIGRATE_PGPOOL_CONF) {
        report_add(report, CONFIG_FAULT, (struct place){NULL, 0},
                   "copy the old one, where there is one",
                   "Pgpool-II's other files are taken as they are");
        rc = -1;
    } else {
        rc = migrate_pgpool2(known.path, &written, report);
    }
    if (known.part == MIGRATE_PGPOOL_CONF)
        space_out(&written, &text);
    else
        buf_add(&text, written.data, written.len);
    buf_free(&written);
    if (rc == 0 && known.part == MIGRATE_PGPOOL_CONF)
        rc = check(&text, report);
    buf_add(out, text.data, text.len);
    buf_free(&text);
    return rc;
}
