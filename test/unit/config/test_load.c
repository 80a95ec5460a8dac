/* load.c and lex.l: the file format, faults with their lines, and included files. */
#include "unit.h"

#include "config/option.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void
forms_of_a_setting(void **state)
{
    (void)state;
    shows("port = 5000", "port", "5000");
    shows("port=5000", "port", "5000");
    shows("port 5000", "port", "5000");
    shows("\t port\f=\v5000 \r\n", "port", "5000");
    shows("port = '5000' # comment", "port", "5000");
    shows("port = 5000#comment", "port", "5000");
    shows("# port = 5000\n\n\n", "port", "9999");
    shows("syslog_ident = a.b-c_d:e/f*g", "syslog_ident", "a.b-c_d:e/f*g");
    shows("syslog_ident = '# = \"'", "syslog_ident", "# = \"");
    shows("syslog_ident = ''", "syslog_ident", "");
    shows("syslog_ident = h\xc3\xa4", "syslog_ident", "h\xc3\xa4");
}

static void
quotes_and_escapes(void **state)
{
    (void)state;
    shows("syslog_ident = 'it''s'", "syslog_ident", "it's");
    shows("syslog_ident = 'it\\'s'", "syslog_ident", "it's");
    shows("syslog_ident = ''''", "syslog_ident", "'");
    shows("syslog_ident = '\\b\\f\\n\\r\\t\\\\\\q'", "syslog_ident", "\b\f\n\r\t\\q");
    shows("syslog_ident = '\\101\\1012\\7\\501'", "syslog_ident", "AA2\007A");
    refused("syslog_ident = '\\0'", "zero byte");
    refused("syslog_ident = 'a\\000b'", "zero byte");
    refused("syslog_ident = '\\400'", "zero byte");
}

static void
syntax_faults(void **state)
{
    (void)state;
    refused("port = 'a", "test.conf:1: quotes that the line does not close");
    refused("port = 'a''", "does not close");
    refused("port = 'a\\", "does not close");
    refused("port =", "the line ends where a value should stand");
    refused("port\n= 5", "test.conf:1: the line ends");
    refused("= 5", "unexpected \"=\" where a name should stand");
    refused("'port' = 5", "where a name should stand");
    refused("port == 5", "unexpected \"=\" where a value");
    refused("port = 5 min", "several words stands in single quotes");
    refused("port = '5' '6'", "unexpected \"'6'\" behind the value");
    refused("port = \"5\"", "values are quoted with single quotes");
    refused("port = \001", "unexpected byte 0x01");
}

static void
any_byte_is_looked_at(void **state)
{
    static const char text[] = "port = 5\0 0\nport = 1";
    struct loaded l = load_bytes(text, sizeof(text) - 1);

    (void)state;
    assert_found(&l, CONFIG_FAULT, "test.conf:1: unexpected byte 0x00 behind the value");
    loaded_fini(&l);
}

static void
names_that_are_not_taken(void **state)
{
    (void)state;
    refused("prot = 1", "test.conf:1: unknown parameter \"prot\" (hint: did you mean \"port\"?)");
    refused("backend_hostname = 'a'", "needs a number, as \"backend_hostname0\"");
    refused("backend_hostname128 = 'a'", "0 .. 127");
    warned("master_slave_mode = on", CONFIG_WARNING, "\"master_slave_mode\" is not used any more");
    shows("logdir = '/var/x'", "work_dir", "/var/x");
    shows("PORT = 5", "Port", "5");
}

static void
every_fault_is_reported_with_its_line(void **state)
{
    struct loaded l = load("port = x\n# fine\npcp_port = 77777\r\n\nmax_pool = 5\nnonsense\n"
                           "io_engine = 'a\nssl = perhaps");

    (void)state;
    assert_null(l.cfg);
    assert_int_equal(l.report.faults, 5);
    assert_found(&l, CONFIG_FAULT, "/etc/pgpool/test.conf:1: value \"x\" of \"port\"");
    assert_found(&l, CONFIG_FAULT, ":3: value \"77777\" of \"pcp_port\"");
    assert_found(&l, CONFIG_FAULT, ":6: the line ends");
    assert_found(&l, CONFIG_FAULT, ":7: quotes");
    assert_found(&l, CONFIG_FAULT, ":8: value \"perhaps\" of \"ssl\"");
    loaded_fini(&l);
}

