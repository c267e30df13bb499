#include "registry/remote_internal.h"

#include "registry/reply.h"
#include "util/log.h"

#include <string.h>
#include <strings.h>

#define ACCEPT                                                                                   \
    "Accept: application/vnd.oci.image.index.v1+json, "                                          \
    "application/vnd.oci.image.manifest.v1+json, "                                               \
    "application/vnd.docker.distribution.manifest.list.v2+json, "                                \
    "application/vnd.docker.distribution.manifest.v2+json"

/* ---- opening --------------------------------------------------------- */

static int add_scopes(struct side *s, enum remote_use use, const char *const *from, struct err *e)
{
    autofree char *scope =
        str_format("repository:%s:%s", s->repository, use == REMOTE_PUSH ? "pull,push" : "pull");
    int r;

    r = scope ? auth_add_scope(&s->auth, scope, e) : err_os(e, "registry");
    for (; r == 0 && from && *from && s->auth.scopes_n < AUTH_SCOPES_MAX; from++) {
        autofree char *other = str_format("repository:%s:pull", *from);

        r = other ? auth_add_scope(&s->auth, other, e) : err_os(e, "registry");
    }
    return r;
}

static int open_sides(struct remote *r, enum remote_use use, const struct remote_options *o,
                      struct err *e)
{
    const char *path = r->ref.name + r->ref.path_at;
    struct endpoints all;
    int rc;

    rc = hosts_endpoints(r->hosts, r->ref.host, use == REMOTE_PULL, &all, e);
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        const struct endpoint *ep = &all.v[i];
        struct side *s = &r->sides[r->sides_n++];

        rc = auth_init(&s->auth, r->http, &r->limits, o->home,
                       ep->mirror ? ep->authority : r->ref.host, e);
        s->auth.env = !ep->mirror;
        if (rc == 0)
            rc = side_init(s, ep, ep->mirror ? s->endpoint.authority : r->ref.host, path, e);
        if (rc == 0)
            rc = add_scopes(s, use, o->mount_from, e);
    }
    return rc;
}

int remote_open(const struct ref *ref, enum remote_use use, const struct remote_options *options,
                struct remote **ret, struct err *e)
{
    autoptr(remote) r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return err_os(e, "registry");
    r->ref = *ref;
    rc = registry_limits_read(&r->limits, e);
    if (rc == 0)
        rc = hosts_load(options->home, &r->hosts, e);
    if (rc == 0)
        rc = http_new(r->hosts, r->limits.no_progress_s, &r->http, e);
    if (rc == 0)
        rc = open_sides(r, use, options, e);
    if (rc < 0)
        return rc;
    *ret = take_ptr(r);
    return 0;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->sides_n; i++)
        side_done(&r->sides[i]);
    http_free(r->http);
    hosts_free(r->hosts);
    free(r);
}

int remote_ask(struct remote *r, struct http_request *q, const char *where, struct side **ret,
               struct err *e)
{
    for (size_t i = r->current;; i++) {
        struct side *s = &r->sides[i];
        bool last = i + 1 == r->sides_n;
        struct err why = { 0 };
        int rc;

        rc = side_send(s, q, where, &why);
        if (rc == 0 && (reply_good(q) || last)) {
            r->current = reply_good(q) ? i : r->current;
            *ret = s;
            return 0;
        }
        if (last) {
            *e = why;
            return rc;
        }
        if (rc == 0)
            (void)reply_error(s->name, q, &why);
        log_info("mirror: %s", why.text);
    }
}

/* ---- manifests ------------------------------------------------------- */

void remote_manifest_done(struct remote_manifest *m)
{
    str_done(&m->bytes);
}

/* Without parameters ("; charset=utf-8"), lower case. */
static void take_media_type(const struct http_request *q, char ret[REMOTE_MEDIA_TYPE_MAX])
{
    const char *value = http_reply_header(q, "Content-Type", 0);
    size_t n = value ? strcspn(value, "; \t") : 0;

    ret[0] = '\0';
    if (n >= REMOTE_MEDIA_TYPE_MAX)
        return;
    for (size_t i = 0; i < n; i++)
        ret[i] = value[i] >= 'A' && value[i] <= 'Z' ? (char)(value[i] + 'a' - 'A') : value[i];
    ret[n] = '\0';
}

/* The digest the registry names; "" when it names none, or another algorithm's. */
static int take_digest(const struct side *s, const struct http_request *q, struct digest *ret,
                       struct err *e)
{
    const char *value = http_reply_header(q, "Docker-Content-Digest", 0);
    char shown[100];

