/*
 * Parts of hba.c and ident.c; for the files of this room.
 */
#ifndef AUTH_HBA_PARTS_H
#define AUTH_HBA_PARTS_H

#include "auth/hba.h"
#include "auth/hba_regex.h"

enum hba_name_kind {
    HBA_NAME_PLAIN,
    HBA_NAME_ALL,
    HBA_NAME_SAMEUSER,
    HBA_NAME_SAMEROLE,
    HBA_NAME_REPLICATION,
    HBA_NAME_MEMBER, /* +role */
    HBA_NAME_REGEX,
};

struct hba_name {
    enum hba_name_kind kind;
    const char *text; /* as it stands in the file, without quotes */
    struct hba_regex *regex;
};

/* All that a load makes; freed at once. */
struct hba_memory {
    struct arena arena;
    struct buf regexes; /* struct hba_regex *, in the arena, to be finished */
};

void hba_memory_init(struct hba_memory *m);
void hba_memory_fini(struct hba_memory *m);

/* NULL with err when the pattern is faulty. */
struct hba_regex *hba_memory_regex(struct hba_memory *m, const char *pattern, struct err *err);

/* What a token means as a user. */
int hba_take_user(struct hba_memory *m, const struct hba_token *token, struct hba_name *name_r,
                  struct err *err);

/* A line on its way; line->error is not set by this. -1: it is faulty. */
int hba_parse_line(struct hba_memory *m, const struct hba_file_line *text, struct hba_line *line,
                   struct err *err);

/* hba_option.c: the tokens behind the method, and what must be true of all of them together. */
int hba_take_option(struct hba_memory *m, struct hba_line *line, const char *token,
                    struct err *err);
int hba_check_options(struct hba_line *line, struct err *err);

/* hba_ldap.c: ldapurl, and what must be true of all ldap options together. */
int hba_take_ldap_url(struct hba_memory *m, const char *url, struct hba_ldap *ldap,
                      struct err *err);
int hba_check_ldap(const struct hba_ldap *ldap, struct err *err);

/* Whether something is so; that it cannot be told is none of these. */
enum hba_verdict {
    HBA_NO,
    HBA_YES,
    HBA_ASK_ROLES,
    HBA_ASK_HOST_NAME,
    HBA_BROKEN, /* a match could not be made: nobody may come in by it */
};

/* Is the role meant by one of these? roles may be NULL. */
enum hba_verdict hba_user_matches(const struct hba_name *name, const char *user,
                                  const struct hba_roles *roles);

/* Appends one element of an array as SQL writes it, with the comma in front unless it is the first
 * one behind the brace. */
void hba_print_element(const char *text, struct buf *out);

#endif
