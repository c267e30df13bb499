#include "rootfs/tree.h"

#include <string.h>
#include <sys/random.h>

#define SYMLINKS_MAX   40     /* followed in one path, as Linux */
#define EXTENT_LEN_MAX 32768u /* blocks in one extent: 15 bits and the value 2^15 itself */
#define BUCKETS_MIN    1024

struct inode *inode_new(uint32_t mode)
{
    struct inode *inode = calloc(1, sizeof(*inode));

    if (inode)
        inode->mode = mode;
    return inode;
}

void inode_clear_xattrs(struct inode *inode)
{
    while (inode->xattrs) {
        struct xattr *x = inode->xattrs;

        inode->xattrs = x->next;
        free(x->name);
        free(x->value);
        free(x);
    }
}

void inode_free(struct inode *inode)
{
    if (!inode)
        return;
    inode_clear_xattrs(inode);
    free(inode->target);
    free(inode->extents);
    free(inode);
}

bool inode_map(struct inode *inode, uint32_t logical, uint64_t physical, uint32_t extents_max)
{
    struct extent *x = inode->extents_n ? &inode->extents[inode->extents_n - 1] : NULL;
    uint32_t cap;

    if (x && x->logical + x->blocks == logical && x->physical + x->blocks == physical &&
        x->blocks < EXTENT_LEN_MAX) {
        x->blocks++;
        return true;
    }
    if (inode->extents_n == extents_max)
        return false;
    if (inode->extents_n == inode->extents_cap) {
        cap = inode->extents_cap ? inode->extents_cap * 2 : 1;
        x = realloc(inode->extents, cap * sizeof(*x));
        if (!x)
            return false;
        inode->extents = x;
        inode->extents_cap = cap;
    }
    inode->extents[inode->extents_n++] =
        (struct extent){ .logical = logical, .blocks = 1, .physical = physical };
    return true;
}

static uint64_t hash_name(const struct tree *t, const struct node *dir, const char *name,
                          size_t len)
{
    uint64_t h = t->seed ^ (uintptr_t)dir;

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (uint8_t)name[i]) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 32;
    }
    return h;
}

struct node *tree_child(const struct tree *t, const struct node *dir, const char *name,
                        size_t len)
{
    uint64_t h = hash_name(t, dir, name, len);
    struct node *n = t->buckets[h & (t->buckets_n - 1)];

    while (n && (n->hash != h || n->parent != dir || n->name_len != len ||
                 memcmp(n->name, name, len) != 0))
        n = n->hash_next;
    return n;
}

static int grow(struct tree *t, struct err *e)
{
    size_t want = t->buckets_n * 2;
    struct node **buckets;

    if (t->nodes_n < t->buckets_n)
        return 0;
    buckets = calloc(want, sizeof(struct node *));
    if (!buckets)
        return err_os(e, "file tree");
    for (size_t i = 0; i < t->buckets_n; i++) {
        while (t->buckets[i]) {
            struct node *n = t->buckets[i];

            t->buckets[i] = n->hash_next;
            n->hash_next = buckets[n->hash & (want - 1)];
            buckets[n->hash & (want - 1)] = n;
        }
    }
    free(t->buckets);
    t->buckets = buckets;
    t->buckets_n = want;
    return 0;
}

static void unhash(struct tree *t, struct node *node)
{
    struct node **at = &t->buckets[node->hash & (t->buckets_n - 1)];

    while (*at != node)
        at = &(*at)->hash_next;
    *at = node->hash_next;
}

static struct node *node_new(const char *name, size_t len)
{
    struct node *n = calloc(1, sizeof(*n) + len + 1);

    if (!n)
        return NULL;
    memcpy(n->name, name, len);
    n->name_len = (uint16_t)len;
    return n;
}

int tree_init(struct tree *t, uint64_t nodes_max, struct err *e)
{
    *t = (struct tree){ .nodes_max = nodes_max, .buckets_n = BUCKETS_MIN };
    if (getrandom(&t->seed, sizeof(t->seed), 0) < 0)
        return err_os(e, "getrandom");
    t->buckets = calloc(t->buckets_n, sizeof(struct node *));
    t->root = node_new("", 0);
    if (!t->buckets || !t->root)
        return err_os(e, "file tree");
    t->root->parent = t->root;
    t->root->inode = inode_new(S_IFDIR | 0755);
    if (!t->root->inode)
        return err_os(e, "file tree");
    t->root->inode->names = 1;
    return 0;
}

static void node_release(struct tree *t, struct node *node)
{
    if (node->inode && --node->inode->names == 0) {
        if (t->freed)
            t->freed(t->ctx, node->inode);
        inode_free(node->inode);
    }
    free(node);
}

void tree_remove(struct tree *t, struct node *node)
{
    while (node->first)
        tree_remove(t, node->first); /* as deep as TREE_DEPTH_MAX */
    if (node != t->root) {
        unhash(t, node);
        *(node->prev ? &node->prev->next : &node->parent->first) = node->next;
        *(node->next ? &node->next->prev : &node->parent->last) = node->prev;
    }
    t->nodes_n--;
    node_release(t, node);
}

