#include "show/tmpl.h"

#include <ctype.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* Go's builtins and docker's additions. `and`, `or` are in tmpl_exec.c: they do not evaluate
 * all of their arguments. */

#define ARGS const struct value *args UNUSED, size_t n UNUSED, struct value *ret, struct err *e
typedef int function(struct call *c, ARGS);

static int no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "result is too big");
}

/* Give the text to *ret. */
static int finish(struct call *c, struct str *text, struct value *ret, struct err *e)
{
    const char *copy = text->failed ? NULL : arena_copy(c->arena, str_c(text), text->len);

    if (!copy)
        return no_memory(e);
    *ret = value_string(copy, text->len);
    return 0;
}

/* ---- index, slice, len ---- */

static int index_arg(const struct value *v, size_t limit, size_t *ret, struct err *e)
{
    if (v->kind == V_NIL || v->kind == V_NONE)
        return err_set(e, ERR_INVALID, "cannot index slice/array with nil");
    if (v->kind != V_INT)
        return err_set(e, ERR_INVALID, "cannot index slice/array with type %s",
                       value_type_name(v));
    if (v->i < 0 || (uint64_t)v->i > limit)
        return err_set(e, ERR_INVALID, "index out of range: %lld", (long long)v->i);
    *ret = (size_t)v->i;
    return 0;
}

static int index_map(const struct value *map, const struct value *key, struct value *ret,
                     struct err *e)
{
    if (key->kind == V_NIL || key->kind == V_NONE)
        return err_set(e, ERR_INVALID, "value is nil; should be of type string");
    if (key->kind != V_STRING)
        return err_set(e, ERR_INVALID, "value has type %s; should be string",
                       value_type_name(key));
    *ret = value_get(map, key->s);
    if (ret->kind == V_NONE)
        ret->kind = V_NIL; /* the zero value of the element type */
    return 0;
}

static int index_one(const struct value *item, const struct value *key, struct value *ret,
                     struct err *e)
{
    size_t i = 0, len = value_len(item);
    int r;

    if (item->kind == V_NIL || item->kind == V_NONE)
        return err_set(e, ERR_INVALID, "index of nil pointer");
    if (item->kind == V_MAP && !value_is_struct(item))
        return index_map(item, key, ret, e);
    if (item->kind != V_LIST && item->kind != V_STRING)
        return err_set(e, ERR_INVALID, "can't index item of type %s", value_type_name(item));
    r = index_arg(key, len, &i, e);
    if (r < 0)
        return r;
    if (i == len)
        return err_set(e, ERR_INVALID, "reflect: %s index out of range",
                       item->kind == V_LIST ? "slice" : "string");
    *ret = item->kind == V_LIST ? value_at(item, i) : value_int((unsigned char)item->s[i]);
    if (item->kind == V_STRING)
        ret->name = "uint8";
    return 0;
}

static int do_index(struct call *c UNUSED, ARGS)
{
    struct value item = args[0];

    if (item.kind == V_NIL || item.kind == V_NONE)
        return err_set(e, ERR_INVALID, "index of untyped nil");
    for (size_t i = 1; i < n; i++) {
        struct value next;
        int r = index_one(&item, &args[i], &next, e);

        if (r < 0)
            return r;
        item = next;
    }
    *ret = item;
    return 0;
}

