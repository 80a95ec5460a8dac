%code top {
/*
 * The grammar of what routing must know: where statements begin and end, of what kind each is, and
 * the options of those that steer transactions and sessions. What stands in expressions is a run of
 * tokens, looked at by sql/facts.
 *
 * Source: PostgreSQL's manual, reference "SQL Commands". A statement that does not fit is not
 * understood, which counts as a write.
 */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
}
%code requires {
#include "sql/token.h"

struct sql_parse {
    struct sql_work *w;
    uint32_t at; /* token that comes next */
    struct sql_head head;
};
}
%code {
#include "base/arena.h"
#include "sql/facts.h"

static int sql_yylex(int *value, struct sql_parse *p);
static void sql_yyerror(struct sql_parse *p, const char *message);
static void finish(struct sql_parse *p);

#define KIND(k) (p->head.kind = (k))
#define HARMLESS(k) (p->head.kind = (k), p->head.harmless = true)
}

%define api.prefix {sql_yy}
%define api.pure full
%define api.value.type {int}
%param {struct sql_parse *p}
%expect 0

%token T_NAME 258 T_QUOTED T_STRING T_PARAM T_NUMBER T_CAST T_OPERATOR
%token K_ABORT K_ALL K_ALTER K_AND K_AS K_AUTHORIZATION K_BEGIN K_CALL K_CHAIN K_CHARACTERISTICS
%token K_CLOSE K_COMMIT K_COMMITTED K_CONSTRAINTS K_COPY K_CREATE K_DEALLOCATE K_DECLARE
%token K_DEFERRABLE K_DELETE K_DISCARD K_DO K_DROP K_END K_EXECUTE K_FETCH K_FOR K_FROM K_GRANT
%token K_INSERT K_INTO K_ISOLATION K_LEVEL K_LISTEN K_LOAD K_LOCAL K_MERGE K_MOVE K_NAMES K_NO
%token K_NOT K_ONLY K_PGPOOL K_PREPARE K_PREPARED K_PROGRAM K_READ K_RELEASE K_REPEATABLE K_RESET
%token K_REVOKE K_ROLE K_ROLLBACK K_SAVEPOINT K_SCHEMA K_SELECT K_SERIALIZABLE K_SESSION K_SET
%token K_SHOW K_SNAPSHOT K_START K_STDOUT K_TABLE K_TEMP K_TIME K_TO K_TRANSACTION K_TRUNCATE
%token K_UNCOMMITTED K_UNLISTEN K_UPDATE K_VALUES K_WITH K_WORK K_WRITE K_ZONE

%%

text: statement_end
    | text ';' statement_end
    ;

statement_end: statement { finish(p); }
    ;

statement: %empty { HARMLESS(SQL_EMPTY); }
    | read_word run { HARMLESS(SQL_SELECT); }
    | '(' run ')' run { HARMLESS(SQL_SELECT); }
    | transaction
    | K_SAVEPOINT any run { HARMLESS(SQL_SAVEPOINT); }
    | K_RELEASE any run { HARMLESS(SQL_SAVEPOINT); }
    | K_PREPARE prepare
    | K_EXECUTE any run { KIND(SQL_EXECUTE); }
    | K_DEALLOCATE deallocate { HARMLESS(SQL_DEALLOCATE); }
    | K_DISCARD any { HARMLESS(SQL_DISCARD); }
    | K_SET set
    | K_RESET reset
    | K_SHOW show
    | K_DECLARE run { KIND(SQL_DECLARE); }
    | K_FETCH run { KIND(SQL_DECLARE); }
    | K_MOVE run { KIND(SQL_DECLARE); }
    | K_CLOSE run { KIND(SQL_DECLARE); }
    | K_LISTEN run { KIND(SQL_LISTEN); }
    | K_UNLISTEN run { KIND(SQL_LISTEN); }
    | K_COPY run { KIND(SQL_COPY_FROM); }
    | K_INSERT run { KIND(SQL_INSERT); }
    | K_UPDATE run { KIND(SQL_UPDATE); }
    | K_DELETE run { KIND(SQL_DELETE); }
    | ddl_word run { KIND(SQL_DDL); }
    | K_PGPOOL run { HARMLESS(SQL_POOL); }
    | other_word run { KIND(SQL_OTHER); }
    ;

