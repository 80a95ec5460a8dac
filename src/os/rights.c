/*
 * Giving up rights. Called by the parent when it has opened what takes root, and by each process
 * when it begins.
 *
 * The system calls are made directly: capset has no other wrapper in the C library, and a library
 * for two calls would be one more thing to install. They concern the calling thread, so all of this
 * happens while there is only one.
 */
#include "os/rights.h"

#include "base/num.h"
#include "base/str.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPABILITY_LAST = 63 };

int
rights_find(const char *user, const char *group, struct rights_user *user_r, struct err *err)
{
    const struct passwd *pw = getpwnam(user);
    const struct group *gr;
    uint32_t number;

    if (pw == NULL && num_parse_u32(user, &number))
        pw = getpwuid(number);
    if (pw == NULL)
        return err_set(err, "42704", "user \"%s\" does not exist", user);
    if (!str_copy(user_r->name, sizeof(user_r->name), pw->pw_name) ||
        !str_copy(user_r->home, sizeof(user_r->home), pw->pw_dir))
        return err_set(err, "42704", "name or directory of user \"%s\" is too long", user);
    user_r->uid = pw->pw_uid;
    user_r->gid = pw->pw_gid;
    if (group[0] == '\0')
        return 0;
    gr = getgrnam(group);
    if (gr != NULL)
        user_r->gid = gr->gr_gid;
    else if (num_parse_u32(group, &number))
        user_r->gid = number;
    else
        return err_set(err, "42704", "group \"%s\" does not exist", group);
    return 0;
}

bool
rights_is(const struct rights_user *user)
{
    return geteuid() == user->uid;
}

void
rights_give(const struct rights_user *user, const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0 || st.st_uid != geteuid() || S_ISLNK(st.st_mode) ||
        (!S_ISDIR(st.st_mode) && st.st_nlink != 1))
        return;
    if (lchown(path, user->uid, (gid_t)-1) != 0)
        return;
}

int
rights_become(const struct rights_user *user, struct err *err)
{
    uid_t real;
    uid_t effective;
    uid_t saved;

    if (initgroups(user->name, user->gid) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return err_set_errno(err, "42501", errno, "could not become user \"%s\"", user->name);
    /* The kernel's word that there is no way back. */
    if (user->uid != 0 && (getresuid(&real, &effective, &saved) != 0 || real != user->uid ||
                           effective != user->uid || saved != user->uid || setuid(0) == 0))
        return err_set(err, "42501", "could not give up the rights of root");
    setenv("HOME", user->home, 1);
    setenv("USER", user->name, 1);
    setenv("LOGNAME", user->name, 1);
    return 0;
}

static bool
is_kept(unsigned capability)
{
    switch (capability) {
    case CAP_DAC_OVERRIDE:
    case CAP_DAC_READ_SEARCH:
    case CAP_FOWNER:
    case CAP_IPC_LOCK:
    case CAP_AUDIT_WRITE:
        return true;
    default:
        return false;
    }
}

/* Whatever we do not have already, or the kernel does not know, cannot be dropped. */
static void
set_capabilities(bool keep)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, sets) != 0)
        return;
    for (unsigned n = 0; n <= CAPABILITY_LAST; n++) {
        uint32_t bit = 1u << (n % 32);

        sets[n / 32].inheritable &= ~bit;
        if (keep && is_kept(n))
            continue;
        sets[n / 32].effective &= ~bit;
        sets[n / 32].permitted &= ~bit;
    }
    syscall(SYS_capset, &header, sets);
}

void
rights_limit(bool runs_commands)
{
    bool is_root = geteuid() == 0;

    if (runs_commands && is_root)
        return;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (!runs_commands) {
        for (unsigned n = 0; n <= CAPABILITY_LAST; n++) {
            if (!is_kept(n))
                prctl(PR_CAPBSET_DROP, n, 0, 0, 0);
        }
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    }
    set_capabilities(is_root);
}

void
rights_guard_memory(bool allow)
{
    struct rlimit limit;

    prctl(PR_SET_DUMPABLE, allow ? 1 : 0, 0, 0, 0);
    if (!allow || getrlimit(RLIMIT_CORE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CORE, &limit);
}
