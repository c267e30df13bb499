#include "registry/remote_internal.h"

#include "oci/json.h"
#include "oci/manifest.h"
#include "registry/reply.h"

#include <string.h>

#define PAGES_MAX        16
#define INDEX_MEDIA_TYPE "application/vnd.oci.image.index.v1+json"

/* The entries of one page. */
static int add_page(const struct side *s, const struct str *text, json_t *all, struct err *e)
{
    json_t *entries = NULL, *entry;
    autojson *page = NULL;
    size_t i;
    int r;

    r = json_parse(str_c(text), text->len, "the list of referrers", &page, e);
    if (r == 0)
        r = json_get_arr(page, "manifests", &entries, e);
    if (r < 0)
        return err_ctx(e, "Registry error: %s", s->name);
    json_array_foreach(entries, i, entry)
    {
        if (json_array_size(all) >= INDEX_ENTRIES_MAX)
            return err_set(e, ERR_LIMIT, "Registry error: %s - more than %d referrers", s->name,
                           INDEX_ENTRIES_MAX);
        if (json_array_append(all, entry) < 0)
            return err_set(e, ERR_LIMIT, "Out of memory");
    }
    return 0;
}

/* Where the next page is: on this very server. 1: there is one. */
static int next_page(const struct side *s, const struct http_request *q, char **where,
                     struct err *e)
{
    const char *link = http_reply_header(q, "Link", 0);
    autofree char *target = NULL, *url = NULL;
    struct origin a, b;
    int r;

    r = link ? link_next(link, &target, e) : 0;
    if (r <= 0)
        return r;
    r = url_resolve(q->url, target, &url, e);
    if (r == 0)
        r = url_origin(q->url, &a, e);
    if (r == 0)
        r = url_origin(url, &b, e);
    if (r < 0)
        return r;
    if (!origin_equal(&a, &b))
        return err_set(e, ERR_CORRUPT,
                       "Registry error: %s - the next page of referrers is on another host",
                       s->name);
    free(*where);
    *where = take_ptr(url);
    return 1;
}

static bool is_index(const struct http_request *q)
{
    const char *type = http_reply_header(q, "Content-Type", 0);

    return type && strncmp(type, INDEX_MEDIA_TYPE, strlen(INDEX_MEDIA_TYPE)) == 0;
}

/* 1: all pages are in `all`; 0: the registry does not know this API. */
static int by_api(struct remote *r, const char *digest, json_t *all, struct err *e)
{
    autofree char *where = str_format("referrers/%s", digest);

    for (unsigned page = 0;; page++) {
        struct side *s;
        autorequest q;
        int rc;

        http_request_init(&q);
        if (!where || !http_request_header(&q, "Accept: " INDEX_MEDIA_TYPE))
            return err_os(e, "registry");
        q.text_max = REMOTE_MANIFEST_MAX;
        rc = remote_ask(r, &q, where, &s, e);
        if (rc < 0)
            return rc;
        if (page == 0 && !q.failed &&
            (q.status == 404 || q.status == 400 || q.status == 405 || q.status == 501 ||
             (reply_good(&q) && !is_index(&q))))
            return 0;
        if (!reply_good(&q))
            return reply_error(s->name, &q, e);
        rc = add_page(s, &q.text, all, e);
        if (rc == 0)
            rc = next_page(s, &q, &where, e);
        if (rc <= 0)
            return rc < 0 ? rc : 1;
        if (page + 1 == PAGES_MAX)
            return err_set(e, ERR_LIMIT, "Registry error: %s - more than %d pages of referrers",
                           s->name, PAGES_MAX);
    }
}

/* The tag "sha256-HEX" (spec 1.1, "Referrers Tag Schema"). */
static int by_tag(struct remote *r, const char *digest, json_t *all, struct err *e)
{
    struct remote_manifest m;
    char tag[DIGEST_LEN + 1];
    int rc;

    (void)snprintf(tag, sizeof(tag), "sha256-%s", digest + strlen("sha256:"));
    rc = remote_manifest_get(r, tag, &m, e);
    if (rc == -ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (rc < 0)
        return rc;
    rc = add_page(remote_own(r), &m.bytes, all, e);
    remote_manifest_done(&m);
    return rc;
}

int remote_referrers(struct remote *r, const char *digest, struct str *ret, struct err *e)
{
    json_t *all = json_array();
    autojson *index = json_pack("{s:i,s:s,s:o}", "schemaVersion", 2, "mediaType",
                                INDEX_MEDIA_TYPE, "manifests", all);
    autofree char *text = NULL;
    struct str out = STR_INIT(REMOTE_MANIFEST_MAX * 2);
    int rc;

    if (!index)
        return err_set(e, ERR_LIMIT, "Out of memory");
    rc = by_api(r, digest, all, e);
    if (rc == 0)
        rc = by_tag(r, digest, all, e);
    if (rc < 0)
        return rc;
    text = json_dumps(index, JSON_COMPACT);
    if (!text || !str_adds(&out, text)) {
        str_done(&out);
        return err_set(e, ERR_LIMIT, "The list of referrers is too long");
    }
    *ret = out;
    return 0;
}