static int do_slice(struct call *c, ARGS)
{
    size_t at[3] = { 0, value_len(&args[0]), 0 }, len = at[1];
    struct value v = args[0];

    if (v.kind == V_NIL || v.kind == V_NONE)
        return err_set(e, ERR_INVALID, "slice of untyped nil");
    if (n > 4)
        return err_set(e, ERR_INVALID, "too many slice indexes: %zu", n - 1);
    if (v.kind != V_STRING && v.kind != V_LIST)
        return err_set(e, ERR_INVALID, "can't slice item of type %s", value_type_name(&v));
    if (v.kind == V_STRING && n == 4)
        return err_set(e, ERR_INVALID, "cannot 3-index slice a string");
    for (size_t i = 1; i < n; i++) {
        int r = index_arg(&args[i], len, &at[i - 1], e);

        if (r < 0)
            return r;
    }
    if (at[0] > at[1])
        return err_set(e, ERR_INVALID, "invalid slice index: %zu > %zu", at[0], at[1]);
    if (n == 4 && at[1] > at[2])
        return err_set(e, ERR_INVALID, "invalid slice index: %zu > %zu", at[1], at[2]);
    if (v.kind == V_STRING) {
        v.s = arena_copy(c->arena, v.s + at[0], at[1] - at[0]);
        v.len = at[1] - at[0];
        if (!v.s)
            return no_memory(e);
    } else {
        v.to = v.from + at[1];
        v.from += at[0];
    }
    *ret = v;
    return 0;
}

static int do_len(struct call *c UNUSED, ARGS)
{
    const struct value *v = &args[0];

    if (v->kind == V_NIL || v->kind == V_NONE)
        return err_set(e, ERR_INVALID, "len of nil pointer");
    if ((v->kind != V_STRING && v->kind != V_LIST && v->kind != V_MAP) || value_is_struct(v))
        return err_set(e, ERR_INVALID, "len of type %s", value_type_name(v));
    *ret = value_int((int64_t)value_len(v));
    return 0;
}

/* ---- comparison ---- */

static bool is_nil(const struct value *v)
{
    return v->kind == V_NIL || v->kind == V_NONE;
}

static bool is_basic(const struct value *v)
{
    return v->kind == V_BOOL || v->kind == V_INT || v->kind == V_FLOAT || v->kind == V_STRING;
}

static int compare_text(const struct value *a, const struct value *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    int r = len ? memcmp(a->s, b->s, len) : 0;

    return r ? r : (a->len > b->len) - (a->len < b->len);
}

static int equal(const struct value *a, const struct value *b, bool *ret, struct err *e)
{
    bool same = a->kind == b->kind;

    *ret = false;
    if (is_basic(a) || is_basic(b)) {
        if (is_nil(a) || is_nil(b))
            return 0;
        if (!same)
            return err_set(e, ERR_INVALID, "incompatible types for comparison: %s and %s",
                           value_type_name(a), value_type_name(b));
        *ret = a->kind == V_BOOL    ? a->yes == b->yes
               : a->kind == V_INT   ? a->i == b->i
               : a->kind == V_FLOAT ? a->f == b->f
                                    : compare_text(a, b) == 0;
        return 0;
    }
    if (is_nil(a) || is_nil(b)) {
        *ret = is_nil(a) && is_nil(b);
        return 0;
    }
    return err_set(e, ERR_INVALID, "non-comparable type %s", value_type_name(b));
}

static int less(const struct value *a, const struct value *b, bool *ret, struct err *e)
{
    if (!is_basic(a) || !is_basic(b))
        return err_set(e, ERR_INVALID, "invalid type for comparison");
    if (a->kind != b->kind)
        return err_set(e, ERR_INVALID, "incompatible types for comparison: %s and %s",
                       value_type_name(a), value_type_name(b));
    if (a->kind == V_BOOL)
        return err_set(e, ERR_INVALID, "invalid type for comparison");
    *ret = a->kind == V_INT     ? a->i < b->i
           : a->kind == V_FLOAT ? a->f < b->f
                                : compare_text(a, b) < 0;
    return 0;
}

static int do_eq(struct call *c UNUSED, ARGS)
{
    if (n < 2)
        return err_set(e, ERR_INVALID, "missing argument for comparison");
    for (size_t i = 1; i < n; i++) {
        bool same;
        int r = equal(&args[0], &args[i], &same, e);

        if (r < 0)
            return r;
        *ret = value_bool(same);
        if (same)
            break;
    }
    return 0;
}

