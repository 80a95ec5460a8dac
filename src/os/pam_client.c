/*
 * libpam: the conversation function that answers with the password, and what PAM's codes mean.
 *
 * Called by auth/pam.c, on threads: everything here is on the stack or in PAM's handle.
 */
#include "config.h"

#include "os/pam_client.h"

#ifdef HAVE_PAM

#include <security/pam_appl.h>

#include <stdlib.h>
#include <string.h>

bool
pam_client_is_built(void)
{
    return true;
}

static void
free_answers(struct pam_response *answers, int count)
{
    for (int n = 0; n < count; n++) {
        if (answers[n].resp == NULL)
            continue;
        explicit_bzero(answers[n].resp, strlen(answers[n].resp));
        free(answers[n].resp);
    }
    free(answers);
}

/* What modules want to tell the user is dropped, as nobody reads it before he is logged in; a
 * question with an echo asks for something else than the password, which nobody can answer. */
static const char *
answer_to(int style, const struct pam_client *client)
{
    switch (style) {
    case PAM_PROMPT_ECHO_OFF:
        return client->password;
    case PAM_ERROR_MSG:
    case PAM_TEXT_INFO:
        return "";
    default:
        return NULL;
    }
}

/* PAM frees what it gets, with the C library's free(). Source: pam_conv(3). */
static int
answer(int count, const struct pam_message **messages, struct pam_response **answers_r, void *ctx)
{
    const struct pam_client *client = ctx;
    struct pam_response *answers;

    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    answers = calloc((size_t)count, sizeof(*answers));
    if (answers == NULL)
        return PAM_BUF_ERR;
    for (int n = 0; n < count; n++) {
        const char *text = answer_to(messages[n]->msg_style, client);

        if (text != NULL)
            answers[n].resp = strdup(text);
        if (answers[n].resp == NULL) {
            free_answers(answers, count);
            return text == NULL ? PAM_CONV_ERR : PAM_BUF_ERR;
        }
    }
    *answers_r = answers;
    return PAM_SUCCESS;
}

/* What says something about this user or password, and not about PAM. */
static bool
is_refusal(int rc)
{
    switch (rc) {
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_PERM_DENIED:
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_AUTHTOK_EXPIRED:
    case PAM_CRED_EXPIRED:
    case PAM_CRED_INSUFFICIENT:
        return true;
    default:
        return false;
    }
}

static enum pam_answer
fail(pam_handle_t *handle, int rc, const char *what, struct err *err)
{
    err_set(err, is_refusal(rc) ? "28000" : "58000", "%s: %s", what, pam_strerror(handle, rc));
    return is_refusal(rc) ? PAM_ANSWER_NO : PAM_ANSWER_UNKNOWN;
}

enum pam_answer
pam_client_ask(const struct pam_client *client, struct err *err)
{
    struct pam_conv conversation = {answer, (void *)(uintptr_t)client};
    enum pam_answer result = PAM_ANSWER_YES;
    pam_handle_t *handle = NULL;
    int rc;

    rc = pam_start(client->service, client->user, &conversation, &handle);
    if (rc != PAM_SUCCESS || handle == NULL) {
        err_set(err, "58000", "could not begin a conversation with PAM service \"%s\": error %d",
                client->service, rc);
        return PAM_ANSWER_UNKNOWN;
    }
    if (client->remote_host != NULL)
        rc = pam_set_item(handle, PAM_RHOST, client->remote_host);
    if (rc != PAM_SUCCESS) {
        result = fail(handle, rc, "could not tell PAM the client's host", err);
    } else {
        rc = pam_authenticate(handle, PAM_SILENT);
        if (rc != PAM_SUCCESS) {
            result = fail(handle, rc, "PAM refused the password", err);
        } else {
            rc = pam_acct_mgmt(handle, PAM_SILENT);
            if (rc != PAM_SUCCESS)
                result = fail(handle, rc, "PAM refused the account", err);
        }
    }
    pam_end(handle, rc | PAM_DATA_SILENT);
    return result;
}

#else

bool
pam_client_is_built(void)
{
    return false;
}

enum pam_answer
pam_client_ask(const struct pam_client *client UNUSED, struct err *err)
{
    err_set(err, "0A000", "this pgpool was built without PAM");
    return PAM_ANSWER_UNKNOWN;
}

#endif
