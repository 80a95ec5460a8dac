/*
 * Which line a client gets; what has to be asked for first; what lets nobody in.
 */
#include "auth/hba.h"
#include "files.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/un.h>

#include <cmocka.h>

static struct sockaddr_storage address;

static const struct sockaddr *
at(const char *text)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)&address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&address;

    memset(&address, 0, sizeof(address));
    address.ss_family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    if (address.ss_family == AF_INET6)
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
    else
        assert_int_equal(inet_pton(AF_INET, text, &four->sin_addr), 1);
    return (const struct sockaddr *)&address;
}

/* The number of the line that matches; 0: none; or what has to be asked for, negative. */
static int
ask(const char *text, struct hba_client client)
{
    const struct file files[] = {{"/e/h", text, 0}, {NULL, NULL, 0}};
    struct hba_reader reader = files_reader(files);
    struct hba *h = hba_load(&reader, "/e/h");
    const struct hba_line *line;
    int found = 0;

    if (client.user == NULL)
        client.user = "joe";
    if (client.database == NULL)
        client.database = "shop";
    switch (hba_match(h, &client, &line)) {
    case HBA_MATCH:
        found = (int)line->number;
        break;
    case HBA_NO_MATCH:
        assert_null(line);
        break;
    case HBA_NEEDS_ROLES:
        found = -1;
        break;
    case HBA_NEEDS_HOST_NAME:
        found = -2;
        break;
    }
    hba_unref(h);
    return found;
}

enum { ROLES = -1, HOST_NAME = -2 };

#define C(...) ((struct hba_client){__VA_ARGS__})

static void
the_connection_type_counts(void **state)
{
    static const char text[] =
        "local all all trust\nhostssl all all all trust\n"
        "hostnossl all all 10.0.0.0/8 trust\nhostgssenc all all all trust\n"
        "hostnogssenc all all 11.0.0.0/8 trust\nhost all all 12.0.0.0/8 md5\n";
    const struct sockaddr_un local = {.sun_family = AF_UNIX};

    (void)state;
    assert_int_equal(ask(text, C(.addr = NULL)), 1);
    assert_int_equal(ask(text, C(.addr = (const struct sockaddr *)&local)), 1);
    assert_int_equal(ask(text, C(.addr = at("10.0.0.1"), .tls = true)), 2);
    assert_int_equal(ask(text, C(.addr = at("10.0.0.1"))), 3);
    assert_int_equal(ask(text, C(.addr = at("11.0.0.1"))), 5);
    assert_int_equal(ask(text, C(.addr = at("12.0.0.1"))), 6);
    assert_int_equal(ask(text, C(.addr = at("13.0.0.1"))), 0);
    assert_int_equal(ask("host all all all trust", C(.addr = NULL)), 0);
    assert_int_equal(ask("hostssl all all all trust", C(.addr = NULL, .tls = true)), 0);
    assert_int_equal(ask("hostnossl all all all trust", C(.addr = at("1.1.1.1"), .tls = true)), 0);
    assert_int_equal(ask("local all all trust", C(.addr = at("1.1.1.1"))), 0);
}

static void
networks_are_compared_by_their_masks(void **state)
{
    static const char text[] = "host all all 10.1.0.0/15 trust\nhost all all 2001:db8::/33 trust\n"
                               "host all all 192.168.7.9/32 trust\n"
                               "host all all 172.0.0.5 255.0.0.255 trust\n";

    (void)state;
    assert_int_equal(ask(text, C(.addr = at("10.0.255.1"))), 1);
    assert_int_equal(ask(text, C(.addr = at("10.1.255.1"))), 1);
    assert_int_equal(ask(text, C(.addr = at("10.2.0.1"))), 0);
    assert_int_equal(ask(text, C(.addr = at("2001:db8:7fff::1"))), 2);
    assert_int_equal(ask(text, C(.addr = at("2001:db8:8000::1"))), 0);
    assert_int_equal(ask(text, C(.addr = at("192.168.7.9"))), 3);
    assert_int_equal(ask(text, C(.addr = at("192.168.7.8"))), 0);
    assert_int_equal(ask(text, C(.addr = at("172.9.9.5"))), 4);
    assert_int_equal(ask(text, C(.addr = at("172.9.9.6"))), 0);
    /* IPv4, however the kernel tells it */
    assert_int_equal(ask(text, C(.addr = at("::ffff:192.168.7.9"))), 3);
    assert_int_equal(ask("host all all ::/0 trust", C(.addr = at("::ffff:1.2.3.4"))), 0);
    assert_int_equal(ask("host all all 0.0.0.0/0 trust", C(.addr = at("::ffff:1.2.3.4"))), 1);
    assert_int_equal(ask("host all all 0.0.0.0/0 trust", C(.addr = at("::1"))), 0);
}

