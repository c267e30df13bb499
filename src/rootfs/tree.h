/*
 * The file system being built, in memory: names and metadata, no file data.
 *
 * A node is a name, an inode is what it names; hard links are several nodes of one inode. Every
 * directory has exactly one node. Where a file's data lies in the image is the inode's list of
 * extents; when its last name goes, the tree's `freed` callback is told, so that the blocks can
 * be given back.
 *
 * Paths come from strangers. They are resolved in this tree only, never on the host: a symlink
 * is followed as if the tree's root were "/", ".." stops at the root. Order is the order of
 * insertion, so the same layers give the same image.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define TREE_NAME_MAX  255   /* bytes, ext4's limit */
#define TREE_PATH_MAX  4096  /* bytes of a path or symlink target, Linux' limit */
#define TREE_DEPTH_MAX 1024  /* directories in each other; walks of the tree recurse this deep */
#define TREE_LINKS_MAX 65000 /* names of one inode, ext4's limit */

/* `blocks` blocks of a file from `logical` on lie at `physical`. */
struct extent {
    uint32_t logical, blocks;
    uint64_t physical;
};

struct xattr {
    struct xattr *next;
    char *name; /* owned: "user.x", "security.capability", ... */
    void *value;
    size_t size;
};

struct inode {
    uint32_t mode; /* type and permissions, as st_mode */
    uint32_t uid, gid;
    uint32_t rdev_major, rdev_minor;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t names;  /* nodes that point here */
    uint32_t number; /* in the image; 0 until numbered */
    bool written;    /* into the image */
    bool indexed;    /* a directory with a hash tree */
    uint64_t size;
    char *target; /* of a symlink; owned */
    struct xattr *xattrs;
    struct extent *extents;
    uint32_t extents_n, extents_cap;
    uint64_t index_first; /* first block of the extent tree outside the inode, 0 for none */
};

struct node {
    struct node *parent; /* the root's is the root */
    struct node *next, *prev;
    struct node *first, *last; /* children */
    struct node *hash_next;
    struct inode *inode;
    uint64_t hash;
    uint32_t layer;   /* that last wrote it */
    uint32_t touched; /* last layer that wrote it or anything below it */
    uint16_t depth;
    uint16_t name_len;
    char name[];
};

struct tree {
    struct node *root;
    struct node **buckets;
    size_t buckets_n, nodes_n;
    uint64_t nodes_max;
    uint64_t seed; /* of the hash: collisions cannot be prepared */
    void (*freed)(void *ctx, const struct inode *inode);
    void *ctx;
};

int tree_init(struct tree *t, uint64_t nodes_max, struct err *e) MUST_CHECK;
void tree_done(struct tree *t);

static inline bool node_is_dir(const struct node *n)
{
    return S_ISDIR(n->inode->mode);
}

struct node *tree_child(const struct tree *t, const struct node *dir, const char *name,
                        size_t len);

/* Resolve all of `path` (symlinks included) to a node. Missing directories are created for
 * `layer` when it is not 0; else *ret is NULL when something is missing. INVALID when a component
 * is no directory, there are too many symlinks, or it grows too deep. */
int tree_walk(struct tree *t, const char *path, uint32_t layer, struct node **ret,
              struct err *e) MUST_CHECK;

/* Add a name for `inode` (whose `names` goes up) to `dir`, which must not have it yet. */
int tree_add(struct tree *t, struct node *dir, const char *name, struct inode *inode,
             uint32_t layer, struct node **ret, struct err *e) MUST_CHECK;

/* Remove a node and everything below. */
void tree_remove(struct tree *t, struct node *node);

/* Remove what layers before `layer` put at and below `node`; what `layer` wrote stays. */
void tree_remove_lower(struct tree *t, struct node *node, uint32_t layer);
void tree_remove_lower_children(struct tree *t, struct node *dir, uint32_t layer);

struct inode *inode_new(uint32_t mode);
void inode_free(struct inode *inode);
DEFINE_AUTOPTR(inode)
void inode_clear_xattrs(struct inode *inode);

/* Map one more block at the end; false without memory or when `extents_max` is reached. */
bool inode_map(struct inode *inode, uint32_t logical, uint64_t physical, uint32_t extents_max);
