#include "sign/read.h"

#include "sign/b64.h"
#include "util/parse.h"

#include <string.h>

int read_str(const json_t *o, const char *key, const char **ret, struct err *e)
{
    const char *text;
    int r = json_get_str(o, key, &text, e);

    if (r < 0)
        return r;
    if (!text)
        return err_set(e, ERR_CORRUPT, "'%s' is missing", key);
    *ret = text;
    return 0;
}

int read_obj(const json_t *o, const char *key, json_t **ret, struct err *e)
{
    json_t *v;
    int r = json_get_obj(o, key, &v, e);

    if (r < 0)
        return r;
    if (!v)
        return err_set(e, ERR_CORRUPT, "'%s' is missing", key);
    *ret = v;
    return 0;
}

int read_number(const json_t *o, const char *key, uint64_t *ret, struct err *e)
{
    const json_t *v = json_object_get(o, key);

    if (json_is_string(v)) {
        if (parse_u64(json_string_value(v), 0, INT64_MAX, ret, e) < 0)
            return err_ctx(e, "'%s'", key);
        return 0;
    }
    if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
        return err_set(e, ERR_CORRUPT, "'%s' is not a number", key);
    *ret = (uint64_t)json_integer_value(v);
    return 0;
}

int read_b64(const json_t *o, const char *key, struct str *ret, struct err *e)
{
    const char *text = NULL;
    int r = read_str(o, key, &text, e);

    if (r < 0)
        return r;
    if (!b64_decode(text, strlen(text), ret))
        return err_set(e, ERR_CORRUPT, "'%s' is not base64 of at most %zu bytes", key, ret->max);
    return 0;
}
