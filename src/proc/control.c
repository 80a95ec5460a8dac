/*
 * The words of the command line that speak of another pgpool, or only of its files: stop, reload,
 * status, configtest, upgrade; control_holds.c has pause and its like, control_connect.c what
 * configtest asks the nodes.
 *
 * The running one is found by its pid file, and the lock on that file says whether it lives. These
 * are commands: they may block, and they talk to a person on stdout and stderr.
 */
#include "control.h"
#include "auth/passwd.h"
#include "auth/pcp_users.h"
#include "base/log.h"
#include "config/config.h"
#include "os/channel.h"
#include "os/ctlsock.h"
#include "os/etcd_client.h"
#include "os/file.h"
#include "os/process.h"
#include "parent.h"
#include "proc/hba.h"
#include "proc/tls.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SMART_LIMIT_S = 60,
    FAST_LIMIT_S = 20,
    PROCESSES_SHOWN = 1024,
    TITLE_BYTES = 512,
    STATUS_NOT_RUNNING = 3,
};

static const char parent_title[] = "pgpool: parent";

/* ---- configuration ---- */

void
control_print_report(const struct config_report *report)
{
    for (uint32_t n = 0; n < report->count; n++) {
        const struct config_finding *finding = &report->findings[n];
        struct buf line = BUF_EMPTY;

        config_finding_print(finding, &line);
        fprintf(stderr, "pgpool: %s%s\n",
                finding->severity == CONFIG_WARNING ? "warning: "
                : finding->severity == CONFIG_NOTE  ? "note: "
                                                    : "",
                buf_cstr(&line));
        buf_free(&line);
    }
}

/* For whoever starts it for the first time. */
static void
print_where_files_are(const struct command *cmd)
{
    if (!file_exists(cmd->files.config))
        fprintf(stderr, "pgpool: hint: write that file (pgpool.conf.sample shows all options), or "
                        "give another one with -f\n");
}

struct config *
control_load(const struct command *cmd)
{
    struct config_report report;
    struct config *cfg = NULL;

    config_report_init(&report);
    if (config_load_file(cmd->files.config, &cfg, &report) != 0)
        cfg = NULL;
    control_print_report(&report);
    if (cfg == NULL)
        fprintf(stderr, "pgpool: configuration file \"%s\" cannot be used\n", cmd->files.config);
    if (cfg == NULL)
        print_where_files_are(cmd);
    config_report_fini(&report);
    return cfg;
}

/* The process id of the running pgpool; 0 when there is none, -1 when nobody can tell. Whoever has
 * broken the file can still stop pgpool. */
static pid_t
find_running(const struct command *cmd, char *pid_file, size_t pid_file_size)
{
    struct config_report report;
    struct config *cfg = NULL;
    pid_t pid = -1;

    config_report_init(&report);
    if (config_load_faulty_file(cmd->files.config, &cfg, &report) != 0) {
        control_print_report(&report);
        print_where_files_are(cmd);
    } else {
        if (report.faults > 0)
            fprintf(stderr, "pgpool: warning: \"%s\" has faults; see \"pgpool configtest\"\n",
                    cmd->files.config);
        snprintf(pid_file, pid_file_size, "%s", cfg->pid_file_name);
        pid = pidfile_owner(pid_file);
        if (pid < 0)
            fprintf(stderr, "pgpool: could not open pid file \"%s\": %s\n", pid_file,
                    strerror(errno));
    }
    config_report_fini(&report);
    config_free(cfg);
    return pid;
}

/* As above, with a message when there is none. */
static pid_t
need_running(const struct command *cmd, char *pid_file, size_t pid_file_size)
{
    pid_t pid = find_running(cmd, pid_file, pid_file_size);

    if (pid == 0)
        fprintf(stderr, "pgpool: pgpool is not running (nobody holds pid file \"%s\")\n", pid_file);
    return pid;
}

pid_t
control_need_running(const struct command *cmd, char pid_file_r[CONTROL_PATH_BYTES])
{
    return need_running(cmd, pid_file_r, CONTROL_PATH_BYTES);
}

static int
signal_process(pid_t pid, int signo)
{
    struct err err;

    if (process_signal(pid, signo, &err) == 0)
        return 0;
    fprintf(stderr, "pgpool: %s\n", err.message);
    return -1;
}

/* ---- the words ---- */

/* Tells it, and whoever has just taken over from it: that one stops its older generations, too.
 * Returns the process that ends last, or -1. */
static pid_t
tell_to_stop(const struct command *cmd, const char *pid_file, pid_t pid)
{
    static const int signals[] = {
        [PROC_STOP_SMART] = SIGTERM, [PROC_STOP_FAST] = SIGINT, [PROC_STOP_IMMEDIATE] = SIGQUIT};
    pid_t next;

    if (signal_process(pid, signals[cmd->mode]) != 0)
        return -1;
    next = pidfile_owner(pid_file);
    if (next <= 0 || next == pid)
        return pid;
    return signal_process(next, signals[cmd->mode]) == 0 ? next : -1;
}