    ret->text[0] = '\0';
    if (!value || !*value || strncmp(value, "sha512:", 7) == 0)
        return 0;
    if (!digest_valid(value)) {
        text_clean(value, shown, sizeof(shown));
        return err_set(e, ERR_CORRUPT, "Registry error: %s - '%s' is no digest", s->name, shown);
    }
    memcpy(ret->text, value, DIGEST_LEN + 1);
    return 0;
}

static int manifest_where(const char *which, char **ret, struct err *e)
{
    *ret = str_format("manifests/%s", which);
    return *ret ? 0 : err_os(e, "registry");
}

static int check_manifest(const struct side *s, const struct http_request *q, const char *which,
                          struct remote_manifest *m, struct err *e)
{
    struct digest named;
    int r;

    r = digest_of(str_c(&q->text), q->text.len, &m->digest, e);
    if (r < 0)
        return r;
    r = take_digest(s, q, &named, e);
    if (r < 0)
        return r;
    if (strchr(which, ':') && strcmp(which, m->digest.text) != 0)
        return err_set(e, ERR_CORRUPT,
                       "Registry error: %s - the manifest %s has the digest %s: refused", s->name,
                       which, m->digest.text);
    if (named.text[0] && strcmp(named.text, m->digest.text) != 0)
        return err_set(e, ERR_CORRUPT,
                       "Registry error: %s - it calls the manifest %s, but its digest is %s: "
                       "refused",
                       s->name, named.text, m->digest.text);
    take_media_type(q, m->media_type);
    return 0;
}

int remote_manifest_get(struct remote *r, const char *which, struct remote_manifest *ret,
                        struct err *e)
{
    struct remote_manifest m = { .bytes = STR_INIT(REMOTE_MANIFEST_MAX) };
    autofree char *where = NULL;
    autorequest q;
    struct side *s;
    int rc;

    http_request_init(&q);
    q.text_max = REMOTE_MANIFEST_MAX;
    rc = manifest_where(which, &where, e);
    if (rc == 0 && !http_request_header(&q, ACCEPT))
        rc = err_os(e, "registry");
    if (rc == 0)
        rc = remote_ask(r, &q, where, &s, e);
    if (rc == 0 && !reply_good(&q))
        rc = reply_error(s->name, &q, e);
    if (rc == 0)
        rc = check_manifest(s, &q, which, &m, e);
    if (rc < 0)
        return rc;
    m.bytes = q.text;
    q.text = (struct str){ .max = 1 };
    *ret = m;
    return 0;
}

int remote_manifest_head(struct remote *r, const char *which, struct remote_manifest *ret,
                         struct err *e)
{
    struct remote_manifest m = { .bytes = STR_INIT(REMOTE_MANIFEST_MAX) };
    autofree char *where = NULL;
    autorequest q;
    struct side *s;
    int rc;

    http_request_init(&q);
    q.method = HTTP_HEAD;
    rc = manifest_where(which, &where, e);
    if (rc == 0 && !http_request_header(&q, ACCEPT))
        rc = err_os(e, "registry");
    if (rc == 0)
        rc = remote_ask(r, &q, where, &s, e);
    if (rc < 0)
        return rc;
    if (q.failed || reply_transient(&q))
        return reply_error(s->name, &q, e);
    if (reply_good(&q)) {
        rc = take_digest(s, &q, &m.digest, e);
        take_media_type(&q, m.media_type);
        if (rc < 0)
            return rc;
    }
    if (!m.digest.text[0]) {
        /* It has no digest to offer, or an error whose text a HEAD does not carry. */
        rc = remote_manifest_get(r, which, &m, e);
        str_done(&m.bytes);
        if (rc < 0)
            return rc;
    }
    *ret = m;
    return 0;
}

/* ---- small blobs ----------------------------------------------------- */

int remote_blob_get(struct remote *r, const char *digest, size_t max, struct str *ret,
                    struct err *e)
{
    autofree char *where = str_format("blobs/%s", digest);
    struct digest got;
    autorequest q;
    struct side *s;
    int rc;

    http_request_init(&q);
    if (!where)
        return err_os(e, "registry");
    q.text_max = max ? max : 1;
    rc = remote_ask(r, &q, where, &s, e);
    if (rc == 0 && !reply_good(&q))
        rc = reply_error(s->name, &q, e);
    if (rc == 0)
        rc = digest_of(str_c(&q.text), q.text.len, &got, e);
    if (rc < 0)
        return rc;
    if (strcmp(got.text, digest) != 0)
        return err_set(e, ERR_CORRUPT,
                       "Registry error: %s - the blob %s has the digest %s: refused", s->name,
                       digest, got.text);
    *ret = q.text;
    q.text = (struct str){ .max = 1 };
    return 0;
}
