/*
 * The command line of pgpool, as Pgpool-II's users know it: options in one-letter and long form,
 * then at most one word, and what that is about.
 */
#include "config.h"

#include "base/arena.h"
#include "base/num.h"
#include "base/str.h"
#include "config/config.h"
#include "os/exec.h"
#include "os/file.h"
#include "proc/start.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char debian_config[] = "/etc/pgpool2/pgpool.conf";
static const char built_in_config[] = PGPOOL_SYSCONFDIR "/pgpool.conf";

enum { OPTION_CONNECT = 256, OPTION_NODES, OPTION_FROM, OPTION_PART }; /* that have no letter */

static const struct option long_options[] = {
    {"hba-file", required_argument, NULL, 'a'},
    {"config-file", required_argument, NULL, 'f'},
    {"pcp-file", required_argument, NULL, 'F'},
    {"key-file", required_argument, NULL, 'k'},
    {"mode", required_argument, NULL, 'm'},
    {"timeout", required_argument, NULL, 't'},
    {"connect", no_argument, NULL, OPTION_CONNECT},
    {"nodes", required_argument, NULL, OPTION_NODES},
    {"from", required_argument, NULL, OPTION_FROM},
    {"part", required_argument, NULL, OPTION_PART},
    {"clear-oidmaps", no_argument, NULL, 'C'},
    {"discard-status", no_argument, NULL, 'D'},
    {"debug", no_argument, NULL, 'd'},
    {"dont-detach", no_argument, NULL, 'n'},
    {"debug-assertions", no_argument, NULL, 'x'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

enum { LIMIT_MAX_S = 24 * 60 * 60 };

static const struct {
    const char *text;
    enum command_word word;
} words[] = {
    {"start", COMMAND_START},           {"stop", COMMAND_STOP},
    {"reload", COMMAND_RELOAD},         {"status", COMMAND_STATUS},
    {"configtest", COMMAND_CONFIGTEST}, {"upgrade", COMMAND_UPGRADE},
    {"pause", COMMAND_PAUSE},           {"resume", COMMAND_RESUME},
    {"drain", COMMAND_DRAIN},           {"undrain", COMMAND_UNDRAIN},
    {"compare", COMMAND_COMPARE},       {"migrate", COMMAND_MIGRATE},
};

void
command_print_help(void)
{
    printf(
        "%s: a proxy between applications and PostgreSQL\n\n"
        "Usage:\n"
        "  pgpool [OPTION]... [start]            start; in the background unless -n\n"
        "  pgpool [-f FILE] [-m MODE] stop       stop the running one and wait for its end\n"
        "  pgpool [-f FILE] reload               let it read its files again\n"
        "  pgpool [-f FILE] [-t S] upgrade       replace it by the program that is installed now,\n"
        "                                        and its files read anew; clients stay\n"
        "  pgpool [-f FILE] [-t S] pause [DATABASE]\n"
        "                                        let clients wait, and return when no server\n"
        "                                        connection is open\n"
        "  pgpool [-f FILE] resume [DATABASE]    let them go on\n"
        "  pgpool [-f FILE] [-t S] drain NODE    the same as pause, for one node alone\n"
        "  pgpool [-f FILE] undrain NODE         let the node be used again\n"
        "  pgpool [-f FILE] [-t S] [--nodes=N,N...] compare [DATABASE]...\n"
        "                                        say in what the nodes' databases differ, in all "
        "of\n"
        "                                        them or these\n"
        "  pgpool top [OPTION]...                show which statements cost most, again and "
        "again\n"
        "                                        (pgpool top --help)\n"
        "  pgpool [--from=PROGRAM] [--part=NAME] migrate OLD\n"
        "                                        print a new file from a pgpool.conf of Pgpool-II\n"
        "                                        or a pgbouncer.ini, with what changes\n"
        "  pgpool [-f FILE] status               say whether it runs, since when, and what as\n"
        "  pgpool [-f FILE] configtest [--connect]\n"
        "                                        check all files, say what is wrong and where; "
        "and\n"
        "                                        ask the nodes whether pgpool's users may do "
        "there\n"
        "                                        what they have to\n\n"
        "Options:\n"
        "  -f, --config-file=FILE   configuration; default %s,\n"
        "                           then %s\n"
        "  -F, --pcp-file=FILE      users of administration; default pcp.conf beside it\n"
        "  -a, --hba-file=FILE      client authentication; default pool_hba.conf beside it\n"
        "  -k, --key-file=FILE      key of pool_passwd; default ~/.pgpoolkey\n"
        "  -n, --dont-detach        stay in the foreground\n"
        "  -d, --debug              log everything\n"
        "  -D, --discard-status     forget which nodes were down when it last ran; in native\n"
        "                           replication all nodes count as equal then: compare first\n"
        "  -C, --clear-oidmaps      forget what the query cache knows of tables\n"
        "  -m, --mode=MODE          how to stop:\n"
        "                             smart      when the last client has left (default)\n"
        "                             fast       end all sessions, each with an error\n"
        "                             immediate  at once\n"
        "  -t, --timeout=SECONDS    how long upgrade waits for the new one, default %d; and pause "
        "and\n"
        "                           drain for open transactions, for ever by default; and "
        "compare\n"
        "                           for each answer, default 600\n"
        "      --nodes=N,N...       which nodes compare looks at, the first one first; default "
        "all\n"
        "      --from=PROGRAM       whose file migrate reads: pgpool-ii or pgbouncer; default: "
        "what\n"
        "                           it looks like\n"
        "      --part=NAME          which new file: pgpool.conf (default), and from pgbouncer.ini\n"
        "                           also pool_limits, pool_passwd or pool_hba.conf\n"
        "  -x, --debug-assertions   accepted for compatibility; assertions are always on\n"
        "  -h, --help               this text\n"
        "  -v, --version            version\n\n"
        "Signals to the parent process: TERM smart, INT fast, QUIT immediate stop; HUP reload;\n"
        "USR1 new log file.\n\n"
        "Exit status: 0 done; 1 failed; 2 wrong command line; 3 (status) does not run,\n"
        "(compare) there are differences.\n",
        PACKAGE_STRING, built_in_config, debian_config, (int)COMMAND_UPGRADE_LIMIT_S);
}

static int
parse_mode(const char *text, enum proc_stop *mode_r, struct err *err)
{
    static const char *const names[] = {"smart", "fast", "immediate"};
    size_t len = strlen(text);

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        if (len > 0 && strncmp(text, names[n], len) == 0) {
            *mode_r = (enum proc_stop)(PROC_STOP_SMART + n);
            return 0;
        }
    }
    return err_set(err, NULL, "unknown stop mode \"%s\": smart, fast or immediate", text);
}

static int
parse_timeout(const char *text, int *seconds_r, struct err *err)
{
    uint32_t seconds;

    if (!num_parse_u32(text, &seconds) || seconds == 0 || seconds > LIMIT_MAX_S)
        return err_set(err, NULL, "timeout \"%s\" is no number of seconds from 1 to %d", text,
                       (int)LIMIT_MAX_S);
    *seconds_r = (int)seconds;
    return 0;
}

static int
parse_word(const char *text, enum command_word *word_r, struct err *err)
{
    const char *nearest = NULL;
    unsigned least = 3;

    for (size_t n = 0; n < ARRAY_LEN(words); n++) {
        unsigned distance = str_distance(text, words[n].text);

        if (strcmp(text, words[n].text) == 0) {
            *word_r = words[n].word;
            return 0;
        }
        if (distance < least) {
            least = distance;
            nearest = words[n].text;
        }
    }
    err_set(err, NULL, "unknown word \"%s\"", text);
    if (nearest != NULL)
        err_hint(err, "did you mean \"%s\"?", nearest);
    return -1;
}

static bool
is_of_node(enum command_word word)
{
    return word == COMMAND_DRAIN || word == COMMAND_UNDRAIN;
}

/* What stands behind the word. */
static int
parse_object(struct command *cmd, int count, char **words_at, struct err *err)
{
    bool pauses = cmd->word == COMMAND_PAUSE || cmd->word == COMMAND_RESUME;

    if (cmd->word == COMMAND_COMPARE) {
        cmd->objects = words_at + 1;
        cmd->object_count = count - 1;
        return 0;
    }
    if (cmd->word == COMMAND_MIGRATE && count == 2) {
        cmd->object = words_at[1];
        return 0;
    }
    if (cmd->word == COMMAND_MIGRATE)
        return err_set(err, NULL, "one file is enough; what is \"%s\"?", words_at[2]);
    if (!pauses && !is_of_node(cmd->word))
        return err_set(err, NULL, "one word is enough; what is \"%s\"?", words_at[1]);
    if (count > 2)
        return err_set(err, NULL, "one %s is enough; what is \"%s\"?", pauses ? "database" : "node",
                       words_at[2]);
    if (words_at[1][0] == '\0' || strlen(words_at[1]) >= SLOT_NAME_BYTES)
        return err_set(err, NULL, "\"%s\" is no name of a database", words_at[1]);
    cmd->object = words_at[1];
    return 0;
}

/* "pause -d NAME" is how it looks in other tools: the option means nothing here, but for a name
 * that is missing. */
static int
check_object(const struct command *cmd, struct err *err)
{
    uint32_t node_id;

    if (cmd->debug && cmd->object == NULL &&
        (cmd->word == COMMAND_PAUSE || cmd->word == COMMAND_RESUME))
        return err_set(err, NULL, "the name of the database is missing");
    if (cmd->word == COMMAND_MIGRATE && (cmd->object == NULL || cmd->object[0] == '\0'))
        return err_set(err, NULL, "the old file is missing");
    if (!is_of_node(cmd->word))
        return 0;
    if (cmd->object == NULL)
        return err_set(err, NULL, "the number of the node is missing");
    if (!num_parse_u32(cmd->object, &node_id) || node_id >= NODES_MAX)
        return err_set(err, NULL, "\"%s\" is no number of a node", cmd->object);
    return 0;
}

static const char *
absolute(const char *path)
{
    char cwd[PATH_MAX];
    char *joined;
    size_t size;

    if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
        return xstrdup(path);
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    size = strlen(cwd) + strlen(path) + 2;
    joined = xmalloc(size);
    snprintf(joined, size, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path);
    return joined;
}

static const char *
join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *joined = xmalloc(size);

    snprintf(joined, size, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, name);
    return joined;
}

