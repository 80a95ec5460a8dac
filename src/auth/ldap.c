/*
 * Logins by LDAP: one server after the other, until one has given an answer about this user.
 *
 * Called on threads (os/worker.h): no state. Decides nothing about names (ldap_plan.c) and speaks
 * to nobody itself (os/ldap_client.h). Invariants: a password that is empty never gets to a server,
 * which would take it for an anonymous bind and say yes; and the user is in only after a bind with
 * a name that is not empty.
 */
#include "auth/ldap.h"

#include "os/clock.h"
#include "os/ldap_client.h"

#include <string.h>

bool
ldap_is_built(void)
{
    return ldap_client_is_built();
}

/* The user's own name on this server: built, or found as somebody who may look. */
static enum ldap_answer
find_name(struct ldap_client *c, const struct ldap_request *request, const struct ldap_plan *plan,
          struct buf *name, struct err *err)
{
    const struct ldap_options *o = &request->options;
    const char *binddn = o->binddn != NULL ? o->binddn : "";
    const char *bindpasswd = o->bindpasswd != NULL ? o->bindpasswd : "";
    struct ldap_search search = {(const char *)plan->base.data, (int)plan->scope,
                                 (const char *)plan->filter.data};
    enum ldap_answer answer;

    if (!plan->searches) {
        buf_add_str(name, (const char *)plan->name.data);
        return LDAP_ANSWER_YES;
    }
    if (ldap_client_bind(c, binddn, bindpasswd, err) != LDAP_ANSWER_YES) {
        /* it is not the user whom the server has refused */
        memcpy(err->sqlstate, "58000", sizeof("58000"));
        err_prefix(err, "could not bind as \"%s\" (ldapbinddn) for the search: ", binddn);
        return LDAP_ANSWER_UNKNOWN;
    }
    answer = ldap_client_find(c, &search, name, err);
    if (answer != LDAP_ANSWER_YES)
        err_prefix(err, "could not search for \"%s\" in \"%s\": ", search.filter, search.base);
    return answer;
}

static enum ldap_answer
ask_server(const char *uri, const struct ldap_request *request, const struct ldap_plan *plan,
           int64_t deadline_ns, struct err *err)
{
    struct ldap_client *c;
    struct buf name = BUF_EMPTY;
    enum ldap_answer answer;

    if (ldap_client_open(uri, plan->start_tls, deadline_ns, &c, err) != 0)
        return LDAP_ANSWER_UNKNOWN;
    answer = find_name(c, request, plan, &name, err);
    if (answer == LDAP_ANSWER_YES && name.len == 0) {
        err_set(err, "58000", "the name to bind as is empty");
        answer = LDAP_ANSWER_UNKNOWN;
    } else if (answer == LDAP_ANSWER_YES) {
        answer = ldap_client_bind(c, buf_cstr(&name), request->password, err);
        if (answer != LDAP_ANSWER_YES)
            err_prefix(err, "could not bind as \"%s\": ", buf_cstr(&name));
    }
    ldap_client_close(c);
    buf_free(&name);
    return answer;
}

/* Each has its share of the time that is left, so that one that hangs leaves some to the others. */
static int
ask_all(const struct ldap_request *request, const struct ldap_plan *plan, struct err *err)
{
    int64_t end_ns = clock_monotonic_ns() + request->timeout_ms * NS_PER_MS;
    const char *uri = (const char *)plan->uris.data;

    for (unsigned left = plan->uri_count; left > 0; left--) {
        int64_t now_ns = clock_monotonic_ns();
        int64_t share_ns = (end_ns - now_ns) / left;
        enum ldap_answer answer = ask_server(uri, request, plan, now_ns + share_ns, err);

        if (answer == LDAP_ANSWER_YES)
            return 0;
        err_prefix(err, "LDAP server \"%s\": ", uri);
        if (answer == LDAP_ANSWER_NO)
            return -1;
        uri += strlen(uri) + 1;
    }
    return -1;
}

int
ldap_check(const struct ldap_request *request, struct err *err)
{
    struct ldap_plan plan;
    int result = -1;

    if (request->password[0] == '\0')
        return err_set(err, "28000", "empty password returned by client");
    if (!ldap_client_is_built())
        return err_set(err, "0A000", "this pgpool was built without LDAP");
    if (ldap_plan_make(&request->options, request->user, &plan, err) == 0)
        result = ask_all(request, &plan, err);
    ldap_plan_free(&plan);
    return result;
}
