/*
 * pool_hba.conf: which clients may come in, and how they prove who they are. The file's form and
 * the meaning of its lines are those of PostgreSQL's pg_hba.conf (chapter "The pg_hba.conf File",
 * PostgreSQL 17). gss, sspi, ident, radius, bsd and oauth are known and not offered: a line with
 * one of them has an error. hostgssenc lines match nobody, hostnogssenc ones are as host.
 *
 * As Pgpool-II has it, pam may be followed by the bare name of the service, and backend_use_passwd
 * is taken, and does nothing.
 *
 * Pure: the caller reads the files and finds out about roles and names. One line with an error
 * makes the whole file not good: it must not be put in force, and matches nobody.
 */
#ifndef AUTH_HBA_H
#define AUTH_HBA_H

#include "auth/hba_file.h"

#include <stdbool.h>
#include <sys/socket.h>

enum hba_type {
    HBA_LOCAL,
    HBA_HOST,
    HBA_HOSTSSL,
    HBA_HOSTNOSSL,
    HBA_HOSTGSSENC,
    HBA_HOSTNOGSSENC,
};

enum hba_method {
    HBA_TRUST,
    HBA_REJECT,
    HBA_PASSWORD, /* in the clear */
    HBA_MD5,      /* as PostgreSQL: SCRAM where that is what is known of the password */
    HBA_SCRAM,
    HBA_CERT, /* options.clientcert is HBA_CLIENTCERT_FULL then */
    HBA_PEER,
    HBA_PAM,
    HBA_LDAP,
};

enum hba_clientcert { HBA_CLIENTCERT_OFF, HBA_CLIENTCERT_CA, HBA_CLIENTCERT_FULL };
enum hba_clientname { HBA_CLIENTNAME_CN, HBA_CLIENTNAME_DN };
enum hba_ldap_scope { HBA_LDAP_BASE, HBA_LDAP_ONE, HBA_LDAP_SUBTREE };

/* Either prefix or suffix or both are set, or basedn is. Texts are NULL when they were not. */
struct hba_ldap {
    const char *server; /* one or more names between blanks */
    uint16_t port;      /* 0: that of the scheme */
    bool ldaps;         /* the scheme, else ldap */
    bool scheme_set;    /* the file names the scheme */
    bool tls;           /* StartTLS */
    const char *prefix;
    const char *suffix;
    const char *basedn;
    const char *binddn;
    const char *bindpasswd;
    const char *searchattribute;
    const char *searchfilter;
    enum hba_ldap_scope scope;
};

struct hba_options {
    const char *map; /* of pool_ident.conf; NULL: names have to be equal */
    enum hba_clientcert clientcert;
    enum hba_clientname clientname;
    bool clientname_set;
    const char *pamservice; /* NULL: the default */
    bool pam_use_hostname;
    struct hba_ldap ldap;
};

enum hba_address {
    HBA_ADDRESS_NONE, /* local */
    HBA_ADDRESS_ALL,
    HBA_ADDRESS_SAMEHOST,
    HBA_ADDRESS_SAMENET,
    HBA_ADDRESS_NET,
    HBA_ADDRESS_NAME, /* a host name, or the end of one, with a dot in front */
};

struct hba_name; /* of a database or user, or what stands for some */

struct hba_names {
    struct hba_name *list;
    uint32_t count;
};

/* Addresses in network byte order; IPv4 uses the first 4 bytes. */
struct hba_net {
    int family; /* AF_INET or AF_INET6 */
    uint8_t address[16];
    uint8_t mask[16];
};

/* With an error only file, number, error and hint mean something. */
struct hba_line {
    const char *file;
    uint32_t number; /* where the line begins; 0: the error is the whole file's */
    uint32_t rule;   /* lines without an error are numbered, from 1; 0: it has one */
    enum hba_type type;
    struct hba_names databases;
    struct hba_names users;
    enum hba_address address;
    struct hba_net net;    /* HBA_ADDRESS_NET */
    const char *host_name; /* HBA_ADDRESS_NAME */
    enum hba_method method;
    struct hba_options options;
    const char *error; /* NULL: none */
    const char *hint;  /* what to do about the error; NULL: nothing to say */
    const char *note;  /* a warning; NULL: none */
};

struct hba;

/* Reads the file and what it includes. Never NULL; one reference is the caller's. Lines point into
 * it. May take as long as the reader does. */
struct hba *hba_load(const struct hba_reader *reader, const char *path);
/* Within one process, one thread. NULL is allowed. */
struct hba *hba_ref(struct hba *h);
void hba_unref(struct hba *h);

/* No line has an error, and there is at least one. */
bool hba_is_good(const struct hba *h);

/* Does it matter which networks this host is in (samehost, samenet)? */
bool hba_uses_nets(const struct hba *h);

/* By number from 0, in the file's order, those with errors, too; NULL behind the last. */
const struct hba_line *hba_line_at(const struct hba *h, uint32_t n);

/* ---- who matches ---- */

/* All roles that a role is a member of, directly or not, itself included; nothing for one that does
 * not exist. What only a superuser's rights give does not count. */
struct hba_roles {
    const char *const *names;
    uint32_t count;
};

/* This host's addresses, with the masks of their networks. */
struct hba_nets {
    const struct hba_net *list;
    uint32_t count;
};

struct hba_client {
    const char *user;
    const char *database;
    const struct sockaddr *addr;   /* NULL or AF_UNIX: local */
    bool tls;                      /* the connection is encrypted */
    bool replication;              /* physical replication: only "replication" is its database */
    const struct hba_roles *roles; /* of the user; NULL: not asked for yet */
    const char *host_name;         /* its address's, which leads back there; "": there is none;
                                    * NULL: not asked for yet */
    const struct hba_nets *nets;   /* NULL: not known. Then samehost and samenet match for reject
                                    * alone */
};

enum hba_result {
    HBA_MATCH,
    HBA_NO_MATCH,        /* refuse it */
    HBA_NEEDS_ROLES,     /* whether an earlier line matches depends on roles: ask, come again */
    HBA_NEEDS_HOST_NAME, /* the same for the name of the client's host */
};

/* The first line that matches. *line_r is NULL without one. IPv4 within IPv6 (::ffff:192.0.2.1)
 * counts as IPv4. */
enum hba_result hba_match(const struct hba *h, const struct hba_client *client,
                          const struct hba_line **line_r);

/* ---- for people ---- */

const char *hba_type_name(enum hba_type type);
const char *hba_method_name(enum hba_method method);

/* Appends an array as SQL writes it: {all,"a b"}. */
void hba_print_names(const struct hba_names *names, struct buf *out);

/* Appends the same of options as name=value; nothing without any. ldapbindpasswd is not shown. */
void hba_print_options(const struct hba_line *line, struct buf *out);

/* Appends the address as pg_hba_file_rules shows it; nothing for local. */
void hba_print_address(const struct hba_line *line, struct buf *out);

/* Appends the netmask; nothing where there is none. */
void hba_print_netmask(const struct hba_line *line, struct buf *out);

#endif
