#include "registry/http.h"

#include "util/log.h"
#include "util/time.h"

#include <ctype.h>
#include <curl/curl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CONNECT_MS      15000 /* DNS, TCP and TLS together */
#define BUFFER_BYTES    (128L << 10)
#define SLOW_BYTES      1024L /* per second, over the whole idle time */
#define WAITS_MAX       16
#define PROVISIONAL_MAX 100 /* 1xx before the reply; one is usual, and one for a proxy */
#define ERROR_SKIP      ((uint64_t)1 << 20) /* of an error's text that is read and dropped */

struct http {
    CURLM *multi;              /* owned */
    const struct hosts *hosts; /* borrowed */
    unsigned idle_s;
    char ca_file[PATH_MAX], ca_dir[PATH_MAX]; /* "" for none */
};

/* The authorities of the system. A directory of hashed certificates is preferred: reading the one
 * big file costs more time than a whole request. */
static void find_authorities(struct http *h)
{
    const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");
    char *builtin_file = NULL, *builtin_dir = NULL;
    CURL *easy = curl_easy_init();

    if (easy) {
        (void)curl_easy_getinfo(easy, CURLINFO_CAINFO, &builtin_file);
        (void)curl_easy_getinfo(easy, CURLINFO_CAPATH, &builtin_dir);
    }
    if ((!file || !*file) && (!dir || !*dir)) {
        dir = builtin_dir && access(builtin_dir, R_OK) == 0 ? builtin_dir : NULL;
        file = dir ? NULL : builtin_file;
    }
    (void)snprintf(h->ca_file, sizeof(h->ca_file), "%s", file ? file : "");
    (void)snprintf(h->ca_dir, sizeof(h->ca_dir), "%s", dir ? dir : "");
    curl_easy_cleanup(easy);
}

int http_new(const struct hosts *hosts, unsigned idle_s, struct http **ret, struct err *e)
{
    autoptr(http) h = calloc(1, sizeof(*h));

    if (!h)
        return err_os(e, "HTTP");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(h->multi = curl_multi_init()))
        return err_set(e, ERR_SYSTEM, "libcurl does not start");
    h->hosts = hosts;
    h->idle_s = idle_s;
    find_authorities(h);
    *ret = take_ptr(h);
    return 0;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    (void)curl_multi_cleanup(h->multi);
    free(h);
}

/* ---- requests -------------------------------------------------------- */

void http_request_init(struct http_request *q)
{
    *q = (struct http_request){ .body_fd = -1,
                                .text = STR_INIT(HTTP_ERROR_MAX),
                                .reply_headers = STR_INIT(HTTP_HEADERS_MAX),
                                .tls = { .ca = STR_INIT(1) } };
}

/* The Authorization line is only as old as its request. */
static void drop_authorization(struct http_request *q)
{
    struct curl_slist *first = q->headers;

    if (!first || strncmp(first->data, "Authorization:", 14) != 0)
        return;
    q->headers = first->next;
    first->next = NULL;
    explicit_bzero(first->data, strlen(first->data));
    curl_slist_free_all(first);
}

static void stop(struct http_request *q)
{
    if (q->active)
        (void)curl_multi_remove_handle(q->http->multi, q->easy);
    q->active = false;
}

void http_request_done(struct http_request *q)
{
    stop(q);
    curl_easy_cleanup(q->easy);
    drop_authorization(q);
    curl_slist_free_all(q->headers);
    if (q->authorization)
        explicit_bzero(q->authorization, strlen(q->authorization));
    free(q->authorization);
    free(q->url);
    str_done(&q->text);
    str_done(&q->reply_headers);
    host_tls_done(&q->tls);
    http_request_init(q);
}

bool http_request_header(struct http_request *q, const char *fmt, ...)
{
    struct str line = STR_INIT(HTTP_HEADERS_MAX);
    struct curl_slist *longer = NULL;
    va_list ap;
    bool ok;

    va_start(ap, fmt);
    ok = str_vaddf(&line, fmt, ap);
    va_end(ap);
    if (ok)
        longer = curl_slist_append(q->headers, str_c(&line));
    if (longer)
        q->headers = longer;
    str_done(&line);
    return longer != NULL;
}

