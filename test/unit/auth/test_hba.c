/*
 * Lines of pool_hba.conf: what they say, and what is wrong with them.
 */
#include "auth/hba.h"
#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct hba *
load(const char *text)
{
    const struct file files[] = {
        {"/e/h", text, 0}, {"/e/who", "joe, \"ann\"\n+staff", 0}, {NULL, NULL, 0}};
    struct hba_reader reader = files_reader(files);

    return hba_load(&reader, "/e/h");
}

/* type|databases|users|address|netmask|method|options */
static void
print(const struct hba_line *line, struct buf *out)
{
    buf_printf(out, "%s|", hba_type_name(line->type));
    hba_print_names(&line->databases, out);
    buf_add_u8(out, '|');
    hba_print_names(&line->users, out);
    buf_add_u8(out, '|');
    hba_print_address(line, out);
    buf_add_u8(out, '|');
    hba_print_netmask(line, out);
    buf_printf(out, "|%s|", hba_method_name(line->method));
    hba_print_options(line, out);
}

static void
assert_line(const char *text, const char *wanted)
{
    struct hba *h = load(text);
    const struct hba_line *line = hba_line_at(h, 0);
    struct buf out = BUF_EMPTY;

    if (line->error != NULL)
        fail_msg("%s: %s", text, line->error);
    assert_true(hba_is_good(h));
    print(line, &out);
    assert_string_equal(buf_cstr(&out), wanted);
    buf_free(&out);
    hba_unref(h);
}

static void
assert_fault(const char *text, const char *why)
{
    struct hba *h = load(text);
    const struct hba_line *line = hba_line_at(h, 0);

    if (line->error == NULL)
        fail_msg("%s was accepted", text);
    if (strstr(line->error, why) == NULL)
        fail_msg("%s: %s", text, line->error);
    assert_false(hba_is_good(h));
    hba_unref(h);
}

