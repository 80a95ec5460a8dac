%code top {
/*
 * The grammar of what routing must know: where statements begin and end, of what kind each is, the
 * options of those that steer transactions and sessions, the tables that utilities name, and where
 * a query stands within another statement. What stands in queries is a run of tokens here; sql/walk
 * looks into it.
 *
 * Source: PostgreSQL's manual (15 to 18), reference "SQL Commands". A statement that does not fit
 * is not understood, which counts as a write. A semantic value is the number of a token.
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
static void mark(struct sql_parse *p, int token, unsigned use);

#define KIND(k) (p->head.kind = (k))
#define HARMLESS(k) (p->head.kind = (k), p->head.harmless = true)
#define NAME(token) (p->head.name = (uint32_t)(token))
#define VALUE(token) (p->head.value = (uint32_t)(token))
#define QUERY(token) (p->head.query = (uint32_t)(token))
#define DEFINE(token) mark(p, token, SQL_USE_WRITE | SQL_USE_DEFINE)
/* What was read is the inner statement of one of this kind. */
#define OUTER(k) (p->head.inner = p->head.kind, p->head.kind = (k), p->head.harmless = false)
}

%define api.prefix {sql_yy}
%define api.pure full
%define api.value.type {int}
%param {struct sql_parse *p}
%expect 0

%token T_NAME 258 T_QUOTED T_STRING T_PARAM T_NUMBER T_CAST T_OPERATOR
%token T_INNER  /* a semicolon within parentheses or the body of a function */
%token T_OPTIONS /* a parenthesis with options of EXPLAIN in it */
%token K_ABORT K_ALL K_ALTER K_ANALYZE K_AND K_AS K_AUTHORIZATION K_BEGIN K_CALL K_CHAIN
%token K_CHARACTERISTICS K_CHECKPOINT K_CLOSE K_CLUSTER K_COMMENT K_COMMIT K_COMMITTED
%token K_CONCURRENTLY K_CONSTRAINT K_CONSTRAINTS K_COPY K_CREATE K_CURSOR K_DEALLOCATE K_DECLARE
%token K_DEFERRABLE K_DELETE K_DISCARD K_DO K_DROP K_END K_EVENT K_EXECUTE K_EXISTS K_EXPLAIN
%token K_FETCH K_FOR K_FOREIGN K_FREEZE K_FROM K_FULL K_GLOBAL K_GRANT K_HOLD K_IF K_IMPORT K_IN
%token K_INDEX K_INSERT K_INTO K_IS K_ISOLATION K_LABEL K_LEVEL K_LISTEN K_LOAD K_LOCAL K_LOCK
%token K_MATERIALIZED K_MERGE K_MOVE K_NAMES K_NO K_NOT K_NOTIFY K_ON K_ONLY K_OR K_PGPOOL K_POLICY
%token K_PREPARE K_PREPARED K_READ K_REASSIGN K_RECURSIVE K_REFRESH K_REINDEX K_RELEASE
%token K_REPEATABLE K_REPLACE K_RESET K_REVOKE K_ROLE K_ROLLBACK K_RULE K_SAVEPOINT K_SCHEMA
%token K_SECURITY K_SELECT K_SEQUENCE K_SERIALIZABLE K_SESSION K_SET K_SHOW K_SNAPSHOT K_START
%token K_STATISTICS K_STDOUT K_SYSTEM K_TABLE K_TEMP K_TIME K_TO K_TRANSACTION K_TRIGGER K_TRUNCATE
%token K_UNCOMMITTED K_UNIQUE K_UNLISTEN K_UNLOGGED K_UPDATE K_USER K_VACUUM K_VALUES K_VERBOSE
%token K_VIEW K_WHEN K_WHERE K_WITH K_WITHOUT K_WORK K_WRITE K_ZONE

%%

text: statement_end
    | text ';' statement_end
    ;

statement_end: statement { finish(p); }
    ;

