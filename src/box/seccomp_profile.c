#include "box/seccomp_profile.h"

#include "box/security.h"
#include "util/attr.h"
#include "util/parse.h"

#include <string.h>

#ifdef __aarch64__
#define GO_ARCH "arm64"
#define OWN     SCMP_ARCH_AARCH64
#else
#define GO_ARCH "amd64"
#define OWN     SCMP_ARCH_X86_64
#endif

#define EPERM_DEFAULT 1
#define ERRNO_MAX     4095 /* the kernel's MAX_ERRNO */

struct word {
    const char *name;
    uint32_t value;
};

static const struct word actions[] = {
    { "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
    { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
    { "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
    { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
    { "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
    { "SCMP_ACT_LOG", SCMP_ACT_LOG },
    { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
    { "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
    { NULL, 0 },
};

static const struct word operators[] = {
    { "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE },
    { "SCMP_CMP_GT", SCMP_CMP_GT }, { "SCMP_CMP_LE", SCMP_CMP_LE },
    { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
    { "SCMP_CMP_NE", SCMP_CMP_NE }, { NULL, 0 },
};

/* Those a program on our machines can use have their token; no rule is made for the others. */
static const struct word architectures[] = {
    { "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
    { "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
    { "SCMP_ARCH_LOONGARCH64", 0 },
    { "SCMP_ARCH_MIPS", 0 },
    { "SCMP_ARCH_MIPS64", 0 },
    { "SCMP_ARCH_MIPS64N32", 0 },
    { "SCMP_ARCH_MIPSEL", 0 },
    { "SCMP_ARCH_MIPSEL64", 0 },
    { "SCMP_ARCH_MIPSEL64N32", 0 },
    { "SCMP_ARCH_PARISC", 0 },
    { "SCMP_ARCH_PARISC64", 0 },
    { "SCMP_ARCH_PPC", 0 },
    { "SCMP_ARCH_PPC64", 0 },
    { "SCMP_ARCH_PPC64LE", 0 },
    { "SCMP_ARCH_RISCV64", 0 },
    { "SCMP_ARCH_S390", 0 },
    { "SCMP_ARCH_S390X", 0 },
    { "SCMP_ARCH_X32", SCMP_ARCH_X32 },
    { "SCMP_ARCH_X86", SCMP_ARCH_X86 },
    { "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
    { NULL, 0 },
};

static const struct word *find_word(const struct word *list, const json_t *name)
{
    const char *text = json_string_value(name);

    for (; text && list->name; list++)
        if (!strcmp(list->name, text))
            return list;
    return NULL;
}

/* What stands there, for an error. */
static const char *shown(const json_t *j)
{
    if (!j)
        return "nothing";
    return json_is_string(j) ? json_string_value(j) : "something that is no string";
}

const char *seccomp_rule_name(const struct seccomp_rule *rule, size_t i)
{
    const char *name = json_string_value(
        json_is_array(rule->names) ? json_array_get(rule->names, i) : rule->names);

    return name ? name : "?";
}

static bool is_listed(const char *word, const char *list)
{
    for (size_t len = strlen(word); *list; list += strcspn(list, " "), list += *list == ' ')
        if (len && strcspn(list, " ") == len && !memcmp(word, list, len))
            return true;
    return false;
}

/* Every member must be one of `known` (separated by blanks). */
static int check_members(const json_t *o, const char *known, struct err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        if (!is_listed(key, known))
            return err_set(e, ERR_UNSUPPORTED, "\"%.64s\" is not supported", key);
    }
    return 0;
}

static int parse_action(const json_t *o, const char *key, const char *errno_key, uint32_t *ret,
                        struct err *e)
{
    const struct word *w = find_word(actions, json_object_get(o, key));
    const json_t *given = json_object_get(o, errno_key);
    const json_t *number = json_is_null(given) ? NULL : given;
    json_int_t code = number ? json_integer_value(number) : EPERM_DEFAULT;

    if (!w && !strcmp(shown(json_object_get(o, key)), "SCMP_ACT_NOTIFY"))
        return err_set(e, ERR_UNSUPPORTED, "SCMP_ACT_NOTIFY is not supported");
    if (!w)
        return err_set(e, ERR_INVALID, "%s: unknown action \"%.64s\"", key,
                       shown(json_object_get(o, key)));
    if (number && (!json_is_integer(number) || code < 0 || code > ERRNO_MAX))
        return err_set(e, ERR_INVALID, "%s: not an errno (0 to %d)", errno_key, ERRNO_MAX);
    *ret = w->value;
    if (w->value == SCMP_ACT_ERRNO(0) || w->value == SCMP_ACT_TRACE(0))
        *ret |= (uint32_t)code;
    else if (number)
        return err_set(e, ERR_INVALID, "%s: %s returns none", errno_key, w->name);
    return 0;
}

/* ---- architectures ---- */

static int add_arch(struct seccomp_profile *p, const json_t *name, struct err *e)
{
    const struct word *w = find_word(architectures, name);

    if (!w)
        return err_set(e, ERR_INVALID, "unknown architecture \"%.64s\"", shown(name));
    p->arch_x86 |= w->value == SCMP_ARCH_X86 && OWN == SCMP_ARCH_X86_64;
    p->arch_x32 |= w->value == SCMP_ARCH_X32 && OWN == SCMP_ARCH_X86_64;
    p->arch_arm |= w->value == SCMP_ARCH_ARM && OWN == SCMP_ARCH_AARCH64;
    return 0;
}

static int add_archs(struct seccomp_profile *p, const json_t *list, const char *key,
                     struct err *e)
{
    const json_t *name;
    size_t i;
    int r = 0;

    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(e, ERR_INVALID, "%s: not a list", key);
    json_array_foreach(list, i, name)
    {
        r = add_arch(p, name, e);
        if (r < 0)
            return err_ctx(e, "%s[%zu]", key, i);
    }
    return r;
}

/* {"architecture": A, "subArchitectures": [...]}: counts for machines of architecture A. */
static int add_arch_map(struct seccomp_profile *p, const json_t *entry, struct err *e)
{
    struct seccomp_profile ignored = { 0 };
    const struct word *w = find_word(architectures, json_object_get(entry, "architecture"));
    int r;

    if (!json_is_object(entry) || !w)
        return err_set(e, ERR_INVALID, "unknown architecture \"%.64s\"",
                       shown(json_object_get(entry, "architecture")));
    r = check_members(entry, "architecture subArchitectures", e);
    return r < 0 ? r
                 : add_archs(w->value == OWN ? p : &ignored,
                             json_object_get(entry, "subArchitectures"), "subArchitectures", e);
}

static int parse_archs(struct seccomp_profile *p, struct err *e)
{
    const json_t *list = json_object_get(p->root, "architectures");
    const json_t *map = json_object_get(p->root, "archMap"), *entry;
    size_t i;
    int r;

    if (json_array_size(list) && json_array_size(map))
        return err_set(e, ERR_INVALID,
                       "both 'architectures' and 'archMap' are specified, use either of them");
    if (map && !json_is_null(map) && !json_is_array(map))
        return err_set(e, ERR_INVALID, "archMap: not a list");
    json_array_foreach(map, i, entry)
    {
        r = add_arch_map(p, entry, e);
        if (r < 0)
            return err_ctx(e, "archMap[%zu]", i);
    }
    return add_archs(p, list, "architectures", e);
}

/* ---- rules ---- */

static int parse_arg(const json_t *o, struct scmp_arg_cmp *ret, struct err *e)
{
    const struct word *op = find_word(operators, json_object_get(o, "op"));
    const json_t *index = json_object_get(o, "index"), *value = json_object_get(o, "value");
    const json_t *two = json_object_get(o, "valueTwo");

    if (!json_is_object(o))
        return err_set(e, ERR_INVALID, "not an object");
    if (check_members(o, "index value valueTwo op", e) < 0)
        return -(int)e->kind;
    if (!op)
        return err_set(e, ERR_INVALID, "unknown operator \"%.64s\"",
                       shown(json_object_get(o, "op")));
    if (!json_is_integer(index) || json_integer_value(index) < 0 ||
        json_integer_value(index) >= SECCOMP_ARGS_MAX)
        return err_set(e, ERR_INVALID, "index: not 0 to %d", SECCOMP_ARGS_MAX - 1);
    if ((value && !json_is_integer(value)) || (two && !json_is_integer(two)))
        return err_set(e, ERR_INVALID, "value, valueTwo: not a number");
    *ret = (struct scmp_arg_cmp){ .arg = (unsigned)json_integer_value(index),
                                  .op = (enum scmp_compare)op->value,
                                  .datum_a = (scmp_datum_t)json_integer_value(value),
                                  .datum_b = (scmp_datum_t)json_integer_value(two) };
    return 0;
}

static int parse_args(const json_t *list, struct seccomp_rule *rule, struct err *e)
{
    unsigned seen = 0;
    const json_t *arg;
    size_t i;

    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(e, ERR_INVALID, "args: not a list");
    if (json_array_size(list) > SECCOMP_ARGS_MAX)
        return err_set(e, ERR_LIMIT, "args: more than %d", SECCOMP_ARGS_MAX);
    json_array_foreach(list, i, arg)
    {
        struct scmp_arg_cmp *to = &rule->args[i];

        if (parse_arg(arg, to, e) < 0)
            return err_ctx(e, "args[%zu]", i);
        rule->any_arg |= (seen & BIT(to->arg)) != 0;
        seen |= BIT(to->arg);
    }
    rule->args_n = (unsigned)json_array_size(list);
    return 0;
}

static int parse_names(struct seccomp_profile *p, const json_t *o, struct seccomp_rule *rule,
                       struct err *e)
{
    const json_t *one = json_object_get(o, "name"), *many = json_object_get(o, "names"), *name;
    size_t i;

    if (json_is_string(one) && !*json_string_value(one))
        one = NULL; /* docker writes it so */
    if (one && json_array_size(many))
        return err_set(e, ERR_INVALID, "both 'name' and 'names' are specified");
    if (one ? !json_is_string(one) : many && !json_is_array(many))
        return err_set(e, ERR_INVALID, "names: not a list of strings");
    json_array_foreach(many, i, name)
    {
        if (!json_is_string(name))
            return err_set(e, ERR_INVALID, "names[%zu]: not a string", i);
    }
    rule->names = one ? one : many;
    p->names_n += one ? 1 : json_array_size(many);
    return p->names_n <= SECCOMP_NAMES_MAX
               ? 0
               : err_set(e, ERR_LIMIT, "more than %d names of system calls", SECCOMP_NAMES_MAX);
}

static int parse_caps(const json_t *list, uint64_t *ret, struct err *e)
{
    const json_t *name;
    size_t i;

    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(e, ERR_INVALID, "caps: not a list");
    json_array_foreach(list, i, name)
    {
        unsigned n = 0;

        if (!json_is_string(name) || cap_number(json_string_value(name), &n, e) < 0)
            return err_set(e, ERR_INVALID, "caps[%zu]: unknown capability \"%.64s\"", i,
                           shown(name));
        *ret |= UINT64_C(1) << n;
    }
    return 0;
}

static int has_arch(const json_t *list, bool *ret, struct err *e)
{
    const json_t *name;
    size_t i;

    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(e, ERR_INVALID, "arches: not a list");
    *ret = false;
    json_array_foreach(list, i, name)
    {
        if (!json_is_string(name))
            return err_set(e, ERR_INVALID, "arches[%zu]: not a string", i);
        *ret |= !strcmp(json_string_value(name), GO_ARCH);
    }
    return 0;
}

/* "4.8": is the guest's kernel that new? Without it: `absent`. */
static int has_kernel(const json_t *version, bool absent, bool *ret, struct err *e)
{
    const char *text = json_string_value(version), *dot = text ? strchr(text, '.') : NULL;
    uint64_t major = 0, minor = 0;
    char first[8] = "";
    struct err ignored;

    *ret = absent;
    if (!version || json_is_null(version) || (text && !*text))
        return 0;
    if (dot && (size_t)(dot - text) < sizeof(first))
        memcpy(first, text, (size_t)(dot - text));
    if (!dot || parse_u64(first, 0, 9999, &major, &ignored) < 0 ||
        parse_u64(dot + 1, 0, 9999, &minor, &ignored) < 0)
        return err_set(e, ERR_INVALID, "minKernel: \"%.64s\" is not MAJOR.MINOR", shown(version));
    *ret = major < SECCOMP_KERNEL_MAJOR ||
           (major == SECCOMP_KERNEL_MAJOR && minor <= SECCOMP_KERNEL_MINOR);
    return 0;
}

/* "includes": all must hold; "excludes": none may. */
static int parse_filter(const json_t *o, bool include, struct seccomp_rule *rule, struct err *e)
{
    const json_t *arches = json_object_get(o, "arches");
    bool arch = false, kernel = false;
    int r;

    if (!o || json_is_null(o))
        return 0;
    if (!json_is_object(o))
        return err_set(e, ERR_INVALID, "not an object");
    r = check_members(o, "caps arches minKernel", e);
    if (r == 0)
        r = parse_caps(json_object_get(o, "caps"),
                       include ? &rule->need_caps : &rule->unless_caps, e);
    if (r == 0)
        r = has_arch(arches, &arch, e);
    if (r == 0)
        r = has_kernel(json_object_get(o, "minKernel"), include, &kernel, e);
    if (r < 0)
        return r;
    if (include)
        rule->other |= (json_array_size(arches) && !arch) || !kernel;
    else
        rule->other |= arch || kernel;
    return 0;
}

static int parse_rule(struct seccomp_profile *p, const json_t *o, struct seccomp_rule *rule,
                      struct err *e)
{
    int r;

    if (!json_is_object(o))
        return err_set(e, ERR_INVALID, "not an object");
    r = parse_names(p, o, rule, e);
    if (r == 0)
        r = check_members(o, "name names action errnoRet args comment includes excludes", e);
    if (r == 0)
        r = parse_action(o, "action", "errnoRet", &rule->action, e);
    if (r == 0)
        r = parse_args(json_object_get(o, "args"), rule, e);
    if (r < 0)
        return r;
    if (parse_filter(json_object_get(o, "includes"), true, rule, e) < 0)
        return err_ctx(e, "includes");
    if (parse_filter(json_object_get(o, "excludes"), false, rule, e) < 0)
        return err_ctx(e, "excludes");
    return 0;
}

static int parse_rules(struct seccomp_profile *p, struct err *e)
{
    const json_t *list = json_object_get(p->root, "syscalls"), *o;
    size_t i;

    if (list && !json_is_null(list) && !json_is_array(list))
        return err_set(e, ERR_INVALID, "syscalls: not a list");
    if (json_array_size(list) > SECCOMP_RULES_MAX)
        return err_set(e, ERR_LIMIT, "syscalls: more than %d rules", SECCOMP_RULES_MAX);
    p->rules = calloc(json_array_size(list) + 1, sizeof(*p->rules));
    if (!p->rules)
        return err_os(e, "rules");
    json_array_foreach(list, i, o)
    {
        struct seccomp_rule *rule = &p->rules[p->rules_n++];

        rule->at = i;
        if (parse_rule(p, o, rule, e) < 0)
            return err_ctx(e, "syscalls[%zu] (%.32s)", i, seccomp_rule_name(rule, 0));
    }
    return 0;
}

/* TSYNC changes nothing for a process that has one thread; the others would. */
static int parse_flags(const json_t *list, struct err *e)
{
    const json_t *flag;
    size_t i;

    json_array_foreach(list, i, flag)
    {
        if (strcmp(shown(flag), "SECCOMP_FILTER_FLAG_TSYNC") != 0)
            return err_set(e, ERR_UNSUPPORTED, "flags[%zu]: %.64s is not supported", i,
                           shown(flag));
    }
    return 0;
}

static int parse_root(struct seccomp_profile *p, struct err *e)
{
    int r;

    if (!json_is_object(p->root))
        return err_set(e, ERR_INVALID, "not an object");
    r = check_members(p->root,
                      "defaultAction defaultErrnoRet architectures archMap flags syscalls", e);
    if (r == 0)
        r = parse_action(p->root, "defaultAction", "defaultErrnoRet", &p->fallback, e);
    if (r == 0)
        r = parse_flags(json_object_get(p->root, "flags"), e);
    if (r == 0)
        r = parse_archs(p, e);
    return r < 0 ? r : parse_rules(p, e);
}

int seccomp_profile_parse(const char *text, size_t len, struct seccomp_profile *ret,
                          struct err *e)
{
    struct seccomp_profile p = { 0 };
    json_error_t why;
    int r;

    if (len > SECCOMP_PROFILE_MAX)
        return err_set(e, ERR_LIMIT, "seccomp profile: bigger than 1 MiB");
    p.root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!p.root)
        return err_set(e, ERR_INVALID, "seccomp profile: line %d: %.160s", why.line, why.text);
    r = parse_root(&p, e);
    if (r < 0) {
        seccomp_profile_done(&p);
        return err_ctx(e, "seccomp profile");
    }
    *ret = p;
    return 0;
}

void seccomp_profile_done(struct seccomp_profile *p)
{
    json_decref(p->root);
    free(p->rules);
    *p = (struct seccomp_profile){ 0 };
}
