/*
 * The time of day. Decisions use io_now_ns or clock_monotonic_ns; this one is for people.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

/* Microseconds since 1970. */
int64_t clock_wall_us(void);

/* CLOCK_MONOTONIC, for where no event loop is at hand. */
int64_t clock_monotonic_ns(void);

/* CLOCK_BOOTTIME: as the monotonic one, and goes on while the machine sleeps. */
int64_t clock_boottime_ns(void);

/* CPU time that this process has used. */
int64_t clock_cpu_ns(void);

#endif
