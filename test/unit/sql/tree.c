/*
 * The judge's reading of a parse tree: one walk over all its nodes. A node's type is the key in
 * front of it; a field that can only hold one type has its own name as the key.
 */
#include "tree.h"

#include "json.h"
#include "sql/walk.h"

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CTES_MAX = 256 };

struct reading {
    struct arena *a;
    struct tree_statement *st;
    const char *ctes[CTES_MAX];
    uint32_t cte_count;
};

static void read_node(struct reading *r, const struct json *j);

static bool
is_one_of(const char *word, const char *words)
{
    size_t len = strlen(word);

    for (const char *at = words; len > 0 && (at = strstr(at, word)) != NULL; at++) {
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    }
    return false;
}

static void
add(struct tree_names *names, const char *name)
{
    if (!tree_has(names, name) && names->count < TREE_NAMES_MAX)
        names->names[names->count++] = name;
}

static void
writes(struct reading *r, const char *why)
{
    r->st->writes = true;
    r->st->why = why;
}

/* ---- names ---- */

static const char *
qualified(struct reading *r, const char *schema, const char *name)
{
    return *schema != '\0' ? arena_printf(r->a, "%s.%s", schema, name) : name;
}

/* A list of strings, without the last `less` of them: its last two. */
static const char *
name_of_list(struct reading *r, const struct json *list, int less)
{
    const char *parts[8] = {NULL};
    int count = 0;

    for (const struct json *j = list != NULL ? list->first : NULL; j != NULL; j = j->next) {
        const struct json *s = json_member(j, "String");
        if (s == NULL || count == 8)
            return NULL;
        parts[count++] = json_text(s, "sval");
    }
    count -= less;
    if (count < 1)
        return NULL;
    return qualified(r, count > 1 ? parts[count - 2] : "", parts[count - 1]);
}

static const char *
name_of_range(struct reading *r, const struct json *range)
{
    return qualified(r, json_text(range, "schemaname"), json_text(range, "relname"));
}

static void
write_range(struct reading *r, const struct json *range)
{
    if (range != NULL)
        add(&r->st->writes_to, name_of_range(r, range));
}

static void
read_range(struct reading *r, const struct json *range)
{
    if (*json_text(range, "schemaname") == '\0') {
        for (uint32_t n = 0; n < r->cte_count; n++) {
            if (strcmp(r->ctes[n], json_text(range, "relname")) == 0)
                return;
        }
    }
    add(&r->st->reads, name_of_range(r, range));
}

/* ---- calls ---- */

static void
add_function(struct reading *r, const char *name, bool syntax)
{
    const char *dot = strrchr(name, '.');
    struct sql_text schema = {name, dot != NULL ? (uint32_t)(dot - name) : 0};
    struct sql_text last = {dot != NULL ? dot + 1 : name, 0};

    last.len = (uint32_t)strlen(last.data);
    add(&r->st->functions, name);
    if (!syntax && sql_function_class(schema, last) != SQL_FUNCTION_SAFE)
        writes(r, name);
}

static void
read_call(struct reading *r, const struct json *call)
{
    const char *name = name_of_list(r, json_member(call, "funcname"), 0);
    bool syntax = strcmp(json_text(call, "funcformat"), "COERCE_SQL_SYNTAX") == 0;

    if (name == NULL)
        return;
    syntax |= is_one_of(name, "pg_catalog.like_escape pg_catalog.similar_to_escape");
    add_function(r, name, syntax);
}

/* SVFOP_CURRENT_DATE, IS_XMLCONCAT: the words behind the first "_", small. */
static const char *
name_of_op(struct reading *r, const char *op)
{
    char *name = arena_printf(r->a, "pg_catalog.%s", strchr(op, '_') + 1);
    size_t len = strlen(name);

    for (char *at = name; *at != '\0'; at++)
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
    if (len > 2 && strcmp(name + len - 2, "_n") == 0)
        name[len - 2] = '\0';
    return name;
}

static void
read_type(struct reading *r, const struct json *type)
{
    const char *name = name_of_list(r, json_member(type, "names"), 0);

    if (name != NULL)
        add(&r->st->types, name);
}

