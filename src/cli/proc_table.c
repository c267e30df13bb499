#include "cli/proc_table.h"

#include "util/time.h"

#include <string.h>
#include <time.h>

#define COLUMNS_MAX 64

struct table {
    const struct proc_list *procs;
    uint64_t memory_bytes;
    int64_t now_ns;
};

typedef void cell_fn(const struct table *t, const struct proc_row *p, struct str *out);

static void cell_user(const struct table *t UNUSED, const struct proc_row *p, struct str *out)
{
    if (p->user && *p->user)
        str_adds(out, p->user);
    else
        str_addf(out, "%llu", (unsigned long long)p->uid);
}

#define NUMBER_CELL(name, expression)                                                            \
    static void cell_##name(const struct table *t UNUSED, const struct proc_row *p,              \
                            struct str *out)                                                     \
    {                                                                                            \
        str_addf(out, "%lld", (long long)(expression));                                          \
    }
NUMBER_CELL(uid, p->uid)
NUMBER_CELL(gid, p->gid)
NUMBER_CELL(pid, p->pid)
NUMBER_CELL(ppid, p->ppid)
NUMBER_CELL(rss, p->rss_bytes / 1024)
NUMBER_CELL(vsz, p->vsz_bytes / 1024)
NUMBER_CELL(nice, p->nice)
NUMBER_CELL(threads, p->threads)
NUMBER_CELL(etimes, (t->procs->uptime_ns - p->start_ns) / NS_PER_S)

static double cpu_percent(const struct table *t, const struct proc_row *p)
{
    double lived = (double)(t->procs->uptime_ns - p->start_ns) / 1e9;

    return lived > 0 ? (double)p->cpu_ticks / lived : 0; /* ticks are 1/100 s */
}

static void cell_c(const struct table *t, const struct proc_row *p, struct str *out)
{
    str_addf(out, "%d", (int)cpu_percent(t, p));
}

static void cell_cpu(const struct table *t, const struct proc_row *p, struct str *out)
{
    str_addf(out, "%.1f", cpu_percent(t, p));
}

static void cell_mem(const struct table *t, const struct proc_row *p, struct str *out)
{
    double of = (double)t->memory_bytes;

    str_addf(out, "%.1f", of > 0 ? (double)p->rss_bytes * 100 / of : 0);
}

static void cell_state(const struct table *t UNUSED, const struct proc_row *p, struct str *out)
{
    str_adds(out, p->state ? p->state : "?");
}

static void cell_tty(const struct table *t UNUSED, const struct proc_row *p, struct str *out)
{
    str_adds(out, p->tty ? p->tty : "?");
}

static void cell_comm(const struct table *t UNUSED, const struct proc_row *p, struct str *out)
{
    str_adds(out, p->comm ? p->comm : "?");
}

/* Kernel's way: a process without arguments is its name in brackets. Control characters would
 * break the table. */
static void cell_args(const struct table *t UNUSED, const struct proc_row *p, struct str *out)
{
    const char *s = p->args && *p->args ? p->args : NULL;

    if (!s) {
        str_addf(out, "[%s]", p->comm ? p->comm : "?");
        return;
    }
    for (; *s; s++)
        str_addc(out, (unsigned char)*s < ' ' ? '?' : *s);
}

