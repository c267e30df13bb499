#include "registry/hosts.h"

#include "oci/json.h"
#include "util/fs.h"
#include "util/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define DOCKER_HUB     "docker.io"
#define DOCKER_HUB_API "registry-1.docker.io"
#define CA_MAX         ((size_t)1 << 20) /* the whole of Mozilla's authorities is 220 KiB */
#define CONFIG_MAX     ((size_t)256 << 10)

struct hosts {
    char *home;           /* owned */
    json_t *registries;   /* owned; of registries.json, by host; or NULL */
    const char *mirrors;  /* borrowed from the environment, or NULL */
    const char *protocol; /* likewise */
};

void hosts_free(struct hosts *h)
{
    if (!h)
        return;
    json_decref(h->registries);
    free(h->home);
    free(h);
}

/* ---- registries.json ------------------------------------------------- */

static int check_mirrors(const json_t *mirrors, struct err *e)
{
    const json_t *m;
    size_t i;

    json_array_foreach(mirrors, i, m)
    {
        if (!json_is_string(m))
            return err_set(e, ERR_CORRUPT, "'mirrors' is not an array of strings");
    }
    return 0;
}

static int check_registry(const char *host, const json_t *o, struct err *e)
{
    const char *key;
    json_t *v;

    if (!json_is_object(o))
        return err_set(e, ERR_CORRUPT, "'%.100s' is not an object", host);
    json_object_foreach((json_t *)o, key, v)
    {
        if (strcmp(key, "mirrors") == 0 && json_is_array(v)) {
            if (check_mirrors(v, e) < 0)
                return err_ctx(e, "'%.100s'", host);
        } else if ((strcmp(key, "insecure") != 0 && strcmp(key, "plain_http") != 0) ||
                   !json_is_boolean(v)) {
            return err_set(e, ERR_CORRUPT,
                           "'%.100s': '%.50s' is none of mirrors (array of strings), insecure, "
                           "plain_http (true or false)",
                           host, key);
        }
    }
    return 0;
}

static int check_config(json_t *config, json_t **ret, struct err *e)
{
    json_t *registries = NULL, *o;
    const char *key;
    int r;

    if (!json_is_object(config))
        return err_set(e, ERR_CORRUPT, "not an object");
    json_object_foreach(config, key, o)
    {
        if (strcmp(key, "registries") != 0)
            return err_set(e, ERR_CORRUPT, "unknown member '%.50s'", key);
    }
    r = json_get_obj(config, "registries", &registries, e);
    if (r < 0)
        return r;
    json_object_foreach(registries, key, o)
    {
        r = check_registry(key, o, e);
        if (r < 0)
            return r;
    }
    *ret = registries ? json_incref(registries) : NULL;
    return 0;
}

static int read_config(struct hosts *h, struct err *e)
{
    autofree char *path = str_format("%s/registries.json", h->home);
    autostr text = STR_INIT(CONFIG_MAX);
    autojson *config = NULL;
    int r;

    if (!path)
        return err_os(e, "registries.json");
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    r = fs_read_file(AT_FDCWD, path, &text, e);
    if (r < 0)
        return r;
    r = json_parse(str_c(&text), text.len, "JSON", &config, e);
    if (r == 0)
        r = check_config(config, &h->registries, e);
    return r < 0 ? err_ctx(e, "%s", path) : 0;
}

int hosts_load(const char *home, struct hosts **ret, struct err *e)
{
    autoptr(hosts) h = calloc(1, sizeof(*h));
    int r;

    if (!h || !(h->home = strdup(home)))
        return err_os(e, "registries");
    h->mirrors = getenv("A3S_REGISTRY_MIRRORS");
    h->protocol = getenv("A3S_REGISTRY_PROTOCOL");
    if (h->protocol && !*h->protocol)
        h->protocol = NULL;
    if (h->protocol && strcmp(h->protocol, "http") != 0 && strcmp(h->protocol, "https") != 0)
        return err_set(e, ERR_INVALID, "A3S_REGISTRY_PROTOCOL '%.32s' is neither http nor https",
                       h->protocol);
    r = read_config(h, e);
    if (r < 0)
        return r;
    *ret = take_ptr(h);
    return 0;
}

/* ---- endpoints ------------------------------------------------------- */

static bool flag(const struct hosts *h, const char *host, const char *name)
{
    return json_is_true(json_object_get(json_object_get(h->registries, host), name));
}