static void
read_operator(struct reading *r, const struct json *expr, const char *field)
{
    const char *name = name_of_list(r, json_member(expr, field), 0);

    if (name != NULL && strchr(name, '.') != NULL && name[0] != '.' &&
        ((name[0] >= 'a' && name[0] <= 'z') || name[0] == '_'))
        add(&r->st->operators, name);
}

/* ---- tables of utilities ---- */

static const char table_kinds[] = "OBJECT_TABLE OBJECT_VIEW OBJECT_MATVIEW OBJECT_SEQUENCE "
                                  "OBJECT_INDEX OBJECT_FOREIGN_TABLE";
static const char in_table_kinds[] =
    "OBJECT_TRIGGER OBJECT_RULE OBJECT_POLICY OBJECT_TABCONSTRAINT";

static void
write_object(struct reading *r, const char *kind, const struct json *object)
{
    const struct json *items = json_member(json_member(object, "List"), "items");
    const char *name = NULL;

    if (is_one_of(kind, table_kinds))
        name = name_of_list(r, items, 0);
    else if (is_one_of(kind, in_table_kinds))
        name = name_of_list(r, items, 1);
    if (name != NULL)
        add(&r->st->writes_to, name);
}

static void
write_objects(struct reading *r, const char *kind, const struct json *list)
{
    for (const struct json *j = list != NULL ? list->first : NULL; j != NULL; j = j->next)
        write_object(r, kind, j);
}

static void
write_ranges(struct reading *r, const struct json *list)
{
    for (const struct json *j = list != NULL ? list->first : NULL; j != NULL; j = j->next)
        write_range(r, json_member(j, "RangeVar"));
}

/* Fields of this type that name the table which is written, or its definition. */
static const char *
written_field(const char *type)
{
    static const char *const fields[][2] = {
        {"InsertStmt", "relation"},
        {"UpdateStmt", "relation"},
        {"DeleteStmt", "relation"},
        {"MergeStmt", "relation"},
        {"IntoClause", "rel"},
        {"CreateStmt", "relation"},
        {"base", "relation"},
        {"baseStmt", "relation"},
        {"ViewStmt", "view"},
        {"IndexStmt", "relation"},
        {"AlterTableStmt", "relation"},
        {"RenameStmt", "relation"},
        {"CreateSeqStmt", "sequence"},
        {"AlterSeqStmt", "sequence"},
        {"CreateTrigStmt", "relation"},
        {"RuleStmt", "relation"},
        {"CreatePolicyStmt", "table"},
        {"AlterPolicyStmt", "table"},
        {"ClusterStmt", "relation"},
        {"VacuumRelation", "relation"},
        {"ReindexStmt", "relation"},
        {"RefreshMatViewStmt", "relation"},
        {"AlterObjectSchemaStmt", "relation"},
        {"AlterObjectDependsStmt", "relation"},
        {"AlterTableMoveAllStmt", ""},
        {"into", "rel"},
        {"intoClause", "rel"},
    };

    for (size_t n = 0; n < ARRAY_LEN(fields); n++) {
        if (strcmp(fields[n][0], type) == 0)
            return fields[n][1];
    }
    return "";
}

/* What does not run with the statement, or names no table of interest. */
static bool
is_left_out(const char *type, const char *field)
{
    static const char pairs[] =
        "Constraint.pktable CreateStmt.inhRelations base.inhRelations TableLikeClause.relation "
        "PartitionCmd.name CreateTrigStmt.constrrel PublicationTable.relation "
        "CompositeTypeStmt.typevar RuleStmt.actions RuleStmt.whereClause "
        "CreateFunctionStmt.sql_body CreateSchemaStmt.schemaElts "
        "ImportForeignSchemaStmt.table_list LockingClause.lockedRels "
        "ConstraintsSetStmt.constraints AlterTableCmd.def CreatePolicyStmt.qual "
        "CreatePolicyStmt.with_check AlterPolicyStmt.qual AlterPolicyStmt.with_check ";
    char pair[128];

    snprintf(pair, sizeof(pair), "%s.%s", type, field);
    return is_one_of(pair, pairs);
}