statement: %empty { HARMLESS(SQL_EMPTY); }
    | preparable
    | transaction
    | session
    | K_COPY copy
    | K_EXPLAIN explain
    | K_LOCK table_word lock_list tail { KIND(SQL_LOCK); }
    | K_TRUNCATE table_word truncate_list tail { KIND(SQL_TRUNCATE); }
    | maintenance
    | definition
    | create_as
    | refresh
    | K_CALL any run { KIND(SQL_CALL); QUERY($2); }
    | K_DO run { KIND(SQL_DO); }
    | K_LOAD run { KIND(SQL_LOAD); }
    | K_IMPORT run { KIND(SQL_IMPORT); }
    | K_NOTIFY label run { KIND(SQL_NOTIFY); NAME($2); }
    | K_PGPOOL run { HARMLESS(SQL_POOL); }
    | T_NAME run { KIND(SQL_OTHER); }
    ;

/* ---- what is looked into ---- */

preparable: query { HARMLESS(SQL_SELECT); QUERY($1); }
    | K_INSERT run { KIND(SQL_INSERT); QUERY($1); }
    | K_UPDATE run { KIND(SQL_UPDATE); QUERY($1); }
    | K_DELETE run { KIND(SQL_DELETE); QUERY($1); }
    | K_MERGE run { KIND(SQL_MERGE); QUERY($1); }
    ;

query: K_SELECT run | K_VALUES run | K_TABLE run | K_WITH run | '(' run ')' run ;

copy: '(' run ')' K_TO K_STDOUT run { HARMLESS(SQL_COPY_TO); QUERY($1); }
    | '(' run ')' K_TO file run { KIND(SQL_COPY_TO); QUERY($1); }
    | relation columns K_TO K_STDOUT run { HARMLESS(SQL_COPY_TO); mark(p, $1, SQL_USE_READ); }
    | relation columns K_TO file run { KIND(SQL_COPY_TO); mark(p, $1, SQL_USE_READ); }
    | relation columns K_FROM any run { KIND(SQL_COPY_FROM); mark(p, $1, SQL_USE_WRITE); }
    ;
file: T_NAME | T_STRING ;
columns: %empty | '(' run ')' ;

explain: explainable { OUTER(SQL_EXPLAIN); }
    | K_ANALYZE verbose explainable { OUTER(SQL_EXPLAIN); p->head.analyze = true; }
    | K_VERBOSE explainable { OUTER(SQL_EXPLAIN); }
    | T_OPTIONS run ')' explainable { OUTER(SQL_EXPLAIN); p->head.options = (uint32_t)$1; }
    ;
verbose: %empty | K_VERBOSE ;
explainable: preparable | declare | create_as | refresh | execute ;

declare: K_DECLARE label cursor_words K_CURSOR hold K_FOR query
        { HARMLESS(SQL_SELECT); OUTER(SQL_DECLARE); NAME($2); QUERY($7); }
    ;
cursor_words: %empty | cursor_words T_NAME | cursor_words K_NO ;
hold: %empty
    | K_WITH K_HOLD { p->head.hold = true; }
    | K_WITHOUT K_HOLD
    ;

execute: K_EXECUTE label { KIND(SQL_EXECUTE); NAME($2); }
    | K_EXECUTE label '(' run ')' { KIND(SQL_EXECUTE); NAME($2); QUERY($3); }
    ;

create_as: K_CREATE persistence K_TABLE not_exists relation table_run K_AS query
        { HARMLESS(SQL_SELECT); OUTER(SQL_CREATE_TABLE_AS); DEFINE($5); QUERY($8); }
    | K_CREATE persistence K_TABLE not_exists relation table_run K_AS K_EXECUTE label run
        { KIND(SQL_EXECUTE); OUTER(SQL_CREATE_TABLE_AS); DEFINE($5); }
    | K_CREATE persistence K_MATERIALIZED K_VIEW not_exists relation table_run K_AS query
        { HARMLESS(SQL_SELECT); OUTER(SQL_CREATE_TABLE_AS); DEFINE($6); QUERY($9); }
    ;

refresh: K_REFRESH K_MATERIALIZED K_VIEW concurrently relation tail
        { KIND(SQL_REFRESH); mark(p, $5, SQL_USE_WRITE); }
    ;

