/*
 * What becomes of each construct that may give something else on each server: a row of
 * test/corpus/determinism/cases.txt each; and how values are put into texts.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "known.h"
#include "sql/rewrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CASES_LEAST = 150, VALUES_MAX = 64 };

static const struct sql_options options = {true, 17};

static struct sql_text
text_of(const char *s)
{
    return (struct sql_text){s, (uint32_t)strlen(s)};
}

/* With the expressions where values will stand. */
static void
describe(const struct sql_determined *d, const char *text, struct buf *b)
{
    static const char letters[] = "TSODRL";
    size_t at = 0;

    for (uint32_t n = 0; n < d->place_count; n++) {
        const struct sql_place *p = &d->places[n];
        buf_printf(b, "%.*s%.*s", (int)(p->start - at), text + at, (int)p->before.len,
                   p->before.data);
        if (p->value != SQL_NO_VALUE) {
            const struct sql_value *v = &d->values[p->value];
            bool number = v->kind == SQL_VALUE_LARGE_OBJECT;
            buf_printf(b, "{%c %.*s}", letters[v->kind], number ? 6 : (int)v->expression.len,
                       number ? "number" : v->expression.data);
        }
        buf_printf(b, "%.*s", (int)p->behind.len, p->behind.data);
        at = p->end;
    }
    buf_add_str(b, text + at);
}

/* A text with its values in it is equal as it stands. */
static bool
is_equal_then(const struct sql_determined *d, const char *text)
{
    struct sql_answer answers[VALUES_MAX];
    struct sql_determinism *other = sql_determinism_new();
    struct sql_determined again;
    struct buf b = BUF_EMPTY;

    for (uint32_t n = 0; n < VALUES_MAX; n++)
        answers[n] = (struct sql_answer){"2020-01-01", 10};
    if (d->prepares)
        sql_rewrite_parameters(d, text_of(text), d->parameters + 1, &b);
    else
        sql_rewrite_literals(d, text_of(text), answers, &b);
    sql_determinism_judge(other, text_of(buf_cstr(&b)), &options, &known_of_test, &again);
    if (again.equality != SQL_EQUAL)
        print_error("%s\n  again    %s\n", buf_cstr(&b), again.reason.message);
    buf_free(&b);
    sql_determinism_free(other);
    return again.equality == SQL_EQUAL;
}

static bool
check(struct sql_determinism *d, const char *statement, const char *expected)
{
    struct sql_determined r;
    struct buf b = BUF_EMPTY;
    bool ok, again;

    sql_determinism_judge(d, text_of(statement), &options, &known_of_test, &r);
    if (r.equality == SQL_UNEQUAL)
        buf_printf(&b, "! %s", r.reason.message);
    else if (r.equality == SQL_EQUAL)
        buf_add_str(&b, ".");
    else
        buf_add_str(&b, "> ");
    if (r.equality == SQL_MADE_EQUAL)
        describe(&r, statement, &b);
    again = r.equality != SQL_MADE_EQUAL || is_equal_then(&r, statement);
    ok = *expected == '!'
             ? strncmp(buf_cstr(&b), "! ", 2) == 0 && strstr(buf_cstr(&b), expected + 2) != NULL
             : strcmp(buf_cstr(&b), expected) == 0;
    if (r.equality == SQL_UNEQUAL && r.reason.hint[0] == '\0')
        ok = false;
    if (!ok)
        print_error("%s\n  found    %s\n  expected %s\n", statement, buf_cstr(&b), expected);
    buf_free(&b);
    return ok && again;
}

static void
every_construct_is_made_equal_or_refused(void **state)
{
    struct sql_determinism *d = sql_determinism_new();
    FILE *f = fopen(CORPUS "/determinism/cases.txt", "r");
    char statement[4096] = "";
    char line[4096];
    unsigned cases = 0, wrong = 0;

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (*line == '\0' || *line == '#')
            continue;
        if (*statement == '\0') {
            memcpy(statement, line, sizeof(line));
            continue;
        }
        wrong += !check(d, statement, line);
        cases++;
        *statement = '\0';
    }
    fclose(f);
    assert_int_equal(*statement, '\0');
    assert_int_equal(wrong, 0);
    assert_true(cases >= CASES_LEAST);
    sql_determinism_free(d);
}

