#include "trace/trace.h"

#include "util/fd.h"
#include "util/id.h"
#include "util/own.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define LOG_MAX (64 << 10) /* begun afresh above it */

/* opentelemetry.proto.trace.v1: Span.SpanKind, Status.StatusCode */
#define KIND_INTERNAL 1
#define STATUS_ERROR  2

#define NO_ID "00000000000000000000000000000000" /* and its first half */

/* ---- whether ----------------------------------------------------------- */

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

bool trace_wanted(void)
{
    const char *disabled = env("OTEL_SDK_DISABLED"), *exporter = env("OTEL_TRACES_EXPORTER");

    if (!env("OTEL_EXPORTER_OTLP_ENDPOINT") && !env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        return false;
    return !(disabled && strcasecmp(disabled, "true") == 0) &&
           (!exporter || strstr(exporter, "otlp"));
}

static bool is_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!text[i] || !strchr("0123456789abcdef", text[i]))
            return false;
    return true;
}

bool trace_parent_parse(const char *text, char ret_trace[33], char ret_span[17],
                        bool *ret_sampled)
{
    size_t len = strlen(text);

    if (len < 55 || !is_hex(text, 2) || !strncmp(text, "ff", 2) ||
        (text[55] != '\0' && (!strncmp(text, "00", 2) || text[55] != '-')))
        return false;
    if (text[2] != '-' || text[35] != '-' || text[52] != '-' || !is_hex(text + 3, 32) ||
        !is_hex(text + 36, 16) || !is_hex(text + 53, 2))
        return false;
    if (!strncmp(text + 3, NO_ID, 32) || !strncmp(text + 36, NO_ID, 16))
        return false;
    memcpy(ret_trace, text + 3, 32);
    memcpy(ret_span, text + 36, 16);
    ret_trace[32] = ret_span[16] = '\0';
    *ret_sampled = strchr("13579bdf", text[54]) != NULL;
    return true;
}

/* Ids only have to differ. Returns false when there is no randomness. */
static bool random_hex(size_t bytes, char *ret)
{
    unsigned char raw[16];

    if (getrandom(raw, bytes, GRND_NONBLOCK) != (ssize_t)bytes)
        return false;
    raw[0] |= 1; /* all zeros is not an id */
    hex_encode(raw, bytes, ret);
    return true;
}

void trace_begin(struct trace *t)
{
    const char *parent = env("TRACEPARENT");
    bool sampled = true;

    *t = (struct trace){ .on = trace_wanted() };
    if (!t->on)
        return;
    t->real_ns = time_real_ns();
    t->mono_ns = time_mono_ns();
    if (!parent || !trace_parent_parse(parent, t->id, t->parent, &sampled)) {
        t->parent[0] = '\0';
        sampled = random_hex(16, t->id);
    }
    t->on = sampled;
}

/* ---- spans ------------------------------------------------------------- */

int trace_add(struct trace *t, const char *name, int parent, uint64_t start_ns, uint64_t end_ns)
{
    struct trace_span *s = &t->spans[t->n];

    if (!t->on || t->n == TRACE_SPANS_MAX)
        return -1;
    *s = (struct trace_span){ .name = name,
                              .parent = parent,
                              .start_ns = start_ns,
                              .end_ns = end_ns,
                              .attributes = json_array() };
    if (!random_hex(8, s->id))
        return -1;
    return (int)t->n++;
}

static void add_attribute(json_t *to, const char *key, const char *type, json_t *own_value)
{
    /* jansson frees what it was given, also when it fails */
    (void)json_array_append_new(
        to, json_pack("{s:s, s:{s:o}}", "key", key, "value", type, own_value));
}

void trace_text(struct trace *t, int span, const char *key, const char *value)
{
    json_t *text = span >= 0 ? json_string(value) : NULL;

    if (text) /* NULL: not UTF-8 */
        add_attribute(t->spans[span].attributes, key, "stringValue", text);
}

void trace_number(struct trace *t, int span, const char *key, int64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    if (span >= 0) /* 64 bits are text in protobuf's JSON */
        add_attribute(t->spans[span].attributes, key, "intValue", json_string(text));
}

void trace_flag(struct trace *t, int span, const char *key, bool value)
{
    if (span >= 0)
        add_attribute(t->spans[span].attributes, key, "boolValue", json_boolean(value));
}

void trace_failed(struct trace *t, int span, const char *why)
{
    if (span >= 0)
        (void)snprintf(t->spans[span].error, sizeof(t->spans[span].error), "%s",
                       *why ? why : "failed");
}

void trace_done(struct trace *t)
{
    for (unsigned i = 0; i < t->n; i++)
        json_decref(t->spans[i].attributes);
    t->n = 0;
}

