/*
 * Statements are judged by their last ASKED_MAX questions.
 *
 * Called by session/, once per question. Invariant: a statement that is new is kept.
 */
#include "cache/admission.h"

#include "base/arena.h"
#include "base/util.h"

#include <stdlib.h>

enum {
    STATEMENTS = 256,
    ASKED_MAX = 512,
    ASKED_PER_HIT = 50, /* when there are more than that for one hit, keeping does not pay */
    KEPT_OF = 8,
};

struct record {
    uint64_t statement;
    uint16_t asked; /* since it was judged the last time */
    uint16_t found;
    uint8_t turn;
    bool scarce;
};

struct admission {
    struct record records[STATEMENTS];
};

struct admission *
admission_new(void)
{
    return xcalloc(1, sizeof(struct admission));
}

void
admission_free(struct admission *a)
{
    free(a);
}

static inline struct record *
record_of(struct admission *a, uint64_t statement)
{
    struct record *r = &a->records[(statement ^ (statement >> 32)) % STATEMENTS];

    if (unlikely(r->statement != statement))
        *r = (struct record){.statement = statement};
    if (unlikely(++r->asked > ASKED_MAX)) {
        r->scarce = r->found * ASKED_PER_HIT < r->asked;
        r->asked = r->found = 0;
    }
    return r;
}

void
admission_hit(struct admission *a, uint64_t statement)
{
    record_of(a, statement)->found++;
}

bool
admission_miss(struct admission *a, uint64_t statement)
{
    struct record *r = record_of(a, statement);

    return statement == 0 || !r->scarce || ++r->turn % KEPT_OF == 0;
}
