/*
 * The shared memory: lays out one anonymous mapping and finds its parts again.
 *
 * The parent makes it before any fork; every process has it at the same address. The struct
 * shared itself lies outside and is never written after shared_new, so that a stray write of one
 * child cannot bend another's pointers.
 */
#include "ipc/shared.h"

#include "base/arena.h"
#include "base/log.h"
#include "os/channel.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/shm.h"
#include "os/tls.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { PART_ALIGN = 4096 };

struct config_text {
    uint32_t len;
    char text[CONFIG_TEXT_MAX];
};

struct tls_files {
    uint32_t len;
    char bytes[TLS_FILES_MAX];
};

/* pool_hba.conf and all that goes with it (auth/hba_copy.h) */
struct hba_bytes {
    uint32_t len;
    uint8_t bytes[SHARED_HBA_MAX];
};

/* Read on every write of every session: a line of its own, and so is the word of writes. */
struct activity {
    _Alignas(64) _Atomic bool lag_sleeps;
    _Atomic bool doors_are_open;
    _Atomic uint32_t elders;
    _Atomic uint32_t clients; /* over all children */
    _Atomic int64_t positions_wanted_ns;
};

/* Over all children: to each node, of those that are counted together. */
struct group_total {
    _Atomic uint32_t connections[NODES_MAX];
};

/* Shared with other generations of processes, whatever their version: its form never changes. */
struct writes {
    _Atomic int64_t last_write_ns;
};
_Static_assert(sizeof(struct writes) == 8, "the same in every version");

enum area_id {
#define AREA(id, name, writer, payload_bytes) AREA_##id,
#include "tables/areas.def"
#undef AREA
    AREA_COUNT
};

struct shared {
    struct shared_layout layout;
    uint64_t instance_id;
    int64_t started_at_us;
    void *map;
    size_t map_bytes;
    struct activity *activity;
    struct writes *writes; /* a mapping of its own */
    int writes_fd;
    struct proc_slot *procs; /* in the activity's page */
    struct area *areas[AREA_COUNT];
    struct memo *memo;
    struct holds *holds;
    struct tls_tickets *tickets;
    uint8_t *wd_live;
    uint8_t *wd_pulse;
    uint8_t *health; /* health_slots times health_stride */
    size_t health_stride;
    struct group_total *groups; /* GROUPS_MAX */
    uint8_t *children; /* child_slots times child_stride: slot, groups, sessions, servers */
    size_t groups_at;
    size_t sessions_at;
    size_t servers_at;
    size_t child_stride;
};

static size_t
align_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

static void
get_area_sizes(const struct shared_layout *layout, size_t *bytes_r)
{
#define AREA(id, name, writer, payload_bytes) bytes_r[AREA_##id] = (payload_bytes);
#include "tables/areas.def"
#undef AREA
}

uint32_t
shared_slot_count(const struct shared *sh)
{
    return shared_first_child(sh) + sh->layout.child_slots;
}

uint32_t
shared_first_child(const struct shared *sh)
{
    return SLOT_FIRST_HEALTH + sh->layout.health_slots;
}

uint32_t
shared_servers_per_child(const struct shared *sh)
{
    return 2 * sh->layout.sessions_per_child;
}

static void
lay_out_child(struct shared *sh)
{
    size_t sessions = sh->layout.sessions_per_child * sizeof(struct session_slot);
    size_t servers = shared_servers_per_child(sh) * sizeof(struct server_slot);

    sh->groups_at = align_up(sizeof(struct child_slot), 64);
    sh->sessions_at = align_up(sh->groups_at + GROUPS_MAX * sizeof(struct group_slot), 64);
    sh->servers_at = align_up(sh->sessions_at + sessions, 64);
    sh->child_stride = align_up(sh->servers_at + servers, PART_ALIGN);
}

static int
open_writes(struct shared *sh, struct err *err)
{
    void *map = NULL;

    sh->writes_fd = sh->layout.writes_fd;
    if (sh->writes_fd >= 0
            ? shm_map(sh->writes_fd, sizeof(struct writes), &map, err) != 0
            : shm_new_passable(sizeof(struct writes), &map, &sh->writes_fd, err) != 0)
        return -1;
    sh->writes = map;
    return 0;
}

