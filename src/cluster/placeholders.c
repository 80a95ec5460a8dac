/*
 * Placeholders of commands; see cluster/placeholders.h. Pure.
 */
#include "cluster/placeholders.h"

#include <stdbool.h>
#include <string.h>

enum what { NUMBER, HOST, PORT, DIRECTORY };

/* Which value of which node a letter stands for. */
static const struct {
    char letter;
    enum what what;
    size_t node_at; /* in struct placeholders */
} table[] = {
    {'d', NUMBER, offsetof(struct placeholders, node)},
    {'h', HOST, offsetof(struct placeholders, node)},
    {'p', PORT, offsetof(struct placeholders, node)},
    {'D', DIRECTORY, offsetof(struct placeholders, node)},
    {'m', NUMBER, offsetof(struct placeholders, new_main)},
    {'H', HOST, offsetof(struct placeholders, new_main)},
    {'r', PORT, offsetof(struct placeholders, new_main)},
    {'R', DIRECTORY, offsetof(struct placeholders, new_main)},
    {'M', NUMBER, offsetof(struct placeholders, old_main)},
    {'P', NUMBER, offsetof(struct placeholders, old_primary)},
    {'N', HOST, offsetof(struct placeholders, old_primary)},
    {'S', PORT, offsetof(struct placeholders, old_primary)},
};

static int
add_text(const char *text, char letter, struct buf *out, struct err *err)
{
    if (text == NULL || text[0] == '\0') {
        buf_add_str(out, "\"\"");
        return 0;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return err_set(err, "22023", "the value of \"%%%c\" holds a control character", letter);
    }
    buf_add_str(out, text);
    return 0;
}

static int
add_value(const struct placeholder_node *node, size_t row, struct buf *out, struct err *err)
{
    bool there = node->node_id >= 0;

    switch (table[row].what) {
    case NUMBER:
        buf_printf(out, "%d", there ? node->node_id : -1);
        return 0;
    case HOST:
        return add_text(there ? node->host : "", table[row].letter, out, err);
    case PORT:
        if (there)
            buf_printf(out, "%u", node->port);
        else
            buf_add_str(out, "\"\"");
        return 0;
    case DIRECTORY:
        return add_text(there ? node->data_directory : "", table[row].letter, out, err);
    }
    return 0;
}

/* What follows a "%"; ARRAY_LEN(table) when it is no placeholder. */
static size_t
find(char letter)
{
    size_t row = 0;

    while (row < ARRAY_LEN(table) && table[row].letter != letter)
        row++;
    return row;
}

int
placeholders_expand(const char *command, const struct placeholders *values, struct buf *out,
                    struct err *err)
{
    size_t before = out->len;

    while (*command != '\0') {
        size_t plain = strcspn(command, "%");
        size_t row;

        buf_add(out, command, plain);
        command += plain;
        if (*command == '\0')
            break;
        row = find(command[1]);
        if (row < ARRAY_LEN(table)) {
            const char *node = (const char *)values + table[row].node_at;

            if (add_value((const struct placeholder_node *)(const void *)node, row, out, err) !=
                0) {
                out->len = before;
                return -1;
            }
            command += 2;
        } else {
            buf_add(out, "%", 1);
            command += command[1] == '%' ? 2 : 1;
        }
    }
    return 0;
}
