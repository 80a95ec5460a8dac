/*
 * record.h: what stands in etcd, there and back; what is not understood; and the transactions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watchdog/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct wd_member
some_member(void)
{
    struct wd_member member = {.id = 3,
                               .priority = -7,
                               .incarnation = UINT64_MAX,
                               .nodes_hash = 0xabc,
                               .fenced_epoch = 12,
                               .applied = 345,
                               .leaving = true};

    cluster_set_add(&member.alive, 0);
    cluster_set_add(&member.alive, 127);
    return member;
}

static struct wd_state
some_state(void)
{
    struct wd_state state = {.epoch = 5,
                             .system_identifier = UINT64_MAX,
                             .nodes_hash = 0x12,
                             .timeline = 7,
                             .node_count = 3,
                             .primary_id = -1,
                             .candidate_id = 2,
                             .phase = PLAN_PROMOTING,
                             .fence_epoch = 5,
                             .last_primary_id = 0,
                             .told_id = 2,
                             .told_epoch = 5};

    cluster_set_add(&state.in, 1);
    cluster_set_add(&state.in, 2);
    cluster_set_add(&state.electable, 2);
    return state;
}

static void
members_come_back(void **state UNUSED)
{
    struct wd_member member = some_member();
    struct wd_member back;
    struct buf text = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    struct err err;

    wd_member_print(&member, &text);
    assert_string_equal(buf_cstr(&text),
                        "pgpool_member 1 id=3 priority=-7 "
                        "incarnation=ffffffffffffffff nodes=0000000000000abc "
                        "fenced=12 applied=345 leaving=1 isolated=0 alive=0,127 dead=-");
    assert_int_equal(wd_member_parse(&back, buf_cstr(&text), &err), 0);
    wd_member_print(&back, &again);
    assert_string_equal(buf_cstr(&again), buf_cstr(&text));
    buf_free(&text);
    buf_free(&again);
}

static void
states_come_back_with_their_payload(void **state UNUSED)
{
    struct wd_state before = some_state();
    struct wd_state back;
    struct buf text = BUF_EMPTY;
    struct buf again = BUF_EMPTY;
    const char *payload;
    struct err err;

    wd_state_print(&before, "any\ntext", &text);
    assert_int_equal(wd_state_parse(&back, buf_cstr(&text), &payload, &err), 0);
    assert_string_equal(payload, "any\ntext");
    assert_int_equal(back.told_epoch, before.told_epoch);
    wd_state_print(&back, payload, &again);
    assert_string_equal(buf_cstr(&again), buf_cstr(&text));
    buf_free(&text);
    buf_free(&again);
}

/* Each text that is shorter or has another byte is refused, or is another record; never worse. */
static void
faulty_texts_are_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "pgpool_member 2 id=3",
        "pgpool_member 1",
        "pgpool_member 1 id=",
        "pgpool_member 1 id=4294967296 priority=1",
        "pgpool_member 1 id=3 priority=99999999999999999999999",
        "pgpool_member 1 id=3 priority=1 incarnation=xyz",
        "pgpool_member 1 id=3 priority=1 incarnation=0 nodes=0 fenced=0 applied=0 leaving=0 "
        "isolated=0 "
        "alive=- "
        "dead=-",
        "pgpool_member 1 id=3 priority=1 incarnation=1 nodes=0 fenced=0 applied=0 leaving=2 "
        "isolated=0 "
        "alive=- "
        "dead=-",
        "pgpool_member 1 id=3 priority=1 incarnation=1 nodes=0 fenced=0 applied=0 leaving=0 "
        "isolated=0 "
        "alive=0,128 dead=-",
        "pgpool_member 1 id=3 priority=1 incarnation=1 nodes=0 fenced=0 applied=0 leaving=0 "
        "isolated=0 "
        "alive=0, "
        "dead=-",
        "pgpool_member 1 id=3 priority=1 incarnation=1 nodes=0 fenced=0 applied=0 leaving=0 "
        "isolated=0 "
        "alive=- "
        "dead=- new=1",
    };
    struct wd_state before = some_state();
    struct wd_member member;
    struct buf text = BUF_EMPTY;
    const char *payload;
    struct err err;

    for (size_t n = 0; n < ARRAY_LEN(bad); n++) {
        assert_int_equal(wd_member_parse(&member, bad[n], &err), -1);
        assert_string_equal(err.sqlstate, "22023");
    }
    before.candidate_id = 3;
    wd_state_print(&before, "", &text);
    assert_int_equal(wd_state_parse(&before, buf_cstr(&text), &payload, &err), -1);
    buf_clear(&text);
    before = some_state();
    wd_state_print(&before, "", &text);
    for (size_t len = 0; len + 1 < text.len; len++) {
        char *cut = strndup((const char *)text.data, len);

        if (cut != NULL && wd_state_parse(&before, cut, &payload, &err) == 0)
            assert_true(len + 2 >= text.len); /* the last digit alone may be missing */
        free(cut);
    }
    buf_free(&text);
}

