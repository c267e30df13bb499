#include "cli/event_view.h"

#include "cli/output.h"
#include "util/time.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define LINE_MAX_BYTES ((size_t)1 << 20) /* attributes are 16 KiB at most */
#define MAX_WAIT_MS    (24 * 3600 * 1000)

struct event_row {
    int64_t seq, time_ns;
    const char *type, *action, *id; /* of the statement */
    json_t *attributes;             /* owned */
};

/* ---- filters ----------------------------------------------------------- */

const char *const event_filter_keys[] = { "action", "box",    "container", "daemon",  "event",
                                          "image",  "label",  "name",      "network", "scope",
                                          "type",   "volume", NULL };

static const char *attribute(const struct event_row *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row->attributes, key));

    return s ? s : "";
}

/* Of the type, and its id or its name begins with the value: docker's rule. */
static bool match_actor(const struct event_row *row, const char *type, const char *value)
{
    size_t len = strlen(value);

    return !strcmp(row->type, type) &&
           (!strncmp(row->id, value, len) || !strncmp(attribute(row, "name"), value, len));
}

static bool match_box(const char *value, const void *arg)
{
    return match_actor(arg, "container", value);
}

static bool match_network(const char *value, const void *arg)
{
    return match_actor(arg, "network", value);
}

static bool match_volume(const char *value, const void *arg)
{
    return match_actor(arg, "volume", value);
}

static bool match_daemon(const char *value, const void *arg)
{
    return match_actor(arg, "daemon", value);
}

static bool match_name(const char *value, const void *arg)
{
    return !strcmp(attribute(arg, "name"), value);
}

/* "exec_start" is also "exec_start: sh -c true". */
static bool match_action(const char *value, const void *arg)
{
    const struct event_row *row = arg;
    size_t len = strlen(value);

    return !strncmp(row->action, value, len) && (!row->action[len] || row->action[len] == ':');
}

static bool match_type(const char *value, const void *arg)
{
    const struct event_row *row = arg;

    return !strcmp(row->type, !strcmp(value, "box") ? "container" : value);
}

static bool match_scope(const char *value, const void *arg UNUSED)
{
    return !strcmp(value, "local");
}

static bool is_image(const char *image, const char *value)
{
    size_t len = strlen(value);

    /* Without its tag; not "host" of "host:5000/x". */
    return !strncmp(image, value, len) &&
           (!image[len] || image[len] == '@' || (image[len] == ':' && !strchr(image + len, '/')));
}

static bool match_image(const char *value, const void *arg)
{
    const struct event_row *row = arg;
    bool box = !strcmp(row->type, "container");

    if (!box && strcmp(row->type, "image") != 0)
        return false;
    return is_image(attribute(row, box ? "image" : "name"), value) ||
           (!box && is_image(row->id, value));
}

/* "key" or "key=value". */
static bool match_label(const char *value, const void *arg)
{
    const struct event_row *row = arg;
    const char *eq = strchrnul(value, '='), *has;

    has = json_string_value(json_object_getn(row->attributes, value, (size_t)(eq - value)));
    return has && (!*eq || !strcmp(has, eq + 1));
}

static bool matches(const struct event_range *range, const struct event_row *row)
{
    static const struct {
        const char *key;
        show_match *match;
    } any[] = {
        { "action", match_action }, { "box", match_box },         { "container", match_box },
        { "daemon", match_daemon }, { "event", match_action },    { "image", match_image },
        { "name", match_name },     { "network", match_network }, { "scope", match_scope },
        { "type", match_type },     { "volume", match_volume },
    };

    if (row->time_ns < range->since_ns || row->time_ns > range->until_ns)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(any); i++)
        if (!show_filters_any(range->filters, any[i].key, any[i].match, row))
            return false;
    return show_filters_all(range->filters, "label", match_label, row);
}

