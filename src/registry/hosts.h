/*
 * Where a registry is and how it is to be reached: mirrors, plain http, certificates, limits.
 *
 *   $A3S_HOME/registries.json   {"registries": {"HOST[:PORT]": {"mirrors":
 * ["[http://]HOST[/PREFIX]"], "insecure": bool, "plain_http": bool}}} A3S_REGISTRY_MIRRORS
 * host=mirror,host=mirror: before the file's A3S_REGISTRY_PROTOCOL       http or https: for every
 * registry $A3S_HOME/certs.d/HOST:PORT/, else /etc/docker/certs.d/HOST:PORT/
 *                               *.crt: further authorities; *.cert with *.key: a client
 * certificate
 *
 * A registry on this machine (localhost, 127.0.0.0/8, ::1) is spoken to in plain http, and in
 * https when it does not understand that, unless it is said which.
 */
#pragma once

#include "registry/url.h"
#include "util/own.h"
#include "util/str.h"

struct hosts;

int hosts_load(const char *home, struct hosts **ret, struct err *e) MUST_CHECK;
void hosts_free(struct hosts *h);
DEFINE_AUTOPTR(hosts)

enum host_protocol {
    HOST_HTTPS,
    HOST_HTTP,
    HOST_HTTP_OR_HTTPS, /* http first: on this machine */
    HOST_HTTPS_OR_HTTP, /* https first: "insecure" */
};

struct endpoint {
    char authority[256]; /* "registry-1.docker.io", "localhost:5000" */
    char prefix[256];    /* of repositories: "" or "proxy/" */
    enum host_protocol protocol;
    bool mirror;
};

#define ENDPOINTS_MAX 9 /* eight mirrors and the registry itself, which is last */

struct endpoints {
    struct endpoint v[ENDPOINTS_MAX];
    size_t n;
};

/* `host` is a reference's host ("docker.io"). Mirrors only for pulling. */
int hosts_endpoints(const struct hosts *h, const char *host, bool mirrors, struct endpoints *ret,
                    struct err *e) MUST_CHECK;

/* TLS towards one server, whoever sent us there. */
struct host_tls {
    bool insecure;    /* its certificate is not verified */
    struct str ca;    /* PEM of further authorities */
    char *cert, *key; /* paths, owned; NULL for none */
};

int hosts_tls(const struct hosts *h, const struct origin *o, struct host_tls *ret,
              struct err *e) MUST_CHECK;
void host_tls_done(struct host_tls *tls);

/* How patient we are: the variables A3S_REGISTRY_PULL_*. */
struct registry_limits {
    unsigned attempts;      /* _MAX_ATTEMPTS */
    uint64_t retry_ms;      /* _RETRY_INITIAL_MS: doubles each time */
    uint64_t retry_max_ms;  /* _RETRY_MAX_MS: also the longest Retry-After that is obeyed */
    unsigned no_progress_s; /* _NO_PROGRESS_TIMEOUT_SECS */
    unsigned parallel;      /* _MAX_CONCURRENT */
};

int registry_limits_read(struct registry_limits *ret, struct err *e) MUST_CHECK;
