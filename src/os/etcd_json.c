/*
 * etcd's JSON: numbers of 64 bits are strings, keys and values are base64, and what is zero is left
 * out. Pure.
 */
#include "etcd_private.h"

#include "base/arena.h"
#include "base/num.h"
#include "base/str.h"

#include "config.h"

#ifdef HAVE_ETCD

#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *
base64(const void *bytes, size_t len)
{
    char *text = xmalloc(4 * ((len + 2) / 3) + 1);
    json_t *result;

    EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    result = json_string(text);
    free(text);
    return result;
}

static json_t *
number(uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

static char *
take_text(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);

    json_decref(object);
    return text;
}

/* The first key behind all that begin so. */
static json_t *
behind(const char *prefix)
{
    size_t len = strlen(prefix);
    char end[ETCD_KEY_BYTES];

    str_copy(end, sizeof(end), prefix);
    len = MIN(len, sizeof(end) - 1);
    if (len > 0)
        end[len - 1]++;
    return base64(end, len);
}

char *
etcd_json_grant(int64_t ttl_s)
{
    return take_text(json_pack("{s:o}", "TTL", number((uint64_t)ttl_s)));
}

char *
etcd_json_lease(uint64_t lease)
{
    return take_text(json_pack("{s:o}", "ID", number(lease)));
}

char *
etcd_json_range(const char *prefix)
{
    return take_text(json_pack("{s:o, s:o}", "key", base64(prefix, strlen(prefix)), "range_end",
                               behind(prefix)));
}

char *
etcd_json_watch(const char *prefix)
{
    return take_text(json_pack("{s:{s:o, s:o}}", "create_request", "key",
                               base64(prefix, strlen(prefix)), "range_end", behind(prefix)));
}

char *
etcd_json_login(const char *user, const char *password)
{
    return take_text(json_pack("{s:s, s:s}", "name", user, "password", password));
}

static json_t *
compare_json(const struct etcd_compare *compare)
{
    json_t *key = base64(compare->key, strlen(compare->key));

    switch (compare->what) {
    case ETCD_CREATE_REVISION:
        return json_pack("{s:s, s:s, s:o, s:o}", "target", "CREATE", "result", "EQUAL", "key", key,
                         "create_revision", number((uint64_t)compare->revision));
    case ETCD_MOD_REVISION:
        return json_pack("{s:s, s:s, s:o, s:o}", "target", "MOD", "result", "EQUAL", "key", key,
                         "mod_revision", number((uint64_t)compare->revision));
    default:
        return json_pack("{s:s, s:s, s:o, s:o}", "target", "VALUE", "result", "EQUAL", "key", key,
                         "value", base64(compare->value, strlen(compare->value)));
    }
}

static json_t *
op_json(const struct etcd_op *op)
{
    json_t *key = base64(op->key, strlen(op->key));

    switch (op->kind) {
    case ETCD_PUT:
        return json_pack("{s:{s:o, s:o, s:o}}", "request_put", "key", key, "value",
                         base64(op->value, op->value_len), "lease", number(op->lease));
    case ETCD_DELETE:
        return json_pack("{s:{s:o}}", "request_delete_range", "key", key);
    default:
        return json_pack("{s:{s:o}}", "request_range", "key", key);
    }
}

char *
etcd_json_txn(const struct etcd_txn *txn)
{
    json_t *compares = json_array();
    json_t *ops = json_array();

    for (uint32_t n = 0; n < txn->compare_count; n++)
        json_array_append_new(compares, compare_json(&txn->compares[n]));
    for (uint32_t n = 0; n < txn->op_count; n++)
        json_array_append_new(ops, op_json(&txn->ops[n]));
    return take_text(json_pack("{s:o, s:o}", "compare", compares, "success", ops));
}

/* ---- reading --------------------------------------------------------------------------------- */

static int64_t
get_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (json_is_integer(value))
        return json_integer_value(value);
    /* leases are unsigned for us, and may come with a sign */
    return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : 0;
}

/* Where it begins in bytes, with a NUL behind it; -1: no base64. */
static int
get_bytes(const json_t *object, const char *name, struct buf *bytes, size_t *len_r)
{
    const char *text = json_string_value(json_object_get(object, name));
    size_t text_len = text != NULL ? strlen(text) : 0;
    int len;

    *len_r = 0;
    if (text_len % 4 != 0)
        return -1;
    len = EVP_DecodeBlock(buf_reserve(bytes, text_len + 1), (const unsigned char *)text,
                          (int)text_len);
    if (text_len > 0 && len < 0)
        return -1;
    *len_r =
        text_len == 0 ? 0 : (size_t)len - (text[text_len - 1] == '=') - (text[text_len - 2] == '=');
    bytes->len += *len_r;
    buf_add_u8(bytes, 0);
    return 0;
}