lock_list: lock_one | lock_list ',' lock_one ;
lock_one: only_star { mark(p, $1, SQL_USE_WRITE | SQL_USE_LOCK); } ;
truncate_list: truncate_one | truncate_list ',' truncate_one ;
truncate_one: only_star { mark(p, $1, SQL_USE_WRITE); } ;
table_word: %empty | K_TABLE ;
only: %empty | K_ONLY ;
only_star: relation { $$ = $1; }
    | relation T_OPERATOR { $$ = $1; }
    | K_ONLY relation { $$ = $2; }
    | K_ONLY '(' relation ')' { $$ = $3; }
    ;

/* ---- transactions ---- */

transaction: K_BEGIN work modes { HARMLESS(SQL_BEGIN); }
    | K_START K_TRANSACTION modes { HARMLESS(SQL_BEGIN); }
    | K_COMMIT work chain { HARMLESS(SQL_COMMIT); }
    | K_END work chain { HARMLESS(SQL_COMMIT); }
    | K_COMMIT K_PREPARED T_STRING { KIND(SQL_PREPARED_TX); VALUE($3); }
    | K_ROLLBACK work chain { HARMLESS(SQL_ROLLBACK); }
    | K_ABORT work chain { HARMLESS(SQL_ROLLBACK); }
    | K_ROLLBACK K_PREPARED T_STRING { KIND(SQL_PREPARED_TX); VALUE($3); }
    | K_ROLLBACK work K_TO savepoint
        { HARMLESS(SQL_SAVEPOINT); NAME($4); p->head.savepoint = SQL_SAVEPOINT_ROLLBACK_TO; }
    | K_SAVEPOINT label { HARMLESS(SQL_SAVEPOINT); NAME($2); }
    | K_RELEASE savepoint
        { HARMLESS(SQL_SAVEPOINT); NAME($2); p->head.savepoint = SQL_SAVEPOINT_RELEASE; }
    ;

savepoint: label | K_SAVEPOINT label { $$ = $2; } ;
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
    | K_DEFERRABLE { p->head.deferrable = SQL_DEFERRABLE; }
    | K_NOT K_DEFERRABLE { p->head.deferrable = SQL_NOT_DEFERRABLE; }
    ;
isolation: K_READ K_COMMITTED { p->head.isolation = SQL_ISOLATION_READ_COMMITTED; }
    | K_READ K_UNCOMMITTED { p->head.isolation = SQL_ISOLATION_READ_UNCOMMITTED; }
    | K_REPEATABLE K_READ { p->head.isolation = SQL_ISOLATION_REPEATABLE_READ; }
    | K_SERIALIZABLE { p->head.isolation = SQL_ISOLATION_SERIALIZABLE; }
    ;

/* ---- the session ---- */

session: K_PREPARE K_TRANSACTION T_STRING { KIND(SQL_PREPARED_TX); VALUE($3); }
    | K_PREPARE label columns K_AS preparable { OUTER(SQL_PREPARE); NAME($2); }
    | execute
    | K_DEALLOCATE deallocate { HARMLESS(SQL_DEALLOCATE); }
    | K_DISCARD any { HARMLESS(SQL_DISCARD); NAME($2); }
    | K_SET set
    | K_RESET reset
    | K_SHOW show
    | declare
    | K_FETCH fetch { KIND(SQL_FETCH); NAME($2); }
    | K_MOVE fetch { KIND(SQL_FETCH); NAME($2); }
    | K_CLOSE label { KIND(SQL_CLOSE); NAME($2); }
    | K_CLOSE K_ALL { KIND(SQL_CLOSE); }
    | K_LISTEN label { KIND(SQL_LISTEN); NAME($2); }
    | K_UNLISTEN label { KIND(SQL_UNLISTEN); NAME($2); }
    | K_UNLISTEN T_OPERATOR { KIND(SQL_UNLISTEN); }
    ;

/* The cursor is the last word, whatever says which of its rows. */
fetch: any { $$ = $1; }
    | fetch any { $$ = $2; }
    ;

deallocate: label_but_prepare { NAME($1); }
    | K_ALL
    | K_PREPARE { NAME($1); }
    | K_PREPARE label_but_prepare { NAME($2); }
    | K_PREPARE K_PREPARE { NAME($2); }
    | K_PREPARE K_ALL
    ;

