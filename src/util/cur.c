#include "util/cur.h"

#include <endian.h>
#include <string.h>

static bool take(struct cur *c, void *ret, size_t len)
{
    if (c->len < len)
        return false;
    memcpy(ret, c->p, len);
    c->p += len;
    c->len -= len;
    return true;
}

bool cur_u8(struct cur *c, uint8_t *ret)
{
    return take(c, ret, 1);
}

#define READ(name, type, convert)                                                                \
    bool name(struct cur *c, type *ret)                                                          \
    {                                                                                            \
        type raw;                                                                                \
                                                                                                 \
        if (!take(c, &raw, sizeof(raw)))                                                         \
            return false;                                                                        \
        *ret = convert(raw);                                                                     \
        return true;                                                                             \
    }
READ(cur_u16be, uint16_t, be16toh)
READ(cur_u32be, uint32_t, be32toh)
READ(cur_u64be, uint64_t, be64toh)
READ(cur_u16le, uint16_t, le16toh)
READ(cur_u32le, uint32_t, le32toh)
READ(cur_u64le, uint64_t, le64toh)
#undef READ

bool cur_bytes(struct cur *c, size_t len, const void **ret)
{
    const void *at = c->p;

    if (!cur_skip(c, len))
        return false;
    *ret = at;
    return true;
}

bool cur_skip(struct cur *c, size_t len)
{
    if (c->len < len)
        return false;
    if (len) {
        c->p += len;
        c->len -= len;
    }
    return true;
}

bool cur_sub(struct cur *c, size_t len, struct cur *ret)
{
    const void *at = NULL;

    if (!cur_bytes(c, len, &at))
        return false;
    *ret = cur_of(at, len);
    return true;
}

void put_u16be(void *at, uint16_t v)
{
    v = htobe16(v);
    memcpy(at, &v, sizeof(v));
}

void put_u32be(void *at, uint32_t v)
{
    v = htobe32(v);
    memcpy(at, &v, sizeof(v));
}

void put_u64be(void *at, uint64_t v)
{
    v = htobe64(v);
    memcpy(at, &v, sizeof(v));
}
