/* Environment and label files, as docker reads them. */
#include "cli/flags_box.h"

#include "util/fs.h"

#include <fcntl.h>
#include <string.h>

#define FILE_MAX ((size_t)4 << 20) /* far more than execve() takes */

static size_t key_len(const char *text)
{
    return strcspn(text, "=");
}

static void remove_at(struct strv *list, size_t i)
{
    free(list->v[i]);
    memmove(&list->v[i], &list->v[i + 1], (list->n - i) * sizeof(*list->v)); /* with the NULL */
    list->n--;
}

bool env_set(struct strv *env, const char *text)
{
    size_t len = key_len(text);

    for (size_t i = 0; i < env->n; i++) {
        char *copy;

        if (key_len(env->v[i]) != len || strncmp(env->v[i], text, len) != 0)
            continue;
        if (!text[len]) {
            remove_at(env, i);
            return true;
        }
        copy = strdup(text);
        if (!copy)
            return false;
        free(env->v[i]);
        env->v[i] = copy;
        return true;
    }
    return !text[len] || strv_add(env, text);
}

/* "K" stands for K's value here; a K that is not set removes what is there. */
static bool env_take(struct strv *env, const char *text)
{
    const char *value = strchr(text, '=') ? NULL : getenv(text);
    autofree char *line = value ? str_format("%s=%s", text, value) : NULL;

    return env_set(env, line ? line : text);
}

static int read_lines(const char *flag, const char *path, struct str *ret, struct err *e)
{
    ret->max = FILE_MAX;
    if (fs_read_file(AT_FDCWD, path, ret, e) < 0)
        return err_ctx(e, "--%s", flag);
    if (ret->len && strlen(ret->p) != ret->len)
        return err_set(e, ERR_INVALID, "--%s %.255s: a NUL byte is in it", flag, path);
    if (ret->len >= 3 && !memcmp(ret->p, "\xef\xbb\xbf", 3))
        str_drop(ret, 3); /* written on Windows */
    return 0;
}

static int check_line(const char *path, const char *line, struct err *e)
{
    size_t len = key_len(line);

    if (!len)
        return err_set(e, ERR_INVALID, "%.200s: no variable name on line '%.100s'", path, line);
    if (strcspn(line, " \t") < len)
        return err_set(e, ERR_INVALID, "%.200s: variable '%.*s' contains whitespaces", path,
                       (int)(len < 100 ? len : 100), line);
    return 0;
}

/* Calls `take` for each line that is neither blank nor a comment. */
static int each_line(const char *flag, const char *path,
                     bool (*take)(struct strv *list, const char *line), struct strv *list,
                     struct err *e)
{
    autostr text = STR_INIT(0);
    char *line, *next;
    int r;

    r = read_lines(flag, path, &text, e);
    for (line = text.p; r == 0 && line && *line; line = next) {
        size_t len = strcspn(line, "\n");

        next = line + len + (line[len] == '\n');
        line[len] = '\0';
        if (len && line[len - 1] == '\r')
            line[len - 1] = '\0';
        line += strspn(line, " \t");
        if (!*line || *line == '#')
            continue;
        r = check_line(path, line, e);
        if (r == 0 && !take(list, line))
            r = err_set(e, ERR_LIMIT, "--%s %.255s: too much", flag, path);
    }
    return r;
}

int flags_env(const struct str_list *files, const struct str_list *values, struct strv *env,
              struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && files && i < files->n; i++)
        r = each_line("env-file", files->v[i], env_take, env, e);
    for (size_t i = 0; r == 0 && i < values->n; i++) {
        if (!key_len(values->v[i]))
            return err_set(e, ERR_INVALID, "invalid environment variable: %.200s", values->v[i]);
        if (!env_take(env, values->v[i]))
            r = err_set(e, ERR_LIMIT, "--env: too much");
    }
    return r;
}