/* ALTER TYPE and its like name what is no table. */
static bool
names_no_table(const struct json *j, const char *type)
{
    const char *kind = json_text(j, strcmp(type, "RenameStmt") == 0 ? "renameType" : "objectType");

    if (strcmp(type, "AlterTableStmt") == 0)
        return strcmp(json_text(j, "objtype"), "OBJECT_TYPE") == 0;
    if (strcmp(type, "RenameStmt") == 0 && strcmp(kind, "OBJECT_ATTRIBUTE") == 0)
        return strcmp(json_text(j, "relationType"), "OBJECT_TYPE") == 0 ||
               strcmp(json_text(j, "relationType"), "") == 0 ||
               strcmp(json_text(j, "relationType"), "OBJECT_ACCESS_METHOD") == 0;
    return false;
}

/* ---- nodes ---- */

static void
read_ctes(struct reading *r, const struct json *with)
{
    const struct json *list = json_member(with, "ctes");
    bool recursive = strcmp(json_text(with, "recursive"), "true") == 0;

    for (int round = 0; round < 2; round++) {
        for (const struct json *j = list != NULL ? list->first : NULL; j != NULL; j = j->next) {
            const struct json *cte = json_member(j, "CommonTableExpr");
            if (round == 1)
                read_node(r, json_member(cte, "ctequery"));
            if (recursive == (round == 0) && r->cte_count < CTES_MAX)
                r->ctes[r->cte_count++] = json_text(cte, "ctename");
        }
    }
}

static const char harmless[] =
    "SelectStmt TransactionStmt VariableSetStmt VariableShowStmt DeallocateStmt DiscardStmt "
    "ConstraintsSetStmt CopyStmt RawStmt ExplainStmt";

static void
judge_node(struct reading *r, const struct json *j, const char *type)
{
    size_t len = strlen(type);

    if (len > 4 && strcmp(type + len - 4, "Stmt") == 0 && !is_one_of(type, harmless))
        writes(r, type);
    if (strcmp(type, "LockingClause") == 0 || strcmp(type, "intoClause") == 0 ||
        strcmp(type, "IntoClause") == 0)
        writes(r, type);
    if (strcmp(type, "CopyStmt") == 0 &&
        (strcmp(json_text(j, "is_from"), "true") == 0 || json_member(j, "filename") != NULL ||
         json_member(j, "is_program") != NULL))
        writes(r, type);
    if (strcmp(type, "TransactionStmt") == 0 && strstr(json_text(j, "kind"), "PREPARE") != NULL)
        writes(r, type);
}

static void
read_tables(struct reading *r, const struct json *j, const char *type)
{
    const char *field = written_field(type);

    if (*field != '\0' && !names_no_table(j, type))
        write_range(r, json_member(j, field));
    if (strcmp(type, "DropStmt") == 0)
        write_objects(r, json_text(j, "removeType"), json_member(j, "objects"));
    else if (strcmp(type, "CommentStmt") == 0 || strcmp(type, "SecLabelStmt") == 0)
        write_object(r, json_text(j, "objtype"), json_member(j, "object"));
    else if (strcmp(type, "TruncateStmt") == 0 || strcmp(type, "LockStmt") == 0)
        write_ranges(r, json_member(j, "relations"));
    else if (strcmp(type, "GrantStmt") == 0)
        write_ranges(r, json_member(j, "objects"));
    else if (strcmp(type, "CopyStmt") == 0 && json_member(j, "relation") != NULL)
        add(strcmp(json_text(j, "is_from"), "true") == 0 ? &r->st->writes_to : &r->st->reads,
            name_of_range(r, json_member(j, "relation")));
}

static void
read_calls(struct reading *r, const struct json *j, const char *type)
{
    const char *op = json_text(j, "op");

    if (strcmp(type, "FuncCall") == 0 || strcmp(type, "funccall") == 0)
        read_call(r, j);
    else if (strcmp(type, "SQLValueFunction") == 0)
        add_function(r, name_of_op(r, op), true);
    else if (strcmp(type, "XmlExpr") == 0 && strcmp(op, "IS_DOCUMENT") != 0)
        add_function(r, name_of_op(r, op), true);
    else if (strcmp(type, "XmlSerialize") == 0)
        add_function(r, "pg_catalog.xmlserialize", true);
    else if (strcmp(type, "RangeTableFunc") == 0)
        add_function(r, "pg_catalog.xmltable", true);
    else if (strcmp(type, "RangeTableSample") == 0)
        add_function(r, name_of_list(r, json_member(j, "method"), 0), false);
    else if (strcmp(type, "TypeCast") == 0)
        read_type(r, json_member(j, "typeName"));
    else if (strcmp(type, "A_Expr") == 0)
        read_operator(r, j, "name");
    else if (strcmp(type, "SubLink") == 0)
        read_operator(r, j, "operName");
    else if (strcmp(type, "SortBy") == 0)
        read_operator(r, j, "useOp");
}

