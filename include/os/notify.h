/*
 * Telling systemd how we are (sd_notify(3)), when it started us with Type=notify or
 * Type=notify-reload. Without it these do nothing. Never blocks.
 */
#ifndef OS_NOTIFY_H
#define OS_NOTIFY_H

#include "base/util.h"

/* The daemon serves; also ends a reload. */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

#endif
