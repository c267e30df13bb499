/*
 * List an ext4 image as JSON, one line per name in the order of the directories: what the tests
 * compare with what other tools unpack. Reads through libext2fs, needs no root and no mount.
 *
 *     ext4_dump IMAGE
 */
#include "oci/sha256.h"
#include "util/attr.h"
#include "util/id.h"

#include <et/com_err.h>
#include <ext2fs/ext2fs.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct dump {
    ext2_filsys fs;
    const char *path; /* of the directory being listed */
    ext2_ino_t dir, parent;
    int bad;
};

static void die(errcode_t code, const char *what)
{
    if (!code)
        return;
    (void)fprintf(stderr, "ext4_dump: %s: %s\n", what, error_message(code));
    exit(1);
}

static json_t *hash_of(ext2_filsys fs, ext2_ino_t ino)
{
    static char buf[1 << 20];
    char hex[2 * SHA256_LEN + 1];
    uint8_t bytes[SHA256_LEN];
    struct sha256 h;
    ext2_file_t file;
    unsigned got = 0;

    die(ext2fs_file_open(fs, ino, 0, &file), "open");
    if (!sha256_init(&h))
        exit(1);
    do {
        die(ext2fs_file_read(file, buf, sizeof(buf), &got), "read");
        if (!sha256_add(&h, buf, got))
            exit(1);
    } while (got);
    if (!sha256_finish(&h, bytes))
        exit(1);
    sha256_done(&h);
    die(ext2fs_file_close(file), "close");
    hex_encode(bytes, sizeof(bytes), hex);
    return json_string(hex);
}

static json_t *target_of(ext2_filsys fs, ext2_ino_t ino, const struct ext2_inode *inode)
{
    char buf[4097];
    unsigned got = 0;
    ext2_file_t file;

    if (ext2fs_is_fast_symlink((struct ext2_inode *)inode))
        return json_stringn((const char *)inode->i_block, inode->i_size);
    die(ext2fs_file_open(fs, ino, 0, &file), "open symlink");
    die(ext2fs_file_read(file, buf, sizeof(buf), &got), "read symlink");
    die(ext2fs_file_close(file), "close");
    return json_stringn(buf, got);
}

struct xattrs {
    struct ext2_xattr_handle *handle;
    json_t *found;
};

/* The value given here is ext4's own; asked for by name it is what getxattr(2) returns. */
static int add_xattr(char *name, char *raw UNUSED, size_t raw_len UNUSED, void *ctx)
{
    struct xattrs *x = ctx;
    size_t len = 0;
    void *value;
    char *hex;

    die(ext2fs_xattr_get(x->handle, name, &value, &len), name);
    hex = calloc(1, 2 * len + 1);
    if (!hex)
        exit(1);
    hex_encode(value, len, hex);
    (void)json_object_set_new(x->found, name, json_string(hex));
    free(hex);
    ext2fs_free_mem(&value);
    return 0;
}

static json_t *xattrs_of(ext2_filsys fs, ext2_ino_t ino)
{
    struct xattrs x = { .found = json_object() };

    die(ext2fs_xattrs_open(fs, ino, &x.handle), "xattrs");
    die(ext2fs_xattrs_read(x.handle), "read xattrs");
    (void)ext2fs_xattrs_iterate(x.handle, add_xattr, &x);
    (void)ext2fs_xattrs_close(&x.handle);
    return x.found;
}

static json_int_t seconds(uint32_t low, uint32_t extra)
{
    return (json_int_t)(int32_t)low + ((json_int_t)(extra & 3) << 32);
}

static json_t *device(const struct ext2_inode *i)
{
    uint32_t old = i->i_block[0], big = i->i_block[1];

    if (old)
        return json_pack("[i, i]", (int)(old >> 8 & 0xff), (int)(old & 0xff));
    return json_pack("[i, i]", (int)(big >> 8 & 0xfff),
                     (int)((big & 0xff) | (big >> 12 & 0xfff00)));
}

static void print_inode(ext2_filsys fs, ext2_ino_t ino, const char *path)
{
    struct ext2_inode_large inode = { 0 };
    struct ext2_inode *small = (struct ext2_inode *)&inode;
    json_t *o;

    die(ext2fs_read_inode_full(fs, ino, small, sizeof(inode)), "inode");
    o = json_pack("{s:s%, s:I, s:i, s:I, s:I, s:I, s:i, s:I, s:I, s:o}", "path", path,
                  strlen(path), "ino", (json_int_t)ino, "mode", (int)inode.i_mode, "uid",
                  (json_int_t)inode_uid(inode), "gid", (json_int_t)inode_gid(inode), "size",
                  (json_int_t)EXT2_I_SIZE(&inode), "nlink", (int)inode.i_links_count, "mtime",
                  seconds(inode.i_mtime, inode.i_mtime_extra), "mtime_ns",
                  (json_int_t)(inode.i_mtime_extra >> 2), "xattrs", xattrs_of(fs, ino));
    if (!o) {
        (void)fprintf(stderr, "ext4_dump: '%s' is not UTF-8\n", path);
        exit(1);
    }
    (void)json_object_set_new(o, "blocks", json_integer(inode.i_blocks));
    if (LINUX_S_ISREG(inode.i_mode))
        (void)json_object_set_new(o, "sha256", hash_of(fs, ino));
    if (LINUX_S_ISLNK(inode.i_mode))
        (void)json_object_set_new(o, "target", target_of(fs, ino, small));
    if (LINUX_S_ISCHR(inode.i_mode) || LINUX_S_ISBLK(inode.i_mode))
        (void)json_object_set_new(o, "rdev", device(small));
    (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    (void)putchar('\n');
    json_decref(o);
}

static void list(ext2_filsys fs, ext2_ino_t dir, ext2_ino_t parent, const char *path);

static int entry(ext2_ino_t dir UNUSED, int kind UNUSED, struct ext2_dir_entry *d,
                 int offset UNUSED, int blocksize UNUSED, char *buf UNUSED, void *ctx)
{
    struct dump *dump = ctx;
    int len = ext2fs_dirent_name_len(d);
    struct ext2_inode inode;
    char path[8192];

    if (len == 1 && d->name[0] == '.') {
        dump->bad += d->inode != dump->dir;
        return 0;
    }
    if (len == 2 && d->name[0] == '.' && d->name[1] == '.') {
        dump->bad += d->inode != dump->parent;
        return 0;
    }
    (void)snprintf(path, sizeof(path), "%s%s%.*s", dump->path, *dump->path ? "/" : "", len,
                   d->name);
    print_inode(dump->fs, d->inode, path);
    die(ext2fs_read_inode(dump->fs, d->inode, &inode), "inode");
    if (LINUX_S_ISDIR(inode.i_mode))
        list(dump->fs, d->inode, dump->dir, path);
    return 0;
}

static void list(ext2_filsys fs, ext2_ino_t dir, ext2_ino_t parent, const char *path)
{
    struct dump dump = { .fs = fs, .path = path, .dir = dir, .parent = parent };

    die(ext2fs_dir_iterate2(fs, dir, 0, NULL, entry, &dump), path);
    if (dump.bad) {
        (void)fprintf(stderr, "ext4_dump: '%s': wrong '.' or '..'\n", path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    ext2_filsys fs;

    initialize_ext2_error_table();
    if (argc != 2)
        return 2;
    die(ext2fs_open(argv[1], EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs), argv[1]);
    print_inode(fs, EXT2_ROOT_INO, "");
    list(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, "");
    die(ext2fs_close_free(&fs), "close");
    return 0;
}
