/*
 * Which tables subscribers of logical replication have as the main node has them.
 *
 * Per database the main node tells what its publications publish and which slots are in use, and
 * each subscriber which tables its enabled subscriptions have caught up with. Both tell prints: a
 * text that is the same when owner, rights and columns are. A table is carried by a node when a
 * subscription of it that uses a slot of the main node's has it, ready; when all publications of
 * that subscription that publish the table publish all of its rows, columns and kinds of changes;
 * when no other subscription there has it; and when the prints are the same. A table with
 * partitions or children that is not published itself is carried when all of its leaves are and
 * the leaves have the same names. All else is not, in doubt neither.
 *
 * Pure. Source: PostgreSQL's manual, chapter "Logical Replication".
 */
#ifndef CLUSTER_CARRIED_H
#define CLUSTER_CARRIED_H

#include "cluster/view.h"

enum {
    CARRIED_DATABASES_MAX = 64,
    CARRIED_TABLES_MAX = 16384,
    CARRIED_NAME_BYTES = 64,
};

struct carried_database {
    char name[CARRIED_NAME_BYTES];
    uint32_t epoch; /* what the memo says of the database must be of this epoch, too */
    uint32_t first; /* of its tables */
    uint32_t count;
    struct cluster_set nodes; /* that have the database, with the same settings */
};

struct carried_table {
    uint32_t oid; /* at the main node */
    uint32_t unused;
    struct cluster_set nodes;
};

/* Payload of the area "carried". Tables of a database stand together, by oid. */
struct cluster_carried {
    uint32_t database_count;
    uint32_t table_count;
    int32_t main_id;
    struct carried_database databases[CARRIED_DATABASES_MAX];
    struct carried_table tables[CARRIED_TABLES_MAX];
};

/* Bytes of it that count. */
size_t carried_bytes(const struct cluster_carried *carried);

/* NULL: nothing is carried there. */
const struct carried_database *carried_find(const struct cluster_carried *carried,
                                            const char *database);

/* The nodes that have this table of the main node's; all zeroes: none. */
struct cluster_set carried_nodes(const struct cluster_carried *carried,
                                 const struct carried_database *database, uint32_t oid);

/* ---- making it ------------------------------------------------------------------------------ */

/* One row of what a server has told; texts are copied. Columns by kind (words of carried.sql):
 * s  print: of the settings
 * l  at: a slot of this database that is in use (main node)
 * t  at: publication (main node); print, name, oid (main node), full (main node), alone
 * u  slot, at: publication; print, name, alone (subscriber)
 * p  print, name, oid and leaves (main node) */
struct carried_row {
    char kind;
    bool full;  /* published with all rows, columns and kinds of changes */
    bool alone; /* what is read by its name is in it alone */
    uint32_t oid;
    const char *at;
    const char *slot;
    const char *name;
    const char *print;
    const char *leaves; /* numbers with blanks between */
};

struct carried_book; /* what all servers have told of one database */

struct carried_book *carried_book_new(void);
void carried_book_free(struct carried_book *book);

/* node_id: -1 for the main node. */
void carried_book_add(struct carried_book *book, int node_id, const struct carried_row *row);

/* Appends the database to *carried; database->name and epoch are taken from `as`. False: there is
 * no room, and nothing was appended. */
bool carried_book_close(struct carried_book *book, const struct carried_database *as,
                        struct cluster_carried *carried);

#endif
