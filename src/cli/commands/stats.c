#include "cli/output.h"
#include "cli/stats_watch.h"
#include "db/db.h"
#include "util/time.h"

#include <poll.h>
#include <string.h>

#define FIRST_NS   (500 * NS_PER_MS) /* CPU use is that of an interval: the first, ... */
#define EVERY_NS   (1 * NS_PER_S)    /* ... and those of a stream, as docker's */
#define PATIENT_NS (10 * NS_PER_S)   /* for an answer, when there is only one */
#define BRISK_NS   (2 * NS_PER_S)    /* for an answer, in a stream */

struct stats_args {
    bool all, no_stream, no_trunc;
    const char *format;
};

static const struct opt stats_opts[] = {
    OPT_FLAG('a', "all", struct stats_args, all, "Show boxes that do not run too"),
    OPT_STR(0, "format", "FORMAT", struct stats_args, format,
            "table, table TEMPLATE, json, or a Go template"),
    OPT_FLAG(0, "no-stream", struct stats_args, no_stream, "Look once, and end"),
    OPT_FLAG(0, "no-trunc", struct stats_args, no_trunc, "Do not shorten ids"),
    { .type = OPT_END },
};

/* Until then; false when nobody reads our output any more. */
static bool wait_until(struct cli *cli, uint64_t at_ns)
{
    struct pollfd out = { .fd = fileno(cli->out), .events = 0 };

    for (;;) {
        uint64_t now = time_mono_ns();
        int ms = now < at_ns ? (int)((at_ns - now) / NS_PER_MS) + 1 : 0;

        if (poll(&out, 1, ms) > 0)
            return false;
        if (time_mono_ns() >= at_ns)
            return true;
    }
}

/* Over the last picture: each line ends what was there, the last one what is below. */
static void paint(FILE *out, const char *text)
{
    fputs("\033[H", out);
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        fprintf(out, "%.*s\033[K\n", (int)(end - text), text);
    fputs("\033[J", out);
}

static int list_print(struct show_list *list, struct cli *cli, bool screen, struct err *e)
{
    autofree char *text = NULL;
    size_t len = 0;
    FILE *out;
    int r;

    if (!screen)
        return show_list_end(list, cli->out, e);
    out = open_memstream(&text, &len);
    if (!out)
        return err_os(e, "stats");
    r = show_list_end(list, out, e);
    if (fclose(out) != 0 && r >= 0)
        r = err_os(e, "stats");
    if (r >= 0)
        paint(cli->out, text);
    return r;
}

static int print(struct cli *cli, const struct stats_args *args, const struct stats_watch *w,
                 bool screen, struct err *e)
{
    autoptr(show_list) list = NULL;
    int r;

    r = cli_format(cli, &stats_table, args->format, &list, e);
    for (size_t i = 0; r >= 0 && i < w->n; i++) {
        const struct stats_entry *en = &w->v[i];
        json_t *row = stats_row(&(struct stats_view){ .given = en->given,
                                                      .id = en->id,
                                                      .name = en->name ? en->name : "",
                                                      .last = en->last,
                                                      .now = en->now,
                                                      .no_trunc = args->no_trunc });

        r = row ? show_list_add(list, row, e) : err_set(e, ERR_LIMIT, "Out of memory");
        json_decref(row);
    }
    if (r >= 0)
        r = list_print(list, cli, screen, e);
    (void)fflush(cli->out); /* main checks the stream */
    return r;
}

static bool something_runs(const struct stats_watch *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].box)
            return true;
    return false;
}

static int watch(struct cli *cli, const struct stats_args *args, struct stats_watch *w,
                 struct err *e)
{
    uint64_t patience = args->no_stream ? PATIENT_NS : BRISK_NS;
    bool screen = !args->no_stream && isatty(fileno(cli->out));
    int r;

    r = stats_watch_look(w, patience, e);
    if (r >= 0 && something_runs(w) && wait_until(cli, time_mono_ns() + FIRST_NS))
        r = stats_watch_look(w, patience, e);
    if (screen)
        fputs("\033[2J", cli->out);
    while (r >= 0 && (r = print(cli, args, w, screen, e)) >= 0) {
        if (args->no_stream || ferror(cli->out) || !wait_until(cli, time_mono_ns() + EVERY_NS))
            return 0;
        r = stats_watch_look(w, patience, e);
        if (w->named && !w->n)
            return r; /* all of them are gone */
    }
    return r;
}

static int stats_run(struct cli *cli, const void *own_args, int argc, char **argv, struct err *e)
{
    const struct stats_args *args = own_args;
    struct stats_watch w = { .home = cli->home, .all = args->all };
    autoptr(show_list) first = NULL;
    autoptr(db) db = NULL;
    int r;

    r = cli_format(cli, &stats_table, args->format, &first,
                   e); /* before anything is waited for */
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    w.db = db;
    if (r >= 0 && argc)
        r = stats_watch_named(&w, argv, e);
    if (r >= 0)
        r = watch(cli, args, &w, e);
    stats_watch_done(&w);
    return r;
}

const struct command cmd_stats = {
    .name = "stats",
    .synopsis = "[OPTIONS] [BOX...]",
    .summary = "Show what boxes use, again every second",
    .details =
        "Without names: all boxes that run. CPU, memory, network, disk and processes are\n"
        "those of the box, memory without what the kernel would drop at once; HOST MEM is\n"
        "what its machine takes from the host, of shared pages its share (PSS).\n"
        "Fields of a template: .BlockIO .CPUPerc .Container .HostCPU .HostMem .ID\n"
        ".MemPerc .MemUsage .Name .NetIO .PIDs\n",
    .group = GROUP_LOOK,
    .arg = ARG_BOX,
    .max_args = ARGS_ANY,
    .opts = stats_opts,
    .args_size = sizeof(struct stats_args),
    .run = stats_run,
};
