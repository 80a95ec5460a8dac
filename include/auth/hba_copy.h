/*
 * A copy of the files that pool_hba.conf and pool_ident.conf consist of, as one run of bytes: who
 * reads the files can hand them to other processes, and all of them have the same rules.
 */
#ifndef AUTH_HBA_COPY_H
#define AUTH_HBA_COPY_H

#include "auth/hba_file.h"

struct hba_copy {
    struct buf bytes;              /* the owner frees it */
    const struct hba_reader *from; /* where to read what is not there yet, which is then kept, also
                                    * that there is no such file; NULL: nowhere, an error */
};

/* Reads from the copy. Borrows it. */
struct hba_reader hba_copy_reader(struct hba_copy *copy);

#endif
