#include "cli/event_view.h"
#include "cli/log_view.h"
#include "cli/output.h"
#include "util/time.h"

struct events_args {
    bool json;
    const char *since, *until, *format;
    struct str_list filters;
};

static const struct opt events_opts[] = {
    OPT_LIST('f', "filter", "KEY=VALUE", struct events_args, filters,
             "Only matching events: box (or container), event, image, label, name, type"),
    OPT_STR(0, "format", "FORMAT", struct events_args, format, "json, or a Go template"),
    OPT_FLAG(0, "json", struct events_args, json, "The same as --format json"),
    OPT_STR(0, "since", "TIME", struct events_args, since,
            "Those from then on, too: 10m (ago), 2026-11-22T13:33:16Z, or seconds since 1970"),
    OPT_STR(0, "until", "TIME", struct events_args, until, "Those up to then, and end then"),
    { .type = OPT_END },
};

static int events_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                      struct err *e)
{
    const struct events_args *args = own_args;
    struct event_range range = { .history = args->since || args->until,
                                 .since_ns = INT64_MIN,
                                 .until_ns = INT64_MAX };
    int64_t now = time_real_ns();
    struct show_filters filters;
    autoptr(show_template) format = NULL;
    autoptr(db) db = NULL;
    int r;

    if (args->json && args->format)
        return err_set(e, ERR_USAGE, "--json and --format exclude each other");
    r = cli_template(cli, args->json ? "json" : args->format, &format, e);
    if (r == 0)
        r = show_filters_parse(args->filters.v, args->filters.n, event_filter_keys, &filters, e);
    if (r >= 0 && args->since)
        r = log_moment(args->since, now, &range.since_ns, e);
    if (r >= 0 && args->until)
        r = log_moment(args->until, now, &range.until_ns, e);
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    if (r < 0)
        return r;
    range.filters = &filters;
    range.format = format;
    return event_view(cli, db, &range, e);
}

const struct command cmd_events = {
    .name = "events",
    .synopsis = "[OPTIONS]",
    .summary = "Print what happens to boxes and images",
    .details = "Runs until it is interrupted. Fields of a template: .Action .Actor.Attributes\n"
               ".Actor.ID .From .ID .Scope .Status .Time .TimeNano .Type\n",
    .group = GROUP_LOOK,
    .opts = events_opts,
    .args_size = sizeof(struct events_args),
    .run = events_run,
};