static struct etcd_pair
pair(const char *key, const char *value, int64_t created, int64_t changed)
{
    return (struct etcd_pair){.key = key,
                              .key_len = strlen(key),
                              .value = value,
                              .value_len = strlen(value),
                              .create_revision = created,
                              .mod_revision = changed,
                              .lease = 77};
}

static void
pictures_are_read(void **state UNUSED)
{
    static const char member[] = "pgpool_member 1 id=1 priority=1 incarnation=a nodes=0 fenced=0 "
                                 "applied=0 leaving=0 isolated=0 alive=- dead=-";
    struct wd_state before = some_state();
    struct buf text = BUF_EMPTY;
    struct etcd_pair pairs[4];
    struct etcd_answer answer = {.revision = 50, .pair_count = 4, .pairs = pairs};
    struct wd_picture picture;
    const char *payload;
    struct err err;

    wd_state_print(&before, "payload", &text);
    pairs[0] = pair("/p/leader", "pgpool_leader 1 id=1 incarnation=a", 30, 31);
    pairs[1] = pair("/p/member/1", member, 20, 21);
    pairs[2] = pair("/p/roster/1", "000000000000000a", 20, 20);
    pairs[3] = pair("/p/state", buf_cstr(&text), 5, 40);
    assert_int_equal(wd_picture_read(&picture, &answer, "/p/", &payload, &err), 0);
    assert_int_equal(picture.revision, 50);
    assert_int_equal(picture.leader.term, 30);
    assert_int_equal(picture.leader.id, 1);
    assert_int_equal(picture.state_revision, 40);
    assert_int_equal(picture.state.told_epoch, before.told_epoch);
    assert_memory_equal(&picture.state.in, &before.in, sizeof(before.in));
    assert_string_equal(payload, "payload");
    assert_int_equal(picture.members[0].lease, 77);
    assert_int_equal(picture.members[0].key_revision, 21);
    assert_ptr_equal(wd_picture_live(&picture, &picture.roster[0]), &picture.members[0]);

    pairs[2].value = "000000000000000g";
    assert_int_equal(wd_picture_read(&picture, &answer, "/p/", &payload, &err), -1);
    assert_string_equal(err.message,
                        "key \"/p/roster/1\" of etcd is not understood: it is no incarnation");
    pairs[2] = pair("/p/else", "", 1, 1);
    assert_int_equal(wd_picture_read(&picture, &answer, "/p/", &payload, &err), -1);
    pairs[2] = pair("/q/state", "", 1, 1);
    assert_int_equal(wd_picture_read(&picture, &answer, "/p/", &payload, &err), -1);
    answer.pair_count = 0;
    assert_int_equal(wd_picture_read(&picture, &answer, "/p/", &payload, &err), 0);
    assert_int_equal(picture.state.primary_id, -1);
    assert_string_equal(payload, "");
    buf_free(&text);
}

static void
more_members_than_there_may_be(void **state UNUSED)
{
    struct etcd_pair pairs[WD_MEMBERS_MAX + 1];
    char keys[WD_MEMBERS_MAX + 1][32];
    struct etcd_answer answer = {.revision = 1, .pair_count = ARRAY_LEN(pairs), .pairs = pairs};
    struct wd_picture picture;
    const char *payload;
    struct err err;

    for (unsigned n = 0; n < ARRAY_LEN(pairs); n++) {
        snprintf(keys[n], sizeof(keys[n]), "roster/%u", n);
        pairs[n] = pair(keys[n], "1", 1, 1);
    }
    assert_int_equal(wd_picture_read(&picture, &answer, "", &payload, &err), -1);
}

