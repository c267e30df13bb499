#include "cli/log_view.h"

#include "cli/boxes.h"
#include "cli/log_reader.h"
#include "util/own.h"
#include "util/parse.h"
#include "util/str.h"
#include "util/time.h"

#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

#define CHUNK ((size_t)64 << 10)
#define ENTRY_MAX                                                                                \
    ((size_t)1 << 20) /* the shim cuts lines at 16 KiB; 6 bytes per byte in JSON                 \
                       */

struct view {
    struct cli *cli;
    const struct log_range *range;
    struct log_reader reader;
    uint64_t last;      /* the number of the last file that is wanted */
    uint64_t skip;      /* entries that come before those that are wanted */
    struct str pending; /* the start of an entry whose end has not been read */
    bool done;          /* an entry behind range->until_ns was seen */
};

/* ---- moments ---- */

/* "2026-11-22T13:33:16.12Z", "2026-11-22T13:33", "2026-11-22": false when it is not one. */
static bool parse_rfc3339(const char *text, int64_t *ret_ns)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
    struct tm tm = { 0 };
    const char *rest = NULL;
    int64_t ns = 0, unit = 100000000, zone = 0;

    for (size_t i = 0; i < ARRAY_LEN(forms) && !rest; i++) {
        tm = (struct tm){ .tm_isdst = -1 };
        rest = strptime(text, forms[i], &tm);
    }
    if (!rest)
        return false;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            ns += unit * (*rest - '0');
    if (*rest == '+' || *rest == '-') {
        struct tm off = { 0 };
        const char *end = strptime(rest + 1, "%H:%M", &off);

        if (!end || *end)
            return false;
        zone = (*rest == '+' ? 1 : -1) * (off.tm_hour * 60 + off.tm_min) * 60;
    } else if (*rest && strcmp(rest, "Z") != 0) {
        return false;
    }
    *ret_ns = ((*rest ? timegm(&tm) - zone : mktime(&tm))) * (int64_t)NS_PER_S + ns;
    return true;
}

/* "1136073600.000000001" */
static bool parse_unix(const char *text, int64_t *ret_ns)
{
    const char *dot = strchr(text, '.');
    autofree char *whole = dot ? strndup(text, (size_t)(dot - text)) : strdup(text);
    int64_t seconds, ns = 0, unit = 100000000;
    struct err ignored;

    if (!whole || parse_i64(whole, 0, INT64_MAX / (int64_t)NS_PER_S - 1, &seconds, &ignored) < 0)
        return false;
    for (const char *p = dot ? dot + 1 : ""; *p; p++, unit /= 10) {
        if (*p < '0' || *p > '9')
            return false;
        ns += unit * (*p - '0');
    }
    *ret_ns = seconds * (int64_t)NS_PER_S + ns;
    return true;
}

int log_moment(const char *text, int64_t now_ns, int64_t *ret_ns, struct err *e)
{
    uint64_t ago;
    struct err ignored;

    if (parse_rfc3339(text, ret_ns) || parse_unix(text, ret_ns))
        return 0;
    if (parse_duration(text, &ago, &ignored) >= 0 && ago <= (uint64_t)now_ns) {
        *ret_ns = now_ns - (int64_t)ago;
        return 0;
    }
    return err_set(e, ERR_INVALID,
                   "'%.64s' is not a time (for example 10m, 2026-11-22T13:33:16Z, 1136073600)",
                   text);
}

/* ---- entries ---- */

/* As Go's url.QueryEscape(). */
static void put_escaped(FILE *to, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

        if (letter || (*p >= '0' && *p <= '9') || strchr("-_.~", *p))
            (void)fputc(*p, to); /* main checks the stream */
        else if (*p == ' ')
            (void)fputc('+', to);
        else
            fprintf(to, "%%%02X", *p);
    }
}

/* docker: "k=v,k=v ", by key. The shim writes them in that order. */
static void put_attrs(FILE *to, json_t *attrs)
{
    const char *key, *between = "";
    json_t *value;

    json_object_foreach(attrs, key, value)
    {
        (void)fputs(between, to);
        put_escaped(to, key);
        (void)fputc('=', to);
        put_escaped(to, json_is_string(value) ? json_string_value(value) : "");
        between = ",";
    }
    (void)fputc(' ', to);
}

static void print_entry(struct view *v, const json_t *entry)
{
    const json_t *log = json_object_get(entry, "log");
    const char *when = json_string_value(json_object_get(entry, "time"));
    const char *stream = json_string_value(json_object_get(entry, "stream"));
    bool is_err = stream && !strcmp(stream, "stderr");
    FILE *to = is_err ? v->cli->err : v->cli->out;
    int64_t ns;

    if ((v->range->since_ns != INT64_MIN || v->range->until_ns != INT64_MAX) && when &&
        parse_rfc3339(when, &ns)) {
        if (ns > v->range->until_ns)
            v->done = true;
        if (v->done || ns < v->range->since_ns)
            return;
    }
    if (is_err)
        (void)fflush(v->cli->out); /* keeps the order on a terminal; main checks the stream */
    if (v->range->timestamps)
        fprintf(to, "%s ", when ? when : "");
    if (v->range->details)
        put_attrs(to, json_object_get(entry, "attrs"));
    (void)fwrite(json_string_value(log), 1, json_string_length(log), to); /* main checks */
}

