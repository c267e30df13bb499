/* What this host lets us use to jail the programs that run boxes. */
#pragma once

#include <jansson.h>

/* An object: "Landlock", "Seccomp", "UserNamespaces", "NoNewPrivileges", each with "Available"
 * and "Reason". The caller owns it. */
json_t *host_limits(void);