/* Where the parts lie behind the process slots. */
struct parts {
    size_t payload_bytes[AREA_COUNT];
    size_t areas_at[AREA_COUNT];
    size_t memo_at;
    size_t groups_at;
    size_t holds_at;
    size_t tickets_at;
    size_t wd_live_at;
    size_t wd_pulse_at;
    size_t health_at;
    size_t children_at;
};

/* The place of the next part, on a page of its own. */
static size_t
place_part(size_t *end, size_t bytes)
{
    size_t at = *end;

    *end += align_up(bytes, PART_ALIGN);
    return at;
}

static void
lay_out(struct shared *sh, struct parts *parts)
{
    size_t end = align_up(
        sizeof(struct activity) + shared_slot_count(sh) * sizeof(struct proc_slot), PART_ALIGN);

    lay_out_child(sh);
    sh->health_stride = align_up(sh->layout.health_bytes, 64);
    get_area_sizes(&sh->layout, parts->payload_bytes);
    for (int id = 0; id < AREA_COUNT; id++)
        parts->areas_at[id] = place_part(&end, area_bytes(parts->payload_bytes[id]));
    parts->memo_at = place_part(&end, memo_bytes(sh->layout.memo_entries));
    parts->groups_at = place_part(&end, GROUPS_MAX * sizeof(struct group_total));
    parts->holds_at = place_part(&end, holds_bytes());
    parts->tickets_at = place_part(&end, sizeof(struct tls_tickets));
    parts->wd_live_at = place_part(&end, sh->layout.watchdog.live_bytes);
    parts->wd_pulse_at = place_part(&end, sh->layout.watchdog.pulse_bytes);
    parts->health_at = place_part(&end, sh->layout.health_slots * sh->health_stride);
    parts->children_at = place_part(&end, sh->layout.child_slots * sh->child_stride);
    sh->map_bytes = end;
}

int
shared_new(const struct shared_layout *layout, struct shared **sh_r, struct err *err)
{
    struct shared *sh = xcalloc(1, sizeof(*sh));
    struct parts parts;
    uint8_t *map;

    sh->layout = *layout;
    lay_out(sh, &parts);
    sh->started_at_us = clock_wall_us();
    if (random_bytes(&sh->instance_id, sizeof(sh->instance_id), err) != 0 ||
        shm_new(sh->map_bytes, &sh->map, err) != 0) {
        free(sh);
        return -1;
    }
    if (open_writes(sh, err) != 0) {
        shm_free(sh->map, sh->map_bytes);
        free(sh);
        return -1;
    }
    sh->activity = sh->map;
    sh->procs = (struct proc_slot *)(void *)(sh->activity + 1);
    map = sh->map;
    for (int id = 0; id < AREA_COUNT; id++) {
        sh->areas[id] = (struct area *)(void *)(map + parts.areas_at[id]);
        area_init(sh->areas[id], parts.payload_bytes[id]);
    }
    sh->memo = (struct memo *)(void *)(map + parts.memo_at);
    memo_init(sh->memo, layout->memo_entries);
    sh->groups = (struct group_total *)(void *)(map + parts.groups_at);
    sh->holds = (struct holds *)(void *)(map + parts.holds_at);
    sh->tickets = (struct tls_tickets *)(void *)(map + parts.tickets_at);
    sh->wd_live = map + parts.wd_live_at;
    sh->wd_pulse = map + parts.wd_pulse_at;
    sh->health = map + parts.health_at;
    sh->children = map + parts.children_at;
    *sh_r = sh;
    return 0;
}

void
shared_free(struct shared *sh)
{
    if (sh == NULL)
        return;
    shm_free(sh->map, sh->map_bytes);
    shm_free(sh->writes, sizeof(struct writes));
    fd_close(&sh->writes_fd);
    free(sh);
}

const struct shared_layout *
shared_layout(const struct shared *sh)
{
    return &sh->layout;
}

uint64_t
shared_instance_id(const struct shared *sh)
{
    return sh->instance_id;
}

int64_t
shared_started_at_us(const struct shared *sh)
{
    return sh->started_at_us;
}