static int do_ne(struct call *c UNUSED, ARGS)
{
    bool same;
    int r = equal(&args[0], &args[1], &same, e);

    *ret = value_bool(!same);
    return r;
}

static int do_lt(struct call *c UNUSED, ARGS)
{
    bool is = false;
    int r = less(&args[0], &args[1], &is, e);

    *ret = value_bool(is);
    return r;
}

static int do_le(struct call *c UNUSED, ARGS)
{
    bool is = false;
    int r = less(&args[0], &args[1], &is, e);

    if (r >= 0 && !is)
        r = equal(&args[0], &args[1], &is, e);
    *ret = value_bool(is);
    return r;
}

static int do_gt(struct call *c, ARGS)
{
    int r = do_le(c, args, n, ret, e);

    ret->yes = !ret->yes;
    return r;
}

static int do_ge(struct call *c, ARGS)
{
    int r = do_lt(c, args, n, ret, e);

    ret->yes = !ret->yes;
    return r;
}

static int do_not(struct call *c UNUSED, ARGS)
{
    (void)e; /* cannot fail */
    *ret = value_bool(!value_true(&args[0]));
    return 0;
}

/* ---- text ---- */

static int do_print(struct call *c, ARGS)
{
    autostr text = STR_INIT(0);
    struct printer p = { c->arena, &text };

    print_all(&p, args, n, false);
    return finish(c, &text, ret, e);
}

static int do_println(struct call *c, ARGS)
{
    autostr text = STR_INIT(0);
    struct printer p = { c->arena, &text };

    print_all(&p, args, n, true);
    return finish(c, &text, ret, e);
}

static int do_printf(struct call *c, ARGS)
{
    autostr text = STR_INIT(0);
    struct printer p = { c->arena, &text };

    print_format(&p, &args[0], args + 1, n - 1);
    return finish(c, &text, ret, e);
}

/* The arguments as one text: what html, js and urlquery escape. */
static void gather(struct call *c, const struct value *args, size_t n, struct str *text)
{
    struct printer p = { c->arena, text };

    for (size_t i = 0; i < n; i++) {
        bool spaced = i && args[i].kind > V_NIL && args[i].kind != V_STRING &&
                      args[i - 1].kind > V_NIL && args[i - 1].kind != V_STRING;

        if (spaced)
            str_addc(text, ' ');
        if (args[i].kind <= V_NIL)
            str_adds(text, "<no value>");
        else
            print_value(&p, &args[i]);
    }
}

static int do_html(struct call *c, ARGS)
{
    static const char *const names[] = {
        ['"'] = "&#34;", ['\''] = "&#39;", ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;",
    };
    autostr in = STR_INIT(0), out = STR_INIT(0);

    gather(c, args, n, &in);
    for (size_t i = 0; i < in.len; i++) {
        unsigned char ch = (unsigned char)in.p[i];

        if (!ch)
            str_adds(&out, "\xef\xbf\xbd");
        else if (ch < ARRAY_LEN(names) && names[ch])
            str_adds(&out, names[ch]);
        else
            str_addc(&out, (char)ch);
    }
    out.failed |= in.failed;
    return finish(c, &out, ret, e);
}

static int do_js(struct call *c, ARGS)
{
    autostr in = STR_INIT(0), out = STR_INIT(0);

    gather(c, args, n, &in);
    for (size_t i = 0; i < in.len; i++) {
        unsigned char ch = (unsigned char)in.p[i];

        if (ch && strchr("\\'\"", ch))
            str_addf(&out, "\\%c", ch);
        else if (ch < ' ' || strchr("<>&=", ch))
            str_addf(&out, "\\u%04X", ch);
        else
            str_addc(&out, (char)ch);
    }
    out.failed |= in.failed;
    return finish(c, &out, ret, e);
}

