/* trust.json. Every member is known or refused: one that is misspelt must not weaken a rule. */
#include "sign/read.h"
#include "sign/trust_internal.h"

#include <string.h>

#define RULES_MAX      4096
#define SCOPE_MAX      255
#define NAME_MAX_BYTES 4096 /* of a file, an issuer, an identity */

static const char *const kind_names[] = {
    [TRUST_ACCEPT] = "accept",
    [TRUST_REJECT] = "reject",
    [TRUST_KEY] = "key",
    [TRUST_KEYLESS] = "keyless",
};

static int only_members(const json_t *o, const char *const *known, const char *where,
                        struct err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)o, key, value)
    {
        const char *const *k = known;

        while (*k && strcmp(*k, key) != 0)
            k++;
        if (!*k)
            return err_set(e, ERR_INVALID, "%s: '%.60s' is not known here", where, key);
    }
    return 0;
}

static int read_flag(const json_t *o, const char *key, bool *ret, struct err *e)
{
    const json_t *v = json_object_get(o, key);

    if (v && !json_is_boolean(v))
        return err_set(e, ERR_INVALID, "'%s' is neither true nor false", key);
    *ret = json_is_true(v);
    return 0;
}

/* A member that is there but null or empty is refused: who wrote it wanted something. */
static int read_list(const json_t *o, const char *key, const json_t **ret, struct err *e)
{
    const json_t *v = json_object_get(o, key);

    if (v && (!json_is_array(v) || !json_array_size(v) || json_array_size(v) > TRUST_LIST_MAX))
        return err_set(e, ERR_INVALID, "'%s' is not a list of 1 to %d", key, TRUST_LIST_MAX);
    *ret = v;
    return 0;
}

static int read_files(const json_t *o, const char *key, struct trust_files *files, struct err *e)
{
    const json_t *list;
    int r = read_list(o, key, &list, e);

    for (size_t i = 0; r >= 0 && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (!name || !*name || strlen(name) > NAME_MAX_BYTES)
            return err_set(e, ERR_INVALID, "'%s' holds something that is not a file name", key);
        r = trust_files_push(files, name, e);
    }
    return r;
}

static int read_identity(const json_t *o, struct trust_rule *rule, struct err *e)
{
    static const char *const known[] = { "issuer", "identity", NULL };
    const char *issuer = NULL, *identity = NULL;
    int r;

    if (!json_is_object(o))
        return err_set(e, ERR_INVALID, "'identities' holds something that is not an object");
    r = only_members(o, known, "identities", e);
    if (r >= 0)
        r = read_str(o, "issuer", &issuer, e);
    if (r >= 0)
        r = read_str(o, "identity", &identity, e);
    if (r < 0)
        return r;
    if (!*issuer || !*identity || strlen(issuer) > NAME_MAX_BYTES ||
        strlen(identity) > NAME_MAX_BYTES)
        return err_set(e, ERR_INVALID, "'issuer' or 'identity' is empty or too long");
    return trust_identity_push(rule, issuer, identity, e);
}

static int read_authorities(const json_t *o, struct trust_rule *rule, struct err *e)
{
    int r = read_files(o, "roots", &rule->roots, e);

    if (r >= 0)
        r = read_files(o, "rekor_keys", &rule->rekor, e);
    if (r >= 0)
        r = read_files(o, "ct_keys", &rule->ct, e);
    if (r >= 0)
        r = read_files(o, "tsa_roots", &rule->tsa, e);
    if (r >= 0)
        r = read_flag(o, "ignore_sct", &rule->ignore_sct, e);
    if (r >= 0 && rule->ignore_sct && rule->ct.n)
        return err_set(e, ERR_INVALID, "'ignore_sct' and 'ct_keys' contradict each other");
    return r;
}

