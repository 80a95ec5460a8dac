/*
 * Telling systemd how we are (sd_notify(3)), when it started us with Type=notify or
 * Type=notify-reload. Without it these do nothing. Never blocks.
 */
#ifndef OS_NOTIFY_H
#define OS_NOTIFY_H

#include "base/util.h"

#include <stdbool.h>
#include <sys/types.h>

/* The daemon serves; also ends a reload. */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

/* Another process has taken our place: it is the one to watch from now on. Told by us, since who
 * is not yet the main process may not speak (NotifyAccess=main). */
void notify_successor(pid_t pid);

/* A service manager listens. */
bool notify_is_heard(void);

#endif
