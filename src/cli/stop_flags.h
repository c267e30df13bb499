/* The options that stop and restart share. */
#pragma once

#include "cli/opt.h"

struct stop_flags {
    int timeout_s;
    const char *signal;
};

extern const struct opt stop_flag_rows[];

#define STOP_FLAGS_DEFAULTS                                                                      \
    {                                                                                            \
        .timeout_s = INT32_MIN /* nobody gave one */                                             \
    }

/* As box_stop() wants it. */
struct stop_how {
    int signal;          /* 0: the box's */
    uint64_t timeout_ns; /* UINT64_MAX: the box's */
};

int stop_flags_read(const struct stop_flags *f, struct stop_how *ret, struct err *e) MUST_CHECK;
