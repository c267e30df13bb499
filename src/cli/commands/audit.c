#include "box/audit.h"
#include "cli/command.h"
#include "cli/log_view.h"
#include "util/fd.h"
#include "util/time.h"

#include <jansson.h>
#include <string.h>

#define COUNT_DEFAULT 50
#define COUNT_MAX     1000000

struct audit_args {
    bool json;
    int count;
    const char *action, *box, *outcome, *since, *until;
};

static const struct opt audit_opts[] = {
    OPT_STR(0, "action", "ACTION", struct audit_args, action, "Only this, such as box_create"),
    OPT_STR(0, "box", "BOX", struct audit_args, box,
            "Only of this box: its name then, or the start of its id", .alias = "box-id"),
    OPT_FLAG(0, "json", struct audit_args, json, "The records as they are, one per line"),
    OPT_INT('n', "lines", "N", struct audit_args, count, "The newest N records (default 50)",
            .min = 1, .max = COUNT_MAX),
    OPT_STR(0, "outcome", "OUTCOME", struct audit_args, outcome, "success, failure or denied"),
    OPT_STR(0, "since", "TIME", struct audit_args, since,
            "Only from then on: 10m (ago), 2026-11-22T13:33:16Z, or seconds since 1970"),
    OPT_STR(0, "until", "TIME", struct audit_args, until, "Only up to then"),
    { .type = OPT_END },
};

/* The newest of what matches; owned lines, in a ring. */
struct found {
    char **v;
    size_t max, n, next; /* `next` is the oldest when n == max */
};

struct search {
    const struct audit_args *args;
    int64_t now_ns, since_ns, until_ns;
    size_t bad; /* lines that are no records */
};

static void found_done(struct found *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i]);
    free(f->v);
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static bool is_box(const json_t *record, const char *box)
{
    const json_t *metadata = json_object_get(record, "metadata");
    const char *id = text(record, "box_id");

    if (!strcmp(text(metadata, "name"), box))
        return true;
    return *id ? !strncmp(id, box, strlen(box)) : !strcmp(text(metadata, "target"), box);
}

static bool matches(const struct search *s, const json_t *record)
{
    const struct audit_args *a = s->args;
    struct err ignored;
    int64_t when;

    if (a->action && strcmp(text(record, "action"), a->action) != 0)
        return false;
    if (a->outcome && strcmp(text(record, "outcome"), a->outcome) != 0)
        return false;
    if (a->box && !is_box(record, a->box))
        return false;
    if (!a->since && !a->until)
        return true;
    return log_moment(text(record, "timestamp"), s->now_ns, &when, &ignored) >= 0 &&
           when >= s->since_ns && when <= s->until_ns;
}

static int keep(struct found *f, const char *line, struct err *e)
{
    char *copy = strdup(line), **v = f->v;

    if (copy && f->n < f->max && (f->n & (f->n - 1)) == 0) /* full at every power of two */
        v = realloc(v, (f->n ? f->n * 2 : 1) * sizeof(*v));
    if (!copy || !v) {
        free(copy);
        return err_os(e, "audit");
    }
    f->v = v;
    if (f->n < f->max) {
        v[f->n++] = copy;
        return 0;
    }
    free(v[f->next]);
    v[f->next] = copy;
    f->next = (f->next + 1) % f->max;
    return 0;
}

