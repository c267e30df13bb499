/*
 * Downloads that are not finished: images/partial/HEX, where HEX is of the digest the file will
 * have. Whoever writes one has it locked; who is killed leaves it, and the next goes on with it.
 *
 * Nothing here is trusted: what reads the file computes its digest.
 *
 * The directory also has ref-HEX: locks held while a reference is pulled.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <stdint.h>

struct partial {
    char *path; /* owned */
    int fd;     /* read and write; locked */
    uint64_t have;
};

/* Open, or make, and lock. 1 when another process has it: use a file of your own. */
int partial_open(const char *home, const char *digest, struct partial *ret,
                 struct err *e) MUST_CHECK;
/* Unlock. The file stays. Fine for one that was never opened, when its fd is -1. */
void partial_close(struct partial *p);
/* Remove it, it is finished or worthless, and unlock. */
void partial_remove(struct partial *p);

/* Wait until nobody else pulls that reference (any text). Returns a descriptor that holds the
 * lock; partial_ref_unlock() closes it. `waiting`, when not NULL, is called before a wait. */
int partial_ref_lock(const char *home, const char *reference, void (*waiting)(void *ctx),
                     void *ctx, struct err *e) MUST_CHECK;
void partial_ref_unlock(const char *home, const char *reference, int fd);

/* Remove what nobody holds and nobody will go on with: older than a day, or in the store. With
 * `all`, whatever nobody holds. *ret_bytes, when not NULL, is what that freed. */
enum partial_sweep { PARTIAL_SWEEP_OLD, PARTIAL_SWEEP_ALL };
int partial_sweep(const char *home, enum partial_sweep which, uint64_t *ret_bytes,
                  struct err *e) MUST_CHECK;
