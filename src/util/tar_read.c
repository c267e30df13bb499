#include "util/tar.h"

#include "util/parse.h"
#include "util/tar_format.h"

#include <string.h>

/* What a member is waiting for. */
enum state {
    IN_HEADER,
    IN_EXTRA, /* a pax header or a GNU long name */
    IN_SKIP,  /* something that does not count */
    IN_DATA,
    IN_END, /* the archive's end was seen */
};

struct tar_reader {
    const struct tar_ops *ops;
    void *ctx;
    enum state state;
    unsigned char block[TAR_BLOCK];
    size_t have;   /* bytes in `block` */
    uint64_t left; /* of the data */
    size_t pad;    /* then, to the next block */
    char extra_type;
    bool zero_seen, any;
    struct str extra, name, target; /* of the next member, as they come before it */
    uint64_t header_size;
    bool has_size, has_uid, has_gid, has_mtime, has_name, has_target;
    struct tar_member m;
    unsigned xattrs;
};

static int corrupt(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "not a valid tar archive: %s", what);
}

int tar_reader_new(const struct tar_ops *ops, void *ctx, struct tar_reader **ret, struct err *e)
{
    struct tar_reader *r = calloc(1, sizeof(*r));

    if (!r)
        return err_os(e, "tar");
    r->ops = ops;
    r->ctx = ctx;
    r->extra.max = TAR_EXTRA_MAX;
    r->name.max = r->target.max = TAR_NAME_MAX;
    r->m.xattrs.max = TAR_EXTRA_MAX;
    *ret = r;
    return 0;
}

void tar_reader_free(struct tar_reader *r)
{
    if (!r)
        return;
    str_done(&r->extra);
    str_done(&r->name);
    str_done(&r->target);
    str_done(&r->m.xattrs);
    free(r);
}

static void next_member(struct tar_reader *r)
{
    struct str xattrs = r->m.xattrs;

    str_clear(&xattrs);
    str_clear(&r->name);
    str_clear(&r->target);
    r->m = (struct tar_member){ .xattrs = xattrs };
    r->has_size = r->has_uid = r->has_gid = r->has_mtime = r->has_name = r->has_target = false;
    r->xattrs = 0;
}

/* ---- numbers --------------------------------------------------------- */

/* Big-endian with the top bit set, two's complement: GNU's for what octal cannot say. */
static bool base256(const unsigned char *p, size_t len, int64_t *ret)
{
    bool negative = p[0] & 0x40;
    uint64_t v = negative ? UINT64_MAX : 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char b = i == 0 && !negative ? p[0] & 0x7f : p[i];

        if (v >> 55 != (negative ? 0x1ff : 0))
            return false;
        v = v << 8 | b;
    }
    *ret = (int64_t)v;
    return (*ret < 0) == negative;
}

static bool number(const unsigned char *p, size_t len, int64_t *ret)
{
    size_t i = 0;
    uint64_t v = 0;

    if (p[0] & 0x80)
        return base256(p, len, ret);
    while (i < len && p[i] == ' ')
        i++;
    for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0'); /* at most 12 digits */
    if (i < len && p[i] != ' ' && p[i] != '\0')
        return false;
    *ret = (int64_t)v;
    return true;
}

static int checksum(const unsigned char *h, struct err *e)
{
    int64_t want = 0, sum = 0, as_signed = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++) {
        unsigned char b = i >= TAR_AT_CHECKSUM && i < TAR_AT_CHECKSUM + 8 ? ' ' : h[i];

        sum += b;
        as_signed += (signed char)b;
    }
    if (!number(h + TAR_AT_CHECKSUM, 8, &want) || (want != sum && want != as_signed))
        return corrupt(e, "a header's checksum is wrong");
    return 0;
}

