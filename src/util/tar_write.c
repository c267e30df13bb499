#include "util/tar.h"

#include "util/cur.h"
#include "util/tar_format.h"

#include <string.h>
#include <unistd.h>

#define OCTAL_7  UINT64_C(07777777)     /* what fields of 8 bytes hold */
#define OCTAL_11 UINT64_C(077777777777) /* ... and of 12 */

bool tar_xattr_add(struct str *list, const char *name, const void *value, size_t len)
{
    uint8_t n[4];

    put_u32be(n, (uint32_t)len);
    return str_add(list, name, strlen(name) + 1) && str_add(list, n, sizeof(n)) &&
           str_add(list, value, len);
}

bool tar_xattr_next(const struct str *list, size_t *at, struct tar_xattr *ret)
{
    struct cur c = cur_of(list->p ? list->p + *at : "", list->len - *at);
    size_t name_len = strnlen((const char *)c.p, c.len);
    const void *name, *value;
    uint32_t len;

    if (c.len == 0 || !cur_bytes(&c, name_len + 1, &name) || !cur_u32be(&c, &len) ||
        !cur_bytes(&c, len, &value))
        return false;
    *ret = (struct tar_xattr){ name, value, len };
    *at = list->len - c.len;
    return true;
}

/* ---- bytes ----------------------------------------------------------- */

static int flush(struct tar_writer *w, struct err *e)
{
    size_t len = w->len;

    w->len = 0;
    return len ? w->write(w->ctx, w->buf, len, e) : 0;
}

