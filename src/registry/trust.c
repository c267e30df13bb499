#include "registry/trust.h"

#include "sign/sign.h"
#include "util/fd.h"
#include "util/fs.h"

#include <fcntl.h>
#include <string.h>
#include <termios.h>

#define KEY_FILE_MAX ((size_t)256 << 10)

/* ---- a repository as a source of signatures ---- */

static int source_manifest(void *ctx, const char *name, struct str *ret, struct err *e)
{
    struct remote_manifest m = { .bytes = { .max = REMOTE_MANIFEST_MAX } };
    int r = remote_manifest_get(ctx, name, &m, e);

    if (r >= 0 && !str_add(ret, str_c(&m.bytes), m.bytes.len))
        r = err_set(e, ERR_LIMIT, "Manifest %s is too large", name);
    remote_manifest_done(&m);
    return r < 0 ? r : 0;
}

static int source_referrers(void *ctx, const char *digest, struct str *ret, struct err *e)
{
    autostr text = STR_INIT(SIGN_MANIFEST_MAX);
    int r = remote_referrers(ctx, digest, &text, e);

    if (r >= 0 && !str_add(ret, str_c(&text), text.len))
        r = err_set(e, ERR_LIMIT, "Index of referrers is too large");
    return r < 0 ? r : 0;
}

static int source_blob(void *ctx, const char *digest, struct str *ret, struct err *e)
{
    autostr text = STR_INIT(SIGN_BLOB_MAX);
    int r = remote_blob_get(ctx, digest, SIGN_BLOB_MAX, &text, e);

    if (r >= 0 && !str_add(ret, str_c(&text), text.len))
        r = err_set(e, ERR_LIMIT, "Signature %s is too large", digest);
    return r < 0 ? r : 0;
}

static struct sign_source source_of(struct remote *remote)
{
    return (struct sign_source){ .ctx = remote,
                                 .manifest = source_manifest,
                                 .referrers = source_referrers,
                                 .blob = source_blob };
}

/* ---- pulling ---- */

static int check_rule(const struct sign_request *request, const struct trust_rule *rule,
                      struct remote *remote, struct sign_result *ret, struct err *e)
{
    const struct sign_source source = source_of(remote);
    int r = sign_verify(request, rule, &source, ret, e);

    return r < 0 ? err_ctx(e, "Image signature verification failed for %s", request->repository)
                 : 0;
}

static int check_policy(const struct sign_request *request, struct remote *remote,
                        const char *home, const char *manifest_digest, struct err *e)
{
    autoptr(trust_rule) rule = NULL;
    struct sign_result result;
    int r = trust_find(home, request->repository, &rule, e);

    if (r < 0 || rule->kind == TRUST_ACCEPT)
        return r;
    r = check_rule(request, rule, remote, &result, e);
    if (r < 0)
        return r;
    return trust_remember(home, manifest_digest, rule, request->repository, result.how, e);
}

/* What the command line demands: at most one rule for a key and one for an identity, NULL for
 * none. */
struct demanded {
    struct trust_rule *v[2];
};

static void demanded_done(struct demanded *d)
{
    trust_rule_free(d->v[0]);
    trust_rule_free(d->v[1]);
}

static int read_demands(const struct trust_demand *d, struct demanded *ret, struct err *e)
{
    int r = 0;

    if (!d->verify_issuer != !d->verify_identity)
        return err_set(e, ERR_USAGE, "--verify-issuer and --verify-identity need each other");
    if (d->verify_key)
        r = trust_from_key(d->verify_key, &ret->v[0], e);
    if (r >= 0 && d->verify_identity)
        r = trust_from_identity(d->home, d->verify_issuer, d->verify_identity, &ret->v[1], e);
    return r;
}

static int check_demands(const struct sign_request *request, struct remote *remote,
                         const struct trust_demand *d, struct err *e)
{
    struct demanded rules = { 0 };
    struct sign_result result;
    int r = read_demands(d, &rules, e);

    for (size_t i = 0; r >= 0 && i < ARRAY_LEN(rules.v); i++)
        if (rules.v[i])
            r = check_rule(request, rules.v[i], remote, &result, e);
    demanded_done(&rules);
    return r;
}

int trust_check_before(const struct ref *ref, const struct trust_demand *demand, struct err *e)
{
    autoptr(trust_rule) policy = NULL;
    struct demanded rules = { 0 };
    int r = read_demands(demand, &rules, e);

    for (size_t i = 0; r >= 0 && i < ARRAY_LEN(rules.v); i++)
        if (rules.v[i])
            r = sign_check_rule(rules.v[i], e);
    demanded_done(&rules);
    if (r >= 0)
        r = trust_find(demand->home, ref->name, &policy, e);
    if (r >= 0 && policy->kind == TRUST_REJECT)
        return err_set(e, ERR_DENIED, "The trust policy rejects images of %s (rule '%s')",
                       ref->name, policy->scope);
    return r < 0 ? r : sign_check_rule(policy, e);
}

