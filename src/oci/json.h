/*
 * Strict reading of strangers' JSON: size and depth capped, duplicate keys and bad UTF-8 refused,
 * a member of the wrong type is an error and not "absent".
 */
#pragma once

#include "util/err.h"

#include <jansson.h>
#include <stdint.h>

#define JSON_DOC_MAX   ((size_t)4 << 20) /* manifests and configs; docker's limit for manifests */
#define JSON_DEPTH_MAX 64

static inline void json_freep_(json_t **j)
{
    json_decref(*j);
}
#define autojson __attribute__((cleanup(json_freep_))) json_t

/* An object or array. `what` names it in errors. */
int json_parse(const void *text, size_t len, const char *what, json_t **ret,
               struct err *e) MUST_CHECK;

/* Members: *ret is NULL (0) when absent or null; borrowed. CORRUPT for another type. */
int json_get_str(const json_t *o, const char *key, const char **ret, struct err *e) MUST_CHECK;
int json_get_obj(const json_t *o, const char *key, json_t **ret, struct err *e) MUST_CHECK;
int json_get_arr(const json_t *o, const char *key, json_t **ret, struct err *e) MUST_CHECK;
int json_get_u64(const json_t *o, const char *key, uint64_t *ret, struct err *e) MUST_CHECK;

/* An array of strings as a NULL-terminated array; empty when absent. strv_free() it. */
int json_get_strv(const json_t *o, const char *key, char ***ret, struct err *e) MUST_CHECK;
void strv_free(char **v);
