#include "registry/reply.h"

#include "oci/json.h"
#include "util/log.h"

#include <string.h>
#include <sys/random.h>

#define REASON_MAX 240
#define CODE_MAX   64

/* ---- text of strangers ----------------------------------------------- */

/* The bytes of the character at p, 0 when it is not UTF-8; *ret_ok: it may be shown. */
static size_t character(const unsigned char *p, bool *ret_ok)
{
    uint32_t c = p[0];
    size_t n = c < 0x80             ? 1
               : (c & 0xe0) == 0xc0 ? 2
               : (c & 0xf0) == 0xe0 ? 3
               : (c & 0xf8) == 0xf0 ? 4
                                    : 0;

    if (n == 0)
        return 0;
    c = n == 1 ? c : c & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    *ret_ok = c >= 0x20 && !(c >= 0x7f && c < 0xa0) && !(c >= 0x200b && c <= 0x200f) &&
              !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2060 && c <= 0x206f) && c != 0xfeff;
    return n;
}

void text_clean(const char *text, char *ret, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = 0;

    while (*p) {
        bool ok = false;
        size_t len = character(p, &ok);

        if (n + (len ? len : 1) >= size)
            break;
        if (ok)
            memcpy(ret + n, p, len);
        else
            ret[n] = ' ';
        n += ok ? len : 1;
        p += len ? len : 1;
    }
    while (n && ret[n - 1] == ' ')
        n--;
    ret[n] = '\0';
}

/* ---- errors ---------------------------------------------------------- */

static const char *status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } known[] = {
        { 400, "bad request" },
        { 401, "unauthorized" },
        { 403, "denied" },
        { 404, "not found" },
        { 405, "method not allowed" },
        { 406, "not acceptable" },
        { 408, "request timeout" },
        { 413, "too large" },
        { 415, "unsupported media type" },
        { 416, "range not satisfiable" },
        { 429, "too many requests" },
        { 500, "internal server error" },
        { 501, "not implemented" },
        { 502, "bad gateway" },
        { 503, "service unavailable" },
        { 504, "gateway timeout" },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].status == status)
            return known[i].text;
    return status >= 300 && status < 400 ? "unexpected redirect" : "unexpected reply";
}

static enum err_kind status_kind(unsigned status)
{
    if (status == 401 || status == 403)
        return ERR_DENIED;
    if (status == 404)
        return ERR_NOT_FOUND;
    if (status == 408 || status == 429 || status >= 500)
        return ERR_UNAVAILABLE;
    if (status == 405 || status == 415)
        return ERR_UNSUPPORTED;
    if (status == 413)
        return ERR_LIMIT;
    return status == 400 ? ERR_INVALID : ERR_CORRUPT;
}

/* {"errors": [{"code": ..., "message": ...}]}, or {"details"|"message"|"error": "..."}. */
static void read_error(const struct str *text, char reason[REASON_MAX], char code[CODE_MAX])
{
    static const char *const other[] = { "details", "message", "error_description", "error" };
    const char *message, *name;
    struct err ignored = { 0 };
    autojson *j = NULL;
    json_t *first;

    if (!text->len || json_parse(str_c(text), text->len, "", &j, &ignored) < 0)
        return;
    first = json_array_get(json_object_get(j, "errors"), 0);
    message = json_string_value(json_object_get(first, "message"));
    name = json_string_value(json_object_get(first, "code"));
    for (size_t i = 0; !message && !name && i < ARRAY_LEN(other); i++)
        message = json_string_value(json_object_get(j, other[i]));
    if (message)
        text_clean(message, reason, REASON_MAX);
    if (name)
        text_clean(name, code, CODE_MAX);
}

int reply_error(const char *host, const struct http_request *q, struct err *e)
{
    char reason[REASON_MAX] = "", code[CODE_MAX] = "";

    if (q->failed) {
        text_clean(q->error.text, reason, sizeof(reason));
        (void)err_set(e, q->error.kind, "Registry error: %s - %s", host, reason);
        e->os = q->error.os;
        e->hint = q->error.hint;
        return -(int)e->kind;
    }
    read_error(&q->text, reason, code);
    (void)err_set(e, status_kind(q->status), "Registry error: %s - %s (%u%s%s)%s", host,
                  reason[0] ? reason : status_text(q->status), q->status, code[0] ? " " : "",
                  code, q->text_dropped ? ", and more than is worth reading" : "");
    if (q->status == 401)
        e->hint = "Credentials are stored with: a3s-box login SERVER";
    return -(int)e->kind;
}

/* ---- again ----------------------------------------------------------- */

bool reply_transient(const struct http_request *q)
{
    if (q->failed)
        return q->transient;
    return q->status == 408 || q->status == 429 || q->status == 500 || q->status == 502 ||
           q->status == 503 || q->status == 504;
}

uint64_t retry_pause_ms(const struct registry_limits *limits, unsigned attempt,
                        uint64_t retry_after_ms)
{
    uint64_t ms = limits->retry_ms;
    uint32_t chance = 0;

    for (unsigned i = 1; i < attempt && ms < limits->retry_max_ms; i++)
        ms *= 2;
    if (ms > limits->retry_max_ms)
        ms = limits->retry_max_ms;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) == sizeof(chance))
        ms -= ms / 2 * (chance & 0xffff) / 0x10000;
    if (ms < retry_after_ms)
        ms = retry_after_ms;
    return ms < limits->retry_max_ms ? ms : limits->retry_max_ms;
}

int http_run_patiently(struct http *h, struct http_request *q,
                       const struct registry_limits *limits, struct err *e)
{
    uint64_t pause;
    int r;

    for (unsigned attempt = 1;; attempt++) {
        r = http_run(h, q, e);
        if (r < 0 || !reply_transient(q) || attempt >= limits->attempts)
            return r;
        pause = retry_pause_ms(limits, attempt, q->retry_after_ms);
        log_info("%s: %s; again in %llu ms", q->url,
                 q->failed ? q->error.text : status_text(q->status), (unsigned long long)pause);
        r = http_pause(h, pause, e);
        if (r < 0)
            return r;
    }
}
