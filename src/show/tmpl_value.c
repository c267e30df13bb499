#include "show/tmpl.h"

#include <math.h>
#include <string.h>

struct value value_string(const char *s, size_t len)
{
    return (struct value){ .kind = V_STRING, .s = s, .len = len };
}

struct value value_int(int64_t i)
{
    return (struct value){ .kind = V_INT, .i = i };
}

struct value value_bool(bool yes)
{
    return (struct value){ .kind = V_BOOL, .yes = yes };
}

struct value value_of(const json_t *j, const struct show_type *type)
{
    struct value v = { .kind = V_NIL, .type = type };

    if (!j)
        return (struct value){ .kind = V_NONE };
    switch (json_typeof(j)) {
    case JSON_NULL:
        return v;
    case JSON_TRUE:
    case JSON_FALSE:
        return value_bool(json_is_true(j));
    case JSON_INTEGER:
        return value_int(json_integer_value(j));
    case JSON_REAL:
        return (struct value){ .kind = V_FLOAT, .f = json_real_value(j) };
    case JSON_STRING:
        v = value_string(json_string_value(j), json_string_length(j));
        v.type = type;
        return v;
    case JSON_ARRAY:
        v.kind = V_LIST;
        v.json = j;
        v.to = json_array_size(j);
        return v;
    case JSON_OBJECT:
        v.kind = V_MAP;
        v.json = j;
        return v;
    }
    return v;
}

bool value_is_struct(const struct value *v)
{
    return v->type && (v->type->form == SHOW_STRUCT || v->type->form == SHOW_PTR);
}

static const struct show_type *field_type(const struct show_type *type, const char *key)
{
    if (!type)
        return NULL;
    for (const struct show_field *f = type->fields; f && f->name; f++)
        if (!strcmp(f->name, key))
            return f->type;
    return type->elem;
}

struct value value_at(const struct value *list, size_t i)
{
    struct value v = value_of(json_array_get(list->json, list->from + i),
                              list->type ? list->type->elem : NULL);

    v.boxed = !list->type && !list->name;
    return v;
}

struct value value_get(const struct value *map, const char *key)
{
    struct value v = value_of(json_object_get(map->json, key), field_type(map->type, key));

    v.boxed = !map->type;
    return v;
}

bool value_may_lack(const struct value *map, const char *key, struct value *ret)
{
    const struct show_type *type =
        map->type && map->type->fields ? field_type(map->type, key) : NULL;

    if (!type || type->form != SHOW_PTR || type == map->type->elem)
        return false;
    *ret = (struct value){ .kind = V_NIL, .type = type, .s = key };
    return true;
}

size_t value_len(const struct value *v)
{
    if (v->kind == V_STRING)
        return v->len;
    if (v->kind == V_LIST)
        return v->to - v->from;
    return v->kind == V_MAP ? json_object_size(v->json) : 0;
}

bool value_true(const struct value *v)
{
    switch (v->kind) {
    case V_NONE:
    case V_NIL:
        return false;
    case V_BOOL:
        return v->yes;
    case V_INT:
        return v->i != 0;
    case V_FLOAT:
        return v->f != 0;
    case V_STRING:
    case V_LIST:
        return value_len(v) > 0;
    case V_MAP:
        return value_is_struct(v) || value_len(v) > 0;
    }
    return false;
}

const char *value_type_name(const struct value *v)
{
    if (v->type && v->type->name)
        return v->type->name;
    switch (v->kind) {
    case V_NONE:
    case V_NIL:
        return "interface {}";
    case V_BOOL:
        return "bool";
    case V_INT:
        return v->name ? v->name : "int";
    case V_FLOAT:
        return "float64";
    case V_STRING:
        return "string";
    case V_LIST:
        return v->name ? v->name : "[]interface {}";
    case V_MAP:
        return "map[string]interface {}";
    }
    return "?";
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **value_keys(struct arena *a, const struct value *map)
{
    const char **keys = arena_alloc(a, (value_len(map) + 1) * sizeof(*keys));
    const char *key;
    json_t *value;
    size_t n = 0;

    if (!keys)
        return NULL;
    json_object_foreach((json_t *)map->json, key, value)
    {
        if (*key != '\1') /* those are for methods only */
            keys[n++] = key;
    }
    if (!value_is_struct(map))
        qsort(keys, n, sizeof(*keys), by_name);
    return keys;
}

static void json_string_body(const char *s, size_t len, bool html, struct str *out)
{
    static const char names[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *hit = c ? strchr(names, c) : NULL;

        if (hit)
            str_addf(out, "\\%c", letters[hit - names]);
        else if (c < ' ' || (html && strchr("<>&", c)))
            str_addf(out, "\\u%04x", c);
        else if (c == 0xe2 && i + 2 < len && (unsigned char)s[i + 1] == 0x80 &&
                 ((unsigned char)s[i + 2] | 1) == 0xa9) { /* line separators break JavaScript */
            str_addf(out, "\\u202%c", s[i + 2] & 1 ? '9' : '8');
            i += 2;
        } else
            str_addc(out, (char)c);
    }
}

static void json_text(const char *s, size_t len, bool html, struct str *out)
{
    str_addc(out, '"');
    json_string_body(s, len, html, out);
    str_addc(out, '"');
}

static void json_float(double f, struct str *out)
{
    double size = fabs(f);
    size_t from = out->len, end;

    if (size == 0 || (size >= 1e-6 && size < 1e21)) {
        print_float(out, f, 'f', -1);
        return;
    }
    print_float(out, f, 'e', -1);
    end = out->len; /* Go writes 1e-7, not 1e-07 */
    if (!out->failed && end - from > 3 && !memcmp(out->p + end - 4, "e-0", 3)) {
        out->p[end - 2] = out->p[end - 1];
        out->p[end - 1] = '\0';
        out->len--;
    }
}

static void json_map(const struct value *v, bool html, struct str *out, int depth)
{
    struct arena a = { .max = TMPL_VALUE_MAX };
    const char **keys = value_keys(&a, v);

    str_addc(out, '{');
    for (const char **k = keys; k && *k; k++) {
        struct value item = value_get(v, *k);

        if (k != keys)
            str_addc(out, ',');
        json_text(*k, strlen(*k), html, out);
        str_addc(out, ':');
        value_json(&item, html, out, depth + 1);
    }
    str_addc(out, '}');
    if (!keys)
        out->failed = true;
    arena_done(&a);
}

void value_json(const struct value *v, bool html, struct str *out, int depth)
{
    html = html || (v->type && v->type->escape_html);
    if (depth > TMPL_DEPTH_MAX) {
        out->failed = true;
        return;
    }
    switch (v->kind) {
    case V_NONE:
    case V_NIL:
        str_adds(out, "null");
        break;
    case V_BOOL:
        str_adds(out, v->yes ? "true" : "false");
        break;
    case V_INT:
        str_addf(out, "%lld", (long long)v->i);
        break;
    case V_FLOAT:
        json_float(v->f, out);
        break;
    case V_STRING:
        json_text(v->s, v->len, html, out);
        break;
    case V_LIST:
        str_addc(out, '[');
        for (size_t i = 0; i < value_len(v); i++) {
            struct value item = value_at(v, i);

            if (i)
                str_addc(out, ',');
            value_json(&item, html, out, depth + 1);
        }
        str_addc(out, ']');
        break;
    case V_MAP:
        json_map(v, html, out, depth);
        break;
    }
}

void show_json(const json_t *v, const struct show_type *type, struct str *out)
{
    struct value root = value_of(v, type);

    value_json(&root, false, out, 0);
}
