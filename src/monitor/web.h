/*
 * A very small HTTP server: GET and HEAD of a few short documents, on the caller's loop.
 *
 * One request per connection (HTTP/1.0 and 1.1, "Connection: close"), WEB_CLIENTS_MAX at a time,
 * WEB_REQUEST_MAX bytes of request, WEB_CLIENT_S seconds for all of it. Bodies of requests are
 * not read. Nothing blocks; what a client sends is hostile.
 */
#pragma once

#include "util/err.h"
#include "util/loop.h"
#include "util/str.h"

#include <sys/socket.h>

#define WEB_REQUEST_MAX ((size_t)8 << 10)
#define WEB_CLIENTS_MAX 16
#define WEB_CLIENT_S    10

/* "HOST:PORT", ":PORT" and "PORT" (both 127.0.0.1), "[V6]:PORT"; numbers only, port 0: any. */
int web_addr_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
                   struct err *e) MUST_CHECK;

/* The address as it is written in a URL: "127.0.0.1:9090", "[::1]:9090". */
#define WEB_ADDR_TEXT 64
void web_addr_text(const struct sockaddr_storage *addr, char ret[WEB_ADDR_TEXT]);

struct web_request {
    bool head;      /* HEAD: no body in the answer */
    char path[256]; /* without the query */
};

/* The request at the beginning of `data`. 1: *ret is filled; 0: more is needed; < 0: the status
 * to answer with, negated (-400, -405, -414, -431, -505). */
int web_request_parse(const char *data, size_t len, struct web_request *ret) MUST_CHECK;

struct web;

struct web_answer {
    unsigned status;  /* 200, 404, 503 */
    const char *type; /* Content-Type, static */
    struct str *body;
};

/* Fill in the answer; `body` is empty and grows up to its limit. */
typedef void web_handler(void *ctx, const struct web_request *q, struct web_answer *ret);

/* Listen. Borrows the loop. *ret_addr: where, with the port that was chosen. */
int web_new(struct loop *loop, const char *addr, web_handler *fn, void *ctx, struct web **ret,
            struct sockaddr_storage *ret_addr, struct err *e) MUST_CHECK;
void web_free(struct web *web);
