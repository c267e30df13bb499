#include "registry/url.h"

#include "util/own.h"
#include "util/parse.h"
#include "util/str.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

static inline void curlu_freep_(CURLU **u)
{
    curl_url_cleanup(*u);
}
#define autocurlu __attribute__((cleanup(curlu_freep_))) CURLU

static inline void curl_freep_(char **p)
{
    curl_free(*p);
}
#define autocurlstr __attribute__((cleanup(curl_freep_))) char

static int refuse(const char *url, const char *why, struct err *e)
{
    char shown[81];
    size_t n = 0;

    for (; url[n] && n + 1 < sizeof(shown); n++)
        shown[n] = isprint((unsigned char)url[n]) ? url[n] : '?';
    shown[n] = '\0';
    return err_set(e, ERR_INVALID, "URL '%s': %s", shown, why);
}

static int parse(CURLU *u, const char *url, struct err *e)
{
    CURLUcode c;

    if (!u)
        return err_set(e, ERR_LIMIT, "Out of memory");
    if (strlen(url) > URL_MAX)
        return refuse(url, "it is too long", e);
    c = curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (c == CURLUE_USER_NOT_ALLOWED)
        return err_set(e, ERR_INVALID, "A URL with a user and password in it is refused");
    return c == CURLUE_OK ? 0 : refuse(url, curl_url_strerror(c), e);
}

static int origin_of(CURLU *u, const char *url, struct origin *ret, struct err *e)
{
    autocurlstr *scheme = NULL, *host = NULL, *port = NULL;
    struct origin o = { .tls = false };
    uint64_t number;

    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return refuse(url, "it has no scheme or host", e);
    o.tls = strcmp(scheme, "https") == 0;
    if (!o.tls && strcmp(scheme, "http") != 0)
        return refuse(url, "only http and https are spoken here", e);
    if (strlen(host) >= sizeof(o.host) || host[0] == '.' || strchr(host, '/'))
        return refuse(url, "its host is no host", e);
    for (size_t i = 0; host[i]; i++)
        o.host[i] = (char)tolower((unsigned char)host[i]);
    if (parse_u64(port, 1, UINT16_MAX, &number, e) < 0)
        return refuse(url, "its port is no port", e);
    o.port = (uint16_t)number;
    *ret = o;
    return 0;
}

int url_origin(const char *url, struct origin *ret, struct err *e)
{
    autocurlu *u = curl_url();
    int r;

    r = parse(u, url, e);
    return r < 0 ? r : origin_of(u, url, ret, e);
}

bool origin_equal(const struct origin *a, const struct origin *b)
{
    return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool origin_is_loopback(const struct origin *o)
{
    size_t digits = strspn(o->host, "0123456789.");

    if (strcmp(o->host, "localhost") == 0 || strcmp(o->host, "[::1]") == 0)
        return true;
    return strncmp(o->host, "127.", 4) == 0 && o->host[digits] == '\0';
}

void origin_authority(const struct origin *o, char ret[AUTHORITY_MAX])
{
    bool usual = o->port == (o->tls ? 443 : 80);

    if (usual)
        (void)snprintf(ret, AUTHORITY_MAX, "%s", o->host);
    else
        (void)snprintf(ret, AUTHORITY_MAX, "%s:%u", o->host, o->port);
}

int url_resolve(const char *base, const char *location, char **ret, struct err *e)
{
    autocurlu *u = curl_url();
    autocurlstr *full = NULL;
    struct origin o;
    int r;

    r = parse(u, base, e);
    if (r == 0 && !*location)
        r = refuse(location, "it is empty", e);
    if (r == 0)
        r = parse(u, location, e);
    if (r == 0)
        r = origin_of(u, location, &o, e);
    if (r < 0)
        return r;
    (void)curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    if (curl_url_get(u, CURLUPART_URL, &full, 0) != CURLUE_OK || strlen(full) > URL_MAX)
        return refuse(location, "it does not resolve", e);
    *ret = strdup(full);
    return *ret ? 0 : err_os(e, "URL");
}

/* ---- Link ------------------------------------------------------------ */

/* Behind the parameters of one link: the comma, or the end. */
static const char *skip_params(const char *p, bool *ret_next)
{
    while (*p && *p != ',') {
        const char *name, *value;
        size_t name_n, value_n;

        p += strspn(p, "; \t");
        name = p;
        name_n = strcspn(p, "=;, \t");
        p += name_n;
        p += strspn(p, " \t");
        if (*p != '=') {
            if (name_n == 0 && *p && *p != ',')
                p++; /* nothing that makes sense: do not stand still */
            continue;
        }
        p++;
        p += strspn(p, " \t");
        value = p;
        if (*p == '"') {
            value = ++p;
            value_n = strcspn(p, "\"");
            p += value_n + (p[value_n] == '"');
        } else {
            value_n = strcspn(p, ";, \t");
            p += value_n;
        }
        if (name_n == 3 && strncasecmp(name, "rel", 3) == 0 && value_n == 4 &&
            strncasecmp(value, "next", 4) == 0)
            *ret_next = true;
    }
    return p;
}

int link_next(const char *value, char **ret, struct err *e)
{
    const char *p = value;

    for (;;) {
        const char *target;
        bool next = false;
        size_t n;

        p += strspn(p, ", \t");
        if (*p != '<')
            return 0;
        target = p + 1;
        n = strcspn(target, ">");
        if (target[n] != '>')
            return 0;
        p = skip_params(target + n + 1, &next);
        if (!next)
            continue;
        if (n == 0 || n > URL_MAX)
            return 0;
        *ret = strndup(target, n);
        return *ret ? 1 : err_os(e, "Link");
    }
}

/* ---- ranges ---------------------------------------------------------- */

static bool digits(const char **p, uint64_t *ret)
{
    const char *s = *p;
    uint64_t v = 0;

    if (!isdigit((unsigned char)*s))
        return false;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return false;
    *p = s;
    *ret = v;
    return true;
}

bool content_range_parse(const char *value, struct content_range *ret)
{
    struct content_range c = { .has_total = false };
    const char *p = value;

    if (strncasecmp(p, "bytes", 5) != 0)
        return false;
    p += 5;
    if (*p != ' ')
        return false;
    p += strspn(p, " ");
    if (!digits(&p, &c.first) || *p++ != '-' || !digits(&p, &c.last) || *p++ != '/')
        return false;
    if (*p == '*') {
        p++;
    } else {
        if (!digits(&p, &c.total))
            return false;
        c.has_total = true;
    }
    if (*p || c.last < c.first || c.last == UINT64_MAX || (c.has_total && c.last >= c.total))
        return false;
    *ret = c;
    return true;
}

bool upload_range_parse(const char *value, uint64_t *ret_last)
{
    const char *p = value;
    uint64_t first, last;

    if (strncasecmp(p, "bytes=", 6) == 0)
        p += 6;
    if (!digits(&p, &first) || *p++ != '-' || !digits(&p, &last) || *p || first != 0 ||
        last == UINT64_MAX)
        return false;
    *ret_last = last;
    return true;
}