/* ---- values into texts ---- */

static void
literals_stay_within_their_quotes(void **state)
{
    const char *text = "INSERT INTO x (tx, f) VALUES (/* now() */ version(), random()) -- end";
    const struct sql_answer answers[] = {{"it's a \\ 'text'", 15}, {NULL, 0}};
    struct sql_determinism *d = sql_determinism_new();
    struct sql_determined r;
    struct buf b = BUF_EMPTY;

    (void)state;
    sql_determinism_judge(d, text_of(text), &options, &known_of_test, &r);
    assert_int_equal(r.value_count, 2);
    assert_true(sql_rewrite_literals(&r, text_of(text), answers, &b));
    assert_string_equal(buf_cstr(&b), "INSERT INTO x (tx, f) VALUES (/* now() */ "
                                      "E'it''s a \\\\ ''text'''::pg_catalog.text, "
                                      "NULL::pg_catalog.float8) -- end");
    buf_free(&b);
    sql_determinism_free(d);
}

static void
parameters_stand_behind_the_texts_own(void **state)
{
    const char *text = "INSERT INTO t (a, b) VALUES ($1, $2)";
    struct sql_determinism *d = sql_determinism_new();
    struct sql_determined r;
    struct buf b = BUF_EMPTY;

    (void)state;
    sql_determinism_judge(d, text_of(text), &options, &known_of_test, &r);
    assert_int_equal(r.parameters, 2);
    assert_false(r.literals_only);
    assert_true(sql_rewrite_parameters(&r, text_of(text), 3, &b));
    assert_string_equal(buf_cstr(&b), "INSERT INTO t (a, b, \"id\", \"at\") VALUES ($1, $2, "
                                      "$3::pg_catalog.int4, $4::pg_catalog.timestamptz)");
    assert_false(sql_rewrite_parameters(&r, text_of(text), 65535, &b));
    buf_free(&b);
    sql_determinism_free(d);
}

static void
prepared_statements_get_their_values_with_execute(void **state)
{
    const char *prepare = "PREPARE a (int) AS INSERT INTO p (k, at) VALUES ($1, now())";
    const char *execute = "EXECUTE a (5) ; -- (";
    const struct sql_answer answer = {"2020-01-01", 10};
    struct sql_determinism *d = sql_determinism_new();
    struct sql_determined r;
    struct buf b = BUF_EMPTY;

    (void)state;
    sql_determinism_judge(d, text_of(prepare), &options, &known_of_test, &r);
    assert_true(r.prepares);
    assert_false(sql_rewrite_literals(&r, text_of(prepare), &answer, &b));
    assert_true(sql_rewrite_parameters(&r, text_of(prepare), r.parameters + 1, &b));
    assert_string_equal(buf_cstr(&b), "PREPARE a (int) AS INSERT INTO p (k, at) VALUES ($1, "
                                      "$2::pg_catalog.timestamptz)");
    buf_clear(&b);
    sql_rewrite_execute(&r, &answer, text_of(execute), 13, &b);
    assert_string_equal(buf_cstr(&b),
                        "EXECUTE a (5, E'2020-01-01'::pg_catalog.timestamptz) ; -- (");
    buf_clear(&b);
    sql_rewrite_execute(&r, &answer, text_of("EXECUTE a"), 9, &b);
    assert_string_equal(buf_cstr(&b), "EXECUTE a (E'2020-01-01'::pg_catalog.timestamptz)");
    buf_free(&b);
    sql_determinism_free(d);
}