/* ---- printing ---------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* " (a=1, b=2)", sorted; nothing when there are none. */
static bool put_attributes(struct str *out, const json_t *attributes)
{
    size_t n = json_object_size(attributes), i = 0;
    autofree const char **keys = calloc(n + 1, sizeof(*keys));
    const char *key;
    json_t *value;

    if (!keys)
        return false;
    json_object_foreach((json_t *)(uintptr_t)attributes, key, value) keys[i++] = key;
    qsort(keys, n, sizeof(*keys), by_key);
    for (i = 0; i < n; i++)
        str_addf(out, "%s%s=%s", i ? ", " : " (", keys[i],
                 json_string_value(json_object_get(attributes, keys[i])));
    if (n)
        str_addc(out, ')');
    return !out->failed;
}

/* Text from labels and command lines must not move the cursor. */
static void defuse(struct str *line)
{
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->p[i] < 0x20 || line->p[i] == 0x7f)
            line->p[i] = '?';
}

static int print_line(struct cli *cli, const struct event_row *row, struct err *e)
{
    autostr line = STR_INIT(LINE_MAX_BYTES);
    char when[TIME_RFC3339_LEN];

    time_rfc3339(row->time_ns, when);
    str_addf(&line, "%s %s %s %s", when, row->type, row->action, row->id);
    if (!put_attributes(&line, row->attributes) || line.failed)
        return err_set(e, ERR_LIMIT, "Out of memory");
    defuse(&line);
    str_addc(&line, '\n');
    (void)fwrite(line.p, 1, line.len, cli->out); /* event_view() looks at the stream */
    return 0;
}

static int put_member(const json_t *self, const char *name, struct str *ret, struct err *e)
{
    const json_t *v = json_object_get(self, name);
    bool ok = json_is_integer(v) ? str_addf(ret, "%lld", (long long)json_integer_value(v))
                                 : str_adds(ret, v ? json_string_value(v) : "");

    return ok ? 0 : err_set(e, ERR_LIMIT, "Out of memory");
}

/* Go's names of the fields whose JSON has another one. */
#define METHOD(fn, member)                                                                       \
    static int fn(const json_t *self, const char *const *args UNUSED, struct str *ret,           \
                  struct err *e)                                                                 \
    {                                                                                            \
        return put_member(self, member, ret, e);                                                 \
    }
METHOD(get_status, "status")
METHOD(get_id, "id")
METHOD(get_from, "from")
METHOD(get_scope, "scope")
METHOD(get_time, "time")
METHOD(get_time_nano, "timeNano")
#undef METHOD

static const struct show_method methods[] = {
    { "Status", 0, get_status }, { "ID", 0, get_id },     { "From", 0, get_from },
    { "Scope", 0, get_scope },   { "Time", 0, get_time }, { "TimeNano", 0, get_time_nano },
    { NULL, 0, NULL },
};
static const struct show_type attributes_type = { .name = "map[string]string", .form = SHOW_MAP };
static const struct show_field actor_fields[] = { { "ID", NULL },
                                                  { "Attributes", &attributes_type },
                                                  { NULL, NULL } };
static const struct show_type actor_type = { .name = "events.Actor",
                                             .form = SHOW_STRUCT,
                                             .fields = actor_fields };
static const struct show_field message_fields[] = {
    { "status", NULL },   { "id", NULL },           { "from", NULL },  { "Type", NULL },
    { "Action", NULL },   { "Actor", &actor_type }, { "scope", NULL }, { "time", NULL },
    { "timeNano", NULL }, { NULL, NULL },
};
static const struct show_type message_type = {
    .name = "events.Message", .form = SHOW_STRUCT, .fields = message_fields, .methods = methods
};

/* docker's message, older names (status, id, from) included. */
static json_t *message(const struct event_row *row)
{
    json_t *o = json_object();

    if (!strcmp(row->type, "container") || !strcmp(row->type, "image")) {
        cli_set(o, "status", json_string(row->action));
        cli_set(o, "id", json_string(row->id));
        if (json_object_get(row->attributes, "image"))
            cli_set(o, "from", json_string(attribute(row, "image")));
    }
    cli_set(o, "Type", json_string(row->type));
    cli_set(o, "Action", json_string(row->action));
    cli_set(o, "Actor", json_pack("{s:s, s:O}", "ID", row->id, "Attributes", row->attributes));
    cli_set(o, "scope", json_string("local"));
    cli_set(o, "time", json_integer(row->time_ns / (int64_t)NS_PER_S));
    cli_set(o, "timeNano", json_integer(row->time_ns));
    return o;
}

