/*
 * etcd as far as the watchdog uses it: one store, one revision, transactions that compare, leases.
 */
#include "world.h"

#include <string.h>

static struct lease *
find_lease(uint64_t id)
{
    struct lease *lease = &world->etcd.leases[id % LEASES_MAX];

    return id != 0 && lease->id == id ? lease : NULL;
}

static void
end_lease(struct lease *lease)
{
    struct etcd *etcd = &world->etcd;

    if (etcd->leader.term != 0 && etcd->leader_lease == lease->id) {
        memset(&etcd->leader, 0, sizeof(etcd->leader));
        etcd->revision++;
    }
    for (int n = 0; n < MEMBERS; n++) {
        if (etcd->members[n].lease != lease->id)
            continue;
        memset(&etcd->members[n], 0, sizeof(etcd->members[n]));
        etcd->revision++;
    }
    lease->id = 0;
}

/* While etcd has no leader no lease ends, and with the next one all of them begin anew. */
void
etcd_expire(void)
{
    for (int n = 0; n < LEASES_MAX && !world->etcd.lost; n++) {
        struct lease *lease = &world->etcd.leases[n];

        if (lease->id != 0 && world->now_ns >= lease->ends_ns)
            end_lease(lease);
    }
}

static void
take_picture(struct wd_picture *picture)
{
    const struct etcd *etcd = &world->etcd;

    picture->revision = etcd->revision;
    picture->leader = etcd->leader;
    picture->state_revision = etcd->state_revision;
    picture->state = etcd->state;
    picture->member_count = picture->roster_count = 0;
    for (uint32_t n = 0; n < MEMBERS; n++) {
        if (etcd->members[n].lease != 0)
            picture->members[picture->member_count++] = etcd->members[n];
        if (etcd->roster[n] != 0)
            picture->roster[picture->roster_count++] =
                (struct wd_roster_entry){.id = n, .incarnation = etcd->roster[n]};
    }
}

static bool
put_member(const struct mail *mail, bool join)
{
    struct etcd *etcd = &world->etcd;
    struct wd_member *key = &etcd->members[mail->member];
    int64_t revision = key->lease != 0 ? key->key_revision : 0;

    if (revision != mail->action.revision || (join && find_lease(mail->action.lease) == NULL))
        return false;
    if (!join && revision == 0)
        return false;
    etcd->revision++;
    uint64_t lease = join ? mail->action.lease : key->lease;
    *key = mail->self;
    key->lease = lease;
    key->key_revision = etcd->revision;
    if (join)
        etcd->roster[mail->member] = mail->self.incarnation;
    return true;
}

static void
check_commit(const struct wd_state *before, const struct wd_state *after)
{
    if (after->epoch < before->epoch)
        wrong("the epoch went back");
    if (after->epoch >= EPOCHS_MAX || after->candidate_id < 0)
        return;
    if (world->committed[after->epoch] >= 0 &&
        world->committed[after->epoch] != after->candidate_id)
        wrong("two candidates of one epoch were committed");
    world->committed[after->epoch] = (int8_t)after->candidate_id;
}

static bool
commit(const struct mail *mail)
{
    struct etcd *etcd = &world->etcd;

    if (etcd->state_revision != mail->action.revision || etcd->leader.term != mail->action.term)
        return false;
    if (etcd->state_revision != 0)
        check_commit(&etcd->state, &mail->state);
    etcd->state = mail->state;
    etcd->state_revision = ++etcd->revision;
    return true;
}

static bool
campaign(const struct mail *mail)
{
    struct etcd *etcd = &world->etcd;

    if (etcd->leader.term != 0 || find_lease(mail->action.lease) == NULL)
        return false;
    etcd->leader = (struct wd_leader){
        .id = mail->member, .incarnation = mail->self.incarnation, .term = ++etcd->revision};
    etcd->leader_lease = mail->action.lease;
    world->leaders++;
    return true;
}

static bool
leave(const struct mail *mail)
{
    struct etcd *etcd = &world->etcd;

    if (etcd->roster[mail->member] != mail->self.incarnation)
        return false;
    etcd->roster[mail->member] = 0;
    memset(&etcd->members[mail->member], 0, sizeof(etcd->members[mail->member]));
    etcd->revision++;
    return true;
}

static bool
grant(struct wd_event *event)
{
    struct etcd *etcd = &world->etcd;
    uint64_t id = ++etcd->last_lease;

    etcd->leases[id % LEASES_MAX] = (struct lease){id, world->now_ns + 3 * NS_PER_S};
    event->lease = id;
    event->ttl_ns = 3 * NS_PER_S;
    return true;
}

static bool
keep_alive(const struct mail *mail, struct wd_event *event)
{
    struct lease *lease = find_lease(mail->action.lease);

    if (lease == NULL)
        return false;
    lease->ends_ns = world->now_ns + 3 * NS_PER_S;
    event->ttl_ns = 3 * NS_PER_S;
    return true;
}

static bool
execute(struct mail *mail, struct wd_event *event)
{
    struct etcd *etcd = &world->etcd;

    switch ((enum wd_request)mail->action.request) {
    case WD_GRANT:
        return grant(event);
    case WD_KEEPALIVE:
        return keep_alive(mail, event);
    case WD_JOIN:
    case WD_UPDATE:
        return put_member(mail, mail->action.request == WD_JOIN);
    case WD_FETCH:
        return true;
    case WD_CAMPAIGN:
        return campaign(mail);
    case WD_COMMIT:
        return commit(mail);
    case WD_RESIGN:
        if (etcd->leader.term != mail->action.term)
            return false;
        memset(&etcd->leader, 0, sizeof(etcd->leader));
        etcd->revision++;
        return true;
    case WD_LEAVE:
        return leave(mail);
    default:
        return false;
    }
}

/* Arrives, or does not; the answer arrives in time, or not. Who asked hears something either way.
 */
void
etcd_execute(struct mail *mail)
{
    static const int64_t limit_ns = NS_PER_S;
    struct player *p = &world->players[mail->member];
    struct mail *answer;
    int64_t back_ns = delay_ns();
    bool arrives = p->to_etcd && !world->etcd.lost && (world->quiet || dice(50) != 0);
    bool returns = arrives && p->from_etcd && (world->quiet || dice(50) != 0);
    struct wd_event event = {
        .kind = WD_ANSWERED,
        .request = (enum wd_request)mail->action.request,
        .serial = mail->action.serial,
        .answer = WD_UNSURE,
    };

    etcd_expire();
    if (arrives) {
        bool done = execute(mail, &event);

        story("member %d: %s %s, revision %ld", mail->member,
              (const char *[]){"grant", "keepalive", "join", "update", "fetch", "campaign",
                               "commit", "resign", "forget", "leave"}[mail->action.request],
              done ? "ok" : "no", world->etcd.revision);

        if (returns && world->now_ns + back_ns < mail->sent_ns + limit_ns) {
            event.answer = done ? WD_OK : WD_NO;
            event.revision = world->etcd.revision;
            if (mail->action.request == WD_FETCH && p->life == mail->life)
                take_picture(&p->answer);
        }
    }
    if (event.answer == WD_UNSURE)
        back_ns = MAX(0, mail->sent_ns + limit_ns - world->now_ns);
    answer = post(MAIL_ANSWER, mail->member, back_ns);
    answer->life = mail->life;
    answer->event = event;
}
