/* URLs of registries, and the header values that carry places and ranges. All of it is foreign.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

#define URL_MAX 8192 /* signed URLs of object stores come to 2 KiB */

/* Whom credentials may be shown to: scheme, host and port. */
struct origin {
    bool tls;
    uint16_t port;
    char host[256]; /* lower case; IPv6 with brackets */
};

/* INVALID unless it is http or https, without a user, and at most URL_MAX long. */
int url_origin(const char *url, struct origin *ret, struct err *e) MUST_CHECK;
bool origin_equal(const struct origin *a, const struct origin *b);
/* This machine: localhost, 127.0.0.0/8, ::1. */
bool origin_is_loopback(const struct origin *o);
/* "host:port" without the scheme's own port: what certs.d directories are called. */
#define AUTHORITY_MAX 264
void origin_authority(const struct origin *o, char ret[AUTHORITY_MAX]);

/* `location` (absolute or relative) as seen from `base`. The caller frees *ret. */
int url_resolve(const char *base, const char *location, char **ret, struct err *e) MUST_CHECK;

/* The target of the first link with rel="next" in a Link header (RFC 8288); the caller frees.
 * 1: found; 0: there is none. */
int link_next(const char *value, char **ret, struct err *e) MUST_CHECK;

/* "bytes FIRST-LAST/TOTAL" or "bytes FIRST-LAST/(star)" (RFC 9110, 14.4). */
struct content_range {
    uint64_t first, last;
    bool has_total;
    uint64_t total;
};
bool content_range_parse(const char *value, struct content_range *ret);

/* The Range of an upload (distribution spec): "0-LAST", also with "bytes=" in front. False for
 * anything else. */
bool upload_range_parse(const char *value, uint64_t *ret_last);