const char *http_reply_header(const struct http_request *q, const char *name, unsigned nth)
{
    const char *p = str_c(&q->reply_headers), *end = p + q->reply_headers.len;
    size_t n = strlen(name);

    for (; p < end; p += strlen(p) + 1)
        if (strncasecmp(p, name, n) == 0 && p[n] == ':' && nth-- == 0)
            return p + n + 1 + strspn(p + n + 1, " \t");
    return NULL;
}

static bool is_redirect(const struct http_request *q)
{
    return (q->method == HTTP_GET || q->method == HTTP_HEAD) &&
           (q->status == 301 || q->status == 302 || q->status == 303 || q->status == 307 ||
            q->status == 308) &&
           http_reply_header(q, "Location", 0);
}

/* ---- what libcurl calls ---------------------------------------------- */

static size_t on_header(char *data, size_t one, size_t n, void *ctx)
{
    struct http_request *q = ctx;
    size_t len = n;

    if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0) {
        str_clear(&q->reply_headers); /* the one before was 1xx */
        if (q->provisional++ == PROVISIONAL_MAX) {
            (void)err_set(&q->error, ERR_LIMIT, "more than %d provisional replies",
                          PROVISIONAL_MAX);
            return 0;
        }
    }
    while (len && (data[len - 1] == '\r' || data[len - 1] == '\n'))
        len--;
    if (len && (memchr(data, '\0', len) || !str_add(&q->reply_headers, data, len) ||
                !str_addc(&q->reply_headers, '\0'))) {
        (void)err_set(&q->error, ERR_LIMIT, "the headers of its reply are too long");
        return 0;
    }
    return one * n;
}

static bool too_long(struct http_request *q, uint64_t max)
{
    if (q->error.kind == ERR_NONE)
        (void)err_set(&q->error, ERR_LIMIT, "it sent more than the %llu bytes expected",
                      (unsigned long long)max);
    return false;
}

/* Text of an error: what fits is kept, a little more read, and then that was it. */
static bool take_error(struct http_request *q, const char *data, size_t len)
{
    size_t room = q->text.max - q->text.len;

    (void)str_add(&q->text, data, len < room ? len : room);
    q->text_dropped += len < room ? 0 : len - room;
    return q->text_dropped <= ERROR_SKIP;
}

static bool take_body(struct http_request *q, const char *data, size_t len)
{
    curl_off_t announced = -1;

    if (!q->began) {
        (void)curl_easy_getinfo(q->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
        if (q->sink && q->begin && !q->begin(q->ctx, q, &q->error))
            return false;
        q->began = true;
        if (announced > 0 && (uint64_t)announced > (q->sink ? q->body_max : q->text_max))
            return too_long(q, q->sink ? q->body_max : q->text_max);
    }
    if (q->sink && len > q->body_max - q->received)
        return too_long(q, q->body_max);
    q->received += len;
    if (q->sink)
        return q->sink(q->ctx, data, len, &q->error);
    return str_add(&q->text, data, len) || too_long(q, q->text_max);
}

static size_t on_body(char *data, size_t one, size_t n, void *ctx)
{
    struct http_request *q = ctx;
    long status = 0;
    bool ok;

    (void)curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
    q->status = (unsigned)status; /* begin() asks for it */
    if (status >= 200 && status < 300) {
        q->text.max = q->text_max;
        ok = take_body(q, data, n);
    } else {
        q->text.max = HTTP_ERROR_MAX;
        ok = take_error(q, data, n);
    }
    return ok ? one * n : 0;
}

static size_t on_read(char *data, size_t one, size_t n, void *ctx)
{
    struct http_request *q = ctx;
    uint64_t left = q->body_len - q->sent;
    size_t want = one * n;
    ssize_t got;

    if (want > left)
        want = (size_t)left;
    if (q->body_fd < 0) {
        if (want)
            memcpy(data, (const char *)q->body + q->sent, want);
        q->sent += want;
        return want;
    }
    got = want ? pread(q->body_fd, data, want, (off_t)(q->body_at + q->sent)) : 0;
    if (got < 0 || (got == 0 && want)) {
        if (got < 0)
            (void)err_os(&q->error, "read");
        else
            (void)err_set(&q->error, ERR_CORRUPT, "the file is shorter than it should be");
        return CURL_READFUNC_ABORT;
    }
    q->sent += (uint64_t)got;
    return (size_t)got;
}

/* A connection that was kept open had died: the body is sent again on a new one. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct http_request *q = ctx;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > q->body_len)
        return CURL_SEEKFUNC_FAIL;
    q->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static curl_socket_t on_socket(void *ctx UNUSED, curlsocktype purpose UNUSED,
                               struct curl_sockaddr *addr)
{
    return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* ---- starting -------------------------------------------------------- */

static const char *method_name(enum http_method m)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET",     [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST",
        [HTTP_PATCH] = "PATCH", [HTTP_PUT] = "PUT",   [HTTP_DELETE] = "DELETE",
    };

    return names[m];
}

