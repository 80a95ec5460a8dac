/*
 * Any bytes as what etcd says, and as what stands in its keys.
 *
 * The first byte chooses: an answer of the gateway, whose pairs are then read as a picture; a
 * member; a state. Checked besides memory: who fails says why, and what is accepted prints to a
 * text that is accepted and prints to the same again.
 */
#include "fuzz.h"

#include "../../src/os/etcd_private.h"
#include "watchdog/record.h"

#include "config.h"

#include <stdlib.h>

static struct wd_picture picture;

static void
check_same(const struct buf *first, const struct buf *second)
{
    if (first->len != second->len || memcmp(first->data, second->data, first->len) != 0)
        BUG("what was printed changes when it is parsed");
}

static void
take_member(const char *text)
{
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    struct wd_member member;
    struct err err;

    if (wd_member_parse(&member, text, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    wd_member_print(&member, &first);
    if (wd_member_parse(&member, buf_cstr(&first), &err) != 0)
        BUG("what was printed is refused: %s", err.message);
    wd_member_print(&member, &second);
    check_same(&first, &second);
    buf_free(&first);
    buf_free(&second);
}

static void
take_state(const char *text)
{
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    struct wd_state state;
    const char *payload;
    struct err err;

    if (wd_state_parse(&state, text, &payload, &err) != 0) {
        fuzz_check_error(&err);
        return;
    }
    wd_state_print(&state, payload, &first);
    if (wd_state_parse(&state, buf_cstr(&first), &payload, &err) != 0)
        BUG("what was printed is refused: %s", err.message);
    wd_state_print(&state, payload, &second);
    check_same(&first, &second);
    buf_free(&first);
    buf_free(&second);
}

static void
take_answer(const char *text, size_t len)
{
#ifdef HAVE_ETCD
    struct etcd_reading reading;
    char words[64];
    const char *payload;
    struct err err;

    etcd_json_error(text, len, words, sizeof(words));
    etcd_json_has_events(text, len);
    if (etcd_json_read(text, len, &reading) == 0 &&
        wd_picture_read(&picture, &reading.answer, "p/", &payload, &err) != 0)
        fuzz_check_error(&err);
    etcd_reading_fini(&reading);
#else
    (void)text;
    (void)len;
#endif
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    text = strndup((const char *)data + 1, size - 1);
    if (text == NULL)
        return 0;
    if (data[0] == 'm')
        take_member(text);
    else if (data[0] == 's')
        take_state(text);
    else
        take_answer((const char *)data + 1, size - 1);
    free(text);
    return 0;
}