static void
read_object(struct reading *r, const struct json *j, const char *type)
{
    uint32_t ctes = r->cte_count;
    const struct json *with = json_member(j, "withClause");
    const char *written = written_field(type);

    judge_node(r, j, type);
    read_tables(r, j, type);
    read_calls(r, j, type);
    if (strcmp(type, "RangeVar") == 0)
        read_range(r, j);
    if (with != NULL)
        read_ctes(r, with);
    for (const struct json *x = j->first; x != NULL; x = x->next) {
        if (x == with || strcmp(x->key, written) == 0 || is_left_out(type, x->key))
            continue;
        if (is_one_of(type, "TruncateStmt LockStmt GrantStmt CopyStmt") &&
            is_one_of(x->key, "relations objects relation"))
            continue;
        read_node(r, x);
    }
    r->cte_count = ctes;
}

static void
read_node(struct reading *r, const struct json *j)
{
    if (j == NULL)
        return;
    if (j->type == JSON_LIST) {
        for (const struct json *x = j->first; x != NULL; x = x->next)
            read_node(r, x);
    } else if (j->type == JSON_OBJECT) {
        read_object(r, j, j->key != NULL ? j->key : "");
    }
}

/* ---- kinds ---- */

static enum sql_kind
kind_of_transaction(const struct json *j)
{
    static const char *const kinds[][2] = {
        {"TRANS_STMT_BEGIN TRANS_STMT_START", ""},
        {"TRANS_STMT_COMMIT", ""},
        {"TRANS_STMT_ROLLBACK", ""},
        {"TRANS_STMT_SAVEPOINT TRANS_STMT_RELEASE TRANS_STMT_ROLLBACK_TO", ""},
    };

    for (int n = 0; n < 4; n++) {
        if (is_one_of(json_text(j, "kind"), kinds[n][0]))
            return (enum sql_kind)(SQL_BEGIN + n);
    }
    return SQL_PREPARED_TX;
}

static enum sql_kind
kind_of_set(const struct json *j)
{
    const char *kind = json_text(j, "kind");
    const char *name = json_text(j, "name");

    if (strcmp(kind, "VAR_RESET_ALL") == 0)
        return SQL_RESET_ALL;
    if (strcmp(name, "SESSION CHARACTERISTICS") == 0)
        return SQL_SET_SESSION;
    if (strncmp(name, "TRANSACTION", 11) == 0)
        return SQL_SET_TX;
    if (strcmp(name, "transaction_isolation") == 0 && strcmp(kind, "VAR_RESET") == 0)
        return SQL_SET_TX;
    if (strcmp(json_text(j, "is_local"), "true") == 0)
        return SQL_SET_LOCAL;
    if (is_one_of(name, "role session_authorization"))
        return SQL_SET_SESSION;
    return SQL_SET;
}