set: T_NAME T_NAME any /* XML OPTION */
        { HARMLESS(SQL_SET); VALUE($3); p->head.fixed_name = "xmloption"; }
    | variable to run { HARMLESS(SQL_SET); NAME($1); VALUE($2 + 1); }
    | K_SESSION T_NAME T_NAME any
        { HARMLESS(SQL_SET); VALUE($4); p->head.fixed_name = "xmloption"; }
    | K_SESSION variable to run { HARMLESS(SQL_SET); NAME($2); VALUE($3 + 1); }
    | K_LOCAL local { HARMLESS(SQL_SET_LOCAL); }
    | special run { HARMLESS(SQL_SET); VALUE($1 + 1); }
    | K_SESSION special run { HARMLESS(SQL_SET); VALUE($2 + 1); }
    | role run { HARMLESS(SQL_SET_SESSION); VALUE($1 + 1); }
    | K_SESSION K_ROLE run
        { HARMLESS(SQL_SET_SESSION); VALUE($2 + 1); p->head.fixed_name = "role"; }
    | K_SESSION K_SESSION K_AUTHORIZATION run
        { HARMLESS(SQL_SET_SESSION); VALUE($3 + 1); p->head.fixed_name = "session_authorization"; }
    | K_SESSION K_CHARACTERISTICS K_AS K_TRANSACTION modes { HARMLESS(SQL_SET_SESSION); }
    | K_TRANSACTION modes { HARMLESS(SQL_SET_TX); }
    | K_TRANSACTION K_SNAPSHOT T_STRING
        { HARMLESS(SQL_SET_TX); VALUE($3); p->head.fixed_name = "transaction_snapshot"; }
    | K_CONSTRAINTS run { HARMLESS(SQL_SET_TX); }
    ;

to: K_TO | T_OPERATOR ;

local: T_NAME T_NAME any { VALUE($3); p->head.fixed_name = "xmloption"; }
    | variable to run { NAME($1); VALUE($2 + 1); }
    | special run { VALUE($1 + 1); }
    | role run { VALUE($1 + 1); }
    ;

role: K_ROLE { $$ = $1; p->head.fixed_name = "role"; }
    | K_SESSION K_AUTHORIZATION { $$ = $2; p->head.fixed_name = "session_authorization"; }
    ;

special: K_TIME K_ZONE { $$ = $2; p->head.fixed_name = "timezone"; }
    | K_NAMES { $$ = $1; p->head.fixed_name = "client_encoding"; }
    | K_SCHEMA { $$ = $1; p->head.fixed_name = "search_path"; }
    ;

reset: variable { HARMLESS(SQL_SET); NAME($1); }
    | K_TIME K_ZONE { HARMLESS(SQL_SET); p->head.fixed_name = "timezone"; }
    | K_ALL { HARMLESS(SQL_RESET_ALL); }
    | K_ROLE { HARMLESS(SQL_SET_SESSION); p->head.fixed_name = "role"; }
    | K_SESSION K_AUTHORIZATION
        { HARMLESS(SQL_SET_SESSION); p->head.fixed_name = "session_authorization"; }
    | K_TRANSACTION K_ISOLATION K_LEVEL { HARMLESS(SQL_SET_TX); }
    ;

show: variable { HARMLESS(SQL_SHOW); NAME($1); }
    | K_ALL { HARMLESS(SQL_SHOW); NAME($1); }
    | K_TIME K_ZONE { HARMLESS(SQL_SHOW); p->head.fixed_name = "timezone"; }
    | K_TRANSACTION K_ISOLATION K_LEVEL
        { HARMLESS(SQL_SHOW); p->head.fixed_name = "transaction_isolation"; }
    | K_SESSION K_AUTHORIZATION
        { HARMLESS(SQL_SHOW); p->head.fixed_name = "session_authorization"; }
    ;

variable: T_NAME | T_QUOTED | unreserved ;

/* ---- maintenance ---- */