static void
the_question_has_a_row_for_each_value(void **state)
{
    const char *text = "INSERT INTO t (a) VALUES (1), (pg_backend_pid())";
    struct sql_determinism *d = sql_determinism_new();
    struct sql_determined r;
    struct buf b = BUF_EMPTY;

    (void)state;
    sql_determinism_judge(d, text_of(text), &options, &known_of_test, &r);
    assert_int_equal(r.value_count, 4);
    sql_rewrite_question(&r, true, &b);
    assert_string_equal(
        buf_cstr(&b),
        "VALUES (((nextval('t_id_seq'::regclass)\n)::pg_catalog.int4)::pg_catalog.text), "
        "(((nextval('t_id_seq'::regclass)\n)::pg_catalog.int4)::pg_catalog.text)");
    buf_clear(&b);
    sql_rewrite_question(&r, false, &b);
    assert_non_null(strstr(buf_cstr(&b), "timezone('UTC', v.v)"));
    assert_non_null(strstr(buf_cstr(&b), "pg_backend_pid()"));
    buf_free(&b);
    sql_determinism_free(d);
}

static void
an_operator_that_is_not_equal_spoils_a_write(void **state)
{
    struct sql_known known = known_of_test;
    struct sql_determinism *d = sql_determinism_new();
    struct sql_determined r;

    (void)state;
    known.spoiler = "operator \"+\" calls a volatile function";
    sql_determinism_judge(d, text_of("INSERT INTO n VALUES (1 + 1, '')"), &options, &known, &r);
    assert_int_equal(r.equality, SQL_UNEQUAL);
    assert_string_equal(r.reason.message, known.spoiler);
    sql_determinism_judge(d, text_of("SELECT 1 + 1"), &options, &known, &r);
    assert_int_equal(r.equality, SQL_EQUAL);
    sql_determinism_free(d);
}

static void
what_is_run_all_the_same_has_its_places_replaced(void **state)
{
    struct sql_determinism *d = sql_determinism_new();
    const char *text = "UPDATE p SET at = now(), w = (random() * 9)::int";
    struct sql_determined r;
    struct buf b = BUF_EMPTY;

    (void)state;
    sql_determinism_judge(d, text_of(text), &options, &known_of_test, &r);
    assert_int_equal(r.equality, SQL_UNEQUAL);
    describe(&r, text, &b);
    assert_string_equal(buf_cstr(&b), "UPDATE p SET at = {T now()}, w = (random() * 9)::int");
    buf_free(&b);
    sql_determinism_free(d);
}

