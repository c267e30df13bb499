#include "rootfs/meta.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#define XATTR_NAME_MAX 255      /* Linux */
#define XATTRS_MAX     3500     /* bytes per file: they share one 4 KiB block in ext4 */
#define RDEV_MAJOR_MAX 0xfffu   /* Linux: 12 bits */
#define RDEV_MINOR_MAX 0xfffffu /* 20 bits */
#define MTIME_MIN      (-(INT64_C(1) << 31)) /* ext4: 34 bits that start at -2^31 */
#define MTIME_MAX      ((INT64_C(1) << 34) + MTIME_MIN - 1)
#define ID_NONE        UINT32_MAX /* (uid_t)-1 means "unchanged" to the kernel */

static int add_xattr(struct inode *inode, const char *name, const void *value, size_t size,
                     struct err *e)
{
    struct xattr *x, **at = &inode->xattrs;
    size_t total = size + strlen(name);

    if (strlen(name) > XATTR_NAME_MAX)
        return err_set(e, ERR_INVALID, "an extended attribute's name is too long");
    for (; *at; at = &(*at)->next) {
        total += (*at)->size + strlen((*at)->name);
        if (strcmp((*at)->name, name) == 0)
            return 0; /* the first one counts */
    }
    if (total > XATTRS_MAX)
        return err_set(e, ERR_LIMIT, "its extended attributes are larger than %d bytes",
                       XATTRS_MAX);
    x = calloc(1, sizeof(*x));
    if (!x)
        return err_os(e, "extended attribute");
    x->name = strdup(name);
    x->value = malloc(size ? size : 1);
    x->size = size;
    *at = x; /* from here on inode_free() takes care of it */
    if (!x->name || !x->value)
        return err_os(e, "extended attribute");
    if (size)
        memcpy(x->value, value, size);
    return 0;
}

/* Attributes the guest's kernel or overlayfs must not take from a stranger are left out:
 * overlay's own would redirect or hide files of the box. */
