/*
 * Which answers are worth being kept: of a statement whose answers are hardly ever asked for again,
 * only every eighth one, so that a miss costs little more than no cache at all, and what is of use
 * is not pushed out. Where answers are found again after all, that is seen in those, and all are
 * kept once more.
 *
 * One process's own memory, of fixed size; statements that share a place are judged together.
 * Nothing here blocks or fails.
 */
#ifndef CACHE_ADMISSION_H
#define CACHE_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

struct admission;

struct admission *admission_new(void);
void admission_free(struct admission *a); /* NULL: nothing */

/* An answer was found. statement: a number of its text without values; 0: not known. */
void admission_hit(struct admission *a, uint64_t statement);

/* None was found. Is the one that the server gives to be kept? */
bool admission_miss(struct admission *a, uint64_t statement);

#endif
