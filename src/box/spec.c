/* Specs as JSON. One table says what is stored; members that are zero are left out. */
#include "box/spec.h"

#include <stddef.h>
#include <string.h>

enum kind { K_STR, K_U64, K_I64, K_INT, K_BOOL, K_STRV, K_JSON, K_TMPFS, K_ULIMITS };

struct member {
    const char *key;
    enum kind kind;
    size_t offset;
};

#define M(kind, member)                                                                          \
    {                                                                                            \
#member, kind, offsetof(struct box_spec, member)                                         \
    }
#define N(kind, key, member)                                                                     \
    {                                                                                            \
        key, kind, offsetof(struct box_spec, member)                                             \
    }

static const struct member members[] = {
    M(K_STR, image),
    M(K_STR, image_id),
    M(K_STR, rootfs),
    M(K_STR, platform),
    M(K_JSON, labels),
    M(K_JSON, exposed_ports),
    M(K_JSON, image_volumes),
    M(K_STRV, entrypoint),
    M(K_STRV, cmd),
    M(K_STRV, env),
    M(K_STR, cwd),
    M(K_STR, user),
    M(K_STRV, groups),
    M(K_BOOL, tty),
    M(K_BOOL, open_stdin),
    M(K_BOOL, init),
    M(K_STR, hostname),
    M(K_STR, domainname),
    M(K_INT, stop_signal),
    M(K_U64, stop_timeout_s),
    M(K_U64, timeout_ns),
    M(K_U64, cpus),
    M(K_U64, memory_bytes),
    M(K_STR, accel),
    M(K_U64, disk_bytes),
    M(K_BOOL, read_only),
    M(K_BOOL, privileged),
    M(K_STRV, cap_add),
    M(K_STRV, cap_drop),
    M(K_STRV, security_opt),
    M(K_TMPFS, tmpfs),
    M(K_U64, shm_bytes),
    M(K_ULIMITS, ulimits),
    N(K_U64, "memory_max", limits.memory_max),
    N(K_U64, "memory_low", limits.memory_low),
    N(K_I64, "memory_swap_max", limits.memory_swap_max),
    N(K_U64, "pids_max", limits.pids_max),
    N(K_U64, "cpu_weight", limits.cpu_weight),
    M(K_U64, cpu_shares),
    N(K_U64, "cpu_quota_us", limits.cpu_quota_us),
    N(K_U64, "cpu_period_us", limits.cpu_period_us),
    N(K_STR, "cpuset", limits.cpuset),
    N(K_I64, "oom_score_adj", limits.oom_score_adj),
    M(K_STRV, add_host),
    M(K_STRV, dns),
    M(K_STRV, dns_search),
    M(K_STRV, dns_option),
    M(K_STR, network),
    M(K_BOOL, auto_remove),
    M(K_STR, log_driver),
    M(K_JSON, log_opts),
    M(K_STR, restart_policy),
    M(K_U64, restart_max),
    M(K_STRV, health_test),
    M(K_STRV, health_shell),
    M(K_U64, health_interval_ns),
    M(K_U64, health_timeout_ns),
    M(K_U64, health_start_period_ns),
    M(K_U64, health_start_interval_ns),
    M(K_U64, health_retries),
};

static void free_tmpfs(struct tlv_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(TLV_AT(list, struct mount_tmpfs, i)->path);
        free(TLV_AT(list, struct mount_tmpfs, i)->options);
    }
    free(list->v);
}

static void free_ulimits(struct tlv_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(TLV_AT(list, struct box_ulimit, i)->name);
    free(list->v);
}

void box_spec_done(struct box_spec *spec)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        void *at = (char *)spec + members[i].offset;

        switch (members[i].kind) {
        case K_STR:
            free(*(char **)at);
            break;
        case K_STRV:
            strv_done(at);
            break;
        case K_JSON:
            json_decref(*(json_t **)at);
            break;
        case K_TMPFS:
            free_tmpfs(at);
            break;
        case K_ULIMITS:
            free_ulimits(at);
            break;
        case K_U64:
        case K_I64:
        case K_INT:
        case K_BOOL:
            break;
        }
    }
    *spec = (struct box_spec){ 0 };
}

