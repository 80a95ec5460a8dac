/*
 * Messages that we write ourselves, to clients and to servers, appended to a buffer.
 *
 * Source: PostgreSQL's manual, chapter "Message Formats".
 */
#ifndef WIRE_BUILD_H
#define WIRE_BUILD_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/proto.h"

#include <stdbool.h>

/* to clients */
void build_auth_ok(struct buf *b);
void build_auth_cleartext(struct buf *b);
void build_auth_md5(struct buf *b, const uint8_t salt[4]);
void build_auth_sasl(struct buf *b, const char *const *mechanisms); /* ends with NULL */
void build_auth_sasl_continue(struct buf *b, const void *data, size_t len);
void build_auth_sasl_final(struct buf *b, const void *data, size_t len);
void build_parameter_status(struct buf *b, const char *name, const char *value);
void build_backend_key(struct buf *b, uint32_t pid, const void *key, size_t key_len);
void build_ready(struct buf *b, char tx_status); /* 'I', 'T' or 'E' */
void build_command_complete(struct buf *b, const char *tag);
void build_empty_query(struct buf *b);
void build_simple(struct buf *b, char type); /* no body: '1' '2' '3' 'n' 's' 'S' 'H' ... */
/* minor: newest minor version we speak; options: names of "_pq_." options that we do not know. */
void build_negotiate(struct buf *b, uint32_t newest_protocol, const char *const *options,
                     uint32_t option_count);

/* ErrorResponse and NoticeResponse with S, V, C, M, D, H as far as err has them. severity: "ERROR",
 * "FATAL", "WARNING", "NOTICE", ... */
void build_error(struct buf *b, const char *severity, const struct err *err);
void build_notice(struct buf *b, const char *severity, const struct err *err);

/* NoticeResponse with a text of any length. */
void build_notice_text(struct buf *b, const char *severity, const char *sqlstate, const char *text);

/* A result of text columns, as SHOW answers: every column type text (25), not binary. */
void build_row_description(struct buf *b, const char *const *names, uint16_t count);
void build_data_row(struct buf *b, const char *const *values, uint16_t count); /* NULL is null */

/* to servers */
/* parameters: name, value, name, value, ...; count of pairs. */
void build_startup(struct buf *b, uint32_t protocol, const char *const *parameters,
                   uint32_t pair_count);
void build_password(struct buf *b, const char *secret);
void build_sasl_initial(struct buf *b, const char *mechanism, const void *data, size_t len);
void build_sasl_response(struct buf *b, const void *data, size_t len);
void build_query(struct buf *b, const char *text, size_t len);
void build_parse(struct buf *b, const struct wire_parse *p);
void build_close(struct buf *b, char kind, const char *name, size_t name_len);
void build_copy_fail(struct buf *b, const char *reason);
void build_sync(struct buf *b);
void build_flush(struct buf *b);
void build_terminate(struct buf *b);
void build_cancel_request(struct buf *b, uint32_t pid, const void *key, size_t key_len);
/* One that the other pgpool does not pass on. */
void build_member_cancel_request(struct buf *b, uint32_t pid, const void *key, size_t key_len);
void build_ssl_request(struct buf *b);

#endif
