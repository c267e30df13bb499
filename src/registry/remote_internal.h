/* Inside registry/ only. */
#pragma once

#include "registry/remote.h"
#include "registry/side.h"

struct remote {
    struct hosts *hosts; /* owned */
    struct http *http;   /* owned */
    struct registry_limits limits;
    struct ref ref;
    struct side sides[ENDPOINTS_MAX]; /* mirrors first */
    size_t sides_n;
    size_t current; /* the one that answered last; nobody before it is asked again */
};

/* Ask one side after the other, beginning with the current one, until one has it. What the last
 * said is in *q; *ret is who said it. */
int remote_ask(struct remote *r, struct http_request *q, const char *where, struct side **ret,
               struct err *e) MUST_CHECK;

/* The registry itself. */
static inline struct side *remote_own(struct remote *r)
{
    return &r->sides[r->sides_n - 1];
}

static inline void request_freep_(struct http_request *q)
{
    http_request_done(q);
}
/* Needs http_request_init() at once. */
#define autorequest __attribute__((cleanup(request_freep_))) struct http_request