maintenance: K_VACUUM vacuum_words vacuum_tables { KIND(SQL_VACUUM); }
    | K_VACUUM '(' run ')' vacuum_tables { KIND(SQL_VACUUM); }
    | K_ANALYZE verbose vacuum_tables { KIND(SQL_ANALYZE); }
    | K_ANALYZE '(' run ')' vacuum_tables { KIND(SQL_ANALYZE); }
    | K_CLUSTER verbose { KIND(SQL_CLUSTER); }
    | K_CLUSTER verbose relation tail { KIND(SQL_CLUSTER); mark(p, $3, SQL_USE_WRITE); }
    | K_CLUSTER verbose relation K_ON relation { KIND(SQL_CLUSTER); mark(p, $5, SQL_USE_WRITE); }
    | K_CLUSTER '(' run ')' { KIND(SQL_CLUSTER); }
    | K_CLUSTER '(' run ')' relation tail { KIND(SQL_CLUSTER); mark(p, $5, SQL_USE_WRITE); }
    | K_REINDEX columns reindex { KIND(SQL_REINDEX); }
    | K_CHECKPOINT columns { KIND(SQL_CHECKPOINT); }
    ;

vacuum_words: %empty | vacuum_words vacuum_word ;
vacuum_word: K_FULL | K_FREEZE | K_VERBOSE | K_ANALYZE ;
vacuum_tables: %empty | vacuum_list ;
vacuum_list: vacuum_one | vacuum_list ',' vacuum_one ;
vacuum_one: only_star columns { mark(p, $1, SQL_USE_WRITE); } ;
reindex: K_TABLE concurrently relation { mark(p, $3, SQL_USE_WRITE); }
    | K_INDEX concurrently relation { mark(p, $3, SQL_USE_WRITE); }
    | K_SCHEMA run
    | K_SYSTEM run
    | T_NAME run
    ;

/* ---- definitions ---- */

definition: K_CREATE create { KIND(SQL_DDL); }
    | K_ALTER alter { KIND(SQL_DDL); }
    | K_DROP drop { KIND(SQL_DDL); }
    | K_REASSIGN run { KIND(SQL_DDL); }
    | K_COMMENT K_ON described { KIND(SQL_COMMENT); }
    | K_SECURITY K_LABEL provider K_ON described { KIND(SQL_SECURITY_LABEL); }
    | K_GRANT run { KIND(SQL_GRANT); }
    | K_REVOKE run { KIND(SQL_GRANT); }
    ;

provider: %empty | K_FOR any ;
described: relation_word relation K_IS run { DEFINE($2); }
    | in_table label K_ON relation K_IS run { DEFINE($4); }
    | K_CONSTRAINT label K_ON relation K_IS run { DEFINE($4); }
    | K_CONSTRAINT label K_ON T_NAME relation K_IS run /* of a domain */
    | other_word run
    ;

create: persistence K_TABLE not_exists relation table_run { DEFINE($4); }
    | persistence K_VIEW relation calm_run K_AS query { DEFINE($3); QUERY($6); }
    | persistence K_RECURSIVE K_VIEW relation calm_run K_AS query
        { DEFINE($4); QUERY($7); p->head.recursive = true; }
    | persistence K_SEQUENCE not_exists relation run { DEFINE($4); }
    | K_FOREIGN K_TABLE not_exists relation run { DEFINE($4); }
    | K_FOREIGN T_NAME run
    | K_UNIQUE K_INDEX calm_run K_ON only relation run { DEFINE($6); }
    | K_INDEX calm_run K_ON only relation run { DEFINE($5); }
    | replace K_TRIGGER trigger
    | replace K_CONSTRAINT K_TRIGGER trigger
    | replace K_RULE label K_AS K_ON any K_TO relation run { DEFINE($8); }
    | K_POLICY label K_ON relation run { DEFINE($4); }
    | K_STATISTICS calm_run K_ON calm_run K_FROM relation run { mark(p, $6, SQL_USE_READ); }
    | K_EVENT K_TRIGGER run
    | replace create_other run
    ;
trigger: label calm_run K_ON relation run { DEFINE($4); } ;
replace: %empty | K_OR K_REPLACE ;
persistence: replace
    | temporary
    | K_OR K_REPLACE temporary
    ;