/* What is not by key may find other rows on each server when others commit meanwhile. */
static void
statements_that_find_their_rows_by_key_are_told(void **state)
{
    static const struct {
        const char *text;
        bool by_key;
    } cases[] = {
        {"INSERT INTO p VALUES (1, 'a', 2, NULL)", true},
        {"INSERT INTO p (k, w) VALUES (1, 2), (3, 4) RETURNING k", true},
        {"INSERT INTO p (k, at) VALUES ($1, now())", true},
        {"INSERT INTO t (a) VALUES (1)", true},
        {"INSERT INTO p (k, w) VALUES (1, 2) ON CONFLICT (k) DO UPDATE SET w = excluded.w", true},
        {"INSERT INTO p (k, w) SELECT a, b FROM k2", false},
        {"INSERT INTO p (k, w) SELECT k + 1, w FROM p", false},
        {"INSERT INTO p (k, w) TABLE k2", false},
        {"INSERT INTO p (k, w) VALUES (1, (SELECT count(*) FROM n))", false},
        {"INSERT INTO p (k, w) VALUES (1, f_equal(1))", false},
        {"INSERT INTO q (v) VALUES ('somebody''s trigger')", false},
        {"UPDATE p SET w = w + 1 WHERE k = 1", true},
        {"UPDATE p AS o SET w = o.w + 1 WHERE o.k = $1 AND o.w > 5", true},
        {"UPDATE k2 SET v = 'x' WHERE a = 1 AND b = 2", true},
        {"UPDATE k2 SET v = 'x' WHERE a = 1", false},
        {"UPDATE p SET w = 0", false},
        {"UPDATE p SET w = 0 WHERE w = 3", false},
        {"UPDATE p SET w = 0 WHERE k = 1 OR k = 2", false},
        {"UPDATE p SET w = 0 WHERE k IN (1, 2)", false},
        {"UPDATE p SET w = 0 WHERE k > 1", false},
        {"UPDATE p SET w = f_equal(w) WHERE k = 1", false},
        {"UPDATE p SET w = (SELECT max(a) FROM k2) WHERE k = 1", false},
        {"UPDATE p SET w = k2.a FROM k2 WHERE p.k = 1", false},
        {"UPDATE p SET w = 1 WHERE k = 1 AND EXISTS (TABLE n)", false},
        {"UPDATE n SET y = 'no key' WHERE x = 1", false},
        {"DELETE FROM p WHERE k = 1", true},
        {"DELETE FROM p WHERE w = 1", false},
        {"DELETE FROM p", false},
        {"DELETE FROM p USING k2 WHERE k = 1", false},
        {"WITH a AS (DELETE FROM p WHERE k = 1 RETURNING w) INSERT INTO n (x) VALUES (1)", false},
        {"SELECT nextval('s')", true},
        {"SELECT setval('s', 5)", false},
        {"SELECT f_equal(1)", false},
        {"SELECT k FROM p WHERE k = 1", false},
        {"SELECT k FROM p WHERE k = 1 FOR UPDATE", true},
        {"SELECT o.w FROM p AS o WHERE o.k = $1 AND w > 5 FOR NO KEY UPDATE OF o", true},
        {"SELECT * FROM p WHERE k = 1 AND v = substring('abc' FROM 1 FOR 2) FOR KEY SHARE", true},
        {"SELECT * FROM p WHERE k = 1 FOR UPDATE NOWAIT", false},
        {"SELECT * FROM p WHERE k = 1 FOR SHARE SKIP LOCKED", false},
        {"SELECT * FROM p WHERE k = 1 ORDER BY w LIMIT 1 FOR UPDATE", false},
        {"SELECT * FROM p WHERE w = 1 FOR UPDATE", false},
        {"SELECT * FROM p WHERE k = 1 OR w = 1 FOR UPDATE", false},
        {"SELECT * FROM p FOR UPDATE", false},
        {"SELECT * FROM p, k2 WHERE k = 1 FOR UPDATE", false},
        {"SELECT * FROM p JOIN k2 ON a = k WHERE k = 1 FOR UPDATE", false},
        {"SELECT * FROM p WHERE k = 1 AND EXISTS (SELECT FROM n) FOR UPDATE", false},
        {"SELECT f_equal(k) FROM p WHERE k = 1 FOR UPDATE", false},
        {"SELECT * FROM q WHERE k = 1 FOR UPDATE", false},
        {"SELECT * FROM n WHERE x = 1 FOR UPDATE", false},
        {"SELECT * FROM absent WHERE k = 1 FOR UPDATE", false},
        {"SELECT * FROM (SELECT * FROM p FOR UPDATE) AS o WHERE k = 1", false},
        {"WITH a AS (SELECT * FROM p) SELECT * FROM p WHERE k = 1 FOR UPDATE", false},
        {"TRUNCATE p", false},
        {"CREATE TABLE c AS SELECT k FROM p", false},
        {"INSERT INTO p (k) VALUES (1); UPDATE p SET w = 0", false},
        {"INSERT INTO p (k) VALUES (1); DELETE FROM p WHERE k = 1", true},
        {"INSERT INTO absent VALUES (1)", false},
    };
    struct sql_determinism *d = sql_determinism_new();
    struct sql_determined r;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        sql_determinism_judge(d, text_of(cases[n].text), &options, &known_of_test, &r);
        if (r.by_key != cases[n].by_key)
            fail_msg("%s: %s", cases[n].text, r.by_key ? "by key" : "not by key");
    }
    sql_determinism_free(d);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_construct_is_made_equal_or_refused),
        cmocka_unit_test(literals_stay_within_their_quotes),
        cmocka_unit_test(parameters_stand_behind_the_texts_own),
        cmocka_unit_test(prepared_statements_get_their_values_with_execute),
        cmocka_unit_test(the_question_has_a_row_for_each_value),
        cmocka_unit_test(an_operator_that_is_not_equal_spoils_a_write),
        cmocka_unit_test(statements_that_find_their_rows_by_key_are_told),
        cmocka_unit_test(what_is_run_all_the_same_has_its_places_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