static void
secrets_are_not_in_messages(void **state)
{
    struct buf text = BUF_EMPTY;
    struct loaded l;

    (void)state;
    buf_add_str(&text, "wd_authkey = 'hidden");
    for (int n = 0; n < 20000; n++)
        buf_add_u8(&text, 'x');
    buf_add_str(&text, "'");
    l = load(buf_cstr(&text));
    assert_found(&l, CONFIG_FAULT, "value of \"wd_authkey\" is longer");
    assert_null(find(&l, "hidden"));
    loaded_fini(&l);
    buf_free(&text);
}

static void
the_last_setting_counts(void **state)
{
    (void)state;
    shows("port = 1\nport = 2", "port", "2");
    warned("port = 1\n\nport = 2", CONFIG_WARNING,
           "test.conf:3: \"port\" is set again: its value in line 1 does not count");
    warned("logdir = '/a'\nwork_dir = '/b'", CONFIG_WARNING, "is set again");
}

static void
rubbish_is_limited(void **state)
{
    struct buf text = BUF_EMPTY;
    struct loaded l;

    (void)state;
    for (int n = 0; n < 5000; n++)
        buf_printf(&text, "rubbish_%d = 1\n", n);
    l = load(buf_cstr(&text));
    assert_null(l.cfg);
    assert_int_equal(l.report.count, 200);
    loaded_fini(&l);
    buf_clear(&text);
    for (int n = 0; n < 200000; n++)
        buf_add_u8(&text, '#');
    l = load(buf_cstr(&text));
    assert_found(&l, CONFIG_FAULT, ":1: line is longer than 131072 bytes");
    loaded_fini(&l);
    for (size_t n = 100; n < text.len; n += 100)
        text.data[n] = '\n';
    while (text.len <= CONFIG_FILE_MAX)
        buf_printf(&text, "#%98s\n", "");
    l = load(buf_cstr(&text));
    assert_found(&l, CONFIG_FAULT, "text is longer than");
    loaded_fini(&l);
    buf_free(&text);
}

static void
nodes_take_what_is_set_for_all(void **state)
{
    struct loaded l = load("backend_hostname1 = a\nbackend_port1 = 5432\n"
                           "health_check_period = 5\nhealth_check_period1 = 0\n"
                           "connect_timeout = 3s\nhealth_check_user = 'u'\n");

    (void)state;
    assert_non_null(l.cfg);
    assert_int_equal(l.cfg->backend_count, 2);
    assert_false(l.cfg->backends[0].configured);
    assert_true(l.cfg->backends[1].configured);
    assert_string_equal(l.cfg->backends[1].hostname, "a");
    assert_int_equal(l.cfg->backends[1].flag, CONFIG_BACKEND_ALLOW_TO_FAILOVER);
    assert_true(l.cfg->backends[1].weight == 1);
    assert_int_equal(l.cfg->backends[1].health_check_period_ms, 0);
    assert_int_equal(l.cfg->backends[1].connect_timeout_ms, 3000);
    assert_string_equal(l.cfg->backends[1].health_check_user, "u");
    assert_int_equal(l.cfg->health_check_period_ms, 5000);
    assert_string_equal(l.cfg->path, "/etc/pgpool/test.conf");
    assert_string_equal(l.cfg->pool_passwd, "/etc/pgpool/pool_passwd");
    loaded_fini(&l);
}

static void
memory_includes_nothing(void **state)
{
    (void)state;
    refused("include '/etc/passwd'", "\"include\" is not possible here");
    refused("include_dir '/etc'", "not possible here");
    refused("include_if_exists = '/etc/none'", "not possible here");
}

/* Files in a directory of their own. */
static char directory[] = "/tmp/pgpool-config-XXXXXX";