read_word: K_SELECT | K_VALUES | K_TABLE | K_WITH ;
ddl_word: K_CREATE | K_ALTER | K_DROP | K_GRANT | K_REVOKE | K_TRUNCATE ;
other_word: K_CALL | K_DO | K_LOAD | K_MERGE | T_NAME ;

/* ---- transactions ---- */

transaction: K_BEGIN work modes { HARMLESS(SQL_BEGIN); }
    | K_START K_TRANSACTION modes { HARMLESS(SQL_BEGIN); }
    | K_COMMIT work chain { HARMLESS(SQL_COMMIT); }
    | K_END work chain { HARMLESS(SQL_COMMIT); }
    | K_COMMIT K_PREPARED T_STRING { KIND(SQL_PREPARED_TX); }
    | K_ROLLBACK work chain { HARMLESS(SQL_ROLLBACK); }
    | K_ABORT work chain { HARMLESS(SQL_ROLLBACK); }
    | K_ROLLBACK K_PREPARED T_STRING { KIND(SQL_PREPARED_TX); }
    | K_ROLLBACK work K_TO any run { HARMLESS(SQL_SAVEPOINT); }
    ;

work: %empty | K_WORK | K_TRANSACTION ;
chain: %empty
    | K_AND K_CHAIN { p->head.chain = true; }
    | K_AND K_NO K_CHAIN
    ;

modes: %empty | mode_list ;
mode_list: mode | mode_list mode | mode_list ',' mode ;
mode: K_ISOLATION K_LEVEL isolation
    | K_READ K_ONLY { p->head.access = SQL_ACCESS_READ_ONLY; }
    | K_READ K_WRITE { p->head.access = SQL_ACCESS_READ_WRITE; }
    | K_DEFERRABLE
    | K_NOT K_DEFERRABLE
    ;
isolation: K_READ K_COMMITTED { p->head.isolation = SQL_ISOLATION_READ_COMMITTED; }
    | K_READ K_UNCOMMITTED { p->head.isolation = SQL_ISOLATION_READ_UNCOMMITTED; }
    | K_REPEATABLE K_READ { p->head.isolation = SQL_ISOLATION_REPEATABLE_READ; }
    | K_SERIALIZABLE { p->head.isolation = SQL_ISOLATION_SERIALIZABLE; }
    ;

/* ---- the session ---- */

prepare: K_TRANSACTION T_STRING { KIND(SQL_PREPARED_TX); }
    | name run { KIND(SQL_PREPARE); }
    ;

deallocate: named
    | K_ALL
    | K_PREPARE named
    | K_PREPARE K_ALL
    ;

set: variable to run { HARMLESS(SQL_SET); }
    | K_SESSION variable to run { HARMLESS(SQL_SET); }
    | K_LOCAL local { HARMLESS(SQL_SET_LOCAL); }
    | special run { HARMLESS(SQL_SET); }
    | K_SESSION special run { HARMLESS(SQL_SET); }
    | role run { HARMLESS(SQL_SET_SESSION); }
    | K_SESSION K_ROLE run { HARMLESS(SQL_SET_SESSION); }
    | K_SESSION K_SESSION K_AUTHORIZATION run { HARMLESS(SQL_SET_SESSION); }
    | K_SESSION K_CHARACTERISTICS K_AS K_TRANSACTION modes { HARMLESS(SQL_SET_SESSION); }
    | K_TRANSACTION modes { HARMLESS(SQL_SET_TX); }
    | K_TRANSACTION K_SNAPSHOT T_STRING { HARMLESS(SQL_SET_TX); }
    | K_CONSTRAINTS run { HARMLESS(SQL_SET_TX); }
    ;

to: K_TO | T_OPERATOR ;

local: variable to run | special run | role run ;

role: K_ROLE | K_SESSION K_AUTHORIZATION ;

special: K_TIME K_ZONE { p->head.fixed_name = "timezone"; }
    | K_NAMES { p->head.fixed_name = "client_encoding"; }
    | K_SCHEMA { p->head.fixed_name = "search_path"; }
    ;

