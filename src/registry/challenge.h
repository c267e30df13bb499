/* WWW-Authenticate (RFC 9110, 11.6.1) as registries write it. */
#pragma once

#include "util/err.h"

#include <stdbool.h>

#define CHALLENGE_VALUE_MAX 4096

struct challenge {
    bool basic, bearer;
    /* Of Bearer. Owned; NULL when absent. */
    char *realm, *service, *scope, *error;
    char other[32]; /* the first scheme that is neither; "" when there is none */
};

/* Adds what one header value says; there may be several headers, and several challenges in one.
 * Unknown schemes and parameters are skipped, the first Bearer wins. CORRUPT when it does not
 * parse, LIMIT for values above CHALLENGE_VALUE_MAX. *c needs challenge_done() in any case. */
int challenge_parse(const char *value, struct challenge *c, struct err *e) MUST_CHECK;
void challenge_done(struct challenge *c);