static void set_tls(struct http *h, struct http_request *q)
{
    CURL *c = q->easy;
    struct curl_blob blob = { q->tls.ca.p, q->tls.ca.len, CURL_BLOB_NOCOPY };

    (void)curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file[0] ? h->ca_file : NULL);
    (void)curl_easy_setopt(c, CURLOPT_CAPATH, h->ca_dir[0] ? h->ca_dir : NULL);
    if (q->tls.ca.len)
        (void)curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, q->tls.insecure ? 0L : 1L);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, q->tls.insecure ? 0L : 2L);
    (void)curl_easy_setopt(c, CURLOPT_SSLCERT, q->tls.cert);
    (void)curl_easy_setopt(c, CURLOPT_SSLKEY, q->tls.key);
}

static void set_method(struct http_request *q)
{
    bool body = q->method == HTTP_POST || q->method == HTTP_PATCH || q->method == HTTP_PUT;
    CURL *c = q->easy;

    if (q->method == HTTP_HEAD)
        (void)curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    if (body) {
        (void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_len);
        (void)curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
        (void)curl_easy_setopt(c, CURLOPT_READDATA, q);
        (void)curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
        (void)curl_easy_setopt(c, CURLOPT_SEEKDATA, q);
        (void)curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
    }
    if (body || q->method == HTTP_DELETE)
        (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method_name(q->method));
}

static int set_headers(struct http_request *q, struct err *e)
{
    if (q->authorization && !q->left_origin) {
        autostr line = STR_INIT(HTTP_HEADERS_MAX);
        struct curl_slist *with = NULL;

        /* In front of the others, in a list of its own that ends in theirs. */
        if (!str_addf(&line, "Authorization: %s", q->authorization) ||
            !(with = curl_slist_append(NULL, str_c(&line))))
            return err_set(e, ERR_LIMIT, "Out of memory");
        with->next = q->headers;
        q->headers = with;
        explicit_bzero(line.p, line.len);
    }
    (void)curl_easy_setopt(q->easy, CURLOPT_HTTPHEADER, q->headers);
    return 0;
}

static void set_common(struct http *h, struct http_request *q)
{
    CURL *c = q->easy;

    (void)curl_easy_setopt(c, CURLOPT_PRIVATE, q);
    (void)curl_easy_setopt(c, CURLOPT_URL, q->url);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    /* One connection per transfer: flow control is the kernel's, memory stays flat. */
    (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, "a3s-box/" A3S_VERSION);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)(q->idle_s ? q->idle_s : h->idle_s));
    (void)curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, q->fresh ? 1L : 0L);
    (void)curl_easy_setopt(c, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    (void)curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, q->curl_error);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, q);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, q);
    (void)curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    if (origin_is_loopback(&q->now))
        (void)curl_easy_setopt(c, CURLOPT_PROXY, ""); /* no proxy can reach it */
    else if (!q->now.tls && getenv("HTTP_PROXY") && !getenv("http_proxy"))
        /* libcurl reads only the lower-case name; NO_PROXY still counts. */
        (void)curl_easy_setopt(c, CURLOPT_PROXY, getenv("HTTP_PROXY"));
}

