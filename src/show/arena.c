#include "show/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 4000

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(max_align_t) char data[];
};

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *b = a->blocks;
    void *p;

    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    if (size > a->max || a->used > a->max - size)
        return NULL;
    if (!b || b->cap - b->used < size) {
        size_t cap = size > BLOCK_SIZE ? size : BLOCK_SIZE;

        b = calloc(1, sizeof(*b) + cap);
        if (!b)
            return NULL;
        b->cap = cap;
        b->next = a->blocks;
        a->blocks = b;
    }
    p = b->data + b->used;
    b->used += size;
    a->used += size;
    return p;
}

char *arena_copy(struct arena *a, const char *p, size_t len)
{
    char *copy = arena_alloc(a, len + 1);

    if (copy && len)
        memcpy(copy, p, len);
    return copy;
}

void arena_done(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;

        free(a->blocks);
        a->blocks = next;
    }
    a->used = 0;
}