static void
put(const char *name, const char *text)
{
    struct buf path = BUF_EMPTY;
    FILE *file;

    buf_printf(&path, "%s/%s", directory, name);
    file = fopen(buf_cstr(&path), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    buf_free(&path);
}

static struct loaded
load_path(const char *name)
{
    struct loaded l = {.cfg = NULL};
    struct buf path = BUF_EMPTY;

    buf_printf(&path, "%s/%s", directory, name);
    config_report_init(&l.report);
    if (config_load_file(buf_cstr(&path), &l.cfg, &l.report) != 0)
        l.cfg = NULL;
    buf_free(&path);
    return l;
}

static void
assert_value(const struct loaded *l, const char *name, const char *value)
{
    struct buf shown = BUF_EMPTY;

    assert_non_null(l->cfg);
    assert_true(config_get(l->cfg, NULL, name, &shown));
    assert_string_equal(buf_cstr(&shown), value);
    buf_free(&shown);
}

static void
included_files(void **state)
{
    struct loaded l;

    (void)state;
    put("main.conf", "port = 1\ninclude 'sub/a.conf'\ninclude_if_exists 'none.conf'\n"
                     "include_dir = 'sub'\npcp_port = 3\n");
    put("sub/a.conf", "port = 2\npcp_port = 2\npool_passwd = 'users'\n");
    put("sub/b.conf", "include 'c.inc'\n");
    put("sub/.hidden.conf", "nonsense = 1\n");
    put("sub/c.inc", "max_pool = 7\n");
    l = load_path("main.conf");
    assert_value(&l, "port", "2");
    assert_value(&l, "pcp_port", "3");
    assert_value(&l, "max_pool", "7");
    assert_null(find(&l, "set again"));
    assert_int_equal(strncmp(l.cfg->pool_passwd, directory, strlen(directory)), 0);
    assert_string_equal(l.cfg->pool_passwd + strlen(directory), "/users");
    loaded_fini(&l);
}

static void
faults_in_included_files(void **state)
{
    struct loaded l;

    (void)state;
    put("main.conf", "include 'sub/a.conf'\ninclude 'none.conf'\ninclude_dir 'none'\n"
                     "include ''\ninclude 'sub'\n");
    put("sub/a.conf", "\nport = x\n");
    l = load_path("main.conf");
    assert_null(l.cfg);
    assert_found(&l, CONFIG_FAULT, "sub/a.conf:2: value \"x\"");
    assert_found(&l, CONFIG_FAULT, "main.conf:2: could not open");
    assert_found(&l, CONFIG_FAULT, "main.conf:3: could not open directory");
    assert_found(&l, CONFIG_FAULT, "main.conf:4: \"include\" needs a path");
    assert_found(&l, CONFIG_FAULT, "not a regular file");
    loaded_fini(&l);
}

static void
files_that_include_each_other(void **state)
{
    struct loaded l;

    (void)state;
    put("main.conf", "include 'main.conf'\n");
    l = load_path("main.conf");
    assert_found(&l, CONFIG_FAULT, "includes itself");
    loaded_fini(&l);
    put("main.conf", "include './main.conf'\n");
    l = load_path("main.conf");
    assert_found(&l, CONFIG_FAULT, "more than 10 deep");
    loaded_fini(&l);
}

static void
files_that_cannot_be_read(void **state)
{
    struct loaded l = load_path("none.conf");
    char cwd[1000];

    (void)state;
    assert_null(l.cfg);
    assert_found(&l, CONFIG_FAULT, "none.conf\": No such file or directory");
    loaded_fini(&l);
    l = load_path("sub");
    assert_found(&l, CONFIG_FAULT, "not a regular file");
    loaded_fini(&l);
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    put("main.conf", "");
    assert_int_equal(chdir(directory), 0);
    config_report_init(&l.report);
    assert_int_equal(config_load_file("main.conf", &l.cfg, &l.report), 0);
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(l.cfg->path[0], '/');
    assert_non_null(strstr(l.cfg->path, "/main.conf"));
    loaded_fini(&l);
}

static void
a_faulty_file_gives_what_it_can(void **state)
{
    struct buf path = BUF_EMPTY;
    struct loaded l = {.cfg = NULL};

    (void)state;
    put("main.conf", "prot = 1\nport = 99999\ninclude where.inc\n");
    put("where.inc", "pid_file_name = '/a/b.pid'\n");
    buf_printf(&path, "%s/main.conf", directory);
    config_report_init(&l.report);
    assert_int_equal(config_load_faulty_file(buf_cstr(&path), &l.cfg, &l.report), 0);
    assert_int_equal(l.report.faults, 2);
    assert_value(&l, "pid_file_name", "/a/b.pid");
    assert_value(&l, "port", "9999");
    loaded_fini(&l);
    buf_printf(&path, ".none");
    config_report_init(&l.report);
    assert_int_equal(config_load_faulty_file(buf_cstr(&path), &l.cfg, &l.report), -1);
    l.cfg = NULL;
    loaded_fini(&l);
    buf_free(&path);
}

static void
files_that_are_too_long(void **state)
{
    struct buf text = BUF_EMPTY;
    struct loaded l;

    (void)state;
    for (int n = 0; n < CONFIG_FILE_MAX / 64; n++)
        buf_printf(&text, "#%62s\n", "");
    put("big.inc", buf_cstr(&text));
    buf_add_str(&text, "#");
    put("bigger.inc", buf_cstr(&text));
    put("main.conf", "include big.inc\ninclude bigger.inc\n");
    l = load_path("main.conf");
    assert_int_equal(l.report.faults, 1);
    assert_found(&l, CONFIG_FAULT, "main.conf:2: file");
    loaded_fini(&l);
    put("main.conf", "include big.inc\ninclude big.inc\ninclude big.inc\ninclude big.inc\n");
    l = load_path("main.conf");
    assert_found(&l, CONFIG_FAULT, "all files together are longer");
    loaded_fini(&l);
    buf_free(&text);
}

static int
make_directory(void **state)
{
    char path[sizeof(directory) + 10];

    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/sub", directory);
    return mkdir(path, 0700);
}

static int
remove_directory(void **state)
{
    static const char *const names[] = {"main.conf",  "big.inc",    "bigger.inc",
                                        "sub/a.conf", "sub/b.conf", "sub/.hidden.conf",
                                        "sub/c.inc",  "sub",        ""};
    char path[sizeof(directory) + 20];

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[n]);
        if (remove(path) != 0)
            return -1;
    }
    return 0;
}

