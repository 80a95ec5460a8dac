/*
 * sql/parameters: texts with parameters in the place of their constants.
 */
#include "sql/parameters.h"

#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sql_parameters *parameters;
static char shown[40000];

static int
setup(void **state)
{
    (void)state;
    parameters = sql_parameters_new();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    sql_parameters_free(parameters);
    return 0;
}

/* As "text | value:type | ...", without the blanks that stand round parameters. */
static const char *
taken(const char *text)
{
    struct sql_options options = {.standard_conforming_strings = true};
    struct sql_with_parameters r;
    const uint8_t *value;
    size_t at = 0;

    if (!sql_parameters_take(parameters, (struct sql_text){text, (uint32_t)strlen(text)}, &options,
                             &r))
        return NULL;
    for (uint32_t n = 0; n < r.text.len; n++) {
        if (r.text.data[n] != ' ')
            shown[at++] = r.text.data[n];
    }
    value = r.values;
    for (uint32_t n = 0; n < r.count; n++) {
        uint32_t len = num_get_u32(value);
        at += (size_t)snprintf(shown + at, sizeof(shown) - at, "|%.*s:%u", (int)len, value + 4,
                               num_get_u32(r.types + (size_t)n * 4));
        value += 4 + len;
    }
    assert_ptr_equal(value, r.values + r.values_len);
    shown[at] = '\0';
    return shown;
}

static void
gives(const char *text, const char *wanted)
{
    const char *got = taken(text);

    if (got == NULL || strcmp(got, wanted) != 0)
        fail_msg("%s\n   gives %s\n  wanted %s", text, got != NULL ? got : "nothing", wanted);
}

static void
refuses(const char *text)
{
    const char *got = taken(text);

    if (got != NULL)
        fail_msg("%s\n   gives %s", text, got);
}

static void
integers_become_int4(void **state)
{
    (void)state;
    gives("UPDATE t SET v = v + 12 WHERE id = 7;", "UPDATEtSETv=v+$1WHEREid=$2|12:23|7:23");
    gives("update t set v = v + -12 where id = 7 ; ; ", "updatetsetv=v+$1whereid=$2|-12:23|7:23");
    gives("UPDATE t SET v=-12 WHERE id=7", "UPDATEtSETv=$1WHEREid=$2|-12:23|7:23");
    gives("UPDATE t SET v = v-12 WHERE id=7", "UPDATEtSETv=v-$1WHEREid=$2|12:23|7:23");
    gives("UPDATE t SET v = v - -12 WHERE id=7", "UPDATEtSETv=v-$1WHEREid=$2|-12:23|7:23");
    gives("DELETE FROM t WHERE a = 1 AND b = 2147483647",
          "DELETEFROMtWHEREa=$1ANDb=$2|1:23|2147483647:23");
    gives("INSERT INTO t (a, b, c) VALUES (1, NULL, -3)",
          "INSERTINTOt(a,b,c)VALUES($1,NULL,$2)|1:23|-3:23");
    gives("UPDATE t SET a = 1, b = t.b * 2 WHERE (s.t.id = 3)",
          "UPDATEtSETa=$1,b=t.b*$2WHERE(s.t.id=$3)|1:23|2:23|3:23");
    gives("INSERT INTO t VALUES (007)", "INSERTINTOtVALUES($1)|007:23");
}

static void
those_of_tpc_b_are_taken(void **state)
{
    (void)state;
    gives("UPDATE pgbench_accounts SET abalance = abalance + -4321 WHERE aid = 98765;",
          "UPDATEpgbench_accountsSETabalance=abalance+$1WHEREaid=$2|-4321:23|98765:23");
    gives("INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (7, 3, 98765, -4321, "
          "'2020-01-01 00:00:00+00'::pg_catalog.timestamptz);",
          "INSERTINTOpgbench_history(tid,bid,aid,delta,mtime)VALUES($1,$2,$3,$4,"
          "$5::pg_catalog.timestamptz)|7:23|3:23|98765:23|-4321:23|2020-01-01 00:00:00+00:0");
}