static void
lines_say_what_they_say_in_postgresql(void **state)
{
    (void)state;
    assert_line("local all all trust", "local|{all}|{all}|||trust|");
    assert_line("host a,\"b c\" @who 10.1.2.3/8 md5",
                "host|{a,\"b c\"}|{joe,ann,+staff}|10.1.2.3|255.0.0.0|md5|");
    assert_line("hostssl sameuser,samerole,samegroup \"\" ::1/128 cert",
                "hostssl|{sameuser,samerole,samegroup}|{\"\"}|::1|"
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff|cert|{clientcert=verify-full}");
    assert_line("hostnossl replication \"/^a{2,3}$\" 192.168.0.0 255.255.0.0 scram-sha-256",
                "hostnossl|{replication}|{\"/^a{2,3}$\"}|192.168.0.0|255.255.0.0|scram-sha-256|");
    assert_line("hostgssenc all all fe80::/10 password",
                "hostgssenc|{all}|{all}|fe80::|ffc0::|password|");
    assert_line("hostnogssenc all all samehost reject",
                "hostnogssenc|{all}|{all}|samehost||reject|");
    assert_line("host all all samenet reject", "host|{all}|{all}|samenet||reject|");
    assert_line("host all all .example.com reject", "host|{all}|{all}|.example.com||reject|");
    assert_line("host all all \"all\" reject", "host|{all}|{all}|all||reject|");
    assert_line("host all all all reject", "host|{all}|{all}|all||reject|");
    assert_line("host all all ::/0 trust", "host|{all}|{all}|::|::|trust|");
    assert_line("host all all 0.0.0.0/0 trust", "host|{all}|{all}|0.0.0.0|0.0.0.0|trust|");
    assert_line("host all all ::1 ffff:: trust", "host|{all}|{all}|::1|ffff::|trust|");
    assert_line("local all null,NULL,\"a\"\"b\",\"c\\d\" trust",
                "local|{all}|{\"null\",\"NULL\",\"a\\\"b\",\"c\\\\d\"}|||trust|");
    assert_line("local all all peer map=m", "local|{all}|{all}|||peer|{map=m}");
    assert_line("local all all ident map=", "local|{all}|{all}|||peer|");
    assert_line("hostssl all all all trust clientcert=verify-ca clientname=DN",
                "hostssl|{all}|{all}|all||trust|{clientcert=verify-ca,clientname=DN}");
    assert_line("hostssl all all all cert clientcert=verify-full,clientname=CN map=\"m n\"",
                "hostssl|{all}|{all}|all||cert|{\"map=m n\",clientcert=verify-full,clientname=CN}");
    assert_line("host all all all pam pamservice=x pam_use_hostname=1",
                "host|{all}|{all}|all||pam|{pamservice=x,pam_use_hostname=1}");
}

static void
ldap_options(void **state)
{
    (void)state;
    assert_line(
        "host all all all ldap ldapserver=\"a b\" ldapport=1389 ldaptls=1 ldapprefix=\"cn=\" "
        "ldapsuffix=\",dc=x\"",
        "host|{all}|{all}|all||ldap|{\"ldapserver=a b\",ldapport=1389,ldaptls=true,"
        "ldapprefix=cn=,\"ldapsuffix=,dc=x\",ldapscope=2}");
    assert_line("host all all all ldap ldapserver=a ldapscheme=ldaps ldapbasedn=\"dc=x,dc=y\" "
                "ldapbinddn=b ldapbindpasswd=secret ldapsearchattribute=uid ldaptls=0",
                "host|{all}|{all}|all||ldap|{ldapserver=a,ldapscheme=ldaps,"
                "\"ldapbasedn=dc=x,dc=y\",ldapbinddn=b,ldapbindpasswd=****,"
                "ldapsearchattribute=uid,ldapscope=2}");
    assert_line("host all all all ldap \"ldapurl=ldap://h:99/dc=x%2cdc=y?uid,mail?sub\"",
                "host|{all}|{all}|all||ldap|{ldapserver=h,ldapport=99,ldapscheme=ldap,"
                "\"ldapbasedn=dc=x,dc=y\",ldapsearchattribute=uid,ldapscope=2}");
}

static void
ldap_urls(void **state)
{
    (void)state;
    assert_line("host all all all ldap ldapurl=LDAPS://[::1]/dc=x??one?(uid=$username)",
                "host|{all}|{all}|all||ldap|{ldapserver=[::1],ldapport=636,ldapscheme=ldaps,"
                "ldapbasedn=dc=x,ldapsearchfilter=(uid=$username),ldapscope=1}");
    assert_line("host all all all ldap ldapurl=ldap://h/dc=x?uid?base??x-ext",
                "host|{all}|{all}|all||ldap|{ldapserver=h,ldapport=389,ldapscheme=ldap,"
                "ldapbasedn=dc=x,ldapsearchattribute=uid}");
    assert_fault("host all all all ldap ldapurl=http://h/x", "does not begin with ldap://");
    assert_fault("host all all all ldap ldapurl=h", "does not begin with ldap://");
    assert_fault("host all all all ldap ldapurl=ldap://h:0/x", "the port is no number");
    assert_fault("host all all all ldap ldapurl=ldap://[::1/x", "a bracket is not closed");
    assert_fault("host all all all ldap ldapurl=ldap://[::1]x/x", "behind the bracket");
    assert_fault("host all all all ldap ldapurl=ldap://h?x", "there is no /");
    assert_fault("host all all all ldap ldapurl=ldap://h/x?a?all", "the scope is not");
    assert_fault("host all all all ldap ldapurl=ldap://h/x%2", "two hexadecimal digits");
    assert_fault("host all all all ldap ldapurl=ldap://h/x%00", "two hexadecimal digits");
    assert_fault("host all all all ldap ldapurl=ldap://h/x?a?sub?"
                 "?!bindname=x",
                 "critical");
    assert_fault("host all all all ldap ldapurl=ldap:///dc=x", "needs \"ldapserver\"");
    assert_fault("host all all all ldap ldapurl=ldap://h/", "\"ldapbasedn\"");
}

static void
what_is_missing_or_too_much_is_a_fault(void **state)
{
    (void)state;
    assert_fault("local", "the line ends before the database");
    assert_fault("local all", "the line ends before the user");
    assert_fault("local all all", "the line ends before the authentication method");
    assert_fault("host all all", "the line ends before the address");
    assert_fault("host all all 10.0.0.1", "the line ends before the netmask");
    assert_fault("host all all all", "the line ends before the authentication method");
    assert_fault("local,host all all trust", "more than one connection type");
    assert_fault("host all all all,samenet trust", "more than one address");
    assert_fault("host all all 10.0.0.1 255.0.0.0,x trust", "more than one netmask");
    assert_fault("local all all trust,reject", "more than one authentication method");
    assert_fault("locall all all trust", "invalid connection type \"locall\"");
    assert_fault("local all all \"a b", "double quotes");
    assert_fault("local @none all trust", "there is no file");
    assert_fault("# nothing\n", "the file holds no rule");
}

static void
addresses_are_checked(void **state)
{
    (void)state;
    assert_fault("host all all 10.0.0.1/33 trust", "no number from 0 to 32");
    assert_fault("host all all ::1/129 trust", "no number from 0 to 128");
    assert_fault("host all all 10.0.0.1/x trust", "no number from 0 to 32");
    assert_fault("host all all 10.0.0.1/ trust", "no number from 0 to 32");
    assert_fault("host all all 10.0.0.1/+8 trust", "no number from 0 to 32");
    assert_fault("host all all 10.0.0.1/-1 trust", "no number from 0 to 32");
    assert_fault("host all all 10.0.0.1 trust", "invalid netmask \"trust\"");
    assert_fault("host all all 10.0.0.1 ffff:: trust", "not of the same kind");
    assert_fault("host all all 10.0.0/8 trust", "invalid address \"10.0.0\"");
    assert_fault("host all all 127 trust", "invalid address \"127\"");
    assert_fault("host all all 300.1.1.1/8 trust", "invalid address");
    assert_fault("host all all ::g/8 trust", "invalid address");
    assert_fault("host all all fe80::1%lo/8 trust", "invalid address");
    assert_fault("host all all /8 trust", "invalid address \"\"");
    assert_fault("host all all \"\" trust", "invalid address \"\"");
    assert_fault("host all all db.example/24 trust", "has a mask");
}

static void
methods_are_checked(void **state)
{
    static const char *const known[] = {"gss", "sspi", "ident", "radius", "bsd", "oauth"};
    char text[64];

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(known); n++) {
        snprintf(text, sizeof(text), "host all all all %s", known[n]);
        assert_fault(text, "is not offered by pgpool");
    }
    assert_fault("local all all nothing", "invalid authentication method \"nothing\"");
    assert_fault("host all all all peer", "\"peer\" is for local lines only");
    assert_fault("host all all all cert", "\"cert\" is for hostssl lines only");
    assert_fault("local all all cert", "\"cert\" is for hostssl lines only");
    assert_fault("local \"/(\" all trust", "regular expression \"(\": parentheses are not closed");
    assert_fault("local all a,/+x,b trust", "nothing to repeat");
}

