#include "cli/stop_flags.h"

#include "util/parse.h"
#include "util/time.h"

#define FOREVER_NS (INT64_MAX / 4) /* 73 years; far enough from an overflow */

const struct opt stop_flag_rows[] = {
    OPT_STR('s', "signal", "SIGNAL", struct stop_flags, signal,
            "Signal to send (default: the box's stop signal)"),
    OPT_INT('t', "timeout", "SECONDS", struct stop_flags, timeout_s,
            "Wait so long before it is killed; -1: for ever (default: the box's, else 10)",
            .alias = "time", .min = -1, .max = INT32_MAX),
    { .type = OPT_END },
};

int stop_flags_read(const struct stop_flags *f, struct stop_how *ret, struct err *e)
{
    struct stop_how how = { .timeout_ns = UINT64_MAX };

    if (f->signal && parse_signal(f->signal, &how.signal, e) < 0)
        return err_set(e, ERR_INVALID, "Unknown signal: %.100s", f->signal);
    if (f->timeout_s == -1)
        how.timeout_ns = FOREVER_NS;
    else if (f->timeout_s >= 0)
        how.timeout_ns = (uint64_t)f->timeout_s * NS_PER_S;
    *ret = how;
    return 0;
}
