/* Memory that is released all at once: the nodes of a template, the values of one execution. */
#pragma once

#include "util/attr.h"

#include <stdbool.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* owned */
    size_t used, max;           /* bytes handed out, and how many there may be */
};

/* Zeroed memory, aligned for any type; NULL when `max` is reached or memory is gone. */
void *arena_alloc(struct arena *a, size_t size);

/* A NUL-terminated copy. */
char *arena_copy(struct arena *a, const char *p, size_t len);

void arena_done(struct arena *a);
