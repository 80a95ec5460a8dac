/*
 * Texts of online recovery. The script is src/cluster/rebuild.sh; this writes its parameters.
 *
 * Invariant: no value reaches a shell or SQL but through the two functions that quote.
 */
#include "cluster/rebuild.h"

#include "base/num.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char script[] =
#include "rebuild_sh.h"
    ;

/* Base backups leave out every file whose name begins with this. */
static const char output_file[] = "pgsql_tmp_pgpool_recovery";

enum { OUTPUT_BYTES = 8192 };

void
rebuild_quote_shell(struct buf *out, const char *word)
{
    buf_add_u8(out, '\'');
    for (const char *at = word; *at != '\0'; at++) {
        if (*at == '\'')
            buf_add_str(out, "'\\''");
        else
            buf_add_u8(out, (uint8_t)*at);
    }
    buf_add_u8(out, '\'');
}

void
rebuild_quote_sql(struct buf *out, const char *text)
{
    buf_add_str(out, "E'");
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\'' || *at == '\\')
            buf_add_u8(out, (uint8_t)*at);
        buf_add_u8(out, (uint8_t)*at);
    }
    buf_add_u8(out, '\'');
}

/* A value of a connection string. */
static void
quote_conninfo(struct buf *out, const char *value)
{
    buf_add_u8(out, '\'');
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\'' || *at == '\\')
            buf_add_u8(out, '\\');
        buf_add_u8(out, (uint8_t)*at);
    }
    buf_add_u8(out, '\'');
}

static bool
has_control(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == '\177')
            return true;
    }
    return false;
}

static int
check_text(const char *what, const char *text, struct err *err)
{
    if (has_control(text))
        return err_set(err, "22023", "%s of online recovery holds a control character", what);
    return 0;
}

/* Hosts and names stand without quotes in primary_conninfo, so that the next run finds them. */
static int
check_plain(const char *what, const char *text, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-:/%@";

    if (text[strspn(text, allowed)] != '\0')
        return err_set(err, "22023", "%s \"%s\" cannot be used by online recovery", what, text);
    return 0;
}

static int
check(const struct rebuild *r, struct err *err)
{
    if (r->data_directory[0] == '\0') {
        err_set(err, "22023", "the data directory of node %d is not known", r->node_id);
        err_hint(err, "Set backend_data_directory%d.", r->node_id);
        return -1;
    }
    if (r->data_directory[0] != '/' || r->data_directory[1] == '\0')
        return err_set(err, "22023", "backend_data_directory%d \"%s\" is no absolute path",
                       r->node_id, r->data_directory);
    if (check_plain("the node's host", r->node_host, err) != 0 ||
        check_plain("the primary's host", r->primary_host, err) != 0 ||
        check_plain("application_name", r->application_name, err) != 0 ||
        check_text("the data directory", r->data_directory, err) != 0 ||
        check_text("the user", r->user, err) != 0 ||
        check_text("the password", r->password, err) != 0)
        return -1;
    return check_text("recovery_bin_directory", r->bin_directory, err);
}

static void
assign(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s=", name);
    rebuild_quote_shell(out, value);
    buf_add_u8(out, '\n');
}

static void
assign_number(struct buf *out, const char *name, int64_t value)
{
    buf_printf(out, "%s=%" PRId64 "\n", name, value);
}

static void
assign_connection(const struct rebuild *r, struct buf *out)
{
    struct buf text = BUF_EMPTY;

    buf_add_str(&text, "user=");
    quote_conninfo(&text, r->user);
    assign(out, "login", buf_cstr(&text));
    if (r->password[0] != '\0') {
        buf_add_str(&text, " password=");
        quote_conninfo(&text, r->password);
    }
    assign(out, "login_secret", buf_cstr(&text));
    buf_clear(&text);
    buf_add_str(&text, "user=");
    quote_conninfo(&text, r->user);
    buf_printf(&text, " host=%s port=%u dbname=postgres", r->primary_host, r->primary_port);
    assign(out, "source", buf_cstr(&text));
    buf_free(&text);
}

int
rebuild_script(const struct rebuild *r, struct buf *out, struct err *err)
{
    static const char *const modes[] = {"auto", "copy", "clean"};

    if (check(r, err) != 0)
        return -1;
    assign(out, "mode", modes[r->mode]);
    assign(out, "data", r->data_directory);
    assign_number(out, "node_id", r->node_id);
    assign(out, "node_host", r->node_host);
    assign_number(out, "node_port", r->node_port);
    assign(out, "application_name", r->application_name);
    assign(out, "primary_host", r->primary_host);
    assign_number(out, "primary_port", r->primary_port);
    assign(out, "password", r->password);
    assign_connection(r, out);
    assign(out, "system_id", r->system_identifier);
    assign_number(out, "timeline", r->timeline);
    assign_number(out, "major", r->server_version / 10000);
    assign(out, "history", r->history);
    assign(out, "bin", r->bin_directory);
    assign_number(out, "wait_s", r->wait_s);
    buf_add_str(out, script);
    return 0;
}

void
rebuild_history(const char *file, struct buf *out)
{
    while (*file != '\0') {
        unsigned timeline;
        uint32_t high;
        uint32_t low;

        /* the scan would go on to the next line where this one is empty */
        if (*file != '\n' && sscanf(file, "%u %" SCNx32 "/%" SCNx32, &timeline, &high, &low) == 3)
            buf_printf(out, "%s%u %" PRIX32 "/%" PRIX32, out->len > 0 ? "\n" : "", timeline, high,
                       low);
        file += strcspn(file, "\n");
        file += *file == '\n';
    }
}

int
rebuild_program_sql(const char *data_directory, int node_id, const char *const *words,
                    struct buf *out, struct err *err)
{
    struct buf command = BUF_EMPTY;
    struct buf path = BUF_EMPTY;

    for (const char *const *word = words; *word != NULL; word++) {
        if (check_text("an argument of a script", *word, err) != 0)
            return -1;
    }
    buf_printf(&path, "%s/%s", data_directory, words[0]);
    rebuild_quote_shell(&command, buf_cstr(&path));
    for (const char *const *word = words + 1; *word != NULL; word++) {
        buf_add_u8(&command, ' ');
        rebuild_quote_shell(&command, *word);
    }
    buf_printf(&command, " </dev/null >%s.%d 2>&1", output_file, node_id);
    buf_add_str(out, "COPY (SELECT 1 WHERE false) TO PROGRAM ");
    rebuild_quote_sql(out, buf_cstr(&command));
    buf_free(&command);
    buf_free(&path);
    return 0;
}

void
rebuild_output_sql(int node_id, uint64_t offset, struct buf *out)
{
    buf_printf(out,
               "SELECT pg_catalog.encode(pg_catalog.pg_read_binary_file('%s.%d', %" PRIu64
               ", %d, true), 'hex')",
               output_file, node_id, offset, OUTPUT_BYTES);
}

void
rebuild_forget_sql(int node_id, struct buf *out)
{
    buf_printf(out, "COPY (SELECT 1 WHERE false) TO PROGRAM 'rm -f %s.%d'", output_file, node_id);
}
