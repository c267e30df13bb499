#include "sign/b64.h"
#include "sign/trust_internal.h"
#include "util/fs.h"

#include <fcntl.h>
#include <string.h>

#define POLICY_MAX ((size_t)1 << 20)
#define FILE_MAX   ((size_t)256 << 10) /* keys and certificates */

/* ---- rules ---- */

static void files_done(struct trust_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->v[i].name);
        str_done(&files->v[i].text);
    }
    free(files->v);
}

void trust_rule_free(struct trust_rule *rule)
{
    if (!rule)
        return;
    for (size_t i = 0; i < rule->identities_n; i++) {
        free(rule->identities[i].issuer);
        free(rule->identities[i].identity);
    }
    free(rule->identities);
    files_done(&rule->keys);
    files_done(&rule->roots);
    files_done(&rule->rekor);
    files_done(&rule->ct);
    files_done(&rule->tsa);
    free(rule->scope);
    free(rule);
}

int trust_rule_new(enum trust_kind kind, const char *scope, struct trust_rule **ret,
                   struct err *e)
{
    autoptr(trust_rule) rule = calloc(1, sizeof(*rule));

    if (rule)
        rule->scope = strdup(scope);
    if (!rule || !rule->scope)
        return err_os_at(e, ENOMEM, "trust policy");
    rule->kind = kind;
    *ret = take_ptr(rule);
    return 0;
}

int trust_files_push(struct trust_files *files, const char *name, struct err *e)
{
    struct trust_file *v = realloc(files->v, (files->n + 1) * sizeof(*v));
    struct trust_file file = { .name = strdup(name), .text = STR_INIT(FILE_MAX) };

    if (v)
        files->v = v;
    if (!v || !file.name) {
        free(file.name);
        return err_os_at(e, ENOMEM, "trust policy");
    }
    v[files->n++] = file;
    return 0;
}

int trust_identity_push(struct trust_rule *rule, const char *issuer, const char *identity,
                        struct err *e)
{
    struct trust_identity *v = realloc(rule->identities, (rule->identities_n + 1) * sizeof(*v));
    struct trust_identity id = { 0 };

    if (!v)
        return err_os_at(e, ENOMEM, "trust policy");
    rule->identities = v;
    id.issuer = strdup(issuer);
    id.identity = strdup(identity);
    if (!id.issuer || !id.identity) {
        free(id.issuer);
        free(id.identity);
        return err_os_at(e, ENOMEM, "trust policy");
    }
    v[rule->identities_n++] = id;
    return 0;
}

/* ---- files ---- */

static int files_read(const char *home, struct trust_files *files, struct err *e)
{
    for (size_t i = 0; i < files->n; i++) {
        struct trust_file *f = &files->v[i];
        autofree char *path =
            f->name[0] == '/' ? strdup(f->name) : str_format("%s/%s", home, f->name);
        int r = path ? fs_read_file(AT_FDCWD, path, &f->text, e)
                     : err_os_at(e, ENOMEM, "trust policy");

        if (r < 0)
            return r;
    }
    return 0;
}

static int files_from_env(const char *variable, struct trust_files *files, struct err *e)
{
    const char *name = getenv(variable);

    if (files->n || !name || !*name)
        return 0;
    if (name[0] != '/')
        return err_set(e, ERR_INVALID, "%s: '%.200s' is not an absolute path", variable, name);
    return trust_files_push(files, name, e);
}

/* A keyless rule must know whom to ask, or it could not refuse anything. */
static int check_complete(const struct trust_rule *rule, struct err *e)
{
    const char *missing = NULL;

    if (!rule->roots.n)
        missing = "roots";
    else if (!rule->rekor.n && !rule->tsa.n)
        missing = "rekor_keys";
    else if (!rule->ct.n && !rule->ignore_sct)
        missing = "ct_keys";
    if (!missing)
        return 0;
    (void)err_set(e, ERR_INVALID, "Keyless verification (%s) has no '%s'", rule->scope, missing);
    e->hint = "Name them under \"sigstore\" in $A3S_HOME/trust.json";
    return -(int)e->kind;
}

static int keyless_complete(const json_t *document, struct trust_rule *rule, struct err *e)
{
    int r = trust_complete(document, rule, e);

    if (r >= 0)
        r = files_from_env("SIGSTORE_ROOT_FILE", &rule->roots, e);
    if (r >= 0)
        r = files_from_env("SIGSTORE_REKOR_PUBLIC_KEY", &rule->rekor, e);
    if (r >= 0 && !rule->ignore_sct)
        r = files_from_env("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", &rule->ct, e);
    if (r >= 0)
        r = files_from_env("SIGSTORE_TSA_CERTIFICATE_FILE", &rule->tsa, e);
    return r < 0 ? r : check_complete(rule, e);
}

