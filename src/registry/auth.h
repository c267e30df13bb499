/*
 * Authentication towards one server for one purpose: answers its challenges, keeps the token.
 *
 * Credentials are looked up when the first challenge comes, not before. They go to the server
 * itself (Basic) or to the realm it names: over https, or over plain http when the server itself
 * is spoken to in plain http. A token is renewed shortly before it ends, and when it is refused.
 */
#pragma once

#include "registry/challenge.h"
#include "registry/creds.h"
#include "registry/http.h"

#define AUTH_SCOPES_MAX 8

struct auth {
    struct http *http;                    /* borrowed */
    const struct registry_limits *limits; /* borrowed */
    const char *home;                     /* borrowed */
    char *host;                           /* owned; whose credentials; as in references */
    bool env;                             /* REGISTRY_USERNAME counts */
    char *scopes[AUTH_SCOPES_MAX];        /* owned */
    size_t scopes_n;
    struct creds creds;
    bool creds_known;
    char *header;           /* owned; the value of Authorization, or NULL */
    uint64_t renew_ns;      /* monotonic; 0: never */
    unsigned generation;    /* counts headers */
    struct challenge asked; /* the last one */
};

/* `host`: whose credentials. */
int auth_init(struct auth *a, struct http *http, const struct registry_limits *limits,
              const char *home, const char *host, struct err *e) MUST_CHECK;
void auth_done(struct auth *a);

/* "repository:NAME:pull": to be asked for with every token. */
int auth_add_scope(struct auth *a, const char *scope, struct err *e) MUST_CHECK;

/* Use these instead of looking for some. Takes them over. */
void auth_set_creds(struct auth *a, struct creds *own_creds);

/* Before a request: renews a token that is about to end. `plain`: the server is spoken to without
 * TLS. a->header is what to send then. */
int auth_prepare(struct auth *a, bool plain, struct err *e) MUST_CHECK;

/* After a 401 in `q`, which was sent with generation `sent`. 1: send it again; 0: there is
 * nothing more to be done. DENIED when the credentials are refused, or may not be sent there. */
int auth_answer(struct auth *a, const struct http_request *q, unsigned sent, bool plain,
                struct err *e) MUST_CHECK;

/* The answer of a token server: the token (owned by the caller) and its life in seconds. */
int token_parse(const void *text, size_t len, char **ret_token, uint64_t *ret_life_s,
                struct err *e) MUST_CHECK;