static void
other_numbers_stay(void **state)
{
    (void)state;
    gives("UPDATE t SET v = 2147483648, w = 1.5, x = 1e3, y = 0x1F WHERE id = 1",
          "UPDATEtSETv=2147483648,w=1.5,x=1e3,y=0x1FWHEREid=$1|1:23");
    gives("UPDATE t SET v = -2147483648 WHERE id = 1", "UPDATEtSETv=-2147483648WHEREid=$1|1:23");
    gives("UPDATE t SET v = -5::int, w = 5::text WHERE id = 1",
          "UPDATEtSETv=-5::int,w=5::textWHEREid=$1|1:23");
    gives("UPDATE t SET v = -2 ^ 2, w = @ 3 WHERE id = 1", "UPDATEtSETv=-2^2,w=@3WHEREid=$1|1:23");
    gives("UPDATE t SET v = round(v, 2), w = w::numeric(10, 2) WHERE id = 1",
          "UPDATEtSETv=round(v,2),w=w::numeric(10,2)WHEREid=$1|1:23");
    gives("UPDATE t SET v = cast(3 AS int), w = abs((4)) WHERE id = 1",
          "UPDATEtSETv=cast(3ASint),w=abs((4))WHEREid=$1|1:23");
    gives("UPDATE t SET v = CASE WHEN v > 3 THEN 4 ELSE 5 END WHERE id = 1",
          "UPDATEtSETv=CASEWHENv>3THEN4ELSE5ENDWHEREid=$1|1:23");
    gives("DELETE FROM t WHERE id = 1 AND v IN (2, 3)", "DELETEFROMtWHEREid=$1ANDvIN(2,3)|1:23");
}

/* What is known when it is planned may leave out what is computed beside it. */
static void
constants_that_meet_each_other_stay(void **state)
{
    (void)state;
    gives("INSERT INTO t (a, b, c) VALUES (1, (2 + 3) * 4, (5))",
          "INSERTINTOt(a,b,c)VALUES($1,(2+3)*4,(5))|1:23");
    gives("UPDATE t SET (a, b) = (1, 2) WHERE (id = 3)", "UPDATEtSET(a,b)=(1,2)WHERE(id=$1)|3:23");
    gives("UPDATE t SET v = - - 12, w = - v - 3 + 4 WHERE id = 7",
          "UPDATEtSETv=--12,w=-v-$1+4WHEREid=$2|3:23|7:23");
    gives("UPDATE t SET b = v / 0 = 1 OR 2 = 2 WHERE id = 1",
          "UPDATEtSETb=v/0=1OR2=2WHEREid=$1|1:23");
    gives("DELETE FROM t WHERE id = 1 AND (v / 0 = 2 OR (3) = (3))",
          "DELETEFROMtWHEREid=$1AND(v/0=2OR(3)=(3))|1:23");
    gives("DELETE FROM t WHERE id = 1 AND 2 = v AND v::int = 3 AND (ROW(1)::r).a = 4",
          "DELETEFROMtWHEREid=$1AND2=vANDv::int=3AND(ROW(1)::r).a=4|1:23");
    gives("DELETE FROM t WHERE id = 1 AND (v).a = 2 AND abs(3) = 4 AND v COLLATE x = 5",
          "DELETEFROMtWHEREid=$1AND(v).a=2ANDabs(3)=4ANDvCOLLATEx=5|1:23");
    refuses("INSERT INTO t VALUES (1) LIMIT 0");
    refuses("INSERT INTO t VALUES (1) ORDER BY 1");
    refuses("DELETE FROM t WHERE id = 1 AND 1 = 'x'");
    refuses("DELETE FROM t WHERE id = 1 AND lower('A') = 'x'");
    refuses("DELETE FROM t WHERE id = 1 AND lower(v) = 'x'");
    refuses("UPDATE 5");
    refuses("UPDATE - 5");
    refuses("DELETE FROM - 5");
}

