#include "oci/json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* jansson refuses what is 2048 deep, but later walks (dump, templates) recurse as well. */
static bool too_deep(const void *text, size_t len)
{
    const char *p = text;
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        if (quoted && p[i] == '\\') {
            i++; /* whatever is escaped */
        } else if (quoted) {
            quoted = p[i] != '"';
        } else if (p[i] == '"') {
            quoted = true;
        } else if (p[i] == '[' || p[i] == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (p[i] == ']' || p[i] == '}') {
            depth -= depth > 0;
        }
    }
    return false;
}

int json_parse(const void *text, size_t len, const char *what, json_t **ret, struct err *e)
{
    json_error_t error;
    json_t *j;

    if (len > JSON_DOC_MAX)
        return err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", what, JSON_DOC_MAX);
    if (too_deep(text, len))
        return err_set(e, ERR_LIMIT, "%s is nested more than %d deep", what, JSON_DEPTH_MAX);
    j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!j)
        return err_set(e, ERR_CORRUPT, "%s: line %d: %s", what, error.line, error.text);
    *ret = j;
    return 0;
}

static json_t *member(const json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return json_is_null(v) ? NULL : v;
}

int json_get_str(const json_t *o, const char *key, const char **ret, struct err *e)
{
    json_t *v = member(o, key);

    if (v && !json_is_string(v))
        return err_set(e, ERR_CORRUPT, "'%s' is not a string", key);
    *ret = json_string_value(v);
    return 0;
}

int json_get_obj(const json_t *o, const char *key, json_t **ret, struct err *e)
{
    json_t *v = member(o, key);

    if (v && !json_is_object(v))
        return err_set(e, ERR_CORRUPT, "'%s' is not an object", key);
    *ret = v;
    return 0;
}

int json_get_arr(const json_t *o, const char *key, json_t **ret, struct err *e)
{
    json_t *v = member(o, key);

    if (v && !json_is_array(v))
        return err_set(e, ERR_CORRUPT, "'%s' is not an array", key);
    *ret = v;
    return 0;
}

int json_get_u64(const json_t *o, const char *key, uint64_t *ret, struct err *e)
{
    json_t *v = member(o, key);

    if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
        return err_set(e, ERR_CORRUPT, "'%s' is not a positive number", key);
    *ret = (uint64_t)json_integer_value(v);
    return 0;
}

void strv_free(char **v)
{
    for (size_t i = 0; v && v[i]; i++)
        free(v[i]);
    free(v);
}

int json_get_strv(const json_t *o, const char *key, char ***ret, struct err *e)
{
    json_t *arr, *item;
    char **v;
    size_t i;
    int r;

    r = json_get_arr(o, key, &arr, e);
    if (r < 0)
        return r;
    v = calloc(json_array_size(arr) + 1, sizeof(*v));
    if (!v)
        return err_os(e, "%s", key);
    json_array_foreach(arr, i, item)
    {
        v[i] = json_is_string(item) ? strdup(json_string_value(item)) : NULL;
        if (!v[i]) {
            strv_free(v);
            return err_set(e, ERR_CORRUPT, "'%s' is not an array of strings", key);
        }
    }
    *ret = v;
    return 0;
}
