/*
 * A disk that the guest has damaged: the input is a list of patches (block u16, counting only
 * those that are no holes, offset u16, length u8, bytes) on a good one. Reading it, saying what
 * differs and unpacking into it may fail, but every failure says why, and nothing hangs.
 */
#include "rootfs/build.h"
#include "rootfs/disk.h"
#include "rootfs/overlay_changes.h"
#include "rootfs/overlay_put.h"
#include "rootfs/template.h"
#include "util/cur.h"
#include "util/fs.h"
#include "util/str.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define DISK_BYTES ((uint64_t)32 << 20)

static char dir[] = "/dev/shm/a3s-fuzz-XXXXXX";
static char *good, *disk, *rootfs;
static uint16_t used[DISK_BYTES / 4096];
static size_t used_n;

static void clean_up(void)
{
    struct err ignored;

    (void)!fs_remove_tree(AT_FDCWD, dir, &ignored);
}

static void find_used(void)
{
    int fd = open(good, O_RDONLY | O_CLOEXEC);

    for (off_t at = 0, end; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = end)
        for (end = lseek(fd, at, SEEK_HOLE); at < end && used_n < ARRAY_LEN(used); at += 4096)
            used[used_n++] = (uint16_t)(at / 4096);
    (void)close(fd);
}

struct bytes {
    struct source source;
    const uint8_t *data;
    size_t len;
};

static ssize_t read_bytes(struct source *source, const void **ret, struct err *e UNUSED)
{
    struct bytes *b = CONTAINER_OF(source, struct bytes, source);
    ssize_t n = (ssize_t)b->len;

    *ret = b->data;
    b->len = 0;
    return n;
}

static void header(uint8_t *at, const char *name, char type, const char *size)
{
    unsigned sum = 0;

    memset(at, 0, 512);
    (void)snprintf((char *)at, 100, "%s", name);
    memcpy(at + 100, "0000644", 8);
    memcpy(at + 108, "0000000", 8);
    memcpy(at + 116, "0000000", 8);
    memcpy(at + 124, size, 12);
    memcpy(at + 136, "00000000000", 12);
    memset(at + 148, ' ', 8);
    at[156] = (uint8_t)type;
    memcpy(at + 257, "ustar", 6);
    memcpy(at + 263, "00", 2);
    for (size_t i = 0; i < 512; i++)
        sum += at[i];
    (void)snprintf((char *)at + 148, 8, "%06o", sum);
}

/* Directories, files of some blocks, one over another. */
static size_t make_tar(uint8_t *to)
{
    uint8_t *at = to;

    header(at, "etc/", '5', "00000000000");
    at += 512;
    for (int i = 0; i < 8; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "%sf%d", i % 2 ? "etc/" : "new/", i);
        header(at, name, '0', "00000010000");
        memset(at + 512, 'a' + i, 4096);
        at += 512 + 4096;
    }
    memset(at, 0, 1024);
    return (size_t)(at - to) + 1024;
}

static uint8_t tar[64 << 10];
static size_t tar_len;

static int put(const char *path, struct err *e)
{
    struct bytes in = { .source = { .read = read_bytes }, .data = tar, .len = tar_len };
    autoptr(overlay) o = NULL;
    int r = overlay_open(path, rootfs, true, &o, e);

    return r < 0 ? r : overlay_put(o, "/", &in.source, true, e);
}

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    const struct rootfs_limits limits = ROOTFS_LIMITS_DEFAULT;
    static const uint8_t uuid[16] = { 1 };
    struct bytes in = { .source = { .read = read_bytes }, .data = tar };
    autoptr(rootfs) fs = NULL;
    struct err e;

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (!mkdtemp(dir) || atexit(clean_up) != 0)
        abort();
    good = str_format("%s/good", dir);
    disk = str_format("%s/disk", dir);
    rootfs = str_format("%s/rootfs", dir);
    tar_len = in.len = make_tar(tar);
    if (rootfs_open(rootfs, &limits, &fs, &e) < 0 || rootfs_layer(fs, &in.source, &e) < 0 ||
        rootfs_finish(fs, uuid, 1, &e) < 0 || template_make(DISK_BYTES, good, &e) < 0 ||
        put(good, &e) < 0)
        abort();
    find_used();
    return 0;
}

static int drop_data(void *ctx UNUSED, const void *data UNUSED, size_t len UNUSED,
                     struct err *e UNUSED)
{
    return 0;
}

static int drop_change(void *ctx UNUSED, char kind UNUSED, const char *path UNUSED,
                       struct err *e UNUSED)
{
    return 0;
}

static void must_say_why(int r, const struct err *e)
{
    if (r < 0 && (e->kind == ERR_NONE || !e->text[0] || r != -(int)e->kind))
        abort();
}

static void look(void)
{
    autoptr(overlay) o = NULL;
    autoptr(overlay_tar) t = NULL;
    struct overlay_place place;
    struct err e = { 0 };
    int r = overlay_open(disk, rootfs, false, &o, &e);

    must_say_why(r, &e);
    if (r < 0)
        return;
    must_say_why(overlay_walk(o, "/etc/../new/f2/", true, &place, &e), &e);
    must_say_why(overlay_changes(o, drop_change, NULL, &e), &e);
    if (overlay_tar_open(o, drop_data, NULL, &t, &e) < 0)
        abort();
    must_say_why(overlay_tar_children(t, overlay_root(o), "", &e), &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cur c = cur_of(data, len);
    uint16_t block, offset;
    const void *bytes;
    struct err e = { 0 };
    uint8_t n;
    int fd;

    (void)unlink(disk);
    if (rootfs_disk_copy(good, disk, &e) < 0)
        abort();
    fd = open(disk, O_WRONLY | O_CLOEXEC);
    while (cur_u16be(&c, &block) && cur_u16be(&c, &offset) && cur_u8(&c, &n) &&
           cur_bytes(&c, n, &bytes))
        if (pwrite(fd, bytes, n, (off_t)used[block % used_n] * 4096 + offset % 4096) != n)
            abort();
    (void)close(fd);
    look();
    must_say_why(put(disk, &e), &e);
    look();
    return 0;
}
