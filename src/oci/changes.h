/* `import -c` (later `commit -c`): Dockerfile instructions that change a configuration. */
#pragma once

#include "oci/json.h"

/* Apply one instruction ("CMD [\"sh\"]", "ENV A=1 B=\"two words\"") to a "config" object. INVALID
 * quotes the instruction. */
int change_apply(json_t *config, const char *instruction, struct err *e) MUST_CHECK;