static bool xattr_wanted(const char *name)
{
    static const char *const spaces[] = { "user.", "trusted.", "security." };

    if (strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0)
        return false;
    if (strcmp(name, "system.posix_acl_access") == 0 ||
        strcmp(name, "system.posix_acl_default") == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        if (strncmp(name, spaces[i], strlen(spaces[i])) == 0 && name[strlen(spaces[i])])
            return true;
    return false;
}

static void put_le(uint8_t *at, uint32_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

#define ACL_HEADER 4 /* linux/posix_acl_xattr.h: version 2, then entries */
#define ACL_ENTRY  8 /* tag u16, permissions u16, id u32 */
#define ACL_MASK   0x10
#define ACL_N_MAX  256

static int acl_tag(int tag)
{
    switch (tag) {
    case ARCHIVE_ENTRY_ACL_USER_OBJ:
        return 0x01;
    case ARCHIVE_ENTRY_ACL_USER:
        return 0x02;
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
        return 0x04;
    case ARCHIVE_ENTRY_ACL_GROUP:
        return 0x08;
    case ARCHIVE_ENTRY_ACL_MASK:
        return ACL_MASK;
    case ARCHIVE_ENTRY_ACL_OTHER:
        return 0x20;
    default:
        return -1;
    }
}

struct acl_row {
    int tag, perm;
    uint32_t id;
};

static int acl_compare(const void *a, const void *b)
{
    const struct acl_row *x = a, *y = b;

    if (x->tag != y->tag)
        return x->tag - y->tag;
    return (x->id > y->id) - (x->id < y->id);
}

static int acl_rows(struct archive_entry *entry, int want, struct acl_row *rows, size_t *ret_n,
                    struct err *e)
{
    int type, permset, tag, qual;
    const char *name;
    size_t n = 0;

    (void)archive_entry_acl_reset(entry, want);
    while (archive_entry_acl_next(entry, want, &type, &permset, &tag, &qual, &name) ==
           ARCHIVE_OK) {
        bool named = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;

        if (acl_tag(tag) < 0 || n == ACL_N_MAX)
            return err_set(e, ERR_UNSUPPORTED, "its access control list is not a POSIX one");
        if (named && qual < 0)
            return err_set(e, ERR_UNSUPPORTED, "its access control list has names without ids");
        rows[n++] =
            (struct acl_row){ acl_tag(tag), permset & 7, named ? (uint32_t)qual : ID_NONE };
    }
    qsort(rows, n, sizeof(*rows), acl_compare);
    *ret_n = n;
    return 0;
}

static int add_acl(struct inode *inode, struct archive_entry *entry, int want, const char *name,
                   struct err *e)
{
    uint8_t value[ACL_HEADER + ACL_N_MAX * ACL_ENTRY];
    struct acl_row rows[ACL_N_MAX];
    size_t n = 0;
    int r;

    r = acl_rows(entry, want, rows, &n, e);
    if (r < 0)
        return r;
    /* Three rows of an access list are just the mode. */
    if (n == 0 || (want == ARCHIVE_ENTRY_ACL_TYPE_ACCESS && n <= 3))
        return 0;
    put_le(value, 2, ACL_HEADER);
    for (size_t i = 0; i < n; i++) {
        uint8_t *at = value + ACL_HEADER + i * ACL_ENTRY;

        /* With a mask the mode's group bits are the mask's, acl(5). */
        if (want == ARCHIVE_ENTRY_ACL_TYPE_ACCESS && rows[i].tag == ACL_MASK)
            inode->mode = (inode->mode & ~070u) | (uint32_t)rows[i].perm << 3;
        put_le(at, (uint32_t)rows[i].tag, 2);
        put_le(at + 2, (uint32_t)rows[i].perm, 2);
        put_le(at + 4, rows[i].id, 4);
    }
    return add_xattr(inode, name, value, ACL_HEADER + n * ACL_ENTRY, e);
}

static int fill_xattrs(struct inode *inode, struct archive_entry *entry, struct err *e)
{
    const char *name;
    const void *value;
    size_t size;
    int r = 0;

    inode_clear_xattrs(inode);
    (void)archive_entry_xattr_reset(entry);
    while (r == 0 && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
        if (name && xattr_wanted(name))
            r = add_xattr(inode, name, value, size, e);
    if (r == 0)
        r = add_acl(inode, entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", e);
    if (r == 0)
        r = add_acl(inode, entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", e);
    return r;
}

static int fill_ids(struct inode *inode, struct archive_entry *entry, struct err *e)
{
    la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);

    if (uid < 0 || uid >= ID_NONE || gid < 0 || gid >= ID_NONE)
        return err_set(e, ERR_INVALID, "its owner %jd:%jd is out of range", (intmax_t)uid,
                       (intmax_t)gid);
    inode->uid = (uint32_t)uid;
    inode->gid = (uint32_t)gid;
    return 0;
}

static void fill_time(struct inode *inode, struct archive_entry *entry)
{
    int64_t s = archive_entry_mtime(entry);
    long ns = archive_entry_mtime_nsec(entry);

    inode->mtime_s = s < MTIME_MIN ? MTIME_MIN : s > MTIME_MAX ? MTIME_MAX : s;
    inode->mtime_ns = ns < 0 || ns > 999999999 ? 0 : (uint32_t)ns;
}

static int fill_device(struct inode *inode, struct archive_entry *entry, struct err *e)
{
    uint64_t major = archive_entry_rdevmajor(entry), minor = archive_entry_rdevminor(entry);

    if (major > RDEV_MAJOR_MAX || minor > RDEV_MINOR_MAX)
        return err_set(e, ERR_INVALID, "its device number %ju:%ju is out of range",
                       (uintmax_t)major, (uintmax_t)minor);
    inode->rdev_major = (uint32_t)major;
    inode->rdev_minor = (uint32_t)minor;
    return 0;
}

int meta_fill(struct inode *inode, struct archive_entry *entry, struct err *e)
{
    int r;

    inode->mode = (inode->mode & S_IFMT) | (archive_entry_perm(entry) & 07777);
    r = fill_ids(inode, entry, e);
    if (r < 0)
        return r;
    fill_time(inode, entry);
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
        r = fill_device(inode, entry, e);
        if (r < 0)
            return r;
    }
    return fill_xattrs(inode, entry, e);
}