/* transform_null_equals is looked at when it is parsed. */
static void
null_that_is_compared_makes_it_a_text(void **state)
{
    static const char *const conditions[] = {
        "v = NULL",     "NULL = v",    "(v = NULL)",   "v = (NULL)",
        "((NULL) = v)", "v IN (NULL)", "NOT NULL = v", "f(v, NULL)",
    };
    char text[200];

    (void)state;
    for (size_t n = 0; n < sizeof(conditions) / sizeof(conditions[0]); n++) {
        snprintf(text, sizeof(text), "DELETE FROM t WHERE id = 1 AND %s", conditions[n]);
        refuses(text);
        snprintf(text, sizeof(text), "UPDATE t SET b = %s WHERE id = 1", conditions[n]);
        refuses(text);
        snprintf(text, sizeof(text), "INSERT INTO t VALUES (1, %s)", conditions[n]);
        refuses(text);
    }
    refuses("UPDATE t SET b = v = NULL WHERE id = 1");
    gives("UPDATE t SET a = NULL, b = NULL, c = v IS NULL WHERE id = 1 AND v IS NOT NULL",
          "UPDATEtSETa=NULL,b=NULL,c=vISNULLWHEREid=$1ANDvISNOTNULL|1:23");
    gives("INSERT INTO t VALUES (NULL, 1, NULL)", "INSERTINTOtVALUES(NULL,$1,NULL)|1:23");
}

static void
strings_become_parameters_without_a_type(void **state)
{
    (void)state;
    gives("INSERT INTO t VALUES (1, 'it''s', '')", "INSERTINTOtVALUES($1,$2,$3)|1:23|it's:0|:0");
    gives("UPDATE t SET v = 'x', w = '$1' WHERE id = '5'",
          "UPDATEtSETv=$1,w=$2WHEREid=$3|x:0|$1:0|5:0");
    gives("UPDATE t SET v = 'x'", "UPDATEtSETv=$1|x:0");
    gives("INSERT INTO t (at) VALUES ('2020-01-01 UTC'::timestamptz)",
          "INSERTINTOt(at)VALUES($1::timestamptz)|2020-01-01 UTC:0");
    gives("INSERT INTO t VALUES ('a'::pg_catalog.timestamptz, 'b'::TIMESTAMP with time zone)",
          "INSERTINTOtVALUES($1::pg_catalog.timestamptz,$2::TIMESTAMPwithtimezone)|a:0|b:0");
    gives("/* x */ INSERT INTO t VALUES ('a') -- y", "/*x*/INSERTINTOtVALUES($1)|a:0");
    gives("INSERT INTO t VALUES (E'a', e'it''s'::text, E'')",
          "INSERTINTOtVALUES($1,$2::text,$3)|a:0|it's:0|:0");
}

static void
columns_may_have_names_that_are_key_words(void **state)
{
    (void)state;
    gives("UPDATE kv SET value = 'x', year = year + 1 WHERE key = 'k' AND kv.name = 2",
          "UPDATEkvSETvalue=$1,year=year+$2WHEREkey=$3ANDkv.name=$4|x:0|1:23|k:0|2:23");
    gives("UPDATE kv SET value = NULL WHERE key = 1", "UPDATEkvSETvalue=NULLWHEREkey=$1|1:23");
    gives("UPDATE t SET v = 7::time without time zone - 5 WHERE id = 7",
          "UPDATEtSETv=7::timewithouttimezone-5WHEREid=$1|7:23");
    gives("UPDATE t SET v = 7::bit varying - 5 WHERE id = 7",
          "UPDATEtSETv=7::bitvarying-5WHEREid=$1|7:23");
}

/* A field may be an interval with fields. */
static void
strings_for_a_columns_field_make_it_a_text(void **state)
{
    (void)state;
    refuses("UPDATE t SET c.h = '5' WHERE id = 1");
    refuses("UPDATE t SET v = 1, c.h = '5' WHERE id = 1");
    refuses("UPDATE t SET b = c.h = '5' WHERE id = 1");
    refuses("INSERT INTO t (id, c.h) VALUES (1, '5')");
    gives("INSERT INTO s.t (id, c) VALUES (1, '5')", "INSERTINTOs.t(id,c)VALUES($1,$2)|1:23|5:0");
    gives("INSERT INTO t (id, c.h) VALUES (1, 5)", "INSERTINTOt(id,c.h)VALUES($1,$2)|1:23|5:23");
    gives("DELETE FROM t WHERE t.id = '5'", "DELETEFROMtWHEREt.id=$1|5:0");
}