/* Offsets until all are there: bytes moves when it grows. */
static int
read_pair(const json_t *object, struct etcd_reading *reading)
{
    struct etcd_pair *pair;
    size_t key_at = reading->bytes.len;
    size_t value_at;

    if (reading->answer.pair_count == reading->pairs_cap) {
        reading->pairs_cap = reading->pairs_cap * 2 + 16;
        reading->pairs = xrealloc(reading->pairs, reading->pairs_cap * sizeof(*reading->pairs));
    }
    pair = &reading->pairs[reading->answer.pair_count];
    memset(pair, 0, sizeof(*pair));
    if (get_bytes(object, "key", &reading->bytes, &pair->key_len) != 0)
        return -1;
    value_at = reading->bytes.len;
    if (get_bytes(object, "value", &reading->bytes, &pair->value_len) != 0)
        return -1;
    pair->key = (const char *)(uintptr_t)key_at;
    pair->value = (const char *)(uintptr_t)value_at;
    pair->create_revision = get_number(object, "create_revision");
    pair->mod_revision = get_number(object, "mod_revision");
    pair->lease = (uint64_t)get_number(object, "lease");
    reading->answer.pair_count++;
    return 0;
}

static int
read_pairs(const json_t *range, struct etcd_reading *reading)
{
    const json_t *pairs = json_object_get(range, "kvs");

    for (size_t n = 0; n < json_array_size(pairs); n++)
        if (read_pair(json_array_get(pairs, n), reading) != 0)
            return -1;
    return 0;
}

static int
read_responses(const json_t *responses, struct etcd_reading *reading)
{
    for (size_t n = 0; n < json_array_size(responses); n++) {
        const json_t *response = json_array_get(responses, n);

        if (read_pairs(json_object_get(response, "response_range"), reading) != 0)
            return -1;
        reading->answer.deleted +=
            get_number(json_object_get(response, "response_delete_range"), "deleted");
    }
    return 0;
}

static int
read_answer(const json_t *root, struct etcd_reading *reading)
{
    struct etcd_answer *answer = &reading->answer;
    const json_t *result = json_object_get(root, "result"); /* of what is a stream */
    const json_t *object = result != NULL ? result : root;
    const char *token = json_string_value(json_object_get(object, "token"));

    if (!json_is_object(json_object_get(object, "header")))
        return -1;
    answer->revision = get_number(json_object_get(object, "header"), "revision");
    answer->succeeded = json_is_true(json_object_get(object, "succeeded"));
    answer->lease = (uint64_t)get_number(object, "ID");
    answer->ttl_s = get_number(object, "TTL");
    if (token != NULL && !str_copy(reading->token, sizeof(reading->token), token))
        return -1;
    if (read_pairs(object, reading) != 0 ||
        read_responses(json_object_get(object, "responses"), reading) != 0)
        return -1;
    for (uint32_t n = 0; n < answer->pair_count; n++) {
        struct etcd_pair *pair = &reading->pairs[n];

        pair->key = (const char *)reading->bytes.data + (uintptr_t)pair->key;
        pair->value = (const char *)reading->bytes.data + (uintptr_t)pair->value;
    }
    answer->pairs = reading->pairs;
    return 0;
}

int
etcd_json_read(const void *text, size_t len, struct etcd_reading *reading)
{
    json_t *root = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL);
    int result = -1;

    memset(reading, 0, sizeof(*reading));
    if (json_is_object(root))
        result = read_answer(root, reading);
    json_decref(root);
    return result;
}

void
etcd_reading_fini(struct etcd_reading *reading)
{
    free(reading->pairs);
    buf_free(&reading->bytes);
    memset(reading, 0, sizeof(*reading));
}

int
etcd_json_error(const void *text, size_t len, char *message_r, size_t size)
{
    json_t *root = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL);
    const json_t *object = root;
    const char *message;
    int code = -1;

    if (json_is_object(json_object_get(root, "error"))) /* of a stream */
        object = json_object_get(root, "error");
    message = json_string_value(json_object_get(object, "message"));
    if (message == NULL)
        message = json_string_value(json_object_get(object, "error"));
    if (json_object_get(object, "code") != NULL)
        code = (int)get_number(object, "code");
    else if (json_object_get(object, "grpc_code") != NULL)
        code = (int)get_number(object, "grpc_code");
    str_copy(message_r, size, message != NULL ? message : "no words");
    json_decref(root);
    return code;
}

bool
etcd_json_has_events(const void *text, size_t len)
{
    json_t *root = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL);
    const json_t *result = json_object_get(root, "result");
    bool has = json_array_size(json_object_get(result, "events")) > 0;

    json_decref(root);
    return has;
}

#endif
