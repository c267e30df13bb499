/*
 * a3s-box-otlp: posts the spans on its standard input (OTLP/HTTP, JSON; src/trace/trace.h) to the
 * collector that the environment names, and ends. Whoever starts it waits for nothing: it goes on
 * in a process of its own. What went wrong is a line on stderr. Configured as the specification
 * of OpenTelemetry's exporter says:
 *
 *   OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT, _HEADERS, _TIMEOUT (ms), _CERTIFICATE, _PROTOCOL
 */
#include "otlp/config.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/own.h"
#include "util/time.h"

#include <curl/curl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define BODY_MAX     ((size_t)4 << 20)
#define REPLY_MAX    ((size_t)64 << 10)
#define RETRY_MIN_MS 500

struct post {
    const struct otlp_config *config;
    struct str body, reply;
    struct curl_slist *headers;
    CURL *easy;
    char error[CURL_ERROR_SIZE];
};

static size_t on_reply(char *data, size_t size, size_t n, void *ctx)
{
    struct post *p = ctx;

    /* what is too long is dropped: it is only for the log */
    if (p->reply.len + size * n <= REPLY_MAX)
        (void)str_add(&p->reply, data, size * n);
    return size * n;
}

static bool add_header(struct post *p, const char *line)
{
    struct curl_slist *more = curl_slist_append(p->headers, line);

    p->headers = more ? more : p->headers;
    return more != NULL;
}

static int set_up(struct post *p, struct err *e)
{
    const struct otlp_config *c = p->config;
    bool ok = add_header(p, "Content-Type: application/json") && add_header(p, "Expect:");

    for (size_t i = 0; i < c->headers.n; i++)
        ok = ok && add_header(p, c->headers.v[i]);
    p->easy = curl_easy_init();
    if (!ok || !p->easy)
        return err_set(e, ERR_LIMIT, "out of memory");
    if (curl_easy_setopt(p->easy, CURLOPT_URL, c->url) != CURLE_OK ||
        curl_easy_setopt(p->easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK)
        return err_set(e, ERR_INVALID, "%s: not a URL", c->url);
    (void)curl_easy_setopt(p->easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, p->body.p);
    (void)curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len);
    (void)curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
    (void)curl_easy_setopt(p->easy, CURLOPT_USERAGENT, "a3s-box/" A3S_VERSION);
    (void)curl_easy_setopt(p->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(p->easy, CURLOPT_ERRORBUFFER, p->error);
    (void)curl_easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, on_reply);
    (void)curl_easy_setopt(p->easy, CURLOPT_WRITEDATA, p);
    if (c->certificate)
        (void)curl_easy_setopt(p->easy, CURLOPT_CAINFO, c->certificate);
    return 0;
}

/* 0: delivered; 1: it may work later; < 0: it will not. */
static int try_once(struct post *p, uint64_t left_ns, struct err *e)
{
    long status = 0;
    CURLcode code;

    p->error[0] = '\0';
    str_clear(&p->reply);
    (void)curl_easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, (long)(left_ns / NS_PER_MS) + 1);
    code = curl_easy_perform(p->easy);
    if (code != CURLE_OK) {
        (void)err_set(e, ERR_UNAVAILABLE, "%s: %s", p->config->url,
                      p->error[0] ? p->error : curl_easy_strerror(code));
        return code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR ||
                       code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING
                   ? 1
                   : -(int)e->kind;
    }
    (void)curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2)
        return 0;
    (void)err_set(e, ERR_UNAVAILABLE, "%s: status %ld: %.200s", p->config->url, status,
                  str_c(&p->reply));
    /* the specification's list */
    return status == 429 || status == 502 || status == 503 || status == 504 ? 1 : -(int)e->kind;
}

static int deliver(struct post *p, struct err *e)
{
    uint64_t end = time_mono_ns() + p->config->timeout_ms * NS_PER_MS, now, wait = RETRY_MIN_MS;
    int r;

    for (;;) {
        now = time_mono_ns();
        r = try_once(p, now < end ? end - now : 0, e);
        if (r <= 0)
            return r;
        if (time_mono_ns() + wait * NS_PER_MS >= end)
            return -(int)e->kind;
        (void)poll(NULL, 0, (int)wait);
        wait *= 2;
    }
}

static int run(struct err *e)
{
    struct otlp_config config = { .url = NULL };
    struct post p = { .config = &config,
                      .body = STR_INIT(BODY_MAX),
                      .reply = STR_INIT(REPLY_MAX) };
    int r;

    r = fd_read_all(0, &p.body, e);
    if (r == 0)
        r = otlp_config_read(&config, getenv, e);
    if (r == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        r = err_set(e, ERR_LIMIT, "libcurl");
    if (r == 0)
        r = set_up(&p, e);
    if (r == 0)
        r = deliver(&p, e);
    curl_easy_cleanup(p.easy);
    curl_slist_free_all(p.headers);
    str_done(&p.body);
    str_done(&p.reply);
    otlp_config_done(&config);
    return r;
}

int main(int argc, char **argv UNUSED)
{
    struct err e = { 0 };
    pid_t pid;

    if (argc != 1) {
        (void)fputs("Usage: a3s-box-otlp < SPANS\n\nStarted by a3s-box, not by hand.\n", stderr);
        return 2;
    }
    log_init("a3s-box-otlp");
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 }); /* there may be a token in it */
    (void)signal(SIGPIPE, SIG_IGN);
    pid = fork(); /* who has started us need not wait, and has no child to look after */
    if (pid != 0)
        return pid < 0;
    if (run(&e) == 0)
        return 0;
    log_error("spans are lost: %s", e.text);
    return err_exit_status(&e);
}