static int do_urlquery(struct call *c, ARGS)
{
    autostr in = STR_INIT(0), out = STR_INIT(0);

    gather(c, args, n, &in);
    for (size_t i = 0; i < in.len; i++) {
        unsigned char ch = (unsigned char)in.p[i];

        if (ch < 0x80 && (isalnum(ch) || (ch && strchr("-_.~", ch))))
            str_addc(&out, (char)ch);
        else if (ch == ' ')
            str_addc(&out, '+');
        else
            str_addf(&out, "%%%02X", ch);
    }
    out.failed |= in.failed;
    return finish(c, &out, ret, e);
}

static int do_call(struct call *c, ARGS)
{
    (void)ret;
    if (is_nil(&args[0]))
        return err_set(e, ERR_INVALID, "call of nil");
    return err_set(e, ERR_INVALID, "non-function %s of type %s", c->callee ? c->callee : "value",
                   value_type_name(&args[0]));
}

/* ---- docker's ---- */

static int do_json(struct call *c, ARGS)
{
    autostr text = STR_INIT(0);

    if (c->header) {
        *ret = args[0];
        return 0;
    }
    value_json(&args[0], false, &text, 0);
    return finish(c, &text, ret, e);
}

static int do_split(struct call *c, ARGS)
{
    const char *s = args[0].s, *sep = args[1].s, *hit;
    json_t *list = json_array();
    bool ok = list && !json_array_append_new(c->owned, list);

    if (!args[1].len) {
        for (size_t step; ok && *s; s += step) { /* into characters */
            for (step = 1; ((unsigned char)s[step] & 0xc0) == 0x80; step++)
                ;
            ok = !json_array_append_new(list, json_stringn(s, step));
        }
    } else {
        for (; ok && (hit = strstr(s, sep)); s = hit + args[1].len)
            ok = !json_array_append_new(list, json_stringn(s, (size_t)(hit - s)));
        ok = ok && !json_array_append_new(list, json_string(s));
    }
    if (!ok)
        return no_memory(e);
    *ret = value_of(list, NULL);
    ret->name = "[]string";
    return 0;
}

static int do_join(struct call *c, ARGS)
{
    autostr text = STR_INIT(0);
    struct printer p = { c->arena, &text };

    if (c->header && args[0].kind == V_STRING) {
        *ret = args[0];
        return 0;
    }
    if (args[0].kind != V_LIST && !is_nil(&args[0]))
        return err_set(e, ERR_INVALID, "wrong type for value; expected []string; got %s",
                       value_type_name(&args[0]));
    for (size_t i = 0; i < value_len(&args[0]); i++) {
        struct value item = value_at(&args[0], i);

        if (i)
            str_add(&text, args[1].s, args[1].len);
        print_value(&p, &item);
    }
    return finish(c, &text, ret, e);
}

enum letters { LOWER, UPPER, TITLE };

/* Change the case of every character. TITLE: the first letter of each word. */
static int change_case(struct call *c, const struct value *v, enum letters to, struct value *ret,
                       struct err *e)
{
    autostr text = STR_INIT(0);
    mbstate_t state = { 0 };
    bool inside = false;

    if (c->header) {
        *ret = *v;
        return 0;
    }
    for (size_t i = 0, used; i < v->len; i += used) {
        wchar_t w = 0;

        used = mbrtowc(&w, v->s + i, v->len - i, &state);
        if (used == 0 || used > v->len - i) {
            str_addc(&text, v->s[i]);
            state = (mbstate_t){ 0 };
            used = 1;
            continue;
        }
        str_addf(&text, "%lc",
                 to == LOWER              ? towlower((wint_t)w)
                 : to == UPPER || !inside ? towupper((wint_t)w)
                                          : (wint_t)w);
        inside = iswalnum((wint_t)w) || w == '_' || (w >= 0x80 && !iswspace((wint_t)w));
    }
    return finish(c, &text, ret, e);
}