/* In the directory of an absolute path. */
static const char *
beside(const char *path, const char *name)
{
    size_t length = (size_t)(strrchr(path, '/') - path) + 1;
    size_t size = length + strlen(name) + 1;
    char *joined = xmalloc(size);

    snprintf(joined, size, "%.*s%s", (int)length, path, name);
    return joined;
}

/* PGPOOLKEYFILE, then the file in the home directory when it is there. */
static const char *
default_key(void)
{
    const char *key = getenv("PGPOOLKEYFILE");
    const char *home = getenv("HOME");

    if (key != NULL && key[0] != '\0')
        return absolute(key);
    if (home == NULL || home[0] != '/')
        return xstrdup("");
    key = join(home, ".pgpoolkey");
    if (file_exists(key))
        return key;
    free((char *)(uintptr_t)key);
    return xstrdup("");
}

/* Makes paths absolute, for the daemon leaves this directory, and fills in what was not given. */
static void
complete_files(struct proc_files *files)
{
    char *directory;

    if (files->config == NULL)
        files->config = file_exists(built_in_config) || !file_exists(debian_config)
                            ? built_in_config
                            : debian_config;
    files->config = absolute(files->config);
    directory = xstrdup(files->config);
    strrchr(directory, '/')[strrchr(directory, '/') == directory ? 1 : 0] = '\0';
    files->directory = directory;
    files->pcp_conf =
        files->pcp_conf != NULL ? absolute(files->pcp_conf) : join(directory, "pcp.conf");
    files->hba = files->hba != NULL ? absolute(files->hba) : join(directory, "pool_hba.conf");
    files->ident = beside(files->hba, "pool_ident.conf");
    files->pool_key = files->pool_key != NULL ? absolute(files->pool_key) : default_key();
}

