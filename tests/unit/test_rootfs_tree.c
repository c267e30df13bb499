#include "rootfs/tree.h"

#include "unit.h"

struct fixture {
    struct tree t;
    struct err e;
    unsigned freed;
};

static void count_freed(void *ctx, const struct inode *inode UNUSED)
{
    struct fixture *f = ctx;

    f->freed++;
}

static struct fixture *open_tree(uint64_t max)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(tree_init(&f->t, max, &f->e), 0);
    f->t.freed = count_freed;
    f->t.ctx = f;
    return f;
}

static void close_tree(struct fixture *f)
{
    tree_done(&f->t);
    free(f);
}

static struct node *add(struct fixture *f, struct node *dir, const char *name, uint32_t mode,
                        uint32_t layer)
{
    struct inode *inode = inode_new(mode);
    struct node *n = NULL;

    assert_non_null(inode);
    assert_int_equal(tree_add(&f->t, dir, name, inode, layer, &n, &f->e), 0);
    return n;
}

static struct node *walk(struct fixture *f, const char *path)
{
    struct node *n = NULL;

    return tree_walk(&f->t, path, 0, &n, &f->e) == 0 ? n : NULL;
}

static void link_to(struct fixture *f, struct node *dir, const char *name, const char *target)
{
    struct node *n = add(f, dir, name, S_IFLNK | 0777, 1);

    n->inode->target = strdup(target);
}

static void walking(void **state UNUSED)
{
    struct fixture *f = open_tree(100);
    struct node *a = add(f, f->t.root, "a", S_IFDIR, 1), *b = add(f, a, "b", S_IFDIR, 1), *made;

    link_to(f, f->t.root, "rel", "a/b");
    link_to(f, b, "abs", "/a");
    link_to(f, b, "up", "../../../../a");
    link_to(f, f->t.root, "loop", "loop");
    assert_ptr_equal(walk(f, ""), f->t.root);
    assert_ptr_equal(walk(f, "a/./b//"), b);
    assert_ptr_equal(walk(f, "rel"), b);
    assert_ptr_equal(walk(f, "rel/abs/b"), b);
    assert_ptr_equal(walk(f, "rel/up"), a);
    assert_null(walk(f, "a/none/x"));
    assert_int_equal(f->e.kind, ERR_NONE);
    assert_null(walk(f, "loop/x"));
    assert_int_equal(f->e.kind, ERR_INVALID);
    assert_int_equal(tree_walk(&f->t, "rel/abs/new/dir", 2, &made, &f->e), 0);
    assert_ptr_equal(walk(f, "a/new/dir"), made);
    close_tree(f);
}

static void removing_by_layer(void **state UNUSED)
{
    struct fixture *f = open_tree(100);
    struct node *d = add(f, f->t.root, "d", S_IFDIR, 1), *sub = add(f, d, "sub", S_IFDIR, 1), *n;

    add(f, d, "low", S_IFREG, 1);
    add(f, sub, "low", S_IFREG, 1);
    n = add(f, sub, "high", S_IFREG, 2);
    assert_int_equal(tree_add(&f->t, f->t.root, "link", n->inode, 2, &n, &f->e), 0);
    tree_remove_lower_children(&f->t, d, 2);
    assert_null(tree_child(&f->t, d, "low", 3));
    assert_null(walk(f, "d/sub/low/x"));
    assert_non_null(tree_child(&f->t, sub, "high", 4));
    assert_int_equal(f->freed, 2);
    tree_remove(&f->t, d);
    assert_int_equal(f->freed, 4); /* d and sub; the file still has a name */
    tree_remove(&f->t, n);
    assert_int_equal(f->freed, 5);
    assert_null(f->t.root->first);
    close_tree(f);
}

static void limits(void **state UNUSED)
{
    struct fixture *f = open_tree(50);
    struct node *n = NULL;
    struct inode *inode;
    char name[8];

    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof(name), "%d", i);
        add(f, f->t.root, name, S_IFREG, 1);
    }
    inode = inode_new(S_IFREG);
    assert_int_equal(tree_add(&f->t, f->t.root, "x", inode, 1, &n, &f->e), -ERR_LIMIT);
    tree_remove(&f->t, tree_child(&f->t, f->t.root, "7", 1));
    inode->names = TREE_LINKS_MAX;
    assert_int_equal(tree_add(&f->t, f->t.root, "x", inode, 1, &n, &f->e), -ERR_LIMIT);
    inode->names = 0;
    assert_int_equal(tree_add(&f->t, f->t.root, "x", inode, 1, &n, &f->e), 0);
    close_tree(f);
}

static void extents(void **state UNUSED)
{
    struct inode *inode = inode_new(S_IFREG);

    for (uint32_t i = 0; i < 40000; i++)
        assert_true(inode_map(inode, i, 100 + i, 3));
    assert_int_equal(inode->extents_n, 2); /* 32768 blocks fit into one */
    assert_int_equal(inode->extents[0].blocks, 32768);
    assert_true(inode_map(inode, 50000, 200000, 3));
    assert_false(inode_map(inode, 60000, 300000, 3));
    assert_int_equal(inode->extents_n, 3);
    inode_free(inode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walking),
        cmocka_unit_test(removing_by_layer),
        cmocka_unit_test(limits),
        cmocka_unit_test(extents),
    };

    return cmocka_run_group_tests_name("rootfs_tree", tests, NULL, NULL);
}