/* All whole entries in `pending`. What is no JSON (a torn write) is skipped. */
static void print_entries(struct view *v)
{
    size_t used = 0;

    while (!v->done && used < v->pending.len) {
        const char *start = v->pending.p + used;
        const char *end = memchr(start, '\n', v->pending.len - used);
        json_t *entry;

        if (!end)
            break;
        used += (size_t)(end - start) + 1;
        if (v->skip) {
            v->skip--;
            continue;
        }
        entry = json_loadb(start, (size_t)(end - start), JSON_ALLOW_NUL, NULL);
        if (json_is_string(json_object_get(entry, "log")))
            print_entry(v, entry);
        json_decref(entry);
    }
    str_drop(&v->pending, used);
}

/* Read and print to the end of this file. */
static int print_rest(struct view *v, struct err *e)
{
    while (!v->done && !ferror(v->cli->out)) {
        char *room = str_reserve(&v->pending, CHUNK);
        ssize_t n;

        if (!room) { /* an entry without end: not ours; go on behind it */
            str_clear(&v->pending);
            v->pending.failed = false;
            continue;
        }
        n = log_reader_read(&v->reader, room, CHUNK, e);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        str_added(&v->pending, (size_t)n);
        print_entries(v);
    }
    (void)fflush(v->cli->out); /* a failure shows in ferror() */
    return 0;
}

/* ... and of those behind it. */
static int print_all(struct view *v, struct err *e)
{
    int r;

    for (;;) {
        bool sealed = v->reader.sealed;

        r = print_rest(v, e);
        if (r < 0 || v->done || ferror(v->cli->out) || v->reader.number >= v->last)
            return r;
        if (sealed) { /* read to its end after it was */
            str_clear(&v->pending);
            r = log_reader_next(&v->reader, e);
        } else {
            r = log_reader_check(&v->reader, e);
            if (r == 0)
                return 0;
        }
        if (r < 0)
            return r;
    }
}

/* ---- following ---- */

static int watch_dir(int fd, struct err *e)
{
    autofd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_MOVED_TO) < 0)
        return err_os(e, "watch the log");
    return take_fd(&watch);
}

/* Milliseconds to `until`, -1 for ever. */
static int time_left(int64_t until_ns)
{
    int64_t ms;

    if (until_ns == INT64_MAX)
        return -1;
    ms = (until_ns - time_real_ns()) / 1000000;
    return ms < 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (int)ms + 1;
}

static int follow(struct view *v, int shim_pidfd, int watch, struct err *e)
{
    struct pollfd fds[] = {
        { .fd = watch, .events = POLLIN },
        { .fd = shim_pidfd, .events = POLLIN },
        { .fd = fileno(v->cli->out), .events = 0 }, /* POLLERR: the reader went away */
    };
    char events[4096];
    int r;

    for (;;) {
        r = print_all(v, e);
        if (r < 0 || v->done || ferror(v->cli->out) || fds[1].revents || fds[2].revents)
            return r;
        r = poll(fds, ARRAY_LEN(fds), time_left(v->range->until_ns));
        if (r < 0 && errno != EINTR)
            return err_os(e, "poll");
        if (r == 0)
            return 0;
        (void)!read(watch, events, sizeof(events)); /* only woken; the file says the rest */
    }
}

static int start_at(struct view *v, struct err *e)
{
    if (v->range->tail >= 0)
        return log_reader_tail(&v->reader, v->range->tail, &v->skip, e);
    return log_reader_rewind(&v->reader, v->range->since_ns, e);
}

int log_view(struct cli *cli, int logs_fd, int shim_pidfd, const struct log_range *range,
             struct err *e)
{
    autofree char *helper = cli_helper_path(cli, "a3s-box-log");
    struct view v = {
        .cli = cli, .range = range, .reader.fd = -1, .pending = STR_INIT(ENTRY_MAX)
    };
    autofd int watch = -1;
    int r = 0;

    if (!helper)
        return err_set(e, ERR_LIMIT, "Out of memory");
    if (range->follow && shim_pidfd >= 0) {
        watch = watch_dir(logs_fd, e); /* before reading: nothing is missed between */
        r = watch;
    }
    if (r >= 0)
        r = log_reader_open(&v.reader, logs_fd, helper, e);
    v.last = watch >= 0 ? UINT64_MAX : v.reader.number;
    if (r > 0) /* else it has never been started */
        r = start_at(&v, e);
    if (r >= 0 && v.reader.fd >= 0)
        r = watch >= 0 ? follow(&v, shim_pidfd, watch, e) : print_all(&v, e);
    log_reader_close(&v.reader);
    str_done(&v.pending);
    return r < 0 ? r : 0;
}
