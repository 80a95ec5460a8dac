/*
 * PostgreSQL's frontend/backend protocol, versions 3.0 and 3.2: message headers, what each
 * message may look like, and the parts of messages that the program needs.
 *
 * Pure: bytes in, facts out; nothing is copied, views point into the caller's bytes.
 * Source: PostgreSQL's manual, part "Frontend/Backend Protocol", chapters "Message Formats" and
 * "Message Flow"; the list of messages is include/tables/messages.def.
 */
#ifndef WIRE_PROTO_H
#define WIRE_PROTO_H

#include "base/err.h"
#include "base/util.h"

#include <stdbool.h>

#define WIRE_PROTOCOL(major, minor) ((uint32_t)(major) << 16 | (uint32_t)(minor))

enum {
    WIRE_HEADER_BYTES = 5,
    WIRE_CANCEL_REQUEST = 80877102,
    /* the same, from another pgpool, to be passed on no further: ours, 1234 << 16 | 20551 */
    WIRE_MEMBER_CANCEL_REQUEST = 80891975,
    WIRE_SSL_REQUEST = 80877103,
    WIRE_GSSENC_REQUEST = 80877104,
    WIRE_STARTUP_MAX_BYTES = 10000, /* PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
    WIRE_CANCEL_KEY_MAX_BYTES = 256,
};

enum wire_result { WIRE_OK, WIRE_MORE, WIRE_BAD };

/* A piece of text or bytes inside a message; not terminated by NUL. */
struct wire_view {
    const char *data;
    uint32_t len;
};

struct wire_header {
    uint8_t type;
    uint32_t total_bytes; /* of the whole message, type byte and length word included */
};

/* Reads the header of a message after the startup phase from n bytes at p. MORE when fewer than 5
 * are there. BAD when the length is below 4, above 1 GB (0x3fffffff), or impossible for that
 * type, or the type is not known in that direction; err then holds PostgreSQL's own message and
 * SQLSTATE (08P01). */
enum wire_result wire_client_header(const uint8_t *p, size_t n, struct wire_header *h_r,
                                    struct err *err);
enum wire_result wire_server_header(const uint8_t *p, size_t n, struct wire_header *h_r,
                                    struct err *err);

/* ---- startup packets --------------------------------------------------------------------------
 */

enum wire_startup_kind {
    WIRE_STARTUP,   /* protocol version 3.x */
    WIRE_SSL,       /* SSLRequest */
    WIRE_GSSENC,    /* GSSENCRequest */
    WIRE_CANCEL,    /* CancelRequest */
    WIRE_TLS_HELLO, /* not a packet: the first byte of a TLS ClientHello (direct TLS) */
};

struct wire_startup {
    enum wire_startup_kind kind;
    uint32_t total_bytes;
    uint32_t protocol;         /* WIRE_STARTUP: as asked for, e.g. 3.2 */
    struct wire_view user;     /* WIRE_STARTUP */
    struct wire_view database; /* as given; empty when not given (then the user's name counts) */
    struct wire_view options;
    struct wire_view application_name;
    bool replication;            /* replication = true, on, yes, 1 or database */
    uint32_t cancel_pid;         /* WIRE_CANCEL */
    struct wire_view cancel_key; /* WIRE_CANCEL: 4 to 256 bytes */
    bool cancel_of_member;       /* WIRE_CANCEL: another pgpool has passed it on */
    const uint8_t *parameters;   /* WIRE_STARTUP: the name/value pairs, for wire_startup_next */
    uint32_t parameters_bytes;
};

/* Reads one startup packet, of at most WIRE_STARTUP_MAX_BYTES behind its length word. BAD: err
 * holds what PostgreSQL says ("invalid length of startup packet", ...). A protocol whose major
 * version is not 3 is BAD with 0A000; any 3.x is OK. */
enum wire_result wire_startup_parse(const uint8_t *p, size_t n, struct wire_startup *s_r,
                                    struct err *err);

/* Walks the parameters: *at_io starts at 0; false at the end. Options of the protocol ("_pq_.")
 * are included. */
bool wire_startup_next(const struct wire_startup *s, uint32_t *at_io, struct wire_view *name_r,
                       struct wire_view *value_r);

/* ---- messages from clients ----------------------------------------------------------------------
 * All take the whole message, header included; BAD fills err as PostgreSQL would word it. */

struct wire_parse {
    struct wire_view name;
    struct wire_view query;
    uint16_t type_count;
    const uint8_t *types; /* type_count object ids, network byte order */
};
enum wire_result wire_parse_parse(const uint8_t *msg, uint32_t len, struct wire_parse *p_r,
                                  struct err *err);

struct wire_bind {
    struct wire_view portal;
    struct wire_view statement;
};
/* Reads no further than the two names: msg may be the beginning of a longer message; MORE when
 * the names are not complete in it. */
enum wire_result wire_parse_bind(const uint8_t *msg, uint32_t len, struct wire_bind *b_r,
                                 struct err *err);

/* For a statement without parameters and with a result of texts: checks what follows the names in a
 * whole Bind. Formats of the result change nothing: a text in binary is the same bytes. -1 with
 * 08P01 when it has values, or is not what it should be. */
int wire_check_bind(const uint8_t *msg, uint32_t len, const struct wire_bind *b, struct err *err);

/* Describe and Close. */
struct wire_target {
    char kind; /* 'S' statement or 'P' portal; another byte is OK here: PostgreSQL answers it */
    struct wire_view name;
};
enum wire_result wire_parse_target(const uint8_t *msg, uint32_t len, struct wire_target *t_r,
                                   struct err *err);

struct wire_execute {
    struct wire_view portal;
    uint32_t max_rows;
};
enum wire_result wire_parse_execute(const uint8_t *msg, uint32_t len, struct wire_execute *e_r,
                                    struct err *err);

/* Query: the text without its NUL. */
enum wire_result wire_parse_query(const uint8_t *msg, uint32_t len, struct wire_view *text_r,
                                  struct err *err);

/* ---- messages from servers ----------------------------------------------------------------------
 */

/* ErrorResponse and NoticeResponse; absent fields are empty views. */
struct wire_error {
    struct wire_view severity; /* field V where present, else S */
    struct wire_view sqlstate;
    struct wire_view message;
    struct wire_view detail;
    struct wire_view hint;
    bool positioned; /* it points into the text that the client has sent, */
    bool within;     /* or says where inside of what that has called it was */
};
enum wire_result wire_parse_error(const uint8_t *msg, uint32_t len, struct wire_error *e_r);

/* ParameterStatus. */
/* A column of a DataRow, in its text or binary form; data is NULL when there is none of that number
 * or it is null. */
struct wire_view wire_column(const uint8_t *msg, uint32_t len, uint32_t wanted);

enum wire_result wire_parse_parameter(const uint8_t *msg, uint32_t len, struct wire_view *name_r,
                                      struct wire_view *value_r);

/* BackendKeyData. */
enum wire_result wire_parse_key(const uint8_t *msg, uint32_t len, uint32_t *pid_r,
                                struct wire_view *key_r);

/* CommandComplete: the tag. */
enum wire_result wire_parse_tag(const uint8_t *msg, uint32_t len, struct wire_view *tag_r);

#endif
