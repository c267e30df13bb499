#include "show/filter.h"

#include <string.h>

static bool is_key(const char *text, const char *key)
{
    size_t len = strlen(key);

    return !strncmp(text, key, len) && text[len] == '=';
}

int show_filters_parse(const char *const *args, size_t n, const char *const *keys,
                       struct show_filters *ret, struct err *e)
{
    ret->n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *eq = strchr(args[i], '=');
        const char *const *k = keys;

        if (!eq)
            return err_set(e, ERR_USAGE,
                           "invalid argument \"%.100s\" for \"-f, --filter\" flag: "
                           "bad format of filter (expected name=value)",
                           args[i]);
        while (*k && !is_key(args[i], *k))
            k++;
        if (!*k)
            return err_set(e, ERR_INVALID, "invalid filter '%.*s'",
                           (int)(eq - args[i] > 100 ? 100 : eq - args[i]), args[i]);
        if (ret->n == FILTERS_MAX)
            return err_set(e, ERR_LIMIT, "Too many filters");
        ret->text[ret->n++] = args[i];
    }
    return 0;
}

bool show_filters_has(const struct show_filters *f, const char *key)
{
    for (size_t i = 0; i < f->n; i++)
        if (is_key(f->text[i], key))
            return true;
    return false;
}

bool show_filters_any(const struct show_filters *f, const char *key, show_match *match,
                      const void *arg)
{
    bool asked = false;

    for (size_t i = 0; i < f->n; i++) {
        if (!is_key(f->text[i], key))
            continue;
        asked = true;
        if (match(strchr(f->text[i], '=') + 1, arg))
            return true;
    }
    return !asked;
}

bool show_filters_all(const struct show_filters *f, const char *key, show_match *match,
                      const void *arg)
{
    for (size_t i = 0; i < f->n; i++)
        if (is_key(f->text[i], key) && !match(strchr(f->text[i], '=') + 1, arg))
            return false;
    return true;
}