static int launch(struct http *h, struct http_request *q, struct err *e)
{
    int r;

    r = url_origin(q->url, &q->now, e);
    if (r < 0)
        return r;
    if (q->redirects == 0)
        q->first = q->now;
    else if (!origin_equal(&q->first, &q->now))
        q->left_origin = true;
    host_tls_done(&q->tls);
    if (q->now.tls)
        r = hosts_tls(h->hosts, &q->now, &q->tls, e);
    if (r < 0)
        return r;
    q->easy = q->easy ? q->easy : curl_easy_init();
    if (!q->easy)
        return err_set(e, ERR_LIMIT, "Out of memory");
    curl_easy_reset(q->easy); /* keeps its connections */
    drop_authorization(q);
    set_common(h, q);
    set_tls(h, q);
    set_method(q);
    r = set_headers(q, e);
    if (r < 0)
        return r;
    /* Without the query: there are signatures and user names in it. */
    log_debug("%s %.*s", method_name(q->method), (int)strcspn(q->url, "?"), q->url);
    if (curl_multi_add_handle(h->multi, q->easy) != CURLM_OK)
        return err_set(e, ERR_INTERNAL, "libcurl does not take the request");
    q->active = true;
    return 0;
}

static void forget_reply(struct http_request *q)
{
    err_clear(&q->error);
    q->done = q->failed = q->transient = q->no_tls = q->unreachable = q->broken = false;
    q->began = false;
    q->status = 0;
    q->retry_after_ms = q->sent = q->received = q->text_dropped = 0;
    q->provisional = 0;
    q->curl_error[0] = '\0';
    str_clear(&q->text);
    str_clear(&q->reply_headers);
}

int http_start(struct http *h, struct http_request *q, struct err *e)
{
    stop(q);
    forget_reply(q);
    q->http = h;
    if (!q->text_max)
        q->text_max = HTTP_ERROR_MAX;
    /* Without the wait for "100 Continue": the token is fresh when a body goes out. */
    if (!q->quiet_start && !http_request_header(q, "Expect:"))
        return err_set(e, ERR_LIMIT, "Out of memory");
    q->quiet_start = true;
    q->redirects = 0;
    q->left_origin = false;
    return launch(h, q, e);
}

/* ---- finishing ------------------------------------------------------- */

static void fail(struct http_request *q)
{
    q->failed = q->done = true;
}

/* A relaunch, or the end with an error. */
static void follow(struct http *h, struct http_request *q)
{
    struct origin from = q->now, to;
    char *url = NULL;

    if (++q->redirects > HTTP_REDIRECTS_MAX) {
        (void)err_set(&q->error, ERR_CORRUPT, "more than %d redirects", HTTP_REDIRECTS_MAX);
        fail(q);
        return;
    }
    if (url_resolve(q->url, http_reply_header(q, "Location", 0), &url, &q->error) < 0 ||
        url_origin(url, &to, &q->error) < 0) {
        (void)err_ctx(&q->error, "redirect");
        free(url);
        fail(q);
        return;
    }
    if (from.tls && !to.tls) {
        (void)err_set(&q->error, ERR_CORRUPT,
                      "redirect from https to plain http (%.100s) refused", to.host);
        free(url);
        fail(q);
        return;
    }
    forget_reply(q);
    free(q->url);
    q->url = url;
    if (launch(h, q, &q->error) < 0)
        fail(q);
}

static enum err_kind kind_of(CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR ||
        code == CURLE_SSL_CERTPROBLEM)
        return ERR_DENIED;
    if (code == CURLE_OUT_OF_MEMORY)
        return ERR_LIMIT;
    return ERR_UNAVAILABLE;
}

/* Not worth a second try: it would end the same way. */
static bool is_final(CURLcode code)
{
    return kind_of(code) == ERR_DENIED || kind_of(code) == ERR_LIMIT ||
           code == CURLE_URL_MALFORMAT || code == CURLE_SSL_CACERT_BADFILE;
}

