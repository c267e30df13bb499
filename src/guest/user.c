#include "guest/user.h"

#include "util/own.h"

#include <string.h>

#define ID_MAX UINT32_C(0x7fffffff) /* docker's own limit */

/* A piece of a file: never NUL-terminated. */
struct piece {
    const char *p;
    size_t len;
};

static struct piece piece_of(const char *text)
{
    return (struct piece){ text, strlen(text) };
}

static bool piece_is(struct piece a, struct piece b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Cut the part before `sep` off the front; false when nothing is left. `rest->p` is NULL at the
 * end, so that an empty last field still counts. */
static bool piece_next(struct piece *rest, char sep, struct piece *ret)
{
    const char *end;

    if (!rest->p)
        return false;
    end = rest->len ? memchr(rest->p, sep, rest->len) : NULL;
    *ret = (struct piece){ rest->p, end ? (size_t)(end - rest->p) : rest->len };
    if (end)
        *rest = (struct piece){ end + 1, rest->len - ret->len - 1 };
    else
        *rest = (struct piece){ 0 };
    return true;
}

static bool piece_number(struct piece t, uint64_t *ret)
{
    uint64_t v = 0;

    if (t.len == 0 || t.len > 18)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        if (t.p[i] < '0' || t.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(t.p[i] - '0');
    }
    *ret = v;
    return true;
}

/* The next line that has at least `want` fields; `fields` has room for seven. */
static bool next_entry(struct piece *rest, struct piece fields[7], int want)
{
    struct piece line;

    while (piece_next(rest, '\n', &line)) {
        int n = 0;

        while (n < 7 && piece_next(&line, ':', &fields[n]))
            n++;
        for (int i = n; i < 7; i++)
            fields[i] = (struct piece){ "", 0 };
        if (n >= want && fields[0].len && fields[0].p[0] != '#')
            return true;
    }
    return false;
}

static bool entry_id(struct piece field, uint32_t *ret)
{
    uint64_t v;

    if (!piece_number(field, &v) || v > UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static void add_group(struct user *u, uint32_t gid)
{
    for (size_t i = 0; i < u->groups_n; i++)
        if (u->groups[i] == gid)
            return;
    if (u->groups_n < USER_GROUPS_MAX)
        u->groups[u->groups_n++] = gid;
}

static int set_home(struct user *u, struct piece home, struct err *e)
{
    char *copy =
        home.len && !memchr(home.p, '\0', home.len) ? strndup(home.p, home.len) : strdup("/");

    if (!copy)
        return err_os(e, "home directory");
    free(u->home);
    u->home = copy;
    return 0;
}

/* Fills uid, gid and home, and `name` with the entry's name (borrowed from the file). */
static int find_user(const struct user_files *files, struct piece want, struct user *u,
                     struct piece *name, struct err *e)
{
    struct piece rest = { files->passwd, files->passwd_len }, f[7];
    uint64_t number = 0;
    bool numeric = piece_number(want, &number);

    while (next_entry(&rest, f, 4)) {
        uint32_t uid, gid;

        if (!entry_id(f[2], &uid) || !entry_id(f[3], &gid))
            continue;
        if (want.len == 0 ? uid != 0 : numeric ? uid != number : !piece_is(f[0], want))
            continue;
        u->uid = uid;
        u->gid = gid;
        *name = f[0];
        return set_home(u, f[5], e);
    }
    if (want.len && !numeric)
        return err_set(e, ERR_NOT_FOUND,
                       "unable to find user %.*s: no matching entries in passwd file",
                       want.len < 128 ? (int)want.len : 128, want.p);
    if (number > ID_MAX)
        return err_set(e, ERR_INVALID, "uids and gids must be in range 0-%u", ID_MAX);
    u->uid = (uint32_t)number;
    u->gid = 0;
    return set_home(u, (struct piece){ 0 }, e);
}

static int find_group(const struct user_files *files, struct piece want, uint32_t *ret,
                      struct err *e)
{
    struct piece rest = { files->group, files->group_len }, f[7];
    uint64_t number = 0;
    bool numeric = piece_number(want, &number);

    while (!numeric && next_entry(&rest, f, 3))
        if (piece_is(f[0], want) && entry_id(f[2], ret))
            return 0;
    if (!numeric)
        return err_set(e, ERR_NOT_FOUND,
                       "unable to find group %.*s: no matching entries in group file",
                       want.len < 128 ? (int)want.len : 128, want.p);
    if (number > ID_MAX)
        return err_set(e, ERR_INVALID, "uids and gids must be in range 0-%u", ID_MAX);
    *ret = (uint32_t)number;
    return 0;
}

static void add_memberships(const struct user_files *files, struct piece name, struct user *u)
{
    struct piece rest = { files->group, files->group_len }, f[7], member;
    uint32_t gid;

    while (next_entry(&rest, f, 3))
        while (piece_next(&f[3], ',', &member))
            if (piece_is(member, name) && entry_id(f[2], &gid))
                add_group(u, gid);
}

int user_resolve(const struct user_files *files, const char *spec, const struct strv *extra,
                 struct user *ret, struct err *e)
{
    struct piece rest = piece_of(spec ? spec : ""), user = { 0 }, name = { 0 };
    uint32_t gid;
    int r;

    *ret = (struct user){ 0 };
    (void)piece_next(&rest, ':', &user); /* what is left is the group */
    r = find_user(files, user, ret, &name, e);
    if (r >= 0 && rest.len)
        r = find_group(files, rest, &ret->gid, e);
    if (r < 0)
        goto out;
    add_group(ret, ret->gid);
    if (!rest.len && name.len)
        add_memberships(files, name, ret);
    for (size_t i = 0; i < extra->n && r >= 0; i++) {
        r = find_group(files, piece_of(extra->v[i]), &gid, e);
        if (r >= 0)
            add_group(ret, gid);
    }
out:
    if (r < 0)
        user_done(ret);
    return r;
}

void user_done(struct user *u)
{
    free(u->home);
    *u = (struct user){ 0 };
}

void user_name(const struct user_files *files, uint32_t uid, char *ret, size_t size)
{
    struct piece rest = { files->passwd, files->passwd_len }, f[7];
    uint32_t id;

    ret[0] = '\0';
    while (next_entry(&rest, f, 4))
        if (entry_id(f[2], &id) && id == uid && !memchr(f[0].p, '\0', f[0].len)) {
            size_t len = f[0].len < size ? f[0].len : size - 1;

            memcpy(ret, f[0].p, len);
            ret[len] = '\0';
            return;
        }
}
