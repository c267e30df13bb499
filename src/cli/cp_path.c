#include "cli/cp_path.h"

#include "util/own.h"
#include "util/str.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

/* Drop the last element, unless that is "..". False when there is none. */
static bool pop(struct str *out, size_t root)
{
    const char *slash = out->len > root ? strrchr(out->p, '/') : NULL;
    size_t at = slash ? (size_t)(slash - out->p) : 0;

    if (out->len <= root || strcmp(slash ? slash + 1 : out->p, "..") == 0)
        return false;
    out->len = at < root ? root : at;
    out->p[out->len] = '\0';
    return true;
}

char *path_clean(const char *path)
{
    struct str out = STR_INIT(0);
    size_t root = path[0] == '/';
    char *ret;

    if (root)
        (void)str_addc(&out, '/');
    for (const char *p = path; *p && !out.failed;) {
        size_t n = strcspn(p, "/");
        bool up = n == 2 && p[0] == '.' && p[1] == '.';

        if (n && !(n == 1 && p[0] == '.') && !(up && (pop(&out, root) || root))) {
            if (out.len > root)
                (void)str_addc(&out, '/');
            (void)str_add(&out, p, n);
        }
        p += n;
        p += *p == '/';
    }
    if (!out.len && !out.failed)
        (void)str_addc(&out, '.');
    ret = str_take(&out);
    str_done(&out);
    return ret;
}

char *path_base(const char *path)
{
    size_t n = strlen(path), start;

    if (n == 0)
        return strdup(".");
    while (n && path[n - 1] == '/')
        n--;
    if (n == 0)
        return strdup("/");
    for (start = n; start && path[start - 1] != '/';)
        start--;
    return strndup(path + start, n - start);
}

bool path_ends_in_slash(const char *path)
{
    size_t n = strlen(path);

    return n && path[n - 1] == '/';
}

bool path_is_dot(const char *path)
{
    autofree char *base = path_base(path);

    return base && strcmp(base, ".") == 0;
}

bool path_asks_dir(const char *path)
{
    return path_ends_in_slash(path) || path_is_dot(path);
}

char *path_keep_end(const char *cleaned, const char *original)
{
    bool dot = !path_is_dot(cleaned) && path_is_dot(original);
    bool slash = path_ends_in_slash(cleaned);

    if (dot && path_ends_in_slash(original))
        return str_format("%s%s./", cleaned, slash ? "" : "/");
    if (dot)
        return str_format("%s%s.", cleaned, slash ? "" : "/");
    return str_format("%s%s", cleaned, !slash && path_ends_in_slash(original) ? "/" : "");
}

int path_split(const char *path, char **ret_dir, char **ret_base, struct err *e)
{
    autofree char *clean = path_clean(path), *dir = NULL, *base = NULL;
    const char *slash;

    if (!clean)
        return err_os(e, "path");
    if (path_is_dot(path)) {
        dir = strdup(clean);
        base = strdup(".");
    } else {
        slash = strrchr(clean, '/');
        dir = !slash           ? strdup(".")
              : slash == clean ? strdup("/")
                               : strndup(clean, (size_t)(slash - clean));
        base = path_base(clean);
    }
    if (!dir || !base)
        return err_os(e, "path");
    *ret_dir = take_ptr(dir);
    *ret_base = take_ptr(base);
    return 0;
}

int path_fail(const char *verb, const char *path, int os, struct err *e)
{
    autofree char *why = strdup(strerror(os));
    int r;

    if (why)
        *why = (char)tolower((unsigned char)*why);
    r = err_os_at(e, os, "%s", path);
    (void)snprintf(e->text, sizeof(e->text), "%s %.400s: %s", verb, path, why ? why : "error");
    return r;
}

int path_resolve(const char *path, char **ret, struct err *e)
{
    char *real = realpath(path, NULL);
    autofree char *part = NULL;
    int os = errno;
    struct stat st;

    if (real) {
        *ret = real;
        return 0;
    }
    part = strdup(path);
    for (char *p = part ? strchr(part + 1, '/') : NULL; p; p = strchr(p + 1, '/')) {
        *p = '\0'; /* the first one that is not there is the one to name */
        if (stat(part, &st) < 0)
            return path_fail("lstat", part, errno, e);
        *p = '/';
    }
    return path_fail("lstat", path, os, e);
}