static void broke(struct http_request *q, CURLcode code)
{
    curl_off_t tls_done = 0;

    (void)curl_easy_getinfo(q->easy, CURLINFO_APPCONNECT_TIME_T, &tls_done);
    q->unreachable = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST;
    q->no_tls = q->now.tls && tls_done == 0 &&
                (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_RECV_ERROR ||
                 code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR);
    q->broken = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
                code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR;
    q->failed = true;
    if (q->error.kind != ERR_NONE)
        return; /* one of our callbacks said why */
    q->transient = !is_final(code);
    if (strncmp(q->curl_error, "Operation too slow", 18) == 0)
        (void)err_set(&q->error, ERR_TIMEOUT, "no progress for %u s (less than %ld bytes/s)",
                      q->idle_s ? q->idle_s : q->http->idle_s, SLOW_BYTES);
    else
        (void)err_set(&q->error, kind_of(code), "%s",
                      q->curl_error[0] ? q->curl_error : curl_easy_strerror(code));
    if (kind_of(code) == ERR_DENIED)
        q->error.hint = "Put the CA's certificate into $A3S_HOME/certs.d/HOST:PORT/ca.crt, or "
                        "set \"insecure\" in $A3S_HOME/registries.json";
}

static void finish(struct http *h, struct http_request *q, CURLcode code)
{
    curl_off_t after = 0;
    long status = 0;

    stop(q);
    drop_authorization(q);
    (void)curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
    q->status = (unsigned)status;
    /* An error that talks too much has still been told. */
    if (code == CURLE_WRITE_ERROR && q->status >= 300 && q->error.kind == ERR_NONE)
        code = CURLE_OK;
    if (code != CURLE_OK) {
        broke(q, code);
        q->done = true;
        return;
    }
    if (is_redirect(q)) {
        follow(h, q);
        return;
    }
    (void)curl_easy_getinfo(q->easy, CURLINFO_RETRY_AFTER, &after);
    q->retry_after_ms = after > 0 && after < 86400 * 365 ? (uint64_t)after * 1000 : 0;
    if (q->status >= 200 && q->status < 300 && q->sink && !q->began && q->begin &&
        !q->begin(q->ctx, q, &q->error))
        q->failed = true;
    q->done = true;
}

/* How many ended. */
static int collect(struct http *h)
{
    int left, n = 0;
    CURLMsg *m;

    while ((m = curl_multi_info_read(h->multi, &left))) {
        struct http_request *q = NULL;
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &q);
        finish(h, q, code);
        n++;
    }
    return n;
}

/* ---- stepping -------------------------------------------------------- */

static int timeout_ms(uint64_t deadline_ns)
{
    uint64_t now = time_mono_ns();

    if (!deadline_ns)
        return 3600 * 1000; /* libcurl wakes up earlier when it has something to do */
    if (deadline_ns <= now)
        return 0;
    return (int)((deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS % 3600000);
}

/* libcurl does not tell hang-ups apart from nothing. */
static int look(struct pollfd *waits, size_t n, struct err *e)
{
    int r = n ? poll(waits, n, 0) : 0;

    return r < 0 && errno != EINTR ? err_os(e, "poll") : 0;
}

int http_step(struct http *h, uint64_t deadline_ns, struct pollfd *waits, size_t n, struct err *e)
{
    struct curl_waitfd extra[WAITS_MAX];
    int running, finished = 0, ready;
    CURLMcode c;

    if (n > WAITS_MAX)
        return err_set(e, ERR_INTERNAL, "too many descriptors to wait for");
    for (size_t i = 0; i < n; i++)
        extra[i] = (struct curl_waitfd){ .fd = waits[i].fd, .events = waits[i].events };
    c = curl_multi_perform(h->multi, &running);
    if (c == CURLM_OK) {
        finished = collect(h);
        c = curl_multi_poll(h->multi, extra, (unsigned)n, finished ? 0 : timeout_ms(deadline_ns),
                            &ready);
    }
    if (c == CURLM_OK)
        c = curl_multi_perform(h->multi, &running);
    if (c != CURLM_OK)
        return err_set(e, ERR_SYSTEM, "libcurl: %s", curl_multi_strerror(c));
    (void)collect(h);
    return look(waits, n, e);
}

int http_run(struct http *h, struct http_request *q, struct err *e)
{
    int r;

    r = http_start(h, q, e);
    while (r == 0 && !q->done)
        r = http_step(h, 0, NULL, 0, e);
    return r;
}

int http_pause(struct http *h, uint64_t ms, struct err *e)
{
    uint64_t until = time_mono_ns() + ms * NS_PER_MS;
    int r = 0;

    while (r == 0 && time_mono_ns() < until)
        r = http_step(h, until, NULL, 0, e);
    return r;
}
