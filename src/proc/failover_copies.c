/*
 * Native replication: which nodes have all that the others have.
 *
 * There is no plan in this mode: every node is a copy until it is detached, which only ever happens
 * here: to one that a health process calls dead, and to one that has missed a commit. The main node
 * is the copy with the lowest number, and stays it until it is detached. What is detached is
 * written to the status file first and then published, so that nobody uses it again after a crash;
 * who answers again stays detached until it has been made equal to the others (failover_back.c).
 *
 * A node that the file does not know is no copy either, unless there is no file at all. When there
 * is one that cannot be read, nobody knows who has missed what: then no node is a copy until a
 * person has looked, and nothing is read or written.
 *
 * Invariants: the last copy is never detached; what could not be written is not published; a node
 * is made a copy by order only while there is none.
 */
#include "failover.h"

#include "base/log.h"
#include "base/str.h"
#include "cluster/health.h"
#include "config/config.h"
#include "os/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
failover_copies_has(const struct failover *f, int node_id)
{
    const struct config *cfg = f->proc->config;

    return node_id >= 0 && (uint32_t)node_id < cfg->backend_count &&
           cfg->backends[node_id].configured &&
           f->now.plan.nodes[node_id].state != NODE_MAINTENANCE &&
           f->now.plan.nodes[node_id].state != NODE_UNUSED;
}

int
failover_copies_main(const struct failover *f)
{
    if (failover_copies_has(f, f->now.main_id))
        return f->now.main_id;
    for (uint32_t n = 0; n < f->proc->config->backend_count; n++) {
        if (failover_copies_has(f, (int)n))
            return (int)n;
    }
    return -1;
}

static uint32_t
count_copies(const struct failover *f)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < f->proc->config->backend_count; n++)
        count += failover_copies_has(f, (int)n);
    return count;
}

/* Nobody else knows who is a copy, so that what is not written is not true at the next start. */
static bool
save(struct failover *f)
{
    struct err err;

    if (failover_save(f, &err) == 0)
        return true;
    log_error("the status file could not be written: %s", err.message);
    return false;
}

static void
publish(struct failover *f)
{
    failover_publish(f);
    failover_show(f);
    wake_send_all(f->proc->wakes, f->proc->slot);
}

PRINTF_LIKE(4, 5)
static void
note(struct failover *f, enum node_event event, int node_id, const char *fmt, ...)
{
    char text[PLAN_TEXT_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    failover_note(f, event, node_id, text);
}

static void
leave_out(struct failover *f, uint32_t node_id, const char *why)
{
    struct plan_node *node = &f->now.plan.nodes[node_id];

    node->state = NODE_MAINTENANCE;
    node->since_us = clock_wall_us();
    str_copy(node->reason, sizeof(node->reason), why);
}

static void
say_who_is_left_out(struct failover *f)
{
    const struct plan *plan = &f->now.plan;
    struct err err;

    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].state == NODE_MAINTENANCE)
            note(f, NODE_EVENT_STATE, (int)n,
                 "node %u is detached, and not used until it has been made equal to the others: %s",
                 n, plan->nodes[n].reason);
    }
    if (count_copies(f) > 0)
        return;
    err_set(&err, "57P03",
            "no node is known to have all that was written: nothing is read or written");
    err_hint(&err, "Compare the nodes (pgpool compare). If they are equal, start pgpool with -D. "
                   "Else attach the one that is right (pcp_attach_node), and make the others equal "
                   "to it.");
    log_error_parts(LOG_LEVEL_ERROR, &err);
    note(f, NODE_EVENT_PRIMARY_MISSING, -1, "no node is known to have all that was written");
}

/* The file is about all that there are, also about those that the plan has not met. */
void
failover_copies_resume(struct failover *f, enum failover_file file)
{
    const struct config *cfg = f->proc->config;
    struct plan *plan = &f->now.plan;
    uint32_t count = MIN(cfg->backend_count, (uint32_t)CLUSTER_NODES_MAX);

    plan->node_count = MAX(plan->node_count, count);
    for (uint32_t n = 0; n < count; n++) {
        struct plan_node *node = &plan->nodes[n];

        if (!cfg->backends[n].configured || node->state == NODE_MAINTENANCE)
            continue;
        if (file == FAILOVER_FILE_FAULTY)
            leave_out(f, n, "the status file could not be read");
        else if (file == FAILOVER_FILE_TAKEN && node->state == NODE_UNUSED)
            leave_out(f, n, "it is new, or elsewhere than before");
        else
            node->state = NODE_UP;
    }
    say_who_is_left_out(f);
    save(f);
}

void
failover_copies_configure(struct failover *f)
{
    const struct config *cfg = f->proc->config;
    struct plan *plan = &f->now.plan;
    uint32_t count = MIN(cfg->backend_count, (uint32_t)CLUSTER_NODES_MAX);
    bool any = false;

    plan->node_count = MAX(plan->node_count, count);
    for (uint32_t n = 0; n < count; n++) {
        if (!cfg->backends[n].configured || plan->nodes[n].state != NODE_UNUSED)
            continue;
        leave_out(f, n, "it is new");
        any = true;
    }
    if (!any)
        return;
    say_who_is_left_out(f);
    save(f);
}

/* ---- by order ---------------------------------------------------------------------------------
 */

bool
failover_copies_attach(struct failover *f, int node_id, const char *why)
{
    struct plan_node *node = &f->now.plan.nodes[node_id];
    struct plan_node before = *node;
    int main_id;

    node->state = NODE_UP;
    node->since_us = clock_wall_us();
    str_copy(node->reason, sizeof(node->reason), why);
    if (!save(f)) {
        *node = before;
        return false;
    }
    publish(f);
    note(f, NODE_EVENT_STATE, node_id, "node %d is attached: %s", node_id, why);
    main_id = failover_copies_main(f);
    failover_run_copies_command(f, PLAN_DO_FAILBACK_COMMAND,
                                (int32_t[]){node_id, main_id, main_id});
    return true;
}