static int search_file(struct search *s, int own_fd, struct found *f, struct err *e)
{
    FILE *in = fdopen(own_fd, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int r = 0;

    if (!in) {
        close_fd(&own_fd);
        return err_os(e, "audit");
    }
    while (r == 0 && (len = getline(&line, &cap, in)) > 0) {
        json_t *record = (size_t)len <= AUDIT_LINE_MAX && line[len - 1] == '\n'
                             ? json_loadb(line, (size_t)len, 0, NULL)
                             : NULL;

        if (!json_is_object(record))
            s->bad += len > 1; /* a power cut leaves half a line */
        else if (matches(s, record))
            r = keep(f, line, e);
        json_decref(record);
    }
    if (r == 0 && ferror(in))
        r = err_os(e, "read the audit log");
    free(line);
    (void)fclose(in); /* read only */
    return r;
}

/* Text from users must not move the cursor. */
static void defuse(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

static void print_record(struct cli *cli, const char *line)
{
    json_t *record = json_loads(line, 0, NULL);
    const json_t *metadata = json_object_get(record, "metadata");
    const char *message = text(record, "message"), *when = text(record, "timestamp");
    autofree char *row = NULL;

    row = str_format(
        "%.23sZ %-18s %-12.12s %-10s %-10s %s%s%s%s%s%s%s", when, text(record, "action"),
        *text(record, "box_id") ? text(record, "box_id") : "-", text(record, "outcome"),
        text(metadata, "user"), text(metadata, "command"), *text(metadata, "target") ? " " : "",
        text(metadata, "target"), *text(metadata, "to") ? " " : "", text(metadata, "to"),
        *message ? ": " : "", message);
    if (row) {
        defuse(row);
        fprintf(cli->out, "%s\n", row);
    }
    json_decref(record);
}

static void print_found(struct cli *cli, const struct found *f, bool json)
{
    if (!json)
        fprintf(cli->out, "%-24s %-18s %-12s %-10s %-10s %s\n%.100s\n", "TIMESTAMP", "ACTION",
                "BOX", "OUTCOME", "USER", "MESSAGE",
                "------------------------------------------------------------------------------"
                "----------------------");
    for (size_t i = 0; i < f->n; i++) {
        const char *line = f->v[(f->next + i) % f->n];

        if (json)
            fputs(line, cli->out);
        else
            print_record(cli, line);
    }
    if (!json)
        fprintf(cli->out, "%zu event(s)\n", f->n);
}

/* Newest file first, until there are enough. */
static int search_files(struct cli *cli, struct search *s, struct err *e)
{
    int fds[AUDIT_FILES_MAX + 2], r;
    struct found parts[AUDIT_FILES_MAX + 1] = { 0 };
    struct found all = { .max = (size_t)s->args->count };
    size_t files = 0, left = all.max;

    r = audit_open_all(cli->home, fds, e);
    for (size_t i = 0; r == 0 && fds[i] >= 0; i++) {
        parts[i].max = left;
        files = i + 1;
        if (left)
            r = search_file(s, take_fd(&fds[i]), &parts[i], e);
        else
            close_fd(&fds[i]);
        left -= parts[i].n;
    }
    for (size_t i = files; r == 0 && i-- > 0;)
        for (size_t k = 0; r == 0 && k < parts[i].n; k++)
            r = keep(&all, parts[i].v[(parts[i].next + k) % parts[i].n], e);
    if (r == 0 && (all.n || s->args->json))
        print_found(cli, &all, s->args->json);
    else if (r == 0)
        fputs("No audit events found.\n", cli->out);
    if (r == 0 && s->bad)
        fprintf(cli->err, "Warning: lines of the audit log that are damaged were skipped: %zu\n",
                s->bad);
    for (size_t i = 0; i < files; i++)
        found_done(&parts[i]);
    found_done(&all);
    return r;
}

static int audit_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                     struct err *e)
{
    const struct audit_args *args = own_args;
    struct search s = {
        .args = args, .now_ns = time_real_ns(), .since_ns = INT64_MIN, .until_ns = INT64_MAX
    };
    bool known = !args->outcome;
    int r = 0;

    for (int i = AUDIT_SUCCESS; !known && i <= AUDIT_DENIED; i++)
        known = !strcmp(args->outcome, audit_outcome_name((enum audit_outcome)i));
    if (!known)
        return err_set(e, ERR_USAGE, "Outcome '%.40s' is not success, failure or denied",
                       args->outcome);
    if (args->since)
        r = log_moment(args->since, s.now_ns, &s.since_ns, e);
    if (r >= 0 && args->until)
        r = log_moment(args->until, s.now_ns, &s.until_ns, e);
    return r < 0 ? r : search_files(cli, &s, e);
}

static const struct audit_args audit_defaults = { .count = COUNT_DEFAULT };

const struct command cmd_audit = {
    .name = "audit",
    .synopsis = "[OPTIONS]",
    .summary = "Print who did what, and how it ended",
    .details =
        "From $A3S_HOME/audit/audit.jsonl and what it was before; the oldest line first.\n",
    .group = GROUP_LOOK,
    .opts = audit_opts,
    .args_size = sizeof(struct audit_args),
    .defaults = &audit_defaults,
    .run = audit_run,
};
