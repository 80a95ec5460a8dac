/*
 * Values in memcached: signature, facts, slots, answer. Numbers are in the machine's own order: no
 * other machine can read them, as the secret is this daemon's.
 *
 * Called by session/ through threads. No log, no clock: the caller looks at versions and age.
 */
#include "cache/remote.h"

#include <stdio.h>
#include <string.h>

struct value_head {
    struct siphash_result signature; /* of the key and all that follows */
    int64_t as_of_ns;
    uint32_t note;
    uint32_t reads; /* slots behind the head; then the answer */
};

static struct siphash_result
sign(const struct cache_secret *secret, const struct cache_key *key, const uint8_t *value,
     size_t len)
{
    /* Names are made with the secret itself: signatures have one that follows from it. */
    static const char purpose[] = "signature";
    struct siphash s;
    struct siphash_result own;

    siphash_init(&s, secret->words);
    siphash_add(&s, purpose, sizeof(purpose));
    own = siphash_result(&s);
    siphash_init(&s, (const uint64_t[2]){own.a, own.b});
    siphash_add(&s, key, sizeof(*key));
    siphash_add(&s, value + sizeof(struct siphash_result), len - sizeof(struct siphash_result));
    return siphash_result(&s);
}

size_t
remote_value_max(size_t answer_len)
{
    return sizeof(struct value_head) + READ_SET_MAX * sizeof(uint32_t) + answer_len;
}

void
remote_encode(const struct cache_secret *secret, const struct cache_key *key,
              const struct store_facts *facts, const struct buf *answer, struct buf *value)
{
    struct value_head head = {
        .as_of_ns = facts->as_of_ns, .note = facts->note, .reads = facts->reads.n};
    size_t at = value->len;

    buf_add(value, &head, sizeof(head));
    buf_add(value, facts->reads.slots, head.reads * sizeof(uint32_t));
    buf_add(value, answer->data, answer->len);
    head.signature = sign(secret, key, value->data + at, value->len - at);
    memcpy(value->data + at, &head.signature, sizeof(head.signature));
}

bool
remote_decode(const struct cache_secret *secret, const struct cache_key *key,
              const struct buf *value, struct store_facts *facts_r, size_t *answer_at_r)
{
    struct value_head head;
    struct siphash_result signature;

    if (value->len < sizeof(head))
        return false;
    memcpy(&head, value->data, sizeof(head));
    signature = sign(secret, key, value->data, value->len);
    if (((signature.a ^ head.signature.a) | (signature.b ^ head.signature.b)) != 0)
        return false;
    if (head.reads > READ_SET_MAX || value->len - sizeof(head) < head.reads * sizeof(uint32_t))
        return false;
    facts_r->as_of_ns = head.as_of_ns;
    facts_r->note = head.note;
    facts_r->reads.n = head.reads;
    memcpy(facts_r->reads.slots, value->data + sizeof(head), head.reads * sizeof(uint32_t));
    *answer_at_r = sizeof(head) + head.reads * sizeof(uint32_t);
    return true;
}

void
remote_name(const struct cache_key *key, char name_r[REMOTE_NAME_BYTES])
{
    snprintf(name_r, REMOTE_NAME_BYTES, "pgpool_%016llx%016llx", (unsigned long long)key->a,
             (unsigned long long)key->b);
}

void
remote_get(struct remote_question *q)
{
    char name[REMOTE_NAME_BYTES];
    size_t answer_at;

    remote_name(&q->key, name);
    buf_clear(&q->answer);
    q->result =
        memcached_client_get(q->client, name, remote_value_max(q->answer_max), &q->answer, &q->err);
    if (q->result == MEMCACHED_DONE &&
        remote_decode(q->secret, &q->key, &q->answer, &q->facts, &answer_at))
        buf_drop(&q->answer, answer_at);
    else
        buf_clear(&q->answer);
    if (q->result == MEMCACHED_DONE && q->answer.len == 0)
        q->result = MEMCACHED_ABSENT;
}

void
remote_put(struct remote_question *q)
{
    char name[REMOTE_NAME_BYTES];
    struct buf value = BUF_EMPTY;

    remote_name(&q->key, name);
    remote_encode(q->secret, &q->key, &q->facts, &q->answer, &value);
    q->result = memcached_client_set(
        q->client, name, &(struct memcached_value){value.data, value.len, q->expire_s}, &q->err);
    buf_free(&value);
}

void
remote_delete(struct remote_question *q)
{
    char name[REMOTE_NAME_BYTES];

    remote_name(&q->key, name);
    q->result = memcached_client_delete(q->client, name, &q->err);
}