struct proc_slot *
shared_proc(struct shared *sh, uint32_t slot)
{
    BUG_UNLESS(slot < shared_slot_count(sh));
    return &sh->procs[slot];
}

struct memo *
shared_memo(struct shared *sh)
{
    return sh->memo;
}

struct holds *
shared_holds(struct shared *sh)
{
    return sh->holds;
}

struct tls_tickets *
shared_tickets(struct shared *sh)
{
    return sh->tickets;
}

static uint8_t *
child_part(struct shared *sh, uint32_t child_no, size_t offset)
{
    BUG_UNLESS(child_no < sh->layout.child_slots);
    return sh->children + child_no * sh->child_stride + offset;
}

struct child_slot *
shared_child(struct shared *sh, uint32_t child_no)
{
    return (struct child_slot *)(void *)child_part(sh, child_no, 0);
}

struct group_slot *
shared_group(struct shared *sh, uint32_t child_no, uint32_t n)
{
    BUG_UNLESS(n < GROUPS_MAX);
    return (struct group_slot *)(void *)child_part(sh, child_no, sh->groups_at) + n;
}

struct session_slot *
shared_session(struct shared *sh, uint32_t child_no, uint32_t n)
{
    BUG_UNLESS(n < sh->layout.sessions_per_child);
    return (struct session_slot *)(void *)child_part(sh, child_no, sh->sessions_at) + n;
}

struct server_slot *
shared_server(struct shared *sh, uint32_t child_no, uint32_t n)
{
    BUG_UNLESS(n < shared_servers_per_child(sh));
    return (struct server_slot *)(void *)child_part(sh, child_no, sh->servers_at) + n;
}

/* Adds one where there are less than `limit` (0: any number). */
static bool
take_one(_Atomic uint32_t *count, uint32_t limit)
{
    uint32_t total = atomic_load(count);

    do {
        if (limit > 0 && total >= limit)
            return false;
    } while (!atomic_compare_exchange_weak(count, &total, total + 1));
    return true;
}

bool
shared_admit_client(struct shared *sh, uint32_t child_no, uint32_t limit)
{
    if (!take_one(&sh->activity->clients, limit))
        return false;
    atomic_fetch_add(&shared_child(sh, child_no)->admitted, 1);
    return true;
}

void
shared_dismiss_client(struct shared *sh, uint32_t child_no)
{
    atomic_fetch_sub(&shared_child(sh, child_no)->admitted, 1);
    atomic_fetch_sub(&sh->activity->clients, 1);
}

/* The child's part of it is used from now on. Nobody but the child writes that. */
static void
note_group(struct shared *sh, uint32_t child_no, uint32_t group)
{
    struct child_slot *child = shared_child(sh, child_no);

    if (atomic_load_explicit(&child->groups, memory_order_relaxed) <= group)
        atomic_store(&child->groups, group + 1);
}

bool
shared_take_connection(struct shared *sh, uint32_t child_no, struct shared_place place,
                       uint32_t limit)
{
    if (!take_one(&sh->groups[place.group].connections[place.node_id], limit))
        return false;
    note_group(sh, child_no, place.group);
    atomic_fetch_add(&shared_group(sh, child_no, place.group)->connections[place.node_id], 1);
    return true;
}

void
shared_give_connection(struct shared *sh, uint32_t child_no, struct shared_place place)
{
    atomic_fetch_sub(&shared_group(sh, child_no, place.group)->connections[place.node_id], 1);
    atomic_fetch_sub(&sh->groups[place.group].connections[place.node_id], 1);
}

void
shared_note_waiting(struct shared *sh, uint32_t child_no, struct shared_place place, int change)
{
    struct child_slot *child = shared_child(sh, child_no);

    note_group(sh, child_no, place.group);
    atomic_fetch_add(&child->waiters, (uint32_t)change);
    atomic_fetch_add(&shared_group(sh, child_no, place.group)->waiting[place.node_id],
                     (uint32_t)change);
}

uint32_t
shared_connections(const struct shared *sh, struct shared_place place)
{
    return atomic_load(&sh->groups[place.group].connections[place.node_id]);
}