/* "123", "123.25", "-0.5" */
static int pax_time(struct tar_member *m, const char *text, struct err *e)
{
    autofree char *copy = strdup(text);
    char *dot = copy ? strchr(copy, '.') : NULL;
    uint32_t ns = 0, unit = 100000000;
    int r;

    if (!copy)
        return err_os(e, "tar");
    if (dot)
        *dot++ = '\0';
    for (; dot && *dot; dot++, unit /= 10) {
        if (*dot < '0' || *dot > '9')
            return corrupt(e, "mtime");
        ns += unit * (uint32_t)(*dot - '0');
    }
    r = parse_i64(copy, INT64_MIN / 2, INT64_MAX / 2, &m->mtime_s, e);
    if (r < 0)
        return corrupt(e, "mtime");
    if (text[0] == '-' && ns) {
        m->mtime_s--;
        ns = 1000000000 - ns;
    }
    m->mtime_ns = ns;
    return 0;
}

/* ---- pax headers ----------------------------------------------------- */

static int set_text(struct str *s, bool *has, const char *value, size_t len, struct err *e)
{
    str_clear(s);
    if (memchr(value, '\0', len) || !str_add(s, value, len))
        return corrupt(e, "a name is too long or has a NUL");
    *has = true;
    return 0;
}

static int pax_xattr(struct tar_reader *r, const char *name, const char *value, size_t len,
                     struct err *e)
{
    if (++r->xattrs > TAR_XATTRS_MAX || !*name || strlen(name) > 255 ||
        !tar_xattr_add(&r->m.xattrs, name, value, len))
        return corrupt(e, "too many or too long extended attributes");
    return 0;
}

static int pax_u64(const char *value, uint64_t max, uint64_t *ret, bool *has, struct err *e)
{
    *has = true;
    return parse_u64(value, 0, max, ret, e) < 0 ? corrupt(e, "a number in a pax header") : 0;
}

/* value[len] is the record's newline, made a NUL. */
static int pax_record(struct tar_reader *r, const char *key, const char *value, size_t len,
                      struct err *e)
{
    if (strncmp(key, "GNU.sparse.", 11) == 0)
        return err_set(e, ERR_UNSUPPORTED, "the archive has sparse files: make it without them");
    if (strncmp(key, TAR_XATTR_PREFIX, sizeof(TAR_XATTR_PREFIX) - 1) == 0)
        return pax_xattr(r, key + sizeof(TAR_XATTR_PREFIX) - 1, value, len, e);
    if (strcmp(key, "path") == 0)
        return set_text(&r->name, &r->has_name, value, len, e);
    if (strcmp(key, "linkpath") == 0)
        return set_text(&r->target, &r->has_target, value, len, e);
    if (memchr(value, '\0', len))
        return corrupt(e, "a NUL in a pax header");
    if (strcmp(key, "size") == 0)
        return pax_u64(value, INT64_MAX, &r->m.size, &r->has_size, e);
    if (strcmp(key, "uid") == 0)
        return pax_u64(value, UINT32_MAX, &r->m.uid, &r->has_uid, e);
    if (strcmp(key, "gid") == 0)
        return pax_u64(value, UINT32_MAX, &r->m.gid, &r->has_gid, e);
    if (strcmp(key, "mtime") == 0) {
        r->has_mtime = true;
        return pax_time(&r->m, value, e);
    }
    return 0; /* comments, times that we do not keep */
}

/* "LENGTH KEY=VALUE\n"... */
static int pax_header(struct tar_reader *r, struct err *e)
{
    char *p = r->extra.p, *end = p + r->extra.len;

    while (p < end) {
        size_t n = 0;
        char *digits = p, *key, *equals;
        int code;

        for (; p < end && *p >= '0' && *p <= '9' && n <= TAR_EXTRA_MAX; p++)
            n = n * 10 + (size_t)(*p - '0');
        if (p == digits || p == end || *p != ' ' || n > (size_t)(end - digits) ||
            n < (size_t)(p - digits) + 3 || digits[n - 1] != '\n')
            return corrupt(e, "a pax header");
        key = p + 1;
        p = digits + n;
        p[-1] = '\0';
        equals = memchr(key, '=', (size_t)(p - key));
        if (!equals)
            return corrupt(e, "a pax header");
        *equals = '\0';
        code = pax_record(r, key, equals + 1, (size_t)(p - 1 - equals - 1), e);
        if (code < 0)
            return code;
    }
    return 0;
}

