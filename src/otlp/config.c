#include "otlp/config.h"

#include "util/own.h"
#include "util/parse.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of traces, else of all signals; NULL when it is empty, too. */
static const char *find(char *(*get)(const char *name), const char *what, bool *ret_traces)
{
    char name[64];
    const char *value;

    (void)snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_TRACES_%s", what);
    value = get(name);
    *ret_traces = value && *value;
    if (*ret_traces)
        return value;
    (void)snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_%s", what);
    value = get(name);
    return value && *value ? value : NULL;
}

static int read_url(struct otlp_config *c, char *(*get)(const char *name), struct err *e)
{
    bool traces;
    const char *base = find(get, "ENDPOINT", &traces);
    size_t len = base ? strlen(base) : 0;

    if (!base)
        return err_set(e, ERR_INVALID, "OTEL_EXPORTER_OTLP_ENDPOINT is not set");
    if (strncasecmp(base, "http://", 7) != 0 && strncasecmp(base, "https://", 8) != 0)
        return err_set(e, ERR_INVALID,
                       "OTEL_EXPORTER_OTLP_ENDPOINT: '%.100s' does not begin with http:// or "
                       "https://",
                       base);
    if (traces)
        c->url = strdup(base);
    else
        c->url = str_format("%s%sv1/traces", base, base[len - 1] == '/' ? "" : "/");
    return c->url ? 0 : err_os(e, "endpoint");
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = strchr(digits, c | 0x20);

    return c && at ? (int)(at - digits) : -1;
}

/* In place. Returns false for a character that must not be in a header. */
static bool decode(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++) {
        int high = *p == '%' ? hex(p[1]) : -1, low = high >= 0 ? hex(p[2]) : -1;
        char c = low >= 0 ? (char)(high * 16 + low) : *p;

        if ((unsigned char)c < ' ' || c == 127)
            return false;
        *to++ = c;
        p += low >= 0 ? 2 : 0;
    }
    *to = '\0';
    return true;
}

static char *trim(char *text)
{
    size_t n;

    text += strspn(text, " \t");
    for (n = strlen(text); n && (text[n - 1] == ' ' || text[n - 1] == '\t'); n--)
        text[n - 1] = '\0';
    return text;
}

static int add_header(struct otlp_headers *h, char *pair, struct err *e)
{
    char *value = strchr(pair, '='), *key;

    if (value)
        *value++ = '\0';
    key = trim(pair);
    if (!value || !*key || strpbrk(key, " \t\r\n:"))
        return err_set(e, ERR_INVALID, "OTEL_EXPORTER_OTLP_HEADERS: not a list of name=value");
    value = trim(value);
    if (!decode(key) || !decode(value) || strpbrk(key, ": "))
        return err_set(e, ERR_INVALID, "OTEL_EXPORTER_OTLP_HEADERS: a control character");
    if (h->n == OTLP_HEADERS_MAX)
        return err_set(e, ERR_LIMIT, "OTEL_EXPORTER_OTLP_HEADERS: more than %d",
                       OTLP_HEADERS_MAX);
    /* libcurl: "name;" sends an empty value, "name:" none at all */
    h->v[h->n] = *value ? str_format("%s: %s", key, value) : str_format("%s;", key);
    if (!h->v[h->n])
        return err_os(e, "headers");
    h->n++;
    return 0;
}

static int read_headers(struct otlp_config *c, char *(*get)(const char *name), struct err *e)
{
    bool traces;
    const char *list = find(get, "HEADERS", &traces);
    autofree char *copy = list ? strdup(list) : NULL;
    char *rest = copy, *pair;
    int r = 0;

    if (!list)
        return 0;
    c->headers.v = calloc(OTLP_HEADERS_MAX, sizeof(*c->headers.v));
    if (!copy || !c->headers.v)
        return err_os(e, "headers");
    while (r == 0 && (pair = strsep(&rest, ",")))
        if (*trim(pair)) /* "a=b," is fine */
            r = add_header(&c->headers, pair, e);
    return r;
}

int otlp_config_read(struct otlp_config *ret, char *(*get)(const char *name), struct err *e)
{
    struct otlp_config c = { .timeout_ms = OTLP_TIMEOUT_MS };
    bool traces;
    const char *timeout = find(get, "TIMEOUT", &traces),
               *protocol = find(get, "PROTOCOL", &traces);
    int r = 0;

    c.certificate = find(get, "CERTIFICATE", &traces);
    if (timeout && parse_u64(timeout, 1, 600000, &c.timeout_ms, e) < 0)
        return err_ctx(e, "OTEL_EXPORTER_OTLP_TIMEOUT");
    /* http/protobuf is what most set without having to: a collector takes both there */
    if (protocol && strncmp(protocol, "http/", 5) != 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "OTEL_EXPORTER_OTLP_PROTOCOL=%.40s is not supported: http/json is",
                       protocol);
    r = read_url(&c, get, e);
    if (r == 0)
        r = read_headers(&c, get, e);
    if (r < 0)
        otlp_config_done(&c);
    else
        *ret = c;
    return r;
}

void otlp_config_done(struct otlp_config *c)
{
    for (size_t i = 0; i < c->headers.n; i++)
        free(c->headers.v[i]);
    free(c->headers.v);
    free(c->url);
    *c = (struct otlp_config){ 0 };
}
