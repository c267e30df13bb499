/*
 * Any bytes as a layer, applied twice: decompress, parse, apply over itself, write the file
 * system. Whatever is accepted must give a file system libext2fs can open and walk.
 */
#include "rootfs/build.h"

#include <ext2fs/ext2fs.h>
#include <locale.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct bytes {
    struct source source;
    const uint8_t *data;
    size_t len;
};

/* In pieces, so that records straddle them. */
static ssize_t read_bytes(struct source *source, const void **ret, struct err *e UNUSED)
{
    struct bytes *b = CONTAINER_OF(source, struct bytes, source);
    size_t n = b->len < 700 ? b->len : 700;

    *ret = b->data;
    b->data += n;
    b->len -= n;
    return (ssize_t)n;
}

static int apply(struct rootfs *fs, const uint8_t *data, size_t len)
{
    const struct unpack_limits limits = { .bytes_max = 1 << 20, .ratio_max = 1000 };
    struct bytes in = { .source = { .read = read_bytes }, .data = data, .len = len };
    autoptr(unpack) unpack = NULL;
    struct err e = { 0 };
    int r;

    r = unpack_open(&in.source, &limits, &unpack, &e);
    if (r == 0)
        r = rootfs_layer(fs, unpack_source(unpack), &e);
    if (r < 0 && (e.kind == ERR_NONE || !e.text[0] || r != -(int)e.kind))
        abort(); /* every failure says why */
    return r;
}

static int count(ext2_ino_t dir UNUSED, int kind UNUSED, struct ext2_dir_entry *d UNUSED,
                 int offset UNUSED, int size UNUSED, char *buf UNUSED, void *ctx)
{
    ++*(unsigned *)ctx;
    return 0;
}

static void check(const char *path)
{
    unsigned entries = 0;
    ext2_filsys fs;

    if (ext2fs_open(path, EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &fs) ||
        ext2fs_read_bitmaps(fs) ||
        ext2fs_dir_iterate2(fs, EXT2_ROOT_INO, 0, NULL, count, &entries) || entries < 2 ||
        ext2fs_close_free(&fs))
        abort();
}

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct rootfs_limits limits = { .layer_bytes_max = 1 << 20, .files_max = 500 };
    static const uint8_t uuid[16] = { 1 };
    autoptr(rootfs) fs = NULL;
    struct err e = { 0 };
    char path[64];

    (void)snprintf(path, sizeof(path), "/dev/shm/a3s-fuzz-layer-%d", (int)getpid());
    (void)unlink(path); /* of a run that crashed */
    if (rootfs_open(path, &limits, &fs, &e) < 0)
        abort();
    if (apply(fs, data, len) < 0 || apply(fs, data, len) < 0)
        return 0;
    if (rootfs_finish(fs, uuid, 1, &e) == 0) {
        check(path);
        (void)unlink(path); /* finished, so it stays otherwise */
    } else if (!e.text[0]) {
        abort();
    }
    return 0;
}
