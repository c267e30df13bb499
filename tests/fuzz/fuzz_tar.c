/*
 * Any bytes as a tar archive: what is read comes out the same when it is written and read again,
 * and in whatever pieces it arrives.
 */
#include "util/tar.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct copy {
    struct tar_writer w;
    struct str out;
    uint64_t size;
};

static int keep(void *ctx, const void *data, size_t len, struct err *e)
{
    struct str *out = ctx;

    return str_add(out, data, len) ? 0 : err_set(e, ERR_LIMIT, "too much");
}

static int on_member(void *ctx, const struct tar_member *m, struct err *e)
{
    struct copy *c = ctx;

    if (!m->name || !*m->name || strlen(m->name) > TAR_NAME_MAX || !m->target ||
        strlen(m->target) > TAR_NAME_MAX || (m->size && m->type != TAR_FILE))
        abort();
    c->size = m->size;
    return m->size > (1 << 20) ? err_set(e, ERR_LIMIT, "big") : tar_write_member(&c->w, m, e);
}

static int on_data(void *ctx, const void *data, size_t len, struct err *e)
{
    return tar_write_data(&((struct copy *)ctx)->w, data, len, e);
}

static int on_done(void *ctx, struct err *e)
{
    struct copy *c = ctx;

    return tar_write_pad(&c->w, c->size, e);
}

/* Read and write again. False when it is no archive. */
static bool convert(const void *data, size_t len, size_t piece, struct str *ret)
{
    static const struct tar_ops ops = { on_member, on_data, on_done };
    struct copy *c = calloc(1, sizeof(*c));
    struct tar_reader *r = NULL;
    struct err e;
    int code;

    if (!c || tar_reader_new(&ops, c, &r, &e) < 0)
        abort();
    c->out.max = (size_t)64 << 20;
    c->w.write = keep;
    c->w.ctx = &c->out;
    code = 0;
    for (size_t at = 0; code == 0 && at < len; at += piece)
        code = tar_read(r, (const char *)data + at, len - at < piece ? len - at : piece, &e);
    if (code == 0)
        code = tar_read_end(r, &e);
    if (code == 0)
        code = tar_write_end(&c->w, &e);
    tar_reader_free(r);
    *ret = c->out;
    free(c);
    return code == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str one = { 0 }, two = { 0 }, three = { 0 };
    bool good;

    if (len == 0)
        return 0;
    good = convert(data + 1, len - 1, len, &one);
    if (convert(data + 1, len - 1, 1 + data[0], &two) != good)
        abort();
    if (good && (one.len != two.len || memcmp(one.p, two.p, one.len) != 0))
        abort();
    if (good && (!convert(one.p, one.len, 4096, &three) || three.len != one.len ||
                 memcmp(three.p, one.p, one.len) != 0))
        abort();
    str_done(&one);
    str_done(&two);
    str_done(&three);
    return 0;
}
