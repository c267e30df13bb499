/*
 * A bounds-checked cursor over foreign bytes.
 *
 * Each read returns false, and moves nothing, when fewer bytes are left than
 * asked for. Never cast a buffer to a struct: read it with this.
 */
#pragma once

#include "util/attr.h"

#include <stdbool.h>

struct cur {
    const uint8_t *p;
    size_t len; /* bytes left */
};

static inline struct cur cur_of(const void *data, size_t len)
{
    return (struct cur){ .p = data, .len = len };
}

bool cur_u8(struct cur *c, uint8_t *ret);
bool cur_u16be(struct cur *c, uint16_t *ret);
bool cur_u32be(struct cur *c, uint32_t *ret);
bool cur_u64be(struct cur *c, uint64_t *ret);
bool cur_u16le(struct cur *c, uint16_t *ret);
bool cur_u32le(struct cur *c, uint32_t *ret);
bool cur_u64le(struct cur *c, uint64_t *ret);
bool cur_bytes(struct cur *c, size_t len, const void **ret); /* borrowed from the buffer */
bool cur_skip(struct cur *c, size_t len);
bool cur_sub(struct cur *c, size_t len, struct cur *ret);

void put_u16be(void *at, uint16_t v);
void put_u32be(void *at, uint32_t v);
void put_u64be(void *at, uint64_t v);
