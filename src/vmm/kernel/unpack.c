#include "util/cur.h"
#include "vmm/kernel/vmlinux.h"

#include <lz4.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* lz4 legacy frame (lz4_Frame_format.md): blocks of at most this size when unpacked */
#define LZ4_LEGACY_BLOCK ((size_t)8 << 20)
#define CHUNK            ((size_t)1 << 20)

static char *room(struct str *ret, size_t len, struct err *e)
{
    char *p = str_reserve(ret, len);

    if (!p)
        (void)err_set(e, ERR_LIMIT, "Kernel is larger than %zu bytes", ret->max);
    return p;
}

static int unpack_lz4(const void *data, size_t len, struct str *ret, struct err *e)
{
    struct cur c = cur_of(data, len);
    uint32_t size;

    (void)cur_skip(&c, 4); /* the magic, seen by the caller */
    while (cur_u32le(&c, &size)) {
        const void *block;
        char *out;
        int n;

        /* The kernel's size of the whole stands where the next block would begin. */
        if (c.len == 0 && size == (uint32_t)ret->len)
            return 0;
        if (size > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK) || !cur_bytes(&c, size, &block))
            return err_set(e, ERR_CORRUPT, "lz4: block of %u bytes does not fit", size);
        out = room(ret, LZ4_LEGACY_BLOCK, e);
        if (!out)
            return -ERR_LIMIT;
        n = LZ4_decompress_safe(block, out, (int)size, (int)LZ4_LEGACY_BLOCK);
        if (n < 0)
            return err_set(e, ERR_CORRUPT, "lz4: bad block");
        str_added(ret, (size_t)n);
    }
    return c.len == 0 ? 0 : err_set(e, ERR_CORRUPT, "lz4: bytes behind the last block");
}

static int inflate_all(z_stream *z, struct str *ret, struct err *e)
{
    int r = Z_OK;

    while (r != Z_STREAM_END) {
        char *out = room(ret, CHUNK, e);

        if (!out)
            return -ERR_LIMIT;
        z->next_out = (Bytef *)out;
        z->avail_out = CHUNK;
        r = inflate(z, Z_NO_FLUSH);
        if (r != Z_OK && r != Z_STREAM_END)
            return err_set(e, ERR_CORRUPT, "gzip: %s", z->msg ? z->msg : "cut short");
        str_added(ret, CHUNK - z->avail_out);
    }
    return 0;
}

static int unpack_gzip(const void *data, size_t len, struct str *ret, struct err *e)
{
    z_stream z = { .next_in = (z_const Bytef *)data, .avail_in = (uInt)len };
    int r;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return err_set(e, ERR_SYSTEM, "gzip: no memory");
    r = inflate_all(&z, ret, e);
    (void)inflateEnd(&z);
    return r;
}

static int unpack_zstd(const void *data, size_t len, struct str *ret, struct err *e)
{
    ZSTD_inBuffer in = { .src = data, .size = len };
    ZSTD_DStream *z = ZSTD_createDStream();
    size_t left = 1;
    int r = 0;

    if (!z)
        return err_set(e, ERR_SYSTEM, "zstd: no memory");
    while (r == 0 && left != 0) {
        char *at = room(ret, CHUNK, e);
        ZSTD_outBuffer out = { .dst = at, .size = CHUNK };

        if (!at) {
            r = -ERR_LIMIT;
            break;
        }
        left = ZSTD_decompressStream(z, &out, &in);
        if (ZSTD_isError(left))
            r = err_set(e, ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(left));
        else if (out.pos == 0 && in.pos == in.size && left != 0)
            r = err_set(e, ERR_CORRUPT, "zstd: cut short");
        str_added(ret, out.pos);
    }
    (void)ZSTD_freeDStream(z);
    return r;
}

struct format {
    const char *name, *magic;
    size_t magic_len;
    int (*unpack)(const void *data, size_t len, struct str *ret, struct err *e);
};

static const struct format formats[] = {
    { "lz4", "\x02\x21\x4c\x18", 4, unpack_lz4 },
    { "gzip", "\x1f\x8b", 2, unpack_gzip },
    { "zstd", "\x28\xb5\x2f\xfd", 4, unpack_zstd },
    { "xz", "\xfd\x37zXZ\0", 6, NULL },
    { "bzip2", "BZh", 3, NULL },
    { "lzma", "\x5d\0\0", 3, NULL },
    { "lzo", "\x89LZO\0", 5, NULL },
};

int kernel_unpack(const void *data, size_t len, struct str *ret, struct err *e)
{
    if (len > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "Compressed kernel of %zu bytes", len);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        const struct format *f = &formats[i];

        if (len < f->magic_len || memcmp(data, f->magic, f->magic_len) != 0)
            continue;
        if (!f->unpack)
            return err_set(e, ERR_UNSUPPORTED, "Kernel is compressed with %s", f->name);
        return f->unpack(data, len, ret, e);
    }
    if (len >= 4 && memcmp(data, "\177ELF", 4) == 0)
        return str_add(ret, data, len) ? 0 : err_set(e, ERR_LIMIT, "Kernel of %zu bytes", len);
    return err_set(e, ERR_CORRUPT, "Unknown kernel compression");
}