reset: variable { HARMLESS(SQL_SET); }
    | K_TIME K_ZONE { HARMLESS(SQL_SET); p->head.fixed_name = "timezone"; }
    | K_ALL { HARMLESS(SQL_RESET_ALL); }
    | K_ROLE { HARMLESS(SQL_SET_SESSION); }
    | K_SESSION K_AUTHORIZATION { HARMLESS(SQL_SET_SESSION); }
    | K_TRANSACTION K_ISOLATION K_LEVEL { HARMLESS(SQL_SET_TX); }
    ;

show: variable { HARMLESS(SQL_SHOW); }
    | K_ALL { HARMLESS(SQL_SHOW); }
    | K_TIME K_ZONE { HARMLESS(SQL_SHOW); p->head.fixed_name = "timezone"; }
    | K_TRANSACTION K_ISOLATION K_LEVEL { HARMLESS(SQL_SHOW); }
    | K_SESSION K_AUTHORIZATION { HARMLESS(SQL_SHOW); }
    ;

variable: name | variable '.' name ;
named: name ;
name: T_NAME | T_QUOTED | K_SNAPSHOT | K_PREPARED | K_WORK | K_ZONE | K_WRITE | K_READ | K_CHAIN ;

/* ---- runs: anything up to the semicolon, parentheses in balance ---- */

run: %empty | run piece ;
piece: any | '(' run ')' ;

any: T_NAME | T_QUOTED | T_STRING | T_PARAM | T_NUMBER | T_CAST | T_OPERATOR
    | ',' | '.' | ':' | '[' | ']'
    | K_ABORT | K_ALL | K_ALTER | K_AND | K_AS | K_AUTHORIZATION | K_BEGIN | K_CALL | K_CHAIN
    | K_CHARACTERISTICS | K_CLOSE | K_COMMIT | K_COMMITTED | K_CONSTRAINTS | K_COPY | K_CREATE
    | K_DEALLOCATE | K_DECLARE | K_DEFERRABLE | K_DELETE | K_DISCARD | K_DO | K_DROP | K_END
    | K_EXECUTE | K_FETCH | K_FOR | K_FROM | K_GRANT | K_INSERT | K_INTO | K_ISOLATION | K_LEVEL
    | K_LISTEN | K_LOAD | K_LOCAL | K_MERGE | K_MOVE | K_NAMES | K_NO | K_NOT | K_ONLY | K_PGPOOL
    | K_PREPARE | K_PREPARED | K_PROGRAM | K_READ | K_RELEASE | K_REPEATABLE | K_RESET | K_REVOKE
    | K_ROLE | K_ROLLBACK | K_SAVEPOINT | K_SCHEMA | K_SELECT | K_SERIALIZABLE | K_SESSION | K_SET
    | K_SHOW | K_SNAPSHOT | K_START | K_STDOUT | K_TABLE | K_TEMP | K_TIME | K_TO | K_TRANSACTION
    | K_TRUNCATE | K_UNCOMMITTED | K_UNLISTEN | K_UPDATE | K_VALUES | K_WITH | K_WORK | K_WRITE
    | K_ZONE
    ;

%%

static int
sql_yylex(int *value, struct sql_parse *p)
{
    (void)value;
    if (p->at >= p->w->count)
        return 0;
    return p->w->tokens[p->at++].kind;
}

static void
sql_yyerror(struct sql_parse *p, const char *message)
{
    (void)p;
    (void)message;
}

/* Called when a statement is complete: the token behind it was read, unless the text ends. */
static void
finish(struct sql_parse *p)
{
    struct sql_work *w = p->w;
    struct sql_head *h;
    uint32_t end = p->head.first;

    while (end < w->count && w->tokens[end].kind != ';')
        end++;
    if (w->head_count == w->head_cap) {
        w->head_cap = w->head_cap > 0 ? w->head_cap * 2 : 16;
        w->heads = xrealloc(w->heads, w->head_cap * sizeof(*w->heads));
    }
    h = &w->heads[w->head_count++];
    *h = p->head;
    h->end = end;
    p->head = (struct sql_head){.first = end + 1};
}

bool
sql_parse_heads(struct sql_work *w)
{
    struct sql_parse p = {.w = w};

    w->head_count = 0;
    return sql_yyparse(&p) == 0;
}