static void
doubtful_strings_make_it_a_text(void **state)
{
    static const char *const values[] = {
        "E'a\\b'",
        "E'a\\'b'",
        "U&'a'",
        "B'1'",
        "X'1'",
        "N'a'",
        "$$a$$",
        "$q$a$q$",
        "'a\\b'",
        "'a'\n'b'",
        "interval '1 day'",
        "date '2020-01-01'",
        "'a'::varchar(3)",
        "'a'::mine",
        "'a'::\"text\"",
        "'a'::text[]",
        "'1'::interval hour",
        "'a'::timestamp(3)",
        "'a'::timestamptz at time zone 'UTC'",
        "'a' COLLATE \"C\"",
        "'a' || 'b'",
        "upper('a')",
        "('a')",
        "array['a']",
        "cast('a' as text)",
        "'a'::text::varchar",
        "'a'::bit",
        "nextval('s'::regclass)",
        "'t'::regclass",
    };
    char text[200];

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(values); n++) {
        snprintf(text, sizeof(text), "INSERT INTO t VALUES (1, %s)", values[n]);
        refuses(text);
        snprintf(text, sizeof(text), "UPDATE t SET v = %s WHERE id = 1", values[n]);
        refuses(text);
    }
    refuses("UPDATE t SET v = 'x' = 'y' WHERE id = 1");
    refuses("UPDATE t SET v = w || 'x' WHERE id = 1");
    refuses("UPDATE t SET (v) = ('x') WHERE id = 1");
    refuses("DELETE FROM t WHERE (id = 'x')");
    refuses("DELETE FROM t WHERE id = 1 AND v LIKE 'x'");
    refuses("DELETE FROM t WHERE 'x' = id");
}

static void
other_statements_are_not_for_this(void **state)
{
    (void)state;
    refuses("");
    refuses(";");
    refuses("INSERT");
    refuses("DELETE");
    refuses("DELETE FROM t");
    refuses("SELECT 1");
    refuses("UPDATE t SET v = w");
    refuses("INSERT INTO t DEFAULT VALUES");
    refuses("INSERT INTO t SELECT 1");
    refuses("INSERT INTO t (SELECT 1)");
    refuses("INSERT INTO t VALUES (1), (2)");
    refuses("INSERT INTO t VALUES (1) RETURNING id");
    refuses("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 1");
    refuses("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING");
    refuses("INSERT INTO t VALUES ($1, 1)");
    refuses("INSERT INTO t VALUES ((VALUES (1)))");
    refuses("UPDATE t SET v = 1 FROM u WHERE t.id = 1");
    refuses("UPDATE t SET \xc3\xa4 = 1 WHERE t.id = 1");
    refuses("UPDATE t SET \"\xc3\xa4\" = 1 WHERE t.id = 1");
    refuses("UPDATE t SET v = 1 /* \xc3\xa4 */ WHERE id = 7");
    refuses("UPDATE t SET v = (SELECT 1) WHERE id = 1");
    refuses("UPDATE t SET v[1] = 1 WHERE id = 1");
    refuses("DELETE FROM t USING u WHERE t.id = 1");
    refuses("WITH x AS (SELECT 1) DELETE FROM t WHERE id = 1");
    refuses("DELETE FROM t WHERE id = 1; DELETE FROM t WHERE id = 2");
    refuses("EXPLAIN DELETE FROM t WHERE id = 1");
    refuses("PREPARE a AS DELETE FROM t WHERE id = 1");
    refuses("DELETE FROM t WHERE id = 'x");
    refuses("DELETE FROM t WHERE (id = 1");
}

/* ---- errors ---- */

static bool
take(const char *text, struct sql_with_parameters *r)
{
    struct sql_options options = {.standard_conforming_strings = true};
    struct sql_text t = {text, (uint32_t)strlen(text)};

    return sql_parameters_take(parameters, t, &options, r) ||
           sql_parameters_take_read(parameters, t, &options, r);
}

