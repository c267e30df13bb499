#include "util/parse.h"

#include "util/time.h"

#include <ctype.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Reads digits; false on overflow or when there is none. */
static bool digits(const char **p, uint64_t *ret)
{
    uint64_t v = 0;
    const char *s = *p;

    if (*s < '0' || *s > '9')
        return false;
    for (; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return false;
    *p = s;
    *ret = v;
    return true;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct err *e)
{
    const char *p = text;
    uint64_t v;

    if (!digits(&p, &v) || *p)
        return err_set(e, ERR_INVALID, "'%.64s' is not a number", text);
    if (v < min || v > max)
        return err_set(e, ERR_INVALID, "%.32s is not between %llu and %llu", text,
                       (unsigned long long)min, (unsigned long long)max);
    *ret = v;
    return 0;
}

int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *e)
{
    bool negative = text[0] == '-';
    const char *p = text + negative;
    uint64_t v;

    if (!digits(&p, &v) || *p || v > (uint64_t)INT64_MAX)
        return err_set(e, ERR_INVALID, "'%.64s' is not a number", text);
    if ((negative ? -(int64_t)v : (int64_t)v) < min ||
        (negative ? -(int64_t)v : (int64_t)v) > max)
        return err_set(e, ERR_INVALID, "%.32s is not between %lld and %lld", text, (long long)min,
                       (long long)max);
    *ret = negative ? -(int64_t)v : (int64_t)v;
    return 0;
}

int parse_size(const char *text, uint64_t unit, uint64_t min, uint64_t max, uint64_t *ret,
               struct err *e)
{
    static const char suffixes[] = "bkmgt";
    const char *p = text, *hit;
    uint64_t v, scale = unit;

    if (!digits(&p, &v))
        return err_set(e, ERR_INVALID, "'%.64s' is not a size (for example 512m or 2g)", text);
    if (*p) {
        hit = strchr(suffixes, tolower((unsigned char)*p));
        if (!hit || (p[1] && (hit == suffixes || strcasecmp(p + 1, "b") != 0)))
            return err_set(e, ERR_INVALID, "'%.64s' is not a size (for example 512m or 2g)",
                           text);
        scale = UINT64_C(1) << (10 * (hit - suffixes));
    }
    if (__builtin_mul_overflow(v, scale, &v) || v < min || v > max)
        return err_set(e, ERR_INVALID, "size %.32s is not between %llu and %llu bytes", text,
                       (unsigned long long)min, (unsigned long long)max);
    *ret = v;
    return 0;
}

static bool duration_unit(const char **p, uint64_t *ret_ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        { "ns", 1 },
        { "us", 1000 },
        { "ms", NS_PER_MS },
        { "s", NS_PER_S },
        { "m", 60 * NS_PER_S },
        { "h", 3600 * NS_PER_S },
        { "d", 86400 * NS_PER_S },
    };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t len = strlen(units[i].name);

        if (strncmp(*p, units[i].name, len) != 0 || isalpha((unsigned char)(*p)[len]))
            continue;
        *p += len;
        *ret_ns = units[i].ns;
        return true;
    }
    return false;
}

/* One "1.5h" of a duration. */
static bool duration_part(const char **p, uint64_t *ret_ns)
{
    const char *s = *p;
    uint64_t whole, frac = 0, scale = 1, unit = NS_PER_S;

    if (!digits(&s, &whole))
        return false;
    if (*s == '.') {
        for (s++; *s >= '0' && *s <= '9'; s++) {
            if (scale >= NS_PER_S)
                continue; /* below a nanosecond of a second */
            frac = frac * 10 + (uint64_t)(*s - '0');
            scale *= 10;
        }
    }
    if (*s ? !duration_unit(&s, &unit) : false)
        return false;
    if (__builtin_mul_overflow(whole, unit, &whole) ||
        __builtin_add_overflow(whole, (uint64_t)((__uint128_t)frac * unit / scale), &whole))
        return false;
    *p = s;
    *ret_ns = whole;
    return true;
}

int parse_duration(const char *text, uint64_t *ret_ns, struct err *e)
{
    uint64_t total = 0, part;
    const char *p = text;

    do {
        if (!duration_part(&p, &part) || __builtin_add_overflow(total, part, &total))
            return err_set(e, ERR_INVALID,
                           "'%.64s' is not a duration (for example 1m30s or 500ms)", text);
    } while (*p);
    *ret_ns = total;
    return 0;
}

int parse_signal(const char *text, int *ret, struct err *e)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    const char *p = text;
    uint64_t n;

    if (digits(&p, &n) && !*p && n >= 1 && n <= 64) {
        *ret = (int)n;
        return 0;
    }
    for (int sig = 1; sig < 32; sig++) {
        const char *known = signal_name(sig);

        if (known && strcasecmp(known, name) == 0) {
            *ret = sig;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "Unknown signal: %.32s", text);
}

const char *signal_name(int sig)
{
    static const char *const names[] = {
        [SIGHUP] = "HUP",   [SIGINT] = "INT",       [SIGQUIT] = "QUIT", [SIGILL] = "ILL",
        [SIGTRAP] = "TRAP", [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",   [SIGFPE] = "FPE",
        [SIGKILL] = "KILL", [SIGUSR1] = "USR1",     [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
        [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",     [SIGTERM] = "TERM", [SIGSTKFLT] = "STKFLT",
        [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",     [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
        [SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU",     [SIGURG] = "URG",   [SIGXCPU] = "XCPU",
        [SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH",
        [SIGIO] = "IO",     [SIGPWR] = "PWR",       [SIGSYS] = "SYS",
    };

    return sig > 0 && (size_t)sig < ARRAY_LEN(names) ? names[sig] : NULL;
}