static int read_keyless(const json_t *o, struct trust_rule *rule, struct err *e)
{
    static const char *const known[] = { "type",       "identities",      "roots",
                                         "rekor_keys", "ct_keys",         "tsa_roots",
                                         "ignore_sct", "same_repository", NULL };
    const json_t *list;
    int r = only_members(o, known, "keyless", e);

    if (r >= 0)
        r = read_list(o, "identities", &list, e);
    if (r >= 0 && !list)
        return err_set(e, ERR_INVALID, "'identities' is missing");
    for (size_t i = 0; r >= 0 && i < json_array_size(list); i++)
        r = read_identity(json_array_get(list, i), rule, e);
    return r < 0 ? r : read_authorities(o, rule, e);
}

static int read_key(const json_t *o, struct trust_rule *rule, struct err *e)
{
    static const char *const known[] = { "type", "keys", "rekor_keys", "same_repository", NULL };
    int r = only_members(o, known, "key", e);

    if (r >= 0)
        r = read_files(o, "keys", &rule->keys, e);
    if (r >= 0 && !rule->keys.n)
        return err_set(e, ERR_INVALID, "'keys' is missing");
    return r < 0 ? r : read_files(o, "rekor_keys", &rule->rekor, e);
}

static int fill_rule(const json_t *o, struct trust_rule *rule, struct err *e)
{
    static const char *const nothing_else[] = { "type", NULL };
    int r = read_flag(o, "same_repository", &rule->same_repository, e);

    if (r < 0)
        return r;
    switch (rule->kind) {
    case TRUST_ACCEPT:
    case TRUST_REJECT:
        return only_members(o, nothing_else, kind_names[rule->kind], e);
    case TRUST_KEY:
        return read_key(o, rule, e);
    case TRUST_KEYLESS:
        return read_keyless(o, rule, e);
    }
    return 0;
}

static int rule_parse(const json_t *o, const char *scope, struct trust_rule **ret, struct err *e)
{
    autoptr(trust_rule) rule = NULL;
    const char *type = NULL;
    size_t kind = 0;
    int r;

    if (!json_is_object(o))
        return err_set(e, ERR_INVALID, "Rule '%.100s' is not an object", scope);
    r = read_str(o, "type", &type, e);
    if (r < 0)
        return err_ctx(e, "rule '%.100s'", scope);
    while (kind < ARRAY_LEN(kind_names) && strcmp(kind_names[kind], type) != 0)
        kind++;
    if (kind == ARRAY_LEN(kind_names))
        return err_set(e, ERR_INVALID,
                       "Rule '%.100s': type '%.40s' is not accept, reject, key or keyless", scope,
                       type);
    r = trust_rule_new((enum trust_kind)kind, scope, &rule, e);
    if (r >= 0)
        r = fill_rule(o, rule, e);
    if (r < 0)
        return err_ctx(e, "rule '%.100s'", scope);
    *ret = take_ptr(rule);
    return 0;
}

/* ---- scopes ---- */

static int scope_check(const char *scope, struct err *e)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-/:[]";
    size_t len = strlen(scope), host = strcspn(scope, "/");

    if (!len || len > SCOPE_MAX || strspn(scope, allowed) != len || scope[0] == '/' ||
        scope[len - 1] == '/' || strstr(scope, "//"))
        return err_set(e, ERR_INVALID, "Scope '%.100s' is not a registry or repository", scope);
    if (strpbrk(scope + host, ":[]"))
        return err_set(e, ERR_INVALID, "Scope '%.100s' has a tag", scope);
    if (!(host == strlen("localhost") && strncmp(scope, "localhost", host) == 0) &&
        strcspn(scope, ".:[") >= host)
        return err_set(e, ERR_INVALID,
                       "Scope '%.100s' does not begin with a registry (docker.io/...)", scope);
    return 0;
}

static bool scope_fits(const char *scope, const char *repository)
{
    size_t len = strlen(scope);

    return strncmp(scope, repository, len) == 0 &&
           (repository[len] == '/' || repository[len] == '\0');
}