static void
is_exact(const char *text, bool wanted)
{
    struct sql_with_parameters r;

    if (!take(text, &r) || r.exact != wanted)
        fail_msg("%s is %sexact", text, wanted ? "not " : "");
}

static void
what_is_not_computed_at_once_is_exact(void **state)
{
    static const char long_name[] =
        "UPDATE nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn SET v = 1";

    (void)state;
    is_exact("UPDATE t SET v = v + 12 WHERE id = 7", true);
    is_exact("UPDATE t SET v = t.v - -12, w = 5 WHERE id = 7 AND v / 0 = 3", true);
    is_exact("UPDATE t SET v = v / w * 2, b = w > 3 WHERE (id = 7)", true);
    is_exact("INSERT INTO t VALUES (1, -2, (3))", true);
    is_exact("DELETE FROM t WHERE id = 5 AND x IS NOT NULL AND y IS NULL", true);
    is_exact("UPDATE t SET v = NULL WHERE id = 5", true);
    is_exact("UPDATE t SET v = 1 / 0 WHERE id = 7", false);
    is_exact("UPDATE t SET v = 2147483647 + 1 WHERE id = 7", false);
    is_exact("UPDATE t SET v = v + 2 * 3 WHERE id = 7", false);
    is_exact("UPDATE t SET v = (1) + 2 WHERE id = 7", true);
    is_exact("UPDATE t SET v = 7::int2 + 5 WHERE id = 7", true);
    is_exact("UPDATE t SET v = 7::pg_catalog.int2 + 5 WHERE id = 7", true);
    is_exact("UPDATE t SET v = cast(7 AS int2) + 5 WHERE id = 7", true);
    is_exact("UPDATE t SET v = 7::double precision - 5 WHERE id = 7", true);
    is_exact("UPDATE t SET v = - 5 + v WHERE id = 7", false);
    is_exact("INSERT INTO t VALUES (1, 2 + 3)", true);
    is_exact("UPDATE t SET (v, w) = (1, 2) WHERE id = 7", true);
    is_exact("UPDATE t SET v = (1) WHERE id = 7", true);
    is_exact("UPDATE t SET v.x = 1 WHERE id = 7", false);
    is_exact("DELETE FROM t WHERE id = 1 / 0", false);
    is_exact("UPDATE t SET v = 'x' WHERE id = '\xc3\xa4'", false);
    is_exact(long_name, false);
    is_exact("INSERT INTO t VALUES (1, 'x')", false);
    is_exact("INSERT INTO t VALUES (1, 'x'::text)", false);
    is_exact("INSERT INTO t VALUES (1, 'x'::time)", false);
    is_exact("INSERT INTO t VALUES (1, E'x'::timestamp with time zone, 'y'::date)", true);
    is_exact("INSERT INTO t VALUES (1, 'x'::pg_catalog.timestamptz)", true);
}

static void
reads_by_integers_are_taken(void **state)
{
    static const char *const others[] = {
        "SELECT * FROM t WHERE a = 1",
        "SELECT a FROM t",
        "SELECT a FROM t WHERE a > 1",
        "SELECT a FROM t WHERE a = 1 OR b = 2",
        "SELECT a FROM t WHERE a = 1.5",
        "SELECT a FROM t WHERE a = '1'",
        "SELECT a FROM t WHERE a = 1 + 1",
        "SELECT a FROM t WHERE a = 1::int",
        "SELECT a FROM t WHERE a = 2147483648",
        "SELECT a FROM t WHERE a = - -1",
        "SELECT a FROM t WHERE a = 1 FOR UPDATE",
        "SELECT a FROM t WHERE a = 1 LIMIT 1",
        "SELECT a FROM t, u WHERE a = 1",
        "SELECT a FROM t u WHERE a = 1",
        "SELECT a b FROM t WHERE a = 1",
        "SELECT a AS b FROM t WHERE a = 1",
        "SELECT a + 1 FROM t WHERE a = 1",
        "SELECT f(a) FROM t WHERE a = 1",
        "SELECT 1 FROM t WHERE a = 1",
        "SELECT DISTINCT a FROM t WHERE a = 1",
        "SELECT current_user FROM t WHERE a = 1",
        "SELECT a, FROM t WHERE a = 1",
        "SELECT FROM t WHERE a = 1",
        "SELECT a FROM t WHERE",
        "SELECT a FROM t WHERE a =",
        "SELECT a FROM t WHERE a = 1 AND",
        "SELECT a. FROM t WHERE a = 1",
        "SELECT a INTO u FROM t WHERE a = 1",
        "SELECT a FROM t WHERE a = 1; SELECT a FROM t WHERE a = 1",
        ("SELECT a FROM nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn "
         "WHERE a = 1"),
        "UPDATE t SET v = 1 RETURNING v",
    };
    struct sql_with_parameters r;

    (void)state;
    is_exact("SELECT a FROM t WHERE a = 1", true);
    is_exact("select s.t.a, \"B\", c FROM s.t WHERE a = -1 AND t.b = 2 ;", true);
    for (size_t n = 0; n < ARRAY_LEN(others); n++) {
        if (take(others[n], &r))
            fail_msg("%s is taken", others[n]);
    }
}