static int print_row(struct cli *cli, const struct event_range *range,
                     const struct event_row *row, struct err *e)
{
    json_t *o;
    int r;

    if (!range->format)
        return print_line(cli, row, e);
    o = message(row);
    r = cli_print_template(cli, range->format,
                           &(struct show_exec){ .data = o, .type = &message_type }, e);
    json_decref(o);
    return r;
}

/* ---- the table --------------------------------------------------------- */

struct view {
    struct cli *cli;
    struct db *db;
    const struct event_range *range;
    int64_t seq; /* of the last one that was read */
    bool live;   /* the numbers go on from `seq` without a gap */
    int watch;   /* inotify */
};

static void check_gap(struct view *v, int64_t seq)
{
    if (v->live && seq > v->seq + 1)
        fprintf(v->cli->err, "Warning: %lld events were dropped before they were read\n",
                (long long)(seq - v->seq - 1));
    v->seq = seq;
    v->live = true;
}

static int take_row(struct view *v, struct stmt *st, struct err *e)
{
    struct event_row row = { .seq = stmt_i64(st, 0),
                             .time_ns = stmt_i64(st, 1),
                             .type = stmt_text(st, 2),
                             .action = stmt_text(st, 3),
                             .id = stmt_text(st, 4) };
    int r = 0;

    row.attributes = json_loads(stmt_text(st, 5), 0, NULL);
    if (!row.attributes)
        row.attributes = json_object(); /* not ours; the event itself is still one */
    check_gap(v, row.seq);
    if (matches(v->range, &row))
        r = print_row(v->cli, v->range, &row, e);
    json_decref(row.attributes);
    return r;
}

#define BATCH 256

/* Some of what is new, into memory. Returns the number of rows. */
static int read_batch(struct view *v, struct err *e)
{
    autostmt st = { 0 };
    int n = 0, r;

    r = stmt_open(v->db, &st, e,
                  "SELECT seq, time_ns, type, action, actor_id, attributes FROM events"
                  " WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                  "li", v->seq, BATCH);
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        r = take_row(v, &st, e);
        n++;
    }
    return r < 0 ? r : n;
}

/* The statement has ended before a slow reader can make us wait: an open one would keep
 * everybody's log from being written back. */
static int print_batch(struct view *v, struct err *e)
{
    FILE *out = v->cli->out, *memory;
    char *text = NULL;
    size_t len = 0;
    int r;

    memory = open_memstream(&text, &len);
    if (!memory)
        return err_os(e, "events");
    v->cli->out = memory;
    r = read_batch(v, e);
    v->cli->out = out;
    if (fclose(memory) != 0 && r >= 0)
        r = err_os(e, "events");
    else
        (void)fwrite(text, 1, len, out); /* seen by follow() */
    free(text);
    return r;
}

/* All that is new. Returns 1 when there was something. */
static int fetch(struct view *v, struct err *e)
{
    bool any = false;
    int r;

    do {
        r = print_batch(v, e);
        any = any || r > 0;
    } while (r == BATCH && !ferror(v->cli->out));
    (void)fflush(v->cli->out); /* seen by follow() */
    return r < 0 ? r : any;
}

static int start_seq(struct view *v, struct err *e)
{
    autostmt st = { 0 };
    int r;

    if (v->range->history)
        return 0;
    r = stmt_open(v->db, &st, e, "SELECT coalesce(max(seq), 0) FROM events", "");
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r < 0)
        return r;
    v->seq = stmt_i64(&st, 0);
    v->live = true;
    return 0;
}

/* ---- waiting ----------------------------------------------------------- */

static int watch(struct view *v, struct err *e)
{
    autofree char *path = str_format("%s/state.db-wal", v->cli->home);

    v->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (v->watch < 0)
        return err_os(e, "watch state.db (inotify)");
    if (!path || inotify_add_watch(v->watch, path,
                                   IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) < 0)
        return err_os(e, "watch %s", path ? path : "state.db-wal");
    return 0;
}