/* The file of Debian's package: everything in it is commented out; here nothing is. */
static void
a_file_of_pgpool_ii_loads(void **state)
{
    FILE *file = fopen(TOP_SRCDIR "/test/unit/config/pgpool-ii.conf", "r");
    char text[64 * 1024];
    struct loaded l;
    size_t len;

    (void)state;
    assert_non_null(file);
    len = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_true(len < sizeof(text));
    l = load_bytes(text, len);
    assert_non_null(l.cfg);
    assert_found(&l, CONFIG_NOTE, "on all nodes without: insert_lock");
    assert_value(&l, "unix_socket_directories", "/var/run/postgresql");
    assert_value(&l, "child_life_time", "5min");
    assert_value(&l, "backend_application_name1", "server1");
    loaded_fini(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_a_setting),
        cmocka_unit_test(quotes_and_escapes),
        cmocka_unit_test(syntax_faults),
        cmocka_unit_test(any_byte_is_looked_at),
        cmocka_unit_test(names_that_are_not_taken),
        cmocka_unit_test(every_fault_is_reported_with_its_line),
        cmocka_unit_test(secrets_are_not_in_messages),
        cmocka_unit_test(the_last_setting_counts),
        cmocka_unit_test(rubbish_is_limited),
        cmocka_unit_test(nodes_take_what_is_set_for_all),
        cmocka_unit_test(memory_includes_nothing),
        cmocka_unit_test(included_files),
        cmocka_unit_test(faults_in_included_files),
        cmocka_unit_test(files_that_include_each_other),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(a_faulty_file_gives_what_it_can),
        cmocka_unit_test(files_that_are_too_long),
        cmocka_unit_test(a_file_of_pgpool_ii_loads),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