/* Where nobody knows who has everything, a person may. */
static void
attach(struct failover *f, uint32_t request, int node_id)
{
    if (failover_copies_has(f, node_id))
        failover_answer(f, request, NULL, "it is attached already");
    else if (count_copies(f) > 0)
        failover_back_begin(f, node_id, request, false);
    else if (!failover_copies_attach(f, node_id, "an administrator attaches it"))
        failover_answer(f, request, "58030", "the status file could not be written");
    else
        failover_answer(f, request, NULL,
                        "it is the only node that is used: make the others equal");
}

static void
recover(struct failover *f, uint32_t request, int node_id)
{
    if (failover_copies_has(f, node_id))
        failover_answer(f, request, "55000", "it is in use: detach it first");
    else if (count_copies(f) == 0)
        failover_answer(f, request, "55000", "no node is known to have all that was written");
    else
        failover_back_begin(f, node_id, request, true);
}

static void
detach(struct failover *f, uint32_t request, int node_id)
{
    if (!failover_copies_has(f, node_id)) {
        failover_answer(f, request, NULL, "it is detached already");
        return;
    }
    if (count_copies(f) == 1) {
        failover_answer(f, request, "55000", "it is the only node that has everything");
        return;
    }
    failover_copies_detach(f, node_id, "an administrator has detached it", true);
    if (failover_copies_has(f, node_id))
        failover_answer(f, request, "58030", "the status file could not be written");
    else
        failover_answer(f, request, NULL, "it is detached");
}

void
failover_copies_command(struct failover *f, uint32_t request, uint8_t verb, int node_id)
{
    const struct config *cfg = f->proc->config;

    if (verb != NODE_COMMAND_ATTACH && verb != NODE_COMMAND_DETACH && verb != NODE_COMMAND_RECOVER)
        failover_answer(f, request, "0A000", "in native replication no node is promoted");
    else if (node_id < 0 ||
             (uint32_t)node_id >= MIN(cfg->backend_count, (uint32_t)CLUSTER_NODES_MAX) ||
             !cfg->backends[node_id].configured)
        failover_answer(f, request, "55000", "there is no such node");
    else if (verb == NODE_COMMAND_ATTACH)
        attach(f, request, node_id);
    else if (verb == NODE_COMMAND_RECOVER)
        recover(f, request, node_id);
    else
        detach(f, request, node_id);
}

/* ---- by itself --------------------------------------------------------------------------------
 */

/* A node that was drained is being worked on: what must go there waits meanwhile. */
static bool
may_detach(const struct failover *f, int node_id)
{
    return (f->proc->config->backends[node_id].flag & CONFIG_BACKEND_DISALLOW_TO_FAILOVER) == 0 &&
           !holds_drained(shared_holds(f->proc->shared), node_id, NULL);
}

void
failover_copies_detach(struct failover *f, int node_id, const char *why, bool missed)
{
    const struct config *cfg = f->proc->config;
    struct plan_node before;
    struct plan_node *node;
    int main_id = failover_copies_main(f);
    struct err err;

    if (!failover_copies_has(f, node_id))
        return;
    if (count_copies(f) == 1 || (!missed && !may_detach(f, node_id)))
        return;
    node = &f->now.plan.nodes[node_id];
    before = *node;
    node->state = NODE_MAINTENANCE;
    node->since_us = clock_wall_us();
    str_copy(node->reason, sizeof(node->reason), why);
    if (failover_save(f, &err) != 0) {
        log_error("node %d cannot be detached, as the status file could not be written: %s",
                  node_id, err.message);
        *node = before;
        return;
    }
    publish(f);
    note(f, NODE_EVENT_STATE, node_id, "node %d \"%s:%d\" is detached: %s", node_id,
         cfg->backends[node_id].hostname, (int)cfg->backends[node_id].port, why);
    failover_run_copies_command(f, PLAN_DO_FAILOVER_COMMAND,
                                (int32_t[]){node_id, failover_copies_main(f), main_id});
}

/* Once, and not each time that it is called dead again. */
static void
note_dead(struct failover *f, int node_id, const char *why)
{
    if (!failover_copies_has(f, node_id))
        return;
    if (count_copies(f) == 1)
        note(f, NODE_EVENT_PRIMARY_MISSING, node_id,
             "node %d is dead, and the only one that has everything: %s", node_id, why);
    else if (!may_detach(f, node_id))
        note(f, NODE_EVENT_FAILOVER_REFUSED, node_id,
             "node %d is dead, and is not to be detached: it is drained, or backend_flag says so",
             node_id);
}

void
failover_copies_fact(struct failover *f, int node_id, const struct health_fact *fact)
{
    bool dead = fact->verdict == HEALTH_DEAD;
    struct plan_node *node;

    if (node_id < 0 || node_id >= CLUSTER_NODES_MAX)
        return;
    node = &f->now.plan.nodes[node_id];
    node->verdict = fact->verdict;
    node->answered = fact->answered;
    if (fact->answered) {
        node->answer = fact->answer;
        node->asked_ns = fact->began_ns;
    }
    failover_publish(f);
    if (dead && !f->called_dead[node_id])
        note_dead(f, node_id, fact->reason);
    f->called_dead[node_id] = dead;
    if (dead)
        failover_copies_detach(f, node_id, fact->reason, false);
}

void
failover_copies_look(struct failover *f)
{
    for (int n = 0; n < CLUSTER_NODES_MAX; n++) {
        if (f->called_dead[n])
            failover_hurry(f, n);
    }
}