/* The directory with a server's certificates; the caller frees. NULL when it has none. */
static char *certs_dir(const struct hosts *h, const char *authority)
{
    char *path = str_format("%s/certs.d/%s", h->home, authority);

    if (path && access(path, F_OK) == 0)
        return path;
    free(path);
    path = str_format("/etc/docker/certs.d/%s", authority);
    if (path && access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static enum host_protocol protocol_of(const struct hosts *h, const char *name,
                                      const char *authority)
{
    autofree char *certs = NULL;
    autofree char *url = str_format("https://%s/", authority);
    struct err ignored = { 0 };
    struct origin o;

    if (flag(h, name, "plain_http"))
        return HOST_HTTP;
    if (h->protocol)
        return strcmp(h->protocol, "http") == 0 ? HOST_HTTP : HOST_HTTPS;
    if (flag(h, name, "insecure"))
        return HOST_HTTPS_OR_HTTP;
    certs = certs_dir(h, authority);
    if (!certs && url && url_origin(url, &o, &ignored) == 0 && origin_is_loopback(&o))
        return HOST_HTTP_OR_HTTPS;
    return HOST_HTTPS;
}

/* "[http[s]://]HOST[:PORT][/PREFIX]" */
static int add_mirror(const struct hosts *h, const char *text, size_t len, struct endpoints *ret,
                      struct err *e)
{
    struct endpoint *ep = &ret->v[ret->n];
    autofree char *mirror = strndup(text, len), *url = NULL;
    const char *p = mirror, *slash;
    bool http = false, https = false;
    struct origin o;
    int r;

    if (!mirror)
        return err_os(e, "mirrors");
    if (ret->n + 1 >= ENDPOINTS_MAX)
        return err_set(e, ERR_LIMIT, "More than %d mirrors", ENDPOINTS_MAX - 1);
    http = strncmp(p, "http://", 7) == 0;
    https = strncmp(p, "https://", 8) == 0;
    p += http ? 7 : https ? 8 : 0;
    slash = strchr(p, '/');
    len = slash ? (size_t)(slash - p) : strlen(p);
    url = str_format("https://%.*s/", (int)len, p);
    if (!url)
        return err_os(e, "mirrors");
    r = url_origin(url, &o, e);
    if (r < 0 || len >= sizeof(ep->authority) || strlen(p) >= sizeof(ep->prefix) - 2)
        return err_set(e, ERR_INVALID, "Mirror '%.100s' is not [http://]HOST[:PORT][/PREFIX]",
                       mirror);
    *ep = (struct endpoint){ .mirror = true };
    memcpy(ep->authority, p, len);
    while (slash && *slash == '/')
        slash++;
    if (slash && *slash) {
        (void)snprintf(ep->prefix, sizeof(ep->prefix), "%s", slash);
        len = strlen(ep->prefix);
        while (len && ep->prefix[len - 1] == '/')
            len--;
        ep->prefix[len++] = '/';
        ep->prefix[len] = '\0';
    }
    ep->protocol = http    ? HOST_HTTP
                   : https ? HOST_HTTPS
                           : protocol_of(h, ep->authority, ep->authority);
    ret->n++;
    return 0;
}

/* host=mirror,host=mirror */
static int mirrors_of_env(const struct hosts *h, const char *host, struct endpoints *ret,
                          struct err *e)
{
    size_t host_n = strlen(host), n;
    int r = 0;

    for (const char *p = h->mirrors; r == 0 && p && *p; p += n + (p[n] == ',')) {
        const char *eq;

        n = strcspn(p, ",");
        eq = memchr(p, '=', n);
        if (n == 0)
            continue;
        if (!eq || eq == p || eq + 1 == p + n)
            return err_set(e, ERR_INVALID, "A3S_REGISTRY_MIRRORS: '%.*s' is not HOST=MIRROR",
                           (int)(n < 100 ? n : 100), p);
        if ((size_t)(eq - p) == host_n && memcmp(p, host, host_n) == 0)
            r = add_mirror(h, eq + 1, n - (size_t)(eq + 1 - p), ret, e);
    }
    return r < 0 ? err_ctx(e, "A3S_REGISTRY_MIRRORS") : 0;
}

static int mirrors_of_config(const struct hosts *h, const char *host, struct endpoints *ret,
                             struct err *e)
{
    const json_t *mirrors = json_object_get(json_object_get(h->registries, host), "mirrors");
    const json_t *m;
    size_t i;
    int r;

    json_array_foreach(mirrors, i, m)
    {
        r = add_mirror(h, json_string_value(m), json_string_length(m), ret, e);
        if (r < 0)
            return err_ctx(e, "registries.json");
    }
    return 0;
}

int hosts_endpoints(const struct hosts *h, const char *host, bool mirrors, struct endpoints *ret,
                    struct err *e)
{
    struct endpoint *own;
    int r = 0;

    ret->n = 0;
    if (mirrors)
        r = mirrors_of_env(h, host, ret, e);
    if (r == 0 && mirrors)
        r = mirrors_of_config(h, host, ret, e);
    if (r < 0)
        return r;
    own = &ret->v[ret->n++];
    *own = (struct endpoint){ .mirror = false };
    (void)snprintf(own->authority, sizeof(own->authority), "%s",
                   strcmp(host, DOCKER_HUB) == 0 ? DOCKER_HUB_API : host);
    own->protocol = protocol_of(h, host, own->authority);
    return 0;
}

/* ---- certificates ---------------------------------------------------- */

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);

    return n > s && strcmp(name + n - s, suffix) == 0;
}

