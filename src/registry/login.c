#include "registry/registry.h"

#include "registry/creds.h"
#include "registry/reply.h"
#include "registry/side.h"
#include "util/fd.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#define LOGIN_ATTEMPTS 2 /* somebody sits and waits */

/* Everything one conversation needs. */
struct visit {
    struct hosts *hosts;
    struct http *http;
    struct registry_limits limits;
    struct endpoints endpoints;
    struct side side;
};

static void visit_done(struct visit *v)
{
    side_done(&v->side);
    http_free(v->http);
    hosts_free(v->hosts);
}
#define autovisit __attribute__((cleanup(visit_done))) struct visit

static int visit_init(struct visit *v, const char *home, const char *host, struct err *e)
{
    int r;

    r = registry_limits_read(&v->limits, e);
    if (v->limits.attempts > LOGIN_ATTEMPTS)
        v->limits.attempts = LOGIN_ATTEMPTS;
    if (r == 0)
        r = hosts_load(home, &v->hosts, e);
    if (r == 0)
        r = hosts_endpoints(v->hosts, host, false, &v->endpoints, e);
    if (r == 0)
        r = http_new(v->hosts, v->limits.no_progress_s, &v->http, e);
    if (r == 0)
        r = auth_init(&v->side.auth, v->http, &v->limits, home, host, e);
    return r == 0 ? side_init(&v->side, &v->endpoints.v[0], host, "", e) : r;
}

/* GET /v2/ with these credentials. Takes them over. */
static int check(const char *home, const char *host, struct creds *own_creds, struct err *e)
{
    autovisit v = { .hosts = NULL };
    struct http_request q;
    int r;

    http_request_init(&q);
    r = visit_init(&v, home, host, e);
    if (r == 0) {
        auth_set_creds(&v.side.auth, own_creds);
        r = side_send(&v.side, &q, "", e);
    } else {
        creds_done(own_creds);
    }
    if (r == 0 && !reply_good(&q))
        r = reply_error(host, &q, e);
    http_request_done(&q);
    return r;
}

/* "https://index.docker.io/v1/" and the like are docker.io; otherwise the host of what may be a
 * URL. */
static int server_host(const char *server, char ret[256], struct err *e)
{
    const char *p = server;
    char url[300];
    struct origin o;
    size_t n;

    if (strncasecmp(p, "https://", 8) == 0)
        p += 8;
    else if (strncasecmp(p, "http://", 7) == 0)
        p += 7;
    n = strcspn(p, "/");
    if (n == 0 || n >= 256)
        return err_set(e, ERR_INVALID, "'%.100s' is not HOST[:PORT] of a registry", server);
    (void)snprintf(url, sizeof(url), "https://%.*s/", (int)n, p);
    if (url_origin(url, &o, e) < 0)
        return err_set(e, ERR_INVALID, "'%.100s' is not HOST[:PORT] of a registry", server);
    (void)snprintf(ret, 256, "%.*s", (int)n, p);
    if (strcasecmp(ret, "index.docker.io") == 0 || strcasecmp(ret, "registry-1.docker.io") == 0)
        (void)snprintf(ret, 256, "docker.io");
    return 0;
}

/* A password on stdin. The line break of `echo` does not belong to it. */
static int read_password(char **ret, struct err *e)
{
    struct str text = STR_INIT(CREDS_MAX);
    int r;

    r = fd_read_all(0, &text, e);
    while (r == 0 && text.len && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r'))
        text.p[--text.len] = '\0';
    if (r == 0 && (text.len == 0 || memchr(text.p, '\0', text.len)))
        r = err_set(e, ERR_INVALID, "The password is empty");
    if (r == 0 && !(*ret = strdup(str_c(&text))))
        r = err_os(e, "password");
    if (text.p)
        explicit_bzero(text.p, text.cap);
    str_done(&text);
    return r < 0 ? err_ctx(e, "login") : 0;
}

static int with_password(const char *home, const char *host, const char *user, struct err *e)
{
    struct creds c = { .user = strdup(user) }, checked = { .user = strdup(user) };
    autofree char *file = NULL;
    int r;

    r = c.user && checked.user ? read_password(&c.password, e) : err_os(e, "login");
    if (r == 0 && !(checked.password = strdup(c.password)))
        r = err_os(e, "login");
    if (r == 0)
        r = check(home, host, &checked, e);
    if (r == 0)
        r = creds_store(home, host, &c, &file, e);
    if (r == 0)
        r = registry_emit(json_pack("{s:s,s:s*}", "event", "stored", "file", file), e);
    creds_done(&c);
    creds_done(&checked);
    return r;
}

/* Are those that are stored still good? Whatever the answer, this is no failure. */
static int with_stored(const char *home, const char *host, struct err *e)
{
    struct creds c = { .user = NULL };
    const char *event = "none";
    struct err why = { 0 };
    int r;

    r = creds_find(home, host, false, &c, e);
    if (r < 0)
        return r;
    if (!creds_empty(&c))
        event = check(home, host, &c, &why) == 0 ? "accepted" : "refused";
    creds_done(&c);
    return registry_emit(json_pack("{s:s}", "event", event), e);
}

int verb_login(int argc, char **argv, struct err *e)
{
    const char *home;
    char host[256];
    int r;

    if (argc != 1 && argc != 2)
        return err_set(e, ERR_USAGE, "login takes SERVER and the user");
    r = registry_open_home(&home, NULL, e);
    if (r == 0)
        r = server_host(argv[0], host, e);
    if (r < 0)
        return r;
    return argc == 2 ? with_password(home, host, argv[1], e) : with_stored(home, host, e);
}

int verb_logout(int argc, char **argv, struct err *e)
{
    const char *home;
    char host[256];
    int r;

    if (argc != 1)
        return err_set(e, ERR_USAGE, "logout takes SERVER");
    r = registry_open_home(&home, NULL, e);
    if (r == 0)
        r = server_host(argv[0], host, e);
    if (r == 0)
        r = creds_erase(home, host, e);
    if (r < 0)
        return r;
    return registry_emit(
        json_pack("{s:s,s:b,s:s}", "event", "logout", "found", r, "server", creds_key(host)), e);
}