static int extra_done(struct tar_reader *r, struct err *e)
{
    int code = 0;

    if (r->extra_type == 'x')
        code = r->extra.len ? pax_header(r, e) : 0;
    else
        code = set_text(r->extra_type == 'L' ? &r->name : &r->target,
                        r->extra_type == 'L' ? &r->has_name : &r->has_target,
                        r->extra.p ? r->extra.p : "", strnlen(str_c(&r->extra), r->extra.len), e);
    str_clear(&r->extra);
    return code;
}

/* ---- headers --------------------------------------------------------- */

static int header_names(struct tar_reader *r, const unsigned char *h, struct err *e)
{
    const char *name = (const char *)h + TAR_AT_NAME, *prefix = (const char *)h + TAR_AT_PREFIX;
    const char *link = (const char *)h + TAR_AT_LINKNAME;
    bool ustar = memcmp(h + TAR_AT_MAGIC, "ustar\0", 6) == 0;

    if (!r->has_name) {
        if (ustar && *prefix) {
            (void)str_add(&r->name, prefix, strnlen(prefix, TAR_LEN_PREFIX));
            (void)str_addc(&r->name, '/');
        }
        (void)str_add(&r->name, name, strnlen(name, TAR_LEN_NAME));
    }
    if (!r->has_target)
        (void)str_add(&r->target, link, strnlen(link, TAR_LEN_NAME));
    if (!r->name.len || r->name.failed)
        return corrupt(e, "a member without a name");
    r->m.name = str_c(&r->name);
    r->m.target = str_c(&r->target);
    return 0;
}

static int header_numbers(struct tar_reader *r, const unsigned char *h, struct err *e)
{
    int64_t mode = 0, uid = 0, gid = 0, size = 0, mtime = 0, major = 0, minor = 0;

    if (!number(h + TAR_AT_MODE, 8, &mode) || !number(h + TAR_AT_UID, 8, &uid) ||
        !number(h + TAR_AT_GID, 8, &gid) || !number(h + TAR_AT_SIZE, 12, &size) || size < 0 ||
        !number(h + TAR_AT_MTIME, 12, &mtime) || uid < 0 || uid > UINT32_MAX || gid < 0 ||
        gid > UINT32_MAX)
        return corrupt(e, "a number in a header");
    r->m.mode = (uint32_t)mode & 07777;
    if (!r->has_uid)
        r->m.uid = (uint64_t)uid;
    if (!r->has_gid)
        r->m.gid = (uint64_t)gid;
    r->header_size = (uint64_t)size;
    if (!r->has_mtime)
        r->m.mtime_s = mtime;
    if (h[TAR_AT_TYPE] != TAR_CHAR && h[TAR_AT_TYPE] != TAR_BLOCK_DEVICE)
        return 0;
    if (!number(h + TAR_AT_MAJOR, 8, &major) || !number(h + TAR_AT_MINOR, 8, &minor) ||
        major < 0 || minor < 0 || major > UINT32_MAX || minor > UINT32_MAX)
        return corrupt(e, "a device number");
    r->m.major = (uint32_t)major;
    r->m.minor = (uint32_t)minor;
    return 0;
}

static void expect_data(struct tar_reader *r, enum state state, uint64_t size)
{
    r->state = state;
    r->left = size;
    r->pad = (size_t)(-size & (TAR_BLOCK - 1));
}

/* A member that ops hear of. */
static int header_member(struct tar_reader *r, const unsigned char *h, char type, struct err *e)
{
    int code = header_names(r, h, e);

    if (code < 0)
        return code;
    r->m.type = (enum tar_type)type;
    if (type == '\0' || type == '7' || type == '0') /* v7 has directories by their name only */
        r->m.type = r->name.p[r->name.len - 1] == '/' ? TAR_DIR : TAR_FILE;
    if (r->m.type != TAR_FILE)
        r->m.size = 0;
    else if (!r->has_size)
        r->m.size = r->header_size;
    code = r->ops->member(r->ctx, &r->m, e);
    expect_data(r, IN_DATA, r->m.size);
    return code;
}

