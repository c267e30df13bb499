/* Something to do while a blocking call waits. */
#pragma once

#include "util/err.h"

/* `fn` is called at the moment `at_ns`, and sets the next one. < 0 from it, with *e set, gives up
 * waiting. Embedded in the caller's object. */
struct tick {
    uint64_t at_ns; /* monotonic */
    int (*fn)(struct tick *t, struct err *e);
};