static int add_certificate(const char *dir, const char *name, struct host_tls *tls, struct err *e)
{
    autofree char *key = NULL, *cert = NULL;

    if (tls->cert)
        return err_set(e, ERR_INVALID, "%s: more than one client certificate", dir);
    cert = str_format("%s/%s", dir, name);
    key = str_format("%s/%.*s.key", dir, (int)(strlen(name) - strlen(".cert")), name);
    if (!cert || !key)
        return err_os(e, "%s", dir);
    if (access(key, R_OK) < 0)
        return err_os(e, "%s: the key of %s", dir, name);
    tls->cert = take_ptr(cert);
    tls->key = take_ptr(key);
    return 0;
}

static int read_dir(const char *path, struct host_tls *tls, struct err *e)
{
    struct dirent *d;
    int r = 0;
    DIR *dir;

    dir = opendir(path);
    if (!dir)
        return err_os(e, "%s", path);
    while (r == 0 && (d = readdir(dir))) {
        if (ends_with(d->d_name, ".crt")) {
            r = fs_read_file(dirfd(dir), d->d_name, &tls->ca, e);
            if (r == 0 && !str_addc(&tls->ca, '\n'))
                r = err_set(e, ERR_LIMIT, "more than %zu bytes", CA_MAX);
            if (r < 0)
                (void)err_ctx(e, "%s", path);
        } else if (ends_with(d->d_name, ".cert")) {
            r = add_certificate(path, d->d_name, tls, e);
        }
    }
    (void)closedir(dir);
    return r;
}

int hosts_tls(const struct hosts *h, const struct origin *o, struct host_tls *ret, struct err *e)
{
    char authority[AUTHORITY_MAX];
    autofree char *dir = NULL;
    int r = 0;

    *ret = (struct host_tls){ .ca = STR_INIT(CA_MAX) };
    origin_authority(o, authority);
    ret->insecure = flag(h, authority, "insecure");
    if (strcmp(authority, DOCKER_HUB_API) == 0 && flag(h, DOCKER_HUB, "insecure"))
        ret->insecure = true;
    dir = certs_dir(h, authority);
    if (dir)
        r = read_dir(dir, ret, e);
    if (r < 0)
        host_tls_done(ret);
    return r;
}

void host_tls_done(struct host_tls *tls)
{
    str_done(&tls->ca);
    free(tls->cert);
    free(tls->key);
    tls->cert = tls->key = NULL;
}

/* ---- limits ---------------------------------------------------------- */

static int from_env(const char *name, uint64_t min, uint64_t max, uint64_t *value, struct err *e)
{
    const char *text = getenv(name);

    if (!text || !*text)
        return 0;
    return parse_u64(text, min, max, value, e) < 0 ? err_ctx(e, "%s", name) : 0;
}

int registry_limits_read(struct registry_limits *ret, struct err *e)
{
    uint64_t attempts = 5, first = 500, longest = 20000, idle = 30, parallel = 4;
    int r;

    r = from_env("A3S_REGISTRY_PULL_MAX_ATTEMPTS", 1, 100, &attempts, e);
    if (r == 0)
        r = from_env("A3S_REGISTRY_PULL_RETRY_INITIAL_MS", 1, 600000, &first, e);
    if (r == 0)
        r = from_env("A3S_REGISTRY_PULL_RETRY_MAX_MS", 1, 3600000, &longest, e);
    if (r == 0)
        r = from_env("A3S_REGISTRY_PULL_NO_PROGRESS_TIMEOUT_SECS", 1, 86400, &idle, e);
    if (r == 0)
        r = from_env("A3S_REGISTRY_PULL_MAX_CONCURRENT", 1, 16, &parallel, e);
    if (r < 0)
        return r;
    *ret = (struct registry_limits){ .attempts = (unsigned)attempts,
                                     .retry_ms = first < longest ? first : longest,
                                     .retry_max_ms = longest,
                                     .no_progress_s = (unsigned)idle,
                                     .parallel = (unsigned)parallel };
    return 0;
}
