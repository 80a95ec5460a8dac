/*
 * Logins by PAM: what is asked, and what may not be asked at all. os/pam_client.h has the
 * conversation. Called on threads (os/worker.h): no state.
 */
#include "auth/pam.h"

#include "os/pam_client.h"

bool
pam_is_built(void)
{
    return pam_client_is_built();
}

int
pam_check(const struct pam_request *request, struct err *err)
{
    bool named = request->service != NULL && request->service[0] != '\0';
    struct pam_client client = {
        .service = named ? request->service : PAM_DEFAULT_SERVICE,
        .user = request->user,
        .password = request->password,
        .remote_host = request->remote_host,
    };

    /* To some modules an empty one is as good as none, and none is needed for some accounts. */
    if (request->password[0] == '\0')
        return err_set(err, "28000", "empty password returned by client");
    if (request->user[0] == '\0')
        return err_set(err, "28000", "empty user name");
    if (pam_client_ask(&client, err) == PAM_ANSWER_YES)
        return 0;
    err_prefix(err, "PAM service \"%s\", user \"%s\": ", client.service, client.user);
    return -1;
}