static int
take_option(int option, struct command *cmd, struct err *err)
{
    switch (option) {
    case 'a':
        cmd->files.hba = optarg;
        return 0;
    case 'f':
        cmd->files.config = optarg;
        return 0;
    case 'F':
        cmd->files.pcp_conf = optarg;
        return 0;
    case 'k':
        cmd->files.pool_key = optarg;
        return 0;
    case 'm':
        return parse_mode(optarg, &cmd->mode, err);
    case 't':
        return parse_timeout(optarg, &cmd->timeout_s, err);
    case 'n':
        cmd->foreground = true;
        return 0;
    case 'd':
        cmd->debug = true;
        return 0;
    case 'D':
        cmd->discard_status = true;
        return 0;
    case 'C':
        cmd->clear_oidmaps = true;
        return 0;
    case OPTION_CONNECT:
        cmd->connect = true;
        return 0;
    case OPTION_NODES:
        cmd->nodes = optarg;
        return 0;
    case OPTION_FROM:
        cmd->from = optarg;
        return 0;
    case OPTION_PART:
        cmd->part = optarg;
        return 0;
    case 'h':
        cmd->help = true;
        return 0;
    case 'v':
        cmd->version = true;
        return 0;
    default:
        return 0;
    }
}

static int
fail_option(int option, char **argv, int at, struct err *err)
{
    if (optopt != 0 && option == ':')
        return err_set(err, NULL, "option \"%s\" needs a value", argv[at]);
    if (optopt != 0 && strncmp(argv[at], "--", 2) != 0)
        return err_set(err, NULL, "unknown option \"-%c\"", optopt);
    return err_set(err, NULL, "unknown option \"%s\"", argv[at]);
}