static void
give_all_connections(struct shared *sh, uint32_t child_no)
{
    struct child_slot *child = shared_child(sh, child_no);
    uint32_t groups = atomic_load(&child->groups);

    atomic_store(&child->waiters, 0);
    for (uint32_t n = 0; n < groups; n++) {
        struct group_slot *group = shared_group(sh, child_no, n);

        for (int node_id = 0; node_id < NODES_MAX; node_id++) {
            atomic_store(&group->waiting[node_id], 0);
            atomic_fetch_sub(&sh->groups[n].connections[node_id],
                             atomic_exchange(&group->connections[node_id], 0));
        }
    }
    atomic_store(&child->groups, 0);
}

void
shared_clear_child(struct shared *sh, uint32_t child_no)
{
    struct child_slot *child = shared_child(sh, child_no);

    atomic_store(&child->sessions, 0);
    atomic_store(&child->accepting, 0);
    atomic_store(&child->holds_seen, 0);
    atomic_store(&child->in_the_way, 0);
    atomic_store(&child->fenced_epoch, 0);
    atomic_fetch_sub(&sh->activity->clients, atomic_exchange(&child->admitted, 0));
    give_all_connections(sh, child_no);
    for (uint32_t n = 0; n < sh->layout.sessions_per_child; n++) {
        struct session_slot *session = shared_session(sh, child_no, n);

        if (atomic_load(&session->state) != SESSION_SLOT_FREE)
            memset(session, 0, sizeof(*session));
    }
    for (uint32_t n = 0; n < shared_servers_per_child(sh); n++) {
        struct server_slot *server = shared_server(sh, child_no, n);

        if (atomic_load(&server->used) != 0)
            memset(server, 0, sizeof(*server));
    }
}

struct area *
shared_freshness(struct shared *sh)
{
    return sh->areas[AREA_FRESHNESS];
}

struct area *
shared_carried(struct shared *sh)
{
    return sh->areas[AREA_CARRIED];
}

struct area *
shared_nodes(struct shared *sh)
{
    return sh->areas[AREA_NODES];
}

struct area *
shared_events(struct shared *sh)
{
    return sh->areas[AREA_EVENTS];
}

struct area *
shared_wd_orders(struct shared *sh)
{
    return sh->areas[AREA_WD_ORDERS];
}

struct area *
shared_wd_committed(struct shared *sh)
{
    return sh->areas[AREA_WD_COMMITTED];
}

struct area *
shared_wd_word(struct shared *sh)
{
    return sh->areas[AREA_WD_WORD];
}

struct area *
shared_wd_proposal(struct shared *sh)
{
    return sh->areas[AREA_WD_PROPOSAL];
}

void *
shared_wd_live(struct shared *sh)
{
    return sh->wd_live;
}

void *
shared_wd_pulse(struct shared *sh)
{
    return sh->wd_pulse;
}

struct area *
shared_pgpools(struct shared *sh)
{
    return sh->areas[AREA_PGPOOLS];
}

void *
shared_health(struct shared *sh, int node_id)
{
    BUG_UNLESS(node_id >= 0 && (uint32_t)node_id < sh->layout.health_slots);
    return sh->health + (size_t)node_id * sh->health_stride;
}

static void
raise_to(_Atomic int64_t *moment, int64_t now_ns)
{
    int64_t known_ns = atomic_load(moment);

    while (known_ns < now_ns && !atomic_compare_exchange_weak(moment, &known_ns, now_ns)) {
    }
}

void
shared_note_write(struct shared *sh, int64_t now_ns)
{
    raise_to(&sh->writes->last_write_ns, now_ns);
}

int64_t
shared_last_write_ns(const struct shared *sh)
{
    return atomic_load(&sh->writes->last_write_ns);
}

int
shared_writes_fd(const struct shared *sh)
{
    return sh->writes_fd;
}

void
shared_open_doors(struct shared *sh)
{
    atomic_store(&sh->activity->doors_are_open, true);
}

bool
shared_doors_are_open(const struct shared *sh)
{
    return atomic_load(&sh->activity->doors_are_open);
}

void
shared_set_elders(struct shared *sh, uint32_t count)
{
    atomic_store(&sh->activity->elders, count);
}

uint32_t
shared_elders(const struct shared *sh)
{
    return atomic_load(&sh->activity->elders);
}

