#include "box/box.h"

#include <string.h>

static bool is_key(const char *text, const char *key)
{
    size_t len = strlen(key);

    return !strncmp(text, key, len) && text[len] == '=';
}

static const char *find(const struct strv *env, const char *key)
{
    for (size_t i = 0; i < env->n; i++)
        if (is_key(env->v[i], key))
            return env->v[i];
    return NULL;
}

static bool add_first(struct strv *to, const struct strv *env, const char *key, const char *other)
{
    const char *own = find(env, key);

    return strv_add(to, own ? own : other);
}

int box_env(const struct box *box, bool tty, struct strv *ret, struct err *e)
{
    const struct strv *env = &box->spec.env;
    autofree char *hostname = box->spec.hostname ? str_format("HOSTNAME=%s", box->spec.hostname)
                                                 : str_format("HOSTNAME=%.12s", box->id);
    struct strv list = { 0 };
    bool ok;

    ok = hostname &&
         add_first(&list, env, "PATH",
                   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") &&
         add_first(&list, env, "HOSTNAME", hostname) &&
         (!tty || add_first(&list, env, "TERM", "TERM=xterm"));
    for (size_t i = 0; ok && i < env->n; i++)
        if (!is_key(env->v[i], "PATH") && !is_key(env->v[i], "HOSTNAME") &&
            !(tty && is_key(env->v[i], "TERM")))
            ok = strv_add(&list, env->v[i]);
    if (!ok) {
        strv_done(&list);
        return err_set(e, ERR_LIMIT, "environment of the box: out of memory");
    }
    *ret = list;
    return 0;
}
