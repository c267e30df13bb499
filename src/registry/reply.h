/* What a registry's reply means to people. */
#pragma once

#include "registry/http.h"

/* What strangers write, for one line of a terminal: control characters, line breaks and what
 * turns writing around become blanks, cut at a whole character. */
void text_clean(const char *text, char *ret, size_t size);

/* "Registry error: HOST - REASON (CODE)" from a reply that is not good, or from no reply. The
 * reason is the first of the JSON document's "errors", else what the status is called. */
int reply_error(const char *host, const struct http_request *q, struct err *e);

/* Busy, or broken on the way: worth another try. */
bool reply_transient(const struct http_request *q);

/* How long to wait before attempt number `attempt` + 1 (the first is 1): doubles, up to a half by
 * chance, and at least what Retry-After asks, never more than limits->retry_max_ms. */
uint64_t retry_pause_ms(const struct registry_limits *limits, unsigned attempt,
                        uint64_t retry_after_ms);

/* http_run(), again while reply_transient(), limits->attempts times. The last outcome is in *q.
 */
int http_run_patiently(struct http *h, struct http_request *q,
                       const struct registry_limits *limits, struct err *e) MUST_CHECK;