static int do_lower(struct call *c, ARGS)
{
    (void)n;
    return change_case(c, &args[0], LOWER, ret, e);
}

static int do_upper(struct call *c, ARGS)
{
    (void)n;
    return change_case(c, &args[0], UPPER, ret, e);
}

static int do_title(struct call *c, ARGS)
{
    (void)n;
    return change_case(c, &args[0], TITLE, ret, e);
}

static int do_pad(struct call *c, ARGS)
{
    autostr text = STR_INIT(0);

    if (args[1].i < 0 || args[2].i < 0 || args[1].i > TMPL_WIDTH_MAX ||
        args[2].i > TMPL_WIDTH_MAX)
        return err_set(e, ERR_INVALID, "strings: negative Repeat count");
    if (!args[0].len) {
        *ret = args[0];
        return 0;
    }
    str_addf(&text, "%*s%s%*s", (int)args[1].i, "", args[0].s, (int)args[2].i, "");
    return finish(c, &text, ret, e);
}

static int do_truncate(struct call *c, ARGS)
{
    struct value v = args[0];

    if (args[1].i < 0)
        return err_set(e, ERR_INVALID, "slice bounds out of range [:%lld]", (long long)args[1].i);
    if (!c->header && v.len > (uint64_t)args[1].i) {
        v.len = (size_t)args[1].i;
        v.s = arena_copy(c->arena, v.s, v.len);
        if (!v.s)
            return no_memory(e);
    }
    *ret = v;
    return 0;
}

static const struct {
    const char *name;
    int min, max;       /* arguments; max -1: any number */
    const char *params; /* 's'tring, 'i'nteger, '.': any */
    function *run;
} functions[] = {
    { "and", 1, -1, "", NULL },
    { "call", 1, -1, "", do_call },
    { "eq", 1, -1, "", do_eq },
    { "ge", 2, 2, "", do_ge },
    { "gt", 2, 2, "", do_gt },
    { "html", 0, -1, "", do_html },
    { "index", 1, -1, "", do_index },
    { "join", 2, 2, ".s", do_join },
    { "js", 0, -1, "", do_js },
    { "json", 1, 1, "", do_json },
    { "le", 2, 2, "", do_le },
    { "len", 1, 1, "", do_len },
    { "lower", 1, 1, "s", do_lower },
    { "lt", 2, 2, "", do_lt },
    { "ne", 2, 2, "", do_ne },
    { "not", 1, 1, "", do_not },
    { "or", 1, -1, "", NULL },
    { "pad", 3, 3, "sii", do_pad },
    { "print", 0, -1, "", do_print },
    { "printf", 1, -1, "s", do_printf },
    { "println", 0, -1, "", do_println },
    { "slice", 1, -1, "", do_slice },
    { "split", 2, 2, "ss", do_split },
    { "title", 1, 1, "s", do_title },
    { "truncate", 2, 2, "si", do_truncate },
    { "upper", 1, 1, "s", do_upper },
    { "urlquery", 0, -1, "", do_urlquery },
};

static int find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (!strcmp(functions[i].name, name))
            return (int)i;
    return -1;
}

bool tmpl_is_function(const char *name)
{
    return find(name) >= 0;
}

bool function_arity(const char *name, int *ret_min, int *ret_max)
{
    int i = find(name);

    if (i < 0)
        return false;
    *ret_min = functions[i].min;
    *ret_max = functions[i].max;
    return true;
}

char function_param(const char *name, size_t i)
{
    int f = find(name);

    if (f < 0 || i >= strlen(functions[f].params) || functions[f].params[i] == '.')
        return 0;
    return functions[f].params[i];
}

int function_call(struct call *c, const char *name, const struct value *args, size_t n,
                  struct value *ret, struct err *e)
{
    int f = find(name);

    if (f < 0 || !functions[f].run)
        return err_set(e, ERR_INTERNAL, "no function %s", name);
    return functions[f].run(c, args, n, ret, e);
}
