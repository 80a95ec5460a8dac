/*
 * The table of what is paused and drained.
 *
 * Invariant: the epoch is raised after everything that belongs to it was written; who reads the
 * epoch first sees at least that.
 */
#include "ipc/holds.h"

#include "base/num.h"
#include "base/str.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

struct held_database {
    _Atomic int64_t since_us; /* 0: a free entry */
    char name[SLOT_NAME_BYTES];
};

struct holds {
    _Atomic uint32_t count; /* of all that follows */
    _Atomic uint32_t epoch;
    _Atomic int64_t paused_since_us; /* 0: not */
    _Atomic int64_t writes_since_us; /* the same */
    _Atomic int64_t drained_since_us[NODES_MAX];
    struct held_database databases[HOLDS_DATABASES_MAX];
};

/* ---- as text ---- */

static const char *const verbs[] = {[HOLD_PAUSE] = "pause",
                                    [HOLD_RESUME] = "resume",
                                    [HOLD_UNPAUSE] = "unpause",
                                    [HOLD_DRAIN] = "drain",
                                    [HOLD_UNDRAIN] = "undrain",
                                    [HOLD_WRITES] = "hold writes",
                                    [HOLD_UNWRITES] = "release writes"};

static bool
is_of_node(uint32_t verb)
{
    return verb == HOLD_DRAIN || verb == HOLD_UNDRAIN;
}

static bool
read_object(const char *text, struct hold_request *r)
{
    uint32_t node_id;

    if (!is_of_node(r->verb))
        return str_copy(r->database, sizeof(r->database), text);
    if (!num_parse_u32(text, &node_id) || node_id >= NODES_MAX)
        return false;
    r->node_id = (int32_t)node_id;
    return true;
}

bool
hold_request_read(const char *text, struct hold_request *r_r)
{
    memset(r_r, 0, sizeof(*r_r));
    for (uint32_t verb = HOLD_PAUSE; verb <= HOLD_UNDRAIN; verb++) {
        size_t len = strlen(verbs[verb]);

        if (strncmp(text, verbs[verb], len) != 0)
            continue;
        r_r->verb = verb;
        if (text[len] == ' ')
            return text[len + 1] != '\0' && read_object(text + len + 1, r_r);
        if (text[len] == '\0')
            return !is_of_node(verb);
    }
    return false;
}

void
hold_request_write(const struct hold_request *r, char *text_r)
{
    if (is_of_node(r->verb))
        snprintf(text_r, HOLD_TEXT_BYTES, "%s %d", verbs[r->verb], (int)r->node_id);
    else
        snprintf(text_r, HOLD_TEXT_BYTES, "%s%s%s", verbs[r->verb],
                 r->database[0] != '\0' ? " " : "", r->database);
}

/* ---- reading ---- */

size_t
holds_bytes(void)
{
    return sizeof(struct holds);
}

const _Atomic uint32_t *
holds_word(const struct holds *h)
{
    return &h->count;
}

bool
holds_any(const struct holds *h)
{
    return atomic_load(&h->count) != 0;
}

uint32_t
holds_epoch(const struct holds *h)
{
    return atomic_load(&h->epoch);
}

bool
holds_all_paused(const struct holds *h, int64_t *since_us_r)
{
    *since_us_r = atomic_load(&h->paused_since_us);
    return *since_us_r != 0;
}

bool
holds_database(const struct holds *h, uint32_t n, char name_r[SLOT_NAME_BYTES], int64_t *since_us_r)
{
    const struct held_database *d = &h->databases[n];

    *since_us_r = atomic_load(&d->since_us);
    if (*since_us_r == 0)
        return false;
    memcpy(name_r, d->name, SLOT_NAME_BYTES - 1);
    name_r[SLOT_NAME_BYTES - 1] = '\0';
    return true;
}

/* The server cuts a longer name, too. */
static int
find(const struct holds *h, const char *database)
{
    for (int n = 0; n < HOLDS_DATABASES_MAX; n++) {
        if (atomic_load(&h->databases[n].since_us) != 0 &&
            strncmp(h->databases[n].name, database, SLOT_NAME_BYTES - 1) == 0)
            return n;
    }
    return -1;
}

bool
holds_paused(const struct holds *h, const char *database)
{
    if (!holds_any(h))
        return false;
    return atomic_load(&h->paused_since_us) != 0 || find(h, database) >= 0;
}

