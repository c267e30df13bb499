/* Where spans go: the environment variables of OpenTelemetry's OTLP exporter. */
#pragma once

#include "util/err.h"
#include "util/str.h"

#include <stdint.h>

struct otlp_headers {
    char **v; /* "Name: value"; owned */
    size_t n;
};

struct otlp_config {
    char *url; /* owned */
    struct otlp_headers headers;
    uint64_t timeout_ms;
    const char *certificate; /* of authorities; NULL: the system's. Borrowed */
};

#define OTLP_TIMEOUT_MS  10000
#define OTLP_HEADERS_MAX 64

/* `get` is getenv(). INVALID and UNSUPPORTED name the variable. */
int otlp_config_read(struct otlp_config *ret, char *(*get)(const char *name),
                     struct err *e) MUST_CHECK;
void otlp_config_done(struct otlp_config *c);