temporary: K_TEMP { p->head.temporary = true; }
    | K_LOCAL K_TEMP { p->head.temporary = true; }
    | K_GLOBAL K_TEMP { p->head.temporary = true; }
    | K_UNLOGGED
    ;
create_other: T_NAME | K_SCHEMA | K_ROLE | K_USER ;

alter: alter_relation exists only relation run { DEFINE($4); }
    | K_TABLE K_ALL run
    | K_INDEX K_ALL run
    | K_MATERIALIZED K_VIEW K_ALL run
    | in_table label K_ON relation run { DEFINE($4); }
    | K_POLICY K_IF K_EXISTS label K_ON relation run { DEFINE($6); }
    | other_word run
    ;
alter_relation: relation_word ;
relation_word: K_TABLE | K_VIEW | K_SEQUENCE | K_INDEX | K_MATERIALIZED K_VIEW | K_FOREIGN K_TABLE ;
in_table: K_TRIGGER | K_RULE | K_POLICY ;
other_word: T_NAME | K_SCHEMA | K_ROLE | K_USER | K_SYSTEM | K_EVENT | K_STATISTICS
    | K_FOREIGN T_NAME
    ;

drop: relation_word concurrently exists drop_list tail
    | in_table exists label K_ON relation tail { DEFINE($5); }
    | other_word run
    ;
drop_list: drop_one | drop_list ',' drop_one ;
drop_one: relation { DEFINE($1); } ;

concurrently: %empty | K_CONCURRENTLY ;
not_exists: %empty | K_IF K_NOT K_EXISTS ;
exists: %empty | K_IF K_EXISTS ;

/* ---- names ---- */

/* A name with dots in it is one token here. */
relation: label ;
label: label_but_prepare | K_PREPARE ;
label_but_prepare: T_NAME | T_QUOTED | unreserved | K_LOCAL | K_SESSION | K_TRANSACTION | K_TIME
    | K_NAMES | K_SCHEMA | K_ROLE | K_CONSTRAINTS | K_SAVEPOINT
    ;

/* Key words of the grammar that may be names, but for those that begin something else in SET. */
unreserved: K_ABORT | K_ALTER | K_BEGIN | K_CALL | K_CHAIN | K_CHARACTERISTICS | K_CHECKPOINT
    | K_CLOSE | K_CLUSTER | K_COMMENT | K_COMMIT | K_COMMITTED | K_COPY | K_CURSOR | K_DEALLOCATE
    | K_DECLARE | K_DELETE | K_DISCARD | K_DROP | K_EVENT | K_EXECUTE | K_EXPLAIN | K_GLOBAL
    | K_HOLD | K_IMPORT | K_INDEX | K_INSERT | K_ISOLATION | K_LABEL | K_LEVEL | K_LISTEN | K_LOAD
    | K_LOCK | K_MATERIALIZED | K_MERGE | K_MOVE | K_NO | K_NOTIFY | K_PGPOOL | K_POLICY
    | K_PREPARED | K_READ | K_REASSIGN | K_RECURSIVE | K_REFRESH | K_REINDEX | K_RELEASE
    | K_REPEATABLE | K_REPLACE | K_RESET | K_REVOKE | K_ROLLBACK | K_RULE | K_SECURITY | K_SEQUENCE
    | K_SERIALIZABLE | K_SET | K_SHOW | K_SNAPSHOT | K_START | K_STATISTICS | K_STDOUT | K_SYSTEM
    | K_TEMP | K_TRIGGER | K_TRUNCATE | K_UNCOMMITTED | K_UNLISTEN | K_UNLOGGED | K_UPDATE
    | K_VACUUM | K_VALUES | K_VIEW | K_WITHOUT | K_WORK | K_WRITE | K_ZONE
    ;

/* ---- runs: anything up to the semicolon, parentheses in balance ---- */

run: %empty | run piece ;
piece: any | '(' run ')' ;

/* Behind a list of names. */
tail: %empty | tail_word run ;
tail_word: T_NAME | K_IN | K_WITH ;