static int check_rules(const json_t *rules, struct err *e)
{
    const char *scope;
    json_t *value;

    if (json_object_size(rules) > RULES_MAX)
        return err_set(e, ERR_LIMIT, "More than %d rules", RULES_MAX);
    json_object_foreach((json_t *)rules, scope, value)
    {
        autoptr(trust_rule) rule = NULL;
        int r = scope_check(scope, e);

        if (r >= 0)
            r = rule_parse(value, scope, &rule, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_document(const json_t *root, struct err *e)
{
    static const char *const known[] = { "default", "rules", "sigstore", NULL };
    static const char *const authorities[] = { "roots",     "rekor_keys", "ct_keys",
                                               "tsa_roots", "ignore_sct", NULL };
    const json_t *rules = json_object_get(root, "rules");
    const json_t *fallback = json_object_get(root, "default");
    const json_t *sigstore = json_object_get(root, "sigstore");
    autoptr(trust_rule) rule = NULL;
    int r;

    if (!json_is_object(root))
        return err_set(e, ERR_INVALID, "It is not an object");
    r = only_members(root, known, "trust policy", e);
    if (r < 0)
        return r;
    if ((rules && !json_is_object(rules)) || (sigstore && !json_is_object(sigstore)))
        return err_set(e, ERR_INVALID, "'rules' or 'sigstore' is not an object");
    if (rules)
        r = check_rules(rules, e);
    if (r >= 0 && fallback)
        r = rule_parse(fallback, "default", &rule, e);
    if (r >= 0 && sigstore)
        r = only_members(sigstore, authorities, "sigstore", e);
    return r;
}

int trust_document(const char *text, size_t len, json_t **ret, struct err *e)
{
    autojson *root = NULL;
    int r = json_parse(text, len, "trust policy", &root, e);

    if (r >= 0)
        r = check_document(root, e);
    if (r < 0)
        return r;
    *ret = take_ptr(root);
    return 0;
}

int trust_choose(const json_t *document, const char *repository, struct trust_rule **ret,
                 struct err *e)
{
    const json_t *fallback = json_object_get(document, "default"), *best = NULL;
    const char *scope, *best_scope = "";
    json_t *value;

    json_object_foreach(json_object_get(document, "rules"), scope, value)
    {
        if (scope_fits(scope, repository) && strlen(scope) > strlen(best_scope)) {
            best = value;
            best_scope = scope;
        }
    }
    if (best)
        return rule_parse(best, best_scope, ret, e);
    if (fallback)
        return rule_parse(fallback, "default", ret, e);
    return trust_rule_new(TRUST_ACCEPT, "default", ret, e);
}

static void files_swap(struct trust_files *to, struct trust_files *from)
{
    struct trust_files t = *to;

    if (to->n)
        return;
    *to = *from;
    *from = t;
}

int trust_complete(const json_t *document, struct trust_rule *rule, struct err *e)
{
    const json_t *sigstore = json_object_get(document, "sigstore");
    autoptr(trust_rule) common = NULL;
    int r = trust_rule_new(TRUST_KEYLESS, "sigstore", &common, e);

    if (r >= 0 && sigstore)
        r = read_authorities(sigstore, common, e);
    if (r < 0)
        return r;
    files_swap(&rule->roots, &common->roots);
    files_swap(&rule->rekor, &common->rekor);
    files_swap(&rule->tsa, &common->tsa);
    if (!rule->ct.n && !rule->ignore_sct) {
        files_swap(&rule->ct, &common->ct);
        rule->ignore_sct = common->ignore_sct;
    }
    return 0;
}

int trust_parse(const char *text, size_t len, const char *repository, struct trust_rule **ret,
                struct err *e)
{
    autoptr(trust_rule) rule = NULL;
    autojson *document = NULL;
    int r = trust_document(text, len, &document, e);

    if (r >= 0)
        r = trust_choose(document, repository, &rule, e);
    if (r >= 0 && rule->kind == TRUST_KEYLESS)
        r = trust_complete(document, rule, e);
    if (r < 0)
        return r;
    *ret = take_ptr(rule);
    return 0;
}
