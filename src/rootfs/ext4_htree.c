/*
 * Hash trees of large directories, built in one go.
 *
 * The entries are sorted by the hash of their names and fill leaf blocks in that order. Block 0
 * is the root: "." and "..", then pairs of (smallest hash, block). When the leaves are more than
 * fit there, it points to index blocks, which follow it. (ext4 disk layout, "Hash Tree
 * Directories")
 */
#include "rootfs/ext4_internal.h"

#include <string.h>

#define ROOT_PAIRS_AT 32 /* behind "." and ".." and the info */
#define ROOT_LIMIT    ((BLOCK_SIZE - ROOT_PAIRS_AT - 8) / 8) /* the tail is 8 bytes */
#define NODE_PAIRS_AT 8                                      /* behind one empty entry */
#define NODE_LIMIT    ((BLOCK_SIZE - NODE_PAIRS_AT - 8) / 8)
#define SAME_HASH     1u /* in a pair: the block before ends with the same hash */

struct pair {
    uint32_t hash, block;
};

struct sorting {
    uint32_t hash, minor;
    struct node *node;
};

static void hash_of(const struct ext4_writer *w, const struct node *n, uint32_t *ret_hash,
                    uint32_t *ret_minor)
{
    uint32_t seed[4];

    memcpy(seed, w->params->uuid, sizeof(seed)); /* as fill_super() sets it */
    /* Fails for unknown versions only. */
    (void)ext2fs_dirhash2(EXT2_HASH_HALF_MD4_UNSIGNED, n->name, n->name_len, NULL, 0, seed,
                          ret_hash, ret_minor);
}

static int compare(const void *a, const void *b)
{
    const struct sorting *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->minor != y->minor)
        return x->minor < y->minor ? -1 : 1;
    return strcmp(x->node->name, y->node->name);
}

int ext4_htree_sort(struct ext4_writer *w, struct node *dir, struct err *e)
{
    autofree struct sorting *v = NULL;
    size_t n = 0;

    for (struct node *c = dir->first; c; c = c->next)
        n++;
    v = calloc(n, sizeof(*v));
    if (!v)
        return err_os(e, "directory");
    n = 0;
    for (struct node *c = dir->first; c; c = c->next) {
        v[n].node = c;
        hash_of(w, c, &v[n].hash, &v[n].minor);
        n++;
    }
    qsort(v, n, sizeof(*v), compare);
    dir->first = dir->last = NULL;
    for (size_t i = 0; i < n; i++) {
        struct node *c = v[i].node;

        c->prev = dir->last;
        c->next = NULL;
        *(dir->last ? &dir->last->next : &dir->first) = c;
        dir->last = c;
    }
    return 0;
}

static uint64_t index_blocks(uint64_t leaves)
{
    return leaves <= ROOT_LIMIT ? 0 : (leaves + NODE_LIMIT - 1) / NODE_LIMIT;
}

/* 258,570 leaves hold 4 million names of 255 bytes: two levels are always enough. */
uint64_t ext4_htree_blocks(uint64_t leaves)
{
    return 1 + index_blocks(leaves) + leaves;
}

/* The first pair's hash is taken by the limit and the count. */
static void put_pairs(char *at, const struct pair *pairs, size_t n, uint16_t limit)
{
    struct ext2_dx_countlimit counts = { .limit = limit, .count = (uint16_t)n };

    memcpy(at, pairs, n * sizeof(*pairs));
    memcpy(at, &counts, sizeof(counts));
}

static int write_leaves(struct dir_out *o, struct node *dir, struct pair *pairs, size_t leaves,
                        struct err *e)
{
    uint32_t hash = 0, before = 0, minor;
    size_t n = 0;
    int r;

    for (struct node *c = dir->first; c; c = c->next) {
        bool fresh = n == 0;

        hash_of(o->w, c, &hash, &minor);
        if (!fresh && !ext4_dir_fits(o, c->name_len)) {
            r = ext4_dir_flush(o, e);
            if (r < 0)
                return r;
            fresh = true;
        }
        if (fresh && n < leaves)
            pairs[n] = (struct pair){ n && hash == before ? hash | SAME_HASH : hash, o->logical };
        n += fresh;
        before = hash;
        r = ext4_dir_put(o, c->name, c->name_len, c->inode, e);
        if (r < 0)
            return r;
    }
    if (n != leaves)
        return err_set(e, ERR_INTERNAL, "ext4: %zu leaves, not %zu", n, leaves);
    return ext4_dir_flush(o, e);
}

static int write_nodes(struct dir_out *o, struct pair *pairs, size_t leaves, size_t nodes,
                       struct err *e)
{
    for (size_t i = 0; i < nodes; i++) {
        size_t from = i * NODE_LIMIT;
        size_t n = leaves - from < NODE_LIMIT ? leaves - from : NODE_LIMIT;
        _Alignas(8) char buf[BLOCK_SIZE] = { 0 };
        struct ext2_dir_entry *empty = (void *)buf;
        struct pair up = { pairs[from].hash, (uint32_t)(1 + i) };
        int r;

        empty->rec_len = BLOCK_SIZE;
        put_pairs(buf + NODE_PAIRS_AT, pairs + from, n, NODE_LIMIT);
        r = ext4_dir_write(o, up.block, buf, e);
        if (r < 0)
            return r;
        pairs[i] = up; /* i <= from: that pair has been used */
    }
    return 0;
}

static void put_dot(char *at, const char *name, const struct inode *inode, unsigned rec_len)
{
    struct ext2_dir_entry *d = (void *)at;

    d->inode = inode->number;
    d->rec_len = (uint16_t)rec_len;
    d->name_len = (uint16_t)(strlen(name) | EXT2_FT_DIR << 8);
    memcpy(at + 8, name, strlen(name));
}

static int write_root(struct dir_out *o, struct node *dir, const struct pair *pairs, size_t n,
                      bool two_levels, struct err *e)
{
    struct ext2_dx_root_info info = { .hash_version = EXT2_HASH_HALF_MD4,
                                      .info_length = sizeof(info),
                                      .indirect_levels = two_levels };
    _Alignas(8) char buf[BLOCK_SIZE] = { 0 };

    put_dot(buf, ".", dir->inode, 12);
    put_dot(buf + 12, "..", dir->parent->inode, BLOCK_SIZE - 12);
    memcpy(buf + 24, &info, sizeof(info));
    put_pairs(buf + ROOT_PAIRS_AT, pairs, n, ROOT_LIMIT);
    return ext4_dir_write(o, 0, buf, e);
}

int ext4_htree_write(struct dir_out *o, struct node *dir, struct err *e)
{
    size_t blocks = (size_t)(dir->inode->size / BLOCK_SIZE), leaves = blocks - 1, nodes = 0;
    autofree struct pair *pairs = calloc(blocks, sizeof(*pairs));
    int r;

    if (!pairs)
        return err_os(e, "directory");
    while (ext4_htree_blocks(leaves) > blocks)
        leaves--;
    nodes = index_blocks(leaves);
    o->logical = (uint32_t)(1 + nodes);
    r = write_leaves(o, dir, pairs, leaves, e);
    if (r == 0)
        r = write_nodes(o, pairs, leaves, nodes, e);
    if (r == 0)
        r = write_root(o, dir, pairs, nodes ? nodes : leaves, nodes > 0, e);
    return r;
}
