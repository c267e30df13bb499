/* Paths as docker's cp takes them apart; the expected values are those of Go's path/filepath. */
#include "cli/cp.h"
#include "cli/cp_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

/* must be last */
#include <cmocka.h>

static void same(char *own_got, const char *want)
{
    assert_non_null(own_got);
    assert_string_equal(own_got, want);
    free(own_got);
}

static void clean_is_gos(void **state UNUSED)
{
    static const char *const pairs[][2] = {
        { "", "." },
        { ".", "." },
        { "/", "/" },
        { "//", "/" },
        { "a/b/../c/.", "a/c" },
        { "/../a", "/a" },
        { "../a", "../a" },
        { "a/../..", ".." },
        { "../../a/..", "../.." },
        { "/a//b/", "/a/b" },
        { "a/..", "." },
        { "..a/b", "..a/b" },
        { "/..", "/" },
        { "./a", "a" },
        { "a/../../b", "../b" },
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        same(path_clean(pairs[i][0]), pairs[i][1]);
}

static void ends_are_kept(void **state UNUSED)
{
    same(path_base(""), ".");
    same(path_base("//"), "/");
    same(path_base("a/b/"), "b");
    same(path_base("a/."), ".");
    same(path_keep_end("/a", "a/."), "/a/.");
    same(path_keep_end("/a", "a/"), "/a/");
    same(path_keep_end("/", "/."), "/.");
    same(path_keep_end("/", "/"), "/");
    same(path_keep_end("/a", "a"), "/a");
    same(cp_box_path("a/../b/."), "/b/.");
    same(cp_box_path("/"), "/");
    assert_true(path_asks_dir("a/") && path_asks_dir("a/.") && path_asks_dir("."));
    assert_false(path_asks_dir("a") || path_asks_dir("a/b."));
}

static void splits(const char *path, const char *dir, const char *base)
{
    char *d = NULL, *b = NULL;
    struct err e;

    assert_int_equal(path_split(path, &d, &b, &e), 0);
    same(d, dir);
    same(b, base);
}

static void split_is_dockers(void **state UNUSED)
{
    splits("/a/b", "/a", "b");
    splits("/a/b/", "/a", "b");
    splits("/a/b/.", "/a/b", ".");
    splits("/a", "/", "a");
    splits("/", "/", "/");
    splits("a", ".", "a");
}

struct plan {
    const char *src;
    bool src_dir;
    const char *rebase;
    const char *dst;
    bool there, dst_dir;
    const char *dir, *name; /* or the error */
};

/* docker's PrepareArchiveCopy(), case by case */
static void plans_are_dockers(void **state UNUSED)
{
    static const struct plan plans[] = {
        { "/s/f", false, NULL, "/d", true, true, "/d", "f" },
        { "/s/f", false, "l", "/d", true, true, "/d", "l" },
        { "/s/d", true, NULL, "/d", true, true, "/d", "d" },
        { "/s/d/.", true, NULL, "/d", true, true, "/d", "." },
        { "/s/d", true, NULL, "/d/f", true, false, NULL, "cannot copy directory" },
        { "/s/f", false, NULL, "/d/f2", true, false, "/d", "f2" },
        { "/s/d", true, NULL, "/d/new", false, false, "/d", "new" },
        { "/s/d/.", true, NULL, "/d/new/", false, false, "/d", "new" },
        { "/s/f", false, NULL, "/d/new", false, false, "/d", "new" },
        { "/s/f", false, NULL, "/d/new/", false, false, NULL, "no such directory" },
        { "/s/f", false, NULL, "/d/new/.", false, false, NULL, "no such directory" },
    };

    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        const struct plan *p = &plans[i];
        struct cp_info src = { strdup(p->src), p->rebase ? strdup(p->rebase) : NULL, true,
                               p->src_dir };
        struct cp_info dst = { strdup(p->dst), NULL, p->there, p->dst_dir };
        char *dir = NULL, *name = NULL;
        struct err e = { 0 };

        if (cp_plan(&src, &dst, &dir, &name, &e) < 0) {
            assert_null(p->dir);
            assert_string_equal(e.text, p->name);
        } else {
            assert_non_null(p->dir);
            assert_string_equal(dir, p->dir);
            assert_string_equal(name, p->name);
        }
        free(dir);
        free(name);
        cp_info_done(&src);
        cp_info_done(&dst);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_is_gos),
        cmocka_unit_test(ends_are_kept),
        cmocka_unit_test(split_is_dockers),
        cmocka_unit_test(plans_are_dockers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