static int header(struct tar_reader *r, struct err *e)
{
    const unsigned char *h = r->block;
    char type = (char)h[TAR_AT_TYPE];
    int code = checksum(h, e);

    if (code == 0)
        code = header_numbers(r, h, e);
    if (code < 0)
        return code;
    r->any = true;
    switch (type) {
    case 'x':
    case 'L':
    case 'K':
        if (r->header_size > TAR_EXTRA_MAX)
            return corrupt(e, "a header is too long");
        r->extra_type = type;
        expect_data(r, IN_EXTRA, r->header_size);
        return 0;
    case 'g':
    case 'V':
        expect_data(r, IN_SKIP, r->header_size);
        return 0;
    case 'S':
        return err_set(e, ERR_UNSUPPORTED, "the archive has sparse files: make it without them");
    default:
        if (type != '\0' && (type < '0' || type > '7'))
            return err_set(e, ERR_UNSUPPORTED, "the archive has members of type '%c'", type);
        return header_member(r, h, type, e);
    }
}

const char *tar_compression(const void *data, size_t len)
{
    static const struct {
        const char *magic, *name;
        size_t len;
    } known[] = {
        { "\x1f\x8b", "gzip", 2 },
        { "\x28\xb5\x2f\xfd", "zstd", 4 },
        { "BZh", "bzip2", 3 },
        { "\xfd"
          "7zXZ",
          "xz", 5 },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (len >= known[i].len && memcmp(data, known[i].magic, known[i].len) == 0)
            return known[i].name;
    return NULL;
}

static int not_a_tar(const unsigned char *p, struct err *e)
{
    const char *name = tar_compression(p, TAR_BLOCK);

    return name ? err_set(e, ERR_UNSUPPORTED, "the archive is compressed: decompress it with %s",
                          name)
                : 0;
}

static int block_done(struct tar_reader *r, struct err *e)
{
    static const unsigned char zeros[TAR_BLOCK];
    int code;

    r->have = 0;
    if (memcmp(r->block, zeros, TAR_BLOCK) == 0) {
        r->state = r->zero_seen ? IN_END : IN_HEADER;
        r->zero_seen = true;
        return 0;
    }
    code = r->any ? 0 : not_a_tar(r->block, e);
    r->zero_seen = false;
    return code < 0 ? code : header(r, e);
}

/* The data of what the last header announced has come. */
static int data_done(struct tar_reader *r, struct err *e)
{
    enum state was = r->state;
    int code = 0;

    r->state = IN_HEADER;
    if (was == IN_EXTRA)
        return extra_done(r, e);
    if (was == IN_DATA) {
        code = r->ops->done(r->ctx, e);
        next_member(r);
    }
    return code;
}

static int take_data(struct tar_reader *r, const char *p, size_t len, struct err *e)
{
    if (r->state == IN_DATA)
        return r->ops->data(r->ctx, p, len, e);
    if (r->state == IN_EXTRA && !str_add(&r->extra, p, len))
        return corrupt(e, "a header is too long");
    return 0;
}

/* Some bytes; returns how many were used. */
static ssize_t step(struct tar_reader *r, const char *p, size_t len, struct err *e)
{
    size_t n;
    int code = 0;

    if (r->state == IN_HEADER) {
        n = TAR_BLOCK - r->have < len ? TAR_BLOCK - r->have : len;
        memcpy(r->block + r->have, p, n);
        r->have += n;
        code = r->have == TAR_BLOCK ? block_done(r, e) : 0;
    } else if (r->left) {
        n = r->left < len ? (size_t)r->left : len;
        code = take_data(r, p, n, e);
        r->left -= n;
    } else {
        n = r->pad < len ? r->pad : len;
        r->pad -= n;
    }
    return code < 0 ? code : (ssize_t)n;
}

int tar_read(struct tar_reader *r, const void *data, size_t len, struct err *e)
{
    const char *p = data;
    int code = 0;

    while (code >= 0 && r->state != IN_END) {
        if (r->state != IN_HEADER && !r->left && !r->pad) { /* also when there was none */
            code = data_done(r, e);
        } else if (len) {
            ssize_t n = step(r, p, len, e);

            if (n < 0)
                return (int)n;
            p += n;
            len -= (size_t)n;
        } else {
            break;
        }
    }
    return code;
}

int tar_read_end(struct tar_reader *r, struct err *e)
{
    if (r->state == IN_END || (r->state == IN_HEADER && r->have == 0 && !r->has_name))
        return 0;
    return corrupt(e, "it ends in the middle");
}
