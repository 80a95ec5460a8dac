/*
 * A world for the watchdog: three members, etcd, three servers, and what can go wrong between them.
 *
 * One real time; each member has a clock of its own. What goes from one to the other takes time, is
 * lost, or arrives when nobody waits for it any more. Who is frozen does nothing and keeps all that
 * arrives. The judge is a small one with the plan's order of things. The world knows everything,
 * and checks after each event what must never happen.
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include "watchdog/internal.h"

enum {
    MEMBERS = 3,
    SERVERS = 3,
    LEASES_MAX = 96,
    MAIL_MAX = 160,
    EPOCHS_MAX = 256,
    SYSTEM = 7000,
};

enum mail_kind {
    MAIL_REQUEST, /* arrives at etcd */
    MAIL_ANSWER,
    MAIL_FACTS,
    MAIL_ACTED,   /* the children have acted on a published state */
    MAIL_ADDRESS, /* a command has ended */
    MAIL_PROMOTE, /* arrives at a server */
    MAIL_FOLLOW,
    MAIL_CUT,
    MAIL_CUT_DONE,
    MAIL_CLOSED,
};

struct mail {
    int64_t due_ns; /* INT64_MAX: free */
    uint8_t kind;
    uint8_t member;
    int8_t server;
    bool on;
    uint32_t life; /* of the member's process that waits for it */
    int64_t sent_ns;
    struct wd_action action;
    struct wd_event event;
    union {
        struct wd_member self;
        struct wd_state state;
        struct wd_fact facts[SERVERS];
    };
};

struct lease {
    uint64_t id; /* 0: gone */
    int64_t ends_ns;
};

struct etcd {
    bool lost;
    int64_t revision;
    struct lease leases[LEASES_MAX];
    uint64_t last_lease;
    struct wd_leader leader;
    uint64_t leader_lease;
    int64_t state_revision;
    struct wd_state state;
    struct wd_member members[MEMBERS]; /* lease 0: absent */
    uint64_t roster[MEMBERS];          /* incarnations; 0: absent */
};

struct server {
    bool running;
    int64_t frozen_until_ns;
    bool in_recovery;
    bool late; /* was told to promote, and does it some time */
    uint64_t late_epoch;
    uint32_t timeline;
    int history; /* one for each promotion */
    int parent;  /* of that history */
    int upstream;
};

struct judge {
    bool active;
    uint32_t proposal; /* waits for its commit; 0: none */
    uint32_t last_proposal;
    struct wd_state work;
    bool fenced;
    bool forced;
    unsigned tried;
    int64_t began_ns; /* this phase */
    int64_t next_follow_ns;
};

struct player {
    bool running;
    bool stopping;
    uint32_t life;
    int64_t frozen_until_ns;
    int64_t back_ns; /* when it is started again; 0: it runs */
    int64_t clock_ns;
    int64_t clock_ppm;
    struct wd wd;
    struct wd_config config;
    struct judge judge;
    struct wd_state published; /* to the children */
    int64_t published_revision;
    struct wd_state acted; /* what the children go by */
    int64_t acted_revision;
    int64_t writes_until_ns;
    int64_t leads_until_ns;
    bool holds;
    int64_t holds_until_ns;
    bool to_etcd, from_etcd; /* ways that are open */
    bool to_server[SERVERS];
    unsigned misses[SERVERS];
    int64_t tick_ns, probe_ns, write_ns;
    long wrote;
    struct wd_picture answer; /* of its FETCH */
};

struct world {
    int64_t now_ns;
    uint64_t seed;
    bool quiet;
    bool told;
    bool restless; /* members that are restarted again and again */
    bool lonely;   /* one member without etcd, servers that come and go, and impatient people */
    bool slow;     /* answers take long */
    bool keep;     /* wd_on_etcd_loss */
    int64_t fault_ns;
    struct etcd etcd;
    struct server servers[SERVERS];
    bool link[SERVERS][SERVERS];
    struct player players[MEMBERS];
    struct mail mail[MAIL_MAX];
    int mail_used; /* none is in use beyond */
    int histories;
    int8_t committed[EPOCHS_MAX]; /* the candidate in the state's history; -1: none */
    int8_t promoted[EPOCHS_MAX];  /* who was promoted by an order of that epoch */
    enum wd_rule broken;
    char wrong[128]; /* what must never happen has happened; "": it has not */
    long events, promotions, writes, alone_writes, leaders, cancelled, refused;
};

extern struct world *const world;

/* ---- world.c ---- */

void world_begin(uint64_t seed, enum wd_rule broken);
/* The next event, whatever it is. */
void world_step(void);
/* No more faults: all links are there, everybody is started. */
void world_heal(void);
bool world_is_whole(void);
void world_print(void);

uint32_t dice(uint32_t sides);
void wrong(const char *what);
void story(const char *fmt, ...) PRINTF_LIKE(1, 2); /* with WD_RANDOM_TELL in the environment */
int64_t local_ns(const struct player *p);
bool is_frozen(const struct player *p);
struct mail *post(enum mail_kind kind, int member, int64_t delay_ns);
int64_t delay_ns(void);
/* One event for a member's watchdog; its actions are carried out. */
void tell(int member, struct wd_event event);

/* ---- world_etcd.c ---- */

void etcd_execute(struct mail *mail);
void etcd_expire(void);

/* ---- world_servers.c ---- */

bool server_answers(int member, int server);
bool server_streams(int server);
void server_promote(int server, uint64_t epoch);
void servers_step(void);
void probe(int member);
void write_something(int member);
void order_arrives(struct mail *mail);

/* ---- world_judge.c ---- */

void judge_begin(int member);
void judge_committed(int member, uint32_t proposal);
void judge_think(int member);

/* ---- world_faults.c ---- */

void start_player(int member, bool anew);
void fault(void);

#endif
