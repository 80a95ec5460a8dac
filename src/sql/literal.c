/* Literals: E'...'. */
#include "sql/literal.h"

void
sql_add_literal(struct buf *sql, struct sql_text text)
{
    buf_add_str(sql, "E'");
    for (uint32_t n = 0; n < text.len; n++) {
        if (text.data[n] == '\'' || text.data[n] == '\\')
            buf_add_u8(sql, (uint8_t)text.data[n]);
        buf_add_u8(sql, (uint8_t)text.data[n]);
    }
    buf_add_u8(sql, '\'');
}