int
control_stop(const struct command *cmd)
{
    int limit_s = cmd->mode == PROC_STOP_SMART ? SMART_LIMIT_S : FAST_LIMIT_S;
    char pid_file[TITLE_BYTES];
    pid_t pid = need_running(cmd, pid_file, sizeof(pid_file));

    if (pid > 0)
        pid = tell_to_stop(cmd, pid_file, pid);
    if (pid <= 0)
        return 1;
    printf("waiting for pgpool (process %d) to stop", (int)pid);
    fflush(stdout);
    for (int waited_s = 0; waited_s < limit_s; waited_s++) {
        if (process_wait(pid, 1000)) {
            printf(" done\n");
            return 0;
        }
        printf(".");
        fflush(stdout);
    }
    printf(" not yet\n");
    fprintf(stderr, "pgpool: process %d has not ended after %d s\n", (int)pid, limit_s);
    if (cmd->mode == PROC_STOP_SMART)
        fprintf(stderr, "It takes no new clients and waits until those that it has leave; "
                        "\"pgpool -m fast stop\" ends their sessions.\n");
    else
        fprintf(stderr,
                "See its log; \"pgpool -m immediate stop\" asks no process for its leave.\n");
    return 1;
}

static void
print_fault(const char *what, const struct err *err)
{
    fprintf(stderr, "pgpool: %s%s%s%s%s\n", what, err->message,
            err->hint[0] != '\0' ? " (hint: " : "", err->hint, err->hint[0] != '\0' ? ")" : "");
}

int
control_check_passwords(const struct command *cmd, const struct config *cfg)
{
    struct passwd *passwords;
    struct err err;

    if (proc_load_passwords(cfg->pool_passwd, cmd->files.pool_key, &passwords, &err) != 0) {
        print_fault("", &err);
        return -1;
    }
    if (passwd_fault(passwords, &err))
        print_fault("warning: ", &err);
    passwd_free(passwords);
    return 0;
}

int
control_check_etcd(const struct config *cfg)
{
    struct err err;

    if (!cfg->use_watchdog || etcd_hosts_check(cfg->wd_etcd_hosts, &err) == 0)
        return 0;
    print_fault("\"wd_etcd_hosts\": ", &err);
    return -1;
}

static int
check_pcp_users(const struct command *cmd)
{
    struct pcp_users *users;
    struct err err;

    if (proc_read_pcp_users(cmd->files.pcp_conf, &users, &err) != 0) {
        print_fault("", &err);
        return -1;
    }
    pcp_users_free(users);
    return 0;
}

int
control_reload(const struct command *cmd)
{
    struct config *cfg = control_load(cmd);
    bool fine = cfg != NULL && control_check_passwords(cmd, cfg) == 0 && check_pcp_users(cmd) == 0;
    char pid_file[TITLE_BYTES];
    pid_t pid;

    config_free(cfg);
    if (!fine) {
        fprintf(stderr, "pgpool: nothing was reloaded\n");
        return 1;
    }
    pid = need_running(cmd, pid_file, sizeof(pid_file));
    if (pid <= 0 || signal_process(pid, SIGHUP) != 0)
        return 1;
    printf("pgpool (process %d) was told to reload; its log says what has changed\n", (int)pid);
    return 0;
}

static void
print_since(const char *pid_file)
{
    struct stat st;
    struct tm tm;
    char text[64];

    if (stat(pid_file, &st) != 0)
        return;
    localtime_r(&st.st_mtime, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm);
    printf("since: %s\n", text);
}

static bool
is_parent_process(pid_t pid)
{
    char title[TITLE_BYTES];

    return process_title(pid, title, sizeof(title)) &&
           strncmp(title, parent_title, sizeof(parent_title) - 1) == 0;
}

static void
print_family(pid_t pid)
{
    pid_t children[PROCESSES_SHOWN];
    char title[TITLE_BYTES];
    size_t count = process_children(pid, children, PROCESSES_SHOWN);

    if (process_title(pid, title, sizeof(title)))
        printf("  %7d  %s\n", (int)pid, title);
    for (size_t n = 0; n < count; n++) {
        if (!is_parent_process(children[n]) && process_title(children[n], title, sizeof(title)))
            printf("  %7d  %s\n", (int)children[n], title);
    }
}

int
control_status(const struct command *cmd)
{
    char pid_file[TITLE_BYTES];
    pid_t pid = find_running(cmd, pid_file, sizeof(pid_file));
    pid_t older;

    if (pid < 0)
        return 1;
    if (pid == 0) {
        printf("pgpool is not running (nobody holds pid file \"%s\")\n", pid_file);
        return STATUS_NOT_RUNNING;
    }
    printf("pgpool is running (process %d)\n", (int)pid);
    print_since(pid_file);
    printf("configuration: %s\npid file: %s\n", cmd->files.config, pid_file);
    control_print_holds(pid_file);
    printf("processes:\n");
    print_family(pid);
    /* An older generation started the one that took over from it. */
    for (older = process_parent(pid); older > 1 && is_parent_process(older);
         older = process_parent(older)) {
        printf("an older generation:\n");
        print_family(older);
    }
    return 0;
}