/* Forget what is queued. INVALID when the database is no longer the one at its place. */
static int drain(struct view *v, struct err *e)
{
    _Alignas(struct inotify_event) char buf[4096];
    autofree char *path = str_format("%s/state.db-wal", v->cli->home);
    bool odd = false;
    struct stat st;
    ssize_t n;

    while ((n = read(v->watch, buf, sizeof(buf))) > 0) {
        for (const char *p = buf; p < buf + n;) {
            const struct inotify_event *ev = (const void *)p;

            odd = odd || ev->mask & ~(uint32_t)IN_MODIFY;
            p += sizeof(*ev) + ev->len;
        }
    }
    if (odd && path && stat(path, &st) < 0)
        return err_set(e, ERR_UNAVAILABLE, "state.db was removed or replaced: start again");
    return 0;
}

/* Milliseconds to the end of the range; 0: it is over; -1: there is none. */
static int time_left(const struct event_range *range)
{
    int64_t ms;

    if (range->until_ns == INT64_MAX)
        return -1;
    ms = (range->until_ns - time_real_ns()) / (int64_t)NS_PER_MS + 1;
    if (ms <= 0)
        return 0;
    return ms > MAX_WAIT_MS ? MAX_WAIT_MS : (int)ms;
}

/* Returns 1 when the log was written to, 0 after `ms` (-1: never), and -ERR_CANCELED without a
 * text when nobody reads our output any more. */
static int wait_for_write(struct view *v, int ms, struct err *e)
{
    struct pollfd p[] = { { .fd = v->watch, .events = POLLIN },
                          { .fd = fileno(v->cli->out) } /* POLLERR, POLLHUP */ };
    int n = poll(p, ARRAY_LEN(p), ms);

    if (n < 0)
        return errno == EINTR ? 0 : err_os(e, "poll");
    if (p[1].revents) {
        *e = (struct err){ .kind = ERR_CANCELED };
        return -ERR_CANCELED;
    }
    return n == 0 ? 0 : drain(v, e) < 0 ? -(int)e->kind : 1;
}

/* The log is written before the index that says what of it counts, and we are woken by the first.
 * So we look again a little later; at last behind whoever is writing, for certain. */
static int settle(struct view *v, struct err *e)
{
    static const int again_ms[] = { 2, 10, 50 };
    struct err ignored;
    int r;

    for (size_t i = 0; i < ARRAY_LEN(again_ms); i++) {
        int left = time_left(v->range);

        if (left == 0)
            return 0;
        r = wait_for_write(v, left > 0 && left < again_ms[i] ? left : again_ms[i], e);
        if (r >= 0)
            r = fetch(v, e);
        if (r < 0)
            return r;
        if (r > 0 || ferror(v->cli->out))
            return 1;
    }
    /* A directory that is read-only has no writers to wait for. */
    if (db_exec(v->db, &ignored, "BEGIN IMMEDIATE", "") >= 0 &&
        db_exec(v->db, &ignored, "COMMIT", "") < 0)
        err_clear(&ignored);
    return fetch(v, e);
}

static int follow(struct view *v, struct err *e)
{
    int left, r;

    while ((left = time_left(v->range)) != 0 && !ferror(v->cli->out)) {
        r = wait_for_write(v, left, e);
        if (r > 0)
            r = fetch(v, e);
        while (r >= 0 && !ferror(v->cli->out) && (r = settle(v, e)) > 0)
            continue;
        if (r < 0)
            return r;
    }
    return fetch(v, e);
}

int event_view(struct cli *cli, struct db *db, const struct event_range *range, struct err *e)
{
    struct view v = { .cli = cli, .db = db, .range = range, .watch = -1 };
    int r;

    r = start_seq(&v, e); /* reading makes the file that is watched */
    if (r == 0 && time_left(range) != 0)
        r = watch(&v, e);
    if (r == 0)
        r = fetch(&v, e);
    if (r >= 0 && v.watch >= 0)
        r = follow(&v, e);
    close_fd(&v.watch);
    if (r == -ERR_CANCELED && !e->text[0])
        return 0; /* main tells the rest */
    return r < 0 ? r : 0;
}