int tar_write_data(struct tar_writer *w, const void *data, size_t len, struct err *e)
{
    const char *p = data;

    w->total += len;
    while (len) {
        size_t n = sizeof(w->buf) - w->len < len ? sizeof(w->buf) - w->len : len;
        int r;

        memcpy(w->buf + w->len, p, n);
        w->len += n;
        p += n;
        len -= n;
        r = w->len == sizeof(w->buf) ? flush(w, e) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int tar_write_pad(struct tar_writer *w, uint64_t size, struct err *e)
{
    static const char zeros[TAR_BLOCK];
    size_t over = (size_t)(size % TAR_BLOCK);

    return over ? tar_write_data(w, zeros, TAR_BLOCK - over, e) : 0;
}

int tar_write_file(struct tar_writer *w, int fd, uint64_t size, struct err *e)
{
    uint64_t left = size;

    while (left) {
        size_t room = sizeof(w->buf) - w->len;
        ssize_t n = read(fd, w->buf + w->len, room < left ? room : (size_t)left);
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "read");
        if (n == 0)
            return err_set(e, ERR_SYSTEM, "the file has become shorter while it was read");
        w->len += (size_t)n;
        w->total += (uint64_t)n;
        left -= (uint64_t)n;
        r = w->len == sizeof(w->buf) ? flush(w, e) : 0;
        if (r < 0)
            return r;
    }
    return tar_write_pad(w, size, e);
}

int tar_write_end(struct tar_writer *w, struct err *e)
{
    static const char zeros[2 * TAR_BLOCK];
    int r = tar_write_data(w, zeros, sizeof(zeros), e);

    return r < 0 ? r : flush(w, e);
}

/* ---- headers --------------------------------------------------------- */

/* `len` - 1 octal digits and a NUL; what does not fit is in the pax header, and 0 here. */
static void put_octal(char *at, size_t len, uint64_t v, uint64_t max)
{
    if (v > max)
        v = 0;
    for (size_t i = len - 1; i-- > 0; v >>= 3)
        at[i] = (char)('0' + (v & 7));
}

static void put_checksum(char *h)
{
    unsigned sum = 0;

    memset(h + TAR_AT_CHECKSUM, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)h[i];
    put_octal(h + TAR_AT_CHECKSUM, 7, sum, OCTAL_7);
    h[TAR_AT_CHECKSUM + 6] = '\0';
}

static int put_header(struct tar_writer *w, const struct tar_member *m, char type,
                      const char *name, uint64_t size, struct err *e)
{
    char h[TAR_BLOCK] = { 0 };

    memcpy(h + TAR_AT_NAME, name, strnlen(name, TAR_LEN_NAME));
    put_octal(h + TAR_AT_MODE, 8, m->mode & 07777, OCTAL_7);
    put_octal(h + TAR_AT_UID, 8, m->uid, OCTAL_7);
    put_octal(h + TAR_AT_GID, 8, m->gid, OCTAL_7);
    put_octal(h + TAR_AT_SIZE, 12, size, OCTAL_11);
    put_octal(h + TAR_AT_MTIME, 12, m->mtime_s < 0 ? 0 : (uint64_t)m->mtime_s, OCTAL_11);
    h[TAR_AT_TYPE] = type;
    if (m->target && type != 'x')
        memcpy(h + TAR_AT_LINKNAME, m->target, strnlen(m->target, TAR_LEN_NAME));
    memcpy(h + TAR_AT_MAGIC, "ustar\00000", 8);
    put_octal(h + TAR_AT_MAJOR, 8, m->major, OCTAL_7);
    put_octal(h + TAR_AT_MINOR, 8, m->minor, OCTAL_7);
    put_checksum(h);
    return tar_write_data(w, h, sizeof(h), e);
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void pax_record(struct str *out, const char *prefix, const char *key, const void *value,
                       size_t len)
{
    size_t rest = strlen(prefix) + strlen(key) + len + 3, total = rest + 1, digits = 1;

    for (size_t limit = 10; total >= limit; limit *= 10)
        total = rest + ++digits;
    (void)str_addf(out, "%zu %s%s=", total, prefix, key);
    (void)str_add(out, value, len);
    (void)str_addc(out, '\n');
}

static void pax_text(struct str *out, const char *key, const char *text)
{
    pax_record(out, "", key, text, strlen(text));
}

static void pax_number(struct str *out, const char *key, uint64_t v, uint64_t max)
{
    char text[24];

    if (v <= max)
        return;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    pax_text(out, key, text);
}

static void pax_mtime(struct str *out, const struct tar_member *m)
{
    char text[40];
    int64_t s = m->mtime_s;
    uint32_t ns = m->mtime_ns;

    if (s >= 0 && (uint64_t)s <= OCTAL_11 && ns == 0)
        return;
    if (s < 0 && ns) { /* -1.25 is 2 seconds before 1970 and 0.75 after that */
        s++;
        ns = 1000000000 - ns;
        (void)snprintf(text, sizeof(text), "-%llu.%09u", (unsigned long long)-s, ns);
    } else {
        (void)snprintf(text, sizeof(text), ns ? "%lld.%09u" : "%lld", (long long)s, ns);
    }
    pax_text(out, "mtime", text);
}

/* A name that the old header has room for, and that means the same everywhere. */
static bool is_plain(const char *name)
{
    size_t n = 0;

    for (; name[n]; n++)
        if ((unsigned char)name[n] >= 0x80 || n >= TAR_LEN_NAME)
            return false;
    return true;
}

static void pax_fill(struct str *out, const struct tar_member *m, const char *name)
{
    struct tar_xattr x;
    size_t at = 0;

    if (!is_plain(name))
        pax_text(out, "path", name);
    if (m->target && !is_plain(m->target))
        pax_text(out, "linkpath", m->target);
    pax_number(out, "size", m->size, OCTAL_11);
    pax_number(out, "uid", m->uid, OCTAL_7);
    pax_number(out, "gid", m->gid, OCTAL_7);
    pax_mtime(out, m);
    while (tar_xattr_next(&m->xattrs, &at, &x))
        pax_record(out, TAR_XATTR_PREFIX, x.name, x.value, x.len);
}

static int put_pax(struct tar_writer *w, const struct str *pax, struct err *e)
{
    const struct tar_member m = { .mode = 0644 };
    int r = put_header(w, &m, 'x', "PaxHeaders/member", pax->len, e);

    if (r == 0)
        r = tar_write_data(w, pax->p, pax->len, e);
    return r < 0 ? r : tar_write_pad(w, pax->len, e);
}

int tar_write_member(struct tar_writer *w, const struct tar_member *m, struct err *e)
{
    autostr name = STR_INIT(TAR_NAME_MAX + 1);
    autostr pax = STR_INIT(TAR_EXTRA_MAX);
    uint64_t size = m->type == TAR_FILE ? m->size : 0;
    int r = 0;

    (void)str_adds(&name, m->name);
    if (m->type == TAR_DIR && name.len && name.p[name.len - 1] != '/')
        (void)str_addc(&name, '/');
    if (name.failed || !name.len)
        return err_set(e, ERR_LIMIT, "name is too long for an archive");
    pax_fill(&pax, m, name.p);
    if (pax.failed)
        return err_set(e, ERR_LIMIT, "%.200s: too many attributes for an archive", name.p);
    if (pax.len)
        r = put_pax(w, &pax, e);
    return r < 0 ? r : put_header(w, m, (char)m->type, name.p, size, e);
}
