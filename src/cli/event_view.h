/* Reading the table of events (db/event.h), as docker's `events` shows it. */
#pragma once

#include "cli/command.h"
#include "db/db.h"
#include "show/filter.h"
#include "show/template.h"

/* Names of filters, ending with NULL. */
extern const char *const event_filter_keys[];

struct event_range {
    const struct show_filters *filters;
    const struct show_template *format; /* NULL: docker's line */
    bool history;                       /* what is there already, too */
    int64_t since_ns, until_ns;         /* real time; INT64_MIN, INT64_MAX: no limit */
};

/* Print events to cli->out in the order of their commits, each once: what is there (history),
 * then what comes, until until_ns or until nobody reads cli->out. Events that were dropped before
 * they could be read are told on cli->err. */
int event_view(struct cli *cli, struct db *db, const struct event_range *range,
               struct err *e) MUST_CHECK;
