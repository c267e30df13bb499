/*
 * HTTP requests on libcurl, several at a time, nothing blocking but http_step().
 *
 * Redirects of GET and HEAD are followed here, by hand: at most HTTP_REDIRECTS_MAX, never from
 * https to http, and Authorization is left behind as soon as scheme, host or port change. TLS
 * settings (authorities, client certificates, "insecure") are those of the server that is really
 * spoken to. Replies are capped: headers HTTP_HEADERS_MAX, texts text_max, sinks body_max.
 */
#pragma once

#include "registry/hosts.h"

#include <poll.h>

#define HTTP_REDIRECTS_MAX 5
#define HTTP_HEADERS_MAX   ((size_t)64 << 10)
#define HTTP_ERROR_MAX     ((size_t)16 << 10) /* of a text that explains a failure */

struct http;

/* Borrows `hosts`. `idle_s`: a transfer that moves less than 1 KiB/s for so long is given up. */
int http_new(const struct hosts *hosts, unsigned idle_s, struct http **ret,
             struct err *e) MUST_CHECK;
void http_free(struct http *h);
DEFINE_AUTOPTR(http)

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PATCH, HTTP_PUT, HTTP_DELETE };

struct http_request {
    /* What to ask for. Set before http_start(). */
    enum http_method method;
    char *url;                  /* owned */
    char *authorization;        /* "Bearer ..."; owned; NULL for none */
    struct curl_slist *headers; /* owned; http_request_header() */
    const void *body;           /* borrowed; of POST, PATCH, PUT */
    int body_fd;                /* borrowed; instead of body: read from body_at; -1 for none */
    uint64_t body_at, body_len;
    bool fresh;      /* not on a connection that was used before */
    unsigned idle_s; /* instead of the usual; 0: the usual */

    /* Where the body of a good reply (2xx) goes. Without a sink it becomes `text`. */
    size_t text_max;
    uint64_t body_max; /* bytes the sink takes; more is an error */
    /* Before the first byte for the sink, and for an empty body; false: fill in *e. */
    bool (*begin)(void *ctx, struct http_request *q, struct err *e);
    bool (*sink)(void *ctx, const void *data, size_t len, struct err *e);
    void *ctx;

    /* What came. Valid when `done`. */
    bool done;
    bool failed;      /* no reply: see error */
    bool transient;   /* it may work when tried again */
    bool no_tls;      /* the other side does not speak TLS */
    bool unreachable; /* no connection */
    bool broken;      /* not HTTP that came back */
    struct err error;
    unsigned status;
    uint64_t retry_after_ms; /* 0: not given */
    uint64_t sent;           /* bytes of the body that were handed to the network so far */
    struct str text;         /* of a reply that has no sink, or of an error */

    /* Inside. */
    struct http *http;
    void *easy;
    struct str reply_headers; /* "Name: value" and NUL, one after the other */
    struct origin first, now; /* where it was sent first, where it is now */
    struct host_tls tls;
    uint64_t received, text_dropped;
    unsigned redirects, provisional;
    bool active, left_origin, began, quiet_start;
    char curl_error[256];
};

/* All zero and empty. */
void http_request_init(struct http_request *q);
/* Ends it when it runs, and frees what it owns. */
void http_request_done(struct http_request *q);
/* Adds a header; false without memory. */
bool http_request_header(struct http_request *q, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Let it run; http_step() does the work. *q must stay where it is until it is done. A request
 * that is done can be started again. */
int http_start(struct http *h, struct http_request *q, struct err *e) MUST_CHECK;

/* Wait for the network, for `waits`, or until `deadline_ns` (monotonic, 0: none), whatever comes
 * first; move data, follow redirects, set `done`. Fails only when libcurl itself does. */
int http_step(struct http *h, uint64_t deadline_ns, struct pollfd *waits, size_t n,
              struct err *e) MUST_CHECK;

/* Start it and step until it is done. What went wrong with it is in *q. */
int http_run(struct http *h, struct http_request *q, struct err *e) MUST_CHECK;

/* Let time pass; other requests go on. */
int http_pause(struct http *h, uint64_t ms, struct err *e) MUST_CHECK;

/* The nth header of that name (case does not matter), or NULL. Borrowed. */
const char *http_reply_header(const struct http_request *q, const char *name, unsigned nth);