/* Arguments may be any bytes, JSON strings may not: what is no UTF-8 becomes {"hex": "ff00"}. */
static json_t *text_to_json(const char *text)
{
    json_t *s = json_string(text), *o = NULL;
    autofree char *hex = NULL;

    if (s)
        return s;
    hex = malloc(2 * strlen(text) + 1);
    if (hex) {
        for (size_t i = 0; text[i]; i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", (unsigned char)text[i]);
        o = json_pack("{s:s}", "hex", hex);
    }
    return o;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *unhex(const char *hex)
{
    size_t n = hex ? strlen(hex) / 2 : 0;
    char *text = calloc(1, n + 1);

    for (size_t i = 0; text && i < n; i++) {
        int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

        if (hi < 0 || lo < 0 || (hi | lo) == 0) {
            free(text);
            return NULL;
        }
        text[i] = (char)(hi << 4 | lo);
    }
    return text;
}

/* NULL when it is neither form. The caller frees. */
static char *text_from_json(const json_t *j)
{
    if (json_is_string(j))
        return strdup(json_string_value(j));
    return json_is_object(j) && json_is_string(json_object_get(j, "hex"))
               ? unhex(json_string_value(json_object_get(j, "hex")))
               : NULL;
}

static json_t *strv_to_json(const struct strv *list)
{
    json_t *a = json_array();

    for (size_t i = 0; i < list->n; i++)
        (void)json_array_append_new(a, text_to_json(list->v[i])); /* checked by the count */
    if (a && json_array_size(a) == list->n)
        return a;
    json_decref(a);
    return NULL;
}

static json_t *tmpfs_to_json(const struct tlv_list *list)
{
    json_t *a = json_array();

    for (size_t i = 0; i < list->n; i++) {
        const struct mount_tmpfs *t = TLV_AT(list, struct mount_tmpfs, i);

        (void)json_array_append_new(a, json_pack("{s:s, s:s*}", "path", t->path, "options",
                                                 t->options)); /* checked by the count */
    }
    if (a && json_array_size(a) == list->n)
        return a;
    json_decref(a);
    return NULL;
}

static json_t *ulimits_to_json(const struct tlv_list *list)
{
    json_t *a = json_array();

    for (size_t i = 0; i < list->n; i++) {
        const struct box_ulimit *u = TLV_AT(list, struct box_ulimit, i);

        (void)json_array_append_new(a, json_pack("{s:s, s:I, s:I}", "name", u->name, "soft",
                                                 (json_int_t)u->soft, "hard",
                                                 (json_int_t)u->hard)); /* likewise */
    }
    if (a && json_array_size(a) == list->n)
        return a;
    json_decref(a);
    return NULL;
}

/* Is the member zero, so that nothing is stored? */
static bool is_zero(enum kind kind, const void *at)
{
    switch (kind) {
    case K_STR:
        return !*(char *const *)at;
    case K_U64:
        return !*(const uint64_t *)at;
    case K_I64:
        return !*(const int64_t *)at;
    case K_INT:
        return !*(const int *)at;
    case K_BOOL:
        return !*(const bool *)at;
    case K_STRV:
        return !((const struct strv *)at)->n;
    case K_JSON:
        return !*(json_t *const *)at;
    case K_TMPFS:
    case K_ULIMITS:
        return !((const struct tlv_list *)at)->n;
    }
    return true;
}

static json_t *member_to_json(enum kind kind, const void *at)
{
    switch (kind) {
    case K_STR:
        return text_to_json(*(char *const *)at);
    case K_U64: /* UINT64_MAX, unlimited, is -1 */
        return json_integer((json_int_t) * (const uint64_t *)at);
    case K_I64:
        return json_integer(*(const int64_t *)at);
    case K_INT:
        return json_integer(*(const int *)at);
    case K_BOOL:
        return json_true();
    case K_STRV:
        return strv_to_json(at);
    case K_JSON:
        return json_incref(*(json_t *const *)at);
    case K_TMPFS:
        return tmpfs_to_json(at);
    case K_ULIMITS:
        return ulimits_to_json(at);
    }
    return NULL;
}

int box_spec_to_json(const struct box_spec *spec, char **ret, struct err *e)
{
    json_t *o = json_object();
    char *text = NULL;
    int bad = !o;

    for (size_t i = 0; !bad && i < ARRAY_LEN(members); i++) {
        const void *at = (const char *)spec + members[i].offset;

        if (!is_zero(members[i].kind, at))
            bad = json_object_set_new(o, members[i].key, member_to_json(members[i].kind, at));
    }
    if (!bad)
        text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        return err_set(e, ERR_INTERNAL, "box spec: cannot be written as JSON");
    *ret = text;
    return 0;
}

static bool strv_from_json(struct strv *list, const json_t *j)
{
    const json_t *item;
    size_t i;

    json_array_foreach(j, i, item)
    {
        autofree char *text = text_from_json(item);

        if (!text || !strv_add(list, text))
            return false;
    }
    return json_is_array(j);
}

static bool tmpfs_from_json(struct tlv_list *list, const json_t *j)
{
    const json_t *item;
    size_t i;

    json_array_foreach(j, i, item)
    {
        struct mount_tmpfs *t = tlv_list_add(list, sizeof(*t));
        const json_t *options = json_object_get(item, "options");

        if (!t)
            return false;
        t->path = text_from_json(json_object_get(item, "path"));
        t->options = options ? text_from_json(options) : NULL;
        if (!t->path || (options && !t->options) || json_object_size(item) != (options ? 2 : 1))
            return false;
    }
    return json_is_array(j);
}

static bool ulimits_from_json(struct tlv_list *list, const json_t *j)
{
    const json_t *item;
    size_t i;

    json_array_foreach(j, i, item)
    {
        struct box_ulimit *u = tlv_list_add(list, sizeof(*u));
        const json_t *soft = json_object_get(item, "soft"), *hard = json_object_get(item, "hard");

        if (!u)
            return false;
        u->name = text_from_json(json_object_get(item, "name"));
        u->soft = (uint64_t)json_integer_value(soft);
        u->hard = (uint64_t)json_integer_value(hard);
        if (!u->name || !json_is_integer(soft) || !json_is_integer(hard) ||
            json_object_size(item) != 3)
            return false;
    }
    return json_is_array(j);
}

static bool number_from_json(enum kind kind, void *at, const json_t *j)
{
    json_int_t n = json_integer_value(j);

    if (kind == K_BOOL) {
        *(bool *)at = json_is_true(j);
        return json_is_boolean(j);
    }
    if (kind == K_INT)
        *(int *)at = (int)n;
    else
        *(int64_t *)at = n; /* U64 too: -1 is unlimited */
    return json_is_integer(j) && (kind != K_INT || n == (int)n);
}

static bool member_from_json(enum kind kind, void *at, json_t *j)
{
    switch (kind) {
    case K_STR:
        return (*(char **)at = text_from_json(j)) != NULL;
    case K_U64:
    case K_I64:
    case K_INT:
    case K_BOOL:
        return number_from_json(kind, at, j);
    case K_STRV:
        return strv_from_json(at, j);
    case K_JSON:
        *(json_t **)at = json_incref(j);
        return json_is_object(j);
    case K_TMPFS:
        return tmpfs_from_json(at, j);
    case K_ULIMITS:
        return ulimits_from_json(at, j);
    }
    return false;
}

static const struct member *find_member(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (!strcmp(members[i].key, key))
            return &members[i];
    return NULL;
}

static int fill_spec(struct box_spec *spec, json_t *o, struct err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach(o, key, value)
    {
        const struct member *m = find_member(key);

        if (!m)
            return err_set(e, ERR_CORRUPT, "box spec: unknown member \"%.64s\"", key);
        if (!member_from_json(m->kind, (char *)spec + m->offset, value))
            return err_set(e, ERR_CORRUPT, "box spec: bad value of \"%s\"", key);
    }
    return 0;
}

int box_spec_from_json(const char *text, struct box_spec *ret, struct err *e)
{
    struct box_spec spec = { 0 };
    json_error_t why;
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    int r;

    if (!o)
        return err_set(e, ERR_CORRUPT, "box spec: %s", why.text);
    r = json_is_object(o) ? fill_spec(&spec, o, e)
                          : err_set(e, ERR_CORRUPT, "box spec: not an object");
    json_decref(o);
    if (r < 0)
        box_spec_done(&spec);
    else
        *ret = spec;
    return r;
}
