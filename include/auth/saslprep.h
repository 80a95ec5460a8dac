/*
 * How passwords are prepared for SCRAM, so that one that is typed in other code points is the same.
 *
 * Source: RFC 4013; PostgreSQL's manual, "Password Authentication", for what is done to a password
 * that cannot be prepared: it is used as the bytes that it is.
 */
#ifndef AUTH_SASLPREP_H
#define AUTH_SASLPREP_H

/* The prepared password, or a copy; the caller wipes and frees it. */
char *saslprep(const char *password);

/* Wipes and frees a text. NULL is allowed. */
void saslprep_free(char *text);

#endif