void tree_done(struct tree *t)
{
    t->freed = NULL;
    if (t->root && t->buckets)
        tree_remove(t, t->root);
    else
        free(t->root);
    free(t->buckets);
    *t = (struct tree){ 0 };
}

static void touch(struct node *node, uint32_t layer)
{
    while (node->touched != layer) {
        node->touched = layer;
        node = node->parent;
    }
}

int tree_add(struct tree *t, struct node *dir, const char *name, struct inode *inode,
             uint32_t layer, struct node **ret, struct err *e)
{
    size_t len = strlen(name);
    struct node *n;
    int r;

    if (len > TREE_NAME_MAX)
        return err_set(e, ERR_INVALID, "a name is longer than %d bytes", TREE_NAME_MAX);
    if (dir->depth >= TREE_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "more than %d directories deep", TREE_DEPTH_MAX);
    if (t->nodes_n >= t->nodes_max)
        return err_set(e, ERR_LIMIT, "more than %ju files", (uintmax_t)t->nodes_max);
    if (inode->names >= TREE_LINKS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d hard links to one file", TREE_LINKS_MAX);
    r = grow(t, e);
    if (r < 0)
        return r;
    n = node_new(name, len);
    if (!n)
        return err_os(e, "file tree");
    n->hash = hash_name(t, dir, name, len);
    n->hash_next = t->buckets[n->hash & (t->buckets_n - 1)];
    t->buckets[n->hash & (t->buckets_n - 1)] = n;
    n->parent = dir;
    n->depth = (uint16_t)(dir->depth + 1);
    n->prev = dir->last;
    *(dir->last ? &dir->last->next : &dir->first) = n;
    dir->last = n;
    n->inode = inode;
    inode->names++;
    n->layer = layer;
    touch(n, layer);
    t->nodes_n++;
    *ret = n;
    return 0;
}

void tree_remove_lower_children(struct tree *t, struct node *dir, uint32_t layer)
{
    struct node *next;

    for (struct node *n = dir->first; n; n = next) {
        next = n->next;
        tree_remove_lower(t, n, layer);
    }
}

void tree_remove_lower(struct tree *t, struct node *node, uint32_t layer)
{
    if (node->touched != layer)
        tree_remove(t, node);
    else if (node_is_dir(node))
        tree_remove_lower_children(t, node, layer);
}

/* What is left of a path while it is walked: symlink targets are put in front. */
struct walk {
    char rest[2 * TREE_PATH_MAX + 2];
    unsigned links;
};

static int walk_link(struct walk *w, const char *target, const char *rest, struct err *e)
{
    char next[sizeof(w->rest)];
    int n;

    if (++w->links > SYMLINKS_MAX)
        return err_set(e, ERR_INVALID, "too many symbolic links");
    n = snprintf(next, sizeof(next), "%s/%s", target, rest);
    if (n < 0 || (size_t)n >= sizeof(next))
        return err_set(e, ERR_INVALID, "symbolic links make it too long");
    memcpy(w->rest, next, (size_t)n + 1);
    return 0;
}

static int walk_missing(struct tree *t, struct node *dir, const char *name, uint32_t layer,
                        struct node **ret, struct err *e)
{
    autoptr(inode) inode = inode_new(S_IFDIR | 0755);
    int r;

    if (!inode)
        return err_os(e, "file tree");
    r = tree_add(t, dir, name, inode, layer, ret, e);
    if (r < 0)
        return r;
    (void)take_ptr(inode); /* the node has it */
    return 0;
}

int tree_walk(struct tree *t, const char *path, uint32_t layer, struct node **ret, struct err *e)
{
    struct node *cur = t->root, *next;
    char name[TREE_NAME_MAX + 1];
    struct walk w = { 0 };
    char *p = w.rest;
    size_t len;
    int r;

    if (strlen(path) >= sizeof(w.rest))
        return err_set(e, ERR_INVALID, "the path is too long");
    memcpy(w.rest, path, strlen(path) + 1);
    for (;;) {
        p += strspn(p, "/");
        len = strcspn(p, "/");
        if (len == 0)
            break;
        if (len > TREE_NAME_MAX)
            return err_set(e, ERR_INVALID, "a name is longer than %d bytes", TREE_NAME_MAX);
        memcpy(name, p, len);
        name[len] = '\0';
        p += len;
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            cur = cur->parent;
            continue;
        }
        next = tree_child(t, cur, name, len);
        if (next && S_ISLNK(next->inode->mode)) {
            r = walk_link(&w, next->inode->target, p, e);
            if (r < 0)
                return r;
            p = w.rest;
            cur = *p == '/' ? t->root : cur;
            continue;
        }
        if (!next && !layer) {
            *ret = NULL;
            return 0;
        }
        if (!next) {
            r = walk_missing(t, cur, name, layer, &next, e);
            if (r < 0)
                return r;
        }
        if (!node_is_dir(next))
            return err_set(e, ERR_INVALID, "'%s' in its path is not a directory", name);
        cur = next;
    }
    *ret = cur;
    return 0;
}
