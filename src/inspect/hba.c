/*
 * SHOW pool_hba_file_rules and pool_ident_file_mappings: what the files say now, whether it is in
 * force or not. The columns are those of PostgreSQL's pg_hba_file_rules and
 * pg_ident_file_mappings.
 *
 * Called through include/tables/views.def. Reads the files on the disk.
 */
#include "auth/hba.h"
#include "auth/ident.h"
#include "inspect/views.h"

/* "" is null: none of these columns has an empty text. */
static const char *
or_null(struct buf *text)
{
    return text->len > 0 ? buf_cstr(text) : NULL;
}

static const char *
number_or_null(uint32_t number, char text_r[VIEWS_NUMBER_BYTES])
{
    return number > 0 ? views_number(number, text_r) : NULL;
}

/* With the hint, for there is no column for it. */
static const char *
error_text(const char *error, const char *hint, struct buf *out)
{
    if (error == NULL)
        return NULL;
    buf_clear(out);
    buf_add_str(out, error);
    if (hint != NULL)
        buf_printf(out, " (hint: %s)", hint);
    return buf_cstr(out);
}

enum { TEXTS = 6 };

static void
show_rule(const struct hba_line *line, inspect_row_fn *row, void *ctx)
{
    char numbers[2][VIEWS_NUMBER_BYTES];
    struct buf texts[TEXTS] = {BUF_EMPTY};
    bool is_rule = line->error == NULL;

    if (is_rule) {
        hba_print_names(&line->databases, &texts[0]);
        hba_print_names(&line->users, &texts[1]);
        hba_print_address(line, &texts[2]);
        hba_print_netmask(line, &texts[3]);
        hba_print_options(line, &texts[4]);
    }
    row(ctx,
        (const char *const[]){number_or_null(line->rule, numbers[0]), line->file,
                              number_or_null(line->number, numbers[1]),
                              is_rule ? hba_type_name(line->type) : NULL, or_null(&texts[0]),
                              or_null(&texts[1]), or_null(&texts[2]), or_null(&texts[3]),
                              is_rule ? hba_method_name(line->method) : NULL, or_null(&texts[4]),
                              error_text(line->error, line->hint, &texts[5])},
        11);
    for (uint32_t n = 0; n < TEXTS; n++)
        buf_free(&texts[n]);
}

void
inspect_pool_hba_file_rules(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct hba *rules = hba_load(in->hba_reader, in->hba_path);
    const struct hba_line *line;

    for (uint32_t n = 0; (line = hba_line_at(rules, n)) != NULL; n++)
        show_rule(line, row, ctx);
    hba_unref(rules);
}

void
inspect_pool_ident_file_mappings(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    struct ident *ident = ident_load(in->hba_reader, in->ident_path);
    const struct ident_line *line;

    for (uint32_t n = 0; (line = ident_line_at(ident, n)) != NULL; n++) {
        char numbers[2][VIEWS_NUMBER_BYTES];
        struct buf error = BUF_EMPTY;
        bool is_map = line->error == NULL;

        row(ctx,
            (const char *const[]){number_or_null(line->rule, numbers[0]), line->file,
                                  number_or_null(line->number, numbers[1]),
                                  is_map ? line->map : NULL, is_map ? line->system_user : NULL,
                                  is_map ? line->role : NULL,
                                  error_text(line->error, line->hint, &error)},
            7);
        buf_free(&error);
    }
    ident_unref(ident);
}
