#include "rootfs/layer.h"

#include "rootfs/meta.h"
#include "rootfs/tar_input.h"

#include <string.h>

#define WHITEOUT      ".wh."
#define WHITEOUT_META ".wh..wh."          /* aufs' own files; not part of the image */
#define WHITEOUT_OPQ  ".wh..wh..opq"      /* the directory hides what is below it */
#define EXTENTS_MAX   1000000u            /* pieces of one sparse file */
#define FILE_SIZE_MAX (UINT64_C(1) << 44) /* ext4 with 4 KiB blocks: 16 TiB */

struct layer {
    struct tree *tree;
    struct blocks *blocks;
    struct tar_input tar;
    const struct layer_limits *limits;
    uint32_t number;
    uint64_t data_n; /* bytes of file data so far */
};

/* One entry while it is applied. */
struct place {
    struct archive_entry *entry;
    char path[TREE_PATH_MAX]; /* cleaned: "a/b", "" for the root */
    struct node *parent;      /* NULL for the root */
    const char *name;         /* points into path */
    struct node *old;         /* what is there now, or NULL */
};

/* Drop "/" in front, "." components and doubled slashes. */
static int clean_path(const char *path, char ret[TREE_PATH_MAX], struct err *e)
{
    size_t n = 0;

    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && memcmp(path, "..", 2) == 0)
            return err_set(e, ERR_INVALID, "its path leaves the image ('..')");
        if (len > TREE_NAME_MAX)
            return err_set(e, ERR_INVALID, "a name is longer than %d bytes", TREE_NAME_MAX);
        if (len && !(len == 1 && *path == '.')) {
            if (n + len + 2 > TREE_PATH_MAX)
                return err_set(e, ERR_INVALID, "its path is longer than %d bytes",
                               TREE_PATH_MAX - 1);
            if (n)
                ret[n++] = '/';
            memcpy(ret + n, path, len);
            n += len;
        }
        path += len;
        path += *path == '/';
    }
    ret[n] = '\0';
    return 0;
}

