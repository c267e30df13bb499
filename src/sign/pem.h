/* PEM (RFC 7468): strict inside a block, text between blocks is skipped. */
#pragma once

#include "util/err.h"
#include "util/str.h"

#define PEM_FILE_MAX  ((size_t)256 << 10) /* a bundle of a few dozen certificates */
#define PEM_LABEL_MAX 47

struct pem {
    const char *p;
    size_t len;
};

struct pem_block {
    char label[PEM_LABEL_MAX + 1];
    struct str bytes;
};

void pem_block_done(struct pem_block *b);
#define autopem __attribute__((cleanup(pem_block_done))) struct pem_block

/* The next block. Returns 1, or 0 at the end; CORRUPT when a block is damaged or has headers
 * (RFC 1421 encryption). */
int pem_next(struct pem *pem, struct pem_block *ret, struct err *e) MUST_CHECK;
/* The only block that is there. `what` names it in errors. */
int pem_only(const void *text, size_t len, const char *what, struct pem_block *ret,
             struct err *e) MUST_CHECK;
bool pem_write(const char *label, const void *data, size_t len, struct str *ret);