int trust_check_remote(struct remote *remote, const struct ref *ref, const char *digest,
                       const char *manifest_digest, const struct trust_demand *demand,
                       struct err *e)
{
    const struct sign_request request = { .repository = ref->name,
                                          .digests = { digest, manifest_digest },
                                          .digests_n =
                                              strcmp(digest, manifest_digest) == 0 ? 1 : 2 };
    int r = check_demands(&request, remote, demand, e);

    return r < 0 ? r : check_policy(&request, remote, demand->home, manifest_digest, e);
}

/* ---- the password ---- */

/* Keys come one by one, since a signal would leave the terminal silent. */
static int read_line(int fd, char *ret, size_t cap, size_t *ret_len, struct err *e)
{
    size_t len = 0;

    while (len < cap) {
        char c;
        ssize_t n = fd_read_upto(fd, &c, 1, e);

        if (n < 0)
            return (int)n;
        if (n == 0 || c == '\3' || c == '\4') /* ^C, ^D */
            return err_set(e, ERR_CANCELED, "No password for the private key");
        if (c == '\n' || c == '\r') {
            *ret_len = len;
            return 0;
        }
        if (c == '\177' || c == '\b')
            len -= len > 0;
        else if (c == '\25') /* ^U */
            len = 0;
        else
            ret[len++] = c;
    }
    return err_set(e, ERR_LIMIT, "Password is longer than %zu bytes", cap);
}

static int ask_terminal(char *ret, size_t cap, size_t *ret_len, struct err *e)
{
    static const char prompt[] = "Enter password for private key: ";
    autofd int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios was, silent;
    struct err ignored = { 0 };
    int r;

    if (tty < 0 || tcgetattr(tty, &was) < 0) {
        (void)err_set(e, ERR_DENIED, "The private key has a password, and there is no terminal");
        e->hint = "Set COSIGN_PASSWORD";
        return -(int)e->kind;
    }
    silent = was;
    silent.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG);
    if (tcsetattr(tty, TCSAFLUSH, &silent) < 0)
        return err_os(e, "terminal");
    r = fd_write_all(tty, prompt, strlen(prompt), e);
    if (r >= 0)
        r = read_line(tty, ret, cap, ret_len, e);
    (void)tcsetattr(tty, TCSAFLUSH, &was); /* as it was, or there is nothing to restore */
    if (fd_write_all(tty, "\n", 1, &ignored) < 0)
        err_clear(&ignored); /* only looks */
    return r;
}

static int password(void *ctx UNUSED, char *ret, size_t cap, size_t *ret_len, struct err *e)
{
    const char *given = getenv("COSIGN_PASSWORD");

    if (!given)
        return ask_terminal(ret, cap, ret_len, e);
    if (strlen(given) > cap)
        return err_set(e, ERR_LIMIT, "COSIGN_PASSWORD is longer than %zu bytes", cap);
    *ret_len = strlen(given);
    memcpy(ret, given, *ret_len);
    return 0;
}

/* ---- pushing ---- */

int trust_open_key(const char *key_file, struct signer **ret, struct err *e)
{
    autostr text = STR_INIT(KEY_FILE_MAX);
    int r = fs_read_file(AT_FDCWD, key_file, &text, e);

    if (r >= 0)
        r = signer_open(str_c(&text), text.len, key_file, password, NULL, ret, e);
    if (text.p)
        explicit_bzero(text.p, text.cap);
    return r < 0 ? r : 0;
}

static int put_blob(struct remote *remote, const struct str *bytes, const char *digest,
                    struct err *e)
{
    const struct remote_upload up = {
        .digest = digest, .size = bytes->len, .fd = -1, .data = bytes->p
    };
    int r = remote_blob_exists(remote, digest, e);

    if (r == 0)
        r = remote_blob_upload(remote, &up, e);
    return r < 0 ? r : 0;
}

static int put(struct remote *remote, const struct signing *s, struct err *e)
{
    struct digest ignored;
    int r = put_blob(remote, &s->payload, s->payload_digest, e);

    if (r >= 0)
        r = put_blob(remote, &s->config, s->config_digest, e);
    if (r >= 0)
        r = remote_manifest_put(remote, s->tag, SIGN_MANIFEST_TYPE, s->manifest.p,
                                s->manifest.len, &ignored, e);
    return r;
}

int trust_sign_remote(struct remote *remote, const struct ref *ref, const char *digest,
                      const struct signer *signer, char *ret_tag, struct err *e)
{
    const struct sign_request request = { .repository = ref->name,
                                          .digests = { digest },
                                          .digests_n = 1 };
    const struct sign_source source = source_of(remote);
    struct signing s;
    bool present;
    int r = sign_make(&request, signer, &source, &s, e);

    if (r < 0)
        return err_ctx(e, "Signing %s", ref->name);
    present = s.present;
    if (!present)
        r = put(remote, &s, e);
    memcpy(ret_tag, s.tag, sizeof(s.tag));
    signing_done(&s);
    return r < 0 ? err_ctx(e, "Signing %s", ref->name) : present;
}
