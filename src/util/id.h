/* Random identifiers. */
#pragma once

#include "util/err.h"

#define ID_LEN 65 /* 64 hexadecimal digits and a NUL, as docker's container ids */

int id_random(char ret[ID_LEN], struct err *e) MUST_CHECK;

/* Write 2 * len hexadecimal digits and a NUL. */
void hex_encode(const void *data, size_t len, char *ret);
