/* Bodies of log entries. Inside sign/ only. */
#pragma once

#include "sign/tlog.h"

typedef int tlog_kind_fn(const json_t *spec, const struct tlog_about *about, struct err *e);

/* Rekor v2 (rekor-tiles) */
tlog_kind_fn tlog_hashedrekord2, tlog_dsse2;

int tlog_differs(const char *what, struct err *e) MUST_CHECK;
int tlog_check_signature(const json_t *o, const char *key, struct span want,
                         struct err *e) MUST_CHECK;
/* The one element of an array of objects. */
int tlog_only_one(const json_t *o, const char *key, json_t **ret, struct err *e) MUST_CHECK;