static void cell_time(const struct table *t UNUSED, const struct proc_row *p, struct str *out)
{
    unsigned long long s = p->cpu_ticks / 100;

    str_addf(out, "%02llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

static void cell_etime(const struct table *t, const struct proc_row *p, struct str *out)
{
    unsigned long long s = (t->procs->uptime_ns - p->start_ns) / NS_PER_S;

    if (s >= 86400)
        str_addf(out, "%llu-", s / 86400);
    if (s >= 3600)
        str_addf(out, "%02llu:", s / 3600 % 24);
    str_addf(out, "%02llu:%02llu", s / 60 % 60, s % 60);
}

/* 13:33 today, Nov22 before. */
static void cell_stime(const struct table *t, const struct proc_row *p, struct str *out)
{
    int64_t began = t->now_ns - (int64_t)(t->procs->uptime_ns - p->start_ns);
    time_t when = (time_t)(began / (int64_t)NS_PER_S);
    time_t today = (time_t)(t->now_ns / (int64_t)NS_PER_S);
    struct tm a, b;
    char text[32] = "?";

    if (localtime_r(&when, &a) && localtime_r(&today, &b))
        (void)strftime(text, sizeof(text),
                       a.tm_yday == b.tm_yday && a.tm_year == b.tm_year ? "%H:%M" : "%b%d", &a);
    str_adds(out, text);
}

struct column {
    const char *name, *header;
    cell_fn *cell;
};

static const struct column known[] = {
    { "%cpu", "%CPU", cell_cpu },
    { "%mem", "%MEM", cell_mem },
    { "args", "COMMAND", cell_args },
    { "c", "C", cell_c },
    { "cmd", "CMD", cell_args },
    { "comm", "COMMAND", cell_comm },
    { "command", "COMMAND", cell_args },
    { "etime", "ELAPSED", cell_etime },
    { "etimes", "ELAPSED", cell_etimes },
    { "euser", "EUSER", cell_user },
    { "gid", "GID", cell_gid },
    { "ni", "NI", cell_nice },
    { "nice", "NI", cell_nice },
    { "nlwp", "NLWP", cell_threads },
    { "pcpu", "%CPU", cell_cpu },
    { "pid", "PID", cell_pid },
    { "pmem", "%MEM", cell_mem },
    { "ppid", "PPID", cell_ppid },
    { "rss", "RSS", cell_rss },
    { "s", "S", cell_state },
    { "start", "STARTED", cell_stime },
    { "stat", "STAT", cell_state },
    { "state", "S", cell_state },
    { "stime", "STIME", cell_stime },
    { "thcount", "THCNT", cell_threads },
    { "time", "TIME", cell_time },
    { "tt", "TT", cell_tty },
    { "tty", "TT", cell_tty },
    { "uid", "UID", cell_uid },
    { "user", "USER", cell_user },
    { "vsz", "VSZ", cell_vsz },
};

static const struct column full[] = {
    { "user", "UID", cell_user },     { "pid", "PID", cell_pid },
    { "ppid", "PPID", cell_ppid },    { "c", "C", cell_c },
    { "stime", "STIME", cell_stime }, { "tty", "TTY", cell_tty },
    { "time", "TIME", cell_time },    { "cmd", "CMD", cell_args },
};

static const struct column bsd[] = {
    { "user", "USER", cell_user },    { "pid", "PID", cell_pid },
    { "%cpu", "%CPU", cell_cpu },     { "%mem", "%MEM", cell_mem },
    { "vsz", "VSZ", cell_vsz },       { "rss", "RSS", cell_rss },
    { "tty", "TTY", cell_tty },       { "stat", "STAT", cell_state },
    { "start", "START", cell_stime }, { "time", "TIME", cell_time },
    { "args", "COMMAND", cell_args },
};

static const struct column brief[] = {
    { "pid", "PID", cell_pid },       { "tty", "TTY", cell_tty },
    { "stat", "STAT", cell_state },   { "time", "TIME", cell_time },
    { "args", "COMMAND", cell_args },
};

struct columns {
    struct column v[COLUMNS_MAX];
    size_t n;
};

/* "pid,comm"; "pid=Number" has the rest of the word as its header. */
static int add_named(struct columns *c, const char *list, struct err *e)
{
    while (*list) {
        size_t len = strcspn(list, ", ="), i;

        for (i = 0; i < ARRAY_LEN(known); i++)
            if (strlen(known[i].name) == len && !memcmp(known[i].name, list, len))
                break;
        if (i == ARRAY_LEN(known))
            return err_set(e, ERR_UNSUPPORTED, "unknown column '%.*s'",
                           (int)(len > 32 ? 32 : len), list);
        if (c->n == COLUMNS_MAX)
            return err_set(e, ERR_LIMIT, "too many columns");
        c->v[c->n] = known[i];
        list += len;
        if (*list == '=') {
            c->v[c->n].header = list + 1;
            list += strlen(list);
        }
        list += *list != '\0';
        c->n++;
    }
    return 0;
}

static void use(struct columns *c, const struct column *v, size_t n)
{
    memcpy(c->v, v, n * sizeof(*v));
    c->n = n;
}

/* Are these letters all options we know? BSD's come with and without a dash, as in "-aux". */
static bool is_options(const char *letters, size_t n, bool dash)
{
    return strspn(letters, dash ? "eAfwaux" : "auxw") >= n;
}

/* -o, -eo, axo and the like: where the list begins in the word ("": the next word); else NULL. */
static const char *list_in(const char *word)
{
    bool dash = *word == '-';
    const char *o = strchr(word, 'o');

    return o && is_options(word + dash, (size_t)(o - word) - dash, dash) ? o + 1 : NULL;
}

static int choose_style(struct columns *c, const char *word, struct err *e)
{
    bool dash = *word == '-';

    word += dash;
    if (!*word || !is_options(word, strlen(word), dash))
        return err_set(e, ERR_UNSUPPORTED,
                       "ps option '%s%.32s' is not known (known: -ef, aux, ax, -o LIST)",
                       dash ? "-" : "", word);
    if (strchr(word, 'u'))
        use(c, bsd, ARRAY_LEN(bsd));
    else if (strpbrk(word, "ax"))
        use(c, brief, ARRAY_LEN(brief));
    return 0;
}

static int choose(struct columns *c, char *const *args, struct err *e)
{
    struct columns named = { .n = 0 };
    int r = 0;

    use(c, full, ARRAY_LEN(full));
    for (size_t i = 0; args[i] && r == 0; i++) {
        const char *list = list_in(args[i]);

        if (list && !*list && !args[i + 1])
            return err_set(e, ERR_INVALID, "'%.32s' needs a list of columns", args[i]);
        if (list)
            r = add_named(&named, *list ? list : args[++i], e);
        else
            r = choose_style(c, args[i], e);
    }
    if (r == 0 && named.n)
        *c = named;
    return r;
}

int proc_table(const struct proc_list *procs, uint64_t memory_bytes, char *const *args,
               struct str *out, struct err *e)
{
    struct table t = { procs, memory_bytes, time_real_ns() };
    struct columns c = { .n = 0 };
    int r = choose(&c, args, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < c.n; i++)
        str_addf(out, "%s%s", i ? "\t" : "", c.v[i].header);
    str_addc(out, '\n');
    for (size_t n = 0; n < procs->procs.n; n++) {
        for (size_t i = 0; i < c.n; i++) {
            if (i)
                str_addc(out, '\t');
            c.v[i].cell(&t, TLV_AT(&procs->procs, struct proc_row, n), out);
        }
        str_addc(out, '\n');
    }
    return 0;
}
