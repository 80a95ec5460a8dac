/*
 * What the kernel lets a process have.
 */
#ifndef OS_LIMITS_H
#define OS_LIMITS_H

#include "base/util.h"

/* Raises the number of open descriptors to the hard limit; returns what it is then. */
uint64_t limits_raise_descriptors(void);

/* CPUs that this process may run on, at least 1. */
uint32_t limits_cpus(void);

#endif