static struct wd_transaction t;

static void
make(enum wd_request request)
{
    static struct wd wd;
    struct wd_action action = {.request = (uint8_t)request,
                               .lease = 9,
                               .term = 30,
                               .revision = 21,
                               .other_id = 2,
                               .other_incarnation = 0xb};

    wd.self = some_member();
    wd.proposal = some_state();
    wd_transaction_init(&t, &wd, &action, "/p/", "payload");
}

static void
check_compare(uint32_t n, enum etcd_compare_what what, const char *key, int64_t revision)
{
    assert_true(n < t.txn.compare_count);
    assert_int_equal(t.txn.compares[n].what, what);
    assert_string_equal(t.txn.compares[n].key, key);
    if (what != ETCD_VALUE)
        assert_int_equal(t.txn.compares[n].revision, revision);
}

static void
check_op(uint32_t n, enum etcd_op_kind kind, const char *key, uint64_t lease)
{
    assert_true(n < t.txn.op_count);
    assert_int_equal(t.txn.ops[n].kind, kind);
    assert_string_equal(t.txn.ops[n].key, key);
    assert_int_equal(t.txn.ops[n].lease, lease);
}

static void
transactions_compare_what_they_must(void **state UNUSED)
{
    make(WD_JOIN);
    check_compare(0, ETCD_MOD_REVISION, "/p/member/3", 21);
    check_op(0, ETCD_PUT, "/p/member/3", 9);
    check_op(1, ETCD_PUT, "/p/roster/3", 0);
    assert_memory_equal(t.txn.ops[1].value, "ffffffffffffffff", 16);
    assert_non_null(strstr(buf_cstr(&t.value), " dead=-\npayload")); /* the list of nodes */
    wd_transaction_fini(&t);
    make(WD_UPDATE);
    check_compare(0, ETCD_MOD_REVISION, "/p/member/3", 21);
    assert_int_equal(t.txn.op_count, 1);
    wd_transaction_fini(&t);
    make(WD_CAMPAIGN);
    check_compare(0, ETCD_CREATE_REVISION, "/p/leader", 0);
    check_op(0, ETCD_PUT, "/p/leader", 9);
    wd_transaction_fini(&t);
    make(WD_COMMIT);
    check_compare(0, ETCD_CREATE_REVISION, "/p/leader", 30);
    check_compare(1, ETCD_MOD_REVISION, "/p/state", 21);
    check_op(0, ETCD_PUT, "/p/state", 0);
    wd_transaction_fini(&t);
    make(WD_RESIGN);
    check_compare(0, ETCD_CREATE_REVISION, "/p/leader", 30);
    check_op(0, ETCD_DELETE, "/p/leader", 0);
    wd_transaction_fini(&t);
    make(WD_FORGET);
    check_compare(0, ETCD_CREATE_REVISION, "/p/leader", 30);
    check_compare(1, ETCD_CREATE_REVISION, "/p/member/2", 0);
    check_compare(2, ETCD_VALUE, "/p/roster/2", 0);
    assert_string_equal(t.txn.compares[2].value, "000000000000000b");
    check_op(0, ETCD_DELETE, "/p/roster/2", 0);
    wd_transaction_fini(&t);
    make(WD_LEAVE);
    check_compare(0, ETCD_VALUE, "/p/roster/3", 0);
    check_op(0, ETCD_DELETE, "/p/member/3", 0);
    check_op(1, ETCD_DELETE, "/p/roster/3", 0);
    wd_transaction_fini(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_back),
        cmocka_unit_test(states_come_back_with_their_payload),
        cmocka_unit_test(faulty_texts_are_refused),
        cmocka_unit_test(pictures_are_read),
        cmocka_unit_test(more_members_than_there_may_be),
        cmocka_unit_test(transactions_compare_what_they_must),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
