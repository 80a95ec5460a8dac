/*
 * Values and comments as they stand in a file: quotes taken off and put on, words broken into
 * lines.
 */
#include "config/value.h"

#include <string.h>

enum { WIDTH = 78 };

char *
value_unquote(const char *quoted, size_t quoted_len, struct arena *arena)
{
    char *text = arena_alloc(arena, quoted_len);
    const char *end = quoted + quoted_len - 1;
    size_t len = 0;

    for (const char *p = quoted + 1; p < end; p++) {
        static const char letters[] = "bfnrt";
        static const char meanings[] = "\b\f\n\r\t";
        const char *letter;
        unsigned octal = 0;

        if (*p == '\'') {
            text[len++] = *++p;
            continue;
        }
        if (*p != '\\') {
            text[len++] = *p;
            continue;
        }
        p++;
        letter = strchr(letters, *p);
        if (letter != NULL) {
            text[len++] = meanings[letter - letters];
        } else if (*p >= '0' && *p <= '7') {
            for (int n = 0; n < 3 && *p >= '0' && *p <= '7'; n++, p++)
                octal = octal * 8 + (unsigned)(*p - '0');
            p--;
            if ((octal & 0xff) == 0)
                return NULL;
            text[len++] = (char)octal;
        } else {
            text[len++] = *p;
        }
    }
    text[len] = '\0';
    return text;
}

void
value_quote(const char *text, struct buf *out)
{
    buf_add_u8(out, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            buf_printf(out, "%c%c", *p, *p);
        else if ((unsigned char)*p < ' ' || *p == 0x7f)
            buf_printf(out, "\\%03o", (unsigned char)*p);
        else
            buf_add_u8(out, (uint8_t)*p);
    }
    buf_add_u8(out, '\'');
}

void
value_comment(const char *text, struct buf *out)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (column > 0 && column + 1 + len > WIDTH - 2) {
            buf_add_u8(out, '\n');
            column = 0;
        }
        buf_add_str(out, column == 0 ? "# " : " ");
        buf_add(out, text, len);
        column += len + (column > 0);
        text += len;
        text += strspn(text, " ");
    }
    buf_add_u8(out, '\n');
}