bool
holds_drained(const struct holds *h, int node_id, int64_t *since_us_r)
{
    int64_t since_us = node_id >= 0 && node_id < NODES_MAX && holds_any(h)
                           ? atomic_load(&h->drained_since_us[node_id])
                           : 0;

    if (since_us_r != NULL)
        *since_us_r = since_us;
    return since_us != 0;
}

bool
holds_any_drained(const struct holds *h)
{
    for (int node_id = 0; holds_any(h) && node_id < NODES_MAX; node_id++) {
        if (atomic_load(&h->drained_since_us[node_id]) != 0)
            return true;
    }
    return false;
}

bool
holds_writes(const struct holds *h, int64_t *since_us_r)
{
    int64_t since_us = atomic_load(&h->writes_since_us);

    if (since_us_r != NULL)
        *since_us_r = since_us;
    return since_us != 0;
}

bool
holds_has(const struct holds *h, const struct hold_request *r)
{
    if (r->verb == HOLD_WRITES)
        return holds_writes(h, NULL);
    if (is_of_node(r->verb))
        return holds_drained(h, r->node_id, NULL);
    if (r->database[0] == '\0')
        return atomic_load(&h->paused_since_us) != 0;
    return find(h, r->database) >= 0;
}

struct hold_request
hold_request_reverse(const struct hold_request *r)
{
    struct hold_request reverse = *r;

    reverse.verb = r->verb == HOLD_DRAIN    ? HOLD_UNDRAIN
                   : r->verb == HOLD_WRITES ? HOLD_UNWRITES
                                            : HOLD_UNPAUSE;
    return reverse;
}

/* ---- changing ---- */

/* True when it was the other way before. */
static bool
set(struct holds *h, _Atomic int64_t *since_us, bool on)
{
    if ((atomic_load(since_us) != 0) == on)
        return false;
    if (on)
        atomic_fetch_add(&h->count, 1);
    atomic_store(since_us, on ? clock_wall_us() : 0);
    if (!on)
        atomic_fetch_sub(&h->count, 1);
    return true;
}

static int
pause_database(struct holds *h, const char *database, bool *new_r, struct err *err)
{
    if (find(h, database) >= 0)
        return 0;
    for (int n = 0; n < HOLDS_DATABASES_MAX; n++) {
        if (atomic_load(&h->databases[n].since_us) != 0)
            continue;
        str_copy(h->databases[n].name, SLOT_NAME_BYTES, database);
        *new_r = set(h, &h->databases[n].since_us, true);
        return 0;
    }
    return err_set(err, "54000", "as many databases are paused as can be: %d",
                   (int)HOLDS_DATABASES_MAX);
}

static int
resume_database(struct holds *h, const char *database, bool *new_r, struct err *err)
{
    int n = find(h, database);

    if (n < 0 && atomic_load(&h->paused_since_us) != 0) {
        err_set(err, "55000", "database \"%s\" is not paused by itself: all databases are",
                database);
        err_hint(err, "Resume all of them.");
        return -1;
    }
    if (n >= 0)
        *new_r = set(h, &h->databases[n].since_us, false);
    return 0;
}

static void
resume_all(struct holds *h, bool *new_r)
{
    *new_r = set(h, &h->paused_since_us, false);
    for (int n = 0; n < HOLDS_DATABASES_MAX; n++)
        *new_r |= set(h, &h->databases[n].since_us, false);
}

static int
change(struct holds *h, const struct hold_request *r, bool *new_r, struct err *err)
{
    if (is_of_node(r->verb))
        *new_r = set(h, &h->drained_since_us[r->node_id], r->verb == HOLD_DRAIN);
    else if (r->verb == HOLD_WRITES || r->verb == HOLD_UNWRITES)
        *new_r = set(h, &h->writes_since_us, r->verb == HOLD_WRITES);
    else if (r->database[0] != '\0')
        return r->verb == HOLD_PAUSE ? pause_database(h, r->database, new_r, err)
                                     : resume_database(h, r->database, new_r, err);
    else if (r->verb == HOLD_PAUSE)
        *new_r = set(h, &h->paused_since_us, true);
    else if (r->verb == HOLD_UNPAUSE)
        *new_r = set(h, &h->paused_since_us, false);
    else
        resume_all(h, new_r);
    return 0;
}

int
holds_change(struct holds *h, const struct hold_request *r, bool *new_r, struct err *err)
{
    *new_r = false;
    if (change(h, r, new_r, err) != 0)
        return -1;
    if (*new_r)
        atomic_fetch_add(&h->epoch, 1);
    return 0;
}