static void
options_are_checked(void **state)
{
    (void)state;
    assert_fault("local all all trust x", "\"x\" is no authentication option");
    assert_fault("local all all trust x=1", "unknown authentication option \"x\"");
    assert_fault("local all all md5 map=m",
                 "\"map\" is for the authentication methods peer and cert");
    assert_fault("local all all md5 ldapserver=m", "is for the authentication method ldap only");
    assert_fault("local all all md5 pamservice=m", "is for the authentication method pam only");
    assert_fault("host all all all md5 clientcert=verify-ca", "is for hostssl lines only");
    assert_fault("hostssl all all all md5 clientcert=1", "invalid value \"1\" of \"clientcert\"");
    assert_fault("hostssl all all all cert clientcert=verify-ca", "invalid value \"verify-ca\"");
    assert_fault("host all all all md5 clientname=CN", "is for hostssl lines only");
    assert_fault("hostssl all all all md5 clientname=cn", "invalid value \"cn\"");
    assert_fault("host all all all pam pam_use_hostname=on", "invalid value \"on\"");
    assert_fault("host all all all pam a b", "\"b\" is no authentication option");
    assert_fault("host all all all pam \"\"", "is no authentication option");
    assert_fault("host all all all ldap", "\"ldap\" needs \"ldapserver\"");
    assert_fault("host all all all ldap ldapserver=a", "needs \"ldapprefix\"");
    assert_fault("host all all all ldap ldapserver=a ldaptls=yes ldapprefix=x", "invalid value");
    assert_fault("host all all all ldap ldapserver=a ldapport=0 ldapprefix=x", "invalid value");
    assert_fault("host all all all ldap ldapserver=a ldapport=65536 ldapprefix=x", "invalid value");
    assert_fault("host all all all ldap ldapserver=a ldapscheme=LDAP ldapprefix=x",
                 "invalid value");
    assert_fault("host all all all ldap ldapserver=a ldapprefix=x ldapbasedn=y",
                 "do not go together");
    assert_fault("host all all all ldap ldapserver=a ldapsuffix=x ldapbinddn=y",
                 "do not go together");
    assert_fault("host all all all ldap ldapserver=a ldapbasedn=x ldapsearchattribute=y "
                 "ldapsearchfilter=z",
                 "do not go together");
    assert_fault("host all all all ldap \"ldapurl=ldap://h/x?uid?sub?(a=b)\"",
                 "do not go together");
}

