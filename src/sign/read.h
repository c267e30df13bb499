/* Members of JSON objects that must be there, on top of oci/json.h. Inside sign/ only. */
#pragma once

#include "oci/json.h"
#include "util/str.h"

int read_str(const json_t *o, const char *key, const char **ret, struct err *e) MUST_CHECK;
int read_obj(const json_t *o, const char *key, json_t **ret, struct err *e) MUST_CHECK;
/* 0 to INT64_MAX; protobuf's JSON writes 64 bits as text and leaves zero out. */
int read_number(const json_t *o, const char *key, uint64_t *ret, struct err *e) MUST_CHECK;
/* Base64; at most ret->max bytes. */
int read_b64(const json_t *o, const char *key, struct str *ret, struct err *e) MUST_CHECK;