/* ---- upgrade ---- */

enum { SPARE_S = 10 };

/* The answer's text; -1 when none came. The daemon keeps the time limit; ours is for one that does
 * not answer at all. */
int
control_ask(const struct control_question *q, char *answer, struct err *err)
{
    static const int words_fd = STDERR_FILENO;
    struct channel_parcel parcel;
    struct pollfd p = {.events = POLLIN};
    char path[TITLE_BYTES + sizeof(CONTROL_SUFFIX)];
    enum channel_result got = CHANNEL_NOTHING;
    int n;

    snprintf(path, sizeof(path), "%s%s", q->pid_file, CONTROL_SUFFIX);
    if (ctlsock_connect(path, &p.fd, err) != 0)
        return -1;
    channel_send_fds(p.fd, q->text, strlen(q->text), &words_fd, 1);
    do {
        n = poll(&p, 1, q->limit_s * 1000);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        got = channel_receive_fds(p.fd, answer, CONTROL_ANSWER_BYTES - 1, &parcel);
    close(p.fd);
    if (got == CHANNEL_NOTHING)
        return err_set(err, NULL, "the running pgpool does not answer");
    if (got == CHANNEL_GONE)
        return err_set(err, NULL, "the running pgpool ended or was replaced meanwhile");
    while (parcel.fd_count > 0)
        fd_close(&parcel.fds[--parcel.fd_count]);
    answer[parcel.len] = '\0';
    return 0;
}

int
control_upgrade(const struct command *cmd)
{
    int limit_s = cmd->timeout_s > 0 ? cmd->timeout_s : COMMAND_UPGRADE_LIMIT_S;
    char pid_file[TITLE_BYTES];
    char answer[CONTROL_ANSWER_BYTES];
    char text[64];
    struct control_question q = {pid_file, text, limit_s + SPARE_S};
    struct err err;
    int pid = need_running(cmd, pid_file, sizeof(pid_file));
    int next;

    if (pid <= 0)
        return 1;
    snprintf(text, sizeof(text), "upgrade %d", limit_s);
    if (control_ask(&q, answer, &err) != 0) {
        fprintf(stderr, "pgpool: %s\n", err.message);
        return 1;
    }
    if (sscanf(answer, "done %d", &next) == 1) {
        printf("pgpool (process %d) has taken over from process %d\n", next, pid);
        return 0;
    }
    fprintf(stderr, "pgpool: upgrade has failed: %s\n",
            strncmp(answer, "failed ", 7) == 0 ? answer + 7 : answer);
    if (process_wait(pid, 0))
        fprintf(stderr, "pgpool: process %d has ended\n", pid);
    else
        fprintf(stderr, "pgpool: process %d goes on as before\n", pid);
    return 1;
}

/* ---- configtest ---- */

static int
check_tls(const struct config *cfg)
{
    struct buf files = BUF_EMPTY;
    struct err err;

    if (tls_files_read(cfg, &files, &err) != 0) {
        fprintf(stderr, "pgpool: %s%s%s%s\n", err.message, err.hint[0] != '\0' ? " (hint: " : "",
                err.hint, err.hint[0] != '\0' ? ")" : "");
        return -1;
    }
    tls_files_free(&files);
    return 0;
}

static void
print_hba_finding(void *ctx UNUSED, bool is_fault, const char *words)
{
    fprintf(stderr, "pgpool: %s%s\n", is_fault ? "" : "warning: ", words);
}

/* Where the files count for nothing, what is wrong in them does no harm yet. */
static int
check_hba(const struct command *cmd, const struct config *cfg)
{
    bool counts = cfg != NULL && cfg->enable_pool_hba;
    struct proc_hba_check check = {&cmd->files, counts, print_hba_finding, NULL};
    struct err err;

    return proc_check_hba(&check, NULL, &err);
}

int
control_configtest(const struct command *cmd)
{
    struct config *cfg = control_load(cmd);
    int status = cfg == NULL;

    if (cfg != NULL && control_check_passwords(cmd, cfg) != 0)
        status = 1;
    if (cfg != NULL && check_tls(cfg) != 0)
        status = 1;
    if (cfg != NULL && control_check_etcd(cfg) != 0)
        status = 1;
    if (check_pcp_users(cmd) != 0 || check_hba(cmd, cfg) != 0)
        status = 1;
    if (status == 0 && cmd->connect && control_check_nodes(cfg, cmd->files.pool_key) != 0)
        status = 1;
    config_free(cfg);
    if (status == 0)
        printf("configuration \"%s\" is fine\n", cmd->files.config);
    return status;
}