/* Each position of what was copied, and those of parameters. */
static void
positions_are_the_literal_texts(void **state)
{
    static const char text[] = "UPDATE t SET v = v + -  12345,w=7 WHERE id = 2";
    struct sql_with_parameters r;
    uint32_t at = 0;

    (void)state;
    assert_true(take(text, &r));
    assert_int_equal(r.count, 3);
    for (uint16_t n = 0; n <= r.count; n++) {
        uint32_t end = n < r.count ? r.places[n].parameter_start : r.text.len;
        for (; at < end; at++) {
            uint32_t position = sql_parameters_position(r.places, r.count, at + 1);
            assert_int_equal(text[position - 1], r.text.data[at]);
        }
        if (n == r.count)
            break;
        for (; at < end + r.places[n].parameter_len; at++)
            assert_int_equal(sql_parameters_position(r.places, r.count, at + 1),
                             r.places[n].start + 1);
        assert_memory_equal(text + r.places[n].start,
                            n == 0   ? "-  12345"
                            : n == 1 ? "7"
                                     : "2",
                            r.places[n].len);
    }
    assert_int_equal(r.places[0].column.len, 0);
    assert_int_equal(r.places[1].column.len, 1);
    assert_memory_equal(r.places[1].column.data, "w", 1);
    assert_int_equal(r.places[2].column.len, 0);
}

/* Whatever is cut from a text or put into it: it is taken or not, and what is taken has as many
 * values as parameters. */
static void
broken_texts_do_no_harm(void **state)
{
    static const char text[] =
        "INSERT INTO t (a, b) VALUES (-1, 'it''s'::timestamp with time zone)";
    static const char more[] = "'\\-($;:,)=1";
    char broken[sizeof(text) + 1];

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        memcpy(broken, text, len);
        broken[len] = '\0';
        taken(broken);
        for (size_t n = 0; n < sizeof(more) - 1; n++) {
            memcpy(broken, text, len);
            broken[len] = more[n];
            memcpy(broken + len + 1, text + len, sizeof(text) - len);
            taken(broken);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_become_int4),
        cmocka_unit_test(those_of_tpc_b_are_taken),
        cmocka_unit_test(other_numbers_stay),
        cmocka_unit_test(constants_that_meet_each_other_stay),
        cmocka_unit_test(null_that_is_compared_makes_it_a_text),
        cmocka_unit_test(strings_become_parameters_without_a_type),
        cmocka_unit_test(columns_may_have_names_that_are_key_words),
        cmocka_unit_test(strings_for_a_columns_field_make_it_a_text),
        cmocka_unit_test(doubtful_strings_make_it_a_text),
        cmocka_unit_test(other_statements_are_not_for_this),
        cmocka_unit_test(what_is_not_computed_at_once_is_exact),
        cmocka_unit_test(reads_by_integers_are_taken),
        cmocka_unit_test(positions_are_the_literal_texts),
        cmocka_unit_test(broken_texts_do_no_harm),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
