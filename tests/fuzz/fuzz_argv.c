/* Command lines: words separated by newlines, over a table with every type of option. Nothing
 * may be lost: what is not an option is a positional argument. */
#include "cli/opt.h"

#include "util/own.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 64

struct inner {
    bool deep;
    struct str_list tags;
};

struct args {
    bool all, tty;
    int n;
    int64_t quota;
    uint64_t size, wait_ns;
    const char *name;
    struct str_list env;
    struct inner in;
};

static const struct opt inner_opts[] = {
    OPT_FLAG('D', "deep", struct inner, deep, "Deep"),
    OPT_LIST('g', "tag", "TAG", struct inner, tags, "Tag"),
    { .type = OPT_END },
};

static const struct opt opts[] = {
    OPT_FLAG('a', "all", struct args, all, "All"),
    OPT_FLAG('t', "tty", struct args, tty, "Terminal"),
    OPT_INT('n', "last", "N", struct args, n, "Last", .min = -1, .max = 100),
    OPT_I64(0, "quota", "US", struct args, quota, "Quota"),
    OPT_SIZE('m', "memory", "SIZE", struct args, size, "Memory", .unit = 1 << 20),
    OPT_DURATION(0, "timeout", "TIME", struct args, wait_ns, "Wait", .alias = "time"),
    OPT_STR(0, "name", "NAME", struct args, name, "Name"),
    OPT_LIST('e', "env", "K=V", struct args, env, "Environment"),
    OPT_TABLE(inner_opts, struct args, in),
    { .type = OPT_END },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *text = strndup((const char *)data, size);
    char *argv[WORDS_MAX + 2] = { NULL };
    struct args args = { .n = 7 };
    enum opt_order order = size && (data[0] & 1) ? OPT_ANYWHERE : OPT_BEFORE_FIRST;
    struct err e = { 0 };
    size_t n = 0;
    int r;

    for (char *p = text; p && n < WORDS_MAX; n++) {
        argv[n] = p;
        p = strchr(p, '\n');
        if (p)
            *p++ = '\0';
    }
    r = opt_parse(opts, order, &args, argv, &e);
    if (r < 0 ? !e.text[0] : r != OPT_WANTS_HELP && ((size_t)r >= n + !n || argv[r]))
        __builtin_trap();
    if (args.n < -1 || args.n > 100)
        __builtin_trap();
    opt_done(opts, &args);
    return 0;
}
