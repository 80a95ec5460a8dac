/*
 * One log message as an object of JSON in one line, with the names of PostgreSQL's jsonlog.
 *
 * Texts may be anything: what is no UTF-8 becomes U+FFFD, and what does not fit is cut, so that the
 * line is always whole. Pure.
 *
 * Source: PostgreSQL's manual, chapter "Error Reporting and Logging", section "Using JSON-Format
 * Log Output".
 */
#ifndef BASE_LOG_JSON_H
#define BASE_LOG_JSON_H

#include "base/util.h"

/* What is NULL, "" or 0 does not stand in the object. */
struct log_json {
    const char *timestamp;
    const char *user;
    const char *dbname;
    const char *remote; /* "host:port", or a host without one */
    const char *application_name;
    const char *backend_type;
    const char *severity;   /* "error": is written in capitals */
    const char *state_code; /* SQLSTATE */
    const char *message;
    const char *detail;
    const char *hint;
    int pid;
    uint64_t line_num;
    uint64_t query_id; /* written as a signed number, as PostgreSQL does */
};

enum { LOG_JSON_LEAST = 4096 }; /* room that there must be */

/* Returns the length, without a NUL, which stands behind it; less than room. */
size_t log_json_print(char *to, size_t room, const struct log_json *j);

#endif
