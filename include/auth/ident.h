/*
 * pool_ident.conf: which roles a name from outside (of the operating system, of a certificate) may
 * be. The file's form and meaning are those of PostgreSQL's pg_ident.conf (chapter "User Name
 * Maps", PostgreSQL 17): lines `map system-name role`, each possibly a regular expression; \1 in a
 * role is what the first parentheses of the system name's expression matched; all and +role.
 *
 * Pure, and never changed once loaded. One line with an error makes the whole file not good: it
 * must not be put in force, and maps nobody.
 */
#ifndef AUTH_IDENT_H
#define AUTH_IDENT_H

#include "auth/hba_file.h"

#include <stdbool.h>

struct hba_name;
struct hba_roles;

/* With an error only file, number, error and hint mean something. */
struct ident_line {
    const char *file;
    uint32_t number; /* where the line begins; 0: the error is the whole file's */
    uint32_t rule;   /* lines without an error are numbered, from 1; 0: it has one */
    const char *map;
    const char *system_user;           /* as it stands in the file */
    const char *role;                  /* the same */
    const struct hba_name *system;     /* ident.c's own */
    const struct hba_name *role_means; /* the same */
    const char *error;                 /* NULL: none */
    const char *hint;                  /* what to do about the error; NULL: nothing to say */
};

struct ident;

/* Reads the file and what it includes. Never NULL; one reference is the caller's. A file that is
 * not there has no lines and is good. */
struct ident *ident_load(const struct hba_reader *reader, const char *path);
/* Within one process, one thread. NULL is allowed. */
struct ident *ident_ref(struct ident *i);
void ident_unref(struct ident *i);

/* No line has an error. */
bool ident_is_good(const struct ident *i);

/* By number from 0, in the file's order, those with errors, too; NULL behind the last. */
const struct ident_line *ident_line_at(const struct ident *i, uint32_t n);

struct ident_question {
    const char *map;               /* NULL: none, names have to be equal */
    const char *system_user;       /* the name from outside */
    const char *role;              /* whom it wants to be */
    const struct hba_roles *roles; /* of that role (auth/hba.h); NULL: not asked for yet */
    bool nocase;                   /* upper and lower case are alike */
};

enum ident_result {
    IDENT_REFUSED,
    IDENT_ALLOWED,
    IDENT_NEEDS_ROLES, /* it depends on roles: ask, come again */
};

/* i may be NULL: a file without lines. */
enum ident_result ident_map(const struct ident *i, const struct ident_question *q);

#endif
