/*
 * One server that has (or should have) a repository: the registry itself or a mirror of it. What
 * is decided here, for requests that are waited for and for those that run beside others alike:
 * the scheme, the authorization, and whether to try again. Inside registry/ only.
 */
#pragma once

#include "registry/auth.h"
#include "registry/hosts.h"
#include "registry/http.h"

struct side {
    struct endpoint endpoint;
    struct auth auth;
    char *repository; /* owned; with the mirror's prefix; "" for /v2/ alone */
    const char *name; /* borrowed; for errors: the reference's host, or the mirror's */
    bool tls;         /* what is tried now */
    bool settled;     /* and has worked */
};

/* `name` must outlive it. */
int side_init(struct side *s, const struct endpoint *endpoint, const char *name,
              const char *repository, struct err *e) MUST_CHECK;
void side_done(struct side *s);

struct tries {
    unsigned attempt; /* counted from 1 */
    unsigned auths, newer, generation;
    bool switched; /* the other scheme was tried, too */
    uint64_t pause_ms;
};

enum verdict {
    VERDICT_ANSWERED, /* there is a reply, or the last failure */
    VERDICT_AGAIN,    /* send it again at once */
    VERDICT_LATER,    /* send it again after tries.pause_ms */
};

/* Set URL and Authorization for the next try. `where` is what follows /v2/REPOSITORY/, or an
 * absolute URL, which gets Authorization only on this very server. */
int side_prepare(struct side *s, struct http_request *q, const char *where, struct tries *t,
                 struct err *e) MUST_CHECK;

/* What to do about a request that is done. */
int side_judge(struct side *s, const struct http_request *q, struct tries *t, enum verdict *ret,
               struct err *e) MUST_CHECK;

/* Both, until there is an answer in *q. */
int side_send(struct side *s, struct http_request *q, const char *where,
              struct err *e) MUST_CHECK;

static inline bool reply_good(const struct http_request *q)
{
    return !q->failed && q->status >= 200 && q->status < 300;
}