calm_run: %empty | calm_run calm | calm_run '(' run ')' ;
table_run: calm_run | table_run K_ON calm_run | table_run K_FROM calm_run | table_run K_TO calm_run
    | table_run K_IN calm_run ;

any: calm | K_AS | K_ON | K_FROM | K_TO | K_IN ;

calm: T_NAME | T_QUOTED | T_STRING | T_PARAM | T_NUMBER | T_CAST | T_OPERATOR | T_INNER
    | ',' | '.' | ':' | '[' | ']'
    | unreserved | K_LOCAL | K_SESSION | K_TRANSACTION | K_TIME | K_NAMES | K_SCHEMA | K_ROLE
    | K_CONSTRAINTS | K_SAVEPOINT | K_PREPARE
    | K_ALL | K_ANALYZE | K_AND | K_AUTHORIZATION | K_CONCURRENTLY | K_CONSTRAINT | K_CREATE
    | K_DEFERRABLE | K_DO | K_END | K_EXISTS | K_FETCH | K_FOR | K_FOREIGN | K_FREEZE | K_FULL
    | K_GRANT | K_IF | K_INTO | K_IS | K_NOT | K_ONLY | K_OR | K_SELECT | K_TABLE | K_UNIQUE
    | K_USER | K_VERBOSE | K_WHEN | K_WHERE | K_WITH
    ;

%%

static bool
is_name(const struct sql_token *t)
{
    return t->kind == T_NAME || t->kind == T_QUOTED || t->kind >= K_ABORT;
}

static bool
begins_query(int kind)
{
    return kind == K_SELECT || kind == K_VALUES || kind == K_WITH || kind == K_TABLE || kind == '(';
}

static bool
is_run(int kind)
{
    return kind == K_SELECT || kind == K_WITH || kind == K_INSERT || kind == K_UPDATE ||
           kind == K_DELETE || kind == K_MERGE;
}

static int
sql_yylex(int *value, struct sql_parse *p)
{
    const struct sql_token *t = &p->w->tokens[p->at];
    int kind = t->kind;

    if (p->at >= p->w->count)
        return 0;
    *value = (int)p->at++;
    if ((uint32_t)*value == p->head.first && is_run(kind)) {
        /* what follows is the run: no rule looks at it */
        while (p->w->tokens[p->at].kind != ';' && p->at < p->w->count)
            p->at++;
        return kind;
    }
    if (t[1].kind == '.' && is_name(t)) {
        while (p->w->tokens[p->at].kind == '.' && is_name(&p->w->tokens[p->at + 1]))
            p->at += 2;
        return T_NAME;
    }
    if (kind >= SQL_WALK_FIRST)
        return T_NAME;
    if (kind < K_ABORT) {
        /* EXPLAIN (options) and EXPLAIN (query) */
        if (kind == '(' && p->at > 1 && t[-1].kind == K_EXPLAIN && !begins_query(t[1].kind))
            return T_OPTIONS;
        return kind;
    }
    if (kind == K_IF && t[1].kind != K_EXISTS && t[1].kind != K_NOT)
        return T_NAME;
    return kind;
}

static void
sql_yyerror(struct sql_parse *p, const char *message)
{
    (void)p;
    (void)message;
}

static void
mark(struct sql_parse *p, int token, unsigned use)
{
    struct sql_work *w = p->w;

    if (w->mark_count == w->mark_cap) {
        w->mark_cap = w->mark_cap > 0 ? w->mark_cap * 2 : 16;
        w->marks = xrealloc(w->marks, w->mark_cap * sizeof(*w->marks));
    }
    w->marks[w->mark_count++] = (struct sql_mark){(uint32_t)token, (uint8_t)use};
    p->head.mark_count++;
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
    p->head = (struct sql_head){
        .inner = SQL_EMPTY, .first = end + 1, .mark_first = w->mark_count};
}

bool
sql_parse_heads(struct sql_work *w)
{
    struct sql_parse p = {.w = w, .head = {.inner = SQL_EMPTY}};

    w->head_count = w->mark_count = 0;
    return sql_yyparse(&p) == 0;
}