static void
this_host_and_its_networks(void **state)
{
    const struct hba_net list[] = {
        {AF_INET, {10, 0, 0, 7}, {255, 255, 255, 0}},
        {AF_INET6, {0xfe, 0x80, [15] = 1}, {0xff, 0xff}},
    };
    const struct hba_nets nets = {list, 2};
    static const char host[] = "host all all samehost trust";
    static const char net[] = "host all all samenet trust";

    (void)state;
    assert_int_equal(ask(host, C(.addr = at("10.0.0.7"), .nets = &nets)), 1);
    assert_int_equal(ask(host, C(.addr = at("10.0.0.8"), .nets = &nets)), 0);
    assert_int_equal(ask(host, C(.addr = at("fe80::1"), .nets = &nets)), 1);
    assert_int_equal(ask(host, C(.addr = at("fe80::2"), .nets = &nets)), 0);
    assert_int_equal(ask(net, C(.addr = at("10.0.0.8"), .nets = &nets)), 1);
    assert_int_equal(ask(net, C(.addr = at("10.0.1.8"), .nets = &nets)), 0);
    assert_int_equal(ask(net, C(.addr = at("fe80::2"), .nets = &nets)), 1);
    /* when they are not known, nobody comes in by it and nobody gets around it */
    assert_int_equal(ask(net, C(.addr = at("10.0.0.8"))), 0);
    assert_int_equal(
        ask("host all all samenet reject\nhost all all all trust", C(.addr = at("10.0.0.8"))), 1);
}

static void
host_names(void **state)
{
    static const char text[] = "host all all db.example.com trust\nhost all all .Example.org md5\n";

    (void)state;
    assert_int_equal(ask(text, C(.addr = at("1.1.1.1"))), HOST_NAME);
    assert_int_equal(ask(text, C(.addr = at("1.1.1.1"), .host_name = "")), 0);
    assert_int_equal(ask(text, C(.addr = at("1.1.1.1"), .host_name = "DB.example.com")), 1);
    assert_int_equal(ask(text, C(.addr = at("1.1.1.1"), .host_name = "xdb.example.com")), 0);
    assert_int_equal(ask(text, C(.addr = at("1.1.1.1"), .host_name = "a.b.example.org")), 2);
    assert_int_equal(ask(text, C(.addr = at("1.1.1.1"), .host_name = "example.org")), 0);
    assert_int_equal(ask(text, C(.addr = NULL)), 0);
    /* nobody is asked when it does not matter */
    assert_int_equal(
        ask("host all ann x.y trust\nhost all joe all trust", C(.addr = at("1.1.1.1"))), 2);
}

static void
databases(void **state)
{
    (void)state;
    assert_int_equal(ask("local sameuser all trust", C(.user = "shop")), 1);
    assert_int_equal(ask("local sameuser all trust", C(.user = "joe")), 0);
    assert_int_equal(ask("local \"sameuser\" all trust", C(.user = "shop")), 0);
    assert_int_equal(ask("local \"all\" all trust", C(.database = "all")), 1);
    assert_int_equal(ask("local \"all\" all trust", C(.database = "x")), 0);
    assert_int_equal(ask("local a,shop all trust", C(.user = "joe")), 1);
    assert_int_equal(ask("local Shop all trust", C(.user = "joe")), 0);
    assert_int_equal(ask("local /^sh all trust", C(.user = "joe")), 1);
    assert_int_equal(ask("local \"/^op\" all trust", C(.user = "joe")), 0);
    assert_int_equal(ask("local replication all trust", C(.user = "joe")), 0);
    assert_int_equal(ask("local \"replication\" all trust", C(.database = "replication")), 1);
}

static void
replication_is_a_database_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(ask("local all all trust", C(.replication = true)), 0);
    assert_int_equal(
        ask("local \"replication\" all trust", C(.replication = true, .database = "replication")),
        0);
    assert_int_equal(ask("local x,replication all trust", C(.replication = true)), 1);
    assert_int_equal(ask("local replication ann trust", C(.replication = true)), 0);
}