int
command_parse(int argc, char **argv, struct command *cmd_r, struct err *err)
{
    struct command cmd = {.word = COMMAND_START, .mode = PROC_STOP_SMART};
    int option;

    opterr = 0;
    optind = 0; /* begin anew, in case this is not the first time */
    for (;;) {
        int at = MAX(optind, 1);

        option = getopt_long(argc, argv, ":a:f:F:k:m:t:CDdnxhv?", long_options, NULL);
        if (option < 0)
            break;
        if (option == '?' && optopt == 0 && strcmp(argv[at], "-?") == 0)
            option = 'h';
        if (option == '?' || option == ':')
            return fail_option(option, argv, MIN(at, argc - 1), err);
        if (optarg != NULL && optarg[0] == '\0')
            return err_set(err, NULL, "option \"%s\" needs a value", argv[at]);
        if (take_option(option, &cmd, err) != 0)
            return -1;
    }
    if (optind < argc && parse_word(argv[optind], &cmd.word, err) != 0)
        return -1;
    if (optind + 1 < argc && parse_object(&cmd, argc - optind, argv + optind, err) != 0)
        return -1;
    if (check_object(&cmd, err) != 0)
        return -1;
    complete_files(&cmd.files);
    *cmd_r = cmd;
    return 0;
}

static void
free_files(struct proc_files *files)
{
    const char *const owned[] = {files->config, files->directory, files->pcp_conf, files->hba,
                                 files->ident};

    for (size_t n = 0; n < ARRAY_LEN(owned); n++)
        free((char *)(uintptr_t)owned[n]);
    free((char *)(uintptr_t)files->pool_key);
}

static int
start(const struct command *cmd)
{
    struct config *cfg = control_load(cmd);

    if (cfg == NULL)
        return 1;
    if (control_check_passwords(cmd, cfg) != 0 || control_check_etcd(cfg) != 0) {
        config_free(cfg);
        return 1;
    }
    fflush(NULL);
    return parent_main(cmd, cfg);
}

static int
run_word(const struct command *cmd)
{
    if (cmd->help) {
        command_print_help();
        return 0;
    }
    if (cmd->version) {
        printf("%s\n", PACKAGE_STRING);
        return 0;
    }
    switch (cmd->word) {
    case COMMAND_STOP:
        return control_stop(cmd);
    case COMMAND_RELOAD:
        return control_reload(cmd);
    case COMMAND_STATUS:
        return control_status(cmd);
    case COMMAND_CONFIGTEST:
        return control_configtest(cmd);
    case COMMAND_UPGRADE:
        return control_upgrade(cmd);
    case COMMAND_PAUSE:
    case COMMAND_RESUME:
    case COMMAND_DRAIN:
    case COMMAND_UNDRAIN:
        return control_hold(cmd);
    case COMMAND_COMPARE:
        return control_compare(cmd);
    case COMMAND_MIGRATE:
        return control_migrate(cmd);
    case COMMAND_START:
        break;
    }
    return start(cmd);
}

int
command_main(int argc, char **argv)
{
    struct command cmd;
    struct err err;
    char *program;
    int rc;

    if (command_parse(argc, argv, &cmd, &err) != 0) {
        fprintf(stderr, "pgpool: %s%s%s%s\n", err.message, err.hint[0] != '\0' ? " (" : "",
                err.hint, err.hint[0] != '\0' ? ")" : "");
        fprintf(stderr, "Try \"pgpool --help\".\n");
        return 2;
    }
    program = exec_own_path(argv[0]);
    cmd.program = program;
    rc = run_word(&cmd);
    free(program);
    free_files(&cmd.files);
    return rc;
}