static void
old_forms_of_pgpool_go_on_to_work(void **state)
{
    struct hba *h = load("local all all trust\n"
                         "host all all 127.0.0.1/32 trust\n"
                         "host all all ::1/128 trust\n"
                         "host all all 10.0.0.0/8 pam pgpool\n"
                         "host all all 11.0.0.0/8 ldap ldapserver=x ldapprefix=y "
                         "backend_use_passwd=1\n");

    (void)state;
    assert_true(hba_is_good(h));
    assert_null(hba_line_at(h, 2)->note);
    assert_false(hba_uses_nets(h));
    assert_string_equal(hba_line_at(h, 3)->options.pamservice, "pgpool");
    assert_non_null(hba_line_at(h, 3)->note);
    assert_non_null(hba_line_at(h, 4)->note);
    hba_unref(h);
}

static void
lines_are_numbered_and_told_with_their_file(void **state)
{
    struct hba *h =
        load("# c\nhost all all samenet trust\n\nlocall x\nlocal all \\\n all \\\n md5\n");

    (void)state;
    assert_false(hba_is_good(h));
    assert_true(hba_uses_nets(h));
    assert_int_equal(hba_line_at(h, 0)->rule, 1);
    assert_int_equal(hba_line_at(h, 0)->number, 2);
    assert_int_equal(hba_line_at(h, 1)->rule, 0);
    assert_int_equal(hba_line_at(h, 1)->number, 4);
    assert_non_null(hba_line_at(h, 1)->hint);
    assert_int_equal(hba_line_at(h, 2)->rule, 2);
    assert_int_equal(hba_line_at(h, 2)->number, 5);
    assert_string_equal(hba_line_at(h, 2)->file, "/e/h");
    assert_null(hba_line_at(h, 3));
    hba_unref(hba_ref(h));
    hba_unref(h);
    hba_unref(hba_ref(NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_say_what_they_say_in_postgresql),
        cmocka_unit_test(ldap_options),
        cmocka_unit_test(ldap_urls),
        cmocka_unit_test(what_is_missing_or_too_much_is_a_fault),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(methods_are_checked),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(old_forms_of_pgpool_go_on_to_work),
        cmocka_unit_test(lines_are_numbered_and_told_with_their_file),
    };

    return cmocka_run_group_tests_name("hba", tests, NULL, NULL);
}