static void
users_and_roles(void **state)
{
    static const char *const names[] = {"joe", "staff", "shop"};
    const struct hba_roles roles = {names, 3};
    const struct hba_roles few = {names, 1};

    (void)state;
    assert_int_equal(ask("local all joe trust", C(.user = "joe")), 1);
    assert_int_equal(ask("local all \"all\" trust", C(.user = "joe")), 0);
    assert_int_equal(ask("local all /^j trust", C(.user = "joe")), 1);
    assert_int_equal(ask("local all +staff trust", C(.user = "joe")), ROLES);
    assert_int_equal(ask("local all +staff trust", C(.roles = &roles)), 1);
    assert_int_equal(ask("local all +staff trust", C(.roles = &few)), 0);
    assert_int_equal(ask("local all +joe trust", C(.roles = &few)), 1);
    assert_int_equal(ask("local all +joe trust", C(.roles = &(struct hba_roles){NULL, 0})), 0);
    assert_int_equal(ask("local all \"+staff\" trust", C(.roles = &roles)), 0);
    assert_int_equal(ask("local all \"+staff\" trust", C(.user = "+staff")), 1);
    assert_int_equal(ask("local samerole all trust", C(.user = "joe")), ROLES);
    assert_int_equal(ask("local samerole all trust", C(.roles = &roles)), 1);
    assert_int_equal(ask("local samegroup all trust", C(.roles = &few)), 0);
    assert_int_equal(ask("local \"samerole\" all trust", C(.user = "joe")), 0);
    /* asked for only when it matters */
    assert_int_equal(ask("local all +staff,joe trust", C(.user = "joe")), 1);
    assert_int_equal(ask("local other +staff trust\nlocal all all md5", C(.user = "joe")), 2);
    assert_int_equal(ask("local all all md5\nlocal all +staff trust", C(.user = "joe")), 1);
    assert_int_equal(ask("host all +staff x.y trust", C(.addr = at("1.1.1.1"))), ROLES);
    assert_int_equal(ask("host all +staff x.y trust", C(.addr = at("1.1.1.1"), .roles = &roles)),
                     HOST_NAME);
    assert_int_equal(ask("host all +staff x.y trust", C(.addr = at("1.1.1.1"), .host_name = "")),
                     0);
}

static void
a_file_with_a_fault_lets_nobody_in(void **state)
{
    (void)state;
    assert_int_equal(ask("local all all trust\nlocal all all nothing\n", C(.user = "joe")), 0);
    assert_int_equal(ask("", C(.user = "joe")), 0);
}

/* Every line against every client, by a second, plain reading of the rules. */
static void
the_first_line_that_matches_counts(void **state)
{
    static const char *const users[] = {"joe", "ann"};
    static const char *const bases[] = {"shop", "joe"};
    static const char *const nets[] = {"10.0.0.0/8", "all"};
    static const char *const hosts[] = {"10.9.9.9", "11.0.0.1"};
    char text[256];
    unsigned tried = 0;

    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        unsigned wanted = bits & 1, base = bits >> 1 & 1, net = bits >> 2 & 1;
        unsigned user = bits >> 3 & 1, database = bits >> 4 & 1, host = bits >> 5 & 1;
        bool first = wanted == user && base == database && (net == 1 || host == 0);

        snprintf(text, sizeof(text), "host %s %s %s trust\nhost all all all md5\n", bases[base],
                 users[wanted], nets[net]);
        assert_int_equal(
            ask(text, C(.user = users[user], .database = bases[database], .addr = at(hosts[host]))),
            first ? 1 : 2);
        tried++;
    }
    assert_int_equal(tried, 64);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_connection_type_counts),
        cmocka_unit_test(networks_are_compared_by_their_masks),
        cmocka_unit_test(this_host_and_its_networks),
        cmocka_unit_test(host_names),
        cmocka_unit_test(databases),
        cmocka_unit_test(replication_is_a_database_of_its_own),
        cmocka_unit_test(users_and_roles),
        cmocka_unit_test(a_file_with_a_fault_lets_nobody_in),
        cmocka_unit_test(the_first_line_that_matches_counts),
    };

    return cmocka_run_group_tests_name("hba_match", tests, NULL, NULL);
}
