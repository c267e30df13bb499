#include "monitor/web.h"
#include "util/parse.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, const char *whole, uint64_t *ret, struct err *e)
{
    return parse_u64(text, 0, 65535, ret, e) < 0 ? err_ctx(e, "port of \"%.100s\"", whole) : 0;
}

static int parse_v6(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
                    struct err *e)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
    char host[INET6_ADDRSTRLEN] = "";
    const char *end = strchr(text, ']');
    uint64_t port = 0;

    if (!end || end[1] != ':' || (size_t)(end - text) > sizeof(host))
        return err_set(e, ERR_INVALID, "\"%.100s\" is not an address like [::1]:9090", text);
    memcpy(host, text + 1, (size_t)(end - text - 1));
    if (inet_pton(AF_INET6, host, &a.sin6_addr) != 1)
        return err_set(e, ERR_INVALID, "\"%.100s\" is not an address like [::1]:9090", text);
    if (parse_port(end + 2, text, &port, e) < 0)
        return -(int)e->kind;
    a.sin6_port = htons((uint16_t)port);
    memcpy(ret, &a, sizeof(a));
    *ret_len = sizeof(a);
    return 0;
}

int web_addr_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
                   struct err *e)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    const char *colon = strrchr(text, ':');
    char host[INET_ADDRSTRLEN] = "127.0.0.1";
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint64_t port = 0;

    if (text[0] == '[')
        return parse_v6(text, ret, ret_len, e);
    if (len >= sizeof(host))
        return err_set(e, ERR_INVALID, "\"%.100s\" is not an address like 127.0.0.1:9090", text);
    if (len) {
        memcpy(host, text, len);
        host[len] = '\0';
    }
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &a.sin_addr) != 1)
        return err_set(e, ERR_INVALID, "\"%.100s\" is not an address like 127.0.0.1:9090", text);
    if (parse_port(colon ? colon + 1 : text, text, &port, e) < 0)
        return -(int)e->kind;
    a.sin_port = htons((uint16_t)port);
    memcpy(ret, &a, sizeof(a));
    *ret_len = sizeof(a);
    return 0;
}

void web_addr_text(const struct sockaddr_storage *addr, char ret[WEB_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;

    if (addr->ss_family == AF_INET6) {
        memcpy(&v6, addr, sizeof(v6));
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
        (void)snprintf(ret, WEB_ADDR_TEXT, "[%s]:%u", host, ntohs(v6.sin6_port));
        return;
    }
    memcpy(&v4, addr, sizeof(v4));
    (void)inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
    (void)snprintf(ret, WEB_ADDR_TEXT, "%s:%u", host, ntohs(v4.sin_port));
}

/* ---- requests ---------------------------------------------------------- */

/* Behind the empty line that ends the head, or NULL. Bare line feeds end lines, too (RFC 9112).
 */
static const char *head_end(const char *data, size_t len)
{
    const char *p = data, *nl;

    while ((nl = memchr(p, '\n', len - (size_t)(p - data)))) {
        size_t line = (size_t)(nl - p);

        if (p != data && (line == 0 || (line == 1 && p[0] == '\r')))
            return nl + 1;
        p = nl + 1;
    }
    return NULL;
}

static int take_method(const char **p, const char *end, struct web_request *ret)
{
    static const struct {
        const char *name;
        bool head;
    } methods[] = { { "GET ", false }, { "HEAD ", true } };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        size_t n = strlen(methods[i].name);

        if ((size_t)(end - *p) > n && memcmp(*p, methods[i].name, n) == 0) {
            ret->head = methods[i].head;
            *p += n;
            return 0;
        }
    }
    for (const char *c = *p; c < end && *c != ' '; c++)
        if ((*c < 'A' || *c > 'Z') && *c != '-')
            return -400;
    return memchr(*p, ' ', (size_t)(end - *p)) ? -405 : -400;
}

/* The target in origin form, up to a '?'. */
static int take_path(const char **p, const char *end, struct web_request *ret)
{
    const char *space = memchr(*p, ' ', (size_t)(end - *p)), *query;
    size_t n;

    if (!space || space == *p || **p != '/')
        return -400;
    query = memchr(*p, '?', (size_t)(space - *p));
    n = (size_t)((query ? query : space) - *p);
    if (n >= sizeof(ret->path))
        return -414;
    for (size_t i = 0; i < n; i++)
        if ((*p)[i] <= ' ' || (*p)[i] > '~')
            return -400;
    memcpy(ret->path, *p, n);
    ret->path[n] = '\0';
    *p = space + 1;
    return 0;
}

int web_request_parse(const char *data, size_t len, struct web_request *ret)
{
    struct web_request q = { 0 };
    const char *line_end, *p = data;
    int r;

    if (!head_end(data, len))
        return len < WEB_REQUEST_MAX ? 0 : -431;
    line_end = memchr(data, '\n', len); /* there is one: the head has ended */
    if (line_end > data && line_end[-1] == '\r')
        line_end--;
    r = take_method(&p, line_end, &q);
    if (r == 0)
        r = take_path(&p, line_end, &q);
    if (r < 0)
        return r;
    if (line_end - p != 8 || memcmp(p, "HTTP/", 5) != 0)
        return -400;
    if (memcmp(p, "HTTP/1.0", 8) != 0 && memcmp(p, "HTTP/1.1", 8) != 0)
        return -505;
    *ret = q;
    return 1;
}