void
shared_want_positions(struct shared *sh, int64_t since_ns)
{
    raise_to(&sh->activity->positions_wanted_ns, since_ns);
}

int64_t
shared_positions_wanted_ns(const struct shared *sh)
{
    return atomic_load(&sh->activity->positions_wanted_ns);
}

void
shared_set_lag_sleeps(struct shared *sh, bool sleeps)
{
    atomic_store(&sh->activity->lag_sleeps, sleeps);
}

bool
shared_lag_sleeps(const struct shared *sh)
{
    return atomic_load(&sh->activity->lag_sleeps);
}

int
shared_publish_config(struct shared *sh, const char *text, size_t len, struct err *err)
{
    struct config_text *area;

    if (len > CONFIG_TEXT_MAX)
        return err_set(err, "54000", "configuration is too large: %zu bytes of at most %d", len,
                       (int)CONFIG_TEXT_MAX);
    area = area_write_anew(sh->areas[AREA_CONFIG]);
    memcpy(area->text, text, len);
    area->len = (uint32_t)len;
    area_publish(sh->areas[AREA_CONFIG]);
    return 0;
}

uint64_t
shared_config_generation(const struct shared *sh)
{
    return area_epoch(sh->areas[AREA_CONFIG]);
}

char *
shared_read_config(const struct shared *sh, size_t *len_r, uint64_t *generation_r)
{
    for (;;) {
        const struct config_text *area = area_peek(sh->areas[AREA_CONFIG], generation_r);
        char *text;
        size_t len;

        if (area == NULL)
            return NULL;
        len = MIN(area->len, (uint32_t)CONFIG_TEXT_MAX);
        text = xmalloc(len + 1);
        memcpy(text, area->text, len);
        text[len] = '\0';
        if (area_unchanged(sh->areas[AREA_CONFIG], *generation_r)) {
            *len_r = len;
            return text;
        }
        free(text);
    }
}

int
shared_publish_tls(struct shared *sh, const void *bytes, size_t len, struct err *err)
{
    struct tls_files *files;

    if (len > TLS_FILES_MAX)
        return err_set(err, "54000", "certificates and their like are %zu bytes of at most %d", len,
                       (int)TLS_FILES_MAX);
    files = area_write_anew(sh->areas[AREA_TLS]);
    memcpy(files->bytes, bytes, len);
    files->len = (uint32_t)len;
    area_publish(sh->areas[AREA_TLS]);
    return 0;
}

uint8_t *
shared_read_tls(const struct shared *sh, size_t *len_r)
{
    for (;;) {
        uint64_t epoch;
        const struct tls_files *files = area_peek(sh->areas[AREA_TLS], &epoch);
        uint8_t *bytes;
        size_t len;

        if (files == NULL)
            return NULL;
        len = MIN(files->len, (uint32_t)TLS_FILES_MAX);
        bytes = xmalloc(len + 1);
        memcpy(bytes, files->bytes, len);
        if (area_unchanged(sh->areas[AREA_TLS], epoch)) {
            *len_r = len;
            return bytes;
        }
        OPENSSL_cleanse(bytes, len);
        free(bytes);
    }
}

int
shared_publish_hba(struct shared *sh, const void *bytes, size_t len, struct err *err)
{
    struct hba_bytes *area;

    if (len > SHARED_HBA_MAX)
        return err_set(err, "54000",
                       "the files for client authentication have %zu bytes, and may have %d", len,
                       (int)SHARED_HBA_MAX);
    area = area_write_anew(sh->areas[AREA_HBA]);
    if (len > 0)
        memcpy(area->bytes, bytes, len);
    area->len = (uint32_t)len;
    area_publish(sh->areas[AREA_HBA]);
    return 0;
}

void
shared_read_hba(const struct shared *sh, struct buf *bytes_r)
{
    const struct hba_bytes *area;
    uint64_t epoch;

    do {
        buf_clear(bytes_r);
        area = area_peek(sh->areas[AREA_HBA], &epoch);
        if (area == NULL)
            return;
        buf_add(bytes_r, area->bytes, MIN(area->len, (uint32_t)SHARED_HBA_MAX));
    } while (!area_unchanged(sh->areas[AREA_HBA], epoch));
}