static enum sql_kind
kind_of_node(const struct json *j, const char *type)
{
    static const struct {
        const char *node;
        enum sql_kind kind;
    } kinds[] = {
        {"InsertStmt", SQL_INSERT},
        {"UpdateStmt", SQL_UPDATE},
        {"DeleteStmt", SQL_DELETE},
        {"MergeStmt", SQL_MERGE},
        {"VariableShowStmt", SQL_SHOW},
        {"DiscardStmt", SQL_DISCARD},
        {"PrepareStmt", SQL_PREPARE},
        {"ExecuteStmt", SQL_EXECUTE},
        {"DeallocateStmt", SQL_DEALLOCATE},
        {"DeclareCursorStmt", SQL_DECLARE},
        {"FetchStmt", SQL_FETCH},
        {"ClosePortalStmt", SQL_CLOSE},
        {"ListenStmt", SQL_LISTEN},
        {"UnlistenStmt", SQL_UNLISTEN},
        {"NotifyStmt", SQL_NOTIFY},
        {"ExplainStmt", SQL_EXPLAIN},
        {"CallStmt", SQL_CALL},
        {"DoStmt", SQL_DO},
        {"LockStmt", SQL_LOCK},
        {"TruncateStmt", SQL_TRUNCATE},
        {"ClusterStmt", SQL_CLUSTER},
        {"ReindexStmt", SQL_REINDEX},
        {"CheckPointStmt", SQL_CHECKPOINT},
        {"CommentStmt", SQL_COMMENT},
        {"SecLabelStmt", SQL_SECURITY_LABEL},
        {"GrantStmt", SQL_GRANT},
        {"GrantRoleStmt", SQL_GRANT},
        {"RefreshMatViewStmt", SQL_REFRESH},
        {"LoadStmt", SQL_LOAD},
        {"CreateTableAsStmt", SQL_CREATE_TABLE_AS},
        {"ImportForeignSchemaStmt", SQL_IMPORT},
        {"ConstraintsSetStmt", SQL_SET_TX},
    };

    if (strcmp(type, "SelectStmt") == 0)
        return json_member(j, "intoClause") != NULL ? SQL_SELECT_INTO : SQL_SELECT;
    if (strcmp(type, "TransactionStmt") == 0)
        return kind_of_transaction(j);
    if (strcmp(type, "VariableSetStmt") == 0)
        return kind_of_set(j);
    if (strcmp(type, "VacuumStmt") == 0)
        return json_member(j, "is_vacuumcmd") != NULL ? SQL_VACUUM : SQL_ANALYZE;
    if (strcmp(type, "CopyStmt") == 0)
        return strcmp(json_text(j, "is_from"), "true") == 0 ? SQL_COPY_FROM : SQL_COPY_TO;
    for (size_t n = 0; n < ARRAY_LEN(kinds); n++) {
        if (strcmp(kinds[n].node, type) == 0)
            return kinds[n].kind;
    }
    return SQL_DDL;
}

/* A set operation with INTO has it in its leftmost part. */
static enum sql_kind
kind_of_statement(const struct json *j, const char *type)
{
    const struct json *left;

    for (left = j; json_member(left, "larg") != NULL;)
        left = json_member(left, "larg");
    return kind_of_node(left, type);
}

/* ---- a text ---- */

static void
read_statement(struct arena *a, const struct json *raw, struct tree_statement *st, uint32_t len)
{
    struct reading r = {.a = a, .st = st};
    const struct json *stmt = json_member(raw, "stmt");
    const struct json *node = stmt != NULL ? stmt->first : NULL;

    st->start = (uint32_t)strtoul(json_text(raw, "stmt_location"), NULL, 10);
    st->end = st->start + (uint32_t)strtoul(json_text(raw, "stmt_len"), NULL, 10);
    if (st->end == st->start)
        st->end = len;
    if (node == NULL)
        return;
    st->node = node->key;
    st->kind = kind_of_statement(node, node->key);
    st->judges_functions = st->kind != SQL_DDL || strcmp(st->node, "ViewStmt") == 0;
    read_node(&r, node);
}

bool
tree_of(struct arena *a, const char *text, struct tree *tree_r)
{
    PgQueryParseResult result = pg_query_parse(text);
    const struct json *root, *list;
    uint32_t n = 0;

    tree_r->count = 0;
    if (result.error != NULL) {
        pg_query_free_parse_result(result);
        return false;
    }
    root = json_read(a, result.parse_tree);
    list = json_member(root, "stmts");
    for (const struct json *j = list != NULL ? list->first : NULL; j != NULL; j = j->next)
        tree_r->count++;
    tree_r->statements = arena_calloc(a, tree_r->count * sizeof(*tree_r->statements) + 1);
    for (const struct json *j = list != NULL ? list->first : NULL; j != NULL; j = j->next)
        read_statement(a, j, &tree_r->statements[n++], (uint32_t)strlen(text));
    pg_query_free_parse_result(result);
    return true;
}