static int rule_load(const char *home, const json_t *document, struct trust_rule *rule,
                     struct err *e)
{
    int r = rule->kind == TRUST_KEYLESS ? keyless_complete(document, rule, e) : 0;

    if (r >= 0)
        r = files_read(home, &rule->keys, e);
    if (r >= 0)
        r = files_read(home, &rule->roots, e);
    if (r >= 0)
        r = files_read(home, &rule->rekor, e);
    if (r >= 0)
        r = files_read(home, &rule->ct, e);
    if (r >= 0)
        r = files_read(home, &rule->tsa, e);
    return r;
}

/* *ret is NULL without a file. */
static int document_read(const char *home, json_t **ret, struct err *e)
{
    autofree char *path = str_format("%s/" TRUST_FILE, home);
    autostr text = STR_INIT(POLICY_MAX);
    int r = path ? fs_read_file(AT_FDCWD, path, &text, e) : err_os_at(e, ENOMEM, "trust policy");

    *ret = NULL;
    if (r < 0 && e->kind == ERR_NOT_FOUND &&
        faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
        err_clear(e); /* not there; a link to nowhere is another matter */
        return 0;
    }
    if (r >= 0)
        r = trust_document(str_c(&text), text.len, ret, e);
    return r < 0 ? err_ctx(e, "trust policy %s", path ? path : TRUST_FILE) : 0;
}

int trust_find(const char *home, const char *repository, struct trust_rule **ret, struct err *e)
{
    autoptr(trust_rule) rule = NULL;
    autojson *document = NULL;
    int r = document_read(home, &document, e);

    if (r < 0)
        return r;
    r = trust_choose(document, repository, &rule, e);
    if (r >= 0)
        r = rule_load(home, document, rule, e);
    if (r < 0)
        return err_ctx(e, "trust policy");
    *ret = take_ptr(rule);
    return 0;
}

int trust_from_key(const char *path, struct trust_rule **ret, struct err *e)
{
    autoptr(trust_rule) rule = NULL;
    int r = trust_rule_new(TRUST_KEY, "--verify-key", &rule, e);

    if (r >= 0)
        r = trust_files_push(&rule->keys, path, e);
    if (r >= 0)
        r = fs_read_file(AT_FDCWD, path, &rule->keys.v[0].text, e);
    if (r < 0)
        return r;
    *ret = take_ptr(rule);
    return 0;
}

int trust_from_identity(const char *home, const char *issuer, const char *identity,
                        struct trust_rule **ret, struct err *e)
{
    autoptr(trust_rule) rule = NULL;
    autojson *document = NULL;
    int r = document_read(home, &document, e);

    if (r >= 0)
        r = trust_rule_new(TRUST_KEYLESS, "--verify-identity", &rule, e);
    if (r >= 0)
        r = trust_identity_push(rule, issuer, identity, e);
    if (r >= 0)
        r = rule_load(home, document, rule, e);
    if (r < 0)
        return r;
    *ret = take_ptr(rule);
    return 0;
}

/* ---- as one text ---- */

/* In base64: what stands around the blocks of a PEM file need not be UTF-8. NULL without memory.
 */
static json_t *files_json(const struct trust_files *files)
{
    json_t *list = json_array();

    for (size_t i = 0; i < files->n; i++) {
        autostr text = STR_INIT(2 * FILE_MAX);

        if (!b64_encode(files->v[i].text.p, files->v[i].text.len, &text) ||
            json_array_append_new(list, json_string(str_c(&text))) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *identities_json(const struct trust_rule *rule)
{
    json_t *list = json_array();

    for (size_t i = 0; i < rule->identities_n; i++)
        json_array_append_new(
            list, json_pack("[ss]", rule->identities[i].issuer, rule->identities[i].identity));
    return list;
}

char *trust_rule_text(const struct trust_rule *rule, const char *repository)
{
    autojson *o =
        json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:s}", "kind", (int)rule->kind,
                  "keys", files_json(&rule->keys), "identities", identities_json(rule), "roots",
                  files_json(&rule->roots), "rekor", files_json(&rule->rekor), "ct",
                  files_json(&rule->ct), "tsa", files_json(&rule->tsa), "ignore_sct",
                  (int)rule->ignore_sct, "repository", rule->same_repository ? repository : "");

    return o ? json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
}
