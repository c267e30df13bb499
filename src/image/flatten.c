#include "image/image.h"

#include "oci/digest.h"
#include "rootfs/build.h"

#include <fcntl.h>

/* Both digests are computed as for a real image, so that the time compares. */
static int add_layer(struct rootfs *fs, const char *path, struct err *e)
{
    const struct unpack_limits limits = UNPACK_LIMITS_DEFAULT;
    struct source_hash packed = { 0 }, plain = { 0 };
    struct digest digest, diff_id;
    struct source_fd in = { 0 };
    autoptr(unpack) unpack = NULL;
    autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return err_os(e, "open");
    r = source_fd_init(&in, fd, UINT64_MAX, e);
    if (r == 0)
        r = source_hash_init(&packed, &in.source, e);
    if (r == 0)
        r = unpack_open(&packed.source, &limits, &unpack, e);
    if (r == 0)
        r = source_hash_init(&plain, unpack_source(unpack), e);
    if (r == 0)
        r = rootfs_layer(fs, &plain.source, e);
    if (r == 0)
        r = source_hash_finish(&packed, &digest, e);
    if (r == 0)
        r = source_hash_finish(&plain, &diff_id, e);
    if (r == 0)
        printf("%s %s\n", digest.text, diff_id.text);
    source_hash_done(&plain);
    source_hash_done(&packed);
    source_fd_done(&in);
    return r;
}

int verb_flatten(int argc, char **argv, struct err *e)
{
    const struct rootfs_limits limits = ROOTFS_LIMITS_DEFAULT;
    static const uint8_t uuid[16] = { 0xa3, 0x5b, 0x00, 0x40, 0x80 };
    autoptr(rootfs) fs = NULL;
    int r;

    if (argc < 1)
        return err_set(e, ERR_USAGE, "flatten needs OUT.ext4");
    r = rootfs_open(argv[0], &limits, &fs, e);
    for (int i = 1; r == 0 && i < argc; i++) {
        r = add_layer(fs, argv[i], e);
        if (r < 0)
            return err_ctx(e, "%s", argv[i]);
    }
    return r < 0 ? r : rootfs_finish(fs, uuid, 1, e);
}
