/* Paths to refs, inside the view only. */
#include "rootfs/overlay_internal.h"

#include <string.h>
#include <sys/stat.h>

#define SYMLINKS_MAX 40 /* Linux */

struct walk {
    struct overlay *o;
    struct str todo; /* what is left of the path */
    bool follow;
    unsigned links_n;
    size_t n; /* directories on the stack, the root is one */
    struct overlay_ref stack[OVERLAY_DEPTH_MAX];
    uint16_t end[OVERLAY_DEPTH_MAX]; /* of path, with this directory as its last component */
    struct overlay_place *place;
};

static int wrong(struct err *e, int os, const char *path)
{
    struct err from;

    (void)err_os_at(&from, os, "x");
    (void)err_set(e, os == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, "%s: %s", path, strerror(os));
    e->os = os;
    return -(int)e->kind;
}

static size_t path_len(const struct walk *w)
{
    return w->end[w->n - 1];
}

/* The path of the stack's top and, below it, a name. */
static int set_path(struct walk *w, const char *name, size_t len, struct err *e)
{
    char *path = w->place->path;
    size_t at = path_len(w);

    if (at + len + 2 > sizeof(w->place->path))
        return wrong(e, ENAMETOOLONG, "path");
    if (len) {
        path[at] = '/';
        memcpy(path + at + 1, name, len);
        path[at + 1 + len] = '\0';
    } else if (at == 0) {
        memcpy(path, "/", 2);
    } else {
        path[at] = '\0';
    }
    w->place->name = len ? path + at + 1 : strrchr(path, '/') + 1;
    return 0;
}

/* The place is the stack's top. */
static int set_top(struct walk *w, struct err *e)
{
    w->place->self = w->stack[w->n - 1];
    w->place->parent = w->stack[w->n > 1 ? w->n - 2 : 0];
    return set_path(w, "", 0, e);
}

static int push(struct walk *w, struct overlay_ref ref, size_t name_len, struct err *e)
{
    if (w->n == OVERLAY_DEPTH_MAX)
        return wrong(e, ENAMETOOLONG, "path");
    w->end[w->n] = (uint16_t)(path_len(w) + 1 + name_len);
    w->stack[w->n++] = ref;
    return 0;
}

static int follow_link(struct walk *w, struct overlay_ref ref, struct err *e)
{
    autostr target = STR_INIT(2 * OVERLAY_PATH_MAX);
    struct str old;
    int r;

    if (++w->links_n > SYMLINKS_MAX)
        return wrong(e, ELOOP, w->place->path);
    r = overlay_target(w->o, ref, &target, e);
    if (r < 0)
        return r;
    if (str_c(&target)[0] == '/')
        w->n = 1;
    if (!str_adds(&target, str_c(&w->todo)) || target.len >= OVERLAY_PATH_MAX)
        return wrong(e, ENAMETOOLONG, w->place->path);
    old = w->todo;
    w->todo = target;
    target = old;
    return set_top(w, e);
}

/* One name below the stack's top. `more`: something follows it, be it a "/" only. Returns 1 when
 * the walk has ended. */
static int step(struct walk *w, const char *name, size_t len, bool more, struct err *e)
{
    struct overlay_ref top = w->stack[w->n - 1], ref;
    struct overlay_stat st;
    int r;

    if (len > 255)
        return wrong(e, ENAMETOOLONG, "path");
    r = set_path(w, name, len, e);
    if (r == 0)
        r = overlay_child(w->o, top, name, len, &ref, e);
    if (r < 0)
        return r;
    w->place->parent = top;
    w->place->self = ref;
    if (r == 0) {
        bool last =
            strspn(str_c(&w->todo), "/.") == w->todo.len && !strstr(str_c(&w->todo), "..");

        return last ? 1 : wrong(e, ENOENT, w->place->path);
    }
    r = overlay_stat(w->o, ref, &st, e);
    if (r < 0)
        return r;
    if (S_ISLNK(st.mode) && (more || w->follow))
        return follow_link(w, ref, e);
    if (S_ISDIR(st.mode))
        return push(w, ref, len, e);
    return more ? wrong(e, ENOTDIR, w->place->path) : 1;
}

static int walk(struct walk *w, struct err *e)
{
    int r = set_top(w, e);

    while (r == 0) {
        const char *todo = str_c(&w->todo) + strspn(str_c(&w->todo), "/");
        size_t len = strcspn(todo, "/");
        char name[OVERLAY_PATH_MAX];

        if (len == 0)
            return set_top(w, e);
        memcpy(name, todo, len);
        name[len] = '\0';
        str_drop(&w->todo, (size_t)(todo - str_c(&w->todo)) + len);
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0)
            w->n -= w->n > 1;
        else
            r = step(w, name, len, w->todo.len > 0, e);
    }
    return r < 0 ? r : 0;
}

int overlay_walk(struct overlay *o, const char *path, bool follow, struct overlay_place *ret,
                 struct err *e)
{
    autofree struct walk *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return err_os(e, "path");
    *ret = (struct overlay_place){ 0 };
    w->o = o;
    w->follow = follow;
    w->place = ret;
    w->todo = (struct str)STR_INIT(2 * OVERLAY_PATH_MAX);
    w->stack[0] = overlay_root(o);
    w->n = 1;
    if (strlen(path) >= OVERLAY_PATH_MAX || !str_adds(&w->todo, path))
        r = wrong(e, ENAMETOOLONG, "path");
    else
        r = walk(w, e);
    str_done(&w->todo);
    return r;
}
