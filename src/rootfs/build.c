#include "rootfs/build.h"

#include "rootfs/blocks.h"
#include "rootfs/ext4.h"
#include "rootfs/layer.h"
#include "rootfs/tree.h"

#include <fcntl.h>
#include <string.h>

struct rootfs {
    char *path; /* owned */
    int fd;
    bool finished;
    uint32_t layers_n;
    struct rootfs_limits limits;
    struct tree tree;
    struct blocks blocks;
    uint64_t data_bytes;
};

static void give_back(void *ctx, const struct inode *inode)
{
    struct rootfs *fs = ctx;

    for (uint32_t i = 0; i < inode->extents_n; i++)
        blocks_give(&fs->blocks, inode->extents[i].physical, inode->extents[i].blocks);
}

int rootfs_open(const char *path, const struct rootfs_limits *limits, struct rootfs **ret,
                struct err *e)
{
    autoptr(rootfs) fs = calloc(1, sizeof(*fs));
    int r;

    if (!fs)
        return err_os(e, "image");
    fs->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fs->fd < 0)
        return err_os(e, "create %s", path);
    fs->path = strdup(path);
    fs->limits = *limits;
    if (!fs->path)
        return err_os(e, "image");
    r = tree_init(&fs->tree, limits->files_max, e);
    if (r < 0)
        return r;
    fs->tree.freed = give_back;
    fs->tree.ctx = fs;
    r = blocks_init(&fs->blocks, fs->fd, EXT4_FIRST_DATA_BLOCK,
                    (uint64_t)EXT4_GROUPS_MAX * EXT4_GROUP_BLOCKS, e);
    if (r < 0)
        return r;
    *ret = take_ptr(fs);
    return 0;
}

int rootfs_layer(struct rootfs *fs, struct source *tar, struct err *e)
{
    struct layer_limits limits = { .bytes_max = fs->limits.layer_bytes_max,
                                   .data_bytes = &fs->data_bytes };

    if (fs->layers_n == ROOTFS_LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d layers", ROOTFS_LAYERS_MAX);
    fs->layers_n++;
    return layer_apply(&fs->tree, &fs->blocks, tar, fs->layers_n, &limits, e);
}

int rootfs_finish(struct rootfs *fs, const uint8_t uuid[16], int64_t time_s, struct err *e)
{
    struct ext4_params params = { .time_s = time_s };
    int r;

    memcpy(params.uuid, uuid, sizeof(params.uuid));
    r = blocks_flush(&fs->blocks, e);
    if (r == 0)
        r = ext4_write(fs->path, &fs->tree, &fs->blocks, &params, e);
    if (r == 0)
        fs->finished = true;
    return r;
}

uint64_t rootfs_data_bytes(const struct rootfs *fs)
{
    return fs->data_bytes;
}

void rootfs_free(struct rootfs *fs)
{
    if (!fs)
        return;
    tree_done(&fs->tree);
    blocks_done(&fs->blocks);
    close_fd(&fs->fd);
    if (!fs->finished && fs->path)
        (void)unlink(fs->path); /* else swept with images/tmp */
    free(fs->path);
    free(fs);
}
