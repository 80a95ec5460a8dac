/*
 * What the files of the process for HTTP share. Nobody else includes this.
 *
 * http.c         its life, and what is for machines: metrics, health, views
 * http_page.c    the status page: its files, its logins, its data
 * http_orders.c  commands that were given on it
 */
#ifndef PROC_HTTP_H
#define PROC_HTTP_H

#include "auth/http_door.h"
#include "auth/http_sessions.h"
#include "inspect/happenings.h"
#include "inspect/history.h"
#include "proc/inspection.h"
#include "proc/proc.h"
#include "proc/tls.h"

enum { HTTP_ORDERS_MAX = 16, HTTP_ORDER_LINES = 8 };

enum {
    HTTP_OK = 200,
    HTTP_ACCEPTED = 202,
    HTTP_NO_CONTENT = 204,
    HTTP_BAD_REQUEST = 400,
    HTTP_UNAUTHORIZED = 401,
    HTTP_FORBIDDEN = 403,
    HTTP_NOT_FOUND = 404,
    HTTP_NOT_ALLOWED = 405,
    HTTP_TOO_MANY = 429,
    HTTP_UNAVAILABLE = 503,
};

#define HTTP_JSON "application/json"

enum http_order_state {
    HTTP_ORDER_NONE,
    HTTP_ORDER_ASKED, /* nothing was heard of it yet */
    HTTP_ORDER_GOING, /* its progress was */
    HTTP_ORDER_DONE,
    HTTP_ORDER_FAILED, /* or it was refused */
};

struct http_verb;

/* A command that another process carries out. */
struct http_order {
    struct http *http;
    uint64_t number; /* from 1 */
    uint32_t token;  /* as the other process knows it */
    enum http_order_state state;
    const struct http_verb *verb;
    int32_t node_id; /* -1: none */
    int64_t began_us;
    int64_t ended_us; /* wall clock; 0: not yet */
    char user[HTTP_USER_BYTES];
    uint32_t line_count; /* the last HTTP_ORDER_LINES of them are kept, at n modulo that */
    char lines[HTTP_ORDER_LINES][INBOX_WORDS_BYTES];
    struct io_timer timer;
};

struct http_orders {
    uint64_t last_number;
    uint32_t last_token;
    struct http_order list[HTTP_ORDERS_MAX];
};

struct http {
    struct proc *proc;
    struct http_server *server;
    struct tls_http tls; /* what it was started with */
    struct http_door door;
    struct http_sessions sessions;
    struct pcp_users *users; /* of pcp.conf; NULL: there is no such file */
    struct proc_inspection inspection;
    struct history *history;
    struct io_timer sampling;
    struct happenings happenings;
    uint32_t holds_epoch; /* what was noted of them */
    struct http_orders orders;
    struct io_listener *listeners[SOCK_LISTEN_MAX];
    uint32_t listener_count;
    bool accepting;
    bool finishing;
    struct io_timer closing;
};

/* ---- http.c ---- */

const char *http_role(struct http *h);          /* "leader", "member" or "finishing" */
const char *http_why_not_ready(struct http *h); /* NULL: it is */

/* Answers whoever may not have it. why: as http_door_judge says. */
void http_turn_away(struct http *h, const struct http_request *r, enum http_verdict verdict,
                    const struct err *why, struct http_answer *a);

/* Are so many wrong passwords being answered that no further one is tried? Then that is the
 * answer. */
bool http_is_guessed_at(struct http *h, const struct http_request *r, struct http_answer *a);

/* ---- http_page.c ---- */

/* Is it one of the page's? Then it is answered. */
bool http_page_answer(struct http *h, const struct http_request *r, struct http_answer *a);
bool http_page_takes_post(const char *path);

/* ---- http_orders.c ---- */

void http_orders_init(struct http *h);
void http_orders_fini(struct http *h);

/* what: "detach/1", "pause" and the like. -1: there is no such command or node, or too many
 * are under way; err says so. */
int http_orders_begin(struct http *h, const char *what, const struct http_session *who,
                      uint64_t *number_r, struct err *err);

/* What the other processes say of them. */
void http_orders_hear(struct http *h, const struct inbox_msg *msg);

/* Appends an array (JSON) of those that are under way and the last that have ended. */
void http_orders_json(const struct http *h, struct buf *out);

#endif
