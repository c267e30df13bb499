/* docker's config.json. Inside registry/ only. */
#pragma once

#include "oci/json.h"
#include "registry/creds.h"

#define CREDS_CONFIG_MAX ((size_t)1 << 20)

/* Base64 with padding ("auth": user:password); the callers free, and wipe. NULL when it is none
 * or memory is short. The decoded text has no NUL inside. */
char *base64_encode(const void *data, size_t len);
char *base64_decode(const char *text);

/* The text of config.json to an object. */
int creds_config_parse(const void *text, size_t len, json_t **ret, struct err *e) MUST_CHECK;

/* The key in `auths` that stands for `host` ("host", "https://host/v1/", ...); borrowed; NULL
 * when there is none. */
const char *creds_config_key(const json_t *config, const char *host);

/* What `auths` says in clear. */
int creds_config_auth(const json_t *config, const char *host, struct creds *ret,
                      struct err *e) MUST_CHECK;

/* The helper for a host, without "docker-credential-": borrowed; NULL for none. INVALID for a
 * name that is no file name. */
int creds_config_helper(const json_t *config, const char *host, const char **ret,
                        struct err *e) MUST_CHECK;
