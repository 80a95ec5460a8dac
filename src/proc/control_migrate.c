/*
 * `pgpool migrate OLD`: the new file on standard output, what is to be said about it on standard
 * error. Starts nothing, writes no file.
 */
#include "control.h"

#include "base/str.h"
#include "config/migrate.h"
#include "proc/start.h"

#include <stdio.h>

enum { STATUS_WRONG_COMMAND = 2 };

/* The place of a word in a list, -1 when it is none. */
static int
place_of(const char *word, const char *const *known, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        if (str_equal_nocase(word, known[n]))
            return (int)n;
    }
    return -1;
}

static int
take_words(const struct command *cmd, struct migrate_request *request)
{
    static const char *const programs[] = {
        [MIGRATE_FROM_ANY] = "any",
        [MIGRATE_FROM_PGPOOL2] = "pgpool-ii",
        [MIGRATE_FROM_PGBOUNCER] = "pgbouncer",
    };
    static const char *const parts[] = {
        [MIGRATE_PGPOOL_CONF] = "pgpool.conf",
        [MIGRATE_POOL_LIMITS] = "pool_limits",
        [MIGRATE_POOL_PASSWD] = "pool_passwd",
        [MIGRATE_POOL_HBA] = "pool_hba.conf",
    };
    int from = place_of(cmd->from != NULL ? cmd->from : programs[MIGRATE_FROM_ANY], programs,
                        ARRAY_LEN(programs));
    int part = place_of(cmd->part != NULL ? cmd->part : parts[MIGRATE_PGPOOL_CONF], parts,
                        ARRAY_LEN(parts));

    if (from < 0)
        fprintf(stderr, "pgpool: unknown program \"%s\": pgpool-ii or pgbouncer\n", cmd->from);
    if (part < 0)
        fprintf(stderr,
                "pgpool: unknown file \"%s\": pgpool.conf, pool_limits, pool_passwd or "
                "pool_hba.conf\n",
                cmd->part);
    if (from < 0 || part < 0)
        return -1;
    request->from = (enum migrate_from)from;
    request->part = (enum migrate_part)part;
    return 0;
}

int
control_migrate(const struct command *cmd)
{
    struct migrate_request request = {.path = cmd->object};
    struct config_report report;
    struct buf text = BUF_EMPTY;
    bool written;
    int rc;

    if (take_words(cmd, &request) != 0)
        return STATUS_WRONG_COMMAND;
    config_report_init(&report);
    rc = config_migrate(&request, &text, &report);
    written = fwrite(text.data, 1, text.len, stdout) == text.len;
    written = fflush(stdout) == 0 && written;
    if (!written)
        fprintf(stderr, "pgpool: could not write to standard output\n");
    control_print_report(&report);
    if (rc != 0)
        fprintf(stderr, "pgpool: \"%s\" could not be migrated%s\n", cmd->object,
                text.len > 0 ? ": pgpool will not start with this file" : "");
    buf_free(&text);
    config_report_fini(&report);
    return rc == 0 && written ? 0 : 1;
}
