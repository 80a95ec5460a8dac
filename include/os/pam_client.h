/*
 * One conversation with PAM through libpam. auth/pam.h is what others call.
 *
 * Blocks for as long as the modules like; for a thread of os/worker.h.
 */
#ifndef OS_PAM_CLIENT_H
#define OS_PAM_CLIENT_H

#include "base/err.h"

#include <stdbool.h>

bool pam_client_is_built(void);

struct pam_client {
    const char *service;
    const char *user;
    const char *password;    /* the answer to every question whose answer is not shown */
    const char *remote_host; /* PAM_RHOST; NULL: not set */
};

enum pam_answer {
    PAM_ANSWER_YES,     /* the password is right, and the account may be used */
    PAM_ANSWER_NO,      /* err says why */
    PAM_ANSWER_UNKNOWN, /* it could not be asked: err says why */
};

/* Authentication, then the check of the account. Modules may show nothing and may ask only for the
 * password: whatever else they ask ends the conversation. */
enum pam_answer pam_client_ask(const struct pam_client *client, struct err *err);

#endif