/* Split at the last slash; resolve what is before it. */
static int find_parent(struct layer *l, char *path, uint32_t create, struct node **ret_parent,
                       const char **ret_name, struct err *e)
{
    char *slash = strrchr(path, '/');
    int r;

    *ret_name = slash ? slash + 1 : path;
    if (!slash) {
        *ret_parent = l->tree->root;
        return 0;
    }
    *slash = '\0';
    r = tree_walk(l->tree, path, create, ret_parent, e);
    *slash = '/';
    return r;
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int apply_whiteout(struct layer *l, struct place *p, struct err *e)
{
    const char *victim = p->name + strlen(WHITEOUT);
    struct node *node;
    int r;

    if (!*victim || strcmp(victim, ".") == 0 || strcmp(victim, "..") == 0)
        return err_set(e, ERR_INVALID, "the whiteout names no file");
    r = find_parent(l, p->path, 0, &p->parent, &p->name, e);
    if (r < 0 || !p->parent)
        return r; /* nothing there to hide */
    if (strcmp(p->name, WHITEOUT_OPQ) == 0) {
        tree_remove_lower_children(l->tree, p->parent, l->number);
        return 0;
    }
    node = tree_child(l->tree, p->parent, victim, strlen(victim));
    if (node)
        tree_remove_lower(l->tree, node, l->number);
    return 0;
}

static void replace_old(struct layer *l, struct place *p)
{
    if (p->old)
        tree_remove(l->tree, p->old);
    p->old = NULL;
}

static int apply_hardlink(struct layer *l, struct place *p, const char *link, struct err *e)
{
    char target[TREE_PATH_MAX];
    struct node *dir = NULL, *node = NULL;
    const char *name = "";
    int r;

    r = clean_path(link, target, e);
    if (r == 0)
        r = find_parent(l, target, 0, &dir, &name, e);
    if (r < 0)
        return err_ctx(e, "hard link to '%s'", link);
    if (dir && *name)
        node = tree_child(l->tree, dir, name, strlen(name));
    if (!node)
        return err_set(e, ERR_INVALID, "hard link to '%s': no such file in the image", link);
    if (node_is_dir(node))
        return err_set(e, ERR_INVALID, "hard link to '%s': it is a directory", link);
    if (p->old && p->old->inode == node->inode)
        return 0;
    if (p->old && node_is_dir(p->old)) {
        for (struct node *up = node->parent; up != l->tree->root; up = up->parent)
            if (up == p->old)
                return err_set(e, ERR_INVALID, "hard link to '%s': it would replace its target",
                               link);
    }
    replace_old(l, p);
    return tree_add(l->tree, p->parent, p->name, node->inode, l->number, &node, e);
}

static int apply_directory(struct layer *l, struct place *p, struct err *e)
{
    autoptr(inode) inode = NULL;
    struct node *node = p->parent ? p->old : l->tree->root;
    int r;

    if (node && node_is_dir(node)) {
        node->layer = node->touched = l->number;
        for (struct node *up = node->parent; up->touched != l->number; up = up->parent)
            up->touched = l->number;
        return meta_fill(node->inode, p->entry, e);
    }
    inode = inode_new(S_IFDIR);
    if (!inode)
        return err_os(e, "file tree");
    r = meta_fill(inode, p->entry, e);
    if (r < 0)
        return r;
    replace_old(l, p);
    r = tree_add(l->tree, p->parent, p->name, inode, l->number, &node, e);
    if (r == 0)
        (void)take_ptr(inode); /* the node has it */
    return r;
}

/* Write one piece of a file; pieces come in ascending order. */
static int write_piece(struct layer *l, struct inode *inode, uint64_t offset, const char *data,
                       size_t len, struct err *e)
{
    int r;

    while (len) {
        uint32_t logical = (uint32_t)(offset / BLOCK_SIZE);
        size_t in_block = offset % BLOCK_SIZE, n = BLOCK_SIZE - in_block;
        struct extent *x = inode->extents_n ? &inode->extents[inode->extents_n - 1] : NULL;
        uint64_t physical;

        if (x && logical < x->logical + x->blocks - 1)
            return err_set(e, ERR_CORRUPT, "its pieces are out of order");
        if (x && logical == x->logical + x->blocks - 1) {
            physical = x->physical + x->blocks - 1;
        } else {
            r = blocks_take(l->blocks, 1, &physical, e);
            if (r < 0)
                return r;
            if (!inode_map(inode, logical, physical, EXTENTS_MAX)) {
                blocks_give(l->blocks, physical, 1);
                return err_set(e, ERR_LIMIT, "it is in more than %u pieces", EXTENTS_MAX);
            }
        }
        n = n < len ? n : len;
        r = blocks_write(l->blocks, physical * BLOCK_SIZE + in_block, data, n, e);
        if (r < 0)
            return r;
        data += n;
        offset += n;
        len -= n;
    }
    return 0;
}

static int read_data(struct layer *l, struct inode *inode, struct err *e)
{
    int64_t offset;
    const void *data;
    size_t len;
    int r;

    for (;;) {
        r = tar_input_data(&l->tar, &data, &len, &offset, e);
        if (r <= 0)
            return r;
        if (offset < 0 || (uint64_t)offset > inode->size || len > inode->size - (uint64_t)offset)
            return err_set(e, ERR_CORRUPT, "its data goes beyond its size");
        l->data_n += len;
        *l->limits->data_bytes += len;
        if (l->data_n > l->limits->bytes_max)
            return err_set(e, ERR_LIMIT, "the layer has more than %ju bytes",
                           (uintmax_t)l->limits->bytes_max);
        r = write_piece(l, inode, (uint64_t)offset, data, len, e);
        if (r < 0)
            return r;
    }
}

static void free_blocks(struct layer *l, const struct inode *inode)
{
    for (uint32_t i = 0; i < inode->extents_n; i++)
        blocks_give(l->blocks, inode->extents[i].physical, inode->extents[i].blocks);
}

static int fill_content(struct layer *l, struct place *p, struct inode *inode, struct err *e)
{
    la_int64_t size = archive_entry_size(p->entry);
    const char *target;

    if (S_ISLNK(inode->mode)) {
        target = archive_entry_symlink(p->entry);
        if (!target || !*target || strlen(target) >= TREE_PATH_MAX)
            return err_set(e, ERR_INVALID, "the symbolic link's target is empty or too long");
        inode->target = strdup(target);
        inode->size = strlen(target);
        return inode->target ? 0 : err_os(e, "file tree");
    }
    if (!S_ISREG(inode->mode))
        return 0;
    if (size < 0 || (uint64_t)size > FILE_SIZE_MAX - BLOCK_SIZE)
        return err_set(e, ERR_LIMIT, "its size is out of range");
    inode->size = (uint64_t)size;
    return read_data(l, inode, e);
}

static int apply_other(struct layer *l, struct place *p, uint32_t type, struct err *e)
{
    autoptr(inode) inode = inode_new(type);
    struct node *node;
    int r;

    if (!inode)
        return err_os(e, "file tree");
    r = meta_fill(inode, p->entry, e);
    if (r == 0)
        r = fill_content(l, p, inode, e);
    if (r == 0) {
        replace_old(l, p);
        r = tree_add(l->tree, p->parent, p->name, inode, l->number, &node, e);
    }
    if (r < 0) {
        free_blocks(l, inode);
        return r;
    }
    (void)take_ptr(inode); /* the node has it */
    return 0;
}

static int apply_type(struct layer *l, struct place *p, struct err *e)
{
    const char *link = archive_entry_hardlink(p->entry);
    uint32_t type = archive_entry_filetype(p->entry);

    if (!p->parent && (link || type != S_IFDIR))
        return err_set(e, ERR_INVALID, "the root is not a directory");
    if (link)
        return apply_hardlink(l, p, link, e);
    switch (type) {
    case S_IFDIR:
        return apply_directory(l, p, e);
    case S_IFREG:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
        return apply_other(l, p, type, e);
    default:
        return err_set(e, ERR_UNSUPPORTED, "unknown file type");
    }
}

static bool in_aufs_directory(const char *path)
{
    const char *meta = strstr(path, WHITEOUT_META);

    return meta && (meta == path || meta[-1] == '/') && strcmp(meta, WHITEOUT_OPQ) != 0;
}

static int apply_path(struct layer *l, struct place *p, const char *path, struct err *e)
{
    const char *slash;
    int r;

    r = clean_path(path, p->path, e);
    if (r < 0)
        return r;
    slash = strrchr(p->path, '/');
    p->name = slash ? slash + 1 : p->path;
    if (in_aufs_directory(p->path))
        return 0;
    if (starts_with(p->name, WHITEOUT))
        return apply_whiteout(l, p, e);
    if (!*p->path)
        return apply_type(l, p, e);
    r = find_parent(l, p->path, l->number, &p->parent, &p->name, e);
    if (r < 0)
        return r;
    p->old = tree_child(l->tree, p->parent, p->name, strlen(p->name));
    return apply_type(l, p, e);
}

static int apply_entries(struct layer *l, struct err *e)
{
    struct place p;
    const char *path;
    int r;

    for (;;) {
        p = (struct place){ 0 };
        r = tar_input_next(&l->tar, &p.entry, &path, e);
        if (r <= 0)
            return r;
        r = apply_path(l, &p, path, e);
        if (r < 0)
            return err_ctx(e, "'%s'", path);
    }
}

/* The diff id covers what follows the end of the tar as well. */
static int drain(struct source *tar, struct err *e)
{
    const void *data;
    ssize_t n;

    do
        n = tar->read(tar, &data, e);
    while (n > 0);
    return (int)n;
}

int layer_apply(struct tree *tree, struct blocks *blocks, struct source *tar, uint32_t layer,
                const struct layer_limits *limits, struct err *e)
{
    struct layer l = { .tree = tree, .blocks = blocks, .number = layer, .limits = limits };
    int r = tar_input_init(&l.tar, tar, "layer", e);

    if (r == 0)
        r = tar_input_open(&l.tar, e);
    if (r == 0)
        r = apply_entries(&l, e);
    tar_input_done(&l.tar);
    return r < 0 ? r : drain(tar, e);
}
