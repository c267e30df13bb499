#include "registry/side.h"

#include "registry/reply.h"
#include "util/log.h"

#include <string.h>

#define MIRROR_ATTEMPTS 2  /* then the next one */
#define AUTHS_MAX       4  /* a token may be short-lived, or used up by another request */
#define NEWER_MAX       16 /* times that somebody else got a newer token meanwhile */

int side_init(struct side *s, const struct endpoint *endpoint, const char *name,
              const char *repository, struct err *e)
{
    s->endpoint = *endpoint;
    s->name = name;
    s->tls = endpoint->protocol == HOST_HTTPS || endpoint->protocol == HOST_HTTPS_OR_HTTP;
    s->settled = endpoint->protocol == HOST_HTTPS || endpoint->protocol == HOST_HTTP;
    s->repository = str_format("%s%s", *repository ? endpoint->prefix : "", repository);
    return s->repository ? 0 : err_os(e, "registry");
}

void side_done(struct side *s)
{
    auth_done(&s->auth);
    free(s->repository);
    s->repository = NULL;
}

static char *side_url(const struct side *s, const char *where)
{
    return str_format("%s://%s/v2/%s%s%s", s->tls ? "https" : "http", s->endpoint.authority,
                      s->repository, *s->repository ? "/" : "", where);
}

static bool is_absolute(const char *where)
{
    return strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0;
}

/* Is `url` on this server, spoken to as we do? */
static int is_ours(const struct side *s, const char *url, struct err *e)
{
    autofree char *own = side_url(s, "");
    struct origin a, b;
    int r;

    if (!own)
        return err_os(e, "registry");
    r = url_origin(own, &a, e);
    if (r == 0)
        r = url_origin(url, &b, e);
    return r < 0 ? r : origin_equal(&a, &b);
}

int side_prepare(struct side *s, struct http_request *q, const char *where, struct tries *t,
                 struct err *e)
{
    int ours = 1, r;

    r = auth_prepare(&s->auth, !s->tls, e);
    if (r == 0 && is_absolute(where))
        ours = is_ours(s, where, e);
    if (r < 0 || ours < 0)
        return r < 0 ? r : ours;
    free(q->url);
    q->url = is_absolute(where) ? strdup(where) : side_url(s, where);
    if (!q->url)
        return err_os(e, "registry");
    if (q->authorization)
        explicit_bzero(q->authorization, strlen(q->authorization));
    free(q->authorization);
    q->authorization = ours && s->auth.header ? strdup(s->auth.header) : NULL;
    if (ours && s->auth.header && !q->authorization)
        return err_os(e, "registry");
    q->fresh = t->attempt > 1; /* the old connection may be what was wrong */
    t->generation = s->auth.generation;
    return 0;
}

/* Nobody listens there, and on the other scheme's port it might be different. */
static bool try_other_port(const struct side *s, const struct http_request *q)
{
    const char *end = strrchr(s->endpoint.authority, ']');

    return q->unreachable && !strchr(end ? end : s->endpoint.authority, ':');
}

/* A server whose scheme is a guess, and the guess was wrong. */
static bool other_scheme(struct side *s, const struct http_request *q, struct tries *t)
{
    bool wrong = try_other_port(s, q);

    if (s->settled || q->redirects)
        return false;
    if (s->tls)
        wrong = wrong || q->no_tls;
    else
        wrong = wrong || (q->failed ? q->broken : q->status == 400);
    if (!wrong) {
        s->settled = !q->failed;
        return false;
    }
    s->tls = !s->tls;
    s->settled = t->switched; /* neither: the answer of the first counts */
    t->switched = true;
    return true;
}

int side_judge(struct side *s, const struct http_request *q, struct tries *t, enum verdict *ret,
               struct err *e)
{
    unsigned max = s->endpoint.mirror ? MIRROR_ATTEMPTS : s->auth.limits->attempts;
    int r;

    *ret = VERDICT_ANSWERED;
    if (other_scheme(s, q, t)) {
        *ret = VERDICT_AGAIN;
        return 0;
    }
    if (!q->failed && q->status == 401 && !q->left_origin &&
        (t->generation == s->auth.generation ? t->auths++ < AUTHS_MAX : t->newer++ < NEWER_MAX)) {
        r = auth_answer(&s->auth, q, t->generation, !s->tls, e);
        if (r < 0)
            return r;
        *ret = r ? VERDICT_AGAIN : VERDICT_ANSWERED;
        return 0;
    }
    if (!reply_transient(q) || t->attempt + 1 > max)
        return 0;
    t->attempt++;
    t->pause_ms = retry_pause_ms(s->auth.limits, t->attempt - 1, q->retry_after_ms);
    log_info("%s: %s; again in %llu ms", q->url, q->failed ? q->error.text : "busy",
             (unsigned long long)t->pause_ms);
    *ret = VERDICT_LATER;
    return 0;
}

int side_send(struct side *s, struct http_request *q, const char *where, struct err *e)
{
    struct tries t = { .attempt = 1 };
    enum verdict v = VERDICT_AGAIN;
    int r = 0;

    while (r == 0 && v != VERDICT_ANSWERED) {
        r = side_prepare(s, q, where, &t, e);
        if (r == 0)
            r = http_run(s->auth.http, q, e);
        if (r == 0)
            r = side_judge(s, q, &t, &v, e);
        if (r == 0 && v == VERDICT_LATER)
            r = http_pause(s->auth.http, t.pause_ms, e);
    }
    return r;
}
