/* The published ports of a box, as `port` prints them. */
#pragma once

#include "util/err.h"
#include "util/str.h"

#include <jansson.h>

/* `ports` is .NetworkSettings.Ports of inspect: {"80/tcp": [{"HostIp": .., "HostPort": ..}], ..}.
 * Appends a line for each, in natural order: "80/tcp -> 0.0.0.0:8080"; with `only` ("80",
 * "53/udp") just those of it: "0.0.0.0:8080". INVALID: no port; NOT_FOUND: not published, in
 * docker's words, which call the box `name`. */
int port_list(const json_t *ports, const char *only, const char *name, struct str *out,
              struct err *e) MUST_CHECK;