/* ---- text -------------------------------------------------------------- */

static json_t *nanoseconds(const struct trace *t, uint64_t mono_ns)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRId64,
                   t->real_ns + ((int64_t)mono_ns - (int64_t)t->mono_ns));
    return json_string(text);
}

static json_t *span_json(const struct trace *t, const struct trace_span *s)
{
    const char *parent = s->parent >= 0 ? t->spans[s->parent].id : t->parent;
    json_t *j = json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:O}", "traceId", t->id, "spanId",
                          s->id, "name", s->name, "kind", KIND_INTERNAL, "startTimeUnixNano",
                          nanoseconds(t, s->start_ns), "endTimeUnixNano",
                          nanoseconds(t, s->end_ns), "attributes", s->attributes);

    if (j && *parent)
        (void)json_object_set_new(j, "parentSpanId", json_string(parent));
    if (j && s->error[0]) /* cut anywhere: perhaps no UTF-8, then without */
        (void)json_object_set_new(
            j, "status", json_pack("{s:i, s:s*}", "code", STATUS_ERROR, "message", s->error));
    return j;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = strchr(digits, c | 0x20);

    return c && at ? (int)(at - digits) : -1;
}

/* In place; what is no %XX stays. */
static void percent_decode(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1, low = high >= 0 ? hex_digit(p[2]) : -1;

        *to++ = low >= 0 ? (char)(high * 16 + low) : *p;
        p += low >= 0 ? 2 : 0;
    }
    *to = '\0';
}

/* "key=value,key=value", values with %XX. */
static void add_listed(json_t *to, const char *list)
{
    autofree char *copy = strdup(list);
    char *rest = copy, *pair;

    while ((pair = strsep(&rest, ","))) {
        char *value = strchr(pair, '='), *key = pair + strspn(pair, " ");
        json_t *text;

        if (!value || value == key)
            continue;
        *value++ = '\0';
        percent_decode(value);
        text = json_string(value);
        if (text) /* NULL: not UTF-8 */
            add_attribute(to, key, "stringValue", text);
    }
}

static json_t *resource_json(void)
{
    const char *listed = env("OTEL_RESOURCE_ATTRIBUTES"), *name = env("OTEL_SERVICE_NAME");
    json_t *a = json_array();
    struct utsname host;

    if (listed)
        add_listed(a, listed);
    if (name || !listed || !strstr(listed, "service.name="))
        add_attribute(a, "service.name", "stringValue", json_string(name ? name : "a3s-box"));
    add_attribute(a, "service.version", "stringValue", json_string(A3S_VERSION));
    if (uname(&host) == 0)
        add_attribute(a, "host.name", "stringValue", json_string(host.nodename));
    return a;
}

char *trace_json(const struct trace *t)
{
    json_t *spans = json_array(), *body;
    char *text;

    for (unsigned i = 0; i < t->n; i++)
        (void)json_array_append_new(spans, span_json(t, &t->spans[i]));
    body = json_pack("{s:[{s:{s:o}, s:[{s:{s:s, s:s}, s:o}]}]}", "resourceSpans", "resource",
                     "attributes", resource_json(), "scopeSpans", "scope", "name", "a3s-box",
                     "version", A3S_VERSION, "spans", spans);
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

/* ---- sending ----------------------------------------------------------- */

static int open_log(const char *home)
{
    autofree char *path = str_format("%s/" TRACE_LOG, home);
    struct stat st;
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > LOG_MAX)
        (void)!ftruncate(fd, 0); /* then it grows a little more */
    return fd;
}

static pid_t hand_over(const char *text, const char *home, const char *program, int *ret_pidfd,
                       struct err *e)
{
    autofd int body = memfd_create("spans", MFD_CLOEXEC), log = open_log(home);
    const char *argv[] = { program, NULL };
    const struct spawn_fd fds[] = { { body, 0 }, { log, 2 } };
    const struct spawn s = { .argv = argv,
                             .fds = fds,
                             .fds_n = log >= 0 ? 2 : 1,
                             .cwd = "/",
                             .new_session = true,
                             .no_new_privs = true };
    pid_t pid = 0;

    if (body < 0 || fd_write_all(body, text, strlen(text), e) < 0 || lseek(body, 0, SEEK_SET) < 0)
        return 0;
    return spawn_start(&s, &pid, ret_pidfd, e) == 0 ? pid : 0;
}

pid_t trace_send(struct trace *t, const char *home, const char *program, int *ret_pidfd)
{
    autofree char *text = t->on && t->n ? trace_json(t) : NULL;
    struct err ignored;

    trace_done(t);
    return text ? hand_over(text, home, program, ret_pidfd, &ignored) : 0;
}
